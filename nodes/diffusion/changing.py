"""A network that does not wear the same LoRAs in all steps of a run: a family that dresses it anew between steps.

Steps next to each other that wear the same cost nothing more; each change costs the time that the LoRA takes to be put on. The chain of keys
asks `worn`, so a finished step is found again only where its own weights and those of all steps before it are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

import torch
from torch import Tensor

from nodes.diffusion.types import Cond, Family, LatentFormat, Noising, Span, StepContext
from nodes.models.handles import DenoiserHandle, Patch, with_patch


class Scheduled(Protocol):
    """A patch with its span of the steps, and factors on its strength that are spread evenly over it; () is constant."""

    @property
    def patch(self) -> Patch: ...
    @property
    def span(self) -> Span: ...
    @property
    def curve(self) -> tuple[float, ...]: ...


def share(span: Span, curve: Sequence[float], i: int, n: int) -> float:
    """The factor on a strength in step i of n; 0 outside the span. Spans that meet leave no step out and none twice, as those of prompts."""
    first = math.floor(span[0] * n + 1e-9)
    last = n if span[1] >= 1 else math.floor(span[1] * n + 1e-9)
    if not first <= i < last:
        return 0.0
    if not curve:
        return 1.0
    place = (i - first) / (last - first - 1) * (len(curve) - 1) if last - first > 1 else 0.0  # the first step has the first factor, the last the last
    low = min(int(place), len(curve) - 1)
    high = min(low + 1, len(curve) - 1)
    return curve[low] + (place - low) * (curve[high] - curve[low])


def dressed(handle: DenoiserHandle, scheduled: Sequence[Scheduled], i: int, n: int) -> DenoiserHandle:
    """The handle with what it wears in step i of n; a LoRA of strength 0 is left out, so that it costs nothing."""
    for use in scheduled:
        patch = use.patch
        handle = with_patch(handle, Patch(patch.path, patch.strength * share(use.span, use.curve, i, n), patch.stamp, patch.blocks))
    return handle


class Changing:
    """A Family for the length of a `with` block, whose network wears in step i of n what `handle(i, n)` says.

    enter: makes the family of a handle, held until the block that it opens is left. start: (i, n) of the first step.
    """

    def __init__(
        self, handle: Callable[[int, int], DenoiserHandle], enter: Callable[[DenoiserHandle], AbstractContextManager[Family]], start: tuple[int, int]
    ) -> None:
        self._handle, self._enter, self._start = handle, enter, start
        self._stack = ExitStack()
        self._held: DenoiserHandle | None = None
        self._shape: Sequence[int] | None = None
        self._family: Family

    def __enter__(self) -> Changing:
        self._wear(self._handle(*self._start))
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _wear(self, wanted: DenoiserHandle) -> None:
        if wanted == self._held:
            return
        self._held = None
        self._stack.close()  # let go first: a network in use is never dressed anew, a second copy would be loaded
        with torch.inference_mode(False):  # weights made in inference mode could not be changed outside of it
            family = self._stack.enter_context(self._enter(wanted))
        self._family = family if self._shape is None else family.fitted(self._shape)
        self._held = wanted

    def worn(self, i: int, n: int) -> str:
        """What the network wears in step i of n, for the chain of keys."""
        return repr(self._handle(i, n).patches)

    @property
    def name(self) -> str:
        name: str = self._family.name
        return name

    @property
    def latent(self) -> LatentFormat:
        return self._family.latent

    @property
    def noising(self) -> Noising:
        return self._family.noising

    @property
    def batched(self) -> bool:
        batched: bool = self._family.batched
        return batched

    @property
    def device(self) -> torch.device:
        return self._family.device

    @property
    def dtype(self) -> torch.dtype:
        return self._family.dtype

    def fitted(self, shape: Sequence[int]) -> Changing:
        self._shape = shape
        self._family = self._family.fitted(shape)
        return self

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        self._wear(self._handle(step.i, step.n))
        return self._family.predict(x, t, cond, step)
