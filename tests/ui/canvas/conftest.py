"""A small graph of an artist, a view that shows it, and a hand that works it as a mouse would."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from nodegraph.graph import Graph, Link, Node
from nodegraph.node import Advanced, File, Randomize, Range, Text, Unit
from nodegraph.spec import Input, NodeSpec, Output
from ui.canvas.view import GraphView
from ui.document import Document
from ui.theme import Theme

LEFT, RIGHT, MIDDLE = Qt.MouseButton.LeftButton, Qt.MouseButton.RightButton, Qt.MouseButton.MiddleButton
NONE, SHIFT, CTRL, ALT = (
    Qt.KeyboardModifier.NoModifier,
    Qt.KeyboardModifier.ShiftModifier,
    Qt.KeyboardModifier.ControlModifier,
    Qt.KeyboardModifier.AltModifier,
)


def spec(id: str, title: str, inputs: tuple[Input, ...], outputs: tuple[Output, ...], sink: bool = False) -> NodeSpec:
    return NodeSpec(id, 1, title, id.partition("/")[0], f"About {title}", "", inputs, outputs, sink)


SPECS = {
    s.id: s
    for s in (
        spec(
            "loaders/model",
            "Load model",
            (Input("file", "path", default="", markers=(File("checkpoints"),)),),
            (Output("denoiser", "Denoiser"), Output("text_encoder", "TextEncoder"), Output("vae", "Vae")),
        ),
        spec(
            "conditioning/prompt",
            "Prompt",
            (Input("text_encoder", "TextEncoder"), Input("text", "str", default="a deer", markers=(Text(3, prompt=True),))),
            (Output("conditioning", "Conditioning"),),
        ),
        spec(
            "latent/empty",
            "Empty latent",
            (Input("width", "int", default=1024, markers=(Range(64, 2048, 8), Unit("px"))),),
            (Output("latent", "Latent"),),
        ),
        spec(
            "sampling/sample",
            "Sample",
            (
                Input("denoiser", "Denoiser"),
                Input("positive", "Conditioning"),
                Input("latent", "Latent"),
                Input("sigmas", "Sigmas", default=None, optional=True),
                Input("sampler", "str", default="euler", choices=("euler", "heun")),
                Input("guidance", "float", default=6.5, markers=(Range(0, 30, 0.1),)),
                Input("seed", "int", default=7, markers=(Range(0, 2**64 - 1), Randomize())),
                Input("end", "float", default=1.0, markers=(Range(0, 1, 0.01), Unit("%"), Advanced())),
            ),
            (Output("latent", "Latent"),),
        ),
        spec(
            "sampling/schedule",
            "Schedule",
            (Input("steps", "int", default=4, markers=(Range(1, 1000),)),),
            (Output("sigmas", "Sigmas"),),
        ),
        spec("sampling/split", "Split", (Input("sigmas", "Sigmas"),), (Output("high", "Sigmas"), Output("low", "Sigmas"))),
        spec("logic/int", "Whole number", (Input("value", "int", default=0),), (Output("value", "int"),)),
        spec(
            "latent/blur",
            "Blur latent",
            (Input("latent", "Latent"), Input("amount", "float", default=0.5, markers=(Range(0, 1, 0.01),))),
            (Output("latent", "Latent"),),
        ),
        spec(
            "latent/decode",
            "Decode",
            (Input("latent", "Latent"), Input("vae", "Vae"), Input("tiled", "bool", default=False)),
            (Output("image", "Image"),),
        ),
        spec("image/save", "Save image", (Input("image", "Image"), Input("name", "str", default="deer")), (), sink=True),
        spec("image/stack", "Stack", (Input("images", "Image", many=True),), (Output("image", "Image"),)),
        spec(
            "logic/switch",
            "Switch",
            (Input("yes", "*", variable="T"), Input("no", "*", variable="T")),
            (Output("value", "*", variable="T"),),
        ),
    )
}


def artists_graph() -> Graph:
    """Model, prompt, empty latent, sampler, decoder, save: all linked."""
    graph = Graph().with_nodes(
        (
            Node("model", "loaders/model", {"file": "juniper.safetensors"}, (0, 0)),
            Node("prompt", "conditioning/prompt", {"text": "a deer in the snow"}, (280, 120)),
            Node("empty", "latent/empty", {}, (280, 320)),
            Node("sample", "sampling/sample", {}, (600, 0)),
            Node("decode", "latent/decode", {}, (960, 0)),
            Node("save", "image/save", {}, (1280, 0)),
        )
    )
    for link in (
        Link("model", "denoiser", "sample", "denoiser"),
        Link("model", "text_encoder", "prompt", "text_encoder"),
        Link("prompt", "conditioning", "sample", "positive"),
        Link("empty", "latent", "sample", "latent"),
        Link("sample", "latent", "decode", "latent"),
        Link("model", "vae", "decode", "vae"),
        Link("decode", "image", "save", "image"),
    ):
        graph = graph.with_link(link)
    return graph


class Hand:
    """Works the view with real mouse and key events; places are on the canvas unless said otherwise."""

    def __init__(self, view: GraphView) -> None:
        self.view = view

    def at(self, place: QPointF | tuple[float, float]) -> QPoint:
        return self.view.mapFromScene(place if isinstance(place, QPointF) else QPointF(*place))

    def port(self, node: str, side: str, name: str) -> QPointF:
        item = self.view.graph_scene.nodes[node]
        port = item.anatomy.port(side, name)
        assert port is not None
        return QPointF(item.x() + port.x, item.y() + port.y)

    def title(self, node: str) -> QPointF:
        item = self.view.graph_scene.nodes[node]
        return QPointF(item.x() + 60, item.y() + 14)

    def row(self, node: str, name: str, share: float = 0.5) -> QPointF:
        item = self.view.graph_scene.nodes[node]
        row = next(row for row in item.anatomy.rows if row.name == name)
        return QPointF(item.x() + 8 + (item.anatomy.width - 16) * share, item.y() + row.y + 12)

    def middle_of(self, link: Link) -> QPointF:
        return self.view.graph_scene.links.wires[link].path.pointAtPercent(0.5)

    def press(self, place: QPointF, button: Qt.MouseButton = LEFT, held: Qt.KeyboardModifier = NONE) -> None:
        QTest.mousePress(self.view.viewport(), button, held, self.at(place))

    def move(self, place: QPointF, button: Qt.MouseButton = LEFT, held: Qt.KeyboardModifier = NONE) -> None:
        point = QPointF(self.at(place))
        event = QMouseEvent(QEvent.Type.MouseMove, point, self.view.viewport().mapToGlobal(point), Qt.MouseButton.NoButton, button, held)
        QApplication.sendEvent(self.view.viewport(), event)

    def release(self, place: QPointF, button: Qt.MouseButton = LEFT, held: Qt.KeyboardModifier = NONE) -> None:
        QTest.mouseRelease(self.view.viewport(), button, held, self.at(place))

    def drag(self, start: QPointF, end: QPointF, button: Qt.MouseButton = LEFT, held: Qt.KeyboardModifier = NONE, steps: int = 4) -> None:
        self.press(start, button, held)
        for k in range(1, steps + 1):
            self.move(start + (end - start) * k / steps, button, held)
        self.release(end, button, held)

    def click(self, place: QPointF, button: Qt.MouseButton = LEFT, held: Qt.KeyboardModifier = NONE) -> None:
        self.press(place, button, held)
        self.release(place, button, held)

    def double_click(self, place: QPointF) -> None:
        QTest.mouseDClick(self.view.viewport(), LEFT, NONE, self.at(place))

    def key(self, key: Qt.Key, held: Qt.KeyboardModifier = NONE) -> None:
        QTest.keyClick(self.view, key, held)

    def wheel(self, place: QPointF, notches: int, held: Qt.KeyboardModifier = NONE) -> None:
        point = QPointF(self.at(place))
        event = QWheelEvent(
            point,
            self.view.viewport().mapToGlobal(point),
            QPoint(),
            QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton,
            held,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(self.view.viewport(), event)


@pytest.fixture
def document(dressed: Theme) -> Document:
    return Document(SPECS, artists_graph())


@pytest.fixture
def view(qtbot: object, document: Document) -> GraphView:
    made = GraphView(document)
    qtbot.addWidget(made)  # type: ignore[attr-defined]
    made.resize(1600, 900)
    made.set_options(minimap=False)
    made.zoom_pill.set_visible(False)
    made.show()
    made.look_at(1.0, QPointF(740, 300))
    made.setFocus()
    return made


@pytest.fixture
def hand(view: GraphView) -> Hand:
    return Hand(view)
