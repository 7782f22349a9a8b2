"""The lines of the first page's left column: what can be begun, and the files opened lately."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QAbstractButton

from ui import theme
from ui.thumbnails import cropped


class NavRow(QAbstractButton):
    """A line of the left column: icon, words, keys."""

    def __init__(self, words: str, icon: str, keys: str = "", primary: bool = False) -> None:
        super().__init__()
        self._icon, self._keys, self._primary = icon, keys, primary
        self.setText(words)
        self.setAccessibleName(words)
        self.setFixedHeight(40 if primary else 36)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(0.75, 0.75, self.width() - 1.5, self.height() - 1.5)
        ink = "text.on_accent" if self._primary else "text.primary"
        painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
        if self._primary:
            painter.setBrush(now.color("accent.pressed" if self.isDown() else "accent.hover" if self.underMouse() else "accent.base"))
            painter.drawRoundedRect(box, 6, 6)
        elif self.underMouse() or self.hasFocus():
            painter.setBrush(now.color("surface.hover") if self.underMouse() else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box, 6, 6)
        middle = self.height() / 2
        theme.draw_icon(painter, self._icon, QRectF(14, middle - 8, 16, 16), now.color(ink if self._primary else "text.secondary"))
        painter.setFont(theme.font("body", 600 if self._primary else 500))
        painter.setPen(now.color(ink))
        painter.drawText(QPointF(40, middle + theme.metrics("body", 600).capHeight() / 2), self.text())
        if self._keys:
            painter.setFont(theme.font("small", 500))
            painter.setPen(now.color(ink if self._primary else "text.tertiary"))
            painter.drawText(QRectF(0, 0, self.width() - 14, self.height()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self._keys)
        painter.end()


class RecentRow(QAbstractButton):
    """A file opened lately, with its last picture if the program kept one."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._when = ""
        self._pixmap: QPixmap | None = None
        self.setFixedHeight(52)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAccessibleName(path.stem)
        self.setToolTip(str(path))

    def show_facts(self, when: str, image: QImage | None) -> None:
        self._when = when
        if image is not None:
            side = round(44 * self.devicePixelRatioF())
            self._pixmap = QPixmap.fromImage(cropped(image, QSize(side, side)))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        if self.underMouse() or self.hasFocus():
            painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("surface.hover") if self.underMouse() else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, 51), 6, 6)
        tile = QRectF(4, 4, 44, 44)
        clip = QPainterPath()
        clip.addRoundedRect(tile, 4, 4)
        if self._pixmap is not None:
            painter.save()
            painter.setClipPath(clip)
            painter.drawPixmap(tile, self._pixmap, QRectF(self._pixmap.rect()))
            painter.restore()
        else:
            painter.fillPath(clip, now.color("surface.field"))
            theme.draw_icon(painter, "workflow", tile.adjusted(14, 14, -14, -14), now.color("text.tertiary"))
        room = self.width() - 72
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(62, 22), theme.metrics("body", 600).elidedText(self.path.stem, Qt.TextElideMode.ElideMiddle, room))
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.secondary"))
        painter.drawText(QPointF(62, 38), self._when)
        painter.end()
