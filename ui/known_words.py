"""What can be asked of the model that ships: in short on the first page, every word on a sheet."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from ui import vocabulary
from ui.label import Label, button
from ui.popup import Popup

SHEET_WIDTH = 560
SHORT = 12
"""Words of a kind that are told before the sheet is opened."""


class KnownWords(QFrame):
    """The first words of each kind, and a link to all of them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("kind", "well")
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(4)
        column.addWidget(Label("The model that ships knows", "strong"))
        for name, words in vocabulary.shipped_groups().items():
            more = f" and {len(words) - SHORT} more" if len(words) > SHORT else ""
            row = Label(f"{name}: {', '.join(words[:SHORT])}{more}", "dim", wrap=True)
            row.setAccessibleName(name)
            column.addWidget(row)
        self.all = button("See every word", "link")
        self.all.clicked.connect(lambda: show_sheet(self))
        holder = QHBoxLayout()
        holder.setContentsMargins(0, 4, 0, 0)
        holder.addWidget(self.all)
        holder.addStretch(1)
        column.addLayout(holder)


class WordsSheet(Popup):
    """Every word by kind, things in the order of the alphabet."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(QSize(SHEET_WIDTH, 100), parent)
        column = QVBoxLayout(self.sheet)
        column.setContentsMargins(20, 18, 20, 18)
        column.setSpacing(4)
        column.addWidget(Label("What the model that ships can draw", "heading"))
        column.addWidget(Label('Write as in "a red fox left of a tree in the snow" or "three owls at night".', "dim", wrap=True))
        for name, words in vocabulary.shipped_groups().items():
            column.addSpacing(8)
            column.addWidget(Label(name, "cap"))
            row = Label(", ".join(sorted(words) if name == "Things" else words), "", wrap=True)
            row.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(row)
        column.addStretch(1)
        self.set_sheet_size(QSize(SHEET_WIDTH, column.heightForWidth(SHEET_WIDTH)))


def show_sheet(beside: QWidget) -> None:
    """Open the sheet of all words to the right of what asked for it."""
    sheet = WordsSheet(beside.window())
    sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    sheet.place(beside.mapToGlobal(QPoint(beside.width() + 12, beside.height() - sheet.sheet.height())))
