"""From a Graph to a Plan: the steps to run, upstream first, each with the key its result is cached under.

All problems are found at once and told in the artist's words. A key says what a result is made of (node id and version,
values, the keys of what feeds it, file contents), never where it stands: copies, tabs, undo and other processes
share results. What runs more than once (`loops`) is one step here; its inside is planned now to be judged, and again when it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from nodegraph.errors import GraphError, GraphProblems, Problem
from nodegraph.expansion import GIVEN, RESULT, Expansion
from nodegraph.fingerprint import fingerprint
from nodegraph.flow import Flow
from nodegraph.graph import Graph, Link, Node
from nodegraph.loops import Loop
from nodegraph.registry import Registry
from nodegraph.spec import NodeSpec, Output
from nodegraph.steps import Given, Source, Step, Steps
from nodegraph.subgraphs import EACH, MAX_LAID_OPEN, REPEAT, laid_open, node_spec
from nodegraph.upgrading import upgraded


@dataclass(frozen=True, slots=True)
class Plan:
    """What runs, in order. `targets` are the places of the steps somebody asked for; `skipped` the nodes that are muted or need a muted one."""

    steps: tuple[Step, ...]
    targets: tuple[int, ...]
    skipped: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    """Warnings: the plan runs all the same."""


def check(graph: Graph, registry: Registry, base: Path | None = None) -> list[Problem]:
    """Everything that is wrong with a graph, node by node. `base` is the folder the graph lies in, for files beside it."""
    return _Planner(graph, registry, base).plan(None, everything=True)[1]


def make_plan(graph: Graph, registry: Registry, targets: Sequence[str] | None = None, base: Path | None = None) -> Plan:
    """What must run for `targets` (node ids; by default every node that is run for its effect, or else every last node).

    Raises:
        GraphProblems: Something that the targets need is wrong; all of it is named.
    """
    place = (id(graph), id(registry), str(base), tuple(targets) if targets is not None else None)
    with _lock:
        recent = _recent.get(place)
    if recent is not None and recent.graph is graph and recent.registry is registry and recent.is_right(base):
        return recent.plan
    planner = _Planner(graph, registry, base)
    plan, problems = planner.plan(targets)
    errors = tuple(problem for problem in problems if problem.severity == "error")
    if errors:
        raise GraphProblems(errors)
    if not planner.maker.always:
        with _lock:
            while len(_recent) >= 16:
                del _recent[next(iter(_recent))]
            specs = {step.spec.id: step.spec for step in plan.steps if step.loop is None} | planner.inner_specs
            _recent[place] = _Recent(graph, registry, len(registry.specs), tuple(specs.values()), tuple(planner.maker.files), plan)
    return plan


class InnerPlan(NamedTuple):
    """The plan of an expansion: its first steps are what was given, by place; `ends` is where each result comes from, by input of RESULT."""

    plan: Plan
    given: Mapping[str, int]
    ends: Mapping[str, Source]
    graph: Graph


def plan_expansion(
    expansion: Expansion[Any],
    registry: Registry,
    given: Mapping[str, tuple[Given, ...]],
    base: Path | None,
    number: Callable[[str], int] | None = None,
) -> InnerPlan:
    """What must run for the results and effects of an expansion; `number` tells the pass that a node stands in.

    Raises:
        GraphProblems: Something in it is wrong; all of it is named.
    """
    planner = _Planner(_with_given(expansion, registry, given), registry, base, given, number)
    inside = planner.inside()
    if errors := tuple(problem for problem in planner.problems if problem.severity == "error"):
        raise GraphProblems(errors)
    return inside


def _with_given(expansion: Expansion[Any], registry: Registry, given: Mapping[str, tuple[Given, ...]]) -> Graph:
    """The nodes of an expansion with plain values put in, and every other thing that is given under a name of its own."""
    graph = expansion.graph
    specs = registry.specs
    old = {name: n for name, n in graph.nodes.items() if n.version == 0}
    newest = {name: replace(n, version=specs[n.type].version if n.type in specs else 1) for name, n in old.items()}
    graph = upgraded(replace(graph, nodes={**graph.nodes, **newest}), registry)
    if len(graph.nodes) > MAX_LAID_OPEN:
        raise GraphError(f"This would become {len(graph.nodes):,} nodes. At most {MAX_LAID_OPEN:,} are possible.")
    nodes, incoming = dict(graph.nodes), dict(graph.incoming)
    for target, links in graph.incoming.items():
        if not any(link.source.startswith(GIVEN) for link in links):
            continue
        made = []
        for link in links:
            if not link.source.startswith(GIVEN):
                made.append(link)
                continue
            node = nodes[target]
            found = given.get(link.source[len(GIVEN) :], ())
            spec = node_spec(node, graph, specs)
            item = spec.by_name.get(link.input) if spec else None
            if len(found) == 1 and found[0].value is not None and item is not None and not item.is_port:
                nodes[target] = replace(node, values={**node.values, link.input: found[0].value})
            else:
                made += [Link(f"{link.source}:{k}", one.output, target, link.input) for k, one in enumerate(found)]
        incoming[target] = tuple(made)
    return replace(graph, nodes=nodes, incoming=incoming)


class _Recent(NamedTuple):
    """A plan made before. A graph never changes, so it is right as long as the files it names are the same."""

    graph: Graph
    registry: Registry
    size: int
    specs: tuple[NodeSpec, ...]
    files: tuple[tuple[str, str, Path, str], ...]
    plan: Plan

    def is_right(self, base: Path | None) -> bool:
        known, folders = self.registry.specs, self.registry.folders
        try:
            return (
                self.size == len(known)
                and all(known.get(spec.id) is spec for spec in self.specs)
                and all(folders.resolve(kind, name, base) == path and fingerprint(path) == word for kind, name, path, word in self.files)
            )
        except OSError:
            return False


_recent: dict[tuple[int, int, str, tuple[str, ...] | None], _Recent] = {}
_lock = threading.Lock()


class _Planner:
    def __init__(
        self,
        graph: Graph,
        registry: Registry,
        base: Path | None,
        given: Mapping[str, tuple[Given, ...]] | None = None,
        number: Callable[[str], int] | None = None,
    ) -> None:
        self.whole = graph
        self.given = [(f"{GIVEN}{name}:{k}", one) for name, found in (given or {}).items() for k, one in enumerate(found)]
        self.number = number
        self.is_inside = given is not None
        """Whether this is the plan of an expansion."""
        self.inner_specs: dict[str, NodeSpec] = {}
        """The specs of what stands inside of loops."""
        self.registry = registry
        self.base = base
        self.graph, self.problems = laid_open(graph, registry.specs)
        self.flow = Flow(self.graph, self._spec)
        self.maker = Steps(self.graph, registry, base, self.problems, self._spec, self.is_inside)

    def plan(self, targets: Sequence[str] | None, everything: bool = False) -> tuple[Plan, list[Problem]]:
        nodes, specs = self.graph.nodes, self.registry.specs
        wanted = list(nodes) if everything else self._targets(targets)
        skipped: set[str] = set()
        flow, make = self.flow, self.maker.make
        incoming = flow.incoming
        if flow.is_special:
            wanted = flow.seen_through(wanted, everything)
            order = self._order(wanted)
            skipped = flow.silent(order)
            order = [name for name in order if name not in skipped]
            if not everything:
                needed = flow.needed(order, [name for name in wanted if name not in skipped], skipped)
                order = [name for name in order if name in needed]
            incoming = flow.alive(order, skipped)
        else:
            order = self._order(wanted)
        places: dict[str, int] = {place: k for k, (place, _) in enumerate(self.given)}
        steps: list[Step] = [one.as_step(place) for place, one in self.given]
        same: dict[str, int] = {}
        for node_id in order:
            node = nodes[node_id]
            spec = specs.get(node.type)
            step: Step | None
            if spec is not None:
                step = make(node if self.number is None else self._numbered(node, spec), spec, incoming.get(node_id, ()), steps, places)
            elif node.subgraph in self.whole.subgraphs:
                step = self._loop_step(node, incoming.get(node_id, ()), steps, places, everything)
            else:
                self.maker.unknown(node)
                step = None
            if step is None:
                skipped.add(node_id)
            elif self.is_inside and not step.spec.sink and step.key in same:
                places[node_id] = same[step.key]  # what is alike in all passes runs once
            else:
                places[node_id] = same[step.key] = len(steps)
                steps.append(step)
        self.places = places
        chosen = tuple(places[name] for name in dict.fromkeys(wanted) if name in places)
        warnings = tuple(problem for problem in self.problems if problem.severity == "warning")
        return Plan(tuple(steps), chosen, frozenset(skipped), warnings), self.problems

    def inside(self, everything: bool = False) -> InnerPlan:
        """The plan of an expansion: what it does besides giving results, and what its results come from."""
        sinks = [n.id for n in self.graph.nodes.values() if n.mode == "on" and (spec := self._spec(n)) is not None and spec.sink]
        ends = {link.input: self.flow.through(link) for link in self.graph.incoming.get(RESULT, ())}
        inner = [name for name, _ in ends.values() if name in self.graph.nodes]
        every = [name for name in self.graph.nodes if name != RESULT] if everything else []
        rank = {name: k for k, name in enumerate(self.whole.nodes)}
        wanted = sorted({*sinks, *inner, *every}, key=lambda name: (rank[name.partition("/")[0]], name))  # one pass after the other
        plan, _ = self.plan(wanted)
        sources = {name: Source(self.places[at], output) for name, (at, output) in ends.items() if at in self.places}
        return InnerPlan(plan, {place: k for k, (place, _) in enumerate(self.given)}, sources, self.whole)

    # -- subgraphs that run more than once

    def _spec(self, node: Node) -> NodeSpec | None:
        return node_spec(node, self.whole, self.registry.specs)

    def _numbered(self, node: Node, spec: NodeSpec) -> Node:
        names = [item.name for item in spec.inputs if item.is_pass_number]
        return replace(node, values={**node.values, **{name: self.number(node.id) for name in names}}) if names and self.number else node

    def _loop_step(
        self, node: Node, links: tuple[Link, ...], steps: list[Step], places: Mapping[str, int], everything: bool
    ) -> Step | None:
        """An instance that runs more than once: two passes of its inside are planned, to judge it and to know what it makes."""
        spec = node_spec(node, self.whole, self.registry.specs)
        before = len(self.problems)
        if spec is None or (step := self.maker.make(node, spec, links, steps, places)) is None:
            return None
        for name in (REPEAT, EACH):
            if name in step.mapped or (name == EACH and name in step.sources):
                words = f"'{name}' of '{self.maker.name(node.id)}' takes " + (
                    "one number, not a list." if name == REPEAT else "no link: set it by hand."
                )
                self.problems.append(Problem(words, node.id, name, kind="link"))
        if any(problem.severity == "error" for problem in self.problems[before:]):
            return None
        repeats = step.values.get(REPEAT, 0) != 1 and REPEAT in spec.by_name
        loop = Loop(node, self.whole, spec, tuple(step.sources), step.mapped, repeats)
        given = {
            (f"{name}#0" if name in step.mapped else name): tuple(
                steps[at].gives(output)._replace(many=False) if name in step.mapped else steps[at].gives(output)
                for at, output in ([source] if isinstance(source, Source) else source)
            )
            for name, source in step.sources.items()
        }
        expansion = loop.expansion(range(1), range(2 if repeats else 1), spec.outputs_by_name.keys())
        planner = _Planner(_with_given(expansion, self.registry, given), self.registry, self.base, given, loop.number)
        inside = planner.inside(everything)
        self.maker.files += planner.maker.files
        self.maker.always = self.maker.always or planner.maker.always
        self.inner_specs |= planner.inner_specs | {s.spec.id: s.spec for s in inside.plan.steps[len(given) :] if s.loop is None}
        found = [replace(problem, node_id=loop.path(problem.node_id or "")) for problem in planner.problems]
        self.problems += dict.fromkeys(problem for problem in found if problem not in self.problems)
        if any(problem.severity == "error" for problem in found):
            return None
        key = ["loop", repr(step.values.get(REPEAT)), *step.mapped]
        for name, source in step.sources.items():
            if name == REPEAT:
                key.append(steps[source.step].key + source.output)  # type: ignore[union-attr]
        outputs, many, family = [], set(step.mapped and spec.outputs_by_name), None
        for out in spec.outputs:
            place = inside.ends.get(f"{out.name}#0" if loop.is_list(out.name) else out.name)
            if place is None:
                continue  # what makes it is muted
            end = inside.plan.steps[place.step]
            made = end.spec.outputs_by_name[place.output]
            outputs.append(Output(out.name, end.types.get(made.variable, made.type), out.many, "", out.help))
            if loop.is_list(out.name) or place.output in end.many:
                many.add(out.name)
            family = family or end.family
        for name, place in inside.ends.items():
            key += (name, inside.plan.steps[place.step].key, place.output)
        digest = xxhash.xxh3_128_hexdigest("\0".join(key).encode("utf-8", "surrogatepass"))
        eager = tuple(replace(item, lazy=False) for item in spec.inputs)
        whole = replace(spec, inputs=eager, outputs=tuple(outputs))
        return Step(node.id, whole, step.values, step.sources, digest, step.mapped, frozenset(many), family, {}, loop)

    # -- which nodes, in which order

    def _targets(self, targets: Sequence[str] | None) -> list[str]:
        graph = self.graph
        if targets is not None:
            found: list[str] = []
            for name in targets:
                inner = [name] if name in graph.nodes else [i for i in graph.nodes if i.startswith(name + "/")]
                around = name
                while not inner and "/" in around:  # inside of what runs more than once, so all of that
                    around = around.rpartition("/")[0]
                    inner = [around] if around in graph.nodes else []
                if not inner:
                    self.problems.append(Problem(f"There is no node '{name}' in this graph.", None, kind="unknown-node"))
                elif around in graph.nodes:
                    found.append(around)
                else:  # an instance of a subgraph: what it shows outside, and what it does inside
                    found += self._ends(inner)
            return found
        on = [n for n in graph.nodes.values() if n.mode == "on"]
        sinks = [n.id for n in on if (spec := self._spec(n)) is not None and spec.sink]
        return sinks or self._ends([n.id for n in on])

    def _ends(self, ids: Sequence[str]) -> list[str]:
        inside = set(ids)
        sources = {link.source for target in ids for link in self.graph.incoming.get(target, ()) if link.source in inside}
        return [i for i in ids if i not in sources]

    def _order(self, wanted: Sequence[str]) -> list[str]:
        """The wanted nodes and all that feed them, upstream first. Without recursion: chains may be 10,000 nodes long."""
        incoming, special = self.flow.incoming, self.flow.is_special
        done: set[str] = set()
        open_: set[str] = set()
        order: list[str] = []
        for start in wanted:
            if start in done:
                continue
            stack = [start]
            while stack:
                node_id = stack[-1]
                if node_id in done:
                    stack.pop()
                    continue
                if node_id in open_:
                    open_.discard(node_id)
                    done.add(node_id)
                    order.append(node_id)
                    stack.pop()
                    continue
                open_.add(node_id)
                if special and self.graph.nodes[node_id].mode == "muted":
                    continue  # whatever feeds it need not run
                for link in incoming.get(node_id, ()):
                    source = link.source
                    if source in done:
                        continue
                    if source in open_:
                        self._loop(stack, open_, source)
                        continue
                    if source in self.graph.nodes:
                        stack.append(source)
        return order

    def _loop(self, stack: Sequence[str], open_: set[str], start: str) -> None:
        first = len(stack) - 1 - stack[::-1].index(start)  # a node may also wait further down, pushed by another that it feeds
        around = [i for i in stack[first:] if i in open_]
        names = ", ".join(f"'{self.maker.name(i)}'" for i in around[:5]) + (f" and {len(around) - 5} more" if len(around) > 5 else "")
        words = (
            f"{names} feed each other in a loop. Take one of their links away."
            if len(around) > 1
            else f"{names} feeds itself. Take its link away."
        )
        self.problems.append(Problem(words, start, kind="loop"))
