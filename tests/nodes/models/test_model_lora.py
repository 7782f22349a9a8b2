"""LoRA arithmetic against peft and closed forms; every spelling of names; exact unpatching; the wrong family refused."""

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.models import lora, lora_names, names
from nodes.models.handles import Patch
from nodes.models.memory import ModelMemory
from nodes.models.opening import open_checkpoint, with_lora
from tests.nodes.models import tiny

LAYERS = [
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
    "mid_block.attentions.0.transformer_blocks.0.ff.net.0.proj", "up_blocks.1.attentions.0.proj_in", "up_blocks.1.resnets.0.conv1", "conv_in",
]  # fmt: skip


@pytest.fixture(scope="module")
def parts():
    return tiny.sd1_parts()


@pytest.fixture(scope="module")
def checkpoint(parts, tmp_path_factory):
    return tiny.write_sd1_checkpoint(tmp_path_factory.mktemp("lora") / "dreams.safetensors", parts)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def peft_adapter(module, layers, rank=4, alpha=2, **options):
    """A peft adapter with random weights on a copy of the network: (its state dict, the network with the adapter)."""
    import copy

    from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model

    module = copy.deepcopy(module)
    config = LoraConfig(r=rank, lora_alpha=alpha, target_modules=layers, init_lora_weights=False, **options)
    torch.manual_seed(4)
    module = inject_adapter_in_model(config, module)
    for name, parameter in module.named_parameters():
        if "lora_magnitude" in name:
            parameter.data *= 1.3
    return get_peft_model_state_dict(module), module.eval()


def kohya(state, alpha, spelled=lambda name: name):
    """peft's state dict as kohya's trainers write it."""
    out = {}
    for name, value in state.items():
        layer, end = name.split(".lora_")
        key = "lora_unet_" + spelled(layer).replace(".", "_")
        if end.startswith("magnitude"):
            out[f"{key}.dora_scale"] = value.reshape(-1, *[1] * 1)
        else:
            out[f"{key}.lora_{'down' if end.startswith('A') else 'up'}.weight"] = value.contiguous()
            out[f"{key}.alpha"] = torch.tensor(float(alpha))
    return out


def use(handle):
    return ModelMemory().resolve(handle).module


def run(module):
    with torch.inference_mode():
        return module(noise(1, 4, 8, 8), 10, noise(1, 7, 64, seed=1)).sample


@pytest.mark.parametrize("layout", ["kohya", "kohya-original-names", "peft", "peft-with-metadata"])
def test_a_lora_changes_the_picture_as_peft_does(layout, parts, checkpoint, tmp_path):
    state, reference = peft_adapter(parts.unet, LAYERS)
    metadata = None
    if layout == "kohya":
        file = kohya(state, 2)
    elif layout == "kohya-original-names":
        table = names.inverse(names.unet_modules(parts.unet.config))
        file = kohya(state, 2, lambda layer: names.rename(layer, table))
    elif layout == "peft":  # without alpha the scale is 1: twice what alpha 2 at rank 4 gives
        file = {f"unet.{name}": value * (0.5 if "lora_B" in name else 1) for name, value in state.items()}
    else:
        file = {f"unet.{name}": value for name, value in state.items()}
        metadata = {"lora_adapter_metadata": '{"unet.lora_alpha": 2, "unet.r": 4}'}
    save_file({n: v.contiguous() for n, v in file.items()}, tmp_path / "style.safetensors", metadata=metadata)
    denoiser, _ = with_lora(open_checkpoint(checkpoint).denoiser, None, tmp_path / "style.safetensors", 1.0)
    torch.testing.assert_close(run(use(denoiser)), run(reference), rtol=1e-5, atol=1e-5)


def test_dora_changes_the_picture_as_peft_does(parts, checkpoint, tmp_path):
    linear = LAYERS[:3]
    state, reference = peft_adapter(parts.unet, linear, use_dora=True)
    save_file(kohya(state, 2), tmp_path / "dora.safetensors")
    denoiser, _ = with_lora(open_checkpoint(checkpoint).denoiser, None, tmp_path / "dora.safetensors", 1.0)
    torch.testing.assert_close(run(use(denoiser)), run(reference), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["loha", "lokr"])
def test_lycoris_deltas_equal_peft(kind):
    from peft import LoHaConfig, LoKrConfig, inject_adapter_in_model

    torch.manual_seed(0)
    config = (LoHaConfig if kind == "loha" else LoKrConfig)(r=3, alpha=5, target_modules=["0"], init_weights=False)
    module = inject_adapter_in_model(config, torch.nn.Sequential(torch.nn.Linear(64, 96, bias=False)))
    layer = module[0]
    state = {name.split(".")[-2]: value.detach() for name, value in layer.named_parameters() if "base" not in name}
    file = {f"lora_unet_x.{name}": value for name, value in state.items()} | {"lora_unet_x.alpha": torch.tensor(5.0)}
    group = {lora.SUFFIXES["." + name.split(".", 1)[1]]: value for name, value in file.items()}
    torch.testing.assert_close(lora.delta(group, torch.Size((96, 64))), layer.get_delta_weight("default"), rtol=0, atol=1e-6)


