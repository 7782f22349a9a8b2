"""Nodes that paint: the sampler, noise schedules, and noise itself."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from nodegraph.node import HEADLESS, Advanced, Context, GraphError, Labels, Randomize, Range, Unit, node
from nodes.control import opened_control
from nodes.types import Conditioning, ControlUse, Denoiser, Latent, Part, Sigmas

if TYPE_CHECKING:
    from torch import Tensor

Seed = Annotated[int, Range(0, 2**64 - 1), Randomize()]
Steps = Annotated[int, Range(1, 1000)]
Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]

# fmt: off
Sampler = Annotated[
    Literal[
        "euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "dpmpp_sde", "dpmpp_2s_ancestral", "dpm_2", "dpm_2_ancestral",
        "uni_pc", "uni_pc_bh2", "ddim", "ddpm", "lcm", "lms", "deis", "ipndm", "ipndm_v", "res_multistep", "res_multistep_ancestral",
        "gradient_estimation", "er_sde", "seeds_2", "seeds_3", "sa_solver", "sa_solver_pece", "heunpp2", "dpm_fast", "dpm_adaptive", "dpmpp_2m_sde_heun",
        "euler_cfg_pp", "euler_ancestral_cfg_pp", "dpmpp_2m_cfg_pp", "dpmpp_2s_ancestral_cfg_pp", "res_multistep_cfg_pp",
        "res_multistep_ancestral_cfg_pp", "gradient_estimation_cfg_pp",
    ],
    Labels.of(
        euler="Euler", euler_ancestral="Euler a", heun="Heun", dpmpp_2m="DPM++ 2M", dpmpp_2m_sde="DPM++ 2M SDE", dpmpp_3m_sde="DPM++ 3M SDE",
        dpmpp_sde="DPM++ SDE", dpmpp_2s_ancestral="DPM++ 2S a", dpm_2="DPM2", dpm_2_ancestral="DPM2 a", uni_pc="UniPC", uni_pc_bh2="UniPC bh2",
        ddim="DDIM", ddpm="DDPM", lcm="LCM", lms="LMS", deis="DEIS", ipndm="iPNDM", ipndm_v="iPNDM v", res_multistep="RES multistep",
        res_multistep_ancestral="RES multistep a", gradient_estimation="Gradient estimation", er_sde="ER SDE", seeds_2="SEEDS 2", seeds_3="SEEDS 3",
        sa_solver="SA solver", sa_solver_pece="SA solver PECE", heunpp2="Heun++ 2", dpm_fast="DPM fast", dpm_adaptive="DPM adaptive",
        dpmpp_2m_sde_heun="DPM++ 2M SDE Heun", euler_cfg_pp="Euler CFG++", euler_ancestral_cfg_pp="Euler a CFG++", dpmpp_2m_cfg_pp="DPM++ 2M CFG++",
        dpmpp_2s_ancestral_cfg_pp="DPM++ 2S a CFG++", res_multistep_cfg_pp="RES multistep CFG++",
        res_multistep_ancestral_cfg_pp="RES multistep a CFG++", gradient_estimation_cfg_pp="Gradient estimation CFG++",
    ),
]
Schedule = Annotated[
    Literal[
        "karras", "normal", "simple", "sgm_uniform", "exponential", "ddim_uniform", "beta", "linear_quadratic", "kl_optimal", "polyexponential",
        "turbo", "align_your_steps", "align_your_steps_xl",
    ],
    Labels.of(
        karras="Karras", normal="Normal", simple="Simple", sgm_uniform="SGM uniform", exponential="Exponential", ddim_uniform="DDIM uniform",
        beta="Beta", linear_quadratic="Linear quadratic", kl_optimal="KL optimal", polyexponential="Polyexponential", turbo="Turbo",
        align_your_steps="Align your steps", align_your_steps_xl="Align your steps XL",
    ),
]
# fmt: on


@node("sampling/sample", keywords=("ksampler", "paint", "denoise", "img2img", "generate"))
def sample(
    denoiser: Denoiser,
    positive: Conditioning,
    latent: Latent,
    negative: Conditioning | None = None,
    sigmas: Sigmas | None = None,
    sampler: Sampler = "dpmpp_2m",
    schedule: Schedule = "karras",
    steps: Steps = 20,
    guidance: Annotated[float, Range(0, 30, step=0.1)] = 7.0,
    denoise: Percent = 1.0,
    seed: Seed = 0,
    first_step: Annotated[int, Range(0, 1000), Advanced()] = 0,
    last_step: Annotated[int, Range(0, 1000), Advanced()] = 1000,
    add_noise: Annotated[bool, Advanced()] = True,
    leave_noise: Annotated[bool, Advanced()] = False,
    variation: Annotated[float, Range(0, 1, step=0.01), Unit("%"), Advanced()] = 0.0,
    variation_seed: Annotated[int, Range(0, 2**64 - 1), Randomize(), Advanced()] = 0,
    soft_mask: Annotated[bool, Advanced()] = False,
    mask_in_model: Annotated[bool, Advanced()] = False,
    ctx: Context = HEADLESS,
) -> Latent:
    """Paint: remove noise from a latent, step by step, towards the prompt.

    Finished steps are kept: a run that was stopped, or that differs only in later steps, goes on where it can.

    Args:
        negative: What to steer away from. Without it, guidance has no effect.
        sigmas: A noise schedule of your own, in place of schedule, steps and denoise.
        sampler: The way from noise to picture. DPM++ 2M is quick and clean, Euler a livelier with more steps, LCM for few-step models.
        schedule: How the noise falls. Karras spends more steps on detail; flow models want Simple.
        steps: More steps give finer pictures, up to a point; 20 to 30 is usual, 4 to 8 for turbo and LCM models.
        guidance: How closely to follow the prompt (CFG). 1 turns it off and halves the time.
        denoise: 100 % starts from pure noise; less keeps that much of the latent. 40 to 70 % changes a picture.
        seed: The same seed and inputs give the same picture.
        first_step: Begin here, on a latent that an earlier sampler left with its noise in.
        last_step: Stop after this step, so that another sampler can go on.
        add_noise: Off for a latent that already has noise in it.
        leave_noise: Leave the noise in when stopping early, for the next sampler.
        variation: How far to move towards the variation seed: small changes of the same picture.
        variation_seed: Another seed, for variations.
        soft_mask: Grey parts of the mask are set free late, so that they change less (differential inpainting).
        mask_in_model: Let the model see the kept part in every step, as ComfyUI does. Off mixes it in after each step, as diffusers and
            A1111 do. On helps samplers that look several times a step.
    """
    import torch

    from nodes.devices import choose
    from nodes.diffusion import noise as noises
    from nodes.diffusion.run import draw
    from nodes.previews import previewer

    if sigmas is None and first_step >= steps:
        raise GraphError(f"The first step is {first_step}, but there are only {steps} steps.", input="first_step")
    device = choose(ctx.device)
    roles = _roles(denoiser, negative)
    count = steps if sigmas is None else len(sigmas.values) - 1
    said = {"cond": positive, "uncond": negative, **dict(roles)}
    with _opened(denoiser, device, (first_step, count)) as family, ExitStack() as opened, torch.inference_mode():
        samples = _fitting(latent, family.latent)
        size = (samples.shape[-2] * family.latent.downscale, samples.shape[-1] * family.latent.downscale)
        if latent.empty and denoise == 1 and sigmas is None:
            _warn_of_size(denoiser, size, ctx)
        start = None
        if variation > 0:
            start = noises.variation(samples.shape, seed, variation_seed, variation)
        used = dict.fromkeys(use for c in said.values() if c is not None for use in c.controls)
        controls = {use: opened.enter_context(opened_control(use, denoiser.handle, size, device)) for use in used}
        told = {role: [] if c is None else _conds(c, family, size, controls) for role, c in said.items()}
        if denoiser.handle.variant == "unclip":
            told = {role: _with_labels(conds, told["cond"]) for role, conds in told.items()}
        if denoiser.image_prompts:
            told = {role: _with_pictures(conds, denoiser, role == "cond") for role, conds in told.items()}
        show = previewer(denoiser.handle.source.path, family.latent)
        last = latent
        kept = _Kept(ctx)
        done = 0
        for step in draw(
            family,
            told["cond"],
            samples,
            told["uncond"],
            seed=seed,
            steps=steps,
            sampler=sampler,
            schedule=schedule,
            guidance=guidance,
            denoise=denoise,
            start_step=first_step,
            end_step=last_step,
            add_noise=add_noise,
            leftover_noise=leave_noise,
            sigmas=None if sigmas is None else sigmas.values,
            noise=start,
            first=latent.first,
            mask=latent.mask,
            soft_mask=soft_mask,
            mask_in_model=mask_in_model,
            rule=_rule(denoiser, guidance if negative is not None else 1.0),
            prompts={role: told[role] for role, _ in roles},
            model_key=repr((denoiser.handle, denoiser.shift, *([denoiser.timesteps] if denoiser.timesteps else []))),
            load=kept.load,
            save=kept.save,
        ):
            done = step.i + 1
            ctx.progress(done, step.n, preview=partial(show, step.denoised), sigma=step.sigma)
            last = latent.with_samples(step.latent.float().cpu(), sigma=step.sigma, empty=False, downscale=family.latent.downscale)
        if not done:
            ctx.warn("Nothing was painted: there is no step to do. Raise the denoise or the steps.")
            last = latent.with_samples(samples.float().cpu(), downscale=family.latent.downscale)
    return last


def _warn_of_size(denoiser: Denoiser, size: tuple[int, int], ctx: Context) -> None:
    """Says when a picture from nothing has far more pixels than the model has ever seen in one."""
    from nodes.models.defaults import defaults
    from nodes.models.families import FAMILIES

    if denoiser.handle.family not in FAMILIES:
        return
    side, (height, width) = defaults(denoiser.handle).size, size
    if width * height > 2.5 * side * side:
        ctx.warn(
            f"{width} × {height} is far more than the {side} × {side} that this model learned from, so things may come out twice or melt. "
            f"Start with about {side} × {side} and enlarge the picture afterwards."
        )


class _Kept:
    """The finished steps of this sampler, in the store of the run."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx

    def load(self, key: str) -> Any:
        from nodes.diffusion.state import SamplerState

        found = self.ctx.recall(key)
        if found is None:
            return None
        tensors = {name: value for name, value in found.items() if name != "values"}
        return SamplerState.from_tensors(tensors, json.loads(found["values"]))

    def save(self, key: str, state: Any) -> None:
        tensors, values = state.to_tensors()
        self.ctx.remember(key, {"values": json.dumps(values), **tensors})


