"""Subgraphs: a graph used as a node. Their spec seen from outside, and a graph with all of them laid open.

Values that an instance sets are stored by the promoted input's name, so that editing a definition never shifts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nodegraph.errors import GraphError, Problem
from nodegraph.graph import SUBGRAPH, Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.spec import ANY, Input, NodeSpec, Output

MAX_NESTING = 32


def spec_of(name: str, graph: Graph, specs: Mapping[str, NodeSpec], _depth: int = 0) -> NodeSpec:
    """What an instance of a definition looks like: its promoted inputs and outputs under their own names.

    An inner node that is not known makes a port of any type, so that links to it stay.
    """
    definition = graph.subgraphs[name]
    inputs = []
    for promoted in definition.inputs:
        found = None
        for node_id, input_name in promoted.targets:
            node = definition.graph.nodes.get(node_id)
            spec = _spec(node, graph, specs, _depth) if node else None
            found = spec.by_name.get(input_name) if spec else None
            if found is not None and node is not None:
                default = node.values.get(input_name, found.default)
                found = replace(found, name=promoted.name, default=default)
                break
        inputs.append(found or Input(promoted.name, ANY, default=None, optional=True))
    outputs = []
    for out in definition.outputs:
        node = definition.graph.nodes.get(out.node)
        spec = _spec(node, graph, specs, _depth) if node else None
        inner = spec.outputs_by_name.get(out.output) if spec else None
        outputs.append(replace(inner, name=out.name) if inner else Output(out.name, ANY))
    sink = any((s := _spec(n, graph, specs, _depth)) is not None and s.sink for n in definition.graph.nodes.values())
    return NodeSpec(
        id=SUBGRAPH + name,
        version=1,
        title=definition.title or name,
        category="subgraph",
        summary=definition.help.partition("\n")[0],
        help=definition.help.partition("\n")[2].strip(),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        sink=sink,
    )


def _spec(node: Node, graph: Graph, specs: Mapping[str, NodeSpec], depth: int) -> NodeSpec | None:
    if node.subgraph is None:
        return specs.get(node.type)
    if node.subgraph not in graph.subgraphs or depth >= MAX_NESTING:
        return None
    return spec_of(node.subgraph, graph, specs, depth + 1)


def node_spec(node: Node, graph: Graph, specs: Mapping[str, NodeSpec]) -> NodeSpec | None:
    """The spec of any node of a graph, instances of subgraphs included; None for a node that is not known."""
    return _spec(node, graph, specs, 0)


def laid_open(graph: Graph) -> tuple[Graph, list[Problem]]:
    """The graph with every instance replaced by its definition; inner nodes are called "outer/inner".

    A missing definition or one that holds itself is left as an unknown node and reported. A bypassed instance stays
    as it is: what passes it by is known only with its spec.
    """
    if not any(node.subgraph is not None for node in graph.nodes.values()):
        return graph, []
    problems: list[Problem] = []
    nodes: dict[str, Node] = {}
    incoming: dict[str, list[Link]] = {}
    entrances: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    exits: dict[tuple[str, str], tuple[str, str]] = {}
    opened: set[str] = set()
    waiting: list[tuple[str, Graph, tuple[str, ...], str, Mapping[str, Mapping[str, object]]]] = [("", graph, (), "on", {})]
    while waiting:
        prefix, inner, inside, mode, overrides = waiting.pop()
        for node in inner.nodes.values():
            path = prefix + node.id
            values = {**node.values, **overrides.get(node.id, {})}
            effective = "muted" if mode == "muted" or node.mode == "muted" else node.mode
            name = node.subgraph
            if name is None or effective == "bypassed":
                nodes[path] = replace(node, id=path, values=values, mode=effective) if prefix or values != node.values else node
                continue
            definition = graph.subgraphs.get(name)
            if definition is None or name in inside or len(inside) >= MAX_NESTING:
                words = "is not in this file" if definition is None else "holds itself"
                problems.append(Problem(f"The subgraph '{name}' {words}.", path, kind="unknown-node"))
                nodes[path] = replace(node, id=path)
                continue
            opened.add(path)
            promoted: dict[str, dict[str, object]] = {}
            for item in definition.inputs:
                entrances[path, item.name] = tuple((f"{path}/{target}", name_) for target, name_ in item.targets)
                if item.name in values:
                    for target, name_ in item.targets:
                        promoted.setdefault(target, {})[name_] = values[item.name]
            for out in definition.outputs:
                exits[path, out.name] = (f"{path}/{out.node}", out.output)
            waiting.append((f"{path}/", definition.graph, (*inside, name), effective, promoted))
        for target, links in inner.incoming.items():
            incoming.setdefault(prefix + target, []).extend(
                Link(prefix + link.source, link.output, prefix + link.target, link.input) for link in links
            )

    def way_out(node_id: str, output: str) -> tuple[str, str]:
        while (node_id, output) in exits:
            node_id, output = exits[node_id, output]
        return node_id, output

    def ways_in(node_id: str, name: str) -> Iterable[tuple[str, str]]:
        ends = [(node_id, name)]
        while ends:
            end = ends.pop(0)
            if end[0] in opened:
                ends += entrances.get(end, ())
            else:
                yield end

    arriving: dict[tuple[str, str], list[tuple[int, Link]]] = {}
    for links_in in incoming.values():
        for link in links_in:
            source, output = way_out(link.source, link.output)
            if source in opened:
                continue  # an output that the definition no longer has
            for target, name in ways_in(link.target, link.input):
                arriving.setdefault((target, name), []).append((link.target.count("/"), Link(source, output, target, name)))
    flat: dict[str, list[Link]] = {}
    for (target, _), found in sorted(arriving.items()):
        outermost = min(level for level, _ in found)  # a link to the promoted input takes the place of one inside
        flat.setdefault(target, []).extend(link for level, link in found if level == outermost)
    return Graph(nodes=nodes, incoming={k: tuple(v) for k, v in flat.items()}), problems


def gathered(graph: Graph, ids: Iterable[str], name: str, specs: Mapping[str, NodeSpec]) -> tuple[Graph, str]:
    """Put nodes into a new subgraph with one instance in their place; returns the graph and the instance's id.

    Links that cross the border become promoted inputs and outputs; so does nothing else: promote values from inside.

    Raises:
        GraphError: No node is chosen.
    """
    inside = {i for i in ids if i in graph.nodes}
    if not inside:
        raise GraphError("Choose the nodes that shall become a subgraph.")
    key, count = name, 1
    while key in graph.subgraphs:
        count += 1
        key = f"{name}_{count}"
    inputs: dict[tuple[str, str], tuple[str, list[tuple[str, str]]]] = {}
    outputs: dict[tuple[str, str], str] = {}
    taken_in: set[str] = set()
    taken_out: set[str] = set()
    outer: list[Link] = []
    for link in graph.links:
        if link.target in inside and link.source not in inside:
            source = (link.source, link.output)
            if source not in inputs:
                inputs[source] = (_free(link.input, taken_in), [])
            inputs[source][1].append((link.target, link.input))
        elif link.source in inside and link.target not in inside:
            end = (link.source, link.output)
            if end not in outputs:
                outputs[end] = _free(link.output, taken_out)
            outer.append(link)
    positions = [graph.nodes[i].position for i in inside]
    definition = Subgraph(
        graph=replace(graph.fragment(inside), subgraphs={}),
        inputs=tuple(SubgraphInput(n, tuple(ends)) for n, ends in inputs.values()),
        outputs=tuple(SubgraphOutput(n, *end) for end, n in outputs.items()),
        title=name,
    )
    place = (sum(x for x, _ in positions) / len(positions), sum(y for _, y in positions) / len(positions))
    instance = graph.free_id(key)
    result = graph.without(*inside).with_subgraph(key, definition).with_node(Node(instance, SUBGRAPH + key, {}, place))
    for (source_id, output), (n, _) in inputs.items():
        result = result.with_link(Link(source_id, output, instance, n))
    for link in outer:
        many = (
            (s := node_spec(graph.nodes[link.target], graph, specs)) is not None and (i := s.by_name.get(link.input)) is not None and i.many
        )
        result = result.with_link(Link(instance, outputs[link.source, link.output], link.target, link.input), many)
    return result, instance


def _free(wish: str, taken: set[str]) -> str:
    name, count = wish, 1
    while name in taken:
        count += 1
        name = f"{wish}_{count}"
    taken.add(name)
    return name


def scattered(graph: Graph, node_id: str) -> tuple[Graph, frozenset[str]]:
    """Put the nodes of an instance in its place; returns the graph and their ids. The definition stays for its other uses.

    Raises:
        GraphError: The node is not an instance of a definition in this graph.
    """
    node = graph.nodes[node_id]
    definition = graph.subgraphs.get(node.subgraph or "")
    if definition is None:
        raise GraphError(f"'{node.title or node_id}' is not a subgraph.", node_id)
    inner = definition.graph
    for item in definition.inputs:
        if item.name in node.values:
            for target, name in item.targets:
                inner = inner.with_value(target, name, node.values[item.name])
    positions = [n.position for n in inner.nodes.values()] or [(0.0, 0.0)]
    dx = node.position[0] - min(x for x, _ in positions)
    dy = node.position[1] - min(y for _, y in positions)
    result, names = graph.without(node_id).pasted(inner, dx, dy)
    for link in graph.incoming.get(node_id, ()):
        for item in definition.inputs:
            if item.name == link.input:
                for target, name in item.targets:
                    result = result.with_link(Link(link.source, link.output, names[target], name))
    ends = {out.name: (names[out.node], out.output) for out in definition.outputs if out.node in names}
    for link in graph.links_from(node_id):
        if link.output in ends:
            result = result.with_link(Link(*ends[link.output], link.target, link.input), many=True)
    return result, frozenset(names.values())
