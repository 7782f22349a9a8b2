"""Sums typed by users, worked out from their syntax tree: numbers, a few names and functions, nothing else. No code is ever run."""

import ast
import math
import operator
from collections.abc import Callable, Mapping

from nodegraph.errors import GraphError

Number = int | float | bool

MAX_LENGTH = 1000
MAX_PARTS = 300
MAX_BITS = 4096
"""Of a whole number: 1,233 digits. What is larger would only fill the memory."""

_CONSTANTS: dict[str, Number] = {"pi": math.pi, "e": math.e, "true": True, "false": False, "True": True, "False": False}
_TWO: dict[type[ast.operator], Callable[[Number, Number], Number]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_ONE: dict[type[ast.unaryop], Callable[[Number], Number]] = {ast.UAdd: operator.pos, ast.USub: operator.neg, ast.Not: operator.not_}
_COMPARE: dict[type[ast.cmpop], Callable[[Number, Number], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def _clamp(value: Number, low: Number, high: Number) -> Number:
    return min(max(value, low), high)


def _round(value: Number, digits: Number = 0) -> Number:
    """Halves go up, as people expect, not to the even neighbour."""
    if isinstance(value, int) and digits >= 0:
        return value
    unit = 10 ** int(_clamp(digits, -300, 300))
    made = math.floor(value * unit + 0.5) / unit
    return int(made) if digits <= 0 else made


_FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int]] = {  # with the fewest and the most arguments
    "abs": (abs, 1, 1),
    "min": (min, 2, 20),
    "max": (max, 2, 20),
    "round": (_round, 1, 2),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "exp": (math.exp, 1, 1),
    "log": (math.log, 1, 2),
    "log2": (math.log2, 1, 1),
    "log10": (math.log10, 1, 1),
    "sin": (math.sin, 1, 1),
    "cos": (math.cos, 1, 1),
    "tan": (math.tan, 1, 1),
    "atan": (math.atan, 1, 1),
    "atan2": (math.atan2, 2, 2),
    "clamp": (_clamp, 3, 3),
    "lerp": (lambda a, b, share: a + (b - a) * share, 3, 3),
    "sign": (lambda value: (value > 0) - (value < 0), 1, 1),
}


def evaluate(text: str, names: Mapping[str, Number]) -> Number:
    """The value of a sum like "round(a * 1.5 / 8) * 8", with `names` for its letters.

    Raises:
        GraphError: It is not a sum, uses something unknown, or has no result; the message says which part.
    """
    if len(text) > MAX_LENGTH:
        raise GraphError(f"The sum has {len(text)} characters; at most {MAX_LENGTH} are possible. Split it into two nodes.")
    try:
        tree = ast.parse(text.strip(), mode="eval")
        if sum(1 for _ in ast.walk(tree)) > MAX_PARTS:
            raise GraphError("The sum has too many parts. Split it into two nodes.")
        return _checked(_value(tree.body, names))
    except GraphError:
        raise
    except SyntaxError:
        raise GraphError(f"'{_shown(text)}' cannot be read as a sum. Write for example a * 2 + 1.") from None
    except ZeroDivisionError:
        raise GraphError(f"'{_shown(text)}' divides by 0.") from None
    except (ValueError, OverflowError, TypeError):
        raise GraphError(f"'{_shown(text)}' has no result: a number is outside of what a function takes, or too large.") from None
    except (RecursionError, MemoryError):
        raise GraphError("The sum is nested too deeply. Split it into two nodes.") from None


def _value(part: ast.expr, names: Mapping[str, Number]) -> Number:
    match part:
        case ast.Constant(value=bool() | int() | float() as number):
            return _checked(number)
        case ast.Name(id=name):
            if name in names:
                return names[name]
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            known = ", ".join((*names, "pi", "e"))
            raise GraphError(f"'{_shown(name)}' in the sum is unknown. These can be used: {known}.")
        case ast.UnaryOp(op=sign, operand=inner) if type(sign) in _ONE:
            return _ONE[type(sign)](_value(inner, names))
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, names), _value(right, names))
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _TWO:
            return _checked(_TWO[type(sign)](_value(left, names), _value(right, names)))
        case ast.BoolOp(op=sign, values=parts):
            stop = isinstance(sign, ast.Or)
            value: Number = False
            for inner in parts:
                value = _value(inner, names)
                if bool(value) == stop:
                    break
            return value
        case ast.Compare(left=left, ops=relations, comparators=parts) if all(type(relation) in _COMPARE for relation in relations):
            before = _value(left, names)
            for relation, inner in zip(relations, parts, strict=True):
                after = _value(inner, names)
                if not _COMPARE[type(relation)](before, after):
                    return False
                before = after
            return True
        case ast.IfExp(test=test, body=yes, orelse=no):
            return _value(yes, names) if _value(test, names) else _value(no, names)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name not in _FUNCTIONS:
                raise GraphError(f"There is no '{_shown(name)}' for sums. These can be used: {', '.join(_FUNCTIONS)}.")
            function, fewest, most = _FUNCTIONS[name]
            if not fewest <= len(arguments) <= most:
                count = str(fewest) if fewest == most else f"{fewest} to {most}"
                raise GraphError(f"'{name}' takes {count} numbers, not {len(arguments)}.")
            return _checked(function(*(_value(argument, names) for argument in arguments)))
    raise GraphError(f"'{_shown(ast.unparse(part))}' cannot stand in a sum. Numbers, + - * / // % **, comparisons and functions can.")


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, int) and isinstance(exponent, int) and exponent > 0 and base.bit_length() * exponent > MAX_BITS:
        raise GraphError("A power in the sum is too large to be worked out.")
    return _checked(base**exponent)


def _checked(value: object) -> Number:
    if isinstance(value, int):
        if value.bit_length() > MAX_BITS:
            raise OverflowError
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError  # a complex number, infinity, no number


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)[:80]
