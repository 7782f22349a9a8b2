"""One interface for running jobs, wherever they run: in a worker process, or here in a thread.

    runner = Runner(tell)                 # a worker process, started at once or with the first job
    runner.submit(Run("1", graph_text))   # returns at once; events arrive at `tell`, from other threads
    runner.stop("1")                      # between two steps; if that takes over 5 s, the worker is ended and a new one started
    runner.close()

Every job that was submitted ends in exactly one Done, whatever happens (but for those that still wait at `close`). Jobs run one after another; those that wait can be moved,
taken out or held back. When the worker dies, its job is told as interrupted, a fresh worker starts, and the queue goes on.

Decision: subprocess and two threads a process, no signals, no select: that much works alike on Windows, macOS and Linux, and
neither command line nor window need an event loop for it. Refused: multiprocessing (pickles what crosses; its spawn runs the main
module again), QProcess (ties the engine to Qt). What would change our mind: several workers at a time, which is Ray's work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Literal, Protocol

from nodegraph import messages
from nodegraph.errors import GraphError
from nodegraph.folders import Folders, standard
from nodegraph.messages import Done, Failed, Free, Ping, Queued, Report, Run, Stop, Tell
from nodegraph.process import PATIENCE, WorkerProcess


class Place(Protocol):
    """Where one job at a time runs. Tells each job's events, Done as the last; `heard` is called from a thread of the place."""

    def run(self, run: Run) -> None: ...
    def send(self, request: Any) -> None: ...
    def kill(self) -> bool: ...
    def close(self) -> None: ...


class Journal(Protocol):
    """Keeps jobs across crashes; `nodegraph.journal` has one."""

    def submitted(self, run: Run) -> None: ...
    def heard(self, event: Any) -> None: ...


