"""The values that travel through the sampling loop; every shape, range and unit is stated here, once.

Latents are ALWAYS spatial, [batch, channels, height / downscale, width / downscale]; a family that packs them into tokens does so inside.
Everything here is frozen: the loop and the families return new values and never change what they were given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, device, dtype, nn

from nodes.diffusion.state import SamplerState

Span = tuple[float, float]
"""Start and end of an effect as fractions 0..1; (0, 1) is always."""

Clock = Literal["steps", "noise"]
"""What a span counts: the steps of this run (A1111, diffusers) or the noise of the model's training (ComfyUI's percent)."""

Prediction = Literal["epsilon", "v_prediction", "sample", "flow", "edm"]
"""What a network predicts: the noise, the velocity of Salimans & Ho 2022, the clean latent, noise - latent (rectified flow), or Karras' F."""


@dataclass(frozen=True)
class Cond:
    """One encoded prompt, where, when and how strongly it counts; several are mixed by region and weight.

    embeds: [batch, tokens, width] text states, as the network's cross attention takes them; batch is 1 or that of the latents.
    pooled: [batch, width] pooled text state (SDXL, SD3, FLUX).
    extra: what else a family reads; tensors (and lists of tensors) have the batch first, plain numbers count for all:
        time_ids [batch, 6]   SDXL: original height, width, crop top, left, target height, width (refiner: ..., aesthetic score)
        image_embeds          list of [batch, images, ...]: IP-Adapter, one entry an adapter
        ip_masks              list of [1, images, h, w]: where each IP-Adapter image counts
        class_labels          [batch, width]: unCLIP image embedding, or noise level
        concat                [batch, c, h, w]: extra input channels (inpaint UNet: mask + masked latent; pix2pix: image latent;
                              FLUX Fill: masked latent + mask folded to 64; FLUX Canny, Depth: latent of their picture)
        mask                  [batch, tokens]: 1 = a token that counts (families with a text mask)
        guidance              float: distilled guidance (FLUX)
        refs                  list of [batch, c, h, w]: reference latents (Kontext)
    region: [1 or batch, 1, h, w] weight of each place, 0..1, fitted to the latents; None is everywhere.
    span: when it counts (see Span), counted by `clock`.
    weight: share against other conditionings at the same place, > 0.
    controls: ControlNets and T2I-Adapters that hold the picture of this prompt alone.
    """

    embeds: Tensor
    pooled: Tensor | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    region: Tensor | None = None
    span: Span = (0.0, 1.0)
    weight: float = 1.0
    clock: Clock = "steps"
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, eq=False)
class Control:
    """One ControlNet or T2I-Adapter with its picture.

    model: the diffusers module (ControlNetModel, ControlNetUnionModel, T2IAdapter, SD3ControlNetModel, FluxControlNetModel ...).
    hint: [1 or batch, 3, height, width] 0..1 in pixels of the picture; for SD3 and FLUX the encoded latents of it.
    scale: strength, 0..10, usually 0.5..1.
    span, clock: when it counts.
    curve: factors on `scale`, spread evenly over the span and interpolated; () is constant.
    mask: [1, 1, h, w] where it counts, 0..1, any size.
    target: "both" prompts or only "cond" (the control then outweighs the prompt).
    extra: what the model needs besides (control_type, control_mode of union models).
    key: identifies the model's weights in the resume chain (see step_keys); needed only where steps are stored.
    """

    model: nn.Module
    hint: Tensor
    scale: float = 1.0
    span: Span = (0.0, 1.0)
    extra: Mapping[str, Any] = field(default_factory=dict)
    clock: Clock = "steps"
    curve: tuple[float, ...] = ()
    mask: Tensor | None = None
    target: Literal["both", "cond"] = "both"
    key: str = ""


@dataclass(frozen=True)
class Inpaint:
    """What stays of a picture while the rest is repainted.

    image: [batch, c, h, w] latents of the picture.
    mask: [1 or batch, 1, h, w], 1 = repaint, 0 = keep.
    noise: [batch, c, h, w], the noise with which the kept part is made as noisy as the step.
    soft: differential inpainting: a grey pixel is set free when the noise has fallen to its value (Levin & Fried 2023); else grey blends.
    blend: "step" mixes the latents after each step (diffusers), "model" mixes what the network sees and says (ComfyUI; any sampler).
    """

    image: Tensor
    mask: Tensor
    noise: Tensor
    soft: bool = False
    blend: Literal["step", "model"] = "step"


