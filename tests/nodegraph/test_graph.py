"""A graph is a value: an edit gives another one, shares what it leaves alone, and never breaks it."""

import pickle
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Group, Link, Node, Note, Subgraph, SubgraphInput, SubgraphOutput, difference


def chain(*names, type="small/blur"):
    graph = Graph().with_nodes(Node(name, type) for name in names)
    for before, after in pairwise(names):
        graph = graph.with_link(Link(before, "picture", after, "picture"))
    return graph


def is_sound(graph):
    """What holds for every graph, whatever was done to it."""
    for target, links in graph.incoming.items():
        assert links, "a node without links has no entry"
        assert target in graph.nodes
        assert all(link.target == target and link.source in graph.nodes for link in links)
        assert list(links) == sorted(links, key=lambda link: link.input)
        assert len(set(links)) == len(links)
    assert all(key == node.id for key, node in graph.nodes.items())
    assert all(name not in graph.upstream(name) for name in graph.nodes), "nothing feeds itself"
    return True


NAMES = st.sampled_from(["a", "b", "c", "d", "a_2", "a_3"])
PORTS = st.sampled_from(["x", "y"])
EDITS = st.one_of(
    st.tuples(st.just("node"), NAMES, st.sampled_from(["small/blur", "small/mix", "subgraph/s"])),
    st.tuples(st.just("added"), st.sampled_from(["small/a", "b", "subgraph/faces/eyes ", "/"])),
    st.tuples(st.just("value"), NAMES, PORTS, st.integers(0, 3) | st.text(max_size=2)),
    st.tuples(st.just("no value"), NAMES, PORTS),
    st.tuples(st.just("link"), NAMES, PORTS, NAMES, PORTS, st.booleans()),
    st.tuples(st.just("unlink"), st.integers(0, 9)),
    st.tuples(st.just("without"), st.lists(NAMES, max_size=3)),
    st.tuples(st.just("moved"), st.lists(NAMES, max_size=3)),
    st.tuples(st.just("group"), NAMES, st.frozensets(NAMES, max_size=3)),
    st.tuples(st.just("note"), NAMES, st.text(max_size=3)),
    st.tuples(st.just("paste"), st.lists(NAMES, max_size=4)),
    st.tuples(st.just("meta"), st.sampled_from(["title", "author"]), st.none() | st.text(max_size=2)),
)


def edited(graph, edit):
    kind, *rest = edit
    if kind == "node":
        return graph.with_node(Node(rest[0], rest[1]))
    if kind == "added":
        graph, name = graph.added(rest[0])
        assert name in graph.nodes
        return graph
    if kind in ("value", "no value") and rest[0] in graph.nodes:
        return graph.with_value(*rest) if kind == "value" else graph.without_value(*rest)
    if kind == "link":
        try:
            return graph.with_link(Link(*rest[:4]), rest[4])
        except GraphError:
            return graph
    if kind == "unlink" and graph.links:
        return graph.without_link(graph.links[rest[0] % len(graph.links)])
    if kind == "without":
        return graph.without(*rest[0])
    if kind == "moved":
        return graph.moved(rest[0], 1, 2)
    if kind == "group":
        return graph.with_group(Group(graph.free_id(rest[0]), members=rest[1]))
    if kind == "note":
        return graph.with_note(Note(graph.free_id(rest[0]), rest[1]))
    if kind == "paste":
        return graph.pasted(graph.fragment(rest[0]))[0]
    if kind == "meta":
        return graph.with_meta(**{rest[0]: rest[1]})
    return graph


