"""The scene mirrors a document: it takes each difference of the graph and touches only the items that it concerns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from PySide6.QtCore import QObject, QRectF, Signal
from PySide6.QtGui import QTransform

from nodegraph.graph import REROUTE, Change, Group, Link, Node
from nodegraph.spec import ANY, NodeSpec
from ui.canvas import inside
from ui.canvas.anatomy import HEADER
from ui.canvas.group_item import GroupItem
from ui.canvas.inside import End
from ui.canvas.link_layer import LinkLayer
from ui.canvas.looks import look_of
from ui.canvas.model import CanvasDocument, PortRef
from ui.canvas.node_item import BodyCache, NodeItem
from ui.canvas.note_item import NoteItem
from ui.canvas.overlay import OverlayLayer
from ui.canvas.places import Places
from ui.canvas.ports import Ports
from ui.canvas.runs_shown import RunsShown
from ui.canvas.wires import End as WireEnd
from ui.theme import Theme

NONE: frozenset[str] = frozenset()
MANY = 60  # things that change at once: telling each part that is to be painted would cost more than painting all


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
        self.places = Places(self)
        self._chosen: frozenset[str] = frozenset()
        self._quiet = False  # so much changes that all is painted again at the end
        self.folded_into: dict[str, str] = {}  # node or note -> the folded group that hides it
        self.shown_outside: frozenset[End] = frozenset()  # inner ports of an open subgraph that its instances show
        self.specs: Mapping[str, NodeSpec] = document.specs
        self.ports = Ports(document.graph, document.root, self.specs)
        self.links = LinkLayer(self)
        self.overlay = OverlayLayer(self)
        self.runs = RunsShown(self)
        document.changed.connect(self.apply)
        document.scope_changed.connect(self.rebuild)
        document.specs_changed.connect(self._take_specs)
        document.selection_changed.connect(self.show_selection)
        document.states_changed.connect(self.runs.show)
        self.rebuild()

    # -- mirroring

    def rebuild(self) -> None:
        """Show the document's graph from nothing."""
        graph = self.document.graph
        self.nodes, self.groups, self.notes = {}, {}, {}
        self.links.clear()
        self.overlay.clear()
        self.bodies.clear()
        self.places.clear()
        self.specs = self.document.specs
        self.ports = Ports(graph, self.document.root, self.specs)
        self.shown_outside = self._ends_outside()
        self._find_folded()
        for group in graph.groups.values():
            self._show_group(group)
        for note in graph.notes:
            self._show_note(note)
        for node in graph.nodes.values():
            self._show_node(node)
        self.links.add(graph.links)
        self.show_selection()
        self.runs.watch()
        self.rebuilt.emit()
        self.content_changed.emit()

    def _take_specs(self) -> None:
        """Nodes may be added that were not there before; those shown are as they were."""
        self.specs = self.document.specs
        self.ports = self.ports.refreshed(self.document.graph, self.document.root, self.specs)

    def apply(self, change: Change) -> None:
        """Take over one difference."""
        self._quiet = len(change.added) + len(change.changed) + len(change.removed) + len(change.linked) + len(change.unlinked) > MANY
        try:
            self._apply(change)
        finally:
            if self._quiet:
                self._quiet = False
                self.repaint_all()

    def _apply(self, change: Change) -> None:
        graph = self.document.graph
        self.specs = self.document.specs
        self.ports = self.ports.refreshed(graph, self.document.root, self.specs)
        folded_before = dict(self.folded_into)
        if change.groups:
            self._find_folded()
        self.links.drop(change.unlinked)
        for name in change.removed:
            self._drop_node(name)
        anew = set(change.added)  # nodes that may look different, not only lie elsewhere
        if change.linked or change.unlinked:
            ends = {name for link in change.linked | change.unlinked for name in (link.source, link.target)}
            anew |= ends
            if any(graph.nodes[name].type == REROUTE or self._has_variables(name) for name in ends if name in graph.nodes):
                anew |= graph.downstream(*ends)
        if change.subgraphs:
            before, self.shown_outside = self.shown_outside, self._ends_outside()
            anew |= {name for _, name, _ in before ^ self.shown_outside}
            anew |= {node.id for node in graph.nodes.values() if node.subgraph in change.subgraphs}
        anew |= {name for name in folded_before.keys() ^ self.folded_into.keys() if name in graph.nodes}
        shifted = self._shift_only(change.changed - anew, graph.nodes) if not folded_before and not self.folded_into else {}
        anew |= change.changed - shifted.keys()
        for name in anew:
            if name in graph.nodes:
                self._show_node(graph.nodes[name])
        for name in change.groups:
            if name in graph.groups:
                self._show_group(graph.groups[name])
            elif name in self.groups:
                self.groups.pop(name).update()
        for name in change.notes | {n for n in folded_before.keys() ^ self.folded_into.keys() if n in graph.notes}:
            if name in graph.notes:
                self._show_note(name)
            elif name in self.notes:
                self.bodies.forget(f"note:{name}")
                self.notes.pop(name).update()
        inside = {m for name in change.groups if name in graph.groups for m in graph.groups[name].members}
        together: dict[tuple[float, float], set[str]] = {}
        for name, step in shifted.items():
            together.setdefault(step, set()).add(name)
        together.pop((0.0, 0.0), None)
        again = (anew | inside) - shifted.keys()
        if len(together) > 8:  # each went its own way
            again = again.union(*together.values())
        else:
            for step, names in together.items():
                self.links.translate(names, *step)
        if again:
            self.links.reroute(again)
        self.links.add(change.linked)
        if shifted or change.removed or change.groups:
            self.repaint_all()
        self.show_selection()
        self.runs.watch()
        self.content_changed.emit()

    def _shift_only(self, names: Iterable[str], nodes: Mapping[str, Node]) -> dict[str, tuple[float, float]]:
        """Nodes of which only the place changed are just put there; returns how far each went."""
        found: dict[str, tuple[float, float]] = {}
        for name in names:
            item, node = self.nodes.get(name), nodes.get(name)
            if item is None or node is None or not _same_but_place(item.node, node):
                continue
            x, y = item.corner(node.position)
            before = self.places.box(name)
            item.node = node
            item.set_pos(x, y)
            self.places.put(item)
            now = self.places.box(name)
            found[name] = (now[0] - before[0], now[1] - before[1])
        return found

    def _ends_outside(self) -> frozenset[End]:
        name = inside.open_name(self.document.root, self.document.graph)
        return frozenset() if name is None else inside.ends_of(self.document.root.subgraphs[name])

    def _has_variables(self, name: str) -> bool:
        return any(output.type == ANY for output in self.ports.spec(self.document.graph.nodes[name]).outputs)

    def _show_node(self, node: Node) -> None:
        spec, look = look_of(self, node)
        item = self.nodes.get(node.id)
        if item is None:
            item = self.nodes[node.id] = NodeItem(self, node, spec, look)
        else:
            item.show_node(node, spec, look)
        item.visible = node.id not in self.folded_into
        self.places.put(item)

    def _drop_node(self, name: str) -> None:
        item = self.nodes.pop(name, None)
        if item is None:
            return
        self.bodies.forget(name)
        self.places.forget(name)
        item.update()

    def _show_group(self, group: Group) -> None:
        item = self.groups.get(group.id)
        if item is None:
            item = self.groups[group.id] = GroupItem(self, group)
        else:
            item.show_group(group)
        item.visible = group.id not in self.folded_into

    def _show_note(self, name: str) -> None:
        note = self.document.graph.notes[name]
        item = self.notes.get(name)
        if item is None:
            item = self.notes[name] = NoteItem(self, note)
        else:
            item.show_note(note)
        item.visible = name not in self.folded_into

    def _find_folded(self) -> None:
        graph = self.document.graph
        self.folded_into = {}
        for group in graph.groups.values():
            if group.folded:
                for member in self.members_of(group.id):
                    self.folded_into.setdefault(member, group.id)

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

    # -- what the document tells

    def show_selection(self) -> None:
        chosen = self.document.selection
        changed: set[str] = set()
        quiet, self._quiet = self._quiet, self._quiet or len(chosen ^ self._chosen) > MANY
        for items in (self.nodes, self.groups, self.notes):
            for name, item in items.items():
                if item.selected != (name in chosen):
                    item.select(name in chosen)
                    changed.add(name)
        before, self._chosen = self._chosen, chosen
        if self.focus_links and before != chosen:  # also when what was chosen has gone
            self.links.restyle()
        elif changed:
            self.links.restyle(changed & self.nodes.keys())
        if self._quiet and not quiet:
            self._quiet = False
            self.repaint_all()
        if changed:
            self.content_changed.emit()

    def set_theme(self, theme: Theme) -> None:
        self.theme = theme
        self.rebuild()

    def repaint_all(self) -> None:
        if self.screen is not None:
            self.screen.repaint_canvas(None)

    def repaint(self, rect: QRectF) -> None:
        """Paint a part of the canvas again."""
        if self.screen is not None and not self._quiet:
            self.screen.repaint_canvas(rect)

    def shown_now(self) -> tuple[QTransform, float, int, int] | None:
        """How the view shows the canvas: transform, device pixel ratio, width, height; None while it cannot be seen."""
        return self.screen.shown_now() if self.screen is not None else None

    def is_on_screen(self) -> bool:
        """Whether this paints the view itself, not a picture of the graph."""
        return not self.in_picture

    # -- what links and painters ask

    def anchor(self, node_id: str, side: str, name: str) -> WireEnd | None:
        """Where a link ends; None when both its ends may be inside one folded group."""
        folded = self.folded_into.get(node_id)
        if folded is not None:
            outer = self.groups.get(folded)
            while folded in self.folded_into:
                folded = self.folded_into[folded]
                outer = self.groups.get(folded)
            if outer is None:
                return None
            rect = outer.rect()
            return WireEnd(rect.left() if side == "in" else rect.right(), rect.top() + HEADER / 2, rect.top(), rect.bottom())
        item = self.nodes.get(node_id)
        if item is None:
            return None
        made = item.anatomy
        port = made.port(side, name)
        x, y = item.x(), item.y()
        if port is None:  # a port that the node does not have (any more): the link stays, at the header
            return WireEnd(x if side == "in" else x + made.width, y + HEADER / 2, y, y + made.height)
        return WireEnd(x + port.x, y + port.y, y, y + made.height)

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


def _same_but_place(a: Node, b: Node) -> bool:
    """Whether two states of a node look the same elsewhere. May say no to equals."""
    return (
        a.values is b.values
        and a.extra is b.extra
        and (a.type, a.title, a.size, a.mode, a.folded, a.pinned, a.color, a.version)
        == (b.type, b.title, b.size, b.mode, b.folded, b.pinned, b.color, b.version)
    )
