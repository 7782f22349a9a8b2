"""Numbers, choices and lists: what makes one graph serve many pictures."""

from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from nodegraph.errors import GraphError
from nodegraph.node import HEADLESS, Advanced, Context, Lazy, PassNumber, Randomize, Range, Text, Unit, node

T = TypeVar("T")
Whole = Annotated[int, Range(-(2**63), 2**64 - 1)]
Decimal = Annotated[float, Range(-1e12, 1e12)]


# -- values


@node("logic/int", title="Whole number", keywords=("integer", "primitive", "constant", "value", "number"))
def whole_number(value: Whole = 0) -> int:
    """A whole number, to be used in several places at once.

    Args:
        value: The number.
    """
    return value


@node("logic/float", title="Number", keywords=("decimal", "primitive", "constant", "value", "float"))
def number(value: Decimal = 0.0) -> float:
    """A number, to be used in several places at once.

    Args:
        value: The number.
    """
    return float(value)


@node("logic/bool", title="On or off", keywords=("boolean", "primitive", "toggle", "flag", "true", "false"))
def on_or_off(value: bool = True) -> bool:
    """A switch to be thrown by hand. Connect it to several places to throw them together.

    Args:
        value: On or off.
    """
    return value


@node("logic/seed", title="Seed", keywords=("random", "noise", "number"))
def seed(value: Annotated[int, Range(0, 2**64 - 1), Randomize()] = 0) -> int:
    """One seed for several nodes, drawn anew for each run if you like.

    Args:
        value: The same seed gives the same picture.
    """
    return value


@node("logic/random-int", title="Random whole number", keywords=("dice", "chance", "range"))
def random_whole_number(low: Whole = 0, high: Whole = 100, seed: Annotated[int, Range(0, 2**64 - 1), Randomize()] = 0) -> int:
    """A whole number by chance; the same seed gives the same one.

    Args:
        low: The smallest possible.
        high: The largest possible.
        seed: Another number gives another result.
    """
    import random

    if low > high:
        raise GraphError(f"'low' is {low}, above 'high', which is {high}. Swap them.", input="low")
    return random.Random(seed).randint(low, high)


class Resolution(NamedTuple):
    width: int
    height: int


@node("logic/resolution", title="Resolution", keywords=("size", "aspect ratio", "megapixels", "width", "height", "portrait", "landscape"))
def resolution(
    ratio: Literal["1:1", "5:4", "4:3", "3:2", "16:10", "16:9", "2:1", "21:9", "free"] = "1:1",
    portrait: bool = False,
    megapixels: Annotated[float, Range(0.01, 64, step=0.05)] = 1.0,
    multiple_of: Annotated[int, Range(1, 256), Unit("px"), Advanced()] = 16,
    free_width: Annotated[float, Range(0.01, 100), Advanced()] = 1.0,
    free_height: Annotated[float, Range(0.01, 100), Advanced()] = 1.0,
) -> Resolution:
    """Find the width and height for a format and a number of pixels.

    Args:
        ratio: Width to height. "free" takes the two numbers below.
        portrait: Stand it upright.
        megapixels: In units of 1024 × 1024. 0.25 suits Stable Diffusion 1.x, 1 suits SDXL and newer models.
        multiple_of: Both sides become multiples of this. 8 is enough for Stable Diffusion, 16 for FLUX.
        free_width: For "free": width, in any unit.
        free_height: For "free": height, in the same unit.
    """
    wide, high = (free_width, free_height) if ratio == "free" else map(float, ratio.split(":"))
    if portrait:
        wide, high = min(wide, high), max(wide, high)
    area = megapixels * 1024 * 1024
    exact = (area * wide / high) ** 0.5
    width, height = (max(1, int(side / multiple_of + 0.5)) * multiple_of for side in (exact, area / exact))
    if max(width, height) > 16384:
        raise GraphError(
            f"This would be {width} × {height}. At most 16384 pixels a side are possible. Choose fewer megapixels.", input="megapixels"
        )
    return Resolution(width, height)


# -- arithmetic


class Sum(NamedTuple):
    number: float
    whole: int
    is_true: bool


@node("logic/math", title="Calculate", keywords=("math", "expression", "formula", "arithmetic", "plus", "times"))
def calculate(expression: Annotated[str, Text()] = "a + b", a: Decimal = 0.0, b: Decimal = 0.0, c: Decimal = 0.0, d: Decimal = 0.0) -> Sum:
    """Work out a sum from up to four numbers.

    It knows + - * / // % **, comparisons, "x if condition else y", and the functions abs min max round floor ceil sqrt exp log
    log2 log10 sin cos tan atan atan2 clamp lerp sign, with pi and e.

    The result comes as a number, rounded to a whole one, and as on or off (is it other than 0?).

    Args:
        expression: For example round(a * 1.5 / 8) * 8.
        a: What the letter stands for.
        b: What the letter stands for.
        c: What the letter stands for.
        d: What the letter stands for.
    """
    import math

    from nodes.expression import evaluate

    try:
        value = evaluate(expression, {"a": a, "b": b, "c": c, "d": d})
        whole = int(value) if isinstance(value, int) else math.floor(value + 0.5)
        return Sum(float(value), whole, bool(value))
    except OverflowError:
        raise GraphError("The result of the sum is too large.", input="expression") from None
    except GraphError as error:
        raise GraphError(error.message, input="expression") from None


