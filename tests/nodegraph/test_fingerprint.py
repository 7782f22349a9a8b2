"""What a file holds decides, not what it is called or when it was written."""

import os
import time

import pytest

from nodegraph import fingerprint as module
from nodegraph.fingerprint import BLOCK, WHOLE, fingerprint


def test_the_same_content_has_the_same_word_under_any_name(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"content")
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    (tmp_path / "b").write_bytes(b"Content")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "b")


def test_a_file_changed_and_put_back_in_size_and_time_is_another(tmp_path, monkeypatch):
    """Also on disks whose clock ticks so slowly that no time tells the change: until it has settled, a file is read again."""
    fine = module._signature
    monkeypatch.setattr(module, "_signature", lambda path: (*fine(path)[:2], *(t // 10**9 * 10**9 for t in fine(path)[2:4]), fine(path)[4]))
    path = tmp_path / "a.png"
    path.write_bytes(b"%08d" % 0)
    stat = path.stat()
    words = set()
    for i in range(100):
        path.write_bytes(b"%08d" % i)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        words.add(fingerprint(path))
    assert len(words) == 100
    monkeypatch.setattr(module, "SETTLED", -1)
    while time.time() % 1 > 0.9:  # both writes within one tick
        time.sleep(0.02)
    path.write_bytes(b"before")
    remembered = fingerprint(path)
    path.write_bytes(b"after_")
    assert fingerprint(path) == remembered, "so slow is the clock of this test: without the rule the change would be missed"


def test_a_file_that_lies_still_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 1000)
    monkeypatch.setattr(module, "SETTLED", 0)
    time.sleep(0.02)
    first = fingerprint(path)
    monkeypatch.setattr(module, "_read", None)
    assert fingerprint(path) == first


def test_a_large_file_changed_in_any_of_its_sampled_blocks_is_another(tmp_path):
    path = tmp_path / "weights"
    size = WHOLE + 12345
    with path.open("wb") as file:
        file.truncate(size)
    words = {fingerprint(path)}
    for place in (0, 31 * (size - BLOCK) // 63 + 5, size - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"\1")
        words.add(fingerprint(path))
    with path.open("ab") as file:
        file.write(b"\0")
    words.add(fingerprint(path))
    assert len(words) == 5


def test_a_folder_counts_with_its_names_and_what_links_lead_to(tmp_path):
    model, elsewhere = tmp_path / "model", tmp_path / "blobs"
    (model / "unet").mkdir(parents=True)
    elsewhere.mkdir()
    (model / "unet" / "weights").write_bytes(b"1")
    (elsewhere / "vae").write_bytes(b"1")
    (model / "vae").symlink_to(elsewhere, target_is_directory=True)
    (model / "again").symlink_to(model, target_is_directory=True)
    words = [fingerprint(model)]
    (elsewhere / "vae").write_bytes(b"2")
    words.append(fingerprint(model))
    (model / "unet" / "weights").rename(model / "unet" / "other")
    words.append(fingerprint(model))
    assert len(set(words)) == 3
    (model / ".cache").mkdir()
    (model / ".cache" / "downloaded").write_bytes(b"now")
    (model / ".hidden").write_bytes(b"now")
    assert fingerprint(model) == words[-1]


def test_a_folder_of_thousands_of_photos_is_known_without_reading_them(tmp_path, monkeypatch):
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    monkeypatch.setattr(module, "SMALL_FOLDER", 1999)
    monkeypatch.setattr(module, "_read", None)
    words = [fingerprint(tmp_path), fingerprint(tmp_path)]
    assert words[0] == words[1]
    os.utime(tmp_path / "b.jpg", ns=(0, 1))
    words.append(fingerprint(tmp_path))
    (tmp_path / "b.jpg").rename(tmp_path / "c.jpg")
    assert len({*words, fingerprint(tmp_path)}) == 3


def test_a_folder_of_more_files_than_anybody_means_is_refused(tmp_path, monkeypatch):
    """S11: a graph may name the root of the disk."""
    for i in range(4):
        (tmp_path / f"{i}").touch()
    monkeypatch.setattr(module, "MAX_FILES", 3)
    with pytest.raises(OSError, match="holds more than 3 files"):
        fingerprint(tmp_path)


def test_names_of_any_encoding_can_lie_in_a_folder(tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"x")
    assert fingerprint(tmp_path)


def test_what_cannot_be_read_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        fingerprint(tmp_path / "nothing")
