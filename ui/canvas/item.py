"""What stands on the canvas: a place, a height in the stack, and paint. Plain objects: the view paints them itself, because Qt's own
item machinery asked every item for its bounds on every paint (502 calls a preview tick at 500 nodes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QPainter

if TYPE_CHECKING:
    from ui.canvas.scene import GraphScene


class Item:
    """Something with a box on the canvas."""

    def __init__(self, scene: GraphScene) -> None:
        self._scene = scene
        self._x = self._y = 0.0
        self.z = 0.0
        self.visible = True
        self.selected = False
        self.hovered = False

    def x(self) -> float:
        return self._x

    def y(self) -> float:
        return self._y

    def pos(self) -> QPointF:
        return QPointF(self._x, self._y)

    def set_pos(self, x: float, y: float) -> None:
        """Move it; whoever moves things asks the scene to repaint."""
        self._x, self._y = x, y

    def size(self) -> tuple[float, float]:
        raise NotImplementedError

    def rect(self) -> QRectF:
        """Its box on the canvas."""
        return QRectF(self._x, self._y, *self.size())

    def reach(self) -> QRectF:
        """All that its paint may touch, from its own corner."""
        return QRectF(0, 0, *self.size())

    def update(self, part: QRectF | None = None) -> None:
        """Paint again: a part of it (from its own corner), or all."""
        self._scene.repaint((part or self.reach()).translated(self._x, self._y))

    def select(self, selected: bool) -> None:
        if selected != self.selected:
            self.selected = selected
            self.update()

    def paint(self, painter: QPainter) -> None:
        """Paint from its own corner; the painter's transform leads from there to the screen."""
        raise NotImplementedError