@node("logic/round", title="Round", keywords=("integer", "whole", "float to int", "floor", "ceil", "snap", "multiple"))
def round_number(
    value: Decimal = 0.0, to: Literal["nearest", "down", "up"] = "nearest", multiple_of: Annotated[int, Range(1, 16384)] = 1
) -> int:
    """Make a whole number of any number.

    Args:
        value: The number.
        to: Halves go up with "nearest".
        multiple_of: The result is a multiple of this: 8 for sizes of pictures.
    """
    import math

    share = value / multiple_of
    return {"nearest": math.floor(share + 0.5), "down": math.floor(share), "up": math.ceil(share)}[to] * multiple_of


@node("logic/compare", title="Compare", keywords=("if", "greater", "less", "equal", "condition"))
def compare(a: Decimal = 0.0, b: Decimal = 0.0, how: Literal["a = b", "a ≠ b", "a < b", "a ≤ b", "a > b", "a ≥ b"] = "a > b") -> bool:
    """Say whether two numbers stand in a relation, to steer a switch.

    Args:
        a: The first number.
        b: The second number.
        how: The relation.
    """
    return {"=": a == b, "≠": a != b, "<": a < b, "≤": a <= b, ">": a > b, "≥": a >= b}[how.split()[1]]


@node("logic/combine", title="And, or, not", keywords=("boolean", "logic", "both", "either", "xor", "invert"))
def and_or_not(a: bool = True, b: bool = True, how: Literal["a and b", "a or b", "either a or b", "not a"] = "a and b") -> bool:
    """Join two conditions into one.

    Args:
        a: The first condition.
        b: The second condition.
        how: "either" is on when exactly one of them is.
    """
    return {"a and b": a and b, "a or b": a or b, "either a or b": a != b, "not a": not a}[how]


# -- choices


@node("logic/switch", title="Switch", keywords=("if", "else", "condition", "branch", "toggle", "bypass"))
def switch(condition: bool = True, yes: Lazy[T] | None = None, no: Lazy[T] | None = None) -> T:
    """Take one of two things. What the other one would need is never made, so a switched-off branch costs nothing.

    Args:
        condition: Which of them: on takes 'yes'.
        yes: Taken when the condition is on.
        no: Taken when it is off.
    """
    chosen = yes if condition else no
    if chosen is None:
        name, state = ("yes", "on") if condition else ("no", "off")
        raise GraphError(f"The switch is {state}, and nothing is connected to '{name}'. Connect something there.", input=name)
    return chosen()


@node("logic/choose", title="Choose one", keywords=("select", "index", "multi switch", "case", "branch"))
def choose_one(
    number: Annotated[int, Range(1, 8)] = 1,
    first: Lazy[T] | None = None,
    second: Lazy[T] | None = None,
    third: Lazy[T] | None = None,
    fourth: Lazy[T] | None = None,
    fifth: Lazy[T] | None = None,
    sixth: Lazy[T] | None = None,
    seventh: Lazy[T] | None = None,
    eighth: Lazy[T] | None = None,
) -> T:
    """Take one of up to eight things by its number. The others are never made.

    Args:
        number: Which one, counted from 1.
    """
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    if not 1 <= number <= len(names):
        raise GraphError(f"The number is {number}. It must be from 1 to {len(names)}.", input="number")
    chosen = (first, second, third, fourth, fifth, sixth, seventh, eighth)[number - 1]
    if chosen is None:
        name = names[number - 1]
        raise GraphError(f"Number {number} is chosen, and nothing is connected to '{name}'. Connect something there.", input=name)
    return chosen()


@node("logic/first-present", title="First that is there", keywords=("any switch", "fallback", "default", "muted", "or else"))
def first_that_is_there(first: T | None = None, second: T | None = None, third: T | None = None, fourth: T | None = None) -> T:
    """Take the first of up to four things that is connected and not muted. Mute a branch, and the next one steps in.

    Args:
        first: Taken if it is there.
        second: Taken if the first is not.
        third: Taken if the first two are not.
        fourth: Taken if nothing else is.
    """
    found = next((thing for thing in (first, second, third, fourth) if thing is not None), None)
    if found is None:
        raise GraphError("None of the inputs is there: they are not connected, or muted. Connect one.", input="first")
    return found


# -- lists: what follows a list runs once for each of its items


@node("logic/list", title="List", keywords=("collect", "gather", "for each", "loop", "array"))
def make_list(items: list[T]) -> list[T]:
    """Gather things into a list: what follows runs once for each of them.

    Args:
        items: Connect as many as you like. Lists among them are joined.
    """
    return list(items)


