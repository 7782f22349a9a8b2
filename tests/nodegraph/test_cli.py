"""The command line as people and scripts use it: what it prints, where, and how it ends."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nodegraph import cli, doctor, graphfile
from nodegraph.folders import standard
from nodegraph.graph import Graph, Link, Node, Subgraph, SubgraphOutput
from nodegraph.registry import enable_plugin

ROOT = Path(__file__).resolve().parent.parent.parent
PACK = Path(__file__).with_name("pack_for_cli.py")
posix = pytest.mark.skipif(os.name == "nt", reason="signals")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    folders = standard()
    folders.plugins.mkdir(parents=True)
    shutil.copy(PACK, folders.plugins)
    enable_plugin(folders, PACK.name)
    return folders


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the user stands."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def nodegraph(*arguments):
    """The command in this process: (exit code, stdout, stderr)."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], prog_name="nodegraph")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def start(*arguments, **options):
    """The command in a process of its own."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "nodegraph", *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, **{"stdout": pipe, "stderr": pipe, "text": True, "encoding": "utf-8", **options}
    )


def painting(**values):
    graph = Graph().with_nodes(
        [
            Node("number", "cli/number", {"value": 4}),
            Node("paint", "cli/paint", values, title="My Painting"),
            Node("save", "cli/save"),
        ]
    )
    return graph.with_link(Link("number", "value", "paint", "value")).with_link(Link("paint", "value", "save", "text"))


def write(path, graph):
    graphfile.write(path, graph)
    return path


@pytest.fixture
def file(folder):
    return write(folder / "a.graph", painting())


# -- run


def test_a_run_prints_the_files_it_made_and_nothing_else(file, folder):
    code, out, err = nodegraph("run", file, "-o", "out")
    assert (code, err) == (0, "")
    assert out == f"{folder / 'out' / 'picture_0001.txt'}\n"
    assert Path(out.strip()).read_text() == "4 3 plain False 0.5"


def test_pictures_go_to_the_users_folder_by_default(file, home):
    assert Path(nodegraph("run", file)[1].strip()).parent == home.output


def test_a_second_run_makes_nothing_anew_and_names_the_same_file(file):
    first = nodegraph("run", file, "-o", "out")
    assert nodegraph("run", file, "-o", "out") == first
    assert nodegraph("run", file, "-o", "out", "--no-cache")[1] != first[1]


def test_values_are_set_by_id_or_title_and_read_as_their_type(file):
    settings = {
        "number.value": "-7", "My Painting.steps": "5", "paint.style": "RICH", "PAINT.wild": "yes", "my painting.strength": "0.25",
        "paint.words": "a=b, c.d",
    }  # fmt: skip
    arguments = [part for place, value in settings.items() for part in ("--set", f"{place.replace('PAINT', 'paint')}={value}")]
    code, out, _ = nodegraph("run", file, "-o", "out", *arguments)
    assert code == 0 and Path(out.strip()).read_text() == "-7 5 rich True 0.25 a=b, c.d"


def test_the_title_that_the_canvas_shows_names_a_node_too(file):
    code, out, _ = nodegraph("run", file, "-o", "out", "--set", "Number.value=8", "--set", "save.name=other")
    assert code == 0 and out.strip().endswith("other_0001.txt") and Path(out.strip()).read_text().startswith("8 ")


def test_a_seed_can_be_drawn(folder):
    graph = Graph().with_nodes([Node("dice", "cli/dice"), Node("save", "cli/save")]).with_link(Link("dice", "value", "save", "text"))
    file = write(folder / "a.graph", graph)
    drawn = {Path(nodegraph("run", file, "-o", "out", "--set", "dice.seed=random")[1].strip()).read_text() for _ in range(8)}
    assert len(drawn) > 1 and drawn <= set("123456")
    assert nodegraph("run", write(folder / "b.graph", painting()), "--set", "paint.steps=random")[0] == 2


def test_a_value_that_is_set_takes_the_place_of_a_link(file):
    assert Path(nodegraph("run", file, "-o", "out", "--set", "paint.value=99")[1].strip()).read_text().startswith("99 ")


def test_the_file_itself_is_never_changed_by_a_run(file):
    before = file.read_bytes()
    nodegraph("run", file, "-o", "out", "--set", "paint.steps=9")
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("paint.steps", "NODE.INPUT=VALUE"),
        ("steps=3", "NODE.INPUT=VALUE"),
        ("pant.steps=3", "There is no node 'pant' in this graph. Did you mean 'paint'?"),
        ("paint.stepz=3", "'paint' has no input 'stepz'. Did you mean 'steps'?"),
        ("paint.steps=many", "'paint.steps' must be a whole number, not 'many'."),
        ("paint.strength=much", "'paint.strength' must be a number, not 'much'."),
        ("paint.wild=perhaps", "'paint.wild' must be on or off, not 'perhaps'."),
        ("paint.style=baroque", "'paint.style' cannot be 'baroque'. Choose one of: plain, rich."),
        ("paint.steps=0", "'steps' of 'My Painting' is 0. It must be from 1 to 1000."),
        ("paint.strength=nan", "strength"),
        ("paint.file=none.txt", "'none.txt' for 'file' of 'My Painting' is not in your input folders."),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_words(file, change, words):
    code, out, err = nodegraph("run", file, "-o", "out", "--set", change)
    assert code == 2 and out == "" and words in err
    assert err.startswith("error: ") and "Traceback" not in err


def test_files_beside_the_graph_are_found(file, folder):
    (folder / "note.txt").write_text("beside")
    code, out, _ = nodegraph("run", file, "-o", "out", "--set", "paint.file=note.txt")
    assert code == 0 and Path(out.strip()).read_text().endswith("beside")


def test_only_what_is_asked_for_runs(file):
    code, out, _ = nodegraph("run", file, "--only", "my painting", "--json", "-o", "out")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and not any(event["type"] == "saved" for event in events)
    assert [event["node"] for event in events if event["type"] == "started"] == ["number", "paint"]
    code, _, err = nodegraph("run", file, "--only", "nothing")
    assert code == 2 and "There is no node 'nothing' in this graph. It has: number, paint, save." in err


def test_two_nodes_of_one_title_must_be_told_apart(folder):
    file = write(folder / "a.graph", painting().with_node(Node("other", "cli/number", title="My Painting")))
    code, _, err = nodegraph("run", file, "--set", "My Painting.value=1")
    assert code == 2 and "Several nodes are called 'My Painting'. Use an id: other, paint." in err


def nested():
    """Two instances of a subgraph in which another one paints; nothing is shown outside but the words."""
    inner = Subgraph(
        Graph().with_nodes([Node("paint", "cli/paint", {"steps": 2}, title="My Painting")]), (), (SubgraphOutput("text", "paint", "value"),)
    )
    brush = Graph().with_nodes([Node("number", "cli/number"), Node("brush", "subgraph/inner")])
    outer = Subgraph(brush, (), (SubgraphOutput("text", "brush", "text"),), title="Face")
    graph = Graph().with_subgraph("inner", inner).with_subgraph("outer", outer)
    for name in ("left", "right"):
        graph = graph.with_nodes([Node(name, "subgraph/outer"), Node(f"save {name}", "cli/save", {"name": name})])
        graph = graph.with_link(Link(name, "text", f"save {name}", "text"))
    return graph


def test_a_value_inside_a_subgraph_is_set_for_one_instance_and_no_other(folder):
    file = write(folder / "a.graph", nested())
    assert nodegraph("run", file, "-o", "out", "--set", "left/brush/my painting.steps=7", "--set", "right/brush/paint.wild=on")[0] == 0
    made = {name: (folder / "out" / f"{name}_0001.txt").read_text() for name in ("left", "right")}
    assert made == {"left": "0 7 plain False 0.5", "right": "0 2 plain True 0.5"}
    for change, words in {
        "left/brush/point.steps=1": "There is no node 'point' in this subgraph. Did you mean 'paint'?",
        "left/number/paint.steps=1": "'number' is not a subgraph",
        "Face/brush/paint.steps=1": "Several nodes are called 'Face'. Use an id: left, right.",
        "left/brush/paint.steps=0": "It must be from 1 to 1000.",
    }.items():
        code, _, err = nodegraph("run", file, "-o", "out", "--set", change)
        assert code == 2 and words in err


def test_a_value_that_is_linked_inside_a_subgraph_is_not_set_from_outside(folder):
    inner = painting().without("save")
    graph = Graph().with_subgraph("box", Subgraph(inner, (), (SubgraphOutput("text", "paint", "value"),)))
    file = write(folder / "a.graph", graph.with_node(Node("box", "subgraph/box")))
    code, _, err = nodegraph("run", file, "--set", "box/paint.value=3")
    assert code == 2 and "'box/paint.value' is linked inside of its subgraph" in err
    assert nodegraph("run", file, "--set", "box/number.value=3")[0] == 0


def test_only_a_node_inside_a_subgraph_runs(folder):
    code, out, _ = nodegraph("run", write(folder / "a.graph", nested()), "--only", "left/brush/paint", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [event["node"] for event in events if event["type"] == "started"] == ["left/brush/paint"]


def test_json_prints_one_event_a_line_and_no_other_word(file):
    code, out, err = nodegraph("run", file, "--json", "-o", "out")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    assert [event["type"] for event in events if event["type"] != "progress"] == [
        "accepted", "started", "finished", "started", "finished", "started", "saved", "finished", "done",
    ]  # fmt: skip
    assert events[-1]["state"] == "done" and len({event["job"] for event in events}) == 1


@pytest.mark.parametrize("place", ["here", "worker"])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_what_nodes_print_never_gets_among_the_files_and_events(folder, place, form):
    """A library that prints broke the lines that a farm reads."""
    graph = Graph().with_nodes([Node("chatty", "cli/chatty"), Node("save", "cli/save")]).with_link(Link("chatty", "value", "save", "text"))
    process = start("run", write(folder / "a.graph", graph), "-o", "out", "--no-cache", "--runner", place, *form)
    out, err = process.communicate(timeout=60)
    saved = str(folder / "out" / "picture_0001.txt")
    if form:
        assert [json.loads(line)["path"] for line in out.splitlines() if '"saved"' in line] == [saved]
        assert all(json.loads(line)["type"] for line in out.splitlines())
    else:
        assert out == f"{saved}\n"
    if place == "here":
        assert "printed by a node\n" in err and "written by a library\n" in err


@posix
def test_a_file_name_that_is_no_text_is_printed_as_the_system_has_it(file, folder):
    out, err = start("run", file, "-o", os.fsdecode(b"out-\xff"), text=False, encoding=None).communicate(timeout=60)
    assert err == b"" and Path(os.fsdecode(out.rstrip(b"\n"))).read_text().startswith("4 3")


def png_with(graph, path):
    from PIL import Image

    Image.new("RGB", (4, 4)).save(path)
    path.write_bytes(graphfile.embedded(path.read_bytes(), {"nodegraph": graphfile.dumps(graph)}))
    return path


def test_a_picture_that_carries_a_graph_is_as_good_as_the_graph(folder):
    picture = png_with(painting(), folder / "a.png")
    code, out, err = nodegraph("run", picture, "-o", "out")
    assert (code, err) == (0, "") and Path(out.strip()).read_text() == "4 3 plain False 0.5"
    assert nodegraph("check", picture) == (0, "", "")


def broken(kind):
    good = painting()
    if kind == "unknown node":
        return good.with_node(Node("x", "cli/none")).with_link(Link("x", "value", "save", "name"))
    if kind == "missing input":
        return Graph().with_node(Node("save", "cli/save"))
    if kind == "loop":
        return replace(good, incoming={**good.incoming, "number": (Link("save", "path", "number", "value"),)})
    return good.with_link(Link("number", "value", "save", "text"))  # wrong type


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("unknown node", "is of a kind that is not installed: 'cli/none'"),
        ("missing input", "'Save' needs a value for 'text'"),
        ("loop", "feed each other in a loop. Take one of their links away."),
        ("wrong type", "'text' of 'Save' takes text. This link carries a whole number."),
    ],
)
def test_a_graph_that_cannot_run_ends_with_two(folder, kind, words):
    file = write(folder / "a.graph", broken(kind))
    code, out, err = nodegraph("run", file)
    assert code == 2 and out == "" and words in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "'a.graph' is not valid JSON: it is empty."),
        (b"not json", "a.graph"),
        (
            b'{"format": 1,\n<<<<<<< HEAD\n"app": "a",\n=======\n"app": "b",\n>>>>>>> theirs\n"nodes": {}}',
            "were not merged, from line 2 on",
        ),
        (b'{"format":1}', "is not a Nodegraph graph"),
        (b'{"format":99,"nodes":{}}', "newer version"),
        (b"\x89PNG\r\n\x1a\n", "carries no graph"),
        (b"\xff\xfe\x00", "a.graph"),
        (b"[" * 5000, "a.graph"),
    ],
)
def test_a_file_that_is_no_graph_ends_with_two(folder, content, words):
    file = folder / "a.graph"
    if content is not None:
        file.write_bytes(content)
    for command in ("run", "check"):
        code, out, err = nodegraph(command, file)
        assert code == 2 and words in out + err and "Traceback" not in out + err


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "a.graph", "--device", "toaster"], ["run", "a.graph", "--runner", "cloud"], ["run", "a.graph", "--what"], ["dance"]]
)  # fmt: skip
def test_arguments_that_mean_nothing_end_with_two(file, arguments):
    assert nodegraph(*arguments)[0] == 2


def test_an_output_folder_that_cannot_be_written_is_found_out_before_the_run(file, folder):
    (folder / "taken").write_text("a file")
    code, out, err = nodegraph("run", file, "-o", "taken")
    assert code == 2 and "Cannot write to 'taken'" in err and out == ""


@pytest.mark.parametrize(
    ("how", "words"),
    [("graph", "'Fail': This is too small. Make it larger."), ("crash", "nothing can be divided by nothing (ZeroDivisionError)")],
)
def test_a_node_that_fails_ends_with_one_and_a_sentence(folder, how, words):
    graph = painting().with_node(Node("bad", "cli/fail", {"how": how}))
    file = write(folder / "a.graph", graph)
    code, out, err = nodegraph("run", file, "-o", "out", "--only", "bad", "--only", "save")
    assert code == 1 and words in err and "Traceback" not in err
    assert Path(out.strip()).exists()  # what does not need it was made all the same
    if how == "crash":
        log = Path(err.splitlines()[-1].strip())
        assert "Traceback" in log.read_text() and "ZeroDivisionError" in log.read_text()


def test_names_with_control_characters_cannot_command_the_terminal(folder):
    """S29"""
    graph = Graph().with_node(Node("x", "cli/\x1b[31mred", title="two\nlines\x1b]0;title\x07"))
    file = write(folder / "a.graph", graph)
    for command in (["run", file], ["check", file], ["check", file, "--json"], ["run", file, "--json"]):
        code, out, err = nodegraph(*command)
        assert code == 2 and "\x1b" not in out + err and "\x07" not in out + err


# -- in a process of its own


def test_a_worker_gives_the_same_as_here(file):
    code, out, err = nodegraph("run", file, "-o", "out", "--runner", "worker")
    assert (code, err) == (0, "") and Path(out.strip()).read_text() == "4 3 plain False 0.5"
    assert nodegraph("run", file, "-o", "out") == (code, out, err)  # and finds what it left


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_a_log_that_cannot_be_written_stops_no_run(file, home):
    home.logs.mkdir(parents=True)
    (home.logs / "worker.log").symlink_to("/dev/full")
    code, out, err = nodegraph("run", file, "-o", "out", "--runner", "worker")
    assert (code, err) == (0, "") and Path(out.strip()).read_text() == "4 3 plain False 0.5"


def test_a_worker_that_crashes_is_told_and_ends_with_one(folder):
    file = write(folder / "a.graph", Graph().with_node(Node("bad", "cli/fail", {"how": "abort"})))
    code, _, err = nodegraph("run", file, "--runner", "worker")
    assert code == 1 and "crashed while 'Fail' ran" in err


@posix
@pytest.mark.parametrize("place", ["here", "worker"])
def test_ctrl_c_stops_at_the_next_step_keeps_what_is_finished_and_ends_with_130(folder, place):
    file = write(folder / "a.graph", painting(steps=500, pause=0.02))
    process = start("run", file, "--json", "--runner", place, "-o", "out")
    for line in process.stdout:
        if '"progress"' in line:
            break
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=20)
    assert process.returncode == 130 and time.monotonic() - began < 5
    assert json.loads(rest.splitlines()[-1])["state"] == "cancelled" and "Traceback" not in err
    assert list((folder / "out").iterdir()) == []


def test_work_that_a_node_left_behind_does_not_keep_the_program(folder):
    process = start("run", write(folder / "a.graph", Graph().with_node(Node("l", "cli/linger"))))
    assert process.communicate(timeout=30) == ("", "") and process.returncode == 0


@posix
def test_ctrl_c_twice_ends_a_node_that_hangs(folder):
    file = write(folder / "a.graph", Graph().with_node(Node("h", "cli/hang")))
    process = start("run", file, "--json")
    for line in process.stdout:
        if '"started"' in line:
            break
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    process.communicate()


def test_a_console_with_few_letters_prints_what_it_can(folder):
    graph = painting(words="狐").changed("paint", title="絵を描く")
    file = write(folder / "a.graph", graph.with_node(Node("bad", "cli/fail", title="失敗")))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    process = start("run", file, "--only", "bad", "-o", "おと", env=environment)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "Traceback" not in err and "too small" in err


def test_without_a_terminal_there_are_no_bars_and_no_colours(file):
    process = start("run", file, "-o", "out")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and err == "" and "\x1b" not in out


@posix
def test_a_terminal_shows_bars_steps_and_a_summary(folder):
    import pty

    file = write(folder / "a.graph", painting(steps=20, pause=0.03))
    main, side = pty.openpty()
    process = start("run", file, "-o", "out", stderr=side, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    os.close(side)
    seen = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    out, _ = process.communicate()
    os.close(main)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert process.returncode == 0 and out.strip().endswith("picture_0001.txt")
    assert re.search(r"My Painting .*\b1\d/20.*s left", text)
    assert re.search(r"Done in \d\.\d s: 3 nodes ran\.", text)


def test_a_pipe_that_closes_early_is_no_error():
    process = start("nodes")
    process.stdout.close()
    assert "Traceback" not in process.stderr.read() and process.wait(30) in (0, 1)
    process.stderr.close()


def test_a_fault_of_ours_is_one_sentence_and_a_log(home):
    script = "import sys; sys.argv = ['nodegraph', 'nodes']; from nodegraph import cli, registry; registry.Registry.load = lambda *a: 1 / 0; cli.main()"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: Nodegraph itself failed: division by zero")
    assert "Traceback" not in done.stderr and "Traceback" in Path(done.stderr.splitlines()[-1].strip()).read_text()


# -- help


def test_help_answers_at_once_and_loads_nothing_heavy():
    heavy = ("torch", "networkx", "numpy", "PIL", "PySide6", "nodes", "rich", "platformdirs")
    script = f"""
