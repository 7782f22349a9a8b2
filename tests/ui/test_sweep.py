"""Sweeps: the values between, a run for each setting, and the sheet at the end."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage

from nodegraph.graph import Graph, Link, Node
from nodegraph.node import Labels, Range
from nodegraph.spec import Input
from tests.ui import nodes_for_tests as tiny
from tests.ui.answers import Answers
from ui.main_window import MainWindow
from ui.settings import Settings
from ui.sweep import Axis, graph_for, numbers, settings, sheet, texts
from ui.sweep_dialog import AxisEditor
from ui.threads import background

STEPS = Input("steps", "int", markers=(Range(1, 100),), default=4)
GUIDANCE = Input("guidance", "float", markers=(Range(0, 30, step=0.1),), default=7.0)


def graph() -> Graph:
    made = Graph().with_nodes([Node("tone", "test/tone", {"value": 20}), Node("end", "test/show")])
    return made.with_link(Link("tone", "grey", "end", "grey"))


@pytest.mark.parametrize(
    ("item", "first", "last", "count", "values"),
    [
        (STEPS, 8, 24, 5, (8, 12, 16, 20, 24)),
        (STEPS, 1, 3, 5, (1, 2, 3)),
        (GUIDANCE, 2.0, 5.0, 4, (2.0, 3.0, 4.0, 5.0)),
        (Input("size", "int", markers=(Range(1, 1024, log=True),)), 64, 1024, 5, (64, 128, 256, 512, 1024)),
        (GUIDANCE, 5.0, 2.0, 2, (5.0, 2.0)),
    ],
)
def test_values_between_two_are_spread_as_the_control_is(item, first, last, count, values):
    assert numbers(item, first, last, count) == values


def test_two_axes_are_walked_row_by_row():
    across, down = Axis((), "tone", STEPS, "Tone", (1, 2)), Axis((), "tone", GUIDANCE, "Tone", (7.0,))
    assert [[value for _, value in one] for one in settings(across, down)] == [[1, 7.0], [2, 7.0]]
    assert graph_for(graph(), settings(across, down)[1]).nodes["tone"].values == {"value": 20, "steps": 2, "guidance": 7.0}


def test_texts_are_lines_that_say_something():
    assert texts("a fox\n\n  a fox \n a cat") == ("a fox", "a cat")


def test_a_sheet_shows_each_picture_at_its_place_and_says_what_failed(qapp, dressed):
    red, blue = QImage(64, 64, QImage.Format.Format_RGB32), QImage(64, 64, QImage.Format.Format_RGB32)
    red.fill(QColor("red"))
    blue.fill(QColor("blue"))
    across, down = Axis((), "n", STEPS, "Sample", (1, 2)), Axis((), "n", GUIDANCE, "Sample", (3.0, 4.0))
    made = sheet({0: red, 3: blue}, across, down)
    row = [made.pixelColor(x, made.height() - 20) for x in range(made.width())]
    assert QColor("blue") in row and QColor("red") not in row
    assert made.pixelColor(made.width() - 20, made.height() // 3) == QColor(232, 232, 234)


def test_an_editor_for_choices_begins_with_the_present_one_and_its_neighbours(qtbot, dressed):
    names = Labels.of(euler="Euler", heun="Heun", ddim="DDIM", lcm="LCM")
    item = Input("sampler", "str", choices=("euler", "heun", "ddim", "lcm"), markers=(names,), default="euler")
    editor = AxisEditor((), "n", "Sample", item, "ddim")
    qtbot.addWidget(editor)
    assert editor.axis().values == ("heun", "ddim", "lcm")
    editor._list.item(0).setCheckState(Qt.CheckState.Checked)
    assert editor.axis().values == ("euler", "heun", "ddim", "lcm") and editor.axis().words("ddim") == "Sampler DDIM"


@pytest.fixture
def window(qtbot, dressed, tmp_path):
    folders = tiny.folders_in(tmp_path)
    made = MainWindow(Settings(None), folders, tiny.start_runner(folders), Answers())
    qtbot.addWidget(made, before_close_func=lambda w: (background().drain(), w.desk.runs.shutdown()))
    made.show()
    made.desk.studio.set_registry(tiny.registry(folders))
    return made


def test_a_sweep_runs_every_setting_and_ends_with_a_sheet_in_the_viewer(window, qtbot):
    desk = window.desk
    document = desk.studio.add(graph(), title="tones")
    dialog = desk.sweeping.ask(document, "tone", document.spec("tone").by_name["value"])
    dialog._across._first.setValue(10)
    dialog._across._last.setValue(30)
    dialog._across._count.setValue(3)
    assert dialog._sum.text() == "3 runs"
    dialog._run.click()
    qtbot.waitUntil(lambda: len(desk.runs.over) == 3, timeout=15_000)
    assert [job.title for job in reversed(desk.runs.over)] == ["tones  ·  Value 10", "tones  ·  Value 20", "tones  ·  Value 30"]
    assert [job.pictures[0].image.pixelColor(0, 0).red() for job in reversed(desk.runs.over)] == [10, 20, 30]
    assert document.graph.nodes["tone"].values == {"value": 20} and not document.is_dirty
    qtbot.waitUntil(lambda: desk.viewer.view.image.width() > 100)
