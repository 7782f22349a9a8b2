"""Keeps a training run on disk, whole at any moment, so that every sitting goes on where the last one stopped."""

import os
import random
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


def save(path: Path, content: dict[str, Any]) -> None:
    """Writes beside the file, then replaces it: an interrupted run leaves the last whole state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    torch.save(content, partial)
    os.replace(partial, path)


def load(path: Path) -> dict[str, Any] | None:
    """The saved state, or None where there is none yet. Only tensors and plain values are read."""
    if not path.is_file():
        return None
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def random_state() -> dict[str, Any]:
    """The state of every generator that training draws from."""
    return {"torch": torch.get_rng_state()}


def set_random_state(content: dict[str, Any]) -> None:
    torch.set_rng_state(content["torch"])


class Average:
    """Exponential moving average of parameters; the early average is short so that it is not held by the start."""

    def __init__(self, parameters: Iterable[Tensor], decay: float = 0.999) -> None:
        self.live = list(parameters)
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in self.live]

    @torch.no_grad()
    def update(self) -> None:
        self.updates += 1
        weight = 1 - min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.values, [p.detach() for p in self.live], weight)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchanges live and averaged values; call it twice around an evaluation."""
        for value, live in zip(self.values, self.live, strict=True):
            kept = live.detach().clone()
            live.copy_(value)
            value.copy_(kept)

    def state(self) -> dict[str, Any]:
        return {"updates": self.updates, "values": self.values}

    def restore(self, content: dict[str, Any]) -> None:
        self.updates = int(content["updates"])
        for value, saved in zip(self.values, content["values"], strict=True):
            value.copy_(saved)


@dataclass
class Clock:
    """When to stop and when to save: by minutes, by samples, or when asked to end (SIGTERM, Ctrl+C)."""

    minutes: float
    samples: int | None = None
    save_every: float = 180.0
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)
    stopped: bool = False

    def __post_init__(self) -> None:
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._stop)

    def _stop(self, *_: object) -> None:
        self.stopped = True

    @property
    def share(self) -> float:
        """How much of the time is used, 0..1."""
        return min(1.0, (time.monotonic() - self.started) / (self.minutes * 60))

    def done(self, seen: int) -> bool:
        return self.stopped or self.share >= 1 or (self.samples is not None and seen >= self.samples)

    def should_save(self) -> bool:
        if time.monotonic() - self.saved < self.save_every:
            return False
        self.saved = time.monotonic()
        return True


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def parameter_count(module: nn.Module) -> float:
    """In millions."""
    return sum(p.numel() for p in module.parameters()) / 1e6


@contextmanager
def mixed_precision(device: str) -> Iterator[None]:
    """bfloat16 where the device computes in it: on GPUs, and on CPUs with its instructions (a quarter faster there, ten times slower elsewhere).

    On CPUs attention is computed step by step: over these few places the fused kernel's way back takes four times as long.
    """
    fast = device != "cpu" or torch.cpu._is_avx512_bf16_supported()
    plain = sdpa_kernel(SDPBackend.MATH) if device == "cpu" else nullcontext()
    with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=fast), plain:
        yield


def background_priority() -> None:
    """Yields to whatever else the machine does, and computes with one thread."""
    torch.set_num_threads(1)
    if hasattr(os, "nice"):
        os.nice(max(0, 15 - os.nice(0)))
