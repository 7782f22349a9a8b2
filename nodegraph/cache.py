"""Results by key, so that nothing is made twice: in memory while there is room, on disk across restarts.

Keys come from `plan` and tell what a result was made from, so the same work in another file, tab or process finds the
same entry. On disk each entry is one file, written aside and renamed, with a checksum inside: whoever is killed in the middle
of anything leaves either a whole entry or none, and a damaged one is a miss and goes.

Decision: no index and no database. A scan of 20,000 files takes 0.2 s and happens once in a while when the budget is reached; the
time of change of each file is its place in the LRU order, so several processes share one folder and need to agree on
nothing but who tidies up (a lock nobody waits for). Refused: diskcache (pickle; CVE-2025-69872), SQLite (a second truth besides the
files). What would change our mind: entries so small and many that the file system is the cost.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from nodegraph.codec import Unencodable, Unreadable, decode, encode, size_of
from nodegraph.folders import Folders, read_settings

SUFFIX = ".safetensors"
GB = 1 << 30
CHEAP_SECONDS = 0.05
"""What took less is made again faster than a person notices."""
BYTES_PER_SECOND = 200e6
"""An entry is worth its place on disk if reading it back at this rate takes less time than making it did."""
STALE_SECONDS = 3600
"""A file that was being written this long ago belongs to a process that died."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the cache holds: entries and bytes, and the most bytes it may."""

    memory_entries: int
    memory_bytes: int
    memory_limit: int
    disk_entries: int
    disk_bytes: int
    disk_limit: int


