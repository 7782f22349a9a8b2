"""Preferences: look, keys, folders, packs of nodes, memory and device. What is changed counts at once; there is no "Apply"."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QScrollArea,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ui import theme
from ui.actions import TABLE, Keymap
from ui.command_palette import Command
from ui.label import ElidedLabel, Label, button, hair, tool

if TYPE_CHECKING:
    from ui.desk import Desk

ROWS_AT_ONCE = 12
PAGES = (("look", "Look", "palette"), ("canvas", "Canvas", "workflow"), ("running", "Running", "cpu"), ("folders", "Folders", "folder"), ("packs", "Node packs", "puzzle"), ("keys", "Keys", "keyboard"))
OTHER_WORDS = {"packs": "plugins extensions custom nodes"}
"""What other programs call a page."""
DEVICES = (("auto", "The fastest there is"), ("cuda", "Graphics card (CUDA)"), ("mps", "Apple GPU"), ("cpu", "Processor"))
FOLDERS = (("models", "More model folders", "Folders with one sub-folder for each kind; those of ComfyUI are understood too"), ("loras", "More LoRA folders", ""), ("checkpoints", "More checkpoint folders", ""), ("input", "More picture folders", ""))


class KeyField(QLineEdit):
    """Takes the next key that is pressed; Backspace leaves the action without one."""

    chosen = Signal(str)

    def __init__(self, keys: str, parent: QWidget | None = None) -> None:
        super().__init__(keys, parent)
        self.setReadOnly(True)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setFixedWidth(170)
        self.setPlaceholderText("no key")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab, Qt.Key.Key_Escape):
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Backspace,) and not event.modifiers():
            self.chosen.emit("")
        elif key not in (Qt.Key.Key_Control, Qt.Key.Key_Shift, Qt.Key.Key_Alt, Qt.Key.Key_Meta, Qt.Key.Key_unknown):
            self.chosen.emit(QKeySequence(event.keyCombination()).toString())

    def event(self, event: Any) -> bool:
        if event.type() == event.Type.ShortcutOverride:
            event.accept()
            return True
        return bool(super().event(event))


class Preferences(QDialog):
    """Not modal; the window beside it shows each change."""

    def __init__(self, desk: Desk, page: str = "") -> None:
        super().__init__(desk.window)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Preferences")
        self.resize(760, 560)
        self._desk, self._window, self._settings = desk, desk.window, desk.window.settings
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        nav = QWidget()
        nav.setFixedWidth(176)
        nav.setProperty("kind", "panel")
        nav.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(nav)
        column.setContentsMargins(10, 16, 10, 10)
        column.setSpacing(2)
        self._stack = QStackedWidget()
        self._nav: dict[str, QToolButton] = {}
        self._makers: dict[str, Callable[[], QWidget]] = {"look": self._look, "canvas": self._canvas, "running": self._running, "folders": self._folders, "packs": self._packs, "keys": self._keys}
        for name, words, icon in PAGES:
            made = QToolButton()
            made.setProperty("kind", "nav")
            made.setText(f"  {words}")  # Qt leaves next to no room behind an icon
            made.setAccessibleName(words)
            made.setIcon(theme.icon(icon, "text.tertiary", "text.primary"))
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setCheckable(True)
            made.setFixedSize(156, 32)
            made.clicked.connect(lambda _checked=False, name=name: self.turn(name))
            self._nav[name] = made
            column.addWidget(made)
            self._stack.addWidget(QWidget())
        column.addStretch(1)
        row.addWidget(nav)
        row.addWidget(hair(vertical=True))
        row.addWidget(self._stack, 1)
        self.turn(page or "look")

    def turn(self, name: str) -> None:
        for key, made in self._nav.items():
            made.setChecked(key == name)
        index = [key for key, _, _ in PAGES].index(name)
        if (make := self._makers.pop(name, None)) is not None:  # each is made when it is first turned to
            empty = self._stack.widget(index)
            self._stack.insertWidget(index, _scrolled(make()))
            self._stack.removeWidget(empty)
        self._stack.setCurrentIndex(index)

    # -- pages

    def _look(self) -> QWidget:
        page, column = _page("Look")
        column.addWidget(_line("Theme", _choice((("dark", "Dark"), ("light", "Light")), self._settings.get("theme"), self._set_theme)))
        column.addWidget(self._check("reduced_motion", "Less motion", "Nothing moves by itself: no pulses, no travelling dots", self._apply_theme))
        column.addWidget(self._check("show_welcome", "Show the first page at start"))
        column.addStretch(1)
        return page

    def _canvas(self) -> QWidget:
        page, column = _page("Canvas")
        for name, words, about in (
            ("snap", "Snap to the grid", ""),
            ("grid", "Show the dots of the grid", ""),
            ("minimap", "Show the minimap", ""),
            ("focus_links", "Focus links of the selection", "Other links fade while a node is selected"),
        ):
            column.addWidget(self._check(name, words, about))
        column.addStretch(1)
        return page

    def _running(self) -> QWidget:
        page, column = _page("Running")
        column.addWidget(_line("Compute on", _choice(DEVICES, self._settings.get("device"), lambda value: self._settings.set("device", value))))
        column.addWidget(self._check("previews", "Show pictures while they are painted", "Costs under 2 % of the time of a run"))
        sizes = (("256", "256 px"), ("512", "512 px"), ("768", "768 px"))
        column.addWidget(_line("Size of previews", _choice(sizes, str(self._settings.get("preview_size")), lambda value: self._settings.set("preview_size", int(value)))))
        column.addWidget(self._check("cache_results", "Keep results, so that only what changed runs again"))
        for name, words, standard in (("memory_gb", "Results in memory", 0.0), ("disk_gb", "Results on disk", 10.0)):
            column.addWidget(_line(words, self._budget(name, standard)))
        column.addWidget(Label("The oldest results go when there is no room. Budgets count from the next run on.", "faint", wrap=True))
        row = QHBoxLayout()
        free = button("Free memory")
        free.clicked.connect(lambda: self._desk.runs.free("all"))
        row.addWidget(free)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(1)
        return page

    def _budget(self, name: str, standard: float) -> QDoubleSpinBox:
        """How many gigabytes of results are kept."""
        box = QDoubleSpinBox()
        box.setRange(0, 100_000)
        box.setDecimals(1)
        box.setSuffix(" GB")
        if name == "memory_gb":
            box.setSpecialValueText("as fits this computer")
        wish = self._settings.shared("cache").get(name, standard)
        box.setValue(float(wish) if isinstance(wish, (int, float)) else standard)

        def chosen(value: float) -> None:
            cache = self._settings.shared("cache")
            cache[name] = value
            if name == "memory_gb" and value == 0:
                cache.pop(name)
            self._settings.set_shared("cache", cache)

        box.valueChanged.connect(chosen)
        box.setFixedWidth(170)
        return box

    def _folders(self) -> QWidget:
        page, column = _page("Folders")
        self._single_folders = QVBoxLayout()
        column.addLayout(self._single_folders)
        change = button("Change where pictures go")
        change.clicked.connect(lambda: self._choose_single("output"))
        row = QHBoxLayout()
        row.addWidget(change)
        row.addStretch(1)
        column.addLayout(row)
        self._folder_lists = QVBoxLayout()
        self._folder_lists.setSpacing(6)
        column.addSpacing(8)
        column.addLayout(self._folder_lists)
        self._show_folders()
        column.addStretch(1)
        return page

    def _show_folders(self) -> None:
        _clear(self._single_folders)
        folders = self._window.folders
        for words, path in (("Models", folders.models), ("Pictures", folders.output), ("Input", folders.input), ("Nodes of your own", folders.plugins), ("Kept results", folders.cache)):
            label = ElidedLabel(str(path), "value", Qt.TextElideMode.ElideMiddle)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            self._single_folders.addWidget(_line(words, label))
        _clear(self._folder_lists)
        chosen = self._settings.shared("folders")
        for kind, words, about in FOLDERS:
            head = QWidget()
            row = QHBoxLayout(head)
            row.setContentsMargins(0, 6, 0, 0)
            row.addWidget(Label(words, "strong"))
            row.addStretch(1)
            add = tool("plus", f"Add to: {words.lower()}", 14)
            add.clicked.connect(lambda _checked=False, kind=kind: self._add_folder(kind))
            row.addWidget(add)
            if about:
                head.setToolTip(about)
            self._folder_lists.addWidget(head)
            listed = chosen.get(kind)
            for path in listed if isinstance(listed, list) else []:
                holder = QWidget()
                line = QHBoxLayout(holder)
                line.setContentsMargins(8, 0, 0, 0)
                line.addWidget(ElidedLabel(str(path), "value", Qt.TextElideMode.ElideMiddle), 1)
                drop = tool("x", "Take this folder out of the list", 14)
                drop.clicked.connect(lambda _checked=False, kind=kind, path=path: self._drop_folder(kind, path))
                line.addWidget(drop)
                self._folder_lists.addWidget(holder)

    def _add_folder(self, kind: str) -> None:
        path = self._desk.studio.questions.which_folder(self._window.folders.models)
        if path is not None:
            chosen = self._settings.shared("folders")
            listed = chosen.get(kind)
            chosen[kind] = [*(listed if isinstance(listed, list) else []), str(path)]
            self._settings.set_shared("folders", chosen)
            self._show_folders()

    def _drop_folder(self, kind: str, path: str) -> None:
        chosen = self._settings.shared("folders")
        chosen[kind] = [one for one in chosen.get(kind, []) if one != path]
        self._settings.set_shared("folders", chosen)
        self._show_folders()

    def _choose_single(self, kind: str) -> None:
        path = self._desk.studio.questions.which_folder(self._window.folders.output)
        if path is not None:
            self._settings.set_shared("folders", {**self._settings.shared("folders"), kind: str(path)})
            self._show_folders()

    def _packs(self) -> QWidget:
        from ui.pack_list import PackList

        page, column = _page("Node packs")
        column.addWidget(PackList(self._desk))
        column.addStretch(1)
        return page

    def _keys(self) -> QWidget:
        page, column = _page("Keys")
        field = QLineEdit()
        field.setProperty("kind", "field")
        field.setPlaceholderText("Find an action")
        field.setAccessibleName("Find an action")
        field.textChanged.connect(self._show_keys)
        row = QHBoxLayout()
        row.addWidget(field, 1)
        back = button("All as they were")
        back.clicked.connect(lambda: (self._desk.set_keys({}), self._show_keys(field.text())))
        row.addWidget(back)
        column.addLayout(row)
        self._key_rows = QVBoxLayout()
        self._key_rows.setSpacing(2)
        column.addLayout(self._key_rows)
        column.addStretch(1)
        self._key_filter = ""
        self._waiting: list[tuple[str, str, str, tuple[str, ...], bool]] = []
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._add_key_rows)
        self._show_keys("")
        return page

    def _show_keys(self, text: str) -> None:
        self._key_filter = text
        _clear(self._key_rows)
        wanted = text.strip().lower()
        keymap: Keymap = self._window.keymap
        clashes = {id for ids in keymap.conflicts().values() for id in ids}
        self._waiting = []
        for id, spec in sorted(TABLE.items(), key=lambda entry: entry[1].group):
            keys = keymap.keys(id)
            if not wanted or wanted in spec.title.lower() or wanted in " ".join(keys).lower():
                self._waiting.append((spec.group, id, spec.title, keys, id in clashes))
        self._key_group = ""
        self._add_key_rows()

    def _add_key_rows(self) -> None:
        """A few at a time: all of them at once would hold the window up."""
        now, self._waiting = self._waiting[:ROWS_AT_ONCE], self._waiting[ROWS_AT_ONCE:]
        for group, id, title, keys, clashes in now:
            if group != self._key_group:
                self._key_group = group
                self._key_rows.addSpacing(8)
                self._key_rows.addWidget(Label(group, "cap"))
            self._key_rows.addWidget(self._key_row(id, title, keys, clashes))
        if self._waiting:
            self._more.start()

    def _key_row(self, id: str, title: str, keys: tuple[str, ...], clashes: bool) -> QWidget:
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(ElidedLabel(title), 1)
        if clashes:
            row.addWidget(Label("used twice", "warn"))
        field = KeyField(QKeySequence(keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if keys else "")
        field.setAccessibleName(f"Key for {title}")
        field.chosen.connect(lambda key: self._set_key(id, key))
        row.addWidget(field)
        back = tool("rotate-ccw", f"Key of {title} as it was", 14)
        back.setEnabled(id in self._window.keymap.overrides)
        back.clicked.connect(lambda: self._set_key(id, None))
        row.addWidget(back)
        return holder

    def _set_key(self, id: str, key: str | None) -> None:
        overrides = {name: list(keys) for name, keys in self._window.keymap.overrides.items()}
        if key is None:
            overrides.pop(id, None)
        else:
            rest = [other for other in self._window.keymap.keys(id)[1:] if other != key]
            overrides[id] = [key, *rest] if key else []
        self._desk.set_keys(overrides)
        self._show_keys(self._key_filter)

    # -- acting

    def _check(self, name: str, words: str, about: str = "", then: Callable[[], None] | None = None) -> QWidget:
        box = QCheckBox(words)
        box.setChecked(bool(self._settings.get(name)))

        def toggled(on: bool) -> None:
            self._settings.set(name, on)
            if then is not None:
                then()

        box.toggled.connect(toggled)
        if not about:
            return box
        holder = QWidget()
        column = QVBoxLayout(holder)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(box)
        label = Label(about, "faint", wrap=True)
        label.setContentsMargins(24, 0, 0, 0)
        column.addWidget(label)
        return holder

    def _set_theme(self, name: str) -> None:
        self._settings.set("theme", name)
        self._apply_theme()

    def _apply_theme(self) -> None:
        apply_theme(self._settings.get("theme"), self._settings.get("reduced_motion"))


def apply_theme(name: str, reduced: bool) -> None:
    """Dress the running program."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, name, reduced)


