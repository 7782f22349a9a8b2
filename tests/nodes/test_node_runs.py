"""Picture, logic and text nodes in real runs: lists, lazy branches, muted ones, files and the cache."""

from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from nodegraph import graphfile
from nodegraph.cache import Cache
from nodegraph.graph import Node, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.messages import Failed, Finished, Saved
from nodes.image import plain_image
from nodes.image_io import load_image, save_image
from nodes.types import Image
from tests.nodes.workshop import Workshop, graph


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path / "home")


def test_a_saved_picture_opens_as_the_graph_that_made_it_and_is_saved_once(workshop):
    plain = graph(
        {"plain": ("image/empty", {"width": 16, "height": 8, "color": "#336699"}), "save": ("image/save", {"name": "blue"})},
        "plain.image > save.image",
    )
    assert workshop.run(plain).state == "done"
    (saved,) = workshop.told(Saved)
    assert graphfile.read(Path(saved.path)) == graphfile.parse(graphfile.dumps(plain))
    assert_close(load_image(Path(saved.path)).image.pixels, plain_image(16, 8, "#336699").pixels)
    assert workshop.run(plain).ran == 0
    assert len(list(workshop.folders.output.iterdir())) == 1


def test_the_branch_that_a_switch_leaves_is_never_run(workshop):
    nodes = {
        "good": ("image/empty", {"width": 16, "height": 16}),
        "bad": ("image/crop", {"x": 999, "y": 0, "width": 8, "height": 8}),
        "test": ("logic/compare", {"a": 1.0, "b": 2.0, "how": "a < b"}),
        "switch": ("logic/switch", {}),
    }
    links = ("good.image > bad.image", "good.image > switch.yes", "bad.image > switch.no", "test.value > switch.condition")
    outcome = workshop.run(graph(nodes, *links), "switch")
    assert outcome.state == "done"
    assert outcome.values["switch"]["value"].pixels.shape == (1, 3, 16, 16)
    assert "bad" not in [event.node for event in workshop.told(Finished)]
    nodes["test"] = ("logic/compare", {"a": 3.0, "b": 2.0, "how": "a < b"})
    assert workshop.run(graph(nodes, *links), "switch").state == "failed"
    assert "reaches out" in workshop.told(Failed)[0].message


def test_every_picture_of_a_folder_goes_through_what_follows(workshop):
    (workshop.folders.input / "photos").mkdir()
    from nodegraph.node import Headless

    class Desk(Headless):
        def output_path(self, name, suffix):
            return workshop.folders.input / "photos" / (name + suffix)

    for name, size in (("a", (20, 10)), ("b", (10, 30))):
        save_image(plain_image(*size, color="#ffffff"), name, ctx=Desk())
    made = graph(
        {
            "folder": ("image/load-folder", {"folder": "photos"}),
            "fit": ("image/resize", {"width": 8, "height": 8, "proportions": "pad"}),
            "batch": ("image/batch", {}),
            "sheet": ("image/grid", {"gap": 0}),
        },
        "folder.images > fit.image",
        "fit.image > batch.images",
        "fit.image > sheet.images",
        "folder.names > sheet.labels",
    )
    outcome = workshop.run(made, "batch", "sheet")
    assert outcome.state == "done", workshop.told(Failed)
    batch = outcome.values["batch"]["image"].pixels
    assert batch.shape == (2, 3, 8, 8)
    assert batch.mean((1, 2, 3)).tolist() == pytest.approx([0.5, 3 / 8])  # 8 × 4 and 3 × 8 of 64 are white
    assert outcome.values["sheet"]["image"].pixels.shape[-2] > 8


def test_tiles_go_through_a_node_one_by_one_and_join_again(workshop):
    save_picture(workshop, torch.rand(1, 3, 100, 150, generator=torch.Generator().manual_seed(0)))
    tiles = {"tile": 64, "overlap": 16}
    made = graph(
        {
            "load": ("image/load", {"file": "picture.png"}),
            "split": ("image/split-tiles", tiles),
            "each": ("image/invert", {}),
            "join": ("image/join-tiles", tiles),
        },
        "load.image > split.image",
        "split.tiles > each.image",
        "each.image > join.tiles",
        "load.image > join.original",
    )
    outcome = workshop.run(made, "load", "join")
    assert outcome.state == "done", workshop.told(Failed)
    assert_close(outcome.values["join"]["image"].pixels, 1 - outcome.values["load"]["image"].pixels)


def test_variations_count_with_seeds_and_sums(workshop):
    made = graph(
        {
            "words": ("text/variations", {"text": "{red|green} fox"}),
            "join": ("text/join", {"second": "sharp"}),
            "count": ("logic/count", {"start": 10, "times": 2}),
            "sum": ("logic/math", {"expression": "a * 8"}),
        },
        "words.value > join.first",
        "count.value > sum.a",
    )
    outcome = workshop.run(made, "join", "sum")
    assert outcome.values["join"]["value"] == ["red fox, sharp", "green fox, sharp"]
    assert outcome.values["sum"]["whole"] == [80, 88]


