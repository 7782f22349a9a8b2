"""Paints scenes as tensors on any device: places from soft shapes, sprites by affine sampling, shadows by Gaussians."""

import math
import random
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from resources.starter.recipe import words
from resources.starter.recipe.scenes import Backdrop, Placement, Scene
from resources.starter.recipe.sprites import LEVELS, Atlas

RGB = tuple[float, float, float]
_LUMA = (0.299, 0.587, 0.114)


class Canvas:
    """A picture [3, side, side] in 0..255 that is painted back to front with edges one pixel soft."""

    def __init__(self, side: int, device: torch.device | str) -> None:
        self.side = side
        axis = (torch.arange(side, device=device, dtype=torch.float32) + 0.5) / side
        self.y, self.x = axis[:, None].expand(side, side), axis[None, :].expand(side, side)
        self.pixels = torch.zeros(3, side, side, device=device)

    def colour(self, rgb: RGB) -> Tensor:
        return torch.tensor(rgb, device=self.pixels.device, dtype=torch.float32)[:, None, None]

    def sky(self, top: RGB, bottom: RGB, power: float = 1.0) -> None:
        """A vertical gradient over the whole picture."""
        t = self.y**power
        self.pixels = self.colour(top) * (1 - t) + self.colour(bottom) * t

    def fill(self, inside: Tensor, rgb: RGB | Tensor, opacity: float = 1.0) -> None:
        """Paints where the signed distance `inside` (fractions of the picture, positive inside) is above 0."""
        alpha = (inside * self.side + 0.5).clamp(0, 1) * opacity
        tint = rgb if isinstance(rgb, Tensor) else self.colour(rgb)
        self.pixels = self.pixels + alpha * (tint - self.pixels)

    def glow(self, x: float, y: float, radius: float, rgb: RGB, opacity: float) -> None:
        """A Gaussian of light."""
        alpha = torch.exp(-((self.x - x) ** 2 + (self.y - y) ** 2) / radius**2) * opacity
        self.pixels = self.pixels + alpha * (self.colour(rgb) - self.pixels)

    def disc(self, x: float, y: float, radius: float, rgb: RGB, opacity: float = 1.0) -> None:
        self.fill(radius - torch.hypot(self.x - x, self.y - y), rgb, opacity)

    def ridge(self, base: float, height: float, rng: random.Random, waves: tuple[float, ...] = (1.0, 2.3, 4.9)) -> Tensor:
        """Signed distance below a rolling line around `base`."""
        line = torch.full_like(self.x, base)
        for k, wave in enumerate(waves):
            line = line + height / (k + 1) ** 1.5 * torch.sin(2 * math.pi * (wave * self.x + rng.random()))
        return self.y - line

    def ground(self, inside: Tensor, near_top: RGB, near_bottom: RGB, horizon: float) -> None:
        t = ((self.y - horizon) / (1 - horizon)).clamp(0, 1)
        self.fill(inside, self.colour(near_top) * (1 - t) + self.colour(near_bottom) * t)

    def pine(self, x: float, foot: float, height: float, rgb: RGB) -> None:
        """A fir tree of three stacked triangles."""
        distance = torch.full_like(self.x, -1.0)
        for k in range(3):
            top, bottom = foot - height * (1 - 0.27 * k), foot - height * (0.52 - 0.24 * k)
            slope = height * (0.15 + 0.045 * k) / (bottom - top)
            sides = slope * (self.y - top) - (self.x - x).abs()
            distance = torch.maximum(distance, torch.minimum(sides / math.hypot(1, slope), bottom - self.y))
        trunk = torch.minimum(height * 0.03 - (self.x - x).abs(), torch.minimum(self.y - foot + height * 0.1, foot - self.y))
        self.fill(torch.maximum(distance, trunk), rgb)


def _jitter(rng: random.Random, rgb: RGB, amount: float = 7.0) -> RGB:
    red, green, blue = (min(255.0, max(0.0, channel + rng.uniform(-amount, amount))) for channel in rgb)
    return red, green, blue


