"""The shipped model through the standard classes, without a network and without anything of ours."""

import json
from pathlib import Path

import numpy as np
import pytest

STARTER = Path(__file__).parents[2] / "resources" / "starter"


@pytest.fixture(scope="module")
def pipeline():
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    made = diffusers.StableDiffusionPipeline.from_pretrained(
        STARTER / "model", dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    made.set_progress_bar_config(disable=True)
    return made


def draw(pipeline, prompt: str, seed: int, steps: int = 6) -> np.ndarray:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return pipeline(prompt, num_inference_steps=steps, guidance_scale=4.0, generator=generator, output_type="np").images[0]


def test_the_shipped_model_draws_a_picture_of_its_own_size(pipeline):
    picture = draw(pipeline, "an apple on a white background", seed=1)
    assert picture.shape == (128, 128, 3)
    assert np.isfinite(picture).all() and picture.std() > 0.05


def test_the_same_seed_draws_the_same_picture(pipeline):
    first, again = (draw(pipeline, "a cat at night", seed=2, steps=3) for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_the_words_of_the_prompt_change_the_picture(pipeline):
    red = draw(pipeline, "an apple on a red background", seed=3, steps=10)
    blue = draw(pipeline, "an apple on a blue background", seed=3, steps=10)
    corner = np.s_[:12, :12]
    assert red[corner][..., 0].mean() > red[corner][..., 2].mean() + 0.2
    assert blue[corner][..., 2].mean() > blue[corner][..., 0].mean() + 0.2


def test_a_picture_survives_the_vae(pipeline):
    import torch

    ramp = torch.linspace(-0.8, 0.8, 128).expand(1, 3, 128, 128)
    with torch.no_grad():
        back = pipeline.vae.decode(pipeline.vae.encode(ramp).latent_dist.mean).sample
    assert (back - ramp).abs().mean() < 0.06


def test_every_word_of_the_vocabulary_fits_the_tokenizer(pipeline):
    vocabulary = json.loads((STARTER / "vocabulary.json").read_text("utf-8"))
    tokenizer = pipeline.tokenizer
    assert tokenizer.model_max_length == pipeline.text_encoder.config.max_position_embeddings
    for word in vocabulary["words"]:
        ids = tokenizer(word, add_special_tokens=False).input_ids
        assert 1 <= len(ids) <= 6, word
        assert tokenizer.decode(ids).strip() == word
    for prompt in vocabulary["examples"]:
        assert len(tokenizer(prompt).input_ids) < tokenizer.model_max_length, prompt


def test_the_vocabulary_holds_every_word_of_its_examples():
    vocabulary = json.loads((STARTER / "vocabulary.json").read_text("utf-8"))
    known = set(vocabulary["words"])
    assert len(vocabulary["objects"]) == len(vocabulary["plurals"]) >= 12
    assert vocabulary["examples"]
    for prompt in vocabulary["examples"]:
        assert set(prompt.split()) <= known, prompt


def test_only_safetensors_are_shipped_and_all_of_it_is_small():
    files = [p for p in STARTER.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert not [p for p in files if p.suffix in {".bin", ".pt", ".ckpt", ".pth", ".pkl"}]
    assert sum(p.stat().st_size for p in files) <= 40e6
    for needed in ("NOTICE.md", "MODEL_CARD.md", "README.md", "model/tokenizer/vocab.json", "model/tokenizer/merges.txt"):
        assert (STARTER / needed).is_file(), needed
    for config in STARTER.rglob("*config.json"):
        assert "_name_or_path" not in json.loads(config.read_text("utf-8")), config


def test_the_shipped_weights_are_half_precision():
    for path in STARTER.rglob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        kinds = {entry["dtype"] for name, entry in header.items() if name != "__metadata__"}
        assert kinds <= {"F16", "I64"}, f"{path}: {kinds}"


def test_the_flat_style_takes_the_shading_off_what_it_draws(pipeline):
    def shading(strength: float) -> float:
        """How much the lightness in the middle of one-coloured things varies, added up."""
        pipeline.set_adapters("flat", adapter_weights=strength)
        pictures = [draw(pipeline, f"{thing} on a blue background", 5, 20) for thing in ("a lemon", "an apple", "a star", "a heart")]
        return sum(picture[44:92, 44:84].mean(2).std() for picture in pictures)

    pipeline.load_lora_weights(STARTER / "lora", weight_name="flat-style.safetensors", adapter_name="flat")
    solid, between, flat = (shading(strength) for strength in (0.0, 0.5, 1.0))
    pipeline.unload_lora_weights()
    assert flat < 0.5 * solid and between < 0.6 * solid


def test_the_shipped_lora_and_controlnet_change_the_picture(pipeline):
    import torch
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    prompt, steps = "an apple on a white background", 4
    plain = draw(pipeline, prompt, 5, steps)
    pipeline.load_lora_weights(STARTER / "lora", weight_name="flat-style.safetensors", adapter_name="flat")
    assert np.abs(draw(pipeline, prompt, 5, steps) - plain).mean() > 0.005
    pipeline.unload_lora_weights()
    np.testing.assert_allclose(draw(pipeline, prompt, 5, steps), plain, atol=1e-5)

    control = ControlNetModel.from_pretrained(STARTER / "controlnet-edges", dtype=torch.float32, local_files_only=True)
    steered = StableDiffusionControlNetPipeline(**pipeline.components, controlnet=control)
    steered.set_progress_bar_config(disable=True)
    hint = torch.zeros(1, 3, 128, 128)
    hint[..., 30:98, 30] = hint[..., 30:98, 98] = hint[..., 30, 30:98] = hint[..., 98, 30:98] = 1
    generator = torch.Generator().manual_seed(5)
    square = steered(prompt, image=hint, num_inference_steps=steps, guidance_scale=4.0, generator=generator, output_type="np").images[0]
    assert np.abs(square - plain).mean() > 0.005


def test_the_preview_factors_and_decoder_show_what_the_vae_shows(pipeline):
    import torch
    from diffusers import AutoencoderTiny

    picture = torch.zeros(1, 3, 128, 128)
    picture[:, 0, :, 64:], picture[:, 2, :, :64] = 0.8, 0.8
    with torch.no_grad():
        latent = pipeline.vae.encode(picture).latent_dist.mean * pipeline.vae.config.scaling_factor
        small = AutoencoderTiny.from_pretrained(STARTER / "preview" / "tiny-decoder", dtype=torch.float32, local_files_only=True)
        decoded = small.decode(latent).sample
    linear = json.loads((STARTER / "preview" / "rgb.json").read_text("utf-8"))
    coarse = torch.einsum("bchw,cd->bdhw", latent, torch.tensor(linear["factors"])) + torch.tensor(linear["bias"])[:, None, None]
    for shown in (decoded, coarse):
        half = shown.shape[-1] // 2
        assert shown[:, 0, :, half + 1 :].mean() > shown[:, 0, :, : half - 1].mean() + 0.4
        assert shown[:, 2, :, : half - 1].mean() > shown[:, 2, :, half + 1 :].mean() + 0.4
