"""Light and colour of pictures, their sharpness and grain."""

from typing import Annotated, Literal

from nodegraph.errors import GraphError
from nodegraph.node import Advanced, Randomize, Range, Unit, node
from nodes.types import Image, Mask

Fraction = Annotated[float, Range(0, 1, step=0.01), Unit("%")]
Seed = Annotated[int, Range(0, 2**64 - 1), Randomize()]


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
        made = torch.lerp(image.pixels, made, fitted_mask(mask.values, made.shape[-2:], len(made)).expand_as(made))
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
        made = torch.lerp(image.pixels, made, fitted_mask(mask.values, made.shape[-2:], len(made)).expand_as(made))
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
