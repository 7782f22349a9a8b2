"""A few views of the program, always in the same state, as pictures: `python -m tests.ui.looks` makes the kept ones anew, to be looked at
and committed with the change that made them different.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image
from PySide6.QtCore import QPointF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication, QWidget

from nodegraph.graph import Graph, Group, Link, Node, Note
from tests.ui import nodes_for_tests as tiny
from tests.ui.answers import Answers
from ui import theme
from ui.canvas.model import RunState
from ui.main_window import MainWindow
from ui.mask_paint import Brush
from ui.panels.picture_view import image_of, pixels
from ui.settings import Settings
from ui.threads import background

KEPT = Path(__file__).with_name("looks")
BLOCK = 8
"""Pixels a side of what is compared: text drawn by another rasteriser is the same on this scale, a panel or a colour is not."""
APART, FLAT_APART = 20, 4
"""Levels by which the mean of a block may differ: with something drawn in it, and where both are of one colour."""
FLAT = 2
"""Levels of deviation up to which a block counts as of one colour."""
SHARE = 0.002
"""Share of the blocks that may differ by more."""


def picture(width: int = 96, height: int = 72) -> QImage:
    """A sunset in a few colours."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sky = np.stack([90 + y * 2, 60 + y, 140 - y], axis=2)
    sun = ((x - width * 0.6) ** 2 + (y - height * 0.4) ** 2) < (height / 6) ** 2
    sky[sun] = (255, 200, 90)
    sky[y > height * 0.75] = (60, 110, 60)
    return image_of(np.clip(sky, 0, 255).astype(np.uint8))


def graph() -> Graph:
    made = Graph().with_nodes(
        [
            Node("tone", "test/tone", {"value": 90}, (0, 0)),
            Node("paint", "test/paint", {"steps": 20}, (300, 0)),
            Node("show", "test/show", {}, (600, -40)),
            Node("fail", "test/fail", {}, (600, 220), title="Too bright"),
            Node("gone", "elsewhere/detailer", {"size": 3}, (300, 240)),
            Node("quiet", "test/tone", {}, (0, 240), mode="muted"),
        ]
    )
    for link in (Link("tone", "grey", "paint", "grey"), Link("paint", "grey", "show", "grey"), Link("paint", "grey", "fail", "grey")):
        made = made.with_link(link)
    made = made.with_group(Group("all", "A tone", (-24, -48, 264, 420), ("tone", "quiet")))
    return made.with_note(Note("note", "Change the **tone** and run.", (0, 400, 216, 80)))


STATES = {
    "tone": RunState("cached", seconds=0.2),
    "paint": RunState("running", 12, 20, eta=4.1, sigma=0.66, preview=picture()),
    "show": RunState("queued", place=1),
    "fail": RunState("failed", message="The tone is not right. Choose another one.", input="grey"),
}


def views(home: Path) -> Iterator[tuple[str, Callable[[], QWidget | QImage]]]:
    """Name and maker of each view. One window serves them all."""
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    folders = tiny.folders_in(home)
    theme.apply(app, "dark", reduced_motion=True)
    window = MainWindow(Settings(None), folders, tiny.start_runner(folders), Answers())
    window.resize(1280, 800)
    window.show()
    desk = window.desk
    desk.studio.set_registry(tiny.registry(folders))
    document = desk.studio.add(graph(), title="sunset")
    view = desk.view
    assert view is not None

    def settled() -> None:
        background().drain()
        for _ in range(20):
            app.processEvents()
        background().drain()
        app.processEvents()

    def at_work() -> QWidget:
        document.select(["paint"])
        document.set_states(STATES)
        desk.checker.check_now()
        settled()
        view.frame_all(animate=False)
        settled()
        return window

    def canvas(name: str) -> Callable[[], QImage]:
        def make() -> QImage:
            theme.apply(app, name, reduced_motion=True)
            settled()
            return view.render_to_image(scale=1.0)

        return make

    def search() -> QWidget:
        theme.apply(app, "dark", reduced_motion=True)
        desk.palette_of_nodes.open(window.mapToGlobal(window.rect().center()), QPointF(), document.specs, text="t")
        settled()
        return desk.palette_of_nodes.sheet

    def mask() -> QWidget:
        desk.palette_of_nodes.close()
        theme.apply(app, "light", reduced_motion=True)
        desk.rooms.show_workspace("paint")
        editor = desk.rooms.spaces["paint"]
        editor.open(picture(320, 240), "", None)  # type: ignore[attr-defined]
        editor.view.brush = Brush()  # type: ignore[attr-defined]
        editor.view.brush_changed.emit()  # type: ignore[attr-defined]
        editor.view.start(190, 96)  # type: ignore[attr-defined]
        editor.view.stop(190, 96)  # type: ignore[attr-defined]
        settled()
        return editor

    yield "window-dark", at_work
    yield "canvas-dark", canvas("dark")
    yield "canvas-light", canvas("light")
    yield "search-dark", search
    yield "mask-light", mask
    desk.runs.shutdown()
    window.close()


def drawn(view: QWidget | QImage) -> np.ndarray:
    """A view as uint8 [height, width, 3]."""
    image = view if isinstance(view, QImage) else view.grab().toImage()
    return pixels(image)[:, :, :3]


def kept(name: str) -> np.ndarray:
    with Image.open(KEPT / f"{name}.webp") as opened:
        return np.asarray(opened.convert("RGB"))


def differing(a: np.ndarray, b: np.ndarray) -> float:
    """The share of blocks whose means lie apart; 1 when the sizes differ."""
    if a.shape != b.shape:
        return 1.0
    one, two = _blocks(a), _blocks(b)
    apart = np.abs(one.mean(axis=(1, 3)) - two.mean(axis=(1, 3))).max(axis=2)
    is_flat = np.maximum(one.std(axis=(1, 3)), two.std(axis=(1, 3))).max(axis=2) < FLAT
    return float((apart > np.where(is_flat, FLAT_APART, APART)).mean())


def _blocks(image: np.ndarray) -> np.ndarray:
    height, width = (side // BLOCK * BLOCK for side in image.shape[:2])
    return image[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK, 3).astype(np.float32)


def main() -> int:
    app = QApplication(["nodegraph"])
    KEPT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        for name, make in views(Path(home)):
            place = KEPT / f"{name}.webp"
            Image.fromarray(drawn(make())).save(place, lossless=True, quality=100, method=6)
            print(f"{place.name}  {place.stat().st_size / 1024:.0f} kB")
    app.quit()
    return 0


if __name__ == "__main__":
    sys.exit(main())
