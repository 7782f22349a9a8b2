"""The field's samplers as single steps: each takes latents from one noise level to the next and keeps its history in `run.memory`.

They work on x = latent + sigma * noise, or x = (1 - sigma) * latent + sigma * noise for flow models, and ask the network for the clean
latent ("denoised"). In these terms a sampler is a dozen lines, resumes at every step, and depends on the levels around it only, so a
longer run shares the steps of a shorter one. All equal ComfyUI 0.3.64's to fp32 rounding.
Notation: s is the level before the step, n the next; lam = log(signal / noise), h its change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from nodes.diffusion.noise import StepNoise
from nodes.diffusion.solver import Guess
from nodes.diffusion.types import Noising


@dataclass
class Run:
    """What a step sees: the levels, where it stands, the network, noise, and what earlier steps left."""

    sigmas: list[float]
    noising: Noising
    noise: StepNoise
    ask: Callable[[Tensor, float], Guess]
    i: int = 0
    memory: dict[str, Any] = field(default_factory=dict)
    denoised_last: Tensor | None = None

    @property
    def s(self) -> float:
        return self.sigmas[self.i]

    @property
    def n(self) -> float:
        return self.sigmas[self.i + 1]

    @property
    def flow(self) -> bool:
        return self.noising.prediction == "flow"

    def denoised(self, x: Tensor, sigma: float) -> Tensor:
        self.denoised_last = self.ask(x, sigma).denoised
        return self.denoised_last

    def both(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """(guided, unguided) clean latents; without guidance they are the same."""
        guess = self.ask(x, sigma)
        self.denoised_last = guess.denoised
        uncond = guess.parts.get("uncond")
        return guess.denoised, guess.denoised if uncond is None else self.noising.denoised(uncond, x, sigma)

    def lam(self, sigma: float) -> float:
        """log(signal / noise); the first level of a flow has no signal, so it is taken a little later."""
        if self.flow:
            sigma = min(sigma, self.noising.at(1e-4))
            return math.log((1 - sigma) / sigma)
        return -math.log(sigma)

    def sigma_of(self, lam: float) -> float:
        return 1 / (1 + math.exp(lam)) if self.flow else math.exp(-lam)

    def signal(self, sigma: float) -> float:
        return 1 - sigma if self.flow else 1.0


StepFunction = Callable[[Run, Tensor], Tensor]


def ancestral(s: float, n: float, eta: float = 1.0) -> tuple[float, float]:
    """Level to step down to and noise to add so that the sum is level n: (down, up)."""
    if n == 0 or eta == 0:
        return n, 0.0
    up = min(n, eta * math.sqrt(n**2 * (s**2 - n**2) / s**2))
    return math.sqrt(n**2 - up**2), up


def euler(run: Run, x: Tensor) -> Tensor:
    """Karras et al. 2022 (arXiv:2206.00364), alg. 2 without churn; DDIM is the same."""
    slope = (x - run.denoised(x, run.s)) / run.s
    return x + slope * (run.n - run.s)


def euler_ancestral(run: Run, x: Tensor) -> Tensor:
    """Euler to a lower level, then fresh noise back up to the next."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    if n == 0:
        return denoised
    if run.flow:
        down = n * (n / s)
        x = down / s * x + (1 - down / s) * denoised
        keep = (1 - n) / (1 - down)
        return keep * x + run.noise(s, n) * math.sqrt(n**2 - (down * keep) ** 2)
    down, up = ancestral(s, n)
    x = x + (x - denoised) / s * (down - s)
    return x + run.noise(s, n) * up


def _euler_cfg_pp(run: Run, x: Tensor, eta: float) -> Tensor:
    """CFG++ (Chung et al. 2024, arXiv:2406.08070): the guided picture, renoised with the unguided noise."""
    s, n = run.s, run.n
    denoised, uncond = run.both(x, s)
    if n == 0:
        return denoised
    before, after = run.signal(s), run.signal(n)
    slope = (x - before * uncond) / s
    down, up = ancestral(s / before, n / after, eta) if before else (n / after, 0.0)
    x = after * denoised + after * down * slope
    return x + after * run.noise(s, n) * up if eta else x


def euler_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _euler_cfg_pp(run, x, 0.0)


def euler_ancestral_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _euler_cfg_pp(run, x, 1.0)


def heun(run: Run, x: Tensor) -> Tensor:
    """Karras et al. 2022, alg. 1: the mean of the slopes at both ends."""
    s, n = run.s, run.n
    slope = (x - run.denoised(x, s)) / s
    ahead = x + slope * (n - s)
    if n == 0:
        return ahead
    other = (ahead - run.denoised(ahead, n)) / n
    return x + (slope + other) / 2 * (n - s)


