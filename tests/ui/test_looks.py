"""The program looks as it did when somebody looked at it last; see `looks.py` for how to look anew."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.ui.looks import KEPT, SHARE, differing, drawn, kept, views

NAMES = ("window-dark", "canvas-dark", "canvas-light", "search-dark", "mask-light")


@pytest.fixture(scope="module")
def seen(qapp, tmp_path_factory):
    return {name: drawn(make()) for name, make in views(tmp_path_factory.mktemp("looks"))}


@pytest.mark.parametrize("name", NAMES)
def test_a_view_looks_as_it_was_approved(seen, name, tmp_path):
    now = seen[name]
    share = differing(now, kept(name))
    if share > SHARE:
        Image.fromarray(now).save(tmp_path / f"{name}.png")
    assert share <= SHARE, f"{share:.2%} of ‘{name}’ differs: compare {tmp_path / name}.png with {KEPT / name}.webp; `python -m tests.ui.looks` keeps the new look"


def test_text_of_another_rasteriser_is_no_difference():
    """Half a pixel of blur, as between FreeType's ways of drawing a glyph."""
    now = kept("window-dark")
    other = Image.fromarray(now).filter(ImageFilter.GaussianBlur(0.5))
    assert differing(np.asarray(other), now) <= SHARE


def test_a_panel_that_is_gone_is_seen():
    now = kept("window-dark")
    gone = now.copy()
    gone[400:776, 920:] = now[600, 60]  # the inspector, and canvas in its place
    assert differing(gone, now) > 50 * SHARE


def test_a_colour_that_is_another_is_seen():
    now = kept("window-dark")
    chosen = np.abs(now.astype(int) - (110, 163, 255)).max(axis=2) < 40
    other = now.copy()
    other[chosen] = (255, 120, 60)
    assert chosen.any() and differing(other, now) > SHARE
