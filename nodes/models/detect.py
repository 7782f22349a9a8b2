"""Which model a file or folder is, told from its header or its configs alone. Torch-free and instant.

Every answer rests on positive evidence: names of tensors that only this family has. A file without such evidence is
"unknown", in words; nothing is taken for Stable Diffusion 1 because nothing else fitted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nodegraph.errors import GraphError
from nodes.models.header import Header, read_header

Kind = Literal[
    "checkpoint", "denoiser", "text_encoder", "vae", "controlnet", "t2i-adapter", "lora", "embedding", "upscaler", "ip-adapter", "clip-vision",
    "unknown",
]  # fmt: skip
FAMILY_NAMES = {
    "sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL", "sdxl-refiner": "the SDXL refiner",
    "sd3": "Stable Diffusion 3", "flux1": "FLUX.1", "flux2": "FLUX.2", "sd-upscale": "Stable Diffusion x4 upscaler", "if": "DeepFloyd IF",
    "chroma": "Chroma", "qwen-image": "Qwen-Image", "z-image": "Z-Image", "pixart": "PixArt", "sana": "Sana", "lumina2": "Lumina 2",
    "auraflow": "AuraFlow", "hunyuan-video": "HunyuanVideo", "wan": "Wan", "ltx-video": "LTX-Video", "mochi": "Mochi", "cosmos": "Cosmos",
    "hidream": "HiDream", "cascade": "Stable Cascade", "flux3": "FLUX.3", "krea2": "Krea 2",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was found.

    family: one of FAMILY_NAMES; "" = it fits several families or none is known. layout: who named the tensors ("ldm", "diffusers",
    "bfl", "kohya", "peft", "lycoris", "hf", "openclip" ...). parts: (component, name prefix) pairs inside the file. slot: which text encoder
    ("clip_l", "clip_g", "open_clip_h", "t5", "llm"). context: width of the text features a denoiser or LoRA expects, 0 = not known.
    words: one sentence for the person.
    """

    kind: Kind
    family: str = ""
    variant: str = "base"
    prediction: str = "epsilon"
    layout: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    slot: str = ""
    context: int = 0
    scale: int = 0
    words: str = ""

    @property
    def family_name(self) -> str:
        return FAMILY_NAMES.get(self.family, self.family or "an unknown family")


UNKNOWN = Report("unknown", words="its tensors match no model known here")


def inspect(path: Path | str) -> Report:
    """What a model file or diffusers folder is. Raises GraphError for damaged, pickled or missing files."""
    path = Path(path)
    if path.is_dir():
        return inspect_folder(path)
    return inspect_header(read_header(path))


def inspect_header(header: Header) -> Report:
    """What a safetensors file with this header is; UNKNOWN when nothing speaks for any model."""
    for recognise in RECOGNISERS:
        found = recognise(header)
        if found is not None:
            return found
    return UNKNOWN