def test_lycoris_convolutions_have_the_published_closed_form():
    g = {
        "w1_a": noise(2, 6),
        "w1_b": noise(2, 5, seed=1),
        "w2_a": noise(2, 6, seed=2),
        "w2_b": noise(2, 5, seed=3),
        "t1": noise(2, 2, 3, 3, seed=4),
        "t2": noise(2, 2, 3, 3, seed=5),
    }
    full = sum(torch.einsum("hw,p,r->prhw", g["t1"][i, j], g["w1_a"][i], g["w1_b"][j]) for i in range(2) for j in range(2)) * sum(
        torch.einsum("hw,p,r->prhw", g["t2"][i, j], g["w2_a"][i], g["w2_b"][j]) for i in range(2) for j in range(2)
    )
    torch.testing.assert_close(lora.delta(g, torch.Size((6, 5, 3, 3))), full)
    cp = {"up": noise(6, 2, 1, 1), "down": noise(2, 5, 1, 1, seed=1), "mid": noise(2, 2, 3, 3, seed=2)}
    full = sum(
        torch.einsum("o,i,hw->oihw", cp["up"][:, r, 0, 0], cp["down"][s, :, 0, 0], cp["mid"][r, s]) for r in range(2) for s in range(2)
    )
    torch.testing.assert_close(lora.delta(cp, torch.Size((6, 5, 3, 3))), full)


def test_a_loha_with_alpha_scales_by_alpha_over_rank():
    g = {"w1_a": noise(6, 2), "w1_b": noise(2, 5, seed=1), "w2_a": noise(6, 2, seed=2), "w2_b": noise(2, 5, seed=3)}
    plain = lora.delta(g, torch.Size((6, 5)))
    torch.testing.assert_close(lora.delta({**g, "alpha": torch.tensor(1.0)}, torch.Size((6, 5))), plain / 2)


def style(path, layer="lora_unet_mid_block_attentions_0_proj_in", width=64, seed=0, **more):
    save_file(
        {f"{layer}.lora_up.weight": noise(width, 4, seed=seed), f"{layer}.lora_down.weight": noise(4, width, seed=seed + 1), **more}, path
    )
    return path


def test_loras_stack_by_addition_and_strength_scales(parts, checkpoint, tmp_path):
    a, b = style(tmp_path / "a.safetensors"), style(tmp_path / "b.safetensors", seed=7)
    one = open_checkpoint(checkpoint).denoiser
    stacked, _ = with_lora(with_lora(one, None, a, 0.5)[0], None, b, -2.0)
    name = "mid_block.attentions.0.proj_in.weight"
    base = parts.unet.get_parameter(name)
    change = 0.5 * (noise(64, 4) @ noise(4, 64, seed=1)) - 2 * (noise(64, 4, seed=7) @ noise(4, 64, seed=8))
    torch.testing.assert_close(use(stacked).get_parameter(name), base + change.reshape(base.shape), rtol=0, atol=1e-6)


def test_taking_a_lora_off_restores_the_weights_exactly_without_the_disk(parts, checkpoint, tmp_path):
    file = style(tmp_path / "a.safetensors")
    memory, plain = ModelMemory(), open_checkpoint(checkpoint).denoiser
    changed, _ = with_lora(plain, None, file, 0.7)
    with memory.use(changed) as model:
        network = model.module
        assert not torch.equal(
            network.get_parameter("mid_block.attentions.0.proj_in.weight"),
            parts.unet.get_parameter("mid_block.attentions.0.proj_in.weight"),
        )
    file.unlink()
    with memory.use(plain) as model:
        assert model.module is network
        assert all(torch.equal(value, parts.unet.state_dict()[name]) for name, value in network.state_dict().items())


def test_text_encoder_and_denoiser_have_their_own_strength(parts, checkpoint, tmp_path):
    layer = "lora_te_text_model_encoder_layers_1_mlp_fc1"
    file = style(tmp_path / "a.safetensors", **{f"{layer}.lora_up.weight": noise(128, 4), f"{layer}.lora_down.weight": noise(4, 64)})
    opened = open_checkpoint(checkpoint)
    denoiser, text = with_lora(opened.denoiser, opened.text_encoder, file, 0.0, 0.25)
    assert denoiser == opened.denoiser
    changed = ModelMemory().resolve(text).module.encoder.layers[1].mlp.fc1.weight
    base = parts.text_encoder.encoder.layers[1].mlp.fc1.weight
    torch.testing.assert_close(changed, base + 0.25 * noise(128, 4) @ noise(4, 64), rtol=0, atol=1e-6)