class MemoryTier:
    """The most recently used results, up to a number of bytes. One that is larger than all of it is not kept."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._entries: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str) -> Any | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: str, value: Any, size: int) -> None:
        self.drop(key)
        if size > self.limit:
            return
        self._entries[key] = (value, size)
        self.used += size
        while self.used > self.limit:
            _, (_, gone) = self._entries.popitem(last=False)
            self.used -= gone

    def drop(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used -= entry[1]

    def clear(self) -> None:
        self._entries.clear()
        self.used = 0


class DiskTier:
    """Results as files in one folder that only its owner can read, shared by all processes of the user."""

    def __init__(self, folder: Path, limit: int = 10 * GB, trusted: frozenset[str] = frozenset({"nodes", "nodegraph"})) -> None:
        self.folder = folder
        self.limit = limit
        self.trusted = trusted
        self.problem = ""
        """Why the last entry could not be written; "" if it could."""
        self._used: int | None = None

    def path(self, key: str) -> Path:
        """Where the entry of a key lies, if there is one."""
        name = xxhash.xxh3_128_hexdigest(key.encode("utf-8", "surrogatepass"))
        return Path(f"{self.folder}{os.sep}{name[:2]}{os.sep}{name}{SUFFIX}")

    def has(self, key: str) -> bool:
        name = xxhash.xxh3_128_hexdigest(key.encode("utf-8", "surrogatepass"))
        return os.path.exists(f"{self.folder}{os.sep}{name[:2]}{os.sep}{name}{SUFFIX}")

    def get(self, key: str) -> Any | None:
        """The value kept under a key, or None. A damaged entry is deleted."""
        path = self.path(key)
        try:
            with path.open("rb") as file:
                content = file.read()
        except OSError:
            return None
        try:
            value = decode(content, self.trusted, key)
        except Unreadable:
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)
        return value

    def put(self, key: str, value: Any) -> bool:
        """Keep a value. False if it has no form on disk or cannot be written; `problem` then says why."""
        try:
            parts = encode(value, key)
        except Unencodable:
            return False
        size = sum(len(part) for part in parts)
        if size > self.limit:
            return False
        path = self.path(key)
        first = self._used is None
        temporary = ""
        try:
            self._make(path.parent)
            number, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
            with os.fdopen(number, "wb") as file:
                for part in parts:
                    file.write(part)
            os.replace(temporary, path)
        except OSError as error:
            if isinstance(error, PermissionError) and os.path.exists(path):  # Windows: another process reads the same result just now
                with suppress(OSError):
                    os.unlink(temporary)
                return True
            self.problem = (
                f"Results cannot be kept in '{self.folder}': {error.strerror or error}. Free some space or choose another folder."
            )
            if temporary:
                with suppress(OSError):
                    os.unlink(temporary)
            return False
        self.problem = ""
        self._used = self.used if first else self.used + size
        if self._used > self.limit:
            self.tidy()
        return True

    def drop(self, key: str) -> None:
        with suppress(OSError):
            self.path(key).unlink()

    def usage(self) -> tuple[int, int]:
        """Entries and bytes."""
        entries = self._scan()
        return len(entries), sum(size for _, size, _ in entries)

    @property
    def used(self) -> int:
        """Bytes, as far as this process knows: what it found at first, and what it did since."""
        if self._used is None:
            self._used = self.usage()[1]
        return self._used

    def tidy(self, limit: int | None = None) -> bool:
        """Delete what was not used for longest until a tenth of the budget is free, and what dead processes left half-written.

        False if another process is at it.
        """
        with self._lock() as mine:
            if not mine:
                self._used = None
                return False
            entries = sorted(self._scan(stale=True))
            used = sum(size for _, size, _ in entries)
            goal = self.limit * 0.9 if limit is None else limit
            for _, size, path in entries:
                if used <= goal:
                    break
                with suppress(OSError):  # another process may hold it open, or have deleted it
                    os.unlink(path)
                    used -= size
            self._used = used
            return True

    def clear(self) -> None:
        """Delete every entry."""
        for _, _, path in self._scan(stale=True):
            with suppress(OSError):
                os.unlink(path)
        self._used = None

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            with suppress(OSError):  # a file system without permissions
                self.folder.chmod(0o700)

    def _scan(self, stale: bool = False) -> list[tuple[float, int, str]]:
        """(time of last use, bytes, path) of each entry; with `stale`, dead processes' unfinished files go meanwhile."""
        found: list[tuple[float, int, str]] = []
        now = time.time()
        with suppress(OSError):
            for folder in list(os.scandir(self.folder)):
                if len(folder.name) != 2 or not folder.is_dir(follow_symlinks=False):
                    continue
                with suppress(OSError):
                    for entry in os.scandir(folder.path):
                        with suppress(OSError):
                            stat = entry.stat(follow_symlinks=False)
                            if entry.name.endswith(SUFFIX):
                                found.append((stat.st_mtime, stat.st_size, entry.path))
                            elif stale and entry.name.startswith(".new-") and abs(now - stat.st_mtime) > STALE_SECONDS:
                                os.unlink(entry.path)
        return found

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Whether we are the one who tidies up. Nobody waits."""
        try:
            self._make(self.folder)
            file = (self.folder / ".lock").open("ab")
        except OSError:
            yield False
            return
        with file:
            yield try_lock(file)


def try_lock(file: BinaryIO) -> bool:
    """Lock a file for this process until it is closed, unless another process has done so."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class Cache:
    """Both tiers as one. May be used from several threads."""

    def __init__(self, memory_limit: int, disk: DiskTier | None = None) -> None:
        self.memory = MemoryTier(memory_limit)
        self.disk = disk
        self._lock = threading.RLock()

    def has(self, key: str) -> bool:
        """Whether there is an entry, as far as can be told without reading it."""
        return key in self.memory or (self.disk is not None and self.disk.has(key))

    def get(self, key: str) -> Any | None:
        """The value kept under a key, or None."""
        with self._lock:
            value = self.memory.get(key)
        if value is None and self.disk is not None:
            value = self.disk.get(key)
            if value is not None:
                with self._lock:
                    self.memory.put(key, value, size_of(value))
        return value

    def put(self, key: str, value: Any, seconds: float = 0.0) -> None:
        """Keep a value that took so many seconds to make: in memory, and on disk too if that saves time."""
        self.keep_if_worth(key, value, seconds, self.hold(key, value))

    def hold(self, key: str, value: Any) -> int:
        """Keep a value in memory only; returns its bytes."""
        size = size_of(value)
        with self._lock:
            self.memory.put(key, value, size)
        return size

    def keep_if_worth(self, key: str, value: Any, seconds: float, size: int) -> bool:
        """Keep a value of so many bytes on disk if making it again takes longer than reading it."""
        return is_worth_keeping(seconds, size) and self.keep(key, value)

    def keep(self, key: str, value: Any) -> bool:
        """Keep a value on disk, whatever it cost."""
        return self.disk is not None and self.disk.put(key, value)

    @property
    def problem(self) -> str:
        """Why the last result could not be written to disk; "" if it could."""
        return self.disk.problem if self.disk is not None else ""

    def drop(self, key: str) -> None:
        with self._lock:
            self.memory.drop(key)
        if self.disk is not None:
            self.disk.drop(key)

    def clear(self, disk: bool = True) -> None:
        """Forget everything in memory, and on disk too unless told not to."""
        with self._lock:
            self.memory.clear()
        if disk and self.disk is not None:
            self.disk.clear()

    def usage(self) -> Usage:
        entries, size = self.disk.usage() if self.disk is not None else (0, 0)
        return Usage(
            len(self.memory), self.memory.used, self.memory.limit, entries, size, self.disk.limit if self.disk is not None else 0
        )  # fmt: skip


def standard_cache(folders: Folders, packages: Iterable[str] = ("nodes",), memory_limit: int = 0) -> Cache:
    """The cache of the user who runs the program. `packages` are those whose classes results may be made of.

    Settings "cache": {"disk_gb": 10, "memory_gb": 4} set its budgets; 0 on disk keeps nothing there.
    """
    from nodegraph.machine import result_limit

    wishes = read_settings(folders.settings).get("cache", {})
    wishes = wishes if isinstance(wishes, dict) else {}

    def budget(name: str, standard: int) -> int:
        wish = wishes.get(name)
        return int(wish * GB) if isinstance(wish, (int, float)) and not isinstance(wish, bool) and 0 <= wish < 1e6 else standard

    limit = budget("disk_gb", 10 * GB)
    trusted = frozenset({"nodegraph", *(name.partition(".")[0] for name in packages)})
    return Cache(memory_limit or budget("memory_gb", result_limit()), DiskTier(folders.cache, limit, trusted) if limit else None)


def is_worth_keeping(seconds: float, size: int) -> bool:
    """Whether a result is made slower than it is read back from disk."""
    return seconds >= CHEAP_SECONDS and size <= seconds * BYTES_PER_SECOND
