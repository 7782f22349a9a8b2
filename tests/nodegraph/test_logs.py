"""Technical details go to files, whole and harmless; a log folder that cannot be written stops nothing."""

from pathlib import Path

from nodegraph import logs


def failing():
    secret = "local"  # noqa: F841
    raise ValueError("wrong \x1b[31m")


def caught():
    try:
        failing()
    except ValueError as error:
        return error


def test_each_failure_has_a_file_with_its_traceback(tmp_path):
    paths = [Path(logs.write_failure(tmp_path / "logs", "node\n\x1b[0m 'Blur'", caught())) for _ in range(3)]
    assert len(set(paths)) == 3
    text = paths[0].read_text()
    assert "in failing" in text and "ValueError" in text and "node\\x0a\\x1b[0m 'Blur'" in text.splitlines()[0]


def test_only_the_latest_failures_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "KEPT", 5)
    for _ in range(12):
        last = logs.write_failure(tmp_path, "node", caught())
    assert len(list(tmp_path.iterdir())) == 5 and Path(last).exists()


def test_a_folder_that_cannot_be_written_gives_no_path_and_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert logs.write_failure(tmp_path / "file", "node", caught()) == ""


def test_a_log_that_has_grown_large_is_put_aside(tmp_path, monkeypatch):
    path = logs.rotated(tmp_path / "logs" / "worker.log")
    path.write_bytes(b"x" * 100)
    assert logs.rotated(path).exists()
    monkeypatch.setattr(logs, "LARGEST", 50)
    assert not logs.rotated(path).exists() and (path.parent / "worker.old.log").read_bytes() == b"x" * 100


def test_text_for_a_terminal_has_nothing_that_could_command_it():
    assert logs.printable("a\x1b]0;b\x07\u202e狐 é\n") == "a\\x1b]0;b\\x07\\x202e狐 é\\x0a"
