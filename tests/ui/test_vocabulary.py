"""Words are offered while a prompt for the shipped model is typed, and only then; the first page tells them."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel

from nodegraph.graph import Graph
from nodegraph.node import Text
from nodegraph.spec import Input
from ui import vocabulary
from ui.known_words import KnownWords, WordsSheet
from ui.panels.controls import EditorContext, make_editor

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