@contextmanager
def _opened(denoiser: Denoiser, device: Any, start: tuple[int, int]) -> Iterator[Any]:
    """The adapter for the denoiser's family with its network loaded, for the length of a block; start: its first step, of how many."""
    from nodes.diffusion.changing import Changing, dressed
    from nodes.diffusion.families import family_for
    from nodes.models.memory import MODELS

    @contextmanager
    def entered(handle: Any) -> Iterator[Any]:
        with MODELS.use(handle, device) as model:
            few = {"distilled": denoiser.timesteps} if denoiser.timesteps else {}
            yield family_for(handle.family, model.module, model.scheduler, handle.prediction, denoiser.shift, **few)

    if denoiser.scheduled:
        with Changing(lambda i, n: dressed(denoiser.handle, denoiser.scheduled, i, n), entered, start) as family:
            yield family
    else:
        with entered(denoiser.handle) as family:
            yield family


def _roles(denoiser: Denoiser, negative: Conditioning | None) -> tuple[tuple[str, Conditioning], ...]:
    """The further conditionings of the guidance rule. Raises GraphError where it also needs a negative prompt and has none."""
    for name, title in (("dual", "Two-way guidance"), ("perp_neg", "Perpendicular negative")):
        if negative is None and any(rule == name for rule, _ in denoiser.guidance):
            raise GraphError(f"'{title}' works with a negative prompt. Connect one.", input="negative")
    prompts: tuple[tuple[str, Conditioning], ...] = denoiser.prompts
    return prompts


