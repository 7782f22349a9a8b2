"""Pictures in other sizes: which size, and with which filter."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nodegraph.errors import GraphError
from nodes.pictures.limits import check_size

Method = Literal["lanczos", "bicubic", "bilinear", "area", "nearest"]
Position = Literal["center", "top", "bottom", "left", "right"]

TRAINED_SIZES: dict[str, tuple[tuple[int, int], ...]] = {
    # the aspect buckets of SDXL (Podell et al. 2023, arXiv:2307.01952, appendix I), as (width, height)
    "SDXL": (
        (512, 2048), (512, 1984), (512, 1920), (512, 1856), (576, 1792), (576, 1728), (576, 1664), (640, 1600), (640, 1536), (704, 1472),
        (704, 1408), (704, 1344), (768, 1344), (768, 1280), (832, 1216), (832, 1152), (896, 1152), (896, 1088), (960, 1088), (960, 1024),
        (1024, 1024), (1024, 960), (1088, 960), (1088, 896), (1152, 896), (1152, 832), (1216, 832), (1280, 768), (1344, 768), (1344, 704),
        (1408, 704), (1472, 704), (1536, 640), (1600, 640), (1664, 576), (1728, 576), (1792, 576), (1856, 512), (1920, 512), (1984, 512),
        (2048, 512),
    ),
    # the sizes FLUX.1 Kontext was trained on (PREFERRED_KONTEXT_RESOLUTIONS of Black Forest Labs' pipeline)
    "FLUX Kontext": (
        (672, 1568), (688, 1504), (720, 1456), (752, 1392), (800, 1328), (832, 1248), (880, 1184), (944, 1104), (1024, 1024),
        (1104, 944), (1184, 880), (1248, 832), (1328, 800), (1392, 752), (1456, 720), (1504, 688), (1568, 672),
    ),
    # the sizes that Qwen-Image's model card recommends
    "Qwen-Image": ((1328, 1328), (1664, 928), (928, 1664), (1472, 1104), (1104, 1472), (1584, 1056), (1056, 1584)),
}  # fmt: skip


def trained_size(width: int, height: int, model: str) -> tuple[int, int]:
    """The (width, height) of those the model was trained on whose proportions are nearest."""
    wish = math.log(width / height)
    return min(TRAINED_SIZES[model], key=lambda size: (abs(math.log(size[0] / size[1]) - wish), size))


def rounded(value: float, multiple: int = 1) -> int:
    """The nearest multiple, halves upwards, never 0."""
    return max(1, math.floor(value / multiple + 0.5)) * multiple


def contained(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """The largest (width, height) of the same proportions inside a box. A side of 0 in the box does not limit it."""
    if not box_width and not box_height:
        raise GraphError("Width and height are both 0. Give at least one of them.")
    factors = [box / side for box, side in ((box_width, width), (box_height, height)) if box]
    factor = min(factors)
    return max(1, round(width * factor)), max(1, round(height * factor))


def covering(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """The smallest (width, height) of the same proportions that fills a box."""
    factor = max(box_width / width, box_height / height)
    return max(box_width, round(width * factor)), max(box_height, round(height * factor))


def resized(x: Tensor, width: int, height: int, method: Method = "lanczos", clamp: bool = True) -> Tensor:
    """[batch, c, h, w] in another size. Every filter but "nearest" widens when it makes smaller, so nothing flickers or gets lost.

    clamp: cut what sharp filters overshoot back to 0..1.
    """
    batch, channels = x.shape[:2]
    if x.shape[-2:] == (height, width):
        return x
    check_size(width, height, batch, channels)
    if method == "lanczos":
        return _lanczos(x, width, height).clamp(0, 1) if clamp else _lanczos(x, width, height)
    if method == "nearest":
        return F.interpolate(x, size=(height, width), mode="nearest-exact")
    if method == "area":
        return F.interpolate(x, size=(height, width), mode="area")
    made = F.interpolate(x, size=(height, width), mode=method, antialias=True)
    return made.clamp(0, 1) if clamp and method == "bicubic" else made


def _lanczos(x: Tensor, width: int, height: int) -> Tensor:
    """Pillow's Lanczos (a = 3), channel by channel in floating point, so that no shade is lost to 8 bits."""
    planes = x.reshape(-1, *x.shape[-2:]).float().cpu().numpy()
    made = np.empty((len(planes), height, width), np.float32)
    for plane, target in zip(planes, made, strict=True):
        target[:] = np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.LANCZOS))
    return torch.from_numpy(made).view(*x.shape[:2], height, width)


