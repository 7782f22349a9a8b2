"""Masks as arrays: brush stamps, shapes, fills, layers. Knows no widgets.

A mask is uint8 [height, width]: 255 is painted anew, 0 is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Rect = tuple[int, int, int, int]
"""left, top, right, bottom; right and bottom are outside."""

Role = Literal["add", "subtract"]
UNDO_BYTES = 256 * 2**20


@dataclass(frozen=True)
class Brush:
    """Diameter in pixels; `hardness` is the share of the radius that is full; `opacity` what one stroke reaches, `flow` what one stamp adds."""

    size: float = 64.0
    hardness: float = 0.4
    opacity: float = 1.0
    flow: float = 0.6

    def stamp(self, pressure: float = 1.0) -> NDArray[np.float32]:
        """A round stamp, 0..1, with a soft edge outside the hard core."""
        radius = max(0.5, self.size / 2 * pressure)
        reach = int(np.ceil(radius)) + 1
        y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
        distance = np.sqrt(x * x + y * y) / radius
        core = min(self.hardness, 1 - 1 / max(2.0, radius))
        fall = np.clip((1 - distance) / (1 - core), 0, 1)
        return (fall * fall * (3 - 2 * fall)).astype(np.float32)


@dataclass
class Layer:
    """One mask of several; `color` is its place in the theme's mask colours."""

    name: str
    plane: Plane
    role: Role = "add"
    visible: bool = True
    color: int = 0


@dataclass
class Patch:
    """What undo puts back: a part of a layer, or (with `layers`) the whole list of them."""

    layer: int
    rect: Rect
    before: Plane | None = None
    layers: list[Layer] | None = None

    @property
    def size(self) -> int:
        whole = sum(layer.plane.nbytes for layer in self.layers) if self.layers is not None else 0
        return whole + (self.before.nbytes if self.before is not None else 0)


