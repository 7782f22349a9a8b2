"""What a running node may tell the outside world and ask of it: the Context that the executor hands to nodes.

Events are kept to what a person can see: at most 30 progress events a second (the last one always), and pictures on the way only
while making them takes no more than 0.15 s and a hundredth of the time; but one a second, so that slow steps can be watched, where it
takes at most a twentieth of the time since the last.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodegraph.cache import Cache
from nodegraph.embedding import without_home
from nodegraph.errors import Cancelled
from nodegraph.folders import new_file
from nodegraph.messages import Frame, Progress, Run, Saved, Shown, Tell, Warned

EVERY = 1 / 30
"""Seconds between two progress events."""
PREVIEW_SHARE = 0.01
"""What pictures on the way may take of a run's time, beyond what is free."""
PREVIEW_FREE = 0.15
"""Seconds that pictures on the way may take of any run: a short one shall be watched too, and nobody notices."""
WATCH_SECONDS = 1.0
"""Who watches slow steps sees a picture this often, or as often as it costs a twentieth of the time."""
CHECKPOINT_SECONDS = 2.0
"""A checkpoint goes to disk when the last one that did is older than this, and when its node ends."""


@dataclass
class Surroundings:
    """What all nodes of one run share. The clocks in it are those of the whole run, so that many small nodes do not flood it."""

    run: Run
    cache: Cache | None
    tell: Tell
    output: Path
    is_stopped: Callable[[], bool] = bool
    wants_frame: Callable[[], bool] | None = None
    began: float = field(default_factory=time.perf_counter)
    last_progress: float = -math.inf
    in_previews: float = 0.0
    last_frame: float = -math.inf
    graph_text: str = field(init=False)

    def __post_init__(self) -> None:
        self.graph_text = without_home(self.run.graph)


@dataclass(frozen=True, slots=True)
class Effects:
    """What a node did besides giving a result, to be told again when its result is taken from the cache.

    saved: (path, bytes, modification time in ns) of each file.
    """

    saved: tuple[tuple[str, int, int], ...] = ()
    shown: tuple[Frame, ...] = ()
    warned: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.saved or self.shown or self.warned)

    def are_intact(self) -> bool:
        """Whether every file that was written is still there as it was."""
        for path, size, changed in self.saved:
            try:
                stat = os.stat(path)
            except (OSError, ValueError):
                return False
            if (stat.st_size, stat.st_mtime_ns) != (size, changed):
                return False
        return True

    def tell_again(self, job: str, node: str, tell: Tell) -> None:
        for message in self.warned:
            tell(Warned(job, node, message))
        for path, _, _ in self.saved:
            tell(Saved(job, node, path))
        for picture in self.shown:
            tell(Shown(job, node, picture))


