"""The values that travel along links. Their shapes are stated here, once. Importing this costs nothing: torch appears in annotations only.

All are frozen: a node returns a new value and never changes what it was given. Model ports carry handles (which file, with which
patches), never weights, so that they hash, compare, go to disk and into the cache; `nodes.models.memory` turns a handle into weights
at the moment of use.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nodegraph.node import Port
from nodes.models.handles import (
    ControlHandle,
    DenoiserHandle,
    ImageEncoderHandle,
    IpAdapterHandle,
    Patch,
    TextEncoderHandle,
    UpscalerHandle,
    VaeHandle,
)

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Image:
    """A batch of RGB pictures.

    pixels: [batch, 3, height, width], float32 in 0..1, on the CPU.
    """

    __port__ = Port("image", "disc")
    pixels: Tensor

    def describe(self) -> str:
        """For the chip on a link: "Image 1024 × 1024"."""
        b, _, h, w = self.pixels.shape
        return f"Image {w} × {h}" + (f", {b} of them" if b > 1 else "")

    def picture(self) -> Any:
        """For the node that made it: the first of the batch as uint8 [height, width, 3], at most 512 px long."""
        from nodes.previews import thumbnail

        return thumbnail(self.pixels)


@dataclass(frozen=True, eq=False)
class Mask:
    """Where something counts: 1 = repaint, 0 = keep.

    values: [batch, 1, height, width], float32 in 0..1, on the CPU.
    """

    __port__ = Port("mask", "half-disc")
    values: Tensor

    def describe(self) -> str:
        _, _, h, w = self.values.shape
        return f"Mask {w} × {h}, {100 * float(self.values.mean()):.0f} % painted"

    def picture(self) -> Any:
        """For the node that made it: the first of the batch as uint8 [height, width, 1], at most 512 px long."""
        from nodes.previews import thumbnail

        return thumbnail(self.values)


@dataclass(frozen=True, eq=False)
class Latent:
    """A batch of latents.

    samples: [batch, channels, height / downscale, width / downscale], float32 on the CPU, scaled as the denoiser takes them;
        with noise left in (a sampler that stopped early) it is clean latent + sigma * noise.
    mask: [1 or batch, 1, height, width] in pixels of the picture, 1 where the sampler may paint; None is everywhere.
    sigma: the noise that is left in it, 0 for a clean latent.
    empty: made from nothing: the channels may still be set by the denoiser that paints on it.
    first: number of its first picture in the batch it was taken from, so that each keeps its own noise.
    """

    __port__ = Port("latent", "square", carries_family=True)
    samples: Tensor
    mask: Tensor | None = None
    downscale: int = 8
    sigma: float = 0.0
    empty: bool = False
    first: int = 0

    def with_samples(self, samples: Tensor, **changes: Any) -> Latent:
        """The same with other samples."""
        return replace(self, samples=samples, **changes)

    def describe(self) -> str:
        b, c, h, w = self.samples.shape
        return f"Latent {w * self.downscale} × {h * self.downscale}, {c} channels" + (f", {b} of them" if b > 1 else "")


@dataclass(frozen=True, eq=False)
class Part:
    """One encoded prompt, with where, when and how strongly it counts. The fields are those of `nodes.diffusion.types.Cond`.

    embeds: [1 or batch, tokens, width]; pooled: [1 or batch, width] or None.
    controls: what holds the picture of this prompt.
    region: [1 or batch, 1, height, width] of any size, fitted to the picture; area: (x, y, width, height) as fractions of it.
    span: (start, end) as fractions of the noise ("noise") or of the steps ("steps"), as `clock` says.
    """

    embeds: Tensor
    pooled: Tensor | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    region: Tensor | None = None
    area: tuple[float, float, float, float] | None = None
    span: tuple[float, float] = (0.0, 1.0)
    weight: float = 1.0
    clock: str = "steps"
    controls: tuple[ControlUse, ...] = ()


@dataclass(frozen=True, eq=False)
class ControlUse:
    """A ControlNet or T2I-Adapter with its picture.

    hint: [1 or batch, 3, height, width] in 0..1, of any size; mask: [1, 1, h, w] or None for everywhere.
    kind: what a union model shall take the picture for: "canny", "depth" ...
    vae: for models that see the picture as latents (SD3, FLUX).
    hole: [1 or batch, 1, h, w] of any size, for models that are shown what is to be painted anew; None for all others.
    """

    model: ControlHandle
    hint: Tensor
    strength: float = 1.0
    span: tuple[float, float] = (0.0, 1.0)
    mask: Tensor | None = None
    kind: str = ""
    vae: VaeHandle | None = None
    hole: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What a prompt became: one or several parts that are mixed."""

    __port__ = Port("conditioning", "diamond", carries_family=True)
    parts: tuple[Part, ...]

    @property
    def controls(self) -> tuple[ControlUse, ...]:
        """Those of all parts, each once."""
        return tuple(dict.fromkeys(use for part in self.parts for use in part.controls))

    def changed(self, **fields: Any) -> Conditioning:
        """The same with fields of every part changed."""
        return replace(self, parts=tuple(replace(part, **fields) for part in self.parts))

    def describe(self) -> str:
        words = f"Conditioning, {sum(p.embeds.shape[1] for p in self.parts)} tokens"
        return words + (f", {len(self.controls)} controls" if self.controls else "")


