"""From a graph to what runs: everything that is wrong is told at once, and equal work has equal keys."""

import threading
import time
from pathlib import Path
from typing import Literal

import pytest
import small_nodes
from test_subgraphs import wired

from nodegraph.errors import GraphProblems
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.node import node, renamed
from nodegraph.plan import check, make_plan
from nodegraph.steps import Source


def problems(graph, registry, base=None):
    return [(p.node_id, p.input, p.kind, p.message) for p in check(graph, registry, base) if p.severity == "error"]


def said(graph, registry):
    return [p.message for p in check(graph, registry)]


def names(plan):
    return [step.node_id for step in plan.steps]


def key(graph, registry, target, base=None):
    plan = make_plan(graph, registry, [target], base)
    return plan.steps[plan.targets[0]].key


SIMPLE = wired({"p": "picture", "b": ("blur", {"radius": 2.0}), "s": "save"}, "p.picture > b.picture", "b.picture > s.picture")


# -- what runs


def test_steps_come_upstream_first_with_their_values_and_sources(small):
    plan = make_plan(SIMPLE, small)
    assert names(plan) == ["p", "b", "s"] and plan.targets == (2,) and not plan.skipped and not plan.problems
    assert plan.steps[0].values == {"width": 64, "seed": 0}
    assert plan.steps[1].values == {"radius": 2.0, "kind": "soft"} and plan.steps[1].sources == {"picture": Source(0, "picture")}


def test_only_what_a_target_needs_is_planned(small):
    graph = SIMPLE.with_node(Node("loose", "small/picture"))
    assert names(make_plan(graph, small)) == ["p", "b", "s"]
    assert names(make_plan(graph, small, ["b"])) == ["p", "b"]
    assert make_plan(graph, small, ["p", "p", "b"]).targets == (0, 1)
    assert make_plan(graph, small, []).steps == ()


def test_without_a_node_that_is_run_for_its_effect_every_last_node_is_a_target(small):
    graph = SIMPLE.without("s").with_node(Node("loose", "small/picture"))
    plan = make_plan(graph, small)
    assert {plan.steps[i].node_id for i in plan.targets} == {"b", "loose"}


def test_a_target_inside_a_subgraph_and_an_instance_as_a_target(small):
    inner = wired({"a": "blur", "b": "blur", "c": "blur"}, "a.picture > b.picture", "a.picture > c.picture")
    d = Subgraph(inner, (SubgraphInput("picture", (("a", "picture"),)),), (SubgraphOutput("picture", "b", "picture"),))
    graph = wired({"p": "picture", "n": "subgraph/d"}, "p.picture > n.picture").with_subgraph("d", d)
    assert names(make_plan(graph, small, ["n/b"])) == ["p", "n/a", "n/b"]
    plan = make_plan(graph, small, ["n"])
    assert {plan.steps[i].node_id for i in plan.targets} == {"n/b", "n/c"}
    with pytest.raises(GraphProblems, match="no node 'nobody'"):
        make_plan(graph, small, ["nobody"])


def test_a_chain_of_ten_thousand_nodes_is_planned_without_recursion(small):
    count = 10_000
    nodes = {f"n{i}": Node(f"n{i}", "small/blur" if i else "small/picture") for i in range(count)}
    incoming = {f"n{i}": (Link(f"n{i - 1}", "picture", f"n{i}", "picture"),) for i in range(1, count)}
    plan = make_plan(Graph(nodes, incoming), small)
    assert len(plan.steps) == count and len({step.key for step in plan.steps}) == count
    for mode in ("bypassed", "muted"):
        others = {n: node if n in ("n0", "n9999") else Node(n, node.type, mode=mode) for n, node in nodes.items()}
        plan = make_plan(Graph(others, incoming), small, ["n9999"])
        assert names(plan) == (["n0", "n9999"] if mode == "bypassed" else [])


def test_an_unchanged_graph_has_the_plan_it_had_and_threads_may_plan_at_once(small):
    assert make_plan(SIMPLE, small) is make_plan(SIMPLE, small)
    failed = []

    def plan_many():
        try:
            for i in range(200):
                make_plan(SIMPLE.with_value("b", "radius", float(i % 100)), small)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=plan_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


# -- what is wrong


