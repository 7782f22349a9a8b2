"""Pictures of what a model saw: people as stick figures, things as flat colours, in the colours that ControlNets were trained with."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

# the 18 joints of OpenPose: nose, neck, right arm, left arm, right leg, left leg, eyes, ears; each as the places in COCO that it is the middle of
JOINTS = ((0,), (5, 6), (6,), (8,), (10,), (5,), (7,), (9,), (12,), (14,), (16,), (11,), (13,), (15,), (2,), (1,), (4,), (3,))
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255),
    (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip


def stick_figures(people: Tensor, width: int, height: int, thickness: float = 4.0, sure: float = 0.3) -> Tensor:
    """[3, height, width] in 0..1: people [n, 17, 3] of (x, y, confidence) as OpenPose draws them (Cao et al. 2019, arXiv:1812.08008).

    thickness: half of a limb's, in pixels; joints that are less `sure` are left out, and limbs with them.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    figures = [_joints(person, sure) for person in people]
    for joints in figures:
        for (first, second), colour in zip(LIMBS, COLOURS, strict=False):
            a, b = joints[first], joints[second]
            if a is not None and b is not None:
                dark = tuple(int(c * 0.6) for c in colour)
                angle = math.degrees(math.atan2(b[1] - a[1], b[0] - a[0]))
                middle = (round((a[0] + b[0]) / 2), round((a[1] + b[1]) / 2))
                half = (max(round(math.dist(a, b) / 2), 1), max(round(thickness), 1))
                cv2.ellipse(canvas, middle, half, angle, 0, 360, dark, -1)
    for joints in figures:
        for joint, colour in zip(joints, COLOURS, strict=True):
            if joint is not None:
                cv2.circle(canvas, (round(joint[0]), round(joint[1])), max(round(thickness), 1), colour, -1)
    return torch.from_numpy(canvas).permute(2, 0, 1).float() / 255


def _joints(person: Tensor, sure: float) -> list[tuple[float, float] | None]:
    found: list[tuple[float, float] | None] = []
    for places in JOINTS:
        parts = person[list(places)]
        found.append((float(parts[:, 0].mean()), float(parts[:, 1].mean())) if bool((parts[:, 2] >= sure).all()) else None)
    return found


def coloured(numbers: Tensor, names: dict[int, str]) -> Tensor:
    """[n, 3, height, width] in 0..1 of numbers [n, height, width]: ADE20K in the colours of its makers, other lists in colours far apart."""
    count = max(len(names), int(numbers.max()) + 1)
    table = ADE20K if len(names) == len(ADE20K) and names.get(0, "").startswith("wall") else _far_apart(count)
    return torch.tensor(table, dtype=torch.float32)[numbers].permute(0, 3, 1, 2).contiguous() / 255


def _far_apart(count: int) -> Sequence[tuple[int, ...]]:
    """Neighbours in the list are a golden angle apart on the colour circle."""
    shades = (colorsys.hsv_to_rgb(k * 0.618034 % 1, 0.9 - 0.3 * (k % 3 == 2), 1 - 0.35 * (k % 2)) for k in range(count))
    return [tuple(round(255 * part) for part in shade) for shade in shades]


# fmt: off
ADE20K = tuple(
    (code >> 16, code >> 8 & 255, code & 255)
    for code in (
        0x787878, 0xB47878, 0x06E6E6, 0x503232, 0x04C803, 0x787850, 0x8C8C8C, 0xCC05FF, 0xE6E6E6, 0x04FA07, 0xE005FF, 0xEBFF07, 0x96053D, 0x787846,
        0x08FF33, 0xFF0652, 0x8FFF8C, 0xCCFF04, 0xFF3307, 0xCC4603, 0x0066C8, 0x3DE6FA, 0xFF0633, 0x0B66FF, 0xFF0747, 0xFF09E0, 0x0907E6, 0xDCDCDC,
        0xFF095C, 0x7009FF, 0x08FFD6, 0x07FFE0, 0xFFB806, 0x0AFF47, 0xFF290A, 0x07FFFF, 0xE0FF08, 0x6608FF, 0xFF3D06, 0xFFC207, 0xFF7A08, 0x00FF14,
        0xFF0829, 0xFF0599, 0x0633FF, 0xEB0CFF, 0xA09614, 0x00A3FF, 0x8C8C8C, 0xFA0A0F, 0x14FF00, 0x1FFF00, 0xFF1F00, 0xFFE000, 0x99FF00, 0x0000FF,
        0xFF4700, 0x00EBFF, 0x00ADFF, 0x1F00FF, 0x0BC8C8, 0xFF5200, 0x00FFF5, 0x003DFF, 0x00FF70, 0x00FF85, 0xFF0000, 0xFFA300, 0xFF6600, 0xC2FF00,
        0x008FFF, 0x33FF00, 0x0052FF, 0x00FF29, 0x00FFAD, 0x0A00FF, 0xADFF00, 0x00FF99, 0xFF5C00, 0xFF00FF, 0xFF00F5, 0xFF0066, 0xFFAD00, 0xFF0014,
        0xFFB8B8, 0x001FFF, 0x00FF3D, 0x0047FF, 0xFF00CC, 0x00FFC2, 0x00FF52, 0x000AFF, 0x0070FF, 0x3300FF, 0x00C2FF, 0x007AFF, 0x00FFA3, 0xFF9900,
        0x00FF0A, 0xFF7000, 0x8FFF00, 0x5200FF, 0xA3FF00, 0xFFEB00, 0x08B8AA, 0x8500FF, 0x00FF5C, 0xB800FF, 0xFF001F, 0x00B8FF, 0x00D6FF, 0xFF0070,
        0x5CFF00, 0x00E0FF, 0x70E0FF, 0x46B8A0, 0xA300FF, 0x9900FF, 0x47FF00, 0xFF00A3, 0xFFCC00, 0xFF008F, 0x00FFEB, 0x85FF00, 0xFF00EB, 0xF500FF,
        0xFF007A, 0xFFF500, 0x0ABED4, 0xD6FF00, 0x00CCFF, 0x1400FF, 0xFFFF00, 0x0099FF, 0x0029FF, 0x00FFCC, 0x2900FF, 0x29FF00, 0xAD00FF, 0x00F5FF,
        0x4700FF, 0x7A00FF, 0x00FFB8, 0x005CFF, 0xB8FF00, 0x0085FF, 0xFFD600, 0x19C2C2, 0x66FF00, 0x5C00FF,
    )
)
"""Of the 150 things of the data set (Zhou et al. 2017), as semantic ControlNets were trained with."""
# fmt: on
