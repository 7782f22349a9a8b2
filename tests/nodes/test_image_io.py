"""Pictures read from and written to real files, whole or not at all."""

import errno
import os
import struct
import zlib
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pil
from torch.testing import assert_close

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.folders import new_file
from nodegraph.graph import Graph
from nodegraph.node import Headless
from nodes.image_io import (
    compare_images,
    filled,
    load_image,
    load_images_from_folder,
    pictures_of_a_folder,
    preview_image,
    save_animation,
    save_image,
)
from nodes.mask import load_mask
from nodes.pictures.files import encode_animation
from nodes.pictures.limits import MAX_PIXELS
from nodes.types import Image, Mask

NOW = datetime(2026, 3, 9, 14, 5, 7)


class Desk(Headless):
    """A Context that notes what it is told, and writes below a folder."""

    def __init__(self, folder: Path, graph: Graph | None = None) -> None:
        self.folder = folder
        self.graph_text = graphfile.dumps(graph, compact=True) if graph else ""
        self.files: list[Path] = []
        self.shown: list[np.ndarray] = []

    def output_path(self, name, suffix):
        return new_file(self.folder, name, suffix)

    def saved(self, path):
        self.files.append(path)

    def show(self, picture):
        self.shown.append(picture)


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path / "out", Graph(meta={"title": "My fox"}))


def picture(width: int = 12, height: int = 8, batch: int = 1) -> Image:
    """Colours that 8 bits hold exactly."""
    values = torch.randint(0, 256, (batch, 3, height, width), generator=torch.Generator().manual_seed(1))
    return Image(values.float() / 255)


def as_pil(image: Image) -> Pil.Image:
    return Pil.fromarray((image.pixels[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


# -- saving


def test_a_saved_png_is_the_picture_and_carries_the_graph(desk):
    image = picture(batch=2)
    save_image(image, ctx=desk)
    assert [path.name for path in desk.files] == ["My fox_0001.png", "My fox_0002.png"]
    for path, pixels in zip(desk.files, image.pixels, strict=True):
        assert_close(load_image(path).image.pixels[0], pixels)
        assert graphfile.read(path).meta == {"title": "My fox"}
    assert [shown.shape for shown in desk.shown] == [(8, 12, 3), (8, 12, 3)]
    assert desk.shown[0].dtype == np.uint8


def test_the_graph_stays_out_when_it_is_not_wanted(desk):
    save_image(picture(), keep_graph=False, ctx=desk)
    with pytest.raises(GraphError, match="carries no graph"):
        graphfile.read(desk.files[0])


def test_parameters_are_where_other_programs_look_for_them(desk):
    text = "ein roter Fuchs, naïve\nSteps: 20, Seed: 7"
    save_image(picture(), parameters=text, ctx=desk)
    save_image(picture(), parameters=text, format="jpeg", ctx=desk)
    with Pil.open(desk.files[0]) as png:
        assert png.text["parameters"] == text
    with Pil.open(desk.files[1]) as jpeg:
        assert jpeg.getexif().get_ifd(0x8769)[0x9286] == b"UNICODE\0" + text.encode("utf-16-be")


def test_sixteen_bits_come_back_as_they_went(desk):
    image = Image(torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0)))
    save_image(image, bits="16", ctx=desk)
    assert_close(load_image(desk.files[0]).image.pixels, image.pixels, atol=0.5001 / 65535, rtol=0)
    assert graphfile.read(desk.files[0]).meta == {"title": "My fox"}


@pytest.mark.parametrize(("bits", "step"), [("8", 255), ("16", 65535)])
def test_transparency_goes_out_and_comes_in_as_the_same_mask(desk, bits, step):
    mask = Mask(torch.arange(96).view(1, 1, 8, 12).float() / 255)
    save_image(picture(), alpha=mask, bits=bits, ctx=desk)
    loaded = load_image(desk.files[0])
    assert_close(loaded.mask.values, mask.values, atol=0.5001 / step, rtol=0)
    assert_close(loaded.image.pixels, picture().pixels)


def test_jpeg_and_webp_look_like_the_picture_and_lossless_webp_is_it(desk):
    ramp = Image(torch.linspace(0, 1, 64).expand(1, 3, 64, 64).clone())
    save_image(ramp, format="jpeg", ctx=desk)
    save_image(ramp, format="webp", ctx=desk)
    save_image(picture(), format="webp", quality=100, ctx=desk)
    assert [path.suffix for path in desk.files] == [".jpg", ".webp", ".webp"]
    for path in desk.files[:2]:
        assert (load_image(path).image.pixels - ramp.pixels).abs().max() < 0.04
    assert_close(load_image(desk.files[2]).image.pixels, picture().pixels)


def test_a_picture_that_compresses_badly_is_saved_too(desk):
    """With Huffman tables optimized, Pillow gives up on noise."""
    grain = Image(torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)))
    for quality in (75, 92, 100):
        save_image(grain, format="jpeg", quality=quality, ctx=desk)
    assert len(desk.files) == 3


