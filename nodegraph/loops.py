"""Subgraphs that run more than once: so many times, each pass fed by the one before, or once for each item of a list.

An output that has the name of an input goes back into it, and comes out after the last pass; every other output becomes the list of
what all passes made. An output called "done" ends it: after the pass in which it is on, there is no other. A pass is an ordinary instance of the definition in an expansion, so everything inside is validated, cached and
stopped like what stands on the canvas by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from nodegraph.errors import GraphError
from nodegraph.expansion import GIVEN, Expansion, Wire
from nodegraph.graph import Graph, Node
from nodegraph.spec import NodeSpec, accepts
from nodegraph.subgraphs import EACH, MAX_LAID_OPEN, REPEAT

DONE = "done"
AT_ONCE = 500
"""Passes that are planned together; a list of files may be longer than any plan should be."""


class Loop(NamedTuple):
    """An instance of a subgraph that runs more than once, as the step of a plan."""

    node: Node
    graph: Graph
    """The one whose definitions it uses."""
    spec: NodeSpec
    linked: tuple[str, ...]
    mapped: tuple[str, ...]
    """Inputs at which a list arrives where one thing is wanted."""
    repeats: bool

    @property
    def fed_back(self) -> frozenset[str]:
        """The names that are both an input and an output."""
        if not self.repeats:
            return frozenset()
        inputs = self.spec.by_name
        return frozenset(
            out.name for out in self.spec.outputs if (i := inputs.get(out.name)) is not None and not i.many and accepts(i.type, out.type)
        )

    @property
    def ends_early(self) -> bool:
        """Whether a pass may say that there shall be no other, so that each is known only when the one before is over."""
        out = self.spec.outputs_by_name.get(DONE)
        return self.repeats and out is not None and out.type == "bool" and DONE not in self.spec.by_name

    def is_list(self, output: str) -> bool:
        """Whether an output gathers what several passes made."""
        return bool(self.mapped) or (self.repeats and output not in self.fed_back)

    def place(self, name: str, item: int) -> str:
        """What an input is called inside an expansion."""
        return f"{name}#{item}" if name in self.mapped else name

    def expansion(self, items: Sequence[int], passes: Sequence[int], outputs: Set[str], again: Set[str] = frozenset()) -> Expansion[object]:
        """The passes for some items of the lists that arrive: instances called "item.pass", as in "0.2".

        `again` are the inputs that bring what an earlier expansion made.

        Raises:
            GraphError: There are too many.
        """
        if len(items) * len(passes) > MAX_LAID_OPEN:
            raise GraphError(
                f"'{self.title}' would run {len(passes):,} times. At most {MAX_LAID_OPEN:,} are possible. Repeat it less often.",
                None,
                REPEAT,
            )
        inside: Expansion[object] = Expansion(Graph(subgraphs=self.graph.subgraphs))
        linked = {*self.linked, *again} - {REPEAT, EACH}
        ends: dict[str, list[Wire]] = {out.name: [] for out in self.spec.outputs if out.name in outputs}
        fed_back = self.fed_back
        for item in items:
            given: dict[str, object] = {name: value for name, value in self.node.values.items() if name not in (REPEAT, EACH)}
            given |= {name: Wire(GIVEN + self.place(name, item), "") for name in linked}
            for number in passes:
                made = inside.add(self.node.type, 1, f"{item}.{number}", **given)
                given |= {name: made[name] for name in fed_back}
                for name in ends:
                    if name not in fed_back or number == passes[-1]:
                        ends[name].append(made[name])
        return inside.returning(**{name: wires if self.is_list(name) else wires[0] for name, wires in ends.items()})

    def number(self, path: str) -> int:
        """The pass number inside an expansion: that of the pass, or of the item where each runs once."""
        item, _, number = path.partition("/")[0].partition(".")
        return int(number if self.repeats else item)

    def path(self, inner: str) -> str:
        """A node inside an expansion as the canvas knows it: "0.2/sample" in 'refine' is "refine/sample"."""
        _, slash, rest = inner.partition("/")
        return f"{self.node.id}/{rest}" if slash else self.node.id

    @property
    def title(self) -> str:
        return self.node.title or self.spec.title

    def parts(self, count: int, passes: int) -> Iterable[range]:
        """The items, so many at a time that a plan stays small."""
        size = 1 if self.ends_early else max(1, AT_ONCE // passes)
        return (range(first, min(first + size, count)) for first in range(0, count, size))
