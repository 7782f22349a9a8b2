"""What a run shows on the canvas."""

from __future__ import annotations

import pytest
from PySide6.QtGui import QImage

from nodegraph.graph import Graph, Link, Node
from tests.ui.canvas.conftest import SPECS
from ui import theme
from ui.canvas.curve_paint import height_of, joined, place_of
from ui.canvas.model import RunState
from ui.canvas.node_paint import fits_badge
from ui.canvas.scene import GraphScene
from ui.canvas.view import GraphView
from ui.document import Document

LEVELS = (14.6, 4.0, 1.0, 0.25, 0.0)


@pytest.fixture
def scheduled(dressed: theme.Theme) -> Document:
    """A schedule that is split; its second part leads a sampler."""
    graph = Graph().with_nodes(
        Node(name, type_id, {}, (x, 0.0))
        for name, type_id, x in (
            ("schedule", "sampling/schedule", 0.0),
            ("split", "sampling/split", 300.0),
            ("sample", "sampling/sample", 600.0),
        )
    )
    graph = graph.with_link(Link("schedule", "sigmas", "split", "sigmas")).with_link(Link("split", "low", "sample", "sigmas"))
    return Document(SPECS, graph)


def test_a_schedule_keeps_room_for_its_curve_before_the_first_run(scheduled: Document, dressed: theme.Theme) -> None:
    scene = GraphScene(scheduled, dressed)
    before = scene.nodes["schedule"].anatomy
    assert before.curve is not None and before.curve[3] == 56
    scheduled.set_states({"schedule": RunState("done", curves={"sigmas": LEVELS})})
    assert scene.nodes["schedule"].anatomy.height == before.height


def test_every_schedule_before_a_sampler_shows_the_level_that_it_has_reached(scheduled: Document, dressed: theme.Theme) -> None:
    scene = GraphScene(scheduled, dressed)
    assert scene.runs.level_reached("schedule") is None
    scheduled.set_states({"sample": RunState("running", 1, 4, sigma=0.5)})
    assert scene.runs.level_reached("schedule") == scene.runs.level_reached("split") == 0.5
    scheduled.set_states({"sample": RunState("done", 4, 4)})
    assert scene.runs.level_reached("schedule") is None


def test_the_curve_and_the_mark_on_it_are_painted(qtbot: object, scheduled: Document) -> None:
    view = GraphView(scheduled)
    qtbot.addWidget(view)  # type: ignore[attr-defined]
    view.show()
    x, y, width, height = (round(v) for v in view.graph_scene.nodes["schedule"].anatomy.curve or ())

    def colours() -> set[str]:
        image = view.render_to_image(1.0, 0.0, view.graph_scene.nodes["schedule"].rect())
        return {image.pixelColor(x + i, y + j).name() for i in range(width) for j in range(height)}

    line, mark = view.theme.color("port.sigmas").name(), view.theme.color("state.live").name()
    assert line not in colours()
    scheduled.set_states({"schedule": RunState("done", curves={"sigmas": LEVELS})})
    assert line in colours() and mark not in colours()
    scheduled.set_states({"sample": RunState("running", 1, 4, sigma=1.0)})
    assert mark in colours()


def test_the_parts_of_a_split_schedule_are_one_curve() -> None:
    assert joined({"high": (14.6, 4.0, 1.0), "low": (1.0, 0.0)}, ("high", "low")) == (14.6, 4.0, 1.0, 0.0)


def test_a_level_lies_between_the_steps_around_it() -> None:
    assert [place_of(level, LEVELS) for level in (20.0, 14.6, 2.5, 1.0, 0.0)] == [0.0, 0.0, 0.375, 0.5, 1.0]


def test_late_steps_are_seen_although_their_levels_are_small() -> None:
    heights = [height_of(level, 14.6) for level in LEVELS]
    assert heights[0] == 1.0 and heights[-1] == 0.0
    assert heights[-2] > 0.2  # a plain scale gives it 0.017


def test_a_linked_value_shows_what_arrived_through_dots_too(dressed: theme.Theme) -> None:
    graph = Graph().with_nodes((Node("number", "logic/int", {}), Node("dot", "reroute", {}), Node("schedule", "sampling/schedule", {})))
    graph = graph.with_link(Link("number", "value", "dot", "input")).with_link(Link("dot", "output", "schedule", "steps"))
    document = Document(SPECS, graph)
    scene = GraphScene(document, dressed)

    def shown() -> str:
        return next(row.value for row in scene.nodes["schedule"].anatomy.rows if row.name == "steps")

    assert shown() == ""
    document.set_states({"number": RunState("done", shapes={"value": "28"})})
    assert shown() == "28"


def test_an_empty_preview_names_the_node_that_is_waited_for_past_those_that_take_no_part(view: GraphView, document: Document) -> None:
    document.edit("", lambda g: g.with_node(Node("decode", "latent/decode", {}, (960, 0), mode="bypassed")))
    document.set_states({"sample": RunState("running", 1, 4), "save": RunState("queued", place=2)})
    assert view.graph_scene.runs.waiting_words("save") == "Waiting for Sample"
    assert view.graph_scene.runs.waiting_words("model") == "No picture yet"


def test_the_value_that_a_failure_is_about_is_marked(view: GraphView, document: Document) -> None:
    document.set_states({"sample": RunState("failed", message="‘guidance’ is too high. Set it to 8.", input="guidance")})
    assert [row.name for row in view.graph_scene.nodes["sample"].anatomy.rows if row.bad] == ["guidance"]


def test_a_narrow_node_keeps_its_title_before_the_time_and_the_family(view: GraphView, document: Document) -> None:
    document.edit("", lambda g: g.changed("model", size=(144.0, 100.0)))
    document.set_states({"model": RunState("cached", seconds=12.4), "sample": RunState("cached", seconds=12.4)})
    looks = {name: view.graph_scene.nodes[name].look for name in ("model", "sample")}
    assert fits_badge(looks["sample"]) and not fits_badge(looks["model"])


def test_a_preview_has_the_same_round_corners_at_any_pixel_ratio(qapp: object) -> None:
    from ui.canvas.live_paint import fitted_preview

    picture = QImage(64, 64, QImage.Format.Format_RGB32)
    picture.fill(0xFF336699)
    for ratio in (1.0, 2.0):
        corner = fitted_preview(picture, 64, 64, ratio, 1.0, False).toImage()
        clear = [k for k in range(corner.width()) if corner.pixelColor(k, 0).alpha() > 127]
        assert clear[0] / ratio == pytest.approx(4, abs=1.0)
