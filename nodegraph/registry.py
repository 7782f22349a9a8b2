"""Finds nodes: those that ship, those of installed packages (entry points "nodegraph.plugins"), and files in the
user's node folder that the user has switched on. A broken pack becomes a report, never a crash."""

from __future__ import annotations

import hashlib
import importlib
import importlib.machinery
import importlib.util
import json
import pkgutil
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from nodegraph import logs
from nodegraph.errors import GraphError
from nodegraph.folders import Folders, read_settings, standard
from nodegraph.graph import REROUTE, Graph
from nodegraph.node import Declaration, Upgrade
from nodegraph.saving import write_atomically
from nodegraph.spec import ANY, Input, NodeSpec, Output, PortType, SpecError, read_spec

ENTRY_POINTS = "nodegraph.plugins"
REROUTE_SPEC = NodeSpec(
    REROUTE,
    1,
    "Reroute",
    "",
    "Lead a link another way.",
    "",
    (Input("input", ANY, variable="T"),),
    (Output("output", ANY, variable="T"),),
    source="nodegraph.registry:_reroute",
)


def _reroute(input: Any) -> Any:
    return input


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a pack: `error` is empty when all is well. `details` is for the log."""

    pack: str
    nodes: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    seconds: float = field(default=0.0, compare=False)
    """How long it took to load."""


@dataclass(frozen=True, slots=True)
class Pack:
    """How a pack stands: "changed" is no more the file that was switched on, "gone" is no longer there. A broken one may still have nodes."""

    pack: str
    state: Literal["on", "off", "changed", "gone", "broken"]
    nodes: tuple[str, ...] = ()
    error: str = ""
    details: str = ""
    seconds: float = field(default=0.0, compare=False)
    own: bool = False
    """A file in the user's node folder, which `enable_plugin` switches."""

    @property
    def is_slow(self) -> bool:
        """Whether a person notices it at each start."""
        return self.seconds >= 0.5


@dataclass(frozen=True, slots=True)
class PackCode:
    """Where the code of a pack lies, a file or a folder, and a word that changes with it."""

    root: Path
    word: str


