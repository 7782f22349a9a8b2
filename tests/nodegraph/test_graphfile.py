"""A .graph file comes back as it was, is whole at every moment, and says where it goes wrong."""

import json
import os
import random
import signal
import stat
import struct
import subprocess
import sys
import textwrap
import time
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import small_nodes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Group, Link, Node, Note, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.graphfile import (
    PNG_KEYWORD,
    GraphFileError,
    NewerFormat,
    backups_of,
    dumps,
    embedded,
    parse,
    read,
    upgraded,
    write,
    write_atomically,
)
from nodegraph.node import added, node, removed, renamed, renamed_output
from nodegraph.plan import check

STORED = sorted((Path(__file__).parents[1] / "graphs").glob("v*/*.graph"))


def without_app(text):
    """All but the version of the program that wrote it."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(' "app": '))


# -- what is written is what is read


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_graph_ever_stored_opens_and_is_written_back_byte_for_byte(path):
    """F12, F13: among them nodes of packs that are not there."""
    text = path.read_text("utf-8")
    assert without_app(dumps(read(path))) == without_app(text)


def test_there_are_stored_graphs():
    assert len(STORED) >= 9


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(st.text(max_size=4), VALUES, max_size=3)
IDS = st.text(min_size=1, max_size=4).filter(lambda i: "/" not in i and i == i.strip())
NUMBERS = st.floats(-1e300, 1e300)
EXTRA = st.dictionaries(st.text(max_size=3).map(lambda t: f"new {t}"), VALUES, max_size=2)


@st.composite
def flat_graphs(draw):
    nodes = draw(st.dictionaries(IDS, st.builds(
        Node, st.just(""), st.text(max_size=5), TABLES, st.tuples(NUMBERS, NUMBERS), st.none() | st.text(max_size=3),
        st.none() | st.tuples(NUMBERS, NUMBERS), st.sampled_from(["on", "muted", "bypassed"]), st.booleans(), st.booleans(),
        st.none() | st.text(max_size=3), st.integers(1, 99), EXTRA,
    ), max_size=4))  # fmt: skip
    graph = Graph().with_nodes(replace(n, id=key) for key, n in nodes.items())
    ends = st.sampled_from(sorted(nodes)) if nodes else st.nothing()
    for link in draw(st.lists(st.builds(Link, ends, st.text(max_size=2), ends, st.text(max_size=2)), max_size=6)) if nodes else ():
        if link.source < link.target:
            graph = graph.with_link(link, many=draw(st.booleans()))
    rects = st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS)
    colors = st.none() | st.text(max_size=3)
    for group in draw(
        st.lists(
            st.builds(Group, IDS, st.text(max_size=3), rects, st.frozensets(IDS, max_size=2), colors, st.booleans(), EXTRA), max_size=2
        )
    ):
        graph = graph.with_group(group)
    for note in draw(st.lists(st.builds(Note, IDS, st.text(max_size=5), rects, colors, EXTRA), max_size=2)):
        graph = graph.with_note(note)
    return graph


NAMES = st.text(max_size=3)
DEFINITIONS = st.builds(
    Subgraph,
    flat_graphs(),
    st.lists(st.builds(SubgraphInput, NAMES, st.lists(st.tuples(NAMES, NAMES), max_size=2).map(tuple)), max_size=2).map(tuple),
    st.lists(st.builds(SubgraphOutput, NAMES, NAMES, NAMES), max_size=2).map(tuple),
    NAMES,
    NAMES,
    EXTRA,
)
GRAPHS = st.builds(
    lambda graph, definitions, meta, extra: replace(graph, subgraphs=definitions, meta=meta, extra=extra),
    flat_graphs(),
    st.dictionaries(NAMES, DEFINITIONS, max_size=2),
    TABLES,
    EXTRA,
)


@settings(max_examples=35, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(GRAPHS)
def test_any_graph_comes_back_from_its_text_as_it_was(graph):
    assert parse(dumps(graph)) == graph == parse(dumps(graph, compact=True))
    assert dumps(parse(dumps(graph))) == dumps(graph), "and gives the same text again"
    assert json.loads(dumps(graph)) == json.loads(dumps(graph, compact=True)) and dumps(graph, compact=True).isascii()


@settings(max_examples=60, deadline=None)
@given(st.permutations(range(8)))
def test_the_same_graph_has_the_same_text_whatever_the_order_of_edits(order):
    edits = [
        lambda g: g.with_node(Node("b", "t", {"x": 1})), lambda g: g.with_node(Node("a", "t", {"y": 1, "x": 2})),
        lambda g: g.with_node(Node("c", "t")), lambda g: g.with_group(Group("g", members=frozenset("abc"))), lambda g: g.with_note(Note("n")),
        lambda g: g.with_meta(title="T"), lambda g: g.with_meta(author="A"), lambda g: g.with_subgraph("s", Subgraph(Graph())),
    ]  # fmt: skip
    graph = Graph()
    for i in order:
        graph = edits[i](graph)
    for link in (
        (Link("a", "o", "c", "z"), Link("b", "o", "c", "x")) if order[0] % 2 else (Link("b", "o", "c", "x"), Link("a", "o", "c", "z"))
    ):
        graph = graph.with_link(link)
    graph = graph.with_value("a", "x", 3).with_value("a", "x", 2)
    reference = (
        Graph().with_nodes([Node("a", "t", {"x": 2, "y": 1}), Node("b", "t", {"x": 1}), Node("c", "t")]).with_link(Link("a", "o", "c", "z"))
        .with_link(Link("b", "o", "c", "x")).with_group(Group("g", members=frozenset("cba"))).with_note(Note("n"))
        .with_meta(author="A", title="T").with_subgraph("s", Subgraph(Graph()))
    )  # fmt: skip
    assert graph == reference and dumps(graph) == dumps(reference)


def test_a_changed_value_changes_one_line():
    graph = read(next(p for p in STORED if p.stem == "plain"))
    before, after = dumps(graph).splitlines(), dumps(graph.with_value("sample", "steps", 30)).splitlines()
    assert [(a, b) for a, b in zip(before, after, strict=True) if a != b] == [('    "steps": 20', '    "steps": 30')]


@pytest.mark.parametrize("language", ["tr_TR.UTF-8", "de_DE.UTF-8", "ar_SA.UTF-8", "C"])
def test_the_language_of_the_system_changes_no_byte(tmp_path, language):
    """F10"""
    path = next(p for p in STORED if p.stem == "unicode")
    code = "import sys; from pathlib import Path; from nodegraph.graphfile import read, write; write(Path(sys.argv[2]), read(Path(sys.argv[1])))"
    target = tmp_path / "Grüße ş.graph"
    subprocess.run([sys.executable, "-c", code, path, target], check=True, env={**os.environ, "LC_ALL": language, "LANG": language})
    assert without_app(target.read_text("utf-8")) == without_app(path.read_text("utf-8"))


# -- what is no graph


def nodes(*, id="n", **fields):
    return {"format": 1, "nodes": {id: {"type": "t", **fields}}}


def deep(levels):
    return '{"format":1,"nodes":{"n":{"type":"t","values":{"x":' + "[" * levels + "]" * levels + "}}}}"


@pytest.mark.parametrize(
    "content,words",
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON: Expecting property name enclosed in double quotes, line 1, column 2"),
        ("hello", "line 1, column 1"),
        (b"\xff\xfe\x00", "not a text file (byte 0)"),
        ("[]", "not a Nodegraph graph"), ("3", "not a Nodegraph graph"), ("{}", "not a Nodegraph graph"), ('{"format":1,"nodes":[]}', "not a Nodegraph graph"),
        ({"format": "1", "nodes": {}}, "'format' must be a whole number from 1, not '1'"), ({"format": True, "nodes": {}}, "'format'"), ({"format": 0, "nodes": {}}, "'format'"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":NaN}}}}', "NaN at nodes.n.values.x is not a number"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":[-Infinity]}}}}', "-Infinity at nodes.n.values.x[0]"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":1e999}}}}', "number at nodes.n.values.x is too large"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":18446744073709551616}}}}', "number at nodes.n.values.x is too large"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":' + "9" * 5000 + "}}}}", "a number that is too long"),
        ('{"format":1,"nodes":{"n":{"type":"t"},"n":{"type":"u"}}}', "'n' stands twice at nodes"),
        ('{"format":1,"nodes":{},"format":1}', "'format' stands twice at the top"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"x":"\\ud800"}}}}', "text at nodes.n.values.x is too long or not valid Unicode"),
        ('{"format":1,"nodes":{"n":{"type":"t","values":{"\\udfff":1}}}}', "a name at nodes.n.values is not valid Unicode"),
        (deep(70), "nested too deeply at nodes.n.values.x[0][0]"), (deep(100_000), "nested too deeply"), ("[" * 1_000_000, "nested too deeply"),
        ({"format": 1, "nodes": {"n": []}}, "nodes.n must be an object with a 'type'"), ({"format": 1, "nodes": {"n": {"type": 3}}}, "nodes.n must be an object with a 'type'"),
        (nodes(id="a/b"), "'a/b' cannot be the id of a node"), (nodes(id=""), "cannot be the id"), (nodes(id=" a"), "cannot be the id"),
        (nodes(values=[]), "nodes.n.values must be an object"), (nodes(at=[1]), "nodes.n.at must be a list of 2 numbers"), (nodes(at=[1, True]), "nodes.n.at"),
        (nodes(size="big"), "nodes.n.size must be a list of 2 numbers"), (nodes(title=3), "nodes.n.title must be text"), (nodes(color=[]), "nodes.n.color"),
        (nodes(mode="off"), "nodes.n.mode must be 'on', 'muted' or 'bypassed'"), (nodes(mode=[]), "nodes.n.mode"), (nodes(folded=1), "nodes.n.folded must be true or false"),
        (nodes(pinned="yes"), "nodes.n.pinned"), (nodes(version="1"), "nodes.n.version must be a whole number from 1"), (nodes(version=0), "nodes.n.version"),
        (nodes(version=-(2**63)), "nodes.n.version"), (nodes(version=True), "nodes.n.version"),
        ({**nodes(), "links": {}}, "links must be a list"), ({**nodes(), "links": [["n", "o", "n"]]}, "links[0] must be a list of four names"),
        ({**nodes(), "links": [["n", "o", "n", 3]]}, "links[0]"), ({**nodes(), "links": [["n", "o", "gone", "i"]]}, "links[0] leads to 'gone', and there is no such node"),
        ({**nodes(), "groups": []}, "groups must be an object"), ({**nodes(), "groups": {"g": 3}}, "groups.g must be an object"),
        ({**nodes(), "groups": {"g": {"members": [3]}}}, "groups.g.members must be a list of names"), ({**nodes(), "groups": {"g": {"rect": [1, 2, 3]}}}, "groups.g.rect"),
        ({**nodes(), "groups": {"g": {"folded": "no"}}}, "groups.g.folded"), ({**nodes(), "notes": {"n": {"text": 3}}}, "notes.n.text must be text"),
        ({**nodes(), "meta": "x"}, "meta must be an object"), ({**nodes(), "subgraphs": []}, "subgraphs must be an object"), ({**nodes(), "subgraphs": {"s": 1}}, "subgraphs.s must be"),
        ({**nodes(), "subgraphs": {"s": {"inputs": [3]}}}, "subgraphs.s.inputs[0]"), ({**nodes(), "subgraphs": {"s": {"inputs": [["a", ["n"]]]}}}, "subgraphs.s.inputs[0]"),
        ({**nodes(), "subgraphs": {"s": {"inputs": [[]]}}}, "subgraphs.s.inputs[0]"), ({**nodes(), "subgraphs": {"s": {"outputs": [["a", "b"]]}}}, "subgraphs.s.outputs[0]"),
        ({**nodes(), "subgraphs": {"s": {"nodes": {"x": 1}}}}, "subgraphs.s.nodes.x must be an object"),
        ({**nodes(), "subgraphs": {"s": {"nodes": {}, "links": [["a", "b", "c", "d"]]}}}, "subgraphs.s.links[0] leads to 'a'"),
    ],
)  # fmt: skip
def test_what_is_no_graph_is_refused_with_its_place(tmp_path, content, words):
    """S7, S8"""
    path = tmp_path / "bad.graph"
    path.write_bytes(
        content if isinstance(content, bytes) else content.encode() if isinstance(content, str) else json.dumps(content).encode()
    )
    with pytest.raises(GraphFileError) as error:
        read(path)
    assert words in error.value.message and error.value.message.startswith("'bad.graph'") and len(error.value.message) < 400
    assert error.value.message.isprintable()


def test_limits_hold_and_hostile_files_take_no_time(monkeypatch):
    """S7"""
    began = time.perf_counter()
    name = "k" * 1_000_000
    for text in (
        '{"format":1,"nodes":{},"' + name + '":[' + "0," * 1_000_000 + '"\\ud800"]}',
        '{"format":1,"nodes":' + '{"' + "k" * 1000 + '":' * 1 + "1}" + ',"x":"\\ud800"}',
    ):
        with pytest.raises(GraphFileError) as error:
            parse(text)
        assert len(error.value.message) < 400
    with pytest.raises(GraphFileError, match="over 32 MB"):
        parse(b" " * (32 * 2**20 + 1))
    with pytest.raises(GraphFileError, match="too long"):
        parse('{"format":1,"nodes":{},"x":"' + "a" * (8 * 2**20 + 1) + '"}')
    monkeypatch.setattr(graphfile, "MAX_NODES", 3)
    with pytest.raises(GraphFileError, match="more nodes or links"):
        parse(dumps(Graph().with_nodes(Node(n, "t") for n in "abcd")))
    assert time.perf_counter() - began < 10


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path):
    for name, words in (
        ("gone.graph", "There is no file"),
        ("a\0b", "no file can have this name"),
        ("\ud800", "no file"),
        (".", "Is a directory"),
    ):
        with pytest.raises(GraphFileError, match=words):
            read(tmp_path / name)
    (tmp_path / "large.graph").touch()
    os.truncate(tmp_path / "large.graph", 2**33)
    with pytest.raises(GraphFileError, match="too large"):
        read(tmp_path / "large.graph")


SMALL = {path.stem: path.read_bytes() for path in STORED}


@pytest.mark.parametrize("name", ["subgraphs", "unicode", "unknown"])
def test_a_file_cut_off_anywhere_is_refused_and_never_crashes(name):
    """F11"""
    text = SMALL[name].rstrip()
    for i in range(len(text)):
        with pytest.raises(GraphFileError):
            parse(text[:i])


@pytest.mark.parametrize("name", ["subgraphs", "unicode", "unknown", "values"])
def test_flipped_bytes_never_crash_anything(name):
    """F11"""
    chance = random.Random(name)
    for _ in range(600):
        text = bytearray(SMALL[name])
        for _ in range(chance.choice((1, 1, 2, 5))):
            text[chance.randrange(len(text))] = chance.choice((chance.randrange(256), ord('"'), ord("0"), ord("["), ord("}")))
        try:
            dumps(parse(bytes(text)))
        except GraphFileError as error:
            assert error.message.isprintable()


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4), lambda i: st.lists(i, max_size=3) | st.dictionaries(st.sampled_from(["nodes", "links", "type", "values", "at", "format", "inputs", "outputs", "subgraphs", "groups", "notes", "rect", "members", "n"]), i, max_size=4), max_leaves=12)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(JSON, JSON, JSON)
def test_any_json_is_a_graph_or_refused(nodes_, links, subgraphs):
    try:
        dumps(parse(json.dumps({"format": 1, "nodes": nodes_, "links": links, "subgraphs": subgraphs})))
    except GraphFileError:
        pass


@pytest.mark.parametrize("name", ["__class__", "__proto__", "__import__('os')", "constructor", "{0.__class__}", "%s%n", "$(id)"])
def test_names_with_a_meaning_elsewhere_are_plain_data(name):
    """S12"""
    graph = Graph().with_node(Node(name, f"t/{name}", {name: {name: name}}, title=name, extra={name: 1}))
    graph = graph.with_subgraph(name, Subgraph(Graph())).with_meta(**{name: name})
    assert parse(dumps(graph)) == graph
    (problem,) = check(graph, small_nodes.without_files())
    assert problem.kind == "unknown-node" and f"'t/{name}'" in problem.message


def test_opening_and_judging_a_file_reads_that_file_alone_and_runs_nothing(tmp_path):
    """S11: a graph may name any node, file and address; until somebody runs it, they are words."""
    names = ["/etc/passwd", "../../secret", "https://example.com/a.png", "file:///etc/passwd", "\\\\server\\share"]
    graph = Graph().with_nodes(Node(f"n{i}", "small/text", {"value": name}) for i, name in enumerate(names))
    graph = graph.with_node(Node("save", "small/save", {"name": "/etc/x"})).with_node(Node("x", "os/system", {"command": "id"}))
    write(tmp_path / "a.graph", graph)
    code = """
        import sys
        from pathlib import Path
        import small_nodes
        from nodegraph import graphfile, plan

        known, watched, opened = small_nodes.without_files(), set(), []
        known.functions = dict.fromkeys(known.functions)
        graphfile.read(Path(sys.argv[1]))  # Python loads what it needs for text
        sys.addaudithook(lambda event, arguments: opened.append((event, str(arguments[0]))) if event in watched else None)
        watched |= {"open", "socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "exec"}
        problems = plan.check(graphfile.read(Path(sys.argv[1]), known), known)
        watched.clear()
        print([problem.node_id for problem in problems], opened)
    """
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (Path(__file__).parent, Path(__file__).parents[2])))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "a.graph"], capture_output=True, text=True, check=True, env=path
    )
    assert done.stdout.strip() == f"['save', 'x'] {[('open', str(tmp_path / 'a.graph'))]}"


def test_a_file_of_a_newer_format_opens_only_when_one_insists_and_keeps_what_it_says():
    text = json.dumps({"format": 2, "app": "nodegraph 9.0", "nodes": {"n": {"type": "t", "glow": 3}}, "links": [], "timeline": [1, 2]})
    with pytest.raises(NewerFormat, match=r"newer version \(nodegraph 9\.0\)"):
        parse(text)
    graph = parse(text, newer=True)
    again = json.loads(dumps(graph))
    assert again["timeline"] == [1, 2] and again["nodes"]["n"]["glow"] == 3


# -- what cannot be written is not written


@pytest.mark.parametrize(
    "value,words",
    [
        (float("nan"), "nodes.n.values.x is nan, which a graph cannot hold"), (float("inf"), "is inf"), (2**64, "too large"), ({1, 2}, "is a set, which a graph cannot hold"),
        ({3: 4}, "a name that is not text"), ([{"a": object()}], "nodes.n.values.x[0].a is a object"), ("\ud800", "not valid Unicode"), ({"\udc00": 1}, "not valid Unicode"), (b"x", "is a bytes"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("compact", [True, False])
def test_a_value_that_no_file_can_hold_is_refused_with_its_place(tmp_path, value, words, compact):
    """F3"""
    graph = Graph().with_node(Node("n", "t", {"x": value}))
    with pytest.raises(GraphFileError) as error:
        dumps(graph, compact)
    assert words in error.value.message and error.value.message.isprintable()
    path = tmp_path / "a.graph"
    write(path, Graph())
    before = path.read_bytes()
    with pytest.raises(GraphFileError):
        write(path, graph)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.graph"]


def nested(levels):
    value = 0
    for _ in range(levels):
        value = [value]
    return value


def test_a_value_that_is_nested_too_deeply_is_refused_not_crashed_on():
    for value in (nested(100), nested(5000)):
        for compact in (True, False):
            with pytest.raises(GraphFileError, match="nested too deeply"):
                dumps(Graph().with_node(Node("n", "t", {"x": value})), compact)


@pytest.mark.parametrize(
    "graph",
    [
        Graph().with_group(Group("g", color="", title="")).with_note(Note("n", color="")),
        Graph().with_node(Node("n", "t", {"file": Path("a/b"), "pair": (1, 2)}, (-0.0, 1e300), size=(3, 2**60 + 0.5))),
        Graph().with_meta(unknown={"nodes": {}}, title=""),
        Graph({"a": Node("a", "t"), "b": Node("b", "t")}, {"b": (Link("a", "o", "b", "z"), Link("a", "o", "b", "c")), "a": ()}),
        Graph(extra={"format": 7, "nodes": None}),
    ],
)
def test_odd_but_honest_graphs_can_be_saved(tmp_path, graph):
    if graph.extra:  # nothing that is kept may take the place of what is known
        assert parse(dumps(graph)) == Graph()
        return
    write(tmp_path / "a.graph", graph)
    again = read(tmp_path / "a.graph")
    assert again.nodes.keys() == graph.nodes.keys() and again.meta == graph.meta and set(again.links) == set(graph.links)
    write(tmp_path / "b.graph", again)
    assert (tmp_path / "a.graph").read_bytes() == (tmp_path / "b.graph").read_bytes()


# -- upgrades


@pytest.fixture
def newer(small):
    @node(
        "small/paint2", version=4,
        upgrades={1: renamed("cfg", "scale"), 2: lambda i: {**renamed("scale", "guidance")(i), "steps": i["steps"] * 2}, 3: renamed_output("out", "picture")},
    )  # fmt: skip
    def paint(first: int = 0, guidance: float = 1.0, steps: int = 1) -> int:
        return 0

    @node("small/twice", version=3, upgrades={1: renamed_output("a", "b"), 2: renamed_output("b", "c")})
    def twice(x: int = 0) -> int:
        return 0

    @node("small/change", version=3, upgrades={1: removed("old"), 2: added("new", 5)})
    def change(new: int = 0) -> int:
        return 0

    for function in (paint, twice, change):
        small.add_function(function)
    return small


def test_values_and_links_follow_a_renamed_input(newer):
    graph = Graph().with_nodes(
        [
            Node("n", "small/number"),
            Node("p", "small/paint2", {"cfg": 7.0, "steps": 10}),
            Node("q", "small/paint2", {"cfg": 3.0, "steps": 1}),
        ]
    )
    graph = graph.with_link(Link("n", "value", "p", "cfg")).with_link(Link("p", "out", "q", "first"))
    now = upgraded(graph, newer)
    assert now.nodes["p"].values == {"guidance": 7.0, "steps": 20} and now.nodes["p"].version == 4 == now.nodes["q"].version
    assert set(now.links) == {Link("n", "value", "p", "guidance"), Link("p", "picture", "q", "first")}
    assert upgraded(now, newer) is now
    assert graph.nodes["p"].values == {"cfg": 7.0, "steps": 10}, "the old graph is as it was"


def test_a_link_at_an_input_that_an_upgrade_computes_with_stays(newer):
    graph = (
        Graph()
        .with_nodes([Node("n", "small/count"), Node("p", "small/paint2", {"cfg": 7.0, "steps": 10})])
        .with_link(Link("n", "value", "p", "steps"))
    )
    assert upgraded(graph, newer).links == graph.links


def test_an_output_renamed_twice_is_followed_to_its_last_name(newer):
    graph = Graph().with_nodes([Node("t", "small/twice"), Node("c", "small/count")]).with_link(Link("t", "a", "c", "value"))
    assert upgraded(graph, newer).links == (Link("t", "c", "c", "value"),)
    assert upgraded(graph.changed("t", version=2), newer).links == graph.links, "in version 2 there was no 'a'"


def test_a_removed_input_takes_its_link_along_and_an_added_one_keeps_the_old_picture(newer):
    graph = Graph().with_nodes([Node("n", "small/count"), Node("c", "small/change", {"old": 3})]).with_link(Link("n", "value", "c", "old"))
    now = upgraded(graph, newer)
    assert not now.links and now.nodes["c"].values == {"new": 5}


def test_definitions_are_upgraded_with_their_promoted_inputs_and_outputs(newer):
    inner = Graph().with_nodes([Node("p", "small/paint2", {"cfg": 7.0, "steps": 1}), Node("t", "small/twice"), Node("c", "small/change")])
    d = Subgraph(
        inner,
        (SubgraphInput("strength", (("p", "cfg"),)), SubgraphInput("gone", (("c", "old"),)), SubgraphInput("lost", (("nobody", "x"),))),
        (SubgraphOutput("o", "p", "out"), SubgraphOutput("t", "t", "a")),
    )
    graph = Graph().with_subgraph("s", d).with_node(Node("i", "subgraph/s", {"strength": 2.0}))
    now = upgraded(graph, newer)
    assert now.subgraphs["s"].inputs == (
        SubgraphInput("strength", (("p", "guidance"),)),
        SubgraphInput("gone", ()),
        SubgraphInput("lost", (("nobody", "x"),)),
    )
    assert now.subgraphs["s"].outputs == (SubgraphOutput("o", "p", "picture"), SubgraphOutput("t", "t", "c"))
    assert parse(dumps(now)) == now


def test_a_node_whose_upgrade_fails_stays_as_it_was_and_is_told(newer):
    graph = Graph().with_node(Node("p", "small/paint2", {"cfg": 7.0}))
    now = upgraded(graph, newer)
    assert now == graph
    told = [p for p in check(now, newer) if p.kind == "older-node"]
    assert len(told) == 1 and "could not be brought up to date (KeyError: 'steps'). Look at its values." in told[0].message


def test_nodes_that_are_not_known_or_newer_are_left_alone(newer):
    graph = Graph().with_nodes([Node("x", "gone/node", {"a": 1}, version=1), Node("p", "small/paint2", {"cfg": 1}, version=9)])
    assert upgraded(graph, newer) is graph


# -- saving


def test_a_save_leaves_the_file_its_backups_and_nothing_else(tmp_path):
    path = tmp_path / "a.graph"
    for i in range(6):
        write(path, Graph().with_meta(number=i))
    assert read(path).meta == {"number": 5} and [read(b).meta["number"] for b in backups_of(path)] == [4, 3, 2]
    assert sorted(os.listdir(tmp_path)) == [".graph-backups", "a.graph"] and sorted(os.listdir(tmp_path / ".graph-backups")) == [
        "a.graph.1",
        "a.graph.2",
        "a.graph.3",
    ]
    write(path, Graph().with_meta(number=5))
    assert [read(b).meta["number"] for b in backups_of(path)] == [4, 3, 2], "saving what is there already pushes no older version out"
    write(tmp_path / "b.graph", Graph(), backups=0)
    write(path, Graph(), backups=1)
    write(path, Graph().with_meta(number=6), backups=1)
    assert read(backups_of(path)[0]) == Graph()


def test_a_backup_that_cannot_be_made_does_not_stop_the_save(tmp_path):
    path = tmp_path / "a.graph"
    write(path, Graph())
    (tmp_path / ".graph-backups").write_text("in the way")
    write(path, Graph().with_meta(title="new"))
    assert read(path).meta["title"] == "new"


def test_permissions_and_links_stay_as_they_were(tmp_path):
    real, link = tmp_path / "real.graph", tmp_path / "link.graph"
    write(real, Graph())
    os.chmod(real, 0o640)
    link.symlink_to(real)
    write(link, Graph().with_meta(title="x"))
    assert link.is_symlink() and read(real).meta["title"] == "x" and stat.S_IMODE(real.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        write(tmp_path / "new.graph", Graph())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.graph").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["x" * 249 + ".graph", "é" * 124 + ".graph", "🌄" * 62 + ".graph"])
def test_the_longest_names_that_a_disk_holds_can_be_saved(tmp_path, name):
    write(tmp_path / name, Graph())
    write(tmp_path / name, Graph().with_meta(title="again"))
    assert read(tmp_path / name).meta["title"] == "again"


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left_behind(tmp_path):
    """F4"""
    (tmp_path / "folder.graph").mkdir()
    (tmp_path / "file").touch()
    for path, words in (
        (tmp_path / "gone" / "a.graph", "the folder is gone"), (tmp_path / "file" / "a.graph", "the folder is gone"), (tmp_path / "folder.graph", "it is a folder"),
        (tmp_path / ("x" * 300), "its name is too long"), (tmp_path / "a\0b", "no file can have this name"), (Path("/proc/a.graph"), "was not saved"),
    ):  # fmt: skip
        with pytest.raises(GraphFileError, match="was not saved") as error:
            write_atomically(path, b"x")
        assert words in error.value.message and error.value.message.isprintable()
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.graph"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_read_only_folder_is_told(tmp_path):
    os.chmod(tmp_path, 0o500)
    with pytest.raises(GraphFileError, match="you may not write there"):
        write(tmp_path / "a.graph", Graph())


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path):
    """F2"""
    code = """
        import os, resource, signal, sys
        from pathlib import Path
        from nodegraph.errors import GraphError
        from nodegraph.graph import Graph
        from nodegraph.graphfile import read, write
        path = Path(sys.argv[1])
        write(path, Graph().with_meta(title="good"))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        try:
            write(path, Graph().with_meta(title="x" * 100_000))
        except GraphError as error:
            print(error)
        write(path, Graph().with_meta(title="small"))
        assert read(path).meta["title"] == "small"
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), tmp_path / "a.graph"], capture_output=True, text=True, check=True)
    assert "the disk is full. The file on disk is as it was" in done.stdout
    assert (
        sorted(os.listdir(tmp_path)) == [".graph-backups", "a.graph"] and read(backups_of(tmp_path / "a.graph")[0]).meta["title"] == "good"
    )


