"""Files that could stand in for one that is missing or does not fit: of the same kind, of the family of the graph, the likest name first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from nodegraph.errors import Problem
from nodegraph.graph import Graph, Node
from nodegraph.spec import Input, NodeSpec

if TYPE_CHECKING:
    from ui.insight import Insight

MOST_LOOKED_AT: Final = 300
"""Files whose family is looked up, the likest names first: each is opened once for its header."""
KINDS: Final = ("missing-file", "family")


@dataclass(frozen=True)
class Offer:
    """Names that may go into an input of a node, the best first."""

    node: str
    input: str
    names: tuple[str, ...]


def offers_for(problems: Iterable[Problem], graph: Graph, specs: Mapping[str, NodeSpec], insight: Insight) -> dict[Problem, Offer]:
    """What is at hand for each problem that a file can cure. Opens headers of files, so it belongs into the background."""
    found = {}
    for problem in problems:
        place = _place(problem, graph, specs)
        if place is None:
            continue
        node, item = place
        names = _names(node, item, graph, insight, is_other_family=problem.kind == "family")
        if names:
            found[problem] = Offer(node.id, item.name, names)
    return found


def _place(problem: Problem, graph: Graph, specs: Mapping[str, NodeSpec]) -> tuple[Node, Input] | None:
    """The input that takes the file: the one named, or that of the node whose model came by the link named."""
    node = graph.nodes.get(problem.node_id or "")
    if node is None or problem.kind not in KINDS:
        return None
    if problem.kind == "family" and problem.input is not None:
        link = graph.link_at(node.id, problem.input)
        node = graph.nodes.get(link.source) if link is not None else None
    spec = specs.get(node.type) if node is not None else None
    items = [item for item in spec.inputs if item.file is not None] if spec is not None else []
    if problem.kind == "missing-file" and problem.input is not None:
        items = [item for item in items if item.name == problem.input]
    return (node, items[0]) if node is not None and len(items) == 1 else None


def _names(node: Node, item: Input, graph: Graph, insight: Insight, is_other_family: bool) -> tuple[str, ...]:
    marker, now = item.file, str(node.values.get(item.name, ""))
    if marker is None:
        return ()
    likeness = {name: SequenceMatcher(None, _stem(name), _stem(now)).ratio() for name in insight.context.files(marker) if name != now}
    ordered = sorted(likeness, key=lambda name: (-likeness[name], name.lower()))[:MOST_LOOKED_AT]
    families = {found for other in graph.nodes.values() if other.id != node.id and (found := insight.family(other)) is not None}
    told = {name: insight.context.family_of(marker, name) for name in ordered}
    unknown = [name for name in ordered if told[name] is None]  # it may be no model at all
    if len(families) == 1:
        fitting = [name for name in ordered if told[name] in families]
        return tuple(fitting if is_other_family else fitting + unknown)
    return () if is_other_family else tuple([name for name in ordered if told[name] is not None] + unknown)


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem.lower()
