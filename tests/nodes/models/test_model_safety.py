"""Pickles, downloads and foreign code cannot come in by another door (trust.md, S4), and handles stay free of torch."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOORS = {  # call -> the only modules that may make it
    "from_pretrained": {"nodes/models/loading.py"},
    "from_single_file": set(),
    "torch.load": {"nodes/models/convert.py"},
    "pickle.load": set(),
    "pickle.loads": set(),
    "hf_hub_download": set(),
    "snapshot_download": set(),
}


def calls(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            for door in DOORS:
                if name == door or name.endswith("." + door):
                    yield door, node


@pytest.mark.parametrize("room", ["nodes", "nodegraph", "ui"])
def test_weights_come_in_only_through_the_one_loader(room):
    for path in (ROOT / room).rglob("*.py"):
        where = path.relative_to(ROOT).as_posix()
        for door, node in calls(path):
            assert where in DOORS[door], f"{where}:{node.lineno} calls {door}"


def test_the_loader_asks_for_local_files_and_no_foreign_code():
    source = (ROOT / "nodes/models/loading.py").read_text(encoding="utf-8")
    assert '"local_files_only": True, "trust_remote_code": False' in source
    (load,) = [node for door, node in calls(ROOT / "nodes/models/convert.py") if door == "torch.load"]
    assert {k.arg: ast.unparse(k.value) for k in load.keywords}["weights_only"] == "True"


def test_opening_a_model_needs_no_torch():
    code = "import sys; from nodes.models.opening import open_checkpoint; open_checkpoint('resources/starter/model'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_handles_hash_compare_and_pickle():
    from nodes.models.opening import open_checkpoint

    first, second = (open_checkpoint(ROOT / "resources/starter/model") for _ in range(2))
    assert first == second and hash(first) == hash(second) and pickle.loads(pickle.dumps(first)) == first
