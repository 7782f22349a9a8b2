"""What ControlNets are shown, on pictures whose edges, tones and surfaces are known."""

import cv2
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from nodegraph.errors import GraphError
from nodes.preprocess import (
    canny_edges,
    colour_palette,
    fill_masked_area,
    line_art,
    normals_from_depth,
    scribble,
    shuffle_content,
    soft_edges,
    threshold,
    tile_blur,
)
from nodes.types import Image, Mask


def noise(width: int = 64, height: int = 48, batch: int = 1) -> Image:
    return Image(torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0)))


def half(width: int = 64, height: int = 48) -> Image:
    """Black on the left, white on the right."""
    pixels = torch.zeros(1, 3, height, width)
    pixels[..., width // 2 :] = 1
    return Image(pixels)


def test_canny_is_that_of_opencv_with_thresholds_of_255():
    image = Image(noise(batch=2).pixels * 0.2)
    made = canny_edges(image, 100 / 255, 200 / 255).pixels
    for picture, edges in zip(image.pixels, made, strict=True):
        array = (picture * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
        assert np.array_equal(edges[0].numpy() * 255, cv2.Canny(array, 100, 200))
    with pytest.raises(GraphError, match="'low'"):
        canny_edges(image, 0.9, 0.1)


@pytest.mark.parametrize("make", [canny_edges, line_art, scribble, soft_edges])
def test_an_edge_is_white_where_it_is_and_flat_areas_are_black(make):
    made = make(half()).pixels
    assert made.shape == (1, 3, 48, 64)
    assert made[..., 24, 26:38].max() == 1
    assert made[..., :16].max() < 0.01 and made[..., 48:].max() < 0.01


def test_line_art_follows_the_formula_of_xdog():
    image, sigma, level, p, phi = noise(), 1.2, 0.6, 50.0, 4.0
    grey = torch.einsum("c,bchw->bhw", torch.tensor([0.299, 0.587, 0.114]), image.pixels)[0].numpy()
    fine, coarse = (cv2.GaussianBlur(grey, (0, 0), s, borderType=cv2.BORDER_REPLICATE) for s in (sigma, 1.6 * sigma))
    sharp = (1 + p) * fine - p * coarse
    expected = 1 - np.where(sharp >= level, 1, 1 + np.tanh(phi * (sharp - level)))
    assert_close(line_art(image, sigma, level, 1.0, phi).pixels[0, 0], torch.from_numpy(expected.astype(np.float32)), atol=1e-4, rtol=0)
    assert_close(line_art(image, dark_on_white=True).pixels, 1 - line_art(image).pixels)


def test_scribbles_are_black_and_white_and_as_thick_as_asked():
    thin, thick = (scribble(half(), 2.0, thickness).pixels for thickness in (1, 11))
    assert set(thick.unique().tolist()) == {0.0, 1.0}
    assert thick[0, 0, 24].sum() - thin[0, 0, 24].sum() == 10


def test_an_automatic_threshold_parts_two_tones():
    image = Image(half().pixels * 0.2 + 0.1)
    assert_close(threshold(image, automatic=True).pixels, half().pixels)
    assert threshold(image, 0.5).pixels.max() == 0


def test_tile_blur_keeps_the_size_and_means_and_drops_detail():
    image = noise(64, 48)
    made = tile_blur(image, 8, smooth=False).pixels
    assert_close(made[..., :8, :8], image.pixels[..., :8, :8].mean((2, 3), keepdim=True).expand(-1, -1, 8, 8))
    assert tile_blur(image, 8).pixels.std() < 0.3 * image.pixels.std()
    assert_close(tile_blur(image, 1).pixels, image.pixels)


@pytest.mark.parametrize("dither", [False, True])
def test_a_palette_has_no_more_colours_than_asked(dither):
    made = colour_palette(noise(), 5, dither=dither).pixels[0].flatten(1).T
    assert len(made.unique(dim=0)) <= 5
    two = colour_palette(half(), 2).pixels
    assert_close(two, half().pixels)


def test_palette_blocks_are_of_one_colour():
    made = colour_palette(noise(64, 64), 8, block=16).pixels
    blocks = made.reshape(1, 3, 4, 16, 4, 16)
    assert_close(blocks, blocks[:, :, :, :1, :, :1].expand_as(blocks))


def test_a_slope_has_the_normal_of_geometry():
    """Depth rises by 1/2 over the width (near is white) to the right: the surface faces left, tan of the angle is strength / 2."""
    ramp = Image((torch.arange(64.0) / 64 * 0.5).expand(1, 3, 64, 64).clone())
    x, y, z = (normals_from_depth(ramp, 1.0, smooth=0).pixels[0, :, 32, 32] * 2 - 1).tolist()
    assert (x, y, z) == pytest.approx((-0.5 / 1.25**0.5, 0, 1 / 1.25**0.5), abs=1e-5)
    upwards = Image(ramp.pixels.transpose(2, 3).contiguous())  # nearer at the bottom: it faces up
    x, y, z = (normals_from_depth(upwards, 1.0, smooth=0).pixels[0, :, 32, 32] * 2 - 1).tolist()
    assert y == pytest.approx(0.5 / 1.25**0.5, abs=1e-5)
    inverted = normals_from_depth(Image(1 - ramp.pixels), 1.0, smooth=0, near_is_white=False).pixels
    assert_close(inverted, normals_from_depth(ramp, 1.0, smooth=0).pixels)


def test_flat_depth_faces_the_viewer_and_so_does_the_background():
    flat = torch.tensor([0.5, 0.5, 1.0]).view(1, 3, 1, 1).expand(1, 3, 48, 64)
    assert_close(normals_from_depth(Image(torch.full((1, 3, 48, 64), 0.3))).pixels, flat)
    assert_close(normals_from_depth(noise(), background=1.0).pixels[..., 1:-1, 1:-1], flat[..., 1:-1, 1:-1])


def test_shuffling_keeps_the_colours_and_follows_the_seed():
    image = half()
    made = shuffle_content(image, 0.3, seed=4).pixels
    assert_close(made, shuffle_content(image, 0.3, seed=4).pixels, atol=0, rtol=0)
    assert not torch.equal(made, shuffle_content(image, 0.3, seed=5).pixels)
    assert 0.1 < made.mean() < 0.9
    assert not torch.equal(made, image.pixels)


@pytest.mark.parametrize("way", ["blend in", "follow edges", "blur", "grey"])
def test_filling_takes_from_the_surroundings_and_leaves_the_rest_exact(way):
    pixels = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1)) * 0.02 + 0.3
    mask = torch.zeros(1, 1, 48, 64)
    mask[..., 20:30, 20:40] = 1
    wrong = torch.where(mask > 0, torch.ones_like(pixels), pixels)
    made = fill_masked_area(Image(wrong), Mask(mask), way, grow=0).pixels
    assert torch.equal(made[(mask == 0).expand_as(made)], pixels[(mask == 0).expand_as(made)])
    filled = made[(mask > 0).expand_as(made)]
    assert_close(filled, torch.full_like(filled, 0.5 if way == "grey" else 0.31), atol=0.02, rtol=0)


def test_filling_everything_gives_grey_and_no_error():
    for way in ("blur", "grey"):
        assert_close(fill_masked_area(noise(), Mask(torch.ones(1, 1, 48, 64)), way).pixels, torch.full((1, 3, 48, 64), 0.5))
