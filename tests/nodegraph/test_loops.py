"""Nodes that unfold into a graph, and subgraphs that run more than once."""

import gc
import weakref
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.cache import Cache, DiskTier
from nodegraph.errors import GraphError, GraphProblems
from nodegraph.executor import execute
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.messages import Failed, Finished, Progress, Run, Saved, Skipped, Started, Warned
from nodegraph.node import HEADLESS, Context, Expansion, File, Lazy, PassNumber, Range, node, renamed
from nodegraph.plan import check, make_plan
from nodegraph.registry import REROUTE_SPEC, Registry, _reroute
from nodegraph.spec import read_spec
from nodegraph.subgraphs import spec_of

T = TypeVar("T")
CALLS: list[str] = []
LIVE: "weakref.WeakSet[Thing]" = weakref.WeakSet()


class Sums(NamedTuple):
    total: int
    each: list[int]


class Thing:
    """Something that is no plain value."""

    def __init__(self, name: str) -> None:
        self.name = name
        LIVE.add(self)


@node("loop/number")
def number(value: Annotated[int, Range(0, 100_000)] = 0) -> int:
    return value


@node("loop/add")
def add(a: int, b: int = 1) -> int:
    CALLS.append(f"{a}+{b}")
    if a == 13:
        raise GraphError("13 brings bad luck.")
    return a + b


@node("loop/numbers")
def numbers(count: int = 3) -> list[int]:
    return list(range(10, 10 + count))


@node("loop/sum")
def total(numbers: list[int]) -> int:
    return sum(numbers)


@node("loop/listed")
def listed(numbers: list[int]) -> list[int]:
    return numbers


@node("loop/pass")
def pass_number(number: Annotated[int, PassNumber()] = 7) -> int:
    return number


@node("loop/make")
def make_thing(name: str = "x") -> Thing:
    CALLS.append(f"make {name}")
    return Thing(name)


@node("loop/longer")
def longer(thing: Thing, by: str = "y") -> Thing:
    CALLS.append(f"longer {thing.name}")
    return Thing(thing.name + by)


@node("loop/name")
def name_of(thing: Thing) -> str:
    return thing.name


@node("loop/write", sink=True)
def write(value: int, ctx: Context = HEADLESS) -> None:
    CALLS.append(f"write {value}")
    path = ctx.output_path("number", ".txt")
    path.write_text(str(value))
    ctx.saved(path)


@node("loop/read")
def read(file: Annotated[Path, File("input")]) -> int:
    CALLS.append(f"read {file.name}")
    return int(file.read_text())


@node("loop/files")
def files(folder: str) -> list[Path]:
    return sorted(Path(folder).iterdir())


@node("loop/names")
def names(names: str) -> list[str]:
    return names.split()


class Verdict(NamedTuple):
    done: bool


@node("loop/at-least")
def at_least(a: int, least: int = 0) -> Verdict:
    return Verdict(a >= least)


@node("loop/long-enough")
def long_enough(text: str, least: int = 4) -> Verdict:
    return Verdict(len(text) >= least)


@node("loop/label")
def label(name: int) -> str:
    return str(name)


@node("loop/add-often")
def add_often(a: int, times: int = 3, ctx: Context = HEADLESS) -> Expansion[int]:
    inside: Expansion[int] = Expansion()
    wire = inside.input("a")
    for _ in range(times):
        wire = inside.add("loop/add", a=wire)["value"]
    return inside.returning(value=wire)


@node("loop/sums")
def sums(a: int, numbers: list[int]) -> Expansion[Sums]:
    inside: Expansion[Sums] = Expansion()
    one = inside.add("loop/add", a=inside.input("a"), b=5)["value"]
    all_of_them = inside.add("loop/sum", numbers=[one, inside.input("numbers")])["value"]
    return inside.returning(total=all_of_them, each=[one, inside.input("a")])


@node("loop/for-ever")
def for_ever(a: int) -> Expansion[int]:
    inside: Expansion[int] = Expansion()
    return inside.returning(value=inside.add("loop/for-ever", a=inside.input("a"))["value"])


@node("loop/lengthen")
def lengthen(thing: Thing, times: int = 2) -> Expansion[Thing]:
    inside: Expansion[Thing] = Expansion()
    wire = inside.input("thing")
    for _ in range(times):
        wire = inside.add("loop/longer", thing=wire)["thing"]
    return inside.returning(thing=wire)


