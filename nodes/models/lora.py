"""Adds LoRA files to weights in place: kohya, diffusers/peft, DoRA, LyCORIS LoHa and LoKr, full differences.

A LoRA file is a set of groups, one per layer; a group gives the change of that layer's weight. The formulae:
  LoRA   W + a/r up down                    Hu et al. 2021 (arXiv:2106.09685); a = alpha, r = rank
  LoHa   W + a/r (w1a w1b) * (w2a w2b)      Hyeon-Woo et al. 2022 (arXiv:2108.06098), elementwise product
  LoKr   W + a/r kron(w1, w2)               LyCORIS (arXiv:2309.14859)
  DoRA   m (W + D) / |W + D|                Liu et al. 2024 (arXiv:2402.09353), norm per output (or input) row
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.models import lora_names, weights
from nodes.models.handles import Patch, stamp
from nodes.models.header import read_header

log = logging.getLogger(__name__)

SUFFIXES = {  # the end of a tensor's name -> the role it plays in its group
    ".lora_up.weight": "up", ".lora_B.weight": "up", ".lora.up.weight": "up", "_lora.up.weight": "up", ".lora_linear_layer.up.weight": "up",
    ".lora_down.weight": "down", ".lora_A.weight": "down", ".lora.down.weight": "down", "_lora.down.weight": "down",
    ".lora_linear_layer.down.weight": "down", ".lora_B.default.weight": "up", ".lora_A.default.weight": "down",
    ".lora_mid.weight": "mid", ".alpha": "alpha", ".dora_scale": "magnitude", ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude", ".lora_magnitude_vector.default.weight": "magnitude",
    ".hada_w1_a": "w1_a", ".hada_w1_b": "w1_b", ".hada_w2_a": "w2_a", ".hada_w2_b": "w2_b", ".hada_t1": "t1", ".hada_t2": "t2",
    ".lokr_w1": "k1", ".lokr_w2": "k2", ".lokr_w1_a": "k1_a", ".lokr_w1_b": "k1_b", ".lokr_w2_a": "k2_a", ".lokr_w2_b": "k2_b", ".lokr_t2": "kt2",
    ".diff": "diff", ".diff_b": "diff_b", ".lora_B.bias": "up_bias",
}  # fmt: skip
REFUSED = {".oft_blocks": "OFT", ".boft_blocks": "BOFT", ".a1.weight": "GLoRA", ".on_input": "IA3"}

Group = Mapping[str, Tensor]


@dataclass(frozen=True)
class LoraFile:
    """A LoRA file in memory: layer name as the file has it -> its tensors by role."""

    name: str
    groups: Mapping[str, Group]

    @property
    def has_denoiser(self) -> bool:
        return any(not name.startswith(("lora_te", "text_encoder")) for name in self.groups)


def read_lora(patch: Patch) -> LoraFile:
    """Read a LoRA file. Raises GraphError for kinds that are not supported, and for a file replaced since."""
    header = read_header(patch.path)
    if patch.stamp != (0, 0) and stamp(patch.path) != patch.stamp:
        raise GraphError(f"The LoRA '{patch.name}' was replaced on disk while it was about to be loaded. Run the graph again.")
    alphas = _peft_alphas(header.metadata)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in weights.read(patch.path).items():
        refused = next((kind for end, kind in REFUSED.items() if name.endswith(end)), None)
        if refused:
            raise GraphError(f"The LoRA '{patch.name}' is of the kind {refused}, which is not supported.")
        end = next((end for end in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(end)), None)
        if end is not None:
            groups.setdefault(name[: -len(end)] + ("_lora" if end.startswith("_lora") else ""), {})[SUFFIXES[end]] = tensor.to(
                torch.float32
            )
    for name, group in groups.items():
        if "alpha" not in group and "down" in group and (found := alphas(name, group["down"].shape[0])) is not None:
            group["alpha"] = torch.tensor(found)
    return LoraFile(patch.name, groups)


def _peft_alphas(metadata: Mapping[str, str]):  # type: ignore[no-untyped-def]
    """Alpha of a layer from the adapter configuration that diffusers writes into the header; None = the file says nothing."""
    try:
        config = json.loads(metadata.get("lora_adapter_metadata", "{}"))
    except ValueError:
        config = {}

    def alpha(name: str, rank: int) -> float | None:
        for part in ("unet", "transformer", "text_encoder_2", "text_encoder"):
            if name.startswith(part + ".") and f"{part}.lora_alpha" in config:
                value = float(config[f"{part}.lora_alpha"])
                for pattern, other in (config.get(f"{part}.alpha_pattern") or {}).items():
                    if name.endswith(pattern):
                        value = float(other)
                return value * rank**0.5 if config.get(f"{part}.use_rslora") else value
        return None

    return alpha


def apply(
    file: LoraFile,
    module: nn.Module,
    strength: float,
    blocks: tuple[tuple[str, float], ...],
    family: str,
    slot: str,
    originals: dict[str, Tensor],
) -> int:
    """Add a file to a network's weights in place; how many layers it changed.

    slot: "" = denoiser, else the text encoder's slot. originals: receives the CPU copy of every weight before its first change.
    Raises: GraphError when a layer's shape does not fit.
    """
    table = lora_names.targets(module, family, slot)
    matched = 0
    unknown = []
    for name, group in file.groups.items():
        targets = table.get(lora_names.key(name))
        if targets is None:
            unknown.append(name)
            continue
        factor = strength * next((factor for part, factor in blocks if part in targets[0]), 1.0)
        matched += 1
        if factor == 0:
            continue
        _change(module, targets, group, factor, originals, file.name)
    if matched and unknown and not slot:
        theirs = [name for name in unknown if not name.startswith(("lora_te", "text_encoder"))]
        if theirs:
            log.warning("The LoRA %r has %d layers that this model does not, the first is %r.", file.name, len(theirs), theirs[0])
    return matched


def _change(module: nn.Module, targets: tuple[str, ...], group: Group, factor: float, originals: dict[str, Tensor], label: str) -> None:
    """Change the weights of one layer; several targets are the rows of one fused layer, in order."""
    parameters = [module.get_parameter(f"{target}.weight") for target in targets]
    fused = (
        torch.cat([p.detach().to(torch.float32) for p in parameters]) if len(parameters) > 1 else parameters[0].detach().to(torch.float32)
    )
    try:
        changed = patched(fused, group, factor)
    except (RuntimeError, ValueError):
        shape = "x".join(map(str, fused.shape))
        raise GraphError(
            f"The LoRA '{label}' does not fit this model: its layer for '{targets[0]}' has another size than {shape}."
        ) from None
    row = 0
    with torch.no_grad():
        for target, parameter in zip(targets, parameters, strict=True):
            originals.setdefault(f"{target}.weight", parameter.detach().to("cpu", copy=True))
            parameter.copy_(changed[row : row + parameter.shape[0]])
            row += parameter.shape[0]
        bias = group.get("diff_b")
        if bias is not None and len(targets) == 1:
            own = module.get_parameter(f"{targets[0]}.bias")
            originals.setdefault(f"{targets[0]}.bias", own.detach().to("cpu", copy=True))
            own.add_((bias.to(own.device) * factor).to(own.dtype))


def patched(weight: Tensor, group: Group, strength: float) -> Tensor:
    """A layer's weight with a group added at `strength`; float32 in, float32 out, on the weight's device."""
    change = delta({role: tensor.to(weight.device) for role, tensor in group.items()}, weight.shape)
    magnitude = group.get("magnitude")
    if magnitude is None:
        return weight + strength * change
    magnitude = magnitude.to(weight.device, torch.float32)
    full = weight + change
    rows = magnitude.numel() == weight.shape[0] and not (
        magnitude.ndim == 2 and magnitude.shape[0] == 1 and magnitude.shape[1] == weight.shape[1]
    )
    axis = 0 if rows else 1
    matrix = full.flatten(1) if rows else full.transpose(0, 1).flatten(1)
    shape = [1] * weight.ndim
    shape[axis] = -1
    norm = matrix.norm(dim=1).reshape(shape)
    decomposed = magnitude.reshape(shape) * full / norm.clamp_min(torch.finfo(torch.float32).eps)
    return weight + strength * (decomposed - weight)


def delta(group: Group, shape: torch.Size) -> Tensor:
    """The change of a layer's weight at strength 1, in the weight's shape. Raises ValueError for a group that is not whole."""
    if "diff" in group:
        return group["diff"].reshape(shape)
    if "up" in group and "down" in group:
        return _scaled(_lora(group, shape), group, group["down"].shape[0])
    if "w1_a" in group:
        return _scaled(_loha(group).reshape(shape), group, group["w1_b"].shape[0])
    if "k1" in group or "k1_a" in group:
        return _lokr(group, shape)
    if "diff_b" in group:
        return torch.zeros(shape, device=group["diff_b"].device)
    raise ValueError("incomplete")


def _scaled(change: Tensor, group: Group, rank: int) -> Tensor:
    alpha = group.get("alpha")
    return change if alpha is None else change * (float(alpha) / rank)


def _lora(group: Group, shape: torch.Size) -> Tensor:
    up, down = group["up"], group["down"]
    if "mid" in group:  # a convolution split in three (CP decomposition of LyCORIS)
        return torch.einsum("or,rshw,si->oihw", up.flatten(1), group["mid"], down.flatten(1)).reshape(shape)
    return (up.flatten(1) @ down.flatten(1)).reshape(shape)


def _loha(group: Group) -> Tensor:
    if "t1" in group:
        first = torch.einsum("ijkl,jr,ip->prkl", group["t1"], group["w1_b"], group["w1_a"])
        return first * torch.einsum("ijkl,jr,ip->prkl", group["t2"], group["w2_b"], group["w2_a"])
    return (group["w1_a"] @ group["w1_b"]) * (group["w2_a"] @ group["w2_b"])


def _lokr(group: Group, shape: torch.Size) -> Tensor:
    rank = None
    if "k1" in group:
        first = group["k1"]
    else:
        first, rank = group["k1_a"] @ group["k1_b"], group["k1_b"].shape[0]
    if "k2" in group:
        second = group["k2"]
    elif "kt2" in group:
        second, rank = torch.einsum("ijkl,jr,ip->prkl", group["kt2"], group["k2_b"], group["k2_a"]), group["k2_b"].shape[0]
    else:
        second, rank = group["k2_a"] @ group["k2_b"].flatten(1), group["k2_b"].shape[0]
    while first.ndim < second.ndim:
        first = first.unsqueeze(-1)
    change = torch.kron(first, second.contiguous()).reshape(shape)
    return change if rank is None else _scaled(change, group, rank)
