"""What ControlNets are shown: lines, edges, tones and surfaces of a picture. Only depth, poses and segments need a model."""

from pathlib import Path
from typing import Annotated, Literal

from nodegraph.node import HEADLESS, Advanced, Context, File, Randomize, Range, Unit, node
from nodes.types import Image, Mask

Fraction = Annotated[float, Range(0, 1, step=0.01), Unit("%")]


@node("preprocess/canny", title="Canny edges", keywords=("controlnet", "lines", "outline", "edge detection"))
def canny_edges(
    image: Image,
    low: Annotated[float, Range(0.01, 0.99, step=0.01)] = 0.4,
    high: Annotated[float, Range(0.01, 0.99, step=0.01)] = 0.8,
    blur: Annotated[float, Range(0, 16, step=0.5), Unit("px"), Advanced()] = 0.0,
) -> Image:
    """Thin white edges on black, for a Canny ControlNet.

    Args:
        low: An edge goes on as long as it is stronger than this. Lower gives longer lines. 0.4 is the usual 100 of 255.
        high: An edge begins where it is stronger than this. Lower gives more lines. 0.8 is the usual 200 of 255.
        blur: Softens the picture before, so that fine texture gives no edges.
    """
    from nodegraph.errors import GraphError
    from nodes.pictures.edges import as_image, canny
    from nodes.pictures.masks import blurred

    if low > high:
        raise GraphError(f"'low' is {low:g} and must not be above 'high', which is {high:g}. Lower it.", input="low")
    return Image(as_image(canny(blurred(image.pixels, blur), low, high)))


@node("preprocess/line-art", title="Line art", keywords=("controlnet", "lineart", "drawing", "ink", "pencil", "xdog", "sketch"))
def line_art(
    image: Image,
    width: Annotated[float, Range(0.3, 16, step=0.1), Unit("px")] = 1.0,
    level: Fraction = 0.8,
    tones: Fraction = 0.0,
    hardness: Annotated[float, Range(0.5, 100, step=0.5, log=True), Advanced()] = 5.0,
    dark_on_white: bool = False,
) -> Image:
    """Draw a picture with a pen, for a line-art ControlNet or as a picture of its own.

    Args:
        width: Of the finest lines. Larger leaves details out.
        level: How faint a line may be and still be drawn. More gives more lines.
        tones: How far dark areas become ink too. 0 % draws only lines.
        hardness: Low gives pencil tones, high pure black and white.
        dark_on_white: As on paper. ControlNets want it off: white lines on black.
    """
    from nodes.pictures.edges import as_image, lines

    drawn = lines(image.pixels, width, level, tones, hardness=hardness)
    return Image(as_image(1 - drawn if dark_on_white else drawn))


@node("preprocess/scribble", title="Scribble", keywords=("controlnet", "sketch", "doodle", "strokes"))
def scribble(
    image: Image,
    width: Annotated[float, Range(0.5, 32, step=0.5), Unit("px")] = 3.0,
    thickness: Annotated[int, Range(1, 64), Unit("px")] = 6,
    specks: Annotated[int, Range(0, 10_000), Advanced()] = 40,
) -> Image:
    """The main contours as thick strokes, as if drawn by hand, for a scribble ControlNet. It leaves a model much freedom.

    Args:
        width: Size of what is left out. Larger gives fewer strokes.
        thickness: Of the strokes.
        specks: Strokes of fewer pixels go.
    """
    from nodes.pictures.edges import as_image
    from nodes.pictures.edges import scribble as strokes

    return Image(as_image(strokes(image.pixels, width, thickness, specks)))


@node("preprocess/soft-edges", title="Soft edges", keywords=("controlnet", "hed", "pidinet", "softedge", "gradient"))
def soft_edges(
    image: Image,
    detail: Annotated[float, Range(0.3, 16, step=0.1), Unit("px")] = 1.0,
    gain: Annotated[float, Range(0.1, 10, step=0.1, log=True)] = 1.0,
) -> Image:
    """Soft white edges on black, strong where colours change strongly, for a soft-edge (HED) ControlNet.

    Args:
        detail: Size of the finest edges. Larger is calmer.
        gain: Brightness of the edges.
    """
    from nodes.pictures.edges import as_image
    from nodes.pictures.edges import soft_edges as edges

    return Image(as_image(edges(image.pixels, detail, gain)))


@node("preprocess/threshold", title="Threshold", keywords=("controlnet", "black and white", "binary", "otsu"))
def threshold(image: Image, level: Fraction = 0.5, automatic: bool = False) -> Image:
    """Pure black and white.

    Args:
        level: What is brighter becomes white.
        automatic: Find the level that parts light from dark best, for each picture.
    """
    import torch

    from nodes.pictures.edges import as_image, otsu
    from nodes.pictures.filters import REC_601, luma

    grey = luma(image.pixels, REC_601)
    levels = torch.tensor(otsu(grey)).view(-1, 1, 1, 1) if automatic else level
    return Image(as_image((grey > levels).float()))


