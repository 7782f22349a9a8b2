"""The flow transformers as families of the same loop: Stable Diffusion 3 and FLUX.1."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.diffusion.control import asked_once, hint_for, remembered, summed
from nodes.diffusion.latents import FLUX, SD3
from nodes.diffusion.noising import Flow, flux_shift
from nodes.diffusion.types import Cond, Control, LatentFormat, Noising, StepContext


@dataclass(frozen=True)
class Sd3Family:
    """Stable Diffusion 3 and 3.5: SD3Transformer2DModel (Esser et al. 2024, arXiv:2403.03206)."""

    transformer: nn.Module
    name: str = "sd3"
    latent: LatentFormat = SD3
    noising: Noising = field(default_factory=lambda: Flow(shift=3.0))
    batched: bool = True

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.transformer.parameters()).dtype

    def fitted(self, shape: Sequence[int]) -> Sd3Family:
        return self

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        if cond.pooled is None:
            raise GraphError("This prompt has no pooled text state, which Stable Diffusion 3 reads. Encode it with the encoders of Stable Diffusion 3.")
        times = t.to(x.device).expand(x.shape[0])
        blocks: list[Tensor] | None = None
        for control in step.controls:
            blocks = summed(blocks, asked_once(control, step, partial(self._control, control, x, times, cond.embeds, cond.pooled, step)))
        skipped = {"skip_layers": [int(layer) for layer in step.perturb]} if step.perturb else {}
        predicted: Tensor = self.transformer(
            hidden_states=x,
            timestep=times,
            encoder_hidden_states=cond.embeds,
            pooled_projections=cond.pooled,
            block_controlnet_hidden_states=blocks,
            return_dict=False,
            **skipped,
        )[0]
        return predicted

    def _control(self, control: Control, x: Tensor, times: Tensor, embeds: Tensor, pooled: Tensor, step: StepContext) -> list[Tensor]:
        """Residuals of an SD3ControlNetModel for the blocks of the transformer."""
        model: Any = control.model
        has_text = model.config.joint_attention_dim is not None  # the large ones of SD 3.5 see no text, and the transformer's own patches
        with remembered(model.pos_embed_input, control.hint, step.memo):
            found = model(
                hidden_states=x if model.config.use_pos_embed else self.transformer.pos_embed(x),  # type: ignore[operator]
                timestep=times,
                encoder_hidden_states=embeds if has_text else None,
                pooled_projections=torch.zeros_like(pooled) if model.config.force_zeros_for_pooled_projection else pooled,
                controlnet_cond=hint_for(control, x, len(step.roles)),
                conditioning_scale=control.scale,
                return_dict=False,
            )[0]
        patch, blocks = model.config.patch_size, len(self.transformer.transformer_blocks)  # type: ignore[arg-type]
        found = _masked(found, control, x.shape[-2] // patch, x.shape[-1] // patch)
        return [found[int(k * len(found) / blocks)] for k in range(blocks)]


def pack(latent: Tensor) -> Tensor:
    """[batch, c, h, w] -> tokens [batch, h/2 * w/2, 4 c]: each 2 x 2 patch is one."""
    batch, channels, height, width = latent.shape
    patches = latent.view(batch, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return patches.reshape(batch, (height // 2) * (width // 2), channels * 4)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `pack` for latents of this height and width."""
    batch, _, channels = tokens.shape
    patches = tokens.view(batch, height // 2, width // 2, channels // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return patches.reshape(batch, channels // 4, height, width)


def places(height: int, width: int, like: Tensor, picture: int = 0) -> Tensor:
    """[h/2 * w/2, 3] (picture, row, column) of every token, for rotary embeddings."""
    grid = torch.zeros(height // 2, width // 2, 3)
    grid[..., 0] = picture
    grid[..., 1] += torch.arange(height // 2)[:, None]
    grid[..., 2] += torch.arange(width // 2)[None]
    return grid.reshape(-1, 3).to(like)


@dataclass(frozen=True)
class FluxFamily:
    """FLUX.1 dev, schnell, Fill, Canny, Depth and Kontext: FluxTransformer2DModel; tokens exist only in here.

    dynamic: the schedule moves towards noise with the size of the picture (dev); else it stays as `noising` says (schnell).
    """

    transformer: nn.Module
    name: str = "flux1"
    latent: LatentFormat = FLUX
    noising: Noising = field(default_factory=lambda: Flow(shift=flux_shift(4096), levels=10000))
    batched: bool = False
    dynamic: bool = True

    @property
    def device(self) -> torch.device:
        return next(self.transformer.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.transformer.parameters()).dtype

    def fitted(self, shape: Sequence[int]) -> FluxFamily:
        if shape[-1] % 2 or shape[-2] % 2:
            raise GraphError("FLUX paints in blocks of 16 pixels. Choose a width and a height that 16 divides.")
        if not self.dynamic:
            return self
        return replace(self, noising=Flow(shift=flux_shift(shape[-2] * shape[-1] // 4), levels=10000))

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        if step.perturb:
            raise GraphError("Skip-layer guidance does not work with FLUX. Take it off the denoiser.")
        if cond.pooled is None:
            raise GraphError("This prompt has no pooled text state, which FLUX reads. Encode it with the encoders of FLUX.")
        batch, _, height, width = x.shape
        model: Any = self.transformer
        tokens, ids = pack(x), self._places(x, cond, step)
        own = tokens.shape[1]
        if "concat" in cond.extra:
            tokens = torch.cat([tokens, pack(cond.extra["concat"])], -1)
        if tokens.shape[-1] != model.config.in_channels:
            raise GraphError(
                f"This FLUX model takes {model.config.in_channels} numbers a place, but {tokens.shape[-1]} arrive. FLUX Fill needs its picture and mask "
                "('Inpaint model input'), FLUX Canny and Depth their picture ('Instruct input'); the plain ones take neither."
            )
        for picture in cond.extra.get("refs", ()):
            tokens = torch.cat([tokens, pack(picture.to(x))], 1)
        shared: dict[str, Any] = {
            "timestep": t.to(x.device).expand(batch).to(x.dtype) / 1000,
            "pooled_projections": cond.pooled,
            "encoder_hidden_states": cond.embeds,
            "txt_ids": step.memo["flux text places", cond.embeds.shape[1]],
            "return_dict": False,
        }
        strength = torch.full([batch], float(cond.extra.get("guidance", 3.5)), device=x.device, dtype=x.dtype)
        found: dict[str, Any] = {}
        for control in step.controls:
            new = self._control(control, x, tokens.shape[1], strength, {**shared, "img_ids": ids[:own]}, step)
            found = {name: summed(found.get(name), some) for name, some in new.items()}
        if "image_embeds" in cond.extra:
            shared["joint_attention_kwargs"] = {"ip_adapter_image_embeds": cond.extra["image_embeds"]}
        with model.cache_context(step.roles[0]) if hasattr(model, "cache_context") else nullcontext():
            predicted = model(hidden_states=tokens, img_ids=ids, guidance=strength if model.config.guidance_embeds else None, **shared, **found)[0]
        return unpack(predicted[:, :own], height, width)

    def _places(self, x: Tensor, cond: Cond, step: StepContext) -> Tensor:
        """Places of picture and reference tokens; like those of the text they stay the same for the whole run."""
        shapes = [tuple(picture.shape[-2:]) for picture in cond.extra.get("refs", ())]
        key = ("flux places", tuple(x.shape[-2:]), *shapes)
        if key not in step.memo:
            step.memo[key] = torch.cat([places(h, w, x, k) for k, (h, w) in enumerate([tuple(x.shape[-2:]), *shapes])])
        tokens = cond.embeds.shape[1]
        step.memo.setdefault(("flux text places", tokens), torch.zeros(tokens, 3).to(x))
        return step.memo[key]

    def _control(self, control: Control, x: Tensor, length: int, strength: Tensor, shared: dict[str, Any], step: StepContext) -> dict[str, Any]:
        """Residuals of a FluxControlNetModel, by the names under which the transformer takes them; 0 for tokens that are no part of `x`."""
        model: Any = control.model
        hint = hint_for(control, x, len(step.roles))
        is_pixels = model.input_hint_block is not None
        with remembered(model.input_hint_block if is_pixels else model.controlnet_x_embedder, control.hint, step.memo):
            sums = model(
                hidden_states=pack(x),
                controlnet_cond=hint if is_pixels else pack(hint),
                conditioning_scale=control.scale,
                guidance=strength if model.config.guidance_embeds else None,
                **shared,
                **{name: torch.full([x.shape[0], 1], value, device=x.device) for name, value in control.extra.items()},
            )
        rows, columns, own = x.shape[-2] // 2, x.shape[-1] // 2, self.transformer
        named = (
            ("controlnet_block_samples", sums[0], len(own.transformer_blocks), not is_pixels),  # type: ignore[arg-type]
            ("controlnet_single_block_samples", sums[1], len(own.single_transformer_blocks), False),  # type: ignore[arg-type]
        )
        return {
            name: _for_blocks([_filled(one, length) for one in _masked(some, control, rows, columns)], blocks, repeats)
            for name, some, blocks, repeats in named
            if some
        }


def _masked(residuals: Sequence[Tensor], control: Control, rows: int, columns: int) -> list[Tensor]:
    """Residuals [batch, rows * columns, width] where the control's mask says that it counts."""
    if control.mask is None:
        return list(residuals)
    mask = nn.functional.interpolate(control.mask.to(residuals[0]), size=(rows, columns), mode="bilinear", align_corners=False, antialias=True)
    return [residual * mask.flatten(2).transpose(1, 2) for residual in residuals]


def _for_blocks(residuals: list[Tensor], blocks: int, repeats: bool) -> list[Tensor]:
    """One residual for each of the transformer's blocks, as diffusers deals out those of a smaller ControlNet, so that controls of any depth add up."""
    every = math.ceil(blocks / len(residuals))
    return [residuals[k % len(residuals) if repeats else k // every] for k in range(blocks)]


def _filled(residual: Tensor, length: int) -> Tensor:
    missing = length - residual.shape[1]
    return nn.functional.pad(residual, (0, 0, 0, missing)) if missing else residual

