"""Depth from a model folder of the user's: a Depth Anything of tiny size, against transformers itself, and folders that are none."""

import json

import pytest
import torch
from torch.nn import functional
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from nodegraph.errors import GraphError
from nodes.models.depth import _size
from nodes.models.seeing import IMAGENET
from nodes.preprocess import depth_from_model, normals_from_depth
from nodes.types import Image


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=28, patch_size=14, out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False, apply_layernorm=True, initializer_range=0.3,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=8, head_hidden_size=8,
        patch_size=14, initializer_range=0.3,
    )  # fmt: skip
    made = DepthAnythingForDepthEstimation(config).eval()
    with torch.no_grad():
        made.head.conv3.bias.fill_(3.0)  # above the ReLU at the end
    return made


@pytest.fixture
def folder(network, tmp_path):
    network.save_pretrained(tmp_path / "depth-anything-tiny")
    said = {"size": {"height": 28, "width": 28}, "ensure_multiple_of": 14, "keep_aspect_ratio": True, "image_mean": IMAGENET[0], "image_std": IMAGENET[1]}
    (tmp_path / "depth-anything-tiny" / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return tmp_path / "depth-anything-tiny"


def picture(height=40, width=60, count=1):
    return Image(torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)))


def said(network, image):
    """What the network itself says of a picture of 60 x 40, as large as the picture, its range stretched to 0..1."""
    small = functional.interpolate(image.pixels, size=(28, 42), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    mean, deviation = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in IMAGENET)
    with torch.no_grad():
        found = network(pixel_values=(small - mean) / deviation).predicted_depth[:, None]
    found = functional.interpolate(found, size=(40, 60), mode="bicubic", align_corners=False)
    return (found - found.min()) / (found.max() - found.min())


def test_near_is_white_and_the_numbers_are_those_of_the_network(network, folder):
    ours = depth_from_model(picture(), folder).pixels
    assert ours.shape == (1, 3, 40, 60) and float(ours.min()) == 0 and float(ours.max()) == 1
    torch.testing.assert_close(ours[:, :1], said(network, picture()), rtol=0, atol=1e-5)


def test_distances_are_turned_into_nearness(network, folder):
    config = DepthAnythingConfig.from_dict({**network.config.to_dict(), "depth_estimation_type": "metric", "max_depth": 10})
    metric = DepthAnythingForDepthEstimation(config).eval()
    metric.load_state_dict(network.state_dict())
    with torch.no_grad():
        metric.head.conv3.weight.mul_(1e-3)  # else the sigmoid at the end is full
        metric.head.conv3.bias.zero_()
    metric.save_pretrained(folder)
    torch.testing.assert_close(depth_from_model(picture(), folder).pixels[:, :1], 1 - said(metric, picture()), rtol=0, atol=1e-3)


def test_inverted_near_is_black_and_normals_follow(folder):
    near = depth_from_model(picture(), folder)
    torch.testing.assert_close(depth_from_model(picture(), folder, invert=True).pixels, 1 - near.pixels)
    assert normals_from_depth(near).pixels.shape == near.pixels.shape


def test_each_picture_of_a_batch_has_its_own_range(folder):
    found = depth_from_model(picture(count=2), folder).pixels
    assert [float(one.max()) for one in found] == [1, 1] and [float(one.min()) for one in found] == [0, 0]


@pytest.mark.parametrize(("height", "width", "wanted"), [(28, 28, (28, 28)), (40, 60, (28, 42)), (600, 300, (56, 28)), (9, 900, (28, 2800))])
def test_the_model_looks_at_whole_patches_in_the_shape_of_the_picture(height, width, wanted):
    assert _size({"size": {"height": 28}, "ensure_multiple_of": 14}, {}, height, width) == wanted


def test_a_folder_of_another_kind_is_refused_in_words(tmp_path):
    (tmp_path / "clip").mkdir()
    (tmp_path / "clip" / "config.json").write_text('{"architectures": ["CLIPVisionModel"]}', encoding="utf-8")
    with pytest.raises(GraphError, match="not a depth model: it is CLIPVisionModel"):
        depth_from_model(picture(), tmp_path / "clip")
    with pytest.raises(GraphError, match=r"config\.json"):
        depth_from_model(picture(), tmp_path)


def test_pickled_weights_and_missing_weights_are_refused(folder):
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file({name: value for name, value in state.items() if not name.startswith("head.conv3")}, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(GraphError, match="2 weights are missing"):
        depth_from_model(picture(), folder)
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    with pytest.raises(GraphError, match="only pickled weights"):
        depth_from_model(picture(), folder)


def test_code_in_a_folder_is_never_run(folder):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"auto_map": {"AutoModelForDepthEstimation": "evil.Evil", "AutoConfig": "evil.Config"}, "model_type": "evil"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "evil.py").write_text(f"open({str(folder / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(GraphError, match="cannot be loaded"):
        depth_from_model(picture(), folder)
    assert not (folder / "ran").exists()
