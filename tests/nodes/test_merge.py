"""Models are mixed, saved, and read back as ordinary models."""

import pytest
import torch

from nodegraph.errors import GraphError
from nodegraph.folders import RESOURCES
from nodegraph.node import Headless
from nodes.conditioning import prompt
from nodes.loaders import load_checkpoint
from nodes.merge import merge_difference, merge_models, save_checkpoint
from nodes.sampling import sample
from nodes.types import Latent


@pytest.fixture(scope="module")
def model():
    return load_checkpoint(RESOURCES / "starter" / "model")


class Folder(Headless):
    def __init__(self, folder):
        self.folder, self.files = folder, []

    def output_path(self, name, suffix):
        from nodegraph.folders import new_file

        return new_file(self.folder, name, suffix)

    def saved(self, path):
        self.files.append(path)


def paint(model, denoiser, encoder=None):
    conditioning = prompt(encoder or model.text_encoder, "a red car at night")
    return sample(denoiser, conditioning, Latent(torch.zeros(1, 4, 16, 16), empty=True), steps=2, sampler="euler", seed=1).samples


def test_a_model_merged_with_itself_paints_as_before(model):
    torch.testing.assert_close(paint(model, merge_models(model.denoiser, model.denoiser, 0.5)), paint(model, model.denoiser), rtol=0, atol=1e-5)


def test_the_difference_of_a_model_to_itself_adds_nothing(model):
    same = merge_difference(model.denoiser, model.denoiser, model.denoiser, 1.0)
    torch.testing.assert_close(paint(model, same), paint(model, model.denoiser), rtol=0, atol=1e-5)


def test_a_part_that_is_not_a_number_is_refused(model):
    with pytest.raises(GraphError, match="mid_block"):
        merge_models(model.denoiser, model.denoiser, 0.5, "mid_block much")


def test_a_saved_checkpoint_leaves_no_half_file_and_two_saves_two_files(model, tmp_path):
    ctx = Folder(tmp_path)
    for _ in range(2):
        save_checkpoint(model.denoiser, None, model.vae, name="mine", ctx=ctx)
    assert [p.name for p in ctx.files] == ["mine_0001.safetensors", "mine_0002.safetensors"] == sorted(p.name for p in tmp_path.iterdir())
