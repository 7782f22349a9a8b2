"""The one editor that floats over the canvas: values, titles and notes are typed right where they stand."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QEvent, QObject, QRect, QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QPlainTextEdit, QWidget

from nodegraph.graph import Graph
from nodegraph.spec import REQUIRED
from ui import theme as themes
from ui.canvas import edits, inside
from ui.canvas.anatomy import HEADER, PAD, ROW, Row
from ui.canvas.node_item import NodeItem

if TYPE_CHECKING:
    from ui.canvas.view import GraphView
    from ui.panels.controls import Editor, EditorContext

LEAST_WIDTH, LEAST_HEIGHT = 168, 24
BURST = 2.0  # s without typing: what comes then is a step of undo of its own


class InlineEditor(QObject):
    """Opens, keeps in place and closes the floating editor of a view. There is at most one."""

    def __init__(self, view: GraphView) -> None:
        super().__init__(view)
        self.view = view
        self.context: EditorContext | None = None
        self.widget: QWidget | None = None
        self.row: tuple[str, str] | None = None  # node id, input
        self._place = QRectF()  # on the canvas
        self._count = 0
        self._last = 0.0
        self._read: Callable[[Graph], Any] = lambda graph: None  # what the graph holds of what is edited
        self._known: Any = None
        self.clock: Callable[[], float] = time.monotonic

    # -- values

    def edit_row(self, item: NodeItem, row: Row) -> bool:
        """Type or choose a value in its row."""
        if row.input is None or row.kind in ("linked", "toggle", "advanced"):
            return False
        if row.kind == "drawing":
            self.view.drawing_requested.emit(item.node.id, row.name)
            return True
        from ui.panels.controls import make_editor
        from ui.panels.prompt_editor import PromptEditor

        value = item.node.values.get(row.name, row.input.default)
        value = None if value is REQUIRED else value
        made = make_editor(row.input, value, self.view, self.context)
        if hasattr(made, "label"):
            made.label = row.label
        name, key, label = item.node.id, row.name, f"Change {row.label}"
        self._count += 1
        is_text = row.kind in ("text", "line")

        def keep(value: Any) -> None:
            if name in self.view.document.graph.nodes:
                self._keep(label, lambda graph: graph.with_value(name, key, value), is_text)

        made.preview.connect(keep)
        made.committed.connect(keep)
        made.committed.connect(lambda value: self._committed(made))
        made.cancelled.connect(lambda: self.close_editor())
        if isinstance(made, PromptEditor):
            made.area.left.connect(lambda: QTimer.singleShot(0, made, lambda: self._left(made)))
        self._read = lambda graph: graph.nodes[name].values.get(key) if name in graph.nodes else None
        self._open(made, QRectF(item.x() + PAD, item.y() + row.y, item.anatomy.width - 2 * PAD, row.height))
        self.row = (name, key)
        made.begin()
        return True

    def _committed(self, made: Editor) -> None:
        if self.widget is made and not getattr(made, "is_prompt", False):
            self.close_editor()

    def _left(self, made: Editor) -> None:
        """The hands are elsewhere in the window: a text that stays open would hide what lies under it."""
        if self.widget is made and not self.has_focus():
            self.close_editor()

    def edit_first(self, node_id: str) -> bool:
        """Open the first value that can be typed."""
        item = self.view.graph_scene.nodes[node_id]
        row = next((row for row in item.anatomy.rows if row.input is not None and row.kind not in ("linked", "toggle", "drawing")), None)
        return self.edit_row(item, row) if row is not None else False

    def edit_next(self, way: int) -> bool:
        """Tab and Shift+Tab: the next field of the same node."""
        if self.row is None:
            return False
        node_id, key = self.row
        item = self.view.graph_scene.nodes.get(node_id)
        if item is None:
            return False
        self.accept_editor()
        rows = [row for row in item.anatomy.rows if row.input is not None and row.kind not in ("linked", "toggle", "drawing")]
        names = [row.name for row in rows]
        place = names.index(key) + way if key in names else 0
        return self.edit_row(item, rows[place]) if 0 <= place < len(rows) else False

    # -- titles and notes

    def edit_title(self, name: str) -> bool:
        """Rename a node or a group."""
        scene = self.view.graph_scene
        item = scene.nodes.get(name) or scene.groups.get(name)
        if item is None or (isinstance(item, NodeItem) and item.anatomy.is_dot):
            return False
        title = item.look.title if isinstance(item, NodeItem) else item.group.title
        rect = item.rect()
        line = _Title(title, self.view)
        place = (
            QRectF(rect.x() + 24, rect.y() + 2, rect.width() - 32, HEADER - 4)
            if isinstance(item, NodeItem)
            else QRectF(rect.x() + 8, rect.y() + 6, min(rect.width() - 16, 320), ROW)
        )
        line.done.connect(lambda text: self._retitle(name, title, text))
        self._read = lambda graph: name in graph.nodes or name in graph.groups
        self._open(line, place)
        line.setFocus()
        line.selectAll()
        return True

    def _retitle(self, name: str, before: str, text: str | None) -> None:
        if text is not None and text != before:
            if name in self.view.document.graph.groups:
                self.view.edit("Rename", lambda graph: graph.with_group(replace(graph.groups[name], title=text or "Group")))
            else:
                around = self.view.commands.open_name
                self.view.edit_root("Rename", lambda root: inside.retitled(root, around, name, text))
        self.close_editor()

    def edit_outer_name(self, end: inside.End) -> bool:
        """Rename what the subgraph shows of an inner port or value, at its place on the node."""
        side, node, port = end
        name, item = self.view.commands.open_name, self.view.graph_scene.nodes.get(node)
        before = inside.outer_name(self.view.document.root, name, end) if name is not None else None
        if before is None or item is None:
            return False
        line = _Title(before.replace("_", " "), self.view)
        row = next((row for row in item.anatomy.rows if side == "in" and row.name == port), None)
        place = item.anatomy.port(side, port)
        y, height = (row.y, min(row.height, ROW)) if row is not None else (place.y - ROW / 2 if place is not None else 0.0, ROW)
        line.done.connect(lambda words: (self.close_editor(), words is not None and self.view.commands.rename_outside(end, words)))
        self._read = lambda graph: node in graph.nodes
        self._open(line, QRectF(item.x() + PAD, item.y() + y, item.anatomy.width - 2 * PAD, height))
        line.setFocus()
        line.selectAll()
        return True

    def edit_note(self, name: str) -> bool:
        """Write a note, in Markdown."""
        item = self.view.graph_scene.notes.get(name)
        if item is None:
            return False
        area = _NoteArea(item.note.text, self.view)
        self._count += 1

        def keep(text: str) -> None:
            if name in self.view.document.graph.notes:
                self._keep("Write a note", lambda graph: edits.with_note_text(graph, name, text), is_text=True)

        area.typed.connect(keep)
        area.left.connect(self.close_editor)
        rect = item.rect()
        self._read = lambda graph: graph.notes[name].text if name in graph.notes else None
        self._open(area, rect.adjusted(4, 4, -4, -4))
        area.setFocus()
        return True

    # -- keeping

    def _keep(self, label: str, change: Callable[[Graph], Graph], is_text: bool) -> None:
        self._known = self._read(change(self.view.document.graph))
        self.view.edit(label, change, merge=self._burst(is_text))

    def let_go(self) -> None:
        """The graph changed. What another hand did, an undo for instance, must not be written over when this editor is left."""
        if self.widget is not None and self._read(self.view.document.graph) != self._known:
            self.close_editor()

    def _burst(self, is_text: bool) -> str:
        """What steps of undo are to be one: all of an editor; of text, what was typed without a longer pause."""
        now = self.clock()
        if is_text and now - self._last > BURST:
            self._count += 1
        self._last = now
        return f"inline:{id(self)}:{self._count}"

    def _open(self, widget: QWidget, place: QRectF) -> None:
        self.close_editor()
        self.widget, self._place = widget, place
        self._known = self._read(self.view.document.graph)
        widget.installEventFilter(self)
        for child in widget.findChildren(QWidget):
            child.installEventFilter(self)
        self.follow()
        widget.show()
        widget.raise_()

    def follow(self) -> None:
        """Stay over its place while the view moves."""
        if self.widget is None:
            return
        from ui.panels.controls import Editor, enlarge

        view, zoom = self.view, self.view.zoom
        if isinstance(self.widget, Editor):
            self.widget.set_zoom(max(1.0, zoom))
        else:
            enlarge(self.widget, max(1.0, zoom))
        corner = view.mapFromScene(self._place.topLeft())
        width = max(LEAST_WIDTH if zoom < 0.9 else 0, round(self._place.width() * zoom))
        height = max(LEAST_HEIGHT, round(self._place.height() * zoom))
        if self._place.height() > ROW:
            height = max(height, self.widget.sizeHint().height(), 64)
        offset = view.viewport().pos()
        self.widget.setGeometry(QRect(corner.x() + offset.x(), corner.y() + offset.y(), width, height))

    def accept_editor(self) -> None:
        """Keep what was typed, and close."""
        widget = self.widget
        if widget is not None:
            finish = getattr(widget, "finish", None)
            if finish is not None:
                finish()
            self.close_editor()

    def close_editor(self) -> None:
        """Take the editor away; what was not committed is gone."""
        widget, self.widget = self.widget, None
        self.row = None
        if widget is None:
            return
        focused = widget.isAncestorOf(self.view.window().focusWidget()) if self.view.window().focusWidget() is not None else False
        widget.removeEventFilter(self)
        widget.blockSignals(True)  # losing the focus would keep what was typed after all
        widget.hide()
        widget.deleteLater()
        if focused or widget.hasFocus():
            self.view.setFocus(Qt.FocusReason.OtherFocusReason)

    def has_focus(self) -> bool:
        """Whether the hands are in the floating editor."""
        focus = QApplication.focusWidget()
        return self.widget is not None and focus is not None and (focus is self.widget or self.widget.isAncestorOf(focus))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self.row is not None:
            if event.key() == Qt.Key.Key_Tab:
                self.edit_next(1)
                return True
            if event.key() == Qt.Key.Key_Backtab:
                self.edit_next(-1)
                return True
        return False


class _Title(QLineEdit):
    """Typed over a header."""

    done = Signal(object)  # str, or None when it was let be

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setFont(themes.font("node_title"))
        self.setAccessibleName("Title")
        self._told = False
        self.returnPressed.connect(lambda: self._tell(self.text()))

    def _tell(self, text: str | None) -> None:
        if not self._told:
            self._told = True
            self.done.emit(text)

    def finish(self) -> None:
        self._tell(self.text())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self._tell(None)
        else:
            super().keyPressEvent(event)
            event.accept()  # the canvas below must not hear it

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self._tell(self.text())


class _NoteArea(QPlainTextEdit):
    typed = Signal(str)
    left = Signal()

    def __init__(self, text: str, parent: QWidget) -> None:
        super().__init__(text, parent)
        self.setPlaceholderText("Write in Markdown")
        self.setAccessibleName("Note")
        self.textChanged.connect(lambda: self.typed.emit(self.toPlainText()))

    def sizeHint(self) -> QSize:
        return QSize(LEAST_WIDTH, LEAST_HEIGHT)  # as large as its note, whatever Qt would like

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        else:
            super().keyPressEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.left.emit()
