"""How a name in a graph becomes a file, and that no name leads where it must not."""

import errno
import json
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nodegraph.embedding import without_home
from nodegraph.errors import GraphError
from nodegraph.fingerprint import fingerprint
from nodegraph.folders import Folders, new_file, read_settings, safe_join, shipped, standard
from nodegraph.node import File

NASTY = st.lists(
    st.sampled_from(["..", ".", "a", "/", "\\", "C:", "con", "~", "%2e", " ", "\0", "\n", "é", "\ud800", "x" * 90, "aux.png", "$HOME"]),
    max_size=6,
).map("".join)


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=st.text(max_size=20) | NASTY)
@example("../up")
@example("/etc/passwd")
@example("\\\\server\\share")
@example("a/../../b")
@example("C:evil")
@example("COM1.png")
@example("lpt¹")
@example("a.")
@example("a /b")
@example("\ud800")
@example("a\x7fb")
@example("link/b")
@example("circle/b")
def test_a_name_never_leads_out_of_its_folder(tmp_path, name):
    for link, target in (("link", "/"), ("circle", "circle")):
        if not (tmp_path / link).is_symlink():
            (tmp_path / link).symlink_to(target)
    try:
        path = safe_join(tmp_path, name)
    except GraphError as error:
        assert error.message.isprintable() and len(error.message) < 300
        return
    assert path.resolve().is_relative_to(tmp_path.resolve()) and path != tmp_path
    for part in path.relative_to(tmp_path).parts:
        assert part not in (".", "..") and part.strip(". ") and part[-1] not in ". " and not set(part) & set('<>:"/\\|?*\0')
        assert part.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}


@pytest.mark.parametrize("name", ["portraits/anna", "Grüße", "a.b", "..a", "a\\b", "コン"])
def test_ordinary_names_are_allowed(tmp_path, name):
    assert safe_join(tmp_path, name) == tmp_path.joinpath(*name.replace("\\", "/").split("/"))


def test_new_files_are_numbered_on_and_taken_names_are_never_given(tmp_path):
    assert [new_file(tmp_path / "out", "p", ".png").name for _ in range(2)] == ["p_0001.png", "p_0002.png"]
    (tmp_path / "out" / "p_0041.jpg").touch()
    assert new_file(tmp_path / "out", "p", ".png").name == "p_0042.png", "the number is taken whatever the suffix"
    assert new_file(tmp_path / "out", "sub/q", ".png") == tmp_path / "out" / "sub" / "q_0001.png"
    assert new_file(tmp_path / "out", "p+(x)[1]", ".png").name == "p+(x)[1]_0001.png"


def test_processes_that_write_at_once_never_get_the_same_name(tmp_path):
    program = "import sys; from pathlib import Path; from nodegraph.folders import new_file\nfor i in range(25): print(new_file(Path(sys.argv[1]), 'p', '.png'))"
    running = [subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    names = [name for process in running for name in process.communicate()[0].split()]
    assert [process.returncode for process in running] == [0] * 4
    assert len(names) == 100 == len(set(names)) == len(list(tmp_path.iterdir()))


def test_killing_the_program_at_any_moment_leaves_only_whole_pictures(tmp_path):
    """F1, F34: a file has its name only when all of it is there."""
    program = "import sys; from pathlib import Path; from nodegraph.folders import new_file\nwhile True: print(new_file(Path(sys.argv[1]), 'p', '.png', b'x' * 300_000), flush=True)"
    chance, told = random.Random(7), []
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True)
        child.stdout.readline()
        threading.Event().wait(chance.random() * 0.02)
        child.kill()
        told += child.communicate()[0].split()
    found = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len(found) >= len(told) > 0 and {path.stat().st_size for path in found} == {300_000}


