"""The picture with the mask over it and the brush under the pointer: strokes, shapes and fills by mouse, pen and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF, QTabletEvent
from PySide6.QtWidgets import QWidget

from ui import theme
from ui.mask_paint import Brush, Painting, Rect, alike, joined, like_here, polygon
from ui.panels.picture_view import Lens, PictureView, image_of, pixels

TOOLS: Final = (
    ("brush", "brush", "Brush", "B"),
    ("erase", "eraser", "Eraser", "E"),
    ("lasso", "lasso", "Lasso", "L"),
    ("rect", "square-dashed", "Rectangle", "R"),
    ("fill", "paint-bucket", "Fill alike colours", "G"),
    ("pan", "hand", "Move the view", "H"),
)
MOST_EDGE: Final = 4096
ALT: Final = Qt.KeyboardModifier.AltModifier


class MaskView(PictureView):
    """Paints on `painting`. Alt and a press takes the subject under it, whatever the tool."""

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
        self.pen_opacity = False
        self.mirrors = False
        self.keeps_edges = False
        self.tolerance = 24
        self.sees = "tint"
        self.tint = float(theme.current().tones["on_image"]["mask_share"])
        self.margin = 24.0
        self.grid = False
        self._overlay = QImage()
        self._edges: QImage | None = None
        self._was_near = False
        self._last: tuple[float, float] | None = None
        self._way: list[tuple[float, float]] = []
        self._at: QPointF | None = None
        self._right = False
        self._scaled_pixels: NDArray[np.uint8] | None = None
        self.setAccessibleName("Mask canvas")
        self.setTabletTracking(True)

    def open(self, picture: QImage, painting: Painting) -> None:
        self.painting = painting
        self._scaled_pixels = None
        self._overlay = QImage()
        self.show_image(picture)
        self.lens.fit()
        self.refresh()

    def _lens_moved(self) -> None:
        if self.painting is not None and self._draws_edges_itself() != self._was_near:
            self.refresh()
        super()._lens_moved()

    # -- the overlay

    def refresh(self, rect: Rect | None = None) -> None:
        """Make the overlay anew, or a part of it."""
        painting = self.painting
        if painting is None:
            return
        whole = rect is None or self._overlay.isNull() or self.sees == "result"
        if whole:
            self._overlay = QImage(painting.width, painting.height, QImage.Format.Format_ARGB32_Premultiplied)
            self._overlay.fill(Qt.GlobalColor.transparent)
            rect = (0, 0, painting.width, painting.height)
        assert rect is not None
        l, t, r, b = rect  # noqa: E741
        part = overlay(painting, (l, t, r, b), self.sees, self.tint, with_edges=not self._draws_edges_itself())
        self._edges = None
        self._was_near = self._draws_edges_itself()
        painter = QPainter(self._overlay)
        painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
        painter.drawImage(l, t, image_of(part))
        painter.end()
        self.update()

    def _draws_edges_itself(self) -> bool:
        """Seen from near, an edge of mask pixels would be a row of bricks: it is drawn in pixels of the screen then."""
        return self.sees != "black" and self.zoom() >= 2

    def _fine_edges(self, rect: QRectF) -> QImage:
        """The mask's half-way line at the size it is seen in, made once for each state of the mask."""
        painting = self.painting
        assert painting is not None
        ratio = min(self.devicePixelRatioF(), MOST_EDGE / max(1.0, rect.width(), rect.height()))
        size = (max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
        if self._edges is None or (self._edges.width(), self._edges.height()) != size:
            plane = painting.result() if self.sees == "result" else painting.combined()
            big = image_of(plane).scaled(*size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
            made = np.zeros((size[1], size[0], 4), np.uint8)
            edge = edges(pixels(big)[:, :, 0])
            edge[1:, :] |= edge[:-1, :]
            edge[:, 1:] |= edge[:, :-1]
            _draw_edges(made, edge, (0, 0, *size), dash=8)
            self._edges = image_of(made)
        return self._edges

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
        if self._draws_edges_itself():
            painter.drawImage(rect, self._fine_edges(rect))
        if self.mirrors:
            painter.setPen(QPen(QColor(255, 255, 255, 120), 1, Qt.PenStyle.DashLine))
            painter.drawLine(QPointF(rect.center().x(), rect.top()), QPointF(rect.center().x(), rect.bottom()))
        if self._way and self.tool in ("lasso", "rect"):
            self._paint_way(painter, rect, scale)
        if self._at is not None and self.tool in ("brush", "erase"):
            self._paint_brush(painter, self._at, self.brush.size / 2 * scale)
        painter.end()

    def _paint_brush(self, painter: QPainter, at: QPointF, radius: float) -> None:
        """White ring with a dark edge at the outer radius, dashed ring at the hard core, a cross in the middle."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for width, tone in ((3.0, QColor(0, 0, 0, 130)), (1.5, QColor(255, 255, 255))):
            painter.setPen(QPen(tone, width))
            painter.drawEllipse(at, radius, radius)
        painter.setPen(QPen(QColor(255, 255, 255, 170), 1, Qt.PenStyle.DashLine))
        painter.drawEllipse(at, radius * self.brush.hardness, radius * self.brush.hardness)
        painter.setPen(QPen(QColor(255, 255, 255), 1))
        for dx, dy in ((4, 0), (0, 4)):
            painter.drawLine(at - QPointF(dx, dy), at + QPointF(dx, dy))

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
            x, y = self._place(event.position())
            if event.modifiers() & ALT:
                self.take_subject(x, y)
            else:
                self.start(x, y)

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
        pressure = max(0.05, event.pressure())
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
            painting.begin(self._guard(x, y) if self.keeps_edges else None)
            self._stroke((x, y), (x, y), pressure, is_first=True)
        elif self.tool in ("lasso", "rect"):
            self._way = [(x, y)]
        elif self.tool == "fill":
            self._last = None
            self.take_subject(x, y)

    def _stroke(self, a: tuple[float, float], b: tuple[float, float], pressure: float, is_first: bool = False) -> None:
        """From a to b, on both sides of the middle when it mirrors."""
        painting = self.painting
        assert painting is not None
        brush = replace(self.brush, opacity=self.brush.opacity * pressure) if self.pen_opacity else self.brush
        size, erases = pressure if self.pen_size else 1.0, self._is_erasing()
        ways = [(a, b)] + ([((painting.width - a[0], a[1]), (painting.width - b[0], b[1]))] if self.mirrors else [])
        changed: Rect | None = None
        for p, q in ways:
            rect = painting.dab(*q, brush, erases, size) if is_first else painting.line(p, q, brush, erases, size)
            if rect is not None:
                changed = rect if changed is None else joined(changed, rect)
        if changed is not None:
            self.refresh(changed)

    def _pixels(self) -> NDArray[np.uint8]:
        """The picture in the size of the mask."""
        painting = self.painting
        assert painting is not None
        if self._scaled_pixels is None:
            image = self.image if self.image.width() == painting.width else self.image.scaled(painting.width, painting.height)
            self._scaled_pixels = pixels(image)
        return self._scaled_pixels

    def _guard(self, x: float, y: float) -> NDArray[np.float32] | None:
        painting = self.painting
        assert painting is not None
        column, line = min(painting.width - 1, max(0, int(x))), min(painting.height - 1, max(0, int(y)))
        return like_here(self._pixels(), column, line, self.tolerance)

    def take_subject(self, x: float, y: float) -> None:
        """Paint what is connected to a place and has its colour."""
        painting = self.painting
        column, line = int(x), int(y)
        if painting is not None and 0 <= column < painting.width and 0 <= line < painting.height:
            painting.combine(alike(self._pixels(), column, line, self.tolerance), self._is_erasing())
            self.refresh()
            self.changed.emit()

    def go(self, x: float, y: float, pressure: float = 1.0) -> None:
        """On with the tool to another place."""
        if self.painting is None or self._last is None:
            return
        if self.tool in ("brush", "erase"):
            self._stroke(self._last, (x, y), pressure)
        else:
            self._way.append((x, y))
            self.update()
        self._last = (x, y)

    def stop(self, x: float, y: float) -> None:
        """Lift the tool."""
        painting = self.painting
        if painting is None:
            return
        if self.tool in ("brush", "erase"):
            painting.end()
        elif self._way:
            x0, y0 = self._way[0]
            way = self._way if self.tool == "lasso" else [(x0, y0), (x, y0), (x, y), (x0, y)]
            area = polygon(way, painting.width, painting.height)
            painting.combine(np.maximum(area, area[:, ::-1]) if self.mirrors else area, self._is_erasing())
            self._way = []
            self.refresh()
        self._last = None
        if self.sees in ("edges", "result"):
            self.refresh()
        self.changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
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
        elif text.lower() in letters and text and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.tool_changed.emit(letters[text.lower()])
        else:
            super().keyPressEvent(event)
            return
        self.update()


def overlay(painting: Painting, rect: Rect, sees: str, share: float, with_edges: bool = True) -> np.ndarray:
    """What lies over the picture: uint8 RGBA [height, width, 4], not premultiplied.

    `sees`: "tint" colours each layer with `share`, "black" shows the mask alone, "edges" only its border, "result" what the graph is given.
    """
    l, t, r, b = rect  # noqa: E741
    made = np.zeros((b - t, r - l, 4), np.uint8)
    tones = theme.current().tones["on_image"]["mask"]
    if sees == "black":
        made[..., :3] = painting.combined(rect)[..., None]
        made[..., 3] = 255
        return made
    if sees == "result":
        plane = painting.result()[t:b, l:r]
        made[..., :3] = _rgb(tones[0])
        made[..., 3] = np.round(plane * share)
        if with_edges:
            _draw_edges(made, edges(plane), rect)
        return made
    if sees == "tint":
        color = np.zeros((b - t, r - l, 3), np.float32)
        cover = np.zeros((b - t, r - l), np.float32)
        for layer in painting.layers:
            if not layer.visible:
                continue
            part = layer.plane[t:b, l:r].astype(np.float32) / 255
            if layer.role == "subtract":
                cover *= 1 - part
                continue
            color += (_rgb(tones[layer.color % len(tones)]) - color) * (part > cover / max(share, 1e-6))[..., None]
            cover = np.maximum(cover, part * share)
        made[..., :3] = color
        made[..., 3] = np.round(cover * 255)
    if not with_edges:
        return made
    wide = (max(0, l - 1), max(0, t - 1), min(painting.width, r + 1), min(painting.height, b + 1))
    edge = edges(painting.combined(wide))[t - wide[1] : b - wide[1], l - wide[0] : r - wide[0]]
    _draw_edges(made, edge, rect)
    return made


def _rgb(tone: str) -> NDArray[np.float32]:
    color = QColor(tone)
    return np.array([color.red(), color.green(), color.blue()], np.float32)


def _draw_edges(made: np.ndarray, edge: np.ndarray, rect: Rect, dash: int = 5) -> None:
    """Black and white dashes that stand still."""
    lines, columns = np.nonzero(edge)
    dark = ((lines + rect[1] + columns + rect[0]) // dash) % 2 == 0
    made[lines, columns, :3] = np.where(dark[:, None], 0, 255)
    made[lines, columns, 3] = 255


def edges(plane: np.ndarray) -> np.ndarray:
    """Where a mask's half-way line runs."""
    inside = plane >= 128
    around = np.zeros_like(inside)
    around[1:, :] |= inside[1:, :] != inside[:-1, :]
    around[:, 1:] |= inside[:, 1:] != inside[:, :-1]
    return around
