"""The mask editor: paint over the picture where something shall change. Tools at the left, options above, layers at the right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QCheckBox, QHBoxLayout, QScrollArea, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from nodegraph.node import Range, Unit
from nodegraph.spec import Input
from ui import theme
from ui.label import Label, button, hair, tool
from ui.mask_layers import LayerList
from ui.mask_paint import Painting
from ui.mask_values import encode, layers_of, painting_of
from ui.mask_view import TOOLS, MaskView
from ui.panels.controls import Editor, make_editor
from ui.panels.section import Section
from ui.panels.viewer import segment

if TYPE_CHECKING:
    from ui.document import Document

HINT: Final = "Drag: paint|Middle drag: pan|Right-click: erase|[ ]: size|Shift [ ]: hardness|Alt: take the subject|X: erase|I: invert"
SEES: Final = (("tint", "Tint"), ("black", "Black"), ("edges", "Edges"), ("result", "Result"))


@dataclass(frozen=True)
class Target:
    """Where a mask goes: an input of a node of a document, and in words what takes it from there."""

    document: Document
    scope: tuple[str, ...]
    node: str
    input: str
    name: str = ""
    feeds: str = ""


class ToolButton(QAbstractButton):
    """A tool of 30 px; the one in hand wears a blue line."""

    def __init__(self, icon: str, tip: str) -> None:
        super().__init__()
        self._icon = icon
        self.setCheckable(True)
        self.setFixedSize(30, 30)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.isChecked() or self.underMouse() or self.hasFocus():
            painter.setPen(QPen(now.color("accent.base"), 1.5) if self.isChecked() or self.hasFocus() else Qt.PenStyle.NoPen)
            painter.setBrush(now.color("accent.wash") if self.isChecked() else now.color("surface.hover"))
            painter.drawRoundedRect(QRectF(1, 1, 28, 28), 6, 6)
        theme.draw_icon(painter, self._icon, QRectF(6, 6, 18, 18), now.color("accent.base" if self.isChecked() else "text.secondary"))
        painter.end()


class MaskEditor(QWidget):
    """`open` it on a picture; `used(target, value, layers)` hands back what goes into the graph."""

    used = Signal(object, str, object)
    left = Signal()
    hint = Signal(str)
    message = Signal(str)
    node_wanted = Signal()  # there is nothing to paint for; a node that takes a mask is

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._target: Target | None = None
        self._side = 1024  # of the picture that the brush has its size for
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.view = MaskView()
        column.addWidget(self._options())
        column.addWidget(hair())
        row = QHBoxLayout()
        row.setSpacing(0)
        row.addWidget(self._tools())
        row.addWidget(hair(vertical=True))
        row.addWidget(self.view, 1)
        row.addWidget(hair(vertical=True))
        row.addWidget(self._right())
        column.addLayout(row, 1)
        self.view.changed.connect(self._show_all)
        self.view.brush_changed.connect(self._show_brush)
        self.view.tool_changed.connect(self.choose)
        self.layers.changed.connect(self._after)
        self.setFocusProxy(self.view)
        self.choose("brush")

    def open(self, picture: QImage | None, value: str, target: Target | None, layers: object = None) -> None:
        """Start on a picture (a plain square when there is none) with the mask that is in the graph, in the layers it was painted in."""
        if picture is None or picture.isNull():
            picture = QImage(512, 512, QImage.Format.Format_RGB888)
            picture.fill(QColor(90, 90, 92))
        self._note.setText("")
        try:
            painting = painting_of(value, layers, picture.width(), picture.height())
        except ValueError as error:
            painting = Painting(picture.width(), picture.height())
            self._note.setText(str(error))
        self.view.open(picture, painting)
        self._fit_brush(min(picture.width(), picture.height()))
        for name, editor in self._shape.items():
            editor.set_value(getattr(painting, name))
        self.aim(target)
        self.hint.emit(HINT)

    def aim(self, target: Target | None) -> None:
        """From now on what is painted goes there; what is painted already stays."""
        self._target = target
        self._use.setEnabled(target is not None)
        self._feeds.setVisible(target is not None and bool(target.feeds))
        self._feeds.setText(f"Feeds  {target.feeds}" if target is not None else "")
        self._node_button.setVisible(target is None)
        self._show_all()

    # -- building

    def _options(self) -> QWidget:
        bar = QWidget()
        bar.setProperty("kind", "panel")
        bar.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        bar.setFixedHeight(39)
        row = QHBoxLayout(bar)
        row.setContentsMargins(14, 0, 12, 0)
        row.setSpacing(8)
        self._tool_name = Label("Brush", "strong")
        self._tool_name.setFixedWidth(116)
        row.addWidget(self._tool_name)
        self._brush: dict[str, Editor] = {}
        for name, words, limits, unit, value in (
            ("size", "Size", Range(1, 1024, 1, log=True), "px", 64.0),
            ("hardness", "Hardness", Range(0, 1, 0.01), "%", 0.4),
            ("opacity", "Opacity", Range(0.01, 1, 0.01), "%", 1.0),
            ("flow", "Flow", Range(0.01, 1, 0.01), "%", 0.6),
        ):
            editor = _slider(name, words, limits, unit, value)
            editor.setMinimumWidth(96)
            editor.setMaximumWidth(150)
            editor.preview.connect(lambda new, name=name: self._set_brush(name, new))
            editor.committed.connect(lambda new, name=name: self._set_brush(name, new))
            self._brush[name] = editor
            row.addWidget(editor, 1)
            if name in ("size", "opacity"):
                row.addWidget(self._follows_pen(name, words))
        row.addSpacing(4)
        for words, tip, field in (
            ("Keep edges", "Paint only over colours like the one under the start of the stroke", "keeps_edges"),
            ("Mirror", "Paint on both sides of the middle", "mirrors"),
        ):
            made = QCheckBox(words)
            made.setToolTip(tip)
            made.toggled.connect(lambda on, field=field: (setattr(self.view, field, on), self.view.update()))
            row.addWidget(made)
        row.addStretch(1)
        cancel = button("Cancel")
        cancel.clicked.connect(self.left)
        row.addWidget(cancel)
        self._use = button("Use mask", "primary", "check")
        self._use.clicked.connect(self.use)
        row.addWidget(self._use)
        return bar

    def _follows_pen(self, name: str, words: str) -> QToolButton:
        """The pen icon of a value: lit, it follows the pressure of the pen."""
        made = tool("pen-tool", f"{words} follows the pressure of the pen", 14, checkable=True)
        made.setIcon(theme.icon("pen-tool", "text.tertiary", "accent.base"))
        made.setChecked(name == "size")
        made.toggled.connect(lambda on: setattr(self.view, f"pen_{name}", on))
        return made

    def _tools(self) -> QWidget:
        side = QWidget()
        side.setFixedWidth(43)
        side.setProperty("kind", "window")
        side.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        column = QVBoxLayout(side)
        column.setContentsMargins(6, 10, 7, 10)
        column.setSpacing(8)
        self._buttons = {}
        for name, icon, words, letter in TOOLS:
            made = ToolButton(icon, f"{words} ({letter})")
            made.clicked.connect(lambda _checked=False, name=name: self.choose(name))
            self._buttons[name] = made
            column.addWidget(made)
        column.addStretch(1)
        return side

    def _right(self) -> QWidget:
        scroll = QScrollArea()
        scroll.setFixedWidth(292)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        page = QWidget()
        page.setProperty("kind", "panel")
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 12)
        column.setSpacing(4)
        self.layers = LayerList()
        add = tool("plus", "Add a layer", 14)
        add.clicked.connect(self.layers.add)
        layers = Section("Layers", tool=add)
        layers.rows.addWidget(self.layers)
        for section in (layers, self._shape_section(), self._see_section(), self._facts_section()):
            column.addWidget(section)
        column.addStretch(1)
        scroll.setWidget(page)
        return scroll

    def _shape_section(self) -> Section:
        section = Section("Shape")
        self._shape: dict[str, Editor] = {}
        for name, words, limits, unit, value in (
            ("grow", "Grow", Range(-64, 64, 1), "px", 0),
            ("feather", "Feather", Range(0, 128, 1), "px", 0),
            ("density", "Density", Range(0, 1, 0.01), "%", 1.0),
        ):
            editor = _slider(name, words, limits, unit, value)
            editor.committed.connect(lambda new, name=name: self._set_shape(name, new))
            self._shape[name] = editor
            section.rows.addLayout(_inset(editor))
        acts = QHBoxLayout()
        acts.setContentsMargins(12, 4, 12, 4)
        acts.setSpacing(6)
        painting: tuple[tuple[str, str, Callable[[Painting], None]], ...] = (
            ("Invert", "contrast", lambda one: one.invert()),
            ("Fill holes", "paint-bucket", lambda one: one.fill_holes()),
            ("Clear", "trash-2", lambda one: one.clear()),
        )
        for words, icon, act in painting:
            made = button(words, "small", icon)
            made.clicked.connect(lambda _checked=False, act=act: self._with(act))
            acts.addWidget(made)
        section.rows.addLayout(acts)
        return section

    def _see_section(self) -> Section:
        section = Section("See the mask")
        row = QHBoxLayout()
        row.setContentsMargins(12, 0, 12, 0)
        self._sees = {}
        for name, words in SEES:
            made = segment(words, f"Show the mask: {words.lower()}")
            made.setChecked(name == "tint")
            made.clicked.connect(lambda _checked=False, name=name: self._see(name))
            made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            self._sees[name] = made
            row.addWidget(made, 1)
        section.rows.addLayout(row)
        self._tint = _slider("tint", "Tint", Range(0.1, 0.9, 0.01), "%", self.view.tint)
        for signal in (self._tint.preview, self._tint.committed):
            signal.connect(self._set_tint)
        section.rows.addLayout(_inset(self._tint))
        return section

    def _facts_section(self) -> Section:
        section = Section("What it does")
        self._facts = Label("", "dim", wrap=True)
        self._feeds = Label("", "strong", wrap=True)
        self._note = Label("", "bad", wrap=True)
        for label in (self._facts, self._feeds, self._note):
            label.setContentsMargins(14, 0, 12, 0)
            section.rows.addWidget(label)
        self._node_button = button("Add a node for this mask", "", "plus")
        self._node_button.clicked.connect(self.node_wanted)
        section.rows.addLayout(_inset(self._node_button))
        undo = QHBoxLayout()
        undo.setContentsMargins(10, 4, 12, 0)
        for icon, words, act in (("undo-2", "Undo the last stroke", self.undo), ("redo-2", "Do it again", self.redo)):
            made = tool(icon, words, 16)
            made.clicked.connect(lambda _checked=False, act=act: act())
            undo.addWidget(made)
        undo.addStretch(1)
        section.rows.addLayout(undo)
        return section

    # -- acting

    def choose(self, name: str) -> None:
        """Take a tool in hand."""
        self.view.tool = name
        for key, made in self._buttons.items():
            made.setChecked(key == name)
        for editor in self._brush.values():
            editor.setEnabled(name in ("brush", "erase"))
        self.view.setCursor(Qt.CursorShape.OpenHandCursor if name == "pan" else Qt.CursorShape.CrossCursor)
        self._show_brush()

    def undo(self) -> None:
        if self.view.painting is not None and self.view.painting.undo():
            self._after()

    def redo(self) -> None:
        if self.view.painting is not None and self.view.painting.redo():
            self._after()

    def use(self) -> None:
        """Hand the mask to the graph, with its layers where they fit."""
        painting = self.view.painting
        if painting is None or self._target is None:
            return
        try:
            value = encode(painting.result())
        except ValueError as error:
            self._note.setText(str(error))
            return
        layers = None
        try:
            layers = layers_of(painting, value)
        except ValueError as error:
            self.message.emit(str(error))
        self.used.emit(self._target, value, layers)

    def _fit_brush(self, side: int) -> None:
        """A brush covers the same share of every picture: what suits a large one would paint over half of a small one."""
        if side != self._side:
            self._set_brush("size", min(1024.0, max(1.0, float(round(self.view.brush.size * side / self._side)))))
            self._side = side
            self._show_brush()

    def _set_brush(self, name: str, value: Any) -> None:
        self.view.brush = replace(self.view.brush, **{name: float(value)})
        self.view.update()

    def _show_brush(self) -> None:
        for name, editor in self._brush.items():
            editor.set_value(getattr(self.view.brush, name))
        words = next(words for key, _, words, _ in TOOLS if key == self.view.tool)
        self._tool_name.setText(f"{words}, erases" if self.view.erases and self.view.tool != "pan" else words)

    def _set_shape(self, name: str, value: Any) -> None:
        painting = self.view.painting
        if painting is not None:
            setattr(painting, name, float(value) if name == "density" else int(value))
            self._see("result")  # the other ways of looking show the layers, which stay as they are
            self._show_facts()

    def _set_tint(self, value: Any) -> None:
        self.view.tint = float(value)
        self.view.refresh()

    def _see(self, name: str) -> None:
        self.view.sees = name
        for key, made in self._sees.items():
            made.setChecked(key == name)
        self.view.refresh()

    def _with(self, act: Callable[[Painting], None]) -> None:
        if self.view.painting is not None:
            act(self.view.painting)
            self._after()

    def _after(self) -> None:
        self.view.refresh()
        self._show_all()

    def _show_all(self) -> None:
        self.layers.show_painting(self.view.painting)
        self._show_facts()

    def _show_facts(self) -> None:
        painting = self.view.painting
        if painting is None:
            return
        if self._target is None:
            self._facts.setText("Nothing takes this mask yet.")
            return
        plane = painting.combined()
        share = float((plane >= 128).mean())
        cells = int((plane[::8, ::8] >= 128).sum())
        into = f" by ‘{self._target.name}’" if self._target.name else ""
        extra = f" {'Grown' if painting.grow > 0 else 'Shrunk'} by {abs(painting.grow)} px." if painting.grow else ""
        extra += f" Edge softened over {painting.feather} px." if painting.feather else ""
        count = f"{cells:,}".replace(",", " ")
        self._facts.setText(f"White is painted anew{into}: {share * 100:.0f} % of the picture, {count} cells of the latent.{extra}")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        undo = event.modifiers() & Qt.KeyboardModifier.ControlModifier and event.key() == Qt.Key.Key_Z
        if undo and event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.redo()
        elif undo:
            self.undo()
        elif event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.use()
        else:
            super().keyPressEvent(event)


def _inset(widget: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    line.setContentsMargins(12, 0, 12, 0)
    line.addWidget(widget)
    return line


def _slider(name: str, words: str, limits: Range, unit: str, value: float) -> Editor:
    item = Input(name, "int" if unit == "px" and name != "size" else "float", words, value, markers=(limits, Unit(unit)))
    editor = make_editor(item, value)
    if hasattr(editor, "label"):
        editor.label = words
    return editor
