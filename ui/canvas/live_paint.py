"""Paints what a run puts on top of a node's still body: its picture, progress, steps, and the words of a failure."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QLinearGradient, QPainter, QPainterPath, QPixmap, QTransform

from ui import theme as themes
from ui.canvas.anatomy import GAP, HEADER, PAD, Anatomy
from ui.canvas.model import RunState
from ui.canvas.paint import NO_PEN, draw_box, draw_text, wrapped
from ui.theme import Theme

ERROR_LINES = 5  # what and what to do; more stands in the tip and under Problems
CUT_MOST = 0.12  # of a picture's width or height


def fitted_preview(image: QImage, width: float, height: float, ratio: float, opacity: float, fast: bool) -> QPixmap:
    """The picture in the preview's room, with round corners, as a pixmap to be blitted: whole, or filling it where that cuts off little."""
    w, h = max(1, round(width * ratio)), max(1, round(height * ratio))
    made = QPixmap(w, h)
    made.fill(Qt.GlobalColor.transparent)
    if image.isNull():
        return made
    across_room = image.width() / image.height() * h / w
    fill = 1 - CUT_MOST <= across_room <= 1 / (1 - CUT_MOST)
    k = (max if fill else min)(w / image.width(), h / image.height())
    across, down = max(1, round(image.width() * k)), max(1, round(image.height() * k))
    if not (fast and k > 0.4):  # a brush filters over 2 x 2 pixels only
        image = image.scaled(across, down, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    left, top = (w - across) / 2, (h - down) / 2
    painter = QPainter(made)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
    painter.setOpacity(opacity)
    painter.setPen(NO_PEN)
    brush = QBrush(image)
    brush.setTransform(QTransform(across / image.width(), 0, 0, down / image.height(), left, top))
    painter.setBrush(brush)
    x0, y0 = max(0.0, left), max(0.0, top)
    painter.drawRoundedRect(QRectF(x0, y0, min(w, across), min(h, down)), 6 * ratio, 6 * ratio)
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def paint_empty_preview(painter: QPainter, theme: Theme, rect: QRectF, words: str) -> None:
    middle = rect.y() + rect.height() / 2
    if rect.height() >= 60:
        themes.draw_icon(painter, "image", QRectF(rect.x() + rect.width() / 2 - 10, middle - 18, 20, 20), theme.color("text.disabled"), 1.5)
        draw_text(painter, rect.x(), middle + 4, rect.width(), 18, words, theme.color("text.tertiary"), "small", "center")


def paint_progress(painter: QPainter, theme: Theme, made: Anatomy, run: RunState) -> None:
    """The 3 px amber line at the header's foot."""
    y = HEADER - 3 if made.folded else HEADER - 2
    inset = 4.0 if made.folded else 0.75
    share = run.done / run.total if run.total else 0.0
    width = made.width - 2 * inset
    painter.fillRect(QRectF(inset, y, width, 3), theme.color("state.live", 0.22))
    painter.fillRect(QRectF(inset, y, width * min(1.0, share), 3), theme.color("state.live"))


@lru_cache(maxsize=64)
def _foot_shape(width: float) -> QPainterPath:
    """The lowest 34 px of a preview with its two round corners; (0, 0) is the lower left."""
    path = QPainterPath(QPointF(0, -34))
    path.lineTo(width, -34)
    path.lineTo(width, -6)
    path.arcTo(QRectF(width - 12, -12, 12, 12), 0, -90)
    path.lineTo(6, 0)
    path.arcTo(QRectF(0, -12, 12, 12), 270, -90)
    path.closeSubpath()
    return path


def paint_ticks(painter: QPainter, theme: Theme, rect: QRectF, run: RunState) -> None:
    """On the preview's foot: the step, sigma, and one tick per step."""
    x, bottom, width = rect.x(), rect.bottom(), rect.width()
    shade = QLinearGradient(0, bottom - 34, 0, bottom)
    plate = QColor(theme.color("on_image.plate"))
    clear = QColor(plate)
    clear.setAlpha(0)
    shade.setColorAt(0, clear)
    shade.setColorAt(0.45, plate)  # words must be read over snow, too
    shade.setColorAt(1, plate)
    painter.setPen(NO_PEN)
    painter.setBrush(shade)
    painter.drawPath(_foot_shape(round(width, 2)).translated(x, bottom))
    total = run.total
    if 0 < total <= width / 3:
        gap = 1.5 if total <= 40 else 0.75
        unit = (width - 16 + gap) / total
        live, rest = theme.color("on_image.live"), QColor(255, 255, 255, 70)
        for step in range(total):
            painter.fillRect(QRectF(x + 8 + step * unit, bottom - 9, unit - gap, 3), live if step < run.done else rest)
    elif total:
        painter.fillRect(QRectF(x + 8, bottom - 9, width - 16, 3), QColor(255, 255, 255, 70))
        painter.fillRect(QRectF(x + 8, bottom - 9, (width - 16) * run.done / total, 3), theme.color("on_image.live"))
    draw_text(painter, x + 8, bottom - 27, 120, 16, f"{run.done} / {run.total}", theme.color("on_image.primary"), "caption", mono=True)
    if run.sigma is not None:
        draw_text(
            painter, x, bottom - 27, width - 8, 16, f"σ {run.sigma:.2f}", theme.color("on_image.secondary"), "caption", "right", 400, True
        )


def error_rect(made: Anatomy, message: str) -> tuple[QRectF, bool]:
    """Where a failure's words go: over the preview's foot, or hanging below a node that has none; the node keeps its size."""
    lines = wrapped(message, int(made.width - 2 * PAD - 16), ERROR_LINES, "small")
    height = 15.0 * len(lines) + 10
    if made.preview is not None and not made.folded and made.preview[3] >= height:
        x, y, width, room = made.preview
        return QRectF(x, y + room - height, width, height), True
    return QRectF(0, made.height + GAP, made.width, height), False


def paint_error(painter: QPainter, theme: Theme, made: Anatomy, message: str) -> None:
    rect, inside = error_rect(made, message)
    under = theme.color("surface.node")
    draw_box(painter, rect, theme.mix("state.bad", under, 0.16), 6 if inside else 8, theme.color("state.bad", 0.6))
    y = rect.y() + 4
    for _, line in wrapped(message, int(made.width - 2 * PAD - 16), ERROR_LINES, "small"):
        draw_text(painter, rect.x() + 8, y, rect.width() - 12, 15, line, theme.color("text.primary"), "small")
        y += 15