@node("loop/either")
def either(yes: Lazy[T], no: Lazy[T], first: bool = True) -> Expansion[T]:
    inside: Expansion[T] = Expansion()
    return inside.returning(value=inside.add("reroute", input=inside.input("yes" if first else "no"))["output"])


@node("loop/too-much")
def too_much(a: int) -> Expansion[int]:
    return Expansion(Graph(nodes={f"n{i}": Node(f"n{i}", "loop/number") for i in range(100_001)})).returning(value=[])


@node("loop/more", version=2, upgrades={1: renamed("amount", "b")})
def more(a: int, b: int = 1) -> int:
    return a + b


@node("loop/more-twice")
def more_twice(a: int) -> Expansion[int]:
    inside: Expansion[int] = Expansion()
    old = inside.add("loop/more", 1, a=inside.input("a"), amount=10)["value"]
    return inside.returning(value=inside.add("loop/more", a=old, b=5)["value"])


@node("loop/write-all", sink=True)
def write_all(numbers: list[int]) -> Expansion[None]:
    inside: Expansion[None] = Expansion()
    for number in numbers:
        inside.add("loop/write", value=number)
    return inside.returning()


@node("loop/wrong")
def wrong(how: str) -> Expansion[int]:
    inside: Expansion[int] = Expansion()
    end = inside.add("loop/add", a=inside.input("nothing") if how == "input" else "text" if how == "value" else 1)["value"]
    return inside.returning(**{"other" if how == "output" else "value": end})


FUNCTIONS = [
    number, add, numbers, total, pass_number, make_thing, longer, name_of, write, read, files, names, add_often, sums, for_ever, lengthen,
    either, too_much, wrong, at_least, long_enough, label, listed, more,
    more_twice, write_all,
]  # fmt: skip


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    found = Registry(folders=Folders(home, home / "cache", home / "output"))
    found.add_spec(REROUTE_SPEC, _reroute)
    for function in FUNCTIONS:
        found.add_function(function)
    return found


@pytest.fixture(autouse=True)
def forget():
    CALLS.clear()


@pytest.fixture
def cache():
    return Cache(1 << 30)


def make(*links, **nodes):
    """make("a.value -> b.a", a=("number", {"value": 3}), b="add")"""
    graph = Graph()
    for name, wish in nodes.items():
        kind, values = wish if isinstance(wish, tuple) else (wish, {})
        graph = graph.with_node(Node(name, kind if kind.startswith(("subgraph/", "reroute")) else f"loop/{kind}", values))
    for text in links:
        (source, output), (target, input) = (end.split(".") for end in text.split(" -> "))
        graph = graph.with_link(Link(source, output, target, input), many=input == "numbers")
    return graph


def box(graph, inputs="", outputs=""):
    """box(graph, "a=add.a", "a=add.value"): a definition with these ports."""
    ins = [one.split("=") for one in inputs.split()]
    outs = [one.split("=") for one in outputs.split()]
    return Subgraph(
        graph,
        tuple(SubgraphInput(name, (tuple(end.split(".")),)) for name, end in ins),
        tuple(SubgraphOutput(name, *end.split(".")) for name, end in outs),
    )


def run(graph, registry, cache=None, *targets, output="", is_stopped=bool, **options):
    """(the first output of the target, events, outcome)"""
    events = []
    plan = make_plan(graph, registry, list(targets) or None)
    outcome = execute(plan, registry, Run("job", "", output=output, **options), events.append, cache, is_stopped, keep=True)
    found = [next(iter(values.values())) for values in outcome.values.values() if values]
    return found[0] if found else None, events, outcome


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


# -- nodes that unfold


def test_a_node_that_unfolds_is_described_by_what_it_promises():
    assert [(out.name, out.type, out.many) for out in read_spec(sums).outputs] == [("total", "int", False), ("each", "int", True)]


def test_a_node_may_return_a_graph_in_place_of_its_result(registry, cache):
    graph = make("n.value -> x.a", n=("number", {"value": 5}), x=("add-often", {"times": 4}))
    value, events, outcome = run(graph, registry, cache)
    assert value == 9 and CALLS == ["5+1", "6+1", "7+1", "8+1"]
    assert [event.node for event in of(events, Started)] == [event.node for event in of(events, Finished)] == ["n", "x"]
    assert outcome.ran == 6