def test_a_disk_without_hard_links_takes_new_files_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert [new_file(tmp_path, "p", ".txt", data).read_bytes() for data in (b"one", b"two")] == [b"one", b"two"]
    assert sorted(os.listdir(tmp_path)) == ["p_0001.txt", "p_0002.txt"]


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path, monkeypatch):
    """F2"""

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GraphError, match="the disk is full. Choose another output folder"):
        new_file(tmp_path, "p", ".png", b"x")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GraphError, match="Choose another output folder"):
        new_file(tmp_path / "file", "p", ".png")


def put(path, content=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def mine(tmp_path):
    return Folders(
        tmp_path / "home", tmp_path / "cache", tmp_path / "out", {"models": (str(tmp_path / "comfy"),), "loras": (str(tmp_path / "more"),)}
    )


def test_a_name_is_looked_up_in_the_users_folder_then_in_the_others(mine, tmp_path):
    other = put(tmp_path / "more" / "ink.safetensors")
    assert mine.resolve("loras", "ink.safetensors") == other
    own = put(mine.models / "loras" / "ink.safetensors")
    assert mine.resolve("loras", "ink.safetensors") == own
    assert mine.resolve("checkpoints", "ink.safetensors") is None


def test_folder_names_of_other_programs_are_understood(mine, tmp_path):
    found = put(tmp_path / "comfy" / "unet" / "flux.safetensors")
    assert mine.resolve("diffusion_models", "flux.safetensors") == found


def test_names_from_another_system_or_another_sub_folder_are_found(mine):
    found = put(mine.models / "loras" / "styles" / "ink.safetensors")
    flat = put(mine.models / "loras" / "line.safetensors")
    assert mine.resolve("loras", "styles\\ink.safetensors") == found
    assert mine.resolve("loras", "C:\\ComfyUI\\models\\loras\\line.safetensors") == flat
    assert mine.resolve("loras", "sd15/line.safetensors") == flat


def test_an_absolute_name_means_that_file_and_a_relative_one_may_lie_beside_the_graph(mine, tmp_path):
    found = put(tmp_path / "photos" / "a.png")
    assert mine.resolve("input", str(found)) == found and mine.resolve("input", str(found) + "x") is None
    assert mine.resolve("input", "a.png", base=found.parent) == found
    (tmp_path / "graphs").mkdir()
    assert mine.resolve("input", "../photos/a.png", base=tmp_path / "graphs").samefile(found)


def test_a_graph_in_a_picture_does_not_tell_the_users_folder_and_still_finds_its_files(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    photo = put(tmp_path / "photos" / "my fox.png")
    shared = without_home(json.dumps({"params": {"file": str(photo)}}))
    assert json.loads(shared)["params"]["file"] == "~/photos/my fox.png"
    assert mine.resolve("input", "~/photos/my fox.png") == photo
    assert without_home(json.dumps([str(tmp_path) + "elsewhere"])) == json.dumps([str(tmp_path) + "elsewhere"])


@pytest.mark.skipif(os.name == "nt", reason="Windows knows a folder for every user")
def test_a_user_without_a_folder_can_run_graphs_too(mine, monkeypatch):
    """As in a container that runs under any user id."""
    import pwd

    def unknown(_uid):
        raise KeyError

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert without_home('{"file": "/data/a.png"}') == '{"file": "/data/a.png"}'
    assert mine.resolve("input", "~/a.png") is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "//",
        "./",
        "a/..",
        "a/.",
        "\0",
        "a\0b",
        "x" * 300,
        "y" * 5000,
        "\ud800",
        "../../home/secret.txt",
        "..\\..\\home\\secret.txt",
    ],
)
def test_names_that_mean_no_file_find_none_and_nothing_climbs_out_of_a_model_folder(mine, name):
    put(mine.home / "secret.txt")
    put(mine.models / "loras" / "a" / "b.safetensors")
    assert mine.resolve("loras", name) is None and mine.resolve("input", name, None) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no such things here")
def test_devices_and_pipes_are_no_files(mine):
    """S11: reading one would never end, and a graph may name anything."""
    put(mine.input / "a.png")
    os.mkfifo(mine.input / "pipe.png")
    for name in ("/dev/zero", "/dev/null", "pipe.png", str(mine.input / "pipe.png")):
        assert mine.resolve("input", name) is None
    assert fingerprint(mine.input) != "", "nor does one in a folder hold up the folder"


