"""Masks against brute force, scipy and closed forms."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image as Pil
from scipy import ndimage
from torch.testing import assert_close

from nodegraph.errors import GraphError
from nodegraph.node import Headless
from nodes.mask import (
    apply_mask,
    batch_masks,
    bounds_of_mask,
    clean_mask,
    combine_masks,
    crop_mask,
    fade_mask_at_borders,
    feather_mask,
    gradient_mask,
    grow_mask,
    invert_mask,
    mask_from_color,
    mask_from_difference,
    mask_from_image,
    mask_to_image,
    outline_of_mask,
    paint_mask,
    plain_mask,
    preview_mask,
    resize_mask,
    shape_mask,
    threshold_mask,
)
from nodes.types import Image, Mask


def hard(width: int = 24, height: int = 20, seed: int = 0, share: float = 0.05) -> Mask:
    return Mask((torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed)) < share).float())


def soft(width: int = 24, height: int = 20, seed: int = 0) -> Mask:
    return Mask(torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed)))


def footprint(radius: int, corners: str) -> np.ndarray:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return {"round": x * x + y * y <= radius * radius, "square": abs(x) <= radius, "tapered": abs(x) + abs(y) <= radius}[corners]


# -- growing


@pytest.mark.parametrize("mask", [hard(), soft()], ids=["hard", "soft"])
@pytest.mark.parametrize("corners", ["round", "square", "tapered"])
@pytest.mark.parametrize("radius", [1, 3, 7, 30])
def test_growing_and_shrinking_are_true_morphology(mask, corners, radius):
    plane, shape = mask.values[0, 0].numpy(), footprint(radius, corners)
    grown = ndimage.grey_dilation(plane, footprint=shape, mode="constant", cval=0)
    assert_close(grow_mask(mask, radius, corners).values[0, 0], torch.from_numpy(grown), atol=0, rtol=0)
    shrunk = ndimage.grey_erosion(plane, footprint=shape, mode="constant", cval=1)
    assert_close(grow_mask(mask, -radius, corners).values[0, 0], torch.from_numpy(shrunk), atol=1e-7, rtol=0)


def test_an_empty_mask_stays_empty_and_a_full_one_full():
    for value in (0.0, 1.0):
        mask = plain_mask(16, 12, value)
        for change in (grow_mask(mask, 5), grow_mask(mask, -5), feather_mask(mask, 4), clean_mask(mask)):
            assert_close(change.values, mask.values)


def test_a_feather_keeps_to_its_side():
    mask = shape_mask("rectangle", 64, 64, 16, 16, 32, 32)
    inside, outside, both = (feather_mask(mask, 8, side).values for side in ("inside", "outside", "both"))
    assert (inside[mask.values == 0] == 0).all()
    assert (outside[mask.values == 1] == 1).all()
    assert_close(both[0, 0, 32, 15] + both[0, 0, 32, 16], torch.tensor(1.0), atol=1e-4, rtol=0)  # half at the edge; the far edge adds 3e-5
    for made in (inside, outside, both):
        assert len(made.unique()) > 20


def test_an_outline_is_what_growing_adds_and_shrinking_takes():
    mask = shape_mask("ellipse", 64, 64, 10, 10, 40, 40)
    mask = threshold_mask(mask)
    rim = outline_of_mask(mask, 3, 2).values
    assert_close(rim, grow_mask(mask, 3).values - grow_mask(mask, -2).values)


# -- shapes


def test_shapes_have_the_area_of_geometry():
    assert shape_mask("rectangle", 100, 80, 10, 20, 30, 40).values.sum() == 30 * 40
    box = bounds_of_mask(shape_mask("rectangle", 100, 80, 10, 20, 30, 40))
    assert box[:4] == (10, 20, 30, 40)
    assert box.share == pytest.approx(30 * 40 / 8000)
    circle = shape_mask("ellipse", 200, 200, 50, 50, 100, 100).values
    assert_close(circle.sum(), torch.tensor(math.pi * 50**2), rtol=1e-3, atol=0)
    oval = shape_mask("ellipse", 200, 200, 20, 60, 160, 80, angle=30).values
    assert_close(oval.sum(), torch.tensor(math.pi * 80 * 40), rtol=2e-3, atol=0)
    rounded = shape_mask("rectangle", 100, 100, 10, 10, 80, 60, corner=20).values
    assert_close(rounded.sum(), torch.tensor(80 * 60 - (4 - math.pi) * 400), rtol=2e-3, atol=0)


def test_a_shape_turns_clockwise_about_its_middle():
    turned = shape_mask("rectangle", 101, 101, 10, 40, 81, 21, angle=90)
    assert_close(turned.values, shape_mask("rectangle", 101, 101, 40, 10, 21, 81).values, atol=1e-4, rtol=0)
    leaning = shape_mask("rectangle", 101, 101, 10, 45, 81, 11, angle=45).values[0, 0]
    assert leaning[75, 75] == 1 and leaning[25, 75] == 0  # down on the right


def test_gradients_rise_in_a_straight_line():
    assert_close(gradient_mask("linear", 8, 3).values[0, 0, 1], (torch.arange(8) + 0.5) / 8)
    assert_close(gradient_mask("linear", 3, 8, angle=90).values[0, 0, :, 1], (torch.arange(8) + 0.5) / 8)
    assert_close(gradient_mask("linear", 8, 1, 1.0, 0.0).values[0, 0, 0], 1 - (torch.arange(8) + 0.5) / 8)
    radial = gradient_mask("radial", 101, 101).values[0, 0]
    assert radial[50, 50] < 1e-6 and radial[0, 0] == pytest.approx(100 / 101, abs=1e-5)


def test_a_picture_gives_shapes_their_size():
    image = Image(torch.zeros(1, 3, 40, 60))
    for mask in (shape_mask(image=image), gradient_mask(image=image), paint_mask(image=image), resize_mask(hard(), image=image)):
        assert mask.values.shape == (1, 1, 40, 60)


# -- painting


def drawing(picture: Pil.Image) -> str:
    memory = io.BytesIO()
    picture.save(memory, "PNG")
    return base64.b64encode(memory.getvalue()).decode()


def test_what_was_painted_white_is_the_mask_and_what_is_transparent_is_not():
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    assert_close(paint_mask(drawing(Pil.fromarray(grey))).values[0, 0], torch.from_numpy(grey.astype(np.float32) / 255))
    white = np.full((6, 8, 4), 255, np.uint8)
    white[..., 3] = grey
    text = drawing(Pil.fromarray(white))
    assert_close(paint_mask("data:image/png;base64," + text).values[0, 0], torch.from_numpy(grey.astype(np.float32) / 255))


def test_a_drawing_is_scaled_to_its_picture_only_if_the_proportions_fit():
    text = drawing(Pil.new("L", (8, 6), 255))
    assert paint_mask(text, Image(torch.zeros(1, 3, 60, 80))).values.shape == (1, 1, 60, 80)
    with pytest.raises(GraphError, match=r"8 × 6.*64 × 64"):
        paint_mask(text, Image(torch.zeros(1, 3, 64, 64)))


@pytest.mark.parametrize("text", ["no base64!", base64.b64encode(b"no picture").decode(), drawing(Pil.new("L", (8, 8)))[:40], "ä"])
def test_a_drawing_that_cannot_be_read_is_told(text):
    with pytest.raises(GraphError, match="Paint it anew"):
        paint_mask(text)
    with pytest.raises(GraphError, match="Nothing is painted"):
        paint_mask("")


# -- from pictures


def test_channels_become_masks():
    image = Image(torch.tensor([0.25, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2))
    assert mask_from_image(image, "green").values.unique().tolist() == [0.5]
    assert mask_from_image(image, "brightness").values[0, 0, 0, 0] == pytest.approx(0.2126 * 0.25 + 0.7152 * 0.5 + 0.0722)
    assert mask_from_image(image, "saturation").values.unique().tolist() == [0.75]
    assert_close(mask_from_image(mask_to_image(soft())).values, soft().values)


def test_a_colour_is_found_up_to_the_tolerance():
    image = Image(torch.zeros(1, 3, 1, 3))
    image.pixels[0, 1, 0, 0] = 1.0
    image.pixels[0, 1, 0, 1] = 0.9
    assert mask_from_color(image, "#00ff00", 0.2, 0.0).values.flatten().tolist() == [1, 1, 0]
    assert mask_from_color(image, "#0f0", 0.01, 0.0).values.flatten().tolist() == [1, 0, 0]
    with pytest.raises(GraphError, match="#ff8800"):
        mask_from_color(image, "green")


def test_black_differs_from_white_by_all():
    black, white = Image(torch.zeros(1, 3, 2, 2)), Image(torch.ones(1, 3, 2, 2))
    assert mask_from_difference(black, white, 0.99, 0.0).values.min() == 1
    assert mask_from_difference(black, black).values.max() == 0


# -- joined and changed


@pytest.mark.parametrize(
    ("how", "expected"),
    [("add", 1.0), ("subtract", 0.25), ("multiply", 0.375), ("lighter", 0.75), ("darker", 0.5), ("difference", 0.25)],
)
def test_masks_join_by_arithmetic(how, expected):
    a, b = plain_mask(4, 4, 0.75), plain_mask(4, 4, 0.5)
    assert_close(combine_masks(a, b, how).values, torch.full((1, 1, 4, 4), expected))


def test_a_small_mask_is_laid_where_it_is_wanted():
    made = combine_masks(plain_mask(8, 8, 0.0), plain_mask(2, 3), "add", x=5, y=4).values
    assert bounds_of_mask(Mask(made))[:4] == (5, 4, 2, 3)
    with pytest.raises(GraphError, match="'second' is 2 × 3"):
        combine_masks(plain_mask(8, 8), plain_mask(2, 3))


def test_cleaning_drops_specks_and_fills_holes_as_scipy_counts_them():
    values = torch.zeros(1, 1, 30, 30)
    values[..., 2:4, 2:4] = 1  # a speck of 4
    values[..., 10:20, 10:20] = 1
    values[..., 12:14, 12:14] = 0  # a hole of 4
    values[..., 16:19, 16:19] = 0  # a hole of 9
    made = clean_mask(Mask(values), specks=5, holes=5).values[0, 0]
    assert made[2, 2] == 0 and made[12, 12] == 1 and made[17, 17] == 0
    assert clean_mask(Mask(values), specks=4, holes=0).values[0, 0, 2, 2] == 1
    filled = clean_mask(Mask(values), specks=0, holes=0, fill_all=True).values[0, 0]
    assert np.array_equal(filled.numpy() > 0, ndimage.binary_fill_holes(values[0, 0].numpy() > 0))


def test_fading_multiplies_ramps_from_each_border():
    made = fade_mask_at_borders(plain_mask(8, 4), left=4).values[0, 0, 0]
    assert_close(made, torch.tensor([0.25, 0.5, 0.75, 1, 1, 1, 1, 1]))
    assert_close(fade_mask_at_borders(plain_mask(8, 4), right=2).values[0, 0, 0, -2:], torch.tensor([1.0, 0.5]))


def test_small_changes_do_what_they_say():
    mask = soft()
    assert_close(invert_mask(invert_mask(mask)).values, mask.values)
    assert_close(crop_mask(mask, 2, 3, 4, 5).values, mask.values[..., 3:8, 2:6])
    assert set(threshold_mask(mask, 0.3).values.unique().tolist()) == {0.0, 1.0}
    assert set(resize_mask(threshold_mask(mask), 48, 40, hard=True).values.unique().tolist()) == {0.0, 1.0}
    assert batch_masks([mask, mask]).values.shape == (2, 1, 20, 24)
    with pytest.raises(GraphError, match="no bounds"):
        bounds_of_mask(plain_mask(4, 4, 0.0))


def test_applying_a_mask_covers_one_side_of_it():
    image, mask = Image(torch.ones(1, 3, 2, 2)), Mask(torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]))
    assert apply_mask(image, mask, "#000000").pixels[0, 0].tolist() == [[0, 1], [1, 1]]
    assert apply_mask(image, mask, "#000000", "masked").pixels[0, 0].tolist() == [[1, 0], [0, 0]]
    assert apply_mask(image, batch_masks([mask, mask])).pixels.shape[0] == 2


def test_a_preview_shows_the_mask_or_a_veil_over_the_picture():
    class Desk(Headless):
        shown = []

        def show(self, picture):
            self.shown.append(picture)

    desk = Desk()
    preview_mask(plain_mask(4, 4), ctx=desk)
    preview_mask(plain_mask(4, 4, 0.0), Image(torch.full((1, 3, 4, 4), 0.2)), ctx=desk)
    assert [int(picture.max()) for picture in desk.shown] == [255, 51]


def test_masks_that_do_not_go_with_the_pictures_are_refused():
    images = Image(torch.zeros(3, 3, 8, 8))
    with pytest.raises(GraphError, match="'picture' holds 3 and 'mask' holds 2"):
        apply_mask(images, Mask(torch.zeros(2, 1, 8, 8)))
    with pytest.raises(GraphError, match="Resize mask"):
        apply_mask(images, Mask(torch.zeros(1, 1, 8, 6)))
