"""Mixes the weights of two networks and saves the result as a checkpoint file in the original layout."""

from __future__ import annotations

import inspect as signatures
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.models import architectures, loading, names
from nodes.models.families import shipped_config
from nodes.models.header import Header
from nodes.models.header import Tensor as HeaderTensor

if TYPE_CHECKING:
    from nodes.models.memory import Model

State = dict[str, Tensor]
CLIP_WORDS = 49_408  # entries of CLIP's own vocabulary


def mix(
    module: nn.Module,
    other: nn.Module,
    share: float,
    blocks: tuple[tuple[str, float], ...],
    minus: nn.Module | None,
    originals: dict[str, Tensor],
) -> None:
    """Mix `other` into the weights of `module` in place; originals: receives the CPU copy of every weight before its first change.

    Raises: GraphError when the networks are not of one shape.
    """
    theirs = dict(other.named_parameters())
    taken = dict(minus.named_parameters()) if minus is not None else {}
    for name, parameter in module.named_parameters():
        value, base = theirs.get(name), taken.get(name)
        if value is None or value.shape != parameter.shape or (minus is not None and (base is None or base.shape != parameter.shape)):
            raise GraphError(f"These models cannot be merged: '{name}' differs in shape.")
        amount = share * next((factor for part, factor in blocks if part in name), 1.0)
        if amount == 0:
            continue
        originals.setdefault(name, parameter.detach().to("cpu", copy=True))
        own, value = parameter.detach().to(torch.float32), value.to(parameter.device, torch.float32)
        mixed = own * (1 - amount) + value * amount if base is None else own + amount * (value - base.to(parameter.device, torch.float32))
        parameter.data.copy_(mixed)


def save_checkpoint(
    path: Path,
    denoiser: Model,
    text: Model | None,
    vae: Model | None,
    dtype: torch.dtype = torch.float16,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write one file in the layout of the Stable Diffusion repositories, which every program reads. Whole or not at all; LoRAs are baked in.

    Raises: GraphError for families without such a layout, and when the file exists or cannot be written.
    """
    handle = denoiser.handle
    family = str(getattr(handle, "family", ""))
    if family not in ("sd1", "sd2", "sdxl", "sdxl-refiner"):
        raise GraphError(f"Models of the family '{family}' cannot be saved as one checkpoint file.")
    table = names.inverse(names.unet_modules(denoiser.module.config))
    state = _under("model.diffusion_model.", {names.rename(n, table) or n: v for n, v in denoiser.module.state_dict().items()})
    if getattr(handle, "prediction", "") == "v_prediction":
        state["v_pred"] = torch.tensor([])
    if vae is not None:
        state |= _under("first_stage_model.", _original_vae(vae.module))
    if text is not None:
        for source, module in zip(text.handle.sources, text.modules, strict=True):  # type: ignore[union-attr]
            state |= _text(module, source.part, family)
    said = _unusual(denoiser, text, vae, {name: tuple(value.shape) for name, value in state.items()})
    ready = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous().clone()
        for name, value in state.items()
    }
    write(path, ready, {**said, **(metadata or {})})


def _unusual(denoiser: Model, text: Model | None, vae: Model | None, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str]:
    """Metadata for what shapes do not show (group counts, activations ...), where a model differs from the published ones.

    Raises: GraphError for a text encoder with a tokenizer of its own, which such a file cannot hold.
    """
    header = Header("", {name: HeaderTensor("F16", shape, 0, 0) for name, shape in shapes.items()}, {}, 0)
    said = {"denoiser": _beyond(denoiser.module, architectures.unet(header.under("model.diffusion_model.")))}
    if vae is not None:
        family = str(getattr(vae.handle, "family", ""))
        said["vae"] = _beyond(vae.module, shipped_config(family, "vae") | architectures.autoencoder(header.under("first_stage_model.")))
    if text is not None:
        if any(len(tokenizer) != CLIP_WORDS for tokenizer in text.tokenizers):
            raise GraphError(
                "This text encoder has a tokenizer of its own, which a checkpoint file cannot hold. Save the model without its text encoder."
            )
        for module, slot in zip(text.modules, loading.text_slots(text.handle), strict=True):  # type: ignore[arg-type]
            inferred = loading.text_config(slot, str(getattr(text.handle, "family", "")), dict(module.state_dict()), "")
            own = module.config.to_dict()
            said[slot.name] = {
                name: own[name] for name in ("num_attention_heads", "hidden_act", "eos_token_id") if own[name] != inferred.get(name)
            }
    return {f"nodegraph.{part}": json.dumps(config, sort_keys=True) for part, config in said.items() if config}


def _beyond(module: nn.Module, config: Mapping[str, object]) -> dict[str, object]:
    """The entries of a diffusers network's configuration that `config` does not lead to."""
    built = {name: entry.default for name, entry in signatures.signature(type(module)).parameters.items()} | dict(config)
    own = {name: value for name, value in module.config.items() if name in built and not name.startswith("_") and name != "sample_size"}
    return {name: value for name, value in own.items() if json.dumps(value) != json.dumps(built[name])}


def write(path: Path, state: State, metadata: Mapping[str, str] | None = None) -> None:
    """A safetensors file, whole or not at all; an existing file is never written over."""
    if path.exists():
        raise GraphError(f"'{path.name}' exists already. Choose another name.")
    held = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}.", suffix=".part", delete=False) as file:
            held = Path(file.name)
        save_file(state, held, metadata={"format": "pt", **(metadata or {})})
        with open(held, "rb+") as file:
            os.fsync(file.fileno())
        _put(held, path)
    except FileExistsError:
        raise GraphError(f"'{path.name}' exists already. Choose another name.") from None
    except OSError as error:
        raise GraphError(f"'{path}' cannot be written: {error.strerror or error}. Choose another folder or make room.") from None
    finally:
        if held is not None:
            held.unlink(missing_ok=True)


