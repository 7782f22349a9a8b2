"""Noise schedules: which sigmas a run steps through, under the names that artists know from other tools.

Every schedule returns float32 sigmas [steps + 1], falling, with 0 at the end, on the CPU. They equal ComfyUI's to the last digit that
float32 has, so an imported workflow draws the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion.types import Noising

# Sabour et al. 2024 (arXiv:2404.14507), 10-step sigmas; other counts are interpolated in log sigma
_ALIGNED = {
    "sd1": (14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029),
    "sdxl": (14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.380, 0.234, 0.113, 0.029),
}


def _with_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas.float(), torch.zeros(1)])


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Karras et al. 2022 (arXiv:2206.00364), eq. 5."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _with_zero((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in log sigma."""
    return _with_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """Steps in log sigma with a power `rho` on the ramp; 1 is `exponential`."""
    ramp = torch.linspace(1, 0, steps) ** rho
    return _with_zero((ramp * (math.log(sigma_max) - math.log(sigma_min)) + math.log(sigma_min)).exp())


def kl_optimal(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Even steps in arctan sigma: Sabour et al. 2024 (arXiv:2404.14507), eq. 22."""
    part = torch.arange(steps, dtype=torch.float) / max(steps - 1, 1)
    return _with_zero((part * math.atan(sigma_min) + (1 - part) * math.atan(sigma_max)).tan())


def normal(steps: int, noising: Noising, drop_last: bool = False) -> Tensor:
    """Even steps in the network's timesteps from noise to the least trained noise; `drop_last` is "sgm_uniform"."""
    ends = noising.timestep(torch.tensor([noising.sigma_max, noising.sigma_min])).float()
    sigmas = _timestep_sigmas(noising, torch.linspace(float(ends[0]), float(ends[1]), steps + 1 if drop_last else steps))
    return _with_zero(sigmas[:-1] if drop_last else sigmas)


def _timestep_sigmas(noising: Noising, timesteps: Tensor) -> Tensor:
    # one by one: a vectorised exp() differs in the last digit, which decides ties when the level is turned back into a timestep
    return torch.stack([noising.sigma(timestep) for timestep in timesteps])


def simple(steps: int, noising: Noising) -> Tensor:
    """Every (levels / steps)-th trained level, from the top."""
    table, stride = noising.table, len(noising.table) / steps
    return _with_zero(torch.stack([table[-(1 + int(k * stride))] for k in range(steps)]))


def ddim_uniform(steps: int, noising: Noising) -> Tensor:
    """Every floor(levels / steps)-th trained level from the second; one step MORE than asked where steps does not divide the levels."""
    return _with_zero(noising.table[1 :: max(len(noising.table) // steps, 1)].flip(0))


def beta(steps: int, noising: Noising, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Levels at quantiles of a Beta distribution: more at both ends (Lee et al. 2024, arXiv:2407.12173). Equal neighbours are dropped."""
    from scipy.stats import beta as distribution  # type: ignore[import-untyped]

    places = np.rint(distribution.ppf(1 - np.linspace(0, 1, steps, endpoint=False), alpha, beta) * (len(noising.table) - 1)).astype(int)
    return _with_zero(noising.table[torch.from_numpy(places[np.insert(np.diff(places) != 0, 0, True)])])


def linear_quadratic(steps: int, sigma_max: float, threshold: float = 0.025) -> Tensor:
    """Half the steps fall linearly to 1 - `threshold`, the rest quadratically (Movie Gen, arXiv:2410.13720, 3.4.2)."""
    if steps == 1:
        return torch.tensor([sigma_max, 0.0])
    straight = steps // 2
    curved = steps - straight
    slope = threshold / straight
    excess = straight - threshold * steps
    square, line = excess / (straight * curved**2), slope - 2 * excess / curved**2
    rising = [k * slope if k < straight else square * k**2 + line * k + square * straight**2 for k in range(steps)]
    return torch.tensor([1 - level for level in rising] + [0.0]) * sigma_max


def turbo(steps: int, noising: Noising, denoise: float = 1.0) -> Tensor:
    """The first `steps` of the ten timesteps 999, 899, ... 99 that turbo models were distilled at. Raises GraphError for EDM models."""
    if noising.prediction == "edm":
        raise GraphError("The schedule 'turbo' needs a model with 1000 trained timesteps. Choose 'karras' for this model.")
    first = 10 - int(10 * denoise)
    return _with_zero(noising.sigma(torch.arange(999, 0, -100)[first : first + steps]))


def align_your_steps(steps: int, family: str = "sd1") -> Tensor:
    """Published optimal levels for SD 1.x ("sd1") and SDXL ("sdxl"), interpolated in log sigma to `steps`."""
    levels = np.log(_ALIGNED[family])
    sigmas = np.exp(np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(levels)), levels))
    return _with_zero(torch.from_numpy(sigmas[:-1]))


def _aligned(steps: int, noising: Noising, family: str = "sd1") -> Tensor:
    if noising.prediction in ("flow", "edm"):
        raise GraphError("The schedules 'align_your_steps' were published for SD 1.x and SDXL only. Choose another for this model, as 'simple' or 'karras'.")
    return align_your_steps(steps, family)


SCHEDULES: dict[str, Callable[[int, Noising], Tensor]] = {
    "normal": normal,
    "karras": lambda steps, noising: karras(steps, noising.sigma_min, noising.sigma_max),
    "exponential": lambda steps, noising: exponential(steps, noising.sigma_min, noising.sigma_max),
    "sgm_uniform": lambda steps, noising: normal(steps, noising, drop_last=True),
    "simple": simple,
    "ddim_uniform": ddim_uniform,
    "beta": beta,
    "linear_quadratic": lambda steps, noising: linear_quadratic(steps, noising.sigma_max),
    "kl_optimal": lambda steps, noising: kl_optimal(steps, noising.sigma_min, noising.sigma_max),
    "polyexponential": lambda steps, noising: polyexponential(steps, noising.sigma_min, noising.sigma_max),
    "turbo": turbo,
    "align_your_steps": _aligned,
    "align_your_steps_xl": lambda steps, noising: _aligned(steps, noising, "sdxl"),
}


def make_sigmas(schedule: str, steps: int, noising: Noising, denoise: float = 1.0, drop_penultimate: bool = False) -> Tensor:
    """The sigmas of `steps` steps by name; with `denoise` < 1 the last steps of a schedule that is longer by 1 / denoise.

    drop_penultimate: leave out the last level before 0, as dpm_2 and uni_pc want it (they would divide by almost nothing there).
    Returns [0] where `denoise` is 0. Raises GraphError for unknown names and numbers out of range.
    """
    if schedule not in SCHEDULES:
        raise GraphError(f"There is no schedule '{schedule}'. Choose one of: {', '.join(SCHEDULES)}.")
    if steps < 1:
        raise GraphError(f"A schedule needs at least 1 step, not {steps}.")
    if not 0 <= denoise <= 1:
        raise GraphError(f"Denoise {denoise:g} is out of range. Use a number from 0 (keep the picture) to 1 (draw anew).")
    if denoise == 0:
        return torch.zeros(1)
    if schedule == "turbo":
        return turbo(steps, noising, denoise)
    total = steps if denoise > 0.9999 else int(steps / denoise)
    sigmas = SCHEDULES[schedule](total + 1 if drop_penultimate else total, noising)
    if drop_penultimate:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas if denoise > 0.9999 else sigmas[-(steps + 1) :]


def custom(sigmas: Sequence[float]) -> Tensor:
    """Sigmas typed by hand. Raises GraphError unless they fall, are finite and not negative."""
    if len(sigmas) < 2:
        raise GraphError("A schedule needs at least two sigmas: where it starts and where it ends.")
    if any(not math.isfinite(s) or s < 0 for s in sigmas) or any(a <= b for a, b in pairwise(sigmas)):
        raise GraphError("Sigmas must fall from step to step and never go below 0, for example 14.6, 5.1, 1.2, 0.")
    return torch.tensor(list(sigmas), dtype=torch.float32)


def split(sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The schedule before and after `step`; both carry the level at the seam. Raises GraphError where there is no such step."""
    if not 0 <= step < len(sigmas):
        raise GraphError(f"This schedule has {len(sigmas) - 1} steps, so it cannot be split at step {step}.")
    return sigmas[: step + 1], sigmas[step:]


def part(sigmas: Tensor, start: int, end: int | None, leftover: bool) -> Tensor:
    """Steps `start` up to `end` of a schedule; unless `leftover`, the last of them goes all the way to 0."""
    last = len(sigmas) - 1
    if not 0 <= start <= last:
        raise GraphError(f"Start step {start} is out of range: this schedule has {last} steps.")
    end = last if end is None else min(end, last)
    if end < start:
        raise GraphError(f"End step {end} lies before start step {start}.")
    chosen = sigmas[start : end + 1].clone()
    if end < last and not leftover and end > start:
        chosen[-1] = 0
    return chosen
