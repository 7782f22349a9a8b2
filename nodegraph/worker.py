"""The process that makes pictures: `python -m nodegraph.worker`. Messages come in on stdin and go out on stdout.

Whatever torch, a driver or a node does to this process, the window beside it lives on. Here are the rules that make it so:

- The pipes belong to messages alone. They are moved to other file numbers first; what any library prints goes to stderr, the log.
- One thread reads, one writes, the main thread works. Reading answers at once, so a ping or a stop gets through while torch computes.
- When the pipe ends the other side is gone: what runs is stopped, and after a moment the process leaves, finished or not.
- Of progress that waits to be sent only the latest counts, and no picture on the way is made while one is still waiting.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from nodegraph import __version__, messages
from nodegraph.cache import Cache, standard_cache
from nodegraph.failures import free_memory
from nodegraph.job import perform
from nodegraph.machine import device_memory
from nodegraph.messages import Free, Hello, Memory, Ping, Pong, Progress, Report, Run, Shown, Shutdown, Started, Stop
from nodegraph.registry import Registry

GRACE = 1.5
"""Seconds that a node gets to reach its next step when the other side is gone."""


class Outbox:
    """Sends events in order. Small ones go out at once, so that a crash finds them told; pictures go by a thread of their own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: deque[Any] = deque()
        self._changed = threading.Condition()
        self._frames = 0
        self._busy = False
        self._closed = False
        self._thread = threading.Thread(target=self._send, name="outbox", daemon=True)
        self._thread.start()

    def put(self, event: Any) -> None:
        with self._changed:
            if self._busy or self._waiting or _has_picture(event):
                self._enqueue(event)
                self._changed.notify_all()
                if isinstance(event, Started):  # what comes next may be a crash: it must be known where
                    self._changed.wait_for(lambda: not self._waiting and not self._busy, 0.2)
                return
            self._busy = True
        self._write(event)

    def wants_frame(self) -> bool:
        """Whether every picture so far has gone out."""
        return self._frames == 0

    def close(self, seconds: float) -> None:
        """Send what waits, for so long at most."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(seconds)

    def _enqueue(self, event: Any) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(event, Progress) and isinstance(last, Progress) and (last.job, last.node) == (event.job, event.node):
            self._waiting.pop()
            self._frames -= last.frame is not None
            if event.frame is None:
                event = replace(event, frame=last.frame)
        self._frames += isinstance(event, Progress) and event.frame is not None
        self._waiting.append(event)

    def _send(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._busy and (self._waiting or self._closed))
                if not self._waiting:
                    return
                event = self._waiting.popleft()
                self._busy = True
            self._write(event)

    def _write(self, event: Any) -> None:
        """Write while `_busy` keeps everybody else from it."""
        try:
            messages.write(self._stream, event)
        except messages.ProtocolError as error:
            print(f"An event could not be sent: {error}", file=sys.stderr)
        except (OSError, ValueError):
            pass  # nobody listens any more; the thread that reads notices too and ends the process
        finally:
            with self._changed:
                self._busy = False
                self._frames -= isinstance(event, Progress) and event.frame is not None
                self._changed.notify_all()


def _has_picture(event: Any) -> bool:
    return isinstance(event, Shown) or (isinstance(event, Progress) and event.frame is not None)


class Worker:
    """Takes requests from one stream, works on one job at a time, and tells on another."""

    def __init__(self, requests: BinaryIO, events: BinaryIO, load: Callable[[], tuple[Registry, Cache]], warm: bool = False) -> None:
        self.requests = requests
        self.outbox = Outbox(events)
        self.load = load
        self.warm = warm
        self.registry: Registry | None = None
        self.cache: Cache | None = None
        self.work: SimpleQueue[Run | Free | None] = SimpleQueue()
        self.stops: dict[str, threading.Event] = {}
        self.closing = threading.Event()
        self.finished = threading.Event()
        self.loading = threading.Lock()
        self.warming = threading.Thread(target=self._warm_up, name="warm", daemon=True)

    def serve(self) -> None:
        """Work until told to leave, or until the other side is gone."""
        self.outbox.put(Hello(messages.PROTOCOL, os.getpid(), __version__, platform.python_version(), _version_of("torch")))
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        if self.warm:
            self.warming.start()
        while (request := self.work.get()) is not None:
            if isinstance(request, Run):
                self._run(request)
            else:
                self._free(request)
        self.outbox.close(GRACE)
        self.finished.set()

    # -- the thread that reads

    def _listen(self) -> None:
        while True:
            try:
                request = messages.read(self.requests)
            except messages.ProtocolError as error:
                print(f"The other side sent what is no message: {error}", file=sys.stderr, flush=True)
                request = None
            except (OSError, ValueError):
                request = None
            if request is None or isinstance(request, Shutdown):
                self._leave()
                return
            self._take(request)

    def _take(self, request: Any) -> None:
        if isinstance(request, Run):
            self.stops.setdefault(request.job, threading.Event())
            self.work.put(request)
        elif isinstance(request, Stop):
            stop = self.stops.get(request.job)
            if stop is not None:
                stop.set()
        elif isinstance(request, Ping):
            self.outbox.put(Pong(request.number))
        elif isinstance(request, Report):
            self._tell_memory()
        elif isinstance(request, Free):
            self.work.put(request)

    def _leave(self) -> None:
        self.closing.set()
        for stop in list(self.stops.values()):
            stop.set()
        self.work.put(None)
        if not self.finished.wait(GRACE):
            os._exit(0)  # a node that never comes to its next step must not outlive the window

    # -- the main thread

    def _run(self, run: Run) -> None:
        stop = self.stops[run.job]
        while self.warming.is_alive() and not stop.is_set():
            self.warming.join(0.05)  # two threads that import the same packages can meet half-made modules
        if self.closing.is_set():
            return
        try:
            registry, cache = self._loaded()
        except Exception as error:
            self.outbox.put(messages.Failed(run.job, "", f"The nodes cannot be loaded: {error}", "", "error"))
            self.outbox.put(messages.Done(run.job, "failed"))
        else:
            perform(run, registry, cache, self.outbox.put, stop.is_set, self.outbox.wants_frame)
        self.stops.pop(run.job, None)
        self._tell_memory()

    def _loaded(self) -> tuple[Registry, Cache]:
        with self.loading:
            if self.registry is None or self.cache is None:
                self.registry, self.cache = self.load()
            return self.registry, self.cache

    def _warm_up(self) -> None:
        """Begin with what takes longest while the artist still looks at the graph: torch, and a pack's function `warm_up`.

        Whatever fails here is for the job that needs it to tell.
        """
        import importlib

        with suppress(Exception):
            registry, _ = self._loaded()
            importlib.import_module("torch")
            packages = {function.__module__.partition(".")[0] for function in registry.functions.values()}
            for name in sorted(packages):
                warm_up = getattr(sys.modules.get(name), "warm_up", None)
                if callable(warm_up) and not self.stops and not self.closing.is_set():
                    warm_up()

    def _free(self, request: Free) -> None:
        if request.what in ("results", "all") and self.cache is not None:
            self.cache.clear(disk=False)
        if request.what in ("models", "all") and self.registry is not None:
            free_memory(self.registry)
        self._tell_memory()

    def _tell_memory(self) -> None:
        device, used, total = device_memory()
        cache = self.cache
        on_disk = cache.disk.used if cache is not None and cache.disk is not None else 0
        self.outbox.put(Memory(device, used, total, cache.memory.used if cache is not None else 0, on_disk))


def load_standard() -> tuple[Registry, Cache]:
    """The nodes and the cache of the user who runs the program."""
    registry = Registry.load()
    packages = {function.__module__ for function in registry.functions.values()}
    return registry, standard_cache(registry.folders, packages)


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Move stdin and stdout to file numbers that no library knows, and point what is left at nothing and at stderr."""
    if sys.stderr is None:  # pythonw: a library that prints must find something
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for the life of the process
        with suppress(OSError):
            os.dup2(sys.stderr.fileno(), 2)
    requests, events = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    if os.name == "nt":
        import msvcrt

        for number in (requests, events):
            msvcrt.setmode(number, os.O_BINARY)  # type: ignore[attr-defined]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = sys.stderr
    return os.fdopen(requests, "rb"), os.fdopen(events, "wb")


def give_way() -> None:
    """The window stays quick while this process computes, and if memory runs out, the system ends this process and not the window."""
    with suppress(OSError, AttributeError):  # Windows is told at the start of the process
        os.nice(5)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def main(load: Callable[[], tuple[Registry, Cache]] = load_standard) -> None:
    """Serve whoever started this process."""
    import faulthandler

    requests, events = take_pipes()
    give_way()
    faulthandler.enable()  # a crash in native code leaves its place in the log
    for name in ("SIGINT", "SIGHUP"):  # Ctrl+C in the terminal is for the one who started us
        if hasattr(signal, name):
            with suppress(ValueError):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
    Worker(requests, events, load, warm="--warm" in sys.argv[1:]).serve()
    with suppress(Exception):
        sys.stderr.flush()
    os._exit(0)  # no atexit of any library may keep the process


if __name__ == "__main__":
    main()
