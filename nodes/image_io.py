"""Pictures in and out: files, folders, previews."""

import json
import re
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from nodegraph.errors import GraphError
from nodegraph.folders import IMAGE_SUFFIXES
from nodegraph.node import HEADLESS, Advanced, Context, File, Range, Unit, node
from nodes.types import Image, Mask


class LoadedImage(NamedTuple):
    image: Image
    mask: Mask


@node("image/load", keywords=("open", "photo", "file", "input", "alpha"))
def load_image(
    file: Annotated[Path, File("input", IMAGE_SUFFIXES)], frames: Annotated[Literal["first", "all"], Advanced()] = "first"
) -> LoadedImage:
    """Bring in a picture from a file.

    It comes upright (as the camera noted it), in sRGB colours and with all of its 16 bits where it has them. The mask holds
    what is transparent in the file: 1 where nothing is seen, so that erasing a part of a picture marks it for repainting.
    Without transparency the mask is empty.

    Args:
        file: The picture: PNG, JPEG, WebP, TIFF, BMP or GIF.
        frames: "all" takes every frame of an animation or every page as a batch.
    """
    import torch

    from nodes.pictures.files import read

    pixels, alpha = read(file, frames == "all")
    mask = torch.zeros_like(pixels[:, :1]) if alpha is None else 1 - alpha
    return LoadedImage(Image(pixels), Mask(mask))


class LoadedFolder(NamedTuple):
    images: list[Image]
    names: list[str]


@node("image/load-folder", keywords=("batch", "directory", "for each", "loop", "many"))
def load_images_from_folder(
    folder: Annotated[Path, File("input", folders=True)],
    pattern: str = "*",
    start: Annotated[int, Range(0, 1_000_000)] = 0,
    limit: Annotated[int, Range(1, 4096)] = 100,
    subfolders: Annotated[bool, Advanced()] = False,
    ctx: Context = HEADLESS,
) -> LoadedFolder:
    """Bring in all pictures of a folder, one after the other: what follows runs once for each of them.

    The pictures may differ in size. They come in the order of their names, where "2.png" stands before "10.png".

    Args:
        folder: A folder in your input folder, or any other one.
        pattern: Which files to take: "*" is all of them, "cat*.png" those that begin with cat.
        start: How many to leave out at the beginning.
        limit: How many to take at most.
        subfolders: Look into the folders inside as well.
    """
    from nodes.pictures.files import read

    paths = _pictures_in(folder, pattern, subfolders, start, limit)
    images = []
    for i, path in enumerate(paths):
        ctx.progress(i, len(paths), note=path.name)
        images.append(Image(read(path).pixels))
    return LoadedFolder(images, [path.stem for path in paths])


class ListedFolder(NamedTuple):
    files: list[Path]
    names: list[str]


@node("image/list-folder", title="Pictures of a folder", keywords=("files", "batch", "directory", "for each", "loop", "many"))
def pictures_of_a_folder(
    folder: Annotated[Path, File("input", folders=True)],
    pattern: str = "*",
    start: Annotated[int, Range(0, 1_000_000)] = 0,
    limit: Annotated[int, Range(1, 100_000)] = 10_000,
    subfolders: Annotated[bool, Advanced()] = False,
) -> ListedFolder:
    """Name all pictures of a folder without loading them. Connect it to the file of 'Load image', for as many pictures as you like.

    To finish one picture before the next is loaded, put 'Load image', 'Save image' and what stands between into a subgraph, let
    the file come in from outside, and switch on 'One by one'. What was done already is not done again, also in a later run.

    Args:
        folder: A folder in your input folder, or any other one.
        pattern: Which files to take: "*" is all of them, "cat*.png" those that begin with cat.
        start: How many to leave out at the beginning.
        limit: How many to take at most.
        subfolders: Look into the folders inside as well.
    """
    paths = _pictures_in(folder, pattern, subfolders, start, limit)
    return ListedFolder(paths, [path.stem for path in paths])


def _pictures_in(folder: Path, pattern: str, subfolders: bool, start: int, limit: int) -> list[Path]:
    """The pictures of a folder in the order of their names, so many from number `start` on.

    Raises:
        GraphError: There is no folder, no such picture, or the pattern is none.
    """
    if not folder.is_dir():
        raise GraphError(f"There is no folder '{folder}'. Choose another one.", input="folder")
    try:
        found = folder.rglob(pattern or "*") if subfolders else folder.glob(pattern or "*")
        paths = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()]
    except (ValueError, NotImplementedError, OSError) as error:
        raise GraphError(f"'{pattern}' is no pattern for file names: {error}. Write for example *.png.", input="pattern") from error
    root = folder.resolve()
    paths = [path for path in paths if path.resolve().is_relative_to(root)]  # a pattern with ".." must not leave the folder
    paths = sorted(paths, key=lambda path: _natural(path.relative_to(folder).as_posix()))[start : start + limit]
    if not paths:
        raise GraphError(
            f"There is no picture '{pattern}' in '{folder}' from number {start} on. Choose another folder or pattern.", input="folder"
        )
    return paths


