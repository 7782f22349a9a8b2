"""From the shapes in a file's header to the configuration of its network, so that no size has to be on a list. Torch-free.

Every function takes a header whose names start at the component (`header.under(prefix)`) and gives the keyword arguments of
the diffusers class. What shapes cannot show (group count, activation, head width) is fixed per architecture.
"""

from __future__ import annotations

from typing import Any

from nodegraph.errors import GraphError
from nodes.models.header import Header

Config = dict[str, Any]
GROUPS = 32  # GroupNorm groups of every published UNet and KL autoencoder


def count(header: Header, before: str, after: str = "") -> int:
    """How many numbered blocks `before` + N + "." + `after` there are (1 + the largest N)."""
    n, highest = len(before), -1
    for name in header:
        if name.startswith(before):
            number, _, rest = name[n:].partition(".")
            if number.isdigit() and rest.startswith(after):
                highest = max(highest, int(number))
    return highest + 1


def unet(header: Header) -> Config:
    """UNet2DConditionModel from the names of LDM/sgm (input_blocks ...) or of diffusers (down_blocks ...), or a ControlNet's encoder."""
    levels = _ldm_levels(header) if "input_blocks.0.0.weight" in header else _diffusers_levels(header)
    if not levels or not all(depths for _, depths in levels) or len({len(depths) for _, depths in levels}) != 1:
        raise _foreign(header)
    per_level = len(levels[0][1])
    has_attention = [any(depths) for _, depths in levels]
    channels = [width for width, _ in levels]
    projection = next((name for name in header if name.endswith(".proj_in.weight")), "")
    is_linear = len(header.shape(projection)) == 2
    depths = [_one(d) if any(d) else 1 for _, d in levels]
    if not has_attention[-1]:  # the last entry is also the depth of the middle
        depths[-1] = count(header, "middle_block.1.transformer_blocks.") or count(header, "mid_block.attentions.0.transformer_blocks.") or 1
    config: Config = {
        "in_channels": header.dim("input_blocks.0.0.weight", 1) or header.dim("conv_in.weight", 1),
        "out_channels": header.dim("out.2.weight", 0) or header.dim("conv_out.weight", 0) or 4,
        "block_out_channels": channels,
        "layers_per_block": per_level,
        "down_block_types": ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in has_attention],
        "up_block_types": ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(has_attention)],
        "cross_attention_dim": header.dim(next((name for name in header if name.endswith("attn2.to_k.weight")), ""), 1) or 1280,
        "use_linear_projection": is_linear,
        "attention_head_dim": [max(c // 64, 1) for c in channels] if is_linear else 8,
        "transformer_layers_per_block": depths[0] if all(d == depths[0] for d in depths) else depths,
        "norm_num_groups": GROUPS,
    }
    if "middle_block.1.norm.weight" not in header and "mid_block.attentions.0.norm.weight" not in header:
        config["mid_block_type"] = "UNetMidBlock2D"
    up = _up_depths(header, len(levels), per_level)
    if any(d and d != down for d, down in zip(reversed(up), depths, strict=False)):  # pruned models (SSD-1B)
        config["reverse_transformer_layers_per_block"] = [d or 1 for d in up]
    return config | _labels(header, has_attention[0])


def _ldm_levels(header: Header) -> list[tuple[int, list[int]]]:
    """Per level: channels, transformer depth after each of its resnets."""
    levels: list[tuple[int, list[int]]] = []
    is_new = True
    for i in range(1, count(header, "input_blocks.")):
        if f"input_blocks.{i}.0.op.weight" in header:
            is_new = True
            continue
        channels, depth = header.dim(f"input_blocks.{i}.0.out_layers.3.weight", 0), count(header, f"input_blocks.{i}.1.transformer_blocks.")
        if not channels:
            raise _foreign(header)
        if is_new:
            levels.append((channels, []))
        levels[-1][1].append(depth)
        is_new = False
    return levels


def _diffusers_levels(header: Header) -> list[tuple[int, list[int]]]:
    levels = []
    for i in range(count(header, "down_blocks.")):
        depths = [
            count(header, f"down_blocks.{i}.attentions.{j}.transformer_blocks.") for j in range(count(header, f"down_blocks.{i}.resnets."))
        ]
        levels.append((header.dim(f"down_blocks.{i}.resnets.0.conv1.weight", 0), depths))
    return levels


def _up_depths(header: Header, levels: int, per_level: int) -> list[int | list[int]]:
    """Transformer depth of the up levels from the innermost outwards; [] for a ControlNet."""
    step = per_level + 1
    if count(header, "output_blocks.") == levels * step:
        depth = [count(header, f"output_blocks.{i}.1.transformer_blocks.") for i in range(levels * step)]
    elif count(header, "up_blocks.") == levels:
        depth = [count(header, f"up_blocks.{i}.attentions.{j}.transformer_blocks.") for i in range(levels) for j in range(step)]
    else:
        return []
    return [_one(depth[i * step : (i + 1) * step]) for i in range(levels)]


def _labels(header: Header, has_attention_at_once: bool) -> Config:
    """What joins the time embedding: nothing, unCLIP's image, SDXL's sizes and pooled text, the upscaler's noise level."""
    if width := header.dim("class_embedding.linear_1.weight", 1):
        return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": width}
    if width := header.dim("add_embedding.linear_1.weight", 1):
        return {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": width}
    if width := header.dim("label_emb.0.0.weight", 1):
        if has_attention_at_once:
            return {"class_embed_type": "projection", "projection_class_embeddings_input_dim": width}
        return {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": width}
    classes = header.dim("label_emb.weight", 0) or header.dim("class_embedding.weight", 0)
    return {"num_class_embeds": classes} if classes else {}


def _one(depths: list[int]) -> int | list[int]:
    return depths[0] if len(set(depths)) == 1 else depths


def controlnet(header: Header) -> Config:
    """ControlNetModel or ControlNetUnionModel, from the original layout (input_hint_block, zero_convs) or diffusers'."""
    config = unet(header)
    if "input_hint_block.0.weight" in header:  # the first convolution, then every second one widens
        hints = [header.dim(f"input_hint_block.{i}.weight", 0) for i in (0, 4, 8, 12)]
        config["conditioning_channels"] = header.dim("input_hint_block.0.weight", 1)
    else:
        blocks = count(header, "controlnet_cond_embedding.blocks.")
        hints = [header.dim("controlnet_cond_embedding.conv_in.weight", 0)]
        hints += [header.dim(f"controlnet_cond_embedding.blocks.{i}.weight", 0) for i in range(1, blocks, 2)]
        config["conditioning_channels"] = header.dim("controlnet_cond_embedding.conv_in.weight", 1)
    config["conditioning_embedding_out_channels"] = hints
    if types := header.dim("task_embedding", 0):
        config["num_control_type"] = types
    return {
        name: value
        for name, value in config.items()
        if name not in ("out_channels", "up_block_types", "reverse_transformer_layers_per_block")
    }


def t2i_adapter(header: Header) -> Config:
    """T2IAdapter from the makers' layout: blocks in a row, a level begins where the picture is halved (every `nums_rb` blocks)."""
    blocks = count(header, "body.")
    widths = [header.dim(f"body.{i}.block2.weight", 0) for i in range(blocks)]
    per_level = max(blocks // 4, 1)
    folded = header.dim("conv_in.weight", 1)
    is_xl = folded in (768, 256)
    factor = 16 if is_xl else 8
    return {
        "in_channels": folded // factor**2,
        "channels": widths[::per_level],
        "num_res_blocks": per_level,
        "downscale_factor": factor,
        "adapter_type": "full_adapter_xl" if is_xl else "full_adapter",
    }


def autoencoder(header: Header) -> Config:
    """AutoencoderKL from an LDM VAE (encoder.down.N.block.M) or a diffusers one (encoder.down_blocks.N.resnets.M)."""
    if "encoder.down.0.block.0.conv1.weight" in header:
        levels, level, block, attention = count(header, "encoder.down."), "encoder.down.", "block.", "encoder.mid.attn_1.q.weight"
    else:
        levels, level, block = count(header, "encoder.down_blocks."), "encoder.down_blocks.", "resnets."
        attention = "encoder.mid_block.attentions.0.group_norm.weight"
    channels = [header.dim(f"{level}{i}.{block}0.conv1.weight", 0) for i in range(levels)]
    if not levels or not all(channels):
        raise _foreign(header)
    return {
        "in_channels": header.dim("encoder.conv_in.weight", 1),
        "out_channels": header.dim("decoder.conv_out.weight", 0),
        "latent_channels": header.dim("decoder.conv_in.weight", 1),
        "block_out_channels": channels,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": count(header, f"{level}0.{block}"),
        "mid_block_add_attention": attention in header,
        "use_quant_conv": "quant_conv.weight" in header or "encoder.quant_conv.weight" in header,
        "use_post_quant_conv": "post_quant_conv.weight" in header or "decoder.post_quant_conv.weight" in header,
        "norm_num_groups": GROUPS,
    }


def flux1(header: Header) -> Config:
    """FluxTransformer2DModel from Black Forest Labs' layout (double_blocks, single_blocks)."""
    head, inner = header.dim("double_blocks.0.img_attn.norm.key_norm.scale", 0), header.dim("img_in.weight", 0)
    axes = {128: [16, 56, 56]}.get(head) or [head // 8, head * 7 // 16, head * 7 // 16]
    return {
        "in_channels": header.dim("img_in.weight", 1),
        "out_channels": header.dim("final_layer.linear.weight", 0),
        "patch_size": 1,
        "num_layers": count(header, "double_blocks."),
        "num_single_layers": count(header, "single_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": inner // max(head, 1),
        "joint_attention_dim": header.dim("txt_in.weight", 1),
        "pooled_projection_dim": header.dim("vector_in.in_layer.weight", 1),
        "guidance_embeds": "guidance_in.in_layer.weight" in header,
        "axes_dims_rope": axes,
    }


def flux2(header: Header) -> Config:
    """Flux2Transformer2DModel from Black Forest Labs' layout (shared modulations)."""
    head, inner = header.dim("double_blocks.0.img_attn.norm.key_norm.scale", 0), header.dim("img_in.weight", 0)
    return {
        "in_channels": header.dim("img_in.weight", 1),
        "out_channels": header.dim("final_layer.linear.weight", 0),
        "patch_size": 1,
        "num_layers": count(header, "double_blocks."),
        "num_single_layers": count(header, "single_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": inner // max(head, 1),
        "joint_attention_dim": header.dim("txt_in.weight", 1),
        "timestep_guidance_channels": header.dim("time_in.in_layer.weight", 1),
        "mlp_ratio": header.dim("double_blocks.0.img_mlp.2.weight", 1) / max(inner, 1),
        "axes_dims_rope": [head // 4] * 4,
        "guidance_embeds": "guidance_in.in_layer.weight" in header,
    }


def sd3(header: Header) -> Config:
    """SD3Transformer2DModel from Stability's layout (joint_blocks)."""
    inner, layers = header.dim("x_embedder.proj.weight", 0), count(header, "joint_blocks.")
    patch = header.dim("x_embedder.proj.weight", 2)
    positions = header.dim("pos_embed", 1)
    dual = [i for i in range(layers) if f"joint_blocks.{i}.x_block.attn2.qkv.weight" in header]
    norm = header.dim("joint_blocks.0.x_block.attn.ln_q.weight", 0)
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": header.dim("x_embedder.proj.weight", 1),
        "out_channels": header.dim("final_layer.linear.weight", 0) // max(patch * patch, 1),
        "num_layers": layers,
        "attention_head_dim": norm or 64,
        "num_attention_heads": inner // (norm or 64),
        "joint_attention_dim": header.dim("context_embedder.weight", 1),
        "caption_projection_dim": header.dim("context_embedder.weight", 0),
        "pooled_projection_dim": header.dim("y_embedder.mlp.0.weight", 1),
        "pos_embed_max_size": round(positions**0.5),
        "dual_attention_layers": dual,
        "qk_norm": "rms_norm" if norm else None,
    }


def flux1_control(header: Header) -> Config:
    """FluxControlNetModel, from diffusers' names."""
    inner = header.dim("x_embedder.weight", 0)
    block = "transformer_blocks" if "transformer_blocks.0.attn.norm_q.weight" in header else "single_transformer_blocks"
    head, sees_pixels = header.dim(f"{block}.0.attn.norm_q.weight", 0), header.dim("input_hint_block.conv_out.weight", 0)
    return {
        "patch_size": 2 if sees_pixels else 1,
        "in_channels": header.dim("x_embedder.weight", 1),
        "num_layers": count(header, "transformer_blocks."),
        "num_single_layers": count(header, "single_transformer_blocks."),
        "attention_head_dim": head,
        "num_attention_heads": inner // max(head, 1),
        "joint_attention_dim": header.dim("context_embedder.weight", 1),
        "pooled_projection_dim": header.dim("time_text_embed.text_embedder.linear_1.weight", 1),
        "guidance_embeds": "time_text_embed.guidance_embedder.linear_1.weight" in header,
        "axes_dims_rope": {128: [16, 56, 56]}.get(head) or [head // 8, head * 7 // 16, head * 7 // 16],
        "num_mode": header.dim("controlnet_mode_embedder.weight", 0) or None,
        "conditioning_embedding_channels": sees_pixels or None,
    }


def sd3_control(header: Header) -> Config:
    """SD3ControlNetModel, from diffusers' names. Those that see no text are Stability's of SD 3.5, which see the pooled text instead."""
    inner, channels, patch, _ = header.shape("pos_embed_input.proj.weight")
    layers, norm = count(header, "transformer_blocks."), header.dim("transformer_blocks.0.attn.norm_q.weight", 0)
    has_text, own = "context_embedder.weight" in header, header.dim("pos_embed.proj.weight", 1)
    return {
        "sample_size": 128,
        "patch_size": patch,
        "in_channels": own or channels,
        "out_channels": own or channels,
        "extra_conditioning_channels": channels - own if own else 0,
        "num_layers": layers,
        "attention_head_dim": norm or 64,
        "num_attention_heads": inner // (norm or 64),
        "joint_attention_dim": header.dim("context_embedder.weight", 1) or None,
        "caption_projection_dim": header.dim("context_embedder.weight", 0) or inner,
        "pooled_projection_dim": header.dim("time_text_embed.text_embedder.linear_1.weight", 1),
        "pos_embed_max_size": round(header.dim("pos_embed.pos_embed", 1) ** 0.5) or 96,
        "use_pos_embed": bool(own),
        "dual_attention_layers": [i for i in range(layers) if f"transformer_blocks.{i}.attn2.to_q.weight" in header],
        "qk_norm": "rms_norm" if norm else None,
        "force_zeros_for_pooled_projection": has_text,
    }


def _foreign(header: Header) -> GraphError:
    name = header.path.rpartition("/")[2]
    return GraphError(f"'{name}' has the names of a known model, but its parts do not fit together. It may be a variant not known here.")
