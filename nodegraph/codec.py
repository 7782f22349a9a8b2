"""Results as bytes and back: a safetensors file whose metadata hold the structure as JSON. Never pickle.

Frozen dataclasses (port types and what they are made of), arrays, tensors, numbers, words, paths, enum members, lists, tuples
and mappings can be kept. Anything else raises Unencodable, and such a result lives in memory only.

Reading makes nothing but plain values, arrays, and dataclasses or enums from the packages it is told to trust; it never
calls what a file names. Tensors are told from arrays by the package they come from, so this module needs no torch: it takes
the torch of the running process only to read back what a torch node has written. Tensors come back on the CPU.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import json
import math
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import xxhash

FORMAT = 1
DEEPEST = 60
"""How deep values may be nested."""

MARK = "!"
"""A JSON object with this field is not a mapping but what the field says."""

_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 100_000_000  # the limit of the safetensors format
_NAMES = {
    "float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "int64": "I64", "int32": "I32", "int16": "I16", "int8": "I8", "uint64": "U64", "uint32": "U32", "uint16": "U16", "uint8": "U8",
    "bool": "BOOL",
}  # fmt: skip
_DTYPES = {short: name for name, short in _NAMES.items()}
_ONLY_TORCH = {"bfloat16", "float8_e4m3fn", "float8_e5m2"}


class Unencodable(TypeError):
    """A value that cannot be kept on disk."""


class Unreadable(ValueError):
    """Bytes that no encoder of ours wrote, or that have changed since."""


# -- writing


def encode(value: Any, key: str = "") -> list[bytes | memoryview]:
    """A value as the parts of a file, to be written one after the other. `key` is kept inside, to find out about renamed files.

    Raises:
        Unencodable: It holds something that has no place in such a file.
    """
    arrays: list[Any] = []
    structure = json.dumps(_encode(value, arrays, 0), allow_nan=False, separators=(",", ":"))
    header: dict[str, Any] = {}
    parts: list[bytes | memoryview] = []
    offset = 0
    for number, array in enumerate(arrays):
        content = _bytes_of(array)
        header[str(number)] = {
            "dtype": _NAMES[_dtype_name(array)],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(content)],
        }
        offset += len(content)
        parts.append(content)
    text = {"format": str(FORMAT), "key": key, "structure": structure, "check": _checksum(key, structure, parts)}
    head = json.dumps({"__metadata__": text, **header}, separators=(",", ":")).encode("ascii")
    head += b" " * (-len(head) % 8)
    if len(head) > _MAX_HEADER:
        raise Unencodable("The structure is too large.")
    return [_LENGTH.pack(len(head)) + head, *parts]


def _checksum(key: str, structure: str, parts: Sequence[bytes | memoryview]) -> str:
    check = xxhash.xxh3_128(f"{FORMAT}\0{key}\0{structure}\0".encode("utf-8", "surrogatepass"))
    for part in parts:
        check.update(part)
    return check.hexdigest()


def _encode(value: Any, arrays: list[Any], depth: int) -> Any:
    if value is None or type(value) in (bool, int, str):
        return value
    if depth > DEEPEST:
        raise Unencodable("The value is nested too deep.")
    if type(value) is float:
        return value if math.isfinite(value) else {MARK: "float", "value": repr(value)}
    if type(value) is list:
        return [_encode(item, arrays, depth + 1) for item in value]
    if type(value) is tuple:
        return {MARK: "tuple", "value": [_encode(item, arrays, depth + 1) for item in value]}
    if isinstance(value, enum.Enum):
        return {MARK: "enum", "class": _name_of(type(value)), "value": value.name}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        made_from = {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
        return {
            MARK: "data",
            "class": _name_of(type(value)),
            "value": {name: _encode(item, arrays, depth + 1) for name, item in made_from.items()},
        }
    if isinstance(value, PurePath):
        return {MARK: "path", "value": str(value)}
    if isinstance(value, bytes):
        return {MARK: "bytes", "value": value.hex()} if len(value) < 4096 else _encode_bytes(value, arrays)
    if isinstance(value, Mapping):
        if not all(type(name) is str for name in value):
            raise Unencodable("A mapping has keys that are not words.")
        return {MARK: "dict", "value": {name: _encode(item, arrays, depth + 1) for name, item in value.items()}}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {MARK: "named", "class": _name_of(type(value)), "value": [_encode(item, arrays, depth + 1) for item in value]}
    return _encode_array(value, arrays)


def _encode_bytes(value: bytes, arrays: list[Any]) -> dict[str, Any]:
    import numpy as np

    return {**_encode_array(np.frombuffer(value, np.uint8), arrays), MARK: "blob"}


def _encode_array(value: Any, arrays: list[Any]) -> dict[str, Any]:
    package = type(value).__module__.partition(".")[0]
    if package not in ("numpy", "torch") or not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise Unencodable(f"A {type(value).__name__} has no form on disk.")
    if package == "torch" and (type(value).__name__ not in ("Tensor", "Parameter") or value.layout != _torch().strided):
        raise Unencodable("Only plain tensors have a form on disk.")
    name = _dtype_name(value)
    if name not in _NAMES:
        raise Unencodable(f"An array of {name} has no form on disk.")
    kind = "scalar" if package == "numpy" and not hasattr(value, "flags") else "array"
    arrays.append(value)
    return {MARK: kind, "of": package, "number": len(arrays) - 1, "dtype": _NAMES[name], "shape": list(value.shape)}


def _dtype_name(array: Any) -> str:
    return str(array.dtype).removeprefix("torch.").removeprefix("<")


def _bytes_of(array: Any) -> bytes | memoryview:
    import numpy as np

    if type(array).__module__.partition(".")[0] == "torch":
        torch = _torch()
        flat = array.detach().cpu().contiguous().reshape(-1)
        return memoryview(flat.view(torch.uint8).numpy()) if flat.numel() else b""
    whole = np.ascontiguousarray(array)
    return whole.reshape(-1).view(np.uint8).data if whole.size else b""


def _name_of(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        raise Unencodable(f"A {kind.__name__} made inside a function cannot be found again.")
    return f"{kind.__module__}:{kind.__qualname__}"


def _torch() -> Any:
    return sys.modules.get("torch") or importlib.import_module("torch")


# -- reading


def decode(content: bytes | bytearray, trusted: frozenset[str], key: str | None = None) -> Any:
    """The value that `encode` made into these bytes. `trusted` names the packages whose dataclasses and enums may be made.

    Raises:
        Unreadable: The bytes are damaged, made by another version, kept under another key, or need a class that is not there.
    """
    try:
        text, arrays = _open(content)
        parts = [memoryview(content)[start:stop] for _, _, start, stop in arrays]
        if text["format"] != str(FORMAT) or (key is not None and text["key"] != key):
            raise Unreadable("It was kept by another version or under another key.")
        if text["check"] != _checksum(text["key"], text["structure"], parts):
            raise Unreadable("It has changed since it was written.")
        reader = _Reader(trusted, [(dtype, shape, part) for (dtype, shape, _, _), part in zip(arrays, parts, strict=True)])
        return reader.value(json.loads(text["structure"]), 0)
    except Unreadable:
        raise
    except Exception as error:  # whatever hostile bytes provoke, it is a miss
        raise Unreadable(f"It cannot be read: {error}") from error


def _open(content: bytes | bytearray) -> tuple[dict[str, str], list[tuple[str, tuple[int, ...], int, int]]]:
    """Metadata, and dtype, shape, start and stop of each array, of a safetensors file; everything within bounds."""
    if len(content) < 8:
        raise Unreadable("It is cut off.")
    (length,) = _LENGTH.unpack_from(content)
    if length > min(_MAX_HEADER, len(content) - 8):
        raise Unreadable("It is cut off.")
    header = json.loads(bytes(content[8 : 8 + length]))
    text = header.pop("__metadata__")
    if not all(isinstance(text.get(name), str) for name in ("format", "key", "structure", "check")):
        raise Unreadable("It is not one of ours.")
    arrays, end = [], 8 + length
    for number in range(len(header)):
        entry = header[str(number)]
        shape = tuple(entry["shape"])
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        if start != end or not start <= stop <= len(content) or any(type(size) is not int or size < 0 for size in shape):
            raise Unreadable("An array leaves the file.")
        arrays.append((entry["dtype"], shape, start, stop))
        end = stop
    if end != len(content):
        raise Unreadable("There is more in it than it says.")
    return text, arrays


class _Reader:
    def __init__(self, trusted: frozenset[str], arrays: list[tuple[str, tuple[int, ...], memoryview]]) -> None:
        self.trusted = trusted
        self.arrays = arrays

    def value(self, form: Any, depth: int) -> Any:
        if depth > DEEPEST + 2:
            raise Unreadable("It is nested too deep.")
        if isinstance(form, list):
            return [self.value(item, depth + 1) for item in form]
        if not isinstance(form, dict):
            return form
        kind = form[MARK]
        inner: Any = form.get("value")
        if kind == "tuple":
            return tuple(self.value(item, depth + 1) for item in inner)
        if kind == "dict":
            return {name: self.value(item, depth + 1) for name, item in inner.items()}
        if kind == "data":
            made = self.find(form["class"])
            if not dataclasses.is_dataclass(made):
                raise Unreadable("It names a class that holds no data.")
            return made(**{name: self.value(item, depth + 1) for name, item in inner.items()})
        if kind == "named":
            made = self.find(form["class"])
            if not (issubclass(made, tuple) and hasattr(made, "_fields")):
                raise Unreadable("It names a class that holds no data.")
            return made(*(self.value(item, depth + 1) for item in inner))
        if kind == "enum":
            made = self.find(form["class"])
            if not issubclass(made, enum.Enum):
                raise Unreadable("It names a class that is no choice.")
            return made[inner]
        if kind == "path":
            return Path(inner)
        if kind == "bytes":
            return bytes.fromhex(inner)
        if kind == "float":
            return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[inner]
        return self.array(form)

    def array(self, form: dict[str, Any]) -> Any:
        dtype, shape, part = self.arrays[form["number"]]
        if form[MARK] not in ("array", "scalar", "blob") or form["dtype"] != dtype or tuple(form["shape"]) != shape:
            raise Unreadable("An array is not what it was.")
        if form[MARK] == "blob":
            return bytes(part)
        if form["of"] == "torch":
            torch = _torch()
            flat = torch.frombuffer(bytearray(part), dtype=torch.uint8) if len(part) else torch.empty(0, dtype=torch.uint8)
            return flat.view(getattr(torch, _DTYPES[dtype])).reshape(shape)
        import numpy as np

        if _DTYPES[dtype] in _ONLY_TORCH:
            raise Unreadable("An array has a type that it cannot have.")
        array = np.frombuffer(bytearray(part), np.dtype(_DTYPES[dtype])).reshape(shape)
        return array[()] if form[MARK] == "scalar" else array

    def find(self, name: str) -> type:
        module_name, _, path = name.partition(":")
        if module_name.partition(".")[0] not in self.trusted:
            raise Unreadable("It names a class of a package that is not in use.")
        found: Any = sys.modules.get(module_name) or importlib.import_module(module_name)
        for part in path.split("."):
            found = vars(found)[part]
        if not isinstance(found, type) or found.__module__ != module_name:
            raise Unreadable("It names something that is no class.")
        return found


# -- sizes


_SMALL = frozenset((int, float, bool, type(None)))


def size_of(value: Any) -> int:
    """Bytes that a value holds in memory: arrays and tensors by `nbytes` (each once, however often it is named), the rest roughly."""
    if type(value) is dict and all(type(item) in _SMALL for item in value.values()):
        return 64 + 128 * len(value)
    total = 0
    seen: set[int] = set()
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        nbytes = getattr(item, "nbytes", None)
        if isinstance(nbytes, int):
            total += nbytes + 64
        elif isinstance(item, (str, bytes)):
            total += sys.getsizeof(item)
        elif isinstance(item, Mapping):
            total += 64 * len(item)
            waiting += item.values()
        elif isinstance(item, (list, tuple, set, frozenset)):
            total += 16 * len(item)
            waiting += item
        elif dataclasses.is_dataclass(item) and not isinstance(item, type):
            waiting += [getattr(item, field.name) for field in dataclasses.fields(item)]
        total += 64
    return total
