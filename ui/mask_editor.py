"""The mask editor: paint over the picture where something shall change. Tools at the left, options above, layers at the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QTabletEvent
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from nodegraph.node import Range, Unit
from nodegraph.spec import Input
from ui import theme
from ui.label import Label, button, hair, tool
from ui.mask_paint import Brush, Layer, Painting, Rect, alike, decode, encode, polygon
from ui.panels.controls import Editor, make_editor
from ui.panels.inspector import Section
from ui.panels.picture_view import Lens, PictureView, image_of, pixels
from ui.panels.viewer import segment

if TYPE_CHECKING:
    from nodegraph.folders import Folders
    from ui.document import Document

TOOLS: Final = (
    ("brush", "brush", "Brush", "B"),
    ("erase", "eraser", "Eraser", "E"),
    ("lasso", "lasso", "Lasso", "L"),
    ("rect", "square-dashed", "Rectangle", "R"),
    ("fill", "paint-bucket", "Fill alike colours", "G"),
    ("pan", "hand", "Move the view", "H"),
)
HINT: Final = "Drag: paint|Middle drag: pan|Right-click: erase|[ ]: size|Shift [ ]: hardness|X: erase|I: invert"
SEES: Final = (("tint", "Tint"), ("black", "Black"), ("edges", "Edges"))


class MaskView(PictureView):
    """The picture with the mask over it, and the brush under the pointer."""

    changed = Signal()
    brush_changed = Signal()
    tool_changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(Lens(), parent)
        self.painting: Painting | None = None
        self.brush = Brush()
        self.tool = "brush"
        self.erases = False
        self.pen_size = True
        self.tolerance = 24
        self.sees = "tint"
        self.margin = 24.0
        self.grid = False
        self._overlay = QImage()
        self._last: tuple[float, float] | None = None
        self._way: list[tuple[float, float]] = []
        self._at: QPointF | None = None
        self._right = False
        self.setAccessibleName("Mask canvas")
        self.setTabletTracking(True)

    def open(self, picture: QImage, painting: Painting) -> None:
        self.painting = painting
        self.show_image(picture)
        self.lens.fit()
        self.refresh()

    # -- the overlay

    def refresh(self, rect: Rect | None = None) -> None:
        """Make the overlay anew, or a part of it."""
        painting = self.painting
        if painting is None:
            return
        whole = rect is None or self._overlay.isNull() or self._overlay.width() != painting.width
        if whole:
            self._overlay = QImage(painting.width, painting.height, QImage.Format.Format_ARGB32_Premultiplied)
            self._overlay.fill(Qt.GlobalColor.transparent)
            rect = (0, 0, painting.width, painting.height)
        assert rect is not None
        l, t, r, b = rect  # noqa: E741
        part = overlay(painting, (l, t, r, b), self.sees)
        painter = QPainter(self._overlay)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(l, t, image_of(part))
        painter.end()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painting = self.painting
        if painting is None:
            return
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        rect = self.picture_rect()
        painter.drawImage(rect, self._overlay)
        scale = rect.width() / painting.width
        if self._way and self.tool in ("lasso", "rect"):
            self._paint_way(painter, rect, scale)
        if self._at is not None and self.tool in ("brush", "erase"):
            radius = self.brush.size / 2 * scale
            painter.setBrush(Qt.BrushStyle.NoBrush)
            for width, tone in ((3.0, QColor(0, 0, 0, 130)), (1.5, QColor(255, 255, 255))):
                painter.setPen(QPen(tone, width))
                painter.drawEllipse(self._at, radius, radius)
            pen = QPen(QColor(255, 255, 255, 170), 1, Qt.PenStyle.DashLine)
            painter.setPen(pen)
            painter.drawEllipse(self._at, radius * self.brush.hardness, radius * self.brush.hardness)
            painter.setPen(QPen(QColor(255, 255, 255), 1))
            for dx, dy in ((4, 0), (0, 4)):
                painter.drawLine(self._at - QPointF(dx, dy), self._at + QPointF(dx, dy))
        painter.end()

    def _paint_way(self, painter: QPainter, rect: QRectF, scale: float) -> None:
        points = [QPointF(rect.x() + x * scale, rect.y() + y * scale) for x, y in self._way]
        shape = QPolygonF(points if self.tool == "lasso" else [points[0], QPointF(points[-1].x(), points[0].y()), points[-1], QPointF(points[0].x(), points[-1].y())])
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(QColor(0, 0, 0), 1.5))
        painter.drawPolygon(shape)
        painter.setPen(QPen(QColor(255, 255, 255), 1.5, Qt.PenStyle.DashLine))
        painter.drawPolygon(shape)

    # -- hands

    def _place(self, at: QPointF) -> tuple[float, float]:
        rect = self.picture_rect()
        painting = self.painting
        assert painting is not None
        return (at.x() - rect.x()) / rect.width() * painting.width, (at.y() - rect.y()) / rect.height() * painting.height

    def mousePressEvent(self, event: QMouseEvent) -> None:
        painting = self.painting
        pans = event.button() == Qt.MouseButton.MiddleButton or (event.button() == Qt.MouseButton.LeftButton and self.tool == "pan")
        if painting is None or pans:
            super().mousePressEvent(event)
        elif event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton):
            self._right = event.button() == Qt.MouseButton.RightButton
            self.start(*self._place(event.position()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._at = event.position()
        if self._last is not None:
            self.go(*self._place(event.position()))
        else:
            super().mouseMoveEvent(event)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._last is not None:
            self.stop(*self._place(event.position()))
        else:
            super().mouseReleaseEvent(event)
        self._right = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.mousePressEvent(event)

    def leaveEvent(self, event: object) -> None:
        self._at = None
        self.update()

    def tabletEvent(self, event: QTabletEvent) -> None:
        self._at = event.position()
        pressure = max(0.05, event.pressure()) if self.pen_size else 1.0
        if event.type() == QEvent.Type.TabletPress and self.painting is not None and self.tool in ("brush", "erase"):
            self.start(*self._place(event.position()), pressure)
        elif event.type() == QEvent.Type.TabletMove and self._last is not None:
            self.go(*self._place(event.position()), pressure)
        elif event.type() == QEvent.Type.TabletRelease and self._last is not None:
            self.stop(*self._place(event.position()))
        else:
            event.ignore()
            return
        event.accept()

    def _is_erasing(self) -> bool:
        return (self.tool == "erase") != (self.erases != self._right)

    def start(self, x: float, y: float, pressure: float = 1.0) -> None:
        """Begin with the tool at a place of the picture."""
        painting = self.painting
        if painting is None:
            return
        self._last = (x, y)
        if self.tool in ("brush", "erase"):
            painting.begin()
            rect = painting.dab(x, y, self.brush, self._is_erasing(), pressure)
            if rect is not None:
                self.refresh(rect)
        elif self.tool in ("lasso", "rect"):
            self._way = [(x, y)]
        elif self.tool == "fill":
            column, line = int(x), int(y)
            if 0 <= column < painting.width and 0 <= line < painting.height:
                scaled = self.image.scaled(painting.width, painting.height) if self.image.width() != painting.width else self.image
                painting.combine(alike(pixels(scaled), column, line, self.tolerance), self._is_erasing())
                self.refresh()
                self.changed.emit()
            self._last = None

    def go(self, x: float, y: float, pressure: float = 1.0) -> None:
        painting = self.painting
        if painting is None or self._last is None:
            return
        if self.tool in ("brush", "erase"):
            rect = painting.line(self._last, (x, y), self.brush, self._is_erasing(), pressure)
            if rect is not None:
                self.refresh(rect)
        else:
            self._way.append((x, y))
            self.update()
        self._last = (x, y)

    def stop(self, x: float, y: float) -> None:
        painting = self.painting
        if painting is None:
            return
        if self.tool in ("brush", "erase"):
            painting.end()
        elif self._way:
            x0, y0 = self._way[0]
            way = self._way if self.tool == "lasso" else [(x0, y0), (x, y0), (x, y), (x0, y)]
            painting.combine(polygon(way, painting.width, painting.height), self._is_erasing())
            self._way = []
            self.refresh()
        self._last = None
        if self.sees == "edges" or painting.grow or painting.feather:
            self.refresh()
        self.changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        from dataclasses import replace

        key, text = event.key(), event.text()
        letters = {letter.lower(): name for name, _, _, letter in TOOLS}
        if text in "[]" and text:
            self.brush = replace(self.brush, size=min(2000.0, max(1.0, self.brush.size * (1.15 if text == "]" else 1 / 1.15))))
            self.brush_changed.emit()
        elif key in (Qt.Key.Key_BraceLeft, Qt.Key.Key_BraceRight):
            step = 0.1 if key == Qt.Key.Key_BraceRight else -0.1
            self.brush = replace(self.brush, hardness=min(1.0, max(0.0, self.brush.hardness + step)))
            self.brush_changed.emit()
        elif key == Qt.Key.Key_X:
            self.erases = not self.erases
            self.brush_changed.emit()
        elif key == Qt.Key.Key_I and self.painting is not None:
            self.painting.invert()
            self.refresh()
            self.changed.emit()
        elif text.lower() in letters and text:
            self.tool_changed.emit(letters[text.lower()])
        else:
            super().keyPressEvent(event)
            return
        self.update()


def overlay(painting: Painting, rect: Rect, sees: str) -> np.ndarray:
    """What lies over the picture: uint8 RGBA [height, width, 4], not premultiplied."""
    l, t, r, b = rect  # noqa: E741
    tones = theme.current().tones["on_image"]
    share = float(tones["mask_share"])
    made = np.zeros((b - t, r - l, 4), np.uint8)
    if sees == "black":
        plane = painting.combined(rect)
        made[..., :3] = plane[..., None]
        made[..., 3] = 255
        return made
    color = np.zeros((b - t, r - l, 3), np.float32)
    cover = np.zeros((b - t, r - l), np.float32)
    if sees == "tint":
        for layer in painting.layers:
            if not layer.visible:
                continue
            tone = QColor(tones["mask"][layer.color % len(tones["mask"])])
            part = layer.plane[t:b, l:r].astype(np.float32) / 255
            if layer.role == "subtract":
                cover *= 1 - part
                continue
            weight = part * share
            color += (np.array([tone.red(), tone.green(), tone.blue()], np.float32) - color) * (part > cover / max(share, 1e-6))[..., None]
            cover = np.maximum(cover, weight)
    made[..., :3] = color
    made[..., 3] = np.round(cover * 255)
    edge = edges(painting, rect)
    lines, columns = np.nonzero(edge)
    dark = ((lines + t + columns + l) // 5) % 2 == 0
    made[lines, columns, :3] = np.where(dark[:, None], 0, 255)
    made[lines, columns, 3] = 255
    return made


def edges(painting: Painting, rect: Rect) -> np.ndarray:
    """Where the mask's half-way line runs."""
    l, t, r, b = rect  # noqa: E741
    wide = (max(0, l - 1), max(0, t - 1), min(painting.width, r + 1), min(painting.height, b + 1))
    inside = painting.combined(wide) >= 128
    around = np.zeros_like(inside)
    around[1:, :] |= inside[1:, :] != inside[:-1, :]
    around[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    return around[t - wide[1] : b - wide[1], l - wide[0] : r - wide[0]]


class ToolButton(QAbstractButton):
    """A tool of 30 px; the one in hand wears a blue line."""

    def __init__(self, icon: str, tip: str) -> None:
        super().__init__()
        self._icon = icon
        self.setCheckable(True)
        self.setFixedSize(30, 30)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.isChecked() or self.underMouse() or self.hasFocus():
            painter.setPen(QPen(now.color("accent.base"), 1.5) if self.isChecked() or self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("accent.wash") if self.isChecked() else now.color("surface.hover"))
            painter.drawRoundedRect(QRectF(1, 1, 28, 28), 6, 6)
        theme.draw_icon(painter, self._icon, QRectF(6, 6, 18, 18), now.color("accent.base" if self.isChecked() else "text.secondary"))
        painter.end()


class LayerRow(QWidget):
    """Eye, picture, name, what it does, colour."""

    chosen = Signal(int)
    toggled = Signal(int)
    role_wanted = Signal(int)
    removed = Signal(int)

    def __init__(self, index: int, layer: Layer, active: bool) -> None:
        super().__init__()
        self._index, self._layer, self._active = index, layer, active
        self.setFixedHeight(48)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        small = layer.plane[:: max(1, layer.plane.shape[0] // 36), :: max(1, layer.plane.shape[1] // 36)]
        self._small = image_of(np.ascontiguousarray(small))
        self.setAccessibleName(f"{layer.name}, {layer.role}, {'shown' if layer.visible else 'hidden'}")
        self.setToolTip("Double-click: add or subtract. Delete: remove.")

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if self._active or self.hasFocus():
            painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("accent.wash") if self._active else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, 47), 6, 6)
        theme.draw_icon(painter, "eye" if self._layer.visible else "eye-off", QRectF(10, 16, 16, 16), now.color("text.secondary" if self._layer.visible else "text.disabled"))
        painter.drawImage(QRectF(36, 6, 36, 36), self._small)
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary" if self._layer.visible else "text.disabled"))
        painter.drawText(QPointF(84, 21), theme.metrics("body", 600).elidedText(self._layer.name, Qt.TextElideMode.ElideRight, self.width() - 120))
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.secondary"))
        painter.drawText(QPointF(84, 37), "paint" if self._layer.role == "add" else "subtract")
        tones = now.tones["on_image"]["mask"]
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(tones[self._layer.color % len(tones)]))
        painter.drawEllipse(QPointF(self.width() - 22, 24), 6, 6)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.position().x() < 32:
            self.toggled.emit(self._index)
        else:
            self.chosen.emit(self._index)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.role_wanted.emit(self._index)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        acts = {Qt.Key.Key_Return: self.chosen, Qt.Key.Key_Space: self.toggled, Qt.Key.Key_Delete: self.removed, Qt.Key.Key_S: self.role_wanted}
        if Qt.Key(event.key()) in acts:
            acts[Qt.Key(event.key())].emit(self._index)
        else:
            super().keyPressEvent(event)


