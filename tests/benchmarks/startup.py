"""How long until the window is painted, beside a bare PySide6 window in the same run: `python tests/benchmarks/startup.py [N]`. Medians in ms."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAINTED = """
class Watch(QObject):
    def eventFilter(self, watched, event):
        if event.type() == QEvent.Type.Paint:
            QTimer.singleShot(0, done)
        return False
def done():
    print(time.time() - float(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
"""
BARE = (
    """
import os, sys, time
from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QApplication, QMainWindow
"""
    + PAINTED
    + """
app = QApplication([])
window = QMainWindow()
watch = Watch()
window.installEventFilter(watch)
window.resize(1600, 1000)
window.show()
app.exec()
"""
)
OURS = (
    """
import os, sys, time
from ui import app as program
from nodegraph.folders import standard
from PySide6.QtCore import QEvent, QObject, QTimer
"""
    + PAINTED
    + """
folders = standard()
app = program.make_app()
from ui import theme
from ui.settings import Settings
theme.apply(app, "dark")
window = program.make_window(folders, Settings(folders.settings))
watch = Watch()
window.centralWidget().installEventFilter(watch)
window.show()
program.start(window, [])
app.exec()
"""
)


def seconds(code: str, home: str) -> float:
    """From the start of the process to the first painted frame."""
    import time

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"), "NODEGRAPH_HOME": home}
    done = subprocess.run([sys.executable, "-c", code, str(time.time())], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    with tempfile.TemporaryDirectory() as home:
        seconds(BARE, home), seconds(OURS, home)  # the first reads files into the cache of the system
        pairs = [(seconds(BARE, home), seconds(OURS, home)) for _ in range(rounds)]
    for name, values in zip(("bare PySide6 window", "Nodegraph"), zip(*pairs)):
        print(f"{name:22s} {statistics.median(values) * 1000:6.0f} ms   (from {min(values) * 1000:.0f} to {max(values) * 1000:.0f})")


if __name__ == "__main__":
    main()
