"""Values in words and back: how a control's value is shown, scrubbed and typed, and the small calculator behind number fields."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from nodegraph.spec import REQUIRED, Input

Kind = Literal["number", "choice", "file", "seed", "toggle", "text", "line", "color", "drawing"]


def kind_of(item: Input) -> Kind:
    """Which control an input gets."""
    if item.choices:
        return "choice"
    if item.file is not None:
        return "file"
    if item.is_drawing:
        return "drawing"
    if item.is_color:
        return "color"
    if item.type == "bool":
        return "toggle"
    if item.type in ("int", "float"):
        return "seed" if item.is_randomized else "number"
    if item.type == "path":
        return "file"
    if item.text is not None and (item.text.lines > 1 or item.text.prompt):
        return "text"
    return "line"


def in_words(name: str, first: bool = False) -> str:
    """An input's name as a label: "start_step" is "start step", or "Start step" with `first`."""
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:] if first else words


def decimals(item: Input) -> int:
    """How many places of a number are shown: those that its step needs (for per cents: after the shift)."""
    if item.type == "int":
        return 0
    step = step_of(item) * (100 if item.unit == "%" else 1)
    if step >= 1:
        return 0
    return min(6, max(1, math.ceil(-math.log10(step) - 1e-9)))


def step_of(item: Input) -> float:
    """The smallest change that the control makes."""
    limits = item.range
    if limits is not None and limits.step:
        return float(limits.step)
    if item.type == "int":
        return 1.0
    if limits is not None and limits.max > limits.min:
        return float(10 ** math.floor(math.log10((limits.max - limits.min) / 100)))
    return 0.01


def number_text(item: Input, value: float, unit: bool = True) -> str:
    """A number as shown: "1024 px", "60 %", "6.5"."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if item.unit == "%":
        text = f"{value * 100:.{decimals(item)}f}"
    elif item.type == "int" and float(value).is_integer():
        text = str(int(value))
    else:
        places = decimals(item)
        text = f"{value:.{places}f}"
        if float(text) != value and places < 6:
            text = f"{value:.6g}"
    return f"{text} {item.unit}" if unit and item.unit else text


def seed_text(value: Any) -> str:
    """A seed in groups of three digits."""
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)


def shown_value(item: Input, value: Any, kind: Kind | None = None) -> str:
    """A value as it stands in its row."""
    kind = kind or kind_of(item)
    if value is REQUIRED or value is None:
        return "choose" if kind in ("file", "choice") else "not set" if value is None else ""
    if kind == "number":
        return number_text(item, value)
    if kind == "seed":
        return seed_text(value)
    if kind == "file":
        text = str(value)
        return PurePosixPath(text).name or "choose"
    if kind == "choice":
        return choice_text(item, value)
    if kind == "toggle":
        return "on" if value else "off"
    if kind == "drawing":
        return "painted" if value else "empty"
    return " ".join(str(value).split("\n")) if kind == "line" else str(value)


ACRONYMS: Final = {
    word.lower(): word
    for word in ("PNG", "JPEG", "WebP", "TIFF", "GIF", "fp8", "fp16", "fp32", "bf16", "SDXL", "SD3", "MLSD", "CFG", "VAE", "CPU")
} | {"sd1": "SD 1.5", "sd2": "SD 2", "flux1": "FLUX.1", "flux2": "FLUX.2"}


def choice_text(item: Input, value: Any) -> str:
    """A choice in words: those that the node gives it, or its own, beginning with a capital."""
    text = item.choice_label(value)
    if text != str(value) or not text:
        return text or "not set"
    if text.islower() or "_" in text:
        words = [ACRONYMS.get(word, word) for word in text.replace("_", " ").replace("-", " ").split(" ")]
        text = " ".join(words)
        if words[0].islower() and len(words[0]) > 1 and words[0] not in ACRONYMS.values():
            text = text[:1].upper() + text[1:]
    return text


# Scrubbing --------------------------------------------------------------------------------------------------------


WIDE = 500  # steps: a range of more is a guard against nonsense rather than a scale (the width of a picture, 16 to 16384)
FREE = 10_000_000  # steps: a range of more says no more than that a number must fit into a machine


def scrubbed(item: Input, start: float, pixels: float, width: float, factor: float = 1.0) -> float | int:
    """The value after dragging `pixels` from `start`: the field's width runs through the range. Free numbers and those of wide ranges
    go half a step or a hundredth of `start` a pixel, whichever is more."""
    limits = item.range
    step = step_of(item)
    if limits is not None and limits.log and limits.min > 0 and start > 0:
        value = start * math.exp(math.log(limits.max / limits.min) * pixels / max(width, 1) * factor)
    elif limits is not None and (limits.max - limits.min) / step <= WIDE:
        value = start + (limits.max - limits.min) * pixels / max(width, 1) * factor
    else:
        value = start + max(step / 2, abs(start) / 100) * pixels * factor
    fine = step * min(1.0, factor) if item.type == "float" else step
    return rounded(item, value, fine)


def rounded(item: Input, value: float, step: float | None = None) -> float | int:
    """On a whole number of steps from the range's beginning, inside the range: for scrubs and wheels, not for what was typed."""
    step = step or step_of(item)
    limits = item.range
    base = limits.min if limits is not None and math.isfinite(limits.min) else 0.0
    if item.type == "int":
        base, step = int(base), max(1, int(step))
        whole = int(base) + round((value - base) / step) * int(step)
        return min(max(whole, int(limits.min)), int(limits.max)) if limits is not None else whole
    value = round(base + round((value - base) / step) * step, 10)
    return min(max(value, limits.min), limits.max) if limits is not None else value