def test_what_is_handed_on_may_be_a_value_a_link_or_many(registry, cache):
    assert run(make(x=("add-often", {"a": 2})), registry, cache)[0] == 5
    graph = make("l.value -> s.numbers", "n.value -> s.numbers", "n.value -> s.a", n=("number", {"value": 1}), l="numbers", s="sums")
    _, _, outcome = run(graph, registry, cache)
    assert outcome.values == {"s": {"total": 10 + 11 + 12 + 1 + 6, "each": [6, 1]}}


def test_the_nodes_of_an_expansion_share_results_with_those_on_the_canvas(registry, cache):
    by_hand = make("t.thing -> a.thing", "a.thing -> b.thing", t="make", a="longer", b="longer")
    run(by_hand, registry, cache)
    CALLS.clear()
    value, _, _ = run(make("t.thing -> x.thing", t="make", x="lengthen"), registry, cache)
    assert value.name == "xyy" and CALLS == []
    run(make("t.thing -> x.thing", t="make", x=("lengthen", {"times": 3})), registry, cache)
    assert CALLS == ["longer xyy"]


def test_a_node_that_unfolds_does_so_for_each_item_of_a_list(registry, cache):
    assert run(make("l.value -> x.a", l="numbers", x="add-often"), registry, cache)[2].values == {}
    assert CALLS[:4] == ["10+1", "11+1", "12+1", "11+1"]  # 13 fails
    assert run(make("l.value -> x.a", l="numbers", x=("add-often", {"times": 1})), registry, cache)[0] == [11, 12, 13]


def test_only_the_branch_that_is_handed_on_is_made(registry, cache):
    graph = make("a.thing -> x.yes", "b.thing -> x.no", a=("make", {"name": "a"}), b=("make", {"name": "b"}), x=("either", {"first": False}))
    value, _, _ = run(graph, registry, cache)
    assert value.name == "b" and CALLS == ["make b"]


def test_a_node_that_unfolds_without_end_is_stopped_with_words(registry, cache):
    _, events, outcome = run(make(x=("for-ever", {"a": 1})), registry, cache)
    assert outcome.state == "failed"
    assert {event.node for event in of(events, Failed)} == {"x"}
    assert "unfolds into itself more than 32 times" in of(events, Failed)[0].message


def test_an_expansion_of_too_many_nodes_is_refused_with_words(registry, cache):
    (failed,) = of(run(make(x=("too-much", {"a": 1})), registry, cache)[1], Failed)
    assert failed.message == "This would become 100,002 nodes. At most 100,000 are possible."


def test_an_expansion_that_was_written_for_an_older_node_still_works(registry, cache):
    value, events, _ = run(make(x=("more-twice", {"a": 1})), registry, cache)
    assert value == 16 and of(events, Warned) == []


def test_a_node_that_saves_may_unfold_into_nodes_that_do(registry, cache, tmp_path):
    graph = make("l.value -> w.numbers", l="numbers", w="write-all")
    _, events, _ = run(graph, registry, cache, output=str(tmp_path))
    assert {event.node for event in of(events, Saved)} == {"w"} and CALLS == ["write 10", "write 11", "write 12"]
    _, again, outcome = run(graph, registry, cache, output=str(tmp_path))
    assert of(again, Saved) == of(events, Saved) and len(CALLS) == 3 and outcome.state == "done"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("input", "'x' hands on an input that it does not have: 'nothing'."),
        ("output", "'x' unfolds into nodes that do not give what it promises."),
        ("value", "'a' of 'Add' must be a whole number, not 'text'."),
    ],
)
def test_an_expansion_that_cannot_be_is_told_at_its_node(registry, cache, how, words):
    (failed,) = of(run(make(x=("wrong", {"how": how})), registry, cache)[1], Failed)
    assert failed.node == "x" and failed.message.startswith(words)


def test_a_failure_inside_is_told_at_the_node_that_unfolded(registry, cache):
    graph = make("x.value -> y.a", x=("add-often", {"a": 12}), y="add")
    _, events, outcome = run(graph, registry, cache)
    (failed,) = of(events, Failed)
    assert (failed.node, failed.message) == ("x", "13 brings bad luck.") and outcome.failed == ("x",)
    assert of(events, Skipped) == [Skipped("job", "y", "x")]


def test_stopping_keeps_what_was_finished_inside(registry, cache):
    graph = make(x=("add-often", {"a": 50, "times": 10}))
    assert run(graph, registry, cache, is_stopped=lambda: len(CALLS) >= 4)[2].state == "cancelled"
    value, _, _ = run(graph, registry, cache)
    assert value == 60 and len(CALLS) == 10


