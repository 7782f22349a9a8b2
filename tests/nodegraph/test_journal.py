"""The queue on disk: a program may die at any moment, and the next one knows what was asked for and what became of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.journal import KEPT, Journal
from nodegraph.messages import Accepted, Done, Failed, Run, Saved

posix = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
ROOT = Path(__file__).resolve().parent.parent.parent


def states(journal):
    return {entry.run.job: entry.state for entry in journal.entries}


def die(journal):
    """What the system does to a program that is killed: locks and files are closed, nothing else happens."""
    journal._file.close()
    for _, lock in journal._owned:
        lock.close()


def test_what_waited_is_paused_and_what_ran_is_interrupted_after_a_crash(tmp_path):
    """F21: and nothing runs by itself, and nothing is done without what it made."""
    journal = Journal(tmp_path)
    for job in "1234":
        journal.submitted(Run(job, f"graph {job}", ("a",), title=f"Job {job}"))
    journal.heard(Accepted("1", 3))
    journal.heard(Saved("1", "s", "/out/one.png"))
    journal.heard(Done("1", "done", 2.5))
    journal.heard(Accepted("2", 3))
    journal.heard(Saved("2", "s", "/out/two.png"))
    die(journal)
    after = Journal(tmp_path)
    assert states(after) == {"1": "done", "2": "interrupted", "3": "paused", "4": "paused"}
    assert after.entry("1").saved == ("/out/one.png",) and after.entry("1").seconds == 2.5
    assert after.entry("2").saved == ("/out/two.png",)
    assert [entry.run.job for entry in after.left_over] == ["2", "3", "4"]
    assert after.resumed("3") == Run("3", "graph 3", ("a",), title="Job 3") and after.resumed("1") is None
    assert len(list(tmp_path.glob("*.jsonl"))) == 1


def test_a_job_can_be_submitted_again_and_forgotten(tmp_path):
    journal = Journal(tmp_path)
    for job in "12":
        journal.submitted(Run(job, "g"))
    die(journal)
    journal = Journal(tmp_path)
    journal.submitted(journal.resumed("1"))
    journal.heard(Done("1", "done"))
    journal.removed(["2", "none"])
    die(journal)
    assert states(Journal(tmp_path)) == {"1": "done"}


def test_failures_keep_their_first_words(tmp_path):
    journal = Journal(tmp_path)
    journal.submitted(Run("1", "g"))
    journal.heard(Failed("1", "n", "No such model."))
    journal.heard(Failed("1", "m", "Another."))
    journal.heard(Done("1", "failed"))
    journal.close()
    assert Journal(tmp_path).entry("1").message == "No such model."


def test_closing_in_good_order_pauses_what_waits(tmp_path):
    journal = Journal(tmp_path)
    journal.submitted(Run("1", "g"))
    journal.close()
    assert states(Journal(tmp_path)) == {"1": "paused"}


def test_an_empty_journal_leaves_nothing_behind(tmp_path):
    Journal(tmp_path / "queue").close()
    assert not (tmp_path / "queue").exists()
    journal = Journal(tmp_path)
    journal.submitted(Run("1", "g"))
    journal.removed(["1"])
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_two_programs_keep_a_journal_each(tmp_path):
    """F7"""
    first, second = Journal(tmp_path), Journal(tmp_path)
    first.submitted(Run("a", "g"))
    second.submitted(Run("b", "g"))
    third = Journal(tmp_path)
    assert states(first) == {"a": "pending"} and states(second) == {"b": "pending"} and states(third) == {}
    die(first)
    assert states(Journal(tmp_path)) == {"a": "paused"}
    second.heard(Done("b", "done"))
    die(second)
    die(third) if third._file else None
    assert states(Journal(tmp_path))["b"] == "done"


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_journal_that_is_cut_off_or_damaged_loses_the_damaged_lines_only(tmp_path_factory, data):
    """F11"""
    folder = tmp_path_factory.mktemp("queue")
    journal = Journal(folder)
    for job in "1234":
        journal.submitted(Run(job, "graph"))
    die(journal)
    (path,) = folder.glob("*.jsonl")
    whole = path.read_bytes()
    if data.draw(st.booleans()):
        cut = int(data.draw(st.floats(0, 1)) * len(whole))
        path.write_bytes(whole[:cut])
        expected = whole[:cut].split(b"\n")[:-1]
        after = Journal(folder)
        assert set("1234"[: len(expected)]) <= set(states(after))
    else:
        at = int(data.draw(st.floats(0, 1)) * (len(whole) - 1))
        path.write_bytes(whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :])
        after = Journal(folder)
        assert len(states(after)) >= 2
    assert set(states(after).values()) <= {"paused"}
    die(after) if after._file else None


@pytest.mark.parametrize(
    "line",
    [
        '{"submitted":{"job":"x","graph":1}}', '{"submitted":{"job":"x","graph":"g","__class__":"y"}}', '{"job":"none","state":"done"}',
        '{"job":"1","state":"perfect"}', '{"job":"1","saved":"text"}', "[]", "null", "7", '{"removed":3}', "[" * 100_000,
        '{"job":["1"],"state":"done"}', '{"job":"1","seconds":true}',
    ],
)  # fmt: skip
def test_a_hostile_line_changes_nothing(tmp_path, line):
    journal = Journal(tmp_path)
    journal.submitted(Run("1", "g"))
    die(journal)
    (path,) = tmp_path.glob("*.jsonl")
    with path.open("a") as file:
        file.write(line + "\n")
    assert states(Journal(tmp_path)) == {"1": "paused"}


def test_old_jobs_are_forgotten_and_waiting_ones_never(tmp_path, monkeypatch):
    monkeypatch.setattr("nodegraph.journal.COMPACT_BYTES", 20_000)
    journal = Journal(tmp_path)
    journal.submitted(Run("waits", "g"))
    for i in range(KEPT + 50):
        journal.submitted(Run(str(i), "g" * 100))
        journal.heard(Done(str(i), "done"))
    die(journal)
    after = Journal(tmp_path)
    assert "waits" in states(after) and len(after.entries) <= KEPT + 60
    assert sum(path.stat().st_size for path in tmp_path.glob("*.jsonl")) < 120_000


def test_a_full_disk_is_told_and_the_next_change_makes_up_for_it(tmp_path):
    """F2"""
    script = """
