"""How fast the canvas is: `python -m tests.benchmarks.canvas [NODES ...]` prints CPU milliseconds (medians) beside their targets.

A frame is measured in the process's CPU time from the change to the end of the paint that it caused, in a viewport of 1600 x 1000,
on Qt's offscreen platform. The graph has 1.5 links a node; each node has three ports, four values and a preview.
"""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from PySide6.QtCore import QEvent, QObject, QPointF
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication

from nodegraph.graph import Graph, Link, Node
from nodegraph.node import Randomize, Range, Text
from nodegraph.spec import Input, NodeSpec, Output
from ui import theme
from ui.canvas.model import RunState
from ui.canvas.view import GraphView
from ui.document import Document

WIDTH, HEIGHT = 1600, 1000
TARGETS = {
    500: {"build_s": 0.1, "pan": 10, "fit": 20, "drag_200": 40, "undo": 15, "preview_tick": 3, "rss_mb": 25},
    2000: {"pan": 16, "fit": 33},
}
SAMPLE = NodeSpec(
    "sampling/sample",
    1,
    "Sample",
    "sampling",
    "Paint",
    "",
    (
        Input("model", "Denoiser"),
        Input("positive", "Conditioning"),
        Input("latent", "Latent"),
        Input("steps", "int", default=20, markers=(Range(1, 100),)),
        Input("guidance", "float", default=7.5, markers=(Range(0, 30, 0.1),)),
        Input("seed", "int", default=0, markers=(Range(0, 2**64 - 1), Randomize())),
        Input("prompt", "str", default="a castle on a hill", markers=(Text(2, True),)),
    ),
    (Output("latent", "Latent"), Output("image", "Image")),
)
INPUTS, OUTPUTS = ("model", "positive", "latent"), ("latent", "image")


def large_graph(count: int, seed: int = 7) -> Graph:
    """`count` nodes in columns, 1.5 links for each, all leading to the right."""
    rnd = random.Random(seed)
    rows = max(4, int((count * 300 / 600) ** 0.5 * 0.8))
    nodes = {}
    for i in range(count):
        column, row = divmod(i, rows)
        place = (column * 330 + rnd.randint(-20, 20), row * 560 + rnd.randint(-20, 20))
        nodes[f"n{i}"] = Node(f"n{i}", SAMPLE.id, {"seed": i, "steps": 20 + i % 30}, (float(place[0]), float(place[1])))
    incoming: dict[str, list[Link]] = {}
    used: set[tuple[int, str]] = set()
    made = 0
    while made < count * 1.5:
        target = rnd.randrange(1, count)
        source = max(0, target - rnd.randint(1, rows * 2))
        name = rnd.choice(INPUTS)
        if source == target or (target, name) in used or nodes[f"n{source}"].position[0] >= nodes[f"n{target}"].position[0] - 150:
            made += 0.02  # a graph of few columns has not that many places
            continue
        used.add((target, name))
        incoming.setdefault(f"n{target}", []).append(Link(f"n{source}", rnd.choice(OUTPUTS), f"n{target}", name))
        made += 1
    return Graph(nodes=nodes, incoming={key: tuple(sorted(links, key=lambda link: link.input)) for key, links in incoming.items()})


class _Paints(QObject):
    """Counts paint events."""

    def __init__(self, view: GraphView) -> None:
        super().__init__()
        self.count = 0
        view.viewport().installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        self.count += event.type() == QEvent.Type.Paint
        return False


