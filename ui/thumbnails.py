"""Pictures brought down to the size they are shown at."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QImageReader, QPainter, QTransform

MOST_PIXELS = 2**28


def cropped(image: QImage, size: QSize) -> QImage:
    """The middle of a picture, filling `size`."""
    scaled = image.scaled(size, Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation)
    return scaled.copy((scaled.width() - size.width()) // 2, (scaled.height() - size.height()) // 2, size.width(), size.height())


def framed(image: QImage, size: QSize) -> QImage:
    """A whole picture in a frame of another shape, so that nothing is cut off; its edges run on beside it, dim and blurred."""
    if abs(image.width() / image.height() - size.width() / size.height()) < 0.3:
        return cropped(image, size)
    whole = image.scaled(size, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
    x, y = (size.width() - whole.width()) // 2, (size.height() - whole.height()) // 2
    made = QImage(size, QImage.Format.Format_RGB32)
    painter = QPainter(made)
    edge, lying = max(1, (whole.width() if x > 0 else whole.height()) // 10), x > 0
    for number in range(2):
        across, down = number * (whole.width() - edge), number * (whole.height() - edge)
        strip = whole.copy(across, 0, edge, whole.height()) if lying else whole.copy(0, down, whole.width(), edge)
        place = QRect(number * (x + whole.width()), 0, x + 1, size.height()) if lying else QRect(0, number * (y + whole.height()), size.width(), y + 1)
        painter.drawImage(place, strip.transformed(QTransform.fromScale(-1, 1) if lying else QTransform.fromScale(1, -1)))
    painter.drawImage(x, y, whole)
    painter.end()
    smooth = Qt.TransformationMode.SmoothTransformation
    made = made.scaled(max(1, size.width() // 12), max(1, size.height() // 12), Qt.AspectRatioMode.IgnoreAspectRatio, smooth)
    made = made.scaled(size, Qt.AspectRatioMode.IgnoreAspectRatio, smooth).convertToFormat(QImage.Format.Format_RGB32)
    painter.begin(made)
    painter.fillRect(made.rect(), QColor(0, 0, 0, 90))
    painter.drawImage(x, y, whole)
    painter.end()
    return made


def read_picture(path: Path, most: int = 0) -> QImage:
    """A picture file, its longer side at most `most` px (0: as it is). May be called in any thread.

    Raises:
        OSError: It cannot be read, or claims to have more than 256 megapixels.
    """
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    size = reader.size()
    if size.isValid() and size.width() * size.height() > MOST_PIXELS:
        raise OSError(f"'{path.name}' is too large to be shown.")
    if most and size.isValid() and max(size.width(), size.height()) > most:
        reader.setScaledSize(size.scaled(most, most, Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    if image.isNull():
        raise OSError(reader.errorString())
    return image


def picture_beside(path: Path, most: int = 512) -> QImage | None:
    """The picture of the same name beside a file, if there is one. May be called in any thread."""
    for suffix in (".webp", ".png", ".jpg"):
        if (place := path.with_suffix(suffix)).is_file():
            try:
                return read_picture(place, most)
            except OSError:
                continue
    return None


def thumbnail(path: Path, side: int) -> QImage:
    """The middle of a picture as a square of twice `side` px, for sharp screens; 0 gives it whole.

    Raises:
        OSError: It cannot be read.
    """
    if not side:
        return read_picture(path)
    reader = QImageReader(str(path))
    size = reader.size()
    shorter = min(size.width(), size.height()) if size.isValid() else 0
    most = round(2 * side * max(size.width(), size.height()) / shorter) if shorter > 2 * side else 0
    return cropped(read_picture(path, most), QSize(2 * side, 2 * side))
