"""What a process between the window and the work costs: start, ping, stop, crash, and pictures on the way.

    python tests/benchmarks/worker.py [--json]

A real worker with the nodes of the tests; times are of the clock, so other work on the machine counts.
"""

import json
import os
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nodegraph import graphfile
from nodegraph.folders import standard
from nodegraph.graph import Graph, Node
from nodegraph.messages import Done, Hello, Ping, Pong, Progress, Run, Started
from nodegraph.process import WorkerProcess
from nodegraph.runner import Runner

NODES = Path(__file__).resolve().parent.parent / "nodegraph" / "worker_nodes.py"


class Ear:
    """Hears events with the time of their arrival, and waits for them."""

    def __init__(self) -> None:
        self.heard: list[tuple[float, Any]] = []
        self._new = threading.Condition()

    def __call__(self, event: Any) -> None:
        with self._new:
            self.heard.append((time.perf_counter(), event))
            self._new.notify_all()

    def wait(self, fits: Callable[[Any], bool]) -> float:
        """When the first event that fits arrived."""
        with self._new:
            found: list[float] = []
            self._new.wait_for(lambda: found.extend([t for t, e in self.heard if fits(e)][:1]) or found, 60)
            return found[0]


def text(kind: str, **values: Any) -> str:
    return graphfile.dumps(Graph().with_node(Node("a", f"test/{kind}", values)))


def measure() -> dict[str, float]:
    ear, found = Ear(), {}
    began = time.perf_counter()
    places: list[WorkerProcess] = []

    def start(heard: Any) -> WorkerProcess:
        places.append(WorkerProcess(heard, standard(), [sys.executable, str(NODES)], warm=False))
        return places[0]

    runner = Runner(ear, start)
    place = places[0]
    found["start to hello, ms"] = (ear.wait(lambda e: isinstance(e, Hello)) - began) * 1e3
    pings = []
    for i in range(200):
        began = time.perf_counter()
        runner.send(Ping(i))
        pings.append((ear.wait(lambda e, i=i: isinstance(e, Pong) and e.number == i) - began) * 1e3)
        ear.heard.clear()
    found["ping, ms"] = statistics.median(pings)
    jobs = []
    for i in range(50):
        began = time.perf_counter()
        runner.submit(Run(f"j{i}", text("number", value=i)))
        jobs.append((ear.wait(lambda e, i=i: isinstance(e, Done) and e.job == f"j{i}") - began) * 1e3)
    found["a job of one trivial node, ms"] = statistics.median(jobs)
    runner.submit(Run("frames", text("work", steps=40, pause=0.034, size=512)))
    ear.wait(lambda e: isinstance(e, Done) and e.job == "frames")
    steps = [(t, e) for t, e in ear.heard if isinstance(e, Progress) and e.job == "frames"]
    found["progress a second, of 29 steps a second"] = (len(steps) - 1) / (steps[-1][0] - steps[0][0])
    found["of these with a picture of 512 x 512"] = sum(e.frame is not None for _, e in steps) / len(steps)
    stops = []
    for i in range(10):
        runner.submit(Run(f"s{i}", text("work", steps=5000, pause=0.01)))
        ear.wait(lambda e, i=i: isinstance(e, Progress) and e.job == f"s{i}")
        began = time.perf_counter()
        runner.stop(f"s{i}")
        stops.append((ear.wait(lambda e, i=i: isinstance(e, Done) and e.job == f"s{i}") - began) * 1e3)
    found["stop, in steps of 10 ms, ms"] = statistics.median(stops)
    crashes = []
    for i in range(3):
        runner.submit(Run(f"c{i}", text("sleep")))
        ear.wait(lambda e, i=i: isinstance(e, Started) and e.job == f"c{i}")
        pid = place.pid
        assert pid is not None
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        crashes.append((ear.wait(lambda e, i=i: isinstance(e, Done) and e.job == f"c{i}") - began) * 1e3)
    found["a killed worker is told, ms"] = statistics.median(crashes)
    runner.close()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["NODEGRAPH_HOME"] = home
        found = measure()
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    for name, value in found.items():
        print(f"{name:<44}{value:>10.2f}")


if __name__ == "__main__":
    main()
