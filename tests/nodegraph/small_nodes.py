"""A few nodes that cost nothing, for the tests of this room: one of every kind that a plan treats in its own way."""

import sys
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from nodegraph.folders import Folders
from nodegraph.node import HEADLESS, Context, File, Lazy, Port, Range, node
from nodegraph.registry import REROUTE_SPEC, Registry, _reroute

T = TypeVar("T")


class Picture:
    """A picture."""

    __port__ = Port("image", "disc")


class Brush:
    """What paints."""

    __port__ = Port("denoiser", "disc", carries_family=True)


class Words:
    """What shall be painted."""

    __port__ = Port("conditioning", "disc", carries_family=True)


class Halves(NamedTuple):
    left: Picture
    right: Picture


@node("small/number")
def number(value: float = 1.0) -> float:
    return value


@node("small/count")
def count(value: int = 1) -> int:
    return value


@node("small/text")
def text(value: str = "") -> str:
    return value


@node("small/picture")
def picture(width: Annotated[int, Range(1, 8192)] = 64, seed: Annotated[int, Range(0, 2**64 - 1)] = 0) -> Picture:
    return Picture()


@node("small/blur")
def blur(picture: Picture, radius: Annotated[float, Range(0, 100)] = 1.0, kind: Literal["soft", "hard"] = "soft") -> Picture:
    return picture


@node("small/mix")
def mix(first: Picture, second: Picture | None = None, amount: float = 0.5) -> Picture:
    return first


@node("small/stack")
def stack(pictures: list[Picture]) -> Picture:
    return pictures[0]


@node("small/pages")
def pages(picture: Picture) -> list[Picture]:
    return [picture]


@node("small/halves")
def halves(picture: Picture) -> Halves:
    return Halves(picture, picture)


@node("small/switch")
def switch(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
    return yes() if condition else no()


@node("small/either")
def either(first: T, second: T) -> T:
    return first


@node("small/save", sink=True)
def save(picture: Picture, name: str = "out") -> None:
    pass


@node("small/open")
def open_file(file: Annotated[Path, File("input", (".png",))], mask: Annotated[Path | None, File("input")] = None) -> Picture:
    return Picture()


@node("small/brush", family=lambda values: values["model"])
def brush(model: Literal["sd1", "sd1-inpaint", "sdxl"] = "sd1") -> Brush:
    return Brush()


@node("small/words")
def words(brush: Brush, text: str = "") -> Words:
    return Words()


@node("small/paint")
def paint(brush: Brush, words: Words, ctx: Context = HEADLESS) -> Picture:
    return Picture()


@node("small/clock", cache=False)
def clock() -> float:
    return 0.0


def registry(folders: Folders) -> Registry:
    found = Registry(folders=folders)
    found.add_spec(REROUTE_SPEC, _reroute)
    found.add_module(sys.modules[__name__])
    return found


@cache
def without_files() -> Registry:
    """One for all tests that touch no file."""
    return registry(Folders(Path("nowhere"), Path("nowhere"), Path("nowhere")))
