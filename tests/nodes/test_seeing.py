"""Poses, segments and masks of things from model folders of the user's: tiny networks of the real classes, against transformers' own processing."""

import json

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from torch.nn import functional
from transformers import (
    RTDetrConfig,
    RTDetrForObjectDetection,
    RTDetrResNetConfig,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    VitPoseBackboneConfig,
    VitPoseConfig,
    VitPoseForPoseEstimation,
    YolosConfig,
    YolosForObjectDetection,
)
from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

from nodegraph.errors import GraphError
from nodegraph.node import Headless
from nodes.models.pose import joints_in, peaks, people, poses
from nodes.models.seeing import opened
from nodes.pictures.figures import ADE20K, COLOURS, coloured, stick_figures
from nodes.preprocess import mask_of_things, pose_from_model, segments_from_model
from nodes.types import Image
from tests.nodes.workshop import Workshop, graph


class Listener(Headless):
    device = "cpu"

    def __init__(self):
        self.warnings = []

    def warn(self, message):
        self.warnings.append(message)


def picture(height=96, width=80, seed=1):
    """Of whole bytes, because transformers' processing begins with those."""
    return Image((torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 255).round() / 255)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("seeing")


@pytest.fixture(scope="module")
def pose_model(folder):
    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(image_size=[64, 48], patch_size=[16, 16], hidden_size=32, num_hidden_layers=2, num_attention_heads=2, mlp_ratio=2)
    net = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17, use_simple_decoder=True, initializer_range=0.3)).eval()
    with torch.no_grad():
        net.head.conv.weight.normal_(std=0.3)
    net.save_pretrained(folder / "vitpose")
    (folder / "vitpose" / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 48}}), encoding="utf-8")
    return net


def test_joints_are_those_of_transformers_own_processing(pose_model, folder):
    """Of a box well inside the picture: beyond its edge theirs is black at once, ours fades over one pixel."""
    shown, box = picture(160, 140), [40.0, 40.0, 50.0, 70.0]
    processor = VitPoseImageProcessorPil(size={"height": 64, "width": 48})
    photo = Picture.fromarray((shown.pixels[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8))
    with torch.no_grad():
        said = pose_model(**processor(photo, boxes=[[box]], return_tensors="pt"))
    (theirs,) = processor.post_process_pose_estimation(said, boxes=[[box]])[0]
    ours = joints_in(opened(folder / "vitpose", "pose"), shown.pixels[0], torch.tensor(box))
    torch.testing.assert_close(ours[:, 2], theirs["scores"].float().flatten(), rtol=0.05, atol=0.05)  # they round the cut-out to bytes
    torch.testing.assert_close(ours[:, :2], theirs["keypoints"].float(), rtol=0, atol=1.0)


def test_without_a_detector_the_whole_picture_is_one_person(pose_model, folder):
    shown = picture()
    (people,) = poses(shown.pixels, folder / "vitpose")
    assert torch.equal(people, joints_in(opened(folder / "vitpose", "pose"), shown.pixels[0], torch.tensor([0.0, 0.0, 80.0, 96.0]))[None])


def test_the_top_of_a_bell_is_found_between_its_pixels():
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(12.0), indexing="ij")
    bell = torch.exp(-((x - 5.3) ** 2 + (y - 8.6) ** 2) / (2 * 2.0**2))[None]
    spots, heights = peaks(bell)
    torch.testing.assert_close(spots, torch.tensor([[5.3, 8.6]]), rtol=0, atol=0.02)
    assert float(heights) == pytest.approx(float(bell.max()))


PERSON = torch.tensor(
    [[50, 10], [54, 8], [46, 8], [58, 10], [42, 10], [65, 30], [35, 30], [75, 50], [25, 50], [80, 70], [20, 70], [58, 70], [42, 70], [60, 95], [40, 95], [62, 120], [38, 120]]
)  # fmt: skip


def figure(confidence):
    return torch.cat([PERSON.float(), torch.full((17, 1), confidence)], 1)[None]


def test_a_stick_figure_has_the_colours_and_joints_of_openpose():
    drawn = stick_figures(figure(0.9), 100, 130)

    def at(x, y):
        return tuple(round(255 * float(value)) for value in drawn[:, y, x])

    assert at(50, 10) == COLOURS[0] and at(50, 30) == COLOURS[1]  # nose; neck, between the shoulders
    assert at(35, 30) == COLOURS[2] and at(65, 30) == COLOURS[5]  # the right shoulder is on the left of the picture
    assert at(38, 120) == COLOURS[10] and at(62, 120) == COLOURS[13]
    assert at(30, 40) == tuple(int(0.6 * c) for c in COLOURS[2])  # half way to the elbow
    assert at(5, 5) == (0, 0, 0)


