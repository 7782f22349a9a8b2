"""What every gesture has: a pointer to follow, and start, update, commit, cancel and click."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, Qt

from nodegraph.graph import Rect

if TYPE_CHECKING:
    from ui.canvas.view import GraphView

CTRL, SHIFT, ALT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.AltModifier


@dataclass(frozen=True)
class Pointer:
    """One moment of the pointer."""

    scene: QPointF
    screen: QPointF
    held: Qt.KeyboardModifier
    button: Qt.MouseButton
    buttons: Qt.MouseButton


class Gesture:
    """A press with what follows. Nothing of it is in the document before `commit`, except a scrub's live value."""

    at_once = False  # starts on the press, without 4 px of movement

    def __init__(self, view: GraphView) -> None:
        self.view = view
        self.scene = view.graph_scene

    def start(self, pointer: Pointer) -> None: ...

    def update(self, pointer: Pointer) -> None: ...

    def commit(self, pointer: Pointer) -> None: ...

    def cancel(self) -> None: ...

    def click(self, pointer: Pointer) -> None:
        """The button came up before anything started."""


def as_box(rect: QRectF) -> Rect:
    return rect.x(), rect.y(), rect.width(), rect.height()