import sys
sys.argv = ["nodegraph", "--help"]
from nodegraph.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
print([name for name in {heavy!r} if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines()[-1] == "[]" and "Usage: nodegraph" in shown


@posix
def test_help_answers_in_less_than_three_tenths_of_a_second():
    """Counted in processor time, so that other work on the machine does not matter."""
    import resource

    fastest = 9.0
    for _ in range(8):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "nodegraph", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        fastest = min(fastest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        if fastest < 0.2:
            break
    assert fastest < 0.3


def test_the_version_is_told():
    from nodegraph import __version__

    assert nodegraph("--version") == (0, f"nodegraph {__version__}\n", "")


# -- check


def test_check_tells_every_problem_of_every_file_in_a_line_each(folder, file):
    bad = write(folder / "bad.graph", broken("unknown node").with_node(Node("s2", "cli/save")))
    code, out, err = nodegraph("check", file, bad, folder / "missing.graph")
    lines = out.splitlines()
    assert code == 2 and err == "" and len(lines) == 3
    assert lines[0].startswith(f"{bad}: s2.text: error: ") and lines[1].startswith(f"{bad}: x: error: ")
    assert lines[2].startswith(f"{folder / 'missing.graph'}: error: There is no file")
    assert nodegraph("check", file) == (0, "", "")


def test_check_speaks_json(folder):
    file = write(folder / "a.graph", broken("missing input"))
    code, out, _ = nodegraph("check", file, "--json")
    (problem,) = [json.loads(line) for line in out.splitlines()]
    assert code == 2
    assert problem == {
        "file": str(file), "node": "save", "input": "text", "severity": "error", "kind": "missing-input",
        "message": "'Save' needs a value for 'text': text.",
    }  # fmt: skip


def test_a_warning_is_told_and_is_no_failure(folder):
    file = write(folder / "a.graph", painting(old=1))
    code, out, _ = nodegraph("check", file)
    assert code == 0 and "paint.old: warning: " in out


# -- nodes, models, cache


def test_nodes_are_listed_and_explained():
    code, out, _ = nodegraph("nodes")
    assert code == 0 and re.search(r"^cli/paint +Paint +Take some steps\.$", out, re.M)
    code, out, _ = nodegraph("nodes", "cli/number")
    assert code == 0 and "Give a number." in out and re.search(r"value +int, = 0 +Any number\.", out)
    assert nodegraph("nodes", "Number")[1] == out
    code, _, err = nodegraph("nodes", "cli/numbr")
    assert code == 2 and "Did you mean 'cli/number'" in err


def test_nodes_speak_json():
    tree = {spec["id"]: spec for spec in json.loads(nodegraph("nodes", "--json")[1])}
    inputs = {item["name"]: item for item in tree["cli/paint"]["inputs"]}
    assert inputs["steps"] == {"name": "steps", "type": "int", "help": "", "required": False, "default": 3, "range": [1, 1000]}
    assert inputs["style"]["choices"] == ["plain", "rich"] and inputs["file"]["folder"] == "input"
    assert json.loads(nodegraph("nodes", "cli/save", "--json")[1])["sink"] is True


def test_a_broken_pack_is_a_warning(home):
    (home.plugins / "broken.py").write_text("1 / 0")
    enable_plugin(home, "broken.py")
    code, out, err = nodegraph("nodes")
    assert code == 0 and "cli/paint" in out and "warning: 'broken.py' cannot be used: ZeroDivisionError" in err


def test_packs_are_listed_switched_on_and_off(home):
    """Without a window there was no way to switch on a file of one's own."""
    nodes = "from nodegraph.node import node\n\n@node('mine/half')\ndef half(value: float = 1.0) -> float:\n    'Half of it.'\n    return value / {}\n"
    (home.plugins / "mine.py").write_text(nodes.format(2))
    code, out, err = nodegraph("packs")
    assert code == 0 and str(home.plugins) in err
    assert re.search(r"^mine\.py +off$", out, re.M) and re.search(r"^pack_for_cli\.py +on +\d+ nodes$", out, re.M)
    assert nodegraph("nodes", "mine/half")[0] == 2
    code, out, _ = nodegraph("packs", "--on", home.plugins / "mine.py")
    assert code == 0 and re.search(r"^mine\.py +on +1 node$", out, re.M) and nodegraph("nodes", "mine/half")[0] == 0
    (home.plugins / "mine.py").write_text(nodes.format(0))
    code, out, err = nodegraph("packs")
    assert code == 1 and re.search(r"^mine\.py +changed$", out, re.M) and "'mine.py' has changed since you switched it on" in err
    assert nodegraph("packs", "--on", "mine.py")[0] == 0
    tree = {pack["pack"]: pack for pack in json.loads(nodegraph("packs", "--off", "mine.py", "--json")[1])}
    assert tree["mine.py"] == {"pack": "mine.py", "state": "off", "nodes": [], "error": "", "details": "", "seconds": 0.0}
    assert tree["pack_for_cli.py"]["state"] == "on" and "cli/paint" in tree["pack_for_cli.py"]["nodes"]
    code, _, err = nodegraph("packs", "--on", "nothing.py")
    assert code == 2 and "There is no 'nothing.py'" in err


def test_a_pack_that_is_slow_to_load_is_told_so(home):
    """Every start of the program waits for it, and its author imports torch at the top without a thought."""
    (home.plugins / "slow.py").write_text("import time\ntime.sleep(0.6)\n")
    _, out, err = nodegraph("packs", "--on", "slow.py")
    assert re.search(r"^slow\.py +on +0 nodes, [0-9.]+ s to load$", out, re.M)
    assert "warning: 'slow.py' makes every start wait. Import what is large inside of functions." in err


def test_a_node_of_a_broken_pack_is_told_with_the_pack(folder, home):
    (home.plugins / "broken.py").write_text("1 / 0")
    enable_plugin(home, "broken.py")
    file = write(folder / "a.graph", Graph().with_node(Node("n", "mine/half")))
    code, _, err = nodegraph("run", file)
    assert code == 2 and "Perhaps it is in a pack that cannot be used now: 'broken.py'. 'Node packs' in Preferences and 'nodegraph packs' tell why." in err


def test_an_edited_node_makes_its_result_anew_and_a_fault_in_it_names_the_line(folder, home):
    def edit(body):
        source = f"from nodegraph.node import node\n\n@node('mine/word')\ndef word(value: int = 0) -> str:\n    {body}\n"
        (home.plugins / "mine.py").write_text(source)
        enable_plugin(home, "mine.py")

    graph = Graph().with_nodes([Node("word", "mine/word"), Node("save", "cli/save")]).with_link(Link("word", "value", "save", "text"))
    file = write(folder / "a.graph", graph)
    for text in ("first", "second"):
        edit(f"import time; time.sleep(0.06); return {text!r}")  # slow enough to be kept on disk
        assert Path(nodegraph("run", file, "-o", "out")[1].strip()).read_text() == text
    edit("return {}[value]")
    code, _, err = nodegraph("run", file, "-o", "out")
    assert code == 1 and err.startswith("error: 'Word' failed in mine.py, line 5: 0 (KeyError)")


def test_models_are_listed_with_their_place(home):
    folder = home.models / "loras"
    folder.mkdir(parents=True)
    (folder / "fox.safetensors").write_bytes(bytes(1000))
    found = json.loads(nodegraph("models", "--json")[1])
    lora = next(model for model in found["models"] if model["name"] == "fox.safetensors")
    assert lora == {
        "kind": "loras", "name": "fox.safetensors", "path": str(folder / "fox.safetensors"), "bytes": 1000, "shipped": False,
    }  # fmt: skip
    assert str(folder) in found["folders"]["loras"]
    assert "fox.safetensors" in nodegraph("models")[1]


def test_the_cache_is_measured_and_emptied(folder):
    nodegraph("run", write(folder / "a.graph", painting(steps=3, pause=0.05)), "-o", "out")
    before = json.loads(nodegraph("cache", "--json")[1])
    assert before["entries"] > 0 and before["bytes"] > 0 and Path(before["folder"]).is_dir()
    assert "results" in nodegraph("cache")[1]
    code, out, _ = nodegraph("cache", "--clear")
    assert code == 0 and f"{before['entries']} results deleted" in out
    assert json.loads(nodegraph("cache", "--json")[1])["entries"] == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere there is always a display")
@pytest.mark.parametrize("arguments", [(), ("edit", "a.graph")])
def test_without_a_display_the_window_says_so(monkeypatch, arguments):
    """Qt ended the whole process with a core dump."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    code, _, err = nodegraph(*arguments)
    assert code == 2 and err.startswith("error: There is no display here for the window.")


# -- doctor

CARD = [{"name": "NVIDIA GeForce RTX 4090", "driver": "570.86", "memory": "24564 MiB"}]
TORCH = {"version": "2.13.0+cpu", "cuda": None, "hip": None, "available": False, "devices": [], "mps": False, "threads": 8}


def test_a_card_beside_a_torch_for_the_processor_gets_the_exact_command():
    finding = doctor.judge_torch(TORCH, CARD)[-1]
    assert finding.level == "warning" and "on the processor only" in finding.words
    assert finding.remedy == (
        f'{sys.executable} -m pip install --upgrade --force-reinstall "torch>=2.11,<2.14" --index-url https://download.pytorch.org/whl/cu128'
    )
    assert doctor.judge_torch(TORCH, [{**CARD[0], "driver": "470.10"}])[-1].remedy.endswith("/cu126")


@pytest.mark.parametrize(
    ("torch", "cards", "level", "words"),
    [
        (TORCH, [], "good", "on the processor, 8 threads"),
        ({**TORCH, "cuda": "12.8"}, CARD, "warning", "cannot use the card with driver 570.86"),
        ({**TORCH, "cuda": "12.8", "available": True, "devices": [{"name": "RTX", "bytes": 24e9}]}, CARD, "good", "on RTX (24.0 GB)"),
        ({**TORCH, "mps": True}, [], "good", "Apple"),
        ({"error": "torch is not installed", "missing": True}, CARD, "error", "not installed"),
        ({"error": "torch cannot be loaded: no libfoo"}, [], "error", "no libfoo"),
    ],
)
def test_the_doctor_knows_each_state_of_torch_and_card(torch, cards, level, words):
    finding = doctor.judge_torch(torch, cards)[-1]
    assert finding.level == level and words in finding.words


@posix
def test_the_doctor_asks_the_driver(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'NVIDIA H100, 580.12, 81559 MiB'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)
    assert doctor.ask_nvidia() == [{"name": "NVIDIA H100", "driver": "580.12", "memory": "81559 MiB"}]
    program.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert doctor.ask_nvidia() == []


def test_the_doctor_examines_this_machine(home):
    code, out, _ = nodegraph("doctor", "--json")
    found = json.loads(out)
    assert code == 0 and found["python"].startswith("3.") and found["memory"]["total"] > 0
    assert found["folders"]["data"]["path"] == str(home.home) and found["nodes"]["count"] > 5
    assert {"about", "level", "words", "remedy"} == set(found["findings"][0])
    assert found["torch"].get("version") or found["torch"].get("error")
    text = doctor.Examination(found, [doctor.Finding(**f) for f in found["findings"]]).as_text()
    assert "Nodegraph:" in text and "Folders:" in text


@posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_the_doctor_finds_a_folder_that_cannot_be_written(tmp_path):
    from nodegraph.folders import Folders

    tmp_path.chmod(0o500)
    found = doctor.Examination()
    doctor._folders(found, Folders(tmp_path / "a", tmp_path / "b", tmp_path / "c"))
    assert found.has_errors
