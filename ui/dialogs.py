"""The few questions that stop: only where work would be lost, or a place for a file must be named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QFileDialog, QHBoxLayout, QVBoxLayout, QWidget

from ui.label import IconLabel, Label, button, hair, shown_name

Unsaved = Literal["save", "discard", "cancel"]
Conflicted = Literal["overwrite", "save_as", "reload", "cancel"]
GRAPHS = "Graphs and pictures that carry one (*.graph *.png *.json);;Graphs (*.graph);;All files (*)"


class Questions(Protocol):
    """What the program may ask its user; a test answers for one."""

    def unsaved(self, titles: Sequence[str]) -> Unsaved: ...

    def conflict(self, name: str) -> Conflicted: ...

    def newer(self, message: str) -> bool: ...

    def where_to_save(self, wish: Path, filter: str) -> Path | None: ...

    def what_to_open(self, folder: Path, filter: str) -> list[Path]: ...

    def which_folder(self, folder: Path) -> Path | None: ...


class Question(QDialog):
    """A heading, a sentence, and buttons from safest (last, Escape) to the one that goes on (first, Enter)."""

    def __init__(self, heading: str, text: str, answers: Sequence[tuple[str, str, str]], icon: str = "triangle-alert", parent: QWidget | None = None) -> None:
        """`answers` are (key, words, look)."""
        super().__init__(parent)
        self.setWindowTitle("Nodegraph")
        self.setModal(True)
        self.answer = answers[-1][0]
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 22, 24, 18)
        column.setSpacing(0)
        top = QHBoxLayout()
        top.setSpacing(14)
        top.addWidget(IconLabel(icon, "state.warn" if icon == "triangle-alert" else "text.secondary", 22), 0, Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(6)
        words.addWidget(Label(heading, "heading", wrap=True))
        body = Label(text, "dim", wrap=True)
        body.setMinimumWidth(360)
        words.addWidget(body)
        top.addLayout(words, 1)
        column.addLayout(top)
        column.addSpacing(20)
        column.addWidget(hair(color="line.soft"))
        column.addSpacing(14)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.buttons = {}
        for number, (key, label, look) in enumerate(answers):
            made = button(label, look)
            made.setAutoDefault(False)
            made.setDefault(number == 0)
            made.clicked.connect(lambda _checked=False, key=key: self._take(key))
            self.buttons[key] = made
            if number == len(answers) - 1:
                row.addStretch(1)
            row.addWidget(made)
        column.addLayout(row)
        self.setAccessibleName(f"{heading} {text}")

    def _take(self, key: str) -> None:
        self.answer = key
        self.accept()

    def ask(self) -> str:
        self.exec()
        return self.answer


class WindowQuestions:
    """Asks by dialogs over a window."""

    def __init__(self, window: QWidget | None = None) -> None:
        self.window = window

    def unsaved(self, titles: Sequence[str]) -> Unsaved:
        names = ", ".join(f"‘{shown_name(title, 40)}’" for title in titles[:3]) + (f" and {len(titles) - 3} more" if len(titles) > 3 else "")
        one = len(titles) == 1
        return Question(  # type: ignore[return-value]
            f"{names} {'has' if one else 'have'} work that no file holds.",
            "Save it now, or close without it. Without saving it is gone.",
            [("save", "Save" if one else "Save all", "primary"), ("discard", "Close without saving", ""), ("cancel", "Stay", "ghost")],
            parent=self.window,
        ).ask()

    def conflict(self, name: str) -> Conflicted:
        return Question(  # type: ignore[return-value]
            f"‘{shown_name(name, 40)}’ was changed by another program.",
            "The file on disk is not the one you opened. Save yours under another name to keep both; replacing the file keeps its last versions in ‘.graph-backups’.",
            [("save_as", "Save as …", "primary"), ("overwrite", "Replace the file", ""), ("reload", "Open the file's version", ""), ("cancel", "Not now", "ghost")],
            parent=self.window,
        ).ask()

    def newer(self, message: str) -> bool:
        answers = [("open", "Open what can be understood", ""), ("cancel", "Leave it", "ghost")]
        return Question("This file is from a newer version.", message, answers, parent=self.window).ask() == "open"

    def where_to_save(self, wish: Path, filter: str) -> Path | None:
        name, _ = QFileDialog.getSaveFileName(self.window, "Save as", str(wish), filter)
        return Path(name) if name else None

    def what_to_open(self, folder: Path, filter: str) -> list[Path]:
        names, _ = QFileDialog.getOpenFileNames(self.window, "Open", str(folder), filter)
        return [Path(name) for name in names]

    def which_folder(self, folder: Path) -> Path | None:
        name = QFileDialog.getExistingDirectory(self.window, "Choose a folder", str(folder))
        return Path(name) if name else None