def test_impossible_wishes_are_refused_before_a_file_is_made(desk):
    for wish, words in (
        ({"format": "jpeg", "alpha": Mask(torch.ones(1, 1, 8, 12))}, "PNG or WebP"),
        ({"format": "webp", "bits": "16"}, "PNG for 16"),
        ({"alpha": Mask(torch.ones(1, 1, 9, 4))}, "'alpha' is 4 × 9"),
        ({"name": "{nonsense}"}, "unknown.*{title}"),
        ({"name": "{seed}"}, "no value"),
        ({"name": " "}, "no name"),
    ):
        with pytest.raises(GraphError, match=words):
            save_image(picture(), ctx=desk, **wish)
    for name in ("../out", "/etc/x", "a/../../b", "C:x", "con"):
        with pytest.raises(GraphError, match="file name"):
            save_image(picture(), name, ctx=desk)
    assert not desk.folder.exists() or not any(desk.folder.rglob("*.*"))


def test_what_a_format_cannot_hold_is_told(desk):
    with pytest.raises(GraphError, match=r"16384 × 1 cannot be a WEBP.*PNG"):
        save_image(Image(torch.zeros(1, 3, 1, 16384)), format="webp", ctx=desk)
    with pytest.raises(GraphError, match="cannot be a JPEG"):
        save_image(picture(), format="jpeg", parameters="x" * 70_000, ctx=desk)
    assert desk.files == []


def test_a_picture_of_nonsense_is_refused_not_saved_black(desk):
    with pytest.raises(GraphError, match="not numbers"):
        save_image(Image(torch.full((1, 3, 4, 4), torch.nan)), ctx=desk)
    assert desk.files == []


def test_fields_fill_the_name_and_cannot_add_folders():
    fields = {"title": "a/b", "seed": 7, "width": 12, "index": 1}
    assert filled("p/{title}-{seed}-{width}", fields, NOW) == "p/a-b-7-12"
    assert filled("{date} {time}", fields, NOW) == "2026-03-09 14-05-07"
    assert filled("{date:yyyyMMdd}_{time:hhmm}", fields, NOW) == "20260309_1405"
    assert filled("{date:yy/MM}", fields, NOW) == "26-03"


def test_a_full_disk_leaves_no_half_picture_and_no_empty_name(desk, monkeypatch):
    real = os.fsync

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GraphError, match="disk is full"):
        save_image(picture(), ctx=desk)
    monkeypatch.setattr(os, "fsync", real)
    assert list(desk.folder.iterdir()) == []
    assert desk.files == []


@pytest.mark.parametrize("kind", ["webp", "gif", "png"])
def test_a_batch_becomes_a_moving_picture_that_loads_again(desk, kind):
    frames = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 4, 6)
    save_animation(Image(frames), "film", kind, 10.0, there_and_back=True, quality=100, ctx=desk)
    with Pil.open(desk.files[0]) as film:
        assert film.n_frames == 4 and film.info["loop"] == 0
    assert_close(load_image(desk.files[0], "all").image.pixels, frames[[0, 1, 2, 1]])


# -- loading


