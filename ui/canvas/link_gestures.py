"""Dragging links: from a port to another, off an input, all links of an output at once, or onto empty canvas to search for a node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF

from nodegraph.graph import Graph, Link
from nodegraph.spec import ANY
from ui.canvas import edits
from ui.canvas.gesture import Gesture, Pointer
from ui.canvas.model import PortRef
from ui.canvas.overlay import DraggedLink

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

SNAP = 24.0  # px


class DragLink(Gesture):
    """A link in the hand. Ports that fit glow and snap at 24 px; the others dim and say why. Dropped on nothing, it asks for a node."""

    def __init__(self, view: GraphView, starts: list[PortRef], moves_all: bool = False, taken: Link | None = None) -> None:
        """`starts` are the fixed ends. `moves_all` carries all links of an output; `taken` is a link that was just pulled off."""
        super().__init__(view)
        self.starts, self.moves_all, self.taken = starts, moves_all, taken

    def start(self, pointer: Pointer) -> None:
        scene, graph = self.scene, self.view.document.graph
        if self.moves_all:
            source = self.starts[0]
            links = [link for link in graph.links_from(source.node) if link.output == source.name]
            self._origin = source
            if not links:
                self.moves_all = False
            else:
                self.starts = [scene.ports.ref(link.target, link.input, "in") for link in links]
                scene.links.shadowed = frozenset(links)
        if self.taken is not None:
            scene.links.shadowed = frozenset([self.taken])
        first = self.starts[0]
        nodes = {ref.node for ref in self.starts}
        # what may not be linked because it would close a loop: asked once, not at each move
        self._blocked = graph.upstream(*nodes) | nodes if first.side == "out" else graph.downstream(*nodes) | nodes
        kind = first.type if not self.moves_all else self._origin.type
        if kind == ANY:
            kind = next((ref.type for ref in self.starts if ref.type != ANY), ANY)
        self._side = "in" if first.side == "out" else "out"
        dragged = DraggedLink(self.starts, (pointer.scene.x(), pointer.scene.y()), self.view.theme.port_kind(kind))
        scene.overlay.link = dragged
        self._sort_ports(dragged)

    def _sort_ports(self, dragged: DraggedLink) -> None:
        """Which of the ports seen fit."""
        for item in self.scene.places.seen_nodes():
            for port in item.anatomy.ports:
                if port.side != self._side or (item.anatomy.is_dot and port.side == "in" and port.linked):
                    continue
                ref = self.scene.ports.ref(item.node.id, port.name, port.side)
                (dragged.fitting if self._refusal(ref) is None else dragged.unfit).append(ref)

    def _refusal(self, ref: PortRef) -> str | None:
        for start in self.starts:
            reason = self.scene.ports.refusal(start, ref, self._blocked)
            if reason is not None:
                return reason
        return None

    def update(self, pointer: Pointer) -> None:
        dragged = self.scene.overlay.link
        if dragged is None:
            return
        x, y = pointer.scene.x(), pointer.scene.y()
        dragged.at, dragged.snapped, dragged.reason = (x, y), None, ""
        reach = SNAP / self.view.zoom
        best = reach
        for ref in dragged.fitting:
            place = self.scene.port_place(ref)
            if place is not None:
                distance = ((place[0] - x) ** 2 + (place[1] - y) ** 2) ** 0.5
                if distance <= best:
                    best, dragged.snapped = distance, ref
        if dragged.snapped is None:
            under = self.scene.places.port_at(x, y, self.view.zoom, body=True)
            if under is not None and under.side == self._side:
                dragged.reason = self._refusal(under) or ""
                if not dragged.reason:
                    dragged.snapped = under
            elif under is None:
                dragged.snapped = self._nearest_on_node(x, y)
        if dragged.reason:
            self.view.status_hint.emit(dragged.reason)
        elif dragged.snapped is None:
            self.view.status_hint.emit("Release: add a node here|Esc: let go")
        self.view.viewport().update()

    def _nearest_on_node(self, x: float, y: float) -> PortRef | None:
        """Anywhere on a node: its nearest port that fits."""
        item = self.scene.places.node_at(x, y)
        dragged = self.scene.overlay.link
        if item is None or dragged is None:
            return None
        fitting = [ref for ref in dragged.fitting if ref.node == item.node.id]
        free = [ref for ref in fitting if not self.scene.is_linked(ref)] or fitting
        exact = [ref for ref in free if ref.type == self.starts[0].type] or free
        return min(exact, key=lambda ref: abs((self.scene.port_place(ref) or (0, 0))[1] - y), default=None)

    def commit(self, pointer: Pointer) -> None:
        dragged = self.scene.overlay.link
        self._end()
        if dragged is None:
            return
        if dragged.snapped is not None:
            self._connect(dragged.snapped)
        elif dragged.reason:
            self.view.message.emit(dragged.reason)
        elif self.scene.places.node_at(*dragged.at) is not None:
            if self.taken is not None:
                self._take_off()
            else:
                self.view.message.emit("No port of this node fits.")
        elif self.taken is not None:
            self._take_off()
        elif self.moves_all:
            return
        else:
            self.view.status_hint.emit("Enter: add and link|Esc: let go")
            self.scene.overlay.link = dragged  # it stays in sight until a node was found, or the hand comes back
            self.view.node_search_requested.emit(QPointF(*dragged.at), self.starts[0])

    def _take_off(self) -> None:
        taken = self.taken
        assert taken is not None
        self.view.edit("Take a link off", lambda graph: graph.without_link(taken))

    def _connect(self, end: PortRef) -> None:
        ports, starts, taken = self.scene.ports, self.starts, self.taken
        if self.moves_all:
            origin = self._origin
            if end != origin:
                self.view.edit("Move links", lambda graph: edits.moved_links(graph, ports, origin, end))
            return
        wanted = edits.link_between(starts[0], end)
        if wanted == taken:
            return

        def change(graph: Graph) -> Graph:
            if taken is not None:
                graph = graph.without_link(taken)
            return edits.linked(graph, ports, wanted)

        self.view.edit("Link", change)

    def cancel(self) -> None:
        self._end()

    def _end(self) -> None:
        self.scene.links.shadowed = frozenset()
        self.scene.overlay.clear()
        self.view.viewport().unsetCursor()

    def click(self, pointer: Pointer) -> None:
        """A click on a port selects its node, and its links."""
        ref = self.starts[0]
        graph = self.view.document.graph
        self.view.document.select([ref.node])
        if ref.side == "out":
            self.view.select_links(link for link in graph.links_from(ref.node) if link.output == ref.name)
        else:
            self.view.select_links(link for link in graph.incoming.get(ref.node, ()) if link.input == ref.name)


def detaching(view: GraphView, ref: PortRef, adds: bool) -> DragLink:
    """A drag from an input: a linked one gives up its link; a free one, or with `adds` one that takes many, begins a new one."""
    graph, scene = view.document.graph, view.graph_scene
    port = scene.nodes[ref.node].anatomy.port("in", ref.name)
    link = graph.link_at(ref.node, ref.name)
    if link is None or (adds and port is not None and port.many):
        return DragLink(view, [ref])
    return DragLink(view, [scene.ports.ref(link.source, link.output, "out")], taken=link)
