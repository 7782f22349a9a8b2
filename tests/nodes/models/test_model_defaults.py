"""Which settings suit a model, and that few-step models are told by positive evidence only."""

from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file

from nodegraph.errors import GraphError
from nodegraph.folders import RESOURCES
from nodegraph.spec import accepts
from nodes.diffusion.samplers import SAMPLERS
from nodes.diffusion.schedules import SCHEDULES
from nodes.loaders import load_checkpoint, load_denoiser, usual_settings
from nodes.models.defaults import defaults
from nodes.models.families import FAMILIES
from nodes.models.handles import DenoiserHandle, Patch, Source
from nodes.types import Denoiser
from tests.nodes.models import tiny


def handle(name="dreams", family="sdxl", **changes):
    folder = Source(f"/models/{name}/unet" if FAMILIES[family].part == "unet" else f"/models/{name}/transformer", "checkpoint", "unet")
    return replace(DenoiserHandle(folder, family), **changes)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_settings_that_there_are(family):
    found = defaults(DenoiserHandle(Source("/models/dreams.safetensors", "file", "unet"), family))
    assert found.sampler in SAMPLERS and found.schedule in SCHEDULES and found.few == ""
    assert found.size == FAMILIES[family].size or family == "sd2"


@pytest.mark.parametrize(
    ("name", "few", "steps", "guidance"),
    [
        ("sdxl_lightning_4step", "lightning", 4, 1.0), ("sdxl_lightning_8step_unet", "lightning", 8, 1.0), ("sd_xl_turbo_1.0_fp16", "turbo", 4, 1.0),
        ("DreamShaperXL_Turbo_v2", "turbo", 4, 1.0), ("DreamShaperTurbo", "turbo", 4, 1.0), ("LCM_Dreamshaper_v7", "lcm", 6, 1.5),
        ("Hyper-SDXL-8steps", "hyper", 8, 1.0), ("lightningwood", "", 20, 6.0), ("turbocharged", "", 20, 6.0), ("dreams_4step_less", "", 20, 6.0),
    ],
)  # fmt: skip
def test_few_step_models_are_told_by_whole_words_of_their_name(name, few, steps, guidance):
    found = defaults(DenoiserHandle(Source(f"/models/{name}.safetensors", "file", "unet"), "sdxl"))
    assert (found.few, found.steps, found.guidance) == (few, steps, guidance)


def test_a_lora_on_the_model_counts_as_evidence():
    plain = DenoiserHandle(Source("/models/dreams.safetensors", "file", "unet"), "sd1")
    patched = replace(plain, patches=(Patch("/loras/lcm-lora-sdv1-5.safetensors", 1.0),))
    assert (defaults(plain).sampler, defaults(patched).sampler) == ("dpmpp_2m", "lcm")


def test_metadata_counts_as_evidence(tmp_path):
    file = tiny.write_sd1_checkpoint(tmp_path / "model.safetensors", tiny.sd1_parts())
    assert defaults(load_denoiser(file).handle).few == ""
    save_file(load_file(file), tmp_path / "other.safetensors", {"modelspec.title": "Dreams Lightning"})
    assert defaults(load_denoiser(tmp_path / "other.safetensors").handle).few == "lightning"


def test_variants_and_predictions_differ():
    at = Source("/models/dreams.safetensors", "file", "unet")
    assert defaults(DenoiserHandle(at, "sd2", prediction="epsilon")).size == 512
    assert defaults(DenoiserHandle(at, "sd2", prediction="v_prediction")).size == 768
    assert defaults(DenoiserHandle(at, "flux1", "schnell", "flow")).steps == 4
    with pytest.raises(GraphError, match="Set them by hand"):
        defaults(DenoiserHandle(at, "mochi"))


def test_the_model_that_ships_says_its_own_size():
    settings = usual_settings(load_checkpoint(RESOURCES / "starter" / "model").denoiser)
    assert settings == (128, 128, 20, 7.0, "dpmpp_2m", "karras")
    assert isinstance(usual_settings(Denoiser(handle("x", "flux1", prediction="flow"))), tuple)


def test_the_settings_can_be_wired_into_the_nodes_that_use_them():
    from nodegraph.registry import Registry

    specs = Registry.load(plugins=False).specs
    offered = {item.name: item.type for item in specs["loaders/defaults"].outputs}
    for target in ("sampling/sample", "latent/empty"):
        for item in specs[target].inputs:
            if item.name in offered:
                assert accepts(item.type, offered[item.name]), (target, item.name)
