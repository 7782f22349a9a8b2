"""Looks at pictures: fit, one to one, the wheel to 3200 %, channels, a pixel grid, and the colour under the pointer."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

from PySide6.QtCore import QObject, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from ui import theme

if TYPE_CHECKING:
    import numpy as np

Channel = Literal["RGB", "R", "G", "B", "A"]
MOST: Final = 32.0
LEAST: Final = 0.02
GRID_FROM: Final = 8.0


class Lens(QObject):
    """Where one looks: fitted, or at a point (0..1 of the picture) with a zoom. Views that share a lens move together."""

    moved = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.fitted = True
        self.zoom = 1.0  # device pixels for a picture's pixel
        self.x = self.y = 0.5

    def fit(self) -> None:
        self.fitted, self.x, self.y = True, 0.5, 0.5
        self.moved.emit()

    def look(self, zoom: float, x: float, y: float) -> None:
        self.fitted = False
        self.zoom = min(MOST, max(LEAST, zoom))
        self.x, self.y = min(1.0, max(0.0, x)), min(1.0, max(0.0, y))
        self.moved.emit()


class PictureView(QWidget):
    """One picture, seen through a lens. Zoom and place hold while pictures of the same shape follow one another."""

    picked = Signal(int, int, QColor)  # under the pointer; x is -1 when it left the picture
    zoomed = Signal()
    files_wanted = Signal()

    def __init__(self, lens: Lens | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lens = lens if lens is not None else Lens(self)
        self.lens.moved.connect(self._lens_moved)
        self._image = QImage()
        self._shown: QPixmap | None = None
        self._small: tuple[float, QPixmap] | None = None
        self.channel: Channel = "RGB"
        self.grid = True
        self.is_estimate = False  # a small picture that stands for a large one: always smooth, no pixels to be counted
        self.margin = 12.0
        self._drag: QPointF | None = None
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Picture")

    def minimumSizeHint(self) -> QSize:
        return QSize(80, 80)

    # -- what is shown

    @property
    def image(self) -> QImage:
        return self._image

    def show_image(self, image: QImage | None) -> None:
        """Show a picture; the view stays where it was if the shape is the same."""
        old = self._image
        self._image = image if image is not None else QImage()
        self._shown = self._small = None
        if not self.lens.fitted and not old.isNull() and not self._image.isNull() and old.size() != self._image.size():
            same_shape = abs(old.width() / old.height() - self._image.width() / self._image.height()) < 0.02
            if same_shape:
                self.lens.zoom *= old.width() / self._image.width()
        self.update()

    def set_channel(self, channel: Channel) -> None:
        if channel != self.channel:
            self.channel = channel
            self._shown = self._small = None
            self.update()

    def zoom(self) -> float:
        """Device pixels for a picture's pixel."""
        if self._image.isNull():
            return 1.0
        if not self.lens.fitted:
            return self.lens.zoom
        ratio = self.devicePixelRatioF()
        room_w, room_h = max(1.0, self.width() - 2 * self.margin), max(1.0, self.height() - 2 * self.margin)
        return min(room_w / self._image.width(), room_h / self._image.height()) * ratio

    def picture_rect(self) -> QRectF:
        """Where the picture lies in the widget."""
        if self._image.isNull():
            return QRectF()
        scale = self.zoom() / self.devicePixelRatioF()
        width, height = self._image.width() * scale, self._image.height() * scale
        if self.lens.fitted:
            return QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)
        return QRectF(self.width() / 2 - self.lens.x * width, self.height() / 2 - self.lens.y * height, width, height)

    # -- looking

    def fit(self) -> None:
        self.lens.fit()

    def actual(self) -> None:
        """One device pixel for each pixel of the picture."""
        self.lens.look(1.0, self.lens.x, self.lens.y)

    def zoom_at(self, factor: float, at: QPointF) -> None:
        """Zoom so that what is under `at` stays there."""
        if self._image.isNull():
            return
        rect, old = self.picture_rect(), self.zoom()
        new = min(MOST, max(LEAST, old * factor))
        px, py = (at.x() - rect.x()) / rect.width(), (at.y() - rect.y()) / rect.height()
        scale = new / self.devicePixelRatioF()
        width, height = self._image.width() * scale, self._image.height() * scale
        self.lens.look(new, px + (self.width() / 2 - at.x()) / width, py + (self.height() / 2 - at.y()) / height)

    def _lens_moved(self) -> None:
        self.update()
        self.zoomed.emit()

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.viewer"))
        if not self._image.isNull():
            self.paint_picture(painter, self.picture_rect())
        painter.end()

    def paint_picture(self, painter: QPainter, rect: QRectF) -> None:
        """The picture into a rect, with chequers behind alpha and the grid of pixels when one looks closely."""
        zoom = self.zoom()
        if self._image.hasAlphaChannel() and self.channel == "RGB":
            paint_chequers(painter, rect)
        if zoom < 0.5:
            painter.drawPixmap(rect, self._scaled(rect), QRectF(self._scaled(rect).rect()))
        else:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, zoom < GRID_FROM or self.is_estimate)
            painter.drawPixmap(rect, self._pixmap(), QRectF(self._image.rect()))
        if self.grid and zoom >= GRID_FROM and not self.is_estimate:
            self._paint_grid(painter, rect, zoom / self.devicePixelRatioF())

    def _pixmap(self) -> QPixmap:
        if self._shown is None:
            self._shown = QPixmap.fromImage(in_channel(self._image, self.channel))
        return self._shown

    def _scaled(self, rect: QRectF) -> QPixmap:
        """Far below half size one good scaling is better than the painter's, and kept."""
        ratio = self.devicePixelRatioF()
        width = max(1.0, rect.width() * ratio)
        if self._small is None or abs(self._small[0] - width) > 0.5:
            image = in_channel(self._image, self.channel)
            size = QSize(max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio)))
            self._small = (width, QPixmap.fromImage(image.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)))
        return self._small[1]

    def _paint_grid(self, painter: QPainter, rect: QRectF, step: float) -> None:
        painter.setPen(QPen(QColor(128, 128, 128, 70), 0))
        first, last = max(0, int(-rect.x() / step)), min(self._image.width(), int((self.width() - rect.x()) / step) + 1)
        for column in range(first, last + 1):
            x = rect.x() + column * step
            painter.drawLine(QPointF(x, max(0.0, rect.y())), QPointF(x, min(float(self.height()), rect.bottom())))
        first, last = max(0, int(-rect.y() / step)), min(self._image.height(), int((self.height() - rect.y()) / step) + 1)
        for line in range(first, last + 1):
            y = rect.y() + line * step
            painter.drawLine(QPointF(max(0.0, rect.x()), y), QPointF(min(float(self.width()), rect.right()), y))

    # -- hands

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta().y() or event.pixelDelta().y() * 4
        self.zoom_at(1.2 ** (delta / 120), event.position())
        event.accept()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() in (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton):
            self._drag = event.position()
            self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._drag is not None and not self._image.isNull():
            by = event.position() - self._drag
            self._drag = event.position()
            rect = self.picture_rect()
            if self.lens.fitted and by.manhattanLength() < 1:
                return
            x, y = (self.lens.x, self.lens.y) if not self.lens.fitted else (0.5, 0.5)
            self.lens.look(self.zoom(), x - by.x() / rect.width(), y - by.y() / rect.height())
        self._pick(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag = None
        self.unsetCursor()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.lens.fitted:
            rect = self.picture_rect()
            if rect.contains(event.position()):
                self.lens.look(1.0, (event.position().x() - rect.x()) / rect.width(), (event.position().y() - rect.y()) / rect.height())
        else:
            self.fit()

    def leaveEvent(self, event: object) -> None:
        self.picked.emit(-1, -1, QColor())

    def _pick(self, at: QPointF) -> None:
        rect = self.picture_rect()
        if not self._image.isNull() and rect.contains(at):
            x = min(self._image.width() - 1, int((at.x() - rect.x()) / rect.width() * self._image.width()))
            y = min(self._image.height() - 1, int((at.y() - rect.y()) / rect.height() * self._image.height()))
            self.picked.emit(x, y, self._image.pixelColor(x, y))
        else:
            self.picked.emit(-1, -1, QColor())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, middle = event.key(), QPointF(self.width() / 2, self.height() / 2)
        steps = {Qt.Key.Key_Left: (-0.1, 0.0), Qt.Key.Key_Right: (0.1, 0.0), Qt.Key.Key_Up: (0.0, -0.1), Qt.Key.Key_Down: (0.0, 0.1)}
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self.zoom_at(1.25, middle)
        elif key == Qt.Key.Key_Minus:
            self.zoom_at(0.8, middle)
        elif key == Qt.Key.Key_F:
            self.fit()
        elif key == Qt.Key.Key_0:
            self.actual()
        elif Qt.Key(key) in steps and not self.lens.fitted:
            rect, (dx, dy) = self.picture_rect(), steps[Qt.Key(key)]
            self.lens.look(self.lens.zoom, self.lens.x + dx * self.width() / rect.width(), self.lens.y + dy * self.height() / rect.height())
        else:
            super().keyPressEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.lens.fitted:
            self.zoomed.emit()


def pixels(image: QImage) -> np.ndarray:
    """A picture's RGBA as uint8 [height, width, 4]; a copy."""
    import numpy as np

    whole = image.convertToFormat(QImage.Format.Format_RGBA8888)
    flat = np.frombuffer(whole.constBits(), np.uint8, whole.sizeInBytes()).reshape(whole.height(), whole.bytesPerLine())
    return flat[:, : whole.width() * 4].reshape(whole.height(), whole.width(), 4).copy()


def image_of(array: np.ndarray) -> QImage:
    """A QImage of its own from uint8 [height, width, 1, 3 or 4] (or [height, width])."""
    import numpy as np

    array = np.ascontiguousarray(array)
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    kind = {1: QImage.Format.Format_Grayscale8, 3: QImage.Format.Format_RGB888, 4: QImage.Format.Format_RGBA8888}[channels]
    return QImage(array.data, width, height, width * channels, kind).copy()


def in_channel(image: QImage, channel: Channel) -> QImage:
    """One channel of a picture as grey; the picture itself for "RGB"."""
    if channel == "RGB":
        return image
    return image_of(pixels(image)[:, :, "RGBA".index(channel)])


@lru_cache(maxsize=4)
def _chequers(light: int, dark: int) -> QPixmap:
    tile = QPixmap(16, 16)
    painter = QPainter(tile)
    for x in (0, 8):
        for y in (0, 8):
            tone = light if x == y else dark
            painter.fillRect(x, y, 8, 8, QColor(tone, tone, tone))
    painter.end()
    return tile


def paint_chequers(painter: QPainter, rect: QRectF) -> None:
    """What stands for "nothing" behind a picture."""
    is_dark = theme.current().is_dark
    painter.drawTiledPixmap(rect, _chequers(70, 52) if is_dark else _chequers(235, 215))
