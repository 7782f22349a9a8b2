"""The worker process on its own: what it says on its pipes, and that it leaves when nobody is there."""

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nodegraph import graphfile, messages
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Node
from nodegraph.messages import Done, Finished, Frame, Free, Hello, Memory, Ping, Pong, Progress, Report, Run, Shown, Shutdown, Started, Stop
from nodegraph.worker import Outbox

NODES = Path(__file__).with_name("worker_nodes.py")


class Slow(io.RawIOBase):
    """A pipe that nobody empties until it is opened."""

    def __init__(self):
        self.content = bytearray()
        self.open = threading.Event()

    def writable(self):
        return True

    def write(self, part):
        self.open.wait(10)
        self.content += part
        return len(part)

    def messages(self):
        stream, found = io.BytesIO(bytes(self.content)), []
        while (message := messages.read(stream)) is not None:
            found.append(message)
        return found


def frame(number):
    return Frame(2, 1, 1, bytes([number, number]))


# -- the outbox


def test_of_progress_that_waits_only_the_latest_is_sent_with_the_latest_picture():
    pipe = Slow()
    outbox = Outbox(pipe)
    outbox.put(Progress("1", "n", 1, 9, frame=frame(1)))  # on its way, and stuck
    while outbox._waiting:
        time.sleep(0.001)
    outbox.put(Progress("1", "n", 2, 9, frame=frame(2)))
    outbox.put(Progress("1", "n", 3, 9, frame=frame(3)))
    outbox.put(Progress("1", "n", 4, 9))
    outbox.put(Finished("1", "n"))
    outbox.put(Progress("1", "m", 1, 9))
    assert not outbox.wants_frame()
    pipe.open.set()
    outbox.close(5)
    assert outbox.wants_frame()
    assert pipe.messages() == [
        Progress("1", "n", 1, 9, frame=frame(1)),
        Progress("1", "n", 4, 9, frame=frame(3)),
        Finished("1", "n"),
        Progress("1", "m", 1, 9),
    ]


def test_events_keep_their_order_whoever_writes_them():
    pipe = Slow()
    pipe.open.set()
    outbox = Outbox(pipe)
    sent = []
    for i in range(300):
        sent.append(Shown("1", str(i), frame(i % 250)) if i % 3 else Started("1", str(i)))
        outbox.put(sent[-1])
    outbox.close(5)
    assert pipe.messages() == sent


def test_a_picture_that_is_sent_does_not_hold_up_the_node():
    pipe = Slow()
    outbox = Outbox(pipe)
    began = time.monotonic()
    for i in range(50):
        outbox.put(Progress("1", "n", i, 50, frame=frame(i)))
    assert time.monotonic() - began < 1
    pipe.open.set()
    outbox.close(5)


def test_an_outbox_whose_pipe_is_gone_swallows_what_comes():
    class Broken(io.RawIOBase):
        def writable(self):
            return True

        def write(self, part):
            raise BrokenPipeError

    outbox = Outbox(Broken())
    for i in range(5):
        outbox.put(Shown("1", "n", frame(i)))
        outbox.put(Started("1", "n"))
    outbox.close(5)
    assert outbox.wants_frame()


# -- the process


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "home"))
    return Folders(tmp_path / "home", tmp_path / "home" / "cache", tmp_path / "home" / "output")


@pytest.fixture
def process(home):
    process = subprocess.Popen([sys.executable, NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        with contextlib.suppress(OSError):
            stream.close()


def ask(process, *requests):
    for request in requests:
        messages.write(process.stdin, request)


def hear(process, kind):
    while (event := messages.read(process.stdout)) is not None:
        if isinstance(event, kind):
            return event
    raise AssertionError(f"no {kind.__name__} came: {process.stderr.read().decode()}")


def text(kind, **values):
    return graphfile.dumps(Graph().with_node(Node("a", f"test/{kind}", values)))


def test_the_first_word_is_hello_with_the_protocol(process):
    hello = messages.read(process.stdout)
    assert isinstance(hello, Hello) and hello.protocol == messages.PROTOCOL and hello.pid == process.pid
    assert hello.python.startswith("3.")


def test_it_answers_works_and_leaves_when_told(process):
    ask(process, Ping(3), Run("1", text("work")), Report(), Free("results"), Stop("unknown"), Shutdown())
    assert hear(process, Pong).number == 3
    assert hear(process, Memory).total > 0
    assert process.wait(10) == 0


def test_a_job_and_then_leave(process):
    ask(process, Run("1", text("work", value=2)))
    assert hear(process, Done).state == "done"
    ask(process, Shutdown())
    assert process.wait(10) == 0


@pytest.mark.parametrize("busy", ["idle", "working", "hanging"])
def test_it_leaves_when_the_other_side_is_gone(process, busy):
    if busy != "idle":
        ask(process, Run("1", text("work", steps=5000) if busy == "working" else text("sleep")))
        hear(process, Started)
    process.stdin.close()
    assert process.wait(10) == 0


def test_it_leaves_when_what_comes_is_no_message(process):
    hear(process, Hello)
    process.stdin.write(b"\xff" * 64)
    process.stdin.flush()
    assert process.wait(10) == 0
    assert b"no message" in process.stderr.read()


def test_importing_it_takes_no_torch():
    script = "import sys, nodegraph.worker, nodegraph.runner; print([m for m in ('torch', 'PySide6', 'nodes', 'ui') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(NODES.parents[2])}
    )
    assert done.stdout.strip() == "[]"


def test_warming_up_imports_torch_before_the_first_job(home):
    pytest.importorskip("torch")
    process = subprocess.Popen([sys.executable, NODES, "--warm"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    ask(process, Run("1", text("loaded", module="torch")))
    assert hear(process, Finished).about == {"value": "True"}
    process.stdin.close()
    process.wait(10)
    process.stdout.close()
