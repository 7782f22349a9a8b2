"""Loads the objects' pictures as a mip atlas, so that scenes are composed by affine sampling on any device."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resources.starter.recipe import words

# Half an octave apart: a sprite is never shrunk by more than 1.42 when sampled, so bilinear sampling stays free of aliasing.
LEVELS = (160, 113, 80, 57, 40, 28)


@dataclass(frozen=True)
class Atlas:
    """Sprites by mip level, each [objects, 4, side, side], premultiplied RGBA 0..1, and each object's box."""

    names: tuple[str, ...]
    levels: tuple[Tensor, ...]
    half_width: dict[str, float]  # of the object inside its square, as a fraction of the square
    foot: dict[str, float]  # lowest point under the centre, as a fraction of the square

    def to(self, device: torch.device | str) -> "Atlas":
        return Atlas(self.names, tuple(level.to(device) for level in self.levels), self.half_width, self.foot)


def build(names: tuple[str, ...], pictures: list[Image.Image]) -> Atlas:
    """An atlas of RGBA pictures of any size; each is cropped to what is visible and centred in a square."""
    squares, half_width, foot = [], {}, {}
    for name, picture in zip(names, pictures, strict=True):
        picture = picture.convert("RGBA")
        box = picture.getchannel("A").point(lambda v: 255 if v > 8 else 0).getbbox()
        if box is None:
            raise ValueError(f"The sprite of '{name}' is empty.")
        picture = picture.crop(box)
        side = max(picture.size)
        square = Image.new("RGBA", (side, side))
        square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
        half_width[name], foot[name] = picture.width / side / 2, picture.height / side / 2
        squares.append(square)
    levels = tuple(torch.stack([_premultiplied(square, side) for square in squares]) for side in LEVELS)
    return Atlas(names, levels, half_width, foot)


def _premultiplied(square: Image.Image, side: int) -> Tensor:
    pixels = np.asarray(square, np.float32) / 255
    pixels = np.concatenate([pixels[..., :3] * pixels[..., 3:], pixels[..., 3:]], -1)
    channels = [Image.fromarray(pixels[..., c]).resize((side, side), Image.Resampling.LANCZOS) for c in range(4)]
    return torch.from_numpy(np.stack([np.asarray(c) for c in channels])).clamp(0, 1)


def three_d(npm: Path, names: tuple[str, ...]) -> Atlas:
    """The 3D style from the folder of the npm package @lobehub/fluent-emoji-3d."""
    folder = _package(npm, "@lobehub/fluent-emoji-3d", "lobehub-fluent-emoji-3d-1.1.0") / "assets"
    return build(names, [Image.open(_find(folder, words.OBJECTS[name], name)) for name in names])


def flat(npm: Path, names: tuple[str, ...]) -> Atlas:
    """The flat style (SVG) from the folder of the npm package @iconify-json/fluent-emoji-flat; drawn by Qt."""
    from PySide6.QtCore import QBuffer, QByteArray, QIODevice
    from PySide6.QtGui import QGuiApplication, QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    _app = QGuiApplication.instance() or QGuiApplication(["recipe", "-platform", "offscreen"])
    folder = _package(npm, "@iconify-json/fluent-emoji-flat", "iconify-json-fluent-emoji-flat-1.2.6")
    icons = json.loads((folder / "icons.json").read_text("utf-8"))
    chars = json.loads((folder / "chars.json").read_text("utf-8"))
    pictures = []
    for name in names:
        code = words.OBJECTS[name]
        icon = chars.get(code) or chars.get(code + "-fe0f")
        if icon is None:
            raise FileNotFoundError(f"The flat style has no picture of '{name}' ({code}).")
        icon = icons.get("aliases", {}).get(icon, {}).get("parent", icon)
        width, height = icons["icons"][icon].get("width", icons["width"]), icons["icons"][icon].get("height", icons["height"])
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">{icons["icons"][icon]["body"]}</svg>'
        image = QImage(256, 256, QImage.Format.Format_RGBA8888)
        image.fill(0)
        painter = QPainter(image)
        QSvgRenderer(QByteArray(svg.encode())).render(painter)
        painter.end()
        buffer = QBuffer()
        buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        image.save(buffer, "PNG")
        pictures.append(Image.open(io.BytesIO(bytes(buffer.data().data()))))
    return build(names, pictures)


def synthetic(names: tuple[str, ...], seed: int = 0) -> Atlas:
    """Coloured blobs instead of art: lets every script run a step without the npm packages."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:96j, -1:1:96j]
    pictures = []
    for _ in names:
        wave = 0.7 + 0.2 * np.cos(rng.integers(2, 7) * np.arctan2(y, x) + rng.uniform(0, 6))
        alpha = np.clip((wave - np.hypot(x, y)) * 30, 0, 1)
        colour = rng.uniform(0.2, 1, 3) * (0.8 - 0.2 * y[..., None])
        pictures.append(Image.fromarray((np.dstack([colour, alpha]) * 255).clip(0, 255).astype(np.uint8), "RGBA"))
    return build(names, pictures)


def _package(npm: Path, name: str, packed: str) -> Path:
    for folder in (npm / "node_modules" / name, npm / name, npm / packed):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"'{name}' is not in '{npm}'. Fetch it with: npm install --prefix {npm} {name}")


def _find(folder: Path, code: str, name: str) -> Path:
    for stem in (code, code + "-fe0f"):
        if (folder / f"{stem}.webp").is_file():
            return folder / f"{stem}.webp"
    raise FileNotFoundError(f"'{folder}' has no picture of '{name}' ({code}).")
