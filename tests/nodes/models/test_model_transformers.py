"""Transformer families from single files in their makers' layouts: FLUX.1, FLUX.2, Stable Diffusion 3."""

import pytest
import torch
from safetensors.torch import save_file

from nodes.models import transformer_names, weights
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_denoiser
from tests.nodes.models import tiny


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def swapped(value):
    return torch.cat(value.chunk(2)[::-1])


def flux1(guidance=True):
    from diffusers import FluxTransformer2DModel

    return tiny.randomised(
        FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=2, num_single_layers=1, attention_head_dim=128, num_attention_heads=1, joint_attention_dim=32,
            pooled_projection_dim=24, guidance_embeds=guidance, axes_dims_rope=(16, 56, 56),
        ),
        4,
    )  # fmt: skip


def original_flux1(net):
    state, out = net.state_dict(), {}
    double, single = len(net.transformer_blocks), len(net.single_transformer_blocks)
    for old, news in transformer_names.flux1(double, single):
        for kind in ("weight", "bias"):
            if f"{news[0]}.{kind}" in state:
                out[f"{old}.{kind}"] = torch.cat([state[f"{new}.{kind}"] for new in news])
    for i in range(double):
        for old, new in transformer_names.FLUX1_NORMS:
            out[f"double_blocks.{i}.{old}.scale"] = state[f"transformer_blocks.{i}.{new}.weight"]
    for i in range(single):
        for name in ("query", "key"):
            out[f"single_blocks.{i}.norm.{name}_norm.scale"] = state[f"single_transformer_blocks.{i}.attn.norm_{name[0]}.weight"]
    for kind in ("weight", "bias"):
        out[f"final_layer.adaLN_modulation.1.{kind}"] = swapped(state[f"norm_out.linear.{kind}"])
    return out


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize(("guidance", "variant"), [(True, "dev"), (False, "schnell")])
def test_flux1_loads_from_the_makers_layout(prefix, guidance, variant, tmp_path):
    net = flux1(guidance)
    state = original_flux1(net)
    save_file(tiny.prefixed(state, prefix), tmp_path / "flux.safetensors")
    handle = open_denoiser(tmp_path / "flux.safetensors")
    assert (handle.family, handle.variant, handle.prediction) == ("flux1", variant, "flow")
    memory = ModelMemory()
    with memory.use(handle) as model:
        same(model.module, net)
        assert (model.scheduler["shift"], model.scheduler["use_dynamic_shifting"]) == ((3.0, True) if guidance else (1.0, False))
        for name in ("num_attention_heads", "attention_head_dim", "guidance_embeds", "joint_attention_dim"):
            assert model.module.config[name] == net.config[name]


def test_our_flux1_names_are_diffusers_own_at_full_width():
    """diffusers' conversion knows only the published width; stride-0 tensors stand for it without the memory."""
    from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers

    d = 3072
    shapes = {
        "img_in": (d, 64), "txt_in": (d, 4096), "time_in.in_layer": (d, 256), "time_in.out_layer": (d, d), "vector_in.in_layer": (d, 768),
        "vector_in.out_layer": (d, d), "guidance_in.in_layer": (d, 256), "guidance_in.out_layer": (d, d), "final_layer.linear": (64, d),
        "final_layer.adaLN_modulation.1": (2 * d, d), "single_blocks.0.linear1": (7 * d, d), "single_blocks.0.linear2": (d, 5 * d),
        "single_blocks.0.modulation.lin": (3 * d, d),
    }  # fmt: skip
    for half in ("img", "txt"):
        block = f"double_blocks.0.{half}_"
        shapes |= {
            f"{block}mod.lin": (6 * d, d),
            f"{block}attn.qkv": (3 * d, d),
            f"{block}attn.proj": (d, d),
            f"{block}mlp.0": (4 * d, d),
            f"{block}mlp.2": (d, 4 * d),
        }
    state = {}
    for number, (name, (rows, columns)) in enumerate(shapes.items()):
        row = torch.arange(rows, dtype=torch.int16) + number
        state |= {f"{name}.weight": row[:, None].expand(rows, columns), f"{name}.bias": row}
    norms = [f"double_blocks.0.{old}" for old, _ in transformer_names.FLUX1_NORMS] + [
        "single_blocks.0.norm.query_norm",
        "single_blocks.0.norm.key_norm",
    ]
    state |= {f"{name}.scale": torch.full((128,), number) for number, name in enumerate(norms)}
    ours = weights.flux1(state, {"num_layers": 1, "num_single_layers": 1, "num_attention_heads": 24, "attention_head_dim": 128})
    theirs = convert_flux_transformer_checkpoint_to_diffusers(dict(state))
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


