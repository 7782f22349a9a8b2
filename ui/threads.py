"""The one place where a thread becomes a Qt signal: work goes out to a pool, its outcome comes back in the GUI thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QCoreApplication, QObject, Qt, QTimer, Signal, Slot

T = TypeVar("T")


class Courier(QObject):
    """Carries calls from any thread into the thread that made the courier (the GUI's)."""

    _called = Signal(object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._called.connect(self._run, Qt.ConnectionType.QueuedConnection)
        self._open = True

    def call(self, function: Callable[[], Any]) -> None:
        """Run `function` in the GUI thread, soon. Calls keep their order; after `close` they are dropped."""
        if self._open:
            try:
                self._called.emit(function)
            except RuntimeError:  # the program is ending and Qt has taken the courier away
                self._open = False

    def close(self) -> None:
        self._open = False

    @Slot(object)
    def _run(self, function: Callable[[], Any]) -> None:
        if self._open:
            function()


class Background:
    """A few threads for files: reading, writing, thumbnails. Never for anything that holds the interpreter for long."""

    def __init__(self, workers: int = 2) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="nodegraph-files")
        self._courier = Courier()
        self._lock = threading.Lock()
        self._pending = 0
        self._soon: deque[Callable[[], object]] = deque()

    def run(
        self,
        work: Callable[[], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[Exception], None] | None = None,
        owner: QObject | None = None,
    ) -> Future[T]:
        """Do `work` in a thread; then call `done` with its result or `failed` with its exception in the GUI thread.

        Nothing is called once Qt has taken the `owner` away: name the widget that the outcome is for.
        An exception that nobody takes reaches sys.excepthook, as any other would.
        """
        with self._lock:
            self._pending += 1

        def outcome(future: Future[T]) -> None:
            def deliver() -> None:
                with self._lock:
                    self._pending -= 1
                _hand_over(future, done, failed, owner)

            self._courier.call(deliver)

        future = self._pool.submit(work)
        future.add_done_callback(outcome)
        return future

    def apart(self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[Exception], None] | None = None, owner: QObject | None = None) -> None:
        """As `run`, for the code of others, which may never come to an end: in a thread of its own that neither files nor the end of the program wait for."""
        future: Future[T] = Future()

        def carry_out() -> None:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
            self._courier.call(lambda: _hand_over(future, done, failed, owner))

        threading.Thread(target=carry_out, name="nodegraph-apart", daemon=True).start()

    def soon(self, act: Callable[[], object], owner: QObject | None = None) -> None:
        """Call `act` in a later turn of the event loop of this thread, unless its owner is gone: hands, timers and painting come first."""
        with self._lock:
            self._pending += 1
        self._soon.append(act if owner is None else lambda: shiboken6.isValid(owner) and act())
        QTimer.singleShot(0, self._next)

    def _next(self) -> None:
        if self._soon:
            act = self._soon.popleft()
            with self._lock:
                self._pending -= 1
            act()

    @property
    def pending(self) -> int:
        """How many pieces of work are not delivered yet."""
        return self._pending

    def drain(self) -> None:
        """Wait until everything under way is done and delivered (when the program ends, and in tests)."""
        while self._pending:
            self._next()
            QCoreApplication.sendPostedEvents(self._courier, 0)
            threading.Event().wait(0.002)

    def shutdown(self) -> None:
        """Finish what is under way, take nothing new."""
        self._pool.shutdown(wait=True)
        QCoreApplication.sendPostedEvents(self._courier, 0)
        self._courier.close()


def _hand_over(future: Future[T], done: Callable[[T], None] | None, failed: Callable[[Exception], None] | None, owner: QObject | None) -> None:
    """Tell the outcome to whoever still wants it."""
    if owner is not None and not shiboken6.isValid(owner):
        return
    error = future.exception()
    if error is None:
        if done is not None:
            done(future.result())
    elif failed is not None and isinstance(error, Exception):
        failed(error)
    else:
        raise error


class _Shared:
    background: Background | None = None


def background() -> Background:
    """The program's one pool (made at first use, in the GUI thread)."""
    if _Shared.background is None:
        _Shared.background = Background()
    return _Shared.background
