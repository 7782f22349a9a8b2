"""What a file holds, as a short word for cache keys. A changed file gets another word, a renamed one keeps its own."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import xxhash

WHOLE = 64 * 2**20
"""Files up to this size are read whole. Of larger ones (model weights) the head, the tail and 62 blocks between are read:
a retrained model differs in every block, and its size, times and inode are watched as well."""
BLOCK = 256 * 2**10
SMALL_FOLDER = 2**30
"""A folder with more to read than this is known by the sizes, times and inodes of its files: thousands of photos are not read for a key."""
MAX_FILES = 100_000
SETTLED = 2 * 10**9
"""Nanoseconds after which the times of a file tell its changes apart. A clock tick is 10 ms, on memory sticks 2 s."""

_known: dict[tuple[str, int, int, int, int], str] = {}
_lock = threading.Lock()


def fingerprint(path: Path) -> str:
    """The word for a file or a whole folder. Read again only when size, time of change or inode say so.

    Raises:
        OSError: It cannot be read, or is a folder of more files than anybody means.
    """
    if path.is_dir():
        return _of_folder(path)
    signature = _signature(path)
    with _lock:
        known = _known.get(signature)
    if known is None:
        known = _read(path, signature[1])
        if _signature(path) == signature and abs(time.time_ns() - max(signature[2], signature[3])) > SETTLED:
            with _lock:
                _known[signature] = known
    return known


def _of_folder(path: Path) -> str:
    files = list(_files_in(path))
    is_small = sum(min(file.stat().st_size, 64 * BLOCK) for file in files) <= SMALL_FOLDER
    whole = xxhash.xxh3_128()
    for file in files:
        word = fingerprint(file) if is_small else repr(_signature(file)[1:])
        whole.update(os.fsencode(file.relative_to(path).as_posix()) + b"\0" + word.encode())
    return whole.hexdigest()


def _files_in(path: Path) -> Iterator[Path]:
    """All files that are not hidden, in order."""
    waiting, seen, count = [str(path)], set(), 0
    while waiting:
        folder = waiting.pop()
        stat = os.stat(folder)
        if (stat.st_dev, stat.st_ino) in seen:  # a link that leads in a circle
            continue
        seen.add((stat.st_dev, stat.st_ino))
        try:
            with os.scandir(folder) as found:
                entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
        except PermissionError:  # nobody will read anything in it
            continue
        waiting += [entry.path for entry in reversed(entries) if entry.is_dir()]
        for entry in entries:
            if entry.is_file():  # not a pipe, nor a link to nowhere
                count += 1
                if count > MAX_FILES:
                    raise OSError(f"it holds more than {MAX_FILES:,} files")
                yield Path(entry.path)


def _signature(path: Path) -> tuple[str, int, int, int, int]:
    stat = path.stat()
    # st_ctime_ns changes even when a tool puts size and mtime back as they were
    return str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino


def _read(path: Path, size: int) -> str:
    content = xxhash.xxh3_128(str(size).encode())
    with path.open("rb") as file:
        if size <= WHOLE:
            while block := file.read(4 * 2**20):
                content.update(block)
        else:
            for i in range(64):
                file.seek(i * (size - BLOCK) // 63)
                content.update(file.read(BLOCK))
    return content.hexdigest()
