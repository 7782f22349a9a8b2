"""Guidance by more than two prompts, through the nodes: what the sampler is told, and pictures against the rules themselves."""

import json

import pytest
import torch
from diffusers import SD3Transformer2DModel
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodegraph.node import Headless
from nodes.adapters import adaptive_guidance, guidance_interval, perturbed_attention
from nodes.conditioning import instruct
from nodes.guidance import cfg_norm, few_steps, perpendicular_negative, skip_layers, two_way_guidance
from nodes.loaders import load_checkpoint, load_denoiser
from nodes.sampling import noise_schedule, sample
from nodes.types import Conditioning, Denoiser, Image, Latent, Part
from tests.nodes.models import tiny

CHEAP = {"steps": 3, "guidance": 4.0, "sampler": "euler", "schedule": "normal", "seed": 2}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


FOX, NOTHING, CROWD = (Conditioning((Part(noise(1, 77, 64, seed=seed)),)) for seed in (5, 6, 7))


def empty():
    return Latent(torch.zeros(1, 4, 8, 8), empty=True)


def painted(denoiser, positive=FOX, negative=CROWD, **changes):
    return sample(denoiser, positive, empty(), negative, **{**CHEAP, **changes}).samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def model(folder):
    return load_checkpoint(tiny.write_sd1_checkpoint(folder / "dreams.safetensors", tiny.sd1_parts()))


@pytest.fixture(scope="module")
def editor(folder):
    """An instruct-pix2pix checkpoint: 8 channels."""
    parts = tiny.sd1_parts()
    parts.unet = tiny.unet(channels=8)
    return load_checkpoint(tiny.write_sd1_checkpoint(folder / "edits.safetensors", parts))


def test_a_negative_that_asks_for_the_same_takes_nothing_away(model):
    """Perpendicular to the prompt, a negative equal to it is nothing: what is left is guidance away from the empty prompt."""
    same = painted(perpendicular_negative(model.denoiser, NOTHING), FOX, FOX)
    torch.testing.assert_close(same, painted(model.denoiser, FOX, NOTHING), rtol=0, atol=2e-4)
    assert not torch.allclose(painted(perpendicular_negative(model.denoiser, NOTHING)), same, atol=1e-3)


def test_a_perpendicular_negative_of_strength_0_is_plain_guidance_from_the_empty_prompt(model):
    silent = painted(perpendicular_negative(model.denoiser, NOTHING, 0.0))
    torch.testing.assert_close(silent, painted(model.denoiser, FOX, NOTHING), rtol=0, atol=2e-4)


def test_a_rule_that_compares_with_the_negative_prompt_asks_for_one(model, editor):
    with pytest.raises(GraphError, match="negative prompt"):
        painted(perpendicular_negative(model.denoiser, NOTHING), negative=None)
    with pytest.raises(GraphError, match="negative prompt"):
        painted(two_way_guidance(editor.denoiser), negative=None)


