"""The one door for nodes: plain arguments in, steps out, stored steps found again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import noise as noises
from nodes.diffusion import schedules
from nodes.diffusion.chain import step_keys
from nodes.diffusion.guidance import Cfg, Dual, Rule
from nodes.diffusion.loop import sample
from nodes.diffusion.samplers import make_solver, sampler_named
from nodes.diffusion.state import SamplerState
from nodes.diffusion.types import Cond, Control, Family, Inpaint, Noising, Step

Load = Callable[[str], SamplerState | None]
Save = Callable[[str, SamplerState], None]


def draw(
    family: Family,
    positive: Sequence[Cond],
    latent: Tensor,
    negative: Sequence[Cond] = (),
    *,
    seed: int = 0,
    steps: int = 20,
    sampler: str = "euler",
    schedule: str = "normal",
    guidance: float = 7.0,
    denoise: float = 1.0,
    start_step: int = 0,
    end_step: int | None = None,
    add_noise: bool = True,
    leftover_noise: bool = False,
    sigmas: Tensor | None = None,
    noise: Tensor | None = None,
    first: int = 0,
    mask: Tensor | None = None,
    soft_mask: bool = False,
    mask_in_model: bool = False,
    controls: Sequence[Control] = (),
    rule: Rule | None = None,
    prompts: Mapping[str, Sequence[Cond]] | None = None,
    model_key: str = "",
    load: Load | None = None,
    save: Save | None = None,
) -> Iterator[Step]:
    """Paint on a latent, step by step.

    latent: [batch, c, h, w] clean, or with the noise that an earlier sampler left (then add_noise=False, start_step where that one ended).
    seed: of the first noise and, with a second generator, of the noise of the steps.
    sampler, schedule: names of samplers.SAMPLERS / ALIASES and schedules.SCHEDULES; sigmas: a schedule of one's own, instead of schedule, steps, denoise.
    guidance: CFG scale of the plain rule; `rule` replaces it.
    denoise: 1 draws anew, 0.3 changes little: only the last part of a longer schedule is run.
    start_step, end_step: which steps of the schedule to run; leftover_noise: stop with the noise that then is left, for another sampler to go on.
    noise: the first noise itself (variations), [batch, c, h, w]; first: the latent's first picture is this one of the seed's batch.
    mask: [1 or batch, 1, H, W] of any size, 1 = paint; soft_mask: grey changes late (differential); mask_in_model: blend as ComfyUI does.
    prompts: conditionings for further roles of `rule`: "empty" for PerpNeg; "image" for Dual is made from `negative` where it is not given.
    model_key: identifies the network with its patches; load, save: the store of finished steps, asked and told by key. What `load` finds is
        not drawn again; the first Step then shows where it goes on.
    Yields Steps; the last one's `latent` is the result. Nothing is yielded where there is nothing to do (denoise 0, start = end).
    Raises GraphError for numbers out of range, names unknown, shapes that do not fit, and broken numbers.
    """
    family = family.fitted(latent.shape)
    noising = family.noising
    name, known = sampler_named(sampler)
    whole = sigmas if sigmas is not None else schedules.make_sigmas(schedule, steps, noising, denoise, known.drop_penultimate)
    chosen = schedules.part(whole, start_step, end_step, leftover_noise)
    if len(chosen) < 2:
        return
    if not positive:
        raise GraphError("There is no prompt to draw by. Connect one to the positive input.")
    clean = latent.to(family.device, torch.float32)
    if clean.shape[1] != family.latent.channels:
        raise GraphError(f"This model paints on {family.latent.channels} latent channels, but the latent has {clean.shape[1]}. Make it with this model's VAE or size.")
    drawn = _noise(clean, seed, noise, first)
    solver = make_solver(name, chosen, noising, clean, seed)
    x = solver.begin(clean, drawn if add_noise else None, full=_is_full(solver.sigmas[0], noising))
    inpaint = None if mask is None else Inpaint(clean, _fitted(mask, clean), drawn, soft_mask, "model" if mask_in_model else "step")
    rule = rule or Cfg(guidance)
    if isinstance(rule, Dual) and not (prompts or {}).get("image"):
        prompts, negative = {**(prompts or {}), "image": negative}, [_without_picture(cond) for cond in negative]
    given = {"offset": start_step, "total": len(whole) - 1}
    keys = None
    if load is not None or save is not None:
        said = {"cond": positive, "uncond": negative, "perturbed": positive, **(prompts or {})}
        keys = step_keys(model_key, family, solver, x, said, rule, controls, inpaint, **given)
    resume = None if keys is None or load is None else next((state for key in reversed(keys) if (state := load(key)) is not None), None)
    finished = sample(family, solver, x, positive, negative, rule=rule, controls=controls, inpaint=inpaint, prompts=prompts, resume=resume, **given)
    for step in finished:
        if keys is not None and save is not None and (resume is None or step.i - start_step >= resume.done):
            save(keys[step.i - start_step], step.state())
        yield step


def _without_picture(cond: Cond) -> Cond:
    """The same with a black picture in its extra channels, as pix2pix was trained to see none."""
    if "concat" not in cond.extra:
        return cond
    return replace(cond, extra={**cond.extra, "concat": torch.zeros_like(cond.extra["concat"])})


def _is_full(sigma: float, noising: Noising) -> bool:
    return sigma > noising.sigma_max or math.isclose(sigma, noising.sigma_max, rel_tol=1e-5)


def _noise(latent: Tensor, seed: int, given: Tensor | None, first: int) -> Tensor:
    if given is None:
        batch = latent.shape[0]
        given = noises.initial(latent.shape, seed, range(first, first + batch) if first else None)
    elif given.shape != latent.shape:
        raise GraphError(f"The noise is {tuple(given.shape)}, but the latent is {tuple(latent.shape)}. They must have the same shape.")
    return given.to(latent.device, torch.float32)


def _fitted(mask: Tensor, latent: Tensor) -> Tensor:
    """A mask at the size of the latent; soft where its edge crosses a latent pixel."""
    if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, latent.shape[0]):
        raise GraphError(f"A mask must be one layer for all pictures or one for each, not {tuple(mask.shape)}.")
    mask = mask.to(latent.device, torch.float32)
    if mask.shape[-2:] == latent.shape[-2:]:
        return mask
    return torch.nn.functional.interpolate(mask, size=latent.shape[-2:], mode="bilinear", align_corners=False)
