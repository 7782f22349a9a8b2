"""Where events of the runner's thread wait for the window: gathered there, handed over at most 30 times a second here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from PySide6.QtCore import QElapsedTimer, QObject, QTimer

from nodegraph import messages as m
from ui.threads import Courier

TICK_MS: Final = 33
FRAMES_BETWEEN: Final = 64
"""Frames that came between two deliveries and go to the timeline alone; the last is shown."""


class Passed:
    """Progress that a newer one has overtaken: only its frame still counts."""

    __slots__ = ("event",)

    def __init__(self, event: m.Progress) -> None:
        self.event = event


class Inbox:
    """`put` in any thread; `deliver(events)` is called in the thread of the window."""

    def __init__(self, courier: Courier, deliver: Callable[[list[Any]], None], parent: QObject) -> None:
        self._courier, self._hand_over = courier, deliver
        self._lock = threading.Lock()
        self._events: list[Any] = []
        self._called = False
        self._passed = 0
        self._clock = QElapsedTimer()
        self._clock.start()
        self._last = -TICK_MS
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._deliver)

    def put(self, event: Any) -> None:
        """Gather; only the newest progress of a node counts, and its newest frame."""
        with self._lock:
            self._gather(event)
            if self._called:
                return
            self._called = True
        self._courier.call(self._soon)

    def _gather(self, event: Any) -> None:
        last = self._events[-1] if self._events else None
        same = isinstance(event, m.Progress) and isinstance(last, m.Progress) and (last.job, last.node) == (event.job, event.node)
        if not same:
            self._events.append(event)
        elif last.frame is None:  # type: ignore[union-attr]
            self._events[-1] = event
        elif self._passed < FRAMES_BETWEEN:
            self._passed += 1
            self._events[-1] = Passed(last)  # type: ignore[arg-type]
            self._events.append(event)
        elif event.frame is not None:
            self._events[-1] = event

    def _soon(self) -> None:
        wait = TICK_MS - (self._clock.elapsed() - self._last)
        if wait <= 0:
            self._deliver()
        elif not self._timer.isActive():
            self._timer.start(int(wait))

    def _deliver(self) -> None:
        self._last = self._clock.elapsed()
        with self._lock:
            events, self._events = self._events, []
            self._called, self._passed = False, 0
        self._hand_over(events)
