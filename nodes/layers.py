"""Pictures laid over and beside each other, gathered into batches, and cut into tiles."""

from typing import Annotated, Literal, NamedTuple

from nodegraph.errors import GraphError
from nodegraph.node import Advanced, Color, Range, Unit, node
from nodes.image import Method, Place, SideOrFree
from nodes.types import Image, Mask

Fraction = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


@node("image/composite", title="Composite image", keywords=("paste", "overlay", "layer", "mask", "put back"))
def composite_image(
    background: Image,
    image: Image,
    mask: Mask | None = None,
    x: Place = 0,
    y: Place = 0,
    width: SideOrFree = 0,
    height: SideOrFree = 0,
    opacity: Fraction = 1.0,
    method: Method = "lanczos",
) -> Image:
    """Lay a picture over another one. What reaches out of the background is cut off.

    Args:
        background: The picture below; it gives the size.
        image: The picture to lay on it.
        mask: Where it is seen: 1 = fully. Of the size of the picture, or of the background.
        x: Left edge of the picture on the background.
        y: Top edge of the picture on the background.
        width: To scale it before: its new width. 0 keeps its own.
        height: To scale it before: its new height. 0 keeps its own.
        opacity: How much of the background shows through.
        method: The filter for scaling.
    """
    from nodes.pictures.limits import fitted_mask, paired
    from nodes.pictures.pads import pasted
    from nodes.pictures.resize import contained, resized

    source = image.pixels
    h, w = source.shape[-2:]
    if width or height:
        size = (width, height) if width and height else contained(w, h, width, height)
        source = resized(source, *size, method)
        h, w = source.shape[-2:]
    base, source = paired(background.pixels, source, "background", "image")
    cover = None
    if mask is not None:
        values = mask.values
        if values.shape[-2:] == base.shape[-2:] != (h, w):  # drawn on the background: take what lies under the picture
            values = pasted(values.new_zeros(len(values), 1, h, w), values, None, -x, -y)
        cover = fitted_mask(values, (h, w), len(source))
    return Image(pasted(base, source, cover, x, y, opacity))


@node("image/blend", title="Blend images", keywords=("mix", "multiply", "screen", "overlay", "opacity", "layer"))
def blend_images(
    bottom: Image,
    top: Image,
    mode: Literal[
        "normal", "multiply", "screen", "overlay", "soft light", "hard light", "darken", "lighten", "difference", "exclusion",
        "add", "subtract", "dodge", "burn", "color", "luminosity",
    ] = "normal",
    opacity: Fraction = 0.5,
    mask: Mask | None = None,
) -> Image:  # fmt: skip
    """Mix two pictures of one size, as layers in a paint program do.

    Args:
        bottom: The layer below.
        top: The layer above.
        mode: How the layers meet. "multiply" darkens, "screen" lightens, "overlay" adds contrast, "color" takes only the colours.
        opacity: How much the upper layer counts: 0 % is the lower one, 100 % the full effect.
        mask: Where it counts at all.
    """
    import torch

    from nodes.pictures.filters import blended
    from nodes.pictures.limits import fitted_mask, paired, same_size

    same_size(bottom.pixels, top.pixels, "bottom", "top")
    below, above = paired(bottom.pixels, top.pixels, "bottom", "top")
    share = torch.tensor(opacity)
    if mask is not None:
        share = opacity * fitted_mask(mask.values, below.shape[-2:], len(below))
    return Image(torch.lerp(below, blended(below, above, mode), share.expand(len(below), *below.shape[1:]) if share.ndim else share))


