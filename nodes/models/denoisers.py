"""The families of diffusion models and whole checkpoints, told from names and shapes that only they have. Torch-free."""

from __future__ import annotations

from dataclasses import replace

from nodes.models.header import Header
from nodes.models.report import UNKNOWN, Kind, Report


def denoiser(header: Header) -> Report | None:
    """Family of a network whose tensor names start at the denoiser; None without evidence."""
    if "input_blocks.0.0.weight" in header and "out.2.weight" in header:
        return _ldm_unet(header)
    if "down_blocks.0.resnets.0.conv1.weight" in header and "conv_out.weight" in header and "up_blocks.0.resnets.0.conv1.weight" in header:
        return _diffusers_unet(header)
    for name, family, layout in TRANSFORMERS:
        if name in header:
            return _transformer(header, family, layout)
    return None


TRANSFORMERS = (  # (a tensor that only this family has, family, layout); order matters: derived families before their origin
    ("single_stream_modulation.lin.weight", "flux2", "bfl"),
    ("single_stream_modulation.linear.weight", "flux2", "diffusers"),
    ("early_stream_modulations.image.lin.weight", "flux3", "bfl"),
    ("distilled_guidance_layer.in_proj.bias", "chroma", "bfl"),
    ("double_blocks.0.img_attn.norm.key_norm.scale", "flux1", "bfl"),
    ("single_transformer_blocks.0.proj_mlp.weight", "flux1", "diffusers"),
    ("joint_blocks.0.context_block.adaLN_modulation.1.bias", "sd3", "sai"),
    ("pos_embed.proj.weight", "sd3", "diffusers"),
    ("txtfusion.projector.weight", "krea2", "original"),
    ("transformer_blocks.0.img_mod.1.weight", "qwen-image", "diffusers"),
    ("cap_embedder.0.weight", "lumina2", "original"),
    ("blocks.0.cross_attn.kv_linear.weight", "pixart", "original"),
    ("double_layers.0.attn.w1q.weight", "auraflow", "original"),
    ("txt_in.individual_token_refiner.blocks.0.adaLN_modulation.1.bias", "hunyuan-video", "original"),
    ("head.modulation", "wan", "original"),
    ("patchify_proj.weight", "ltx-video", "original"),
    ("blocks.0.attn.qkv_x.weight", "mochi", "original"),
    ("double_stream_blocks.0.block.adaLN_modulation.1.bias", "hidream", "original"),
    ("net.x_embedder.proj.1.weight", "cosmos", "original"),
    ("clip_txt_mapper.weight", "cascade", "original"),
)
VARIANTS = {4: "base", 9: "inpaint", 8: "pix2pix", 5: "depth"}


def _ldm_unet(header: Header) -> Report | None:
    channels = header.dim("input_blocks.0.0.weight", 1)
    context = header.dim(next((n for n in header if n.endswith("attn2.to_k.weight")), ""), 1)
    first_level = "input_blocks.1.1.proj_in.weight" in header
    variant = VARIANTS.get(channels)
    if "label_emb.weight" in header and channels == 7:
        return Report("denoiser", "sd-upscale", "base", "v_prediction", "ldm", context=context)
    if variant is None or not context:
        return None
    label = header.dim("label_emb.0.0.weight", 1)
    if label and first_level:
        return Report("denoiser", "sd2", "unclip", "v_prediction", "ldm", context=context)
    if label:  # the base has three levels, the refiner four
        family = "sdxl-refiner" if sum(name.endswith(".0.op.weight") for name in header) == 3 else "sdxl"
        return Report("denoiser", family, variant, _xl_prediction(header), "ldm", context=context)
    projection = next((name for name in header if name.endswith(".1.proj_in.weight")), "")
    is_linear = len(header.shape(projection)) == 2
    family = "sd2" if is_linear else "sd1"
    prediction = "epsilon"
    if "v_pred" in header or _metadata_says_v(header) or (is_linear and channels == 4 and _has_wide_norm(header)):
        prediction = "v_prediction"
    return Report("denoiser", family, variant, prediction, "ldm", context=context)


def _xl_prediction(header: Header) -> str:
    return "v_prediction" if "v_pred" in header or _metadata_says_v(header) else "epsilon"


def _metadata_says_v(header: Header) -> bool:
    return header.metadata.get("modelspec.prediction_type", "").lower() in ("v", "v_prediction")


