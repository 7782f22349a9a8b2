"""What front ends and workers say to each other: one vocabulary for window, command line, worker process and cluster.

Requests go down (Run, Stop ...), events come up (Started, Progress ...). On a pipe each message is
`[u32 bytes of JSON][u32 bytes of payload][JSON][payload]`, little endian; only pictures use the payload, as raw uint8.
What arrives is checked field by field against the dataclasses below, so neither side trusts the other: an unknown message, an
unknown or missing field, a wrong type, a number that is not finite or a payload of the wrong size is a ProtocolError.

A job's events come in this order: Queued, Accepted, then for its nodes Started, Progress..., Shown/Saved/Warned, and one of
Finished, Failed or Skipped each; at last exactly one Done.
"""

from __future__ import annotations

import json
import math
import struct
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, BinaryIO, Literal

PROTOCOL = 1
"""Raised when a message changes its meaning. Both sides say it in Hello; unequal ones refuse to work together."""

MAX_JSON = 64 << 20
MAX_PAYLOAD = 1 << 30
HEADER = struct.Struct("<II")

State = Literal["done", "failed", "cancelled", "interrupted"]


class ProtocolError(ValueError):
    """A message that the other side cannot have meant."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture: `pixels` are uint8 in rows, [height, width, channels], channels 1 (grey), 3 (RGB) or 4 (RGBA)."""

    width: int
    height: int
    channels: int
    pixels: bytes

    @classmethod
    def of(cls, picture: Any, limit: int = 0) -> Frame:
        """A numpy array or CPU tensor, uint8 [height, width] or [height, width, 1, 3 or 4], as a Frame.

        With a `limit`, the longer side is made at most that many pixels (averaged, so nothing flickers).

        Raises:
            ValueError: It is not such a picture.
        """
        import numpy as np

        array = np.asarray(picture)
        if array.ndim == 2:
            array = array[:, :, None]
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
            raise ValueError(f"A picture to show is uint8 [height, width, 3 or 4], not {array.dtype} {list(array.shape)}.")
        longest = max(array.shape[:2])
        if limit and longest > limit:
            from PIL import Image

            size = tuple(max(1, round(side * limit / longest)) for side in array.shape[1::-1])
            picture = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
            array = np.asarray(picture.resize(size, Image.Resampling.BOX))
            array = array[:, :, None] if array.ndim == 2 else array
        height, width, channels = array.shape
        return cls(width, height, channels, array.tobytes())


# -- requests


@dataclass(frozen=True, slots=True)
class Run:
    """Make a graph's pictures.

    graph: the text of a `.graph` file. targets: ids of the nodes wanted; none means all that are run for their effect.
    base: the folder that relative paths in the graph start from. output: where pictures go; "" is the user's folder.
    device: "auto", "cpu", "cuda", "cuda:1", "mps". cache: False neither looks up nor keeps results.
    preview: longest side of pictures on the way, in pixels; 0 makes none. title: how a queue calls the job.
    """

    job: str
    graph: str
    targets: tuple[str, ...] = ()
    base: str = ""
    output: str = ""
    device: str = "auto"
    cache: bool = True
    preview: int = 512
    title: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop a job between two steps, or take it out of the queue. A job that is unknown or over: nothing happens."""

    job: str


@dataclass(frozen=True, slots=True)
class Free:
    """Give memory back: loaded models, results in memory, or both. Files on disk stay."""

    what: Literal["models", "results", "all"] = "all"


@dataclass(frozen=True, slots=True)
class Report:
    """Ask for a Memory event."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Ask for a Pong with the same number."""

    number: int = 0


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop what runs and leave."""


# -- events


@dataclass(frozen=True, slots=True)
class Hello:
    """The worker is there. torch: its version, "" where it is not installed."""

    protocol: int
    pid: int
    version: str = ""
    python: str = ""
    torch: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    number: int = 0


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits; `ahead` others come first."""

    job: str
    ahead: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The graph was read and checked and its job begins. nodes: how many take part; cached: how many of them are known already."""

    job: str
    nodes: int
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """A node begins. title: what the artist calls it."""

    job: str
    node: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A node is at `done` of `total`; `eta` seconds are left, None while unknown. At most 30 a second, the last one always."""

    job: str
    node: str
    done: float
    total: float
    note: str = ""
    sigma: float | None = None
    eta: float | None = None
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A node is ready. cached: its result was known. resumed_from: the step from which an earlier run was taken up.

    about: what its outputs are, in words, by name ("Image 512 × 512"), as far as they can tell.
    curves: outputs that are numbers one after the other (a noise schedule), to be drawn; by name.
    """

    job: str
    node: str
    cached: bool = False
    seconds: float = 0.0
    resumed_from: float | None = None
    about: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shown:
    """A finished picture to look at, whole."""

    job: str
    node: str
    picture: Frame


@dataclass(frozen=True, slots=True)
class Saved:
    """A file was written for the user."""

    job: str
    node: str
    path: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something worth knowing that stops nothing. node "" means the whole job."""

    job: str
    node: str
    message: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A node, or with node "" the whole graph, cannot go on. One event for each problem found.

    input: which input is to blame, "" if none. kind: a short stable word ("out-of-memory", "missing-file", "unknown-node",
    "file": one cannot be read or written, as on a full disk; "invalid", "error", "crash": the worker died while this node ran). log: the file that holds the technical details, "" if there are none.
    """

    job: str
    node: str
    message: str
    input: str = ""
    kind: str = "error"
    log: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A node did not run because `because`, upstream of it, failed."""

    job: str
    node: str
    because: str


