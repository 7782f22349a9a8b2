"""The shape of links: smooth curves, ways round for links that lead back, and a grid that finds the ones near a place."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainterPath

Bounds = tuple[float, float, float, float]  # left, top, right, bottom
REACH_MIN, REACH_MAX = 28.0, 130.0
CORNER, OUT = 10.0, 20.0
STUB = 24.0  # px of a hidden link that are seen at both ends


class End(NamedTuple):
    """One end of a link: the port's place, and top and bottom of its node, so that a way round misses it."""

    x: float
    y: float
    top: float
    bottom: float


def reach(dx: float, dy: float) -> float:
    """How far the tangents of a curve reach out."""
    return max(REACH_MIN, min(REACH_MAX, abs(dx) * 0.5 + abs(dy) * 0.10))


def curve(x1: float, y1: float, x2: float, y2: float) -> QPainterPath:
    path = QPainterPath(QPointF(x1, y1))
    out = reach(x2 - x1, y2 - y1)
    path.cubicTo(x1 + out, y1, x2 - out, y2, x2, y2)
    return path


def leads_back(source: End, target: End) -> bool:
    return target.x < source.x + 24


def middle_height(source: End, target: End) -> float:
    """Where the way round crosses over: the gap between the two nodes, or below both when there is none."""
    if target.top > source.bottom:
        return (source.bottom + target.top) / 2
    if source.top > target.bottom:
        return (target.bottom + source.top) / 2
    return max(source.bottom, target.bottom) + OUT


def way_round(source: End, target: End) -> list[tuple[float, float]]:
    """Corners of a way round: out, to the gap, back, in."""
    middle = middle_height(source, target)
    return [
        (source.x, source.y),
        (source.x + OUT, source.y),
        (source.x + OUT, middle),
        (target.x - OUT, middle),
        (target.x - OUT, target.y),
        (target.x, target.y),
    ]


def rounded_corners(points: list[tuple[float, float]], radius: float = CORNER) -> QPainterPath:
    """Straight lines through the points, with round corners."""
    path = QPainterPath(QPointF(*points[0]))
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        r = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        path.lineTo(QPointF(*_towards(corner, before, r)))
        path.quadTo(QPointF(*corner), QPointF(*_towards(corner, after, r)))
    path.lineTo(QPointF(*points[-1]))
    return path


def _towards(start: tuple[float, float], goal: tuple[float, float], distance: float) -> tuple[float, float]:
    whole = math.dist(start, goal)
    k = distance / whole if whole else 0.0
    return start[0] + (goal[0] - start[0]) * k, start[1] + (goal[1] - start[1]) * k


def route(source: End, target: End) -> tuple[QPainterPath, Bounds]:
    """The path of a link and what it covers."""
    if leads_back(source, target):
        points = way_round(source, target)
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        return rounded_corners(points), (min(xs) - 4, min(ys) - 4, max(xs) + 4, max(ys) + 4)
    path = curve(source.x, source.y, target.x, target.y)
    out = reach(target.x - source.x, target.y - source.y)
    left, right = min(source.x, target.x - out), max(target.x, source.x + out)
    return path, (left - 4, min(source.y, target.y) - 4, right + 4, max(source.y, target.y) + 4)


def sampled(path: QPainterPath, count: int = 24) -> list[tuple[float, float]]:
    """Points along a path, for distances."""
    points = []
    for k in range(count + 1):
        p = path.pointAtPercent(k / count)
        points.append((p.x(), p.y()))
    return points


def distance_to(points: list[tuple[float, float]], x: float, y: float) -> float:
    """How far a place is from a line through the points."""
    best = math.inf
    for (x1, y1), (x2, y2) in itertools.pairwise(points):
        dx, dy = x2 - x1, y2 - y1
        length = dx * dx + dy * dy
        t = 0.0 if length == 0 else min(1.0, max(0.0, ((x - x1) * dx + (y - y1) * dy) / length))
        best = min(best, math.hypot(x - x1 - t * dx, y - y1 - t * dy))
    return best


def crosses(points: list[tuple[float, float]], a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether the line through the points cuts the segment from a to b."""

    def side(p: tuple[float, float], q: tuple[float, float], r: tuple[float, float]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    def near(p: tuple[float, float], q: tuple[float, float]) -> bool:
        return all(min(p[k], q[k]) <= max(a[k], b[k]) and max(p[k], q[k]) >= min(a[k], b[k]) for k in (0, 1))

    return any(
        near(p, q) and side(a, b, p) * side(a, b, q) <= 0 and side(p, q, a) * side(p, q, b) <= 0 for p, q in itertools.pairwise(points)
    )


class Grid:
    """Which boxes lie near a place."""

    def __init__(self, cell: float = 600.0) -> None:
        self._cell = cell
        self._boxes: dict[tuple[int, int], set[int]] = {}

    def _cells(self, bounds: Bounds) -> Iterator[tuple[int, int]]:
        c = self._cell
        rows = range(int(bounds[1] // c), int(bounds[3] // c) + 1)
        for i in range(int(bounds[0] // c), int(bounds[2] // c) + 1):
            for j in rows:
                yield i, j

    def add(self, key: int, bounds: Bounds) -> None:
        for cell in self._cells(bounds):
            self._boxes.setdefault(cell, set()).add(key)

    def remove(self, key: int, bounds: Bounds) -> None:
        for cell in self._cells(bounds):
            self._boxes[cell].discard(key)

    def move(self, key: int, before: Bounds, after: Bounds) -> None:
        """The box went elsewhere; most moves stay in the same cells."""
        c = self._cell
        a0, a1, a2, a3 = before
        b0, b1, b2, b3 = after
        if a0 // c != b0 // c or a1 // c != b1 // c or a2 // c != b2 // c or a3 // c != b3 // c:
            self.remove(key, before)
            self.add(key, after)

    def near(self, bounds: Bounds) -> set[int]:
        """Keys whose boxes may touch these bounds."""
        c, found = self._cell, set[int]()
        i0, i1, j0, j1 = int(bounds[0] // c), int(bounds[2] // c), int(bounds[1] // c), int(bounds[3] // c)
        if (i1 - i0 + 1) * (j1 - j0 + 1) > len(self._boxes):
            for (i, j), keys in self._boxes.items():
                if i0 <= i <= i1 and j0 <= j <= j1:
                    found |= keys
            return found
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                found |= self._boxes.get((i, j), set())
        return found


def as_rect(bounds: Bounds) -> QRectF:
    return QRectF(bounds[0], bounds[1], bounds[2] - bounds[0], bounds[3] - bounds[1])
