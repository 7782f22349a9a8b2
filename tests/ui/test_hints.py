"""A new user is told three things, each once, when it is of use."""

from PySide6.QtWidgets import QWidget

from ui.hints import HINTS, Hints
from ui.notices import Notices
from ui.settings import Settings


def told(bar: Notices) -> list[str]:
    return [strip.accessibleName() for strip in bar.findChildren(QWidget) if strip.accessibleName() in HINTS.values() and strip.isVisibleTo(bar)]


def test_a_hint_is_told_once_and_gives_way_to_the_next(qtbot, dressed, tmp_path):
    bar, settings = Notices(), Settings(tmp_path / "settings.json")
    qtbot.addWidget(bar)
    hints = Hints(settings, bar.show_notice)
    hints.tell("words")
    hints.tell("steps")
    hints.tell("words")
    assert told(bar) == [HINTS["steps"]] and settings.get("hints_seen") == ["words", "steps"]


def test_what_was_told_is_not_told_at_the_next_start(qtbot, dressed, tmp_path):
    settings = Settings(tmp_path / "settings.json")
    Hints(settings, lambda _notice: None).tell("links")
    settings.flush()
    told_again = []
    Hints(Settings(tmp_path / "settings.json"), told_again.append).tell("links")
    assert not told_again


def test_where_nothing_can_be_remembered_nothing_is_told(qtbot, dressed):
    told_ever = []
    Hints(Settings(None), told_ever.append).tell("words")
    assert not told_ever
