"""Examples as cards: a picture that was really made, a line about it, and whether it runs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QImage, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen, QPixmap, QResizeEvent
from PySide6.QtWidgets import QLineEdit, QScrollArea, QVBoxLayout, QWidget

from ui import theme
from ui.templates import Template, read_templates
from ui.threads import background
from ui.thumbnails import framed, read_picture

if TYPE_CHECKING:
    from nodegraph.registry import Registry

GAP = 20


class TemplateCard(QWidget):
    """One example. Enter or a click opens it."""

    chosen = Signal(object)

    def __init__(self, template: Template, small: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.template = template
        self._small_card = small
        self._image: QImage | None = None
        self._pixmap: QPixmap | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        ready = "runs at once" if template.is_ready else template.needs
        self.setAccessibleName(f"{template.title}. {template.about} {template.nodes} nodes, {ready}.")
        self.setToolTip(template.about)
        if template.picture is not None:
            path = template.picture
            background().run(lambda: read_picture(path, 1024), self._show, lambda _error: None, owner=self)

    def _show(self, image: QImage) -> None:
        self._image = image
        self._pixmap = None
        self.update()

    def _words_height(self) -> int:
        return 56 if self._small_card else 66

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRectF(self.rect())
        radius = 10
        lit = self.hasFocus() or self.underMouse()
        shape = QPainterPath()
        shape.addRoundedRect(box.adjusted(1, 1, -1, -1), radius, radius)
        painter.fillPath(shape, now.color("surface.hover" if self.underMouse() else "surface.raised"))
        area = QRectF(1, 1, box.width() - 2, box.height() - self._words_height() - 1)
        painter.save()
        painter.setClipPath(shape)
        if self._image is not None and not self._image.isNull():
            ratio = self.devicePixelRatioF()
            size = QSize(max(1, round(area.width() * ratio)), max(1, round(area.height() * ratio)))
            if self._pixmap is None or self._pixmap.size() != size:
                self._pixmap = QPixmap.fromImage(framed(self._image, size))
            painter.drawPixmap(area, self._pixmap, QRectF(self._pixmap.rect()))
        else:
            painter.fillRect(area, now.color("surface.canvas"))
            theme.draw_icon(painter, "workflow", QRectF(area.center().x() - 16, area.center().y() - 16, 32, 32), now.color("line.strong"))
        painter.restore()
        if lit:
            painter.setPen(QPen(now.color("accent.base"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(1, 1, -1, -1), radius, radius)
        self._paint_words(painter, QRectF(14, area.bottom() + 4, box.width() - 28, self._words_height() - 8))
        painter.end()

    def _paint_words(self, painter: QPainter, rect: QRectF) -> None:
        now, template = theme.current(), self.template
        small, strong = theme.metrics("small"), theme.metrics("small", 500)
        state, tone, icon = ("runs at once", "state.ok", "check") if template.is_ready else (template.needs, "state.warn", "download")
        line, right = rect.y() + 17, rect.right()
        if rect.width() > 200:
            right -= strong.horizontalAdvance(state)
            painter.setFont(theme.font("small", 500))
            painter.setPen(now.color(tone))
            painter.drawText(QPointF(right, line), state)
            right -= 16
            theme.draw_icon(painter, icon, QRectF(right, line - 10, 12, 12), now.color(tone), 2.2)
            right -= 10
        count = f"{template.nodes} nodes"
        right -= small.horizontalAdvance(count)
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.tertiary"))
        painter.drawText(QPointF(right, line), count)
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(rect.x(), line), theme.metrics("body", 600).elidedText(template.title, Qt.TextElideMode.ElideRight, right - rect.x() - 10))
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.secondary"))
        about = small.elidedText(template.about, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(QPointF(rect.x(), rect.y() + (38 if not self._small_card else 36)), about)

    def enterEvent(self, event: QEvent) -> None:  # type: ignore[override]
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton and self.rect().contains(event.position().toPoint()):
            self.chosen.emit(self.template)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(self.template)
        else:
            super().keyPressEvent(event)


class TemplateGrid(QWidget):
    """Cards in as many columns as there is room for."""

    chosen = Signal(object)

    def __init__(self, least: int = 300, card_height: int = 210, small: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._least, self._card_height, self._small = least, card_height, small
        self._cards: list[TemplateCard] = []
        self._query, self._tag = "", "All"

    def show_templates(self, templates: Sequence[Template]) -> None:
        for card in self._cards:
            card.hide()
            card.deleteLater()
        self._cards = []
        for template in templates:
            card = TemplateCard(template, self._small, self)
            card.chosen.connect(self.chosen)
            self._cards.append(card)
        self._lay_out()

    def sift(self, query: str, tag: str) -> int:
        """Show what fits; returns how many do."""
        self._query, self._tag = query.strip().lower(), tag
        return self._lay_out()

    def _fits(self, template: Template) -> bool:
        if self._tag == "Ready to run" and not template.is_ready:
            return False
        if self._tag not in ("All", "Ready to run") and self._tag not in template.tags:
            return False
        words = f"{template.title} {template.about} {' '.join(template.tags)}".lower()
        return all(part in words for part in self._query.split())

    def _lay_out(self) -> int:
        columns = max(1, (self.width() + GAP) // (self._least + GAP))
        width = (self.width() - GAP * (columns - 1)) / columns
        shown = [card for card in self._cards if self._fits(card.template)]
        for card in self._cards:
            card.setVisible(card in shown)
        for number, card in enumerate(shown):
            x, y = (number % columns) * (width + GAP), (number // columns) * (self._card_height + GAP)
            card.setGeometry(round(x), y, round(width), self._card_height)
        rows = -(-len(shown) // columns)
        self.setMinimumHeight(max(0, rows * (self._card_height + GAP) - GAP))
        return len(shown)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()


class TemplatesPanel(QWidget):
    """The gallery beside the canvas."""

    template_wanted = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 0, 0)
        column.setSpacing(10)
        self._field = QLineEdit()
        self._field.setPlaceholderText("Search templates")
        self._field.setAccessibleName("Search templates")
        self._field.textChanged.connect(lambda text: self.grid.sift(text, "All"))
        holder = QVBoxLayout()
        holder.setContentsMargins(0, 0, 10, 0)
        holder.addWidget(self._field)
        column.addLayout(holder)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        page.setProperty("kind", "page")
        inside = QVBoxLayout(page)
        inside.setContentsMargins(0, 0, 10, 10)
        self.grid = TemplateGrid(220, 176, small=True)
        self.grid.chosen.connect(self.template_wanted)
        inside.addWidget(self.grid)
        inside.addStretch(1)
        scroll.setWidget(page)
        column.addWidget(scroll, 1)

    def set_registry(self, registry: Registry) -> None:
        background().run(lambda: read_templates(registry), self.grid.show_templates, owner=self.grid)
