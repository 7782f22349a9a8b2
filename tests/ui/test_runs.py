"""The queue with a real runner: what nodes say reaches documents, jobs and takes."""

from __future__ import annotations

import pytest

from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from tests.ui import nodes_for_tests as tiny
from ui.document import Document
from ui.files import subgraph_specs
from ui.keeper import Keeper
from ui.runs import Runs
from ui.seeds import with_counted_seeds, with_seeds
from ui.settings import Settings
from ui.threads import background


def graph(sink: str = "test/show", **values: object) -> Graph:
    made = Graph().with_nodes([Node("tone", "test/tone", dict(values)), Node("paint", "test/paint", {"steps": 6}), Node("end", sink)])
    return made.with_link(Link("tone", "grey", "paint", "grey")).with_link(Link("paint", "grey", "end", "grey"))


@pytest.fixture
def folders(tmp_path):
    tiny.gate.clear()
    return tiny.folders_in(tmp_path)


@pytest.fixture
def runs(qapp, folders):
    made = Runs(Settings(None), tiny.start_runner(folders))
    yield made
    tiny.gate.set()
    made.shutdown()


@pytest.fixture
def document(qapp, folders):
    return Document(tiny.registry(folders).specs, graph())


def finish(qtbot, runs, *jobs):
    qtbot.waitUntil(lambda: all(job.is_over for job in jobs), timeout=15_000)


def test_a_run_shows_its_states_and_its_picture_on_the_document(qtbot, runs, document):
    job = runs.submit(document)
    assert document.states["tone"].state == "queued"
    finish(qtbot, runs, job)
    assert job.state == "done"
    assert {name: state.state for name, state in document.states.items()} == {"tone": "done", "paint": "done", "end": "done"}
    assert (document.states["end"].preview.width(), document.states["end"].preview.height()) == (6, 8)
    assert not document.is_dirty


def test_runs_that_wait_say_what_tells_them_apart(runs, document):
    document.edit("", graph("test/wait"))
    made = []
    for value in (3, 4, 4):
        document.edit("", lambda g, value=value: g.with_value("tone", "value", value))
        made.append(runs.submit(document))
    assert [job.differs for job in made] == ["", "value 4", ""]
    assert made[1].words() == "value 4 · 3 nodes"


def test_what_did_not_change_is_not_run_again(qtbot, runs, document):
    finish(qtbot, runs, runs.submit(document))
    again = runs.submit(document)
    finish(qtbot, runs, again)
    assert again.ran <= 1
    assert document.states["tone"].state == "cached"


def test_frames_on_the_way_are_kept_as_a_take_in_the_order_of_steps(qtbot, runs, document):
    finish(qtbot, runs, runs.submit(document))
    (take,) = runs.takes
    assert take.node == "paint" and take.over
    assert (take.done, take.total) == (6, 6)
    steps = [frame.step for frame in take.frames]
    assert steps and steps == sorted(set(steps))
    assert take.frames[0].image.pixelColor(0, 0).red() == 10 + take.frames[0].step


def test_a_failure_is_told_on_the_node_with_its_input_and_the_queue_goes_on(qtbot, runs, document, folders):
    broken = Document(document.specs, graph("test/fail"))
    bad, good = runs.submit(broken), runs.submit(document)
    finish(qtbot, runs, bad, good)
    assert (bad.state, good.state) == ("failed", "done")
    assert broken.states["end"].state == "failed"
    assert broken.states["end"].input == "grey"
    assert bad.problems[0].message == "The tone is not right. Choose another one."


def test_stopping_ends_the_run_and_keeps_the_previews(qtbot, runs, document):
    waiting = Document(document.specs, graph("test/wait"))
    job = runs.submit(waiting)
    qtbot.waitUntil(lambda: waiting.states.get("end") is not None and waiting.states["end"].state == "running", timeout=10_000)
    runs.stop()
    finish(qtbot, runs, job)
    assert job.state == "cancelled"
    assert waiting.states["end"].state == "idle"
    assert waiting.states["paint"].preview is not None


def test_jobs_can_be_put_in_front_moved_and_taken_out(qtbot, runs, document):
    first = runs.submit(Document(document.specs, graph("test/wait")), title="first")
    a, b = runs.submit(document, title="a"), runs.submit(document, title="b")
    c = runs.submit(document, title="c", front=True)
    assert [job.title for job in runs.waiting] == ["c", "a", "b"]
    runs.move(b, 0)
    runs.cancel(a)
    assert [job.title for job in runs.waiting] == ["b", "c"]
    assert a.state == "cancelled"
    tiny.gate.set()
    finish(qtbot, runs, first, b, c)
    assert b.state == c.state == "done"


def test_a_paused_queue_finishes_what_runs_and_begins_nothing(qtbot, runs, document):
    runs.set_paused(True)
    job = runs.submit(document)
    assert runs.current is None and runs.waiting == [job]
    runs.set_paused(False)
    finish(qtbot, runs, job)


def test_a_document_may_be_closed_while_its_run_goes_on(qtbot, runs, document):
    job = runs.submit(document)
    runs.forget(document)
    finish(qtbot, runs, job)
    assert job.state == "done" and job.pictures


