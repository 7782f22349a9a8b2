"""Keys for the steps of a run, as a chain: key(k) = hash(key(k - 1), everything that is active in step k).

An edit that only touches late steps (a prompt that switches at 60 %, a control that ends later, a later last step) leaves the keys of the
steps before it as they were, so their stored states are found and only the rest is drawn again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import control, prompts
from nodes.diffusion.guidance import Cfg, Guided, Rule
from nodes.diffusion.solver import Solver
from nodes.diffusion.types import Clock, Cond, Control, Family, Inpaint, Noising, Span


class Prints:
    """Fingerprints of tensors by content; each is read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, str]] = {}

    def of(self, value: Any) -> Any:
        """A value with every tensor in it replaced by its fingerprint; the result has a stable repr."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, Mapping):
            return sorted((key, self.of(item)) for key, item in value.items())
        if isinstance(value, (list, tuple)):
            return [self.of(item) for item in value]
        return value

    def _tensor(self, tensor: Tensor) -> str:
        found = self._known.get(id(tensor))
        if found is None:
            plain = tensor.detach().cpu().contiguous()
            hashed = hashlib.blake2b(f"{plain.dtype}{tuple(plain.shape)}".encode(), digest_size=16)
            hashed.update(plain.flatten().view(dtype=torch.uint8).numpy().data if plain.numel() else b"")
            found = self._known[id(tensor)] = (tensor, hashed.hexdigest())  # the tensor is kept, so that its id is not given to another
        return found[1]


def step_keys(
    model_key: str,
    family: Family,
    solver: Solver,
    x: Tensor,
    said: Mapping[str, Sequence[Cond]],
    rule: Rule,
    controls: Sequence[Control] = (),
    inpaint: Inpaint | None = None,
    offset: int = 0,
    total: int | None = None,
) -> list[str]:
    """One key a step of the solver; a state stored under keys[k] goes on at step k + 1.

    model_key: identifies the weights of the network with all patches; said: conditionings by role.
    A family whose weights change from step to step says by `worn(i, n)` what they are in each.
    Raises GraphError for a control without a key.
    """
    worn = getattr(family, "worn", None)
    if any(not used.key for used in (*controls, *(used for conds in said.values() for cond in conds for used in cond.controls))):
        raise GraphError("A control does not say which model it is, so its steps cannot be stored.")
    prints, noising = Prints(), getattr(solver, "noising", family.noising)
    n = total or offset + len(solver.sigmas) - 1
    blend = None if inpaint is None else (prints.of([inpaint.image, inpaint.mask, inpaint.noise]), inpaint.soft, inpaint.blend, solver.sigmas[0])
    key = _hash("run 1", model_key, family.name, str(family.dtype), prints.of(x), offset, blend)

    def steering(used: Sequence[Control], i: int, n: int, levels: tuple[float, float]) -> list[Any]:
        return [
            (one.key, prints.of([one.hint, one.mask, one.extra]), one.scale, one.target, one.span if one.clock == "noise" else None)
            for one in _live(used, i, n, levels, noising)
        ]

    keys = []
    for k in range(len(solver.sigmas) - 1):
        i, levels = offset + k, (solver.sigmas[k], solver.sigmas[k + 1])
        roles = sorted({role for level in levels if level > 0 for role in rule.roles(i, n, level, noising)})
        active = [
            (
                role,
                prints.of([cond.embeds, cond.pooled, cond.extra, cond.region, cond.weight]),
                cond.span if cond.clock == "noise" else None,
                *([steering(cond.controls, i, n, levels)] if cond.controls else []),
            )
            for role in roles
            for cond in said.get(role, ())
            if _touches(cond.span, cond.clock, levels, noising) and (cond.clock == "noise" or prompts.counts(cond, i, n, levels[0], noising))
        ]
        weights = () if worn is None else (worn(i, n),)
        key = _hash(key, solver.fingerprint(k), active, _rule_print(rule, roles), steering(controls, i, n, levels), *weights)
        keys.append(key)
    return keys


def _live(controls: Sequence[Control], i: int, n: int, levels: tuple[float, float], noising: Noising) -> list[Control]:
    """The controls that may count anywhere in the step: methods ask the network between its two levels as well."""
    by_steps = control.live(tuple(used for used in controls if used.clock == "steps"), i, n, levels[0], noising)
    by_noise = (used for used in controls if used.clock == "noise" and used.scale and _touches(used.span, used.clock, levels, noising))
    return [*by_steps, *by_noise]


def _touches(span: Span, clock: Clock, levels: tuple[float, float], noising: Noising) -> bool:
    return clock == "steps" or (noising.at(span[0]) >= levels[1] and noising.at(span[1]) <= levels[0])


def _rule_print(rule: Rule, roles: Sequence[str]) -> str:
    """What of a rule counts where these roles are evaluated; its interval is told by the roles."""
    if type(rule) is Cfg and list(roles) == ["cond"]:
        return "prompt alone"
    if isinstance(rule, Guided):
        return repr([_rule_print(rule.rule, roles), *(_plain(modifier) for modifier in rule.modifiers)])
    return _plain(rule)


def _plain(value: Any) -> str:
    return repr(dataclasses.replace(value, interval=(0.0, 1.0)) if hasattr(value, "interval") else value)


def _hash(*parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
