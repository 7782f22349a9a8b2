"""ControlNets and T2I-Adapters of the UNet families, stacked: their residuals, computed once where they do not change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.diffusion.guidance import within
from nodes.diffusion.types import Control, Noising, StepContext


def live(controls: tuple[Control, ...], i: int, n: int, sigma: float, noising: Noising) -> tuple[Control, ...]:
    """The controls that count in step i, each with the strength it has there."""
    return tuple(_at(control, i, n) for control in controls if control.scale and within(control.span, control.clock, i, n, sigma, noising))


def _at(control: Control, i: int, n: int) -> Control:
    if not control.curve:
        return control
    start, end = control.span
    place = min(max(((i + 0.5) / n - start) / max(end - start, 1e-9), 0.0), 1.0) * (len(control.curve) - 1)
    low = int(place)
    high = min(low + 1, len(control.curve) - 1)
    return replace(control, scale=control.scale * ((high - place) * control.curve[low] + (place - low) * control.curve[high] if high > low else control.curve[low]))


@contextmanager
def remembered(module: nn.Module, hint: Tensor, memo: dict[Any, Any]) -> Iterator[None]:
    """Inside, `module` answers what it says of `hint`, for as many rows as it is given: a hint is embedded once a run, not once a step."""
    forward, key = module.forward, (id(module), id(hint))

    def once(given: Tensor) -> Any:
        if key not in memo:
            memo[key] = (hint, forward(given)[: hint.shape[0]])  # the hint is kept, so that its id is not given to another
        return spread(memo[key][1], given.shape[0])

    module.forward = once
    try:
        yield
    finally:
        del module.forward  # the instance attribute; the class's own shows again


def spread(value: Tensor, batch: int) -> Tensor:
    """One row for the whole batch, or the rows over and over."""
    if value.shape[0] == batch:
        return value
    return value.expand(batch, *value.shape[1:]) if value.shape[0] == 1 else value.repeat(batch // value.shape[0], *[1] * (value.ndim - 1))


def hint_for(control: Control, x: Tensor, shares: int) -> Tensor:
    """The control's picture for a whole batch of `shares` equal parts. Raises GraphError for a number of pictures that does not fit."""
    hint = control.hint.to(device=x.device, dtype=x.dtype)
    if hint.shape[0] != 1 and hint.shape[0] * shares != x.shape[0]:
        raise GraphError(f"A control has {hint.shape[0]} pictures for a batch of {x.shape[0] // shares}. Give it one, or as many as the batch.")
    return spread(hint, x.shape[0])


def _masked(residual: Tensor, control: Control) -> Tensor:
    if control.mask is None:
        return residual
    mask = nn.functional.interpolate(control.mask.to(residual), size=residual.shape[-2:], mode="bilinear", align_corners=False)
    return residual * mask


def _check_size(control: Control, x: Tensor) -> None:
    """Raise GraphError where the hint, made smaller as the model does it, would not lie on the latents."""
    config: Any = control.model.config
    factor = config.downscale_factor if "downscale_factor" in config else 2 ** (len(config.conditioning_embedding_out_channels) - 1)
    height, width = (size * factor for size in x.shape[-2:])
    if tuple(control.hint.shape[-2:]) != (height, width):
        given = f"{control.hint.shape[-1]} x {control.hint.shape[-2]}"
        raise GraphError(f"A control's picture is {given}, but the picture to be drawn is {width} x {height}. Resize it to the same size.")


def residuals(x: Tensor, t: Tensor, embeds: Tensor, added: Mapping[str, Any] | None, step: StepContext) -> dict[str, Any]:
    """Arguments for a UNet's forward: the sum of all controls' residuals; {} without controls.

    x [shares * batch, c, h, w] is the scaled network input WITHOUT extra channels; embeds [shares * batch, tokens, width].
    """
    outer: list[Tensor] | None = None
    inner: list[Tensor] | None = None
    for control in step.controls:
        _check_size(control, x)
        if hasattr(control.model, "adapter"):
            inner = summed(inner, _adapter(control, x, step))
            continue
        outer = summed(outer, asked_once(control, step, partial(_controlnet, control, x, t, embeds, added, step)))
    found: dict[str, Any] = {}
    if outer is not None:
        found |= {"down_block_additional_residuals": tuple(outer[:-1]), "mid_block_additional_residual": outer[-1]}
    if inner is not None:
        found["down_intrablock_additional_residuals"] = list(inner)  # the UNet empties the list
    return found


def summed(sums: list[Tensor] | None, new: list[Tensor]) -> list[Tensor]:
    """The residuals of several controls, one by one; None is none yet."""
    return new if sums is None else [a + b for a, b in zip(sums, new, strict=True)]


def _adapter(control: Control, x: Tensor, step: StepContext) -> list[Tensor]:
    """T2I-Adapter features: they depend on the hint alone, so they are computed once a run (Mou et al. 2023, arXiv:2302.08453)."""
    hint_for(control, x, len(step.roles))  # words for a number of pictures that does not fit
    key, model = (id(control.model), id(control.hint)), control.model
    if key not in step.memo:
        hint = control.hint.to(device=x.device, dtype=x.dtype)
        seen = hint.mean(1, keepdim=True) if model.config.in_channels == 1 else hint  # type: ignore[union-attr]  # edges and sketches are grey
        step.memo[key] = (control.hint, model(seen))
    return [spread(_masked(feature * control.scale, control), x.shape[0]) for feature in step.memo[key][1]]


def asked_once(control: Control, step: StepContext, make: Callable[[], list[Tensor]]) -> list[Tensor]:
    """The residuals that `make` makes of a control, rows as in the batch; a prompt that is asked again of the same latents has the same ones."""
    if step.now is None:
        return make()
    keys = [(control, id(cond)) for cond in step.conds]
    if not all(key in step.now for key in keys):
        made = make()
        step.now.update(zip(keys, zip(*(residual.chunk(len(keys)) for residual in made), strict=True), strict=True))
        return made
    return [torch.cat(parts) for parts in zip(*(step.now[key] for key in keys), strict=True)]


def _controlnet(
    control: Control, x: Tensor, t: Tensor, embeds: Tensor, added: Mapping[str, Any] | None, step: StepContext
) -> list[Tensor]:
    """Residuals of a ControlNet (Zhang et al. 2023, arXiv:2302.05543) for the levels of the UNet, that of the middle last."""
    model: Any = control.model
    hint = hint_for(control, x, len(step.roles))
    arguments: dict[str, Any] = {"encoder_hidden_states": embeds, "added_cond_kwargs": added, "return_dict": False}
    if "control_type_idx" in control.extra:  # the union model takes lists: one picture a type
        kinds = list(control.extra["control_type_idx"])
        kind_row = torch.zeros(x.shape[0], model.config.num_control_type, device=x.device, dtype=x.dtype)
        kind_row[:, kinds] = 1
        arguments |= {"controlnet_cond": [hint], "control_type": kind_row, "control_type_idx": kinds, "conditioning_scale": [control.scale]}
    else:
        arguments |= {"controlnet_cond": hint, "conditioning_scale": control.scale}
    with remembered(model.controlnet_cond_embedding, control.hint, step.memo):
        down, mid = model(x, t, **arguments)
    return [_masked(residual, control) for residual in (*down, mid)]