@dataclass(frozen=True, slots=True)
class Done:
    """The job is over, and this is its last event. ran and cached count nodes."""

    job: str
    state: State
    seconds: float = 0.0
    ran: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use on the device and held by the result cache (in memory, on disk); 0 where unknown."""

    device: str
    used: int = 0
    total: int = 0
    cache: int = 0
    disk: int = 0


Request = Run | Stop | Free | Report | Ping | Shutdown
Event = (
    Hello | Pong | Queued | Accepted | Started | Progress | Finished | Shown | Saved | Warned | Failed | Skipped | Done | Memory
)  # fmt: skip
Message = Request | Event
Tell = Callable[[Any], None]
"""Takes each Event in order."""

MESSAGES: dict[str, type] = {kind.__name__.lower(): kind for kind in (*typing.get_args(Request), *typing.get_args(Event))}
EVENTS: frozenset[str] = frozenset(kind.__name__.lower() for kind in typing.get_args(Event))


def kind_of(message: Any) -> str:
    """The word that names a message on the wire: "progress"."""
    return type(message).__name__.lower()


# -- to bytes


def to_json(message: Any) -> dict[str, Any]:
    """A message as one flat JSON object, its type first; pictures only by their size. This is what `--json` prints."""
    return _encode(message)[0]


def to_wire(message: Any) -> tuple[bytes, bytes]:
    """A message as its frame's head (lengths and JSON) and its payload.

    Raises:
        ProtocolError: It is too large to be sent.
    """
    header, payload = _encode(message)
    text = json.dumps(header, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(text) > MAX_JSON or len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"A '{header['type']}' message of {(len(text) + len(payload)) >> 20} MB is too large to send.")
    return HEADER.pack(len(text), len(payload)) + text, payload


def _encode(message: Any) -> tuple[dict[str, Any], bytes]:
    header: dict[str, Any] = {"type": kind_of(message)}
    payload = b""
    for item in fields(message):
        value = getattr(message, item.name)
        if isinstance(value, Frame):
            payload = value.pixels
            value = {"width": value.width, "height": value.height, "channels": value.channels}
        elif isinstance(value, tuple):
            value = list(value)
        elif isinstance(value, Mapping):
            value = dict(value)
        elif isinstance(value, float) and not math.isfinite(value):
            value = None
        if value is not None or item.default is not None:
            header[item.name] = value
    return header, payload


def write(stream: BinaryIO, message: Any) -> None:
    """Send a message through a pipe, whole. The caller sees to it that nobody else writes meanwhile."""
    head, payload = to_wire(message)
    for part in (head, payload):
        view = memoryview(part)
        while view:
            view = view[stream.write(view) or 0 :]
    stream.flush()


# -- from bytes


def read(stream: BinaryIO) -> Any | None:
    """The next message of a pipe, or None at its end (also when it ends inside a message: the other side died).

    Raises:
        ProtocolError: What came is no message. The pipe cannot be read any further.
    """
    head = _read_exactly(stream, HEADER.size)
    if head is None:
        return None
    length, payload_length = HEADER.unpack(head)
    if length > MAX_JSON or payload_length > MAX_PAYLOAD:
        raise ProtocolError("A message claims to be larger than any can be.")
    text = _read_exactly(stream, length)
    payload = _read_exactly(stream, payload_length)
    if text is None or payload is None:
        return None
    return from_wire(text, payload)


def _read_exactly(stream: BinaryIO, length: int) -> bytes | None:
    parts = []
    while length:
        part = stream.read(min(length, 1 << 20))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def from_wire(text: bytes | str, payload: bytes = b"") -> Any:
    """The message that `to_wire` took apart.

    Raises:
        ProtocolError: It is not one.
    """
    try:
        header = json.loads(text, parse_constant=_refuse, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"A message is not JSON: {error}") from error
    if not isinstance(header, dict) or not isinstance(header.get("type"), str) or header["type"] not in MESSAGES:
        raise ProtocolError("A message is of no known type.")
    kind = header.pop("type")
    checks = _CHECKS[kind]
    if unknown := header.keys() - checks.keys():
        raise ProtocolError(f"A '{kind}' message has an unknown field '{min(unknown)}'.")
    values: dict[str, Any] = {}
    pictures = 0
    for name, (check, required) in checks.items():
        if name not in header:
            if required:
                raise ProtocolError(f"A '{kind}' message lacks '{name}'.")
            continue
        values[name], used = check(header[name], payload)
        pictures += used
        if values[name] is _WRONG:
            raise ProtocolError(f"A '{kind}' message has something else than it should at '{name}'.")
    if payload and not pictures:
        raise ProtocolError(f"A '{kind}' message has a payload that nothing refers to.")
    return MESSAGES[kind](**values)


_WRONG = object()
_Check = Callable[[Any, bytes], tuple[Any, int]]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def _check_for(hint: Any) -> _Check:
    """What turns a field's JSON into its value: (value or _WRONG, 1 if it took the payload)."""
    if hint is Frame:
        return _frame
    if hint is str:
        return lambda value, _: (value if type(value) is str else _WRONG, 0)
    if hint is bool:
        return lambda value, _: (value if type(value) is bool else _WRONG, 0)
    if hint is int:
        return lambda value, _: (value if type(value) is int and -(2**63) <= value < 2**64 else _WRONG, 0)
    if hint is float:
        return _number
    if typing.get_origin(hint) is Literal:
        words = frozenset(typing.get_args(hint))
        return lambda value, _: (value if type(value) is str and value in words else _WRONG, 0)
    if typing.get_origin(hint) is tuple:  # always tuple[str, ...]
        return lambda value, _: (tuple(value) if type(value) is list and all(type(part) is str for part in value) else _WRONG, 0)
    if hint == Mapping[str, tuple[float, ...]]:
        return _curves
    if typing.get_origin(hint) is Mapping:  # else always Mapping[str, str]
        return lambda value, _: (value if type(value) is dict and all(type(part) is str for part in value.values()) else _WRONG, 0)
    if typing.get_origin(hint) is types.UnionType:  # always X | None
        inner = _check_for(next(t for t in typing.get_args(hint) if t is not types.NoneType))
        return lambda value, payload: (None, 0) if value is None else inner(value, payload)
    raise TypeError(f"messages cannot carry {hint}")


