"""The minimap, a small picture of the whole with the view as a blue frame, and the pill with the zoom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPixmap, QWheelEvent
from PySide6.QtWidgets import QWidget

from ui import theme as themes
from ui.canvas.group_item import group_color
from ui.canvas.paint import draw_box, draw_text

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

QUIET = 60  # ms between redrawings of the blocks while things move


class Minimap(QWidget):
    """Drag to travel; the wheel zooms."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        size = themes.tokens()["size"]
        self.setFixedSize(size["minimap_w"], size["minimap_h"])
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setAccessibleName("Minimap")
        self._blocks: QPixmap | None = None
        self._area = QRectF()
        self._later = QTimer(self, singleShot=True, interval=QUIET)
        self._later.timeout.connect(self._redraw)
        view.graph_scene.content_changed.connect(self._content_changed)
        themes.watch().changed.connect(lambda theme: self._redraw())

    def _content_changed(self) -> None:
        if not self._later.isActive():
            self._later.start()

    def _redraw(self) -> None:
        self._blocks = None
        self.update()

    def follow(self) -> None:
        """The view moved."""
        if self.isVisible():
            self.update()

    def _measures(self) -> tuple[float, float, float]:
        """Scale and offset from canvas to this widget."""
        area = self._area
        k = min((self.width() - 16) / max(area.width(), 1), (self.height() - 16) / max(area.height(), 1))
        return k, self.width() / 2 - area.center().x() * k, self.height() / 2 - area.center().y() * k

    def _paint_blocks(self) -> QPixmap:
        scene, theme, ratio = self._view.graph_scene, self._view.theme, self.devicePixelRatioF()
        content = scene.content_rect()
        self._area = content.adjusted(-40, -40, 40, 40) if not content.isEmpty() else QRectF(-400, -300, 800, 600)
        made = QPixmap(round(self.width() * ratio), round(self.height() * ratio))
        made.setDevicePixelRatio(ratio)
        made.fill(Qt.GlobalColor.transparent)
        k, ox, oy = self._measures()
        painter = QPainter(made)
        painter.setPen(Qt.PenStyle.NoPen)
        for group in scene.groups.values():
            r = group.rect()
            painter.setBrush(theme.mix(group_color(theme, group.group.color), "surface.window", 0.22))
            painter.drawRect(QRectF(ox + r.x() * k, oy + r.y() * k, r.width() * k, r.height() * k))
        blocks: dict[int, list[QRectF]] = {}
        for item in scene.nodes.values():
            if item.anatomy.is_dot or not item.isVisible():
                continue
            look = item.look
            running = look.run.state == "running"
            token = "state.live" if running else "state.bad" if look.run.state == "failed" else look.color or theme.category_token(look.category)
            color = theme.color(token) if running or look.run.state == "failed" else theme.mix(token, "surface.window", 0.75)
            r = item.rect()
            blocks.setdefault(color.rgba(), []).append(QRectF(ox + r.x() * k, oy + r.y() * k, max(1.5, r.width() * k), max(1.5, r.height() * k)))
        many = len(scene.nodes) > 150
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, not many)
        for rgba, rects in blocks.items():
            painter.setBrush(themes.color_of(rgba))
            if many:
                painter.drawRects(rects)
            else:
                for r in rects:
                    painter.drawRoundedRect(r, 1.5, 1.5)
        painter.end()
        return made

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._view.theme
        if self._blocks is None:
            self._blocks = self._paint_blocks()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_box(painter, QRectF(self.rect()), theme.color("surface.window", 0.94), 8, theme.color("line.soft"))
        painter.drawPixmap(QPointF(0, 0), self._blocks)
        k, ox, oy = self._measures()
        seen = self._view.visible_rect()
        frame = QRectF(ox + seen.x() * k, oy + seen.y() * k, seen.width() * k, seen.height() * k).intersected(QRectF(self.rect()).adjusted(4, 4, -4, -4))
        if frame.isValid():
            draw_box(painter, frame, theme.color("accent.base", 0.06), 4, theme.color("accent.base", 0.8), 1.25)

    def _travel(self, place: QPointF) -> None:
        k, ox, oy = self._measures()
        self._view.look_at(self._view.zoom, QPointF((place.x() - ox) / k, (place.y() - oy) / k))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._travel(event.position())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._travel(event.position())

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._view.zoom_step(1 if event.angleDelta().y() > 0 else -1)
        event.accept()


class ZoomPill(QWidget):
    """Smaller, the zoom in per cent, larger, fit."""

    PARTS = ((0, 30, "minus"), (30, 76, ""), (76, 104, "plus"), (106, 140, "maximize"))

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self._view = view
        self._over = -1
        self.setFixedSize(140, 32)
        self.setMouseTracking(True)
        self.setAccessibleName("Zoom")
        view.zoom_changed.connect(lambda zoom: self.update())

    def _part(self, x: float) -> int:
        return next((k for k, (left, right, _) in enumerate(self.PARTS) if left <= x < right), -1)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = self._view.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_box(painter, QRectF(self.rect()), theme.color("surface.window", 0.94), 8, theme.color("line.soft"))
        for k, (left, right, name) in enumerate(self.PARTS):
            over = k == self._over
            if over:
                draw_box(painter, QRectF(left + 3, 4, right - left - 6, 24), theme.color("surface.hover"), 5)
            if name:
                themes.draw_icon(painter, name, QRectF((left + right) / 2 - 8, 8, 16, 16), theme.color("text.primary" if over else "text.secondary"))
        words = f"{round(self._view.zoom * 100)} %"
        draw_text(painter, 30, 0, 46, 32, words, theme.color("text.primary"), "small", "center", 500, True, whole=True)
        painter.fillRect(QRectF(105, 8, 1, 16), theme.color("line.soft"))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._over = self._part(event.position().x())
        self.setToolTip(("Zoom out", "Zoom to 100 %", "Zoom in", "Zoom to everything")[self._over] if self._over >= 0 else "")
        self.update()

    def leaveEvent(self, event: object) -> None:
        self._over = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        part = self._part(event.position().x())
        if part == 0:
            self._view.zoom_step(-1)
        elif part == 1:
            self._view.zoom_to(1.0)
        elif part == 2:
            self._view.zoom_step(1)
        elif part == 3:
            self._view.frame_all()
