"""Three things that a new user is told, each once, at the moment when it is of use. Never a tour: nothing waits for an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ui.notices import Notice
from ui.settings import Settings

HINTS: Final = {
    "words": 'Change a word in "Positive" and press Run: only what hangs on it is made again.',
    "steps": 'Walk through the steps of this run in the timeline; "Branch from here" goes on from any of them.',
    "links": "Drag from a port: the inputs that fit light up. Let go over empty canvas to choose a new node for it.",
}


class Hints:
    """Tells each hint once on this computer; a newer one takes the place of the last."""

    KEY: Final = "hint"

    def __init__(self, settings: Settings, show: Callable[[Notice], None]) -> None:
        self._settings, self._show = settings, show

    def tell(self, name: str) -> None:
        """A hint of HINTS, if it was not told before. Where nothing is remembered nothing is told, or it would be told for ever."""
        seen = self._settings.get("hints_seen")
        if name not in seen and self._settings.path is not None:
            self._settings.set("hints_seen", [*seen, name])
            self._show(Notice(HINTS[name], key=self.KEY))
