"""Files that are whole at every moment: written beside, then put in place, with the last versions kept."""

from __future__ import annotations

import os
import secrets
import stat
import time
from contextlib import suppress
from pathlib import Path

from nodegraph.errors import GraphFileError

BACKUPS = 3


def write_atomically(path: Path, data: bytes, backups: int = 0) -> None:
    """Put `data` in place of a file: all of it or nothing, even if the power fails. Used for everything the program saves.

    Raises:
        GraphFileError: The disk is full, the folder is gone or read-only, another program holds the file.
    """
    try:
        path = path.resolve() if path.is_symlink() else path
        descriptor, temporary = _new_beside(path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                with suppress(OSError):  # a disk without permissions
                    os.chmod(temporary, stat.S_IMODE(path.stat().st_mode))
                if backups and path.read_bytes() != data:
                    with suppress(OSError):  # no room for an older version is no reason to refuse the new one
                        _rotate_backups(path, backups)
            _replace(temporary, path)
        except GraphFileError:
            raise
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        with suppress(OSError):  # some network disks cannot; the file is in its place all the same
            _sync_folder(path.parent)
    except GraphFileError:
        raise
    except (OSError, ValueError) as error:
        name = "".join(c if c.isprintable() else "?" for c in path.name[:80])
        raise GraphFileError(f"'{name}' was not saved: {why(error)}. The file on disk is as it was; save to another place.") from error


def create(path: Path, data: bytes) -> None:
    """A new file that is whole from the moment it has its name, even if the power fails. Never takes the place of another.

    Raises:
        FileExistsError: The name is taken.
        OSError: It cannot be written.
    """
    descriptor, temporary = _new_beside(path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            raise
        except OSError:  # a disk without hard links: the name is taken first, and filled at once
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
            _replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    with suppress(OSError):
        _sync_folder(path.parent)


def why(error: OSError | ValueError) -> str:
    """Why a file could not be written, in words."""
    words = {
        28: "the disk is full",
        27: "the disk is full",
        122: "your part of the disk is full",
        13: "you may not write there",
        1: "you may not write there",
        30: "the disk is read-only",
        2: "the folder is gone",
        20: "the folder is gone",
        21: "it is a folder",
        36: "its name is too long",
    }
    number, own = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    return words.get(number or 0) or own or "no file can have this name"


def _new_beside(path: Path) -> tuple[int, Path]:
    """A new hidden file in the same folder, for nobody else to read while the one it replaces exists."""
    name = path.name
    while len(os.fsencode(name)) > 200:
        name = name[:-1]
    temporary = path.with_name(f".{name}.{secrets.token_hex(6)}.tmp")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    return os.open(temporary, flags, 0o600 if path.exists() else 0o666), temporary


def _replace(temporary: Path, path: Path) -> None:
    deadline = time.monotonic() + 1.0
    while True:
        try:
            os.replace(temporary, path)
            return
        except PermissionError as error:  # Windows, while another program reads the file
            if time.monotonic() > deadline:
                raise GraphFileError(f"Another program holds '{path.name}'. Your work is whole in '{temporary}'.") from error
            time.sleep(0.05)


def _rotate_backups(path: Path, count: int) -> None:
    folder = path.parent / ".graph-backups"
    folder.mkdir(exist_ok=True)
    copy = folder / f".{secrets.token_hex(6)}.tmp"
    try:
        try:
            os.link(path, copy)
        except OSError:  # a disk without hard links
            copy.write_bytes(path.read_bytes())
        for i in range(count - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(folder / f"{path.name}.{i}", folder / f"{path.name}.{i + 1}")
        os.replace(copy, folder / f"{path.name}.1")
    finally:
        copy.unlink(missing_ok=True)  # renaming one hard link onto another of the same file leaves both


def backups_of(path: Path) -> list[Path]:
    """Earlier versions of a file, newest first."""
    folder = path.parent / ".graph-backups"
    return [folder / f"{path.name}.{i}" for i in range(1, BACKUPS + 1) if (folder / f"{path.name}.{i}").exists()]


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
