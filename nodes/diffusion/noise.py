"""Where random numbers come from: CPU generators only, so that a seed means the same picture on every device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nodegraph.errors import GraphError

_MOST = 2**64


def generator(seed: int) -> torch.Generator:
    """A CPU generator. Raises GraphError for seeds outside 0 .. 2^64 - 1."""
    if not 0 <= seed < _MOST:
        raise GraphError(f"Seed {seed} is out of range. Use a whole number from 0 to {_MOST - 1}.")
    return torch.Generator().manual_seed(seed)


def initial(shape: Sequence[int], seed: int, places: Sequence[int] | None = None) -> Tensor:
    """Normal noise [batch, c, h, w], float32, on the CPU: the whole batch from one seed.

    places: which pictures of the seed's batch to draw; picture 3 of a batch of 8 can so be drawn again alone.
    """
    source = generator(seed)
    if places is None:
        return torch.randn(*shape, generator=source)
    drawn = [torch.randn(1, *shape[1:], generator=source) for _ in range(max(places) + 1)]
    return torch.cat([drawn[place] for place in places])


def slerp(a: Tensor, b: Tensor, share: float) -> Tensor:
    """From `a` (0) to `b` (1) along the sphere, each picture of the batch for itself, so that mixed noise stays noise (Shoemake 1985)."""
    flat_a, flat_b = a.flatten(1), b.flatten(1)
    cosine = torch.nn.functional.cosine_similarity(flat_a, flat_b, dim=1).clamp(-1, 1).view(-1, *[1] * (a.ndim - 1))
    angle = cosine.acos()
    near = angle.sin().abs() < 1e-4  # nearly parallel: the formula divides by 0, a straight line is exact there
    sine = torch.where(near, torch.ones_like(angle), angle.sin())
    curved = ((1 - share) * angle).sin() / sine * a + (share * angle).sin() / sine * b
    return torch.where(near, torch.lerp(a, b, share), curved)


def variation(shape: Sequence[int], seed: int, other_seed: int, strength: float) -> Tensor:
    """The noise of `seed`, moved towards that of `other_seed` by `strength` 0..1: a sibling of the same picture."""
    first = initial(shape, seed)
    return first if strength == 0 else slerp(first, initial(shape, other_seed), strength)


def inject(latent: Tensor, noise: Tensor, strength: float, mask: Tensor | None = None) -> Tensor:
    """`strength` times `noise` on top of a latent, where `mask` [1 or batch, 1, h, w] lets it."""
    added = strength * noise.to(latent)
    return latent + (added if mask is None else added * mask.to(latent))


class StepNoise(Protocol):
    """The noise that a sampler adds while it goes down from sigma `start` to `end`."""

    def __call__(self, start: float, end: float) -> Tensor: ...
    def state(self) -> Tensor | None: ...
    def restore(self, state: Tensor | None) -> None: ...


class Sequential:
    """Fresh noise at every call, in order, from one CPU generator."""

    def __init__(self, like: Tensor, seed: int) -> None:
        self._like, self.generator = like, generator(seed)

    def __call__(self, start: float, end: float) -> Tensor:
        return torch.randn(self._like.shape, generator=self.generator).to(self._like.device)

    def state(self) -> Tensor | None:
        return self.generator.get_state()

    def restore(self, state: Tensor | None) -> None:
        if state is not None:
            self.generator.set_state(state.cpu())


class Brownian:
    """Increments of one Brownian path over sigma, so that halving the steps keeps the picture (Kidger et al. 2021, arXiv:2105.13493).

    The path is a function of seed and sigmas alone: there is nothing to save.
    """

    def __init__(self, like: Tensor, seed: int, sigma_min: float, sigma_max: float) -> None:
        import torchsde  # type: ignore[import-untyped]

        self._like = like
        start = torch.zeros(like.shape)
        self._tree = torchsde.BrownianTree(torch.tensor(sigma_min), start, torch.tensor(sigma_max), entropy=seed)

    def __call__(self, start: float, end: float) -> Tensor:
        low, high = sorted((torch.tensor(start), torch.tensor(end)))
        sign = 1 if start < end else -1
        return (self._tree(low, high) * sign / (high - low).sqrt()).to(self._like.device)

    def state(self) -> Tensor | None:
        return None

    def restore(self, state: Tensor | None) -> None:
        pass
