"""One node of a graph as a step of a plan: its links and values judged, its files found, and the key its result is cached under."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from nodegraph.errors import Problem
from nodegraph.expansion import GIVEN
from nodegraph.fingerprint import fingerprint
from nodegraph.graph import Graph, Link, Node
from nodegraph.loops import Loop
from nodegraph.registry import Registry
from nodegraph.spec import ANY, REQUIRED, Input, NodeSpec, Output, accepts
from nodegraph.upgrading import why_old
from nodegraph.values import ABOUT, fits, in_words, why_not


class Source(NamedTuple):
    """Where a linked input takes its value: the place of a step in the plan, and one of its outputs."""

    step: int
    output: str


class Given(NamedTuple):
    """What arrives at an input of a node that expands, as the nodes of its expansion see it."""

    type: str
    key: str
    output: str
    many: bool = False
    family: str | None = None
    value: Any = None
    """A plain value, where the input takes one and it is known."""

    def as_step(self, place: str) -> Step:
        many = frozenset((self.output,)) if self.many else _NONE
        spec = NodeSpec(GIVEN, 1, place[len(GIVEN) :], "", "", "", (), (Output(self.output, self.type, self.many),))
        return Step(place, spec, {}, {}, self.key, (), many, self.family, {})


def each_of(source: Source | tuple[Source, ...]) -> tuple[Source, ...]:
    """The links that arrive at an input, one or several."""
    return (source,) if isinstance(source, Source) else source


class Step:
    """One node to run. `values` has every input that is not linked, `sources` those that are."""

    __slots__ = ("family", "key", "loop", "many", "mapped", "node_id", "sources", "spec", "types", "values")

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
        loop: Loop | None = None,
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
        self.loop = loop
        """What stands here if it is a subgraph that runs more than once."""

    def gives(self, output: str) -> Given:
        """One of its outputs, as what it is linked to sees it."""
        out = self.spec.outputs_by_name[output]
        return Given(self.types.get(out.variable, out.type), self.key, output, output in self.many, self.family)

    def __repr__(self) -> str:
        return f"Step({self.node_id!r}, {self.spec.id!r}, {self.key[:8]})"


class _Prepared(NamedTuple):
    """What follows from a node's values and the names of its linked inputs alone, kept between plans as both are immutable."""

    spec: NodeSpec
    values: dict[str, Any]
    problems: tuple[Problem, ...]
    head: str
    files: tuple[tuple[str, str], ...]


_prepared: dict[tuple[int, int], tuple[Node, tuple[Link, ...], _Prepared]] = {}
"""By the very node and links: what a graph that was edited shares with the one before."""
_alike: dict[tuple[Any, ...], _Prepared] = {}
"""By what nodes say, if there is nothing wrong with it: for graphs read anew from a file."""
_KEPT = 100_000