@node("preprocess/tile", title="Tile blur", keywords=("controlnet", "blur", "upscale", "detail"))
def tile_blur(image: Image, factor: Annotated[float, Range(1, 32, step=0.5)] = 4.0, smooth: bool = True) -> Image:
    """Take the detail out of a picture and keep its size, for a tile or blur ControlNet that paints new detail.

    Args:
        factor: Details smaller than so many pixels go. 4 is usual, 8 leaves much freedom.
        smooth: Off leaves visible squares, as a very small picture shows them.
    """
    from nodes.pictures.resize import resized, rounded

    h, w = image.pixels.shape[-2:]
    small = resized(image.pixels, rounded(w / factor), rounded(h / factor), "area")
    return Image(resized(small, w, h, "bicubic" if smooth else "nearest"))


@node(
    "preprocess/palette", title="Colour palette", keywords=("controlnet", "t2i color", "quantize", "posterize", "reduce colors", "dither")
)
def colour_palette(
    image: Image,
    colors: Annotated[int, Range(2, 256)] = 8,
    block: Annotated[int, Range(1, 256), Unit("px")] = 1,
    dither: Annotated[bool, Advanced()] = False,
) -> Image:
    """Reduce a picture to a few colours, to hand on its mood: for a colour adapter, as a poster, or as pixel art.

    Args:
        colors: At most so many.
        block: Size of the squares. 64 is what colour adapters were trained with, 1 keeps the forms.
        dither: Mix colours by dots instead of sharp borders.
    """
    from nodes.pictures.edges import palette
    from nodes.pictures.resize import resized, rounded

    h, w = image.pixels.shape[-2:]
    small = resized(image.pixels, rounded(w / block), rounded(h / block), "area") if block > 1 else image.pixels
    return Image(resized(palette(small, colors, dither), w, h, "nearest"))


@node("preprocess/normal-from-depth", title="Normals from depth", keywords=("controlnet", "normal map", "bump", "surface", "relief"))
def normals_from_depth(
    depth: Image,
    strength: Annotated[float, Range(0.01, 20, step=0.1, log=True)] = 1.0,
    smooth: Annotated[float, Range(0, 32, step=0.5), Unit("px"), Advanced()] = 1.0,
    near_is_white: bool = True,
    background: Annotated[float, Range(0, 1, step=0.01), Unit("%"), Advanced()] = 0.0,
) -> Image:
    """Turn a depth map into a normal map, for a normal ControlNet or for relief in a 3D program.

    Red grows to the right, green upwards, blue towards you.

    Args:
        depth: A grey picture of how near things are.
        strength: How steep the surface becomes.
        smooth: Softens the depth before, which takes away steps.
        near_is_white: Off for maps in which near things are dark.
        background: What is farther away than this becomes flat.
    """
    import torch

    from nodes.pictures.edges import normals
    from nodes.pictures.filters import luma

    near = luma(depth.pixels)
    near = near if near_is_white else 1 - near
    made = normals(near, strength, smooth)
    flat = torch.tensor([0.5, 0.5, 1.0]).view(1, 3, 1, 1).expand_as(made)
    return Image(torch.where(near < background, flat, made))


@node("preprocess/shuffle", title="Shuffle content", keywords=("controlnet", "style", "warp", "liquify", "recolor"))
def shuffle_content(image: Image, size: Fraction = 0.4, seed: Annotated[int, Range(0, 2**64 - 1), Randomize()] = 0) -> Image:
    """Stir a picture like liquid: its colours and textures stay, its forms go. For a shuffle ControlNet, to take over a style.

    Args:
        size: Of the waves, as a share of the picture.
        seed: Another number stirs otherwise.
    """
    import torch

    from nodes.pictures.edges import shuffled

    return Image(shuffled(image.pixels, size, torch.Generator().manual_seed(seed)))


@node("preprocess/fill-masked", title="Fill masked area", keywords=("inpaint", "erase", "remove object", "heal", "infill"))
def fill_masked_area(
    image: Image,
    mask: Mask,
    way: Literal["blend in", "follow edges", "blur", "grey"] = "blend in",
    grow: Annotated[int, Range(0, 128), Unit("px"), Advanced()] = 2,
) -> Image:
    """Fill what a mask marks from its surroundings, so that a sampler that starts there at part strength does not bring the old thing back.

    Args:
        mask: What to fill; above one half counts.
        way: "blend in" (Telea) and "follow edges" (Navier-Stokes) suit small areas, "blur" large ones, "grey" gives no hint at all.
        grow: Fill so much more on each side, to take away the rim of what was there.
    """
    from nodes.pictures.edges import filled
    from nodes.pictures.limits import fitted_mask, paired
    from nodes.pictures.masks import grown

    pixels, values = paired(image.pixels, fitted_mask(mask.values, image.pixels.shape[-2:], None))
    return Image(filled(pixels, grown((values > 0.5).float(), grow), way))


