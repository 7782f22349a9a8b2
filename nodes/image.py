"""Pictures made, resized, cut, turned and extended."""

from typing import Annotated, Literal, NamedTuple

from nodegraph.errors import GraphError
from nodegraph.node import Advanced, Color, Range, Unit, node
from nodes.types import Image, Mask

Side = Annotated[int, Range(1, 16384), Unit("px")]
SideOrFree = Annotated[int, Range(0, 16384), Unit("px")]
Place = Annotated[int, Range(-16384, 16384), Unit("px")]
Border = Annotated[int, Range(0, 16384, step=8), Unit("px")]
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
    values = fitted_mask(mask.values, (h, w), len(image.pixels))
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
