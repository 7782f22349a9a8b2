"""Pictures resized, cut, joined, blended and corrected."""

from typing import Annotated, Literal, NamedTuple

from nodegraph.errors import GraphError
from nodegraph.node import Advanced, Color, Randomize, Range, Unit, node
from nodes.types import Image, Mask

Side = Annotated[int, Range(1, 16384), Unit("px")]
SideOrFree = Annotated[int, Range(0, 16384), Unit("px")]
Place = Annotated[int, Range(-16384, 16384), Unit("px")]
Border = Annotated[int, Range(0, 16384, step=8), Unit("px")]
Fraction = Annotated[float, Range(0, 1, step=0.01), Unit("%")]
Seed = Annotated[int, Range(0, 2**64 - 1), Randomize()]
Method = Annotated[Literal["lanczos", "bicubic", "bilinear", "area", "nearest"], Advanced()]
Position = Literal["center", "top", "bottom", "left", "right"]
Multiple = Annotated[int, Range(1, 256), Unit("px"), Advanced()]


class Size(NamedTuple):
    width: int
    height: int
    batch: int


@node("image/size", title="Image size", keywords=("width", "height", "dimensions", "resolution", "count"))
def image_size(image: Image) -> Size:
    """Tell how wide and high a picture is, and how many there are in the batch."""
    batch, _, height, width = image.pixels.shape
    return Size(width, height, batch)


@node("image/empty", title="Plain image", keywords=("solid", "colour", "color", "blank", "background"))
def plain_image(
    width: Side = 512, height: Side = 512, color: Annotated[str, Color()] = "#000000", batch: Annotated[int, Range(1, 4096)] = 1
) -> Image:
    """A picture of one colour.

    Args:
        width: In pixels.
        height: In pixels.
        color: As #rrggbb.
        batch: How many of them.
    """
    from nodes.pictures.limits import check_size, hex_color

    check_size(width, height, batch)
    return Image(hex_color(color).expand(batch, 3, height, width).clone())


# -- size


@node("image/resize", title="Resize image", keywords=("scale", "size", "fit", "fill", "stretch", "letterbox"))
def resize_image(
    image: Image,
    width: SideOrFree = 512,
    height: SideOrFree = 512,
    proportions: Literal["crop", "fit", "pad", "stretch"] = "crop",
    position: Position = "center",
    method: Method = "lanczos",
    multiple_of: Multiple = 1,
    background: Annotated[str, Color(), Advanced()] = "#000000",
) -> Image:
    """Bring a picture to a size.

    Args:
        width: In pixels. 0 takes what follows from the height and the picture's proportions.
        height: In pixels. 0 takes what follows from the width.
        proportions: What to do when the picture is wider or narrower. "crop" fills the size and cuts off the rest, "fit" stays inside
            it and may be smaller, "pad" adds bars, "stretch" squeezes.
        position: Which part stays when it is cut, or where it stands between bars.
        method: The filter. Lanczos is the sharpest, area the calmest for making small, nearest keeps hard pixels.
        multiple_of: Both sides become multiples of this, the nearest ones. Models want 8, some 16 or 64.
        background: Colour of the bars.
    """
    from nodes.pictures.limits import hex_color
    from nodes.pictures.resize import contained, reframed, rounded

    h, w = image.pixels.shape[-2:]
    if not width or not height:
        width, height = contained(w, h, width, height)
    if proportions == "fit":
        width, height = contained(w, h, width, height)
        proportions = "crop" if multiple_of > 1 else "stretch"  # rounding may ask for a pixel row less or more
    width, height = rounded(width, multiple_of), rounded(height, multiple_of)
    return Image(reframed(image.pixels, width, height, proportions, method, position, hex_color(background)))


