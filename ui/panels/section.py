"""A heading with an arrow, and what folds under it."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from ui import theme


class Section(QWidget):
    """A heading with an arrow and what folds under it."""

    def __init__(self, title: str, open_: bool = True, tool: QWidget | None = None, parent: QWidget | None = None) -> None:
        """`tool` stands at the right end of the heading."""
        super().__init__(parent)
        self._title, self._open = title, open_
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(0)
        self.head = SectionHead(title, open_)
        self.head.pressed.connect(lambda: self.set_open(not self._open))
        if tool is not None:
            row = QHBoxLayout(self.head)
            row.setContentsMargins(0, 1, 8, 0)
            row.addStretch(1)
            row.addWidget(tool)
        column.addWidget(self.head)
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(4)
        column.addWidget(self.body)
        self.body.setVisible(open_)

    def set_open(self, open_: bool) -> None:
        self._open = open_
        self.head.set_open(open_)
        self.body.setVisible(open_)

    @property
    def is_open(self) -> bool:
        return self._open


class SectionHead(QWidget):
    """What is pressed to fold."""

    pressed = Signal()

    def __init__(self, title: str, open_: bool) -> None:
        super().__init__()
        self._title, self._open = title, open_
        self.setFixedHeight(30)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_open(open_)

    def set_open(self, open_: bool) -> None:
        self._open = open_
        self.setAccessibleName(f"{self._title}, {'open' if open_ else 'folded'}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(0, 0, self.width(), 1, now.color("line.soft"))
        theme.draw_icon(painter, "chevron-down" if self._open else "chevron-right", QRectF(8, 10, 12, 12), now.color("line.focus" if self.hasFocus() else "text.tertiary"), 2.2)
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(26, 16 + theme.metrics("body", 600).capHeight() / 2), self._title)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit()
        else:
            super().keyPressEvent(event)