def _meadow(c: Canvas, rng: random.Random) -> None:
    c.sky((112, 184, 246), (222, 242, 255))
    c.glow(rng.uniform(0.1, 0.9), 0.1, 0.3, (255, 252, 224), 0.55)
    horizon = rng.uniform(0.58, 0.66)
    c.fill(c.ridge(horizon - 0.06, 0.025, rng), (150, 206, 168))
    c.ground(c.ridge(horizon, 0.025, rng), (140, 208, 92), (84, 166, 66), horizon)


def _beach(c: Canvas, rng: random.Random) -> None:
    c.sky((96, 190, 248), (216, 244, 255), 1.4)
    horizon = rng.uniform(0.5, 0.56)
    c.ground(c.y - horizon, (44, 150, 212), (92, 206, 218), horizon)
    shore = horizon + rng.uniform(0.13, 0.17)
    sand = c.ridge(shore, 0.012, rng, (0.7, 1.6))
    c.fill(sand + 0.018, (236, 250, 250))
    c.ground(sand, (252, 230, 176), (234, 200, 136), shore)


def _stars(c: Canvas, rng: random.Random, count: int, lowest: float) -> None:
    for _ in range(count):
        c.disc(rng.random(), rng.uniform(0, lowest), rng.uniform(0.004, 0.01), (255, 248, 214), rng.uniform(0.6, 1))


def _night(c: Canvas, rng: random.Random) -> None:
    c.sky((14, 18, 56), (74, 66, 142))
    _stars(c, rng, 12, 0.55)
    c.fill(c.ridge(0.66, 0.03, rng), (46, 46, 104))
    c.ground(c.ridge(0.76, 0.02, rng), (34, 38, 84), (20, 22, 54), 0.74)


def _snow(c: Canvas, rng: random.Random) -> None:
    c.sky((134, 178, 226), (232, 242, 252))
    horizon = rng.uniform(0.62, 0.68)
    c.fill(c.ridge(horizon - 0.07, 0.025, rng), (186, 206, 232))
    for side in rng.sample((0.07, 0.17, 0.84, 0.93), 3):
        c.pine(side + rng.uniform(-0.02, 0.02), horizon + 0.03, rng.uniform(0.2, 0.3), (84, 122, 136))
    c.ground(c.ridge(horizon, 0.02, rng), (252, 253, 255), (212, 226, 246), horizon)
    for _ in range(8):
        c.disc(rng.random(), rng.random() * 0.6, rng.uniform(0.006, 0.011), (255, 255, 255), 0.9)


def _sea(c: Canvas, rng: random.Random) -> None:
    c.sky((72, 194, 226), (12, 62, 136))
    for _ in range(2):
        x, lean = rng.uniform(0.1, 0.9), rng.uniform(-0.35, 0.35)
        ray = 0.03 + 0.07 * c.y - (c.x - x - lean * c.y).abs()
        c.pixels = c.pixels + (ray / 0.05).clamp(0, 1) * (1 - c.y) * 26
    c.ground(c.ridge(0.9, 0.015, rng), (44, 112, 158), (30, 84, 134), 0.88)
    for _ in range(5):
        x, y, r = rng.choice((rng.uniform(0.03, 0.2), rng.uniform(0.8, 0.97))), rng.random() * 0.85, rng.uniform(0.012, 0.026)
        c.fill(0.006 - (torch.hypot(c.x - x, c.y - y) - r).abs(), (206, 242, 252), 0.9)


def _sunset(c: Canvas, rng: random.Random) -> None:
    c.sky((88, 58, 150), (255, 164, 88))
    horizon, x = rng.uniform(0.68, 0.74), rng.uniform(0.2, 0.8)
    c.glow(x, horizon, 0.4, (255, 214, 130), 0.6)
    c.disc(x, horizon - 0.02, 0.13, (255, 232, 156))
    c.fill(c.ridge(horizon, 0.02, rng), (124, 66, 116))
    c.ground(c.ridge(horizon + 0.07, 0.02, rng), (82, 48, 100), (52, 32, 76), horizon)


