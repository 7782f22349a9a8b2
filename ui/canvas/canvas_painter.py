"""Paints the canvas: as items above 35 % zoom, as blocks below, on the screen or into a picture."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter, QPen, QPolygonF, QTransform

from ui import theme as themes
from ui.canvas.item import Item
from ui.canvas.node_paint import MARGIN
from ui.canvas.scene import GraphScene
from ui.theme import Theme

DOT_STEP = 24
ROUND_MOST = 120
"""So many blocks get round corners, which cost 4 us each; of more than that nobody sees the corners."""


class CanvasPainter:
    """Paints a scene, whoever asks."""

    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self.show_grid = True
        self._dots: dict[tuple[int, int], tuple[QPolygonF, QPolygonF]] = {}  # by cells across and down
        self._dots_zoom = 0.0

    @property
    def theme(self) -> Theme:
        return self._scene.theme

    def paint(self, painter: QPainter, part: QRectF, transform: QTransform) -> None:
        """Paint a part of the screen (or picture), given in its px."""
        painter.resetTransform()
        painter.setClipRect(part)
        if transform.m11() < self.theme.size["lod_block"]:
            self._paint_far(painter, part, transform)
        else:
            self._paint_near(painter, part, transform)

    def _paint_near(self, painter: QPainter, part: QRectF, transform: QTransform) -> None:
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        zoom = transform.m11()
        dots = self.show_grid and not (self._scene.zooming and zoom < 0.5)
        scene, area = self._scene, transform.inverted()[0].mapRect(part)
        scene.area = area
        cover = scene.places.cover(area)
        if cover is not None:  # as at each preview tick: nothing else can be seen there
            _paint_item(painter, cover, transform)
            painter.setWorldTransform(transform)
            scene.overlay.paint_at(painter, zoom)
        else:
            painter.fillRect(part, self.theme.color("surface.canvas"))
            if dots:
                self._paint_dots(painter, part, transform, zoom)
            self._paint_items(painter, area, transform)
        painter.resetTransform()

    def _paint_items(self, painter: QPainter, area: QRectF, transform: QTransform) -> None:
        """Everything that touches an area of the canvas, from the back to the front."""
        scene = self._scene
        zoom = transform.m11()
        behind: list[Item] = [group for group in scene.groups.values() if group.visible]
        notes: list[Item] = [note for note in scene.notes.values() if note.visible]
        behind = [item for item in (*behind, *notes) if _touches(item, area)]
        behind.sort(key=lambda item: item.z)
        for item in behind:
            if item.z < -1:
                _paint_item(painter, item, transform)
        painter.setWorldTransform(transform)
        scene.links.paint.within(painter, (area.left(), area.top(), area.right(), area.bottom()), zoom)
        margin = MARGIN + 90  # a failed node's words hang below it
        nodes = [item for item in scene.places.nodes_within(area.adjusted(-margin, -margin, margin, margin)) if _touches(item, area)]
        for item in (*(item for item in behind if item.z >= -1), *sorted(nodes, key=scene.places.height)):
            _paint_item(painter, item, transform)
        painter.setWorldTransform(transform)
        scene.overlay.paint_at(painter, zoom)

    def _paint_dots(self, painter: QPainter, area: QRectF, transform: QTransform, zoom: float) -> None:
        """Dots every 24, every fourth brighter; the small ones fade out below 50 % zoom."""
        major, minor = self._dot_pattern(zoom, area)
        step = DOT_STEP * 4 * zoom
        left = math.floor((area.left() - transform.dx()) / step) * step + transform.dx()
        top = math.floor((area.top() - transform.dy()) / step) * step + transform.dy()
        dot = max(1.5, 1.8 * min(zoom, 1.5))
        for pattern, token, alpha in (
            (minor, "surface.canvas_dot", min(1.0, (zoom - 0.42) / 0.2)),
            (major, "surface.canvas_dot_major", min(1.0, (zoom - 0.2) / 0.2)),
        ):
            if alpha > 0 and pattern:
                pen = QPen(self.theme.color(token, round(alpha, 2)), dot)
                painter.setPen(pen)
                painter.translate(left, top)
                painter.drawPoints(pattern)
                painter.translate(-left, -top)

    def _dot_pattern(self, zoom: float, area: QRectF) -> tuple[QPolygonF, QPolygonF]:
        """Where dots lie in an area of this size, from the corner of a cell of 4 x 4; large and small ones."""
        step = DOT_STEP * zoom
        across, down = math.ceil(area.width() / step / 4) * 4 + 5, math.ceil(area.height() / step / 4) * 4 + 5
        if self._dots_zoom != zoom or len(self._dots) > 64:
            self._dots, self._dots_zoom = {}, zoom
        found = self._dots.get((across, down))
        if found is None:
            major = [QPointF(i * step, j * step) for i in range(0, across, 4) for j in range(0, down, 4)]
            minor = [QPointF(i * step, j * step) for i in range(across) for j in range(down) if i % 4 or j % 4] if zoom > 0.42 else []
            found = self._dots[across, down] = (QPolygonF(major), QPolygonF(minor))
        return found

    def _paint_far(self, painter: QPainter, area: QRectF, transform: QTransform) -> None:
        """Below 35 %: blocks, names at a constant size, pictures; painted in batches, past the items."""
        scene, theme = self._scene, self.theme
        zoom = transform.m11()
        painter.fillRect(area, theme.color("surface.canvas"))
        shown = transform.inverted()[0].mapRect(area)
        for group in sorted((g for g in scene.groups.values() if g.visible and g.rect().intersects(shown)), key=lambda g: g.z):
            painter.setWorldTransform(QTransform.fromTranslate(group.x(), group.y()) * transform)
            group.paint(painter)
        painter.setWorldTransform(transform)
        scene.links.paint.within(painter, (shown.left(), shown.top(), shown.right(), shown.bottom()), zoom)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(Qt.PenStyle.NoPen)
        blocks: dict[int, list[QRectF]] = {}
        chosen: list[QRectF] = []
        items = scene.places.nodes_within(shown)
        for item in items:
            look = item.look
            rect = item.rect()
            if look.anatomy.is_dot:
                continue
            if look.run.state == "running":
                color = theme.mix("state.live", "surface.canvas", 0.5)
            elif look.run.state == "failed":
                color = theme.mix("state.bad", "surface.canvas", 0.5)
            elif look.missing:
                color = theme.mix("state.missing", "surface.canvas", 0.3)
            else:
                share = 0.34 * look.opacity if theme.is_dark else 0.45 * look.opacity
                color = theme.mix(look.color or theme.category_token(look.category), "surface.canvas", share)
            blocks.setdefault(color.rgba(), []).append(rect)
            if item.selected:
                chosen.append(rect)
        for note in scene.notes.values():
            if note.visible:
                blocks.setdefault(theme.mix("state.warn", "surface.canvas", 0.3).rgba(), []).append(note.rect())
        round_ = len(items) <= ROUND_MOST
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, round_)
        for rgba, rects in blocks.items():
            painter.setBrush(themes.color_of(rgba))
            if round_:
                for rect in rects:
                    painter.drawRoundedRect(rect, 8, 8)
            else:
                painter.drawRects(rects)
        if chosen:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(theme.color("accent.base"), 2 / zoom))
            gap = 3 / zoom
            for rect in chosen if round_ else ():
                painter.drawRoundedRect(rect.adjusted(-gap, -gap, gap, gap), 8 + gap, 8 + gap)
            if not round_:
                painter.drawRects([r.adjusted(-gap, -gap, gap, gap) for r in chosen])
        painter.setWorldTransform(QTransform.fromTranslate(transform.dx(), transform.dy()))
        plain = zoom * 216 < 44
        for item in items:
            look = item.look
            if not look.anatomy.is_dot and not (plain and look.run.preview is None and look.run.state not in ("failed", "running")):
                item.paint_far(painter, theme, zoom)
        painter.setWorldTransform(transform)
        scene.overlay.paint_at(painter, zoom)

    def picture(self, scale: float, margin: float, rect: QRectF | None) -> QImage:
        """The whole graph (or a part of it) as a picture, at `scale` px a unit; at most 16384 px a side."""
        area = (rect or self._scene.places.content_rect()).adjusted(-margin, -margin, margin, margin)
        if area.isEmpty():
            area = QRectF(0, 0, 640, 360)
        scale = min(scale, 16384 / area.width(), 16384 / area.height())
        image = QImage(max(1, math.ceil(area.width() * scale)), max(1, math.ceil(area.height() * scale)), QImage.Format.Format_RGB32)
        scene = self._scene
        kept = scene.ratio, scene.moving, scene.zooming, scene.bodies.budget
        scene.ratio, scene.moving, scene.zooming, scene.in_picture = 1.0, False, False, True
        painter = QPainter(image)
        painter.setRenderHints(
            QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing | QPainter.RenderHint.SmoothPixmapTransform
        )
        transform = QTransform(scale, 0, 0, scale, -area.left() * scale, -area.top() * scale)
        self.paint(painter, QRectF(image.rect()), transform)
        painter.end()
        scene.ratio, scene.moving, scene.zooming, scene.bodies.budget = kept
        scene.in_picture = False
        return image


def _paint_item(painter: QPainter, item: Item, transform: QTransform) -> None:
    zoom = transform.m11()
    painter.setWorldTransform(QTransform(zoom, 0, 0, zoom, transform.dx() + item.x() * zoom, transform.dy() + item.y() * zoom))
    item.paint(painter)


def _touches(item: Item, area: QRectF) -> bool:
    return item.reach().translated(item.x(), item.y()).intersects(area)


MOST_PARTS = 48
"""Beyond this many dirty rectangles, one around all is cheaper than telling which to join."""


def merged(parts: list[QRectF]) -> list[QRectF]:
    """Fewer rectangles that cover the same: two become one when that adds little. Qt cuts a dirty region into many thin ones."""
    parts = list(parts)
    if len(parts) > MOST_PARTS:
        whole = QRectF(parts[0])
        for part in parts[1:]:
            whole = whole.united(part)
        return [whole]
    k = 0
    while k < len(parts):
        for other in range(k + 1, len(parts)):
            one, two = parts[k], parts[other]
            both = one.united(two)
            if both.width() * both.height() <= 1.25 * (one.width() * one.height() + two.width() * two.height()):
                parts[k] = both
                del parts[other]
                k = -1  # the larger one may now take others in
                break
        k += 1
    return parts
