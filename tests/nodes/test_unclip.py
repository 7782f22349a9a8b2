"""Pictures as class labels: the numbers of diffusers' pipeline, and an unCLIP checkpoint at tiny size that paints by them."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMScheduler, StableUnCLIPImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from nodegraph.errors import GraphError
from nodes.conditioning import prompt
from nodes.diffusion.unclip import LEVELS, MERGED, Shown, class_labels, noisy
from nodes.loaders import load_denoiser, load_image_encoder
from nodes.models.memory import MODELS
from nodes.sampling import sample
from nodes.types import Conditioning, Image, Latent, Part
from nodes.unclip import load_unclip, unclip_picture
from tests.nodes.models import tiny

WIDTH = 24


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


MEAN, DEVIATION = noise(1, WIDTH, seed=1), noise(1, WIDTH, seed=2).abs() + 0.5


def stock(embeds, level, given):
    """diffusers' own method on its own parts."""
    normalizer = StableUnCLIPImageNormalizer(WIDTH)
    normalizer.mean.data, normalizer.std.data = MEAN, DEVIATION
    parts = SimpleNamespace(image_normalizer=normalizer, image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"))
    with torch.no_grad():
        return StableUnCLIPImg2ImgPipeline.noise_image_embeddings(parts, embeds, level, given)


@pytest.mark.parametrize("level", [0, 1, 250, 999])
def test_the_labels_of_a_picture_are_those_of_diffusers(level):
    embeds, given = noise(2, WIDTH, seed=3), noise(2, WIDTH, seed=4)
    torch.testing.assert_close(noisy(embeds, level, MEAN, DEVIATION, given), stock(embeds, level, given), rtol=0, atol=1e-6)


def test_several_pictures_are_summed_by_their_strength_and_made_a_little_noisy():
    first, second = noise(1, WIDTH, seed=3), noise(1, WIDTH, seed=4)
    pictures = [Shown(first, 0.75, 0.1, 7), Shown(second, 0.5, 0.0, 8)]
    summed = stock(first, round(999 * 0.1), noise(1, WIDTH, seed=7)) * 0.75 + stock(second, 0, noise(1, WIDTH, seed=8)) * 0.5
    expected = stock(summed[:, :WIDTH], round((LEVELS - 1) * MERGED), noise(1, WIDTH, seed=7))
    torch.testing.assert_close(class_labels(pictures, MEAN, DEVIATION), expected, rtol=0, atol=1e-6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("unclip")


@pytest.fixture(scope="module")
def denoiser(folder):
    """A checkpoint as Stability wrote it: the network and the statistics of its noise augmentor."""
    state = tiny.prefixed(tiny.ldm_unet(tiny.unet("unclip")), "model.diffusion_model.") | tiny.prefixed(tiny.ldm_vae(tiny.vae()), "first_stage_model.")
    statistics = {"noise_augmentor.data_mean": MEAN, "noise_augmentor.data_std": DEVIATION}
    save_file(state | statistics, folder / "unclip.safetensors")
    return load_denoiser(folder / "unclip.safetensors")


@pytest.fixture(scope="module")
def encoder(folder):
    torch.manual_seed(0)
    config = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14, projection_dim=WIDTH
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder / "vision")
    return load_image_encoder(folder / "vision")


FOX, NOTHING = Conditioning((Part(noise(1, 77, 64, seed=5)),)), Conditioning((Part(noise(1, 77, 64, seed=6)),))


def picture(seed):
    return Image(torch.rand(1, 3, 32, 40, generator=torch.Generator().manual_seed(seed)))


def painted(denoiser, positive):
    return sample(denoiser, positive, Latent(torch.zeros(1, 4, 8, 8), empty=True), NOTHING, steps=2, guidance=3.0, sampler="euler", schedule="normal").samples


def test_an_unclip_model_paints_by_the_picture_that_it_is_shown(denoiser, encoder):
    assert denoiser.handle.variant == "unclip"
    one, other = (unclip_picture(FOX, denoiser, encoder, picture(seed)) for seed in (1, 2))
    assert one.parts[0].extra["class_labels"].shape == (1, 2 * WIDTH)
    assert torch.equal(painted(denoiser, one), painted(denoiser, one))
    assert not torch.allclose(painted(denoiser, one), painted(denoiser, other), atol=1e-4)


def test_a_batch_and_a_chain_of_pictures_are_the_same_mixture(denoiser, encoder):
    both = Image(torch.cat([picture(1).pixels, picture(2).pixels]))
    batch = unclip_picture(FOX, denoiser, encoder, both, seed=3).parts[0].extra["class_labels"]
    chain = unclip_picture(unclip_picture(FOX, denoiser, encoder, picture(1), seed=3), denoiser, encoder, picture(2), seed=4)
    torch.testing.assert_close(chain.parts[0].extra["class_labels"], batch, rtol=0, atol=1e-5)  # two forwards of one against one of two


def test_the_statistics_come_from_a_diffusers_folder_too(folder, denoiser, encoder):
    tiny.unet("unclip").save_pretrained(folder / "pipe" / "unet")
    normalizer = StableUnCLIPImageNormalizer(WIDTH)
    normalizer.mean.data, normalizer.std.data = MEAN, DEVIATION
    normalizer.save_pretrained(folder / "pipe" / "image_normalizer")
    same = unclip_picture(FOX, load_denoiser(folder / "pipe" / "unet"), encoder, picture(1))
    expected = unclip_picture(FOX, denoiser, encoder, picture(1))
    assert torch.equal(same.parts[0].extra["class_labels"], expected.parts[0].extra["class_labels"])


@pytest.fixture(scope="module")
def vision():
    config = CLIPVisionConfig(
        hidden_size=128, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14, projection_dim=WIDTH, hidden_act="gelu"
    )
    return tiny.randomised(CLIPVisionModelWithProjection(config), 9)


def whole(folder, vision):
    """A checkpoint as Stability wrote it, with OpenCLIP's image encoder and text encoder inside."""
    state = tiny.prefixed(tiny.ldm_unet(tiny.unet("unclip")), "model.diffusion_model.") | tiny.prefixed(tiny.ldm_vae(tiny.vae()), "first_stage_model.")
    state |= tiny.prefixed(tiny.openclip(tiny.clip(layers=4, act="gelu", projected=True)), "cond_stage_model.model.")
    state |= tiny.prefixed(tiny.openclip_vision(vision), "embedder.model.visual.")
    state |= {"noise_augmentor.data_mean": MEAN, "noise_augmentor.data_std": DEVIATION}
    save_file(state, folder / "whole.safetensors")
    return folder / "whole.safetensors"


def test_an_unclip_checkpoint_brings_its_image_encoder(folder, vision):
    opened = load_unclip(whole(folder, vision))
    assert opened.denoiser.handle.variant == "unclip"
    with MODELS.use(opened.image_encoder.handle) as model:
        assert all(torch.equal(value, vision.state_dict()[name]) for name, value in model.module.state_dict().items())
        assert model.module.config.num_attention_heads == 2 and model.module.config.image_size == 28
    words = prompt(opened.text_encoder, "a fox")
    said = unclip_picture(words, opened.denoiser, opened.image_encoder, picture(1))
    empty = Latent(torch.zeros(1, 4, 8, 8), empty=True)
    assert torch.isfinite(sample(opened.denoiser, said, empty, None, steps=1, sampler="euler").samples).all()


def test_an_image_encoder_with_the_names_of_openclip_loads_from_a_file_of_its_own(folder, vision):
    save_file(tiny.prefixed(tiny.openclip_vision(vision), "visual."), folder / "vit.safetensors")
    with MODELS.use(load_image_encoder(folder / "vit.safetensors").handle) as model:
        assert all(torch.equal(value, vision.state_dict()[name]) for name, value in model.module.state_dict().items())


def test_a_checkpoint_without_an_image_encoder_is_refused_in_words(folder):
    path = tiny.write_sd1_checkpoint(folder / "blind.safetensors", tiny.sd1_parts())
    with pytest.raises(GraphError, match=r"'blind\.safetensors' is not a CLIP image encoder: it is a checkpoint"):
        load_unclip(path)


def test_an_unclip_model_without_a_picture_is_refused_in_words(denoiser):
    with pytest.raises(GraphError, match="unCLIP picture"):
        painted(denoiser, FOX)


def test_another_model_or_another_encoder_is_refused_in_words(denoiser, encoder, folder):
    tiny.write_sd1_checkpoint(folder / "plain.safetensors", tiny.sd1_parts())
    with pytest.raises(GraphError, match="not an unCLIP model"):
        unclip_picture(FOX, load_denoiser(folder / "plain.safetensors"), encoder, picture(1))
    with pytest.raises(GraphError, match="image encoder that belongs"):
        class_labels([Shown(noise(1, WIDTH + 1))], MEAN, DEVIATION)