import resource, signal, sys
from pathlib import Path
from nodegraph.journal import Journal
from nodegraph.messages import Run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]))
journal.submitted(Run("small", "g"))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
journal.submitted(Run("large", "g" * 5000))
assert "cannot be kept" in journal.problem, journal.problem
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.submitted(Run("after", "g"))
assert journal.problem == "", journal.problem
import os; os._exit(0)
"""
    if os.name == "nt":
        pytest.skip("needs RLIMIT_FSIZE")
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert states(Journal(tmp_path)) == {"small": "paused", "large": "paused", "after": "paused"}
    assert not list(tmp_path.glob("*.tmp"))


WRITER = """
import sys
from pathlib import Path
from nodegraph import journal as j
from nodegraph.messages import Accepted, Done, Run, Saved
j.COMPACT_BYTES = 5000
journal = j.Journal(Path(sys.argv[1]))
i = 0
while True:
    i += 1
    job = f"{sys.argv[2]}-{i}"
    journal.submitted(Run(job, "graph" * 20))
    print("submitted", job, flush=True)
    journal.heard(Accepted(job, 1))
    journal.heard(Saved(job, "s", job + ".png"))
    journal.heard(Done(job, "done"))
    print("done", job, flush=True)
"""


@posix
def test_killing_the_program_at_any_moment_loses_no_job_that_was_acknowledged(tmp_path):
    """F1, F21"""
    submitted, done = set(), set()
    for round in range(6):
        program = subprocess.Popen(
            [sys.executable, "-c", WRITER, tmp_path, str(round)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )  # fmt: skip
        program.stdout.readline()
        deadline = time.monotonic() + 0.05 + 0.03 * round
        while time.monotonic() < deadline:
            pass
        program.send_signal(signal.SIGKILL)
        said = program.stdout.read().splitlines()
        assert program.wait() == -signal.SIGKILL
        program.stdout.close()
        for line in said:
            word, _, job = line.partition(" ")
            (done if word == "done" else submitted).add(job)
        journal = Journal(tmp_path)
        found = states(journal)
        last = [job for job in submitted if job.startswith(f"{round}-")]
        recent = sorted(last, key=lambda job: int(job.split("-")[1]))[-KEPT // 2 :]
        assert all(job in found for job in recent)
        assert all(found[job] == "done" for job in recent if job in done)
        assert all(journal.entry(job).saved == (job + ".png",) for job, state in found.items() if state == "done")
        assert set(found.values()) <= {"done", "interrupted", "paused"}
        die(journal)


def test_the_journal_is_readable_lines(tmp_path):
    journal = Journal(tmp_path)
    journal.submitted(Run("1", "g"))
    (path,) = tmp_path.glob("*.jsonl")
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["submitted"]["graph"] == "g"
    if os.name != "nt":
        assert path.stat().st_mode & 0o077 == 0
