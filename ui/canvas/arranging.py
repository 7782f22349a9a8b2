"""Carrying out what `arrange` works out: pinned things stay, groups close around what they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF

from nodegraph.graph import Graph, Rect
from ui.canvas import edits
from ui.canvas.arrange import FRAME, FRAME_TOP, Moves, arranged

if TYPE_CHECKING:
    from ui.canvas.commands import Commands


def put(commands: Commands, label: str, moves: Moves) -> bool:
    """Put things at new places, on the grid if that is on."""
    if not moves:
        return False
    graph, snaps = commands.graph, commands.view.snap
    boxes = commands.boxes(moves.keys())
    free = {name: place for name, place in moves.items() if name not in graph.nodes or not graph.nodes[name].pinned}

    def change(graph: Graph) -> Graph:
        for name, (x, y) in free.items():
            x, y = (edits.snapped(x, 8), edits.snapped(y, 8)) if snaps else (x, y)
            dx, dy = x - boxes[name][0], y - boxes[name][1]
            if dx or dy:
                graph = graph.moved([name], dx, dy)
        return graph

    return commands.view.edit(label, change)


def lay_out(commands: Commands) -> bool:
    """Lay out the selected nodes, or all; groups close around their members again."""
    names, boxes = commands.chosen_nodes(), commands.boxes(commands.graph.nodes)
    moves = arranged(commands.graph, boxes, names if len(names) > 1 else None)
    if not moves:
        return False
    held = {name: commands.scene.members_of(name) for name in commands.graph.groups}
    touched = [name for name in sorted(held, key=lambda name: len(held[name])) if held[name] & moves.keys()]  # inner groups first

    def change(graph: Graph) -> Graph:
        for name, (x, y) in moves.items():
            if not graph.nodes[name].pinned:
                graph = graph.moved([name], x - boxes[name][0], y - boxes[name][1])
        for name in touched:
            graph = _closed(graph, name, boxes)
        return graph

    done = commands.view.edit("Arrange", change)
    if done and len(names) <= 1:
        commands.view.frame_all()
    return done


def _closed(graph: Graph, name: str, boxes: dict[str, Rect]) -> Graph:
    """A group's frame around its nodes and the groups in it."""
    group, around = graph.groups[name], QRectF()
    for member in group.members:
        if member in graph.groups:
            around = around.united(QRectF(*graph.groups[member].rect))
        elif member in graph.nodes and member in boxes:
            around = around.united(QRectF(*graph.nodes[member].position, *boxes[member][2:]))
    if around.isEmpty():
        return graph
    frame = (around.x() - FRAME, around.y() - FRAME_TOP, around.width() + 2 * FRAME, around.height() + FRAME + FRAME_TOP)
    return graph.with_group(replace(group, rect=frame))
