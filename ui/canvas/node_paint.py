"""Paints the still body of a node, which goes into the pixmap cache: header, ports, outline; `row_paint` does its values."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen

from ui import theme as themes
from ui.canvas.anatomy import HEADER, PORT_ROW, Anatomy, Port
from ui.canvas.curve_paint import joined, paint_curve
from ui.canvas.model import IDLE, RunState
from ui.canvas.paint import NO_PEN, SHADOW_MARGIN, draw_box, draw_port, draw_text, patch, scale_step, snapped, text_width
from ui.canvas.row_paint import paint_row
from ui.theme import Theme

MARGIN = SHADOW_MARGIN
TITLE_LEAST = 60.0  # px of a title that a family and a time leave to it


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
    outputs: tuple[str, ...] = ()
    pack: str = ""

    @property
    def opacity(self) -> float:
        if self.mode == "muted":
            return themes.current().opacity["muted"]
        return themes.current().opacity["bypassed"] if self.mode == "bypassed" else 1.0


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
        if made.curve is not None:
            paint_curve(painter, theme, snapped(*made.curve, scale), joined(look.run.curves or {}, look.outputs))
        for row in made.rows:
            paint_row(painter, theme, row, made, detail, row.name == look.hovered_row, scale)
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
            right -= badge_width(look)
        if look.pinned:
            themes.draw_icon(painter, "pin", QRectF(right - 12, 8, 12, 12), theme.color("text.tertiary"), 2)
            right -= 16
        width = text_width(look.family, "caption", 500) + 10 if look.family else 0.0
        if look.family and right - width - 37 - side >= min(TITLE_LEAST, text_width(look.title, "node_title")):
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


def fits_badge(look: Look) -> bool:
    """Whether the words at the header's right end leave room for the title; a narrow node keeps only their icon."""
    words, _, icon, _ = badge_words(look)
    free = look.anatomy.width - 39 - (16 if look.pinned else 0) - (16 if icon else 0) - text_width(words, "caption", 500, True)
    return not icon or free >= min(TITLE_LEAST, text_width(look.title, "node_title"))


def badge_width(look: Look) -> float:
    """What `paint_badge` takes of the header."""
    words, _, icon, _ = badge_words(look)
    return (text_width(words, "caption", 500, True) + 4 if words and fits_badge(look) else 0.0) + (16 if icon else 0)


def paint_badge(painter: QPainter, theme: Theme, look: Look, right: float) -> float:
    """Time or state at the header's right end; returns where the room to its left ends."""
    words, tone, icon, icon_tone = badge_words(look)
    if words and fits_badge(look):
        width = text_width(words, "caption", 500, True)
        draw_text(painter, right - width, 0, width + 2, HEADER, words, theme.color(tone), "caption", "left", 500, True, whole=True)
        right -= width + 4
    if icon:
        themes.draw_icon(painter, icon, QRectF(right - 12, 8, 12, 12), theme.color(icon_tone), 2)
        right -= 16
    return right


def _paint_port_label(painter: QPainter, theme: Theme, made: Anatomy, port: Port) -> None:
    tone = theme.color("state.bad" if port.bad else "text.link" if port.is_outside else "text.secondary")
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


def paint_dot(painter: QPainter, theme: Theme, made: Anatomy, selected: bool, hovered: bool) -> None:
    """A reroute: the mark of what flows through it."""
    kind = theme.port_kind(made.ports[1].type)
    center = made.width / 2
    if selected or hovered:
        painter.setPen(QPen(theme.color("accent.base" if selected else "line.strong"), 2))
        painter.setBrush(theme.color("surface.canvas"))
        painter.drawEllipse(QPointF(center, center), 10, 10)
    draw_port(painter, theme, kind, center, center, 10.5, True)
