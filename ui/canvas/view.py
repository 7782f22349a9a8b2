"""The window onto the canvas: painting at any zoom, moving about, and handing what hands do to gestures and commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragMoveEvent,
    QDropEvent,
    QFocusEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QShowEvent,
    QTransform,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Link, Node
from ui import theme as themes
from ui.actions import Keymap
from ui.canvas import dropping, edits
from ui.canvas.anatomy import measure
from ui.canvas.canvas_painter import CanvasPainter, merged
from ui.canvas.commands import Commands
from ui.canvas.hands import Hands
from ui.canvas.inline_editor import InlineEditor
from ui.canvas.minimap import Floating, Minimap, ZoomPill
from ui.canvas.model import CanvasDocument, PortRef, Target
from ui.canvas.pointing import Pointing
from ui.canvas.scene import GraphScene
from ui.canvas.travel import TravellingView
from ui.theme import Theme

REST = 120  # ms after the last movement, until everything is painted in full again


class GraphView(TravellingView):
    node_search_requested = Signal(QPointF, object)  # scene_pos, PortRef | None
    context_menu_requested = Signal(QPoint, object)  # global_pos, Target
    status_hint = Signal(str)
    message = Signal(str)
    open_subgraph = Signal(str)
    files_dropped = Signal(object, QPointF)  # list[Path]
    image_given = Signal(object, QPointF)  # QImage: a picture without a file, dropped or pasted
    help_requested = Signal(str)
    drawing_requested = Signal(str, str)  # node id, input: a mask is to be painted

    def __init__(
        self, document: CanvasDocument, theme: Theme | None = None, keymap: Keymap | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._scene = GraphScene(document, theme or themes.current(), self)
        self.document = document
        self.keymap = keymap or Keymap()
        self.snap = True
        self._waits_for_frame = False
        self._set_up()
        self.painter = CanvasPainter(self._scene)
        self.commands = Commands(self)
        self.hands = Hands(self)
        self.pointing = Pointing(self)
        self.editor = InlineEditor(self)
        self.usual_values: Callable[[str], Mapping[str, Any]] = lambda _type_id: {}  # what a new node begins with, where not as its author said
        self.minimap = Minimap(self)
        self.zoom_pill = ZoomPill(self)
        self._rest = QTimer(self, singleShot=True, interval=REST)
        self._rest.timeout.connect(self._come_to_rest)
        self._scene.screen = self
        self._scene.rebuilt.connect(self._on_rebuilt)
        document.changed.connect(self._on_changed)
        themes.watch().changed.connect(self.set_theme)
        self._on_rebuilt()

    def _set_up(self) -> None:
        self.setAcceptDrops(True)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Canvas")
        self.setObjectName("canvas")

    # -- for everybody

    @property
    def graph_scene(self) -> GraphScene:
        return self._scene

    @property
    def theme(self) -> Theme:
        return self._scene.theme

    def set_theme(self, theme: Theme) -> None:
        if theme is not self._scene.theme:
            self._scene.set_theme(theme)
            self.viewport().update()

    def set_options(
        self, snap: bool | None = None, minimap: bool | None = None, focus_links: bool | None = None, grid: bool | None = None
    ) -> None:
        """Switch what is not None."""
        if snap is not None:
            self.snap = snap
        if minimap is not None:
            self.minimap.set_visible(minimap)
            self._place_floating()
        if focus_links is not None:
            self._scene.focus_links = focus_links
            self._scene.links.restyle()
        if grid is not None:
            self.painter.show_grid = grid
        self.viewport().update()

    def set_insight(
        self,
        family: Callable[[Node], str | None] | None = None,
        missing_files: Callable[[Node], frozenset[str]] | None = None,
        context: Any = None,
    ) -> None:
        """What the program knows beyond the graph: a node's model family, which of its files are missing, what editors ask (`EditorContext`)."""
        if family is not None:
            self._scene.family = family
        if missing_files is not None:
            self._scene.missing_files = missing_files
        if context is not None:
            self.editor.context = context
        self._scene.rebuild()

    def trigger(self, action: str) -> bool:
        """Carry out a canvas action of `ui.actions.TABLE`; False when there is nothing for it to act on."""
        return self.commands.trigger(action)

    def edit(self, label: str, change: Callable[[Graph], Graph], merge: str | None = None) -> bool:
        """Edit the document; what is impossible becomes a sentence in the status bar."""
        return self._edited(lambda: self.document.edit(label, change, merge))

    def edit_root(self, label: str, change: Callable[[Graph], Graph]) -> bool:
        """As `edit`, for the whole graph with its subgraph definitions."""
        return self._edited(lambda: self.document.edit_root(label, change))

    def _edited(self, edit: Callable[[], None]) -> bool:
        try:
            edit()
        except GraphError as error:
            self.message.emit(error.message)
            return False
        return True

    def add_node(
        self,
        type_id: str,
        scene_pos: QPointF,
        hint: PortRef | None = None,
        values: Mapping[str, Any] | None = None,
        into: Link | None = None,
    ) -> str:
        """Add a node, link the hint to its first fitting port, select it; returns its id ("" when it may not stand here).

        Where a node lies already it stands to the right of that, in sight. Without a hint it goes into a link, where it fits: `into`, or else the one that is selected."""
        ports, is_covered = self._scene.ports, False
        if hint is None and into is None and len(self.selected_links) == 1:
            [into] = self.selected_links
            scene_pos = self._scene.links.wires[into].path.pointAtPercent(0.5)
        spec = self._scene.specs.get(type_id) or ports.spec(Node("", type_id))
        x, y = scene_pos.x(), scene_pos.y()
        if hint is not None:
            x, y = (x, y - 44) if hint.side == "out" else (x - 216, y - 44)
        elif into is not None:
            x, y = x - 108, y - 44
        step = 8 if self.snap else 1
        if self.snap:
            x, y = edits.snapped(x, step), edits.snapped(y, step)
        if hint is None and into is None and (is_covered := self._scene.places.node_at(x, y) is not None):
            made_size = measure(Node("", type_id, values=dict(values or self.usual_values(type_id))), spec, frozenset(), frozenset(), {})
            x = edits.snapped(self._scene.places.free_to_the_right(QRectF(x, y, made_size.width, made_size.height)), step)
        made: list[str] = []

        if edits.loops_into(self.document.root, self.document.graph, [type_id]) is not None:
            self.message.emit("A subgraph cannot hold itself.")
            return ""

        def change(graph: Graph) -> Graph:
            graph, name = edits.with_new(graph, spec, (x, y), values or self.usual_values(type_id))
            made.append(name)
            if hint is not None and hint.node in graph.nodes:
                port = edits.fitting_port(spec, hint)
                if port is not None:
                    new = PortRef(name, port, "in" if hint.side == "out" else "out", hint.type)
                    graph = edits.linked(graph, ports, edits.link_between(hint, new))
            return graph if into is None else edits.inserted(graph, ports, name, into) or graph

        self.let_go_of_link()
        self.select_links(())
        self.edit(f"Add {spec.title}", change)
        self.document.select([made[0]])
        if is_covered:
            self.show_node(made[0])
        return made[0]

    def let_go_of_link(self) -> None:
        """A link that waits for a node to be found is no longer wanted."""
        if self._scene.overlay.link is not None and self.hands.gesture is None:
            self._scene.overlay.clear()

    # -- moving about

    def begin_motion(self, zooming: bool = False) -> None:
        """Paint fast until 120 ms after the last call."""
        self._scene.moving = True
        self._scene.zooming = self._scene.zooming or zooming
        self._rest.start()

    def _come_to_rest(self) -> None:
        if self.hands.started or self.is_flying:
            self._rest.start()
            return
        zoomed = self._scene.zooming
        self._scene.moving = self._scene.zooming = False
        if zoomed or not self._scene.links.paint.refine():
            self.viewport().update()

    def frame_all(self, animate: bool = True) -> None:
        self.frame(self._scene.places.content_rect(), animate)

    def frame_when_shown(self) -> None:
        """Zoom to everything as soon as this view is seen in its true size, and paint nothing before: at another zoom it would be for nothing."""
        self._waits_for_frame = True
        self.viewport().setUpdatesEnabled(False)
        if self.isVisible():
            QTimer.singleShot(0, self, self._frame_first)

    def _frame_first(self) -> None:
        if self._waits_for_frame and self.isVisible():
            self._waits_for_frame = False
            self.centerOn(0.0, 0.0)  # where an empty graph begins
            self.frame_all(animate=False)
            self.viewport().setUpdatesEnabled(True)

    def frame_selection(self, animate: bool = True) -> None:
        """Zoom to what is selected, or to everything."""
        self.frame(self._scene.places.content_rect(self.document.selection or None), animate, 1.5)

    def show_node(self, node_id: str, animate: bool = True) -> None:
        """Select a node and bring it into view; the zoom changes only if it is too small to read."""
        item = self._scene.nodes.get(node_id)
        if item is None:
            return
        self.document.select([node_id])
        rect = item.rect()
        if self.zoom < self.theme.size["lod_full"]:
            self.frame(rect.adjusted(-200, -200, 200, 200), animate)
        elif not self.visible_rect().contains(rect):
            self.look_at(self.zoom, rect.center())

    def after_move(self) -> None:
        self._scene.seen = self.visible_rect()
        self.editor.follow()
        self.minimap.update()

    def _on_rebuilt(self) -> None:
        self.editor.close_editor()
        self.hands.forget()
        self._scene.seen = self.visible_rect()

    def _on_changed(self, change: object) -> None:
        """An edit that is not the gesture's own, an undo for instance, ends it: its places and values are no longer true."""
        self.editor.let_go()
        if self.hands.gesture is not None and not self.hands.is_moving:
            self._scene.rebuild()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._waits_for_frame:
            QTimer.singleShot(0, self, self._frame_first)  # the layout around it comes to rest first

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_floating()
        across = self.viewport().rect()
        self._scene.bodies.budget = max(8_000_000, int(across.width() * across.height() * 4 * 2.4 * self.devicePixelRatioF() ** 2))
        self.after_move()

    def _place_floating(self) -> None:
        width, height = self.viewport().width(), self.viewport().height()
        self.minimap.has_room = width >= 4 * self.minimap.rect.width() and height >= 3.5 * self.minimap.rect.height()
        self.minimap.place(width - 16, height - 16)
        self.zoom_pill.place(self.minimap.rect.left() - 12 if self.minimap.is_visible else width - 16, height - 16)
        self.viewport().update()

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        super().scrollContentsBy(dx, dy)
        for floating in (self.minimap, self.zoom_pill):  # what floats did not scroll: paint where it is and where it seems to be
            if floating.is_visible:
                self.viewport().update(floating.rect)
                self.viewport().update(floating.rect.translated(dx, dy))

    def floating_at(self, place: QPointF) -> Floating | None:
        """The minimap or the zoom pill, where one of them lies over a place."""
        return next((one for one in (self.minimap, self.zoom_pill) if one.holds(place)), None)

    # -- painting

    def repaint_canvas(self, rect: QRectF | None) -> None:
        if rect is None:
            self.viewport().update()
        else:
            self.viewport().update(self.viewportTransform().mapRect(rect).toAlignedRect().adjusted(-1, -1, 1, 1))

    def shown_now(self) -> tuple[QTransform, float, int, int] | None:
        if not self.isVisible():
            return None
        return self.viewportTransform(), self._scene.ratio, self.viewport().width(), self.viewport().height()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._scene.ratio = self.viewport().devicePixelRatioF()
        transform = self.viewportTransform()
        painter = QPainter(self.viewport())
        painter.setRenderHints(QPainter.RenderHint.TextAntialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        region = event.region()
        parts = merged([QRectF(rect) for rect in region])  # type: ignore[attr-defined]
        if self.zoom < self.theme.size["lod_block"]:
            parts = [QRectF(event.rect())]
        try:
            for part in parts:  # one by one: antialiased hairlines cost a tenth inside a clip that is one rectangle (8 us instead of 80)
                self.painter.paint(painter, part, transform)
        finally:
            painter.end()  # a painter left open takes the program down when the view goes
        self._paint_floating(event)

    def _paint_floating(self, event: QPaintEvent) -> None:
        painter: QPainter | None = None
        for floating in (self.minimap, self.zoom_pill):
            if floating.is_visible and event.region().intersects(floating.rect):
                painter = painter or QPainter(self.viewport())
                painter.setRenderHint(QPainter.RenderHint.Antialiasing)
                painter.translate(floating.rect.topLeft())
                floating.paint(painter)
                painter.resetTransform()
        if painter is not None:
            painter.end()

    def render_to_image(self, scale: float = 1.0, margin: float = 32.0, rect: QRectF | None = None) -> QImage:
        """The whole graph (or a part of it) as a picture, at `scale` px a unit; at most 16384 px a side."""
        return self.painter.picture(scale, margin, rect)

    # -- what Qt tells: `hands` and `dropping` answer

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.hands.press(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self.hands.move(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.hands.release(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.hands.double_click(event)

    def leaveEvent(self, event: QEvent) -> None:
        self.hands.leave()
        super().leaveEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Mouse:
            return  # a right press is a gesture: a menu on a click, a knife on a Ctrl-drag
        self.show_context_menu(QPointF(self.viewport().rect().center()))

    def show_context_menu(self, place: QPointF) -> None:
        target = self._scene.places.hit(self.mapToScene(place.toPoint()), self.zoom)
        name = target.id
        if name and name not in self.document.selection:
            self.document.select([name])
        self.context_menu_requested.emit(self.viewport().mapToGlobal(place.toPoint()), target)

    def wheelEvent(self, event: QWheelEvent) -> None:
        pixels, angle = event.pixelDelta(), event.angleDelta()
        held = event.modifiers()
        if held & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.ControlModifier):
            amount = angle.y() or angle.x()
            self.pan(
                -amount if held & Qt.KeyboardModifier.ShiftModifier else 0, -amount if held & Qt.KeyboardModifier.ControlModifier else 0
            )
        elif event.phase() != Qt.ScrollPhase.NoScrollPhase and not pixels.isNull():
            self.zoom_at(self.zoom * 1.0015 ** pixels.y(), event.position())  # a touch pad
        elif angle.y():
            self.zoom_step(1 if angle.y() > 0 else -1, event.position())
        event.accept()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent):
            if event.type() == QEvent.Type.ShortcutOverride and self.hands.action_of(event) is not None:
                event.accept()
                return True
            if event.type() == QEvent.Type.KeyPress and event.key() in (Qt.Key.Key_Tab, Qt.Key.Key_Backtab):
                self.keyPressEvent(event)  # Qt would move the focus
                return True
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.editor.has_focus():  # a key that the editor did not want must not work on nodes
            event.ignore()
        elif not self.hands.key_down(event):
            super().keyPressEvent(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        if not self.hands.key_up(event):
            super().keyReleaseEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.let_go_of_link()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.hands.space_down = False
        super().focusOutEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        dropping.enter(event)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        dropping.drop(self, event)

    def cursor_place(self) -> QPointF:
        """Where the pointer is on the canvas; the middle of the view when it is elsewhere."""
        place = self.viewport().mapFromGlobal(self.cursor().pos())
        return self.mapToScene(place) if self.viewport().rect().contains(place) and self.underMouse() else self.center()

    def select_links(self, links: Iterable[Link]) -> None:
        self._scene.links.select(links)

    @property
    def selected_links(self) -> frozenset[Link]:
        return self._scene.links.selected

    def target_at(self, place: QPointF) -> Target:
        """What lies under a place of the view (px)."""
        return self._scene.places.hit(self.mapToScene(place.toPoint()), self.zoom)
