"""All tests of the window run without a screen."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
from PySide6.QtWidgets import QApplication

from ui import theme


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    return ["nodegraph-tests"]


@pytest.fixture
def dressed(qapp: QApplication) -> theme.Theme:
    """The program's look, with all movements off so that no test waits for one."""
    return theme.apply(qapp, "dark", reduced_motion=True)
