"""The look: contrast, colours apart for every eye, shapes, fonts, icons, and a known defect of PySide6."""

from __future__ import annotations

import json
import re
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QFontInfo, QPainter, QPixmap
from PySide6.QtWidgets import QApplication

from nodegraph.registry import Registry
from ui import theme
from ui.actions import TABLE

TEXT, GRAPHIC, APART = 4.5, 3.0, 6.0
LMS = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]]
)
LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099], [0.0259040371, 0.7827717662, -0.8086757660]]
)
VISION = {  # Machado, Oliveira and Fernandes 2009, severity 1.0, in linear light
    "normal": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}
THEMES = pytest.mark.parametrize("name", ["dark", "light"])


def linear(color: QColor) -> np.ndarray:
    rgb = np.array([color.redF(), color.greenF(), color.blueF()])
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(a: QColor, b: QColor) -> float:
    """WCAG 2.x."""
    high, low = sorted((float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def seen(color: QColor, vision: str) -> np.ndarray:
    """OKLab, as an eye of this kind sees it."""
    return np.asarray(np.cbrt(np.clip(linear(color) @ VISION[vision].T, 0, 1) @ LMS.T) @ LAB.T)


@THEMES
def test_text_can_be_read_on_every_surface(name: str) -> None:
    look = theme.load(name)
    surfaces = ("canvas", "window", "panel", "panel_header", "raised", "popup", "node", "node_header", "field", "field_hover", "status")
    for ink in ("primary", "secondary", "tertiary"):
        for surface in surfaces:
            assert contrast(look.color(f"text.{ink}"), look.color(f"surface.{surface}")) >= TEXT, (ink, surface)
    for ink, under in (
        ("text.primary", "surface.hover"),
        ("text.primary", "surface.field_fill"),
        ("text.primary", "surface.field_fill_hover"),
        ("text.secondary", "surface.field_fill"),
    ):
        assert contrast(look.color(ink), look.color(under)) >= TEXT, (ink, under)
    for ink, under in (
        ("text.on_accent", "accent.base"),
        ("text.on_accent", "accent.hover"),
        ("text.on_live", "state.live"),
        ("text.on_bad", "state.bad_fill"),
        ("text.link", "surface.panel"),
    ):
        assert contrast(look.color(ink), look.color(under)) >= TEXT, (ink, under)
    for word in ("live", "ok", "warn", "bad", "bypass", "missing", "cached"):
        for surface in ("panel", "popup", "node"):
            assert contrast(look.color(f"state.{word}"), look.color(f"surface.{surface}")) >= TEXT, (word, surface)


@THEMES
def test_ports_links_and_headers_stand_out(name: str) -> None:
    look = theme.load(name)
    canvas, node = look.color("surface.canvas"), look.color("surface.node")
    for kind in look.port_shapes:
        color = look.color("port." + kind)
        assert min(contrast(color, canvas), contrast(color, node)) >= GRAPHIC, kind
        assert contrast(look.mix(color, canvas, look.tones["link"]["idle"]), canvas) >= GRAPHIC, kind
    for category in look.tones["category"]:
        header = look.header_color(category)
        assert contrast(look.color("category." + category), header) >= GRAPHIC, category
        assert contrast(look.color("text.primary"), header) >= TEXT, category
        assert contrast(look.color("text.secondary"), header) >= TEXT, category
        assert contrast(look.color("state.live_text"), header) >= TEXT, category
    for token in ("line.focus", "accent.base", "state.live", "state.bad"):
        assert min(contrast(look.color(token), canvas), contrast(look.color(token), node)) >= GRAPHIC, token


@THEMES
@pytest.mark.parametrize("vision", list(VISION))
def test_port_colours_differ_for_every_eye(name: str, vision: str) -> None:
    look = theme.load(name)
    for a, b in combinations(look.port_shapes, 2):
        apart = float(np.linalg.norm(seen(look.color("port." + a), vision) - seen(look.color("port." + b), vision))) * 100
        assert apart >= APART, (a, b, apart)


def test_every_port_type_has_a_shape_of_its_own() -> None:
    shapes = list(theme.load("dark").port_shapes.values())
    assert len(shapes) == 13 == len(set(shapes))


def test_both_themes_have_the_same_names() -> None:
    dark, light = theme.load("dark").tones, theme.load("light").tones
    assert {g: set(dark[g]) for g in dark} == {g: set(light[g]) for g in light}


def test_an_unknown_theme_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="dark, light"):
        theme.load("sepia")


def test_a_type_gets_its_port_and_an_unknown_one_the_ring() -> None:
    look = theme.load("dark")
    assert [look.port_kind(t) for t in ("Image", "float", "str", "*", "Banana")] == ["image", "number", "text", "any", "any"]


def test_text_uses_the_shipped_fonts(qapp: QApplication) -> None:
    assert QFontInfo(theme.font("body")).family() == "Inter"
    assert QFontInfo(theme.font("title")).family() == "Inter Display"
    assert QFontInfo(theme.font("value")).family() == "JetBrains Mono"
    assert QFontInfo(theme.font("node_title")).weight() == 600


def test_every_category_of_the_shipped_nodes_has_a_colour_and_an_icon() -> None:
    categories = {spec.category.split("/")[0] for spec in Registry.load(plugins=False).specs.values() if spec.category}
    look = theme.load("dark")
    assert {name for name in categories if look.category_token(name) == "category.logic"} == {"logic"}
    assert {name for name in categories if theme.category_icon(name) == "box"} == set()


def test_every_icon_of_an_action_or_category_is_shipped(qapp: QApplication) -> None:
    for name in {spec.icon for spec in TABLE.values() if spec.icon} | set(theme.CATEGORY_ICONS.values()):
        assert not theme.icon(name).pixmap(QSize(16, 16)).isNull()


def test_icons_named_in_the_code_are_shipped_and_no_others() -> None:
    root = Path(theme.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in root.rglob("*.py"))
    shipped = {path.stem for path in (root.parent / "resources" / "icons").glob("*.svg")}
    named = shipped & set(re.findall(r"\"([a-z0-9-]+)\"", code))
    asked = set(re.findall(r"(?:icon|pixmap|draw_icon)\((?:painter, )?\"([a-z0-9-]+)\"", code))
    assert asked <= shipped
    assert named == shipped


def test_an_icon_is_painted_in_the_colour_asked_for(qapp: QApplication) -> None:
    image = theme.pixmap("square", QColor("#ff0000"), 16, 2.0).toImage()
    assert image.width() == 32
    solid = [image.pixelColor(x, y) for x in range(32) for y in range(32) if image.pixelColor(x, y).alpha() > 200]
    assert solid and all(color.red() > 200 and color.green() < 30 for color in solid)


@THEMES
def test_the_small_marks_of_the_style_sheet_have_the_theme_s_colours(name: str) -> None:
    look = theme.load(name)
    folder = Path(theme.__file__).parent.parent / "resources" / "themes" / name
    for mark, token in (("chevron-down", "text.tertiary"), ("check", "text.on_accent")):
        assert look.color(token).name().lower() in (folder / f"{mark}.svg").read_text(encoding="utf-8").lower()


def test_the_style_sheet_knows_every_name_it_uses(qapp: QApplication) -> None:
    for name in ("dark", "light"):
        theme.apply(qapp, name)
        assert "$" not in qapp.styleSheet()


def test_reduced_motion_makes_every_movement_instant() -> None:
    assert theme.load("dark", True).milliseconds("zoom_fit") == 0
    assert theme.load("dark").milliseconds("zoom_fit") == 220


def test_tokens_are_plain_json() -> None:
    path = Path(theme.__file__).parent.parent / "resources" / "themes" / "tokens.json"
    assert json.loads(path.read_text(encoding="utf-8"))["version"] == 1


def test_calls_that_return_none_keep_their_reference(qapp: QApplication) -> None:
    """PySide6 6.12.0 on Python 3.11 drops a reference to None at each such call and aborts after some thousands."""
    pixmap = QPixmap(4, 4)
    painter, before = QPainter(pixmap), sys.getrefcount(None)
    for _ in range(2000):
        painter.setPen(Qt.GlobalColor.red)
    assert sys.getrefcount(None) > before - 500
    painter.end()
