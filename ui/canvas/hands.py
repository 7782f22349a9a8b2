"""What the hand does at the view: presses go to gestures, keys to commands, and what lies under the pointer lights up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QMouseEvent

from nodegraph.graph import Link
from ui.canvas.gesture import Gesture, Pointer
from ui.canvas.gestures import choose
from ui.canvas.minimap import Floating
from ui.canvas.node_item import NodeItem

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

DRAG_START = 4  # px
MODIFIERS = (Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta)


class Hands:
    """Keeps the gesture under way, what is hovered, and whether Space is held."""

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.scene = view.graph_scene
        self.gesture: Gesture | None = None
        self.started = False  # it has moved far enough to be one
        self.is_moving = False  # it is at work right now, so what the document tells comes from it
        self.space_down = False
        self._space_used = False
        self._pressed: Pointer | None = None
        self._hovered: NodeItem | None = None
        self._held: Floating | None = None

    def _pointer(self, event: QMouseEvent) -> Pointer:
        place = event.position()
        scene_place = self.view.viewportTransform().inverted()[0].map(place)
        return Pointer(scene_place, place, event.modifiers(), event.button(), event.buttons())

    # -- the mouse

    def press(self, event: QMouseEvent) -> None:
        view = self.view
        if self.gesture is not None:
            if event.button() == Qt.MouseButton.RightButton:
                self.cancel()
            return
        view.setFocus(Qt.FocusReason.MouseFocusReason)
        view.stand_still()
        view.let_go_of_link()
        view.editor.accept_editor()
        self._held = view.floating_at(event.position())
        if self._held is not None:
            if event.button() == Qt.MouseButton.LeftButton:
                self._held.press(event.position() - QPointF(self._held.rect.topLeft()))
            return
        pointer = self._pointer(event)
        target = self.scene.places.hit(pointer.scene, view.zoom)
        self._space_used = self._space_used or self.space_down
        self.gesture = choose(view, pointer, target)
        self._pressed, self.started = pointer, False
        if self.gesture is not None and self.gesture.at_once:
            self._start(pointer)
        event.accept()

    def move(self, event: QMouseEvent) -> None:
        if self._held is not None:
            if event.buttons() & Qt.MouseButton.LeftButton:
                self._held.drag(event.position() - QPointF(self._held.rect.topLeft()))
            return
        pointer = self._pointer(event)
        if self.gesture is None:
            self.view.let_go_of_link()
            if not self._hover_floating(event.position()):
                self._hover(pointer)
            return
        assert self._pressed is not None
        if not self.started:
            moved = pointer.screen - self._pressed.screen
            if abs(moved.x()) + abs(moved.y()) < DRAG_START:
                return
            self._start(self._pressed)
        if self.gesture is not None:
            self.view.begin_motion()
            self.is_moving = True
            try:
                self.gesture.update(pointer)
            finally:
                self.is_moving = False

    def release(self, event: QMouseEvent) -> None:
        if self._held is not None:
            self._held = None
            return
        pointer = self._pointer(event)
        gesture, pressed = self.gesture, self._pressed
        if gesture is None or pressed is None or event.button() != pressed.button:
            return
        self.gesture = None
        if self.started:
            self.started = False
            gesture.update(pointer)
            gesture.commit(pointer)
        else:
            gesture.click(pressed)
        self._pressed = None
        if self.scene.moving:
            self.view.begin_motion()
        if self.scene.overlay.link is None:  # else a search is open
            self._hover(pointer)

    def double_click(self, event: QMouseEvent) -> None:
        if (
            self.view.floating_at(event.position()) is None
            and event.button() == Qt.MouseButton.LeftButton
            and self.view.pointing.double_click(self._pointer(event))
        ):
            self.gesture = None
            return
        self.press(event)

    def _start(self, pointer: Pointer) -> None:
        assert self.gesture is not None
        self.started = self.is_moving = True
        try:
            self.gesture.start(pointer)
        finally:
            self.is_moving = False

    def go_on_with(self, gesture: Gesture, pointer: Pointer) -> None:
        """Let another gesture go on with the same press."""
        self.gesture = gesture
        self.started = True
        gesture.start(pointer)

    def cancel(self) -> None:
        """Let go of the gesture as if it had not begun."""
        gesture, self.gesture = self.gesture, None
        if gesture is not None and self.started:
            gesture.cancel()
        self.started = False
        self._pressed = None

    # -- hovering

    def _hover_floating(self, place: QPointF) -> bool:
        view = self.view
        under = view.floating_at(place)
        for floating in (view.minimap, view.zoom_pill):
            tip = floating.hover(place - QPointF(floating.rect.topLeft()) if floating is under else None)
            if floating is under:
                view.viewport().setToolTip(tip)
                view.viewport().setCursor(Qt.CursorShape.PointingHandCursor)
        return under is not None

    def _hover(self, pointer: Pointer) -> None:
        view, scene = self.view, self.scene
        x, y = pointer.scene.x(), pointer.scene.y()
        target = scene.places.hit(pointer.scene, view.zoom)
        item = scene.nodes.get(target.id) if target.kind in ("node", "value", "port") else None
        if item is None:
            item = scene.places.node_at(x, y)
        if self._hovered is not None and self._hovered is not item:
            self._hovered.hover(False)
        if item is not None:
            item.hover(True, target.name if target.kind == "value" else None)
        self._hovered = item
        over = target.id if target.kind == "group" else scene.places.group_at(x, y, title_only=False)
        for name, group in scene.groups.items():
            if group.hovered != (name == over):
                group.hovered = name == over
                group.update()
        link = target.link if target.kind == "link" and isinstance(target.link, Link) else None
        scene.links.hover(link)
        self._show_chip((x, y, view.pointing.link_words(link)) if link is not None and view.zoom > 0.5 else None)
        view.viewport().setCursor(view.pointing.cursor_for(pointer, target))
        view.viewport().setToolTip(view.pointing.tip_for(target))
        view.status_hint.emit(view.pointing.hint_for(target))

    def _show_chip(self, chip: tuple[float, float, str] | None) -> None:
        """What flows through the link under the pointer, in words."""
        view, overlay = self.view, self.scene.overlay
        for one in (overlay.chip, chip):
            if one is not None:
                view.repaint_canvas(QRectF(one[0] - 160 / view.zoom, one[1] + 8 / view.zoom, 320 / view.zoom, 40 / view.zoom))
        overlay.chip = chip

    def leave(self) -> None:
        """The pointer is no longer over the view."""
        self._hover_floating(QPointF(-1, -1))
        self._show_chip(None)
        if self._hovered is not None:
            self._hovered.hover(False)
            self._hovered = None
        self.scene.links.hover(None)

    def forget(self) -> None:
        """Other things are shown now: what the hand held is gone, and nothing of it is put back."""
        if self.gesture is not None:
            self.scene.links.shadowed = frozenset()
            self.scene.overlay.clear()
            self.view.viewport().unsetCursor()
        self.gesture, self._pressed, self._hovered = None, None, None
        self.started = False

    # -- the keyboard

    def action_of(self, event: QKeyEvent) -> str | None:
        """The canvas action that a key press starts."""
        if event.key() in MODIFIERS:
            return None
        held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
        return self.view.keymap.find(QKeySequence(event.keyCombination().key() | held))

    def key_down(self, event: QKeyEvent) -> bool:
        """False when the key is not for the canvas."""
        view = self.view
        if event.key() == Qt.Key.Key_Escape and self.gesture is not None:
            self.cancel()
            return True
        if event.key() == Qt.Key.Key_Space and not event.modifiers():
            if not event.isAutoRepeat():
                self.space_down, self._space_used = True, False
                view.viewport().setCursor(Qt.CursorShape.OpenHandCursor)
            return True
        action = self.action_of(event)
        if action is None or self.gesture is not None:
            return False
        view.trigger(action)
        event.accept()
        return True

    def key_up(self, event: QKeyEvent) -> bool:
        """False when the key is not for the canvas. A tap on Space is a key; a hold is for panning."""
        if event.key() != Qt.Key.Key_Space or event.isAutoRepeat() or not self.space_down:
            return False
        self.space_down = False
        self.view.viewport().unsetCursor()
        if not self._space_used:
            action = self.view.keymap.find(QKeySequence(Qt.Key.Key_Space))
            if action is not None:
                self.view.trigger(action)
        return True
