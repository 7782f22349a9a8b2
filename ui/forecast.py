"""What a run will look at, told before it runs: the nodes in their order, and how many steps they have to paint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nodegraph.graph import REROUTE, Graph
from nodegraph.spec import NodeSpec
from nodegraph.subgraphs import laid_open


def sinks_of(graph: Graph, specs: Mapping[str, NodeSpec]) -> tuple[str, ...]:
    """What a run makes when nothing is asked for by name: nodes run for their effect, or else those that nothing follows."""
    found = tuple(name for name, node in graph.nodes.items() if (spec := specs.get(node.type)) is not None and spec.sink)
    if found:
        return found
    feeding = {link.source for link in graph.links}
    return tuple(name for name in graph.nodes if name not in feeding)


def picture_sinks(graph: Graph, specs: Mapping[str, NodeSpec]) -> list[str]:
    """Where pictures come out: nodes run for their effect that take an image."""
    found = []
    for name, node in graph.nodes.items():
        spec = specs.get(node.type)
        if spec is not None and spec.sink and any(item.type == "Image" for item in spec.inputs):
            found.append(name)
    return found


def order_of(graph: Graph, targets: tuple[str, ...], specs: Mapping[str, NodeSpec]) -> list[str]:
    """Paths of what a run will look at, upstream first."""
    flat, _ = laid_open(graph)
    wanted = targets or sinks_of(flat, specs)
    inside = set(wanted) | flat.upstream(*(name for name in wanted if name in flat.nodes))
    waiting_for = {name: sum(1 for link in flat.incoming.get(name, ()) if link.source in inside) for name in inside if name in flat.nodes}
    outgoing: dict[str, list[str]] = {}
    for link in flat.links:
        outgoing.setdefault(link.source, []).append(link.target)
    ready = sorted(name for name, count in waiting_for.items() if not count)
    order = []
    while ready:
        name = ready.pop(0)
        if flat.nodes[name].mode == "on" and flat.nodes[name].type != REROUTE:
            order.append(name)
        for target in outgoing.get(name, ()):
            if target in waiting_for:
                waiting_for[target] -= 1
                if not waiting_for[target]:
                    ready.append(target)
    return order


def steps_of(graph: Graph, order: Iterable[str], specs: Mapping[str, NodeSpec]) -> int:
    """How many denoising steps a run has, as far as the values of the nodes in its order tell."""
    total = 0
    flat, _ = laid_open(graph)
    for path in order:
        node = flat.nodes.get(path)
        spec = specs.get(node.type) if node is not None else None
        item = spec.by_name.get("steps") if spec is not None and any(item.type == "Denoiser" for item in spec.inputs) else None
        if node is not None and item is not None and item.type == "int":
            value = node.values.get("steps", item.default)
            total += value if isinstance(value, int) else 0
    return total
