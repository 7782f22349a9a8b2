"""The list of layers beside the mask: eye, picture, name, what it does, colour. The lowest stands first."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QLineEdit, QMenu, QVBoxLayout, QWidget

from ui import theme
from ui.mask_paint import Layer, Painting
from ui.panels.picture_view import image_of

ROW = 48
WORDS = {"add": "paint", "subtract": "subtract"}


class LayerRow(QWidget):
    """One layer. A click chooses it, on the eye it hides it; F2 or a double-click renames it."""

    chosen = Signal()
    toggled = Signal()
    renamed = Signal(str)
    menu_wanted = Signal(QPoint)
    key_pressed = Signal(object, object)  # Qt.Key, modifiers

    def __init__(self, layer: Layer, active: bool) -> None:
        super().__init__()
        self._layer, self._active = layer, active
        self.setFixedHeight(ROW)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        step = max(1, max(layer.plane.shape) // 72)
        self._small = image_of(np.ascontiguousarray(layer.plane[::step, ::step]))
        self._field: QLineEdit | None = None
        self.setAccessibleName(f"{layer.name}, {WORDS[layer.role]}, {'shown' if layer.visible else 'hidden'}")
        self.setToolTip("Double-click: rename. S: paint or subtract. Delete: remove. Alt and arrows: move.")

    def _words(self) -> str:
        return WORDS[self._layer.role] + ("" if self._layer.plane.any() else ", empty")

    def paintEvent(self, event: QPaintEvent) -> None:
        now, layer = theme.current(), self._layer
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if self._active or self.hasFocus():
            painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("accent.wash") if self._active else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, ROW - 1), 6, 6)
        tone = "text.secondary" if layer.visible else "text.disabled"
        theme.draw_icon(painter, "eye" if layer.visible else "eye-off", QRectF(10, 16, 16, 16), now.color(tone))
        tile = QRectF(36, 6, 36, 36)
        painter.fillRect(tile, QColor(0, 0, 0))
        scale = min(36 / self._small.width(), 36 / self._small.height())
        width, height = self._small.width() * scale, self._small.height() * scale
        painter.drawImage(QRectF(tile.center().x() - width / 2, tile.center().y() - height / 2, width, height), self._small)
        if self._field is None:
            painter.setFont(theme.font("body", 600))
            painter.setPen(now.color("text.primary" if layer.visible else "text.disabled"))
            painter.drawText(QPointF(84, 21), theme.metrics("body", 600).elidedText(layer.name, Qt.TextElideMode.ElideRight, self.width() - 120))
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.secondary" if layer.visible else "text.disabled"))
        painter.drawText(QPointF(84, 37), self._words())
        tones = now.tones["on_image"]["mask"]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tones[layer.color % len(tones)]))
        painter.drawEllipse(QPointF(self.width() - 22, ROW / 2), 6, 6)
        painter.end()

    def rename(self) -> None:
        """Type another name in place."""
        field = QLineEdit(self._layer.name, self)
        field.setGeometry(80, 4, self.width() - 116, 22)
        field.selectAll()
        field.editingFinished.connect(lambda: self._done(field.text()))
        self._field = field
        field.show()
        field.setFocus()

    def _done(self, name: str) -> None:
        field, self._field = self._field, None
        if field is not None:
            field.deleteLater()
            self.renamed.emit(name)
            self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            (self.toggled if event.position().x() < 32 else self.chosen).emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if event.position().x() >= 32:
            self.rename()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_wanted.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_F2:
            self.rename()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Space, Qt.Key.Key_Delete, Qt.Key.Key_S, Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.key_pressed.emit(Qt.Key(event.key()), event.modifiers())
        else:
            super().keyPressEvent(event)


class LayerList(QWidget):
    """All layers of a painting. `changed` says that the mask may look different now."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._painting: Painting | None = None
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(8, 0, 8, 0)
        self._column.setSpacing(2)
        self.rows: list[LayerRow] = []

    def show_painting(self, painting: Painting | None) -> None:
        """Show its layers as they are now."""
        had_focus = next((number for number, row in enumerate(self.rows) if row.hasFocus()), None)
        self._painting = painting
        for row in self.rows:
            self._column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = []
        for index, layer in enumerate(painting.layers if painting is not None else ()):
            row = LayerRow(layer, painting is not None and index == painting.active)
            row.chosen.connect(lambda index=index: self._choose(index))
            row.toggled.connect(lambda index=index: self._toggle(index))
            row.renamed.connect(lambda name, index=index: self._act(lambda p: p.rename(index, name)))
            row.menu_wanted.connect(lambda at, index=index: self._menu(index, at))
            row.key_pressed.connect(lambda key, modifiers, index=index: self._key(index, key, modifiers))
            self._column.addWidget(row)
            self.rows.append(row)
        if had_focus is not None and self.rows:
            self.rows[min(painting.active if painting is not None else had_focus, len(self.rows) - 1)].setFocus()

    def add(self) -> None:
        """One more, on top."""
        self._act(lambda painting: painting.add_layer(f"Mask {len(painting.layers) + 1}"))

    def _act(self, act: Callable[[Painting], None]) -> None:
        if self._painting is not None:
            act(self._painting)
            self.changed.emit()

    def _choose(self, index: int) -> None:
        if self._painting is not None and self._painting.active != index:
            self._painting.active = index
            self.show_painting(self._painting)

    def _toggle(self, index: int) -> None:
        def act(painting: Painting) -> None:
            painting.layers[index].visible = not painting.layers[index].visible

        self._act(act)

    def _flip(self, index: int) -> None:
        self._act(lambda painting: painting.set_role(index, "subtract" if painting.layers[index].role == "add" else "add"))

    def _key(self, index: int, key: Qt.Key, modifiers: Qt.KeyboardModifier) -> None:
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            by = 1 if key == Qt.Key.Key_Down else -1
            if modifiers & Qt.KeyboardModifier.AltModifier:
                self._act(lambda painting: painting.move_layer(index, by))
            elif 0 <= index + by < len(self.rows):
                self.rows[index + by].setFocus()
        elif key == Qt.Key.Key_Return:
            self._choose(index)
        elif key == Qt.Key.Key_Space:
            self._toggle(index)
        elif key == Qt.Key.Key_Delete:
            self._act(lambda painting: painting.remove_layer(index))
        elif key == Qt.Key.Key_S:
            self._flip(index)

    def _menu(self, index: int, at: QPoint) -> None:
        painting = self._painting
        if painting is None:
            return
        menu = QMenu(self)
        menu.addAction("Rename\tF2").triggered.connect(lambda: self.rows[index].rename())
        menu.addAction(("Subtract" if painting.layers[index].role == "add" else "Paint") + "\tS").triggered.connect(lambda: self._flip(index))
        for words, by in (("Move up", -1), ("Move down", 1)):
            made = menu.addAction(words)
            made.setEnabled(0 <= index + by < len(painting.layers))
            made.triggered.connect(lambda _checked=False, by=by: self._act(lambda p: p.move_layer(index, by)))
        menu.addSeparator()
        remove = menu.addAction("Remove\tDel")
        remove.setEnabled(len(painting.layers) > 1)
        remove.triggered.connect(lambda: self._act(lambda p: p.remove_layer(index)))
        menu.popup(at)
