"""What lies where: nodes in a part of the canvas, and the node, port, row, link, note or group under the pointer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF

from ui.canvas.anatomy import Row
from ui.canvas.group_item import TITLE
from ui.canvas.model import PortRef, Target
from ui.canvas.node_item import NodeItem
from ui.canvas.wires import Bounds, Grid

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

HIT = 12.0  # px around a port that count as the port (24 x 22)
CELL = 400.0


class Places:
    """Keeps the boxes of all nodes in a grid; groups and notes are few and asked one by one."""

    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self.clear()

    def clear(self) -> None:
        self._grid = Grid(CELL)
        self._boxes: dict[str, Bounds] = {}
        self._numbers: dict[str, int] = {}  # in the order of coming
        self._names: dict[int, str] = {}

    # -- keeping

    def put(self, item: NodeItem) -> None:
        """Note where a node lies now."""
        name, made, x, y = item.node.id, item.look.anatomy, item.x(), item.y()
        box = (x - HIT, y - 1, x + made.width + HIT, y + made.height + 1)
        old = self._boxes.get(name)
        if old is not None:
            if old != box:
                self._grid.move(self._numbers[name], old, box)
        else:
            number = self._numbers.setdefault(name, len(self._numbers))
            self._names[number] = name
            self._grid.add(number, box)
        self._boxes[name] = box

    def forget(self, name: str) -> None:
        """A node is gone."""
        box = self._boxes.pop(name, None)
        if box is not None:
            self._grid.remove(self._numbers[name], box)

    def box(self, name: str) -> Bounds:
        """What a node covers, with its ports."""
        return self._boxes[name]

    def height(self, item: NodeItem) -> tuple[float, int]:
        """For sorting: what is higher lies nearer to the eye."""
        return item.z, self._numbers[item.node.id]

    def content_rect(self, ids: Iterable[str] | None = None) -> QRectF:
        """What nodes, groups and notes cover together."""
        wanted = None if ids is None else set(ids)
        boxes = [box for name, box in self._boxes.items() if wanted is None or name in wanted]
        found = QRectF()
        if boxes:
            left, top = min(b[0] for b in boxes) + HIT, min(b[1] for b in boxes) + 1
            found = QRectF(left, top, max(b[2] for b in boxes) - HIT - left, max(b[3] for b in boxes) - 1 - top)
        for items in (self._scene.groups, self._scene.notes):
            for name, item in items.items():
                if wanted is None or name in wanted:
                    found = found.united(item.rect())
        return found

    # -- finding

    def nodes_within(self, rect: QRectF) -> list[NodeItem]:
        """Nodes shown whose box, with its ports, touches a rectangle; in no order."""
        left, top, right, bottom = rect.left(), rect.top(), rect.right(), rect.bottom()
        found = []
        for number in self._grid.near((left, top, right, bottom)):
            name = self._names[number]
            box = self._boxes.get(name)
            if (
                box is not None
                and box[0] <= right
                and box[2] >= left
                and box[1] <= bottom
                and box[3] >= top
                and name not in self._scene.folded_into
            ):
                found.append(self._scene.nodes[name])
        return found

    def seen_nodes(self) -> list[NodeItem]:
        return self.nodes_within(self._scene.seen)

    def node_at(self, x: float, y: float) -> NodeItem | None:
        """The topmost node whose body lies there."""
        hits = [item for item in self.nodes_within(QRectF(x, y, 0, 0)) if item.rect().contains(x, y)]
        return max(hits, key=self.height, default=None)

    def free_to_the_right(self, box: QRectF, gap: float = 48.0) -> float:
        """The first x from a box's own on at which it covers no node and keeps the gap to those beside it."""
        x = box.x()
        while hits := self.nodes_within(QRectF(x - gap, box.y(), box.width() + 2 * gap, box.height())):
            x = max(item.rect().right() for item in hits) + gap + HIT + 1
        return x

    def free_beside(self, box: QRectF, gap: float = 48.0) -> QRectF:
        """A box moved to the nearer side of what it would cover, nodes and notes, straight and with the gap to all of them; itself where it covers nothing."""
        if not self._covered(box):
            return box
        found = []
        for dx, dy in ((1, 0), (0, 1), (-1, 0), (0, -1)):
            spot = QRectF(box)
            while hits := self._covered(spot.adjusted(-gap, -gap, gap, gap)):
                if dx:
                    spot.moveLeft(max(r.right() for r in hits) + gap + HIT + 1) if dx > 0 else spot.moveRight(min(r.left() for r in hits) - gap - HIT - 1)
                else:
                    spot.moveTop(max(r.bottom() for r in hits) + gap + 2) if dy > 0 else spot.moveBottom(min(r.top() for r in hits) - gap - 2)
            found.append(spot)
        return min(found, key=lambda spot: abs(spot.x() - box.x()) + abs(spot.y() - box.y()))

    def _covered(self, box: QRectF) -> list[QRectF]:
        """The nodes and notes that a box touches."""
        notes = [item.rect() for item in self._scene.notes.values() if item.visible]
        return [item.rect() for item in self.nodes_within(box)] + [rect for rect in notes if rect.intersects(box)]

    def port_at(self, x: float, y: float, zoom: float, body: bool = False) -> PortRef | None:
        """The port whose 24 x 22 px lie under a place. With `body`, a node's whole row counts (for a link that is dropped)."""
        if zoom < self._scene.theme.size["lod_block"]:
            return None
        reach = HIT * max(1.0, 0.75 / zoom)
        top = self.node_at(x, y)
        best: tuple[float, PortRef] | None = None
        for item in self.nodes_within(QRectF(x - reach, y - reach, 2 * reach, 2 * reach)):
            if (
                top is not None
                and item is not top
                and item.z <= top.z
                and not item.anatomy.is_dot
                and top.rect().adjusted(HIT, 0, -HIT, 0).contains(x, y)
            ):
                continue
            for port in item.anatomy.ports:
                if item.anatomy.is_dot and port.side == "in":
                    continue
                dx, dy = abs(item.x() + port.x - x), abs(item.y() + port.y - y)
                wide = 8.0 if port.small and not port.linked else reach
                if dx <= wide and dy <= min(11.0, reach) and (best is None or dx + dy < best[0]):
                    best = dx + dy, self._scene.ports.ref(item.node.id, port.name, port.side)
        if best is None and body and top is not None:
            for port in top.anatomy.ports:
                if abs(top.y() + port.y - y) <= 12 and (port.side == "in") == (x < top.rect().center().x()):
                    return self._scene.ports.ref(top.node.id, port.name, port.side)
        return best[1] if best else None

    def row_at(self, x: float, y: float, zoom: float) -> tuple[NodeItem, Row] | None:
        if zoom < self._scene.theme.size["lod_full"] - 1e-3:
            return None
        item = self.node_at(x, y)
        row = item.anatomy.row_at(x - item.x(), y - item.y()) if item is not None else None
        return (item, row) if item is not None and row is not None else None

    def note_at(self, x: float, y: float) -> str | None:
        return next((name for name, item in reversed(self._scene.notes.items()) if item.visible and item.rect().contains(x, y)), None)

    def group_at(self, x: float, y: float, title_only: bool = True) -> str | None:
        """The smallest group whose title bar, or any part, lies there."""
        best: tuple[float, str] | None = None
        for name, item in self._scene.groups.items():
            rect = item.rect()
            if title_only and not item.group.folded:
                rect.setHeight(min(TITLE, rect.height()))
            if item.visible and rect.contains(x, y):
                area = item.rect().width() * item.rect().height()
                if best is None or area < best[0]:
                    best = area, name
        return best[1] if best else None

    def hit(self, place: QPointF, zoom: float) -> Target:
        """What lies under a place, the nearest to the eye first."""
        x, y = place.x(), place.y()
        port = self.port_at(x, y, zoom)
        if port is not None:
            return Target("port", port.node, f"{port.side}:{port.name}")
        item = self.node_at(x, y)
        if item is not None:
            row = self.row_at(x, y, zoom)
            if row is not None and row[1].kind != "linked":
                return Target("value", item.node.id, row[1].name)
            return Target("node", item.node.id)
        folded = self.group_at(x, y)
        if folded is not None and self._scene.groups[folded].group.folded:
            return Target("group", folded)
        link = self._scene.links.at(x, y, 7 / zoom)
        note = self.note_at(x, y)
        if note is not None and link is None:
            return Target("note", note)
        if link is not None:
            return Target("link", link=link)
        group = self.group_at(x, y)
        return Target("group", group) if group is not None else Target("canvas")

    def cover(self, area: QRectF) -> NodeItem | None:
        """The topmost node of an area, if it hides all else there."""
        found = [item for item in self.nodes_within(area) if item.rect().intersects(area)]
        top = max(found, key=self.height, default=None)
        return top if top is not None and top.covers(area) else None