def _mountains(c: Canvas, rng: random.Random) -> None:
    c.sky((120, 168, 224), (250, 232, 214))
    for x, peak, width in ((rng.uniform(0.05, 0.3), rng.uniform(0.2, 0.3), 0.85), (rng.uniform(0.65, 0.95), rng.uniform(0.14, 0.26), 0.8)):
        height = c.y - peak - (c.x - x).abs() / width
        c.fill(height * 0.65, (122, 136, 178))
        cap = torch.minimum(height, peak + 0.13 + 0.02 * torch.sin(c.x * 60) - c.y)
        c.fill(cap * 0.65, (246, 248, 255))
    c.fill(c.ridge(0.64, 0.02, rng), (124, 160, 158))
    c.ground(c.ridge(0.7, 0.02, rng), (132, 186, 112), (78, 144, 84), 0.68)


def _forest(c: Canvas, rng: random.Random) -> None:
    c.sky((196, 226, 206), (238, 246, 214))
    for count, foot, tall, rgb in ((6, 0.71, 0.44, (150, 192, 164)), (5, 0.74, 0.52, (92, 150, 118))):
        for k in range(count):
            x = (k + 0.5 + rng.uniform(-0.3, 0.3)) / count
            c.pine(x, foot, tall * rng.uniform(0.8, 1.1), rgb)
    c.ground(c.ridge(0.71, 0.015, rng), (104, 164, 92), (58, 114, 66), 0.7)


def _desert(c: Canvas, rng: random.Random) -> None:
    c.sky((126, 196, 236), (255, 238, 206))
    c.disc(rng.choice((rng.uniform(0.08, 0.25), rng.uniform(0.75, 0.92))), rng.uniform(0.1, 0.18), 0.065, (255, 244, 196))
    c.fill(c.ridge(0.62, 0.04, rng, (0.8, 1.7)), (240, 190, 122))
    c.ground(c.ridge(0.74, 0.03, rng, (0.7, 1.5)), (246, 204, 132), (218, 158, 92), 0.72)


def _space(c: Canvas, rng: random.Random) -> None:
    c.sky((12, 10, 34), (34, 22, 74))
    c.glow(rng.random(), rng.random(), 0.4, (112, 54, 150), 0.55)
    c.glow(rng.random(), rng.random(), 0.35, (34, 92, 160), 0.5)
    _stars(c, rng, 18, 1.0)


_PAINTERS: dict[str, Callable[[Canvas, random.Random], None]] = {
    "meadow": _meadow, "beach": _beach, "night": _night, "snow": _snow, "sea": _sea, "sunset": _sunset,
    "mountains": _mountains, "forest": _forest, "desert": _desert, "space": _space,
}  # fmt: skip


def backdrop(what: Backdrop, side: int = 128, device: torch.device | str = "cpu") -> Tensor:
    """The background of a scene, [3, side, side] in 0..255."""
    canvas, rng = Canvas(side, device), random.Random(what.seed)
    if what.kind == "place":
        _PAINTERS[what.names[0]](canvas, rng)
    else:
        top = _jitter(rng, words.PLAIN[what.names[0]])
        bottom = words.PLAIN[what.names[-1]] if what.kind == "gradient" else tuple(0.93 * v for v in top)
        canvas.sky(top, bottom)
    return canvas.pixels


def tinted(sprite: Tensor, rgb: RGB) -> Tensor:
    """A premultiplied sprite [4, h, w] recoloured: its lightness walks from dark through `rgb` to nearly white."""
    alpha = sprite[3:].clamp(min=1e-4)
    light = sum(w * sprite[k : k + 1] for k, w in enumerate(_LUMA)) / alpha
    colour = torch.tensor(rgb, device=sprite.device)[:, None, None] / 255
    # Light art would wash out and dark art drown: lift the middle, and keep only true highlights near white.
    dark, bright = (light / 0.55).clamp(0, 1), ((light - 0.55) / 0.45).clamp(0, 1)
    out = colour * (0.16 + 0.84 * dark) + (1 - colour) * (0.62 * bright**1.6)
    return torch.cat([out.clamp(0, 1) * sprite[3:], sprite[3:]])


