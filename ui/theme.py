"""Every colour, size, time, font and icon of the interface, read from resources/themes/tokens.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from PySide6.QtCore import QByteArray, QEasingCurve, QObject, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontMetricsF, QIcon, QIconEngine, QPainter, QPalette, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import QApplication, QStyleFactory

from nodegraph.folders import RESOURCES
from ui.stylesheet import stylesheet

FONT_FOLDER: Final = RESOURCES / "fonts"
FONT_FILES: Final = (
    "Inter-Regular.otf",
    "Inter-Medium.otf",
    "Inter-SemiBold.otf",
    "InterDisplay-SemiBold.otf",
    "JetBrainsMono-Regular.ttf",
    "JetBrainsMono-Medium.ttf",
)
CATEGORY_ICONS: Final[Mapping[str, str]] = {
    "loaders": "package",
    "conditioning": "text-quote",
    "sampling": "sparkles",
    "latent": "grid-2x2",
    "image": "image",
    "mask": "venetian-mask",
    "control": "scan-line",
    "preprocess": "scan-line",
    "adapters": "puzzle",
    "upscale": "image-upscale",
    "text": "type",
    "logic": "git-branch",
    "remote": "cloud",
    "subgraph": "workflow",
}
CATEGORY_TONES: Final[Mapping[str, str]] = {"preprocess": "control"}
"""Categories that have the colour of another: a depth map is made for a ControlNet."""
VALUE_PORTS: Final[Mapping[str, str]] = {
    "int": "number",
    "float": "number",
    "bool": "number",
    "str": "text",
    "path": "text",
    "Path": "text",
}


@dataclass(frozen=True)
class Theme:
    """The tokens of one theme. `color("surface.canvas")` and the like; unknown names raise KeyError."""

    name: str
    size: Mapping[str, float]
    space: Mapping[str, int]
    radius: Mapping[str, int]
    opacity: Mapping[str, float]
    motion: Mapping[str, Any]
    type: Mapping[str, Mapping[str, Any]]
    port_shapes: Mapping[str, str]
    port_labels: Mapping[str, str]
    tones: Mapping[str, Mapping[str, Any]]
    reduced_motion: bool = False
    _colors: dict[tuple[str, float | None], QColor] = field(default_factory=dict, compare=False, repr=False)
    _kinds: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_dark(self) -> bool:
        return self.name == "dark"

    def color(self, name: str, alpha: float | None = None) -> QColor:
        """A colour by token ("text.primary") or by "#RRGGBB[AA]"; `alpha` (0 to 1) replaces its opacity. Do not change what you get."""
        found = self._colors.get((name, alpha))
        if found is None:
            if name.startswith("#"):
                text = name
            else:
                group, _, key = name.partition(".")
                text = self.tones[group][key]
            found = QColor(text[:7])
            if len(text) == 9:
                found.setAlpha(int(text[7:9], 16))
            if alpha is not None:
                found.setAlphaF(alpha)
            self._colors[name, alpha] = found
        return found

    def known(self, name: str | None, otherwise: str) -> str:
        """A colour name that came from a file, if it is one: a token, or "#rrggbb"."""
        if not name:
            return otherwise
        if name.startswith("#"):
            return name if len(name) in (7, 9) and QColor.isValidColorName(name[:7]) else otherwise
        group, _, key = name.partition(".")
        return name if isinstance(self.tones.get(group, {}).get(key), str) else otherwise

    def mix(self, over: str | QColor, under: str | QColor, share: float) -> QColor:
        """`share` of one colour over another, as a painter would blend them. Do not change what you get."""
        if isinstance(over, str) and isinstance(under, str):
            key = (over + "|" + under, share)
            if key not in self._colors:
                self._colors[key] = self.mix(self.color(over), self.color(under), share)
            return self._colors[key]
        a = over if isinstance(over, QColor) else self.color(over)
        b = under if isinstance(under, QColor) else self.color(under)
        parts = zip((a.red(), a.green(), a.blue()), (b.red(), b.green(), b.blue()), strict=True)
        return QColor(*[round(x * share + y * (1 - share)) for x, y in parts])

    def port_kind(self, type_name: str) -> str:
        """The port's look (a key of `port_shapes`) for a type name such as "Image", "float" or "*"."""
        if not self._kinds:
            self._kinds.update({label: kind for kind, label in self.port_labels.items()})
            self._kinds.update(VALUE_PORTS)
        return self._kinds.get(type_name, "any")

    def port_color(self, type_name: str, alpha: float | None = None) -> QColor:
        return self.color("port." + self.port_kind(type_name), alpha)

    def port_color_of(self, kind: str) -> QColor:
        """A port's colour by its kind (a key of `port_shapes`)."""
        return self.color("port." + kind)

    def category_token(self, category: str) -> str:
        """The colour token of a node's category; sub-categories ("image/filter") take their parent's, unknown ones grey."""
        head = category.split("/", 1)[0]
        head = CATEGORY_TONES.get(head, head)
        return "category." + (head if head in self.tones["category"] else "logic")

    def header_color(self, category: str) -> QColor:
        return self.mix(self.category_token(category), "surface.node_header", self.opacity[f"header_tint_{self.name}"])

    def milliseconds(self, name: str) -> int:
        """How long a movement takes; 0 for all of them under reduced motion."""
        return 0 if self.reduced_motion else int(self.motion[name])


