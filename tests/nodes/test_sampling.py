"""Painting with the model that ships: what artists do with the sampler, through the nodes themselves."""

from pathlib import Path

import pytest
import torch

from nodegraph.errors import Cancelled, GraphError
from nodegraph.folders import RESOURCES
from nodegraph.node import Headless
from nodes.adapters import (
    adaptive_guidance,
    cfg_zero,
    dynamic_threshold,
    flow_shift,
    guidance_interval,
    perturbed_attention,
    rescale_guidance,
)
from nodes.conditioning import area, average, combine, concat, limit_to_mask, limit_to_steps, prompt, zero_out
from nodes.diffusion import samplers, schedules
from nodes.latent import set_latent_mask
from nodes.loaders import load_checkpoint
from nodes.sampling import Sampler, Schedule, karras_schedule, noise_schedule, sample, split_schedule, typed_schedule
from nodes.types import Image, Latent, Mask
from nodes.vae import decode, encode

CHEAP = {"steps": 4, "guidance": 4.0, "sampler": "euler", "schedule": "normal"}


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(RESOURCES / "starter" / "model")


@pytest.fixture(scope="module")
def fox(model):
    return prompt(model.text_encoder, "a fox in the snow")


@pytest.fixture(scope="module")
def nothing(model):
    return prompt(model.text_encoder, "")


def empty(batch: int = 1) -> Latent:
    return Latent(torch.zeros(batch, 4, 16, 16), empty=True)


class Watcher(Headless):
    """A Context that keeps what it is told, and finished steps like a real one."""

    def __init__(self, stop_after: int | None = None, store: dict | None = None) -> None:
        self.device, self.stop_after = "cpu", stop_after
        self.steps: list[float] = []
        self.pictures = []
        self.store = {} if store is None else store
        self.warnings: list[str] = []

    def progress(self, done, total, preview=None, note="", sigma=None):
        self.steps.append(done)
        self.pictures.append(preview() if preview else None)
        if done == self.stop_after:
            raise Cancelled

    def warn(self, message):
        self.warnings.append(message)

    def recall(self, key):
        return self.store.get(key)

    def remember(self, key, checkpoint):
        self.store[key] = checkpoint


def test_every_sampler_and_schedule_of_the_numerics_can_be_chosen():
    def choices(hint):
        return set(hint.__origin__.__args__)

    assert choices(Sampler) == set(samplers.SAMPLERS)
    assert choices(Schedule) == set(schedules.SCHEDULES)


def test_the_same_seed_gives_the_same_picture_and_another_seed_another(model, fox, nothing):
    first, again, other = (sample(model.denoiser, fox, empty(), nothing, seed=seed, **CHEAP).samples for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_each_step_reports_itself_with_a_picture_of_the_estimate(model, fox, nothing):
    watcher = Watcher()
    sample(model.denoiser, fox, empty(), nothing, ctx=watcher, **CHEAP)
    assert watcher.steps == [1, 2, 3, 4]
    assert all(picture.shape[-1] == 3 and picture.dtype == "uint8" for picture in watcher.pictures)


def test_a_stopped_run_goes_on_where_it_stopped_bit_equal(model, fox, nothing):
    whole = sample(model.denoiser, fox, empty(), nothing, **CHEAP)
    stopped = Watcher(stop_after=3)
    with pytest.raises(Cancelled):
        sample(model.denoiser, fox, empty(), nothing, ctx=stopped, **CHEAP)
    resumed = Watcher(store=stopped.store)
    result = sample(model.denoiser, fox, empty(), nothing, ctx=resumed, **CHEAP)
    assert resumed.steps == [3, 4]  # where it goes on, and the step that was missing
    assert torch.equal(result.samples, whole.samples)


def test_a_change_of_late_steps_only_costs_the_late_steps(model, fox, nothing):
    house = prompt(model.text_encoder, "a house in the snow")
    store: dict = {}
    early = limit_to_steps(fox, 0, 0.5)
    sample(model.denoiser, combine([early, limit_to_steps(house, 0.5, 1)]), empty(), nothing, ctx=Watcher(store=store), **CHEAP)
    changed = Watcher(store=store)
    sample(model.denoiser, combine([early, limit_to_steps(nothing, 0.5, 1)]), empty(), nothing, ctx=changed, **CHEAP)
    assert changed.steps == [2, 3, 4]  # where it goes on, and the two steps that differ


def test_two_samplers_in_a_row_paint_what_one_paints(model, fox, nothing):
    whole = sample(model.denoiser, fox, empty(), nothing, seed=3, **CHEAP)
    first = sample(model.denoiser, fox, empty(), nothing, seed=3, last_step=2, leave_noise=True, **CHEAP)
    assert first.sigma > 0
    second = sample(model.denoiser, fox, first, nothing, seed=3, first_step=2, add_noise=False, **CHEAP)
    torch.testing.assert_close(second.samples, whole.samples, rtol=0, atol=1e-5)


def test_a_schedule_made_by_hand_is_that_of_the_sampler(model, fox, nothing):
    named = sample(model.denoiser, fox, empty(), nothing, steps=4, guidance=4.0, sampler="euler", schedule="karras")
    sigmas = noise_schedule(model.denoiser, "karras", 4)
    own = sample(model.denoiser, fox, empty(), nothing, sigmas, sampler="euler", guidance=4.0)
    assert torch.equal(named.samples, own.samples)
    assert karras_schedule(4, sigma_max=float(sigmas.values[0]), sigma_min=float(sigmas.values[-2])).values == pytest.approx(sigmas.values, rel=1e-5)


def test_a_schedule_is_cut_at_a_step_that_both_parts_share(model):
    whole = noise_schedule(model.denoiser, "karras", 10)
    high, low = split_schedule(whole, 4)
    assert [*high.curve(), *low.curve()[1:]] == whole.curve()  # as the nodes draw them
    assert len(high.values) == 5 and len(low.values) == 7 and high.values[-1] == low.values[0]
    with pytest.raises(GraphError, match="numbers with commas"):
        typed_schedule("fast, slow")


def test_less_denoise_keeps_more_of_the_picture(model, fox, nothing):
    picture = Image(torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)))
    latent = encode(picture, model.vae)
    distances = [
        float((sample(model.denoiser, fox, latent, nothing, denoise=d, **CHEAP).samples - latent.samples).square().mean())
        for d in (0.0, 0.3, 0.9)
    ]
    assert distances[0] == 0 and distances[0] < distances[1] < distances[2]


