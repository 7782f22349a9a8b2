"""What runs, what is reused, what goes on after a failure, and what is told about it."""

import contextlib
import enum
import gc
import os
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph import graphfile
from nodegraph.cache import Cache, DiskTier
from nodegraph.errors import Cancelled, GraphError
from nodegraph.executor import execute
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node
from nodegraph.job import perform
from nodegraph.messages import Accepted, Done, Failed, Finished, Frame, Progress, Run, Saved, Shown, Skipped, Started, Warned
from nodegraph.node import HEADLESS, Context, File, Lazy, Randomize, Range, node
from nodegraph.plan import make_plan
from nodegraph.registry import Registry

CALLS: list[str] = []
LIVE: "weakref.WeakSet[Big]" = weakref.WeakSet()


class Big:
    """Something that costs memory, as a tensor does."""

    def __init__(self, size: int = 1000) -> None:
        self.nbytes = size
        LIVE.add(self)


class OutOfMemoryError(RuntimeError):
    """As torch calls its own."""


class Dumb(RuntimeError):
    """An error that fails when it is asked what it says."""

    def __str__(self) -> str:
        raise AttributeError("no response")


class Fit(enum.Enum):
    CROP = "crop"
    PAD = "pad"


class Pair(NamedTuple):
    small: int
    large: int


@dataclass(frozen=True, eq=False)
class Sheet:
    pixels: object

    def describe(self) -> str:
        return f"Sheet of {self.pixels.size}"

    def picture(self) -> np.ndarray:
        return np.full((2, 3), 7, np.uint8)

    def curve(self) -> list[float]:
        return [14.6, 0.5, 0]


@node("test/number")
def number(value: int = 0) -> int:
    CALLS.append(f"number {value}")
    return value


@node("test/add")
def add(a: int, b: int = 1) -> int:
    CALLS.append(f"add {a} {b}")
    return a + b


@node("test/split")
def split(value: int) -> Pair:
    return Pair(value - 1, value + 1)


@node("test/items")
def items(count: int = 3, start: int = 0) -> list[int]:
    return list(range(start, start + count))


@node("test/total")
def total(numbers: list[int]) -> int:
    CALLS.append(f"total {numbers}")
    return sum(numbers)


@node("test/switch")
def switch(condition: bool, yes: Lazy[int], no: Lazy[int]) -> int:
    CALLS.append("switch")
    return yes() if condition else no()


@node("test/fit")
def fit(how: Fit = Fit.CROP) -> str:
    return how.name


@node("test/words")
def words(text: str = "") -> str:
    return text


@node("test/inputs")
def inputs(
    share: Annotated[float, Range(0, 10)] = 1.0,
    mode: Literal["red", "green"] = "red",
    file: Annotated[Path | None, File("input")] = None,
) -> str:
    return f"{share!r} {file.read_text() if file else mode}"


def because(error, cause):
    error.__cause__ = cause
    return error


@node("test/fail")
def fail(value: int = 0, how: str = "error") -> int:
    CALLS.append("fail")
    held = Big()  # noqa: F841
    raise {
        "error": ValueError("the numbers\nare wrong"),
        "graph": GraphError("This picture is too small. Use a larger one.", None, "value"),
        "interrupt": KeyboardInterrupt(),
        "exit": SystemExit(3),
        "memory": OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        "host": MemoryError(),
        "cancelled": Cancelled(),
        "dumb": Dumb(),
        "disk": because(GraphError("Cannot write there: the disk is full."), OSError(28, "No space left on device")),
        "file": FileNotFoundError(2, "No such file or directory", "photo.png"),
    }[how]


@node("test/lie")
def lie(how: str = "text") -> int:
    return {"text": "seven", "none": None, "bool": True, "float": 1.5}[how]


@node("test/few")
def few() -> Pair:
    return (1,)


@node("test/lie_about_lists")
def lie_about_lists() -> list[int]:
    return ["a"]


@node("test/slow")
def slow(value: int = 0, steps: int = 5, pause: float = 0.0, broken: bool = False, ctx: Context = HEADLESS) -> int:
    CALLS.append("slow")

    def picture():
        if broken:
            raise RuntimeError("no decoder")
        return np.zeros((4, 4, 3), np.uint8)

    for step in range(1, steps + 1):
        if pause:
            time.sleep(pause)
        ctx.progress(step, steps, preview=picture, sigma=1.0 / step)
    return value


@node("test/save", sink=True)
def save(value: int, name: str = "result", ctx: Context = HEADLESS) -> None:
    CALLS.append("save")
    path = ctx.output_path(name, ".txt")
    path.write_text(str(value))
    ctx.saved(path)
    ctx.show(np.full((2, 3, 3), 9, np.uint8))


@node("test/half_save", sink=True)
def half_save(ctx: Context = HEADLESS) -> None:
    ctx.output_path("half", ".png")
    raise GraphError("The disk is full.")


@node("test/warn")
def warn(ctx: Context = HEADLESS) -> int:
    ctx.warn("The prompt is long.")
    ctx.warn("The prompt is long.")
    return 1


@node("test/random", cache=False)
def random(seed: Annotated[int, Randomize()] = 0) -> int:
    CALLS.append("random")
    return seed


