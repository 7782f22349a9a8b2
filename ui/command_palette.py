"""One field for everything: commands with their keys, nodes, open documents, recent files, settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from ui.label import IconLabel, hair
from ui.panels.palette import Footer
from ui.panels.rows import Entry, RowList
from ui.popup import Popup
from ui.search import fuzzy

SIZE = QSize(600, 460)
SECTIONS = ("Commands", "Nodes", "Documents", "Recent files", "Templates", "Settings")


@dataclass(frozen=True)
class Command:
    """Something that can be done: under which heading, its name, a line about it, and the doing."""

    section: str
    title: str
    act: Callable[[], None]
    subtitle: str = ""
    icon: str = "command"
    tone: str = "text.secondary"
    keys: str = ""
    words: str = ""
    enabled: bool = True


class CommandPalette(Popup):
    """Opens in the middle of the window's upper part. What it lists is asked for anew each time."""

    def __init__(self, commands: Callable[[], Sequence[Command]], parent: QWidget) -> None:
        super().__init__(SIZE, parent)
        self._ask = commands
        self._commands: Sequence[Command] = ()
        column = QVBoxLayout(self.sheet)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        top = QHBoxLayout()
        top.setContentsMargins(18, 0, 14, 0)
        top.setSpacing(12)
        top.addWidget(IconLabel("search", "text.secondary", 18))
        self.field = QLineEdit()
        self.field.setProperty("kind", "search")
        self.field.setPlaceholderText("Find a node, a command or a setting")
        self.field.setAccessibleName("Find a node, a command or a setting")
        self.field.setFixedHeight(49)
        self.field.textChanged.connect(self._search)
        self.field.installEventFilter(self)
        top.addWidget(self.field, 1)
        column.addLayout(top)
        column.addWidget(hair())
        self.list = RowList(34)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName("What was found")
        self.list.chosen.connect(self._carry_out)
        column.addWidget(self.list, 1)
        column.addWidget(Footer(((("↑", "↓"), "Choose"), (("↵",), "Do it"), (("Esc",), "Close"))))

    def open(self, text: str = "") -> None:
        parent = self.parentWidget()
        self._commands = self._ask()
        self.field.setText(text)
        self._search(text)
        window = parent.window()
        self.place(window.mapToGlobal(QPoint((window.width() - SIZE.width()) // 2, 64)))
        self.field.setFocus(Qt.FocusReason.PopupFocusReason)

    def _search(self, text: str) -> None:
        found: dict[str, list[tuple[float, Command, tuple[int, ...]]]] = {}
        query = text.strip()
        for command in self._commands:
            scored = match(query, command)
            if scored is not None and (query or command.section in ("Commands", "Documents", "Recent files")):
                found.setdefault(command.section, []).append((scored[0], command, scored[1]))
        order = sorted(found, key=lambda name: (-max(score for score, _, _ in found[name]), SECTIONS.index(name))) if query else [s for s in SECTIONS if s in found]
        entries = []
        for name in order:
            rows = sorted(found[name], key=lambda one: -one[0])[: 8 if query else 40]
            entries.append(Entry(name))
            for _, command, places in rows:
                entries.append(Entry(command.title, command, "", command.icon, command.tone, places, command.subtitle, dim=not command.enabled, keys=command.keys))
        if not entries:
            entries = [Entry(f"Nothing is called ‘{query}’")]
        self.list.show_entries(entries)

    def _carry_out(self, command: Command) -> None:
        self.close()
        if command.enabled:
            command.act()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.field and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            if event.key() in steps:
                self.list.step(steps[Qt.Key(event.key())])
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                command = self.list.current()
                if isinstance(command, Command):
                    self._carry_out(command)
                return True
            if event.key() == Qt.Key.Key_Escape:
                self.close()
                return True
        return super().eventFilter(watched, event)


def match(query: str, command: Command) -> tuple[float, tuple[int, ...]] | None:
    """How well a command answers a query, and which letters of its title to light."""
    if not query:
        return 0.0, ()
    in_title = fuzzy(query, command.title)
    best = in_title
    for text, weight in ((command.words, 0.7), (command.subtitle, 0.5)):
        at = text.lower().find(query.lower())
        if at >= 0 and (at == 0 or not text[at - 1].isalnum()) and (best is None or weight > best[0]):
            best = (weight, in_title[1] if in_title else ())
    return best