def _natural(name: str) -> list[tuple[int, str]]:
    """A sorting key in which numbers count as numbers."""
    return [(int(part), "") if part.isdecimal() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]


@node("image/save", sink=True, keywords=("write", "export", "png", "jpeg", "webp", "output"))
def save_image(
    image: Image,
    name: str = "{title}",
    format: Literal["png", "jpeg", "webp"] = "png",
    quality: Annotated[int, Range(1, 100), Unit("%"), Advanced()] = 92,
    bits: Annotated[Literal["8", "16"], Advanced()] = "8",
    alpha: Mask | None = None,
    keep_graph: bool = True,
    parameters: Annotated[str, Advanced()] = "",
    seed: Annotated[int | None, Range(0, 2**64 - 1), Advanced()] = None,
    ctx: Context = HEADLESS,
) -> None:
    """Write pictures to your output folder. Nothing is ever written over: each gets the next free number.

    A PNG carries the graph that made it. Drop it on the canvas and everything is there again.

    Args:
        name: Name of the file, with sub-folders as in "portraits/anna". {title} is the name of the graph, {date}, {time},
            {width}, {height}, {seed} and {index} (number in the batch) stand for themselves, {date:yyyy-MM} is a date as you like it.
        format: PNG keeps every pixel and the graph. JPEG and WebP are smaller and keep neither.
        quality: Of JPEG and WebP: 92 looks like the original, 75 is small. WebP with 100 keeps every pixel.
        bits: Shades of each colour in a PNG: 8 for the screen, 16 for work that goes on in other programs.
        alpha: What becomes transparent: 1 = nothing is seen, as in the mask of 'Load image'. Not for JPEG.
        keep_graph: Put the graph into the PNG. Switch it off for pictures you give away.
        parameters: A text to go into the picture, for example the prompt; other programs show it as its parameters.
        seed: Connect the seed to write it into the name as {seed}.
    """
    import torch

    from nodegraph.embedding import PNG_KEYWORD
    from nodes.pictures.files import encode_jpeg, encode_png, encode_webp, to_bytes8
    from nodes.pictures.limits import fitted_mask

    if alpha is not None and format == "jpeg":
        raise GraphError("JPEG cannot hold transparency. Choose PNG or WebP, or take the link off 'alpha'.", input="alpha")
    if bits == "16" and format != "png":
        raise GraphError(f"{format.upper()} has 8 bits. Choose PNG for 16, or set 'bits' to 8.", input="bits")
    pixels = image.pixels
    if alpha is not None:
        shown = 1 - fitted_mask(alpha.values, pixels.shape[-2:], len(pixels), "alpha")
        pixels = torch.cat([pixels, shown.expand(len(pixels), -1, -1, -1)], dim=1)
    texts = {PNG_KEYWORD: ctx.graph_text} if keep_graph and ctx.graph_text else {}
    if parameters:
        texts["parameters"] = parameters
    now = datetime.now()
    for i, picture in enumerate(pixels):
        ctx.progress(i, len(pixels))
        height, width = picture.shape[-2:]
        fields = {"title": _title(ctx.graph_text), "width": width, "height": height, "index": i + 1, "seed": seed}
        if format == "png":
            data = encode_png(picture, int(bits), texts)
        elif format == "jpeg":
            data = encode_jpeg(picture, quality, parameters)
        else:
            data = encode_webp(picture, quality, quality == 100, parameters)
        ctx.save(filled(name, fields, now), "." + {"jpeg": "jpg"}.get(format, format), data)
        ctx.show(to_bytes8(picture))


