"""The timeline: every step that was done can be looked at and gone on from, whether a picture of it was kept or not."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest

from nodegraph.graph import Graph
from ui.jobs import Job
from ui.panels.timeline import Timeline
from ui.takes import Kept, Take


def take(total: int, *kept: int) -> Take:
    """A finished take of which pictures of some steps were kept."""
    made = Take(1, Job("fox", Graph()), "sample", "Sample", over=True)
    for step in kept:
        image = QImage(8, 8, QImage.Format.Format_RGB32)
        image.fill(Qt.GlobalColor.gray)
        made.keep(Kept(step, total, 1.0, image))
    return made


@pytest.fixture
def timeline(qtbot, dressed):
    made = Timeline()
    qtbot.addWidget(made)
    qtbot.addWidget(made.transport)
    made.resize(1000, 120)
    made.show()
    made.show_takes([take(20, 1, 2, 16, 20)])
    return made


def click(timeline: Timeline, step: int) -> None:
    QTest.mouseClick(timeline.strip, Qt.MouseButton.LeftButton, pos=timeline.strip.cell(step - 1).center().toPoint())


def test_a_branch_begins_at_the_step_pointed_at_though_no_picture_of_it_was_kept(timeline):
    wanted = []
    timeline.branch_wanted.connect(lambda one, step: wanted.append(step))
    for step in (9, 16):
        click(timeline, step)
        timeline.branch.click()
    assert wanted == [9, 16]


def test_a_step_without_a_picture_shows_the_last_one_before_it_and_says_so(timeline):
    looked = []
    timeline.looked.connect(lambda kept: looked.append(kept.step))
    click(timeline, 9)
    assert looked == [2] and timeline._kept.whole() == "Step 9, shown by the picture of step 2"


def test_keys_walk_through_all_steps_that_were_done(timeline):
    click(timeline, 18)
    for key in (Qt.Key.Key_Right, Qt.Key.Key_Right, Qt.Key.Key_Right):
        QTest.keyClick(timeline.strip, key)
    assert timeline.strip.looked_at == 20
    QTest.keyClick(timeline.strip, Qt.Key.Key_Home)
    assert timeline.strip.looked_at == 1
    QTest.keyClick(timeline.strip, Qt.Key.Key_Escape)
    assert timeline.strip.looked_at is None and not timeline.branch.isEnabled()


def test_steps_that_this_take_did_not_do_cannot_be_chosen(timeline):
    timeline.show_takes([take(20, 17, 20)])
    click(timeline, 3)
    assert timeline.strip.looked_at == 17


def test_of_a_thinned_take_whole_cells_are_chosen(timeline):
    long = take(20, *range(1, 21))
    long.thin()
    timeline.show_takes([long])
    QTest.mouseClick(timeline.strip, Qt.MouseButton.LeftButton, pos=QPoint(timeline.strip.cell(4).center().toPoint()))
    assert timeline.strip.looked_at == 10
    QTest.keyClick(timeline.strip, Qt.Key.Key_Left)
    assert timeline.strip.looked_at == 8
