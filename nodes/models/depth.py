"""How far things are, seen by a depth model of the user's: a folder in the layout of transformers."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodegraph.errors import GraphError
from nodes.models import loading
from nodes.models.detect import read_config
from nodes.models.handles import stamp

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FAR_IS_LARGE = ("zoedepth", "glpn", "depth_pro")
"""Kinds of model whose numbers are distances; the others say nearness (disparity)."""


def depth(pixels: Tensor, folder: Path, device: torch.device | str = "cpu") -> Tensor:
    """Nearness of every pixel, [n, 1, height, width], 0 the farthest and 1 the nearest of each picture; pixels [n, 3, height, width] in 0..1.

    Raises GraphError when the folder holds no depth model.
    """
    module, config, prepared = _opened(str(folder), stamp(folder))
    module.to(device)
    height, width = pixels.shape[-2:]
    size = _size(prepared, config, height, width)
    small = functional.interpolate(pixels.to(device), size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    mean, deviation = (
        small.new_tensor(prepared.get(name) or usual).view(1, 3, 1, 1) for name, usual in zip(("image_mean", "image_std"), IMAGENET)
    )
    if prepared.get("do_normalize", True):
        small = (small - mean) / deviation
    with torch.inference_mode():
        found = torch.cat([module(pixel_values=one[None]).predicted_depth.float() for one in small])
    near = -found if config.get("model_type") in FAR_IS_LARGE or config.get("depth_estimation_type") == "metric" else found
    near = functional.interpolate(near.reshape(len(near), 1, *near.shape[-2:]), size=(height, width), mode="bicubic", align_corners=False)
    near = near.to("cpu").clone()
    if not torch.isfinite(near).all():
        raise GraphError(f"The depth model '{folder.name}' gave invalid numbers (NaN). Its weights are damaged.")
    low, high = near.amin(dim=(1, 2, 3), keepdim=True), near.amax(dim=(1, 2, 3), keepdim=True)
    return (near - low) / (high - low).clamp_min(1e-12)


@lru_cache(maxsize=1)
def _opened(folder: str, mark: tuple[int, int]) -> tuple[nn.Module, dict[str, Any], dict[str, Any]]:
    """The model, its configuration and how its pictures are prepared; kept until another one is asked for or its files change."""
    path = Path(folder)
    preparation = path / "preprocessor_config.json"
    return loading.depth_model(path), read_config(path / "config.json"), read_config(preparation) if preparation.is_file() else {}


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
