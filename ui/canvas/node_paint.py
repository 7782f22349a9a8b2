"""Paints one node: the still body that goes into the pixmap cache, and what moves on top of it during a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QLinearGradient, QPainter, QPainterPath, QPen, QPixmap, QTransform

from ui import theme as themes
from ui.canvas.anatomy import GAP, HEADER, PAD, PORT_ROW, ROW, Anatomy, Port, Row
from ui.canvas.model import IDLE, RunState
from ui.canvas.paint import NO_PEN, SHADOW_MARGIN, draw_box, draw_port, draw_text, patch, scale_step, snapped, text_width, wrapped
from ui.theme import Theme

MARGIN = SHADOW_MARGIN
ERROR_LINES = 3


@dataclass(slots=True)
class Look:
    """Everything that the paint of a node depends on, besides the theme."""

    title: str
    category: str
    anatomy: Anatomy
    icon: str = ""
    mode: str = "on"
    pinned: bool = False
    missing: bool = False
    family: str = ""
    color: str | None = None
    run: RunState = field(default_factory=lambda: IDLE)
    hovered: bool = False
    hovered_row: str | None = None
    seed: int | None = None
    pack: str = ""

    @property
    def opacity(self) -> float:
        if self.mode == "muted":
            return themes.current().opacity["muted"]
        return themes.current().opacity["bypassed"] if self.mode == "bypassed" else 1.0


# The still body ---------------------------------------------------------------------------------------------------


def paint_body(painter: QPainter, theme: Theme, look: Look, scale: float, detail: bool) -> None:
    """The node from its origin, at `scale` device pixels a unit. Without `detail`: bars without text, for 35 to 60 % zoom."""
    made = look.anatomy
    box = snapped(0, 0, made.width, made.height, scale)
    failed = look.run.state == "failed"
    if failed:
        patch("halo_bad", theme.name, scale_step(scale)).paint(painter, box)
    patch("shadow_hover" if look.hovered else "shadow", theme.name, scale_step(scale)).paint(painter, box)
    if look.opacity < 1:
        draw_box(painter, box, theme.color("surface.canvas"), 8)
        painter.setOpacity(look.opacity)
    category = theme.color(look.color) if look.color else theme.color(theme.category_token(look.category))
    draw_box(painter, box, theme.color("surface.node"), 8)
    _paint_header_fill(painter, theme, look, box, category, scale)
    _paint_title(painter, theme, look, category, detail)
    if not made.folded:
        for port in made.ports:
            if detail and not port.small:
                _paint_port_label(painter, theme, made, port)
        for row in made.rows:
            _paint_row(painter, theme, row, made, detail, row.name == look.hovered_row, scale)
        if made.preview is not None:
            draw_box(painter, snapped(*made.preview, scale), theme.color("surface.field"), 6)
    painter.setOpacity(1.0)
    _paint_outline(painter, theme, look, box)
    paint_ports(painter, theme, look)


def paint_ports(painter: QPainter, theme: Theme, look: Look) -> None:
    """The marks on the node's edges, above everything else of it."""
    made = look.anatomy
    fade = 0.45 if look.mode == "muted" else 0.8 if look.mode == "bypassed" else 1.0
    for port in made.ports:
        if port.small and not made.folded and not port.linked and not look.hovered:
            continue
        size = 9.0 if port.small else 12.0
        draw_port(painter, theme, theme.port_kind(port.type), port.x, port.y, size, port.linked or made.folded, True, fade)


