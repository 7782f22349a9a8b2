"""The Browse workspace: everything that was saved at the left, the one chosen at the right, large, with what can be done with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QVBoxLayout, QWidget

from nodegraph.folders import Folders
from ui.label import ElidedLabel, Label, button
from ui.panels.picture_view import PictureView
from ui.panels.pictures import PicturesPanel


class BrowseSpace(QWidget):
    """A grid and a picture. Enter or a double click opens the graph inside a picture."""

    graph_wanted = Signal(str)  # path
    compare_wanted = Signal(object, str)  # QImage, name
    use_wanted = Signal(object)  # QImage

    def __init__(self, folders: Folders, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.image, self._path = QImage(), ""
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        split = QSplitter(Qt.Orientation.Horizontal)
        split.setChildrenCollapsible(False)
        self.pictures = PicturesPanel(folders, large=True)
        self.pictures.picture_wanted.connect(self.show_picture)
        self.pictures.graph_wanted.connect(self.graph_wanted)
        split.addWidget(self.pictures)
        split.addWidget(self._right())
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setSizes([900, 600])
        row.addWidget(split)
        self.setFocusProxy(self.pictures.list)
        self.show_picture(QImage(), "")

    def _right(self) -> QWidget:
        side = QWidget()
        column = QVBoxLayout(side)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.view = PictureView()
        self.view.setAccessibleName("The chosen picture")
        column.addWidget(self.view, 1)
        bar = QWidget()
        bar.setProperty("kind", "panel")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        foot = QVBoxLayout(bar)
        foot.setContentsMargins(14, 8, 12, 8)
        foot.setSpacing(8)
        facts, acts = QHBoxLayout(), QHBoxLayout()
        foot.addLayout(facts)
        foot.addLayout(acts)
        self._name, self._size = ElidedLabel("", "strong", Qt.TextElideMode.ElideMiddle), Label("", "value")
        facts.addWidget(self._name, 1)
        facts.addWidget(self._size)
        self._acts = []
        for words, kind, act in (
            ("Open its graph", "", lambda: self.graph_wanted.emit(self._path)),
            ("Use as input", "ghost", lambda: self.use_wanted.emit(self.image)),
            ("Compare", "ghost", lambda: self.compare_wanted.emit(self.image, Path(self._path).stem)),
        ):
            made = button(words, kind)
            made.clicked.connect(lambda _checked=False, act=act: act())
            self._acts.append(made)
            acts.addWidget(made)
        acts.addStretch(1)
        column.addWidget(bar)
        return side

    def show_picture(self, image: QImage, path: str) -> None:
        """Show one large."""
        self.image, self._path = image, path
        self.view.show_image(image)
        self._name.setText(Path(path).name if path else "Choose a picture")
        self._size.setText("" if image.isNull() else f"{image.width()} × {image.height()}")
        for made in self._acts:
            made.setEnabled(not image.isNull())
