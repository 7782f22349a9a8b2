"""What the loop asks of a sampler, and the adapter that lets any diffusers scheduler answer it, unchanged."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from nodes.diffusion.noising import noising_for
from nodes.diffusion.state import snapshot
from nodes.diffusion.types import Noising


@dataclass(frozen=True)
class Guess:
    """What the guided network says of one noisy latent.

    prediction: [batch, c, h, w] in the family's convention; denoised: the same as a clean latent.
    parts: predictions by role before guidance ("cond", "uncond" ...); variance: learned variance channels, if the network has them.
    """

    prediction: Tensor
    denoised: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    variance: Tensor | None = None


class Model(Protocol):
    """The guided network as a solver sees it.

    seen: [batch, c, h, w] as the network takes it; t: its timestep; x: the same latents in the scale of `Noising`; sigma: their noise level.
    """

    def __call__(self, seen: Tensor, t: Tensor, x: Tensor, sigma: float) -> Guess: ...


class Solver(Protocol):
    """A sampling method with its schedule: takes latents from one noise level to the next, asking the model once or more."""

    sigmas: list[float]  # n + 1 levels, falling

    def begin(self, latent: Tensor, noise: Tensor | None, full: bool) -> Tensor:
        """Latents in the solver's scale: `latent` with `noise` at the first level; no noise = `latent` carries it already (common scale)."""
    def step(self, i: int, x: Tensor, model: Model) -> tuple[Tensor, Tensor]:
        """(x, denoised) after step i."""
    def noisy(self, latent: Tensor, noise: Tensor, i: int) -> Tensor:
        """A clean latent made as noisy as `x` is before step i (i = n: after the last)."""
    def common(self, x: Tensor, i: int) -> Tensor:
        """`x` before step i in the scale that all samplers share."""
    def state(self) -> tuple[dict[str, Any], Tensor | None]:
        """(history, generator state) to go on from after the last step."""
    def restore(self, done: int, history: Mapping[str, Any], noise: Tensor | None) -> None: ...
    def fingerprint(self, i: int) -> str:
        """Everything on the solver's side that decides step i, given the steps before it."""


def digest(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()


# what set_timesteps and the config decide already; the rest of a scheduler's attributes is its history
_CONSTANT = {"_internal_dict", "betas", "alphas", "alphas_cumprod", "alpha_t", "sigma_t", "lambda_t", "sigmas", "timesteps", "config", "noise_sampler"}


class DiffusersSolver:
    """Any diffusers scheduler on which set_timesteps was called, with the timesteps that are to be run.

    timesteps: all of the scheduler's, or its last ones (image to image).
    eta, generator: handed to the scheduler's step() where it takes them.
    """

    def __init__(self, scheduler: Any, timesteps: Tensor | None = None, generator: torch.Generator | None = None, eta: float = 0.0) -> None:
        self.scheduler, self.generator = scheduler, generator
        self.timesteps: Tensor = scheduler.timesteps if timesteps is None else timesteps
        self.noising: Noising = noising_for({**scheduler.config, "_class_name": type(scheduler).__name__})
        self.order: int = scheduler.order
        self._flow = self.noising.prediction == "flow"
        self._exploding = not self._flow and hasattr(scheduler, "is_scale_input_called")
        accepted = inspect.signature(scheduler.step).parameters
        self._kwargs = {key: value for key, value in (("generator", generator), ("eta", eta)) if key in accepted}
        self._begin = len(scheduler.timesteps) - len(self.timesteps)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(self._begin)
        self.steps = math.ceil(len(self.timesteps) / self.order)
        self.sigmas = [self._sigma(k * self.order) for k in range(self.steps)] + [0.0]

    def _sigma(self, place: int) -> float:
        if self._flow or self._exploding or hasattr(self.scheduler, "sigmas"):
            return float(self.scheduler.sigmas[self._begin + place])
        alpha = float(self.scheduler.alphas_cumprod[int(self.timesteps[place])])
        return math.sqrt((1 - alpha) / alpha)

    def _level(self, sigma: float) -> float:
        """Factor from the scheduler's scale to that of the noising."""
        return 1.0 if self._flow or self._exploding else math.sqrt(1 + sigma**2)

    def begin(self, latent: Tensor, noise: Tensor | None, full: bool) -> Tensor:
        if noise is None:
            sigma = self.sigmas[0]
            return (1 - sigma) * latent if self._flow else latent / self._level(sigma)
        return noise * getattr(self.scheduler, "init_noise_sigma", 1.0) if full else self.noisy(latent, noise, 0)

    def step(self, i: int, x: Tensor, model: Model) -> tuple[Tensor, Tensor]:
        scheduler, denoised = self.scheduler, x
        for place in range(i * self.order, min((i + 1) * self.order, len(self.timesteps))):
            t, sigma = self.timesteps[place], self._sigma(place)
            seen = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            level = self._level(sigma)
            guess = model(seen, t, x if level == 1 else x * level, sigma)
            prediction = guess.prediction
            if guess.variance is not None and scheduler.config.get("variance_type") in ("learned", "learned_range"):
                prediction = torch.cat([prediction, guess.variance], 1)
            x, denoised = scheduler.step(prediction, t, x, return_dict=False, **self._kwargs)[0], guess.denoised
        return x, denoised

    def noisy(self, latent: Tensor, noise: Tensor, i: int) -> Tensor:
        if i == self.steps:
            return latent
        t = self.timesteps[i * self.order : i * self.order + 1]
        if hasattr(self.scheduler, "scale_noise"):
            return self.scheduler.scale_noise(latent, t, noise)
        return self.scheduler.add_noise(latent, noise, t)

    def common(self, x: Tensor, i: int) -> Tensor:
        return self.noising.common(x * self._level(self.sigmas[i]), self.sigmas[i])

    def state(self) -> tuple[dict[str, Any], Tensor | None]:
        history = {key: value for key, value in vars(self.scheduler).items() if key not in _CONSTANT and not callable(value)}
        return snapshot(history), None if self.generator is None else self.generator.get_state()

    def restore(self, done: int, history: Mapping[str, Any], noise: Tensor | None) -> None:
        vars(self.scheduler).update(snapshot(history))
        if self.generator is not None and noise is not None:
            self.generator.set_state(noise.cpu())

    def fingerprint(self, i: int) -> str:
        config = sorted((key, str(value)) for key, value in self.scheduler.config.items() if not key.startswith("_"))
        return digest(type(self.scheduler).__name__, config, self.timesteps.tolist(), self.sigmas, self._kwargs.get("eta"), i)
