"""Edits that hands and keys ask for, as plain functions from Graph to Graph. No Qt here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from nodegraph.errors import GraphError
from nodegraph.graph import REROUTE, SUBGRAPH, Graph, Group, Link, Mode, Note, Rect
from nodegraph.spec import ANY, Input, NodeSpec, accepts
from ui.canvas.model import PortRef
from ui.canvas.ports import Ports


def linked(graph: Graph, ports: Ports, link: Link) -> Graph:
    """A link drawn by hand: inputs that take many keep their others.

    Raises:
        GraphError: It would close a loop.
    """
    return graph.with_link(link, many=_takes_many(graph, ports, link.target, link.input))


def _takes_many(graph: Graph, ports: Ports, node_id: str, name: str) -> bool:
    node = graph.nodes.get(node_id)
    port = ports.spec(node).by_name.get(name) if node is not None else None
    return port is not None and port.many


def link_between(a: PortRef, b: PortRef) -> Link:
    source, target = (a, b) if a.side == "out" else (b, a)
    return Link(source.node, source.name, target.node, target.name)


def with_new(graph: Graph, spec: NodeSpec, position: tuple[float, float], values: Mapping[str, Any] | None = None) -> tuple[Graph, str]:
    """Add a node of this kind."""
    graph, name = graph.added(spec.id, position, spec.version)
    return (graph.changed(name, values=dict(values)), name) if values else (graph, name)


def fitting_port(spec: NodeSpec, hint: PortRef) -> str | None:
    """The port of a new node that a link from `hint` goes to: of the very type first, then one that takes it; required ones first."""
    if hint.side == "out":
        inputs = [item for item in spec.inputs if accepts(item.type, hint.type)]
        inputs.sort(key=lambda item: (item.type != hint.type, not item.is_port, not item.is_required, spec.inputs.index(item)))
        return inputs[0].name if inputs else None
    outputs = [item for item in spec.outputs if accepts(hint.type, item.type)]
    outputs.sort(key=lambda item: (item.type != hint.type, spec.outputs.index(item)))
    return outputs[0].name if outputs else None


def rerouted(graph: Graph, links: Iterable[Link], position: tuple[float, float]) -> tuple[Graph, str]:
    """Put a dot into links that come from one output."""
    links = list(links)
    graph, dot = graph.added(REROUTE, position)
    first = links[0]
    for link in links:
        graph = graph.without_link(link)
    graph = graph.with_link(Link(first.source, first.output, dot, "input"))
    for link in links:
        graph = graph.with_link(Link(dot, "output", link.target, link.input), many=True)
    return graph, dot


def inserted(graph: Graph, ports: Ports, node_id: str, link: Link) -> Graph | None:
    """Put a node into a link: its first free input that takes what the link carries, its first output that the other end takes.

    None when it does not fit, or would feed itself.
    """
    node = graph.nodes.get(node_id)
    if node is None or node_id in (link.source, link.target):
        return None
    spec = ports.spec(node)
    carries, wanted = ports.output_type(link.source, link.output), ports.input_type(link.target, link.input)
    taken = {old.input for old in graph.incoming.get(node_id, ())}
    entrance = next((i.name for i in spec.inputs if i.is_port and i.name not in taken and accepts(i.type, carries)), None)
    if entrance is None:
        return None
    variable = spec.by_name[entrance].variable
    way_out = None
    for output in spec.outputs:
        gives = carries if output.type == ANY and output.variable == variable else output.type
        if accepts(wanted, gives):
            way_out = output.name
            break
    if way_out is None:
        return None
    try:
        without = graph.without_link(link)
        return without.with_link(Link(link.source, link.output, node_id, entrance)).with_link(
            Link(node_id, way_out, link.target, link.input), many=_takes_many(graph, ports, link.target, link.input)
        )
    except GraphError:
        return None


def detached(graph: Graph, ports: Ports, ids: Iterable[str]) -> Graph:
    """Take nodes out of their links; what came in goes on to where it went, when the types fit."""
    chosen = set(ids)
    entering = [link for link in graph.links if link.target in chosen and link.source not in chosen]
    leaving = [link for link in graph.links if link.source in chosen and link.target not in chosen]
    result = graph
    for link in entering + leaving:
        result = result.without_link(link)
    for out in leaving:
        wanted = ports.input_type(out.target, out.input)
        exact = [i for i in entering if ports.output_type(i.source, i.output) == wanted] or [
            i for i in entering if accepts(wanted, ports.output_type(i.source, i.output))
        ]
        if exact:
            try:
                result = result.with_link(
                    Link(exact[0].source, exact[0].output, out.target, out.input), many=_takes_many(graph, ports, out.target, out.input)
                )
            except GraphError:
                continue
    return result


def deleted(graph: Graph, ports: Ports, ids: Iterable[str], links: Iterable[Link] = (), heal: bool = False) -> Graph:
    """Remove what is chosen, except pinned nodes. Dots always heal: a reroute that goes leaves its link."""
    chosen = {name for name in ids if name not in graph.nodes or not graph.nodes[name].pinned}
    for link in links:
        graph = graph.without_link(link)
    mended = chosen & graph.nodes.keys() if heal else {n for n in chosen if n in graph.nodes and graph.nodes[n].type == REROUTE}
    if mended:
        graph = detached(graph, ports, mended)
    return graph.without(*chosen)


def duplicated(
    graph: Graph, ports: Ports, ids: Iterable[str], dx: float, dy: float, with_inputs: bool = False
) -> tuple[Graph, dict[str, str]]:
    """Copy nodes, groups and notes beside themselves; with their incoming links on demand. Also returns old id -> new id."""
    chosen = set(ids)
    result, names = graph.pasted(graph.fragment(chosen), dx, dy)
    if with_inputs:
        result = _with_incoming(result, ports, graph, names)
    return result, names


def _with_incoming(result: Graph, ports: Ports, before: Graph, names: Mapping[str, str]) -> Graph:
    for old, new in names.items():
        for link in before.incoming.get(old, ()):
            if link.source not in names and link.source in result.nodes:
                result = result.with_link(Link(link.source, link.output, new, link.input), many=_takes_many(before, ports, old, link.input))
    return result


def pasted(
    graph: Graph, ports: Ports, fragment: Graph, at: tuple[float, float], incoming: Sequence[Link] = ()
) -> tuple[Graph, dict[str, str]]:
    """Add a fragment with its top left corner at a place. `incoming` are links from nodes that may still be here, kept by "copy"."""
    corners = [node.position for node in fragment.nodes.values()] + [(r[0], r[1]) for r in _rects(fragment)]
    if not corners:
        return graph, {}
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    result, names = graph.pasted(fragment, at[0] - left, at[1] - top)
    for link in incoming:
        if link.target in names and link.source in graph.nodes:
            target = names[link.target]
            try:
                result = result.with_link(
                    Link(link.source, link.output, target, link.input), many=_takes_many(graph, ports, link.target, link.input)
                )
            except GraphError:
                continue
    return result, names


def _rects(graph: Graph) -> list[Rect]:
    return [group.rect for group in graph.groups.values()] + [note.rect for note in graph.notes.values()]


def moved_links(graph: Graph, ports: Ports, source: PortRef, target: PortRef) -> Graph:
    """Let all links of one output come from another.

    Raises:
        GraphError: One of them would close a loop.
    """
    for link in graph.links_from(source.node):
        if link.output == source.name:
            many = _takes_many(graph, ports, link.target, link.input)
            graph = graph.without_link(link).with_link(Link(target.node, target.name, link.target, link.input), many)
    return graph


def with_mode(graph: Graph, ids: Iterable[str], mode: Mode) -> Graph:
    """Switch nodes to a mode, or back on when all of them have it. A group means its members."""
    names = set(ids)
    for group in [graph.groups[name] for name in names if name in graph.groups]:
        names |= group.members
    nodes = [graph.nodes[name] for name in names if name in graph.nodes and graph.nodes[name].type != REROUTE]
    wanted: Mode = "on" if nodes and all(node.mode == mode for node in nodes) else mode
    return graph.with_nodes(replace(node, mode=wanted) for node in nodes) if nodes else graph


def folded(graph: Graph, ids: Iterable[str]) -> Graph:
    """Fold nodes and groups, or unfold them when all are folded."""
    names = set(ids)
    nodes = [graph.nodes[name] for name in names if name in graph.nodes and graph.nodes[name].type != REROUTE]
    groups = [graph.groups[name] for name in names if name in graph.groups]
    if not nodes and not groups:
        return graph
    wanted = not (all(node.folded for node in nodes) and all(group.folded for group in groups))
    graph = graph.with_nodes(replace(node, folded=wanted) for node in nodes)
    for group in groups:
        graph = graph.with_group(replace(group, folded=wanted))
    return graph


def pinned(graph: Graph, ids: Iterable[str]) -> Graph:
    nodes = [graph.nodes[name] for name in ids if name in graph.nodes]
    wanted = not all(node.pinned for node in nodes)
    return graph.with_nodes(replace(node, pinned=wanted) for node in nodes) if nodes else graph


def with_extra(graph: Graph, node_id: str, name: str, value: Any) -> Graph:
    """Set a word in a node's `extra`; None takes it away."""
    node = graph.nodes[node_id]
    extra = {key: old for key, old in node.extra.items() if key != name}
    if value is not None:
        extra[name] = value
    return graph.with_node(replace(node, extra=extra))


