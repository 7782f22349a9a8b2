"""The overhead of another program's executor beside ours: microseconds a node, in one process, one thread, by the same clock.

    python tests/benchmarks/comfyui.py FOLDER [CHAINS LENGTH [ROUNDS]]

FOLDER is a checkout of ComfyUI, which is no part of this project: its `execution.py` is imported from there as it is. Only its `nodes`
(every built-in node, so all of its models) and `comfy_api.latest` (video) are replaced, by modules with just the names that the
executor asks for; no server is connected. Each node of a chain adds 1 to what the one before gave; without more arguments, chains of 20
and of 200 nodes are run, medians of five. "Plan" is ComfyUI's `validate_prompt` and our `make_plan`; "known" runs the same prompt again with the same PromptExecutor, as a
second press of its button does, and our graph read anew from its file.
"""

import asyncio
import logging
import statistics
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from nodegraph import graphfile
from nodegraph.cache import Cache
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node
from nodegraph.registry import Registry
from tests.benchmarks import executor as ours

ROUNDS = 5


class Start:
    """The first node, as ComfyUI wants one."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ("INT", {"default": 0})}}

    def run(self, value: int) -> tuple[int]:
        return (value,)


class Add:
    """Every other node."""

    RETURN_TYPES = ("INT",)
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"a": ("INT", {"default": 0}), "b": ("INT", {"default": 1})}}

    def run(self, a: int, b: int) -> tuple[int]:
        return (a + b,)


class Last(Add):
    """What makes the rest run."""

    OUTPUT_NODE = True


def load(folder: Path) -> Any:
    """ComfyUI's module `execution`."""
    if not (folder / "execution.py").is_file():
        raise SystemExit(f"There is no execution.py in '{folder}'. Give the folder of a checkout of ComfyUI.")
    logging.disable(logging.INFO)
    sys.path.insert(0, str(folder))
    nodes: Any = types.ModuleType("nodes")
    nodes.NODE_CLASS_MAPPINGS = {"Start": Start, "Add": Add, "Last": Last}
    nodes.interrupt_processing = lambda value=True: None
    nodes.before_node_execution = lambda: None
    latest: Any = types.ModuleType("comfy_api.latest")
    latest.io = types.SimpleNamespace()
    sys.modules |= {"nodes": nodes, "comfy_api.latest": latest}
    import comfy.cli_args  # type: ignore[import-not-found]

    comfy.cli_args.args.cpu = True
    import execution  # type: ignore[import-not-found]

    return execution


def prompt(chains: int, length: int, value: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for k in range(chains):
        made[f"{k}.0"] = {"class_type": "Start", "inputs": {"value": value + k * length}}
        for i in range(1, length):
            made[f"{k}.{i}"] = {"class_type": "Last" if i == length - 1 else "Add", "inputs": {"a": [f"{k}.{i - 1}", 0], "b": 1}}
    return made


def graph_of(chains: int, length: int, value: int) -> Graph:
    nodes, incoming = {}, {}
    for k in range(chains):
        nodes[f"{k}.0"] = Node(f"{k}.0", "benchmark/start", {"value": value + k * length})
        for i in range(1, length):
            nodes[f"{k}.{i}"] = Node(f"{k}.{i}", "benchmark/add", {"b": 1})
            incoming[f"{k}.{i}"] = (Link(f"{k}.{i - 1}", "value", f"{k}.{i}", "a"),)
    return Graph(nodes=nodes, incoming=incoming)


class Server:
    """Nobody listens."""

    client_id = None
    last_node_id = None

    def send_sync(self, *args: Any) -> None: ...


Measured = dict[str, tuple[float, float]]


def theirs(execution: Any, chains: int, length: int, rounds: int) -> Measured:
    count = chains * length

    def once(executor: Any, value: int) -> tuple[float, float]:
        graph = prompt(chains, length, value)
        began = time.process_time()
        valid, error, outputs, problems = asyncio.run(execution.validate_prompt("job", graph, None))
        planned = time.process_time()
        assert valid, (error, problems)
        executor.execute(graph, "job", {}, outputs)
        assert executor.success
        return (planned - began) / count * 1e6, (time.process_time() - planned) / count * 1e6

    executors = [execution.PromptExecutor(Server()) for _ in range(rounds)]
    return {
        "cold": median(rounds, lambda i: once(executors[i], 1_000_000 * i)),
        "known": median(rounds, lambda i: once(executors[i], 1_000_000 * i)),
    }


def own(chains: int, length: int, rounds: int) -> Measured:
    ours.NODES = chains * length
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        registry = Registry(folders=Folders(home, home / "cache", home / "output"))
        for function in (ours.start, ours.add):
            registry.add_function(function)
        caches = [Cache(1 << 30) for _ in range(rounds)]
        texts = [graphfile.dumps(graph_of(chains, length, 1_000_000 * i)) for i in range(rounds)]
        return {
            "cold": median(rounds, lambda i: ours.once(graphfile.parse(texts[i]), registry, caches[i])),
            "known": median(rounds, lambda i: ours.once(graphfile.parse(texts[i]), registry, caches[i])),
        }


def median(rounds: int, measured: Callable[[int], tuple[float, float]]) -> tuple[float, float]:
    found = [measured(i) for i in range(rounds)]
    return statistics.median(f[0] for f in found), statistics.median(f[1] for f in found)


def main() -> None:
    if len(sys.argv) not in (2, 4, 5):
        raise SystemExit(__doc__)
    execution = load(Path(sys.argv[1]))
    sys.setrecursionlimit(100_000)  # its validation calls itself once for each node of a chain
    numbers = [int(word) for word in sys.argv[2:]]
    shapes = [(numbers[0], numbers[1])] if numbers else [(100, 20), (1, 200)]
    rounds = numbers[2] if len(numbers) > 2 else 5
    print(f"{'us a node':<42}{'plan':>8}{'run':>10}{'both':>10}")
    for chains, length in shapes:
        for program, measured in (("ComfyUI", theirs(execution, chains, length, rounds)), ("Nodegraph", own(chains, length, rounds))):
            for name, (plan, run) in measured.items():
                print(f"{chains} x {length:<6} {program:<12}{name:<22}"[:42].ljust(42) + f"{plan:>8.1f}{run:>10.1f}{plan + run:>10.1f}")


if __name__ == "__main__":
    main()
