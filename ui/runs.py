"""The queue, and what the worker says about it. Events arrive in the runner's thread and leave here as changed documents and signals.

Nothing waits for the worker: requests are handed over, events are gathered and delivered at most 30 times a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from nodegraph import messages as m
from nodegraph.errors import Problem
from nodegraph.graph import Graph
from nodegraph.graphfile import dumps
from ui.canvas.model import RunState
from ui.differences import told_apart
from ui.document import Document
from ui.forecast import order_of, steps_of
from ui.inbox import Inbox, Passed
from ui.jobs import Job, Picture, qimage
from ui.keeper import Keeper
from ui.seeds import with_counted_seeds, with_seeds
from ui.settings import Settings
from ui.state_board import StateBoard
from ui.takes import Kept, Take, Takes
from ui.threads import Courier, background

if TYPE_CHECKING:
    from nodegraph.journal import Entry

OVER_KEPT: Final = 200


class RunnerLike(Protocol):
    """What the queue asks of `nodegraph.runner`; every method returns at once."""

    def send(self, request: Any) -> None: ...

    def close(self) -> None: ...


class Runs(QObject):
    """One queue for all documents of the window."""

    queue_changed = Signal()  # entries came, went or moved
    job_changed = Signal(object)  # Job: its progress or state
    job_over = Signal(object)  # Job
    picture = Signal(object)  # Picture: finished
    frame = Signal(object, object)  # Take, Kept: on the way
    take_changed = Signal(object)  # Take
    memory = Signal(object)  # messages.Memory
    warned = Signal(str, str, str)  # job, node, message
    hello = Signal(object)  # messages.Hello
    trouble = Signal(str)  # the queue cannot be kept on disk

    def __init__(self, settings: Settings, start_runner: Callable[[Callable[[Any], None]], RunnerLike], keeper: Keeper | None = None, parent: QObject | None = None) -> None:
        """`start_runner(tell)` makes the runner when the first job needs it; `tell` may be called from any thread."""
        super().__init__(parent)
        self.keeper = keeper
        if keeper is not None:
            keeper.trouble = lambda words: self._courier.call(lambda: self.trouble.emit(words))
        self.settings = settings
        self._start = start_runner
        self._runner: RunnerLike | None = None
        self.waiting: list[Job] = []
        self.current: Job | None = None
        self.over: list[Job] = []
        self.paused = False
        self._renews = False
        self._takes = Takes()
        self.device = ""
        self.output = ""  # where pictures go; "" is the user's folder
        self._courier = Courier(self)
        self._inbox = Inbox(self._courier, self._deliver_now, self)
        self._board = StateBoard(self)
        self._memory_timer = QTimer(self)
        self._memory_timer.setInterval(2000)
        self._memory_timer.timeout.connect(lambda: self._ask(m.Report()))

    @property
    def takes(self) -> list[Take]:
        """What was painted, the oldest first."""
        return self._takes.all

    # -- asking for runs

    def submit(self, document: Document, targets: Iterable[str] = (), front: bool = False, graph: Graph | None = None, title: str = "") -> Job:
        """Put a run of a document, as it is now, into the queue. `targets` are node paths; none means all that save or show."""
        specs = document.specs
        graph, seeds = with_seeds(document.root if graph is None else graph, specs)
        job = Job(title or document.title, graph, tuple(targets), str(document.path.parent) if document.path else "", document, seeds=seeds)
        job.differs = self._new_in(job)
        job.order = order_of(graph, job.targets, specs)
        job.steps = steps_of(graph, job.order, specs)
        self.add(job, front)
        counted = with_counted_seeds(document.root, specs)
        if counted is not document.root:
            document.edit_root("Count up the seed", lambda _graph: counted)
        return job

    def _new_in(self, job: Job) -> str:
        """What a run has that the last one asked for of the same document had not: "seed 11"."""
        others = [one for one in (*self.waiting, *self.over, self.current) if one is not None and (one.document, one.title) == (job.document, job.title)]
        last = max(others, key=lambda one: one.asked_at, default=None)
        apart = told_apart(last.graph, job.graph) if last is not None else None
        return apart[1] if apart is not None else ""

    def add(self, job: Job, front: bool = False) -> None:
        """Put a job into the queue."""
        if front:
            self.waiting.insert(0, job)
        else:
            self.waiting.append(job)
        if self.keeper is not None and not job.text:
            self._write_down(job)
        self.queue_changed.emit()
        self._next()

    def _write_down(self, job: Job) -> None:
        """Into the journal, in the background: the graph is a value, so nothing can change under the thread."""
        graph = job.graph

        def ready(text: str) -> None:
            job.text = text
            if job.state != "cancelled":
                self._note(job)

        background().run(lambda: dumps(graph), ready, lambda _error: None)

    def _note(self, job: Job) -> None:
        """Once, and before the worker hears of it: the journal has no ear for a run it does not know."""
        if self.keeper is not None and not job.is_noted:
            job.is_noted = True
            self.keeper.submitted(self._request(job))

    def _request(self, job: Job) -> m.Run:
        size = int(self.settings.get("preview_size")) if self.settings.get("previews") else 0
        device, cache = str(self.settings.get("device")), bool(self.settings.get("cache_results"))
        return m.Run(job.id, job.text, job.targets, job.base, self.output, device, cache, size, job.title)

    def take_over(self, entries: Iterable[Entry]) -> int:
        """Put what a crash or an earlier session left into the queue, paused; what ran then is listed as interrupted. Returns how many wait."""
        from nodegraph.errors import GraphError
        from nodegraph.graphfile import parse

        count = 0
        for entry in entries:
            run = entry.run
            try:
                graph = parse(run.graph, run.title or "A run")
            except GraphError:
                if self.keeper is not None:
                    self.keeper.removed((run.job,))
                continue
            job = Job(run.title, graph, run.targets, run.base, id=run.job, text=run.graph, saved=list(entry.saved), is_noted=True)
            job.differs = self._new_in(job)
            if entry.state == "interrupted":
                job.state = "interrupted"
                self.over.insert(0, job)
            else:
                self.waiting.append(job)
                count += 1
        if count:
            self.paused = True
        self.queue_changed.emit()
        return count

    def move(self, job: Job, place: int) -> None:
        """Reorder what waits; a place beyond an end is that end."""
        place = max(0, min(place, len(self.waiting) - 1))
        if job in self.waiting and self.waiting[place] is not job:
            self.waiting.remove(job)
            self.waiting.insert(place, job)
            self.queue_changed.emit()

    def cancel(self, job: Job) -> None:
        """Take one out of the queue, or stop it if it runs."""
        if job is self.current:
            self._ask(m.Stop(job.id))
        elif job in self.waiting:
            self.waiting.remove(job)
            job.state = "cancelled"
            if self.keeper is not None:
                self.keeper.removed((job.id,))
            self._close(job)
            self.queue_changed.emit()

    def stop(self) -> None:
        """Stop what runs now."""
        if self.current is not None:
            self._ask(m.Stop(self.current.id))

    def clear(self) -> None:
        """Empty the queue; what runs goes on."""
        gone, self.waiting = self.waiting, []
        for job in gone:
            job.state = "cancelled"
        if self.keeper is not None:
            self.keeper.removed(job.id for job in gone)
        self.queue_changed.emit()

    def set_paused(self, paused: bool) -> None:
        """Paused, what runs is finished and nothing new begins."""
        if paused != self.paused:
            self.paused = paused
            self.queue_changed.emit()
            self._next()

    def again(self, job: Job) -> Job:
        """The same run once more."""
        made = Job(job.title, job.graph, job.targets, job.base, job.document, seeds=dict(job.seeds), steps=job.steps, order=job.order)
        self.add(made)
        return made

    def free(self, what: str) -> None:
        """Give memory back: "models", "results" or "all"."""
        if self._runner is not None:
            self._ask(m.Free(what))  # type: ignore[arg-type]
            self._ask(m.Report())

    def renew_worker(self) -> None:
        """The next run begins with a fresh worker: what a worker reads at its start has changed."""
        self._renews = True
        self._renew_if_idle()

    def _renew_if_idle(self) -> None:
        if self._renews and self.current is None and self._runner is not None:
            background().run(self._runner.close)  # it waits until the worker is gone
            self._runner = None
        self._renews = self._renews and self._runner is not None

    def forget(self, document: Document) -> None:
        """A document was closed; its runs go on without it."""
        for job in (*self.waiting, *self.over, *([self.current] if self.current else [])):
            if job.document is document:
                job.document = None
        self._board.forget(document)

    def shutdown(self) -> None:
        """End the worker; a second time does nothing."""
        self._courier.close()
        self._memory_timer.stop()
        if self._runner is not None:
            self._runner.close()
            self._runner = None
        keeper, self.keeper = self.keeper, None
        if keeper is not None:
            keeper.close()

    def time_waiting(self) -> float | None:
        """About how many seconds what waits will take; None while nobody knows."""
        known = [job.seconds for job in self.over[:12] if job.state == "done" and job.ran]
        if not known or not self.waiting:
            return None
        total = 0.0
        for job in self.waiting:
            same = [one.seconds for one in self.over[:40] if one.state == "done" and one.ran and one.title == job.title]
            total += sum(same) / len(same) if same else sum(known) / len(known)
        return total

    # -- towards the runner

    def _next(self) -> None:
        if self.current is not None or self.paused or not self.waiting:
            return
        job = self.waiting.pop(0)
        self.current = job
        job.state, job.began = "running", time.monotonic()
        self._board.queue(job)
        self.queue_changed.emit()
        self.job_changed.emit(job)
        graph = job.graph

        def ready(text: str) -> None:
            job.text = text
            if self.current is job:
                self._note(job)
                self._ask(self._request(job))

        if job.text:
            ready(job.text)
            return
        background().run(lambda: dumps(graph), ready, lambda error: self._deliver_now([m.Failed(job.id, "", str(error)), m.Done(job.id, "failed")]))

    def _ask(self, request: Any) -> None:
        if self._runner is None:
            if isinstance(request, m.Report):
                return
            self.settings.flush()  # the worker reads them
            self._runner = self._start(self._tell)
            self._memory_timer.start()
        self._runner.send(request)

    def _tell(self, event: Any) -> None:
        """In the runner's thread."""
        if self.keeper is not None:
            self.keeper.heard(event)
        self._inbox.put(event)

    def _deliver_now(self, events: Iterable[Any]) -> None:
        changed: dict[str, Job] = {}
        for event in events:
            if isinstance(event, Passed):
                self._on_passed(event.event)
                continue
            job = self.current if self.current is not None and getattr(event, "job", None) == self.current.id else None
            handler = getattr(self, "_on_" + m.kind_of(event), None)
            if handler is not None and (job is not None or not hasattr(event, "job")):
                handler(event, job) if job is not None else handler(event)
                if job is not None:
                    changed[job.id] = job
        self._board.show()
        for job in changed.values():
            self.job_changed.emit(job)

    # -- what happened

    def _on_hello(self, event: m.Hello) -> None:
        self.hello.emit(event)

    def _on_memory(self, event: m.Memory) -> None:
        self.device = event.device
        self.memory.emit(event)

    def _on_accepted(self, event: m.Accepted, job: Job) -> None:
        job.nodes = event.nodes

    def _on_started(self, event: m.Started, job: Job) -> None:
        old = self._board.of(job, event.node)
        job.node, job.done, job.total, job.eta, job.note = event.node, 0.0, 0.0, None, event.title
        self._board.note(job, event.node, RunState("running", preview=old.preview, seed=self._seed(job, event.node), shapes=old.shapes, curves=old.curves))
        self._board.around(job, event.node, "running")

    def _on_progress(self, event: m.Progress, job: Job) -> None:
        old = self._board.of(job, event.node)
        job.node, job.done, job.total, job.eta = event.node, event.done, event.total, event.eta
        image = qimage(event.frame) if event.frame is not None else None
        done, total = round(event.done), round(event.total)
        state = RunState(
            "running", done, total, eta=event.eta, sigma=event.sigma, preview=image or old.preview, note=event.note, seed=old.seed, shapes=old.shapes, curves=old.curves
        )
        self._board.note(job, event.node, state)
        self._board.around(job, event.node, "running", state)
        if image is not None:
            job.thumbnail = image
        if image is not None and total > 1:  # one picture in one go is no way to look back on
            self._keep(job, event.node, Kept(done, total, event.sigma, image))
        elif (take := self._takes.painting(job, event.node)) is not None:
            take.done, take.total = done, total
            self.take_changed.emit(take)

    def _on_passed(self, event: m.Progress) -> None:
        job = self.current
        if job is not None and job.id == event.job and event.frame is not None:
            image = qimage(event.frame)
            self._board.note(job, event.node, replace(self._board.of(job, event.node), preview=image))
            if event.total > 1:
                self._keep(job, event.node, Kept(round(event.done), round(event.total), event.sigma, image), tell=False)

    def _keep(self, job: Job, node: str, kept: Kept, tell: bool = True) -> None:
        name = job.document.name_of(node) if job.document is not None and "/" not in node else node
        take = self._takes.keep(job, node, name, self._seed(job, node), kept)
        if tell:
            self.frame.emit(take, kept)
            self.take_changed.emit(take)

    def _on_finished(self, event: m.Finished, job: Job) -> None:
        old = self._board.of(job, event.node)
        job.finished += 1
        note = f"from step {event.resumed_from:.0f}" if event.resumed_from else ""
        kind = "cached" if event.cached else "done"
        self._board.note(job, event.node, replace(old, state=kind, seconds=event.seconds, eta=None, place=None, done=old.total, note=note, message="", shapes={**(old.shapes or {}), **event.about}, curves=dict(event.curves) or old.curves))
        self._board.around(job, event.node, kind)
        if (take := self._takes.end(job, event.node)) is not None:
            self.take_changed.emit(take)
        if not event.cached and job.document is not None:
            self._note_time(job, event)

    def _note_time(self, job: Job, event: m.Finished) -> None:
        node = job.graph.nodes.get(event.node)
        if node is not None and event.seconds > 0:
            known = dict(self.settings.get("node_seconds"))
            old = known.get(node.type)
            known[node.type] = round(event.seconds if not isinstance(old, (int, float)) else 0.7 * old + 0.3 * event.seconds, 3)
            self.settings.set("node_seconds", known)

    def _on_shown(self, event: m.Shown, job: Job) -> None:
        image = qimage(event.picture)
        old = self._board.of(job, event.node)
        node = job.graph.nodes.get(event.node)
        self._board.note(job, event.node, replace(old, preview=image, shapes={"image": f"{image.width()} × {image.height()}"}))
        name = job.document.name_of(event.node) if job.document is not None else (node.title or node.type) if node else event.node
        take = self._takes.count or 1
        picture = Picture(image, job.id, job.title, event.node, name, take, time.time(), job.graph, dict(job.seeds))
        job.pictures.append(picture)
        job.thumbnail = image
        self.picture.emit(picture)

    def _on_saved(self, event: m.Saved, job: Job) -> None:
        job.saved.append(event.path)
        for number in range(len(job.pictures) - 1, -1, -1):
            if job.pictures[number].node == event.node and not job.pictures[number].path:
                job.pictures[number] = replace(job.pictures[number], path=event.path)
                break

    def _on_warned(self, event: m.Warned, job: Job) -> None:
        job.problems.append(Problem(event.message, event.node or None, severity="warning", kind="warning"))
        self.warned.emit(job.id, event.node, event.message)

    def _on_failed(self, event: m.Failed, job: Job) -> None:
        job.problems.append(Problem(event.message, event.node or None, event.input or None, "error", event.kind))
        if event.log:
            job.logs[event.node] = event.log
        if event.node:
            old = self._board.of(job, event.node)
            self._board.note(job, event.node, RunState("failed", message=event.message, input=event.input or None, preview=old.preview, seconds=old.seconds))
            self._board.around(job, event.node, "failed")

    def _on_skipped(self, event: m.Skipped, job: Job) -> None:
        old = self._board.of(job, event.node)
        self._board.note(job, event.node, RunState("idle", preview=old.preview))

    def _on_done(self, event: m.Done, job: Job) -> None:
        job.state, job.seconds = event.state, event.seconds or (time.monotonic() - (job.began or time.monotonic()))
        job.ran, job.cached, job.eta = event.ran, event.cached, None
        self._board.end(job, event.state)
        self._takes.end(job)
        self.current = None
        self._close(job)
        self._renew_if_idle()
        self.queue_changed.emit()
        self._next()

    def _close(self, job: Job) -> None:
        self.over.insert(0, job)
        del self.over[OVER_KEPT:]
        self._board.show()
        self.job_over.emit(job)

    def _seed(self, job: Job, path: str) -> int | None:
        found = [value for key, value in job.seeds.items() if key.rpartition(".")[0] == path]
        return found[0] if found else None
