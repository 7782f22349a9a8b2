"""`nodegraph convert` and the node behind it: pickled weights become .safetensors, and nothing else in a pickle is ever run."""

import json

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from nodegraph import cli, graphfile
from nodegraph.executor import execute
from nodegraph.folders import Folders
from nodegraph.graph import Graph, Node
from nodegraph.messages import Run, Saved
from nodegraph.plan import make_plan
from nodegraph.registry import Registry

WEIGHTS = {"model.weight": torch.arange(6.0).reshape(2, 3), "model.bias": torch.ones(2)}


class Evil:
    """What a hostile pickle does as it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def nodegraph(*arguments):
    """The command in this process: (exit code, stdout, stderr)."""
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments], prog_name="nodegraph")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path / "home"))


def test_each_file_is_written_anew_beside_the_old_one_and_named(tmp_path):
    for name in ("dreams.ckpt", "style.pt"):
        torch.save({"state_dict": WEIGHTS}, tmp_path / name)
    code, out, _ = nodegraph("convert", tmp_path / "dreams.ckpt", tmp_path / "style.pt")
    assert code == 0
    assert out.split() == [str(tmp_path / "dreams.safetensors"), str(tmp_path / "style.safetensors")]
    for name, value in load_file(tmp_path / "dreams.safetensors").items():
        assert torch.equal(value, WEIGHTS[name])
    assert (tmp_path / "dreams.ckpt").is_file()


def test_a_file_with_more_than_weights_is_refused_unread_and_the_others_are_converted(tmp_path):
    torch.save({"state_dict": WEIGHTS, "evil": Evil(tmp_path / "ran")}, tmp_path / "evil.ckpt")
    torch.save(WEIGHTS, tmp_path / "good.bin")
    code, out, err = nodegraph("convert", tmp_path / "evil.ckpt", tmp_path / "good.bin")
    assert (code, out.split()) == (1, [str(tmp_path / "good.safetensors")])
    assert "'evil.ckpt' holds more than weights" in err
    assert not (tmp_path / "ran").exists() and not (tmp_path / "evil.safetensors").exists()


def test_other_programs_are_told_in_json_what_was_made_and_what_was_not(tmp_path):
    torch.save(WEIGHTS, tmp_path / "good.pth")
    code, out, _ = nodegraph("convert", "--json", tmp_path / "good.pth", tmp_path / "gone.ckpt")
    first, second = map(json.loads, out.splitlines())
    assert code == 1
    assert first == {"file": str(tmp_path / "good.pth"), "made": str(tmp_path / "good.safetensors")}
    assert "There is no file" in second["error"]


def test_a_converted_file_is_never_written_over(tmp_path):
    torch.save(WEIGHTS, tmp_path / "good.ckpt")
    (tmp_path / "good.safetensors").write_bytes(b"mine")
    code, _, err = nodegraph("convert", tmp_path / "good.ckpt")
    assert code == 1 and "exists already" in err
    assert (tmp_path / "good.safetensors").read_bytes() == b"mine"


def test_the_node_converts_in_a_graph_and_names_the_new_file(tmp_path):
    folders = Folders(tmp_path / "home", tmp_path / "cache", tmp_path / "output")
    registry = Registry.load(folders, plugins=False)
    (folders.models / "checkpoints").mkdir(parents=True)
    torch.save(WEIGHTS, folders.models / "checkpoints" / "old.ckpt")
    graph = Graph().with_nodes([Node("convert", "loaders/convert", {"file": "old.ckpt"})])
    events: list = []
    outcome = execute(make_plan(graph, registry), registry, Run("job", graphfile.dumps(graph)), events.append, None, keep=True)
    made = folders.models / "checkpoints" / "old.safetensors"
    assert outcome.state == "done" and outcome.values["convert"]["file"] == made
    assert [event.path for event in events if isinstance(event, Saved)] == [str(made)]
