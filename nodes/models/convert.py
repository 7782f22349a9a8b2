"""The one door for pickles: turns a .ckpt, .pt, .pth or .bin into .safetensors, reading nothing but tensors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.models.header import sniff
from nodes.models.merging import write

WRAPPERS = ("state_dict", "params_ema", "params", "model_state_dict", "model", "module")


def convert(path: Path | str, target: Path | str | None = None) -> Path:
    """Write the weights of a pickled file beside it as .safetensors, and give the new path. The old file stays.

    torch's restricted unpickler is used (weights_only=True): a file that holds anything but tensors and plain values is refused.
    Raises: GraphError in words.
    """
    path = Path(path)
    if not path.is_file():
        raise GraphError(f"There is no file '{path}'.")
    if sniff(path) == "safetensors":
        raise GraphError(f"'{path.name}' is a .safetensors file already; rename it if its suffix says otherwise.")
    goal = Path(target) if target is not None else path.with_suffix(".safetensors")
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise GraphError(f"'{path.name}' does not fit into memory.") from None
    except Exception as error:
        what = (
            "holds more than weights"
            if "Unsupported global" in str(error) or "weights_only" in str(error)
            else "is damaged or no weights file"
        )
        raise GraphError(f"'{path.name}' {what}, so it is not converted. Get a .safetensors version of it.") from None
    tensors = _tensors(loaded)
    if not tensors:
        raise GraphError(f"'{path.name}' holds no tensors.")
    write(goal, {name: value.contiguous().clone() for name, value in tensors.items()}, {"converted_from": path.name})
    return goal


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """The state dict inside what was loaded, however it is wrapped; textual inversions become `emb_params`."""
    if isinstance(loaded, Tensor):
        return {"emb_params": loaded}
    if not isinstance(loaded, Mapping):
        return {}
    if isinstance(loaded.get("string_to_param"), Mapping):
        first = next(iter(loaded["string_to_param"].values()), None)
        return {"emb_params": first.detach()} if isinstance(first, Tensor) else {}
    for name in WRAPPERS:
        inner = loaded.get(name)
        if isinstance(inner, Mapping) and any(isinstance(value, Tensor) for value in inner.values()):
            return _tensors(inner)
    return {str(name): value.detach() for name, value in loaded.items() if isinstance(value, Tensor)}


def main(paths: Sequence[str]) -> int:
    """Convert files named on a command line; 0 when all went well, 1 when one was refused. Says one line a file."""
    failed = 0
    for path in paths:
        try:
            print(convert(path))
        except GraphError as error:
            failed = 1
            print(error.message, file=sys.stderr)
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
