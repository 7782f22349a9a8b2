"""Pictures in the output folder, the newest first; one that carries its graph opens it."""

from __future__ import annotations

import os
from pathlib import Path

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, QPoint, QRectF, QSize, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QImage, QPainter, QPainterPath, QPen, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QListView, QMenu, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QVBoxLayout, QWidget

from nodegraph.folders import IMAGE_SUFFIXES, Folders
from ui import theme
from ui.label import Label
from ui.threads import background
from ui.thumbnails import thumbnail

SHOWN = 600
Index = QModelIndex | QPersistentModelIndex


class _Model(QAbstractListModel):
    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.paths: list[Path] = []
        self.small: dict[Path, QPixmap] = {}
        self._asked: set[Path] = set()
        self.side = 128

    def rowCount(self, parent: Index = QModelIndex()) -> int:
        return 0 if parent.isValid() else len(self.paths)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        path = self.paths[index.row()]
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return path.name
        if role == Qt.ItemDataRole.ToolTipRole:
            return path.name.replace("<", "‹")
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled

    def mimeData(self, indexes: list[Index]) -> object:  # type: ignore[override]
        made = super().mimeData(indexes)  # type: ignore[arg-type]
        made.setUrls([QUrl.fromLocalFile(str(self.paths[index.row()])) for index in indexes])
        return made

    def picture(self, index: Index) -> QPixmap | None:
        """A thumbnail if it is there; else it is read in the background."""
        path = self.paths[index.row()]
        found = self.small.get(path)
        if found is None and path not in self._asked:
            self._asked.add(path)
            side = self.side

            def done(image: QImage) -> None:
                self.small[path] = QPixmap.fromImage(image)
                if path in self.paths:
                    place = self.index(self.paths.index(path))
                    self.dataChanged.emit(place, place)

            background().run(lambda: thumbnail(path, side), done, lambda _error: None, owner=self)
        return found

    def show_paths(self, paths: list[Path]) -> None:
        if paths != self.paths:
            self.beginResetModel()
            gone = set(self.paths) - set(paths)
            self.paths = paths
            for path in gone:
                self.small.pop(path, None)
                self._asked.discard(path)
            self.endResetModel()


class _Delegate(QStyledItemDelegate):
    def __init__(self, model: _Model, parent: QObject) -> None:
        super().__init__(parent)
        self._model = model

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(self._model.side + 6, self._model.side + 6)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        now = theme.current()
        rect = QRectF(option.rect).adjusted(3, 3, -3, -3)  # type: ignore[attr-defined]
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        clip = QPainterPath()
        clip.addRoundedRect(rect, 4, 4)
        small = self._model.picture(index)
        painter.setClipPath(clip)
        if small is not None:
            painter.drawPixmap(rect, small, QRectF(small.rect()))
        else:
            painter.fillPath(clip, now.color("surface.field"))
        painter.setClipping(False)
        state = option.state  # type: ignore[attr-defined]
        if state & (QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver):
            painter.setPen(QPen(now.color("accent.base" if state & QStyle.StateFlag.State_Selected else "line.strong"), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 4, 4)
        painter.restore()


class PicturesPanel(QWidget):
    """A grid of what was saved. A click shows it in the viewer, a double click opens the graph inside it."""

    picture_wanted = Signal(object, str)  # QImage, path
    graph_wanted = Signal(str)

    def __init__(self, folders: Folders, large: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._folder = folders.output
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 0, 0)
        self._empty = Label(f"Nothing was saved yet. Pictures go to ‘{self._folder}’.", "faint", wrap=True)
        column.addWidget(self._empty)
        self.list = QListView()
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setUniformItemSizes(True)
        self.list.setMouseTracking(True)
        self.list.setDragEnabled(True)
        self.list.setProperty("kind", "rows")
        self.list.setAccessibleName("Pictures")
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self._model = _Model(self)
        self._model.side = 208 if large else 80
        self.list.setModel(self._model)
        self.list.setItemDelegate(_Delegate(self._model, self))
        self.list.selectionModel().currentChanged.connect(lambda index, _old: index.isValid() and self._show(index.row()))
        self.list.activated.connect(lambda index: self.graph_wanted.emit(str(self._model.paths[index.row()])))
        self.list.customContextMenuRequested.connect(self._menu)
        column.addWidget(self.list, 1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(150)
        self._timer.timeout.connect(self._read)

    def showEvent(self, event: object) -> None:
        self.refresh_later()

    def refresh_later(self) -> None:
        """Look into the folder again, soon and in the background."""
        self._timer.start()

    def _read(self) -> None:
        folder = self._folder

        def done(paths: list[Path]) -> None:
            self._model.show_paths(paths)
            self._empty.setVisible(not paths)
            self.list.setVisible(bool(paths))

        background().run(lambda: newest_pictures(folder), done, lambda _error: None, owner=self)

    def _show(self, row: int) -> None:
        path = self._model.paths[row]
        background().run(lambda: thumbnail(path, 0), lambda image: self.picture_wanted.emit(image, str(path)), lambda _error: None, owner=self)

    def _menu(self, at: QPoint) -> None:
        index = self.list.indexAt(at)
        if not index.isValid():
            return
        path = self._model.paths[index.row()]
        menu = QMenu(self)
        menu.addAction("Open its graph").triggered.connect(lambda: self.graph_wanted.emit(str(path)))
        menu.addAction("Copy the path").triggered.connect(lambda: _copy(str(path)))
        menu.popup(self.list.viewport().mapToGlobal(at))


def _copy(text: str) -> None:
    from PySide6.QtGui import QGuiApplication

    QGuiApplication.clipboard().setText(text)


def newest_pictures(folder: Path, limit: int = SHOWN) -> list[Path]:
    """Pictures in a folder and those inside it, by the time of writing."""
    found: list[tuple[float, Path]] = []
    waiting = [(folder, 0)]
    while waiting:
        place, depth = waiting.pop()
        try:
            entries = list(os.scandir(place))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if depth < 3 and not entry.name.startswith("."):
                        waiting.append((Path(entry.path), depth + 1))
                elif entry.name.lower().endswith(IMAGE_SUFFIXES) and entry.stat().st_size:
                    found.append((entry.stat().st_mtime, Path(entry.path)))
            except OSError:
                continue
    return [path for _, path in sorted(found, reverse=True)[:limit]]
