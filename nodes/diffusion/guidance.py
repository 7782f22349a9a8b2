"""Guidance rules: how predictions for several prompts become one. Small frozen values; what a rule must remember lives in `memory`.

A rule names the roles that it needs in a step, in the order of the batch; the loop evaluates them together and hands back one prediction a role:
"cond" the prompt, "uncond" the negative prompt, "image" picture without text (pix2pix), "empty" the empty prompt, "perturbed" the prompt with
disturbed attention. Modifiers work on the result and can be stacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion.noising import Discrete
from nodes.diffusion.types import Clock, Noising, Span

Parts = Mapping[str, Tensor]
Memory = dict[str, Tensor]


@dataclass(frozen=True)
class Moment:
    """Where the step stands: x [batch, c, h, w] in the scale of `noising` at noise level sigma, step i of n."""

    i: int
    n: int
    sigma: float
    x: Tensor
    noising: Noising

    def denoised(self, prediction: Tensor) -> Tensor:
        return self.noising.denoised(prediction, self.x, self.sigma)

    def predicted(self, denoised: Tensor) -> Tensor:
        return self.noising.predicted(denoised, self.x, self.sigma)


class Rule(Protocol):
    def roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]: ...
    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor: ...
    def perturb(self, role: str) -> tuple[str, ...]:
        """The layers to be disturbed while `role` is evaluated."""


class Modifier(Protocol):
    def extra_roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]: ...
    def perturb(self, role: str) -> tuple[str, ...]: ...
    def __call__(self, guided: Tensor, parts: Parts, at: Moment, memory: Memory) -> Tensor: ...


def within(span: Span, clock: Clock, i: int, n: int, sigma: float, noising: Noising) -> bool:
    """Whether a step lies wholly in a span; on the clock "noise", whether its sigma does."""
    if span == (0.0, 1.0):
        return True
    if clock == "steps":
        return not (i / n < span[0] or (i + 1) / n > span[1])  # diffusers' control_guidance_start and _end
    return noising.at(span[1]) <= sigma <= noising.at(span[0])


def plain(cond: Tensor, uncond: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598)."""
    return uncond + scale * (cond - uncond)


@dataclass(frozen=True)
class Cfg:
    """Classifier-free guidance; 1 switches it off and halves the time. Outside `interval` the prompt alone counts (arXiv:2404.07724)."""

    scale: float = 7.0
    interval: Span = (0.0, 1.0)
    clock: Clock = "steps"

    def roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        on = self.scale != 1 and within(self.interval, self.clock, i, n, sigma, noising)
        return ("uncond", "cond") if on else ("cond",)

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        return plain(parts["cond"], parts["uncond"], self.scale) if "uncond" in parts else parts["cond"]

    def perturb(self, role: str) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Apg(Cfg):
    """Adaptive projected guidance: less of what oversaturates (Sadat et al. 2024, arXiv:2410.02416, alg. 1), on the denoised latents.

    eta: share of the part parallel to the prompt's own picture, usual 0..1; norm: longest difference, 0 is no limit; momentum: usual -0.5..0.
    """

    eta: float = 0.0
    norm: float = 15.0
    momentum: float = -0.5

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        if "uncond" not in parts:
            return parts["cond"]
        cond, uncond = at.denoised(parts["cond"]), at.denoised(parts["uncond"])
        dims = tuple(range(1, cond.ndim))
        difference = cond - uncond
        if self.momentum:
            difference = difference + self.momentum * memory.get("apg", torch.zeros_like(difference))
            memory["apg"] = difference
        if self.norm > 0:
            length = difference.norm(p=2, dim=dims, keepdim=True)
            difference = difference * (self.norm / length).clamp(max=1)
        axis = cond / cond.norm(p=2, dim=dims, keepdim=True).clamp_min(1e-12)
        parallel = (difference * axis).sum(dim=dims, keepdim=True) * axis
        return at.predicted(cond + (self.scale - 1) * (difference + (self.eta - 1) * parallel))


@dataclass(frozen=True)
class CfgZero(Cfg):
    """CFG-Zero* for flow models (Fan et al. 2025, arXiv:2503.18886): the negative is scaled to fit, and the first steps do nothing."""

    zero_steps: int = 1

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        cond = parts["cond"]
        if at.i < self.zero_steps:
            return torch.zeros_like(cond)
        if "uncond" not in parts:
            return cond
        uncond, dims = parts["uncond"], tuple(range(1, cond.ndim))
        fit = (cond * uncond).sum(dim=dims, keepdim=True) / ((uncond**2).sum(dim=dims, keepdim=True) + 1e-8)
        return uncond * fit + self.scale * (cond - uncond * fit)


@dataclass(frozen=True)
class Dual(Cfg):
    """Two scales, for text and for picture (Brooks et al. 2023, arXiv:2211.09800, eq. 3); the role "image" has the picture but no text."""

    image_scale: float = 1.5

    def roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        return ("cond", "image", "uncond")

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        cond, image, uncond = parts["cond"], parts["image"], parts["uncond"]
        return uncond + self.scale * (cond - image) + self.image_scale * (image - uncond)


@dataclass(frozen=True)
class PerpNeg(Cfg):
    """A negative prompt that cannot work against the prompt: only its perpendicular part counts (Armandpour et al. 2023, arXiv:2304.04968)."""

    negative_scale: float = 1.0

    def roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        return ("uncond", "empty", "cond") if within(self.interval, self.clock, i, n, sigma, noising) else ("cond",)

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        if "empty" not in parts:
            return parts["cond"]
        cond, away = parts["cond"] - parts["empty"], parts["uncond"] - parts["empty"]
        dims = tuple(range(1, cond.ndim))
        along = (away * cond).sum(dim=dims, keepdim=True) / (cond**2).sum(dim=dims, keepdim=True).clamp_min(1e-12)
        return parts["empty"] + self.scale * (cond - self.negative_scale * (away - along * cond))


