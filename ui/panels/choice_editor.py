"""Choosing one of many: a list with a search line. Files come with thumbnails, a filter by model family, and a way to any other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QEnterEvent,
    QFocusEvent,
    QIcon,
    QImageReader,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
)
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from nodegraph.folders import IMAGE_SUFFIXES
from nodegraph.spec import Input
from ui import theme as themes
from ui.canvas.anatomy import Row
from ui.canvas.row_paint import paint_field
from ui.canvas.values import Kind, choice_text, kind_of, shown_value
from ui.panels.controls import FIELD, Editor, EditorContext

SEARCH_FROM = 8  # longer lists get a search line
THUMB = 40
VALUE = Qt.ItemDataRole.UserRole
FAMILY = Qt.ItemDataRole.UserRole + 1
EVERY = "All families"


class Chooser(QFrame):
    """The list that pops up."""

    chosen = Signal(object)
    closed = Signal()

    def __init__(self, values: Sequence[Any], words: Sequence[str], current: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setStyleSheet(
            f"Chooser {{ background: {themes.current().color('surface.popup').name()}; border: 1px solid {themes.current().color('line.soft').name()}; }}"
        )
        self.search = QLineEdit(self)
        self.search.setPlaceholderText("Search")
        self.search.setVisible(len(values) >= SEARCH_FROM)
        self.family = QComboBox(self)
        self.family.hide()
        self.list = QListWidget(self)
        self.list.setUniformItemSizes(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        for value, text in zip(values, words, strict=True):
            entry = QListWidgetItem(text)
            entry.setData(VALUE, value)
            entry.setToolTip(str(value))
            self.list.addItem(entry)
            if value == current:
                self.list.setCurrentItem(entry)
        self.foot = QHBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        for widget in (self.search, self.family, self.list):
            layout.addWidget(widget)
        layout.addLayout(self.foot)
        self.search.textChanged.connect(self.filter)
        self.family.currentTextChanged.connect(lambda text: self.filter(self.search.text()))
        self.list.itemClicked.connect(self._take)
        self.list.itemActivated.connect(self._take)
        self.search.installEventFilter(self)
        self.setFocusProxy(self.search if not self.search.isHidden() else self.list)

    def filter(self, text: str) -> None:
        """Show what holds all the words typed, and fits the family chosen (files of unknown family always do)."""
        parts = text.lower().split()
        family = self.family.currentText() if not self.family.isHidden() else EVERY
        first = None
        for k in range(self.list.count()):
            entry = self.list.item(k)
            hidden = not all(part in entry.text().lower() or part in str(entry.data(VALUE)).lower() for part in parts)
            hidden = hidden or (family != EVERY and entry.data(FAMILY) not in (None, family))
            entry.setHidden(hidden)
            first = first or (None if hidden else entry)
        current = self.list.currentItem()
        if first is not None and (current is None or current.isHidden()):
            self.list.setCurrentItem(first)

    def add_family(self, family: str) -> None:
        """Offer to show one model family only, once there are two to choose from."""
        known = [self.family.itemText(k) for k in range(self.family.count())]
        if family in known:
            return
        if not known:
            self.family.addItem(EVERY)
        self.family.insertItem(1 + sum(name < family for name in known if name != EVERY), family)
        self.family.setVisible(self.family.count() > 2)

    def open_below(self, owner: QWidget, rect_bottom_left: QPoint, width: int) -> None:
        """Pop up under a field; inside the screen."""
        rows = min(max(self.list.count(), 1), 10)
        height = self.list.sizeHintForRow(0) if self.list.count() else 24
        self.list.setFixedHeight(rows * max(height, 24) + 4)
        self.setFixedWidth(max(width, 180))
        self.adjustSize()
        screen = owner.screen().availableGeometry()
        x = min(max(rect_bottom_left.x(), screen.left()), screen.right() - self.width())
        y = rect_bottom_left.y() + 2
        if y + self.height() > screen.bottom():
            y = max(screen.top(), rect_bottom_left.y() - FIELD - self.height() - 2)
        self.move(x, y)
        self.show()
        (self.search if self.search.isVisible() else self.list).setFocus()
        if self.list.currentItem() is not None:
            self.list.scrollToItem(self.list.currentItem(), QListWidget.ScrollHint.PositionAtCenter)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        if watched is self.search and isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
                self.list.event(event)
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                if self.list.currentItem() is not None and not self.list.currentItem().isHidden():
                    self._take(self.list.currentItem())
                return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        else:
            super().keyPressEvent(event)

    def _take(self, entry: QListWidgetItem) -> None:
        value = entry.data(VALUE)
        self.close()
        self.chosen.emit(value)

    def closeEvent(self, event: Any) -> None:
        super().closeEvent(event)
        self.closed.emit()


class ChoiceEditor(Editor):
    """A field with the choice; a click, Space or Enter opens the list, Up and Down go to the next."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, value, parent, context)
        self.label = ""
        self.missing = False
        self.chooser: Chooser | None = None
        self._over = False
        self.setFixedHeight(FIELD)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(140, FIELD)

    def choices(self) -> tuple[Sequence[Any], Sequence[str]]:
        """The values, and how they are called."""
        return self.item.choices, [choice_text(self.item, value) for value in self.item.choices]

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        kind: Kind = "file" if kind_of(self.item) == "file" else "choice"
        row = Row(
            self.item.name, kind, self.label, shown_value(self.item, self.value), 0, FIELD, self.item, raw=self.value, missing=self.missing
        )
        paint_field(painter, themes.current(), row, self.field(painter), self._over and self.isEnabled(), self.hasFocus())

    def begin(self) -> None:
        self.setFocus(Qt.FocusReason.OtherFocusReason)
        self.open()

    def open(self) -> None:
        """Show the list."""
        values, words = self.choices()
        self.chooser = Chooser(values, words, self.value, self)
        self.chooser.chosen.connect(self._chosen)
        self.chooser.closed.connect(self._closed)
        self.fill(self.chooser)
        self.chooser.open_below(self, self.mapToGlobal(self.rect().bottomLeft()), self.width())

    def fill(self, chooser: Chooser) -> None:
        """More than a plain list."""

    def _chosen(self, value: Any) -> None:
        if value != self.value:
            self.commit(value)

    def _closed(self) -> None:
        chooser, self.chooser = self.chooser, None
        if chooser is not None:
            chooser.deleteLater()
        QTimer.singleShot(0, self, lambda: self.cancelled.emit())  # after a choice was told

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.begin()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_F4):
            self.open()
        elif event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self.step(-1 if event.key() == Qt.Key.Key_Up else 1)
        else:
            super().keyPressEvent(event)

    def step(self, way: int) -> None:
        values = list(self.choices()[0])
        place = values.index(self.value) + way if self.value in values else 0
        if 0 <= place < len(values):
            self.commit(values[place])

    def enterEvent(self, event: QEnterEvent) -> None:
        self._over = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._over = False
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()


