"""The queue and the worker process behind it: whatever happens to a job, it ends once, and the next one runs."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from nodegraph import graphfile, messages
from nodegraph.errors import GraphError
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node
from nodegraph.journal import Journal
from nodegraph.messages import (
    Done,
    Failed,
    Free,
    Hello,
    Memory,
    Ping,
    Pong,
    Progress,
    Queued,
    Report,
    Run,
    Saved,
    Shown,
    Started,
    Stop,
)  # fmt: skip
from nodegraph.process import WorkerProcess
from nodegraph.runner import Here, Runner

NODES = Path(__file__).with_name("worker_nodes.py")
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


class Ear:
    """Hears events and waits for them: a test never sleeps."""

    def __init__(self):
        self.events = []
        self._new = threading.Condition()

    def __call__(self, event):
        with self._new:
            self.events.append(event)
            self._new.notify_all()

    def wait(self, fits, seconds=20.0):
        """The first event that fits, from those heard already or yet to come."""
        with self._new:
            found = []
            heard = self._new.wait_for(lambda: found or found.extend([e for e in self.events if fits(e)][:1]) or found, seconds)
            assert heard, f"not heard; only {[messages.to_json(e) for e in self.events[-6:]]}"
            return found[0]

    def done(self, job, seconds=20.0):
        return self.wait(lambda e: isinstance(e, Done) and e.job == job, seconds)

    def until(self, holds, seconds=10.0):
        """Asks again and again, and at once after each event; False where it never held."""
        end = time.monotonic() + seconds
        while not holds() and time.monotonic() < end:
            with self._new:
                self._new.wait(0.02)
        return holds()

    def of(self, kind, job=None):
        return [e for e in self.events if isinstance(e, kind) and (job is None or e.job == job)]


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "home"))
    return Folders(tmp_path / "home", tmp_path / "home" / "cache", tmp_path / "home" / "output")


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def runner(home, ear):
    command = [sys.executable, str(NODES)]
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, command, warm=False), home, patience=0.7)
    yield runner
    runner.close()


@pytest.fixture
def here(home, ear):
    sys.path.insert(0, str(NODES.parent))
    try:
        import worker_nodes
    finally:
        sys.path.remove(str(NODES.parent))
    runner = Runner(ear, lambda heard: Here(heard, worker_nodes.load), home)
    yield runner
    runner.close()


def text(kind, then=None, **values):
    graph = Graph().with_node(Node("a", f"test/{kind}", values))
    if then:
        graph = graph.with_node(Node("b", f"test/{then}")).with_link(Link("a", "value", "b", "value" if then != "add" else "a"))
    return graphfile.dumps(graph)


def pid_of(ear):
    return ear.wait(lambda e: isinstance(e, Hello)).pid


# -- a job


def test_a_job_runs_in_a_worker_and_its_events_arrive_in_order(runner, ear, home):
    runner.submit(Run("1", text("work", "save", value=5, pause=0.04)))
    assert ear.done("1").state == "done"
    hello = ear.of(Hello)[0]
    assert hello.protocol == messages.PROTOCOL and hello.pid != os.getpid()
    names = [type(e).__name__ for e in ear.events if getattr(e, "job", "") == "1"]
    assert names[:3] == ["Queued", "Accepted", "Started"] and names[-5:] == ["Started", "Saved", "Shown", "Finished", "Done"]
    assert set(names[3:-5]) == {"Progress", "Finished"}
    (saved,), (shown,) = ear.of(Saved), ear.of(Shown)
    assert Path(saved.path).read_text() == "5" and Path(saved.path).parent == home.output
    assert shown.picture.pixels == bytes([9]) * 18
    assert any(e.frame and e.frame.pixels == bytes([7]) * 64 * 64 * 3 for e in ear.of(Progress))


def test_the_same_job_here_gives_the_same_events(here, ear, home):
    here.submit(Run("1", text("work", "save", value=5, pause=0.04)))
    assert ear.done("1").state == "done"
    names = [type(e).__name__ for e in ear.events if getattr(e, "job", "") == "1"]
    assert names[:3] == ["Queued", "Accepted", "Started"] and names[-5:] == ["Started", "Saved", "Shown", "Finished", "Done"]
    assert Path(ear.of(Saved)[0].path).read_text() == "5"


def test_another_process_finds_the_results_of_the_first(runner, ear, home, here):
    runner.submit(Run("1", text("work", value=3, steps=6, pause=0.02)))
    ear.done("1")
    here.submit(Run("2", text("work", value=3, steps=6, pause=0.02)))
    assert ear.done("2").cached == 1


def test_jobs_run_one_after_another_in_order(runner, ear):
    for job in "1234":
        runner.submit(Run(job, text("work", steps=2, value=int(job))))
    for job in "1234":
        ear.done(job)
    assert [e.job for e in ear.of(Done)] == list("1234")
    assert [e.ahead for e in ear.of(Queued)] == [0, 1, 2, 3]


def test_what_waits_can_be_moved_taken_out_held_back_and_put_first(runner, ear):
    runner.pause()
    for job in "12345":
        runner.submit(Run(job, text("number")))
    runner.submit(Run("0", text("number")), first=True)
    assert [run.job for run in runner.waiting] == list("012345") and runner.running == ()
    runner.reorder(["5", "3"])
    runner.stop("1")
    assert ear.done("1").state == "cancelled"
    assert [run.job for run in runner.waiting] == list("53024")
    runner.resume()
    for job in "53024":
        assert ear.done(job).state == "done"
    assert [e.job for e in ear.of(Done)] == list("153024")


def test_a_job_id_that_is_in_the_queue_is_refused(runner):
    runner.pause()
    runner.submit(Run("1", text("number")))
    with pytest.raises(GraphError, match="already"):
        runner.submit(Run("1", text("number")))


def test_a_graph_that_cannot_run_is_told_and_the_next_job_runs(runner, ear):
    runner.submit(Run("1", "{"))
    runner.submit(Run("2", text("number")))
    assert ear.done("1").state == "failed" and ear.done("2").state == "done"


# -- what libraries do to a process


def test_prints_and_writes_of_nodes_go_to_the_log_and_not_into_the_pipe(runner, ear, home):
    runner.submit(Run("1", text("noise")))
    assert ear.done("1").state == "done"
    log = (home.logs / "worker.log").read_text()
    assert "stray print" in log and "stray write" in log and "from a child" in log


def test_a_node_that_calls_exit_fails_alone(runner, ear):
    """F15"""
    runner.submit(Run("1", text("die", how="system exit")))
    assert ear.done("1").state == "failed"
    assert "tried to end the program" in ear.of(Failed)[0].message
    assert len(ear.of(Hello)) == 1


@posix
@pytest.mark.parametrize(
    ("how", "words"), [("abort", "crashed while 'Die' ran (SIGABRT)"), ("exit", "(exit code 0x3)"), ("kill", "run out of memory")]
)
def test_a_crash_is_told_and_a_new_worker_takes_the_next_job(runner, ear, how, words):
    """F20: the job is interrupted, the window lives, the queue goes on."""
    runner.submit(Run("1", text("die", how=how)))
    runner.submit(Run("2", text("work")))
    assert ear.done("1").state == "interrupted" and ear.done("2").state == "done"
    (failed,) = ear.of(Failed)
    assert (failed.job, failed.node, failed.kind) == ("1", "a", "crash") and words in failed.message and Path(failed.log).exists()
    first, second = ear.of(Hello)
    assert first.pid != second.pid and not psutil.pid_exists(first.pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
def test_a_worker_gives_way_to_the_window_in_time_and_memory(runner, ear):
    pid = pid_of(ear)
    assert psutil.Process(pid).nice() > psutil.Process().nice()
    assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 500


@posix
def test_killing_the_worker_in_the_middle_of_a_step_interrupts_the_job_at_once(runner, ear):
    """F20"""
    runner.submit(Run("1", text("sleep")))
    ear.wait(lambda e: isinstance(e, Started))
    began = time.monotonic()
    os.kill(pid_of(ear), signal.SIGKILL)
    assert ear.done("1").state == "interrupted"
    assert time.monotonic() - began < 1
    runner.submit(Run("2", text("work")))
    assert ear.done("2").state == "done"


@posix
def test_a_worker_that_dies_idle_is_noticed_and_replaced_when_there_is_work(runner, ear):
    os.kill(pid_of(ear), signal.SIGKILL)
    runner.submit(Run("1", text("number")))
    state = ear.done("1").state
    if state == "interrupted":  # it had not been noticed yet when the job was handed over
        runner.submit(Run("2", text("number")))
        state = ear.done("2").state
    assert state == "done"


def test_a_worker_that_cannot_start_fails_each_job_with_words_and_does_not_loop(home, ear):
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, [sys.executable, str(NODES), "--silent"], warm=False), home)
    for job in "12":
        runner.submit(Run(job, text("number")))
        assert ear.done(job).state == "interrupted"
        assert "could not start" in ear.of(Failed, job)[0].message
    runner.close()
    missing = Runner(ear, lambda heard: WorkerProcess(heard, home, [str(home.home / "no-python")], warm=False), home)
    missing.submit(Run("3", text("number")))
    assert ear.done("3").state == "failed" and "cannot start" in ear.of(Failed, "3")[0].message
    missing.close()


def test_what_is_no_worker_is_ended(home, ear):
    chatter = [sys.executable, "-c", "import time; print('hello, I am no worker' * 100, flush=True); time.sleep(60)"]
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, chatter, warm=False), home)
    runner.submit(Run("1", text("number")))
    assert ear.done("1").state == "interrupted"
    runner.close()


def test_a_worker_of_another_version_is_refused(home, ear):
    other = (
        "import sys; from nodegraph import messages as m; m.write(sys.stdout.buffer, m.Hello(m.PROTOCOL + 1, 1)); sys.stdin.buffer.read()"
    )
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, [sys.executable, "-c", other], warm=False), home)
    runner.submit(Run("1", text("number")))
    assert ear.done("1").state in ("interrupted", "failed")
    assert "another version" in ear.of(Failed, "1")[0].message or "could not start" in ear.of(Failed, "1")[0].message
    runner.close()


def test_out_of_memory_gives_the_memory_back_and_the_next_job_runs(runner, ear):
    """F16"""
    runner.submit(Run("0", text("number")))
    ear.done("0")
    process = psutil.Process(pid_of(ear))
    before = process.memory_info().rss
    runner.submit(Run("1", text("memory")))
    runner.submit(Run("2", text("work")))
    assert ear.done("1").state == "failed" and ear.done("2").state == "done"
    assert ear.of(Failed)[0].kind == "out-of-memory"
    assert process.memory_info().rss - before < 50 << 20
    assert len(ear.of(Hello)) == 1


# -- stop


def test_a_stop_takes_effect_at_the_next_step(runner, ear):
    runner.submit(Run("1", text("work", steps=2000)))
    ear.wait(lambda e: isinstance(e, Progress))
    began = time.monotonic()
    runner.stop("1")
    assert ear.done("1").state == "cancelled" and time.monotonic() - began < 0.5
    assert len(ear.of(Hello)) == 1


def test_a_node_that_hangs_is_ended_and_the_next_job_runs(runner, ear):
    """F18: soft at first, hard after the patience is over."""
    runner.submit(Run("1", text("sleep")))
    ear.wait(lambda e: isinstance(e, Started))
    began = time.monotonic()
    runner.stop("1")
    assert ear.done("1").state == "cancelled" and 0.6 < time.monotonic() - began < 3
    runner.submit(Run("2", text("work")))
    assert ear.done("2").state == "done" and len(ear.of(Hello)) == 2


def test_a_worker_can_be_killed_by_hand(runner, ear):
    runner.submit(Run("1", text("sleep")))
    ear.wait(lambda e: isinstance(e, Started))
    runner.kill()
    assert ear.done("1").state == "cancelled" and ear.of(Failed) == []
    runner.submit(Run("2", text("number")))
    assert ear.done("2").state == "done"


def test_a_storm_of_stops_ends_each_job_exactly_once(runner, ear):
    """F19: before the start, between steps, after the end, twice, for another job."""
    runner.stop("never")
    runner.submit(Run("1", text("work", steps=2000)))
    runner.submit(Run("2", text("work", steps=2000)))
    runner.submit(Run("3", text("number")))
    for _ in range(20):
        runner.stop("2")
        runner.stop("none")
    ear.wait(lambda e: isinstance(e, Started) and e.job == "1")
    for _ in range(20):
        runner.stop("1")
    ear.done("3")
    runner.stop("3")
    for i in range(30):
        runner.submit(Run(f"s{i}", text("work", steps=50)))
        runner.stop(f"s{i}")
    runner.submit(Run("last", text("number")))
    assert ear.done("last").state == "done"
    ended = [(e.job, e.state) for e in ear.of(Done)]
    assert ended.count(("1", "cancelled")) == ended.count(("2", "cancelled")) == ended.count(("3", "done")) == 1
    assert len(ended) == len({job for job, _ in ended}) == 34
    time_out = threading.Event()  # the patience of the stops above has run out by now for a job that is over: nobody is killed
    time_out.wait(0.8)
    assert len(ear.of(Hello)) == 1


def test_stopping_here_works_between_steps(here, ear):
    here.submit(Run("1", text("work", steps=2000)))
    ear.wait(lambda e: isinstance(e, Progress))
    here.stop("1")
    assert ear.done("1").state == "cancelled"


# -- the rest of the talk


def test_ping_is_answered_while_a_node_hangs(runner, ear):
    runner.submit(Run("1", text("sleep")))
    ear.wait(lambda e: isinstance(e, Started))
    runner.send(Ping(7))
    assert ear.wait(lambda e: isinstance(e, Pong), 2).number == 7
    runner.send(Stop("1"))
    ear.done("1")


def test_memory_is_reported_and_given_back(runner, ear):
    runner.submit(Run("1", text("number")))
    ear.done("1")
    report = ear.wait(lambda e: isinstance(e, Memory))
    assert report.device and report.used > 1 << 20 and report.total > report.used and report.cache > 0
    ear.events.clear()
    runner.send(Free())
    assert ear.wait(lambda e: isinstance(e, Memory)).cache == 0
    ear.events.clear()
    runner.send(Report())
    assert ear.wait(lambda e: isinstance(e, Memory)).used > 0


def test_two_hundred_small_jobs_leave_memory_threads_and_files_as_they_were(runner, ear):
    """F22"""
    ours, worker = psutil.Process(), None

    def counts():
        return [len(os.listdir(f"/proc/{p.pid}/fd")) if os.path.isdir("/proc") else 0 for p in (ours, worker)] + [
            ours.num_threads(), worker.num_threads(),
        ]  # fmt: skip

    for round in range(2):
        for i in range(100):
            runner.submit(Run(f"{round}-{i}", text("add", a=i, b=round)))
        ear.done(f"{round}-99")
        worker = worker or psutil.Process(pid_of(ear))
        if round == 0:
            before, rss = counts(), worker.memory_info().rss
    # a reader of the memory meter opens a file for a moment: what is not closed again is a leak
    assert ear.until(lambda: all(now <= then for now, then in zip(counts(), before, strict=True))), (counts(), before)
    assert worker.memory_info().rss - rss < 8 << 20
    assert {e.state for e in ear.of(Done)} == {"done"} and len(ear.of(Done)) == 200


def test_a_journal_keeps_the_queue_and_what_became_of_it(home, ear):
    journal = Journal(home.queue)
    command = [sys.executable, str(NODES)]
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, command, warm=False), home, journal)
    runner.submit(Run("1", text("number", "save", value=5)))
    runner.submit(Run("2", "{"))
    ear.done("2")
    runner.pause()
    runner.submit(Run("3", text("number")))
    runner.close()
    journal.close()
    after = Journal(home.queue)
    assert {entry.run.job: entry.state for entry in after.entries} == {"1": "done", "2": "failed", "3": "paused"}
    assert Path(after.entry("1").saved[0]).read_text() == "5" and after.entry("2").message
    after.close()


# -- leaving


def test_closing_ends_the_worker_and_a_running_job(runner, ear):
    runner.submit(Run("1", text("work", steps=5000)))
    ear.wait(lambda e: isinstance(e, Progress))
    pid = pid_of(ear)
    runner.close()
    assert ear.done("1").state == "cancelled" and not psutil.pid_exists(pid)
    with pytest.raises(GraphError, match="closed"):
        runner.submit(Run("2", text("number")))


OWNER = """
import sys, time
sys.path.insert(0, sys.argv[1])
from nodegraph.journal import Journal
from nodegraph.runner import Runner
from nodegraph.process import WorkerProcess
from nodegraph.folders import standard
from nodegraph.messages import Run, Hello, Started
def tell(event):
    if isinstance(event, Hello): print(event.pid, flush=True)
    if isinstance(event, Started): print("started", flush=True)