@node("test/big")
def big(value: int = 0, size: int = 1000) -> Big:
    return Big(size)


@node("test/bigger")
def bigger(big: Big) -> Big:
    return Big(big.nbytes)


@node("test/sheet")
def sheet(value: int = 0, pause: float = 0.06) -> Sheet:
    CALLS.append("sheet")
    time.sleep(pause)
    return Sheet(np.full(10, value, np.float32))


@node("test/sum")
def sheet_sum(sheet: Sheet) -> int:
    CALLS.append("sum")
    return int(sheet.pixels.sum())


@node("test/sampler")
def sampler(steps: int = 4, stop_at: int = 0, ctx: Context = HEADLESS) -> float:
    """Halves a number `steps` times, remembering each time, as samplers do."""
    x, start = np.float64(1.0), 0
    for step in range(steps, 0, -1):
        found = ctx.recall(f"halved-{step}")
        if found is not None:
            x, start = found["x"], step
            break
    for step in range(start, steps):
        CALLS.append(f"step {step + 1}")
        x = x / 2
        ctx.remember(f"halved-{step + 1}", {"x": x})
        if step + 1 == stop_at:
            raise GraphError("power cut")
        ctx.progress(step + 1, steps)
    return float(x)


FUNCTIONS = [
    number, words, inputs, add, split, items, total, switch, fit, fail, lie, few, lie_about_lists, slow, save, half_save, warn, random,
    big, bigger, sheet, sheet_sum, sampler,
]  # fmt: skip
FREED: list[str] = []


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    registry = Registry(folders=Folders(home, home / "cache", home / "output"))
    for function in FUNCTIONS:
        registry.add_function(function)
    registry.free_memory.append(lambda: FREED.append("freed"))
    return registry


@pytest.fixture(autouse=True)
def forget():
    CALLS.clear()
    FREED.clear()


@pytest.fixture
def cache():
    return Cache(1 << 30)


def make(links=(), **nodes):
    """make(a=("test/number", {"value": 3}), links=["a.value -> b.a"])"""
    graph = Graph()
    for name, wish in nodes.items():
        kind, values = wish if isinstance(wish, tuple) else (wish, {})
        graph = graph.with_node(Node(name, f"test/{kind}", values))
    for text in links:
        (source, output), (target, input) = (end.split(".") for end in text.split(" -> "))
        graph = graph.with_link(Link(source, output, target, input), many=kind_takes_many(graph, target))
    return graph


def kind_takes_many(graph, target):
    return graph.nodes[target].type == "test/total"


def run(graph, registry, cache=None, *targets, output="", is_stopped=bool, tell=None, **options):
    """(values of the targets, events, outcome)"""
    events = []

    def hear(event):
        events.append(event)
        if tell:
            tell(event)

    job = Run("job", "", output=output, **options)
    plan = make_plan(graph, registry, list(targets) or None)
    outcome = execute(plan, registry, job, hear, cache, is_stopped, keep=True)
    values = {name: next(iter(found.values())) for name, found in outcome.values.items() if found}
    return values, events, outcome


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


CHAIN = {
    "a": ("number", {"value": 3}),
    "b": "add",
    "c": ("add", {"b": 10}),
    "links": ["a.value -> b.a", "b.value -> c.a"],
}


# -- what runs


def test_a_chain_runs_in_order_and_gives_the_result(registry, cache):
    values, events, outcome = run(make(**CHAIN), registry, cache)
    assert values == {"c": 14} and outcome.state == "done"
    assert events == [
        Accepted("job", 3),
        Started("job", "a", "a"), of(events, Finished)[0],
        Started("job", "b", "b"), of(events, Finished)[1],
        Started("job", "c", "c"), of(events, Finished)[2],
    ]  # fmt: skip
    assert [event.about for event in of(events, Finished)] == [{"value": "3"}, {"value": "4"}, {"value": "14"}]


def test_a_second_run_reuses_everything_and_asks_only_the_target(registry, cache):
    run(make(**CHAIN), registry, cache)
    CALLS.clear()
    values, events, outcome = run(make(**CHAIN), registry, cache)
    assert values == {"c": 14} and CALLS == []
    assert events == [Accepted("job", 1, 1), Finished("job", "c", True)]
    assert (outcome.ran, outcome.cached) == (0, 1)


def test_only_what_follows_an_edit_runs_again(registry, cache):
    graph = make(**CHAIN)
    run(graph, registry, cache)
    CALLS.clear()
    values, events, _ = run(graph.with_value("c", "b", 20), registry, cache)
    assert values == {"c": 24} and CALLS == ["add 4 20"]
    assert [event.node for event in of(events, Finished) if event.cached] == ["b"]


def test_copies_and_other_graphs_share_results(registry, cache):
    run(make(**CHAIN), registry, cache)
    CALLS.clear()
    renamed = make(
        x=("number", {"value": 3}), y="add", z=("add", {"b": 10}), y2="add",
        links=["x.value -> y.a", "y.value -> z.a", "x.value -> y2.a"],
    )  # fmt: skip
    values, _, _ = run(renamed, registry, cache, "z", "y2")
    assert values == {"z": 14, "y2": 4} and CALLS == []
    twice = make(x=("number", {"value": 77}), y=("number", {"value": 77}))
    run(twice, registry, cache, "x", "y")
    assert CALLS == ["number 77"]


