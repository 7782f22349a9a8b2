"""Everything about the chosen node: its values, its title, how its last run went, its help. Several nodes of one type are edited together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QScrollArea, QVBoxLayout, QWidget

from nodegraph.errors import GraphError
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Node
from nodegraph.spec import Input, NodeSpec
from ui import theme, vocabulary
from ui.canvas import inside
from ui.canvas.model import IDLE
from ui.document import Document
from ui.label import ElidedLabel, IconLabel, Label, tool
from ui.panels.controls import EditorContext, make_editor
from ui.panels.node_facts import HelpPage, RunFacts
from ui.panels.section import Section
from ui.panels.value_row import PortRow, ValueRow
from ui.settings import Settings

if TYPE_CHECKING:
    from nodegraph.registry import Registry

SEED_MODES = (("keep", "Keep seed"), ("new", "New seed"), ("increment", "Count up"))


class Inspector(QWidget):
    """Follows the selection unless it is locked."""

    message = Signal(str)
    help_wanted = Signal(str)
    show_wanted = Signal(str)
    drawing_wanted = Signal(str, str)
    sweep_wanted = Signal(str, object)  # node, Input

    def __init__(self, settings: Settings, folders: Folders, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings, self._folders = settings, folders
        self._document: Document | None = None
        self._nodes: tuple[str, ...] = ()
        self._spec: NodeSpec | None = None
        self._locked = False
        self._rows: dict[str, ValueRow] = {}
        self._key: object = None
        self._folded: set[str] = {"Advanced"}
        self._run: RunFacts | None = None
        self._title: Label | None = None  # of the graph, while no node is shown
        self.context = EditorContext(
            files=lambda marker: folders.names(marker),
            path_of=lambda marker, name: folders.resolve(marker.folder, name),
            words=lambda: vocabulary.inversions(folders),
            vocabulary=lambda: vocabulary.shipped_words() if self._document is not None and vocabulary.uses_shipped_model(self._document.root) else (),
            paint=self._paint,
        )
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(self._scroll)
        self._rebuild()

    def set_registry(self, registry: Registry) -> None:
        self._rebuild()

    def set_document(self, document: Document | None) -> None:
        old = self._document
        if old is not None:
            for signal, slot in self._wires(old):
                signal.disconnect(slot)
        self._document = document
        if document is not None:
            for signal, slot in self._wires(document):
                signal.connect(slot)
        self._locked = False
        self._follow()

    def _wires(self, document: Document) -> tuple[tuple[Any, Any], ...]:
        return (
            (document.selection_changed, self._follow),
            (document.changed, self._changed),
            (document.scope_changed, self._follow),
            (document.states_changed, self._states),
            (document.face_changed, self._retitle),
        )

    def set_locked(self, locked: bool) -> None:
        """Keep to the node that is shown."""
        self._locked = locked
        if not locked:
            self._follow()

    # -- what is shown

    def _follow(self) -> None:
        document = self._document
        if document is None:
            self._nodes = ()
        elif not self._locked or not all(name in document.graph.nodes for name in self._nodes):
            chosen = [name for name in sorted(document.selection) if name in document.graph.nodes]
            types = {document.graph.nodes[name].type for name in chosen}
            self._nodes = tuple(chosen) if len(types) == 1 else tuple(chosen[:0]) if types else ()
            self._several = len(chosen) if len(types) > 1 else 0
        self._rebuild()

    _several = 0

    def _current(self) -> list[Node]:
        graph = self._document.graph if self._document is not None else Graph()
        return [graph.nodes[name] for name in self._nodes if name in graph.nodes]

    def _changed(self, change: Any) -> None:
        mine = set(self._nodes)
        links = {link.target for link in (*change.linked, *change.unlinked)}
        if mine & (change.removed | links) or change.subgraphs:
            self._follow()
            self._rebuild()
        elif mine & change.changed:
            nodes = self._current()
            if nodes and self._signature(nodes) != self._key:
                self._rebuild()
                return
            for row in self._rows.values():
                row.refresh(nodes)

    def _retitle(self) -> None:
        if self._title is not None and self._document is not None:
            self._title.setText(self._document.crumbs()[-1][0])

    def _signature(self, nodes: Sequence[Node]) -> object:
        document = self._document
        links = tuple(link for node in nodes for link in (document.graph.incoming.get(node.id, ()) if document else ()))
        return (id(document), tuple(node.id for node in nodes), tuple((node.type, node.title, node.mode) for node in nodes), links, self._spec)

    def _rebuild(self) -> None:
        document, nodes = self._document, self._current()
        self._spec = document.spec(nodes[0]) if document is not None and nodes else None
        key = self._signature(nodes) if nodes else (id(document), "none", self._several)
        if key == self._key and nodes:
            return
        self._key = key
        self._title = None
        self._rows = {}
        self._run = None
        page = QWidget()
        page.setProperty("kind", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 12)
        column.setSpacing(0)
        if not nodes:
            self._build_empty(column)
        else:
            self._build_head(column, nodes)
            self._build_values(column, nodes)
            if len(nodes) == 1:
                self._build_run(column)
        column.addStretch(1)
        old = self._scroll.takeWidget()
        if old is not None:
            old.hide()
            old.deleteLater()
        self._scroll.setWidget(page)

    def _build_empty(self, column: QVBoxLayout) -> None:
        document = self._document
        column.setContentsMargins(12, 16, 12, 12)
        column.setSpacing(8)
        if self._several:
            column.addWidget(Label(f"{self._several} nodes", "heading"))
            column.addWidget(Label("Nodes of one type can be edited together.", "dim", wrap=True))
            return
        if document is None:
            return
        self._title = Label(document.crumbs()[-1][0], "heading", wrap=True)
        column.addWidget(self._title)
        nodes, links = len(document.graph.nodes), len(document.graph.links)
        column.addWidget(Label(f"{nodes} {'node' if nodes == 1 else 'nodes'}, {links} {'link' if links == 1 else 'links'}", "dim"))
        about = document.root.meta.get("description") if not document.scope else None
        if about:
            column.addWidget(Label(str(about), "dim", wrap=True))
        column.addWidget(Label("Select a node to see its values.", "faint", wrap=True))

    def _build_head(self, column: QVBoxLayout, nodes: Sequence[Node]) -> None:
        spec, node = self._spec, nodes[0]
        top = QHBoxLayout()
        top.setContentsMargins(12, 8, 8, 0)
        top.setSpacing(8)
        category = spec.category if spec is not None else ""
        icon = theme.category_icon(category) if spec is not None else "circle-question-mark"
        top.addWidget(IconLabel(icon, theme.current().category_token(category), 16))
        title = QLineEdit(node.title or (spec.title if spec is not None else node.type))
        title.setFont(theme.font("heading"))
        title.setProperty("kind", "title")
        title.setStyleSheet("QLineEdit { background: transparent; border: none; padding: 0; }")
        title.setAccessibleName("Title of the node")
        title.setReadOnly(len(nodes) > 1)
        title.editingFinished.connect(lambda: self._rename(title.text()))
        title.setCursorPosition(0)
        if len(nodes) > 1:
            title.setText(f"{title.text()}, {len(nodes)} nodes")
        top.addWidget(title, 1)
        if spec is not None and spec.category != "subgraph":
            star = tool("star", "Favourite", 16, checkable=True)
            star.setChecked(spec.id in self._settings.get("favourites"))
            star.toggled.connect(lambda _on: self._settings.toggle_favourite(spec.id))
            star.setIcon(theme.icon("star", "text.tertiary", "state.warn"))
            top.addWidget(star)
            helper = tool("circle-question-mark", "Help on this node", 16)
            helper.clicked.connect(lambda: self.show_help(spec))
            top.addWidget(helper)
        column.addLayout(top)
        words = spec.summary if spec is not None else f"‘{node.type}’ is not installed. The node, its values and its links are kept."
        if spec is not None and spec.title != (node.title or spec.title):
            words = f"{spec.title}. {words}"
        about = Label(words, "dim", wrap=True)
        about.setContentsMargins(12, 4, 12, 10)
        column.addWidget(about)

    def _build_values(self, column: QVBoxLayout, nodes: Sequence[Node]) -> None:
        spec, document = self._spec, self._document
        if document is None:
            return
        if spec is None:
            self._build_unknown(column, nodes[0])
            return
        controls = [item for item in spec.inputs if not item.is_port]
        name = spec.category.split("/")[0].capitalize() or "Values"
        parts = ((name, [item for item in controls if not item.is_advanced]), ("Advanced", [item for item in controls if item.is_advanced]))
        for title, items in parts:
            if not items:
                continue
            section = self._section(title)
            for item in items:
                link = document.graph.link_at(nodes[0].id, item.name)
                linked = f"from {document.name_of(link.source)}" if link is not None else ""
                row = ValueRow(self, item, nodes, linked)
                self._rows[item.name] = row
                section.rows.addWidget(row)
                if item.is_randomized and not linked:
                    section.rows.addWidget(self._seed_row(item, nodes))
            column.addWidget(section)
        ports = [item for item in spec.inputs if item.is_port]
        if ports or spec.outputs:
            section = self._section("Ports", False)
            for item in ports:
                link = document.graph.link_at(nodes[0].id, item.name)
                words = f"from {document.name_of(link.source)}" if link is not None else "not linked" + ("" if item.optional or not item.is_required else ", needed")
                section.rows.addWidget(PortRow(item.label, item.type, words, item.help))
            for output in spec.outputs:
                section.rows.addWidget(PortRow(output.label, output.type, "gives", output.help))
            column.addWidget(section)

    def _section(self, title: str, open_: bool = True) -> Section:
        if not open_ and f"+{title}" not in self._folded:
            self._folded.add(f"+{title}")
            self._folded.add(title)
        section = Section(title, title not in self._folded)
        section.head.pressed.connect(lambda: self._folded.discard(title) if section.is_open else self._folded.add(title))
        return section

    def _seed_row(self, item: Input, nodes: Sequence[Node]) -> QWidget:
        modes = nodes[0].extra.get("seeds")
        now = modes.get(item.name, "keep") if isinstance(modes, Mapping) else "keep"
        words = dict(SEED_MODES)
        choice = Input("after_run", "str", "What happens to the seed when the graph is run", now, choices=tuple(words.values()))
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(26, 0, 6, 0)
        line.setSpacing(5)
        label = Label("Each run", "dim")
        label.setFixedWidth(80)
        line.addWidget(label)
        editor = make_editor(choice, words.get(str(now), "Keep seed"), row, self.context)
        editor.committed.connect(lambda new: self._set_seed_mode(item.name, next(k for k, v in SEED_MODES if v == new)))
        line.addWidget(editor, 1)
        line.addSpacing(29)
        return row

    def _build_unknown(self, column: QVBoxLayout, node: Node) -> None:
        section = self._section("Values kept")
        for name, value in node.values.items():
            row = QHBoxLayout()
            row.setContentsMargins(26, 0, 12, 0)
            label = Label(name.replace("_", " ").capitalize(), "dim")
            label.setFixedWidth(90)
            row.addWidget(label)
            row.addWidget(ElidedLabel(str(value)[:200], "value"), 1)
            section.rows.addLayout(row)
        column.addWidget(section)

    def _build_run(self, column: QVBoxLayout) -> None:
        section = self._section("This run")
        self._run = RunFacts()
        section.rows.addWidget(self._run)
        column.addWidget(section)
        self._show_run()

    def _states(self, names: set[str]) -> None:
        if self._run is not None and self._nodes and self._nodes[0] in names:
            self._show_run()

    def _show_run(self) -> None:
        if self._run is not None and self._document is not None and self._nodes:
            self._run.show_state(self._document.states.get(self._nodes[0], IDLE))

    # -- editing

    def set_value(self, name: str, value: Any, preview: bool = False) -> None:
        """Set a value on all nodes shown; a scrub or a burst of typing is one step."""
        nodes = self._nodes
        spec = self._spec
        if self._document is None or spec is None:
            return

        def change(graph: Graph) -> Graph:
            for node in nodes:
                graph = graph.with_value(node, name, value)
            return graph

        self._edit(f"Set {spec.by_name[name].label.lower()}", change, merge=f"inspector {name} {' '.join(nodes)}")
        if not preview:
            self._document.seal()

    def reset(self, name: str) -> None:
        nodes = self._nodes

        def change(graph: Graph) -> Graph:
            for node in nodes:
                graph = graph.without_value(node, name)
            return graph

        self._edit(f"Reset {name.replace('_', ' ')}", change)

    def _set_seed_mode(self, name: str, mode: str) -> None:
        nodes = self._nodes

        def change(graph: Graph) -> Graph:
            for node_id in nodes:
                extra = dict(graph.nodes[node_id].extra)
                modes = dict(extra["seeds"]) if isinstance(extra.get("seeds"), Mapping) else {}
                modes[name] = mode
                if mode == "keep":
                    modes.pop(name)
                extra["seeds"] = modes
                if not modes:
                    extra.pop("seeds")
                graph = graph.changed(node_id, extra=extra)
            return graph

        self._edit("Seed of each run", change)

    def _rename(self, text: str) -> None:
        document = self._document
        if document is None or len(self._nodes) != 1 or self._nodes[0] not in document.graph.nodes:
            return
        node = document.graph.nodes[self._nodes[0]]
        usual = self._spec.title if self._spec is not None else node.type
        title = None if not text.strip() or text.strip() == usual else text.strip()
        if node.title != title:
            document.edit_root("Rename", lambda root: inside.retitled(root, inside.open_name(root, document.graph), node.id, title or ""))

    def _edit(self, label: str, change: Any, merge: str | None = None) -> None:
        if self._document is not None:
            try:
                self._document.edit(label, change, merge)
            except GraphError as error:
                self.message.emit(error.message)

    # -- what rows ask for

    def show_source(self, name: str) -> None:
        document = self._document
        if document is not None and self._nodes:
            link = document.graph.link_at(self._nodes[0], name)
            if link is not None:
                self.show_wanted.emit(link.source)

    def copy_value(self, name: str) -> None:
        from PySide6.QtGui import QGuiApplication

        nodes = self._current()
        if nodes and self._spec is not None:
            QGuiApplication.clipboard().setText(str(nodes[0].values.get(name, self._spec.by_name[name].default)))

    def sweep(self, item: Input) -> None:
        if self._nodes:
            self.sweep_wanted.emit(self._nodes[0], item)

    def can_promote(self) -> bool:
        return self._document is not None and bool(self._document.scope) and len(self._nodes) == 1

    def promote(self, name: str) -> None:
        """Make a value an input of the subgraph around it."""
        document = self._document
        around = inside.open_name(document.root, document.graph) if document is not None else None
        if document is not None and around is not None and self.can_promote():
            end: inside.End = ("in", self._nodes[0], name)
            document.edit_root("Show on the subgraph", lambda root: inside.promoted(root, around, end))

    def _paint(self, editor: Any) -> None:
        if self._nodes:
            self.drawing_wanted.emit(self._nodes[0], editor.item.name)

    # -- help

    def show_help(self, spec: NodeSpec) -> None:
        """What a node does and what its knobs change, in place of the values until the selection moves."""
        self._key = ("help", spec.id)
        page = HelpPage(spec, self._settings.get("node_seconds").get(spec.id))
        page.left.connect(self._leave_help)
        old = self._scroll.takeWidget()
        if old is not None:
            old.deleteLater()
        self._rows = {}
        self._run = None
        self._scroll.setWidget(page)

    def _leave_help(self) -> None:
        self._key = None
        self._rebuild()
