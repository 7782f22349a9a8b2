"""Upscalers load under every common naming and compute what their papers say."""

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_upscaler
from nodes.models.upscalers import upscale

WIDTH, GROWTH, BLOCKS = 8, 4, 2


def convolution(state, name, out, inner, seed):
    generator = torch.Generator().manual_seed(seed)
    state[f"{name}.weight"] = torch.randn(out, inner, 3, 3, generator=generator) * 0.1
    state[f"{name}.bias"] = torch.randn(out, generator=generator) * 0.1


def esrgan(unshuffle=1):
    """Real-ESRGAN's naming."""
    state = {}
    convolution(state, "conv_first", WIDTH, 3 * unshuffle**2, 1)
    for block in range(BLOCKS):
        for dense in range(1, 4):
            for i in range(5):
                convolution(
                    state,
                    f"body.{block}.rdb{dense}.conv{i + 1}",
                    GROWTH if i < 4 else WIDTH,
                    WIDTH + i * GROWTH,
                    block * 100 + dense * 10 + i,
                )
    for seed, name in enumerate(("conv_body", "conv_up1", "conv_up2", "conv_hr")):
        convolution(state, name, WIDTH, WIDTH, 900 + seed)
    convolution(state, "conv_last", 3, WIDTH, 990)
    return state


def computed(state, x, unshuffle=1):
    """ESRGAN as published, straight from its weights."""

    def conv(name, x):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = conv("conv_first", F.pixel_unshuffle(x, unshuffle) if unshuffle > 1 else x)
    deep = first
    for block in range(BLOCKS):
        inner = deep
        for dense in range(1, 4):
            seen = [inner]
            for i in range(4):
                seen.append(F.leaky_relu(conv(f"body.{block}.rdb{dense}.conv{i + 1}", torch.cat(seen, 1)), 0.2))
            inner = inner + 0.2 * conv(f"body.{block}.rdb{dense}.conv5", torch.cat(seen, 1))
        deep = deep + 0.2 * inner
    out = first + conv("conv_body", deep)
    for up in ("conv_up1", "conv_up2"):
        out = F.leaky_relu(conv(up, F.interpolate(out, scale_factor=2, mode="nearest")), 0.2)
    return conv("conv_last", F.leaky_relu(conv("conv_hr", out), 0.2))


def old_name(name):
    """The first ESRGAN's naming."""
    fixed = {
        "conv_first": "model.0",
        "conv_body": f"model.1.sub.{BLOCKS}",
        "conv_up1": "model.3",
        "conv_up2": "model.6",
        "conv_hr": "model.8",
        "conv_last": "model.10",
    }
    layer, _, kind = name.rpartition(".")
    if layer in fixed:
        return f"{fixed[layer]}.{kind}"
    _, block, dense, conv = layer.split(".")
    return f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{kind}"


def bsrgan_name(name):
    table = {"conv_body": "trunk_conv", "conv_up1": "upconv1", "conv_up2": "upconv2", "conv_hr": "HRconv"}
    layer, _, kind = name.rpartition(".")
    if layer.startswith("body."):
        return name.replace("body.", "RRDB_trunk.").replace("rdb", "RDB")
    return f"{table.get(layer, layer)}.{kind}"


@pytest.mark.parametrize("spelled", [lambda n: n, old_name, bsrgan_name], ids=["real-esrgan", "esrgan", "bsrgan"])
def test_esrgan_computes_what_was_published_under_every_naming(spelled, tmp_path):
    state, x = esrgan(), torch.rand(1, 3, 12, 10)
    save_file({spelled(name): value for name, value in state.items()}, tmp_path / "up.safetensors")
    handle = open_upscaler(tmp_path / "up.safetensors")
    assert (handle.architecture, handle.scale) == ("esrgan", 4)
    with ModelMemory().use(handle) as model:
        torch.testing.assert_close(upscale(model.module, x), computed(state, x).clamp(0, 1), rtol=0, atol=1e-6)


def test_the_twofold_network_folds_its_input_and_takes_odd_sizes(tmp_path):
    state = esrgan(unshuffle=2)
    save_file(state, tmp_path / "x2.safetensors")
    handle = open_upscaler(tmp_path / "x2.safetensors")
    assert handle.scale == 2
    with ModelMemory().use(handle) as model:
        x = torch.rand(1, 3, 12, 10)
        torch.testing.assert_close(upscale(model.module, x), computed(state, x, 2).clamp(0, 1), rtol=0, atol=1e-6)
        assert upscale(model.module, torch.rand(1, 3, 11, 9)).shape == (1, 3, 22, 18)


def test_the_compact_network_adds_detail_to_the_enlarged_picture(tmp_path):
    state = {}
    convolution(state, "body.0", 8, 3, 1)
    convolution(state, "body.2", 8, 8, 2)
    convolution(state, "body.4", 48, 8, 3)
    state["body.1.weight"] = state["body.3.weight"] = torch.full((8,), 0.1)
    save_file({n: v.clone() for n, v in state.items()}, tmp_path / "general-x4v3.safetensors")
    handle = open_upscaler(tmp_path / "general-x4v3.safetensors")
    assert (handle.architecture, handle.scale) == ("compact", 4)
    x = torch.rand(2, 3, 6, 7)
    inner = x
    for i in (0, 2):
        inner = F.prelu(F.conv2d(inner, state[f"body.{i}.weight"], state[f"body.{i}.bias"], padding=1), torch.full((8,), 0.1))
    expected = F.pixel_shuffle(F.conv2d(inner, state["body.4.weight"], state["body.4.bias"], padding=1), 4) + F.interpolate(
        x, scale_factor=4
    )
    with ModelMemory().use(handle) as model:
        torch.testing.assert_close(upscale(model.module, x), expected.clamp(0, 1), rtol=0, atol=1e-6)
        done = []
        tiles = upscale(model.module, torch.rand(1, 3, 40, 40), tile=24, overlap=8, progress=lambda i, n: done.append(i))
        assert tiles.shape == (1, 3, 160, 160) and done == [1, 2, 3, 4]


def test_a_broken_upscaler_is_refused_in_words(tmp_path):
    state = esrgan()
    del state["body.1.rdb2.conv3.weight"]
    save_file(state, tmp_path / "broken.safetensors")
    with pytest.raises(GraphError, match="looks like an upscaler, but its parts do not fit together"):
        ModelMemory().resolve(open_upscaler(tmp_path / "broken.safetensors"))