class MaskEditor(QWidget):
    """`open` it on a picture; `used(target, value)` hands back what goes into the graph."""

    used = Signal(object, str)
    left = Signal()
    hint = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._target: object = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.view = MaskView()
        column.addWidget(self._options())
        column.addWidget(hair())
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self._tools())
        row.addWidget(hair(vertical=True))
        row.addWidget(self.view, 1)
        row.addWidget(hair(vertical=True))
        row.addWidget(self._right())
        column.addLayout(row, 1)
        self.view.changed.connect(self._show_facts)
        self.view.brush_changed.connect(self._show_brush)
        self.view.tool_changed.connect(self.choose)
        self.setFocusProxy(self.view)
        self.choose("brush")
        self.open(None, "", None, "")

    def open(self, picture: QImage | None, value: str, target: object, name: str) -> None:
        """Start on a picture (a plain square when there is none) with the mask that is in the graph."""
        self._target = target
        if picture is None or picture.isNull():
            picture = QImage(512, 512, QImage.Format.Format_RGB888)
            picture.fill(QColor(90, 90, 92))
        painting = Painting(picture.width(), picture.height())
        self._note.setText("")
        try:
            painting.layers[0].plane[...] = decode(value, picture.width(), picture.height())
        except ValueError as error:
            self._note.setText(str(error))
        self._name = name
        self.view.open(picture, painting)
        self._use.setEnabled(target is not None)
        for editor in self._shape.values():
            editor.set_value(0 if editor.item.name != "density" else 1.0)
        self._show_layers()
        self._show_facts()
        self.hint.emit(HINT)

    # -- building

    def _options(self) -> QWidget:
        bar = QWidget()
        bar.setProperty("kind", "panel")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        bar.setFixedHeight(39)
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 0, 12, 0)
        row.setSpacing(8)
        self._tool_name = Label("Brush", "strong")
        self._tool_name.setFixedWidth(116)
        row.addWidget(self._tool_name)
        self._brush: dict[str, Editor] = {}
        for name, words, limits, unit, value in (
            ("size", "Size", Range(1, 1024, 1, log=True), "px", 64.0),
            ("hardness", "Hardness", Range(0, 1, 0.01), "%", 0.4),
            ("opacity", "Opacity", Range(0.01, 1, 0.01), "%", 1.0),
            ("flow", "Flow", Range(0.01, 1, 0.01), "%", 0.6),
        ):
            editor = _slider(name, words, limits, unit, value)
            editor.setFixedWidth(150)
            editor.preview.connect(lambda new, name=name: self._set_brush(name, new))
            editor.committed.connect(lambda new, name=name: self._set_brush(name, new))
            self._brush[name] = editor
            row.addWidget(editor)
        self._pen = QCheckBox("Pen pressure")
        self._pen.setChecked(True)
        self._pen.toggled.connect(lambda on: setattr(self.view, "pen_size", on))
        row.addWidget(self._pen)
        row.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.left)
        row.addWidget(cancel)
        self._use = button("Use mask", "primary", "check")
        self._use.clicked.connect(self.use)
        row.addWidget(self._use)
        return bar

    def _tools(self) -> QWidget:
        side = QWidget()
        side.setFixedWidth(43)
        side.setProperty("kind", "window")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(side)
        column.setContentsMargins(6, 10, 7, 10)
        column.setSpacing(8)
        self._buttons = {}
        for name, icon, words, letter in TOOLS:
            made = ToolButton(icon, f"{words} ({letter})")
            made.clicked.connect(lambda _checked=False, name=name: self.choose(name))
            self._buttons[name] = made
            column.addWidget(made)
        column.addStretch(1)
        return side

    def _right(self) -> QWidget:
        scroll = QScrollArea()
        scroll.setFixedWidth(292)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        page.setProperty("kind", "panel")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 12)
        column.setSpacing(0)
        layers = Section("Layers")
        self._layers = QVBoxLayout()
        self._layers.setContentsMargins(8, 0, 8, 0)
        self._layers.setSpacing(2)
        layers.rows.addLayout(self._layers)
        add = button("Add a layer", "link", "plus")
        add.clicked.connect(self._add_layer)
        holder = QHBoxLayout()
        holder.setContentsMargins(12, 0, 12, 0)
        holder.addWidget(add)
        holder.addStretch(1)
        layers.rows.addLayout(holder)
        column.addWidget(layers)
        shape = Section("Shape")
        self._shape: dict[str, Editor] = {}
        for name, words, limits, unit, value in (("grow", "Grow", Range(-64, 64, 1), "px", 0), ("feather", "Feather", Range(0, 128, 1), "px", 0), ("density", "Density", Range(0, 1, 0.01), "%", 1.0)):
            editor = _slider(name, words, limits, unit, value)
            editor.committed.connect(lambda new, name=name: self._set_shape(name, new))
            self._shape[name] = editor
            line = QHBoxLayout()
            line.setContentsMargins(12, 0, 12, 0)
            line.addWidget(editor)
            shape.rows.addLayout(line)
        acts = QHBoxLayout()
        acts.setContentsMargins(12, 4, 12, 4)
        acts.setSpacing(6)
        for words, icon, act in (("Invert", "contrast", self._invert), ("Fill holes", "paint-bucket", self._fill_holes), ("Clear", "trash-2", self._clear)):
            made = button(words, "small", icon)
            made.clicked.connect(lambda _checked=False, act=act: act())
            acts.addWidget(made)
        shape.rows.addLayout(acts)
        column.addWidget(shape)
        see = Section("See the mask")
        row = QHBoxLayout()
        row.setContentsMargins(12, 0, 12, 0)
        self._sees = {}
        for name, words in SEES:
            made = segment(words, f"Show the mask: {words.lower()}")
            made.setChecked(name == "tint")
            made.clicked.connect(lambda _checked=False, name=name: self._see(name))
            self._sees[name] = made
            row.addWidget(made, 1)
        see.rows.addLayout(row)
        column.addWidget(see)
        does = Section("What it does")
        self._facts = Label("", "dim", wrap=True)
        self._facts.setContentsMargins(14, 0, 12, 0)
        does.rows.addWidget(self._facts)
        self._note = Label("", "bad", wrap=True)
        self._note.setContentsMargins(14, 0, 12, 0)
        does.rows.addWidget(self._note)
        column.addWidget(does)
        undo = QHBoxLayout()
        undo.setContentsMargins(12, 8, 12, 0)
        for icon, words, act2 in (("undo-2", "Undo", self.undo), ("redo-2", "Redo", self.redo)):
            made2 = tool(icon, f"{words} the last stroke", 16)
            made2.clicked.connect(lambda _checked=False, act2=act2: act2())
            undo.addWidget(made2)
        undo.addStretch(1)
        column.addLayout(undo)
        column.addStretch(1)
        scroll.setWidget(page)
        return scroll

    # -- acting

    def choose(self, name: str) -> None:
        self.view.tool = name
        for key, made in self._buttons.items():
            made.setChecked(key == name)
        words = next(words for key, _, words, _ in TOOLS if key == name)
        self._tool_name.setText(words)
        for editor in self._brush.values():
            editor.setEnabled(name in ("brush", "erase"))
        self.view.setCursor(Qt.CursorShape.OpenHandCursor if name == "pan" else Qt.CursorShape.CrossCursor)

    def undo(self) -> None:
        self._after(self.view.painting is not None and self.view.painting.undo())

    def redo(self) -> None:
        self._after(self.view.painting is not None and self.view.painting.redo())

    def use(self) -> None:
        """Hand the mask to the graph."""
        painting = self.view.painting
        if painting is None or self._target is None:
            return
        try:
            value = encode(painting.result())
        except ValueError as error:
            self._note.setText(str(error))
            return
        self.used.emit(self._target, value)

    def _set_brush(self, name: str, value: Any) -> None:
        from dataclasses import replace

        self.view.brush = replace(self.view.brush, **{name: float(value)})
        self.view.update()

    def _show_brush(self) -> None:
        for name, editor in self._brush.items():
            editor.set_value(getattr(self.view.brush, name))
        self._tool_name.setText(("Erases, " if self.view.erases else "") + next(words for key, _, words, _ in TOOLS if key == self.view.tool))

    def _set_shape(self, name: str, value: Any) -> None:
        painting = self.view.painting
        if painting is not None:
            setattr(painting, name, float(value) if name == "density" else int(value))
            self._show_facts()

    def _see(self, name: str) -> None:
        self.view.sees = name
        for key, made in self._sees.items():
            made.setChecked(key == name)
        self.view.refresh()

    def _with(self, act: Callable[[Painting], None]) -> None:
        if self.view.painting is not None:
            act(self.view.painting)
            self._after(True)

    def _after(self, changed: bool) -> None:
        if changed:
            self.view.refresh()
            self._show_layers()
            self._show_facts()

    def _invert(self) -> None:
        self._with(lambda painting: painting.invert())

    def _fill_holes(self) -> None:
        self._with(lambda painting: painting.fill_holes())

    def _clear(self) -> None:
        self._with(lambda painting: painting.clear())

    def _add_layer(self) -> None:
        self._with(lambda painting: painting.add_layer(f"Mask {len(painting.layers) + 1}"))

    def _show_layers(self) -> None:
        painting = self.view.painting
        while self._layers.count():
            item = self._layers.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        for index, layer in enumerate(painting.layers if painting is not None else ()):
            row = LayerRow(index, layer, painting is not None and index == painting.active)
            row.chosen.connect(self._choose_layer)
            row.toggled.connect(self._toggle_layer)
            row.role_wanted.connect(lambda index: self._with(lambda p: p.set_role(index, "subtract" if p.layers[index].role == "add" else "add")))
            row.removed.connect(lambda index: self._with(lambda p: p.remove_layer(index)))
            self._layers.addWidget(row)

    def _choose_layer(self, index: int) -> None:
        if self.view.painting is not None:
            self.view.painting.active = index
            self._show_layers()

    def _toggle_layer(self, index: int) -> None:
        if self.view.painting is not None:
            layer = self.view.painting.layers[index]
            layer.visible = not layer.visible
            self._after(True)

    def _show_facts(self) -> None:
        painting = self.view.painting
        if painting is None:
            return
        plane = painting.combined()
        share = float((plane >= 128).mean())
        cells = int((plane[::8, ::8] >= 128).sum())
        into = f" by ‘{self._name}’" if self._name else ""
        extra = f" Grown by {painting.grow} px." if painting.grow else ""
        extra += f" Edge softened over {painting.feather} px." if painting.feather else ""
        count = f"{cells:,}".replace(",", " ")
        self._facts.setText(f"White is painted anew{into}: {share * 100:.0f} % of the picture, {count} cells of the latent.{extra}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        undo = event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.key() == Qt.Key.Key_Z
        if undo and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.redo()
        elif undo:
            self.undo()
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.use()
        else:
            super().keyPressEvent(event)


def _slider(name: str, words: str, limits: Range, unit: str, value: float) -> Editor:
    item = Input(name, "int" if unit == "px" and name != "size" else "float", words, value, markers=(limits, Unit(unit)))
    editor = make_editor(item, value)
    if hasattr(editor, "label"):
        editor.label = words
    return editor


def background_for(document: Document, node: str, folders: Folders) -> QImage | None:
    """The picture to paint on: what a node gives that feeds the mask node, or a picture loaded beside it, or the last one made."""
    graph = document.graph
    for link in graph.incoming.get(node, ()):
        state = document.states.get(link.source)
        if state is not None and state.preview is not None:
            return state.preview
        found = _loaded(document, link.source, folders)
        if found is not None:
            return found
    for name in graph.nodes:
        found = _loaded(document, name, folders)
        if found is not None:
            return found
    for state in reversed(list(document.states.values())):
        if state.preview is not None and state.sigma is None:
            return state.preview
    return None


def _loaded(document: Document, name: str, folders: Folders) -> QImage | None:
    from ui.thumbnails import read_picture

    node = document.graph.nodes[name]
    spec = document.spec(node)
    for item in spec.inputs if spec is not None else ():
        value = node.values.get(item.name, item.default)
        if item.file is not None and item.file.folder == "input" and isinstance(value, str) and value:
            base = document.path.parent if document.path is not None else None
            path = folders.resolve("input", value, base)
            if path is not None and path.is_file():
                try:
                    return read_picture(path)
                except OSError:
                    return None
    return None
