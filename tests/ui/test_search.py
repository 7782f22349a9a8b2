"""Search: what a few letters find, and in which order."""

from __future__ import annotations

import time

import pytest

from nodegraph.registry import Registry
from nodegraph.spec import REQUIRED, Input, NodeSpec, Output
from ui.canvas.model import PortRef
from ui.search import Habits, find_nodes, fitting_port, fuzzy, grouped
from ui.templates import usual_followers


def spec(id: str, title: str, summary: str = "", inputs: tuple[Input, ...] = (), outputs: tuple[Output, ...] = (), **more: object) -> NodeSpec:
    return NodeSpec(id, 1, title, id.rpartition("/")[0], summary, "", inputs, outputs, **more)  # type: ignore[arg-type]


LATENT = Input("latent", "Latent", default=REQUIRED)
SPECS = {
    s.id: s
    for s in (
        spec("latent/upscale", "Upscale latent", "Enlarge before the second pass", (LATENT,), (Output("latent", "Latent"),)),
        spec("upscale/model", "Upscale by model", "Decode first", (Input("image", "Image"),), (Output("image", "Image"),)),
        spec("sampling/sample", "Sample", "Remove noise step by step", (LATENT,), (Output("latent", "Latent"),), keywords=("ksampler", "denoise")),
        spec("latent/decode", "Decode", "Latent to picture", (LATENT, Input("vae", "Vae")), (Output("image", "Image"),)),
        spec("image/superpose", "Superpose", "Lay one over the other", (Input("image", "Image"),), (Output("image", "Image"),)),
        spec("logic/scale", "Multiply", "", (Input("factor", "float", default=1.0),), (Output("value", "float"),)),
    )
}


def titles(query: str, hint: PortRef | None = None, habits: Habits = Habits()) -> list[str]:
    return [hit.spec.title for hit in find_nodes(query, SPECS, habits, hint)]


@pytest.mark.parametrize(
    ("better", "worse", "query"),
    [("Sample", "Resample image", "sample"), ("Upscale latent", "Superpose", "up"), ("Load image", "Blend image", "li"), ("Add LoRA", "Add noise to a long road", "lora")],
)
def test_a_better_match_scores_higher(better, worse, query):
    assert fuzzy(query, better)[0] > (fuzzy(query, worse) or (0, ()))[0]


def test_the_first_letters_of_words_find_a_node_and_are_lit():
    assert fuzzy("ul", "Upscale latent")[1] == (0, 8)


def test_letters_in_another_order_find_nothing():
    assert fuzzy("elpmas", "Sample") is None


def test_a_word_at_the_beginning_comes_before_one_inside():
    assert titles("up")[:2] == ["Upscale by model", "Upscale latent"] or titles("up")[:2] == ["Upscale latent", "Upscale by model"]


def test_keywords_ports_and_help_are_searched_too():
    assert titles("ksampler") == ["Sample"]
    assert titles("vae") == ["Decode"]
    assert titles("noise step")[0] == "Sample"


def test_a_dragged_link_offers_only_nodes_that_take_it_with_the_port_it_takes():
    hint = PortRef("sample", "latent", "out", "Latent")
    assert set(titles("", hint)) == {"Upscale latent", "Sample", "Decode"}
    assert fitting_port(SPECS["latent/decode"], hint) == "latent"


def test_a_link_dragged_backwards_offers_what_gives_its_type():
    assert set(titles("", PortRef("decode", "latent", "in", "Latent"))) == {"Upscale latent", "Sample"}


def test_what_follows_this_port_most_often_comes_first_among_equals():
    habits = Habits(followers={"Latent": {"latent/decode": 9, "sampling/sample": 1}})
    assert titles("", PortRef("sample", "latent", "out", "Latent"), habits)[0] == "Decode"


def test_who_has_no_habits_yet_is_offered_what_the_examples_do():
    registry = Registry.load(plugins=False)
    habits = Habits(usual=usual_followers(registry))

    def first(hint: PortRef) -> tuple[str, str]:
        heading, hits = grouped(find_nodes("", registry.specs, habits, hint, 400), "", habits, hint)[0]
        return heading, hits[0].spec.title

    assert first(PortRef("decode", "image", "out", "Image")) == ("Usually next", "Save image")
    assert first(PortRef("model", "denoiser", "out", "Denoiser")) == ("Usually next", "Sample")
    assert first(PortRef("sample", "positive", "in", "Conditioning")) == ("Usually before", "Prompt")


def test_favourites_and_recent_nodes_head_an_empty_search():
    habits = Habits(favourites=("image/superpose",), recent=("latent/decode",))
    names = [name for name, _ in grouped(find_nodes("", SPECS, habits), "", habits, None)]
    assert names[:2] == ["Favourites", "Used lately"]


def test_a_thousand_nodes_are_searched_within_a_tenth_of_a_second():
    many = {f"x/{i}": spec(f"image/node{i}", f"Node number {i} of image", "Does something to pictures") for i in range(1000)}
    find_nodes("warm", many, Habits())
    began = time.perf_counter()
    find_nodes("nu im", many, Habits())
    assert time.perf_counter() - began < 0.1
