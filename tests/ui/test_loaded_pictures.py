"""What a node will load is seen on it before anything runs; a graph from elsewhere opens no other files for that."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QSize
from PySide6.QtGui import QColor, QImage

from nodegraph.folders import Folders
from nodegraph.graph import Graph, Node
from nodegraph.registry import Registry
from ui.canvas.model import RunState
from ui.document import Document
from ui.loaded_pictures import LoadedPictures, source_of
from ui.mask_values import encode
from ui.threads import background
from ui.thumbnails import framed


@pytest.fixture
def folders(tmp_path):
    made = Folders(tmp_path, tmp_path / "cache", tmp_path / "out")
    made.input.mkdir(parents=True, exist_ok=True)
    for name, tone in (("red.png", "red"), ("blue.png", "blue")):
        picture = QImage(6, 4, QImage.Format.Format_RGB32)
        picture.fill(QColor(tone))
        picture.save(str(made.input / name))
    return made


@pytest.fixture(scope="module")
def specs():
    return Registry.load(plugins=False).specs


def seen(document, pictures, name):
    pictures.look()
    background().drain()
    return document.states[name].preview if name in document.states else None


def test_a_picture_file_shows_on_its_node_and_another_takes_its_place(qapp, folders, specs):
    document = Document(specs, Graph().with_node(Node("photo", "image/load", {"file": "red.png"})))
    pictures = LoadedPictures(document, folders)
    assert seen(document, pictures, "photo").pixelColor(0, 0) == QColor("red")
    assert not document.is_dirty
    document.edit("Choose", lambda g: g.with_value("photo", "file", "blue.png"))
    assert seen(document, pictures, "photo").pixelColor(0, 0) == QColor("blue")


def test_a_painted_mask_shows_on_its_node(qapp, folders, specs):
    plane = np.zeros((4, 6), np.uint8)
    plane[:, 3:] = 255
    document = Document(specs, Graph().with_node(Node("mask", "mask/paint", {"drawing": encode(plane)})))
    image = seen(document, LoadedPictures(document, folders), "mask")
    assert (image.width(), image.height()) == (6, 4) and image.pixelColor(5, 0) == QColor("white") and image.pixelColor(0, 0) == QColor("black")


def test_what_a_run_showed_stays(qapp, folders, specs):
    document = Document(specs, Graph().with_node(Node("photo", "image/load", {"file": "red.png"})))
    made = QImage(2, 2, QImage.Format.Format_RGB32)
    document.set_states({"photo": RunState("done", preview=made)})
    assert seen(document, LoadedPictures(document, folders), "photo").cacheKey() == made.cacheKey()


@pytest.mark.parametrize("name", ["/srv/secret.png", "\\\\server\\share\\x.png", "//server/share/x.png", "C:\\x.png", "..\\x.png", "../x.png", "a/../../x.png"])
def test_files_outside_the_users_folders_are_not_opened_for_a_look(folders, specs, name):
    assert source_of(Node("photo", "image/load", {"file": name}), specs["image/load"], folders, folders.home) is None


@pytest.mark.parametrize(("width", "height"), [(60, 20), (20, 60)])
def test_a_card_of_another_shape_shows_the_whole_picture(qapp, width, height):
    picture = QImage(10, 10, QImage.Format.Format_RGB32)
    picture.fill(QColor(200, 0, 0))
    for place in range(10):
        picture.setPixelColor(place, 0, QColor(0, 0, 255))
        picture.setPixelColor(place, 9, QColor(0, 255, 0))
    made = framed(picture, QSize(width, height))
    x, y = (width - 20) // 2, (height - 20) // 2
    assert made.size() == QSize(width, height)
    assert made.pixelColor(x + 10, y).blue() > 200 and made.pixelColor(x + 10, y + 19).green() > 200
    assert max(made.pixelColor(1, 1).getRgb()[:3]) < 200  # beside it, its edge runs on, dimmer