def held(times):
    """os.replace as on Windows while another program reads the file: refused so many times."""
    real, refusals = os.replace, iter(range(times))

    def replace_file(source, target):
        if str(target).endswith("a.graph") and next(refusals, None) is not None:
            raise PermissionError(13, "Access is denied")
        real(source, target)

    return replace_file


def test_a_file_that_another_program_reads_just_now_is_saved_a_moment_later(tmp_path, monkeypatch):
    """F5"""
    path = tmp_path / "a.graph"
    write(path, Graph())
    monkeypatch.setattr(os, "replace", held(3))
    write(path, Graph().with_meta(title="new"))
    assert read(path).meta["title"] == "new" and not list(tmp_path.glob(".*.tmp"))


def test_a_file_that_another_program_never_lets_go_leaves_the_work_beside_it(tmp_path, monkeypatch):
    """F5"""
    path = tmp_path / "a.graph"
    write(path, Graph())
    monkeypatch.setattr(os, "replace", held(10**6))
    with pytest.raises(GraphFileError, match="Another program holds 'a.graph'. Your work is whole in '") as error:
        write(path, Graph().with_meta(title="new"))
    beside = Path(error.value.message.rpartition(" in '")[2].rstrip("'."))
    assert read(path) == Graph() and read(beside).meta["title"] == "new"


