"""Nodes for guidance that looks at more than prompt and negative prompt, and for models that were trained to need few steps."""

from dataclasses import replace
from typing import Annotated

from nodegraph.node import Advanced, GraphError, Range, Unit, node
from nodes.adapters import with_rule
from nodes.types import Conditioning, Denoiser

Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


@node("adapters/perpendicular-negative", title="Perpendicular negative", keywords=("perp neg", "perpneg", "negative prompt"))
def perpendicular_negative(
    denoiser: Denoiser, empty: Conditioning, strength: Annotated[float, Range(0, 10, step=0.1)] = 1.0
) -> Denoiser:
    """Let the negative prompt take away only what the prompt does not ask for. Costs one more pass a step.

    Args:
        empty: The conditioning of an empty prompt, from a Prompt node without words.
        strength: How strongly to steer away; 1 is usual.
    """
    made = with_rule(denoiser, "perp_neg", negative_scale=strength)
    return replace(made, prompts=(*(item for item in denoiser.prompts if item[0] != "empty"), ("empty", empty)))


@node("adapters/two-way-guidance", title="Two-way guidance", keywords=("dual cfg", "instruct pix2pix", "image cfg scale", "ip2p"))
def two_way_guidance(denoiser: Denoiser, image_guidance: Annotated[float, Range(0, 10, step=0.05)] = 1.5) -> Denoiser:
    """For instruct-pix2pix models: guide by the words and by the picture, each with a strength of its own.

    The sampler's guidance is that of the words. Wire both prompts through 'Instruct input'.

    Args:
        image_guidance: How closely to keep to the picture: 1.5 is usual, 1 changes more, 2 less.
    """
    if denoiser.handle.variant != "pix2pix":
        name = denoiser.handle.source.name
        raise GraphError(f"'{name}' is not an instruct-pix2pix model, so it sees no picture to keep to. Take this node away.", input="denoiser")
    return with_rule(denoiser, "dual", image_scale=image_guidance)


@node("adapters/skip-layers", title="Skip-layer guidance (SLG)", keywords=("slg", "skip layer guidance", "sd3.5", "hands"))
def skip_layers(
    denoiser: Denoiser,
    scale: Annotated[float, Range(0, 20, step=0.1)] = 3.0,
    layers: str = "7, 8, 9",
    start: Percent = 0.01,
    end: Percent = 0.15,
) -> Denoiser:
    """Better anatomy from SD3 models, by steering away from a picture made with some layers left out. Costs one more pass a step.

    Args:
        scale: 2.5 to 4 is usual; 0 is off.
        layers: Numbers of the layers to leave out; 7, 8, 9 for SD 3.5 Medium.
        start: Share of the steps after which it begins.
        end: Share after which it ends; early steps are enough.
    """
    if denoiser.handle.family != "sd3":
        raise GraphError("Skip-layer guidance is for SD3 models. Use 'Perturbed attention (PAG)' for this one.", input="denoiser")
    if not all(word.isdigit() for word in layers.replace(",", " ").split()) or not layers.strip(" ,"):
        raise GraphError(f"'{layers}' are no layer numbers, as 7, 8, 9.", input="layers")
    if start >= end:
        raise GraphError("Skip-layer guidance must start before it ends.", input="start")
    return with_rule(denoiser, "skip_layers", scale=scale, layers=layers, start=start, end=end)


@node("adapters/cfg-norm", title="CFG norm", keywords=("cfgnorm", "guidance norm", "qwen"))
def cfg_norm(denoiser: Denoiser, strength: Annotated[float, Range(0, 10, step=0.05)] = 1.0) -> Denoiser:
    """Guide without overdone contrast: no part of the picture grows stronger than the prompt alone would make it.

    Args:
        strength: 1 is usual.
    """
    return with_rule(denoiser, "cfg_norm", strength=strength)


@node("adapters/few-steps", title="Few-step model", keywords=("lcm", "model sampling discrete", "consistency", "distilled"))
def few_steps(denoiser: Denoiser, timesteps: Annotated[int, Range(1, 1000), Advanced()] = 50) -> Denoiser:
    """Say that a model, or the LoRA on it, is a consistency model (LCM), so that steps fall where it was trained.

    Use the sampler LCM, 4 to 8 steps and a guidance of 1 to 2 with it.

    Args:
        timesteps: How many noise levels it was trained at; 50 for LCM.
    """
    if denoiser.handle.prediction == "flow":
        raise GraphError(f"'{denoiser.handle.source.name}' is a flow model, which needs no such note. Take this node away.", input="denoiser")
    return replace(denoiser, timesteps=timesteps)
