"""How long the engine takes before anything runs: planning, editing, reading and writing graphs.

    python tests/benchmarks/planning.py

One thread; each figure is the median of five, in milliseconds of processor time, and per node or link in microseconds where that is what grows.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput, difference
from nodegraph.graphfile import dumps, parse, write
from nodegraph.node import node
from nodegraph.plan import _recent, make_plan
from nodegraph.registry import Registry
from nodegraph.steps import _alike, _prepared
from nodegraph.subgraphs import laid_open


class Sheet:
    """What travels along the links."""


@node("bench/start")
def start(seed: int = 0) -> Sheet: ...


@node("bench/step")
def step(sheet: Sheet, second: Sheet | None = None, amount: float = 0.5, kind: str = "soft") -> Sheet: ...


def registry() -> Registry:
    nowhere = Path("nowhere")
    found = Registry(folders=Folders(nowhere, nowhere, nowhere))
    found.add_function(start)
    found.add_function(step)
    return found


def chain(count: int) -> Graph:
    """A node with a value of its own after the other, each linked to the last and to the one before that."""
    nodes = {f"n{i}": Node(f"n{i}", "bench/step" if i else "bench/start", {"amount": i / count} if i else {}, (i, 0)) for i in range(count)}
    incoming = {
        f"n{i}": (*((Link(f"n{i - 2}", "sheet", f"n{i}", "second"),) if i > 1 else ()), Link(f"n{i - 1}", "sheet", f"n{i}", "sheet"))
        for i in range(1, count)
    }
    return Graph(nodes, {target: tuple(sorted(links, key=lambda link: link.input)) for target, links in incoming.items()})


def nested(count: int) -> Graph:
    """As many nodes, ten to a subgraph, one instance after the other."""
    inner = chain(10).without("n0")
    inner = inner.with_node(Node("n1", "bench/step"))
    definition = Subgraph(inner, (SubgraphInput("sheet", (("n1", "sheet"),)),), (SubgraphOutput("sheet", "n9", "sheet"),))
    names = [f"i{i}" for i in range(count // 9)]
    nodes = {"first": Node("first", "bench/start"), **{n: Node(n, "subgraph/ten") for n in names}}
    incoming = {b: (Link(a, "sheet", b, "sheet"),) for a, b in zip(["first", *names], names)}
    return Graph(nodes, incoming, subgraphs={"ten": definition})


def median(work: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> float:
    """Milliseconds of this process, the median of five; what `prepare` does is not counted, nor what else the machine does meanwhile."""
    times = []
    for _ in range(5):
        prepare()
        gc.collect()
        began = time.process_time()
        work()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


def forget() -> None:
    _recent.clear()
    _prepared.clear()
    _alike.clear()


def tell(what: str, ms: float, count: int = 0) -> None:
    print(f"{what:<58}{ms:>10.3f} ms" + (f"{1000 * ms / count:>9.2f} us each" if count else ""))


def planning(count: int) -> None:
    specs, graph = registry(), chain(count)
    tell(f"plan {count:,} nodes, cold", median(lambda: make_plan(graph, specs), forget), count)
    edited = iter([graph.with_value(f"n{count // 2}", "amount", 2.0 + i) for i in range(5)])
    make_plan(graph, specs)
    tell(f"plan {count:,} nodes after one value was edited", median(lambda: make_plan(next(edited), specs)), count)
    tell(f"plan {count:,} nodes, nothing changed", median(lambda: make_plan(graph, specs)))
    bypassed = graph.changed(f"n{count // 2}", mode="bypassed")
    tell(f"plan {count:,} nodes, cold, one of them bypassed", median(lambda: make_plan(bypassed, specs), forget), count)
    within = nested(count)
    tell(f"plan {count:,} nodes in subgraphs of nine, cold", median(lambda: make_plan(within, specs), forget), count)
    tell(f"lay {count:,} nodes in subgraphs of nine open", median(lambda: laid_open(within)), count)


def editing(count: int) -> None:
    graph = chain(count)
    middle = f"n{count // 2}"
    link = Link("n0", "sheet", middle, "second")
    after, moved = graph.with_value(middle, "amount", 9.0), graph.moved(list(graph.nodes), 8, 8)
    tell(f"set a value among {count:,} nodes", median(lambda: graph.with_value(middle, "amount", 9.0)))
    tell(f"link two of {count:,} nodes (looks for loops)", median(lambda: graph.with_link(link)))
    tell(f"remove one of {count:,} nodes", median(lambda: graph.without(middle)))
    tell(f"move all {count:,} nodes", median(lambda: graph.moved(list(graph.nodes), 8, 8)), count)
    tell(f"difference of one value among {count:,} nodes", median(lambda: difference(graph, after)))
    tell(f"difference of all {count:,} nodes", median(lambda: difference(graph, moved)), count)


def files(count: int) -> None:
    graph = chain(count)
    text = dumps(graph)
    tell(f"write {count:,} nodes as text ({len(text) / 2**20:.2f} MB)", median(lambda: dumps(graph)), count)
    tell(f"write {count:,} nodes compactly, for a picture", median(lambda: dumps(graph, compact=True)), count)
    tell(f"read {count:,} nodes", median(lambda: parse(text)), count)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.graph"
        edits = iter([graph.with_value("n1", "amount", 2.0 + i) for i in range(5)])
        tell(f"save {count:,} nodes: checked, synced, with a backup", median(lambda: write(path, next(edits))), count)


if __name__ == "__main__":
    print(f"Python {sys.version.partition(' ')[0]}")
    for size in (2_000, 10_000):
        planning(size)
    editing(1_000)
    files(2_000)
