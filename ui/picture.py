"""Pictures of graphs without a screen, and pictures written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QBuffer, QIODevice
from PySide6.QtGui import QImage

from nodegraph.errors import GraphError
from nodegraph.graph import Graph
from ui.notices import Notice
from ui.threads import background

if TYPE_CHECKING:
    from nodegraph.registry import Registry


def render(graph: Graph, path: Path, scale: float = 1.0, theme: str = "dark", registry: Registry | None = None) -> None:
    """Draw the canvas of a graph into a PNG; needs no display. `scale` 2 doubles the size.

    Raises:
        GraphError: The picture cannot be written, or the graph is empty.
    """
    import os

    from PySide6.QtWidgets import QApplication

    if QApplication.instance() is None:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"  # whatever the desktop says: there may be none
        _keep.append(QApplication(["nodegraph"]))
    if not graph.nodes and not graph.notes and not graph.groups:
        raise GraphError("There is nothing to draw: the graph is empty.")
    from nodegraph.registry import Registry as Loaded
    from nodegraph.saving import write_atomically
    from ui import theme as themes
    from ui.canvas.view import GraphView
    from ui.document import Document
    from ui.files import subgraph_specs
    from ui.insight import insight_of

    app = QApplication.instance()
    assert isinstance(app, QApplication)
    themes.apply(app, theme, reduced_motion=True)
    known = registry if registry is not None else Loaded.load()
    document = Document(known.specs, graph, spec_of=subgraph_specs)
    view = GraphView(document, themes.current())
    insight = insight_of(known, document)
    view.set_insight(insight.family, insight.missing_files, insight.context)
    image = view.render_to_image(scale=scale)
    write_atomically(path, png_bytes(image))
    view.deleteLater()


_keep: list[object] = []  # the application lives as long as the process


def png_bytes(image: QImage) -> bytes:
    """A picture as a PNG file."""
    return encoded(image, "PNG")


def encoded(image: QImage, kind: str) -> bytes:
    """A picture as a file of this kind (PNG, JPG, WEBP).

    Raises:
        GraphError: Qt cannot write this kind here.
    """
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    if not image.save(buffer, kind, 95 if kind != "PNG" else -1):  # type: ignore[call-overload]
        raise GraphError(f"Pictures of the kind {kind} cannot be written on this system. Choose .png.")
    return bytes(buffer.data().data())


def write_image(image: QImage, path: Path, notice: Callable[[Notice], None]) -> None:
    """Write a picture in the background; what goes wrong is said in the window."""
    kinds = {".jpg": "JPG", ".jpeg": "JPG", ".webp": "WEBP"}
    if path.suffix.lower() not in (".png", *kinds):
        path = path.with_name(path.name + ".png")

    def work() -> None:
        from nodegraph.saving import write_atomically

        write_atomically(path, encoded(image, kinds.get(path.suffix.lower(), "PNG")))

    background().run(work, lambda _none: notice(Notice(f"Saved ‘{path.name}’.", "info", key="picture")), lambda error: notice(Notice(str(error), "error")))