def test_without_a_cache_everything_runs_every_time(registry, cache):
    run(make(**CHAIN), registry, cache)
    CALLS.clear()
    events = []
    plan = make_plan(make(**CHAIN), registry)
    execute(plan, registry, Run("job", "", cache=False), events.append, cache)
    assert len(CALLS) == 3


def test_a_node_that_cannot_be_cached_runs_every_time_and_so_does_what_follows(registry, cache):
    graph = make(r="random", a="add", links=["r.value -> a.a"])
    run(graph, registry, cache)
    run(graph, registry, cache)
    assert CALLS == ["random", "add 0 1"] * 2


def test_only_what_leads_to_the_target_runs(registry, cache):
    graph = make(**{**CHAIN, "d": ("number", {"value": 9})})
    values, _, _ = run(graph, registry, cache, "b")
    assert values == {"b": 4} and CALLS == ["number 3", "add 3 1"]


def test_several_outputs_are_told_apart(registry, cache):
    graph = make(n=("number", {"value": 5}), s="split", a="add", links=["n.value -> s.value", "s.small -> a.a", "s.large -> a.b"])
    assert run(graph, registry, cache)[0] == {"a": 10}


def test_a_choice_that_is_an_enum_arrives_as_its_member(registry, cache):
    assert run(make(f=("fit", {"how": "pad"})), registry, cache)[0] == {"f": "PAD"}
    assert run(make(f="fit"), registry, cache)[0] == {"f": "CROP"}


def test_a_chain_of_ten_thousand_nodes_runs_without_recursion(registry, cache):
    graph = Graph(
        nodes={"n0": Node("n0", "test/number"), **{f"n{i}": Node(f"n{i}", "test/add") for i in range(1, 10_000)}},
        incoming={f"n{i}": (Link(f"n{i - 1}", "value", f"n{i}", "a"),) for i in range(1, 10_000)},
    )
    values, _, outcome = run(graph, registry, cache)
    assert values == {"n9999": 9999} and outcome.ran == 10_000


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_graph_gives_what_direct_calls_give_and_runs_each_node_once(registry, data):
    count = data.draw(st.integers(1, 12))
    graph, expected = Graph(), {}
    for i in range(count):
        sources = data.draw(st.lists(st.integers(0, i - 1), max_size=2)) if i else []
        graph = graph.with_node(Node(f"n{i}", "test/add", {"a": 1000 + i, "b": i}))
        a, b = 1000 + i, i
        for input, source in zip("ab", sources):
            graph = graph.with_link(Link(f"n{source}", "value", f"n{i}", input))
            a, b = (expected[source], b) if input == "a" else (a, expected[source])
        expected[i] = a + b
    wanted = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    cache = Cache(data.draw(st.sampled_from([0, 200, 1 << 20])))
    CALLS.clear()
    for _ in range(2):
        values, _, _ = run(graph, registry, cache, *(f"n{i}" for i in wanted))
        assert values == {f"n{i}": expected[i] for i in wanted}
    if cache.memory.limit > 200:
        needed = {f"n{i}" for i in wanted} | graph.upstream(*(f"n{i}" for i in wanted))
        assert len(CALLS) <= len(needed)  # two nodes may be given the same numbers


class Broken(Exception):
    """In the reference below: this node has no result."""


def reference(graph, name, ran):
    """The same graph by plain recursion, without a cache: what it must give, and which nodes a lazy run may touch."""
    if name not in ran:
        ran[name] = None
        node = graph.nodes[name]
        feeds = {}
        for link in graph.incoming.get(name, ()):
            feeds.setdefault(link.input, []).append(link.source)

        def value(input, default=0):
            return reference(graph, feeds[input][0], ran) if input in feeds else node.values.get(input, default)

        def all_of(calls):
            """Every call is made, even if the first one fails: all that a node needs runs."""
            found = []
            for call in calls:
                with contextlib.suppress(Broken):
                    found.append(call())
            if len(found) < len(calls):
                raise Broken
            return found

        try:
            if node.type == "test/switch":
                ran[name] = value("yes" if node.values["condition"] else "no")
            elif node.type == "test/total":
                ran[name] = sum(all_of([lambda source=source: reference(graph, source, ran) for source in feeds["numbers"]]))
            elif node.type == "test/add":
                ran[name] = sum(all_of([lambda: value("a"), lambda: value("b", 1)]))
            elif node.type == "test/split":
                ran[name] = value("value") - 1
            else:
                raise Broken
        except Broken:
            ran[name] = Broken
    if ran[name] is Broken:
        raise Broken
    return ran[name]


