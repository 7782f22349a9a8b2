"""Our tables of tensor names are diffusers' own conversions, at the published sizes, tensor by tensor (identity, not shape)."""

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from diffusers.loaders import single_file_utils as theirs

from nodes.models import merging, names, weights
from nodes.models.families import shipped_config
from tests.nodes.models import tiny


def built(model, config, **changes):
    with init_empty_weights():
        return model(**{k: v for k, v in (config | changes).items() if not k.startswith("_")})


def original(module, table):
    table = names.inverse(table)
    return {names.rename(name, table): value for name, value in module.state_dict(keep_vars=True).items()}


def identical(found, module):
    expected = module.state_dict(keep_vars=True)
    assert set(found) == set(expected)
    assert all(found[name] is expected[name] for name in expected)


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl", "sdxl-refiner"])
def test_unet_names(family):
    module = built(UNet2DConditionModel, shipped_config(family, "unet"))
    state = {f"model.diffusion_model.{n}": v for n, v in original(module, names.unet_modules(module.config)).items()}
    identical(theirs.convert_ldm_unet_checkpoint(dict(state), dict(module.config)), module)
    identical(weights.unet({n.removeprefix("model.diffusion_model."): v for n, v in state.items()}, module.config), module)


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_controlnet_names(family):
    with init_empty_weights():
        module = ControlNetModel.from_unet(built(UNet2DConditionModel, shipped_config(family, "unet")), load_weights_from_unet=False)
    state = {f"control_model.{n}": v for n, v in original(module, names.unet_modules(module.config, is_controlnet=True)).items()}
    identical(theirs.convert_controlnet_checkpoint(dict(state), dict(module.config)), module)


@pytest.mark.parametrize("family", ["sd1", "flux1"])
def test_vae_names(family):
    module = built(AutoencoderKL, shipped_config(family, "vae"))
    state = {f"first_stage_model.{n}": v for n, v in original(module, names.vae_modules(module.config)).items()}
    identical(theirs.convert_ldm_vae_checkpoint(dict(state), dict(module.config)), module)


def test_openclip_names():
    text = tiny.clip(layers=3, projected=True, act="gelu")
    state = {name.removeprefix("text_model."): value for name, value in text.state_dict().items()}
    written = merging.openclip(state)
    converted = theirs.convert_open_clip_checkpoint(text, {f"p.{n}": v for n, v in written.items()}, prefix="p.")
    ours = weights.clip(written, expects_prefix=True)
    assert set(ours) == set(converted) == set(text.state_dict())
    assert all(torch.equal(ours[n], converted[n]) and torch.equal(ours[n], text.state_dict()[n]) for n in converted)


def test_old_attention_names_of_vae_folders_are_understood():
    """diffusers before 0.13, as in the Stable Diffusion 1.5 repository."""
    module = tiny.vae()
    modern = module.state_dict()
    swap = {new: old for old, new in names.OLD_ATTENTION.items()}
    old = {}
    for name, value in modern.items():
        for new, word in swap.items():
            if "attentions" in name and f".{new}." in name:
                name = name.replace(f".{new}.", f".{word}.")
        old[name] = value
    assert set(old) != set(modern)
    found = weights.vae(old, module.config)
    assert set(found) == set(modern) and all(torch.equal(found[n], modern[n]) for n in modern)


def test_scaled_fp8_weights_are_the_stored_value_times_their_scale():
    stored = {
        "a.weight": torch.tensor([1.0, -2.0]).to(torch.float8_e4m3fn),
        "a.scale_weight": torch.tensor(0.5),
        "b.bias": torch.ones(1),
        "scaled_fp8": torch.zeros(0),
    }
    found = weights.dequantised(stored)
    assert set(found) == {"a.weight", "b.bias"}
    assert found["a.weight"].tolist() == [0.5, -1.0]