# -- subgraphs that repeat

COUNTER = box(make(add="add"), "a=add.a b=add.b", "a=add.value")


def counter(**values):
    return make("n.value -> c.a", n=("number", {"value": 20}), c=("subgraph/counter", values)).with_subgraph("counter", COUNTER)


def test_every_instance_of_a_subgraph_can_be_repeated(registry):
    spec = spec_of("counter", counter(), registry.specs)
    assert [item.name for item in spec.inputs] == ["a", "b", "repeat", "one_by_one"]
    assert all(item.is_advanced and item.help for item in spec.inputs[2:])
    taken = counter().with_subgraph("counter", box(make(add="add"), "repeat=add.a", "a=add.value"))
    assert [item.name for item in spec_of("counter", taken, registry.specs).inputs] == ["repeat", "one_by_one"]


def test_a_result_goes_back_into_the_input_of_its_name(registry, cache):
    value, _, _ = run(counter(repeat=5, b=2), registry, cache)
    assert value == 30 and CALLS == ["20+2", "22+2", "24+2", "26+2", "28+2"]
    assert run(counter(), registry, cache)[0] == 21


def test_how_often_may_come_by_a_link(registry, cache):
    graph = counter().with_node(Node("times", "loop/number", {"value": 3})).with_link(Link("times", "value", "c", "repeat"))
    assert run(graph, registry, cache, "c")[0] == 23
    (failed,) = of(run(graph.with_value("times", "value", 20_000), registry, cache, "c")[1], Failed)
    assert failed.message == "'repeat' of 'c' gets 20000 from its link. It must be from 1 to 10000."


def test_every_other_result_becomes_the_list_of_all_passes(registry, cache):
    both = box(make("add.value -> again.a", add="add", again=("add", {"b": 100})), "a=add.a", "a=add.value seen=again.value")
    graph = counter(repeat=3).with_subgraph("counter", both)
    assert run(graph, registry, cache)[2].values == {"c": {"a": 23, "seen": [121, 122, 123]}}
    collected = graph.with_node(Node("s", "loop/sum")).with_link(Link("c", "seen", "s", "numbers"))
    assert run(collected, registry, cache, "s")[0] == 121 + 122 + 123


def test_the_number_of_the_pass_is_known_inside(registry, cache):
    inner = make("p.value -> add.b", p="pass", add="add")
    graph = counter(repeat=4).with_subgraph("counter", box(inner, "a=add.a", "a=add.value"))
    assert run(graph, registry, cache)[0] == 20 + 0 + 1 + 2 + 3
    assert run(make(p="pass"), registry, cache)[0] == 7


def test_a_thousand_passes_run_and_are_planned_without_recursion(registry, cache):
    value, _, outcome = run(counter(repeat=1000), registry, cache)
    assert value == 1020 and len(CALLS) == 1000 and outcome.state == "done"


def test_passes_share_results_with_nodes_laid_side_by_side_and_survive_being_stopped(registry, cache, tmp_path):
    chain = box(make(l="longer"), "thing=l.thing", "thing=l.thing")
    graph = make("t.thing -> c.thing", t="make", c=("subgraph/chain", {"repeat": 6})).with_subgraph("chain", chain)
    by_hand = make("t.thing -> a.thing", "a.thing -> b.thing", t="make", a="longer", b="longer")
    run(by_hand, registry, cache)
    CALLS.clear()
    run(graph, registry, cache, is_stopped=lambda: len(CALLS) >= 2)
    assert CALLS == ["longer xyy", "longer xyyy"]
    value, _, _ = run(graph, registry, cache)
    assert value.name == "xyyyyyy" and CALLS == ["longer xyy", "longer xyyy", "longer xyyyy", "longer xyyyyy"]
    CALLS.clear()
    assert run(graph, registry, cache)[0] is value and CALLS == []


def test_a_failing_pass_is_told_where_it_stands_and_what_was_done_before_is_kept(registry, cache):
    graph = counter(repeat=5).with_value("n", "value", 11)
    _, events, outcome = run(graph, registry, cache)
    assert [(event.node, event.message) for event in of(events, Failed)] == [
        ("c/add", "13 brings bad luck."),
        ("c", "'c' has no result: something inside failed."),
    ]
    assert outcome.failed == ("c",) and CALLS == ["11+1", "12+1", "13+1"]
    run(graph, registry, cache)
    assert CALLS[3:] == ["13+1"]


