"""Looks of the window's own widgets, on top of the program's sheet."""

from __future__ import annotations

import re

from ui.stylesheet import css
from ui.theme import Theme

SHEET = """
QToolButton[kind="segment"] { color: $text.secondary; font-size: 11px; font-weight: 500; padding: 0 4px; border-radius: 4px; }
QToolButton[kind="segment"]:checked { background: $surface.hover; color: $text.primary; }
QToolButton[kind="take"] { color: $text.secondary; padding: 2px 6px; }
QToolButton[kind="chip"] { color: $text.secondary; background: $surface.field; border-radius: 13px; padding: 0 12px; font-size: 11px; font-weight: 500; }
QToolButton[kind="chip"]:hover { color: $text.primary; background: $surface.hover; }
QToolButton[kind="chip"]:checked { color: $text.primary; border: 1px solid $accent.base; background: $accent.wash; }
QToolButton[kind="nav"] { color: $text.primary; text-align: left; padding: 0 12px; border-radius: 6px; font-weight: 500; }
QToolButton[kind="nav"]:hover, QToolButton[kind="nav"]:checked { background: $surface.hover; }
QToolButton[kind="crumb"] { color: $text.secondary; padding: 2px 6px; }
QToolButton[kind="crumb"]:hover { color: $text.primary; }
QPushButton[kind="small"] { padding: 1px 10px; }
QPushButton[kind="big"] { background: $accent.base; color: $text.on_accent; border: none; border-radius: 6px; font-weight: 600; text-align: left; padding: 0 14px; }
QPushButton[kind="big"]:hover { background: $accent.hover; }
QLineEdit[kind="search"] { background: transparent; border: none; font-size: 16px; padding: 0; }
QLineEdit[kind="field"] { background: $surface.field; border: 1px solid $line.soft; border-radius: 6px; padding: 4px 8px; }
QLineEdit[kind="field"]:focus { border-color: $line.focus; }
QLabel[kind="live"] { color: $state.live_text; font-weight: 500; }
QLabel[kind="status"] { color: $text.secondary; font-size: 11px; }
QLabel[kind="ok"] { color: $state.ok; }
QLabel[kind="warn"] { color: $state.warn; }
QLabel[kind="cap"] { color: $text.tertiary; font-size: 11px; font-weight: 500; }
QFrame[kind="well"] { background: $surface.field; border: none; border-radius: 8px; }
QFrame[kind="soft"] { background: $line.soft; border: none; }
QWidget[kind="panel"] { background: $surface.panel; }
QWidget[kind="window"] { background: $surface.window; }
QStackedWidget, QDockWidget > QWidget { background: $surface.panel; }
QListView[kind="rows"] { background: transparent; }
QPlainTextEdit[kind="log"] { background: $surface.panel; border: none; border-radius: 0; font-family: "JetBrains Mono"; font-size: 11px; }
QToolBar { border: none; padding: 0; spacing: 0; background: $surface.window; }
QStatusBar QLabel { padding: 0; }
QMainWindow > QTabBar::tab { height: 28px; }
"""


def shell_sheet(theme: Theme) -> str:
    """The sheet for one theme."""
    return re.sub(r"\$([a-z_.-]+)", lambda match: css(theme.color(match[1])), SHEET)
