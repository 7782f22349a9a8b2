"""How far things are, seen by a depth model of the user's: a folder in the layout of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.errors import GraphError
from nodes.models.seeing import Seeing, opened

FAR_IS_LARGE = ("zoedepth", "glpn", "depth_pro")
"""Kinds of model whose numbers are distances; the others say nearness (disparity)."""


def depth(pixels: Tensor, folder: Path, device: torch.device | str = "cpu") -> Tensor:
    """Nearness of every pixel, [n, 1, height, width], 0 the farthest and 1 the nearest of each picture; pixels [n, 3, height, width] in 0..1.

    Raises GraphError when the folder holds no depth model.
    """
    model: Seeing = opened(folder, "depth", device)
    height, width = pixels.shape[-2:]
    small = model.prepared(pixels, *_size(model.preparation, model.config, height, width))
    with torch.inference_mode():
        found = torch.cat([model.module(pixel_values=one[None]).predicted_depth.float() for one in small])
    near = -found if model.config.get("model_type") in FAR_IS_LARGE or model.config.get("depth_estimation_type") == "metric" else found
    near = functional.interpolate(near.reshape(len(near), 1, *near.shape[-2:]), size=(height, width), mode="bicubic", align_corners=False)
    near = near.to("cpu").clone()
    if not torch.isfinite(near).all():
        raise GraphError(f"The depth model '{folder.name}' gave invalid numbers (NaN). Its weights are damaged.")
    low, high = near.amin(dim=(1, 2, 3), keepdim=True), near.amax(dim=(1, 2, 3), keepdim=True)
    return (near - low) / (high - low).clamp_min(1e-12)


def _size(prepared: dict[str, Any], config: dict[str, Any], height: int, width: int) -> tuple[int, int]:
    """(height, width) at which the model looks: near the size it was trained at, in the picture's own shape, in whole patches."""
    said = prepared.get("size") or {}
    wanted = said.get("height") or said.get("shortest_edge") or config.get("image_size") or 518
    if config.get("model_type") == "depth_pro":  # looks at squares of fixed size
        return int(wanted), int(said.get("width") or wanted)
    patch = int(prepared.get("ensure_multiple_of") or config.get("patch_size") or 14)
    patch = patch if patch > 1 else 32
    if config.get("model_type") == "dpt" and not prepared.get("keep_aspect_ratio"):
        return int(wanted), int(said.get("width") or wanted)
    scale = wanted / min(height, width)
    rows, columns = (max(round(side * scale / patch), 1) * patch for side in (height, width))
    return rows, columns
