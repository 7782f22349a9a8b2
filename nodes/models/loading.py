"""The one place where weights become networks: no network access, no pickles, no foreign code, dtype always given.

Three roads, one end: a component inside a checkpoint file, a file of its own, or a diffusers folder. Each gives a
configuration (from the shapes, the published one, or config.json) and renamed tensors; `build` puts them together and accepts
no missing weight. A test forbids from_pretrained and torch.load outside this package.
"""

from __future__ import annotations

import inspect as signatures
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch
from torch import nn

from nodegraph.errors import GraphError
from nodes.models import architectures, weights
from nodes.models.detect import inspect, read_config
from nodes.models.families import FAMILIES, TOKENIZERS, Slot, shipped_config
from nodes.models.handles import ControlHandle, DenoiserHandle, ImageEncoderHandle, Source, TextEncoderHandle, VaeHandle
from nodes.models.header import Header, read_header
from nodes.models.report import Report
from nodes.models.weights import State

Config = dict[str, Any]
_NOT_ARGUMENTS = ("_class_name", "_diffusers_version", "_name_or_path")


def denoiser(handle: DenoiserHandle, dtype: torch.dtype) -> nn.Module:
    """The network of a denoiser handle without its patches, on the CPU, in eval mode."""
    source = handle.source
    if source.layout == "folder":
        return _from_folder(source, dtype)
    report, header, _ = _component(source, "denoiser")
    family = FAMILIES.get(report.family)
    if family is None:
        raise GraphError(
            f"'{source.name}' is {report.family_name}; it is recognised, but cannot be loaded from one file yet. Use its diffusers folder."
        )
    if report.layout in ("ldm", "diffusers") and family.model == "UNet2DConditionModel":
        return build(family.model, *_unet(source), dtype, source.name)
    state = weights.read_source(source, dict(report.parts)["denoiser"])
    if report.layout == "diffusers":
        config = _config_beside(source) or shipped_config(handle.family, family.part)
        return build(family.model, config, state, dtype, source.name)
    infer = {"flux1": architectures.flux1, "flux2": architectures.flux2, "sd3": architectures.sd3}[report.family]
    config = infer(header)
    ready = weights.flux1(state, config) if report.family == "flux1" else _converted(family.model, config, state)
    return build(family.model, config, ready, dtype, source.name)


def _unet(source: Source) -> tuple[Config, State]:
    """Configuration and tensors of a UNet, by diffusers' names; the tensors stay in the file until they are read."""
    if source.layout == "folder":
        return read_config(Path(source.path) / "config.json"), weights.read_source(source)
    _, header, prefix = _component(source, "denoiser")
    config = (_config_beside(source) or architectures.unet(header)) | _said(source, "denoiser")
    return config, weights.unet(weights.read_source(source, prefix), config)


def _component(source: Source, part: str) -> tuple[Report, Header, str]:
    """Report of the file, its header cut to the component, the component's prefix."""
    report, header = inspect(source.path), read_header(source.path)
    prefix = dict(report.parts).get(part)
    if prefix is None:
        raise GraphError(f"'{source.name}' holds no {part.replace('_', ' ')}: it is {report.words}.")
    return report, header.under(prefix) if prefix else header, prefix


def _config_beside(source: Source) -> Config:
    """The config.json that lies beside a lone diffusers file; {} when there is none. A checkpoint's neighbour says nothing of it."""
    beside = Path(source.path).parent / "config.json"
    return read_config(beside) if source.layout == "file" and beside.is_file() else {}


def _said(source: Source, part: str) -> Config:
    """What the file's metadata says of a configuration beyond what shapes show (see `merging.save_checkpoint`)."""
    try:
        said = json.loads(read_header(source.path).metadata.get(f"nodegraph.{part}", "{}"))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise GraphError(f"'{source.name}' is damaged: its metadata cannot be read.")
    return said


def _converted(model: str, config: Config, state: State) -> State:
    """Transformers of Black Forest Labs and Stability through diffusers' own conversion."""
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    table: Any = SINGLE_FILE_LOADABLE_CLASSES
    converted: State = table[model]["checkpoint_mapping_fn"](checkpoint=dict(state), config=config)
    return converted


