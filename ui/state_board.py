"""How the nodes of documents stand in a run: noted as the worker tells, shown in parts, so that a large graph never holds the window up."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Final

from PySide6.QtCore import QObject, QTimer

from ui.canvas.model import RunState
from ui.document import Document
from ui.jobs import Job

STATES_AT_ONCE: Final = 60
REST_MS: Final = 8


class StateBoard(QObject):
    """`note` what is new, `show` it; what is noted counts at once for `of`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: dict[Document, dict[str, RunState]] = {}
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(REST_MS)
        self._rest.timeout.connect(self.show)

    def note(self, job: Job, path: str, state: RunState) -> None:
        """A node stands so now."""
        job.touched.add(path)
        if job.document is not None:
            self._waiting.setdefault(job.document, {})[path] = state

    def of(self, job: Job, path: str) -> RunState:
        """How a node stands, whether that is shown yet or not."""
        if job.document is None:
            return RunState()
        waiting = self._waiting.get(job.document, {})
        return waiting[path] if path in waiting else job.document.state(path)

    def show(self) -> None:
        """Hand states to their documents; of a large graph a part at a time."""
        states, self._waiting = self._waiting, {}
        for document, found in states.items():
            now = dict(itertools.islice(found.items(), STATES_AT_ONCE))
            if len(now) < len(found):
                self._waiting[document] = {path: state for path, state in found.items() if path not in now}
            document.set_states(now)
        if self._waiting:
            self._rest.start()

    def forget(self, document: Document) -> None:
        """A document was closed."""
        self._waiting.pop(document, None)

    def queue(self, job: Job) -> None:
        """What this run may touch waits in line; what is done already says so as soon as the worker has looked."""
        for place, path in enumerate(job.order, 1):
            old = self.of(job, path)
            job.before[path] = old
            self.note(job, path, RunState("queued", place=place, preview=old.preview, shapes=old.shapes, curves=old.curves))
        self.show()

    def end(self, job: Job, state: str) -> None:
        """The run is over: nothing of it waits or runs any more."""
        for path in job.touched:
            old = self.of(job, path)
            if old.state not in ("queued", "running"):
                continue
            was = job.before.get(path, RunState())
            if old.state == "running" and state == "done":
                self.note(job, path, RunState("done", preview=old.preview, seconds=old.seconds, shapes=old.shapes, curves=old.curves))
            elif old.state == "queued" and was.state in ("done", "cached"):  # nothing had to be asked of it
                self.note(job, path, replace(was, state="cached" if state == "done" else was.state))
            else:
                self.note(job, path, RunState("idle", preview=old.preview, shapes=old.shapes, curves=old.curves))

    def around(self, job: Job, path: str, kind: str, inner: RunState | None = None) -> None:
        """The subgraph instances around a node show how their inside stands."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            outer = "/".join(parts[:depth])
            old = self.of(job, outer)
            if kind == "failed":
                self.note(job, outer, replace(old, state="failed", message="Something inside failed. Open it to see what."))
            elif kind == "running":
                done, total = (inner.done, inner.total) if inner is not None else (old.done, old.total)
                preview = inner.preview if inner is not None and inner.preview is not None else old.preview
                eta = inner.eta if inner is not None else old.eta
                self.note(job, outer, replace(old, state="running", done=done, total=total, eta=eta, preview=preview, place=None))