def with_links_hidden(graph: Graph, links: Iterable[Link]) -> Graph:
    """Hide links, drawing them as stubs; show them again when all are hidden."""
    by_target: dict[str, list[str]] = {}
    for link in links:
        by_target.setdefault(link.target, []).append(link.input)

    def hidden_at(name: str) -> tuple[str, ...]:
        kept = graph.nodes[name].extra.get("hidden_links", ())
        return tuple(kept) if isinstance(kept, list | tuple) else ()

    show = all(name in hidden_at(target) for target, names in by_target.items() for name in names)
    for target, names in by_target.items():
        before = hidden_at(target)
        after = [n for n in before if n not in names] if show else list(dict.fromkeys((*before, *names)))
        graph = with_extra(graph, target, "hidden_links", after or None)
    return graph


# Groups -----------------------------------------------------------------------------------------------------------


def grouped(graph: Graph, ids: Iterable[str], around: Rect, title: str = "Group") -> tuple[Graph, str]:
    """Put a frame around nodes."""
    name = graph.free_id("group")
    x, y, width, height = around
    rect = (x - 16, y - 44, width + 32, height + 60)
    members = frozenset(i for i in ids if i in graph.nodes)
    return graph.with_group(Group(name, title, rect, members)), name


def ungrouped(graph: Graph, ids: Iterable[str]) -> Graph:
    """Take frames away, not what is in them: groups that are chosen, or that hold a chosen node."""
    chosen = set(ids)
    gone = [name for name, group in graph.groups.items() if name in chosen or group.members & chosen]
    return graph.without(*gone) if gone else graph


