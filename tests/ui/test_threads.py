"""Work in the background, and who still wants to hear of it."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from ui.threads import background


def test_what_comes_back_after_its_panel_was_closed_is_dropped(qapp):
    """Folders are read slowly; an artist who closes the panel meanwhile must not see an error."""
    import shiboken6

    label, other, heard = QLabel(), QLabel(), []
    background().run(lambda: "late", label.setText, owner=label)
    background().soon(lambda: label.setText("later"), owner=label)
    background().run(lambda: "in time", lambda text: heard.append(text), owner=other)
    shiboken6.delete(label)
    background().drain()
    assert heard == ["in time"] and background().pending == 0
