"""The words a small model knows, where it says so in a `vocabulary.json` in or beside its folder, and what to tell of others."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

GLUE = frozenset(["a", "an", "the", "on", "in", "at", "of", "to", "and", "with", "is", "its", "background", "gradient", "style", "picture"])
"""Words that every caption has; a model of any vocabulary bears them."""


def file_for(part: Path) -> Path | None:
    """The vocabulary of the model of which a part (its text encoder's folder) lies here; None for models that know all words."""
    places = (part.parent / "vocabulary.json", part.parent.parent / "vocabulary.json")
    return next((place for place in places if place.is_file()), None)


@lru_cache(maxsize=8)
def words(file: Path) -> frozenset[str]:
    """All words of a vocabulary, in lower case."""
    told = json.loads(file.read_text(encoding="utf-8"))
    kept = ("objects", "plurals", "colours", "backgrounds", "places", "relations", "counts", "styles")
    return GLUE | {word for name in kept for text in _texts(told.get(name, [])) for word in _split(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _split(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def unknown(text: str, file: Path) -> list[str]:
    """The words of a prompt that the model does not know, in order, each once. Weights and embeddings are no words."""
    plain = re.sub(r"embedding:\S+|<[^>]*>|:\d*\.?\d+", " ", text).replace("BREAK", " ")
    known = words(file)
    return list(dict.fromkeys(word for word in _split(plain) if word not in known))


def warning(text: str, part: Path) -> str:
    """A gentle word about what the model will not understand; empty when it knows all of it."""
    file = file_for(part)
    strange = unknown(text, file) if file else []
    if not strange or file is None:
        return ""
    named = ", ".join(f"'{word}'" for word in strange[:4]) + (" and others" if len(strange) > 4 else "")
    objects = json.loads(file.read_text(encoding="utf-8"))["objects"]
    return f"This small model does not know {named}. It knows {', '.join(objects[:6])} and {len(objects) - 6} more things; larger models know every word."
