"""One stack of one generic step: the graph before and the graph after. Graphs share what they have in common, so a step is small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from nodegraph.graph import Graph, difference

BUDGET: Final = 256 * 2**20
"""Bytes of old graphs that are kept. A thousand plain edits take about one megabyte; a painted mask may take one alone."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that undo takes back: its name in the menu, the whole graph before and after, and where it was made."""

    label: str
    before: Graph
    after: Graph
    scope: tuple[str, ...] = ()
    selected_before: frozenset[str] = frozenset()
    selected_after: frozenset[str] = frozenset()
    merge: str | None = None
    size: int = 0


class UndoStack:
    """Steps done and undone. Knows nothing of Qt."""

    def __init__(self, budget: int = BUDGET) -> None:
        self.done: list[Step] = []
        self.undone: list[Step] = []
        self.budget = budget
        self._size = 0
        self._sealed = True

    def push(self, step: Step) -> None:
        """Note a step. It becomes one with the step before when both have the same `merge` and nothing came in between."""
        self.undone.clear()
        last = self.done[-1] if self.done else None
        if last is not None and not self._sealed and step.merge is not None and last.merge == step.merge and last.scope == step.scope:
            self.done.pop()
            self._size -= last.size
            step = replace(step, before=last.before, selected_before=last.selected_before, label=last.label)
        if step.before != step.after:
            step = replace(step, size=weight(step.before, step.after))
            self.done.append(step)
            self._size += step.size
        self._sealed = False
        while self._size > self.budget and len(self.done) > 1:
            self._size -= self.done.pop(0).size

    def seal(self) -> None:
        """End a burst: the next step stands alone whatever its `merge` says."""
        self._sealed = True

    def undo(self) -> Step | None:
        """Move the last step to the undone ones and return it; its `before` is the graph to show."""
        self._sealed = True
        if not self.done:
            return None
        step = self.done.pop()
        self._size -= step.size
        self.undone.append(step)
        return step

    def redo(self) -> Step | None:
        self._sealed = True
        if not self.undone:
            return None
        step = self.undone.pop()
        self.done.append(step)
        self._size += step.size
        return step

    @property
    def can_undo(self) -> bool:
        return bool(self.done)

    @property
    def can_redo(self) -> bool:
        return bool(self.undone)


def weight(before: Graph, after: Graph) -> int:
    """About how many bytes one graph holds that the other does not share."""
    change = difference(before, after)
    total = 400 + 8 * (len(after.nodes) if change.added or change.removed or change.changed else 0)
    for name in change.added | change.changed | change.removed:
        for graph in (before, after):
            if name in graph.nodes:
                total += 600 + _bytes(graph.nodes[name].values)
    total += 120 * (len(change.linked) + len(change.unlinked))
    for name in change.notes:
        total += sum(len(graph.notes[name].text) for graph in (before, after) if name in graph.notes) + 300
    for name in change.subgraphs:
        old, new = before.subgraphs.get(name), after.subgraphs.get(name)
        total += weight(old.graph if old else Graph(), new.graph if new else Graph())
    return total


def _bytes(value: Any) -> int:
    if isinstance(value, str):
        return 60 + len(value)
    if isinstance(value, Mapping):
        return sum(_bytes(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return sum(_bytes(item) for item in value)
    return 32
