"""Writes the words that the shipped model knows, for completions in the prompt editor and for its warning about other words."""

import argparse
import json
from pathlib import Path
from typing import Any

from resources.starter.recipe import words
from resources.starter.recipe.words import Vocabulary

EXAMPLES = (
    "a fox in the snow", "a penguin in the snow", "an owl in a forest", "a dog on the beach", "a rocket in space", "a house at night",
    "a blue cat on a white background", "a lion left of a tree in a meadow", "a star above a castle at night", "two apples on a teal background",
    "three pigs in a meadow", "a black cat on an orange background",
)  # fmt: skip


def content(vocabulary: Vocabulary, styles: tuple[str, ...] = ()) -> dict[str, Any]:
    """What vocabulary.json holds; README.md describes each field."""
    phrases = [p for name in vocabulary.places for p in words.PLACES[name]]
    plurals = {name: words.plural(name) for name in vocabulary.objects}
    grammar = ["a", "an", "background", "gradient", "on", "to"]
    known = [
        *vocabulary.objects,
        *plurals.values(),
        *vocabulary.plain,
        *phrases,
        *words.RELATIONS,
        *words.COUNTS.values(),
        *styles,
        *grammar,
    ]
    return {
        "format": 1,
        "model": "starter",
        "objects": list(vocabulary.objects),
        "plurals": plurals,
        "colours": list(vocabulary.colours),
        "backgrounds": list(vocabulary.plain),
        "places": {name: list(words.PLACES[name]) for name in vocabulary.places},
        "relations": list(words.RELATIONS),
        "counts": list(words.COUNTS.values()),
        "styles": list(styles),
        "patterns": [
            "a {object} {place}", "a {colour} {object} on a {background} background", "a {object} {relation} a {object} {place}",
            "{count} {objects} {place}", "a {object} on a {background} to {background} gradient",
        ],
        "examples": [e for e in EXAMPLES if all(word in " ".join(known).split() for word in e.split())],
        "words": sorted({word for phrase in known for word in phrase.split()}),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--objects", type=int, default=len(Vocabulary.first().objects))
    parser.add_argument("--styles", nargs="*", default=[])
    args = parser.parse_args()
    written = content(Vocabulary.first(args.objects), tuple(args.styles))
    args.file.write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