def test_everything_that_is_wrong_is_told_in_one_go_in_words(small):
    graph = wired(
        {
            "p": ("picture", {"width": 9000, "seed": True}),
            "b": ("blur", {"radius": "much", "kind": "sharp", "old": 1}),
            "n": "number",
            "m": "mix",
            "x": "gone/node",
            "f": ("open", {"file": "nowhere.png"}),
            "s": "save",
        },
        "p.width > b.picture",
        "n.value > m.first",
        "x.out > s.picture",
        "p.picture > b.hue",
    ).changed("b", title="My blur")
    assert problems(graph, small) == [
        ("p", "width", "range", "'width' of 'Picture' is 9000. It must be from 1 to 8192."),
        ("p", "seed", "invalid", "'seed' of 'Picture' must be a whole number, not 'True'."),
        ("b", "radius", "invalid", "'radius' of 'My blur' must be a number, not 'much'."),
        ("b", "kind", "choice", "'kind' of 'My blur' is 'sharp'. Choose one of: soft, hard."),
        ("b", "hue", "link", "'My blur' has no input 'hue' any more. Take the link to it away, or link another input."),
        ("b", "picture", "link", "'My blur' is linked to the output 'width' of 'Picture', which it does not have. Link another one."),
        ("m", "first", "type", "'first' of 'Mix' takes a Picture. This link carries a number."),
        ("x", None, "unknown-node",
         "The node 'x' is of a kind that is not installed: 'gone/node'. Install its pack, mute it, or put another node in its place."),
        ("f", "file", "missing-file", "'nowhere.png' for 'file' of 'Open file' is not in your input folders. Choose another file, or put it there."),
    ]  # fmt: skip
    warnings = [p for p in check(graph, small) if p.severity == "warning"]
    assert [p.message for p in warnings] == ["'My blur' does not know 'old'. It stays in the file and has no effect."]
    with pytest.raises(GraphProblems) as error:
        make_plan(graph, small)
    assert len(error.value.problems) >= 1 and all(p.severity == "error" for p in error.value.problems)


def test_a_missing_input_is_told_with_the_node_that_would_give_it(small):
    assert problems(wired({"b": "blur"}), small) == [
        ("b", "picture", "missing-input", "'Blur' needs a Picture at 'picture'. Connect a 'Picture' node.")
    ]
    assert said(wired({"s": "switch"}), small)[0] == "'Switch' needs a value for 'condition': on or off."
    assert said(wired({"f": "open"}), small) == ["'Open file' has no file for 'file' yet. Choose one from your input folder."]
    assert said(wired({"f": ("open", {"file": ""})}), small) == said(wired({"f": "open"}), small)


@pytest.mark.parametrize(
    "kind,name,value,fits",
    [
        ("picture", "width", 1, True), ("picture", "width", 8192, True), ("picture", "width", 0, False), ("picture", "width", 8193, False),
        ("picture", "width", 64.0, False), ("picture", "width", True, False), ("picture", "width", "64", False), ("picture", "width", None, False),
        ("picture", "seed", 2**64 - 1, True), ("picture", "seed", 2**64, False), ("picture", "seed", -1, False),
        ("number", "value", 3, True), ("number", "value", float("nan"), False), ("number", "value", float("inf"), False),
        ("number", "value", 10**400, False), ("number", "value", False, False), ("number", "value", [1], False),
        ("text", "value", "", True), ("text", "value", 3, False), ("text", "value", "\ud800", True),
        ("brush", "model", "sdxl", True), ("brush", "model", "SDXL", False), ("brush", "model", ["sd1"], False), ("brush", "model", None, False),
        ("picture", "seed", 10**400, False),
    ],
)  # fmt: skip
def test_a_value_is_taken_as_it_is_or_refused(small, kind, name, value, fits):
    found = problems(wired({"n": (kind, {name: value})}), small)
    assert (not found) == fits
    if not fits:
        assert found[0][:2] == ("n", name) and f"'{name}' of '" in found[0][3] and len(found[0][3]) < 200


def test_limits_are_written_out_in_full():
    found = said(wired({"p": ("picture", {"seed": -1})}), small_nodes.without_files())
    assert found == ["'seed' of 'Picture' is -1. It must be from 0 to 18446744073709551615."]


def test_on_is_no_choice_of_1(small):
    @node("small/times")
    def times(times: Literal[1, 2] = 1, maybe: Literal["a"] | None = None) -> int:
        return times

    small.add_function(times)
    assert not problems(wired({"t": ("times", {"times": 2, "maybe": None})}), small)
    assert [p[1] for p in problems(wired({"t": ("times", {"times": True})}), small)] == ["times"]
    assert [p[1] for p in problems(wired({"t": ("times", {"times": 1.0, "maybe": "b"})}), small)] == ["times", "maybe"]


