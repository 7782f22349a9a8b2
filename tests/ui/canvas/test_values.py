"""Values in words, scrubbed and typed."""

from __future__ import annotations

import pytest

from nodegraph.node import Labels, Randomize, Range, Text, Unit
from nodegraph.spec import Input
from ui.canvas.anatomy import bar
from ui.canvas.values import ValueProblem, calculate, choice_text, kind_of, number_text, rounded, scrubbed, seed_text, typed_number

WIDTH = Input("width", "int", default=1024, markers=(Range(64, 2048, 8), Unit("px")))
SHARE = Input("end", "float", default=0.6, markers=(Range(0, 1, 0.01), Unit("%")))
GUIDANCE = Input("guidance", "float", default=6.5, markers=(Range(0, 30, 0.1),))
SIZE = Input("width", "int", default=1024, markers=(Range(16, 16384, 8),))
STEPS = Input("steps", "int", default=20, markers=(Range(1, 1000),))
SIGMA = Input("sigma", "float", default=1.0, markers=(Range(0.01, 100, log=True),))


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        (WIDTH, "number"),
        (Input("seed", "int", default=0, markers=(Randomize(),)), "seed"),
        (Input("text", "str", default="", markers=(Text(4),)), "text"),
        (Input("name", "str", default=""), "line"),
        (Input("tiled", "bool", default=False), "toggle"),
        (Input("mode", "str", default="a", choices=("a", "b")), "choice"),
        (Input("file", "path", default=""), "file"),
    ],
)
def test_each_input_gets_its_control(item: Input, kind: str) -> None:
    assert kind_of(item) == kind


def test_numbers_are_shown_with_the_places_of_their_step_and_their_unit() -> None:
    assert number_text(WIDTH, 1024) == "1024 px"
    assert number_text(SHARE, 0.6) == "60 %"
    assert number_text(GUIDANCE, 6.5) == "6.5"
    assert number_text(GUIDANCE, 6.525) == "6.525"
    assert seed_text(4815162342) == "4 815 162 342"
    plain = Input("way", "str", default="a", choices=("nearest_exact", "fp16", "a > b", "sdxl-refiner", "FLUX Kontext", ""))
    assert [choice_text(plain, value) for value in plain.choices] == [
        "Nearest exact",
        "fp16",
        "a > b",
        "SDXL refiner",
        "FLUX Kontext",
        "not set",
    ]
    named = Input("sampler", "str", default="dpmpp_2m", choices=("dpmpp_2m",), markers=(Labels.of(dpmpp_2m="DPM++ 2M"),))
    assert choice_text(named, "dpmpp_2m") == "DPM++ 2M"


@pytest.mark.parametrize(
    ("text", "value"), [("512*2", 1024), ("x/2", 5), ("2^3", 8), ("1,5", 1.5), ("max(1, 2) + sqrt(9)", 5), ("-(3)", -3), ("3 × 4", 12)]
)
def test_sums_are_calculated(text: str, value: float) -> None:
    assert calculate(text, 10) == value


@pytest.mark.parametrize(
    "text", ["", "abc", "__import__('os')", "(1).real", "9**9**9", "1/0", "[1]", "lambda: 1", "'a'*9", "x.y", "1e999", "True", "(" * 99]
)
def test_what_is_no_sum_is_refused(text: str) -> None:
    with pytest.raises(ValueProblem):
        calculate(text, 1)


def test_typed_values_mean_what_is_shown() -> None:
    assert typed_number(SHARE, "75 %") == 0.75
    assert typed_number(SHARE, "x/2", 0.6) == 0.3
    assert typed_number(WIDTH, "512 px") == 512
    assert typed_number(WIDTH, "500") == 500  # off the step: taken as it was typed


@pytest.mark.parametrize(("text", "words"), [("9000", "between 64 px and 2048 px"), ("512.5", "whole number"), ("wide", "Only numbers")])
def test_nothing_typed_is_clamped_in_silence(text: str, words: str) -> None:
    with pytest.raises(ValueProblem, match=words):
        typed_number(WIDTH, text)


def test_a_scrub_runs_through_the_range_in_the_field_s_width_and_stops_at_its_ends() -> None:
    assert scrubbed(GUIDANCE, 0, 100, 200) == 15.0
    assert scrubbed(GUIDANCE, 15, 10_000, 200) == 30
    assert scrubbed(SIGMA, 1.0, 100, 200) == pytest.approx(100.0)


def test_a_wide_range_is_scrubbed_at_the_pace_of_the_value_and_shown_by_its_order_of_magnitude() -> None:
    assert scrubbed(SIZE, 1024, 10, 200) == 1128  # not a twentieth of 16384
    assert scrubbed(STEPS, 20, 8, 200) == 24
    assert [round(bar(STEPS, value)[1], 2) for value in (1, 20, 1000)] == [0.0, 0.43, 1.0]  # type: ignore[index]
    offset = Input("x", "int", default=0, markers=(Range(-16384, 16384),))
    assert bar(offset, 0) == (0.5, 0.5)
    assert bar(offset, -16384) == (0.0, 0.5)
    assert bar(Input("n", "int", default=0, markers=(Range(-(2**63), 2**64 - 1),)), 20) is None


def test_scrubbed_values_lie_on_steps_from_the_range_s_beginning() -> None:
    assert rounded(WIDTH, 1027.0) == 1024
    assert rounded(Input("n", "int", default=1, markers=(Range(1, 99, 2),)), 4.2) == 5
