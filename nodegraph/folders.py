"""Where models, pictures, plug-ins, the cache and settings live, and how a name in a graph becomes a file.

All of it hangs on one place, the user's data folder of the operating system, or the folder that the environment
variable NODEGRAPH_HOME names. Nothing here creates a folder until something is written to it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from nodegraph.errors import GraphError
from nodegraph.node import File
from nodegraph.saving import create, why

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")

_DEVICE_NAMES = {"con", "prn", "aux", "nul", "conin$", "conout$", *(f"{port}{i}" for port in ("com", "lpt") for i in "0123456789¹²³")}


@dataclass
class Folders:
    """The folders of one user. `extra` adds roots per kind of file: {"loras": ("D:/loras",), "models": ("/mnt/models",)}.

    A root under "models" holds one sub-folder per kind; the sub-folder names of ComfyUI are understood too.
    """

    home: Path
    cache: Path
    output: Path
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    _settings_seen: tuple[int, int] | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._settings_seen = _stamp(self.settings)

    def refresh(self) -> bool:
        """Take up folders that were chosen since; True if the settings changed. Kept results stay where they are until the next start."""
        stamp = _stamp(self.settings)
        if stamp == self._settings_seen:
            return False
        self._settings_seen = stamp
        chosen = _folders_in(self.settings)
        self.output = _chosen(chosen.get("output"), self.output)
        self.extra = _roots_in(chosen)
        return True

    @property
    def settings(self) -> Path:
        return self.home / "settings.json"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def plugins(self) -> Path:
        return self.home / "nodes"

    @property
    def input(self) -> Path:
        return self.home / "input"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def recovery(self) -> Path:
        return self.home / "recovery"

    @property
    def queue(self) -> Path:
        return self.home / "queue"

    def roots(self, kind: str) -> tuple[Path, ...]:
        """The folders in which files of this kind are looked for, the user's own first."""
        if kind == "input":
            return (self.input, *map(Path, self.extra.get("input", ())), RESOURCES / "examples")
        if kind == "output":
            return (self.output,)
        bases = (self.models, *map(Path, self.extra.get("models", ())))
        names = (kind, *_OTHER_NAMES.get(kind, ()))
        return (*(base / name for base in bases for name in names), *map(Path, self.extra.get(kind, ())))

    def names(self, marker: File) -> list[str]:
        """What a picker offers for this kind of file: names as they are stored in a graph, sorted, shipped ones first."""
        found: dict[str, None] = dict.fromkeys(sorted(name for name, path in shipped(marker.folder).items() if path.exists()))
        for root in self.roots(marker.folder):
            found |= dict.fromkeys(sorted(_walk(root, marker), key=str.lower))
        return list(found)

    def resolve(self, kind: str, name: str, base: Path | None = None) -> Path | None:
        """The file or folder that a graph means by `name`: shipped, in one of the roots, beside the graph (`base`), or absolute
        (also from the user's folder on, as "~/a.png").

        Names written on another system (back-slashes, another sub-folder) are found by their last part.
        """
        plain = name.replace("\\", "/").rstrip("/")
        if not plain.strip(".") or plain.endswith(("/.", "/..")):
            return None  # a whole root is never meant
        if plain.startswith("~/"):
            plain = os.path.expanduser(plain).replace("\\", "/")
        known = shipped(kind)
        if plain in known:
            return known[plain]
        places = [*self.roots(kind), *([base] if base else [])]
        if Path(plain).is_absolute() or plain.startswith("//"):
            # merely looking for a file on another computer tells that one who the user is
            if plain.startswith("//") and not any(Path(plain).is_relative_to(place) for place in places):
                return None
            return Path(plain) if _is_there(plain) else None
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        for place in places:
            # nothing climbs out of a folder of models; from the graph's own folder it is a person's way to write "next door"
            if (".." not in parts or place == base) and _is_there(place / plain):
                return place / plain
        last = parts[-1]
        return next((place / last for place in places if len(parts) > 1 and _is_there(place / last)), None)


_OTHER_NAMES = {
    "diffusion_models": ("unet",),
    "text_encoders": ("clip",),
    "embeddings": ("textual_inversion",),
    "upscale_models": ("upscalers",),
}


def standard() -> Folders:
    """The folders of the user who runs the program. Settings that cannot be read count as absent."""
    wish = os.environ.get("NODEGRAPH_HOME")
    if wish:
        home = Path(wish).expanduser().absolute()
        cache, output = home / "cache", home / "output"
    else:
        import platformdirs

        home = platformdirs.user_data_path("Nodegraph", appauthor=False)
        cache = platformdirs.user_cache_path("Nodegraph", appauthor=False) / "results"
        output = platformdirs.user_pictures_path() / "Nodegraph"
    chosen = _folders_in(home / "settings.json")
    cache, output = _chosen(chosen.get("cache"), cache), _chosen(chosen.get("output"), output)
    return Folders(home, cache, output, _roots_in(chosen))


