"""Nodes for tests of the command line, switched on as a user switches on a file in the node folder. Needs no torch."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Literal

from nodegraph.node import HEADLESS, Context, File, GraphError, Randomize, Range, node


@node("cli/number")
def number(value: int = 0) -> int:
    """Give a number.

    Args:
        value: Any number.
    """
    return value


@node("cli/paint")
def paint(
    value: int = 0,
    steps: Annotated[int, Range(1, 1000)] = 3,
    pause: float = 0.0,
    style: Literal["plain", "rich"] = "plain",
    wild: bool = False,
    strength: Annotated[float, Range(0, 1)] = 0.5,
    words: str = "",
    file: Annotated[Path | None, File("input", (".txt",))] = None,
    ctx: Context = HEADLESS,
) -> str:
    """Take some steps."""
    for step in range(1, steps + 1):
        time.sleep(pause)
        ctx.progress(step, steps)
    return f"{value} {steps} {style} {wild} {strength} {words} {file.read_text() if file else ''}".strip()


@node("cli/save", sink=True)
def save(text: str, name: str = "picture", ctx: Context = HEADLESS) -> None:
    """Write a file."""
    path = ctx.output_path(name, ".txt")
    path.write_text(text, encoding="utf-8")
    ctx.saved(path)


@node("cli/fail")
def fail(value: int = 0, how: str = "graph") -> int:
    """Fail."""
    if how == "abort":
        os.abort()
    if how == "graph":
        raise GraphError("This is too small. Make it larger.", None, "value")
    raise ZeroDivisionError("nothing can be divided by nothing")


@node("cli/dice")
def dice(seed: Annotated[int, Range(1, 6), Randomize()] = 1) -> str:
    """Give a number that a seed names."""
    return str(seed)


@node("cli/hang")
def hang(value: int = 0) -> str:
    """Never come to a step."""
    time.sleep(60)
    return ""


@node("cli/chatty")
def chatty(value: int = 0) -> str:
    """Print, as libraries do, from Python and below it."""
    print("printed by a node")
    os.write(1, b"written by a library\n")
    return "said"


@node("cli/linger")
def linger(value: int = 0) -> str:
    """Leave work behind that Python would wait for at its end."""
    ThreadPoolExecutor().submit(time.sleep, 60)
    return "done"
