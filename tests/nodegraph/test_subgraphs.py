"""A graph used as a node: what it looks like from outside, and that it does what its nodes would do in its place."""

from dataclasses import replace

import pytest
import small_nodes
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import GraphError, GraphProblems
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.plan import make_plan
from nodegraph.spec import REQUIRED
from nodegraph.subgraphs import gathered, laid_open, node_spec, scattered, spec_of


def wired(nodes, *links):
    """wired({"a": "picture"}, "a.picture > b.picture"): node types without their category, links in the order given."""
    graph = Graph()
    for name, kind in nodes.items():
        kind, values = kind if isinstance(kind, tuple) else (kind, {})
        graph = graph.with_node(Node(name, kind if "/" in kind or kind == "reroute" else f"small/{kind}", values))
    for words in links:
        (source, output), (target, input) = (end.split(".") for end in words.split(" > "))
        graph = graph.with_link(Link(source, output, target, input), many=input.startswith("pictures"))
    return graph


def soft(radius=5.0, kind="blur"):
    """A definition "picture -> blur -> picture" with the radius promoted as "softness"."""
    return Subgraph(
        wired({"blur": (kind, {"radius": radius})}),
        (SubgraphInput("picture", (("blur", "picture"),)), SubgraphInput("softness", (("blur", "radius"),))),
        (SubgraphOutput("picture", "blur", "picture"),),
        title="Soft",
        help="Make it soft.\n\nVery soft.",
    )


def keys(graph, registry, targets=None):
    """What a graph makes, whatever its nodes are called."""
    plan = make_plan(graph, registry, targets)
    return [plan.steps[i].key for i in plan.targets]


def test_an_instance_looks_like_its_promoted_inputs_and_outputs(small):
    graph = Graph().with_subgraph("soft", soft(5.0))
    spec = spec_of("soft", graph, small.specs)
    assert (spec.id, spec.title, spec.summary, spec.help) == ("subgraph/soft", "Soft", "Make it soft.", "Very soft.")
    picture, softness, *_ = spec.inputs
    assert picture.name == "picture" and picture.type == "Picture" and picture.default is REQUIRED
    assert softness.type == "float" and softness.default == 5.0 and softness.range.max == 100
    assert [(out.name, out.type) for out in spec.outputs] == [("picture", "Picture")]
    assert not spec.sink


def test_a_subgraph_that_saves_is_a_sink_also_through_another_one(small):
    graph = Graph().with_subgraph("in", Subgraph(wired({"save": "save"}))).with_subgraph("out", Subgraph(wired({"n": "subgraph/in"})))
    assert spec_of("out", graph, small.specs).sink


def test_a_promoted_input_that_is_linked_inside_needs_nothing_outside(small):
    inner = wired({"p": "picture", "blur": "blur"}, "p.picture > blur.picture")
    graph = Graph().with_subgraph(
        "s", Subgraph(inner, (SubgraphInput("picture", (("blur", "picture"),)),), (SubgraphOutput("o", "blur", "picture"),))
    )
    assert not spec_of("s", graph, small.specs).by_name["picture"].is_required
    assert keys(graph.with_node(Node("n", "subgraph/s")), small) == keys(inner, small)


def test_ports_whose_node_is_not_known_stay_and_take_anything(small):
    inner = Graph().with_node(Node("x", "gone/node"))
    graph = Graph().with_subgraph(
        "s", Subgraph(inner, (SubgraphInput("in", (("x", "a"),)),), (SubgraphOutput("out", "x", "b"), SubgraphOutput("lost", "y", "b")))
    )
    spec = spec_of("s", graph, small.specs)
    assert spec.inputs[0].type == "*" and [out.type for out in spec.outputs] == ["*", "*"]


def test_type_variables_of_two_inner_nodes_are_not_confused(small):
    inner = wired({"a": "either", "b": "either"})
    ends = [SubgraphInput(f"{n}_{i}", ((n, i),)) for n in "ab" for i in ("first", "second")]
    graph = Graph().with_subgraph("s", Subgraph(inner, tuple(ends), (SubgraphOutput("o", "b", "value"),)))
    spec = spec_of("s", graph, small.specs)
    assert spec.inputs[0].variable == spec.inputs[1].variable != spec.inputs[2].variable == spec.outputs[0].variable


def test_an_instance_does_what_its_nodes_would_do(small):
    graph = wired(
        {"p": "picture", "s": ("subgraph/soft", {"softness": 9.0}), "save": "save"}, "p.picture > s.picture", "s.picture > save.picture"
    )
    flat = wired({"p": "picture", "b": ("blur", {"radius": 9.0}), "save": "save"}, "p.picture > b.picture", "b.picture > save.picture")
    assert keys(graph.with_subgraph("soft", soft()), small) == keys(flat, small)


