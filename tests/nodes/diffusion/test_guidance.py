"""Guidance rules against diffusers' and closed forms; noise and previews."""

import diffusers
import numpy as np
import pytest
import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import noise
from nodes.diffusion.guidance import (
    Apg,
    Cfg,
    CfgNorm,
    CfgZero,
    Dual,
    DynamicThreshold,
    Guided,
    Moment,
    PerpNeg,
    Rescale,
    make_rule,
    plain,
    within,
)  # fmt: skip
from nodes.diffusion.latents import FLUX, SD1, SD3, SDXL
from nodes.diffusion.noising import Discrete, Flow
from nodes.diffusion.preview import Previewer, fitted_factors
from nodes.diffusion.types import LatentFormat

X, COND, UNCOND = (torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3))
PARTS = {"cond": COND, "uncond": UNCOND}
SAMPLE = Discrete("sample")  # predicts the clean latent, so that rules on clean latents can be compared with rules on predictions


def moment(noising: Discrete | Flow = SAMPLE, i: int = 3) -> Moment:
    return Moment(i, 10, 1.3, X, noising)


def test_plain_guidance_is_its_formula() -> None:
    torch.testing.assert_close(Cfg(7.0).combine(PARTS, moment(), {}), UNCOND + 7 * (COND - UNCOND), rtol=0, atol=0)


def test_rescaled_guidance_equals_diffusers() -> None:
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

    ours = Guided(Cfg(7.0), (Rescale(0.7),)).combine(PARTS, moment(), {})
    torch.testing.assert_close(ours, rescale_noise_cfg(plain(COND, UNCOND, 7.0), COND, 0.7), rtol=0, atol=0)


@pytest.mark.parametrize("noising", [Discrete(), Discrete("v_prediction")])
def test_rescaling_in_velocity_gives_the_clean_latent_of_a_v_model_whatever_the_network_predicts(noising: Discrete) -> None:
    clean = {role: noising.denoised(part, X, 1.3) for role, part in PARTS.items()}
    v = Discrete("v_prediction")
    as_v = {role: v.predicted(part, X, 1.3) for role, part in clean.items()}
    rule = Guided(Cfg(7.0), (Rescale(0.7, in_velocity=True),))
    ours = noising.denoised(rule.combine(PARTS, moment(noising), {}), X, 1.3)
    theirs = v.denoised(Guided(Cfg(7.0), (Rescale(0.7),)).combine(as_v, moment(v), {}), X, 1.3)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_projected_guidance_equals_diffusers_over_several_steps() -> None:
    from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer, normalized_guidance

    buffer, memory = MomentumBuffer(-0.5), {}
    for k in range(3):
        parts = {role: part * (1 + 0.1 * k) for role, part in PARTS.items()}
        ours = Apg(7.0, eta=0.3, norm=5.0, momentum=-0.5).combine(parts, moment(), memory)
        theirs = normalized_guidance(parts["cond"], parts["uncond"], 6.0, buffer, eta=0.3, norm_threshold=5.0, use_original_formulation=True)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_cfg_zero_does_nothing_first_and_then_fits_the_negative() -> None:
    rule, at = CfgZero(4.0), moment(Flow())
    assert not rule.combine(PARTS, moment(Flow(), i=0), {}).any()
    fit = (COND * UNCOND).sum((1, 2, 3), keepdim=True) / (UNCOND**2).sum((1, 2, 3), keepdim=True)
    torch.testing.assert_close(rule.combine(PARTS, at, {}), UNCOND * fit + 4 * (COND - UNCOND * fit), rtol=1e-5, atol=1e-5)


def test_perpendicular_negatives_leave_what_the_prompt_says() -> None:
    empty = torch.zeros_like(COND)
    rule = PerpNeg(2.0, negative_scale=3.0)
    against = {"cond": COND, "uncond": -0.5 * COND, "empty": empty}  # a negative that is nothing but the opposite of the prompt
    torch.testing.assert_close(rule.combine(against, moment(), {}), 2 * COND, rtol=1e-5, atol=1e-5)


def test_dual_guidance_is_its_formula() -> None:
    image = torch.randn(X.shape, generator=torch.Generator().manual_seed(4))
    ours = Dual(7.0, image_scale=1.5).combine({"cond": COND, "image": image, "uncond": UNCOND}, moment(), {})
    torch.testing.assert_close(ours, UNCOND + 7 * (COND - image) + 1.5 * (image - UNCOND), rtol=0, atol=0)


def test_dynamic_thresholding_has_the_range_of_the_lower_guidance() -> None:
    ours = Guided(Cfg(20.0), (DynamicThreshold(mimic=5.0),)).combine(PARTS, moment(), {}).flatten(2)
    low = plain(COND, UNCOND, 5.0).flatten(2)
    reach = (ours - ours.mean(2, keepdim=True)).abs().amax(2)
    torch.testing.assert_close(reach, (low - low.mean(2, keepdim=True)).abs().amax(2), rtol=0.1, atol=0)
    same = Guided(Cfg(5.0), (DynamicThreshold(mimic=5.0),)).combine(PARTS, moment(), {})
    torch.testing.assert_close(same, plain(COND, UNCOND, 5.0), rtol=1e-5, atol=1e-5)


