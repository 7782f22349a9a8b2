"""Draws links, each as its own path (merged paths are ten times slower): straight from afar, hairlines while something moves, in full at rest."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap, QTransform

from ui.canvas.paint import draw_box, draw_text, text_width
from ui.canvas.wires import STUB, Bounds, as_rect
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.canvas.link_layer import LinkLayer, Wire
    from ui.canvas.scene import GraphScene

EDGE_ZOOM = 0.6  # the canvas-coloured edge of links is drawn above this zoom
FAR_ZOOM = 0.22  # below, links are straight
FEW = 10  # so many links may be painted in full at once; more are painted in slices of time into a picture
SLICE = 0.006  # s


@lru_cache(maxsize=512)
def _pen(color: int, width: float, cosmetic: bool) -> QPen:
    pen = QPen(QColor.fromRgba(color), width)
    pen.setCosmetic(cosmetic)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    return pen


class Still:
    """A picture of all links seen, in full, made a few ms at a time while nothing moves. Painting them at once can take 90 ms."""

    def __init__(self, paint: LinkPaint, layer: LinkLayer, transform: QTransform, ratio: float, width: int, height: int) -> None:
        self.key = (transform.m11(), transform.dx(), transform.dy(), ratio, width, height)
        self.revision = layer.revision
        self._paint = paint
        self._transform = transform
        self.screen = QRect(0, 0, width, height)
        self.pixmap = QPixmap(round(width * ratio), round(height * ratio))
        self.pixmap.setDevicePixelRatio(ratio)
        self.pixmap.fill(Qt.GlobalColor.transparent)
        shown = transform.inverted()[0].mapRect(QRectF(0, 0, width, height))
        self._waiting = [w for w in layer.within((shown.left(), shown.top(), shown.right(), shown.bottom())) if not w.hidden]
        self.done = False

    def go_on(self) -> None:
        """Paint for one slice of time."""
        painter = QPainter(self.pixmap)
        painter.setClipRect(self.screen)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setWorldTransform(self._transform)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        end = time.perf_counter() + SLICE
        at = 0
        while at < len(self._waiting) and (at == 0 or time.perf_counter() < end):
            self._paint.full(painter, self._waiting[at : at + 1])
            at += 1
        self._waiting = self._waiting[at:]
        self.done = not self._waiting
        painter.end()


class LinkPaint:
    """Paints the links of a layer."""

    def __init__(self, layer: LinkLayer, scene: GraphScene) -> None:
        self._layer, self._scene = layer, scene
        self._still: Still | None = None
        self._idle = QTimer(interval=0)
        self._idle.timeout.connect(self._make_still)

    def within(self, painter: QPainter, bounds: Bounds, zoom: float) -> None:
        """Paint the links that cross an area of the canvas."""
        wires = self._layer.within(bounds)
        if not wires:
            return
        theme = self._scene.theme
        if zoom < FAR_ZOOM:
            self._paint_straight(painter, theme, wires)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        width = theme.size["link"]
        special = [w for w in wires if w.link in self._layer.selected or w.link == self._layer.hovered or w.hidden]
        plain = [w for w in wires if w not in special] if special else wires
        if self._scene.moving or zoom <= EDGE_ZOOM:
            self._paint_hairlines(painter, theme, plain, zoom, width)
        elif not self._blit_still(painter, bounds):
            if len(plain) > FEW:
                plain = [w for w in plain if w.touches(bounds)]
            if len(plain) > FEW and self._scene.is_on_screen():
                self._paint_hairlines(painter, theme, plain, zoom, width)
                self._idle.start()
            else:
                self.full(painter, plain)
        for wire in special:
            self._paint_special(painter, theme, wire, width)
        if self._layer.live and zoom > EDGE_ZOOM:
            self._paint_dots(painter, theme)

    def _blit_still(self, painter: QPainter, bounds: Bounds) -> bool:
        """Put the picture of the links there, if it is right for what is shown."""
        still = self._still
        if still is None or not still.done or still.revision != self._layer.revision or not self._scene.is_on_screen():
            return False
        transform = painter.worldTransform()
        if still.key[:4] != (transform.m11(), transform.dx(), transform.dy(), self._scene.ratio):
            return False
        ratio = still.key[3]
        painter.resetTransform()
        area = transform.mapRect(as_rect(bounds)).toAlignedRect().intersected(still.screen)
        painter.drawPixmap(
            QRectF(area), still.pixmap, QRectF(area.x() * ratio, area.y() * ratio, area.width() * ratio, area.height() * ratio)
        )
        painter.setWorldTransform(transform)
        return True

    @property
    def is_refining(self) -> bool:
        """Whether the picture of the links is still being made."""
        return self._idle.isActive()

    def refine(self) -> bool:
        """Begin to paint all links in full; False where hairlines are all there is. The view is repainted at the end."""
        shown = self._scene.shown_now()
        if shown is None or shown[0].m11() <= EDGE_ZOOM:
            return False
        self._idle.start()
        return True

    def _make_still(self) -> None:
        """One slice of the picture, whenever nothing else is to be done."""
        shown = self._scene.shown_now()
        if shown is None or self._scene.moving or shown[0].m11() <= EDGE_ZOOM:
            self._idle.stop()
            self._still = None
            return
        transform, ratio, width, height = shown
        key = (transform.m11(), transform.dx(), transform.dy(), ratio, width, height)
        if self._still is None or self._still.key != key or self._still.revision != self._layer.revision:
            self._still = Still(self, self._layer, transform, ratio, width, height)
        self._still.go_on()
        if self._still.done:
            self._idle.stop()
            self._scene.repaint_all()

    def _alpha(self, wire: Wire) -> float:
        return wire.strength * (0.25 if wire.link in self._layer.shadowed else 1.0)

    def _color(self, theme: Theme, wire: Wire, solid: bool = False) -> int:
        if wire.link not in self._layer.shadowed:
            return wire.solid if solid else wire.rgba
        return theme.color("port." + wire.kind, round(self._alpha(wire), 2)).rgba()

    def _paint_straight(self, painter: QPainter, theme: Theme, wires: list[Wire]) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        groups: dict[int, list[QLineF]] = {}
        for wire in wires:
            if not wire.hidden:
                groups.setdefault(self._color(theme, wire, solid=True), []).append(wire.line)
        for color, lines in groups.items():
            painter.setPen(_pen(color, 0, True))
            painter.drawLines(lines)

    def _paint_hairlines(self, painter: QPainter, theme: Theme, wires: list[Wire], zoom: float, width: float) -> None:
        """Two hairlines side by side look like one line of 2 px and cost a tenth of it."""
        scale = zoom * self._scene.ratio
        double, solid = scale * width > 1.1, zoom < theme.size["lod_block"]
        tones: dict[int, list[QPainterPath]] = {}
        for wire in wires:
            tones.setdefault(self._color(theme, wire, solid), []).append(wire.path)
        for shift in (0.35, -0.35) if double else (0.0,):
            painter.translate(shift / scale, shift / scale)
            for color, paths in tones.items():
                painter.setPen(_pen(color, 1, True))
                for path in paths:
                    painter.drawPath(path)
            painter.translate(-shift / scale, -shift / scale)

    def full(self, painter: QPainter, wires: list[Wire]) -> None:
        """Each link in its colour over an edge in the canvas's, so that crossings read."""
        theme = self._scene.theme
        width = theme.size["link"]
        edge = width + 2 * 1.5
        for wire in wires:
            alpha = self._alpha(wire)
            painter.setPen(_pen(theme.color("surface.canvas", round(alpha, 2)).rgba(), edge, False))
            painter.drawPath(wire.path)
            painter.setPen(_pen(self._color(theme, wire), width, False))
            painter.drawPath(wire.path)

    def _paint_special(self, painter: QPainter, theme: Theme, wire: Wire, width: float) -> None:
        color = theme.port_color_of(wire.kind)
        if wire.hidden:
            self._paint_stubs(painter, theme, wire)
            return
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if wire.link in self._layer.selected:
            painter.setPen(_pen(theme.color("accent.base").rgba(), width + 5, False))
            painter.drawPath(wire.path)
            painter.setPen(_pen(theme.color("surface.canvas").rgba(), width + 2, False))
            painter.drawPath(wire.path)
        else:
            painter.setPen(_pen(theme.color("surface.canvas").rgba(), width + 4, False))
            painter.drawPath(wire.path)
        painter.setPen(_pen(color.rgba(), theme.size["link_hover"] if wire.link == self._layer.hovered else width, False))
        painter.drawPath(wire.path)

    def _paint_stubs(self, painter: QPainter, theme: Theme, wire: Wire) -> None:
        name = self._scene.title(wire.link.source)
        color = theme.color("port." + wire.kind, 0.9 if wire.link == self._layer.hovered else 0.6)
        room = text_width(name, "caption", 500) + 14
        gap = abs(wire.line.dx())
        is_tight = gap < STUB + room + 10  # a name would lie under the other node
        stub = min(STUB, gap / 3) if is_tight else STUB
        for point, way in ((wire.line.p1(), 1), (wire.line.p2(), -1)):
            end = QPointF(point.x() + way * stub, point.y())
            painter.setPen(_pen(color.rgba(), 2, False))
            painter.drawLine(point, end)
            if is_tight:
                chosen = wire.link in self._layer.selected
                painter.setPen(_pen(theme.color("accent.base").rgba(), 2, False) if chosen else Qt.PenStyle.NoPen)
                painter.setBrush(color)
                painter.drawEllipse(end, 3.5, 3.5)
                continue
            left = point.x() + STUB if way > 0 else point.x() - STUB - room
            box = QRectF(left, point.y() - 8, room, 16)
            draw_box(
                painter,
                box,
                theme.mix("port." + wire.kind, "surface.canvas", 0.18),
                8,
                theme.color("accent.base") if wire.link in self._layer.selected else None,
            )
            draw_text(painter, box.x(), box.y(), room, 16, name, theme.color("text.secondary"), "caption", "center", 500, whole=True)

    def _paint_dots(self, painter: QPainter, theme: Theme) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for link, at in self._layer.live.items():
            wire = self._layer.wires.get(link)
            if wire is not None and wire.seen and not wire.hidden:
                painter.setBrush(theme.port_color_of(wire.kind))
                for k in range(3):
                    painter.drawEllipse(wire.path.pointAtPercent((at + k / 3) % 1.0), 3.4, 3.4)
