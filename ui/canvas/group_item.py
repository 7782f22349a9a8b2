"""A titled frame around nodes; folded, it stands for them as one small node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from nodegraph.graph import Group
from ui import theme as themes
from ui.canvas.anatomy import HEADER
from ui.canvas.item import Item
from ui.canvas.paint import draw_box, draw_port, draw_text, patch, scale_step
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

TITLE = 34.0
FOLDED_WIDTH = 216.0
COLORS = {
    "Teal": "category.control",
    "Blue": "category.image",
    "Violet": "category.loaders",
    "Pink": "category.latent",
    "Orange": "category.conditioning",
    "Green": "category.mask",
    "Grey": "category.logic",
}
"""What a hand can choose, by name; tokens, so that a file's colours fit both themes."""


def group_color(theme: Theme, color: str | None) -> QColor:
    """A group's colour: a token ("category.mask") or "#rrggbb"; grey-blue when the file holds nothing that is known."""
    return theme.color(theme.known(color, COLORS["Teal"]))


class GroupItem(Item):
    def __init__(self, scene: GraphScene, group: Group) -> None:
        super().__init__(scene)
        self.group = group
        self.show_group(group)

    def show_group(self, group: Group) -> None:
        self.update()
        self.group = group
        self.set_pos(group.rect[0], group.rect[1])
        self.z = 0.5 if group.folded else -3 - min(group.rect[2] * group.rect[3], 1e9) / 1e10  # smaller frames lie above larger ones
        self.update()

    def size(self) -> tuple[float, float]:
        if self.group.folded:
            return FOLDED_WIDTH, HEADER
        return self.group.rect[2], self.group.rect[3]

    def reach(self) -> QRectF:
        return QRectF(0, 0, *self.size()).adjusted(-26, -26, 26, 26)

    def paint(self, painter: QPainter) -> None:
        zoom = painter.worldTransform().m11()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.group.folded:
            self._paint_folded(painter, zoom)
        else:
            self.paint_frame(painter, zoom)

    def paint_frame(self, painter: QPainter, zoom: float) -> None:
        """The open frame, from its own origin."""
        theme = self._scene.theme
        color = group_color(theme, self.group.color)
        width, height = self.size()
        paper = "surface.canvas" if theme.is_dark else "surface.panel_header"
        line = theme.color("accent.base") if self.selected else theme.mix(color, "surface.canvas", 0.6 if self.hovered else 0.34)
        draw_box(
            painter,
            QRectF(0, 0, width, height),
            theme.mix(color, paper, theme.opacity["group_fill"]),
            12,
            line,
            2.0 if self.selected else 1.0,
        )
        if zoom >= theme.size["lod_block"]:
            draw_text(painter, 14, 6, width - 28, 24, self.group.title, theme.mix(color, "text.primary", 0.45), "heading")
        elif width * zoom > 60:
            painter.save()
            painter.scale(1 / zoom, 1 / zoom)
            draw_text(painter, 2, -16, width * zoom - 4, 16, self.group.title, theme.mix(color, "text.primary", 0.45), "small", weight=600)
            painter.restore()
        if self.hovered:
            grip = theme.mix(color, "surface.canvas", 0.7)
            painter.setPen(QPen(grip, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
            for k in (5.0, 10.0):
                painter.drawLine(int(width - 4), int(height - 4 - k), int(width - 4 - k), int(height - 4))

    def _paint_folded(self, painter: QPainter, zoom: float) -> None:
        theme = self._scene.theme
        color = group_color(theme, self.group.color)
        width, height = self.size()
        box = QRectF(0, 0, width, height)
        scale = scale_step(zoom * self._scene.ratio)
        patch("shadow", theme.name, scale).paint(painter, box)
        draw_box(painter, box, theme.mix(color, "surface.node_header", 0.2), 8, theme.color("line.strong" if self.hovered else "line.node"))
        if zoom > 0.3:
            count = len(self._scene.members_of(self.group.id))
            themes.draw_icon(painter, "group", QRectF(15, 7, 14, 14), color, 2)
            words = f"{count} nodes" if count != 1 else "1 node"
            taken = draw_text(painter, 0, 0, width - 14, HEADER, words, theme.color("text.secondary"), "caption", "right", 500)
            draw_text(painter, 35, 0, width - taken - 56, HEADER, self.group.title, theme.color("text.primary"), "node_title")
        kinds_in, kinds_out = self._scene.crossing_kinds(self.group.id)
        for x, kinds in ((0.0, kinds_in), (width, kinds_out)):
            shown = kinds[:3]
            for k, kind in enumerate(shown):
                draw_port(painter, theme, kind, x, HEADER / 2 + (k - (len(shown) - 1) / 2) * 9, 9)
        if self.selected:
            patch("ring", theme.name, scale).paint(painter, box)