@node("preprocess/depth-from-model", title="Depth", keywords=("controlnet", "depth anything", "midas", "zoe", "depth map"))
def depth_from_model(
    image: Image,
    model: Annotated[Path, File("depth", (".safetensors",), folders=True)],
    invert: Annotated[bool, Advanced()] = False,
    ctx: Context = HEADLESS,
) -> Image:
    """How far things are: near is white, far is black, for a depth ControlNet or 'Normals from depth'.

    It needs a depth model, which does not ship: put the folder of one, as Depth Anything, into your models folder under "depth".

    Args:
        model: A folder with config.json and .safetensors weights, in the layout of transformers (Depth Anything, DPT, ZoeDepth, GLPN, Depth Pro).
        invert: Near is black.
    """
    from nodes.devices import choose
    from nodes.models.depth import depth
    from nodes.pictures.edges import as_image

    folder = model if model.is_dir() else model.parent
    near = depth(image.pixels, folder, choose(ctx.device))
    return Image(as_image(1 - near if invert else near))


@node("preprocess/pose-from-model", title="Pose", keywords=("controlnet", "openpose", "skeleton", "vitpose", "dwpose", "stick figure", "keypoints"))
def pose_from_model(
    image: Image,
    model: Annotated[Path, File("pose", (".safetensors",), folders=True)],
    detector: Annotated[Path | None, File("detection", (".safetensors",), folders=True)] = None,
    confidence: Fraction = 0.3,
    thickness: Annotated[float, Range(1, 64, step=0.5), Unit("px")] = 4.0,
    ctx: Context = HEADLESS,
) -> Image:
    """How people stand, as coloured stick figures on black, for an OpenPose ControlNet.

    It needs a pose model, which does not ship: put the folder of a ViTPose model into your models folder under "pose".

    Args:
        model: A folder with config.json and .safetensors weights, in the layout of transformers (ViTPose with the 17 joints of COCO).
        detector: Finds the people, so that there may be several: DETR, RT-DETR or YOLOS, from "detection". Without it the whole picture is one person.
        confidence: Joints that the model is less sure of are left out.
        thickness: Of the limbs. 4 is what ControlNets were trained with at 512 pixels.
    """
    import torch

    from nodes.devices import choose
    from nodes.models.pose import poses
    from nodes.pictures.figures import stick_figures

    folders = [path if path is None or path.is_dir() else path.parent for path in (model, detector)]
    height, width = image.pixels.shape[-2:]
    seen = poses(image.pixels, folders[0] or model, folders[1], device=choose(ctx.device))
    if not any(len(people) for people in seen):
        ctx.warn("The detector found nobody in the picture, so there is nothing to hold on to.")
    return Image(torch.stack([stick_figures(people, width, height, thickness, confidence) for people in seen]))


Segmenter = Annotated[Path, File("segmentation", (".safetensors",), folders=True)]


@node("preprocess/segments-from-model", title="Segments", keywords=("controlnet", "segmentation", "ade20k", "oneformer", "uniformer", "semantic"))
def segments_from_model(image: Image, model: Segmenter, ctx: Context = HEADLESS) -> Image:
    """What is where, each thing in a colour of its own, for a segmentation ControlNet.

    It needs a segmentation model, which does not ship: put the folder of one, as SegFormer, into your models folder under "segmentation".

    Args:
        model: A folder in the layout of transformers (SegFormer, UPerNet, BEiT, DPT, Mask2Former). ControlNets want one trained on ADE20K.
    """
    from nodes.devices import choose
    from nodes.models.segments import segments
    from nodes.pictures.figures import coloured

    return Image(coloured(*segments(image.pixels, model if model.is_dir() else model.parent, choose(ctx.device))))


@node("mask/things-from-model", title="Mask of things", keywords=("segmentation", "select", "person", "sky", "detect", "semantic"))
def mask_of_things(image: Image, model: Segmenter, things: str = "person", ctx: Context = HEADLESS) -> Mask:
    """A mask of what you name, as "sky" or "person, dog", found by a segmentation model.

    Args:
        model: As for 'Segments': the folder of a model, from "segmentation".
        things: Names that the model knows, with commas between them.
    """
    from nodes.devices import choose
    from nodes.models import segments as numerics

    numbers, names = numerics.segments(image.pixels, model if model.is_dir() else model.parent, choose(ctx.device))
    found = Mask(numerics.things(numbers, names, things))
    if not found.values.any():
        ctx.warn(f"The model found no '{things}' in the picture, so the mask is empty.")
    return found
