"""Drawing primitives of the canvas: text with an eliding cache, port marks, and nine-patches for shadows, halos and rings."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from ui import theme as themes
from ui.theme import Theme

Align = Literal["left", "right", "center"]
NO_PEN = QPen(Qt.PenStyle.NoPen)
SHADOW_MARGIN = 20.0  # px that a shadow, halo or port may reach beyond a node's edge


# Text -------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=8192)
def elided(text: str, role: str, weight: int | None, mono: bool, width: int, middle: bool) -> tuple[str, float]:
    """The text as it fits into `width` px, and the width it then takes."""
    metrics = themes.metrics(role, weight, mono)
    short = metrics.elidedText(text, Qt.TextElideMode.ElideMiddle if middle else Qt.TextElideMode.ElideRight, width) if width >= 0 else text
    return short, metrics.horizontalAdvance(short)


@lru_cache(maxsize=64)
def cap_height(role: str, weight: int | None, mono: bool) -> float:
    return themes.metrics(role, weight, mono).capHeight()


def text_width(text: str, role: str = "body", weight: int | None = None, mono: bool = False) -> float:
    return elided(text, role, weight, mono, -1, False)[1]


def draw_text(
    painter: QPainter,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str,
    color: QColor,
    role: str = "body",
    align: Align = "left",
    weight: int | None = None,
    mono: bool = False,
    middle: bool = False,
    whole: bool = False,
) -> float:
    """One line, vertically centred on its capitals, elided to `width` unless `whole`; returns the width it took."""
    short, advance = elided(text, role, weight, mono, -1 if whole else int(width + 0.99), middle)
    left = x if align == "left" else x + width - advance if align == "right" else x + (width - advance) / 2
    base = round((y + (height + cap_height(role, weight, mono)) / 2) * 2) / 2
    painter.setFont(themes.font(role, weight, mono))
    painter.setPen(color)
    painter.drawText(QPointF(left, base), short)
    return advance


@lru_cache(maxsize=2048)
def wrapped(text: str, width: int, most: int, role: str = "body") -> tuple[tuple[int, str], ...]:
    """The text broken into lines of at most `width` px: (where the line begins in the text, the line). At most `most` lines; the last is elided."""
    metrics = themes.metrics(role)
    lines: list[tuple[int, str]] = []
    start = 0
    for paragraph in text.split("\n"):
        if len(lines) >= most:
            break
        at = 0
        while True:
            rest = paragraph[at:]
            if not rest or metrics.horizontalAdvance(rest) <= width:
                lines.append((start + at, rest))
                break
            cut = _break_at(rest, width, metrics.horizontalAdvance)
            lines.append((start + at, rest[:cut].rstrip()))
            at += cut
            if len(lines) >= most:
                break
        start += len(paragraph) + 1
    lines = lines[:most]
    if lines and len(lines) == most:
        begin, last = lines[-1]
        if begin + len(last.rstrip()) < len(text.rstrip()):
            rest = text[begin:].replace("\n", " ")
            lines[-1] = (begin, metrics.elidedText(rest + " " * 400 + ".", Qt.TextElideMode.ElideRight, width))
    return tuple(lines)


def _break_at(text: str, width: float, advance: Callable[[str], float]) -> int:
    """How many characters of a line that is too long stay on it; at least one."""
    low, high = 1, len(text)
    while low < high:  # the longest prefix that fits
        middle = (low + high + 1) // 2
        if advance(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    space = text.rfind(" ", 0, low + 1)
    return space + 1 if space > 0 else low


# Ports ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def port_path(shape: str, size: float) -> QPainterPath:
    """The outline of a port mark around (0, 0)."""
    q = size / 2
    path = QPainterPath()
    polygons: dict[str, tuple[tuple[float, float], ...]] = {
        "diamond": ((0, -1.1), (1.1, 0), (0, 1.1), (-1.1, 0)),
        "hexagon": ((-0.55, -0.95), (0.55, -0.95), (1.08, 0), (0.55, 0.95), (-0.55, 0.95), (-1.08, 0)),
        "tag": ((-0.95, -0.78), (0.25, -0.78), (1.1, 0), (0.25, 0.78), (-0.95, 0.78)),
        "bowtie": ((-1.05, -0.85), (0, -0.28), (1.05, -0.85), (1.05, 0.85), (0, 0.28), (-1.05, 0.85)),
        "triangle": ((0, -1.0), (1.05, 0.82), (-1.05, 0.82)),
        "ramp": ((-0.95, -0.95), (-0.95, 0.85), (1.1, 0.85)),
    }
    if shape in polygons:
        path.addPolygon(QPolygonF([QPointF(x * q, y * q) for x, y in polygons[shape]]))
        path.closeSubpath()
    elif shape == "plus":
        a = 0.36
        points = ((-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a), (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a))
        path.addPolygon(QPolygonF([QPointF(x * q, y * q) for x, y in points]))
        path.closeSubpath()
    elif shape == "square":
        path.addRoundedRect(QRectF(-q * 0.82, -q * 0.82, q * 1.64, q * 1.64), 1.2, 1.2)
    elif shape == "pill":
        path.addRoundedRect(QRectF(-q * 1.05, -q * 0.48, q * 2.1, q * 0.96), q * 0.48, q * 0.48)
    else:
        radius = {"ring": 0.78, "dot": 0.56}.get(shape, 0.92) * q
        path.addEllipse(QPointF(0, 0), radius, radius)
    return path


def draw_port(
    painter: QPainter,
    theme: Theme,
    kind: str,
    x: float,
    y: float,
    size: float = 12.0,
    filled: bool = True,
    rim: bool = True,
    opacity: float = 1.0,
) -> None:
    """One port mark, centred; `kind` is a key of `port_shapes`. Hollow when nothing is linked."""
    shape = theme.port_shapes[kind]
    color = theme.color("port." + kind)
    inside = theme.color("surface.node")
    path = port_path(shape, size)
    painter.translate(x, y)
    if rim:
        painter.setPen(
            QPen(
                theme.color("line.node" if theme.is_dark else "surface.node"),
                3.4,
                Qt.PenStyle.SolidLine,
                Qt.PenCapStyle.RoundCap,
                Qt.PenJoinStyle.RoundJoin,
            )
        )
        painter.setBrush(theme.color("surface.canvas"))
        painter.drawPath(path)
    before = painter.opacity()
    if opacity < 1:
        painter.setOpacity(before * opacity)
    painter.setPen(QPen(color, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap, Qt.PenJoinStyle.RoundJoin))
    hollow = not filled or shape in ("ring", "half-disc")
    painter.setBrush(inside if hollow else color)
    painter.drawPath(path)
    if shape == "half-disc" and filled:
        q = size / 2 * 0.92
        half = QPainterPath(QPointF(0, -q))
        half.arcTo(QRectF(-q, -q, 2 * q, 2 * q), 90, 180)
        half.closeSubpath()
        painter.setPen(NO_PEN)
        painter.setBrush(color)
        painter.drawPath(half)
    if opacity < 1:
        painter.setOpacity(before)
    painter.translate(-x, -y)


# Boxes ------------------------------------------------------------------------------------------------------------


def draw_box(
    painter: QPainter,
    rect: QRectF,
    fill: QColor | None,
    radius: float = 0.0,
    line: QColor | None = None,
    width: float = 1.0,
    dash: bool = False,
) -> None:
    """A rounded box; its line lies inside its edge."""
    if line is not None:
        pen = QPen(line, width)
        if dash:
            pen.setDashPattern([4 / width, 3 / width])
        painter.setPen(pen)
        half = width / 2
        rect = rect.adjusted(half, half, -half, -half)
    else:
        painter.setPen(NO_PEN)
    painter.setBrush(fill if fill is not None else Qt.BrushStyle.NoBrush)
    if radius:
        painter.drawRoundedRect(rect, radius, radius)
    else:
        painter.drawRect(rect)


def snapped(x: float, y: float, width: float, height: float, scale: float) -> QRectF:
    """The rectangle with its edges on device pixels when drawn at `scale` device px a unit."""
    left, top = round(x * scale) / scale, round(y * scale) / scale
    right, bottom = round((x + width) * scale) / scale, round((y + height) * scale) / scale
    return QRectF(left, top, right - left, bottom - top)


class NinePatch:
    """A frame around any rectangle, painted once and then put together from nine pieces of a pixmap."""

    def __init__(self, margin: float, corner: float, scale: float, draw: Callable[[QPainter, QRectF], None]) -> None:
        """`draw` paints around the rectangle it gets, reaching out up to `margin`; the corners take up `corner` inside it."""
        self._margin = margin
        self._scale = scale
        edge = math.ceil((margin + corner) * scale)
        side = 2 * edge + 2
        self._edge, self._side = edge, side
        self._kept: dict[tuple[int, int], tuple[QPixmap, QPixmap, QPixmap]] = {}
        self._pixmap = QPixmap(side, side)
        self._pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(self._pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(scale, scale)
        inner = side / scale - 2 * margin
        draw(painter, QRectF(margin, margin, inner, inner))
        painter.end()

    def paint(self, painter: QPainter, rect: QRectF) -> None:
        """Paint around `rect`, in the painter's units; sharp when the painter draws at this patch's scale."""
        unit = self._edge / self._scale
        x0, y0 = rect.left() - self._margin, rect.top() - self._margin
        width, height = rect.width() + 2 * self._margin, rect.height() + 2 * self._margin
        top, middle, bottom = self._strips(
            max(2 * self._edge + 2, round(width * self._scale)), max(2 * self._edge + 2, round(height * self._scale))
        )
        painter.drawPixmap(QRectF(x0, y0, width, unit), top, QRectF(top.rect()))
        painter.drawPixmap(QRectF(x0, y0 + height - unit, width, unit), bottom, QRectF(bottom.rect()))
        for k, left in enumerate((x0, x0 + width - unit)):
            source = QRectF(k * self._edge, 0, self._edge, middle.height())
            painter.drawPixmap(QRectF(left, y0 + unit, unit, height - 2 * unit), middle, source)

    def _strips(self, width: int, height: int) -> tuple[QPixmap, QPixmap, QPixmap]:
        """Top, both sides and bottom at a size in device px, so that painting needs no stretching; the last few sizes are kept."""
        found = self._kept.get((width, height))
        if found is None:
            edge, side, cut = self._edge, self._side, self._pixmap
            top, bottom, middle = QPixmap(width, edge), QPixmap(width, edge), QPixmap(2 * edge, max(1, height - 2 * edge))
            for made, y in ((top, 0), (bottom, side - edge)):
                made.fill(Qt.GlobalColor.transparent)
                painter = QPainter(made)
                painter.drawPixmap(0, 0, cut, 0, y, edge, edge)
                painter.drawPixmap(QRectF(edge, 0, width - 2 * edge, edge), cut, QRectF(edge, y, 2, edge))
                painter.drawPixmap(width - edge, 0, cut, side - edge, y, edge, edge)
                painter.end()
            middle.fill(Qt.GlobalColor.transparent)
            painter = QPainter(middle)
            painter.drawPixmap(QRectF(0, 0, edge, middle.height()), cut, QRectF(0, edge, edge, 2))
            painter.drawPixmap(QRectF(edge, 0, edge, middle.height()), cut, QRectF(side - edge, edge, edge, 2))
            painter.end()
            if len(self._kept) >= 12:
                self._kept.pop(next(iter(self._kept)))
            found = self._kept[width, height] = (top, middle, bottom)
        return found


def _shadow(theme: Theme, radius: float, reach: int, drop: float, strength: float) -> Callable[[QPainter, QRectF], None]:
    def draw(painter: QPainter, rect: QRectF) -> None:
        painter.setPen(NO_PEN)
        for step in range(reach):
            k = (step + 1) / reach
            alpha = strength * (1 - k) ** 2 / reach * 3.2 * (1.0 if theme.is_dark else 0.45)
            grow = k * reach
            painter.setBrush(QColor(0, 0, 0, int(255 * alpha)))
            painter.drawRoundedRect(rect.adjusted(-grow, -grow + drop, grow, grow + drop), radius + grow, radius + grow)

    return draw


def _glow(color: QColor, radius: float, reach: int, strength: float) -> Callable[[QPainter, QRectF], None]:
    def draw(painter: QPainter, rect: QRectF) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for step in range(reach):
            k = (step + 1) / reach
            tone = QColor(color)
            tone.setAlphaF(strength * (1 - k) ** 1.6)
            painter.setPen(QPen(tone, 1.6))
            painter.drawRoundedRect(rect.adjusted(-step, -step, step, step), radius + step, radius + step)

    return draw


def _ring(color: QColor, radius: float, gap: float, width: float) -> Callable[[QPainter, QRectF], None]:
    def draw(painter: QPainter, rect: QRectF) -> None:
        out = gap + width / 2
        painter.setPen(QPen(color, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(rect.adjusted(-out, -out, out, out), radius + out, radius + out)

    return draw


@lru_cache(maxsize=96)
def patch(
    kind: Literal["shadow", "shadow_hover", "shadow_popup", "halo", "halo_bad", "ring", "fit"],
    theme_name: str,
    scale: float,
    tone: str = "",
) -> NinePatch:
    """The shadow, halo or selection ring of a theme at a scale (zoom x device pixel ratio). `tone` colours "fit"."""
    theme = themes.load(theme_name)
    radius = float(theme.radius["node"])
    if kind == "shadow":
        return NinePatch(SHADOW_MARGIN, radius, scale, _shadow(theme, radius, 14, 4, 0.30))
    if kind == "shadow_hover":
        return NinePatch(SHADOW_MARGIN + 4, radius, scale, _shadow(theme, radius, 18, 4, 0.42))
    if kind == "shadow_popup":
        return NinePatch(56, 12, scale, _shadow(theme, 12, 36, 14, 0.5))
    if kind == "halo":
        return NinePatch(14, radius, scale, _glow(theme.color("state.live"), radius, 12, 0.26))
    if kind == "halo_bad":
        return NinePatch(14, radius, scale, _glow(theme.color("state.bad"), radius, 8, 0.16))
    if kind == "fit":
        return NinePatch(12, 8, scale, _glow(theme.color(tone), 8, 8, 0.5))
    return NinePatch(6, radius + 4, scale, _ring(theme.color("accent.base"), radius, theme.size["selection_gap"], theme.size["selection"]))


def scale_step(scale: float) -> float:
    """A scale for nine-patches: exact steps of 5 %, so that the cache stays small."""
    return max(0.05, round(scale * 20) / 20)