def test_what_would_not_read_back_as_the_same_graph_is_not_written(tmp_path):
    """F3: a value that says one thing to the writer and another to the reader."""

    class Shifty(str):
        def __eq__(self, other):
            return False

        __hash__ = str.__hash__

    path = tmp_path / "a.graph"
    write(path, Graph())
    with pytest.raises(GraphFileError, match="does not read back as the same graph"):
        write(path, Graph().with_node(Node("n", "t", {"x": Shifty("a")})))
    assert read(path) == Graph()


def test_killing_the_program_at_any_moment_of_a_save_leaves_the_file_whole(tmp_path):
    """F1"""
    path = tmp_path / "a.graph"
    code = """
        import sys
        from pathlib import Path
        from nodegraph.graph import Graph
        from nodegraph.graphfile import write
        graph = Graph().with_meta(filling="x" * 200_000)
        for i in range(int(sys.argv[2]), 10**9):
            write(Path(sys.argv[1]), graph.with_meta(number=i))
            print(i, flush=True)
    """
    chance, last = random.Random(4), -1
    for _ in range(9):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), path, str(last + 1)], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        time.sleep(chance.random() * 0.03)
        child.send_signal(signal.SIGKILL)
        said = [last, *map(int, (line for line in child.communicate()[0].split("\n") if line.isdigit()))]
        graph = read(path)
        assert graph.meta["number"] >= max(said), "the last save that was told is there"
        assert all(len(read(backup).meta["filling"]) == 200_000 for backup in backups_of(path))
        last = graph.meta["number"]