SD3_PLAIN = {
    "x_embedder.proj": "pos_embed.proj", "context_embedder": "context_embedder", "final_layer.linear": "proj_out",
    "t_embedder.mlp.0": "time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.2": "time_text_embed.timestep_embedder.linear_2",
    "y_embedder.mlp.0": "time_text_embed.text_embedder.linear_1", "y_embedder.mlp.2": "time_text_embed.text_embedder.linear_2",
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "options"),
    [("3", {}), ("3.5-large", {"qk_norm": "rms_norm"}), ("3.5-medium", {"qk_norm": "rms_norm", "dual_attention_layers": (0,)})],
)
def test_stable_diffusion_3_loads_from_the_makers_layout(kind, options, tmp_path):
    from diffusers import SD3Transformer2DModel

    net = tiny.randomised(
        SD3Transformer2DModel(
            sample_size=8, patch_size=2, in_channels=4, out_channels=4, num_layers=2, attention_head_dim=64, num_attention_heads=1, caption_projection_dim=64,
            joint_attention_dim=32, pooled_projection_dim=48, pos_embed_max_size=8, **options,
        ),
        6,
    )  # fmt: skip
    state, out = net.state_dict(), {"pos_embed": net.state_dict()["pos_embed.pos_embed"]}
    pairs = [*((old, (new,)) for old, new in SD3_PLAIN.items()), *transformer_names.sd3(2)]
    for i in range(2):
        old, new = f"joint_blocks.{i}.", f"transformer_blocks.{i}."
        pairs.append((f"{old}x_block.adaLN_modulation.1", (f"{new}norm1.linear",)))
        pairs += [(f"{old}context_block.adaLN_modulation.1", (f"{new}norm1_context.linear",))]
        if f"{new}attn2.to_q.weight" in state:
            pairs += [
                (f"{old}x_block.attn2.qkv", tuple(f"{new}attn2.{p}" for p in ("to_q", "to_k", "to_v"))),
                (f"{old}x_block.attn2.proj", (f"{new}attn2.to_out.0",)),
            ]
        if "qk_norm" in options:
            for side, part in (("x", ""), ("context", "added_")):
                for name in ("q", "k"):
                    out[f"{old}{side}_block.attn.ln_{name}.weight"] = state[f"{new}attn.norm_{part}{name}.weight"]
            if f"{new}attn2.norm_q.weight" in state:
                out |= {f"{old}x_block.attn2.ln_{n}.weight": state[f"{new}attn2.norm_{n}.weight"] for n in ("q", "k")}
    for old, news in pairs:
        for end in ("weight", "bias"):
            if all(f"{new}.{end}" in state for new in news):
                out[f"{old}.{end}"] = torch.cat([state[f"{new}.{end}"] for new in news])
    for end in ("weight", "bias"):
        out[f"final_layer.adaLN_modulation.1.{end}"] = swapped(state[f"norm_out.linear.{end}"])
        last = f"joint_blocks.1.context_block.adaLN_modulation.1.{end}"
        out[last] = swapped(out[last])
    save_file(tiny.prefixed(out, "model.diffusion_model."), tmp_path / "sd3.safetensors")
    handle = open_denoiser(tmp_path / "sd3.safetensors")
    assert (handle.family, handle.variant) == ("sd3", kind)
    with ModelMemory().use(handle) as model:
        same(model.module, net)