def _number(value: Any, _: bytes) -> tuple[Any, int]:
    if type(value) not in (int, float) or not abs(value) < 1e308:
        return _WRONG, 0
    return float(value), 0


def _curves(value: Any, payload: bytes) -> tuple[Any, int]:
    if type(value) is not dict or not all(type(part) is list for part in value.values()):
        return _WRONG, 0
    found = {name: tuple(_number(number, payload)[0] for number in part) for name, part in value.items()}
    return (_WRONG if any(_WRONG in part for part in found.values()) else found), 0


def _frame(value: Any, payload: bytes) -> tuple[Any, int]:
    if type(value) is not dict or value.keys() != {"width", "height", "channels"}:
        return _WRONG, 0
    width, height, channels = value["width"], value["height"], value["channels"]
    if any(type(size) is not int or not 0 < size <= 1 << 20 for size in (width, height)) or type(channels) is not int:
        return _WRONG, 0
    if channels not in (1, 3, 4) or width * height * channels != len(payload):
        return _WRONG, 0
    return Frame(width, height, channels, bytes(payload)), 1


def _checks_of(kind: type) -> dict[str, tuple[_Check, bool]]:
    hints = typing.get_type_hints(kind)
    return {item.name: (_check_for(hints[item.name]), item.default is MISSING and item.default_factory is MISSING) for item in fields(kind)}


_CHECKS = {name: _checks_of(kind) for name, kind in MESSAGES.items()}
