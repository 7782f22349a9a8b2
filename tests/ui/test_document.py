"""The document: edits, undo, subgraph scopes, run states and what counts as unsaved."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Group, Link, Node, Note, Subgraph
from ui.canvas.model import RunState
from ui.document import Document
from ui.undo import Step, UndoStack


def node(name: str, **fields: object) -> Node:
    return Node(name, "test/node", **fields)  # type: ignore[arg-type]


def two() -> Graph:
    return Graph().with_node(node("a")).with_node(node("b")).with_link(Link("a", "value", "b", "input"))


def nested() -> Graph:
    inner = Graph().with_node(node("deep"))
    return Graph().with_subgraph("hires", Subgraph(inner, title="Hi-res")).with_node(Node("one", "subgraph/hires"))


@pytest.fixture
def document(qapp):
    return Document({}, two())


def test_an_edit_tells_what_changed_and_undo_brings_the_old_graph_back(document, qtbot):
    before = document.root
    with qtbot.waitSignal(document.changed) as heard:
        document.edit("Set value", lambda graph: graph.with_value("a", "steps", 7))
    assert heard.args[0].changed == {"a"}
    assert document.undo() == "Set value"
    assert document.root is before
    assert document.redo() == "Set value"
    assert document.root.nodes["a"].values == {"steps": 7}


def test_an_edit_that_is_not_possible_changes_nothing(document):
    before = document.root
    with pytest.raises(GraphError):
        document.edit("Link", lambda graph: graph.with_link(Link("b", "value", "a", "input")))
    assert document.root is before
    assert not document.history.can_undo


def test_a_burst_of_typing_is_one_step_and_a_pause_begins_another(document):
    for text in ("w", "wi", "win"):
        document.edit("Type", lambda graph, text=text: graph.with_value("a", "text", text), merge="a.text")
    document.seal()
    document.edit("Type", lambda graph: graph.with_value("a", "text", "wind"), merge="a.text")
    assert [step.label for step in document.history.done] == ["Type", "Type"]
    document.undo()
    assert document.root.nodes["a"].values["text"] == "win"
    document.undo()
    assert document.root.nodes["a"].values == {}


def test_a_scrub_that_ends_where_it_began_leaves_no_step(document):
    document.edit("Scrub", lambda graph: graph.with_value("a", "steps", 9), merge="scrub")
    document.edit("Scrub", lambda graph: graph.without_value("a", "steps"), merge="scrub")
    assert not document.history.can_undo
    assert not document.is_dirty


def test_undo_restores_the_selection_that_the_edit_was_made_with(document):
    document.select({"a"})
    document.edit("Delete", lambda graph: graph.without("a"))
    assert document.selection == frozenset()
    document.undo()
    assert document.selection == {"a"}


def test_undo_never_loses_previews(document):
    document.set_states({"a": RunState("done", seconds=1.5)})
    document.edit("Delete", lambda graph: graph.without("a"))
    document.undo()
    assert document.states["a"] == RunState("done", seconds=1.5)


def test_run_states_do_not_make_a_document_unsaved(document):
    document.set_states({"a": RunState("running", done=3, total=20)})
    assert not document.is_dirty


def test_a_document_is_unsaved_until_it_is_saved_or_undone(document):
    document.edit("Move", lambda graph: graph.moved(["a"], 8, 0))
    assert document.is_dirty
    document.undo()
    assert not document.is_dirty
    document.redo()
    written = document.root
    document.edit("Move", lambda graph: graph.moved(["a"], 8, 0))
    document.mark_saved(written)
    assert document.is_dirty, "an edit made while the file was being written is not in it"


def test_an_edit_inside_a_subgraph_changes_its_definition(qapp):
    document = Document({}, nested())
    document.enter("one")
    document.edit("Move", lambda graph: graph.moved(["deep"], 16, 0))
    assert document.root.subgraphs["hires"].graph.nodes["deep"].position == (16, 0)
    assert [name for name, _ in document.crumbs()] == ["Untitled", "Hi-res"]
    document.leave()
    document.undo()
    assert document.scope == ("one",), "undo shows where the step was made"


def test_states_inside_a_subgraph_are_shown_when_it_is_open(qapp):
    document = Document({}, nested())
    document.set_states({"one/deep": RunState("running")})
    assert "deep" not in document.states
    document.enter("one")
    assert document.states["deep"].state == "running"


def test_a_plain_node_cannot_be_entered(document):
    with pytest.raises(GraphError, match="not a subgraph"):
        document.enter("a")


def test_undoing_what_made_the_open_subgraph_leads_back_to_the_top(qapp):
    document = Document({}, Graph())
    document.edit_root("Make a subgraph", lambda graph: nested())
    document.enter("one")
    document.undo()
    assert document.scope == ()


def test_old_steps_go_first_when_the_budget_is_spent():
    stack = UndoStack(budget=50_000)
    graph = two()
    for number in range(10):
        after = graph.with_value("a", "mask", str(number) * 10_000)
        stack.push(Step(f"step {number}", graph, after))
        graph = after
    assert 1 <= len(stack.done) < 10
    assert stack.done[-1].label == "step 9"


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])
EDITS = st.one_of(
    st.tuples(st.just("add"), NAMES),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("move"), NAMES),
    st.tuples(st.just("value"), NAMES, st.integers(0, 5)),
    st.tuples(st.just("type"), NAMES, st.text("xy", max_size=3)),
    st.tuples(st.just("link"), NAMES, NAMES),
    st.tuples(st.just("note"), NAMES),
    st.tuples(st.just("group"), NAMES),
    st.tuples(st.just("select"), NAMES),
    st.just(("undo",)),
    st.just(("redo",)),
)


def carry_out(document: Document, edit: tuple) -> None:
    kind, *rest = edit
    name = rest[0] if rest else ""
    graph = document.graph
    if kind == "undo":
        document.undo()
    elif kind == "redo":
        document.redo()
    elif kind == "select":
        document.select({name})
    elif kind == "add":
        document.edit("Add", lambda g: g.with_node(node(g.free_id(name))))
    elif kind == "note":
        document.edit("Note", lambda g: g.with_note(Note(g.free_id("note"), name)))
    elif kind == "group":
        document.edit("Group", lambda g: g.with_group(Group(g.free_id("group"), members=frozenset({name}))))
    elif kind == "link":
        try:
            document.edit("Link", lambda g: g.with_link(Link(name, "value", rest[1], "input")))
        except GraphError:
            assert document.graph is graph
    elif name in graph.nodes:
        if kind == "delete":
            document.edit("Delete", lambda g: g.without(name))
        elif kind == "move":
            document.edit("Move", lambda g: g.moved([name], 8, 8))
        elif kind == "value":
            document.edit("Value", lambda g: g.with_value(name, "steps", rest[1]))
        elif kind == "type":
            document.edit("Type", lambda g: g.with_value(name, "text", rest[1]), merge=name)


@settings(max_examples=60, deadline=None)
@given(st.lists(EDITS, max_size=60))
def test_a_long_walk_of_edits_undone_ends_where_it_began_and_redone_where_it_ended(qapp, walk):
    start = two()
    document = Document({}, start)
    shown = {"graph": start}
    document.changed.connect(lambda change: shown.update(graph=follow(shown["graph"], document.graph, change)))
    for edit in walk:
        carry_out(document, edit)
        assert shown["graph"] == document.graph, "what was told is what changed"
    end = document.root
    while document.undo():
        pass
    assert document.root == start
    assert not document.is_dirty
    while document.redo():
        pass
    if not any(edit == ("undo",) for edit in walk):
        assert document.root == end


def follow(old: Graph, new: Graph, change) -> Graph:
    """Redraw as a view does: only what the change names is taken from the new graph."""
    assert set(new.nodes) - set(old.nodes) == change.added and set(old.nodes) - set(new.nodes) == change.removed
    assert set(new.links) - set(old.links) == change.linked and set(old.links) - set(new.links) == change.unlinked
    assert {n for n in set(old.nodes) & set(new.nodes) if old.nodes[n] != new.nodes[n]} == change.changed
    return new
