"""What double clicks and clicks on rows do, and what cursors, tips and hints say of what lies under the pointer."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, Qt

from nodegraph.graph import Link
from nodegraph.values import in_words
from ui.canvas import edits
from ui.canvas.anatomy import HEADER, Row
from ui.canvas.gesture import ALT, Pointer
from ui.canvas.gestures import edges_of
from ui.canvas.model import Target
from ui.canvas.node_item import NodeItem
from ui.words import quoted

if TYPE_CHECKING:
    from ui.canvas.view import GraphView


class Pointing:
    """Knows what the thing under the pointer is for."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.scene = view.graph_scene

    def double_click(self, pointer: Pointer) -> bool:
        """What a double click does; False when the second press is an ordinary one."""
        target = self.scene.places.hit(pointer.scene, self.view.zoom)
        if target.kind == "canvas":
            self.view.node_search_requested.emit(pointer.scene, None)
        elif target.kind == "value":
            item = self.scene.nodes[target.id]
            row = next((row for row in item.anatomy.rows if row.name == target.name), None)
            if row is None or row.kind in ("toggle", "advanced"):
                return False
            return self.view.editor.edit_row(item, row)
        elif target.kind == "node":
            node = self.view.document.graph.nodes[target.id]
            if node.subgraph:
                self.view.open_subgraph.emit(target.id)
            elif pointer.scene.y() - self.scene.nodes[target.id].y() <= HEADER or node.folded:
                return self.view.editor.edit_title(target.id)
            else:
                return False
        elif target.kind == "group":
            if pointer.held & ALT:
                return self.view.editor.edit_title(target.id)
            self.view.edit("Fold", lambda graph: edits.folded(graph, [target.id]))
        elif target.kind == "note":
            return self.view.editor.edit_note(target.id)
        else:
            return False
        return True

    def work_row(self, item: NodeItem, row: Row) -> None:
        """A click on a row that is not a number."""
        name, key = item.node.id, row.name
        if row.kind == "toggle":
            value = not row.on
            self.view.edit(f"Change {row.label}", lambda graph: graph.with_value(name, key, value))
        elif row.kind == "advanced":
            wanted = None if row.on else True
            self.view.edit(
                "Show advanced rows" if wanted else "Hide advanced rows",
                lambda graph: edits.with_extra(graph, name, "show_advanced", wanted),
            )
        elif row.kind == "seed":
            place = self.view.viewport().mapFromGlobal(self.view.cursor().pos())
            self._click_seed(item, row, self.view.mapToScene(place))
        elif row.kind == "drawing":
            self.view.drawing_requested.emit(name, key)
        else:
            self.view.editor.edit_row(item, row)

    def _click_seed(self, item: NodeItem, row: Row, place: QPointF) -> None:
        if place.x() - item.x() < item.anatomy.width - 36 or row.input is None:
            return  # only the dice draws; a double click types
        self.draw_seed(item.node.id, row)

    def draw_seed(self, node_id: str, row: Row) -> None:
        """A new seed, inside the input's range."""
        limits = row.input.range if row.input is not None else None
        low, high = (int(limits.min), int(limits.max)) if limits is not None else (0, 2**32 - 1)
        value = random.SystemRandom().randint(low, min(high, 2**53 - 1))  # every digit survives JSON readers that use doubles
        self.view.edit("New seed", lambda graph: graph.with_value(node_id, row.name, value))

    # -- words

    def link_words(self, link: Link) -> str:
        """What flows through a link: its type, and what the last run sent."""
        kind = self.scene.ports.link_type(link)
        run = self.scene.nodes[link.source].look.run if link.source in self.scene.nodes else None
        sent = (run.shapes.get(link.output, "") if run is not None and run.shapes else "").replace("\n", " ")[:60]
        words = {"*": "Anything", "int": "Number", "float": "Number", "bool": "On or off", "str": "Text", "path": "File"}.get(kind, kind)
        return sent if sent.startswith(words) else f"{words} {sent}".strip()

    def cursor_for(self, pointer: Pointer, target: Target) -> Qt.CursorShape:
        if self.view.hands.space_down:
            return Qt.CursorShape.OpenHandCursor
        _, edges = edges_of(self.view, target, pointer.scene)
        if {"right", "bottom"} <= edges or {"left", "top"} <= edges:
            return Qt.CursorShape.SizeFDiagCursor
        if {"right", "top"} <= edges or {"left", "bottom"} <= edges:
            return Qt.CursorShape.SizeBDiagCursor
        if edges:
            return Qt.CursorShape.SizeHorCursor if edges & {"left", "right"} else Qt.CursorShape.SizeVerCursor
        if target.kind == "value":
            row = self._row(target)
            if row is not None and row.kind == "number":
                return Qt.CursorShape.SizeHorCursor
            if row is not None and row.kind in ("text", "line"):
                return Qt.CursorShape.IBeamCursor
            return Qt.CursorShape.PointingHandCursor
        if target.kind == "port":
            return Qt.CursorShape.PointingHandCursor
        return Qt.CursorShape.ArrowCursor

    def _row(self, target: Target) -> Row | None:
        item = self.scene.nodes.get(target.id)
        return next((row for row in item.anatomy.rows if row.name == target.name), None) if item is not None else None

    def tip_for(self, target: Target) -> str:
        """Plain text: what a port carries, what a control changes, what went wrong."""
        item = self.scene.nodes.get(target.id)
        if item is None:
            return ""
        if target.kind == "port":
            side, _, name = target.name.partition(":")
            ref = self.scene.ports.ref(target.id, name, side)
            help = item.spec.by_name[name].help if side == "in" and name in item.spec.by_name else ""
            return _plain(f"{name.replace('_', ' ')}: {in_words(ref.type)}" + (f"\n{help}" if help else ""))
        if target.kind == "value":
            row = self._row(target)
            return _plain(row.input.help) if row is not None and row.input is not None else ""
        if item.look.run.state == "failed":
            return _plain(item.look.run.message)
        return _plain(item.spec.summary) if item.look.missing else ""

    def hint_for(self, target: Target) -> str:
        if target.kind == "port":
            return "Drag: link|Ctrl drag: move all links|Click: select the links"
        if target.kind == "value":
            row = self._row(target)
            if row is not None and row.kind == "number":
                return "Drag: change|Shift: slow|Ctrl: fast|Double-click: type"
            return "Click: change"
        if target.kind == "node":
            return "Drag: move|Alt drag: copy|M: mute|Ctrl B: bypass|H: fold"
        if target.kind == "link":
            return "Click: select|Alt click: reroute|Ctrl right-drag: cut"
        if target.kind == "group":
            return "Drag: move all|Double-click: fold|F2: rename"
        if target.kind == "note":
            return "Drag: move|Double-click: write"
        return "Drag: select|Middle drag: pan|Wheel: zoom|Tab: add node"


def _plain(text: str) -> str:
    """Text for a tool tip, shown as it is: what looks like markup stays text."""
    text = quoted(text)
    return text.replace("&", "&amp;").replace("<", "&lt;") if "<" in text else text