class Reporter:
    """The Context of one node of one run. Where a node runs for each item of a list, `index` and `count` say where it is."""

    def __init__(self, around: Surroundings, node_id: str) -> None:
        self.device = around.run.device
        self.graph_text = around.graph_text
        self.index, self.count = 0, 1
        self.resumed_from: float | None = None
        self.has_shown = False  # a picture of this node has gone out
        self._around = around
        self._node = node_id
        self._pending: Progress | None = None
        self._first: tuple[float, float] | None = None
        self._preview_cost: float | None = None
        self._frames = 0
        self._recalled = False
        self._checkpoint: tuple[str, Mapping[str, Any]] | None = None
        self._checkpoint_time = time.perf_counter()
        self._made: list[Path] = []
        self._saved: list[tuple[str, int, int]] = []
        self._shown: list[Frame] = []
        self._warned: list[str] = []

    # -- what nodes call

    def progress(
        self, done: float, total: float, preview: Callable[[], Any] | None = None, note: str = "", sigma: float | None = None
    ) -> None:
        around = self._around
        if around.is_stopped():
            raise Cancelled
        if self._recalled and self.resumed_from is None:
            self.resumed_from = max(0.0, float(done) - 1)
        now = time.perf_counter()
        done, total = self._overall(float(done), float(total))
        eta = self._seconds_left(done, total, now)
        if self.count > 1:
            note = f"{self.index + 1} of {self.count}" + (f", {note}" if note else "")
        sigma = float(sigma) if sigma is not None else None
        event = Progress(around.run.job, self._node, done, total, str(note), sigma, eta)
        if now - around.last_progress < EVERY and done < total:
            self._pending = event
            return
        frame = self._frame(preview, now, done >= total) if preview is not None else None
        if frame is not None:
            event = Progress(event.job, event.node, done, total, event.note, sigma, eta, frame)
            self.has_shown = True
        self._pending = None
        around.last_progress = now
        around.tell(event)

    def warn(self, message: str) -> None:
        if message not in self._warned:
            self._warned.append(str(message))
            self._around.tell(Warned(self._around.run.job, self._node, str(message)))

    def show(self, picture: Any) -> None:
        frame = Frame.of(picture)
        self._shown.append(frame)
        self.has_shown = True
        self._around.tell(Shown(self._around.run.job, self._node, frame))

    def saved(self, path: Path) -> None:
        stat = Path(path).stat()
        self._saved.append((str(path), stat.st_size, stat.st_mtime_ns))
        self._around.tell(Saved(self._around.run.job, self._node, str(path)))

    def save(self, name: str, suffix: str, data: bytes) -> Path:
        path = new_file(self._around.output, name, suffix, data)
        self.saved(path)
        return path

    def output_path(self, name: str, suffix: str) -> Path:
        path = new_file(self._around.output, name, suffix)
        self._made.append(path)
        return path

    def recall(self, key: str) -> Mapping[str, Any] | None:
        cache = self._around.cache
        found = cache.get(_checkpoint_key(key)) if cache is not None else None
        if found is not None:
            self._recalled = True
        return found

    def remember(self, key: str, checkpoint: Mapping[str, Any]) -> None:
        cache = self._around.cache
        if cache is None:
            return
        cache.hold(_checkpoint_key(key), checkpoint)
        now = time.perf_counter()
        if now - self._checkpoint_time < CHECKPOINT_SECONDS:
            self._checkpoint = (key, checkpoint)
            return
        self._checkpoint = None
        cache.keep(_checkpoint_key(key), checkpoint)
        self._checkpoint_time = time.perf_counter()

    # -- what the executor calls

    def finish(self) -> Effects:
        """The node is ready: tell what was held back, keep its last checkpoint."""
        self._keep_checkpoint()
        if self._pending is not None:
            self._around.last_progress = time.perf_counter()
            self._around.tell(self._pending)
            self._pending = None
        return Effects(tuple(self._saved), tuple(self._shown), tuple(self._warned))

    def abandon(self) -> None:
        """The node failed or was stopped: keep its last checkpoint, take away names of files that were never filled."""
        self._keep_checkpoint()
        for path in self._made:
            with suppress(OSError):
                if path.stat().st_size == 0:
                    path.unlink()

    # -- inside

    def _overall(self, done: float, total: float) -> tuple[float, float]:
        if not (math.isfinite(done) and math.isfinite(total)) or total <= 0:
            return 0.0, 0.0
        done = min(max(done, 0.0), total)
        return self.index * total + done, self.count * total

    def _seconds_left(self, done: float, total: float, now: float) -> float | None:
        if self._first is None or done < self._first[0]:
            self._first = (done, now)
            return None
        first, began = self._first
        return (total - done) * (now - began) / (done - first) if done > first else None

    def _frame(self, preview: Callable[[], Any], now: float, is_last: bool) -> Frame | None:
        around = self._around
        limit = around.run.preview
        if limit <= 0 or (around.wants_frame is not None and not around.wants_frame()):
            return None
        # the last picture is the one that stays on the node
        if not is_last and self._preview_cost is not None:
            is_dear = around.in_previews + self._preview_cost > PREVIEW_FREE + PREVIEW_SHARE * (now - around.began)
            wait = WATCH_SECONDS if self._frames < 2 else max(WATCH_SECONDS, 20 * self._preview_cost)  # what the first cost is no measure
            if is_dear and now - around.last_frame < wait:
                return None
        frame = None
        try:
            frame = Frame.of(preview(), limit)
        except Cancelled:
            raise
        except Exception as error:  # a picture on the way is never worth a run
            self.warn(f"Pictures on the way cannot be made: {error}")
        cost = time.perf_counter() - now
        if around.last_frame > -math.inf:  # the first of a run also warms up
            around.in_previews += cost
        around.last_frame = now
        self._preview_cost = cost
        self._frames += 1
        return frame

    def _keep_checkpoint(self) -> None:
        if self._checkpoint is not None and self._around.cache is not None:
            key, checkpoint = self._checkpoint
            self._around.cache.keep(_checkpoint_key(key), checkpoint)
            self._checkpoint = None


def _checkpoint_key(key: str) -> str:
    return f"checkpoint:{key}"
