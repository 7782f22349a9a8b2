"""Tabs as the look has them: 32 px, the active one on the panel's own colour with a blue line of 2 px on top."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QEnterEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QTabBar, QWidget

from ui import theme

HEIGHT = 32


@dataclass
class Face:
    """How one tab looks: `dirty` None means that it cannot be closed, True shows a dot, False a cross; `badge` is a number behind the name."""

    icon: str = ""
    dirty: bool | None = None
    badge: str = ""


class Tabs(QTabBar):
    """A row of tabs; keyboard, accessibility and dragging are those of QTabBar."""

    close_wanted = Signal(int)

    def __init__(self, surface: str = "surface.panel", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._surface = surface
        self._faces: list[Face] = []
        self._hovered = -1
        self.setDrawBase(False)
        self.setExpanding(False)
        self.setUsesScrollButtons(True)
        self.setElideMode(Qt.TextElideMode.ElideRight)
        self.setMouseTracking(True)
        self.setFixedHeight(HEIGHT)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.tabMoved.connect(self._moved)

    def add(self, title: str, icon: str = "", dirty: bool | None = None) -> int:
        self._faces.append(Face(icon, dirty))
        return self.addTab(_safe(title))

    def remove(self, index: int) -> None:
        self._faces.pop(index)
        self.removeTab(index)

    def set_face(self, index: int, title: str | None = None, dirty: bool | None = None, badge: str | None = None) -> None:
        face = self._faces[index]
        if dirty is not None:
            face.dirty = dirty
        if badge is not None:
            face.badge = badge
        if title is not None and _safe(title) != self.tabText(index):
            self.setTabText(index, _safe(title))
        self.refresh()

    def refresh(self) -> None:
        """Measure the tabs anew: Qt keeps its layout until a text changes."""
        self.setElideMode(self.elideMode())
        self.updateGeometry()
        self.update()

    def face(self, index: int) -> Face:
        return self._faces[index]

    def tabSizeHint(self, index: int) -> QSize:
        return QSize(self._wanted(index), HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """No wider than its tabs: Qt would keep room for its scroll buttons even beside a single short name."""
        return QSize(min(self.sizeHint().width(), 144), HEIGHT)

    def minimumTabSizeHint(self, index: int) -> QSize:
        return QSize(min(self._wanted(index), 72), HEIGHT)

    def _wanted(self, index: int) -> int:
        if not 0 <= index < len(self._faces):
            return 72
        face = self._faces[index]
        width = theme.metrics("body", 500).horizontalAdvance(self.tabText(index).replace("&&", "&")) + (30 if face.icon else 12)
        if face.badge:
            width += theme.metrics("small", 500).horizontalAdvance(face.badge) + 7
        return round(min(width, 240) + (28 if face.dirty is not None else 14))

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), now.color("surface.panel_header"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, now.color("line.hair"))
        for index in range(self.count()):
            if self.isTabVisible(index):
                self._paint_tab(painter, index, self.tabRect(index))
        painter.end()

    def _paint_tab(self, painter: QPainter, index: int, rect: QRect) -> None:
        now, face, active = theme.current(), self._faces[index], index == self.currentIndex()
        if active:
            painter.fillRect(rect, now.color(self._surface))
            painter.fillRect(rect.x(), rect.y(), rect.width(), 2, now.color("accent.base"))
        x, middle = rect.x() + 12.0, rect.y() + rect.height() / 2
        if face.icon:
            theme.draw_icon(painter, face.icon, QRectF(rect.x() + 10, middle - 7, 14, 14), now.color("text.secondary" if active else "text.tertiary"))
            x = rect.x() + 30.0
        right = rect.right() - (26 if face.dirty is not None else 10)
        name = self.tabText(index).replace("&&", "&")
        lit = active or index == self._hovered or (self.hasFocus() and active)
        badge_width = theme.metrics("small", 500).horizontalAdvance(face.badge) + 7 if face.badge else 0
        painter.setFont(theme.font("body", 500 if active else 400))
        painter.setPen(now.color("text.primary" if lit else "text.secondary"))
        measure = theme.metrics("body", 500 if active else 400)
        shown = measure.elidedText(name, Qt.TextElideMode.ElideMiddle, right - x - badge_width + 3)
        painter.drawText(QPointF(x, middle + measure.capHeight() / 2), shown)
        if face.badge:
            painter.setFont(theme.font("small", 500))
            painter.setPen(now.color("text.tertiary"))
            painter.drawText(QPointF(x + measure.horizontalAdvance(shown) + 7, middle + theme.metrics("small", 500).capHeight() / 2), face.badge)
        if self.hasFocus() and active:
            painter.fillRect(QRectF(x, rect.bottom() - 3, measure.horizontalAdvance(shown), 1.5), now.color("line.focus"))
        if face.dirty is not None:
            if face.dirty and index != self._hovered:
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(now.color("text.secondary"))
                painter.drawEllipse(QPointF(rect.right() - 13, middle), 3, 3)
            else:
                theme.draw_icon(painter, "x", QRectF(rect.right() - 19, middle - 6, 12, 12), now.color("text.tertiary"), 2.0)
        if not active and index + 1 != self.currentIndex():
            painter.fillRect(rect.right(), rect.y() + 8, 1, rect.height() - 16, now.color("line.soft"))
        elif active:
            painter.fillRect(rect.right(), rect.y(), 1, rect.height() - 1, now.color("line.hair"))

    def _cross_at(self, point: QPointF) -> int:
        index = self.tabAt(point.toPoint())
        if index >= 0 and self._faces[index].dirty is not None and point.x() > self.tabRect(index).right() - 24:
            return index
        return -1

    def mousePressEvent(self, event: QMouseEvent) -> None:
        on_tab = self.tabAt(event.position().toPoint()) >= 0
        if (event.button() == Qt.MouseButton.MiddleButton and on_tab) or (event.button() == Qt.MouseButton.LeftButton and self._cross_at(event.position()) >= 0):
            event.accept()
        elif not on_tab:
            event.ignore()  # a dock is dragged by the empty part of its header
        else:
            super().mousePressEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        index = self.tabAt(event.position().toPoint())
        if (event.button() == Qt.MouseButton.MiddleButton and index >= 0 and self._faces[index].dirty is not None) or (event.button() == Qt.MouseButton.LeftButton and self._cross_at(event.position()) >= 0):
            self.close_wanted.emit(index)
        else:
            super().mouseReleaseEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self.tabAt(event.position().toPoint()))
        super().mouseMoveEvent(event)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._hover(self.tabAt(event.position().toPoint()))
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)
        super().leaveEvent(event)

    def _hover(self, index: int) -> None:
        if index != self._hovered:
            self._hovered = index
            self.update()

    def _moved(self, source: int, target: int) -> None:
        self._faces.insert(target, self._faces.pop(source))


def _safe(title: str) -> str:
    return title.replace("&", "&&")