@dataclass(frozen=True, slots=True)
class Importer:
    """Reads a foreign kind of file into a Graph, as a ComfyUI workflow."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[bytes], Graph]


@dataclass
class Registry:
    """All nodes that are there: specs to look at, functions to run."""

    specs: dict[str, NodeSpec] = field(default_factory=dict)
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict)
    port_types: dict[str, PortType] = field(default_factory=dict)
    classes: dict[str, type] = field(default_factory=dict)
    """The classes of port types by name, for the cache to make them anew."""
    importers: list[Importer] = field(default_factory=list)
    with_family: set[str] = field(default_factory=set)
    """The nodes that can tell a model family from their values."""
    free_memory: list[Callable[[], None]] = field(default_factory=list)
    """What packs want called when memory is short or the user asks for it (a module's function `free_memory`)."""
    reports: list[Report] = field(default_factory=list)
    packs: dict[str, PackCode] = field(default_factory=dict)
    folders: Folders = field(default_factory=standard)

    @classmethod
    def load(cls, folders: Folders | None = None, plugins: bool = True) -> Registry:
        """Find all nodes. `plugins=False` takes only those that ship (safe mode)."""
        registry = cls(folders=folders or standard())
        registry.add_spec(REROUTE_SPEC, _reroute)
        registry.add_package(_own_nodes(), pack="")
        if plugins:
            registry._add_entry_points()
            registry._add_user_files()
        return registry

    def function(self, node_type: str) -> Callable[..., Any]:
        """The function behind a node."""
        return self.functions[node_type]

    def upgrades(self, node_type: str) -> Mapping[int, Upgrade]:
        """From each old version of a node, how its saved inputs become the next one's."""
        declared: Declaration | None = getattr(self.functions.get(node_type), "__node__", None)
        return declared.upgrades if declared else {}

    def family(self, node_type: str, values: Mapping[str, Any]) -> str | None:
        """The model family that a node's outputs carry, as far as its values (files as paths) tell."""
        declared: Declaration | None = getattr(self.functions.get(node_type), "__node__", None)
        return declared.family(values) if declared and declared.family else None

    def add_function(self, function: Callable[..., Any], pack: str = "") -> NodeSpec:
        """Take in one function that @node has marked.

        Raises:
            SpecError: It cannot be a node as declared.
            GraphError: Another pack has a node of this id.
        """
        types = dict(self.port_types)
        spec = read_spec(function, pack, types)
        if pack in self.packs:
            spec = replace(spec, code=self.packs[pack].word)
        classes = list(_classes(function))
        for hint in classes:
            self._check_class(hint)
        self.add_spec(spec, function)
        self.port_types.update(types)
        for hint in classes:
            self.classes.setdefault(hint.__name__, hint)
        return spec

    def _check_class(self, kind: type) -> None:
        """Links know types by their names, so a name may mean one class only."""
        known = self.classes.get(kind.__name__)
        if known is not None and known is not kind:
            raise GraphError(
                f"Two types are called '{kind.__name__}': that of '{known.__module__}' and that of '{kind.__module__}'. Rename one, or use the other."
            )

    def add_spec(self, spec: NodeSpec, function: Callable[..., Any]) -> None:
        """Take in a node whose spec is at hand."""
        known = self.specs.get(spec.id)
        if known is not None and known.source != spec.source:
            raise GraphError(f"The node '{spec.id}' is there twice: from '{known.source}' and from '{spec.source}'.")
        self.specs[spec.id] = spec
        self.functions[spec.id] = function
        declared: Declaration | None = getattr(function, "__node__", None)
        if declared is not None and declared.family is not None:
            self.with_family.add(spec.id)

    def add_module(self, module: ModuleType, pack: str = "") -> list[str]:
        """Take in every node that a module defines; returns their ids. All of them or, if one cannot be, none.

        Raises:
            SpecError, GraphError: As `add_function`.
        """
        before = [dict(m) for m in (self.specs, self.functions, self.port_types, self.classes)]
        found: list[str] = []
        importers = []
        try:
            for value in list(vars(module).values()):
                if callable(value) and hasattr(value, "__node__") and getattr(value, "__module__", "") == module.__name__:
                    found.append(self.add_function(value, pack).id)
                elif isinstance(value, Importer):
                    importers.append(value)
                elif isinstance(value, type) and hasattr(value, "__port__"):
                    self._check_class(value)
                    self.classes.setdefault(value.__name__, value)
        except BaseException:
            for mapping, was in zip((self.specs, self.functions, self.port_types, self.classes), before, strict=True):
                mapping.clear()  # type: ignore[attr-defined]
                mapping.update(was)  # type: ignore[attr-defined]
            self.with_family &= self.specs.keys()
            raise
        self.importers += [importer for importer in importers if importer not in self.importers]
        free = getattr(module, "free_memory", None)
        if callable(free) and free not in self.free_memory:
            self.free_memory.append(free)
        return found

    def add_package(self, package: ModuleType, pack: str) -> list[str]:
        """Take in the nodes of a package and of the modules directly inside it. A broken module costs only itself."""
        found = self.add_module(package, pack)
        for info in pkgutil.iter_modules(getattr(package, "__path__", ()), package.__name__ + "."):
            if info.ispkg:
                continue
            try:
                found += self.add_module(importlib.import_module(info.name), pack)
            except (Exception, SystemExit) as error:  # a pack may raise anything at all
                self.reports.append(_broken(pack or info.name, error, self.packs.get(pack)))
        return found

    def _add_entry_points(self) -> None:
        from importlib.metadata import entry_points

        for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
            began = time.perf_counter()
            try:
                self.packs[entry.name] = _code_of(entry.module)
                loaded = entry.load()
                if not isinstance(loaded, ModuleType):
                    raise TypeError(f"the entry point '{entry.name}' must name a module")
                found = self.add_package(loaded, entry.name)
                self.reports.append(Report(entry.name, tuple(found), seconds=time.perf_counter() - began))
            except (Exception, SystemExit) as error:
                self.reports.append(_broken(entry.name, error, self.packs.get(entry.name)))

    def _add_user_files(self) -> None:
        for name, known in sorted(_switched_on(self.folders).items()):
            path = self.folders.plugins / name
            _, trouble, source = _looked_at(path, name, known)
            if trouble:
                self.reports.append(Report(name, error=trouble))
                continue
            self.packs[name] = PackCode(path, known)
            began = time.perf_counter()
            try:
                found = self.add_module(_import_file(path, source), name)
                self.reports.append(Report(name, tuple(found), seconds=time.perf_counter() - began))
            except (Exception, SystemExit) as error:
                self.reports.append(_broken(name, error, self.packs[name]))


def enable_plugin(folders: Folders, name: str, on: bool = True) -> None:
    """Switch a file in the user's node folder on (as it is now, by its hash) or off. Only a person may call for this.

    Raises:
        GraphError: There is no such file, or the settings cannot be written.
    """
    path = folders.plugins / name
    settings = read_settings(folders.settings)
    if not settings and folders.settings.exists() and folders.settings.read_bytes().strip() not in (b"", b"{}"):
        raise GraphError(f"The settings in '{folders.settings}' cannot be read. Repair the file or move it away first.")
    plugins = dict(settings["plugins"]) if isinstance(settings.get("plugins"), dict) else {}
    if on:
        if not _is_plugin_name(name):
            raise GraphError(f"'{name}' is not the name of a Python file. Put a .py file into '{folders.plugins}' and give its name.")
        if not path.is_file():
            raise GraphError(f"There is no '{name}' in '{folders.plugins}'. Put the file there first.")
        plugins[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    else:
        plugins.pop(name, None)
    folders.home.mkdir(parents=True, exist_ok=True)
    write_atomically(folders.settings, json.dumps({**settings, "plugins": plugins}, indent=1).encode())


def list_packs(folders: Folders, reports: Iterable[Report]) -> list[Pack]:
    """Every pack: the files in the user's node folder and those that were switched on, as they are now; then what else `reports` tell of."""
    told: dict[str, list[Report]] = {}
    for report in reports:
        told.setdefault(report.pack, []).append(report)
    enabled = _switched_on(folders)
    files = {path.name for path in folders.plugins.glob("*.py") if _is_plugin_name(path.name)}
    found = []
    for name in sorted(files | enabled.keys()):
        heard = told.pop(name, [])
        if name not in enabled:
            found.append(Pack(name, "off", own=True))
            continue
        state, error, _ = _looked_at(folders.plugins / name, name, enabled[name])
        found.append(Pack(name, state, error=error, own=True) if error else _as_told(name, heard, own=True))
    return found + [_as_told(name, heard) for name, heard in told.items()]


def _as_told(name: str, reports: list[Report], own: bool = False) -> Pack:
    """One pack of all that was reported of it: each broken module of a package has a report of its own."""
    nodes = tuple(node for report in reports for node in report.nodes)
    error, details = ("\n".join(text for text in texts if text) for texts in ([r.error for r in reports], [r.details for r in reports]))
    return Pack(name, "broken" if error else "on", nodes, error, details, sum(report.seconds for report in reports), own)


def _switched_on(folders: Folders) -> dict[str, Any]:
    """The files that the user switched on, with the hash that each had then."""
    enabled = read_settings(folders.settings).get("plugins", {})
    return enabled if isinstance(enabled, dict) else {}


def _looked_at(path: Path, name: str, known: Any) -> tuple[Literal["on", "changed", "gone", "broken"], str, bytes]:
    """How a file that was switched on stands, what is wrong with it in words, and its bytes if nothing is."""
    if not _is_plugin_name(name):
        return "broken", f"'{name}' is not the name of a Python file in '{path.parent}'.", b""
    try:
        source = path.read_bytes()
    except OSError:
        return "gone", f"'{name}' is switched on, but it is no longer in '{path.parent}'.", b""
    if hashlib.sha256(source).hexdigest() != known:
        return "changed", f"'{name}' has changed since you switched it on. Look at it, then switch it on again.", b""
    return "on", "", source


def _own_nodes() -> ModuleType:
    """The package `nodes` that ships with this program, and no other that happens to have its name."""
    ours = Path(__file__).resolve().parent.parent / "nodes"
    found = importlib.util.find_spec("nodes")  # looked at before it is run
    places = [Path(place).resolve() for place in (found.submodule_search_locations or ())] if found else []
    if ours not in places:
        where = (found.origin or places) if found else "nothing"
        raise GraphError(f"Another 'nodes' ({where}) hides Nodegraph's own. Start with the 'nodegraph' command, from another folder.")
    return importlib.import_module("nodes")


def _is_plugin_name(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(".") and not any(c in name for c in "/\\:\0")


class _Looked(importlib.machinery.SourceFileLoader):
    """Runs the very bytes that were compared with what the user agreed to: not the file read again, nor a compiled one beside it."""

    def __init__(self, name: str, path: Path, source: bytes) -> None:
        super().__init__(name, str(path))
        self._source = source

    def get_data(self, path: str) -> bytes:
        return self._source

    def path_stats(self, path: str) -> Mapping[str, Any]:
        raise OSError  # then no compiled file is looked for, or written


def _import_file(path: Path, source: bytes) -> ModuleType:
    name = f"nodegraph_user_{path.stem}"
    loader = _Looked(name, path, source)
    found = importlib.util.spec_from_loader(name, loader)
    if found is None:
        raise ImportError(f"'{path.name}' is not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _code_of(module: str) -> PackCode:
    """The package that a module stands in, known by all Python files in it: a node may call any of them."""
    found = importlib.util.find_spec(module.partition(".")[0])  # looked at before it is run
    if found is None:
        raise ModuleNotFoundError(f"No module named '{module}'")
    folders = [Path(place) for place in found.submodule_search_locations or ()]
    own = Path(found.origin or "")
    content = hashlib.sha256()
    for file in sorted(file for folder in folders for file in folder.rglob("*.py")) or [own]:
        with suppress(OSError):
            content.update(hashlib.sha256(file.read_bytes()).digest())
    return PackCode(folders[0] if folders else own, content.hexdigest())


def _broken(pack: str, error: BaseException, code: PackCode | None = None) -> Report:
    """A report in words; where in the pack's own code it went wrong, if its author needs telling."""
    words = str(error) if isinstance(error, (GraphError, SpecError)) else f"{type(error).__name__}: {error}"
    place = logs.place_in(error, code.root) if code else ""
    return Report(pack, error=f"'{pack}' cannot be used: {words}{f' ({place})' if place else ''}", details=traceback.format_exc())


def _classes(function: Callable[..., Any]) -> Iterable[type]:
    """The classes in a function's signature, whatever they are wrapped in."""
    import typing

    waiting = list(typing.get_type_hints(function, include_extras=True).values())
    while waiting:
        hint = waiting.pop()
        waiting += [a for a in typing.get_args(hint) if not isinstance(a, (str, int, float, bool))]
        if isinstance(hint, type) and hasattr(hint, "_fields"):
            waiting += typing.get_type_hints(hint).values()
        elif isinstance(hint, type) and hint.__module__ != "builtins":
            yield hint