@node("image/scale", title="Scale image", keywords=("upscale", "downscale", "factor", "enlarge", "double"))
def scale_image(
    image: Image,
    factor: Annotated[float, Range(0.01, 16, step=0.25, log=True)] = 2.0,
    method: Method = "lanczos",
    multiple_of: Multiple = 1,
) -> Image:
    """Make a picture so many times as large on each side.

    Args:
        factor: 2 doubles width and height, 0.5 halves them.
        method: The filter. Lanczos is the sharpest, nearest keeps hard pixels.
        multiple_of: Both sides become multiples of this. Models want 8.
    """
    from nodes.pictures.resize import resized, rounded

    h, w = image.pixels.shape[-2:]
    return Image(resized(image.pixels, rounded(w * factor, multiple_of), rounded(h * factor, multiple_of), method))


@node("image/scale-to-megapixels", title="Scale to megapixels", keywords=("total pixels", "area", "resize"))
def scale_to_megapixels(
    image: Image, megapixels: Annotated[float, Range(0.01, 150, step=0.05)] = 1.0, method: Method = "lanczos", multiple_of: Multiple = 8
) -> Image:
    """Give a picture a certain number of pixels and keep its proportions: what a model paints best, whatever the format.

    Args:
        megapixels: In units of 1024 × 1024. 0.25 suits Stable Diffusion 1.x, 1 suits SDXL and newer models.
        method: The filter.
        multiple_of: Both sides become multiples of this.
    """
    from nodes.pictures.resize import resized, rounded

    h, w = image.pixels.shape[-2:]
    factor = (megapixels * 1024 * 1024 / (w * h)) ** 0.5
    return Image(resized(image.pixels, rounded(w * factor, multiple_of), rounded(h * factor, multiple_of), method))


@node("image/scale-to-side", title="Scale to side", keywords=("longest", "shortest", "max dimension", "resize"))
def scale_to_side(
    image: Image,
    side: Literal["longer", "shorter", "width", "height"] = "longer",
    length: Side = 1024,
    enlarge: bool = True,
    method: Method = "lanczos",
    multiple_of: Multiple = 1,
) -> Image:
    """Give one side of a picture a length; the other one follows.

    Args:
        side: Which one.
        length: In pixels.
        enlarge: Off leaves pictures that are smaller as they are.
        method: The filter.
        multiple_of: Both sides become multiples of this. Models want 8.
    """
    from nodes.pictures.resize import resized, rounded

    h, w = image.pixels.shape[-2:]
    factor = length / {"longer": max(w, h), "shorter": min(w, h), "width": w, "height": h}[side]
    if factor > 1 and not enlarge:
        factor = 1.0
    return Image(resized(image.pixels, rounded(w * factor, multiple_of), rounded(h * factor, multiple_of), method))


@node("image/resize-for-model", title="Resize for model", keywords=("bucket", "kontext", "sdxl", "qwen", "trained resolution"))
def resize_for_model(image: Image, model: Literal["SDXL", "FLUX Kontext", "Qwen-Image"] = "SDXL", method: Method = "lanczos") -> Image:
    """Bring a picture to the nearest of the sizes a model was trained on, cutting off what is over.

    Args:
        model: Whose sizes to take.
        method: The filter.
    """
    from nodes.pictures.resize import reframed, trained_size

    h, w = image.pixels.shape[-2:]
    return Image(reframed(image.pixels, *trained_size(w, h, model), "crop", method))


# -- cut, turn, extend


@node("image/crop", title="Crop image", keywords=("cut", "window", "region"))
def crop_image(image: Image, x: SideOrFree = 0, y: SideOrFree = 0, width: Side = 512, height: Side = 512) -> Image:
    """Cut a window out of a picture.

    Args:
        x: Left edge of the window, counted from the left.
        y: Top edge of the window, counted from the top.
        width: Of the window.
        height: Of the window.
    """
    from nodes.pictures.resize import cropped

    return Image(cropped(image.pixels, x, y, width, height))


class Detail(NamedTuple):
    image: Image
    mask: Mask
    x: int
    y: int
    width: int
    height: int


