"""What the engine adds to the work of nodes: microseconds a node for planning and running a chain of 2,000 nodes that do next to nothing.

    python tests/benchmarks/executor.py [--json]

One thread, medians of processor time (so that other work on the machine does not matter much). Targets, planning included: cold
50 us a node, all known 10 us. "Cold" is a graph never seen before and an empty cache; "edited" changes the first node, so that
everything runs again; "known" asks again for what is there; "reopened" does so for a graph read anew from its file, as another
tab or process would; "on disk" looks for each result in an empty disk cache too; "repeated" is a subgraph of one node that runs as many times.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nodegraph import graphfile
from nodegraph.cache import Cache, DiskTier
from nodegraph.executor import execute
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.messages import Run
from nodegraph.node import node
from nodegraph.plan import make_plan
from nodegraph.registry import Registry

NODES = 2000
ROUNDS = 9


@node("benchmark/start")
def start(value: int = 0) -> int:
    return value


@node("benchmark/add")
def add(a: int, b: int = 1) -> int:
    return a + b


def chain(value: int) -> Graph:
    nodes = {f"n{i}": Node(f"n{i}", "benchmark/add") for i in range(1, NODES)}
    incoming = {f"n{i}": (Link(f"n{i - 1}", "value", f"n{i}", "a"),) for i in range(1, NODES)}
    return Graph(nodes={"n0": Node("n0", "benchmark/start", {"value": value}), **nodes}, incoming=incoming)


def repeated(value: int) -> Graph:
    inside = Subgraph(
        Graph(nodes={"add": Node("add", "benchmark/add")}), (SubgraphInput("a", (("add", "a"),)),), (SubgraphOutput("a", "add", "value"),)
    )
    nodes = {"n0": Node("n0", "benchmark/start", {"value": value}), "loop": Node("loop", "subgraph/add", {"repeat": NODES})}
    return Graph(nodes=nodes, incoming={"loop": (Link("n0", "value", "loop", "a"),)}, subgraphs={"add": inside})


def once(graph: Graph, registry: Registry, cache: Cache) -> tuple[float, float]:
    """Microseconds a node for planning and for running."""
    events: list[object] = []
    began = time.process_time()
    plan = make_plan(graph, registry)
    planned = time.process_time()
    execute(plan, registry, Run("job", ""), events.append, cache)
    ended = time.process_time()
    return (planned - began) / NODES * 1e6, (ended - planned) / NODES * 1e6


def measure(registry: Registry, folder: Path) -> dict[str, tuple[float, float]]:
    def median(measured: Callable[[int], tuple[float, float]]) -> tuple[float, float]:
        found = [measured(i) for i in range(ROUNDS)]
        return statistics.median(f[0] for f in found), statistics.median(f[1] for f in found)

    warm, graph = Cache(1 << 30), chain(-1)
    once(graph, registry, warm)
    text = graphfile.dumps(graph)
    return {
        "cold": median(lambda i: once(chain(i), registry, Cache(1 << 30))),
        "on disk": median(lambda i: once(chain(1000 + i), registry, Cache(1 << 30, DiskTier(folder)))),
        "edited": median(lambda i: once(graph.with_value("n0", "value", 2000 + i), registry, warm)),
        "known": median(lambda i: once(graph, registry, warm)),
        "repeated": median(lambda i: once(repeated(3000 + i), registry, Cache(1 << 30))),
        "reopened": median(lambda i: once(graphfile.parse(text), registry, warm)),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        registry = Registry(folders=Folders(home, home / "cache", home / "output"))
        for function in (start, add):
            registry.add_function(function)
        found = measure(registry, home / "cache")
    if "--json" in sys.argv:
        print(json.dumps({name: {"plan_us": plan, "run_us": run} for name, (plan, run) in found.items()}))
        return
    print(f"{NODES} nodes, us a node   plan     run     both")
    for name, (plan, run) in found.items():
        print(f"{name:<22}{plan:>7.1f}{run:>8.1f}{plan + run:>9.1f}")


if __name__ == "__main__":
    main()
