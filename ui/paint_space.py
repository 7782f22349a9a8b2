"""The Paint workspace: which node is painted for, on which picture, and the way of the mask into its graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtGui import QImage

from nodegraph.folders import Folders
from ui.document import Document
from ui.mask_editor import MaskEditor, Target
from ui.mask_values import told_layers, with_mask
from ui.threads import background
from ui.thumbnails import read_picture

if TYPE_CHECKING:
    from ui.desk import Desk


class PaintSpace(MaskEditor):
    """The mask editor, opened on nodes of the current document."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self.used.connect(self._keep)
        self.node_wanted.connect(self._add_mask_node)

    def open_something(self, document: Document | None) -> None:
        """On what can be painted; with nothing of the kind, on the picture of the viewer."""
        found = drawings(document) if document is not None else []
        if document is not None and found:
            self.open_on(document, *found[0])
        else:
            self.open(self._desk.viewer.view.image, "", None)

    def open_on(self, document: Document, node: str, input: str) -> None:
        """On an input of a node shown. The picture behind the mask is read in the background."""
        value = document.graph.nodes[node].values.get(input, "")
        target, layers = target_of(document, node, input), told_layers(document.graph, node, input)

        def show(picture: QImage | None) -> None:
            self.open(picture, value if isinstance(value, str) else "", target, layers)

        picture = background_for(document, node, self._desk.window.folders)
        if isinstance(picture, Path):
            background().run(lambda path=picture: read_picture(path), show, lambda _error: show(None))
        else:
            show(picture)

    def _add_mask_node(self) -> None:
        """A node that takes what is painted."""
        registry, view, document = self._desk.studio.registry, self._desk.view, self._desk.document
        spec = next((spec for spec in registry.specs.values() if any(item.is_drawing for item in spec.inputs)), None) if registry is not None else None
        if view is None or document is None or spec is None:
            self.message.emit("Open a graph first, then add a node for the mask.")
            return
        before = set(document.graph.nodes)
        view.add_node(spec.id, view.center(), None)
        for made in set(document.graph.nodes) - before:
            self.aim(target_of(document, made, next(item.name for item in spec.inputs if item.is_drawing)))

    def _keep(self, target: Target, value: str, layers: dict[str, Any] | None) -> None:
        document = target.document
        if document in self._desk.studio.documents:
            document.open(*target.scope)
            if target.node in document.graph.nodes:
                document.edit("Paint mask", lambda graph: with_mask(graph, target.node, target.input, value, layers))
        self.left.emit()


def drawings(document: Document) -> list[tuple[str, str]]:
    """The inputs shown that can be painted, as (node, input): those of chosen nodes first."""
    found = []
    for node in sorted(document.graph.nodes.values(), key=lambda node: node.id not in document.selection):
        spec = document.spec(node)
        for item in spec.inputs if spec is not None else ():
            if item.is_drawing and document.graph.link_at(node.id, item.name) is None:
                found.append((node.id, item.name))
    return found


def target_of(document: Document, node: str, input: str) -> Target:
    """The way back for a mask. What it feeds is found behind nodes that only pass it on."""
    graph, seen, waiting = document.graph, {node}, [node]
    name = feeds = ""
    while waiting and not feeds:
        for link in graph.links:
            if link.source == waiting[0] and link.target not in seen and link.target in graph.nodes:
                seen.add(link.target)
                spec = document.spec(link.target)
                item = spec.by_name.get(link.input) if spec is not None else None
                if item is not None and item.type == "Mask" and not any(out.type == "Mask" for out in spec.outputs):  # type: ignore[union-attr]
                    name, feeds = document.name_of(link.target), f"{document.name_of(link.target)} · {item.label.lower()}"
                    break
                waiting.append(link.target)
        waiting.pop(0)
    return Target(document, document.scope, node, input, name or document.name_of(node), feeds)


def background_for(document: Document, node: str, folders: Folders) -> QImage | Path | None:
    """The picture to paint on: what a node gives that feeds the mask node, or a picture file chosen there or elsewhere, or the last one made."""
    graph = document.graph
    for link in graph.incoming.get(node, ()):
        state = document.states.get(link.source)
        if state is not None and state.preview is not None and not _file_of(document, link.source, folders):
            return state.preview
        if (found := _file_of(document, link.source, folders)) is not None:
            return found
    for name in graph.nodes:
        if (found := _file_of(document, name, folders)) is not None:
            return found
    for state in reversed(list(document.states.values())):
        if state.preview is not None and state.sigma is None:
            return state.preview
    return None


def _file_of(document: Document, name: str, folders: Folders) -> Path | None:
    """The picture file that a node loads, if it is there."""
    node = document.graph.nodes[name]
    spec = document.spec(node)
    for item in spec.inputs if spec is not None else ():
        value = node.values.get(item.name, item.default)
        if item.file is not None and item.file.folder == "input" and isinstance(value, str) and value:
            path = folders.resolve("input", value, document.path.parent if document.path is not None else None)
            if path is not None and path.is_file():
                return path
    return None