def test_the_next_branch_steps_in_for_a_muted_one(workshop):
    nodes = {"one": ("logic/int", {"value": 1}), "two": ("logic/int", {"value": 2}), "first": ("logic/first-present", {})}
    made = graph(nodes, "one.value > first.first", "two.value > first.second")
    assert workshop.run(made, "first").values["first"]["value"] == 1
    muted = made.with_node(Node("one", "logic/int", {"value": 1}, mode="muted"))
    assert workshop.run(muted, "first").values["first"]["value"] == 2


def test_a_latent_and_its_mask_survive_the_cache_on_disk(workshop):
    made = graph(
        {
            "empty": ("latent/empty", {"width": 64, "height": 64}),
            "noise": ("latent/add-noise", {"seed": 3}),
            "shape": ("mask/shape", {"width": 64, "height": 64, "x": 8, "y": 8, "shape_width": 16, "shape_height": 16}),
            "set": ("latent/set-mask", {}),
        },
        "empty.latent > noise.latent",
        "noise.latent > set.latent",
        "shape.mask > set.mask",
    )
    outputs = workshop.run(made, "set").values["set"]
    workshop.cache.put("its key", outputs, 10.0)
    read = Cache(2**28, workshop.cache.disk).get("its key")["latent"]
    assert read.mask.sum() == 256 and not read.empty
    assert_close(read.samples, outputs["latent"].samples, atol=0, rtol=0)


def save_picture(workshop: Workshop, pixels: torch.Tensor, name: str = "picture.png") -> None:
    from nodes.pictures.files import encode_png

    (workshop.folders.input / name).write_bytes(encode_png(Image(pixels).pixels[0]))


def test_a_subgraph_that_repeats_works_on_what_its_last_pass_made_and_gathers_all_of_them(workshop):
    inside = graph(
        {"wider": ("image/pad-for-outpaint", {"left": 8, "right": 0, "top": 0, "bottom": 0}), "n": ("logic/pass", {})},
        "n.value > wider.top",
    )
    box = Subgraph(
        inside,
        (SubgraphInput("image", (("wider", "image"),)),),
        (SubgraphOutput("image", "wider", "image"), SubgraphOutput("frames", "wider", "image")),
    )
    made = graph(
        {"plain": ("image/empty", {"width": 16, "height": 16}), "zoom": ("subgraph/zoom", {"repeat": 3}), "size": ("image/size", {})},
        "plain.image > zoom.image",
        "zoom.frames > size.image",
    ).with_subgraph("zoom", box)
    outcome = workshop.run(made, "zoom", "size")
    assert outcome.state == "done", workshop.told(Failed)
    assert outcome.values["zoom"]["image"].pixels.shape[-2:] == (16 + 0 + 1 + 2, 16 + 3 * 8)
    assert outcome.values["size"]["width"] == [24, 32, 40] and outcome.values["size"]["height"] == [16, 17, 19]


def test_a_subgraph_repeats_until_its_picture_is_large_enough(workshop):
    inside = graph(
        {
            "larger": ("image/scale", {"factor": 2.0}),
            "size": ("image/size", {}),
            "compare": ("logic/compare", {"b": 100.0, "how": "a ≥ b"}),
            "enough": ("logic/done", {}),
        },
        "larger.image > size.image",
        "size.width > compare.a",
        "compare.value > enough.condition",
    )
    ends = (SubgraphOutput("image", "larger", "image"), SubgraphOutput("done", "enough", "done"))
    made = graph(
        {"plain": ("image/empty", {"width": 16, "height": 16}), "loop": ("subgraph/grow", {"repeat": 20})}, "plain.image > loop.image"
    ).with_subgraph("grow", Subgraph(inside, (SubgraphInput("image", (("larger", "image"),)),), ends))
    values = workshop.run(made, "loop").values["loop"]
    assert values["image"].pixels.shape[-1] == 128 and values["done"] == [False, False, True]


def test_a_folder_is_worked_through_one_by_one_and_a_broken_file_leaves_the_others_alone(workshop):
    photos = workshop.folders.input / "photos"
    photos.mkdir()
    for name in ("a", "b", "c"):
        save_picture(workshop, torch.zeros(1, 3, 8, 8), f"photos/{name}.png")
    (photos / "b.png").write_bytes(b"no picture")
    inside = graph(
        {"load": ("image/load", {}), "turn": ("image/invert", {}), "save": ("image/save", {})},
        "load.image > turn.image",
        "turn.image > save.image",
    )
    box = Subgraph(inside, (SubgraphInput("file", (("load", "file"),)), SubgraphInput("name", (("save", "name"),))))
    made = graph(
        {"folder": ("image/list-folder", {"folder": "photos"}), "each": ("subgraph/each", {"one_by_one": True})},
        "folder.files > each.file",
        "folder.names > each.name",
    ).with_subgraph("each", box)
    assert workshop.problems(made) == []
    assert workshop.run(made).state == "failed"
    assert [Path(event.path).name for event in workshop.told(Saved)] == ["a_0001.png", "c_0001.png"]
    first, last = workshop.told(Failed)
    assert first.node == "each/load" and "b.png" in first.message
    assert last.message == "1 of 3 items of 'each' failed; the other 2 are done."
    save_picture(workshop, torch.zeros(1, 3, 8, 8), "photos/b.png")
    assert workshop.run(made).state == "done"
    assert sorted(path.name for path in workshop.folders.output.iterdir()) == ["a_0001.png", "b_0001.png", "c_0001.png"]
