"""Values set from outside a graph, as `--set sample.seed=3` does: nodes by title or id, values read as the input's type.

Decision: what is inside a subgraph is named by the way to it, "face/sample.seed", and set as an artist would: the input is shown on
the subgraph and set on the instance, so the definition stays one for all. Refused: a copy of the definition for the instance (the
graph in the picture would no longer be the graph that was opened), and changing the definition (it would change its other uses).
"""

from __future__ import annotations

import difflib
import math
import secrets
from typing import Any

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Node
from nodegraph.registry import Registry
from nodegraph.spec import Input
from nodegraph.subgraphs import node_at, node_spec, shown_outside


def with_setting(graph: Graph, registry: Registry, change: str) -> Graph:
    """The graph with one "NODE.INPUT=VALUE" carried out, the value read as the input's type. A link at the input gives way.

    What is inside a subgraph is set for the one instance on the way, through an input that the definition then shows; all other
    instances keep what they have.

    Raises:
        GraphError: There is no such node or input, or the value does not fit.
    """
    place, equals, text = change.partition("=")
    name, dot, input = place.rpartition(".")
    if not equals or not dot or not name or not input:
        raise GraphError(f"--set takes NODE.INPUT=VALUE, as sample.seed=3, not '{change}'.")
    path = node_id(graph, name, registry)
    node = node_at(graph, path)
    assert node is not None
    spec = node_spec(node, graph, registry.specs)
    if spec is None:
        raise GraphError(f"The node '{name}' is of a kind that is not installed: '{node.type}'.")
    item = spec.by_name.get(input)
    if item is None:
        raise GraphError(f"'{name}' has no input '{input}'.{did_you_mean(input, [i.name for i in spec.inputs])}")
    value = _value(f"{name}.{input}", item, text)
    while "/" in path:
        path, _, inner = path.rpartition("/")
        instance = node_at(graph, path)
        assert instance is not None
        definition = instance.subgraph or ""
        graph, shown = shown_outside(graph, definition, inner, input)
        if graph.subgraphs[definition].graph.link_at(inner, input) and not graph.link_at(path, shown):
            raise GraphError(
                f"'{name}.{input}' is linked inside of its subgraph, for all who use it. Take the link away, or set what it brings."
            )
        input = shown
    for link in graph.incoming.get(path, ()):
        if link.input == input:
            graph = graph.without_link(link)
    return graph.with_value(path, input, value)


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
    """The id of a node called by its id, or by the title that the canvas shows; inside a subgraph by those on the way: "face/sample".

    Raises:
        GraphError: There is none, or there are several.
    """
    path, around, rest = "", graph, name
    while "/" in rest and not _called(rest, around, graph, registry):
        outer, _, rest = rest.partition("/")
        outer = _one(outer, around, graph, registry)
        definition = graph.subgraphs.get(around.nodes[outer].subgraph or "")
        if definition is None:
            raise GraphError(f"There is no node '{name}' in this graph: '{outer}' is not a subgraph.")
        path, around = f"{path}{outer}/", definition.graph
    return path + _one(rest, around, graph, registry)


def _called(name: str, around: Graph, graph: Graph, registry: Registry) -> list[str]:
    """The nodes of this id or title in `around`, which is the graph or the inside of one of its subgraphs."""
    if name in around.nodes:
        return [name]
    return [node.id for node in around.nodes.values() if (node.title or _kind(node, graph, registry)).lower() == name.lower()]


def _one(name: str, around: Graph, graph: Graph, registry: Registry) -> str:
    same = _called(name, around, graph, registry)
    if len(same) == 1:
        return same[0]
    if same:
        raise GraphError(f"Several nodes are called '{name}'. Use an id: {_some(same)}.")
    known = [*around.nodes, *(node.title or _kind(node, graph, registry) for node in around.nodes.values())]
    where = "this graph" if around is graph else "this subgraph"
    raise GraphError(f"There is no node '{name}' in {where}.{did_you_mean(name, known) or f' It has: {_some(list(around.nodes))}.'}")


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
