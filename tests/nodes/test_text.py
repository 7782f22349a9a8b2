"""Texts joined, filled in, taken apart, and chosen by chance."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodegraph.errors import GraphError
from nodes.text import (
    all_variations,
    clean_text,
    extract_from_text,
    fill_in_template,
    join_list_of_texts,
    join_texts,
    lines_of_text,
    load_text,
    replace_in_text,
    split_text,
    text_contains,
    text_to_number,
    text_value,
    value_to_text,
    wildcards,
)


def test_joining_leaves_no_gap_for_what_is_empty():
    assert join_texts("a fox", "", "  ", "sharp") == "a fox, sharp"
    assert join_texts("a", "", "b", between="\\n", keep_empty=True) == "a\n\nb\n"
    assert join_list_of_texts(["a", "b"], " | ") == "a | b"
    assert text_value("x") == "x"


def test_replacing_goes_letter_by_letter_or_by_pattern():
    assert replace_in_text("a.b.c", ".", "-") == "a-b-c"
    assert replace_in_text("Fox fox", "fox", r"\1", any_case=True) == r"\1 \1"
    assert replace_in_text("red fox", r"(\w+) (\w+)", r"\2 \1", pattern=True) == "fox red"
    assert replace_in_text("same", "", "x") == "same"
    for find, put in (("(", "x"), ("a", r"\9")):
        with pytest.raises(GraphError, match="not a pattern"):
            replace_in_text("abc", find, put, pattern=True)


def test_extracting_takes_the_first_that_fits():
    assert extract_from_text("seed 42, steps 20", r"steps (\d+)", 1) == "20"
    assert extract_from_text("none", r"\d+", otherwise="0") == "0"
    assert extract_from_text("ab", "(a)|(c)", 2) == ""
    with pytest.raises(GraphError, match="brackets number 3"):
        extract_from_text("a", "(a)", 3)
    with pytest.raises(GraphError, match="not a pattern"):
        extract_from_text("a", "[")


def test_a_template_fills_only_its_own_gaps():
    assert fill_in_template("{a} and {b}, {c|d} {e} {}", "x{b}", "y") == "x{b} and y, {c|d} {e} {}"


def test_lines_and_parts_become_lists():
    assert lines_of_text("one\n\n # no\n two ") == ["one", "two"]
    assert lines_of_text("1\n2\n3\n4", 1, 2) == ["2", "3"]
    assert split_text("a, b,, c ") == ["a", "b", "c"]
    assert split_text("a\nb", "\\n") == ["a", "b"]
    for wrong in (lambda: lines_of_text("# x"), lambda: split_text(" , "), lambda: split_text("a", "")):
        with pytest.raises(GraphError):
            wrong()


def test_texts_come_from_files_in_utf8(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffein Füchslein\n".encode())
    assert load_text(tmp_path / "a.txt") == "ein Füchslein\n"
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GraphError, match="UTF-8"):
        load_text(tmp_path / "b.txt")
    with pytest.raises(GraphError, match="cannot be read"):
        load_text(tmp_path / "c.txt")


def test_cleaning_tidies_spaces_letters_and_doubles():
    assert clean_text("  a   fox \n b ") == "a fox\nb"
    assert clean_text("fox, Red, red, fox , blue", doubles=True) == "fox, Red, blue"
    assert [clean_text("a Fox", letters) for letters in ("lower", "upper", "title")] == ["a fox", "A FOX", "A Fox"]


def test_numbers_become_texts_and_back():
    assert [value_to_text(v) for v in (3, 0.1, True, "x")] == ["3", "0.1", "on", "x"]
    assert value_to_text(3.14159, 2) == "3.14"
    assert text_to_number(" 1e-4 ") == 1e-4
    for text in ("", "x", "nan", "inf", "1_000"):
        with pytest.raises(GraphError, match="not a number"):
            text_to_number(text)
    assert text_contains("A Red Fox", "red") and not text_contains("A Red Fox", "red", False)


# -- chance


def test_the_same_seed_makes_the_same_choices_and_all_of_them_come_up():
    text = "a {red|green|blue} {fox|{big|small} bear}"
    made = {wildcards(text, i) for i in range(300)}
    assert made == {f"a {c} {t}" for c in ("red", "green", "blue") for t in ("fox", "big bear", "small bear")}
    assert [wildcards(text, i) for i in range(20)] == [wildcards(text, i) for i in range(20)]


def test_several_are_chosen_without_doubles_and_weights_count():
    for i in range(50):
        parts = wildcards("{2$$ and $$oak|elm|ash}", i).split(" and ")
        assert len(set(parts)) == 2 and set(parts) <= {"oak", "elm", "ash"}
        assert len(wildcards("{1-3$$a|b|c}", i).split(", ")) in (1, 2, 3)
    drawn = Counter(wildcards("{9::often|seldom|0::never}", i) for i in range(2000))
    assert drawn["often"] / 2000 == pytest.approx(0.9, abs=0.03)  # four standard deviations
    assert drawn["never"] == 0


def test_braces_without_a_choice_and_marked_signs_stay():
    assert wildcards("{x} {a {b", 0) == "{x} {a {b"
    assert wildcards(r"\{a|b\}", 0) == "{a|b}"


def test_lists_come_from_files_and_may_call_each_other(tmp_path):
    (tmp_path / "animals.txt").write_text("# mine\nfox\n\n__birds__\n")
    (tmp_path / "birds.txt").write_text("{wren|robin}\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "trees.txt").write_text("oak\n")
    assert {wildcards("__animals__", i, tmp_path) for i in range(60)} == {"fox", "wren", "robin"}
    assert wildcards("__deep/trees__ __d*__", 0, tmp_path) == "oak oak"
    with pytest.raises(GraphError, match=r"no list 'fish'.*animals"):
        wildcards("__fish__", 0, tmp_path)
    with pytest.raises(GraphError, match="no folder"):
        wildcards("x", 0, tmp_path / "nowhere")


def test_lists_that_call_themselves_end_with_a_sentence(tmp_path):
    (tmp_path / "a.txt").write_text("__a__ __a__\n")
    with pytest.raises(GraphError, match="call itself"):
        wildcards("__a__", 0, tmp_path)
    with pytest.raises(GraphError, match="nested"):
        wildcards("{" * 50 + "x" + "}" * 50, 0)
    with pytest.raises(GraphError, match="3 of 2 choices"):
        wildcards("{3$$a|b}", 0)


@given(st.text(alphabet="ab{}|$:2-_\\ ", max_size=40), st.integers(0, 5))
def test_no_text_breaks_the_choices(text, seed):
    try:
        wildcards(text, seed)
        all_variations(text)
    except GraphError:
        pass


def test_all_variations_are_made_in_order_and_no_more_than_the_limit():
    assert all_variations("{a|b} {x|{y|z}}") == ["a x", "a y", "a z", "b x", "b y", "b z"]
    assert all_variations("plain {one}") == ["plain {one}"]
    assert all_variations("{3::a|b}") == ["a", "b"]
    with pytest.raises(GraphError, match="more than 8"):
        all_variations("{a|b}" * 4, 8)
