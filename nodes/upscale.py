"""Pictures enlarged by networks that know what detail looks like."""

from pathlib import Path
from typing import Annotated, Literal

from nodegraph.node import HEADLESS, Advanced, Context, File, Range, Unit, node
from nodes.types import Image, Upscaler


@node("loaders/upscaler", keywords=("esrgan", "upscale model", "super resolution", "4x"))
def load_upscaler(file: Annotated[Path, File("upscale_models", (".safetensors", ".sft"))]) -> Upscaler:
    """Open a network that enlarges pictures, of the ESRGAN or the Real-ESRGAN compact kind.

    Args:
        file: A .safetensors file from your upscale_models folder.
    """
    from nodes.models.opening import open_upscaler

    return Upscaler(open_upscaler(file))


@node("upscale/image", title="Upscale with model", keywords=("enlarge", "super resolution", "esrgan", "4x", "2x"))
def upscale_with_model(
    upscaler: Upscaler,
    image: Image,
    factor: Annotated[float, Range(0, 16, step=0.5)] = 0.0,
    method: Annotated[Literal["lanczos", "bicubic", "bilinear", "area", "nearest"], Advanced()] = "lanczos",
    tile: Annotated[int, Range(64, 4096, step=64), Unit("px"), Advanced()] = 512,
    ctx: Context = HEADLESS,
) -> Image:
    """Enlarge a picture with a network that adds fitting detail. Large pictures are done tile by tile.

    Args:
        upscaler: The network.
        factor: How many times as large each side becomes. 0 takes the network's own factor; others are reached by scaling its result.
        method: The filter for that scaling.
        tile: Size of a piece. Smaller needs less memory; when memory runs out it is halved by itself.
    """
    import torch

    from nodes.devices import choose
    from nodes.models.memory import MODELS
    from nodes.models.upscalers import upscale
    from nodes.pictures.limits import check_size
    from nodes.pictures.resize import resized, rounded

    scale = upscaler.handle.scale
    batch, _, h, w = image.pixels.shape
    check_size(w * scale, h * scale, batch)
    made = []
    with MODELS.use(upscaler.handle, choose(ctx.device)) as model:
        for i, picture in enumerate(image.pixels):

            def report(done: int, total: int, before: int = i) -> None:
                ctx.progress(before + done / total, batch)

            side = tile
            while True:
                try:
                    enlarged = upscale(model.module, picture[None], side, min(32, side // 4), report)
                    break
                except torch.OutOfMemoryError:
                    if side <= 64:
                        raise
                    side //= 2
            if factor:
                enlarged = resized(enlarged, rounded(w * factor), rounded(h * factor), method)
            made.append(enlarged.cpu())
    return Image(torch.cat(made))