def test_undo_after_a_run_leaves_previews_and_finds_the_old_result(qtbot, runs, document):
    finish(qtbot, runs, runs.submit(document))
    document.edit("Tone", lambda g: g.with_value("tone", "value", 99))
    finish(qtbot, runs, runs.submit(document))
    document.undo()
    assert document.states["end"].preview is not None
    back = runs.submit(document)
    finish(qtbot, runs, back)
    assert back.cached >= 1


def test_new_seeds_are_drawn_for_the_run_and_the_graph_stays(folders):
    specs = tiny.registry(folders).specs
    start = graph(seed=5)
    start = start.changed("tone", extra={"seeds": {"seed": "new"}})
    drawn, seeds = with_seeds(start, specs, draw=lambda top: 77)
    assert drawn.nodes["tone"].values["seed"] == 77 and start.nodes["tone"].values["seed"] == 5
    assert seeds == {"tone.seed": 77}


def test_counted_seeds_go_up_by_one_and_begin_anew_at_the_end(folders):
    specs = tiny.registry(folders).specs
    counting = {"extra": {"seeds": {"seed": "increment"}}}
    assert with_counted_seeds(graph(seed=5).changed("tone", **counting), specs).nodes["tone"].values["seed"] == 6
    assert with_counted_seeds(graph(seed=1000).changed("tone", **counting), specs).nodes["tone"].values["seed"] == 0


def test_a_queue_that_a_program_left_is_offered_paused_and_what_ran_is_interrupted(qtbot, qapp, folders, document):
    tiny.gate.clear()
    before = Runs(Settings(None), tiny.start_runner(folders), Keeper(folders.queue))
    before.submit(Document(document.specs, graph("test/wait")), title="ran")
    before.submit(document, title="waited")
    qtbot.waitUntil(lambda: before.current is not None and before.current.node == "end", timeout=10_000)
    background().drain()  # what waits is written down in the background
    before.keeper.close()  # as a crash leaves it: the journal is there, nobody said how the runs ended
    tiny.gate.set()
    before.keeper = None
    before.shutdown()
    after = Runs(Settings(None), tiny.start_runner(folders), Keeper(folders.queue))
    with qtbot.waitSignal(after.queue_changed, timeout=10_000):
        after.keeper.open(after.take_over)
    assert [job.title for job in after.waiting] == ["waited"] and after.paused
    assert [(job.title, job.state) for job in after.over] == [("ran", "interrupted")]
    after.set_paused(False)
    (job,) = [after.current]
    finish(qtbot, after, job)
    assert job.state == "done"
    after.shutdown()


def repeating(folders, inner: str) -> Document:
    """A tone that goes through a subgraph four times."""
    inside = Graph().with_nodes([Node("paint", "test/paint", {"steps": 3}), Node("x", inner)]).with_link(Link("paint", "grey", "x", "grey"))
    box = Subgraph(inside, (SubgraphInput("grey", (("paint", "grey"),)),), (SubgraphOutput("grey", "paint", "grey"),))
    made = Graph().with_nodes([Node("tone", "test/tone"), Node("loop", "subgraph/box", {"repeat": 4}), Node("end", "test/show")])
    made = made.with_link(Link("tone", "grey", "loop", "grey")).with_link(Link("loop", "grey", "end", "grey"))
    return Document(tiny.registry(folders).specs, made.with_subgraph("box", box), spec_of=subgraph_specs)


def test_a_subgraph_that_repeats_is_one_node_whose_progress_counts_the_passes(qtbot, runs, folders):
    document, totals = repeating(folders, "test/paint"), set()
    document.states_changed.connect(lambda _: totals.add(document.state("loop").total))
    job = runs.submit(document)
    finish(qtbot, runs, job)
    assert (job.state, job.problems) == ("done", []) and 4 in totals
    assert [document.state(path).state for path in ("loop", "loop/paint", "end")] == ["done", "idle", "done"]
    assert document.state("end").preview is not None


def test_a_pass_that_fails_is_told_on_the_node_inside_and_on_the_subgraph(qtbot, runs, folders):
    document = repeating(folders, "test/fail")
    job = runs.submit(document)
    finish(qtbot, runs, job)
    assert job.state == "failed" and {problem.node_id for problem in job.problems} == {"loop/x", "loop"}
    assert [document.state(path).state for path in ("loop", "loop/x", "end")] == ["failed", "failed", "idle"]


def test_a_changed_budget_gets_a_fresh_worker_at_the_next_run_but_stops_none(qtbot, qapp, folders, document):
    begun = []
    start = tiny.start_runner(folders)
    runs = Runs(Settings(None), lambda tell: begun.append(1) or start(tell))
    waits = runs.submit(Document(document.specs, graph("test/wait")))
    qtbot.waitUntil(lambda: runs.current is not None and runs.current.node == "end", timeout=10_000)
    runs.renew_worker()
    tiny.gate.set()
    finish(qtbot, runs, waits)
    assert waits.state == "done" and len(begun) == 1
    finish(qtbot, runs, runs.submit(document))
    assert len(begun) == 2
    background().drain()
    runs.shutdown()
