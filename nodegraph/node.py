"""Everything a node author needs: the @node decorator, the markers of inputs, and Context.

A node is a typed Python function. Its parameters become ports and controls, its return
type its outputs, and its docstring the help that artists read:

    @node("image/invert")
    def invert(image: Image) -> Image:
        '''Swap light and dark.'''
        return Image(1 - image.pixels)

The function is returned unchanged, so a test calls it like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from nodegraph.errors import Cancelled as Cancelled
from nodegraph.errors import GraphError as GraphError
from nodegraph.expansion import Expansion as Expansion

Function = TypeVar("Function", bound=Callable[..., Any])
T = TypeVar("T")
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Range:
    """Limits and step of a number; `log` makes its slider logarithmic. The limits themselves are allowed."""

    min: float
    max: float
    step: float | None = None
    log: bool = False


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit shown behind a number: "px", "%", "s". With "%" the value stays a fraction and 0.6 is shown as 60 %."""

    name: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string edited in a box of this many lines. `prompt` turns on weights, wildcards and word completion."""

    lines: int = 1
    prompt: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """A file chosen from one of the user's folders ("checkpoints", "loras", "input" ...); its content is part of the cache key.

    `folders` allows a whole folder (a diffusers model) in place of a file.
    """

    folder: str
    suffixes: tuple[str, ...] = ()
    folders: bool = False


class Labels(tuple[tuple[str, str], ...]):
    """What front ends show for the choices of an input, where the saved word is another: Labels.of(dpmpp_2m="DPM++ 2M")."""

    __slots__ = ()

    @classmethod
    def of(cls, **labels: str) -> Labels:
        return cls(labels.items())

    def label(self, choice: object) -> str:
        """The words for a choice; without any, the choice itself."""
        return dict(self).get(str(choice), str(choice))


@dataclass(frozen=True, slots=True)
class Color:
    """A string "#rrggbb", chosen from a colour field."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A string that holds a mask painted by hand (a PNG as base64), edited in the mask editor."""


@dataclass(frozen=True, slots=True)
class Randomize:
    """An integer that front ends offer to draw anew, keep or count up before each run."""


