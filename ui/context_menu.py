"""The menu under the right mouse button: what can be done with what lies there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QMenu

from ui.actions import TABLE
from ui.canvas.group_item import COLORS
from ui.canvas.inside import End
from ui.canvas.model import Target
from ui.canvas.view import GraphView
from ui.document import Document
from ui.sweep import can_sweep

if TYPE_CHECKING:
    from ui.desk import Desk

NODE = (
    "canvas.edit_value", "canvas.rename", "-", "canvas.mute", "canvas.bypass", "canvas.fold", "canvas.pin", "canvas.advanced", "-", "canvas.cut", "canvas.copy",
    "canvas.duplicate", "canvas.delete", "canvas.delete_healing", "-", "canvas.group", "canvas.to_subgraph", "canvas.detach", "canvas.hide_links", "-",
    "canvas.select_upstream", "canvas.select_downstream",
)  # fmt: skip
CANVAS = ("canvas.search", "canvas.add_note", "-", "canvas.paste", "canvas.paste_linked", "-", "canvas.select_all", "canvas.layout", "canvas.frame_all", "-", "canvas.minimap", "canvas.snap")
GROUP = ("canvas.rename", "canvas.fold", "canvas.ungroup", "-", "canvas.mute", "canvas.bypass", "-", "canvas.copy", "canvas.duplicate", "canvas.delete")
NOTE = ("canvas.copy", "canvas.duplicate", "canvas.delete")


def build(desk: Desk, view: GraphView, document: Document, target: Target) -> QMenu:
    """The menu for a target; the window keeps it until it closes."""
    menu = QMenu(desk.window)
    menu.aboutToHide.connect(menu.deleteLater)
    node = document.graph.nodes.get(target.id)
    if target.kind in ("node", "value", "port") and node is not None:
        path = "/".join((*document.scope, node.id))
        _add(menu, "Run this node", lambda: desk.running.run(targets=(path,)), "play")
        state = document.states.get(node.id)
        if state is not None and state.preview is not None:
            _add(menu, "Show its picture", lambda: desk.viewer.look_at(node.id), "eye")
        if node.subgraph is not None:
            _add(menu, "Open the subgraph", lambda: document.enter(node.id), "workflow")
            _add(menu, "Put its nodes in its place", lambda: _scatter(document, node.id), "ungroup")
        _value_part(menu, desk, document, target)
        _outside_part(menu, view, document, target)
        menu.addSeparator()
        _table_part(menu, desk, NODE)
        _color_part(menu, view, document)
        menu.addSeparator()
        spec = document.spec(node)
        if spec is not None:
            _add(menu, "Help on this", lambda: desk.show_help(spec.id), "circle-question-mark")
    elif target.kind == "link" and target.link is not None:
        link = target.link
        _add(menu, "Take the link off", lambda: document.edit("Unlink", lambda graph: graph.without_link(link)), "unlink")  # type: ignore[arg-type]
        if link not in view.selected_links:
            view.select_links([link])  # type: ignore[list-item]
        _table_part(menu, desk, ("canvas.reroute", "canvas.hide_links"))
        _add(menu, "Show its source", lambda: desk.show_node(link.source), "arrow-left")  # type: ignore[attr-defined]
    elif target.kind == "group":
        _table_part(menu, desk, GROUP)
        _color_part(menu, view, document)
    elif target.kind == "note":
        _table_part(menu, desk, NOTE)
        _color_part(menu, view, document)
    else:
        _table_part(menu, desk, CANVAS)
    return menu


def _value_part(menu: QMenu, desk: Desk, document: Document, target: Target) -> None:
    spec = document.spec(target.id)
    item = spec.by_name.get(target.name) if spec is not None and target.name else None
    if item is None or item.is_port:
        return
    menu.addSeparator()
    node = document.graph.nodes[target.id]
    if can_sweep(item) and document.graph.link_at(node.id, item.name) is None:
        _add(menu, f"Sweep {item.label.lower()} …", lambda: desk.sweeping.ask(document, node.id, item), "grid-3x3")
    if item.name in node.values and not item.is_required:
        _add(menu, f"Reset {item.label.lower()}", lambda: document.edit("Reset", lambda graph: graph.without_value(node.id, item.name)), "rotate-ccw")


def _outside_part(menu: QMenu, view: GraphView, document: Document, target: Target) -> None:
    """Inside a subgraph, ports and values can be shown on it."""
    if not document.scope or not target.name:
        return
    side, _, name = target.name.rpartition(":")
    end: End = ("out" if side == "out" else "in", target.id, name)
    words = "Take off the subgraph" if end in view.graph_scene.shown_outside else "Show on the subgraph"
    _add(menu, words, lambda: view.commands.promote(end), "workflow")
    if end in view.graph_scene.shown_outside:
        _add(menu, "Rename on the subgraph", lambda: view.editor.edit_outer_name(end), "pencil")


def _color_part(menu: QMenu, view: GraphView, document: Document) -> None:
    """Colours of the theme, so that they fit light and dark; the first gives things their own back."""
    from ui import theme

    colors = menu.addMenu(theme.icon("palette"), "Colour")
    for name, token in (("Its own", None), *COLORS.items()):
        made = colors.addAction(name)
        if token is not None:
            made.setIcon(theme.swatch(token, theme.current().name))
        made.triggered.connect(lambda _checked=False, token=token: view.commands.color(token))


def _table_part(menu: QMenu, desk: Desk, ids: tuple[str, ...]) -> None:
    for id in ids:
        if id == "-":
            menu.addSeparator()
        elif id in TABLE and id in desk.actions_.actions:
            menu.addAction(desk.actions_.actions[id])


def _add(menu: QMenu, words: str, act: Callable[[], object], icon: str) -> None:
    from ui import theme

    made = menu.addAction(theme.icon(icon), words)
    made.triggered.connect(lambda _checked=False: act())


def _scatter(document: Document, node_id: str) -> None:
    from nodegraph.subgraphs import scattered

    if not document.scope:
        found: list[frozenset[str]] = []

        def change(graph):  # type: ignore[no-untyped-def]
            result, ids = scattered(graph, node_id)
            found.append(ids)
            return result

        document.edit("Put nodes in place of the subgraph", change)
        document.select(found[0])
