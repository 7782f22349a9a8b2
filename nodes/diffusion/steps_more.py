"""More of the field's samplers as single steps: exponential integrators, stochastic solvers and the DEIS family; see steps.py for the terms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nodes.diffusion.steps import Run, ancestral, push

Floats = np.ndarray[Any, np.dtype[np.float64]]


def ipndm_v(run: Run, x: Tensor) -> Tensor:
    """Adams-Bashforth of order 4 with weights for uneven steps, as published with DEIS (Zhang & Chen 2022, arXiv:2204.13902)."""
    denoised = run.denoised(x, run.s)
    slopes = push(run, "slopes", (x - denoised) / run.s, 4)
    if run.n == 0:
        return denoised
    h = [run.sigmas[run.i + 1 - k] - run.sigmas[run.i - k] for k in range(len(slopes))]
    return x + h[0] * sum(weight * slope for weight, slope in zip(_uneven(h), slopes, strict=True))


def _uneven(h: list[float]) -> list[float]:
    """Weights of the slopes for the widths h (newest first) of the steps, with the published code's brackets, which are not the textbook's."""
    if len(h) == 1:
        return [1.0]
    first, second = (2 + h[0] / h[1]) / 2, -(h[0] / h[1]) / 2
    if len(h) == 2:
        return [first, second]
    a = h[0] / (3 * (h[0] + h[1]))
    three = (1 - a * (h[0] * (h[0] + h[1])) / (h[1] * (h[1] + h[2]))) / 2
    if len(h) == 3:
        return [first + three, second - (1 + h[1] / h[2]) * three, three * h[1] / h[2]]
    wide = (h[1] * (h[1] + h[2])) / (h[2] * (h[2] + h[3]))
    four = (
        ((1 - a) / 2 + (1 - h[0] / (2 * (h[0] + h[1]))) * h[0] / (6 * (h[0] + h[1] + h[2])))
        * (h[0] * (h[0] + h[1]) * (h[0] + h[1] + h[2]))
        / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
    )
    return [
        first + three + four,
        second - (1 + h[1] / h[2]) * three - (1 + h[1] / h[2] + wide) * four,
        three * h[1] / h[2] + (h[1] / h[2] + wide * (1 + h[2] / h[3])) * four,
        -four * wide * h[1] / h[2],
    ]


def deis(run: Run, x: Tensor) -> Tensor:
    """DEIS tAB-3 (Zhang & Chen 2022, arXiv:2204.13902): slopes extrapolated in the time of a VP diffusion, integrated over sigma."""
    denoised = run.denoised(x, run.s)
    slopes = push(run, "slopes", (x - denoised) / run.s, 3)
    if run.n == 0:
        return denoised
    if len(slopes) == 1:
        return x + slopes[0] * (run.n - run.s)
    weights = _deis_weights([run.sigmas[run.i - k] for k in range(len(slopes))], run.n)
    return x + sum(weight * slope for weight, slope in zip(weights, slopes, strict=True))


def _deis_weights(levels: list[float], target: float) -> list[float]:
    """The integral over sigma of Lagrange polynomials in VP time through `levels` (newest first); 10,000 points as published."""
    points, least, low, high = 10000, 1e-3, math.log(0.002**2 + 1), math.log(80.0**2 + 1)
    beta_d = 2 * (low / least - high) / (least - 1)
    beta_min = high - 0.5 * beta_d

    def time(sigma: float) -> float:
        return (math.sqrt(beta_min**2 + 2 * beta_d * math.log(sigma**2 + 1)) - beta_min) / beta_d

    known, end = [time(level) for level in levels], time(target)
    taus: Floats = np.linspace(known[0], end, points)
    alpha = np.exp(-0.5 * taus**2 * beta_d - taus * beta_min)
    speed = 0.5 * (taus * beta_d + beta_min) / np.sqrt(alpha * (1 - alpha))  # d sigma / d tau
    weights = []
    for j, own in enumerate(known):
        polynomial = np.prod([(taus - other) / (own - other) for k, other in enumerate(known) if k != j], axis=0)
        weights.append(float((speed * polynomial).sum() * (end - known[0]) / points))
    return weights


def _res_multistep(run: Run, x: Tensor, eta: float, plus: bool) -> Tensor:
    """Second-order exponential integrator with refined coefficients (Zhang et al. 2023, arXiv:2308.02157, alg. 1)."""
    s, n = run.s, run.n
    denoised, uncond = run.both(x, s)
    old, old_down = run.memory.get("old"), run.memory.get("down")
    down, up = ancestral(s, n, eta)
    base = uncond if plus else denoised
    run.memory["old"], run.memory["down"] = base, down
    if n == 0:
        return denoised
    if old is None or old_down is None:
        x = denoised + (x - uncond) / s * down if plus else x + (x - denoised) / s * (down - s)
    else:
        h = math.log(s / down)
        ratio = (-math.log(run.sigmas[run.i - 1]) + math.log(old_down)) / h
        phi_1 = math.expm1(-h) / -h
        phi_2 = (phi_1 - 1) / -h
        second = phi_2 / ratio if ratio else 0.0
        first = phi_1 - second
        x = math.exp(-h) * (x + denoised - uncond if plus else x) + h * (first * base + second * old)
    return x + run.noise(s, n) * up if eta else x


def res_multistep(run: Run, x: Tensor) -> Tensor:
    return _res_multistep(run, x, 0.0, plus=False)


def res_multistep_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _res_multistep(run, x, 0.0, plus=True)


def res_multistep_ancestral(run: Run, x: Tensor) -> Tensor:
    return _res_multistep(run, x, 1.0, plus=False)


def res_multistep_ancestral_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _res_multistep(run, x, 1.0, plus=True)


def _gradient_estimation(run: Run, x: Tensor, plus: bool) -> Tensor:
    """Euler that corrects the slope by its change, gamma 2 (Permenter & Yuan 2023, arXiv:2306.04848)."""
    s, n = run.s, run.n
    denoised, uncond = run.both(x, s)
    slope = (x - (uncond if plus else denoised)) / s
    old = run.memory.get("slope")
    run.memory["slope"] = slope
    if n == 0:
        return denoised
    x = denoised + slope * n if plus else x + slope * (n - s)
    return x if old is None else x + (slope - old) * (n - s)


def gradient_estimation(run: Run, x: Tensor) -> Tensor:
    return _gradient_estimation(run, x, plus=False)


def gradient_estimation_cfg_pp(run: Run, x: Tensor) -> Tensor:
    return _gradient_estimation(run, x, plus=True)


def er_sde(run: Run, x: Tensor) -> Tensor:
    """Extended reverse-time SDE solver, order 3, with the published noise scaling (Cui et al. 2023, arXiv:2309.06169)."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    old, old_change, levels = run.memory.get("old"), run.memory.get("change"), run.memory.get("levels", [])
    run.memory["old"] = denoised
    if n == 0:
        return denoised

    def scaled(level: Any) -> Any:
        return level * (np.exp(level**0.3) + 10.0)

    before, after = math.exp(-run.lam(s)), math.exp(-run.lam(n))
    signal, signal_before = n / after, s / before
    ratio = float(scaled(after) / scaled(before))
    x = signal / signal_before * ratio * x + signal * (1 - ratio) * denoised
    if old is not None:
        change_width, points = after - before, 200
        width = -change_width / points
        places = after + np.arange(points) * width
        change = (denoised - old) / (before - levels[0])
        x = x + signal * (change_width + float((1 / scaled(places)).sum() * width * scaled(after))) * change
        if old_change is not None:
            curve = (change - old_change) / ((before - levels[1]) / 2)
            moment = float(((places - before) / scaled(places)).sum() * width)
            x = x + signal * (change_width**2 / 2 + moment * float(scaled(after))) * curve
        run.memory["change"] = change
    run.memory["levels"] = [before, *levels][:2]
    return x + run.noise(s, n) * (signal * math.sqrt(max(after**2 - before**2 * ratio**2, 0.0)))