@dataclass(frozen=True, slots=True)
class PassNumber:
    """An integer that counts the passes of the subgraph it is in, from 0, where that runs several times; elsewhere it keeps its value."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """An input most people never change: folded away at first."""


class Lazy(Generic[T]):
    """An input that is made only when the node asks for it, by calling it.

        def switch(condition: bool, yes: Lazy[T], no: Lazy[T]) -> T:
            return yes() if condition else no()

    The function is called again from its start once the value is there, so it must ask before it does anything else.
    """

    def __init__(self, value: Callable[[], T]) -> None:
        self._value = value

    @classmethod
    def of(cls, value: T) -> Lazy[T]:
        """A value that is there already, for direct calls and tests."""
        return cls(lambda: value)

    def __call__(self) -> T:
        return self._value()


class Context(Protocol):
    """What a running node may tell the outside world, and ask of it."""

    device: str
    """Where to compute: "auto", "cpu", "cuda", "cuda:1", "mps"."""

    graph_text: str
    """The graph as a `.graph` file, to be embedded in pictures (paths in the user's folder begin with "~"); empty in a direct call."""

    def progress(
        self, done: float, total: float, preview: Callable[[], Any] | None = None, note: str = "", sigma: float | None = None
    ) -> None:
        """Report `done` of `total`. `preview` is called only when a picture is wanted (for the last step always); it returns uint8 [height, width, 3].

        Raises:
            Cancelled: The user pressed stop. Let it pass.
        """

    def warn(self, message: str) -> None:
        """Say something that does not stop the run. Shown on the node."""

    def show(self, picture: Any) -> None:
        """Show a finished picture on the node and in the viewer: uint8 [height, width, 3 or 4]."""

    def saved(self, path: Path) -> None:
        """Tell that a file was written for the user."""

    def save(self, name: str, suffix: str, data: bytes) -> Path:
        """Write a file into the output folder, whole or not at all, and tell of it: "portrait" gives portrait_0001.png, then portrait_0002.png.

        `{seed}`-like fields in the name are the caller's affair.
        """

    def output_path(self, name: str, suffix: str) -> Path:
        """For what cannot be held in memory at once: a path as `save` would take. The file exists (empty) afterwards, so no other run takes the name."""

    def recall(self, key: str) -> Mapping[str, Any] | None:
        """A checkpoint kept by `remember`, in this run or an earlier one."""

    def remember(self, key: str, checkpoint: Mapping[str, Any]) -> None:
        """Keep a checkpoint (names to torch tensors, numpy arrays, numbers or strings) so that a later run goes on from it."""


class Headless:
    """The Context of a direct call: keeps quiet, never cancels, remembers nothing."""

    device = "auto"
    graph_text = ""

    def progress(
        self, done: float, total: float, preview: Callable[[], Any] | None = None, note: str = "", sigma: float | None = None
    ) -> None:
        pass

    def warn(self, message: str) -> None:
        pass

    def show(self, picture: Any) -> None:
        pass

    def saved(self, path: Path) -> None:
        pass

    def save(self, name: str, suffix: str, data: bytes) -> Path:
        from nodegraph.saving import write_atomically

        path = self.output_path(name, suffix)
        try:
            write_atomically(path, data)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.saved(path)
        return path

    def output_path(self, name: str, suffix: str) -> Path:
        from nodegraph.folders import new_file

        return new_file(Path.cwd(), name, suffix)

    def recall(self, key: str) -> Mapping[str, Any] | None:
        return None

    def remember(self, key: str, checkpoint: Mapping[str, Any]) -> None:
        pass


HEADLESS: Context = Headless()


@dataclass(frozen=True, slots=True)
class Port:
    """How a type of port presents itself: put one on the class as `__port__`.

    `color` names a colour of the theme, `shape` a mark, `name` what an output of the type is called; a type that `carries_family` takes the model family of what made it
    along its links, and mixing families is refused before anything runs.

    The class may say more of a value: `describe()` gives words for its links, `picture()` uint8 [height, width, 1, 3 or 4] for the node that
    made it, `curve()` numbers that are drawn there as a line.
    """

    color: str = ""
    shape: str = ""
    carries_family: bool = False
    name: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What @node was told about a function, before its signature is read."""

    id: str
    version: int
    title: str | None
    sink: bool
    cache: bool
    upgrades: Mapping[int, Upgrade]
    family: Callable[[Mapping[str, Any]], str | None] | None
    keywords: tuple[str, ...]


def node(
    id: str,
    *,
    version: int = 1,
    title: str | None = None,
    sink: bool = False,
    cache: bool = True,
    upgrades: Mapping[int, Upgrade] | None = None,
    family: Callable[[Mapping[str, Any]], str | None] | None = None,
    keywords: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Declare a function to be a node.

    Args:
        id: Name in saved graphs, "category/name". Never change it once released.
        version: Raise it when saved inputs change their meaning or the same inputs give another result, and add an upgrade.
        title: Shown on the canvas; by default the function's name in words.
        sink: The node is run for its effect, as saving an image is.
        cache: False for a node whose result depends on more than its inputs: it runs every time.
        upgrades: From each old version, how its saved inputs become the next one's.
        family: From the node's values (files as paths), the model family that its outputs carry; None when unknown. Must not import torch.
        keywords: More words under which the palette finds the node.
    """

    def declare(function: Function) -> Function:
        function.__node__ = Declaration(id, version, title, sink, cache, dict(upgrades or {}), family, keywords)  # type: ignore[attr-defined]
        return function

    return declare


def renamed(old: str, new: str) -> Upgrade:
    """The commonest upgrade: an input got a better name. Links move along with values."""
    return lambda inputs: {new if name == old else name: value for name, value in inputs.items()}


def renamed_output(old: str, new: str) -> Upgrade:
    """An output got a better name."""

    def upgrade(inputs: dict[str, Any]) -> dict[str, Any]:
        return inputs

    upgrade.outputs = {old: new}  # type: ignore[attr-defined]
    return upgrade


def removed(name: str) -> Upgrade:
    """An input is no longer there."""
    return lambda inputs: {key: value for key, value in inputs.items() if key != name}


def added(name: str, value: Any) -> Upgrade:
    """A new input, with the value that keeps the old picture."""
    return lambda inputs: {name: value, **inputs}
