"""The minimap, a small picture of the whole with the view as a blue frame, and the pill with the zoom.

Both are painted by the view itself: a widget lying over the viewport would keep Qt from scrolling it (65 ms instead of 6 for a pan)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QRect, QRectF, Qt, QTimer
from PySide6.QtGui import QPainter, QPixmap

from ui import theme as themes
from ui.canvas.group_item import group_color
from ui.canvas.paint import draw_box, draw_text

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

QUIET = 60  # ms between redrawings of the blocks while things move


class Floating(QObject):
    """Something that floats over the canvas in a corner of the view."""

    def __init__(self, view: GraphView, width: int, height: int) -> None:
        super().__init__(view)
        self._view = view
        self.rect = QRect(0, 0, width, height)  # in the viewport
        self.is_wanted = True
        self.has_room = True

    @property
    def is_visible(self) -> bool:
        return self.is_wanted and self.has_room

    def place(self, right: int, bottom: int) -> None:
        """Put its lower right corner somewhere."""
        self.rect.moveTopLeft(QRect(right - self.rect.width(), bottom - self.rect.height(), 1, 1).topLeft())

    def set_visible(self, visible: bool) -> None:
        self.is_wanted = visible
        self._view.viewport().update(self.rect)

    def update(self) -> None:
        if self.is_visible:
            self._view.viewport().update(self.rect)

    def holds(self, place: QPointF) -> bool:
        return self.is_visible and QRectF(self.rect).contains(place)

    def paint(self, painter: QPainter) -> None:
        """Paint in the viewport's px; the painter's origin is this corner."""

    def press(self, place: QPointF) -> None: ...

    def drag(self, place: QPointF) -> None: ...

    def hover(self, place: QPointF | None) -> str:
        """The pointer is over it (None: no longer); returns a tip."""
        return ""


class Minimap(Floating):
    """Drag to travel; the wheel zooms."""

    def __init__(self, view: GraphView) -> None:
        size = themes.tokens()["size"]
        super().__init__(view, size["minimap_w"], size["minimap_h"])
        self._blocks: QPixmap | None = None
        self._area = QRectF()
        self._later = QTimer(self, singleShot=True, interval=QUIET)
        self._later.timeout.connect(self._redraw)
        view.graph_scene.content_changed.connect(self._content_changed)
        themes.watch().changed.connect(self._theme_changed)

    def _content_changed(self) -> None:
        if not self._later.isActive():
            self._later.start()

    def _theme_changed(self, theme: object) -> None:
        self._redraw()

    def _redraw(self) -> None:
        if self._view.graph_scene.moving:
            self._later.start()
            return
        self._blocks = None
        self.update()

    def _measures(self) -> tuple[float, float, float]:
        """Scale and offset from canvas to this widget."""
        area = self._area
        k = min((self.rect.width() - 16) / max(area.width(), 1), (self.rect.height() - 16) / max(area.height(), 1))
        return k, self.rect.width() / 2 - area.center().x() * k, self.rect.height() / 2 - area.center().y() * k

    def _paint_blocks(self) -> QPixmap:
        scene, theme, ratio = self._view.graph_scene, self._view.theme, self._view.viewport().devicePixelRatioF()
        content = scene.places.content_rect()
        self._area = content.adjusted(-40, -40, 40, 40) if not content.isEmpty() else QRectF(-400, -300, 800, 600)
        made = QPixmap(round(self.rect.width() * ratio), round(self.rect.height() * ratio))
        made.setDevicePixelRatio(ratio)
        made.fill(Qt.GlobalColor.transparent)
        k, ox, oy = self._measures()
        painter = QPainter(made)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(0, 0, self.rect.width(), self.rect.height())
        draw_box(painter, box, theme.color("surface.window", 0.94), 8, theme.color("line.soft"))
        painter.setPen(Qt.PenStyle.NoPen)
        for group in scene.groups.values():
            r = group.rect()
            painter.setBrush(theme.mix(group_color(theme, group.group.color), "surface.window", 0.22))
            painter.drawRect(QRectF(ox + r.x() * k, oy + r.y() * k, r.width() * k, r.height() * k))
        blocks: dict[int, list[QRectF]] = {}
        for item in scene.nodes.values():
            look = item.look
            shape = look.anatomy
            if shape.is_dot or not item.visible:
                continue
            state = look.run.state
            if state == "running" or state == "failed":
                color = theme.color("state.live" if state == "running" else "state.bad")
            else:
                color = theme.mix(look.color or theme.category_token(look.category), "surface.window", 0.75)
            blocks.setdefault(color.rgba(), []).append(
                QRectF(ox + item.x() * k, oy + item.y() * k, max(1.5, shape.width * k), max(1.5, shape.height * k))
            )
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

    def paint(self, painter: QPainter) -> None:
        theme = self._view.theme
        if self._blocks is None:
            self._blocks = self._paint_blocks()
        painter.drawPixmap(QPointF(0, 0), self._blocks)
        k, ox, oy = self._measures()
        seen, box = self._view.visible_rect(), QRectF(0, 0, self.rect.width(), self.rect.height())
        frame = QRectF(ox + seen.x() * k, oy + seen.y() * k, seen.width() * k, seen.height() * k).intersected(box.adjusted(4, 4, -4, -4))
        if frame.isValid():
            draw_box(painter, frame, theme.color("accent.base", 0.06), 4, theme.color("accent.base", 0.8), 1.25)

    def _travel(self, place: QPointF) -> None:
        k, ox, oy = self._measures()
        self._view.look_at(self._view.zoom, QPointF((place.x() - ox) / k, (place.y() - oy) / k))

    def press(self, place: QPointF) -> None:
        self._travel(place)

    def drag(self, place: QPointF) -> None:
        self._travel(place)


class ZoomPill(Floating):
    """Smaller, the zoom in per cent, larger, fit."""

    PARTS = ((0, 30, "minus"), (30, 76, ""), (76, 104, "plus"), (106, 140, "maximize"))
    TIPS = ("Zoom out", "Zoom to 100 %", "Zoom in", "Zoom to everything")

    def __init__(self, view: GraphView) -> None:
        super().__init__(view, 140, 32)
        self._over = -1
        self._face: tuple[tuple[str, int, str, float], QPixmap] | None = None
        view.zoom_changed.connect(self._zoom_changed)

    def _zoom_changed(self, zoom: float) -> None:
        self.update()

    def _part(self, x: float) -> int:
        return next((k for k, (left, right, _) in enumerate(self.PARTS) if left <= x < right), -1)

    def paint(self, painter: QPainter) -> None:
        key = (f"{round(self._view.zoom * 100)} %", self._over, self._view.theme.name, self._view.viewport().devicePixelRatioF())
        if self._face is None or self._face[0] != key:
            made = QPixmap(round(140 * key[3]), round(32 * key[3]))
            made.setDevicePixelRatio(key[3])
            made.fill(Qt.GlobalColor.transparent)
            face = QPainter(made)
            face.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
            self._paint_face(face, key[0])
            face.end()
            self._face = key, made
        painter.drawPixmap(QPointF(0, 0), self._face[1])

    def _paint_face(self, painter: QPainter, words: str) -> None:
        theme = self._view.theme
        draw_box(painter, QRectF(0, 0, 140, 32), theme.color("surface.window", 0.94), 8, theme.color("line.soft"))
        for k, (left, right, name) in enumerate(self.PARTS):
            over = k == self._over
            if over:
                draw_box(painter, QRectF(left + 3, 4, right - left - 6, 24), theme.color("surface.hover"), 5)
            if name:
                themes.draw_icon(
                    painter, name, QRectF((left + right) / 2 - 8, 8, 16, 16), theme.color("text.primary" if over else "text.secondary")
                )
        draw_text(painter, 30, 0, 46, 32, words, theme.color("text.primary"), "small", "center", 500, True, whole=True)
        painter.fillRect(QRectF(105, 8, 1, 16), theme.color("line.soft"))

    def hover(self, place: QPointF | None) -> str:
        over = self._part(place.x()) if place is not None else -1
        if over != self._over:
            self._over = over
            self.update()
        return self.TIPS[over] if over >= 0 else ""

    def press(self, place: QPointF) -> None:
        part = self._part(place.x())
        if part == 0:
            self._view.zoom_step(-1)
        elif part == 1:
            self._view.zoom_to(1.0)
        elif part == 2:
            self._view.zoom_step(1)
        elif part == 3:
            self._view.frame_all()
