"""A small model tells gently which words it does not know."""

from nodegraph.folders import RESOURCES
from nodes import vocabulary

PART = RESOURCES / "starter" / "model" / "text_encoder"


def test_the_shipped_model_knows_its_own_examples_and_says_nothing():
    assert vocabulary.warning("a (red:1.2) car on a white background", PART) == ""
    assert vocabulary.warning("two apples in the snow", PART) == ""


def test_a_strange_word_is_named_with_what_is_known():
    told = vocabulary.warning("a wizard in the snow, (helicopter:1.3)", PART)
    assert "'wizard', 'helicopter'" in told and "It knows cat" in told


def test_a_model_without_a_vocabulary_knows_every_word(tmp_path):
    assert vocabulary.warning("a wizard", tmp_path / "model" / "text_encoder") == ""