@dataclass
class Painting:
    """Layers over a picture of `width` x `height`, with undo."""

    width: int
    height: int
    layers: list[Layer] = field(default_factory=list)
    active: int = 0
    grow: int = 0
    feather: int = 0
    density: float = 1.0
    done: list[Patch] = field(default_factory=list)
    undone: list[Patch] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.layers:
            self.layers.append(Layer("Mask", np.zeros((self.height, self.width), np.uint8)))
        self._stroke: NDArray[np.float32] | None = None
        self._base: Plane | None = None
        self._guard: NDArray[np.float32] | None = None
        self._touched: Rect | None = None

    @property
    def layer(self) -> Layer:
        return self.layers[self.active]

    # -- a stroke

    def begin(self, guard: NDArray[np.float32] | None = None) -> None:
        """Start a stroke on the active layer. `guard` 0..1 [height, width]: how far each place may be changed by it."""
        self._guard = guard
        self._base = self.layer.plane.copy()
        self._stroke = np.zeros((self.height, self.width), np.float32)
        self._touched = None

    def dab(self, x: float, y: float, brush: Brush, erase: bool, pressure: float = 1.0) -> Rect | None:
        """One stamp; what overlaps within a stroke never exceeds the brush's opacity. Returns what changed."""
        if self._stroke is None or self._base is None:
            return None
        stamp = brush.stamp(pressure) * brush.flow
        reach = stamp.shape[0] // 2
        left, top = round(x) - reach, round(y) - reach
        rect = (max(0, left), max(0, top), min(self.width, left + stamp.shape[1]), min(self.height, top + stamp.shape[0]))
        if rect[0] >= rect[2] or rect[1] >= rect[3]:
            return None
        part = stamp[rect[1] - top : rect[3] - top, rect[0] - left : rect[2] - left]
        area = (slice(rect[1], rect[3]), slice(rect[0], rect[2]))
        grown = self._stroke[area] + part * (1 - self._stroke[area])
        self._stroke[area] = grown
        share = np.minimum(grown, 1.0) * brush.opacity
        if self._guard is not None:
            share = share * self._guard[area]
        base = self._base[area].astype(np.float32)
        self.layer.plane[area] = np.round(base * (1 - share) if erase else base + (255 - base) * share).astype(np.uint8)
        self._touched = rect if self._touched is None else joined(self._touched, rect)
        return rect

    def line(self, a: tuple[float, float], b: tuple[float, float], brush: Brush, erase: bool, pressure: float = 1.0) -> Rect | None:
        """Stamps from a (left out) to b, an eighth of the brush apart."""
        length = float(np.hypot(b[0] - a[0], b[1] - a[1]))
        count = max(1, int(length / max(1.0, brush.size / 8)))
        changed: Rect | None = None
        for number in range(1, count + 1):
            share = number / count
            rect = self.dab(a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share, brush, erase, pressure)
            if rect is not None:
                changed = rect if changed is None else joined(changed, rect)
        return changed

    def end(self) -> None:
        """Finish the stroke as one step of undo."""
        if self._base is not None and self._touched is not None:
            l, t, r, b = self._touched  # noqa: E741
            self._push(Patch(self.active, self._touched, self._base[t:b, l:r].copy()))
        self._base = self._stroke = self._touched = self._guard = None

    # -- shapes and whole planes

    def change(self, plane: Plane) -> None:
        """Put a whole plane in place of the active layer's."""
        self._push(Patch(self.active, (0, 0, self.width, self.height), self.layer.plane.copy()))
        self.layer.plane[...] = plane

    def combine(self, area: Plane, erase: bool) -> None:
        """Add an area to the active layer, or take it away."""
        now = self.layer.plane
        self.change(np.minimum(now, 255 - area) if erase else np.maximum(now, area))

    def invert(self) -> None:
        self.change(255 - self.layer.plane)

    def clear(self) -> None:
        self.change(np.zeros_like(self.layer.plane))

    def fill_holes(self) -> None:
        """Paint what is closed in by what is painted."""
        outside = flood(self.layer.plane < 128, border_of(self.layer.plane.shape))
        self.change(np.where((self.layer.plane < 128) & ~outside, 255, self.layer.plane).astype(np.uint8))

    # -- layers

    def add_layer(self, name: str) -> None:
        self._keep_layers()
        used = {layer.color for layer in self.layers}
        color = next((number for number in range(3) if number not in used), len(self.layers) % 3)
        self.layers.append(Layer(name, np.zeros((self.height, self.width), np.uint8), color=color))
        self.active = len(self.layers) - 1

    def remove_layer(self, index: int) -> None:
        if len(self.layers) > 1:
            self._keep_layers()
            self.layers.pop(index)
            self.active = min(self.active, len(self.layers) - 1)

    def set_role(self, index: int, role: Role) -> None:
        self._keep_layers()
        self.layers[index].role = role

    def rename(self, index: int, name: str) -> None:
        if name.strip() and name.strip() != self.layers[index].name:
            self._keep_layers()
            self.layers[index].name = name.strip()

    def move_layer(self, index: int, by: int) -> None:
        """Up (-1) or down (1) in the list; what comes later lies above."""
        target = index + by
        if 0 <= target < len(self.layers):
            self._keep_layers()
            self.layers.insert(target, self.layers.pop(index))
            self.active = target

    def _keep_layers(self) -> None:
        copies = [Layer(one.name, one.plane.copy(), one.role, one.visible, one.color) for one in self.layers]
        self._push(Patch(self.active, (0, 0, 0, 0), layers=copies))

    # -- undo

    def _push(self, patch: Patch) -> None:
        self.done.append(patch)
        self.undone.clear()
        while sum(one.size for one in self.done) > UNDO_BYTES and len(self.done) > 1:
            self.done.pop(0)

    def undo(self) -> bool:
        return self._swap(self.done, self.undone)

    def redo(self) -> bool:
        return self._swap(self.undone, self.done)

    def _swap(self, source: list[Patch], target: list[Patch]) -> bool:
        if not source:
            return False
        patch = source.pop()
        if patch.layers is not None:
            target.append(Patch(self.active, patch.rect, layers=self.layers))
            self.layers, self.active = patch.layers, min(patch.layer, len(patch.layers) - 1)
        elif patch.before is not None:
            l, t, r, b = patch.rect  # noqa: E741
            plane = self.layers[patch.layer].plane
            target.append(Patch(patch.layer, patch.rect, plane[t:b, l:r].copy()))
            plane[t:b, l:r] = patch.before
            self.active = patch.layer
        return True

    # -- the whole

    def combined(self, rect: Rect | None = None) -> Plane:
        """All visible layers as one mask, before grow and feather."""
        l, t, r, b = rect or (0, 0, self.width, self.height)  # noqa: E741
        whole = np.zeros((b - t, r - l), np.uint8)
        for layer in self.layers:
            if layer.visible:
                part = layer.plane[t:b, l:r]
                whole = np.maximum(whole, part) if layer.role == "add" else np.minimum(whole, 255 - part)
        return whole

    def result(self) -> Plane:
        """What goes into the graph: the layers, grown, feathered and thinned as asked."""
        return shaped(self.combined(), self.grow, self.feather, self.density)

    @property
    def is_empty(self) -> bool:
        return not any(layer.plane.any() for layer in self.layers)


