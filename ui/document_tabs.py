"""Each document's tab and canvas: they come and go with it, and its name, dot and saved state follow it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ui import theme
from ui.canvas.view import GraphView
from ui.document import Document
from ui.label import plain_tip
from ui.loaded_pictures import LoadedPictures
from ui.threads import background

if TYPE_CHECKING:
    from ui.desk import Desk


class DocumentTabs:
    """The row of tabs and the stack of canvases, in the order of `studio.documents`."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.window = desk, desk.window
        self.views: dict[Document, GraphView] = {}

    def at(self, index: int) -> Document:
        """The document of a tab."""
        return self.desk.studio.documents[index]

    def add(self, document: Document) -> None:
        """A tab and a canvas for a document."""
        view = GraphView(document, theme.current(), keymap=self.window.keymap)
        self.set_options(view)
        view.node_search_requested.connect(self.desk.search_node)
        view.context_menu_requested.connect(self.desk.context_menu)
        view.status_hint.connect(self.window.status.hints.set_hint)
        view.message.connect(self.window.status.hints.say)
        view.open_subgraph.connect(self.desk.open_subgraph)
        view.files_dropped.connect(self.desk.files_dropped)
        view.image_given.connect(self.desk.image_given)
        view.help_requested.connect(self.desk.show_help)
        view.drawing_requested.connect(self.desk.rooms.paint_mask)
        if self.desk.studio.registry is not None:
            self.set_insight(view)
        self.views[document] = view
        LoadedPictures(document, self.window.folders)
        self.window.canvases.addWidget(view)
        document.states_changed.connect(lambda names: self._many_states(view, names))
        document.face_changed.connect(lambda: self.show_face(document))
        document.scope_changed.connect(lambda: document is self.desk.document and self.window.crumbs.show_way(document))
        document.changed.connect(lambda _change: self.desk.rooms.show_empty(document))
        self.window.tabs.blockSignals(True)
        self.window.tabs.add(document.title, "workflow", document.is_dirty)
        self.window.tabs.blockSignals(False)
        view.frame_when_shown()

    def _many_states(self, view: GraphView, names: set[str]) -> None:
        """A hundred new states are one repaint of the view: as a hundred small parts they cost more than all of it."""
        if len(names) > 24 and view in self.views.values():
            view.viewport().update()

    def remove(self, document: Document) -> None:
        """Its tab and its canvas go."""
        view = self.views.pop(document)
        self.desk.runs.forget(document)
        self._rebuild_tabs()
        self.window.canvases.removeWidget(view)
        view.hide()
        view.deleteLater()
        if not self.desk.studio.documents:
            self.desk.rooms.show_welcome(True)

    def _rebuild_tabs(self) -> None:
        self.window.tabs.blockSignals(True)
        while self.window.tabs.count():
            self.window.tabs.remove(self.window.tabs.count() - 1)
        for document in self.desk.studio.documents:
            self.window.tabs.add(document.title, "workflow", document.is_dirty)
        if self.desk.document is not None:
            self.window.tabs.setCurrentIndex(self.desk.studio.documents.index(self.desk.document))
        self.window.tabs.blockSignals(False)

    def choose(self, index: int) -> None:
        if 0 <= index < len(self.desk.studio.documents):
            self.desk.studio.show(self.desk.studio.documents[index])

    def step(self, by: int) -> None:
        """To the next tab, or the one before."""
        if self.window.tabs.count():
            self.window.tabs.setCurrentIndex((self.window.tabs.currentIndex() + by) % self.window.tabs.count())

    def show_face(self, document: Document | None) -> None:
        """A document's name, and what of it is saved and can be undone."""
        if document is not None and document in self.desk.studio.documents:
            index = self.desk.studio.documents.index(document)
            if index < self.window.tabs.count():
                self.window.tabs.set_face(index, document.title, document.is_dirty)
                self.window.tabs.setTabToolTip(index, plain_tip(str(document.path) if document.path else "No file holds this graph yet"))
        current = self.desk.document
        self.window.setWindowTitle(f"{current.title}{' *' if current.is_dirty else ''} - Nodegraph" if current is not None else "Nodegraph")
        undo, redo = self.desk.actions_.actions["edit.undo"], self.desk.actions_.actions["edit.redo"]
        undo.setEnabled(current is not None and current.history.can_undo)
        redo.setEnabled(current is not None and current.history.can_redo)
        undo.setText(f"Undo {current.history.done[-1].label.lower()}" if current is not None and current.history.can_undo else "Undo")
        redo.setText(f"Redo {current.history.undone[-1].label.lower()}" if current is not None and current.history.can_redo else "Redo")
        if document is current:
            self.show_saved()

    def show_saved(self) -> None:
        """In the status bar: when the current document was saved."""
        document = self.desk.document
        if document is None:
            self.window.status.show_saved("")
        elif document.is_dirty:
            self.window.status.show_saved("Not saved yet" if document.saved_at is None else f"Changed since {_clock(document.saved_at)}", "unsaved")
        elif document.saved_at is not None:
            self.window.status.show_saved(f"Saved {_clock(document.saved_at)}")
        else:
            self.window.status.show_saved("No changes" if document.path is not None else "")

    def set_insight(self, view: GraphView) -> None:
        """Tell a canvas the families and missing files of its nodes."""
        from ui.insight import insight_of

        assert self.desk.studio.registry is not None
        insight = insight_of(self.desk.studio.registry, view.document)
        scene, nodes = view.graph_scene, list(view.document.graph.nodes.values())
        scene.family, scene.missing_files = insight.family, insight.missing_files
        view.editor.context = insight.context
        view.usual_values = insight.usual_values

        def says_something() -> bool:
            """In the background, as it opens the headers of model files; what it finds is remembered."""
            return any(insight.family(node) is not None or bool(insight.missing_files(node)) for node in nodes)  # the first that says something is enough

        def shown(something: bool) -> None:
            if something and view in self.views.values():
                scene.rebuild()

        background().run(says_something, shown, owner=scene)

    def set_options(self, view: GraphView) -> None:
        """What the preferences say of a canvas."""
        get = self.window.settings.get
        view.set_options(snap=get("snap"), minimap=get("minimap"), focus_links=get("focus_links"), grid=get("grid"))



def _clock(when: float) -> str:
    return time.strftime("%H:%M", time.localtime(when))
