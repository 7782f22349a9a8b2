"""Loaded models: one copy, budget in bytes, pins, and memory back to the baseline after a failure."""

import gc
import weakref

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.models.handles import with_settings
from nodes.models.memory import ModelMemory, suitable_dtype
from nodes.models.opening import open_checkpoint, with_lora
from tests.nodes.models import tiny


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return open_checkpoint(tiny.write_sd1_checkpoint(tmp_path_factory.mktemp("memory") / "dreams.safetensors", tiny.sd1_parts()))


@pytest.fixture(scope="module")
def style(tmp_path_factory):
    path = tmp_path_factory.mktemp("loras") / "style.safetensors"
    layer = "lora_unet_mid_block_attentions_0_proj_in"
    save_file({f"{layer}.lora_up.weight": torch.ones(64, 2), f"{layer}.lora_down.weight": torch.ones(2, 64)}, path)
    return path


def network(memory, handle):
    with memory.use(handle) as model:
        return model.module


def test_a_model_is_loaded_once(checkpoint):
    memory = ModelMemory()
    assert network(memory, checkpoint.denoiser) is network(memory, checkpoint.denoiser)
    assert len(memory) == 1


def test_the_least_recently_used_model_goes_when_the_budget_is_full(checkpoint):
    sizes = ModelMemory()
    for handle in checkpoint:
        network(sizes, handle)
    memory = ModelMemory(budget=sizes.bytes() - 1)
    denoiser, text, vae = (network(memory, handle) for handle in checkpoint)
    assert memory.bytes() <= sizes.bytes() - 1
    assert network(memory, checkpoint.vae) is vae
    assert network(memory, checkpoint.text_encoder) is text
    assert network(memory, checkpoint.denoiser) is not denoiser


def test_a_model_in_use_is_never_evicted(checkpoint):
    memory = ModelMemory(budget=1)
    with memory.use(checkpoint.denoiser) as model, memory.use(checkpoint.vae):
        assert len(memory) == 2
        assert model.module.conv_in.weight.isfinite().all()
    assert memory.bytes() <= 1


def test_two_patchings_in_use_at_once_have_their_own_weights(checkpoint, style):
    memory = ModelMemory()
    styled, _ = with_lora(checkpoint.denoiser, None, style, 1.0)
    name = "mid_block.attentions.0.proj_in.weight"
    with memory.use(checkpoint.denoiser) as plain, memory.use(styled) as changed:
        difference = changed.module.get_parameter(name) - plain.module.get_parameter(name)
        torch.testing.assert_close(difference.flatten(1), torch.full((64, 64), 2.0))
        with memory.use(styled) as again:
            assert again.module is changed.module


def test_switching_loras_patches_in_place(checkpoint, style):
    memory = ModelMemory()
    plain = network(memory, checkpoint.denoiser)
    before = plain.state_dict()["mid_block.attentions.0.proj_in.weight"].clone()
    for strength in (0.5, 1.0, -1.0):
        assert network(memory, with_lora(checkpoint.denoiser, None, style, strength)[0]) is plain
    assert len(memory) == 1
    network(memory, checkpoint.denoiser)
    assert torch.equal(plain.state_dict()["mid_block.attentions.0.proj_in.weight"], before)


def test_kept_originals_count_as_memory(checkpoint, style):
    memory = ModelMemory()
    network(memory, checkpoint.denoiser)
    before = memory.bytes()
    network(memory, with_lora(checkpoint.denoiser, None, style, 1.0)[0])
    assert memory.bytes() == before + 64 * 64 * 4


def test_free_gives_everything_back_that_is_not_in_use(checkpoint):
    memory = ModelMemory()
    gone = weakref.ref(network(memory, checkpoint.denoiser))
    with memory.use(checkpoint.vae) as kept:
        memory.free()
        assert len(memory) == 1 and kept.module is not None
    memory.free()
    gc.collect()
    assert gone() is None and memory.bytes() == 0


def test_running_out_of_memory_leaves_nothing_behind(checkpoint):
    """Fault F16: the error is raised while the model is in use; pins and references go, the next job works."""
    memory = ModelMemory()

    def job(fail):
        with memory.use(checkpoint.denoiser) as model:
            if fail:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return weakref.ref(model.module)

    kept = job(False)
    with pytest.raises(torch.OutOfMemoryError):
        job(True)
    memory.free()
    gc.collect()
    assert kept() is None and memory.bytes() == 0
    assert job(False)() is not None


def test_running_out_of_memory_while_loading_frees_the_others_and_tries_again(checkpoint, monkeypatch):
    from nodes.models import loading

    memory = ModelMemory()
    network(memory, checkpoint.vae)
    real, calls = loading.denoiser, []

    def short(handle, dtype):
        calls.append(len(memory))
        if len(calls) == 1:
            raise torch.OutOfMemoryError("no")
        return real(handle, dtype)

    monkeypatch.setattr(loading, "denoiser", short)
    network(memory, checkpoint.denoiser)
    assert calls == [1, 0]


def test_a_damaged_file_leaves_no_entry(checkpoint, tmp_path):
    memory = ModelMemory()
    path = tiny.write_sd1_checkpoint(tmp_path / "a.safetensors", tiny.sd1_parts())
    handle = open_checkpoint(path).denoiser
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(GraphError):
        network(memory, handle)
    assert len(memory) == 0


def test_the_device_decides_the_precision(checkpoint):
    cuda, cpu, mps = (torch.device(name) for name in ("cuda", "cpu", "mps"))
    assert suitable_dtype(checkpoint.denoiser, cpu) == torch.float32
    assert suitable_dtype(checkpoint.denoiser, cuda) == torch.float16
    assert suitable_dtype(checkpoint.vae, mps) == torch.float32
    assert suitable_dtype(checkpoint.text_encoder, cuda) == torch.float16


def test_a_handle_can_ask_for_a_precision(checkpoint):
    memory = ModelMemory()
    with memory.use(with_settings(checkpoint.denoiser, dtype="bf16")) as model:
        assert model.dtype == torch.bfloat16 and model.module.conv_in.weight.dtype == torch.bfloat16
    with memory.use(with_settings(checkpoint.denoiser, dtype="fp8")) as model:
        small = [p for p in model.module.parameters() if p.dtype == torch.float8_e4m3fn]
        assert small
        assert model.module(torch.randn(1, 4, 8, 8), 5, torch.randn(1, 7, 64)).sample.isfinite().all()
