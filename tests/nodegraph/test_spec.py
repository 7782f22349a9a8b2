"""A function's signature is all an author writes: what each form of it becomes, and what is refused, in words."""

import pickle
import re
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypeVar

import pytest

from nodegraph.node import HEADLESS, Advanced, Color, Context, File, Lazy, Port, Randomize, Range, Text, Unit, node
from nodegraph.spec import REQUIRED, Input, Output, PortType, SpecError, accepts, read_spec

T = TypeVar("T")
U = TypeVar("U")


class Picture:
    """A batch of pictures.

    More words.
    """

    __port__ = Port("image", "disc", carries_family=True)


class DepthMap:
    pass


class Fit(Enum):
    CROP = "crop"
    PAD = "pad"


class Pair(NamedTuple):
    picture: Picture
    how_many: int


def spec(function, **options):
    return read_spec(node("test/it", **options)(function))


def only(hint, *default):
    """The one input of a node whose parameter has this type."""

    def it(x):
        pass

    it.__annotations__ = {"x": hint, "return": None}
    it.__defaults__ = default or None
    return spec(it).inputs[0]


@pytest.mark.parametrize(
    "hint,default,expected",
    [
        (int, 3, Input("x", "int", default=3)),
        (float, 0.5, Input("x", "float", default=0.5)),
        (bool, True, Input("x", "bool", default=True)),
        (str, "a", Input("x", "str", default="a")),
        (Path, Path("a/b"), Input("x", "path", default="a/b")),
        (Literal["a", "b"], "b", Input("x", "str", default="b", choices=("a", "b"))),
        (Literal[1, 2], 2, Input("x", "int", default=2, choices=(1, 2))),
        (Fit, Fit.PAD, Input("x", "str", default="pad", choices=("crop", "pad"))),
        (Picture | None, None, Input("x", "Picture", default=None, optional=True)),
        (Optional[Picture], None, Input("x", "Picture", default=None, optional=True)),  # noqa: UP045
        (int | None, 4, Input("x", "int", default=4, optional=True)),
        (Fit | None, None, Input("x", "str", default=None, optional=True, choices=("crop", "pad"))),
        (list[Picture] | None, None, Input("x", "Picture", default=None, optional=True, many=True)),
        (Lazy[Picture | None], None, Input("x", "Picture", default=None, optional=True, lazy=True)),
        (Annotated[Lazy[int], Range(0, 9)], 1, Input("x", "int", default=1, lazy=True, markers=(Range(0, 9),))),
        (Annotated[float, Range(0, 1)] | None, None, Input("x", "float", default=None, optional=True, markers=(Range(0, 1),))),
        (Annotated[Annotated[int, Range(0, 9)], Advanced()], 1, Input("x", "int", default=1, markers=(Range(0, 9), Advanced()))),
    ],
)  # fmt: skip
def test_a_parameter_becomes_an_input(hint, default, expected):
    assert only(hint, default) == expected


@pytest.mark.parametrize(
    "hint,expected",
    [
        (Picture, Input("x", "Picture")),
        (list[Picture], Input("x", "Picture", many=True)),
        (list[float], Input("x", "float", many=True)),
        (Lazy[T], Input("x", "*", lazy=True, variable="T")),
        (list[T], Input("x", "*", many=True, variable="T")),
        (Any, Input("x", "*")),
        (T, Input("x", "*", variable="T")),
        (Picture | None, Input("x", "Picture", default=None, optional=True)),
    ],
)
def test_a_parameter_without_a_default_is_required_unless_it_may_be_none(hint, expected):
    found = only(hint)
    assert found == expected and found.is_required == (expected.default is REQUIRED)


def test_what_takes_a_link_only_is_a_port_and_the_rest_are_controls():
    assert [only(h).is_port for h in (Picture, list[float], T, Any)] == [True] * 4
    assert [only(h, d).is_port for h, d in ((int, 1), (str, ""), (Path | None, None), (Fit, Fit.CROP))] == [False] * 4


def test_markers_are_found_by_kind():
    item = only(Annotated[int, Range(1, 9, step=2), Unit("px"), Randomize(), Advanced()], 3)
    assert item.range == Range(1, 9, step=2) and item.unit == "px" and item.is_randomized and item.is_advanced and item.file is None
    assert only(Annotated[Path, File("loras", (".x",))]).file == File("loras", (".x",))
    assert only(Annotated[str, Text(3)], "").text == Text(3) and only(Annotated[str, Color()], "#000000").is_color


def outputs(hint):
    def it():
        pass

    it.__annotations__ = {"return": hint}
    return spec(it).outputs


@pytest.mark.parametrize(
    "hint,expected",
    [
        (None, ()),
        (Picture, (Output("picture", "Picture"),)),
        (DepthMap, (Output("depth_map", "DepthMap"),)),
        (float, (Output("value", "float"),)),
        (list[Picture], (Output("picture", "Picture", many=True),)),
        (T, (Output("value", "*", variable="T"),)),
        (Literal["a", "b"], (Output("value", "str"),)),
        (Annotated[Picture, "x"], (Output("picture", "Picture"),)),
        (Pair, (Output("picture", "Picture"), Output("how_many", "int"))),
    ],
)
def test_a_return_type_becomes_outputs(hint, expected):
    assert outputs(hint) == expected


