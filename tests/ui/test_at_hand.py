"""A missing file: what there is instead, and a press that puts it in."""

from __future__ import annotations

import json
import struct
from typing import get_args

import pytest

from nodegraph.folders import Folders
from nodegraph.graph import Graph, Link, Node
from nodegraph.plan import check
from nodegraph.registry import Registry
from ui.at_hand import offers_for
from ui.document import Document
from ui.insight import FAMILIES, SIDES, insight_of
from ui.repairs import repairs


def safetensors(path, *names: str) -> None:
    """A file with these tensors in its header, as the family is told by names and shapes alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({name: {"dtype": "F16", "shape": [1], "data_offsets": [0, 2]} for name in names}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")


@pytest.fixture
def registry(tmp_path):
    return Registry.load(Folders(tmp_path, tmp_path / "cache", tmp_path / "out"), plugins=False)


def document_of(registry, **nodes: Node) -> Document:
    return Document(registry.specs, Graph().with_nodes(Node(name, node.type, node.values) for name, node in nodes.items()))


def offers(registry, document):
    problems = check(document.root, registry)
    return [(p, offer) for p, offer in offers_for(problems, document.root, document.specs, insight_of(registry, document)).items()]


def test_a_missing_checkpoint_is_answered_with_those_that_are_there_the_likest_first(qapp, registry, tmp_path):
    """What does not say which family it is of may be no model at all, and comes last."""
    for name in ("other", "juniper-v5"):
        safetensors(tmp_path / "models" / "checkpoints" / f"{name}.safetensors", "x")
    document = document_of(registry, model=Node("", "loaders/checkpoint", {"file": "juniper-xl-v4.safetensors"}))
    ((problem, offer),) = offers(registry, document)
    assert problem.kind == "missing-file" and (offer.node, offer.input) == ("model", "file")
    assert offer.names == ("starter", "juniper-v5.safetensors", "other.safetensors")


def test_only_files_of_the_family_of_the_graph_are_offered_and_those_that_do_not_tell(qapp, registry, tmp_path):
    """The shipped ControlNet and LoRA belong to the shipped model; a file of another family would only be the next problem."""
    safetensors(tmp_path / "models" / "loras" / "mystery.safetensors", "x")
    xl = "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight"
    safetensors(tmp_path / "models" / "loras" / "for-xl.safetensors", xl)
    document = document_of(
        registry, model=Node("", "loaders/checkpoint", {"file": "starter"}), lora=Node("", "adapters/lora", {"file": "gone.safetensors"})
    )
    document.edit("Link", lambda g: g.with_link(Link("model", "denoiser", "lora", "denoiser")))
    insight = insight_of(registry, document)
    spec = registry.specs["adapters/lora"].by_name["file"]
    told = {name: insight.context.family_of(spec.file, name) for name in insight.context.files(spec.file)}
    offer = next(offer for problem, offer in offers(registry, document) if problem.node_id == "lora")
    family = insight.family(document.graph.nodes["model"])
    assert {told[name] for name in offer.names} <= {family, None} and "mystery.safetensors" in offer.names
    assert all(name in offer.names for name, own in told.items() if own in (family, None))


def test_a_press_puts_the_best_file_in_and_one_undo_takes_it_out(qapp, registry, tmp_path):
    safetensors(tmp_path / "models" / "checkpoints" / "juniper-v5.safetensors", "x")
    document = document_of(registry, model=Node("", "loaders/checkpoint", {"file": "juniper-xl-v4.safetensors"}))
    ((problem, offer),) = offers(registry, document)
    best, others = repairs(problem, document, offer)
    assert best.words == "Use ‘starter’" and [words for words, _ in others.choices] == ["juniper-v5.safetensors"]
    best.act()
    assert document.root.nodes["model"].values["file"] == "starter" and not check(document.root, registry)
    document.undo()
    assert document.root.nodes["model"].values["file"] == "juniper-xl-v4.safetensors"


def test_a_file_that_is_no_model_is_answered_with_one_that_is(qapp, registry, tmp_path):
    safetensors(tmp_path / "models" / "checkpoints" / "notes.safetensors", "x")
    document = document_of(registry, model=Node("", "loaders/checkpoint", {"file": "notes.safetensors"}))
    ((_, offer),) = offers(registry, document)
    assert offer.names == ("starter",)


def test_every_family_that_a_loader_can_name_has_a_word_on_the_canvas_and_a_size_to_begin_with():
    from nodes.loaders import FamilyName

    assert set(get_args(FamilyName)) == set(FAMILIES)
    assert set(FAMILIES.values()) - {"Refiner"} == set(SIDES)


def test_an_empty_latent_begins_at_the_size_of_the_models_in_the_graph(registry, tmp_path):
    def begins(**nodes: Node) -> dict:
        return dict(insight_of(registry, document_of(registry, **nodes)).usual_values("latent/empty"))

    safetensors(tmp_path / "models" / "loras" / "for-xl.safetensors", "lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight")
    starter, large = Node("", "loaders/checkpoint", {"file": "starter"}), Node("", "adapters/lora", {"file": "for-xl.safetensors"})
    assert begins(model=starter) == {"width": 128, "height": 128}
    assert begins(lora=large) == {"width": 1024, "height": 1024}
    assert begins() == {}
