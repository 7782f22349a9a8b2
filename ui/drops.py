"""Files and pictures that were dropped become nodes: a picture one that loads it, a model file one that loads its kind."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage

from nodegraph.folders import IMAGE_SUFFIXES, Folders
from nodegraph.spec import Input, NodeSpec
from ui.canvas.view import GraphView
from ui.label import shown_name
from ui.notices import Notice

if TYPE_CHECKING:
    from ui.studio import Studio

PLACES = ("checkpoints", "diffusion_models", "loras", "vae", "controlnet", "text_encoders", "upscale_models", "ip_adapters", "embeddings")


def loaders(specs: Sequence[NodeSpec], path: Path) -> list[tuple[NodeSpec, Input]]:
    """Nodes with a file input that takes this kind of file, the plainest first."""
    suffix = path.suffix.lower()
    found = []
    for spec in specs:
        for item in spec.inputs:
            if item.file is None or (item.file.suffixes and suffix not in item.file.suffixes):
                continue
            is_picture = suffix in IMAGE_SUFFIXES
            if is_picture != (item.file.folder == "input"):
                continue
            found.append((spec, item))
            break
    parts = [part.lower() for part in path.parts]

    def rank(entry: tuple[NodeSpec, Input]) -> tuple[int, int, int, str]:
        spec, item = entry
        assert item.file is not None
        named = 0 if item.file.folder in parts else 1
        order = PLACES.index(item.file.folder) if item.file.folder in PLACES else len(PLACES)
        return named, order, len(spec.inputs), spec.id

    return sorted(found, key=rank)


def nodes_for(view: GraphView, paths: Sequence[Path], place: QPointF, studio: Studio) -> None:
    """Add a loading node for each file, one below the other."""
    specs = list(view.document.specs.values())
    for number, path in enumerate(paths):
        found = loaders(specs, path)
        if not found:
            studio.notice.emit(Notice(f"No node loads ‘{shown_name(path.name)}’.", "warning"))
            continue
        spec, item = found[0]
        assert item.file is not None
        view.add_node(spec.id, place + QPointF(0, 260 * number), None, {item.name: stored_name(studio.folders, item.file.folder, path)})


def stored_name(folders: Folders, kind: str, path: Path) -> str:
    """How a graph names a file: relative to its folder when it lies in one, so that the graph works on other computers too."""
    for root in folders.roots(kind):
        try:
            return path.resolve().relative_to(root.resolve()).as_posix()
        except (ValueError, OSError):
            continue
    return str(path)


def use_image(
    view: GraphView, image: QImage, folders: Folders, notice: Callable[[Notice], None], place: QPointF | None = None
) -> None:
    """Keep a picture in the input folder and add a node that loads it, at a place or in the middle of the view."""
    if image.isNull():
        return
    from ui.picture import png_bytes

    data = png_bytes(image)
    name = f"picture_{hashlib.sha256(data).hexdigest()[:10]}.png"
    try:
        folders.input.mkdir(parents=True, exist_ok=True)
        path = folders.input / name
        if not path.exists():
            from nodegraph.saving import write_atomically

            write_atomically(path, data)
    except (OSError, ValueError) as error:
        notice(Notice(f"The picture could not be kept in ‘{folders.input}’: {error}", "error"))
        return
    found = loaders(list(view.document.specs.values()), path)
    if found:
        view.add_node(found[0][0].id, place or view.center(), None, {found[0][1].name: name})
