"""The graph an artist edits: an immutable value. Every edit returns a new Graph that shares
what did not change, so undo keeps old graphs, and a run keeps the one it began with.

Mappings inside a Graph are plain dicts that nobody changes: an edit copies the one it touches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from nodegraph.errors import GraphError

if TYPE_CHECKING:
    import networkx as nx

Mode = Literal["on", "muted", "bypassed"]
Rect = tuple[float, float, float, float]
"""x, y, width, height in canvas units."""

REROUTE = "reroute"
"""The type of a dot that only hands a link on, from its "input" to its "output"."""

SUBGRAPH = "subgraph/"
"""A node of type "subgraph/NAME" stands for the definition NAME of its graph."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its type's id, the values of its controls by name, and how it stands on the canvas.

    A muted node does not run, nor does what needs it. A bypassed node hands its inputs on. `extra` keeps what a file
    said that this version does not know.
    """

    id: str
    type: str
    values: Mapping[str, Any] = field(default_factory=dict)
    position: tuple[float, float] = (0.0, 0.0)
    title: str | None = None
    size: tuple[float, float] | None = None
    mode: Mode = "on"
    folded: bool = False
    pinned: bool = False
    color: str | None = None
    version: int = 1
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subgraph(self) -> str | None:
        """The name of the definition it stands for, if it is an instance of a subgraph."""
        return self.type[len(SUBGRAPH) :] if self.type.startswith(SUBGRAPH) else None


class Link(NamedTuple):
    """A wire from one node's output to another's input."""

    source: str
    output: str
    target: str
    input: str


@dataclass(frozen=True, slots=True)
class Group:
    """A titled frame around nodes; moving, muting or folding it means its members."""

    id: str
    title: str = "Group"
    rect: Rect = (0.0, 0.0, 400.0, 300.0)
    members: frozenset[str] = frozenset()
    color: str | None = None
    folded: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Note:
    """A piece of Markdown on the canvas."""

    id: str
    text: str = ""
    rect: Rect = (0.0, 0.0, 216.0, 120.0)
    color: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class SubgraphInput(NamedTuple):
    """An input promoted to the outside of a subgraph, under a name of its own; it feeds one or several inner inputs."""

    name: str
    targets: tuple[tuple[str, str], ...]
    """(inner node, input) pairs"""


class SubgraphOutput(NamedTuple):
    """An output promoted to the outside of a subgraph."""

    name: str
    node: str
    output: str


@dataclass(frozen=True, slots=True)
class Subgraph:
    """A graph used as a node, as often as one likes. Values of promoted inputs are stored by name on each instance."""

    graph: Graph
    inputs: tuple[SubgraphInput, ...] = ()
    outputs: tuple[SubgraphOutput, ...] = ()
    title: str = ""
    help: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=True)
class Graph:
    """Nodes by id, and for each node the links that arrive at it (sorted by input; several at one input keep their order)."""

    nodes: Mapping[str, Node] = field(default_factory=dict)
    incoming: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    notes: Mapping[str, Note] = field(default_factory=dict)
    subgraphs: Mapping[str, Subgraph] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Title, author, description, and whatever else a file says about the whole."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What a file said at its top that this version does not know."""

    __hash__ = object.__hash__

    # -- looking

    @property
    def links(self) -> tuple[Link, ...]:
        """All links, by target."""
        return tuple(link for links in self.incoming.values() for link in links)

    def link_at(self, node_id: str, input: str) -> Link | None:
        """The link that arrives at an input (the first, if it takes several)."""
        return next((link for link in self.incoming.get(node_id, ()) if link.input == input), None)

    def links_from(self, node_id: str) -> tuple[Link, ...]:
        """The links that leave a node."""
        return tuple(link for link in self.links if link.source == node_id)

    def upstream(self, *node_ids: str) -> set[str]:
        """All nodes that feed these, without these themselves unless a loop leads back to them."""
        found: set[str] = set()
        waiting = list(node_ids)
        while waiting:
            for link in self.incoming.get(waiting.pop(), ()):
                if link.source not in found:
                    found.add(link.source)
                    waiting.append(link.source)
        return found

    def downstream(self, *node_ids: str) -> set[str]:
        """All nodes that these feed. Ask once when a drag begins, not at each mouse move."""
        outgoing: dict[str, list[str]] = {}
        for link in self.links:
            outgoing.setdefault(link.source, []).append(link.target)
        found: set[str] = set()
        waiting = list(node_ids)
        while waiting:
            for target in outgoing.get(waiting.pop(), ()):
                if target not in found:
                    found.add(target)
                    waiting.append(target)
        return found

    def flow(self) -> nx.DiGraph[str]:
        """The graph as networkx sees it, for order and layout."""
        import networkx as nx  # a tenth of a second that most commands need not spend

        flow: nx.DiGraph[str] = nx.DiGraph()
        flow.add_nodes_from(self.nodes)
        flow.add_edges_from((link.source, link.target) for link in self.links)
        return flow

    def free_id(self, wish: str) -> str:
        """An id that no node, group or note has yet: "sample", then "sample_2". A slash divides paths, so no id has one."""
        wish = wish.replace("/", "_").strip() or "node"
        stem = re.sub(r"_\d+$", "", wish)
        name, count = wish, 1
        while name in self.nodes or name in self.groups or name in self.notes:
            count += 1
            name = f"{stem}_{count}"
        return name

    def find(self, name: str) -> Node | None:
        """The node with this id, or else the only one with this title, whatever the case."""
        if name in self.nodes:
            return self.nodes[name]
        named = [node for node in self.nodes.values() if (node.title or "").lower() == name.lower()]
        return named[0] if len(named) == 1 else None

    # -- nodes

    def with_node(self, node: Node) -> Graph:
        """Add a node, or put it in place of the one with the same id."""
        return replace(self, nodes={**self.nodes, node.id: node})

    def with_nodes(self, nodes: Iterable[Node]) -> Graph:
        """Add or replace several nodes in one edit."""
        return replace(self, nodes={**self.nodes, **{node.id: node for node in nodes}})

    def added(self, type: str, position: tuple[float, float] = (0.0, 0.0), version: int = 1, **values: Any) -> tuple[Graph, str]:
        """Add a new node of this type under a free id, which is returned too."""
        node_id = self.free_id(type.rpartition("/")[2] or "node")
        return self.with_node(Node(node_id, type, values, position, version=version)), node_id

    def changed(self, node_id: str, **fields: Any) -> Graph:
        """Change fields of a node: title, color, mode, folded, pinned, size, position."""
        return self.with_node(replace(self.nodes[node_id], **fields))

    def with_value(self, node_id: str, name: str, value: Any) -> Graph:
        """Set one control of a node."""
        node = self.nodes[node_id]
        return self.with_node(replace(node, values={**node.values, name: value}))

    def without_value(self, node_id: str, name: str) -> Graph:
        """Put one control back to its default."""
        node = self.nodes[node_id]
        return self.with_node(replace(node, values={key: value for key, value in node.values.items() if key != name}))

    def moved(self, ids: Iterable[str], dx: float, dy: float) -> Graph:
        """Move nodes, groups and notes. A group's members move only if they are named too."""
        nodes, groups, notes = dict(self.nodes), dict(self.groups), dict(self.notes)
        for name in ids:
            if name in nodes:
                x, y = nodes[name].position
                nodes[name] = replace(nodes[name], position=(x + dx, y + dy))
            elif name in groups:
                x, y, w, h = groups[name].rect
                groups[name] = replace(groups[name], rect=(x + dx, y + dy, w, h))
            elif name in notes:
                x, y, w, h = notes[name].rect
                notes[name] = replace(notes[name], rect=(x + dx, y + dy, w, h))
        return replace(self, nodes=nodes, groups=groups, notes=notes)

    def without(self, *ids: str) -> Graph:
        """Remove nodes (with their links), groups (not their members) and notes."""
        gone = set(ids)
        incoming = {}
        for target, links in self.incoming.items():
            if target not in gone:
                kept = tuple(link for link in links if link.source not in gone)
                if kept:
                    incoming[target] = links if len(kept) == len(links) else kept
        groups = {
            name: replace(group, members=group.members - gone) if group.members & gone else group
            for name, group in self.groups.items()
            if name not in gone
        }
        return replace(
            self,
            nodes={name: node for name, node in self.nodes.items() if name not in gone},
            incoming=incoming,
            groups=groups,
            notes={name: note for name, note in self.notes.items() if name not in gone},
        )

    # -- links

    def with_link(self, link: Link, many: bool = False) -> Graph:
        """Connect two ports. A link already at the input gives way, unless the input takes `many`.

        Raises:
            GraphError: One of the nodes is not there, or the link would close a loop.
        """
        for name in (link.source, link.target):
            if name not in self.nodes:
                raise GraphError(f"There is no node '{name}' to connect.", name)
        if link.source == link.target or link.target in self.upstream(link.source):
            source, target = self.nodes[link.source].title or link.source, self.nodes[link.target].title or link.target
            raise GraphError(f"'{source}' cannot feed '{target}': that would close a loop.", link.target, link.input)
        return self._with_links(link.target, [*self._others(link, many), link])

    def without_link(self, link: Link) -> Graph:
        """Take a link away. One that is not there changes nothing."""
        links = self.incoming.get(link.target, ())
        return self._with_links(link.target, [old for old in links if old != link]) if link in links else self

    def _others(self, link: Link, many: bool) -> list[Link]:
        return [old for old in self.incoming.get(link.target, ()) if old != link and (many or old.input != link.input)]

    def _with_links(self, target: str, links: list[Link]) -> Graph:
        incoming = dict(self.incoming)
        if links:
            incoming[target] = tuple(sorted(links, key=lambda link: link.input))
        else:
            incoming.pop(target, None)
        return replace(self, incoming=incoming)

    # -- frames, notes, definitions, words about the whole

    def with_group(self, group: Group) -> Graph:
        """Add a group, or put it in place of the one with the same id."""
        return replace(self, groups={**self.groups, group.id: group})

    def with_note(self, note: Note) -> Graph:
        """Add a note, or put it in place of the one with the same id."""
        return replace(self, notes={**self.notes, note.id: note})

    def with_subgraph(self, name: str, definition: Subgraph) -> Graph:
        """Add or change a definition; all its instances follow."""
        return replace(self, subgraphs={**self.subgraphs, name: definition})

    def with_meta(self, **words: Any) -> Graph:
        """Set words about the whole, as its title; None takes one away."""
        return replace(self, meta={key: value for key, value in {**self.meta, **words}.items() if value is not None})

    # -- copy and paste

    def fragment(self, ids: Iterable[str]) -> Graph:
        """These nodes, groups and notes, the links among them, and the definitions that they use: what "copy" takes."""
        wanted = set(ids)
        nodes = {name: node for name, node in self.nodes.items() if name in wanted}
        incoming = {}
        for target in nodes:
            kept = tuple(link for link in self.incoming.get(target, ()) if link.source in nodes)
            if kept:
                incoming[target] = kept
        return Graph(
            nodes=nodes,
            incoming=incoming,
            groups={k: replace(g, members=g.members & wanted) for k, g in self.groups.items() if k in wanted},
            notes={k: n for k, n in self.notes.items() if k in wanted},
            subgraphs=_used(nodes.values(), self.subgraphs),
        )

    def pasted(self, fragment: Graph, dx: float = 32.0, dy: float = 32.0) -> tuple[Graph, dict[str, str]]:
        """Add a fragment under free ids, moved by (dx, dy); also returns old id -> new id.

        A definition whose name is taken by a different one comes in under a new name.
        """
        names: dict[str, str] = {}
        definitions = _names_for(fragment.subgraphs, self.subgraphs)
        graph = replace(self, subgraphs={**self.subgraphs, **_under_names(fragment.subgraphs, definitions)})
        nodes, incoming = dict(graph.nodes), dict(graph.incoming)
        for node in fragment.nodes.values():
            names[node.id] = replace(graph, nodes=nodes).free_id(node.id)
            x, y = node.position
            nodes[names[node.id]] = replace(_instance_of(node, definitions), id=names[node.id], position=(x + dx, y + dy))
        for target, links in fragment.incoming.items():
            incoming[names[target]] = tuple(Link(names[k.source], k.output, names[k.target], k.input) for k in links)
        graph = replace(graph, nodes=nodes, incoming=incoming)
        for group in fragment.groups.values():
            names[group.id] = graph.free_id(group.id)
            x, y, w, h = group.rect
            members = frozenset(names[m] for m in group.members if m in names)
            graph = graph.with_group(replace(group, id=names[group.id], rect=(x + dx, y + dy, w, h), members=members))
        for note in fragment.notes.values():
            names[note.id] = graph.free_id(note.id)
            x, y, w, h = note.rect
            graph = graph.with_note(replace(note, id=names[note.id], rect=(x + dx, y + dy, w, h)))
        return graph, names


