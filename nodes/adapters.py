"""Nodes that change a model: LoRAs, the layer of the text encoder, guidance rules, flow shift. They only change handles; weights follow when they are used."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from nodegraph.node import HEADLESS, Advanced, Context, File, GraphError, Range, Text, Unit, node
from nodes.loaders import lora_family
from nodes.types import Denoiser, Image, ImageEncoder, ImagePrompt, IpAdapter, Mask, TextEncoder

Strength = Annotated[float, Range(-10, 10, step=0.05)]


class Patched(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder


@node("adapters/lora", family=lora_family, title="Add LoRA", keywords=("lycoris", "lokr", "loha", "dora", "style"))
def add_lora(
    denoiser: Denoiser,
    text_encoder: TextEncoder,
    file: Annotated[Path, File("loras", (".safetensors", ".sft"))],
    strength: Strength = 1.0,
    text_strength: Annotated[float | None, Range(-10, 10, step=0.05), Advanced()] = None,
    blocks: Annotated[str, Text(2), Advanced()] = "",
) -> Patched:
    """Teach a model a style, a face or a thing from a small file. Several can be chained, in any order.

    Args:
        file: A LoRA, DoRA, LoHa or LoKr of the same family as the model.
        strength: 1 as it was trained, 0 off; 0.6 to 0.9 is usual, below 0 turns it round.
        text_strength: Strength in the text encoder, if it shall differ.
        blocks: Other strengths for parts of the network, a line each, as "mid_block 0.5" or "down_blocks.1 0".
    """
    from nodes.models.opening import with_lora

    weights = part_strengths(blocks)
    patched, text = with_lora(denoiser.handle, text_encoder.handle, file, strength, text_strength, weights)
    if text is None:
        raise GraphError("The text encoder could not take this LoRA.", input="text_encoder")
    return Patched(replace(denoiser, handle=patched), TextEncoder(text))


@node("adapters/lora-denoiser", family=lora_family, title="Add LoRA to denoiser", keywords=("lora model only",))
def add_lora_to_denoiser(denoiser: Denoiser, file: Annotated[Path, File("loras", (".safetensors", ".sft"))], strength: Strength = 1.0) -> Denoiser:
    """Teach only the denoiser, and leave how words are read as it is.

    Args:
        strength: 1 as it was trained, 0 off; 0.6 to 0.9 is usual.
    """
    from nodes.models.opening import with_lora

    return replace(denoiser, handle=with_lora(denoiser.handle, None, file, strength)[0])


def part_strengths(text: str) -> tuple[tuple[str, float], ...]:
    """Lines as "mid_block 0.5" as pairs. Raises GraphError for a line that is not one."""
    found = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, _, number = line.replace("=", " ").replace(":", " ").rpartition(" ")
        try:
            found.append((name.strip(), float(number)))
        except ValueError:
            raise GraphError(f"'{line}' is not a part of the network and a number, as 'mid_block 0.5'.", input="blocks") from None
    return tuple(found)


@node("adapters/image-prompt", title="Image prompt", keywords=("ip adapter", "ipadapter", "reference", "style transfer", "face"))
def image_prompt(
    denoiser: Denoiser,
    adapter: IpAdapter,
    encoder: ImageEncoder,
    image: Image,
    strength: Annotated[float, Range(0, 2, step=0.05)] = 0.7,
    mask: Mask | None = None,
    whole: Annotated[bool, Advanced()] = False,
    ctx: Context = HEADLESS,
) -> Denoiser:
    """Let a picture speak beside the words: its subject, its style, its colours. Several can be chained.

    Args:
        image: One picture, or a batch that counts together.
        strength: 0.5 to 0.8 leaves room for the words; 1 stays close to the picture.
        mask: Where it counts; without it, everywhere.
        whole: Squeeze the whole picture into the square that the encoder sees, in place of its middle.
    """
    from nodes.devices import choose
    from nodes.diffusion import image_prompt as numerics
    from nodes.models.handles import with_adapter
    from nodes.models.memory import MODELS
    from nodes.models.opening import check_family

    if strength == 0:
        return denoiser
    check_family(denoiser.handle, adapter.handle, "IP-Adapter")
    with MODELS.use(encoder.handle, choose(ctx.device)) as model:
        embeds, blank = numerics.prompt(numerics.look(model, image.pixels, is_cropped=not whole), adapter.handle.kind)
    shown = ImagePrompt(embeds, blank, None if mask is None else mask.values[:1])
    handle = with_adapter(denoiser.handle, adapter.handle, strength)
    return replace(denoiser, handle=handle, image_prompts=(*denoiser.image_prompts, shown))


@node("adapters/clip-skip", title="CLIP skip", keywords=("clip set last layer", "stop at clip layer"))
def clip_skip(text_encoder: TextEncoder, layers: Annotated[int, Range(0, 11)] = 1) -> TextEncoder:
    """Read words from an earlier layer of the text encoder.

    Args:
        layers: How many layers to leave out at the end. Many anime models of the SD 1 family want 1 (called "clip skip 2" elsewhere).
    """
    return TextEncoder(replace(text_encoder.handle, clip_skip=layers))


@node("adapters/rescale-guidance", keywords=("rescale cfg",))
def rescale_guidance(denoiser: Denoiser, amount: Annotated[float, Range(0, 1, step=0.05)] = 0.7) -> Denoiser:
    """Keep contrast and colours natural when guidance is high.

    Args:
        amount: How much of the brightness spread of the unguided picture to restore; 0 is off, 0.7 is usual for v-prediction models.
    """
    return with_rule(denoiser, "rescale", share=amount)


@node("adapters/dynamic-threshold", keywords=("cfg fix", "dynamic thresholding"))
def dynamic_threshold(
    denoiser: Denoiser,
    mimic: Annotated[float, Range(1, 30, step=0.5)] = 7.0,
    percentile: Annotated[float, Range(0.5, 1, step=0.005)] = 1.0,
) -> Denoiser:
    """Follow the prompt as at high guidance, with the colours of a lower one.

    Args:
        mimic: The guidance whose contrast is kept; 7 is usual while the sampler's own guidance is 12 and more.
        percentile: Share of values that must fit in; 0.995 to 1 is usual.
    """
    return with_rule(denoiser, "dynamic_threshold", mimic=mimic, percentile=percentile)


@node("adapters/apg", title="Adaptive guidance (APG)", keywords=("adaptive projected guidance",))
def adaptive_guidance(
    denoiser: Denoiser,
    eta: Annotated[float, Range(0, 1, step=0.05)] = 0.0,
    momentum: Annotated[float, Range(-1, 1, step=0.05)] = -0.5,
    threshold: Annotated[float, Range(0, 50, step=0.5)] = 15.0,
) -> Denoiser:
    """Guide strongly without burnt colours, by leaving out the part of guidance that only adds contrast.

    Args:
        eta: How much of that part stays; 1 is ordinary guidance.
        momentum: Negative values push away from what earlier steps already did.
        threshold: Longest push in a step; 0 is no limit.
    """
    return with_rule(denoiser, "apg", eta=eta, momentum=momentum, norm=threshold)


@node("adapters/cfg-zero", title="CFG-Zero*", keywords=("cfg zero star",))
def cfg_zero(denoiser: Denoiser, zero_steps: Annotated[int, Range(0, 10)] = 1) -> Denoiser:
    """Guide flow models more exactly: the prompt's share is fitted, and the first steps do nothing.

    Args:
        zero_steps: How many of the first steps are left out; 1 is usual.
    """
    return with_rule(denoiser, "cfg_zero", zero_steps=float(zero_steps))


@node("adapters/guidance-interval", keywords=("cfg range",))
def guidance_interval(
    denoiser: Denoiser,
    start: Annotated[float, Range(0, 1, step=0.01), Unit("%")] = 0.0,
    end: Annotated[float, Range(0, 1, step=0.01), Unit("%")] = 1.0,
) -> Denoiser:
    """Guide only in a part of the steps; the others take half the time. More variety, softer colours.

    Args:
        start: Share of the steps after which guidance begins; 10 to 20 % is usual.
        end: Share after which it ends; 80 % is usual.
    """
    if start >= end:
        raise GraphError("Guidance must start before it ends.", input="start")
    return with_rule(denoiser, "interval", start=start, end=end)


@node("adapters/perturbed-attention", title="Perturbed attention (PAG)", keywords=("pag",))
def perturbed_attention(
    denoiser: Denoiser, scale: Annotated[float, Range(0, 20, step=0.1)] = 3.0, layers: Annotated[str, Advanced()] = "mid_block"
) -> Denoiser:
    """Sharper structure, by steering away from a picture made without looking at itself. Costs one more pass a step.

    Args:
        scale: 2 to 4 is usual; 0 is off.
        layers: Which parts of the network are disturbed, as "mid_block" or "down_blocks.2, up_blocks.1".
    """
    if not layers.strip():
        raise GraphError("Name a part of the network to disturb, as 'mid_block'.", input="layers")
    return with_rule(denoiser, "perturbed", scale=scale, layers=layers)


@node("adapters/shift", title="Flow shift", keywords=("model sampling sd3", "auraflow", "flux shift"))
def flow_shift(denoiser: Denoiser, shift: Annotated[float, Range(0.1, 20, step=0.05)] = 3.0) -> Denoiser:
    """Spend more steps on the large forms. For flow models (SD3, FLUX) only.

    Args:
        shift: 1 is even; 3 is usual for SD3, 1.15 for FLUX.1; more for larger pictures.
    """
    if denoiser.handle.prediction != "flow":
        raise GraphError(f"'{denoiser.handle.source.name}' is not a flow model, so it has no shift. Take this node away.", input="denoiser")
    return replace(denoiser, shift=shift)


@node("adapters/prediction", title="Set prediction", keywords=("model sampling discrete", "v prediction", "zsnr"))
def set_prediction(denoiser: Denoiser, prediction: Literal["epsilon", "v_prediction"] = "v_prediction") -> Denoiser:
    """Say what a model predicts, where its file does not. Grey, washed or burnt pictures from an SD 2 or a fine-tuned SDXL are the sign.

    Args:
        prediction: Most models predict the noise (epsilon).
    """
    return replace(denoiser, handle=replace(denoiser.handle, prediction=prediction))


def with_rule(denoiser: Denoiser, rule: str, **settings: float | str) -> Denoiser:
    """The denoiser with a guidance rule or modifier of this name, in place of an earlier one of the same name."""
    kept = tuple(item for item in denoiser.guidance if item[0] != rule)
    return replace(denoiser, guidance=(*kept, (rule, tuple(sorted(settings.items())))))