def test_a_picture_without_transparency_has_an_empty_mask_of_its_size(tmp_path):
    as_pil(picture()).save(tmp_path / "a.png")
    assert_close(load_image(tmp_path / "a.png").mask.values, torch.zeros(1, 1, 8, 12))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright_as_pillow_turns_it(tmp_path, orientation):
    from PIL import ImageOps

    exif = Pil.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    as_pil(picture()).save(path, exif=exif)
    with Pil.open(path) as opened:
        expected = np.array(ImageOps.exif_transpose(opened))
    assert_close(load_image(path).image.pixels[0].permute(1, 2, 0) * 255, torch.from_numpy(expected).float())


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_pixels_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Pil.fromarray((np.arange(96, dtype=np.uint16) * 600).reshape(8, 12)).save(path)
        expected = np.repeat((np.arange(96, dtype=np.float32) * 600 / 65535).reshape(8, 12, 1), 3, 2)
    else:
        source = as_pil(picture()).convert(mode)
        source.save(path)
        expected = np.asarray(source.convert("RGB"), dtype=np.float32) / 255
    assert_close(load_image(path).image.pixels[0].permute(1, 2, 0), torch.from_numpy(expected), atol=1e-6, rtol=0)


def test_sixteen_bit_colours_keep_their_shades_and_their_alpha(tmp_path):
    deep = np.random.default_rng(0).integers(0, 65536, (8, 12, 4), dtype=np.uint16)
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), deep)
    loaded = load_image(path)
    assert_close(loaded.image.pixels[0], torch.from_numpy(deep[..., 2::-1].astype(np.float32) / 65535).permute(2, 0, 1))
    assert_close(loaded.mask.values[0, 0], torch.from_numpy(1 - deep[..., 3].astype(np.float32) / 65535))