def test_nested_instances_that_feed_each_other_directly_are_laid_open_by_hand_and_by_machine_alike(small):
    twice = Subgraph(
        wired({"one": "subgraph/soft", "two": ("subgraph/soft", {"softness": 2.0})}, "one.picture > two.picture"),
        (SubgraphInput("picture", (("one", "picture"),)), SubgraphInput("first", (("one", "softness"),))),
        (SubgraphOutput("picture", "two", "picture"), SubgraphOutput("early", "one", "picture")),
    )
    graph = wired(
        {"p": "picture", "a": ("subgraph/twice", {"first": 7.0}), "b": "subgraph/twice", "mix": "mix"},
        "p.picture > a.picture",
        "a.picture > b.picture",
        "b.picture > mix.first",
        "a.early > mix.second",
    )
    graph = graph.with_subgraph("soft", soft(1.0)).with_subgraph("twice", twice)
    flat, problems = laid_open(graph)
    assert not problems
    assert set(flat.nodes) == {"p", "mix", "a/one/blur", "a/two/blur", "b/one/blur", "b/two/blur"}
    assert {n: flat.nodes[n].values["radius"] for n in flat.nodes if "blur" in n} == {
        "a/one/blur": 7.0, "a/two/blur": 2.0, "b/one/blur": 1.0, "b/two/blur": 2.0,
    }  # fmt: skip
    assert set(flat.links) == {
        Link("p", "picture", "a/one/blur", "picture"),
        Link("a/one/blur", "picture", "a/two/blur", "picture"),
        Link("a/two/blur", "picture", "b/one/blur", "picture"),
        Link("b/one/blur", "picture", "b/two/blur", "picture"),
        Link("b/two/blur", "picture", "mix", "first"),
        Link("a/one/blur", "picture", "mix", "second"),
    }


def test_a_promoted_input_may_feed_several_inner_ones(small):
    both = Subgraph(
        wired({"x": "blur", "y": "blur"}),
        (SubgraphInput("picture", (("x", "picture"), ("y", "picture"))),),
        (SubgraphOutput("x", "x", "picture"), SubgraphOutput("y", "y", "picture")),
    )
    graph = wired({"p": "picture", "s": "subgraph/both"}, "p.picture > s.picture").with_subgraph("both", both)
    assert {link.target for link in laid_open(graph)[0].links} == {"s/x", "s/y"}


def test_a_link_from_outside_takes_the_place_of_one_inside(small):
    inner = wired({"own": "picture", "blur": "blur"}, "own.picture > blur.picture")
    d = Subgraph(inner, (SubgraphInput("picture", (("blur", "picture"),)),), (SubgraphOutput("picture", "blur", "picture"),))
    graph = wired({"p": ("picture", {"seed": 5}), "s": "subgraph/s"}, "p.picture > s.picture").with_subgraph("s", d)
    assert [link.source for link in laid_open(graph)[0].links] == ["p"]


def test_a_promoted_input_that_takes_many_keeps_all_links_in_the_order_of_the_definition(small):
    inner = wired({"own": "picture", "stack": "stack"}, "own.picture > stack.pictures")
    names = ["zeta", "alpha", *(f"n{i}" for i in range(12))]
    d = Subgraph(inner, tuple(SubgraphInput(n, (("stack", "pictures"),)) for n in names), (SubgraphOutput("o", "stack", "picture"),))
    graph = Graph().with_subgraph("s", d).with_node(Node("s", "subgraph/s"))
    for name in reversed(names):
        graph = graph.with_node(Node(f"p_{name}", "small/picture")).with_link(Link(f"p_{name}", "picture", "s", name))
    flat, _ = laid_open(graph, small.specs)
    assert [link.source for link in flat.incoming["s/stack"]] == [f"p_{n}" for n in names] + ["s/own"]


def test_what_is_missing_or_holds_itself_is_told_and_never_followed(small):
    graph = wired({"x": "subgraph/gone", "y": "subgraph/loop"}).with_subgraph(
        "loop", Subgraph(wired({"me": "subgraph/loop", "too": "subgraph/loop"}))
    )
    _, problems = laid_open(graph)
    assert sorted(p.message for p in problems) == ["The subgraph 'gone' is not in this file."] + ["The subgraph 'loop' holds itself."] * 2
    assert [item.name for item in spec_of("loop", graph, small.specs).inputs] == ["repeat", "one_by_one"]
    with pytest.raises(GraphProblems, match="holds itself"):
        make_plan(graph, small)


