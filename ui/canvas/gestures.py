"""What hands do on the canvas: one class per gesture, with start, update, commit and cancel. `choose` picks one for a press."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QCursor

from nodegraph.graph import REROUTE, Graph, Link, Rect
from ui.canvas import edits
from ui.canvas.anatomy import PAD, WIDTH_MAX, WIDTH_MIN, Row
from ui.canvas.model import Target
from ui.canvas.node_item import NodeItem
from ui.canvas.values import number_text, scrubbed, step_of

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

CTRL, SHIFT, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier
EDGE = 6.0  # px at a node's right and bottom edge that resize it
SHAKES, SHAKE_TIME = 4, 0.7  # turns of direction within so many seconds take a node out of its links
GUIDE_REACH = 6.0  # px within which a moved node lines up with another
MANY = 40  # more moved nodes than this get no guide lines


@dataclass(frozen=True)
class Pointer:
    """One moment of the pointer."""

    scene: QPointF
    screen: QPointF
    held: Qt.KeyboardModifier
    button: Qt.MouseButton
    buttons: Qt.MouseButton


class Gesture:
    """A press with what follows. Nothing of it is in the document before `commit`, except a scrub's live value."""

    at_once = False  # starts on the press, without 4 px of movement

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.scene = view.graph_scene

    def start(self, pointer: Pointer) -> None: ...

    def update(self, pointer: Pointer) -> None: ...

    def commit(self, pointer: Pointer) -> None: ...

    def cancel(self) -> None: ...

    def click(self, pointer: Pointer) -> None:
        """The button came up before anything started."""


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
        inside = {item.node.id for item in self.scene.nodes_within(box) if item.rect().intersects(box)}
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


