"""Finds the layer that a LoRA file means: every way in which trainers write a layer's name -> the layer's diffusers name(s).

All spellings are compared without dots and underscores, so "lora_unet_down_blocks_0_..." and "unet.down_blocks.0..." need no parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from nodes.models import names

Targets = dict[str, tuple[str, ...]]

TEXT_PREFIXES = {  # (slot, family) -> prefixes; "" = every other family
    ("clip_l", ""): ("lora_te1_text_model_", "lora_te_text_model_", "text_encoder.text_model.", "text_encoder.", "clip_l.text_model."),
    ("clip_g", ""): ("lora_te2_text_model_", "text_encoder_2.text_model.", "text_encoder_2.", "clip_g.text_model."),
    ("open_clip_h", ""): ("lora_te_text_model_", "lora_te1_text_model_", "text_encoder.text_model.", "text_encoder."),
    ("t5", "sd3"): ("lora_te3_", "text_encoder_3."),
    ("t5", ""): ("lora_te3_", "lora_te2_", "text_encoder_2."),
}
DENOISER_PREFIXES = (
    "lora_unet_", "unet.", "lora_transformer_", "transformer.", "diffusion_model.", "model.diffusion_model.", "base_model.model.", "lycoris_", "",
)  # fmt: skip


def key(name: str) -> str:
    """A layer's name as it is compared."""
    return re.sub(r"[._]", "", name)


def targets(module: nn.Module, family: str, slot: str) -> Targets:
    """Every spelling of every layer of a network, by `key`, -> the layers' names in the module (several: rows of a fused layer)."""
    layers = [name for name, child in module.named_modules() if isinstance(getattr(child, "weight", None), nn.Parameter)]
    table: Targets = {}
    if slot:
        prefixes = TEXT_PREFIXES.get((slot, family)) or TEXT_PREFIXES.get((slot, ""), ())
        for layer in layers:
            bare = layer.removeprefix("text_model.")
            table |= {key(prefix + bare): (layer,) for prefix in prefixes}
        return table
    for spelled, goals in _denoiser_spellings(module, layers):
        for prefix in DENOISER_PREFIXES:
            table.setdefault(key(prefix + spelled), goals)
    return table


def _denoiser_spellings(module: nn.Module, layers: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    kind = type(module).__name__
    for layer in layers:
        yield layer, (layer,)
        head, _, last = layer.removesuffix(".0").rpartition(".")
        if last in ("to_q", "to_k", "to_v", "to_out") and ".attn" in layer:  # diffusers before 0.21
            yield f"{head}.processor.{last}_lora", (layer,)
    if kind == "UNet2DConditionModel":
        table = names.inverse(names.unet_modules(module.config))
        for layer in layers:
            original = names.rename(layer, table)
            if original is not None:
                yield original, (layer,)
    if kind == "FluxTransformer2DModel":
        yield from _flux(len(module.transformer_blocks), len(module.single_transformer_blocks))
    if kind == "SD3Transformer2DModel":
        yield from _sd3(len(module.transformer_blocks))


def _flux(double: int, single: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Black Forest Labs' names; their query, key and value are one layer."""
    for i in range(double):
        old, new = f"double_blocks.{i}.", f"transformer_blocks.{i}."
        yield f"{old}img_attn.qkv", tuple(f"{new}attn.{part}" for part in ("to_q", "to_k", "to_v"))
        yield f"{old}txt_attn.qkv", tuple(f"{new}attn.{part}" for part in ("add_q_proj", "add_k_proj", "add_v_proj"))
        for a, b in (
            ("img_attn.proj", "attn.to_out.0"), ("txt_attn.proj", "attn.to_add_out"), ("img_mlp.0", "ff.net.0.proj"), ("img_mlp.2", "ff.net.2"),
            ("txt_mlp.0", "ff_context.net.0.proj"), ("txt_mlp.2", "ff_context.net.2"), ("img_mod.lin", "norm1.linear"),
            ("txt_mod.lin", "norm1_context.linear"),
        ):  # fmt: skip
            yield old + a, (new + b,)
    for i in range(single):
        old, new = f"single_blocks.{i}.", f"single_transformer_blocks.{i}."
        yield f"{old}linear1", tuple(f"{new}{part}" for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"))
        yield f"{old}linear2", (f"{new}proj_out",)
        yield f"{old}modulation.lin", (f"{new}norm.linear",)
    for a, b in (
        ("img_in", "x_embedder"), ("txt_in", "context_embedder"), ("final_layer.linear", "proj_out"),
        ("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"), ("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        ("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"), ("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        ("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        ("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
    ):  # fmt: skip
        yield a, (b,)


def _sd3(layers: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Stability's names; their query, key and value are one layer."""
    for i in range(layers):
        old, new = f"joint_blocks.{i}.", f"transformer_blocks.{i}."
        yield f"{old}x_block.attn.qkv", tuple(f"{new}attn.{part}" for part in ("to_q", "to_k", "to_v"))
        yield f"{old}context_block.attn.qkv", tuple(f"{new}attn.{part}" for part in ("add_q_proj", "add_k_proj", "add_v_proj"))
        for a, b in (
            ("x_block.attn.proj", "attn.to_out.0"), ("context_block.attn.proj", "attn.to_add_out"), ("x_block.mlp.fc1", "ff.net.0.proj"),
            ("x_block.mlp.fc2", "ff.net.2"), ("context_block.mlp.fc1", "ff_context.net.0.proj"), ("context_block.mlp.fc2", "ff_context.net.2"),
        ):  # fmt: skip
            yield old + a, (new + b,)