def test_the_docstring_is_the_help():
    @node("image/soft-glow", version=3, title=None, sink=True, cache=False, keywords=("bloom",))
    def soft_glow(picture: Picture, radius: float = 1.0, amount: float = 0.5, ctx: Context = HEADLESS) -> Picture:
        """Let light bleed into its surroundings.

        Works best on night scenes.

        Args:
            radius: How far it bleeds, in
                pixels: more is softer.
            amount:
                How much of it.

        Returns:
            The picture with
            its glow.
        """
        return picture

    found = read_spec(soft_glow, "a pack")
    assert (found.id, found.version, found.title, found.category) == ("image/soft-glow", 3, "Soft glow", "image")
    assert (found.summary, found.help) == ("Let light bleed into its surroundings.", "Works best on night scenes.")
    assert [item.name for item in found.inputs] == ["picture", "radius", "amount"] and found.context == "ctx"
    assert (
        found.by_name["radius"].help == "How far it bleeds, in pixels: more is softer."
        and found.by_name["amount"].help == "How much of it."
    )
    assert found.outputs == (Output("picture", "Picture", help="The picture with its glow."),)
    assert (found.sink, found.cache, found.keywords, found.pack) == (True, False, ("bloom",), "a pack")
    assert found.source.startswith("test_spec:") and found.by_name["amount"].label == "Amount"


def test_the_function_is_returned_unchanged():
    def double(x: int) -> int:
        return 2 * x

    assert node("test/double")(double) is double and double(4) == 8


def test_a_spec_is_plain_data_that_travels_to_the_worker():
    def it(x: int, y: Picture | None = None) -> Pair:
        pass

    found = spec(it)
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again.by_name["x"].default is REQUIRED and again.outputs_by_name["picture"].type == "Picture"


def test_types_of_ports_are_noted_with_their_look():
    found: dict[str, PortType] = {}

    @node("test/it")
    def it(x: Picture, y: DepthMap, z: int = 1) -> Picture:
        return x

    read_spec(it, "", found)
    assert found == {"Picture": PortType("Picture", "A batch of pictures.", "image", "disc", True), "DepthMap": PortType("DepthMap")}


@pytest.mark.parametrize(
    "hint,default,words",
    [
        (int | str, 1, "'x' may be one type or None; several types are ambiguous"),
        (dict[str, int], None, "cannot be a port"),
        (dict, None, "cannot be a port"),
        (list, None, "cannot be a port"),
        (tuple[int, int], None, "cannot be a port"),
        (list[list[int]], None, "list of lists"),
        (Literal["a", 1], "a", "choices of 'x' must all be texts"),
        (Literal["a", None], "a", "choices of 'x' must all be texts"),
        (Enum("Empty", []), None, "choices of 'x' must all be texts"),
        (Annotated[str, Range(0, 1)], "", "Range says nothing about 'x', which is of type str"),
        (Annotated[str, File("loras")], "", "File says nothing about 'x', which is of type str"),
        (Annotated[float, Randomize()], 1.0, "Randomize says nothing"),
        (Annotated[int, Range(9, 1)], 3, "Range of 'x' goes from 9 to 1"),
        (Annotated[int, Range(0, 9)], 10, "default of 'x' is 10, outside of its Range"),
        (int, "1", "default of 'x' is '1', which is not of type int"),
        (int, True, "default of 'x' is True, which is not of type int"),
        (int, 1.0, "which is not of type int"),
        (float, float("nan"), "must be a finite number"),
        (Literal["a", "b"], "c", "default of 'x' is 'c', which is not among its choices"),
        (Picture, 3, "'x' takes a link, so its default can only be None"),
    ],
)
def test_what_cannot_be_an_input_is_refused_with_the_reason(hint, default, words):
    with pytest.raises(SpecError, match=re.escape(words)) as error:
        only(hint, default)
    assert "it() in test_spec.py, line " in str(error.value)


def test_a_whole_number_may_be_the_default_of_a_fraction():
    assert only(float, 1).default == 1


@pytest.mark.parametrize("hint", [Picture | None, tuple[int, int], dict, list[list[int]], "Nowhere"])
def test_what_cannot_be_an_output_is_refused(hint):
    with pytest.raises(SpecError):
        outputs(hint)


def test_every_parameter_and_the_result_need_a_type():
    def untyped(x) -> int: ...

    def endless(x: int): ...

    def many(*x: int) -> int: ...

    def placed(x: int, /) -> int: ...

    for function, words in (
        (untyped, "needs a type for 'x'"),
        (endless, "needs a return type"),
        (many, "must be named"),
        (placed, "by name too"),
    ):
        with pytest.raises(SpecError, match=words):
            spec(function)


def test_an_argument_that_does_not_exist_cannot_be_documented():
    def it(x: int) -> int:
        """Do it.

        Args:
            y: What is this?
        """

    with pytest.raises(SpecError, match="documents unknown inputs: y"):
        spec(it)


@pytest.mark.parametrize("id", ["noslash", "Upper/case", "a/", "/a", "a b/c", "", "subgraph/mine"])
def test_an_id_looks_like_category_and_name(id):
    def it() -> int: ...

    with pytest.raises(SpecError, match="id"):
        read_spec(node(id)(it))


def test_which_links_fit():
    assert accepts("float", "int") and not accepts("int", "float") and accepts("path", "str") and accepts("str", "path")
    assert accepts("*", "Picture") and accepts("Picture", "*") and not accepts("Picture", "Mask") and not accepts("int", "bool")
