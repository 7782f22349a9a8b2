"""Keeps loaded models: one copy of each base weight, patched in place, moved to the device when used, evicted least recently used first.

Handles are looked up at the moment of use; while a model is in use (inside the `with`) it is pinned: never evicted, moved or
re-patched. Unpatching restores the kept originals, so it is exact and needs no disk.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psutil
import torch
from torch import nn

from nodegraph.errors import GraphError
from nodes.models import ip_adapter, loading, lora, merging, upscalers
from nodes.models.handles import (
    ControlHandle,
    DenoiserHandle,
    Handle,
    ImageEncoderHandle,
    IpAdapterHandle,
    Merge,
    Patch,
    Source,
    TextEncoderHandle,
    UpscalerHandle,
    VaeHandle,
)

WORKING_BYTES = 2 * 2**30  # left free on a graphics card for what is computed
Worn = tuple[tuple[Patch | Merge, ...], tuple[tuple[IpAdapterHandle, float], ...]]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Model:
    """A handle with its weights, on a device.

    modules: one network, or the text encoders in the order of the family's slots; tokenizers: one per text encoder.
    scheduler: the scheduler_config of a denoiser.
    """

    handle: Handle
    modules: tuple[nn.Module, ...]
    device: torch.device
    dtype: torch.dtype
    tokenizers: tuple[Any, ...] = ()
    scheduler: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> Any:
        return self.modules[0]

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return self.modules


@dataclass
class _Entry:
    """One loaded model. worn: its LoRAs and image prompt adapters; originals: (module number, parameter name) -> the unpatched value, kept on the CPU while patched."""

    modules: tuple[nn.Module, ...]
    tokenizers: tuple[Any, ...]
    dtype: torch.dtype
    device: torch.device
    worn: Worn = ((), ())
    originals: dict[tuple[int, str], torch.Tensor] = field(default_factory=dict)
    pins: int = 0
    used: int = 0
    bytes: int = 0

    @property
    def module(self) -> Any:
        return self.modules[0]

    def weigh(self) -> None:
        """Count the bytes of weights and kept originals; after every change of them."""
        tensors = [t for m in self.modules for t in (*m.parameters(), *m.buffers())]
        self.bytes = sum(t.numel() * t.element_size() for t in (*tensors, *self.originals.values()))


class ModelMemory:
    """The models of this process. budget: bytes that models may take together, on all devices; None = as much as there is."""

    def __init__(self, budget: int | None = None) -> None:
        self.budget = budget
        self._entries: dict[Any, _Entry] = {}
        self._clock = 0
        self._lock = threading.RLock()

    @contextmanager
    def use(self, handle: Handle, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Iterator[Model]:
        """The model of a handle, ready on `device`, pinned for the length of the block.

        dtype: None = what suits device and model (see `suitable_dtype`), or the handle's "dtype" setting.
        Raises: GraphError for anything wrong with the files and when the memory does not suffice.
        """
        entry = self._pin(handle, torch.device(device), dtype)
        try:
            scheduler = loading.scheduler(handle) if isinstance(handle, DenoiserHandle) else {}
            yield Model(handle, entry.modules, entry.device, entry.dtype, entry.tokenizers, scheduler)
        finally:
            with self._lock:
                entry.pins -= 1
            self._trim()

    def resolve(self, handle: Handle, device: str | torch.device = "cpu", dtype: torch.dtype | None = None) -> Model:
        """Like `use` without the pin: valid only until the next `use` or `resolve` of the same file with other patches."""
        with self.use(handle, device, dtype) as model:
            return model

    def _pin(self, handle: Handle, device: torch.device, dtype: torch.dtype | None) -> _Entry:
        with self._lock:
            dtype = dtype or _asked_dtype(handle) or suitable_dtype(handle, device)
            worn = _worn(handle)
            base = (_base_key(handle), dtype)
            copy = 0  # two patchings of one file in use at once need two copies
            while (held := self._entries.get((*base, copy))) is not None and held.pins and (held.worn != worn or held.device != device):
                copy += 1
            key = (*base, copy)
            entry = self._entries.get(key)
            if entry is None:
                entry = self._load(handle, dtype)
                self._entries[key] = entry
            entry.pins += 1
            try:
                self._clock += 1
                entry.used = self._clock
                if not entry.pins > 1:
                    self._move(entry, device)  # first: patching is arithmetic, which the device does faster
                    self._wear(entry, handle, worn)
            except BaseException:
                entry.pins -= 1
                if entry.worn != ((), ()):  # half patched: never to be used again
                    self._entries.pop(key, None)
                raise
            self._trim()
            return entry

    def _load(self, handle: Handle, dtype: torch.dtype) -> _Entry:
        try:
            modules, tokenizers = load(handle, dtype)
        except (torch.OutOfMemoryError, MemoryError):
            self.free()
            modules, tokenizers = load(handle, dtype)
        entry = _Entry(modules, tokenizers, dtype, torch.device("cpu"))
        entry.weigh()
        return entry

    def _move(self, entry: _Entry, device: torch.device) -> None:
        if entry.device == device:
            return
        self._make_room(device, entry.bytes)
        try:
            _to(entry, device)
        except torch.OutOfMemoryError:
            self._make_room(device, None)
            try:
                _to(entry, device)
            except torch.OutOfMemoryError:
                need = entry.bytes / 2**30
                _to(entry, torch.device("cpu"))
                raise GraphError(
                    f"The model does not fit into the memory of '{device}': it needs {need:.1f} GB. Close other programs, or load it as fp8."
                ) from None

    def _make_room(self, device: torch.device, need: int | None) -> None:
        """Send idle models on `device` back to the CPU, least recently used first, until `need` bytes are free; None: all of them."""
        idle = sorted((e for e in self._entries.values() if e.device == device and not e.pins), key=lambda e: e.used)
        for entry in idle:
            if need is not None and _free_bytes(device) >= need + WORKING_BYTES:
                return
            _to(entry, torch.device("cpu"))
            _empty_cache()

    def _wear(self, entry: _Entry, handle: Handle, worn: Worn) -> None:
        """Take off what the weights wear and put on what the handle asks for."""
        if entry.worn == worn:
            return
        if entry.worn[1]:
            ip_adapter.detach(entry.module)
        with torch.no_grad():
            for (number, name), value in entry.originals.items():
                entry.modules[number].get_parameter(name).copy_(value)
        entry.originals.clear()
        entry.worn = worn
        slots = [slot.name for slot in loading.text_slots(handle)] if isinstance(handle, TextEncoderHandle) else [""]
        for patch in worn[0]:
            if isinstance(patch, Merge):
                self._merge(entry, patch)
                continue
            file = lora.read_lora(patch)
            matched = 0
            for number, (module, slot) in enumerate(zip(entry.modules, slots, strict=True)):
                keep = {name: value for (n, name), value in entry.originals.items() if n == number}
                matched += lora.apply(file, module, patch.strength, patch.blocks, str(getattr(handle, "family", "")), slot, keep)
                entry.originals.update({(number, name): value for name, value in keep.items()})
            if not matched and isinstance(handle, DenoiserHandle) and file.has_denoiser:
                raise GraphError(f"The LoRA '{patch.name}' names no part of this model. It belongs to another family.")
        if worn[1]:
            ip_adapter.attach(entry.module, worn[1])
        entry.weigh()

    def _merge(self, entry: _Entry, merge: Merge) -> None:
        with ExitStack() as stack:
            other = stack.enter_context(self.use(merge.other, "cpu", torch.float32))
            minus = stack.enter_context(self.use(merge.minus, "cpu", torch.float32)) if merge.minus is not None else None
            for number, module in enumerate(entry.modules):
                keep = {name: value for (n, name), value in entry.originals.items() if n == number}
                merging.mix(module, other.modules[number], merge.share, merge.blocks, minus.modules[number] if minus else None, keep)
                entry.originals.update({(number, name): value for name, value in keep.items()})

    def _trim(self) -> None:
        """Evict the least recently used models until the budget holds."""
        if self.budget is None:
            return
        with self._lock:
            while self.bytes() > self.budget:
                idle = [(entry.used, key) for key, entry in self._entries.items() if not entry.pins]
                if not idle:
                    return
                del self._entries[min(idle, key=lambda pair: pair[0])[1]]
            _empty_cache()

    def free(self) -> None:
        """Drop every model that is not in use and give the memory back."""
        with self._lock:
            self._entries = {key: entry for key, entry in self._entries.items() if entry.pins}
        gc.collect()
        _empty_cache()

    def bytes(self) -> int:
        """What all models take, with the originals that are kept for unpatching."""
        return sum(entry.bytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def load(handle: Handle, dtype: torch.dtype) -> tuple[tuple[nn.Module, ...], tuple[Any, ...]]:
    """The networks and tokenizers of a handle, unpatched, on the CPU."""
    if isinstance(handle, TextEncoderHandle):
        tokenizers = tuple(loading.tokenizers(handle))  # first: its absence should not cost the loading of weights
        return tuple(loading.text_encoders(handle, dtype)), tokenizers
    if isinstance(handle, DenoiserHandle):
        module = loading.denoiser(handle, dtype)
        if dict(handle.settings).get("dtype") == "fp8":
            module.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=dtype)
        return (module,), ()
    if isinstance(handle, VaeHandle):
        return (loading.vae(handle, dtype),), ()
    if isinstance(handle, ControlHandle):
        return (loading.control(handle, dtype),), ()
    if isinstance(handle, ImageEncoderHandle):
        return (loading.image_encoder(handle, dtype),), ()
    if isinstance(handle, UpscalerHandle):
        return (upscalers.load(handle, dtype),), ()
    assert isinstance(handle, IpAdapterHandle)
    raise GraphError("IP-Adapters are not loaded on their own; apply them to a diffusion model.")


def _worn(handle: Handle) -> Worn:
    if isinstance(handle, DenoiserHandle):
        return handle.patches, handle.adapters
    return (handle.patches if isinstance(handle, TextEncoderHandle) else ()), ()


def _base_key(handle: Handle) -> Any:
    """What identifies weights before patching."""
    sources: tuple[Source, ...] = handle.sources if isinstance(handle, TextEncoderHandle) else (handle.source,)
    if isinstance(handle, ControlHandle) and handle.base is not None:
        sources = (*sources, handle.base)
    settings = tuple(pair for pair in getattr(handle, "settings", ()) if pair[0] != "dtype" or pair[1] == "fp8")
    tokenizers = handle.tokenizers if isinstance(handle, TextEncoderHandle) else ()
    family = handle.family if isinstance(handle, VaeHandle) else ""
    return type(handle).__name__, sources, tokenizers, family, settings


def _asked_dtype(handle: Handle) -> torch.dtype | None:
    return DTYPES.get(str(dict(getattr(handle, "settings", ())).get("dtype", "")))


def suitable_dtype(handle: Handle, device: torch.device) -> torch.dtype:
    """CPU: fp32. CUDA: fp16 for UNet families and CLIP, bf16 for transformers and T5. VAEs: fp32 unless known to bear less.

    fp16 overflows in the SDXL VAE (black pictures) and Apple's fp16 kernels in every VAE, so those stay in fp32.
    """
    if device.type == "cpu" or isinstance(handle, UpscalerHandle):
        return torch.float32
    family = getattr(handle, "family", "")
    if isinstance(handle, VaeHandle):
        if device.type != "cuda":
            return torch.float32
        return {"sd1": torch.float16, "sd2": torch.float16, "flux1": torch.bfloat16, "flux2": torch.bfloat16, "sd3": torch.bfloat16}.get(
            family, torch.float32
        )
    is_transformer = family not in ("sd1", "sd2", "sdxl", "sdxl-refiner", "sd-upscale", "")
    return torch.bfloat16 if is_transformer and device.type == "cuda" else torch.float16


def _free_bytes(device: torch.device) -> float:
    """What a device has left; "enough" where it cannot be asked."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else float("inf")


def _to(entry: _Entry, device: torch.device) -> None:
    for module in entry.modules:
        module.to(device)
    entry.device = device


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


MODELS = ModelMemory(budget=psutil.virtual_memory().total // 2)