def linear_profile() -> bytes:
    """An ICC 2.4 matrix profile with the primaries of sRGB (adapted to D50) and no gamma at all."""

    def xyz(x: float, y: float, z: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in (x, y, z)))

    name = b"straight line\0"
    straight = b"curv\0\0\0\0" + struct.pack(">I", 0)
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz(0.9642, 1.0, 0.8249),
        b"rXYZ": xyz(0.4360747, 0.2225045, 0.0139322),
        b"gXYZ": xyz(0.3850649, 0.7168786, 0.0971045),
        b"bXYZ": xyz(0.1430804, 0.0606169, 0.7141733),
        b"rTRC": straight,
        b"gTRC": straight,
        b"bTRC": straight,
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content
    whole = struct.pack(">I", len(tags)) + table + body
    head = struct.pack(">I4sI4s4s4s12x4s", 128 + len(whole), b"none", 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp").ljust(68, b"\0")
    return (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + whole


def test_colours_of_another_profile_become_srgb(tmp_path):
    from PIL import ImageCms

    ramp = Image(torch.arange(256).view(1, 1, 1, 256).expand(1, 3, 1, 256).float() / 255)
    as_pil(ramp).save(tmp_path / "linear.png", icc_profile=linear_profile())
    encoded = torch.where(ramp.pixels <= 0.0031308, 12.92 * ramp.pixels, 1.055 * ramp.pixels ** (1 / 2.4) - 0.055)
    assert_close(load_image(tmp_path / "linear.png").image.pixels, encoded, atol=1.5 / 255, rtol=0)  # 8 bits in, 8 bits out
    swapped = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()  # cannot be used for RGB: counts as absent
    as_pil(picture()).save(tmp_path / "a.png", icc_profile=swapped)
    assert_close(load_image(tmp_path / "a.png").image.pixels, picture().pixels)
    as_pil(picture()).save(tmp_path / "b.png", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    assert_close(load_image(tmp_path / "b.png").image.pixels, picture().pixels)


def test_all_frames_of_an_animation_become_a_batch(tmp_path):
    frames = [Pil.new("RGB", (6, 4), color) for color in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert len(load_image(tmp_path / "a.gif").image.pixels) == 1
    loaded = load_image(tmp_path / "a.gif", "all").image.pixels
    assert_close(loaded[:, :, 0, 0], torch.eye(3))


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG of a few bytes that says it is huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(graphfile.PNG_MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))


@pytest.mark.parametrize("side", [20_000, 2**31 - 1, int(MAX_PIXELS**0.5) + 2])
def test_a_bomb_is_refused_by_its_header(tmp_path, side):
    bomb(tmp_path / "a.png", side, side)
    with pytest.raises(GraphError, match="megapixels|pixels"):
        load_image(tmp_path / "a.png")


def test_too_many_frames_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("nodes.pictures.files.MAX_FRAMES", 4)
    frames = [Pil.new("1", (1, 1), i % 2) for i in range(5)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(GraphError, match="5 frames"):
        load_image(tmp_path / "a.tif", "all")


def test_what_is_no_picture_or_damaged_is_told_in_words(tmp_path):
    as_pil(picture(200, 200)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    cases = {
        "half.png": whole[: len(whole) // 2],
        "text.png": b"hello",
        "empty.png": b"",
        "page.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(GraphError, match=name):
            load_image(tmp_path / name)
    with pytest.raises(GraphError, match="no file"):
        load_image(tmp_path / "missing.png")


def test_a_folder_comes_in_the_order_in_which_people_count(tmp_path):
    for name in ("b10.png", "b2.png", "a.png", ".hidden.png"):
        as_pil(picture()).save(tmp_path / name)
    (tmp_path / "note.txt").write_text("no picture")
    (tmp_path / "deep").mkdir()
    as_pil(picture(4, 4)).save(tmp_path / "deep" / "c.png")
    assert load_images_from_folder(tmp_path).names == ["a", "b2", "b10"]
    assert pictures_of_a_folder(tmp_path) == ([tmp_path / "a.png", tmp_path / "b2.png", tmp_path / "b10.png"], ["a", "b2", "b10"])
    assert load_images_from_folder(tmp_path, "b*.png", limit=1).names == ["b2"]
    loaded = load_images_from_folder(tmp_path, start=2, subfolders=True)
    assert loaded.names == ["b10", "c"]
    assert [image.pixels.shape[-1] for image in loaded.images] == [12, 4]


def test_a_folder_pattern_cannot_leave_the_folder(tmp_path):
    as_pil(picture()).save(tmp_path / "secret.png")
    (tmp_path / "in").mkdir()
    for pattern in ("../*.png", "/*.png", "x*.png"):
        with pytest.raises(GraphError, match=r"pattern|no picture"):
            load_images_from_folder(tmp_path / "in", pattern)
    with pytest.raises(GraphError, match="no folder"):
        load_images_from_folder(tmp_path / "nowhere")


def test_a_mask_can_be_any_channel_of_a_file(tmp_path):
    image = picture()
    as_pil(image).save(tmp_path / "a.png")
    assert_close(load_mask(tmp_path / "a.png", "green").values, image.pixels[:, 1:2])
    assert_close(load_mask(tmp_path / "a.png", "green", invert=True).values, 1 - image.pixels[:, 1:2])
    assert load_mask(tmp_path / "a.png", "alpha").values.sum() == 0


# -- looking


def test_a_preview_shows_every_picture_of_the_batch_and_writes_nothing(desk):
    preview_image(picture(batch=3), desk)
    assert len(desk.shown) == 3
    assert desk.files == []


@pytest.mark.parametrize(
    ("show", "shape"), [("both", (8, 12, 3)), ("side by side", (8, 24, 3)), ("split", (8, 12, 3)), ("difference", (8, 12, 3))]
)
def test_a_comparison_shows_what_was_asked_for(desk, show, shape):
    before = picture()
    compare_images(before, Image(1 - before.pixels), show, ctx=desk)
    assert {shown.shape for shown in desk.shown} == {shape}
    if show == "difference":
        assert np.array_equal(desk.shown[0], np.abs(255 - 2 * (before.pixels[0] * 255).round().permute(1, 2, 0).numpy()).astype(np.uint8))
    if show != "both":
        with pytest.raises(GraphError, match="one size"):
            compare_images(before, picture(4, 4), show, ctx=desk)


@pytest.mark.parametrize("kind", ["png", "gif", "webp"])
def test_flipped_bytes_end_in_a_sentence_or_a_picture(tmp_path, kind):
    """Pillow raises IndexError for some damaged GIFs."""
    whole = encode_animation(list(torch.rand(2, 3, 20, 30, generator=torch.Generator().manual_seed(0))), kind, 100, 90)
    chance = np.random.default_rng(0)
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[chance.integers(0, min(200, len(damaged)), 3)] = chance.integers(0, 256, 3)
        (tmp_path / "a.bin").write_bytes(damaged.tobytes())
        try:
            load_image(tmp_path / "a.bin", "all")
        except GraphError as error:
            assert "a.bin" in error.message or "differ" in error.message or "smaller" in error.message
