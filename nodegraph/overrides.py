"""Values set from outside a graph, as `--set sample.seed=3` does: nodes by title or id, values read as the input's type."""

from __future__ import annotations

import difflib
import math
import secrets
from typing import Any

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Node
from nodegraph.registry import Registry
from nodegraph.spec import Input
from nodegraph.subgraphs import node_spec


def with_setting(graph: Graph, registry: Registry, change: str) -> Graph:
    """The graph with one "NODE.INPUT=VALUE" carried out, the value read as the input's type. A link at the input gives way.

    Raises:
        GraphError: There is no such node or input, or the value does not fit.
    """
    place, equals, text = change.partition("=")
    name, dot, input = place.rpartition(".")
    if not equals or not dot or not name or not input:
        raise GraphError(f"--set takes NODE.INPUT=VALUE, as sample.seed=3, not '{change}'.")
    node = graph.nodes[node_id(graph, name, registry)]
    spec = node_spec(node, graph, registry.specs)
    if spec is None:
        raise GraphError(f"The node '{name}' is of a kind that is not installed: '{node.type}'.")
    item = spec.by_name.get(input)
    if item is None:
        raise GraphError(f"'{name}' has no input '{input}'.{did_you_mean(input, [i.name for i in spec.inputs])}")
    for link in graph.incoming.get(node.id, ()):
        if link.input == input:
            graph = graph.without_link(link)
    return graph.with_value(node.id, input, _value(f"{name}.{input}", item, text))


def _value(place: str, item: Input, text: str) -> Any:
    if item.is_port:
        raise GraphError(f"'{place}' takes {item.type} by a link; it has no value to set.")
    if item.optional and text.lower() in ("", "none"):
        return None
    if item.is_randomized and text.lower() == "random":
        lowest, highest = (int(item.range.min), int(item.range.max)) if item.range else (0, 2**32 - 1)
        return lowest + secrets.randbelow(highest - lowest + 1)
    if item.choices:
        found = [choice for choice in item.choices if str(choice).lower() == text.lower()]
        if not found:
            raise GraphError(f"'{place}' cannot be '{text}'. Choose one of: {', '.join(map(str, item.choices))}.")
        return found[0]
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        if item.type == "int":
            return int(text)
        if item.type == "float":
            number = float(text)
            if math.isfinite(number):
                return number
            raise ValueError
        if item.type == "bool":
            return words[text.lower()]
    except (ValueError, KeyError):
        kind = {"int": "a whole number", "float": "a number", "bool": "on or off"}[item.type]
        raise GraphError(f"'{place}' must be {kind}, not '{text}'.") from None
    return text


def node_id(graph: Graph, name: str, registry: Registry) -> str:
    """The id of a node called by its id, or by the title that the canvas shows.

    Raises:
        GraphError: There is none, or there are several.
    """
    if name in graph.nodes:
        return name
    titles = {node.id: node.title or _kind(node, graph, registry) for node in graph.nodes.values()}
    same = [id for id, title in titles.items() if title.lower() == name.lower()]
    if len(same) == 1:
        return same[0]
    if same:
        raise GraphError(f"Several nodes are called '{name}'. Use an id: {_some(same)}.")
    known = [*titles, *titles.values()]
    raise GraphError(f"There is no node '{name}' in this graph.{did_you_mean(name, known) or f' It has: {_some(list(titles))}.'}")


def _kind(node: Node, graph: Graph, registry: Registry) -> str:
    spec = node_spec(node, graph, registry.specs)
    return spec.title if spec is not None else ""


def _some(names: list[str]) -> str:
    return ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")


def did_you_mean(name: str, known: list[str]) -> str:
    """A question to put behind an error, or ""."""
    folded = {word.lower(): word for word in known}
    found = difflib.get_close_matches(name.lower(), folded, 3, 0.65)
    return f" Did you mean {' or '.join(repr(folded[word]) for word in found)}?" if found else ""
