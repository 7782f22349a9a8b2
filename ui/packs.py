"""Packs of nodes as they stand, and switching those of one's own: the window takes up the nodes at once, the worker before its next run.

Knows no widgets. A pack's code runs in a thread of the background, as at the start; one load at a time, so that a slow pack never keeps files waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from nodegraph.errors import GraphError
from nodegraph.saving import why
from ui.runs import Runs
from ui.studio import Studio
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.registry import Pack, Registry


class Packs(QObject):
    """The packs of this user and this program."""

    changed = Signal()

    def __init__(self, studio: Studio, runs: Runs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.listed: tuple[Pack, ...] | None = None
        """None until they were looked at."""
        self.refused: dict[str, str] = {}
        """Why a file could not be switched."""
        self._studio, self._runs = studio, runs
        self._waiting: dict[str, bool] = {}
        self._at_work: dict[str, bool] = {}
        self._looks = 0

    def wish(self, name: str) -> bool | None:
        """What was asked for and is not carried out yet: on, off, or nothing."""
        return self._waiting.get(name, self._at_work.get(name))

    def is_loaded(self, name: str) -> bool:
        """Whether the nodes of this window were read with it; a file switched on elsewhere was not."""
        registry = self._studio.registry
        return registry is not None and any(report.pack == name for report in registry.reports)

    def look(self) -> None:
        """See how they stand now: files may have come, gone or changed."""
        from nodegraph.registry import list_packs

        registry, folders = self._studio.registry, self._studio.folders
        if registry is None:
            self._studio.when_ready(self.look)
            return
        self._looks += 1
        number, reports = self._looks, tuple(registry.reports)

        def seen(listed: list[Pack]) -> None:
            if number == self._looks:  # or a later look has told more
                self.listed = tuple(listed)
                self.changed.emit()

        background().run(lambda: list_packs(folders, reports), seen, owner=self)

    def switch(self, name: str, on: bool) -> None:
        """Switch a file in the node folder on, as it is now, or off. Only a person may call for this."""
        self.refused.pop(name, None)
        self._waiting[name] = on
        self.changed.emit()
        self._studio.when_ready(self._next)

    def _next(self) -> None:
        if self._at_work or not self._waiting:
            return
        wishes, self._at_work, self._waiting = self._waiting, self._waiting, {}

        def carried_out(outcome: tuple[Registry | None, dict[str, str]]) -> None:
            registry, refused = outcome
            self._at_work = {}
            self.refused.update(refused)
            if registry is not None:
                self._studio.set_registry(registry)
                self._runs.renew_worker()
            self._next()
            self.look()

        def failed(error: Exception) -> None:
            carried_out((None, dict.fromkeys(wishes, str(error))))

        background().run(lambda: self._carry_out(wishes), carried_out, failed, owner=self)

    def _carry_out(self, wishes: dict[str, bool]) -> tuple[Registry | None, dict[str, str]]:
        """In the background: write down what is switched and find all nodes anew (None if nothing was switched); what was refused, and why."""
        from nodegraph.registry import Registry, enable_plugin

        refused = {}
        for name, on in wishes.items():
            try:
                with self._studio.settings.writing:
                    enable_plugin(self._studio.folders, name, on)
            except GraphError as error:
                refused[name] = error.message
            except OSError as error:
                refused[name] = f"'{name}' cannot be read: {why(error)}."
        return (Registry.load(self._studio.folders) if len(refused) < len(wishes) else None), refused
