"""What there is to know of a node besides its values: how its last run went, and its help."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from nodegraph.spec import NodeSpec
from ui.canvas.model import RunState
from ui.label import Label, button, hair
from ui.panels.palette import PortLine
from ui.words import quoted, seconds_words

STATE_WORDS = {"queued": "Waits", "running": "Runs", "cached": "Kept from before", "done": "Done", "failed": "Failed", "missing": "Not installed"}


class HelpPage(QWidget):
    """What a node does and what its knobs change."""

    left = Signal()

    def __init__(self, spec: NodeSpec, seconds: object = None) -> None:
        """`seconds`: how long it takes on this computer, if that is known."""
        super().__init__()
        self.setProperty("kind", "page")
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        back = button("Back to the values", "link", "arrow-left")
        back.clicked.connect(self.left)
        row = QHBoxLayout()
        row.addWidget(back)
        row.addStretch(1)
        column.addLayout(row)
        column.addWidget(Label(spec.title, "heading", wrap=True))
        for words in (spec.summary, spec.help):
            if words:
                column.addWidget(Label(quoted(words), "dim", wrap=True))
        column.addWidget(hair(color="line.soft"))
        for item in spec.inputs:
            column.addWidget(PortLine(item.type) if item.is_port else Label(item.label, "strong"))
            words = item.help or "No words about this one."
            column.addWidget(Label(quoted(f"{item.label}. {words}" if item.is_port else words), "dim", wrap=True))
        for output in spec.outputs:
            column.addWidget(PortLine(output.type))
            column.addWidget(Label(quoted(f"{output.label}: what the node gives. {output.help}".strip()), "dim", wrap=True))
        if isinstance(seconds, (int, float)):
            column.addWidget(Label(f"Takes {seconds_words(float(seconds))} on this computer.", "faint"))
        column.addStretch(1)


class RunFacts(QWidget):
    """How the last run of a node went, and a word on what a change would cost."""

    def __init__(self) -> None:
        super().__init__()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(26, 0, 14, 4)
        self._column.setSpacing(2)
        self._lines: list[tuple[Label, Label]] = []
        self._message = Label("", "bad", wrap=True)
        self._column.addWidget(self._message)

    def show_state(self, state: RunState) -> None:
        facts = run_facts(state)
        while len(self._lines) < len(facts):
            holder = QWidget()
            row = QHBoxLayout(holder)
            row.setContentsMargins(0, 0, 0, 0)
            name, value = Label("", "dim"), Label("", "value")
            name.setFixedHeight(20)
            row.addWidget(name)
            row.addStretch(1)
            row.addWidget(value)
            self._column.insertWidget(self._column.count() - 1, holder)
            self._lines.append((name, value))
        for number, (name, value) in enumerate(self._lines):
            shown = number < len(facts)
            name.parentWidget().setVisible(shown)
            if shown:
                name.setText(facts[number][0])
                value.setText(facts[number][1])
        self._message.setText(state.message)
        self._message.setVisible(bool(state.message))


def run_facts(state: RunState) -> list[tuple[str, str]]:
    """What the inspector says about a run, as (name, value)."""
    facts = [("State", STATE_WORDS.get(state.state, "Not run yet"))]
    if state.total > 1:
        facts.append(("Steps", f"{state.done} of {state.total}"))
    if state.state == "running" and state.eta is not None:
        facts.append(("Left", seconds_words(state.eta)))
    if state.note:
        facts.append(("Resumed", state.note))
    if state.sigma is not None:
        facts.append(("Noise σ", f"{state.sigma:.2f}"))
    if state.seconds is not None and state.state in ("done", "cached"):
        facts.append(("Time", seconds_words(state.seconds)))
    if state.seconds and state.total > 1 and state.state == "done":
        facts.append(("Per step", f"{state.seconds / state.total:.2f} s"))
    if state.seed is not None:
        facts.append(("Seed used", f"{state.seed:,}".replace(",", " ")))
    if state.preview is not None:
        facts.append(("Picture", f"{state.preview.width()} × {state.preview.height()}"))
    return facts