def setting_commands(desk: Desk) -> list[Command]:
    """What the palette finds under "Settings"."""
    settings = desk.window.settings
    other = "light" if settings.get("theme") == "dark" else "dark"

    def turn_theme() -> None:
        settings.set("theme", other)
        apply_theme(other, settings.get("reduced_motion"))

    found = [Command("Settings", f"{other.capitalize()} theme", turn_theme, "Look", "sun" if other == "light" else "moon", words="theme dark light look colours")]
    for name, words in (("minimap", "minimap"), ("grid", "grid dots"), ("snap", "snapping to the grid"), ("previews", "pictures while painting"), ("reduced_motion", "less motion")):
        on = bool(settings.get(name))
        found.append(Command("Settings", f"Turn {words} {'off' if on else 'on'}", lambda name=name, on=on: settings.set(name, not on), "Preferences", "settings"))  # type: ignore[misc]
    for name, words, icon in PAGES:
        found.append(Command("Settings", f"Preferences: {words.lower()}", lambda name=name: desk.show_preferences(name), "Preferences", icon, words=OTHER_WORDS.get(name, "")))  # type: ignore[misc]
    return found


def _page(title: str) -> tuple[QWidget, QVBoxLayout]:
    page = QWidget()
    page.setProperty("kind", "page")
    column = QVBoxLayout(page)
    column.setContentsMargins(24, 20, 24, 20)
    column.setSpacing(12)
    column.addWidget(Label(title, "title"))
    return page, column


