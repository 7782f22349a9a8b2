"""Two pictures, A and B: wiped, side by side, blinking, or their difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QVBoxLayout, QWidget

from nodegraph.graph import Graph
from ui import theme
from ui.differences import told_apart, what_differs
from ui.label import ElidedLabel, hair
from ui.panels.picture_view import GRID_FROM, Lens, PictureView, image_of, pixels
from ui.panels.viewer import segment

Mode = Literal["wipe", "side", "blink", "difference"]
MODES: tuple[tuple[Mode, str, str], ...] = (("wipe", "Wipe", "square-split-horizontal"), ("side", "Side by side", "columns-2"), ("blink", "Blink", "eye"), ("difference", "Difference", "contrast"))


@dataclass(frozen=True)
class Side:
    """One of the two: the picture, what it is called, and the graph that made it."""

    image: QImage
    name: str = ""
    about: str = ""
    graph: Graph | None = None


class _Slot(QAbstractButton):
    """A or B with its name; a click asks for another picture."""

    def __init__(self, letter: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._letter = letter
        self._side: Side | None = None
        self.setFixedHeight(38)
        self.setMinimumWidth(120)
        self.setMaximumWidth(210)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.show_side(None)

    def sizeHint(self) -> QSize:
        return QSize(202, 38)

    def show_side(self, side: Side | None) -> None:
        self._side = side
        self.setAccessibleName(f"{self._letter}: {side.name}" if side else f"{self._letter}: choose a picture")
        self.setToolTip("Put the picture of the viewer here")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.focus"), 1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(now.color("surface.hover" if self.underMouse() else "surface.panel"))
        painter.drawRoundedRect(QRectF(0.75, 0.75, self.width() - 1.5, self.height() - 1.5), 6, 6)
        first = self._letter == "A"
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(now.color("accent.base" if first else "surface.hover"))
        painter.drawRoundedRect(QRectF(8, 7, 24, 24), 6, 6)
        painter.setPen(now.color("text.on_accent" if first else "text.primary"))
        painter.setFont(theme.font("body", 600))
        painter.drawText(QRectF(8, 7, 24, 24), Qt.AlignmentFlag.AlignCenter, self._letter)
        room = self.width() - 50
        name, about = (self._side.name, self._side.about) if self._side else ("Empty", "press to set")
        painter.setPen(now.color("text.primary"))
        painter.setFont(theme.font("body", 500))
        painter.drawText(QPointF(42, 16), theme.metrics("body", 500).elidedText(name, Qt.TextElideMode.ElideRight, room))
        painter.setPen(now.color("text.secondary"))
        painter.setFont(theme.font("small"))
        painter.drawText(QPointF(42, 30), theme.metrics("small").elidedText(about, Qt.TextElideMode.ElideRight, room))
        painter.end()


class WipeView(PictureView):
    """Two pictures in one view. The line is dragged anywhere; Space blinks."""

    def __init__(self, lens: Lens | None = None, parent: QWidget | None = None) -> None:
        super().__init__(lens, parent)
        self.mode: Mode = "wipe"
        self.at = 0.5
        self._other = QImage()
        self._difference: QImage | None = None
        self.blinked = False
        self._blink = QTimer(self)
        self._blink.setInterval(500)
        self._blink.timeout.connect(self._flip)
        self._moving = False
        self.setAccessibleName("Comparison of A and B")

    def show_sides(self, a: QImage | None, b: QImage | None) -> None:
        self.show_image(a)
        self._other = b if b is not None else QImage()
        self._difference = None
        self.update()

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        self.blinked = False
        if mode == "blink":
            self._blink.start()
        else:
            self._blink.stop()
        self.update()

    def _flip(self) -> None:
        self.blinked = not self.blinked
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.viewer"))
        rect = self.picture_rect()
        if self.image.isNull() or self._other.isNull():
            if not self.image.isNull():
                self.paint_picture(painter, rect)
        elif self.mode == "side":
            self._paint_side(painter)
        elif self.mode == "blink":
            if self.blinked:
                self._paint_b(painter, rect)
            else:
                self.paint_picture(painter, rect)
        elif self.mode == "difference":
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(rect, self._made_difference())
        else:
            self._paint_wipe(painter, rect)
        painter.end()

    def _paint_wipe(self, painter: QPainter, rect: QRectF) -> None:
        x = rect.x() + rect.width() * self.at
        painter.save()
        painter.setClipRect(QRectF(0, 0, x, self.height()))
        self.paint_picture(painter, rect)
        painter.restore()
        painter.save()
        painter.setClipRect(QRectF(x, 0, self.width() - x, self.height()))
        self._paint_b(painter, rect)
        painter.restore()
        visible = rect.intersected(QRectF(self.rect()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for width, tone in ((4.5, QColor(0, 0, 0, 120)), (1.5, QColor(255, 255, 255))):
            painter.setPen(QPen(tone, width))
            painter.drawLine(QPointF(x, visible.top()), QPointF(x, visible.bottom()))
        middle = QPointF(x, visible.center().y())
        painter.setPen(QPen(QColor(0, 0, 0, 90), 1))
        painter.setBrush(QColor(255, 255, 255))
        painter.drawEllipse(middle, 14, 14)
        theme.draw_icon(painter, "chevrons-left-right", QRectF(middle.x() - 8, middle.y() - 8, 16, 16), QColor(20, 20, 22), 2.2)

    def _paint_b(self, painter: QPainter, rect: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.zoom() < GRID_FROM)
        painter.drawImage(rect, self._other)

    def _paint_side(self, painter: QPainter) -> None:
        half = self.width() / 2
        for number, image in enumerate((self.image, self._other)):
            area = QRectF(number * half, 0, half - (1 if number == 0 else 0), self.height())
            if self.lens.fitted:
                scale = min((area.width() - 16) / image.width(), (area.height() - 16) / image.height())
                width, height = image.width() * scale, image.height() * scale
                rect = QRectF(area.center().x() - width / 2, area.center().y() - height / 2, width, height)
            else:
                scale = self.lens.zoom / self.devicePixelRatioF() * self.image.width() / image.width()
                width, height = image.width() * scale, image.height() * scale
                rect = QRectF(area.center().x() - self.lens.x * width, area.center().y() - self.lens.y * height, width, height)
            painter.save()
            painter.setClipRect(area)
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(rect, image)
            painter.restore()
        painter.fillRect(QRectF(half - 0.5, 0, 1, self.height()), theme.current().color("line.hair"))

    def _made_difference(self) -> QImage:
        if self._difference is None:
            self._difference = difference_of(self.image, self._other)
        return self._difference

    # -- hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.mode == "wipe" and event.button() == Qt.MouseButton.LeftButton:
            self._moving = True
            self._wipe_to(event.position())
        elif self.mode == "blink" and event.button() == Qt.MouseButton.LeftButton:
            self._blink.stop()
            self._flip()
        else:
            super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._moving:
            self._wipe_to(event.position())
        else:
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._moving = False
        super().mouseReleaseEvent(event)

    def _wipe_to(self, at: QPointF) -> None:
        rect = self.picture_rect()
        if rect.width() > 0:
            self.at = min(1.0, max(0.0, (at.x() - rect.x()) / rect.width()))
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self.mode == "wipe":
            self.at = min(1.0, max(0.0, self.at + (0.02 if event.key() == Qt.Key.Key_Right else -0.02)))
            self.update()
        elif event.key() == Qt.Key.Key_Space:
            self._blink.stop()
            self._flip()
        else:
            super().keyPressEvent(event)


def difference_of(a: QImage, b: QImage) -> QImage:
    """How far two pictures lie apart, pixel by pixel and doubled; the second is brought to the first's size."""
    import numpy as np

    if a.size() != b.size():
        b = b.scaled(a.size(), Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)
    apart = np.abs(pixels(a)[:, :, :3].astype(np.int16) - pixels(b)[:, :, :3])
    return image_of(np.minimum(apart * 2, 255).astype(np.uint8))


