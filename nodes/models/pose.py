"""How people stand in a picture, seen by a pose model of the user's (ViTPose: Xu et al. 2022, arXiv:2204.12484)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.errors import GraphError
from nodes.models.seeing import Seeing, opened

PADDING = 1.25
"""A person is looked at with a quarter more around, as the model was trained."""


def poses(pixels: Tensor, folder: Path, detector: Path | None = None, sure: float = 0.5, device: torch.device | str = "cpu") -> list[Tensor]:
    """For each picture the people in it: [people, 17, 3] of (x, y, confidence) in pixels, in the order of COCO.

    pixels: [n, 3, height, width] in 0..1. Without a detector each picture is taken for one person; with it, for the people that it is at
    least as `sure` of. Raises GraphError where a folder holds no such model, or the model knows other joints.
    """
    model = opened(folder, "pose", device)
    if len(model.names) not in (0, 17) or model.module.config.num_labels != 17:
        raise GraphError(f"The pose model '{folder.name}' knows {model.module.config.num_labels} joints. Use one with the 17 of COCO.")
    found = []
    for picture in pixels:
        height, width = picture.shape[-2:]
        boxes = torch.tensor([[0.0, 0.0, width, height]]) if detector is None else people(picture, detector, sure, device)
        joints = [joints_in(model, picture, box) for box in boxes]
        found.append(torch.stack(joints) if joints else torch.zeros(0, 17, 3))
    if any(not torch.isfinite(people).all() for people in found):
        raise GraphError(f"The pose model '{folder.name}' gave invalid numbers (NaN). Its weights are damaged.")
    return found


def joints_in(model: Seeing, picture: Tensor, box: Tensor) -> Tensor:
    """[17, 3] of one person in a box (left, top, width, height)."""
    height, width = model.size(256, 192, 256) if "size" in model.preparation else (int(side) for side in model.module.config.backbone_config.image_size)
    center, reach = _frame(box, width / height)
    grid = torch.stack(torch.meshgrid(*(torch.linspace(-0.5, 0.5, n) for n in (width, height)), indexing="xy"), -1) * reach + center
    place = 2 * grid / (torch.tensor([picture.shape[-1], picture.shape[-2]]) - 1).clamp_min(1) - 1
    cut = functional.grid_sample(picture[None].to(model.device), place[None].to(model.device), mode="bilinear", padding_mode="zeros", align_corners=True)
    options: dict[str, Any] = {}
    if getattr(model.module.config.backbone_config, "num_experts", 1) > 1:
        options["dataset_index"] = torch.zeros(1, dtype=torch.long, device=model.device)  # the expert for COCO
    with torch.inference_mode():
        heat = model.module(pixel_values=model.normalised(cut), **options).heatmaps[0].float().cpu()
    spots, sure = peaks(heat)
    rows, columns = heat.shape[-2:]
    shares = spots / torch.tensor([columns - 1, rows - 1])
    return torch.cat([(shares - 0.5) * reach + center, sure[:, None]], 1)


def _frame(box: Tensor, proportion: float) -> tuple[Tensor, Tensor]:
    """(center, reach) of what is looked at: the box in the model's proportions, with some more around."""
    left, top, width, height = (float(value) for value in box)
    wide, high = max(width, proportion * height), max(height, width / proportion)
    return torch.tensor([left + width / 2, top + height / 2]), torch.tensor([wide, high]) * PADDING