def test_progress_counts_the_passes(registry):
    events = run(counter(repeat=40), registry, None)[1]
    assert {event.node for event in of(events, (Started, Progress, Finished))} == {"n", "c"}
    steps = of(events, Progress)
    assert steps[0].note == "1 of 40, Add" and {event.total for event in steps} == {40}
    assert [event.done for event in steps] == sorted(event.done for event in steps)


def test_progress_of_a_loop_that_goes_on_tells_the_true_pass(registry, cache):
    run(counter(repeat=30), registry, cache)
    steps = of(run(counter(repeat=40), registry, cache)[1], Progress)
    assert (steps[0].note, steps[0].done) == ("30 of 40", 29)


def test_loops_stand_in_loops(registry, cache):
    outer = box(make(inner=("subgraph/counter", {"repeat": 3, "b": 10})), "a=inner.a", "a=inner.a")
    graph = counter(repeat=2).changed("c", type="subgraph/outer").with_subgraph("outer", outer)
    value, _, _ = run(graph, registry, cache)
    assert value == 20 + 2 * 3 * 10
    bad = graph.with_value("n", "value", 3)
    paths = [event.node for event in of(run(bad, registry, cache)[1], Failed)]
    assert paths == ["c/inner/add", "c/inner", "c"]


def test_how_often_can_be_promoted_to_the_outside(registry, cache):
    outer = box(make(inner="subgraph/counter"), "a=inner.a times=inner.repeat", "a=inner.a")
    graph = counter().changed("c", type="subgraph/outer", values={"times": 4}).with_subgraph("outer", outer)
    assert run(graph, registry, cache)[0] == 24


def test_what_is_alike_in_all_passes_runs_once_even_without_a_cache(registry):
    inner = make("t.thing -> n.thing", "add.value -> add2.a", t="make", n="name", add="add", add2=("add", {"b": 0}))
    graph = counter(repeat=3).with_subgraph("counter", box(inner, "a=add.a", "a=add2.value word=n.value"))
    _, _, outcome = run(graph, registry, None, "c")
    assert outcome.values["c"] == {"a": 23, "word": ["x", "x", "x"]} and CALLS.count("make x") == 1


def test_everything_inside_a_loop_is_judged_before_anything_runs(registry):
    bad = counter(repeat=3).with_subgraph("counter", box(make(add=("add", {"b": "text"})), "a=add.a", "a=add.value"))
    with pytest.raises(GraphProblems) as caught:
        make_plan(bad, registry)
    (problem,) = caught.value.problems
    assert (problem.node_id, problem.input) == ("c/add", "b")
    assert [p.node_id for p in check(bad, registry)] == ["c/add"]
    (problem,) = check(counter(repeat=0), registry)
    assert problem.message == "'repeat' of 'counter' is 0. It must be from 1 to 10000."


def test_a_result_that_does_not_fit_the_input_of_its_name_is_not_fed_back(registry, cache):
    words = box(make(add="add", n="name", t="make"), "t=t.name x=add.a", "t=n.value x=t.thing")
    words = Subgraph(make("t.thing -> n.thing", t="make", n="name", add="add"), words.inputs, words.outputs)
    graph = make(c=("subgraph/w", {"repeat": 2, "x": 1})).with_subgraph("w", words)
    values = run(graph, registry, cache)[2].values["c"]
    assert values["t"] == "x" and [thing.name for thing in values["x"]] == ["x", "x"]


def test_a_loop_may_feed_a_reroute_dot_and_have_its_output_after_one(registry, cache):
    inner = make("r.output -> add.a", "add.value -> e.input", r="reroute", add="add", e="reroute")
    graph = counter(repeat=3).with_subgraph("counter", box(inner, "a=r.input", "a=e.output"))
    assert run(graph, registry, cache)[0] == 23


def test_a_muted_or_bypassed_loop_does_what_other_nodes_do_then(registry, cache):
    graph = make("n.value -> c.a", "c.a -> z.a", n=("number", {"value": 20}), c=("subgraph/counter", {"repeat": 9}), z="add")
    graph = graph.with_subgraph("counter", COUNTER)
    assert run(graph.changed("c", mode="bypassed"), registry, cache, "z")[0] == 21
    assert make_plan(graph.changed("c", mode="muted"), registry).skipped == {"c", "z"}


