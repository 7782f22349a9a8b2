"""The status bar: what hands and keys do now, when the work was saved, the device, and how full the memory is."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetricsF, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QMenu, QSizePolicy, QStatusBar, QWidget

from ui import theme
from ui.label import IconLabel, Label, plain_tip
from ui.words import gigabytes, size_words

MOUSE_ICONS = {"drag": "mouse-left", "click": "mouse-left", "double-click": "mouse-left", "middle drag": "mouse", "wheel": "mouse", "right-click": "mouse-right", "right-drag": "mouse-right"}


class HintStrip(QWidget):
    """What the mouse buttons and keys do, from words as "Drag: select|Middle drag: move the view|Tab: add a node"."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: list[tuple[str, str]] = []
        self._message = ""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(lambda: self.say(""))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Expanding)

    def set_hint(self, words: str) -> None:
        parts = []
        for part in words.split("|"):
            key, _, what = part.partition(":")
            if what.strip():
                parts.append((key.strip(), what.strip()[:1].upper() + what.strip()[1:]))
        if parts != self._parts:
            self._parts = parts
            self.setAccessibleName(words.replace("|", ". "))
            self.update()

    def say(self, message: str, seconds: float = 6.0) -> None:
        """One sentence in place of the hints, for a while."""
        self._message = message
        self.setAccessibleDescription(message)
        if message:
            self._timer.start(int(seconds * 1000))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(400, 24)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = self.height() / 2
        small, caption = theme.metrics("small"), QFontMetricsF(theme.font("caption", 600))
        x = 14.0
        if self._message:
            painter.setFont(theme.font("small"))
            painter.setPen(now.color("text.primary"))
            shown = small.elidedText(self._message, Qt.TextElideMode.ElideRight, self.width() - 28)
            painter.drawText(QPointF(x, middle + small.capHeight() / 2), shown)
            painter.end()
            return
        for key, what in self._parts:
            icon = MOUSE_ICONS.get(key.lower())
            head = 19 if icon else max(14.0, caption.horizontalAdvance(key) + 8) + 6
            if x + head + small.horizontalAdvance(what) > self.width() - 8:
                break
            if icon:
                theme.draw_icon(painter, icon, QRectF(x, middle - 7, 14, 14), now.color("text.tertiary"), 1.7)
            else:
                box = QRectF(x, middle - 7, head - 6, 14)
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(now.color("surface.hover"))
                painter.drawRoundedRect(box, 3, 3)
                painter.setPen(now.color("text.secondary"))
                painter.setFont(theme.font("caption", 600))
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, key)
            x += head
            painter.setPen(now.color("text.secondary"))
            painter.setFont(theme.font("small"))
            painter.drawText(QPointF(x, middle + small.capHeight() / 2), what)
            x += small.horizontalAdvance(what) + 16
        painter.end()


class Meter(QAbstractButton):
    """A name, a bar of 56 px and a value. Grey, yellow from 85 %, red when a run could not start for it. A click offers to free memory."""

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._name, self._value, self._share, self._short = name, "", 0.0, False
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.hide()

    def show_value(self, value: str, share: float, short: bool = False) -> None:
        if (value, round(share, 3), short) == (self._value, round(self._share, 3), self._short) and not self.isHidden():
            return
        self._value, self._share, self._short = value, share, short
        self.setAccessibleName(f"{self._name}: {value}")
        self.setToolTip(plain_tip(f"{self._name}: {value}. Click to free memory."))
        self.setFixedWidth(round(self._widths()[0] + 6 + 56 + 8 + self._widths()[1] + 2))
        self.setVisible(bool(value))
        self.update()

    def _widths(self) -> tuple[float, float]:
        return theme.metrics("small").horizontalAdvance(self._name), theme.metrics("value", px=10).horizontalAdvance(self._value)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle, left = self.height() / 2, self._widths()[0]
        painter.setFont(theme.font("small"))
        painter.setPen(now.color("text.primary" if self.underMouse() or self.hasFocus() else "text.tertiary"))
        painter.drawText(QPointF(0, middle + theme.metrics("small").capHeight() / 2), self._name)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(now.color("surface.field_fill"))
        painter.drawRoundedRect(QRectF(left + 6, middle - 2, 56, 4), 2, 2)
        painter.setBrush(now.color("state.bad" if self._short else "state.warn" if self._share >= 0.85 else "text.tertiary"))
        painter.drawRoundedRect(QRectF(left + 6, middle - 2, 56 * min(1.0, max(0.02, self._share)), 4), 2, 2)
        painter.setPen(now.color("text.secondary"))
        painter.setFont(theme.font("value", px=10))
        painter.drawText(QPointF(left + 70, middle + theme.metrics("value", px=10).capHeight() / 2), self._value)
        painter.end()