def test_two_that_save_the_same_file_at_once_leave_one_of_both_whole(tmp_path):
    path = tmp_path / "a.graph"
    code = """
        import sys
        from pathlib import Path
        from nodegraph.graph import Graph
        from nodegraph.graphfile import write
        for i in range(40):
            write(Path(sys.argv[1]), Graph().with_meta(number=i, by=sys.argv[2], filling=sys.argv[2] * 20_000))
    """
    children = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), path, by]) for by in "ab"]
    assert [child.wait() for child in children] == [0, 0]
    for file in (path, *backups_of(path)):
        graph = read(file)
        assert graph.meta["filling"] == graph.meta["by"] * 20_000
    assert not list(tmp_path.rglob("*.tmp"))


# -- pictures that carry their graph


def picture(size=8):
    file = BytesIO()
    Image.new("RGB", (size, size), "red").save(file, "PNG")
    return file.getvalue()


def carried(graph):
    return embedded(picture(), {PNG_KEYWORD: dumps(graph, compact=True), "parameters": "ein Schloß"})


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_a_picture_gives_back_the_graph_it_carries(tmp_path, path):
    graph = read(path)
    (tmp_path / "a.png").write_bytes(carried(graph))
    assert read(tmp_path / "a.png") == graph
    (tmp_path / "renamed.graph").write_bytes(carried(graph))
    assert read(tmp_path / "renamed.graph") == graph, "it is the content that counts"
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.text["parameters"] == "ein Schloß" and parse(image.text[PNG_KEYWORD]) == graph