def rss_mb() -> float:
    """Memory of this process; 0 where /proc is not there."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


def measure(count: int, repeat: int = 30) -> dict[str, float]:
    """All figures for a graph of `count` nodes."""
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    theme.apply(app, "dark", reduced_motion=True)
    document = Document({SAMPLE.id: SAMPLE})
    view = GraphView(document)
    view.resize(WIDTH, HEIGHT)
    view.show()
    paints = _Paints(view)

    def settle() -> None:
        for _ in range(6):
            app.processEvents()
        while view.graph_scene.links.paint.is_refining:
            app.processEvents()

    def frame(change: Callable[[], object]) -> float:
        before, start, patience = paints.count, time.process_time(), time.perf_counter() + 5
        change()
        while paints.count == before and time.perf_counter() < patience:
            app.processEvents()
        return (time.process_time() - start) * 1000

    def frames(change: Callable[[int], object], times: int = repeat) -> float:
        for i in range(3):
            frame(lambda i=i: change(i))
        return round(statistics.median(frame(lambda i=i: change(i)) for i in range(times)), 2)

    settle()
    gc.collect()
    graph, empty = large_graph(count), rss_mb()
    start = time.process_time()
    document.replace(graph)
    found = {"nodes": float(count), "links": float(len(graph.links)), "build_s": round(time.process_time() - start, 3)}
    view.frame_all(animate=False)
    settle()
    view._come_to_rest()
    settle()
    gc.collect()
    found["rss_mb"] = round(rss_mb() - empty, 1)
    middle = view.graph_scene.places.content_rect().center()
    for zoom, name in ((1.0, "pan"), (0.5, "pan_50"), (0.3, "pan_30")):
        view.look_at(zoom, middle)
        settle()
        found[name] = frames(lambda i: view.pan(11 if i % 2 == 0 else 13, 7 if i % 2 else 4))
    view.look_at(1.0, middle)
    settle()
    view._come_to_rest()
    settle()
    found["rest_repaint"] = frames(lambda i: view.viewport().update())
    view.frame_all(animate=False)
    settle()
    found["fit_zoom"] = round(view.zoom, 3)
    found["fit"] = frames(lambda i: view.viewport().update())
    near = sorted(
        graph.nodes, key=lambda n: (graph.nodes[n].position[0] - middle.x()) ** 2 + (graph.nodes[n].position[1] - middle.y()) ** 2
    )
    found |= _drag(view, document, near[:200], middle, frame, frames, settle)
    view.look_at(1.0, QPointF(*graph.nodes[near[0]].position) + QPointF(100, 100))
    pictures = [QImage(512, 512, QImage.Format.Format_RGB32) for _ in range(2)]
    pictures[0].fill(0xFF336699)
    pictures[1].fill(0xFF996633)
    document.set_states({near[0]: RunState("running", 1, 20, preview=pictures[0])})
    settle()
    view._come_to_rest()
    settle()
    found["preview_tick"] = frames(
        lambda i: document.set_states({near[0]: RunState("running", 1 + i % 20, 20, eta=3.0, sigma=0.5, preview=pictures[i % 2])})
    )
    points = [QPointF(random.Random(3 + k).randrange(WIDTH), random.Random(k).randrange(HEIGHT)) for k in range(300)]
    start = time.process_time()
    for point in points:
        view.target_at(point)
    found["hit_us"] = round((time.process_time() - start) / 300 * 1e6, 1)
    view.close()
    return found


def _drag(
    view: GraphView,
    document: Document,
    names: list[str],
    middle: QPointF,
    frame: Callable[..., float],
    frames: Callable[..., float],
    settle: Callable[[], None],
) -> dict[str, float]:
    """Drag 200 nodes by hand, drop them, undo."""
    from PySide6.QtCore import Qt

    from ui.canvas.gesture import Pointer
    from ui.canvas.move_gesture import Move

    view.look_at(0.22, middle)
    document.select(names)
    settle()
    place = view.graph_scene.nodes[names[0]].rect().center()

    def pointer(k: int) -> Pointer:
        left = Qt.MouseButton.LeftButton
        return Pointer(place + QPointF(8 * (k + 1), 8 * (k % 5)), QPointF(800 + 2 * k, 500), Qt.KeyboardModifier.NoModifier, left, left)

    gesture = Move(view, names[0])
    gesture.start(pointer(0))
    found = {"drag_200": frames(lambda i: (view.begin_motion(), gesture.update(pointer(i + 1))), 15)}
    gesture.commit(pointer(16))
    settle()
    found["undo"] = frames(lambda i: document.undo() or document.redo())  # the drop is the only step, so they take turns
    document.select([])
    settle()
    return found


def main() -> None:
    for count in [int(text) for text in sys.argv[1:]] or [500, 2000]:
        found = measure(count)
        targets = TARGETS.get(count, {})
        print(json.dumps(found))
        for name, target in targets.items():
            print(f"  {'ok  ' if found[name] <= target else 'SLOW'} {name:14} {found[name]:8} <= {target}")


if __name__ == "__main__":
    main()