def test_block_weights_scale_parts_of_the_network(parts, checkpoint, tmp_path):
    file = style(tmp_path / "a.safetensors")
    plain = open_checkpoint(checkpoint).denoiser
    off, _ = with_lora(plain, None, file, 1.0, blocks=(("mid_block", 0.0),))
    assert torch.equal(run(use(off)), run(parts.unet))
    half, _ = with_lora(plain, None, file, 1.0, blocks=(("mid_block", 0.5), ("", 1.0)))
    straight, _ = with_lora(plain, None, file, 0.5)
    assert torch.equal(run(use(half)), run(use(straight)))


def test_a_lora_of_another_family_is_refused_before_loading(checkpoint, tmp_path):
    layer = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    save_file(
        {f"{layer}.lora_down.weight": torch.zeros(4, 2048), f"{layer}.lora_up.weight": torch.zeros(640, 4)}, tmp_path / "xl.safetensors"
    )
    with pytest.raises(GraphError, match=r"The LoRA 'xl.safetensors' is for Stable Diffusion XL, but the model is Stable Diffusion 1\."):
        with_lora(open_checkpoint(checkpoint).denoiser, None, tmp_path / "xl.safetensors")


def test_a_lora_of_another_size_names_the_layer(checkpoint, tmp_path):
    denoiser, _ = with_lora(open_checkpoint(checkpoint).denoiser, None, style(tmp_path / "a.safetensors", width=48))
    with pytest.raises(GraphError, match="its layer for 'mid_block.attentions.0.proj_in' has another size than 64x64"):
        use(denoiser)


def test_a_lora_that_names_no_part_of_the_model_is_refused(checkpoint, tmp_path):
    denoiser, _ = with_lora(open_checkpoint(checkpoint).denoiser, None, style(tmp_path / "a.safetensors", layer="lora_unet_wholly_other"))
    with pytest.raises(GraphError, match="names no part of this model"):
        use(denoiser)


def test_a_failed_patch_leaves_no_half_patched_model_behind(parts, checkpoint, tmp_path):
    good, bad = style(tmp_path / "a.safetensors"), style(tmp_path / "b.safetensors", width=48)
    plain = open_checkpoint(checkpoint).denoiser
    memory = ModelMemory()
    with pytest.raises(GraphError):
        memory.resolve(with_lora(with_lora(plain, None, good)[0], None, bad)[0])
    assert torch.equal(run(memory.resolve(plain).module), run(parts.unet))


def test_old_diffusers_attention_names_are_understood(parts):
    table = lora_names.targets(parts.unet, "sd1", "")
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    assert table[lora_names.key(f"unet.{layer}.processor.to_out_lora")] == (f"{layer}.to_out.0",)
    assert table[lora_names.key(f"unet.{layer}.processor.to_q_lora")] == (f"{layer}.to_q",)


def test_a_fused_flux_layer_reaches_query_key_and_value():
    from diffusers import FluxTransformer2DModel

    torch.manual_seed(0)
    net = FluxTransformer2DModel(
        patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=2, joint_attention_dim=32,
        pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
    )  # fmt: skip
    before = {name: value.clone() for name, value in net.state_dict().items()}
    up, down = noise(96, 4), noise(4, 32, seed=1)
    file = lora.LoraFile("f", {"lora_unet_double_blocks_0_img_attn_qkv": {"up": up, "down": down}})
    kept = {}
    assert lora.apply(file, net, 1.0, (), "flux1", "", kept) == 1
    for i, part in enumerate(("to_q", "to_k", "to_v")):
        name = f"transformer_blocks.0.attn.{part}.weight"
        torch.testing.assert_close(net.state_dict()[name] - before[name], (up @ down)[32 * i : 32 * i + 32], rtol=0, atol=1e-6)
    assert set(kept) == {f"transformer_blocks.0.attn.{part}.weight" for part in ("to_q", "to_k", "to_v")}


def test_unsupported_kinds_are_named(tmp_path):
    save_file({"lora_unet_x.oft_blocks": torch.zeros(2, 2)}, tmp_path / "oft.safetensors")
    with pytest.raises(GraphError, match="of the kind OFT, which is not supported"):
        lora.read_lora(Patch(str(tmp_path / "oft.safetensors"), 1.0))


def test_every_layer_of_every_family_has_one_spelling_per_trainer():
    """No two layers of a network share a compared name: a LoRA can never land on the wrong one."""
    for net in (tiny.unet("sd1"), tiny.unet("sdxl"), tiny.unet("unclip")):
        table = lora_names.targets(net, "sd1", "")
        for name, child in net.named_modules():
            if isinstance(getattr(child, "weight", None), torch.nn.Parameter):
                assert table[lora_names.key(f"lora_unet_{name}")] == (name,)