def _folders_in(settings: Path) -> dict[str, Any]:
    """What a settings file says about folders."""
    chosen = read_settings(settings).get("folders", {})
    return chosen if isinstance(chosen, dict) else {}


def _roots_in(chosen: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {k: tuple(p for p in v if isinstance(p, str) and p) for k, v in chosen.items() if isinstance(v, list)}


def _stamp(path: Path) -> tuple[int, int] | None:
    """Changes when the file does."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _chosen(wish: Any, otherwise: Path) -> Path:
    """A folder that the user set; a relative one would be another place with each start."""
    return Path(wish).expanduser() if isinstance(wish, str) and wish and Path(wish).expanduser().is_absolute() else otherwise


def read_settings(path: Path) -> dict[str, Any]:
    """The settings file as it is, {} when there is none or it cannot be read."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return settings if isinstance(settings, dict) else {}


@lru_cache(maxsize=1)
def _shipped() -> dict[str, dict[str, Path]]:
    path = RESOURCES / "shipped.json"
    if not path.exists():
        return {}
    kinds = json.loads(path.read_text(encoding="utf-8"))
    return {kind: {name: RESOURCES / place for name, place in names.items()} for kind, names in kinds.items()}


def shipped(kind: str) -> dict[str, Path]:
    """The files of this kind that come with the program, by the name a graph uses for them."""
    return _shipped().get(kind, {})


def _walk(root: Path, marker: File, depth: int = 4) -> Iterator[str]:
    waiting = [(root, 0)]
    while waiting:
        folder, level = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith(".") or not _is_text(entry.name):
                continue
            if entry.is_dir():
                if marker.folders and ((path / "model_index.json").exists() or (path / "config.json").exists()):
                    yield path.relative_to(root).as_posix()
                elif level < depth:
                    waiting.append((path, level + 1))
            elif not marker.suffixes or path.suffix.lower() in marker.suffixes:
                yield path.relative_to(root).as_posix()


def _is_there(path: str | Path) -> bool:
    """Whether there is a file or folder. A device or pipe is neither: reading one may never end."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _is_text(name: str) -> bool:
    """Whether a graph file can hold the name: a name of another encoding comes from the system as half surrogate pairs."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def safe_join(root: Path, name: str) -> Path:
    """`root / name`, for a name that comes out of a graph: it may have sub-folders, but it never leaves `root`.

    Raises:
        GraphError: The name is absolute, climbs out, or is one that some system cannot hold.
    """
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
    absolute = name.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", name)
    if not parts or absolute or ".." in parts or not _is_text(name) or any(ord(c) < 32 or ord(c) == 127 or c in '<>:"|?*' for c in name):
        raise GraphError(
            f"'{_shown(name)}' cannot be a file name in the output folder. Use plain letters and sub-folders, as 'portraits/anna'."
        )
    for part in parts:
        if part.split(".")[0].strip().lower() in _DEVICE_NAMES or part[-1] in ". " or len(part.encode()) > 200:
            raise GraphError(f"'{_shown(part)}' cannot be a file name on every system. Choose another one.")
    path = root.joinpath(*parts)
    try:
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # links that lead in a circle
        inside = False
    if not inside:
        raise GraphError(f"'{_shown(name)}' leads out of the output folder by a link. Choose another name.")
    return path


def _shown(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)[:80]


def new_file(folder: Path, name: str, suffix: str, data: bytes | None = None) -> Path:
    """Create a file with a free number: name_0001.png, then name_0002.png. Safe against other processes.

    With `data` it is whole from the moment it has its name; without, it is empty and keeps the name for whoever fills it.

    Raises:
        GraphError: The name is not allowed, or the folder cannot be written.
    """
    wish = safe_join(folder, name)
    try:
        wish.parent.mkdir(parents=True, exist_ok=True)
        taken = re.compile(re.escape(wish.name) + r"_(\d+)\.")
        number = 1 + max((int(m[1]) for p in os.listdir(wish.parent) if (m := taken.match(p))), default=0)
        while True:
            path = wish.with_name(f"{wish.name}_{number:04d}{suffix}")
            try:
                if data is None:
                    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
                else:
                    create(path, data)
                return path
            except FileExistsError:
                number += 1
    except OSError as error:
        raise GraphError(f"Cannot write to '{wish.parent}': {why(error)}. Choose another output folder.") from error
