"""The shipped examples as a gallery: what each makes, with a picture it made, and whether it runs on this computer at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nodegraph.folders import RESOURCES

if TYPE_CHECKING:
    from nodegraph.graph import Graph
    from nodegraph.registry import Registry

EXAMPLES: Final = RESOURCES / "examples"
PICTURES: Final = (".webp", ".jpg", ".png")
TAGS: Final = ("Text to image", "Image to image", "Inpaint", "ControlNet", "LoRA", "Upscale", "Batch", "Text", "Service")


@dataclass(frozen=True)
class Template:
    """One example. `needs` says in words what is missing; empty: it runs at once."""

    path: Path
    title: str
    about: str
    nodes: int
    tags: tuple[str, ...]
    picture: Path | None
    needs: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.needs


def read_templates(registry: Registry, folder: Path = EXAMPLES) -> list[Template]:
    """All examples, those that run at once first. One that cannot be read is left out; the tests see to it that none is."""
    from nodegraph.errors import GraphError
    from ui import files

    found = []
    for path in sorted(folder.glob("*.graph")):
        try:
            found.append(_template(path, files.read(path, registry).graph, registry))
        except GraphError:
            continue
    order = {"text_to_image": 0, "image_to_image": 1, "inpaint": 2}
    return sorted(found, key=lambda one: (not one.is_ready, order.get(one.path.stem, 9), one.title))


def _template(path: Path, graph: Graph, registry: Registry) -> Template:
    from nodegraph.plan import check

    title = str(graph.meta.get("title") or path.stem.replace("_", " ").capitalize())
    problems = [p for p in check(graph, registry, path.parent) if p.severity == "error"]
    kinds = {problem.kind for problem in problems}
    needs = "" if not problems else "needs a model" if kinds <= {"missing-file", "missing-input"} else "needs more nodes"
    picture = next((place for suffix in PICTURES if (place := path.with_suffix(suffix)).exists()), None)
    return Template(path, title, str(graph.meta.get("description") or ""), len(graph.nodes), tags_of(graph), picture, needs)


def usual_followers(registry: Registry, folder: Path = EXAMPLES) -> dict[str, dict[str, int]]:
    """How often a node type follows (or "<" precedes) a port type in the examples: what a search offers first to who has no habits yet."""
    from nodegraph.errors import GraphError
    from ui import files

    found: dict[str, dict[str, int]] = {}
    for path in sorted(folder.glob("*.graph")):
        try:
            graph = files.read(path, registry).graph
        except GraphError:
            continue
        for link in graph.links:
            source, target = graph.nodes[link.source], graph.nodes[link.target]
            spec = registry.specs.get(source.type)
            output = spec.outputs_by_name.get(link.output) if spec is not None else None
            if output is not None:
                for key, node in ((output.type, target.type), (f"<{output.type}", source.type)):
                    counts = found.setdefault(key, {})
                    counts[node] = counts.get(node, 0) + 1
    return found


def tags_of(graph: Graph) -> tuple[str, ...]:
    """What kind of work a graph does, from its nodes."""
    types = set(_types(graph))
    heads = {name.split("/")[0] for name in types}
    found = []
    has_image = any(name in types for name in ("image/load", "latent/encode", "image/load-folder"))
    if "mask" in heads or any("inpaint" in name for name in types):
        found.append("Inpaint")
    elif has_image and "sampling" in heads:
        found.append("Image to image")
    elif "sampling" in heads:
        found.append("Text to image")
    for head, tag in (("control", "ControlNet"), ("adapters", "LoRA"), ("upscale", "Upscale"), ("remote", "Service")):
        if head in heads:
            found.append(tag)
    if any("folder" in name or "list" in name or "batch" in name for name in types):
        found.append("Batch")
    return tuple(found)


def _types(graph: Graph) -> Iterable[str]:
    for node in graph.nodes.values():
        yield node.type
    for definition in graph.subgraphs.values():
        yield from _types(definition.graph)