def test_running_a_node_inside_a_loop_runs_the_loop(registry, cache):
    assert run(counter(repeat=5), registry, cache, "c/add")[0] == 25


@st.composite
def bodies(draw):
    """A graph of sums between its input 'a' and its output 'a'; some of it does not hang on the input."""
    graph = Graph()
    count = draw(st.integers(1, 6))
    for i in range(count):
        graph = graph.with_node(Node(f"n{i}", "loop/add", {"a": 100 * i + 50, "b": draw(st.integers(0, 9))}))
        for input in draw(st.sets(st.sampled_from("ab"))) if i else ():
            graph = graph.with_link(Link(f"n{draw(st.integers(0, i - 1))}", "value", f"n{i}", input))
    free = [f"{name}.{input}" for name in graph.nodes for input in "ab" if graph.link_at(name, input) is None]
    ends = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
    inputs = (SubgraphInput("a", tuple(tuple(end.split(".")) for end in ends)),)
    return Subgraph(graph, inputs, (SubgraphOutput("a", f"n{draw(st.integers(0, count - 1))}", "value"), SubgraphOutput("all", f"n{count - 1}", "value")))


@settings(max_examples=60, deadline=None)
@given(body=bodies(), times=st.integers(2, 5), is_cached=st.booleans(), until=st.booleans())
def test_a_repeated_subgraph_gives_what_as_many_instances_one_after_the_other_give(registry, body, times, is_cached, until):
    by_hand = counter().without("c").with_subgraph("counter", body)
    for i in range(times):
        by_hand = by_hand.with_node(Node(f"c{i}", "subgraph/counter"))
        by_hand = by_hand.with_link(Link("n", "value", "c0", "a") if i == 0 else Link(f"c{i - 1}", "a", f"c{i}", "a"))
    by_hand = by_hand.with_node(Node("all", "loop/listed")).with_node(Node("last", "loop/listed"))
    for i in range(times):
        by_hand = by_hand.with_link(Link(f"c{i}", "all", "all", "numbers"), many=True)
    by_hand = by_hand.with_link(Link(f"c{times - 1}", "a", "last", "numbers"))
    expected = run(by_hand, registry, None, "all", "last")[2].values
    if until:  # one pass after the other, as it can be told only then whether another is wanted
        inner = body.graph.with_node(Node("never", "loop/at-least", {"a": 0, "least": 1}))
        body = Subgraph(inner, body.inputs, (*body.outputs, SubgraphOutput("done", "never", "done")))
    values = run(counter(repeat=times).with_subgraph("counter", body), registry, Cache(1 << 20) if is_cached else None)[2].values["c"]
    assert (values["a"], values["all"]) == (expected["last"]["value"][0], expected["all"]["value"])


# -- loops that end by a condition

UNTIL = box(
    make("add.value -> more.a", "add.value -> enough.a", "more.value -> name.name", add="add", more=("add", {"b": 100}), enough="at-least", name="label"),
    "a=add.a b=add.b least=enough.least",
    "a=add.value done=enough.done names=name.value",
)  # fmt: skip


def until(least, **values):
    return counter(**{"repeat": 50, "least": least, **values}).with_subgraph("counter", UNTIL)


def test_an_output_called_done_ends_the_loop_after_its_pass(registry, cache):
    values = run(until(23), registry, cache)[2].values["c"]
    assert values == {"a": 23, "done": [False, False, True], "names": ["121", "122", "123"]}
    assert CALLS == ["20+1", "21+100", "21+1", "22+100", "22+1", "23+100"]


def test_a_loop_that_is_never_done_ends_after_its_last_pass(registry, cache):
    assert run(until(10_000, repeat=4), registry, cache)[0] == 24
    assert run(until(0), registry, cache)[0] == 21


def test_a_loop_that_was_stopped_goes_on_where_it_stopped_and_one_pass_more_runs_only_that(registry, cache):
    assert run(until(30), registry, cache, is_stopped=lambda: len(CALLS) >= 8)[2].state == "cancelled"
    assert run(until(30), registry, cache)[0] == 30 and len(CALLS) == 20
    CALLS.clear()
    assert run(until(31), registry, cache)[0] == 31 and CALLS == ["30+1", "31+100"]
    run(until(31), registry, cache)
    assert len(CALLS) == 2


