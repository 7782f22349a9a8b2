"""What cannot work is refused in words with a remedy: before anything runs where files tell it, else at the node that is to blame."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file, save_file

from nodegraph.messages import Failed, Finished
from tests.nodes.models import tiny
from tests.nodes.workshop import Workshop, graph

LAYER = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"


def lora(width, scale=0.1):
    up, down = torch.randn(64, 4, generator=torch.Generator().manual_seed(1)), torch.randn(4, width, generator=torch.Generator().manual_seed(2))
    return {f"{LAYER}.lora_up.weight": up * scale, f"{LAYER}.lora_down.weight": down, f"{LAYER}.alpha": torch.tensor(4.0)}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    shop = Workshop(tmp_path_factory.mktemp("shop") / "home")
    models, parts = shop.folders.models, SimpleNamespace(unet=tiny.unet(), vae=tiny.vae(levels=4), text_encoder=tiny.clip())
    for name in ("checkpoints", "controlnet", "loras", "vae"):
        (models / name).mkdir(parents=True)
    whole = tiny.write_sd1_checkpoint(models / "checkpoints" / "dreams.safetensors", parts)
    state = load_file(whole)
    save_file({name: value for name, value in state.items() if "cond_stage" not in name}, models / "checkpoints" / "mute.safetensors")
    broken = {name: value * float("nan") if "decoder.conv_out.weight" in name else value for name, value in state.items()}
    save_file(broken, models / "checkpoints" / "dark.safetensors")
    (models / "checkpoints" / "cut.safetensors").write_bytes(whole.read_bytes()[:5000])
    xl = tiny.unet("sdxl")
    tiny.write_sdxl_checkpoint(models / "checkpoints" / "large.safetensors", xl, tiny.vae(levels=4), tiny.clip(), tiny.clip(projected=True, act="gelu"))
    save_file(tiny.prefixed(ControlNetModel.from_unet(xl).state_dict(), ""), models / "controlnet" / "large-lines.safetensors")
    wide = ControlNetModel.from_unet(tiny.unet(context=96), conditioning_embedding_out_channels=(16, 32, 96, 256))
    save_file(tiny.prefixed(wide.state_dict(), ""), models / "controlnet" / "wide-lines.safetensors")
    save_file(tiny.prefixed(tiny.ldm_vae(tiny.vae(levels=4, channels=16)), ""), models / "vae" / "ae-flux.safetensors")
    save_file(lora(2048), models / "loras" / "large.safetensors")
    save_file(lora(96), models / "loras" / "wide.safetensors")
    save_file({name: value * float("nan") if "up" in name else value for name, value in lora(64).items()}, models / "loras" / "broken.safetensors")
    return shop


def painting(nodes=None, links=(), model="dreams.safetensors", without=()):
    """A whole graph from the checkpoint to the picture, with changes."""
    parts = {
        "model": ("loaders/checkpoint", {"file": model}),
        "words": ("conditioning/prompt", {"text": "a fox"}),
        "latent": ("latent/empty", {"width": 64, "height": 64}),
        "sample": ("sampling/sample", {"steps": 2, "guidance": 1.0, "sampler": "euler", "schedule": "normal"}),
        "decode": ("latent/decode", {}),
    }
    joined = [
        "model.denoiser > sample.denoiser", "model.text_encoder > words.text_encoder", "words.conditioning > sample.positive",
        "latent.latent > sample.latent", "sample.latent > decode.latent", "model.vae > decode.vae",
    ]  # fmt: skip
    return graph({**parts, **(nodes or {})}, *(link for link in joined if link not in without), *links)


def lora_between(kind="adapters/lora-denoiser", **values):
    nodes = {"lora": (kind, values)}
    links = ["model.denoiser > lora.denoiser", "lora.denoiser > sample.denoiser"]
    links += ["model.text_encoder > lora.text_encoder"] if kind in ("adapters/lora", "adapters/lora-stack") else []
    return painting(nodes, links, without=("model.denoiser > sample.denoiser",))


def test_a_whole_graph_has_no_problems_and_runs(workshop):
    assert workshop.problems(painting()) == []
    assert workshop.run(painting(), "decode").state == "done"


def refused_at(workshop, made, target="decode"):
    """(node, words) of the one failure, and whatever finished before."""
    assert workshop.run(made, target).state == "failed"
    (failed,) = workshop.told(Failed)
    return failed.node, failed.message


# known from the files, so `nodegraph check` tells it


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("adapters/lora-denoiser", {"file": "large.safetensors"}),
        ("adapters/lora", {"file": "large.safetensors"}),
        ("adapters/lora-schedule", {"file": "large.safetensors"}),
        ("adapters/lora-stack", {"second": "large.safetensors"}),
    ],
)
def test_a_lora_for_another_family_is_told_by_the_check(workshop, kind, values):
    (words,) = workshop.problems(lora_between(kind, **values))
    assert "sdxl" in words and "sd1" in words and "Choose a file for sd1" in words


def test_a_lora_of_a_stack_that_is_turned_off_is_not_asked(workshop):
    assert workshop.problems(lora_between("adapters/lora-stack", first="large.safetensors", first_strength=0.0)) == []


def test_a_controlnet_for_another_family_is_told_by_the_check(workshop):
    nodes = {"net": ("loaders/controlnet", {"file": "large-lines.safetensors"}), "hint": ("image/empty", {"width": 64, "height": 64}), "hold": ("control/apply", {})}
    links = ("words.conditioning > hold.conditioning", "net.controlnet > hold.controlnet", "hint.image > hold.image", "hold.conditioning > sample.positive")
    words = workshop.problems(painting(nodes, links, without=("words.conditioning > sample.positive",)))[0]
    assert "'Apply ControlNet' cannot mix model families" in words and "sdxl" in words and "sd1" in words


def test_a_vae_for_another_family_is_told_by_the_check(workshop):
    other = painting({"other": ("loaders/vae", {"file": "ae-flux.safetensors"})}, ("other.vae > decode.vae",), without=("model.vae > decode.vae",))
    (words,) = workshop.problems(other)
    assert "flux1" in words and "sd1" in words and "one family" in words


def test_words_of_another_familys_text_encoder_are_told_by_the_check(workshop):
    made = painting(
        {"other": ("loaders/checkpoint", {"file": "large.safetensors"})}, ("other.text_encoder > words.text_encoder",), without=("model.text_encoder > words.text_encoder",)
    )  # fmt: skip
    (words,) = workshop.problems(made)
    assert "sdxl" in words and "sd1" in words


def test_a_checkpoint_without_a_text_encoder_is_told_by_the_check_with_a_remedy(workshop):
    (words,) = workshop.problems(painting(model="mute.safetensors"))
    assert "'mute.safetensors' holds no text encoder. Use 'Load denoiser', 'Load text encoder' and 'Load VAE'" in words


def test_a_file_that_was_cut_off_is_told_by_the_check(workshop):
    (words,) = workshop.problems(painting(model="cut.safetensors"))
    assert "cut.safetensors" in words


@pytest.mark.parametrize(("node", "name", "value"), [("latent", "width", 10**6), ("latent", "batch", 10**9), ("sample", "steps", 0), ("sample", "guidance", -1.0)])
def test_an_absurd_number_is_told_by_the_check(workshop, node, name, value):
    (words,) = workshop.problems(painting().with_value(node, name, value))
    assert name in words


# known at the run, and said by the node that is to blame


def test_an_absurd_picture_is_refused_before_memory_is_taken(workshop):
    node, words = refused_at(workshop, painting().with_value("latent", "width", 16384).with_value("latent", "height", 16384))
    assert node == "latent" and "Make it smaller" in words
    assert "sample" not in [event.node for event in workshop.told(Finished)]


def test_a_lora_of_another_width_is_refused_before_anything_is_loaded(workshop):
    node, words = refused_at(workshop, lora_between(file="wide.safetensors"))
    assert node == "lora" and "width 96" in words and "64 wide" in words


def test_a_controlnet_of_another_width_is_refused_before_it_is_loaded(workshop):
    nodes = {"net": ("loaders/controlnet", {"file": "wide-lines.safetensors"}), "hint": ("image/empty", {"width": 64, "height": 64}), "hold": ("control/apply", {})}
    links = ("words.conditioning > hold.conditioning", "net.controlnet > hold.controlnet", "hint.image > hold.image", "hold.conditioning > sample.positive")
    node, words = refused_at(workshop, painting(nodes, links, without=("words.conditioning > sample.positive",)))
    assert node == "sample" and "width 96" in words and "64 wide" in words


def test_numbers_that_break_down_stop_at_the_sampler_that_made_them(workshop):
    node, words = refused_at(workshop, lora_between(file="broken.safetensors"))
    assert node == "sample" and "invalid numbers (NaN) at step 1 of 2" in words and "LoRA" in words


def test_a_damaged_vae_stops_at_the_decoder_and_gives_no_black_picture(workshop):
    node, words = refused_at(workshop, painting(model="dark.safetensors"))
    assert node == "decode" and "even in fp32" in words and "may be damaged" in words
    assert "sample" in [event.node for event in workshop.told(Finished)]


@pytest.mark.parametrize(
    ("kind", "folder", "words"),
    [
        ("loaders/controlnet", "controlnet", "is not a ControlNet: it is a LoRA for Stable Diffusion XL"),
        ("loaders/ip-adapter", "ipadapter", "is not an IP-Adapter: it is a LoRA"),
        ("loaders/vae", "vae", "is not a VAE: it is a LoRA"),
        ("loaders/denoiser", "diffusion_models", "is not a diffusion model: it is a LoRA for Stable Diffusion XL. Use the LoRA node"),
        ("loaders/image-encoder", "clip_vision", "is not a CLIP image encoder: it is a LoRA"),
        ("loaders/checkpoint", "checkpoints", "is not a checkpoint: it is a LoRA"),
    ],
)
def test_a_file_of_another_kind_is_told_by_the_check(workshop, kind, folder, words):
    (workshop.folders.models / folder).mkdir(exist_ok=True)
    save_file(lora(2048), workshop.folders.models / folder / "style.safetensors")
    (told,) = workshop.problems(graph({"load": (kind, {"file": "style.safetensors"})}))
    assert words in told


def test_a_checkpoint_in_the_place_of_a_lora_is_told_by_the_check(workshop):
    whole = workshop.folders.models / "checkpoints" / "dreams.safetensors"
    (told,) = workshop.problems(lora_between(file=str(whole)))
    assert "'dreams.safetensors' is not a LoRA: it is a checkpoint of Stable Diffusion 1" in told


def test_a_faceid_adapter_is_told_by_the_check_with_what_to_use_instead(workshop):
    (workshop.folders.models / "ipadapter").mkdir(exist_ok=True)
    state = {"image_proj.proj.0.weight": torch.zeros(4, 4), "ip_adapter.1.to_k_ip.weight": torch.zeros(4, 4), "ip_adapter.0.to_q_lora.down.weight": torch.zeros(4, 4)}
    save_file(state, workshop.folders.models / "ipadapter" / "face.safetensors")
    (told,) = workshop.problems(graph({"load": ("loaders/ip-adapter", {"file": "face.safetensors"})}))
    assert "FaceID adapter" in told and "use one that looks at pictures" in told
