"""A file's header tells its family; damaged, foreign and unknown files are refused in words."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.models import architectures, names
from nodes.models.detect import inspect, inspect_header
from nodes.models.families import FAMILIES, shipped_config
from nodes.models.header import Header, Tensor, read_header
from nodes.models.opening import open_checkpoint, open_denoiser, open_vae


def header(state, path="model.safetensors", **metadata):
    """A header as a file with these tensors would have it; values are not needed."""
    tensors = {name: Tensor("F16", tuple(value.shape), 0, value.numel() * 2) for name, value in state.items()}
    return Header(path, tensors, metadata, 8)


def published(family, **changes):
    """The state dict of a family's denoiser at its published size, on the meta device."""
    import diffusers
    from accelerate import init_empty_weights

    entry = FAMILIES[family]
    config = {k: v for k, v in (shipped_config(family, entry.part) | changes).items() if not k.startswith("_")}
    with init_empty_weights():
        return getattr(diffusers, entry.model)(**config)


def original_unet(module, prefix="model.diffusion_model."):
    table = names.inverse(names.unet_modules(module.config))
    return {prefix + names.rename(name, table): value for name, value in module.state_dict().items()}


UNETS = [
    ("sd1", {}),
    ("sd1", {"in_channels": 9}),
    ("sd1", {"in_channels": 8}),
    ("sd2", {}),
    ("sd2", {"in_channels": 9}),
    ("sdxl", {}),
    ("sdxl-refiner", {}),
]


@pytest.mark.parametrize(("family", "changes"), UNETS)
def test_published_unets_are_told_from_their_shapes_in_both_layouts(family, changes):
    module = published(family, **changes)
    variant = {9: "inpaint", 8: "pix2pix"}.get(changes.get("in_channels"), "base")
    original = original_unet(module)
    original.pop("model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias", None)  # its values would be read from the file
    for state in (original, module.state_dict()):
        report = inspect_header(header(state))
        assert (report.kind, report.family, report.variant) == ("denoiser", family, variant)
        inferred = architectures.unet(header(state).under(dict(report.parts)["denoiser"]))
        expected = shipped_config(family, "unet") | changes
        levels = len(expected["block_out_channels"])
        found, whole = (
            d if isinstance(d, list) else [d] * levels
            for d in (inferred.pop("transformer_layers_per_block"), expected["transformer_layers_per_block"])
        )
        assert found[1:] == whole[1:]  # where depths differ, the first level has no attention
        for name, value in inferred.items():
            assert value == expected[name], name