def peaks(heat: Tensor) -> tuple[Tensor, Tensor]:
    """([joints, 2] of (x, y), [joints] heights) of heat maps [joints, h, w], finer than their pixels.

    The logarithm of a bell is a parabola, whose top two derivatives tell (Zhang et al. 2020, arXiv:1910.06278, eq. 5 to 9).
    """
    joints, _, columns = heat.shape
    heights, at = heat.flatten(1).max(1)
    x, y = at % columns, at // columns
    smooth = _blurred(heat).clamp(0.001, 50).log()
    edged = functional.pad(smooth[None], (1, 1, 1, 1), mode="replicate")[0]
    near = edged[torch.arange(joints)[:, None, None], (y[:, None] + torch.arange(3))[:, :, None], (x[:, None] + torch.arange(3))[:, None, :]]
    dx, dy = (near[:, 1, 2] - near[:, 1, 0]) / 2, (near[:, 2, 1] - near[:, 0, 1]) / 2
    dxx, dyy = near[:, 1, 2] - 2 * near[:, 1, 1] + near[:, 1, 0], near[:, 2, 1] - 2 * near[:, 1, 1] + near[:, 0, 1]
    dxy = (near[:, 2, 2] - near[:, 1, 2] - near[:, 2, 1] + 2 * near[:, 1, 1] - near[:, 1, 0] - near[:, 0, 1] + near[:, 0, 0]) / 2
    hessian = torch.stack([dxx, dxy, dxy, dyy], 1).view(-1, 2, 2).double() + torch.finfo(torch.float32).eps * torch.eye(2, dtype=torch.float64)
    step = torch.linalg.solve(hessian, torch.stack([dx, dy], 1).double()[..., None])[..., 0].float()
    return torch.stack([x, y], 1) - step, heights


def _blurred(heat: Tensor, sigma: float = 0.8, radius: int = 5) -> Tensor:
    """Heat maps blurred by a bell, mirrored at their edges."""
    bell = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma) ** 2)
    bell = bell / bell.sum()
    for dim in (-1, -2):
        size = heat.shape[dim]
        mirrored = torch.cat([heat.narrow(dim, 0, radius).flip(dim), heat, heat.narrow(dim, size - radius, radius).flip(dim)], dim)
        heat = sum((mirrored.narrow(dim, k, size) * weight for k, weight in enumerate(bell)), torch.zeros_like(heat))
    return heat


def people(picture: Tensor, folder: Path, sure: float = 0.5, device: torch.device | str = "cpu") -> Tensor:
    """[n, 4] boxes (left, top, width, height) in pixels of the people in a picture [3, height, width], the surest first.

    Raises GraphError where the folder holds no detector, or it knows no people.
    """
    model = opened(folder, "detection", device)
    person = next((number for number, name in model.names.items() if name.lower() in ("person", "people", "human")), None)
    if person is None:
        raise GraphError(f"The detector '{folder.name}' does not know people. Use one that was trained on COCO.")
    height, width = picture.shape[-2:]
    with torch.inference_mode():
        said = model.module(pixel_values=model.prepared(picture[None], *model.size(height, width, 800)))
    logits = said.logits[0].float().cpu()
    excludes = model.config.get("model_type") in ("detr", "yolos")  # one of all things or none; the others say yes or no to each
    scores = (logits.softmax(-1) if excludes else logits.sigmoid())[:, person]
    order = scores.argsort(descending=True)
    kept: list[Tensor] = []
    for box in said.pred_boxes[0].float().cpu()[order[scores[order] >= sure]]:
        if all(_overlap(box, other) < 0.7 for other in kept):
            kept.append(box)
    boxes = torch.stack(kept) if kept else torch.zeros(0, 4)
    corner = boxes[:, :2] - boxes[:, 2:] / 2
    return torch.cat([corner, boxes[:, 2:]], 1) * torch.tensor([width, height, width, height])


def _overlap(a: Tensor, b: Tensor) -> float:
    """Shared part of two boxes (center x, center y, width, height), 0 to 1."""
    low, high = torch.maximum(a[:2] - a[2:] / 2, b[:2] - b[2:] / 2), torch.minimum(a[:2] + a[2:] / 2, b[:2] + b[2:] / 2)
    common = float((high - low).clamp_min(0).prod())
    return common / max(float(a[2:].prod() + b[2:].prod()) - common, 1e-12)
