"""Words are offered while a prompt for the shipped model is typed, and only then; the first page tells them."""

from dataclasses import replace

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton

from nodegraph.errors import Problem
from nodegraph.graph import Graph
from nodegraph.node import Text
from nodegraph.spec import Input, NodeSpec
from ui import vocabulary
from ui.document import Document
from ui.known_words import KnownWords, WordsSheet
from ui.panels.controls import EditorContext, make_editor
from ui.panels.problems import ProblemCard, Trouble
from ui.repairs import is_about_words

PROMPT = Input("text", "str", default="", markers=(Text(4, prompt=True),))


def typed(qtbot, text: str, words: tuple[str, ...]):
    editor = make_editor(PROMPT, "", None, EditorContext(vocabulary=lambda: words))
    qtbot.addWidget(editor)
    editor.show()
    qtbot.keyClicks(editor.area, text)
    model = editor.completer.completionModel()
    return editor, [model.index(row, 0).data() for row in range(model.rowCount())] if editor.is_offering() else []


def test_the_words_that_begin_as_what_is_typed_are_offered_and_taken(qtbot):
    editor, offered = typed(qtbot, "a red mus", ("mushroom", "house", "in the snow"))
    assert offered == ["mushroom"]
    editor._complete("mushroom")
    assert editor.area.toPlainText() == "a red mushroom"


def test_a_word_that_is_there_in_full_is_not_offered_again(qtbot):
    assert typed(qtbot, "a house", ("mushroom", "house"))[1] == []


def test_a_model_that_knows_every_word_offers_none(qtbot):
    assert typed(qtbot, "a red mus", ())[1] == []


def test_running_while_words_are_offered_takes_the_list_away_and_counts_what_was_typed(qtbot):
    editor, offered = typed(qtbot, "a penguin in the snow", ("snowman",))
    assert offered == ["snowman"]
    qtbot.keyClick(editor.area, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert not editor.is_offering() and editor.value == "a penguin in the snow"
    assert editor.count.text() == "5 / 75 tokens"


def test_the_shipped_model_tells_its_words_to_graphs_that_use_it():
    assert "fox" in vocabulary.shipped_words() and "in the snow" in vocabulary.shipped_words()
    starter, _ = Graph().added("loaders/checkpoint", file="starter")
    other, _ = starter.added("loaders/checkpoint", file="juniper-xl.safetensors")
    assert vocabulary.uses_shipped_model(starter)
    assert not vocabulary.uses_shipped_model(other) and not vocabulary.uses_shipped_model(Graph())


def test_the_first_page_tells_some_words_and_shows_every_one_on_demand(qtbot):
    page = KnownWords()
    qtbot.addWidget(page)
    page.show()
    things = vocabulary.shipped_groups()["Things"]
    told = [label.text() for label in page.findChildren(QLabel)]
    assert any(text.startswith("Things: ") and text.endswith(f"{things[11]} and {len(things) - 12} more") for text in told)
    qtbot.mouseClick(page.all, Qt.MouseButton.LeftButton)
    sheet = page.findChild(WordsSheet)
    assert ", ".join(sorted(things)) in [label.text() for label in sheet.findChildren(QLabel)]
    sheet.close()


def test_the_card_about_words_that_the_model_does_not_know_shows_those_that_it_does(qtbot):
    graph, _ = Graph().added("loaders/checkpoint", file="starter")
    graph, prompt = graph.added("conditioning/prompt", text="a table")
    graph, seen = graph.added("image/load")
    specs = {"conditioning/prompt": spec("conditioning/prompt", PROMPT), "image/load": spec("image/load")}
    document = Document(specs, graph)
    problem = Problem("This small model does not know 'table'.", prompt, severity="warning", kind="warning")
    card = ProblemCard(Trouble(problem), document)
    qtbot.addWidget(card)
    card.show()
    [more] = [made for made in card.findChildren(QPushButton) if made.text() == "See every word"]
    more.click()
    sheet = card.findChild(WordsSheet)
    assert sheet.isVisible()
    sheet.close()
    assert not is_about_words(replace(problem, node_id=seen), document)
    assert not is_about_words(problem, Document(specs, graph.with_value("checkpoint", "file", "juniper-xl.safetensors")))


def spec(id: str, *inputs: Input) -> NodeSpec:
    return NodeSpec(id, 1, id, id.partition("/")[0], "", "", inputs, ())
