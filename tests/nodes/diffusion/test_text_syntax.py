"""The syntax of prompts: each rule by example, and by properties."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import GraphError
from nodes.diffusion.prompt_syntax import Part, Piece, parse, pieces, schedule, weighted, wildcards, without_comments


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("a (red:1.2) fox", [("a ", 1.0), ("red", 1.2), (" fox", 1.0)]),
        ("(a)", [("a", 1.1)]),
        ("((a)) b", [("a", 1.1 * 1.1), (" b", 1.0)]),
        ("(a (b:1.2) c:1.5)", [("a ", 1.5), ("b", 1.2), (" c", 1.5)]),
        ("((a:1.2))", [("a", 1.2)]),
        ("[a] {b", [("[a] {b", 1.0)]),
        (r"\(hi\) (x:0.5)", [("(hi) ", 1.0), ("x", 0.5)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:)", [("a:", 1.1)]),
        ("(:1.2)", [(":1.2", 1.1)]),
        ("(a:-1)", [("a", -1.0)]),
        ("(a (b", [("(a (b", 1.0)]),
        ("a) b (c)", [("a) b (c)", 1.0)]),
        ("", []),
    ],
)
def test_weights_follow_comfyuis_rule(text, runs):
    assert [(run, pytest.approx(weight)) for run, weight in weighted(text)] == runs


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a cat", [(0, 1, "a cat")]),
        ("a [cat:dog:0.4] here", [(0, 0.4, "a cat here"), (0.4, 1, "a dog here")]),
        ("[dog:0.25]", [(0, 0.25, ""), (0.25, 1, "dog")]),
        ("[cat::5]", [(0, 0.5, "cat"), (0.5, 1, "")]),
        ("[a:b:1]", [(0, 0.1, "a"), (0.1, 1, "b")]),
        ("[a:b:1.0]", [(0, 1, "a")]),
        ("[a:b:0]", [(0, 1, "b")]),
        ("[a:b:99]", [(0, 1, "a")]),
        ("[a:[b:c:0.8]:0.4]", [(0, 0.4, "a"), (0.4, 0.8, "b"), (0.8, 1, "c")]),
        ("[(a:1.3):b:0.5]", [(0, 0.5, "(a:1.3)"), (0.5, 1, "b")]),
        ("(x [a:b:0.5]:1.2)", [(0, 0.5, "(x a:1.2)"), (0.5, 1, "(x b:1.2)")]),
        ("[word] and [a: b]", [(0, 1, "[word] and [a: b]")]),
        (r"\[a:b:0.5\]", [(0, 1, "[a:b:0.5]")]),
        ("[a:b:-1]", [(0, 1, "[a:b:-1]")]),
    ],
)
def test_schedules_change_the_prompt_over_the_steps(text, parts):
    assert schedule(text, steps=10) == [Part(*part) for part in parts]


def test_alternation_changes_every_step():
    assert [(p.start, p.text) for p in schedule("[a|b|c]", 4)] == [(0, "a"), (0.25, "b"), (0.5, "c"), (0.75, "a")]
    assert [p.text for p in schedule("[a|b] [c:d:0.5]", 4)] == ["a c", "b c", "a d", "b d"]


def test_wildcards_choose_by_seed_and_nest():
    text = "a {red|green|blue} {cat|{big|small} dog}"
    assert wildcards(text, 3) == wildcards(text, 3)
    chosen = {wildcards(text, seed) for seed in range(200)}
    assert chosen == {f"a {c} {x}" for c in ("red", "green", "blue") for x in ("cat", "big dog", "small dog")}
    assert wildcards(r"\{a|b\} {", 1) == "{a|b} {"


def test_comments_are_left_out():
    assert without_comments("# plan\na cat // fluffy\n on grass /* or\n snow */ at https://x.y") == "\na cat \n on grass   at https://x.y"


def test_break_and_embeddings_become_pieces():
    assert pieces("a BREAK (embedding:style:1.2), b") == [
        Piece("a "), Piece("", is_break=True), Piece("", 1.2, "style"), Piece(", b"),
    ]  # fmt: skip
    assert pieces("BREAKFAST") == [Piece("BREAKFAST")]
    assert pieces("noembedding:x") == [Piece("noembedding:x")]


def test_absurd_prompts_are_refused_in_words():
    for text in ("(" * 200 + "a" + ")" * 200, "[" * 200 + "]" * 200, "{" * 200 + "}" * 200):
        with pytest.raises(GraphError, match="more than 64 deep"):
            parse(text)
    with pytest.raises(GraphError, match="100001 characters"):
        parse("a" * 100_001)


signs = st.text(alphabet="ab :1.5()[]{}|\\,\n", max_size=60)


@given(signs, st.integers(1, 30), st.integers(0, 5))
def test_any_text_parses_to_parts_that_cover_all_steps_once(text, steps, seed):
    parts = [part for part, _ in parse(text, steps, seed)]
    assert parts[0].start == 0 and parts[-1].end == 1
    assert all(a.end == b.start and a.text != b.text for a, b in itertools.pairwise(parts))


@given(st.text(alphabet="ab :1.5\\,", max_size=40))
def test_text_without_brackets_is_left_alone(text):
    text = text.replace("\\", "")
    assert "".join(run for run, _ in weighted(text)) == text
    assert all(weight == 1 for _, weight in weighted(text))


@given(st.text(alphabet="ab ,", min_size=1, max_size=20), st.floats(-3, 3).map(lambda w: round(w, 2)))
def test_an_explicit_weight_is_read_back(word, weight):
    assert weighted(f"({word}:{weight})") == [(word, weight)]


@given(st.integers(1, 12))
def test_each_pair_of_parentheses_multiplies_by_a_tenth(depth):
    assert weighted("(" * depth + "a" + ")" * depth) == [("a", pytest.approx(1.1**depth))]
