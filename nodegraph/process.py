"""The worker as seen from outside: a process that is started, talked to through pipes, mourned and started anew.

Two threads a process, one that reads and one that writes; no signals, no select, no event loop, so it works alike everywhere. The
worker cannot outlive us: when we are gone, however that came about, its pipe ends and it leaves.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from nodegraph import messages
from nodegraph.folders import Folders
from nodegraph.logs import rotated
from nodegraph.messages import Done, Failed, Hello, Run, Started, Stop, Tell

PATIENCE = 5.0
"""Seconds that a worker gets to leave when asked."""
SOUND_SECONDS = 10.0
"""A worker that dies idle and younger than this is not replaced until there is work: the next would die as well."""


class WorkerProcess:
    """Runs jobs in `python -m nodegraph.worker`, started anew whenever it is gone."""

    def __init__(self, heard: Tell, folders: Folders, command: Sequence[str] | None = None, warm: bool = True) -> None:
        self._heard = heard
        self._log = folders.logs / "worker.log"
        self._command = [*(command or [sys.executable, "-P", "-m", "nodegraph.worker"]), *(["--warm"] if warm else [])]
        self._lock = threading.RLock()
        self._process: _Process | None = None
        self._job: str | None = None
        self._node = ("", "")  # id and title of the node at work
        self._killed = False
        self._closed = False
        with suppress(OSError), self._lock:  # what hinders it is told by the first job
            self._ensure()

    @property
    def pid(self) -> int | None:
        """The number of the process, if one is there."""
        with self._lock:
            return self._process.popen.pid if self._process is not None else None

    def run(self, run: Run) -> None:
        try:
            with self._lock:
                self._job, self._node, self._killed = run.job, ("", ""), False
                self._ensure().send(run)
        except OSError as error:
            with self._lock:
                self._job = None
            self._heard(Failed(run.job, "", f"The worker process cannot start: {error.strerror or error}.", "", "crash", str(self._log)))
            self._heard(Done(run.job, "failed"))

    def send(self, request: Any) -> None:
        with self._lock:
            if self._process is not None and not (isinstance(request, Stop) and request.job != self._job):
                self._process.send(request)

    def kill(self) -> bool:
        with self._lock:
            if self._process is None:
                return False
            self._killed = True
            self._process.kill()
            return True

    def close(self) -> None:
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.close()
        with self._lock:
            job, self._job = self._job, None
        if job is not None:
            self._heard(Done(job, "cancelled"))

    # -- inside; the lock is held

    def _ensure(self) -> _Process:
        if self._process is None or self._process.is_over:
            self._process = _Process(self._command, self._log, self._message, self._gone)
        return self._process

    # -- from the threads of a process

    def _message(self, process: _Process, event: Any) -> None:
        with self._lock:
            if process is not self._process:
                return
            job = getattr(event, "job", None)
            if job is not None and job != self._job:
                return
            if isinstance(event, Started):
                self._node = (event.node, event.title or event.node)
            elif isinstance(event, Hello):
                process.hello = event
                if event.protocol != messages.PROTOCOL:
                    process.kill()
                    return
            elif isinstance(event, Done):
                self._job = None
        self._heard(event)

    def _gone(self, process: _Process, code: int) -> None:
        with self._lock:
            if process is not self._process:
                return
            self._process = None
            job, self._job = self._job, None
            killed, self._killed = self._killed, False
            (node, title), self._node = self._node, ("", "")
            closed = self._closed
            if not closed and process.is_sound and (job is not None or process.age > SOUND_SECONDS):
                with suppress(OSError):
                    self._ensure()
        if job is None:
            return
        if killed or closed:
            self._heard(Done(job, "cancelled"))
            return
        self._heard(Failed(job, node, _why(code, title, process), "", "crash", str(self._log)))
        self._heard(Done(job, "interrupted"))


class _Process:
    """One worker process with a thread that reads, one that writes. `gone` is called once, when it has ended and all it said was heard."""

    def __init__(
        self, command: Sequence[str], log: Path, message: Callable[[_Process, Any], None], gone: Callable[[_Process, int], None]
    ) -> None:
        self.hello: Hello | None = None
        self.is_over = False
        self._began = time.monotonic()
        self._message = message
        self._gone = gone
        with _open_log(log) as errors:
            with suppress(OSError):  # a full disk
                errors.write(f"\n-- {time.strftime('%Y-%m-%d %H:%M:%S')} worker starts\n".encode())
            self.popen = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment(),
                **_apart(),
            )
        self._outbox: SimpleQueue[Any] = SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="to-worker", daemon=True)
        self._reader = threading.Thread(target=self._read, name="from-worker", daemon=True)
        self._writer.start()
        self._reader.start()

    @property
    def is_sound(self) -> bool:
        """Whether it came up and speaks our language; starting another would only fail again otherwise."""
        return self.hello is not None and self.hello.protocol == messages.PROTOCOL

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._began

    def send(self, request: Any) -> None:
        self._outbox.put(request)

    def kill(self) -> None:
        """End it and what it started, now."""
        if self.popen.poll() is not None:
            return
        if os.name == "posix":
            with suppress(OSError):
                os.killpg(self.popen.pid, signal.SIGKILL)
        with suppress(OSError):
            self.popen.kill()

    def close(self) -> None:
        """Ask it to leave; end it if it does not."""
        self.send(messages.Shutdown())
        self._outbox.put(None)
        try:
            self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            with suppress(subprocess.TimeoutExpired):
                self.popen.wait(PATIENCE)
        if threading.current_thread() is not self._reader:
            self._reader.join(PATIENCE)

    def _write(self) -> None:
        assert self.popen.stdin is not None
        while (request := self._outbox.get()) is not None:
            try:
                messages.write(self.popen.stdin, request)  # type: ignore[arg-type]
            except messages.ProtocolError as error:
                if isinstance(request, Run):
                    self._message(self, Failed(request.job, "", str(error)))
                    self._message(self, Done(request.job, "failed"))
            except (OSError, ValueError):
                return  # it is gone; the reader tells
        with suppress(OSError):
            self.popen.stdin.close()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        try:
            while (event := messages.read(self.popen.stdout)) is not None:  # type: ignore[arg-type]
                if messages.kind_of(event) in messages.EVENTS:
                    self._message(self, event)
        except (messages.ProtocolError, OSError, ValueError):
            self.kill()  # whatever it is now, it is no worker
        try:
            code = self.popen.wait(1.0)
        except subprocess.TimeoutExpired:
            self.kill()
            code = self.popen.wait()
        self.is_over = True
        self._outbox.put(None)
        with suppress(OSError):
            self.popen.stdout.close()
        self._gone(self, code)


def _open_log(path: Path) -> FileIO:
    try:
        return rotated(path).open("ab", buffering=0)
    except OSError:
        return open(os.devnull, "wb", buffering=0)


def _apart() -> dict[str, Any]:
    """Ctrl+C in our terminal is not for the worker, no console window opens for it, and the window beside it comes first."""
    if os.name == "nt":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP  # type: ignore[attr-defined]
        return {"creationflags": flags | subprocess.BELOW_NORMAL_PRIORITY_CLASS}  # type: ignore[attr-defined]
    return {"start_new_session": True}


def _environment() -> dict[str, str]:
    """Ours, with this very program found first, wherever the user started it."""
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *(path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONIOENCODING": "utf-8:backslashreplace"}


def _why(code: int, node: str, process: _Process) -> str:
    """Why a worker ended, as far as its exit code tells, and what to do."""
    if process.hello is None:
        return "The worker process could not start. 'nodegraph doctor' checks the installation; the log has the details."
    if process.hello.protocol != messages.PROTOCOL:
        return "The worker process is of another version than this program. Install Nodegraph anew."
    during = f" while '{node}' ran" if node else ""
    if os.name == "posix" and code == -signal.SIGKILL:
        return (
            f"The worker process was ended from outside{during}. Most often the computer had run out of memory: make the picture or the "
            "batch smaller, or close other programs. A new worker is ready."
        )
    name = _signal_name(code)
    return (
        f"The worker process crashed{during}{f' ({name})' if name else ''}. A new worker is ready; if it happens again, the log says where."
    )


def _signal_name(code: int) -> str:
    if os.name == "posix" and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code & 0xFFFFFFFF:#x}" if code else ""