def _shadow(canvas: Tensor, atlas: Atlas, placement: Placement, side: int) -> Tensor:
    axis = (torch.arange(side, device=canvas.device, dtype=torch.float32) + 0.5) / side
    x, y = axis[None, :] - placement.x, axis[:, None] - (placement.y + atlas.foot[placement.name] * placement.size - 0.012)
    wide = atlas.half_width[placement.name] * placement.size * 0.62
    return canvas * (1 - 0.34 * torch.exp(-((x / wide) ** 2) - (y / 0.024) ** 2))


def _grids(placements: Sequence[Placement], side: int, device: torch.device | str) -> Tensor:
    rows = []
    for p in placements:
        turn, mirror = math.radians(p.angle), -1.0 if p.flip else 1.0
        cos, sin = math.cos(turn) / p.size, math.sin(turn) / p.size
        x, y = 2 * p.x - 1, 2 * p.y - 1
        rows.append([[mirror * cos, mirror * sin, -mirror * (cos * x + sin * y)], [-sin, cos, sin * x - cos * y]])
    matrix = torch.tensor(rows, dtype=torch.float32, device=device)
    return F.affine_grid(matrix, [len(rows), 4, side, side], align_corners=False)


def paint(scenes: Sequence[Scene], atlas: Atlas, side: int = 128) -> Tensor:
    """Pictures [len(scenes), 3, side, side] as uint8, on the atlas's device."""
    device = atlas.levels[0].device
    pictures = torch.stack([backdrop(scene.backdrop, side, device) for scene in scenes])
    index = {name: k for k, name in enumerate(atlas.names)}
    layer = 0
    while waiting := [k for k, scene in enumerate(scenes) if len(scene.placements) > layer]:
        chosen = [scenes[k].placements[layer] for k in waiting]
        for k, placement in zip(waiting, chosen, strict=True):
            if placement.shadow:
                pictures[k] = _shadow(pictures[k], atlas, placement, side)
        for level, _size in enumerate(LEVELS):
            here = [(k, p) for k, p in zip(waiting, chosen, strict=True) if _level(p.size * side) == level]
            if not here:
                continue
            sprites = torch.stack([_coloured(atlas.levels[level][index[p.name]].float(), p.colour) for _, p in here])
            drawn = F.grid_sample(sprites, _grids([p for _, p in here], side, device), padding_mode="zeros", align_corners=False)
            at = torch.tensor([k for k, _ in here], device=device)
            pictures[at] = pictures[at] * (1 - drawn[:, 3:]) + drawn[:, :3] * 255
        layer += 1
    return pictures.round().clamp(0, 255).to(torch.uint8)


def _coloured(sprite: Tensor, colour: str | None) -> Tensor:
    return tinted(sprite, words.TINTS[colour]) if colour else sprite


def _level(pixels: float) -> int:
    """The smallest mip level that is at least as large as the drawn size."""
    return max(k for k, size in enumerate(LEVELS) if size >= pixels or k == 0)


def as_floats(pictures: Tensor) -> Tensor:
    """uint8 pictures as the VAE takes them: -1..1."""
    return pictures.float() / 127.5 - 1


def sheet(pictures: Tensor, columns: int) -> Tensor:
    """Pictures [n, 3, h, w] side by side as one [h * rows, w * columns, 3]."""
    rows = -(-len(pictures) // columns)
    blank = pictures.new_zeros(rows * columns - len(pictures), *pictures.shape[1:])
    grid = torch.cat([pictures, blank]).unflatten(0, (rows, columns))
    return grid.permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
