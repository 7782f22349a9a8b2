"""A user who answers every question as the test says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class Answers:
    """Fulfils `ui.dialogs.Questions`; what was asked is noted."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.unsaved_answer = "discard"
        self.conflict_answer = "cancel"
        self.save_path: Path | None = None
        self.open_paths: list[Path] = []
        self.folders: list[Path] = []

    def unsaved(self, titles: Sequence[str]) -> str:
        self.asked.append(f"unsaved {', '.join(titles)}")
        return self.unsaved_answer

    def conflict(self, name: str) -> str:
        self.asked.append(f"conflict {name}")
        return self.conflict_answer

    def newer(self, message: str) -> bool:
        self.asked.append("newer")
        return False

    def where_to_save(self, wish: Path, filter: str) -> Path | None:
        self.asked.append("where")
        return self.save_path

    def what_to_open(self, folder: Path, filter: str) -> list[Path]:
        return self.open_paths

    def which_folder(self, folder: Path) -> Path | None:
        return self.folders.pop(0) if self.folders else None