@pytest.mark.parametrize("way", [{}, {"mask_in_model": True}, {"soft_mask": True}])
def test_inpainting_leaves_everything_outside_of_the_mask_as_it_was(model, fox, nothing, way):
    latent = encode(Image(torch.full((1, 3, 128, 128), 0.5)), model.vae)
    hole = torch.zeros(1, 1, 128, 128)
    hole[..., 32:96, 32:96] = 1
    painted = sample(model.denoiser, fox, set_latent_mask(latent, Mask(hole)), nothing, **way, **CHEAP).samples
    small = torch.nn.functional.interpolate(hole, size=(16, 16), mode="bilinear")
    outside = (small == 0).expand_as(painted)
    assert torch.equal(painted[outside], latent.samples[outside])
    assert not torch.allclose(painted[~outside], latent.samples[~outside])


def test_a_grey_mask_blends_or_with_a_soft_mask_sets_free_late(model, fox, nothing):
    """Differential inpainting: light grey comes nearer to what would be painted without a mask than dark grey does."""
    latent = encode(Image(torch.full((1, 3, 128, 128), 0.5)), model.vae)
    ramp = Mask(torch.linspace(0, 1, 128).view(1, 1, 1, 128).expand(1, 1, 128, 128))
    settings = {**CHEAP, "steps": 8}
    apart, whole = torch.zeros(16), torch.zeros(16)  # by columns, over four seeds: the content itself changes one more than another
    for seed in range(4):
        free, held = (
            sample(model.denoiser, fox, set_latent_mask(latent, mask), nothing, soft_mask=True, seed=seed, **settings).samples
            for mask in (Mask(torch.ones(1, 1, 128, 128)), ramp)
        )
        apart += (held - free).abs().mean((0, 1, 2))
        whole += (latent.samples - free).abs().mean((0, 1, 2))
    missing = (apart / whole).tolist()
    dark, grey, light = (sum(part) / len(part) for part in (missing[:3], missing[5:11], missing[14:]))
    assert dark > 1.15 * grey and grey > 1.3 * light
    seen, after = (sample(model.denoiser, fox, set_latent_mask(latent, ramp), nothing, mask_in_model=m, **settings).samples for m in (True, False))
    assert not torch.allclose(seen, after, atol=0.01)


