"""One run as the window knows it: what it makes, how far it is, what came out, and the frames kept on the way."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from PySide6.QtGui import QImage

from nodegraph.errors import Problem
from nodegraph.graph import Graph
from nodegraph.messages import Frame
from ui.canvas.model import RunState
from ui.words import seconds_words

if TYPE_CHECKING:
    from ui.document import Document

State = Literal["waiting", "running", "done", "failed", "cancelled", "interrupted"]
OVER: Final = frozenset(("done", "failed", "cancelled", "interrupted"))


@dataclass(frozen=True)
class Picture:
    """A finished picture: where it came from, so that two can be told apart and gone back to."""

    image: QImage
    job: str
    title: str
    node: str
    name: str
    take: int
    made_at: float
    graph: Graph
    seeds: Mapping[str, int]
    path: str = ""


@dataclass
class Job:
    """One entry of the queue. `graph` is the document as it was when the run was asked for, with the seeds that were drawn."""

    title: str
    graph: Graph
    targets: tuple[str, ...] = ()
    base: str = ""
    document: Document | None = None
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    text: str = ""
    is_noted: bool = False  # the journal on disk has it
    state: State = "waiting"
    asked_at: float = field(default_factory=time.time)
    began: float | None = None  # time.monotonic
    seconds: float = 0.0
    nodes: int = 0
    finished: int = 0
    node: str = ""
    done: float = 0.0
    total: float = 0.0
    eta: float | None = None
    note: str = ""
    steps: int = 0
    differs: str = ""  # what it has that the run before it of the same document had not
    order: list[str] = field(default_factory=list)  # paths of what it looks at, upstream first
    seeds: dict[str, int] = field(default_factory=dict)
    thumbnail: QImage | None = None
    pictures: list[Picture] = field(default_factory=list)
    saved: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    logs: dict[str, str] = field(default_factory=dict)
    ran: int = 0
    cached: int = 0
    touched: set[str] = field(default_factory=set)
    before: dict[str, RunState] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1: by the steps of the node at work, or by nodes where it has none."""
        if self.state == "done":
            return 1.0
        if self.total > 1:
            return min(1.0, self.done / self.total)
        whole = max(1, self.nodes)
        inner = self.done / self.total if self.total else 0.0
        return min(1.0, (self.finished + min(1.0, inner)) / whole)

    def words(self) -> str:
        """What the queue says under its name."""
        if self.state == "running":
            return f"{self.done:.0f} / {self.total:.0f}" if self.total > 1 else f"{self.finished} of {self.nodes} nodes" if self.nodes else "starting"
        if self.state == "waiting":
            return " · ".join(part for part in (self.differs, f"{self.steps} steps" if self.steps else f"{len(self.graph.nodes)} nodes") if part)
        made = "nothing new" if not self.ran and self.state == "done" else f"{len(self.saved)} saved" if self.saved else ""
        if made == "nothing new":
            return made
        state = {"done": seconds_words(self.seconds), "failed": "failed", "cancelled": "stopped", "interrupted": "interrupted"}[self.state]
        return " · ".join(part for part in (state, made) if part)


def qimage(frame: Frame) -> QImage:
    """A message's picture as a QImage of its own."""
    kind = {1: QImage.Format.Format_Grayscale8, 3: QImage.Format.Format_RGB888, 4: QImage.Format.Format_RGBA8888}[frame.channels]
    return QImage(frame.pixels, frame.width, frame.height, frame.width * frame.channels, kind).copy()
