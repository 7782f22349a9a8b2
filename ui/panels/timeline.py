"""The filmstrip of a run: every kept frame from noise to picture, with its step and noise level; drag to scrub."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPixmap, QPolygonF, QWheelEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from ui import theme
from ui.label import ElidedLabel, IconLabel, Label, button, tool
from ui.takes import Kept, Take
from ui.thumbnails import cropped
from ui.words import size_words

SIDE = 12
GAP = 4
LEAST_WIDTH = 44
PLAY_MS = 90


class Strip(QWidget):
    """Ruler, lane, frames and playheads."""

    looked = Signal(object)  # Kept under the blue playhead, or None when it follows the run
    branch_wanted = Signal(int)  # step

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._take: Take | None = None
        self._at: int | None = None  # the step looked at
        self._small: dict[int, QPixmap] = {}
        self._scroll = 0.0
        self._dragging = False
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Frames of the run")

    def sizeHint(self) -> QSize:
        return QSize(600, 119)

    @property
    def looked_at(self) -> int | None:
        """The step under the blue playhead, None while it follows the run."""
        return self._at

    @property
    def frame(self) -> Kept | None:
        """The picture of the step looked at: the last one kept up to it."""
        return self._take.seen_at(self._at) if self._take is not None and self._at is not None else None

    def show_take(self, take: Take | None) -> None:
        if take is not self._take:
            self._take, self._at, self._scroll = take, None, 0.0
            self._small.clear()
        elif take is not None and self._at is None and not take.over:
            behind = self.cell(self._slot(max(1, take.done))).right() - self.width() + SIDE
            if behind > 0:
                self._scroll -= behind
        self._describe()
        self.update()

    def look(self, step: int | None) -> None:
        """Move the blue playhead to a step, or to the nearest that was done; None follows the run again."""
        take = self._take
        self._at = None if step is None or take is None or not take.frames else max(take.frames[0].step, min(take.done, step))
        if self._at is not None:
            rect = self.cell(self._slot(self._at))
            if rect.left() < SIDE:
                self._scroll += SIDE - rect.left()
            elif rect.right() > self.width() - SIDE:
                self._scroll -= rect.right() - self.width() + SIDE
        self._describe()
        self.looked.emit(self.frame)
        self.update()

    def step(self, by: int) -> None:
        """Move the playhead by cells of the strip."""
        take = self._take
        if take is None or not take.frames:
            return
        self.look(self._step_of(self._slot(take.done if self._at is None else self._at) + by))

    def _describe(self) -> None:
        take = self._take
        self.setAccessibleDescription("No run yet" if take is None else f"{len(take.frames)} frames" if self._at is None else f"Step {self._at} of {take.total}")

    # -- geometry

    def _count(self) -> int:
        take = self._take
        if take is None:
            return 14
        total = max(take.total, 1)
        every = max(take.every, 1)
        return max(1, -(-total // every))

    def _slot(self, step: int) -> int:
        every = max(self._take.every, 1) if self._take is not None else 1
        return max(0, -(-step // every) - 1)

    def _step_of(self, slot: int) -> int:
        """The last step of a cell."""
        take = self._take
        return min((slot + 1) * max(take.every, 1), max(take.total, 1)) if take is not None else 0

    def _pitch(self) -> float:
        room = self.width() - 2 * SIDE + GAP
        return max(float(LEAST_WIDTH + GAP), room / self._count())

    def cell(self, slot: int) -> QRectF:
        """Where a frame lies."""
        pitch = self._pitch()
        return QRectF(SIDE + slot * pitch + self._scroll, 29, pitch - GAP, self.height() - 29 - 10)

    def _limit(self) -> None:
        over = SIDE * 2 + self._count() * self._pitch() - GAP - self.width()
        self._scroll = max(-max(0.0, over), min(0.0, self._scroll))

    # -- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), now.color("surface.panel"))
        take = self._take
        if take is None:
            painter.setFont(theme.font("small"))
            painter.setPen(now.color("text.tertiary"))
            painter.drawText(self.rect().adjusted(SIDE, 0, -SIDE, 0), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, "The steps of each run are kept here. Run a graph to see how its picture grows.")
            painter.end()
            return
        self._limit()
        count = self._count()
        painter.fillRect(QRectF(SIDE, 23, self.width() - 2 * SIDE, 2), now.color("surface.hover"))
        painter.fillRect(QRectF(SIDE + self._scroll, 23, max(0.0, self._x_of(take.done) - SIDE - self._scroll), 2), now.color("port.latent", 0.9))
        frames = {self._slot(frame.step): frame for frame in take.frames}
        for slot in range(count):
            rect = self.cell(slot)
            if rect.right() < 0 or rect.left() > self.width():
                continue
            step = self._step_of(slot)
            frame = frames.get(slot)
            before = take.seen_at(step) if take.frames and take.frames[0].step <= step <= take.done else None
            is_looked = self._at is not None and slot == self._slot(self._at)
            self._paint_cell(painter, rect, frame or before, slot, is_looked, 1.0 if frame is not None else 0.3)
        self._paint_heads(painter, take)
        painter.end()

    def _x_of(self, step: float) -> float:
        every = max(self._take.every, 1) if self._take is not None else 1
        return SIDE + step / every * self._pitch() + self._scroll - GAP / 2

    def _paint_cell(self, painter: QPainter, rect: QRectF, frame: Kept | None, slot: int, looked: bool, opacity: float) -> None:
        """`opacity` below 1: the step was done, but no picture of it was kept; the one before stands for it."""
        now = theme.current()
        is_kept = frame is not None and opacity == 1
        step = frame.step if frame is not None and is_kept else self._step_of(slot)
        painter.setFont(theme.font("value", 500, px=10))
        painter.setPen(now.color("text.primary" if is_kept else "text.tertiary"))
        measure = theme.metrics("value", 500, px=10)
        painter.drawText(QPointF(rect.x() + 1, 15), str(step))
        if frame is not None and is_kept and frame.sigma is not None and rect.width() > 50:
            painter.setFont(theme.font("value", 400, px=10))
            painter.setPen(now.color("text.tertiary"))
            words = f"{frame.sigma:.1f}" if frame.sigma >= 1 else f"{frame.sigma:.2f}"
            painter.drawText(QPointF(rect.x() + 8 + measure.horizontalAdvance(str(step)), 15), words)
        if frame is None:
            painter.setPen(now.color("line.soft"))
            painter.setBrush(now.color("surface.field"))
            painter.drawRoundedRect(rect.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
            return
        clip = QPainterPath()
        clip.addRoundedRect(rect, 4, 4)
        painter.save()
        painter.setClipPath(clip)
        small = self._thumbnail(frame, rect.size().toSize())
        painter.setOpacity(opacity)
        painter.drawPixmap(rect, small, QRectF(small.rect()))
        painter.restore()
        if looked:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            pen = painter.pen()
            pen.setColor(now.color("accent.base"))
            pen.setWidthF(2)
            painter.setPen(pen)
            painter.drawRoundedRect(rect.adjusted(-1, -1, 1, 1), 5, 5)
            pen.setWidthF(1)
            painter.setPen(pen)

    def _thumbnail(self, frame: Kept, size: QSize) -> QPixmap:
        key = frame.image.cacheKey()
        ratio = self.devicePixelRatioF()
        wanted = QSize(max(1, round(size.width() * ratio)), max(1, round(size.height() * ratio)))
        found = self._small.get(key)
        if found is None or found.size() != wanted:
            found = QPixmap.fromImage(cropped(frame.image, wanted))
            if len(self._small) > 400:
                self._small.clear()
            self._small[key] = found
        return found

    def _paint_heads(self, painter: QPainter, take: Take) -> None:
        now = theme.current()
        heads = []
        if not take.over and take.done < take.total:
            heads.append((self._x_of(take.done), "state.live"))
        if self._at is not None:
            heads.append((self.cell(self._slot(self._at)).center().x(), "accent.base"))
        for x, tone in heads:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(now.color(tone))
            painter.drawRect(QRectF(x - 0.75, 2, 1.5, self.height() - 8))
            painter.drawPolygon(QPolygonF([QPointF(x - 6, 0), QPointF(x + 6, 0), QPointF(x + 6, 7), QPointF(x, 13), QPointF(x - 6, 7)]))

    # -- hands

    def _step_at(self, x: float) -> int:
        return self._step_of(int((x - SIDE - self._scroll) // self._pitch()))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self._dragging = True
            self.look(self._step_at(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._dragging:
            before = self._at
            found = self._step_at(event.position().x())
            if found != before:
                self.look(found)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragging = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self.looked_at is not None:
            self.branch_wanted.emit(self.looked_at)

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._scroll += event.angleDelta().y() / 2 or event.angleDelta().x() / 2
        self._limit()
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        acts = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1, Qt.Key.Key_PageUp: -10, Qt.Key.Key_PageDown: 10}
        if event.key() in acts:
            self.step(acts[Qt.Key(event.key())])
        elif event.key() == Qt.Key.Key_Home:
            self.look(1)
        elif event.key() in (Qt.Key.Key_End, Qt.Key.Key_Escape):
            self.look(None)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.looked_at is not None:
            self.branch_wanted.emit(self.looked_at)
        else:
            super().keyPressEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        self.update()


class Timeline(QWidget):
    """The strip under its transport. `looked` hands the frame to the viewer."""

    looked = Signal(object)  # Kept or None
    branch_wanted = Signal(object, int)  # Take, step

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._takes: list[Take] = []
        self._take: Take | None = None
        self._follows = True
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.strip = Strip()
        self.strip.looked.connect(self._looked)
        self.strip.branch_wanted.connect(lambda step: self._take is not None and self.branch_wanted.emit(self._take, step))
        column.addWidget(self.strip, 1)
        self._play = QTimer(self)
        self._play.setInterval(PLAY_MS)
        self._play.timeout.connect(self._next_frame)
        self.transport = self._make_transport()

    def _make_transport(self) -> QWidget:
        bar = QWidget()
        row = QHBoxLayout(bar)
        row.setContentsMargins(12, 0, 6, 0)
        row.setSpacing(0)
        row.addWidget(IconLabel("film", "text.secondary", 14))
        row.addSpacing(8)
        row.addWidget(Label("Timeline", "strong"))
        row.addSpacing(12)
        acts = (
            ("skip-back", "First step", lambda: self.strip.look(1)),
            ("step-back", "Step before", lambda: self.strip.step(-1)),
            ("play", "Play the steps", self._toggle_play),
            ("step-forward", "Step after", lambda: self.strip.step(1)),
            ("skip-forward", "Newest step", lambda: self.strip.look(None)),
        )
        for icon, tip, act in acts:
            made = tool(icon, tip, 14)
            made.clicked.connect(lambda _checked=False, act=act: act())
            row.addWidget(made)
        row.addSpacing(12)
        self._name = QToolButton()
        self._name.setProperty("kind", "take")
        self._name.setAccessibleName("Choose a take")
        self._name.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(self._name)
        self._menu.aboutToShow.connect(self._fill_menu)
        self._name.setMenu(self._menu)
        row.addWidget(self._name)
        self._kept = ElidedLabel("", "faint")
        self._kept.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.addWidget(self._kept, 1)
        row.addSpacing(12)
        self.branch = button("Branch from here", "small", "git-branch", "Go on from the step looked at, in a new run")
        self.branch.setFixedHeight(24)
        self.branch.clicked.connect(lambda: self.strip.looked_at is not None and self._take and self.branch_wanted.emit(self._take, self.strip.looked_at))
        row.addWidget(self.branch)
        self._describe()
        return bar

    # -- what is shown

    def show_takes(self, takes: list[Take]) -> None:
        """All takes there are; the newest is shown as long as none was chosen."""
        self._takes = takes
        if self._follows or self._take not in takes:
            self._show(takes[-1] if takes else None)

    def take_changed(self, take: Take) -> None:
        if take is self._take:
            self.strip.show_take(take)
            self._describe()

    def _show(self, take: Take | None) -> None:
        self._take = take
        self.strip.show_take(take)
        self._describe()

    def choose(self, take: Take) -> None:
        self._follows = bool(self._takes) and take is self._takes[-1]
        self._show(take)
        self.strip.look(take.done)

    def _describe(self) -> None:
        take = self._take
        self.branch.setEnabled(take is not None and self.strip.looked_at is not None)
        self._name.setVisible(take is not None)
        if take is None:
            self._kept.setText("")
            return
        seed = f"  ·  seed {take.seed:,}".replace(",", " ") if take.seed is not None else ""
        self._name.setText(f"Take {take.number}   {take.name}{seed}".replace("&", "&&"))
        step, frame = self.strip.looked_at, self.strip.frame
        if step is not None and frame is not None and frame.step != step:
            self._kept.setText(f"Step {step}, shown by the picture of step {frame.step}")
        else:
            self._kept.setText(f"{len(take.frames)} {'picture' if len(take.frames) == 1 else 'pictures'} of {max(1, take.total)} steps  ·  {size_words(take.size)}")

    def _fill_menu(self) -> None:
        self._menu.clear()
        for take in reversed(self._takes[-20:]):
            seed = f", seed {take.seed}" if take.seed is not None else ""
            made = self._menu.addAction(f"Take {take.number}: {take.job.title}, {take.name}{seed}".replace("&", "&&"))
            made.triggered.connect(lambda _checked=False, take=take: self.choose(take))

    def _looked(self, kept: Kept | None) -> None:
        if kept is None:
            self._follows = True
        self._describe()
        self.looked.emit(kept)

    # -- playing

    def _toggle_play(self) -> None:
        if self._play.isActive():
            self._play.stop()
        elif self._take is not None and self._take.frames:
            if self.strip.looked_at in (None, self._take.done):
                self.strip.look(1)
            self._play.start()

    def _next_frame(self) -> None:
        if self._take is None or self.strip.looked_at == self._take.done:
            self._play.stop()
            return
        self.strip.step(1)
