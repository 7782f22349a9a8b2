"""The viewer: the picture of the node that works or was chosen, with the live plate at its foot and its tools below."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QDrag, QGuiApplication, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QApplication, QHBoxLayout, QMenu, QToolButton, QVBoxLayout, QWidget

from ui import theme
from ui.canvas.model import RunState
from ui.document import Document
from ui.label import Label, hair, tool
from ui.panels.picture_view import PictureView

LEAVES_MS = 1000


class LivePlate(QWidget):
    """What the live picture is: step, noise level, and a tick for each step. Leaves a second after the end."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._state = RunState()
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedHeight(32)
        self._leave = QTimer(self)
        self._leave.setSingleShot(True)
        self._leave.timeout.connect(self.hide)
        self.hide()

    def show_state(self, state: RunState | None) -> None:
        if state is None or state.state != "running" or state.total <= 1:
            if self.isVisible() and not self._leave.isActive():
                self._leave.start(LEAVES_MS)
            return
        self._leave.stop()
        self._state = state
        self.setAccessibleName(f"Live: step {state.done} of {state.total}")
        self.show()
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        now, state = theme.current(), self._state
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(now.color("on_image.plate"))
        painter.drawRoundedRect(QRectF(self.rect()), 8, 8)
        painter.setBrush(now.color("on_image.live"))
        painter.drawEllipse(QPointF(15, 16), 4, 4)
        painter.setFont(theme.font("body", 600))
        painter.setPen(now.color("on_image.primary"))
        painter.drawText(QPointF(26, 16 + theme.metrics("body", 600).capHeight() / 2), "Live")
        parts = [f"step {state.done} of {state.total}"]
        if state.sigma is not None:
            parts.append(f"σ {state.sigma:.2f}" if state.sigma < 10 else f"σ {state.sigma:.1f}")
        parts.append("estimate")
        painter.setFont(theme.font("value"))
        painter.setPen(now.color("on_image.secondary"))
        words = "   ".join(parts)
        measure = theme.metrics("value")
        painter.drawText(QPointF(62, 16 + measure.capHeight() / 2), words)
        room = self.width() - 62 - measure.horizontalAdvance(words) - 28
        if room > 30:
            width = min(100.0, room)
            paint_ticks(painter, QRectF(self.width() - 12 - width, 14, width, 4), state.done, state.total)
        painter.end()


def paint_ticks(painter: QPainter, rect: QRectF, done: int, total: int) -> None:
    """One tick for each step, the done ones in amber; many steps become a bar."""
    now = theme.current()
    painter.setPen(Qt.PenStyle.NoPen)
    if total > rect.width() / 3:
        painter.fillRect(rect, QColor(255, 255, 255, 60))
        painter.fillRect(QRectF(rect.x(), rect.y(), rect.width() * done / max(1, total), rect.height()), now.color("on_image.live"))
        return
    step = rect.width() / max(1, total)
    for number in range(total):
        painter.fillRect(QRectF(rect.x() + number * step, rect.y(), step - 1, rect.height()), now.color("on_image.live") if number < done else QColor(255, 255, 255, 60))


def segment(words: str, tip: str, checkable: bool = True) -> QToolButton:
    """A small word button in a tool row."""
    made = QToolButton()
    made.setText(words)
    made.setProperty("kind", "segment")
    made.setCheckable(checkable)
    made.setToolTip(tip)
    made.setAccessibleName(tip)
    made.setFixedHeight(22)
    made.setMinimumWidth(round(theme.metrics("small", 500).horizontalAdvance(words)) + 14)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    return made


class DragOut(QObject):
    """Lets a picture be dragged out of a view with Alt or from the tool, as a file when there is one."""

    def __init__(self, view: PictureView, path: Callable[[], str]) -> None:
        super().__init__(view)
        self._view, self._path = view, path
        self._from: QPoint | None = None
        view.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QMouseEvent) and event.modifiers() & Qt.KeyboardModifier.AltModifier and not self._view.image.isNull():
            if event.type() == QEvent.Type.MouseButtonPress:
                self._from = event.position().toPoint()
                return True
            if event.type() == QEvent.Type.MouseMove and self._from is not None:
                if (event.position().toPoint() - self._from).manhattanLength() > QApplication.startDragDistance():
                    self._from = None
                    drag = QDrag(self._view)
                    drag.setMimeData(picture_mime(self._view.image, self._path()))
                    drag.exec(Qt.DropAction.CopyAction)
                return True
        return False


def picture_mime(image: QImage, path: str = "") -> QMimeData:
    """A picture for the clipboard or a drag."""
    from PySide6.QtCore import QUrl

    made = QMimeData()
    made.setImageData(image)
    if path and Path(path).exists():
        made.setUrls([QUrl.fromLocalFile(path)])
    return made


@dataclass(frozen=True)
class Shown:
    """What the viewer looks at: a node of a document, or a picture of an earlier run."""

    node: str = ""
    name: str = ""
    path: str = ""


