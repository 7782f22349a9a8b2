"""The last picture of each graph, kept small beside the cache, so that recent files are known by sight."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import xxhash
from PySide6.QtCore import QSize
from PySide6.QtGui import QImage

from ui.threads import background
from ui.thumbnails import cropped, picture_beside, read_picture

SIDE: Final = 176
MOST: Final = 200
FACES: Final = "faces"
"""The folder inside the cache."""


class Faces:
    """Files are told apart by where they are."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def place(self, path: Path) -> Path:
        """Where the picture of a graph's file is kept."""
        return self.folder / f"{xxhash.xxh3_64_hexdigest(str(path).encode('utf-8', 'surrogateescape'))}.png"

    def keep(self, path: Path, image: QImage) -> None:
        """Note what a graph made last; in the background, and never worth a word when it cannot be."""
        if image.isNull():
            return

        def work() -> None:
            from nodegraph.saving import write_atomically
            from ui.picture import png_bytes

            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.place(path), png_bytes(cropped(image, QSize(SIDE, SIDE))))
            for old in sorted(self.folder.glob("*.png"), key=lambda one: one.stat().st_mtime)[:-MOST]:
                old.unlink(missing_ok=True)

        background().run(work, failed=lambda _error: None)

    def read(self, path: Path) -> QImage | None:
        """For any thread: the picture kept for a file, or one that lies beside it under its name."""
        try:
            return read_picture(self.place(path), 512)
        except OSError:
            return picture_beside(path)
