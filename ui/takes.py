"""The frames kept on the way from noise to picture, take by take, within a budget of bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from PySide6.QtGui import QImage

if TYPE_CHECKING:
    from ui.jobs import Job

FRAME_BUDGET: Final = 192 * 2**20
"""Bytes of frames kept for the timeline, over all takes."""


@dataclass(frozen=True)
class Kept:
    """A frame of the way from noise to picture: after `step` of `total` steps, at noise level `sigma`."""

    step: int
    total: int
    sigma: float | None
    image: QImage


@dataclass
class Take:
    """What one node painted in one run, frame by frame."""

    number: int
    job: Job
    node: str  # path
    name: str
    seed: int | None = None
    total: int = 0
    done: int = 0
    frames: list[Kept] = field(default_factory=list)
    every: int = 1
    over: bool = False

    @property
    def size(self) -> int:
        return sum(frame.image.sizeInBytes() for frame in self.frames)

    def keep(self, frame: Kept) -> None:
        """Note a frame; a frame for a step that is there already takes its place."""
        self.total, self.done = frame.total, frame.step
        if self.frames and self.frames[-1].step == frame.step:
            self.frames[-1] = frame
        elif frame.step % self.every == 0 or frame.step == frame.total or not self.frames:
            self.frames.append(frame)

    def seen_at(self, step: int) -> Kept | None:
        """What stands for a step: the last frame kept up to it, or the first of all."""
        return next((frame for frame in reversed(self.frames) if frame.step <= step), self.frames[0] if self.frames else None)

    def thin(self) -> bool:
        """Give every second frame up but the last; False when only one is left."""
        if len(self.frames) <= 2:
            return False
        self.every *= 2
        self.frames = [frame for number, frame in enumerate(self.frames[:-1]) if number % 2] + self.frames[-1:]
        return True


class Takes:
    """All takes, the oldest first, and those that are being painted."""

    def __init__(self) -> None:
        self.all: list[Take] = []
        self.count = 0
        self._open: dict[tuple[str, str], Take] = {}

    def painting(self, job: Job, node: str) -> Take | None:
        """The take of a node at work."""
        return self._open.get((job.id, node))

    def keep(self, job: Job, node: str, name: str, seed: int | None, frame: Kept) -> Take:
        """Note a frame; the first of a node in a run begins a take."""
        take = self._open.get((job.id, node))
        if take is None:
            self.count += 1
            take = self._open[job.id, node] = Take(self.count, job, node, name, seed)
            self.all.append(take)
        take.keep(frame)
        self._fit(take)
        return take

    def _fit(self, newest: Take) -> None:
        """Over the budget older takes give every second frame up, then the newest, then the oldest goes."""
        while sum(one.size for one in self.all) > FRAME_BUDGET:
            if not any(one.thin() for one in self.all if one is not newest) and not newest.thin():
                break
            if len(self.all) > 1 and all(len(one.frames) <= 2 for one in self.all[:-1]):
                self.all.pop(0)

    def end(self, job: Job, node: str | None = None) -> Take | None:
        """A node is ready, or (None) the whole run; returns the node's take."""
        ended = None
        for key in [key for key in self._open if key[0] == job.id and node in (None, key[1])]:
            ended = self._open.pop(key)
            ended.over = True
        return ended