@node("image/crop-to-mask", title="Crop to mask", keywords=("detailer", "face", "zoom", "inpaint only masked", "region"))
def crop_to_mask(
    image: Image,
    mask: Mask,
    margin: Annotated[int, Range(0, 4096), Unit("px")] = 32,
    multiple_of: Annotated[int, Range(1, 256), Unit("px"), Advanced()] = 8,
    square: bool = False,
) -> Detail:
    """Cut out what a mask marks, with some of its surroundings, to work on it at full resolution.

    Enlarge the piece, repaint it, and lay it back with 'Composite image' at the x, y, width and height that come out here.

    Args:
        mask: What to cut out; one window holds the masks of all pictures of a batch.
        margin: How much of the surroundings to take along on each side. The model needs some to fit light and style.
        multiple_of: Both sides become multiples of this where the picture has room.
        square: Make the window square where the picture has room.
    """
    from nodes.pictures.limits import fitted_mask
    from nodes.pictures.masks import bounds
    from nodes.pictures.resize import cropped

    h, w = image.pixels.shape[-2:]
    values = fitted_mask(mask.values, h, w, len(image.pixels))
    found = bounds(values)
    if found is None:
        raise GraphError("The mask is empty, so there is nothing to cut out. Paint something, or take another mask.", input="mask")
    left, top, width, height = found
    wish_w, wish_h = width + 2 * margin, height + 2 * margin
    if square:
        wish_w = wish_h = max(wish_w, wish_h)
    x, wide = _span(left + width / 2, wish_w, multiple_of, w)
    y, high = _span(top + height / 2, wish_h, multiple_of, h)
    return Detail(Image(cropped(image.pixels, x, y, wide, high)), Mask(cropped(values, x, y, wide, high)), x, y, wide, high)