class Runner:
    """The queue of jobs, and the place where they run. May be used from any thread; nothing here waits for a job.

    patience: seconds from a stop to the end of the worker, if no step of the node ends meanwhile.
    """

    def __init__(
        self,
        tell: Tell,
        place: Literal["worker", "here"] | Callable[[Tell], Place] = "worker",
        folders: Folders | None = None,
        journal: Journal | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._tell_user = tell
        self._journal = journal
        self._patience = patience
        self._lock = threading.RLock()
        self._telling = threading.RLock()
        self._waiting: list[Run] = []
        self._current: Run | None = None
        self._stopping: set[str] = set()
        self._paused = False
        self._closed = False
        if place == "worker":
            self._place: Place = WorkerProcess(self._heard, folders or standard())
        elif place == "here":
            self._place = Here(self._heard)
        else:
            self._place = place(self._heard)

    # -- what front ends call

    def submit(self, run: Run, first: bool = False) -> None:
        """Put a job at the end of the queue, or first of those that wait.

        Raises:
            GraphError: A job of this id is in the queue already.
        """
        with self._lock:
            if self._closed:
                raise GraphError("The queue is closed.")
            if any(run.job == other.job for other in (*self._waiting, *self.running)):
                raise GraphError(f"The job '{run.job}' is in the queue already.")
            ahead = (0 if first else len(self._waiting)) + (self._current is not None)
        if self._journal is not None:
            self._journal.submitted(run)
        self._tell(Queued(run.job, ahead))
        with self._lock:
            self._waiting.insert(0 if first else len(self._waiting), run)
        self._advance()

    def stop(self, job: str) -> None:
        """Stop a job or take it out of the queue. One that is unknown or over: nothing happens."""
        with self._lock:
            taken = [run for run in self._waiting if run.job == job]
            self._waiting = [run for run in self._waiting if run.job != job]
            running = self._current is not None and self._current.job == job and job not in self._stopping
            if running:
                self._stopping.add(job)
        if taken:
            self._tell(Done(job, "cancelled"))
        elif running:
            self._place.send(Stop(job))
            timer = threading.Timer(self._patience, self._lose_patience, (job,))
            timer.daemon = True
            timer.start()

    def send(self, request: Any) -> None:
        """Any request as a message: Run and Stop as above; Free, Report and Ping go to the place."""
        if isinstance(request, Run):
            self.submit(request)
        elif isinstance(request, Stop):
            self.stop(request.job)
        else:
            self._place.send(request)

    def free(self, what: Literal["models", "results", "all"] = "all") -> None:
        """Give memory back."""
        self._place.send(Free(what))

    def report(self) -> None:
        """Ask for a Memory event."""
        self._place.send(Report())

    def kill(self) -> None:
        """End the worker at once. Its job is told as cancelled; a new worker takes the next."""
        self._place.kill()

    def pause(self) -> None:
        """Begin no more jobs. The one that runs goes on."""
        with self._lock:
            self._paused = True

    def resume(self) -> None:
        with self._lock:
            self._paused = False
        self._advance()

    def reorder(self, jobs: Sequence[str]) -> None:
        """Put jobs that wait into this order; those not named come after."""
        place = {job: i for i, job in enumerate(jobs)}
        with self._lock:
            self._waiting.sort(key=lambda run: place.get(run.job, len(place)))

    def clear(self) -> None:
        """Take everything out that waits."""
        for run in self.waiting:
            self.stop(run.job)

    @property
    def waiting(self) -> tuple[Run, ...]:
        """The jobs that wait, in order."""
        with self._lock:
            return tuple(self._waiting)

    @property
    def running(self) -> tuple[Run, ...]:
        """The job that runs, if any."""
        with self._lock:
            return () if self._current is None else (self._current,)

    def close(self) -> None:
        """Stop what runs and end the worker. What waits is left to the journal. Returns when the worker is gone."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            running = self._current
        if running is not None:
            self.stop(running.job)
        self._place.close()

    # -- inside

    def _advance(self) -> None:
        with self._lock:
            if self._current is not None or self._paused or self._closed or not self._waiting:
                return
            run = self._current = self._waiting.pop(0)
        self._place.run(run)
        with self._lock:
            stopped_meanwhile = run.job in self._stopping
        if stopped_meanwhile:
            self._place.send(Stop(run.job))

    def _heard(self, event: Any) -> None:
        with self._lock:
            current = self._current.job if self._current is not None else None
            job = getattr(event, "job", None)
            if job is not None and job != current:
                return  # from a worker that was given up
            if isinstance(event, Done):
                self._current = None
                self._stopping.discard(event.job)
        self._tell(event)
        if isinstance(event, Done):
            self._advance()

    def _tell(self, event: Any) -> None:
        with self._telling:
            if self._journal is not None:
                self._journal.heard(event)
            self._tell_user(event)

    def _lose_patience(self, job: str) -> None:
        with self._lock:
            if self._current is None or self._current.job != job:
                return
        self._place.kill()


class Here:
    """Runs jobs in a thread of this process: less memory and a faster start, but a crash takes everything along, and nothing can be killed."""

    def __init__(self, heard: Tell, load: Callable[[], Any] | None = None) -> None:
        self._heard = heard
        self._load = load
        self._loaded: Any = None
        self._stops: dict[str, threading.Event] = {}
        self._work: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="nodegraph-run", daemon=True)
        self._thread.start()

    def run(self, run: Run) -> None:
        self._stops[run.job] = threading.Event()
        self._work.put(run)

    def send(self, request: Any) -> None:
        if isinstance(request, Stop):
            if request.job in self._stops:
                self._stops[request.job].set()
        elif isinstance(request, Ping):
            self._heard(messages.Pong(request.number))
        else:
            self._work.put(request)

    def kill(self) -> bool:
        return False  # a thread cannot be ended from outside; it stops at its next step

    def close(self) -> None:
        for stop in list(self._stops.values()):
            stop.set()
        self._work.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(PATIENCE)

    def _serve(self) -> None:
        from nodegraph.failures import free_memory
        from nodegraph.job import perform
        from nodegraph.machine import device_memory
        from nodegraph.worker import load_standard

        while (request := self._work.get()) is not None:
            if self._loaded is None and isinstance(request, Run):
                try:
                    self._loaded = (self._load or load_standard)()
                except Exception as error:
                    self._heard(Failed(request.job, "", f"The nodes cannot be loaded: {error}"))
                    self._heard(Done(request.job, "failed"))
                    continue
            if isinstance(request, Run):
                stop = self._stops[request.job]
                registry, cache = self._loaded
                perform(request, registry, cache, self._heard, stop.is_set)
                self._stops.pop(request.job, None)
            elif isinstance(request, Free) and self._loaded is not None:
                registry, cache = self._loaded
                if request.what in ("results", "all"):
                    cache.clear(disk=False)
                if request.what in ("models", "all"):
                    free_memory(registry)
            held = self._loaded[1].memory.used if self._loaded is not None else 0
            self._heard(messages.Memory(*device_memory(), held))
