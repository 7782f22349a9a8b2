"""Files: opening, saving, conflicts, what cannot be written, closing and what a crash leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nodegraph import graphfile
from nodegraph.graph import Graph, Node
from nodegraph.saving import write_atomically
from tests.ui import nodes_for_tests as tiny
from tests.ui.answers import Answers
from ui.settings import Settings
from ui.studio import Studio
from ui.threads import background

ROOT = Path(__file__).resolve().parents[2]


def small() -> Graph:
    return Graph().with_node(Node("tone", "test/tone", {"value": 3}))


@pytest.fixture
def answers():
    return Answers()


@pytest.fixture
def studio(qapp, tmp_path, answers):
    made = Studio(Settings(None), tiny.folders_in(tmp_path / "home"), answers)
    made.notices = []
    made.notice.connect(made.notices.append)
    made.set_registry(tiny.registry(made.folders))
    yield made
    background().drain()
    made.recovery.close()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "fox.graph"
    graphfile.write(path, small())
    return path


def opened(studio, path):
    studio.open(path)
    background().drain()
    return studio.current


def test_a_file_opens_in_a_tab_and_a_second_time_shows_the_same_tab(studio, saved):
    document = opened(studio, saved)
    assert document.title == "fox" and not document.is_dirty
    studio.new()
    assert opened(studio, saved) is document
    assert len(studio.documents) == 2


def test_saving_writes_the_file_and_edits_meanwhile_stay_unsaved(studio, saved):
    document = opened(studio, saved)
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    studio.save(document)
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 10))
    background().drain()
    assert graphfile.read(saved).nodes["tone"].values["value"] == 9
    assert document.is_dirty
    studio.save(document)
    background().drain()
    assert not document.is_dirty


def test_a_file_that_changed_on_disk_is_not_overwritten_without_a_word(studio, saved, answers):
    document = opened(studio, saved)
    theirs = small().with_value("tone", "value", 77)
    graphfile.write(saved, theirs)
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    studio.save(document)
    background().drain()
    assert answers.asked == ["conflict fox.graph"]
    assert graphfile.read(saved) == theirs and document.is_dirty


def test_a_touched_file_with_the_same_content_is_no_conflict(studio, saved, answers):
    document = opened(studio, saved)
    os.utime(saved, (1, 1))
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    studio.save(document)
    background().drain()
    assert answers.asked == [] and not document.is_dirty


def test_taking_the_files_version_can_be_undone(studio, saved, answers):
    document = opened(studio, saved)
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    mine = document.root
    graphfile.write(saved, small().with_value("tone", "value", 77))
    answers.conflict_answer = "reload"
    studio.save(document)
    background().drain()
    assert document.root.nodes["tone"].values["value"] == 77 and not document.is_dirty
    document.undo()
    assert document.root == mine


def test_a_change_on_disk_is_told_when_the_window_comes_to_the_front(studio, saved):
    opened(studio, saved)
    graphfile.write(saved, small().with_value("tone", "value", 77))
    studio.check_disk()
    background().drain()
    studio.check_disk()
    background().drain()
    assert [notice.text for notice in studio.notices] == ["‘fox.graph’ was changed by another program."]


def test_a_file_that_cannot_be_written_keeps_the_work_and_says_what_to_do(studio, tmp_path, saved):
    document = opened(studio, saved)
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    document.path = tmp_path / "gone" / "fox.graph"
    studio.save(document)
    background().drain()
    (notice,) = studio.notices
    assert "the folder is gone" in notice.text and [words for words, _ in notice.actions] == ["Save as …", "Try again"]
    assert document.is_dirty


def test_a_damaged_file_is_refused_with_its_place_and_the_last_good_version_is_offered(studio, saved):
    graphfile.write(saved, small().with_value("tone", "value", 4))
    saved.write_text('{"format": 1, "nodes": ', encoding="utf-8")
    studio.open(saved)
    background().drain()
    (notice,) = studio.notices
    assert "line 1" in notice.text
    notice.actions[0][1]()
    background().drain()
    assert studio.current.root == small() and studio.current.is_dirty


def test_closing_asks_only_when_work_would_be_lost(studio, saved, answers):
    document = opened(studio, saved)
    studio.close(document)
    assert answers.asked == [] and document not in studio.documents
    other = studio.add(small(), saved=False)
    answers.unsaved_answer = "cancel"
    studio.close(other)
    assert other in studio.documents
    answers.unsaved_answer = "discard"
    studio.close(other)
    assert other not in studio.documents


def test_closing_with_save_closes_once_the_file_is_there(studio, tmp_path, answers):
    document = studio.add(small(), saved=False)
    answers.unsaved_answer, answers.save_path = "save", tmp_path / "new"
    studio.close(document)
    background().drain()
    assert graphfile.read(tmp_path / "new.graph") == small()
    assert document not in studio.documents


def test_opening_a_graph_with_unknown_nodes_keeps_them_to_the_byte(studio, tmp_path):
    path = tmp_path / "other.graph"
    strange = Graph().with_node(Node("odd", "elsewhere/odd", {"deep": {"a": [1, None, "x"]}, "__class__": "y"}))
    graphfile.write(path, strange)
    graphfile.write(path, graphfile.read(path))
    before = path.read_bytes()
    document = opened(studio, path)
    document.edit("Move", lambda graph: graph.moved(["odd"], 8, 0))
    document.undo()
    document.edit("Move", lambda graph: graph.moved(["odd"], 0, 0.0))
    studio.save(document)
    background().drain()
    assert path.read_bytes() == before


def test_unsaved_work_is_kept_beside_and_the_users_file_is_never_touched(qtbot, studio, saved):
    document = opened(studio, saved)
    stamp = saved.stat().st_mtime_ns
    document.edit("Set", lambda graph: graph.with_value("tone", "value", 9))
    with qtbot.waitSignal(studio.recovery.kept, timeout=10_000):
        pass
    (kept,) = studio.folders.recovery.glob("session-*/*.graph")
    assert graphfile.read(kept) == document.root
    assert saved.stat().st_mtime_ns == stamp
    studio.save(document)
    background().drain()
    studio.recovery.keep_now()
    background().drain()
    assert not list(studio.folders.recovery.glob("session-*/*.graph"))


def test_a_disk_that_takes_no_safety_copy_is_told_once_and_tried_again_until_it_does(qtbot, studio, saved):
    gone: list[str] = []
    studio.notice_gone.connect(gone.append)
    blocked = studio.folders.recovery
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where a folder should be", encoding="utf-8")
    document = opened(studio, saved)
    for value in (9, 10):
        document.edit("Set", lambda graph, value=value: graph.with_value("tone", "value", value))
        studio.recovery.keep_now()
        background().drain()
    (notice,) = studio.notices
    assert notice.text == "A safety copy of 'fox' could not be kept: the folder is gone. Your work is in this window; save it to a place that has room."
    blocked.unlink()
    studio.recovery._again.timeout.emit()
    background().drain()
    (kept,) = blocked.glob("session-*/*.graph")
    assert graphfile.read(kept) == document.root
    assert gone == [notice.key]


CRASH = """
    import sys
    from pathlib import Path
    from PySide6.QtWidgets import QApplication
    from nodegraph.graph import Graph, Node
    from tests.ui import nodes_for_tests as tiny
    from tests.ui.answers import Answers
    from ui.settings import Settings
    from ui.studio import Studio
    from ui.threads import background

    app = QApplication([])
    studio = Studio(Settings(None), tiny.folders_in(Path(sys.argv[1])), Answers())
    document = studio.add(Graph(), title="Fox")
    document.edit("Add", lambda graph: graph.with_node(Node("tone", "test/tone", {"value": 42})))
    studio.recovery.keep_now()
    background().drain()
    print("kept", flush=True)
    sys.stdin.read()
