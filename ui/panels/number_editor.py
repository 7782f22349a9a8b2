"""Numbers: drag to scrub, double-click to type a value or a sum, arrows and wheel to step. Seeds have a dice."""

from __future__ import annotations

import random
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QCursor, QEnterEvent, QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent, QWheelEvent
from PySide6.QtWidgets import QToolTip, QWidget

from nodegraph.spec import Input
from ui import theme as themes
from ui.canvas.anatomy import Row, bar
from ui.canvas.row_paint import paint_field
from ui.canvas.values import ValueProblem, number_text, rounded, scrubbed, seed_text, step_of, typed_number
from ui.panels.controls import FIELD, Editor, EditorContext, _Line

DRAG_START = 3
ARROW = 18


class NumberEditor(Editor):
    """A field with the range as a bar behind the value."""

    kind = "number"

    def __init__(
        self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None, label: str = ""
    ) -> None:
        super().__init__(item, value, parent, context)
        self.label = label
        self.shown: str | None = None  # in place of the value: "mixed" when several nodes differ
        self._press: QPointF | None = None
        self._scrubbing = False
        self._start = self._pixels = 0.0
        self._at = QPointF()
        self._over = False
        self.line = _Line("", self)
        self.line.setFont(themes.font("value"))
        self.line.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.line.hide()
        self.line.returnPressed.connect(self.finish)
        self.line.left.connect(self._leave_line)
        self.line.escaped.connect(self._stop_typing)
        self.line.textEdited.connect(lambda text: self._mark(None))
        self.setFixedHeight(FIELD)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.SizeHorCursor)

    def sizeHint(self) -> QSize:
        return QSize(120, FIELD)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self.line.setGeometry(0, 0, self.width(), self.height())

    def number(self) -> float | int:
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return self.value
        return self.item.range.min if self.item.range is not None else 0

    def words(self) -> str:
        if self.shown is not None:
            return self.shown
        return number_text(self.item, self.value) if isinstance(self.value, int | float) else "not set"

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        share = bar(self.item, self.value) if self.item.range is not None and self.shown is None else None
        row = Row(self.item.name, "seed" if self.kind == "seed" else "number", self.label, self.words(), 0, FIELD, self.item, share)
        paint_field(painter, themes.current(), row, self.field(painter), self._over and self.isEnabled(), self.hasFocus())

    def enterEvent(self, event: QEnterEvent) -> None:
        self._over = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._over = False
        self.update()

    # -- typing

    def begin(self) -> None:
        """Type over the value."""
        self.line.setText(number_text(self.item, self.number(), unit=False))
        self._mark(None)
        self.line.show()
        self.line.setFocus()
        self.line.selectAll()

    def finish(self) -> None:
        """Take what was typed; what cannot be taken stays, red, with the reason below."""
        if self.line.isHidden():
            return
        try:
            value = typed_number(self.item, self.line.text(), float(self.number()))
        except ValueProblem as problem:
            self._mark(str(problem))
            return
        self.line.hide()
        self.shown = None
        self.setFocus()
        if value != self.value or type(value) is not type(self.value):
            self.commit(value)
        else:
            self.cancelled.emit()

    def _leave_line(self) -> None:
        if self.line.isHidden():
            return
        try:
            value = typed_number(self.item, self.line.text(), float(self.number()))
        except ValueProblem:
            self._stop_typing()
            return
        self.line.hide()
        if value != self.value:
            self.commit(value)

    def _stop_typing(self) -> None:
        self.line.hide()
        self._mark(None)
        self.cancelled.emit()

    def _mark(self, problem: str | None) -> None:
        self.line.setProperty("problem", problem is not None)
        self.line.style().unpolish(self.line)
        self.line.style().polish(self.line)
        self.line.setToolTip(problem or "")
        if problem is not None:
            QToolTip.showText(self.line.mapToGlobal(self.line.rect().bottomLeft()), problem, self.line)

    @property
    def problem(self) -> str:
        """Why the typed text was not taken; empty when all is well."""
        return self.line.toolTip() if self.line.property("problem") else ""

    # -- scrubbing

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self._press = self._at = event.position()
            self._start, self._pixels = float(self.number()), 0.0
        elif event.button() == Qt.MouseButton.RightButton and self._scrubbing:
            self._abandon()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            return
        if not self._scrubbing and abs(event.position().x() - self._press.x()) >= DRAG_START:
            self._scrubbing = True
            self.setCursor(QCursor(Qt.CursorShape.BlankCursor))
        if self._scrubbing:
            self._pixels += (event.position().x() - self._at.x()) * _factor(event.modifiers())
            value = scrubbed(self.item, self._start, self._pixels, self.width())
            if value != self.value:
                self.value, self.shown = value, None
                self.update()
                self.preview.emit(value)
        self._at = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        pressed, self._press = self._press, None
        if pressed is None or event.button() != Qt.MouseButton.LeftButton:
            return
        if self._scrubbing:
            self._scrubbing = False
            self.setCursor(Qt.CursorShape.SizeHorCursor)
            self.commit(self.value)
        elif pressed.x() < ARROW:
            self.step(-1, event.modifiers())
        elif pressed.x() > self.width() - ARROW:
            self.step(1, event.modifiers())

    def _abandon(self) -> None:
        self._scrubbing, self._press = False, None
        self.setCursor(Qt.CursorShape.SizeHorCursor)
        self.value = int(self._start) if self.item.type == "int" else self._start
        self.update()
        self.preview.emit(self.value)
        self.cancelled.emit()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._press = None
        self.begin()

    def step(self, way: int, held: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
        """One step up or down: with Ctrl ten, with Shift a tenth where there are fractions."""
        factor = _factor(held)
        if self.item.type == "int":
            factor = max(1.0, factor)
        self.shown = None
        value = rounded(self.item, self.number() + way * step_of(self.item) * factor, step_of(self.item) * min(1.0, factor))
        if value != self.value:
            self.commit(value)

    def wheelEvent(self, event: QWheelEvent) -> None:
        if not self.hasFocus():  # the list below must scroll, and the value must not change by accident
            event.ignore()
            return
        self.step(1 if event.angleDelta().y() > 0 else -1, event.modifiers())
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Right):
            self.step(1, event.modifiers())
        elif key in (Qt.Key.Key_Down, Qt.Key.Key_Left):
            self.step(-1, event.modifiers())
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F2):
            self.begin()
        elif key == Qt.Key.Key_Escape and self._scrubbing:
            self._abandon()
        elif event.text() and event.text() in "0123456789.-+(":
            self.begin()
            self.line.setText(event.text())
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()


def _factor(held: Qt.KeyboardModifier) -> float:
    return 0.1 if held & Qt.KeyboardModifier.ShiftModifier else 10.0 if held & Qt.KeyboardModifier.ControlModifier else 1.0


class SeedEditor(NumberEditor):
    """A seed: typed or drawn with the dice. What happens after a run is the program's affair: `mode` is "keep", "new" or "increment"."""

    kind = "seed"
    mode_changed = Signal(str)

    def words(self) -> str:
        return self.shown if self.shown is not None else seed_text(self.value) if isinstance(self.value, int) else "not set"

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.button() == Qt.MouseButton.LeftButton and event.position().x() > self.width() - 28:
            self.draw()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        over = event.position().x() > self.width() - 28
        self.setCursor(Qt.CursorShape.PointingHandCursor if over else Qt.CursorShape.IBeamCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """The dice worked on the press."""

    def draw(self) -> None:
        """A new seed, inside the range; at most 53 bits, so that every JSON reader keeps its digits."""
        limits = self.item.range
        low, high = (int(limits.min), int(limits.max)) if limits is not None else (0, 2**32 - 1)
        self.commit(random.SystemRandom().randint(low, min(high, 2**53 - 1)))