def _put(held: Path, path: Path) -> None:
    """Give a finished file its name without writing over another; file systems without hard links get a plain rename."""
    try:
        os.link(held, path)
    except FileExistsError:
        raise
    except OSError:
        if path.exists():
            raise FileExistsError(path) from None
        os.replace(held, path)


def _under(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: value for name, value in state.items()}


def _original_vae(module: nn.Module) -> State:
    table = names.inverse(names.vae_modules(module.config))
    state = {names.rename(name, table) or name: value for name, value in module.state_dict().items()}
    return {n: v[..., None, None] if ".attn_1." in n and n.endswith("weight") and v.ndim == 2 else v for n, v in state.items()}


def _text(module: nn.Module, slot: str, family: str) -> State:
    state = {name.removeprefix("text_model."): value for name, value in module.state_dict().items()}
    if slot == "clip_l":
        prefix = "cond_stage_model.transformer." if family == "sd1" else "conditioner.embedders.0.transformer."
        return _under(prefix + "text_model.", state)
    prefix = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model.", "sdxl-refiner": "conditioner.embedders.0.model."}[
        family
    ]
    return _under(prefix, openclip(state, repeats_last=family == "sd2"))


def openclip(state: Mapping[str, Tensor], repeats_last: bool = False) -> State:
    """Hugging Face CLIP names (without "text_model.") -> OpenCLIP's, query, key and value joined.

    repeats_last: SD 2 files have one layer more, which nobody reads; it is filled with a copy of the last.
    """
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layers."))
    out = {old: state[new] for old, new in names.OPEN_CLIP.items()}
    if "text_projection.weight" in state:
        out["text_projection"] = state["text_projection.weight"].T
    for i in range(layers + repeats_last):
        layer, block = f"encoder.layers.{min(i, layers - 1)}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            out[f"{block}attn.in_proj_{kind}"] = torch.cat([state[f"{layer}self_attn.{part}_proj.{kind}"] for part in "qkv"])
            for old, new in names.OPEN_CLIP_LAYER.items():
                out[f"{block}{old}.{kind}"] = state[f"{layer}{new}.{kind}"]
    return out


def recipe(**said: object) -> dict[str, str]:
    """Metadata that tells how a file was made."""
    return {"nodegraph": json.dumps(said, sort_keys=True)}
