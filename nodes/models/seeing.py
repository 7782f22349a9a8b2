"""Models of the user's that see something in a picture: folders in the layout of transformers. What they say is read in depth, segments and pose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from nodes.models import loading
from nodes.models.detect import read_config
from nodes.models.handles import stamp

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Seeing:
    """A model with its configuration and the way its pictures are prepared (preprocessor_config.json, {} where there is none)."""

    module: Any
    config: dict[str, Any]
    preparation: dict[str, Any]
    device: torch.device

    @property
    def names(self) -> dict[int, str]:
        """The things it knows, by number."""
        return {int(number): str(name) for number, name in (self.config.get("id2label") or {}).items()}

    def prepared(self, pixels: Tensor, height: int, width: int) -> Tensor:
        """Pictures [n, 3, h, w] in 0..1 as the model takes them, in this size."""
        small = functional.interpolate(pixels.to(self.device), size=(height, width), mode="bicubic", antialias=True, align_corners=False)
        return self.normalised(small.clamp(0, 1))

    def normalised(self, pixels: Tensor) -> Tensor:
        """In the range that the model was trained on."""
        if not self.preparation.get("do_normalize", True):
            return pixels
        said = (self.preparation.get(name) or usual for name, usual in zip(("image_mean", "image_std"), IMAGENET, strict=True))
        mean, deviation = (pixels.new_tensor(numbers).view(1, 3, 1, 1) for numbers in said)
        return (pixels - mean) / deviation

    def size(self, height: int, width: int, usual: int) -> tuple[int, int]:
        """(height, width) at which it looks at a picture of this size: as its preparation says, in whole blocks of 32."""
        said = self.preparation.get("size") or {}
        said = {"shortest_edge": said} if isinstance(said, int) else said
        if "height" in said:
            return int(said["height"]), int(said["width"])
        scale = (said.get("shortest_edge") or usual) / min(height, width)
        scale = min(scale, (said.get("longest_edge") or 1e9) / max(height, width))
        rows, columns = (max(round(side * scale / 32), 1) * 32 for side in (height, width))
        return rows, columns


def opened(folder: Path, what: str, device: torch.device | str = "cpu") -> Seeing:
    """The model of a folder, on a device; what: a key of loading.SEEING. Raises GraphError where the folder holds no such model."""
    module, config, preparation = _opened(str(folder), what, stamp(folder))
    return Seeing(module.to(device), config, preparation, torch.device(device))


@lru_cache(maxsize=2)
def _opened(folder: str, what: str, mark: tuple[int, int]) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Kept until others are asked for or its files change; two, because poses need a detector beside."""
    path = Path(folder)
    preparation = path / "preprocessor_config.json"
    return loading.seeing_model(path, what), read_config(path / "config.json"), read_config(preparation) if preparation.is_file() else {}