def test_a_variation_of_nothing_is_the_picture_itself_and_a_full_one_that_of_the_other_seed(model, fox, nothing):
    plain, same, far = (
        sample(model.denoiser, fox, empty(), nothing, seed=1, variation=v, variation_seed=s, **CHEAP).samples for v, s in ((0, 9), (0.0, 5), (1.0, 9))
    )
    assert torch.equal(plain, same) and not torch.allclose(plain, far)
    other = sample(model.denoiser, fox, empty(), nothing, seed=9, **CHEAP).samples
    torch.testing.assert_close(far, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: rescale_guidance(d, 0.7),
        lambda d: dynamic_threshold(d, 5.0),
        lambda d: adaptive_guidance(d),
        lambda d: cfg_zero(d),
        lambda d: guidance_interval(d, 0.25, 0.75),
        lambda d: perturbed_attention(d, 2.0),
        lambda d: rescale_guidance(guidance_interval(d, 0.0, 0.75), 0.5),
    ],
)
def test_every_guidance_rule_paints_another_picture_than_plain_guidance(model, fox, nothing, change):
    plain = sample(model.denoiser, fox, empty(), nothing, **CHEAP).samples
    ruled = sample(change(model.denoiser), fox, empty(), nothing, **CHEAP).samples
    assert torch.isfinite(ruled).all() and not torch.allclose(plain, ruled)


def test_prompts_count_where_they_are_told_to(model, fox, nothing):
    house = prompt(model.text_encoder, "a house in a meadow")
    left = torch.zeros(1, 1, 128, 128)
    left[..., :64] = 1
    by_area = sample(model.denoiser, combine([area(fox, 0, 0, 0.5, 1), area(house, 0.5, 0, 0.5, 1)]), empty(), nothing, **CHEAP).samples
    by_mask = sample(
        model.denoiser, combine([limit_to_mask(fox, Mask(left)), limit_to_mask(house, Mask(1 - left))]), empty(), nothing, **CHEAP
    ).samples
    torch.testing.assert_close(by_area, by_mask, rtol=0, atol=1e-5)


def test_prompts_can_be_joined_blended_and_silenced(fox, nothing):
    assert concat(fox, nothing).parts[0].embeds.shape[1] == 2 * fox.parts[0].embeds.shape[1]
    torch.testing.assert_close(average(fox, nothing, 0.0).parts[0].embeds, fox.parts[0].embeds)
    torch.testing.assert_close(average(fox, nothing, 1.0).parts[0].embeds, nothing.parts[0].embeds)
    assert not zero_out(fox).parts[0].embeds.any()


def test_weights_in_a_prompt_change_what_the_model_is_told(model):
    plain, more = (prompt(model.text_encoder, text).parts[0].embeds for text in ("a red car", "a (red:1.5) car"))
    assert plain.shape == more.shape and not torch.allclose(plain, more)


def test_a_picture_of_odd_size_is_encoded_and_decoded(model):
    latent = encode(Image(torch.rand(1, 3, 131, 77)), model.vae)
    assert latent.samples.shape == (1, 4, 16, 9)
    assert decode(latent, model.vae).pixels.shape == (1, 3, 128, 72)


def test_what_cannot_be_done_is_said(model, fox, nothing):
    with pytest.raises(GraphError, match="not a flow model"):
        flow_shift(model.denoiser)
    with pytest.raises(GraphError, match="only 4 steps"):
        sample(model.denoiser, fox, empty(), nothing, first_step=9, **CHEAP)
    with pytest.raises(GraphError, match="Only one of the guidance rules"):
        sample(cfg_zero(adaptive_guidance(model.denoiser)), fox, empty(), nothing, **CHEAP)
    watcher = Watcher()
    sample(model.denoiser, fox, empty(), nothing, denoise=0.0, ctx=watcher, **CHEAP)
    assert "Nothing was painted" in watcher.warnings[0]


def test_a_file_that_is_no_checkpoint_is_refused_with_words(tmp_path: Path):
    pickle = tmp_path / "photo.safetensors"
    pickle.write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(GraphError, match="photo.safetensors"):
        load_checkpoint(pickle)


def test_a_picture_far_larger_than_the_model_has_seen_is_painted_with_a_warning_that_names_a_size(model, fox, nothing):
    watcher = Watcher()
    sample(model.denoiser, fox, Latent(torch.zeros(1, 4, 32, 32), empty=True), nothing, ctx=watcher, **{**CHEAP, "steps": 1})
    assert "Start with about 128 × 128" in watcher.warnings[0]
    usual = Watcher()
    sample(model.denoiser, fox, Latent(torch.zeros(1, 4, 16, 24), empty=True), nothing, ctx=usual, **{**CHEAP, "steps": 1})
    assert not usual.warnings