# Typing -----------------------------------------------------------------------------------------------------------

_BINARY: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: Final[Mapping[type[ast.unaryop], Callable[[Any], Any]]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "abs": abs,
    "min": min,
    "max": max,
}
_CONSTANTS: Final[Mapping[str, float]] = {"pi": math.pi}


class ValueProblem(ValueError):
    """What was typed cannot be taken; the message says why."""


def calculate(text: str, current: float = 0.0) -> float | int:
    """The result of a sum such as "512*2" or "x/2" (x is the value so far). Nothing but arithmetic is understood.

    Raises:
        ValueProblem: It is no sum, or has no finite result.
    """
    cleaned = (
        text.strip().replace("×", "*").replace("÷", "/").replace("^", "**").replace(",", ".")
        if "," in text and "(" not in text
        else text.strip()
    )
    cleaned = cleaned.replace("×", "*").replace("÷", "/").replace("^", "**").replace("−", "-")
    if len(cleaned) > 200:
        raise ValueProblem("This is too long for a sum.")
    try:
        tree = ast.parse(cleaned, mode="eval")
        value: float | int = _calculate(tree.body, current)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueProblem(f"‘{text}’ is not a number or a sum such as 512*2.") from None
    except ZeroDivisionError:
        raise ValueProblem("This divides by zero.") from None
    except (OverflowError, TypeError, ValueError) as error:
        if isinstance(error, ValueProblem):
            raise
        raise ValueProblem(f"‘{text}’ has no result.") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueProblem(f"‘{text}’ has no result.")
    return value


def _calculate(part: ast.expr, current: float) -> Any:
    match part:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id="x"):
            return current
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=op, operand=inner) if type(op) in _UNARY:
            return _UNARY[type(op)](_calculate(inner, current))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            a, b = _calculate(left, current), _calculate(right, current)
            if isinstance(op, ast.Pow) and (abs(b) > 64 or abs(a) > 1e6):
                raise ValueProblem("This power is too large.")
            return _BINARY[type(op)](a, b)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _FUNCTIONS and args:
            return _FUNCTIONS[name](*[_calculate(arg, current) for arg in args])
    raise ValueProblem("Only numbers, + - * / ^ and round, floor, ceil, sqrt, abs, min, max are understood.")


def typed_number(item: Input, text: str, current: float = 0.0) -> float | int:
    """What a typed text means for this input; the unit may be typed too, and per cents are meant as shown.

    Raises:
        ValueProblem: Not a number, not whole where a whole one is needed, or outside the range. Nothing is clamped in silence.
    """
    plain = text.strip().replace(" ", "").replace("\u202f", "").replace("\u00a0", "")
    if item.unit and plain.endswith(item.unit):
        plain = plain[: -len(item.unit)]
    share = 100.0 if item.unit == "%" else 1.0
    value = calculate(plain, current * share)
    if share != 1.0:
        value = round(value / share, 10)
    if item.type == "int":
        if float(value) != int(value):
            raise ValueProblem(f"‘{in_words(item.name, True)}’ takes a whole number, not {value:g}.")
        value = int(value)
    limits = item.range
    if limits is not None and not limits.min <= value <= limits.max:
        low, high = number_text(item, limits.min), number_text(item, limits.max)
        raise ValueProblem(f"‘{in_words(item.name, True)}’ lies between {low} and {high}.")
    return value if item.type == "int" else float(value)