def _from_folder(source: Source, dtype: torch.dtype) -> nn.Module:
    folder = Path(source.path)
    config = read_config(folder / "config.json")
    if config.get("quantization_config"):
        raise GraphError(f"'{folder.name}' is stored quantised in a form that is not read here. Use the fp16, bf16 or fp8 weights.")
    name = str(config.get("_class_name") or next(iter(config.get("architectures") or [""])))
    state = weights.read_source(source)
    if name.startswith("AutoencoderKL"):
        state = weights.vae(state, config)
    return build(name, config, state, dtype, f"{folder.parent.name}/{folder.name}")


def vae(handle: VaeHandle, dtype: torch.dtype) -> nn.Module:
    """AutoencoderKL, AutoencoderTiny or a family's own; its scaling factor is the configuration's, of the handle's family."""
    source = handle.source
    chosen = dict(handle.settings).get("scaling_factor")
    if source.layout == "folder":
        module = _from_folder(source, dtype)
        if chosen is not None:
            module.register_to_config(scaling_factor=chosen)  # type: ignore[operator]
        return module
    report, header, prefix = _component(source, "vae")
    if report.kind == "vae" and report.variant == "tiny":
        width = header.dim("decoder.layers.0.weight", 1)
        return build("AutoencoderTiny", {"latent_channels": width}, weights.read_source(source, prefix), dtype, source.name)
    published = shipped_config(handle.family, "vae")
    if not published:
        raise GraphError(f"The VAE '{source.name}' does not say whose it is. Choose its family in the node that loads it.")
    config = published | architectures.autoencoder(header) | _said(source, "vae")
    if chosen is not None:
        config["scaling_factor"] = chosen
    model = str(published.get("_class_name", "AutoencoderKL"))
    return build(model, config, weights.vae(weights.read_source(source, prefix), config), dtype, source.name)


def text_encoders(handle: TextEncoderHandle, dtype: torch.dtype) -> list[nn.Module]:
    """The text encoders of a handle in the order of the family's slots."""
    slots = text_slots(handle)
    return [text_encoder(source, slot, handle.family, dtype) for source, slot in zip(handle.sources, slots, strict=True)]


def text_slots(handle: TextEncoderHandle) -> list[Slot]:
    """The family's slot of each source: by the source's part."""
    table = {slot.name: slot for slot in FAMILIES[handle.family].slots} if handle.family in FAMILIES else {}
    missing = [source.part for source in handle.sources if source.part not in table]
    if missing:
        raise GraphError(f"{handle.family} has no text encoder of the kind '{missing[0]}'.")
    return [table[source.part] for source in handle.sources]


