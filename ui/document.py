"""The graph being edited: its undo steps, its selection, what is shown of it, how its nodes' runs stand, and whether it is saved.

Widgets show, documents decide: the graph changes only through `edit` and `edit_root`, and everybody learns of it by signal.
"""

from __future__ import annotations

import time
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Node, difference
from nodegraph.spec import NodeSpec
from ui.canvas.model import IDLE, RunState
from ui.undo import Step, UndoStack

Scope = tuple[str, ...]
"""The ids of the subgraph instances that were entered, outermost first; () is the whole graph."""


class Document(QObject):
    """One graph in one tab. `ui.canvas.model.CanvasDocument` is its face towards the canvas."""

    changed = Signal(object)  # Change of the graph shown
    scope_changed = Signal()
    selection_changed = Signal()
    states_changed = Signal(object)  # set[str]: ids shown that have a new RunState
    history_changed = Signal()  # an undo step came, went or was taken back
    face_changed = Signal()  # title, saved or not, when
    root_changed = Signal()  # anything in the whole graph
    specs_changed = Signal()

    def __init__(
        self,
        specs: Mapping[str, NodeSpec],
        graph: Graph | None = None,
        path: Path | None = None,
        title: str = "",
        spec_of: Callable[[Graph, Mapping[str, NodeSpec]], Mapping[str, NodeSpec]] | None = None,
        parent: QObject | None = None,
    ) -> None:
        """`specs` are the registry's; `spec_of` derives those of a graph's subgraph definitions."""
        super().__init__(parent)
        self._root = graph if graph is not None else Graph()
        self._saved: Graph | None = self._root
        self.path = path
        self.saved_at: float | None = None
        self.seen: object = None  # the file as it was when read or written; see ui.files
        self._title = title
        self._library = specs
        self._spec_of = spec_of
        self._derived: Mapping[str, NodeSpec] = {}
        self._scope: Scope = ()
        self._selections: dict[Scope, frozenset[str]] = {}
        self._states: dict[Scope, dict[str, RunState]] = {}
        self.history = UndoStack()
        self.revision = 0
        self._derive(self._root)

    # -- what is shown

    @property
    def root(self) -> Graph:
        """The whole graph."""
        return self._root

    @property
    def scope(self) -> Scope:
        return self._scope

    @property
    def graph(self) -> Graph:
        """The graph shown: the whole one, or the inside of the open subgraph."""
        name = self._definition(self._root, self._scope)
        return self._root if name is None else self._root.subgraphs[name].graph

    @property
    def specs(self) -> Mapping[str, NodeSpec]:
        """All node types, with the subgraphs of this document."""
        return ChainMap(dict(self._derived), dict(self._library)) if self._derived else self._library

    def set_library(self, specs: Mapping[str, NodeSpec]) -> None:
        """Other node types are there now (the registry was read anew). A graph that has none of them keeps its canvas as it is."""
        before = self.specs
        self._library = specs
        self._derive(self._root)
        self.specs_changed.emit()
        graphs = (self._root, *(subgraph.graph for subgraph in self._root.subgraphs.values()))
        if any(self.specs.get(node.type) != before.get(node.type) for graph in graphs for node in graph.nodes.values()):
            self.scope_changed.emit()

    def spec(self, node: Node | str) -> NodeSpec | None:
        """The spec of a node shown, if its type is known."""
        if isinstance(node, str):
            if node not in self.graph.nodes:
                return None
            node = self.graph.nodes[node]
        return self.specs.get(node.type)

    def name_of(self, node_id: str) -> str:
        """What the artist calls a node shown: its own title, or that of its type."""
        node = self.graph.nodes.get(node_id)
        if node is None:
            return node_id
        spec = self.specs.get(node.type)
        return node.title or (spec.title if spec else node.type)

    def open(self, *instances: str) -> None:
        """Go into subgraph instances, one inside the other; no argument leads back to the whole graph.

        Raises:
            GraphError: One of them is not a subgraph.
        """
        scope = tuple(instances)
        for depth in range(len(scope)):
            if self._definition(self._root, scope[: depth + 1]) is None:
                raise GraphError(f"'{scope[depth]}' is not a subgraph, so it cannot be opened.", scope[depth])
        if scope != self._scope:
            self._scope = scope
            self.scope_changed.emit()
            self.selection_changed.emit()

    def enter(self, instance: str) -> None:
        """Go into a subgraph that is shown."""
        self.open(*self._scope, instance)

    def leave(self) -> None:
        """Go one level up; nothing happens at the top."""
        if self._scope:
            self.open(*self._scope[:-1])

    def crumbs(self) -> list[tuple[str, Scope]]:
        """The way from the whole graph to what is shown: a name and a scope for each level."""
        found: list[tuple[str, Scope]] = [(self.title, ())]
        for depth in range(len(self._scope)):
            scope = self._scope[: depth + 1]
            name = self._definition(self._root, scope) or ""
            found.append((self._root.subgraphs[name].title or name if name in self._root.subgraphs else name, scope))
        return found

    @staticmethod
    def _definition(root: Graph, scope: Scope) -> str | None:
        """The definition shown at a scope; None for the whole graph and for a way that leads nowhere."""
        name: str | None = None
        graph = root
        for instance in scope:
            node = graph.nodes.get(instance)
            name = node.subgraph if node is not None else None
            if name is None or name not in root.subgraphs:
                return None
            graph = root.subgraphs[name].graph
        return name

    # -- editing

    def edit(self, label: str, change: Graph | Callable[[Graph], Graph], merge: str | None = None) -> None:
        """Replace the graph shown as one step of undo. Steps in a row with the same `merge` become one.

        Raises:
            GraphError: The edit is not possible; then nothing has changed.
        """
        name = self._definition(self._root, self._scope)
        if name is None:
            after = change(self._root) if callable(change) else change
        else:
            definition = self._root.subgraphs[name]
            inner = change(definition.graph) if callable(change) else change
            if inner is definition.graph:
                return
            after = self._root.with_subgraph(name, replace(definition, graph=inner))
        self._commit(label, after, merge)

    def edit_root(self, label: str, change: Callable[[Graph], Graph]) -> None:
        """As `edit`, for the whole graph (subgraph definitions)."""
        self._commit(label, change(self._root), None)

    def _commit(self, label: str, after: Graph, merge: str | None) -> None:
        if after is self._root:
            return
        before = self._root
        chosen = self.selection
        self.history.push(Step(label, before, after, self._scope, chosen, chosen, merge))
        self._show(after)

    def undo(self) -> str | None:
        """Take the last step back; returns its label. Previews and run states stay."""
        step = self.history.undo()
        if step is None:
            return None
        self._show(step.before, step.scope, step.selected_before)
        return step.label

    def redo(self) -> str | None:
        """Do the step that was taken back last; returns its label."""
        step = self.history.redo()
        if step is None:
            return None
        self._show(step.after, step.scope, step.selected_after)
        return step.label

    def seal(self) -> None:
        """End a burst of typing: what follows is a step of its own."""
        self.history.seal()

    def replace(self, graph: Graph, label: str | None = None) -> None:
        """Show another graph: as a step of undo when there is a label, else as a fresh start (a file read again)."""
        if label is not None:
            self._commit(label, graph, None)
            return
        self.history = UndoStack(self.history.budget)
        self._saved = graph
        self._show(graph, ())

    def _show(self, after: Graph, scope: Scope | None = None, selection: frozenset[str] | None = None) -> None:
        before, was_scope, was_shown = self._root, self._scope, self.graph
        subgraphs = before.subgraphs is not after.subgraphs
        self._root = after
        if subgraphs or (before.nodes is not after.nodes and self._derived):
            self._derive(after)
        wanted = self._scope if scope is None else scope
        while wanted and self._definition(after, wanted) is None:
            wanted = wanted[:-1]
        self._scope = wanted
        shown = self.graph
        present = {*shown.nodes, *shown.groups, *shown.notes}
        chosen = (self._selections.get(wanted, frozenset()) if selection is None else selection) & present
        selection_moved = chosen != self._selections.get(wanted, frozenset()) or wanted != was_scope
        self._selections[wanted] = chosen
        self.revision += 1
        if wanted != was_scope:
            self.scope_changed.emit()
        else:
            change = difference(was_shown, shown)
            if subgraphs:
                change = change._replace(subgraphs=difference(before, after).subgraphs)
            if change:
                self.changed.emit(change)
        if selection_moved:
            self.selection_changed.emit()
        self.root_changed.emit()
        self.history_changed.emit()
        self.face_changed.emit()

    def _derive(self, graph: Graph) -> None:
        if self._spec_of is not None and graph.subgraphs:
            self._derived = self._spec_of(graph, self._library)
        else:
            self._derived = {}

    # -- selection

    @property
    def selection(self) -> frozenset[str]:
        """Ids of the nodes, groups and notes chosen in what is shown."""
        return self._selections.get(self._scope, frozenset())

    def select(self, ids: Iterable[str]) -> None:
        shown = self.graph
        wanted = frozenset(name for name in ids if name in shown.nodes or name in shown.groups or name in shown.notes)
        if wanted != self.selection:
            self._selections[self._scope] = wanted
            self.selection_changed.emit()

    # -- how the runs of the nodes stand: never part of the graph, never touched by undo

    @property
    def states(self) -> Mapping[str, RunState]:
        return self._states.get(self._scope, {})

    def state(self, path: str) -> RunState:
        """The state of a node by its path from the whole graph, "outer/inner"."""
        *scope, name = path.split("/")
        return self._states.get(tuple(scope), {}).get(name, IDLE)

    def set_states(self, states: Mapping[str, RunState]) -> None:
        """Note new states by the nodes' paths."""
        shown: set[str] = set()
        for path, state in states.items():
            *scope, name = path.split("/")
            self._states.setdefault(tuple(scope), {})[name] = state
            if tuple(scope) == self._scope:
                shown.add(name)
        if shown:
            self.states_changed.emit(shown)

    # -- the file

    @property
    def title(self) -> str:
        if self.path is not None:
            return self.path.stem
        return self._title or str(self._root.meta.get("title") or "") or "Untitled"

    @property
    def is_dirty(self) -> bool:
        """Whether there is work that the file does not hold."""
        return self._root is not self._saved and self._root != self._saved

    @property
    def is_untouched(self) -> bool:
        """A new, empty document that nobody would miss."""
        return self.path is None and not self.history.done and not self._root.nodes and not self._root.notes

    def mark_saved(self, graph: Graph, path: Path | None = None, seen: object = None) -> None:
        """The file now holds `graph` (as it was when writing began; edits since then are still unsaved)."""
        self._saved = graph
        self.path = path if path is not None else self.path
        self.seen = seen
        self.saved_at = time.time()
        self.history.seal()
        self.face_changed.emit()

    def mark_unsaved(self) -> None:
        """No file holds this graph (it was recovered, or came from elsewhere)."""
        self._saved = None
        self.face_changed.emit()