class FileEditor(ChoiceEditor):
    """A file from one of the user's folders, or any other; pictures may be dropped on it."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, "" if value is None else str(value), parent, context)
        self.setAcceptDrops(True)
        self._look_whether_there()

    def set_value(self, value: Any) -> None:
        super().set_value("" if value is None else str(value))
        self._look_whether_there()

    def commit(self, value: Any) -> None:
        super().commit(value)
        self._look_whether_there()

    def _look_whether_there(self) -> None:
        marker = self.item.file
        self.missing = bool(self.value) and marker is not None and self.context.path_of(marker, str(self.value)) is None
        self.setToolTip(f"‘{self.value}’ is not there." if self.missing else self.item.help)
        self.update()

    def choices(self) -> tuple[Sequence[Any], Sequence[str]]:
        names = list(self.context.files(self.item.file)) if self.item.file is not None else []
        return names, names

    @property
    def shows_pictures(self) -> bool:
        marker = self.item.file
        return marker is not None and (marker.folder == "input" or any(s.lower() in IMAGE_SUFFIXES for s in marker.suffixes))

    def fill(self, chooser: Chooser) -> None:
        marker = self.item.file
        if marker is None:
            return
        if self.shows_pictures:
            chooser.list.setIconSize(QSize(THUMB, THUMB))
            blank = QPixmap(THUMB, THUMB)
            blank.fill(Qt.GlobalColor.transparent)
            for k in range(chooser.list.count()):
                chooser.list.item(k).setIcon(QIcon(blank))  # so that rows have their height from the beginning
            _Filler(chooser, lambda name: self._show_thumbnail(chooser, name))
        else:
            _Filler(chooser, lambda name: self._show_family(chooser, name))
        if self.context.choose_outside:
            button = QPushButton(themes.icon("folder-open"), "Another file", chooser)
            button.setProperty("kind", "ghost")
            button.clicked.connect(chooser.close)
            button.clicked.connect(self.browse)
            chooser.foot.addWidget(button)
            chooser.foot.addStretch(1)

    def _show_thumbnail(self, chooser: Chooser, entry: QListWidgetItem) -> None:
        assert self.item.file is not None
        path = self.context.path_of(self.item.file, str(entry.data(VALUE)))
        if path is None or path.suffix.lower() not in IMAGE_SUFFIXES:
            return
        reader = QImageReader(str(path))
        reader.setAutoTransform(True)
        size = reader.size()
        if size.isValid():
            reader.setScaledSize(size.scaled(THUMB, THUMB, Qt.AspectRatioMode.KeepAspectRatio))
        image = reader.read()
        if not image.isNull():
            entry.setIcon(QIcon(QPixmap.fromImage(image)))

    def _show_family(self, chooser: Chooser, entry: QListWidgetItem) -> None:
        assert self.item.file is not None
        family = self.context.family_of(self.item.file, str(entry.data(VALUE)))
        entry.setData(FAMILY, family)
        if family:
            chooser.add_family(family)

    def browse(self) -> None:
        """Any file of this computer."""
        marker = self.item.file
        suffixes = marker.suffixes if marker is not None else ()
        pattern = f"{self.item.label} ({' '.join('*' + s for s in suffixes)})" if suffixes else "All files (*)"
        found = self.context.path_of(marker, str(self.value)) if marker is not None and self.value else None
        path, _ = QFileDialog.getOpenFileName(self, self.item.label, str(found.parent) if found else "", pattern)
        if path:
            self._take(Path(path))

    def _take(self, path: Path) -> None:
        """A file by the name under which a graph finds it on other computers too, where it has one."""
        self.commit(self.context.name_of(self.item.file, path) if self.item.file is not None else path.as_posix())

    def takes(self, path: Path) -> bool:
        marker = self.item.file
        suffixes = {s.lower() for s in marker.suffixes} if marker is not None else set()
        return (not suffixes and not self.shows_pictures) or path.suffix.lower() in (suffixes or set(IMAGE_SUFFIXES))

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() and self.takes(Path(url.toLocalFile())) for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        for url in event.mimeData().urls():
            if url.isLocalFile() and self.takes(Path(url.toLocalFile())):
                event.acceptProposedAction()
                self._take(Path(url.toLocalFile()))
                return


class _Filler(QTimer):
    """Does something slow for each entry of a list, one at a time, so that the list opens at once. Lives as long as the list."""

    def __init__(self, chooser: Chooser, act: Callable[[QListWidgetItem], None]) -> None:
        super().__init__(chooser, interval=0)
        self._list, self._act, self._at = chooser.list, act, 0
        self.timeout.connect(self._next)
        self.start()

    def _next(self) -> None:
        if self._at >= self._list.count():
            self.stop()
            return
        self._act(self._list.item(self._at))
        self._at += 1
