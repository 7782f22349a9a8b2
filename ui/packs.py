"""Packs of nodes as they stand, and switching those of one's own: the window takes up the nodes at once, the worker before its next run.

Knows no widgets. A pack's code runs in a thread of its own, as at the start; one that does not come to an end can be switched off again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal

from nodegraph.errors import GraphError
from nodegraph.saving import why
from ui.runs import Runs
from ui.studio import Studio
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.registry import Pack, Registry

PATIENCE_MS = 5000
"""So long a pack may take to load before a further switch no longer waits for it."""


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
        self._loads = 0
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(PATIENCE_MS)
        self._patience.timeout.connect(self._next)
        self._patience.start()
        studio.registry_changed.connect(self._registry_changed)

    @property
    def is_busy(self) -> bool:
        """Whether something is being switched."""
        return bool(self._waiting or self._at_work)

    def wish(self, name: str) -> bool | None:
        """What was asked for and is not carried out yet: on, off, or nothing."""
        return self._waiting.get(name, self._at_work.get(name))

    def is_loaded(self, name: str) -> bool | None:
        """Whether the nodes of this window were read with it: a file switched on elsewhere was not. None: they are being read."""
        registry = self._studio.registry
        return None if registry is None else any(report.pack == name for report in registry.reports)

    def _registry_changed(self) -> None:
        self._next()
        if self.listed is not None:
            self.look()

    def look(self) -> None:
        """See how they stand now: files may have come, gone or changed."""
        from nodegraph.registry import list_packs

        registry, folders = self._studio.registry, self._studio.folders
        self._looks += 1
        number, reports = self._looks, tuple(registry.reports) if registry is not None else ()

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
        self._next()

    def _next(self) -> None:
        is_loading = bool(self._at_work) or self._studio.registry is None
        if not self._waiting or (is_loading and self._patience.isActive()):
            return
        wishes, self._waiting = self._waiting, {}
        self._at_work.update(wishes)
        self._loads += 1
        number = self._loads
        self._patience.start()

        def carried_out(outcome: tuple[Registry | None, dict[str, str]]) -> None:
            if number != self._loads:
                return  # it was given up
            registry, refused = outcome
            self._at_work = {}
            self.refused.update(refused)
            if registry is not None:
                self._studio.set_registry(registry)
                self._runs.renew_worker()
            else:
                self._registry_changed()

        def failed(error: Exception) -> None:
            carried_out((None, dict.fromkeys(wishes, str(error))))

        background().apart(lambda: self._carry_out(wishes), carried_out, failed, owner=self)

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
