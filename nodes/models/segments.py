"""What is where in a picture, seen by a segmentation model of the user's."""

from __future__ import annotations

import difflib
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.errors import GraphError
from nodes.models.seeing import Seeing, opened


def segments(pixels: Tensor, folder: Path, device: torch.device | str = "cpu") -> tuple[Tensor, dict[int, str]]:
    """(numbers of the thing at every pixel, [n, height, width], names by number); pixels [n, 3, height, width] in 0..1.

    Raises GraphError when the folder holds no segmentation model, or its numbers are invalid.
    """
    model = opened(folder, "segmentation", device)
    height, width = pixels.shape[-2:]
    small = model.prepared(pixels, *model.size(height, width, 512))
    with torch.inference_mode():
        scores = torch.cat([functional.interpolate(_scores(model, one[None]), size=(height, width), mode="bilinear").to("cpu") for one in small])
    if not torch.isfinite(scores).all():
        raise GraphError(f"The segmentation model '{folder.name}' gave invalid numbers (NaN). Its weights are damaged.")
    return scores.argmax(1), model.names


def _scores(model: Seeing, picture: Tensor) -> Tensor:
    """[1, things, h, w]: how sure the model is of each thing at each place."""
    said = model.module(pixel_values=picture)
    if hasattr(said, "logits") and said.logits is not None and said.logits.ndim == 4:
        scores: Tensor = said.logits.float()
        return scores
    # Mask2Former and its kin say for each of many queries what it is and where (Cheng et al. 2022, arXiv:2112.01527); the last "thing" is none
    what, where = said.class_queries_logits.float().softmax(-1)[..., :-1], said.masks_queries_logits.float().sigmoid()
    return torch.einsum("nqc,nqhw->nchw", what, where)


def things(numbers: Tensor, names: dict[int, str], wanted: str) -> Tensor:
    """[n, 1, height, width], 1 where one of the wanted things is, as "person, dog". Raises GraphError for a thing that the model does not know."""
    found = torch.zeros_like(numbers, dtype=torch.bool)
    for word in filter(None, (word.strip().lower() for word in wanted.split(","))):
        fitting = [number for number, name in names.items() if word in (part.strip().lower() for part in [name, *name.replace(";", ",").split(",")])]
        if not fitting:
            near = difflib.get_close_matches(word, [name.lower() for name in names.values()], n=3, cutoff=0.5) or sorted(names.values())[:8]
            raise GraphError(f"This model knows no '{word}'. Near to it are {', '.join(near)}; it knows {len(names)} things.", input="things")
        found |= torch.isin(numbers, torch.tensor(fitting))
    return found.float()[:, None]