def easing(name: str) -> QEasingCurve:
    """A curve by its token: "easing_out" or "easing_in_out"."""
    return QEasingCurve(getattr(QEasingCurve.Type, tokens()["motion"][name]))


def color_of(rgba: int) -> QColor:
    return QColor.fromRgba(rgba)


def category_icon(category: str) -> str:
    return CATEGORY_ICONS.get(category.split("/", 1)[0], "box")


@lru_cache(maxsize=1)
def tokens() -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((RESOURCES / "themes" / "tokens.json").read_text(encoding="utf-8"))
    return content


@lru_cache(maxsize=4)
def load(name: str, reduced_motion: bool = False) -> Theme:
    """The theme "dark" or "light"."""
    content = tokens()
    if name not in content["themes"]:
        raise ValueError(f"There is no theme '{name}'. Choose one of: {', '.join(content['themes'])}.")
    parts = {key: content[key] for key in ("size", "space", "radius", "opacity", "motion", "type", "port_shapes", "port_labels")}
    return Theme(name=name, tones=content["themes"][name], reduced_motion=reduced_motion, **parts)


class _Watch(QObject):
    """Tells open windows that the theme was changed."""

    changed = Signal(object)  # Theme


class _Now:
    """The one theme in use; a program has one look at a time."""

    theme: Theme | None = None
    watch: _Watch | None = None


def current() -> Theme:
    """The theme in use ("dark" until `apply` was called)."""
    if _Now.theme is None:
        _Now.theme = load("dark")
    return _Now.theme


def watch() -> _Watch:
    """`watch().changed` is emitted with the new Theme after each `apply`."""
    if _Now.watch is None:
        _Now.watch = _Watch()
    return _Now.watch


def apply(app: QApplication, name: str, reduced_motion: bool = False) -> Theme:
    """Dress the whole program: Fusion, palette, fonts and style sheet; open windows change at once."""
    theme = load(name, reduced_motion)
    _Now.theme = theme
    load_fonts()
    app.setStyle(QStyleFactory.create("Fusion"))
    app.setPalette(palette(theme))
    app.setFont(font("body"))
    app.setStyleSheet(stylesheet(theme, RESOURCES / "themes" / name))
    watch().changed.emit(theme)
    return theme


@lru_cache(maxsize=1)
def load_fonts() -> tuple[str, ...]:
    """Register the shipped fonts with Qt (needs an application); returns the family names."""
    families: list[str] = []
    for name in FONT_FILES:
        number = QFontDatabase.addApplicationFont(str(FONT_FOLDER / name))
        families += QFontDatabase.applicationFontFamilies(number) if number >= 0 else []
    return tuple(dict.fromkeys(families))


@lru_cache(maxsize=64)
def font(role: str, weight: int | None = None, mono: bool = False, px: int | None = None) -> QFont:
    """A font by its role in the type scale ("body", "caption", "value", "heading" ...). Do not change what you get."""
    load_fonts()
    spec = tokens()["type"][role]
    size = px or spec["px"]
    is_mono = mono or spec.get("family") == "mono"
    made = QFont("JetBrains Mono" if is_mono else "Inter Display" if size >= 20 else "Inter")
    made.setPixelSize(size)
    made.setWeight(QFont.Weight(weight or spec["weight"]))
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if not is_mono:
        made.setFeature(QFont.Tag("tnum"), 1)
        made.setFeature(QFont.Tag("cv05"), 1)
    return made


@lru_cache(maxsize=64)
def metrics(role: str, weight: int | None = None, mono: bool = False, px: int | None = None) -> QFontMetricsF:
    return QFontMetricsF(font(role, weight, mono, px))