def test_a_small_file_that_unfolds_into_billions_of_nodes_is_refused_at_once(small):
    graph = Graph().with_subgraph("d0", Subgraph(wired({"p": "picture"})))
    for i in range(1, 30):
        inner = wired({f"n{k}": f"subgraph/d{i - 1}" for k in range(10)})
        graph = graph.with_subgraph(f"d{i}", Subgraph(inner))
    graph = graph.with_node(Node("bomb", "subgraph/d29"))
    assert not spec_of("d29", graph, small.specs).sink
    with pytest.raises(GraphProblems, match="more than 100,000 nodes"):
        make_plan(graph, small)


def test_links_to_what_a_definition_no_longer_has_lead_nowhere_and_the_need_is_told(small):
    d = replace(soft(), outputs=(SubgraphOutput("picture", "gone", "picture"),), inputs=(SubgraphInput("picture", (("gone", "x"),)),))
    graph = wired(
        {"p": "picture", "s": "subgraph/soft", "save": "save"}, "p.picture > s.picture", "s.picture > save.picture"
    ).with_subgraph("soft", d)
    assert laid_open(graph)[0].links == ()
    with pytest.raises(GraphProblems, match="needs a Picture at 'picture'"):
        make_plan(graph, small)


def test_a_muted_instance_mutes_what_is_inside(small):
    graph = wired(
        {"p": "picture", "s": "subgraph/soft", "save": "save"}, "p.picture > s.picture", "s.picture > save.picture"
    ).with_subgraph("soft", soft())
    plan = make_plan(graph.changed("s", mode="muted"), small)
    assert not plan.steps and plan.skipped >= {"s/blur", "save"}


def test_a_bypassed_instance_hands_its_input_on_by_its_spec(small):
    graph = wired(
        {"p": "picture", "s": "subgraph/soft", "save": "save"}, "p.picture > s.picture", "s.picture > save.picture"
    ).with_subgraph("soft", soft())
    without = wired({"p": "picture", "save": "save"}, "p.picture > save.picture")
    assert keys(graph.changed("s", mode="bypassed"), small) == keys(without, small)
    inside = Subgraph(graph.changed("s", mode="bypassed").without("save"), (), (SubgraphOutput("picture", "s", "picture"),))
    nested = wired({"n": "subgraph/n", "save": "save"}, "n.picture > save.picture").with_subgraph("soft", soft()).with_subgraph("n", inside)
    assert keys(nested, small) == keys(without, small)


# -- making subgraphs, and opening them again


def test_nodes_that_enclose_another_are_not_gathered_without_it(small):
    graph = wired({"a": "picture", "b": "blur", "c": "blur"}, "a.picture > b.picture", "b.picture > c.picture").changed("b", title="Middle")
    with pytest.raises(GraphError, match="'Middle' stands between"):
        gathered(graph, ["a", "c"], "s", small.specs)
    with pytest.raises(GraphError, match="Choose the nodes"):
        gathered(graph, ["nobody"], "s", small.specs)


@pytest.mark.parametrize("name,key,instance", [("faces/eyes ", "faces/eyes", "faces_eyes"), (" ", "subgraph", "subgraph"), ("a", "a", "a")])
def test_whatever_a_subgraph_is_called_its_instance_can_be_saved(small, name, key, instance):
    graph, made = gathered(wired({"a": "picture", "b": "blur"}, "a.picture > b.picture"), ["a"], name, small.specs)
    assert set(graph.subgraphs) == {key} and made == instance and graph.nodes[made].subgraph == key


def test_gathering_keeps_the_order_of_links_at_an_input_that_takes_many(small):
    graph = wired({"a": "picture", "b": ("picture", {"seed": 1}), "c": ("picture", {"seed": 2}), "stack": "stack"})
    for name in "abc":
        graph = graph.with_link(Link(name, "picture", "stack", "pictures"), many=True)
    for chosen in (["a"], ["b"], ["a", "c"], ["stack"], ["a", "b", "c"]):
        made, instance = gathered(graph, chosen, "s", small.specs)
        assert keys(made, small) == keys(graph, small), chosen
        opened, _ = scattered(made, instance, small.specs)
        assert keys(opened, small) == keys(graph, small), chosen


def test_one_source_that_feeds_two_of_the_gathered_nodes_keeps_its_place_where_the_order_of_links_counts(small):
    graph = Graph().with_nodes([Node("a", "small/picture"), Node("b", "small/picture", {"seed": 1}), Node("blur", "small/blur"), Node("s", "small/stack")])
    graph = graph.with_link(Link("a", "picture", "blur", "picture"))
    for source in "ba":
        graph = graph.with_link(Link(source, "picture", "s", "pictures"), many=True)
    once, instance = gathered(graph, ["blur", "s"], "inner", small.specs)
    twice, _ = gathered(once, [instance], "outer", small.specs)
    for made in (once, twice):
        flat, _ = laid_open(made, small.specs)
        (stack,) = [links for target, links in flat.incoming.items() if target.endswith("/s")]
        assert [link.source for link in stack] == ["b", "a"]