def with_members(graph: Graph, boxes: Mapping[str, Rect]) -> Graph:
    """Nodes that were moved join the smallest open group that holds their middle, and leave those that no longer do."""
    frames = sorted((g for g in graph.groups.values() if not g.folded), key=lambda g: g.rect[2] * g.rect[3])
    joined: dict[str, str | None] = {}
    for name, (x, y, width, height) in boxes.items():
        cx, cy = x + width / 2, y + min(height, 60) / 2
        home = next((g.id for g in frames if g.rect[0] <= cx <= g.rect[0] + g.rect[2] and g.rect[1] <= cy <= g.rect[1] + g.rect[3]), None)
        joined[name] = home
    for group in frames:
        members = (group.members - joined.keys()) | {name for name, home in joined.items() if home == group.id}
        if members != group.members:
            graph = graph.with_group(replace(group, members=members))
    return graph


def with_size(graph: Graph, name: str, rect: Rect) -> Graph:
    """Give a node, group or note another place and size."""
    if name in graph.nodes:
        return graph.changed(name, position=(rect[0], rect[1]), size=(rect[2], rect[3]))
    if name in graph.groups:
        return graph.with_group(replace(graph.groups[name], rect=rect))
    return graph.with_note(replace(graph.notes[name], rect=rect))