@dataclass(frozen=True)
class Denoiser:
    """The network that takes noise away, with its patches (LoRAs) and what nodes said about how to guide it.

    guidance: (name of the rule, its settings as pairs); () is plain CFG. shift: for flow models, None is the model's own.
    prompts: (role, conditioning) for rules that look at more than the two prompts ("empty" for perpendicular negative).
    scheduled: LoRAs that do not count equally in all steps, put on after those of the handle.
    timesteps: how many noise levels a consistency model knows (50 for LCM); 0 is all.
    """

    __port__ = Port("denoiser", "hexagon", carries_family=True)
    handle: DenoiserHandle
    guidance: tuple[tuple[str, tuple[tuple[str, float | str], ...]], ...] = ()
    shift: float | None = None
    image_prompts: tuple[ImagePrompt, ...] = ()
    prompts: tuple[tuple[str, Conditioning], ...] = ()
    scheduled: tuple[ScheduledLora, ...] = ()
    timesteps: int = 0

    def describe(self) -> str:
        return f"Denoiser {self.handle.source.name} ({self.handle.family})"


@dataclass(frozen=True)
class ScheduledLora:
    """A LoRA whose strength follows the steps.

    span: (start, end) as shares of the steps; curve: factors on its strength, spread evenly over the span; () is constant.
    """

    patch: Patch
    span: tuple[float, float] = (0.0, 1.0)
    curve: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class ImagePrompt:
    """What an image prompt adapter is shown, one per adapter of the handle and in the same order.

    embeds, unconditional: as `nodes.diffusion.image_prompt.prompt` makes them; mask: [1, 1, height, width] or None for everywhere.
    """

    embeds: Tensor
    unconditional: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True)
class TextEncoder:
    """One or several text encoders that belong to one family of models."""

    __port__ = Port("text_encoder", "tag", carries_family=True)
    handle: TextEncoderHandle


@dataclass(frozen=True)
class Vae:
    """Turns pixels into latents and back."""

    __port__ = Port("vae", "bowtie", carries_family=True)
    handle: VaeHandle


@dataclass(frozen=True)
class ControlNet:
    """A network that holds a picture to the lines, depth or pose of another one."""

    __port__ = Port("controlnet", "triangle", carries_family=True, name="controlnet")
    handle: ControlHandle
    kind: str = ""


@dataclass(frozen=True)
class IpAdapter:
    """A network that lets a picture speak as a prompt does."""

    __port__ = Port("lora", "plus", carries_family=True)
    handle: IpAdapterHandle


@dataclass(frozen=True)
class ImageEncoder:
    """A network that reads pictures (CLIP vision)."""

    __port__ = Port("text_encoder", "tag")
    handle: ImageEncoderHandle


@dataclass(frozen=True)
class Upscaler:
    """A network that enlarges pictures by a fixed factor."""

    __port__ = Port("lora", "plus")
    handle: UpscalerHandle


@dataclass(frozen=True, eq=False)
class Sigmas:
    """A noise schedule.

    values: [steps + 1] noise levels, falling, the last one is 0 when the picture is finished.
    """

    __port__ = Port("sigmas", "ramp")
    values: Tensor

    def describe(self) -> str:
        return f"{len(self.values) - 1} steps, σ {float(self.values[0]):.3g} to {float(self.values[-1]):.3g}"

    def curve(self) -> list[float]:
        """For the node that made it, which draws it."""
        return [float(value) for value in self.values]
