"""Order on the canvas: align, distribute, and an automatic layout in layers (Sugiyama et al. 1981: rank, order by barycentre, place)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import networkx as nx

from nodegraph.graph import Graph, Rect

Edge = Literal["left", "right", "top", "bottom", "center", "middle"]
Moves = dict[str, tuple[float, float]]  # id -> new top left corner
COLUMN_GAP, ROW_GAP, PART_GAP = 64.0, 32.0, 96.0
SWEEPS = 8


def aligned(boxes: Mapping[str, Rect], edge: Edge) -> Moves:
    """Bring boxes to one edge, or their middles to one line."""
    if len(boxes) < 2:
        return {}
    left, top = min(b[0] for b in boxes.values()), min(b[1] for b in boxes.values())
    right, bottom = max(b[0] + b[2] for b in boxes.values()), max(b[1] + b[3] for b in boxes.values())
    moves: Moves = {}
    for name, (x, y, width, height) in boxes.items():
        if edge == "left":
            x = left
        elif edge == "right":
            x = right - width
        elif edge == "center":
            x = (left + right - width) / 2
        elif edge == "top":
            y = top
        elif edge == "bottom":
            y = bottom - height
        else:
            y = (top + bottom - height) / 2
        moves[name] = (x, y)
    return moves


def distributed(boxes: Mapping[str, Rect], horizontal: bool) -> Moves:
    """Give boxes equal gaps between the first and the last; at least 16, so that they never overlap."""
    if len(boxes) < 3:
        return {}
    axis = 0 if horizontal else 1
    ordered = sorted(boxes, key=lambda name: boxes[name][axis])
    first, last = boxes[ordered[0]], boxes[ordered[-1]]
    whole = last[axis] + last[axis + 2] - first[axis]
    gap = max(16.0, (whole - sum(boxes[name][axis + 2] for name in ordered)) / (len(ordered) - 1))
    at = first[axis]
    moves: Moves = {}
    for name in ordered:
        x, y, _, _ = boxes[name]
        moves[name] = (at, y) if horizontal else (x, at)
        at += boxes[name][axis + 2] + gap
    return moves


def arranged(graph: Graph, boxes: Mapping[str, Rect], ids: Iterable[str] | None = None, snap: float = 8.0) -> Moves:
    """Lay nodes out from left to right in the order of the flow; each connected part by itself, parts one below the other.

    Only `ids` move (all nodes if None); the whole keeps its top left corner. A node stands in the column after its last source,
    and a node that only feeds stands next to what it feeds, so that links stay short.
    """
    wanted = [name for name in graph.nodes if (ids is None or name in set(ids)) and name in boxes]
    if not wanted:
        return {}
    flow = graph.flow().subgraph(wanted)
    if not nx.is_directed_acyclic_graph(flow):  # a damaged file: leave out what leads back
        order = {name: k for k, name in enumerate(wanted)}
        flow = nx.DiGraph([(a, b) for a, b in flow.edges if order[a] < order[b]])
        flow.add_nodes_from(wanted)
    left, top = min(boxes[n][0] for n in wanted), min(boxes[n][1] for n in wanted)
    moves: Moves = {}
    parts = sorted(nx.weakly_connected_components(flow), key=lambda part: (-len(part), min(boxes[n][1] for n in part)))
    alone = [next(iter(part)) for part in parts if len(part) == 1]
    y = top
    for part in (p for p in parts if len(p) > 1):
        placed = _layers_placed(flow.subgraph(part), boxes)
        bottom = max(placed[n][1] + boxes[n][3] for n in part)
        for name, (px, py) in placed.items():
            moves[name] = (left + px, y + py)
        y += bottom + PART_GAP
    x = left
    for name in alone:
        moves[name] = (x, y)
        x += boxes[name][2] + COLUMN_GAP
    return {name: (round(px / snap) * snap, round(py / snap) * snap) for name, (px, py) in moves.items()}


def _ranks(flow: nx.DiGraph[str]) -> dict[str, int]:
    """The column of each node: as far left as its sources allow, then pulled right next to what it feeds."""
    rank: dict[str, int] = {}
    order = list(nx.topological_sort(flow))
    for name in order:
        rank[name] = max((rank[source] + 1 for source in flow.predecessors(name)), default=0)
    for name in reversed(order):
        targets = [rank[target] for target in flow.successors(name)]
        if targets and not list(flow.predecessors(name)):
            rank[name] = min(targets) - 1
    least = min(rank.values())
    return {name: value - least for name, value in rank.items()}


def _layers_placed(flow: nx.DiGraph[str], boxes: Mapping[str, Rect]) -> Moves:
    rank = _ranks(flow)
    columns: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name in sorted(flow.nodes, key=lambda n: (boxes[n][1], n)):
        columns[rank[name]].append(name)
    _order(flow, columns)
    middle = _heights(flow, columns, boxes)
    moves: Moves = {}
    x = 0.0
    for column in columns:
        for name in column:
            moves[name] = (x, middle[name])
        x += max((boxes[name][2] for name in column), default=0.0) + COLUMN_GAP
    least = min(y for _, y in moves.values())
    return {name: (px, py - least) for name, (px, py) in moves.items()}


def _order(flow: nx.DiGraph[str], columns: list[list[str]]) -> None:
    """Fewer crossings: sort each column by the mean place of its neighbours, sweeping there and back."""
    best, least = [list(c) for c in columns], _crossings(flow, columns)
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        place = {name: k for column in columns for k, name in enumerate(column)}
        for column in columns if forward else reversed(columns):
            neighbours = flow.predecessors if forward else flow.successors
            means = {}
            for k, name in enumerate(column):
                near = [place[other] for other in neighbours(name)]
                means[name] = sum(near) / len(near) if near else float(k)
            column.sort(key=means.__getitem__)
            place.update({name: k for k, name in enumerate(column)})
        found = _crossings(flow, columns)
        if found < least:
            best, least = [list(c) for c in columns], found
    for column, kept in zip(columns, best, strict=True):
        column[:] = kept


def _crossings(flow: nx.DiGraph[str], columns: list[list[str]]) -> int:
    place = {name: k for column in columns for k, name in enumerate(column)}
    total = 0
    for column in columns[:-1]:
        edges = sorted((place[a], place[b]) for a in column for b in flow.successors(a))
        ends = [b for _, b in edges]
        total += sum(1 for i in range(len(ends)) for j in range(i + 1, len(ends)) if ends[i] > ends[j])
    return total


def _heights(flow: nx.DiGraph[str], columns: list[list[str]], boxes: Mapping[str, Rect]) -> dict[str, float]:
    """Tops of the boxes: each as near as possible to the mean of its neighbours, without overlap and in the column's order."""
    top: dict[str, float] = {}
    for column in columns:
        y = 0.0
        for name in column:
            top[name] = y
            y += boxes[name][3] + ROW_GAP
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        for column in columns if forward else reversed(columns):
            wish: dict[str, float] = {}
            for name in column:
                near = list(flow.predecessors(name) if forward else flow.successors(name)) or list(
                    flow.successors(name) if forward else flow.predecessors(name)
                )
                middles = [top[other] + min(boxes[other][3], 120) / 2 for other in near]
                wish[name] = sum(middles) / len(middles) - min(boxes[name][3], 120) / 2 if middles else top[name]
            _spread(column, wish, boxes, top)
    return top


def _spread(column: list[str], wish: Mapping[str, float], boxes: Mapping[str, Rect], top: dict[str, float]) -> None:
    """Least squares with order and gaps kept (pool adjacent violators)."""
    blocks: list[tuple[float, int, float]] = []  # sum of wishes less offsets, count, height so far
    offsets: list[list[float]] = []
    for name in column:
        blocks.append((wish[name], 1, boxes[name][3] + ROW_GAP))
        offsets.append([0.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] + blocks[-2][2] > blocks[-1][0] / blocks[-1][1]:
            total, count, height = blocks.pop()
            inner = offsets.pop()
            before, number, tall = blocks.pop()
            blocks.append((before + total - tall * count, number + count, tall + height))
            offsets[-1] += [tall + offset for offset in inner]
    at = 0
    for (total, count, _), inner in zip(blocks, offsets, strict=True):
        for offset in inner:
            top[column[at]] = total / count + offset
            at += 1
