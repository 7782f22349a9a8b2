"""Masks: painted, drawn as shapes, taken from pictures, grown, softened and joined. 1 means repaint, 0 keep."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from nodegraph.errors import GraphError
from nodegraph.folders import IMAGE_SUFFIXES
from nodegraph.node import HEADLESS, Advanced, Color, Context, Drawing, File, Range, Unit, node
from nodes.types import Image, Mask

Side = Annotated[int, Range(1, 16384), Unit("px")]
SideOrFree = Annotated[int, Range(0, 16384), Unit("px")]
Place = Annotated[int, Range(-16384, 16384), Unit("px")]
Fraction = Annotated[float, Range(0, 1, step=0.01), Unit("%")]
Angle = Annotated[float, Range(-360, 360, step=1), Unit("°"), Advanced()]


# -- made from nothing


@node("mask/paint", title="Paint mask", keywords=("draw", "brush", "inpaint", "mask editor", "hand"))
def paint_mask(drawing: Annotated[str, Drawing()] = "", image: Image | None = None) -> Mask:
    """A mask painted by hand: open the editor, paint where something shall change.

    Args:
        drawing: What was painted: white is repainted, black or transparent stays.
        image: The picture to paint on. It gives the mask its size.
    """
    import torch

    from nodes.pictures.limits import fitted_mask
    from nodes.pictures.masks import from_drawing

    if not drawing:
        if image is None:
            raise GraphError(
                "Nothing is painted yet. Open the mask editor and paint, or connect a picture for an empty mask.", input="drawing"
            )
        return Mask(torch.zeros(1, 1, *image.pixels.shape[-2:]))
    values = from_drawing(drawing)
    return Mask(values if image is None else fitted_mask(values, image.pixels.shape[-2:], None, "drawing"))


@node("mask/solid", title="Plain mask", keywords=("full", "empty", "constant", "fill"))
def plain_mask(width: Side = 512, height: Side = 512, value: Fraction = 1.0) -> Mask:
    """A mask with one value everywhere.

    Args:
        width: In pixels, as the picture.
        height: In pixels, as the picture.
        value: 100 % repaints everything, 0 % nothing.
    """
    import torch

    from nodes.pictures.limits import check_size

    check_size(width, height, channels=1)
    return Mask(torch.full((1, 1, height, width), value))


@node("mask/shape", title="Shape mask", keywords=("rectangle", "ellipse", "circle", "box", "area"))
def shape_mask(
    shape: Literal["rectangle", "ellipse"] = "rectangle",
    width: Side = 512,
    height: Side = 512,
    x: Place = 128,
    y: Place = 128,
    shape_width: Side = 256,
    shape_height: Side = 256,
    corner: Annotated[int, Range(0, 8192), Unit("px"), Advanced()] = 0,
    angle: Angle = 0.0,
    image: Image | None = None,
) -> Mask:
    """A rectangle or an ellipse as a mask.

    Args:
        shape: Which of the two.
        width: Of the whole mask.
        height: Of the whole mask.
        x: Left edge of the shape.
        y: Top edge of the shape.
        shape_width: Of the shape.
        shape_height: Of the shape.
        corner: Radius of rounded corners.
        angle: Turns the shape clockwise about its middle.
        image: Takes the size of the whole mask from a picture.
    """
    from nodes.pictures.limits import check_size
    from nodes.pictures.masks import ellipse, rectangle

    if image is not None:
        height, width = image.pixels.shape[-2:]
    check_size(width, height, channels=1, copies=6)
    if shape == "ellipse":
        return Mask(ellipse(width, height, x, y, shape_width, shape_height, angle))
    return Mask(rectangle(width, height, x, y, shape_width, shape_height, angle, corner))


@node("mask/gradient", title="Gradient mask", keywords=("ramp", "fade", "linear", "radial", "vignette"))
def gradient_mask(
    kind: Literal["linear", "radial"] = "linear",
    width: Side = 512,
    height: Side = 512,
    start: Annotated[float, Range(-1, 2, step=0.01), Unit("%")] = 0.0,
    end: Annotated[float, Range(-1, 2, step=0.01), Unit("%")] = 1.0,
    angle: Annotated[float, Range(-360, 360, step=1), Unit("°")] = 0.0,
    image: Image | None = None,
) -> Mask:
    """A mask that changes smoothly, to let an effect fade in across the picture.

    Args:
        kind: "linear" from one side to the other, "radial" from the middle to the corners.
        width: In pixels, as the picture.
        height: In pixels, as the picture.
        start: Where it begins to rise from 0.
        end: Where it reaches 1. With an end before the start it falls.
        angle: Of a linear one: 0 rises to the right, 90 downwards.
        image: Takes the size from a picture.
    """
    from nodes.pictures.limits import check_size
    from nodes.pictures.masks import gradient

    if image is not None:
        height, width = image.pixels.shape[-2:]
    check_size(width, height, channels=1, copies=6)
    return Mask(gradient(width, height, kind, start, end, angle))


# -- from pictures


@node("mask/load", title="Load mask", keywords=("open", "file", "channel", "alpha"))
def load_mask(
    file: Annotated[Path, File("input", IMAGE_SUFFIXES)],
    channel: Literal["alpha", "brightness", "red", "green", "blue"] = "brightness",
    invert: bool = False,
) -> Mask:
    """Bring in a mask from a picture file.

    Args:
        file: The picture.
        channel: What to take: how bright it is, one of its colours, or what is transparent (1 = nothing is seen).
        invert: Swap what is repainted and what is kept.
    """
    import torch

    from nodes.pictures.files import read
    from nodes.pictures.filters import luma

    pixels, alpha = read(file)
    if channel == "alpha":
        values = torch.zeros_like(pixels[:, :1]) if alpha is None else 1 - alpha
    elif channel == "brightness":
        values = luma(pixels)
    else:
        values = pixels[:, ["red", "green", "blue"].index(channel)][:, None].clone()
    return Mask(1 - values if invert else values)


@node("mask/from-image", title="Mask from image", keywords=("channel", "red", "green", "blue", "luminance", "image to mask"))
def mask_from_image(image: Image, channel: Literal["brightness", "red", "green", "blue", "saturation"] = "brightness") -> Mask:
    """Use a channel of a picture as a mask.

    Args:
        channel: Brightness, one of the colours, or how colourful it is.
    """
    from nodes.pictures.filters import luma

    pixels = image.pixels
    if channel == "brightness":
        return Mask(luma(pixels))
    if channel == "saturation":
        high, low = pixels.amax(1, keepdim=True), pixels.amin(1, keepdim=True)
        return Mask((high - low) / high.clamp_min(1e-6))
    return Mask(pixels[:, ["red", "green", "blue"].index(channel)][:, None].clone())


@node("mask/from-color", title="Mask from colour", keywords=("chroma key", "green screen", "select", "pick", "color"))
def mask_from_color(
    image: Image, color: Annotated[str, Color()] = "#00ff00", tolerance: Fraction = 0.15, softness: Fraction = 0.05
) -> Mask:
    """Mark everything that has a certain colour, as in front of a green screen.

    Args:
        color: As #rrggbb.
        tolerance: How different a colour may be and still count. 15 % is near, 40 % generous; black to white is 100 %.
        softness: Over how much more difference the mask fades out.
    """
    from nodes.pictures.limits import hex_color
    from nodes.pictures.masks import from_color

    return Mask(from_color(image.pixels, hex_color(color), tolerance, softness))


@node("mask/from-difference", title="Mask from difference", keywords=("change", "compare", "motion"))
def mask_from_difference(before: Image, after: Image, threshold: Fraction = 0.1, softness: Fraction = 0.05) -> Mask:
    """Mark where two pictures differ.

    Args:
        threshold: How much a colour must have changed to count; black to white is 100 %.
        softness: Over how much more change the mask fades in.
    """
    from nodes.pictures.limits import paired, same_size
    from nodes.pictures.masks import lab

    same_size(before.pixels, after.pixels, "before", "after")
    a, b = paired(before.pixels, after.pixels, "before", "after")
    distance = (lab(a) - lab(b)).norm(dim=1, keepdim=True) / 100
    if softness == 0:
        return Mask((distance > threshold).float())
    return Mask(((distance - threshold) / softness).clamp(0, 1))


# -- changed


@node("mask/invert", title="Invert mask", keywords=("swap", "negative", "inverse"))
def invert_mask(mask: Mask) -> Mask:
    """Swap what is repainted and what is kept."""
    return Mask(1 - mask.values)


@node("mask/grow", title="Grow mask", keywords=("expand", "dilate", "shrink", "erode", "contract"))
def grow_mask(
    mask: Mask,
    pixels: Annotated[int, Range(-1024, 1024), Unit("px")] = 8,
    corners: Annotated[Literal["round", "square", "tapered"], Advanced()] = "round",
) -> Mask:
    """Make a mask larger on all sides, or with negative pixels smaller.

    Args:
        pixels: How far its edge moves. Some 8 to 16 give a model room to blend what it repaints.
        corners: What corners become: round, square, or cut off like a diamond.
    """
    from nodes.pictures.masks import grown

    return Mask(grown(mask.values, pixels, "diamond" if corners == "tapered" else corners))


@node("mask/feather", title="Feather mask", keywords=("soften", "blur", "smooth edge"))
def feather_mask(
    mask: Mask,
    radius: Annotated[float, Range(0, 1024, step=1), Unit("px")] = 16.0,
    side: Literal["both", "inside", "outside"] = "both",
) -> Mask:
    """Give a mask a soft edge, so that no seam is seen.

    Args:
        radius: About how wide the soft edge is on each side. 8 to 32 is usual.
        side: "inside" touches nothing that was outside the mask, "outside" keeps all of the mask at full strength.
    """
    from nodes.pictures.masks import feathered

    return Mask(feathered(mask.values, radius, side))


@node("mask/fade-edges", title="Fade mask at borders", keywords=("feather", "border", "ramp", "vignette"))
def fade_mask_at_borders(mask: Mask, left: SideOrFree = 0, top: SideOrFree = 0, right: SideOrFree = 0, bottom: SideOrFree = 0) -> Mask:
    """Let a mask fade out towards the borders of the picture.

    Args:
        left: Over how many pixels from the left border.
        top: Over how many pixels from the top.
        right: Over how many pixels from the right border.
        bottom: Over how many pixels from the bottom.
    """
    from nodes.pictures.masks import edge_ramps

    h, w = mask.values.shape[-2:]
    return Mask(mask.values * edge_ramps(h, w, left, top, right, bottom))


@node("mask/threshold", title="Threshold mask", keywords=("binary", "hard", "black and white", "contrast"))
def threshold_mask(mask: Mask, threshold: Fraction = 0.5) -> Mask:
    """Make a mask hard: all or nothing.

    Args:
        threshold: What is above becomes 1, the rest 0.
    """
    return Mask((mask.values > threshold).float())


@node("mask/clean", title="Clean mask", keywords=("fill holes", "remove specks", "islands", "noise"))
def clean_mask(
    mask: Mask,
    specks: Annotated[int, Range(0, 1_000_000)] = 64,
    holes: Annotated[int, Range(0, 1_000_000)] = 64,
    fill_all: bool = False,
) -> Mask:
    """Take small islands out of a mask and fill small holes in it.

    Args:
        specks: Islands of fewer pixels go. 0 keeps all.
        holes: Holes of fewer pixels are filled. 0 keeps all.
        fill_all: Fill every hole, whatever its size; what touches the border is not a hole.
    """
    from nodes.pictures.masks import without_holes, without_specks

    values = without_specks(mask.values, specks) if specks else mask.values
    if fill_all:
        values = without_holes(values, 0)
    elif holes:
        values = without_holes(values, holes)
    return Mask(values)


@node("mask/outline", title="Outline of mask", keywords=("edge", "border", "seam", "rim", "stroke"))
def outline_of_mask(
    mask: Mask,
    outside: Annotated[int, Range(0, 512), Unit("px")] = 8,
    inside: Annotated[int, Range(0, 512), Unit("px")] = 8,
) -> Mask:
    """Only the rim of a mask: to repaint the seam around something that was put in.

    Args:
        outside: How far it reaches out.
        inside: How far it reaches in.
    """
    from nodes.pictures.masks import grown

    return Mask((grown(mask.values, outside) - grown(mask.values, -inside)).clamp(0, 1))


@node(
    "mask/combine",
    title="Combine masks",
    keywords=("add", "subtract", "multiply", "union", "intersection", "and", "or", "xor", "composite"),
)
def combine_masks(
    first: Mask,
    second: Mask,
    how: Literal["add", "subtract", "multiply", "lighter", "darker", "difference"] = "lighter",
    x: Place = 0,
    y: Place = 0,
) -> Mask:
    """Join two masks. The result has the size of the first one.

    Args:
        how: "lighter" is where either is (union), "darker" or "multiply" where both are (intersection), "subtract" cuts the second
            out of the first, "difference" is where only one is, "add" adds soft masks up to 1.
        x: Left edge of the second one on the first.
        y: Top edge of the second one on the first.
    """
    import torch

    from nodes.pictures.limits import fitted_mask, paired
    from nodes.pictures.pads import pasted

    a, b = paired(first.values, second.values, "first", "second")
    if x or y:
        b = pasted(torch.zeros_like(a), b, None, x, y)
    else:
        b = fitted_mask(b, a.shape[-2:], len(a), "second")
    made = {
        "add": a + b,
        "subtract": a - b,
        "multiply": a * b,
        "lighter": torch.maximum(a, b),
        "darker": torch.minimum(a, b),
        "difference": (a - b).abs(),
    }[how]
    return Mask(made.clamp(0, 1))


@node("mask/resize", title="Resize mask", keywords=("scale", "fit", "match size"))
def resize_mask(
    mask: Mask,
    width: SideOrFree = 512,
    height: SideOrFree = 512,
    proportions: Literal["stretch", "crop", "pad"] = "stretch",
    hard: Annotated[bool, Advanced()] = False,
    image: Image | None = None,
) -> Mask:
    """Bring a mask to a size.

    Args:
        width: In pixels. 0 takes what follows from the height.
        height: In pixels. 0 takes what follows from the width.
        proportions: "stretch" squeezes it, "crop" fills the size and cuts off the rest, "pad" adds empty bars.
        hard: Keep the edges hard, without values between.
        image: Takes the size from a picture.
    """
    from nodes.pictures.resize import contained, reframed

    if image is not None:
        height, width = image.pixels.shape[-2:]
    elif not width or not height:
        width, height = contained(mask.values.shape[-1], mask.values.shape[-2], width, height)
    return Mask(reframed(mask.values, width, height, proportions, "nearest" if hard else "bilinear"))


@node("mask/crop", title="Crop mask", keywords=("cut", "window", "region"))
def crop_mask(mask: Mask, x: SideOrFree = 0, y: SideOrFree = 0, width: Side = 512, height: Side = 512) -> Mask:
    """Cut a window out of a mask, the same one as 'Crop image' cuts out of the picture.

    Args:
        x: Left edge of the window.
        y: Top edge of the window.
        width: Of the window.
        height: Of the window.
    """
    from nodes.pictures.resize import cropped

    return Mask(cropped(mask.values, x, y, width, height))


@node("mask/batch", title="Batch masks", keywords=("combine", "list to batch", "join"))
def batch_masks(masks: list[Mask]) -> Mask:
    """Put several masks of one size into one batch, one for each picture.

    Args:
        masks: Masks, batches of them, or a list.
    """
    import torch

    from nodes.pictures.limits import fitted_mask

    if not masks:
        raise GraphError("There is no mask to put into a batch. Connect at least one.", input="masks")
    h, w = masks[0].values.shape[-2:]
    return Mask(torch.cat([fitted_mask(mask.values, (h, w), None, "masks") for mask in masks]))


# -- used


class Bounds(NamedTuple):
    x: int
    y: int
    width: int
    height: int
    share: float


@node("mask/bounds", title="Bounds of mask", keywords=("bounding box", "size", "position", "area"))
def bounds_of_mask(mask: Mask) -> Bounds:
    """Tell where a mask lies: its bounding box, and which share of the picture it covers (0 to 1)."""
    from nodes.pictures.masks import bounds

    found = bounds(mask.values)
    if found is None:
        raise GraphError("The mask is empty, so it has no bounds. Paint something, or take another mask.", input="mask")
    return Bounds(*found, float(mask.values.mean()))


@node("mask/to-image", title="Mask to image", keywords=("convert", "grey", "view"))
def mask_to_image(mask: Mask) -> Image:
    """A mask as a grey picture: white where something is repainted."""
    return Image(mask.values.expand(-1, 3, -1, -1).contiguous())


@node("mask/apply", title="Apply mask", keywords=("cut out", "remove background", "matte", "grey out"))
def apply_mask(image: Image, mask: Mask, color: Annotated[str, Color()] = "#808080", keep: Literal["masked", "rest"] = "rest") -> Image:
    """Cover part of a picture with one colour.

    Args:
        mask: Which part.
        color: What to cover with.
        keep: "rest" covers what the mask marks, "masked" covers everything else.
    """
    import torch

    from nodes.pictures.limits import fitted_mask, hex_color, paired

    pixels = image.pixels
    pixels, cover = paired(pixels, fitted_mask(mask.values, pixels.shape[-2:], None))
    if keep == "masked":
        cover = 1 - cover
    return Image(torch.lerp(pixels, hex_color(color).expand_as(pixels), cover.expand_as(pixels)))


@node("mask/preview", title="Preview mask", sink=True, keywords=("show", "view", "look"))
def preview_mask(
    mask: Mask, image: Image | None = None, color: Annotated[str, Color(), Advanced()] = "#ff3050", ctx: Context = HEADLESS
) -> None:
    """Show a mask on the node: white on black, or as a veil over a picture.

    Args:
        image: The picture to lay it over.
        color: Of the veil.
    """
    import torch

    from nodes.pictures.files import to_bytes8
    from nodes.pictures.limits import fitted_mask, hex_color, paired

    if image is None:
        shown = mask.values.expand(-1, 3, -1, -1)
    else:
        pixels, values = paired(image.pixels, fitted_mask(mask.values, image.pixels.shape[-2:], None))
        shown = torch.lerp(pixels, hex_color(color).expand_as(pixels), 0.6 * values.expand_as(pixels))
    for picture in shown:
        ctx.show(to_bytes8(picture))
