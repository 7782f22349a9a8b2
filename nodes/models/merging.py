"""Mixes the weights of two networks and saves the result as a checkpoint file in the original layout."""

from __future__ import annotations

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
from nodes.models import names

if TYPE_CHECKING:
    from nodes.models.memory import Model

State = dict[str, Tensor]


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
    ready = {
        name: value.detach().to("cpu", dtype if value.is_floating_point() else value.dtype).contiguous().clone()
        for name, value in state.items()
    }
    write(path, ready, metadata)


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