class Move(Gesture):
    """Move what is selected: it snaps, lines up with its neighbours, drops into links, is shaken out of them, joins groups."""

    def __init__(self, view: GraphView, name: str, copies: bool = False) -> None:
        super().__init__(view)
        self.name = name
        self.copies = copies
        self.ids: set[str] = set()
        self._at = (0.0, 0.0)
        self._target: Link | None = None
        self._turns: list[float] = []
        self._way = 0.0
        self._last = 0.0
        self._shaken = False

    def start(self, pointer: Pointer) -> None:
        chosen = self.view.document.selection
        if self.name not in chosen:
            self.view.document.select([self.name])
            chosen = self.view.document.selection
        self._from = pointer.scene
        graph = self.view.document.graph
        self.ids = self.scene_members(chosen)
        self.ids = {n for n in self.ids if n not in graph.nodes or not graph.nodes[n].pinned}
        if self.copies:
            self.scene.overlay.ghosts = []
            self._boxes = {name: QRectF(item.rect()) for name, item in self._items(self.ids)}
            return
        self._starts = {name: item.pos() for name, item in self._items(self.ids)}
        self._nodes = frozenset(self.ids & self.scene.nodes.keys())
        lead = next((item for name, item in self._items({self.name})), None)
        self._lead = lead.rect() if lead is not None else QRectF()
        self._neighbours: list[QRectF] | None = None
        self.single = len(self._nodes) == 1

    def scene_members(self, chosen: Iterable[str]) -> set[str]:
        """What moves: the chosen, with all that lies in chosen groups."""
        found = set(chosen)
        graph = self.view.document.graph
        for name in list(found & graph.groups.keys()):
            found |= self.scene.members_of(name)
            frame = self.scene.groups[name].rect()
            if not graph.groups[name].folded:
                found |= {n for n, note in self.scene.notes.items() if frame.contains(note.rect())}
                found |= {g for g, other in self.scene.groups.items() if g != name and frame.contains(other.rect())}
        return found

    def _items(self, ids: Iterable[str]) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        for name in ids:
            item = self.scene.nodes.get(name) or self.scene.groups.get(name) or self.scene.notes.get(name)
            if item is not None:
                found.append((name, item))
        return found

    def update(self, pointer: Pointer) -> None:
        dx, dy = pointer.scene.x() - self._from.x(), pointer.scene.y() - self._from.y()
        if self.copies:
            dx, dy = self._on_grid(dx, dy, pointer, next(iter(self._boxes.values()), QRectF()))
            self.scene.overlay.ghosts = [box.translated(dx, dy) for box in self._boxes.values()]
            self._at = (dx, dy)
            self.view.viewport().update()
            return
        if not self.ids:
            return
        self._watch_shaking(pointer)
        dx, dy = self._on_grid(dx, dy, pointer, self._lead)
        self._shift(dx, dy)
        self._mark_link(pointer)

    def _on_grid(self, dx: float, dy: float, pointer: Pointer, lead: QRectF) -> tuple[float, float]:
        """Snap the leading node to the grid, then to edges of others within reach; Alt lets it be."""
        if not self.view.snap or (pointer.held & ALT and not self.copies):
            self.scene.overlay.guides = []
            return dx, dy
        x, y = edits.snapped(lead.x() + dx, 8), edits.snapped(lead.y() + dy, 8)
        if not self.copies and len(self.ids) <= MANY:
            x, y = self._line_up(x, y, lead)
        return x - lead.x(), y - lead.y()

    def _line_up(self, x: float, y: float, lead: QRectF) -> tuple[float, float]:
        if self._neighbours is None:
            around = self.scene.seen
            self._neighbours = [item.rect() for item in self.scene.nodes_within(around) if item.node.id not in self.ids and not item.anatomy.is_dot]
        reach = GUIDE_REACH / self.view.zoom
        guides: list[QLineF] = []
        width, height = lead.width(), lead.height()
        best_x = min(
            ((abs(edge - mine), edge - mine, r) for r in self._neighbours for edge, mine in ((r.left(), x), (r.right(), x + width))), key=lambda c: c[0], default=None
        )
        best_y = min(((abs(r.top() - y), r.top() - y, r) for r in self._neighbours), key=lambda c: c[0], default=None)
        if best_x is not None and best_x[0] <= reach:
            x += best_x[1]
            r = best_x[2]
            line = r.left() if abs(r.left() - x) < 0.5 else r.right()
            guides.append(QLineF(line, min(y, r.top()), line, max(y + height, r.bottom())))
        if best_y is not None and best_y[0] <= reach:
            y += best_y[1]
            r = best_y[2]
            guides.append(QLineF(min(x, r.left()), y, max(x + width, r.right()), y))
        if guides or self.scene.overlay.guides:
            self.scene.overlay.guides = guides
            self.view.viewport().update()
        return x, y

    def _shift(self, dx: float, dy: float) -> None:
        step = (dx - self._at[0], dy - self._at[1])
        if step == (0.0, 0.0):
            return
        self._at = (dx, dy)
        for name, item in self._items(self.ids):
            start = self._starts[name]
            item.set_pos(start.x() + dx, start.y() + dy)
        for name in self._nodes:
            self.scene.place_in_grid(self.scene.nodes[name])
        self.scene.links.translate(self._nodes, *step)
        self.scene.content_changed.emit()

    def _watch_shaking(self, pointer: Pointer) -> None:
        """Turns of direction, quick and wide enough, take a node out of its links."""
        if not self.single or self._shaken:
            return
        x, now = pointer.screen.x(), time.monotonic()
        step = x - self._last if self._last else 0.0
        self._last = x
        if abs(step) < 3:
            return
        way = 1.0 if step > 0 else -1.0
        if self._way and way != self._way:
            self._turns = [t for t in self._turns if now - t < SHAKE_TIME] + [now]
        self._way = way
        if len(self._turns) >= SHAKES and self.scene.links.wires_of(self._nodes):
            self._shaken = True
            self._starts_shaken()

    def _starts_shaken(self) -> None:
        ports = self.scene.ports
        names = self._nodes
        dx, dy = self._at

        def change(graph: Graph) -> Graph:
            return edits.detached(graph, ports, names)

        self.view.edit("Detach", change, merge=f"move:{id(self)}")
        self._at = (0.0, 0.0)  # the edit put the items back where the document has them
        self._shift(dx, dy)

    def _mark_link(self, pointer: Pointer) -> None:
        """The link that the node would drop into."""
        target = None
        if self.single and not self._shaken and not pointer.held & CTRL:
            name = next(iter(self._nodes))
            item = self.scene.nodes[name]
            if (not self.view.document.graph.incoming.get(name) and not self.scene.ports.outgoing(name)) or item.node.type == REROUTE:
                body = item.rect().adjusted(item.anatomy.width * 0.15, 0, -item.anatomy.width * 0.15, 0)
                crossed = [link for link in self.scene.links.touched_by(body) if name not in (link.source, link.target)]
                middle = body.center()
                crossed.sort(key=lambda link: min(abs(p[0] - middle.x()) + abs(p[1] - middle.y()) for p in self.scene.links.wires[link].samples()))
                ports = self.scene.ports
                target = next((link for link in crossed[:4] if edits.inserted(self.view.document.graph, ports, name, link) is not None), None)
        if target != self._target:
            self._target = target
            self.scene.links.select([target] if target is not None else ())

    def commit(self, pointer: Pointer) -> None:
        dx, dy = self._at
        self.scene.overlay.clear()
        if self.copies:
            self._commit_copies(dx, dy)
            return
        target, ports, ids = self._target, self.scene.ports, set(self.ids)
        self.scene.links.select(())
        boxes = {n: _as_box(self.scene.nodes[n].rect()) for n in self._nodes}
        moved_nodes = {n for n in ids if n in self.scene.nodes} if not ids & self.scene.groups.keys() else set()
        if (dx, dy) == (0.0, 0.0) and target is None:
            return

        def change(graph: Graph) -> Graph:
            graph = graph.moved(ids, dx, dy)
            if target is not None:
                graph = edits.inserted(graph, ports, next(iter(self._nodes)), target) or graph
            return edits.with_members(graph, {n: boxes[n] for n in moved_nodes}) if moved_nodes and graph.groups else graph

        count = len(ids)
        label = "Insert" if target is not None else "Move" if count == 1 else f"Move {count} things"
        self.view.edit(label, change, merge=f"move:{id(self)}" if self._shaken else None)

    def _commit_copies(self, dx: float, dy: float) -> None:
        ids, ports = set(self.ids), self.scene.ports
        made: dict[str, str] = {}

        def change(graph: Graph) -> Graph:
            graph, names = edits.duplicated(graph, ports, ids, dx, dy)
            made.update(names)
            return graph

        if self.view.edit("Duplicate", change):
            self.view.document.select(made.values())

    def cancel(self) -> None:
        self.scene.overlay.clear()
        self.scene.links.select(())
        if not self.copies:
            self._shift(0.0, 0.0)

    def click(self, pointer: Pointer) -> None:
        chosen = self.view.document.selection
        if pointer.held & (SHIFT | CTRL):
            self.view.document.select(chosen ^ {self.name})
        else:
            self.view.document.select([self.name])
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
        self.view.edit("Resize", lambda graph: edits.with_size(graph, name, _as_box(rect)), merge=self._merge)

    def commit(self, pointer: Pointer) -> None:
        if self.name in self.scene.groups:
            frame, name = self.scene.groups[self.name].rect(), self.name
            inside = {n: _as_box(item.rect()) for n, item in self.scene.nodes.items() if item.rect().intersects(frame) or item.rect().intersects(self._before)}
            self.view.edit("Resize", lambda graph: edits.with_members(graph, inside) if name in graph.groups else graph, merge=self._merge)

    def cancel(self) -> None:
        before = self._graph
        self.view.edit("Resize", lambda graph: before, merge=self._merge)

    def click(self, pointer: Pointer) -> None:
        self.view.document.select([self.name])


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
        if factor == 1.0 or not isinstance(value, float):
            pass
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
        self.view.document.select([self.item.node.id])
        x = pointer.scene.x() - self.item.x()
        if not isinstance(self.row.raw, int | float) or self.row.input is None:
            return
        way = -1 if x < PAD + 18 else 1 if x > self.item.anatomy.width - PAD - 18 else 0
        if way:
            from ui.canvas.values import rounded

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
        self.view.replace_gesture(Move(self.view, self.item.node.id), pointer)

    def click(self, pointer: Pointer) -> None:
        if pointer.held & (SHIFT | CTRL):
            self.view.document.select(self.view.document.selection ^ {self.item.node.id})
            return
        self.view.document.select([self.item.node.id])
        self.act(self.item, self.row)


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
            self.view.replace_gesture(Move(self.view, name), pointer)

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


def _as_box(rect: QRectF) -> Rect:
    return rect.x(), rect.y(), rect.width(), rect.height()


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
    from ui.canvas.link_gestures import DragLink, detaching

    held, left = pointer.held, pointer.button == Qt.MouseButton.LeftButton
    if pointer.button == Qt.MouseButton.MiddleButton or (left and view.space_down):
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
        return detaching(view, scene.ports.ref(target.id, name, side))
    name, edges = edges_of(view, target, pointer.scene)
    if edges and not held & (CTRL | SHIFT | ALT):
        return Resize(view, name, edges)
    if target.kind == "value":
        item = scene.nodes[target.id]
        found = scene.row_at(pointer.scene.x(), pointer.scene.y(), view.zoom)
        if found is not None:
            row = found[1]
            if held & ALT:
                return Move(view, target.id, copies=True)
            if row.kind == "number" and not held & (CTRL | SHIFT):
                return Scrub(view, item, row)
            return PressRow(view, item, row, view.commands.work_row)
    if target.kind in ("node", "value", "note", "group"):
        return Move(view, target.id, copies=bool(held & ALT))
    if target.kind == "link" and isinstance(target.link, Link):
        return PressLink(view, target.link, bool(held & ALT))
    return BoxSelect(view)
