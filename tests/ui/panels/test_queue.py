"""Hands on the cards of the queue."""

from collections.abc import Callable

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from nodegraph.graph import Graph, Node
from tests.ui import nodes_for_tests as tiny
from ui.document import Document
from ui.jobs import Job
from ui.panels.queue import CARD, GAP, JobCard, QueuePanel
from ui.runs import Runs
from ui.settings import Settings

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def runs(qapp, tmp_path):
    folders = tiny.folders_in(tmp_path)
    made = Runs(Settings(None), tiny.start_runner(folders))
    made.set_paused(True)
    document = Document(tiny.registry(folders).specs, Graph().with_nodes([Node("tone", "test/tone"), Node("end", "test/show")]))
    for _ in range(4):
        made.submit(document)
    yield made
    made.shutdown()


@pytest.fixture
def queue(qtbot, dressed, runs):
    made = QueuePanel(runs)
    qtbot.addWidget(made)
    made.resize(224, 600)
    made.show()
    qtbot.waitExposed(made)
    return made


def card_of(queue: QueuePanel, job: Job) -> JobCard:
    return next(card for card in queue.findChildren(JobCard) if card.job is job)


def drag(card: JobCard, *ways: float, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Press on a card and draw the pointer by so many cards, one move for each; all moves arrive before the window lays itself out."""
    start = QPoint(90, CARD // 2)
    origin = card.mapToGlobal(start)
    QTest.mousePress(card, LEFT, NONE, start)
    meanwhile()
    for way in ways:
        there = QPointF(origin) + QPointF(0, way * (CARD + GAP))
        QApplication.sendEvent(card, QMouseEvent(QEvent.Type.MouseMove, card.mapFromGlobal(there), there, Qt.MouseButton.NoButton, LEFT, NONE))
    QTest.mouseRelease(card, LEFT, NONE, start)


def test_a_card_is_put_where_it_is_dragged_however_many_moves_the_hand_makes(runs, queue):
    a, b, c, d = runs.waiting
    drag(card_of(queue, a), 0.3, 0.6, 0.8, 1.0, 1.1)
    assert runs.waiting == [b, a, c, d]


def test_a_card_dragged_beyond_the_end_and_back_lies_where_the_hand_is(runs, queue):
    a, b, c, d = runs.waiting
    drag(card_of(queue, b), 1, 3, 6, 1)
    assert runs.waiting == [a, c, b, d]
    QApplication.processEvents()
    drag(card_of(queue, d), -0.6, -2, -8)
    assert runs.waiting == [d, a, c, b]


def test_a_run_that_leaves_the_queue_during_a_drag_does_not_shift_the_dragged_one(runs, queue):
    a, b, c, d = runs.waiting
    drag(card_of(queue, d), 0, -1, meanwhile=lambda: runs.cancel(a))
    assert runs.waiting == [b, d, c]
