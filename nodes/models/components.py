"""Everything beside denoisers: VAEs, text and image encoders, controls, adapters, embeddings, upscalers, LoRAs, told from their header. Torch-free."""

from __future__ import annotations

import re
from dataclasses import replace

from nodes.models.denoisers import VAE_PREFIXES
from nodes.models.header import Header
from nodes.models.report import FAMILY_NAMES, UNKNOWN, Report


def vae(header: Header) -> Report | None:
    """KL autoencoders and tiny ones (taesd). Families that share a shape (SD 1/2 and SDXL; SD3 and FLUX.1) stay "": see `vae_family`."""
    for prefix in (*VAE_PREFIXES, ""):
        channels = header.dim(prefix + "decoder.conv_in.weight", 1)
        if channels and (
            prefix + "encoder.down.0.block.0.conv1.weight" in header or prefix + "encoder.down_blocks.0.resnets.0.conv1.weight" in header
        ):
            layout = "ldm" if prefix + "encoder.down.0.block.0.conv1.weight" in header else "diffusers"
            family = "flux2" if channels == 32 and any("bn.running_mean" in name for name in header) else vae_family(header, channels)
            return Report("vae", family, "kl", layout=layout, parts=(("vae", prefix),), words=f"a VAE with {channels} latent channels")
    if "encoder.layers.0.weight" in header and "decoder.layers.0.weight" in header:
        channels = header.dim("decoder.layers.0.weight", 1)
        return Report(
            "vae", vae_family(header, channels), "tiny", layout="diffusers", parts=(("vae", ""),), words="a tiny VAE (taesd type)"
        )
    return None


def vae_family(header: Header, channels: int) -> str:
    """What metadata or the file's name says of a VAE whose shape fits several families; "" when they are silent."""
    said = (header.metadata.get("modelspec.architecture", "") + " " + header.path.replace("\\", "/").rpartition("/")[2]).lower()
    if channels == 4:
        return (
            "sdxl"
            if "xl" in said
            else "sd1"
            if any(word in said for word in ("ft-mse", "ft-ema", "sd1", "sd-v1", "840000", "v1-5"))
            else ""
        )
    if channels == 16:
        return "sd3" if "sd3" in said or "diffusion-3" in said else "flux1" if "flux" in said or said.strip() in ("ae.safetensors",) else ""
    return ""


def text_encoder(header: Header) -> Report | None:
    for name, slot, layout in (
        ("text_model.encoder.layers.0.mlp.fc1.weight", "clip", "hf"),
        ("encoder.layers.0.mlp.fc1.weight", "clip", "hf"),
        ("transformer.resblocks.0.mlp.c_fc.weight", "clip", "openclip"),
        ("encoder.block.0.layer.0.SelfAttention.q.weight", "t5", "hf"),
        ("model.layers.0.self_attn.q_proj.weight", "llm", "hf"),
    ):
        if name in header and not (slot == "clip" and "token_embedding" not in " ".join(header)):
            if slot == "clip":
                width = header.dim(name, 1)
                slot = {768: "clip_l", 1024: "open_clip_h", 1280: "clip_g"}.get(width, "clip_g" if layout == "openclip" else "clip_l")
            return Report("text_encoder", layout=layout, slot=slot, parts=((slot, ""),), words=f"a text encoder ({slot})")
    return None


def clip_vision(header: Header) -> Report | None:
    for name, layout in (
        ("vision_model.encoder.layers.0.mlp.fc1.weight", "hf"),
        ("visual.transformer.resblocks.0.mlp.c_fc.weight", "openclip"),
    ):
        if name in header:
            return Report("clip-vision", layout=layout, parts=(("image_encoder", ""),), words="a CLIP image encoder")
    return None