@st.composite
def wild_graphs(draw):
    graph = Graph()
    for i in range(draw(st.integers(2, 14))):
        name = f"n{i}"
        earlier = st.integers(0, max(0, i - 1))
        kind = draw(st.sampled_from(["add", "add", "switch", "total", "split", "fail"])) if i > 1 else "add"
        values = {"add": {"a": i * 100, "b": i}, "switch": {"condition": draw(st.booleans())}, "fail": {"value": i}}.get(kind, {})
        graph = graph.with_node(Node(name, f"test/{kind}", values))
        needed = {"switch": ["yes", "no"], "split": ["value"], "total": ["numbers"] * draw(st.integers(1, 3)), "fail": []}.get(kind)
        inputs = needed if needed is not None else [x for x in "ab" if i and draw(st.booleans())]
        for input in inputs:
            source = f"n{draw(earlier)}"
            output = "small" if graph.nodes[source].type == "test/split" else "value"
            graph = graph.with_link(Link(source, output, name, input), many=kind == "total")
    return graph


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_wild_graphs_give_what_plain_recursion_gives_whatever_the_cache_holds(registry, tmp_path_factory, data):
    graph = data.draw(wild_graphs())
    names = list(graph.nodes)
    wanted = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=4, unique=True))
    ran = {}
    expected, broken = {}, set()
    for name in wanted:
        try:
            expected[name] = reference(graph, name, ran)
        except Broken:
            broken.add(name)
    cache = data.draw(st.sampled_from([None, Cache(0), Cache(150), Cache(600), Cache(1 << 20)]))
    if cache is not None and cache.memory.limit == 600:
        cache.disk = DiskTier(tmp_path_factory.mktemp("cache"))
    for _ in range(2):
        CALLS.clear()
        values, events, outcome = run(graph, registry, cache, *wanted)
        assert values == expected
        assert outcome.state == ("failed" if broken else "done")
        over = {event.node for event in of(events, (Failed, Skipped))}
        assert broken <= over and not over & expected.keys()
        assert {event.node for event in of(events, Started)} <= ran.keys()
        if cache is not None and cache.memory.limit == 1 << 20:
            started = [event.node for event in of(events, Started)]
            assert len(started) == len(set(started))
        if cache is not None and cache.disk is not None:  # some results went to disk, and some of those are damaged
            for step in make_plan(graph, registry, wanted).steps:
                held = cache.memory.get(step.key)
                if held is not None and data.draw(st.booleans()):
                    cache.keep(step.key, held)
                    cache.memory.drop(step.key)
                    if data.draw(st.booleans()):
                        cache.disk.path(step.key).write_bytes(b"damaged")


# -- what links bring


