"""Times, sizes and names as the window says them."""

from __future__ import annotations

import re

_CODE = re.compile(r"`([^`\n]*)`")
_STRAIGHT = re.compile(r"(?<![^\W_])'([^'\n]*)'(?![^\W_])")


def seconds_words(seconds: float) -> str:
    """A time for people: under 0.1 s, 0.8 s, 41 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def size_words(count: int) -> str:
    """A number of bytes for people: 84 MB, 2.1 GB."""
    if count >= 2**30:
        return f"{count / 2**30:.1f} GB"
    if count >= 2**20:
        return f"{count / 2**20:.0f} MB"
    return f"{max(1, round(count / 1024))} kB"


def gigabytes(count: int, digits: int = 1) -> str:
    """Bytes as a bare number of GB."""
    return f"{count / 2**30:.{digits}f}"


def quoted(text: str) -> str:
    """A message with its names in typographic quotes: the engine writes 'fox', which also goes to terminals, help for authors `fox`;
    the window shows ‘fox’."""
    return _STRAIGHT.sub("‘\\1’", _CODE.sub("‘\\1’", text))


def device_words(device: str, wish: str) -> str:
    """cuda:0 as "GPU 0", cpu as "CPU"."""
    name = device or ("" if wish == "auto" else wish)
    if name.startswith("cuda"):
        return f"GPU {name.partition(':')[2] or '0'}"
    return {"cpu": "CPU", "mps": "Apple GPU", "": ""}.get(name, name)