def test_flux2_loads_from_the_makers_layout(tmp_path):
    from diffusers import Flux2Transformer2DModel

    net = tiny.randomised(
        Flux2Transformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=32, num_attention_heads=2, joint_attention_dim=40,
            timestep_guidance_channels=256, axes_dims_rope=(8, 8, 8, 8),
        ),
        7,
    )  # fmt: skip
    state, out = net.state_dict(), {}
    plain = {
        "img_in": "x_embedder", "txt_in": "context_embedder", "time_in.in_layer": "time_guidance_embed.timestep_embedder.linear_1",
        "time_in.out_layer": "time_guidance_embed.timestep_embedder.linear_2", "guidance_in.in_layer": "time_guidance_embed.guidance_embedder.linear_1",
        "guidance_in.out_layer": "time_guidance_embed.guidance_embedder.linear_2", "double_stream_modulation_img.lin": "double_stream_modulation_img.linear",
        "double_stream_modulation_txt.lin": "double_stream_modulation_txt.linear", "single_stream_modulation.lin": "single_stream_modulation.linear",
        "final_layer.linear": "proj_out",
    }  # fmt: skip
    block = {
        "img_attn.proj": "attn.to_out.0", "img_mlp.0": "ff.linear_in", "img_mlp.2": "ff.linear_out", "txt_attn.proj": "attn.to_add_out",
        "txt_mlp.0": "ff_context.linear_in", "txt_mlp.2": "ff_context.linear_out",
    }  # fmt: skip
    for old, new in plain.items():
        out[f"{old}.weight"] = state[f"{new}.weight"]
    for old, new in block.items():
        out[f"double_blocks.0.{old}.weight"] = state[f"transformer_blocks.0.{new}.weight"]
    for half, names in (("img", ("to_q", "to_k", "to_v")), ("txt", ("add_q_proj", "add_k_proj", "add_v_proj"))):
        out[f"double_blocks.0.{half}_attn.qkv.weight"] = torch.cat([state[f"transformer_blocks.0.attn.{n}.weight"] for n in names])
        for name in ("query", "key"):
            part = "added_" if half == "txt" else ""
            out[f"double_blocks.0.{half}_attn.norm.{name}_norm.scale"] = state[f"transformer_blocks.0.attn.norm_{part}{name[0]}.weight"]
    single = "single_transformer_blocks.0.attn."
    out |= {
        "single_blocks.0.linear1.weight": state[f"{single}to_qkv_mlp_proj.weight"],
        "single_blocks.0.linear2.weight": state[f"{single}to_out.weight"],
    }
    out |= {f"single_blocks.0.norm.{name}_norm.scale": state[f"{single}norm_{name[0]}.weight"] for name in ("query", "key")}
    out["final_layer.adaLN_modulation.1.weight"] = swapped(state["norm_out.linear.weight"])
    save_file(tiny.prefixed(out, ""), tmp_path / "flux2.safetensors")
    handle = open_denoiser(tmp_path / "flux2.safetensors")
    assert handle.family == "flux2"
    with ModelMemory().use(handle) as model:
        same(model.module, net)


def test_the_vae_of_flux2_loads_from_the_makers_layout(tmp_path):
    from diffusers import AutoencoderKLFlux2

    from nodes.models import names
    from nodes.models.opening import open_vae

    net = tiny.randomised(
        AutoencoderKLFlux2(
            block_out_channels=(32, 64), down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, layers_per_block=1,
            latent_channels=32, norm_num_groups=32,
        ),
        5,
    )  # fmt: skip
    net.bn.running_mean.copy_(torch.randn(128))
    table = names.inverse(names.vae_modules(net.config))
    state = {names.rename(name, table): value for name, value in net.state_dict().items()}
    assert "encoder.quant_conv.weight" in state and "bn.running_mean" in state
    state = {n: v[..., None, None] if ".attn_1." in n and n.endswith("weight") and v.ndim == 2 else v for n, v in state.items()}
    save_file(tiny.prefixed(state, ""), tmp_path / "flux2-vae.safetensors")
    handle = open_vae(tmp_path / "flux2-vae.safetensors")
    assert handle.family == "flux2"
    with ModelMemory().use(handle) as model:
        same(model.module, net)