# --- denoisers ---------------------------------------------------------------------------------------------------------


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
    if not first_level:
        return None
    is_linear = len(header.shape("input_blocks.1.1.proj_in.weight")) == 2
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
    return (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5 > 0.09


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


# --- whole checkpoints ---------------------------------------------------------------------------------------------------

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


# --- components ----------------------------------------------------------------------------------------------------------


def vae(header: Header) -> Report | None:
    """KL autoencoders and tiny ones (taesd). Families that share a shape (SD 1/2 and SDXL; SD3 and FLUX.1) stay "": see `vae_family`."""
    for prefix in (*VAE_PREFIXES, ""):
        channels = header.dim(prefix + "decoder.conv_in.weight", 1)
        if channels and (prefix + "encoder.down.0.block.0.conv1.weight" in header or prefix + "encoder.down_blocks.0.resnets.0.conv1.weight" in header):
            layout = "ldm" if prefix + "encoder.down.0.block.0.conv1.weight" in header else "diffusers"
            family = "flux2" if channels == 32 and any("bn.running_mean" in name for name in header) else vae_family(header, channels)
            return Report("vae", family, "kl", layout=layout, parts=(("vae", prefix),), words=f"a VAE with {channels} latent channels")
    if "encoder.layers.0.weight" in header and "decoder.layers.0.weight" in header:
        channels = header.dim("decoder.layers.0.weight", 1)
        return Report("vae", vae_family(header, channels), "tiny", layout="diffusers", parts=(("vae", ""),), words="a tiny VAE (taesd type)")
    return None


def vae_family(header: Header, channels: int) -> str:
    """What metadata or the file's name says of a VAE whose shape fits several families; "" when they are silent."""
    said = (header.metadata.get("modelspec.architecture", "") + " " + header.path.replace("\\", "/").rpartition("/")[2]).lower()
    if channels == 4:
        return "sdxl" if "xl" in said else "sd1" if any(word in said for word in ("ft-mse", "ft-ema", "sd1", "sd-v1", "840000", "v1-5")) else ""
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
    for name, layout in (("vision_model.encoder.layers.0.mlp.fc1.weight", "hf"), ("visual.transformer.resblocks.0.mlp.c_fc.weight", "openclip")):
        if name in header:
            return Report("clip-vision", layout=layout, parts=(("image_encoder", ""),), words="a CLIP image encoder")
    return None


def controlnet(header: Header) -> Report | None:
    for prefix in ("control_model.", ""):
        part = header.under(prefix) if prefix else header
        if "lora_controlnet" in header:
            return replace(UNKNOWN, words="it is a Control-LoRA, a kind that is not supported yet; use a full ControlNet")
        if "input_hint_block.0.weight" in part and "input_blocks.0.0.weight" in part:
            linear = len(part.shape("input_blocks.1.1.proj_in.weight")) == 2
            family = "sdxl" if part.shape("label_emb.0.0.weight") else "sd2" if linear else "sd1"
            return _control(family, "ldm", prefix)
    if "controlnet_cond_embedding.conv_in.weight" in header:
        if "motion_modules" in " ".join(header):
            return replace(UNKNOWN, words="it is a SparseCtrl for AnimateDiff, which is not supported")
        projection = next((n for n in header if n.endswith("attentions.0.proj_in.weight")), "")
        linear = len(header.shape(projection)) == 2
        family = "sdxl" if "add_embedding.linear_1.weight" in header else "sd2" if linear else "sd1"
        return _control(family, "diffusers", "", "controlnet-union" if "task_embedding" in header else "controlnet")
    if "controlnet_x_embedder.weight" in header:
        return _control("flux1", "diffusers", "")
    if "pos_embed_input.proj.weight" in header and "controlnet_blocks.0.weight" in header:
        return _control("sd3", "diffusers", "")
    return None


def _control(family: str, layout: str, prefix: str, variant: str = "controlnet") -> Report:
    words = f"a ControlNet for {FAMILY_NAMES[family]}"
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


# --- LoRA ----------------------------------------------------------------------------------------------------------------

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
    words = f"a LoRA for {FAMILY_NAMES.get(family, 'a model with text features of width ' + str(context) if context else 'an unknown family')}"
    return Report("lora", family, variant, layout=layout, context=context, words=words)


def _lora_family(header: Header) -> tuple[str, int]:
    text = "\n".join(header)
    context = 0
    for name in header:  # the input width of a cross attention's key projection
        if "attn2" in name and "to_k" in name:
            if name.endswith(("lora_down.weight", "lora_A.weight", ".down.weight", ".hada_w1_b", ".lora_A.default.weight")):
                context = header.dim(name, 1)
                break
    if "double_stream_modulation" in text or "single_stream_modulation" in text:
        return "flux2", 0
    if "single_transformer_blocks" in text or "double_blocks" in text or "single_blocks" in text:
        wide = any(
            header.dim(n, 1) in (15360, 7680, 12288) for n in header if ("txt_in" in n or "context_embedder" in n) and n.endswith(("down.weight", "A.weight"))
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


RECOGNISERS: tuple[Callable[[Header], Report | None], ...] = (
    lora, checkpoint, controlnet, ip_adapter, lone_denoiser, vae, t2i_adapter, upscaler, text_encoder, clip_vision, embedding,
)  # fmt: skip


# --- diffusers folders ---------------------------------------------------------------------------------------------------

CLASSES = {
    "SD3Transformer2DModel": "sd3", "FluxTransformer2DModel": "flux1", "Flux2Transformer2DModel": "flux2", "PixArtTransformer2DModel": "pixart",
    "QwenImageTransformer2DModel": "qwen-image", "ZImageTransformer2DModel": "z-image", "SanaTransformer2DModel": "sana",
    "Lumina2Transformer2DModel": "lumina2", "AuraFlowTransformer2DModel": "auraflow", "ChromaTransformer2DModel": "chroma",
    "HiDreamImageTransformer2DModel": "hidream",
}  # fmt: skip


def read_config(path: Path) -> dict[str, Any]:
    """A model's JSON config, at most 1 MB. Raises GraphError in words."""
    try:
        if path.stat().st_size > 2**20:
            raise GraphError(f"'{path}' is too large for a configuration.")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise GraphError(f"'{path.parent.name}' has no '{path.name}', so it is not a complete diffusers folder.") from None
    except ValueError:
        raise GraphError(f"'{path}' is damaged: it is not valid JSON.") from None
    if not isinstance(found, dict):
        raise GraphError(f"'{path}' is damaged: it is not a JSON object.")
    return found


def inspect_folder(folder: Path) -> Report:
    """What a diffusers folder (model_index.json) or a folder with one component (config.json) is."""
    if (folder / "model_index.json").is_file():
        index = read_config(folder / "model_index.json")
        parts = tuple((name, name) for name in sorted(index) if isinstance(index[name], list) and len(index[name]) == 2 and index[name][1])
        part = next((name for name in ("unet", "transformer", "prior") if (name, name) in parts), "")
        if not part:
            return replace(UNKNOWN, words="its model_index.json names no diffusion model")
        found = inspect_component(folder / part)
        prediction = found.prediction
        if (folder / "scheduler" / "scheduler_config.json").is_file() and found.prediction != "flow":
            prediction = str(read_config(folder / "scheduler" / "scheduler_config.json").get("prediction_type", prediction))
        words = f"a diffusers folder of {found.family_name} ({found.variant})"
        return replace(found, kind="checkpoint", parts=parts, prediction=prediction, words=words)
    if (folder / "config.json").is_file():
        return inspect_component(folder)
    return replace(UNKNOWN, words="a folder without model_index.json or config.json")


def inspect_component(folder: Path) -> Report:
    """What one component folder is, from its config.json."""
    config = read_config(folder / "config.json")
    name = str(config.get("_class_name") or next(iter(config.get("architectures") or [""])))
    if name == "UNet2DConditionModel":
        return _unet_config(config)
    if name in CLASSES:
        variant = "base"
        if name == "FluxTransformer2DModel":
            guided = bool(config.get("guidance_embeds"))
            variant = {384: "fill", 128: "control"}.get(int(config.get("in_channels", 64)), "dev" if guided else "schnell")
        words = f"a diffusion model of {FAMILY_NAMES[CLASSES[name]]}"
        return Report("denoiser", CLASSES[name], variant, "flow", "diffusers", context=int(config.get("joint_attention_dim") or 0), words=words)
    if name.startswith("Autoencoder"):
        return Report("vae", "", "tiny" if name == "AutoencoderTiny" else "kl", layout="diffusers", parts=(("vae", ""),), words=f"a VAE ({name})")
    if name in ("ControlNetModel", "ControlNetUnionModel", "FluxControlNetModel", "SD3ControlNetModel"):
        families = {"FluxControlNetModel": "flux1", "SD3ControlNetModel": "sd3", "ControlNetUnionModel": "sdxl"}
        family = families.get(name) or _unet_config(config).family
        return replace(_control(family, "diffusers", "", "controlnet-union" if "Union" in name else "controlnet"), context=int(config.get("cross_attention_dim") or 0))
    if name == "T2IAdapter":
        family = "sdxl" if "xl" in str(config.get("adapter_type")) else "sd1"
        return Report("t2i-adapter", family, "t2i-adapter", layout="diffusers", words=f"a T2I-Adapter for {FAMILY_NAMES[family]}")
    if name.startswith(("CLIPTextModel", "T5EncoderModel", "UMT5EncoderModel")):
        slot = "t5" if "T5" in name else {768: "clip_l", 1024: "open_clip_h", 1280: "clip_g"}.get(int(config.get("hidden_size") or 0), "clip_l")
        return Report("text_encoder", layout="hf", slot=slot, words=f"a text encoder ({name})")
    if name.startswith("CLIPVisionModel"):
        return Report("clip-vision", layout="hf", words="a CLIP image encoder")
    return replace(UNKNOWN, words=f"a folder with a {name or 'nameless'} model, which is not known here")


def _unet_config(config: dict[str, Any]) -> Report:
    variant = VARIANTS.get(int(config.get("in_channels", 4)), "base")
    context = int(config.get("cross_attention_dim") or 0)
    if config.get("encoder_hid_dim") and config.get("addition_embed_type") == "text":
        return Report("denoiser", "if", variant, layout="diffusers", context=context, words="a DeepFloyd IF stage")
    if config.get("addition_embed_type") == "text_time":
        family = "sdxl-refiner" if len(config.get("block_out_channels", ())) == 4 else "sdxl"
    elif config.get("class_embed_type") == "projection":
        family, variant = "sd2", "unclip"
    elif config.get("num_class_embeds"):
        family = "sd-upscale"
    else:
        family = "sd2" if config.get("use_linear_projection") else "sd1"
    return Report("denoiser", family, variant, layout="diffusers", context=context, words=f"a diffusion model of {FAMILY_NAMES[family]} ({variant})")
