"""Nodes between pixels and latents."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

from nodegraph.node import HEADLESS, Advanced, Context, Range, Unit, node
from nodes.types import Image, Latent, Mask, Vae

if TYPE_CHECKING:
    from torch import Tensor

Tile = Annotated[int, Range(64, 4096, step=64), Unit("px"), Advanced()]


@node("latent/decode", title="Decode", keywords=("vae decode", "latent to image"))
def decode(latent: Latent, vae: Vae, tiled: bool = False, tile: Tile = 512, ctx: Context = HEADLESS) -> Image:
    """Turn a latent into a picture.

    Args:
        tiled: Decode piece by piece: large pictures with little memory. It can change tones slightly.
        tile: Size of a piece in the picture.
    """
    from nodes.devices import choose
    from nodes.diffusion import vae as numerics
    from nodes.models.memory import MODELS
    from nodes.previews import thumbnail

    if latent.sigma > 0:
        ctx.warn("This latent still has noise in it: the sampler before stopped early.")
    with MODELS.use(vae.handle, choose(ctx.device)) as model:
        pixels = numerics.decode(model.module, latent.samples, is_tiled=tiled, tile=tile, progress=ctx.progress)
    ctx.progress(1, 1, preview=partial(thumbnail, pixels))
    return Image(pixels)


@node("latent/encode", title="Encode", keywords=("vae encode", "image to latent", "img2img"))
def encode(
    image: Image, vae: Vae, mask: Mask | None = None, tiled: bool = False, tile: Tile = 512, ctx: Context = HEADLESS
) -> Latent:
    """Turn a picture into a latent, to paint on from it.

    Sides that are not a multiple of 8 are trimmed to one, equally at both ends.

    Args:
        mask: Where the sampler may paint; without it, everywhere. The rest of the picture stays as it is.
        tiled: Encode piece by piece: large pictures with little memory.
        tile: Size of a piece in the picture.
    """
    from nodes.devices import choose
    from nodes.diffusion import vae as numerics
    from nodes.models.memory import MODELS

    with MODELS.use(vae.handle, choose(ctx.device)) as model:
        scale = numerics.downscale(model.module)
        samples = numerics.encode(model.module, image.pixels, is_tiled=tiled, tile=tile, progress=ctx.progress)
    where = None if mask is None else numerics.cropped(fitted(mask, image), scale)
    return Latent(samples, where, downscale=scale)


def fitted(mask: Mask, image: Image) -> "Tensor":
    """A mask in the size of a picture: [batch, 1, height, width]."""
    import torch

    size = tuple(image.pixels.shape[-2:])
    if tuple(mask.values.shape[-2:]) == size:
        return mask.values
    return torch.nn.functional.interpolate(mask.values, size=size, mode="bilinear", align_corners=False, antialias=True)
