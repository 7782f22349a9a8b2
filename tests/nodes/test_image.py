"""Pictures resized, cut, turned, laid over each other and recoloured, against Pillow, numpy and closed forms."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image as Pil
from scipy import ndimage
from torch.testing import assert_close

from nodegraph.errors import GraphError
from nodes.color import adjust_image, blur_image, film_grain, invert_image, levels, match_colors, sharpen_image
from nodes.image import (
    crop_image,
    crop_to_mask,
    flip_image,
    image_size,
    pad_for_outpaint,
    plain_image,
    resize_for_model,
    resize_image,
    rotate_image,
    scale_image,
    scale_to_megapixels,
    scale_to_side,
)
from nodes.layers import (
    batch_images,
    batch_to_list,
    blend_images,
    composite_image,
    image_grid,
    images_from_batch,
    join_tiles,
    split_into_tiles,
    stitch_images,
)
from nodes.pictures.filters import tile_places
from nodes.pictures.masks import from_lab, lab
from nodes.types import Image, Mask


def picture(width: int = 12, height: int = 8, batch: int = 1, seed: int = 0) -> Image:
    return Image(torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed)))


def size(image: Image) -> tuple[int, int]:
    return image.pixels.shape[-1], image.pixels.shape[-2]


# -- size


@pytest.mark.parametrize("target", [(5, 3), (31, 17)])
@pytest.mark.parametrize(
    ("method", "filter"),
    [("lanczos", Pil.Resampling.LANCZOS), ("bicubic", Pil.Resampling.BICUBIC), ("bilinear", Pil.Resampling.BILINEAR)],
)
def test_resizing_equals_pillow_in_floating_point(target, method, filter):
    image = picture()
    made = resize_image(image, *target, proportions="stretch", method=method).pixels[0]
    expected = [np.asarray(Pil.fromarray(plane.numpy()).resize(target, filter)) for plane in image.pixels[0]]
    assert_close(made, torch.from_numpy(np.stack(expected)).clamp(0, 1), atol=2e-6, rtol=0)


def test_area_averages_whole_blocks_and_nearest_keeps_pixels():
    image = picture(12, 8)
    blocks = image.pixels.reshape(1, 3, 4, 2, 6, 2).mean((3, 5))
    assert_close(scale_image(image, 0.5, method="area").pixels, blocks)
    assert_close(scale_image(image, 2, method="nearest").pixels, image.pixels.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_resizing_keeps_more_shades_than_eight_bits_hold():
    ramp = Image(torch.linspace(0.5, 0.5 + 1 / 255, 64).expand(1, 3, 8, 64).clone())
    assert len(resize_image(ramp, 128, 8, "stretch").pixels.unique()) > 60


@pytest.mark.parametrize(("proportions", "expected"), [("crop", (6, 6)), ("pad", (6, 6)), ("stretch", (6, 6)), ("fit", (6, 4))])
def test_proportions_say_what_happens_to_a_wider_picture(proportions, expected):
    assert size(resize_image(picture(12, 8), 6, 6, proportions)) == expected


def test_cropping_keeps_the_middle_or_the_chosen_side_and_padding_adds_bars():
    columns = Image(torch.arange(12.0).div(12).expand(1, 3, 4, 12).clone())
    assert_close(resize_image(columns, 4, 4, "crop", "left").pixels, columns.pixels[..., :4])
    assert_close(resize_image(columns, 4, 4, "crop").pixels, columns.pixels[..., 4:8])
    padded = resize_image(columns, 12, 8, "pad", background="#ff0000").pixels
    assert_close(padded[..., 2:6, :], columns.pixels)
    assert_close(padded[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_a_side_of_zero_follows_the_other_and_multiples_are_kept():
    assert size(resize_image(picture(12, 8), 24, 0)) == (24, 16)
    assert size(resize_image(picture(100, 60), 50, 0, multiple_of=8)) == (48, 32)
    assert size(scale_to_side(picture(12, 8), "longer", 6)) == (6, 4)
    assert size(scale_to_side(picture(12, 8), "shorter", 16)) == (24, 16)
    assert size(scale_to_side(picture(12, 8), "longer", 600, enlarge=False)) == (12, 8)
    assert size(scale_to_megapixels(picture(120, 80), 0.25, multiple_of=8)) == (624, 416)
    assert size(resize_for_model(picture(160, 90), "SDXL")) == (1344, 768)
    assert size(resize_for_model(picture(10, 10), "FLUX Kontext")) == (1024, 1024)


@pytest.mark.parametrize(
    "make",
    [
        lambda: plain_image(16384, 16384),
        lambda: plain_image(8192, 8192, batch=4096),
        lambda: scale_image(picture(4000, 40), 16),
        lambda: resize_image(picture(4, 2000), 16384, 16384, "crop"),
        lambda: resize_image(picture(), 0, 0),
        lambda: pad_for_outpaint(picture(), left=16384, right=16384),
    ],
)
def test_absurd_sizes_are_refused_before_memory_is_taken(make):
    with pytest.raises(GraphError, match=r"smaller|at least one|fewer"):
        make()


# -- cut, turn, extend


def test_cropping_takes_exactly_the_window_and_refuses_to_reach_out():
    image = picture()
    assert_close(crop_image(image, 2, 1, 5, 4).pixels, image.pixels[..., 1:5, 2:7])
    with pytest.raises(GraphError, match="12 × 8"):
        crop_image(image, 8, 0, 5, 4)


def test_a_detail_cut_out_by_its_mask_goes_back_where_it_was():
    image, mask = picture(64, 48), torch.zeros(1, 1, 48, 64)
    mask[..., 20:26, 50:60] = 1
    detail = crop_to_mask(image, Mask(mask), margin=4, multiple_of=8)
    assert (detail.width % 8, detail.height % 8) == (0, 0)
    assert detail.mask.values.sum() == mask.sum()
    enlarged = scale_image(invert_image(detail.image), 2, method="nearest")
    back = composite_image(image, enlarged, Mask(mask), detail.x, detail.y, detail.width, detail.height, method="area")
    assert_close(back.pixels, torch.where(mask > 0, 1 - image.pixels, image.pixels))
    with pytest.raises(GraphError, match="empty"):
        crop_to_mask(image, Mask(torch.zeros(1, 1, 48, 64)))


def test_outpainting_pads_and_feathers_only_the_sides_that_grew():
    image = picture(32, 32)
    made = pad_for_outpaint(image, left=16, feather=8)
    assert size(made.image) == (48, 32)
    assert_close(made.image.pixels[..., 16:], image.pixels)
    assert_close(made.image.pixels[..., :16], image.pixels[..., :1].expand(-1, -1, -1, 16))
    row = made.mask.values[0, 0, 10]
    assert (row[:16] == 1).all()
    assert (row[24:] == 0).all()
    assert_close(row[16:24], ((8 - torch.arange(8.0)) / 8) ** 2)


def test_a_mirrored_border_continues_the_picture_however_far_it_goes():
    image = picture(4, 4)
    made = pad_for_outpaint(image, left=8, feather=0, fill="mirror").image.pixels
    assert_close(made, torch.cat([image.pixels, image.pixels.flip(-1), image.pixels], -1))


def test_quarter_turns_and_flips_lose_nothing():
    image = picture()
    turned = image
    for _ in range(4):
        turned = rotate_image(turned, 90)
    assert_close(turned.pixels, image.pixels, atol=0, rtol=0)
    assert_close(rotate_image(image, 90).pixels[..., 0, -1], image.pixels[..., 0, 0])  # the top left corner goes to the top right
    assert_close(rotate_image(image, 180).pixels, flip_image(flip_image(image), "upside down").pixels)


def test_a_free_rotation_goes_clockwise_and_keeps_the_whole_picture():
    dot = torch.zeros(1, 3, 41, 41)
    dot[..., 18:23, 34:39] = 1  # right of the middle
    made = rotate_image(Image(dot), 45).pixels
    assert made.shape[-2:] == (58, 58)
    light = made[0, 0] / made[0, 0].sum()
    x, y = (light.sum(0) * torch.arange(58)).sum(), (light.sum(1) * torch.arange(58)).sum()
    middle, reach = 28.5, 16 * 0.5**0.5
    assert_close(torch.stack([x, y]), torch.tensor([middle + reach, middle + reach]), atol=0.05, rtol=0)
    assert_close(made.sum(), dot.sum(), rtol=0.02, atol=0)


# -- together


def test_compositing_cuts_off_what_reaches_out_and_honours_mask_and_opacity():
    base, top = plain_image(8, 8, "#000000"), plain_image(4, 4, "#ffffff")
    made = composite_image(base, top, x=-2, y=6).pixels
    assert made.sum() == 3 * 2 * 2
    assert made[0, 0, 7, 1] == 1
    mask = Mask(torch.tensor([[0.0, 0.5, 1.0, 1.0]]).expand(1, 1, 4, 4))
    assert_close(composite_image(base, top, mask, opacity=0.5).pixels[0, 0, 0], torch.tensor([0, 0.25, 0.5, 0.5, 0, 0, 0, 0]))


def test_a_mask_drawn_on_the_background_shows_what_lies_under_the_picture():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 5, 5] = 1
    made = composite_image(plain_image(8, 8), plain_image(4, 4, "#ffffff"), Mask(mask), x=3, y=3).pixels
    assert made.sum() == 3
    assert made[0, 0, 5, 5] == 1


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("normal", 0.75), ("multiply", 0.1875), ("screen", 0.8125), ("overlay", 0.375), ("hard light", 0.625), ("soft light", 0.375),
        ("darken", 0.25), ("lighten", 0.75), ("difference", 0.5), ("exclusion", 0.625), ("add", 1.0), ("subtract", 0.0),
        ("dodge", 1.0), ("burn", 0.0),
    ],
)  # fmt: skip
def test_blend_modes_follow_the_w3c_formulas(mode, expected):
    """Backdrop 1/4, source 3/4; soft light: b + (2 s - 1) (D(b) - b) with D(1/4) = 1/2."""
    bottom, top = Image(torch.full((1, 3, 2, 2), 0.25)), Image(torch.full((1, 3, 2, 2), 0.75))
    assert_close(blend_images(bottom, top, mode, 1.0).pixels, torch.full((1, 3, 2, 2), expected))
    assert_close(blend_images(bottom, top, mode, 0.0).pixels, bottom.pixels)


def test_color_and_luminosity_part_a_picture_into_hue_and_light():
    bottom, top = picture(seed=1), picture(seed=2)
    weights = torch.tensor([0.3, 0.59, 0.11]).view(1, 3, 1, 1)
    colored = blend_images(bottom, top, "color", 1.0).pixels
    assert_close((colored * weights).sum(1), (bottom.pixels * weights).sum(1))
    assert_close(colored, blend_images(top, bottom, "luminosity", 1.0).pixels)
    assert 0 <= colored.min() <= colored.max() <= 1


def test_pictures_that_do_not_belong_together_are_refused_with_a_remedy():
    with pytest.raises(GraphError, match=r"12 × 8.*6 × 8.*Resize image"):
        blend_images(picture(12, 8), picture(6, 8))
    with pytest.raises(GraphError, match="as many of both, or one of either"):
        blend_images(picture(batch=2), picture(batch=3))
    with pytest.raises(GraphError, match="'mask' is 4 × 8"):
        blend_images(picture(), picture(), mask=Mask(torch.ones(1, 1, 8, 4)))
    with pytest.raises(GraphError, match="Picture 2 is 6 × 8"):
        batch_images([picture(12, 8), picture(6, 8)], "must match")


def test_several_masks_for_one_picture_are_refused_where_one_picture_comes_out():
    masks = Mask(torch.ones(2, 1, 8, 12))
    for make in (
        lambda: blend_images(picture(), picture(), mask=masks),
        lambda: composite_image(picture(), picture(), masks),
        lambda: adjust_image(picture(), mask=masks),
        lambda: blur_image(picture(), mask=masks),
        lambda: crop_to_mask(picture(), masks),
    ):
        with pytest.raises(GraphError, match="2 masks at 'mask' for 1 picture"):
            make()


def test_a_batch_comes_apart_and_together_again():
    image = picture(batch=3)
    assert_close(batch_images(batch_to_list(image)).pixels, image.pixels)
    assert_close(images_from_batch(image, -1).pixels, image.pixels[2:])
    assert image_size(batch_images([image, picture(6, 8)])) == (12, 8, 4)
    with pytest.raises(GraphError, match="numbered from 0"):
        images_from_batch(image, 2, 2)


def test_stitching_brings_the_touching_sides_to_one_length():
    made = stitch_images(picture(12, 8), picture(6, 16), gap=2)
    assert size(made) == (12 + 2 + 3, 8)
    assert_close(made.pixels[..., 12:14], torch.ones(1, 3, 8, 2))
    assert size(stitch_images(picture(12, 8), picture(6, 16), "above", match_size=False)) == (12, 24)


def test_a_grid_holds_every_picture_and_its_label():
    images = [picture(seed=i) for i in range(3)]
    made = image_grid(images, columns=2, gap=1)
    assert size(made) == (2 * 13 + 1, 2 * 9 + 1)
    assert_close(made.pixels[0, :, 10:18, 1:13], images[2].pixels[0])
    labelled = image_grid(images, columns=3, gap=1, labels=["a", "b", "c"], text_size=8).pixels
    assert (labelled[0, :, 9:, 1:13] < 0.5).any()  # ink under the first picture
    with pytest.raises(GraphError, match="2 labels for 3 pictures"):
        image_grid(images, labels=["a", "b"])


@pytest.mark.parametrize("factor", [1, 2])
def test_tiles_join_to_the_picture_they_came_from(factor):
    image = picture(200, 130, batch=2)
    split = split_into_tiles(image, 64, 16)
    assert (split.columns, split.rows) == (4, 3)
    tiles = [scale_image(tile, factor, method="nearest") for tile in split.tiles]
    assert_close(join_tiles(tiles, image, 64, 16).pixels, scale_image(image, factor, method="nearest").pixels)
    with pytest.raises(GraphError, match="split into 12"):
        join_tiles(tiles[1:], image, 64, 16)


@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 500, 1000])
def test_tiles_cover_everything_and_overlap_enough(length):
    places = tile_places(length, 64, 16)
    assert places[0] == 0
    assert places[-1] + 64 >= length
    assert all(a + 64 - b >= 16 for a, b in pairwise(places))


# -- light and colour


def test_an_adjustment_with_all_knobs_at_rest_changes_nothing():
    image = picture()
    assert_close(adjust_image(image).pixels, image.pixels)
    assert_close(levels(image).pixels, image.pixels)
    assert_close(adjust_image(image, brightness=0.5, mask=Mask(torch.zeros(1, 1, 8, 12))).pixels, image.pixels)
    assert_close(invert_image(invert_image(image)).pixels, image.pixels)


def test_knobs_do_what_they_say():
    image = Image(torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1).expand(1, 3, 2, 2))
    luma = 0.2126 * 0.2 + 0.7152 * 0.4 + 0.0722 * 0.6
    assert_close(adjust_image(image, saturation=0).pixels, torch.full((1, 3, 2, 2), luma))
    assert_close(adjust_image(image, contrast=2).pixels[0, :, 0, 0], torch.tensor([0.0, 0.3, 0.7]))
    assert_close(adjust_image(image, gamma=2).pixels, image.pixels.sqrt())
    assert_close(adjust_image(image, hue=360).pixels, image.pixels)
    warm = adjust_image(image, warmth=0.5).pixels[0, :, 0, 0]
    assert warm[0] > 0.2 and warm[2] < 0.6
    assert_close(levels(image, 0.2, 0.6).pixels[0, :, 0, 0], torch.tensor([0.0, 0.5, 1.0]))
    with pytest.raises(GraphError, match="above 'black'"):
        levels(image, 0.6, 0.2)


def test_automatic_levels_use_the_whole_range():
    made = levels(Image(picture(64, 64).pixels * 0.3 + 0.4), automatic=True).pixels
    assert made.min() == 0 and made.max() == 1


def test_lab_agrees_with_published_values_and_comes_back():
    """White, sRGB red and blue as CIELAB (D65), from Lindbloom's calculator."""
    colors = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 1]]).T.view(1, 3, 1, 3)
    expected = torch.tensor([[100.0, 0, 0], [53.2408, 80.0925, 67.2032], [32.2970, 79.1875, -107.8602]]).T.view(1, 3, 1, 3)
    assert_close(lab(colors), expected, atol=0.02, rtol=0)
    assert_close(from_lab(lab(picture().pixels)), picture().pixels, atol=2e-5, rtol=0)


