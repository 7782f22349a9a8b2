"""Runs a network over overlapping tiles and blends them, so that a picture of any size fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

Progress = Callable[[int, int], None]


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin so that they cover `length` with at least `overlap` in common; the last ends at the end."""
    if length <= tile:
        return [0]
    step = tile - overlap
    if step <= 0:
        raise ValueError("the overlap must be smaller than the tile")
    count = -(-(length - overlap) // step)
    return [min(i * step, length - tile) for i in range(count)]


def tiled(
    function: Callable[[Tensor], Tensor], x: Tensor, tile: int, overlap: int, scale: Fraction | int, progress: Progress | None = None
) -> Tensor:
    """`function` over tiles of x [batch, c, height, width] -> [batch, c', height * scale, width * scale].

    tile, overlap: in pixels of x; scale: size of the result per pixel of x. Neighbours are mixed by ramps over the overlap (feathered), so no
    seam shows; a picture that fits into one tile gives exactly function(x).
    """
    scale = Fraction(scale)
    height, width = x.shape[-2:]
    rows, columns = starts(height, tile, overlap), starts(width, tile, overlap)
    if len(rows) == 1 and len(columns) == 1:
        return function(x)
    total: Tensor | None = None
    share: Tensor | None = None
    done = 0
    for top in rows:
        for left in columns:
            piece = x[..., top : top + tile, left : left + tile]
            result = function(piece)
            h, w = result.shape[-2:]
            if total is None or share is None:
                total = result.new_zeros((*result.shape[:-2], int(height * scale), int(width * scale)), dtype=torch.float32)
                share = result.new_zeros((1, 1, *total.shape[-2:]), dtype=torch.float32)
            y, z = int(top * scale), int(left * scale)
            fade = max(int(overlap * scale), 1)
            mask = (
                _ramp(h, fade, top > 0, top + piece.shape[-2] < height)[:, None]
                * _ramp(w, fade, left > 0, left + piece.shape[-1] < width)[None]
            )
            mask = mask.to(result.device)
            total[..., y : y + h, z : z + w] += result.to(torch.float32) * mask
            share[..., y : y + h, z : z + w] += mask
            done += 1
            if progress is not None:
                progress(done, len(rows) * len(columns))
    assert total is not None and share is not None
    return (total / share).to(x.dtype)


def _ramp(length: int, fade: int, at_start: bool, at_end: bool) -> Tensor:
    """Weights [length], rising over `fade` where a neighbour follows; never 0."""
    ramp = torch.ones(length)
    edge = torch.arange(1, min(fade, length) + 1, dtype=torch.float32) / (fade + 1)
    if at_start:
        ramp[: len(edge)] *= edge
    if at_end:
        ramp[length - len(edge) :] *= edge.flip(0)
    return ramp
