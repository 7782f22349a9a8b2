"""Inpainting in latent space, for every family: what stays of the picture is put back in every step."""

from __future__ import annotations

import torch
from torch import Tensor

from nodes.diffusion.types import Inpaint, Noising


def free(inpaint: Inpaint, sigma: float, first: float, noising: Noising) -> Tensor:
    """[1 or batch, 1, h, w]: where the network may paint at noise level `sigma` of a run that began at `first`; 1 = paint.

    A soft mask sets a pixel free once the remaining share of the run has fallen to the pixel's value, so light grey changes much, dark grey little.
    """
    if not inpaint.soft:
        return inpaint.mask
    levels = torch.tensor([sigma, first, noising.sigma_min]).clamp_min(noising.sigma_min)
    now, start, end = (float(t) for t in noising.timestep(levels))
    left = (now - end) / (start - end) if start > end else 0.0
    return ((inpaint.mask >= left) & (inpaint.mask > 0)).to(inpaint.mask.dtype)


def kept(x: Tensor, original: Tensor, mask: Tensor) -> Tensor:
    """`x` where the mask is 1, `original` where it is 0."""
    return (1 - mask) * original + mask * x
