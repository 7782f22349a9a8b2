"""Merged models, saved checkpoints, converted pickles."""

import pytest
import torch

from nodegraph.errors import GraphError
from nodes.models import merging
from nodes.models.convert import convert
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_checkpoint, with_merge
from tests.nodes.models import tiny


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    folder = tmp_path_factory.mktemp("merge")
    first, second = tiny.sd1_parts(), tiny.sd1_parts()
    tiny.randomised(second.unet, 77)
    tiny.randomised(second.text_encoder, 78)
    tiny.write_sd1_checkpoint(folder / "a.safetensors", first)
    tiny.write_sd1_checkpoint(folder / "b.safetensors", second)
    return first, second, open_checkpoint(folder / "a.safetensors"), open_checkpoint(folder / "b.safetensors")


def weight(memory, handle, name):
    with memory.use(handle) as model:
        return model.module.get_parameter(name).clone()


NAME, OTHER = "mid_block.attentions.0.proj_in.weight", "conv_in.weight"


def test_a_merge_is_the_weighted_mean_and_comes_off_exactly(two):
    first, second, a, b = two
    memory = ModelMemory()
    merged = with_merge(a.denoiser, b.denoiser, 0.3)
    expected = first.unet.get_parameter(NAME) * 0.7 + second.unet.get_parameter(NAME) * 0.3
    torch.testing.assert_close(weight(memory, merged, NAME), expected, rtol=0, atol=1e-6)
    assert torch.equal(weight(memory, a.denoiser, NAME), first.unet.get_parameter(NAME))
    assert torch.equal(weight(memory, b.denoiser, NAME), second.unet.get_parameter(NAME))


def test_blocks_and_differences_merge_by_part(two):
    first, second, a, b = two
    memory = ModelMemory()
    blocks = with_merge(a.denoiser, b.denoiser, 1.0, blocks=(("mid_block", 0.0),))
    assert torch.equal(weight(memory, blocks, NAME), first.unet.get_parameter(NAME))
    torch.testing.assert_close(weight(memory, blocks, OTHER), second.unet.get_parameter(OTHER), rtol=0, atol=1e-7)
    same = with_merge(a.denoiser, b.denoiser, 0.8, minus=b.denoiser)
    torch.testing.assert_close(weight(memory, same, NAME), first.unet.get_parameter(NAME), rtol=0, atol=1e-7)
    text = with_merge(a.text_encoder, b.text_encoder, 0.5)
    layer = "encoder.layers.0.mlp.fc1.weight"
    expected = (first.text_encoder.get_parameter(layer) + second.text_encoder.get_parameter(layer)) / 2
    torch.testing.assert_close(weight(memory, text, layer), expected, rtol=0, atol=1e-6)


