"""Subgraphs: a graph used as a node. Their spec seen from outside, and a graph with all of them laid open.

Values that an instance sets are stored by the promoted input's name, so that editing a definition never shifts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from nodegraph.errors import GraphError, Problem
from nodegraph.expansion import GIVEN
from nodegraph.graph import SUBGRAPH, Graph, Link, Mode, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.node import Advanced, Range
from nodegraph.spec import ANY, Input, NodeSpec, Output

MAX_NESTING = 32
MAX_LAID_OPEN = 100_000
"""Nodes in a graph with all subgraphs laid open. A file of a few lines could ask for billions."""
REPEAT, EACH = "repeat", "one_by_one"
LOOP_INPUTS = (
    Input(
        REPEAT,
        "int",
        "How many times to run what is inside. A result goes back into the input of the same name; each other result becomes a list of what all passes made.",
        1,
        markers=(Range(1, 10_000), Advanced()),
    ),
    Input(
        EACH,
        "bool",
        "Run all of it for one item of a list before the next item is begun: the first picture is saved before the second is loaded.",
        False,
        markers=(Advanced(),),
    ),
)
"""What every instance offers besides its promoted inputs, unless one of those has the name."""


def spec_of(name: str, graph: Graph, specs: Mapping[str, NodeSpec]) -> NodeSpec:
    """What an instance of a definition looks like: its promoted inputs and outputs under their own names.

    An inner node that is not known makes a port of any type, so that links to it stay. So does a definition inside itself.
    """
    return _Reader(graph, specs).definition(name, ())


def node_spec(node: Node, graph: Graph, specs: Mapping[str, NodeSpec]) -> NodeSpec | None:
    """The spec of any node of a graph, instances of subgraphs included; None for a node that is not known."""
    return specs.get(node.type) if node.subgraph is None else _Reader(graph, specs).node(node, ())


class _Reader:
    """Reads each definition once, however often it stands in others."""

    def __init__(self, graph: Graph, specs: Mapping[str, NodeSpec]) -> None:
        self.graph = graph
        self.specs = specs
        self.known: dict[str, NodeSpec] = {}

    def node(self, node: Node, inside: tuple[str, ...]) -> NodeSpec | None:
        name = node.subgraph
        if name is None:
            return self.specs.get(node.type)
        if name not in self.graph.subgraphs or name in inside or len(inside) >= MAX_NESTING:
            return None
        return self.definition(name, inside)

    def definition(self, name: str, inside: tuple[str, ...]) -> NodeSpec:
        if name not in self.known:
            self.known[name] = self.read(name, (*inside, name))
        return self.known[name]

    def read(self, name: str, inside: tuple[str, ...]) -> NodeSpec:
        definition = self.graph.subgraphs[name]
        inner = {key: self.node(node, inside) for key, node in definition.graph.nodes.items()}
        outputs = []
        for out in definition.outputs:
            spec = inner.get(out.node)
            found = spec.outputs_by_name.get(out.output) if spec else None
            outputs.append(replace(found, name=out.name, variable=_of(out.node, found.variable)) if found else Output(out.name, ANY))
        return NodeSpec(
            id=SUBGRAPH + name,
            version=1,
            title=definition.title or name,
            category="subgraph",
            summary=definition.help.partition("\n")[0],
            help=definition.help.partition("\n")[2].strip(),
            inputs=(
                *(_promoted(item, definition, inner) for item in definition.inputs),
                *(item for item in LOOP_INPUTS if item.name in _offered(definition)),
            ),
            outputs=tuple(outputs),
            sink=any(spec is not None and spec.sink for spec in inner.values()),
        )


def _offered(definition: Subgraph) -> set[str]:
    return {REPEAT, EACH} - {item.name for item in definition.inputs}


def _is_loop(node: Node, values: Mapping[str, object], definition: Subgraph, inner: Graph, promoted: frozenset[tuple[str, str]]) -> bool:
    """Whether an instance runs more than once, so that it must stay whole; how often may be known only while it runs."""
    offered = _offered(definition)
    return (
        (REPEAT in offered and (values.get(REPEAT, 1) != 1 or (node.id, REPEAT) in promoted))
        or (EACH in offered and (values.get(EACH) is True or (node.id, EACH) in promoted))
        or any(link.input in offered for link in inner.incoming.get(node.id, ()))
    )


def _of(node_id: str, variable: str) -> str:
    """The type variables of two inner nodes have nothing to do with each other, whatever their authors called them."""
    return f"{node_id}.{variable}" if variable else ""


def _promoted(item: SubgraphInput, definition: Subgraph, inner: Mapping[str, NodeSpec | None]) -> Input:
    """A promoted input: as the first of its ends that is known, with the value that stands there. One that is linked inside needs nothing."""
    for node_id, name in item.targets:
        spec = inner.get(node_id)
        found = spec.by_name.get(name) if spec else None
        if found is None:
            continue
        made = replace(
            found,
            name=item.name,
            variable=_of(node_id, found.variable),
            default=definition.graph.nodes[node_id].values.get(name, found.default),
        )
        if made.is_required and all(definition.graph.link_at(*end) for end in item.targets):
            made = replace(made, default=None, optional=True)
        return made
    return Input(item.name, ANY, default=None, optional=True)


def laid_open(graph: Graph, specs: Mapping[str, NodeSpec] | None = None) -> tuple[Graph, list[Problem]]:
    """The graph with every instance replaced by its definition; inner nodes are called "outer/inner".

    A link to a promoted input takes the place of one inside; where the specs say that an input takes many, it comes before them.
    A missing definition or one that holds itself is left as an unknown node and reported. A bypassed instance stays
    as it is: what passes it by is known only with its spec. So does one that runs more than once (`loops`).
    """
    if not any(node.subgraph is not None for node in graph.nodes.values()):
        return graph, []
    problems: list[Problem] = []
    nodes: dict[str, Node] = {}
    incoming: dict[str, list[Link]] = {}
    total = len(graph.nodes)
    entrances: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
    rank: dict[tuple[str, str], int] = {}
    exits: dict[tuple[str, str], tuple[str, str]] = {}
    opened: set[str] = set()
    waiting: list[tuple[str, Graph, tuple[str, ...], Mode, Mapping[str, Mapping[str, object]], frozenset[tuple[str, str]]]]
    waiting = [("", graph, (), "on", {}, frozenset())]
    while waiting:
        prefix, inner, inside, mode, overrides, fed = waiting.pop()
        for node in inner.nodes.values():
            path = prefix + node.id
            own = overrides.get(node.id)
            values = {**node.values, **own} if own else node.values
            effective: Mode = "muted" if mode == "muted" or node.mode == "muted" else node.mode
            name = node.subgraph
            if name is None or effective == "bypassed":
                nodes[path] = _standing(node, path, values, effective) if prefix or values != node.values else node
                continue
            definition = graph.subgraphs.get(name)
            if definition is None or name in inside or len(inside) >= MAX_NESTING:
                words = "is not in this file" if definition is None else "holds itself"
                problems.append(Problem(f"The subgraph '{name}' {words}.", path, kind="unknown-node"))
                nodes[path] = replace(node, id=path)
                continue
            if _is_loop(node, values, definition, inner, fed):
                nodes[path] = _standing(node, path, values, effective)
                continue
            total += len(definition.graph.nodes)
            if total > MAX_LAID_OPEN:
                words = f"The subgraphs of this graph hold more than {MAX_LAID_OPEN:,} nodes in all. Use fewer of them inside each other."
                return graph, [Problem(words, path, kind="too-large")]
            opened.add(path)
            promoted: dict[str, dict[str, object]] = {}
            for i, item in enumerate(definition.inputs):
                rank[path, item.name] = i
                entrances[path, item.name] = tuple((f"{path}/{target}", name_) for target, name_ in item.targets)
                if item.name in values:
                    for target, name_ in item.targets:
                        promoted.setdefault(target, {})[name_] = values[item.name]
            for out in definition.outputs:
                exits[path, out.name] = (f"{path}/{out.node}", out.output)
            ends = frozenset(end for item in definition.inputs for end in item.targets)
            waiting.append((f"{path}/", definition.graph, (*inside, name), effective, promoted, ends))
        for target, links in inner.incoming.items():
            incoming.setdefault(prefix + target, []).extend(
                Link(prefix + link.source, link.output, prefix + link.target, link.input) for link in links
            )

    def way_out(node_id: str, output: str) -> tuple[str, str]:
        while (node_id, output) in exits:
            node_id, output = exits[node_id, output]
        return node_id, output

    def ways_in(node_id: str, name: str) -> Iterable[tuple[str, str, tuple[int, ...]]]:
        """The inner inputs that an input leads to, and the places among their likes of the ports on the way, innermost first."""
        ends: list[tuple[str, str, tuple[int, ...]]] = [(node_id, name, ())]
        while ends:
            node_id, name, ranks = ends.pop(0)
            if node_id in opened:
                ends += [(*end, (rank[node_id, name], *ranks)) for end in entrances.get((node_id, name), ())]
            else:
                yield node_id, name, ranks

    arriving: dict[tuple[str, str], list[tuple[int, tuple[int, ...], Link]]] = {}
    for links_in in incoming.values():
        for link in links_in:
            source, output = way_out(link.source, link.output)
            if source not in nodes and not source.startswith(GIVEN):
                continue  # an output that the definition no longer has
            for target, name, ranks in ways_in(link.target, link.input):
                if target in nodes:
                    arriving.setdefault((target, name), []).append((link.target.count("/"), ranks, Link(source, output, target, name)))
    flat: dict[str, list[Link]] = {}
    for (target, name), found in sorted(arriving.items()):
        if len(found) > 1:
            found.sort(key=lambda one: one[:2])
            if specs is None or not _takes_many(nodes[target], name, graph, specs):
                found = [one for one in found if one[0] == found[0][0]]
        flat.setdefault(target, []).extend(dict.fromkeys(link for _, _, link in found))
    return Graph(nodes=nodes, incoming={k: tuple(v) for k, v in flat.items()}), problems


def _standing(node: Node, path: str, values: Mapping[str, object], mode: Mode) -> Node:
    """The node under its path: dataclasses.replace takes five times as long, and here it counts."""
    return Node(
        path, node.type, values, node.position, node.title, node.size, mode, node.folded, node.pinned, node.color, node.version, node.extra
    )


def _takes_many(node: Node, name: str, graph: Graph, specs: Mapping[str, NodeSpec]) -> bool:
    spec = node_spec(node, graph, specs)
    item = spec.by_name.get(name) if spec else None
    return item is not None and item.many


def node_at(graph: Graph, path: str) -> Node | None:
    """The node at a path: inside subgraphs, the ids of the instances on the way come first, as "face/sample". None if there is none."""
    inner, rest = graph, path
    while rest not in inner.nodes:
        first, _, rest = rest.partition("/")
        outer = inner.nodes.get(first)
        definition = graph.subgraphs.get(outer.subgraph or "") if outer else None
        if definition is None:
            return None
        inner = definition.graph
    return inner.nodes[rest]


def names_of(graph: Graph, specs: Mapping[str, NodeSpec]) -> Callable[[str], str]:
    """What the artist calls a node, by its id; ids inside subgraphs are paths."""

    def name(node_id: str) -> str:
        node = node_at(graph, node_id)
        if node is None:
            return node_id
        spec = specs.get(node.type)
        definition = graph.subgraphs.get(node.subgraph or "")
        return node.title or (spec.title if spec else definition.title if definition else "") or node.id

    return name


def gathered(graph: Graph, ids: Iterable[str], name: str, specs: Mapping[str, NodeSpec]) -> tuple[Graph, str]:
    """Put nodes into a new subgraph with one instance in their place; returns the graph and the instance's id.

    Links that cross the border become promoted inputs and outputs; so does nothing else: promote values from inside.
    Where an input takes many links, those from outside come before those from inside afterwards.

    Raises:
        GraphError: No node is chosen, or a node that is not chosen stands between them.
    """
    inside = {i for i in ids if i in graph.nodes}
    if not inside:
        raise GraphError("Choose the nodes that shall become a subgraph.")
    between = (graph.downstream(*inside) & graph.upstream(*inside)) - inside
    if between:
        node = graph.nodes[min(between)]
        raise GraphError(f"'{node.title or node.id}' stands between the chosen nodes. Choose it too.", node.id)
    name = name.strip() or "subgraph"
    key, count = name, 1
    while key in graph.subgraphs:
        count += 1
        key = f"{name}_{count}"
    instance = graph.without(*inside).free_id(key)
    inputs: dict[tuple[tuple[str, str], tuple[str, str] | None], tuple[str, list[tuple[str, str]]]] = {}
    outputs: dict[tuple[str, str], str] = {}
    taken_in: set[str] = set()
    taken_out: set[str] = set()
    incoming: dict[str, tuple[Link, ...]] = {}
    entering = Counter((target, link.input) for target in inside for link in graph.incoming.get(target, ()) if link.source not in inside)
    several = {port for port, count in entering.items() if count > 1}
    for target, links in graph.incoming.items():
        outer = []
        for link in links:
            end = (link.source, link.output)
            if target in inside:
                if link.source not in inside:
                    # of several links at one input the order counts, so each has a port of its own
                    port = (end, (target, link.input) if (target, link.input) in several else None)
                    if port not in inputs:
                        inputs[port] = (_free(link.input, taken_in), [])
                    inputs[port][1].append((target, link.input))
            elif link.source in inside:
                if end not in outputs:
                    outputs[end] = _free(link.output, taken_out)
                outer.append(Link(instance, outputs[end], target, link.input))
            else:
                outer.append(link)
        if outer:
            incoming[target] = tuple(outer)
    arriving = [Link(*end, instance, promoted) for (end, _), (promoted, _) in inputs.items()]
    if arriving:
        incoming[instance] = tuple(sorted(arriving, key=lambda link: link.input))

    def place_of(node_id: str, port: str) -> tuple[float, float, int]:
        """Outside, ports stand as they do inside: by the places of their nodes, then as on the node."""
        node = graph.nodes[node_id]
        spec = node_spec(node, graph, specs)
        names = [*spec.by_name, *spec.outputs_by_name] if spec else []
        return *node.position, names.index(port) if port in names else len(names)

    definition = Subgraph(
        graph=replace(graph.fragment(inside), subgraphs={}),
        inputs=tuple(SubgraphInput(n, tuple(ends)) for n, ends in sorted(inputs.values(), key=lambda item: place_of(*item[1][0]))),
        outputs=tuple(SubgraphOutput(n, *end) for end, n in sorted(outputs.items(), key=lambda item: place_of(*item[0]))),
        title=name,
    )
    positions = [graph.nodes[i].position for i in inside]
    place = (sum(x for x, _ in positions) / len(positions), sum(y for _, y in positions) / len(positions))
    result = graph.without(*inside).with_subgraph(key, definition).with_node(Node(instance, SUBGRAPH + key, {}, place))
    return replace(result, incoming=incoming), instance


def shown_outside(graph: Graph, name: str, node_id: str, input: str) -> tuple[Graph, str]:
    """The graph whose definition `name` shows an inner input on its instances, and what it is called there. No instance changes by it."""
    definition = graph.subgraphs[name]
    for item in definition.inputs:
        if (node_id, input) in item.targets:
            return graph, item.name
    outer = _free(input, {REPEAT, EACH, *(item.name for item in definition.inputs)})
    made = SubgraphInput(outer, ((node_id, input),))
    return graph.with_subgraph(name, replace(definition, inputs=(*definition.inputs, made))), outer


def _free(wish: str, taken: set[str]) -> str:
    name, count = wish, 1
    while name in taken:
        count += 1
        name = f"{wish}_{count}"
    taken.add(name)
    return name


def scattered(graph: Graph, node_id: str, specs: Mapping[str, NodeSpec] | None = None) -> tuple[Graph, frozenset[str]]:
    """Put the nodes of an instance in its place; returns the graph and their ids. The definition stays for its other uses.

    A muted or bypassed instance leaves nodes that are so. Without specs an input that is linked twice from outside takes many.

    Raises:
        GraphError: The node is not an instance of a definition in this graph.
    """
    node = graph.nodes[node_id]
    definition = graph.subgraphs.get(node.subgraph) if node.subgraph is not None else None
    if definition is None:
        raise GraphError(f"'{node.title or node_id}' is not a subgraph.", node_id)
    inner = definition.graph
    if node.mode != "on":
        inner = inner.with_nodes(replace(n, mode=node.mode) for n in inner.nodes.values() if n.mode == "on" or node.mode == "muted")
    for item in definition.inputs:
        if item.name in node.values:
            for target, name in item.targets:
                if target in inner.nodes:
                    inner = inner.with_value(target, name, node.values[item.name])
    positions = [n.position for n in inner.nodes.values()] or [(0.0, 0.0)]
    dx = node.position[0] - min(x for x, _ in positions)
    dy = node.position[1] - min(y for _, y in positions)
    result, names = graph.without(node_id).pasted(inner, dx, dy)
    incoming = dict(result.incoming)
    ends = {out.name: (names[out.node], out.output) for out in definition.outputs if out.node in inner.nodes}
    for target, links in graph.incoming.items():
        if target != node_id and any(link.source == node_id for link in links):
            kept = [
                Link(*ends[link.output], target, link.input) if link.source == node_id else link
                for link in links
                if link.source != node_id or link.output in ends
            ]
            incoming[target] = tuple(dict.fromkeys(kept))
    arriving: dict[tuple[str, str], list[Link]] = {}
    for item in definition.inputs:
        for link in graph.incoming.get(node_id, ()):
            if link.input == item.name:
                for target, name in item.targets:
                    if target in inner.nodes:
                        arriving.setdefault((target, name), []).append(Link(link.source, link.output, names[target], name))
    for (target, name), outer in arriving.items():
        there = incoming.get(names[target], ())
        many = len(outer) > 1 if specs is None else _takes_many(inner.nodes[target], name, graph, specs)
        both = [*outer, *(link for link in there if many or link.input != name)]
        incoming[names[target]] = tuple(sorted(dict.fromkeys(both), key=lambda link: link.input))
    groups = {
        key: replace(group, members=(group.members - {node_id}) | {names[i] for i in inner.nodes}) if node_id in group.members else group
        for key, group in graph.groups.items()
        if key != node_id
    }
    result = replace(result, incoming={k: v for k, v in incoming.items() if v}, groups={**result.groups, **groups})
    return result, frozenset(names.values())
