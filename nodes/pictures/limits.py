"""What fits: sizes are refused before memory is taken, and batches, masks and pictures that do not belong together are told apart."""

from __future__ import annotations

import psutil
import torch
from torch import Tensor

from nodegraph.errors import GraphError

MAX_SIDE = 16384
MAX_PIXELS = 178_956_970
"""Of one picture: 2 GB as float32 RGB. The size at which Pillow takes a file for a decompression bomb."""


def check_size(width: int, height: int, batch: int = 1, channels: int = 3, copies: int = 3) -> None:
    """Refuse a picture that cannot be made here.

    copies: how many such tensors the work holds at once.

    Raises:
        GraphError: A side is below 1 or above MAX_SIDE, or the whole needs more memory than is free.
    """
    shown = f"{width} × {height}" + (f", {batch} of them" if batch > 1 else "")
    if width < 1 or height < 1:
        raise GraphError(f"The picture would be {shown}. Both sides need at least 1 pixel.")
    if batch < 1:
        raise GraphError("There must be at least 1 picture.")
    if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
        raise GraphError(
            f"The picture would be {shown}. At most {MAX_SIDE} pixels a side and {MAX_PIXELS // 10**6} megapixels are possible. Make it smaller."
        )
    needed, free = width * height * batch * channels * 4 * copies, psutil.virtual_memory().available
    if needed > free:
        raise GraphError(
            f"Pictures of {shown} need about {needed / 2**30:.1f} GB, and {free / 2**30:.1f} GB are free. Make them smaller, or fewer at once."
        )


def paired(a: Tensor, b: Tensor, a_name: str = "picture", b_name: str = "mask") -> tuple[Tensor, Tensor]:
    """Two batches brought to one length: equal ones stay, a single one goes with every one of the other.

    Raises:
        GraphError: They have different numbers, neither of them 1.
    """
    if len(a) == len(b):
        return a, b
    if len(b) == 1:
        return a, b.expand(len(a), *b.shape[1:])
    if len(a) == 1:
        return a.expand(len(b), *a.shape[1:]), b
    raise GraphError(f"'{a_name}' holds {len(a)} and '{b_name}' holds {len(b)}. Use as many of both, or one of either.")


def same_size(a: Tensor, b: Tensor, a_name: str, b_name: str, remedy: str = "Use a 'Resize image' node.") -> None:
    """Raises GraphError where two pictures differ in width or height."""
    if a.shape[-2:] != b.shape[-2:]:
        raise GraphError(
            f"'{a_name}' is {a.shape[-1]} × {a.shape[-2]}, '{b_name}' is {b.shape[-1]} × {b.shape[-2]}. Both must have one size. {remedy}"
        )


def fitted_mask(mask: Tensor, size: tuple[int, int], batch: int | None, name: str = "mask") -> Tensor:
    """A mask [batch or 1, 1, height, width] for pictures of this size (height, width). One of the same proportions is scaled; a single one serves all.

    batch: how many pictures there are; None takes any number of masks.

    Raises:
        GraphError: It has other proportions, or there are several of them but not one for each picture.
    """
    (h, w), (height, width) = mask.shape[-2:], size
    if batch is not None and len(mask) not in (1, batch):
        raise GraphError(
            f"There are {len(mask)} masks at '{name}' for {batch} {'picture' if batch == 1 else 'pictures'}. Use one mask, or one for each picture."
        )
    if (h, w) == (height, width):
        return mask
    if abs(w * height - width * h) > 0.01 * width * h:
        raise GraphError(f"'{name}' is {w} × {h}, the picture {width} × {height}. Use a 'Resize mask' or 'Crop mask' node to make it fit.")
    # antialiased as pictures are, or thin masks vanish
    return torch.nn.functional.interpolate(mask, size=(height, width), mode="bilinear", antialias=True).clamp(0, 1)


def hex_color(text: str) -> Tensor:
    """[3, 1, 1] in 0..1 from "#rrggbb" or "#rgb".

    Raises:
        GraphError: It is not written like that.
    """
    digits = text.strip().removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    try:
        if len(digits) != 6:
            raise ValueError
        values = bytes.fromhex(digits)
    except ValueError:
        raise GraphError(f"'{text[:40]}' is not a colour. Write it as #rrggbb, for example #ff8800.") from None
    return torch.tensor(list(values), dtype=torch.float32).view(3, 1, 1) / 255
