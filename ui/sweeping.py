"""Runs a sweep: its jobs into the queue, and the sheet of their pictures into the viewer when the last is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtGui import QImage

from nodegraph.spec import Input
from ui.document import Document
from ui.forecast import order_of, steps_of
from ui.jobs import Job
from ui.seeds import with_seeds
from ui.sweep import Axis, graph_for, settings, sheet
from ui.sweep_dialog import SweepDialog

if TYPE_CHECKING:
    from ui.desk import Desk


class Sweeping:
    """The sweeps of a window."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._under_way: list[tuple[Axis, Axis | None, list[Job]]] = []
        desk.runs.job_over.connect(self._over)
        desk.runs.queue_changed.connect(self._clear)

    def ask(self, document: Document, node: str, item: Input) -> SweepDialog:
        """Open the dialog for a value of a node shown."""

        def files(one: Input) -> Sequence[str]:
            return self._desk.window.folders.names(one.file) if one.file is not None else ()

        dialog = SweepDialog(document, node, item, files, self._seconds, self._desk.window)
        dialog.run_wanted.connect(lambda across, down: self.run(document, across, down))
        dialog.show()
        return dialog

    def run(self, document: Document, across: Axis, down: Axis | None) -> list[Job]:
        """A job for each setting, all with the same seeds; returns them."""
        specs, runs = document.specs, self._desk.runs
        graph, _ = with_seeds(document.root, specs)
        jobs = []
        for setting in settings(across, down):
            own = graph_for(graph, setting)
            order = order_of(own, (), specs)
            seeds = {f"{axis.node}.{axis.item.name}": value for axis, value in setting if axis.item.is_randomized and isinstance(value, int)}
            title = f"{document.title}  ·  {', '.join(axis.words(value) for axis, value in setting)}"
            base = str(document.path.parent) if document.path is not None else ""
            jobs.append(Job(title, own, (), base, document, steps=steps_of(own, order, specs), order=order, seeds=seeds))
        self._under_way.append((across, down, jobs))
        for job in jobs:
            runs.add(job)
        return jobs

    def _seconds(self, count: int) -> float | None:
        known = [job.seconds for job in self._desk.runs.over[:12] if job.state == "done" and job.ran]
        return count * sum(known) / len(known) if known else None

    def _clear(self) -> None:
        """What was taken out of the queue will never be over."""
        waiting = {id(job) for job in self._desk.runs.waiting}
        for sweep in self._under_way:
            gone = [job for job in sweep[2] if job.state == "cancelled" and id(job) not in waiting]
            if len(gone) == len(sweep[2]):
                self._under_way.remove(sweep)
                return

    def _over(self, _job: Job) -> None:
        for sweep in list(self._under_way):
            across, down, jobs = sweep
            if all(job.is_over for job in jobs):
                self._under_way.remove(sweep)
                pictures: dict[int, QImage] = {number: job.pictures[-1].image for number, job in enumerate(jobs) if job.pictures}
                if pictures:
                    name = f"Sweep of {across.item.label.lower()}" + (f" and {down.item.label.lower()}" if down is not None else "")
                    self._desk.viewer.show_picture(sheet(pictures, across, down), name)
                    self._desk.viewer_dock.show_page("viewer")
