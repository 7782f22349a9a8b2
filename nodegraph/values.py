"""Which values an input takes, and the words for those that it does not. Nothing is ever repaired silently."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nodegraph.errors import Problem
from nodegraph.spec import ANY, Input

ABOUT = {
    "int": "a whole number",
    "float": "a number",
    "bool": "on or off",
    "str": "text",
    "path": "a file",
}
"""The types of values in words."""


def in_words(type_name: str) -> str:
    """A type for a sentence: "a Latent", "Conditioning", "a number", "anything"."""
    words = ABOUT.get(type_name)
    if words:
        return words
    if type_name.endswith(("ing", "s")):  # nothing that is counted: Conditioning, Sigmas
        return type_name
    return "anything" if type_name == ANY else f"{'an' if type_name[0] in 'AEIOU' else 'a'} {type_name}"


_FITS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (float, int), "bool": (bool,), "str": (str,), "path": (str, Path)}


def fits(item: Input, value: Any) -> bool:
    """Whether an input takes a value: its type, choices and range."""
    if value is None:
        return item.optional or item.default is None
    if item.choices:
        return any(type(choice) is type(value) and choice == value for choice in item.choices)
    if item.is_port or not isinstance(value, _FITS[item.type]) or (isinstance(value, bool) and item.type != "bool"):
        return False
    if isinstance(value, (int, float)) and item.type == "float" and not -_LARGEST <= value <= _LARGEST:
        return False  # infinite, or not a number
    limits = item.range
    return limits is None or not isinstance(value, (int, float)) or limits.min <= value <= limits.max


_LARGEST = math.nextafter(math.inf, 0)


def why_not(name: str, node_id: str, item: Input, value: Any) -> Problem:
    """Why a value cannot be used; it is never repaired silently."""
    where = f"'{item.name}' of '{name}'"
    if item.choices:
        shown = ", ".join(str(choice) for choice in item.choices[:12]) + (" ..." if len(item.choices) > 12 else "")
        return Problem(f"{where} is '{str(value)[:80]}'. Choose one of: {shown}.", node_id, item.name, kind="choice")
    if item.is_port:
        return Problem(f"{where} takes {in_words(item.type)} by a link, not a value.", node_id, item.name)
    if item.type == "path" and not value:
        kind = item.file.folder if item.file else "input"
        return Problem(
            f"'{name}' has no file for '{item.name}' yet. Choose one from your {kind} folder.", node_id, item.name, kind="missing-file"
        )
    if item.range is not None and isinstance(value, (int, float)) and isinstance(value, _FITS[item.type]) and not isinstance(value, bool):
        limits = item.range
        words = f"{where} is {_number(value)}. It must be from {_number(limits.min)} to {_number(limits.max)}."
        return Problem(words, node_id, item.name, kind="range")
    return Problem(f"{where} must be {ABOUT[item.type]}, not '{str(value)[:80]}'.", node_id, item.name)


def _number(value: float) -> str:
    """A number as people write it: whole ones in full, also where a seed is as large as can be."""
    return str(int(value))[:40] if isinstance(value, int) or (value.is_integer() and abs(value) < 2**53) else f"{value:g}"
