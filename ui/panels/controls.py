"""One editor per kind of input. The floating editor on the canvas and the inspector use the same ones.

editor = make_editor(input, value, parent)
editor.preview.connect(...)    # while dragging or typing
editor.committed.connect(...)  # the value to keep
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFocusEvent, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QColorDialog, QHBoxLayout, QLineEdit, QPlainTextEdit, QPushButton, QWidget

from nodegraph.folders import RESOURCES, standard
from nodegraph.node import File
from nodegraph.spec import Input
from ui import theme as themes
from ui.canvas.paint import draw_box
from ui.canvas.values import kind_of

FIELD = 24


@lru_cache(maxsize=1)
def _clip_tokenizer() -> Any | None:
    """CLIP's own tokenizer (Radford et al. 2021) from the shipped files; None when the package that reads them is not there."""
    try:
        from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
        from tokenizers.models import BPE
    except ImportError:
        return None
    files = RESOURCES / "tokenizers" / "clip"
    made = Tokenizer(
        BPE.from_file(str(files / "vocab.json"), str(files / "merges.txt"), end_of_word_suffix="</w>", unk_token="<|endoftext|>")
    )
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    words = Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(words, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return made


def clip_tokens(text: str) -> int | None:
    """How many tokens CLIP makes of a prompt, without begin and end; tags and weights are not read by it. None when it cannot be counted."""
    tokenizer = _clip_tokenizer()
    if tokenizer is None:
        return None
    plain = re.sub(r"<[a-z]+:[^>]*>", "", text)
    plain = re.sub(r"\(([^()]*?)(?::\s*-?[\d.]+)?\)", r"\1", plain)
    return len(tokenizer.encode(plain).ids)


@dataclass
class EditorContext:
    """What editors ask of the program."""

    files: Callable[[File], Sequence[str]] = lambda marker: standard().names(marker)
    path_of: Callable[[File, str], Path | None] = lambda marker, name: standard().resolve(marker.folder, name)
    name_of: Callable[[File, Path], str] = lambda marker, path: path.as_posix()
    family_of: Callable[[File, str], str | None] = lambda marker, name: None
    tokens: Callable[[str], int | None] = clip_tokens
    words: Callable[[], Sequence[str]] = lambda: ()  # to be completed in prompts: "<lora:name:1>", "embedding:name", "__wildcard__"
    vocabulary: Callable[[], Sequence[str]] = lambda: ()  # all words that the model knows, if it knows only some
    paint: Callable[[Any], None] = lambda editor: None  # opens the mask editor for a DrawingEditor
    choose_outside: bool = True  # whether a picker offers files outside the user's folders


def enlarge(widget: QWidget, zoom: float) -> None:
    """Give a text field, or those in a widget, a larger or smaller font and height."""
    for part in (widget, *widget.findChildren(QWidget)):
        if isinstance(part, QLineEdit | QPlainTextEdit):
            px = part.property("px") or part.font().pixelSize()
            part.setProperty("px", px)
            font = QFont(part.font())
            font.setPixelSize(round(px * zoom))
            part.setFont(font)
            if isinstance(part, QLineEdit) and part is not widget:
                part.setFixedHeight(round(FIELD * zoom))


class Editor(QWidget):
    """What all editors share."""

    preview = Signal(object)
    committed = Signal(object)
    cancelled = Signal()

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(parent)
        self.item, self.context = item, context or EditorContext()
        self.value = value
        self.setAccessibleName(item.label)
        self.setToolTip(item.help)

    def set_value(self, value: Any) -> None:
        """Show another value, which came from outside; says nothing."""
        self.value = value
        self.update()

    def set_zoom(self, zoom: float) -> None:
        """Show it larger, as a field of a canvas that is seen larger."""
        if self.minimumHeight() == self.maximumHeight():
            self.setFixedHeight(round(FIELD * zoom))
        enlarge(self, zoom)

    def field(self, painter: QPainter) -> QRectF:
        """The field to be painted, in its own px; the painter is made to enlarge it."""
        zoom = self.height() / FIELD
        painter.scale(zoom, zoom)
        return QRectF(0, 0, self.width() / zoom, FIELD)

    def begin(self) -> None:
        """Start editing: take the focus, select what is there, open what opens."""
        self.setFocus(Qt.FocusReason.OtherFocusReason)

    def finish(self) -> None:
        """Keep what was typed so far, if it can be kept."""

    def commit(self, value: Any) -> None:
        """Keep a value and tell it."""
        self.value = value
        self.update()
        self.committed.emit(value)


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, bool(value), parent, context)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setFixedHeight(FIELD)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(44, FIELD)

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = themes.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = self.width() - 36.0
        track = QRectF(x, 4, 28, 16)
        draw_box(painter, track, theme.color("accent.base" if self.value else "surface.field_fill"), 8)
        if self.hasFocus():
            draw_box(painter, track.adjusted(-3, -3, 3, 3), None, 11, theme.color("line.focus"), 1.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#FFFFFF"))
        painter.drawEllipse(QPointF(x + (20 if self.value else 8), 12), 5.5, 5.5)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.setFocus(Qt.FocusReason.MouseFocusReason)
            self.commit(not self.value)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.commit(not self.value)
        else:
            super().keyPressEvent(event)


class LineEditor(Editor):
    """One line of text."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, "" if value is None else str(value), parent, context)
        self.line = _Line(str(self.value), self)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        self.setFocusProxy(self.line)
        self.line.textEdited.connect(lambda text: self.preview.emit(text))
        self.line.left.connect(self.finish)
        self.line.returnPressed.connect(self.finish)
        self.line.escaped.connect(self._back)

    def set_value(self, value: Any) -> None:
        super().set_value("" if value is None else str(value))
        if not self.line.hasFocus() and self.line.text() != self.value:
            self.line.setText(self.value)

    def begin(self) -> None:
        self.line.setFocus()
        self.line.selectAll()

    def finish(self) -> None:
        if self.line.text() != self.value:
            self.commit(self.line.text())

    def _back(self) -> None:
        self.line.setText(self.value)
        self.preview.emit(self.value)
        self.cancelled.emit()


LEAVING_KEYS = frozenset((Qt.Key.Key_S, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_W, Qt.Key.Key_Q, Qt.Key.Key_Tab))


def leaves_editor(event: QEvent) -> bool:
    """Whether this announces a shortcut that looks at the document (run, save, close): what was typed must be in it by then."""
    return (
        isinstance(event, QKeyEvent)
        and event.type() == QEvent.Type.ShortcutOverride
        and bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        and event.key() in LEAVING_KEYS
    )


class _Line(QLineEdit):
    """A line that tells when it is left and when Escape is pressed."""

    left = Signal()
    escaped = Signal()

    def __init__(self, text: str, parent: QWidget | None = None) -> None:
        super().__init__(text, parent)
        self.setFixedHeight(FIELD)

    def event(self, event: QEvent) -> bool:
        if leaves_editor(event):
            self.left.emit()
        return bool(super().event(event))

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() != Qt.FocusReason.PopupFocusReason:
            self.left.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        else:
            super().keyPressEvent(event)
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier:
                event.accept()  # Qt would hand it on to the parents


class ColorEditor(Editor):
    """A colour as "#rrggbb": a field to type it, a swatch that opens the colour picker."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, str(value or "#000000"), parent, context)
        self.line = _Line(self.value, self)
        self.line.setFont(themes.font("value"))
        self.swatch = QPushButton(self)
        self.swatch.setFixedSize(28, 20)
        self.swatch.setAccessibleName(f"Choose {item.label}")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.line)
        layout.addWidget(self.swatch)
        self.setFocusProxy(self.line)
        self.line.left.connect(self.finish)
        self.line.returnPressed.connect(self.finish)
        self.line.escaped.connect(self._back)
        self.swatch.clicked.connect(self.pick)
        self._show()

    def _show(self) -> None:
        self.line.setText(self.value)
        self.line.setProperty("problem", False)
        self.swatch.setStyleSheet(
            f"background: {QColor(self.value).name()}; border: 1px solid {themes.current().color('line.strong').name()}; border-radius: 3px;"
        )

    def set_value(self, value: Any) -> None:
        super().set_value(str(value or "#000000"))
        self._show()

    def begin(self) -> None:
        self.line.setFocus()
        self.line.selectAll()

    def finish(self) -> None:
        text = self.line.text().strip()
        text = text if text.startswith("#") else f"#{text}"
        if QColor.isValidColorName(text):
            name = QColor(text).name()
            if name != QColor(self.value).name():
                self.commit(name)
            self._show()
        else:
            self.line.setProperty("problem", True)
            self.line.setToolTip("A colour looks like #ff8800.")
            self.line.style().polish(self.line)

    def _back(self) -> None:
        self._show()
        self.cancelled.emit()

    def pick(self) -> None:
        dialog = QColorDialog(QColor(self.value), self)
        dialog.setOption(QColorDialog.ColorDialogOption.DontUseNativeDialog)
        before = self.value
        dialog.currentColorChanged.connect(lambda color: self.preview.emit(color.name()))
        dialog.colorSelected.connect(lambda color: self.commit(color.name()))
        dialog.colorSelected.connect(lambda color: self._show())
        dialog.rejected.connect(lambda: self.preview.emit(before))
        dialog.open()