def _fitting(latent: Latent, wanted: Any) -> "Tensor":
    """The samples in the shape that the denoiser paints on; an empty latent takes any."""
    import torch

    samples = latent.samples
    if not latent.empty or (samples.shape[1] == wanted.channels and latent.downscale == wanted.downscale):
        return samples
    b, _, h, w = samples.shape
    return torch.zeros(b, wanted.channels, h * latent.downscale // wanted.downscale, w * latent.downscale // wanted.downscale)


def _conds(conditioning: Conditioning, family: Any, size: tuple[int, int], controls: Mapping[ControlUse, Any]) -> list[Any]:
    """The parts as the numerics take them, for a picture of `size` (height, width) in pixels; controls: those that are open."""
    from nodes.diffusion.text import with_size
    from nodes.diffusion.types import Cond

    made = []
    for part in conditioning.parts:
        extra = dict(part.extra)
        told: Mapping[str, Any] = extra.pop("sdxl", {})
        extra.pop("unclip", None)  # what its class labels were made of
        region, held = _region(part, size), tuple(controls[use] for use in part.controls)
        cond = Cond(part.embeds, part.pooled, extra, region, part.span, part.weight, part.clock, held)  # type: ignore[arg-type]
        if "time_ids" not in extra:
            height, width = told.get("size", size)
            target = told.get("target", (0, 0))
            cond = with_size(
                cond,
                height,
                width,
                family=family.name,
                crop=told.get("crop", (0, 0)),
                target=target if all(target) else size,
                score=told.get("aesthetic", 6.0),
            )
        made.append(cond)
    return made


def _with_pictures(conds: list[Any], denoiser: Denoiser, is_shown: bool) -> list[Any]:
    """The conditionings with what the image prompt adapters see: their pictures, or nothing for the negative prompt."""
    import torch

    prompts = denoiser.image_prompts
    extra: dict[str, Any] = {"image_embeds": [p.embeds if is_shown else p.unconditional for p in prompts]}
    masks = [p.mask for p in prompts]
    if any(mask is not None for mask in masks):
        extra["ip_masks"] = [torch.ones(1, 1, 64, 64) if mask is None else mask for mask in masks]
    return [replace(cond, extra={**cond.extra, **extra}) for cond in conds]


def _with_labels(conds: list[Any], positive: list[Any]) -> list[Any]:
    """The conditionings of an unCLIP model, with zeros for those that were shown no picture."""
    import torch

    shown = next((cond.extra["class_labels"] for cond in positive if "class_labels" in cond.extra), None)
    if shown is None:
        raise GraphError("An unCLIP model paints from a picture. Put 'unCLIP picture' behind the positive prompt.", input="positive")
    return [cond if "class_labels" in cond.extra else replace(cond, extra={**cond.extra, "class_labels": torch.zeros_like(shown)}) for cond in conds]


def _region(part: Part, size: tuple[int, int]) -> "Tensor | None":
    import torch

    if part.area is None:
        return part.region
    x, y, w, h = part.area
    height, width = size
    left, top = round(x * width), round(y * height)
    region = torch.zeros(1, 1, height, width)
    region[..., top : max(top + 1, round((y + h) * height)), left : max(left + 1, round((x + w) * width))] = 1
    if part.region is not None:
        region = region * torch.nn.functional.interpolate(part.region, size=size, mode="bilinear", align_corners=False, antialias=True)
    return region


def _rule(denoiser: Denoiser, guidance: float) -> Any:
    """The guidance rule that nodes have put on the denoiser."""
    from nodes.diffusion.guidance import CfgNorm, DynamicThreshold, Perturbed, Rescale, make_rule

    modifiers: dict[str, Any] = {
        "rescale": Rescale, "dynamic_threshold": DynamicThreshold, "perturbed": Perturbed, "skip_layers": Perturbed, "cfg_norm": CfgNorm,
    }  # fmt: skip
    said: dict[str, dict[str, Any]] = {name: dict(settings) for name, settings in denoiser.guidance}
    if "perturbed" in said and "skip_layers" in said:
        raise GraphError("Perturbed attention and skip-layer guidance cannot be used together. Take one of them away.", input="denoiser")
    for name in {"perturbed", "skip_layers"} & said.keys():
        own = said[name]
        span = (own.pop("start", 0.0), own.pop("end", 1.0))
        said[name] = {**own, "interval": span, "layers": tuple(str(own.get("layers", "mid_block")).replace(",", " ").split())}
    interval = said.pop("interval", {})
    used = tuple(modifiers[name](**settings) for name, settings in said.items() if name in modifiers)
    rules = [name for name in said if name not in modifiers]
    if len(rules) > 1:
        raise GraphError(f"Only one of the guidance rules {' and '.join(rules)} can be used. Take the others away.", input="denoiser")
    settings: dict[str, Any] = said[rules[0]] if rules else {}
    if rules and rules[0] == "cfg_zero":
        settings = {"zero_steps": int(settings.get("zero_steps", 1))}
    span = (interval.get("start", 0.0), interval.get("end", 1.0))
    return make_rule(guidance, rules[0] if rules else "cfg", span, used, **settings)


class Split(NamedTuple):
    high: Sigmas
    low: Sigmas


@node("sampling/schedule", title="Noise schedule", keywords=("basic scheduler", "sigmas"))
def noise_schedule(denoiser: Denoiser, schedule: Schedule = "karras", steps: Steps = 20, denoise: Percent = 1.0) -> Sigmas:
    """A noise schedule as a curve that can be split, joined and looked at.

    Args:
        schedule: How the noise falls.
        steps: Number of steps.
        denoise: Less than 100 % takes only the last part of a longer schedule.
    """
    from nodes.diffusion import schedules
    from nodes.diffusion.noising import Discrete, noising_for
    from nodes.models import loading

    config = {**loading.scheduler(denoiser.handle), "prediction_type": denoiser.handle.prediction}
    if denoiser.shift is not None:
        config["shift"] = denoiser.shift
    noising = noising_for(config)
    if denoiser.timesteps and isinstance(noising, Discrete):
        noising = replace(noising, distilled=denoiser.timesteps)
    return Sigmas(schedules.make_sigmas(schedule, steps, noising, denoise))


@node("sampling/karras", title="Karras schedule", keywords=("sigmas",))
def karras_schedule(
    steps: Steps = 20,
    sigma_max: Annotated[float, Range(0.01, 5000, log=True)] = 14.6146,
    sigma_min: Annotated[float, Range(0.0001, 5000, log=True)] = 0.0292,
    rho: Annotated[float, Range(0.1, 100, step=0.1), Advanced()] = 7.0,
) -> Sigmas:
    """The schedule of Karras and others, with its ends and its bend set by hand.

    Args:
        sigma_max: Noise at the start; 14.6 for SD 1 and SDXL.
        sigma_min: Noise before the last step; 0.03 is usual.
        rho: 7 is usual; less spends more steps on large forms.
    """
    from nodes.diffusion.schedules import karras

    if sigma_min >= sigma_max:
        raise GraphError("The smallest sigma must be below the largest.", input="sigma_min")
    return Sigmas(karras(steps, sigma_min, sigma_max, rho))


@node("sampling/manual-schedule", title="Typed schedule", keywords=("manual sigmas",))
def typed_schedule(sigmas: str = "14.6, 5.1, 1.2, 0") -> Sigmas:
    """A schedule typed by hand.

    Args:
        sigmas: Noise levels, falling, the last one 0.
    """
    from nodes.diffusion.schedules import custom

    try:
        levels = [float(word) for word in sigmas.replace(",", " ").split()]
    except ValueError:
        raise GraphError("A schedule is numbers with commas between them, as 14.6, 5.1, 1.2, 0.", input="sigmas") from None
    return Sigmas(custom(levels))


@node("sampling/split-schedule", keywords=("split sigmas",))
def split_schedule(sigmas: Sigmas, step: Annotated[int, Range(0, 1000)] = 10) -> Split:
    """Cut a schedule in two: the first part for one sampler, the rest for another.

    Args:
        step: Steps in the first part.
    """
    from nodes.diffusion.schedules import split

    high, low = split(sigmas.values, step)
    return Split(Sigmas(high), Sigmas(low))
