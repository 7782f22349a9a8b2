"""What stands in the window once it is painted: documents and their canvases, docks, palettes, and the wires between them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QPoint, QPointF, QSize, Qt, QTimer
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QMenu, QWidget

from ui import theme
from ui.canvas.model import PortRef, Target
from ui.canvas.view import GraphView
from ui.command_palette import Command, CommandPalette
from ui.dock import Dock, Header
from ui.document import Document
from ui.document_tabs import DocumentTabs
from ui.hints import Hints
from ui.keeper import Keeper
from ui.label import tool
from ui.menus import ARRANGE, Actions, recent_menu
from ui.notices import Notice
from ui.packs import Packs
from ui.panels.compare import ComparePanel, Side
from ui.panels.inspector import Inspector
from ui.panels.outline import Outline
from ui.panels.palette import NodePalette
from ui.panels.problems import Checker
from ui.panels.queue import QueuePanel
from ui.panels.timeline import Timeline
from ui.panels.viewer import Viewer
from ui.rooms import BOTTOM, CANVAS_HINT, LEFT, RIGHT, SIDE_PAGES, SIDE_WIDTH, Rooms
from ui.running import Running
from ui.runs import RunnerLike, Runs
from ui.studio import Studio
from ui.sweeping import Sweeping
from ui.tabs import Tabs
from ui.templates import usual_followers
from ui.threads import background
from ui.words import device_words

if TYPE_CHECKING:
    from ui.main_window import MainWindow


class Desk(QObject):
    """Everything that works on documents. The window itself is only its frame."""

    def __init__(self, window: MainWindow, start_runner: Callable[[Callable[[Any], None]], RunnerLike]) -> None:
        super().__init__(window)
        self.window = window
        settings, folders = window.settings, window.folders
        self.studio = Studio(settings, folders, window.questions, self)
        self.runs = Runs(settings, start_runner, Keeper(folders.queue) if settings.path is not None else None, self)
        self.runs.output = str(folders.output)
        self.packs = Packs(self.studio, self.runs, self)
        self.tabs = DocumentTabs(self)
        self.hints = Hints(self.window.settings, self.window.notices.show_notice)
        self.running = Running(self)
        self.sweeping = Sweeping(self)
        self.rooms = Rooms(self)
        self._build_actions()
        self._build_docks()
        self.palette_of_nodes = NodePalette(settings, window)
        self.palette_of_commands = CommandPalette(self.commands, window)
        self._connect()
        self.rooms.restore()

    def _build_actions(self) -> None:
        handlers: dict[str, Callable[[], object]] = {
            "file.new": self.new,
            "file.open": self.studio.open_dialog,
            "file.save": lambda: self.document and self.studio.save(self.document),
            "file.save_as": lambda: self.document and self.studio.save_as(self.document),
            "file.export_picture": self.running.export_picture,
            "file.close": lambda: self.document and self.studio.close(self.document),
            "file.quit": self.window.close,
            "edit.undo": self.undo,
            "edit.redo": self.redo,
            "edit.preferences": self.show_preferences,
            "run.run": self.running.run,
            "run.next": lambda: self.running.run(front=True),
            "run.selected": self.running.run_selected,
            "run.stop": self.runs.stop,
            "view.palette": lambda: self.palette_of_commands.open(),
            "view.next_tab": lambda: self.tabs.step(1),
            "view.leave_subgraph": lambda: self.document and self.document.leave(),
            "help.keys": self.show_keys,
            "help.node": self.show_help,
        }
        self.actions_ = Actions(self.window, self.window.keymap, handlers, self.trigger)
        self.actions_.fill(
            self.window.menus,
            {
                "recent": lambda menu: recent_menu(menu, self.window.settings.recent_files(), self.studio.open, lambda: self.window.settings.set("recent", [])),
                "nodes": self._fill_nodes_menu,
                "arrange": lambda menu: [menu.addAction(self.actions_.actions[id]) for id in ARRANGE] and None,
                "panels": self._fill_panels_menu,
            },
        )
        for action in self.actions_.actions.values():
            self.window.addAction(action)

    def _build_docks(self) -> None:
        self.viewer = Viewer()
        self.compare = ComparePanel()
        self.inspector = Inspector(self.window.settings, self.window.folders)
        self.outline = Outline()
        self.queue = QueuePanel(self.runs)
        self.done = QueuePanel(self.runs, done=True)
        self.timeline = Timeline()
        self.checker = Checker(self.window)

        self.viewer_dock = Dock("viewer", "Viewer", QSize(520, 552), self.window)
        self.pin = tool("pin", "Keep this output while others run", 14, checkable=True)
        self.pin.toggled.connect(self.viewer.set_pinned)
        self._float = tool("external-link", "Viewer in a window of its own", 14)
        self._float.clicked.connect(lambda: self.viewer_dock.setFloating(not self.viewer_dock.isFloating()))
        self.viewer_dock.add_page("viewer", self.viewer, "Viewer", "eye", (self.pin, self._float))
        self.viewer_dock.add_page("compare", self.compare, "Compare", "square-split-horizontal")
        self.viewer_dock.pages.setMinimumWidth(360)
        self.window.addDockWidget(RIGHT, self.viewer_dock)

        self.inspector_dock = Dock("inspector", "Inspector", QSize(296, 420), self.window)
        self.lock = tool("lock-open", "Keep showing this node", 14, checkable=True)
        self.lock.toggled.connect(self.rooms.lock_inspector)
        self.inspector_dock.add_page("inspector", self.inspector, "Inspector", "sliders-horizontal", (self.lock,))
        self.inspector_dock.add_page("outline", self.outline, "Outline", "list-tree")
        self.window.addDockWidget(RIGHT, self.inspector_dock)

        self.queue_dock = Dock("queue", "Queue", QSize(224, 420), self.window)
        self.pause = tool("pause", "Pause the queue: what runs is finished", 14, checkable=True)
        self.pause.toggled.connect(self.runs.set_paused)
        self.empty_queue = tool("trash-2", "Empty the queue: what runs goes on", 14)
        self.empty_queue.clicked.connect(self.runs.clear)
        self.queue_dock.add_page("queue", self.queue, "Queue", "list-ordered", (self.empty_queue, self.pause))
        self.queue_dock.add_page("done", self.done, "Done")
        self.window.splitDockWidget(self.inspector_dock, self.queue_dock, Qt.Orientation.Horizontal)

        self.timeline_dock = Dock("timeline", "Timeline", QSize(600, 120), self.window)
        self.timeline_dock.setTitleBarWidget(self._timeline_header())
        self.timeline_dock.pages.addWidget(self.timeline)
        self.window.addDockWidget(BOTTOM, self.timeline_dock)

        self.side = Dock("side", "Side panel", QSize(SIDE_WIDTH, 600), self.window)
        self.window.addDockWidget(LEFT, self.side)
        self.side.hide()
        self.docks = (self.viewer_dock, self.inspector_dock, self.queue_dock, self.timeline_dock, self.side)

    def _timeline_header(self) -> QWidget:
        header = Header(Tabs())
        header.tabs.hide()
        layout = header.layout()
        assert layout is not None
        layout.takeAt(1)
        transport = self.timeline.transport
        layout.addWidget(transport)
        layout.setStretchFactor(transport, 1)
        return header

    def _connect(self) -> None:
        studio, runs = self.studio, self.runs
        studio.added.connect(self.tabs.add)
        studio.removed.connect(self.tabs.remove)
        studio.removed.connect(lambda _document: self.window.notices.take_back(Hints.KEY))  # it was about a graph that is gone
        studio.current_changed.connect(self._current_changed)
        studio.opening.connect(lambda begun: self.rooms.show_welcome(not begun and self.document is None))
        studio.registry_changed.connect(self._registry_changed)
        studio.notice.connect(self.window.notices.show_notice)
        studio.notice_gone.connect(self.window.notices.take_back)
        studio.saving.connect(lambda document: document is self.document and self.window.status.show_saved("Saving", "busy"))
        studio.saved.connect(lambda document: (self.tabs.show_saved(), self.running.keep_face(document)))
        studio.recovery.kept.connect(lambda document: document is self.document and self.tabs.show_saved())
        self.window.tabs.currentChanged.connect(self.tabs.choose)
        self.window.tabs.close_wanted.connect(lambda index: studio.close(self.tabs.at(index)))
        self.window.tabs.tabMoved.connect(lambda source, target: self.studio.documents.insert(target, self.studio.documents.pop(source)))
        self.window.crumbs.went.connect(lambda scope: self.document and self.document.open(*scope))
        self.window.top.workspace_wanted.connect(self.rooms.workspace_wanted)
        self.window.top.search_wanted.connect(lambda: self.palette_of_commands.open())
        self.window.top.run_wanted.connect(lambda: self.running.run())
        self.window.top.stop_wanted.connect(runs.stop)
        self.window.rail.pressed.connect(self.rooms.rail_pressed)
        self.side.visibilityChanged.connect(lambda _visible: self.rooms.mark_rail())
        self.side.page_changed.connect(lambda _key: self.rooms.mark_rail())
        self.window.status.free_wanted.connect(runs.free)
        self.palette_of_nodes.wanted.connect(self._add_node)
        self.palette_of_nodes.help_wanted.connect(self.show_help)
        runs.job_changed.connect(lambda _job: self.running.show_run())
        runs.queue_changed.connect(self.running.show_run)
        runs.job_over.connect(self.running.job_over)
        runs.picture.connect(self.running.picture_made)
        runs.take_changed.connect(self.running.take_changed)
        runs.memory.connect(self.running.show_memory)
        runs.trouble.connect(lambda words: self.window.notices.show_notice(Notice(words, "error", key="journal")))
        runs.hello.connect(lambda event: self.window.status.show_device(device_words(runs.device, self.window.settings.get("device"))))
        self.timeline.looked.connect(self.running.frame_looked)
        self.timeline.branch_wanted.connect(self.running.branch)
        for panel in (self.queue, self.done):
            panel.show_wanted.connect(self.running.show_job)
            panel.picture_wanted.connect(lambda picture: self.viewer.show_picture(picture.image, picture.name, picture.path))
            panel.compare_wanted.connect(self.running.compare_picture)
            panel.graph_wanted.connect(lambda graph, title: self.studio.add(graph, None, f"{title} copy", saved=True))
        self.viewer.compare_wanted.connect(lambda image: self.running.compare_side("B", Side(image, "Viewer")))
        self.viewer.save_wanted.connect(self.running.save_picture)
        self.viewer.use_wanted.connect(self.running.use_picture)
        self.compare.slot_pressed.connect(lambda letter: self.running.compare_side(letter, Side(self.viewer.view.image, "Viewer")) if not self.viewer.view.image.isNull() else None)
        self.checker.found.connect(self.running.problems_found)
        self.outline.show_wanted.connect(self.show_node)
        self.outline.open_wanted.connect(self.open_subgraph)
        self.outline.menu_wanted.connect(lambda at, name: self.context_menu(at, Target("node", name)))
        self.inspector.message.connect(self.window.status.hints.say)
        self.inspector.help_wanted.connect(self.show_help)
        self.inspector.show_wanted.connect(self.show_node)
        self.inspector.drawing_wanted.connect(self.rooms.paint_mask)
        self.inspector.sweep_wanted.connect(lambda node, item: self.document and self.sweeping.ask(self.document, node, item))
        self.window.new_tab.clicked.connect(self.new)
        self.window.toggle_bottom.clicked.connect(lambda: self.timeline_dock.setVisible(not self.timeline_dock.isVisible()))
        self.window.toggle_right.clicked.connect(self.rooms.toggle_right_column)
        welcome = self.window.welcome
        welcome.new_wanted.connect(self.new)
        welcome.open_wanted.connect(self.studio.open_dialog)
        welcome.path_wanted.connect(self.studio.open)
        welcome.template_wanted.connect(lambda template: self.studio.open_template(template.path, template.title))
        welcome.keys_wanted.connect(self.show_keys)
        self.window.settings.changed.connect(self._setting_changed)
        self._minute = QTimer(self.window)
        self._minute.setInterval(30_000)
        self._minute.timeout.connect(self.tabs.show_saved)
        self._minute.start()

    @property
    def document(self) -> Document | None:
        return self.studio.current

    @property
    def views(self) -> dict[Document, GraphView]:
        return self.tabs.views

    @property
    def view(self) -> GraphView | None:
        return self.views.get(self.document) if self.document is not None else None

    def new(self) -> None:
        self.studio.when_ready(lambda: self.studio.new() and None)

    def _current_changed(self) -> None:
        document = self.document
        for panel in (self.viewer, self.inspector, self.outline, self.checker, *(p for p in self.rooms.side_pages.values() if hasattr(p, "set_document"))):
            panel.set_document(document)
        self.window.crumbs.show_way(document)
        if document is not None:
            self.rooms.show_welcome(False)
            self.window.tabs.setCurrentIndex(self.studio.documents.index(document))
            self.window.canvases.setCurrentWidget(self.views[document])
            self.rooms.show_workspace("graph")
            self.views[document].setFocus()
            self.window.status.hints.set_hint(CANVAS_HINT)
            self.rooms.show_empty(document)
        self.tabs.show_saved()
        self.running.show_run()
        self.tabs.show_face(document)

    def _registry_changed(self) -> None:
        registry = self.studio.registry
        assert registry is not None
        self.checker.registry = registry
        self.inspector.set_registry(registry)
        for view in self.views.values():
            self.tabs.set_insight(view)
        for page in self.rooms.side_pages.values():
            if hasattr(page, "set_registry"):
                page.set_registry(registry)
        self.window.welcome.set_registry(registry)
        background().run(lambda: usual_followers(registry), lambda found: setattr(self.palette_of_nodes, "usual", found))
        broken = {report.pack: report.error for report in registry.reports if report.error}
        if broken:
            names = ", ".join(list(broken)[:4]) + (f" and {len(broken) - 4} more" if len(broken) > 4 else "")
            words = next(iter(broken.values())) if len(broken) == 1 else f"{len(broken)} packs of nodes cannot be used: {names}."
            self.window.notices.show_notice(Notice(words, "warning", (("Node packs", lambda: self.show_preferences("packs")),), "packs"))
        else:
            self.window.notices.take_back("packs")
        self.checker.check_now()

    def trigger(self, action: str) -> None:
        """A canvas action from a menu or the palette."""
        view = self.view
        if view is not None and self.rooms.workspace == "graph":
            view.setFocus()
            view.trigger(action)

    def undo(self) -> None:
        document = self.document
        if document is not None and (label := document.undo()) is not None:
            self.window.status.hints.say(f"Undone: {label.lower()}", 2)

    def redo(self) -> None:
        document = self.document
        if document is not None and (label := document.redo()) is not None:
            self.window.status.hints.say(f"Done again: {label.lower()}", 2)

    def search_node(self, scene_pos: QPointF, hint: PortRef | None) -> None:
        view, document = self.view, self.document
        if view is not None and document is not None:
            where = view.viewport().mapToGlobal(view.mapFromScene(scene_pos))
            beside = QPoint(20, -28) if hint is not None else QPoint(-18, -28)  # the end of the dragged link stays in sight
            self.palette_of_nodes.open(where + beside, scene_pos, document.specs, hint)

    def _add_node(self, type_id: str, hint: PortRef | None, keep_open: bool) -> None:
        view = self.view
        if view is not None:
            view.add_node(type_id, self.palette_of_nodes.where, hint)
            self.hints.tell("links")
            if keep_open:
                self.palette_of_nodes.where += QPointF(0, 160)
            else:
                view.setFocus()

    def open_subgraph(self, name: str) -> None:
        document = self.document
        if document is not None and name in document.graph.nodes and document.graph.nodes[name].subgraph is not None:
            document.enter(name)

    def context_menu(self, at: QPoint, target: Target) -> None:
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
            self.rooms.show_workspace("graph")
            document.select([name])
            view.show_node(name)
            view.setFocus()

    def files_dropped(self, paths: list[Path], place: QPointF) -> None:
        from ui.drops import nodes_for

        view = self.view
        rest = self.studio.take(paths)
        if view is not None and rest:
            nodes_for(view, rest, place, self.studio)

    def image_given(self, image: QImage, place: QPointF) -> None:
        from ui.drops import use_image

        if self.view is not None:
            use_image(self.view, image, self.window.folders, self.window.notices.show_notice, place)

    def commands(self) -> list[Command]:
        from ui.preferences import setting_commands

        found = self.actions_.commands(self.window.keymap)
        document = self.document
        specs = document.specs if document is not None else self.studio.registry.specs if self.studio.registry is not None else {}
        for spec in specs.values():
            if spec.category:
                act: Callable[[], None] = lambda type_id=spec.id: self.rooms.library_node(type_id, {})  # type: ignore[misc]
                tone = theme.current().category_token(spec.category)
                found.append(Command("Nodes", spec.title, act, spec.category.split("/")[0].capitalize(), theme.category_icon(spec.category), tone, words=" ".join((spec.summary, *spec.keywords))))
        for one in self.studio.documents:
            found.append(Command("Documents", one.title, lambda one=one: self.studio.show(one), "open", "workflow"))
        for path in self.window.settings.recent_files()[:10]:
            found.append(Command("Recent files", path.stem, lambda path=path: self.studio.open(path), path.parent.name, "file"))
        found += setting_commands(self)
        return found

    def show_preferences(self, page: str = "") -> None:
        from ui.preferences import Preferences

        Preferences(self, page).show()

    def show_keys(self) -> None:
        from ui.cheat_sheet import CheatSheet

        CheatSheet(self.window.keymap, self.window).show()

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
        self.window.settings.set("keys", overrides)
        self.window.keymap.overrides = {id: tuple(keys) for id, keys in overrides.items()}
        self.actions_.set_keymap(self.window.keymap)

    def _setting_changed(self, name: str) -> None:
        if name in ("snap", "grid", "minimap", "focus_links"):
            for view in self.views.values():
                self.tabs.set_options(view)
        elif name == "cache":
            self.runs.renew_worker()
        elif name == "folders":
            self._folders_changed()

    def _folders_changed(self) -> None:
        """Chosen folders count at once: the worker reads them from the file before its next run."""
        self.window.settings.flush()
        self.window.folders.refresh()
        self.runs.output = str(self.window.folders.output)
        if self.studio.registry is not None:
            for view in self.views.values():
                self.tabs.set_insight(view)  # which of their files are there, looked up anew
        self.checker.check_now()

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
            made.triggered.connect(lambda _checked=False, type_id=spec.id: self.rooms.library_node(type_id, {}))

    def _fill_panels_menu(self, menu: QMenu) -> None:
        for dock in (self.viewer_dock, self.inspector_dock, self.queue_dock, self.timeline_dock):
            menu.addAction(dock.toggleViewAction())
        menu.addSeparator()
        for name in SIDE_PAGES:
            menu.addAction(name.capitalize() if name != "models" else "Library").triggered.connect(lambda _checked=False, name=name: self.rooms.open_side(name))
        menu.addSeparator()
        menu.addAction("Put all panels back").triggered.connect(self.rooms.reset_layout)
