"""Nodes for many LoRAs at once, and for LoRAs whose strength follows the steps."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from nodegraph.node import Advanced, File, GraphError, Range, Text, Unit, node
from nodes.adapters import Patched, Strength, part_strengths
from nodes.loaders import lora_family
from nodes.types import Denoiser, ScheduledLora, TextEncoder

LoraFile = Annotated[Path | None, File("loras", (".safetensors", ".sft"))]
Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


def _family(values: Mapping[str, Any]) -> str | None:
    """The family of the first LoRA of a stack that tells one and counts."""
    rows = ("first", "second", "third", "fourth", "fifth")
    files = (values.get(row) for row in rows if values.get(f"{row}_strength", 1.0))
    return next((found for file in files if (found := lora_family({"file": file}))), None)


@node("adapters/lora-stack", family=_family, title="LoRA stack", keywords=("lora loader stack", "power lora loader", "several loras"))
def lora_stack(
    denoiser: Denoiser,
    text_encoder: TextEncoder,
    first: LoraFile = None,
    first_strength: Strength = 1.0,
    second: LoraFile = None,
    second_strength: Strength = 1.0,
    third: LoraFile = None,
    third_strength: Strength = 1.0,
    fourth: LoraFile = None,
    fourth_strength: Strength = 1.0,
    fifth: LoraFile = None,
    fifth_strength: Strength = 1.0,
    overall: Annotated[float, Range(0, 2, step=0.05), Advanced()] = 1.0,
) -> Patched:
    """Add up to five LoRAs in one node. Empty rows and those of strength 0 cost nothing. Chain it for more.

    Args:
        first: A LoRA, DoRA, LoHa or LoKr of the same family as the model.
        first_strength: 1 as it was trained, 0 off; with several, 0.4 to 0.8 each is usual.
        overall: Turns all of them up or down together.
    """
    from nodes.models.opening import with_lora

    rows = ((first, first_strength), (second, second_strength), (third, third_strength), (fourth, fourth_strength), (fifth, fifth_strength))
    handle, text = denoiser.handle, text_encoder.handle
    for path, strength in rows:
        if path is None or strength * overall == 0:
            continue
        handle, patched = with_lora(handle, text, path, strength * overall)
        if patched is None:
            raise GraphError(f"The text encoder could not take the LoRA '{path.name}'.", input="text_encoder")
        text = patched
    return Patched(replace(denoiser, handle=handle), TextEncoder(text))


@node("adapters/lora-schedule", family=lora_family, title="LoRA over the steps", keywords=("lora schedule", "lora hook", "lora keyframes", "create hook lora"))
def lora_schedule(
    denoiser: Denoiser,
    file: Annotated[Path, File("loras", (".safetensors", ".sft"))],
    strength: Strength = 1.0,
    start: Percent = 0.0,
    end: Percent = 1.0,
    curve: str = "",
    blocks: Annotated[str, Text(2), Advanced()] = "",
) -> Denoiser:
    """Let a LoRA count only in a part of the steps, or with a strength that rises and falls. Early steps make forms, late ones style and detail.

    Words are read once for all steps, so it teaches only the denoiser.

    Args:
        file: A LoRA, DoRA, LoHa or LoKr of the same family as the model.
        strength: 1 as it was trained, 0 off; 0.6 to 0.9 is usual.
        start: Share of the steps after which it begins to count.
        end: Share after which it no longer does.
        curve: Factors on the strength, spread evenly from start to end, as "0, 1, 0.5". Empty keeps it the same. Each step of another strength
            takes the time in which the LoRA is put on.
        blocks: Other strengths for parts of the network, a line each, as "mid_block 0.5" or "down_blocks.1 0".
    """
    from nodes.models.opening import with_lora

    if start > end:
        raise GraphError("A LoRA must start before it ends.", input="start")
    try:
        factors = tuple(float(word) for word in curve.replace(",", " ").split())
    except ValueError:
        raise GraphError("A curve is numbers with commas between them, as 0, 1, 0.5.", input="curve") from None
    if not all(abs(factor) <= 10 for factor in factors):
        raise GraphError("The factors of a curve lie between -10 and 10.", input="curve")
    patched = with_lora(denoiser.handle, None, file, strength, blocks=part_strengths(blocks))[0]
    if start == end or strength == 0 or (factors and not any(factors)):
        return denoiser
    if (start, end) == (0.0, 1.0) and len(set(factors)) < 2 and not denoiser.scheduled:
        factor = factors[0] if factors else 1.0
        return replace(denoiser, handle=with_lora(denoiser.handle, None, file, strength * factor, blocks=part_strengths(blocks))[0])
    return replace(denoiser, scheduled=(*denoiser.scheduled, ScheduledLora(patched.patches[-1], (start, end), factors)))
