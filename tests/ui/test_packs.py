"""Packs of nodes in the preferences: how each stands, why it is broken, and files of one's own switched on and off."""

from __future__ import annotations

import json
import sys

import pytest
from PySide6.QtCore import QObject, Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtTest import QTest

from nodegraph.cache import Cache
from nodegraph.folders import read_settings
from nodegraph.graph import Graph, Node
from nodegraph.registry import Registry, enable_plugin
from nodegraph.runner import Here, Runner
from tests.ui import nodes_for_tests as tiny
from tests.ui.answers import Answers
from ui import theme
from ui.main_window import MainWindow
from ui.pack_list import PackList, PackRow
from ui.preferences import Preferences
from ui.settings import Settings
from ui.threads import background

FLAT = """
from nodegraph.node import HEADLESS, Context, node


@node("mine/flat", sink=True)
def flat(tone: int = 90, ctx: Context = HEADLESS) -> None:
    "Show one tone."
    import numpy as np

    ctx.show(np.full((8, 6, 3), tone, np.uint8))
"""


@pytest.fixture(scope="module")
def look(qapp):
    return theme.apply(qapp, "dark", reduced_motion=True)


@pytest.fixture
def folders(tmp_path):
    made = tiny.folders_in(tmp_path)
    made.plugins.mkdir()
    yield made
    for name in [name for name in sys.modules if name.startswith("nodegraph_user_")]:
        del sys.modules[name]


@pytest.fixture
def window(qtbot, look, folders):
    """A window whose worker finds its nodes as the program's own does."""

    def start(tell):
        return Runner(tell, place=lambda heard: Here(heard, load=lambda: (Registry.load(folders), Cache(1 << 20, None))), folders=folders)

    made = MainWindow(Settings(folders.settings), folders, start, Answers())
    qtbot.addWidget(made, before_close_func=lambda w: (background().drain(), w.desk.runs.shutdown()))
    made.show()
    return made


@pytest.fixture
def page(qtbot, window):
    """The page, turned to as soon as the nodes are known; what a test puts into the folder before is there."""
    studio = window.desk.studio
    studio.load_registry()
    qtbot.waitUntil(lambda: studio.registry is not None, timeout=20_000)
    made = Preferences(window.desk, "packs")
    qtbot.addWidget(made)
    made.show()
    settle(qtbot, window)
    return made.findChild(PackList)


def settle(qtbot, window):
    qtbot.waitUntil(lambda: background().pending == 0 and not window.desk.packs.is_busy, timeout=20_000)


def row(page: PackList, name: str) -> PackRow:
    return page.rows[True, name]


def press(qtbot, window, page: PackList, name: str) -> None:
    """By the keyboard."""
    box = row(page, name).box
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Space)
    settle(qtbot, window)


def run(qtbot, window) -> str:
    before = len(window.desk.runs.over)
    window.desk.running.run()
    qtbot.waitUntil(lambda: len(window.desk.runs.over) > before, timeout=20_000)
    return window.desk.runs.over[0].state


def test_a_file_that_is_switched_on_counts_at_once_in_the_window_and_in_the_next_run(qtbot, window, folders, page):
    (folders.plugins / "flat.py").write_text(FLAT)
    document = window.desk.studio.add(Graph().with_node(Node("a", "mine/flat")))
    assert document.spec("a") is None
    window.desk.runs.submit(document)
    qtbot.waitUntil(lambda: [job.state for job in window.desk.runs.over] == ["failed"], timeout=20_000)
    window.desk.packs.look()
    settle(qtbot, window)
    assert row(page, "flat.py").state.text() == "off" and not row(page, "flat.py").box.isChecked()
    press(qtbot, window, page, "flat.py")
    assert document.spec("a").title == "Flat" and document.graph.nodes["a"].type == "mine/flat"
    assert (row(page, "flat.py").state.text(), row(page, "flat.py").count.text()) == ("on", "1 node")
    assert run(qtbot, window) == "done"
    press(qtbot, window, page, "flat.py")
    assert document.spec("a") is None and row(page, "flat.py").state.text() == "off"
    window.desk.runs.submit(document)
    qtbot.waitUntil(lambda: [job.state for job in window.desk.runs.over] == ["failed", "done", "failed"], timeout=20_000)