def joined(a: Rect, b: Rect) -> Rect:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def shaped(plane: Plane, grow: int, feather: int, density: float) -> Plane:
    """Grown by so many pixels (shrunk if negative), its edge softened, and all of it thinned."""
    if grow or feather:
        from PIL import Image, ImageFilter

        picture = Image.fromarray(plane)
        for _ in range(abs(grow)):
            picture = picture.filter(ImageFilter.MaxFilter(3) if grow > 0 else ImageFilter.MinFilter(3))
        if feather:
            picture = picture.filter(ImageFilter.GaussianBlur(feather / 2))
        plane = np.asarray(picture)
    return plane if density >= 1 else np.round(plane * density).astype(np.uint8)


def border_of(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """True along the four sides."""
    made = np.zeros(shape, bool)
    made[0, :] = made[-1, :] = made[:, 0] = made[:, -1] = True
    return made


def flood(free: NDArray[np.bool_], seeds: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What can be reached from the seeds over what is free, in four directions: spans of rows and columns by turns until nothing is new."""
    reached = free & seeds
    while True:
        before = np.count_nonzero(reached)
        for axis in (1, 0):
            reached = _spread(free, reached, axis)
        if np.count_nonzero(reached) == before:
            return reached


def _spread(free: NDArray[np.bool_], reached: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Every run of free cells along an axis that holds a reached one is reached as a whole."""
    walls = np.cumsum(~free, axis=axis)
    lines = np.arange(free.shape[1 - axis])
    keys = walls + (lines[:, None] if axis == 1 else lines[None, :]) * (free.shape[axis] + 1)
    hit = np.zeros(int(keys.max()) + 1, bool)
    hit[keys[reached]] = True
    return free & hit[keys]


def alike(picture: NDArray[np.uint8], x: int, y: int, tolerance: int) -> Plane:
    """The connected area around a point whose colours lie within `tolerance` (0..255) of its own."""
    target = picture[y, x, :3].astype(np.int16)
    free = (np.abs(picture[:, :, :3].astype(np.int16) - target).max(axis=2)) <= tolerance
    seeds = np.zeros(free.shape, bool)
    seeds[y, x] = True
    return np.where(flood(free, seeds), 255, 0).astype(np.uint8)


def like_here(picture: NDArray[np.uint8], x: int, y: int, tolerance: int) -> NDArray[np.float32]:
    """How far each place has the colour of one point: 1 within `tolerance` (0..255) of it, falling to 0 at twice that. For brushes that keep to edges."""
    target = picture[y, x, :3].astype(np.int16)
    apart = np.abs(picture[:, :, :3].astype(np.int16) - target).max(axis=2)
    return np.clip((2 * tolerance - apart) / max(1, tolerance), 0, 1).astype(np.float32)


def polygon(points: Sequence[tuple[float, float]], width: int, height: int) -> Plane:
    """The inside of a closed line."""
    from PIL import Image, ImageDraw

    picture = Image.new("L", (width, height), 0)
    if len(points) >= 3:
        ImageDraw.Draw(picture).polygon(list(points), fill=255)
    return np.asarray(picture).copy()
