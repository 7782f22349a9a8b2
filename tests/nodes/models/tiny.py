"""Tiny random models of the real classes, as diffusers folders and as files in the original Stable Diffusion layouts."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path
from types import SimpleNamespace

import torch
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from nodes.models import names
from nodes.models.families import TOKENIZERS


def randomised(module, seed):
    """Weights large enough that every one matters in a comparison."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module.eval()


def clip(width=64, layers=3, projected=False, act="quick_gelu", seed=1, pad=49407):
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=width * 2, num_hidden_layers=layers, num_attention_heads=1, hidden_act=act, vocab_size=49408,
        projection_dim=width, bos_token_id=49406, eos_token_id=49407, pad_token_id=pad,
    )  # fmt: skip
    return randomised((CLIPTextModelWithProjection if projected else CLIPTextModel)(config), seed)


def unet(kind="sd1", channels=4, context=64):
    from diffusers import UNet2DConditionModel

    common = {"in_channels": channels, "out_channels": 4, "cross_attention_dim": context, "sample_size": 8, "norm_num_groups": 32}
    if kind in ("sdxl", "sdxl-refiner"):
        cross, plain = "CrossAttn{}Block2D", "{}Block2D"
        kinds = (plain, cross, cross) if kind == "sdxl" else (plain, cross, cross, plain)
        widths = (32, 64, 64) if kind == "sdxl" else (32, 64, 64, 64)
        special = {
            "block_out_channels": widths, "down_block_types": [k.format("Down") for k in kinds], "layers_per_block": 1,
            "up_block_types": [k.format("Up") for k in reversed(kinds)], "transformer_layers_per_block": [1, 1, 2] if kind == "sdxl" else 1,
            "use_linear_projection": True, "attention_head_dim": [max(w // 64, 1) for w in widths], "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 64 + 256 * (6 if kind == "sdxl" else 5),
        }  # fmt: skip
    else:
        special = {
            "block_out_channels": (32, 64), "layers_per_block": 1, "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
            "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"], "attention_head_dim": 8 if kind == "sd1" else [1, 1],
            "use_linear_projection": kind != "sd1",
        }  # fmt: skip
        if kind == "unclip":
            special |= {"class_embed_type": "projection", "projection_class_embeddings_input_dim": 48}
    return randomised(UNet2DConditionModel(**common, **special), 2)


def vae(levels=2, channels=4, **options):
    """levels: 2 halves the picture once, 4 three times, as the published ones do."""
    from diffusers import AutoencoderKL

    return randomised(
        AutoencoderKL(
            block_out_channels=(*[32] * (levels - 1), 64), down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
            layers_per_block=1, latent_channels=channels, norm_num_groups=32, **options,
        ),
        3,
    )  # fmt: skip


def ldm_unet(module):
    table = names.inverse(names.unet_modules(module.config))
    return {names.rename(name, table): value for name, value in module.state_dict().items()}


def ldm_vae(module):
    table = names.inverse(names.vae_modules(module.config))
    state = {names.rename(name, table): value for name, value in module.state_dict().items()}
    return {n: v[..., None, None] if ".attn_1." in n and "norm" not in n and v.ndim == 2 else v for n, v in state.items()}


def openclip(module):
    """A Hugging Face CLIP text model under OpenCLIP's names."""
    state = {name.removeprefix("text_model."): value for name, value in module.state_dict().items()}
    out = openclip_layers(state, module.config.num_hidden_layers)
    out["positional_embedding"] = state["embeddings.position_embedding.weight"]
    out["token_embedding.weight"] = state["embeddings.token_embedding.weight"]
    out["ln_final.weight"], out["ln_final.bias"] = state["final_layer_norm.weight"], state["final_layer_norm.bias"]
    if "text_projection.weight" in state:
        out["text_projection"] = state["text_projection.weight"].T.contiguous()
    return out


def openclip_layers(state, layers):
    out, renamed = {}, {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2", "attn.out_proj": "self_attn.out_proj"}
    for i in range(layers):
        for kind in ("weight", "bias"):
            for new, old in renamed.items():
                out[f"transformer.resblocks.{i}.{new}.{kind}"] = state[f"encoder.layers.{i}.{old}.{kind}"]
            parts = [state[f"encoder.layers.{i}.self_attn.{part}_proj.{kind}"] for part in "qkv"]
            out[f"transformer.resblocks.{i}.attn.in_proj_{kind}"] = torch.cat(parts)
    return out


def openclip_vision(module):
    """A CLIPVisionModelWithProjection under OpenCLIP's names, without "visual."."""
    state = {name.removeprefix("vision_model."): value for name, value in module.state_dict().items()}
    out = openclip_layers(state, module.config.num_hidden_layers)
    out["class_embedding"], out["conv1.weight"] = state["embeddings.class_embedding"], state["embeddings.patch_embedding.weight"]
    out["positional_embedding"], out["proj"] = state["embeddings.position_embedding.weight"], state["visual_projection.weight"].T
    for new, old in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        out[f"{new}.weight"], out[f"{new}.bias"] = state[f"{old}.weight"], state[f"{old}.bias"]
    return out


def prefixed(state, prefix):
    return {prefix + name: value.contiguous().clone() for name, value in state.items()}


def sd1_parts():
    return SimpleNamespace(unet=unet(), vae=vae(), text_encoder=clip())


def write_sd1_checkpoint(path: Path, parts, **metadata):
    """One file as the Stable Diffusion 1 repository wrote it."""
    text = {f"text_model.{n.removeprefix('text_model.')}": v for n, v in parts.text_encoder.state_dict().items()}
    state = prefixed(ldm_unet(parts.unet), "model.diffusion_model.") | prefixed(ldm_vae(parts.vae), "first_stage_model.")
    state |= prefixed(text, "cond_stage_model.transformer.")
    state["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77)[None]
    state["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    save_file(state, path, metadata=metadata or None)
    return path


def write_sdxl_checkpoint(path: Path, net, autoencoder, small, large):
    text = {f"text_model.{n.removeprefix('text_model.')}": v for n, v in small.state_dict().items()}
    state = prefixed(ldm_unet(net), "model.diffusion_model.") | prefixed(ldm_vae(autoencoder), "first_stage_model.")
    state |= prefixed(text, "conditioner.embedders.0.transformer.") | prefixed(openclip(large), "conditioner.embedders.1.model.")
    save_file(state, path)
    return path


def tokenizer(pad=None):
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(str(TOKENIZERS / "clip"), local_files_only=True, **({"pad_token": pad} if pad else {}))


def write_sd1_folder(folder: Path, parts):
    """The same parts as a diffusers folder."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False, steps_offset=1
    )
    pipeline = StableDiffusionPipeline(
        vae=parts.vae, text_encoder=parts.text_encoder, tokenizer=tokenizer(), unet=parts.unet, scheduler=scheduler, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder
