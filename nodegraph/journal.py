"""The queue and what became of its jobs, on disk: a crash of the whole program loses none of it.

One file of JSON lines for each running program, `queue/journal-*.jsonl`, appended and synced at each change that matters, and a lock
file beside it that the system releases when the program dies. Whoever starts next takes over the journals whose owners are
gone: what waited is paused, what ran is interrupted, and nothing runs by itself. Two programs at a time have a journal each.

A job counts as done only when its worker said so, after its files were written and told; so no "done" is without its pictures.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from nodegraph import messages
from nodegraph.cache import try_lock
from nodegraph.messages import Accepted, Done, Failed, Run, Saved

State = Literal["pending", "running", "paused", "done", "failed", "cancelled", "interrupted"]
OVER: frozenset[str] = frozenset({"done", "failed", "cancelled", "interrupted"})
KEPT = 200
"""So many jobs that are over stay on record."""
COMPACT_BYTES = 16 << 20
"""A journal that has grown by so much is written anew without what no longer counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One job: what was asked for, and what became of it. `when` is the time of its last change, in seconds since 1970."""

    run: Run
    state: State = "pending"
    saved: tuple[str, ...] = ()
    message: str = ""
    seconds: float = 0.0
    when: float = 0.0

    @property
    def is_over(self) -> bool:
        return self.state in OVER


class Journal:
    """The jobs of this program and those it took over from programs that are gone. May be used from several threads.

    Writing may fail (a full disk); then `problem` says why, the program goes on, and the next change tries again with all of it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem = ""
        self._lock = threading.RLock()
        self._entries: dict[str, Entry] = {}
        self._file: BinaryIO | None = None
        self._owned: list[tuple[Path, BinaryIO]] = []
        self._path = folder / f"journal-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}.jsonl"
        self._grown = 0
        self._closed = False
        self._take_over()

    # -- looking

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All jobs, oldest first."""
        with self._lock:
            return tuple(self._entries.values())

    def entry(self, job: str) -> Entry | None:
        with self._lock:
            return self._entries.get(job)

    @property
    def left_over(self) -> tuple[Entry, ...]:
        """What an earlier program left unfinished: paused and interrupted jobs, to be offered again."""
        return tuple(entry for entry in self.entries if entry.state in ("paused", "interrupted"))

    # -- what happens to jobs

    def submitted(self, run: Run) -> None:
        """A job came into the queue. It is on disk when this returns."""
        with self._lock:
            self._entries.pop(run.job, None)
            self._entries[run.job] = Entry(run, when=time.time())
            self._append({"submitted": _plain(run), "when": self._entries[run.job].when})

    def heard(self, event: Any) -> None:
        """Take note of what a runner told. Events that change no job's record cost nothing."""
        if not isinstance(event, (Accepted, Saved, Failed, Done)):
            return
        with self._lock:
            entry = self._entries.get(event.job)
            if entry is None:
                return
            changes: dict[str, Any]
            if isinstance(event, Accepted):
                changes = {"state": "running"}
            elif isinstance(event, Saved):
                changes = {"saved": [*entry.saved, event.path]}
            elif isinstance(event, Failed):
                changes = {"message": event.message} if not entry.message else {}
            else:
                changes = {"state": event.state, "seconds": event.seconds}
            if changes:
                self._change(event.job, **changes)

    def removed(self, jobs: Iterable[str]) -> None:
        """Forget jobs that are over or left over."""
        with self._lock:
            gone = [job for job in jobs if self._entries.pop(job, None) is not None]
            if gone:
                self._append({"removed": gone})

    def resumed(self, job: str) -> Run | None:
        """A job that was left over, to be submitted again under its old id; None if there is no such job."""
        with self._lock:
            entry = self._entries.get(job)
            return entry.run if entry is not None and entry.state in ("paused", "interrupted") else None

    def close(self) -> None:
        """The program ends in good order: what waits is paused for the next time."""
        with self._lock:
            for job, entry in list(self._entries.items()):
                if entry.state == "pending":
                    self._change(job, state="paused")
                elif entry.state == "running":
                    self._change(job, state="interrupted")
            self._closed = True
            if self._file is not None:
                self._file.close()
                self._file = None
            for _, lock in self._owned:
                lock.close()
            if not self._entries:
                self._discard(self._path)

    # -- the file

    def _change(self, job: str, **changes: Any) -> None:
        when = time.time()
        self._entries[job] = _changed(self._entries[job], {**changes, "when": when})
        self._append({"job": job, **changes, "when": when})

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._closed:
            return
        line = json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
        try:
            if self._file is None or self._grown > COMPACT_BYTES:
                self._write_anew()
                return
            start = self._file.tell()
            try:
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())
            except OSError:
                with suppress(OSError):  # half a line would spoil the next one
                    self._file.truncate(start)
                raise
            self._grown += len(line)
            self.problem = ""
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or error
            self.problem = f"The queue cannot be kept in '{self.folder}': {words}. Free some space; until then a crash would lose it."
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()
                self._file = None

    def _write_anew(self) -> None:
        """The whole record into a new file in place of the old one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._own(self._path)
        self._forget_old()
        temporary = self._path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        try:
            number = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            with os.fdopen(number, "wb") as file:
                for entry in self._entries.values():
                    record: dict[str, Any] = {"submitted": _plain(entry.run), "state": entry.state, "saved": list(entry.saved)}
                    record |= {"message": entry.message, "seconds": entry.seconds, "when": entry.when}
                    file.write(json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if self._file is not None:
                self._file.close()  # Windows replaces no open file
                self._file = None
            os.replace(temporary, self._path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        self._file = self._path.open("ab")
        self._grown = 0
        self.problem = ""

    def _forget_old(self) -> None:
        over = [job for job, entry in self._entries.items() if entry.is_over]
        for job in over[: max(0, len(over) - KEPT)]:
            del self._entries[job]

    # -- other programs' journals

    def _own(self, path: Path) -> bool:
        """Hold the lock of a journal for as long as this program lives. False if another program has it."""
        if any(known == path for known, _ in self._owned):
            return True
        lock = path.with_suffix(".lock").open("ab")
        if not try_lock(lock):
            lock.close()
            return False
        self._owned.append((path, lock))
        return True

    def _take_over(self) -> None:
        """Read what dead programs left, make it ours, and only then delete theirs."""
        try:
            found = sorted(self.folder.glob("journal-*.jsonl"))
        except OSError:
            return
        taken = []
        for path in found:
            with suppress(OSError):
                if self._own(path):
                    for job, entry in _read(path).items():
                        self._entries.pop(job, None)
                        self._entries[job] = _after_a_crash(entry)
                    taken.append(path)
        if not taken:
            return
        try:
            if self._entries:
                self._write_anew()
        except OSError as error:
            self.problem = f"The queue cannot be kept in '{self.folder}': {error.strerror or error}."
            return
        for path in taken:
            self._discard(path)

    def _discard(self, path: Path) -> None:
        for known, lock in list(self._owned):
            if known == path:
                self._owned.remove((known, lock))
                lock.close()
        for gone in (path, path.with_suffix(".lock")):
            with suppress(OSError):
                gone.unlink()


def _after_a_crash(entry: Entry) -> Entry:
    if entry.state == "pending":
        return replace(entry, state="paused")
    if entry.state == "running":
        return replace(entry, state="interrupted", message=entry.message or "The program ended while this job ran.")
    return entry


def _plain(run: Run) -> dict[str, Any]:
    return {name: value for name, value in messages.to_json(run).items() if name != "type"}


def _read(path: Path) -> dict[str, Entry]:
    """The jobs in a journal. A line that is cut off or damaged is passed over; the others count."""
    found: dict[str, Entry] = {}
    for line in path.read_bytes().splitlines():
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            record = json.loads(line)
            if "submitted" in record:
                run = messages.from_wire(json.dumps({"type": "run", **record.pop("submitted")}))
                found.pop(run.job, None)
                found[run.job] = _changed(Entry(run), record)
            elif "removed" in record:
                for job in record["removed"]:
                    found.pop(job, None)
            else:
                found[record["job"]] = _changed(found[record["job"]], record)
    return found


_TYPES: dict[str, tuple[type, ...]] = {"state": (str,), "saved": (list,), "message": (str,), "seconds": (int, float), "when": (int, float)}
_STATES = OVER | {"pending", "running", "paused"}


def _changed(entry: Entry, record: Mapping[str, Any]) -> Entry:
    """The entry with what a line says, as far as it is of the right kind."""
    changes = {item.name: record[item.name] for item in fields(Entry) if item.name in record and item.name != "run"}
    for name, value in changes.items():
        if not isinstance(value, _TYPES[name]) or isinstance(value, bool) or (name == "state" and value not in _STATES):
            raise ValueError(f"'{name}' is damaged")
    if "saved" in changes:
        changes["saved"] = tuple(str(path) for path in changes["saved"])
    return replace(entry, **changes)