@dataclass(frozen=True)
class Guided:
    """A rule with modifiers, applied in order."""

    rule: Rule
    modifiers: tuple[Modifier, ...] = field(default=())

    def roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        named = list(self.rule.roles(i, n, sigma, noising))
        for modifier in self.modifiers:
            named += [role for role in modifier.extra_roles(i, n, sigma, noising) if role not in named]
        return tuple(named)

    def perturb(self, role: str) -> tuple[str, ...]:
        return next((layers for modifier in self.modifiers if (layers := modifier.perturb(role))), ())

    def combine(self, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        guided = self.rule.combine(parts, at, memory)
        for modifier in self.modifiers:
            guided = modifier(guided, parts, at, memory)
        return guided


class _Plain:
    """A modifier that asks for nothing more than the rule does."""

    def extra_roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        return ()

    def perturb(self, role: str) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True)
class Rescale(_Plain):
    """Bring the contrast back to that of the prompt's own prediction (Lin et al. 2023, arXiv:2305.08891, eq. 15-16).

    share: usual 0.7; in_velocity: measure in v, as ComfyUI does for every model; else in the network's own prediction, as diffusers does.
    """

    share: float = 0.7
    in_velocity: bool = False

    def __call__(self, guided: Tensor, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        if "uncond" not in parts:
            return guided
        if not self.in_velocity or at.noising.prediction in ("v_prediction", "flow"):
            return self._rescaled(guided, parts["cond"])
        velocity = Discrete(prediction="v_prediction")
        as_v = [velocity.predicted(at.denoised(part), at.x, at.sigma) for part in (guided, parts["cond"])]
        return at.predicted(velocity.denoised(self._rescaled(*as_v), at.x, at.sigma))

    def _rescaled(self, guided: Tensor, cond: Tensor) -> Tensor:
        dims = list(range(1, guided.ndim))
        fitting = guided * (cond.std(dim=dims, keepdim=True) / guided.std(dim=dims, keepdim=True))
        return self.share * fitting + (1 - self.share) * guided


@dataclass(frozen=True)
class DynamicThreshold(_Plain):
    """High guidance with the contrast of a lower one (thresholding of Saharia et al. 2022, arXiv:2205.11487, sec. 2.3, per latent channel).

    mimic: the guidance whose range is kept, usual 7; percentile: share of values that must fit, usual 0.995..1.
    """

    mimic: float = 7.0
    percentile: float = 1.0

    def __call__(self, guided: Tensor, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        if "uncond" not in parts:
            return guided
        target = at.denoised(guided).flatten(2)
        model = at.denoised(plain(parts["cond"], parts["uncond"], self.mimic)).flatten(2)
        mean = target.mean(dim=2, keepdim=True)
        wanted = (model - model.mean(dim=2, keepdim=True)).abs().amax(dim=2, keepdim=True)
        has = (target - mean).abs()
        reach = torch.maximum(wanted, has.quantile(self.percentile, dim=2, keepdim=True) if self.percentile < 1 else has.amax(dim=2, keepdim=True))
        fitted = (target - mean).clamp(-reach, reach) / reach.clamp_min(1e-12) * wanted + mean
        return at.predicted(fitted.reshape(guided.shape))


@dataclass(frozen=True)
class Perturbed:
    """Away from a picture drawn with disturbed attention: PAG (Ahn et al. 2024, arXiv:2403.17377) on UNets, skip-layer guidance on transformers.

    layers: name parts of the attention layers ("mid_block"), or block numbers of a transformer ("7", "8", "9"); scale: usual 3.
    """

    scale: float = 3.0
    layers: tuple[str, ...] = ("mid_block",)
    interval: Span = (0.0, 1.0)
    clock: Clock = "steps"

    def extra_roles(self, i: int, n: int, sigma: float, noising: Noising) -> tuple[str, ...]:
        return ("perturbed",) if self.scale and within(self.interval, self.clock, i, n, sigma, noising) else ()

    def perturb(self, role: str) -> tuple[str, ...]:
        return self.layers if role == "perturbed" else ()

    def __call__(self, guided: Tensor, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        return guided + self.scale * (parts["cond"] - parts["perturbed"]) if "perturbed" in parts else guided


@dataclass(frozen=True)
class CfgNorm(_Plain):
    """Keep each latent pixel's length at that of the prompt's own picture, at most times `strength` (as Qwen-Image's pipelines do)."""

    strength: float = 1.0

    def __call__(self, guided: Tensor, parts: Parts, at: Moment, memory: Memory) -> Tensor:
        cond, result = at.denoised(parts["cond"]), at.denoised(guided)
        scale = (cond.norm(dim=1, keepdim=True) / (result.norm(dim=1, keepdim=True) + 1e-8)).clamp(0, 1)
        return at.predicted(result * scale * self.strength)


def make_rule(scale: float, rule: str = "cfg", interval: Span = (0.0, 1.0), modifiers: tuple[Modifier, ...] = (), **settings: float) -> Rule:
    """A rule by name: "cfg", "apg", "cfg_zero", "dual", "perp_neg", with its settings. Raises GraphError for other names."""
    if rule not in RULES:
        raise GraphError(f"There is no guidance rule '{rule}'. Choose one of: {', '.join(RULES)}.")
    made: Rule = RULES[rule](scale=scale, interval=interval, **settings)  # type: ignore[arg-type]
    return Guided(made, modifiers) if modifiers else made


RULES: dict[str, type[Cfg]] = {"cfg": Cfg, "apg": Apg, "cfg_zero": CfgZero, "dual": Dual, "perp_neg": PerpNeg}
