"""All keys and gestures on one sheet, read from the table that also makes them work."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QDialog, QGridLayout, QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from ui.actions import MOUSE, TABLE, Keymap
from ui.label import KeyCap, Label


class CheatSheet(QDialog):
    """Not modal: it may stay open beside the work."""

    def __init__(self, keymap: Keymap, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Keys")
        self.resize(880, 640)
        self._keymap = keymap
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 18, 0, 0)
        column.setSpacing(12)
        head = QHBoxLayout()
        head.setContentsMargins(0, 0, 20, 0)
        head.addWidget(Label("Keys and gestures", "title"))
        head.addStretch(1)
        self._field = QLineEdit()
        self._field.setProperty("kind", "field")
        self._field.setFixedWidth(240)
        self._field.setPlaceholderText("Find")
        self._field.setAccessibleName("Find a key")
        self._field.textChanged.connect(self._fill)
        head.addWidget(self._field)
        column.addLayout(head)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        column.addWidget(self._scroll, 1)
        self._fill("")

    def _fill(self, text: str) -> None:
        wanted = text.strip().lower()
        page = QWidget()
        page.setProperty("kind", "page")
        columns = QHBoxLayout(page)
        columns.setContentsMargins(0, 0, 20, 20)
        columns.setSpacing(32)
        halves = [QVBoxLayout(), QVBoxLayout()]
        for half in halves:
            half.setSpacing(16)
            columns.addLayout(half, 1)
        heights = [0, 0]
        groups: dict[str, list[tuple[str, list[str]]]] = {}
        for id, spec in TABLE.items():
            keys = [QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in self._keymap.keys(id)]
            if keys and (wanted in spec.title.lower() or wanted in " ".join(keys).lower()):
                groups.setdefault(spec.group, []).append((spec.title, keys))
        mouse = [(what, [hand]) for hand, what in MOUSE if wanted in (hand + what).lower()]
        if mouse:
            groups["Mouse"] = mouse
        for name, lines in groups.items():
            side = heights.index(min(heights))
            heights[side] += len(lines) + 2
            halves[side].addWidget(_group(name, lines))
        for half in halves:
            half.addStretch(1)
        self._scroll.setWidget(page)


def _group(name: str, lines: list[tuple[str, list[str]]]) -> QWidget:
    box = QWidget()
    grid = QGridLayout(box)
    grid.setContentsMargins(0, 0, 0, 0)
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(6)
    grid.addWidget(Label(name, "strong"), 0, 0, 1, 2)
    for row, (title, keys) in enumerate(lines, 1):
        if name == "Mouse":
            grid.addWidget(Label(keys[0], "dim", wrap=True), row, 0)
            words = Label(title, wrap=True)
            grid.addWidget(words, row, 1)
            grid.setColumnStretch(0, 2)
            grid.setColumnStretch(1, 3)
            continue
        grid.addWidget(Label(title, "dim"), row, 0)
        caps = QWidget()
        line = QHBoxLayout(caps)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(4)
        line.addStretch(1)
        for key in keys[:3]:
            line.addWidget(KeyCap(key))
        grid.addWidget(caps, row, 1)
    return box