def _span(middle: float, wish: int, multiple: int, limit: int) -> tuple[int, int]:
    """(start, length) of at least `wish` about `middle`, a multiple if there is room, inside 0..limit."""
    length = min(-(-wish // multiple) * multiple, limit // multiple * multiple or limit)
    if length < wish:
        length = min(wish, limit)
    return max(0, min(round(middle - length / 2), limit - length)), length


class Outpaint(NamedTuple):
    image: Image
    mask: Mask


@node("image/pad-for-outpaint", title="Pad for outpainting", keywords=("extend", "expand", "uncrop", "border", "canvas"))
def pad_for_outpaint(
    image: Image,
    left: Border = 0,
    top: Border = 0,
    right: Border = 0,
    bottom: Border = 0,
    feather: Annotated[int, Range(0, 4096), Unit("px")] = 40,
    fill: Literal["edge", "mirror", "grey", "noise"] = "edge",
    seed: Annotated[int, Range(0, 2**64 - 1), Advanced()] = 0,
) -> Outpaint:
    """Add empty canvas around a picture, with the mask that tells a sampler to paint there.

    Args:
        left: How much to add on the left. 128 or 256 at a time works best.
        top: How much to add above.
        right: How much to add on the right.
        bottom: How much to add below.
        feather: How far the new part may reach into the old picture, so that no seam is seen. 40 is usual.
        fill: What the canvas holds before it is painted: the picture's edge drawn out, the picture mirrored, plain grey, or noise.
            It shows through when you sample with less than full strength.
        seed: Of the noise.
    """
    import torch

    from nodes.pictures.limits import check_size
    from nodes.pictures.pads import outpaint_mask, padded

    batch, _, h, w = image.pixels.shape
    check_size(w + left + right, h + top + bottom, batch)
    generator = torch.Generator().manual_seed(seed)
    pixels = padded(image.pixels, left, top, right, bottom, fill, generator)
    return Outpaint(Image(pixels), Mask(outpaint_mask(h, w, left, top, right, bottom, feather)))


@node("image/flip", title="Flip image", keywords=("mirror",))
def flip_image(image: Image, direction: Literal["left to right", "upside down"] = "left to right") -> Image:
    """Mirror a picture.

    Args:
        direction: Which sides to swap.
    """
    return Image(image.pixels.flip(-1 if direction == "left to right" else -2))


@node("image/rotate", title="Rotate image", keywords=("turn", "straighten"))
def rotate_image(
    image: Image,
    angle: Annotated[float, Range(-360, 360, step=1), Unit("°")] = 90.0,
    background: Annotated[str, Color(), Advanced()] = "#000000",
) -> Image:
    """Turn a picture clockwise. The canvas grows so that nothing is cut off.

    Args:
        angle: In degrees; negative turns the other way. Quarter turns keep every pixel as it is.
        background: Colour of the corners that come free.
    """
    from nodes.pictures.limits import hex_color
    from nodes.pictures.pads import rotated

    return Image(rotated(image.pixels, angle, hex_color(background)))


# -- together


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
        cover = fitted_mask(values, h, w, len(source))
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
        share = opacity * fitted_mask(mask.values, *below.shape[-2:], batch=len(below))
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


# -- light and colour


@node("image/invert", title="Invert image", keywords=("negative",))
def invert_image(image: Image) -> Image:
    """Swap light and dark, and each colour with its opposite."""
    return Image(1 - image.pixels)


@node(
    "image/adjust",
    title="Adjust image",
    keywords=("brightness", "contrast", "saturation", "hue", "gamma", "temperature", "colour correction"),
)
def adjust_image(
    image: Image,
    brightness: Annotated[float, Range(-1, 1, step=0.01), Unit("%")] = 0.0,
    contrast: Annotated[float, Range(0, 4, step=0.01)] = 1.0,
    gamma: Annotated[float, Range(0.1, 10, step=0.01, log=True)] = 1.0,
    saturation: Annotated[float, Range(0, 4, step=0.01)] = 1.0,
    hue: Annotated[float, Range(-180, 180, step=1), Unit("°")] = 0.0,
    warmth: Annotated[float, Range(-1, 1, step=0.01), Unit("%")] = 0.0,
    mask: Mask | None = None,
) -> Image:
    """Correct light and colour. With every knob at its first value nothing changes.

    Args:
        brightness: Added to every pixel.
        contrast: 1 leaves it, 1.2 is livelier, 0 is flat grey.
        gamma: Lifts the middle tones above 1 and lowers them below; black and white stay.
        saturation: 0 is black and white, 1 leaves it, 1.3 is strong.
        hue: Turns all colours around the colour circle.
        warmth: Towards yellow light, or with negative values towards blue.
        mask: Where to change something; everywhere without it.
    """
    import torch

    from nodes.pictures.filters import adjusted
    from nodes.pictures.limits import fitted_mask

    made = adjusted(image.pixels, brightness, contrast, gamma, saturation, hue, warmth)
    if mask is not None:
        made = torch.lerp(image.pixels, made, fitted_mask(mask.values, *made.shape[-2:], batch=len(made)).expand_as(made))
    return Image(made)


@node("image/levels", title="Levels", keywords=("black point", "white point", "curve", "tone"))
def levels(
    image: Image,
    black: Fraction = 0.0,
    white: Fraction = 1.0,
    middle: Annotated[float, Range(0.1, 10, step=0.01, log=True)] = 1.0,
    automatic: bool = False,
) -> Image:
    """Stretch the shades of a picture between black and white.

    Args:
        black: What becomes black.
        white: What becomes white.
        middle: Above 1 the shades between become lighter, below 1 darker.
        automatic: Find black and white in each picture, leaving out its darkest and lightest half percent.
    """
    import torch

    from nodes.pictures.filters import leveled, luma

    if not automatic:
        if white <= black:
            raise GraphError("'white' must be above 'black'. To swap light and dark, use 'Invert image'.", input="white")
        return Image(leveled(image.pixels, black, white, middle))
    made = []
    for picture in image.pixels:
        shades = luma(picture[None]).flatten().sort().values
        low, high = (float(shades[round(share * (len(shades) - 1))]) for share in (0.005, 0.995))
        made.append(leveled(picture, low, max(high, low + 1 / 255), middle))
    return Image(torch.stack(made))


@node("image/match-colors", title="Match colours", keywords=("color match", "transfer", "grading", "harmonize", "style"))
def match_colors(image: Image, reference: Image, way: Literal["spread", "histogram"] = "spread", strength: Fraction = 1.0) -> Image:
    """Give a picture the colours of another one, for example a repainted part those of the photo around it.

    Args:
        reference: The picture whose colours are wanted; of any size.
        way: "spread" takes over the mean tone and contrast and is gentle, "histogram" every single shade.
        strength: How far to go.
    """
    from nodes.pictures.filters import matched
    from nodes.pictures.limits import paired

    if len(image.pixels) > 1 or len(reference.pixels) == 1:
        a, b = paired(image.pixels, reference.pixels, "image", "reference")
    else:
        raise GraphError(
            "There are several pictures at 'reference' for one image. Choose one of them with 'Images from batch'.", input="reference"
        )
    return Image(matched(a, b, way, strength))


@node("image/blur", title="Blur image", keywords=("gaussian", "soften", "box"))
def blur_image(
    image: Image,
    radius: Annotated[float, Range(0, 512, step=0.5), Unit("px")] = 4.0,
    kind: Annotated[Literal["gaussian", "box"], Advanced()] = "gaussian",
    mask: Mask | None = None,
) -> Image:
    """Make a picture soft.

    Args:
        radius: How far each point spreads (for Gaussian blur its standard deviation).
        kind: Gaussian is smooth in all directions; box is the plain mean of a square, in whole pixels.
        mask: Where to blur; everywhere without it.
    """
    import torch

    from nodes.pictures.filters import box_blurred
    from nodes.pictures.limits import fitted_mask
    from nodes.pictures.masks import blurred

    made = blurred(image.pixels, radius) if kind == "gaussian" else box_blurred(image.pixels, round(radius))
    if mask is not None:
        made = torch.lerp(image.pixels, made, fitted_mask(mask.values, *made.shape[-2:], batch=len(made)).expand_as(made))
    return Image(made)


@node("image/sharpen", title="Sharpen image", keywords=("unsharp mask", "crisp", "detail"))
def sharpen_image(
    image: Image,
    amount: Annotated[float, Range(0, 10, step=0.05)] = 0.5,
    radius: Annotated[float, Range(0.1, 64, step=0.1), Unit("px")] = 1.0,
    threshold: Annotated[float, Range(0, 1, step=0.005), Advanced()] = 0.0,
) -> Image:
    """Bring out fine detail (unsharp mask).

    Args:
        amount: 0.5 is gentle, 1.5 strong.
        radius: Size of the details: 1 for crisp edges, 20 with a small amount for more depth.
        threshold: Smaller differences stay as they are, so that noise is not sharpened too.
    """
    from nodes.pictures.filters import sharpened

    return Image(sharpened(image.pixels, radius, amount, threshold))


@node("image/grain", title="Film grain", keywords=("noise", "analog", "texture"))
def film_grain(
    image: Image,
    strength: Annotated[float, Range(0, 1, step=0.01)] = 0.06,
    size: Annotated[float, Range(1, 16, step=0.5), Unit("px")] = 1.5,
    color: Fraction = 0.2,
    seed: Seed = 0,
) -> Image:
    """Lay film grain over a picture. It takes the plastic look from smooth skin and skies.

    Args:
        strength: 0.03 is a fine film, 0.15 a coarse one.
        size: Of a grain.
        color: 0 % is black-and-white grain, 100 % grain of all colours.
        seed: Another number gives another grain.
    """
    import torch

    from nodes.pictures.filters import grained

    return Image(grained(image.pixels, strength, size, color, torch.Generator().manual_seed(seed)))
