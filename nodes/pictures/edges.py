"""From a picture to what ControlNets are shown: its lines, tones or surface. Nothing here needs a download.

Pictures are [batch, 3, height, width] in 0..1; lines come white on black, as the networks were trained.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nodes.pictures.filters import REC_601, luma
from nodes.pictures.masks import blurred, each, grown, without_specks


def bytes_each(pixels: Tensor) -> list[np.ndarray]:
    """Every picture as uint8 [h, w, 3]."""
    return list((pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy())


def as_image(grey: Tensor) -> Tensor:
    """[batch, 1, h, w] as [batch, 3, h, w]."""
    return grey.expand(-1, 3, -1, -1).contiguous()


def canny(pixels: Tensor, low: float, high: float) -> Tensor:
    """[batch, 1, h, w]: edges of Canny 1986, one pixel thin. The thresholds are fractions of 255: 0.4 and 0.8 are the usual 100 and 200."""
    planes = [cv2.Canny(picture, low * 255, high * 255) for picture in bytes_each(pixels)]
    return torch.from_numpy(np.stack(planes).astype(np.float32) / 255)[:, None]


def lines(pixels: Tensor, width: float, level: float, tones: float = 0.0, sharpness: float = 50.0, hardness: float = 5.0) -> Tensor:
    """[batch, 1, h, w]: pen lines by extended difference of Gaussians (Winnemöller et al. 2012, "XDoG", eq. 5 and 7), white on black.

    width: sigma of the finer Gaussian in pixels. level: what is below it becomes ink (epsilon).
    tones: 1 is the published filter, in which dark areas become ink too; 0 takes their brightness for that of paper, so only lines are left.
    """
    grey = luma(pixels, REC_601)
    fine = blurred(grey, width)
    difference = tones * fine + (1 - tones) + sharpness * (fine - blurred(grey, 1.6 * width))
    paper = torch.where(difference >= level, torch.ones_like(grey), 1 + torch.tanh(hardness * (difference - level)))
    return (1 - paper).clamp(0, 1)


def scribble(pixels: Tensor, width: float, thickness: int, specks: int) -> Tensor:
    """[batch, 1, h, w]: the few main contours as strokes of `thickness`, black and white."""
    dark = (lines(pixels, width, level=0.8, hardness=50.0) > 0.5).float()
    return grown(without_specks(dark, specks), thickness // 2)


def soft_edges(pixels: Tensor, detail: float, gain: float = 1.0) -> Tensor:
    """[batch, 1, h, w]: how strongly colours change, mean of three scales, each with its strongest edges (99.5 %) at 1."""
    total = torch.zeros_like(pixels[:, :1])
    for sigma in (detail, 2 * detail, 4 * detail):
        smooth = blurred(pixels, sigma)
        dx = each(smooth, lambda plane: cv2.Sobel(plane, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE))
        dy = each(smooth, lambda plane: cv2.Sobel(plane, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE))
        strength = torch.sqrt(dx**2 + dy**2).amax(dim=1, keepdim=True)
        for i in range(len(strength)):
            top = float(np.quantile(strength[i].numpy(), 0.995))
            total[i] += (strength[i] / max(top, 1e-3)).clamp(0, 1) / 3
    return (total * gain).clamp(0, 1)


def otsu(grey: Tensor) -> list[float]:
    """For each of [batch, 1, h, w] the threshold that separates its dark from its light pixels best (Otsu 1979), in 0..1."""
    planes = (grey[:, 0].clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return [float(cv2.threshold(np.ascontiguousarray(plane), 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[0]) / 255 for plane in planes]


def palette(pixels: Tensor, colors: int, dither: bool = False) -> Tensor:
    """Each picture in at most so many colours, chosen by median cut and refined by k-means (Lloyd 1982)."""
    made = []
    for picture, array in zip(pixels, bytes_each(pixels), strict=True):
        step = max(1, array.shape[0] * array.shape[1] // 40_000)  # a sample tells the colours; all of them take seconds
        sample = np.ascontiguousarray(array.reshape(-1, 1, 3)[::step])
        rough = Image.fromarray(sample).quantize(colors, method=Image.Quantize.MEDIANCUT)
        first = torch.tensor(rough.getpalette(), dtype=torch.float32).view(-1, 3)[: len(np.unique(np.asarray(rough)))] / 255
        points = picture.flatten(1).T
        found = _means(points[::step], first)
        if dither:
            fixed = Image.new("P", (1, 1))
            fixed.putpalette((found * 255).round().to(torch.uint8).flatten().tolist())
            few = Image.fromarray(array).quantize(palette=fixed, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")
            made.append(torch.from_numpy(np.asarray(few, dtype=np.float32) / 255).permute(2, 0, 1))
        else:
            nearest = torch.cat([torch.cdist(part, found).argmin(1) for part in points.split(1 << 16)])
            made.append(found[nearest].T.reshape(picture.shape))
    return torch.stack(made).contiguous()


def _means(points: Tensor, centers: Tensor, rounds: int = 10) -> Tensor:
    """[k, 3]: centers moved to the mean of the points that are nearest to them, again and again. One without points stays."""
    for _ in range(rounds):
        nearest = torch.cdist(points, centers).argmin(1)
        count = torch.bincount(nearest, minlength=len(centers))
        total = torch.zeros_like(centers).index_add_(0, nearest, points)
        centers = torch.where(count[:, None] > 0, total / count.clamp_min(1)[:, None], centers)
    return centers


def normals(depth: Tensor, strength: float, smooth: float = 0.0) -> Tensor:
    """[batch, 3, h, w]: the surface that a depth map [batch, 1, h, w] (1 = near) stands for, as normals in 0..1.

    Red grows to the right, green upwards, blue towards the viewer; flat is (0.5, 0.5, 1). The slope counts in picture widths, so a
    map in another size gives the same surface.
    """
    depth = blurred(depth, smooth)
    scale = strength * max(depth.shape[-2:]) / 8  # Sobel weighs eight neighbours
    dx = each(depth, lambda plane: cv2.Sobel(plane, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)) * scale
    dy = each(depth, lambda plane: cv2.Sobel(plane, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)) * scale
    normal = torch.cat([-dx, dy, torch.ones_like(dx)], dim=1)
    return (normal / normal.norm(dim=1, keepdim=True) * 0.5 + 0.5).clamp(0, 1)


def shuffled(pixels: Tensor, scale: float, generator: torch.Generator) -> Tensor:
    """Each picture bent by smooth random waves of `scale` (fraction of its longer side): its colours stay, its forms go."""
    batch, _, height, width = pixels.shape
    made = []
    for i in range(batch):
        sigma = max(1.0, scale * max(height, width))
        rows, columns = math.ceil(height / sigma) + 3, math.ceil(width / sigma) + 3
        coarse = torch.rand(2, rows, columns, generator=generator).numpy()
        flow = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in coarse]
        # stretched to the whole picture, so that every part of it may come from anywhere
        x, y = ((f - f.min()) / max(float(np.ptp(f)), 1e-6) * (side - 1) for f, side in zip(flow, (width, height), strict=True))
        picture = np.ascontiguousarray(pixels[i].permute(1, 2, 0).numpy())
        made.append(cv2.remap(picture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2).contiguous()


def filled(pixels: Tensor, mask: Tensor, way: str) -> Tensor:
    """Where `mask` [batch, 1, h, w] is 1, what the surroundings suggest. way: "blend in" (Telea 2004), "follow edges" (Bertalmio et al. 2001),
    "blur" (from coarse to fine) or "grey". Nothing is painted where there is no picture left to take from."""
    if way == "grey":
        return torch.where(mask > 0, torch.full_like(pixels, 0.5), pixels)
    if way == "blur":
        return torch.where(mask > 0, _drawn_in(pixels, 1 - mask), pixels)
    flag = cv2.INPAINT_TELEA if way == "blend in" else cv2.INPAINT_NS
    made = []
    for picture, where in zip(bytes_each(pixels), mask, strict=True):
        done = cv2.inpaint(picture, (where[0] > 0).to(torch.uint8).numpy(), 5, flag)
        made.append(torch.from_numpy(done.astype(np.float32) / 255).permute(2, 0, 1))
    return torch.where(mask > 0, torch.stack(made), pixels)  # what is kept stays exact, beyond 8 bits


def _drawn_in(pixels: Tensor, known: Tensor) -> Tensor:
    """A smooth picture through what is `known` (pull-push of Gortler et al. 1996): coarser means fill what finer ones leave open."""
    h, w = pixels.shape[-2:]
    if min(h, w) <= 1 or bool((known > 0).all()):
        return torch.where(known > 0, pixels, torch.full_like(pixels, 0.5))
    weight = torch.nn.functional.avg_pool2d(known, 2, ceil_mode=True, count_include_pad=False)
    mean = torch.nn.functional.avg_pool2d(pixels * known, 2, ceil_mode=True, count_include_pad=False) / weight.clamp_min(1e-6)
    coarse = _drawn_in(mean, (weight > 0).to(known))
    smooth = torch.nn.functional.interpolate(coarse, size=(h, w), mode="bilinear")
    return torch.where(known > 0, pixels, smooth)
