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