def test_a_value_for_a_port_is_refused(small):
    assert said(wired({"b": ("blur", {"picture": 3})}), small) == ["'picture' of 'Blur' takes a Picture by a link, not a value."]


def loop(*names):
    nodes = {n: Node(n, "small/mix") for n in names}
    links = {b: (Link(a, "picture", b, "first"),) for a, b in zip(names, (*names[1:], names[0]))}
    return Graph(nodes, links)


@pytest.mark.parametrize("count", [1, 2, 3, 10_000])
def test_a_loop_is_told_by_its_nodes_and_hangs_nothing(small, count):
    found = problems(loop(*(f"n{i}" for i in range(count))), small)
    assert [p[2] for p in found] == ["loop"]
    assert ("feeds itself" if count == 1 else "feed each other in a loop") in found[0][3]


def test_a_graph_of_a_hundred_thousand_links_is_judged_at_once(small):
    """S9"""
    count, links = 2_000, 50
    incoming = {f"n{i}": tuple(Link(f"n{i - 1 - k}", "picture", f"n{i}", "pictures") for k in range(min(i, links))) for i in range(1, count)}
    nodes = {"n0": Node("n0", "small/picture"), **{f"n{i}": Node(f"n{i}", "small/stack") for i in range(1, count)}}
    began = time.process_time()
    assert sum(map(len, incoming.values())) > 98_000 and check(Graph(nodes=nodes, incoming=incoming), small) == []
    around = {**incoming, "n0": (Link(f"n{count - 1}", "picture", "n0", "seed"),)}
    assert check(Graph(nodes=nodes, incoming=around), small)[0].kind == "loop"
    assert time.process_time() - began < 10


def test_only_the_nodes_of_a_loop_are_named_as_such(small):
    graph = loop("x", "y")
    for n in "abx":
        graph = graph.with_node(graph.nodes.get(n, Node(n, "small/mix")).__class__(n, "small/mix", title=n.upper()))
    incoming = {
        **graph.incoming,
        "a": (Link("x", "picture", "a", "first"), Link("b", "picture", "a", "second")),
        "b": (Link("x", "picture", "b", "first"),),
    }
    found = problems(Graph(graph.nodes, incoming), small)
    assert [p[3] for p in found] == ["'X', 'Mix' feed each other in a loop. Take one of their links away."]


def test_two_links_at_an_input_that_takes_one_are_told(small):
    graph = wired({"p": "picture", "q": "picture", "b": "blur"})
    graph = graph.with_link(Link("p", "picture", "b", "picture")).with_link(Link("q", "picture", "b", "picture"), many=True)
    assert said(graph, small) == ["'picture' of 'Blur' takes one link and has several. Take the others away."]


def test_a_node_of_a_newer_version_runs_with_a_warning(small):
    plan = make_plan(wired({"p": "picture"}).changed("p", version=3), small)
    assert [p.kind for p in plan.problems] == ["newer-node"] and "newer version" in plan.problems[0].message


# -- types


def test_whole_numbers_pass_as_fractions_and_not_the_other_way(small):
    assert not problems(wired({"c": "count", "n": "number"}, "c.value > n.value"), small)
    assert len(problems(wired({"c": "count", "n": "number"}, "n.value > c.value"), small)) == 1


def test_inputs_of_one_type_variable_must_be_alike_and_so_is_what_comes_out(small):
    fine = wired(
        {"p": "picture", "q": "picture", "e": "either", "b": "blur"}, "p.picture > e.first", "q.picture > e.second", "e.value > b.picture"
    )
    assert not problems(fine, small)
    mixed = wired({"p": "picture", "c": "count", "e": "either"}, "p.picture > e.first", "c.value > e.second")
    assert said(mixed, small) == ["'second' of 'Either' must be a Picture like what is linked before it. This link carries a whole number."]
    wrong = wired(
        {"c": "count", "d": "count", "e": "either", "b": "blur"}, "c.value > e.first", "d.value > e.second", "e.value > b.picture"
    )
    assert said(wrong, small) == ["'picture' of 'Blur' takes a Picture. This link carries a whole number."]
    widened = wired(
        {"c": "count", "n": "number", "e": "either", "o": "number"}, "c.value > e.first", "n.value > e.second", "e.value > o.value"
    )
    assert not problems(widened, small)