def seeds_2(run: Run, x: Tensor) -> Tensor:
    """SEEDS-2, exponential SDE solver with two stages (Gonzalez et al. 2023, arXiv:2305.14267)."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    if n == 0:
        return denoised
    h, part = run.lam(n) - run.lam(s), 0.5
    middle = run.sigma_of(run.lam(s) + part * h)
    inner = math.sqrt(-math.expm1(-2 * part * h))
    outer = math.sqrt(math.expm1(-2 * part * h) - math.expm1(-2 * h))
    first, second = run.noise(s, middle), run.noise(middle, n)
    halfway = middle / s * math.exp(-part * h) * x - run.signal(middle) * math.expm1(-2 * part * h) * denoised + middle * inner * first
    mean = (1 - 1 / (2 * part)) * denoised + 1 / (2 * part) * run.denoised(halfway, middle)
    return n / s * math.exp(-h) * x - run.signal(n) * math.expm1(-2 * h) * mean + n * (outer * first + inner * second)


def seeds_3(run: Run, x: Tensor) -> Tensor:
    """SEEDS-3, three stages at thirds of the step."""
    s, n = run.s, run.n
    denoised = run.denoised(x, s)
    if n == 0:
        return denoised
    h = run.lam(n) - run.lam(s)
    one, two = 1 / 3, 2 / 3
    near, far = run.sigma_of(run.lam(s) + one * h), run.sigma_of(run.lam(s) + two * h)
    c1, c2, c3 = (math.expm1(-2 * share * h) for share in (one, two, 1.0))
    a, b, c = math.sqrt(-c1), math.sqrt(c1 - c2), math.sqrt(c2 - c3)
    e1, e2, e3 = run.noise(s, near), run.noise(near, far), run.noise(far, n)
    x2 = near / s * math.exp(-one * h) * x - run.signal(near) * c1 * denoised + near * a * e1
    second = run.denoised(x2, near)
    x3 = far / s * math.exp(-two * h) * x - run.signal(far) * c2 * denoised
    x3 = x3 + two / one * run.signal(far) * (c2 / (two * 2 * h) + 1) * (second - denoised) + far * (b * e1 + a * e2)
    third = run.denoised(x3, far)
    x = n / s * math.exp(-h) * x - run.signal(n) * c3 * denoised
    return x + 1 / two * run.signal(n) * (c3 / (2 * h) + 1) * (third - denoised) + n * (c * e1 + b * e2 + a * e3)


def _adams(sigma: float, signal: float, places: list[float], start: float, end: float, tau: float) -> list[float]:
    """Weights of the clean latents at `places` (log SNR) in a stochastic Adams step from `start` to `end`: Xue et al. 2023 (arXiv:2309.05019), eq. 14."""
    order, grow = len(places), 1 + tau**2
    moments, last = [], 0.0
    for p in range(order):  # integral of grow * exp(grow * (lam - end)) * lam^p, by parts
        last = end**p - start**p * math.exp(-grow * (end - start)) - (p / grow * last if p else 0.0)
        moments.append(last)
    vandermonde = np.vander(np.array(places), order, increasing=True).T
    return [float(weight) * signal for weight in np.linalg.solve(vandermonde, np.array(moments))]


def _sa_solver(run: Run, x: Tensor, again: bool) -> Tensor:
    """Stochastic Adams, predictor order 3, corrector order 4, noise in the middle 60 % of the training range (arXiv:2309.05019)."""
    memory, i, s, n = run.memory, run.i, run.s, run.n
    denoised = run.denoised(x, s)
    known = [denoised, *memory.get("known", [])][:4]
    left = len(run.sigmas) - 1 - i
    predict, correct = min(3, len(known)), 0 if i == 0 or "base" not in memory or (n == 0 and not again) else min(4, len(known))
    if run.sigmas[-1] == 0:
        predict, correct = min(predict, left - 1), min(correct, left)
    base = x
    if correct:
        tau, h, lams = memory["tau"], memory["h"], [run.lam(run.sigmas[i - k]) for k in range(correct)]
        weights = _adams(s, run.signal(s), lams, run.lam(run.sigmas[i - 1]), run.lam(s), tau)
        base = s / run.sigmas[i - 1] * math.exp(-(tau**2) * h) * memory["base"] + _weighted(weights, known)
        if tau:
            base = base + memory["noise"]
        if again:
            known[0] = denoised = run.denoised(base, s)
    memory["known"], memory["base"] = known, base
    if n == 0:
        return denoised
    tau = 1.0 if run.noising.at(0.2) >= n >= run.noising.at(0.8) else 0.0
    h = run.lam(n) - run.lam(s)
    weights = _adams(n, run.signal(n), [run.lam(run.sigmas[i - k]) for k in range(predict)], run.lam(s), run.lam(n), tau)
    ahead = n / s * math.exp(-(tau**2) * h) * base + _weighted(weights, known)
    memory["tau"], memory["h"], memory["noise"] = tau, h, None
    if tau:
        memory["noise"] = run.noise(s, n) * (n * math.sqrt(-math.expm1(-2 * tau**2 * h)))
        ahead = ahead + memory["noise"]
    return ahead


def _weighted(weights: list[float], values: list[Tensor]) -> Tensor:
    total = weights[0] * values[0]
    for weight, value in zip(weights[1:], values[1:], strict=False):
        total = total + weight * value
    return total


def sa_solver(run: Run, x: Tensor) -> Tensor:
    return _sa_solver(run, x, again=False)


def sa_solver_pece(run: Run, x: Tensor) -> Tensor:
    return _sa_solver(run, x, again=True)


def fast_levels(sigmas: list[float]) -> list[float]:
    """The levels of DPM-Solver-fast for a schedule: as many network calls, in steps of order 3 (the last of order 2 and 1), even in log sigma."""
    least = sigmas[-1] or sigmas[-2]
    steps = (len(sigmas) - 1) // 3 + 1
    return [math.exp(t) for t in np.linspace(math.log(sigmas[0]), math.log(least), steps + 1)]


def fast_orders(calls: int) -> list[int]:
    """Orders of the steps of DPM-Solver-fast with `calls` network calls."""
    steps = calls // 3 + 1
    return [3] * (steps - 2) + [2, 1] if calls % 3 == 0 else [3] * (steps - 1) + [calls % 3]


class _Stages:
    """DPM-Solver's stages from level s to n: Lu et al. 2022 (arXiv:2206.00927), alg. 1 and 2 and eq. 3.7, each network call made once."""

    def __init__(self, run: Run, x: Tensor, s: float, n: float) -> None:
        self.run, self.x, self.s, self.n, self.h = run, x, s, n, math.log(s / n)
        self.guess = self._noise(x, s)
        self.straight = x - n * math.expm1(self.h) * self.guess
        self._first: dict[float, Tensor] = {}

    def _noise(self, x: Tensor, sigma: float) -> Tensor:
        return (x - self.run.denoised(x, sigma)) / sigma

    def _at(self, share: float) -> Tensor:
        """The noise guess at a share of the step, reached in one stage."""
        if share not in self._first:
            near = self.s * math.exp(-share * self.h)
            self._first[share] = self._noise(self.x - near * math.expm1(share * self.h) * self.guess, near)
        return self._first[share]

    def second(self, share: float) -> Tensor:
        return self.straight - self.n / (2 * share) * math.expm1(self.h) * (self._at(share) - self.guess)

    def third(self) -> Tensor:
        near, share, h = 1 / 3, 2 / 3, self.h
        far = self.s * math.exp(-share * h)
        change = self._at(near) - self.guess
        x = self.x - far * math.expm1(share * h) * self.guess - far * (share / near) * (math.expm1(share * h) / (share * h) - 1) * change
        return self.straight - self.n / share * (math.expm1(h) / h - 1) * (self._noise(x, far) - self.guess)


