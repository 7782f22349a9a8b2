"""How long the window stands still with 500 nodes while it opens, edits, runs and saves, and when panels open: `python tests/benchmarks/window.py`.

For each act: the longest time between two turns of the event loop, by the clock and by the GUI thread's own processor time, in ms.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ui.desk import Desk

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def panels(desk: Desk) -> tuple[tuple[str, Callable[[], object], Callable[[], bool]], ...]:
    """Opening each panel for the first time, where everything of it is made, and once more; with the real nodes in the search."""
    from PySide6.QtCore import QPointF

    from nodegraph.registry import Registry

    real = Registry.load(desk.window.folders, plugins=False)

    def search() -> None:
        desk.palette_of_nodes.open(desk.window.rect().center(), QPointF(), real.specs)

    def typed() -> None:
        desk.palette_of_nodes.field.setText("ups")

    acts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("search", search),
        ("type there", typed),
        ("and again", search),
        ("commands", lambda: desk.palette_of_commands.open()),
        ("settings", desk.show_preferences),
        ("keys", desk.show_keys),
        *((name, lambda name=name: desk.rooms.open_side(name)) for name in ("models", "templates", "outline", "history", "problems")),  # type: ignore[misc]
        ("paint", lambda: desk.rooms.workspace_wanted("paint")),
        ("graph", lambda: desk.rooms.show_workspace("graph")),
        ("new tab", desk.new),
        ("other tab", lambda: desk.tabs.step(1)),
        ("close tab", lambda: desk.document and desk.studio.close(desk.document)),
    )
    return tuple((name, act, lambda: True) for name, act in acts)


def main() -> None:
    from PySide6.QtCore import QTimer

    from nodegraph import graphfile
    from tests.ui import nodes_for_tests as tiny
    from tests.ui.answers import Answers
    from tests.ui.test_window import big
    from ui import theme
    from ui.app import WARM, make_app
    from ui.main_window import MainWindow
    from ui.settings import Settings
    from ui.threads import background

    app = make_app()
    theme.apply(app, "dark", reduced_motion=True)
    with tempfile.TemporaryDirectory() as home:
        folders = tiny.folders_in(Path(home))
        tiny.gate.set()
        window = MainWindow(Settings(None), folders, tiny.start_runner(folders), Answers())
        window.resize(1600, 1000)
        window.show()
        desk = window.desk
        desk.studio.set_registry(tiny.registry(folders))
        for name in WARM:
            importlib.import_module(name)
        background().drain()
        app.processEvents()
        path = Path(home) / "big.graph"
        graphfile.write(path, big())
        gc.collect()
        gc.freeze()
        turns: list[tuple[float, float]] = []
        probe = QTimer()
        probe.setInterval(1)
        probe.timeout.connect(lambda: turns.append((time.perf_counter(), time.thread_time())))
        probe.start()
        acts: tuple[tuple[str, Callable[[], object], Callable[[], bool]], ...] = (
            ("open", lambda: desk.studio.open(path), lambda: desk.document is not None and len(desk.document.root.nodes) == 500),
            ("move 200", lambda: desk.document and desk.document.edit("Move", lambda g: g.moved(list(g.nodes)[:200], 8, 8)), lambda: True),
            ("undo", desk.undo, lambda: True),
            ("run", desk.running.run, lambda: bool(desk.runs.over)),
            ("save", lambda: desk.document and desk.studio.save(desk.document), lambda: True),
            *panels(desk),
        )
        print(f"{'':10s} {'clock':>8s} {'own':>8s}")
        for name, act, done in acts:
            turns[:] = [(time.perf_counter(), time.thread_time())]
            QTimer.singleShot(0, act)
            end = time.monotonic() + 0.3
            while not done() or background().pending or time.monotonic() < end:
                app.processEvents()
            clock, own = (max(b[i] - a[i] for a, b in itertools.pairwise(turns)) * 1000 for i in (0, 1))
            print(f"{name:10s} {clock:8.0f} {own:8.0f}")
        desk.runs.shutdown()


if __name__ == "__main__":
    main()