def text_encoder(source: Source, slot: Slot, family: str, dtype: torch.dtype) -> nn.Module:
    """One text encoder, from a folder, a checkpoint or a file."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    if slot.name == "llm":
        return _language_model(source, dtype)
    if source.layout == "folder":
        config, state = read_config(Path(source.path) / "config.json"), weights.read_source(source)
    else:
        _report, _header, prefix = _component(source, slot.name)
        state = weights.read_source(source, prefix)
        if slot.name == "open_clip_h":
            state = weights.without_last_layer(state)
        config = text_config(slot, family, state, source.name) | _said(source, slot.name)
    if slot.name == "t5":
        return _assemble(T5EncoderModel, T5Config(**_known(config)), weights.t5(state), dtype, source.name)
    model = CLIPTextModelWithProjection if slot.model == "CLIPTextModelWithProjection" else CLIPTextModel
    expects_prefix = model is CLIPTextModelWithProjection
    ready = weights.clip(state, expects_prefix)
    return _assemble(model, CLIPTextConfig(**_known(config)), ready, dtype, source.name)


def _known(config: Config) -> Config:
    return {
        name: value
        for name, value in config.items()
        if name not in (*_NOT_ARGUMENTS, "architectures", "torch_dtype", "dtype", "model_type", "transformers_version")
    }


def _language_model(source: Source, dtype: torch.dtype) -> nn.Module:
    """A language model as text encoder, from its transformers folder (these come in shards, which transformers puts together)."""
    import transformers

    folder = Path(source.path)
    if source.layout != "folder":
        raise GraphError(
            f"The text encoder '{source.name}' is a language model. Load it from its folder, which has its tokenizer beside it."
        )
    weights.files_of(folder)  # words for a folder with pickles or without weights
    name = next(iter(read_config(folder / "config.json").get("architectures") or [""]))
    model = getattr(transformers, name, None)
    if not (isinstance(model, type) and issubclass(model, transformers.PreTrainedModel)):
        raise GraphError(f"The text encoder '{folder.name}' asks for a model class '{name}', which is not known here.")
    try:
        module: nn.Module = model.from_pretrained(
            str(folder), dtype=dtype, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise GraphError(f"The text encoder in '{folder}' cannot be loaded: {error}") from None
    return module.requires_grad_(False).eval()


def text_config(slot: Slot, family: str, state: State, label: str) -> Config:
    """The published configuration with the sizes that the tensors show."""
    config = shipped_config(family, slot.folder)
    if slot.name == "t5":
        layers = {name.split(".")[2] for name in state if name.startswith("encoder.block.")}
        gated = "encoder.block.0.layer.1.DenseReluDense.wi_0.weight" in state
        relative = state["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        table = state.get("shared.weight", state.get("encoder.embed_tokens.weight"))
        width, inner = state["encoder.block.0.layer.1.DenseReluDense.wo.weight"].shape
        if table is None:
            raise GraphError(f"'{label}' has no token table, so it is not a complete T5 encoder.")
        sizes = {"d_model": width, "d_ff": inner, "num_layers": len(layers), "vocab_size": table.shape[0], "num_heads": relative.shape[1]}
        kv = state["encoder.block.0.layer.0.SelfAttention.q.weight"].shape[0] // relative.shape[1]
        return config | sizes | {"d_kv": kv, "feed_forward_proj": "gated-gelu" if gated else "relu"}
    ready = weights.clip(state, False)
    layers = {name.split(".")[2] for name in ready if name.startswith("encoder.layers.")}
    try:
        vocabulary, width = ready["embeddings.token_embedding.weight"].shape
        positions = ready["embeddings.position_embedding.weight"].shape[0]
        inner = ready["encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError:
        raise GraphError(f"'{label}' has no complete text encoder.") from None
    config |= {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": len(layers)}
    config |= {"max_position_embeddings": positions, "vocab_size": vocabulary}
    if width not in (768, 1024, 1280):  # unusual sizes: keep the width of a head
        config["num_attention_heads"] = max(width // 64, 1)
    projection = weights.clip(state, True).get("text_projection.weight")
    config["projection_dim"] = projection.shape[0] if projection is not None else config.get("projection_dim", width)
    return config


def tokenizers(handle: TextEncoderHandle) -> list[Any]:
    """The tokenizer of each text encoder: the model folder's own, else the one that ships for the slot."""
    folders = handle.tokenizers or ("",) * len(handle.sources)
    return [tokenizer(folder, slot) for folder, slot in zip(folders, text_slots(handle), strict=True)]


def tokenizer(folder: str, slot: Slot) -> Any:
    """A transformers tokenizer. Raises GraphError where none ships and none was given."""
    from transformers import AutoTokenizer, CLIPTokenizer

    path = Path(folder) if folder else TOKENIZERS / slot.shipped
    if not folder and not slot.shipped:
        raise GraphError(
            f"The text encoder '{slot.name}' needs its tokenizer, which does not ship with the program. "
            f"Load it from a model folder that has '{slot.tokenizer}' beside it."
        )
    if not path.is_dir():
        raise GraphError(f"The tokenizer folder '{path}' is missing.")
    options: Config = {"local_files_only": True, "trust_remote_code": False}
    if not folder and slot.pad:
        options["pad_token"] = slot.pad
    kind = CLIPTokenizer if "clip" in slot.name else AutoTokenizer
    return kind.from_pretrained(str(path), **options)


def control(handle: ControlHandle, dtype: torch.dtype) -> nn.Module:
    """A ControlNet or T2I-Adapter."""
    source = handle.source
    if source.layout == "folder":
        return _from_folder(source, dtype)
    if handle.kind == "t2i-adapter":
        return _t2i_adapter(source, dtype)
    if handle.kind == "control-lora":
        return _control_lora(handle, dtype)
    report, header, prefix = _component(source, "controlnet")
    state = weights.read_source(source, prefix)
    if report.layout == "ldm":
        config = architectures.controlnet(header)
        return build("ControlNetModel", config, weights.unet(state, config, is_controlnet=True), dtype, source.name)
    infer = {"flux1": architectures.flux1_control, "sd3": architectures.sd3_control}.get(report.family, architectures.controlnet)
    config = _config_beside(source) or infer(header)
    fallback = {"flux1": "FluxControlNetModel", "sd3": "SD3ControlNetModel"}.get(report.family)
    fallback = fallback or ("ControlNetUnionModel" if handle.kind == "controlnet-union" else "ControlNetModel")
    return build(str(config.get("_class_name", fallback)), config, state, dtype, source.name)


