"""Moving what is selected."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QLineF, QRectF

from nodegraph.graph import REROUTE, Graph, Link
from ui.canvas import edits
from ui.canvas.gesture import ALT, CTRL, SHIFT, Gesture, Pointer, as_box

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

SHAKES, SHAKE_TIME = 4, 0.7  # turns of direction within so many seconds take a node out of its links
GUIDE_REACH = 6.0  # px within which a moved node lines up with another
MANY = 40  # more moved nodes than this get no guide lines


class Move(Gesture):
    """Move what is selected: it snaps, lines up with its neighbours, drops into links, is shaken out of them, joins groups."""

    def __init__(self, view: GraphView, name: str, copies: bool = False) -> None:
        super().__init__(view)
        self.name = name
        self.copies = copies
        self.ids: set[str] = set()
        self._at = (0.0, 0.0)
        self._target: Link | None = None
        self._turns: list[float] = []
        self._way = 0.0
        self._last = 0.0
        self._shaken = False

    def start(self, pointer: Pointer) -> None:
        chosen = self.view.document.selection
        if self.name not in chosen:
            self.view.document.select([self.name])
            chosen = self.view.document.selection
        self._from = pointer.scene
        graph = self.view.document.graph
        self.ids = self.scene_members(chosen)
        self.ids = {n for n in self.ids if n not in graph.nodes or not graph.nodes[n].pinned}
        if self.copies:
            self.scene.overlay.ghosts = []
            self._boxes = {name: QRectF(item.rect()) for name, item in self._items(self.ids)}
            return
        self._starts = {name: item.pos() for name, item in self._items(self.ids)}
        self._nodes = frozenset(self.ids & self.scene.nodes.keys())
        lead = next((item for name, item in self._items({self.name})), None)
        self._lead = lead.rect() if lead is not None else QRectF()
        self._neighbours: list[QRectF] | None = None
        self.single = len(self._nodes) == 1

    def scene_members(self, chosen: Iterable[str]) -> set[str]:
        """What moves: the chosen, with all that lies in chosen groups."""
        found = set(chosen)
        graph = self.view.document.graph
        for name in list(found & graph.groups.keys()):
            found |= self.scene.members_of(name)
            frame = self.scene.groups[name].rect()
            if not graph.groups[name].folded:
                found |= {n for n, note in self.scene.notes.items() if frame.contains(note.rect())}
                found |= {g for g, other in self.scene.groups.items() if g != name and frame.contains(other.rect())}
        return found

    def _items(self, ids: Iterable[str]) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for name in ids:
            item = self.scene.nodes.get(name) or self.scene.groups.get(name) or self.scene.notes.get(name)
            if item is not None:
                found.append((name, item))
        return found

    def update(self, pointer: Pointer) -> None:
        dx, dy = pointer.scene.x() - self._from.x(), pointer.scene.y() - self._from.y()
        if self.copies:
            dx, dy = self._on_grid(dx, dy, pointer, next(iter(self._boxes.values()), QRectF()))
            self.scene.overlay.ghosts = [box.translated(dx, dy) for box in self._boxes.values()]
            self._at = (dx, dy)
            self.view.viewport().update()
            return
        if not self.ids:
            return
        self._watch_shaking(pointer)
        dx, dy = self._on_grid(dx, dy, pointer, self._lead)
        self._shift(dx, dy)
        self._mark_link(pointer)

    def _on_grid(self, dx: float, dy: float, pointer: Pointer, lead: QRectF) -> tuple[float, float]:
        """Snap the leading node to the grid, then to edges of others within reach; Alt lets it be."""
        if not self.view.snap or (pointer.held & ALT and not self.copies):
            self.scene.overlay.guides = []
            return dx, dy
        x, y = edits.snapped(lead.x() + dx, 8), edits.snapped(lead.y() + dy, 8)
        if not self.copies and len(self.ids) <= MANY:
            x, y = self._line_up(x, y, lead)
        return x - lead.x(), y - lead.y()

    def _line_up(self, x: float, y: float, lead: QRectF) -> tuple[float, float]:
        if self._neighbours is None:
            around = self.scene.seen
            self._neighbours = [
                item.rect() for item in self.scene.places.nodes_within(around) if item.node.id not in self.ids and not item.anatomy.is_dot
            ]
        reach = GUIDE_REACH / self.view.zoom
        guides: list[QLineF] = []
        width, height = lead.width(), lead.height()
        best_x = min(
            ((abs(edge - mine), edge - mine, r) for r in self._neighbours for edge, mine in ((r.left(), x), (r.right(), x + width))),
            key=lambda c: c[0],
            default=None,
        )
        best_y = min(((abs(r.top() - y), r.top() - y, r) for r in self._neighbours), key=lambda c: c[0], default=None)
        if best_x is not None and best_x[0] <= reach:
            x += best_x[1]
            r = best_x[2]
            line = r.left() if abs(r.left() - x) < 0.5 else r.right()
            guides.append(QLineF(line, min(y, r.top()), line, max(y + height, r.bottom())))
        if best_y is not None and best_y[0] <= reach:
            y += best_y[1]
            r = best_y[2]
            guides.append(QLineF(min(x, r.left()), y, max(x + width, r.right()), y))
        if guides or self.scene.overlay.guides:
            self.scene.overlay.guides = guides
            self.view.viewport().update()
        return x, y

    def _shift(self, dx: float, dy: float) -> None:
        step = (dx - self._at[0], dy - self._at[1])
        if step == (0.0, 0.0):
            return
        self._at = (dx, dy)
        for name, item in self._items(self.ids):
            start = self._starts[name]
            item.set_pos(start.x() + dx, start.y() + dy)
        for name in self._nodes:
            self.scene.places.put(self.scene.nodes[name])
        self.scene.links.translate(self._nodes, *step)
        self.scene.content_changed.emit()

    def _watch_shaking(self, pointer: Pointer) -> None:
        """Turns of direction, quick and wide enough, take a node out of its links."""
        if not self.single or self._shaken:
            return
        x, now = pointer.screen.x(), time.monotonic()
        step = x - self._last if self._last else 0.0
        self._last = x
        if abs(step) < 3:
            return
        way = 1.0 if step > 0 else -1.0
        if self._way and way != self._way:
            self._turns = [t for t in self._turns if now - t < SHAKE_TIME] + [now]
        self._way = way
        if len(self._turns) >= SHAKES and self.scene.links.wires_of(self._nodes):
            self._shaken = True
            self._starts_shaken()

    def _starts_shaken(self) -> None:
        ports = self.scene.ports
        names = self._nodes
        dx, dy = self._at

        def change(graph: Graph) -> Graph:
            return edits.detached(graph, ports, names)

        self.view.edit("Detach", change, merge=f"move:{id(self)}")
        self._at = (0.0, 0.0)  # the edit put the items back where the document has them
        self._shift(dx, dy)

    def _mark_link(self, pointer: Pointer) -> None:
        """The link that the node would drop into."""
        target = None
        if self.single and not self._shaken and not pointer.held & CTRL:
            name = next(iter(self._nodes))
            item = self.scene.nodes[name]
            if (not self.view.document.graph.incoming.get(name) and not self.scene.ports.outgoing(name)) or item.node.type == REROUTE:
                body = item.rect().adjusted(item.anatomy.width * 0.15, 0, -item.anatomy.width * 0.15, 0)
                crossed = [link for link in self.scene.links.touched_by(body) if name not in (link.source, link.target)]
                middle = body.center()
                crossed.sort(
                    key=lambda link: min(abs(p[0] - middle.x()) + abs(p[1] - middle.y()) for p in self.scene.links.wires[link].samples())
                )
                ports = self.scene.ports
                target = next(
                    (link for link in crossed[:4] if edits.inserted(self.view.document.graph, ports, name, link) is not None), None
                )
        if target != self._target:
            self._target = target
            self.scene.links.select([target] if target is not None else ())

    def commit(self, pointer: Pointer) -> None:
        dx, dy = self._at
        self.scene.overlay.clear()
        if self.copies:
            self._commit_copies(dx, dy)
            return
        target, ports, ids = self._target, self.scene.ports, set(self.ids)
        self.scene.links.select(())
        boxes = {n: as_box(self.scene.nodes[n].rect()) for n in self._nodes}
        moved_nodes = {n for n in ids if n in self.scene.nodes} if not ids & self.scene.groups.keys() else set()
        if (dx, dy) == (0.0, 0.0) and target is None:
            return

        def change(graph: Graph) -> Graph:
            graph = graph.moved(ids, dx, dy)
            if target is not None:
                graph = edits.inserted(graph, ports, next(iter(self._nodes)), target) or graph
            return edits.with_members(graph, {n: boxes[n] for n in moved_nodes}) if moved_nodes and graph.groups else graph

        count = len(ids)
        label = "Insert" if target is not None else "Move" if count == 1 else f"Move {count} things"
        self.view.edit(label, change, merge=f"move:{id(self)}" if self._shaken else None)

    def _commit_copies(self, dx: float, dy: float) -> None:
        ids, ports = set(self.ids), self.scene.ports
        made: dict[str, str] = {}

        def change(graph: Graph) -> Graph:
            graph, names = edits.duplicated(graph, ports, ids, dx, dy)
            made.update(names)
            return graph

        if self.view.edit("Duplicate", change):
            self.view.document.select(made.values())

    def cancel(self) -> None:
        self.scene.overlay.clear()
        self.scene.links.select(())
        if not self.copies:
            self._shift(0.0, 0.0)

    def click(self, pointer: Pointer) -> None:
        chosen = self.view.document.selection
        if pointer.held & (SHIFT | CTRL):
            self.view.document.select(chosen ^ {self.name})
        else:
            self.view.document.select([self.name])
        self.view.select_links(())