def dpm_fast(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver-fast; its levels come from `fast_levels`."""
    stages, order = _Stages(run, x, run.s, run.n), run.memory["orders"][run.i]
    return stages.straight if order == 1 else stages.second(1 / 2) if order == 2 else stages.third()


def dpm_adaptive(run: Run, x: Tensor) -> Tensor:
    """DPM-Solver-12/23 that chooses its own widths by the error (arXiv:2206.00927, app. C); goes on until it has passed the next level.

    The schedule gives only its two ends and the pace at which steps are reported: a step may ask the network many times, or not at all.
    """
    memory, end = run.memory, run.sigmas[-1] or run.sigmas[-2]
    s, width, before = memory.get("s", run.s), memory.get("width", 0.05), memory.get("before", x)
    while math.log(s / max(run.n, end)) > 1e-5:
        n = max(end, s * math.exp(-width))
        stages = _Stages(run, x, s, n)
        low, high = stages.second(1 / 3), stages.third()
        allowed = (0.05 * torch.maximum(low.abs(), before.abs())).clamp_min(0.0078)
        error = float(((low - high) / allowed).norm()) / math.sqrt(x.numel())
        factor = 1 + math.atan((1 / (error + 1e-8)) ** (1 / 3) - 1)
        width *= factor
        if factor >= 0.81:
            x, before, s = high, low, n
    memory["s"], memory["width"], memory["before"] = s, width, before
    return x
