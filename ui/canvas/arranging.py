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
    graph, boxes = commands.graph, commands.boxes(moves.keys())
    steps = {}
    for name, (x, y) in moves.items():
        if name not in graph.nodes or not graph.nodes[name].pinned:
            x, y = (edits.snapped(x, 8), edits.snapped(y, 8)) if commands.view.snap else (x, y)
            steps[name] = (x - boxes[name][0], y - boxes[name][1])
    return commands.view.edit(label, lambda graph: edits.shifted(graph, steps))


def lay_out(commands: Commands) -> bool:
    """Lay out the selected nodes, or all; groups close around their members again."""
    names, boxes = commands.chosen_nodes(), commands.boxes(commands.graph.nodes)
    moves = arranged(commands.graph, boxes, names if len(names) > 1 else None)
    if not moves:
        return False
    held = {name: commands.scene.members_of(name) for name in commands.graph.groups}
    touched = [name for name in sorted(held, key=lambda name: len(held[name])) if held[name] & moves.keys()]  # inner groups first

    def change(graph: Graph) -> Graph:
        steps = {name: (x - boxes[name][0], y - boxes[name][1]) for name, (x, y) in moves.items() if not graph.nodes[name].pinned}
        graph = edits.shifted(graph, steps)
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
