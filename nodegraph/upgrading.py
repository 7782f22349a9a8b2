"""Old nodes brought to today's version, by name: values, links and promoted inputs follow what their authors renamed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nodegraph import logs
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput

if TYPE_CHECKING:
    from nodegraph.node import Upgrade
    from nodegraph.registry import Registry
    from nodegraph.spec import NodeSpec


def upgraded(graph: Graph, registry: Registry) -> Graph:
    """The graph with every old node brought to today's version, by name: values, links and promoted inputs follow renamed ones.

    A node whose upgrade fails stays as it was; the plan then warns that it is of an older version.
    """
    definitions = {name: _upgraded_definition(d, registry) for name, d in graph.subgraphs.items()}
    made, _ = _upgraded_nodes(graph, registry)
    return replace(made, subgraphs=definitions) if definitions else made


def _upgraded_definition(definition: Subgraph, registry: Registry) -> Subgraph:
    graph, renames = _upgraded_nodes(definition.graph, registry)
    if graph is definition.graph:
        return definition
    inputs = []
    for item in definition.inputs:
        ends = [(node, renames[node].input(name) if node in renames else name) for node, name in item.targets]
        inputs.append(SubgraphInput(item.name, tuple((node, name) for node, name in ends if name is not None)))
    outputs = [o._replace(output=renames[o.node].outputs.get(o.output, o.output)) if o.node in renames else o for o in definition.outputs]
    return replace(definition, graph=graph, inputs=tuple(inputs), outputs=tuple(outputs))


def _upgraded_nodes(graph: Graph, registry: Registry) -> tuple[Graph, dict[str, _Renames]]:
    nodes, renames = dict(graph.nodes), dict[str, _Renames]()
    for node in graph.nodes.values():
        spec = registry.specs.get(node.type)
        if spec is not None and node.version < spec.version:
            try:
                steps, values = _steps(node, spec, registry)
            except Exception:  # the upgrade is a pack's code; the file is the artist's and must open
                continue
            renames[node.id] = _Renames(steps)
            nodes[node.id] = replace(node, values=values, version=spec.version)
    if not renames:
        return graph, renames
    incoming = {}
    for target, links in graph.incoming.items():
        made = []
        for link in links:
            output = renames[link.source].outputs.get(link.output, link.output) if link.source in renames else link.output
            name = renames[target].input(link.input) if target in renames else link.input
            if name is not None:
                made.append(Link(link.source, output, target, name))
        if made:
            incoming[target] = tuple(sorted(dict.fromkeys(made), key=lambda link: link.input))
    return replace(graph, nodes=nodes, incoming=incoming), renames


def _steps(node: Node, spec: NodeSpec, registry: Registry) -> tuple[list[tuple[Upgrade, dict[str, Any]]], dict[str, Any]]:
    """The upgrades that a node needs, each with the values that it found, and what becomes of the values in the end. Raises what they raise."""
    upgrades, values, steps = registry.upgrades(node.type), dict(node.values), []
    for version in sorted(v for v in upgrades if node.version <= v < spec.version):
        steps.append((upgrades[version], values))
        values = dict(upgrades[version](dict(values)))
    return steps, values


def why_old(node: Node, spec: NodeSpec, registry: Registry) -> str:
    """Why a node could not be brought up to date, for its author, with the place in the pack; "" if no upgrade failed."""
    pack = registry.packs.get(spec.pack)
    try:
        _steps(node, spec, registry)
    except Exception as error:
        place = logs.place_in(error, pack.root) if pack else ""
        return f"{type(error).__name__}: {error}{f' in {place}' if place else ''}"
    return ""


class _Renames:
    """What became of the names of a node's inputs and outputs: found out by sending a mark through its upgrades in place of a value."""

    def __init__(self, steps: list[tuple[Upgrade, dict[str, Any]]]) -> None:
        """`steps` are the upgrades, each with the values that it found."""
        self.steps = steps
        self.known: dict[str, str | None] = {}
        self.outputs: dict[str, str] = {}
        for upgrade, _ in steps:
            for was, now in getattr(upgrade, "outputs", {}).items():
                earlier = [old for old, name in self.outputs.items() if name == was]
                self.outputs |= dict.fromkeys(earlier, now) if earlier else {was: now}

    def input(self, name: str) -> str | None:
        """What an input is called now; None if it is no longer there."""
        if name not in self.known:
            self.known[name] = self._follow(name)
        return self.known[name]

    def _follow(self, name: str) -> str | None:
        mark = object()
        for upgrade, values in self.steps:
            try:
                after = upgrade({**values, name: mark})
            except Exception:  # it computes with the value; then it does not rename it
                continue
            found = [key for key, value in after.items() if value is mark]
            if not found:
                return None
            name = found[0]
        return name
