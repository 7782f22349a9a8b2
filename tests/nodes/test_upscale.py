"""Pictures enlarged by a real, tiny upscale network whose result is known: all its weights are zero but the residual path."""

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from nodegraph.errors import GraphError
from nodegraph.node import Headless
from nodes.models.upscalers import Compact
from nodes.types import Image
from nodes.upscale import load_upscaler, upscale_with_model


@pytest.fixture
def upscaler(tmp_path):
    """A compact network that doubles each pixel."""
    network = Compact(8, 2, 2)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    save_file(network.state_dict(), tmp_path / "double.safetensors")
    return load_upscaler(tmp_path / "double.safetensors")


def picture(width: int = 30, height: int = 20, batch: int = 2) -> Image:
    return Image(torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0)))


def test_the_network_enlarges_every_picture_by_its_factor(upscaler):
    made = upscale_with_model(upscaler, picture()).pixels
    assert_close(made, picture().pixels.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_other_factors_are_reached_by_scaling(upscaler):
    assert upscale_with_model(upscaler, picture(), 3).pixels.shape[-2:] == (60, 90)
    assert_close(upscale_with_model(upscaler, picture(), 1, "area").pixels, picture().pixels)


def test_tiles_tell_their_progress_and_leave_no_seam(upscaler):
    class Desk(Headless):
        told = []

        def progress(self, done, total, preview=None, note="", sigma=None):
            self.told.append(done / total)

    desk = Desk()
    made = upscale_with_model(upscaler, picture(150, 100), tile=64, ctx=desk).pixels
    assert_close(made, picture(150, 100).pixels.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert desk.told == sorted(desk.told) and desk.told[-1] == 1 and len(desk.told) > 6


def test_a_result_that_cannot_be_held_is_refused_before_the_network_runs(upscaler):
    with pytest.raises(GraphError, match="smaller"):
        upscale_with_model(upscaler, Image(torch.zeros(1, 3, 1, 1).expand(1, 3, 9000, 9000)))


def test_a_file_of_another_kind_is_refused_in_words(tmp_path):
    save_file({"some.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(GraphError, match="other.safetensors"):
        load_upscaler(tmp_path / "other.safetensors")
