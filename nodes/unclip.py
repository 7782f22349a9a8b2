"""Nodes for unCLIP models, which paint from a picture."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

from nodegraph.node import HEADLESS, Advanced, Context, File, Randomize, Range, Unit, node
from nodes.loaders import WEIGHTS, checkpoint_family, load_checkpoint
from nodes.types import Conditioning, Denoiser, Image, ImageEncoder, TextEncoder, Vae


class UnclipCheckpoint(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder
    vae: Vae
    image_encoder: ImageEncoder


@node("loaders/unclip", title="Load unCLIP checkpoint", family=checkpoint_family, keywords=("unclip checkpoint loader", "stable unclip", "image variations"))
def load_unclip(file: Annotated[Path, File("checkpoints", WEIGHTS, folders=True)]) -> UnclipCheckpoint:
    """Open an unCLIP model with the image encoder that lies in it. 'unCLIP picture' shows it what to vary.

    Args:
        file: A checkpoint (.safetensors) or a diffusers folder that also holds the image encoder.
    """
    from nodes.models.opening import open_image_encoder

    return UnclipCheckpoint(*load_checkpoint(file), ImageEncoder(open_image_encoder(file)))


@node("conditioning/unclip", title="unCLIP picture", keywords=("unclip conditioning", "image variations", "revision", "stable unclip"))
def unclip_picture(
    conditioning: Conditioning,
    denoiser: Denoiser,
    encoder: ImageEncoder,
    image: Image,
    strength: Annotated[float, Range(-10, 10, step=0.05)] = 1.0,
    noise: Annotated[float, Range(0, 1, step=0.01), Unit("%")] = 0.0,
    seed: Annotated[int, Range(0, 2**64 - 1), Randomize(), Advanced()] = 0,
    ctx: Context = HEADLESS,
) -> Conditioning:
    """Show an unCLIP model a picture to paint variations of. Chain it to mix several; the negative prompt needs none.

    Args:
        denoiser: The unCLIP model itself, which knows the scale of its pictures.
        encoder: The image encoder that the model was trained with.
        image: One picture, or a batch that is mixed.
        strength: How much it counts; 1 is usual.
        noise: How freely it is taken: 0 % keeps close to it, 100 % forgets it.
        seed: Of that noise.
    """
    from nodes.devices import choose
    from nodes.diffusion import unclip
    from nodes.diffusion.image_prompt import look
    from nodes.models.memory import MODELS
    from nodes.models.unclip import statistics

    mean, deviation = statistics(denoiser.handle)
    with MODELS.use(encoder.handle, choose(ctx.device)) as model:
        seen = look(model, image.pixels).embeds
    shown = tuple(unclip.Shown(row[None], strength, noise, (seed + k) % 2**64) for k, row in enumerate(seen))
    parts = []
    for part in conditioning.parts:
        pictures = (*part.extra.get("unclip", ()), *shown)
        labels = unclip.class_labels(pictures, mean, deviation)
        parts.append(replace(part, extra={**part.extra, "unclip": pictures, "class_labels": labels}))
    return replace(conditioning, parts=tuple(parts))
