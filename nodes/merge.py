"""Nodes that mix models and keep the result as a file of its own."""

from dataclasses import replace
from typing import Annotated, Literal

from nodegraph.node import HEADLESS, Advanced, Context, GraphError, Range, Text, Unit, node
from nodes.adapters import part_strengths
from nodes.types import Denoiser, TextEncoder, Vae

Share = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


@node("adapters/merge", title="Merge models", keywords=("model merge simple", "model merge blocks", "weighted sum"))
def merge_models(first: Denoiser, second: Denoiser, share: Share = 0.5, blocks: Annotated[str, Text(2), Advanced()] = "") -> Denoiser:
    """Mix two models of one family into one that lies between them.

    Args:
        share: 0 is the first model, 100 % the second.
        blocks: Other shares for parts of the network, a line each, as "down_blocks 0.2" or "mid_block 1".
    """
    from nodes.models.opening import with_merge

    return replace(first, handle=with_merge(first.handle, second.handle, share, blocks=part_strengths(blocks)))


@node("adapters/merge-difference", title="Add model difference", keywords=("add difference", "model merge subtract", "inpaint any model"))
def merge_difference(
    model: Denoiser, plus: Denoiser, minus: Denoiser, strength: Annotated[float, Range(-2, 2, step=0.05)] = 1.0
) -> Denoiser:
    """Give a model what one other has learned over a third: model + strength × (plus - minus).

    Args:
        plus: The model that has learned something, as an inpainting or a few-step one.
        minus: What it was trained from.
        strength: 1 adds all of it.
    """
    from nodes.models.opening import with_merge

    return replace(model, handle=with_merge(model.handle, plus.handle, strength, minus.handle))


@node("adapters/merge-text-encoders", title="Merge text encoders", keywords=("clip merge simple",))
def merge_text_encoders(first: TextEncoder, second: TextEncoder, share: Share = 0.5) -> TextEncoder:
    """Mix how two models of one family read words.

    Args:
        share: 0 is the first, 100 % the second.
    """
    from nodes.models.opening import with_merge

    return TextEncoder(with_merge(first.handle, second.handle, share))


@node("loaders/save-checkpoint", title="Save checkpoint", sink=True, keywords=("checkpoint save", "export", "bake lora"))
def save_checkpoint(
    denoiser: Denoiser,
    text_encoder: TextEncoder | None = None,
    vae: Vae | None = None,
    name: str = "merged",
    precision: Literal["fp16", "fp32"] = "fp16",
    ctx: Context = HEADLESS,
) -> None:
    """Write a model with everything that was merged into it as one .safetensors file, which every program reads.

    Args:
        name: Name in the output folder; a number is added.
        precision: fp16 halves the file and is what models usually come in.
    """
    from contextlib import ExitStack

    from nodes.devices import choose
    from nodes.models import merging
    from nodes.models.memory import DTYPES, MODELS

    if denoiser.scheduled:
        raise GraphError("A LoRA whose strength follows the steps cannot be written into a file. Use 'Add LoRA' in its place.", input="denoiser")
    path = ctx.output_path(name, ".safetensors")
    path.unlink()  # the name was free; the writer takes it only for the whole file
    with ExitStack() as stack:
        parts = [
            None if part is None else stack.enter_context(MODELS.use(part.handle, choose(ctx.device))) for part in (denoiser, text_encoder, vae)
        ]
        if parts[0] is None:
            raise GraphError("There is no denoiser to save.", input="denoiser")
        merging.save_checkpoint(path, parts[0], parts[1], parts[2], DTYPES[precision], merging.recipe(denoiser=repr(denoiser.handle)))
    ctx.saved(path)
