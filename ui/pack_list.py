"""The page of the preferences that lists packs of nodes: how each stands, what is wrong with it, and a switch for files of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFontMetrics, QGuiApplication
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from ui.label import IconLabel, Label, button, plain_tip, shown_name
from ui.threads import background
from ui.words import quoted, seconds_words

if TYPE_CHECKING:
    from nodegraph.registry import Pack
    from ui.desk import Desk

ROWS_AT_ONCE = 2
"""Each makes the page lay itself out: of 40 packs the longest turn took 20 ms with four rows, 13 ms with two."""
INDENT, NAME_WIDTH, STATE_WIDTH, ERROR_LIMIT = 22, 250, 84, 1000
LOOKS = {
    "on": ("circle-check", "ok"),
    "off": ("circle-off", "dim"),
    "changed": ("triangle-alert", "warn"),
    "gone": ("unlink", "warn"),
    "broken": ("circle-alert", "bad"),
    "loading": ("clock", "live"),
}
TRUST = "A pack is code that may do anything on this computer. Switch on only what you trust."
WHEN = "A switch counts at once, here and from the next run on. What runs now is finished with the nodes it began with."


class PackRow(QWidget):
    """One pack. A file of one's own has a switch; what is wrong stands below, to be selected and copied."""

    switched = Signal(str, bool)

    def __init__(self, name: str, own: bool) -> None:
        super().__init__()
        self.name = name
        self._details = ""
        self._told: object = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        head = QHBoxLayout()
        head.setSpacing(6)
        plain = shown_name(name)
        elided = QFontMetrics(self.font()).elidedText(plain, Qt.TextElideMode.ElideMiddle, NAME_WIDTH)
        self.box: QCheckBox | None = None
        if own:
            self.box = QCheckBox(elided.replace("&", "&&"))
            self.box.setAccessibleName(plain)
            self.box.clicked.connect(lambda on: self.switched.emit(self.name, on))
        named: QWidget = self.box or Label(elided)
        if not own:
            named.setContentsMargins(INDENT, 0, 0, 0)
        named.setToolTip(plain_tip(plain) if elided != plain else "")
        head.addWidget(named)
        head.addStretch(1)
        self.count = Label(kind="faint")
        head.addWidget(self.count)
        head.addSpacing(10)
        self._icon = IconLabel("circle-off", size=14)
        head.addWidget(self._icon)
        self.state = Label()
        self.state.setFixedWidth(STATE_WIDTH)
        head.addWidget(self.state)
        column.addLayout(head)
        self.error = Label(kind="dim", wrap=True)
        self.error.setContentsMargins(INDENT, 0, 0, 0)
        self.error.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
        column.addWidget(self.error)
        self._acts = QWidget()
        acts = QHBoxLayout(self._acts)
        acts.setContentsMargins(INDENT, 0, 0, 4)
        acts.setSpacing(8)
        self.leave = self._act(acts, lambda: self.switched.emit(self.name, False))
        self.copy = self._act(acts, self._copy)
        self.copy.setText("Copy for its author")
        self.copy.setAccessibleName(f"Copy what is wrong with {plain}, with the traceback")
        acts.addStretch(1)
        column.addWidget(self._acts)

    def _act(self, row: QHBoxLayout, act: Callable[[], object]) -> QPushButton:
        made = button("", "small")
        made.setAutoDefault(False)
        made.clicked.connect(lambda: act())
        row.addWidget(made)
        return made

    def show_pack(self, pack: Pack, wish: bool | None, refused: str, is_loaded: bool | None) -> None:
        """How it stands; `wish`: what it is being switched to; `is_loaded`: None while the nodes of the window are being read."""
        told = (pack, wish, refused, is_loaded)
        if told == self._told:
            return
        self._told = told
        is_awaited = is_loaded is None and pack.state == "on"
        state = "loading" if wish is not None or is_awaited else pack.state
        error = refused or pack.error
        icon, kind = LOOKS[state]
        words = {True: "switching on", False: "switching off"}[wish] if wish is not None else state
        self._icon.set_icon(icon, {"dim": "text.tertiary", "live": "state.live_text"}.get(kind, f"state.{kind}"))
        self.state.setText(words)
        if self.state.property("kind") != kind:
            self.state.setProperty("kind", kind)
            self.state.style().unpolish(self.state)
            self.state.style().polish(self.state)
        self.count.setText("" if is_awaited else _counted(pack) if is_loaded or not pack.own else "from the next start" if pack.state == "on" else "")
        shown = quoted(error)
        self.error.setText(shown if len(shown) <= ERROR_LIMIT else shown[:ERROR_LIMIT] + "…")
        self.error.setVisible(bool(error) and wish is None)
        self._details = pack.details
        self.leave.setVisible(pack.state in ("changed", "gone"))
        self.leave.setText("Leave it off" if pack.state == "changed" else "Take it off the list")
        self.leave.setAccessibleName(f"{self.leave.text()}: {shown_name(pack.pack)}")
        self.copy.setVisible(bool(pack.details))
        self._acts.setVisible(wish is None and (pack.state in ("changed", "gone") or bool(pack.details)))
        if self.box is not None:
            self.box.setChecked(wish if wish is not None else pack.state in ("on", "broken"))
            self.box.setEnabled(pack.state != "gone")
            self.box.setAccessibleDescription(". ".join(part for part in (words, self.count.text(), shown) if part))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._details)


