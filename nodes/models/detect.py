"""Which model a file or folder is, told from its header or its configs alone. Torch-free and instant.

Every answer rests on positive evidence: names of tensors that only this family has. A file without such evidence is
"unknown", in words; nothing is taken for Stable Diffusion 1 because nothing else fitted.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from nodegraph.errors import GraphError
from nodes.models import components, denoisers
from nodes.models.components import control_report
from nodes.models.denoisers import VARIANTS
from nodes.models.header import Header, read_header
from nodes.models.report import FAMILY_NAMES, UNKNOWN, Report

RECOGNISERS: tuple[Callable[[Header], Report | None], ...] = (
    components.ip_adapter, components.lora, denoisers.checkpoint, components.controlnet, denoisers.lone_denoiser, components.vae,
    components.t2i_adapter, components.upscaler, components.text_encoder, components.clip_vision, components.embedding,
)  # fmt: skip


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
        return Report(
            "denoiser", CLASSES[name], variant, "flow", "diffusers", context=int(config.get("joint_attention_dim") or 0), words=words
        )
    if name.startswith("Autoencoder"):
        return Report(
            "vae", "", "tiny" if name == "AutoencoderTiny" else "kl", layout="diffusers", parts=(("vae", ""),), words=f"a VAE ({name})"
        )
    if name in ("ControlNetModel", "ControlNetUnionModel", "FluxControlNetModel", "SD3ControlNetModel"):
        families = {"FluxControlNetModel": "flux1", "SD3ControlNetModel": "sd3", "ControlNetUnionModel": "sdxl"}
        family = families.get(name) or _unet_config(config).family
        return replace(
            control_report(family, "diffusers", "", "controlnet-union" if "Union" in name or config.get("num_mode") else "controlnet"),
            context=int(config.get("cross_attention_dim") or 0),
        )
    if name == "T2IAdapter":
        family = "sdxl" if "xl" in str(config.get("adapter_type")) else "sd1"
        return Report("t2i-adapter", family, "t2i-adapter", layout="diffusers", words=f"a T2I-Adapter for {FAMILY_NAMES[family]}")
    if name.startswith(("CLIPTextModel", "T5EncoderModel", "UMT5EncoderModel")):
        slot = (
            "t5"
            if "T5" in name
            else {768: "clip_l", 1024: "open_clip_h", 1280: "clip_g"}.get(int(config.get("hidden_size") or 0), "clip_l")
        )
        return Report("text_encoder", layout="hf", slot=slot, words=f"a text encoder ({name})")
    if name.endswith(("ForCausalLM", "ForConditionalGeneration")):
        return Report("text_encoder", layout="hf", slot="llm", words=f"a language model ({name})")
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
    return Report(
        "denoiser", family, variant, layout="diffusers", context=context, words=f"a diffusion model of {FAMILY_NAMES[family]} ({variant})"
    )
