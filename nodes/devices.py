"""Where to compute: from the word in the user's settings to a torch device. The only place that looks for one."""

from typing import TYPE_CHECKING

from nodegraph.errors import GraphError

if TYPE_CHECKING:
    import torch


def choose(wish: str) -> "torch.device":
    """The device for "auto", "cpu", "cuda", "cuda:1" or "mps".

    Raises:
        GraphError: It is not there.
    """
    import torch

    if wish == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(wish)
    except RuntimeError:
        raise GraphError(f"'{wish}' is not a device. Choose auto, cpu, cuda or mps.") from None
    missing = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if missing:
        raise GraphError(f"There is no '{wish}' on this computer, or this torch cannot use it. 'nodegraph doctor' says more.")
    return device
