"""Light and colour of pictures: adjusted, matched, blended, softened and sharpened. Pictures are [batch, 3, height, width], sRGB in 0..1."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from nodes.pictures.masks import blurred, from_lab, lab

REC_709 = (0.2126, 0.7152, 0.0722)
REC_601 = (0.299, 0.587, 0.114)

BlendMode = Literal[
    "normal", "multiply", "screen", "overlay", "soft light", "hard light", "darken", "lighten", "difference", "exclusion",
    "add", "subtract", "dodge", "burn", "color", "luminosity",
]  # fmt: skip


def luma(pixels: Tensor, weights: tuple[float, float, float] = REC_709) -> Tensor:
    """[batch, 1, h, w]: how bright each pixel is."""
    return torch.einsum("c,bchw->bhw", torch.tensor(weights).to(pixels), pixels)[:, None]


def adjusted(
    pixels: Tensor, brightness: float = 0, contrast: float = 1, gamma: float = 1, saturation: float = 1, hue: float = 0, warmth: float = 0
) -> Tensor:
    """In this order: brightness added, contrast about middle grey, gamma, saturation and hue (degrees) at equal luma, warmth in CIELAB."""
    made = ((pixels + brightness - 0.5) * contrast + 0.5).clamp(0, 1)
    if gamma != 1:
        made = made ** (1 / gamma)
    if saturation != 1:
        made = torch.lerp(luma(made).expand_as(made), made, saturation).clamp(0, 1)
    if hue:
        made = torch.einsum("ij,bjhw->bihw", hue_rotation(hue).to(made), made).clamp(0, 1)
    if warmth:
        toward = torch.tensor([0.0, 6.0, 30.0]).view(1, 3, 1, 1).to(made)  # the way daylight takes from blue to yellow
        made = from_lab(lab(made) + warmth * toward)
    return made


def hue_rotation(degrees: float) -> Tensor:
    """[3, 3]: turns colours about the grey axis at equal Rec. 709 luma (W3C Filter Effects 1, feColorMatrix hueRotate)."""
    r, g, b = 0.213, 0.715, 0.072
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    still = torch.tensor([[r, g, b]] * 3)
    by_cosine = torch.tensor([[1 - r, -g, -b], [-r, 1 - g, -b], [-r, -g, 1 - b]])
    by_sine = torch.tensor([[-r, -g, 1 - b], [0.143, 0.140, -0.283], [r - 1, g, b]])
    return still + cosine * by_cosine + sine * by_sine


def leveled(pixels: Tensor, black: float, white: float, middle: float = 1.0) -> Tensor:
    """`black` becomes 0, `white` becomes 1, shades between them are lifted by middle > 1."""
    return ((pixels - black) / (white - black)).clamp(0, 1) ** (1 / middle)


def matched(pixels: Tensor, reference: Tensor, way: str = "spread", strength: float = 1.0) -> Tensor:
    """Colours of each picture brought to those of its reference, in CIELAB.

    way: "spread" shifts and stretches (Reinhard et al. 2001, "Color transfer between images"), "histogram" matches every shade.
    """
    source, target = lab(pixels), lab(reference)
    if way == "spread":
        mean, spread = source.mean((2, 3), keepdim=True), source.std((2, 3), keepdim=True)
        made = (source - mean) / spread.clamp_min(1e-4) * target.std((2, 3), keepdim=True) + target.mean((2, 3), keepdim=True)
    else:
        made = torch.empty_like(source)
        for b in range(len(source)):
            for c in range(3):
                made[b, c] = _same_histogram(source[b, c], target[min(b, len(target) - 1), c])
    return torch.lerp(pixels, from_lab(made), strength).clamp(0, 1)


def _same_histogram(source: Tensor, target: Tensor, bins: int = 4096) -> Tensor:
    """`source` with the spread of values that `target` has: each value goes where as many are below it."""
    shares, edges = _shares_below(source.numpy(), bins)
    wanted, places = _shares_below(target.numpy(), bins)
    return torch.from_numpy(np.interp(np.interp(source.numpy(), edges, shares), wanted, places).astype(np.float32))


def _shares_below(values: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """The share of values below each of bins + 1 edges, and the edges."""
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, bins, (low, max(high, low + 1e-4)))
    return np.concatenate([[0.0], counts.cumsum() / values.size]), edges


def sharpened(pixels: Tensor, radius: float, amount: float, threshold: float = 0.0) -> Tensor:
    """Unsharp mask: `amount` times what a blur of `radius` takes away, where it is more than `threshold`."""
    detail = pixels - blurred(pixels, radius)
    return (pixels + amount * torch.where(detail.abs() >= threshold, detail, torch.zeros_like(detail))).clamp(0, 1)


def box_blurred(pixels: Tensor, radius: int) -> Tensor:
    """The mean of (2 radius + 1)² neighbours; the border goes on as it is."""
    import cv2

    from nodes.pictures.masks import each

    side = 2 * radius + 1
    return each(pixels, lambda plane: cv2.blur(plane, (side, side), borderType=cv2.BORDER_REPLICATE))


def grained(pixels: Tensor, strength: float, size: float, color: float, generator: torch.Generator) -> Tensor:
    """Film grain: noise of standard deviation `strength` in the middle tones, less in black and white, softened to `size` pixels."""
    batch, _, height, width = pixels.shape
    grey = torch.randn(batch, 1, height, width, generator=generator)
    each_channel = torch.randn(batch, 3, height, width, generator=generator)
    noise = (1 - color) * grey + color * each_channel
    if size > 1:
        noise = _blurred_noise(noise, size / 2)
    noise = noise / noise.std().clamp_min(1e-6)
    light = luma(pixels)
    return (pixels + strength * noise * (4 * light * (1 - light)).clamp_min(0.1)).clamp(0, 1)


def _blurred_noise(noise: Tensor, sigma: float) -> Tensor:
    import cv2

    from nodes.pictures.masks import each

    return each(noise, lambda plane: cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT))


# -- blending (W3C Compositing and Blending 1, chapter 10; b = backdrop, s = source)


def blended(backdrop: Tensor, source: Tensor, mode: BlendMode) -> Tensor:
    """What `source` laid over `backdrop` gives at full opacity."""
    return _BLENDS[mode](backdrop, source).clamp(0, 1)


def _hard_light(b: Tensor, s: Tensor) -> Tensor:
    return torch.where(s <= 0.5, 2 * b * s, 1 - 2 * (1 - b) * (1 - s))


def _soft_light(b: Tensor, s: Tensor) -> Tensor:
    curve = torch.where(b <= 0.25, ((16 * b - 12) * b + 4) * b, b.clamp_min(0).sqrt())
    return torch.where(s <= 0.5, b - (1 - 2 * s) * b * (1 - b), b + (2 * s - 1) * (curve - b))


def _dodge(b: Tensor, s: Tensor) -> Tensor:
    return torch.where(b <= 0, torch.zeros_like(b), torch.where(s >= 1, torch.ones_like(b), (b / (1 - s).clamp_min(1e-9)).clamp_max(1)))


def _burn(b: Tensor, s: Tensor) -> Tensor:
    return torch.where(b >= 1, torch.ones_like(b), torch.where(s <= 0, torch.zeros_like(b), 1 - ((1 - b) / s.clamp_min(1e-9)).clamp_max(1)))


def _with_light(colors: Tensor, light: Tensor) -> Tensor:
    """`colors` moved to luma `light` and drawn towards it as far as they leave 0..1 (SetLum and ClipColor)."""
    weights = (0.3, 0.59, 0.11)
    moved = colors + (light - luma(colors, weights))
    level = luma(moved, weights)
    low, high = moved.amin(1, keepdim=True), moved.amax(1, keepdim=True)
    moved = torch.where(low < 0, level + (moved - level) * level / (level - low).clamp_min(1e-9), moved)
    return torch.where(high > 1, level + (moved - level) * (1 - level) / (high - level).clamp_min(1e-9), moved)


_BLENDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": lambda b, s: s,
    "multiply": lambda b, s: b * s,
    "screen": lambda b, s: b + s - b * s,
    "overlay": lambda b, s: _hard_light(s, b),
    "soft light": _soft_light,
    "hard light": _hard_light,
    "darken": torch.minimum,
    "lighten": torch.maximum,
    "difference": lambda b, s: (b - s).abs(),
    "exclusion": lambda b, s: b + s - 2 * b * s,
    "add": lambda b, s: b + s,
    "subtract": lambda b, s: b - s,
    "dodge": _dodge,
    "burn": _burn,
    "color": lambda b, s: _with_light(s, luma(b, (0.3, 0.59, 0.11))),
    "luminosity": lambda b, s: _with_light(b, luma(s, (0.3, 0.59, 0.11))),
}


# -- tiles


def tile_places(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one side: spread evenly, overlapping by at least `overlap`, covering all of it."""
    if tile >= length:
        return [0]
    count = math.ceil((length - overlap) / (tile - overlap))
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]


def joined_tiles(tiles: list[Tensor], places: list[tuple[int, int]], width: int, height: int, overlap: int) -> Tensor:
    """Tiles [batch, c, h, w] laid at their (x, y), fading into each other where they overlap."""
    batch, channels = tiles[0].shape[:2]
    total, weight = torch.zeros(batch, channels, height, width), torch.zeros(1, 1, height, width)
    for tile, (x, y) in zip(tiles, places, strict=True):
        h, w = tile.shape[-2:]
        fade = _fade(h, overlap)[:, None] * _fade(w, overlap)[None, :]
        total[..., y : y + h, x : x + w] += tile * fade
        weight[..., y : y + h, x : x + w] += fade
    return total / weight


def _fade(length: int, overlap: int) -> Tensor:
    place = torch.arange(length, dtype=torch.float32) + 1
    return torch.minimum(torch.minimum(place, place.flip(0)) / max(1, min(overlap, length // 2)), torch.ones(()))
