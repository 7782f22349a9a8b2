"""The scene mirrors the document, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage

from nodegraph.errors import GraphError
from nodegraph.graph import REROUTE, Graph, Group, Link, Node, Note
from tests.ui.canvas.conftest import SPECS, artists_graph
from ui import theme
from ui.canvas import edits
from ui.canvas.arrange import arranged, distributed
from ui.canvas.model import RunState
from ui.canvas.note_item import InertDocument
from ui.canvas.ports import Ports
from ui.canvas.scene import GraphScene
from ui.canvas.view import GraphView
from ui.document import Document


def looks(scene: GraphScene) -> dict[str, object]:
    """All that the scene shows, as plain values."""
    return {
        "nodes": {
            name: (
                item.pos().toTuple(),
                item.anatomy.width,
                item.anatomy.height,
                item.visible,
                item.look.title,
                item.look.mode,
                [(p.name, p.side, p.type, p.linked, p.x, p.y) for p in item.anatomy.ports],
                [(r.name, r.kind, r.value, r.y) for r in item.anatomy.rows],
            )
            for name, item in scene.nodes.items()
        },
        "groups": {name: (item.rect().getRect(), item.visible, item.group.title) for name, item in scene.groups.items()},
        "notes": {name: (item.rect().getRect(), item.visible, item.note.text) for name, item in scene.notes.items()},
        "links": {
            link: (wire.kind, wire.seen, wire.hidden, tuple(round(v, 3) for v in wire.bounds), wire.strength)
            for link, wire in scene.links.wires.items()
        },
    }


def assert_mirrors(scene: GraphScene) -> None:
    shown = looks(scene)
    scene.rebuild()
    fresh = looks(scene)
    assert shown["nodes"] == fresh["nodes"]
    assert shown == fresh


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "add",
                "link",
                "unlink",
                "move",
                "value",
                "delete",
                "fold",
                "mode",
                "group",
                "foldgroup",
                "note",
                "reroute",
                "undo",
                "redo",
                "select",
                "hide",
                "advanced",
            ]
        ),
        st.integers(0, 10**6),
    ),
    max_size=25,
)


def step(document: Document, kind: str, pick: int) -> None:
    graph = document.graph
    ports = Ports(graph, document.root, document.specs)
    names, links = sorted(graph.nodes), list(graph.links)
    name = names[pick % len(names)] if names else ""
    if kind == "add":
        types = sorted(SPECS)
        document.edit("", lambda g: g.added(types[pick % len(types)], (float(pick % 900), float(pick % 700)))[0])
    elif kind == "link" and names:
        other = names[(pick // 7) % len(names)]
        a, b = ports.spec(graph.nodes[name]), ports.spec(graph.nodes[other])
        if a.outputs and b.inputs:
            link = Link(name, a.outputs[pick % len(a.outputs)].name, other, b.inputs[pick % len(b.inputs)].name)
            if ports.refusal(ports.ref(name, link.output, "out"), ports.ref(other, link.input, "in"), graph.upstream(name)) is None:
                document.edit("", lambda g: edits.linked(g, ports, link))
    elif kind == "unlink" and links:
        document.edit("", lambda g: g.without_link(links[pick % len(links)]))
    elif kind == "move" and names:
        document.edit("", lambda g: g.moved(names[: 1 + pick % 4], 8.0 * (pick % 9), 16.0))
    elif kind == "value" and names:
        document.edit("", lambda g: g.with_value(name, "guidance", pick % 30))
    elif kind == "delete" and names:
        document.edit("", lambda g: edits.deleted(g, ports, [name], heal=bool(pick % 2)))
    elif kind == "fold" and names:
        document.edit("", lambda g: edits.folded(g, [name]))
    elif kind == "mode" and names:
        document.edit("", lambda g: edits.with_mode(g, [name], "muted" if pick % 2 else "bypassed"))
    elif kind == "group" and names:
        document.edit("", lambda g: edits.grouped(g, names[: 1 + pick % 3], (0, 0, 400, 300))[0])
    elif kind == "foldgroup" and graph.groups:
        document.edit("", lambda g: edits.folded(g, [sorted(g.groups)[pick % len(g.groups)]]))
    elif kind == "note":
        document.edit("", lambda g: edits.with_note_at(g, (float(pick % 500), 0.0), "note")[0])
    elif kind == "reroute" and links:
        document.edit("", lambda g: edits.rerouted(g, [links[pick % len(links)]], (100.0, 100.0))[0])
    elif kind == "undo":
        document.undo()
    elif kind == "redo":
        document.redo()
    elif kind == "select" and names:
        document.select(names[: pick % 4])
    elif kind == "hide" and links:
        document.edit("", lambda g: edits.with_links_hidden(g, links[: 1 + pick % 2]))
    elif kind == "advanced" and names:
        document.edit("", lambda g: edits.with_extra(g, name, "show_advanced", True))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_edits_the_scene_shows_what_a_new_one_would(dressed: theme.Theme, steps: list[tuple[str, int]]) -> None:
    document = Document(SPECS, artists_graph())
    scene = GraphScene(document, dressed)
    start = document.graph
    for kind, pick in steps:
        step(document, kind, pick)
    assert_mirrors(scene)
    while document.undo() is not None:
        pass
    assert document.graph == start
    assert_mirrors(scene)


def test_an_unknown_node_keeps_its_values_and_links_on_the_canvas(document: Document, view: GraphView) -> None:
    document.edit(
        "",
        lambda g: (
            g.with_node(Node("face", "faces/detail", {"strength": 0.5, "model": "x"}, (900, 400)))
            .with_link(Link("decode", "image", "face", "image"))
            .with_link(Link("face", "picture", "save", "image"))
        ),
    )
    item = view.graph_scene.nodes["face"]
    assert item.look.missing
    assert {row.name for row in item.anatomy.rows} == {"strength", "model"}
    assert {(port.side, port.name) for port in item.anatomy.ports if not port.small} == {("in", "image"), ("out", "picture")}
    assert not view.render_to_image().isNull()


def test_a_node_of_any_type_takes_the_type_that_flows_through_it(document: Document, view: GraphView) -> None:
    document.edit("", lambda g: g.with_node(Node("switch", "logic/switch", {}, (960, 400))))
    ports = view.graph_scene.ports
    assert ports.output_type("switch", "value") == "*"
    document.edit("", lambda g: g.with_link(Link("sample", "latent", "switch", "yes")))
    ports = view.graph_scene.ports
    assert ports.output_type("switch", "value") == "Latent"
    assert ports.input_type("switch", "no") == "Latent"
    reason = ports.refusal(ports.ref("decode", "image", "out"), ports.ref("switch", "no", "in"), set())
    assert reason == "‘no’ takes a Latent. This link carries an Image."


def test_a_chain_of_dots_forgets_the_type_of_a_source_that_was_deleted(document: Document, view: GraphView) -> None:
    ports = view.graph_scene.ports
    for _ in range(2):
        link = next(link for link in document.graph.links if link.target == "save" or document.graph.nodes[link.target].type == REROUTE)
        document.edit("", lambda g, link=link: edits.rerouted(g, [link], (1200.0, 40.0))[0])
    document.edit("", lambda g: edits.deleted(g, ports, ["decode"], heal=False))
    dots = [name for name, node in document.graph.nodes.items() if node.type == REROUTE]
    assert {view.graph_scene.nodes[name].anatomy.ports[1].type for name in dots} == {"*"}


def test_a_run_changes_paint_but_never_a_node_s_size_or_the_document(document: Document, view: GraphView) -> None:
    before = {name: (item.anatomy.width, item.anatomy.height, item.pos().toTuple()) for name, item in view.graph_scene.nodes.items()}
    picture = QImage(512, 256, QImage.Format.Format_RGB32)
    picture.fill(QColor("#336699"))
    states = [
        RunState("queued", place=1),
        RunState("running", 3, 20, eta=4.0, sigma=0.6, preview=picture),
        RunState("done", seconds=3.2, preview=picture),
        RunState("cached", preview=picture),
        RunState("failed", message="‘positive’ needs Conditioning. Connect a Prompt node.", input="positive"),
        RunState("missing"),
    ]
    for state in states:
        document.set_states({"sample": state, "decode": state})
        assert not view.grab().isNull()
        assert {
            name: (item.anatomy.width, item.anatomy.height, item.pos().toTuple()) for name, item in view.graph_scene.nodes.items()
        } == before
    assert not document.is_dirty


def test_undoing_keeps_the_pictures_on_the_nodes(document: Document, view: GraphView) -> None:
    picture = QImage(64, 64, QImage.Format.Format_RGB32)
    document.set_states({"decode": RunState("done", preview=picture)})
    document.edit("", lambda g: g.with_value("decode", "tiled", True))
    document.undo()
    assert view.graph_scene.nodes["decode"].look.run.preview is picture


@pytest.mark.parametrize("zoom", [0.05, 0.2, 0.3, 0.35, 0.5, 0.6, 1.0, 2.0, 4.0])
@pytest.mark.parametrize("name", ["dark", "light"])
def test_the_canvas_paints_at_every_zoom_in_both_themes(document: Document, view: GraphView, zoom: float, name: str) -> None:
    document.edit(
        "",
        lambda g: g.with_group(Group("g", "Group", (250, 60, 300, 420), frozenset({"prompt"}), "category.mask")).with_note(
            Note("n", "# Title\n*words*", (0, 400, 216, 120))
        ),
    )
    document.select(["sample", "g", "n"])
    view.set_theme(theme.load(name, True))
    view.look_at(zoom, QPointF(700, 250))
    image = view.grab().toImage()
    middle = {image.pixelColor(x, y).rgba() for x in range(400, 1200, 7) for y in range(200, 700, 7)}
    assert len(middle) > 3


def test_the_whole_graph_becomes_a_picture_without_a_window(dressed: theme.Theme) -> None:
    view = GraphView(Document(SPECS, artists_graph()))
    image = view.render_to_image(2.0, margin=16)
    content = view.graph_scene.places.content_rect()
    assert (image.width(), image.height()) == (round((content.width() + 32) * 2), round((content.height() + 32) * 2))
    node = view.graph_scene.nodes["model"]
    inside = image.pixelColor(round((node.x() - content.left() + 16 + 100) * 2), round((node.y() - content.top() + 16 + 8) * 2))
    assert inside == dressed.header_color("loaders")


def test_notes_load_no_pictures_and_no_html() -> None:
    document = InertDocument()
    document.show_markdown("![secret](file:///etc/passwd) <img src='file:///etc/passwd'> **bold** [a](b)")
    assert "\ufffc" not in document.toPlainText()
    assert "bold" in document.toPlainText()


def test_a_damaged_graph_with_a_loop_is_shown_all_the_same(dressed: theme.Theme) -> None:
    nodes = {name: Node(name, "logic/switch", {}, (k * 300.0, 0)) for k, name in enumerate("ab")}
    graph = Graph(
        nodes=nodes,
        incoming={"a": (Link("b", "value", "a", "yes"),), "b": (Link("a", "value", "b", "yes"), Link("gone", "x", "b", "lost"))},
    )
    view = GraphView(Document(SPECS, graph))
    assert not view.render_to_image().isNull()
    view.trigger("canvas.layout")


def test_colours_from_a_file_that_are_none_are_ignored(dressed: theme.Theme) -> None:
    graph = artists_graph()
    graph = (
        graph.with_node(replace(graph.nodes["save"], color="no.such"))
        .with_group(Group("g", "G", (0, 0, 300, 300), color="javascript:1"))
        .with_note(Note("n", "x", color="zzz"))
    )
    assert not GraphView(Document(SPECS, graph)).render_to_image().isNull()


def test_inserting_a_node_that_does_not_fit_changes_nothing() -> None:
    graph = artists_graph().with_node(Node("p", "conditioning/prompt"))
    assert edits.inserted(graph, Ports(graph, graph, SPECS), "p", Link("sample", "latent", "decode", "latent")) is None


def test_moving_links_to_an_output_behind_them_is_refused() -> None:
    graph = artists_graph().with_node(Node("blur", "latent/blur")).with_link(Link("sample", "latent", "blur", "latent"))
    ports = Ports(graph, graph, SPECS)
    with pytest.raises(GraphError, match="loop"):
        edits.moved_links(graph, ports, ports.ref("empty", "latent", "out"), ports.ref("blur", "latent", "out"))


def test_distributing_gives_equal_gaps() -> None:
    boxes = {"a": (0.0, 0.0, 100.0, 50.0), "b": (110.0, 0.0, 100.0, 50.0), "c": (400.0, 0.0, 100.0, 50.0)}
    assert distributed(boxes, horizontal=True) == {"a": (0, 0), "b": (200, 0), "c": (400, 0)}


def test_arranging_keeps_everything_else_out_of_the_frame_of_a_group() -> None:
    graph = artists_graph().with_group(Group("g", "Words", (0, 0, 10, 10), frozenset({"prompt", "empty"})))
    moves = arranged(graph, {name: (*node.position, 216.0, 200.0) for name, node in graph.nodes.items()})
    inside = [moves[name] for name in ("prompt", "empty")]
    left, top = min(x for x, _ in inside) - 16, min(y for _, y in inside) - 44
    right, bottom = max(x for x, _ in inside) + 216 + 16, max(y for _, y in inside) + 200 + 16
    for name in moves.keys() - {"prompt", "empty"}:
        x, y = moves[name]
        assert x + 216 <= left or x >= right or y + 200 <= top or y >= bottom, name


def test_arranging_takes_a_group_apart_when_something_else_stands_between_its_members() -> None:
    graph = artists_graph().with_group(Group("g", "Ends", (0, 0, 10, 10), frozenset({"model", "decode"})))
    moves = arranged(graph, {name: (*node.position, 216.0, 200.0) for name, node in graph.nodes.items()})
    assert moves["model"][0] < moves["sample"][0] < moves["decode"][0]


def test_arranging_keeps_parts_apart_and_their_corner() -> None:
    graph = artists_graph().with_node(Node("alone", "latent/empty", {}, (5000, 5000)))
    boxes = {name: (*node.position, 216.0, 200.0) for name, node in graph.nodes.items()}
    moves = arranged(graph, boxes)
    assert min(x for x, _ in moves.values()) == 0 and min(y for _, y in moves.values()) == 0
    assert moves["alone"][1] >= max(y for name, (_, y) in moves.items() if name != "alone") + 200
