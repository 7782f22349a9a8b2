"""Canvas around and between pictures: padded, turned, pasted, stitched, laid out on sheets. Pictures are [batch, c, height, width]."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.pictures.limits import check_size


def padded(x: Tensor, left: int, top: int, right: int, bottom: int, fill: str, generator: torch.Generator) -> Tensor:
    """More canvas on each side. fill: "edge" (drawn out), "mirror" (again and again if need be), "grey" or "noise"."""
    h, w = x.shape[-2:]
    if fill in ("edge", "mirror"):
        rows, columns = torch.arange(-top, h + bottom), torch.arange(-left, w + right)
        if fill == "edge":
            rows, columns = rows.clamp(0, h - 1), columns.clamp(0, w - 1)
        else:
            rows, columns = _mirrored(rows, h), _mirrored(columns, w)
        return x[..., rows, :][..., columns]
    shape = (*x.shape[:2], h + top + bottom, w + left + right)
    made = torch.rand(shape, generator=generator) if fill == "noise" else torch.full(shape, 0.5)
    made[..., top : top + h, left : left + w] = x
    return made


def _mirrored(places: Tensor, length: int) -> Tensor:
    there_and_back = places % (2 * length)
    return torch.minimum(there_and_back, 2 * length - 1 - there_and_back)


def outpaint_mask(height: int, width: int, left: int, top: int, right: int, bottom: int, feather: int) -> Tensor:
    """[1, 1, ...] of the padded size: 1 on the new canvas, falling with the square of the distance to 0 `feather` pixels inside.

    Only sides that were extended have a feather.
    """
    far = float(feather + 1)
    rows, columns = torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32)
    away_y = torch.minimum(rows if top else torch.full_like(rows, far), height - 1 - rows if bottom else torch.full_like(rows, far))
    away_x = torch.minimum(
        columns if left else torch.full_like(columns, far), width - 1 - columns if right else torch.full_like(columns, far)
    )
    away = torch.minimum(away_y[:, None], away_x[None, :])
    inside = ((feather - away).clamp_min(0) / max(feather, 1)) ** 2
    made = torch.ones(1, 1, height + top + bottom, width + left + right)
    made[..., top : top + height, left : left + width] = inside
    return made


def rotated(x: Tensor, angle: float, background: Tensor) -> Tensor:
    """Turned clockwise by `angle` degrees on a canvas that holds all of it. Quarter turns are exact."""
    if angle % 90 == 0:
        return x.rot90(-round(angle / 90) % 4, (-2, -1)).clone()
    h, w = x.shape[-2:]
    turn = math.radians(angle)
    wide = math.ceil(abs(w * math.cos(turn)) + abs(h * math.sin(turn)) - 1e-6)
    high = math.ceil(abs(w * math.sin(turn)) + abs(h * math.cos(turn)) - 1e-6)
    check_size(wide, high, len(x), x.shape[1])
    matrix = cv2.getRotationMatrix2D(((w - 1) / 2, (h - 1) / 2), -angle, 1.0)
    matrix[:, 2] += ((wide - w) / 2, (high - h) / 2)
    ground = tuple(float(v) for v in background.flatten())
    made = []
    for picture in x:
        array = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        made.append(cv2.warpAffine(array, matrix, (wide, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT, borderValue=ground))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).clamp(0, 1).contiguous()


def pasted(base: Tensor, source: Tensor, mask: Tensor | None, x: int, y: int, opacity: float = 1.0) -> Tensor:
    """`source` laid on `base` with its corner at (x, y), seen where `mask` [batch or 1, 1, h, w] is 1. What reaches out is cut off."""
    height, width = base.shape[-2:]
    h, w = source.shape[-2:]
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    made = base.clone()
    if left >= right or top >= bottom:
        return made
    inner = (..., slice(top - y, bottom - y), slice(left - x, right - x))
    outer = (..., slice(top, bottom), slice(left, right))
    share = torch.full((1, 1, bottom - top, right - left), opacity) if mask is None else mask[inner] * opacity
    made[outer] = torch.lerp(made[outer], source[inner], share.expand_as(made[outer]))
    return made


def stitched(parts: list[Tensor], beside: bool, gap: int, background: Tensor) -> Tensor:
    """Pictures in a row or a column, centred across it."""
    along, across = (-1, -2) if beside else (-2, -1)
    length = sum(part.shape[along] for part in parts) + gap * (len(parts) - 1)
    breadth = max(part.shape[across] for part in parts)
    width, height = (length, breadth) if beside else (breadth, length)
    check_size(width, height, len(parts[0]))
    made = background.expand(len(parts[0]), 3, height, width).clone()
    place = 0
    for part in parts:
        middle = (breadth - part.shape[across]) // 2
        made = pasted(made, part, None, *((place, middle) if beside else (middle, place)))
        place += part.shape[along] + gap
    return made


def batch_slice(length: int, first: int, count: int) -> slice:
    """Which of a batch to take; `first` counts from the end when it is negative.

    Raises:
        GraphError: There are not so many.
    """
    start = first + length if first < 0 else first
    if not 0 <= start < length or start + count > length:
        raise GraphError(f"The batch has {length}, numbered from 0. It does not hold {count} from number {first} on.", input="first")
    return slice(start, start + count)


def sheet(pictures: list[Tensor], columns: int, gap: int, background: Tensor) -> Tensor:
    """Pictures [3, h, w] on one sheet, row by row, each centred in a field of the largest size."""
    columns = columns or math.ceil(math.sqrt(len(pictures)))
    columns = min(columns, len(pictures))
    rows = math.ceil(len(pictures) / columns)
    height, width = max(p.shape[-2] for p in pictures), max(p.shape[-1] for p in pictures)
    whole = (columns * (width + gap) + gap, rows * (height + gap) + gap)
    check_size(*whole)
    made = background.expand(3, whole[1], whole[0]).clone()
    for i, picture in enumerate(pictures):
        h, w = picture.shape[-2:]
        top = gap + (i // columns) * (height + gap) + (height - h) // 2
        left = gap + (i % columns) * (width + gap) + (width - w) // 2
        made[:, top : top + h, left : left + w] = picture
    return made


def labelled(picture: Tensor, text: str, size: int, background: Tensor) -> Tensor:
    """A picture [3, h, w] with a text below, broken into lines, in black or white, whichever is read better on `background`."""
    below = written(text, picture.shape[-1], size, background)
    return torch.cat([picture, below], dim=-2)


def written(text: str, width: int, size: int, background: Tensor, most_lines: int = 200) -> Tensor:
    """[3, h, width]: a text in lines that fit."""
    font = ImageFont.load_default(size)
    room = max(width - size, size)
    lines = [line for part in text.splitlines() or [""] for line in _broken(part, font, room)][:most_lines]
    pitch = round(size * 1.35)
    plane = Image.new("L", (width, pitch * len(lines) + size // 2))
    draw = ImageDraw.Draw(plane)
    for i, line in enumerate(lines):
        draw.text((size // 2, size // 4 + i * pitch), line, fill=255, font=font)
    ink = torch.from_numpy(np.asarray(plane, dtype=np.float32) / 255)
    color = 0.0 if float(background.mean()) > 0.5 else 1.0
    return background + (color - background) * ink


def _broken(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> list[str]:
    """A text in lines no wider than `room` pixels; words that are too long are broken too."""
    lines, line = [], ""
    for word in text.split(" "):
        wish = f"{line} {word}" if line else word
        while font.getlength(wish) > room and len(wish) > 1:
            if line:
                lines.append(line)
                wish, line = word, ""
                continue
            fits = max(1, next((n for n in range(len(wish), 0, -1) if font.getlength(wish[:n]) <= room), 1))
            lines.append(wish[:fits])
            wish = wish[fits:]
        line = wish
    return [*lines, line]
