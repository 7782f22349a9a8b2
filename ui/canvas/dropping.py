"""Things dropped onto the canvas from outside: nodes from a library, files onto a node's file input; the rest is the shell's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QImage

from nodegraph.folders import IMAGE_SUFFIXES
from nodegraph.spec import Input

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

REACH = 12.0  # px from a link within which a node dropped goes into it
NODE_MIME = "application/x-nodegraph-node"
"""Drag data of a node's type, from a library to the canvas."""


def enter(event: QDragEnterEvent) -> None:
    if event.mimeData().hasUrls() or event.mimeData().hasFormat(NODE_MIME) or event.mimeData().hasImage():
        event.acceptProposedAction()


def drop(view: GraphView, event: QDropEvent) -> None:
    place = view.mapToScene(event.position().toPoint())
    mime = event.mimeData()
    if mime.hasFormat(NODE_MIME):
        type_id = bytes(mime.data(NODE_MIME).data()).decode()
        if type_id in view.graph_scene.specs:
            view.add_node(type_id, place, into=view.graph_scene.links.at(place.x(), place.y(), REACH / view.zoom))
            event.acceptProposedAction()
        return
    paths = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
    if len(paths) == 1 and drop_on_node(view, paths[0], place):
        event.acceptProposedAction()
    elif paths:
        view.files_dropped.emit(paths, place)
        event.acceptProposedAction()
    elif mime.hasImage():  # out of a browser: the picture itself, with an address that nothing is fetched from
        view.image_given.emit(QImage(mime.imageData()), place)
        event.acceptProposedAction()


def drop_on_node(view: GraphView, path: Path, place: QPointF) -> bool:
    """A file dropped on a node goes into its first file input of that kind, unless a link feeds it."""
    item = view.graph_scene.places.node_at(place.x(), place.y())
    if item is None:
        return False
    fed = {link.input for link in view.document.graph.incoming.get(item.node.id, ())}
    port = next((p for p in item.spec.inputs if p.name not in fed and path.suffix.lower() in _suffixes(p)), None)
    if port is None:
        return False
    context = view.editor.context
    name = context.name_of(port.file, path) if context is not None and port.file is not None else path.as_posix()
    return view.edit(f"Change {port.label}", lambda graph: graph.with_value(item.node.id, port.name, name))


def _suffixes(port: Input) -> tuple[str, ...]:
    """What kinds of files an input takes."""
    if port.file is None:
        return ()
    return port.file.suffixes or (IMAGE_SUFFIXES if port.file.folder == "input" else ())
