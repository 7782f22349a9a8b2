"""What an unCLIP model knows of its image encoder: mean and spread of the embeddings that it was trained on."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.models import weights
from nodes.models.handles import DenoiserHandle

IN_FILE = ("noise_augmentor.data_mean", "noise_augmentor.data_std")


def statistics(handle: DenoiserHandle) -> tuple[Tensor, Tensor]:
    """(mean, deviation), [1, width] each, from the checkpoint or the diffusers folder that the denoiser lies in.

    Raises GraphError for a model that is no unCLIP model, and where only its network is there.
    """
    source = handle.source
    if handle.variant != "unclip":
        raise GraphError(f"'{source.name}' is not an unCLIP model, so it cannot paint from a picture. Use an image prompt adapter with it.")
    folder = Path(source.path).parent / "image_normalizer"
    if source.layout == "folder" and folder.is_dir():
        file, names = weights.files_of(folder)[0], ("mean", "std")
    elif source.layout == "checkpoint":
        file, names = Path(source.path), IN_FILE
    else:
        raise GraphError(
            f"'{source.name}' is only the network of an unCLIP model. Load the whole checkpoint, which also holds its image statistics."
        )
    found = weights.read(file, names)
    if set(found) != set(names):
        raise GraphError(f"'{file.name}' does not hold the image statistics of an unCLIP model. Get the complete checkpoint.")
    mean, deviation = (found[name].to(torch.float32, copy=True).reshape(1, -1) for name in names)
    return mean, deviation