def test_instruct_pix2pix_with_two_strengths_equals_the_stock_pipeline(editor):
    import diffusers

    from nodes.models.memory import MODELS

    picture = Image(torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    positive, negative, _ = instruct(FOX, NOTHING, editor.vae, picture)
    ours = painted(two_way_guidance(editor.denoiser, 1.6), positive, negative, guidance=7.0)
    with MODELS.use(editor.denoiser.handle) as net, MODELS.use(editor.vae.handle) as vae:
        config = json.loads(json.dumps(dict(net.scheduler)))
        scheduler = diffusers.EulerDiscreteScheduler.from_config(config, timestep_spacing="linspace")
        pipe = diffusers.StableDiffusionInstructPix2PixPipeline(
            vae=vae.module, text_encoder=None, tokenizer=None, unet=net.module, scheduler=scheduler, safety_checker=None,
            feature_extractor=None, image_encoder=None, requires_safety_checker=False,
        )  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        scheduler.set_timesteps(3)
        first = float(scheduler.sigmas[0])
        start = noise(1, 4, 8, 8, seed=2) * (1 + first**2) ** 0.5 / first  # theirs begins at sigma, ours at the whole noise of sigma and picture
        theirs = pipe(
            prompt_embeds=FOX.parts[0].embeds, negative_prompt_embeds=NOTHING.parts[0].embeds, image=picture.pixels, guidance_scale=7.0,
            image_guidance_scale=1.6, num_inference_steps=3, latents=start, output_type="latent", return_dict=False,
        )[0]  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_two_way_guidance_at_1_for_the_picture_is_plain_guidance(editor):
    picture = Image(torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    positive, negative, _ = instruct(FOX, NOTHING, editor.vae, picture)
    one = painted(two_way_guidance(editor.denoiser, 1.0), positive, negative)
    torch.testing.assert_close(one, painted(editor.denoiser, positive, negative), rtol=0, atol=1e-3)


def test_two_way_guidance_is_for_models_that_see_a_picture(model):
    with pytest.raises(GraphError, match="not an instruct-pix2pix model"):
        two_way_guidance(model.denoiser)


@pytest.fixture(scope="module")
def flow(folder):
    """A Stable Diffusion 3 transformer of two layers, as a file of its own with its configuration beside it."""
    torch.manual_seed(6)
    net = SD3Transformer2DModel(
        sample_size=16, patch_size=1, in_channels=16, num_layers=2, attention_head_dim=8, num_attention_heads=4, caption_projection_dim=32,
        joint_attention_dim=32, pooled_projection_dim=64, out_channels=16,
    )  # fmt: skip
    (folder / "sd3").mkdir()
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, folder / "sd3" / "net.safetensors")
    (folder / "sd3" / "config.json").write_text(json.dumps({"_class_name": "SD3Transformer2DModel", **net.config}), encoding="utf-8")
    return load_denoiser(folder / "sd3" / "net.safetensors")


WORDS, OTHERS = (Conditioning((Part(noise(1, 9, 32, seed=seed), noise(1, 64, seed=seed + 1)),)) for seed in (8, 10))


def test_skip_layer_guidance_counts_in_its_part_of_the_steps_only(flow):
    def steps(denoiser: Denoiser) -> list:
        kept = []

        class Watcher(Headless):
            device = "cpu"

            def remember(self, key, checkpoint):
                kept.append(checkpoint["x"])

        sample(denoiser, WORDS, empty(), OTHERS, ctx=Watcher(), **{**CHEAP, "schedule": "simple", "steps": 4})
        return kept

    plain, early = steps(flow), steps(skip_layers(flow, 3.0, "0", 0.0, 0.5))
    late = steps(skip_layers(flow, 3.0, "0", 0.5, 1.0))
    assert not torch.equal(plain[0], early[0])
    assert torch.equal(plain[1], late[1]) and not torch.equal(plain[2], late[2])
    assert torch.equal(steps(skip_layers(flow, 0.0, "0", 0.0, 1.0))[-1], plain[-1])


def test_skip_layer_guidance_refuses_what_it_cannot_do(flow, model):
    with pytest.raises(GraphError, match="SD3"):
        skip_layers(model.denoiser)
    with pytest.raises(GraphError, match="layer numbers"):
        skip_layers(flow, layers="mid_block")
    with pytest.raises(GraphError, match="layer numbers"):
        skip_layers(flow, layers=" , ")
    with pytest.raises(GraphError, match="start before"):
        skip_layers(flow, start=0.5, end=0.5)
    with pytest.raises(GraphError, match="cannot be used together"):
        sample(perturbed_attention(skip_layers(flow)), WORDS, empty(), OTHERS, **CHEAP)


def test_perturbed_attention_can_be_told_where(model):
    middle, elsewhere = perturbed_attention(model.denoiser), perturbed_attention(model.denoiser, layers="up_blocks.1, down_blocks.0")
    assert not torch.allclose(painted(middle), painted(elsewhere), atol=1e-4)
    with pytest.raises(GraphError, match="no attention layer"):
        painted(perturbed_attention(model.denoiser, layers="roof"))
    with pytest.raises(GraphError, match="Name a part"):
        perturbed_attention(model.denoiser, layers=" ")


def test_cfg_norm_holds_the_guided_picture_to_the_length_of_the_prompts_own(model):
    """One step ends in the guided clean latent itself."""
    def lengths(**changes):
        return painted(cfg_norm(model.denoiser) if changes.pop("held") else model.denoiser, steps=1, **changes).norm(dim=1)

    alone = lengths(held=False, guidance=1.0)
    assert (lengths(held=False, guidance=8.0) > alone * 1.01).any()
    assert (lengths(held=True, guidance=8.0) <= alone * 1.001).all()
    torch.testing.assert_close(painted(cfg_norm(model.denoiser, 0.5), steps=1), painted(cfg_norm(model.denoiser), steps=1) * 0.5, rtol=1e-3, atol=1e-4)


def test_few_step_models_are_asked_only_at_levels_that_they_know(model):
    from nodes.diffusion.noising import Discrete

    few = few_steps(model.denoiser)
    known = Discrete(distilled=50).table
    levels = noise_schedule(few, "simple", 4).values[:-1]
    assert all(float((known - level).abs().min()) < 1e-4 for level in levels)
    assert not torch.equal(noise_schedule(model.denoiser, "simple", 4).values[:-1], levels)
    assert not torch.allclose(painted(few, sampler="lcm"), painted(model.denoiser, sampler="lcm"), atol=1e-4)


def test_only_one_rule_takes_the_place_of_plain_guidance(model):
    both = adaptive_guidance(perpendicular_negative(model.denoiser, NOTHING))
    with pytest.raises(GraphError, match="Only one of the guidance rules"):
        painted(both)
    held = guidance_interval(perpendicular_negative(model.denoiser, NOTHING), 0.0, 0.5)
    assert torch.isfinite(painted(held)).all()
