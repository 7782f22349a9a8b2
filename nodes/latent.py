"""Latents before, between and after sampling: made empty, cut, turned, joined, enlarged."""

from typing import Annotated

from nodegraph.errors import GraphError
from nodegraph.node import Range, Unit, node
from nodes.types import Latent

Pixels = Annotated[int, Range(0, 16384, step=8), Unit("px")]
Side = Annotated[int, Range(16, 16384, step=8), Unit("px")]


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