def test_a_broken_pack_tells_file_and_line_to_be_selected_and_copied(qtbot, window, folders, page):
    (folders.plugins / "wrong.py").write_text("import os\n\n1 / 0\n")
    window.desk.packs.look()
    settle(qtbot, window)
    press(qtbot, window, page, "wrong.py")
    shown = row(page, "wrong.py")
    assert shown.state.text() == "broken" and shown.box.isChecked()
    assert shown.error.text() == "‘wrong.py’ cannot be used: ZeroDivisionError: division by zero (wrong.py, line 3)"
    assert shown.error.textInteractionFlags() & Qt.TextInteractionFlag.TextSelectableByMouse
    assert shown.error.isVisibleTo(page) and "line 3" in shown.box.accessibleDescription()
    shown.copy.click()
    assert "Traceback" in QGuiApplication.clipboard().text()
    assert [notice.key for notice in window.notices.shown] == ["packs"]
    (folders.plugins / "wrong.py").write_text(FLAT)
    window.desk.packs.look()
    settle(qtbot, window)
    press(qtbot, window, page, "wrong.py")
    assert row(page, "wrong.py").state.text() == "on" and not row(page, "wrong.py").error.isVisibleTo(page)
    assert window.notices.shown == ()


def test_a_file_that_has_changed_is_agreed_to_anew_or_left_off_without_being_run(qtbot, window, folders, page, tmp_path):
    file, trace = folders.plugins / "mine.py", tmp_path / "it ran"
    for name in ("mine.py", "gone.py"):
        (folders.plugins / name).write_text(FLAT)
        enable_plugin(folders, name)
    file.write_text(f"open({str(trace)!r}, 'w').close()\n")
    (folders.plugins / "gone.py").unlink()
    window.desk.packs.look()
    settle(qtbot, window)
    changed, gone = row(page, "mine.py"), row(page, "gone.py")
    assert (changed.state.text(), gone.state.text()) == ("changed", "gone")
    assert "has changed since you switched it on" in changed.error.text() and not changed.box.isChecked() and not gone.box.isEnabled()
    changed.leave.click()
    gone.leave.click()
    settle(qtbot, window)
    assert row(page, "mine.py").state.text() == "off" and (True, "gone.py") not in page.rows
    assert not trace.exists() and json.loads(folders.settings.read_text())["plugins"] == {}
    press(qtbot, window, page, "mine.py")
    assert row(page, "mine.py").state.text() == "on" and trace.exists()


def test_switches_in_quick_succession_end_as_the_last_one_says_and_keep_the_keyboard(qtbot, window, folders, page):
    (folders.plugins / "mine.py").write_text(FLAT)
    window.desk.packs.look()
    settle(qtbot, window)
    box = row(page, "mine.py").box
    box.setFocus()
    for _ in range(3):
        QTest.keyClick(box, Qt.Key.Key_Space)
    assert row(page, "mine.py").state.text() == "switching on"
    window.settings.set("grid", False)
    window.settings.flush()
    settle(qtbot, window)
    assert row(page, "mine.py").state.text() == "on" and "mine/flat" in window.desk.studio.registry.specs
    assert page.focusWidget() is box and box.accessibleName() == "mine.py" and box.accessibleDescription() == "on. 1 node"
    written = json.loads(folders.settings.read_text())
    assert list(written["plugins"]) == ["mine.py"] and written["grid"] is False


def test_a_switch_that_cannot_be_written_down_says_why_and_goes_back(qtbot, window, folders, page):
    (folders.plugins / "mine.py").write_text(FLAT)
    window.desk.packs.look()
    settle(qtbot, window)
    folders.settings.write_text("{ half")
    registry = window.desk.studio.registry
    press(qtbot, window, page, "mine.py")
    shown = row(page, "mine.py")
    assert not shown.box.isChecked() and shown.state.text() == "off" and "cannot be read. Repair the file" in shown.error.text()
    assert window.desk.studio.registry is registry and folders.settings.read_text() == "{ half"


