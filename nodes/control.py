"""Nodes that hold a picture to another one: ControlNets and T2I-Adapters, and how the sampler opens them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from nodegraph.node import Advanced, GraphError, Range, Unit, node
from nodes.types import Conditioning, ControlNet, ControlUse, Image, Mask, Vae

if TYPE_CHECKING:
    from torch import Tensor

    from nodes.models.handles import ControlHandle, DenoiserHandle

Percent = Annotated[float, Range(0, 1, step=0.01), Unit("%")]
UNION = {
    "sdxl": {"openpose": 0, "depth": 1, "softedge": 2, "scribble": 2, "canny": 3, "lineart": 3, "mlsd": 3, "normal": 4, "segment": 5, "tile": 6, "inpaint": 7},
    "flux1": {"canny": 0, "tile": 1, "depth": 2, "blur": 3, "openpose": 4, "grey": 5, "low quality": 6},
}  # fmt: skip
"""Places of the kinds in union models: Xinsir's for SDXL (his first one ends at 5), those of InstantX and Shakker Labs for FLUX."""


@node("control/apply", title="Apply ControlNet", keywords=("control net", "canny", "depth", "pose", "t2i adapter", "stack"))
def apply_controlnet(
    conditioning: Conditioning,
    controlnet: ControlNet,
    image: Image,
    strength: Annotated[float, Range(0, 10, step=0.05)] = 1.0,
    start: Annotated[float, Range(0, 1, step=0.01), Unit("%"), Advanced()] = 0.0,
    end: Percent = 1.0,
    mask: Mask | None = None,
    vae: Vae | None = None,
    hole: Mask | None = None,
) -> Conditioning:
    """Hold the picture to the lines, depth or pose of another one. Several can be chained.

    Put it behind the positive prompt; a negative prompt is held too, unless it has a ControlNet of its own. Behind one of several prompts
    that are combined, it holds only where and when that prompt counts.

    Args:
        image: What the ControlNet was trained on, as edges from 'Canny edges'. Of the proportions of the picture to come.
        strength: 1 holds closely, 0.5 leaves room, 0 is off.
        start: Share of the steps after which it begins to hold.
        end: Share after which it lets go; 60 to 80 % leaves the fine detail to the prompt.
        mask: Where it holds; without it, everywhere.
        vae: The model's own VAE. ControlNets for SD3 and FLUX look through it; the others need none.
        hole: For ControlNets for inpainting only: what is to be painted anew.
    """
    if start >= end:
        raise GraphError("A ControlNet must start before it ends.", input="start")
    if strength == 0:
        return conditioning
    _check_kind(controlnet.handle, controlnet.kind)
    if vae is None and _sees_latents(controlnet.handle):
        raise GraphError(f"'{controlnet.handle.source.name}' looks at its picture through the VAE of the model. Connect that VAE.", input="vae")
    where = None if mask is None else mask.values[:1]
    anew = None if hole is None else hole.values
    use = ControlUse(controlnet.handle, image.pixels, strength, (start, end), where, controlnet.kind, None if vae is None else vae.handle, anew)
    return replace(conditioning, parts=tuple(replace(part, controls=(*part.controls, use)) for part in conditioning.parts))


def _check_kind(handle: "ControlHandle", kind: str) -> None:
    """Raise GraphError where a union model is not told what its picture shows, or another model is."""
    known, is_union = UNION.get(handle.family, {}), handle.kind == "controlnet-union"
    if is_union and kind not in known:
        said = f"takes no '{kind}'" if kind else "must be told what its picture shows"
        raise GraphError(f"The union ControlNet '{handle.source.name}' {said}. Set 'kind' in 'Load ControlNet' to one of {', '.join(known)}.", input="controlnet")
    if kind and not is_union:
        raise GraphError(f"'{handle.source.name}' is made for one kind of picture. Clear 'kind' in 'Load ControlNet'.", input="controlnet")


def _sees_latents(handle: "ControlHandle") -> bool:
    from nodes.models.opening import control_sees_latents

    return control_sees_latents(handle)


