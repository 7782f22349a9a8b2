"""Paints the value rows of a node: numbers, choices, files, switches, prompts. Floating editor and inspector paint their fields with it too."""

from __future__ import annotations

import re
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPainterPath

from ui import theme as themes
from ui.canvas.anatomy import PAD, ROW, Anatomy, Row
from ui.canvas.paint import NO_PEN, draw_box, draw_text, snapped, text_width
from ui.theme import Theme

BAR_LEAST = 2.0  # px: a thinner bar reads as a flaw of the field's edge


def paint_row(painter: QPainter, theme: Theme, row: Row, made: Anatomy, detail: bool, hover: bool, scale: float) -> None:
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
        words, role = (row.value, "value") if row.value else ("linked", "small")
        name = min(text_width(row.label), rect.width() * 0.6)
        draw_text(painter, rect.x() + 8, rect.y(), rect.width() * 0.6, ROW, row.label, theme.color(label_tone(row)))
        left = rect.x() + name + 20
        draw_text(painter, left, rect.y(), rect.right() - 8 - left, ROW, words, theme.color("text.tertiary"), role, "right")
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


def label_tone(row: Row, hover: bool = False) -> str:
    """Red is what a failure is about; blue names stand on the subgraph around, too."""
    return "state.bad" if row.bad else "text.link" if row.is_outside else "text.primary" if hover else "text.secondary"


def paint_field(painter: QPainter, theme: Theme, row: Row, rect: QRectF, hover: bool = False, focus: bool = False) -> None:
    """A row with label and value: number, seed, choice, file, colour, a line of text, a drawing."""
    x, y, width = rect.x(), rect.y(), rect.width()
    fill = theme.color("surface.field_hover" if hover and row.kind != "number" else "surface.field")
    draw_box(painter, rect, fill, 4)
    if row.kind == "number" and row.share is not None:
        left, right = row.share
        if (right - left) * width >= BAR_LEAST:
            painter.setPen(NO_PEN)
            painter.setBrush(theme.color("surface.field_fill_hover" if hover else "surface.field_fill"))
            painter.drawPath(_bar_shape(round(width, 2), rect.height(), round(left, 4), round(right, 4)).translated(x, y))
    line = "state.bad" if row.bad else "state.warn" if row.missing else "line.focus" if focus else "line.strong" if hover else ""
    if line:
        draw_box(painter, rect, None, 4, theme.color(line), 1.5 if focus else 1.0)
    ink, label = theme.color("text.primary"), theme.color(label_tone(row, hover))
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
            painter, x + 8 + name_width + 4, y, width - room - name_width - 12, height, row.value, ink, "value" if mono else "body", "right"
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
    draw_text(painter, rect.x() + 8, rect.y(), rect.width() - 52, ROW, row.label, theme.color(label_tone(row)))
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
    line = theme.color(label_tone(row)) if row.bad or row.is_outside else theme.color("line.strong") if hover else None
    draw_box(painter, rect, theme.color("surface.field_hover" if hover else "surface.field"), 4, line)
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
