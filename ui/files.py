"""Reading and writing graphs without holding up the window, and noticing that somebody else wrote the same file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import xxhash

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.graph import SUBGRAPH, Graph
from nodegraph.spec import NodeSpec
from nodegraph.subgraphs import spec_of
from ui.document import Document
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.registry import Registry


@dataclass(frozen=True)
class Seen:
    """A file as it was when it was last read or written: a touch without a change is not a conflict."""

    stamp: tuple[int, int]  # mtime in ns, size
    content: str


def look(path: Path) -> Seen | None:
    """The file as it is now; None when it is gone or cannot be read."""
    try:
        status = os.stat(path)
        return Seen((status.st_mtime_ns, status.st_size), xxhash.xxh3_128_hexdigest(path.read_bytes()))
    except OSError:
        return None


def changed_since(path: Path, seen: Seen | None) -> bool:
    """Whether somebody else wrote (or made) the file since it was `seen`. A file that is gone is no conflict: it is written anew."""
    try:
        status = os.stat(path)
    except OSError:
        return False
    if seen is None:
        return True
    if (status.st_mtime_ns, status.st_size) == seen.stamp:
        return False
    now = look(path)
    return now is not None and now.content != seen.content


class Conflict(GraphError):
    """The file on disk is not the one that this document was read from or last written to."""


@dataclass(frozen=True)
class Opened:
    """A graph out of a file, and the file as it was."""

    graph: Graph
    seen: Seen | None
    from_picture: bool = False


def read(path: Path, registry: Registry | None, newer: bool = False) -> Opened:
    """Read a `.graph`, a picture that carries a graph, or (by the registry's importers) a foreign workflow. Nothing in it is run.

    Raises:
        GraphError: It cannot be read, or is no graph. NewerFormat when it is of a newer version.
    """
    suffix = path.suffix.lower()
    seen = look(path)
    if suffix not in (".graph", ".png") and registry is not None:
        for importer in registry.importers:
            if suffix in importer.suffixes:
                try:
                    return Opened(importer.read(path.read_bytes()), None, from_picture=True)
                except OSError as error:
                    raise GraphError(f"Cannot read '{path.name}': {error.strerror or error}.") from error
    graph = graphfile.read(path, registry, newer)
    return Opened(graph, seen, from_picture=suffix == ".png")


def subgraph_specs(graph: Graph, specs: Mapping[str, NodeSpec]) -> dict[str, NodeSpec]:
    """The specs of all subgraph definitions of a graph, by node type."""
    return {SUBGRAPH + name: spec_of(name, graph, specs) for name in graph.subgraphs}


def write(path: Path, graph: Graph, seen: Seen | None, overwrite: bool) -> Seen | None:
    """Write a graph; returns the file as it is now.

    Raises:
        Conflict: Somebody else wrote the file since it was `seen`, and `overwrite` is False.
        GraphError: It cannot be written; what was there is untouched.
    """
    if not overwrite and changed_since(path, seen):
        raise Conflict(f"'{path.name}' was changed by another program since you opened it.")
    graphfile.write(path, graph)
    return look(path)


def save(
    document: Document,
    path: Path,
    overwrite: bool = False,
    done: Callable[[Path], None] | None = None,
    failed: Callable[[Exception], None] | None = None,
) -> None:
    """Write a document in the background. It counts as saved, as it was when writing began, once the file is there."""
    graph = document.root
    seen = document.seen if isinstance(document.seen, Seen) and document.path == path else None

    def written(now: Seen | None) -> None:
        document.mark_saved(graph, path, now)
        if done is not None:
            done(path)

    background().run(lambda: write(path, graph, seen, overwrite), written, failed)