def test_joints_that_the_model_is_not_sure_of_are_left_out():
    assert not stick_figures(figure(0.2), 100, 130, sure=0.3).any()
    headless = figure(0.9)
    headless[:, [0, 1, 2, 3, 4], 2] = 0
    drawn = stick_figures(headless, 100, 130)
    assert not drawn[:, :20].any() and drawn[:, 28:32].any()


@pytest.fixture(scope="module")
def detectors(folder):
    """Two detectors at tiny size: one that says one thing or none, one that says yes or no to each."""
    torch.manual_seed(1)
    names = {0: "N/A", 1: "person", 2: "cat"}
    one = YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=[64, 64], patch_size=16, num_detection_tokens=8,
        id2label=names, use_mid_position_embeddings=False, initializer_range=0.5,
    )  # fmt: skip
    YolosForObjectDetection(one).save_pretrained(folder / "yolos")
    (folder / "yolos" / "preprocessor_config.json").write_text('{"size": {"shortest_edge": 64, "longest_edge": 128}}', encoding="utf-8")
    backbone = RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 16], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"])
    each = RTDetrConfig(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[16, 16, 16], encoder_ffn_dim=32, encoder_attention_heads=2, d_model=16,
        decoder_in_channels=[16, 16, 16], decoder_ffn_dim=32, decoder_layers=1, decoder_attention_heads=2, num_queries=12, num_denoising=0,
        decoder_n_points=2, id2label={0: "person", 1: "cat"}, initializer_range=0.5,
    )  # fmt: skip
    RTDetrForObjectDetection(each).save_pretrained(folder / "rtdetr")
    (folder / "rtdetr" / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}, "do_normalize": false}', encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "kind"), [("yolos", YolosForObjectDetection), ("rtdetr", RTDetrForObjectDetection)])
