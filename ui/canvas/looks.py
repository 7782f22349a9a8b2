"""What the paint of a node depends on, gathered from its spec, its links and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.graph import REROUTE, Node
from nodegraph.spec import ANY, NodeSpec
from ui.canvas.anatomy import Row, measure, title_of
from ui.canvas.model import IDLE
from ui.canvas.node_paint import Look
from ui.canvas.values import seed_text, shown_value

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene


def look_of(scene: GraphScene, node: Node) -> tuple[NodeSpec, Look]:
    """The spec of a node and everything that its paint depends on."""
    graph = scene.document.graph
    spec = scene.ports.spec(node)
    missing = scene.ports.is_missing(node)
    linked_in = frozenset(link.input for link in graph.incoming.get(node.id, ()))
    linked_out = frozenset(link.output for link in scene.ports.outgoing(node.id))
    types: dict[tuple[str, str], str] = {}
    for output in spec.outputs:
        if output.type == ANY:
            types["out", output.name] = scene.ports.output_type(node.id, output.name)
    for item in spec.inputs:
        if item.type == ANY:
            types["in", item.name] = _incoming_type(scene, node.id, item.name)
    run = scene.document.states.get(node.id, IDLE)
    failed = run.input if run.state == "failed" else None
    made = measure(node, spec, linked_in, linked_out, types, scene.missing_files(node), failed)
    for side, name, port in scene.shown_outside:
        if name == node.id and (end := made.port(side, port)) is not None:
            end.is_outside = True
    for row in made.rows:
        row.is_outside = ("in", node.id, row.name) in scene.shown_outside
        if row.kind == "seed" and run.seed is not None and row.raw != run.seed:
            row.value = seed_text(run.seed)
        elif row.kind == "linked":
            row.value = _incoming_words(scene, node.id, row)
    look = Look(
        title=title_of(node, spec),
        category=spec.category,
        anatomy=made,
        icon="chart-line" if made.curve is not None else "",
        mode=node.mode,
        pinned=node.pinned,
        missing=missing or run.state == "missing",
        family=scene.family(node) or "",
        color=scene.theme.known(node.color, "") or None,
        run=run,
        outputs=tuple(output.name for output in spec.outputs),
        pack=spec.pack,
    )
    return spec, look


def _incoming_type(scene: GraphScene, node_id: str, name: str) -> str:
    link = scene.document.graph.link_at(node_id, name)
    return scene.ports.output_type(link.source, link.output) if link is not None else scene.ports.input_type(node_id, name)


def _incoming_words(scene: GraphScene, node_id: str, row: Row) -> str:
    """What the last run sent along a link into a value: "7.5", or "" as long as nothing is known."""
    link = scene.document.graph.link_at(node_id, row.name)
    while link is not None and scene.document.graph.nodes[link.source].type == REROUTE:
        link = scene.document.graph.link_at(link.source, "input")
    if link is None or row.input is None:
        return ""
    words = (scene.document.states.get(link.source, IDLE).shapes or {}).get(link.output, "")
    try:
        return shown_value(row.input, type_of(words)) if (type_of := {"int": int, "float": float}.get(row.input.type)) else words
    except ValueError:
        return words
