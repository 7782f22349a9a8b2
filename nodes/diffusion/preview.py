"""What the picture looks like so far: the denoised latent as small RGB pixels, cheap enough for every step.

Three ways, from cheap to good: published linear factors of the latent space, factors fitted to a VAE of an unknown space, a tiny decoder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nodes.diffusion.types import LatentFormat

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Decoder = Callable[[Tensor], Tensor]
"""A tiny decoder: latents [1, c, h, w] -> pixels [1, 3, H, W] in -1..1 (diffusers' AutoencoderTiny.decode)."""

_log = logging.getLogger(__name__)


class Previewer:
    """Makes previews of a latent space.

    form: the latent space; without factors previews show the first channels in grey.
    most: longest side of a preview in pixels, at most 512; decoder: used instead of the factors where given.
    """

    def __init__(self, form: LatentFormat, most: int = 512, decoder: Decoder | None = None) -> None:
        self.most, self._decoder, self._broken = min(most, 512), decoder, False
        rows = form.rgb or tuple((0.3, 0.3, 0.3) if k < 4 else (0.0, 0.0, 0.0) for k in range(form.channels))
        self._weight = torch.tensor(rows).T[:, :, None, None].contiguous()
        self._bias = torch.tensor(form.bias)

    def __call__(self, denoised: Tensor, picture: int = 0) -> Pixels | None:
        """[height, width, 3] uint8 of one picture of the batch, at most `most` long; None where the preview failed: a run never breaks by it."""
        if self._broken:
            return None
        try:
            with torch.inference_mode():
                return self._pixels(denoised[picture : picture + 1].detach())
        except Exception:  # any decoder may be plugged in here, and none is worth a lost picture
            _log.exception("The preview failed; this run goes on without previews.")
            self._broken = True
            return None

    def _pixels(self, latent: Tensor) -> Pixels:
        if self._decoder is not None:
            rgb = self._decoder(latent).float().cpu()
        else:
            rgb = torch.nn.functional.conv2d(latent.float().cpu(), self._weight, self._bias)
        rgb = self._fitted(rgb)
        levels = torch.nan_to_num((rgb[0] + 1) * 127.5).clamp(0, 255).round().to(torch.uint8)
        return np.ascontiguousarray(levels.permute(1, 2, 0).numpy())

    def _fitted(self, rgb: Tensor) -> Tensor:
        """Smaller where it is too large; latents stay at one pixel each, the screen enlarges them."""
        height, width = rgb.shape[-2:]
        if max(height, width) <= self.most:
            return rgb
        share = self.most / max(height, width)
        size = (max(round(height * share), 1), max(round(width * share), 1))
        return torch.nn.functional.interpolate(rgb, size=size, mode="area")


def fitted_factors(latents: Tensor, pictures: Tensor, form: LatentFormat) -> LatentFormat:
    """`form` with the linear factors that explain pictures by their latents best, in the least squares sense.

    latents: [n, c, h, w]; pictures: [n, 3, H, W] in -1..1, which the VAE turned into them; a dozen small pictures are enough.
    """
    small = torch.nn.functional.interpolate(pictures.float(), size=latents.shape[-2:], mode="area")
    values = latents.float().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    known = torch.cat([values, torch.ones(len(values), 1)], 1)
    found = torch.linalg.lstsq(known, small.permute(0, 2, 3, 1).reshape(-1, 3)).solution
    rows = tuple((float(r), float(g), float(b)) for r, g, b in found[:-1])
    red, green, blue = (float(value) for value in found[-1])
    return replace(form, rgb=rows, bias=(red, green, blue))
