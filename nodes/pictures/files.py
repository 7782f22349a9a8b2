"""Picture files to tensors and back. A file is looked at before it is unpacked, and written as bytes first, so that nothing half-done is left."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageCms, ImageSequence, UnidentifiedImageError
from torch import Tensor

from nodegraph.embedding import PNG_MAGIC, embedded
from nodegraph.errors import GraphError
from nodes.pictures.limits import MAX_PIXELS, check_size

Image.init()  # or Image.open(formats=...) knows only the formats met so far

MAX_FRAMES = 1024
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""What is unpacked. Decoders that run programs or parse documents (EPS, PDF ...) stay out."""

# EXIF orientation -> how numpy brings [h, w, c] upright (EXIF 2.32, tag 0x0112)
_UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}


class Picture(NamedTuple):
    """pixels: [frames, 3, height, width] in 0..1; alpha: [frames, 1, height, width] in 0..1, None when the file has none."""

    pixels: Tensor
    alpha: Tensor | None


def read(path: Path, all_frames: bool = False) -> Picture:
    """A picture file, upright, in sRGB, with all its 16 bits where it has them.

    Raises:
        GraphError: It is missing, damaged, no picture, or too large; nothing is unpacked before its size is known.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # its size is checked below
            with Image.open(path, formats=FORMATS) as image:
                frames = getattr(image, "n_frames", 1) if all_frames else 1
                if frames > MAX_FRAMES:
                    raise GraphError(f"'{path.name}' has {frames} frames. At most {MAX_FRAMES} can be loaded at once.")
                if image.width * image.height > MAX_PIXELS:
                    raise _too_large(path, image.width, image.height)
                check_size(image.width, image.height, frames)
                arrays = [_deep(path, image)] if frames == 1 and _is_deep(path, image) else _frames(image, frames)
    except (GraphError, MemoryError):
        raise
    except FileNotFoundError:
        raise GraphError(f"There is no file '{path}'. Choose another picture.") from None
    except UnidentifiedImageError:
        raise GraphError(f"'{path.name}' is not a picture that can be read. Use PNG, JPEG, WebP, TIFF, BMP or GIF.") from None
    except Image.DecompressionBombError:
        raise _too_large(path) from None
    except Exception as error:  # decoders raise whatever they stumble over in a damaged file: IndexError, SyntaxError, cv2.error ...
        raise GraphError(f"'{path.name}' is damaged or cannot be read: {error}. Choose another picture.") from error
    pixels = torch.from_numpy(np.stack([array for array, _ in arrays])).permute(0, 3, 1, 2)
    has_alpha = any(alpha is not None for _, alpha in arrays)
    if not has_alpha:
        return Picture(pixels.contiguous(), None)
    alphas = [np.ones(array.shape[:2], np.float32) if alpha is None else alpha for array, alpha in arrays]
    return Picture(pixels.contiguous(), torch.from_numpy(np.stack(alphas))[:, None].contiguous())


def _too_large(path: Path, width: int = 0, height: int = 0) -> GraphError:
    size = f"{width} × {height} pixels" if width else "too many pixels"
    return GraphError(
        f"'{path.name}' has {size}; at most {MAX_PIXELS // 10**6} megapixels can be loaded. Make it smaller in another program."
    )


def _frames(image: Image.Image, count: int) -> list[tuple[np.ndarray, np.ndarray | None]]:
    made = []
    for frame in ImageSequence.Iterator(image):
        made.append(_upright(*_plain(frame), frame.getexif().get(0x0112, 1)))
        if len(made) == count:
            break
    shapes = {array.shape for array, _ in made}
    if len(shapes) > 1:
        raise GraphError("The pages of this file differ in size. Load it without its other frames.")
    return made


def _plain(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """[h, w, 3] and alpha [h, w] or None, float32 in 0..1, from whatever Pillow has opened."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey = np.asarray(image, dtype=np.float32) / np.float32(1 if image.mode == "F" else 65535)
        grey = np.nan_to_num(grey.clip(0, 1), nan=0.0)
        return np.repeat(grey[..., None], 3, axis=2), None
    has_alpha = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
    profile = image.info.get("icc_profile")
    alpha = None
    if has_alpha:
        image = image.convert("RGBA")
        alpha = np.asarray(image.getchannel("A"), dtype=np.float32) / 255
        image = image.convert("RGB")  # the colours as they are stored, also where nothing shows
    rgb = _in_srgb(image, profile)
    return np.asarray(rgb, dtype=np.float32) / 255, alpha


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours of another profile (Adobe RGB, Display P3, CMYK) as sRGB. A profile that cannot be used counts as absent."""
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "srgb" not in ImageCms.getProfileDescription(source).lower():
                made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if made is not None:
                    return made
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def _is_deep(path: Path, image: Image.Image) -> bool:
    """Whether it is a colour picture of 16 bits, which Pillow would cut down to 8."""
    if image.format == "PNG":
        with path.open("rb") as file:
            head = file.read(26)
        return head[:8] == PNG_MAGIC and head[24] == 16 and head[25] in (2, 4, 6)
    bits: Any = getattr(image, "tag_v2", {}).get(258, ())
    return image.format == "TIFF" and isinstance(bits, tuple) and len(bits) > 1 and set(bits) == {16}


def _deep(path: Path, image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    import cv2

    array = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None or array.dtype != np.uint16:
        raise GraphError(f"'{path.name}' is damaged or of a kind that cannot be read. Save it as an ordinary PNG.")
    values = array.astype(np.float32) / 65535
    alpha = np.ascontiguousarray(values[..., 3]) if array.ndim == 3 and array.shape[2] == 4 else None
    rgb = values[..., 2::-1] if values.ndim == 3 else np.repeat(values[..., None], 3, axis=2)
    return _upright(rgb, alpha, image.getexif().get(0x0112, 1))


def _upright(rgb: np.ndarray, alpha: np.ndarray | None, orientation: int) -> tuple[np.ndarray, np.ndarray | None]:
    turn = _UPRIGHT.get(orientation)
    if turn is None:
        return np.ascontiguousarray(rgb), alpha
    return np.ascontiguousarray(turn(rgb)), None if alpha is None else np.ascontiguousarray(turn(alpha))


# -- writing


def to_bytes8(pixels: Tensor) -> np.ndarray:
    """[c, h, w] in 0..1 as uint8 [h, w, c], rounded to the nearest.

    Raises:
        GraphError: There are values that are no numbers.
    """
    _check_numbers(pixels)
    return np.ascontiguousarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def _check_numbers(pixels: Tensor) -> None:
    if not torch.isfinite(pixels).all():
        raise GraphError(
            "The picture holds values that are not numbers, so it would be black. Something before it went wrong; look at its previews."
        )


def encode_png(pixels: Tensor, bits: int = 8, texts: Mapping[str, str] | None = None, compression: int = 4) -> bytes:
    """A PNG of pixels [3 or 4, h, w] in 0..1, with 8 or 16 bits a channel, carrying `texts` uncompressed."""
    if bits == 16:
        import cv2

        _check_numbers(pixels)
        deep = (pixels.clamp(0, 1) * 65535).round().to(torch.int32).permute(1, 2, 0).numpy().astype(np.uint16)
        order = [2, 1, 0, 3][: deep.shape[2]]
        done, buffer = cv2.imencode(".png", np.ascontiguousarray(deep[..., order]), [cv2.IMWRITE_PNG_COMPRESSION, compression])
        if not done:
            raise GraphError("The picture could not be written as a 16 bit PNG. Save it with 8 bits.")
        png = buffer.tobytes()
    else:
        memory = io.BytesIO()
        Image.fromarray(to_bytes8(pixels)).save(memory, "PNG", compress_level=compression)
        png = memory.getvalue()
    return embedded(png, texts) if texts else png


def encode_jpeg(pixels: Tensor, quality: int = 92, comment: str = "") -> bytes:
    """A JPEG of pixels [3, h, w]; at quality 90 and more colours keep their full resolution."""
    # without optimize=True: with it Pillow fails on pictures that compress badly, as grain
    return _saved(pixels, "JPEG", quality=quality, subsampling=0 if quality >= 90 else 2, exif=_exif(comment))


def encode_webp(pixels: Tensor, quality: int = 90, lossless: bool = False, comment: str = "") -> bytes:
    """A WebP of pixels [3 or 4, h, w]."""
    return _saved(pixels, "WEBP", quality=quality, lossless=lossless, exif=_exif(comment))


def _saved(pixels: Tensor, kind: str, **options: Any) -> bytes:
    memory = io.BytesIO()
    try:
        Image.fromarray(to_bytes8(pixels)).save(memory, kind, **options)
    except (OSError, ValueError, struct.error) as error:  # WebP ends at 16,383 pixels a side, EXIF at 64 KB
        size = f"{pixels.shape[-1]} × {pixels.shape[-2]}"
        raise GraphError(f"This picture of {size} cannot be a {kind} file: {error}. Save it as PNG.") from error
    return memory.getvalue()


def _exif(comment: str) -> bytes:
    """EXIF with a UserComment, which is where other programs look for a picture's settings."""
    exif = Image.Exif()
    if comment:
        exif.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + comment.encode("utf-16-be")
    return exif.tobytes() if comment else b""


