"""How latents are made noisy and what a prediction then means: the DDPM family, EDM and rectified flow.

Samplers count noise in `sigma`. For DDPM networks that is noise / signal (Karras et al. 2022, arXiv:2206.00364), x = latent + sigma * noise;
for flow networks x = (1 - sigma) * latent + sigma * noise with sigma in 0..1 (Liu et al. 2022, arXiv:2209.03003).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion.types import Prediction

_LAST_ALPHA = 4.8973451890853435e-08  # signal left at the last step of a zero-terminal-SNR schedule, so that sigma stays finite


@dataclass(frozen=True)
class Discrete:
    """DDPM noise with trained timesteps 0..steps-1; x = latent + sigma * noise, the network sees x / sqrt(sigma^2 + 1).

    betas: "scaled_linear" (Stable Diffusion), "linear" or "squaredcos_cap_v2" (DeepFloyd), as diffusers names them.
    zero_snr: rescale so that the last step is noise alone (Lin et al. 2023, arXiv:2305.08891).
    distilled: a consistency model knows only that many of the timesteps, evenly spread (50 for LCM, arXiv:2310.04378); 0 is all.
    """

    prediction: Prediction = "epsilon"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    betas: Literal["scaled_linear", "linear", "squaredcos_cap_v2"] = "scaled_linear"
    steps: int = 1000
    zero_snr: bool = False
    distilled: int = 0

    @property
    def _stride(self) -> int:
        return self.steps // self.distilled if self.distilled else 1

    @cached_property
    def table(self) -> Tensor:
        """[steps, or distilled] sigma at every trained timestep, rising, float32."""
        return self._exact.float()

    @cached_property
    def _exact(self) -> Tensor:
        if self.betas == "scaled_linear":
            betas = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, self.steps, dtype=torch.float64) ** 2
        elif self.betas == "linear":
            betas = torch.linspace(self.beta_start, self.beta_end, self.steps, dtype=torch.float64)
        else:
            angle = (torch.arange(self.steps + 1, dtype=torch.float64) / self.steps + 0.008) / 1.008 * math.pi / 2
            betas = (1 - angle[1:].cos() ** 2 / angle[:-1].cos() ** 2).clamp(max=0.999)
        alphas = (1 - betas).cumprod(0)
        if self.zero_snr:
            root = alphas.sqrt()
            alphas = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
            alphas[-1] = _LAST_ALPHA
        return (((1 - alphas) / alphas) ** 0.5)[self._stride - 1 :: self._stride]

    @cached_property
    def _logs(self) -> Tensor:
        return self._exact.log().float()

    @property
    def sigma_min(self) -> float:
        return float(self.table[0])

    @property
    def sigma_max(self) -> float:
        return float(self.table[-1])

    def timestep(self, sigma: Tensor) -> Tensor:
        """The NEAREST trained timestep in log sigma: networks were never shown fractions, and rounding is what the field does."""
        distance = sigma.detach().cpu().float().log().reshape(-1, 1) - self._logs
        return distance.abs().argmin(dim=1).reshape(sigma.shape) * self._stride + self._stride - 1

    def sigma(self, timestep: Tensor) -> Tensor:
        """Sigma at fractional timesteps, interpolated in log sigma."""
        place = ((timestep.float() - (self._stride - 1)) / self._stride).clamp(0, len(self._logs) - 1)
        low, part = place.floor().long(), place.frac()
        return ((1 - part) * self._logs[low] + part * self._logs[place.ceil().long()]).exp()

    def at(self, progress: float) -> float:
        if progress <= 0:
            return math.inf
        return 0.0 if progress >= 1 else float(self.sigma(torch.tensor((1 - progress) * (self.steps - 1))))

    def noisy(self, latent: Tensor, noise: Tensor, sigma: float, full: bool = False) -> Tensor:
        return latent + noise * (math.sqrt(1 + sigma**2) if full else sigma)

    def network_input(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x / (sigma**2 + 1) ** 0.5

    def denoised(self, prediction: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        if self.prediction == "epsilon":
            return x - prediction * sigma
        if self.prediction == "v_prediction":
            return x / (sigma**2 + 1) - prediction * (sigma / (sigma**2 + 1) ** 0.5)
        return prediction

    def predicted(self, denoised: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        if self.prediction == "epsilon":
            return (x - denoised) / sigma
        if self.prediction == "v_prediction":
            return (x / (sigma**2 + 1) - denoised) * ((sigma**2 + 1) ** 0.5 / sigma)
        return denoised

    def common(self, x: Tensor, sigma: float) -> Tensor:
        return x


@dataclass(frozen=True)
class Flow:
    """Rectified flow; x = (1 - sigma) * latent + sigma * noise, the network predicts noise - latent and is told 1000 * sigma.

    shift: moves the schedule towards noise, shift * t / (1 + (shift - 1) t): 3 for SD3, exp(mu) for FLUX (Esser et al. 2024, arXiv:2403.03206, eq. 23).
    levels: how finely the schedules that pick trained levels may pick.
    """

    shift: float = 1.0
    levels: int = 1000
    prediction: Prediction = "flow"

    def _shifted(self, t: Tensor) -> Tensor:
        return self.shift * t / (1 + (self.shift - 1) * t)

    @cached_property
    def table(self) -> Tensor:
        """[levels] sigma rising to 1, float32."""
        return self._shifted(torch.arange(1, self.levels + 1) / self.levels)

    @property
    def sigma_min(self) -> float:
        return float(self.table[0])

    @property
    def sigma_max(self) -> float:
        return float(self.table[-1])

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma * 1000

    def sigma(self, timestep: Tensor) -> Tensor:
        return self._shifted(timestep.float() / 1000)

    def at(self, progress: float) -> float:
        if progress <= 0:
            return math.inf
        return 0.0 if progress >= 1 else float(self._shifted(torch.tensor(1 - progress)))

    def noisy(self, latent: Tensor, noise: Tensor, sigma: float, full: bool = False) -> Tensor:
        return (1 - sigma) * latent + sigma * noise

    def network_input(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x

    def denoised(self, prediction: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x - prediction * sigma

    def predicted(self, denoised: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        return (x - denoised) / sigma

    def common(self, x: Tensor, sigma: float) -> Tensor:
        return x / max(1 - sigma, 1e-6)


@dataclass(frozen=True)
class Edm:
    """Noise as in Karras et al. 2022 (arXiv:2206.00364, table 1): x = latent + sigma * noise, for Playground 2.5 and CosXL.

    data: the spread that the network was told the latents have; velocity: it predicts the negative of the usual output (v).
    The network sees x / sqrt(sigma^2 + data^2) and is told log(sigma) / 4.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    data: float = 0.5
    velocity: bool = False
    prediction: Prediction = "edm"

    @cached_property
    def table(self) -> Tensor:
        """[1000] sigma, even in its logarithm, rising, float32."""
        return torch.linspace(math.log(self.sigma_min), math.log(self.sigma_max), 1000).exp()

    def timestep(self, sigma: Tensor) -> Tensor:
        return sigma.log() / 4

    def sigma(self, timestep: Tensor) -> Tensor:
        return (timestep.float() * 4).exp()

    def at(self, progress: float) -> float:
        if progress <= 0:
            return math.inf
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        return 0.0 if progress >= 1 else math.exp(low + (high - low) * (1 - progress))

    def noisy(self, latent: Tensor, noise: Tensor, sigma: float, full: bool = False) -> Tensor:
        return latent + noise * (math.sqrt(1 + sigma**2) if full else sigma)

    def network_input(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x / (sigma**2 + self.data**2) ** 0.5

    def _out(self, sigma: Tensor | float) -> Tensor | float:
        return sigma * (-self.data if self.velocity else self.data) / (sigma**2 + self.data**2) ** 0.5

    def denoised(self, prediction: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        return x * (self.data**2 / (sigma**2 + self.data**2)) + prediction * self._out(sigma)

    def predicted(self, denoised: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        return (denoised - x * (self.data**2 / (sigma**2 + self.data**2))) / self._out(sigma)

    def common(self, x: Tensor, sigma: float) -> Tensor:
        return x


def flux_shift(tokens: int, base: float = 0.5, most: float = 1.15) -> float:
    """The shift of FLUX.1 dev for a picture of `tokens` packed latents: exp(mu), mu linear from `base` at 256 to `most` at 4096."""
    return math.exp(base + (most - base) * (tokens - 256) / (4096 - 256))


def noising_for(scheduler: Mapping[str, Any]) -> Discrete | Flow | Edm:
    """The noising that a diffusers scheduler_config.json describes.

    Raises GraphError for a kind of noise that no sampler here knows.
    """
    name = str(scheduler.get("_class_name", ""))
    if name.startswith("FlowMatch") or scheduler.get("prediction_type") == "flow_prediction":
        return Flow(shift=float(scheduler.get("shift") or scheduler.get("flow_shift") or 1.0))
    if name.startswith("EDM"):
        ends = (float(scheduler.get("sigma_min", 0.002)), float(scheduler.get("sigma_max", 80.0)))
        return Edm(*ends, float(scheduler.get("sigma_data", 0.5)), scheduler.get("prediction_type") == "v_prediction")
    betas, prediction = scheduler.get("beta_schedule", "scaled_linear"), scheduler.get("prediction_type", "epsilon")
    if betas not in ("scaled_linear", "linear", "squaredcos_cap_v2") or prediction not in ("epsilon", "v_prediction", "sample"):
        raise GraphError(f"This model was trained with '{betas}' noise and '{prediction}' prediction, which no sampler here knows.")
    return Discrete(
        prediction=prediction,
        beta_start=float(scheduler.get("beta_start", 0.00085)),
        beta_end=float(scheduler.get("beta_end", 0.012)),
        betas=betas,
        steps=int(scheduler.get("num_train_timesteps", 1000)),
        zero_snr=bool(scheduler.get("rescale_betas_zero_snr", False)),
    )