class DrawingEditor(Editor):
    """A mask painted by hand: a button that opens the mask editor, and one that empties it."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, str(value or ""), parent, context)
        self.button = QPushButton(themes.icon("brush"), "", self)
        self.empty = QPushButton(themes.icon("trash-2"), "", self)
        self.empty.setToolTip("Empty the mask")
        self.empty.setProperty("kind", "ghost")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.button, 1)
        layout.addWidget(self.empty)
        self.setFocusProxy(self.button)
        self.button.clicked.connect(lambda: self.context.paint(self))
        self.empty.clicked.connect(lambda: self.commit(""))
        self.set_value(self.value)

    def set_value(self, value: Any) -> None:
        super().set_value(str(value or ""))
        self.button.setText("Change the mask" if self.value else "Paint a mask")
        self.empty.setVisible(bool(self.value))

    def commit(self, value: Any) -> None:
        super().commit(value)
        self.set_value(value)


def make_editor(item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> Editor:
    """The editor for an input."""
    from ui.panels.choice_editor import ChoiceEditor, FileEditor
    from ui.panels.number_editor import NumberEditor, SeedEditor
    from ui.panels.prompt_editor import PromptEditor

    made: dict[str, type[Editor]] = {
        "number": NumberEditor,
        "seed": SeedEditor,
        "choice": ChoiceEditor,
        "file": FileEditor,
        "toggle": SwitchEditor,
        "text": PromptEditor,
        "line": LineEditor,
        "color": ColorEditor,
        "drawing": DrawingEditor,
    }
    kind = made[kind_of(item)]
    if kind is FileEditor and item.file is None:
        kind = LineEditor
    return kind(item, value, parent, context)
