"""Edits of the whole graph that hands make inside an open subgraph: what it shows to the outside, subgraphs in it, what is deleted there. No Qt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Literal

from nodegraph.graph import Graph, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.spec import NodeSpec
from nodegraph.subgraphs import gathered, scattered, shown_outside

Side = Literal["in", "out"]
End = tuple[Side, str, str]  # side, inner node, its port


def open_name(root: Graph, shown: Graph) -> str | None:
    """The definition whose inside is shown; None for the whole graph."""
    return None if shown is root else next((name for name, made in root.subgraphs.items() if made.graph is shown), None)


def ends_of(definition: Subgraph) -> frozenset[End]:
    """The inner ports that a subgraph shows to the outside."""
    inputs: set[End] = {("in", *target) for item in definition.inputs for target in item.targets}
    return frozenset(inputs | {("out", out.node, out.output) for out in definition.outputs})


def with_inner(root: Graph, name: str, inner: Graph) -> Graph:
    """Another inside of a definition."""
    return root.with_subgraph(name, replace(root.subgraphs[name], graph=inner))


def retitled(root: Graph, around: str | None, node: str, title: str) -> Graph:
    """Rename a node of the whole graph or of the inside of `around`. The only instance of a subgraph gives its name to the subgraph: that is
    what the way into it and the search show. An empty title gives a node its own name back."""
    shown, title = root if around is None else root.subgraphs[around].graph, title.strip()
    name = shown.nodes[node].subgraph
    if title and name in root.subgraphs and sum(len(_instances(graph, name)) for graph in (root, *(one.graph for one in root.subgraphs.values()))) == 1:
        root, title = root.with_subgraph(name, replace(root.subgraphs[name], title=title)), ""
        shown = root if around is None else root.subgraphs[around].graph
    shown = shown.changed(node, title=title or None)
    return shown if around is None else with_inner(root, around, shown)


def promoted(root: Graph, name: str, end: End) -> Graph:
    """Show an inner port or value on every instance of the subgraph, under its own name or one like it."""
    definition = root.subgraphs[name]
    side, node, port = end
    if end in ends_of(definition):
        return root
    if side == "in":
        return shown_outside(root, name, node, port)[0]
    out = SubgraphOutput(_free(port, (item.name for item in definition.outputs)), node, port)
    return root.with_subgraph(name, replace(definition, outputs=(*definition.outputs, out)))


def demoted(root: Graph, name: str, ends: Iterable[End]) -> Graph:
    """Take inner ports off the outside; links and values that instances had there go with them."""
    definition, gone = root.subgraphs[name], set(ends)
    inputs, lost_in = [], set[str]()
    for item in definition.inputs:
        targets = tuple(target for target in item.targets if ("in", *target) not in gone)
        if targets:
            inputs.append(item._replace(targets=targets))
        else:
            lost_in.add(item.name)
    outputs = tuple(out for out in definition.outputs if ("out", out.node, out.output) not in gone)
    lost_out = {out.name for out in definition.outputs} - {out.name for out in outputs}
    root = root.with_subgraph(name, replace(definition, inputs=tuple(inputs), outputs=outputs))
    if not lost_in and not lost_out:
        return root
    for other in list(root.subgraphs):
        inner = root.subgraphs[other].graph
        through = {("in", instance, port) for instance in _instances(inner, name) for port in lost_in}
        through |= {("out", instance, port) for instance in _instances(inner, name) for port in lost_out}
        if through & ends_of(root.subgraphs[other]):  # it showed them on, to its own outside
            root = demoted(root, other, through)
            inner = root.subgraphs[other].graph
        kept = _without_ends(inner, name, lost_in, lost_out)
        if kept is not inner:
            root = with_inner(root, other, kept)
    return _without_ends(root, name, lost_in, lost_out)


def _instances(graph: Graph, name: str) -> set[str]:
    return {node.id for node in graph.nodes.values() if node.subgraph == name}


def outer_name(root: Graph, name: str, end: End) -> str | None:
    """What an inner port or value is called on the subgraph; None where it is not shown there."""
    definition = root.subgraphs[name]
    side, node, port = end
    if side == "in":
        return next((item.name for item in definition.inputs if (node, port) in item.targets), None)
    return next((out.name for out in definition.outputs if (out.node, out.output) == (node, port)), None)


def renamed(root: Graph, name: str, end: End, wish: str) -> Graph:
    """Another name for what a subgraph shows; links and values of every instance follow. A taken name gets a number, an empty one changes nothing."""
    definition, before = root.subgraphs[name], outer_name(root, name, end)
    plain = re.sub(r"\W+", "_", wish.strip().lower()).strip("_")
    if before is None or plain in ("", before):
        return root
    is_input = end[0] == "in"
    ports = definition.inputs if is_input else definition.outputs
    now = _free(plain, (item.name for item in ports if item.name != before))
    if is_input:
        definition = replace(definition, inputs=tuple(item._replace(name=now) if item.name == before else item for item in definition.inputs))
    else:
        definition = replace(definition, outputs=tuple(out._replace(name=now) if out.name == before else out for out in definition.outputs))
    root = root.with_subgraph(name, definition)
    for other, around in root.subgraphs.items():
        instances = _instances(around.graph, name)
        if not instances:
            continue
        moved = {(instance, before): (instance, now) for instance in instances}
        inputs, outputs = around.inputs, around.outputs
        if is_input:  # what it shows on to its own outside keeps its outer name
            inputs = tuple(item._replace(targets=tuple(moved.get(end, end) for end in item.targets)) for item in inputs)
        else:
            outputs = tuple(SubgraphOutput(out.name, *moved.get((out.node, out.output), (out.node, out.output))) for out in outputs)
        inner = _with_end_renamed(around.graph, instances, is_input, before, now)
        root = root.with_subgraph(other, replace(around, graph=inner, inputs=inputs, outputs=outputs))
    return _with_end_renamed(root, _instances(root, name), is_input, before, now)


def _with_end_renamed(graph: Graph, instances: set[str], is_input: bool, before: str, now: str) -> Graph:
    """These instances have their links and values under another name."""
    if not instances:
        return graph
    incoming = {}
    for target, links in graph.incoming.items():
        if is_input:
            made = [link._replace(input=now) if target in instances and link.input == before else link for link in links]
        else:
            made = [link._replace(output=now) if link.source in instances and link.output == before else link for link in links]
        incoming[target] = tuple(sorted(made, key=lambda link: link.input))
    graph = replace(graph, incoming=incoming)
    for node_id in instances if is_input else ():
        values = graph.nodes[node_id].values
        if before in values:
            graph = graph.without_value(node_id, before).with_value(node_id, now, values[before])
    return graph


def _without_ends(graph: Graph, name: str, inputs: set[str], outputs: set[str]) -> Graph:
    """Instances in a graph lose links at these ports, and the values set there."""
    instances = _instances(graph, name)
    if not instances:
        return graph
    for link in graph.links:
        if (link.target in instances and link.input in inputs) or (link.source in instances and link.output in outputs):
            graph = graph.without_link(link)
    for node_id in instances:
        for value in inputs & graph.nodes[node_id].values.keys():
            graph = graph.without_value(node_id, value)
    return graph


def tidied(root: Graph, name: str) -> Graph:
    """Without the outer ports of inner nodes that are there no more."""
    definition = root.subgraphs[name]
    return demoted(root, name, [end for end in ends_of(definition) if end[1] not in definition.graph.nodes])


def gathered_inside(root: Graph, name: str, ids: Iterable[str], title: str, specs: Mapping[str, NodeSpec]) -> tuple[Graph, str]:
    """As `gathered`, for nodes of an open subgraph; what these showed to the outside, the new one shows in their place.

    Raises:
        GraphError: As `gathered`.
    """
    definition, chosen = root.subgraphs[name], set(ids)
    result, instance = gathered(replace(definition.graph, subgraphs=root.subgraphs), chosen, title, specs)
    made_name = result.nodes[instance].subgraph
    assert made_name is not None
    made = result.subgraphs[made_name]
    inputs, outputs = list(made.inputs), list(made.outputs)

    def inner_input(target: tuple[str, str]) -> str:
        found = next((item.name for item in inputs if target in item.targets), None)
        if found is None:
            found = _free(target[1], (item.name for item in inputs))
            inputs.append(SubgraphInput(found, (target,)))
        return found

    def inner_output(node: str, output: str) -> str:
        found = next((out.name for out in outputs if (out.node, out.output) == (node, output)), None)
        if found is None:
            found = _free(output, (out.name for out in outputs))
            outputs.append(SubgraphOutput(found, node, output))
        return found

    around = replace(
        definition,
        graph=replace(result, subgraphs=definition.graph.subgraphs),
        inputs=tuple(
            item._replace(targets=tuple((instance, inner_input(end)) if end[0] in chosen else end for end in item.targets))
            for item in definition.inputs
        ),
        outputs=tuple(
            SubgraphOutput(out.name, instance, inner_output(out.node, out.output)) if out.node in chosen else out
            for out in definition.outputs
        ),
    )
    made = replace(made, inputs=tuple(inputs), outputs=tuple(outputs))
    return replace(root, subgraphs={**result.subgraphs, made_name: made, name: around}), instance


def scattered_inside(root: Graph, name: str, instance: str, specs: Mapping[str, NodeSpec]) -> tuple[Graph, frozenset[str]]:
    """As `scattered`, for an instance in an open subgraph; its nodes show to the outside what it did.

    Raises:
        GraphError: As `scattered`.
    """
    definition = root.subgraphs[name]
    whole = replace(definition.graph, subgraphs=root.subgraphs)
    result, ids = scattered(whole, instance, specs)
    inner = root.subgraphs[str(definition.graph.nodes[instance].subgraph)]
    names = whole.without(instance).pasted(inner.graph)[1]  # the ids that `scattered` gave
    inside = {item.name: tuple((names[node], port) for node, port in item.targets if node in names) for item in inner.inputs}
    outside = {out.name: (names[out.node], out.output) for out in inner.outputs if out.node in names}
    inputs = (
        item._replace(targets=tuple(new for end in item.targets for new in (inside.get(end[1], ()) if end[0] == instance else (end,))))
        for item in definition.inputs
    )
    outputs = (
        out if out.node != instance else SubgraphOutput(out.name, *outside[out.output])
        for out in definition.outputs
        if out.node != instance or out.output in outside
    )
    around = replace(
        definition,
        graph=replace(result, subgraphs=definition.graph.subgraphs),
        inputs=tuple(item for item in inputs if item.targets),
        outputs=tuple(outputs),
    )
    return root.with_subgraph(name, around), ids


def _free(wish: str, taken: Iterable[str]) -> str:
    known, name, count = set(taken), wish, 1
    while name in known:
        count += 1
        name = f"{wish}_{count}"
    return name