def test_a_whole_number_arrives_as_a_fraction_and_text_as_a_file(registry, cache, tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    graph = make(
        n=("number", {"value": 2}), t=("words", {"text": "note.txt"}), f="inputs", links=["n.value -> f.share", "t.value -> f.file"]
    )  # fmt: skip
    assert run(graph, registry, cache, base=str(tmp_path))[0] == {"f": "2.0 hello"}
    (failed,) = of(run(graph.with_value("t", "text", "none.txt"), registry, cache, base=str(tmp_path))[1], Failed)
    assert failed.message.startswith("'none.txt' for 'file' of 'f' is not in your input folders.") and failed.input == "file"


@pytest.mark.parametrize(
    ("values", "link", "words"),
    [
        ({"value": 11}, "n.value -> f.share", "'share' of 'f' gets 11.0 from its link. It must be from 0 to 10."),
        ({"value": -1}, "n.value -> f.share", "'share' of 'f' gets -1.0 from its link."),
        ({"text": "blue"}, "t.value -> f.mode", "'mode' of 'f' gets 'blue' from its link. It must be one of: red, green."),
    ],
)
def test_limits_hold_for_what_links_bring_too(registry, cache, values, link, words):
    """S10: in the schema and again at execution."""
    kind = {"n": "number", "t": "words"}[link[0]]
    (failed,) = of(run(make(**{link[0]: (kind, values)}, f="inputs", links=[link]), registry, cache)[1], Failed)
    assert failed.message.startswith(words) and failed.input == link.rpartition(".")[2]


def test_a_choice_that_arrives_by_a_link_is_a_member_too(registry, cache):
    graph = make(t=("words", {"text": "pad"}), f="fit", links=["t.value -> f.how"])
    assert run(graph, registry, cache)[0] == {"f": "PAD"}


# -- lazy branches


def switched(condition):
    return make(
        yes=("number", {"value": 1}), no=("number", {"value": 2}), no2="add", s=("switch", {"condition": condition}),
        links=["yes.value -> s.yes", "no.value -> no2.a", "no2.value -> s.no"],
    )  # fmt: skip


def test_only_the_branch_that_is_asked_for_runs(registry, cache):
    values, events, _ = run(switched(True), registry, cache)
    assert values == {"s": 1} and CALLS == ["switch", "number 1", "switch"]
    assert [event.node for event in of(events, Started)] == ["s", "yes"]
    CALLS.clear()
    values, _, _ = run(switched(False), registry, cache)
    assert values == {"s": 3} and CALLS == ["switch", "number 2", "add 2 1", "switch"]


def test_a_lazy_branch_that_fails_fails_the_node_that_asked_and_no_other(registry, cache):
    graph = make(
        yes=("number", {"value": 1}), no="fail", s=("switch", {"condition": False}), t=("switch", {"condition": True}),
        links=["yes.value -> s.yes", "no.value -> s.no", "yes.value -> t.yes", "no.value -> t.no"],
    )  # fmt: skip
    values, events, outcome = run(graph, registry, cache, "s", "t")
    assert values == {"t": 1} and outcome.failed == ("no",)
    assert of(events, Skipped) == [Skipped("job", "s", "no")]


def test_a_lazy_input_may_hold_a_plain_value(registry, cache):
    graph = make(
        yes=("number", {"value": 1}), s=("switch", {"condition": False, "no": 5}), links=["yes.value -> s.yes"]
    )  # fmt: skip
    assert run(graph, registry, cache)[0] == {"s": 5}


# -- lists


def test_a_node_runs_once_for_each_item_of_a_list(registry, cache):
    graph = make(i="items", a=("add", {"b": 10}), t="total", links=["i.value -> a.a", "a.value -> t.numbers"])
    values, _, _ = run(graph, registry, cache)
    assert values == {"t": 33}
    assert CALLS == ["add 0 10", "add 1 10", "add 2 10", "total [10, 11, 12]"]


def test_lists_of_equal_length_go_together_and_one_item_goes_with_all(registry, cache):
    graph = make(i="items", j=("items", {"start": 5}), a="add", links=["i.value -> a.a", "j.value -> a.b"])
    assert run(graph, registry, cache)[0] == {"a": [5, 7, 9]}
    one = graph.with_value("j", "count", 1)
    assert run(one, registry, cache)[0] == {"a": [5, 6, 7]}
    assert run(graph.with_value("i", "count", 0), registry, cache)[0] == {"a": []}


def test_lists_of_unequal_length_are_refused_with_words(registry, cache):
    graph = make(i="items", j=("items", {"count": 2}), a="add", links=["i.value -> a.a", "j.value -> a.b"])
    (failed,) = of(run(graph, registry, cache)[1], Failed)
    assert failed.message == (
        "'a' gets 3 items at 'a' and 2 at 'b'. Lists that go together must be equally long, or have one item."
    )  # fmt: skip
    assert failed.input == "b"


def test_many_links_and_lists_are_gathered_into_one_list(registry, cache):
    graph = make(n=("number", {"value": 50}), i="items", t="total", links=["n.value -> t.numbers", "i.value -> t.numbers"])
    assert run(graph, registry, cache)[0] == {"t": 53}


def test_a_lazy_switch_works_for_each_item(registry, cache):
    graph = make(i="items", n=("number", {"value": 7}), s=("switch", {"condition": True}), links=["i.value -> s.yes", "n.value -> s.no"])
    assert run(graph, registry, cache)[0] == {"s": [0, 1, 2]}
    assert "number 7" not in CALLS


def test_progress_over_a_list_counts_the_whole_list(registry, cache):
    graph = make(i="items", s=("slow", {"steps": 2, "pause": 0.04}), links=["i.value -> s.value"])
    events = of(run(graph, registry, cache)[1], Progress)
    assert [(event.done, event.total) for event in events] == [(1, 6), (2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    assert events[2].note == "2 of 3"


def test_stopping_a_long_list_keeps_the_items_that_are_ready(registry, cache):
    graph = make(i=("items", {"count": 4}), s="sheet", links=["i.value -> s.value"])
    run(graph, registry, cache, is_stopped=lambda: len(CALLS) >= 2)
    assert CALLS == ["sheet"] * 2
    values, _, _ = run(graph, registry, cache)
    assert len(values["s"]) == 4 and CALLS == ["sheet"] * 4


# -- failures


@pytest.mark.parametrize(
    ("how", "kind", "words"),
    [
        ("error", "error", "'bad' failed: the numbers (ValueError). The details are in the log."),
        ("graph", "invalid", "This picture is too small. Use a larger one."),
        ("interrupt", "error", "'bad' tried to end the program."),
        ("exit", "error", "'bad' tried to end the program."),
        ("memory", "out-of-memory", "'bad' ran out of memory."),
        ("host", "out-of-memory", "'bad' ran out of memory."),
        ("cancelled", "error", "'bad' stopped by itself"),
        ("dumb", "error", "'bad' failed: Dumb. The details are in the log."),
        ("disk", "file", "Cannot write there: the disk is full."),
        ("file", "file", "'bad' cannot use 'photo.png': No such file or directory."),
    ],
)
def test_whatever_a_node_raises_is_told_and_independent_work_goes_on(registry, cache, how, kind, words):
    """F15"""
    graph = make(
        bad=("fail", {"how": how}), after="add", later="add", good=("number", {"value": 8}), fine="add",
        links=["bad.value -> after.a", "after.value -> later.a", "good.value -> fine.a"],
    )  # fmt: skip
    values, events, outcome = run(graph, registry, cache, "later", "fine")
    (failed,) = of(events, Failed)
    assert failed.node == "bad" and failed.kind == kind and failed.message.startswith(words)
    assert of(events, Skipped) == [Skipped("job", "after", "bad"), Skipped("job", "later", "bad")]
    assert values == {"fine": 9} and outcome.state == "failed" and outcome.failed == ("bad",)
    if how in ("graph", "disk"):
        assert failed.log == "" and failed.input == ("value" if how == "graph" else "")
    else:
        assert "Traceback" in Path(failed.log).read_text()
        assert "Traceback" not in failed.message


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("lie", {"how": "text"}, "'x' promised int at 'value' and gave str."),
        ("lie", {"how": "none"}, "'x' promised int at 'value' and gave nothing."),
        ("lie", {"how": "bool"}, "'x' promised int at 'value' and gave bool."),
        ("lie", {"how": "float"}, "'x' promised int at 'value' and gave float."),
        ("few", {}, "'x' promised 2 results and gave tuple."),
        ("lie_about_lists", {}, "'x' promised a list of int at 'value' and gave list."),
    ],
)
def test_a_result_of_the_wrong_type_fails_the_node_that_gave_it(registry, cache, kind, values, words):
    (failed,) = of(run(make(x=(kind, values)), registry, cache)[1], Failed)
    assert failed.message.startswith(words) and "fault of the node" in failed.message


def test_a_failure_is_not_kept_and_results_before_it_are(registry, cache):
    graph = make(n=("number", {"value": 4}), f="fail", links=["n.value -> f.value"])
    run(graph, registry, cache)
    run(graph, registry, cache)
    assert CALLS == ["number 4", "fail", "fail"]


def test_after_out_of_memory_everything_is_let_go_and_tried_once_more(registry, cache):
    """F16: what the failed call held is gone when the artist reads about it."""
    events = run(make(f=("fail", {"how": "memory"})), registry, cache)[1]
    assert CALLS == ["fail", "fail"] and len(FREED) == 2
    assert "starts again" in of(events, Warned)[0].message
    gc.collect()
    assert len(LIVE) == 0


def test_any_failure_lets_go_of_what_its_frames_held(registry, cache):
    run(make(f="fail"), registry, cache)
    assert len(LIVE) == 0


def test_results_nobody_needs_any_more_are_dropped_on_the_way(registry):
    """A long chain with no cache holds two results at a time, not all of them."""
    most = []

    def watch(event):
        if isinstance(event, Finished):
            most.append(len(LIVE))

    graph = Graph(
        nodes={"n0": Node("n0", "test/big"), **{f"n{i}": Node(f"n{i}", "test/bigger") for i in range(1, 40)}},
        incoming={f"n{i}": (Link(f"n{i - 1}", "big", f"n{i}", "big"),) for i in range(1, 40)},
    )
    execute(make_plan(graph, registry), registry, Run("job", ""), watch, None)
    gc.collect()
    assert max(most) <= 2 and len(LIVE) == 0
    small = Cache(5000)
    execute(make_plan(graph, registry), registry, Run("job", ""), watch, small)
    assert len(LIVE) <= 5
    small.clear()
    gc.collect()
    assert len(LIVE) == 0


# -- cancel


def test_stopping_between_nodes_keeps_what_was_finished(registry, cache):
    graph = make(**CHAIN)
    _, events, outcome = run(graph, registry, cache, is_stopped=lambda: len(CALLS) >= 2)
    assert outcome.state == "cancelled" and of(events, Failed) == []
    CALLS.clear()
    assert run(graph, registry, cache)[0] == {"c": 14} and CALLS == ["add 4 10"]


def test_stopping_inside_a_node_works_at_its_next_step(registry, cache):
    stop = []
    graph = make(s=("slow", {"steps": 1000, "pause": 0.001}), a="add", links=["s.value -> a.a"])
    _, events, outcome = run(
        graph, registry, cache, is_stopped=lambda: bool(stop), tell=lambda e: stop.append(1) if isinstance(e, Progress) else None
    )
    assert outcome.state == "cancelled" and len(of(events, Progress)) == 1
    assert of(events, Finished) == []


def test_stopping_before_the_start_runs_nothing(registry, cache):
    assert run(make(**CHAIN), registry, cache, is_stopped=lambda: True)[2].state == "cancelled"
    assert CALLS == []


# -- progress and previews


def test_progress_is_kept_to_what_can_be_seen_and_the_last_always_arrives(registry, cache):
    """F24"""
    began = time.perf_counter()
    events = run(make(s=("slow", {"steps": 3000})), registry, cache)[1]
    steps = of(events, Progress)
    assert 2 <= len(steps) <= 2 + 30 * (time.perf_counter() - began)
    done = [event.done for event in steps]
    assert done == sorted(done) and done[-1] == 3000
    assert isinstance(events[-1], Finished)


def test_progress_that_ends_early_is_delivered_all_the_same(registry, cache):
    @node("test/early")
    def early(ctx: Context = HEADLESS) -> int:
        for step in range(1, 8):
            ctx.progress(step, 10)
        return 1

    registry.add_function(early)
    assert of(run(make(e="early"), registry, cache)[1], Progress)[-1].done == 7


def test_time_left_is_foreseen(registry, cache):
    steps = of(run(make(s=("slow", {"steps": 8, "pause": 0.04})), registry, cache)[1], Progress)
    assert steps[0].eta is None
    assert 0.15 < steps[3].eta < 3 and steps[-1].eta == 0  # four steps of 0.04 s, or more on a busy machine


def test_pictures_on_the_way_are_made_only_when_wanted(registry, cache):
    graph = make(s=("slow", {"steps": 4, "pause": 0.04}))
    assert any(event.frame for event in of(run(graph, registry, None)[1], Progress))
    assert not any(event.frame for event in of(run(graph, registry, None, preview=0)[1], Progress))
    plan, events = make_plan(graph, registry), []
    execute(plan, registry, Run("job", ""), events.append, None, wants_frame=lambda: False)
    assert not any(event.frame for event in of(events, Progress))


def pictures_seen(registry, cache, steps: int, pause: float, cost: float) -> int:
    """How many pictures on the way a run makes whose steps take `pause` seconds and whose pictures take `cost`."""
    made = []

    @node("test/watched")
    def watched(ctx: Context = HEADLESS) -> int:
        def picture():
            made.append(1)
            time.sleep(cost)
            return np.zeros((2, 2, 3), np.uint8)

        for step in range(1, steps + 1):
            time.sleep(pause)
            ctx.progress(step, steps, preview=picture)
        return 1

    registry.add_function(watched)
    run(make(w="watched"), registry, cache)
    return len(made)


def test_a_short_run_can_be_watched_at_every_step(registry, cache):
    """Twenty steps of the shipped model take a third of a second, a picture 5 ms: a hundredth of the time would show the first alone."""
    assert pictures_seen(registry, cache, steps=8, pause=0.035, cost=0.005) == 8


def test_dear_pictures_on_the_way_take_a_hundredth_of_the_time_at_most(registry, cache):
    assert pictures_seen(registry, cache, steps=10, pause=0.04, cost=0.2) == 2  # the first and the last always; between them 4 s must pass for each


def test_slow_steps_can_be_watched_once_a_second(registry, cache, monkeypatch):
    """A picture of 4 ms is more than a hundredth of a step of 0.31 s, and yet each step is seen."""
    monkeypatch.setattr("nodegraph.context.WATCH_SECONDS", 0.3)
    monkeypatch.setattr("nodegraph.context.PREVIEW_FREE", 0.0)
    assert pictures_seen(registry, cache, steps=4, pause=0.31, cost=0.004) == 4


def test_a_picture_on_the_way_that_cannot_be_made_leaves_the_run_alone(registry, cache):
    """F25"""
    values, events, outcome = run(make(s=("slow", {"broken": True, "value": 6})), registry, cache)
    assert values == {"s": 6} and outcome.state == "done"
    assert [event.message for event in of(events, Warned)] == ["Pictures on the way cannot be made: no decoder"]


def test_results_say_what_they_are(registry, cache):
    assert of(run(make(s="sheet"), registry, cache)[1], Finished)[0].about == {"sheet": "Sheet of 10"}


def test_results_that_are_a_line_of_numbers_tell_it(registry, cache):
    assert of(run(make(s="sheet"), registry, cache)[1], Finished)[0].curves == {"sheet": (14.6, 0.5, 0.0)}


def test_a_result_that_can_be_looked_at_is_shown_on_its_node_where_previews_are_wanted(registry):
    (event,) = of(run(make(s="sheet"), registry, None)[1], Progress)
    assert (event.done, event.total, event.frame) == (1.0, 1.0, Frame(3, 2, 1, bytes([7] * 6)))
    assert not of(run(make(s="sheet"), registry, None, preview=0)[1], Progress)


# -- sinks and effects


def saving(value=5):
    return make(n=("number", {"value": value}), s="save", links=["n.value -> s.value"])


def test_saving_again_what_is_saved_already_only_tells_where_it_is(registry, cache, tmp_path):
    _, first, _ = run(saving(), registry, cache, output=str(tmp_path))
    (saved,), (shown,) = of(first, Saved), of(first, Shown)
    assert Path(saved.path).read_text() == "5" and shown.picture.width == 3
    CALLS.clear()
    _, again, outcome = run(saving(), registry, cache, output=str(tmp_path))
    assert of(again, Saved) == [saved] and of(again, Shown) == [shown] and CALLS == []
    assert (outcome.ran, outcome.cached) == (0, 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_was_deleted_or_changed_is_saved_anew(registry, cache, tmp_path):
    (saved,) = of(run(saving(), registry, cache, output=str(tmp_path))[1], Saved)
    Path(saved.path).unlink()
    (anew,) = of(run(saving(), registry, cache, output=str(tmp_path))[1], Saved)
    assert Path(anew.path).read_text() == "5"
    Path(anew.path).write_text("scribbled over")
    (other,) = of(run(saving(), registry, cache, output=str(tmp_path))[1], Saved)
    assert other.path != anew.path and Path(other.path).read_text() == "5"
    assert Path(anew.path).read_text() == "scribbled over"


def test_another_output_folder_gets_its_own_file(registry, cache, tmp_path):
    for name in ("one", "two"):
        (saved,) = of(run(saving(), registry, cache, output=str(tmp_path / name))[1], Saved)
        assert Path(saved.path).parent == tmp_path / name


def test_a_failed_node_leaves_no_empty_file_behind(registry, cache, tmp_path):
    (failed,) = of(run(make(h="half_save"), registry, cache, output=str(tmp_path))[1], Failed)
    assert failed.message == "The disk is full." and list(tmp_path.iterdir()) == []


def test_a_warning_is_told_once_and_told_again_with_the_cached_result(registry, cache):
    for _ in range(2):
        events = run(make(w="warn"), registry, cache)[1]
        assert of(events, Warned) == [Warned("job", "w", "The prompt is long.")]
    assert of(events, Finished) == [Finished("job", "w", True)]


# -- checkpoints


def test_a_failed_run_goes_on_from_its_last_checkpoint_in_another_process(registry, tmp_path):
    run(make(s=("sampler", {"stop_at": 3})), registry, Cache(1 << 20, DiskTier(tmp_path)))
    assert CALLS == ["step 1", "step 2", "step 3"]
    CALLS.clear()
    values, events, _ = run(make(s="sampler"), registry, Cache(1 << 20, DiskTier(tmp_path)))
    assert values == {"s": 1 / 16} and CALLS == ["step 4"]
    assert of(events, Finished)[0].resumed_from == 3


def test_more_steps_go_on_where_fewer_ended(registry, cache):
    run(make(s=("sampler", {"steps": 3})), registry, cache)
    CALLS.clear()
    assert run(make(s=("sampler", {"steps": 5})), registry, cache)[0] == {"s": 1 / 32}
    assert CALLS == ["step 4", "step 5"]


# -- disk


def test_results_worth_it_are_found_by_another_process_and_cheap_ones_made_again(registry, tmp_path):
    graph = make(s=("sheet", {"value": 2}), t="sum", links=["s.sheet -> t.sheet"])
    here = frozenset({__name__.partition(".")[0]})
    run(graph, registry, Cache(1 << 20, DiskTier(tmp_path, trusted=here)))
    CALLS.clear()
    values, _, _ = run(graph, registry, Cache(1 << 20, DiskTier(tmp_path, trusted=here)))
    assert values == {"t": 20} and CALLS == ["sum"]


def test_a_damaged_entry_costs_only_the_time_to_make_it_again(registry, tmp_path):
    """F29: the cache says yes at first, and has nothing when asked."""
    graph = make(n=("number", {"value": 2}), s="sheet", t="sum", links=["n.value -> s.value", "s.sheet -> t.sheet"])
    run(graph, registry, Cache(1 << 20, DiskTier(tmp_path)))
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    CALLS.clear()
    values, _, outcome = run(graph, registry, Cache(1 << 20, DiskTier(tmp_path)))
    assert values == {"t": 20} and CALLS == ["number 2", "sheet", "sum"] and outcome.state == "done"


def test_a_cache_that_cannot_be_written_is_told_once_and_stops_nothing(registry, tmp_path):
    """F2"""
    (tmp_path / "file").write_text("")
    graph = make(s=("sheet", {"value": 2}), t="sheet", u=("sheet", {"value": 3}))
    _, events, outcome = run(graph, registry, Cache(1 << 20, DiskTier(tmp_path / "file")), "s", "t", "u")
    assert outcome.state == "done"
    (warned,) = of(events, Warned)
    assert warned.node == "" and "cannot be kept" in warned.message


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_cannot_be_written_is_named(registry, cache, tmp_path):
    tmp_path.chmod(0o500)
    (failed,) = of(run(saving(), registry, cache, output=str(tmp_path))[1], Failed)
    assert str(tmp_path) in failed.message


# -- whole jobs


def text_of(graph):
    return graphfile.dumps(graph)


def test_a_job_goes_from_text_to_done(registry, cache, tmp_path):
    events = []
    outcome = perform(Run("7", text_of(saving()), output=str(tmp_path)), registry, cache, events.append)
    assert outcome.state == "done"
    assert [type(event).__name__ for event in events] == [
        "Accepted", "Started", "Finished", "Started", "Saved", "Shown", "Finished", "Done",
    ]  # fmt: skip
    assert events[-1].state == "done" and events[-1].ran == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not"),
        ('{"format":1,"nodes":{}}', "nothing to run"),
        ('{"format":1,"nodes":{"a":{"type":"test/unknown"}}}', "not installed"),
        ('{"format":1,"nodes":{"a":{"type":"test/add"}}}', "needs a value for 'a'"),
    ],
)
def test_a_graph_that_cannot_run_is_told_before_it_is_accepted(registry, cache, text, words):
    events = []
    perform(Run("7", text), registry, cache, events.append)
    assert [type(event) for event in events] == [Failed, Done]
    assert words in events[0].message and events[-1].state == "failed"


def test_a_job_whose_only_target_is_muted_says_so(registry, cache):
    graph = saving().changed("n", mode="muted")
    events = []
    perform(Run("7", text_of(graph)), registry, cache, events.append)
    assert "muted" in events[0].message


def test_all_problems_of_a_graph_are_told(registry, cache):
    events = []
    perform(Run("7", text_of(make(a="add", b="add", c="nothing"))), registry, cache, events.append)
    assert [event.node for event in of(events, Failed)] == ["a", "b", "c"] and of(events, Done)[0].state == "failed"
