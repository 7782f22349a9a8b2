"""What holds for every node that ships: words for artists, sound defaults, and a list in the README that is true."""

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
