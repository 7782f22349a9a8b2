"""Between the tensor names of the original Stable Diffusion files (LDM, sgm, OpenCLIP) and those of the diffusers classes.

Each table maps a module's original name to its diffusers name; a tensor is renamed by its longest known beginning. The tables follow
from the configuration, so they hold for every size. Torch-free: also LoRA names and saving of merged checkpoints use them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESNET = {
    "in_layers.0": "norm1", "in_layers.2": "conv1", "out_layers.0": "norm2", "out_layers.3": "conv2",
    "emb_layers.1": "time_emb_proj", "skip_connection": "conv_shortcut",
}  # fmt: skip


def unet_modules(config: Mapping[str, Any], is_controlnet: bool = False) -> dict[str, str]:
    """Original module name -> diffusers module name for a UNet2DConditionModel (or the encoder half of a ControlNetModel)."""
    per_level, levels = int(config["layers_per_block"]), len(config["block_out_channels"])
    table = {"time_embed.0": "time_embedding.linear_1", "time_embed.2": "time_embedding.linear_2", "input_blocks.0.0": "conv_in"}
    label = "class_embedding" if config.get("class_embed_type") == "projection" else "add_embedding"
    table |= {"label_emb.0.0": f"{label}.linear_1", "label_emb.0.2": f"{label}.linear_2", "label_emb": "class_embedding"}

    def resnet(old: str, new: str) -> None:
        table.update({f"{old}.{a}": f"{new}.{b}" for a, b in RESNET.items()})

    block = 1
    for level in range(levels):
        for j in range(per_level):
            resnet(f"input_blocks.{block}.0", f"down_blocks.{level}.resnets.{j}")
            table[f"input_blocks.{block}.1"] = f"down_blocks.{level}.attentions.{j}"
            block += 1
        if level < levels - 1:
            table[f"input_blocks.{block}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
            block += 1
    resnet("middle_block.0", "mid_block.resnets.0")
    table["middle_block.1"] = "mid_block.attentions.0"
    resnet("middle_block.2", "mid_block.resnets.1")
    if is_controlnet:
        return table | _control_modules(block, len(config.get("conditioning_embedding_out_channels", (16, 32, 96, 256))))
    block = 0
    for level in range(levels):
        has_attention = "CrossAttn" in str(config["up_block_types"][level])
        for j in range(per_level + 1):
            resnet(f"output_blocks.{block}.0", f"up_blocks.{level}.resnets.{j}")
            if has_attention:
                table[f"output_blocks.{block}.1"] = f"up_blocks.{level}.attentions.{j}"
            if j == per_level and level < levels - 1:
                table[f"output_blocks.{block}.{2 if has_attention else 1}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
            block += 1
    return table | {"out.0": "conv_norm_out", "out.2": "conv_out"}


def _control_modules(blocks: int, widths: int) -> dict[str, str]:
    table = {f"zero_convs.{i}.0": f"controlnet_down_blocks.{i}" for i in range(blocks)}
    table["middle_block_out.0"] = "controlnet_mid_block"
    table["input_hint_block.0"] = "controlnet_cond_embedding.conv_in"
    for i in range(2 * (widths - 1)):
        table[f"input_hint_block.{2 + 2 * i}"] = f"controlnet_cond_embedding.blocks.{i}"
    table[f"input_hint_block.{2 + 4 * (widths - 1)}"] = "controlnet_cond_embedding.conv_out"
    return table


def vae_modules(config: Mapping[str, Any]) -> dict[str, str]:
    """Original module name -> diffusers module name for an AutoencoderKL."""
    levels, per_level = len(config["block_out_channels"]), int(config["layers_per_block"])
    if "batch_norm_eps" in config:  # FLUX.2: statistics, and its outer convolutions lie inside
        table = {"bn": "bn", "encoder.quant_conv": "quant_conv", "decoder.post_quant_conv": "post_quant_conv"}
    else:
        table = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    for half in ("encoder", "decoder"):
        table |= {f"{half}.conv_in": f"{half}.conv_in", f"{half}.conv_out": f"{half}.conv_out", f"{half}.norm_out": f"{half}.conv_norm_out"}
        for old, new in (("block_1", "resnets.0"), ("block_2", "resnets.1")):
            table |= _vae_resnet(f"{half}.mid.{old}", f"{half}.mid_block.{new}")
        for old, new in (("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")):
            table[f"{half}.mid.attn_1.{old}"] = f"{half}.mid_block.attentions.0.{new}"
    for level in range(levels):
        for j in range(per_level):
            table |= _vae_resnet(f"encoder.down.{level}.block.{j}", f"encoder.down_blocks.{level}.resnets.{j}")
        table[f"encoder.down.{level}.downsample.conv"] = f"encoder.down_blocks.{level}.downsamplers.0.conv"
        for j in range(per_level + 1):  # the original counts its decoder levels from the picture inwards
            table |= _vae_resnet(f"decoder.up.{levels - 1 - level}.block.{j}", f"decoder.up_blocks.{level}.resnets.{j}")
        table[f"decoder.up.{levels - 1 - level}.upsample.conv"] = f"decoder.up_blocks.{level}.upsamplers.0.conv"
    return table


def _vae_resnet(old: str, new: str) -> dict[str, str]:
    same = {f"{old}.{name}": f"{new}.{name}" for name in ("norm1", "conv1", "norm2", "conv2")}
    return same | {f"{old}.nin_shortcut": f"{new}.conv_shortcut"}


OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # diffusers VAEs saved before 0.13

OPEN_CLIP = {
    "positional_embedding": "embeddings.position_embedding.weight", "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight", "ln_final.bias": "final_layer_norm.bias",
}  # fmt: skip
OPEN_CLIP_VISION = {
    "class_embedding": "embeddings.class_embedding", "conv1.weight": "embeddings.patch_embedding.weight",
    "positional_embedding": "embeddings.position_embedding.weight", "ln_pre.weight": "pre_layrnorm.weight", "ln_pre.bias": "pre_layrnorm.bias",
    "ln_post.weight": "post_layernorm.weight", "ln_post.bias": "post_layernorm.bias",
}  # fmt: skip
"""The misspelt "layrnorm" is that of the published models."""
OPEN_CLIP_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}


def rename(name: str, table: Mapping[str, str]) -> str | None:
    """A tensor's new name by its longest beginning in the table; None when no beginning is known."""
    end = len(name)
    while end > 0:
        if (found := table.get(name[:end])) is not None:
            return found + name[end:]
        end = name.rfind(".", 0, end)
    return None


def inverse(table: Mapping[str, str]) -> dict[str, str]:
    """The table in the other direction."""
    return {new: old for old, new in table.items()}