def heunpp2(run: Run, x: Tensor) -> Tensor:
    """Heun with a third slope one level further on, the slopes weighted by their noise level (Cheng et al. 2023)."""
    s, n, end = run.s, run.n, run.sigmas[-1]
    slope = (x - run.denoised(x, s)) / s
    if n == end:
        return x + slope * (n - s)
    second_x = x + slope * (n - s)
    second = (second_x - run.denoised(second_x, n)) / n
    far = run.sigmas[run.i + 2]
    if far == end:
        share = n / (2 * run.sigmas[0])
        return x + ((1 - share) * slope + share * second) * (n - s)
    third_x = second_x + second * (far - n)
    third = (third_x - run.denoised(third_x, far)) / far
    near_share, far_share = n / (3 * run.sigmas[0]), far / (3 * run.sigmas[0])
    return x + ((1 - near_share - far_share) * slope + near_share * second + far_share * third) * (n - s)


def _midpoint(run: Run, x: Tensor, target: float) -> Tensor:
    slope = (x - run.denoised(x, run.s)) / run.s
    if target == 0:
        return x + slope * (target - run.s)
    middle = math.sqrt(run.s * target)
    halfway = x + slope * (middle - run.s)
    return x + (halfway - run.denoised(halfway, middle)) / middle * (target - run.s)


def dpm_2(run: Run, x: Tensor) -> Tensor:
    """The slope in the (logarithmic) middle of the step: Lu et al. 2022 (arXiv:2206.00927) in Karras' form."""
    return _midpoint(run, x, run.n)


def dpm_2_ancestral(run: Run, x: Tensor) -> Tensor:
    down, up = ancestral(run.s, run.n)
    x = _midpoint(run, x, down)
    return x + run.noise(run.s, run.n) * up if run.n > 0 else x


def lagrange(places: list[float], start: float, end: float) -> list[float]:
    """Integral from `start` to `end` of each Lagrange polynomial through `places`, exact by Gauss-Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(len(places))
    points = (end - start) / 2 * nodes + (end + start) / 2
    found = []
    for j, own in enumerate(places):
        values = np.prod([(points - other) / (own - other) for k, other in enumerate(places) if k != j] or [np.ones_like(points)], axis=0)
        found.append(float((values * weights).sum() * (end - start) / 2))
    return found


def push(run: Run, name: str, value: Tensor, most: int) -> list[Tensor]:
    """Add to a history, newest first, and return it."""
    history = [value, *run.memory.get(name, [])][:most]
    run.memory[name] = history
    return history


def lms(run: Run, x: Tensor) -> Tensor:
    """Linear multistep through up to four slopes (Adams-Bashforth with uneven steps)."""
    denoised = run.denoised(x, run.s)
    slopes = push(run, "slopes", (x - denoised) / run.s, 4)
    if run.n == 0:
        return denoised
    weights = lagrange([run.sigmas[run.i - k] for k in range(len(slopes))], run.s, run.n)
    return x + sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))


_ADAMS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))


def ipndm(run: Run, x: Tensor) -> Tensor:
    """Adams-Bashforth with even steps' weights (Zhang & Chen 2022, arXiv:2204.13902)."""
    denoised = run.denoised(x, run.s)
    slopes = push(run, "slopes", (x - denoised) / run.s, 4)
    if run.n == 0:
        return denoised
    return x + (run.n - run.s) * sum(weight * slope for weight, slope in zip(_ADAMS[len(slopes) - 1], slopes, strict=True))