@pytest.mark.parametrize("way", ["spread", "histogram"])
def test_matched_colours_are_those_of_the_reference(way):
    image, reference = Image(picture(48, 32).pixels * 0.5), Image(picture(20, 30, seed=3).pixels * 0.3 + 0.4)
    made, wanted = lab(match_colors(image, reference, way).pixels), lab(reference.pixels)
    assert_close(made.mean((2, 3)), wanted.mean((2, 3)), atol=1.0, rtol=0)
    assert_close(made.std((2, 3)), wanted.std((2, 3)), atol=1.0, rtol=0)
    assert_close(match_colors(image, reference, way, 0.0).pixels, image.pixels)


def test_a_histogram_match_with_itself_changes_nothing():
    image = picture(16, 16)
    assert_close(match_colors(image, image, "histogram").pixels, image.pixels, atol=1e-4, rtol=0)


def test_gaussian_blur_equals_the_sum_over_its_kernel():
    image = Image(torch.zeros(1, 3, 41, 41))
    image.pixels[..., 20, 20] = 1
    weights = np.exp(-0.5 * (np.arange(-20, 21) / 2.0) ** 2)
    weights /= weights.sum()
    expected = torch.from_numpy(np.outer(weights, weights).astype(np.float32))
    # OpenCV cuts the kernel at 4 sigma, where 6e-5 of it is left
    assert_close(blur_image(image, 2.0).pixels[0, 0], expected, atol=1e-5, rtol=0)
    flat = plain_image(9, 9, "#336699")
    assert_close(blur_image(flat, 3).pixels, flat.pixels)
    assert_close(blur_image(picture(), 1, "box").pixels[0, 0, 3, 3], picture().pixels[0, 0, 2:5, 2:5].mean())


