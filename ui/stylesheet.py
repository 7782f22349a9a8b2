"""The Qt style sheet of the program's ordinary widgets, made from a Theme."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtGui import QColor

if TYPE_CHECKING:
    from ui.theme import Theme


def css(color: QColor) -> str:
    """A colour in the style sheet's own notation."""
    return f"rgba({color.red()},{color.green()},{color.blue()},{color.alpha()})"


def stylesheet(theme: Theme, marks: Path) -> str:
    """The sheet for one theme; `marks` is the folder of the small arrow and check pictures in that theme's colours."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return f'url("{(marks / name[5:]).as_posix()}.svg")' if name.startswith("mark.") else css(theme.color(name))

    return re.sub(r"\$([a-z_.-]+)", value, SHEET)


# A widget chooses its look by the dynamic property `kind`: primary, live, bad, ghost, tool (buttons); heading, title, display, dim, faint,
# value, bad (labels); plate, raised (frames).
SHEET = """
* { outline: none; }
QMainWindow, QDialog { background: $surface.window; }
QToolTip { background: $surface.popup; color: $text.primary; border: 1px solid $line.soft; padding: 5px 8px; }
QMenuBar { background: transparent; color: $text.secondary; spacing: 2px; }
QMenuBar::item { padding: 5px 9px; border-radius: 5px; background: transparent; }
QMenuBar::item:selected, QMenuBar::item:pressed { background: $surface.hover; color: $text.primary; }
QMenu { background: $surface.popup; color: $text.primary; border: 1px solid $line.soft; padding: 5px; }
QMenu::item { padding: 5px 26px 5px 10px; border-radius: 4px; min-height: 16px; }
QMenu::icon { padding-left: 8px; }
QMenu::item:selected { background: $surface.hover; }
QMenu::item:disabled { color: $text.disabled; }
QMenu::separator { height: 1px; background: $line.soft; margin: 5px 6px; }
QLabel { background: transparent; }
QLabel[kind="heading"] { font-size: 14px; font-weight: 600; }
QLabel[kind="title"] { font-family: "Inter Display"; font-size: 20px; font-weight: 600; }
QLabel[kind="display"] { font-family: "Inter Display"; font-size: 30px; font-weight: 600; }
QLabel[kind="strong"] { font-weight: 600; }
QLabel[kind="dim"] { color: $text.secondary; }
QLabel[kind="faint"] { color: $text.tertiary; font-size: 11px; }
QLabel[kind="value"] { font-family: "JetBrains Mono"; font-size: 11px; }
QLabel[kind="bad"] { color: $state.bad; }
QFrame[kind="plate"] { background: $surface.panel; }
QFrame[kind="raised"] { background: $surface.raised; border-radius: 6px; }
QFrame[kind="hair"] { background: $line.hair; border: none; }

QPushButton, QToolButton[kind="plain"] { background: $surface.raised; color: $text.primary; border: 1px solid $line.soft; border-radius: 6px;
  padding: 4px 12px; min-height: 18px; font-weight: 500; }
QPushButton:hover { background: $surface.hover; }
QPushButton:pressed { background: $surface.pressed; }
QPushButton:focus { border-color: $line.focus; }
QPushButton:disabled { color: $text.disabled; }
QPushButton[kind="primary"] { background: $accent.base; color: $text.on_accent; border-color: $accent.base; font-weight: 600; }
QPushButton[kind="primary"]:hover { background: $accent.hover; border-color: $accent.hover; }
QPushButton[kind="primary"]:pressed { background: $accent.pressed; border-color: $accent.pressed; }
QPushButton[kind="primary"]:disabled { background: $surface.hover; color: $text.disabled; border-color: $surface.hover; }
QPushButton[kind="live"] { background: $state.live; color: $text.on_live; border-color: $state.live; font-weight: 600; }
QPushButton[kind="bad"] { background: $state.bad_fill; color: $text.on_bad; border-color: $state.bad_fill; }
QPushButton[kind="ghost"] { background: transparent; border-color: transparent; }
QPushButton[kind="ghost"]:hover { background: $surface.hover; }
QPushButton[kind="link"] { background: transparent; border: none; color: $text.link; padding: 2px 4px; }
QToolButton { background: transparent; color: $text.secondary; border: none; border-radius: 5px; padding: 4px; }
QToolButton:hover { background: $surface.hover; color: $text.primary; }
QToolButton:pressed { background: $surface.pressed; }
QToolButton:checked { background: $surface.hover; color: $text.primary; }
QToolButton::menu-indicator { image: none; }

QLineEdit, QPlainTextEdit, QTextEdit, QAbstractSpinBox, QComboBox { background: $surface.field; color: $text.primary; border: 1px solid transparent;
  border-radius: 4px; padding: 3px 7px; selection-background-color: $accent.base; selection-color: $text.on_accent; }
