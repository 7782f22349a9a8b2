"""A run stopped between two steps, as plain tensors and JSON, so that it can go on bit-equal in another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class SamplerState:
    """Everything that the next step reads.

    done: steps finished, counted from the first of this run.
    x, denoised: [batch, c, h, w] as in Step.
    solver: the method's history (earlier predictions, step index ...): tensors, arrays, numbers, strings, None, lists and dicts of them.
    noise: state of the generator that draws the steps' noise, or None where none is drawn.
    rule: what the guidance rule remembers (momentum).
    """

    done: int
    x: Tensor
    denoised: Tensor
    solver: Mapping[str, Any] = field(default_factory=dict)
    noise: Tensor | None = None
    rule: Mapping[str, Tensor] = field(default_factory=dict)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors by name (contiguous, on the CPU, fit for safetensors) and the rest as JSON-able values that name them."""
        tensors: dict[str, Tensor] = {}
        return tensors, {name: _pack(getattr(self, name), name, tensors) for name in ("done", "x", "denoised", "solver", "noise", "rule")}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> SamplerState:
        """The inverse of `to_tensors`. Raises KeyError where a tensor is missing, TypeError where a field is."""
        return cls(**{name: _unpack(value, tensors) for name, value in values.items()})

    def to(self, device: torch.device) -> SamplerState:
        """The same with its latents on `device`; generator states stay on the CPU, where torch wants them."""
        return SamplerState(self.done, self.x.to(device), self.denoised.to(device), _moved(self.solver, device), self.noise, _moved(self.rule, device))

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.to_tensors()[0].values())


def snapshot(value: Any) -> Any:
    """A copy that later steps cannot change: containers and arrays are copied, tensors cloned."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: snapshot(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [snapshot(item) for item in value]
    return value


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device) if value.ndim > 1 else value  # schedulers keep their one-dimensional tables on the CPU
    if isinstance(value, Mapping):
        return {key: _moved(item, device) for key, item in value.items()}
    return [_moved(item, device) for item in value] if isinstance(value, list) else value


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        tensors[name] = torch.from_numpy(np.ascontiguousarray(value))
        return {"array": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {"dict": {key: _pack(item, f"{name}.{key}", tensors) for key, item in value.items()}}
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{name}.{k}", tensors) for k, item in enumerate(value)]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} at '{name}' cannot be stored")


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, content = next(iter(value.items()))
    if kind == "tensor":
        return tensors[content]
    if kind == "array":
        return tensors[content].numpy()
    return {key: _unpack(item, tensors) for key, item in content.items()}