def test_a_list_where_one_thing_is_wanted_runs_once_for_each_and_gives_lists_on(small):
    graph = wired({"p": "picture", "l": "pages", "b": "blur", "c": "blur", "s": "stack", "o": "blur"},
                  "p.picture > l.picture", "l.picture > b.picture", "b.picture > c.picture", "c.picture > s.pictures", "s.picture > o.picture")  # fmt: skip
    steps = {step.node_id: step for step in make_plan(graph, small).steps}
    assert {n: step.mapped for n, step in steps.items()} == {"p": (), "l": (), "b": ("picture",), "c": ("picture",), "s": (), "o": ()}
    assert {n: set(step.many) for n, step in steps.items()} == {
        "p": set(),
        "l": {"picture"},
        "b": {"picture"},
        "c": {"picture"},
        "s": set(),
        "o": set(),
    }
    assert steps["s"].sources["pictures"] == (Source(3, "picture"),)


# -- model families


def test_models_of_two_families_are_not_mixed(small):
    graph = wired(
        {"a": "brush", "b": ("brush", {"model": "sdxl"}), "w": "words", "p": "paint"},
        "a.brush > p.brush",
        "b.brush > w.brush",
        "w.words > p.words",
    )
    assert said(graph, small) == [
        "'Paint' cannot mix model families: 'words' comes from sdxl ('Words'), the rest from sd1. Use models of one family."
    ]
    assert not problems(graph.with_value("b", "model", "sd1"), small)
    assert not problems(graph.with_value("b", "model", "sd1-inpaint"), small)


def test_a_family_ends_where_the_picture_is_made(small):
    graph = wired({"a": "brush", "b": ("brush", {"model": "sdxl"}), "v": "words", "w": "words", "p": "paint", "q": "paint", "m": "mix"},
                  "a.brush > v.brush", "a.brush > p.brush", "v.words > p.words", "b.brush > w.brush", "b.brush > q.brush", "w.words > q.words",
                  "p.picture > m.first", "q.picture > m.second")  # fmt: skip
    assert not problems(graph, small)
    assert [step.family for step in make_plan(graph, small).steps if step.node_id == "m"] == [None]


def test_a_switch_may_choose_between_families_because_only_one_is_used(small):
    graph = wired({"a": "brush", "b": ("brush", {"model": "sdxl"}), "s": ("switch", {"condition": True}), "w": "words"},
                  "a.brush > s.yes", "b.brush > s.no", "s.value > w.brush")  # fmt: skip
    assert not problems(graph, small)
    both = {step.node_id: step.family for step in make_plan(graph.with_value("b", "model", "sd1"), small).steps}
    assert both["w"] == "sd1"


# -- muted, bypassed, reroutes


def test_a_muted_node_does_not_run_nor_what_needs_it_nor_what_only_it_needed(small):
    plan = make_plan(SIMPLE.changed("b", mode="muted"), small)
    assert not plan.steps and not plan.targets and plan.skipped == {"b", "s"}


def test_a_fault_behind_a_muted_node_keeps_nobody_from_running(small):
    graph = (
        SIMPLE.changed("b", mode="muted")
        .with_value("p", "width", -1)
        .with_node(Node("q", "small/picture"))
        .with_node(Node("t", "small/save"))
    )
    assert names(make_plan(graph.with_link(Link("q", "picture", "t", "picture")), small)) == ["q", "t"]


def test_an_input_that_can_do_without_does_without_a_muted_node(small):
    graph = wired(
        {"p": "picture", "q": ("picture", {"seed": 3}), "m": "mix", "n": ("number", {"value": 0.25})},
        "p.picture > m.first",
        "q.picture > m.second",
        "n.value > m.amount",
    )
    alone = wired({"p": "picture", "m": "mix"}, "p.picture > m.first").with_value("m", "amount", 0.75)
    muted = graph.with_value("m", "amount", 0.75).changed("q", mode="muted").changed("n", mode="muted")
    plan = make_plan(muted, small, ["m"])
    assert names(plan) == ["p", "m"] and plan.steps[1].values == {"second": None, "amount": 0.75}
    assert key(muted, small, "m") == key(alone, small, "m")