@node("image/batch", title="Batch images", keywords=("combine", "join", "list to batch", "merge"))
def batch_images(
    images: list[Image], proportions: Literal["crop", "pad", "stretch", "must match"] = "crop", method: Method = "lanczos"
) -> Image:
    """Put several pictures into one batch, so that what follows treats them together. Connect as many as you like.

    Args:
        images: Pictures, batches of them, or a list.
        proportions: Those that differ in size are brought to the size of the first one: cut, padded with black, or squeezed;
            or refused.
        method: The filter for that.
    """
    import torch

    from nodes.pictures.limits import check_size
    from nodes.pictures.resize import reframed

    if not images:
        raise GraphError("There is no picture to put into a batch. Connect at least one.", input="images")
    height, width = images[0].pixels.shape[-2:]
    check_size(width, height, sum(len(image.pixels) for image in images))
    made = []
    for number, image in enumerate(images, 1):
        h, w = image.pixels.shape[-2:]
        if (h, w) != (height, width) and proportions == "must match":
            raise GraphError(
                f"Picture {number} is {w} × {h}, the first one {width} × {height}. Resize it, or let it be cut.", input="images"
            )
        made.append(reframed(image.pixels, width, height, "stretch" if proportions == "must match" else proportions, method))
    return Image(torch.cat(made))


@node("image/from-batch", title="Images from batch", keywords=("pick", "select", "index", "slice"))
def images_from_batch(image: Image, first: Annotated[int, Range(-4096, 4096)] = 0, count: Annotated[int, Range(1, 4096)] = 1) -> Image:
    """Take some pictures out of a batch.

    Args:
        first: Number of the first one, counted from 0. Negative counts from the end: -1 is the last.
        count: How many to take.
    """
    from nodes.pictures.pads import batch_slice

    return Image(image.pixels[batch_slice(len(image.pixels), first, count)])


@node("image/to-list", title="Batch to list", keywords=("split", "for each", "unbatch", "loop"))
def batch_to_list(image: Image) -> list[Image]:
    """Take a batch apart: what follows runs once for each picture. 'Batch images' puts them together again."""
    return [Image(picture[None].clone()) for picture in image.pixels]


@node("image/stitch", title="Stitch images", keywords=("side by side", "concatenate", "row", "column", "join"))
def stitch_images(
    first: Image,
    second: Image,
    direction: Literal["right", "below", "left", "above"] = "right",
    match_size: bool = True,
    gap: Annotated[int, Range(0, 1024), Unit("px")] = 0,
    color: Annotated[str, Color(), Advanced()] = "#ffffff",
) -> Image:
    """Set two pictures side by side or one above the other.

    Args:
        direction: Where the second one goes.
        match_size: Scale the second one so that the touching sides are equally long. Otherwise it stands centred.
        gap: Space between them.
        color: Of the gap and of what stays free.
    """
    from nodes.pictures.limits import hex_color, paired
    from nodes.pictures.pads import stitched
    from nodes.pictures.resize import contained, resized

    a, b = paired(first.pixels, second.pixels, "first", "second")
    beside = direction in ("right", "left")
    if match_size:
        limit = (0, a.shape[-2]) if beside else (a.shape[-1], 0)
        b = resized(b, *contained(b.shape[-1], b.shape[-2], *limit))
    pair = [a, b] if direction in ("right", "below") else [b, a]
    return Image(stitched(pair, beside, gap, hex_color(color)))


@node("image/grid", title="Image grid", keywords=("contact sheet", "overview", "montage", "xy", "collage"))
def image_grid(
    images: list[Image],
    columns: Annotated[int, Range(0, 256)] = 0,
    gap: Annotated[int, Range(0, 256), Unit("px")] = 8,
    labels: list[str] | None = None,
    color: Annotated[str, Color()] = "#ffffff",
    text_size: Annotated[int, Range(6, 256), Unit("px"), Advanced()] = 20,
) -> Image:
    """Lay all pictures out on one sheet, row by row, to compare them at a glance.

    Args:
        images: Pictures, batches, or a list. Those that differ in size stand centred in their field.
        columns: How many side by side. 0 makes the sheet about square.
        gap: Space between the pictures.
        labels: What to write under each picture, in the same order.
        color: Of the sheet.
        text_size: Height of the labels.
    """
    import torch

    from nodes.pictures.limits import hex_color
    from nodes.pictures.pads import labelled, sheet

    pictures = [picture for image in images for picture in image.pixels]
    if not pictures:
        raise GraphError("There is no picture for the grid. Connect at least one.", input="images")
    ground = hex_color(color)
    if labels:
        if len(labels) != len(pictures):
            raise GraphError(
                f"There are {len(labels)} labels for {len(pictures)} pictures. Give one label for each, or none.", input="labels"
            )
        pictures = [labelled(picture, text, text_size, ground) for picture, text in zip(pictures, labels, strict=True)]
    return Image(sheet(pictures, columns, gap, ground)[None].to(torch.float32))


