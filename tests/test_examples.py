"""Every example graph runs on the model that ships, and a second run finds everything done."""

import threading
from pathlib import Path

import pytest
from PIL import Image

from nodegraph.folders import RESOURCES, Folders
from nodegraph.graphfile import dumps, read
from nodegraph.messages import Done, Failed, Finished, Run, Saved, Warned
from nodegraph.plan import check
from nodegraph.registry import Registry
from nodegraph.runner import Runner

EXAMPLES = sorted((RESOURCES / "examples").glob("*.graph"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    """Runs a graph file in this process and gives back what was told; results are kept between calls."""
    home = tmp_path_factory.mktemp("home")
    heard: list[object] = []
    done = threading.Event()

    def tell(event: object) -> None:
        heard.append(event)
        if isinstance(event, Done):
            done.set()

    runner = Runner(tell, place="here", folders=Folders(home, home / "cache", home / "output"))

    def run(path: Path, output: Path) -> list[object]:
        heard.clear()
        done.clear()
        runner.submit(Run(path.stem, path.read_text(encoding="utf-8"), base=str(path.parent), output=str(output), device="cpu"))
        assert done.wait(240), "the run did not end"
        return list(heard)

    yield run
    runner.close()


def test_there_is_an_example_for_every_way_of_working():
    wanted = "text_to_image image_to_image inpaint outpaint two_samplers prompt_weights prompt_schedule regional_prompts lora controlnet two_pass metamorphosis"
    assert set(wanted.split()) <= {path.stem for path in EXAMPLES}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_has_no_problems_and_says_what_it_shows(path: Path):
    registry = Registry.load(plugins=False)
    graph = read(path, registry)
    assert check(graph, registry, path.parent) == []
    assert graph.meta["title"] and graph.meta["description"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_gives_a_picture_that_carries_its_graph(path: Path, studio, tmp_path: Path):
    heard = studio(path, tmp_path)
    assert [e for e in heard if isinstance(e, (Failed, Warned))] == []
    saved = [Path(e.path) for e in heard if isinstance(e, Saved)]
    assert saved
    for file in saved:
        with Image.open(file) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 100, "the picture is nearly plain"
        assert dumps(read(file)) == dumps(read(path))


def test_a_second_run_finds_everything_done(studio, tmp_path: Path):
    path = RESOURCES / "examples" / "text_to_image.graph"
    studio(path, tmp_path)
    again = [e for e in studio(path, tmp_path) if isinstance(e, Finished)]
    assert again and all(e.cached for e in again)
