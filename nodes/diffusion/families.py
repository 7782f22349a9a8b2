"""Which family adapter draws with which loaded network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from nodegraph.errors import GraphError
from nodes.diffusion.latents import PIXELS, SD1, SDXL
from nodes.diffusion.noising import Discrete, Flow, noising_for
from nodes.diffusion.transformers import FluxFamily, Sd3Family
from nodes.diffusion.types import Family, Noising, Prediction
from nodes.diffusion.unet import UNetFamily

# the x4 upscaler's latents are a quarter of the picture's size; its network takes the small picture as extra channels
_UNETS = {"sd-upscale": replace(SD1, downscale=4), "sd1": SD1, "sd2": SD1, "sdxl": SDXL, "sdxl-refiner": SDXL, "if": PIXELS}


def family_for(
    kind: str,
    module: nn.Module,
    scheduler: Mapping[str, Any] | None = None,
    prediction: Prediction | None = None,
    shift: float | None = None,
    distilled: int = 0,
) -> Family:
    """The adapter of a family for its loaded network.

    kind: "sd1", "sd2", "sd-upscale", "sdxl", "sdxl-refiner", "if", "sd3", "flux1"; module: the diffusers UNet or transformer.
    scheduler: the model's scheduler_config.json, for its betas and prediction type; {} or None is the family's usual.
    prediction: overrides what the scheduler says; shift: of a flow model, overrides the model's own and that of the picture's size.
    distilled: for consistency models, how many of the timesteps they know (50 for LCM); 0 is all.
    Raises GraphError for a family that has no adapter.
    """
    if kind in _UNETS:
        return UNetFamily(module, kind, _UNETS[kind], _unet_noising(kind, scheduler, prediction, distilled))
    if kind == "sd3":
        given = noising_for(scheduler) if scheduler else Flow(shift=3.0)
        return Sd3Family(module, noising=given if shift is None else Flow(shift=shift))
    if kind == "flux1":
        own = dict(scheduler or {})
        if shift is not None:
            return FluxFamily(module, noising=Flow(shift=shift, levels=10000), dynamic=False)
        if not own.get("use_dynamic_shifting", True):
            return FluxFamily(module, noising=Flow(shift=float(own.get("shift", 1.0)), levels=10000), dynamic=False)
        return FluxFamily(module)
    raise GraphError(f"There is no sampler for models of the family '{kind}' yet.")


def _unet_noising(kind: str, scheduler: Mapping[str, Any] | None, prediction: Prediction | None, distilled: int) -> Noising:
    usual = {"prediction_type": "v_prediction" if kind in ("sd2", "sd-upscale") else "epsilon"}
    if kind == "if":
        usual |= {"beta_schedule": "squaredcos_cap_v2"}
    given = noising_for(scheduler or usual)
    return replace(given, prediction=prediction or given.prediction, distilled=distilled) if isinstance(given, Discrete) else given
