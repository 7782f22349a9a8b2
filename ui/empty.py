"""The empty canvas: one question, one field, three ways in. It goes with the first node."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QGraphicsView, QHBoxLayout, QVBoxLayout, QWidget

from ui import theme
from ui.label import Label

WAYS = (("text_to_image", "Text to image", "sparkles"), ("inpaint", "Repaint a part", "brush"), ("image_to_image", "From a picture", "image"))


class _Field(QAbstractButton):
    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(40)
        self.setText("Find a node")
        self.setAccessibleName("Find a node")
        self.setCursor(Qt.CursorShape.IBeamCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.focus" if self.hasFocus() else "line.strong" if self.underMouse() else "line.soft"), 1))
        painter.setBrush(now.color("surface.field"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 8, 8)
        theme.draw_icon(painter, "search", QRectF(14, 12, 16, 16), now.color("text.tertiary"))
        painter.setFont(theme.font("heading", 400))
        painter.setPen(now.color("text.tertiary"))
        painter.drawText(QPointF(40, 20 + theme.metrics("heading", 400).capHeight() / 2), self.text())
        cap = QRectF(self.width() - 44, 11, 30, 18)
        painter.setPen(QPen(now.color("line.soft"), 1))
        painter.setBrush(now.color("surface.raised"))
        painter.drawRoundedRect(cap, 4, 4)
        painter.setFont(theme.font("caption", 600))
        painter.setPen(now.color("text.secondary"))
        painter.drawText(cap, Qt.AlignmentFlag.AlignCenter, "Tab")
        painter.end()


class _Way(QAbstractButton):
    def __init__(self, words: str, icon: str) -> None:
        super().__init__()
        self._icon = icon
        self.setText(words)
        self.setAccessibleName(words)
        self.setFixedHeight(68)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:
        return QSize(116, 68)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.focus" if self.hasFocus() else "line.soft"), 1))
        painter.setBrush(now.color("surface.hover" if self.underMouse() else "surface.raised"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 8, 8)
        theme.draw_icon(painter, self._icon, QRectF(self.width() / 2 - 9, 13, 18, 18), now.color("text.secondary"))
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QRectF(0, 38, self.width(), 20), Qt.AlignmentFlag.AlignCenter, self.text())
        painter.end()


class EmptyCanvas(QWidget):
    """Lies over an empty canvas, in its middle; everything beside it stays the canvas's."""

    search_wanted = Signal()
    template_wanted = Signal(str)

    def __init__(self, view: QGraphicsView) -> None:
        super().__init__(view)
        self._view = view
        self.setFixedSize(372, 232)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(16)
        question = Label("What do you want to make?", "title")
        question.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(question)
        field = _Field()
        field.clicked.connect(self.search_wanted)
        column.addWidget(field)
        row = QHBoxLayout()
        row.setSpacing(12)
        for stem, words, icon in WAYS:
            made = _Way(words, icon)
            made.clicked.connect(lambda _checked=False, stem=stem: self.template_wanted.emit(stem))
            row.addWidget(made)
        column.addLayout(row)
        hint = Label("or drop a picture, a .graph or a model file here", "faint")
        hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(hint)
        view.installEventFilter(self)
        self._place()
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self._view and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _place(self) -> None:
        self.move((self._view.width() - self.width()) // 2, max(24, (self._view.height() - self.height()) // 2 - 20))
