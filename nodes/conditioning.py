"""Nodes that turn words into guidance, and say where, when and how strongly they count."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

from nodegraph.node import HEADLESS, Advanced, Context, GraphError, Randomize, Range, Text, Unit, node
from nodes import vocabulary
from nodes.types import Conditioning, ControlUse, Image, Latent, Mask, Part, TextEncoder, Vae

Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]
Pixels = Annotated[int, Range(0, 16384, step=8), Unit("px")]


class Pair(NamedTuple):
    positive: Conditioning
    negative: Conditioning


class PairWithLatent(NamedTuple):
    positive: Conditioning
    negative: Conditioning
    latent: Latent


@node("conditioning/prompt", keywords=("clip text encode", "text", "positive", "negative"))
def prompt(
    text_encoder: TextEncoder,
    text: Annotated[str, Text(4, prompt=True)] = "",
    wildcards: Annotated[int, Range(0, 2**32 - 1), Randomize(), Advanced()] = 0,
    steps: Annotated[int, Range(1, 1000), Advanced()] = 20,
    keep_brightness: Annotated[bool, Advanced()] = False,
    ctx: Context = HEADLESS,
) -> Conditioning:
    """Turn words into guidance: what to paint, or what to stay away from.

    `(word:1.2)` weighs a word more, `(word:0.8)` less; `[old:new:0.5]` changes the prompt half way through the steps, `[a|b]` changes
    from step to step; `{a|b}` picks one by chance; `BREAK` starts a new block of words; `embedding:name` uses a textual inversion.

    Args:
        text: What to paint, the most important words first.
        wildcards: Which of the choices in `{a|b}` are taken.
        steps: Of the sampler, where words change from step to step as in `[a|b]`.
        keep_brightness: Weigh words in the way of A1111, which keeps the mean of the prompt's numbers as it was.
    """
    from nodes.devices import choose
    from nodes.diffusion import text as numerics
    from nodes.models.memory import MODELS

    with MODELS.use(text_encoder.handle, choose(ctx.device)) as model:
        if told := vocabulary.warning(text, Path(text_encoder.handle.sources[0].path)):
            ctx.warn(told)
        conds = numerics.encode(model, text, steps=steps, weighting="a1111" if keep_brightness else "comfyui", seed=wildcards)
    return Conditioning(
        tuple(Part(c.embeds.float().cpu(), None if c.pooled is None else c.pooled.float().cpu(), dict(c.extra), None, None, c.span) for c in conds)
    )


@node("conditioning/zero", title="Empty conditioning", keywords=("conditioning zero out",))
def zero_out(conditioning: Conditioning) -> Conditioning:
    """Silence a prompt: as a negative for models that were trained without one (FLUX, turbo models)."""
    from nodes.diffusion import text as numerics

    return replace(conditioning, parts=tuple(map(numerics.zero_out, conditioning.parts)))


@node("conditioning/combine", keywords=("conditioning combine", "and"))
def combine(conditionings: list[Conditioning]) -> Conditioning:
    """Let several prompts count together: their pictures are mixed at every step, each where and when it counts, and held by its own controls."""
    return Conditioning(tuple(part for c in conditionings for part in c.parts))


@node("conditioning/concat", title="Join prompts", keywords=("conditioning concat",))
def concat(first: Conditioning, second: Conditioning) -> Conditioning:
    """Put the words of a second prompt behind those of the first, as one long prompt."""
    from nodes.diffusion import text as numerics

    return _joined(first, second, numerics.concat)


@node("conditioning/average", title="Blend prompts", keywords=("conditioning average", "mix", "interpolate"))
def average(first: Conditioning, second: Conditioning, share: Percent = 0.5) -> Conditioning:
    """Blend two prompts into one that lies between them.

    Args:
        share: 0 is the first prompt alone, 100 % the second.
    """
    from nodes.diffusion import text as numerics

    return _joined(first, second, lambda one, other: numerics.average(one, other, 1 - share))


def _joined(first: Conditioning, second: Conditioning, join: Callable[[Part, Part], Part]) -> Conditioning:
    other = second.parts[0]
    if first.parts[0].embeds.shape[-1] != other.embeds.shape[-1]:
        raise GraphError("These prompts come from text encoders of different model families, so they cannot be joined.", input="second")
    return Conditioning(tuple(replace(join(part, other), controls=_both(part, other)) for part in first.parts))


def _both(first: Part, second: Part) -> tuple[ControlUse, ...]:
    return tuple(dict.fromkeys((*first.controls, *second.controls)))


@node("conditioning/area", title="Limit to area", keywords=("conditioning set area", "regional prompt"))
def area(
    conditioning: Conditioning,
    x: Percent = 0.0,
    y: Percent = 0.0,
    width: Percent = 0.5,
    height: Percent = 1.0,
    strength: Annotated[float, Range(0.01, 10, step=0.05)] = 1.0,
) -> Conditioning:
    """Let a prompt count only in a rectangle of the picture. Combine it with a prompt for the whole.

    Args:
        x: Left side of the rectangle, as a share of the picture.
        y: Upper side.
        width: Share of the width.
        height: Share of the height.
        strength: Share against other prompts at the same place.
    """
    if width == 0 or height == 0:
        raise GraphError("The area is empty. Give it a width and a height.", input="width")
    return conditioning.changed(area=(x, y, min(width, 1 - x), min(height, 1 - y)), weight=strength)


@node("conditioning/mask", title="Limit to mask", keywords=("conditioning set mask", "regional prompt"))
def limit_to_mask(conditioning: Conditioning, mask: Mask, strength: Annotated[float, Range(0.01, 10, step=0.05)] = 1.0) -> Conditioning:
    """Let a prompt count only where a mask is painted. Combine it with a prompt for the whole.

    Args:
        strength: Share against other prompts at the same place.
    """
    return conditioning.changed(region=mask.values, weight=strength)


@node("conditioning/range", title="Limit to steps", keywords=("conditioning set timestep range", "prompt schedule"))
def limit_to_steps(conditioning: Conditioning, start: Percent = 0.0, end: Percent = 1.0) -> Conditioning:
    """Let a prompt count only in a part of the steps: early steps make the composition, late ones the detail.

    Args:
        start: Share of the steps after which it begins to count.
        end: Share after which it no longer does.
    """
    if start >= end:
        raise GraphError("A prompt must start before it ends.", input="start")
    return conditioning.changed(span=(start, end), clock="steps")


@node("conditioning/sdxl-size", title="SDXL size", keywords=("clip text encode sdxl", "crop", "aesthetic"))
def sdxl_size(
    conditioning: Conditioning,
    width: Pixels = 1024,
    height: Pixels = 1024,
    crop_x: Pixels = 0,
    crop_y: Pixels = 0,
    target_width: Annotated[int, Range(0, 16384, step=8), Unit("px"), Advanced()] = 0,
    target_height: Annotated[int, Range(0, 16384, step=8), Unit("px"), Advanced()] = 0,
    aesthetic: Annotated[float, Range(0, 10, step=0.1), Advanced()] = 6.0,
) -> Conditioning:
    """Tell SDXL how large and how cropped the picture would have been in its training.

    Without this node it is told the size of the picture.

    Args:
        width: Larger than the picture gives finer detail, smaller gives the softness of enlarged pictures.
        height: As width.
        crop_x: 0 shows whole things; more lets them be cut off at the left.
        crop_y: The same at the top.
        target_width: Size of the picture itself; 0 takes that of the latent.
        target_height: As target_width.
        aesthetic: For the refiner: 6 for the positive, 2.5 for the negative prompt.
    """
    sizes = {"size": (height, width), "crop": (crop_y, crop_x), "target": (target_height, target_width), "aesthetic": aesthetic}
    return _told(conditioning, sdxl=sizes)


@node("conditioning/guidance", title="Distilled guidance", keywords=("flux guidance",))
def distilled_guidance(conditioning: Conditioning, guidance: Annotated[float, Range(0, 100, step=0.1)] = 3.5) -> Conditioning:
    """How closely FLUX follows the prompt, told to the model itself. The sampler's own guidance stays at 1.

    Args:
        guidance: 3.5 is usual, 2 looks more natural, 30 for FLUX Fill.
    """
    return _told(conditioning, guidance=guidance)


@node("conditioning/reference", title="Reference picture", keywords=("reference latent", "kontext", "edit"))
def reference(conditioning: Conditioning, latent: Latent) -> Conditioning:
    """Show an editing model (FLUX Kontext, FLUX.2) the picture that the words speak about. Chain it for several pictures."""
    parts = tuple(replace(p, extra={**p.extra, "refs": [*p.extra.get("refs", []), latent.samples]}) for p in conditioning.parts)
    return replace(conditioning, parts=parts)


@node("conditioning/inpaint", title="Inpaint model input", keywords=("inpaint model conditioning", "vae encode for inpaint"))
def inpaint_model(
    positive: Conditioning, negative: Conditioning, vae: Vae, image: Image, mask: Mask, keep_outside: bool = True, ctx: Context = HEADLESS
) -> PairWithLatent:
    """Show an inpainting model (9 channels, or FLUX Fill) the picture with its hole. Use it with denoise at 1.

    Args:
        mask: 1 where it shall paint.
        keep_outside: Also hold the latent outside of the mask exactly.
    """
    import torch

    from nodes.diffusion.vae import cropped
    from nodes.vae import encode, fitted

    latent = encode(image, vae, None, ctx=ctx)
    painted = fitted(mask, image)
    hole = (painted > 0.5).float()
    masked = encode(Image((image.pixels - 0.5) * (1 - hole) + 0.5), vae, None, ctx=ctx).samples
    if vae.handle.family == "flux1":  # FLUX Fill sees every pixel of the mask, as channels behind the picture
        folded = torch.nn.functional.pixel_unshuffle(cropped(hole, latent.downscale), latent.downscale)
        concat = torch.cat([masked, folded.expand(masked.shape[0], -1, -1, -1)], dim=1)
    else:
        small = torch.nn.functional.interpolate(cropped(hole, latent.downscale), size=masked.shape[-2:], mode="nearest")
        concat = torch.cat([small.expand(masked.shape[0], -1, -1, -1), masked], dim=1)
    kept = cropped(painted, latent.downscale) if keep_outside else None
    return PairWithLatent(_told(positive, concat=concat), _told(negative, concat=concat), replace(latent, mask=kept))


@node("conditioning/instruct", title="Instruct input", keywords=("instruct pix2pix", "ip2p", "edit"))
def instruct(positive: Conditioning, negative: Conditioning, vae: Vae, image: Image, ctx: Context = HEADLESS) -> PairWithLatent:
    """Show an instruct-pix2pix model the picture that it shall change; write the change as the prompt, as "make it snow".

    FLUX Canny and Depth take what holds their picture in the same way: edges, or a depth map.
    """
    import torch

    from nodes.devices import choose
    from nodes.diffusion import vae as numerics
    from nodes.models.memory import MODELS

    with MODELS.use(vae.handle, choose(ctx.device)) as model:
        scale = numerics.downscale(model.module)
        latents = numerics.encode(model.module, image.pixels)
        if vae.handle.family != "flux1":
            latents = latents / model.module.config.scaling_factor  # as instruct-pix2pix was trained: unscaled
    empty = Latent(torch.zeros_like(latents), downscale=scale, empty=True)
    return PairWithLatent(_told(positive, concat=latents), _told(negative, concat=latents), empty)


def _told(conditioning: Conditioning, **extra: object) -> Conditioning:
    """The same with something more that the model is told."""
    return replace(conditioning, parts=tuple(replace(part, extra={**part.extra, **extra}) for part in conditioning.parts))
