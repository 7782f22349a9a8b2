"""What is wrong, in cards with at most two ways out; and the log, the only place where technical words stand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

from PySide6.QtCore import QRectF, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPlainTextEdit, QScrollArea, QVBoxLayout, QWidget

from nodegraph.errors import Problem
from nodegraph.graph import Graph
from ui import theme
from ui.at_hand import Offer, offers_for
from ui.document import Document
from ui.known_words import show_sheet
from ui.label import IconLabel, Label, button
from ui.notices import LOOKS
from ui.repairs import Repair, headline, is_about_words, repairs
from ui.threads import background

CARDS_AT_ONCE = 8
MOST_CARDS = 80
FRESH = 10.0
"""Seconds for which a look at another tab needs no new check: files may have come or gone, the graph is the same."""


@dataclass(frozen=True)
class Trouble:
    """A problem of a document, and the file with the details if a run met it."""

    problem: Problem
    log: str = ""
    from_run: bool = False
    offer: Offer | None = None  # files at hand that would do


class Found(NamedTuple):
    """What the last check of a document found in which graph, and when."""

    graph: Graph
    troubles: list[Trouble]
    when: float


class ProblemCard(QWidget):
    """Red or yellow wash with a bar at the left; a heading, what to do, buttons."""

    show_wanted = Signal(str)
    log_wanted = Signal(str)

    def __init__(self, trouble: Trouble, document: Document, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        problem = trouble.problem
        icon, self._tone = LOOKS["error" if problem.severity == "error" else "warning"]
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 12, 8)
        column.setSpacing(3)
        head, rest = headline(problem, document)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(IconLabel(icon, self._tone, 16), 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(Label(head, "strong", wrap=True), 1)
        column.addLayout(row)
        inner = QVBoxLayout()
        inner.setContentsMargins(26, 0, 0, 0)
        inner.setSpacing(4)
        if rest:
            body = Label(rest, "dim", wrap=True)
            body.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            inner.addWidget(body)
        acts = QHBoxLayout()
        acts.setSpacing(8)
        fixes = repairs(problem, document, trouble.offer)
        for number, repair in enumerate(fixes):
            made = button(repair.words, "" if number == 0 else "link")
            if repair.choices:
                made.setMenu(_menu_of(repair, made))
            else:
                made.clicked.connect(lambda _checked=False, repair=repair: repair.act())
            acts.addWidget(made)
        if is_about_words(problem, document):
            made = button("See every word")
            made.clicked.connect(lambda: show_sheet(self))
            acts.addWidget(made)
        if problem.node_id and len(fixes) < 2:
            made = button("Show node", "link" if fixes else "")
            made.clicked.connect(lambda: self.show_wanted.emit(problem.node_id or ""))
            acts.addWidget(made)
        if trouble.log and len(fixes) < 1:
            made = button("Log", "link")
            made.clicked.connect(lambda: self.log_wanted.emit(trouble.log))
            acts.addWidget(made)
        acts.addStretch(1)
        inner.addLayout(acts)
        column.addLayout(inner)
        self._node = problem.node_id or ""
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(f"{'Error' if problem.severity == 'error' else 'Warning'}: {problem.message}")

    def paintEvent(self, event: QPaintEvent) -> None:
        now = theme.current()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(now.color("line.focus") if self.hasFocus() else Qt.PenStyle.NoPen)
        painter.setBrush(now.mix(self._tone, "surface.panel", 0.10))
        painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 6, 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(now.color(self._tone))
        painter.drawRoundedRect(QRectF(0, 8, 3, self.height() - 16), 1.5, 1.5)
        painter.end()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._node:
            self.show_wanted.emit(self._node)
        else:
            super().keyPressEvent(event)


def _menu_of(repair: Repair, parent: QWidget) -> QMenu:
    """Its choices, made when the menu is opened."""
    menu = QMenu(parent)

    def fill() -> None:
        menu.clear()
        for words, act in repair.choices:
            menu.addAction(words.replace("&", "&&")).triggered.connect(lambda _checked=False, act=act: act())

    menu.aboutToShow.connect(fill)
    return menu


class Checker(QWidget):
    """Checks the current document in the background a moment after each edit, and adds what its last run met."""

    found = Signal(object)  # list[Trouble]

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.hide()
        self.registry: object = None
        self._document: Document | None = None
        self._of_graph: list[Trouble] = []
        self._found: WeakKeyDictionary[Document, Found] = WeakKeyDictionary()
        self._of_run: dict[Document, list[Trouble]] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(250)
        self._timer.timeout.connect(self._check)
        self._busy = False

    def set_document(self, document: Document | None) -> None:
        if self._document is not None:
            self._document.root_changed.disconnect(self._later)
        self._document = document
        self._of_graph = []
        if document is not None:
            document.root_changed.connect(self._later)
            found = self._found.get(document)
            if found is not None and found.graph is document.root:
                self._of_graph = found.troubles
            if found is None or found.graph is not document.root or time.monotonic() - found.when > FRESH:
                background().soon(self._check, owner=self)
        self._tell()

    def set_run(self, document: Document | None, troubles: list[Trouble]) -> None:
        """What a run met stays until the next run of the document."""
        if document is not None:
            self._of_run[document] = troubles
            if document is self._document:
                self._tell()

    def _later(self) -> None:
        if not self._timer.isActive():
            self._timer.start()

    def check_now(self) -> None:
        """Nodes or folders are others now: nothing that was found counts any longer."""
        self._found = WeakKeyDictionary()
        self._check()

    def _check(self) -> None:
        from nodegraph.registry import Registry

        document, registry = self._document, self.registry
        if document is None or not isinstance(registry, Registry):
            return
        if self._busy:
            self._timer.start()
            return
        from nodegraph.plan import check
        from ui.insight import insight_of

        graph, base, specs = document.root, document.path.parent if document.path else None, document.specs
        insight = insight_of(registry, document)
        self._busy, known = True, self._found

        def work() -> list[Trouble]:
            problems = check(graph, registry, base)
            offers = offers_for(problems, graph, specs, insight)
            return [Trouble(problem, offer=offers.get(problem)) for problem in problems]

        def done(troubles: list[Trouble]) -> None:
            self._busy = False
            known[document] = Found(graph, troubles, time.monotonic())
            if document is self._document:
                self._of_graph = troubles
                self._tell()

        def failed(error: Exception) -> None:
            self._busy = False
            raise error

        background().run(work, done, failed, owner=self)

    def _tell(self) -> None:
        document = self._document
        troubles = list(self._of_graph)
        if document is not None:
            known = {(t.problem.node_id, t.problem.message) for t in troubles}
            present = document.root.nodes
            for trouble in self._of_run.get(document, []):
                node = (trouble.problem.node_id or "").split("/")[0]
                if (not node or node in present) and (trouble.problem.node_id, trouble.problem.message) not in known:
                    troubles.append(trouble)
        troubles.sort(key=lambda t: t.problem.severity != "error")
        self.found.emit(troubles)


class ProblemsPanel(QWidget):
    """The cards of the current document."""

    show_wanted = Signal(str)
    log_wanted = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        outer.addWidget(scroll)
        page = QWidget()
        page.setProperty("kind", "page")
        scroll.setWidget(page)
        self._column = QVBoxLayout(page)
        self._column.setContentsMargins(10, 10, 10, 10)
        self._column.setSpacing(8)
        self._column.addStretch(1)
        self._shown: tuple[Trouble, ...] | None = None
        self._widgets: list[QWidget] = []
        self._document: Document | None = None

    def show_troubles(self, troubles: Sequence[Trouble], document: Document | None) -> None:
        if tuple(troubles) == self._shown and document is self._document:
            return
        self._shown, self._document = tuple(troubles), document
        for widget in self._widgets:
            self._column.removeWidget(widget)
            widget.hide()
            widget.deleteLater()
        self._widgets = []
        if document is not None and troubles:
            self._add_cards(self._shown, 0)
        else:
            self._widgets.append(Label("Nothing is wrong with this graph.", "faint", wrap=True))
            self._column.insertWidget(0, self._widgets[0])

    def _add_cards(self, troubles: tuple[Trouble, ...], start: int) -> None:
        """Some cards now and the next in a later turn: many at once would hold the window up."""
        document = self._document
        if document is None or troubles is not self._shown:
            return
        for place, trouble in enumerate(troubles[start : start + CARDS_AT_ONCE], start):
            card = ProblemCard(trouble, document)
            card.show_wanted.connect(self.show_wanted)
            card.log_wanted.connect(self.log_wanted)
            self._widgets.append(card)
            self._column.insertWidget(place, card)
        if start + CARDS_AT_ONCE < min(len(troubles), MOST_CARDS):
            background().soon(lambda: self._add_cards(troubles, start + CARDS_AT_ONCE), owner=self)


class LogPanel(QPlainTextEdit):
    """What the program and its worker wrote; read from their files when shown."""

    def __init__(self, files: Sequence[Path], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files = list(files)
        self.setReadOnly(True)
        self.setProperty("kind", "log")
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setAccessibleName("Log")

    def read(self, only: Path | None = None) -> None:
        """The end of the logs, or of one of them."""
        files = [only] if only is not None else self.files

        def work() -> str:
            parts = []
            for file in files:
                try:
                    with file.open("rb") as stream:
                        stream.seek(0, 2)
                        stream.seek(max(0, stream.tell() - 40_000))
                        text = stream.read().decode("utf-8", "replace")
                except OSError:
                    continue
                parts.append(f"{file.name}\n\n" + "".join(c for c in text if c.isprintable() or c in "\n\t"))
            return "\n\n".join(parts) or "Nothing was written yet."

        def show(text: str) -> None:
            self.setPlainText(text)
            bar = self.verticalScrollBar()
            bar.setValue(bar.maximum())

        background().run(work, show, owner=self)
