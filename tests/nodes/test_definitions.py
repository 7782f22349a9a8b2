"""What holds for every node that ships: words for artists, sound defaults, and a list in the README that is true."""

import os
import subprocess
import sys

import pytest

from nodegraph.registry import Registry
from nodegraph.spec import NodeSpec
from nodegraph.values import fits
from nodes.catalogue import README, shipped, with_list

REGISTRY = Registry.load(plugins=False)
SPECS = shipped()


def test_every_module_of_nodes_loads():
    assert [report.error for report in REGISTRY.reports if report.error] == []
    assert len(SPECS) > 100


def test_loading_all_nodes_loads_no_torch():
    heavy = "torch diffusers transformers peft cv2 scipy PIL PySide6"
    code = f"import sys; from nodegraph.registry import Registry; Registry.load(plugins=False); print([m for m in '{heavy}'.split() if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("set_by_user", "spins"), [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "passive"}, None)], ids=["nothing", "count", "policy"]
)
def test_the_threads_of_torch_do_not_wait_turning_in_place_unless_the_user_says_how_they_wait(set_by_user: dict[str, str], spins: str | None):
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "import nodes, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], env=kept | set_by_user, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(spins), "False"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_a_node_says_what_it_does_for_a_picture(spec: NodeSpec):
    assert 10 < len(spec.summary) <= 140, spec.summary
    assert spec.summary[0].isupper() and spec.summary.rstrip()[-1] in ".:?", spec.summary
    assert "!" not in spec.summary


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.id)
def test_the_defaults_of_a_node_are_allowed_values(spec: NodeSpec):
    for item in spec.inputs:
        if not item.is_port and not item.is_required and item.type != "path":
            assert fits(item, item.default), (item.name, item.default)


def test_the_list_of_nodes_in_the_readme_is_that_of_the_specs():
    text = README.read_text(encoding="utf-8")
    assert text == with_list(text, SPECS), "run: python -m nodes.catalogue"
