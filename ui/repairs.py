"""What can be done about a problem at the press of a button: edits of the graph, nothing that guesses at the artist's wish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from nodegraph.errors import Problem
from nodegraph.graph import Graph
from nodegraph.subgraphs import node_at
from ui import vocabulary
from ui.at_hand import Offer
from ui.document import Document
from ui.label import shown_name
from ui.words import quoted

MOST_OFFERED: Final = 30


@dataclass(frozen=True)
class Repair:
    """A button's words and what it does, or what it lets choose from."""

    words: str
    act: Callable[[], None] = lambda: None
    choices: tuple[tuple[str, Callable[[], None]], ...] = ()


def repairs(problem: Problem, document: Document, offer: Offer | None = None) -> list[Repair]:
    """At most two ways out, the likeliest first. Those inside a subgraph that is not open lead there instead."""
    found: list[Repair] = []
    if offer is not None:
        found += _other_files(offer, document)
    if problem.kind in ("out-of-memory", "crash"):  # most often a crash is want of memory too, as its words say
        found += _less_memory(document)
    node_id = problem.node_id
    if node_id is not None and "/" not in node_id and node_id in document.root.nodes and not document.scope:
        node = document.graph.nodes[node_id]
        if problem.kind == "unknown-node" and node.mode == "on":
            found.append(Repair("Bypass it", lambda: document.edit("Bypass", lambda g: g.changed(node_id, mode="bypassed"))))
        if problem.kind in ("type", "link", "loop", "family") and problem.input:
            name = problem.input
            found.append(Repair("Take the link off", lambda: document.edit("Unlink", lambda g: unlinked(g, node_id, name))))
        if problem.kind in ("choice", "range") and problem.input and problem.input in node.values:
            name = problem.input
            found.append(Repair("Use the default", lambda: document.edit("Reset", lambda g: g.without_value(node_id, name))))
    return found[:2]


def is_about_words(problem: Problem, document: Document) -> bool:
    """Whether a run warned about a prompt for the model that ships, which it does of words that this model does not know."""
    if problem.kind != "warning" or not problem.node_id or not vocabulary.uses_shipped_model(document.root):
        return False
    node = node_at(document.root, problem.node_id)
    spec = document.specs.get(node.type) if node is not None else None
    return spec is not None and any(item.text is not None and item.text.prompt for item in spec.inputs)


def _other_files(offer: Offer, document: Document) -> list[Repair]:
    """The best file at hand on a button, the others in a menu."""

    def use(name: str) -> Callable[[], None]:
        return lambda: document.edit_root(f"Use {PurePosixPath(name).name}", lambda graph: graph.with_value(offer.node, offer.input, name) if offer.node in graph.nodes else graph)

    best, others = offer.names[0], offer.names[1:MOST_OFFERED]
    found = [Repair(f"Use ‘{shown_name(PurePosixPath(best).stem, 24)}’", use(best))]
    if others:
        found.append(Repair("Use another", choices=tuple((name, use(name)) for name in others)))
    return found


def unlinked(graph: Graph, node_id: str, name: str) -> Graph:
    for link in graph.incoming.get(node_id, ()):
        if link.input == name:
            graph = graph.without_link(link)
    return graph


def _less_memory(document: Document) -> list[Repair]:
    tiles: list[tuple[str, str]] = []
    batches: list[tuple[str, str, int]] = []
    for node in document.root.nodes.values():
        spec = document.specs.get(node.type)
        for item in spec.inputs if spec is not None else ():
            value = node.values.get(item.name, item.default)
            if item.type == "bool" and item.name in ("tiled", "tiles") and value is False:
                tiles.append((node.id, item.name))
            elif item.type == "int" and item.name in ("batch", "batch_size", "count") and isinstance(value, int) and value > 1:
                batches.append((node.id, item.name, value))

    def decode_in_tiles(graph: Graph) -> Graph:
        for node_id, name in tiles:
            graph = graph.with_value(node_id, name, True)
        return graph

    def half_the_batch(graph: Graph) -> Graph:
        for node_id, name, value in batches:
            graph = graph.with_value(node_id, name, max(1, value // 2))
        return graph

    found = []
    if tiles:
        found.append(Repair("Decode in tiles", lambda: document.edit_root("Decode in tiles", decode_in_tiles)))
    if batches:
        found.append(Repair("Half the batch", lambda: document.edit_root("Half the batch", half_the_batch)))
    return found


def headline(problem: Problem, document: Document) -> tuple[str, str]:
    """A problem's message as a heading and the rest: its first sentence, or the node's name when there is only one."""
    text = quoted(problem.message.strip())
    for end in (". ", ": "):
        at = text.find(end)
        if 12 <= at <= 90:
            rest = text[at + 2 :].strip()
            return text[:at], rest[:1].upper() + rest[1:]
    if len(text) <= 70:
        return text.rstrip("."), ""
    node = problem.node_id or ""
    name = document.name_of(node) if node and "/" not in node else node or "The graph"
    return f"‘{name}’", text