def dpmpp_2m(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver++(2M): Lu et al. 2022 (arXiv:2211.01095), alg. 2."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    old = run.memory.get("old")
    run.memory["old"] = denoised
    if n == 0:
        return denoised
    h, straight = math.log(s / n), denoised
    if old is not None:
        share = h / (2 * math.log(run.sigmas[run.i - 1] / s))
        straight = (1 + share) * denoised - share * old
    return n / s * x - math.expm1(-h) * straight


def dpmpp_2m_cfg_pp(run: Run, x: Tensor) -> Tensor:
    s, n = run.s, run.n
    denoised, uncond = run.both(x, s)
    old = run.memory.get("old")
    run.memory["old"] = uncond
    if n == 0:
        return denoised
    h = math.log(s / n)
    mix = -math.exp(-h) * uncond
    if old is not None:
        mix = mix - math.expm1(-h) * h / (2 * math.log(run.sigmas[run.i - 1] / s)) * (denoised - old)
    return denoised + mix + math.exp(-h) * x


def _two_stage_ancestral(run: Run, x: Tensor, plus: bool) -> Tensor:
    s, n = run.s, run.n
    denoised, uncond = run.both(x, s)
    if n == 0:
        return denoised
    down, up = ancestral(s, n)
    h = math.log(s / down)
    middle = math.sqrt(s * down)
    halfway = middle / s * (x + denoised - uncond if plus else x) - math.expm1(-h / 2) * denoised
    second, uncond = run.both(halfway, middle)
    return down / s * (x + denoised - uncond if plus else x) - math.expm1(-h) * second + run.noise(s, n) * up


def dpmpp_2s_ancestral(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver++(2S), ancestral: Lu et al. 2022 (arXiv:2211.01095), alg. 1."""
    if run.flow:
        return _two_stage_flow(run, x)
    return _two_stage_ancestral(run, x, plus=False)


def _two_stage_flow(run: Run, x: Tensor) -> Tensor:
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    if n == 0:
        return denoised
    down = n * (n / s)
    keep = (1 - n) / (1 - down)
    if s == 1:
        middle = 0.9999
    else:
        middle = run.sigma_of((run.lam(s) + run.lam(down)) / 2)
    halfway = middle / s * x + (1 - middle / s) * denoised
    second = run.denoised(halfway, middle)
    x = down / s * x + (1 - down / s) * second
    return keep * x + run.noise(s, n) * math.sqrt(n**2 - (down * keep) ** 2)


def dpmpp_2s_ancestral_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _two_stage_ancestral(run, x, plus=True)


def dpmpp_sde(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver++ with noise, two stages (Karras' form of arXiv:2211.01095)."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    if n == 0:
        return denoised
    lam_s, lam_n = run.lam(s), run.lam(n)
    lam_m = (lam_s + lam_n) / 2
    middle = run.sigma_of(lam_m)

    def go(lam: float, sigma: float, target: Tensor) -> Tensor:
        down, up = ancestral(math.exp(-lam_s), math.exp(-lam))
        h, signal = -math.log(down) - lam_s, run.signal(sigma)
        moved = signal / (s * math.exp(lam_s)) * math.exp(-h) * x - signal * math.expm1(-h) * target
        return moved + signal * run.noise(s, sigma) * up

    second = run.denoised(go(lam_m, middle, denoised), middle)
    return go(lam_n, n, second)


def _dpmpp_2m_sde(run: Run, x: Tensor, heun: bool) -> Tensor:
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    old, h_old = run.memory.get("old"), run.memory.get("h")
    run.memory["old"] = denoised
    if n == 0:
        return denoised
    h, signal = run.lam(n) - run.lam(s), run.signal(n)
    run.memory["h"] = h
    grown = -math.expm1(-2 * h)
    x = n / s * math.exp(-h) * x + signal * grown * denoised
    if old is not None and h_old is not None:
        weight = signal * (grown / (-2 * h) + 1) if heun else 0.5 * signal * grown
        x = x + weight * (h / h_old) * (denoised - old)
    return x + run.noise(s, n) * (n * math.sqrt(-math.expm1(-2 * h)))


def dpmpp_2m_sde(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver++(2M) with noise, midpoint (arXiv:2211.01095, SDE-DPM-Solver++(2M))."""
    return _dpmpp_2m_sde(run, x, heun=False)


def dpmpp_2m_sde_heun(run: Run, x: Tensor) -> Tensor:
    return _dpmpp_2m_sde(run, x, heun=True)


def dpmpp_3m_sde(run: Run, x: Tensor) -> Tensor:
    """The third-order member of the family."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    history, widths = list(run.memory.get("history", [])), list(run.memory.get("widths", []))
    run.memory["history"] = [denoised, *history][:2]
    if n == 0:
        return denoised
    h, signal = run.lam(n) - run.lam(s), run.signal(n)
    double = 2 * h
    x = n / s * math.exp(-h) * x - signal * math.expm1(-double) * denoised
    phi_2 = math.expm1(-double) / double + 1
    if len(widths) == 2:
        r0, r1 = widths[0] / h, widths[1] / h
        first, second = (denoised - history[0]) / r0, (history[0] - history[1]) / r1
        curve = (first - second) / (r0 + r1)
        x = x + signal * phi_2 * (first + (first - second) * r0 / (r0 + r1)) - signal * (phi_2 / double - 0.5) * curve
    elif widths:
        x = x + signal * phi_2 * (denoised - history[0]) / (widths[0] / h)
    run.memory["widths"] = [h, *widths][:2]
    return x + run.noise(s, n) * (n * math.sqrt(-math.expm1(-2 * h)))


def ddpm(run: Run, x: Tensor) -> Tensor:
    """The original Markov chain: Ho et al. 2020 (arXiv:2006.11239), eq. 11, with the smaller variance."""
    s, n = run.s, run.n
    noise_guess = (x - run.denoised(x, s)) / s
    kept, kept_next = 1 / (s**2 + 1), 1 / (n**2 + 1)
    alpha = kept / kept_next
    mean = (x / math.sqrt(1 + s**2) - (1 - alpha) / math.sqrt(1 - kept) * noise_guess) / math.sqrt(alpha)
    if n == 0:
        return mean
    mean = mean + math.sqrt((1 - alpha) * (1 - kept_next) / (1 - kept)) * run.noise(s, n)
    return mean * math.sqrt(1 + n**2)


def lcm(run: Run, x: Tensor) -> Tensor:
    """Latent consistency (Luo et al. 2023, arXiv:2310.04378): jump to the picture, then fresh noise of the next level."""
    denoised = run.denoised(x, run.s)
    return denoised if run.n == 0 else run.noising.noisy(denoised, run.noise(run.s, run.n), run.n)


