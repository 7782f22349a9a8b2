"""The gestures of the canvas, one class each, and `choose`, which picks one for a press."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt

from nodegraph.graph import Graph, Link
from ui.canvas import edits
from ui.canvas.anatomy import WIDTH_MAX, WIDTH_MIN
from ui.canvas.gesture import ALT, CTRL, SHIFT, Gesture, Pointer, as_box
from ui.canvas.link_gestures import DragLink, detaching
from ui.canvas.model import Target
from ui.canvas.move_gesture import Move
from ui.canvas.row_gestures import PressRow, Scrub

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

EDGE = 6.0  # px at a node's right and bottom edge that resize it


class Pan(Gesture):
    """Move the view."""

    at_once = True

    def start(self, pointer: Pointer) -> None:
        self._at = pointer.screen
        self.view.viewport().setCursor(Qt.CursorShape.ClosedHandCursor)

    def update(self, pointer: Pointer) -> None:
        moved = self._at - pointer.screen
        self._at = pointer.screen
        self.view.pan(moved.x(), moved.y())

    def commit(self, pointer: Pointer) -> None:
        self.view.viewport().unsetCursor()

    def cancel(self) -> None:
        self.view.viewport().unsetCursor()


class BoxSelect(Gesture):
    """Select what a box touches: Shift adds, Ctrl takes away."""

    def start(self, pointer: Pointer) -> None:
        self._from = pointer.scene
        self._before = self.view.document.selection

    def update(self, pointer: Pointer) -> None:
        box = QRectF(self._from, pointer.scene).normalized()
        self.scene.overlay.box = box
        inside = {item.node.id for item in self.scene.places.nodes_within(box) if item.rect().intersects(box)}
        inside |= {name for name, note in self.scene.notes.items() if note.visible and note.rect().intersects(box)}
        inside |= {name for name, group in self.scene.groups.items() if group.visible and box.contains(group.rect())}
        if pointer.held & SHIFT:
            wanted = self._before | inside
        elif pointer.held & CTRL:
            wanted = self._before - inside
        else:
            wanted = frozenset(inside)
        self.view.document.select(wanted)
        self.view.viewport().update()

    def commit(self, pointer: Pointer) -> None:
        self.scene.overlay.clear()

    def cancel(self) -> None:
        self.view.document.select(self._before)
        self.scene.overlay.clear()

    def click(self, pointer: Pointer) -> None:
        if not pointer.held & (SHIFT | CTRL):
            self.view.document.select(())
            self.view.select_links(())


class Resize(Gesture):
    """Drag the edge of a node, a group or a note."""

    def __init__(self, view: GraphView, name: str, edges: frozenset[str]) -> None:
        super().__init__(view)
        self.name, self.edges = name, edges

    def start(self, pointer: Pointer) -> None:
        item = self.scene.nodes.get(self.name) or self.scene.groups.get(self.name) or self.scene.notes.get(self.name)
        assert item is not None
        self._before = item.rect()
        self._from = pointer.scene
        self._graph = self.view.document.graph
        self._merge = f"resize:{id(self)}"

    def update(self, pointer: Pointer) -> None:
        moved = pointer.scene - self._from
        rect = QRectF(self._before)
        least = (WIDTH_MIN, 40.0) if self.name in self.scene.nodes else (96.0, 56.0)

        def step(value: float) -> float:
            return edits.snapped(value, 8) if self.view.snap else value

        if "right" in self.edges:
            rect.setRight(max(rect.left() + least[0], rect.left() + step(rect.width() + moved.x())))
        if "bottom" in self.edges:
            rect.setBottom(max(rect.top() + least[1], rect.top() + step(rect.height() + moved.y())))
        if "left" in self.edges:
            rect.setLeft(min(rect.right() - least[0], step(rect.left() + moved.x())))
        if "top" in self.edges:
            rect.setTop(min(rect.bottom() - least[1], step(rect.top() + moved.y())))
        if self.name in self.scene.nodes:
            rect.setWidth(min(rect.width(), WIDTH_MAX))
        name = self.name
        self.view.edit("Resize", lambda graph: edits.with_size(graph, name, as_box(rect)), merge=self._merge)

    def commit(self, pointer: Pointer) -> None:
        if self.name in self.scene.groups:
            frame, name = self.scene.groups[self.name].rect(), self.name
            inside = {
                n: as_box(item.rect())
                for n, item in self.scene.nodes.items()
                if item.rect().intersects(frame) or item.rect().intersects(self._before)
            }
            self.view.edit("Resize", lambda graph: edits.with_members(graph, inside) if name in graph.groups else graph, merge=self._merge)

    def cancel(self) -> None:
        before = self._graph
        self.view.edit("Resize", lambda graph: before, merge=self._merge)

    def click(self, pointer: Pointer) -> None:
        self.view.document.select([self.name])


class PressLink(Gesture):
    """Click a link to select it; with Alt, put a dot into it that follows the hand."""

    def __init__(self, view: GraphView, link: Link, reroutes: bool) -> None:
        super().__init__(view)
        self.link, self.reroutes = link, reroutes

    def click(self, pointer: Pointer) -> None:
        if self.reroutes:
            self._insert(pointer)
        elif pointer.held & (SHIFT | CTRL):
            self.view.select_links(self.view.selected_links ^ {self.link})
        else:
            self.view.document.select(())
            self.view.select_links([self.link])

    def start(self, pointer: Pointer) -> None:
        name = self._insert(pointer)
        if name is not None:
            self.view.hands.go_on_with(Move(self.view, name), pointer)

    def _insert(self, pointer: Pointer) -> str | None:
        x, y = edits.snapped(pointer.scene.x(), 8), edits.snapped(pointer.scene.y(), 8)
        made: list[str] = []

        def change(graph: Graph) -> Graph:
            graph, name = edits.rerouted(graph, [self.link], (x, y))
            made.append(name)
            return graph

        if not self.view.edit("Add a reroute", change):
            return None
        self.view.document.select(made)
        return made[-1]


class Knife(Gesture):
    """Ctrl and right-drag: cut the links it crosses."""

    def start(self, pointer: Pointer) -> None:
        self._cut: set[Link] = set()
        self.scene.overlay.knife = [(pointer.scene.x(), pointer.scene.y())]
        self.view.viewport().setCursor(Qt.CursorShape.CrossCursor)

    def update(self, pointer: Pointer) -> None:
        here = (pointer.scene.x(), pointer.scene.y())
        before = self.scene.overlay.knife[-1]
        if here == before:
            return
        self._cut |= self.scene.links.cut_by(before, here)
        self.scene.overlay.knife.append(here)
        self.scene.links.shadowed = frozenset(self._cut)
        self.view.viewport().update()

    def commit(self, pointer: Pointer) -> None:
        cut = set(self._cut)
        self._end()
        if cut:
            label = "Cut a link" if len(cut) == 1 else f"Cut {len(cut)} links"
            self.view.edit(label, lambda graph: _without_links(graph, cut))

    def cancel(self) -> None:
        self._end()

    def _end(self) -> None:
        self.scene.links.shadowed = frozenset()
        self.scene.overlay.clear()
        self.view.viewport().unsetCursor()

    def click(self, pointer: Pointer) -> None:
        self.view.show_context_menu(pointer.screen)


class Menu(Gesture):
    """A right click opens the menu of what it hits."""

    def click(self, pointer: Pointer) -> None:
        self.view.show_context_menu(pointer.screen)


def _without_links(graph: Graph, links: Iterable[Link]) -> Graph:
    for link in links:
        graph = graph.without_link(link)
    return graph


def edges_at(rect: QRectF, place: QPointF, reach: float, all_sides: bool) -> frozenset[str]:
    """Which edges of a box lie within reach of a place."""
    found: set[str] = set()
    if rect.adjusted(-reach, -reach, reach, reach).contains(place):
        if abs(place.x() - rect.right()) <= reach:
            found.add("right")
        elif all_sides and abs(place.x() - rect.left()) <= reach:
            found.add("left")
        if abs(place.y() - rect.bottom()) <= reach:
            found.add("bottom")
        elif all_sides and abs(place.y() - rect.top()) <= reach:
            found.add("top")
    return frozenset(found)


def edges_of(view: GraphView, target: Target, place: QPointF) -> tuple[str, frozenset[str]]:
    """The thing whose edge lies under the pointer, with the edges: "" when none does."""
    scene, reach = view.graph_scene, EDGE / view.zoom
    if target.kind in ("node", "value"):
        item = scene.nodes[target.id]
        if not item.anatomy.is_dot and not item.anatomy.folded:
            edges = edges_at(item.rect(), place, min(reach, 7.0), all_sides=False)
            sized = item.anatomy.preview is not None or any(row.kind == "text" for row in item.anatomy.rows)
            return target.id, edges if sized else edges - {"bottom"}
        return "", frozenset()
    if target.kind == "note":
        return target.id, edges_at(scene.notes[target.id].rect(), place, reach, all_sides=False)
    if target.kind in ("canvas", "group"):
        for name, group in scene.groups.items():
            if group.visible and not group.group.folded:
                edges = edges_at(group.rect(), place, reach, all_sides=True)
                if edges:
                    return name, edges
    return "", frozenset()


def choose(view: GraphView, pointer: Pointer, target: Target) -> Gesture | None:
    """The gesture that a press begins."""
    held, left = pointer.held, pointer.button == Qt.MouseButton.LeftButton
    if pointer.button == Qt.MouseButton.MiddleButton or (left and view.hands.space_down):
        return Pan(view)
    if pointer.button == Qt.MouseButton.RightButton:
        return Knife(view) if held & CTRL else Menu(view)
    if not left:
        return None
    scene = view.graph_scene
    if target.kind == "port":
        side, _, name = target.name.partition(":")
        item = scene.nodes[target.id]
        if item.anatomy.is_dot:
            return Move(view, target.id, bool(held & ALT)) if not held & SHIFT else DragLink(view, [scene.ports.ref(target.id, name, side)])
        if side == "out":
            return DragLink(view, [scene.ports.ref(target.id, name, side)], moves_all=bool(held & CTRL))
        return detaching(view, scene.ports.ref(target.id, name, side), bool(held & SHIFT))
    name, edges = edges_of(view, target, pointer.scene)
    if edges and not held & (CTRL | SHIFT | ALT):
        return Resize(view, name, edges)
    if target.kind == "value":
        item = scene.nodes[target.id]
        found = scene.places.row_at(pointer.scene.x(), pointer.scene.y(), view.zoom)
        if found is not None:
            row = found[1]
            if held & ALT:
                return Move(view, target.id, copies=True)
            if row.kind == "number":
                return Scrub(view, item, row)
            return PressRow(view, item, row, view.pointing.work_row)
    if target.kind in ("node", "value", "note", "group"):
        return Move(view, target.id, copies=bool(held & ALT))
    if target.kind == "link" and isinstance(target.link, Link):
        return PressLink(view, target.link, bool(held & ALT))
    return BoxSelect(view)
