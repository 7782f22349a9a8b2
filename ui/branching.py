"""Going on from a step: the sampler in two, the first up to that step, the second from there on.

The finished steps of the first half are found again by their keys, so it costs nothing; whatever is changed on the second half (prompt,
guidance, sampler, seed of its noise) is painted from that step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Link
from nodegraph.spec import NodeSpec
from ui.hints import Hints
from ui.notices import Notice
from ui.takes import Take

if TYPE_CHECKING:
    from ui.desk import Desk

SPLITS: Final = ("first_step", "last_step", "add_noise", "leave_noise")
"""Inputs of a sampler that can stop at a step and go on from one."""
GAP: Final = 48.0


def can_branch(spec: NodeSpec | None) -> bool:
    """Whether a node can stop at a step and another of its kind go on from there."""
    return spec is not None and all(name in spec.by_name for name in SPLITS) and _carried(spec) is not None


def _carried(spec: NodeSpec) -> tuple[str, str] | None:
    """The input and the output by which half-done work is handed on: those of one type."""
    for output in spec.outputs:
        for item in spec.inputs:
            if item.is_port and item.is_required and item.type == output.type:
                return item.name, output.name
    return None


def branched(graph: Graph, node_id: str, spec: NodeSpec, step: int, width: float = 264.0) -> tuple[Graph, str]:
    """The graph with a sampler in two at a step, and the id of the second half, which everything behind follows from now on.

    Raises:
        GraphError: The node cannot stop at a step, or not at this one.
    """
    node, carried = graph.nodes[node_id], _carried(spec)
    if carried is None or not can_branch(spec):
        raise GraphError(f"'{node.title or spec.title}' cannot stop at a step, so nothing can branch off it.", node_id)
    first = node.values.get("first_step", spec.by_name["first_step"].default)
    last = node.values.get("last_step", spec.by_name["last_step"].default)
    if not (isinstance(first, int) and isinstance(last, int) and first < step < last):
        raise GraphError("There is nothing to go on with at this step. Choose a step between the first and the last.", node_id)
    takes, gives = carried
    second_id = graph.free_id(node_id)
    title = node.title or spec.title
    second = replace(
        node,
        id=second_id,
        title=f"{title} from step {step}",
        values={**node.values, "first_step": step, "add_noise": False},
        position=(node.position[0] + (node.size[0] if node.size else width) + GAP, node.position[1]),
    )
    room = second.position[0] - node.position[0]
    right = [name for name in graph.downstream(node_id) if name != node_id and graph.nodes[name].position[0] > node.position[0]]
    made = graph.with_value(node_id, "last_step", step).with_value(node_id, "leave_noise", True).moved(right, room, 0.0).with_node(second)
    incoming = {
        target: tuple(link._replace(source=second_id) if (link.source, link.output) == (node_id, gives) else link for link in links)
        for target, links in made.incoming.items()
    }
    given = [link._replace(target=second_id) for link in graph.incoming.get(node_id, ()) if link.input != takes]
    incoming[second_id] = tuple(sorted((*given, Link(node_id, gives, second_id, takes)), key=lambda link: link.input))
    return replace(made, incoming=incoming), second_id


def branch(desk: Desk, take: Take, step: int) -> None:
    """Open the graph of a take in a tab of its own, its sampler in two at the step, and let the run go on from there."""
    studio, graph = desk.studio, take.job.graph
    *scope, node_id = take.node.split("/")
    specs: Mapping[str, NodeSpec] = studio.registry.specs if studio.registry is not None else {}
    document = studio.add(graph, None, f"{take.job.title} from step {step}", saved=True)
    try:
        document.open(*scope)
        node = document.graph.nodes.get(node_id)
        spec = specs.get(node.type) if node is not None else None
        if node is None or spec is None:
            raise GraphError("This take was painted by a node that is not there any more.")
        made, second = branched(document.graph, node_id, spec, step)
    except GraphError as error:
        studio.notice.emit(Notice(f"{error.message} This is a copy of the graph of take {take.number}.", "info", key=Hints.KEY))
        return
    document.edit(f"Branch at step {step}", made)
    document.select([second])
    studio.notice.emit(
        Notice(f"The run goes on from step {step}; the steps before are kept. Change the prompt or the guidance of the second half and run again.", "info", key=Hints.KEY)
    )
    desk.running.run(front=True)