def _instance_of(node: Node, names: Mapping[str, str]) -> Node:
    """The node, standing for its definition under the new name if that got one."""
    name = node.subgraph
    return node if name is None or names.get(name, name) == name else replace(node, type=SUBGRAPH + names[name])


def _under_names(definitions: Mapping[str, Subgraph], names: Mapping[str, str]) -> dict[str, Subgraph]:
    """The definitions under new names, the instances that stand inside them too."""
    made = {}
    for name, definition in definitions.items():
        nodes = {key: _instance_of(node, names) for key, node in definition.graph.nodes.items()}
        same = all(nodes[key] is node for key, node in definition.graph.nodes.items())
        made[names[name]] = definition if same else replace(definition, graph=replace(definition.graph, nodes=nodes))
    return made


def _names_for(coming: Mapping[str, Subgraph], there: Mapping[str, Subgraph]) -> dict[str, str]:
    """Names under which definitions join others: their own, unless a different one has it. One that holds a renamed one differs too."""
    names = {name: name for name in coming}
    while True:
        made = _under_names(coming, names)
        clash = next((name for name, new in names.items() if new in there and there[new] != made[new]), None)
        if clash is None:
            return names
        again = names[clash] != clash  # then only a name that nobody has, so that this comes to an end
        same, count = made[names[clash]], 2
        while (new := f"{clash}_{count}") in names.values() or (new in there and (again or there[new] != same)):
            count += 1
        names[clash] = new


