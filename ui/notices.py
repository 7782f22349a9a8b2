"""Strips that say one thing and offer at most two ways on. They stand in the window and never stop anybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ui import theme
from ui.label import IconLabel, Label, button, tool
from ui.words import quoted

Severity = Literal["error", "warning", "info"]
LOOKS = {"error": ("circle-alert", "state.bad"), "warning": ("triangle-alert", "state.warn"), "info": ("info", "accent.base")}


@dataclass(frozen=True)
class Notice:
    """One sentence or two. A notice with the key of one that is shown takes its place."""

    text: str
    severity: Severity = "info"
    actions: tuple[tuple[str, Callable[[], None]], ...] = ()
    key: str = ""
    closable: bool = True
    closed: Callable[[], None] | None = field(default=None, compare=False)


class _Strip(QWidget):
    def __init__(self, notice: Notice, bar: Notices) -> None:
        super().__init__(bar)
        self.notice = notice
        icon, color = LOOKS[notice.severity]
        self._color = color
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 6, 8, 6)
        row.setSpacing(8)
        row.addWidget(IconLabel(icon, color, 16), 0, Qt.AlignmentFlag.AlignVCenter)
        label = Label(quoted(notice.text), wrap=True)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        row.addWidget(label, 1)
        for number, (words, act) in enumerate(notice.actions[:2]):
            made = button(words, "" if number == 0 else "link")
            made.clicked.connect(lambda _checked=False, act=act: bar.carry_out(notice, act))
            row.addWidget(made)
        if notice.closable:
            cross = tool("x", "Close this message", 14)
            cross.clicked.connect(lambda: bar.dismiss(notice))
            row.addWidget(cross)
        self.setAccessibleName(notice.text)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        share = 0.12 if now.is_dark else 0.10
        wash: QColor = now.mix(self._color, "surface.panel", share)
        painter.fillRect(self.rect(), wash)
        painter.fillRect(0, 0, 3, self.height(), now.color(self._color))
        painter.fillRect(0, self.height() - 1, self.width(), 1, now.color("line.hair"))
        painter.end()


class Notices(QWidget):
    """At most three strips, the newest on top."""

    LIMIT = 3

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(0)
        self._strips: list[_Strip] = []
        self.hide()

    @property
    def shown(self) -> tuple[Notice, ...]:
        return tuple(strip.notice for strip in self._strips)

    def show_notice(self, notice: Notice) -> None:
        if notice.key:
            self.take_back(notice.key)
        strip = _Strip(notice, self)
        self._strips.insert(0, strip)
        self._column.insertWidget(0, strip)
        for old in self._strips[self.LIMIT :]:
            self._drop(old)
        self.show()

    def take_back(self, key: str) -> None:
        """What a notice said is no longer so."""
        for strip in [s for s in self._strips if s.notice.key == key]:
            self._drop(strip)

    def dismiss(self, notice: Notice) -> None:
        for strip in [s for s in self._strips if s.notice is notice]:
            self._drop(strip)
        if notice.closed is not None:
            notice.closed()

    def carry_out(self, notice: Notice, act: Callable[[], None]) -> None:
        for strip in [s for s in self._strips if s.notice is notice]:
            self._drop(strip)
        act()

    def _drop(self, strip: _Strip) -> None:
        if strip in self._strips:
            self._strips.remove(strip)
        self._column.removeWidget(strip)
        strip.hide()
        strip.deleteLater()
        self.setVisible(bool(self._strips))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._strips and self._strips[0].notice.closable:
            self.dismiss(self._strips[0].notice)
        else:
            super().keyPressEvent(event)
