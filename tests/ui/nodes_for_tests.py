"""A handful of tiny nodes, run for real: they count, paint a few grey pixels, fail and take their time."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any

from nodegraph.cache import Cache
from nodegraph.folders import Folders
from nodegraph.node import HEADLESS, Context, Drawing, GraphError, Randomize, Range, node
from nodegraph.registry import Registry
from nodegraph.runner import Here, Runner

gate = threading.Event()
"""`wait` goes on when it is set."""


class Grey:
    """A picture of one tone."""

    def __init__(self, tone: int) -> None:
        self.tone = tone


@node("test/tone")
def tone(value: Annotated[int, Range(0, 255)] = 10, seed: Annotated[int, Range(0, 1000), Randomize()] = 0) -> Grey:
    """Give a tone."""
    return Grey(value)


@node("test/stencil")
def stencil(drawing: Annotated[str, Drawing()] = "") -> Grey:
    """Give the tone of what was drawn."""
    return Grey(len(drawing))


@node("test/paint")
def paint(grey: Grey, steps: Annotated[int, Range(1, 100)] = 4, ctx: Context = HEADLESS) -> Grey:
    """Paint it in steps."""
    import numpy as np

    for step in range(1, steps + 1):
        ctx.progress(step, steps, preview=lambda step=step: np.full((4, 4, 3), min(255, grey.tone + step), np.uint8), sigma=float(steps - step))
    return grey


@node("test/show", sink=True)
def show(grey: Grey, ctx: Context = HEADLESS) -> None:
    """Show it."""
    import numpy as np

    ctx.show(np.full((8, 6, 3), grey.tone, np.uint8))


@node("test/fail", sink=True)
def fail(grey: Grey) -> None:
    """Cannot go on."""
    raise GraphError("The tone is not right. Choose another one.", input="grey")


@node("test/wait", sink=True, cache=False)
def wait(grey: Grey, ctx: Context = HEADLESS) -> None:
    """Wait until the gate is open, stoppable at each step."""
    for step in range(1, 100_000):
        ctx.progress(step, 100_000)
        if gate.wait(0.002):
            return


def registry(folders: Folders) -> Registry:
    made = Registry(folders=folders)
    for function in (tone, paint, show, fail, wait):
        made.add_function(function)
    return made


def folders_in(home: Path) -> Folders:
    return Folders(home, home / "cache", home / "output")


def start_runner(folders: Folders) -> Any:
    """What the window asks for: real execution in a thread of this process."""

    def start(tell: Any) -> Runner:
        return Runner(tell, place=lambda heard: Here(heard, load=lambda: (registry(folders), Cache(1 << 20, None))), folders=folders)

    return start
