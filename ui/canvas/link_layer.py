"""Keeps all links as they lie and look, and finds the one under the pointer; `link_paint` draws them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QLineF, QPointF, QRectF
from PySide6.QtGui import QPainterPath

from nodegraph.graph import Link
from ui.canvas.link_paint import LinkPaint
from ui.canvas.paint import text_width
from ui.canvas.wires import STUB, Bounds, Grid, as_rect, crosses, distance_to, route, sampled

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene


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


class LinkLayer:
    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self.paint = LinkPaint(self, scene)
        self.revision = 0  # rises with every change of a link's way or look
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

    # -- what stands out

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
