"""Image prompt adapters go on and come off; what they compute is diffusers'."""

import copy

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.diffusion import image_prompt
from nodes.models.handles import ImageEncoderHandle, Source
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_checkpoint, open_image_encoder, open_ip_adapter, with_ip_adapter
from tests.nodes.models import tiny


@pytest.fixture(scope="module")
def parts():
    return tiny.sd1_parts()


@pytest.fixture(scope="module")
def checkpoint(parts, tmp_path_factory):
    return open_checkpoint(tiny.write_sd1_checkpoint(tmp_path_factory.mktemp("ip") / "dreams.safetensors", parts))


def adapter_state(unet, features=24, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=generator) * 0.2

    state = {
        "image_proj": {
            "proj.weight": noise(4 * 64, features),
            "proj.bias": noise(4 * 64),
            "norm.weight": noise(64),
            "norm.bias": noise(64),
        },
        "ip_adapter": {},
    }
    number = 1
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            module = unet.get_submodule(name.removesuffix(".processor"))
            for part in ("k", "v"):
                state["ip_adapter"][f"{number}.to_{part}_ip.weight"] = noise(module.to_q.out_features, 64)
            number += 2
    return state


def written(path, state):
    save_file({f"{part}.{name}": value for part, inner in state.items() for name, value in inner.items()}, path)
    return open_ip_adapter(path)


def run(unet, embeds):
    generator = torch.Generator().manual_seed(5)
    x, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 7, 64, generator=generator)
    added = {} if embeds is None else {"added_cond_kwargs": {"image_embeds": [embeds]}}
    with torch.inference_mode():
        return unet(x, 10, text, **added).sample


def test_an_adapter_computes_what_diffusers_computes_and_comes_off_exactly(parts, checkpoint, tmp_path):
    state, embeds = adapter_state(parts.unet), torch.randn(1, 2, 24)
    theirs = copy.deepcopy(parts.unet)
    theirs._load_ip_adapter_weights([copy.deepcopy(state)])
    for processor in theirs.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.6]
    handle = written(tmp_path / "ip.safetensors", state)
    assert (handle.family, handle.kind) == ("", "base")
    memory = ModelMemory()
    with memory.use(with_ip_adapter(checkpoint.denoiser, handle, 0.6)) as model:
        assert torch.equal(run(model.module, embeds), run(theirs, embeds))
        assert not torch.equal(run(model.module, embeds), run(parts.unet, None))
    with memory.use(checkpoint.denoiser) as model:
        assert torch.equal(run(model.module, None), run(parts.unet, None))
        assert set(model.module.state_dict()) == set(parts.unet.state_dict())
    assert len(memory) == 1


def test_an_adapter_that_does_not_fit_is_refused_and_leaves_the_model_clean(parts, checkpoint, tmp_path):
    state = adapter_state(parts.unet)
    state["ip_adapter"].pop("1.to_k_ip.weight")
    memory = ModelMemory()
    with pytest.raises(GraphError, match="'cut.safetensors' does not fit this model"):
        memory.resolve(with_ip_adapter(checkpoint.denoiser, written(tmp_path / "cut.safetensors", state)))
    assert torch.equal(run(memory.resolve(checkpoint.denoiser).module, None), run(parts.unet, None))


def test_the_image_encoder_gives_features_of_each_kind(tmp_path):
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=1,
        image_size=32,
        patch_size=8,
        projection_dim=24,
        hidden_act="gelu",
    )
    encoder = tiny.randomised(CLIPVisionModelWithProjection(config), 4)
    encoder.save_pretrained(tmp_path / "vision")
    save_file({n: v.clone() for n, v in encoder.state_dict().items()}, tmp_path / "vision.safetensors")
    pixels = torch.rand(2, 3, 40, 60)
    expected = encoder(image_prompt.prepare(pixels, 32), output_hidden_states=True)
    for path in (tmp_path / "vision", tmp_path / "vision.safetensors"):
        handle = open_image_encoder(path)
        assert isinstance(handle, ImageEncoderHandle) and isinstance(handle.source, Source)
        with ModelMemory().use(handle) as model:
            features = image_prompt.look(model, pixels)
        torch.testing.assert_close(features.embeds, expected.image_embeds, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(features.patches, expected.hidden_states[-2], rtol=1e-5, atol=1e-5)
        assert image_prompt.prompt(features, "base")[0].shape == (1, 2, 24)
        assert image_prompt.prompt(features, "plus")[1].shape == (1, 2, 17, 64)


def test_pictures_are_prepared_as_clip_was_trained():
    """Against the processor of transformers; its resizing rounds to bytes twice, hence 2/255; no value is near 0 or 255, where it would clip between its passes."""
    import numpy as np
    from PIL import Image
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    levels = (torch.rand(1, 3, 5, 6).repeat_interleave(12, 2).repeat_interleave(12, 3) * 120 + 70).round()
    picture = Image.fromarray(levels[0].permute(1, 2, 0).numpy().astype(np.uint8))
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    theirs = processor(picture, return_tensors="pt").pixel_values
    torch.testing.assert_close(image_prompt.prepare(levels / 255, 32), theirs, rtol=0, atol=2.1 / 255 / 0.26)