@node("image/save-animation", sink=True, keywords=("gif", "webp", "apng", "video", "movie", "frames", "loop"))
def save_animation(
    image: Image,
    name: str = "{title}",
    format: Literal["webp", "gif", "png"] = "webp",
    pictures_per_second: Annotated[float, Range(0.1, 60, step=1)] = 8.0,
    there_and_back: bool = False,
    quality: Annotated[int, Range(1, 100), Unit("%"), Advanced()] = 90,
    ctx: Context = HEADLESS,
) -> None:
    """Write the pictures of a batch as one moving picture that plays for ever.

    Args:
        image: The batch, in its order. 'Batch images' makes one of single pictures.
        name: Name of the file, with {title}, {date} and so on as in 'Save image'.
        format: WebP is small and good, GIF opens everywhere and has 256 colours, PNG (animated) keeps every pixel.
        pictures_per_second: How fast it plays.
        there_and_back: Play it forwards, then backwards.
        quality: Of WebP; 100 keeps every pixel.
    """
    from nodes.pictures.files import encode_animation, to_bytes8

    frames = list(image.pixels)
    if there_and_back:
        frames += frames[-2:0:-1]
    data = encode_animation(frames, format, 1000 / pictures_per_second, quality)
    height, width = image.pixels.shape[-2:]
    fields: dict[str, object] = {"title": _title(ctx.graph_text), "width": width, "height": height}
    ctx.save(filled(name, fields, datetime.now()), "." + format, data)
    ctx.show(to_bytes8(image.pixels[0]))


_DATES = {"yyyy": "%Y", "yy": "%y", "MM": "%m", "dd": "%d", "hh": "%H", "mm": "%M", "ss": "%S"}


def filled(pattern: str, fields: dict[str, object], now: datetime) -> str:
    """A name with its {fields} filled in. Values cannot add folders to it.

    Raises:
        GraphError: An unknown field, one without a value, or nothing is left of the name.
    """

    def value(match: re.Match[str]) -> str:
        field, _, wish = match[1].partition(":")
        if field in ("date", "time"):
            layout = wish or {"date": "yyyy-MM-dd", "time": "hh-mm-ss"}[field]
            text = re.sub("|".join(_DATES), lambda part: now.strftime(_DATES[part[0]]), layout)
        elif fields.get(field) is not None:
            text = str(fields[field])
        elif field in fields:
            raise GraphError(
                f"{{{field}}} in the name has no value. Connect something to '{field}', or take it out of the name.", input="name"
            )
        else:
            known = ", ".join(f"{{{key}}}" for key in (*fields, "date", "time"))
            raise GraphError(f"{{{field[:40]}}} in the name is unknown. These can be used: {known}.", input="name")
        return re.sub(r'[\\/:*?"<>|\x00-\x1f]+', "-", text)

    name = re.sub(r"\{([^{}]*)\}", value, pattern).strip()
    if not name:
        raise GraphError("The picture has no name. Write one at 'name', for example {title}.", input="name")
    return name


def _title(graph_text: str) -> str:
    """The graph's own name, as it is kept in its file."""
    try:
        title = json.loads(graph_text).get("meta", {}).get("title", "") if graph_text else ""
    except (ValueError, AttributeError):
        title = ""
    words = re.sub(r'[\\/:*?"<>|\x00-\x1f.]+', "-", str(title)).strip(" -")[:80]
    return words or "picture"


@node("image/preview", sink=True, keywords=("show", "view", "look", "display"))
def preview_image(image: Image, ctx: Context = HEADLESS) -> None:
    """Show pictures on the node and in the viewer, without writing a file."""
    from nodes.pictures.files import to_bytes8

    for i, picture in enumerate(image.pixels):
        ctx.progress(i, len(image.pixels))
        ctx.show(to_bytes8(picture))


@node("image/compare", sink=True, keywords=("before", "after", "a/b", "slider", "difference"))
def compare_images(
    before: Image,
    after: Image,
    show: Literal["both", "side by side", "split", "difference"] = "both",
    amplify: Annotated[float, Range(1, 100, log=True), Advanced()] = 1.0,
    ctx: Context = HEADLESS,
) -> None:
    """See what a change did to a picture.

    Args:
        before: The picture as it was.
        after: The picture as it has become.
        show: "both" puts them into the viewer one after the other, to be laid over each other there; "split" has the
            left half of the one and the right half of the other; "difference" is black where nothing changed.
        amplify: How much brighter the difference is shown, to find faint changes; 10 is usual for that.
    """
    import torch

    from nodes.pictures.files import to_bytes8
    from nodes.pictures.limits import paired, same_size

    first, second = paired(before.pixels, after.pixels, "before", "after")
    if show != "both":
        same_size(first, second, "before", "after")
    for a, b in zip(first, second, strict=True):
        if show == "both":
            ctx.show(to_bytes8(a))
            ctx.show(to_bytes8(b))
        elif show == "side by side":
            ctx.show(to_bytes8(torch.cat([a, b], dim=-1)))
        elif show == "split":
            half = a.shape[-1] // 2
            ctx.show(to_bytes8(torch.cat([a[..., :half], b[..., half:]], dim=-1)))
        else:
            ctx.show(to_bytes8(((a - b).abs() * amplify).clamp(0, 1)))
