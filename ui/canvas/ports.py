"""What each node of the graph shown looks like from outside: its spec (also for subgraphs, reroutes and unknown nodes),
the type that really flows through each port, and why a link would not fit."""

from __future__ import annotations

from collections.abc import Mapping

from nodegraph.graph import REROUTE, Graph, Link, Node, Subgraph
from nodegraph.registry import REROUTE_SPEC
from nodegraph.spec import ANY, Input, NodeSpec, Output, accepts
from nodegraph.subgraphs import spec_of
from nodegraph.values import in_words
from ui.canvas.model import PortRef


class Ports:
    """The ports of one graph. Ask `refreshed` for a new one after an edit: it keeps what is still right."""

    def __init__(self, graph: Graph, root: Graph, specs: Mapping[str, NodeSpec]) -> None:
        self.graph, self.root, self.specs = graph, root, specs
        self._definitions: dict[str, tuple[Subgraph, NodeSpec]] = {}
        self._unknown: dict[str, NodeSpec] = {}
        self._types: dict[tuple[str, str], str] = {}
        self._outgoing: dict[str, list[Link]] | None = None

    def refreshed(self, graph: Graph, root: Graph, specs: Mapping[str, NodeSpec]) -> Ports:
        made = Ports(graph, root, specs)
        if root.subgraphs is self.root.subgraphs:
            made._definitions = self._definitions
        if (
            graph.incoming is self.graph.incoming
            and graph.nodes.keys() == self.graph.nodes.keys()
            and root.subgraphs is self.root.subgraphs
        ):
            made._types = self._types
            made._outgoing = self._outgoing
        return made

    # -- specs

    def spec(self, node: Node) -> NodeSpec:
        """The spec of a node; an unknown type gets one guessed from its values and links, so that nothing of it is lost to the eye."""
        if node.type == REROUTE:
            return REROUTE_SPEC
        found = self.specs.get(node.type)
        if found is not None:
            return found
        name = node.subgraph
        if name is not None and name in self.root.subgraphs:
            return self._subgraph_spec(name, self.root.subgraphs[name])
        return self._guess(node)

    def is_missing(self, node: Node) -> bool:
        return node.type != REROUTE and node.type not in self.specs and (node.subgraph is None or node.subgraph not in self.root.subgraphs)

    def _subgraph_spec(self, name: str, definition: Subgraph) -> NodeSpec:
        known = self._definitions.get(name)
        if known is not None and known[0] is definition:
            return known[1]
        spec = spec_of(name, self.root, self.specs)
        self._definitions[name] = (definition, spec)
        return spec

    def _guess(self, node: Node) -> NodeSpec:
        known = self._unknown.get(node.id)
        if known is not None:
            return known
        linked = [link.input for link in self.graph.incoming.get(node.id, ())]
        inputs = [Input(name, ANY) for name in dict.fromkeys(linked)]
        for name, value in node.values.items():
            if name not in linked:
                kind = {bool: "bool", int: "int", float: "float"}.get(type(value), "str")
                inputs.append(Input(name, kind, default=value))
        outputs = [Output(name, ANY) for name in dict.fromkeys(link.output for link in self.outgoing(node.id))]
        title = node.type.rpartition("/")[2].replace("_", " ").capitalize() or "Unknown"
        made = NodeSpec(node.type, node.version, title, "missing", "This node is not installed.", "", tuple(inputs), tuple(outputs))
        self._unknown[node.id] = made
        return made

    # -- links and types

    def outgoing(self, node_id: str) -> list[Link]:
        if self._outgoing is None:
            self._outgoing = {}
            for link in self.graph.links:
                self._outgoing.setdefault(link.source, []).append(link)
        return self._outgoing.get(node_id, [])

    def output_type(self, node_id: str, output: str) -> str:
        """What flows out of a port: for a port of any type, what flows into the node."""
        key = (node_id, output)
        found = self._types.get(key)
        if found is None:
            self._types[key] = ANY  # a loop in a damaged file must not hang
            node = self.graph.nodes.get(node_id)
            port = self.spec(node).outputs_by_name.get(output) if node else None
            found = ANY if port is None else port.type
            if port is not None and port.type == ANY and port.variable and node is not None:
                found = self._resolve(node, port.variable)
            self._types[key] = found
        return found

    def input_type(self, node_id: str, input: str) -> str:
        """What a port takes; a port of any type that shares its type with a linked one takes that."""
        node = self.graph.nodes.get(node_id)
        port = self.spec(node).by_name.get(input) if node else None
        if node is None or port is None:
            return ANY
        return self._resolve(node, port.variable, but=input) if port.type == ANY and port.variable else port.type

    def _resolve(self, node: Node, variable: str, but: str = "") -> str:
        spec = self.spec(node)
        for link in self.graph.incoming.get(node.id, ()):
            port = spec.by_name.get(link.input)
            if port is not None and port.variable == variable and link.input != but:
                found = self.output_type(link.source, link.output)
                if found != ANY:
                    return found
        return ANY

    def link_type(self, link: Link) -> str:
        found = self.output_type(link.source, link.output)
        return found if found != ANY else self.input_type(link.target, link.input)

    def refusal(self, source: PortRef, target: PortRef, above: frozenset[str] | set[str]) -> str | None:
        """Why these two ports cannot be linked, in one or two sentences; None when they can.

        `above` holds the nodes that a link must not lead into because it would close a loop: everything that feeds the source."""
        output, input = (source, target) if source.side == "out" else (target, source)
        if output.side != "out" or input.side != "in":
            return "Link an output to an input."
        fixed, free = (output, input) if source.side == "out" else (input, output)
        if output.node == input.node:
            return "A node cannot feed itself."
        if free.node in above:
            return "That would close a loop."
        gives, takes = self.output_type(output.node, output.name), self.input_type(input.node, input.name)
        if accepts(takes, gives):
            return None
        if fixed is output:
            return f"‘{input.name}’ takes {in_words(takes)}. This link carries {in_words(gives)}."
        return f"‘{output.name}’ gives {in_words(gives)}. ‘{input.name}’ takes {in_words(takes)}."

    def ref(self, node_id: str, name: str, side: str) -> PortRef:
        if side == "out":
            return PortRef(node_id, name, "out", self.output_type(node_id, name))
        return PortRef(node_id, name, "in", self.input_type(node_id, name))
