"""Where things stand: the side panel, the workspaces, the first page, and the layout of the docks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import QByteArray, QSize, Qt, QTimer
from PySide6.QtWidgets import QWidget

from ui import theme
from ui.canvas.model import Target
from ui.dock import Dock
from ui.document import Document
from ui.panels.compare import ComparePanel, Side
from ui.panels.history import History
from ui.panels.outline import Outline
from ui.panels.problems import LogPanel, ProblemsPanel

if TYPE_CHECKING:
    from ui.desk import Desk
    from ui.paint_space import PaintSpace

SIDE_WIDTH: Final = 280
NARROW: Final = 1500
LAYOUT_VERSION: Final = 1
LEFT, RIGHT, BOTTOM = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea, Qt.DockWidgetArea.BottomDockWidgetArea
CANVAS_HINT: Final = "Drag: select|Middle drag: pan|Right-click: menu|Tab: add a node|M: mute|Ctrl B: bypass|H: fold"
HINTS: Final = {
    "graph": CANVAS_HINT,
    "compare": "Drag: move the line|Middle drag: pan|Wheel: zoom|Space: blink|F: fit",
    "browse": "Click: show|Double-click: open its graph|Right-click: menu|Wheel: zoom",
}
SIDE_PAGES: Final = ("models", "pictures", "templates", "outline", "history", "problems")


class Rooms:
    """Opens and closes panels and pages; makes those that are seldom wanted when they are first wanted."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.window = desk, desk.window
        self.side_pages: dict[str, QWidget] = {}
        self.spaces: dict[str, QWidget] = {}
        self.workspace = "graph"
        self._kept_docks: list[Dock] | None = None
        self._kept_layout: tuple[QSize | None, QByteArray] | None = None  # of a window of that size; None: whatever its size
        self._queue_inside = False
        self._sized = False
        self._side_width = SIDE_WIDTH

    def rail_pressed(self, name: str) -> None:
        if name == "add":
            if self.desk.view is None:
                self.desk.new()
            self.desk.trigger("canvas.search")
            self.mark_rail()
        elif name == "help":
            self.desk.show_keys()
            self.mark_rail()
        elif name == "settings":
            self.desk.show_preferences()
            self.mark_rail()
        elif self.desk.side.isVisible() and self.desk.side.current == name:
            self._side_width = self.desk.side.width()
            self.desk.side.hide()
        else:
            self.open_side(name)

    def open_side(self, name: str) -> None:
        """Open a page beside the rail; it is made when it is first wanted."""
        if name not in self.side_pages:
            self.make_side_page(name)
        fresh = not self.desk.side.isVisible()
        self.desk.side.show_tabs_of(("problems", "log") if name == "problems" else (name,))
        self.desk.side.show_page(name)
        if fresh:
            self.window.resizeDocks([self.desk.side], [max(SIDE_WIDTH, self._side_width)], Qt.Orientation.Horizontal)
        self.mark_rail()

    def make_side_page(self, name: str) -> None:
        from ui.panels.library import LibraryPanel
        from ui.panels.pictures import PicturesPanel
        from ui.panels.templates import TemplatesPanel

        page: Any
        if name == "problems":
            page = ProblemsPanel()
            page.show_wanted.connect(self.desk.show_node)
            page.log_wanted.connect(lambda file: self.show_log(Path(file)))
            page.show_troubles(self.desk.running.troubles, self.desk.document)
        elif name == "outline":
            page = Outline()
            page.show_wanted.connect(self.desk.show_node)
            page.open_wanted.connect(self.desk.open_subgraph)
            page.menu_wanted.connect(lambda at, node: self.desk.context_menu(at, Target("node", node)))
            page.set_document(self.desk.document)
        elif name == "history":
            page = History()
            page.set_document(self.desk.document)
        elif name == "models":
            page = LibraryPanel(self.window.settings, self.window.folders)
            page.node_wanted.connect(self.library_node)
        elif name == "pictures":
            page = PicturesPanel(self.window.folders)
            page.picture_wanted.connect(lambda image, path: self.desk.viewer.show_picture(image, Path(path).name, path))
            page.graph_wanted.connect(lambda path: self.desk.studio.open(Path(path)))
            self.desk.runs.job_over.connect(lambda _job, page=page: page.refresh_later())
        else:
            page = TemplatesPanel()
            page.template_wanted.connect(lambda template: self.desk.studio.open_template(template.path, template.title))
        titles = {"models": "Library", "pictures": "Pictures", "templates": "Templates", "outline": "Outline", "history": "History", "problems": "Problems"}
        icons = {"models": "library", "pictures": "images", "templates": "layout-template", "outline": "list-tree", "history": "history", "problems": "triangle-alert"}
        self.side_pages[name] = page
        if self.desk.studio.registry is not None and hasattr(page, "set_registry"):
            page.set_registry(self.desk.studio.registry)
        self.desk.side.add_page(name, page, titles[name], icons[name])
        if name == "problems":
            log = LogPanel([self.window.folders.logs / "window.log", self.window.folders.logs / "worker.log"])
            self.side_pages["log"] = log
            self.desk.side.add_page("log", log, "Log", "scroll-text")
            self.desk.side.page_changed.connect(lambda key: log.read() if key == "log" else None)

    def show_log(self, file: Path | None = None) -> None:
        self.open_side("problems")
        self.desk.side.show_page("log")
        log = self.side_pages["log"]
        if isinstance(log, LogPanel):
            log.read(file)

    def library_node(self, type_id: str, values: dict[str, Any]) -> None:
        if self.desk.view is None:
            self.desk.new()
        if self.desk.view is not None:
            self.desk.view.add_node(type_id, self.desk.view.center(), None, values)
            self.desk.view.setFocus()

    def mark_rail(self) -> None:
        self.window.rail.show_open(self.desk.side.current if self.desk.side.isVisible() else "")

    def show_workspace(self, name: str) -> None:
        """Graph, Paint, Compare or Browse: another middle, with fewer docks."""
        if name != "graph" and name not in self.spaces:
            self.make_space(name)
        leaving_welcome = self.on_welcome
        if leaving_welcome and name == "graph" and self.desk.document is None:
            self.window.top.show_workspace("graph")
            return
        if leaving_welcome:
            self.show_welcome(False)
        self.workspace = name
        self.window.top.show_workspace(name)
        if name != "graph":
            self.dim_docks(True)  # before a wider page takes their room
        self.window.stack.setCurrentWidget(self.window.canvases if name == "graph" else self.spaces[name])
        if name == "graph":
            self.dim_docks(False)
        self.window.tab_row.setVisible(name == "graph")
        self.window.rail.setVisible(name != "paint")
        self.window.crumbs.setVisible(name == "graph" and self.desk.document is not None and bool(self.desk.document.scope))
        if name == "compare":
            big = self.spaces[name]
            if isinstance(big, ComparePanel):
                for letter in "AB":
                    big.show_side(letter, self.desk.compare.sides[letter])
        if name in HINTS:
            self.window.status.hints.set_hint(HINTS[name])
        if name == "graph" and self.desk.view is not None:
            self.desk.view.setFocus()
        elif name != "graph":
            self.spaces[name].setFocus()

    def workspace_wanted(self, name: str) -> None:
        """A workspace was chosen by itself; Paint then opens on what there is to paint."""
        self.show_workspace(name)
        if name == "paint":
            self._paint_space().open_something(self.desk.document)

    def make_space(self, name: str) -> None:
        page: Any
        if name == "compare":
            page = ComparePanel()
            page.slot_pressed.connect(lambda letter: page.show_side(letter, Side(self.desk.viewer.view.image, "Viewer")) if not self.desk.viewer.view.image.isNull() else None)
        elif name == "browse":
            from ui.panels.browse import BrowseSpace

            page = BrowseSpace(self.window.folders)
            page.graph_wanted.connect(lambda path: (self.show_workspace("graph"), self.desk.studio.open(Path(path))))
            page.compare_wanted.connect(lambda image, name: (self.desk.compare.show_side("B", Side(image, name)), self.show_workspace("compare")))
            page.use_wanted.connect(lambda image: (self.show_workspace("graph"), self.desk.running.use_picture(image)))
        else:
            from ui.paint_space import PaintSpace

            page = PaintSpace(self.desk)
            page.left.connect(lambda: self.show_workspace("graph"))
            page.hint.connect(self.window.status.hints.set_hint)
            page.message.connect(self.window.status.hints.say)
        self.spaces[name] = page
        self.window.stack.addWidget(page)

    def paint_mask(self, node: str, input: str) -> None:
        """Open the mask editor on a value of a node shown."""
        document = self.desk.document
        if document is not None and node in document.graph.nodes:
            self.show_workspace("paint")
            self._paint_space().open_on(document, node, input)

    def _paint_space(self) -> PaintSpace:
        from ui.paint_space import PaintSpace

        space = self.spaces["paint"]
        assert isinstance(space, PaintSpace)
        return space

    def dim_docks(self, hidden: bool) -> None:
        window = self.window
        if hidden and self._kept_docks is None:
            self._kept_layout = (window.size(), window.saveState(LAYOUT_VERSION)) if not self.on_welcome else None
            self._kept_docks = [dock for dock in self.desk.docks if dock.isVisibleTo(self.window) and not dock.isFloating()]
            for dock in self._kept_docks:
                dock.hide()
        elif not hidden and self._kept_docks is not None:
            for dock in self._kept_docks:
                dock.show()
            self._kept_docks = None
            size, state = self._kept_layout or (None, None)
            if state is not None and size in (None, window.size()):  # docks that come back share the room anew otherwise
                hidden_docks = [dock for dock in self.desk.docks if dock.isHidden()]
                layout = window.center.layout()
                assert layout is not None
                layout.activate()  # the page shown may be narrower than the one before, which counts only now
                window.restoreState(state, LAYOUT_VERSION)
                for dock in hidden_docks:
                    dock.hide()

    @property
    def on_welcome(self) -> bool:
        """Whether the first page is shown."""
        return self.window.stack.currentWidget() is self.window.welcome

    def show_welcome(self, on: bool) -> None:
        """The first page, in place of everything but the top bar."""
        was_on = self.on_welcome
        if on:
            self.dim_docks(True)
        if on or was_on:
            self.window.stack.setCurrentWidget(self.window.welcome if on else self.window.canvases)
        for part in (self.window.rail, self.window.tab_row, self.window.status):  # they take their room before docks share the rest
            part.setVisible(not on)
        if was_on and not on:
            self.dim_docks(False)
            if not self._sized:
                self._sized = True
                QTimer.singleShot(0, self.size_docks)

    def show_empty(self, document: Document) -> None:
        """The one question of an empty canvas; it goes with the first node."""
        from ui.empty import EmptyCanvas

        view = self.desk.views.get(document)
        if view is None:
            return
        sheet = view.findChild(EmptyCanvas)
        empty = not document.graph.nodes and not document.graph.notes and not document.scope
        if sheet is None and empty:
            sheet = EmptyCanvas(view)
            sheet.search_wanted.connect(lambda: view.node_search_requested.emit(view.center(), None))
            sheet.template_wanted.connect(self.open_example)
        if sheet is not None:
            sheet.setVisible(empty)

    def open_example(self, stem: str) -> None:
        from ui.templates import EXAMPLES

        path = EXAMPLES / f"{stem}.graph"
        if path.exists():
            self.desk.studio.open_template(path, stem.replace("_", " ").capitalize())
        else:
            self.open_side("templates")

    def toggle_right_column(self) -> None:
        column = [dock for dock in (self.desk.viewer_dock, self.desk.inspector_dock, self.desk.queue_dock) if not dock.isFloating()]
        shown = any(dock.isVisible() for dock in column)
        for dock in column:
            dock.setVisible(not shown)

    def lock_inspector(self, on: bool) -> None:
        self.desk.lock.setIcon(theme.icon("lock" if on else "lock-open", "text.tertiary", "text.primary"))
        self.desk.inspector.set_locked(on)

    def fit_width(self) -> None:
        """Under 1500 px the queue becomes tabs of the inspector and the column shrinks to 360."""
        narrow = self.window.width() < NARROW
        if narrow == self._queue_inside:
            return
        self._queue_inside = narrow
        here, there = (self.desk.queue_dock, self.desk.inspector_dock) if narrow else (self.desk.inspector_dock, self.desk.queue_dock)
        for key, widget, words, icon, tools in (("queue", self.desk.queue, "Queue", "list-ordered", (self.desk.empty_queue, self.desk.pause)), ("done", self.desk.done, "Done", "", ())):
            if here.has_page(key):
                here.take_page(key)
                there.add_page(key, widget, words, icon, tools)
        if narrow:
            self.desk.queue_dock.hide()
            if self._kept_docks is not None and self.desk.queue_dock in self._kept_docks:
                self._kept_docks.remove(self.desk.queue_dock)
        elif self._kept_docks is None:
            self.desk.queue_dock.show()
        else:
            self._kept_docks.append(self.desk.queue_dock)
        QTimer.singleShot(0, self.size_docks)

    def size_docks(self) -> None:
        if self._queue_inside:
            self.window.resizeDocks([self.desk.viewer_dock], [360], Qt.Orientation.Horizontal)
        else:
            self.window.resizeDocks([self.desk.inspector_dock, self.desk.queue_dock], [296, 224], Qt.Orientation.Horizontal)
        height = self.window.height() - 64
        self.window.resizeDocks([self.desk.viewer_dock, self.desk.inspector_dock], [round(height * 0.485), round(height * 0.515)], Qt.Orientation.Vertical)
        self.window.resizeDocks([self.desk.timeline_dock], [152], Qt.Orientation.Vertical)

    def restore(self) -> None:
        """The layout of the last time, or the usual one, under the first page."""
        layout = self.window.settings.get("layout")
        state = QByteArray.fromBase64(layout.encode())
        self._sized = bool(layout) and self.window.restoreState(state, LAYOUT_VERSION)
        self._kept_layout = (None, state) if self._sized else None
        self.desk.side.hide()
        usual = [dock for dock in self.desk.docks if dock is not self.desk.side]
        self._kept_docks = [dock for dock in usual if not self._sized or not dock.isHidden()]
        for dock in usual:
            dock.hide()
        self.show_welcome(True)
        self.fit_width()
        if self._queue_inside:  # layouts are kept of wide windows only
            self._sized, self._kept_layout = False, None

    def remember_layout(self) -> None:
        self.show_welcome(False)
        self.dim_docks(False)
        if not self._queue_inside:
            self.window.settings.set("layout", bytes(self.window.saveState(LAYOUT_VERSION).toBase64().data()).decode())
        self.window.settings.set("geometry", bytes(self.window.saveGeometry().toBase64().data()).decode())

    def reset_layout(self) -> None:
        for dock in self.desk.docks:
            dock.setFloating(False)
            dock.setVisible(dock is not self.desk.side and not (dock is self.desk.queue_dock and self._queue_inside))
        self.window.addDockWidget(RIGHT, self.desk.viewer_dock)
        self.window.addDockWidget(RIGHT, self.desk.inspector_dock)
        self.window.splitDockWidget(self.desk.inspector_dock, self.desk.queue_dock, Qt.Orientation.Horizontal)
        self.window.addDockWidget(BOTTOM, self.desk.timeline_dock)
        self.window.addDockWidget(LEFT, self.desk.side)
        self.size_docks()
