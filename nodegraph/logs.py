"""Where the technical side of a failure goes: files in the user's log folder, so that messages can stay in plain words."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

KEPT = 40
"""So many failures stay on record."""
LARGEST = 1 << 20
"""A log that is fed over and over starts anew at this size; the one before it is kept."""


def write_failure(folder: Path, what: str, error: BaseException) -> str:
    """Write a failure with its traceback to a file of its own; the path, or "" if even that is impossible."""
    text = f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {printable(what)}\n\n{''.join(traceback.format_exception(error))}"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.glob("failure-*.log"))
        for path in old[: max(0, len(old) - KEPT + 1)]:
            with suppress(OSError):
                path.unlink()
        for name in _free_names(time.strftime("failure-%Y%m%d-%H%M%S")):
            with suppress(FileExistsError):
                number = os.open(folder / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
                with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(text)
                return str(folder / name)
    return ""


def place_in(error: BaseException, root: Path) -> str:
    """Where in the code of a pack (`root`, a file or a folder) a failure came about, as "farm.py, line 57"; "" if not in there."""
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(root):
            found = f"{path.relative_to(root.parent).as_posix()}, line {line}"
    return found


def _free_names(stem: str) -> Iterator[str]:
    yield f"{stem}.log"
    for number in range(2, 1000):
        yield f"{stem}-{number}.log"


def rotated(path: Path) -> Path:
    """The path of a log that is appended to; when it has grown large, it is put aside first. Its folder exists afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        if path.stat().st_size > LARGEST:
            os.replace(path, path.with_suffix(".old.log"))
    return path


def printable(text: str) -> str:
    """A text from a file in one line, with nothing in it that a terminal or a log could take for a command."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
