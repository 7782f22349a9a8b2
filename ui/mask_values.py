"""What of a painted mask goes into a graph: the mask itself as a node's value, its layers beside it in what the node carries along.

The value is all that a run reads, so a change that leaves the mask as it is (another name, another order) runs nothing again. The layers
stand under `KEY` in the node's `extra`, by input, with a fingerprint of the value that they make; a value that came from elsewhere
makes them void. A mask of one plain layer needs no second copy and keeps none.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import xxhash
from numpy.typing import NDArray

from nodegraph.graph import Graph
from ui.mask_paint import Layer, Painting

Plane = NDArray[np.uint8]

KEY: Final = "mask_layers"
MAX_VALUE: Final = 6 * 2**20
"""Characters of a mask in a graph file, which holds at most 8 MiB in one text."""
MAX_LAYERS: Final = 12 * 2**20
"""Characters of all layers of a mask together; a graph file has at most 32 MiB."""
MOST_LAYERS: Final = 32
NAME: Final = 80


def encode(plane: Plane) -> str:
    """A mask as the text of a graph's value: a grey PNG in base64; "" for an empty one.

    Raises:
        ValueError: It would not fit into a graph file.
    """
    if not plane.any():
        return ""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(plane).save(buffer, "PNG", optimize=True)
    text = base64.b64encode(buffer.getvalue()).decode("ascii")
    if len(text) > MAX_VALUE:
        raise ValueError("This mask is too detailed to be kept in a graph. Smooth it, or use a mask file.")
    return text


def decode(text: str, width: int, height: int) -> Plane:
    """The mask in a value, brought to the size of the picture.

    Raises:
        ValueError: It is no picture.
    """
    from PIL import Image

    if not text:
        return np.zeros((height, width), np.uint8)
    try:
        with Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2] if text.startswith("data:") else text, validate=True)), formats=("PNG",)) as opened:
            if opened.width * opened.height > 2**28:
                raise ValueError("The mask in this graph is too large to be shown.")
            has_alpha = "A" in opened.getbands()
            picture = opened.convert("RGBA") if has_alpha else opened.convert("L")
    except (OSError, binascii.Error, SyntaxError) as error:
        raise ValueError("The mask in this graph cannot be read.") from error
    if has_alpha:
        parts = np.asarray(picture).astype(np.uint16)
        plane = (np.asarray(picture.convert("L")).astype(np.uint16) * parts[:, :, 3] // 255).astype(np.uint8)
        picture = Image.fromarray(plane)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(picture).copy()


def layers_of(painting: Painting, value: str) -> dict[str, Any] | None:
    """The layers as plain data for a graph; None when the value alone says it all.

    Raises:
        ValueError: They would not fit into a graph file.
    """
    first = painting.layers[0]
    is_plain = len(painting.layers) == 1 and first.visible and first.role == "add"
    if is_plain and not painting.grow and not painting.feather and painting.density == 1:
        return None
    layers = [{"name": one.name, "role": one.role, "visible": one.visible, "color": one.color, "plane": encode(one.plane)} for one in painting.layers]
    if sum(len(layer["plane"]) for layer in layers) > MAX_LAYERS:
        raise ValueError("The layers of this mask are too detailed to be kept in a graph; the mask itself is kept.")
    return {"of": fingerprint(value), "grow": painting.grow, "feather": painting.feather, "density": painting.density, "layers": layers}


def painting_of(value: str, told: object, width: int, height: int) -> Painting:
    """The painting to go on with: its layers where they make this value, else the value as one layer.

    Raises:
        ValueError: The value is no picture.
    """
    if isinstance(told, Mapping) and told.get("of") == fingerprint(value):
        try:
            return _with_layers(told, width, height)
        except (ValueError, TypeError, KeyError):
            pass  # a file from elsewhere may hold anything there; the mask itself is good
    painting = Painting(width, height)
    painting.layers[0].plane[...] = decode(value, width, height)
    return painting


def _with_layers(told: Mapping[str, Any], width: int, height: int) -> Painting:
    layers = []
    for one in told["layers"][:MOST_LAYERS]:
        name, role = str(one["name"])[:NAME], one["role"]
        if role not in ("add", "subtract"):
            raise ValueError(role)
        layers.append(Layer(name, decode(str(one["plane"]), width, height), role, bool(one["visible"]), int(one["color"]) % 16))
    if not layers:
        raise ValueError("no layers")
    grow, feather, density = int(told["grow"]), int(told["feather"]), float(told["density"])
    return Painting(width, height, layers, len(layers) - 1, min(64, max(-64, grow)), min(128, max(0, feather)), min(1.0, max(0.0, density)))


def fingerprint(value: str) -> str:
    """What says that layers belong to a value."""
    return xxhash.xxh3_64_hexdigest(value.encode("utf-8", "surrogatepass"))


def with_mask(graph: Graph, node_id: str, name: str, value: str, layers: dict[str, Any] | None) -> Graph:
    """The graph with a painted mask in it, and its layers beside it."""
    extra = dict(graph.nodes[node_id].extra)
    kept = dict(extra[KEY]) if isinstance(extra.get(KEY), Mapping) else {}
    kept.pop(name, None)
    if layers is not None:
        kept[name] = layers
    if kept:
        extra[KEY] = kept
    else:
        extra.pop(KEY, None)
    return graph.with_value(node_id, name, value).changed(node_id, extra=extra)


def told_layers(graph: Graph, node_id: str, name: str) -> object:
    """What a node carries of the layers of one of its masks, unchecked; for `painting_of`."""
    kept = graph.nodes[node_id].extra.get(KEY)
    return kept.get(name) if isinstance(kept, Mapping) else None
