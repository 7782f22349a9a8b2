"""What the paint of a node depends on, gathered from its spec, its links and its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodegraph.graph import Node
from nodegraph.spec import ANY, NodeSpec
from ui.canvas.anatomy import measure, title_of
from ui.canvas.model import IDLE
from ui.canvas.node_paint import Look
from ui.canvas.values import seed_text

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
    if run.seed is not None:
        for row in made.rows:
            if row.kind == "seed" and row.raw != run.seed:
                row.value = seed_text(run.seed)
    look = Look(
        title=title_of(node, spec),
        category=spec.category,
        anatomy=made,
        mode=node.mode,
        pinned=node.pinned,
        missing=missing or run.state == "missing",
        family=scene.family(node) or "",
        color=scene.theme.known(node.color, "") or None,
        run=run,
        pack=spec.pack,
    )
    return spec, look


def _incoming_type(scene: GraphScene, node_id: str, name: str) -> str:
    link = scene.document.graph.link_at(node_id, name)
    return scene.ports.output_type(link.source, link.output) if link is not None else scene.ports.input_type(node_id, name)
