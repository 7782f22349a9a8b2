"""What model ports carry: small frozen values that say WHICH weights, never the weights.

A handle hashes, compares, pickles and prints, so results are cached by it, a worker can be told about it and memory can
evict the weights behind it at any time. `memory.ModelMemory.use(handle, device)` turns one into a torch module at the moment of use.
Torch-free on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeVar

Layout = Literal["checkpoint", "file", "folder"]
Prediction = Literal["epsilon", "v_prediction", "flow"]
Setting = str | int | float | bool


@dataclass(frozen=True)
class Source:
    """Where one set of weights lies on disk.

    layout: "checkpoint" = one component inside a file that holds several; "file" = a file with this component only;
    "folder" = a diffusers/transformers folder (config.json + weights).
    part: the component: "unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3", "controlnet" ...
    stamp: (bytes, modification time in ns) of the weights when the handle was made: a replaced file is another source.
    """

    path: str
    layout: Layout
    part: str
    stamp: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        return Path(self.path).name


@dataclass(frozen=True)
class Patch:
    """A LoRA (or LyCORIS) file added to weights. blocks: (part of a weight's name, factor) pairs, the first match counts."""

    path: str
    strength: float
    stamp: tuple[int, int] = (0, 0)
    blocks: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        return Path(self.path).name


@dataclass(frozen=True)
class Merge:
    """Another model's weights mixed in: W (1 - share) + other share; with `minus`: W + (other - minus) share ("add difference").

    blocks: (part of a weight's name, factor on share) pairs, the first match counts.
    """

    other: DenoiserHandle | TextEncoderHandle
    share: float
    minus: DenoiserHandle | TextEncoderHandle | None = None
    blocks: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class IpAdapterHandle:
    """An image prompt adapter: projection and attention weights for a family. kind: "base", "plus" (patch features), "full"."""

    source: Source
    family: str
    kind: str = "base"


@dataclass(frozen=True)
class DenoiserHandle:
    """The network that removes noise.

    family: what it can be combined with: "sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux1", "flux2", ...
    variant: "base", "inpaint", "pix2pix", "unclip", "fill", "canny" ...: which extra inputs it wants.
    scheduler: the scheduler_config.json that belongs to the model, as sorted pairs; empty = the family's default.
    settings: options of loading, as sorted pairs ("dtype": "fp8" ...).
    adapters: (image prompt adapter, strength) pairs, in the order in which conditionings list their image embeddings.
    """

    source: Source
    family: str
    variant: str = "base"
    prediction: Prediction = "epsilon"
    patches: tuple[Patch | Merge, ...] = ()
    scheduler: tuple[tuple[str, Setting], ...] = ()
    settings: tuple[tuple[str, Setting], ...] = ()
    adapters: tuple[tuple[IpAdapterHandle, float], ...] = ()


@dataclass(frozen=True)
class TextEncoderHandle:
    """One or several text encoders that make the conditioning of a family; sources in the order of the family's slots.

    tokenizers: one folder per source; "" = the tokenizer that ships with the program for this slot.
    clip_skip: 0 = the family's own layer, 1 = one layer earlier ... (ComfyUI's "stop at -2" is 1 for SD 1.x).
    embeddings: folder with textual inversions, "" = none.
    """

    sources: tuple[Source, ...]
    family: str
    tokenizers: tuple[str, ...] = ()
    clip_skip: int = 0
    embeddings: str = ""
    patches: tuple[Patch | Merge, ...] = ()
    settings: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True)
class VaeHandle:
    """Between pixels and latents. kind: "kl" (AutoencoderKL), "tiny" (AutoencoderTiny, the taesd type), "flux2" ..."""

    source: Source
    family: str
    kind: str = "kl"
    settings: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True)
class ControlHandle:
    """A ControlNet or T2I-Adapter. kind: "controlnet", "controlnet-union", "control-lora", "t2i-adapter".

    base: the denoiser that a Control-LoRA is a change of; None until it is used.
    """

    source: Source
    family: str
    kind: str = "controlnet"
    settings: tuple[tuple[str, Setting], ...] = ()
    base: Source | None = None


@dataclass(frozen=True)
class ImageEncoderHandle:
    """A CLIP vision model (for IP-Adapter, unCLIP, FLUX Redux)."""

    source: Source
    settings: tuple[tuple[str, Setting], ...] = ()


@dataclass(frozen=True)
class UpscalerHandle:
    """A pixel upscale network. architecture: "esrgan" (RRDBNet) or "compact" (SRVGG); scale: its fixed factor, e.g. 4."""

    source: Source
    architecture: str
    scale: int


Handle = DenoiserHandle | TextEncoderHandle | VaeHandle | ControlHandle | ImageEncoderHandle | IpAdapterHandle | UpscalerHandle
Patchable = TypeVar("Patchable", DenoiserHandle, TextEncoderHandle)
Settable = TypeVar("Settable", DenoiserHandle, TextEncoderHandle, VaeHandle, ControlHandle, ImageEncoderHandle)


def stamp(path: Path | str) -> tuple[int, int]:
    """(bytes, modification time in ns) of a file; of a folder: the sum and the newest of its weight files."""
    path = Path(path)
    if path.is_dir():
        found = [entry.stat() for entry in path.rglob("*") if entry.suffix in (".safetensors", ".json")]
        return sum(s.st_size for s in found), max((s.st_mtime_ns for s in found), default=0)
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def with_patch(handle: Patchable, patch: Patch | Merge) -> Patchable:
    """The same model with one more patch; one of strength 0 changes nothing and is left out."""
    amount = patch.strength if isinstance(patch, Patch) else patch.share
    return handle if amount == 0 else replace(handle, patches=(*handle.patches, patch))


def with_adapter(handle: DenoiserHandle, adapter: IpAdapterHandle, strength: float) -> DenoiserHandle:
    """The same denoiser with one more image prompt adapter."""
    return replace(handle, adapters=(*handle.adapters, (adapter, strength)))


def with_settings(handle: Settable, **settings: Setting) -> Settable:
    """The same model with other load settings."""
    return replace(handle, settings=pairs({**dict(handle.settings), **settings}))


def pairs(mapping: Mapping[str, Setting]) -> tuple[tuple[str, Setting], ...]:
    """A mapping as hashable sorted pairs."""
    return tuple(sorted(mapping.items()))
