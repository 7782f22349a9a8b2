"""Everything about the chosen node: its values, its title, how its last run went, its help. Several nodes of one type are edited together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QMenu, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from nodegraph.errors import GraphError
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Node
from nodegraph.spec import Input, NodeSpec
from ui import theme, vocabulary
from ui.canvas.model import IDLE, RunState
from ui.canvas.paint import draw_port
from ui.canvas.values import shown_value
from ui.document import Document
from ui.label import ElidedLabel, IconLabel, Label, button, hair, tool
from ui.panels.controls import Editor, EditorContext, make_editor
from ui.panels.palette import PortLine, seconds_words
from ui.settings import Settings

if TYPE_CHECKING:
    from nodegraph.registry import Registry

SEED_MODES = (("keep", "Keep seed"), ("new", "New seed"), ("increment", "Count up"))
STATE_WORDS = {"queued": "Waits", "running": "Runs", "cached": "Kept from before", "done": "Done", "failed": "Failed", "missing": "Not installed"}


class PortMark(QWidget):
    """The port of a row: filled when a link gives the value. A press shows where the link comes from."""

    pressed = Signal()

    def __init__(self, type_name: str, linked: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._type, self.linked = type_name, linked
        self.setFixedSize(14, 24)
        if linked:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setToolTip("A link gives this value. Show where it comes from.")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        now = theme.current()
        draw_port(painter, now, now.port_kind(self._type), 7, 12, 9, self.linked, False, 1.0 if self.linked else 0.55)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.linked:
            self.pressed.emit()


class Section(QWidget):
    """A heading with an arrow and what folds under it."""

    def __init__(self, title: str, open_: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title, self._open = title, open_
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 4)
        column.setSpacing(0)
        self._head = _SectionHead(title, open_)
        self._head.pressed.connect(lambda: self.set_open(not self._open))
        column.addWidget(self._head)
        self.body = QWidget()
        self.rows = QVBoxLayout(self.body)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(4)
        column.addWidget(self.body)
        self.body.setVisible(open_)

    def set_open(self, open_: bool) -> None:
        self._open = open_
        self._head.set_open(open_)
        self.body.setVisible(open_)

    @property
    def is_open(self) -> bool:
        return self._open


class _SectionHead(QWidget):
    pressed = Signal()

    def __init__(self, title: str, open_: bool) -> None:
        super().__init__()
        self._title, self._open = title, open_
        self.setFixedHeight(30)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.set_open(open_)

    def set_open(self, open_: bool) -> None:
        self._open = open_
        self.setAccessibleName(f"{self._title}, {'open' if open_ else 'folded'}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(0, 0, self.width(), 1, now.color("line.soft"))
        theme.draw_icon(painter, "chevron-down" if self._open else "chevron-right", QRectF(8, 10, 12, 12), now.color("line.focus" if self.hasFocus() else "text.tertiary"), 2.2)
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(26, 16 + theme.metrics("body", 600).capHeight() / 2), self._title)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.pressed.emit()

    def keyPressEvent(self, event: Any) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit()
        else:
            super().keyPressEvent(event)


class ValueRow(QWidget):
    """One value: port, label, editor, and what can be done with it."""

    def __init__(self, owner: Inspector, item: Input, nodes: Sequence[Node], linked: str) -> None:
        super().__init__()
        self.item = item
        self._owner = owner
        value, self.mixed = common_value(nodes, item)
        is_text = item.type == "str" and item.text is not None and item.text.lines > 1 and not linked
        self.mark = PortMark(item.type, bool(linked))
        self.mark.pressed.connect(lambda: owner.show_source(item.name))
        self.label = ElidedLabel(item.label, "dim")
        self.label.setToolTip(item.help)
        self.more = tool("ellipsis-vertical", f"What can be done with {item.label}", 14)
        self.more.clicked.connect(self._menu)
        self.editor: Editor | None = None
        self._linked = Label(linked, "value") if linked else None
        if self._linked is None:
            self.editor = make_editor(item, value, self, owner.context)
            if self.mixed and hasattr(self.editor, "shown"):
                self.editor.shown = "mixed"
            self.editor.committed.connect(lambda new: owner.set_value(item.name, new))
            self.editor.preview.connect(lambda new: owner.set_value(item.name, new, preview=True))
            self.label.setBuddy(self.editor)
        shown: QWidget = self.editor if self.editor is not None else self._linked  # type: ignore[assignment]
        if is_text:
            column = QVBoxLayout(self)
            column.setContentsMargins(7, 0, 6, 4)
            column.setSpacing(0)
            head = QHBoxLayout()
            head.setSpacing(5)
            head.addWidget(self.mark)
            head.addWidget(self.label, 1)
            head.addWidget(self.more)
            column.addLayout(head)
            inner = QHBoxLayout()
            inner.setContentsMargins(5, 0, 6, 0)
            inner.addWidget(shown)
            column.addLayout(inner)
        else:
            row = QHBoxLayout(self)
            row.setContentsMargins(7, 0, 6, 0)
            row.setSpacing(5)
            row.addWidget(self.mark)
            self.label.setFixedWidth(80)
            row.addWidget(self.label)
            row.addWidget(shown, 1)
            row.addWidget(self.more)
            shown.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._show_changed(nodes)

    def refresh(self, nodes: Sequence[Node]) -> None:
        """Show values that changed elsewhere."""
        value, self.mixed = common_value(nodes, self.item)
        if self.editor is not None and self.editor.value != value:
            self.editor.set_value(value)
        if self.editor is not None and hasattr(self.editor, "shown"):
            self.editor.shown = "mixed" if self.mixed else None
            self.editor.update()
        self._show_changed(nodes)

    def _show_changed(self, nodes: Sequence[Node]) -> None:
        changed = any(self.item.name in node.values and node.values[self.item.name] != self.item.default for node in nodes) and not self.item.is_required
        self._is_changed = changed
        self.more.setIcon(theme.icon("rotate-ccw" if changed else "ellipsis-vertical", "text.secondary" if changed else "text.tertiary"))
        self.more.setToolTip(f"Back to {shown_value(self.item, self.item.default)}" if changed else "More")

    def _menu(self) -> None:
        if self._is_changed:
            self._owner.reset(self.item.name)
            return
        menu = QMenu(self)
        copy = menu.addAction("Copy value")
        copy.triggered.connect(lambda: self._owner.copy_value(self.item.name))
        promote = menu.addAction("Show on the subgraph")
        promote.setEnabled(self._owner.can_promote())
        promote.triggered.connect(lambda: self._owner.promote(self.item.name))
        if self.item.help:
            menu.addSeparator()
            about = menu.addAction(self.item.help if len(self.item.help) < 70 else self.item.help[:67] + "…")
            about.setEnabled(False)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))


def common_value(nodes: Sequence[Node], item: Input) -> tuple[Any, bool]:
    """The value that nodes share, and whether they differ (then it is the first's)."""
    default = None if item.is_required else item.default
    values = [node.values.get(item.name, default) for node in nodes]
    return values[0], any(value != values[0] or type(value) is not type(values[0]) for value in values[1:])


class Inspector(QWidget):
    """Follows the selection unless it is locked."""

    message = Signal(str)
    help_wanted = Signal(str)
    show_wanted = Signal(str)
    drawing_wanted = Signal(str, str)

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
        self._run: _RunFacts | None = None
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
        column.addWidget(Label(document.title, "heading", wrap=True))
        count = len(document.graph.nodes)
        column.addWidget(Label(f"{count} {'node' if count == 1 else 'nodes'}, {len(document.graph.links)} links", "dim"))
        about = document.root.meta.get("description")
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
                section.rows.addWidget(_PortRow(item.label, item.type, words, item.help))
            for output in spec.outputs:
                section.rows.addWidget(_PortRow(output.label, output.type, "gives", output.help))
            column.addWidget(section)

    def _section(self, title: str, open_: bool = True) -> Section:
        if not open_ and f"+{title}" not in self._folded:
            self._folded.add(f"+{title}")
            self._folded.add(title)
        section = Section(title, title not in self._folded)
        head = section._head
        head.pressed.connect(lambda: self._folded.discard(title) if section.is_open else self._folded.add(title))
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
        line.addSpacing(24)
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
        self._run = _RunFacts(self)
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
            self._edit("Rename", lambda graph: graph.changed(node.id, title=title))

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

    def can_promote(self) -> bool:
        return self._document is not None and bool(self._document.scope) and len(self._nodes) == 1

    def promote(self, name: str) -> None:
        """Make a value an input of the subgraph around it."""
        from dataclasses import replace

        from nodegraph.graph import SubgraphInput

        document = self._document
        if document is None or not self.can_promote():
            return
        definition_name = next(iter([document.root.nodes[document.scope[0]].subgraph])) if len(document.scope) == 1 else None
        if definition_name is None:
            self.message.emit("Open the subgraph from the top to show a value on it.")
            return
        node = self._nodes[0]

        def change(graph: Graph) -> Graph:
            definition = graph.subgraphs[definition_name]
            taken = {item.name for item in definition.inputs}
            wish, count = name, 1
            while wish in taken:
                count += 1
                wish = f"{name}_{count}"
            return graph.with_subgraph(definition_name, replace(definition, inputs=(*definition.inputs, SubgraphInput(wish, ((node, name),)))))

        document.edit_root("Show on the subgraph", change)

    def _paint(self, editor: Any) -> None:
        if self._nodes:
            self.drawing_wanted.emit(self._nodes[0], editor.item.name)

    # -- help

    def show_help(self, spec: NodeSpec) -> None:
        """What a node does and what its knobs change, in place of the values until the selection moves."""
        self._key = ("help", spec.id)
        page = QWidget()
        page.setProperty("kind", "page")
        column = QVBoxLayout(page)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        back = button("Back to the values", "link", "arrow-left")
        back.clicked.connect(self._leave_help)
        row = QHBoxLayout()
        row.addWidget(back)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(Label(spec.title, "heading", wrap=True))
        for words in (spec.summary, spec.help):
            if words:
                column.addWidget(Label(words, "dim", wrap=True))
        column.addWidget(hair(color="line.soft"))
        for item in spec.inputs:
            column.addWidget(PortLine(item.type) if item.is_port else _strong(item.label))
            column.addWidget(Label((f"{item.label}. " if item.is_port else "") + (item.help or "No words about this one."), "dim", wrap=True))
        for output in spec.outputs:
            column.addWidget(PortLine(output.type))
            column.addWidget(Label(f"{output.label}: what the node gives. {output.help}".strip(), "dim", wrap=True))
        seconds = self._settings.get("node_seconds").get(spec.id)
        if isinstance(seconds, (int, float)):
            column.addWidget(Label(f"Takes {seconds_words(float(seconds))} on this computer.", "faint"))
        column.addStretch(1)
        old = self._scroll.takeWidget()
        if old is not None:
            old.deleteLater()
        self._rows = {}
        self._run = None
        self._scroll.setWidget(page)

    def _leave_help(self) -> None:
        self._key = None
        self._rebuild()


def _strong(words: str) -> Label:
    return Label(words, "strong")


class _PortRow(QWidget):
    def __init__(self, label: str, type_name: str, words: str, help: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(7, 0, 12, 0)
        row.setSpacing(5)
        row.addWidget(PortMark(type_name, False))
        name = ElidedLabel(label, "dim")
        name.setFixedWidth(96)
        row.addWidget(name)
        row.addWidget(ElidedLabel(words, "faint"), 1)
        if help:
            self.setToolTip(help)
        self.setFixedHeight(22)


class _RunFacts(QWidget):
    """How the last run of a node went, and a word on what a change would cost."""

    def __init__(self, owner: Inspector) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(26, 0, 14, 4)
        self._column.setSpacing(2)
        self._lines: list[tuple[Label, Label]] = []
        self._message = Label("", "bad", wrap=True)
        self._column.addWidget(self._message)

    def show_state(self, state: RunState) -> None:
        facts = run_facts(state)
        while len(self._lines) < len(facts):
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            name, value = Label("", "dim"), Label("", "value")
            name.setFixedHeight(20)
            row.addWidget(name)
            row.addStretch(1)
            row.addWidget(value)
            self._column.insertWidget(self._column.count() - 1, holder)
            self._lines.append((name, value))
        for number, (name, value) in enumerate(self._lines):
            shown = number < len(facts)
            name.parentWidget().setVisible(shown)
            if shown:
                name.setText(facts[number][0])
                value.setText(facts[number][1])
        self._message.setText(state.message)
        self._message.setVisible(bool(state.message))


def run_facts(state: RunState) -> list[tuple[str, str]]:
    """What the inspector says about a run, as (name, value)."""
    facts = [("State", STATE_WORDS.get(state.state, "Not run yet"))]
    if state.total > 1:
        facts.append(("Steps", f"{state.done} of {state.total}"))
    if state.state == "running" and state.eta is not None:
        facts.append(("Left", seconds_words(state.eta)))
    if state.note:
        facts.append(("Resumed", state.note))
    if state.sigma is not None:
        facts.append(("Noise σ", f"{state.sigma:.2f}"))
    if state.seconds is not None and state.state in ("done", "cached"):
        facts.append(("Time", seconds_words(state.seconds)))
    if state.seconds and state.total > 1 and state.state == "done":
        facts.append(("Per step", f"{state.seconds / state.total:.2f} s"))
    if state.seed is not None:
        facts.append(("Seed used", f"{state.seed:,}".replace(",", " ")))
    if state.preview is not None:
        facts.append(("Picture", f"{state.preview.width()} × {state.preview.height()}"))
    return facts