class ComparePanel(QWidget):
    """The view with its slots above and its modes below."""

    slot_pressed = Signal(str)  # "A" or "B"

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sides: dict[str, Side | None] = {"A": None, "B": None}
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        top = QHBoxLayout()
        top.setContentsMargins(12, 10, 12, 8)
        self._slots = {letter: _Slot(letter) for letter in "AB"}
        for letter, slot in self._slots.items():
            slot.clicked.connect(lambda _checked=False, letter=letter: self.slot_pressed.emit(letter))
        top.addWidget(self._slots["A"])
        top.addStretch(1)
        top.addWidget(self._slots["B"])
        column.addLayout(top)
        self.view = WipeView()
        column.addWidget(self.view, 1)
        column.addWidget(hair())
        row = QHBoxLayout()
        row.setContentsMargins(10, 6, 12, 6)
        row.setSpacing(2)
        self._modes = {}
        for mode, words, icon in MODES:
            made = segment(f"  {words}", words)
            made.setIcon(theme.icon(icon, "text.tertiary", "text.primary"))
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.clicked.connect(lambda _checked=False, mode=mode: self.set_mode(mode))
            self._modes[mode] = made
            row.addWidget(made)
        self._changed = ElidedLabel("", "faint")
        self._changed.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._changed, 1)
        column.addLayout(row)
        self.set_mode("wipe")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.viewer"))
        painter.end()

    def set_mode(self, mode: Mode) -> None:
        for key, made in self._modes.items():
            made.setChecked(key == mode)
        self.view.set_mode(mode)

    def show_side(self, letter: str, side: Side | None) -> None:
        self.sides[letter] = side
        a, b = self.sides["A"], self.sides["B"]
        self.view.show_sides(a.image if a else None, b.image if b else None)
        both = a and b and a.graph is not None and b.graph is not None
        self._changed.setText(what_differs(a.graph, b.graph) if both else "")
        apart = told_apart(a.graph, b.graph) if both else None
        for slot, one, words in zip((self._slots["A"], self._slots["B"]), (a, b), apart or ("", "")):
            slot.show_side(replace(one, about=words) if one is not None and words else one)

    def push(self, side: Side) -> None:
        """A new picture becomes B; what was B becomes A."""
        if self.sides["B"] is not None:
            self.show_side("A", self.sides["B"])
        self.show_side("B", side)
