"""The queue: what runs now, what comes next (drag to reorder), and what is done; pictures of today below."""

from __future__ import annotations

import time

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPixmap
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QMenu, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from ui import theme
from ui.jobs import Job, Picture
from ui.label import Label
from ui.runs import Runs
from ui.thumbnails import cropped
from ui.words import seconds_words

CARD = 56
GAP = 6


class JobCard(QWidget):
    """One job: its picture so far, name, how far it is. Keys: Delete takes it out, Alt+Up and Alt+Down move it, Enter shows it."""

    cancel_wanted = Signal(object)
    moved = Signal(object, int)  # Job, places
    grasped = Signal()
    dragged = Signal(object, int)  # Job, places from where it was grasped
    show_wanted = Signal(object)
    menu_wanted = Signal(object, QPoint)

    def __init__(self, job: Job, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.job = job
        self._small: tuple[int, QPixmap] | None = None
        self._grip: float | None = None  # y on the page: a card lies elsewhere as soon as it was moved, the page does not
        self.setFixedHeight(CARD)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.refresh()

    def refresh(self) -> None:
        self.setAccessibleName(f"{self.job.title}, {self.job.state}, {self.job.words()}")
        self.update()

    def _button(self) -> QRectF:
        return QRectF(self.width() - 26, 6 if self.job.state == "running" else CARD / 2 - 9, 18, 18)

    def paintEvent(self, event: QPaintEvent) -> None:
        now, job = theme.current(), self.job
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        box = QRectF(0, 0, self.width(), CARD)
        painter.setPen(Qt.PenStyle.NoPen)
        live = job.state == "running"
        if live:
            painter.setBrush(now.mix(now.color("state.live", 1.0), "surface.panel", 0.14))
        elif job.state in ("failed", "interrupted"):
            painter.setBrush(now.mix(now.color("state.bad", 1.0), "surface.panel", 0.12))
        else:
            painter.setBrush(now.color("surface.hover" if self.underMouse() else "surface.raised"))
        painter.drawRoundedRect(box, 6, 6)
        if self.hasFocus():
            pen = painter.pen()
            painter.setPen(now.color("line.focus"))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
            painter.setPen(pen)
        self._paint_picture(painter, QRectF(6, 6, 44, 44), live)
        room = self.width() - 60 - (30 if job.state in ("running", "waiting") else 8)
        painter.setFont(theme.font("body", 500))
        painter.setPen(now.color("text.primary"))
        painter.drawText(QPointF(60, 21), theme.metrics("body", 500).elidedText(job.title, Qt.TextElideMode.ElideMiddle, room))
        words = job.words()
        tone = "state.live_text" if live else "state.bad" if job.state in ("failed", "interrupted") else "text.secondary"
        painter.setFont(theme.font("value") if live else theme.font("small"))
        painter.setPen(now.color(tone))
        if live and job.eta is not None and job.eta >= 1:
            words += f"  {seconds_words(job.eta) if job.eta < 60 else f'{job.eta / 60:.0f} min'} left"  # a card is narrow
        painter.drawText(QPointF(60, 39), theme.metrics("value" if live else "small").elidedText(words, Qt.TextElideMode.ElideRight, room + (20 if live else 0)))
        if live:
            width = self.width() - 60 - 12
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(now.color("state.live", 0.25))
            painter.drawRoundedRect(QRectF(60, 46, width, 3), 1.5, 1.5)
            painter.setBrush(now.color("state.live"))
            painter.drawRoundedRect(QRectF(60, 46, max(3.0, width * job.share), 3), 1.5, 1.5)
            theme.draw_icon(painter, "x", self._button().adjusted(2, 2, -2, -2), now.color("text.secondary"))
        elif job.state == "waiting":
            hovered = self.underMouse() or self.hasFocus()
            theme.draw_icon(painter, "x" if hovered and not self._grip_hovered() else "grip-vertical", self._button().adjusted(2, 2, -2, -2), now.color("text.tertiary"))
        painter.end()

    def _grip_hovered(self) -> bool:
        return self.cursor().shape() == Qt.CursorShape.SizeVerCursor

    def _paint_picture(self, painter: QPainter, rect: QRectF, live: bool) -> None:
        image = self.job.thumbnail
        if image is None or image.isNull():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.current().color("surface.field"))
            painter.drawRoundedRect(rect, 4, 4)
            theme.draw_icon(painter, "image", rect.adjusted(14, 14, -14, -14), theme.current().color("text.disabled"))
            return
        ratio = self.devicePixelRatioF()
        if self._small is None or self._small[0] != image.cacheKey():
            side = round(44 * ratio)
            self._small = (image.cacheKey(), QPixmap.fromImage(cropped(image, QSize(side, side))))
        clip = QPainterPath()
        clip.addRoundedRect(rect, 4, 4)
        painter.save()
        painter.setClipPath(clip)
        painter.setOpacity(0.5 if self.job.state == "waiting" else 1.0)
        painter.drawPixmap(rect, self._small[1], QRectF(self._small[1].rect()))
        painter.restore()

    # -- hands

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if self._button().contains(event.position()) and self.job.state in ("running", "waiting"):
            self.cancel_wanted.emit(self.job)
        elif self.job.state == "waiting":
            self._grip = self.mapToParent(event.position()).y()
            self.grasped.emit()
            self.setCursor(Qt.CursorShape.SizeVerCursor)
        else:
            self.show_wanted.emit(self.job)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grip is not None:
            self.dragged.emit(self.job, round((self.mapToParent(event.position()).y() - self._grip) / (CARD + GAP)))
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grip = None
        self.unsetCursor()

    def leaveEvent(self, event: QEvent) -> None:
        self.update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_wanted.emit(self.job, event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        if event.key() == Qt.Key.Key_Delete:
            self.cancel_wanted.emit(self.job)
        elif alt and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.moved.emit(self.job, 1 if event.key() == Qt.Key.Key_Down else -1)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.show_wanted.emit(self.job)
        else:
            super().keyPressEvent(event)


class Thumbnail(QWidget):
    """A square of a picture; a click shows it."""

    pressed = Signal(object)
    menu_wanted = Signal(object, QPoint)

    def __init__(self, picture: Picture, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.picture = picture
        self._small: QPixmap | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(f"{picture.title}, {picture.name}")
        self.setMinimumSize(40, 40)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return width

    def sizeHint(self) -> QSize:
        return QSize(66, 66)

    def paintEvent(self, event: QPaintEvent) -> None:
        side = round(self.width() * self.devicePixelRatioF())
        if self._small is None or self._small.width() != side:
            self._small = QPixmap.fromImage(cropped(self.picture.image, QSize(side, side)))
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        rect = QRectF(0, 0, self.width(), self.width())
        clip = QPainterPath()
        clip.addRoundedRect(rect, 4, 4)
        painter.setClipPath(clip)
        painter.drawPixmap(rect, self._small, QRectF(self._small.rect()))
        painter.setClipping(False)
        if self.underMouse() or self.hasFocus():
            pen = painter.pen()
            pen.setColor(theme.current().color("accent.base"))
            pen.setWidthF(2)
            painter.setPen(pen)
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 4, 4)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.pressed.emit(self.picture)

    def enterEvent(self, event: QEvent) -> None:  # type: ignore[override]
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.pressed.emit(self.picture)
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_wanted.emit(self.picture, event.globalPos())


class QueuePanel(QWidget):
    """`done=True` lists what is over instead."""

    show_wanted = Signal(object)  # Job
    picture_wanted = Signal(object)  # Picture
    compare_wanted = Signal(object)  # Picture
    graph_wanted = Signal(object, str)  # Graph, title: open the graph of a picture

    def __init__(self, runs: Runs, done: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.runs, self._done = runs, done
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(scroll)
        page = QWidget()
        page.setProperty("kind", "page")
        scroll.setWidget(page)
        self._column = QVBoxLayout(page)
        self._column.setContentsMargins(8, 8, 8, 8)
        self._column.setSpacing(GAP)
        self._cards: dict[str, JobCard] = {}
        self._order: list[Job] = []  # of what waited when a drag began
        self._heads: list[QWidget] = []
        self._grid_holder = QWidget()
        self._grid = QGridLayout(self._grid_holder)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(4)
        self._thumbs: list[Thumbnail] = []
        self._column.addStretch(1)
        runs.queue_changed.connect(self.rebuild)
        runs.job_changed.connect(self._job_changed)
        runs.job_over.connect(lambda _job: self.rebuild())
        if not done:
            runs.picture.connect(lambda _picture: self._rebuild_grid())
        self.rebuild()

    def rebuild(self) -> None:
        """Lay the cards out anew; those that stay are kept, so a drag or the focus survives."""
        runs = self.runs
        sections: list[tuple[str, str, list[Job]]]
        if self._done:
            sections = [("Done", "", runs.over[:60])]
        else:
            left = runs.time_waiting()
            count = len(runs.waiting)
            total = f"about {seconds_words(left)}" if left is not None else ""
            next_words = f"{'Paused, ' if runs.paused else 'Next, '}{count} {'run' if count == 1 else 'runs'}"
            sections = [("Now", "", [runs.current] if runs.current else []), (next_words, total, list(runs.waiting))]
        for head in self._heads:
            self._column.removeWidget(head)
            head.hide()
            head.deleteLater()
        self._heads = []
        wanted = {job.id for _, _, jobs in sections for job in jobs}
        for name in [name for name in self._cards if name not in wanted]:
            card = self._cards.pop(name)
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        place = 0
        for number, (words, right, jobs) in enumerate(sections):
            if not jobs:
                continue
            place = self._insert(place, _heading(words, right, number > 0))
            for job in jobs:
                if job.id not in self._cards:
                    self._cards[job.id] = self._card(job)
                self._column.removeWidget(self._cards[job.id])
                self._column.insertWidget(place, self._cards[job.id])
                self._cards[job.id].refresh()
                place += 1
        if not wanted:
            words = "Runs that are over are listed here." if self._done else "Nothing waits. Ctrl ↵ runs the graph."
            place = self._insert(place, _empty("Paused. " + words if runs.paused and not self._done else words))
        if not self._done:
            self._rebuild_grid(place)

    def _insert(self, place: int, widget: QWidget) -> int:
        self._heads.append(widget)
        self._column.insertWidget(place, widget)
        return place + 1

    def _card(self, job: Job) -> JobCard:
        card = JobCard(job)
        card.cancel_wanted.connect(self.runs.cancel)
        card.moved.connect(lambda job, places: job in self.runs.waiting and self.runs.move(job, self.runs.waiting.index(job) + places))
        card.grasped.connect(lambda: setattr(self, "_order", list(self.runs.waiting)))
        card.dragged.connect(self._drag)
        card.show_wanted.connect(self.show_wanted)
        card.menu_wanted.connect(self._menu)
        return card

    def _drag(self, job: Job, places: int) -> None:
        """Behind those that it was drawn past; some of them may have left the queue meanwhile."""
        if job in self._order:
            place = max(0, self._order.index(job) + places)
            ahead = [one for one in self._order if one is not job][:place]
            self.runs.move(job, sum(one in self.runs.waiting for one in ahead))

    def _job_changed(self, job: Job) -> None:
        card = self._cards.get(job.id)
        if card is not None:
            card.refresh()

    def _rebuild_grid(self, place: int | None = None) -> None:
        start = time.time() - 86400
        pictures = [picture for job in ([self.runs.current] if self.runs.current else []) + self.runs.over for picture in reversed(job.pictures) if picture.made_at > start]
        shown = pictures[:30]
        if [thumb.picture for thumb in self._thumbs] == shown and place is None:
            return
        if place is not None:
            self._column.removeWidget(self._grid_holder)
            if pictures:
                place = self._insert(place, _heading(f"Today, {len(pictures)} {'picture' if len(pictures) == 1 else 'pictures'}", "", True))
            self._column.insertWidget(place, self._grid_holder)
        elif pictures:
            self.rebuild()
            return
        if [thumb.picture for thumb in self._thumbs] != shown:
            for thumb in self._thumbs:
                self._grid.removeWidget(thumb)
                thumb.hide()
                thumb.deleteLater()
            self._thumbs = []
            for number, picture in enumerate(shown):
                thumb = Thumbnail(picture)
                thumb.pressed.connect(self.picture_wanted)
                thumb.menu_wanted.connect(self._picture_menu)
                self._thumbs.append(thumb)
                self._grid.addWidget(thumb, number // 3, number % 3)
            for column in range(3):
                self._grid.setColumnStretch(column, 1)
        self._grid_holder.setVisible(bool(shown))

    def _menu(self, job: Job, at: QPoint) -> None:
        menu = QMenu(self)
        if job.state == "waiting":
            menu.addAction("Run next").triggered.connect(lambda: self.runs.move(job, 0))
        if not job.is_over:
            menu.addAction("Stop" if job.state == "running" else "Take out of the queue").triggered.connect(lambda: self.runs.cancel(job))
        if job.is_over:
            menu.addAction("Run again").triggered.connect(lambda: self.runs.again(job))
        menu.addAction("Open its graph").triggered.connect(lambda: self.graph_wanted.emit(job.graph, job.title))
        if self.runs.waiting:
            menu.addSeparator()
            menu.addAction("Clear the queue").triggered.connect(self.runs.clear)
        menu.popup(at)

    def _picture_menu(self, picture: Picture, at: QPoint) -> None:
        menu = QMenu(self)
        menu.addAction("Show").triggered.connect(lambda: self.picture_wanted.emit(picture))
        menu.addAction("Compare").triggered.connect(lambda: self.compare_wanted.emit(picture))
        menu.addAction("Open its graph").triggered.connect(lambda: self.graph_wanted.emit(picture.graph, picture.title))
        menu.popup(at)


def _heading(words: str, right: str, gap: bool) -> QWidget:
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(4, 8 if gap else 0, 4, 0)
    row.addWidget(Label(words, "faint"))
    row.addStretch(1)
    if right:
        row.addWidget(Label(right, "faint"))
    return holder


def _empty(words: str) -> QWidget:
    label = Label(words, "faint", wrap=True)
    label.setContentsMargins(4, 0, 4, 0)
    return label

