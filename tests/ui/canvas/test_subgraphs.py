"""Working inside subgraphs: what they show to the outside, subgraphs in them, pasting into them."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication

from tests.ui.canvas.conftest import CTRL, SHIFT, Hand
from ui.canvas import inside
from ui.canvas.view import GraphView
from ui.document import Document

Key = Qt.Key


@pytest.fixture
def opened(document: Document, hand: Hand, view: GraphView) -> str:
    """Empty latent and sampler in a subgraph that is open; the id of its instance."""
    document.select(["empty", "sample"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [instance] = document.selection
    document.enter(instance)
    return instance


def outside(document: Document, instance: str) -> tuple[list[str], list[str]]:
    """The inputs and outputs that an instance shows."""
    name = document.root.nodes[instance].subgraph
    definition = document.root.subgraphs[str(name)]
    return [item.name for item in definition.inputs], [item.name for item in definition.outputs]


def label_of(view: GraphView, node: str, row: str) -> bool:
    return next(r.is_outside for r in view.graph_scene.nodes[node].anatomy.rows if r.name == row)


def test_the_name_typed_when_a_subgraph_is_made_is_that_of_the_subgraph(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["empty", "sample"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.widget.setText("Painter")  # type: ignore[union-attr]
    view.editor.accept_editor()
    [instance] = document.selection
    document.enter(instance)
    assert [name for name, _scope in document.crumbs()][1:] == ["Painter"]
    assert document.root.subgraphs["Subgraph"].title == "Painter"


def test_of_two_instances_each_has_a_name_of_its_own(document: Document, opened: str) -> None:
    document.leave()
    root, one = inside.retitled(document.root, None, opened, "Painter"), opened
    root, two = root.added(root.nodes[one].type, (0.0, 0.0))
    root = inside.retitled(root, None, two, "Painter of night")
    assert (root.nodes[one].title, root.nodes[two].title, root.subgraphs["Subgraph"].title) == (None, "Painter of night", "Painter")


def test_a_value_is_shown_on_the_subgraph_and_taken_off_again(document: Document, view: GraphView, opened: str) -> None:
    before = outside(document, opened)
    assert view.commands.promote(("in", "sample", "guidance"))
    assert outside(document, opened)[0] == [*before[0], "guidance"]
    assert label_of(view, "sample", "guidance")
    document.leave()
    document.edit("", lambda g: g.with_value(opened, "guidance", 3.0))
    row = next(row for row in view.graph_scene.nodes[opened].anatomy.rows if row.name == "guidance")
    assert row.value == "3.0"
    document.enter(opened)
    assert view.commands.promote(("in", "sample", "guidance"))
    assert outside(document, opened) == before and not label_of(view, "sample", "guidance")
    assert "guidance" not in document.root.nodes[opened].values


def test_what_a_subgraph_shows_is_renamed_and_values_and_links_of_its_instances_follow(document: Document, view: GraphView, opened: str) -> None:
    view.commands.promote(("in", "sample", "guidance"))
    document.leave()
    document.edit("", lambda g: g.with_value(opened, "guidance", 3.0))
    document.enter(opened)
    assert view.editor.edit_outer_name(("in", "sample", "guidance"))
    view.editor.widget.setText("How much")
    view.editor.accept_editor()
    assert outside(document, opened)[0][-1] == "how_much" and document.root.nodes[opened].values["how_much"] == 3.0
    wires = [(link.target, link.input) for link in document.root.links if link.source == opened]
    assert view.commands.rename_outside(("out", "sample", "latent"), "Picture!")
    assert outside(document, opened)[1] == ["picture"]
    assert [(link.target, link.input) for link in document.root.links if link.source == opened and link.output == "picture"] == wires
    assert document.undo() == "Rename on the subgraph" and outside(document, opened)[1] == ["latent"]


def test_what_an_outer_subgraph_shows_of_an_inner_one_follows_its_new_name_and_goes_with_it(document: Document, hand: Hand, view: GraphView, opened: str) -> None:
    document.leave()
    document.select([opened])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [outer] = document.selection
    outer_name = str(document.root.nodes[outer].subgraph)
    document.enter(outer)
    shown = document.root.subgraphs[outer_name].outputs[0]
    document.enter(shown.node)
    assert view.commands.rename_outside(("out", "sample", "latent"), "drawn")
    assert document.root.subgraphs[outer_name].outputs[0] == shown._replace(output="drawn")
    assert any(link.source == outer and link.output == shown.name for link in document.root.links)
    assert view.commands.promote(("out", "sample", "latent"))  # off again
    assert not document.root.subgraphs[outer_name].outputs
    assert not any(link.source == outer for link in document.root.links)


def test_a_name_that_is_taken_gets_a_number_and_an_empty_one_changes_nothing(document: Document, view: GraphView, opened: str) -> None:
    view.commands.promote(("in", "sample", "guidance"))
    view.commands.promote(("in", "sample", "steps"))
    before = document.root
    view.commands.rename_outside(("in", "sample", "steps"), " - ")
    assert document.root is before
    view.commands.rename_outside(("in", "sample", "steps"), "guidance")
    assert outside(document, opened)[0][-2:] == ["guidance", "guidance_2"]


def test_taking_an_output_off_takes_the_links_of_all_instances_along(document: Document, view: GraphView, opened: str) -> None:
    assert any(link.source == opened for link in document.root.links)
    view.commands.promote(("out", "sample", "latent"))
    assert not any(link.source == opened for link in document.root.links)
    document.undo()
    assert any(link.source == opened for link in document.root.links)


def test_deleting_an_inner_node_takes_what_it_showed_off_the_outside(document: Document, hand: Hand, view: GraphView, opened: str) -> None:
    view.commands.promote(("in", "empty", "width"))
    document.select(["empty"])
    hand.key(Key.Key_Delete)
    assert "width" not in outside(document, opened)[0]
    assert document.undo() == "Delete" and "width" in outside(document, opened)[0]


def test_a_subgraph_is_made_and_unpacked_inside_another(document: Document, hand: Hand, view: GraphView, opened: str) -> None:
    view.commands.promote(("in", "sample", "guidance"))
    before, root = outside(document, opened), document.root
    document.select(["sample"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [inner] = document.selection
    assert set(document.graph.nodes) == {"empty", inner}
    assert outside(document, opened) == before  # what the sampler showed, the new one shows in its place
    assert "guidance" in view.graph_scene.ports.spec(document.graph.nodes[inner]).by_name
    hand.key(Key.Key_G, CTRL | SHIFT)
    assert {node.type for node in document.graph.nodes.values()} == {"latent/empty", "sampling/sample"}
    assert outside(document, opened) == before
    assert document.graph.links[0].input == root.subgraphs[str(root.nodes[opened].subgraph)].graph.links[0].input


def test_a_subgraph_with_a_name_that_is_taken_pastes_under_a_new_one_in_one_step(document: Document, hand: Hand, view: GraphView, opened: str) -> None:
    document.leave()
    document.select(["prompt"])
    hand.key(Key.Key_E, CTRL | SHIFT)
    view.editor.accept_editor()
    [second] = document.selection
    text_name = str(document.graph.nodes[second].subgraph)
    hand.key(Key.Key_C, CTRL)
    definition = document.root.subgraphs[text_name]
    document.edit_root("", lambda root: root.with_subgraph(text_name, type(definition)(definition.graph.with_value("prompt", "text", "else"), definition.inputs, definition.outputs)))
    document.enter(opened)
    before = document.root
    assert view.commands.do_paste()
    assert len(document.root.subgraphs) == len(before.subgraphs) + 1
    assert document.undo() == "Paste" and document.root == before


def test_nodes_paste_out_of_a_chat_with_words_and_a_fence_around_them(document: Document, hand: Hand, view: GraphView) -> None:
    document.select(["prompt"])
    hand.key(Key.Key_C, CTRL)
    text = QGuiApplication.clipboard().text()
    QGuiApplication.clipboard().setText(f"Try {{this}}:\n```json\n{text}\n```\n")
    hand.key(Key.Key_V, CTRL)
    assert [node.values["text"] for node in document.graph.nodes.values() if node.type == "conditioning/prompt"] == ["a deer in the snow"] * 2


def test_pasting_with_ctrl_shift_v_keeps_the_links_that_came_in(document: Document, hand: Hand) -> None:
    document.select(["decode"])
    hand.key(Key.Key_C, CTRL)
    hand.key(Key.Key_V, CTRL | SHIFT)
    [copy] = document.selection
    assert {link.source for link in document.graph.incoming[copy]} == {"sample", "model"}
    document.select(["decode"])
    hand.key(Key.Key_C, CTRL)
    hand.key(Key.Key_V, CTRL)
    [plain] = document.selection
    assert not document.graph.incoming.get(plain)