def test_a_graph_of_several_megabytes_rides_in_a_picture_that_others_can_still_open(tmp_path):
    graph = Graph().with_nodes(Node(f"n{i}", "t", {"text": f"é{i}" * 300}) for i in range(3000))
    (tmp_path / "a.png").write_bytes(carried(graph))
    assert (tmp_path / "a.png").stat().st_size > 3 * 2**20
    with Image.open(tmp_path / "a.png") as image:
        image.load()
    assert read(tmp_path / "a.png") == graph


def chunk(kind, body, length=None):
    return struct.pack(">I", len(body) if length is None else length) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize(
    "chunks,words",
    [
        (b"", "carries no graph"), (chunk(b"tEXt", b"other\0{}"), "carries no graph"), (chunk(b"tEXt", b""), "carries no graph"),
        (chunk(b"tEXt", b"nodegraph"), "not valid JSON"), (chunk(b"tEXt", b"nodegraph\0"), "not valid JSON"), (chunk(b"tEXt", b"nodegraph\0{}"), "not a Nodegraph graph"),
        (chunk(b"iTXt", b"nodegraph"), "carries no graph"), (chunk(b"iTXt", b"nodegraph\0"), "carries no graph"), (chunk(b"iTXt", b"nodegraph\0\0\0"), "carries no graph"),
        (chunk(b"iTXt", b"nodegraph\0\0\0\0"), "carries no graph"), (chunk(b"iTXt", b"nodegraph\0\1\0\0\0" + zlib.compress(b"{}")), "carries no graph"),
        (chunk(b"zTXt", b"nodegraph\0\0" + zlib.compress(b" " * 10**7)), "carries no graph"), (chunk(b"tEXt", b"nodegraph\0{", 2**31), "too large to be a graph"),
        (chunk(b"tEXt", b"nodegraph\0{", 10**6), "is not"), (chunk(b"IDAT", b"x", 2**32 - 1), "carries no graph"), (chunk(b"tEXt", b"nodegraph\0\xff\xfe"), "not a text file"),
        (chunk(b"IEND", b"") + chunk(b"tEXt", b'nodegraph\0{"format":1,"nodes":{}}'), "carries no graph"),
    ],
)  # fmt: skip
def test_hostile_chunks_are_refused(tmp_path, chunks, words):
    """S17"""
    whole = picture()
    (tmp_path / "a.png").write_bytes(whole[:33] + chunks + whole[33:])
    with pytest.raises(GraphFileError, match=words):
        read(tmp_path / "a.png")


def test_a_picture_cut_off_or_damaged_anywhere_never_crashes(tmp_path):
    whole, path = carried(read(next(p for p in STORED if p.stem == "unicode"))), tmp_path / "a.png"
    chance = random.Random(1)
    for i in range(500):
        data = bytearray(whole[: chance.randrange(len(whole))] if i % 2 else whole)
        if data and not i % 2:
            data[chance.randrange(min(len(data), 80))] = chance.randrange(256)
        path.write_bytes(data)
        try:
            read(path)
        except GraphError:
            pass


def test_only_a_png_can_carry_a_graph():
    with pytest.raises(ValueError, match="not a PNG"):
        embedded(b"GIF89a", {})