def test_things_that_are_no_plain_values_go_round_until_done_too(registry, cache):
    inner = make("longer.thing -> n.thing", "n.value -> enough.text", longer="longer", n="name", enough="long-enough")
    graph = make("t.thing -> c.thing", t="make", c=("subgraph/c", {"repeat": 9})).with_subgraph(
        "c", box(inner, "thing=longer.thing", "thing=longer.thing done=enough.done")
    )
    assert run(graph, registry, cache)[0].name == "xyyy"


def test_each_item_of_a_list_has_its_own_end(registry, cache):
    graph = make("l.value -> c.a", l=("numbers", {"count": 3}), c=("subgraph/counter", {"repeat": 50, "least": 12, "b": 10}))
    values = run(graph.with_subgraph("counter", UNTIL), registry, cache)[2].values["c"]
    assert values == {"a": [20, 21, 22], "done": [True] * 3, "names": ["120", "121", "122"]}


def test_a_pass_that_fails_ends_a_loop_with_a_condition_too(registry, cache):
    _, events, outcome = run(until(99).with_value("n", "value", 11), registry, cache)
    assert outcome.state == "failed" and [event.node for event in of(events, Failed)] == ["c/more", "c"]


# -- lists, item by item

SAVER = box(make("r.value -> add.a", "add.value -> w.value", r="read", add=("add", {"b": 1000}), w="write"), "file=r.file", "value=add.value")


def folder_batch(folder, **values):
    graph = make("f.value -> each.file", f=("files", {"folder": str(folder)}), each=("subgraph/saver", values))
    return graph.with_subgraph("saver", SAVER)


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "in"
    inside.mkdir()
    for i in range(4):
        (inside / f"{i}.txt").write_text(str(i))
    return inside


def test_a_folder_is_worked_through_file_by_file(registry, cache, folder, tmp_path):
    _, events, outcome = run(folder_batch(folder, one_by_one=True), registry, cache, output=str(tmp_path / "out"))
    assert CALLS[:6] == ["read 0.txt", "0+1000", "write 1000", "read 1.txt", "1+1000", "write 1001"]
    assert outcome.state == "done" and [Path(event.path).read_text() for event in of(events, Saved)] == ["1000", "1001", "1002", "1003"]
    assert {event.node for event in of(events, Saved)} == {"each/w"}


def test_only_the_files_that_changed_are_worked_through_again(registry, cache, folder, tmp_path):
    run(folder_batch(folder, one_by_one=True), registry, cache, output=str(tmp_path / "out"))
    (folder / "2.txt").write_text("200")
    CALLS.clear()
    _, events, _ = run(folder_batch(folder, one_by_one=True), registry, cache, output=str(tmp_path / "out"))
    assert CALLS == ["read 2.txt", "200+1000", "write 1200"] and len(of(events, Saved)) == 4


def test_a_file_that_cannot_be_read_leaves_the_others_alone(registry, cache, folder, tmp_path):
    (folder / "1.txt").write_text("13")
    _, events, outcome = run(folder_batch(folder, one_by_one=True), registry, cache, output=str(tmp_path / "out"))
    assert len(of(events, Saved)) == 3 and outcome.state == "failed"
    assert [event.message for event in of(events, Failed)] == ["13 brings bad luck.", "1 of 4 items of 'each' failed; the other 3 are done."]


def test_a_file_that_is_not_there_is_named_and_leaves_the_others_alone(registry, cache, folder, tmp_path):
    graph = folder_batch(folder, one_by_one=True).without("f").with_node(Node("f", "loop/names", {"names": "0.txt gone.txt 2.txt"}))
    graph = graph.with_link(Link("f", "value", "each", "file"))
    _, events, outcome = run(graph, registry, cache, output=str(tmp_path / "out"), base=str(folder))
    assert [Path(event.path).read_text() for event in of(events, Saved)] == ["1000", "1002"]
    first, last = of(events, Failed)
    assert (first.node, first.input, first.kind) == ("each/r", "file", "missing-file") and first.message.startswith("'gone.txt' for 'file' of 'Read'")
    assert last.message == "1 of 3 items of 'each' failed; the other 2 are done." and outcome.state == "failed"


def test_stopping_a_batch_keeps_the_files_that_are_done(registry, cache, folder, tmp_path):
    graph = folder_batch(folder, one_by_one=True)
    _, events, outcome = run(graph, registry, cache, output=str(tmp_path / "out"), is_stopped=lambda: len(CALLS) >= 6)
    assert outcome.state == "cancelled" and len(of(events, Saved)) == 2
    _, events, _ = run(graph, registry, cache, output=str(tmp_path / "out"))
    assert len(of(events, Saved)) == 4 and CALLS.count("read 0.txt") == 1


