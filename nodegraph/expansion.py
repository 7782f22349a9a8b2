"""A graph that a node returns in place of its result: it is run, cached and stopped like any other, and its ends become the node's outputs.

@node("image/soften")
def soften(image: Image, times: int = 3) -> Expansion[Image]:
    '''Blur again and again.'''
    inside: Expansion[Image] = Expansion()
    wire = inside.input("image")
    for _ in range(times):
        wire = inside.add("image/blur", image=wire, radius=2.0)["image"]
    return inside.returning(image=wire)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, Generic, NamedTuple, TypeVar

from nodegraph.graph import Graph, Link, Node

T_co = TypeVar("T_co", covariant=True)

GIVEN = "/"
"""What the source of a link begins with that brings what the expanded node itself was given; no node's id holds a slash."""
RESULT = "result"
"""The type of the node in which the ends of an expansion meet. It is never run."""


class Wire(NamedTuple):
    """An output of a node inside an expansion, or an input of the node that expands."""

    node: str
    output: str


@dataclass(frozen=True, slots=True)
class Added:
    """A node inside an expansion; its outputs are had by name: `blur["image"]`."""

    node: str

    def __getitem__(self, output: str) -> Wire:
        return Wire(self.node, output)


class Expansion(Generic[T_co]):
    """What a node may return in place of a result of type T: nodes to run, and which of their outputs are the result.

    Its nodes are cached by what they are made of, as all others: a loop that was stopped goes on where it stopped, and the same work
    elsewhere finds the same results. An expansion may expand again, though not without end.
    """

    def __init__(self, graph: Graph | None = None) -> None:
        """`graph` holds nodes to start from, and the subgraph definitions that they may use."""
        self._whole = graph or Graph()
        self._nodes = dict(self._whole.nodes)
        self._incoming = {target: list(links) for target, links in self._whole.incoming.items()}
        self.outputs: dict[str, Wire | tuple[Wire, ...]] = {}

    def input(self, name: str) -> Wire:
        """What arrives at an input of the node that expands: its link or its value."""
        return Wire(GIVEN + name, "")

    def add(self, type: str, version: int | None = None, id: str = "", /, **inputs: Any) -> Added:
        """A node of this type; each input is a value, a wire, or a list of wires where it takes many.

        `version` is that of the node when this was written, by default the newest; older ones are upgraded as those in files are.
        """
        name = id or f"{len(self._nodes) + 1}"
        values: dict[str, Any] = {}
        for input, given in inputs.items():
            wires = [given] if isinstance(given, Wire) else given if isinstance(given, (list, tuple)) else []
            if wires and all(isinstance(wire, Wire) for wire in wires):
                self._incoming.setdefault(name, []).extend(Link(wire.node, wire.output, name, input) for wire in wires)
            elif given is not None:
                values[input] = given.as_posix() if isinstance(given, PurePath) else given
        self._nodes[name] = Node(name, type, values, version=0 if version is None else version)
        return Added(name)

    def returning(self, **outputs: Wire | Sequence[Wire]) -> Expansion[T_co]:
        """Say what the results are, by the node's outputs; several wires make a list."""
        self.outputs = {name: end if isinstance(end, Wire) else tuple(end) for name, end in outputs.items()}
        return self

    @property
    def graph(self) -> Graph:
        """All of it as one graph. The ends meet in the node called RESULT, at inputs "name" or "name#0", "name#1" ..."""
        ends = []
        for name, end in self.outputs.items():
            if isinstance(end, Wire):
                ends.append(Link(*end, RESULT, name))
            else:
                ends += [Link(*wire, RESULT, f"{name}#{k}") for k, wire in enumerate(end)]
        incoming = {target: tuple(sorted(links, key=lambda link: link.input)) for target, links in self._incoming.items()}
        return replace(
            self._whole, nodes={**self._nodes, RESULT: Node(RESULT, RESULT)}, incoming={**incoming, RESULT: tuple(ends)}
        )  # fmt: skip
