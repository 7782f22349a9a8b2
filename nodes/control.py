"""Nodes that hold a picture to another one: ControlNets, image prompts, reference pictures."""

from dataclasses import replace
from typing import Annotated

from nodegraph.node import Advanced, GraphError, Range, Unit, node
from nodes.types import Conditioning, ControlNet, ControlUse, Image, Mask

Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


@node("control/apply", title="Apply ControlNet", keywords=("control net", "canny", "depth", "pose", "t2i adapter"))
def apply_controlnet(
    conditioning: Conditioning,
    controlnet: ControlNet,
    image: Image,
    strength: Annotated[float, Range(0, 10, step=0.05)] = 1.0,
    start: Annotated[float, Range(0, 1, step=0.01), Unit("%"), Advanced()] = 0.0,
    end: Percent = 1.0,
    mask: Mask | None = None,
) -> Conditioning:
    """Hold the picture to the lines, depth or pose of another one. Several can be chained.

    Put it behind the positive prompt; the negative prompt is held too.

    Args:
        image: What the ControlNet was trained on, as edges from 'Canny edges'. It is fitted to the size of the picture.
        strength: 1 holds closely, 0.5 leaves room, 0 is off.
        start: Share of the steps after which it begins to hold.
        end: Share after which it lets go; 60 to 80 % leaves the fine detail to the prompt.
        mask: Where it holds; without it, everywhere.
    """
    if start >= end:
        raise GraphError("A ControlNet must start before it ends.", input="start")
    if strength == 0:
        return conditioning
    use = ControlUse(
        controlnet.handle, image.pixels, strength, (start, end), None if mask is None else mask.values[:1], controlnet.kind
    )
    return replace(conditioning, controls=(*conditioning.controls, use))
