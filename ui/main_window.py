"""The window: top bar, rail, document tabs over the canvas, docks, status bar. It lays out and connects; the work is done elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QByteArray, QEvent, QPoint, QPointF, QSize, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QImage, QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QMainWindow, QMenu, QMenuBar, QStackedWidget, QVBoxLayout, QWidget

from nodegraph import messages
from nodegraph.folders import Folders
from ui import theme
from ui.actions import Keymap
from ui.canvas.model import PortRef, Target
from ui.canvas.view import GraphView
from ui.command_palette import Command, CommandPalette
from ui.crumbs import Crumbs
from ui.dialogs import Questions, WindowQuestions
from ui.dock import Dock
from ui.document import Document
from ui.jobs import Job, Kept, Picture, Take
from ui.keeper import Keeper
from ui.label import plain_tip, tool
from ui.menus import ARRANGE, Actions, recent_menu
from ui.notices import Notice, Notices
from ui.panels.compare import ComparePanel, Side
from ui.panels.history import History
from ui.panels.inspector import Inspector
from ui.panels.outline import Outline
from ui.panels.palette import NodePalette, seconds_words
from ui.panels.problems import Checker, LogPanel, ProblemsPanel, Trouble
from ui.panels.queue import QueuePanel
from ui.panels.timeline import Timeline
from ui.panels.viewer import Viewer
from ui.rail import Rail
from ui.runs import RunnerLike, Runs
from ui.settings import Settings
from ui.shell_style import shell_sheet
from ui.status_bar import StatusBar
from ui.studio import Studio
from ui.tabs import HEIGHT, Tabs
from ui.threads import background
from ui.top_bar import TopBar

SIDE_WIDTH: Final = 280
NARROW: Final = 1500
LAYOUT_VERSION: Final = 1
LEFT, RIGHT, BOTTOM = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
CANVAS_HINT: Final = "Drag: select|Middle drag: pan|Right-click: menu|Tab: add a node|M: mute|Ctrl B: bypass|H: fold"
SIDE_PAGES: Final = ("models", "pictures", "templates", "outline", "history", "problems")


class MainWindow(QMainWindow):
    """`start_runner(tell)` makes the runner when the first job asks for it."""

    def __init__(
        self,
        settings: Settings,
        folders: Folders,
        start_runner: Callable[[Callable[[Any], None]], RunnerLike],
        questions: Questions | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.folders = settings, folders
        self.keymap = Keymap({k: tuple(v) for k, v in settings.get("keys").items() if isinstance(v, list)})
        self.studio = Studio(settings, folders, questions or WindowQuestions(self), self)
        self.runs = Runs(settings, start_runner, Keeper(folders.queue) if settings.path is not None else None, self)
        self.views: dict[Document, GraphView] = {}
        self._workspace = "graph"
        self._kept_docks: list[Dock] | None = None
        self._queue_inside = False
        self._last_failed: Job | None = None
        self._sized = False
        self._troubles: list[Trouble] = []
        self.runs.output = str(folders.output)
        self.setWindowTitle("Nodegraph")
        self.setAcceptDrops(True)
        self.setMinimumSize(760, 480)
        self.setDockOptions(QMainWindow.DockOption.AllowNestedDocks | QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.GroupedDragging)
        for corner, area in ((Qt.Corner.BottomRightCorner, RIGHT), (Qt.Corner.TopRightCorner, RIGHT), (Qt.Corner.BottomLeftCorner, LEFT), (Qt.Corner.TopLeftCorner, LEFT)):
            self.setCorner(corner, area)
        self._build_actions()
        self._build_center()
        self._build_docks()
        self._build_frame()
        self._connect()
        self._restyle()
        self._restore()
        self.show_welcome(True)

    # -- building

    def _build_actions(self) -> None:
        handlers: dict[str, Callable[[], object]] = {
            "file.new": self.new,
            "file.open": self.studio.open_dialog,
            "file.save": lambda: self.document and self.studio.save(self.document),
            "file.save_as": lambda: self.document and self.studio.save_as(self.document),
            "file.import": self.studio.open_dialog,
            "file.export_picture": self.export_picture,
            "file.close": lambda: self.document and self.studio.close(self.document),
            "file.quit": self.close,
            "edit.undo": self.undo,
            "edit.redo": self.redo,
            "edit.preferences": self.show_preferences,
            "run.run": self.run,
            "run.next": lambda: self.run(front=True),
            "run.selected": self.run_selected,
            "run.stop": self.runs.stop,
            "view.palette": lambda: self.palette_of_commands.open(),
            "view.next_tab": lambda: self.step_tab(1),
            "view.leave_subgraph": lambda: self.document and self.document.leave(),
            "help.keys": self.show_keys,
            "help.node": self.show_help,
        }
        self.actions_ = Actions(self, self.keymap, handlers, self.trigger)
        self.menus = QMenuBar() if sys.platform != "darwin" else QMenuBar(None)
        self.actions_.fill(
            self.menus,
            {
                "recent": lambda menu: recent_menu(menu, self.settings.recent_files(), self.studio.open, lambda: self.settings.set("recent", [])),
                "nodes": self._fill_nodes_menu,
                "arrange": lambda menu: [menu.addAction(self.actions_.actions[id]) for id in ARRANGE] and None,
                "panels": self._fill_panels_menu,
            },
        )
        for action in self.actions_.actions.values():
            self.addAction(action)

    def _build_center(self) -> None:
        self.center = QWidget()
        column = QVBoxLayout(self.center)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.tab_row = QWidget()
        self.tab_row.setFixedHeight(HEIGHT)
        self.tab_row.setProperty("kind", "tabrow")
        row = QHBoxLayout(self.tab_row)
        row.setContentsMargins(0, 0, 8, 0)
        row.setSpacing(0)
        self.tabs = Tabs("surface.canvas")
        self.tabs.setMovable(True)
        self.tabs.setAccessibleName("Open graphs")
        row.addWidget(self.tabs)
        plus = tool("plus", "New graph", 14)
        plus.clicked.connect(self.new)
        row.addSpacing(3)
        row.addWidget(plus)
        row.addStretch(1)
        self._toggle_bottom = tool("panel-bottom", "Show or hide the timeline", 16)
        self._toggle_right = tool("panel-right", "Show or hide viewer, inspector and queue", 16)
        self._toggle_bottom.clicked.connect(lambda: self.timeline_dock.setVisible(not self.timeline_dock.isVisible()))
        self._toggle_right.clicked.connect(self._toggle_right_column)
        row.addWidget(self._toggle_bottom)
        row.addWidget(self._toggle_right)
        self.crumbs = Crumbs()
        self.notices = Notices()
        self.stack = QStackedWidget()
        self.canvases = QStackedWidget()
        self.stack.addWidget(self.canvases)
        column.addWidget(self.tab_row)
        column.addWidget(self.notices)
        column.addWidget(self.crumbs)
        column.addWidget(self.stack, 1)
        self.setCentralWidget(self.center)
        self._welcome: QWidget | None = None
        self._spaces: dict[str, QWidget] = {}

    def _build_docks(self) -> None:
        self.viewer = Viewer()
        self.compare = ComparePanel()
        self.inspector = Inspector(self.settings, self.folders)
        self.outline = Outline()
        self.queue = QueuePanel(self.runs)
        self.done = QueuePanel(self.runs, done=True)
        self.timeline = Timeline()
        self.checker = Checker(self)
        self._side_pages: dict[str, QWidget] = {}

        self.viewer_dock = Dock("viewer", "Viewer", QSize(520, 552), self)
        self._pin = tool("pin", "Keep this output while others run", 14, checkable=True)
        self._pin.toggled.connect(self.viewer.set_pinned)
        self._float = tool("external-link", "Viewer in a window of its own", 14)
        self._float.clicked.connect(lambda: self.viewer_dock.setFloating(not self.viewer_dock.isFloating()))
        self.viewer_dock.add_page("viewer", self.viewer, "Viewer", "eye", (self._pin, self._float))
        self.viewer_dock.add_page("compare", self.compare, "Compare", "square-split-horizontal")
        self.addDockWidget(RIGHT, self.viewer_dock)

        self.inspector_dock = Dock("inspector", "Inspector", QSize(296, 420), self)
        self._lock = tool("lock-open", "Keep showing this node", 14, checkable=True)
        self._lock.toggled.connect(self._lock_inspector)
        self.inspector_dock.add_page("inspector", self.inspector, "Inspector", "sliders-horizontal", (self._lock,))
        self.inspector_dock.add_page("outline", self.outline, "Outline", "list-tree")
        self.addDockWidget(RIGHT, self.inspector_dock)

        self.queue_dock = Dock("queue", "Queue", QSize(224, 420), self)
        self._pause = tool("pause", "Pause the queue: what runs is finished", 14, checkable=True)
        self._pause.toggled.connect(self.runs.set_paused)
        self.queue_dock.add_page("queue", self.queue, "Queue", "list-ordered", (self._pause,))
        self.queue_dock.add_page("done", self.done, "Done")
        self.splitDockWidget(self.inspector_dock, self.queue_dock, Qt.Orientation.Horizontal)

        self.timeline_dock = Dock("timeline", "Timeline", QSize(600, 120), self)
        self.timeline_dock.setTitleBarWidget(self._timeline_header())
        self.timeline_dock.pages.addWidget(self.timeline)
        self.addDockWidget(BOTTOM, self.timeline_dock)

        self.side = Dock("side", "Side panel", QSize(SIDE_WIDTH, 600), self)
        self.addDockWidget(LEFT, self.side)
        self.side.hide()
        self.docks = (self.viewer_dock, self.inspector_dock, self.queue_dock, self.timeline_dock, self.side)

    def _timeline_header(self) -> QWidget:
        from ui.dock import Header

        header = Header(Tabs())
        header.tabs.hide()
        layout = header.layout()
        assert layout is not None
        layout.takeAt(1)
        transport = self.timeline.transport
        layout.addWidget(transport)
        layout.setStretchFactor(transport, 1)  # type: ignore[attr-defined]
        return header

    def _build_frame(self) -> None:
        def first_key(id: str) -> str:
            keys = self.keymap.keys(id)
            return keys[0].replace("+", " ").replace("Return", "↵").replace("Ctrl", "Ctrl" if sys.platform != "darwin" else "⌘") if keys else ""

        self.top = TopBar(self.menus, first_key("view.palette"), first_key("run.run"))
        self.setMenuWidget(self.top)
        self.rail = Rail(self)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self.rail)
        self.status = StatusBar(self)
        self.setStatusBar(self.status)
        self.palette_of_nodes = NodePalette(self.settings, self)
        self.palette_of_commands = CommandPalette(self._commands, self)

    def _connect(self) -> None:
        studio, runs = self.studio, self.runs
        studio.added.connect(self._document_added)
        studio.removed.connect(self._document_removed)
        studio.current_changed.connect(self._current_changed)
        studio.registry_changed.connect(self._registry_changed)
        studio.notice.connect(self.notices.show_notice)
        studio.notice_gone.connect(self.notices.take_back)
        studio.saving.connect(lambda document: document is self.document and self.status.show_saved("Saving", "busy"))
        studio.saved.connect(lambda _document: self._show_saved())
        studio.recovery.kept.connect(lambda document: document is self.document and self._show_saved())
        self.tabs.currentChanged.connect(self._tab_chosen)
        self.tabs.close_wanted.connect(lambda index: studio.close(self._tab_document(index)))
        self.tabs.tabMoved.connect(lambda source, target: self.studio.documents.insert(target, self.studio.documents.pop(source)))
        self.crumbs.went.connect(lambda scope: self.document and self.document.open(*scope))
        self.top.workspace_wanted.connect(self.show_workspace)
        self.top.search_wanted.connect(lambda: self.palette_of_commands.open())
        self.top.run_wanted.connect(lambda: self.run())
        self.top.stop_wanted.connect(runs.stop)
        self.rail.pressed.connect(self._rail_pressed)
        self.side.visibilityChanged.connect(lambda _visible: self._mark_rail())
        self.side.page_changed.connect(lambda _key: self._mark_rail())
        self.status.free_wanted.connect(runs.free)
        self.palette_of_nodes.wanted.connect(self._add_node)
        self.palette_of_nodes.help_wanted.connect(self.show_help)
        runs.job_changed.connect(lambda _job: self._show_run())
        runs.queue_changed.connect(self._show_run)
        runs.job_over.connect(self._job_over)
        runs.picture.connect(self._picture_made)
        runs.take_changed.connect(self._take_changed)
        runs.memory.connect(self._show_memory)
        runs.trouble.connect(lambda words: self.notices.show_notice(Notice(words, "error", key="journal")))
        runs.hello.connect(lambda event: self.status.show_device(device_words(runs.device, self.settings.get("device"))))
        self.timeline.looked.connect(self._frame_looked)
        self.timeline.branch_wanted.connect(self._branch)
        for panel in (self.queue, self.done):
            panel.show_wanted.connect(self._show_job)
            panel.picture_wanted.connect(lambda picture: self.viewer.show_picture(picture.image, picture.name, picture.path))
            panel.compare_wanted.connect(self._compare_picture)
            panel.graph_wanted.connect(lambda graph, title: self.studio.add(graph, None, f"{title} copy", saved=True))
        self.viewer.compare_wanted.connect(lambda image: self._compare_side("B", Side(image, "Viewer")))
        self.viewer.save_wanted.connect(self.save_picture)
        self.viewer.use_wanted.connect(self._use_picture)
        self.compare.slot_pressed.connect(lambda letter: self._compare_side(letter, Side(self.viewer.view.image, "Viewer")) if not self.viewer.view.image.isNull() else None)
        self.checker.found.connect(self._problems_found)
        self.outline.show_wanted.connect(self.show_node)
        self.outline.open_wanted.connect(self._open_subgraph)
        self.outline.menu_wanted.connect(lambda at, name: self._context_menu(at, Target("node", name)))
        self.inspector.message.connect(self.status.hints.say)
        self.inspector.help_wanted.connect(self.show_help)
        self.inspector.show_wanted.connect(self.show_node)
        self.inspector.drawing_wanted.connect(self.paint_mask)
        theme.watch().changed.connect(self._restyle)
        self.settings.changed.connect(self._setting_changed)
        self._minute = QTimer(self)
        self._minute.setInterval(30_000)
        self._minute.timeout.connect(self._show_saved)
        self._minute.start()

    def _restyle(self, _theme: object = None) -> None:
        self.setStyleSheet(shell_sheet(theme.current()))

    # -- documents and tabs

    @property
    def document(self) -> Document | None:
        return self.studio.current

    @property
    def view(self) -> GraphView | None:
        return self.views.get(self.document) if self.document is not None else None

    def new(self) -> None:
        self.studio.when_ready(lambda: self.studio.new() and None)

    def _tab_document(self, index: int) -> Document:
        return self.studio.documents[index]

    def _document_added(self, document: Document) -> None:
        view = GraphView(document, theme.current(), keymap=self.keymap)
        self._set_options(view)
        view.node_search_requested.connect(self._search_node)
        view.context_menu_requested.connect(self._context_menu)
        view.status_hint.connect(self.status.hints.set_hint)
        view.message.connect(self.status.hints.say)
        view.open_subgraph.connect(self._open_subgraph)
        view.files_dropped.connect(self._files_dropped)
        view.help_requested.connect(self.show_help)
        view.drawing_requested.connect(self.paint_mask)
        if self.studio.registry is not None:
            self._set_insight(view)
        self.views[document] = view
        self.canvases.addWidget(view)
        document.face_changed.connect(lambda: self._face_changed(document))
        document.scope_changed.connect(lambda: document is self.document and self.crumbs.show_way(document))
        document.changed.connect(lambda _change: self._show_empty(document))
        self.tabs.blockSignals(True)
        self.tabs.add(document.title, "workflow", document.is_dirty)
        self.tabs.blockSignals(False)
        QTimer.singleShot(0, lambda: document in self.views and view.frame_all(animate=False))

    def _document_removed(self, document: Document) -> None:
        view = self.views.pop(document)
        self.runs.forget(document)
        self._rebuild_tabs()
        self.canvases.removeWidget(view)
        view.hide()
        view.deleteLater()
        if not self.studio.documents:
            self.show_welcome(True)

    def _rebuild_tabs(self) -> None:
        self.tabs.blockSignals(True)
        while self.tabs.count():
            self.tabs.remove(self.tabs.count() - 1)
        for document in self.studio.documents:
            self.tabs.add(document.title, "workflow", document.is_dirty)
        if self.document is not None:
            self.tabs.setCurrentIndex(self.studio.documents.index(self.document))
        self.tabs.blockSignals(False)

    def _tab_chosen(self, index: int) -> None:
        if 0 <= index < len(self.studio.documents):
            self.studio.show(self.studio.documents[index])

    def step_tab(self, by: int) -> None:
        if self.tabs.count():
            self.tabs.setCurrentIndex((self.tabs.currentIndex() + by) % self.tabs.count())

    def _current_changed(self) -> None:
        document = self.document
        for panel in (self.viewer, self.inspector, self.outline, self.checker, *(p for p in self._side_pages.values() if hasattr(p, "set_document"))):
            panel.set_document(document)  # type: ignore[union-attr]
        self.crumbs.show_way(document)
        if document is not None:
            self.show_welcome(False)
            self.tabs.setCurrentIndex(self.studio.documents.index(document))
            self.canvases.setCurrentWidget(self.views[document])
            self.show_workspace("graph")
            self.views[document].setFocus()
            self.status.hints.set_hint(CANVAS_HINT)
            self._show_empty(document)
        self._show_saved()
        self._show_run()
        self._face_changed(document)

    def _face_changed(self, document: Document | None) -> None:
        if document is not None and document in self.studio.documents:
            index = self.studio.documents.index(document)
            if index < self.tabs.count():
                self.tabs.set_face(index, document.title, document.is_dirty)
                self.tabs.setTabToolTip(index, plain_tip(str(document.path) if document.path else "No file holds this graph yet"))
        current = self.document
        self.setWindowTitle(f"{current.title}{' *' if current.is_dirty else ''} - Nodegraph" if current is not None else "Nodegraph")
        undo, redo = self.actions_.actions["edit.undo"], self.actions_.actions["edit.redo"]
        undo.setEnabled(current is not None and current.history.can_undo)
        redo.setEnabled(current is not None and current.history.can_redo)
        undo.setText(f"Undo {current.history.done[-1].label.lower()}" if current is not None and current.history.can_undo else "Undo")
        redo.setText(f"Redo {current.history.undone[-1].label.lower()}" if current is not None and current.history.can_redo else "Redo")
        if document is current:
            self._show_saved()

    def _show_saved(self) -> None:
        document = self.document
        if document is None:
            self.status.show_saved("")
        elif document.is_dirty:
            self.status.show_saved("Not saved yet" if document.saved_at is None else f"Changed since {_clock(document.saved_at)}", "unsaved")
        elif document.saved_at is not None:
            self.status.show_saved(f"Saved {_clock(document.saved_at)}")
        else:
            self.status.show_saved("No changes" if document.path is not None else "")

    # -- nodes are known

    def _registry_changed(self) -> None:
        registry = self.studio.registry
        assert registry is not None
        self.checker.registry = registry
        self.inspector.set_registry(registry)
        for view in self.views.values():
            self._set_insight(view)
        for page in self._side_pages.values():
            if hasattr(page, "set_registry"):
                page.set_registry(registry)  # type: ignore[attr-defined]
        if self._welcome is not None:
            self._welcome.set_registry(registry)  # type: ignore[attr-defined]
        broken = [report for report in registry.reports if report.error]
        if broken:
            words = broken[0].error if len(broken) == 1 else f"{len(broken)} packs of nodes cannot be used: {', '.join(report.pack for report in broken[:4])}."
            self.notices.show_notice(Notice(words, "warning", (("Show the log", lambda: self.show_log()),), "packs"))

    def _set_insight(self, view: GraphView) -> None:
        from ui.insight import insight_of

        assert self.studio.registry is not None
        insight = insight_of(self.studio.registry, view.document)  # type: ignore[arg-type]
        scene, nodes = view.graph_scene, list(view.document.graph.nodes.values())
        scene.family, scene.missing_files = insight.family, insight.missing_files
        view.editor.context = insight.context

        def says_something() -> bool:
            """In the background, as it opens the headers of model files; what it finds is remembered."""
            return any([insight.family(node) is not None or bool(insight.missing_files(node)) for node in nodes])

        def shown(something: bool) -> None:
            if something and view in self.views.values():
                scene.rebuild()

        background().run(says_something, shown)

    # -- editing

    def trigger(self, action: str) -> None:
        """A canvas action from a menu or the palette."""
        view = self.view
        if view is not None and self._workspace == "graph":
            view.setFocus()
            view.trigger(action)

    def undo(self) -> None:
        document = self.document
        if document is not None and (label := document.undo()) is not None:
            self.status.hints.say(f"Undone: {label.lower()}", 2)

    def redo(self) -> None:
        document = self.document
        if document is not None and (label := document.redo()) is not None:
            self.status.hints.say(f"Done again: {label.lower()}", 2)

    def _search_node(self, scene_pos: QPointF, hint: PortRef | None) -> None:
        view, document = self.view, self.document
        if view is not None and document is not None:
            where = view.viewport().mapToGlobal(view.mapFromScene(scene_pos))
            self.palette_of_nodes.open(where - QPoint(18, 28), scene_pos, document.specs, hint)

    def _add_node(self, type_id: str, hint: PortRef | None, keep_open: bool) -> None:
        view = self.view
        if view is not None:
            view.add_node(type_id, self.palette_of_nodes.where, hint)
            if keep_open:
                self.palette_of_nodes.where += QPointF(0, 160)
            else:
                view.setFocus()

    def _open_subgraph(self, name: str) -> None:
        document = self.document
        if document is not None and name in document.graph.nodes and document.graph.nodes[name].subgraph is not None:
            document.enter(name)

    def _context_menu(self, at: QPoint, target: Target) -> None:
        from ui.context_menu import build

        view, document = self.view, self.document
        if view is not None and document is not None:
            build(self, view, document, target).popup(at)

    def show_node(self, path: str) -> None:
        """Bring a node into view, inside its subgraph if need be, and select it."""
        document, view = self.document, self.view
        if document is None or view is None or not path:
            return
        *scope, name = path.split("/")
        if not scope and name in document.graph.nodes:
            scope = list(document.scope)
        if tuple(scope) != document.scope:
            document.open(*scope)
        if name in document.graph.nodes:
            self.show_workspace("graph")
            document.select([name])
            view.show_node(name)
            view.setFocus()

    def _files_dropped(self, paths: list[Path], place: QPointF) -> None:
        from ui.drops import nodes_for

        view = self.view
        rest = self.studio.take(paths)
        if view is not None and rest:
            nodes_for(view, rest, place, self.studio)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if not paths:
            return
        event.acceptProposedAction()
        if self.view is None:
            self.new()
        self._files_dropped(paths, self.view.center() if self.view is not None else QPointF())

    # -- running

    def run(self, front: bool = False, targets: tuple[str, ...] = ()) -> None:
        """Put the document, as it is now, into the queue."""
        document = self.document
        if document is None or not document.root.nodes:
            self.status.hints.say("There is nothing to run yet. Add a node with Tab.")
            return
        document.seal()
        self.checker.set_run(document, [])
        self.runs.submit(document, targets, front)

    def run_selected(self) -> None:
        document = self.document
        if document is None:
            return
        chosen = tuple("/".join((*document.scope, name)) for name in sorted(document.selection) if name in document.graph.nodes)
        if chosen:
            self.run(targets=chosen)
        else:
            self.status.hints.say("Select the node that you want to run.")

    def _show_run(self) -> None:
        job = self.runs.current
        document = self.document
        again = any(one.document is document and one.state == "done" for one in self.runs.over[:20])
        if job is not None:
            self.top.show_run(run_words(job), True, again, document is not None)
        else:
            words = "Paused" if self.runs.paused and self.runs.waiting else ""
            failed = self._last_failed is not None and self._last_failed.document is document
            self.top.show_run("The last run failed" if failed and not words else words, False, again, document is not None, bad=failed)
        self.queue_dock.set_badge("queue", str(len(self.runs.waiting)) if self.runs.waiting else "")
        if self._pause.isChecked() != self.runs.paused:
            self._pause.setChecked(self.runs.paused)

    def _job_over(self, job: Job) -> None:
        self._last_failed = job if job.state in ("failed", "interrupted") else None
        troubles = [Trouble(problem, job.logs.get(problem.node_id or "", ""), True) for problem in job.problems]
        if job.state == "interrupted" and not troubles:
            from nodegraph.errors import Problem

            troubles.append(Trouble(Problem("The run was interrupted. Nothing of the graph is lost; run it again."), from_run=True))
        self.checker.set_run(job.document, troubles)
        if job.state in ("failed", "interrupted") and job.document is self.document:
            words = job.problems[-1].message if job.problems else "The run ended before its time."
            node = next((problem.node_id for problem in job.problems if problem.node_id), None)
            act = ("Show node", lambda: self.show_node(node or "")) if node else ("Show problems", lambda: self.open_side("problems"))
            self.notices.show_notice(Notice(words.split("\n")[0], "error", (act,), "run"))
        else:
            self.notices.take_back("run")
        if job.state == "done":
            spent = seconds_words(job.seconds)
            self.status.hints.say(f"Done in {spent}" + (f", {job.cached} of {job.ran + job.cached} nodes were kept from before" if job.cached else ""), 5)
        self._show_run()

    def _picture_made(self, picture: Picture) -> None:
        node = picture.graph.nodes.get(picture.node)
        words = next((str(v) for k, v in (node.values.items() if node else ()) if k in ("name", "title")), "")
        self.compare.push(Side(picture.image, f"Take {picture.take}", words or picture.name, picture.graph))

    def _take_changed(self, take: Take) -> None:
        self.timeline.show_takes(self.runs.takes)
        self.timeline.take_changed(take)

    def _frame_looked(self, kept: Kept | None) -> None:
        if kept is not None:
            self.viewer.show_picture(kept.image, f"Step {kept.step}", estimate=True)

    def _branch(self, take: Take, kept: Kept) -> None:
        from ui.branching import branch

        branch(self.studio, self.runs, take, kept)

    def _show_job(self, job: Job) -> None:
        if job.document is not None and job.document in self.studio.documents:
            self.studio.show(job.document)
        if job.pictures:
            self.viewer.show_picture(job.pictures[-1].image, job.pictures[-1].name, job.pictures[-1].path)

    def _show_memory(self, event: messages.Memory) -> None:
        self.status.show_memory(event.device, event.used, event.total, event.cache, 0)
        self.status.show_device(device_words(event.device, self.settings.get("device")))

    def offer_queue(self) -> None:
        """What an earlier session left in the queue waits, paused, until somebody says so."""
        if self.runs.keeper is None:
            return

        def found(entries: tuple[Any, ...]) -> None:
            count = self.runs.take_over(entries)
            if count:
                words = f"{count} {'run waits' if count == 1 else 'runs wait'} from the last time. The queue is paused."
                acts = (("Go on", lambda: self.runs.set_paused(False)), ("Empty the queue", self.runs.clear))
                self.notices.show_notice(Notice(words, "info", acts, "queue"))

        self.runs.keeper.open(found)

    # -- pictures

    def _compare_side(self, letter: str, side: Side) -> None:
        self.compare.show_side(letter, side)
        self.viewer_dock.show_page("compare")

    def _compare_picture(self, picture: Picture) -> None:
        self._compare_side("B", Side(picture.image, picture.title, picture.name, picture.graph))

    def save_picture(self, image: QImage) -> None:
        from ui.picture import write_image

        if image.isNull():
            return
        folder = Path(self.settings.get("last_folder") or Path.home())
        path = self.studio.questions.where_to_save(folder / "picture.png", "Pictures (*.png *.jpg *.webp)")
        if path is not None:
            write_image(image, path, self.notices.show_notice)

    def export_picture(self) -> None:
        """The canvas as a picture, twice its size."""
        view, document = self.view, self.document
        if view is not None and document is not None:
            from ui.picture import write_image

            folder = Path(self.settings.get("last_folder") or Path.home())
            path = self.studio.questions.where_to_save(folder / f"{document.title}.png", "Pictures (*.png)")
            if path is not None:
                write_image(view.render_to_image(scale=2.0), path, self.notices.show_notice)

    def _use_picture(self, image: QImage) -> None:
        from ui.drops import use_image

        if self.view is not None:
            use_image(self.view, image, self.folders, self.notices.show_notice)

    # -- problems

    def _problems_found(self, troubles: list[Trouble]) -> None:
        errors = sum(1 for trouble in troubles if trouble.problem.severity == "error")
        self.rail.set_problems(len(troubles), errors > 0)
        self.side.set_badge("problems", str(len(troubles)) if troubles else "")
        panel = self._side_pages.get("problems")
        if isinstance(panel, ProblemsPanel):
            panel.show_troubles(troubles, self.document)
        self._troubles = troubles

    # -- side panel, workspaces, layout

    def _rail_pressed(self, name: str) -> None:
        if name == "add":
            if self.view is None:
                self.new()
            self.trigger("canvas.search")
            self._mark_rail()
        elif name == "help":
            self.show_keys()
            self._mark_rail()
        elif name == "settings":
            self.show_preferences()
            self._mark_rail()
        elif self.side.isVisible() and self.side.current == name:
            self.side.hide()
        else:
            self.open_side(name)

    def open_side(self, name: str) -> None:
        """Open a page beside the rail; it is made when it is first wanted."""
        if name not in self._side_pages:
            self._make_side_page(name)
        self.side.show_page(name)
        if self.side.width() < 200:
            self.resizeDocks([self.side], [SIDE_WIDTH], Qt.Orientation.Horizontal)
        self._mark_rail()

    def _make_side_page(self, name: str) -> None:
        from ui.panels.library import LibraryPanel
        from ui.panels.pictures import PicturesPanel
        from ui.panels.templates import TemplatesPanel

        page: QWidget
        if name == "problems":
            page = ProblemsPanel()
            page.show_wanted.connect(self.show_node)
            page.log_wanted.connect(lambda file: self.show_log(Path(file)))
            page.show_troubles(self._troubles, self.document)
        elif name == "outline":
            page = Outline()
            page.show_wanted.connect(self.show_node)
            page.open_wanted.connect(self._open_subgraph)
            page.menu_wanted.connect(lambda at, node: self._context_menu(at, Target("node", node)))
            page.set_document(self.document)
        elif name == "history":
            page = History()
            page.set_document(self.document)
        elif name == "models":
            page = LibraryPanel(self.settings, self.folders)
            page.node_wanted.connect(self._library_node)
        elif name == "pictures":
            page = PicturesPanel(self.folders)
            page.picture_wanted.connect(lambda image, path: self.viewer.show_picture(image, Path(path).name, path))
            page.graph_wanted.connect(lambda path: self.studio.open(Path(path)))
            self.runs.job_over.connect(lambda _job, page=page: page.refresh_later())
        else:
            page = TemplatesPanel()
            page.template_wanted.connect(lambda template: self.studio.open_template(template.path, template.title))
        titles = {"models": "Library", "pictures": "Pictures", "templates": "Templates", "outline": "Outline", "history": "History", "problems": "Problems"}
        icons = {"models": "library", "pictures": "images", "templates": "layout-template", "outline": "list-tree", "history": "history", "problems": "triangle-alert"}
        self._side_pages[name] = page
        if self.studio.registry is not None and hasattr(page, "set_registry"):
            page.set_registry(self.studio.registry)
        self.side.add_page(name, page, titles[name], icons[name])
        if name == "problems":
            log = LogPanel([self.folders.logs / "window.log", self.folders.logs / "worker.log"])
            self._side_pages["log"] = log
            self.side.add_page("log", log, "Log", "scroll-text")
            self.side.page_changed.connect(lambda key: log.read() if key == "log" else None)

    def show_log(self, file: Path | None = None) -> None:
        self.open_side("problems")
        self.side.show_page("log")
        log = self._side_pages["log"]
        if isinstance(log, LogPanel):
            log.read(file)

    def _library_node(self, type_id: str, values: dict[str, Any]) -> None:
        if self.view is None:
            self.new()
        if self.view is not None:
            self.view.add_node(type_id, self.view.center(), None, values)
            self.view.setFocus()

    def _mark_rail(self) -> None:
        self.rail.show_open(self.side.current if self.side.isVisible() else "")

    def show_workspace(self, name: str) -> None:
        """Graph, Paint, Compare or Browse: another middle, with fewer docks."""
        if name != "graph" and name not in self._spaces:
            self._make_space(name)
        leaving_welcome = self._welcome is not None and self.stack.currentWidget() is self._welcome
        if leaving_welcome and name == "graph" and self.document is None:
            self.top.show_workspace("graph")
            return
        if leaving_welcome:
            self.show_welcome(False)
        self._workspace = name
        self.top.show_workspace(name)
        self.stack.setCurrentWidget(self.canvases if name == "graph" else self._spaces[name])
        self._dim_docks(name != "graph")
        self.tab_row.setVisible(name == "graph")
        self.rail.setVisible(name != "paint")
        self.crumbs.setVisible(name == "graph" and self.document is not None and bool(self.document.scope))
        if name == "compare":
            big = self._spaces[name]
            if isinstance(big, ComparePanel):
                for letter in "AB":
                    big.show_side(letter, self.compare.sides[letter])
        if name == "graph" and self.view is not None:
            self.view.setFocus()
        elif name != "graph":
            self._spaces[name].setFocus()

    def _make_space(self, name: str) -> None:
        page: QWidget
        if name == "compare":
            page = ComparePanel()
            page.slot_pressed.connect(lambda letter: page.show_side(letter, Side(self.viewer.view.image, "Viewer")) if not self.viewer.view.image.isNull() else None)
        elif name == "browse":
            from ui.panels.pictures import PicturesPanel

            page = PicturesPanel(self.folders, large=True)
            page.picture_wanted.connect(lambda image, path: self.viewer.show_picture(image, Path(path).name, path))
            page.graph_wanted.connect(lambda path: self.studio.open(Path(path)))
            page.refresh_later()
        else:
            from ui.mask_editor import MaskEditor

            page = MaskEditor()
            page.used.connect(self._mask_used)
            page.left.connect(lambda: self.show_workspace("graph"))
            page.hint.connect(self.status.hints.set_hint)
        self._spaces[name] = page
        self.stack.addWidget(page)

    def paint_mask(self, node: str, input: str) -> None:
        """Open the mask editor on a value of a node shown."""
        from ui.mask_editor import MaskEditor, background_for

        document = self.document
        if document is None or node not in document.graph.nodes:
            return
        self.show_workspace("paint")
        editor = self._spaces["paint"]
        assert isinstance(editor, MaskEditor)
        value = document.graph.nodes[node].values.get(input, "")
        picture = background_for(document, node, self.folders)
        editor.open(picture, value if isinstance(value, str) else "", (document, document.scope, node, input), document.name_of(node))

    def _mask_used(self, target: tuple[Document, tuple[str, ...], str, str], value: str) -> None:
        document, scope, node, name = target
        if document in self.studio.documents:
            document.open(*scope)
            if node in document.graph.nodes:
                document.edit("Paint mask", lambda graph: graph.with_value(node, name, value))
        self.show_workspace("graph")

    def _dim_docks(self, hidden: bool) -> None:
        if hidden and self._kept_docks is None:
            self._kept_docks = [dock for dock in self.docks if dock.isVisibleTo(self) and not dock.isFloating()]
            for dock in self._kept_docks:
                dock.hide()
        elif not hidden and self._kept_docks is not None:
            for dock in self._kept_docks:
                dock.show()
            self._kept_docks = None

    def show_welcome(self, on: bool) -> None:
        """The first page, in place of everything but the top bar."""
        if on:
            if self._welcome is None:
                from ui.welcome import Welcome

                self._welcome = Welcome(self.settings, self.folders)
                self._welcome.new_wanted.connect(self.new)
                self._welcome.open_wanted.connect(self.studio.open_dialog)
                self._welcome.path_wanted.connect(self.studio.open)
                self._welcome.template_wanted.connect(lambda template: self.studio.open_template(template.path, template.title))
                self._welcome.keys_wanted.connect(self.show_keys)
                self.stack.addWidget(self._welcome)
                if self.studio.registry is not None:
                    self._welcome.set_registry(self.studio.registry)
            self._dim_docks(True)
            self.stack.setCurrentWidget(self._welcome)
        elif self._welcome is not None and self.stack.currentWidget() is self._welcome:
            self.stack.setCurrentWidget(self.canvases)
            self._dim_docks(False)
            if not self._sized:
                self._sized = True
                QTimer.singleShot(0, self._size_docks)
        shown = self._welcome is not None and self.stack.currentWidget() is self._welcome
        self.rail.setVisible(not shown)
        self.tab_row.setVisible(not shown)
        self.status.setVisible(not shown)

    def _show_empty(self, document: Document) -> None:
        """The one question of an empty canvas; it goes with the first node."""
        from ui.empty import EmptyCanvas

        view = self.views.get(document)
        if view is None:
            return
        sheet = view.findChild(EmptyCanvas)
        empty = not document.graph.nodes and not document.graph.notes and not document.scope
        if sheet is None and empty:
            sheet = EmptyCanvas(view)
            sheet.search_wanted.connect(lambda: view.node_search_requested.emit(view.center(), None))
            sheet.template_wanted.connect(self._open_example)
        if sheet is not None:
            sheet.setVisible(empty)

    def _open_example(self, stem: str) -> None:
        from ui.templates import EXAMPLES

        path = EXAMPLES / f"{stem}.graph"
        if path.exists():
            self.studio.open_template(path, stem.replace("_", " ").capitalize())
        else:
            self.open_side("templates")

    def _toggle_right_column(self) -> None:
        column = [dock for dock in (self.viewer_dock, self.inspector_dock, self.queue_dock) if not dock.isFloating()]
        shown = any(dock.isVisible() for dock in column)
        for dock in column:
            dock.setVisible(not shown)

    def _lock_inspector(self, on: bool) -> None:
        self._lock.setIcon(theme.icon("lock" if on else "lock-open", "text.tertiary", "text.primary"))
        self.inspector.set_locked(on)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit_width()

    def _fit_width(self) -> None:
        """Under 1500 px the queue becomes tabs of the inspector and the column shrinks to 360."""
        narrow = self.width() < NARROW
        if narrow == self._queue_inside:
            return
        self._queue_inside = narrow
        here, there = (self.queue_dock, self.inspector_dock) if narrow else (self.inspector_dock, self.queue_dock)
        for key, widget, words, icon, tools in (("queue", self.queue, "Queue", "list-ordered", (self._pause,)), ("done", self.done, "Done", "", ())):
            if here.has_page(key):
                here.take_page(key)
                there.add_page(key, widget, words, icon, tools)
        if narrow:
            self.queue_dock.hide()
            if self._kept_docks is not None and self.queue_dock in self._kept_docks:
                self._kept_docks.remove(self.queue_dock)
        elif self._kept_docks is None:
            self.queue_dock.show()
        else:
            self._kept_docks.append(self.queue_dock)
        QTimer.singleShot(0, self._size_docks)

    def _size_docks(self) -> None:
        if self._queue_inside:
            self.resizeDocks([self.viewer_dock], [360], Qt.Orientation.Horizontal)
        else:
            self.resizeDocks([self.inspector_dock, self.queue_dock], [296, 224], Qt.Orientation.Horizontal)
        height = self.height() - 64
        self.resizeDocks([self.viewer_dock, self.inspector_dock], [round(height * 0.485), round(height * 0.515)], Qt.Orientation.Vertical)
        self.resizeDocks([self.timeline_dock], [152], Qt.Orientation.Vertical)

    def _restore(self) -> None:
        geometry, layout = self.settings.get("geometry"), self.settings.get("layout")
        if not (geometry and self.restoreGeometry(QByteArray.fromBase64(geometry.encode()))):
            screen = QGuiApplication.primaryScreen().availableGeometry()
            self.resize(min(1920, screen.width()), min(1200, screen.height()))
        restored = bool(layout) and self.restoreState(QByteArray.fromBase64(layout.encode()), LAYOUT_VERSION)
        self.side.hide()
        self._sized = restored

    def _remember_layout(self) -> None:
        self.show_welcome(False)
        self._dim_docks(False)
        if not self._queue_inside:
            self.settings.set("layout", bytes(self.saveState(LAYOUT_VERSION).toBase64().data()).decode())
        self.settings.set("geometry", bytes(self.saveGeometry().toBase64().data()).decode())

    # -- commands, preferences, help

    def _commands(self) -> list[Command]:
        from ui.preferences import setting_commands

        found = self.actions_.commands(self.keymap)
        document = self.document
        specs = document.specs if document is not None else self.studio.registry.specs if self.studio.registry is not None else {}
        for spec in specs.values():
            if spec.category:
                act: Callable[[], None] = lambda type_id=spec.id: self._library_node(type_id, {})  # type: ignore[misc]
                tone = theme.current().category_token(spec.category)
                found.append(Command("Nodes", spec.title, act, spec.category.split("/")[0].capitalize(), theme.category_icon(spec.category), tone, words=" ".join((spec.summary, *spec.keywords))))
        for one in self.studio.documents:
            found.append(Command("Documents", one.title, lambda one=one: self.studio.show(one), "open", "workflow"))  # type: ignore[misc]
        for path in self.settings.recent_files()[:10]:
            found.append(Command("Recent files", path.stem, lambda path=path: self.studio.open(path), path.parent.name, "file"))  # type: ignore[misc]
        found += setting_commands(self)
        return found

    def show_preferences(self, page: str = "") -> None:
        from ui.preferences import Preferences

        Preferences(self, page).show()

    def show_keys(self) -> None:
        from ui.cheat_sheet import CheatSheet

        CheatSheet(self.keymap, self).show()

    def show_help(self, type_id: str = "") -> None:
        """Help on a node: the inspector turns to it."""
        document = self.document
        if not type_id and document is not None and len(document.selection) == 1:
            spec = document.spec(next(iter(document.selection)))
            type_id = spec.id if spec is not None else ""
        specs = document.specs if document is not None else {}
        if type_id in specs:
            self.palette_of_nodes.close()
            self.inspector_dock.show_page("inspector")
            self.inspector.show_help(specs[type_id])
        else:
            self.show_keys()

    def set_keys(self, overrides: dict[str, list[str]]) -> None:
        """Other keys, at once and everywhere."""
        self.settings.set("keys", overrides)
        self.keymap.overrides = {id: tuple(keys) for id, keys in overrides.items()}
        self.actions_.set_keymap(self.keymap)

    def _setting_changed(self, name: str) -> None:
        if name in ("snap", "grid", "minimap", "focus_links"):
            for view in self.views.values():
                self._set_options(view)

    def _set_options(self, view: GraphView) -> None:
        get = self.settings.get
        view.set_options(snap=get("snap"), minimap=get("minimap"), focus_links=get("focus_links"), grid=get("grid"))

    def _fill_nodes_menu(self, menu: QMenu) -> None:
        specs = self.studio.registry.specs if self.studio.registry is not None else {}
        categories: dict[str, QMenu] = {}
        for spec in sorted(specs.values(), key=lambda spec: (spec.category, spec.title)):
            if not spec.category:
                continue
            head = spec.category.split("/")[0]
            if head not in categories:
                categories[head] = menu.addMenu(theme.icon(theme.category_icon(head), theme.current().category_token(head)), head.capitalize())
            made = categories[head].addAction(spec.title.replace("&", "&&"))
            made.triggered.connect(lambda _checked=False, type_id=spec.id: self._library_node(type_id, {}))

    def _fill_panels_menu(self, menu: QMenu) -> None:
        for dock in (self.viewer_dock, self.inspector_dock, self.queue_dock, self.timeline_dock):
            menu.addAction(dock.toggleViewAction())
        menu.addSeparator()
        for name in SIDE_PAGES:
            menu.addAction(name.capitalize() if name != "models" else "Library").triggered.connect(lambda _checked=False, name=name: self.open_side(name))
        menu.addSeparator()
        menu.addAction("Put all panels back").triggered.connect(self.reset_layout)

    def reset_layout(self) -> None:
        for dock in self.docks:
            dock.setFloating(False)
            dock.setVisible(dock is not self.side and not (dock is self.queue_dock and self._queue_inside))
        self.addDockWidget(RIGHT, self.viewer_dock)
        self.addDockWidget(RIGHT, self.inspector_dock)
        self.splitDockWidget(self.inspector_dock, self.queue_dock, Qt.Orientation.Horizontal)
        self.addDockWidget(BOTTOM, self.timeline_dock)
        self.addDockWidget(LEFT, self.side)
        self._size_docks()

    # -- the window's life

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange and self.isActiveWindow():
            self.studio.check_disk()

    def closeEvent(self, event: QCloseEvent) -> None:
        self._remember_layout()
        if not self.studio.close_all():
            event.ignore()
            if self.document is None:
                self.show_welcome(True)
            return
        self.runs.shutdown()
        event.accept()


def run_words(job: Job) -> str:
    """What the machine does, for the top bar: Painting  17 / 28  ·  4 s left."""
    if not job.node:
        return "Getting ready"
    verb = "Painting" if job.total > 1 and job.thumbnail is not None else job.note or "Running"
    parts = [verb]
    if job.total > 1:
        parts[0] += f"  {job.done:.0f} / {job.total:.0f}"
    elif job.nodes:
        parts[0] += f"  {min(job.finished + 1, job.nodes)} / {job.nodes}"
    if job.eta is not None and job.eta >= 0.5:
        parts.append(f"{seconds_words(round(job.eta)) if job.eta >= 1 else '1 s'} left")
    return "  ·  ".join(parts)


def device_words(device: str, wish: str) -> str:
    """cuda:0 as "GPU 0", cpu as "CPU"."""
    name = device or ("" if wish == "auto" else wish)
    if name.startswith("cuda"):
        return f"GPU {name.partition(':')[2] or '0'}"
    return {"cpu": "CPU", "mps": "Apple GPU", "": ""}.get(name, name)


def _clock(when: float) -> str:
    return time.strftime("%H:%M", time.localtime(when))

