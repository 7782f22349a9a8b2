"""What a file holds, as a short word for cache keys. A changed file gets another word, a renamed one keeps its own."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import xxhash

WHOLE = 64 * 2**20
"""Files up to this size are read whole. Of larger ones (model weights) the head, the tail and 62 blocks between are read:
a retrained model differs in every block, and its size, times and inode are watched as well."""
BLOCK = 256 * 2**10

_known: dict[tuple[str, int, int, int, int], str] = {}
_lock = threading.Lock()


def fingerprint(path: Path) -> str:
    """The word for a file or a whole folder. Read again only when size, time of change or inode say so.

    Raises:
        OSError: It cannot be read.
    """
    if path.is_dir():
        whole = xxhash.xxh3_128()
        for folder, folders, files in os.walk(path):
            folders.sort()
            for name in sorted(files):
                if not name.startswith("."):
                    file = Path(folder, name)
                    whole.update(file.relative_to(path).as_posix().encode() + b"\0" + fingerprint(file).encode())
        return whole.hexdigest()
    stat = path.stat()
    # st_ctime_ns changes even when a tool puts size and mtime back as they were
    signature = (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
    with _lock:
        known = _known.get(signature)
    if known is None:
        known = _read(path, stat.st_size)
        with _lock:
            _known[signature] = known
    return known


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