def test_the_node_folder_is_made_and_opened(qtbot, window, folders, page):
    folders.plugins.rmdir()

    class Opener(QObject):
        """Stands for the file manager of the system."""

        opened: list[str] = []

        @Slot(QUrl)
        def take(self, url: QUrl) -> None:
            self.opened.append(url.toLocalFile())

    opener = Opener()
    QDesktopServices.setUrlHandler("file", opener, "take")
    try:
        page.open.click()
        settle(qtbot, window)
    finally:
        QDesktopServices.unsetUrlHandler("file")
    assert opener.opened == [str(folders.plugins)] and folders.plugins.is_dir()


def test_a_graph_that_has_no_node_of_a_switched_pack_keeps_its_canvas(qtbot, window, folders, page):
    """A large graph drawn anew for nothing would hold the window up."""
    (folders.plugins / "flat.py").write_text(FLAT)
    document = window.desk.studio.add(Graph().with_node(Node("a", "image/invert")))
    settle(qtbot, window)
    shown = window.desk.view.graph_scene.nodes["a"]
    window.desk.packs.switch("flat.py", True)
    settle(qtbot, window)
    assert window.desk.view.graph_scene.nodes["a"] is shown
    window.desk.rooms.library_node("mine/flat", {})
    assert [node.type for node in document.graph.nodes.values()] == ["image/invert", "mine/flat"]


def test_a_pack_that_never_ends_is_switched_off_again_and_neither_files_nor_the_end_wait_for_it(qtbot, window, folders, page):
    """The gate opens only when all is over."""
    (folders.plugins / "stuck.py").write_text("from tests.ui.nodes_for_tests import gate\n\ngate.wait()\n")
    (folders.plugins / "flat.py").write_text(FLAT)
    tiny.gate.clear()
    packs = window.desk.packs
    packs._patience.setInterval(1)
    try:
        packs.look()
        packs.switch("stuck.py", True)
        qtbot.waitUntil(lambda: (True, "stuck.py") in page.rows and "stuck.py" in read_settings(folders.settings).get("plugins", {}))
        assert row(page, "stuck.py").state.text() == "switching on"
        background().drain()
        packs.switch("stuck.py", False)
        packs.switch("flat.py", True)
        settle(qtbot, window)
        assert row(page, "stuck.py").state.text() == "off" and "mine/flat" in window.desk.studio.registry.specs
    finally:
        tiny.gate.set()


def test_a_pack_that_holds_the_start_up_is_switched_off_in_the_window_that_waits_for_it(qtbot, window, folders):
    (folders.plugins / "stuck.py").write_text("from tests.ui.nodes_for_tests import gate\n\ngate.wait()\n")
    enable_plugin(folders, "stuck.py")
    tiny.gate.clear()
    studio, packs, loaded = window.desk.studio, window.desk.packs, []
    packs._patience.start(1)
    try:
        studio.load_registry(lambda: loaded.append(True))
        made = Preferences(window.desk, "packs")
        qtbot.addWidget(made)
        made.show()
        qtbot.waitUntil(lambda: packs.listed is not None)
        assert studio.registry is None
        assert row(made.findChild(PackList), "stuck.py").state.text() == "loading"
        row(made.findChild(PackList), "stuck.py").box.click()
        qtbot.waitUntil(lambda: studio.registry is not None, timeout=20_000)
        found = studio.registry
        assert found.reports == []
    finally:
        tiny.gate.set()
    qtbot.waitUntil(lambda: loaded == [True] and row(made.findChild(PackList), "stuck.py").state.text() == "off", timeout=20_000)
    assert studio.registry is found


def test_a_file_switched_on_elsewhere_is_said_to_count_from_the_next_start(qtbot, window, folders, page):
    (folders.plugins / "flat.py").write_text(FLAT)
    enable_plugin(folders, "flat.py")
    window.desk.packs.look()
    settle(qtbot, window)
    assert (row(page, "flat.py").state.text(), row(page, "flat.py").count.text()) == ("on", "from the next start")
    window.desk.studio.set_registry(Registry.load(folders))
    settle(qtbot, window)
    assert row(page, "flat.py").count.text() == "1 node"
