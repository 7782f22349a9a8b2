"""Every sampler under the name that artists know it by, ready to run a schedule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import steps, steps_more
from nodes.diffusion.noise import Brownian, Sequential, StepNoise
from nodes.diffusion.solver import DiffusersSolver, Guess, Model, Solver, digest
from nodes.diffusion.state import snapshot
from nodes.diffusion.types import Noising


@dataclass(frozen=True)
class Sampler:
    """A method and what its schedule and noise must be like.

    step: one step of it; None is UniPC, which diffusers has.
    brownian: its noise is one path over sigma, not fresh for each step.
    drop_penultimate: its schedules leave out the last level before 0.
    whole: a step depends on all levels of the schedule, not only on those around it.
    draws: it adds noise, so the seed matters beyond the start.
    flow: it is defined for flow models too.
    """

    step: steps.StepFunction | None
    brownian: bool = False
    drop_penultimate: bool = False
    whole: bool = False
    draws: bool = False
    flow: bool = True


def _drawing(step: steps.StepFunction, **more: bool) -> Sampler:
    return Sampler(step, draws=True, **more)


SAMPLERS: dict[str, Sampler] = {
    "euler": Sampler(steps.euler),
    "euler_cfg_pp": Sampler(steps.euler_cfg_pp),
    "euler_ancestral": _drawing(steps.euler_ancestral),
    "euler_ancestral_cfg_pp": _drawing(steps.euler_ancestral_cfg_pp),
    "heun": Sampler(steps.heun),
    "heunpp2": Sampler(steps.heunpp2, whole=True),
    "dpm_2": Sampler(steps.dpm_2, drop_penultimate=True),
    "dpm_2_ancestral": _drawing(steps.dpm_2_ancestral, drop_penultimate=True),
    "lms": Sampler(steps.lms),
    "dpm_fast": Sampler(steps_more.dpm_fast, whole=True),
    "dpm_adaptive": Sampler(steps_more.dpm_adaptive, whole=True),
    "dpmpp_2s_ancestral": _drawing(steps.dpmpp_2s_ancestral),
    "dpmpp_2s_ancestral_cfg_pp": _drawing(steps.dpmpp_2s_ancestral_cfg_pp),
    "dpmpp_sde": _drawing(steps.dpmpp_sde, brownian=True),
    "dpmpp_2m": Sampler(steps.dpmpp_2m),
    "dpmpp_2m_cfg_pp": Sampler(steps.dpmpp_2m_cfg_pp),
    "dpmpp_2m_sde": _drawing(steps.dpmpp_2m_sde, brownian=True),
    "dpmpp_2m_sde_heun": _drawing(steps.dpmpp_2m_sde_heun, brownian=True),
    "dpmpp_3m_sde": _drawing(steps.dpmpp_3m_sde, brownian=True),
    "ddim": Sampler(steps.euler),
    "ddpm": _drawing(steps.ddpm, flow=False),
    "lcm": _drawing(steps.lcm),
    "ipndm": Sampler(steps.ipndm),
    "ipndm_v": Sampler(steps_more.ipndm_v),
    "deis": Sampler(steps_more.deis),
    "res_multistep": Sampler(steps_more.res_multistep),
    "res_multistep_cfg_pp": Sampler(steps_more.res_multistep_cfg_pp),
    "res_multistep_ancestral": _drawing(steps_more.res_multistep_ancestral),
    "res_multistep_ancestral_cfg_pp": _drawing(steps_more.res_multistep_ancestral_cfg_pp),
    "gradient_estimation": Sampler(steps_more.gradient_estimation),
    "gradient_estimation_cfg_pp": Sampler(steps_more.gradient_estimation_cfg_pp),
    "er_sde": _drawing(steps_more.er_sde),
    "seeds_2": _drawing(steps_more.seeds_2),
    "seeds_3": _drawing(steps_more.seeds_3),
    "sa_solver": _drawing(steps_more.sa_solver, whole=True),
    "sa_solver_pece": _drawing(steps_more.sa_solver_pece, whole=True),
    "uni_pc": Sampler(None, drop_penultimate=True, whole=True),
    "uni_pc_bh2": Sampler(None, drop_penultimate=True, whole=True),
}

# other tools' names -> (sampler, schedule or None for the artist's own)
ALIASES: dict[str, tuple[str, str | None]] = {
    "Euler": ("euler", None),
    "Euler a": ("euler_ancestral", None),
    "Heun": ("heun", None),
    "LMS": ("lms", None),
    "LMS Karras": ("lms", "karras"),
    "DPM2": ("dpm_2", None),
    "DPM2 a": ("dpm_2_ancestral", None),
    "DPM2 Karras": ("dpm_2", "karras"),
    "DPM2 a Karras": ("dpm_2_ancestral", "karras"),
    "DPM fast": ("dpm_fast", None),
    "DPM adaptive": ("dpm_adaptive", None),
    "DPM++ 2S a": ("dpmpp_2s_ancestral", None),
    "DPM++ 2S a Karras": ("dpmpp_2s_ancestral", "karras"),
    "DPM++ 2M": ("dpmpp_2m", None),
    "DPM++ 2M Karras": ("dpmpp_2m", "karras"),
    "DPM++ SDE": ("dpmpp_sde", None),
    "DPM++ SDE Karras": ("dpmpp_sde", "karras"),
    "DPM++ 2M SDE": ("dpmpp_2m_sde", None),
    "DPM++ 2M SDE Karras": ("dpmpp_2m_sde", "karras"),
    "DPM++ 2M SDE Exponential": ("dpmpp_2m_sde", "exponential"),
    "DPM++ 2M SDE Heun": ("dpmpp_2m_sde_heun", None),
    "DPM++ 3M SDE": ("dpmpp_3m_sde", None),
    "DPM++ 3M SDE Karras": ("dpmpp_3m_sde", "karras"),
    "DPM++ 3M SDE Exponential": ("dpmpp_3m_sde", "exponential"),
    "DDIM": ("ddim", "ddim_uniform"),
    "UniPC": ("uni_pc", None),
    "LCM": ("lcm", "sgm_uniform"),
    "dpmpp_sde_gpu": ("dpmpp_sde", None),
    "dpmpp_2m_sde_gpu": ("dpmpp_2m_sde", None),
    "dpmpp_2m_sde_heun_gpu": ("dpmpp_2m_sde_heun", None),
    "dpmpp_3m_sde_gpu": ("dpmpp_3m_sde", None),
}


def sampler_named(name: str) -> tuple[str, Sampler]:
    """The sampler of a name, or of another tool's name for it. Raises GraphError with the names that there are."""
    known = ALIASES[name][0] if name in ALIASES else name
    if known not in SAMPLERS:
        raise GraphError(f"There is no sampler '{name}'. Choose one of: {', '.join(SAMPLERS)}.")
    return known, SAMPLERS[known]