def test_the_people_are_those_that_the_detector_is_sure_of(detectors, name, kind):
    shown = picture(128, 128)
    net = kind.from_pretrained(detectors / name).eval()
    small = functional.interpolate(shown.pixels, size=(64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    if name == "yolos":
        small = (small - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        said = net(pixel_values=small)
    scores = said.logits[0].softmax(-1)[:, 1] if name == "yolos" else said.logits[0].sigmoid()[:, 0]
    sure = float(scores.sort(descending=True).values[2])
    boxes = people(shown.pixels[0], detectors / name, sure)
    x, y, w, h = said.pred_boxes[0][scores.argmax()] * 128
    torch.testing.assert_close(boxes[0], torch.stack([x - w / 2, y - h / 2, w, h]), rtol=0, atol=1e-2)
    assert 1 <= len(boxes) <= 3 and len(people(shown.pixels[0], detectors / name, 1.0)) == 0


def test_several_people_are_drawn_and_nobody_is_said(pose_model, detectors):
    shown, told = picture(128, 128), Listener()
    drawn = pose_from_model(shown, detectors / "vitpose", confidence=0.0, ctx=told).pixels
    assert drawn.shape == (1, 3, 128, 128) and drawn.any() and told.warnings == []
    assert len(poses(shown.pixels, detectors / "vitpose", detectors / "rtdetr", sure=0.0)[0]) >= 1
    nobody = json.loads((detectors / "yolos" / "config.json").read_text())
    assert nobody["id2label"]["1"] == "person"
    empty = pose_from_model(shown, detectors / "vitpose", detectors / "rtdetr", ctx=told)
    found = poses(shown.pixels, detectors / "vitpose", detectors / "rtdetr")
    assert bool(told.warnings) == (not len(found[0])) and empty.pixels.shape == drawn.shape


def test_a_detector_that_knows_no_people_is_refused(detectors, tmp_path):
    config = YolosConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=[32, 32], num_detection_tokens=2, id2label={0: "cat", 1: "dog"}
    )
    YolosForObjectDetection(config).save_pretrained(tmp_path / "cats")
    with pytest.raises(GraphError, match="does not know people"):
        people(picture().pixels[0], tmp_path / "cats")


# segments


@pytest.fixture(scope="module")
def segmenter(folder):
    torch.manual_seed(2)
    config = SegformerConfig(
        hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16, initializer_range=0.5,
        id2label={0: "wall", 1: "sky", 2: "tree", 3: "person, individual"},
    )  # fmt: skip
    net = SegformerForSemanticSegmentation(config).eval()
    net.save_pretrained(folder / "segformer")
    (folder / "segformer" / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}}', encoding="utf-8")
    return net


def numbers_of(net, shown):
    small = functional.interpolate(shown.pixels, size=(64, 64), mode="bicubic", antialias=True).clamp(0, 1)
    small = (small - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    with torch.no_grad():
        return functional.interpolate(net(pixel_values=small).logits, size=shown.pixels.shape[-2:], mode="bilinear").argmax(1)


def test_every_thing_has_its_colour_where_the_network_sees_it(segmenter, folder):
    shown = picture()
    numbers = numbers_of(segmenter, shown)
    assert len(numbers.unique()) > 1
    drawn = segments_from_model(shown, folder / "segformer").pixels
    assert torch.equal(drawn, coloured(numbers, {int(k): v for k, v in segmenter.config.id2label.items()}))
    assert len(drawn.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)) == len(numbers.unique())


def test_the_list_of_ade20k_has_the_colours_of_its_makers():
    names = {0: "wall", **{number: f"thing {number}" for number in range(1, 150)}}
    drawn = coloured(torch.arange(150).view(1, 10, 15), names)
    assert (drawn * 255).round().int().permute(0, 2, 3, 1).reshape(-1, 3).tolist() == [list(colour) for colour in ADE20K]
    assert ADE20K[0] == (120, 120, 120) and ADE20K[2] == (6, 230, 230) and ADE20K[12] == (150, 5, 61)  # wall, sky, person


def test_colours_of_another_list_are_all_different():
    names = {number: f"thing {number}" for number in range(60)}
    drawn = coloured(torch.arange(60).view(1, 6, 10), names)
    assert len(drawn.permute(0, 2, 3, 1).reshape(-1, 3).unique(dim=0)) == 60


def test_a_mask_of_things_is_where_they_are_by_any_of_their_names(segmenter, folder):
    shown = picture()
    numbers = numbers_of(segmenter, shown)
    for words, wanted in (("sky", [1]), ("Individual, tree", [2, 3]), ("person", [3])):
        assert torch.equal(mask_of_things(shown, folder / "segformer", words).values[:, 0].bool(), torch.isin(numbers, torch.tensor(wanted)))


def test_a_thing_that_the_model_does_not_know_is_refused_with_those_near_to_it(segmenter, folder):
    with pytest.raises(GraphError, match=r"knows no 'tre'\. Near to it are tree"):
        mask_of_things(picture(), folder / "segformer", "tre")


def test_what_is_not_in_the_picture_is_said(segmenter, folder):
    told = Listener()
    numbers = numbers_of(segmenter, picture())
    missing = next(name for number, name in segmenter.config.id2label.items() if number not in numbers)
    assert not mask_of_things(picture(), folder / "segformer", missing.split(",")[0], told).values.any()
    assert "the mask is empty" in told.warnings[0]


def test_models_of_queries_are_read_as_maps_of_things(tmp_path):
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, SwinConfig

    torch.manual_seed(3)
    backbone = SwinConfig(image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4, out_features=["stage1", "stage2", "stage3", "stage4"])
    config = Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16, dim_feedforward=16, num_queries=5,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, id2label={0: "wall", 1: "sky", 2: "tree"},
    )  # fmt: skip
    net = Mask2FormerForUniversalSegmentation(config).eval()
    net.save_pretrained(tmp_path / "mask2former")
    (tmp_path / "mask2former" / "preprocessor_config.json").write_text('{"size": {"height": 64, "width": 64}}', encoding="utf-8")
    drawn = segments_from_model(picture(64, 64), tmp_path / "mask2former").pixels
    assert drawn.shape == (1, 3, 64, 64)
    with torch.no_grad():
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
        said = net(pixel_values=(picture(64, 64).pixels - mean) / deviation)
    classes, masks = said.class_queries_logits.softmax(-1)[0, :, :-1], said.masks_queries_logits.sigmoid()[0]
    scores = sum(classes[q][:, None, None] * masks[q] for q in range(5))
    numbers = functional.interpolate(scores[None], size=(64, 64), mode="bilinear").argmax(1)
    assert torch.equal(drawn, coloured(numbers, dict(enumerate(["wall", "sky", "tree"]))))


# folders that are none, and models that are not there


@pytest.mark.parametrize(
    ("see", "words"),
    [
        (lambda path: pose_from_model(picture(), path), "not a pose model: it is CLIPVisionModel"),
        (lambda path: segments_from_model(picture(), path), "not a segmentation model: it is CLIPVisionModel"),
        (lambda path: people(picture().pixels[0], path), "not a detector: it is CLIPVisionModel"),
    ],
)
def test_a_folder_of_another_kind_is_refused_in_words(tmp_path, see, words):
    (tmp_path / "config.json").write_text('{"architectures": ["CLIPVisionModel"]}', encoding="utf-8")
    with pytest.raises(GraphError, match=words):
        see(tmp_path)


@pytest.mark.parametrize(("node", "kind"), [("pose", "pose"), ("segments", "segmentation"), ("depth", "depth")])
def test_a_missing_model_is_said_before_anything_runs_with_the_place_where_it_belongs(tmp_path, node, kind):
    made = graph(
        {"empty": ("image/empty", {"width": 16, "height": 16}), "see": (f"preprocess/{node}-from-model", {"model": "mine"})}, "empty.image > see.image"
    )
    (words,) = Workshop(tmp_path / "home").problems(made)
    assert "'mine'" in words and f"not in your {kind} folders" in words and "put it there" in words
