"""Latents made, cut, turned, joined and enlarged; masks and numbers travel along."""

import math

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from nodegraph.errors import GraphError
from nodegraph.node import Headless
from nodes.latent import (
    add_noise_to_latent,
    batch_latents,
    blend_latents,
    composite_latent,
    crop_latent,
    empty_latent,
    flip_latent,
    latent_batch_to_list,
    latent_size,
    latents_from_batch,
    load_latent,
    mask_of_latent,
    remove_latent_mask,
    repeat_latent,
    resize_latent,
    rotate_latent,
    save_latent,
    scale_latent,
    set_latent_mask,
)
from nodes.pictures.resize import bislerp
from nodes.types import Latent, Mask


def latent(width: int = 96, height: int = 64, batch: int = 1, seed: int = 0, channels: int = 4, **fields) -> Latent:
    samples = torch.randn(batch, channels, height // 8, width // 8, generator=torch.Generator().manual_seed(seed))
    return Latent(samples, **fields)


def with_mask(made: Latent) -> Latent:
    _, _, h, w = made.samples.shape
    return set_latent_mask(made, Mask(torch.rand(1, 1, h * 8, w * 8, generator=torch.Generator().manual_seed(9))))


def test_an_empty_latent_has_zeros_for_the_picture_and_says_that_it_is_empty():
    made = empty_latent(512, 768, 2)
    assert made.samples.shape == (2, 4, 96, 64)
    assert not made.samples.any()
    assert made.empty
    assert latent_size(made) == (512, 768, 2)


@pytest.mark.parametrize(("width", "height", "words"), [(500, 512, "496 or 504"), (512, 513, "512 or 520")])
def test_sizes_between_the_grid_are_refused_with_the_next_ones(width, height, words):
    with pytest.raises(GraphError, match=words):
        empty_latent(width, height)


@pytest.mark.parametrize("size", [(16384, 16384, 1), (8192, 8192, 4096)])
def test_absurd_sizes_are_refused_before_memory_is_taken(size):
    with pytest.raises(GraphError, match="smaller"):
        empty_latent(*size)
    with pytest.raises(GraphError, match="smaller"):
        repeat_latent(empty_latent(8192, 8192), 4096)


# -- masks


def test_a_mask_has_the_size_of_the_picture_or_its_proportions():
    made = set_latent_mask(latent(96, 64), Mask(torch.ones(1, 1, 32, 48)))
    assert made.mask.shape == (1, 1, 64, 96)
    assert_close(mask_of_latent(made).values, torch.ones(1, 1, 64, 96))
    assert remove_latent_mask(made).mask is None
    assert_close(mask_of_latent(latent()).values, torch.ones(1, 1, 64, 96))
    with pytest.raises(GraphError, match=r"64 × 64.*96 × 64"):
        set_latent_mask(latent(), Mask(torch.ones(1, 1, 64, 64)))
    with pytest.raises(GraphError, match="2 masks at 'mask' for 3"):
        set_latent_mask(latent(batch=3), Mask(torch.ones(2, 1, 64, 96)))


# -- batches


def test_a_picture_taken_from_a_batch_keeps_its_number():
    made = latent(batch=5)
    chosen = latents_from_batch(made, 3, 2)
    assert_close(chosen.samples, made.samples[3:])
    assert chosen.first == 3
    assert latents_from_batch(chosen, -1).first == 4
    assert [piece.first for piece in latent_batch_to_list(chosen)] == [3, 4]
    with pytest.raises(GraphError, match="numbered from 0"):
        latents_from_batch(made, 5)


def test_repeating_and_batching_take_masks_along():
    two = set_latent_mask(latent(batch=2), Mask(torch.stack([torch.zeros(1, 64, 96), torch.ones(1, 64, 96)])))
    assert repeat_latent(two, 2).mask[:, 0, 0, 0].tolist() == [0, 1, 0, 1]
    assert latents_from_batch(two, 1).mask[:, 0, 0, 0].tolist() == [1]
    joined = batch_latents([two, latent()])
    assert joined.samples.shape[0] == 3
    assert joined.mask[:, 0, 0, 0].tolist() == [0, 1, 1]  # without a mask all of it may be painted
    assert batch_latents([latent(), latent()]).mask is None


def test_a_saved_latent_comes_back_whole_and_others_are_refused(tmp_path):
    made = with_mask(latent(96, 64, batch=2, sigma=1.25, first=3))

    class Desk(Headless):
        def output_path(self, name, suffix):
            return tmp_path / (name + suffix)

    save_latent(made, "a", Desk())
    read = load_latent(tmp_path / "a.latent")
    assert_close(read.samples, made.samples, atol=0, rtol=0)
    assert_close(read.mask, made.mask, atol=0, rtol=0)
    assert (read.downscale, read.sigma, read.first, read.empty) == (8, 1.25, 3, False)
    whole = (tmp_path / "a.latent").read_bytes()
    (tmp_path / "half.latent").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "pickle.latent").write_bytes(b"\x80\x04K\x01.")
    save_file({"samples": made.samples}, tmp_path / "other.latent")
    for name in ("half", "pickle", "other", "missing"):
        with pytest.raises(GraphError, match=f"'{name}.latent'"):
            load_latent(tmp_path / f"{name}.latent")


