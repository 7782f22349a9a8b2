"""Sweeps: one value, or two, run through several settings; a run for each, and all pictures on one sheet at the end. Knows no widgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter

from nodegraph.graph import Graph
from nodegraph.spec import Input
from ui import theme
from ui.canvas.values import shown_value
from ui.document import Scope

MOST_RUNS: Final = 200
SHEET_SIDE: Final = 4096
"""Longest side of a sheet in pixels; its pictures are made smaller to fit."""


@dataclass(frozen=True)
class Axis:
    """An input of a node in a scope, and the values it goes through."""

    scope: Scope
    node: str
    item: Input
    name: str
    values: tuple[Any, ...]

    def words(self, value: Any) -> str:
        """"Steps 12", or for text the text itself."""
        shown = shown_value(self.item, value)
        return shown if self.item.type == "str" and not self.item.choices else f"{self.item.label} {shown}"


def numbers(item: Input, first: float, last: float, count: int) -> tuple[float | int, ...]:
    """`count` values from first to last, both among them: evenly spread, by ratio on a log scale; whole numbers are rounded and come once."""
    limits = item.range
    by_ratio = limits is not None and limits.log and first > 0 and last > 0
    shares = [number / (count - 1) for number in range(count)] if count > 1 else [0.0]
    spread = [first * (last / first) ** share if by_ratio else first + (last - first) * share for share in shares]
    if item.type == "int":
        return tuple(dict.fromkeys(round(value) for value in spread))
    return tuple(dict.fromkeys(float(f"{value:.6g}") for value in spread))


def with_value_at(graph: Graph, scope: Scope, node: str, name: str, value: Any) -> Graph:
    """The graph with a value set on a node, which may lie inside subgraphs."""
    if not scope:
        return graph.with_value(node, name, value)
    inner, definition = graph, ""
    for instance in scope:
        definition = inner.nodes[instance].subgraph or ""
        inner = graph.subgraphs[definition].graph
    return graph.with_subgraph(definition, replace(graph.subgraphs[definition], graph=inner.with_value(node, name, value)))


def settings(across: Axis, down: Axis | None = None) -> list[tuple[tuple[Axis, Any], ...]]:
    """Every setting of a sweep, row by row."""
    if down is None:
        return [((across, value),) for value in across.values]
    return [((across, x), (down, y)) for y in down.values for x in across.values]


def graph_for(graph: Graph, setting: Iterable[tuple[Axis, Any]]) -> Graph:
    """The graph of one setting."""
    for axis, value in setting:
        graph = with_value_at(graph, axis.scope, axis.node, axis.item.name, value)
    return graph


def sheet(pictures: Mapping[int, QImage], across: Axis, down: Axis | None = None) -> QImage:
    """All pictures in a table with its settings at the edges; `pictures` by the number of their setting, those that failed are missing."""
    columns, rows = len(across.values), len(down.values) if down is not None else 1
    first = next(iter(pictures.values()), QImage(64, 64, QImage.Format.Format_RGB32))
    share = min(1.0, SHEET_SIDE / (first.width() * columns), SHEET_SIDE / (first.height() * rows))
    cell = QSize(max(48, round(first.width() * share)), max(48, round(first.height() * share)))
    px = max(11, round(cell.height() / 18))
    head, side, gap = 2 * px + 8, (px * 9 if down is not None else 0), max(4, px // 3)
    made = QImage(side + columns * (cell.width() + gap) + gap, head + rows * (cell.height() + gap) + gap, QImage.Format.Format_RGB32)
    made.fill(QColor(255, 255, 255))
    painter = QPainter(made)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
    painter.setFont(theme.font("body", 500, px=px))
    measure = theme.metrics("body", 500, px=px)
    painter.setPen(QColor(30, 30, 32))

    def write(rect: QRectF, words: str) -> None:
        painter.drawText(rect, int(Qt.AlignmentFlag.AlignCenter), measure.elidedText(words, Qt.TextElideMode.ElideMiddle, rect.width()))

    for column, value in enumerate(across.values):
        write(QRectF(side + gap + column * (cell.width() + gap), 0, cell.width(), head), across.words(value))
    for row, value in enumerate(down.values if down is not None else ()):
        write(QRectF(gap, head + row * (cell.height() + gap), side - 2 * gap, cell.height()), down.words(value) if down is not None else "")
    for number in range(columns * rows):
        place = QRectF(side + gap + number % columns * (cell.width() + gap), head + number // columns * (cell.height() + gap), cell.width(), cell.height())
        image = pictures.get(number)
        if image is None:
            painter.fillRect(place, QColor(232, 232, 234))
            write(place, "no picture")
        else:
            painter.drawImage(place, image)
    painter.end()
    return made


def can_sweep(item: Input) -> bool:
    """Whether an input has values to go through: numbers, choices, switches, texts and files."""
    return not item.is_port and not item.is_drawing and not item.is_color


def texts(lines: str) -> tuple[str, ...]:
    """One value a line; empty lines do not count, and what comes twice counts once."""
    return tuple(dict.fromkeys(line.strip() for line in lines.splitlines() if line.strip()))


def run_count(axes: Sequence[Axis]) -> int:
    """How many runs a sweep takes."""
    count = 1
    for axis in axes:
        count *= len(axis.values)
    return count
