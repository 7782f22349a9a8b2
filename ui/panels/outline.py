"""The graph as a tree: nodes in the order in which they run, with what feeds each input. The screen reader's face of the canvas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from PySide6.QtCore import QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QIcon, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QLineEdit, QTreeWidget, QTreeWidgetItem, QVBoxLayout, QWidget

from nodegraph.graph import Graph, Group
from nodegraph.spec import NodeSpec
from ui import theme
from ui.canvas import inside
from ui.canvas.model import IDLE
from ui.document import Document
from ui.forecast import order_of
from ui.threads import background

STATE_WORDS = {"queued": "waits", "running": "runs", "cached": "kept", "done": "done", "failed": "failed", "missing": "not installed"}
Shown = tuple[Document, Graph, Mapping[str, NodeSpec]]
AT_ONCE = 200
ROLE = int(Qt.ItemDataRole.UserRole)


class Outline(QWidget):
    """Selecting here selects on the canvas and the other way round. Enter shows the node, Ctrl+Down opens a subgraph, F2 renames it."""

    show_wanted = Signal(str)
    open_wanted = Signal(str)
    menu_wanted = Signal(QPoint, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._items: dict[str, QTreeWidgetItem] = {}
        self._quiet = False
        self._built: Shown | None = None  # what the tree shows, or will in a few turns
        self._missed: set[str] = set()  # nodes of which a run told something while nobody looked
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Find in this graph")
        self.filter.setAccessibleName("Find in this graph")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._sift)
        holder = QVBoxLayout()
        holder.setContentsMargins(8, 0, 8, 0)
        holder.addWidget(self.filter)
        column.addLayout(holder)
        self.tree = _Tree()
        self.tree.setHeaderHidden(True)
        self.tree.setIndentation(14)
        self.tree.setIconSize(QSize(14, 14))
        self.tree.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.tree.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        self.tree.setUniformRowHeights(True)
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.setAccessibleName("Outline of the graph")
        self.tree.itemSelectionChanged.connect(self._chosen)
        self.tree.itemActivated.connect(lambda item, _column: self.show_wanted.emit(item.data(0, ROLE)))
        self.tree.itemChanged.connect(self._renamed)
        self.tree.customContextMenuRequested.connect(self._menu)
        self.tree.key.connect(self._key)
        column.addWidget(self.tree, 1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(120)
        self._timer.timeout.connect(self.rebuild)
        theme.watch().changed.connect(self._dressed)

    def set_document(self, document: Document | None) -> None:
        old = self._document
        if old is not None:
            old.changed.disconnect(self._later)
            old.scope_changed.disconnect(self._later)
            old.selection_changed.disconnect(self._follow)
            old.states_changed.disconnect(self._states)
        self._document = document
        if document is not None:
            document.changed.connect(self._later)
            document.scope_changed.connect(self._later)
            document.selection_changed.connect(self._follow)
            document.states_changed.connect(self._states)
        self.rebuild()

    def _later(self, *_change: object) -> None:
        self._timer.start()

    def showEvent(self, event: object) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        """Only while it is seen, and only when it shows something else: a graph of thousands of nodes costs something here."""
        document = self._document
        wanted: Shown | None = (document, document.graph, document.specs) if document is not None else None
        if self._built is not None and (wanted is None or wanted[0] is not self._built[0] or wanted[1] is not self._built[1] or wanted[2] != self._built[2]):
            self._clear()
        if document is None or wanted is None or not self.isVisible():
            return
        if self._built is not None:
            self._states(self._missed)
            self._follow()
            return
        self._icons: dict[tuple[str, str], QIcon] = {}
        graph = document.graph
        order = [name for name in order_of(graph, tuple(graph.nodes), document.specs) if name in graph.nodes]
        ordered = set(order)
        rest = [name for name in graph.nodes if name not in ordered]
        self._built, self._missed = wanted, set()
        self._fill(wanted, iter((*order, *rest)), {member: group for group in graph.groups.values() for member in group.members}, {})

    def _fill(self, wanted: Shown, left: Iterator[str], groups: Mapping[str, Group], frames: dict[str, QTreeWidgetItem]) -> None:
        """Some nodes now and the next in a later turn: thousands at once would hold the window up."""
        if self._built is not wanted:
            return
        names = list(islice(left, AT_ONCE))
        top: list[QTreeWidgetItem] = []  # given to the tree when they are done: it would measure each anew at every word
        self._quiet = True
        for name in names:
            group = groups.get(name)
            if group is not None:
                if group.id not in frames:
                    frames[group.id] = self._item(group.id, group.title, "group", "text.tertiary", f"Group {group.title}")
                    top.append(frames[group.id])
                frames[group.id].addChild(self._node(name))
            else:
                top.append(self._node(name))
        is_last = len(names) < AT_ONCE
        for note in wanted[1].notes.values() if is_last else ():
            line = note.text.strip().split("\n")[0][:60] or "Note"
            top.append(self._item(note.id, line, "sticky-note", "state.warn", f"Note: {line}"))
        self.tree.addTopLevelItems(top)
        self._quiet = False
        if not is_last:
            background().soon(lambda: self._fill(wanted, left, groups, frames), owner=self)
            return
        for frame in frames.values():
            frame.setExpanded(True)
        self._follow()
        self._sift(self.filter.text())

    def _clear(self) -> None:
        self._built, self._items = None, {}
        self._quiet = True
        self.tree.clear()
        self._quiet = False

    def _dressed(self, _theme: theme.Theme) -> None:
        self._clear()
        self.rebuild()

    def _item(self, name: str, words: str, icon: str, tone: str, spoken: str) -> QTreeWidgetItem:
        item = QTreeWidgetItem([words])
        item.setData(0, ROLE, name)
        key = (icon, tone)
        if key not in self._icons:
            self._icons[key] = theme.icon(icon, tone)
        item.setIcon(0, self._icons[key])
        item.setData(0, int(Qt.ItemDataRole.AccessibleTextRole), spoken)
        self._items[name] = item
        return item

    def _node(self, name: str) -> QTreeWidgetItem:
        document = self._document
        assert document is not None
        node = document.graph.nodes[name]
        spec = document.spec(node)
        category = spec.category if spec is not None else ""
        title = document.name_of(name)
        item = self._item(name, title, theme.category_icon(category) if spec else "circle-question-mark", theme.current().category_token(category), "")
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
        for link in document.graph.incoming.get(name, ()):
            words = f"{link.input.replace('_', ' ')}: from {document.name_of(link.source)}"
            child = QTreeWidgetItem(item, [words])
            child.setData(0, ROLE, link.source)
            child.setForeground(0, theme.current().color("text.tertiary"))
        self._describe(name)
        return item

    def _describe(self, name: str) -> None:
        document, item = self._document, self._items.get(name)
        if document is None or item is None or name not in document.graph.nodes:
            return
        node, state = document.graph.nodes[name], document.states.get(name, IDLE)
        spec = document.spec(node)
        words = [document.name_of(name)]
        if spec is not None and node.title:
            words.append(spec.title)
        if spec is None:
            words.append("not installed")
        if node.mode != "on":
            words.append(node.mode)
        if state.state != "idle":
            words.append(STATE_WORDS[state.state] + (f" {state.done} of {state.total}" if state.state == "running" and state.total else ""))
        if state.message:
            words.append(state.message)
        values = [f"{key.replace('_', ' ')} {value}" for key, value in list(node.values.items())[:6] if isinstance(value, (int, float, bool)) or (isinstance(value, str) and len(value) < 60)]
        item.setData(0, int(Qt.ItemDataRole.AccessibleTextRole), ", ".join(words + values))
        tone = {"failed": "state.bad", "running": "state.live_text"}.get(state.state, "text.disabled" if node.mode != "on" else "text.primary")
        quiet, self._quiet = self._quiet, True
        item.setForeground(0, theme.current().color(tone))
        self._quiet = quiet

    def _states(self, names: set[str]) -> None:
        if self.isVisible():
            for name in names:
                self._describe(name)
            self._missed = set()
        else:
            self._missed |= names

    # -- selection both ways

    def _chosen(self) -> None:
        if not self._quiet and self._document is not None:
            self._quiet = True
            self._document.select({item.data(0, ROLE) for item in self.tree.selectedItems()})
            self._quiet = False

    def _follow(self) -> None:
        if self._quiet or self._document is None or not self.isVisible():
            return
        self._quiet = True
        self.tree.clearSelection()
        last = None
        for name in self._document.selection:
            item = self._items.get(name)
            if item is not None:
                item.setSelected(True)
                last = item
        if last is not None:
            self.tree.scrollToItem(last)
        self._quiet = False

    def _renamed(self, item: QTreeWidgetItem, _column: int) -> None:
        document, name = self._document, item.data(0, ROLE)
        if self._quiet or document is None or name not in document.graph.nodes:
            return
        title = item.text(0).strip()
        spec = document.spec(name)
        wanted = None if not title or (spec is not None and title == spec.title) else title
        if document.graph.nodes[name].title != wanted:
            document.edit_root("Rename", lambda root: inside.retitled(root, inside.open_name(root, document.graph), name, wanted or ""))

    def _sift(self, text: str) -> None:
        wanted = text.strip().lower()
        for item in self._items.values():
            fits = not wanted or wanted in item.text(0).lower() or wanted in str(item.data(0, int(Qt.ItemDataRole.AccessibleTextRole))).lower()
            item.setHidden(not fits)
            parent = item.parent()
            if fits and parent is not None:
                parent.setHidden(False)

    def _key(self, event: QKeyEvent) -> None:
        item = self.tree.currentItem()
        name = item.data(0, ROLE) if item is not None else ""
        if self._document is None or not name:
            return
        if event.key() == Qt.Key.Key_Delete:
            chosen = set(self._document.selection)
            self._document.edit("Delete", lambda graph: graph.without(*chosen))
        elif event.key() == Qt.Key.Key_Down and event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self.open_wanted.emit(name)

    def _menu(self, at: QPoint) -> None:
        item = self.tree.itemAt(at)
        if item is not None:
            self.menu_wanted.emit(self.tree.viewport().mapToGlobal(at), item.data(0, ROLE))


class _Tree(QTreeWidget):
    key = Signal(object)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Delete or (event.key() == Qt.Key.Key_Down and event.modifiers() & Qt.KeyboardModifier.ControlModifier):
            self.key.emit(event)
        else:
            super().keyPressEvent(event)

