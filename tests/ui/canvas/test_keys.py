"""The keys of the canvas, asserted on the document."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from PySide6.QtCore import QPoint, QPointF, QRectF, Qt
from PySide6.QtGui import QCursor, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from nodegraph.graph import Graph, Group, Link, Node, Note
from nodegraph.spec import Input
from tests.ui.canvas.conftest import CTRL, SHIFT, SPECS, Hand
from ui import theme
from ui.actions import TABLE, Keymap
from ui.canvas.view import GraphView
from ui.document import Document
from ui.panels.number_editor import NumberEditor

Key = Qt.Key


def test_no_default_key_starts_two_actions() -> None:
    assert Keymap().conflicts() == {}


def test_every_canvas_action_can_be_carried_out(document: Document, view: GraphView) -> None:
    document.select(["sample", "decode"])
    for action in TABLE.values():
        if action.scope == "canvas":
            view.trigger(action.id)
            view.editor.close_editor()


def test_the_user_s_keys_override_the_defaults() -> None:
    keymap = Keymap({"canvas.mute": ["Ctrl+M"], "canvas.fold": []})
    assert keymap.find(QKeySequence("Ctrl+M")) == "canvas.mute"
    assert keymap.find(QKeySequence("M")) is None
    assert keymap.find(QKeySequence("H")) is None


def test_mute_bypass_fold_and_pin_toggle(document: Document, hand: Hand) -> None:
    document.select(["sample", "decode"])
    for key, held, name, value in (
        (Key.Key_M, None, "mode", "muted"),
        (Key.Key_B, CTRL, "mode", "bypassed"),
        (Key.Key_H, None, "folded", True),
        (Key.Key_P, None, "pinned", True),
    ):
        before = getattr(document.graph.nodes["sample"], name)
        hand.key(key, held or Qt.KeyboardModifier.NoModifier)
        assert getattr(document.graph.nodes["decode"], name) == value
        hand.key(key, held or Qt.KeyboardModifier.NoModifier)
        assert getattr(document.graph.nodes["sample"], name) == (before if name != "mode" else "on")


def test_delete_takes_the_links_and_leaves_the_pinned(document: Document, hand: Hand, view: GraphView) -> None:
    document.edit("", lambda g: g.changed("decode", pinned=True))
    said: list[str] = []
    view.message.connect(said.append)
    document.select(["sample", "decode"])
    hand.key(Key.Key_Delete)
    assert "sample" not in document.graph.nodes and "decode" in document.graph.nodes
    assert {link.target for link in document.graph.links} == {"prompt", "decode", "save"}
    assert said == ["Pinned nodes stay. Press P to unpin them first."]
    document.undo()
    assert len(document.graph.links) == 7


def test_deleting_with_ctrl_joins_the_neighbours(document: Document, hand: Hand) -> None:
    document.edit(
        "",
        lambda g: (
            g.with_node(Node("blur", "latent/blur"))
            .with_link(Link("sample", "latent", "blur", "latent"))
            .with_link(Link("blur", "latent", "decode", "latent"))
        ),
    )
    document.select(["blur"])
    hand.key(Key.Key_Delete, CTRL)
    assert Link("sample", "latent", "decode", "latent") in document.graph.links


def test_copied_nodes_paste_as_text_with_their_links_among_each_other(document: Document, hand: Hand) -> None:
    document.select(["decode", "save"])
    hand.key(Key.Key_C, CTRL)
    text = QGuiApplication.clipboard().text()
    assert "image/save" in text
    QGuiApplication.clipboard().setText(text)  # as it comes back from a chat
    hand.key(Key.Key_V, CTRL)
    assert document.selection == {"decode_2", "save_2"}
    assert Link("decode_2", "image", "save_2", "image") in document.graph.links
    assert document.graph.link_at("decode_2", "latent") is None
    hand.key(Key.Key_V, CTRL | SHIFT)
    assert document.graph.link_at("decode_3", "latent") == Link("sample", "latent", "decode_3", "latent")


def block_of(view: GraphView, *names: str) -> QRectF:
    return view.graph_scene.places.content_rect(names)


@pytest.mark.parametrize("pointer", [QPoint(500, 300), None])
def test_what_is_pasted_lies_at_the_pointer_or_in_the_middle_of_the_view_and_the_next_beside_it(
    document: Document, hand: Hand, view: GraphView, pointer: QPoint | None
) -> None:
    document.select(["decode", "save"])
    hand.key(Key.Key_C, CTRL)
    view.look_at(1.0, QPointF(5000, 5000))
    QCursor.setPos(view.viewport().mapToGlobal(pointer or QPoint(-40, -40)))
    QApplication.processEvents()
    hand.key(Key.Key_V, CTRL)
    first = block_of(view, "decode_2", "save_2")
    off = first.center() - (view.center() if pointer is None else view.mapToScene(pointer))
    assert abs(off.x()) <= 4 and abs(off.y()) <= 4  # on the grid
    for _ in range(5):
        hand.key(Key.Key_V, CTRL)
    blocks = [first, *(block_of(view, f"decode_{number}", f"save_{number}") for number in range(3, 8))]
    assert not any(one.intersects(two) for place, one in enumerate(blocks) for two in blocks[:place])
    assert view.visible_rect().contains(blocks[-1])
    document.undo()
    assert "decode_7" not in document.graph.nodes


def test_a_note_that_is_pasted_covers_no_node_and_no_note(document: Document, hand: Hand, view: GraphView) -> None:
    document.edit("", lambda g: g.with_note(Note("note", "A deer.", (700, 100, 216, 120))))
    document.select(["note"])
    hand.key(Key.Key_C, CTRL)
    view.look_at(1.0, QPointF(740, 300))
    hand.key(Key.Key_V, CTRL)
    hand.key(Key.Key_V, CTRL)
    scene = view.graph_scene
    boxes = [item.rect() for item in (*scene.nodes.values(), scene.notes["note_2"], scene.notes["note_3"])]
    assert not any(box.intersects(scene.notes[name].rect()) for name in ("note_2", "note_3") for box in boxes if box != scene.notes[name].rect())
    assert not scene.notes["note_2"].rect().intersects(scene.notes["note_3"].rect())


def test_pasting_words_that_are_no_graph_says_so(document: Document, hand: Hand, view: GraphView) -> None:
    said: list[str] = []
    view.message.connect(said.append)
    for text in ("hello", '{"nodes": 3}', '{"a": ['):
        QGuiApplication.clipboard().setText(text)
        hand.key(Key.Key_V, CTRL)
    assert len(said) == 3
    assert len(document.graph.nodes) == 6


def test_duplicating_with_inputs_keeps_the_incoming_links(document: Document, hand: Hand) -> None:
    document.select(["decode"])
    hand.key(Key.Key_D, CTRL | SHIFT)
    assert {link.source for link in document.graph.incoming["decode_2"]} == {"sample", "model"}


def test_grouping_frames_the_nodes_and_ungrouping_takes_only_the_frame(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["prompt", "empty"])
    hand.key(Key.Key_G, CTRL)
    [group] = document.graph.groups.values()
    assert group.members == {"prompt", "empty"}
    frame = view.graph_scene.groups[group.id].rect()
    assert all(frame.contains(view.graph_scene.nodes[name].rect()) for name in group.members)
    view.editor.accept_editor()
    document.select([group.id])
    hand.key(Key.Key_G, CTRL | SHIFT)
    assert not document.graph.groups and "prompt" in document.graph.nodes


def test_a_subgraph_takes_the_place_of_its_nodes_and_can_be_unpacked(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["prompt", "empty", "sample"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [instance] = [node for node in document.graph.nodes.values() if node.subgraph]
    assert set(document.graph.nodes) == {"model", "decode", "save", instance.id}
    item = view.graph_scene.nodes[instance.id]
    assert [port.type for port in item.anatomy.ports] == ["TextEncoder", "Denoiser", "Latent"]  # as their nodes lie inside
    opened: list[str] = []
    view.open_subgraph.connect(opened.append)
    hand.double_click(hand.title(instance.id))
    assert opened == [instance.id]
    document.enter(instance.id)
    assert set(view.graph_scene.nodes) == {"prompt", "empty", "sample"}
    document.leave()
    document.select([instance.id])
    hand.key(Key.Key_G, CTRL | SHIFT)
    assert {node.type for node in document.graph.nodes.values()} == {
        "loaders/model",
        "conditioning/prompt",
        "latent/empty",
        "sampling/sample",
        "latent/decode",
        "image/save",
    }
    assert len(document.graph.links) == 7


def test_a_copied_subgraph_brings_its_definition_along(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["prompt", "empty"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [instance] = document.selection
    hand.key(Key.Key_C, CTRL)
    other = Document(SPECS)
    second = GraphView(other)
    assert second.commands.do_paste()
    assert list(other.root.subgraphs) == list(document.root.subgraphs)
    document.enter(instance)
    said: list[str] = []
    view.message.connect(said.append)
    assert not view.commands.do_paste()
    assert view.add_node(document.root.nodes[instance].type, QPointF(0, 0)) == ""
    assert said == ["A subgraph cannot hold itself."] * 2


def test_arrow_keys_nudge_the_selection_in_one_step(document: Document, hand: Hand) -> None:
    document.select(["save"])
    for _ in range(3):
        hand.key(Key.Key_Right)
    assert document.graph.nodes["save"].position == (1304, 0)
    document.undo()
    assert document.graph.nodes["save"].position == (1280, 0)


def test_arranging_puts_every_node_right_of_its_sources_without_overlap(document: Document, hand: Hand, view: GraphView) -> None:
    document.select([])
    hand.key(Key.Key_L)
    rects = {name: item.rect() for name, item in view.graph_scene.nodes.items()}
    for link in document.graph.links:
        assert rects[link.source].right() < rects[link.target].left()
    names = list(rects)
    assert not any(rects[a].intersects(rects[b]) for k, a in enumerate(names) for b in names[k + 1 :])
    assert all(value % 8 == 0 for node in document.graph.nodes.values() for value in node.position)


def test_arranging_closes_groups_around_groups(document: Document, hand: Hand, view: GraphView) -> None:
    document.edit(
        "",
        lambda g: g.with_group(Group("in", "Words", (0, 0, 90, 90), frozenset({"prompt"}))).with_group(
            Group("out", "Begin", (0, 0, 90, 90), frozenset({"in", "empty"}))
        ),
    )
    document.select([])
    hand.key(Key.Key_L)
    groups, nodes = view.graph_scene.groups, view.graph_scene.nodes
    assert groups["in"].rect().contains(nodes["prompt"].rect())
    assert groups["out"].rect().contains(groups["in"].rect()) and groups["out"].rect().contains(nodes["empty"].rect())
    others = nodes.keys() - {"prompt", "empty"}
    assert not any(groups["out"].rect().intersects(nodes[name].rect()) for name in others)


def test_aligning_brings_boxes_to_one_edge(document: Document, hand: Hand) -> None:
    document.select(["prompt", "empty", "sample"])
    hand.key(Key.Key_Left, SHIFT)
    assert {document.graph.nodes[name].position[0] for name in ("prompt", "empty", "sample")} == {280}


def test_f_zooms_to_the_selection_and_a_to_everything(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["save"])
    hand.key(Key.Key_F)
    assert view.visible_rect().contains(view.graph_scene.nodes["save"].rect())
    assert view.zoom > 1.0
    hand.key(Key.Key_A)
    assert view.visible_rect().contains(view.graph_scene.places.content_rect())


def test_linking_the_selected_nodes_joins_what_fits(document: Document, hand: Hand) -> None:
    document.edit("", lambda g: g.with_nodes([Node("blur_a", "latent/blur", {}, (0, 500)), Node("blur_b", "latent/blur", {}, (300, 500))]))
    document.select(["blur_a", "blur_b"])
    hand.key(Key.Key_J)
    assert document.graph.link_at("blur_b", "latent") == Link("blur_a", "latent", "blur_b", "latent")


def test_links_are_gone_through_and_worked_on_by_keys_alone(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["decode"])
    hand.key(Key.Key_K)
    first = view.selected_links
    hand.key(Key.Key_K)
    [link] = view.selected_links
    assert {link} != first and "decode" in (link.source, link.target) and not document.selection
    hand.key(Key.Key_K, SHIFT)
    assert view.selected_links == first
    hand.key(Key.Key_Delete)
    assert not first & set(document.graph.links) and "decode" in document.graph.nodes
    hand.key(Key.Key_K)
    hand.key(Key.Key_R)
    assert any(node.type == "reroute" for node in document.graph.nodes.values())


def test_hidden_links_stay_in_the_graph(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["save"])
    hand.key(Key.Key_H, CTRL)
    assert view.graph_scene.links.wires[Link("decode", "image", "save", "image")].hidden
    assert Link("decode", "image", "save", "image") in document.graph.links
    hand.key(Key.Key_H, CTRL)
    assert "hidden_links" not in document.graph.nodes["save"].extra


def test_titles_notes_and_values_are_typed_in_place(document: Document, hand: Hand, view: GraphView, qtbot: object) -> None:
    document.select(["save"])
    hand.key(Key.Key_F2)
    assert view.editor.widget is not None
    qtbot.keyClicks(view.editor.widget, "Winter deer")  # type: ignore[attr-defined]
    qtbot.keyClick(view.editor.widget, Key.Key_Return)  # type: ignore[attr-defined]
    assert document.graph.nodes["save"].title == "Winter deer"
    hand.double_click(hand.row("empty", "width"))
    line = view.editor.widget.line  # type: ignore[union-attr]
    line.setText("512*2+x")
    qtbot.keyClick(line, Key.Key_Return)  # type: ignore[attr-defined]
    assert document.graph.nodes["empty"].values["width"] == 2048
    assert view.editor.widget is None
    hand.key(Key.Key_N)
    qtbot.keyClicks(view.editor.widget, "# Mind")  # type: ignore[attr-defined]
    view.editor.accept_editor()
    [note] = document.graph.notes.values()
    assert note.text == "# Mind"


def test_a_field_is_as_large_as_the_canvas_is_seen(document: Document, hand: Hand, view: GraphView) -> None:
    view.look_at(2.0, hand.row("sample", "guidance"))
    hand.double_click(hand.row("sample", "guidance"))
    editor = view.editor.widget
    assert isinstance(editor, NumberEditor)
    assert editor.height() == editor.line.height() == 48
    assert editor.line.font().pixelSize() == 2 * theme.font("value").pixelSize()


def test_what_is_typed_after_a_longer_pause_is_a_step_of_its_own(document: Document, hand: Hand, view: GraphView, qtbot: object) -> None:
    now = 100.0
    view.editor.clock = lambda: now
    hand.double_click(hand.row("prompt", "text"))
    area = view.editor.widget.area  # type: ignore[union-attr]
    before = len(document.history.done)
    for pause, words in ((0.0, " at dusk"), (0.4, " by a lake"), (30.0, ", mist")):
        now += pause
        QTest.keyClicks(area, words)
        view.editor.widget._on_pause()  # type: ignore[union-attr]
    view.editor.accept_editor()
    assert len(document.history.done) - before == 2
    document.undo()
    assert document.graph.nodes["prompt"].values["text"] == "a deer in the snow at dusk by a lake"


def test_undoing_while_a_text_is_typed_is_not_written_over_when_the_field_is_left(document: Document, hand: Hand, view: GraphView) -> None:
    hand.double_click(hand.row("prompt", "text"))
    QTest.keyClicks(view.editor.widget.area, " at dusk")  # type: ignore[union-attr]
    view.editor.widget._on_pause()  # type: ignore[union-attr]
    assert document.undo() == "Change Text"
    hand.click(QPointF(100, 560))
    assert document.graph.nodes["prompt"].values["text"] == "a deer in the snow"


def test_nodes_added_one_after_the_other_stand_in_a_row_that_can_be_linked_at_once(view: GraphView, document: Document, hand: Hand) -> None:
    document.edit("Delete all", lambda graph: graph.without(*graph.nodes))
    view.look_at(1.0, QPointF(739, 299))  # between two places of the grid
    for type_id in ("loaders/model", "conditioning/prompt", "latent/empty", "sampling/sample", "latent/decode", "image/save"):
        view.add_node(type_id, view.center())
        assert view.visible_rect().contains(view.graph_scene.nodes[next(iter(document.selection))].rect())
    rects = [item.rect() for item in view.graph_scene.nodes.values()]
    assert all(one.right() + 48 <= two.left() for one, two in pairwise(rects))
    hand.key(Key.Key_A, CTRL)
    hand.key(Key.Key_J)
    assert document.graph.link_at("decode", "latent") == Link("sample", "latent", "decode", "latent")
    assert document.graph.link_at("save", "image") == Link("decode", "image", "save", "image")


def test_of_two_prompts_linked_by_a_key_the_left_one_goes_to_positive_and_one_alone_is_not_its_own_negative(dressed: theme.Theme, qtbot: object) -> None:
    prompt = SPECS["conditioning/prompt"]
    sample = replace(SPECS["sampling/sample"], inputs=(*SPECS["sampling/sample"].inputs, Input("negative", "Conditioning", default=None, optional=True)))
    document = Document(
        SPECS | {sample.id: sample},
        Graph().with_nodes([Node("left", prompt.id), Node("right", prompt.id, {}, (300, 0)), Node("sample", sample.id, {}, (600, 0))]),
    )
    view = GraphView(document)
    qtbot.addWidget(view)  # type: ignore[attr-defined]
    document.select(["right", "sample"])
    view.trigger("canvas.link_selected")
    assert document.graph.links == (Link("right", "conditioning", "sample", "positive"),)
    document.undo()
    document.select(["left", "right", "sample"])
    view.trigger("canvas.link_selected")
    assert set(document.graph.links) == {Link("left", "conditioning", "sample", "positive"), Link("right", "conditioning", "sample", "negative")}


def test_a_node_added_on_empty_canvas_stands_where_the_hand_points_however_near_others_are(view: GraphView, document: Document) -> None:
    document.edit("Delete all", lambda graph: graph.without(*graph.nodes))
    first = view.graph_scene.nodes[view.add_node("latent/empty", QPointF(400, 400))]
    close = view.add_node("latent/empty", first.rect().topLeft() - QPointF(80, 0))
    assert document.graph.nodes[close].position == (320, 400)


def test_a_prompt_that_is_left_for_another_part_of_the_window_is_kept_and_closes(document: Document, hand: Hand, view: GraphView, qtbot: object) -> None:
    other = QLineEdit(view)
    other.show()
    hand.double_click(hand.row("prompt", "text"))
    QTest.keyClicks(view.editor.widget.area, " at dusk")  # type: ignore[union-attr]
    other.setFocus(Qt.FocusReason.MouseFocusReason)
    qtbot.waitUntil(lambda: view.editor.widget is None, timeout=2_000)  # type: ignore[attr-defined]
    assert document.graph.nodes["prompt"].values["text"] == "a deer in the snow at dusk"
    assert other.hasFocus()


def test_a_number_out_of_range_stays_typed_with_the_reason_and_changes_nothing(
    document: Document, hand: Hand, view: GraphView, qtbot: object
) -> None:
    hand.double_click(hand.row("empty", "width"))
    editor = view.editor.widget
    editor.line.setText("9000")  # type: ignore[union-attr]
    qtbot.keyClick(editor.line, Key.Key_Return)  # type: ignore[attr-defined, union-attr]
    assert view.editor.widget is editor
    assert editor.problem == "‘Width’ lies between 64 px and 2048 px."  # type: ignore[union-attr]
    assert "width" not in document.graph.nodes["empty"].values


def test_tab_goes_from_field_to_field_of_a_node(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["sample"])
    hand.key(Key.Key_Return)
    assert view.editor.row == ("sample", "sampler")
    view.editor.edit_next(1)
    assert view.editor.row == ("sample", "guidance")


@pytest.mark.parametrize("node_type", sorted(SPECS))
def test_every_kind_of_node_can_be_added_and_painted(document: Document, view: GraphView, node_type: str) -> None:
    name = view.add_node(node_type, QPointF(300, 600))
    assert name in view.graph_scene.nodes
    assert not view.render_to_image(1.0).isNull()


def test_keys_that_a_field_does_not_want_do_not_work_on_nodes(document: Document, hand: Hand, view: GraphView, qtbot: object) -> None:
    view.activateWindow()
    qtbot.waitUntil(view.isActiveWindow)  # type: ignore[attr-defined]
    document.select(["sample"])
    hand.double_click(hand.row("sample", "guidance"))
    line = view.editor.widget.line  # type: ignore[union-attr]
    assert line.hasFocus()
    for key, held in ((Key.Key_M, Qt.KeyboardModifier.NoModifier), (Key.Key_D, CTRL), (Key.Key_G, CTRL)):
        qtbot.keyClick(line, key, held)  # type: ignore[attr-defined]
    assert document.graph.nodes["sample"].mode == "on"
    assert len(document.graph.nodes) == 6 and not document.graph.groups
