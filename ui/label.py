"""Small words on the screen. All of them are plain text, because a graph from elsewhere may hold anything."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QToolButton, QWidget

from ui import theme


class Label(QLabel):
    """A line or paragraph of plain text. `kind` is one of the style sheet's looks: heading, title, display, strong, dim, faint, value, bad."""

    def __init__(self, text: str = "", kind: str = "", wrap: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setText(text)
        self.setWordWrap(wrap)
        if kind:
            self.setProperty("kind", kind)
        if wrap:
            self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)


class ElidedLabel(Label):
    """One line that gives way to "…" when there is no room; the whole text is its tooltip."""

    def __init__(self, text: str = "", kind: str = "", mode: Qt.TextElideMode = Qt.TextElideMode.ElideRight, parent: QWidget | None = None) -> None:
        self._whole = text
        self._mode = mode
        super().__init__(text, kind, parent=parent)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def setText(self, text: str) -> None:
        self._whole = text
        self._fit()

    def setFixedWidth(self, width: int) -> None:
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        super().setFixedWidth(width)

    def whole(self) -> str:
        return self._whole

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._whole) + 2, super().sizeHint().height())

    def _fit(self) -> None:
        line = self._whole.replace("\n", " ")
        shown = self.fontMetrics().elidedText(line, self._mode, max(0, self.width()))
        super().setText(shown if self.width() > 1 else line)
        self.setToolTip(plain_tip(self._whole) if shown != line else "")


def plain_tip(text: str) -> str:
    """A tooltip that Qt takes as plain text whatever it holds: without a line of its own, "<" would begin rich text."""
    if "<" in text:
        return "<qt>" + text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>") + "</qt>"
    return text


class IconLabel(QWidget):
    """An icon that follows the theme."""

    def __init__(self, name: str, color: str = "text.tertiary", size: int = 16, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._color, self._size = name, color, size
        self.setFixedSize(size, size)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def set_icon(self, name: str, color: str | None = None) -> None:
        if (name, color or self._color) != (self._name, self._color):
            self._name, self._color = name, color or self._color
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme.draw_icon(painter, self._name, QRectF(0, 0, self._size, self._size), theme.current().color(self._color))
        painter.end()


class KeyCap(QWidget):
    """A key as it looks on a keyboard."""

    def __init__(self, key: str, height: int = 18, raised: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key, self._raised = key, raised
        advance = QFontMetricsF(theme.font("caption", 600)).horizontalAdvance(key)
        self.setFixedSize(max(height, round(advance) + (10 if raised else 8)), height)
        self.setAccessibleName(key)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.soft"), 1) if self._raised else Qt.PenStyle.NoPen)
        painter.setBrush(now.color("surface.raised" if self._raised else "surface.hover"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 4 if self._raised else 3, 4 if self._raised else 3)
        painter.setPen(now.color("text.secondary"))
        painter.setFont(theme.font("caption", 600))
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._key)
        painter.end()


def button(text: str, kind: str = "", icon: str | None = None, tip: str = "", parent: QWidget | None = None) -> QPushButton:
    """A push button in one of the looks primary, live, bad, ghost, link or plain."""
    made = QPushButton(text.replace("&", "&&"), parent)
    if kind:
        made.setProperty("kind", kind)
    if icon:
        made.setIcon(theme.icon(icon, "text.on_accent" if kind == "primary" else "text.secondary"))
        made.setIconSize(QSize(20, 16))  # drawn in the middle: Qt leaves next to no room between icon and words
    if tip:
        made.setToolTip(plain_tip(tip))
    made.setCursor(Qt.CursorShape.PointingHandCursor)
    return made


def tool(icon: str, tip: str, size: int = 14, checkable: bool = False, parent: QWidget | None = None) -> QToolButton:
    """A small button with an icon only; the tip is its accessible name too."""
    made = QToolButton(parent)
    made.setIcon(theme.icon(icon, "text.tertiary" if size < 16 else "text.secondary", "text.primary"))
    made.setIconSize(QSize(size, size))
    made.setToolTip(plain_tip(tip))
    made.setAccessibleName(tip)
    made.setCheckable(checkable)
    made.setFixedSize(size + 10, size + 10)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


def hair(vertical: bool = False, color: str = "line.hair") -> QFrame:
    """A line of one pixel."""
    line = QFrame()
    line.setProperty("kind", "hair" if color == "line.hair" else "soft")
    if vertical:
        line.setFixedWidth(1)
    else:
        line.setFixedHeight(1)
    return line


def shown_name(text: str, limit: int = 80) -> str:
    """A name from a file, fit for a sentence or a log: no control characters, not endless."""
    clean = "".join(c if c.isprintable() else "?" for c in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"
