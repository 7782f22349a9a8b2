"""Between pixels and latents: encode, decode, both in tiles, and never a silent black picture.

Pixels are [batch, 3, height, width] float32, 0..1. Latents are [batch, channels, height / 8, width / 8] as the denoiser takes them: the
VAE's own shift and scaling factor are applied here and nowhere else. Pictures go through one at a time, so that a batch needs no more memory.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.models.tiles import Progress, tiled

TILE, OVERLAP = 512, 64  # px


def downscale(vae: nn.Module) -> int:
    """Pixels per latent pixel."""
    if (spatial := getattr(vae.config, "patch_size", None)) and hasattr(vae, "bn"):
        return int(2 ** (len(_config(vae).block_out_channels) - 1) * spatial[0])
    if hasattr(vae.config, "encoder_block_out_channels"):
        return int(2 ** (len(_config(vae).encoder_block_out_channels) - 1))
    return int(2 ** (len(_config(vae).block_out_channels) - 1))


def channels(vae: nn.Module) -> int:
    """Channels of the latents."""
    patch = _patch(vae)
    return int(_config(vae).latent_channels) * patch * patch


def cropped(pixels: Tensor, multiple: int) -> Tensor:
    """The middle of a picture, its sides cut down to a multiple: at most multiple - 1 px are lost."""
    height, width = pixels.shape[-2:]
    h, w = height // multiple * multiple, width // multiple * multiple
    if not h or not w:
        raise GraphError(f"The picture is {width} x {height} px; this VAE needs at least {multiple} x {multiple}.")
    top, left = (height - h) // 2, (width - w) // 2
    return pixels[..., top : top + h, left : left + w]


def encode(
    vae: nn.Module, pixels: Tensor, *, is_tiled: bool = False, tile: int = TILE, overlap: int = OVERLAP, progress: Progress | None = None
) -> Tensor:
    """Latents of pixels: the most likely ones (the posterior's mode), so the same picture always gives the same latents.

    Sides that are no multiple of `downscale` are cut to one, equally at both ends. tile, overlap: in px. Result: CPU, float32.
    Raises: GraphError for a picture that is too small, has no 3 channels, or that even fp32 cannot encode.
    """
    if pixels.ndim != 4 or pixels.shape[1] != 3:
        raise GraphError("A VAE encodes pictures with three channels (red, green, blue).")
    _finite(pixels, "The picture holds values that are not numbers.")
    factor = downscale(vae)
    pixels = cropped(pixels, factor)
    if is_tiled:
        tile, overlap = _whole(tile, factor), _whole(overlap, factor, 0)

    def run(piece: Tensor) -> Tensor:
        return _to_latents(vae, _posterior_mode(vae, piece * 2 - 1))

    def one(picture: Tensor) -> Tensor:
        if is_tiled:
            return tiled(lambda p: run(_on(vae, p)).to("cpu", torch.float32), picture, tile, overlap, Fraction(1, factor), progress)
        return run(_on(vae, picture))

    return _each(vae, one, pixels, "encode the picture")


def decode(
    vae: nn.Module, latents: Tensor, *, is_tiled: bool = False, tile: int = TILE, overlap: int = OVERLAP, progress: Progress | None = None
) -> Tensor:
    """Pixels of latents, 0..1, on the CPU in float32. tile, overlap: in px of the picture.

    Raises: GraphError for latents of another VAE, latents that are not numbers, and what even fp32 cannot decode.
    """
    if latents.ndim != 4 or latents.shape[1] != channels(vae):
        have = latents.shape[1] if latents.ndim == 4 else "no"
        raise GraphError(f"These latents have {have} channels; this VAE takes {channels(vae)}. Use the VAE of the model that made them.")
    _finite(latents, "The latents hold values that are not numbers: the sampling before went wrong. Try fp32, or another sampler.")
    factor = downscale(vae)

    def run(piece: Tensor) -> Tensor:
        return _decoded(vae, _from_latents(vae, piece))

    def one(latent: Tensor) -> Tensor:
        if is_tiled:
            size, common = _whole(tile, factor) // factor, _whole(overlap, factor, 0) // factor
            return tiled(lambda z: run(_on(vae, z)).to("cpu", torch.float32), latent, size, common, factor, progress)
        return run(_on(vae, latent))

    return (_each(vae, one, latents, "decode the latents") / 2 + 0.5).clamp(0, 1)


def _each(vae: nn.Module, one: Callable[[Tensor], Tensor], batch: Tensor, what: str) -> Tensor:
    """`one` for every item of a batch; a result with NaN is done again in fp32 (fp16 overflows in several VAEs)."""
    results = []
    with torch.inference_mode():
        for item in batch.split(1):
            result = one(item).to("cpu", torch.float32)
            if not torch.isfinite(result).all() and _dtype(vae) != torch.float32:
                result = _in_fp32(vae, one, item)
            _finite(
                result,
                f"The VAE could not {what}: the result holds values that are not numbers, even in fp32. The VAE's file may be damaged.",
            )
            results.append(result)
    return torch.cat(results)


def _in_fp32(vae: nn.Module, one: Callable[[Tensor], Tensor], item: Tensor) -> Tensor:
    dtype = _dtype(vae)
    vae.to(torch.float32)
    try:
        return one(item).to("cpu", torch.float32)
    finally:
        vae.to(dtype)


def _finite(values: Tensor, message: str) -> None:
    if not torch.isfinite(values).all():
        raise GraphError(message)


def _whole(length: int, factor: int, least: int = 1) -> int:
    return max(length // factor, least) * factor


def _config(vae: nn.Module) -> Any:
    return vae.config


def _dtype(vae: nn.Module) -> torch.dtype:
    return next(vae.parameters()).dtype


def _on(vae: nn.Module, x: Tensor) -> Tensor:
    parameter = next(vae.parameters())
    return x.to(parameter.device, parameter.dtype)


def _posterior_mode(vae: nn.Module, x: Tensor) -> Tensor:
    out = vae.encode(x)
    mode: Tensor = out.latent_dist.mode() if hasattr(out, "latent_dist") else out.latents if hasattr(out, "latents") else out.latent
    return mode


def _decoded(vae: nn.Module, z: Tensor) -> Tensor:
    pixels: Tensor = vae.decode(z, return_dict=False)[0]
    return pixels


def _patch(vae: nn.Module) -> int:
    size = getattr(vae.config, "patch_size", None)
    return int(size[0]) if size and hasattr(vae, "bn") else 1


def _to_latents(vae: nn.Module, z: Tensor) -> Tensor:
    """The VAE's raw latents -> as the denoiser takes them: (z - shift) * scale, or standardised per channel."""
    patch = _patch(vae)
    if patch > 1:  # FLUX.2: 2 x 2 patches become channels, standardised by running statistics
        z = nn.functional.pixel_unshuffle(z, patch)
        mean, deviation = _statistics(vae, z)
        return (z - mean) / deviation
    config = _config(vae)
    if getattr(config, "latents_mean", None) is not None and getattr(config, "latents_std", None) is not None:
        mean, deviation = z.new_tensor(config.latents_mean), z.new_tensor(config.latents_std)
        return (z - mean.view(1, -1, 1, 1)) / deviation.view(1, -1, 1, 1) * config.scaling_factor
    scaled: Tensor = (z - (getattr(config, "shift_factor", None) or 0.0)) * config.scaling_factor
    return scaled


def _from_latents(vae: nn.Module, z: Tensor) -> Tensor:
    patch = _patch(vae)
    if patch > 1:
        mean, deviation = _statistics(vae, z)
        return nn.functional.pixel_shuffle(z * deviation + mean, patch)
    config = _config(vae)
    if getattr(config, "latents_mean", None) is not None and getattr(config, "latents_std", None) is not None:
        mean, deviation = z.new_tensor(config.latents_mean), z.new_tensor(config.latents_std)
        return z * deviation.view(1, -1, 1, 1) / config.scaling_factor + mean.view(1, -1, 1, 1)
    raw: Tensor = z / config.scaling_factor + (getattr(config, "shift_factor", None) or 0.0)
    return raw


def _statistics(vae: nn.Module, like: Tensor) -> tuple[Tensor, Tensor]:
    norm: Any = vae.bn
    mean = norm.running_mean.view(1, -1, 1, 1).to(like)
    deviation = torch.sqrt(norm.running_var.view(1, -1, 1, 1) + _config(vae).batch_norm_eps).to(like)
    return mean, deviation
