"""Numbers, sums, choices and lists; the choices also inside real runs."""

import ast
import math
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import GraphError
from nodegraph.node import Headless, Lazy
from nodegraph.spec import read_spec
from nodes import expression
from nodes.expression import evaluate
from nodes.logic import (
    and_or_not,
    calculate,
    choose_one,
    compare,
    count,
    first_that_is_there,
    in_words,
    length_of_list,
    make_list,
    number,
    on_or_off,
    part_of_list,
    pick_from_list,
    random_whole_number,
    repeat,
    resolution,
    round_number,
    seed,
    show_value,
    sweep,
    switch,
    whole_number,
)


def untouchable() -> Lazy[int]:
    def ask() -> int:
        raise AssertionError("this branch must not be made")

    return Lazy(ask)


# -- sums


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a + b", 5), ("2 * (a - 1) ** 2", 2), ("7 // 2 + 7 % 4", 6), ("-a", -2), ("10 / 4", 2.5), ("a < b <= 3", True), ("a > b or not b", False),
        ("1 if a == 2 else 0", 1), ("round(a * 1.25)", 3), ("round(0.5) + round(1.5)", 3), ("round(3.14159, 2)", 3.14), ("floor(-0.5)", -1),
        ("ceil(0.1)", 1), ("min(a, b, 1)", 1), ("clamp(9, 0, b)", 3), ("lerp(a, b, 0.5)", 2.5), ("sqrt(16) + log2(8)", 7), ("cos(pi)", -1),
        ("abs(-3) * sign(-2)", -3), ("1e3", 1000), ("0x10", 16), ("2 ** 0.5", 2**0.5), ("2 ** -1", 0.5), ("atan2(0, 1)", 0), ("true", True),
        (" a\t+ 1 ", 3),
    ],
)  # fmt: skip
def test_a_sum_has_the_value_of_arithmetic(text, value):
    assert evaluate(text, {"a": 2, "b": 3}) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')", "a.real", "().__class__", "[1, 2]", "'text'", "lambda: 1", "(x := 1)", "a[0]", "{1: 2}", "f'{a}'", "1j", "b'x'", "...",
        "[x for x in a]", "min(*a)", "round(a, ndigits=1)", "a @ b", "a << 2", "a & b", "a is b", "a in b", "~a", "open(a)", "eval(a)", "None",
        "abs.__call__(1)", "print", "await a", "yield", "import os", "a = 1", "a; b", "", "   ", "1 +", "(((", "a b", "\0", "1\n2", "min(1)", "sqrt(1, 2)",
    ],
)  # fmt: skip
def test_what_is_no_sum_is_refused_in_words(text):
    with pytest.raises(GraphError) as caught:
        evaluate(text, {"a": 2, "b": 3})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "9 ** 9 ** 9", "10 ** 10000", "(2 ** 4000) * (2 ** 4000)", "1 / 0", "1 % 0", "sqrt(-1)", "(-8) ** 0.5", "1e308 * 10", "exp(1000)", "log(0)",
        "1 if 1e999 else 0", "2.0 ** 5000", "0 ** -1", "1e400", "(" * 400 + "1" + ")" * 400, "+" * 5000 + "1", "-" * 900 + "1", "1" * 1001, "1+" * 400 + "1",
    ],
)  # fmt: skip
def test_sums_that_would_take_forever_or_have_no_result_are_refused(text):
    with pytest.raises(GraphError):
        evaluate(text, {"a": 1})


@given(st.text(alphabet="ab0123456789.+-*/%()<>=!, einfoxrsqtlgu_[]{}'\"@&|~^:;\\", max_size=60))
def test_no_text_does_anything_but_give_a_number_or_a_sentence(text):
    try:
        value = evaluate(text, {"a": 3, "b": 2.5})
    except GraphError:
        return
    assert isinstance(value, (int, float)) and math.isfinite(value)


@given(st.integers(-50, 50), st.integers(-50, 50), st.integers(1, 50))
def test_sums_of_fractions_are_right(a, b, c):
    assert evaluate("(a + b) / c - b", {"a": a, "b": b, "c": c}) == pytest.approx(float(Fraction(a + b, c) - b))


