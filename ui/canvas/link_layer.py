"""One layer that draws all links, each as its own path (merged paths are ten times slower), and finds the one under the pointer."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QPointF, QRect, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap, QTransform

from nodegraph.graph import Link
from ui.canvas.paint import draw_box, draw_text, text_width
from ui.canvas.wires import Bounds, Grid, as_rect, crosses, distance_to, route, sampled
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

EDGE_ZOOM = 0.6  # the canvas-coloured edge of links is drawn above this zoom
FAR_ZOOM = 0.22  # below, links are straight
STUB = 24.0
FEW = 10  # so many links may be painted in full at once; more are painted in slices of time into a picture
SLICE = 0.006  # s


class Wire:
    """One link as drawn."""

    __slots__ = ("bounds", "hidden", "key", "kind", "line", "link", "path", "points", "rgba", "seen", "solid", "strength")

    def __init__(self, key: int, link: Link) -> None:
        self.key, self.link = key, link
        self.path = QPainterPath()
        self.line = QLineF()
        self.bounds: Bounds = (0.0, 0.0, 0.0, 0.0)
        self.points: list[tuple[float, float]] | None = None
        self.kind = "any"
        self.strength = 1.0
        self.rgba = 0  # its kind's colour at its strength
        self.solid = 0  # the same as it looks on the canvas: painting without blending costs two thirds
        self.hidden = False  # drawn as two stubs
        self.seen = True  # False inside a folded group

    def touches(self, bounds: Bounds) -> bool:
        """Whether the line itself, not only its box, comes near these bounds."""
        left, top, right, bottom = bounds[0] - 8, bounds[1] - 8, bounds[2] + 8, bounds[3] + 8
        points = self.samples()
        for (x1, y1), (x2, y2) in itertools.pairwise(points):
            if (
                (x1 if x1 < x2 else x2) <= right
                and (x1 if x1 > x2 else x2) >= left
                and (y1 if y1 < y2 else y2) <= bottom
                and (y1 if y1 > y2 else y2) >= top
            ):
                return True
        return self.hidden

    def samples(self) -> list[tuple[float, float]]:
        if self.points is None:
            self.points = sampled(self.path)
        return self.points


@lru_cache(maxsize=512)
def _pen(color: int, width: float, cosmetic: bool) -> QPen:
    pen = QPen(QColor.fromRgba(color), width)
    pen.setCosmetic(cosmetic)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    return pen


class Still:
    """A picture of all links seen, in full, made a few ms at a time while nothing moves. Painting them at once can take 90 ms."""

    def __init__(self, layer: LinkLayer, transform: QTransform, ratio: float, width: int, height: int) -> None:
        self.key = (transform.m11(), transform.dx(), transform.dy(), ratio, width, height)
        self.revision = layer.revision
        self._layer = layer
        self._transform = transform
        self.screen = QRect(0, 0, width, height)
        self.pixmap = QPixmap(round(width * ratio), round(height * ratio))
        self.pixmap.setDevicePixelRatio(ratio)
        self.pixmap.fill(Qt.GlobalColor.transparent)
        shown = transform.inverted()[0].mapRect(QRectF(0, 0, width, height))
        self._waiting = layer.plain_within((shown.left(), shown.top(), shown.right(), shown.bottom()))
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
            self._layer.paint_full(painter, self._waiting[at : at + 1])
            at += 1
        self._waiting = self._waiting[at:]
        self.done = not self._waiting
        painter.end()


class LinkLayer:
    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self.revision = 0  # rises with every change of a link's way or look
        self._still: Still | None = None
        self._idle = QTimer(interval=0)
        self._idle.timeout.connect(self._make_still)
        self.wires: dict[Link, Wire] = {}
        self._by_key: dict[int, Wire] = {}
        self._by_node: dict[str, set[Wire]] = {}
        self._grid = Grid()
        self._next = 0
        self.hovered: Link | None = None
        self.selected: frozenset[Link] = frozenset()
        self._shadowed: frozenset[Link] = frozenset()
        self.live: dict[Link, float] = {}  # link -> how far its dots have travelled, 0 to 1

    @property
    def shadowed(self) -> frozenset[Link]:
        """Links that are being dragged off or cut: drawn faint."""
        return self._shadowed

    @shadowed.setter
    def shadowed(self, links: frozenset[Link]) -> None:
        if links != self._shadowed:
            self._shadowed = links
            self.revision += 1

    # -- keeping

    def add(self, links: Iterable[Link]) -> None:
        for link in links:
            if link not in self.wires:
                wire = Wire(self._next, link)
                self._next += 1
                self.wires[link] = self._by_key[wire.key] = wire
                for node in (link.source, link.target):
                    self._by_node.setdefault(node, set()).add(wire)
                self._grid.add(wire.key, wire.bounds)
                self._place(wire)
                self._style(wire)
                self._repaint(wire)

    def drop(self, links: Iterable[Link]) -> None:
        for link in links:
            wire = self.wires.pop(link, None)
            if wire is None:
                continue
            self._repaint(wire)
            self._grid.remove(wire.key, wire.bounds)
            del self._by_key[wire.key]
            for node in (link.source, link.target):
                self._by_node.get(node, set()).discard(wire)
        if self.hovered is not None and self.hovered not in self.wires:
            self.hovered = None
        self.selected &= frozenset(self.wires)

    def clear(self) -> None:
        self.wires.clear()
        self._by_key.clear()
        self._by_node.clear()
        self._grid = Grid()
        self.hovered, self.selected, self.live = None, frozenset(), {}
        self._still = None
        self.revision += 1
        self._scene.repaint_all()

    def wires_of(self, ids: Iterable[str]) -> set[Wire]:
        none: set[Wire] = set()
        return none.union(*(self._by_node.get(name, none) for name in ids))

    def reroute(self, ids: Iterable[str]) -> None:
        """Draw the links of these nodes anew, because they moved or changed."""
        wires = self.wires_of(ids)
        many = len(wires) > 24
        for wire in wires:
            if not many:
                self._repaint(wire)
            self._place(wire)
            self._style(wire)
            if not many:
                self._repaint(wire)
        if many:
            self.revision += 1
            self._scene.repaint_all()

    def translate(self, ids: frozenset[str] | set[str], dx: float, dy: float) -> None:
        """Nodes moved together: links among them keep their shape, the others are drawn anew."""
        self.revision += 1
        move = self._grid.move
        for wire in self.wires_of(ids):
            source, _, target, _ = wire.link
            if source in ids and target in ids and not wire.hidden:
                wire.path.translate(dx, dy)
                wire.line.translate(dx, dy)
                a, b, c, d = before = wire.bounds
                wire.bounds, wire.points = (a + dx, b + dy, c + dx, d + dy), None
                move(wire.key, before, wire.bounds)
            else:
                self._place(wire)
        self._scene.repaint_all()

    def _place(self, wire: Wire) -> None:
        """Its way between its two ports, as they lie now."""
        link = wire.link
        source, target = self._scene.anchor(link.source, "out", link.output), self._scene.anchor(link.target, "in", link.input)
        wire.points = None
        before = wire.bounds
        wire.seen = source is not None and target is not None
        if source is None or target is None:
            wire.path, wire.bounds = QPainterPath(), (0.0, 0.0, 0.0, 0.0)
        else:
            wire.path, wire.bounds = route(source, target)
            wire.line = QLineF(source.x, source.y, target.x, target.y)
            wire.hidden = self._scene.is_hidden(link)
            if wire.hidden:
                name = self._scene.title(link.source)
                room = STUB + text_width(name, "caption", 500) + 20
                left, top, right, bottom = wire.bounds
                wire.bounds = (min(left, target.x - room), top - 12, max(right, source.x + room), bottom + 12)
        self._grid.move(wire.key, before, wire.bounds)

    def _style(self, wire: Wire) -> None:
        """Its colour and strength: what moving it never changes."""
        theme = self._scene.theme
        wire.kind = theme.port_kind(self._scene.ports.link_type(wire.link))
        wire.strength = self._scene.link_strength(wire.link)
        strength = round(wire.strength, 2)
        wire.rgba = theme.color("port." + wire.kind, strength).rgba()
        wire.solid = theme.mix("port." + wire.kind, "surface.canvas", strength).rgba()

    def restyle(self, ids: Iterable[str] | None = None) -> None:
        """Strength and colour anew, of the links of some nodes or of all."""
        for wire in self.wires.values() if ids is None else self.wires_of(ids):
            before = wire.rgba
            self._style(wire)
            if wire.rgba != before and ids is not None:
                self._repaint(wire)
        if ids is None:
            self.revision += 1
            self._scene.repaint_all()

    def _repaint(self, wire: Wire) -> None:
        self.revision += 1
        self._scene.repaint(as_rect(wire.bounds))

    # -- finding

    def within(self, bounds: Bounds) -> list[Wire]:
        left, top, right, bottom = bounds
        wires = self._by_key
        found = []
        for key in self._grid.near(bounds):
            w = wires[key]
            box = w.bounds
            if w.seen and box[0] <= right and box[2] >= left and box[1] <= bottom and box[3] >= top:
                found.append(w)
        return found

    def at(self, x: float, y: float, tolerance: float) -> Link | None:
        """The nearest link within `tolerance`."""
        best, nearest = None, tolerance
        for wire in self.within((x - tolerance, y - tolerance, x + tolerance, y + tolerance)):
            distance = (
                distance_to(wire.samples(), x, y)
                if not wire.hidden
                else min(QLineF(wire.line.p1(), QPointF(x, y)).length(), QLineF(wire.line.p2(), QPointF(x, y)).length()) - STUB
            )
            if distance <= nearest:
                best, nearest = wire.link, distance
        return best

    def cut_by(self, a: tuple[float, float], b: tuple[float, float]) -> set[Link]:
        bounds = (min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))
        return {wire.link for wire in self.within(bounds) if not wire.hidden and crosses(wire.samples(), a, b)}

    def touched_by(self, rect: QRectF) -> set[Link]:
        """Links that run through a rectangle."""
        bounds = (rect.left(), rect.top(), rect.right(), rect.bottom())
        return {wire.link for wire in self.within(bounds) if not wire.hidden and wire.path.intersects(rect)}

    # -- painting

    def plain_within(self, bounds: Bounds) -> list[Wire]:
        """Links that are drawn as lines. The hovered and the selected are among them, and painted once more on top."""
        return [w for w in self.within(bounds) if not w.hidden]

    def paint_within(self, painter: QPainter, bounds: Bounds, zoom: float) -> None:
        """Paint the links that cross an area of the canvas."""
        wires = self.within(bounds)
        if not wires:
            return
        theme = self._scene.theme
        if zoom < FAR_ZOOM:
            self._paint_straight(painter, theme, wires)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        width = theme.size["link"]
        special = [w for w in wires if w.link in self.selected or w.link == self.hovered or w.hidden]
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
                self.paint_full(painter, plain)
        for wire in special:
            self._paint_special(painter, theme, wire, width)
        if self.live and zoom > EDGE_ZOOM:
            self._paint_dots(painter, theme)

    def _blit_still(self, painter: QPainter, bounds: Bounds) -> bool:
        """Put the picture of the links there, if it is right for what is shown."""
        still = self._still
        if still is None or not still.done or still.revision != self.revision or not self._scene.is_on_screen():
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
        if self._still is None or self._still.key != key or self._still.revision != self.revision:
            self._still = Still(self, transform, ratio, width, height)
        self._still.go_on()
        if self._still.done:
            self._idle.stop()
            self._scene.repaint_all()

    def _alpha(self, wire: Wire) -> float:
        return wire.strength * (0.25 if wire.link in self._shadowed else 1.0)

    def _color(self, theme: Theme, wire: Wire, solid: bool = False) -> int:
        if wire.link not in self._shadowed:
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

    def paint_full(self, painter: QPainter, wires: list[Wire]) -> None:
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
        if wire.link in self.selected:
            painter.setPen(_pen(theme.color("accent.base").rgba(), width + 5, False))
            painter.drawPath(wire.path)
            painter.setPen(_pen(theme.color("surface.canvas").rgba(), width + 2, False))
            painter.drawPath(wire.path)
        else:
            painter.setPen(_pen(theme.color("surface.canvas").rgba(), width + 4, False))
            painter.drawPath(wire.path)
        painter.setPen(_pen(color.rgba(), theme.size["link_hover"] if wire.link == self.hovered else width, False))
        painter.drawPath(wire.path)

    def _paint_stubs(self, painter: QPainter, theme: Theme, wire: Wire) -> None:
        name = self._scene.title(wire.link.source)
        color = theme.color("port." + wire.kind, 0.9 if wire.link == self.hovered else 0.6)
        room = text_width(name, "caption", 500) + 14
        for point, way in ((wire.line.p1(), 1), (wire.line.p2(), -1)):
            painter.setPen(_pen(color.rgba(), 2, False))
            painter.drawLine(point, QPointF(point.x() + way * STUB, point.y()))
            left = point.x() + STUB if way > 0 else point.x() - STUB - room
            box = QRectF(left, point.y() - 8, room, 16)
            draw_box(
                painter,
                box,
                theme.mix("port." + wire.kind, "surface.canvas", 0.18),
                8,
                theme.color("accent.base") if wire.link in self.selected else None,
            )
            draw_text(painter, box.x(), box.y(), room, 16, name, theme.color("text.secondary"), "caption", "center", 500, whole=True)

    def _paint_dots(self, painter: QPainter, theme: Theme) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for link, at in self.live.items():
            wire = self.wires.get(link)
            if wire is not None and wire.seen and not wire.hidden:
                painter.setBrush(theme.port_color_of(wire.kind))
                for k in range(3):
                    painter.drawEllipse(wire.path.pointAtPercent((at + k / 3) % 1.0), 3.4, 3.4)

    def advance_dots(self, at: float) -> None:
        """Move the dots of live links; only their old and new places are painted again."""
        for link, before in self.live.items():
            wire = self.wires.get(link)
            if wire is None:
                continue
            for place in (before, at):
                for k in range(3):
                    p = wire.path.pointAtPercent((place + k / 3) % 1.0)
                    self._scene.repaint(QRectF(p.x() - 5, p.y() - 5, 10, 10))
            self.live[link] = at

    def set_live(self, links: Iterable[Link]) -> None:
        wanted = set(links)
        for link in set(self.live) ^ wanted:
            wire = self.wires.get(link)
            if wire is not None:
                self._repaint(wire)
        self.live = {link: self.live.get(link, 0.0) for link in wanted}

    def hover(self, link: Link | None) -> None:
        if link != self.hovered:
            for one in (self.hovered, link):
                wire = self.wires.get(one) if one is not None else None
                if wire is not None:
                    self._scene.repaint(as_rect(wire.bounds).adjusted(-4, -30, 4, 30))
            self.hovered = link  # painted over the picture of the links, which stays

    def select(self, links: Iterable[Link]) -> None:
        wanted = frozenset(links)
        for link in wanted ^ self.selected:
            wire = self.wires.get(link)
            if wire is not None:
                self._scene.repaint(as_rect(wire.bounds).adjusted(-4, -4, 4, 4))
        self.selected = wanted
