"""Starts the window. It is painted before the nodes are looked for; torch never comes into this process."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PySide6.QtWidgets import QApplication

    from nodegraph.folders import Folders
    from ui.main_window import MainWindow


def main(paths: Sequence[Path] | None = None) -> int:
    """Open the window, with these files in tabs (None: those of the command line); returns the exit code."""
    paths = [Path(name) for name in sys.argv[1:]] if paths is None else paths
    mend_streams()
    from nodegraph.folders import standard

    folders = standard()
    log = open_log(folders.logs / "window.log")
    take_exceptions(log)
    app = make_app()
    from ui import theme
    from ui.settings import Settings

    settings = Settings(folders.settings)
    theme.apply(app, settings.get("theme"), settings.get("reduced_motion"))
    window = make_window(folders, settings)
    window.show()
    start(window, [Path(path) for path in paths])
    code = app.exec()
    from ui.threads import background

    background().shutdown()
    return code


def make_app() -> QApplication:
    """The one QApplication, as the program wants it."""
    from PySide6.QtCore import Qt
    from PySide6.QtGui import QGuiApplication
    from PySide6.QtWidgets import QApplication

    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        return existing
    QGuiApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(["nodegraph"])
    app.setApplicationName("Nodegraph")
    app.setApplicationDisplayName("Nodegraph")
    app.setDesktopFileName("nodegraph")
    return app


def make_window(folders: Folders, settings: Any) -> MainWindow:
    """The window with a worker that starts at the first run."""
    from ui.main_window import MainWindow

    def start_runner(tell: Any) -> Any:
        from nodegraph.runner import Runner

        return Runner(tell, "worker", folders)

    return MainWindow(settings, folders, start_runner)


def start(window: MainWindow, paths: Sequence[Path]) -> None:
    """After the first paint: find the nodes, open the files, offer what a crash left. The very first start opens the starter template."""
    from PySide6.QtCore import QEvent, QObject, QTimer

    from ui.templates import EXAMPLES

    def after_paint() -> None:
        desk = window.desk
        desk.studio.load_registry(warm_up)
        for path in paths:
            desk.studio.open(path)
        desk.studio.offer_recovery()
        desk.running.offer_queue()
        window.status.start()
        if not paths and window.settings.is_new:
            desk.studio.open_template(EXAMPLES / "text_to_image.graph", "Text to image")
            desk.hints.tell("words")
        elif not paths and not window.settings.get("show_welcome"):
            desk.new()

    class FirstPaint(QObject):
        """Calls once the first page has been painted."""

        def eventFilter(self, watched: QObject, event: QEvent) -> bool:
            if event.type() == QEvent.Type.Paint:
                watched.removeEventFilter(self)
                QTimer.singleShot(0, after_paint)
            return False

    window.welcome.installEventFilter(FirstPaint(window))
    window.welcome.setFocus()


WARM = ("numpy", "PIL.Image", "ui.paint_space", "ui.preferences", "ui.cheat_sheet", "ui.panels.library", "ui.panels.browse", "ui.context_menu")
"""What panels need when they are first opened."""
CALM_MS, PAUSE_MS = 5000, 400


def warm_up() -> None:
    """Load what panels need before they are opened, so that none of them stands still then: in the background, one after the other, once the
    first seconds are over. A thread that imports holds the interpreter for a tenth of a second at times."""
    from PySide6.QtCore import QTimer

    from ui.threads import background

    def load(name: str) -> None:
        background().run(lambda: importlib.import_module(name), lambda _module: gc.freeze())

    gc.freeze()  # what lives as long as the program need not be looked at again by the collector
    for number, name in enumerate(WARM):
        QTimer.singleShot(CALM_MS + number * PAUSE_MS, lambda name=name: load(name))


def mend_streams() -> None:
    """Under pythonw there are no streams, and what prints to None fails; they lead to nowhere then."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


class Log:
    """A file for what went wrong; never in the way when it cannot be written."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()

    def write(self, words: str) -> None:
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {words.rstrip()}\n"
        with self._lock, contextlib.suppress(OSError):
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.exists() and self.path.stat().st_size > 2**20:
                    os.replace(self.path, self.path.with_name(self.path.name + ".1"))
                with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(line)


def open_log(path: Path) -> Log:
    """The window's own log."""
    return Log(path)


def take_exceptions(log: Log) -> None:
    """An exception in a slot, a paint event or a thread is logged, and the window lives on."""

    def take(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            from PySide6.QtCore import QCoreApplication

            QCoreApplication.quit()
            return
        words = "".join(traceback.format_exception(kind, error, trace))
        log.write(words)
        with contextlib.suppress(Exception):
            sys.stderr.write(words)

    sys.excepthook = take
    threading.excepthook = lambda args: take(args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback)


if __name__ == "__main__":
    sys.exit(main())
