"""What the READMEs tell people to type works."""

import re
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch

from nodegraph.registry import Registry
from nodes.types import Image

ROOT = Path(__file__).resolve().parents[2]


def python_in(readme):
    """The Python examples of a README."""
    return re.findall(r"^ *```python\n(.*?)^ *```", (ROOT / readme).read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_a_graph_is_made_run_and_read_from_python(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_HOME", str(tmp_path))
    (example,) = python_in("nodegraph/README.md")
    said = "\nassert outcome.state == 'done' and picture.shape == (1, 3, 32, 64)\nprint(picture[0, :, 0, 0].tolist())"
    done = subprocess.run([sys.executable, "-c", example + said], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stderr == "" and done.stdout == "[1.0, 1.0, 0.0]\n"


def test_the_node_of_five_minutes_is_a_node():
    source, its_test = (re.sub("^   ", "", block, flags=re.MULTILINE) for block in python_in("nodes/README.md"))
    module = types.ModuleType("fade_pack")
    names = {**vars(module), "__name__": "fade_pack", "torch": torch, "Image": Image}
    exec(source, names)  # noqa: S102 - our own README
    exec(its_test, names)  # noqa: S102
    names["test_a_faded_picture_is_white"]()
    spec = Registry().add_function(names["fade"])
    assert [item.name for item in spec.inputs] == ["image", "amount"] and spec.by_name["amount"].help == "0 leaves it as it is, 1 is white."
    assert spec.by_name["amount"].default == pytest.approx(0.5)
