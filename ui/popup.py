"""A frameless sheet over the window: radius 12, its own shadow, gone with Escape or a click outside."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from ui import theme

MARGIN = 24
RADIUS = 12


class Popup(QWidget):
    """Content goes into `self.sheet`, laid out inside the shadow's margin."""

    def __init__(self, size: QSize, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint | Qt.WindowType.NoDropShadowWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_WindowPropagation)
        self.sheet = QWidget(self)
        self.set_sheet_size(size)

    def set_sheet_size(self, size: QSize) -> None:
        self.sheet.setGeometry(MARGIN, MARGIN, size.width(), size.height())
        self.setFixedSize(size.width() + 2 * MARGIN, size.height() + 2 * MARGIN)

    def place(self, where: QPoint) -> None:
        """Show with the sheet's corner at a global point, moved so that all of it is over the window or its screen."""
        parent = self.parentWidget()
        area = parent.window().frameGeometry() if parent is not None else QRectF().toRect()
        screen = self.screen().availableGeometry()
        area = area.intersected(screen) if area.isValid() and area.width() > self.sheet.width() and area.height() > self.sheet.height() else screen
        x = max(area.left() + 8, min(where.x(), area.right() - self.sheet.width() - 8))
        y = max(area.top() + 8, min(where.y(), area.bottom() - self.sheet.height() - 8))
        self.move(x - MARGIN, y - MARGIN)
        self.show()
        self.raise_()
        self.activateWindow()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        box = QRectF(self.sheet.geometry())
        strength = 0.34 if now.is_dark else 0.16
        painter.setPen(Qt.PenStyle.NoPen)
        for ring in range(18):
            share = (ring + 1) / 18
            painter.setBrush(QColor(0, 0, 0, int(255 * strength * (1 - share) ** 2 / 18 * 3.2)))
            grow = share * 18
            painter.drawRoundedRect(box.adjusted(-grow, -grow + 6, grow, min(grow + 6, MARGIN - 1)), RADIUS + grow, RADIUS + grow)
        painter.setPen(QPen(now.color("line.soft"), 1))
        painter.setBrush(now.color("surface.popup"))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), RADIUS, RADIUS)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)