def test_opening_an_instance_puts_its_values_and_links_in_place(small):
    graph = wired(
        {"p": "picture", "s": ("subgraph/soft", {"softness": 3.0}), "save": "save"}, "p.picture > s.picture", "s.picture > save.picture"
    )
    graph = graph.with_subgraph("soft", soft())
    opened, ids = scattered(graph, "s")
    assert ids == {"blur"} and opened.nodes["blur"].values == {"radius": 3.0} and "soft" in opened.subgraphs
    assert keys(opened, small) == keys(graph, small)


def test_opening_an_instance_whose_definition_lost_a_node_keeps_the_rest(small):
    d = replace(
        soft(),
        inputs=(*soft().inputs, SubgraphInput("lost", (("gone", "x"),))),
        outputs=(*soft().outputs, SubgraphOutput("l", "gone", "x")),
    )
    graph = wired({"p": "picture", "s": ("subgraph/soft", {"lost": 3}), "save": "save"}, "p.picture > s.lost", "s.picture > save.picture")
    opened, ids = scattered(graph.with_subgraph("soft", d), "s")
    assert ids == {"blur"} and opened.links == (Link("blur", "picture", "save", "picture"),)
    with pytest.raises(GraphError, match="'p' is not a subgraph"):
        scattered(graph, "p")


def test_opening_a_muted_instance_leaves_muted_nodes(small):
    graph = wired({"s": "subgraph/soft"}).with_subgraph("soft", soft()).changed("s", mode="muted")
    assert scattered(graph, "s")[0].nodes["blur"].mode == "muted"


KINDS = st.sampled_from(["picture", "blur", "mix", "stack", "halves", "either"])
INPUTS = {
    "picture": (),
    "blur": ("picture",),
    "mix": ("first", "second"),
    "stack": ("pictures",),
    "halves": ("picture",),
    "either": ("first", "second"),
}
OUTPUTS = {"halves": ("left", "right"), "either": ("value",)}


@st.composite
def complete_graphs(draw):
    """Graphs in which every input has its link, from a node before it."""
    kinds = ["picture", *draw(st.lists(KINDS, min_size=1, max_size=7))]
    graph = Graph()
    for i, kind in enumerate(kinds):
        graph = graph.with_node(Node(f"n{i}", f"small/{kind}", {"seed": i} if kind == "picture" else {}))
        for name in INPUTS[kind]:
            for _ in range(draw(st.integers(1, 3)) if kind == "stack" else 1):
                k = draw(st.integers(0, i - 1))
                output = draw(st.sampled_from(OUTPUTS.get(kinds[k], ("picture",))))
                graph = graph.with_link(Link(f"n{k}", output, f"n{i}", name), many=kind == "stack")
    return graph


def ends_of(graph, registry, names):
    plan = make_plan(graph, registry, names)
    return sorted(plan.steps[i].key for i in plan.targets)


@settings(max_examples=120, deadline=None)
@given(graph=complete_graphs(), data=st.data())
def test_whatever_is_gathered_and_opened_again_makes_the_same_pictures(graph, data):
    registry = small_nodes.without_files()
    chosen = data.draw(st.sets(st.sampled_from(sorted(graph.nodes)), min_size=1))
    mixed = any(
        node.type == "small/stack" and name in chosen and len({link.source in chosen for link in graph.incoming[name]}) == 2
        for name, node in graph.nodes.items()
    )
    try:
        made, instance = gathered(graph, chosen, "s", registry.specs)
    except GraphError as error:
        assert "stands between" in str(error)
        return
    nested, outer = gathered(made, [instance], "around", registry.specs)
    opened, _ = scattered(nested, outer, registry.specs)
    opened, _ = scattered(opened, next(n.id for n in opened.nodes.values() if n.subgraph == "s"), registry.specs)
    if not mixed:  # there the links from outside come first afterwards
        expected = ends_of(graph, registry, sorted(set(graph.nodes) - {link.source for link in graph.links}))
        for other in (made, nested, opened):
            assert (
                ends_of(other, registry, sorted(set(laid_open(other)[0].nodes) - {link.source for link in laid_open(other)[0].links}))
                == expected
            )
    assert len(laid_open(nested)[0].nodes) == len(graph.nodes) == len(opened.nodes)
    assert len(laid_open(nested, registry.specs)[0].links) == len(graph.links) == len(opened.links)


def test_the_spec_of_any_node_is_found(small):
    graph = wired({"b": "blur", "s": "subgraph/soft", "x": "gone/x", "y": "subgraph/gone"}).with_subgraph("soft", soft())
    assert [getattr(node_spec(graph.nodes[n], graph, small.specs), "id", None) for n in "bsxy"] == [
        "small/blur",
        "subgraph/soft",
        None,
        None,
    ]