def test_an_empty_mask_warns_that_nothing_will_change():
    class Desk(Headless):
        words = ""

        def warn(self, message):
            self.words = message

    desk = Desk()
    set_latent_mask(latent(), Mask(torch.zeros(1, 1, 64, 96)), desk)
    assert "nothing will be repainted" in desk.words


# -- size and place


@pytest.mark.parametrize("method", ["bislerp", "bicubic", "bilinear", "area", "nearest"])
def test_resizing_reaches_the_size_in_pixels_and_takes_the_mask_along(method):
    made = resize_latent(with_mask(latent(96, 64)), 192, 64, method)
    assert made.samples.shape == (1, 4, 8, 24)
    assert made.mask.shape == (1, 1, 64, 192)
    assert scale_latent(latent(96, 64), 1.5, method).samples.shape == (1, 4, 12, 18)
    flat = Latent(torch.full((1, 4, 8, 12), -2.5))
    assert_close(scale_latent(flat, 1.5, method).samples, torch.full((1, 4, 12, 18), -2.5))


def test_sharp_filters_may_overshoot_in_latents():
    step = Latent(torch.cat([torch.full((1, 4, 8, 8), -3.0), torch.full((1, 4, 8, 8), 3.0)], -1))
    assert scale_latent(step, 2, "bicubic").samples.max() > 3.01


def test_a_side_of_zero_follows_and_cropping_keeps_proportions():
    assert resize_latent(latent(96, 64), 192, 0).samples.shape[-2:] == (16, 24)
    made = resize_latent(with_mask(latent(96, 64)), 64, 64, "nearest", crop=True)
    assert_close(made.samples, latent(96, 64).samples[..., 2:10])
    assert_close(made.mask, with_mask(latent(96, 64)).mask[..., 16:80])
    with pytest.raises(GraphError, match="multiple of 8"):
        resize_latent(latent(), 100, 64)


def test_bislerp_turns_directions_and_keeps_lengths():
    """Between (1, 0) and (0, 1) half way is (1, 1) / √2: a bilinear mean would have only the length 1 / √2."""
    pair = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(1, 2, 1, 2)  # channels × width
    made = bislerp(pair, 6, 1)
    assert_close(made.norm(dim=1), torch.ones(1, 1, 6))
    angles = torch.atan2(made[0, 1, 0], made[0, 0, 0]) / (math.pi / 2)
    assert_close(angles, ((torch.arange(6) + 0.5) / 3 - 0.5).clamp(0, 1))


def test_bislerp_goes_straight_where_no_circle_is_fixed():
    opposite = torch.tensor([1.0, -1.0]).view(1, 1, 1, 2).expand(1, 4, 1, 2)
    assert_close(bislerp(opposite, 4, 1)[0, 0, 0], torch.tensor([1.0, 0.5, -0.5, -1.0]))
    assert torch.isfinite(bislerp(torch.zeros(1, 4, 2, 2), 5, 5)).all()


def test_scaling_a_noisy_latent_warns():
    class Desk(Headless):
        words = ""

        def warn(self, message):
            self.words = message

    desk = Desk()
    scale_latent(latent(sigma=1.5), 2, ctx=desk)
    assert "noise" in desk.words