place = lambda heard: WorkerProcess(heard, standard(), [sys.executable, sys.argv[2]], warm=False)
runner = Runner(tell, place, journal=Journal(standard().queue))
runner.pause()
for job in "1234": runner.submit(Run(job, sys.argv[3]))
runner.resume()
time.sleep(60)
"""


@posix
@pytest.mark.parametrize("kind", ["work", "sleep"])
def test_a_worker_does_not_outlive_a_program_that_was_killed(home, kind):
    """F21: no orphans, not even one that hangs in a node; and the next program knows what was asked for."""
    values = {"steps": 5000} if kind == "work" else {}
    root = str(NODES.parent.parent.parent)
    owner = subprocess.Popen([sys.executable, "-c", OWNER, root, str(NODES), text(kind, **values)], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    assert owner.stdout.readline() == "started\n"
    worker = psutil.Process(pid)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    _, alive = psutil.wait_procs([worker], timeout=5)
    assert not alive
    left = Journal(home.queue)
    assert [(entry.run.job, entry.state) for entry in left.entries] == [
        ("1", "interrupted"),
        ("2", "paused"),
        ("3", "paused"),
        ("4", "paused"),
    ]
    left.close()


def test_a_program_without_stdout_and_stderr_can_run_jobs(home, ear, monkeypatch):
    """F28: pythonw has neither."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    runner = Runner(ear, lambda heard: WorkerProcess(heard, home, [sys.executable, str(NODES)], warm=False), home)
    runner.submit(Run("1", text("noise")))
    assert ear.done("1").state == "done"
    runner.close()