def encode_animation(frames: list[Tensor], kind: str, milliseconds: float, quality: int) -> bytes:
    """An endless "webp", "gif" or "png" of pictures [3, h, w]. A single one gives a still picture."""
    images = [Image.fromarray(to_bytes8(frame)) for frame in frames]
    options: dict[str, Any] = {"save_all": True, "append_images": images[1:], "duration": round(milliseconds), "loop": 0}
    if kind == "webp":
        options |= {"quality": quality, "lossless": quality == 100}
    memory = io.BytesIO()
    try:
        images[0].save(memory, kind.upper(), **options)
    except (OSError, ValueError, struct.error) as error:
        raise GraphError(f"These pictures cannot be a {kind.upper()} file: {error}. Choose another format.") from error
    return memory.getvalue()


def encode_latent(samples: Tensor, mask: Tensor | None, downscale: int, sigma: float, first: int) -> bytes:
    """A latent as a safetensors file."""
    from safetensors.torch import save

    tensors = {"samples": samples.contiguous()} | ({} if mask is None else {"mask": mask.contiguous()})
    return bytes(save(tensors, {"format": "nodegraph latent 1", "downscale": str(downscale), "sigma": repr(sigma), "first": str(first)}))


def read_latent(path: Path) -> tuple[Tensor, Tensor | None, int, float, int]:
    """(samples, mask, downscale, sigma, first) from a file of `encode_latent`.

    Raises:
        GraphError: It is damaged, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            told = file.metadata() or {}
            if told.get("format") != "nodegraph latent 1":
                raise GraphError(f"'{path.name}' is not a latent that Nodegraph wrote. Choose a file of 'Save latent'.")
            samples = file.get_tensor("samples").float()
            mask = file.get_tensor("mask").float() if "mask" in file.keys() else None  # noqa: SIM118
            downscale, sigma, first = int(told["downscale"]), float(told["sigma"]), int(told["first"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"'{path.name}' is damaged or cannot be read. Save the latent anew.") from error
    fits = mask is None or (mask.ndim == 4 and mask.shape[-2:] == (samples.shape[-2] * downscale, samples.shape[-1] * downscale))
    if samples.ndim != 4 or not fits or not 1 <= downscale <= 64 or not sigma >= 0:
        raise GraphError(f"'{path.name}' is damaged: its parts do not fit together. Save the latent anew.")
    return samples, mask, downscale, sigma, first