class Viewer(QWidget):
    """Follows the run, or what was chosen; pinned, it keeps to one output."""

    compare_wanted = Signal(object)  # QImage
    save_wanted = Signal(object)  # QImage
    use_wanted = Signal(object)  # QImage: as input of a graph
    float_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        self._shown = Shown()
        self.pinned = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.view = PictureView()
        self.view.setAccessibleName("Viewer")
        self.view.installEventFilter(self)
        self.view.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.view.customContextMenuRequested.connect(self._menu)
        DragOut(self.view, lambda: self._shown.path)
        column.addWidget(self.view, 1)
        self.plate = LivePlate(self.view)
        self._empty = Label("Pictures appear here as they are painted", "faint", parent=self.view)
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        column.addWidget(hair())
        column.addWidget(self._tools())
        self.view.zoomed.connect(self._show_zoom)
        self.view.picked.connect(self._show_pixel)
        self._place()

    def _tools(self) -> QWidget:
        bar = QWidget()
        bar.setProperty("kind", "panel")
        bar.setFixedHeight(35)
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        row = QHBoxLayout(bar)
        row.setContentsMargins(10, 0, 12, 0)
        row.setSpacing(2)
        self._fit, self._one = segment("Fit", "Fit the picture into the view"), segment("1:1", "One screen pixel for each pixel")
        self._fit.clicked.connect(self.view.fit)
        self._one.clicked.connect(self.view.actual)
        self._zoom = Label("", "value")
        self._zoom.setFixedWidth(44)
        self._zoom.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row.addWidget(self._fit)
        row.addWidget(self._one)
        row.addWidget(self._zoom)
        row.addWidget(_mark())
        self._channels = {}
        for words, tip in (("RGB", "All channels"), ("R", "Red only"), ("G", "Green only"), ("B", "Blue only"), ("A", "Alpha only")):
            made = segment(words, tip)
            made.setChecked(words == "RGB")
            made.clicked.connect(lambda _checked=False, words=words: self.set_channel(words))
            made.setFixedWidth(38 if words == "RGB" else 22)
            self._channels[words] = made
            row.addWidget(made)
        row.addWidget(_mark())
        self._compare = tool("square-split-horizontal", "Compare with another picture", 16)
        self._compare.clicked.connect(lambda: self.compare_wanted.emit(self.view.image))
        self._pick = tool("pipette", "Show the colour under the pointer", 16, checkable=True)
        self._pick.toggled.connect(lambda _on: self._fold_tools())
        self._grid = tool("grid-3x3", "Pixel grid from 800 %", 16, checkable=True)
        self._grid.setChecked(True)
        self._grid.toggled.connect(self._set_grid)
        self._save = tool("image-down", "Save this picture", 16)
        self._save.clicked.connect(lambda: self.save_wanted.emit(self.view.image))
        for made in (self._compare, self._pick, self._grid, self._save):
            row.addWidget(made)
        self._size = Label("", "value")
        self._size.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addStretch(1)
        row.addWidget(self._size)
        return bar

    # -- what is shown

    def set_document(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.states_changed.disconnect(self._states_changed)
            self._document.selection_changed.disconnect(self._selection_changed)
        self._document = document
        self.pinned = False
        self._shown = Shown()
        self.view.show_image(None)
        self.plate.show_state(None)
        if document is not None:
            document.states_changed.connect(self._states_changed)
            document.selection_changed.connect(self._selection_changed)
            self._show_best()
        self._show_facts()

    def outputs(self) -> list[str]:
        """Nodes shown that have a picture, in reading order; keys 1 to 9 pick one."""
        document = self._document
        if document is None:
            return []
        nodes = document.graph.nodes
        found = [name for name, state in document.states.items() if state.preview is not None and name in nodes]
        return sorted(found, key=lambda name: (nodes[name].position[0] // 200, nodes[name].position[1]))

    def look_at(self, node: str, pin: bool = False) -> None:
        """Show a node's picture; pinned, others do not take its place."""
        document = self._document
        if document is None or node not in document.states:
            return
        self.pinned = pin or self.pinned
        self._shown = Shown(node, document.name_of(node))
        self._show_state(document.states[node])

    def show_picture(self, image: QImage, name: str, path: str = "", estimate: bool = False) -> None:
        """Show a picture of an earlier run."""
        self._shown = Shown("", name, path)
        self.view.is_estimate = estimate
        self.view.show_image(image)
        self.plate.show_state(None)
        self._show_facts()

    def set_pinned(self, pinned: bool) -> None:
        self.pinned = pinned

    def _show_best(self) -> None:
        document = self._document
        if document is None:
            return
        chosen = [name for name in document.selection if name in document.states and document.states[name].preview is not None]
        running = [name for name, state in document.states.items() if state.state == "running" and state.preview is not None]
        outputs = self.outputs()
        best = (running or chosen or outputs[-1:])[:1]
        if best:
            self._shown = Shown(best[0], document.name_of(best[0]))
            self._show_state(document.states[best[0]])

    def _states_changed(self, names: set[str]) -> None:
        document = self._document
        if document is None:
            return
        if not self.pinned:
            live = [name for name in names if document.states[name].state == "running" and document.states[name].preview is not None]
            fresh = [name for name in names if document.states[name].state in ("done", "cached") and document.states[name].preview is not None]
            follow = live[:1] or ([name for name in fresh if self._is_last(name)][:1])
            if follow and follow[0] != self._shown.node:
                self._shown = Shown(follow[0], document.name_of(follow[0]))
        if self._shown.node in names:
            self._show_state(document.states[self._shown.node])

    def _is_last(self, name: str) -> bool:
        spec = self._document.spec(name) if self._document is not None else None
        return spec is not None and spec.sink

    def _selection_changed(self) -> None:
        document = self._document
        if document is None or self.pinned or len(document.selection) != 1:
            return
        name = next(iter(document.selection))
        state = document.states.get(name)
        running = any(one.state == "running" for one in document.states.values())
        if state is not None and state.preview is not None and (not running or state.state == "running"):
            self.look_at(name)

    def _show_state(self, state: RunState) -> None:
        if state.preview is not None and state.preview.cacheKey() != self.view.image.cacheKey():
            self.view.is_estimate = state.sigma is not None
            self.view.show_image(state.preview)
        self.plate.show_state(state)
        self._place()
        self._show_facts()

    # -- facts

    def _show_facts(self) -> None:
        image = self.view.image
        self._empty.setVisible(image.isNull())
        self._size.setText("" if image.isNull() else "estimate" if self.view.is_estimate else f"{image.width()} × {image.height()}")
        self._show_zoom()

    def _show_zoom(self) -> None:
        self._fit.setChecked(self.view.lens.fitted)
        self._one.setChecked(not self.view.lens.fitted and abs(self.view.zoom() - 1) < 0.005)
        self._zoom.setText("" if self.view.image.isNull() or self.view.is_estimate else f"{self.view.zoom() * 100:.0f} %")
        self._place()

    def _show_pixel(self, x: int, y: int, color: QColor) -> None:
        if x < 0 or not self._pick.isChecked():
            image = self.view.image
            self._size.setText("" if image.isNull() else f"{image.width()} × {image.height()}")
        else:
            self._size.setText(f"{x}, {y}   {color.red()} {color.green()} {color.blue()}   {color.name()}")

    def set_channel(self, channel: str) -> None:
        for words, made in self._channels.items():
            made.setChecked(words == channel)
        self.view.set_channel(channel)  # type: ignore[arg-type]

    def _set_grid(self, on: bool) -> None:
        self.view.grid = on
        self.view.update()

    def _place(self) -> None:
        rect = self.view.picture_rect() if not self.view.image.isNull() else QRectF(self.view.rect())
        inside = rect.intersected(QRectF(self.view.rect()))
        width = max(200.0, min(inside.width() - 24, 560.0))
        self.plate.setGeometry(round(inside.center().x() - width / 2), round(min(inside.bottom(), self.view.height()) - 44), round(width), 32)
        self._empty.setGeometry(0, 0, self.view.width(), self.view.height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place()
        self._fold_tools()

    def _fold_tools(self) -> None:
        """In a narrow column the facts give way to the tools, so that nothing lies over another; while colours are picked it is the other way round."""
        picks = self._pick.isChecked()
        self._size.setVisible(picks or self.width() >= 480)
        self._zoom.setVisible(not picks and self.width() >= 410)
        for words, made in self._channels.items():
            made.setVisible(words == "RGB" or not picks or self.width() >= 560)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.view:
            if event.type() == QEvent.Type.Resize:
                self._place()
            if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and event.text().isdigit() and event.text() != "0":
                outputs = self.outputs()
                number = int(event.text()) - 1
                if number < len(outputs):
                    self.look_at(outputs[number])
                return True
        return False

    def _menu(self, at: QPoint) -> None:
        image = self.view.image
        menu = QMenu(self)
        acts: Mapping[str, Callable[[], object]] = {
            "Copy picture": lambda: QGuiApplication.clipboard().setMimeData(picture_mime(image, self._shown.path)),
            "Save picture": lambda: self.save_wanted.emit(image),
            "Compare with another": lambda: self.compare_wanted.emit(image),
            "Use as input": lambda: self.use_wanted.emit(image),
        }
        for words, act in acts.items():
            made = menu.addAction(words)
            made.setEnabled(not image.isNull())
            made.triggered.connect(lambda _checked=False, act=act: act())
        menu.addSeparator()
        for number, name in enumerate(self.outputs()[:9], 1):
            made = menu.addAction(f"{(self._document.name_of(name) if self._document else name).replace('&', '&&')}\t{number}")
            made.triggered.connect(lambda _checked=False, name=name: self.look_at(name))
        menu.popup(self.view.mapToGlobal(at))


def _mark() -> QWidget:
    holder = QWidget()
    holder.setFixedWidth(13)
    line = hair(vertical=True, color="line.soft")
    line.setParent(holder)
    line.setFixedHeight(16)
    row = QHBoxLayout(holder)
    row.setContentsMargins(6, 0, 6, 0)
    row.addWidget(line)
    return holder
