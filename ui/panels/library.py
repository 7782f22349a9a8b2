"""The library: nodes by category with favourites on top, and the files in the model folders; both are dragged onto the canvas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QMimeData, QPoint, QSize, Qt, Signal
from PySide6.QtGui import QDrag, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from nodegraph.folders import Folders
from nodegraph.node import File
from nodegraph.spec import NodeSpec
from ui import theme
from ui.canvas.dropping import NODE_MIME
from ui.search import Habits, find_nodes
from ui.settings import Settings
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.registry import Registry

ROLE = int(Qt.ItemDataRole.UserRole)
KINDS = (("checkpoints", "Checkpoints"), ("diffusion_models", "Diffusion models"), ("loras", "LoRAs"), ("controlnet", "ControlNets"), ("vae", "VAEs"), ("text_encoders", "Text encoders"), ("upscale_models", "Upscalers"), ("embeddings", "Embeddings"))
SUFFIXES = (".safetensors", ".sft", ".gguf")


class LibraryPanel(QWidget):
    """Enter or a double click adds to the middle of the canvas."""

    node_wanted = Signal(str, dict)  # type id, values

    def __init__(self, settings: Settings, folders: Folders, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._settings, self._folders = settings, folders
        self._specs: Mapping[str, NodeSpec] = {}
        self._files: dict[str, list[str]] = {}
        self._shown = "nodes"
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 8, 0, 0)
        column.setSpacing(6)
        top = QHBoxLayout()
        top.setContentsMargins(8, 0, 8, 0)
        top.setSpacing(2)
        self._kinds: dict[str, QToolButton] = {}
        for name, words in (("nodes", "Nodes"), ("models", "Models")):
            made = QToolButton()
            made.setProperty("kind", "segment")
            made.setText(words)
            made.setCheckable(True)
            made.setChecked(name == "nodes")
            made.setFixedHeight(22)
            made.clicked.connect(lambda _checked=False, name=name: self._turn(name))
            self._kinds[name] = made
            top.addWidget(made)
        top.addStretch(1)
        column.addLayout(top)
        self.filter = QLineEdit()
        self.filter.setPlaceholderText("Find a node or a model")
        self.filter.setAccessibleName("Find a node or a model")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(lambda _text: self.rebuild())
        holder = QHBoxLayout()
        holder.setContentsMargins(8, 0, 8, 0)
        holder.addWidget(self.filter)
        column.addLayout(holder)
        self.tree = _Tree()
        self.tree.setAccessibleName("Library")
        self.tree.itemActivated.connect(lambda item, _column: self._take(item))
        self.tree.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.tree.customContextMenuRequested.connect(self._menu)
        column.addWidget(self.tree, 1)
        settings.changed.connect(lambda name: name == "favourites" and self.rebuild())

    def set_registry(self, registry: Registry) -> None:
        self._specs = registry.specs
        self.rebuild()
        self._read_files()

    def _turn(self, name: str) -> None:
        self._shown = name
        for key, made in self._kinds.items():
            made.setChecked(key == name)
        if name == "models":
            self._read_files()
        self.rebuild()

    def _read_files(self) -> None:
        folders = self._folders

        def done(found: dict[str, list[str]]) -> None:
            self._files = found
            if self._shown == "models":
                self.rebuild()

        background().run(lambda: {kind: folders.names(File(kind, SUFFIXES, kind == "checkpoints")) for kind, _ in KINDS}, done, owner=self)

    def rebuild(self) -> None:
        self.tree.clear()
        if self._shown == "nodes":
            self._show_nodes(self.filter.text())
        else:
            self._show_models(self.filter.text().lower())

    def _show_nodes(self, query: str) -> None:
        habits = Habits(tuple(self._settings.get("favourites")), tuple(self._settings.get("recent_nodes")))
        hits = find_nodes(query, self._specs, habits, limit=400)
        if query.strip():
            for hit in hits[:60]:
                self._node_item(self.tree.invisibleRootItem(), hit.spec)
            return
        favourites = [hit.spec for hit in hits if hit.spec.id in habits.favourites]
        if favourites:
            head = self._head("Favourites", "star", "state.warn", True)
            for spec in favourites:
                self._node_item(head, spec)
        heads: dict[str, QTreeWidgetItem] = {}
        for spec in sorted((hit.spec for hit in hits), key=lambda spec: (spec.category, spec.title)):
            name = spec.category.split("/")[0]
            if not name:
                continue
            if name not in heads:
                heads[name] = self._head(name.capitalize(), theme.category_icon(name), theme.current().category_token(name), False)
            self._node_item(heads[name], spec)

    def _show_models(self, query: str) -> None:
        for kind, words in KINDS:
            files = [name for name in self._files.get(kind, ()) if query in name.lower()]
            if not files and query:
                continue
            head = self._head(f"{words}  {len(files)}", "folder", "text.tertiary", bool(files))
            head.setToolTip(0, str(self._folders.models / kind))
            for name in files:
                item = QTreeWidgetItem(head, [name.rpartition("/")[2]])
                item.setData(0, ROLE, ("model", kind, name))
                item.setIcon(0, theme.icon("box", "text.secondary"))
                item.setToolTip(0, name)
            if not files:
                item = QTreeWidgetItem(head, ["Put files into this folder; its path is in the tip"])
                item.setForeground(0, theme.current().color("text.tertiary"))
                item.setToolTip(0, str(self._folders.models / kind))

    def _head(self, words: str, icon: str, tone: str, open_: bool) -> QTreeWidgetItem:
        item = QTreeWidgetItem(self.tree.invisibleRootItem(), [words])
        item.setIcon(0, theme.icon(icon, tone))
        item.setFont(0, theme.font("body", 600))
        item.setFlags(Qt.ItemFlag.ItemIsEnabled)
        item.setSizeHint(0, QSize(0, 24))
        item.setExpanded(open_)
        return item

    def _node_item(self, parent: QTreeWidgetItem, spec: NodeSpec) -> None:
        item = QTreeWidgetItem(parent, [spec.title])
        item.setData(0, ROLE, ("node", spec.id, ""))
        item.setIcon(0, theme.icon(theme.category_icon(spec.category), theme.current().category_token(spec.category)))
        item.setToolTip(0, spec.summary)
        item.setData(0, int(Qt.ItemDataRole.AccessibleDescriptionRole), spec.summary)

    def _take(self, item: QTreeWidgetItem) -> None:
        payload = item.data(0, ROLE)
        if not payload:
            item.setExpanded(not item.isExpanded())
            return
        kind, name, value = payload
        if kind == "node":
            self._settings.note_node(name)
            self.node_wanted.emit(name, {})
        else:
            found = self._loader(name)
            if found is not None:
                self.node_wanted.emit(found[0], {found[1]: value})

    def _loader(self, folder: str) -> tuple[str, str] | None:
        for spec in sorted(self._specs.values(), key=lambda spec: (len(spec.inputs), spec.id)):
            for item in spec.inputs:
                if item.file is not None and item.file.folder == folder:
                    return spec.id, item.name
        return None

    def _menu(self, at: QPoint) -> None:
        item = self.tree.itemAt(at)
        payload: Any = item.data(0, ROLE) if item is not None else None
        if not payload:
            return
        menu = QMenu(self)
        menu.addAction("Add to the graph").triggered.connect(lambda: self._take(item))
        if payload[0] == "node":
            on = payload[1] in self._settings.get("favourites")
            menu.addAction("No favourite any more" if on else "Make it a favourite").triggered.connect(lambda: self._settings.toggle_favourite(payload[1]))
        menu.popup(self.tree.viewport().mapToGlobal(at))


class _Tree(QTreeWidget):
    def __init__(self) -> None:
        super().__init__()
        self.setHeaderHidden(True)
        self.setIndentation(14)
        self.setIconSize(QSize(14, 14))
        self.setUniformRowHeights(True)
        self.setDragEnabled(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)

    def startDrag(self, actions: Qt.DropAction) -> None:
        item = self.currentItem()
        payload = item.data(0, ROLE) if item is not None else None
        if payload and payload[0] == "node":
            drag = QDrag(self)
            mime = QMimeData()
            mime.setData(NODE_MIME, payload[1].encode())
            drag.setMimeData(mime)
            drag.exec(Qt.DropAction.CopyAction)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentItem() is not None:
            self.itemActivated.emit(self.currentItem(), 0)
        else:
            super().keyPressEvent(event)
