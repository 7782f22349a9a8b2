"""One node as an item without children: it blits its body from a cache of pixmaps and paints what moves on top."""

from __future__ import annotations

import time
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPixmap, QTransform

from nodegraph.graph import Node
from nodegraph.spec import NodeSpec
from ui import theme as themes
from ui.canvas.anatomy import HEADER, Anatomy
from ui.canvas.curve_paint import joined, paint_reached
from ui.canvas.item import Item
from ui.canvas.live_paint import error_rect, fitted_preview, paint_empty_preview, paint_error, paint_progress, paint_ticks
from ui.canvas.model import RunState
from ui.canvas.node_paint import MARGIN, Look, paint_badge, paint_body, paint_dot, paint_ports
from ui.canvas.paint import draw_text, patch, scale_step, snapped
from ui.theme import Theme

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene

FADE = 0.090  # s: one live frame turns into the next


class BodyCache:
    """Painted bodies by node, the least recently seen going first when the budget is spent."""

    def __init__(self, budget: int = 12_000_000) -> None:
        self.budget = budget  # bytes
        self.used = 0
        self._kept: OrderedDict[str, tuple[QPixmap, float, bool, int]] = OrderedDict()

    def get(self, key: str) -> tuple[QPixmap, float, bool, int] | None:
        """The pixmap, its scale, whether it has all detail, and the revision it shows."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, key: str, pixmap: QPixmap, scale: float, detail: bool, revision: int) -> None:
        self.forget(key)
        self._kept[key] = (pixmap, scale, detail, revision)
        self.used += pixmap.width() * pixmap.height() * 4
        while self.used > self.budget and len(self._kept) > 1:
            self.forget(next(iter(self._kept)))

    def forget(self, key: str) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self.used -= old[0].width() * old[0].height() * 4

    def clear(self) -> None:
        self._kept.clear()
        self.used = 0


class CachedItem(Item):
    """An item whose still part is painted once for each scale and then blitted."""

    key = ""  # in the cache

    def __init__(self, scene: GraphScene) -> None:
        super().__init__(scene)
        self.revision = 0

    def paint_still(self, painter: QPainter, theme: Theme, scale: float, detail: bool) -> None:
        """Paint from the item's origin; up to MARGIN outside its size is kept."""
        raise NotImplementedError

    def changed(self) -> None:
        """The still part must be painted anew."""
        self.revision += 1
        self.update()

    def blit_still(self, painter: QPainter, theme: Theme, transform: QTransform, scale: float, detail: bool) -> None:
        cache = self._scene.bodies
        kept = cache.get(self.key)
        fresh = kept is not None and kept[3] == self.revision and kept[2] == detail
        if kept is not None and fresh and abs(kept[1] - scale) < 1e-6:
            self.blit(painter, transform, kept[0], -MARGIN, -MARGIN)
            return
        if kept is not None and fresh and self._scene.zooming and 0.5 < kept[1] / scale < 2:
            pixmap, unit = kept[0], kept[1]  # soft while the zoom moves; sharp 120 ms after it rests
            pixmap.setDevicePixelRatio(1.0)
            painter.drawPixmap(
                QRectF(-MARGIN, -MARGIN, pixmap.width() / unit, pixmap.height() / unit),
                pixmap,
                QRectF(0, 0, pixmap.width(), pixmap.height()),
            )
            return
        size = self.size()
        pixmap = QPixmap(max(1, round((size[0] + 2 * MARGIN) * scale)), max(1, round((size[1] + 2 * MARGIN) * scale)))
        pixmap.fill(Qt.GlobalColor.transparent)
        body = QPainter(pixmap)
        body.setRenderHints(
            QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform | QPainter.RenderHint.TextAntialiasing
        )
        origin = round(MARGIN * scale)  # a whole device pixel, so that lines inside fall on pixels too
        body.translate(origin, origin)
        body.scale(scale, scale)
        self.paint_still(body, theme, scale, detail)
        body.end()
        cache.put(self.key, pixmap, scale, detail, self.revision)
        self.blit(painter, transform, pixmap, -MARGIN, -MARGIN)

    def blit(self, painter: QPainter, transform: QTransform, pixmap: QPixmap, x: float, y: float) -> None:
        """A pixmap made for this very scale, on whole device pixels."""
        ratio = self._scene.ratio
        scale = transform.m11() * ratio
        left = round(transform.dx() * ratio) + round(x * scale)
        top = round(transform.dy() * ratio) + round(y * scale)
        painter.setWorldTransform(QTransform.fromTranslate(left / ratio, top / ratio))
        if pixmap.devicePixelRatio() != ratio:
            pixmap.setDevicePixelRatio(ratio)
        painter.drawPixmap(QPointF(0, 0), pixmap)
        painter.setWorldTransform(transform)


