"""ControlNets and T2I-Adapters of the UNet families, stacked: their residuals, computed once where they do not change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
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
def remembered(module: nn.Module, key: Any, memo: dict[Any, Any]) -> Iterator[None]:
    """Inside, `module` answers from `memo` what it answered for this key before: a hint is embedded once a run, not once a step."""
    forward = module.forward

    def once(*args: Any, **kwargs: Any) -> Any:
        if key not in memo:
            memo[key] = forward(*args, **kwargs)
        return memo[key]

    module.forward = once
    try:
        yield
    finally:
        del module.forward  # the instance attribute; the class's own shows again


def _masked(residual: Tensor, control: Control) -> Tensor:
    if control.mask is None:
        return residual
    mask = nn.functional.interpolate(control.mask.to(residual), size=residual.shape[-2:], mode="bilinear", align_corners=False)
    return residual * mask


def _hint(control: Control, x: Tensor, shares: int) -> Tensor:
    """The hint for a whole batch of `shares` equal parts."""
    hint = control.hint.to(device=x.device, dtype=x.dtype)
    if hint.shape[0] == 1:
        return hint.expand(x.shape[0], -1, -1, -1)
    if hint.shape[0] * shares != x.shape[0]:
        raise GraphError(f"A control has {hint.shape[0]} pictures for a batch of {x.shape[0] // shares}. Give it one, or as many as the batch.")
    return hint.repeat(shares, 1, 1, 1)


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
    down: list[Tensor] | None = None
    mid: Tensor | None = None
    inner: list[Tensor] | None = None
    for number, control in enumerate(step.controls):
        if not any(_targets(control, role) for role in step.roles):
            continue
        _check_size(control, x)
        if hasattr(control.model, "adapter"):
            inner = _summed(inner, _adapter(control, number, x, step))
            continue
        some_down, some_mid = _controlnet(control, number, x, t, embeds, added, step)
        down, mid = _summed(down, some_down), some_mid if mid is None else mid + some_mid
    found: dict[str, Any] = {}
    if down is not None:
        found |= {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": mid}
    if inner is not None:
        found["down_intrablock_additional_residuals"] = list(inner)  # the UNet empties the list
    return found


def _targets(control: Control, role: str) -> bool:
    return control.target == "both" or role in ("cond", "perturbed")


def _summed(sums: list[Tensor] | None, new: list[Tensor]) -> list[Tensor]:
    return new if sums is None else [a + b for a, b in zip(sums, new, strict=True)]


def _adapter(control: Control, number: int, x: Tensor, step: StepContext) -> list[Tensor]:
    """T2I-Adapter features: they depend on the hint alone, so they are computed once a run (Mou et al. 2023, arXiv:2302.08453)."""
    key = ("adapter", number, id(control.model), id(control.hint))
    if key not in step.memo:
        step.memo[key] = control.model(control.hint.to(device=x.device, dtype=x.dtype))
    shares = len(step.roles)
    features = [_masked(feature * control.scale, control) for feature in step.memo[key]]
    if control.target == "cond":
        return [_by_role(_spread(feature, x.shape[0] // shares), control, step) for feature in features]
    return [_spread(feature, x.shape[0]) for feature in features]


def _by_role(feature: Tensor, control: Control, step: StepContext) -> Tensor:
    return torch.cat([feature if _targets(control, role) else torch.zeros_like(feature) for role in step.roles])


def _spread(feature: Tensor, batch: int) -> Tensor:
    return feature.expand(batch, -1, -1, -1) if feature.shape[0] == 1 else feature.repeat(batch // feature.shape[0], 1, 1, 1)


def _controlnet(
    control: Control, number: int, x: Tensor, t: Tensor, embeds: Tensor, added: Mapping[str, Any] | None, step: StepContext
) -> tuple[list[Tensor], Tensor]:
    """One ControlNet (Zhang et al. 2023, arXiv:2302.05543) for the shares of the batch that it targets; the others get zeros."""
    model, shares = control.model, len(step.roles)
    chosen = [k for k, role in enumerate(step.roles) if _targets(control, role)]
    part = x.shape[0] // shares
    rows = None if len(chosen) == shares else torch.cat([torch.arange(k * part, (k + 1) * part, device=x.device) for k in chosen])
    seen, text = (x, embeds) if rows is None else (x[rows], embeds[rows])
    extra = None if added is None else {name: value if rows is None or not isinstance(value, Tensor) else value[rows] for name, value in added.items()}
    hint = _hint(control, seen, len(chosen))
    union = "control_type_idx" in control.extra
    arguments: dict[str, Any] = {"encoder_hidden_states": text, "conditioning_scale": control.scale, "added_cond_kwargs": extra, "return_dict": False}
    if union:  # the union model takes lists: one picture a type
        kinds = list(control.extra["control_type_idx"])
        kind_row = torch.zeros(seen.shape[0], model.config.num_control_type, device=x.device, dtype=x.dtype)
        kind_row[:, kinds] = 1
        arguments |= {"controlnet_cond": [hint], "control_type": kind_row, "control_type_idx": kinds, "conditioning_scale": [control.scale]}
    else:
        arguments["controlnet_cond"] = hint
    with remembered(model.controlnet_cond_embedding, ("hint", number, id(model), id(control.hint), len(chosen)), step.memo):
        down, mid = model(seen, t, **arguments)
    down, mid = [_masked(r, control) for r in down], _masked(mid, control)
    if rows is None:
        return down, mid
    return [_placed(r, rows, x.shape[0]) for r in down], _placed(mid, rows, x.shape[0])


def _placed(residual: Tensor, rows: Tensor, batch: int) -> Tensor:
    whole = residual.new_zeros(batch, *residual.shape[1:])
    whole[rows] = residual
    return whole
