"""The flow transformers as families of the same loop: Stable Diffusion 3 and FLUX.1."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
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
            _check_control(control, self.name)
            found = control.model(
                hidden_states=x,
                timestep=times,
                encoder_hidden_states=cond.embeds,
                pooled_projections=cond.pooled,
                controlnet_cond=_hint(control, x),
                conditioning_scale=control.scale,
                return_dict=False,
            )[0]
            blocks = list(found) if blocks is None else [a + b for a, b in zip(blocks, found, strict=True)]
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
        for picture in cond.extra.get("refs", ()):
            tokens = torch.cat([tokens, pack(picture.to(x))], 1)
        if "concat" in cond.extra:
            tokens = torch.cat([tokens, cond.extra["concat"]], -1)
        shared: dict[str, Any] = {
            "timestep": t.to(x.device).expand(batch).to(x.dtype) / 1000,
            "pooled_projections": cond.pooled,
            "encoder_hidden_states": cond.embeds,
            "txt_ids": step.memo["flux text places", cond.embeds.shape[1]],
            "img_ids": ids,
            "return_dict": False,
        }
        if "image_embeds" in cond.extra:
            shared["joint_attention_kwargs"] = {"ip_adapter_image_embeds": cond.extra["image_embeds"]}
        strength = torch.full([batch], float(cond.extra.get("guidance", 3.5)), device=x.device, dtype=x.dtype)
        found: dict[str, Any] = {}
        for control in step.controls:
            _check_control(control, self.name)
            self._control(control, tokens, strength, shared, found, step)
        with model.cache_context(step.roles[0]) if hasattr(model, "cache_context") else nullcontext():
            predicted = model(hidden_states=tokens, guidance=strength if model.config.guidance_embeds else None, **shared, **found)[0]
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

    def _control(self, control: Control, tokens: Tensor, strength: Tensor, shared: dict[str, Any], found: dict[str, Any], step: StepContext) -> None:
        model: Any = control.model
        key = ("flux hint", id(control.hint))
        if key not in step.memo:
            hint = control.hint.to(tokens)
            step.memo[key] = hint if model.input_hint_block is not None else pack(hint)
        blocks, singles = model(
            hidden_states=tokens,
            controlnet_cond=step.memo[key],
            conditioning_scale=control.scale,
            guidance=strength if model.config.guidance_embeds else None,
            **shared,
            **control.extra,
        )
        for name, new in (("controlnet_block_samples", blocks), ("controlnet_single_block_samples", singles)):
            before = found.get(name)
            found[name] = new if before is None or new is None else [a + b for a, b in zip(before, new, strict=True)]


def _check_control(control: Control, family: str) -> None:
    """Raise GraphError for what the ControlNets of transformers cannot do, rather than leave it out."""
    if control.mask is not None or control.target != "both":
        raise GraphError(f"A control of {family} acts on the whole picture and on both prompts. Take its mask off, and let it act on both.")


def _hint(control: Control, x: Tensor) -> Tensor:
    hint = control.hint.to(x)
    return hint.expand(x.shape[0], -1, -1, -1) if hint.shape[0] == 1 else hint.repeat(x.shape[0] // hint.shape[0], 1, 1, 1)
