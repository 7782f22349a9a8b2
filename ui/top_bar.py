"""The bar over everything: mark, menus, workspaces, the search field, what the machine is doing, Run and Stop."""

from __future__ import annotations

import sys

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetricsF, QPainter, QPainterPath, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QAbstractButton, QHBoxLayout, QMenuBar, QSizePolicy, QWidget

from ui import theme
from ui.label import Label, hair

WORKSPACES = (("graph", "Graph", "workflow"), ("paint", "Paint", "brush"), ("compare", "Compare", "square-split-horizontal"), ("browse", "Browse", "images"))


class Mark(QWidget):
    """The program's mark: two linked ports."""

    def __init__(self, side: int = 20, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._side = side
        self.setFixedSize(side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        draw_mark(painter, QRectF(0, 0, self._side, self._side))
        painter.end()


def draw_mark(painter: QPainter, rect: QRectF) -> None:
    """Paint the mark into a square."""
    now = theme.current()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.translate(rect.topLeft())
    painter.scale(rect.width() / 20, rect.height() / 20)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(now.color("accent.base"))
    painter.drawRoundedRect(QRectF(0, 0, 20, 20), 6, 6)
    painter.setPen(QPen(now.color("text.on_accent"), 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    path = QPainterPath(QPointF(4.5, 14))
    path.cubicTo(11, 14, 9, 6, 15.5, 6)
    painter.drawPath(path)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(now.color("text.on_accent"))
    painter.drawEllipse(QPointF(4.5, 14), 2.2, 2.2)
    painter.drawEllipse(QPointF(15.5, 6), 2.2, 2.2)
    painter.restore()


class SearchField(QAbstractButton):
    """Looks like a field, opens the command palette."""

    def __init__(self, key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._key = key
        self.setText("Find a node, a command or a setting")
        self.setAccessibleName("Find a node, a command or a setting")
        self.setCursor(Qt.CursorShape.IBeamCursor)
        self.setFixedHeight(26)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def sizeHint(self) -> QSize:
        return QSize(300, 26)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(now.color("line.focus" if self.hasFocus() else "line.strong" if self.underMouse() else "line.soft"), 1))
        painter.setBrush(now.color("surface.field"))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 6, 6)
        theme.draw_icon(painter, "search", QRectF(9, 6, 14, 14), now.color("text.tertiary"))
        key_width = QFontMetricsF(theme.font("caption")).horizontalAdvance(self._key)
        painter.setPen(now.color("text.tertiary"))
        painter.setFont(theme.font("body"))
        room = self.width() - 30 - key_width - 18
        shown = theme.metrics("body").elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(30, 0, room + 4, self.height()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, shown)
        painter.setFont(theme.font("caption"))
        painter.drawText(QRectF(0, 0, self.width() - 10, self.height()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self._key)
        painter.end()


class SpaceButton(QAbstractButton):
    """One workspace: icon 16, word, on a lighter ground when it is the one shown."""

    def __init__(self, text: str, icon: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self.setText(text)
        self.setAccessibleName(text)
        self.setCheckable(True)
        self.setFixedSize(round(theme.metrics("body", 500).horizontalAdvance(text)) + 40, 26)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        on = self.isChecked()
        if on or self.underMouse() or self.hasFocus():
            painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("surface.hover") if on else now.color("surface.hover", 0.5) if self.underMouse() else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, 25), 6, 6)
        theme.draw_icon(painter, self._icon, QRectF(9, 5, 16, 16), now.color("text.primary" if on else "text.tertiary"))
        painter.setFont(theme.font("body", 500))
        painter.setPen(now.color("text.primary" if on else "text.secondary"))
        painter.drawText(QPointF(30, 13 + theme.metrics("body", 500).capHeight() / 2), self.text())
        painter.end()


class BarButton(QAbstractButton):
    """Run or Stop: an icon, a word and its keys."""

    def __init__(self, text: str, icon: str, key: str = "", primary: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon, self._key, self._primary = icon, key, primary
        self.setText(text)
        self.setFixedHeight(26)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self._fit()

    def set_face(self, text: str, key: str | None = None) -> None:
        self.setText(text)
        self._key = self._key if key is None else key
        self._fit()
        self.update()

    def _fit(self) -> None:
        self.setAccessibleName(self.text())
        width = 16 + 6 + theme.metrics("body", 500).horizontalAdvance(self.text())
        if self._key:
            width += 8 + theme.metrics("caption").horizontalAdvance(self._key)
        self.setFixedWidth(round(width + 28))

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        tone = "text.primary" if self.isEnabled() else "text.disabled"
        if self._primary and self.isEnabled():
            tone = "text.on_accent"
            fill = "accent.pressed" if self.isDown() else "accent.hover" if self.underMouse() else "accent.base"
            painter.setPen(Qt.PenStyle.NoPen)
        else:
            fill = "surface.pressed" if self.isDown() else "surface.hover" if self.underMouse() and self.isEnabled() else "surface.raised"
            painter.setPen(QPen(now.color("line.soft"), 1))
        if self.hasFocus():
            painter.setPen(QPen(now.color("text.primary" if self._primary else "line.focus"), 1.5))
        painter.setBrush(now.color(fill))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 6, 6)
        theme.draw_icon(painter, self._icon, QRectF(14, 5, 16, 16), now.color(tone))
        painter.setPen(now.color(tone))
        painter.setFont(theme.font("body", 500))
        painter.drawText(QRectF(36, 0, self.width(), self.height()), Qt.AlignmentFlag.AlignVCenter, self.text())
        if self._key:
            painter.setOpacity(0.7)
            painter.setFont(theme.font("caption"))
            painter.drawText(QRectF(0, 0, self.width() - 12, self.height()), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self._key)
        painter.end()


class TopBar(QWidget):
    """40 px. Owns no state: the window sets what it shows."""

    workspace_wanted = Signal(str)
    search_wanted = Signal()
    run_wanted = Signal()
    stop_wanted = Signal()

    def __init__(self, menus: QMenuBar, search_key: str, run_key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(40)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 0, 12, 0)
        row.setSpacing(2)
        row.addWidget(Mark())
        row.addSpacing(6)
        if sys.platform != "darwin":
            menus.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
            row.addWidget(menus)
            row.addSpacing(10)
            line = hair(vertical=True, color="line.soft")
            line.setFixedHeight(16)
            row.addWidget(line, 0, Qt.AlignmentFlag.AlignVCenter)
            row.addSpacing(10)
        self._spaces: dict[str, SpaceButton] = {}
        for name, title, icon in WORKSPACES:
            made = SpaceButton(title, icon)
            made.clicked.connect(lambda _checked=False, name=name: self._choose(name))
            self._spaces[name] = made
            row.addWidget(made)
        row.addStretch(1)
        self.state = Label("")
        self.state.setProperty("kind", "live")
        self.state.setAccessibleName("What the machine does")
        row.addWidget(self.state)
        row.addSpacing(8)
        self.run = BarButton("Run", "play", run_key, primary=True)
        self.run.clicked.connect(self.run_wanted)
        row.addWidget(self.run)
        row.addSpacing(6)
        self.stop = BarButton("Stop", "square")
        self.stop.clicked.connect(self.stop_wanted)
        row.addWidget(self.stop)
        self.stop.hide()
        self.search = SearchField(search_key, self)
        self.search.clicked.connect(self.search_wanted)
        self.show_workspace("graph")

    def show_workspace(self, name: str) -> None:
        for key, made in self._spaces.items():
            made.setChecked(key == name)

    def show_run(self, state: str, running: bool, again: bool, can_run: bool, bad: bool = False) -> None:
        """State in words, and which buttons there are."""
        self.state.setText(state)
        kind = "bad" if bad else "live" if running else "dim"
        if self.state.property("kind") != kind:
            self.state.setProperty("kind", kind)
            self.state.style().polish(self.state)
        if self.run.text() != ("Run again" if again else "Run"):
            self.run.set_face("Run again" if again else "Run")
        self.run.setVisible(can_run)
        self.stop.setVisible(running)
        self._place_search()

    def _choose(self, name: str) -> None:
        self.show_workspace(name)
        self.workspace_wanted.emit(name)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_search()

    def _place_search(self) -> None:
        """Centred at rest; it moves right rather than lie on the workspaces, and narrows or goes when there is no room."""
        layout = self.layout()
        assert layout is not None
        layout.activate()
        left = self._spaces["browse"].geometry().right() + 20
        words = theme.metrics("body", 500).horizontalAdvance(self.state.text())
        ends = [w.geometry().left() for w in (self.run, self.stop) if w.isVisibleTo(self)]
        right = min([self.width() - 12, *ends]) - words - 28
        x = max(self.width() / 2 - 130, left)
        width = min(300.0, right - x)
        if width < 220:
            x = max(left, right - 300)
            width = min(300.0, right - x)
        self.search.setVisible(width >= 120)
        self.search.setGeometry(round(x), 7, round(max(0, width)), 26)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.window"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.current().color("line.hair"))
        painter.end()