def _control_lora(handle: ControlHandle, dtype: torch.dtype) -> nn.Module:
    """A ControlNet that a file describes as a change of low rank of the denoiser's own first half (Stability's Control-LoRA)."""
    if handle.base is None:
        raise GraphError(f"'{handle.source.name}' is a Control-LoRA, which works only on a denoiser.")
    config, base = _unet(handle.base)
    change, header = weights.read_source(handle.source), read_header(handle.source.path)
    config |= {"conditioning_channels": header.dim("input_hint_block.0.weight", 1)}
    config["conditioning_embedding_out_channels"] = [header.dim(f"input_hint_block.{i}.weight", 0) for i in (0, 4, 8, 12)]
    state = weights.control_lora(base, change, config)
    return build("ControlNetModel", {name: value for name, value in config.items() if name != "out_channels"}, state, dtype, handle.source.name)


def _t2i_adapter(source: Source, dtype: torch.dtype) -> nn.Module:
    header, state = read_header(source.path), weights.read_source(source)
    if "conv_in.weight" in header:  # as its makers wrote it
        config = architectures.t2i_adapter(header)
        return build("T2IAdapter", config, weights.t2i_adapter(state, int(config["num_res_blocks"])), dtype, source.name)
    config = _config_beside(source)
    if not config:
        raise GraphError(f"The T2I-Adapter '{source.name}' needs the config.json of its folder beside it.")
    return build("T2IAdapter", config, state, dtype, source.name)


