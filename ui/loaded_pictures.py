"""Shows on a node what it will load: its picture file, or the mask painted for it, before anything has run."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

from PySide6.QtCore import QObject, QTimer
from PySide6.QtGui import QImage

from nodegraph.folders import IMAGE_SUFFIXES, Folders
from nodegraph.graph import Node
from nodegraph.spec import NodeSpec
from ui.document import Document
from ui.threads import background
from ui.thumbnails import read_picture

SIDE: Final = 512
Source = tuple[str, str]
"""What a picture was made of: "file" and its path, or "drawing" and its value."""


class LoadedPictures(QObject):
    """Of one document. What a run shows stands; only what this class showed itself is ever replaced by it."""

    def __init__(self, document: Document, folders: Folders) -> None:
        super().__init__(document)
        self._document, self._folders = document, folders
        self._shown: dict[str, tuple[Source, QImage]] = {}  # by path
        self._asked: dict[str, Source] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(60)
        self._timer.timeout.connect(self.look)
        for signal in (document.changed, document.scope_changed, document.specs_changed):
            signal.connect(lambda *_change: self._timer.start())
        self._timer.start()

    def look(self) -> None:
        """Find what has a new picture and ask for it in the background."""
        document = self._document
        for name, node in document.graph.nodes.items():
            path = "/".join((*document.scope, name))
            source = source_of(node, document.spec(node), self._folders, document.path.parent if document.path is not None else None)
            if source == self._asked.get(path):
                continue
            self._asked[path] = source or ("", "")
            if source is not None and self._may_show(path):
                background().run(partial(picture_of, source), partial(self._show, path, source), lambda _error: None, owner=self)

    def _may_show(self, path: str) -> bool:
        preview = self._document.state(path).preview
        own = self._shown.get(path)
        return preview is None or (own is not None and preview.cacheKey() == own[1].cacheKey())

    def _show(self, path: str, source: Source, image: QImage) -> None:
        if self._asked.get(path) == source and self._may_show(path) and not image.isNull():
            self._shown[path] = (source, image)
            self._document.set_states({path: replace(self._document.state(path), preview=image)})


def source_of(node: Node, spec: NodeSpec | None, folders: Folders, base: Path | None) -> Source | None:
    """What a node loads that can be looked at: the first picture file or drawing among its values."""
    for item in spec.inputs if spec is not None else ():
        value = node.values.get(item.name, item.default)
        if not isinstance(value, str) or not value:
            continue
        if item.is_drawing:
            return "drawing", value
        if item.file is not None and item.file.folder == "input" and value.lower().endswith(IMAGE_SUFFIXES) and _is_near(value):
            path = folders.resolve("input", value, base)
            if path is not None:
                return "file", str(path)
    return None


def _is_near(name: str) -> bool:
    """Whether a name stays in the folders of this computer's user: a graph from elsewhere shall open no other file, and no address of a network."""
    parts = PureWindowsPath(name).parts
    return not (PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive or PureWindowsPath(name).root or ".." in parts)


def picture_of(source: Source) -> QImage:
    """For any thread.

    Raises:
        OSError: The file cannot be read.
    """
    kind, value = source
    if kind == "file":
        return read_picture(Path(value), SIDE)
    try:
        return QImage.fromData(base64.b64decode(value, validate=True), "PNG")  # type: ignore[call-overload]
    except binascii.Error as error:
        raise OSError("This is no picture.") from error
