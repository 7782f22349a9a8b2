"""Pictures beside the model are enlarged by whole numbers, so that no pixel of them is told otherwise than it is."""

import pytest
from PIL import Image

from resources.starter.recipe import pictures


@pytest.mark.parametrize(("made", "shown"), [((128, 128), (384, 384)), ((192, 128), (576, 384)), ((256, 256), (512, 512)), ((400, 400), (400, 400))])
def test_a_small_picture_is_shown_larger_by_a_whole_number(made, shown):
    assert pictures.enlarged(Image.new("RGB", made)).size == shown