def test_a_list_goes_without_its_muted_parts(small):
    graph = wired({"p": "picture", "q": ("picture", {"seed": 1}), "s": "stack"}, "p.picture > s.pictures", "q.picture > s.pictures")
    plan = make_plan(graph.changed("q", mode="muted"), small)
    assert names(plan) == ["p", "s"] and plan.steps[1].sources == {"pictures": (Source(0, "picture"),)}
    assert not make_plan(graph.changed("q", mode="muted").changed("p", mode="muted"), small).steps


def test_a_bypassed_node_hands_on_what_it_got_and_does_not_run(small):
    plan = make_plan(SIMPLE.changed("b", mode="bypassed"), small)
    assert names(plan) == ["p", "s"]
    assert plan.steps[1].key == make_plan(wired({"p": "picture", "s": "save"}, "p.picture > s.picture"), small).steps[1].key


def test_what_is_wrong_with_a_bypassed_node_does_not_matter(small):
    graph = SIMPLE.changed("b", mode="bypassed").with_value("b", "radius", -1)
    assert not problems(graph, small)
    assert names(make_plan(graph, small, ["s"])) == ["p", "s"]


def test_outputs_of_a_bypassed_node_take_the_inputs_of_their_type_in_order(small):
    graph = wired({"p": "picture", "q": ("picture", {"seed": 9}), "m": "mix", "b": "blur", "n": "number"},
                  "p.picture > m.second", "n.value > m.amount", "m.picture > b.picture").changed("m", mode="bypassed")  # fmt: skip
    assert names(make_plan(graph, small, ["b"])) == ["p", "b"], "the only picture there is"
    both = graph.with_link(Link("q", "picture", "m", "first"))
    assert names(make_plan(both, small, ["b"])) == ["q", "b"], "the first one"
    nothing = wired({"n": "number", "c": "clock", "b": "blur", "s": "save"}, "b.picture > s.picture").changed("b", mode="bypassed")
    assert [p[3] for p in problems(nothing, small)] == ["'Save' needs a Picture at 'picture'. Connect a 'Picture' node."]


def test_a_node_whose_pack_is_missing_can_be_bypassed_or_muted(small):
    graph = wired({"p": "picture", "x": "gone/node", "m": "mix"}, "p.picture > m.first", "x.out > m.second")
    assert len(problems(graph, small)) == 1
    assert not problems(graph.changed("x", mode="muted"), small) and not problems(graph.changed("x", mode="bypassed"), small)


def test_reroute_dots_leave_no_trace(small):
    straight = wired({"p": "picture", "b": "blur"}, "p.picture > b.picture")
    dots = wired(
        {"p": "picture", "r": "reroute", "q": "reroute", "b": "blur"}, "p.picture > r.input", "r.output > q.input", "q.output > b.picture"
    )
    assert names(make_plan(dots, small, ["b"])) == ["p", "b"] and key(dots, small, "b") == key(straight, small, "b")
    assert names(make_plan(dots.without("b"), small)) == ["p"], "a dot at the end shows what leads to it"
    assert not problems(dots.with_node(Node("loose", "reroute")), small)
    assert not make_plan(dots.changed("r", mode="muted"), small, ["b"]).steps
    assert len(problems(Graph(dots.nodes, {**dots.incoming, "r": (Link("q", "output", "r", "input"),)}), small)) == 1


def test_a_loop_through_bypassed_nodes_is_told(small):
    graph = loop("x", "y").changed("y", mode="bypassed")
    assert [p[2] for p in problems(graph, small)] == ["loop"]


# -- keys


def test_copies_have_the_key_of_the_original_here_and_in_any_other_graph(small):
    graph, names_ = SIMPLE.pasted(SIMPLE.fragment(["p", "b"]))
    copy = names_["b"]
    assert key(graph, small, copy) == key(SIMPLE, small, "b")
    dressed = SIMPLE.changed("b", title="Other", color="#ff0000", folded=True, position=(7, 7)).moved(["p"], 1, 1)
    assert key(dressed, small, "b") == key(SIMPLE, small, "b")
    assert key(SIMPLE, small_nodes.without_files(), "b") == key(SIMPLE, small, "b"), "the same in another process"


def test_a_default_written_out_is_the_default(small):
    assert key(SIMPLE.with_value("b", "kind", "soft"), small, "b") == key(SIMPLE, small, "b")
    assert key(SIMPLE.with_value("b", "radius", 2), small, "b") == key(SIMPLE, small, "b")