def _scrolled(page: QWidget) -> QScrollArea:
    scroll = QScrollArea()
    scroll.setWidgetResizable(True)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setWidget(page)
    return scroll


def _line(words: str, control: QWidget, about: str = "") -> QWidget:
    holder = QWidget()
    column = QVBoxLayout(holder)
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(2)
    row = QHBoxLayout()
    label = Label(words)
    label.setFixedWidth(150)
    label.setBuddy(control)
    control.setAccessibleName(words)
    row.addWidget(label)
    row.addWidget(control, 1 if isinstance(control, ElidedLabel) else 0)
    if not isinstance(control, ElidedLabel):
        row.addStretch(1)
    column.addLayout(row)
    if about:
        column.addWidget(Label(about, "faint", wrap=True))
    return holder


def _choice(options: tuple[tuple[str, str], ...], now: str, chosen: Callable[[str], None]) -> QComboBox:
    box = QComboBox()
    for value, words in options:
        box.addItem(words, value)
    box.setCurrentIndex(max(0, box.findData(now)))
    box.setMinimumWidth(170)
    box.activated.connect(lambda index: chosen(str(box.itemData(index))))
    return box


def _clear(layout: QVBoxLayout) -> None:
    while layout.count():
        item = layout.takeAt(0)
        if item is not None and item.widget() is not None:
            item.widget().hide()
            item.widget().deleteLater()
