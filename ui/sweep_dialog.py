"""Asks what a value shall go through, and whether a second one shall too; says how many runs that makes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from nodegraph.spec import Input
from ui.canvas.values import choice_text, decimals, shown_value
from ui.document import Document, Scope
from ui.label import Label, button, hair
from ui.sweep import MOST_RUNS, Axis, can_sweep, numbers, run_count, texts
from ui.words import seconds_words

ROLE = Qt.ItemDataRole.UserRole


class AxisEditor(QWidget):
    """The values of one input: from, to and how many for a number; ticks for choices and files; a line each for texts."""

    changed = Signal()

    def __init__(self, scope: Scope, node: str, name: str, item: Input, value: Any, files: Sequence[str] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scope, self._node, self._name, self.item = scope, node, name, item
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self._list: QListWidget | None = None
        self._lines: QPlainTextEdit | None = None
        self._count: QSpinBox | None = None
        if item.choices or item.file is not None or item.type == "bool":
            options = [(choice_text(item, one), one) for one in item.choices] or [(one, one) for one in files] or [("off", False), ("on", True)]
            self._list = _ticks(options, value if item.type != "bool" else None)
            self._list.itemChanged.connect(lambda _item: self.changed.emit())
            column.addWidget(self._list)
        elif item.type in ("int", "float"):
            column.addLayout(self._number_row(item, value))
        else:
            self._lines = QPlainTextEdit(str(value or ""))
            self._lines.setPlaceholderText("One text a line")
            self._lines.setFixedHeight(96)
            self._lines.setAccessibleName(f"Texts for {item.label}, one a line")
            self._lines.textChanged.connect(self.changed)
            column.addWidget(self._lines)
        self._said = Label("", "faint", wrap=True)
        column.addWidget(self._said)
        self.changed.connect(self._say)
        self._say()

    def _number_row(self, item: Input, value: Any) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(6)
        limits, shift = item.range, 100 if item.unit == "%" else 1
        now = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0
        low, high = (float(limits.min), float(limits.max)) if limits is not None else (-1e9, 1e9)
        count, first, last = (4, now, now + 3) if item.is_randomized else (5, max(low, now * 0.5), min(high, now * 1.5 or 1.0))
        self._first, self._last, self._count = QDoubleSpinBox(), QDoubleSpinBox(), QSpinBox()
        for box, words, start in ((self._first, "From", first), (self._last, "to", last)):
            box.setDecimals(decimals(item))
            box.setRange(max(low * shift, -1e15), min(high * shift, 1e15))
            box.setValue(start * shift)
            box.setAccessibleName(f"{item.label}, {words.lower()}")
            box.setSuffix(f" {item.unit}" if item.unit else "")
            box.valueChanged.connect(lambda _value: self.changed.emit())
            row.addWidget(Label(words, "dim"))
            row.addWidget(box, 1)
        self._count.setRange(2, 50)
        self._count.setValue(count)
        self._count.setAccessibleName("How many values")
        self._count.valueChanged.connect(lambda _value: self.changed.emit())
        row.addWidget(Label("in", "dim"))
        row.addWidget(self._count)
        row.addWidget(Label("values", "dim"))
        self._shift = shift
        return row

    def axis(self) -> Axis:
        """What is chosen now."""
        return Axis(self._scope, self._node, self.item, self._name, self._values())

    def _values(self) -> tuple[Any, ...]:
        if self._list is not None:
            rows = [self._list.item(number) for number in range(self._list.count())]
            return tuple(row.data(ROLE) for row in rows if row.checkState() == Qt.CheckState.Checked)
        if self._lines is not None:
            return texts(self._lines.toPlainText())
        assert self._count is not None
        return numbers(self.item, self._first.value() / self._shift, self._last.value() / self._shift, self._count.value())

    def _say(self) -> None:
        values = self._values()
        shown = ", ".join(shown_value(self.item, value) for value in values[:12]) + (" …" if len(values) > 12 else "")
        self._said.setText(shown if self._count is not None else f"{len(values)} chosen")


class SweepDialog(QDialog):
    """Not modal. `run_wanted(across, down)` when it is settled; `down` is None for a sweep of one value."""

    run_wanted = Signal(object, object)

    def __init__(
        self, document: Document, node: str, item: Input, files: Callable[[Input], Sequence[str]], seconds: Callable[[int], float | None], parent: QWidget | None = None
    ) -> None:
        """`files` are what a file input may be; `seconds(runs)` about how long runs take, None when nobody knows."""
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Sweep")
        self.resize(420, 0)
        self._document, self._files, self._seconds = document, files, seconds
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(10)
        column.addWidget(Label(f"Sweep ‘{item.label}’ of ‘{document.name_of(node)}’", "heading", wrap=True))
        self._across = self._editor(node, item)
        column.addWidget(self._across)
        column.addWidget(hair(color="line.soft"))
        column.addWidget(Label("Against another value", "strong"))
        self._other = QComboBox()
        self._other.setAccessibleName("Against another value")
        self._other.addItem("None: one row of pictures", None)
        for other in document.graph.nodes.values():
            spec = document.spec(other)
            for one in spec.inputs if spec is not None else ():
                if can_sweep(one) and (other.id, one.name) != (node, item.name) and document.graph.link_at(other.id, one.name) is None:
                    self._other.addItem(f"{document.name_of(other.id)} · {one.label}", (other.id, one.name))
        self._other.currentIndexChanged.connect(lambda _index: self._choose_other())
        column.addWidget(self._other)
        self._down: AxisEditor | None = None
        self._holder = QVBoxLayout()
        column.addLayout(self._holder)
        column.addStretch(1)
        row = QHBoxLayout()
        self._sum = Label("", "dim", wrap=True)
        row.addWidget(self._sum, 1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.close)
        row.addWidget(cancel)
        self._run = button("Run", "primary", "play")
        self._run.setDefault(True)
        self._run.clicked.connect(self._go)
        row.addWidget(self._run)
        column.addLayout(row)
        self._across.changed.connect(self._show_sum)
        self._show_sum()

    def _editor(self, node: str, item: Input) -> AxisEditor:
        values = self._document.graph.nodes[node].values
        value = values.get(item.name, None if item.is_required else item.default)
        return AxisEditor(self._document.scope, node, self._document.name_of(node), item, value, self._files(item) if item.file is not None else ())

    def _choose_other(self) -> None:
        if self._down is not None:
            self._holder.removeWidget(self._down)
            self._down.hide()
            self._down.deleteLater()
            self._down = None
        chosen = self._other.currentData()
        spec = self._document.spec(chosen[0]) if chosen is not None else None
        if spec is not None:
            self._down = self._editor(chosen[0], spec.by_name[chosen[1]])
            self._down.changed.connect(self._show_sum)
            self._holder.addWidget(self._down)
        self._show_sum()

    def _axes(self) -> list[Axis]:
        return [editor.axis() for editor in (self._across, self._down) if editor is not None]

    def _show_sum(self) -> None:
        count = run_count(self._axes())
        left = self._seconds(count)
        words = f"{count} {'run' if count == 1 else 'runs'}" + (f", about {seconds_words(left)}" if left else "")
        self._sum.setText(words if 0 < count <= MOST_RUNS else "Choose at least one value." if not count else f"{words}: at most {MOST_RUNS} go into one sweep.")
        self._run.setEnabled(0 < count <= MOST_RUNS)

    def _go(self) -> None:
        across, *down = self._axes()
        self.run_wanted.emit(across, down[0] if down else None)
        self.close()


def _ticks(options: Sequence[tuple[str, Any]], value: Any) -> QListWidget:
    """Choices with a tick each; the present one and its neighbours are ticked, all when there is no present one."""
    made = QListWidget()
    made.setFixedHeight(min(200, 26 * max(2, len(options)) + 6))
    at = next((number for number, (_, one) in enumerate(options) if one == value), None)
    for number, (words, one) in enumerate(options):
        row = QListWidgetItem(words)
        row.setData(ROLE, one)
        row.setFlags(row.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        row.setCheckState(Qt.CheckState.Checked if at is None or abs(number - at) <= 1 else Qt.CheckState.Unchecked)
        made.addItem(row)
    return made