@pytest.mark.parametrize(
    ("names_", "family", "variant"),
    [
        (
            {
                "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
                "img_in.weight": (3072, 64),
                "guidance_in.in_layer.weight": (3072, 256),
            },
            "flux1",
            "dev",
        ),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "img_in.weight": (3072, 64)}, "flux1", "schnell"),
        (
            {"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "img_in.weight": (3072, 384), "guidance_in.in_layer.weight": (1, 1)},
            "flux1",
            "fill",
        ),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "single_stream_modulation.lin.weight": (1, 1)}, "flux2", "base"),
        ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,), "distilled_guidance_layer.in_proj.bias": (1,)}, "chroma", "base"),
        ({"joint_blocks.0.context_block.adaLN_modulation.1.bias": (9216,), "context_embedder.weight": (1536, 4096)}, "sd3", "3"),
        ({"txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias": (1,)}, "hunyuan-video", "base"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_transformer_families_are_told_by_tensors_that_only_they_have(names_, family, variant, prefix):
    report = inspect_header(header({prefix + name: torch.empty(shape, device="meta") for name, shape in names_.items()}))
    assert (report.family, report.variant) == (family, variant)


@pytest.mark.parametrize("family", ["sd3", "flux1", "flux2"])
def test_transformer_shapes_give_the_published_configuration(family):
    """Headers in the original layout, as far as the configuration reads them."""
    expected = shipped_config(family, "transformer")
    heads, head, layers = expected["num_attention_heads"], expected["attention_head_dim"], expected["num_layers"]
    inner = heads * head
    if family == "sd3":
        shapes = {
            "x_embedder.proj.weight": (inner, 16, 2, 2), "pos_embed": (1, 192 * 192, inner), "context_embedder.weight": (1536, 4096),
            "y_embedder.mlp.0.weight": (inner, 2048), "final_layer.linear.weight": (64, inner),
            **{f"joint_blocks.{i}.x_block.mlp.fc1.weight": (1, 1) for i in range(layers)},
        }  # fmt: skip
        found = architectures.sd3(header({n: torch.empty(s, device="meta") for n, s in shapes.items()}))
    else:
        shapes = {
            "img_in.weight": (inner, expected["in_channels"]), "txt_in.weight": (inner, expected["joint_attention_dim"]),
            "final_layer.linear.weight": (expected["in_channels"], inner), "double_blocks.0.img_attn.norm.key_norm.scale": (head,),
            "guidance_in.in_layer.weight": (inner, 256), "time_in.in_layer.weight": (inner, 256), "vector_in.in_layer.weight": (inner, 768),
            "double_blocks.0.img_mlp.2.weight": (inner, inner * 3), **{f"double_blocks.{i}.x": (1,) for i in range(layers)},
            **{f"single_blocks.{i}.x": (1,) for i in range(expected["num_single_layers"])},
        }  # fmt: skip
        found = getattr(architectures, family)(header({n: torch.empty(s, device="meta") for n, s in shapes.items()}))
    for name, value in found.items():
        if name in expected:
            assert value == expected[name], name


@pytest.mark.parametrize("family", ["sd1", "sdxl", "sd3", "flux1"])
def test_the_published_vaes_are_inferred_in_both_layouts(family):
    from accelerate import init_empty_weights
    from diffusers import AutoencoderKL

    expected = shipped_config(family, "vae")
    with init_empty_weights():
        module = AutoencoderKL(**{k: v for k, v in expected.items() if k != "_class_name"})
    table = names.inverse(names.vae_modules(module.config))
    original = {names.rename(name, table): value for name, value in module.state_dict().items()}
    for state in (original, module.state_dict()):
        report = inspect_header(header(state))
        assert (report.kind, report.family) == ("vae", "")
        for name, value in architectures.autoencoder(header(state)).items():
            assert value == expected.get(name, True), name


def test_sd2_with_velocity_prediction_is_told_by_the_spread_of_one_norm(tmp_path):
    module = published("sd2", block_out_channels=[32, 64, 64, 64], attention_head_dim=[1, 1, 1, 1], cross_attention_dim=32)
    for spread, prediction in ((0.2, "v_prediction"), (0.01, "epsilon")):
        state = {name: torch.zeros(value.shape, dtype=torch.bfloat16) for name, value in original_unet(module).items()}
        name = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
        state[name] = torch.linspace(-spread, spread, state[name].numel()).to(torch.bfloat16)
        save_file(state, tmp_path / "sd2.safetensors")
        assert inspect(tmp_path / "sd2.safetensors").prediction == prediction


@pytest.mark.parametrize(
    ("tensors", "kind", "family", "variant"),
    [
        ({"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 768)}, "lora", "sd1", "lora"),
        ({"lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (4, 2048)}, "lora", "sdxl", "lora"),
        ({"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (4, 1024)}, "lora", "sd2", "lora"),
        ({"lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight": (4, 3072)}, "lora", "flux1", "lora"),
        ({"transformer.single_transformer_blocks.0.proj_mlp.lora_A.weight": (4, 3072)}, "lora", "flux1", "lora"),
        ({"lora_unet_mid_block_attentions_0_proj_in.hada_w1_a": (4, 4), "lora_te_text_model_x.hada_w1_a": (4, 4)}, "lora", "", "loha"),
        (
            {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": (4, 768), "lora_te2_text_model_x.lora_down.weight": (4, 9)},
            "lora",
            "sdxl",
            "lora",
        ),
        (
            {"control_model.input_hint_block.0.weight": (16, 3, 3, 3), "control_model.input_blocks.0.0.weight": (320, 4, 3, 3)},
            "controlnet",
            "sd1",
            "controlnet",
        ),
        (
            {"controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3), "add_embedding.linear_1.weight": (1, 1)},
            "controlnet",
            "sdxl",
            "controlnet",
        ),
        (
            {
                "controlnet_cond_embedding.conv_in.weight": (16, 3, 3, 3),
                "task_embedding": (6, 320),
                "add_embedding.linear_1.weight": (1, 1),
            },
            "controlnet",
            "sdxl",
            "controlnet-union",
        ),
        ({"body.0.block1.weight": (1, 1, 3, 3), "conv_in.weight": (320, 192, 3, 3)}, "t2i-adapter", "sd1", "t2i-adapter"),
        ({"image_proj.proj.weight": (1, 1), "ip_adapter.1.to_k_ip.weight": (320, 768)}, "ip-adapter", "sd1", "base"),
        ({"image_proj.latents": (1, 1), "ip_adapter.1.to_k_ip.weight": (640, 2048)}, "ip-adapter", "sdxl", "plus"),
        ({"emb_params": (3, 768)}, "embedding", "sd1", "base"),
        ({"clip_l": (3, 768), "clip_g": (3, 1280)}, "embedding", "sdxl", "base"),
        (
            {"text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768), "text_model.embeddings.token_embedding.weight": (9, 768)},
            "text_encoder",
            "",
            "base",
        ),
        ({"encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096)}, "text_encoder", "", "base"),
        ({"vision_model.encoder.layers.0.mlp.fc1.weight": (4096, 1024)}, "clip-vision", "", "base"),
        ({"something.else": (3, 3, 3)}, "unknown", "", "base"),
        ({"model.diffusion_model.wholly.new": (3, 3)}, "unknown", "", "base"),
    ],
)
def test_every_other_kind_of_file_is_told_by_its_names(tensors, kind, family, variant):
    report = inspect_header(header({name: torch.empty(shape, device="meta") for name, shape in tensors.items()}))
    assert (report.kind, report.family, report.variant) == (kind, family, variant)
    assert report.words


def test_an_unknown_file_is_never_taken_for_stable_diffusion(tmp_path):
    save_file({"layer.weight": torch.zeros(3, 3, 3)}, tmp_path / "odd.safetensors")
    with pytest.raises(GraphError, match="'odd.safetensors' is not a checkpoint: its tensors match no model known here"):
        open_checkpoint(tmp_path / "odd.safetensors")


def test_a_file_of_another_kind_names_the_right_node(tmp_path):
    save_file({"lora_unet_x_attn2_to_k.lora_down.weight": torch.zeros(4, 768)}, tmp_path / "style.safetensors")
    with pytest.raises(GraphError, match=r"it is a LoRA for Stable Diffusion 1\. Use the LoRA node\."):
        open_checkpoint(tmp_path / "style.safetensors")
    with pytest.raises(GraphError, match="is not a VAE: it is a LoRA"):
        open_vae(tmp_path / "style.safetensors")


# --- content, not suffix ---------------------------------------------------------------------------------------------------


class Attack:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_a_pickle_that_calls_itself_safetensors_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.SAFETENSORS").write_bytes(pickle.dumps(Attack(), protocol=4))
    torch.save({"a": torch.zeros(2)}, tmp_path / "zip.safetensors")
    for name in ("model.SAFETENSORS", "zip.safetensors"):
        with pytest.raises(GraphError, match="can run code. Convert it to .safetensors first"):
            open_denoiser(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "It is empty"),
        (b"<!DOCTYPE html><html>", "It is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"GGUF\x03\x00\x00\x00xxxxxxxxxxxx", "GGUF"),
        (b"hello there, general", "is not a .safetensors file"),
        (struct.pack("<Q", 2**40) + b"{" + b" " * 40, "header claims"),
        (struct.pack("<Q", 20) + b'{"a": nonsense......}', "damaged"),
        (struct.pack("<Q", 2) + b"[]", "is not a .safetensors file"),
        (struct.pack("<Q", 66) + b'{"a":{"dtype":"F32","shape":[2,-1],"data_offsets":[0,8]}}         ' + b"\0" * 8, "damaged"),
        (struct.pack("<Q", 66) + b'{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,99]}}         ' + b"\0" * 99, "damaged"),
    ],
)
def test_files_that_are_no_model_say_what_they_are(content, words, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(GraphError, match=words):
        read_header(tmp_path / "model.safetensors")


def test_a_half_downloaded_file_says_how_much_is_missing(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({"a": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(GraphError, match="is incomplete: 100 bytes are missing"):
        read_header(path)


def test_too_many_tensors_are_refused_before_opening(tmp_path):
    table = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(50_001)}
    raw = json.dumps(table).encode()
    (tmp_path / "many.safetensors").write_bytes(struct.pack("<Q", len(raw)) + raw)
    with pytest.raises(GraphError, match="lists 50001 tensors"):
        read_header(tmp_path / "many.safetensors")


def test_a_header_whose_length_looks_like_a_pickle_is_read(tmp_path):
    """640 bytes of header begin with 80 02, as a pickle of protocol 2 does."""
    raw = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(640)
    (tmp_path / "small.safetensors").write_bytes(struct.pack("<Q", 640) + raw + b"\0" * 4)
    assert read_header(tmp_path / "small.safetensors").shape("a") == (1,)


def test_the_missing_file_is_named_with_its_folder(tmp_path):
    with pytest.raises(GraphError, match=r"There is no model file 'gone.safetensors' in '.*'\. Choose another file"):
        open_checkpoint(tmp_path / "gone.safetensors")
