"""Pressing on value rows: numbers are scrubbed, other controls work on a click."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QCursor

from nodegraph.graph import Graph
from ui.canvas.anatomy import PAD, Row
from ui.canvas.gesture import CTRL, SHIFT, Gesture, Pointer
from ui.canvas.move_gesture import Move
from ui.canvas.node_item import NodeItem
from ui.canvas.values import number_text, rounded, scrubbed, step_of

if TYPE_CHECKING:
    from ui.canvas.view import GraphView


class Scrub(Gesture):
    """Drag across a number: Shift slow, Ctrl fast. One undo step; the cursor hides. A click on an arrow steps."""

    def __init__(self, view: GraphView, item: NodeItem, row: Row) -> None:
        super().__init__(view)
        self.item, self.row = item, row

    def start(self, pointer: Pointer) -> None:
        assert self.row.input is not None
        self._input = self.row.input
        raw = self.row.raw
        self._start = float(raw) if isinstance(raw, int | float) else float(self._input.range.min) if self._input.range else 0.0
        self._had = self.row.name in self.item.node.values
        self._value: float | int | None = None
        self._pixels = 0.0
        self._at = pointer.screen
        self._merge = f"scrub:{id(self)}"
        self.view.document.select([self.item.node.id]) if self.item.node.id not in self.view.document.selection else None
        self.view.viewport().setCursor(QCursor(Qt.CursorShape.BlankCursor))

    def update(self, pointer: Pointer) -> None:
        factor = 0.1 if pointer.held & SHIFT else 10.0 if pointer.held & CTRL else 1.0
        self._pixels += (pointer.screen.x() - self._at.x()) / self.view.zoom * factor
        self._at = pointer.screen
        value = scrubbed(self._input, self._start, self._pixels, self.item.anatomy.width - 2 * PAD, 1.0)
        if value != self._value:
            self._value = value
            name, key = self.item.node.id, self.row.name
            self.view.edit(f"Change {self.row.label}", lambda graph: graph.with_value(name, key, value), merge=self._merge)
            self.view.status_hint.emit(f"{self.row.label}: {number_text(self._input, value)}|Shift: slow|Ctrl: fast|Esc: back")

    def commit(self, pointer: Pointer) -> None:
        self.view.viewport().unsetCursor()

    def cancel(self) -> None:
        self.view.viewport().unsetCursor()
        name, key, start, had = self.item.node.id, self.row.name, self.row.raw, self._had

        def back(graph: Graph) -> Graph:
            return graph.with_value(name, key, start) if had else graph.without_value(name, key)

        self.view.edit(f"Change {self.row.label}", back, merge=self._merge)

    def click(self, pointer: Pointer) -> None:
        x = pointer.scene.x() - self.item.x()
        way = -1 if x < PAD + 18 else 1 if x > self.item.anatomy.width - PAD - 18 else 0
        if pointer.held & SHIFT or (pointer.held & CTRL and not way):
            self.view.document.select(self.view.document.selection ^ {self.item.node.id})
            return
        self.view.document.select([self.item.node.id])
        if not isinstance(self.row.raw, int | float) or self.row.input is None:
            return
        if way:
            item = self.row.input
            value = rounded(item, self.row.raw + way * step_of(item) * (10 if pointer.held & CTRL else 1))
            name, key = self.item.node.id, self.row.name
            self.view.edit(f"Change {self.row.label}", lambda graph: graph.with_value(name, key, value), merge=f"step:{name}:{key}")


class PressRow(Gesture):
    """Press on any other value row: a click works the control, a drag moves the node."""

    def __init__(self, view: GraphView, item: NodeItem, row: Row, act: Callable[[NodeItem, Row], None]) -> None:
        super().__init__(view)
        self.item, self.row, self.act = item, row, act

    def start(self, pointer: Pointer) -> None:
        self.view.hands.go_on_with(Move(self.view, self.item.node.id), pointer)

    def click(self, pointer: Pointer) -> None:
        if pointer.held & (SHIFT | CTRL):
            self.view.document.select(self.view.document.selection ^ {self.item.node.id})
            return
        self.view.document.select([self.item.node.id])
        self.act(self.item, self.row)
