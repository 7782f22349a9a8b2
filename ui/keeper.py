"""Writes the queue's journal in a thread of its own, in order, so that a slow disk never holds up the window."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph.messages import Accepted, Done, Failed, Run, Saved
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.journal import Entry, Journal

NOTED = (Accepted, Saved, Failed, Done)


class Keeper:
    """A `nodegraph.journal.Journal` behind one thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal: Journal | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="nodegraph-journal")
        self.trouble: Callable[[str], None] = lambda words: None
        self._told = ""

    def open(self, done: Callable[[tuple[Entry, ...]], None]) -> None:
        """Take over what programs that are gone left; `done` gets it in the GUI thread."""
        background().run(lambda: self._pool.submit(self._left_over).result(), done)

    def submitted(self, run: Run) -> None:
        self._do(lambda journal: journal.submitted(run))

    def heard(self, event: Any) -> None:
        if isinstance(event, NOTED):
            self._do(lambda journal: journal.heard(event))

    def removed(self, jobs: Iterable[str]) -> None:
        gone = tuple(jobs)
        self._do(lambda journal: journal.removed(gone))

    def close(self) -> None:
        """Everything that was noted is on disk when this returns."""
        self._pool.submit(self._end).result()
        self._pool.shutdown()

    def _left_over(self) -> tuple[Entry, ...]:
        return self._get().left_over

    def _get(self) -> Journal:
        from nodegraph.journal import Journal

        if self._journal is None:
            self._journal = Journal(self._folder)
        return self._journal

    def _end(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def _do(self, act: Callable[[Journal], None]) -> None:
        def work() -> None:
            journal = self._get()
            act(journal)
            if journal.problem != self._told:
                self._told = journal.problem
                if self._told:
                    self.trouble(self._told)

        try:
            self._pool.submit(work)
        except RuntimeError:  # the program is ending
            pass
