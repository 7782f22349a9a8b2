"""The rows of the inspector: a value with its port, label, editor and what can be done with it; and ports without values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QSizePolicy, QVBoxLayout, QWidget

from nodegraph.graph import Node
from nodegraph.spec import Input
from ui import theme
from ui.canvas.paint import draw_port
from ui.canvas.values import shown_value
from ui.label import ElidedLabel, Label, tool
from ui.panels.controls import Editor, make_editor
from ui.sweep import can_sweep

if TYPE_CHECKING:
    from ui.panels.inspector import Inspector


class PortMark(QWidget):
    """The port of a row: filled when a link gives the value. A press shows where the link comes from."""

    pressed = Signal()

    def __init__(self, type_name: str, linked: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._type, self.linked = type_name, linked
        self.setFixedSize(14, 24)
        if linked:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setToolTip("A link gives this value. Show where it comes from.")

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        now = theme.current()
        draw_port(painter, now, now.port_kind(self._type), 7, 12, 9, self.linked, False, 1.0 if self.linked else 0.55)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if self.linked:
            self.pressed.emit()


class ValueRow(QWidget):
    """One value: port, label, editor, and what can be done with it."""

    def __init__(self, owner: Inspector, item: Input, nodes: Sequence[Node], linked: str) -> None:
        super().__init__()
        self.item = item
        self._owner = owner
        value, self.mixed = common_value(nodes, item)
        is_text = item.type == "str" and item.text is not None and item.text.lines > 1 and not linked
        self.mark = PortMark(item.type, bool(linked))
        self.mark.pressed.connect(lambda: owner.show_source(item.name))
        self.label = ElidedLabel(item.label, "dim")
        self.label.setToolTip(item.help)
        self.more = tool("ellipsis-vertical", f"What can be done with {item.label}", 14)
        self.more.clicked.connect(self._menu)
        self.editor: Editor | None = None
        self._linked = Label(linked, "value") if linked else None
        if self._linked is None:
            self.editor = make_editor(item, value, self, owner.context)
            if self.mixed and hasattr(self.editor, "shown"):
                self.editor.shown = "mixed"
            self.editor.committed.connect(lambda new: owner.set_value(item.name, new))
            self.editor.preview.connect(lambda new: owner.set_value(item.name, new, preview=True))
            self.label.setBuddy(self.editor)
        shown: QWidget = self.editor if self.editor is not None else self._linked  # type: ignore[assignment]
        if is_text:
            column = QVBoxLayout(self)
            column.setContentsMargins(7, 0, 6, 4)
            column.setSpacing(0)
            head = QHBoxLayout()
            head.setSpacing(5)
            head.addWidget(self.mark)
            head.addWidget(self.label, 1)
            head.addWidget(self.more)
            column.addLayout(head)
            inner = QHBoxLayout()
            inner.setContentsMargins(5, 0, 6, 0)
            inner.addWidget(shown)
            column.addLayout(inner)
        else:
            row = QHBoxLayout(self)
            row.setContentsMargins(7, 0, 6, 0)
            row.setSpacing(5)
            row.addWidget(self.mark)
            self.label.setFixedWidth(80)
            row.addWidget(self.label)
            row.addWidget(shown, 1)
            row.addWidget(self.more)
            shown.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._show_changed(nodes)

    def refresh(self, nodes: Sequence[Node]) -> None:
        """Show values that changed elsewhere."""
        value, self.mixed = common_value(nodes, self.item)
        if self.editor is not None and self.editor.value != value:
            self.editor.set_value(value)
        if self.editor is not None and hasattr(self.editor, "shown"):
            self.editor.shown = "mixed" if self.mixed else None
            self.editor.update()
        self._show_changed(nodes)

    def _show_changed(self, nodes: Sequence[Node]) -> None:
        changed = any(self.item.name in node.values and node.values[self.item.name] != self.item.default for node in nodes) and not self.item.is_required
        self._is_changed = changed
        self.more.setIcon(theme.icon("rotate-ccw" if changed else "ellipsis-vertical", "text.secondary" if changed else "text.tertiary"))
        self.more.setToolTip(f"Back to {shown_value(self.item, self.item.default)}" if changed else "More")

    def _menu(self) -> None:
        if self._is_changed:
            self._owner.reset(self.item.name)
            return
        menu = QMenu(self)
        if can_sweep(self.item):
            menu.addAction(f"Sweep {self.item.label.lower()} …").triggered.connect(lambda: self._owner.sweep(self.item))
        copy = menu.addAction("Copy value")
        copy.triggered.connect(lambda: self._owner.copy_value(self.item.name))
        promote = menu.addAction("Show on the subgraph")
        promote.setEnabled(self._owner.can_promote())
        promote.triggered.connect(lambda: self._owner.promote(self.item.name))
        if self.item.help:
            menu.addSeparator()
            about = menu.addAction(self.item.help if len(self.item.help) < 70 else self.item.help[:67] + "…")
            about.setEnabled(False)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))


def common_value(nodes: Sequence[Node], item: Input) -> tuple[Any, bool]:
    """The value that nodes share, and whether they differ (then it is the first's)."""
    default = None if item.is_required else item.default
    values = [node.values.get(item.name, default) for node in nodes]
    return values[0], any(value != values[0] or type(value) is not type(values[0]) for value in values[1:])


class PortRow(QWidget):
    """A port with what it is linked to."""

    def __init__(self, label: str, type_name: str, words: str, help: str) -> None:
        super().__init__()
        row = QHBoxLayout(self)
        row.setContentsMargins(7, 0, 12, 0)
        row.setSpacing(5)
        row.addWidget(PortMark(type_name, False))
        name = ElidedLabel(label, "dim")
        name.setFixedWidth(96)
        row.addWidget(name)
        row.addWidget(ElidedLabel(words, "faint"), 1)
        if help:
            self.setToolTip(help)
        self.setFixedHeight(22)
