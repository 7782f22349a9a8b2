"""The window's frame: top bar, rail, tabs, first page, status bar. It is painted before anything else is loaded;
`desk` then furnishes it with all that works on documents."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QByteArray, QEvent, QPointF, QSize, Qt
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QMenuBar, QStackedWidget, QVBoxLayout, QWidget

from nodegraph.folders import Folders
from ui import theme
from ui.actions import Keymap
from ui.crumbs import Crumbs
from ui.dialogs import Questions, WindowQuestions
from ui.label import tool
from ui.menus import MENUS
from ui.notices import Notices
from ui.rail import Rail
from ui.settings import Settings
from ui.shell_style import shell_sheet
from ui.status_bar import StatusBar
from ui.tabs import HEIGHT, Tabs
from ui.top_bar import TopBar
from ui.welcome import Welcome

if TYPE_CHECKING:
    from ui.desk import Desk
    from ui.runs import RunnerLike

LEFT, RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea


class Middle(QStackedWidget):
    """Canvas, first page and workspaces. It asks for no more room than the page shown: a wide page that is hidden would squeeze the docks."""

    def __init__(self) -> None:
        super().__init__()
        self.currentChanged.connect(lambda _index: self.updateGeometry())

    def minimumSizeHint(self) -> QSize:
        page = self.currentWidget()
        return page.minimumSizeHint() if page is not None else QSize(0, 0)


class MainWindow(QMainWindow):
    """`start_runner(tell)` makes the runner when the first job asks for it."""

    def __init__(
        self, settings: Settings, folders: Folders, start_runner: Callable[[Callable[[Any], None]], RunnerLike], questions: Questions | None = None
    ) -> None:
        super().__init__()
        self.settings, self.folders = settings, folders
        self.questions: Questions = questions or WindowQuestions(self)
        self.keymap = Keymap({k: tuple(v) for k, v in settings.get("keys").items() if isinstance(v, list)})
        self._start_runner = start_runner
        self._desk: Desk | None = None
        self.setWindowTitle("Nodegraph")
        self.setAcceptDrops(True)
        self.setMinimumSize(760, 480)
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.GroupedDragging)
        for corner, area in ((Qt.Corner.BottomRightCorner, RIGHT), (Qt.Corner.TopRightCorner, RIGHT), (Qt.Corner.BottomLeftCorner, LEFT), (Qt.Corner.TopLeftCorner, LEFT)):
            self.setCorner(corner, area)
        self._build_bars()
        self._build_center()
        self._restyle()
        theme.watch().changed.connect(self._restyle)
        geometry = settings.get("geometry")
        if not (geometry and self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))):
            screen = QGuiApplication.primaryScreen().availableGeometry()
            self.resize(min(1920, screen.width()), min(1200, screen.height()))

    @property
    def desk(self) -> Desk:
        """What stands in the window; made when it is first asked for, best after the first paint."""
        if self._desk is None:
            from ui.desk import Desk

            self._desk = Desk(self, self._start_runner)
        return self._desk

    def _build_bars(self) -> None:
        def first_key(id: str) -> str:
            keys = self.keymap.keys(id)
            return keys[0].replace("+", " ").replace("Return", "↵").replace("Ctrl", "Ctrl" if sys.platform != "darwin" else "⌘") if keys else ""

        self.menus = QMenuBar()
        for title in MENUS:
            self.menus.addMenu(title)
        self.top = TopBar(self.menus, first_key("view.palette"), first_key("run.run"))
        self.top.run.hide()
        self.setMenuWidget(self.top)
        self.rail = Rail(self)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self.rail)
        self.status = StatusBar(self)
        self.setStatusBar(self.status)

    def _build_center(self) -> None:
        self.center = QWidget()
        column = QVBoxLayout(self.center)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.tab_row = QWidget()
        self.tab_row.setFixedHeight(HEIGHT)
        row = QHBoxLayout(self.tab_row)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(0)
        self.tabs = Tabs("surface.canvas")
        self.tabs.setMovable(True)
        self.tabs.setAccessibleName("Open graphs")
        row.addWidget(self.tabs)
        self.new_tab = tool("plus", "New graph", 14)
        row.addSpacing(3)
        row.addWidget(self.new_tab)
        row.addStretch(1)
        self.toggle_bottom = tool("panel-bottom", "Show or hide the timeline", 16)
        self.toggle_right = tool("panel-right", "Show or hide viewer, inspector and queue", 16)
        row.addWidget(self.toggle_bottom)
        row.addWidget(self.toggle_right)
        self.crumbs = Crumbs()
        self.notices = Notices()
        self.stack = Middle()
        self.canvases = QStackedWidget()
        self.stack.addWidget(self.canvases)
        self.welcome = Welcome(self.settings, self.folders)
        self.stack.addWidget(self.welcome)
        self.stack.setCurrentWidget(self.welcome)
        for part in (self.tab_row, self.notices, self.crumbs):
            column.addWidget(part)
        column.addWidget(self.stack, 1)
        self.setCentralWidget(self.center)
        for part in (self.rail, self.tab_row, self.status):
            part.hide()

    def _restyle(self, _theme: object = None) -> None:
        self.setStyleSheet(shell_sheet(theme.current()))

    # -- what Qt tells

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._desk is not None:
            self._desk.rooms.fit_width()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow() and self._desk is not None:
            self._desk.studio.check_disk()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.desk.files_dropped(paths, self.desk.view.center() if self.desk.view is not None else QPointF())

    def closeEvent(self, event: QCloseEvent) -> None:
        if self._desk is None:
            event.accept()
            return
        self._desk.rooms.remember_layout()
        if not self._desk.studio.close_all():
            event.ignore()
            self._desk.rooms.show_welcome(self._desk.document is None)
            return
        self._desk.runs.shutdown()
        event.accept()