@pytest.mark.parametrize("sigma", [16.0, 40.0, 100.0])
def test_a_wide_blur_agrees_with_the_gaussian_up_to_the_border(sigma):
    """Against scipy with the border carried on; an eye cannot see the difference."""
    plane = np.zeros((150, 210), np.float32)
    plane[:, :3] = plane[40:70, 90:130] = plane[149, 200:] = 1
    expected = ndimage.gaussian_filter(plane, sigma, mode="nearest", truncate=4)
    made = blur_image(Image(torch.from_numpy(plane).expand(1, 3, -1, -1)), sigma).pixels[0, 0]
    assert_close(made, torch.from_numpy(expected), atol=7e-4, rtol=0)


def test_sharpening_adds_what_blurring_takes_away():
    image = Image(picture().pixels * 0.2 + 0.4)
    detail = image.pixels - blur_image(image, 1.0).pixels
    assert_close(sharpen_image(image, 0.5, 1.0).pixels, image.pixels + 0.5 * detail)
    assert_close(sharpen_image(image, 0.5, 1.0, threshold=1.0).pixels, image.pixels)


def test_grain_has_the_asked_strength_and_follows_its_seed():
    grey = plain_image(128, 128, "#808080")
    made = film_grain(grey, 0.05, size=2, color=0.0, seed=1).pixels
    assert_close((made - grey.pixels).std(), torch.tensor(0.05), atol=1e-3, rtol=0)
    assert_close(made, film_grain(grey, 0.05, size=2, color=0.0, seed=1).pixels, atol=0, rtol=0)
    assert not torch.equal(made, film_grain(grey, 0.05, size=2, color=0.0, seed=2).pixels)


def test_no_node_changes_the_picture_it_was_given():
    image, other, mask = picture(16, 16, 2), picture(16, 16, 2, 5), Mask(torch.ones(1, 1, 16, 16))
    before = image.pixels.clone()
    composite_image(image, other, mask)
    blend_images(image, other, "screen", mask=mask)
    crop_to_mask(image, mask, 0)
    pad_for_outpaint(image, left=8)
    adjust_image(image, 0.1, 1.2, 1.1, 0.9, 20, 0.1)
    film_grain(image)
    match_colors(image, other)
    assert torch.equal(image.pixels, before)
