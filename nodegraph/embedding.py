"""Texts inside PNG pictures, so that a picture carries the graph that made it. Knows bytes only, no graph."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Mapping
from typing import BinaryIO

from nodegraph.errors import GraphFileError

PNG_KEYWORD = "nodegraph"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


def without_home(graph_text: str) -> str:
    """A graph's text for a picture that others may see: files under the user's folder begin with "~", so that no name is told.

    On the same computer they are found again as before.
    """
    home = os.path.expanduser("~")
    if len(home) < 4:  # "/", "C:\\" or still "~": of a service, which has no folder of its own
        return graph_text
    for written in {home, home.replace("\\", "/")}:
        start = json.dumps(written, ensure_ascii=graph_text.isascii())[:-1]
        for slash in ("/", "\\\\"):
            graph_text = graph_text.replace(start + slash, '"~/')
    return graph_text


def embedded(png: bytes, texts: Mapping[str, str]) -> bytes:
    """A PNG with texts put in, as `embedded(png, {PNG_KEYWORD: dumps(graph, compact=True)})`.

    The chunks are not compressed: readers refuse compressed ones over 1 MB and then the whole picture.
    """
    if png[:8] != PNG_MAGIC:
        raise ValueError("not a PNG")
    end = 8 + 25  # the signature and IHDR
    return png[:end] + b"".join(_chunk(keyword, text) for keyword, text in texts.items()) + png[end:]


def _chunk(keyword: str, text: str) -> bytes:
    if text.isascii():
        kind, body = b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("ascii")
    else:
        kind, body = b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def text_in_png(file: BinaryIO, name: str, limit: int) -> bytes | None:
    """The graph in a PNG whose signature has been read. Only chunk heads are looked at, nothing is decompressed."""
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind in (b"tEXt", b"iTXt"):
            if length > limit:
                raise GraphFileError(f"'{name}' carries a text that is too large to be a graph.")
            body = file.read(length)
            keyword, _, rest = body.partition(b"\0")
            if keyword == PNG_KEYWORD.encode():
                return rest if kind == b"tEXt" else _international_text(rest)
            file.seek(4, os.SEEK_CUR)
        elif kind == b"IEND":
            return None
        else:
            file.seek(length + 4, os.SEEK_CUR)
    return None


def _international_text(rest: bytes) -> bytes | None:
    if rest[:1] == b"\1":  # compressed; we never write that
        return None
    parts = rest[2:].split(b"\0", 2)  # language, keyword in that language, text
    return parts[2] if len(parts) == 3 else None