def test_the_norm_of_the_prompt_is_not_exceeded() -> None:
    ours = Guided(Cfg(9.0), (CfgNorm(),)).combine(PARTS, moment(), {})
    assert (ours.norm(dim=1) <= COND.norm(dim=1) + 1e-4).all()


def test_spans_of_steps_are_those_of_diffusers_and_of_noise_those_of_comfyui() -> None:
    noising = Discrete()
    inside = [i for i in range(6) if within((0.0, 0.7), "steps", i, 6, 1.0, noising)]
    assert inside == [0, 1, 2, 3]  # (i + 1) / 6 <= 0.7
    assert within((0.0, 0.5), "noise", 0, 1, noising.sigma_max, noising)
    assert not within((0.0, 0.5), "noise", 0, 1, 0.5, noising)


def test_a_rule_is_found_by_name() -> None:
    assert make_rule(5.0) == Cfg(5.0)
    assert make_rule(5.0, "apg", eta=0.5) == Apg(5.0, eta=0.5)
    with pytest.raises(GraphError, match="no guidance rule 'magic'"):
        make_rule(5.0, "magic")


# noise


def test_noise_between_two_seeds_stays_as_long_as_noise() -> None:
    a, b = noise.initial((2, 4, 32, 32), 1), noise.initial((2, 4, 32, 32), 2)
    halfway = noise.slerp(a, b, 0.5)
    assert float(halfway.std()) == pytest.approx(1.0, abs=0.03)
    assert float((0.5 * a + 0.5 * b).std()) == pytest.approx(0.707, abs=0.03)  # what a straight mix would have made of it
    torch.testing.assert_close(noise.slerp(a, a, 0.3), a, rtol=0, atol=1e-6)


def test_injected_noise_reaches_the_mask_only() -> None:
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., 0] = 1
    added = noise.inject(torch.zeros(1, 4, 4, 4), torch.ones(1, 4, 4, 4), 0.5, mask)
    assert added[..., 0].unique().tolist() == [0.5]
    assert not added[..., 1:].any()


def test_brownian_noise_of_two_halves_adds_up_to_that_of_the_whole() -> None:
    def path() -> noise.Brownian:
        return noise.Brownian(torch.zeros(1, 4, 8, 8), 5, 0.0, 10.0)

    whole = path()(10.0, 2.0) * 8**0.5
    parts = path()
    torch.testing.assert_close(parts(10.0, 6.0) * 2 + parts(6.0, 2.0) * 2, whole, rtol=0, atol=1e-5)


# previews


@pytest.mark.parametrize("form", [SD1, SDXL, SD3, FLUX])
def test_a_preview_is_small_rgb(form: LatentFormat) -> None:
    pixels = Previewer(form)(torch.randn(2, form.channels, 12, 20), picture=1)
    assert pixels is not None
    assert pixels.shape == (12, 20, 3)
    assert pixels.dtype == np.uint8
    assert len(form.rgb) == form.channels


def test_the_published_factors_of_sd1_show_a_bright_latent_bright() -> None:
    """The first channel of SD 1.x is mostly brightness, the fourth mostly its opposite in blue."""
    grey, bright = (Previewer(SD1)(torch.tensor([level, 0, 0, 0]).view(1, 4, 1, 1).float()) for level in (0, 3))
    assert grey is not None and bright is not None
    assert grey.tolist() == [[[128, 128, 128]]]  # (0 + 1) * 127.5, rounded
    assert bright.min() > 200


def test_previews_are_never_longer_than_512() -> None:
    pixels = Previewer(SD1)(torch.zeros(1, 4, 1024, 256))
    assert pixels is not None
    assert pixels.shape == (512, 128, 3)


def test_a_preview_that_fails_costs_nothing_but_itself(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def broken(latent: Tensor) -> Tensor:
        calls.append(1)
        raise RuntimeError("out of memory")

    previewer = Previewer(SD1, decoder=broken)
    assert previewer(torch.zeros(1, 4, 8, 8)) is None
    assert previewer(torch.zeros(1, 4, 8, 8)) is None
    assert len(calls) == 1
    assert "preview failed" in caplog.text


def test_a_tiny_decoder_is_used_where_there_is_one() -> None:
    decoder = diffusers.AutoencoderTiny(encoder_block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 8, 8, 8)).eval()
    pixels = Previewer(SD1, most=256, decoder=lambda latent: decoder.decode(latent).sample)(torch.randn(1, 4, 16, 16))
    assert pixels is not None
    assert pixels.shape == (128, 128, 3)


def test_broken_numbers_make_a_preview_and_no_crash() -> None:
    pixels = Previewer(SD1)(torch.full((1, 4, 2, 2), float("nan")))
    assert pixels is not None
    assert pixels.max() == 0


def test_factors_of_an_unknown_space_are_found_from_pictures() -> None:
    truth = torch.randn(3, 6, generator=torch.Generator().manual_seed(1)) * 0.2
    latents = torch.randn(3, 6, 8, 8, generator=torch.Generator().manual_seed(2))
    pictures = torch.einsum("rc,nchw->nrhw", truth, latents).repeat_interleave(8, 2).repeat_interleave(8, 3) + 0.1
    form = fitted_factors(latents, pictures, LatentFormat("unknown", 6))
    torch.testing.assert_close(torch.tensor(form.rgb).T, truth, rtol=1e-4, atol=1e-4)
    assert form.bias == pytest.approx((0.1, 0.1, 0.1), abs=1e-4)