QLineEdit:hover, QAbstractSpinBox:hover, QComboBox:hover { background: $surface.field_hover; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QAbstractSpinBox:focus, QComboBox:focus { border-color: $line.focus; }
QLineEdit[problem="true"], QPlainTextEdit[problem="true"] { border-color: $state.bad; }
QLineEdit:disabled, QPlainTextEdit:disabled, QComboBox:disabled { color: $text.disabled; }
QTextBrowser { background: transparent; border: none; padding: 0; }
QComboBox { min-height: 16px; padding-right: 20px; }
QComboBox::drop-down { border: none; width: 20px; }
QComboBox::down-arrow { image: $mark.chevron-down; width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: $surface.popup; border: 1px solid $line.soft; padding: 4px; selection-background-color: $surface.hover;
  selection-color: $text.primary; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { border: none; width: 16px; background: transparent; }
QAbstractSpinBox::up-arrow { image: $mark.chevron-up; width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow { image: $mark.chevron-down; width: 10px; height: 10px; }

QDialogButtonBox { dialogbuttonbox-buttons-have-icons: 0; }
QCheckBox, QRadioButton { spacing: 8px; background: transparent; }
QCheckBox::indicator, QGroupBox::indicator, QListWidget::indicator { width: 14px; height: 14px; border-radius: 4px; border: 1px solid $line.strong; background: $surface.field; }
QCheckBox::indicator:hover { border-color: $text.tertiary; }
QCheckBox::indicator:checked, QListWidget::indicator:checked { background: $accent.base; border-color: $accent.base; image: $mark.check; }
QCheckBox::indicator:indeterminate { background: $accent.base; border-color: $accent.base; image: $mark.minus; }
QCheckBox:focus, QRadioButton:focus { color: $line.focus; }
QRadioButton::indicator { width: 12px; height: 12px; border-radius: 7px; border: 1px solid $line.strong; background: $surface.field; }
QRadioButton::indicator:checked { border: 4px solid $accent.base; width: 6px; height: 6px; background: $text.on_accent; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $surface.field_fill; }
QSlider::sub-page:horizontal { background: $accent.base; border-radius: 2px; }
QSlider::handle:horizontal { width: 12px; height: 12px; margin: -4px 0; border-radius: 6px; background: $text.primary; }
QProgressBar { background: $surface.hover; border: none; border-radius: 2px; max-height: 4px; min-height: 4px; text-align: center; color: transparent; }
QProgressBar::chunk { background: $state.live; border-radius: 2px; }

QAbstractItemView { background: $surface.panel; alternate-background-color: $surface.panel; border: none; color: $text.primary; }
QAbstractItemView::item { padding: 3px 4px; border-radius: 4px; min-height: 18px; }
QAbstractItemView::item:hover { background: $surface.hover; }
QAbstractItemView::item:selected { background: $accent.wash; color: $text.primary; }
QTreeView::branch { background: transparent; }
QTreeView::branch:has-children:closed { image: $mark.chevron-right; }
QTreeView::branch:has-children:open { image: $mark.chevron-down; }
QHeaderView::section { background: $surface.panel_header; color: $text.tertiary; border: none; padding: 4px 6px; font-size: 11px; }

QTabBar { background: $surface.panel_header; qproperty-drawBase: 0; }
QTabBar::tab { background: transparent; color: $text.secondary; padding: 0 12px; height: 30px; border: none; border-top: 2px solid transparent; font-weight: 500; }
QTabBar::tab:hover { color: $text.primary; }
QTabBar::tab:selected { background: $surface.panel; color: $text.primary; border-top-color: $accent.base; }
QTabBar::close-button { image: $mark.x; width: 12px; height: 12px; subcontrol-position: right; }
QTabBar::close-button:hover { background: $surface.hover; border-radius: 3px; }
QTabWidget::pane { border: none; }
QDockWidget { color: $text.primary; }
QMainWindow::separator { background: $line.hair; width: 1px; height: 1px; }
QMainWindow::separator:hover { background: $accent.base; }
QSplitter::handle { background: $line.hair; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QStatusBar { background: $surface.status; color: $text.secondary; }
QStatusBar::item { border: none; }
QGroupBox { border: none; margin-top: 18px; font-weight: 600; }
QGroupBox::title { subcontrol-origin: margin; left: 0; }

QScrollArea, QScrollArea > QWidget > QWidget[kind="page"] { background: transparent; border: none; }
QScrollBar:vertical { background: transparent; width: 10px; margin: 0; }
QScrollBar:horizontal { background: transparent; height: 10px; margin: 0; }
QScrollBar::handle { background: $line.strong; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 28px; }
QScrollBar::handle:horizontal { min-width: 28px; }
QScrollBar::handle:hover { background: $text.tertiary; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }
"""