def make_solver(name: str, sigmas: Tensor, noising: Noising, like: Tensor, seed: int) -> Solver:
    """A sampler on a schedule.

    sigmas: [n + 1] falling levels (schedules.make_sigmas); like: latents whose shape and device the steps' noise takes; seed: of that noise.
    Raises GraphError for an unknown name, a schedule without steps, and a method that the model's kind of noise does not allow.
    """
    known, sampler = sampler_named(name)
    if noising.prediction == "flow" and not sampler.flow:
        raise GraphError(f"The sampler '{name}' is not defined for flow models. Choose 'euler' or 'dpmpp_2m'.")
    levels = [float(sigma) for sigma in sigmas]
    if len(levels) < 2:
        raise GraphError("This schedule has no steps. Raise the steps or the denoise.")
    if sampler.step is None:
        return UniPcSolver(levels, noising, "bh1" if known == "uni_pc" else "bh2")
    if sampler.brownian:
        noise: StepNoise = Brownian(like, seed, min(level for level in levels if level > 0), max(levels))
    else:
        noise = Sequential(like, seed)
    return StepSolver(known, sampler, levels, noising, noise, seed)


class StepSolver:
    """One of our own step functions on a schedule."""

    def __init__(self, name: str, sampler: Sampler, sigmas: list[float], noising: Noising, noise: StepNoise, seed: int) -> None:
        assert sampler.step is not None
        self.name, self.sampler, self.noising, self.noise, self.seed = name, sampler, noising, noise, seed
        self._advance = sampler.step
        self._memory: dict[str, Any] = {}
        self.sigmas = sigmas
        if name == "dpm_fast":
            self.sigmas = steps_more.fast_levels(sigmas)
            self._memory["orders"] = steps_more.fast_orders(len(sigmas) - 1)

    def begin(self, latent: Tensor, noise: Tensor | None, full: bool) -> Tensor:
        return self.noising.noisy(latent, torch.zeros_like(latent) if noise is None else noise, self.sigmas[0], full)

    def step(self, i: int, x: Tensor, model: Model) -> tuple[Tensor, Tensor]:
        noising = self.noising

        def ask(x: Tensor, sigma: float) -> Guess:
            level = torch.tensor(sigma)
            return model(noising.network_input(x, sigma), noising.timestep(level).to(x.device), x, sigma)

        run = steps.Run(self.sigmas, noising, self.noise, ask, i, self._memory)
        x = self._advance(run, x)
        return x, x if run.denoised_last is None else run.denoised_last

    def noisy(self, latent: Tensor, noise: Tensor, i: int) -> Tensor:
        return self.noising.noisy(latent, noise, self.sigmas[i])

    def common(self, x: Tensor, i: int) -> Tensor:
        return self.noising.common(x, self.sigmas[i])

    def state(self) -> tuple[dict[str, Any], Tensor | None]:
        return snapshot(self._memory), self.noise.state()

    def restore(self, done: int, history: Mapping[str, Any], noise: Tensor | None) -> None:
        self._memory = snapshot(history)
        self.noise.restore(noise)

    def fingerprint(self, i: int) -> str:
        path = (min(s for s in self.sigmas if s > 0), max(self.sigmas)) if self.sampler.brownian else None
        seed = self.seed if self.sampler.draws else None
        return digest(self.name, self.noising, self.sigmas if self.sampler.whole else self.sigmas[i : i + 2], i if self.sampler.whole else None, path, seed)


