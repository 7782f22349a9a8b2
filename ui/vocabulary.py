"""The words that can be completed while a prompt is typed: textual inversions, and all that the model which ships knows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from nodegraph.folders import RESOURCES, Folders, shipped
from nodegraph.graph import Graph
from nodegraph.node import File

VOCABULARY = RESOURCES / "starter" / "vocabulary.json"
CHECKPOINT = "loaders/checkpoint"


@lru_cache(maxsize=1)
def shipped_groups() -> dict[str, tuple[str, ...]]:
    """The shipped model's words by kind, for people: "Things", "Places", "Colours" ...; {} without its file."""
    try:
        told = json.loads(VOCABULARY.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    places = told.get("places", {})
    groups = {
        "Things": told.get("objects", []),
        "Places": [phrases[0] for phrases in places.values() if phrases],
        "Colours": told.get("colours", []),
        "Numbers and places of things": [*told.get("counts", []), *told.get("relations", [])],
        "Styles": told.get("styles", []),
    }
    return {name: tuple(words) for name, words in groups.items() if words}


def shipped_words() -> tuple[str, ...]:
    """All words and phrases of the shipped model."""
    return tuple(dict.fromkeys(word for words in shipped_groups().values() for word in words))


def uses_shipped_model(graph: Graph) -> bool:
    """Whether a graph paints with the model that ships, and with no other."""
    names = [node.values.get("file", "starter") for node in graph.nodes.values() if node.type == CHECKPOINT]
    return bool(names) and all(name in shipped("checkpoints") for name in names)


def inversions(folders: Folders) -> Sequence[str]:
    """The user's textual inversions as they are typed: "embedding:name"."""
    names = folders.names(File("embeddings", (".safetensors", ".pt", ".bin")))
    return ["embedding:" + name.rpartition(".")[0] for name in names]
