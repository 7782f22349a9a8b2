"""Finds the layer that a LoRA file means: every way in which trainers write a layer's name -> the layer's diffusers name(s).

All spellings are compared without dots and underscores, so "lora_unet_down_blocks_0_..." and "unet.down_blocks.0..." need no parsing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn

from nodes.models import names, transformer_names

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
        yield from transformer_names.flux1(len(module.transformer_blocks), len(module.single_transformer_blocks))
    if kind == "SD3Transformer2DModel":
        yield from transformer_names.sd3(len(module.transformer_blocks))
