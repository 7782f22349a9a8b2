"""The one sampling loop: every family, sampler, guidance rule and control in any mix, as a generator.

Because it is a generator, previews, progress and cancel need nothing inside the numerics: whoever draws steps stops when he likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import inpaint as inpainting
from nodes.diffusion.guidance import Cfg, Memory, Moment, Rule
from nodes.diffusion.prompts import Job, jobs, join, mixed
from nodes.diffusion.solver import Guess, Solver
from nodes.diffusion.state import SamplerState, snapshot
from nodes.diffusion.types import Cond, Control, Family, Inpaint, Noising, Step, StepContext

_BATCH = 4  # most prompts in one forward: a dozen regions must not need a dozen times the memory


@dataclass
class Denoiser:
    """The guided network of one run: family, prompts, rule, controls and mask, asked by the solver for latents of any noise level."""

    family: Family
    prompts: Mapping[str, Sequence[Cond]]
    rule: Rule
    controls: tuple[Control, ...]
    inpaint: Inpaint | None
    noising: Noising
    n: int
    offset: int  # steps of the schedule before the first of this run
    first: float  # sigma with which the run begins
    i: int = 0
    memory: Memory = field(default_factory=dict)
    memo: dict[Any, Any] = field(default_factory=dict)

    def __call__(self, seen: Tensor, t: Tensor, x: Tensor, sigma: float) -> Guess:
        keep = self.inpaint if self.inpaint is not None and self.inpaint.blend == "model" else None
        if keep is not None:
            mask = inpainting.free(keep, sigma, self.first, self.noising)
            x = inpainting.kept(x, self.noising.noisy(keep.image, keep.noise, sigma), mask)
            seen = self.noising.network_input(x, sigma)
        parts = self._parts(seen, t, sigma)
        channels, variance = x.shape[1], None
        if parts["cond"].shape[1] == 2 * channels:
            variance = parts["cond"][:, channels:]
            parts = {role: part[:, :channels] for role, part in parts.items()}
        moment = Moment(self.i, self.n, sigma, x, self.noising)
        prediction = self.rule.combine(parts, moment, self.memory)
        denoised = self.noising.denoised(prediction, x, sigma)
        if keep is not None:
            denoised = inpainting.kept(denoised, keep.image, mask)
            prediction = self.noising.predicted(denoised, x, sigma)
        return Guess(prediction, denoised, parts, variance)

    def _parts(self, seen: Tensor, t: Tensor, sigma: float) -> dict[str, Tensor]:
        """One prediction a role, each mixed from the prompts that count in this step."""
        roles = self.rule.roles(self.i, self.n, sigma, self.noising)
        wanted = jobs(self.prompts, roles, self.i, self.n, sigma, self.noising, self.controls)
        predictions: dict[int, Tensor] = {}
        now: dict[Any, Any] | None = {} if "perturbed" in roles else None
        for group in self._groups(wanted):
            merged = join(group, seen, self.memo, self.family.dtype)
            first, named, conds = group[0], tuple(job.role for job in group), tuple(job.cond for job in group)
            step = StepContext(self.i, self.n, sigma, named, conds, first.controls, self.rule.perturb(first.role), self.memo, now)
            batch = torch.cat([seen] * len(group)) if len(group) > 1 else seen
            predicted = self.family.predict(batch.to(self.family.dtype), t, merged, step).float()
            for job, part in zip(group, predicted.chunk(len(group)), strict=True):
                predictions[job.place] = part
        present = dict.fromkeys(job.role for job in wanted)
        return {role: mixed([(job, predictions[job.place]) for job in wanted if job.role == role], seen, self.memo) for role in present}

    def _groups(self, wanted: Sequence[Job]) -> list[list[Job]]:
        """Jobs that may share a forward: same shapes, same controls, same disturbance, not more than _BATCH."""
        groups: list[list[Job]] = []
        open_groups: dict[object, list[Job]] = {}
        for job in wanted:
            kind = (job.shape, job.controls, self.rule.perturb(job.role))
            group = open_groups.get(kind)
            if group is None or not self.family.batched or len(group) == _BATCH:
                group = open_groups[kind] = []
                groups.append(group)
            group.append(job)
        return groups


def sample(
    family: Family,
    solver: Solver,
    x: Tensor,
    positive: Sequence[Cond],
    negative: Sequence[Cond] = (),
    *,
    rule: Rule | None = None,
    controls: Sequence[Control] = (),
    inpaint: Inpaint | None = None,
    prompts: Mapping[str, Sequence[Cond]] | None = None,
    offset: int = 0,
    total: int | None = None,
    stop: int | None = None,
    resume: SamplerState | None = None,
) -> Iterator[Step]:
    """Remove noise from `x` step by step.

    x: [batch, c, h, w] as solver.begin made it.
    rule: guidance; plain CFG at 7 unless given. Without negative prompts the prompt alone counts.
    prompts: further roles that the rule asks for ("image", "empty").
    offset, total: where these steps lie in the whole schedule (start step; number of steps), for spans and numbers shown.
    stop: end after this many steps of the solver's; resume: go on from there, `x` then gives the device only.
    Yields a Step after each, and first the one that is resumed from; its `state` is valid until the next is asked for.
    Raises GraphError where no prompt counts in a step, a shape does not fit, or the latents turn into NaN.
    """
    steps = len(solver.sigmas) - 1
    noising = getattr(solver, "noising", family.noising)
    said = {"cond": positive, "uncond": negative, "perturbed": positive, **(prompts or {})}
    guide = Denoiser(family, said, rule or Cfg(7.0), tuple(controls), inpaint, noising, total or offset + steps, offset, solver.sigmas[0])
    done, last = 0, steps if stop is None else min(stop, steps)
    if resume is not None:
        done, x = resume.done, resume.x.to(x)
        solver.restore(done, resume.solver, resume.noise)
        guide.memory = snapshot(dict(resume.rule))
        yield _step(guide, solver, done - 1, x, resume.denoised.to(x))
    for k in range(done, last):
        guide.i = offset + k
        with torch.inference_mode():
            x, denoised = solver.step(k, x, guide)
            if inpaint is not None:
                x = _put_back(x, inpaint, solver, k + 1, guide.first, noising)
            _check_finite(x, guide.i, guide.n)
        yield _step(guide, solver, k, x, denoised)


def _put_back(x: Tensor, inpaint: Inpaint, solver: Solver, i: int, first: float, noising: Noising) -> Tensor:
    """`x` before step i with what the mask keeps; blending in the model needs that only at the end, for methods that stop above sigma 0."""
    if inpaint.blend == "step":
        mask = inpainting.free(inpaint, solver.sigmas[i], first, noising)
    elif solver.sigmas[i] == 0:
        mask = (inpaint.mask > 0).to(x.dtype)
    else:
        return x
    return inpainting.kept(x, solver.noisy(inpaint.image, inpaint.noise, i), mask)


def _step(guide: Denoiser, solver: Solver, k: int, x: Tensor, denoised: Tensor) -> Step:
    i = k + guide.offset
    return Step(i, guide.n, solver.sigmas[k + 1], x, denoised, solver.common(x, k + 1), _Snapshot(k + 1, x, denoised, solver, guide.memory))


@dataclass(frozen=True)
class _Snapshot:
    done: int
    x: Tensor
    denoised: Tensor
    solver: Solver
    memory: Memory

    def __call__(self) -> SamplerState:
        history, noise = self.solver.state()
        return SamplerState(self.done, self.x.clone(), self.denoised.clone(), history, noise, snapshot(self.memory))


def _check_finite(x: Tensor, i: int, n: int) -> None:
    # the sum is one number and turns NaN or infinite with any of its parts
    if not torch.isfinite(x.sum()):
        raise GraphError(
            f"The picture broke down into invalid numbers (NaN) at step {i + 1} of {n}. "
            "Run the model in full precision (fp32), lower the guidance, or look for a damaged model or LoRA."
        )
