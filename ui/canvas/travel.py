"""A view that moves about an endless plane: panning, zooming at a place, flying to what shall be seen. Knows nothing of graphs."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt, QVariantAnimation, Signal
from PySide6.QtGui import QTransform
from PySide6.QtWidgets import QFrame, QGraphicsView, QWidget

from ui import theme as themes
from ui.theme import Theme

ZOOMS = (0.04, 0.055, 0.075, 0.1, 0.14, 0.2, 0.26, 0.34, 0.42, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0)
"""Where text is sharpest; the wheel stops at these."""
SPACE = QRectF(-100_000, -100_000, 200_000, 200_000)


class TravellingView(QGraphicsView):
    """Whoever paints in it says what `begin_motion` and `after_move` do."""

    zoom_changed = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.zoom = 1.0
        self._flight = QVariantAnimation(self)
        self._flight.valueChanged.connect(self._fly)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setTransformationAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setResizeAnchor(QGraphicsView.ViewportAnchor.NoAnchor)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSceneRect(SPACE)

    @property
    def theme(self) -> Theme:
        """The look, and how long movements take."""
        raise NotImplementedError

    def begin_motion(self, zooming: bool = False) -> None:
        """Something moves from now on."""
        raise NotImplementedError

    def after_move(self) -> None:
        """Something else is seen now."""
        raise NotImplementedError

    def center(self) -> QPointF:
        return self.mapToScene(self.viewport().rect().center())

    def visible_rect(self) -> QRectF:
        return self.mapToScene(self.viewport().rect()).boundingRect()

    def pan(self, dx: float, dy: float) -> None:
        """Move the view by px on screen."""
        self.begin_motion()
        across, down = self.horizontalScrollBar(), self.verticalScrollBar()
        across.setValue(across.value() + round(dx))
        down.setValue(down.value() + round(dy))
        self.after_move()

    def look_at(self, zoom: float, center: QPointF) -> None:
        """Show `center` in the middle at a zoom."""
        zoom = min(max(zoom, ZOOMS[0]), ZOOMS[-1])
        changed = abs(zoom - self.zoom) > 1e-9
        self.begin_motion(zooming=changed)
        self.zoom = zoom
        self.setTransform(QTransform.fromScale(zoom, zoom))
        self.centerOn(center)
        self.after_move()
        if changed:
            self.zoom_changed.emit(zoom)

    def bring_into_sight(self, rect: QRectF, margin: float = 32.0) -> None:
        """Move no further than it takes to see a rectangle with a margin (px on screen); of one larger than the view its top left."""
        seen, wanted = self.visible_rect(), rect.adjusted(*(side * margin / self.zoom for side in (-1, -1, 1, 1)))
        dx = min(max(0.0, wanted.right() - seen.right()), wanted.left() - seen.left())
        dy = min(max(0.0, wanted.bottom() - seen.bottom()), wanted.top() - seen.top())
        if dx or dy:
            self.look_at(self.zoom, self.center() + QPointF(dx, dy))

    def zoom_at(self, zoom: float, place: QPointF) -> None:
        """Zoom so that what lies under `place` (px in the view) stays there."""
        zoom = min(max(zoom, ZOOMS[0]), ZOOMS[-1])
        before = self.mapToScene(place.toPoint())
        middle = QPointF(self.viewport().rect().center())
        self.look_at(zoom, before + (middle - place) / zoom)

    def zoom_to(self, zoom: float) -> None:
        self.look_at(zoom, self.center())

    def zoom_step(self, steps: int, place: QPointF | None = None) -> None:
        """To the next of the zooms at which text is sharpest."""
        place = place if place is not None else QPointF(self.viewport().rect().center())
        if steps > 0:
            wanted = next((z for z in ZOOMS if z > self.zoom * 1.01), ZOOMS[-1])
        else:
            wanted = next((z for z in reversed(ZOOMS) if z < self.zoom * 0.99), ZOOMS[0])
        self.zoom_at(wanted, place)

    def frame(self, rect: QRectF, animate: bool = True, most: float = 1.0) -> None:
        """Zoom so that a rectangle fills the view."""
        if rect.isEmpty():
            return
        size = self.viewport().size()
        zoom = min((size.width() - 64) / rect.width(), (size.height() - 64) / rect.height(), most)
        zoom = min(max(zoom, ZOOMS[0]), ZOOMS[-1])
        time = self.theme.milliseconds("zoom_fit")
        if not animate or not self.isVisible() or time == 0:
            self.look_at(zoom, rect.center())
            return
        start = self.center()
        self._flight.stop()
        self._flight.setDuration(time)
        self._flight.setEasingCurve(themes.easing("easing_in_out"))
        self._way = (math.log(self.zoom), start, math.log(zoom), rect.center())
        self._flight.setStartValue(0.0)
        self._flight.setEndValue(1.0)
        self._flight.start()

    def _fly(self, t: float) -> None:
        zoom0, start, zoom1, end = self._way
        self.look_at(math.exp(zoom0 + (zoom1 - zoom0) * t), start + (end - start) * t)

    @property
    def is_flying(self) -> bool:
        return self._flight.state() == QVariantAnimation.State.Running

    def stand_still(self) -> None:
        """End a flight to elsewhere where it is."""
        self._flight.stop()
