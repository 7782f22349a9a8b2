"""Each road of loading gives the same weights: one checkpoint file, separate files, a diffusers folder."""

import socket
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.models import loading
from nodes.models.handles import Source, stamp
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_checkpoint, open_control, open_denoiser, open_text_encoder, open_vae
from tests.nodes.models import tiny


@pytest.fixture(scope="module")
def parts():
    return tiny.sd1_parts()


@pytest.fixture(scope="module")
def checkpoint(parts, tmp_path_factory):
    return tiny.write_sd1_checkpoint(tmp_path_factory.mktemp("one") / "dreams.safetensors", parts)


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory):
    return tiny.write_sd1_folder(tmp_path_factory.mktemp("folder") / "dreams", parts)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert set(a) == set(b)
    for name in a:
        assert torch.equal(a[name], b[name]), name


def load(handle):
    with ModelMemory().use(handle) as model:
        return model


def test_a_checkpoint_file_gives_the_weights_of_the_folder_it_was_made_from(parts, checkpoint, folder):
    for opened in (open_checkpoint(checkpoint), open_checkpoint(folder)):
        same(load(opened.denoiser).module, parts.unet)
        same(load(opened.vae).module, parts.vae)
        same(load(opened.text_encoder).module, parts.text_encoder)


def test_diffusers_reads_our_original_layout_alike(parts, checkpoint, folder):
    """The oracle: from_single_file with the folder's own configs."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    theirs = UNet2DConditionModel.from_single_file(str(checkpoint), config=str(folder), subfolder="unet", local_files_only=True)
    same(theirs, load(open_checkpoint(checkpoint).denoiser).module)
    theirs = AutoencoderKL.from_single_file(str(checkpoint), config=str(folder), subfolder="vae", local_files_only=True)
    same(theirs, load(open_checkpoint(checkpoint).vae).module)


def test_the_loaded_network_computes_what_the_original_computes(parts, checkpoint):
    x, text = torch.randn(1, 4, 8, 8), torch.randn(1, 7, 64)
    module = load(open_checkpoint(checkpoint).denoiser).module
    assert torch.equal(module(x, 10, text).sample, parts.unet(x, 10, text).sample)
    assert module.config.attention_head_dim == parts.unet.config.attention_head_dim


def test_separate_files_load_like_the_checkpoint(parts, folder, tmp_path):
    save_file(tiny.prefixed(tiny.ldm_unet(parts.unet), ""), tmp_path / "unet.safetensors")
    save_file(tiny.prefixed(tiny.ldm_vae(parts.vae), ""), tmp_path / "vae-ft-mse-840000.safetensors")
    text = {f"text_model.{name}": value.clone() for name, value in parts.text_encoder.state_dict().items()}
    save_file(text, tmp_path / "clip_l.safetensors")
    same(load(open_denoiser(tmp_path / "unet.safetensors")).module, parts.unet)
    same(load(open_vae(tmp_path / "vae-ft-mse-840000.safetensors")).module, parts.vae)
    same(load(open_text_encoder([tmp_path / "clip_l.safetensors"], "sd1")).module, parts.text_encoder)
    same(load(open_denoiser(folder / "unet")).module, parts.unet)
    same(load(open_vae(folder / "vae", "sd1")).module, parts.vae)


def test_a_lone_file_with_diffusers_names_needs_no_config(parts, tmp_path):
    save_file(tiny.prefixed(parts.unet.state_dict(), ""), tmp_path / "plain.safetensors")
    same(load(open_denoiser(tmp_path / "plain.safetensors")).module, parts.unet)


@pytest.mark.parametrize(
    ("kind", "family", "variant"), [("sd2", "sd2", "base"), ("unclip", "sd2", "unclip"), ("sdxl-refiner", "sdxl-refiner", "base")]
)
def test_other_unet_families_load_from_the_original_layout(kind, family, variant, tmp_path):
    net = tiny.unet(kind)
    save_file(tiny.prefixed(tiny.ldm_unet(net), "model.diffusion_model."), tmp_path / "net.safetensors")
    handle = open_denoiser(tmp_path / "net.safetensors")
    assert (handle.family, handle.variant) == (family, variant)
    same(load(handle).module, net)


def test_sd2_leaves_out_the_last_layer_of_its_text_encoder(tmp_path):
    text = tiny.clip(layers=4, act="gelu", projected=True)
    state = tiny.prefixed(tiny.ldm_unet(tiny.unet("sd2")), "model.diffusion_model.") | tiny.prefixed(
        tiny.openclip(text), "cond_stage_model.model."
    )
    save_file(state, tmp_path / "sd2.safetensors")
    module = load(open_checkpoint(tmp_path / "sd2.safetensors").text_encoder).module
    ids = torch.tensor([[49406, 320, 1125, 49407]])
    with torch.inference_mode():
        expected = text.text_model.final_layer_norm(text(ids, output_hidden_states=True).hidden_states[-2])
        torch.testing.assert_close(module(ids).last_hidden_state, expected, rtol=0, atol=1e-6)


def test_sdxl_gives_two_text_encoders_and_the_scaling_of_its_vae(tmp_path):
    net, autoencoder, small, large = tiny.unet("sdxl"), tiny.vae(), tiny.clip(), tiny.clip(projected=True, act="gelu", seed=5)
    opened = open_checkpoint(tiny.write_sdxl_checkpoint(tmp_path / "xl.safetensors", net, autoencoder, small, large))
    assert opened.denoiser.family == "sdxl"
    same(load(opened.denoiser).module, net)
    text = load(opened.text_encoder)
    same(text.encoders[0], small)
    same(text.encoders[1], large)
    assert [t.pad_token_id for t in text.tokenizers] == [49407, 0]
    assert load(opened.vae).module.config.scaling_factor == 0.13025


def test_a_controlnet_loads_from_the_original_and_from_diffusers_names(parts, tmp_path):
    from diffusers import ControlNetModel

    from nodes.models import names

    control = tiny.randomised(ControlNetModel.from_unet(parts.unet, conditioning_embedding_out_channels=(16, 32, 96, 256)), 9)
    table = names.inverse(names.unet_modules(control.config, is_controlnet=True))
    original = {names.rename(name, table): value for name, value in control.state_dict().items()}
    save_file(tiny.prefixed(original, "control_model."), tmp_path / "canny.safetensors")
    save_file(tiny.prefixed(control.state_dict(), ""), tmp_path / "canny-diffusers.safetensors")
    for name in ("canny.safetensors", "canny-diffusers.safetensors"):
        handle = open_control(tmp_path / name)
        assert (handle.family, handle.kind) == ("sd1", "controlnet")
        same(load(handle).module, control)


@pytest.mark.parametrize("settings", [{}, {"num_mode": 7}, {"conditioning_embedding_channels": 16, "patch_size": 2}, {"num_layers": 0}])
def test_a_controlnet_of_flux_needs_no_config(settings, tmp_path):
    from diffusers import FluxControlNetModel

    config = {"num_layers": 2, "num_single_layers": 1, "attention_head_dim": 128, "num_attention_heads": 1, "joint_attention_dim": 32, "pooled_projection_dim": 24}
    control = tiny.randomised(FluxControlNetModel(**(config | settings)), 9)
    save_file(tiny.prefixed(control.state_dict(), ""), tmp_path / "lines.safetensors")
    handle = open_control(tmp_path / "lines.safetensors")
    assert (handle.family, handle.kind) == ("flux1", "controlnet-union" if "num_mode" in settings else "controlnet")
    loaded = load(handle).module
    same(loaded, control)
    assert {name: value for name, value in loaded.config.items() if name[0] != "_"} == {name: value for name, value in control.config.items() if name[0] != "_"}


@pytest.mark.parametrize("has_text", [True, False])
def test_a_controlnet_of_sd3_needs_no_config(has_text, tmp_path):
    """Those of SD 3.5 large see neither words nor patches of their own."""
    from diffusers import SD3ControlNetModel

    config = {"num_layers": 2, "attention_head_dim": 64, "num_attention_heads": 1, "caption_projection_dim": 64, "pooled_projection_dim": 24}
    special = {"joint_attention_dim": 32, "pos_embed_max_size": 8} if has_text else {"joint_attention_dim": None, "use_pos_embed": False}
    control = tiny.randomised(SD3ControlNetModel(**config, **special, force_zeros_for_pooled_projection=has_text), 9)
    save_file(tiny.prefixed(control.state_dict(), ""), tmp_path / "lines.safetensors")
    handle = open_control(tmp_path / "lines.safetensors")
    assert (handle.family, handle.kind) == ("sd3", "controlnet")
    loaded = load(handle).module
    same(loaded, control)
    assert loaded.config.force_zeros_for_pooled_projection == has_text


def test_a_controlnet_of_another_family_or_width_is_refused_before_loading(parts, checkpoint, tmp_path):
    from diffusers import ControlNetModel

    from nodes.models.opening import check_family

    for name, net in (("wide", tiny.unet("sd1", context=96)), ("xl", tiny.unet("sdxl"))):
        save_file(tiny.prefixed(ControlNetModel.from_unet(net).state_dict(), ""), tmp_path / f"{name}.safetensors")
    denoiser = open_checkpoint(checkpoint).denoiser
    with pytest.raises(GraphError, match="The ControlNet 'wide.safetensors' reads text features of width 96, but the model's are 64 wide"):
        check_family(denoiser, open_control(tmp_path / "wide.safetensors"), "ControlNet")
    with pytest.raises(GraphError, match="The ControlNet 'xl.safetensors' is for Stable Diffusion XL, but the model is Stable Diffusion 1"):
        check_family(denoiser, open_control(tmp_path / "xl.safetensors"), "ControlNet")
    check_family(denoiser, open_vae(checkpoint), "VAE")


@pytest.mark.parametrize(("kind", "family"), [("full_adapter", "sd1"), ("full_adapter_xl", "sdxl")])
def test_a_t2i_adapter_loads_from_the_makers_names(kind, family, tmp_path):
    from diffusers import T2IAdapter

    factor = 16 if kind.endswith("xl") else 8
    adapter = tiny.randomised(
        T2IAdapter(in_channels=3, channels=[8, 16, 24, 24], num_res_blocks=2, downscale_factor=factor, adapter_type=kind), 8
    )
    original = {}
    for name, value in adapter.state_dict().items():
        parts = name.removeprefix("adapter.").split(".")
        if parts[0] == "body":
            number = int(parts[1]) * 2 + (int(parts[3]) if parts[2] == "resnets" else 0)
            parts = ["body", str(number), *parts[4 if parts[2] == "resnets" else 2 :]]
        original[".".join(parts)] = value.clone()
    save_file(original, tmp_path / "t2iadapter_canny.safetensors")
    handle = open_control(tmp_path / "t2iadapter_canny.safetensors")
    assert (handle.family, handle.kind) == (family, "t2i-adapter")
    loaded = load(handle).module
    same(loaded, adapter)
    hint = torch.rand(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(loaded(hint), adapter(hint), strict=True))


def test_code_in_a_model_folder_is_never_run(folder, tmp_path, monkeypatch):
    """Trust S6: neither a module beside the weights nor an auto_map makes foreign code run."""
    import json
    import shutil

    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "model")
    for part in ("unet", "text_encoder", "tokenizer"):
        (tmp_path / "model" / part / "evil.py").write_text("open('pwned', 'w')\nclass Evil: ...\n")
        config = tmp_path / "model" / part / ("tokenizer_config.json" if part == "tokenizer" else "config.json")
        told = json.loads(config.read_text()) | {
            "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}
        }
        config.write_text(json.dumps(told))
    for handle in open_checkpoint(tmp_path / "model"):
        load(handle)
    assert not (tmp_path / "pwned").exists()


def test_weights_are_cast_to_the_asked_type(checkpoint):
    module = loading.denoiser(open_checkpoint(checkpoint).denoiser, torch.bfloat16)
    assert {p.dtype for p in module.parameters()} == {torch.bfloat16}


def test_a_checkpoint_that_lost_a_weight_says_which(parts, tmp_path):
    state = tiny.prefixed(tiny.ldm_unet(parts.unet), "model.diffusion_model.")
    del state["model.diffusion_model.out.2.bias"]
    save_file(state, tmp_path / "cut.safetensors")
    with pytest.raises(GraphError, match=r"'cut.safetensors' is incomplete: 1 of \d+ weights are missing, the first is 'conv_out.bias'"):
        load(open_denoiser(tmp_path / "cut.safetensors"))


def test_a_file_replaced_after_opening_is_not_loaded_by_mistake(parts, tmp_path):
    path = tiny.write_sd1_checkpoint(tmp_path / "a.safetensors", parts)
    handle = open_checkpoint(path).denoiser
    tiny.write_sd1_checkpoint(path, tiny.sd1_parts(), note="other")
    with pytest.raises(GraphError, match="was replaced on disk"):
        load(handle)


def test_writing_over_a_file_does_not_change_the_loaded_model(parts, tmp_path):
    """Fault F36: the file is mapped into memory while it is read, so the weights must be copies."""
    path = tiny.write_sd1_checkpoint(tmp_path / "a.safetensors", parts)
    module = load(open_checkpoint(path).denoiser).module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * (path.stat().st_size // 2))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_loading_opens_no_socket_and_needs_no_cache(checkpoint, folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))

    def refuse(*_):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    for path in (checkpoint, folder):
        for handle in open_checkpoint(path):
            load(handle)


def test_a_folder_with_only_pickles_is_refused(folder, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text((folder / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"PK\x03\x04")
    with pytest.raises(GraphError, match="only pickled weights"):
        load(open_denoiser(tmp_path / "unet"))


def test_a_shard_list_cannot_point_out_of_its_folder(folder, tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text((folder / "unet" / "config.json").read_text())
    (tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": {"a": "../secret.safetensors"}}')
    with pytest.raises(GraphError, match="outside its folder"):
        load(open_denoiser(tmp_path / "unet"))


def test_a_vae_that_fits_two_families_must_be_told_which(parts, tmp_path):
    save_file(tiny.prefixed(tiny.ldm_vae(parts.vae), ""), tmp_path / "mystery.safetensors")
    with pytest.raises(GraphError, match="does not say for which models it is"):
        open_vae(tmp_path / "mystery.safetensors")
    assert load(open_vae(tmp_path / "mystery.safetensors", "sdxl")).module.config.scaling_factor == 0.13025


def test_a_handle_without_its_tokenizer_says_what_to_do(checkpoint):
    text = open_checkpoint(checkpoint).text_encoder
    broken = replace(text, tokenizers=("/no/such/folder",))
    with pytest.raises(GraphError, match="tokenizer folder"):
        load(broken)
    t5 = replace(text, family="flux1", sources=(Source(str(checkpoint), "file", "t5", stamp(checkpoint)),), tokenizers=("",))
    with pytest.raises(GraphError, match="does not ship with the program"):
        load(t5)
