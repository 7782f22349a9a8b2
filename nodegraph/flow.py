"""What really feeds an input where nodes are muted or bypassed, or dots lead a link another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from nodegraph.expansion import GIVEN
from nodegraph.graph import REROUTE, Graph, Link, Node
from nodegraph.spec import NodeSpec


class Flow:
    """The links of a laid-open graph as a run sees them. `spec` tells what a node is, instances of subgraphs included."""

    def __init__(self, graph: Graph, spec: Callable[[Node], NodeSpec | None]) -> None:
        self.graph = graph
        self.spec = spec
        self.is_special = any(node.mode != "on" or node.type == REROUTE for node in graph.nodes.values())
        self.incoming: Mapping[str, tuple[Link, ...]] = graph.incoming
        """The links that arrive at each node, seen through bypassed nodes and dots where there are any."""
        if self.is_special:
            self.incoming = {name: self._links(name) for name in graph.incoming if not self.is_passed(graph.nodes[name])}

    def is_passed(self, node: Node) -> bool:
        """Whether a node only hands on what it gets."""
        return node.mode == "bypassed" or (node.type == REROUTE and node.mode == "on")

    def seen_through(self, wanted: Sequence[str], everything: bool) -> list[str]:
        """In place of a reroute dot that is asked for, what leads to it; a bypassed node does nothing, so it is left out."""
        found = []
        for name in wanted:
            node = self.graph.nodes[name]
            if not self.is_passed(node):
                found.append(name)
            elif node.type == REROUTE and node.mode == "on" and not everything:
                source, _ = self.through(Link(name, "output", "", ""))
                if source:
                    found.append(source)
        return found

    def silent(self, order: Sequence[str]) -> set[str]:
        """The muted nodes, and those that need one: they do not run, and nothing is wrong with that."""
        silent: set[str] = set()
        for name in order:
            node = self.graph.nodes[name]
            if node.mode == "muted":
                silent.add(name)
                continue
            spec = self.spec(node)
            if spec is None or not any(link.source in silent for link in self.incoming.get(name, ())):
                continue
            loud = {link.input for link in self.incoming[name] if link.source not in silent}
            lost = {link.input for link in self.incoming[name]} - loud
            if any((item := spec.by_name.get(i)) is not None and item.is_required for i in lost):
                silent.add(name)
        return silent

    def needed(self, order: Sequence[str], wanted: Sequence[str], skipped: set[str]) -> set[str]:
        """What the wanted nodes need, without what only muted nodes need."""
        needed = set(wanted)
        for name in reversed(order):  # upstream first, so whoever needs a node has been seen before it
            if name in needed:
                needed.update(link.source for link in self.incoming.get(name, ()) if link.source not in skipped)
        return needed

    def alive(self, order: Sequence[str], silent: set[str]) -> dict[str, tuple[Link, ...]]:
        """The links that bring something: the others come from a silent node, or through a bypassed one from nothing."""
        found = {}
        for name in order:
            links = self.incoming.get(name, ())
            if links:
                kept = tuple(link for link in links if link.source and link.source not in silent)
                found[name] = links if len(kept) == len(links) else kept
        return found

    def _links(self, node_id: str) -> tuple[Link, ...]:
        """The links that arrive, seen through bypassed nodes and reroute dots. A link that comes from nothing has source ""."""
        made = []
        for link in self.graph.incoming.get(node_id, ()):
            source = self.through(link)
            made.append(link if source == (link.source, link.output) else Link(*source, link.target, link.input))
        arriving = self.graph.incoming.get(node_id, ())
        return arriving if made == list(arriving) else tuple(made)

    def through(self, link: Link) -> tuple[str, str]:
        """The node and output that a link really comes from; ("", "") if there is none."""
        node_id, output = link.source, link.output
        for _ in range(len(self.graph.nodes) + 1):
            node = self.graph.nodes.get(node_id)
            if node is None:
                return (node_id, output) if node_id.startswith(GIVEN) else ("", "")
            if node.type == REROUTE and node.mode != "muted":
                found = self.graph.link_at(node_id, "input")
            elif node.mode == "bypassed":
                found = self._passed_by(node, output)
            else:
                return node_id, output
            if found is None:
                return "", ""
            node_id, output = found.source, found.output
        return "", ""

    def _passed_by(self, node: Node, output: str) -> Link | None:
        """What a bypassed node hands on for an output: the link at its first input of that type, same position first."""
        spec = self.spec(node)
        if spec is None or output not in spec.outputs_by_name:
            return None
        wanted = spec.outputs_by_name[output]
        same = [out.name for out in spec.outputs if out.type == wanted.type and out.variable == wanted.variable].index(output)
        fitting = [item for item in spec.inputs if item.type == wanted.type and item.variable == wanted.variable]
        linked = [link for item in fitting if (link := self.graph.link_at(node.id, item.name)) is not None]
        if same < len(fitting) and (link := self.graph.link_at(node.id, fitting[same].name)) is not None:
            return link
        return linked[0] if linked else None
