"""Going on from a kept frame: a run that takes up the steps done so far and paints the rest anew."""

from __future__ import annotations

from ui.notices import Notice
from ui.runs import Runs
from ui.studio import Studio
from ui.takes import Kept, Take


def branch(studio: Studio, runs: Runs, take: Take, kept: Kept) -> None:
    """Open the graph of a take in a tab of its own, with the sampler told to branch at the kept step where it can be told."""
    graph = take.job.graph
    node_id = take.node.split("/")[0]
    node = graph.nodes.get(node_id)
    registry = studio.registry
    spec = registry.specs.get(node.type) if registry is not None and node is not None else None
    names = ("branch_at", "branch_step", "start_step", "resume_at")
    item = next((spec.by_name[name] for name in names if name in spec.by_name), None) if spec is not None else None
    document = studio.add(graph, None, f"{take.job.title} from step {kept.step}", saved=True)
    document.select([node_id])
    if item is not None and node is not None:
        value = kept.step / max(1, kept.total) if item.type == "float" else kept.step
        document.edit(f"Branch at step {kept.step}", lambda g: g.with_value(node_id, item.name, value))
    else:
        studio.notice.emit(
            Notice(f"A copy of the graph of take {take.number}. Change what shall differ from here; steps that stay the same are taken over when you run it.", "info", key="branch")
        )