def with_note_text(graph: Graph, name: str, text: str) -> Graph:
    return graph.with_note(replace(graph.notes[name], text=text))


def with_note_at(graph: Graph, at: tuple[float, float], text: str = "") -> tuple[Graph, str]:
    name = graph.free_id("note")
    return graph.with_note(Note(name, text, (at[0], at[1], 216.0, 120.0))), name


def shifted(graph: Graph, steps: Mapping[str, tuple[float, float]]) -> Graph:
    """Each thing moved by its own step; all nodes at once, because each edit copies the table of nodes."""
    steps = {name: step for name, step in steps.items() if step != (0.0, 0.0)}
    nodes = []
    for name, (dx, dy) in steps.items():
        if name in graph.nodes:
            x, y = graph.nodes[name].position
            nodes.append(replace(graph.nodes[name], position=(x + dx, y + dy)))
    graph = graph.with_nodes(nodes) if nodes else graph
    for name in steps.keys() - graph.nodes.keys():
        graph = graph.moved([name], *steps[name])
    return graph


def with_color(graph: Graph, ids: Iterable[str], color: str | None) -> Graph:
    """Colour nodes, groups and notes; None gives them their own colour back."""
    for name in ids:
        if name in graph.nodes:
            graph = graph.changed(name, color=color)
        elif name in graph.groups:
            graph = graph.with_group(replace(graph.groups[name], color=color))
        elif name in graph.notes:
            graph = graph.with_note(replace(graph.notes[name], color=color))
    return graph


def with_links_among(graph: Graph, ports: Ports, ids: Sequence[str], x_of: Mapping[str, float]) -> Graph:
    """Link chosen nodes from left to right: the free port inputs of a node take the nearest outputs to their left that fit.

    Inputs that the same outputs fit take one each, in order, as of two prompts the left one goes to 'positive'. Only a required input takes
    what another input of its node has already."""
    ordered = sorted((name for name in ids if name in graph.nodes), key=lambda name: x_of[name])
    for place, name in enumerate(ordered):
        coming = graph.incoming.get(name, ())
        given, taken = {(link.source, link.output) for link in coming}, {link.input for link in coming}
        waiting: dict[tuple[tuple[int, int, str, str], ...], list[Input]] = {}
        for item in ports.spec(graph.nodes[name]).inputs:
            if item.is_port and (item.name not in taken or item.many):
                fitting = tuple(
                    (-back, number, source, output.name)
                    for back, source in enumerate(reversed(ordered[:place]))
                    for number, output in enumerate(ports.spec(graph.nodes[source]).outputs)
                    if accepts(ports.input_type(name, item.name), ports.output_type(source, output.name))
                )
                waiting.setdefault(fitting, []).append(item)
        for fitting, items in waiting.items():
            fresh = [offer for offer in fitting if offer[2:] not in given]
            for item, offer in zip_longest(items, sorted(fresh[: len(items)])):
                if offer is None and item.is_required:
                    offer = fitting[0] if fitting else None
                if offer is not None:
                    graph = graph.with_link(Link(*offer[2:], name, item.name), many=item.many)
    return graph


def loops_into(root: Graph, shown: Graph, types: Iterable[str]) -> str | None:
    """The first of some node types that may not stand in the graph shown, because it is the very subgraph or holds it."""
    open_names = {name for name, definition in root.subgraphs.items() if definition.graph is shown}
    for type_ in types:
        waiting, seen = [type_], set[str]()
        while waiting and open_names:
            name = waiting.pop().removeprefix(SUBGRAPH)
            if name in open_names:
                return type_
            if name in root.subgraphs and name not in seen:
                seen.add(name)
                waiting += [node.type for node in root.subgraphs[name].graph.nodes.values() if node.subgraph]
    return None


def snapped(value: float, step: float) -> float:
    return round(value / step) * step