def test_nothing_in_the_evaluator_can_run_code():
    tree = ast.parse(Path(expression.__file__).read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec", "compile", "getattr", "setattr", "__import__", "globals", "vars"}


def test_calculating_gives_the_number_rounded_and_as_a_condition():
    assert calculate("a / b", 7, 2) == (3.5, 4, True)
    assert calculate("a - b", 2, 2) == (0.0, 0, False)
    assert calculate("a * 2 ** 62", 3).whole == 3 * 2**62
    assert calculate("-0.5").whole == 0
    with pytest.raises(GraphError, match="a, b, c, d") as caught:
        calculate("x + 1")
    assert caught.value.input == "expression"
    with pytest.raises(GraphError, match="too large"):
        calculate("2 ** 4000")


# -- values and relations


def test_values_come_out_as_they_went_in():
    assert (whole_number(2**64 - 1), number(0.1), on_or_off(False), seed(7)) == (2**64 - 1, 0.1, False, 7)


def test_relations_and_conditions_are_those_of_logic():
    assert [compare(1, 2, how) for how in ("a = b", "a ≠ b", "a < b", "a ≤ b", "a > b", "a ≥ b")] == [False, True, True, True, False, False]
    assert [and_or_not(True, False, how) for how in ("a and b", "a or b", "either a or b", "not a")] == [False, True, True, False]
    assert not and_or_not(True, True, "either a or b")


def test_rounding_reaches_multiples():
    assert [round_number(515.9, to, 8) for to in ("nearest", "down", "up")] == [512, 512, 520]
    assert [round_number(v) for v in (0.5, 1.5, -0.5)] == [1, 2, 0]


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        ({}, (1024, 1024)), ({"ratio": "16:9"}, (1360, 768)), ({"ratio": "16:9", "portrait": True}, (768, 1360)),
        ({"ratio": "3:2", "megapixels": 0.25, "multiple_of": 8}, (624, 416)), ({"ratio": "free", "free_width": 2.0, "free_height": 1.0}, (1456, 720)),
    ],
)  # fmt: skip
def test_a_resolution_has_its_format_and_number_of_pixels(wish, expected):
    made = resolution(**wish)
    assert made == expected
    with pytest.raises(GraphError, match="16384"):
        resolution("free", megapixels=64, free_width=100)


def test_chance_follows_its_seed_and_stays_in_its_limits():
    drawn = [random_whole_number(-3, 3, i) for i in range(200)]
    assert set(drawn) == set(range(-3, 4))
    assert drawn == [random_whole_number(-3, 3, i) for i in range(200)]
    with pytest.raises(GraphError, match="Swap"):
        random_whole_number(3, 1)


# -- choices


def test_a_switch_never_touches_the_other_branch():
    assert switch(True, Lazy.of(1), untouchable()) == 1
    assert switch(False, untouchable(), Lazy.of(2)) == 2
    with pytest.raises(GraphError, match="nothing is connected to 'no'"):
        switch(False, Lazy.of(1))


def test_choosing_by_number_touches_only_the_chosen():
    assert choose_one(3, untouchable(), None, Lazy.of("c"), untouchable()) == "c"
    with pytest.raises(GraphError, match="'second'"):
        choose_one(2, Lazy.of(1))
    with pytest.raises(GraphError, match="from 1 to 8"):
        choose_one(9)


def test_the_first_that_is_there_may_be_zero_or_off():
    assert first_that_is_there(None, 0, 5) == 0
    assert first_that_is_there(None, None, None, False) is False
    with pytest.raises(GraphError, match="None of the inputs"):
        first_that_is_there()


def test_a_switch_takes_any_type_and_asks_lazily():
    spec = read_spec(switch)
    assert [(item.name, item.type, item.lazy, item.optional) for item in spec.inputs[1:]] == [
        ("yes", "*", True, True),
        ("no", "*", True, True),
    ]
    assert spec.inputs[1].variable == spec.outputs[0].variable == "T"


# -- lists


def test_lists_are_made_cut_and_counted():
    assert make_list([3, 1]) == [3, 1]
    assert repeat("x", 3) == ["x"] * 3
    assert count(5, -2, 4) == [5, 3, 1, -1]
    assert sweep(0, 1, 5) == [0, 0.25, 0.5, 0.75, 1]
    assert sweep(2, 3, 1) == [2]
    assert length_of_list([1, 2]) == 2
    assert [pick_from_list([1, 2, 3], i) for i in (0, -1)] == [1, 3]
    assert part_of_list(list(range(10)), 2, 6, 3) == [2, 5]
    assert part_of_list(list(range(4)), -2, reverse=True) == [3, 2]
    assert part_of_list([1, 2], -9, 1) == [1]
    for wrong in (lambda: pick_from_list([1], 1), lambda: pick_from_list([], 0), lambda: part_of_list([1], 1)):
        with pytest.raises(GraphError, match="The list has"):
            wrong()


# -- looking


def test_any_value_is_shown_in_words():
    class Desk(Headless):
        shown = []

        def show(self, picture):
            self.shown.append(picture)

    desk = Desk()
    assert show_value("Ein langer Text. " * 30, desk).startswith("Ein langer")
    assert desk.shown[0].shape[1] == 512 and desk.shown[0].max() > 200
    assert [in_words(v) for v in (True, 0.1, 3, ["a", False])] == ["on", "0.1", "3", "a\noff"]
