"""Text in several lines: weights with Ctrl+Up and Ctrl+Down, a token count, LoRA tags and the like in colour, word completion."""

from __future__ import annotations

import re
from typing import Any

from PySide6.QtCore import QEvent, QSize, QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QResizeEvent, QSyntaxHighlighter, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QCompleter, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from nodegraph.spec import Input
from ui import theme as themes
from ui.canvas.row_paint import prompt_marks
from ui.panels.controls import Editor, EditorContext, leaves_editor

WINDOW = 75  # tokens that CLIP reads at once, without begin and end
COUNT = 16  # px at the foot of a prompt, for the number of its tokens
PAUSE = 350  # ms without typing until a preview is sent and tokens are counted
WEIGHTED = re.compile(r"\((?P<text>[^()]*?)(?::\s*(?P<weight>-?\d+(?:\.\d+)?))?\)$")


def reweighted(text: str, start: int, end: int, change: float) -> tuple[str, int, int]:
    """The text with the weight of its part [start, end) changed by `change`, and where that part then lies.

    Nothing selected means the word there. A part that is in brackets already gets another number; at a weight of 1 the brackets go.
    """
    if start == end:
        start, end = _word_at(text, start)
        if start == end:
            return text, start, end
    while start < end and text[start] in " ,":
        start += 1
    while end > start and text[end - 1] in " ,":
        end -= 1
    around = _brackets_around(text, start, end)
    if around is not None:
        start, end = around
    part = text[start:end]
    match = WEIGHTED.fullmatch(part) if part.startswith("(") else None
    inner, weight = (match["text"], float(match["weight"] or 1.1)) if match else (part, 1.0)
    weight = round(weight + change, 2)
    new = inner if weight == 1.0 else f"({inner}:{weight:g})"
    return text[:start] + new + text[end:], start, start + len(new)


def _word_at(text: str, place: int) -> tuple[int, int]:
    start = end = place
    while start > 0 and (text[start - 1].isalnum() or text[start - 1] in "-_'"):
        start -= 1
    while end < len(text) and (text[end].isalnum() or text[end] in "-_'"):
        end += 1
    return start, end


