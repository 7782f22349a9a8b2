"""A noise schedule as a curve on the node that made it, with the level that the sampler has reached."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPen, QPolygonF

from ui.canvas.paint import NO_PEN, draw_box, draw_text
from ui.theme import Theme

INSET = 8.0
TOE = 1 / 120  # of the highest level: where the log scale bends to reach 0


def joined(curves: Mapping[str, Sequence[float]], outputs: Iterable[str]) -> tuple[float, ...]:
    """The curves of a node's outputs one behind the other, as 'Split schedule' gives them; a level where two meet counts once."""
    found: list[float] = []
    for name in outputs:
        part = list(curves.get(name, ()))
        found += part[1:] if found and part and part[0] == found[-1] else part
    return tuple(found)


def height_of(level: float, highest: float) -> float:
    """How high a noise level stands, 0 to 1: by its logarithm, bent so that 0 lies at the foot. A plain scale would hide the late steps."""
    toe = highest * TOE
    return math.log1p(max(level, 0.0) / toe) / math.log1p(highest / toe) if highest > 0 else 0.0


def place_of(level: float, values: Sequence[float]) -> float:
    """How far along a falling curve a noise level lies, 0 to 1."""
    rising = [-value for value in values]
    at = bisect_left(rising, -level)
    if at <= 0:
        return 0.0
    if at >= len(values):
        return 1.0
    above, below = values[at - 1], values[at]
    return (at - 1 + ((above - level) / (above - below) if above > below else 0.0)) / (len(values) - 1)


def _point(rect: QRectF, share: float, level: float, highest: float) -> QPointF:
    width, height = rect.width() - 2 * INSET, rect.height() - 2 * INSET
    return QPointF(rect.x() + INSET + width * share, rect.bottom() - INSET - height * height_of(level, highest))


def paint_curve(painter: QPainter, theme: Theme, rect: QRectF, values: Sequence[float]) -> None:
    """The field with the curve; words where there is none yet."""
    draw_box(painter, rect, theme.color("surface.field"), 4)
    if len(values) < 2:
        draw_text(
            painter, rect.x(), rect.y(), rect.width(), rect.height(), "No schedule yet", theme.color("text.tertiary"), "small", "center"
        )
        return
    highest, last = max(values), len(values) - 1
    line = QPolygonF([_point(rect, k / last, value, highest) for k, value in enumerate(values)])
    area = QPolygonF([*line, QPointF(rect.right() - INSET, rect.bottom() - INSET), QPointF(rect.x() + INSET, rect.bottom() - INSET)])
    painter.setPen(NO_PEN)
    painter.setBrush(theme.color("port.sigmas", 0.13))
    painter.drawPolygon(area)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.color("port.sigmas"), 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    painter.drawPolyline(line)


def paint_reached(painter: QPainter, theme: Theme, rect: QRectF, values: Sequence[float], level: float) -> None:
    """Where the sampler is now."""
    if len(values) < 2:
        return
    at = _point(rect, place_of(level, values), level, max(values))
    painter.setPen(QPen(theme.color("state.live"), 1))
    painter.drawLine(QPointF(at.x(), rect.y() + 6), QPointF(at.x(), rect.bottom() - 6))
    painter.setPen(QPen(theme.color("surface.field"), 2))
    painter.setBrush(theme.color("state.live"))
    painter.drawEllipse(at, 4, 4)