def test_cropping_turning_and_flipping_move_samples_and_mask_together():
    made = with_mask(latent(96, 64))
    window = crop_latent(made, 16, 8, 32, 40)
    assert_close(window.samples, made.samples[..., 1:6, 2:6])
    assert_close(window.mask, made.mask[..., 8:48, 16:48])
    for change, times in (
        (flip_latent, 2),
        (lambda x: flip_latent(x, "upside down"), 2),
        (rotate_latent, 4),
        (lambda x: rotate_latent(x, "270"), 4),
    ):
        turned = made
        for i in range(times):
            turned = change(turned)
            assert i == times - 1 or not torch.equal(turned.samples.flatten(), made.samples.flatten())
        assert_close(turned.samples, made.samples, atol=0, rtol=0)
        assert_close(turned.mask, made.mask, atol=0, rtol=0)
    assert_close(rotate_latent(made).samples[..., 0, -1], made.samples[..., 0, 0])
    with pytest.raises(GraphError, match="reaches out"):
        crop_latent(made, 64, 0, 40, 32)
    with pytest.raises(GraphError, match="'x' is 4"):
        crop_latent(made, 4, 0, 32, 32)


# -- together


def test_compositing_replaces_exactly_the_window():
    below, above = with_mask(latent(96, 64)), latent(32, 24, seed=2)
    made = composite_latent(below, above, 16, 8)
    assert_close(made.samples[..., 1:4, 2:6], above.samples)
    rest = torch.ones(8, 12, dtype=torch.bool)
    rest[1:4, 2:6] = False
    assert torch.equal(made.samples[..., rest], below.samples[..., rest])
    assert made.mask is below.mask


def test_a_feather_fades_only_edges_inside_the_picture():
    below, above = Latent(torch.zeros(1, 4, 8, 12)), Latent(torch.ones(1, 4, 8, 6))
    row = composite_latent(below, above, 48, 0, feather=32).samples[0, 0, 4]
    assert_close(row, torch.tensor([0, 0, 0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1]))


def test_what_is_laid_on_an_empty_latent_brings_its_channels():
    made = composite_latent(empty_latent(96, 64), latent(32, 32, channels=16), 0, 0)
    assert made.samples.shape == (1, 16, 8, 12)
    assert not made.empty
    masked = composite_latent(empty_latent(96, 64), latent(32, 32), mask=Mask(torch.zeros(1, 1, 32, 32)))
    assert not masked.samples.any()


@pytest.mark.parametrize("way", ["straight", "sphere"])
def test_a_blend_begins_with_the_first_and_ends_with_the_second(way):
    a, b = latent(seed=1), latent(seed=2)
    assert_close(blend_latents(a, b, 0.0, way).samples, a.samples)
    assert_close(blend_latents(a, b, 1.0, way).samples, b.samples)
    half = blend_latents(a, b, 0.5, way).samples
    if way == "straight":
        assert_close(half, (a.samples + b.samples) / 2)
    else:
        assert half.std() > 0.9  # a straight mean would have 0.71


def test_latents_that_do_not_belong_together_are_refused():
    for other, words in (
        (latent(64, 64), "one size"),
        (latent(channels=16), "4 and 16 channels"),
        (latent(sigma=2.0), "different amounts of noise"),
        (latent(downscale=16), "different kinds"),
    ):
        with pytest.raises(GraphError, match=words):
            blend_latents(latent(), other)
        with pytest.raises(GraphError, match=words):
            batch_latents([latent(), other])


def test_noise_has_the_asked_strength_keeps_to_its_mask_and_belongs_to_the_picture():
    flat = Latent(torch.zeros(3, 4, 64, 64))
    made = add_noise_to_latent(flat, 0.5, 7)
    assert_close(made.samples.std(), torch.tensor(0.5), atol=5e-3, rtol=0)
    left = torch.zeros(1, 1, 512, 512)
    left[..., :256] = 1
    masked = add_noise_to_latent(flat, 0.5, 7, Mask(left)).samples
    assert_close(masked[..., :32], made.samples[..., :32])
    assert not masked[..., 32:].any()
    third = add_noise_to_latent(latents_from_batch(made, 2), 0.5, 7).samples - made.samples[2:]
    again = add_noise_to_latent(latents_from_batch(flat, 2), 0.5, 7).samples
    assert_close(third, again)
    assert not torch.equal(again, add_noise_to_latent(latents_from_batch(flat, 1), 0.5, 7).samples)