@settings(max_examples=200, deadline=None)
@given(st.lists(EDITS, max_size=14))
def test_no_edit_breaks_a_graph_and_the_difference_tells_what_it_did(edits):
    graph = Graph()
    for edit in edits:
        before = pickle.dumps(graph)
        after = edited(graph, edit)
        assert pickle.loads(before) == graph, "an edit never changes the graph it was made from"
        assert is_sound(after)
        change = difference(graph, after)
        assert bool(change) == (graph != after)
        assert change.added == after.nodes.keys() - graph.nodes.keys()
        assert change.removed == graph.nodes.keys() - after.nodes.keys()
        assert change.linked == set(after.links) - set(graph.links)
        assert change.unlinked == set(graph.links) - set(after.links)
        assert {n for n in graph.nodes.keys() & after.nodes.keys() if graph.nodes[n] != after.nodes[n]} <= change.changed
        back = difference(after, graph)
        assert (back.added, back.removed, back.linked, back.changed) == (change.removed, change.added, change.unlinked, change.changed)
        graph = after
    assert not difference(graph, pickle.loads(pickle.dumps(graph)))


def test_an_edit_shares_what_it_leaves_alone():
    graph = chain("a", "b", "c")
    after = graph.with_value("b", "radius", 2.0)
    assert after.nodes["a"] is graph.nodes["a"] and after.incoming is graph.incoming


def test_a_link_takes_the_place_of_the_one_at_its_input():
    graph = chain("a", "b").with_node(Node("c", "small/blur")).with_link(Link("c", "picture", "b", "picture"))
    assert graph.links == (Link("c", "picture", "b", "picture"),)


def test_an_input_that_takes_many_keeps_its_links_in_the_order_they_came():
    graph = Graph().with_nodes(Node(n, "small/picture") for n in "cab").with_node(Node("stack", "small/stack"))
    for name in "cab":
        graph = graph.with_link(Link(name, "picture", "stack", "pictures"), many=True)
    assert [link.source for link in graph.links] == ["c", "a", "b"]
    again = graph.with_link(Link("c", "picture", "stack", "pictures"), many=True)
    assert [link.source for link in again.links] == ["a", "b", "c"]
    assert difference(graph, again).changed == {"stack"}, "another order of pictures is a change, though no link is new"


@pytest.mark.parametrize("link", [Link("c", "picture", "a", "picture"), Link("b", "picture", "b", "picture")])
def test_a_link_that_closes_a_loop_is_refused_by_name(link):
    graph = chain("a", "b", "c").changed("a", title="First")
    with pytest.raises(GraphError, match="would close a loop") as error:
        graph.with_link(link)
    assert error.value.node_id == link.target and error.value.input == "picture"
    assert graph.nodes[link.target].title is None or graph.nodes[link.target].title in str(error.value)


def test_a_link_to_a_node_that_is_not_there_is_refused():
    with pytest.raises(GraphError, match="no node 'z'"):
        chain("a").with_link(Link("a", "picture", "z", "picture"))


def test_removing_a_node_takes_its_links_and_its_place_in_frames_but_not_the_frame():
    graph = chain("a", "b", "c").with_group(Group("frame", members=frozenset("ab")))
    after = graph.without("b")
    assert not after.links and after.groups["frame"].members == {"a"}
    assert set(graph.without("frame").nodes) == set("abc")


def test_a_chain_of_ten_thousand_nodes_is_walked_without_recursion():
    names = [f"n{i}" for i in range(10_000)]
    links = [Link(a, "picture", b, "picture") for a, b in pairwise(names)]
    graph = Graph({n: Node(n, "small/blur") for n in names}, {link.target: (link,) for link in links})
    assert len(graph.upstream("n9999")) == 9_999 == len(graph.downstream("n0"))


@pytest.mark.parametrize(
    "wish,id", [("a", "a_4"), ("a_2", "a_4"), ("new", "new"), ("", "node"), ("faces/eyes", "faces_eyes"), ("  ", "node")]
)
def test_a_free_id_counts_up_and_is_one_that_a_file_can_hold(wish, id):
    graph = Graph().with_nodes([Node("a", "t"), Node("a_2", "t")]).with_note(Note("a_3"))
    assert graph.free_id(wish) == id


def test_a_node_is_found_by_id_and_by_a_title_that_only_one_has():
    graph = chain("a", "b", "c").changed("a", title="Sky").changed("b", title="Tree").changed("c", title="tree")
    assert graph.find("a").id == "a" == graph.find("SKY").id
    assert graph.find("Tree") is None and graph.find("nobody") is None


