"""Keeps every unsaved document in a folder of its own within seconds, and offers what a crash left behind.

Each running window has a session folder with a lock; a session whose lock nobody holds has crashed. The user's own files are never touched.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PySide6.QtCore import QLockFile, QObject, QTimer, Signal

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.graph import Graph
from nodegraph.saving import why, write_atomically
from ui.document import Document
from ui.threads import background

DELAY_MS: Final = 3000
AGAIN_MS: Final = 20_000
"""Until what could not be kept is tried again, with no edit in between."""
KEPT_DAYS: Final = 14


@dataclass(frozen=True)
class Found:
    """A document that a crashed session left: its graph's file, where it was saved last (if ever), and when it was kept."""

    file: Path
    title: str
    path: Path | None
    kept_at: float

    def read(self) -> Graph:
        """Raises GraphError when it cannot be read."""
        return graphfile.read(self.file)


class Recovery(QObject):
    """Watches documents. `trouble` says, once, that work cannot be kept (a full disk): the work is still in the window."""

    trouble = Signal(str)
    trouble_over = Signal()  # all of it is kept, or needs no keeping any more
    kept = Signal(object)  # Document

    def __init__(self, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.folder = folder
        self._session = folder / f"session-{uuid.uuid4().hex[:12]}"
        self._lock: QLockFile | None = None
        self._names: dict[Document, str] = {}
        self._revisions: dict[Document, int] = {}
        self._waiting: set[Document] = set()
        self._failing: set[Document] = set()
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self.keep_now)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY_MS)
        self._timer.timeout.connect(self.keep_now)

    # -- keeping

    def watch(self, document: Document) -> None:
        """From now on keep what the document's file does not hold."""
        self._names[document] = uuid.uuid4().hex[:12]
        document.root_changed.connect(lambda: self._touched(document))
        document.face_changed.connect(lambda: self._touched(document))
        if document.is_dirty:
            self._touched(document)

    def forget(self, document: Document) -> None:
        """The document was closed by its user: nothing of it is kept any longer."""
        name = self._names.pop(document, None)
        self._waiting.discard(document)
        self._revisions.pop(document, None)
        self._well(document)
        if name is not None:
            self._remove(name)

    def keep_now(self) -> None:
        """Write what waits. The graphs are immutable, so a thread can do it while the user goes on."""
        for document in list(self._waiting):
            self._waiting.discard(document)
            name = self._names.get(document)
            if name is None:
                continue
            if not document.is_dirty:
                self._well(document)
                if self._revisions.pop(document, None) is not None:
                    self._remove(name)
                continue
            if self._revisions.get(document) == document.revision:
                continue
            self._revisions[document] = document.revision
            self._keep(document, name)

    def _touched(self, document: Document) -> None:
        if document in self._names:
            self._waiting.add(document)
            if not self._timer.isActive():
                self._timer.start()

    def _keep(self, document: Document, name: str) -> None:
        graph, session = document.root, self._session
        about = {"title": document.title, "path": str(document.path) if document.path else "", "kept_at": time.time()}
        try:
            self._open_session()
        except OSError as error:
            self._failed(document, error)
            return

        def work() -> None:
            write_atomically(session / f"{name}.graph", graphfile.dumps(graph).encode("utf-8"))
            write_atomically(session / f"{name}.json", json.dumps(about).encode("utf-8"))

        def kept(_none: None) -> None:
            self._well(document)
            self.kept.emit(document)

        background().run(work, kept, lambda error: self._failed(document, error))

    def _failed(self, document: Document, error: Exception) -> None:
        self._revisions.pop(document, None)
        if document not in self._names:
            return
        self._waiting.add(document)
        self._again.start()
        if document not in self._failing:
            self._failing.add(document)
            cause = error.__cause__ if isinstance(error, GraphError) else error
            reason = why(cause) if isinstance(cause, OSError) else str(error).rstrip(".")
            self.trouble.emit(f"A safety copy of '{document.title}' could not be kept: {reason}. Your work is in this window; save it to a place that has room.")

    def _well(self, document: Document) -> None:
        if document in self._failing:
            self._failing.discard(document)
            if not self._failing:
                self.trouble_over.emit()

    def _open_session(self) -> None:
        if self._lock is None:
            self._session.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = QLockFile(str(self._session / "lock"))
            self._lock.setStaleLockTime(0)
            self._lock.tryLock(0)

    def _remove(self, name: str) -> None:
        session = self._session

        def work() -> None:
            for suffix in (".graph", ".json"):
                (session / f"{name}{suffix}").unlink(missing_ok=True)

        if self._lock is not None:
            background().run(work, failed=lambda _error: None)

    def close(self) -> None:
        """A clean end: this session leaves nothing behind but what was never decided about."""
        self._timer.stop()
        self._again.stop()
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None
            for file in self._session.glob("*"):
                if file.name == "lock" or file.stem not in self._names.values():
                    file.unlink(missing_ok=True)
            try:
                self._session.rmdir()
            except OSError:
                pass

    # -- finding

    def found(self) -> list[Found]:
        """What crashed sessions left, the newest first. What was declined and is older than two weeks is thrown away."""
        left: list[Found] = []
        if not self.folder.is_dir():
            return left
        for session in sorted(self.folder.glob("session-*")):
            if session == self._session or not session.is_dir():
                continue
            lock = QLockFile(str(session / "lock"))
            lock.setStaleLockTime(0)
            if not lock.tryLock(0):
                continue  # another window is at work there
            found = [f for f in (_found(file) for file in session.glob("*.graph")) if f is not None]
            declined = (session / "declined").exists()
            old = [f for f in found if time.time() - f.kept_at > KEPT_DAYS * 86400]
            if declined:
                for one in old:
                    discard(one)
            else:
                left += found
            lock.unlock()
            if not found or (declined and len(old) == len(found)):
                _clear(session)
        return sorted(left, key=lambda one: -one.kept_at)

    def decline(self, found: list[Found]) -> None:
        """The user does not want these now; they stay for two weeks and are not offered again."""
        for session in {one.file.parent for one in found}:
            try:
                (session / "declined").touch()
            except OSError:
                pass


def discard(found: Found) -> None:
    """Throw a kept document away: it was opened, or is old."""
    for suffix in (".graph", ".json"):
        found.file.with_suffix(suffix).unlink(missing_ok=True)


def _found(file: Path) -> Found | None:
    try:
        about = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
        path = Path(about["path"]) if about.get("path") else None
        return Found(file, str(about["title"]), path, float(about["kept_at"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        try:
            return Found(file, "Untitled", None, os.stat(file).st_mtime)
        except OSError:
            return None


def _clear(session: Path) -> None:
    for name in ("lock", "declined"):
        (session / name).unlink(missing_ok=True)
    try:
        session.rmdir()
    except OSError:
        pass

