"""The rail at the left edge: what opens beside it, and Problems, Help and Settings at its foot."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QToolBar, QToolButton, QVBoxLayout, QWidget

from ui import theme
from ui.label import hair

TOP = (
    ("add", "plus", "Add a node"),
    ("models", "library", "Models"),
    ("pictures", "images", "Pictures"),
    ("templates", "layout-template", "Templates"),
    ("outline", "list-tree", "Outline"),
    ("history", "history", "History"),
)
WIDTH = 44
FOOT = (("problems", "triangle-alert", "Problems"), ("help", "circle-question-mark", "Keys and help"), ("settings", "settings", "Preferences"))


class RailButton(QToolButton):
    """A button of 32 px with an icon of 18; Problems wears a count."""

    def __init__(self, icon: str, tip: str, quiet: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon, self._quiet = icon, quiet
        self._count = 0
        self._bad = False
        self.setFixedSize(32, 32)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setCheckable(True)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def set_count(self, count: int, bad: bool) -> None:
        if (count, bad) != (self._count, self._bad):
            self._count, self._bad = count, bad
            self.setAccessibleDescription(f"{count} found" if count else "")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        lit = self.isChecked() or self.underMouse()
        if lit or self.hasFocus():
            painter.setPen(now.color("line.focus") if self.hasFocus() and not self.isDown() and not self.underMouse() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("surface.hover") if lit else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, 31, 31), 6, 6)
        tone = "text.primary" if self.isChecked() else "text.tertiary" if self._quiet and not lit else "text.secondary"
        theme.draw_icon(painter, self._icon, QRectF(7, 7, 18, 18), now.color(tone), 1.6)
        if self._count:
            box = QRectF(17, 0, 15, 14)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(now.color("state.bad_fill" if self._bad else "state.warn"))
            painter.drawRoundedRect(box, 7, 7)
            painter.setPen(now.color("text.on_bad" if self._bad else "text.on_live"))
            painter.setFont(theme.font("caption", 600))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, str(self._count) if self._count < 10 else "9+")
        painter.end()


class Rail(QToolBar):
    """44 px; `pressed` tells which button. The window decides what is open and says so by `show_open`."""

    pressed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Rail", parent)
        self.setObjectName("rail")
        self.setMovable(False)
        self.setFloatable(False)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self.setIconSize(QSize(18, 18))
        inside = QWidget()
        inside.setFixedWidth(WIDTH - 1)
        column = QVBoxLayout(inside)
        column.setContentsMargins(6, 8, 5, 8)
        column.setSpacing(6)
        self.buttons: dict[str, RailButton] = {}
        for number, (name, icon, tip) in enumerate(TOP):
            column.addWidget(self._make(name, icon, tip, False))
            if number == 0:
                line = hair(color="line.soft")
                line.setFixedWidth(20)
                column.addWidget(line, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)
        for name, icon, tip in FOOT:
            column.addWidget(self._make(name, icon, tip, name != "problems"))
        self._inside = inside
        self.addWidget(inside)
        self.setFixedWidth(WIDTH)

    def _make(self, name: str, icon: str, tip: str, quiet: bool) -> RailButton:
        made = RailButton(icon, tip, quiet)
        made.clicked.connect(lambda: self.pressed.emit(name))
        self.buttons[name] = made
        return made

    def show_open(self, name: str) -> None:
        """Mark the button whose page is open; "" marks none."""
        for key, made in self.buttons.items():
            made.setChecked(key == name)

    def set_problems(self, count: int, bad: bool) -> None:
        self.buttons["problems"].set_count(count, bad)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._inside.setGeometry(0, 0, WIDTH - 1, self.height())  # the style's own margins are wider than the rail

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.window"))
        painter.fillRect(self.width() - 1, 0, 1, self.height(), theme.current().color("line.hair"))
        painter.end()
