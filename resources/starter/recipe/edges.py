"""Thin bright outlines of a picture on black, as the edge ControlNet reads them: Canny's steps (1986) on any device."""

import torch
import torch.nn.functional as F
from torch import Tensor

_SMOOTH = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16


def outlines(pictures: Tensor, low: float = 0.08, high: float = 0.2) -> Tensor:
    """Outlines [n, 1, h, w], 0 or 1, of pictures [n, 3, h, w] in -1..1.

    low, high: shares of the steepest possible step; weak edges stay where they touch a strong one.
    """
    channels = ((pictures + 1) / 2).flatten(0, 1)[:, None]
    row = _SMOOTH.to(pictures.device)
    padded = F.pad(channels, (2, 2, 2, 2), mode="replicate")
    smooth = F.conv2d(F.conv2d(padded, row[None, None, None, :]), row[None, None, :, None])
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=pictures.device)[None, None] / 4
    smooth = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across, down = F.conv2d(smooth, sobel), F.conv2d(smooth, sobel.transpose(2, 3))
    across, down = (g.unflatten(0, (-1, 3))[:, :, 0] for g in (across, down))
    steepness = torch.hypot(across, down)
    strongest = steepness.argmax(1, keepdim=True)
    steep, across, down = (g.gather(1, strongest) for g in (steepness, across, down))
    kept = steep * _is_ridge(steep, across, down)
    strong, weak = (kept > high).float(), (kept > low).float()
    for _ in range(8):
        grown = F.max_pool2d(strong, 3, 1, 1) * weak
        if torch.equal(grown, strong):
            break
        strong = grown
    return strong


def _is_ridge(steep: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """1 where the steepness is largest along its own direction, taken to the nearest of four."""
    padded = F.pad(steep, (1, 1, 1, 1))
    height, width = steep.shape[2:]

    def shifted(dy: int, dx: int) -> Tensor:
        return padded[..., 1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]

    sector = torch.round(torch.atan2(down, across) / (torch.pi / 4)).long() % 4
    out = torch.zeros_like(steep)
    for k, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        peak = (steep >= shifted(dy, dx)) & (steep > shifted(-dy, -dx))
        out = torch.where(sector == k, peak.float(), out)
    return out


def hint(pictures: Tensor, low: float = 0.08, high: float = 0.2) -> Tensor:
    """Outlines as a ControlNet's condition, [n, 3, h, w] in 0..1."""
    return outlines(pictures, low, high).expand(-1, 3, -1, -1)
