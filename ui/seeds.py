"""What happens to seeds from run to run: drawn anew, counted up or kept. The choice stands in a node's `extra` under "seeds"."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from nodegraph.graph import Graph
from nodegraph.spec import NodeSpec


def with_seeds(graph: Graph, specs: Mapping[str, NodeSpec], draw: Callable[[int], int] = secrets.randbelow) -> tuple[Graph, dict[str, int]]:
    """The graph of one run: seeds set to "new" are drawn, and all seeds are told by "node.input". The document stays as it is."""
    seeds: dict[str, int] = {}
    for node in list(graph.nodes.values()):
        spec = specs.get(node.type)
        for item in spec.inputs if spec is not None else ():
            if not item.is_randomized or graph.link_at(node.id, item.name) is not None:
                continue
            value = node.values.get(item.name, item.default)
            modes = node.extra.get("seeds")
            if isinstance(modes, dict) and modes.get(item.name) == "new":
                top = int(item.range.max) if item.range is not None else 2**63 - 1
                value = draw(min(top, 2**53 - 1) + 1)
                graph = graph.with_value(node.id, item.name, value)
            if isinstance(value, int):
                seeds[f"{node.id}.{item.name}"] = value
    return graph, seeds


def with_counted_seeds(graph: Graph, specs: Mapping[str, NodeSpec]) -> Graph:
    """The graph for the next run: seeds set to "increment" are one higher."""
    for node in list(graph.nodes.values()):
        modes = node.extra.get("seeds")
        spec = specs.get(node.type)
        for name, mode in modes.items() if isinstance(modes, dict) and spec is not None else ():
            item = spec.by_name.get(name) if spec is not None else None
            value = node.values.get(name, item.default) if item is not None else None
            if mode == "increment" and item is not None and isinstance(value, int):
                top = int(item.range.max) if item.range is not None else 2**63 - 1
                graph = graph.with_value(node.id, name, value + 1 if value < top else 0)
    return graph
