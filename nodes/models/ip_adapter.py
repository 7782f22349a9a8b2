"""Puts image prompt adapters on a UNet and takes them off again (IP-Adapter: Ye et al. 2023, arXiv:2308.06721).

An adapter adds to every cross attention a second one, over a picture's features, and a projection that makes those features.
"""

from __future__ import annotations

from typing import Any

from nodegraph.errors import GraphError
from nodes.models import weights
from nodes.models.handles import IpAdapterHandle

_KEPT = "_processors_before_ip_adapter"


def attach(unet: Any, adapters: tuple[tuple[IpAdapterHandle, float], ...]) -> None:
    """Add adapters with their strengths; conditionings then need `image_embeds`, one entry per adapter in this order.

    Raises: GraphError for adapters that do not fit the network.
    """
    states = []
    for handle, _ in adapters:
        state = weights.read_source(handle.source)
        parts: dict[str, dict[str, Any]] = {"image_proj": {}, "ip_adapter": {}}
        for name, value in state.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = value.clone()
        states.append(parts)
    before = dict(unet.attn_processors)
    try:
        unet._load_ip_adapter_weights(states, low_cpu_mem_usage=False)
    except (RuntimeError, KeyError, ValueError):
        _restore(unet, before)
        names = " and ".join(f"'{handle.source.name}'" for handle, _ in adapters)
        raise GraphError(f"The IP-Adapter {names} does not fit this model. Use one of the same family.") from None
    setattr(unet, _KEPT, before)
    strengths = [strength for _, strength in adapters]
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale") and isinstance(processor.scale, list):
            processor.scale = list(strengths)
    unet.requires_grad_(False).eval()


def detach(unet: Any) -> None:
    """Take all adapters off."""
    _restore(unet, getattr(unet, _KEPT))
    delattr(unet, _KEPT)


def _restore(unet: Any, processors: dict[str, Any]) -> None:
    unet.set_attn_processor(dict(processors))
    unet.encoder_hid_proj = None
    unet.config.encoder_hid_dim_type = None
