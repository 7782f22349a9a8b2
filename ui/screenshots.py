"""Pictures of the real window for the README: `python -m ui.screenshots DIR`. Needs no display; runs an example in a real worker.

With `--light` and `--scale 2` the same in the light theme and at twice the pixels.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ui.picture import encoded

if TYPE_CHECKING:
    from PySide6.QtWidgets import QWidget

    from ui.main_window import MainWindow

SIZE = (1600, 1000)
WAIT = 240.0
"""Seconds that a run may take, with the start of the worker."""


def main(arguments: list[str] | None = None) -> int:
    """Make all pictures; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ui.screenshots", description="Pictures of the window, for the README.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--light", action="store_true")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--example", default="text_to_image")
    wish = parser.parse_args(arguments)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ["QT_SCALE_FACTOR"] = str(wish.scale)
    wish.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["NODEGRAPH_HOME"] = home
        return Session(wish.folder, "light" if wish.light else "dark").make(wish.example)


class Session:
    """One window, driven as an artist would."""

    def __init__(self, folder: Path, theme_name: str) -> None:
        from nodegraph.folders import standard
        from ui import theme
        from ui.app import make_app, make_window, start
        from ui.settings import Settings

        self.app = make_app()
        theme.apply(self.app, theme_name, reduced_motion=True)
        self.folder = folder
        self.window: MainWindow = make_window(standard(), Settings(None))
        self.window.resize(*SIZE)
        self.window.show()
        start(self.window, [])

    def make(self, example: str) -> int:
        """The pictures, one after the other; 1 when the example did not run."""
        from PySide6.QtCore import QPointF

        from ui.canvas.model import PortRef
        from ui.templates import EXAMPLES

        desk = self.window.desk
        self.wait(lambda: desk.studio.registry is not None)
        self.settle()
        self.keep("welcome")
        desk.studio.open_template(EXAMPLES / f"{example}.graph", example.replace("_", " ").capitalize())
        self.wait(lambda: desk.document is not None)
        self.settle()
        document, view = desk.document, desk.view
        assert document is not None and view is not None
        view.frame_all(animate=False)
        sampler = next((name for name, node in document.graph.nodes.items() if node.type == "sampling/sample"), None)
        if sampler is not None:
            document.select([sampler])
        desk.running.run()
        self.wait(lambda: bool(desk.runs.over) or bool(desk.runs.takes and desk.runs.takes[-1].done >= 8))
        self.settle(rest=False)
        self.keep("painting")
        self.wait(lambda: bool(desk.runs.over))
        self.settle()
        self.keep("studio")
        if sampler is not None:
            document.edit("Set seed", lambda graph: graph.with_value(sampler, "seed", 11))
            desk.running.run()
            self.wait(lambda: len(desk.runs.over) > 1)
            desk.viewer_dock.show_page("compare")
            self.settle()
            self.keep("compare")
            place = QPointF(view.center().x() - 200, view.center().y() - 200)
            desk.search_node(place, PortRef(sampler, "latent", "out", "Latent"))
            self.settle()
            self.write("search", desk.palette_of_nodes)
            desk.palette_of_nodes.close()
        done = desk.runs.over[-1].state == "done"
        desk.runs.shutdown()
        return 0 if done else 1

    def keep(self, name: str) -> None:
        self.write(name, self.window)

    def write(self, name: str, widget: QWidget) -> None:
        """As WebP, which the README shows."""
        (self.folder / f"{name}.webp").write_bytes(encoded(widget.grab().toImage(), "WEBP"))

    def settle(self, rest: bool = True) -> None:
        """Until files are read and timers of the layout have fired."""
        from ui.threads import background

        if rest:
            self.wait(lambda: background().pending == 0)
        end = time.monotonic() + (0.4 if rest else 0.05)
        self.wait(lambda: time.monotonic() > end)

    def wait(self, done: Callable[[], bool]) -> None:
        from PySide6.QtCore import QEventLoop

        end = time.monotonic() + WAIT
        while not done() and time.monotonic() < end:
            self.app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 20)


if __name__ == "__main__":
    sys.exit(main())