class UniPcSolver(DiffusersSolver):
    """UniPC (Zhao et al. 2023, arXiv:2302.04867) by diffusers, on levels of our own: order 3, ending at 0.001 instead of 0."""

    _END = 0.001

    def __init__(self, sigmas: list[float], noising: Noising, variant: str) -> None:
        from diffusers import UniPCMultistepScheduler

        steps_wanted = len(sigmas) - 1
        noise = {"use_flow_sigmas": True} if noising.prediction == "flow" else {}
        said = "flow_prediction" if noising.prediction == "flow" else noising.prediction
        order = max(min(3, steps_wanted - 1), 1)
        scheduler: Any = UniPCMultistepScheduler(  # type: ignore[no-untyped-call]
            solver_order=order, solver_type=variant, prediction_type=said, beta_schedule="scaled_linear", **noise
        )
        scheduler.set_timesteps(steps_wanted)
        start = min(sigmas[0], noising.at(1e-4)) if noising.prediction == "flow" else sigmas[0]  # pure noise has no log SNR
        levels = torch.tensor([start, *sigmas[1:-1], sigmas[-1] or self._END])
        scheduler.sigmas = levels
        scheduler.timesteps = noising.timestep(levels[:-1])
        scheduler.num_inference_steps = steps_wanted
        super().__init__(scheduler)
        self.noising = noising
        self.sigmas = sigmas
        self._scales_end = sigmas[-1] == 0 and noising.prediction != "flow"

    def _sigma(self, place: int) -> float:
        return float(self.scheduler.sigmas[place])

    def begin(self, latent: Tensor, noise: Tensor | None, full: bool) -> Tensor:
        sigma = self.sigmas[0]
        noise = torch.zeros_like(latent) if noise is None else noise
        return self.noising.noisy(latent, noise, sigma, full) / self._level(sigma)

    def step(self, i: int, x: Tensor, model: Model) -> tuple[Tensor, Tensor]:
        x, denoised = super().step(i, x, model)
        last = i == self.steps - 1 and self._scales_end
        return (x * math.sqrt(1 + self._END**2) if last else x), denoised

    def noisy(self, latent: Tensor, noise: Tensor, i: int) -> Tensor:
        sigma = self.sigmas[i]
        return self.noising.noisy(latent, noise, sigma) / self._level(sigma)

