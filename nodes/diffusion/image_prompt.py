"""Pictures as prompts: what a CLIP image encoder sees, in the form that IP-Adapters take it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models.memory import Model

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's training pictures


@dataclass(frozen=True)
class ImageFeatures:
    """embeds: [n, width] projected picture embeddings; patches, blank: [n, 1 + patches, width] states before the last layer, of the
    pictures and of an all-zero input. On the CPU, float32."""

    embeds: Tensor
    patches: Tensor
    blank: Tensor


def look(model: Model, pixels: Tensor, is_cropped: bool = True) -> ImageFeatures:
    """Encode pixels [n, 3, height, width], 0..1, with `MODELS.use(ImageEncoderHandle)`.

    is_cropped: cut the middle square out (as CLIP was trained); False squeezes the whole picture into it.
    """
    encoder = model.module
    side = int(encoder.config.image_size)
    prepared = prepare(pixels, side, is_cropped).to(model.device, model.dtype)
    with torch.inference_mode():
        seen = encoder(prepared, output_hidden_states=True)
        blank = encoder(torch.zeros_like(prepared), output_hidden_states=True).hidden_states[-2]
    return ImageFeatures(*(t.to("cpu", torch.float32).clone() for t in (seen.image_embeds, seen.hidden_states[-2], blank)))


def prepare(pixels: Tensor, side: int, is_cropped: bool = True) -> Tensor:
    """Pixels as CLIP takes them: shorter side to `side`, middle cut out, standardised."""
    height, width = pixels.shape[-2:]
    if is_cropped:
        scale = side / min(height, width)
        size = (max(round(height * scale), side), max(round(width * scale), side))
    else:
        size = (side, side)
    resized = functional.interpolate(pixels, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    top, left = (size[0] - side) // 2, (size[1] - side) // 2
    square = resized[..., top : top + side, left : left + side]
    return (square - square.new_tensor(MEAN).view(1, 3, 1, 1)) / square.new_tensor(DEVIATION).view(1, 3, 1, 1)


def prompt(features: ImageFeatures, kind: str) -> tuple[Tensor, Tensor]:
    """(image_embeds, the same for the unconditional) of one adapter; the pictures of the batch count together.

    kind: that of the IpAdapterHandle. [1, n, width] for "base", [1, n, tokens, width] for "plus" and "full".
    """
    if kind == "base":
        return features.embeds[None], torch.zeros_like(features.embeds)[None]
    return features.patches[None], features.blank[None]
