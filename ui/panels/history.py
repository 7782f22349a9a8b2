"""The steps of undo as a list: press one to go there. What lies ahead is grey until another edit takes its place."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ui.document import Document
from ui.panels.rows import Entry, RowList

ICONS = {"Add": "plus", "Delete": "trash-2", "Link": "link", "Unlink": "unlink", "Move": "move", "Paste": "clipboard-paste", "Group": "group", "Rename": "pencil", "Duplicate": "copy", "Mute": "circle-off", "Bypass": "redo-dot"}


class History(QWidget):
    """The current document's steps, newest last."""

    went = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._document: Document | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        self.list = RowList(30)
        self.list.setAccessibleName("Steps")
        self.list.chosen.connect(self._go)
        column.addWidget(self.list)

    def set_document(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.history_changed.disconnect(self.rebuild)
        self._document = document
        if document is not None:
            document.history_changed.connect(self.rebuild)
        self.rebuild()

    def showEvent(self, event: object) -> None:
        self.rebuild()

    def rebuild(self) -> None:
        document = self._document
        if document is None or not self.isVisible():
            return
        history = document.history
        entries = [Entry("As opened", ("at", 0), icon="file")]
        for number, step in enumerate(history.done, 1):
            entries.append(Entry(step.label, ("at", number), icon=ICONS.get(step.label.split(" ")[0], "pencil")))
        for number, step in enumerate(reversed(history.undone), len(history.done) + 1):
            entries.append(Entry(step.label, ("at", number), icon=ICONS.get(step.label.split(" ")[0], "pencil"), dim=True))
        self.list.show_entries(entries, choose_first=False)
        self.list.setCurrentIndex(self.list.model().index(len(history.done), 0))
        self.list.scrollTo(self.list.currentIndex())

    def _go(self, payload: tuple[str, int]) -> None:
        document, wanted = self._document, payload[1]
        if document is None:
            return
        while len(document.history.done) > wanted and document.undo():
            pass
        while len(document.history.done) < wanted and document.redo():
            pass
        self.went.emit()