@dataclass(frozen=True)
class Step:
    """One finished step.

    i: 0-based number of the step in the whole schedule; n: number of steps in it.
    sigma: noise level that `x` still carries.
    x: [batch, c, h, w] latents in the scale of the sampler (for previews take `denoised`).
    denoised: [batch, c, h, w] the clean picture as the network expects it now.
    latent: [batch, c, h, w] `x` in the common scale: clean latent + ratio * noise, which any other sampler can go on from.
    state: call it to get the SamplerState from which the run goes on after this step; valid until the next step is asked for.
    """

    i: int
    n: int
    sigma: float
    x: Tensor
    denoised: Tensor
    latent: Tensor
    state: Callable[[], SamplerState]


@dataclass(frozen=True)
class LatentFormat:
    """The latent space of a family: channels, pixels per latent pixel, and its linear approximation of red, green and blue.

    rgb: `channels` rows of (red, green, blue) for pictures in -1..1; bias is added. () where none is known yet.
    """

    name: str
    channels: int
    downscale: int = 8
    rgb: tuple[tuple[float, float, float], ...] = ()
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class StepContext:
    """What a family may know of the step besides latents, time and conditioning.

    roles: one name per equal share of the batch, in order ("uncond", "cond", "image", "perturbed").
    conds: the prompt of each share.
    controls: those that act on the whole batch in this step, their scale already that of the step.
    perturb: layers whose attention is to be disturbed for this call (PAG, skip-layer guidance); () is none.
    memo: kept for the whole run: a family puts here what it needs to compute once (hint embeddings).
    now: kept while the network is asked for the same latents; None where nothing of it is asked twice.
    """

    i: int
    n: int
    sigma: float
    roles: tuple[str, ...] = ("cond",)
    conds: tuple[Cond, ...] = ()
    controls: tuple[Control, ...] = ()
    perturb: tuple[str, ...] = ()
    memo: dict[Any, Any] = field(default_factory=dict)
    now: dict[Any, Any] | None = None


@runtime_checkable
class Noising(Protocol):
    """How a family's latents are made noisy: x = signal(sigma) * latent + sigma' * noise; see noising.py for the two that exist."""

    @property
    def prediction(self) -> Prediction: ...
    @property
    def sigma_min(self) -> float: ...
    @property
    def sigma_max(self) -> float: ...
    @property
    def table(self) -> Tensor:
        """[n] all trained noise levels, rising."""
    def timestep(self, sigma: Tensor) -> Tensor:
        """What the network is told for a noise level."""
    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a (fractional) timestep."""
    def at(self, progress: float) -> float:
        """The noise level at which a share `progress` (0..1) of the training range is done."""
    def noisy(self, latent: Tensor, noise: Tensor, sigma: float, full: bool = False) -> Tensor:
        """The latents made noisy; `full` when sampling starts here from nothing but noise."""
    def network_input(self, x: Tensor, sigma: Tensor | float) -> Tensor: ...
    def denoised(self, prediction: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor: ...
    def predicted(self, denoised: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
        """The inverse of `denoised`."""
    def common(self, x: Tensor, sigma: float) -> Tensor:
        """`x` in the scale clean latent + ratio * noise, in which samplers hand over to each other."""


@runtime_checkable
class Family(Protocol):
    """A model family: maps (noisy latents, time, conditioning) to the network's raw prediction. 8 to 30 lines each."""

    @property
    def name(self) -> str: ...
    @property
    def latent(self) -> LatentFormat: ...
    @property
    def noising(self) -> Noising: ...
    @property
    def batched(self) -> bool:
        """Whether several conditionings of one shape go through the network as one batch."""
    @property
    def device(self) -> device: ...
    @property
    def dtype(self) -> dtype: ...
    def fitted(self, shape: Sequence[int]) -> Family:
        """The same family for latents of this shape: some move their noise schedule with the size of the picture."""
    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        """[batch, c, h, w] in, [batch, c, h, w] out (or 2 c channels with a learned variance), in the convention of `noising`."""