@pytest.mark.parametrize("edit", [
    lambda g: g.with_value("b", "radius", 2.5), lambda g: g.with_value("b", "kind", "hard"), lambda g: g.with_value("p", "seed", 1),
    lambda g: g.with_node(Node("h", "small/halves")).with_link(Link("p", "picture", "h", "picture")).with_link(Link("h", "left", "b", "picture")),
])  # fmt: skip
def test_another_value_or_anything_else_upstream_gives_another_key(small, edit):
    assert key(edit(SIMPLE), small, "s") != key(SIMPLE, small, "s")


def test_the_output_that_is_linked_is_part_of_the_key(small):
    graph = wired(
        {"p": "picture", "h": "halves", "a": "blur", "b": "blur"}, "p.picture > h.picture", "h.left > a.picture", "h.right > b.picture"
    )
    assert key(graph, small, "a") != key(graph, small, "b")


def test_the_order_of_links_is_part_of_the_key(small):
    graph = wired({"p": "picture", "q": ("picture", {"seed": 1}), "s": "stack"}, "p.picture > s.pictures", "q.picture > s.pictures")
    swapped = graph.with_link(Link("p", "picture", "s", "pictures"), many=True)
    assert key(graph, small, "s") != key(swapped, small, "s")


def test_a_new_version_of_a_node_gives_other_keys(small):
    before = key(SIMPLE, small, "s")

    @node("small/blur", version=2, upgrades={1: renamed("old", "radius")})
    def blur(picture: small_nodes.Picture, radius: float = 1.0, kind: Literal["soft", "hard"] = "soft") -> small_nodes.Picture:
        return picture

    del small.specs["small/blur"]
    small.add_function(blur)
    assert key(SIMPLE, small, "s") != before


def test_text_cannot_be_mistaken_for_other_inputs(small):
    @node("small/two")
    def two(a: str = "", b: str = "") -> str:
        return a

    small.add_function(two)
    one = wired({"t": ("two", {"a": "x\0b\0'y'", "b": ""})})
    other = wired({"t": ("two", {"a": "x", "b": "y"})})
    assert key(one, small, "t") != key(other, small, "t")


def test_a_node_that_must_always_run_has_a_new_key_each_time_and_so_has_what_it_feeds(small):
    graph = wired({"c": "clock", "n": "number"}, "c.value > n.value")
    assert key(graph, small, "n") != key(graph, small, "n")


def picture_file(folders, name="a.png", content=b"one"):
    path = folders.input / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_counts_by_its_content(small, folders):
    path = picture_file(folders)
    graph = wired({"f": ("open", {"file": "a.png"})})
    before = key(graph, small, "f")
    assert make_plan(graph, small).steps[0].values == {"file": path, "mask": None}
    path.write_bytes(b"two")
    assert key(graph, small, "f") != before
    path.write_bytes(b"one")
    assert key(graph, small, "f") == before
    path.unlink()
    with pytest.raises(GraphProblems, match=r"'a\.png' for 'file' of 'Open file' is not in your input folders"):
        make_plan(graph, small)


def test_a_file_beside_the_graph_is_found_and_one_in_the_users_folder_goes_first(small, folders, tmp_path):
    (tmp_path / "a.png").write_bytes(b"beside")
    graph = wired({"f": ("open", {"file": "a.png"})})
    assert make_plan(graph, small, base=tmp_path).steps[0].values["file"] == tmp_path / "a.png"
    mine = picture_file(folders)
    assert make_plan(graph, small, base=tmp_path).steps[0].values["file"] == mine, "also when a plan was kept from before"


def test_no_file_is_no_file_however_it_is_written(small, folders):
    picture_file(folders)
    graph = wired({"f": ("open", {"file": "a.png"})})
    for empty in ("", None):
        assert key(graph.with_value("f", "mask", empty), small, "f") == key(graph, small, "f")
        assert make_plan(graph.with_value("f", "mask", empty), small).steps[0].values["mask"] is None


def test_a_file_that_comes_along_a_link_is_looked_at_each_time(small):
    graph = wired({"t": ("text", {"value": "a.png"}), "f": "open"}, "t.value > f.file")
    assert key(graph, small, "f") != key(graph, small, "f"), "what is in it is not known before it runs"


def test_whatever_a_file_is_called_it_is_found_or_told(small):
    for name in ("x" * 5000, "a\0b", "\ud800.png", "/", ".", "..", "a/", "/nowhere/" + "y" * 300, "C:\\x.png", "con"):
        found = problems(wired({"f": ("open", {"file": name})}), small, Path.cwd())
        assert [p[:3] for p in found] == [("f", "file", "missing-file")], name