def _used(nodes: Iterable[Node], subgraphs: Mapping[str, Subgraph]) -> dict[str, Subgraph]:
    """The definitions that these nodes stand for, and those that stand inside them."""
    used: dict[str, Subgraph] = {}
    waiting = list(nodes)
    while waiting:
        name = waiting.pop().subgraph
        if name is not None and name in subgraphs and name not in used:
            used[name] = subgraphs[name]
            waiting += subgraphs[name].graph.nodes.values()
    return {name: subgraphs[name] for name in subgraphs if name in used}


class Change(NamedTuple):
    """What a view must redraw to show `after` in place of `before`. A node whose links came into another order counts as changed."""

    added: frozenset[str]
    removed: frozenset[str]
    changed: frozenset[str]
    linked: frozenset[Link]
    unlinked: frozenset[Link]
    groups: frozenset[str]
    notes: frozenset[str]
    subgraphs: frozenset[str]
    meta: bool

    def __bool__(self) -> bool:
        return any(self)


def difference(before: Graph, after: Graph) -> Change:
    """What changed between two graphs. Cheap when they share most of their parts, as neighbours in an undo stack do."""
    old, new = before.nodes, after.nodes
    linked: set[Link] = set()
    unlinked: set[Link] = set()
    reordered: set[str] = set()
    if before.incoming is not after.incoming:
        for target in before.incoming.keys() | after.incoming.keys():
            was, now = before.incoming.get(target, ()), after.incoming.get(target, ())
            if was is not now:
                linked |= set(now) - set(was)
                unlinked |= set(was) - set(now)
                if len(was) > 1 and was != now and set(was) & set(now):
                    both = set(was) & set(now)
                    if [link for link in was if link in both] != [link for link in now if link in both]:
                        reordered.add(target)
    return Change(
        added=frozenset(new.keys() - old.keys()) if new is not old else frozenset(),
        removed=frozenset(old.keys() - new.keys()) if new is not old else frozenset(),
        changed=frozenset((_changed(old, new) | reordered) & old.keys() & new.keys()),
        linked=frozenset(linked),
        unlinked=frozenset(unlinked),
        groups=_changed(before.groups, after.groups),
        notes=_changed(before.notes, after.notes),
        subgraphs=_changed(before.subgraphs, after.subgraphs),
        meta=(before.meta is not after.meta and before.meta != after.meta) or before.extra != after.extra,
    )


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> frozenset[str]:
    if old is new:
        return frozenset()
    return frozenset(k for k in old.keys() | new.keys() if old.get(k) is not new.get(k) and old.get(k) != new.get(k))


Edit = Callable[[Graph], Graph]
"""What an editor hands to a document: from the graph as it is to the graph as it shall be."""
