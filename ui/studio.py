"""All open documents and what is done with whole files: new, open, save, close, recover. Knows no widgets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QImage

from nodegraph.errors import GraphError
from nodegraph.folders import IMAGE_SUFFIXES, Folders
from nodegraph.graph import Graph
from nodegraph.graphfile import NewerFormat
from ui import files
from ui.canvas.model import RunState
from ui.dialogs import GRAPHS, Questions
from ui.document import Document
from ui.forecast import picture_sinks
from ui.label import shown_name
from ui.notices import Notice
from ui.recovery import Found, Recovery, discard
from ui.settings import Settings
from ui.threads import background
from ui.thumbnails import picture_beside

if TYPE_CHECKING:
    from nodegraph.registry import Registry


class Studio(QObject):
    """The documents of one window, and the way to and from their files."""

    added = Signal(object)  # Document
    removed = Signal(object)  # Document
    current_changed = Signal()
    registry_changed = Signal()
    opening = Signal(bool)  # a file is being read; False: nothing came of it
    notice = Signal(object)  # Notice
    notice_gone = Signal(str)  # key
    saving = Signal(object)  # Document
    saved = Signal(object)  # Document

    def __init__(self, settings: Settings, folders: Folders, questions: Questions, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.settings = settings
        self.folders = folders
        self.questions = questions
        self.registry: Registry | None = None
        self.documents: list[Document] = []
        self.current: Document | None = None
        self.recovery = Recovery(folders.recovery, self)
        self.recovery.trouble.connect(lambda words: self.notice.emit(Notice(words, "error", key="recovery")))
        self.recovery.trouble_over.connect(lambda: self.notice_gone.emit("recovery"))
        self._later: list[Callable[[], None]] = []
        self._told_changed: set[Document] = set()

    # -- nodes

    def load_registry(self, done: Callable[[], None] | None = None) -> None:
        """Find all nodes, in the background; what was asked for meanwhile is done then."""
        from nodegraph.registry import Registry

        def ready(registry: Registry) -> None:
            if self.registry is None:  # else the pack that held this up has been switched off meanwhile
                self.set_registry(registry)
            if done is not None:
                done()

        background().apart(lambda: Registry.load(self.folders), ready, owner=self)

    def set_registry(self, registry: Registry) -> None:
        self.registry = registry
        for document in self.documents:
            document.set_library(registry.specs)
        self.registry_changed.emit()
        waiting, self._later = self._later, []
        for act in waiting:
            act()

    def when_ready(self, act: Callable[[], None]) -> None:
        """Now if the nodes are known, or as soon as they are."""
        if self.registry is not None:
            act()
        else:
            self._later.append(act)

    # -- documents

    def add(self, graph: Graph | None = None, path: Path | None = None, title: str = "", seen: object = None, saved: bool = True) -> Document:
        """Show a graph in a tab of its own. `saved` False: no file holds it yet."""
        document = self._bring(graph, path, title, seen, saved)
        self._show_new(document)
        return document

    def _bring(self, graph: Graph | None, path: Path | None, title: str, seen: object = None, saved: bool = True) -> Document:
        """The document with its tab and canvas, not yet shown."""
        specs = self.registry.specs if self.registry is not None else {}
        document = Document(specs, graph, path, title or self._free_title(), files.subgraph_specs, parent=self)
        document.seen = seen
        if not saved:
            document.mark_unsaved()
        self.documents.append(document)
        self.recovery.watch(document)
        self.added.emit(document)
        return document

    def _show_new(self, document: Document) -> None:
        """Show it, in place of an empty one that nobody would miss."""
        replaced = self.current if self.current is not None and self.current.is_untouched and not document.is_untouched else None
        self.show(document)
        if replaced is not None:
            self._remove(replaced)

    def _bring_and_show(
        self, graph: Graph, path: Path | None, title: str, seen: object = None, then: Callable[[Document], None] | None = None, picture: QImage | None = None
    ) -> None:
        """As `add`, in two turns of the event loop: the canvas of a large graph is work enough for one. `picture` is shown where it comes out."""
        document = self._bring(graph, path, title, seen)
        if picture is not None:
            document.set_states({name: RunState(preview=picture) for name in picture_sinks(graph, document.specs)})

        def shown() -> None:
            if document in self.documents:
                self._show_new(document)
                if then is not None:
                    then(document)

        background().soon(shown)

    def new(self) -> Document:
        return self.add()

    def show(self, document: Document) -> None:
        if document is not self.current:
            self.current = document
            self.current_changed.emit()

    def _free_title(self) -> str:
        taken = {document.title for document in self.documents}
        number = 1
        while (name := "Untitled" if number == 1 else f"Untitled {number}") in taken:
            number += 1
        return name

    def _remove(self, document: Document) -> None:
        index = self.documents.index(document)
        self.documents.remove(document)
        self.recovery.forget(document)
        self._told_changed.discard(document)
        if self.current is document:
            self.current = self.documents[min(index, len(self.documents) - 1)] if self.documents else None
            self.current_changed.emit()
        self.removed.emit(document)
        document.deleteLater()

    # -- opening

    def open_dialog(self) -> None:
        folder = self.settings.get("last_folder") or str(Path.home())
        for path in self.questions.what_to_open(Path(folder), GRAPHS):
            self.open(path)

    def open(self, path: Path, done: Callable[[Document], None] | None = None, newer: bool = False) -> None:
        """Open a file in a tab, or show the tab that has it already. Reading goes on in the background."""
        path = path.absolute()
        for document in self.documents:
            if document.path == path:
                self.show(document)
                if done is not None:
                    done(document)
                return

        def shown(opened: files.Opened) -> None:
            if opened.from_picture:
                self._bring_and_show(opened.graph, None, path.stem, then=done)
            else:
                self._bring_and_show(opened.graph, path, "", opened.seen, done)
                self.settings.note_recent(path)
            self.settings.set("last_folder", str(path.parent))

        def failed(error: Exception) -> None:
            if isinstance(error, NewerFormat) and not newer:
                if self.questions.newer(str(error)):
                    self.open(path, done, newer=True)
                return
            self.opening.emit(False)
            if not path.exists():
                self.settings.forget_recent(path)
            self._offer_backup(path, error)

        self.opening.emit(True)
        self.when_ready(lambda: background().run(lambda: files.read(path, self.registry, newer), shown, failed) and None)

    def _offer_backup(self, path: Path, error: Exception) -> None:
        from nodegraph.graphfile import backups_of

        words = str(error) if isinstance(error, GraphError) else f"‘{shown_name(path.name)}’ cannot be opened: {error}"
        older = backups_of(path) if path.suffix.lower() == ".graph" else []
        actions = (("Open the last good version", lambda: self._open_backup(path, older[0])),) if older else ()
        self.notice.emit(Notice(words, "error", actions, key=f"open {path}"))

    def _open_backup(self, path: Path, backup: Path) -> None:
        def shown(opened: files.Opened) -> None:
            document = self.add(opened.graph, None, path.stem, saved=False)
            document.path = path
            document.seen = files.look(path)
            document.mark_unsaved()

        background().run(lambda: files.read(backup, self.registry), shown, lambda error: self.notice.emit(Notice(str(error), "error")))

    def open_template(self, path: Path, title: str) -> None:
        """A copy of a shipped example, in a tab of its own that no file belongs to, with the picture that it made."""

        def read() -> tuple[files.Opened, QImage | None]:
            return files.read(path, self.registry), picture_beside(path)

        def shown(found: tuple[files.Opened, QImage | None]) -> None:
            self._bring_and_show(found[0].graph, None, title, picture=found[1])

        def failed(error: Exception) -> None:
            self.opening.emit(False)
            self.notice.emit(Notice(str(error), "error"))

        self.opening.emit(True)
        self.when_ready(lambda: background().run(read, shown, failed) and None)

    # -- saving

    def save(self, document: Document, done: Callable[[], None] | None = None) -> None:
        """To its file; asks for one if it has none."""
        if document.path is None or document.path.suffix.lower() != ".graph":
            self.save_as(document, done)
        else:
            self._write(document, document.path, False, done)

    def save_as(self, document: Document, done: Callable[[], None] | None = None) -> None:
        folder = document.path.parent if document.path else Path(self.settings.get("last_folder") or Path.home())
        name = "".join(c if c.isalnum() or c in " -_." else "_" for c in document.title).strip() or "graph"
        path = self.questions.where_to_save(folder / f"{name}.graph", "Graphs (*.graph)")
        if path is None:
            return
        if path.suffix.lower() != ".graph":
            path = path.with_name(path.name + ".graph")
        self._write(document, path.absolute(), True, done)

    def _write(self, document: Document, path: Path, overwrite: bool, done: Callable[[], None] | None) -> None:
        def written(_path: Path) -> None:
            self._told_changed.discard(document)
            self.settings.note_recent(path)
            self.settings.set("last_folder", str(path.parent))
            self.notice_gone.emit(f"save {id(document)}")
            self.notice_gone.emit(f"disk {id(document)}")
            self.saved.emit(document)
            if done is not None:
                done()

        def failed(error: Exception) -> None:
            document.face_changed.emit()
            if isinstance(error, files.Conflict):
                self._settle(document, path, done)
                return
            words = str(error) if isinstance(error, GraphError) else f"‘{shown_name(path.name)}’ was not saved: {getattr(error, 'strerror', None) or error}. Your work is still here."
            self.notice.emit(
                Notice(words, "error", (("Save as …", lambda: self.save_as(document, done)), ("Try again", lambda: self._write(document, path, overwrite, done))), f"save {id(document)}")
            )

        self.saving.emit(document)
        files.save(document, path, overwrite, written, failed)

    def _settle(self, document: Document, path: Path, done: Callable[[], None] | None) -> None:
        answer = self.questions.conflict(path.name)
        if answer == "overwrite":
            self._write(document, path, True, done)
        elif answer == "save_as":
            self.save_as(document, done)
        elif answer == "reload":
            self.reload(document)

    def reload(self, document: Document) -> None:
        """Show what the file holds now; what was here before is one undo away."""
        path = document.path
        if path is None:
            return

        def shown(opened: files.Opened) -> None:
            document.replace(opened.graph, "Open the file's version")
            document.mark_saved(opened.graph, path, opened.seen)
            self._told_changed.discard(document)

        background().run(lambda: files.read(path, self.registry), shown, lambda error: self.notice.emit(Notice(str(error), "error")))

    def check_disk(self) -> None:
        """The window came to the front: tell of files that changed or went meanwhile. No box, no loss."""
        for document in self.documents:
            path, seen = document.path, document.seen
            if path is None or document in self._told_changed or not isinstance(seen, files.Seen):
                continue

            def tell(changed: bool, document: Document = document, path: Path = path) -> None:
                if changed and document in self.documents and document not in self._told_changed:
                    self._told_changed.add(document)
                    actions = (("Open the file's version", lambda: self.reload(document)), ("Keep mine", lambda: None))
                    self.notice.emit(Notice(f"‘{shown_name(path.name)}’ was changed by another program.", "warning", actions, f"disk {id(document)}"))

            background().run(lambda path=path, seen=seen: files.changed_since(path, seen), tell)

    # -- closing

    def close(self, document: Document) -> None:
        """Close a tab; asks only when work would be lost."""
        if document.is_dirty:
            answer = self.questions.unsaved([document.title])
            if answer == "cancel":
                return
            if answer == "save":
                self.save(document, lambda: self._remove(document) if document in self.documents else None)
                return
        self._remove(document)

    def close_all(self) -> bool:
        """Whether the program may end. Saving waits for the files, as nothing else is left to do."""
        dirty = [document for document in self.documents if document.is_dirty]
        if dirty:
            answer = self.questions.unsaved([document.title for document in dirty])
            if answer == "cancel":
                return False
            if answer == "save":
                for document in dirty:
                    self.save(document)
                background().drain()
                if any(document.is_dirty for document in dirty):
                    return False
        for document in list(self.documents):
            self.recovery.forget(document)
        background().drain()
        self.recovery.close()
        self.settings.flush()
        return True

    # -- what a crash left

    def offer_recovery(self) -> None:
        found = self.recovery.found()
        if not found:
            return
        names = ", ".join(f"‘{shown_name(one.title, 40)}’" for one in found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        words = f"The program ended without saving {names}. {'It was' if len(found) == 1 else 'They were'} kept as {'it' if len(found) == 1 else 'they'} stood seconds before."
        actions = (("Open " + ("it" if len(found) == 1 else "them"), lambda: self.recover(found)), ("Not now", lambda: self.recovery.decline(found)))
        self.notice.emit(Notice(words, "warning", actions, key="recovered", closed=lambda: self.recovery.decline(found)))

    def recover(self, found: Iterable[Found]) -> None:
        """Open what was kept, as unsaved documents of the same files."""
        for one in found:
            try:
                graph = one.read()
            except GraphError as error:
                self.notice.emit(Notice(str(error), "error"))
                continue
            document = self.add(graph, None, one.title, saved=False)
            if one.path is not None:
                document.path = one.path
                document.seen = files.look(one.path)
                document.mark_unsaved()
            self.recovery.keep_now()
            discard(one)

    # -- files that were dropped or chosen

    def take(self, paths: Iterable[Path]) -> list[Path]:
        """Open every graph among these; returns what is no graph (pictures, models), for the canvas to make nodes of."""
        rest = []
        for path in paths:
            suffix = path.suffix.lower()
            if suffix in (".graph", ".json") or (suffix == ".png" and carries_graph(path)):
                self.open(path)
            elif suffix in IMAGE_SUFFIXES or suffix in (".safetensors", ".gguf", ".sft"):
                rest.append(path)
            else:
                self.notice.emit(Notice(f"‘{shown_name(path.name)}’ is neither a graph, a picture nor a model file.", "warning"))
        return rest


def carries_graph(path: Path) -> bool:
    """Whether a PNG carries a graph."""
    from nodegraph.graphfile import read_text

    try:
        read_text(path)
    except GraphError:
        return False
    return True
