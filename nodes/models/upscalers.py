"""Pixel upscalers in their own few lines: ESRGAN (RRDBNet) and compact (SRVGG), every common naming of their weights.

ESRGAN: Wang et al. 2018 (arXiv:1809.00219); Real-ESRGAN and its compact network: Wang et al. 2021 (arXiv:2107.10833).
"""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.models import weights
from nodes.models.handles import UpscalerHandle
from nodes.models.tiles import Progress, tiled


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, 1, 1) for i in range(5))

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for conv in self.convs[:4]:
            seen.append(F.leaky_relu(conv(torch.cat(seen, 1)), 0.2))
        out: Tensor = self.convs[4](torch.cat(seen, 1)) * 0.2 + x
        return out


class Esrgan(nn.Module):
    """RRDBNet. unshuffle: how many pixels a side fold into channels at the entrance (2 for the x2 Real-ESRGAN); ups: doublings."""

    def __init__(self, channels: int, width: int, growth: int, blocks: int, ups: int, unshuffle: int) -> None:
        super().__init__()
        self.unshuffle, self.scale = unshuffle, 2**ups // unshuffle
        self.first = nn.Conv2d(channels * unshuffle**2, width, 3, 1, 1)
        self.blocks = nn.ModuleList(nn.Sequential(*(DenseBlock(width, growth) for _ in range(3))) for _ in range(blocks))
        self.trunk = nn.Conv2d(width, width, 3, 1, 1)
        self.ups = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in range(ups))
        self.detail = nn.Conv2d(width, width, 3, 1, 1)
        self.last = nn.Conv2d(width, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.unshuffle > 1:
            x = F.pad(x, (0, -width % self.unshuffle, 0, -height % self.unshuffle), mode="replicate")
            x = F.pixel_unshuffle(x, self.unshuffle)
        features = self.first(x)
        deep = features
        for block in self.blocks:
            deep = deep + 0.2 * block(deep)
        features = features + self.trunk(deep)
        for up in self.ups:
            features = F.leaky_relu(up(F.interpolate(features, scale_factor=2, mode="nearest")), 0.2)
        out: Tensor = self.last(F.leaky_relu(self.detail(features), 0.2))
        return out[..., : height * self.scale, : width * self.scale]


class Compact(nn.Module):
    """SRVGGNetCompact: a chain of convolutions and PReLUs, then a pixel shuffle onto the enlarged picture."""

    def __init__(self, width: int, layers: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        body: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1), nn.PReLU(width)]
        for _ in range(layers):
            body += [nn.Conv2d(width, width, 3, 1, 1), nn.PReLU(width)]
        self.body = nn.Sequential(*body, nn.Conv2d(width, 3 * scale**2, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = F.pixel_shuffle(self.body(x), self.scale) + F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return out


def load(handle: UpscalerHandle, dtype: torch.dtype) -> nn.Module:
    """The network of a handle on the CPU. Raises GraphError when the weights do not fit together."""
    state = weights.read_source(handle.source)
    state = {name.removeprefix("module."): value for name, value in state.items()}
    try:
        module, renamed = _compact(state) if handle.architecture == "compact" else _esrgan(state)
        module.load_state_dict({name: value.to(dtype) for name, value in renamed.items()}, assign=True)
    except (KeyError, ValueError, IndexError, RuntimeError):
        raise GraphError(f"'{handle.source.name}' looks like an upscaler, but its parts do not fit together.") from None
    return module.to(dtype).requires_grad_(False).eval()


def _compact(state: weights.State) -> tuple[nn.Module, weights.State]:
    last = max(int(name.split(".")[1]) for name in state)
    width, out = state["body.0.weight"].shape[0], state[f"body.{last}.weight"].shape[0]
    return Compact(width, (last - 2) // 2, round((out / 3) ** 0.5)), state


def _esrgan(state: weights.State) -> tuple[nn.Module, weights.State]:
    renamed = {_esrgan_name(name, state): value for name, value in state.items()}
    blocks = 1 + max(int(name.split(".")[1]) for name in renamed if name.startswith("blocks."))
    ups = 1 + max((int(name.split(".")[1]) for name in renamed if name.startswith("ups.")), default=-1)
    width, folded = renamed["first.weight"].shape[:2]
    channels = renamed["last.weight"].shape[0]
    growth = renamed["blocks.0.0.convs.0.weight"].shape[0]
    return Esrgan(channels, width, growth, blocks, ups, round((folded / channels) ** 0.5)), renamed


def _esrgan_name(name: str, state: weights.State) -> str:
    """Real-ESRGAN's, the original's ("model.1.sub.") and BSRGAN's names -> ours."""
    dense = re.match(r"(?:body|RRDB_trunk|model\.1\.sub)\.(\d+)\.(?:rdb|RDB)(\d)\.conv(\d)(?:\.0)?\.(weight|bias)$", name)
    if dense:
        block, part, conv, kind = dense.groups()
        return f"blocks.{block}.{int(part) - 1}.convs.{int(conv) - 1}.{kind}"
    layer, _, kind = name.rpartition(".")
    fixed = {
        "conv_first": "first", "conv_body": "trunk", "trunk_conv": "trunk", "conv_up1": "ups.0", "conv_up2": "ups.1", "conv_up3": "ups.2",
        "upconv1": "ups.0", "upconv2": "ups.1", "conv_hr": "detail", "HRconv": "detail", "conv_last": "last", "model.0": "first",
    }  # fmt: skip
    if layer in fixed:
        return f"{fixed[layer]}.{kind}"
    if re.fullmatch(r"model\.1\.sub\.\d+", layer):
        return f"trunk.{kind}"
    numbers = sorted({int(n.split(".")[1]) for n in state if n.startswith("model.") and n.split(".")[1] not in ("0", "1")})
    position = numbers.index(int(layer.split(".")[1]))  # ups ..., detail, last
    return f"{(*(f'ups.{i}' for i in range(len(numbers) - 2)), 'detail', 'last')[position]}.{kind}"


def upscale(module: nn.Module, pixels: Tensor, tile: int = 512, overlap: int = 32, progress: Progress | None = None) -> Tensor:
    """Enlarge pixels [batch, 3, height, width], 0..1, by the network's factor, tile by tile; float32 0..1.

    progress: called with (tiles done, tiles) and may raise to cancel.
    """
    parameter = next(module.parameters())

    def run(piece: Tensor) -> Tensor:
        out: Tensor = module(piece.to(parameter.device, parameter.dtype)).to(pixels.device, torch.float32)
        return out

    with torch.inference_mode():
        return tiled(run, pixels, tile, overlap, int(module.scale), progress).clamp(0, 1)