class Steps:
    """Makes the steps of one plan, and notes what is wrong on the way."""

    def __init__(
        self,
        graph: Graph,
        registry: Registry,
        base: Path | None,
        problems: list[Problem],
        spec: Callable[[Node], NodeSpec | None],
        is_inside: bool,
    ) -> None:
        self.graph = graph
        self.registry = registry
        self.spec = spec
        self.base = base
        self.problems = problems
        self.is_inside = is_inside
        self.with_family = registry.with_family
        self.files: list[tuple[str, str, Path, str]] = []
        self.always = False
        """Whether something in the plan must run every time."""

    def make(self, node: Node, spec: NodeSpec, links: tuple[Link, ...], steps: list[Step], places: Mapping[str, int]) -> Step | None:
        """The step of a node, after those in `steps`, which are found by `places`. None if what it needs has a problem of its own."""
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
                words = f"'{self.name(node.id)}' has no input '{link.input}' any more. Take the link to it away, or link another input."
                self.problems.append(Problem(words, node.id, link.input, kind="link"))
                continue
            place = places.get(link.source)
            if place is None:  # what feeds it has a problem of its own
                is_lost = is_lost or item.is_required
                continue
            before = steps[place]
            out = before.spec.outputs_by_name.get(link.output)
            if out is None:
                words = f"'{self.name(node.id)}' is linked to the output '{link.output}' of '{self.name(link.source)}', which it does not have. Link another one."
                self.problems.append(Problem(words, node.id, item.name, kind="link"))
                continue
            offered = out.type
            if out.variable and before.types:
                offered = before.types.get(out.variable, offered)
            if offered != item.type and not accepts(item.type, offered):
                words = f"'{item.name}' of '{self.name(node.id)}' takes {in_words(item.type)}. This link carries {in_words(offered)}."
                self.problems.append(Problem(words, node.id, item.name, kind="type"))
                continue
            if item.variable and offered != ANY:
                known = types.get(item.variable, offered)
                if accepts(known, offered):
                    types[item.variable] = known
                elif accepts(offered, known):
                    types[item.variable] = offered
                else:
                    words = f"'{item.name}' of '{self.name(node.id)}' must be {in_words(known)} like what is linked before it. This link carries {in_words(offered)}."
                    self.problems.append(Problem(words, node.id, item.name, kind="type"))
                    continue
            many = link.output in before.many
            source = Source(place, link.output)
            if item.many:
                sources[item.name] = (*sources.get(item.name, ()), source)
            elif item.name in sources:
                words = f"'{item.name}' of '{self.name(node.id)}' takes one link and has several. Take the others away."
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
                words = f"'{self.name(node.id)}' is for {own}, but its links carry {family}. Choose a file for {family}."
                self.problems.append(Problem(words, node.id, None, kind="family"))
            family, apart = family or own, False  # one mistake is told once, not at every node behind it
        if not spec.cache:
            self.always = True
            key.append(secrets.token_hex(8))
        values = prepared.values
        if prepared.files:
            values = dict(values)
            for name, _ in prepared.files:
                values[name] = self._file(node, spec.by_name[name], values[name], key)
        digest = xxhash.xxh3_128_hexdigest("\0".join((prepared.head, *key)).encode("utf-8", "surrogatepass"))
        if not mapped:
            return Step(node.id, spec, values, sources, digest, (), spec.lists, None if apart else family, types)
        outputs = frozenset(spec.outputs_by_name)
        return Step(node.id, spec, values, sources, digest, tuple(mapped), outputs, None if apart else family, types)

    def _prepare(self, node: Node, spec: NodeSpec, links: tuple[Link, ...]) -> _Prepared:
        place = (id(node), id(links))
        known = _prepared.get(place)
        if known is not None and known[0] is node and known[1] is links and known[2].spec is spec:
            return known[2]
        given = node.values
        # 1, 1.0 and True are equal, and not the same value
        content = (spec.id, node.version, *[link.input for link in links], *given.items(), *map(type, given.values()))
        try:
            made = _alike.get(content)
        except TypeError:  # a list or an object in a file, where no input takes one
            made = None
        if made is None or made.spec is not spec:
            made = self._read(node, spec, links)
            if not made.problems:
                if len(_alike) > _KEPT:
                    _alike.clear()
                _alike[content] = made
        if not self.is_inside:  # those nodes are gone with their expansion
            if len(_prepared) > _KEPT:
                _prepared.clear()
            _prepared[place] = (node, links, made)
        return made

    def _read(self, node: Node, spec: NodeSpec, links: tuple[Link, ...]) -> _Prepared:
        """The values of a node, defaults filled in, and what is wrong with them."""
        linked = {link.input for link in links}
        values: dict[str, Any] = {}
        problems: list[Problem] = []
        files: list[tuple[str, str]] = []
        given = node.values
        head = [spec.id, str(spec.version), *([spec.code] if spec.code else [])]
        for item in spec.inputs:
            name = item.name
            if name in linked:
                continue
            if name in given:
                value = given[name]
                if not fits(item, value):
                    problems.append(why_not(self.name(node.id), node.id, item, value))
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
                    problems.append(why_not(self.name(node.id), node.id, item, ""))
                continue
            if kind == "float" and type(value) is int:
                value = float(value)
            values[name] = value
            head.append(name)
            head.append(repr(value) if type(value) in _PLAIN else json.dumps(value, sort_keys=True, default=str))
        if given:
            for name in given:
                if name not in spec.by_name:
                    words = f"'{self.name(node.id)}' does not know '{name}'. It stays in the file and has no effect."
                    problems.append(Problem(words, node.id, name, "warning", "unknown-value"))
        if node.version > spec.version:
            words = f"'{self.name(node.id)}' was saved with a newer version of its node ({node.version}) than is installed ({spec.version}). Update it."
            problems.append(Problem(words, node.id, None, "warning", "newer-node"))
        elif node.version < spec.version:
            why = why_old(node, spec, self.registry)
            words = (
                f"'{self.name(node.id)}' is of an older version of its node ({node.version}; now {spec.version}) and could not be brought "
                f"up to date{f' ({why})' if why else ''}. Look at its values."
            )
            problems.append(Problem(words, node.id, None, "warning", "older-node"))
        return _Prepared(spec, values, tuple(problems), "\0".join(head), tuple(files))

    def _file(self, node: Node, item: Input, name: Any, key: list[str]) -> Any:
        marker = item.file
        path = self.registry.folders.resolve(marker.folder if marker else "input", str(name), self.base)
        if path is None:
            where = f" in your {marker.folder} folders" if marker else ""
            words = f"'{str(name)[:200]}' for '{item.name}' of '{self.name(node.id)}' is not{where}. Choose another file, or put it there."
            self.problems.append(Problem(words, node.id, item.name, kind="missing-file"))
            return name
        if path.is_dir() and not (marker is not None and marker.folders):
            words = f"'{name}' for '{item.name}' of '{self.name(node.id)}' is a folder. Choose a file in it."
            self.problems.append(Problem(words, node.id, item.name, kind="missing-file"))
            return name
        try:
            word = fingerprint(path)
            self.files.append((marker.folder if marker else "input", str(name), path, word))
            key += (item.name, str(path), word)
        except OSError as error:
            words = f"'{name}' for '{item.name}' of '{self.name(node.id)}' cannot be read: {error.strerror or error}."
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
            self.problems.append(Problem(f"'{self.name(node.id)}': {error}", node.id, None, kind="missing-file"))
            return None

    def _carries(self, *types: str) -> bool:
        known = self.registry.port_types
        return any((t := known.get(name)) is not None and t.carries_family for name in types)

    def _same_family(self, node: Node, item: Input, family: str | None, before: Step) -> str | None:
        if family is not None and before.family is not None and _base(family) != _base(before.family):
            words = (
                f"'{self.name(node.id)}' cannot mix model families: '{item.name}' comes from {before.family} "
                f"('{self.name(before.node_id)}'), the rest from {family}. Use models of one family."
            )
            self.problems.append(Problem(words, node.id, item.name, kind="family"))
            return family
        return family or before.family

    # -- words

    def name(self, node_id: str) -> str:
        """What the artist calls a node."""
        node = self.graph.nodes.get(node_id)
        if node is None:
            return node_id[len(GIVEN) :].partition("#")[0].partition(":")[0]
        if node.title:
            return node.title
        spec = self.spec(node)
        return spec.title if spec else node_id

    def unknown(self, node: Node) -> None:
        """Tell that a node is of a kind that nobody knows."""
        if node.subgraph is not None and node.mode != "bypassed":
            return  # told when the graph was laid open
        words = f"The node '{node.title or node.id}' is of a kind that is not installed: '{node.type}'. Install its pack, mute it, or put another node in its place."
        broken = [f"'{report.pack}'" for report in self.registry.reports if report.error]
        if broken:
            words += f" Perhaps it is in a pack that cannot be used now: {', '.join(broken[:4])}. 'Node packs' in Preferences and 'nodegraph packs' tell why."
        self.problems.append(Problem(words, node.id, None, kind="unknown-node"))

    def _needs(self, node: Node, item: Input, problems: list[Problem]) -> None:
        if item.is_port:
            giver = _giver(self.registry, item.type)
            remedy = f"Connect a '{giver}' node." if giver else "Connect one."
            words = f"'{self.name(node.id)}' needs {in_words(item.type)} at '{item.name}'. {remedy}"
        else:
            words = f"'{self.name(node.id)}' needs a value for '{item.name}': {ABOUT.get(item.type, item.type)}."
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