def controlnet(header: Header) -> Report | None:
    for prefix in ("control_model.", ""):
        part = header.under(prefix) if prefix else header
        if "lora_controlnet" in header:
            width = header.dim(next((name for name in header if name.endswith("attn2.to_k.down")), ""), 1)
            family = {768: "sd1", 1024: "sd2", 2048: "sdxl"}.get(width) or ("sdxl" if "label_emb.0.0.down" in header else "sd1")
            return replace(control_report(family, "ldm", "", "control-lora"), context=width)
        if "input_hint_block.0.weight" in part and "input_blocks.0.0.weight" in part:
            linear = len(part.shape("input_blocks.1.1.proj_in.weight")) == 2
            family = "sdxl" if part.shape("label_emb.0.0.weight") else "sd2" if linear else "sd1"
            return replace(control_report(family, "ldm", prefix), context=_text_width(part))
    if "controlnet_cond_embedding.conv_in.weight" in header:
        if "motion_modules" in " ".join(header):
            return replace(UNKNOWN, words="it is a SparseCtrl for AnimateDiff, which is not supported")
        projection = next((n for n in header if n.endswith("attentions.0.proj_in.weight")), "")
        linear = len(header.shape(projection)) == 2
        family = "sdxl" if "add_embedding.linear_1.weight" in header else "sd2" if linear else "sd1"
        kind = "controlnet-union" if "task_embedding" in header else "controlnet"
        return replace(control_report(family, "diffusers", "", kind), context=_text_width(header))
    if "controlnet_x_embedder.weight" in header:
        return control_report("flux1", "diffusers", "", "controlnet-union" if "controlnet_mode_embedder.weight" in header else "controlnet")
    if "pos_embed_input.proj.weight" in header and "controlnet_blocks.0.weight" in header:
        return control_report("sd3", "diffusers", "")
    return None


def _text_width(header: Header) -> int:
    """Width of the text features that cross attention reads; 0 when there is none."""
    return header.dim(next((name for name in header if name.endswith("attn2.to_k.weight")), ""), 1)


def control_report(family: str, layout: str, prefix: str, variant: str = "controlnet") -> Report:
    """The report on a ControlNet."""
    named = {"controlnet-union": "union ControlNet", "control-lora": "Control-LoRA"}.get(variant, "ControlNet")
    words = f"a {named} for {FAMILY_NAMES[family]}"
    return Report("controlnet", family, variant, layout=layout, parts=(("controlnet", prefix),), words=words)


def t2i_adapter(header: Header) -> Report | None:
    for name, layout in (("adapter.body.0.resnets.0.block1.weight", "diffusers"), ("body.0.block1.weight", "original")):
        if name in header:
            conv = "adapter.conv_in.weight" if layout == "diffusers" else "conv_in.weight"
            family = "sdxl" if header.dim(conv, 1) in (768, 256) else "sd1"  # SDXL adapters shrink by 16 (3 x 256 or 1 x 256)
            words = f"a T2I-Adapter for {FAMILY_NAMES[family]}"
            return Report("t2i-adapter", family, "t2i-adapter", layout=layout, parts=(("adapter", ""),), words=words)
    return None


def ip_adapter(header: Header) -> Report | None:
    if not any(n.startswith("image_proj.") for n in header) or not any(n.startswith("ip_adapter.") for n in header):
        return None
    if any("_lora." in name for name in header):
        return replace(UNKNOWN, words="it is a FaceID adapter, which needs a face recogniser and is not supported; use one that looks at pictures")
    context = header.dim(next((n for n in header if n.endswith("to_k_ip.weight")), ""), 1)
    family = {768: "sd1", 2048: "sdxl"}.get(context, "")
    variant = "plus" if "image_proj.latents" in header else "full" if "image_proj.proj.3.weight" in header else "base"
    words = f"an IP-Adapter for {FAMILY_NAMES.get(family, 'an unknown family')}"
    return Report("ip-adapter", family, variant, parts=(("ip_adapter", ""),), context=context, words=words)


def embedding(header: Header) -> Report | None:
    """Textual inversion: one or two small matrices [vectors, width]."""
    names = tuple(header)
    if len(names) > 2 or any(len(header.shape(n)) not in (1, 2) for n in names) or header.bytes() > 8 * 2**20:
        return None
    if set(names) == {"clip_l", "clip_g"}:
        return Report("embedding", "sdxl", parts=(("clip_l", "clip_l"), ("clip_g", "clip_g")), words="an embedding for Stable Diffusion XL")
    name = "emb_params" if "emb_params" in header else names[0] if len(names) == 1 else ""
    width = header.dim(name, -1)
    if not (name == "emb_params" or (name.startswith("<") and name.endswith(">")) or (name and width in (768, 1024))):
        return None
    family = {768: "sd1", 1024: "sd2"}.get(width, "")
    words = f"an embedding for {FAMILY_NAMES.get(family, 'text features of width ' + str(width))}"
    return Report("embedding", family, parts=(("", name),), context=width, words=words)


