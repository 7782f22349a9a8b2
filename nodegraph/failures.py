"""What a node raised, in words for the artist, and how to let go of all that it holds on to."""

from __future__ import annotations

import gc
import traceback
from pathlib import Path

from nodegraph import logs
from nodegraph.errors import Cancelled, GraphError
from nodegraph.registry import Registry


def is_out_of_memory(error: BaseException) -> bool:
    """Told by its name, so that no torch is needed to know one of torch's."""
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or (
        isinstance(error, RuntimeError) and ("out of memory" in _said(error) or "can't allocate memory" in _said(error))
    )  # fmt: skip


def let_go(error: BaseException) -> None:
    """Drop what a failure holds on to: the local variables of every frame it went through, tensors among them."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if current.__traceback__ is not None:
            traceback.clear_frames(current.__traceback__)
            current.__traceback__ = None
        waiting += [e for e in (current.__cause__, current.__context__) if e is not None]
        current.__cause__ = current.__context__ = None


def explain(title: str, error: BaseException, device: str, code: Path | None = None) -> tuple[str, str, str]:
    """A failure as (message, input, kind) for the artist; `code` is where the pack of the node lies, whose author wants the line."""
    place = logs.place_in(error, code) if code is not None else ""
    if isinstance(error, GraphError):
        return error.message, error.input or "", "file" if isinstance(error.__cause__, OSError) else "invalid"
    if is_out_of_memory(error):
        where = "memory" if device in ("cpu", "auto") else f"memory on '{device}'"
        words = f"'{title}' ran out of {where}. Make the picture or the batch smaller, or close other programs that use the device. Models were unloaded."
        return words, "", "out-of-memory"
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return f"'{title}' tried to end the program. This is a fault of the node: tell its author, or use another one.", "", "error"
    if isinstance(error, Cancelled):
        return f"'{title}' stopped by itself, though nobody asked it to. This is a fault of the node: tell its author.", "", "error"
    if isinstance(error, OSError) and error.filename:
        return f"'{title}' cannot use '{error.filename}': {error.strerror or error}.", "", "file"
    return f"'{title}' failed{f' in {place}' if place else ''}: {words_of(error)} The details are in the log.", "", "error"


def words_of(error: BaseException) -> str:
    first = logs.printable((_said(error).strip().splitlines() or [""])[0])[:300]
    return f"{first} ({type(error).__name__})." if first else f"{type(error).__name__}."


def _said(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a pack's error may fail at this too
        return ""


def free_memory(registry: Registry) -> None:
    """Ask every pack to give back what it holds. A pack that fails at it is passed over."""
    gc.collect()
    for free in registry.free_memory:
        try:
            free()
        except Exception:  # there is nothing else to free
            continue
    gc.collect()