def image_encoder(handle: ImageEncoderHandle, dtype: torch.dtype) -> nn.Module:
    """A CLIP vision model with projection, from a folder, a file of its own or an unCLIP checkpoint."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    source = handle.source
    if source.layout == "folder":
        state, config = weights.clip_vision(weights.read_source(source)), _known(read_config(Path(source.path) / "config.json"))
    else:
        state = weights.clip_vision(weights.read_source(source, _component(source, "image_encoder")[2]))
        config = _vision_config(state, source.name)
    return _assemble(CLIPVisionModelWithProjection, CLIPVisionConfig(**config), state, dtype, source.name)


def _vision_config(state: State, label: str) -> Config:
    """The configuration that the shapes show; heads and activation are those of the published encoder of that width."""
    try:
        inner, width = state["vision_model.encoder.layers.0.mlp.fc1.weight"].shape
        patch = state["vision_model.embeddings.patch_embedding.weight"].shape[-1]
        places = state["vision_model.embeddings.position_embedding.weight"].shape[0]
        projected = state["visual_projection.weight"].shape[0]
    except KeyError as error:
        raise GraphError(f"'{label}' is not a complete CLIP image encoder: {error} is missing. Get the file again.") from None
    heads, act = {1024: (16, "quick_gelu"), 1280: (16, "gelu"), 1664: (16, "gelu"), 768: (12, "quick_gelu")}.get(width, (max(width // 64, 1), "gelu"))
    layers = len({name.split(".")[3] for name in state if name.startswith("vision_model.encoder.layers.")})
    return {
        "hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers, "num_attention_heads": heads, "hidden_act": act,
        "patch_size": patch, "image_size": round((places - 1) ** 0.5) * patch, "projection_dim": projected,
    }  # fmt: skip


SEEING = {
    "depth": ("depth model", "ForDepthEstimation"),
    "segmentation": ("segmentation model", "ForSemanticSegmentation", "ForUniversalSegmentation", "MaskFormerForInstanceSegmentation"),
    "detection": ("detector", "ForObjectDetection"),
    "pose": ("pose model", "VitPoseForPoseEstimation"),
}
"""What a model sees: its words, and how the classes of transformers that see it are called."""


def seeing_model(folder: Path, what: str) -> nn.Module:
    """A model of transformers that sees something in pictures, a key of SEEING, from its folder, fp32 on the CPU, in eval mode.

    Raises: GraphError when the folder holds no such model, only pickled weights, not all weights, or needs code of others.
    """
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # the console belongs to the run
    words, *classes = SEEING[what]
    name = str(next(iter(read_config(folder / "config.json").get("architectures") or [""])))
    if not name.endswith(tuple(classes)):
        raise GraphError(f"'{folder.name}' is not a {words}: it is {name or 'of an unknown class'}.")
    weights.files_of(folder)  # says in words where there are none, or only pickles
    auto = {"depth": "DepthEstimation", "detection": "ObjectDetection", "segmentation": "UniversalSegmentation"}.get(what, "")
    auto = "SemanticSegmentation" if name.endswith("ForSemanticSegmentation") else auto
    model: Any = getattr(transformers, f"AutoModelFor{auto}") if auto else transformers.VitPoseForPoseEstimation
    try:
        module, told = model.from_pretrained(
            str(folder), dtype=torch.float32, output_loading_info=True, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, ImportError, RuntimeError, KeyError) as error:
        raise GraphError(f"The {words} '{folder.name}' cannot be loaded: {str(error).splitlines()[0]}") from None
    if missing := sorted(told["missing_keys"]):
        raise GraphError(
            f"'{folder.name}' is incomplete: {len(missing)} weights are missing, the first is '{missing[0]}'. Get the folder again."
        )
    ready: nn.Module = module.requires_grad_(False).eval()
    return ready


def build(name: str, config: Mapping[str, Any], state: State, dtype: torch.dtype, label: str) -> nn.Module:
    """A diffusers model of class `name` with exactly these weights.

    Raises: GraphError for an unknown class and for missing or misshapen weights.
    """
    import diffusers

    model = getattr(diffusers, name, None)
    if not (isinstance(model, type) and issubclass(model, nn.Module)):
        raise GraphError(f"'{label}' asks for a model class '{name}', which is not known here.")
    accepted = signatures.signature(model).parameters
    arguments = {key: value for key, value in config.items() if key in accepted}
    return _assemble(model, arguments, state, dtype, label)


def _assemble(model: type, config: Any, state: State, dtype: torch.dtype, label: str) -> nn.Module:
    """Build on the meta device (no time lost to initialisation), then put copies of the weights in."""
    from accelerate import init_empty_weights

    try:
        with init_empty_weights(include_buffers=False):
            module: nn.Module = model(**config) if isinstance(config, dict) else model(config)
    except (ValueError, TypeError, ZeroDivisionError, IndexError, NotImplementedError) as error:
        raise GraphError(f"'{label}' has a configuration that its model class refuses: {error}") from None
    expected = module.state_dict()
    optional = {name for name in expected if name.endswith("position_ids")}
    missing = [name for name in expected if name not in state and name not in optional]
    if missing:
        raise GraphError(
            f"'{label}' is incomplete: {len(missing)} of {len(expected)} weights are missing, the first is '{missing[0]}'. Get the file again."
        )
    wrong = next((name for name in expected if name in state and state[name].shape != expected[name].shape), None)
    if wrong is not None:
        have, want = "x".join(map(str, state[wrong].shape)), "x".join(map(str, expected[wrong].shape))
        raise GraphError(f"'{label}' does not fit its model: '{wrong}' is {have}, expected {want}.")
    keep = tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    ready = {}
    for name in expected:
        if name in state:
            value = state[name]
            target = torch.float32 if any(part in name.split(".") for part in keep) and dtype == torch.float16 else dtype
            ready[name] = value.to(target, copy=True) if value.is_floating_point() else value.clone()
    module.load_state_dict(ready, strict=False, assign=True)
    _tie(module)
    return module.requires_grad_(False).eval()


def _tie(module: nn.Module) -> None:
    tie = getattr(module, "tie_weights", None)
    if callable(tie):
        tie()


def scheduler(handle: DenoiserHandle) -> Config:
    """The scheduler_config of a denoiser: its own, else the family's published one, with the handle's prediction type."""
    config = dict(handle.scheduler) or shipped_config(handle.family, "scheduler")
    if handle.prediction != "flow":
        config["prediction_type"] = handle.prediction
    if handle.variant == "schnell" and not handle.scheduler:
        config |= {"shift": 1.0, "use_dynamic_shifting": False}
    return config


def warm_up() -> None:
    """Import what nearly every graph needs (seconds), so that the first picture does not wait for it. Loads no weights."""
    from diffusers import AutoencoderKL, UNet2DConditionModel  # noqa: F401
    from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401