class NodeItem(CachedItem):
    """Shows one node. It decides nothing: the scene tells it what to show."""

    def __init__(self, scene: GraphScene, node: Node, spec: NodeSpec, look: Look) -> None:
        super().__init__(scene)
        self.key = node.id
        self.node, self.spec, self.look = node, spec, look
        self._bounds = QRectF()
        self._preview: QPixmap | None = None
        self._preview_key: tuple[int, int, int, bool] = (0, 0, 0, False)
        self._before: QPixmap | None = None
        self._since = 0.0
        self.set_pos(*self.corner(node.position))
        self._set_bounds()
        self.z = 1.0

    @property
    def anatomy(self) -> Anatomy:
        return self.look.anatomy

    def corner(self, position: tuple[float, float]) -> tuple[float, float]:
        """Where the item's origin lies: a dot's position is its middle."""
        if self.look.anatomy.is_dot:
            return position[0] - self.look.anatomy.width / 2, position[1] - self.look.anatomy.height / 2
        return position

    def show_node(self, node: Node, spec: NodeSpec, look: Look) -> None:
        """Show another state of the node."""
        look.hovered, look.hovered_row = self.look.hovered, self.look.hovered_row
        self.update()
        self.node, self.spec, self.look = node, spec, look
        self._set_bounds()
        self.set_pos(*self.corner(node.position))
        self.changed()

    def show_run(self, run: RunState) -> None:
        """Another moment of the run. Only a change of what stands still on the body repaints it."""
        before = self.look.run
        self.look.run = run
        if (
            run.preview is not None
            and before.preview is not None
            and run.preview.cacheKey() != before.preview.cacheKey()
            and self._preview is not None
        ):
            self._before, self._since = self._preview, time.monotonic()
        still = ("state", "message", "input", "place", "seconds", "note", "seed")
        if run.state != before.state or run.curves != before.curves or (run.state != "running" and any(getattr(run, name) != getattr(before, name) for name in still)):
            self.update()
            self._set_bounds()
            self.changed()
        elif self.anatomy.preview is not None and not self.anatomy.folded:
            if run.preview is not before.preview or run.done != before.done:
                self.update(QRectF(*self.anatomy.preview))
            self.update(self._header_core())
        else:
            self.update(self._header_core())

    def _header_core(self) -> QRectF:
        """The part of the header that changes during a run, without the round corners that show what lies behind."""
        return QRectF(5, 10, self.anatomy.width - 10, HEADER - 8)

    def covers(self, area: QRectF) -> bool:
        """Whether nothing behind this node can be seen in an area."""
        core = QRectF(self._x + 3, self._y + 4, self.anatomy.width - 6, self.anatomy.height - 8)
        return core.contains(area) and self.look.mode == "on" and not self.anatomy.is_dot and not self.anatomy.folded

    def select(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.z = 2.0 if selected else 1.0
            self.update()

    def hover(self, hovered: bool, row: str | None = None) -> None:
        if (hovered, row) != (self.look.hovered, self.look.hovered_row):
            self.look.hovered, self.look.hovered_row = hovered, row
            self.changed()

    def _set_bounds(self) -> None:
        margin = MARGIN + 6
        bottom = margin
        if self.look.run.state == "failed" and self.look.run.message:
            rect, inside = error_rect(self.anatomy, self.look.run.message)
            bottom = margin if inside else max(margin, rect.bottom() - self.anatomy.height + 2)
        self._bounds = QRectF(0, 0, self.anatomy.width, self.anatomy.height).adjusted(-margin, -margin, margin, bottom)

    def reach(self) -> QRectF:
        return self._bounds

    def paint(self, painter: QPainter) -> None:
        scene, look = self._scene, self.look
        theme = scene.theme
        if look.anatomy.is_dot:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_dot(painter, theme, look.anatomy, self.selected, look.hovered)
            return
        transform = painter.worldTransform()
        zoom = transform.m11()
        scale = zoom * scene.ratio
        detail = zoom >= theme.size["lod_full"] - 1e-3
        running = look.run.state == "running"
        inside = QRectF(self._x, self._y, look.anatomy.width, look.anatomy.height)
        rim = not inside.contains(scene.area)  # a preview tick touches the inside only
        box = snapped(0, 0, look.anatomy.width, look.anatomy.height, scale)
        if running and rim:
            patch("halo", theme.name, scale_step(scale)).paint(painter, box)
        self.blit_still(painter, theme, transform, scale, detail)
        area = scene.area
        if look.anatomy.preview is not None and not look.anatomy.folded and area.bottom() >= self._y + look.anatomy.preview[1]:
            self._paint_preview(painter, theme, transform, scale, detail)
        if look.anatomy.curve is not None and not look.anatomy.folded:
            level = scene.runs.level_reached(self.node.id)
            if level is not None:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                values = joined(look.run.curves or {}, look.outputs)
                paint_reached(painter, theme, snapped(*look.anatomy.curve, scale), values, level)
        if running and area.top() <= self._y + HEADER + 2:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_progress(painter, theme, look.anatomy, look.run)
            if detail:
                paint_badge(painter, theme, look, look.anatomy.width - 8 - (6 if look.anatomy.folded else 0))
        if look.run.state == "failed" and look.run.message and detail:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_error(painter, theme, look.anatomy, look.run.message)
        if self.selected and rim:
            patch("ring", theme.name, scale_step(scale)).paint(painter, box)
            if detail:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                paint_ports(painter, theme, look)

    def size(self) -> tuple[float, float]:
        return self.anatomy.width, self.anatomy.height

    def paint_still(self, painter: QPainter, theme: Theme, scale: float, detail: bool) -> None:
        paint_body(painter, theme, self.look, scale, detail)

    def _paint_preview(self, painter: QPainter, theme: Theme, transform: QTransform, scale: float, detail: bool) -> None:
        assert self.anatomy.preview is not None
        run = self.look.run
        x, y, width, height = self.anatomy.preview
        rect = snapped(x, y, width, height, scale)
        if run.preview is None or run.preview.isNull():
            if detail and not self._scene.zooming:
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.setOpacity(self.look.opacity)
                words = self._scene.runs.waiting_words(self.node.id)
                if run.state == "failed" and run.message:
                    taken, inside = error_rect(self.anatomy, run.message)
                    rect = rect.adjusted(0, 0, 0, -taken.height()) if inside else rect
                paint_empty_preview(painter, theme, rect, words)
                painter.setOpacity(1.0)
            return
        running = run.state == "running"
        key = (run.preview.cacheKey(), round(rect.width() * scale), round(rect.height() * scale), running)
        if key != self._preview_key or self._preview is None:
            same = key[0] == self._preview_key[0] and self._preview is not None
            if not (same and self._scene.zooming):
                self._preview = fitted_preview(run.preview, rect.width(), rect.height(), scale, self.look.opacity, running)
                self._preview_key = key
        assert self._preview is not None
        elapsed = time.monotonic() - self._since
        if self._before is not None and elapsed < FADE and not theme.reduced_motion:
            self._draw_preview(painter, transform, self._before, rect, scale)
            painter.setOpacity(elapsed / FADE)
            self._draw_preview(painter, transform, self._preview, rect, scale)
            painter.setOpacity(1.0)
            self._scene.runs.fade_again(self)
        else:
            self._before = None
            self._draw_preview(painter, transform, self._preview, rect, scale)
        if running and run.total and detail:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_ticks(painter, theme, rect, run)

    def _draw_preview(self, painter: QPainter, transform: QTransform, pixmap: QPixmap, rect: QRectF, scale: float) -> None:
        wide, high = pixmap.width() / pixmap.devicePixelRatio(), pixmap.height() / pixmap.devicePixelRatio()
        if abs(pixmap.width() - round(rect.width() * scale)) <= 1 and abs(pixmap.height() - round(rect.height() * scale)) <= 1:
            self.blit(painter, transform, pixmap, rect.x(), rect.y())
        else:
            painter.drawPixmap(rect, pixmap, QRectF(0, 0, wide * pixmap.devicePixelRatio(), high * pixmap.devicePixelRatio()))

    # -- from afar

    def paint_far(self, painter: QPainter, theme: Theme, zoom: float) -> None:
        """What a plain block does not tell: name, picture, state. The painter is in screen px; blocks are painted by the view."""
        made, run, ratio = self.look.anatomy, self.look.run, self._scene.ratio
        left, top, width, height = self._x * zoom, self._y * zoom, made.width * zoom, made.height * zoom
        name_room = 0.0
        badge = run.state in ("failed", "running") and width >= 8
        if width >= 44 and height >= 14:
            name_room = 17.0
            name = far_name(self.look.title, int(width - (24 if badge else 8)) // 8 * 8, theme.name, ratio)
            painter.drawPixmap(QPointF(round(left + 4), round(top + 1)), name)
        preview = run.preview
        if preview is not None and not preview.isNull() and made.preview is not None and height - name_room > 14:
            x, y, wide, high = (v * zoom for v in made.preview)
            target = QRectF(left + x, top + max(y, name_room + 1), wide, high - max(0.0, name_room + 1 - y))
            key = (preview.cacheKey(), round(target.width() * ratio), round(target.height() * ratio), True)
            if target.width() >= 6 and target.height() >= 6:
                if key != self._preview_key or self._preview is None:
                    self._preview = fitted_preview(preview, target.width(), target.height(), ratio, 1.0, True)
                    self._preview_key = key
                painter.drawPixmap(target.topLeft(), self._preview)
        if badge:
            tone, icon = ("state.bad", "circle-alert") if run.state == "failed" else ("state.live", "play")
            place = QPointF(left + width - 18, top + min(2.0, height / 2 - 8))
            painter.drawPixmap(place, themes.pixmap(icon, theme.color(tone), 16, ratio))


@lru_cache(maxsize=4096)
def far_name(title: str, width: int, theme_name: str, ratio: float) -> QPixmap:
    """A node's name at 11 screen px, whatever the zoom."""
    made = QPixmap(max(1, round(width * ratio)), round(16 * ratio))
    made.setDevicePixelRatio(ratio)
    made.fill(Qt.GlobalColor.transparent)
    painter = QPainter(made)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    draw_text(painter, 0, 0, width, 16, title, themes.load(theme_name).color("text.primary"), "small", weight=600)
    painter.end()
    return made