class Tiles(NamedTuple):
    tiles: list[Image]
    columns: int
    rows: int


@node("image/split-tiles", title="Split into tiles", keywords=("tiled upscale", "ultimate upscale", "pieces", "for each"))
def split_into_tiles(
    image: Image,
    tile: Annotated[int, Range(64, 8192, step=64), Unit("px")] = 512,
    overlap: Annotated[int, Range(0, 2048, step=8), Unit("px")] = 64,
) -> Tiles:
    """Cut a large picture into overlapping tiles: what follows runs once for each, at the size a model paints best.

    'Join tiles' puts them together again without a seam.

    Args:
        tile: Side of a tile. What the model was trained on is best: 512 for Stable Diffusion 1.x, 1024 for SDXL.
        overlap: How much neighbours share. 64 hides seams well; more for strong changes.
    """
    from nodes.pictures.filters import tile_places

    _check_overlap(tile, overlap)
    h, w = image.pixels.shape[-2:]
    columns, rows = tile_places(w, tile, overlap), tile_places(h, tile, overlap)
    tiles = [Image(image.pixels[..., y : y + tile, x : x + tile].clone()) for y in rows for x in columns]
    return Tiles(tiles, len(columns), len(rows))


@node("image/join-tiles", title="Join tiles", keywords=("tiled upscale", "merge", "seamless"))
def join_tiles(
    tiles: list[Image],
    original: Image,
    tile: Annotated[int, Range(64, 8192, step=64), Unit("px")] = 512,
    overlap: Annotated[int, Range(0, 2048, step=8), Unit("px")] = 64,
) -> Image:
    """Put the tiles of 'Split into tiles' together again. If they were enlarged on the way, the whole becomes larger.

    Args:
        tiles: In the order in which they were split.
        original: The picture that was split.
        tile: As in 'Split into tiles'.
        overlap: As in 'Split into tiles'.
    """
    from nodes.pictures.filters import joined_tiles, tile_places
    from nodes.pictures.limits import check_size

    _check_overlap(tile, overlap)
    h, w = original.pixels.shape[-2:]
    places = [(x, y) for y in tile_places(h, tile, overlap) for x in tile_places(w, tile, overlap)]
    if len(tiles) != len(places):
        raise GraphError(
            f"There are {len(tiles)} tiles; a picture of {w} × {h} was split into {len(places)}. Set tile and overlap as in 'Split into tiles'.",
            input="tiles",
        )
    wide, high = min(tile, w), min(tile, h)
    factor = tiles[0].pixels.shape[-1] / wide
    for number, piece in enumerate(tiles, 1):
        size = piece.pixels.shape[-1], piece.pixels.shape[-2]
        if size != (round(wide * factor), round(high * factor)):
            raise GraphError(
                f"Tile {number} is {size[0]} × {size[1]}, not {round(wide * factor)} × {round(high * factor)}. All must grow alike.",
                input="tiles",
            )
    scaled = [(round(x * factor), round(y * factor)) for x, y in places]
    check_size(round(w * factor), round(h * factor), len(tiles[0].pixels))
    return Image(
        joined_tiles([piece.pixels for piece in tiles], scaled, round(w * factor), round(h * factor), max(1, round(overlap * factor)))
    )


def _check_overlap(tile: int, overlap: int) -> None:
    if overlap * 2 > tile:
        raise GraphError(
            f"An overlap of {overlap} is more than half of a tile of {tile}. Make it smaller, or the tiles larger.", input="overlap"
        )
