"""A list of painted rows under headings: an icon, a name with the matched letters lit, a line of help, words and a port mark at the right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from ui import theme
from ui.canvas.paint import draw_port

ROW = 46
HEADING = 32
Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True)
class Entry:
    """One row; `payload` None makes it a heading. `tone` is the icon's colour token, `port` a key of the port shapes."""

    title: str
    payload: Any = None
    subtitle: str = ""
    icon: str = ""
    tone: str = "text.secondary"
    places: tuple[int, ...] = ()
    right: str = ""
    port: str = ""
    dim: bool = False
    keys: str = ""


class _Model(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.entries: list[Entry] = []

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self.entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        entry = self.entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == Qt.ItemDataRole.AccessibleDescriptionRole:
            return ". ".join(part for part in (entry.subtitle, entry.right, entry.keys) if part)
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        if self.entries[index.row()].payload is None:
            return Qt.ItemFlag.NoItemFlags
        return Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsDragEnabled


class _Delegate(QStyledItemDelegate):
    def __init__(self, rows: RowList) -> None:
        super().__init__(rows)
        self._rows = rows

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        entry = self._rows.entry(index.row())
        return QSize(100, (HEADING if index.row() else HEADING - 2) if entry.payload is None else self._rows.row_height)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        now = theme.current()
        entry, rect = self._rows.entry(index.row()), QRectF(option.rect)  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if entry.payload is None:
            painter.setFont(theme.font("small", 500))
            painter.setPen(now.color("text.tertiary"))
            painter.drawText(QPointF(rect.x() + 18, rect.bottom() - 9), entry.title)
            painter.restore()
            return
        state = option.state  # type: ignore[attr-defined]
        box = rect.adjusted(8, 1, -8, -1)
        chosen = bool(state & QStyle.StateFlag.State_Selected)
        if chosen or state & QStyle.StateFlag.State_MouseOver:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(now.color("accent.wash") if chosen else now.color("surface.hover", 0.55))
            painter.drawRoundedRect(box, 6, 6)
            if chosen:
                painter.setBrush(now.color("accent.base"))
                painter.drawRoundedRect(QRectF(box.x(), box.y() + 8, 3, box.height() - 16), 1.5, 1.5)
        if entry.dim:
            painter.setOpacity(0.5)
        self._paint_entry(painter, entry, box)
        painter.restore()

    def _paint_entry(self, painter: QPainter, entry: Entry, box: QRectF) -> None:
        now = theme.current()
        left, right, middle = box.x() + 10, box.right() - 10, box.center().y()
        if entry.icon:
            side = 28.0 if box.height() > 36 else 22.0
            tile = QRectF(left, middle - side / 2, side, side)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(now.mix(entry.tone, "surface.popup", 0.16))
            painter.drawRoundedRect(tile, 6, 6)
            theme.draw_icon(painter, entry.icon, tile.adjusted(side / 2 - 8, side / 2 - 8, 8 - side / 2, 8 - side / 2), now.color(entry.tone))
            left += side + 10
        if entry.port:
            draw_port(painter, now, entry.port, right - 5, box.y() + (13 if entry.subtitle else box.height() / 2), 11, True, False)
            right -= 20
        small = theme.metrics("small")
        for words, tone, font in ((entry.keys, "text.tertiary", "caption"), (entry.right, "text.secondary", "small")):
            if words:
                width = theme.metrics(font).horizontalAdvance(words)
                painter.setFont(theme.font(font))
                painter.setPen(now.color(tone))
                y = (box.y() + 13 if entry.subtitle else middle) + theme.metrics(font).capHeight() / 2
                painter.drawText(QPointF(right - width, y), words)
                right -= width + 12
        title_y = (box.y() + 14 if entry.subtitle else middle) + theme.metrics("body", 600).capHeight() / 2
        self._paint_title(painter, entry, left, title_y, right - left)
        if entry.subtitle:
            painter.setFont(theme.font("small"))
            painter.setPen(now.color("text.secondary"))
            shown = small.elidedText(entry.subtitle, Qt.TextElideMode.ElideRight, box.right() - 12 - left)
            painter.drawText(QPointF(left, box.bottom() - 13 + small.capHeight() / 2), shown)

    @staticmethod
    def _paint_title(painter: QPainter, entry: Entry, x: float, y: float, width: float) -> None:
        now, measure = theme.current(), theme.metrics("body", 600)
        painter.setFont(theme.font("body", 600))
        text = measure.elidedText(entry.title, Qt.TextElideMode.ElideRight, width)
        lit = {place for place in entry.places if place < len(text)}
        at = 0
        while at < len(text):
            end = at + 1
            while end < len(text) and (end in lit) == (at in lit):
                end += 1
            painter.setPen(now.color("text.link" if at in lit else "text.primary"))
            painter.drawText(QPointF(x + measure.horizontalAdvance(text[:at]), y), text[at:end])
            at = end


class RowList(QListView):
    """Emits `chosen` on Enter or click, `moved` when another row is the current one. Headings are passed over."""

    chosen = Signal(object)
    moved = Signal(object)

    def __init__(self, row_height: int = ROW, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row_height = row_height
        self._model = _Model(self)
        self.setModel(self._model)
        self.setItemDelegate(_Delegate(self))
        self.setMouseTracking(True)
        self.setUniformItemSizes(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setProperty("kind", "rows")
        self.verticalScrollBar().setSingleStep(18)
        self.clicked.connect(self._clicked)
        self.selectionModel().currentChanged.connect(lambda current, _old: self.moved.emit(self.entry(current.row()).payload if current.isValid() else None))

    def entry(self, row: int) -> Entry:
        return self._model.entries[row]

    @property
    def entries(self) -> list[Entry]:
        return self._model.entries

    def show_entries(self, entries: Sequence[Entry], choose_first: bool = True) -> None:
        self._model.beginResetModel()
        self._model.entries = list(entries)
        self._model.endResetModel()
        self.scrollToTop()
        if choose_first:
            first = next((row for row, entry in enumerate(entries) if entry.payload is not None), None)
            if first is not None:
                self.setCurrentIndex(self._model.index(first))
                self.scrollToTop()

    def current(self) -> Any:
        index = self.currentIndex()
        return self.entry(index.row()).payload if index.isValid() else None

    def step(self, by: int) -> None:
        """Go to the next row that is no heading; from the end back to the beginning."""
        count = len(self.entries)
        rows = [row for row in range(count) if self.entries[row].payload is not None]
        if not rows:
            return
        row = self.currentIndex().row()
        place = rows.index(row) if row in rows else -1 if by > 0 else 0
        wanted = rows[(place + by) % len(rows)] if abs(by) == 1 else rows[max(0, min(len(rows) - 1, place + by))]
        self.setCurrentIndex(self._model.index(wanted))
        if wanted == rows[0]:
            self.scrollToTop()

    def _clicked(self, index: QModelIndex) -> None:
        payload = self.entry(index.row()).payload
        if payload is not None:
            self.chosen.emit(payload)