@node("logic/repeat", title="Repeat", keywords=("loop", "for each", "times", "copies"))
def repeat(value: T, times: Annotated[int, Range(1, 10_000)] = 4) -> list[T]:
    """Run what follows several times with the same thing. Let another list, such as 'Count', bring in what shall differ.

    Args:
        value: The thing.
        times: How often.
    """
    return [value] * times


@node("logic/count", title="Count", keywords=("range", "sequence", "loop", "for each", "seeds", "numbers", "sweep"))
def count(
    start: Whole = 0, step: Annotated[int, Range(-1_000_000, 1_000_000)] = 1, times: Annotated[int, Range(1, 10_000)] = 4
) -> list[int]:
    """Whole numbers one after the other: what follows runs once for each. Connect it to a seed to get several pictures.

    Args:
        start: The first number.
        step: What is added each time.
        times: How many numbers.
    """
    return [start + i * step for i in range(times)]


@node("logic/sweep", title="Sweep", keywords=("range", "float", "linspace", "xy plot", "parameter", "for each"))
def sweep(start: Decimal = 0.0, end: Decimal = 1.0, times: Annotated[int, Range(1, 10_000)] = 5) -> list[float]:
    """Evenly spaced numbers from start to end: what follows runs once for each. Good for trying out a strength.

    Args:
        start: The first number.
        end: The last number.
        times: How many numbers.
    """
    if times == 1:
        return [start]
    return [start + (end - start) * i / (times - 1) for i in range(times)]


@node("logic/pick", title="Pick from list", keywords=("index", "select", "item", "element"))
def pick_from_list(items: list[T], number: Annotated[int, Range(-10_000, 10_000)] = 0) -> T:
    """Take one thing out of a list.

    Args:
        items: The list.
        number: Which one, counted from 0. Negative counts from the end: -1 is the last.
    """
    if not -len(items) <= number < len(items):
        raise GraphError(f"The list has {len(items)} things, numbered from 0. There is no number {number}.", input="number")
    return items[number]


@node("logic/slice", title="Part of list", keywords=("range", "first", "last", "subset", "reverse"))
def part_of_list(
    items: list[T],
    start: Annotated[int, Range(-10_000, 10_000)] = 0,
    length: Annotated[int, Range(0, 10_000)] = 0,
    every: Annotated[int, Range(1, 1000), Advanced()] = 1,
    reverse: Annotated[bool, Advanced()] = False,
) -> list[T]:
    """Take several things out of a list.

    Args:
        items: The list.
        start: The first one, counted from 0. Negative counts from the end.
        length: How many. 0 takes all to the end.
        every: Only every so many-th of them.
        reverse: Turn the order around.
    """
    begin = max(0, start + len(items)) if start < 0 else start
    chosen = items[begin : begin + length if length else None][::every]
    if not chosen:
        raise GraphError(f"The list has {len(items)} things, so nothing is left from number {start} on. Begin earlier.", input="start")
    return chosen[::-1] if reverse else chosen


@node("logic/length", title="Length of list", keywords=("count", "size", "how many"))
def length_of_list(items: list[T]) -> int:
    """Tell how many things are in a list.

    Args:
        items: The list.
    """
    return len(items)


# -- subgraphs that run more than once


@node("logic/pass", title="Number of the pass", keywords=("loop", "index", "iteration", "repeat", "counter", "for each", "while"))
def number_of_the_pass(number: Annotated[int, PassNumber(), Range(0, 1_000_000), Advanced()] = 0) -> int:
    """Tell which pass of a subgraph this is: 0 in the first, then 1, then 2. Put it inside the subgraph.

    To repeat something, make a subgraph of it and raise its 'Repeat'. A result goes back into the input of the same name (an
    image into 'image'), so each pass works on what the one before made; every other result becomes a list of what all passes made.
    Add this number to a seed, and each pass gets a new one.

    Args:
        number: What to say outside of a subgraph that repeats, to try things out.
    """
    return number


class Ending(NamedTuple):
    done: bool


@node("logic/done", title="Done when", keywords=("while", "until", "break", "loop", "stop", "condition", "end", "repeat"))
def done_when(condition: bool = False) -> Ending:
    """End a subgraph that repeats as soon as something is so. Put it inside, and show its 'done' on the subgraph.

    After the pass in which 'done' is on there is no other. 'Repeat' then says how many there are at most.

    Args:
        condition: What ends it, for example a comparison.
    """
    return Ending(condition)


# -- looking


@node("logic/show", title="Show value", sink=True, keywords=("preview any", "print", "debug", "display", "text", "inspect"))
def show_value(value: Any, ctx: Context = HEADLESS) -> str:
    """Show anything on the node: a number, a text, or what a picture or model is.

    Args:
        value: The thing.
    """
    from nodes.pictures.files import to_bytes8
    from nodes.pictures.limits import hex_color
    from nodes.pictures.pads import written

    text = in_words(value)
    ctx.show(to_bytes8(written(text, 512, 18, hex_color("#1e1f24"), most_lines=60)))
    return text


def in_words(value: Any) -> str:
    """A value as an artist reads it."""
    if hasattr(value, "describe"):
        return str(value.describe())
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return "\n".join(in_words(item) for item in value)
    return str(value)
