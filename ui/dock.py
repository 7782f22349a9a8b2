"""Docks with pages: one header of 32 px with a tab for each page, and tools at its right end."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QDockWidget, QHBoxLayout, QSizePolicy, QStackedWidget, QWidget

from ui import theme
from ui.tabs import HEIGHT, Tabs


class Header(QWidget):
    """The title bar of a dock. Its empty part drags the dock."""

    def __init__(self, tabs: Tabs, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(HEIGHT)
        self.tabs = tabs
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 6, 0)
        row.setSpacing(2)
        row.addWidget(tabs)
        row.addStretch(1)
        self._tools: list[QWidget] = []

    def sizeHint(self) -> QSize:
        """As high as it is: a dock lays its page out below the hint, not below the height that was set."""
        return QSize(super().sizeHint().width(), HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), HEIGHT)

    def show_tools(self, tools: Sequence[QWidget]) -> None:
        for old in self._tools:
            old.hide()
        self._tools = list(tools)
        layout = self.layout()
        assert layout is not None
        for widget in self._tools:
            layout.addWidget(widget)
            widget.show()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        event.ignore()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        event.ignore()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), theme.current().color("surface.panel_header"))
        painter.fillRect(0, self.height() - 1, self.width(), 1, theme.current().color("line.hair"))
        painter.end()


class _Pages(QStackedWidget):
    """A stack that wants no more room than the page it shows."""

    def __init__(self, hint: QSize) -> None:
        super().__init__()
        self._hint = hint

    def sizeHint(self) -> QSize:
        return self._hint

    def minimumSizeHint(self) -> QSize:
        return QSize(120, 60)


class Dock(QDockWidget):
    """One dock of the window; `add_page` fills it. It can be dragged, floated, tabbed with others and closed."""

    page_changed = Signal(str)

    def __init__(self, name: str, title: str, hint: QSize, parent: QWidget | None = None) -> None:
        super().__init__(title, parent)
        self.setObjectName(name)
        self._keys: list[str] = []
        self._tools: dict[str, Sequence[QWidget]] = {}
        self.pages = _Pages(hint)
        self.pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        self.tabs = Tabs()
        self.tabs.setAccessibleName(title)
        self.header = Header(self.tabs)
        self.setTitleBarWidget(self.header)
        self.setWidget(self.pages)
        self.tabs.currentChanged.connect(self._turn)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)

    def add_page(self, key: str, widget: QWidget, title: str, icon: str = "", tools: Sequence[QWidget] = ()) -> None:
        self._keys.append(key)
        self._tools[key] = tools
        for one in tools:
            one.hide()
        self.pages.addWidget(widget)
        self.tabs.add(title, icon)
        if len(self._keys) == 1:
            self._turn(0)

    def take_page(self, key: str) -> QWidget:
        """Take a page out, so that another dock can have it."""
        index = self._keys.index(key)
        widget = self.pages.widget(index)
        self.header.show_tools(())
        self.pages.removeWidget(widget)
        self._keys.pop(index)
        self._tools.pop(key)
        self.tabs.remove(index)
        return widget

    def has_page(self, key: str) -> bool:
        return key in self._keys

    def page(self, key: str) -> QWidget:
        return self.pages.widget(self._keys.index(key))

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self._keys)

    @property
    def current(self) -> str:
        index = self.tabs.currentIndex()
        return self._keys[index] if 0 <= index < len(self._keys) else ""

    def show_page(self, key: str) -> None:
        self.tabs.setCurrentIndex(self._keys.index(key))
        self.show()
        self.raise_()

    def show_tabs_of(self, keys: Sequence[str]) -> None:
        """Show only these pages' tabs; the others wait until they are asked for."""
        for index, key in enumerate(self._keys):
            self.tabs.setTabVisible(index, key in keys)
        self.tabs.refresh()

    def set_badge(self, key: str, badge: str) -> None:
        if key in self._keys:
            self.tabs.set_face(self._keys.index(key), badge=badge)

    def _turn(self, index: int) -> None:
        if 0 <= index < len(self._keys) and self.pages.count() > index:
            self.pages.setCurrentIndex(index)
            self.header.show_tools(self._tools[self._keys[index]])
            self.page_changed.emit(self._keys[index])