def _paint_header_fill(painter: QPainter, theme: Theme, look: Look, box: QRectF, category: QColor, scale: float) -> None:
    """The tinted top with its round corners, and the 1 px shade below it."""
    made = look.anatomy
    tint = theme.opacity[f"header_tint_{theme.name}"]
    color = theme.mix(category, "surface.node_header", tint)
    if look.missing:
        color = theme.mix("state.missing", "surface.node_header", 0.12)
    elif look.run.state == "failed":
        color = theme.mix("state.bad", "surface.node_header", 0.22)
    painter.setPen(NO_PEN)
    painter.setBrush(color)
    painter.drawPath(_header_shape(box.width(), box.height(), made.folded))
    if look.missing:
        painter.save()
        clip = QPainterPath()
        clip.addRoundedRect(box, 8, 8)
        painter.setClipPath(clip)
        painter.setPen(QPen(theme.color("state.missing", 0.10), 6))
        for k in range(-int(made.height), int(made.width), 18):
            painter.drawLine(QPointF(k, made.height), QPointF(k + made.height, 0))
        painter.restore()
    if not made.folded:
        painter.fillRect(snapped(0, HEADER - 1, made.width, 1, scale), theme.color("line.node", 0.55 if theme.is_dark else 0.6))


@lru_cache(maxsize=128)
def _header_shape(width: float, height: float, whole: bool) -> QPainterPath:
    path = QPainterPath()
    if whole:
        path.addRoundedRect(QRectF(0, 0, width, height), 8, 8)
        return path
    path.moveTo(0, HEADER)
    path.lineTo(0, 8)
    path.arcTo(QRectF(0, 0, 16, 16), 180, -90)
    path.lineTo(width - 8, 0)
    path.arcTo(QRectF(width - 16, 0, 16, 16), 90, -90)
    path.lineTo(width, HEADER)
    path.closeSubpath()
    return path


def _paint_title(painter: QPainter, theme: Theme, look: Look, category: QColor, detail: bool) -> None:
    made = look.anatomy
    side = 6.0 if made.folded else 0.0
    failed = look.run.state == "failed"
    tone = theme.color("state.missing") if look.missing else theme.color("state.bad") if failed else category
    icon = "triangle-alert" if look.missing else look.icon or themes.category_icon(look.category)
    themes.draw_icon(painter, icon, QRectF(9 + side, 7, 14, 14), tone, 2)
    right = made.width - 8 - side
    if detail:
        if look.run.state != "running":
            right = paint_badge(painter, theme, look, right)
        else:
            right -= text_width(badge_words(look)[0], "caption", 500, True) + 4
        if look.pinned:
            themes.draw_icon(painter, "pin", QRectF(right - 12, 8, 12, 12), theme.color("text.tertiary"), 2)
            right -= 16
        if look.family:
            width = text_width(look.family, "caption", 500) + 10
            draw_box(painter, QRectF(right - width, 6, width, 16), theme.color("surface.field"), 4)
            draw_text(
                painter, right - width, 6, width, 16, look.family, theme.color("text.secondary"), "caption", "center", 500, whole=True
            )
            right -= width + 6
    if detail:
        draw_text(painter, 29 + side, 0, right - 31 - side, HEADER, look.title, theme.color("text.primary"), "node_title")
    else:  # larger, so that names can be read down to 35 %
        grow = 1.75
        painter.save()
        painter.translate(29 + side, 0)
        painter.scale(grow, grow)
        draw_text(painter, 0, 0, (right - 31 - side) / grow, HEADER / grow, look.title, theme.color("text.primary"), "node_title")
        painter.restore()


def badge_words(look: Look) -> tuple[str, str, str, str]:
    """The words, their colour, the icon and its colour at the right end of the header."""
    run = look.run
    if look.mode == "muted":
        return "muted", "text.tertiary", "circle-off", "text.tertiary"
    if look.mode == "bypassed":
        return "bypassed", "state.bypass", "redo-dot", "state.bypass"
    if look.missing:
        return "missing", "state.missing", "", ""
    if run.state == "running":
        words = run.note or (
            f"{seconds_text(run.eta)} left" if run.eta is not None else f"{run.done}/{run.total}" if run.total else "running"
        )
        return words, "state.live_text", "", ""
    if run.state == "failed":
        return "failed", "state.bad", "circle-alert", "state.bad"
    if run.state == "queued":
        return ("next" if run.place == 1 else "queued"), "text.secondary", "clock", "text.tertiary"
    took = seconds_text(run.seconds) if run.seconds is not None and run.seconds >= 0.05 else ""
    if run.state == "cached":
        return run.note or took, "text.secondary", "zap", "state.cached"
    if run.state == "done":
        return run.note or took, "text.secondary", "check", "state.ok"
    return "", "", "", ""