def test_what_is_copied_keeps_the_links_among_it_and_no_others():
    graph = chain("a", "b", "c").with_group(Group("frame", members=frozenset("ab")))
    fragment = graph.fragment(["b", "c", "frame"])
    assert set(fragment.nodes) == {"b", "c"} and fragment.groups["frame"].members == {"b"}
    assert fragment.links == (Link("b", "picture", "c", "picture"),)
    pasted, names = graph.pasted(fragment, 10, 0)
    assert names == {"b": "b_2", "c": "c_2", "frame": "frame_2"}
    assert pasted.groups["frame_2"].members == {"b_2"} and pasted.nodes["b_2"].position == (10, 0)
    assert pasted.fragment(["a", "b", "c", "frame"]) == graph


def definition(radius, nested=None):
    inner = Graph().with_node(Node("blur", "small/blur", {"radius": radius}))
    if nested:
        inner = inner.with_node(Node("inner", f"subgraph/{nested}"))
    return Subgraph(inner, (SubgraphInput("picture", (("blur", "picture"),)),), (SubgraphOutput("picture", "blur", "picture"),))


def test_a_pasted_definition_joins_an_equal_one_and_stands_beside_a_different_one():
    mine = Graph().with_subgraph("soft", definition(1)).with_node(Node("n", "subgraph/soft"))
    same, _ = mine.pasted(mine.fragment(["n"]))
    assert set(same.subgraphs) == {"soft"} and same.nodes["n_2"].type == "subgraph/soft"
    other = Graph().with_subgraph("soft", definition(2)).with_node(Node("n", "subgraph/soft"))
    both, _ = mine.pasted(other)
    assert both.nodes["n_2"].type == "subgraph/soft_2" and both.subgraphs["soft_2"] == definition(2)
    assert both.subgraphs["soft"] == definition(1) and both.nodes["n"].type == "subgraph/soft"


def test_a_pasted_definition_keeps_the_definitions_that_stand_inside_it():
    def graph(radius):
        return (
            Graph()
            .with_subgraph("outer", definition(0, "inner"))
            .with_subgraph("inner", definition(radius))
            .with_node(Node("n", "subgraph/outer"))
        )

    both, _ = graph(1).pasted(graph(2))
    outer = both.subgraphs[both.nodes["n_2"].subgraph]
    assert both.subgraphs[outer.graph.nodes["inner"].subgraph] == definition(2)
    first = both.subgraphs[both.nodes["n"].subgraph]
    assert both.subgraphs[first.graph.nodes["inner"].subgraph] == definition(1)
    again, _ = both.pasted(graph(2))
    assert again.subgraphs == both.subgraphs, "pasting the same again finds the definitions it brought before"


def test_definitions_that_hold_each_other_can_be_pasted_beside_others_of_their_names():
    def graph(radius):
        g = Graph().with_subgraph("a", definition(radius, "b")).with_subgraph("b", definition(radius, "a"))
        return g.with_node(Node("n", "subgraph/a"))

    pasted, names = graph(1).pasted(graph(2))
    a = pasted.subgraphs[pasted.nodes[names["n"]].subgraph]
    b = pasted.subgraphs[a.graph.nodes["inner"].subgraph]
    assert a.graph.nodes["blur"].values == b.graph.nodes["blur"].values == {"radius": 2}


def test_networkx_sees_nodes_and_links():
    flow = chain("a", "b", "c").flow()
    assert list(flow.edges) == [("a", "b"), ("b", "c")]


def test_equal_graphs_are_equal_however_they_came_about():
    graph = chain("a", "b", "c")
    assert graph.with_value("a", "radius", 3).without_value("a", "radius") == graph
    assert graph.without("c").with_node(Node("c", "small/blur")).with_link(Link("b", "picture", "c", "picture")) == graph
    assert replace(graph, extra={"new": 1}) != graph and difference(graph, replace(graph, extra={"new": 1})).meta
