"""What the canvas needs to know: the document it shows, and how far each node's run has come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from PySide6.QtCore import SignalInstance
from PySide6.QtGui import QImage

if TYPE_CHECKING:
    from nodegraph.graph import Graph
    from nodegraph.spec import NodeSpec

State = Literal["idle", "queued", "running", "cached", "done", "failed", "missing"]
Side = Literal["in", "out"]


@dataclass(frozen=True)
class RunState:
    """How far a node's run has come. Never part of the document, so it never makes a file unsaved."""

    state: State = "idle"
    done: int = 0  # steps
    total: int = 0
    seconds: float | None = None  # how long it took
    eta: float | None = None  # seconds left
    place: int | None = None  # in the queue of this run; 1 is next
    message: str = ""  # of a failure: what and what to do
    input: str | None = None  # the input that the failure is about
    sigma: float | None = None
    preview: QImage | None = None  # the last picture that this node gave, or the live estimate
    note: str = ""  # a word for the header instead of the time, such as "from step 17"
    seed: int | None = None  # the seed that was used
    shapes: Mapping[str, str] | None = None  # output name -> what came out, in words: "Image 1024 × 1024", "7.5"
    curves: Mapping[str, tuple[float, ...]] | None = None  # output name -> its noise levels


IDLE = RunState()


class PortRef(NamedTuple):
    """One port on the canvas; also the hint that a search gets when a link was dropped on empty canvas."""

    node: str
    name: str
    side: Side
    type: str


class Target(NamedTuple):
    """What lies under the pointer: for the context menu and the status line."""

    kind: Literal["canvas", "node", "value", "port", "link", "group", "note"]
    id: str = ""  # of the node, group or note
    name: str = ""  # of the input or output
    link: object = None  # the Link


class CanvasDocument(Protocol):
    """A document as the canvas sees it (`ui.document.Document` is one). Signals may be emitted in the GUI thread only."""

    changed: SignalInstance  # Change: of the graph shown
    scope_changed: SignalInstance  # (): another graph is shown (a subgraph was opened or left), or its nodes are of other types now
    specs_changed: SignalInstance  # (): other node types are there, none of them in the graph
    selection_changed: SignalInstance  # ()
    states_changed: SignalInstance  # set[str]: ids of nodes with a new RunState

    @property
    def graph(self) -> Graph:
        """The graph shown: the whole one, or the inside of the open subgraph."""

    @property
    def root(self) -> Graph:
        """The whole graph (holds the subgraph definitions)."""

    @property
    def specs(self) -> Mapping[str, NodeSpec]: ...

    @property
    def selection(self) -> frozenset[str]: ...

    @property
    def states(self) -> Mapping[str, RunState]:
        """By id of the nodes shown; a missing id is idle."""

    def edit(self, label: str, change: Graph | Callable[[Graph], Graph], merge: str | None = None) -> None:
        """Replace the graph shown as one step of undo. Steps in a row with the same `merge` become one.

        Raises GraphError and changes nothing when the edit is not possible."""

    def edit_root(self, label: str, change: Callable[[Graph], Graph]) -> None:
        """As `edit`, for the whole graph (subgraph definitions)."""

    def select(self, ids: Iterable[str]) -> None: ...
