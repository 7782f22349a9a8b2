"""What hands leave on the canvas while they work: the selection box, the link being dragged, the knife, snap lines, chips."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from ui.canvas.model import PortRef
from ui.canvas.paint import draw_box, draw_port, draw_text, patch, scale_step, text_width
from ui.canvas.wires import curve

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene


@dataclass
class DraggedLink:
    """A link in the hand: from fixed ports to the pointer, or to the port that it has snapped to."""

    starts: list[PortRef]
    at: tuple[float, float]
    kind: str
    snapped: PortRef | None = None
    reason: str = ""  # why the port under the pointer does not fit
    fitting: list[PortRef] = field(default_factory=list)
    unfit: list[PortRef] = field(default_factory=list)


class OverlayLayer:
    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self.box: QRectF | None = None
        self.link: DraggedLink | None = None
        self.knife: list[tuple[float, float]] = []
        self.guides: list[QLineF] = []
        self.chip: tuple[float, float, str] | None = None  # what flows through the link under the pointer
        self.ghosts: list[QRectF] = []

    def clear(self) -> None:
        self.box, self.link, self.knife, self.guides, self.chip, self.ghosts = None, None, [], [], None, []
        self._scene.repaint_all()

    def paint_at(self, painter: QPainter, zoom: float) -> None:
        theme = self._scene.theme
        if not (self.box or self.link or self.knife or self.guides or self.chip or self.ghosts):
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        pixel = 1 / zoom
        if self.guides:
            painter.setPen(QPen(theme.color("accent.base", 0.8), 0))
            painter.drawLines(self.guides)
        for ghost in self.ghosts:
            draw_box(painter, ghost, theme.color("accent.wash"), 8, theme.color("accent.base"), 1.5 * pixel, dash=True)
        if self.box is not None:
            draw_box(painter, self.box, theme.color("accent.wash"), 2 * pixel, theme.color("accent.base"), pixel)
        if len(self.knife) > 1:
            painter.setPen(QPen(theme.color("state.bad"), 1.5 * pixel, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in self.knife]))
        if self.link is not None:
            self._paint_link(painter, self.link, zoom)
        if self.chip is not None:
            self._paint_chip(painter, *self.chip, zoom)

    def _paint_link(self, painter: QPainter, link: DraggedLink, zoom: float) -> None:
        theme = self._scene.theme
        scale = scale_step(zoom * self._scene.ratio)
        tone = "port." + link.kind
        if zoom > 0.3:
            self._veil(painter, link)
            for ref in link.fitting:
                place = self._scene.port_place(ref)
                if place is not None:
                    patch("fit", theme.name, scale, "port." + theme.port_kind(ref.type)).paint(
                        painter, QRectF(place[0] - 8, place[1] - 8, 16, 16)
                    )
                    draw_port(
                        painter, theme, theme.port_kind(ref.type), *place, 12 if ref != link.snapped else 14, self._scene.is_linked(ref)
                    )  # also a value's own port, which is not seen at other times
        painter.setBrush(Qt.BrushStyle.NoBrush)
        end = link.at
        if link.snapped is not None:
            end = self._scene.port_place(link.snapped) or link.at
        for start in link.starts:
            place = self._scene.port_place(start)
            if place is None:
                continue
            a, b = (place, end) if start.side == "out" else (end, place)
            path = curve(*a, *b)
            painter.setPen(QPen(theme.color("surface.canvas"), 6))
            painter.drawPath(path)
            painter.setPen(QPen(theme.color(tone), theme.size["link_hover"], Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            painter.drawPath(path)
            draw_port(painter, theme, link.kind, *place, 12, True)  # the link begins behind its port
        if link.snapped is not None:
            patch("fit", theme.name, scale, tone).paint(painter, QRectF(end[0] - 8, end[1] - 8, 16, 16))
            draw_port(painter, theme, link.kind, *end, 14, True)
            label, side = link.snapped.name.replace("_", " "), link.snapped.side
            room = text_width(label, "body", 500) + 14
            left = end[0] - 12 - room if side == "in" else end[0] + 12
            draw_box(painter, QRectF(left, end[1] - 10, room, 20), theme.color("surface.popup"), 10, theme.color("line.soft"))
            draw_text(painter, left, end[1] - 10, room, 20, label, theme.color("text.primary"), "body", "center", 500)
        else:
            draw_port(painter, theme, link.kind, *end, 12, True)
            if link.reason:
                self._paint_reason(painter, link.reason, end, zoom)

    def _veil(self, painter: QPainter, link: DraggedLink) -> None:
        """Ports that do not fit dim to 28 %; so do nodes without any port that fits."""
        theme = self._scene.theme
        veil = theme.color("surface.canvas", 1 - theme.opacity["dim_unfit"])
        over_node = theme.color("surface.node", 1 - theme.opacity["dim_unfit"])
        spared = {ref.node for ref in link.fitting} | {ref.node for ref in link.starts}
        for item in self._scene.places.seen_nodes():
            if item.node.id not in spared:
                draw_box(painter, item.rect().adjusted(-7, -1, 7, 1), theme.color("surface.canvas", 0.55), 8)
        for ref in link.unfit:
            place = self._scene.port_place(ref)
            if place is not None and ref.node in spared and self._scene.is_drawn(ref):
                painter.setPen(Qt.PenStyle.NoPen)
                disc = QRectF(place[0] - 9, place[1] - 9, 18, 18)
                for tone, inside in ((veil, False), (over_node, True)):  # half of a port lies on its node
                    painter.setBrush(tone)
                    painter.drawPie(disc, 16 * (270 if inside == (ref.side == "in") else 90), 16 * 180)

    def _paint_reason(self, painter: QPainter, reason: str, at: tuple[float, float], zoom: float) -> None:
        theme = self._scene.theme
        lines = [part.strip() + "." for part in reason.rstrip(".").split(". ")]
        painter.save()
        painter.translate(at[0] + 14 / zoom, at[1] + 12 / zoom)
        painter.scale(1 / zoom, 1 / zoom)
        width = max(text_width(line, "body", 600 if k == 0 and len(lines) > 1 else 400) for k, line in enumerate(lines)) + 24
        box = QRectF(0, 0, width, 14 + 18 * len(lines))
        draw_box(painter, box, theme.color("surface.popup"), 8, theme.color("line.soft"))
        for k, line in enumerate(lines):
            strong = k == 0 and len(lines) > 1
            draw_text(
                painter,
                12,
                7 + 18 * k,
                width,
                18,
                line,
                theme.color("text.primary" if strong or len(lines) == 1 else "text.secondary"),
                weight=600 if strong else 400,
            )
        painter.restore()

    def _paint_chip(self, painter: QPainter, x: float, y: float, words: str, zoom: float) -> None:
        theme = self._scene.theme
        painter.save()
        painter.translate(x, y + 16 / zoom)
        painter.scale(1 / zoom, 1 / zoom)
        width = text_width(words, "small", 500) + 18
        draw_box(painter, QRectF(-width / 2, 0, width, 22), theme.color("surface.popup"), 11, theme.color("line.soft"))
        draw_text(painter, -width / 2, 0, width, 22, words, theme.color("text.primary"), "small", "center", 500)
        painter.restore()
