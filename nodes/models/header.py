"""Reads what a weights file holds from its first bytes, without opening it: names, shapes, metadata. Torch-free.

safetensors: 8 bytes little-endian header length, JSON header, then the tensors (huggingface.co/docs/safetensors).
A file is judged by its content, never by its suffix: a pickle that calls itself .safetensors is refused.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.errors import GraphError

MAX_HEADER_BYTES = 16 * 2**20
MAX_TENSORS = 50_000
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
_CONVERT = "It is a pickle file, which can run code. Convert it to .safetensors first (nodegraph convert)."


@dataclass(frozen=True)
class Tensor:
    """One entry of a header: dtype as safetensors names it, shape, byte range after the header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """Names -> tensors of a file, its free metadata, where the data starts."""

    path: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    start: int

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor; () when there is none of that name."""
        found = self.tensors.get(name)
        return found.shape if found else ()

    def dim(self, name: str, axis: int) -> int:
        """One dimension of a tensor; 0 when there is no such tensor or axis."""
        shape = self.shape(name)
        return shape[axis] if -len(shape) <= axis < len(shape) else 0

    def under(self, prefix: str) -> Header:
        """The tensors whose name starts with `prefix`, without it."""
        n = len(prefix)
        kept = {name[n:]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
        return Header(self.path, kept, self.metadata, self.start)

    def bytes(self) -> int:
        return sum(tensor.end - tensor.begin for tensor in self.tensors.values())

    def floats(self, name: str) -> list[float]:
        """The values of a SMALL float tensor (F16, BF16 or F32), read from disk."""
        tensor = self.tensors[name]
        with open(self.path, "rb") as file:
            file.seek(self.start + tensor.begin)
            raw = file.read(tensor.end - tensor.begin)
        if tensor.dtype == "BF16":
            return [struct.unpack("<f", b"\0\0" + raw[i : i + 2])[0] for i in range(0, len(raw), 2)]
        code, size = {"F16": ("e", 2), "F32": ("f", 4), "F64": ("d", 8)}[tensor.dtype]
        return list(struct.unpack(f"<{len(raw) // size}{code}", raw))


def sniff(path: Path) -> str:
    """What the first bytes say: "safetensors", "pickle", "zip", "gguf", "lfs", "html", "empty" or "unknown"."""
    with open(path, "rb") as file:
        head = file.read(16)
    if not head:
        return "empty"
    is_header = len(head) > 8 and head[8:9] == b"{"
    if is_header and struct.unpack("<Q", head[:8])[0] <= path.stat().st_size:
        return "safetensors"  # first, because a header of 640 bytes starts like a pickle (80 02)
    if head[:4] == b"PK\x03\x04":
        return "zip"  # torch.save since 1.6: a zip that holds a pickle
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return "pickle"
    if head[:4] == b"GGUF":
        return "gguf"
    if head.startswith(b"version https:/"):
        return "lfs"
    if head.lstrip()[:1] == b"<":
        return "html"
    return "safetensors" if is_header else "unknown"


def read_header(path: Path | str) -> Header:
    """The header of a safetensors file.

    Raises: GraphError for a missing, foreign, damaged or absurdly large file, worded for the person who chose it.
    """
    path = Path(path)
    if not path.is_file():
        raise GraphError(f"There is no model file '{path.name}' in '{path.parent}'. Choose another file or put it there.")
    kind = sniff(path)
    if kind != "safetensors":
        raise GraphError(f"'{path.name}' cannot be used. {_reason(kind)}")
    size = path.stat().st_size
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > MAX_HEADER_BYTES:
            raise GraphError(f"'{path.name}' is not a sound .safetensors file: its header claims {length} bytes. Get the file again.")
        raw = file.read(length)
    if len(raw) < length:
        raise _damaged(path)
    try:
        table = json.loads(raw)
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    if not isinstance(table, dict):
        raise _damaged(path)
    metadata = table.pop("__metadata__", None) or {}
    if len(table) > MAX_TENSORS:
        raise GraphError(f"'{path.name}' lists {len(table)} tensors; more than {MAX_TENSORS} are refused.")
    tensors = {name: _tensor(path, entry) for name, entry in table.items()}
    end = max((tensor.end for tensor in tensors.values()), default=0)
    if 8 + length + end > size:
        missing = 8 + length + end - size
        raise GraphError(f"'{path.name}' is incomplete: {missing} bytes are missing at its end. Get the file again.")
    return Header(str(path), tensors, {str(k): str(v) for k, v in metadata.items()} if isinstance(metadata, dict) else {}, 8 + length)


def _tensor(path: Path, entry: Any) -> Tensor:
    try:
        shape, (begin, end) = tuple(entry["shape"]), entry["data_offsets"]
        whole = all(isinstance(n, int) and n >= 0 for n in (*shape, begin, end))
        if not whole or (math.prod(shape) * BITS[entry["dtype"]] + 7) // 8 != end - begin:
            raise _damaged(path)
        return Tensor(entry["dtype"], shape, begin, end)
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def _damaged(path: Path) -> GraphError:
    return GraphError(f"'{path.name}' is damaged: its list of tensors cannot be read. Get the file again.")


def _reason(kind: str) -> str:
    return {
        "pickle": _CONVERT,
        "zip": _CONVERT.replace("a pickle file", "a PyTorch file with a pickle inside"),
        "gguf": "It is a GGUF file; only .safetensors files are read.",
        "lfs": "It is a Git LFS pointer, not the model itself. Fetch the real file (git lfs pull).",
        "html": "It is a web page, not a model: the download needed a login or went wrong. Get the file again.",
        "empty": "It is empty. Get the file again.",
    }.get(kind, "It is not a .safetensors file.")
