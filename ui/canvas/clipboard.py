"""Copy and paste as text: what is copied pastes into another window, a chat or a file, and comes back from there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtCore import QMimeData, QRectF
from PySide6.QtGui import QGuiApplication

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Link
from ui.canvas import edits, inside
from ui.canvas.anatomy import measure
from ui.canvas.ports import Ports

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

CLIP_MIME = "application/x-nodegraph"
CLIP_META = "clipboard_incoming"  # links from nodes outside the copied ones, in the text's meta


def copy(view: GraphView, ids: Iterable[str]) -> bool:
    """Nodes, groups and notes with the links among them, as the text of a `.graph` file."""
    graph, wanted = view.document.graph, set(ids)
    if not wanted:
        return False
    fragment = (graph if graph.subgraphs else replace(graph, subgraphs=view.document.root.subgraphs)).fragment(wanted)
    incoming = [list(link) for name in fragment.nodes for link in graph.incoming.get(name, ()) if link.source not in fragment.nodes]
    if incoming:
        fragment = fragment.with_meta(**{CLIP_META: incoming})
    text = graphfile.dumps(fragment)
    data = QMimeData()
    data.setText(text)
    data.setData(CLIP_MIME, text.encode())
    QGuiApplication.clipboard().setMimeData(data)
    return True


def graph_in(text: str) -> str:
    """The part of a text that is a graph: a chat may have put words and a code fence around it."""
    whole = text.strip()
    if whole.startswith("{") and whole.endswith("}"):
        return whole
    begin, end = text.rfind("{", 0, max(0, text.find('"format"'))), text.rfind("}")
    return text[begin : end + 1] if 0 <= begin < end else ""


def paste(view: GraphView, linked: bool = False) -> bool:
    """What the clipboard holds, at the pointer or in the middle of the view; `linked` with the links that came in from outside where they were copied."""
    data = QGuiApplication.clipboard().mimeData()
    if data is None or not (data.hasFormat(CLIP_MIME) or data.hasText() or data.hasImage()):
        return False
    if data.hasImage() and not data.hasFormat(CLIP_MIME) and not graph_in(data.text()):
        view.image_given.emit(QGuiApplication.clipboard().image(), view.cursor_place())
        return True
    text = bytes(data.data(CLIP_MIME).data()).decode() if data.hasFormat(CLIP_MIME) else graph_in(data.text())
    if not text:
        view.message.emit("The clipboard holds no nodes.")
        return False
    try:
        fragment = graphfile.parse(text.encode(), "The clipboard")
    except GraphError as error:
        view.message.emit(error.message)
        return False
    return paste_fragment(view, fragment, linked)


def paste_fragment(view: GraphView, fragment: Graph, linked: bool = False) -> bool:
    """Add a graph to the one shown and select it: in the middle of the view or at the pointer, beside what lies there. One step of undo, definitions included."""
    document = view.document
    kept = fragment.meta.get(CLIP_META, ()) if linked else ()
    if edits.loops_into(document.root, document.graph, (node.type for node in fragment.nodes.values())) is not None:
        view.message.emit("A subgraph cannot hold itself.")
        return False
    incoming = [Link(*map(str, item)) for item in kept if isinstance(item, list | tuple) and len(item) == 4]
    ports, made = view.graph_scene.ports, dict[str, str]()
    wanted = _extent(view, fragment)
    wanted.moveCenter(view.cursor_place())
    place = view.graph_scene.places.free_beside(wanted)
    corner = (edits.snapped(place.x(), 8), edits.snapped(place.y(), 8))
    name = inside.open_name(document.root, document.graph)

    def change(root: Graph) -> Graph:
        around = root if name is None else replace(root.subgraphs[name].graph, subgraphs=root.subgraphs)
        result, names = edits.pasted(around, ports, fragment, corner, incoming)
        made.update(names)
        if name is None:
            return result
        inner = replace(result, subgraphs=root.subgraphs[name].graph.subgraphs)
        return inside.with_inner(replace(root, subgraphs=result.subgraphs), name, inner)

    if not view.edit_root("Paste", change):
        return False
    document.select(made.values())
    if place != wanted:
        view.bring_into_sight(place)
    return bool(made)


def _extent(view: GraphView, fragment: Graph) -> QRectF:
    """What the nodes, groups and notes of a graph cover together, where it comes from."""
    ports, found = Ports(fragment, fragment, view.graph_scene.specs), QRectF()
    for node in fragment.nodes.values():
        linked_in = frozenset(link.input for link in fragment.incoming.get(node.id, ()))
        size = measure(node, ports.spec(node), linked_in, frozenset(), {})
        found = found.united(QRectF(*node.position, size.width, size.height))
    for rect in (*(group.rect for group in fragment.groups.values()), *(note.rect for note in fragment.notes.values())):
        found = found.united(QRectF(*rect))
    return found
