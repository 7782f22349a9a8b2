"""Order on the canvas: align, distribute, and an automatic layout in layers (Sugiyama et al. 1981: rank, order by barycentre, place)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import networkx as nx

from nodegraph.graph import Graph, Rect

Edge = Literal["left", "right", "top", "bottom", "center", "middle"]
Moves = dict[str, tuple[float, float]]  # id -> new top left corner
COLUMN_GAP, ROW_GAP, PART_GAP = 64.0, 32.0, 96.0
FRAME, FRAME_TOP = 16.0, 44.0  # px between a group's edge and what it holds; above there is its title
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
    and a node that only feeds stands next to what it feeds, so that links stay short. A group is laid out by itself and then stands
    as one block, so that nothing else comes to lie in its frame; unless something else stands between its members.
    """
    chosen = None if ids is None else set(ids)
    wanted = [name for name in graph.nodes if (chosen is None or name in chosen) and name in boxes]
    if not wanted:
        return {}
    flow = nx.DiGraph(graph.flow().subgraph(wanted))
    if not nx.is_directed_acyclic_graph(flow):  # a damaged file: leave out what leads back
        order = {name: k for k, name in enumerate(wanted)}
        flow = nx.DiGraph([(a, b) for a, b in flow.edges if order[a] < order[b]])
        flow.add_nodes_from(wanted)
    left, top = min(boxes[n][0] for n in wanted), min(boxes[n][1] for n in wanted)
    moves = _with_blocks(flow, boxes, _groups_in(graph, set(wanted)))
    return {name: (round((left + x) / snap) * snap, round((top + y) / snap) * snap) for name, (x, y) in moves.items()}


@dataclass(frozen=True)
class _Block:
    """A group: all nodes in it, and the groups inside it."""

    members: frozenset[str]
    inner: tuple[_Block, ...]

    @property
    def key(self) -> str:
        return "group of " + min(self.members)


def _groups_in(graph: Graph, wanted: set[str]) -> tuple[_Block, ...]:
    """The outermost groups that hold some of the nodes."""

    def block(name: str, above: frozenset[str]) -> _Block | None:
        inner = tuple(
            found
            for member in sorted(graph.groups[name].members)
            if member in graph.groups and member not in above and (found := block(member, above | {member})) is not None
        )
        members = frozenset((graph.groups[name].members & wanted).union(*(one.members for one in inner)))
        return _Block(members, inner) if members else None

    held = {member for group in graph.groups.values() for member in group.members if member in graph.groups}
    outermost = (block(name, frozenset({name})) for name in sorted(graph.groups) if name not in held)
    found: list[_Block] = []
    for one in outermost:
        if one is not None and not any(one.members & other.members for other in found):
            found.append(one)
    return tuple(found)


def _with_blocks(flow: nx.DiGraph[str], boxes: Mapping[str, Rect], blocks: tuple[_Block, ...]) -> Moves:
    """Places from (0, 0): each block is laid out by itself and stands as one box."""
    whole = tuple(block for block in blocks if not _is_entered_again(flow, block.members))
    loose = tuple(inner for block in blocks if block not in whole for inner in block.inner)
    if loose:
        return _with_blocks(flow, boxes, whole + loose)
    around = {name: block.key for block in whole for name in block.members}
    merged = nx.DiGraph()
    merged.add_nodes_from(dict.fromkeys(around.get(name, name) for name in flow.nodes))
    merged.add_edges_from((a, b) for x, y in flow.edges if (a := around.get(x, x)) != (b := around.get(y, y)))
    if not nx.is_directed_acyclic_graph(merged):  # blocks that feed each other by turns
        tangled = {name for part in nx.strongly_connected_components(merged) if len(part) > 1 for name in part}
        return _with_blocks(flow, boxes, tuple(block for block in whole if block.key not in tangled))
    sizes, inside = dict(boxes), dict[str, Moves]()
    for block in whole:
        placed = inside[block.key] = _with_blocks(flow.subgraph(block.members), boxes, block.inner)
        width = max(x + boxes[name][2] for name, (x, _) in placed.items()) + 2 * FRAME
        height = max(y + boxes[name][3] for name, (_, y) in placed.items()) + FRAME + FRAME_TOP
        corner = min(boxes[name][0] for name in block.members), min(boxes[name][1] for name in block.members)
        sizes[block.key] = (*corner, width, height)
    moves: Moves = {}
    for name, (x, y) in _parts_placed(merged, sizes).items():
        if name in inside:
            moves |= {member: (x + FRAME + dx, y + FRAME_TOP + dy) for member, (dx, dy) in inside[name].items()}
        else:
            moves[name] = (x, y)
    return moves


def _is_entered_again(flow: nx.DiGraph[str], members: frozenset[str]) -> bool:
    """Whether a way through the flow leaves these nodes and comes back."""
    after = set[str]().union(*(nx.descendants(flow, name) for name in members if name in flow)) - members
    return any(target in members for name in after for target in flow.successors(name))


def _parts_placed(flow: nx.DiGraph[str], boxes: Mapping[str, Rect]) -> Moves:
    """Connected parts one below the other, the largest first; at last those that are alone, in a row."""
    parts = sorted(nx.weakly_connected_components(flow), key=lambda part: (-len(part), min(boxes[n][1] for n in part)))
    moves: Moves = {}
    y = 0.0
    for part in (p for p in parts if len(p) > 1):
        placed = _layers_placed(flow.subgraph(part), boxes)
        moves |= {name: (px, y + py) for name, (px, py) in placed.items()}
        y += max(placed[n][1] + boxes[n][3] for n in part) + PART_GAP
    x = 0.0
    for name in (next(iter(part)) for part in parts if len(part) == 1):
        moves[name] = (x, y)
        x += boxes[name][2] + COLUMN_GAP
    return moves


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