def seconds_text(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def paint_badge(painter: QPainter, theme: Theme, look: Look, right: float) -> float:
    """Time or state at the header's right end; returns where the room to its left ends."""
    words, tone, icon, icon_tone = badge_words(look)
    if words:
        width = text_width(words, "caption", 500, True)
        draw_text(painter, right - width, 0, width + 2, HEADER, words, theme.color(tone), "caption", "left", 500, True, whole=True)
        right -= width + 4
    if icon:
        themes.draw_icon(painter, icon, QRectF(right - 12, 8, 12, 12), theme.color(icon_tone), 2)
        right -= 16
    return right


def _paint_port_label(painter: QPainter, theme: Theme, made: Anatomy, port: Port) -> None:
    tone = theme.color("state.bad" if port.bad else "text.secondary")
    both = any(other.side != port.side and abs(other.y - port.y) < 1 for other in made.ports)
    room = made.width * (0.5 if both else 0.85) - 16
    top = port.y - PORT_ROW / 2
    words = port.label + (" …" if port.many else "")
    if port.side == "in":
        draw_text(painter, 14, top, room, PORT_ROW, words, tone)
    else:
        draw_text(painter, made.width - 14 - room, top, room, PORT_ROW, words, tone, align="right")


def _paint_outline(painter: QPainter, theme: Theme, look: Look, box: QRectF) -> None:
    if look.missing:
        draw_box(painter, box, None, 8, theme.color("state.missing"), 1.25, dash=True)
    elif look.mode == "bypassed":
        draw_box(painter, box, None, 8, theme.color("state.bypass"), 1.25, dash=True)
    elif look.mode == "muted":
        draw_box(painter, box, None, 8, theme.color("line.strong"), 1.0, dash=True)
    elif look.run.state == "failed":
        draw_box(painter, box, None, 8, theme.color("state.bad"), 1.5)
    elif look.run.state == "running":
        draw_box(painter, box, None, 8, theme.color("state.live"), 1.5)
    else:
        draw_box(painter, box, None, 8, theme.color("line.strong" if look.hovered else "line.node"), 1.0)


# Rows -------------------------------------------------------------------------------------------------------------


def _paint_row(painter: QPainter, theme: Theme, row: Row, made: Anatomy, detail: bool, hover: bool, scale: float) -> None:
    rect = snapped(PAD, row.y, made.width - 2 * PAD, row.height, scale)
    if not detail:
        _paint_row_far(painter, theme, row, rect)
        return
    if row.kind == "advanced":
        tone = theme.color("text.secondary" if hover else "text.tertiary")
        themes.draw_icon(painter, "chevron-down" if row.on else "chevron-right", QRectF(rect.x() + 6, rect.y() + 4, 12, 12), tone, 2.2)
        draw_text(painter, rect.x() + 22, rect.y(), rect.width() - 30, rect.height(), row.label, tone, "small")
    elif row.kind == "text":
        paint_prompt(painter, theme, rect, str(row.raw or ""), row, hover)
    elif row.kind == "toggle":
        _paint_switch(painter, theme, row, rect)
    elif row.kind == "linked":
        draw_text(painter, rect.x() + 8, rect.y(), rect.width() * 0.6, ROW, row.label, theme.color("text.secondary"))
        draw_text(painter, rect.x(), rect.y(), rect.width() - 8, ROW, "linked", theme.color("text.tertiary"), "small", "right")
    else:
        paint_field(painter, theme, row, rect, hover)


def _paint_row_far(painter: QPainter, theme: Theme, row: Row, rect: QRectF) -> None:
    if row.kind in ("linked", "advanced"):
        return
    draw_box(painter, rect, theme.color("surface.field"), 4)
    if row.kind == "number" and row.share is not None:
        left, right = row.share
        painter.fillRect(
            QRectF(rect.x() + rect.width() * left, rect.y(), rect.width() * (right - left), rect.height()),
            theme.color("surface.field_fill"),
        )
    elif row.kind == "text":
        for number in range(min(len(row.lines), 4)):
            width = min(rect.width() - 16, 7.0 * len(row.lines[number][1]))
            painter.fillRect(QRectF(rect.x() + 8, rect.y() + 10 + 16 * number, width, 4), theme.color("surface.field_fill"))


def paint_field(painter: QPainter, theme: Theme, row: Row, rect: QRectF, hover: bool = False, focus: bool = False) -> None:
    """A row with label and value: number, seed, choice, file, colour, a line of text, a drawing."""
    x, y, width = rect.x(), rect.y(), rect.width()
    fill = theme.color("surface.field_hover" if hover and row.kind != "number" else "surface.field")
    draw_box(painter, rect, fill, 4)
    if row.kind == "number" and row.share is not None:
        left, right = row.share
        if right > left:
            painter.setPen(NO_PEN)
            painter.setBrush(theme.color("surface.field_fill_hover" if hover else "surface.field_fill"))
            painter.drawPath(_bar_shape(round(width, 2), rect.height(), round(left, 4), round(right, 4)).translated(x, y))
    line = "state.warn" if row.missing else "line.focus" if focus else "line.strong" if hover else ""
    if line:
        draw_box(painter, rect, None, 4, theme.color(line), 1.5 if focus else 1.0)
    ink, label = theme.color("text.primary"), theme.color("text.primary" if hover else "text.secondary")
    height = ROW
    if row.kind == "number":
        inset = 18.0 if hover else 8.0
        if hover:
            themes.draw_icon(painter, "chevron-left", QRectF(x + 3, y + 6, 12, 12), ink, 2)
            themes.draw_icon(painter, "chevron-right", QRectF(x + width - 15, y + 6, 12, 12), ink, 2)
        taken = draw_text(painter, x, y, width - inset, height, row.value, ink, "value", "right")
        draw_text(painter, x + (16 if hover else 8), y, width - taken - inset - 20, height, row.label, label)
    elif row.kind == "file":
        themes.draw_icon(
            painter, _file_icon(row), QRectF(x + 7, y + 5, 14, 14), theme.color("state.warn" if row.missing else "text.tertiary")
        )
        draw_text(
            painter,
            x + 27,
            y,
            width - 49,
            height,
            row.value if row.raw else f"{row.label}: choose",
            ink if row.raw else theme.color("text.tertiary"),
            middle=True,
        )
        themes.draw_icon(painter, "chevron-down", QRectF(x + width - 19, y + 6, 12, 12), theme.color("text.tertiary"))
    elif row.kind == "color":
        draw_text(painter, x + 8, y, width * 0.5, height, row.label, label)
        draw_text(painter, x, y, width - 34, height, row.value, ink, "value", "right")
        draw_box(
            painter,
            QRectF(x + width - 26, y + 4, 18, 16),
            QColor(str(row.raw)) if QColor.isValidColorName(str(row.raw)) else theme.color("surface.field"),
            3,
            theme.color("line.strong"),
        )
    else:
        icon, room = {"seed": ("dice-5", 24.0), "choice": ("chevron-down", 24.0), "drawing": ("brush", 26.0)}.get(row.kind, ("", 8.0))
        mono = row.kind == "seed"
        name_width = min(text_width(row.label), width * 0.5)
        draw_text(
            painter, x + 8 + name_width + 8, y, width - room - name_width - 16, height, row.value, ink, "value" if mono else "body", "right"
        )
        draw_text(painter, x + 8, y, width * 0.5, height, row.label, label)
        if icon:
            side = 12.0 if icon == "chevron-down" else 14.0
            themes.draw_icon(
                painter,
                icon,
                QRectF(x + width - 7 - side, y + (height - side) / 2, side, side),
                theme.color("text.secondary" if hover else "text.tertiary"),
            )


FILE_ICONS = {
    "checkpoints": "box",
    "loras": "puzzle",
    "controlnet": "scan-line",
    "vae": "box",
    "input": "image",
    "output": "folder",
    "upscale": "image-upscale",
}


def _file_icon(row: Row) -> str:
    marker = row.input.file if row.input is not None else None
    return FILE_ICONS.get(marker.folder, "box") if marker is not None else "file"


@lru_cache(maxsize=512)
def _bar_shape(width: float, height: float, left: float, right: float) -> QPainterPath:
    """A value bar cut to the field's round corners."""
    field_shape, bar = QPainterPath(), QPainterPath()
    field_shape.addRoundedRect(QRectF(0, 0, width, height), 4, 4)
    bar.addRect(QRectF(width * left, 0, width * (right - left), height))
    return field_shape.intersected(bar)


def _paint_switch(painter: QPainter, theme: Theme, row: Row, rect: QRectF) -> None:
    draw_text(painter, rect.x() + 8, rect.y(), rect.width() - 52, ROW, row.label, theme.color("text.secondary"))
    x, y = rect.right() - 36, rect.y() + 4
    draw_box(painter, QRectF(x, y, 28, 16), theme.color("accent.base" if row.on else "surface.field_fill"), 8)
    painter.setPen(NO_PEN)
    painter.setBrush(QColor("#FFFFFF"))
    painter.drawEllipse(QPointF(x + (20 if row.on else 8), y + 8), 5.5, 5.5)


PROMPT_MARKS = re.compile(r"\([^()]*:\s*-?[\d.]+\)|<[a-z]+:[^>]*>|\{[^{}]*\}|__[\w/-]+__|\bembedding:\S+|\bBREAK\b|\bAND\b")


def prompt_marks(text: str) -> list[tuple[int, int]]:
    """Where a prompt holds weights, LoRA tags, choices, wildcards or embeddings: (begin, end)."""
    return [match.span() for match in PROMPT_MARKS.finditer(text)]


def paint_prompt(painter: QPainter, theme: Theme, rect: QRectF, text: str, row: Row, hover: bool) -> None:
    draw_box(
        painter, rect, theme.color("surface.field_hover" if hover else "surface.field"), 4, theme.color("line.strong") if hover else None
    )
    ink = theme.color("text.primary")
    if not text:
        draw_text(painter, rect.x() + 8, rect.y() + 4, rect.width() - 16, 16, row.label, theme.color("text.tertiary"))
        return
    special = theme.color("port.text_encoder")
    marks = prompt_marks(text) if row.input is not None and row.input.text is not None and row.input.text.prompt else []
    y = rect.y() + 5
    for start, line in row.lines:
        x, at, end = rect.x() + 8, start, start + len(line)
        while at < end:
            inside = next((m for m in marks if m[0] <= at < m[1]), None)
            stop = min(end, inside[1] if inside else min((m[0] for m in marks if m[0] > at), default=end))
            part = line[at - start : stop - start]
            x += draw_text(painter, x, y, 0, 16, part, special if inside else ink, whole=True)
            at = stop
        y += 16


# What moves -------------------------------------------------------------------------------------------------------


def fitted_preview(image: QImage, width: float, height: float, ratio: float, opacity: float, fast: bool) -> QPixmap:
    """The picture filling the preview's room from its centre, with round corners, as a pixmap to be blitted.

    Pictures between 2:1 and 1:2 fill the room; others are shown whole."""
    w, h = max(1, round(width * ratio)), max(1, round(height * ratio))
    made = QPixmap(w, h)
    made.fill(Qt.GlobalColor.transparent)
    if image.isNull():
        return made
    aspect = image.width() / image.height()
    fill = 0.5 <= aspect <= 2 and 0.6 < aspect * h / w < 1.7
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


def paint_dot(painter: QPainter, theme: Theme, made: Anatomy, selected: bool, hovered: bool) -> None:
    """A reroute: the mark of what flows through it."""
    kind = theme.port_kind(made.ports[1].type)
    center = made.width / 2
    if selected or hovered:
        painter.setPen(QPen(theme.color("accent.base" if selected else "line.strong"), 2))
        painter.setBrush(theme.color("surface.canvas"))
        painter.drawEllipse(QPointF(center, center), 10, 10)
    draw_port(painter, theme, kind, center, center, 10.5, True)
