"""Masks grown, softened, drawn and joined. All are [batch, 1, height, width] in 0..1."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Callable

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.errors import GraphError
from nodes.pictures.limits import MAX_PIXELS


def each(values: Tensor, change: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Every plane of [batch, c, h, w] through a function of float32 arrays [h, w]."""
    planes = values.reshape(-1, *values.shape[-2:]).float().numpy()
    made = np.stack([change(np.ascontiguousarray(plane)) for plane in planes]).astype(np.float32)
    return torch.from_numpy(made).view(*values.shape[:2], *made.shape[-2:])


def grown(values: Tensor, pixels: int, shape: str = "round") -> Tensor:
    """Grow (or with negative pixels shrink) by true dilation. shape: "round", "square" or "diamond" (tapered corners).

    Beyond the border there is nothing to grow from and nothing that eats in, so a mask at the edge stays at the edge.
    """
    if pixels == 0:
        return values
    if pixels < 0:
        return 1 - grown(1 - values, -pixels, shape)
    return each(values, lambda plane: _dilated(plane, pixels, shape))


def _dilated(plane: np.ndarray, radius: int, shape: str) -> np.ndarray:
    height, width = plane.shape
    if shape == "square":
        row = np.ones((1, 2 * min(radius, width) + 1), np.uint8)
        column = np.ones((2 * min(radius, height) + 1, 1), np.uint8)
        return np.asarray(cv2.dilate(cv2.dilate(plane, row), column))
    if shape == "round" and bool(((plane == 0) | (plane == 1)).all()):
        if not plane.any():
            return plane
        distance = cv2.distanceTransform((plane == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(np.rint(distance.astype(np.float64) ** 2) <= radius * radius, dtype=np.float32)
    # grey values: the largest over the rows of the shape, each of which is a run
    made, run, before = plane.copy(), plane, 0
    for dy in range(min(radius, height - 1), -1, -1):
        half = radius - dy if shape == "diamond" else math.isqrt(radius * radius - dy * dy)
        if half != before:
            run, before = cv2.dilate(plane, np.ones((1, 2 * min(half, width) + 1), np.uint8)), half
        np.maximum(made[dy:], run[: height - dy], out=made[dy:])
        np.maximum(made[: height - dy], run[dy:], out=made[: height - dy])
    return made


def blurred(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; the border goes on as it is, so a mask at the edge does not fade there.

    From 16 pixels on it is worked out on a smaller picture: 100 times as fast at 256 pixels, and equal to 0.001.
    """
    if sigma <= 0:
        return values
    if sigma >= 16:
        return _widely_blurred(values, sigma)
    return each(values, lambda plane: cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)).clamp(0, 1)


def _widely_blurred(values: Tensor, sigma: float) -> Tensor:
    cell = int(sigma / 8)
    h, w = values.shape[-2:]
    # one cell more on each side, so that the outermost ones hold nothing but what goes on beyond the border
    wide = functional.pad(values, (cell, cell + -w % cell, cell, cell + -h % cell), mode="replicate")
    small = functional.avg_pool2d(wide, cell)
    # a mean over a cell and the straight line between cells blur too, by c² / 12 and c² / 6 of variance
    rest = math.sqrt(sigma**2 - cell**2 / 4) / cell
    small = each(small, lambda plane: cv2.GaussianBlur(plane, (0, 0), rest, borderType=cv2.BORDER_REPLICATE))
    large = functional.interpolate(small, size=wide.shape[-2:], mode="bilinear")
    return large[..., cell : cell + h, cell : cell + w].clamp(0, 1)


def feathered(values: Tensor, radius: float, side: str = "both") -> Tensor:
    """A soft edge about `radius` wide. side: "both", "inside" (nothing outside the mask changes) or "outside" (all of it stays)."""
    if radius <= 0:
        return values
    sigma = radius / 2
    if side == "inside":
        return torch.minimum(values, blurred(grown(values, -round(radius)), sigma))
    if side == "outside":
        return torch.maximum(values, blurred(grown(values, round(radius)), sigma))
    return blurred(values, sigma)


def edge_ramps(height: int, width: int, left: int, top: int, right: int, bottom: int) -> Tensor:
    """[1, 1, height, width]: 1 inside, falling in a straight line towards each border over so many pixels."""

    def ramp(length: int, first: int, last: int) -> Tensor:
        made = torch.ones(length)
        place = torch.arange(length, dtype=torch.float32) + 1
        if first:
            made = torch.minimum(made, place / first)
        if last:
            made = torch.minimum(made, place.flip(0) / last)
        return made

    return (ramp(height, top, bottom)[:, None] * ramp(width, left, right)[None, :])[None, None]


def ellipse(width: int, height: int, x: float, y: float, w: float, h: float, angle: float = 0.0) -> Tensor:
    """[1, 1, height, width]: an ellipse in the box at (x, y) of size w × h pixels, turned clockwise by `angle` degrees, smooth by one pixel."""
    along, across = _turned(width, height, x + w / 2, y + h / 2, angle)
    a, b = max(w / 2, 1e-6), max(h / 2, 1e-6)
    radius = torch.sqrt((along / a) ** 2 + (across / b) ** 2)
    slope = torch.sqrt((along / a**2) ** 2 + (across / b**2) ** 2).clamp_min(1e-9) / radius.clamp_min(1e-9)
    # first-order distance to the rim, in pixels (Taubin 1994)
    distance = (radius - 1) / slope
    return (0.5 - distance).clamp(0, 1)[None, None]


def rectangle(width: int, height: int, x: float, y: float, w: float, h: float, angle: float = 0.0, radius: float = 0.0) -> Tensor:
    """[1, 1, height, width]: a box at (x, y) of size w × h pixels with corners of `radius`, turned clockwise, smooth by one pixel."""
    along, across = _turned(width, height, x + w / 2, y + h / 2, angle)
    radius = min(radius, w / 2, h / 2)
    dx, dy = along.abs() - (w / 2 - radius), across.abs() - (h / 2 - radius)
    distance = torch.sqrt(dx.clamp_min(0) ** 2 + dy.clamp_min(0) ** 2) + torch.maximum(dx, dy).clamp_max(0) - radius
    return (0.5 - distance).clamp(0, 1)[None, None]


def _turned(width: int, height: int, x: float, y: float, angle: float) -> tuple[Tensor, Tensor]:
    dx = (torch.arange(width, dtype=torch.float32) + 0.5 - x)[None, :]
    dy = (torch.arange(height, dtype=torch.float32) + 0.5 - y)[:, None]
    turn = math.radians(angle)
    return dx * math.cos(turn) + dy * math.sin(turn), dy * math.cos(turn) - dx * math.sin(turn)


def gradient(width: int, height: int, kind: str, start: float, end: float, angle: float = 0.0) -> Tensor:
    """[1, 1, height, width]: 0 before `start`, 1 after `end`, straight between them.

    kind: "linear" along `angle` (0 = left to right, 90 = top to bottom) or "radial" from the middle to the corners.
    start, end: fractions of the way across; with end < start it falls.
    """
    x = ((torch.arange(width, dtype=torch.float32) + 0.5) / width - 0.5)[None, :]
    y = ((torch.arange(height, dtype=torch.float32) + 0.5) / height - 0.5)[:, None]
    if kind == "radial":
        way = torch.sqrt(x**2 + y**2) / math.sqrt(0.5)
    else:
        turn = math.radians(angle)
        reach = abs(math.cos(turn)) + abs(math.sin(turn))
        way = (x * math.cos(turn) + y * math.sin(turn)) / reach + 0.5
    if start == end:
        return (way >= start).float()[None, None]
    return ((way - start) / (end - start)).clamp(0, 1)[None, None]


def from_color(pixels: Tensor, color: Tensor, tolerance: float, softness: float) -> Tensor:
    """Where pixels [batch, 3, h, w] are like `color` [3, 1, 1]: 1 up to `tolerance`, falling to 0 over `softness`.

    Distance is CIE76 in CIELAB divided by 100, so equal steps look equally different; black to white is 1.
    """
    distance = (lab(pixels) - lab(color[None])).norm(dim=1, keepdim=True) / 100
    if softness <= 0:
        return (distance <= tolerance).float()
    return (1 - (distance - tolerance) / softness).clamp(0, 1)


def lab(pixels: Tensor) -> Tensor:
    """sRGB [batch, 3, h, w] in 0..1 as CIELAB (D65): L in 0..100 (IEC 61966-2-1, CIE 15:2004)."""
    linear = torch.where(pixels <= 0.04045, pixels / 12.92, ((pixels.clamp_min(0) + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,bjhw->bihw", _TO_XYZ.to(pixels), linear) / _WHITE.to(pixels).view(1, 3, 1, 1)
    f = torch.where(xyz > (6 / 29) ** 3, xyz.clamp_min(1e-9) ** (1 / 3), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = f.unbind(1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def from_lab(values: Tensor) -> Tensor:
    """The inverse of `lab`; colours that sRGB does not have are cut to 0..1."""
    lightness, a, b = values.unbind(1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE.to(values).view(1, 3, 1, 1)
    linear = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(_TO_XYZ).to(values), xyz).clamp(0, 1)
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp_min(1e-9) ** (1 / 2.4) - 0.055).clamp(0, 1)


_TO_XYZ = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
_WHITE = torch.tensor([0.95047, 1.0, 1.08883])


def without_specks(values: Tensor, area: int) -> Tensor:
    """Islands of fewer than `area` pixels (above one half) taken away."""

    def clean(plane: np.ndarray) -> np.ndarray:
        _, labels, stats, _ = cv2.connectedComponentsWithStats((plane > 0.5).astype(np.uint8), connectivity=8)
        small = stats[:, cv2.CC_STAT_AREA] < area
        small[0] = False  # the ground
        return np.where(small[labels], 0, plane)

    return each(values, clean)


def without_holes(values: Tensor, area: int) -> Tensor:
    """Holes of fewer than `area` pixels filled; 0 fills all that do not touch the border."""

    def fill(plane: np.ndarray) -> np.ndarray:
        _, labels, stats, _ = cv2.connectedComponentsWithStats((plane <= 0.5).astype(np.uint8), connectivity=4)
        hole = stats[:, cv2.CC_STAT_AREA] < area if area else np.ones(len(stats), bool)
        hole[0] = False
        rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        hole[np.unique(rim)] = False
        return np.where(hole[labels], 1, plane)

    return each(values, fill)


def bounds(values: Tensor, threshold: float = 0.0) -> tuple[int, int, int, int] | None:
    """(x, y, width, height) of what is above `threshold` in any mask of the batch; None where nothing is."""
    seen = (values > threshold).any(dim=0)[0]
    rows, columns = seen.any(dim=1).nonzero(), seen.any(dim=0).nonzero()
    if not len(rows):
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    return left, top, right - left + 1, bottom - top + 1


def from_drawing(drawing: str) -> Tensor:
    """[1, 1, height, width] from a PNG in base64: its brightness, and where it is transparent nothing.

    Raises:
        GraphError: It is no such picture, or a huge one.
    """
    from PIL import Image

    try:
        data = base64.b64decode(drawing.partition(",")[2] if drawing.startswith("data:") else drawing, validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise GraphError(f"The drawing has {image.width} × {image.height} pixels. Paint a smaller one.")
            both = np.asarray(image.convert("LA"), dtype=np.float32) / 255
    except (binascii.Error, ValueError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError("The painted mask cannot be read. Paint it anew.") from error
    return torch.from_numpy(both[..., 0] * both[..., 1])[None, None].contiguous()
