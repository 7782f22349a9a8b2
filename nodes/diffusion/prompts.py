"""Several conditionings in one step: which of them count, which may share a forward, and how their predictions mix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import control
from nodes.diffusion.types import Cond, Control, Noising

_WANTED = {"empty": "an empty prompt", "image": "the picture without a prompt"}


@dataclass(frozen=True, eq=False)
class Job:
    """One conditioning to be evaluated in a step for a role; place: its number in the step; shape: what it must share to be batched.

    controls: those that act on it now; behalf: the prompts whose place and weight it takes on besides its own; () is everywhere.
    """

    role: str
    cond: Cond
    place: int
    shape: tuple[object, ...]
    controls: tuple[Control, ...] = ()
    behalf: tuple[Cond, ...] = ()


def counts(cond: Cond, i: int, n: int, sigma: float, noising: Noising) -> bool:
    """Whether a conditioning counts in step i. Spans that meet leave no step out and none twice: `0..0.5` ends where `0.5..1` begins."""
    if cond.span == (0.0, 1.0):
        return True
    start, end = cond.span
    if cond.clock == "noise":
        return noising.at(end) <= sigma <= noising.at(start)
    return math.floor(start * n + 1e-9) <= i < (n if end >= 1 else math.floor(end * n + 1e-9))


def jobs(
    prompts: Mapping[str, Sequence[Cond]], roles: Sequence[str], i: int, n: int, sigma: float, noising: Noising, common: Sequence[Control] = ()
) -> list[Job]:
    """The conditionings that count in this step, by role, in the order of `roles`. Roles without one are left out.

    common: controls of all prompts. Controls of a prompt act on it; a negative without controls of its own is held like the prompt: where
    prompts are held differently, it is evaluated once for each way, and counts where they do. So guidance compares like with like.
    Raises GraphError where nothing is left of the prompt itself, or a rule asks for a conditioning that was not given.
    """
    now = _Live(i, n, sigma, noising, tuple(common))
    held = _ways(prompts, now)
    found: list[Job] = []
    for role in roles:
        if role in _WANTED and not prompts.get(role):
            raise GraphError(f"The guidance rule also needs {_WANTED[role]}. Give it one, or choose another rule.")
        given = prompts.get(role, ())
        has_own = role in ("cond", "perturbed") or any(cond.controls for cond in given)
        for cond in given:
            if counts(cond, i, n, sigma, noising):
                ways = {now.controls(cond, role): ()} if has_own else held
                found += [Job(role, cond, len(found) + k, _shape(cond), *way) for k, way in enumerate(ways.items())]
    if not any(job.role == "cond" for job in found):
        raise GraphError(f"No prompt counts in step {i + 1} of {n}. Let the prompts' start and end cover all steps.")
    return found


@dataclass(frozen=True)
class _Live:
    """The controls of one step, each with the strength it has there."""

    i: int
    n: int
    sigma: float
    noising: Noising
    common: tuple[Control, ...]
    known: dict[Control, tuple[Control, ...]] = field(default_factory=dict)

    def controls(self, cond: Cond, role: str) -> tuple[Control, ...]:
        chosen = [used for used in (*self.common, *cond.controls) if used.target == "both" or role in ("cond", "perturbed")]
        for used in chosen:
            if used not in self.known:
                self.known[used] = control.live((used,), self.i, self.n, self.sigma, self.noising)
        return tuple(live for used in chosen for live in self.known[used])


def _ways(prompts: Mapping[str, Sequence[Cond]], now: _Live) -> dict[tuple[Control, ...], tuple[Cond, ...]]:
    """The sets of controls that hold the prompts in this step, as a negative takes them on: each with its prompts, or () for all."""
    ways: dict[tuple[Control, ...], tuple[Cond, ...]] = {}
    for cond in prompts.get("cond", ()):
        if counts(cond, now.i, now.n, now.sigma, now.noising):
            kept = now.controls(cond, "uncond")
            ways[kept] = (*ways.get(kept, ()), cond)
    return ways if len(ways) > 1 else dict.fromkeys(ways, ())


def _shape(cond: Cond) -> tuple[object, ...]:
    pooled = None if cond.pooled is None else tuple(cond.pooled.shape[1:])
    return tuple(cond.embeds.shape[1:]), pooled, tuple(sorted((name, _like(value)) for name, value in cond.extra.items()))


def _like(value: Any) -> object:
    """What two values must have in common to be stacked."""
    if isinstance(value, Tensor):
        return "tensor", *value.shape[1:]
    if isinstance(value, (list, tuple)):
        return "list", *(_like(item) for item in value)
    return repr(value)


def join(group: Sequence[Job], x: Tensor, memo: dict[Any, Any], dtype: torch.dtype) -> Cond:
    """One conditioning for a batch of len(group) equal shares, each as large as `x`; made once a run, not once a step."""
    key = ("joined", *(id(job.cond) for job in group))
    if key not in memo:
        memo[key] = _joined([job.cond for job in group], x, dtype)
    return memo[key]  # type: ignore[no-any-return]


def _joined(conds: Sequence[Cond], x: Tensor, dtype: torch.dtype) -> Cond:
    def stacked(values: Sequence[Any]) -> Any:
        first = values[0]
        if isinstance(first, Tensor):
            parts = [_spread(value, x.shape[0]).to(x.device) for value in values]
            whole = torch.cat(parts) if len(parts) > 1 else parts[0]
            return whole.to(dtype) if whole.is_floating_point() else whole
        if isinstance(first, (list, tuple)):
            return [stacked(items) for items in zip(*values, strict=True)]
        return first

    embeds = stacked([cond.embeds for cond in conds])
    pooled = None if conds[0].pooled is None else stacked([cond.pooled for cond in conds])
    extra = {name: stacked([cond.extra[name] for cond in conds]) for name in conds[0].extra if name != "ip_masks"}
    if "ip_masks" in conds[0].extra:  # masks belong to the pictures of the adapter, not to the batch
        extra["ip_masks"] = [mask.to(x.device, dtype) for mask in conds[0].extra["ip_masks"]]
    return Cond(embeds, pooled, extra)


def _spread(value: Tensor, batch: int) -> Tensor:
    """One row for the whole batch, or a row each. Raises GraphError for any other number."""
    if value.shape[0] == batch:
        return value
    if value.shape[0] != 1:
        raise GraphError(f"A prompt of {value.shape[0]} rows meets a batch of {batch} pictures. Give it one row, or as many as there are pictures.")
    return value.expand(batch, *value.shape[1:])


def mixed(found: Sequence[tuple[Job, Tensor]], x: Tensor, memo: dict[Any, Any]) -> Tensor:
    """The mean of the predictions by weight and region; where no region reaches, 0."""
    if len(found) == 1 and found[0][0].cond.region is None:
        return found[0][1]
    total: Tensor | None = None
    weights: Tensor | None = None
    for job, prediction in found:
        weight = _weight(job.cond, x, memo)
        if job.behalf:
            weight = weight * sum(_weight(cond, x, memo) for cond in job.behalf)
        total = weight * prediction if total is None else total + weight * prediction
        weights = weight if weights is None else weights + weight
    assert total is not None and weights is not None  # `found` is never empty
    return total / weights.clamp_min(1e-6)


def _weight(cond: Cond, x: Tensor, memo: dict[Any, Any]) -> Tensor:
    key = ("region", id(cond))
    if key not in memo:
        region = torch.ones(1, 1, 1, 1) if cond.region is None else cond.region
        if cond.region is not None and region.shape[-2:] != x.shape[-2:]:
            region = torch.nn.functional.interpolate(region.float(), size=x.shape[-2:], mode="bilinear", align_corners=False, antialias=True)
        memo[key] = (cond.weight * region).to(x)
    return memo[key]
