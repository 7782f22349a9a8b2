"""What hands do on the canvas, asserted on the document."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent, QGuiApplication, QImage
from PySide6.QtTest import QTest

from nodegraph.graph import REROUTE, Group, Link, Node
from nodegraph.node import File
from nodegraph.spec import Input
from tests.ui.canvas.conftest import ALT, CTRL, MIDDLE, NONE, RIGHT, SHIFT, SPECS, Hand
from ui.canvas.dropping import NODE_MIME
from ui.canvas.view import GraphView
from ui.document import Document

DECODED = Link("decode", "image", "save", "image")
SAMPLED = Link("sample", "latent", "decode", "latent")


def test_dragging_a_title_moves_the_node_on_the_grid_in_one_step(document: Document, hand: Hand) -> None:
    hand.drag(hand.title("save"), hand.title("save") + QPointF(43, 205))
    assert document.graph.nodes["save"].position == (1320, 208)
    assert len(document.history.done) == 1
    document.undo()
    assert document.graph.nodes["save"].position == (1280, 0)
    assert hand.view.graph_scene.nodes["save"].pos() == QPointF(1280, 0)


def test_escape_puts_a_dragged_node_back(document: Document, hand: Hand) -> None:
    start = hand.title("save")
    hand.press(start)
    hand.move(start + QPointF(100, 100))
    hand.key(Qt.Key.Key_Escape)
    hand.release(start + QPointF(100, 100))
    assert document.graph.nodes["save"].position == (1280, 0)
    assert hand.view.graph_scene.nodes["save"].pos() == QPointF(1280, 0)
    assert not document.history.done


def test_an_undo_while_a_node_is_dragged_lets_go_of_it(document: Document, hand: Hand, view: GraphView) -> None:
    hand.drag(hand.title("save"), hand.title("save") + QPointF(0, 80))
    start = hand.title("save")
    hand.press(start)
    hand.move(start + QPointF(0, 80))
    document.undo()
    hand.move(start + QPointF(0, 160))
    hand.release(start + QPointF(0, 160))
    assert document.graph.nodes["save"].position == (1280, 0)
    assert view.graph_scene.nodes["save"].pos().toTuple() == (1280, 0)
    assert not document.history.done


def test_moving_one_of_several_selected_moves_all_but_the_pinned(document: Document, hand: Hand) -> None:
    document.edit("Pin", lambda g: g.changed("decode", pinned=True))
    document.select(["save", "decode", "empty"])
    hand.drag(hand.title("save"), hand.title("save") + QPointF(0, 160))
    positions = {name: document.graph.nodes[name].position for name in ("save", "decode", "empty")}
    assert positions == {"save": (1280, 160), "decode": (960, 0), "empty": (280, 480)}


def test_alt_dragging_a_node_duplicates_it(document: Document, hand: Hand) -> None:
    hand.drag(hand.title("empty"), hand.title("empty") + QPointF(0, 240), held=ALT)
    assert document.graph.nodes["empty"].position == (280, 320)
    assert document.graph.nodes["empty_2"].position == (280, 560)
    assert document.selection == {"empty_2"}


def test_a_box_selects_what_it_touches_and_shift_adds(document: Document, hand: Hand) -> None:
    hand.drag(QPointF(-60, -60), QPointF(100, 60))
    assert document.selection == {"model"}
    hand.drag(QPointF(1540, 300), QPointF(1300, 20), held=SHIFT)
    assert document.selection == {"model", "save"}
    hand.click(QPointF(100, 560))
    assert document.selection == frozenset()


def test_dragging_from_an_output_to_an_input_links_them(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.without_link(SAMPLED))
    hand.drag(hand.port("sample", "out", "latent"), hand.port("decode", "in", "latent"))
    assert SAMPLED in document.graph.links


def test_a_link_snaps_to_a_port_that_fits_within_24_px(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.without_link(SAMPLED))
    hand.drag(hand.port("sample", "out", "latent"), hand.port("decode", "in", "latent") + QPointF(-16, -10))
    assert SAMPLED in document.graph.links


def test_dropping_a_link_anywhere_on_a_node_takes_its_port_that_fits(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.without_link(SAMPLED))
    item = hand.view.graph_scene.nodes["decode"]
    hand.drag(hand.port("sample", "out", "latent"), item.rect().center())
    assert SAMPLED in document.graph.links


def test_a_link_can_be_drawn_backwards_from_a_free_input(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.without_link(SAMPLED))
    hand.drag(hand.port("decode", "in", "latent"), hand.port("sample", "out", "latent"))
    assert SAMPLED in document.graph.links


def test_a_port_of_another_type_refuses_with_a_reason(document: Document, hand: Hand, view: GraphView) -> None:
    said: list[str] = []
    view.message.connect(said.append)
    before = document.graph
    hand.drag(hand.port("sample", "out", "latent"), hand.port("save", "in", "image"))
    assert document.graph is before
    assert said == ["‘image’ takes an Image. This link carries a Latent."]


def test_a_link_that_would_close_a_loop_is_refused(document: Document, hand: Hand, view: GraphView) -> None:
    document.edit(
        "", lambda g: g.with_node(Node("blur", "latent/blur", {}, (960, 300))).with_link(Link("sample", "latent", "blur", "latent"))
    )
    said: list[str] = []
    view.message.connect(said.append)
    hand.drag(hand.port("blur", "out", "latent"), hand.port("sample", "in", "latent"))
    assert said == ["That would close a loop."]
    assert document.graph.link_at("sample", "latent") == Link("empty", "latent", "sample", "latent")


def test_dropping_a_link_on_empty_canvas_asks_for_a_node_of_its_type(hand: Hand, view: GraphView) -> None:
    asked: list[object] = []
    view.node_search_requested.connect(lambda place, hint: asked.append((place, hint)))
    hand.drag(hand.port("sample", "out", "latent"), QPointF(1100, 500))
    [(place, hint)] = asked  # type: ignore[misc]
    assert (round(place.x()), round(place.y())) == (1100, 500)
    assert (hint.node, hint.name, hint.side, hint.type) == ("sample", "latent", "out", "Latent")


def test_a_link_that_asks_for_a_node_stays_in_sight_until_the_hand_comes_back(hand: Hand, view: GraphView) -> None:
    for come_back in (lambda: hand.move(QPointF(1000, 560), Qt.MouseButton.NoButton), lambda: view.add_node("latent/blur", QPointF(980, 500))):
        hand.drag(hand.port("sample", "out", "latent"), QPointF(980, 500))
        assert view.graph_scene.overlay.link is not None
        come_back()
        assert view.graph_scene.overlay.link is None


def test_a_new_node_begins_with_what_the_model_of_the_graph_asks_for(document: Document, view: GraphView) -> None:
    view.usual_values = lambda type_id: {"width": 128} if type_id == "latent/empty" else {}
    begun = view.add_node("latent/empty", QPointF(0, 900))
    chosen = view.add_node("latent/empty", QPointF(0, 1200), values={"width": 64})
    assert document.graph.nodes[begun].values == {"width": 128} and document.graph.nodes[chosen].values == {"width": 64}


def test_a_node_added_for_a_link_is_linked_by_its_first_port_that_fits(document: Document, hand: Hand, view: GraphView) -> None:
    hint = view.graph_scene.ports.ref("sample", "latent", "out")
    name = view.add_node("latent/blur", QPointF(1100, 500), hint)
    assert document.graph.link_at(name, "latent") == Link("sample", "latent", name, "latent")
    assert document.selection == {name}
    assert len(document.history.done) == 1


def test_dragging_from_a_linked_input_takes_the_link_off(document: Document, hand: Hand) -> None:
    hand.drag(hand.port("save", "in", "image"), QPointF(1200, 500))
    assert document.graph.link_at("save", "image") is None


def test_a_link_taken_off_can_be_dropped_on_another_input(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_node(Node("save_2", "image/save", {}, (1280, 300))))
    hand.drag(hand.port("save", "in", "image"), hand.port("save_2", "in", "image"))
    assert document.graph.link_at("save", "image") is None
    assert document.graph.link_at("save_2", "image") == Link("decode", "image", "save_2", "image")
    assert document.history.done[-1].label == "Link"


def test_an_input_that_takes_many_keeps_its_other_links(document: Document, hand: Hand) -> None:
    document.edit(
        "", lambda g: g.with_nodes([Node("stack", "image/stack", {}, (1280, 300)), Node("decode_2", "latent/decode", {}, (960, 400))])
    )
    hand.drag(hand.port("decode", "out", "image"), hand.port("stack", "in", "images"))
    hand.drag(hand.port("stack", "in", "images"), hand.port("decode_2", "out", "image"), held=SHIFT)
    assert {link.source for link in document.graph.incoming["stack"]} == {"decode", "decode_2"}
    hand.drag(hand.port("stack", "in", "images"), QPointF(1200, 600))
    assert len(document.graph.incoming["stack"]) == 1


def test_ctrl_dragging_an_output_moves_all_its_links(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_node(Node("model_2", "loaders/model", {}, (0, 300))))
    hand.drag(hand.port("model", "out", "text_encoder"), hand.port("model_2", "out", "text_encoder"), held=CTRL)
    assert document.graph.link_at("prompt", "text_encoder") == Link("model_2", "text_encoder", "prompt", "text_encoder")
    assert document.graph.link_at("sample", "denoiser") == Link("model", "denoiser", "sample", "denoiser")


def test_a_node_dropped_on_a_link_is_put_into_it(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_node(Node("blur", "latent/blur", {}, (600, 600))).moved(["decode", "save"], 400, 0))
    item = hand.view.graph_scene.nodes["blur"]
    middle = hand.middle_of(SAMPLED)
    start = hand.title("blur")
    hand.drag(start, start + middle - item.rect().center(), steps=12)
    assert document.graph.link_at("blur", "latent") == Link("sample", "latent", "blur", "latent")
    assert document.graph.link_at("decode", "latent") == Link("blur", "latent", "decode", "latent")
    assert document.history.done[-1].label == "Insert"
    document.undo()
    assert SAMPLED in document.graph.links
    assert document.graph.nodes["blur"].position == (600, 600)


def test_a_node_added_while_a_link_is_selected_goes_into_it_in_one_step(document: Document, hand: Hand, view: GraphView) -> None:
    hand.click(hand.middle_of(SAMPLED))
    name = view.add_node("latent/blur", QPointF(0, 600))
    assert document.graph.link_at("decode", "latent") == Link(name, "latent", "decode", "latent")
    assert document.graph.link_at(name, "latent") == Link("sample", "latent", name, "latent")
    assert document.undo() == "Add Blur latent" and document.graph.link_at("decode", "latent") == SAMPLED


def test_a_node_dragged_from_the_library_onto_a_link_goes_into_it(document: Document, hand: Hand, view: GraphView) -> None:
    mime = QMimeData()
    mime.setData(NODE_MIME, b"latent/blur")
    place = QPointF(hand.at(hand.middle_of(SAMPLED)))
    view.dropEvent(QDropEvent(place, Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, NONE))
    [name] = document.selection
    assert document.graph.link_at("decode", "latent") == Link(name, "latent", "decode", "latent")


def test_shaking_a_node_takes_it_out_of_its_links_and_joins_its_neighbours(document: Document, hand: Hand) -> None:
    document.edit(
        "",
        lambda g: (
            g.with_node(Node("blur", "latent/blur", {}, (960, 400)))
            .without_link(SAMPLED)
            .with_link(Link("sample", "latent", "blur", "latent"))
            .with_link(Link("blur", "latent", "decode", "latent"))
        ),
    )
    start = hand.title("blur")
    hand.press(start)
    for way in (40, -40, 40, -40, 40, -40):
        hand.move(start + QPointF(way, 0))
        hand.move(start + QPointF(way * 1.5, 0))
    hand.release(start)
    assert "blur" not in document.graph.incoming
    assert SAMPLED in document.graph.links


def test_the_knife_cuts_every_link_it_crosses(document: Document, hand: Hand) -> None:
    middle = hand.middle_of(DECODED)
    hand.drag(middle + QPointF(0, -60), middle + QPointF(0, 60), RIGHT, CTRL, steps=8)
    assert DECODED not in document.graph.links
    assert len(document.graph.links) == 6


def test_alt_clicking_a_link_puts_a_dot_into_it(document: Document, hand: Hand) -> None:
    hand.click(hand.middle_of(DECODED), held=ALT)
    [dot] = [node for node in document.graph.nodes.values() if node.type == REROUTE]
    assert document.graph.link_at("save", "image") == Link(dot.id, "output", "save", "image")
    assert document.graph.link_at(dot.id, "input") == Link("decode", "image", dot.id, "input")
    assert hand.view.graph_scene.ports.output_type(dot.id, "output") == "Image"


def test_deleting_a_dot_leaves_the_link(document: Document, hand: Hand) -> None:
    hand.click(hand.middle_of(DECODED), held=ALT)
    hand.key(Qt.Key.Key_Delete)
    assert DECODED in document.graph.links


def test_a_clicked_link_is_selected_and_deleted_by_key(document: Document, hand: Hand) -> None:
    hand.click(hand.middle_of(DECODED))
    assert hand.view.selected_links == {DECODED}
    hand.key(Qt.Key.Key_Delete)
    assert DECODED not in document.graph.links
    assert "save" in document.graph.nodes


def test_scrubbing_a_number_is_one_step_and_shift_is_ten_times_finer(document: Document, hand: Hand) -> None:
    start = hand.row("sample", "guidance")
    hand.drag(start, start + QPointF(40, 0), steps=10)
    coarse = document.graph.nodes["sample"].values["guidance"]
    assert 10.0 < coarse < 14.0
    assert len(document.history.done) == 1
    document.undo()
    assert "guidance" not in document.graph.nodes["sample"].values
    hand.press(start)
    for k in range(1, 11):
        hand.move(start + QPointF(4 * k, 0), held=SHIFT)
    hand.release(start + QPointF(40, 0), held=SHIFT)
    fine = document.graph.nodes["sample"].values["guidance"]
    assert abs((fine - 6.5) * 10 - (coarse - 6.5)) < 0.6


def test_shift_may_be_held_before_a_number_is_pressed(document: Document, hand: Hand) -> None:
    start = hand.row("sample", "guidance")
    hand.drag(start, start + QPointF(100, 0), held=SHIFT)
    assert document.graph.nodes["sample"].values["guidance"] == pytest.approx(7.7, abs=0.11)
    assert document.graph.nodes["sample"].position == (600, 0)
    hand.click(start, held=SHIFT)
    assert "sample" not in document.selection


def test_a_scrub_that_is_let_go_leaves_the_value_as_it_was(document: Document, hand: Hand) -> None:
    start = hand.row("sample", "guidance")
    hand.press(start)
    hand.move(start + QPointF(50, 0))
    assert document.graph.nodes["sample"].values["guidance"] > 6.5
    hand.key(Qt.Key.Key_Escape)
    hand.release(start + QPointF(50, 0))
    assert document.graph.nodes["sample"].values.get("guidance", 6.5) == 6.5


def test_the_arrows_of_a_number_step_it(document: Document, hand: Hand) -> None:
    hand.click(hand.row("empty", "width", 0.97))
    assert document.graph.nodes["empty"].values["width"] == 1032
    hand.click(hand.row("empty", "width", 0.02))
    hand.click(hand.row("empty", "width", 0.02))
    assert document.graph.nodes["empty"].values["width"] == 1016


def test_a_click_switches_a_toggle(document: Document, hand: Hand) -> None:
    hand.click(hand.row("decode", "tiled"))
    assert document.graph.nodes["decode"].values["tiled"] is True


def test_the_dice_draws_another_seed(document: Document, hand: Hand, view: GraphView) -> None:
    item = view.graph_scene.nodes["sample"]
    row = next(row for row in item.anatomy.rows if row.kind == "seed")
    view.pointing.draw_seed("sample", row)
    assert 0 <= document.graph.nodes["sample"].values["seed"] < 2**53


def test_dragging_the_right_edge_makes_a_node_wider_by_steps_of_8(document: Document, hand: Hand) -> None:
    rect = hand.view.graph_scene.nodes["prompt"].rect()
    start = QPointF(rect.right() - 2, rect.bottom() - 16)
    hand.drag(start, start + QPointF(61, 0))
    assert document.graph.nodes["prompt"].size is not None
    assert document.graph.nodes["prompt"].size[0] == 280
    assert len(document.history.done) == 1


def test_dragging_the_lower_edge_gives_a_prompt_more_lines(document: Document, hand: Hand, view: GraphView) -> None:
    document.edit("", lambda g: g.without("empty").with_value("prompt", "text", "\n".join(f"line {k}" for k in range(20))))
    rect = view.graph_scene.nodes["prompt"].rect()
    start = QPointF(rect.center().x(), rect.bottom() - 2)
    hand.drag(start, start + QPointF(0, 96))
    row = view.graph_scene.nodes["prompt"].anatomy.rows[0]
    assert len(row.lines) == 18 and row.height == 18 * 16 + 12


def test_moving_a_group_takes_its_members_along(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_group(Group("g", "Prompts", (264, 72, 260, 400), frozenset({"prompt", "empty"}))))
    hand.drag(QPointF(400, 98), QPointF(400, 298))
    assert document.graph.groups["g"].rect[:2] == (264, 272)
    assert document.graph.nodes["prompt"].position == (280, 320)
    assert document.graph.nodes["model"].position == (0, 0)


def test_a_node_dropped_into_a_group_joins_it_and_leaves_it_again(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_group(Group("g", "Out", (900, 380, 700, 300))))
    hand.drag(hand.title("save"), hand.title("save") + QPointF(0, 440))
    assert document.graph.groups["g"].members == {"save"}
    hand.drag(hand.title("save"), hand.title("save") - QPointF(0, 440))
    assert document.graph.groups["g"].members == frozenset()


def test_a_double_click_folds_a_group_to_one_node_and_its_links_stay(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_group(Group("g", "Prompts", (264, 72, 260, 400), frozenset({"prompt", "empty"}))))
    hand.double_click(QPointF(400, 98))
    assert document.graph.groups["g"].folded
    scene = hand.view.graph_scene
    assert not scene.nodes["prompt"].visible
    end = scene.anchor("prompt", "out", "conditioning")
    assert end is not None and (end.x, end.y) == (264 + 216, 86)
    assert len(scene.links.wires) == 7


def test_middle_drag_and_wheel_move_the_view_not_the_graph(document: Document, hand: Hand, view: GraphView) -> None:
    before = view.center()
    start, end = hand.at((100, 560)), hand.at((160, 600))
    hand.press(QPointF(100, 560), MIDDLE)
    hand.move(view.mapToScene(end), MIDDLE)
    QTest.mouseRelease(view.viewport(), MIDDLE, NONE, end)
    assert end - start == QPoint(60, 40)
    moved = view.center() - before
    assert abs(moved.x() + 60) <= 1.5 and abs(moved.y() + 40) <= 1.5
    place = QPointF(700, 300)
    on_screen = hand.at(place)
    hand.wheel(place, 1)
    assert view.zoom == 1.25
    assert (hand.at(place) - on_screen).manhattanLength() <= 2
    assert not document.history.done


def test_a_double_click_on_empty_canvas_and_the_tab_key_ask_for_a_node(hand: Hand, view: GraphView) -> None:
    asked: list[QPointF] = []
    view.node_search_requested.connect(lambda place, hint: asked.append(place))
    hand.double_click(QPointF(100, 560))
    hand.key(Qt.Key.Key_Tab)
    hand.key(Qt.Key.Key_Space)
    assert len(asked) == 3


def test_a_right_click_opens_the_menu_of_what_it_hits(document: Document, hand: Hand, view: GraphView) -> None:
    menus: list[object] = []
    view.context_menu_requested.connect(lambda place, target: menus.append(target))
    hand.click(hand.title("save"), RIGHT)
    hand.click(QPointF(100, 560), RIGHT)
    assert [(target.kind, target.id) for target in menus] == [("node", "save"), ("canvas", "")]  # type: ignore[attr-defined]
    assert document.selection == {"save"}


def test_a_file_dropped_on_a_node_goes_into_its_file_input_and_elsewhere_to_the_shell(
    document: Document, hand: Hand, view: GraphView, tmp_path: Path
) -> None:
    shell: list[object] = []
    view.files_dropped.connect(lambda paths, place: shell.append(paths))
    loader = replace(SPECS["loaders/model"], inputs=(Input("file", "path", default="", markers=(File("checkpoints", (".safetensors",)),)),))
    document.set_library({**SPECS, "loaders/model": loader})
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(tmp_path / "x.safetensors"))])
    for place in (hand.title("model"), QPointF(100, 560)):
        view.dropEvent(QDropEvent(QPointF(hand.at(place)), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, NONE))
    assert document.graph.nodes["model"].values["file"] == (tmp_path / "x.safetensors").as_posix()
    assert shell == [[tmp_path / "x.safetensors"]]


def test_a_picture_without_a_file_is_taken_dropped_or_pasted(hand: Hand, view: GraphView) -> None:
    given: list[tuple[int, QPointF]] = []
    view.image_given.connect(lambda image, place: given.append((image.width(), place)))
    picture = QImage(32, 16, QImage.Format.Format_RGB32)
    picture.fill(0)
    mime = QMimeData()
    mime.setImageData(picture)
    mime.setUrls([QUrl("https://example.org/deer.png")])
    place = QPointF(100, 560)
    view.dropEvent(QDropEvent(QPointF(hand.at(place)), Qt.DropAction.CopyAction, mime, Qt.MouseButton.LeftButton, NONE))
    QGuiApplication.clipboard().setImage(picture)
    hand.key(Qt.Key.Key_V, CTRL)
    assert [width for width, _ in given] == [32, 32]
    assert (given[0][1] - place).manhattanLength() <= 1


def test_a_small_canvas_shows_its_nodes_rather_than_the_minimap(view: GraphView) -> None:
    view.set_options(minimap=True)
    view.resize(620, 355)
    assert not view.minimap.is_visible
    view.resize(1600, 900)
    assert view.minimap.is_visible


def test_the_minimap_travels_and_the_zoom_pill_zooms(document: Document, hand: Hand, view: GraphView) -> None:
    view.set_options(minimap=True)
    view.zoom_pill.set_visible(True)
    view.grab()  # the minimap measures what it paints

    def click(place: QPoint) -> None:
        QTest.mousePress(view.viewport(), Qt.MouseButton.LeftButton, NONE, place)
        QTest.mouseRelease(view.viewport(), Qt.MouseButton.LeftButton, NONE, place)

    click(view.minimap.rect.center())
    content = view.graph_scene.places.content_rect().center()
    assert (view.center() - content).manhattanLength() < 60
    click(view.zoom_pill.rect.topLeft() + QPoint(90, 16))
    assert view.zoom == 1.25
    click(view.zoom_pill.rect.topLeft() + QPoint(50, 16))
    assert view.zoom == 1.0
    assert document.selection == frozenset() and not document.history.done
