"""What the program remembers about its user: look, keys, layout, recent files, favourites. One JSON file, shared with the engine.

A file that cannot be read gives the defaults and is kept beside the new one; keys of others in it are left as they are.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QObject, QTimer, Signal

from ui.threads import background

DEFAULTS: Final[Mapping[str, Any]] = {
    "theme": "dark",
    "reduced_motion": False,
    "keys": {},
    "layout": "",
    "geometry": "",
    "recent": [],
    "favourites": [],
    "recent_nodes": [],
    "followers": {},
    "show_welcome": True,
    "previews": True,
    "preview_size": 512,
    "device": "auto",
    "cache_results": True,
    "snap": True,
    "grid": True,
    "minimap": True,
    "focus_links": False,
    "hints_seen": [],
    "node_seconds": {},
    "seed_modes": {},
    "last_folder": "",
}
RECENT = 24


class Settings(QObject):
    """`get` and `set` by name; a change is written within a second, off the GUI thread."""

    changed = Signal(str)  # the name

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        """With no path nothing is read or written (tests, pictures)."""
        super().__init__(parent)
        self.path = path
        self.is_new = path is not None and not path.exists()
        """The first start of the program here."""
        self._values: dict[str, Any] = {}
        self._touched: set[str] = set()
        self.writing = threading.Lock()
        """Held by whoever changes the file: each reads it and writes it whole."""
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(800)
        self._timer.timeout.connect(self._write_soon)
        if path is not None:
            self._values = _read(path)

    def get(self, name: str) -> Any:
        """The value, or its default when none was set or it is of another kind."""
        default = DEFAULTS[name]
        value = self._values.get(name, default)
        if isinstance(default, bool) is not isinstance(value, bool):
            return default
        if isinstance(default, float) and isinstance(value, int):
            return float(value)
        return value if isinstance(value, type(default)) else default

    def set(self, name: str, value: Any) -> None:
        if name not in DEFAULTS:
            raise KeyError(name)
        if self.get(name) != value:
            self._values[name] = value
            self._touched.add(name)
            self._timer.start()
            self.changed.emit(name)

    def shared(self, name: str) -> dict[str, Any]:
        """What the engine reads from the same file: "folders" or "cache"."""
        value = self._values.get(name, {})
        return dict(value) if isinstance(value, dict) else {}

    def set_shared(self, name: str, chosen: Mapping[str, Any]) -> None:
        """Choose for the engine: folders count from the next run on, the cache from the next start of the worker."""
        self._values[name] = dict(chosen)
        self._touched.add(name)
        self._timer.start()
        self.changed.emit(name)

    # -- lists that grow at the front

    def note_recent(self, path: Path) -> None:
        """Put a file at the head of the recent ones."""
        text = str(path)
        self.set("recent", [text, *[p for p in self.get("recent") if p != text]][:RECENT])

    def recent_files(self) -> list[Path]:
        return [Path(p) for p in self.get("recent") if isinstance(p, str)]

    def forget_recent(self, path: Path) -> None:
        self.set("recent", [p for p in self.get("recent") if p != str(path)])

    def note_node(self, type_id: str, after: str = "") -> None:
        """A node was added, perhaps behind the port `after` ("type/output"): search ranks by this."""
        self.set("recent_nodes", [type_id, *[t for t in self.get("recent_nodes") if t != type_id]][:RECENT])
        if after:
            followers = {k: dict(v) for k, v in self.get("followers").items() if isinstance(v, dict)}
            counts = followers.setdefault(after, {})
            counts[type_id] = int(counts.get(type_id, 0)) + 1
            self.set("followers", followers)

    def toggle_favourite(self, type_id: str) -> bool:
        """Returns whether the node is a favourite now."""
        now = list(self.get("favourites"))
        if type_id in now:
            now.remove(type_id)
        else:
            now.append(type_id)
        self.set("favourites", now)
        return type_id in now

    # -- the file

    def flush(self) -> None:
        """Write now what is not written yet."""
        self._timer.stop()
        if self._touched and self.path is not None:
            self._write(self.path, self._take_touched())

    def _write_soon(self) -> None:
        if self.path is None or not self._touched:
            return
        path, touched = self.path, self._take_touched()
        # A settings file that cannot be written costs a preference, never work: the next change tries again.
        background().run(lambda: self._write(path, touched), failed=lambda _error: self._touched.update(touched))

    def _take_touched(self) -> dict[str, Any]:
        touched = {name: self._values[name] for name in self._touched}
        self._touched.clear()
        return touched

    def _write(self, path: Path, touched: Mapping[str, Any]) -> None:
        with self.writing:
            _write(path, touched)


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        if not isinstance(error, FileNotFoundError):
            _keep(path)
        return {}
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        _keep(path)
        return {}
    return values


def _keep(path: Path) -> None:
    """Leave a broken settings file beside the new one, for whoever wants to look."""
    try:
        os.replace(path, path.with_name(path.name + ".broken"))
    except OSError:
        pass


def _write(path: Path, touched: Mapping[str, Any]) -> None:
    from nodegraph.folders import read_settings
    from nodegraph.saving import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({**read_settings(path), **touched}, indent=1, sort_keys=True, ensure_ascii=False)
    write_atomically(path, text.encode("utf-8"))
