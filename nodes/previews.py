"""Which preview a model gets: by the colour factors or the tiny decoder in a folder `preview` in or beside its own, else by its family's."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.diffusion.preview import Previewer
    from nodes.diffusion.types import LatentFormat

RGB, TINY = "rgb.json", "tiny-decoder"


def previewer(model_path: str, family_format: "LatentFormat") -> "Previewer":
    """Makes pictures of denoised latents, for the model of which one part lies at `model_path`."""
    from nodes.diffusion.preview import Previewer

    model = Path(model_path).parent
    folder = next((place for place in (model / "preview", model.parent / "preview") if place.is_dir()), model)
    own = _own_format(folder / RGB, family_format) if (folder / RGB).is_file() else None
    decoder = _tiny_decoder(str(folder / TINY)) if (folder / TINY).is_dir() else None
    return Previewer(own or family_format, decoder=decoder)


def thumbnail(pixels: "Tensor") -> Any:
    """The first picture of a batch [batch, 1 or 3, height, width] in 0..1 as uint8 [height, width, 1 or 3], at most 512 px long."""
    import torch

    picture = pixels[:1]
    scale = 512 / max(picture.shape[-2:])
    if scale < 1:
        picture = torch.nn.functional.interpolate(picture, scale_factor=scale, mode="area")
    return (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def _own_format(file: Path, like: "LatentFormat") -> "LatentFormat":
    from dataclasses import replace

    told = json.loads(file.read_text(encoding="utf-8"))
    rgb = tuple((float(r), float(g), float(b)) for r, g, b in told["factors"])
    red, green, blue = (float(value) for value in told["bias"])
    return replace(like, rgb=rgb, bias=(red, green, blue))


@lru_cache(maxsize=4)
def _tiny_decoder(folder: str) -> Any:
    """The tiny decoder of a folder, kept loaded: it has some ten thousand numbers."""
    from nodes.models.memory import MODELS
    from nodes.models.opening import open_vae

    module = MODELS.resolve(open_vae(folder, "sd1")).module

    def decode(latents: Any) -> Any:
        return module.decode(latents.float().cpu(), return_dict=False)[0]

    return decode
