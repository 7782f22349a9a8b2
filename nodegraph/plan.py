"""From a Graph to a Plan: the steps to run, upstream first, each with the key its result is cached under.

All problems are found at once and told in the artist's words. A key says what a result is made of (node id and version,
values, the keys of what feeds it, file contents), never where it stands: copies, tabs, undo and other processes
share results.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from nodegraph.errors import GraphProblems, Problem
from nodegraph.fingerprint import fingerprint
from nodegraph.graph import REROUTE, Graph, Link, Node
from nodegraph.registry import Registry
from nodegraph.spec import ANY, REQUIRED, Input, NodeSpec, accepts
from nodegraph.subgraphs import laid_open, node_spec
from nodegraph.values import ABOUT, fits, in_words, why_not


class Source(NamedTuple):
    """Where a linked input takes its value: the place of a step in the plan, and one of its outputs."""

    step: int
    output: str


class Step:
    """One node to run. `values` has every input that is not linked, `sources` those that are."""

    __slots__ = ("family", "key", "many", "mapped", "node_id", "sources", "spec", "types", "values")

    def __init__(
        self,
        node_id: str,
        spec: NodeSpec,
        values: Mapping[str, Any],
        sources: Mapping[str, Source | tuple[Source, ...]],
        key: str,
        mapped: tuple[str, ...],
        many: frozenset[str],
        family: str | None,
        types: Mapping[str, str],
    ) -> None:
        self.node_id = node_id
        self.spec = spec
        self.values = values
        self.sources = sources
        self.key = key
        self.mapped = mapped
        """Inputs that receive a list where one thing is wanted: the node runs once for each item."""
        self.many = many
        """Outputs that give a list."""
        self.family = family
        self.types = types
        """What each type variable of the node stands for here, as far as its links tell."""

    def __repr__(self) -> str:
        return f"Step({self.node_id!r}, {self.spec.id!r}, {self.key[:8]})"


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
    if not planner.always:
        with _lock:
            while len(_recent) >= 16:
                del _recent[next(iter(_recent))]
            specs = {step.spec.id: step.spec for step in plan.steps}
            _recent[place] = _Recent(graph, registry, len(registry.specs), tuple(specs.values()), tuple(planner.files), plan)
    return plan


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


class _Prepared(NamedTuple):
    """What follows from a node and the names of its linked inputs alone, kept between plans as both are immutable."""

    node: Node
    links: tuple[Link, ...]
    spec: NodeSpec
    values: dict[str, Any]
    problems: tuple[Problem, ...]
    head: str
    files: tuple[tuple[str, str], ...]


_prepared: dict[tuple[int, int], _Prepared] = {}
_KEPT = 100_000


class _Planner:
    def __init__(self, graph: Graph, registry: Registry, base: Path | None) -> None:
        self.whole = graph
        self.registry = registry
        self.base = base
        self.with_family = registry.with_family
        self.files: list[tuple[str, str, Path, str]] = []
        self.always = False
        """Whether something in the plan must run every time."""
        self.graph, self.problems = laid_open(graph, registry.specs)
        self.special = any(node.mode != "on" or node.type == REROUTE for node in self.graph.nodes.values())
        self.silent: frozenset[str] = _NONE
        self.incoming: Mapping[str, tuple[Link, ...]] = self.graph.incoming
        """The links that arrive at each node, seen through bypassed nodes and reroute dots where there are any."""

    def plan(self, targets: Sequence[str] | None, everything: bool = False) -> tuple[Plan, list[Problem]]:
        nodes, specs = self.graph.nodes, self.registry.specs
        wanted = list(nodes) if everything else self._targets(targets)
        skipped: set[str] = set()
        if self.special:
            self.incoming = {name: self._links(name) for name in self.graph.incoming if not self._is_passed(nodes[name])}
            wanted = self._seen_through(wanted, everything)
            order = self._order(wanted)
            skipped = self._silent(order)
            self.silent = frozenset(skipped)
            order = [name for name in order if name not in skipped]
            if not everything:
                needed = self._needed(order, [name for name in wanted if name not in skipped], skipped)
                order = [name for name in order if name in needed]
        else:
            order = self._order(wanted)
        places: dict[str, int] = {}
        steps: list[Step] = []
        incoming = self.incoming
        for node_id in order:
            node = nodes[node_id]
            spec = specs.get(node.type)
            if spec is None:
                self._unknown(node)
                skipped.add(node_id)
                continue
            step = self._step(node, spec, incoming.get(node_id, ()), steps, places)
            if step is None:
                skipped.add(node_id)
            else:
                places[node_id] = len(steps)
                steps.append(step)
        chosen = tuple(places[name] for name in dict.fromkeys(wanted) if name in places)
        warnings = tuple(problem for problem in self.problems if problem.severity == "warning")
        return Plan(tuple(steps), chosen, frozenset(skipped), warnings), self.problems

    # -- what is muted or passed by

    def _is_passed(self, node: Node) -> bool:
        return node.mode == "bypassed" or (node.type == REROUTE and node.mode == "on")

    def _seen_through(self, wanted: Sequence[str], everything: bool) -> list[str]:
        """In place of a reroute dot that is asked for, what leads to it; a bypassed node does nothing, so it is left out."""
        found = []
        for name in wanted:
            node = self.graph.nodes[name]
            if not self._is_passed(node):
                found.append(name)
            elif node.type == REROUTE and node.mode == "on" and not everything:
                source, _ = self._through(Link(name, "output", "", ""))
                if source:
                    found.append(source)
        return found

    def _silent(self, order: Sequence[str]) -> set[str]:
        """The muted nodes, and those that need one: they do not run, and nothing is wrong with that."""
        silent: set[str] = set()
        for name in order:
            node = self.graph.nodes[name]
            if node.mode == "muted":
                silent.add(name)
                continue
            spec = self.registry.specs.get(node.type)
            if spec is None or not any(link.source in silent for link in self.incoming.get(name, ())):
                continue
            loud = {link.input for link in self.incoming[name] if link.source not in silent}
            lost = {link.input for link in self.incoming[name]} - loud
            if any((item := spec.by_name.get(i)) is not None and item.is_required for i in lost):
                silent.add(name)
        return silent

    def _needed(self, order: Sequence[str], wanted: Sequence[str], skipped: set[str]) -> set[str]:
        """What the wanted nodes need, without what only muted nodes need."""
        needed = set(wanted)
        for name in reversed(order):  # upstream first, so whoever needs a node has been seen before it
            if name in needed:
                needed.update(link.source for link in self.incoming.get(name, ()) if link.source not in skipped)
        return needed

    # -- which nodes, in which order

    def _targets(self, targets: Sequence[str] | None) -> list[str]:
        graph, specs = self.graph, self.registry.specs
        if targets is not None:
            found: list[str] = []
            for name in targets:
                inner = [i for i in graph.nodes if i == name or i.startswith(name + "/")]
                if not inner:
                    self.problems.append(Problem(f"There is no node '{name}' in this graph.", None, kind="unknown-node"))
                elif name in graph.nodes:
                    found.append(name)
                else:  # an instance of a subgraph: what it shows outside, and what it does inside
                    found += self._ends(inner)
            return found
        on = [n for n in graph.nodes.values() if n.mode == "on"]
        sinks = [n.id for n in on if (spec := specs.get(n.type)) is not None and spec.sink]
        return sinks or self._ends([n.id for n in on])

    def _ends(self, ids: Sequence[str]) -> list[str]:
        inside = set(ids)
        sources = {link.source for target in ids for link in self.graph.incoming.get(target, ()) if link.source in inside}
        return [i for i in ids if i not in sources]

    def _order(self, wanted: Sequence[str]) -> list[str]:
        """The wanted nodes and all that feed them, upstream first. Without recursion: chains may be 10,000 nodes long."""
        incoming, special = self.incoming, self.special
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
        names = ", ".join(f"'{self._name(i)}'" for i in around[:5]) + (f" and {len(around) - 5} more" if len(around) > 5 else "")
        words = (
            f"{names} feed each other in a loop. Take one of their links away."
            if len(around) > 1
            else f"{names} feeds itself. Take its link away."
        )
        self.problems.append(Problem(words, start, kind="loop"))

    # -- modes: what really feeds an input

    def _links(self, node_id: str) -> tuple[Link, ...]:
        """The links that arrive, seen through bypassed nodes and reroute dots. A link that comes from nothing has source ""."""
        made = []
        for link in self.graph.incoming.get(node_id, ()):
            source = self._through(link)
            made.append(link if source == (link.source, link.output) else Link(*source, link.target, link.input))
        arriving = self.graph.incoming.get(node_id, ())
        return arriving if made == list(arriving) else tuple(made)

    def _through(self, link: Link) -> tuple[str, str]:
        node_id, output = link.source, link.output
        for _ in range(len(self.graph.nodes) + 1):
            node = self.graph.nodes.get(node_id)
            if node is None:
                return "", ""
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
        spec = node_spec(node, self.whole, self.registry.specs)
        if spec is None or output not in spec.outputs_by_name:
            return None
        wanted = spec.outputs_by_name[output]
        same = [out.name for out in spec.outputs if out.type == wanted.type and out.variable == wanted.variable].index(output)
        fitting = [item for item in spec.inputs if item.type == wanted.type and item.variable == wanted.variable]
        linked = [link for item in fitting if (link := self.graph.link_at(node.id, item.name)) is not None]
        if same < len(fitting) and (link := self.graph.link_at(node.id, fitting[same].name)) is not None:
            return link
        return linked[0] if linked else None

    # -- one node

    def _step(self, node: Node, spec: NodeSpec, links: tuple[Link, ...], steps: list[Step], places: Mapping[str, int]) -> Step | None:
        if self.special and links:
            # the others come from a muted node, or through a bypassed one from nothing
            live = tuple(link for link in links if link.source and link.source not in self.silent)
            links = links if len(live) == len(links) else live
        prepared = self._prepare(node, spec, links)
        if prepared.problems:
            self.problems += prepared.problems
        sources: dict[str, Source | tuple[Source, ...]] = {}
        key: list[str] = []
        mapped: list[str] = []
        family = None
        apart = False  # whether lazy branches are of different families
        types: dict[str, str] = {}
        is_lost = False
        for link in links:
            item = spec.by_name.get(link.input)
            if item is None:
                words = f"'{self._name(node.id)}' has no input '{link.input}' any more. Take the link to it away, or link another input."
                self.problems.append(Problem(words, node.id, link.input, kind="link"))
                continue
            place = places.get(link.source)
            if place is None:  # what feeds it has a problem of its own
                is_lost = is_lost or item.is_required
                continue
            before = steps[place]
            out = before.spec.outputs_by_name.get(link.output)
            if out is None:
                words = f"'{self._name(node.id)}' is linked to the output '{link.output}' of '{self._name(link.source)}', which it does not have. Link another one."
                self.problems.append(Problem(words, node.id, item.name, kind="link"))
                continue
            offered = out.type
            if out.variable and before.types:
                offered = before.types.get(out.variable, offered)
            if offered != item.type and not accepts(item.type, offered):
                words = f"'{item.name}' of '{self._name(node.id)}' takes {in_words(item.type)}. This link carries {in_words(offered)}."
                self.problems.append(Problem(words, node.id, item.name, kind="type"))
                continue
            if item.variable and offered != ANY:
                known = types.get(item.variable, offered)
                if accepts(known, offered):
                    types[item.variable] = known
                elif accepts(offered, known):
                    types[item.variable] = offered
                else:
                    words = f"'{item.name}' of '{self._name(node.id)}' must be {in_words(known)} like what is linked before it. This link carries {in_words(offered)}."
                    self.problems.append(Problem(words, node.id, item.name, kind="type"))
                    continue
            many = link.output in before.many
            source = Source(place, link.output)
            if item.many:
                sources[item.name] = (*sources.get(item.name, ()), source)
            elif item.name in sources:
                words = f"'{item.name}' of '{self._name(node.id)}' takes one link and has several. Take the others away."
                self.problems.append(Problem(words, node.id, item.name, kind="link"))
                continue
            else:
                sources[item.name] = source
                if many:
                    mapped.append(item.name)
            key += (item.name, before.key, link.output)
            if item.type == "path":  # nobody knows which file it will be, so nobody knows what is in it
                self.always = True
                key.append(secrets.token_hex(8))
            if before.family is not None and self._carries(item.type, out.type):
                if item.lazy and family is not None and _base(family) != _base(before.family):
                    apart = True  # only one branch will be used
                else:
                    family = self._same_family(node, item, family, before)
        if is_lost:
            return None
        if spec.id in self.with_family and (own := self._own_family(node, prepared)):
            if family is not None and _base(family) != _base(own):
                words = f"'{self._name(node.id)}' is for {own}, but its links carry {family}. Choose a file for {family}."
                self.problems.append(Problem(words, node.id, None, kind="family"))
            family, apart = own, False
        if not spec.cache:
            self.always = True
            key.append(secrets.token_hex(8))
        values = prepared.values
        if prepared.files:
            values = dict(values)
            for name, _ in prepared.files:
                values[name] = self._file(node, spec.by_name[name], values[name], key)
        digest = xxhash.xxh3_128_hexdigest("\0".join((prepared.head, *key)).encode("utf-8", "surrogatepass"))
        if mapped:
            outputs = frozenset(out.name for out in spec.outputs)
        else:
            outputs = frozenset(out.name for out in spec.outputs if out.many) if spec.outputs else _NONE
        return Step(node.id, spec, values, sources, digest, tuple(mapped), outputs, None if apart else family, types)

    def _prepare(self, node: Node, spec: NodeSpec, links: tuple[Link, ...]) -> _Prepared:
        place = (id(node), id(links))
        known = _prepared.get(place)
        if known is not None and known.node is node and known.links is links and known.spec is spec:
            return known
        linked = {link.input for link in links}
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        files: list[tuple[str, str]] = []
        given = node.values
        head = [spec.id, str(spec.version)]
        for item in spec.inputs:
            name = item.name
            if name in linked:
                continue
            if name in given:
                value = given[name]
                if not fits(item, value):
                    problems.append(why_not(self._name(node.id), node.id, item, value))
                    continue
            elif item.default is REQUIRED and item.type != "path":
                self._needs(node, item, problems)
                continue
            else:
                value = item.default
            kind = item.type
            if kind == "path":
                values[name] = value or None
                if value:
                    files.append((name, str(value)))
                elif not item.optional:
                    problems.append(why_not(self._name(node.id), node.id, item, ""))
                continue
            if kind == "float" and type(value) is int:
                value = float(value)
            values[name] = value
            head.append(name)
            head.append(repr(value) if type(value) in _PLAIN else json.dumps(value, sort_keys=True, default=str))
        if given:
            for name in given:
                if name not in spec.by_name:
                    words = f"'{self._name(node.id)}' does not know '{name}'. It stays in the file and has no effect."
                    problems.append(Problem(words, node.id, name, "warning", "unknown-value"))
        if node.version > spec.version:
            words = f"'{self._name(node.id)}' was saved with a newer version of its node ({node.version}) than is installed ({spec.version}). Update it."
            problems.append(Problem(words, node.id, None, "warning", "newer-node"))
        elif node.version < spec.version:
            words = f"'{self._name(node.id)}' is of an older version of its node ({node.version}; now {spec.version}) and could not be brought up to date. Look at its values."
            problems.append(Problem(words, node.id, None, "warning", "older-node"))
        made = _Prepared(node, links, spec, values, tuple(problems), "\0".join(head), tuple(files))
        if len(_prepared) > _KEPT:
            _prepared.clear()
        _prepared[place] = made
        return made

    def _file(self, node: Node, item: Input, name: Any, key: list[str]) -> Any:
        marker = item.file
        path = self.registry.folders.resolve(marker.folder if marker else "input", str(name), self.base)
        if path is None:
            where = f" in your {marker.folder} folders" if marker else ""
            words = f"'{str(name)[:200]}' for '{item.name}' of '{self._name(node.id)}' is not{where}. Choose another file, or put it there."
            self.problems.append(Problem(words, node.id, item.name, kind="missing-file"))
            return name
        if path.is_dir() and not (marker is not None and marker.folders):
            words = f"'{name}' for '{item.name}' of '{self._name(node.id)}' is a folder. Choose a file in it."
            self.problems.append(Problem(words, node.id, item.name, kind="missing-file"))
            return name
        try:
            word = fingerprint(path)
            self.files.append((marker.folder if marker else "input", str(name), path, word))
            key += (item.name, str(path), word)
        except OSError as error:
            words = f"'{name}' for '{item.name}' of '{self._name(node.id)}' cannot be read: {error.strerror or error}."
            self.problems.append(Problem(words, node.id, item.name, kind="missing-file"))
        return path

    # -- families

    def _own_family(self, node: Node, prepared: _Prepared) -> str | None:
        if any(item.type == "path" and item.name not in prepared.values for item in prepared.spec.inputs):
            return None  # which file it is comes along a link
        values = dict(prepared.values)
        for name, value in prepared.files:
            marker = prepared.spec.by_name[name].file
            path = self.registry.folders.resolve(marker.folder if marker else "input", value, self.base)
            if path is None:
                return None
            values[name] = path
        try:
            return self.registry.family(node.type, values)
        except Exception as error:  # the file is damaged, or a pack's function is; what it says is for the artist
            self.problems.append(Problem(f"'{self._name(node.id)}': {error}", node.id, None, kind="missing-file"))
            return None

    def _carries(self, *types: str) -> bool:
        known = self.registry.port_types
        return any((t := known.get(name)) is not None and t.carries_family for name in types)

    def _same_family(self, node: Node, item: Input, family: str | None, before: Step) -> str | None:
        if family is not None and before.family is not None and _base(family) != _base(before.family):
            words = (
                f"'{self._name(node.id)}' cannot mix model families: '{item.name}' comes from {before.family} "
                f"('{self._name(before.node_id)}'), the rest from {family}. Use models of one family."
            )
            self.problems.append(Problem(words, node.id, item.name, kind="family"))
            return family
        return family or before.family

    # -- words

    def _name(self, node_id: str) -> str:
        node = self.graph.nodes[node_id]
        if node.title:
            return node.title
        spec = self.registry.specs.get(node.type)
        return spec.title if spec else node_id

    def _unknown(self, node: Node) -> None:
        if node.subgraph is not None and node.mode != "bypassed":
            return  # told when the graph was laid open
        words = f"The node '{node.title or node.id}' is of a kind that is not installed: '{node.type}'. Install its pack, mute it, or put another node in its place."
        self.problems.append(Problem(words, node.id, None, kind="unknown-node"))

    def _needs(self, node: Node, item: Input, problems: list[Problem]) -> None:
        if item.is_port:
            giver = _giver(self.registry, item.type)
            remedy = f"Connect a '{giver}' node." if giver else "Connect one."
            words = f"'{self._name(node.id)}' needs {in_words(item.type)} at '{item.name}'. {remedy}"
        else:
            words = f"'{self._name(node.id)}' needs a value for '{item.name}': {ABOUT.get(item.type, item.type)}."
        problems.append(Problem(words, node.id, item.name, kind="missing-input"))


_NONE: frozenset[str] = frozenset()


def _base(family: str) -> str:
    """Variants of a family go together: "sdxl-refiner" with "sdxl"."""
    return family.partition("-")[0]


def _giver(registry: Registry, type_name: str) -> str | None:
    """The node that most simply makes a thing of this type, to propose to the artist."""
    found = [
        spec
        for spec in registry.specs.values()
        if any(out.type == type_name for out in spec.outputs) and all(i.type != type_name for i in spec.inputs)
    ]
    return (
        min(found, key=lambda spec: (bool(spec.pack), len([i for i in spec.inputs if i.is_required]), len(spec.outputs), spec.id)).title
        if found
        else None
    )


_PLAIN = frozenset((str, int, float, bool, type(None)))