@contextmanager
def opened_control(use: ControlUse, denoiser: "DenoiserHandle", size: tuple[int, int], device: Any) -> Iterator[Any]:
    """A control as the numerics take it, for a picture of `size` (height, width) in pixels; its network is loaded for the length of the block.

    Raises: GraphError, before anything is loaded, for another family of models and a picture of other proportions.
    """
    from nodes.diffusion.types import Control
    from nodes.models.memory import MODELS
    from nodes.models.opening import check_family

    check_family(denoiser, use.model, "ControlNet")
    hint, handle = fitted_hint(use.hint, size), use.model
    if handle.kind == "control-lora":
        if denoiser.variant != "base":
            raise GraphError(f"'{handle.source.name}' is a Control-LoRA, which cannot be put on a model with more inputs (inpainting, pix2pix). Use a full ControlNet.")
        handle = replace(handle, base=denoiser.source)
    with MODELS.use(handle, device) as model:
        if use.vae is not None and _sees_latents(use.model):
            hint = _as_latents(use, hint, model.module, denoiser, device)
        elif use.hole is not None:
            hint = holed(hint, use.hole, handle.kind)
        elif use.model.family == "flux1":
            hint = hint * 2 - 1  # the ones that see pixels were trained on -1..1
        extra: dict[str, Any] = {}
        if use.kind:
            place = UNION[use.model.family][use.kind]
            extra = {"controlnet_mode": place} if use.model.family == "flux1" else {"control_type_idx": [place]}
            if place >= (model.module.config.get("num_control_type") or model.module.config.get("num_mode") or 0):
                raise GraphError(f"The union ControlNet '{use.model.source.name}' does not know '{use.kind}'. Choose another kind, or another model.")
        yield Control(model.module, hint, use.strength, use.span, extra, mask=use.mask, key=repr((handle, use.vae)))


def _as_latents(use: ControlUse, hint: "Tensor", network: Any, denoiser: "DenoiserHandle", device: Any) -> "Tensor":
    from nodes.diffusion import vae as numerics
    from nodes.models.memory import MODELS
    from nodes.models.opening import check_family

    assert use.vae is not None
    check_family(denoiser, use.vae, "VAE")
    if network.config.get("extra_conditioning_channels"):
        raise GraphError(f"'{use.model.source.name}' is a ControlNet for inpainting, which also wants a mask. This kind is not supported; use the mask of the latent.")
    with MODELS.use(use.vae, device) as vae:
        latents = numerics.encode(vae.module, hint)
        if network.config.get("force_zeros_for_pooled_projection"):  # these (InstantX, SD3) were trained without the VAE's shift
            latents = latents + (vae.module.config.shift_factor or 0.0) * vae.module.config.scaling_factor
    return latents


def holed(hint: "Tensor", hole: "Tensor", kind: str) -> "Tensor":
    """A picture whose hole is marked as models for inpainting were trained: -1, or black for union models."""
    import torch

    from nodes.pictures.limits import fitted_mask, paired

    pixels, where = paired(hint, fitted_mask(hole, hint.shape[-2:], None, "hole"), "image", "hole")
    return torch.where(where > 0.5, 0.0 if kind == "controlnet-union" else -1.0, pixels)


def fitted_hint(hint: "Tensor", size: tuple[int, int]) -> "Tensor":
    """A control's picture for a picture of this size (height, width): trimmed as 'Encode' trims, or scaled where it has the same proportions.

    Raises: GraphError with both sizes and a remedy for any other.
    """
    from nodes.pictures.resize import resized

    (h, w), (height, width) = hint.shape[-2:], size
    if 0 <= h - height < 8 and 0 <= w - width < 8:
        top, left = (h - height) // 2, (w - width) // 2
        return hint[..., top : top + height, left : left + width]
    if abs(w * height - width * h) > 0.01 * width * h:
        raise GraphError(
            f"The picture of a ControlNet is {w} × {h}, the picture to paint {width} × {height}. "
            "Give them the same proportions, with 'Resize image' or 'Crop image' before the ControlNet, or another size of the latent."
        )
    return resized(hint, width, height, "area" if w > width else "bicubic")
