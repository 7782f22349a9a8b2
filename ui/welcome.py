"""The first page: new, open, recent files and this computer at the left; templates with what they made at the right."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QFrame, QHBoxLayout, QLineEdit, QScrollArea, QToolButton, QVBoxLayout, QWidget

from nodegraph import __version__
from nodegraph.folders import Folders
from nodegraph.node import File
from ui import theme, vocabulary
from ui.faces import FACES, Faces
from ui.known_words import KnownWords
from ui.label import ElidedLabel, IconLabel, Label, button
from ui.panels.templates import TemplateGrid
from ui.settings import Settings
from ui.templates import TAGS, Template, read_templates
from ui.threads import background
from ui.welcome_rows import NavRow, RecentRow
from ui.words import device_words

if TYPE_CHECKING:
    from nodegraph.registry import Registry

LEFT_WIDTH = 340


class Welcome(QWidget):
    """Shown when nothing is open."""

    new_wanted = Signal()
    open_wanted = Signal()
    path_wanted = Signal(object)
    template_wanted = Signal(object)
    keys_wanted = Signal()

    def __init__(self, settings: Settings, folders: Folders, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings, self._folders = settings, folders
        self._faces = Faces(folders.cache / FACES)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._registry: Registry | None = None
        self._tag = "All"
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self._left())
        row.addWidget(_line(True))
        row.addWidget(self._right(), 1)
        outer.addLayout(row, 1)
        outer.addWidget(_line(False))
        outer.addWidget(self._foot())
        settings.changed.connect(lambda name: name == "recent" and self.refresh())

    # -- building

    def _left(self) -> QWidget:
        side = QWidget()
        side.setFixedWidth(LEFT_WIDTH)
        side.setProperty("kind", "panel")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(side)
        column.setContentsMargins(32, 40, 32, 20)
        column.setSpacing(4)
        hour = time.localtime().tm_hour
        greeting = "Good morning" if 5 <= hour < 12 else "Good afternoon" if 12 <= hour < 18 else "Good evening"
        column.addWidget(Label(greeting, "display"))
        column.addWidget(Label("Runs on this computer. Nothing leaves it unless you add a service node.", "dim", wrap=True))
        column.addSpacing(16)
        for words, icon, keys, primary, signal in (
            ("New graph", "plus", "Ctrl N", True, self.new_wanted),
            ("Open a graph", "folder-open", "Ctrl O", False, self.open_wanted),
            ("Drop or open a picture made here", "image", "", False, self.open_wanted),
            ("Import a workflow", "import", "", False, self.open_wanted),
        ):
            made = NavRow(words, icon, keys, primary)
            made.clicked.connect(signal)
            column.addWidget(made)
            if icon == "import":
                self._import = made
                made.hide()  # until a pack brings a reader of foreign files
            if primary:
                column.addSpacing(4)
        column.addSpacing(20)
        self._recent_head = Label("Recent", "cap")
        column.addWidget(self._recent_head)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        column.addLayout(self._recent)
        column.addStretch(1)
        self._knows = KnownWords() if vocabulary.shipped_groups() else None
        for part in (self._knows, self._computer()):
            if part is not None:
                column.addWidget(part)
                column.addSpacing(8)
        self._side = side
        return side

    def _computer(self) -> QWidget:
        box = QFrame()
        box.setProperty("kind", "well")
        box.setStyleSheet("")
        column = QVBoxLayout(box)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        column.addWidget(Label("This computer", "strong"))
        self._facts = QVBoxLayout()
        self._facts.setSpacing(8)
        column.addLayout(self._facts)
        again = button("Check again", "link")
        again.clicked.connect(self._look_around)
        holder = QHBoxLayout()
        holder.setContentsMargins(0, 0, 0, 0)
        holder.addWidget(again)
        holder.addStretch(1)
        column.addLayout(holder)
        return box

    def _right(self) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(40, 34, 0, 0)
        column.setSpacing(16)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 40, 0)
        head.addWidget(Label("Start from a template", "title"))
        head.addStretch(1)
        self._field = QLineEdit()
        self._field.setProperty("kind", "field")
        self._field.setFixedSize(260, 30)
        self._field.addAction(theme.icon("search", "text.tertiary"), QLineEdit.ActionPosition.LeadingPosition)
        self._field.setPlaceholderText("Search templates")
        self._field.setAccessibleName("Search templates")
        self._field.textChanged.connect(lambda _text: self._sift())
        head.addWidget(self._field)
        column.addLayout(head)
        self._chips = QHBoxLayout()
        self._chips.setContentsMargins(0, 0, 40, 0)
        self._chips.setSpacing(6)
        self._chips.addStretch(1)
        column.addLayout(self._chips)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        page.setProperty("kind", "page")
        inside = QVBoxLayout(page)
        inside.setContentsMargins(0, 0, 30, 30)
        self.grid = TemplateGrid(300, 218)
        self.grid.chosen.connect(self.template_wanted)
        self._nothing = Label("", "dim")
        inside.addWidget(self._nothing)
        inside.addWidget(self.grid)
        inside.addStretch(1)
        scroll.setWidget(page)
        column.addWidget(scroll, 1)
        return side

    def _foot(self) -> QWidget:
        foot = QWidget()
        foot.setFixedHeight(24)
        row = QHBoxLayout(foot)
        row.setContentsMargins(14, 0, 14, 0)
        row.setSpacing(6)
        row.addWidget(Label(f"Version {__version__}", "status"))
        row.addWidget(Label("·", "status"))
        keys = button("Keys  F1", "link")
        keys.setStyleSheet("font-size: 11px; padding: 0;")
        keys.clicked.connect(self.keys_wanted)
        row.addWidget(keys)
        row.addStretch(1)
        show = QCheckBox("Show this page at start")
        show.setStyleSheet("font-size: 11px;")
        show.setChecked(self._settings.get("show_welcome"))
        show.toggled.connect(lambda on: self._settings.set("show_welcome", on))
        row.addWidget(show)
        return foot

    # -- what is there

    def showEvent(self, event: object) -> None:
        self.refresh()

    def resizeEvent(self, event: object) -> None:
        self._fit_words()

    def _fit_words(self) -> None:
        """Where there is no room for all of the left column, the words of the shipped model give way: half a line says nothing."""
        layout = self._side.layout()
        if self._knows is not None and layout is not None:
            self._knows.show()
            layout.activate()
            self._knows.setVisible(layout.totalHeightForWidth(LEFT_WIDTH) <= self._side.height())

    def refresh(self) -> None:
        """Read the recent files anew."""
        while self._recent.count():
            item = self._recent.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        paths = self._settings.recent_files()[:5]
        self._recent_head.setVisible(bool(paths))
        self._fit_words()
        for path in paths:
            made = RecentRow(path)
            made.clicked.connect(lambda _checked=False, path=path: self.path_wanted.emit(path))
            self._recent.addWidget(made)
            background().run(lambda path=path: _facts_of(path, self._faces), lambda found, made=made: _show_recent(made, found))

    def set_registry(self, registry: Registry) -> None:
        self._registry = registry
        self._import.setVisible(bool(registry.importers))
        background().run(lambda: read_templates(registry), self._show_templates)
        self._look_around()

    def _show_templates(self, templates: list[Template]) -> None:
        self.grid.show_templates(templates)
        self._field.setPlaceholderText(f"Search {len(templates)} templates")
        while self._chips.count() > 1:
            item = self._chips.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        present = {tag for template in templates for tag in template.tags}
        self._made: dict[str, QToolButton] = {}
        for number, words in enumerate(("All", "Ready to run", *(tag for tag in TAGS if tag in present))):
            made = QToolButton()
            made.setProperty("kind", "chip")
            made.setText(words)
            made.setCheckable(True)
            made.setChecked(words == self._tag)
            made.setFixedHeight(26)
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.clicked.connect(lambda _checked=False, words=words: self._choose(words))
            self._chips.insertWidget(number, made)
            self._made[words] = made
        self._sift()

    def _choose(self, tag: str) -> None:
        self._tag = tag
        for words, made in self._made.items():
            made.setChecked(words == tag)
        self._sift()

    def _sift(self) -> None:
        count = self.grid.sift(self._field.text(), self._tag)
        self._nothing.setText("" if count else "No template is called that.")
        self._nothing.setVisible(not count)

    def _look_around(self) -> None:
        folders = self._folders

        def work() -> dict[str, int]:
            models = (".safetensors", ".gguf", ".sft")
            return {kind: len(folders.names(File(kind, models, kind == "checkpoints"))) for kind in ("checkpoints", "loras", "controlnet")}

        background().run(work, self._show_facts)

    def _show_facts(self, counts: dict[str, int]) -> None:
        while self._facts.count():
            item = self._facts.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        import os

        device = self._settings.get("device")
        name = "GPU if there is one" if device == "auto" else device_words(device, device)
        checkpoints, loras, controls = counts["checkpoints"], counts["loras"], counts["controlnet"]
        lines = (
            ("cpu", f"{os.cpu_count() or 1} cores, {name}", "ready", "ok"),
            ("box", f"{checkpoints} {'checkpoint' if checkpoints == 1 else 'checkpoints'}, {loras} {'LoRA' if loras == 1 else 'LoRAs'}", "found", "ok" if checkpoints else "warn"),
            ("scan-line", f"{controls} ControlNets" if controls > 1 else "1 ControlNet" if controls else "No ControlNet yet", "found" if controls else "", "ok"),
        )
        for icon, words, state, kind in lines:
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(8)
            row.addWidget(IconLabel(icon, "text.tertiary", 14))
            row.addWidget(ElidedLabel(words, "dim"), 1)
            if state:
                row.addWidget(Label(state, kind))
            else:
                where = button("where to put one", "link")
                where.setToolTip(str(self._folders.models / "controlnet"))
                where.clicked.connect(lambda _checked=False, where=where: _copy(str(self._folders.models / "controlnet"), where))
                row.addWidget(where)
            self._facts.addWidget(holder)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.window"))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus()


def _copy(text: str, where: QWidget) -> None:
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QToolTip

    QGuiApplication.clipboard().setText(text)
    QToolTip.showText(where.mapToGlobal(where.rect().bottomLeft()), f"{text}\nThe path is on the clipboard.", where)


def _line(vertical: bool) -> QFrame:
    line = QFrame()
    line.setProperty("kind", "hair")
    if vertical:
        line.setFixedWidth(1)
    else:
        line.setFixedHeight(1)
    return line


def _facts_of(path: Path, faces: Faces) -> tuple[str, QImage | None]:
    try:
        when = path.stat().st_mtime
    except OSError:
        return "not there any more", None
    return when_words(when), faces.read(path)


def _show_recent(made: RecentRow, found: tuple[str, QImage | None]) -> None:
    try:
        made.show_facts(*found)
    except RuntimeError:  # the list was read anew meanwhile
        pass


def when_words(when: float, now: float | None = None) -> str:
    """A moment for people: today 21:47, yesterday, 3 days ago, last week, 12 May."""
    now = time.time() if now is None else now
    days = int((time.mktime(time.localtime(now)[:3] + (0,) * 6) - time.mktime(time.localtime(when)[:3] + (0,) * 6)) // 86400 + 0.5)
    if days <= 0:
        return f"today {time.strftime('%H:%M', time.localtime(when))}"
    if days == 1:
        return "yesterday"
    if days < 7:
        return f"{days} days ago"
    if days < 14:
        return "last week"
    return time.strftime("%d %B %Y", time.localtime(when)).lstrip("0")