"""


def test_a_killed_window_leaves_its_unsaved_graph_for_the_next(qapp, studio):
    home = studio.folders.home
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"}
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CRASH), str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    try:
        assert child.stdout.readline() == b"kept\n"
        assert studio.recovery.found() == [], "what a living window keeps is its own"
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
    assert child.returncode == -signal.SIGKILL or os.name == "nt"
    studio.offer_recovery()
    (notice,) = studio.notices
    assert "‘Fox’" in notice.text
    notice.actions[0][1]()
    background().drain()
    assert studio.current.root.nodes["tone"].values["value"] == 42
    assert studio.current.is_dirty and studio.current.title == "Fox"


def test_what_was_declined_is_not_offered_again_but_stays(qapp, studio, tmp_path):
    session = studio.folders.recovery / "session-dead"
    session.mkdir(parents=True)
    write_atomically(session / "a.graph", graphfile.dumps(small()).encode())
    found = studio.recovery.found()
    assert [one.title for one in found] == ["Untitled"]
    studio.recovery.decline(found)
    assert studio.recovery.found() == []
    assert (session / "a.graph").exists()


def test_settings_that_cannot_be_read_become_defaults_and_are_kept(qapp, tmp_path):
    path = tmp_path / "settings.json"
    path.write_text('{"theme": ', encoding="utf-8")
    settings = Settings(path)
    assert settings.get("theme") == "dark"
    assert (tmp_path / "settings.json.broken").exists()
    path.write_text('{"plugins": {"a.py": "hash"}, "theme": 7}', encoding="utf-8")
    settings = Settings(path)
    assert settings.get("theme") == "dark", "a value of the wrong kind is no value"
    settings.set("theme", "light")
    settings.flush()
    assert '"plugins"' in path.read_text(encoding="utf-8"), "what others keep in the file stays"
