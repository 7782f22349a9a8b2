"""The UNet families: Stable Diffusion 1.x and 2.x, SDXL, their inpaint, pix2pix and unCLIP variants, DeepFloyd IF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.diffusion import control
from nodes.diffusion.latents import SD1
from nodes.diffusion.noising import Discrete
from nodes.diffusion.types import Cond, LatentFormat, Noising, StepContext


@dataclass(frozen=True)
class UNetFamily:
    """A UNet2DConditionModel in the convention of its noising (epsilon or v)."""

    unet: nn.Module
    name: str = "sd1"
    latent: LatentFormat = SD1
    noising: Noising = field(default_factory=Discrete)
    batched: bool = True

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    def fitted(self, shape: Sequence[int]) -> UNetFamily:
        return self

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        extra = cond.extra
        added: dict[str, Any] = {name: extra[name] for name in ("time_ids", "image_embeds") if name in extra}
        if cond.pooled is not None:
            added["text_embeds"] = cond.pooled
        found = control.residuals(x, t, cond.embeds, added or None, step)
        if "concat" in extra:
            x = torch.cat([x, extra["concat"]], 1)
        self._check(x, cond)
        masks = {"cross_attention_kwargs": {"ip_adapter_masks": extra["ip_masks"]}} if "ip_masks" in extra else {}
        with disturbed(self.unet, step.perturb):
            predicted: Tensor = self.unet(
                x,
                t,
                encoder_hidden_states=cond.embeds,
                class_labels=extra.get("class_labels"),
                added_cond_kwargs=added or None,
                return_dict=False,
                **masks,
                **found,
            )[0]
        return predicted

    def _check(self, x: Tensor, cond: Cond) -> None:
        """Raise GraphError, before the network stumbles over a shape, where prompt or latent belong to another family."""
        config: Any = self.unet.config
        if x.shape[1] != config.in_channels:
            raise GraphError(
                f"This model takes {config.in_channels} latent channels, but {x.shape[1]} arrive. "
                "An inpaint model needs its picture and mask (9 channels); a latent of another family needs a new Empty Latent."
            )
        width = getattr(config, "encoder_hid_dim", None) or config.cross_attention_dim
        wanted = width[0] if isinstance(width, (tuple, list)) else width
        if wanted and cond.embeds.shape[-1] != wanted:
            raise GraphError(f"The prompt was encoded {cond.embeds.shape[-1]} wide, but this model reads {wanted}. Use the text encoder of the same family.")


class _NoAttention:
    """Self attention replaced by the identity: every place sees only itself."""

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        spatial = hidden_states.ndim == 4
        shape = hidden_states.shape
        states = hidden_states.flatten(2).transpose(1, 2) if spatial else hidden_states
        if attn.group_norm is not None:
            states = attn.group_norm(states.transpose(1, 2)).transpose(1, 2)
        states = attn.to_out[1](attn.to_out[0](attn.to_v(states)))
        if spatial:
            states = states.transpose(-1, -2).reshape(shape)
        if attn.residual_connection:
            states = states + hidden_states
        return states / attn.rescale_output_factor


@contextmanager
def disturbed(unet: Any, layers: tuple[str, ...]) -> Iterator[None]:
    """Inside, self attention in all layers whose name contains one of `layers` is the identity."""
    if not layers:
        yield
        return
    chosen = [module for name, module in unet.named_modules() if name.endswith("attn1") and any(part in name for part in layers)]
    if not chosen:
        raise GraphError(f"This model has no attention layer named {', '.join(layers)}. Usual are mid_block, down_blocks.2, up_blocks.1.")
    before = [module.processor for module in chosen]
    for module in chosen:
        module.processor = _NoAttention()
    try:
        yield
    finally:
        for module, processor in zip(chosen, before, strict=True):
            module.processor = processor
