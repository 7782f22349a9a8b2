"""Pictures as what an unCLIP model paints from: their CLIP embeddings, made noisy, as class labels (Ramesh et al. 2022, arXiv:2204.06125).

The noise says how freely the picture is taken; its level is told to the network beside the embedding. As Stable unCLIP does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError

LEVELS = 1000
MERGED = 0.05  # noise with which several pictures become one, as ComfyUI does it: their sum is none that CLIP would say


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture. embeds: [1, width] of the image encoder; strength: 0..; noise: 0..1; seed: of that noise."""

    embeds: Tensor
    strength: float = 1.0
    noise: float = 0.0
    seed: int = 0


def noisy(embeds: Tensor, level: int, mean: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """[n, width] embeddings -> [n, 2 width]: with noise of `level` 0..999, and that level as sines and cosines.

    mean, deviation: [1, width] of the embeddings of the training pictures, in whose scale the noise is added.
    """
    from diffusers import DDPMScheduler
    from diffusers.models.embeddings import get_timestep_embedding

    levels = torch.full([embeds.shape[0]], level, dtype=torch.long)
    scheduler: Any = DDPMScheduler(num_train_timesteps=LEVELS, beta_schedule="squaredcos_cap_v2")  # type: ignore[no-untyped-call]
    moved = scheduler.add_noise((embeds - mean) / deviation, noise, levels) * deviation + mean
    told = get_timestep_embedding(levels, embeds.shape[-1], flip_sin_to_cos=True, downscale_freq_shift=0)
    return torch.cat([moved, told.to(moved.dtype)], dim=1)


def class_labels(pictures: Sequence[Shown], mean: Tensor, deviation: Tensor) -> Tensor:
    """[1, 2 width] of one or several pictures together, each by its strength.

    Raises GraphError where the embeddings are not as wide as the model's own.
    """
    width = mean.shape[-1]
    found = []
    for shown in pictures:
        if shown.embeds.shape[-1] != width:
            raise GraphError(
                f"The image encoder says {shown.embeds.shape[-1]} numbers of a picture, but this unCLIP model reads {width}. "
                "Use the image encoder that belongs to it."
            )
        found.append(noisy(shown.embeds, round((LEVELS - 1) * shown.noise), mean, deviation, _noise(shown)) * shown.strength)
    if len(found) == 1:
        return found[0]
    together = torch.stack(found).sum(0)[:, :width]
    return noisy(together, round((LEVELS - 1) * MERGED), mean, deviation, _noise(pictures[0]))


def _noise(shown: Shown) -> Tensor:
    return torch.randn(shown.embeds.shape, generator=torch.Generator().manual_seed(shown.seed))
