"""Masks: strokes, layers, undo, and the value that goes into a graph."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from nodegraph import graphfile
from nodegraph.graph import Graph, Node
from ui.document import Document
from ui.mask_editor import MaskEditor, Target
from ui.mask_paint import Brush, Painting, alike, border_of, flood, like_here, polygon, shaped
from ui.mask_values import decode, encode, layers_of, painting_of, told_layers, with_mask

HARD = Brush(size=10, hardness=1.0, opacity=1.0, flow=1.0)


def test_a_stroke_paints_a_line_as_wide_as_the_brush():
    painting = Painting(64, 64)
    painting.begin()
    painting.dab(10, 32, HARD, erase=False)
    painting.line((10, 32), (50, 32), HARD, erase=False)
    painting.end()
    column = painting.layer.plane[:, 30]
    assert column.max() == 255
    assert 9 <= np.count_nonzero(column > 127) <= 11


def test_a_stroke_that_crosses_itself_never_exceeds_the_opacity():
    painting = Painting(32, 32)
    painting.begin()
    for _ in range(50):
        painting.dab(16, 16, Brush(12, 1.0, 0.5, 0.9), erase=False)
    painting.end()
    assert painting.layer.plane.max() == 128


def test_erasing_takes_away_and_undo_brings_back():
    painting = Painting(32, 32)
    painting.change(np.full((32, 32), 255, np.uint8))
    painting.begin()
    painting.dab(16, 16, HARD, erase=True)
    painting.end()
    assert painting.layer.plane[16, 16] == 0
    assert painting.undo() and painting.layer.plane[16, 16] == 255
    assert painting.redo() and painting.layer.plane[16, 16] == 0
    assert painting.undo() and painting.undo() and painting.is_empty and not painting.undo()


def test_a_layer_that_subtracts_cuts_out_of_those_below():
    painting = Painting(16, 16)
    painting.change(np.full((16, 16), 255, np.uint8))
    painting.add_layer("Hole")
    painting.combine(polygon([(4, 4), (12, 4), (12, 12), (4, 12)], 16, 16), erase=False)
    painting.set_role(1, "subtract")
    assert painting.combined()[8, 8] == 0 and painting.combined()[1, 1] == 255
    painting.layers[1].visible = False
    assert painting.combined()[8, 8] == 255


def test_holes_are_filled_and_the_outside_is_not():
    painting = Painting(16, 16)
    ring = np.zeros((16, 16), np.uint8)
    ring[3:13, 3:13] = 255
    ring[6:10, 6:10] = 0
    painting.change(ring)
    painting.fill_holes()
    assert painting.layer.plane[8, 8] == 255 and painting.layer.plane[0, 0] == 0


def test_flooding_goes_round_corners_and_stops_at_walls():
    free = np.ones((5, 5), bool)
    free[1, :4] = free[3, 1:] = False
    seeds = np.zeros((5, 5), bool)
    seeds[0, 0] = True
    assert flood(free, seeds)[4, 4]
    free[1, 4] = False
    assert not flood(free, seeds)[4, 4]
    assert border_of((3, 3)).sum() == 8


def test_filling_takes_connected_pixels_of_like_colour():
    picture = np.zeros((8, 8, 4), np.uint8)
    picture[:, 4:] = 200
    picture[0, 0] = 10
    area = alike(picture, 1, 1, tolerance=16)
    assert area[:, :4].min() == 255 and area[:, 4:].max() == 0


@pytest.mark.parametrize("side", [1, 37, 64])
def test_a_mask_comes_back_from_the_graph_as_it_went_in(side):
    plane = (np.arange(side * 64) % 256).astype(np.uint8).reshape(side, 64)
    np.testing.assert_array_equal(decode(encode(plane), 64, side), plane)


def test_an_empty_mask_is_an_empty_value_and_nonsense_is_refused():
    assert encode(np.zeros((4, 4), np.uint8)) == ""
    assert not decode("", 5, 4).any()
    with pytest.raises(ValueError, match="cannot be read"):
        decode("bm90IGEgcGljdHVyZQ==", 4, 4)


def test_growing_and_softening_change_only_the_edge():
    plane = np.zeros((32, 32), np.uint8)
    plane[12:20, 12:20] = 255
    grown = shaped(plane, 2, 0, 1.0)
    assert grown[10, 16] == 255 and grown[9, 16] == 0
    assert shaped(plane, 0, 0, 0.5).max() == 128


def test_a_brush_that_keeps_edges_leaves_other_colours_alone():
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, 16:] = 200
    painting = Painting(32, 32)
    painting.begin(like_here(picture, 8, 16, tolerance=24))
    painting.dab(14, 16, HARD, erase=False)
    painting.end()
    assert painting.layer.plane[16, 15] == 255 and painting.layer.plane[16, 16] == 0


def layered() -> Painting:
    painting = Painting(16, 12)
    painting.change(np.full((12, 16), 255, np.uint8))
    painting.add_layer("Hole")
    painting.combine(polygon([(4, 4), (12, 4), (12, 10), (4, 10)], 16, 12), erase=False)
    painting.set_role(1, "subtract")
    painting.feather = 2
    return painting


def test_a_mask_that_is_opened_again_has_its_layers():
    painting = layered()
    value = encode(painting.result())
    again = painting_of(value, json.loads(json.dumps(layers_of(painting, value))), 16, 12)
    assert [(one.name, one.role, one.visible, one.color) for one in again.layers] == [("Mask", "add", True, 0), ("Hole", "subtract", True, 1)]
    assert (again.grow, again.feather, again.density) == (0, 2, 1.0)
    np.testing.assert_array_equal(again.result(), painting.result())


def test_one_plain_layer_needs_no_second_copy():
    painting = Painting(8, 8)
    painting.change(np.full((8, 8), 255, np.uint8))
    assert layers_of(painting, encode(painting.result())) is None


@pytest.mark.parametrize("damage", [{"layers": []}, {"layers": [{"name": "x"}]}, {"grow": "much"}, {"of": "another mask"}, {"layers": 7}])
def test_layers_that_do_not_belong_to_the_mask_or_make_no_sense_leave_the_mask_itself(damage):
    painting = layered()
    value = encode(painting.result())
    again = painting_of(value, {**layers_of(painting, value), **damage}, 16, 12)
    assert len(again.layers) == 1
    np.testing.assert_array_equal(again.result(), painting.result())


def test_layers_travel_with_the_node_and_go_with_the_mask(tmp_path):
    painting = layered()
    value = encode(painting.result())
    graph = Graph().with_node(Node("m", "mask/paint", extra={"seeds": {}}))
    painted = with_mask(graph, "m", "drawing", value, layers_of(painting, value))
    graphfile.write(tmp_path / "mask.graph", painted)
    read = graphfile.read(tmp_path / "mask.graph")
    assert len(painting_of(value, told_layers(read, "m", "drawing"), 16, 12).layers) == 2
    plain = with_mask(read, "m", "drawing", "", None)
    assert plain.nodes["m"].extra == {"seeds": {}} and told_layers(plain, "m", "drawing") is None


def editor_on_grey(qtbot) -> MaskEditor:
    editor = MaskEditor()
    qtbot.addWidget(editor)
    editor.resize(1000, 700)
    editor.show()
    picture = QImage(256, 256, QImage.Format.Format_RGB888)
    picture.fill(Qt.GlobalColor.darkGray)
    editor.open(picture, "", Target(Document({}), (), "m", "drawing", "Sample"))
    return editor


def test_painting_with_the_mouse_gives_a_value_for_the_graph(qtbot, dressed):
    editor = editor_on_grey(qtbot)
    view = editor.view
    middle = view.rect().center()
    QTest.mousePress(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle)
    QTest.mouseMove(view, middle + QPoint(60, 0))
    QTest.mouseRelease(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, middle + QPoint(60, 0))
    with qtbot.waitSignal(editor.used) as heard:
        editor.use()
    plane = decode(heard.args[1], 256, 256)
    assert heard.args[0].node == "m" and plane[128, 128] > 127 and plane[5, 5] == 0
    QTest.keyClick(view, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert view.painting.is_empty


def test_the_brush_covers_the_same_share_of_every_picture(qtbot, dressed):
    editor = MaskEditor()
    qtbot.addWidget(editor)
    sizes = []
    for side in (1024, 128, 512):
        editor.open(QImage(side, side, QImage.Format.Format_RGB888), "", None)
        sizes.append(editor.view.brush.size)
    assert sizes == [64, 8, 32]


def test_a_mirrored_stroke_is_painted_on_both_sides(qtbot, dressed):
    view = editor_on_grey(qtbot).view
    view.mirrors = True
    view.start(40, 128)
    view.stop(40, 128)
    plane = view.painting.layer.plane
    assert plane[128, 40] > 0 and plane[128, 216] > 0 and plane[128, 128] == 0


def test_alt_and_a_press_take_the_subject_under_the_pointer(qtbot, dressed):
    view = editor_on_grey(qtbot).view
    QTest.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.AltModifier, view.rect().center())
    assert view.painting.layer.plane.min() == 255


def test_layers_are_renamed_moved_and_taken_out_by_keys(qtbot, dressed):
    editor = editor_on_grey(qtbot)
    editor.layers.add()
    editor.layers.rows[1].renamed.emit("Sky")
    names = lambda: [one.name for one in editor.view.painting.layers]
    assert names() == ["Mask", "Sky"]
    QTest.keyClick(editor.layers.rows[1], Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert names() == ["Sky", "Mask"]
    QTest.keyClick(editor.layers.rows[0], Qt.Key.Key_S)
    assert editor.view.painting.layers[0].role == "subtract"
    QTest.keyClick(editor.layers.rows[0], Qt.Key.Key_Delete)
    assert names() == ["Mask"]
    for _ in range(4):
        editor.undo()
    assert names() == ["Mask", "Mask 2"]