def _brackets_around(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The "( ... )" that just holds [start, end), or holds the place inside its words."""
    left = text.rfind("(", 0, start + 1)
    if left < 0 or ")" in text[left:start]:
        return None
    right = text.find(")", max(end - 1, left))
    if right < 0 or "(" in text[left + 1 : right]:
        return None
    return (left, right + 1) if WEIGHTED.fullmatch(text[left : right + 1]) else None


class _Marks(QSyntaxHighlighter):
    def __init__(self, document: QTextDocument) -> None:
        super().__init__(document)
        self._look = QTextCharFormat()
        self._look.setForeground(themes.current().color("port.text_encoder"))

    def highlightBlock(self, text: str) -> None:
        for begin, end in prompt_marks(text):
            self.setFormat(begin, end - begin, self._look)


class _Area(QPlainTextEdit):
    left = Signal()
    escaped = Signal()
    entered = Signal()

    def __init__(self, owner: PromptEditor) -> None:
        super().__init__(owner)
        self._owner = owner
        self.setTabChangesFocus(True)
        self.document().setDocumentMargin(2)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if owner.is_prompt:
            self.setViewportMargins(0, 0, 0, COUNT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._owner.count.setGeometry(8, self.height() - COUNT - 3, self.width() - 16, COUNT)

    def event(self, event: QEvent) -> bool:
        if leaves_editor(event):
            self.entered.emit()
        return bool(super().event(event))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        held = event.modifiers()
        if self._owner.is_offering() and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Tab, Qt.Key.Key_Escape):
            event.ignore()  # the list of words takes them
            return
        if held & Qt.KeyboardModifier.ControlModifier and event.key() in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._owner.change_weight(0.1 if event.key() == Qt.Key.Key_Up else -0.1, fine=bool(held & Qt.KeyboardModifier.ShiftModifier))
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif held & Qt.KeyboardModifier.ControlModifier and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.entered.emit()
            event.ignore()  # the window runs the graph
        else:
            super().keyPressEvent(event)
            self._owner.offer_words()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        if event.reason() not in (Qt.FocusReason.PopupFocusReason, Qt.FocusReason.ActiveWindowFocusReason):
            self.left.emit()


class PromptEditor(Editor):
    """A text area. Each pause in typing sends a preview; leaving it, Ctrl+Enter, or `finish` commits."""

    def __init__(self, item: Input, value: Any, parent: QWidget | None = None, context: EditorContext | None = None) -> None:
        super().__init__(item, "" if value is None else str(value), parent, context)
        self.is_prompt = item.text is not None and item.text.prompt
        self.count = QLabel(self)
        self.area = _Area(self)
        self.count.setParent(self.area)
        self.area.setPlainText(self.value)
        self.area.setPlaceholderText(item.help.partition(".")[0])
        self.area.setAccessibleName(item.label)
        self.count.setProperty("kind", "faint")
        self.count.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.count.setTextFormat(Qt.TextFormat.PlainText)
        self.count.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.count.setVisible(self.is_prompt)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.area)
        if self.is_prompt:
            self._marks = _Marks(self.area.document())
        self.completer = QCompleter(QStringListModel(self), self)
        self.completer.setWidget(self.area)
        self.completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.completer.activated.connect(self._complete)
        self._pause = QTimer(self, singleShot=True, interval=PAUSE)
        self._pause.timeout.connect(self._on_pause)
        self.area.textChanged.connect(self._pause.start)
        self.area.left.connect(self.finish)
        self.area.entered.connect(self.finish)
        self.area.escaped.connect(self._leave)
        self.setFocusProxy(self.area)
        lines = item.text.lines if item.text is not None else 3
        self.setMinimumHeight(16 * max(2, min(lines, 6)) + 14 + (18 if self.is_prompt else 0))
        self.count_tokens()

    def sizeHint(self) -> QSize:
        return QSize(200, self.minimumHeight())

    def set_value(self, value: Any) -> None:
        super().set_value("" if value is None else str(value))
        if not self.area.hasFocus() and self.area.toPlainText() != self.value:
            self.area.setPlainText(self.value)
            self.count_tokens()

    def text(self) -> str:
        return self.area.toPlainText()

    def begin(self) -> None:
        self.area.setFocus()
        self.area.moveCursor(QTextCursor.MoveOperation.End)

    def finish(self) -> None:
        self._pause.stop()
        self._stop_offering()
        self.count_tokens()
        if self.text() != self.value:
            self.commit(self.text())

    def _leave(self) -> None:
        """Escape keeps the words: they are the dearest thing in a graph, and undo takes them back."""
        self.finish()
        self.cancelled.emit()

    def _on_pause(self) -> None:
        self.count_tokens()
        if self.text() != self.value:
            self.preview.emit(self.text())

    def count_tokens(self) -> None:
        """ "38 / 75 tokens": beyond 75, a model of the CLIP kind reads in windows."""
        if not self.is_prompt:
            return
        number = self.context.tokens(self.text())
        if number is None:
            self.count.setText("")
            return
        windows = max(1, -(-number // WINDOW))
        self.count.setText(f"{number} / {windows * WINDOW} tokens")

    def change_weight(self, amount: float, fine: bool = False) -> None:
        """Ctrl+Up and Ctrl+Down: the weight of the selection, or of the word at the cursor."""
        if not self.is_prompt:
            return
        cursor = self.area.textCursor()
        text, start, end = reweighted(self.text(), cursor.selectionStart(), cursor.selectionEnd(), amount / 2 if fine else amount)
        if text == self.text():
            return
        whole = QTextCursor(self.area.document())
        whole.select(QTextCursor.SelectionType.Document)
        whole.insertText(text)  # one step of the text's own undo
        again = self.area.textCursor()
        again.setPosition(start)
        again.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        self.area.setTextCursor(again)

    # -- words

    def _begun(self) -> str:
        """The tag, wildcard or embedding that is being typed at the cursor; or the word, where the model knows only some."""
        before = self.text()[: self.area.textCursor().position()]
        match = re.search(r"(<[\w:.-]*|__[\w/-]*|embedding:[\w.-]*)$", before)
        if match is None and self.is_prompt and self.context.vocabulary():
            match = re.search(r"(?<![\w:])[^\W\d_]{2,}$", before)
        return match[0] if match else ""

    def is_offering(self) -> bool:
        """Whether the list of words is open; it then takes Return, Tab and Escape."""
        popup = self.completer.popup()
        return popup is not None and popup.isVisible()

    def _stop_offering(self) -> None:
        popup = self.completer.popup()
        if popup is not None:
            popup.hide()

    def offer_words(self) -> None:
        begun = self._begun()
        if not begun:
            self._stop_offering()
            return
        model = self.completer.model()
        assert isinstance(model, QStringListModel)
        is_word = begun.isalpha()
        words = list(self.context.vocabulary() if is_word else self.context.words())
        model.setStringList([] if is_word and begun in words else words)
        self.completer.setFilterMode(Qt.MatchFlag.MatchStartsWith if is_word else Qt.MatchFlag.MatchContains)
        self.completer.setCompletionPrefix(begun.lstrip("<_"))
        if self.completer.completionCount():
            place = self.area.cursorRect()
            place.setWidth(240)
            self.completer.complete(place)
        else:
            self._stop_offering()

    def _complete(self, word: str) -> None:
        cursor = self.area.textCursor()
        cursor.movePosition(QTextCursor.MoveOperation.Left, QTextCursor.MoveMode.KeepAnchor, len(self._begun()))
        cursor.insertText(word)
        self.area.setTextCursor(cursor)
