"""Between a step of a plan and its function: what the values become on the way in, and what came out, checked against the signature."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Any

from nodegraph.errors import GraphError
from nodegraph.spec import ANY, Input, NodeSpec, Output


def common_length(lists: Mapping[str, Any], title: str) -> int:
    """How often a node runs for these lists.

    Raises:
        GraphError: Two of them, longer than one item, are not equally long.
    """
    longest = max(lists, key=lambda name: len(lists[name]), default="")
    count = len(lists[longest]) if longest else 1
    for name, items in lists.items():
        if not items:
            return 0
        if len(items) not in (1, count):
            raise GraphError(
                f"'{title}' gets {count} items at '{longest}' and {len(items)} at '{name}'. "
                "Lists that go together must be equally long, or have one item.",
                None,
                name,
            )
    return count


_known: dict[Callable[..., Any], tuple[tuple[str, Callable[[Any], Any]], ...]] = {}


def conversions(function: Callable[..., Any], spec: NodeSpec) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """What stands between a value as graphs store it and as the function takes it: members of an Enum, no file for ""."""
    known = _known.get(function)
    if known is not None:
        return known
    found: list[tuple[str, Callable[[Any], Any]]] = []
    if any(item.choices for item in spec.inputs):
        hints = typing.get_type_hints(function)
        for item in spec.inputs:
            kind = hints.get(item.name) if item.choices else None
            kind = next((k for k in (kind, *typing.get_args(kind)) if isinstance(k, type) and issubclass(k, Enum)), None)
            if kind is not None:
                found.append((item.name, lambda value, kind=kind: value if value is None else kind(value)))  # type: ignore[misc]
    found += [(item.name, lambda value: value or None) for item in spec.inputs if item.type == "path" and item.optional]
    _known[function] = tuple(found)
    return _known[function]


Resolve = Callable[[str, str], "Path | None"]
"""From a kind of file and a name to the file."""


def arrived(title: Callable[[], str], item: Input, value: Any, resolve: Resolve) -> Any:
    """What a link brought, as the input takes it: whole numbers as fractions, text as a file and back; limits hold here as on the canvas.

    Raises:
        GraphError: It is out of range, none of the choices, or names no file.
    """
    kind = type(value)
    if item.type == "float" and kind is int:
        value = float(value)
    elif item.type == "path" and kind is str:
        return _file(title, item, value, resolve)
    elif item.type == "str" and isinstance(value, Path):
        value = str(value)
    limits = item.range
    if limits is not None and isinstance(value, (int, float)) and not limits.min <= value <= limits.max:
        words = f"'{item.name}' of '{title()}' gets {value} from its link. It must be from {limits.min:g} to {limits.max:g}."
        raise GraphError(words, None, item.name)
    if item.type == "float" and isinstance(value, float) and not math.isfinite(value):
        raise GraphError(f"'{item.name}' of '{title()}' gets {value} from its link. It must be a number.", None, item.name)
    if item.choices and value not in item.choices and value is not None:
        shown = ", ".join(map(str, item.choices[:12])) + (" ..." if len(item.choices) > 12 else "")
        raise GraphError(
            f"'{item.name}' of '{title()}' gets '{str(value)[:80]}' from its link. It must be one of: {shown}.", None, item.name
        )
    return value


def _file(title: Callable[[], str], item: Input, name: str, resolve: Resolve) -> Path | None:
    if not name and item.optional:
        return None
    path = resolve(item.file.folder if item.file else "input", name)
    if path is None:
        where = f" in your {item.file.folder} folders" if item.file else ""
        words = f"'{name[:200]}' for '{item.name}' of '{title()}' is not{where}. Give another name, or put the file there."
        raise GraphError(words, None, item.name)
    return path


# -- results


def outputs_from(spec: NodeSpec, value: Any, name: Callable[[str], str], node_id: str) -> dict[str, Any]:
    """What a function returned, by output.

    Raises:
        GraphError: It is not what its signature promises.
    """
    outs = spec.outputs
    if not outs:
        return {}
    if len(outs) == 1:
        out = outs[0]
        if type(value).__name__ != out.type and isinstance(value, tuple) and getattr(value, "_fields", None) == (out.name,):
            value = value[0]
        made = {out.name: value}
    else:
        if not isinstance(value, tuple) or len(value) != len(outs):
            raise GraphError(_broken_promise(spec, name(node_id), f"{len(outs)} results", _kind(value)))
        made = {out.name: item for out, item in zip(outs, value, strict=True)}
    return checked(spec, made, name, node_id)


def checked(spec: NodeSpec, made: dict[str, Any], name: Callable[[str], str], node_id: str) -> dict[str, Any]:
    """Results by output, if they are of the types that the node promised.

    Raises:
        GraphError: They are not.
    """
    for out in spec.outputs:
        if not _keeps_promise(made[out.name], out):
            promised = f"a list of {out.type}" if out.many else out.type
            raise GraphError(_broken_promise(spec, name(node_id), f"{promised} at '{out.name}'", _kind(made[out.name])))
    return made


def _broken_promise(spec: NodeSpec, title: str, promised: str, given: str) -> str:
    which = f"'{spec.id}' of {spec.pack}" if spec.pack else f"'{spec.id}'"
    return f"'{title}' promised {promised} and gave {given}. This is a fault of the node ({which}): tell its author, or use another one."


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _keeps_promise(value: Any, out: Output) -> bool:
    if out.type == ANY:
        return not out.many or isinstance(value, (list, tuple))
    if out.many:
        return isinstance(value, (list, tuple)) and all(_is_a(type(item), out.type) for item in value)  # type: ignore[arg-type]
    return _is_a(type(value), out.type)  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def _is_a(kind: Any, name: str) -> bool:
    if name in ("int", "float", "bool", "str"):
        return kind is {"int": int, "float": float, "bool": bool, "str": str}[name] or (name == "float" and kind is int)
    if name == "path":
        return issubclass(kind, Path)
    return any(base.__name__ == name for base in kind.__mro__)


def seen(outputs: Mapping[str, Any]) -> Any:
    """The first output that can be looked at, as a picture: what its method `picture` returns, uint8 [height, width, 1, 3 or 4]. None without one."""
    for value in outputs.values():
        first = value[0] if isinstance(value, list) and value else value
        picture = getattr(first, "picture", None)
        if picture is not None:
            try:
                return picture()
            except Exception:  # a look at a result is never worth a run
                continue
    return None


CURVE_POINTS = 1000
"""The most numbers of a curve that are told; a longer one is no schedule that anybody looks at."""


def curves(outputs: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Outputs that can be drawn as a line: those with a method `curve()`, which gives numbers."""
    found = {}
    for name, value in outputs.items():
        curve = getattr(value, "curve", None)
        if curve is not None:
            try:
                numbers = tuple(float(number) for number in curve())
            except Exception:  # a drawing of a result is never worth a run
                continue
            if 0 < len(numbers) <= CURVE_POINTS and all(math.isfinite(number) for number in numbers):
                found[name] = numbers
    return found


def about(outputs: Mapping[str, Any]) -> dict[str, str]:
    """What outputs say of themselves, for the artist."""
    found = {}
    for name, value in outputs.items():
        describe = getattr(value, "describe", None)
        if describe is not None:
            try:
                found[name] = str(describe())
            except Exception:  # words about a result are never worth a run
                continue
        elif type(value) in (int, float, bool, str):
            found[name] = str(value)[:200]
        elif isinstance(value, list):
            found[name] = f"{len(value)} items" if len(value) != 1 else "1 item"
    return found