def test_what_a_batch_makes_comes_out_as_a_list(registry, cache, folder, tmp_path):
    graph = folder_batch(folder, one_by_one=True)
    graph = graph.with_node(Node("s", "loop/sum")).with_link(Link("each", "value", "s", "numbers"))
    assert run(graph, registry, cache, "s", output=str(tmp_path / "out"))[0] == 4000 + 0 + 1 + 2 + 3


def test_item_by_item_a_subgraph_sees_one_item_and_laid_open_its_nodes_see_the_list(registry, cache):
    inner = make("add.value -> s.numbers", add="add", s="sum")
    graph = make("l.value -> e.a", l="numbers", e="subgraph/e").with_subgraph("e", box(inner, "a=add.a", "value=s.value"))
    assert run(graph, registry, cache)[0] == 11 + 12 + 13
    assert run(graph.with_value("e", "one_by_one", True), registry, cache)[0] == [11, 12, 13]


def test_a_long_list_is_planned_in_parts_and_an_empty_one_gives_an_empty_list(registry, cache):
    graph = make("l.value -> c.a", l=("numbers", {"count": 1203}), c=("subgraph/counter", {"repeat": 2, "b": 0}))
    graph = graph.with_subgraph("counter", COUNTER)
    value, _, _ = run(graph.with_value("l", "count", 3), registry, cache)
    assert value == [10, 11, 12]
    CALLS.clear()
    _, events, _ = run(graph, registry, cache)
    assert of(events, Failed)[-1].message == "1 of 1203 items of 'c' failed; the other 1202 are done."
    assert run(graph.with_value("l", "count", 0), registry, cache)[0] == []


def test_results_of_many_passes_come_in_their_order_and_lists_among_them_are_joined(registry, cache):
    inner = make("p.value -> l.count", "l.value -> plus.a", p="pass", l="numbers", plus=("add", {"b": 100}))
    graph = make(c=("subgraph/c", {"repeat": 3})).with_subgraph("c", box(inner, "", "seen=plus.value number=p.value"))
    assert run(graph, registry, cache)[2].values == {"c": {"seen": [110, 110, 111], "number": [0, 1, 2]}}
    assert run(graph.with_value("c", "repeat", 4), registry, cache)[2].values["c"]["number"] == [0, 1, 2, 3]
    just_numbers = graph.with_subgraph("c", box(make(p="pass"), "", "number=p.value"))
    assert run(just_numbers.with_value("c", "repeat", 600), registry, cache)[0] == list(range(600))


def test_lists_at_inputs_that_set_the_loop_itself_are_refused(registry):
    graph = make("l.value -> c.repeat", l="numbers", c=("subgraph/counter", {"a": 1})).with_subgraph("counter", COUNTER)
    (problem,) = check(graph, registry)
    assert problem.message == "'repeat' of 'counter' takes one number, not a list."


def test_memory_holds_two_passes_at_a_time_and_nothing_afterwards(registry):
    chain = box(make(l="longer"), "thing=l.thing", "thing=l.thing")
    graph = make("t.thing -> c.thing", t="make", c=("subgraph/chain", {"repeat": 50})).with_subgraph("chain", chain)
    gc.collect()
    before, most = len(LIVE), []

    def count():
        most.append(len(LIVE) - before)
        return False

    execute(make_plan(graph, registry), registry, Run("job", ""), lambda event: None, None, count)
    gc.collect()
    assert 2 <= max(most) <= 3 and len(LIVE) == before


def test_a_loop_is_found_again_on_disk(registry, tmp_path):
    graph = make("t.thing -> c.thing", "c.thing -> n.thing", t="make", c=("subgraph/chain", {"repeat": 3}), n="name")
    graph = graph.with_subgraph("chain", box(make(l="longer"), "thing=l.thing", "thing=l.thing"))
    one, two = (make_plan(graph, registry).steps[-1].key for _ in range(2))
    again = make_plan(graph.with_value("c", "repeat", 4), registry).steps[-1].key
    assert one == two != again
    cache = Cache(1 << 20, DiskTier(tmp_path))
    assert run(graph, registry, cache)[0] == "xyyy"