def upscaler(header: Header) -> Report | None:
    for name in ("conv_first.weight", "model.0.weight"):
        dense = next((n for n in header if n.lower().endswith(("rdb1.conv1.weight", "rdb1.conv1.0.weight"))), "")
        if name in header and dense:
            ups = sum(re.fullmatch(r"(conv_up|upconv)\d\.weight", n) is not None for n in header)
            ups = ups or sum(re.fullmatch(r"model\.([2-9]|\d\d)\.weight", n) is not None for n in header) - 2  # the last two sharpen
            folded = {3: 1, 12: 2, 48: 4}.get(header.dim(name, 1), 1)  # small factors unshuffle the input first
            scale = max(2**ups // folded, 1)
            return Report("upscaler", variant="esrgan", scale=scale, parts=(("upscaler", ""),), words=f"an ESRGAN upscaler (x{scale})")
    last = max((int(n.split(".")[1]) for n in header if n.startswith("body.") and n.endswith(".weight") and n.count(".") == 2), default=-1)
    if last > 2 and len(header.shape("body.0.weight")) == 4 and len(header.shape("body.1.weight")) == 1:
        scale = round((header.dim(f"body.{last}.weight", 0) / 3) ** 0.5)
        return Report("upscaler", variant="compact", scale=scale, parts=(("upscaler", ""),), words=f"a compact upscaler (x{scale})")
    return None


LORA_ENDS = (
    ".lora_up.weight", ".lora_down.weight", ".lora_A.weight", ".lora_B.weight", ".lora.up.weight", ".lora.down.weight", ".hada_w1_a", ".lokr_w1",
    ".lokr_w1_a", "_lora.up.weight", "_lora.down.weight", ".lora_A.default.weight", ".lora_linear_layer.up.weight", ".oft_blocks", ".diff",
)  # fmt: skip


def lora(header: Header) -> Report | None:
    names = tuple(header)
    if not any(name.endswith(LORA_ENDS) for name in names):
        return None
    kinds = {".hada_w1_a": "loha", ".lokr_w1": "lokr", ".lokr_w1_a": "lokr", ".oft_blocks": "oft"}
    variant = next((kind for end, kind in kinds.items() if any(n.endswith(end) for n in names)), "lora")
    variant = "dora" if any(n.endswith((".dora_scale", ".lora_magnitude_vector")) for n in names) else variant
    layout = "kohya" if any(n.startswith(("lora_unet_", "lora_te", "lora_transformer_", "lora_prior_unet_")) for n in names) else "peft"
    family, context = _lora_family(header)
    words = (
        f"a LoRA for {FAMILY_NAMES.get(family, 'a model with text features of width ' + str(context) if context else 'an unknown family')}"
    )
    return Report("lora", family, variant, layout=layout, context=context, words=words)


def _lora_family(header: Header) -> tuple[str, int]:
    text = "\n".join(header)
    context = 0
    for name in header:  # the input width of a cross attention's key projection
        ends = ("lora_down.weight", "lora_A.weight", ".down.weight", ".hada_w1_b", ".lora_A.default.weight")
        if "attn2" in name and "to_k" in name and name.endswith(ends):
            context = header.dim(name, 1)
            break
    if "double_stream_modulation" in text or "single_stream_modulation" in text:
        return "flux2", 0
    if "single_transformer_blocks" in text or "double_blocks" in text or "single_blocks" in text:
        wide = any(
            header.dim(n, 1) in (15360, 7680, 12288)
            for n in header
            if ("txt_in" in n or "context_embedder" in n) and n.endswith(("down.weight", "A.weight"))
        )
        return ("flux2" if wide else "flux1"), 0
    if "joint_blocks" in text:
        return "sd3", 0
    if "transformer_blocks" in text and "add_k_proj" in text and "down_blocks" not in text:
        return "sd3", 0
    by_context = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}
    if context:
        return by_context.get(context, ""), context
    if "lora_te2_" in text or "text_encoder_2." in text or "lora_unet_input_blocks" in text:
        return "sdxl", 0
    if "lora_te1_" in text:
        return "sdxl", 0
    te = next((n for n in header if n.startswith(("lora_te_", "text_encoder.")) and n.endswith(("down.weight", "A.weight"))), "")
    return {768: "sd1", 1024: "sd2"}.get(header.dim(te, 1), ""), 0