def window(size: tuple[int, int], wanted: tuple[int, int], position: Position = "center") -> tuple[int, int]:
    """(x, y) of a window of `wanted` (width, height) in a picture of `size`, held at one of its sides. Negative where it is larger."""
    spare_x, spare_y = size[0] - wanted[0], size[1] - wanted[1]
    x = {"left": 0, "right": spare_x}.get(position, spare_x // 2)
    y = {"top": 0, "bottom": spare_y}.get(position, spare_y // 2)
    return x, y


def cropped(x: Tensor, left: int, top: int, width: int, height: int) -> Tensor:
    """A window of [batch, c, h, w].

    Raises:
        GraphError: It reaches out of the picture.
    """
    h, w = x.shape[-2:]
    if left < 0 or top < 0 or left + width > w or top + height > h or width < 1 or height < 1:
        raise GraphError(
            f"The window of {width} × {height} at {left}, {top} reaches out of the picture, which is {w} × {h}. Move it or make it smaller."
        )
    return x[..., top : top + height, left : left + width].clone()


def reframed(
    x: Tensor, width: int, height: int, proportions: str, method: Method, position: Position = "center", background: Tensor | None = None
) -> Tensor:
    """[batch, c, h, w] brought to width × height: "stretch", "crop" (fills it), "pad" (bars of `background` [c, 1, 1]) or "fit" (may be smaller)."""
    h, w = x.shape[-2:]
    if proportions == "stretch":
        return resized(x, width, height, method)
    if proportions == "fit":
        return resized(x, *contained(w, h, width, height), method)
    if proportions == "crop":
        size = covering(w, h, width, height)
        return cropped(resized(x, *size, method), *window(size, (width, height), position), width, height)
    size = contained(w, h, width, height)
    check_size(width, height, len(x), x.shape[1])
    canvas = torch.zeros(len(x), x.shape[1], height, width) if background is None else background.expand(len(x), -1, height, width).clone()
    left, top = window((width, height), size, position)
    canvas[..., top : top + size[1], left : left + size[0]] = resized(x, *size, method)
    return canvas


def bislerp(x: Tensor, width: int, height: int) -> Tensor:
    """Latents [batch, c, h, w] in another size: directions along the sphere, lengths along a line, between neighbours of each axis.

    Keeps the statistics of latents where a bilinear mean would make them grey.
    """
    return _slerped(_slerped(x, width, 3), height, 2)


def _slerped(x: Tensor, length: int, axis: int) -> Tensor:
    old = x.shape[axis]
    if old == length:
        return x
    places = ((torch.arange(length, dtype=torch.float32) + 0.5) * old / length - 0.5).clamp(0, old - 1)
    low = places.floor().long()
    high = (low + 1).clamp_max(old - 1)
    shape = [1, 1, 1, 1]
    shape[axis] = length
    share = (places - low).view(shape).to(x)
    a, b = x.index_select(axis, low), x.index_select(axis, high)
    length_a, length_b = a.norm(dim=1, keepdim=True), b.norm(dim=1, keepdim=True)
    unit_a, unit_b = a / length_a.clamp_min(1e-12), b / length_b.clamp_min(1e-12)
    cosine = (unit_a * unit_b).sum(1, keepdim=True).clamp(-1, 1)
    angle = cosine.acos()
    flat = cosine.abs() > 1 - 1e-5  # nearly parallel or opposite: no circle is fixed, a straight line is
    sine = torch.where(flat, torch.ones_like(angle), angle.sin())
    curved = ((1 - share) * angle).sin() / sine * unit_a + (share * angle).sin() / sine * unit_b
    return torch.where(flat, torch.lerp(a, b, share), curved * torch.lerp(length_a, length_b, share))
