"""Branching off a kept step: one sampler becomes two, and the second goes on with what the first left."""

from __future__ import annotations

import pytest

from nodegraph import graphfile
from nodegraph.errors import GraphError
from nodegraph.graph import Graph, Link
from nodegraph.plan import check
from nodegraph.registry import Registry
from ui.branching import branched, can_branch
from ui.templates import EXAMPLES


@pytest.fixture(scope="module")
def registry():
    return Registry.load(plugins=False)


@pytest.fixture
def fox(registry) -> Graph:
    return graphfile.read(EXAMPLES / "text_to_image.graph", registry)


def sampler_of(graph: Graph) -> str:
    (found,) = [name for name, node in graph.nodes.items() if node.type == "sampling/sample"]
    return found


def test_a_branch_goes_on_where_the_first_half_stops_with_its_noise(registry, fox):
    first = sampler_of(fox)
    made, second = branched(fox, first, registry.specs["sampling/sample"], 8)
    assert {name: made.nodes[first].values[name] for name in ("last_step", "leave_noise")} == {"last_step": 8, "leave_noise": True}
    assert {name: made.nodes[second].values[name] for name in ("first_step", "add_noise")} == {"first_step": 8, "add_noise": False}
    assert made.link_at(second, "latent") == Link(first, "latent", second, "latent")
    assert {link.input for link in made.incoming[second]} == {link.input for link in made.incoming[first]}
    assert [p.message for p in check(made, registry) if p.severity == "error"] == []


def test_what_came_behind_the_sampler_now_comes_behind_the_branch_and_makes_room(registry, fox):
    first = sampler_of(fox)
    behind = [link for link in fox.links if link.source == first]
    made, second = branched(fox, first, registry.specs["sampling/sample"], 8)
    assert behind and all(made.link_at(link.target, link.input).source == second for link in behind)
    for link in behind:
        assert made.nodes[link.target].position[0] > made.nodes[second].position[0] > made.nodes[first].position[0]


def test_a_branch_can_be_branched_again_later_but_not_before_it_begins(registry, fox):
    spec = registry.specs["sampling/sample"]
    once, second = branched(fox, sampler_of(fox), spec, 8)
    twice, third = branched(once, second, spec, 12)
    assert (twice.nodes[second].values["first_step"], twice.nodes[second].values["last_step"], twice.nodes[third].values["first_step"]) == (8, 12, 12)
    for step in (5, 8):
        with pytest.raises(GraphError, match="between the first and the last"):
            branched(once, second, spec, step)


def test_nodes_that_cannot_stop_at_a_step_cannot_branch(registry, fox):
    assert not can_branch(registry.specs["latent/decode"]) and not can_branch(None)
    decode = next(name for name, node in fox.nodes.items() if node.type == "latent/decode")
    with pytest.raises(GraphError, match="cannot stop at a step"):
        branched(fox, decode, registry.specs["latent/decode"], 3)
