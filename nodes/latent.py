"""Latents before, between and after sampling: made empty, cut, turned, joined, enlarged."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from nodegraph.errors import GraphError
from nodegraph.node import HEADLESS, Advanced, Context, File, Randomize, Range, Unit, node
from nodes.image import Size
from nodes.types import Latent, Mask

Side = Annotated[int, Range(16, 16384, step=8), Unit("px")]
Place = Annotated[int, Range(0, 16384, step=8), Unit("px")]
Method = Literal["bislerp", "bicubic", "bilinear", "area", "nearest"]


@node("latent/empty", keywords=("size", "width", "height", "blank", "canvas", "batch"))
def empty_latent(width: Side = 512, height: Side = 512, batch: Annotated[int, Range(1, 4096)] = 1) -> Latent:
    """An empty canvas of this size, to paint a new picture on. It fits every model.

    Args:
        width: Of the picture to come, in steps of 8 pixels. Models paint best at the size they were trained on: 512 for
            Stable Diffusion 1.x, 1024 for SDXL and newer ones.
        height: As the width. A tall picture is made by less width and more height.
        batch: How many pictures to paint at once, each different.
    """
    import torch

    from nodes.pictures.limits import check_size

    for name, side in (("width", width), ("height", height)):
        if side % 8:
            raise GraphError(
                f"The {name} is {side}. It must be a multiple of 8, for example {side // 8 * 8 or 8} or {side // 8 * 8 + 8}.", input=name
            )
    check_size(width, height, batch)
    return Latent(torch.zeros(batch, 4, height // 8, width // 8), empty=True)


@node("latent/size", title="Latent size", keywords=("width", "height", "batch", "dimensions"))
def latent_size(latent: Latent) -> Size:
    """Tell how wide and high the picture in a latent is, in pixels, and how many there are in the batch."""
    batch, _, h, w = latent.samples.shape
    return Size(w * latent.downscale, h * latent.downscale, batch)


# -- where to paint


@node("latent/set-mask", title="Set latent mask", keywords=("inpaint", "noise mask", "repaint", "region"))
def set_latent_mask(latent: Latent, mask: Mask, ctx: Context = HEADLESS) -> Latent:
    """Let a sampler paint only where the mask is; the rest stays as it is in the latent.

    Args:
        mask: 1 = repaint. Grey repaints partly. Of the size of the picture, or of its proportions.
    """
    from nodes.pictures.limits import fitted_mask

    batch, _, h, w = latent.samples.shape
    if not mask.values.any():
        ctx.warn("The mask is empty, so nothing will be repainted. Paint something, or leave the mask away.")
    return replace(latent, mask=fitted_mask(mask.values, (h * latent.downscale, w * latent.downscale), batch))


@node("latent/remove-mask", title="Remove latent mask", keywords=("inpaint", "noise mask", "clear"))
def remove_latent_mask(latent: Latent) -> Latent:
    """Let a sampler paint everywhere again."""
    return replace(latent, mask=None)


@node("latent/get-mask", title="Mask of latent", keywords=("inpaint", "noise mask", "extract"))
def mask_of_latent(latent: Latent) -> Mask:
    """The mask that a latent carries; all of it where it carries none."""
    import torch

    if latent.mask is not None:
        return Mask(latent.mask)
    h, w = latent.samples.shape[-2:]
    return Mask(torch.ones(1, 1, h * latent.downscale, w * latent.downscale))


# -- batches


@node("latent/from-batch", title="Latents from batch", keywords=("pick", "select", "index", "slice"))
def latents_from_batch(latent: Latent, first: Annotated[int, Range(-4096, 4096)] = 0, count: Annotated[int, Range(1, 4096)] = 1) -> Latent:
    """Take some pictures out of a batch, for example the one you like, to go on with it. Each keeps its own noise.

    Args:
        first: Number of the first one, counted from 0. Negative counts from the end: -1 is the last.
        count: How many to take.
    """
    from nodes.pictures.pads import batch_slice

    batch = len(latent.samples)
    chosen = batch_slice(batch, first, count)
    mask = latent.mask[chosen] if latent.mask is not None and len(latent.mask) == batch and batch > 1 else latent.mask
    return replace(latent, samples=latent.samples[chosen].clone(), mask=mask, first=latent.first + chosen.start)


@node("latent/repeat", title="Repeat latent", keywords=("copies", "batch", "duplicate", "variations"))
def repeat_latent(latent: Latent, times: Annotated[int, Range(1, 4096)] = 2) -> Latent:
    """Make several copies of a latent, to paint as many variations of a picture at once.

    Args:
        times: How many copies.
    """
    from nodes.pictures.limits import check_size

    batch, _, h, w = latent.samples.shape
    check_size(w * latent.downscale, h * latent.downscale, batch * times)
    mask = latent.mask.repeat(times, 1, 1, 1) if latent.mask is not None and len(latent.mask) > 1 else latent.mask
    return replace(latent, samples=latent.samples.repeat(times, 1, 1, 1), mask=mask)


@node("latent/batch", title="Batch latents", keywords=("combine", "join", "list to batch", "merge"))
def batch_latents(latents: list[Latent]) -> Latent:
    """Put several latents of one size into one batch, to sample or decode them together.

    Args:
        latents: Latents, batches of them, or a list.
    """
    import torch

    if not latents:
        raise GraphError("There is no latent to put into a batch. Connect at least one.", input="latents")
    first = latents[0]
    for number, latent in enumerate(latents[1:], 2):
        _check_alike(first, latent, "the first latent", f"latent {number}", same_shape=True)
    mask = None
    if any(latent.mask is not None for latent in latents):
        masks = []
        for latent in latents:
            h, w = latent.samples.shape[-2:]
            values = torch.ones(1, 1, h * latent.downscale, w * latent.downscale) if latent.mask is None else latent.mask
            masks.append(values.expand(len(latent.samples), -1, -1, -1))
        mask = torch.cat(masks)
    samples = torch.cat([latent.samples for latent in latents])
    return replace(first, samples=samples, mask=mask, empty=all(latent.empty for latent in latents))


@node("latent/to-list", title="Latent batch to list", keywords=("split", "for each", "unbatch", "loop"))
def latent_batch_to_list(latent: Latent) -> list[Latent]:
    """Take a batch apart: what follows runs once for each latent, with less memory. 'Batch latents' puts them together again."""
    return [latents_from_batch(latent, i, 1) for i in range(len(latent.samples))]


# -- kept in files


@node("latent/save", sink=True, title="Save latent", keywords=("write", "export", "file"))
def save_latent(latent: Latent, name: str = "latent", ctx: Context = HEADLESS) -> None:
    """Write a latent to your output folder, to go on with it in another graph or on another day.

    Args:
        name: Name of the file, with sub-folders as in "foxes/anna". It gets the next free number.
    """
    from nodes.pictures.files import encode_latent

    ctx.save(name, ".latent", encode_latent(latent.samples, latent.mask, latent.downscale, latent.sigma, latent.first))


@node("latent/load", title="Load latent", keywords=("open", "file", "import"))
def load_latent(file: Annotated[Path, File("output", (".latent",))]) -> Latent:
    """Bring in a latent that 'Save latent' wrote. Use it with a model of the same kind.

    Args:
        file: A .latent file from your output folder.
    """
    from nodes.pictures.files import read_latent

    samples, mask, downscale, sigma, first = read_latent(file)
    return Latent(samples, mask, downscale, sigma, first=first)


# -- size and place


@node("latent/upscale", title="Resize latent", keywords=("scale", "enlarge", "hires fix", "size"))
def resize_latent(
    latent: Latent,
    width: Annotated[int, Range(0, 16384, step=8), Unit("px")] = 1024,
    height: Annotated[int, Range(0, 16384, step=8), Unit("px")] = 1024,
    method: Method = "bislerp",
    crop: bool = False,
    ctx: Context = HEADLESS,
) -> Latent:
    """Bring a latent to a size, to paint it finer in a second pass. Sample it again with a strength of about 0.5 afterwards.

    Args:
        width: Of the picture, in steps of 8 pixels. 0 takes what follows from the height.
        height: As the width.
        method: "bislerp" keeps contrast best, "nearest" is crisp and leaves the sampler more to invent.
        crop: Cut off what is over instead of squeezing, when the proportions differ.
    """
    from nodes.pictures.resize import contained, covering, window

    step = latent.downscale
    h, w = latent.samples.shape[-2:]
    if not width or not height:
        width, height = (side // step * step or step for side in contained(w * step, h * step, width, height))
    _check_multiple(step, width=width, height=height)
    wide, high = width // step, height // step
    if crop:
        size = covering(w, h, wide, high)
        x, y = window(size, (wide, high))
        made = _scaled(latent, *size, method, ctx)
        return _window(made, x, y, wide, high)
    return _scaled(latent, wide, high, method, ctx)


@node("latent/scale", title="Scale latent", keywords=("upscale", "enlarge", "hires fix", "factor", "by"))
def scale_latent(
    latent: Latent, factor: Annotated[float, Range(0.05, 8, step=0.25, log=True)] = 1.5, method: Method = "bislerp", ctx: Context = HEADLESS
) -> Latent:
    """Make a latent so many times as large on each side, to paint it finer in a second pass.

    Args:
        factor: 1.5 or 2 is usual. Sample it again with a strength of about 0.5 afterwards.
        method: "bislerp" keeps contrast best, "nearest" is crisp and leaves the sampler more to invent.
    """
    from nodes.pictures.resize import rounded

    h, w = latent.samples.shape[-2:]
    return _scaled(latent, rounded(w * factor), rounded(h * factor), method, ctx)


def _scaled(latent: Latent, wide: int, high: int, method: Method, ctx: Context) -> Latent:
    from nodes.pictures.limits import check_size
    from nodes.pictures.resize import bislerp, resized

    step = latent.downscale
    check_size(wide * step, high * step, len(latent.samples))
    if latent.sigma > 0:
        ctx.warn(
            "This latent still has noise in it, and scaled noise is no longer what a sampler expects. Let the sampler before finish first."
        )
    x = latent.samples
    if x.shape[-2:] == (high, wide):
        return latent
    samples = bislerp(x, wide, high) if method == "bislerp" else resized(x, wide, high, method, clamp=False)
    mask = None if latent.mask is None else resized(latent.mask, wide * step, high * step, "bilinear")
    return replace(latent, samples=samples, mask=mask)


@node("latent/crop", title="Crop latent", keywords=("cut", "window", "region"))
def crop_latent(latent: Latent, x: Place = 0, y: Place = 0, width: Side = 512, height: Side = 512) -> Latent:
    """Cut a window out of a latent, in pixels of the picture.

    Args:
        x: Left edge of the window, in steps of 8.
        y: Top edge of the window, in steps of 8.
        width: Of the window, in steps of 8.
        height: Of the window, in steps of 8.
    """
    step = latent.downscale
    _check_multiple(step, x=x, y=y, width=width, height=height)
    h, w = latent.samples.shape[-2:]
    if x + width > w * step or y + height > h * step:
        raise GraphError(
            f"The window of {width} × {height} at {x}, {y} reaches out of the picture, which is {w * step} × {h * step}. Move it or make it smaller.",
            input="x",
        )
    return _window(latent, x // step, y // step, width // step, height // step)


def _window(latent: Latent, x: int, y: int, wide: int, high: int) -> Latent:
    step = latent.downscale
    samples = latent.samples[..., y : y + high, x : x + wide].clone()
    mask = latent.mask
    if mask is not None:
        mask = mask[..., y * step : (y + high) * step, x * step : (x + wide) * step].clone()
    return replace(latent, samples=samples, mask=mask)


@node("latent/flip", title="Flip latent", keywords=("mirror",))
def flip_latent(latent: Latent, direction: Literal["left to right", "upside down"] = "left to right") -> Latent:
    """Mirror a latent. What it shows is mirrored with small flaws, which another sampling pass takes away.

    Args:
        direction: Which sides to swap.
    """
    axis = -1 if direction == "left to right" else -2
    return replace(latent, samples=latent.samples.flip(axis), mask=None if latent.mask is None else latent.mask.flip(axis))


@node("latent/rotate", title="Rotate latent", keywords=("turn", "quarter"))
def rotate_latent(latent: Latent, angle: Literal["90", "180", "270"] = "90") -> Latent:
    """Turn a latent clockwise by quarter turns. Small flaws go away in another sampling pass.

    Args:
        angle: In degrees.
    """
    turns = -int(angle) // 90 % 4
    samples = latent.samples.rot90(turns, (-2, -1)).clone()
    return replace(latent, samples=samples, mask=None if latent.mask is None else latent.mask.rot90(turns, (-2, -1)).clone())


# -- together


@node("latent/composite", title="Composite latent", keywords=("paste", "overlay", "layer", "combine"))
def composite_latent(
    background: Latent,
    latent: Latent,
    x: Place = 0,
    y: Place = 0,
    feather: Annotated[int, Range(0, 4096, step=8), Unit("px")] = 0,
    mask: Mask | None = None,
) -> Latent:
    """Lay a latent over another one, in pixels of the picture. What reaches out is cut off.

    Args:
        background: The latent below; it gives the size.
        latent: The latent to lay on it.
        x: Left edge on the background, in steps of 8.
        y: Top edge on the background, in steps of 8.
        feather: How far the inner edges fade into the background; edges on the border of the picture do not. 64 is usual.
        mask: Where the upper one is seen; of its size.
    """
    from nodes.pictures.limits import fitted_mask, paired
    from nodes.pictures.masks import edge_ramps
    from nodes.pictures.pads import pasted
    from nodes.pictures.resize import resized

    _check_alike(background, latent, "'background'", "'latent'")
    step = background.downscale
    _check_multiple(step, x=x, y=y)
    below = background.samples
    if below.shape[1] != latent.samples.shape[1]:  # an empty one takes the channels of what is laid on it
        below = below.new_zeros(len(below), latent.samples.shape[1], *below.shape[-2:])
    below, above = paired(below, latent.samples, "background", "latent")
    h, w = above.shape[-2:]
    left, top, fade = x // step, y // step, feather // step
    right, bottom = below.shape[-1] - left - w, below.shape[-2] - top - h
    cover = edge_ramps(h, w, fade * (left > 0), fade * (top > 0), fade * (right > 0), fade * (bottom > 0))
    if mask is not None:
        values = fitted_mask(mask.values, (h * step, w * step), len(above))
        cover = cover * resized(values, w, h, "area")
    samples = pasted(below, above, cover, left, top)
    return replace(background, samples=samples, empty=background.empty and latent.empty)


@node("latent/blend", title="Blend latents", keywords=("mix", "lerp", "slerp", "interpolate", "morph"))
def blend_latents(
    first: Latent,
    second: Latent,
    share: Annotated[float, Range(0, 1, step=0.01), Unit("%")] = 0.5,
    way: Annotated[Literal["straight", "sphere"], Advanced()] = "straight",
) -> Latent:
    """Mix two latents of one size. Sample the mix again to make one picture of it.

    Args:
        share: How much of the second one: 0 % is the first, 100 % the second.
        way: "sphere" keeps the contrast that a straight mix loses.
    """
    import torch

    from nodes.diffusion.noise import slerp
    from nodes.pictures.limits import paired

    _check_alike(first, second, "'first'", "'second'", same_shape=True)
    a, b = paired(first.samples, second.samples, "first", "second")
    samples = torch.lerp(a, b, share) if way == "straight" else slerp(a, b, share)
    return replace(first, samples=samples, empty=first.empty and second.empty)


@node("latent/add-noise", title="Add noise to latent", keywords=("inject", "texture", "detail", "variation", "unsample"))
def add_noise_to_latent(
    latent: Latent,
    strength: Annotated[float, Range(0, 20, step=0.01)] = 0.1,
    seed: Annotated[int, Range(0, 2**64 - 1), Randomize()] = 0,
    mask: Mask | None = None,
) -> Latent:
    """Mix a little noise into a latent, so that a second pass finds something to make details of.

    Args:
        strength: Standard deviation of the noise. 0.05 to 0.2 gives texture, 1 hides the picture.
        seed: Another number gives other noise.
        mask: Where to add it; everywhere without it.
    """
    from nodes.diffusion.noise import initial, inject
    from nodes.pictures.limits import fitted_mask
    from nodes.pictures.resize import resized

    batch, _, h, w = latent.samples.shape
    where = None
    if mask is not None:
        where = resized(fitted_mask(mask.values, (h * latent.downscale, w * latent.downscale), batch), w, h, "area")
    noise = initial(latent.samples.shape, seed, range(latent.first, latent.first + batch) if latent.first else None)
    return replace(latent, samples=inject(latent.samples, noise, strength, where), empty=False)


def _check_multiple(step: int, **sides: int) -> None:
    for name, side in sides.items():
        if side % step:
            raise GraphError(
                f"'{name}' is {side}. Latents of this model need a multiple of {step}, for example {side // step * step} or {side // step * step + step}.",
                input=name,
            )


def _check_alike(a: Latent, b: Latent, a_name: str, b_name: str, same_shape: bool = False) -> None:
    """Two latents that are to be joined: of one kind of model, equally noisy, and if asked for of one size."""
    if a.downscale != b.downscale or (a.samples.shape[1] != b.samples.shape[1] and not (a.empty and not same_shape)):
        raise GraphError(
            f"{a_name} and {b_name} come from models of different kinds ({a.samples.shape[1]} and {b.samples.shape[1]} channels). Use one model for both, or join them as pictures."
        )
    if abs(a.sigma - b.sigma) > 1e-4 * max(a.sigma, b.sigma, 1e-4):
        raise GraphError(
            f"{a_name} and {b_name} hold different amounts of noise (σ {a.sigma:.3g} and {b.sigma:.3g}). Let both samplers stop at the same step."
        )
    if same_shape and a.samples.shape[-2:] != b.samples.shape[-2:]:
        h, w, high, wide = (side * a.downscale for side in (*a.samples.shape[-2:], *b.samples.shape[-2:]))
        raise GraphError(f"{a_name} is {w} × {h}, {b_name} is {wide} × {high}. Both must have one size. Use 'Resize latent'.")