class PackList(QWidget):
    """All packs, those of one's own first. Looked at anew whenever the window comes to the front: a file is edited elsewhere."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._packs, self._folder = desk.packs, desk.window.folders.plugins
        self.rows: dict[tuple[bool, str], PackRow] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(Label(TRUST, "dim", wrap=True))
        column.addWidget(Label(WHEN, "faint", wrap=True))
        column.addSpacing(8)
        head = QHBoxLayout()
        head.addWidget(Label("Files of your own", "strong"))
        head.addStretch(1)
        self.open = button("Open the node folder", icon="folder-open")
        self.open.setAutoDefault(False)
        self.open.clicked.connect(self._open_folder)
        head.addWidget(self.open)
        column.addLayout(head)
        self._trouble = Label(kind="bad", wrap=True)
        self._trouble.hide()
        column.addWidget(self._trouble)
        self._none = Label("No file yet. Put a Python file with nodes into the node folder, then switch it on here.", "faint", wrap=True)
        self._none.hide()
        column.addWidget(self._none)
        self._columns = {True: QVBoxLayout(), False: QVBoxLayout()}
        column.addLayout(self._columns[True])
        self._installed = QWidget()
        below = QVBoxLayout(self._installed)
        below.setContentsMargins(0, 12, 0, 0)
        below.setSpacing(8)
        below.addWidget(Label("Installed", "strong"))
        below.addWidget(Label("These come and go with pip; that counts from the next start on.", "faint", wrap=True))
        below.addLayout(self._columns[False])
        self._installed.hide()
        column.addWidget(self._installed)
        for rows in self._columns.values():
            rows.setSpacing(8)
        self._packs.changed.connect(self._show)
        self._show()

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Show, QEvent.Type.WindowActivate):
            self._packs.look()
        return super().event(event)

    def _show(self) -> None:
        """Rows stay as long as their pack does, so that the keyboard stays where it is. A few new ones at a time."""
        listed = self._packs.listed
        if listed is None:
            return
        wanted = {(pack.own, pack.pack) for pack in listed}
        for key in self.rows.keys() - wanted:
            row = self.rows.pop(key)
            self._columns[key[0]].removeWidget(row)
            row.hide()
            row.deleteLater()
        made, places = 0, {True: 0, False: 0}
        for pack in listed:
            key = (pack.own, pack.pack)
            if key not in self.rows:
                if made == ROWS_AT_ONCE:
                    background().soon(self._show, owner=self)
                    break
                made += 1
                self.rows[key] = PackRow(pack.pack, pack.own)
                self.rows[key].switched.connect(self._packs.switch)
                self._columns[pack.own].insertWidget(places[pack.own], self.rows[key])
            places[pack.own] += 1
            self.rows[key].show_pack(pack, self._packs.wish(pack.pack), self._packs.refused.get(pack.pack, ""), self._packs.is_loaded(pack.pack))
        self._none.setVisible(not any(own for own, _ in wanted))
        self._installed.setVisible(any(not own for own, _ in wanted))

    def _open_folder(self) -> None:
        folder = self._folder

        def made(_nothing: None) -> None:
            self._tell("" if QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))) else f"No program opens folders here. The folder is {folder}")

        background().run(lambda: folder.mkdir(parents=True, exist_ok=True), made, lambda error: self._tell(f"The folder cannot be made: {error}"), owner=self)

    def _tell(self, trouble: str) -> None:
        self._trouble.setText(trouble)
        self._trouble.setVisible(bool(trouble))


def _counted(pack: Pack) -> str:
    if pack.state != "on" and not pack.nodes:
        return ""
    words = f"{len(pack.nodes)} node{'s' if len(pack.nodes) != 1 else ''}"
    return words + (f", {seconds_words(pack.seconds)} at every start" if pack.is_slow else "")
