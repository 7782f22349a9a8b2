"""What the program knows about a node beyond the graph: its model family, which of its files are not there, what editors may offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph.graph import Node
from nodegraph.node import File
from ui import vocabulary
from ui.document import Document
from ui.drops import stored_name
from ui.panels.controls import EditorContext

if TYPE_CHECKING:
    from nodegraph.registry import Registry

FAMILIES = {"sd1": "SD 1.5", "sd2": "SD 2", "sdxl": "SDXL", "sdxl-refiner": "Refiner", "sd3": "SD 3", "flux1": "FLUX", "flux2": "FLUX.2"}
SIDES = {"SD 1.5": 512, "SD 2": 768, "SDXL": 1024, "SD 3": 1024, "FLUX": 1024, "FLUX.2": 1024}
"""Pixels a side that a family's pictures begin with."""
EMPTY_LATENT, SHIPPED_SIDE = "latent/empty", 128


@dataclass(frozen=True)
class Insight:
    """Four answers that a canvas asks for."""

    family: Callable[[Node], str | None]
    missing_files: Callable[[Node], frozenset[str]]
    context: EditorContext
    usual_values: Callable[[str], Mapping[str, Any]]
    """What a new node of this type begins with in this graph, where its model asks for other values than the node's own."""


def insight_of(registry: Registry, document: Document) -> Insight:
    """Insight into the nodes of a document; files are looked up once for each name."""
    folders = registry.folders
    base = document.path.parent if document.path is not None else None

    @lru_cache(maxsize=512)
    def resolved(folder: str, name: str) -> Path | None:
        return folders.resolve(folder, name, base)

    @lru_cache(maxsize=512)
    def family_name(type_id: str, values: tuple[tuple[str, str], ...]) -> str | None:
        try:
            found = registry.family(type_id, {name: Path(path) for name, path in values})
        except Exception:  # a header that cannot be read costs a chip, not the window; the plan tells what is wrong
            return None
        return FAMILIES.get(found, found) if found else None

    def files_of(node: Node) -> list[tuple[str, File, str]]:
        spec = registry.specs.get(node.type)
        found = []
        for item in spec.inputs if spec is not None else ():
            value = node.values.get(item.name, item.default)
            if item.file is not None and isinstance(value, str) and value:
                found.append((item.name, item.file, value))
        return found

    def family(node: Node) -> str | None:
        paths = tuple((name, str(path)) for name, marker, value in files_of(node) if (path := resolved(marker.folder, value)) is not None)
        return family_name(node.type, paths) if paths else None

    def missing(node: Node) -> frozenset[str]:
        return frozenset(name for name, marker, value in files_of(node) if resolved(marker.folder, value) is None)

    def family_of_file(marker: File, name: str) -> str | None:
        """As a node tells that opens files of this folder, or else of these kinds: all read the same headers."""
        path = resolved(marker.folder, name)
        tellers = [
            (item.file.folder != marker.folder, type_id, item.name)
            for type_id in sorted(registry.with_family)
            for item in registry.specs[type_id].inputs
            if item.file is not None and (item.file.folder == marker.folder or set(item.file.suffixes) >= set(marker.suffixes) > set())
        ]
        if path is None or not tellers:
            return None
        _, type_id, key = min(tellers)
        return family_name(type_id, ((key, str(path)),))

    def usual_values(type_id: str) -> Mapping[str, Any]:
        if type_id != EMPTY_LATENT:
            return {}
        if vocabulary.uses_shipped_model(document.root):
            return {"width": SHIPPED_SIDE, "height": SHIPPED_SIDE}
        sides = {SIDES[name] for node in document.graph.nodes.values() if (name := family(node)) in SIDES}
        return dict.fromkeys(("width", "height"), sides.pop()) if len(sides) == 1 else {}

    context = EditorContext(
        files=folders.names,
        path_of=lambda marker, name: resolved(marker.folder, name),
        name_of=lambda marker, path: stored_name(folders, marker.folder, path),
        family_of=family_of_file,
        words=lambda: vocabulary.inversions(folders),
        vocabulary=lambda: vocabulary.shipped_words() if vocabulary.uses_shipped_model(document.root) else (),
    )
    return Insight(family, missing, context, usual_values)