def _has_wide_norm(header: Header) -> bool:
    """SD 2.x with v-prediction: this norm's bias spreads more than 0.09 (the rule that ComfyUI uses; nothing else tells them apart)."""
    name = "output_blocks.11.1.transformer_blocks.0.norm1.bias"
    if name not in header:
        return False
    values = header.floats(name)
    mean = sum(values) / len(values)
    return bool((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 > 0.09)


def _diffusers_unet(header: Header) -> Report | None:
    variant = VARIANTS.get(header.dim("conv_in.weight", 1))
    context = header.dim(next((n for n in header if n.endswith("attn2.to_k.weight")), ""), 1)
    if variant is None or not context:
        return None
    found = Report("denoiser", "", variant, "epsilon", "diffusers", context=context)
    if "add_embedding.linear_1.weight" in header:
        return replace(found, family="sdxl-refiner" if "down_blocks.3.resnets.0.conv1.weight" in header else "sdxl")
    if "class_embedding.linear_1.weight" in header:
        return replace(found, family="sd2", variant="unclip", prediction="v_prediction")
    projection = next((n for n in header if n.endswith("attentions.0.proj_in.weight")), "")
    return replace(found, family="sd2" if len(header.shape(projection)) == 2 else "sd1")


def _transformer(header: Header, family: str, layout: str) -> Report | None:
    variant, context = "base", 0
    if family == "flux1":
        name = "img_in.weight" if layout == "bfl" else "x_embedder.weight"
        guided = "guidance_in.in_layer.weight" in header or "time_text_embed.guidance_embedder.linear_1.weight" in header
        variant = {384: "fill", 128: "control", 64: "dev" if guided else "schnell"}.get(header.dim(name, 1), "dev" if guided else "schnell")
        context = header.dim("txt_in.weight" if layout == "bfl" else "context_embedder.weight", 1)
    elif family == "sd3":
        context = header.dim("context_embedder.weight", 1)
        if layout == "diffusers" and "transformer_blocks.0.attn.add_k_proj.weight" not in header:
            return None  # other diffusers transformers have this patch embedding too
        dual = "joint_blocks.0.x_block.attn2.qkv.weight" in header or "transformer_blocks.0.attn2.to_q.weight" in header
        normed = "joint_blocks.0.x_block.attn.ln_q.weight" in header or "transformer_blocks.0.attn.norm_q.weight" in header
        variant = "3.5-medium" if dual else "3.5-large" if normed else "3"
    prediction = "flow" if family not in ("cascade", "pixart") else "epsilon"
    return Report("denoiser", family, variant, prediction, layout, context=context)


DENOISER_PREFIX = "model.diffusion_model."
TEXT_PREFIXES = (  # (prefix, slot), the order in which a family uses them
    ("cond_stage_model.transformer.", "clip_l"),
    ("cond_stage_model.model.", "open_clip_h"),
    ("conditioner.embedders.0.transformer.", "clip_l"),
    ("conditioner.embedders.1.model.", "clip_g"),
    ("conditioner.embedders.0.model.", "clip_g"),
    ("text_encoders.clip_l.transformer.", "clip_l"),
    ("text_encoders.clip_g.transformer.", "clip_g"),
    ("text_encoders.t5xxl.transformer.", "t5"),
)
VAE_PREFIXES = ("first_stage_model.", "vae.")


def checkpoint(header: Header) -> Report | None:
    """A file that holds a denoiser under "model.diffusion_model.", mostly with VAE and text encoders."""
    if not any(name.startswith(DENOISER_PREFIX) for name in header):
        return None
    found = denoiser(header.under(DENOISER_PREFIX))
    if found is None:
        return replace(UNKNOWN, words="it has the layout of a checkpoint, but of a model family that is not known here")
    if found.prediction == "epsilon" and ("v_pred" in header or _metadata_says_v(header)):
        found = replace(found, prediction="v_prediction")
    names = tuple(header)
    parts = [("denoiser", DENOISER_PREFIX)]
    parts += [(slot, prefix) for prefix, slot in TEXT_PREFIXES if any(name.startswith(prefix) for name in names)]
    parts += [("vae", prefix) for prefix in VAE_PREFIXES if prefix + "decoder.conv_in.weight" in header][:1]
    if any(name.startswith("embedder.model.visual.") for name in names):
        parts.append(("image_encoder", "embedder.model.visual."))
    kind: Kind = "checkpoint" if len(parts) > 1 else "denoiser"
    return replace(found, kind=kind, parts=tuple(parts), words=f"a {kind} of {found.family_name} ({found.variant})")


def lone_denoiser(header: Header) -> Report | None:
    found = denoiser(header)
    return found and replace(found, parts=(("denoiser", ""),), words=f"a diffusion model of {found.family_name} ({found.variant})")
