"""The way into an open subgraph, over the canvas: a button for each level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from ui import theme
from ui.label import IconLabel

if TYPE_CHECKING:
    from ui.document import Document


class Crumbs(QWidget):
    """28 px; hidden at the top level."""

    went = Signal(object)  # scope

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(28)
        self._row = QHBoxLayout(self)
        self._row.setContentsMargins(10, 0, 10, 0)
        self._row.setSpacing(2)
        self._row.addStretch(1)
        self.hide()

    def show_way(self, document: Document | None) -> None:
        while self._row.count() > 1:
            item = self._row.takeAt(0)
            if item is not None and item.widget() is not None:
                item.widget().hide()
                item.widget().deleteLater()
        way = document.crumbs() if document is not None else []
        self.setVisible(len(way) > 1)
        place = 0
        for number, (name, scope) in enumerate(way):
            if number:
                self._row.insertWidget(place, IconLabel("chevron-right", "text.tertiary", 12))
                place += 1
            made = QToolButton()
            made.setProperty("kind", "crumb")
            made.setText(name.replace("&", "&&"))
            made.setIcon(theme.icon("workflow" if number else "file", "text.tertiary"))
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setEnabled(number < len(way) - 1)
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.clicked.connect(lambda _checked=False, scope=scope: self.went.emit(scope))
            self._row.insertWidget(place, made)
            place += 1

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.canvas"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.current().color("line.hair"))
        painter.end()