def test_models_of_two_kinds_are_not_merged(two, tmp_path):
    from safetensors.torch import save_file

    from nodes.models.opening import open_denoiser

    save_file(tiny.prefixed(tiny.ldm_unet(tiny.unet("sd1", channels=9)), "model.diffusion_model."), tmp_path / "inpaint.safetensors")
    with pytest.raises(GraphError, match=r"Stable Diffusion 1 \(base\) and Stable Diffusion 1 \(inpaint\)"):
        with_merge(two[2].denoiser, open_denoiser(tmp_path / "inpaint.safetensors"), 0.5)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert set(a) == set(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_a_saved_checkpoint_loads_as_the_same_model(two, tmp_path):
    *_, a, _ = two
    memory = ModelMemory()
    with memory.use(a.denoiser) as denoiser, memory.use(a.text_encoder) as text, memory.use(a.vae) as vae:
        merging.save_checkpoint(tmp_path / "saved.safetensors", denoiser, text, vae, torch.float32, merging.recipe(a="a.safetensors"))
        again = open_checkpoint(tmp_path / "saved.safetensors")
        for old, new in zip((denoiser, text, vae), again, strict=True):
            same(old.module, memory.resolve(new).module)
        with pytest.raises(GraphError, match="'saved.safetensors' exists already"):
            merging.save_checkpoint(tmp_path / "saved.safetensors", denoiser, None, None)
        with pytest.raises(GraphError, match="cannot be written"):
            merging.save_checkpoint(tmp_path / "no" / "folder.safetensors", denoiser, None, None)
    assert [p.name for p in tmp_path.iterdir()] == ["saved.safetensors"]


def test_an_sdxl_checkpoint_survives_saving(tmp_path):
    parts = tiny.unet("sdxl"), tiny.vae(), tiny.clip(), tiny.clip(projected=True, act="gelu", seed=5)
    memory = ModelMemory()
    opened = open_checkpoint(tiny.write_sdxl_checkpoint(tmp_path / "xl.safetensors", *parts))
    with memory.use(opened.denoiser) as denoiser, memory.use(opened.text_encoder) as text, memory.use(opened.vae) as vae:
        merging.save_checkpoint(tmp_path / "again.safetensors", denoiser, text, vae, torch.float32)
    again = memory.resolve(open_checkpoint(tmp_path / "again.safetensors").text_encoder)
    same(again.encoders[0], parts[2])
    same(again.encoders[1], parts[3])


def test_sd2_saves_the_layer_that_nobody_reads(tmp_path):
    from safetensors.torch import save_file

    text = tiny.clip(layers=3, act="gelu", projected=True)
    state = tiny.prefixed(tiny.ldm_unet(tiny.unet("sd2")), "model.diffusion_model.") | tiny.prefixed(
        tiny.openclip(text), "cond_stage_model.model."
    )
    save_file(state, tmp_path / "sd2.safetensors")
    opened, memory = open_checkpoint(tmp_path / "sd2.safetensors"), ModelMemory()
    with memory.use(opened.denoiser) as denoiser, memory.use(opened.text_encoder) as encoder:
        merging.save_checkpoint(tmp_path / "again.safetensors", denoiser, encoder, None, torch.float32)
        same(encoder.module, memory.resolve(open_checkpoint(tmp_path / "again.safetensors").text_encoder).module)


def test_what_shapes_do_not_show_is_kept_in_the_file(tmp_path):
    """The starter model has 8 groups per norm and a VAE scaling of its own; guessed wrongly, its pictures would be noise."""
    from nodes.models.families import RESOURCES

    memory, opened = ModelMemory(), open_checkpoint(RESOURCES / "starter" / "model")
    path = tmp_path / "starter.safetensors"
    with memory.use(opened.denoiser) as denoiser, memory.use(opened.text_encoder) as text, memory.use(opened.vae) as vae:
        with pytest.raises(GraphError, match="a tokenizer of its own"):
            merging.save_checkpoint(path, denoiser, text, vae)
        merging.save_checkpoint(path, denoiser, None, vae, torch.float32)
        again = open_checkpoint(path)
        assert again.denoiser.prediction == "v_prediction" and again.text_encoder is None
        net, codec = memory.resolve(again.denoiser).module, memory.resolve(again.vae).module
        x, words = torch.randn(1, 4, 16, 16), torch.randn(1, 32, 128)
        with torch.inference_mode():
            assert torch.equal(net(x, 500, words).sample, denoiser.module(x, 500, words).sample)
            assert torch.equal(codec.decode(x).sample, vae.module.decode(x).sample)
        assert codec.config.scaling_factor == vae.module.config.scaling_factor


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merging, "save_file", full)
    with pytest.raises(GraphError, match="No space left on device"):
        merging.write(tmp_path / "a.safetensors", {"a": torch.zeros(2)})
    assert list(tmp_path.iterdir()) == []


# --- pickles ---------------------------------------------------------------------------------------------------------------


class Attack:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_a_pickled_checkpoint_is_converted_and_loads(two, tmp_path):
    from safetensors.torch import load_file

    first, _, a, _ = two
    torch.save({"state_dict": load_file(a.denoiser.source.path), "epoch": 3}, tmp_path / "old.ckpt")
    converted = convert(tmp_path / "old.ckpt")
    assert converted == tmp_path / "old.safetensors"
    assert torch.equal(weight(ModelMemory(), open_checkpoint(converted).denoiser, NAME), first.unet.get_parameter(NAME))


def test_a_pickled_textual_inversion_becomes_an_embedding(tmp_path):
    from safetensors.torch import load_file

    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.ones(2, 768)}, "name": "style"}, tmp_path / "style.pt")
    assert load_file(convert(tmp_path / "style.pt"))["emb_params"].shape == (2, 768)


def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": torch.zeros(2)}, "callbacks": Attack()}, tmp_path / "bad.ckpt")
    with pytest.raises(GraphError, match="'bad.ckpt' holds more than weights"):
        convert(tmp_path / "bad.ckpt")
    (tmp_path / "junk.pt").write_bytes(b"\x80\x04junk")
    with pytest.raises(GraphError, match="damaged or no weights file"):
        convert(tmp_path / "junk.pt")
    assert not (tmp_path / "pwned").exists() and not list(tmp_path.glob("*.safetensors"))


def test_the_command_converts_what_it_can_and_says_what_it_cannot(tmp_path, capsys):
    from nodes.models.convert import main

    torch.save({"w": torch.zeros(2)}, tmp_path / "good.pt")
    assert main([str(tmp_path / "good.pt"), str(tmp_path / "gone.pt")]) == 1
    out, err = capsys.readouterr()
    assert out.strip().endswith("good.safetensors") and "There is no file" in err