class StatusBar(QStatusBar):
    """24 px. `free_wanted` carries "models", "results" or "all"."""

    free_wanted = Signal(str)
    device_wanted = Signal()
    saved_clicked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeGripEnabled(False)
        self.setFixedHeight(24)
        self.setContentsMargins(0, 0, 0, 0)
        inside = QWidget()
        row = QHBoxLayout(inside)
        row.setContentsMargins(0, 0, 14, 0)
        row.setSpacing(0)
        self.hints = HintStrip()
        row.addWidget(self.hints, 1)
        self._saved_icon = IconLabel("circle-check", "state.ok", 14)
        self._saved = Label("", "status")
        self._device_icon = IconLabel("cpu", "text.tertiary", 14)
        self._device = Label("", "status")
        for icon, label in ((self._saved_icon, self._saved), (self._device_icon, self._device)):
            row.addWidget(icon)
            row.addSpacing(5)
            row.addWidget(label)
            row.addSpacing(22)
            icon.hide()
        self.cache, self.vram, self.ram = Meter("Cache"), Meter("VRAM"), Meter("RAM")
        for number, meter in enumerate((self.cache, self.vram, self.ram)):
            if number:
                row.addSpacing(20)
            meter.clicked.connect(lambda _checked=False, meter=meter: self._offer_free(meter))
            row.addWidget(meter)
        self.addWidget(inside, 1)
        self._ram_timer = QTimer(self)
        self._ram_timer.setInterval(2000)
        self._ram_timer.timeout.connect(self.read_ram)

    def start(self) -> None:
        """Begin to watch the computer's own memory."""
        self.read_ram()
        self._ram_timer.start()

    def show_saved(self, words: str, state: str = "ok") -> None:
        """State: ok, busy, unsaved or bad."""
        icon, color = {"ok": ("circle-check", "state.ok"), "busy": ("save", "text.tertiary"), "unsaved": ("circle-dot", "text.tertiary"), "bad": ("circle-alert", "state.bad")}[state]
        self._saved_icon.set_icon(icon, color)
        self._saved_icon.setVisible(bool(words))
        self._saved.setText(words)

    def show_device(self, words: str) -> None:
        self._device_icon.setVisible(bool(words))
        self._device.setText(words)

    def show_memory(self, device: str, used: int, total: int, cache: int, disk: int, short: bool = False) -> None:
        """Bytes on the device and in the cache of results."""
        if device.startswith(("cuda", "mps", "xpu")) and total:
            self.vram.show_value(f"{gigabytes(used)} / {gigabytes(total, 0)} GB", used / total, short)
        else:
            self.vram.show_value("", 0)
        self.cache.show_value(size_words(cache + disk) if cache + disk else "", min(1.0, cache / (2 * 2**30)))

    def read_ram(self) -> None:
        found = memory_of_computer()
        if found is not None:
            used, total = found
            self.ram.show_value(f"{gigabytes(used)} / {gigabytes(total, 0)} GB", used / total)

    def _offer_free(self, meter: Meter) -> None:
        menu = QMenu(self)
        for words, what in (("Free memory", "all"), ("Unload models", "models"), ("Forget kept results", "results")):
            menu.addAction(words).triggered.connect(lambda _checked=False, what=what: self.free_wanted.emit(what))
        menu.popup(meter.mapToGlobal(QPoint(0, -menu.sizeHint().height())))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.status"))
        painter.fillRect(0, 0, self.width(), 1, theme.current().color("line.hair"))
        painter.end()


def memory_of_computer() -> tuple[int, int] | None:
    """Bytes of main memory in use and there; None where this system does not tell without help."""
    if sys.platform.startswith("linux"):
        try:
            lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
            table = {key: int(rest.split()[0]) * 1024 for key, rest in (line.split(":", 1) for line in lines)}
            return table["MemTotal"] - table["MemAvailable"], table["MemTotal"]
        except (OSError, ValueError, KeyError, IndexError):
            return None
    try:
        import psutil  # comes with accelerate
    except ImportError:
        return None
    memory = psutil.virtual_memory()
    return memory.total - memory.available, memory.total
