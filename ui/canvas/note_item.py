"""A note: Markdown on yellow paper. It never loads anything: pictures in its text become words, HTML stays text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, QRectF, QSizeF, QUrl
from PySide6.QtGui import QAbstractTextDocumentLayout, QPainter, QPalette, QTextDocument

from nodegraph.graph import Note
from ui import theme as themes
from ui.canvas.node_item import CachedItem
from ui.canvas.paint import draw_box, draw_text, patch, scale_step, snapped
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

HEAD = 32.0


class InertDocument(QTextDocument):
    """Rich text that loads no file and no address, whatever it says."""

    def loadResource(self, type: int, name: QUrl | str) -> Any:
        return None

    def show_markdown(self, text: str) -> None:
        without_pictures = re.sub(r"!(?=\[)", "", text)
        self.setMarkdown(
            without_pictures, QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
        )


class NoteItem(CachedItem):
    def __init__(self, scene: GraphScene, note: Note) -> None:
        super().__init__(scene)
        self.note = note
        self.key = f"note:{note.id}"
        self.z = -0.5
        self.show_note(note)

    def show_note(self, note: Note) -> None:
        self.update()
        self.note = note
        self.set_pos(note.rect[0], note.rect[1])
        self.changed()

    def size(self) -> tuple[float, float]:
        return self.note.rect[2], self.note.rect[3]

    def reach(self) -> QRectF:
        return QRectF(0, 0, *self.size()).adjusted(-6, -6, 6, 6)

    def paint(self, painter: QPainter) -> None:
        transform = painter.worldTransform()
        theme = self._scene.theme
        scale = transform.m11() * self._scene.ratio
        self.blit_still(painter, theme, transform, scale, transform.m11() >= theme.size["lod_block"])
        if self.selected:
            patch("ring", theme.name, scale_step(scale)).paint(painter, snapped(0, 0, *self.size(), scale))

    def paint_still(self, painter: QPainter, theme: Theme, scale: float, detail: bool) -> None:
        width, height = self.size()
        tone = theme.known(self.note.color, "state.warn")
        paper = "surface.canvas" if theme.is_dark else "surface.raised"
        box = snapped(0, 0, width, height, scale)
        draw_box(painter, box, theme.mix(tone, paper, 0.13), 8, theme.mix(tone, paper, 0.30))
        if not detail:
            return
        title, body = split_note(self.note.text)
        themes.draw_icon(painter, "sticky-note", QRectF(10, 9, 14, 14), theme.color(tone), 2)
        draw_text(painter, 30, 0, width - 40, HEAD, title, theme.color("text.primary"), "body_strong")
        document = InertDocument()
        document.setDefaultFont(themes.font("body"))
        document.setDocumentMargin(0)
        document.setTextWidth(width - 22)
        document.setDefaultStyleSheet("h1 { font-size: 14px; }")
        document.show_markdown(body)
        document.setPageSize(QSizeF(width - 22, -1))
        context = QAbstractTextDocumentLayout.PaintContext()
        context.palette.setColor(QPalette.ColorRole.Text, theme.color("text.secondary"))
        context.palette.setColor(QPalette.ColorRole.Link, theme.color("text.link"))
        painter.save()
        painter.translate(QPointF(12, HEAD + 1))
        painter.setClipRect(QRectF(0, 0, width - 20, max(0.0, height - HEAD - 6)))
        document.documentLayout().draw(painter, context)
        painter.restore()


def split_note(text: str) -> tuple[str, str]:
    """A note's head line and its body: the first line if it is a heading, else the word "Note"."""
    first, _, rest = text.partition("\n")
    if first.startswith("#"):
        return first.lstrip("# ").strip() or "Note", rest.lstrip("\n")
    return "Note", text