def palette(theme: Theme) -> QPalette:
    made, role, color = QPalette(), QPalette.ColorRole, theme.color
    for which, token in {
        role.Window: "surface.window",
        role.WindowText: "text.primary",
        role.Base: "surface.field",
        role.AlternateBase: "surface.panel",
        role.Text: "text.primary",
        role.PlaceholderText: "text.tertiary",
        role.Button: "surface.raised",
        role.ButtonText: "text.primary",
        role.BrightText: "text.primary",
        role.ToolTipBase: "surface.popup",
        role.ToolTipText: "text.primary",
        role.Highlight: "accent.base",
        role.HighlightedText: "text.on_accent",
        role.Link: "text.link",
        role.LinkVisited: "text.link",
        role.Light: "surface.raised",
        role.Midlight: "surface.hover",
        role.Mid: "line.soft",
        role.Dark: "line.hair",
        role.Shadow: "line.hair",
        role.Accent: "accent.base",
    }.items():
        made.setColor(which, color(token))
    for which in (role.WindowText, role.Text, role.ButtonText):
        made.setColor(QPalette.ColorGroup.Disabled, which, color("text.disabled"))
    return made


# Icons ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _renderer(name: str, color: str, stroke: float) -> QSvgRenderer:
    source = (RESOURCES / "icons" / f"{name}.svg").read_text(encoding="utf-8")
    source = source.replace("currentColor", color).replace('stroke-width="2"', f'stroke-width="{stroke}"')
    return QSvgRenderer(QByteArray(source.encode()))


def draw_icon(painter: QPainter, name: str, rect: QRectF, color: QColor, stroke: float | None = None) -> None:
    """Paint a Lucide icon as vectors; the stroke is 2 up to 14 px and 1.75 above, in the icon's 24 grid."""
    width = stroke if stroke is not None else 2.0 if rect.width() <= 14 else 1.75
    renderer = _renderer(name, color.name(), width)
    if color.alpha() < 255:
        painter.save()
        painter.setOpacity(painter.opacity() * color.alphaF())
        renderer.render(painter, rect)
        painter.restore()
    else:
        renderer.render(painter, rect)


@lru_cache(maxsize=1024)
def _pixmap(name: str, rgba: int, size: float, ratio: float) -> QPixmap:
    side = max(1, round(size * ratio))
    made = QPixmap(side, side)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    draw_icon(painter, name, QRectF(0, 0, side, side), QColor.fromRgba(rgba), 2.0 if size <= 14 else 1.75)
    painter.end()
    made.setDevicePixelRatio(ratio)
    return made


def pixmap(name: str, color: str | QColor = "text.secondary", size: float = 16, ratio: float = 1.0) -> QPixmap:
    """An icon as a pixmap of `size` device-independent px at a device pixel ratio; cached."""
    tone = color if isinstance(color, QColor) else current().color(color)
    return _pixmap(name, tone.rgba(), size, ratio)


class _LucideEngine(QIconEngine):
    """Renders at whatever size and ratio is asked for, in the theme's colour of the moment."""

    def __init__(self, name: str, color: str, checked: str | None) -> None:
        super().__init__()
        self._name, self._color, self._checked = name, color, checked

    def clone(self) -> QIconEngine:
        return _LucideEngine(self._name, self._color, self._checked)

    def paint(self, painter: QPainter, rect: Any, mode: QIcon.Mode, state: QIcon.State) -> None:
        side = min(rect.width(), rect.height())
        box = QRectF(rect.x() + (rect.width() - side) / 2, rect.y() + (rect.height() - side) / 2, side, side)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_icon(painter, self._name, box, self._tone(mode, state))

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        return self.scaledPixmap(size, mode, state, 1.0)

    def scaledPixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State, scale: float) -> QPixmap:
        made = _pixmap(self._name, self._tone(mode, state).rgba(), min(size.width(), size.height()), scale)
        return QPixmap(made)

    def _tone(self, mode: QIcon.Mode, state: QIcon.State) -> QColor:
        theme = current()
        if mode == QIcon.Mode.Disabled:
            return theme.color("text.disabled")
        if self._checked is not None and state == QIcon.State.On:
            return theme.color(self._checked)
        return theme.color(self._color)


@lru_cache(maxsize=64)
def swatch(token: str, theme_name: str) -> QIcon:
    """A small square of a colour, for menus."""
    made = QPixmap(32, 32)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(load(theme_name).color(token))
    painter.drawRoundedRect(QRectF(4, 4, 24, 24), 6, 6)
    painter.end()
    return QIcon(made)


def icon(name: str, color: str = "text.secondary", checked: str | None = None) -> QIcon:
    """A QIcon that follows the theme; `color` and `checked` (shown when On) are tokens. Raises FileNotFoundError for a name that is not shipped."""
    _renderer(name, "#000000", 2.0)
    return QIcon(_LucideEngine(name, color, checked))