def test_a_graph_cannot_make_the_program_ask_another_computer(mine, tmp_path, monkeypatch):
    """S11: on Windows, looking for a file on a share sends the user's name and a proof of the password to it."""
    share = Folders(tmp_path / "home", tmp_path / "cache", tmp_path / "out", {"input": ("//server/pictures",)})
    looked, real = [], os.stat

    def look(path, *rest, **options):
        looked.append(str(path))
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "stat", look)
    for name in (r"\\evil\share\a.png", "//evil/share/a.png", r"\\?\UNC\evil\a.png", r"\\.\PhysicalDrive0"):
        assert mine.resolve("input", name) is None and share.resolve("input", name) is None
    assert looked == []
    assert share.resolve("input", "//server/pictures/none.png") is None and looked == ["//server/pictures/none.png"]


def test_a_folder_can_be_meant_with_a_slash_at_its_end(mine):
    put(mine.models / "checkpoints" / "sdxl" / "model_index.json")
    assert mine.resolve("checkpoints", "sdxl/") == mine.models / "checkpoints" / "sdxl"


def test_shipped_files_have_names_of_their_own(mine):
    assert mine.resolve("checkpoints", "starter") == shipped("checkpoints")["starter"]
    assert shipped("checkpoints")["starter"].exists() and mine.names(File("checkpoints"))[0] == "starter"


def test_a_picker_offers_files_by_suffix_folders_as_one_and_nothing_hidden(mine):
    for name in (
        "b.safetensors",
        "A.safetensors",
        "read.txt",
        ".hidden.safetensors",
        ".git/x.safetensors",
        "sub/c.SAFETENSORS",
        "a/b/c/d/e/f.safetensors",
    ):
        put(mine.models / "vae" / name)
    put(mine.models / "vae" / "folder" / "config.json")
    put(mine.models / "vae" / "folder" / "weights.safetensors")
    put(mine.models / "vae" / os.fsdecode(b"caf\xe9.safetensors"))
    assert mine.names(File("vae", (".safetensors",))) == [
        "A.safetensors",
        "b.safetensors",
        "folder/weights.safetensors",
        "sub/c.SAFETENSORS",
    ]
    assert mine.names(File("vae", (".safetensors",), folders=True)) == ["A.safetensors", "b.safetensors", "folder", "sub/c.SAFETENSORS"]
    assert mine.names(File("nothing-here")) == []


def test_everything_hangs_on_one_folder_that_the_user_may_name(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "ng"))
    found = standard()
    assert found.home == tmp_path / "ng" and found.cache.is_relative_to(found.home) and not found.home.exists()
    found.home.mkdir()
    found.settings.write_text(json.dumps({"folders": {"output": "/pictures", "cache": "", "loras": ["/l", 3, ""]}}), "utf-8")
    found = standard()
    assert found.output == Path("/pictures") and found.cache == tmp_path / "ng" / "cache" and found.extra == {"loras": ("/l",)}


def test_folders_that_are_chosen_while_the_program_runs_count_from_then_on(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "home"))
    mine = standard()
    put(tmp_path / "more" / "line.safetensors")
    assert mine.resolve("loras", "line.safetensors") is None and not mine.refresh()
    put(mine.settings).write_text(json.dumps({"folders": {"loras": [str(tmp_path / "more")], "output": str(tmp_path / "pictures")}}))
    assert mine.refresh() and mine.output == tmp_path / "pictures"
    assert mine.resolve("loras", "line.safetensors") == tmp_path / "more" / "line.safetensors"
    assert not mine.refresh()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"folders": []}', b'{"folders": {"output": 3}}'])
def test_broken_settings_count_as_none(tmp_path, monkeypatch, text):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path))
    (tmp_path / "settings.json").write_bytes(text)
    assert isinstance(read_settings(tmp_path / "settings.json"), dict)
    assert standard().output == tmp_path / "output"
