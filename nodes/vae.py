"""Nodes between pixels and latents."""

from typing import Annotated

from nodegraph.node import HEADLESS, Advanced, Context, GraphError, Range, Unit, node
from nodes.types import Image, Latent, Mask, Vae

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

    if latent.sigma > 0:
        ctx.warn("This latent still has noise in it: the sampler before stopped early.")
    with MODELS.use(vae.handle, choose(ctx.device)) as model:
        pixels = numerics.decode(model.module, latent.samples, tile=tile if tiled else None)
    return Image(pixels.float().cpu())


@node("latent/encode", title="Encode", keywords=("vae encode", "image to latent", "img2img"))
def encode(
    image: Image, vae: Vae, mask: Mask | None = None, tiled: bool = False, tile: Tile = 512, ctx: Context = HEADLESS
) -> Latent:
    """Turn a picture into a latent, to paint on from it.

    Sides that are not a multiple of 8 are trimmed at the right and bottom.

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
        pixels = trimmed(image, scale)
        samples = numerics.encode(model.module, pixels, tile=tile if tiled else None)
    return Latent(samples.float().cpu(), mask=fitted(mask, pixels) if mask is not None else None, downscale=scale)


def trimmed(image: Image, scale: int):
    """The pixels with sides that the VAE can halve: multiples of its scale."""
    h, w = image.pixels.shape[-2:]
    if h < scale or w < scale:
        raise GraphError(f"The picture is {w} × {h}. It must be at least {scale} × {scale} to be encoded.", input="image")
    return image.pixels[..., : h - h % scale, : w - w % scale]


def fitted(mask: Mask, pixels):
    """A mask in the size of the pixels."""
    import torch

    size = tuple(pixels.shape[-2:])
    if tuple(mask.values.shape[-2:]) == size:
        return mask.values
    return torch.nn.functional.interpolate(mask.values, size=size, mode="bilinear", align_corners=False, antialias=True)
