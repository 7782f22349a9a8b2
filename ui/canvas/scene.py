"""The scene mirrors a document: it takes each difference of the graph and touches only the items that it concerns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from PySide6.QtCore import QObject, QPointF, QRectF, QTimer, Signal
from PySide6.QtGui import QPainter, QTransform

from nodegraph.graph import REROUTE, Change, Group, Link, Node
from nodegraph.spec import ANY, NodeSpec
from ui.canvas.anatomy import HEADER, Port, Row, measure, title_of
from ui.canvas.group_item import TITLE, GroupItem
from ui.canvas.item import Item
from ui.canvas.link_layer import LinkLayer
from ui.canvas.model import IDLE, CanvasDocument, PortRef, Target
from ui.canvas.node_item import BodyCache, NodeItem
from ui.canvas.node_paint import MARGIN, Look
from ui.canvas.note_item import NoteItem
from ui.canvas.overlay import OverlayLayer
from ui.canvas.ports import Ports
from ui.canvas.wires import End, Grid
from ui.theme import Theme

NONE: frozenset[str] = frozenset()
HIT = 12.0  # px around a port that count as the port (24 x 22)


class Screen(Protocol):
    """What the scene asks of the view that shows it."""

    def repaint_canvas(self, rect: QRectF | None) -> None:
        """Paint a part of the canvas again, or all that is seen."""

    def shown_now(self) -> tuple[QTransform, float, int, int] | None: ...


class GraphScene(QObject):
    """Items for nodes, groups and notes by id, one layer of links, one overlay."""

    rebuilt = Signal()
    content_changed = Signal()  # something moved, came or went: for the minimap

    def __init__(self, document: CanvasDocument, theme: Theme, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.document, self.theme = document, theme
        self.nodes: dict[str, NodeItem] = {}
        self.groups: dict[str, GroupItem] = {}
        self.notes: dict[str, NoteItem] = {}
        self.bodies = BodyCache()
        self.ratio = 1.0  # device pixel ratio of what is painted on
        self.moving = False  # the view, or something in it, is under way: paint links fast
        self.zooming = False  # blit bodies of another scale rather than painting them anew
        self.focus_links = False
        self.in_picture = False  # a picture of the graph is being made: nothing may be left for later
        self.seen = QRectF()  # what the view shows
        self.area = QRectF()  # of the canvas that is being painted
        self.screen: Screen | None = None
        self.family: Callable[[Node], str | None] = lambda node: None
        self.missing_files: Callable[[Node], frozenset[str]] = lambda node: NONE
        self._grid = Grid(400.0)
        self._boxes: dict[str, tuple[float, float, float, float]] = {}
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._folded_into: dict[str, str] = {}  # node or note -> the folded group that hides it
        self._fading: set[NodeItem] = set()
        self.specs: Mapping[str, NodeSpec] = document.specs
        self.ports = Ports(document.graph, document.root, self.specs)
        self.links = LinkLayer(self)
        self.overlay = OverlayLayer(self)
        self._clock = QTimer(self)
        self._clock.setInterval(50)
        self._clock.timeout.connect(self._tick)
        document.changed.connect(self.apply)
        document.scope_changed.connect(self.rebuild)
        document.selection_changed.connect(self.show_selection)
        document.states_changed.connect(self.show_states)
        self.rebuild()

    # -- mirroring

    def rebuild(self) -> None:
        """Show the document's graph from nothing."""
        graph = self.document.graph
        self.nodes, self.groups, self.notes = {}, {}, {}
        self.links.clear()
        self.overlay.clear()
        self.bodies.clear()
        self._grid, self._boxes, self._numbers, self._names = Grid(400.0), {}, {}, {}
        self.specs = self.document.specs
        self.ports = Ports(graph, self.document.root, self.specs)
        self._find_folded()
        for group in graph.groups.values():
            self._show_group(group)
        for note in graph.notes:
            self._show_note(note)
        for node in graph.nodes.values():
            self._show_node(node)
        self.links.add(graph.links)
        self.show_selection()
        self._watch_runs()
        self.rebuilt.emit()
        self.content_changed.emit()

    def apply(self, change: Change) -> None:
        """Take over one difference."""
        graph = self.document.graph
        self.specs = self.document.specs
        self.ports = self.ports.refreshed(graph, self.document.root, self.specs)
        folded_before = dict(self._folded_into)
        if change.groups:
            self._find_folded()
        self.links.drop(change.unlinked)
        for name in change.removed:
            self._drop_node(name)
        touched = set(change.added | change.changed)
        ends: set[str] = set()
        if change.linked or change.unlinked:
            ends = {name for link in change.linked | change.unlinked for name in (link.source, link.target)}
            touched |= ends
            if any(graph.nodes[name].type == REROUTE or self._has_variables(name) for name in ends if name in graph.nodes):
                touched |= graph.downstream(*ends)
        if change.subgraphs:
            touched |= {node.id for node in graph.nodes.values() if node.subgraph in change.subgraphs}
        touched |= {name for name in folded_before.keys() ^ self._folded_into.keys() if name in graph.nodes}
        shifted = self._shift_only(touched - ends, graph.nodes) if not folded_before and not self._folded_into else {}
        for name in touched:
            if name in graph.nodes and name not in shifted:
                self._show_node(graph.nodes[name])
        for name in change.groups:
            if name in graph.groups:
                self._show_group(graph.groups[name])
            elif name in self.groups:
                self.groups.pop(name).update()
        for name in change.notes | {n for n in folded_before.keys() ^ self._folded_into.keys() if n in graph.notes}:
            if name in graph.notes:
                self._show_note(name)
            elif name in self.notes:
                self.bodies.forget(f"note:{name}")
                self.notes.pop(name).update()
        inside = {m for name in change.groups if name in graph.groups for m in graph.groups[name].members}
        for step in set(shifted.values()) - {(0.0, 0.0)}:
            self.links.translate({name for name, moved in shifted.items() if moved == step}, *step)
        again = (touched | inside) - shifted.keys()
        if again:
            self.links.reroute(again)
        self.links.add(change.linked)
        if shifted or change.removed or change.groups:
            self.repaint_all()
        self.show_selection()
        self._watch_runs()
        self.content_changed.emit()

    def _shift_only(self, names: set[str], nodes: Mapping[str, Node]) -> dict[str, tuple[float, float]]:
        """Nodes of which only the place changed are just put there; returns how far each went."""
        found: dict[str, tuple[float, float]] = {}
        for name in names:
            item, node = self.nodes.get(name), nodes.get(name)
            if item is None or node is None or not _same_but_place(item.node, node):
                continue
            x, y = item.corner(node.position)
            anchor = self._boxes[name]
            item.node = node
            item.set_pos(x, y)
            self.place_in_grid(item)
            moved = self._boxes[name]
            found[name] = (moved[0] - anchor[0], moved[1] - anchor[1])
        return found

    def _has_variables(self, name: str) -> bool:
        return any(output.type == ANY for output in self.ports.spec(self.document.graph.nodes[name]).outputs)

    def look_of(self, node: Node) -> tuple[NodeSpec, Look]:
        """The spec of a node and everything that its paint depends on."""
        graph = self.document.graph
        spec = self.ports.spec(node)
        missing = self.ports.is_missing(node)
        linked_in = frozenset(link.input for link in graph.incoming.get(node.id, ()))
        linked_out = frozenset(link.output for link in self.ports.outgoing(node.id))
        types: dict[tuple[str, str], str] = {}
        for output in spec.outputs:
            if output.type == ANY:
                types["out", output.name] = self.ports.output_type(node.id, output.name)
        for item in spec.inputs:
            if item.type == ANY:
                types["in", item.name] = self._incoming_type(node.id, item.name)
        run = self.document.states.get(node.id, IDLE)
        failed = run.input if run.state == "failed" else None
        made = measure(node, spec, linked_in, linked_out, types, self.missing_files(node), failed)
        if run.seed is not None:
            for row in made.rows:
                if row.kind == "seed" and row.raw != run.seed:
                    from ui.canvas.values import seed_text

                    row.value = seed_text(run.seed)
        look = Look(
            title=title_of(node, spec),
            category=spec.category,
            anatomy=made,
            mode=node.mode,
            pinned=node.pinned,
            missing=missing or run.state == "missing",
            family=self.family(node) or "",
            color=self.theme.known(node.color, "") or None,
            run=run,
            pack=spec.pack,
        )
        return spec, look

    def _incoming_type(self, node_id: str, name: str) -> str:
        link = self.document.graph.link_at(node_id, name)
        return self.ports.output_type(link.source, link.output) if link is not None else self.ports.input_type(node_id, name)

    def _show_node(self, node: Node) -> None:
        spec, look = self.look_of(node)
        item = self.nodes.get(node.id)
        if item is None:
            item = self.nodes[node.id] = NodeItem(self, node, spec, look)
        else:
            item.show_node(node, spec, look)
        item.visible = node.id not in self._folded_into
        self.place_in_grid(item)

    def place_in_grid(self, item: NodeItem) -> None:
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

    def _drop_node(self, name: str) -> None:
        item = self.nodes.pop(name, None)
        if item is None:
            return
        self.bodies.forget(name)
        self._fading.discard(item)
        box = self._boxes.pop(name, None)
        if box is not None:
            self._grid.remove(self._numbers[name], box)
        item.update()

    def _show_group(self, group: Group) -> None:
        item = self.groups.get(group.id)
        if item is None:
            item = self.groups[group.id] = GroupItem(self, group)
        else:
            item.show_group(group)
        item.visible = group.id not in self._folded_into

    def _show_note(self, name: str) -> None:
        note = self.document.graph.notes[name]
        item = self.notes.get(name)
        if item is None:
            item = self.notes[name] = NoteItem(self, note)
        else:
            item.show_note(note)
        item.visible = name not in self._folded_into

    def _find_folded(self) -> None:
        graph = self.document.graph
        self._folded_into = {}
        for group in graph.groups.values():
            if group.folded:
                for member in self.members_of(group.id):
                    self._folded_into.setdefault(member, group.id)

    def members_of(self, group_id: str) -> set[str]:
        """All that a group holds, groups inside it and what those hold too."""
        graph, found, waiting = self.document.graph, set[str](), [group_id]
        while waiting:
            group = graph.groups.get(waiting.pop())
            for member in group.members if group is not None else ():
                if member not in found and member != group_id:
                    found.add(member)
                    waiting.append(member)
        return found

    def content_rect(self, ids: Iterable[str] | None = None) -> QRectF:
        """What nodes, groups and notes cover together."""
        wanted = None if ids is None else set(ids)
        boxes = [box for name, box in self._boxes.items() if wanted is None or name in wanted]
        found = QRectF()
        if boxes:
            left, top = min(b[0] for b in boxes) + HIT, min(b[1] for b in boxes) + 1
            found = QRectF(left, top, max(b[2] for b in boxes) - HIT - left, max(b[3] for b in boxes) - 1 - top)
        for items in (self.groups, self.notes):
            for name, item in items.items():
                if wanted is None or name in wanted:
                    found = found.united(item.rect())
        return found

    # -- what the document tells

    def show_selection(self) -> None:
        chosen = self.document.selection
        changed: set[str] = set()
        for items in (self.nodes, self.groups, self.notes):
            for name, item in items.items():
                if item.selected != (name in chosen):
                    item.select(name in chosen)
                    changed.add(name)
        if changed:
            self.links.restyle(None if self.focus_links else changed & self.nodes.keys())
            self.content_changed.emit()

    def show_states(self, ids: Iterable[str]) -> None:
        """Run states changed; only paint follows, never a size."""
        states = self.document.states
        again: set[str] = set()
        for name in ids:
            item = self.nodes.get(name)
            if item is None:
                continue
            run = states.get(name, IDLE)
            before = item.look.run
            if run.state != before.state or run.input != before.input or (run.seed != before.seed and run.state != "running"):
                spec, look = self.look_of(item.node)
                item.show_run(run)
                item.show_node(item.node, spec, look)
                again.add(name)
            else:
                item.show_run(run)
        if again:
            self.links.restyle(again)
            self._watch_runs()
            self.content_changed.emit()

    def _watch_runs(self) -> None:
        running = [name for name, item in self.nodes.items() if item.look.run.state == "running"]
        live = [links[0] for name in running if (links := self._live_links(name))]
        self.links.set_live(live)
        if running and not self.theme.reduced_motion:
            if not self._clock.isActive():
                self._clock.start()
        else:
            self._clock.stop()

    def _live_links(self, name: str) -> list[Link]:
        order = {item.name: k for k, item in enumerate(self.nodes[name].spec.inputs)}
        return sorted(self.document.graph.incoming.get(name, ()), key=lambda link: order.get(link.input, 99))

    def _tick(self) -> None:
        if self.links.live and not self.moving:
            period = self.theme.milliseconds("pulse") / 1000
            self.links.advance_dots(time.monotonic() % period / period)

    def fade_again(self, item: NodeItem) -> None:
        """Ask for the next frame of a cross-fade."""
        if item not in self._fading:
            self._fading.add(item)
            QTimer.singleShot(33, self, self._fade)

    def _fade(self) -> None:
        items, self._fading = self._fading, set()
        for item in items:
            if item.anatomy.preview is not None:
                item.update(QRectF(*item.anatomy.preview))

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.rebuild()

    def repaint_all(self) -> None:
        if self.screen is not None:
            self.screen.repaint_canvas(None)

    def repaint(self, rect: QRectF) -> None:
        """Paint a part of the canvas again."""
        if self.screen is not None:
            self.screen.repaint_canvas(rect)

    def shown_now(self) -> tuple[QTransform, float, int, int] | None:
        """How the view shows the canvas: transform, device pixel ratio, width, height; None while it cannot be seen."""
        return self.screen.shown_now() if self.screen is not None else None

    def is_on_screen(self) -> bool:
        """Whether this paints the view itself, not a picture of the graph."""
        return not self.in_picture

    # -- painting

    def paint(self, painter: QPainter, area: QRectF, transform: QTransform) -> None:
        """Everything that touches an area of the canvas, from the back to the front."""
        zoom = transform.m11()
        self.area = area
        cover = self._cover(area)
        if cover is not None:  # as at each preview tick
            self._paint_item(painter, cover, transform)
            painter.setWorldTransform(transform)
            self.overlay.paint_at(painter, zoom)
            return
        behind: list[Item] = [group for group in self.groups.values() if group.visible]
        notes: list[Item] = [note for note in self.notes.values() if note.visible]
        behind = [item for item in (*behind, *notes) if _touches(item, area)]
        behind.sort(key=lambda item: item.z)
        for item in behind:
            if item.z < -1:
                self._paint_item(painter, item, transform)
        painter.setWorldTransform(transform)
        self.links.paint_within(painter, (area.left(), area.top(), area.right(), area.bottom()), zoom)
        margin = MARGIN + 60  # a failed node's words hang below it
        nodes = {item.node.id: item for item in self.nodes_within(area.adjusted(-margin, -margin, margin, margin)) if _touches(item, area)}
        order = self._numbers
        front: list[Item] = [nodes[name] for name in sorted(nodes, key=lambda name: (nodes[name].z, order[name]))]
        for item in (*(item for item in behind if item.z >= -1), *front):
            self._paint_item(painter, item, transform)
        painter.setWorldTransform(transform)
        self.overlay.paint_at(painter, zoom)

    def _cover(self, area: QRectF) -> NodeItem | None:
        """The topmost node of an area, if it hides all else there."""
        found = [item for item in self.nodes_within(area) if item.rect().intersects(area)]
        top = max(found, key=lambda item: (item.z, self._numbers[item.node.id]), default=None)
        return top if top is not None and top.covers(area) else None

    def covered(self, area: QRectF) -> bool:
        return self._cover(area) is not None

    @staticmethod
    def _paint_item(painter: QPainter, item: Item, transform: QTransform) -> None:
        zoom = transform.m11()
        painter.setWorldTransform(QTransform(zoom, 0, 0, zoom, transform.dx() + item.x() * zoom, transform.dy() + item.y() * zoom))
        item.paint(painter)

    # -- what links and painters ask

    def anchor(self, node_id: str, side: str, name: str) -> End | None:
        """Where a link ends; None when both its ends may be inside one folded group."""
        folded = self._folded_into.get(node_id)
        if folded is not None:
            outer = self.groups.get(folded)
            while folded in self._folded_into:
                folded = self._folded_into[folded]
                outer = self.groups.get(folded)
            if outer is None:
                return None
            rect = outer.rect()
            return End(rect.left() if side == "in" else rect.right(), rect.top() + HEADER / 2, rect.top(), rect.bottom())
        item = self.nodes.get(node_id)
        if item is None:
            return None
        made = item.anatomy
        port = made.port(side, name)
        x, y = item.x(), item.y()
        if port is None:  # a port that the node does not have (any more): the link stays, at the header
            return End(x if side == "in" else x + made.width, y + HEADER / 2, y, y + made.height)
        return End(x + port.x, y + port.y, y, y + made.height)

    def port_place(self, ref: PortRef) -> tuple[float, float] | None:
        end = self.anchor(ref.node, ref.side, ref.name)
        return (end.x, end.y) if end is not None else None

    def is_linked(self, ref: PortRef) -> bool:
        item = self.nodes.get(ref.node)
        port = item.anatomy.port(ref.side, ref.name) if item is not None else None
        return port is not None and port.linked

    def is_drawn(self, ref: PortRef) -> bool:
        """Whether a port's mark is seen when nothing is dragged."""
        item = self.nodes.get(ref.node)
        port = item.anatomy.port(ref.side, ref.name) if item is not None else None
        return item is not None and port is not None and (not port.small or port.linked or item.anatomy.folded or item.look.hovered)

    def is_hidden(self, link: Link) -> bool:
        node = self.document.graph.nodes.get(link.target)
        hidden = node.extra.get("hidden_links", ()) if node is not None else ()
        return isinstance(hidden, list | tuple) and link.input in hidden

    def title(self, node_id: str) -> str:
        item = self.nodes.get(node_id)
        return item.look.title if item is not None else node_id

    def link_strength(self, link: Link) -> float:
        """How strongly a link is drawn, 0 to 1."""
        chosen = self.document.selection
        strengths = self.theme.tones["link"]
        touches = link.source in chosen or link.target in chosen
        if touches:
            return 1.0
        if self.focus_links and chosen & self.nodes.keys():
            return 0.2
        target = self.nodes.get(link.target)
        waiting = target is not None and (target.look.run.state == "queued" or target.look.mode != "on")
        return float(strengths["waiting" if waiting else "idle"])

    def crossing_kinds(self, group_id: str) -> tuple[list[str], list[str]]:
        """The kinds of ports through which links enter and leave a group."""
        inside = self.members_of(group_id)
        entering, leaving = dict[str, None](), dict[str, None]()
        for wire in self.links.wires_of(inside):
            if wire.link.source not in inside:
                entering[wire.kind] = None
            elif wire.link.target not in inside:
                leaving[wire.kind] = None
        return list(entering), list(leaving)

    def waiting_words(self, node_id: str) -> str:
        """What an empty preview says."""
        if self.nodes[node_id].look.run.state in ("queued", "running"):
            links = self._live_links(node_id)
            for link in links:
                item = self.nodes.get(link.source)
                if item is not None and item.look.run.state in ("queued", "running"):
                    return f"Waiting for {item.look.title}"
            return "Waiting" if self.nodes[node_id].look.run.state == "queued" else "Working"
        return "No picture yet"

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
                and name not in self._folded_into
            ):
                found.append(self.nodes[name])
        return found

    def seen_nodes(self) -> list[NodeItem]:
        return self.nodes_within(self.seen)

    def node_at(self, x: float, y: float) -> NodeItem | None:
        """The topmost node whose body lies there."""
        hits = [item for item in self.nodes_within(QRectF(x, y, 0, 0)) if item.rect().contains(x, y)]
        return max(hits, key=lambda item: (item.z, self._numbers[item.node.id]), default=None)

    def port_at(self, x: float, y: float, zoom: float, body: bool = False) -> PortRef | None:
        """The port whose 24 x 22 px lie under a place. With `body`, a node's whole row counts (for a link that is dropped)."""
        if zoom < self.theme.size["lod_block"]:
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
                    best = dx + dy, self.ports.ref(item.node.id, port.name, port.side)
        if best is None and body and top is not None:
            for port in top.anatomy.ports:
                if abs(top.y() + port.y - y) <= 12 and (port.side == "in") == (x < top.rect().center().x()):
                    return self.ports.ref(top.node.id, port.name, port.side)
        return best[1] if best else None

    def row_at(self, x: float, y: float, zoom: float) -> tuple[NodeItem, Row] | None:
        if zoom < self.theme.size["lod_full"] - 1e-3:
            return None
        item = self.node_at(x, y)
        row = item.anatomy.row_at(x - item.x(), y - item.y()) if item is not None else None
        return (item, row) if item is not None and row is not None else None

    def note_at(self, x: float, y: float) -> str | None:
        return next((name for name, item in reversed(self.notes.items()) if item.visible and item.rect().contains(x, y)), None)

    def group_at(self, x: float, y: float, title_only: bool = True) -> str | None:
        """The smallest group whose title bar, or any part, lies there."""
        best: tuple[float, str] | None = None
        for name, item in self.groups.items():
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
        if folded is not None and self.groups[folded].group.folded:
            return Target("group", folded)
        link = self.links.at(x, y, 7 / zoom)
        note = self.note_at(x, y)
        if note is not None and link is None:
            return Target("note", note)
        if link is not None:
            return Target("link", link=link)
        group = self.group_at(x, y)
        return Target("group", group) if group is not None else Target("canvas")

    def port_of(self, target: Target) -> Port | None:
        side, _, name = target.name.partition(":")
        item = self.nodes.get(target.id)
        return item.anatomy.port(side, name) if item is not None else None


def _same_but_place(a: Node, b: Node) -> bool:
    """Whether two states of a node look the same elsewhere. May say no to equals."""
    return (
        a.values is b.values
        and a.extra is b.extra
        and (a.type, a.title, a.size, a.mode, a.folded, a.pinned, a.color, a.version)
        == (b.type, b.title, b.size, b.mode, b.folded, b.pinned, b.color, b.version)
    )


def _touches(item: Item, area: QRectF) -> bool:
    return item.reach().translated(item.x(), item.y()).intersects(area)
