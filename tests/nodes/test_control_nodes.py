"""ControlNets, T2I-Adapters and image prompts in real runs: tiny networks of the real classes, from file to picture, through the executor."""

from types import SimpleNamespace

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import pixel_shuffle
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from nodegraph.messages import Failed, Progress
from nodes.conditioning import inpaint_model, instruct
from nodes.control import apply_controlnet, fitted_hint, holed
from nodes.loaders import load_controlnet, load_denoiser, load_vae
from nodes.models import names
from nodes.models.memory import MODELS
from nodes.models.opening import open_control
from nodes.pictures.files import encode_png
from nodes.sampling import sample
from nodes.types import Conditioning, Image, Latent, Mask, Part
from nodes.vae import encode
from tests.nodes.diffusion import tiny as networks
from tests.nodes.models import tiny
from tests.nodes.models.test_model_ip_adapter import adapter_state
from tests.nodes.workshop import Workshop, graph

SIDE = 64
SAMPLE = {"steps": 4, "guidance": 3.0, "sampler": "euler", "schedule": "normal", "seed": 5}


def picture(seed: int, width: int = SIDE, height: int = SIDE) -> Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Folders with an SD 1 model and what can be put on it."""
    shop = Workshop(tmp_path_factory.mktemp("shop") / "home")
    models, parts = shop.folders.models, SimpleNamespace(unet=tiny.unet(), vae=tiny.vae(levels=4), text_encoder=tiny.clip())
    for name in ("checkpoints", "controlnet", "ipadapter", "clip_vision", "loras"):
        (models / name).mkdir(parents=True)
    tiny.write_sd1_checkpoint(models / "checkpoints" / "dreams.safetensors", parts)
    for seed, name in enumerate(("lines", "pose")):
        net = ControlNetModel.from_unet(parts.unet, conditioning_embedding_out_channels=(16, 32, 96, 256))
        save_file(tiny.prefixed(tiny.randomised(net, seed).state_dict(), ""), models / "controlnet" / f"{name}.safetensors")
    adapter = T2IAdapter(in_channels=3, channels=[32, 64], num_res_blocks=1, downscale_factor=8, adapter_type="full_adapter")
    tiny.randomised(adapter, 4).save_pretrained(models / "controlnet" / "sketch")
    for seed, name in enumerate(("style", "face")):
        state = adapter_state(parts.unet, seed=seed)
        save_file({f"{part}.{name}": value for part, inner in state.items() for name, value in inner.items()}, models / "ipadapter" / f"{name}.safetensors")
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14, projection_dim=24
    )  # fmt: skip
    tiny.randomised(CLIPVisionModelWithProjection(vision), 7).save_pretrained(models / "clip_vision" / "eyes")
    layer = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
    lora = {f"{layer}.lora_up.weight": torch.randn(64, 4), f"{layer}.lora_down.weight": torch.randn(4, 64), f"{layer}.alpha": torch.tensor(4.0)}
    save_file(lora, models / "loras" / "ink.safetensors")
    for seed, (name, width, height) in enumerate((("hint", SIDE, SIDE), ("other", SIDE, SIDE), ("large", 3 * SIDE, 3 * SIDE), ("wide", 2 * SIDE, SIDE))):
        (shop.folders.input / f"{name}.png").write_bytes(encode_png(picture(seed, width, height)))
    return shop


class Bench:
    """A graph that paints with one prompt, to which controls are added between the prompt and the sampler."""

    def __init__(self, **sampler: object) -> None:
        self.nodes: dict[str, tuple[str, dict]] = {
            "model": ("loaders/checkpoint", {"file": "dreams.safetensors"}),
            "words": ("conditioning/prompt", {"text": "a fox in the snow"}),
            "bad": ("conditioning/prompt", {"text": "blurred"}),
            "latent": ("latent/empty", {"width": SIDE, "height": SIDE}),
            "sample": ("sampling/sample", {**SAMPLE, **sampler}),
        }
        self.links = [
            "model.text_encoder > words.text_encoder", "model.text_encoder > bad.text_encoder", "bad.conditioning > sample.negative",
            "latent.latent > sample.latent",
        ]  # fmt: skip
        self.said, self.denoiser = "words.conditioning", "model.denoiser"

    def control(self, file: str = "lines.safetensors", hint: str = "hint.png", mask: str = "", **values: object) -> "Bench":
        n = f"{len(self.nodes)}"
        self.nodes |= {
            f"net{n}": ("loaders/controlnet", {"file": file, **({"kind": values.pop("kind")} if "kind" in values else {})}),
            f"hint{n}": ("image/load", {"file": hint}),
            f"apply{n}": ("control/apply", values),
        }
        self.links += [f"{self.said} > apply{n}.conditioning", f"net{n}.controlnet > apply{n}.controlnet", f"hint{n}.image > apply{n}.image"]
        if mask:
            self.nodes[f"mask{n}"] = ("mask/shape", MASKS[mask])
            self.links.append(f"mask{n}.mask > apply{n}.mask")
        self.said = f"apply{n}.conditioning"
        return self

    def image_prompt(self, file: str = "style.safetensors", shown: str = "hint.png", mask: str = "", **values: object) -> "Bench":
        n = f"{len(self.nodes)}"
        self.nodes |= {
            f"ip{n}": ("loaders/ip-adapter", {"file": file}), f"eyes{n}": ("loaders/image-encoder", {"file": "eyes"}),
            f"shown{n}": ("image/load", {"file": shown}), f"prompt{n}": ("adapters/image-prompt", values),
        }  # fmt: skip
        self.links += [
            f"{self.denoiser} > prompt{n}.denoiser", f"ip{n}.ip_adapter > prompt{n}.adapter", f"eyes{n}.image_encoder > prompt{n}.encoder",
            f"shown{n}.image > prompt{n}.image",
        ]  # fmt: skip
        if mask:
            self.nodes[f"mask{n}"] = ("mask/shape", MASKS[mask])
            self.links.append(f"mask{n}.mask > prompt{n}.mask")
        self.denoiser = f"prompt{n}.denoiser"
        return self

    def made(self):
        return graph(self.nodes, *self.links, f"{self.denoiser} > sample.denoiser", f"{self.said} > sample.positive")


BOX = {"width": SIDE, "height": SIDE, "x": 0, "y": 0, "shape": "rectangle"}
MASKS = {"all": {**BOX, "shape_width": SIDE, "shape_height": SIDE}, "left": {**BOX, "shape_width": SIDE // 2, "shape_height": SIDE}}


def painted(workshop: Workshop, bench: Bench) -> Tensor:
    outcome = workshop.run(bench.made(), "sample")
    assert outcome.state == "done", workshop.told(Failed)
    return outcome.values["sample"]["latent"].samples


def refused(workshop: Workshop, bench: Bench) -> str:
    assert workshop.run(bench.made(), "sample").state == "failed"
    (failed,) = workshop.told(Failed)
    return failed.message


def test_a_control_holds_the_picture_and_strength_0_leaves_it_alone(workshop):
    plain, held = painted(workshop, Bench()), painted(workshop, Bench().control())
    assert not torch.allclose(plain, held, atol=0.01)
    assert torch.equal(painted(workshop, Bench().control(strength=0.0)), plain)
    assert not torch.allclose(painted(workshop, Bench().control(hint="other.png")), held, atol=0.01)


def test_the_nodes_paint_what_the_stock_pipeline_paints(workshop):
    """A stack of two ControlNets of different strength, of which one lets go after half of the steps."""
    import diffusers

    from nodes.conditioning import prompt
    from nodes.image_io import load_image
    from nodes.loaders import load_checkpoint

    ours = painted(workshop, Bench().control(strength=0.8, end=0.5).control("pose.safetensors", "other.png", strength=0.4))
    models = workshop.folders.models
    opened = load_checkpoint(models / "checkpoints" / "dreams.safetensors")
    nets = [open_control(models / "controlnet" / f"{name}.safetensors") for name in ("lines", "pose")]
    with MODELS.use(opened.denoiser.handle) as unet, MODELS.use(opened.vae.handle) as vae, MODELS.use(nets[0]) as first, MODELS.use(nets[1]) as second:
        scheduler = diffusers.EulerDiscreteScheduler.from_config(dict(unet.scheduler), timestep_spacing="linspace")
        pipe = diffusers.StableDiffusionControlNetPipeline(
            vae=vae.module, text_encoder=None, tokenizer=None, unet=unet.module, controlnet=[first.module, second.module], scheduler=scheduler,
            safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        )  # fmt: skip
        pipe.set_progress_bar_config(disable=True)
        scheduler.set_timesteps(4)
        sigma = float(scheduler.sigmas[0])
        noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(5))
        said = [prompt(opened.text_encoder, text).parts[0].embeds for text in ("a fox in the snow", "blurred")]
        hints = [load_image(workshop.folders.input / f"{name}.png").image.pixels for name in ("hint", "other")]
        theirs = pipe(
            prompt_embeds=said[0], negative_prompt_embeds=said[1], image=hints, num_inference_steps=4, guidance_scale=3.0, height=SIDE, width=SIDE,
            controlnet_conditioning_scale=[0.8, 0.4], control_guidance_end=[0.5, 1.0], output_type="latent",
            latents=noise * (1 + sigma**2) ** 0.5 / sigma,  # theirs begins at sigma, ours at the whole noise of sigma and picture
        ).images  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-3)


def test_a_stack_counts_together_and_its_order_does_not_matter(workshop):
    one = painted(workshop, Bench().control().control("pose.safetensors", "other.png", strength=0.5))
    two = painted(workshop, Bench().control("pose.safetensors", "other.png", strength=0.5).control())
    torch.testing.assert_close(one, two, rtol=0, atol=1e-3)
    assert not torch.allclose(one, painted(workshop, Bench().control()), atol=0.01)


def test_a_control_that_lets_go_earlier_costs_only_the_steps_after(workshop):
    painted(workshop, Bench(seed=71).control())
    early = painted(workshop, Bench(seed=71).control(end=0.5))
    assert [event.done for event in workshop.told(Progress) if event.node == "sample" and event.total == 4][:1] == [2.0]  # where it goes on
    fresh = painted(workshop, Bench(seed=72).control(end=0.5))
    assert not torch.equal(early, fresh)
    workshop.cache.clear()
    assert torch.equal(painted(workshop, Bench(seed=71).control(end=0.5)), early)


def test_a_mask_says_where_a_control_holds(workshop):
    everywhere, plain = painted(workshop, Bench().control(mask="all")), painted(workshop, Bench())
    torch.testing.assert_close(everywhere, painted(workshop, Bench().control()), rtol=0, atol=1e-4)
    half = painted(workshop, Bench(steps=1).control(mask="left"))
    whole, none = painted(workshop, Bench(steps=1).control()), painted(workshop, Bench(steps=1))
    assert (half - whole).abs()[..., :2].mean() < (half - none).abs()[..., :2].mean()
    assert (half - none).abs()[..., 6:].mean() < (half - whole).abs()[..., 6:].mean()
    assert not torch.equal(everywhere, plain)


def test_an_adapter_for_grey_pictures_is_shown_a_grey_one(workshop):
    adapter = T2IAdapter(in_channels=1, channels=[32, 64], num_res_blocks=1, downscale_factor=8, adapter_type="full_adapter")
    tiny.randomised(adapter, 6).save_pretrained(workshop.folders.models / "controlnet" / "grey")
    (workshop.folders.input / "grey.png").write_bytes(encode_png(picture(0).mean(0, keepdim=True).expand(3, -1, -1)))
    coloured, grey = (painted(workshop, Bench().control("grey", f"{name}.png")) for name in ("hint", "grey"))
    torch.testing.assert_close(coloured, grey, rtol=0, atol=0.05)  # the mean was rounded to bytes
    assert not torch.allclose(coloured, painted(workshop, Bench()), atol=0.1)


def test_a_hole_is_marked_as_models_for_inpainting_were_trained(workshop):
    where = torch.zeros(1, 1, 32, 32)
    where[..., :16] = 1
    hint, black = picture(1)[None], holed(picture(1)[None], where, "controlnet-union")
    marked = holed(hint, where, "controlnet")
    assert (marked[..., :30] == -1).all() and (black[..., :30] == 0).all()
    assert torch.equal(marked[..., 34:], hint[..., 34:]) and torch.equal(black[..., 34:], hint[..., 34:])
    bench = Bench().control()
    apply = bench.said.split(".")[0]
    bench.nodes["hole"] = ("mask/shape", MASKS["left"])
    bench.links.append(f"hole.mask > {apply}.hole")
    assert not torch.allclose(painted(workshop, bench), painted(workshop, Bench().control()), atol=0.01)


def test_a_t2i_adapter_is_applied_like_a_controlnet(workshop):
    plain, held = painted(workshop, Bench()), painted(workshop, Bench().control("sketch"))
    assert not torch.allclose(plain, held, atol=0.01)
    both = painted(workshop, Bench().control("sketch", strength=0.5).control())
    assert not torch.allclose(both, held, atol=0.01) and torch.isfinite(both).all()


def low_rank(unet, seed: int) -> tuple[ControlNetModel, dict[str, Tensor]]:
    """A ControlNet whose first half differs from the UNet's by changes of rank 2, and the Control-LoRA that says so, as Stability writes them."""
    net = tiny.randomised(ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 96, 256)), seed)
    table, base = names.inverse(names.unet_modules(net.config, is_controlnet=True)), unet.state_dict()
    told, state = {"lora_controlnet": torch.zeros(())}, net.state_dict()
    for k, name in enumerate(state):
        module, _, kind = name.rpartition(".")
        if "controlnet" in name:
            told[names.rename(name, table)] = state[name].clone()
        elif kind == "weight" and state[name].ndim > 1 and k % 3:
            up, down = networks.noise(seed + k, base[name].shape[0], 2) * 0.1, networks.noise(seed + 2 * k, 2, base[name][0].numel()) * 0.1
            state[name] = base[name] + (up @ down).reshape(base[name].shape)
            told |= {f"{names.rename(module, table)}.up": up, f"{names.rename(module, table)}.down": down}
        else:
            state[name] = base[name]
    net.load_state_dict(state)
    return net, told


def test_a_control_lora_paints_what_the_controlnet_paints_that_it_stands_for(workshop):
    net, told = low_rank(tiny.unet(), 11)
    folder = workshop.folders.models / "controlnet"
    save_file(tiny.prefixed(net.state_dict(), ""), folder / "full.safetensors")
    save_file(told, folder / "small.safetensors")
    assert (folder / "small.safetensors").stat().st_size < (folder / "full.safetensors").stat().st_size
    handle = open_control(folder / "small.safetensors")
    assert (handle.family, handle.kind) == ("sd1", "control-lora")
    full, small = (painted(workshop, Bench().control(f"{name}.safetensors")) for name in ("full", "small"))
    torch.testing.assert_close(small, full, rtol=0, atol=1e-4)
    assert not torch.allclose(small, painted(workshop, Bench()), atol=0.01)


def test_a_control_lora_for_other_shapes_is_refused_in_words(workshop):
    _, told = low_rank(tiny.unet(context=96), 12)
    save_file(told, workshop.folders.models / "controlnet" / "foreign.safetensors")
    assert "does not fit this model" in refused(workshop, Bench().control("foreign.safetensors"))
    narrow = {name: value[:, :-1].contiguous() if name.endswith("attn1.to_q.down") else value for name, value in low_rank(tiny.unet(), 13)[1].items()}
    save_file(narrow, workshop.folders.models / "controlnet" / "narrow.safetensors")
    assert "does not fit this model" in refused(workshop, Bench().control("narrow.safetensors"))


def counting(workshop: Workshop, bench: Bench, module: torch.nn.Module) -> list[int]:
    """Rows of every call of a module while a graph runs."""
    rows: list[int] = []
    handle = module.register_forward_hook(lambda _module, args, _out: rows.append(args[0].shape[0]))
    try:
        painted(workshop, bench)
    finally:
        handle.remove()
    return rows


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_a_hint_is_embedded_once_a_run_and_a_control_asked_once_for_each_look_at_the_latents(workshop, sampler):
    looks = {"euler": 4, "heun": 7}[sampler]
    with MODELS.use(open_control(workshop.folders.models / "controlnet" / "lines.safetensors")) as net:
        assert counting(workshop, Bench(seed=80, sampler=sampler).control(), net.module.controlnet_cond_embedding.conv_in) == [2]
        assert counting(workshop, Bench(seed=81, sampler=sampler).control(), net.module) == [2] * looks
    with MODELS.use(open_control(workshop.folders.models / "controlnet" / "sketch")) as net:
        assert counting(workshop, Bench(seed=82, sampler=sampler).control("sketch"), net.module) == [1]


def test_a_finished_run_asks_its_control_no_more(workshop):
    with MODELS.use(open_control(workshop.folders.models / "controlnet" / "lines.safetensors")) as net:
        assert len(counting(workshop, Bench(seed=90).control(), net.module)) == 4
        assert counting(workshop, Bench(seed=90).control(), net.module) == []
        assert len(counting(workshop, Bench(seed=90, steps=4, sampler="dpmpp_2m").control(), net.module)) == 4


def regional(bench: Bench, other: str, **values: object) -> Bench:
    """The bench with a second prompt on the right half; the control that is on the first one stays on the left."""
    bench.nodes |= {
        "right": ("conditioning/prompt", {"text": "a house"}), "there": ("conditioning/area", {"x": 0.5}), "here": ("conditioning/area", {}),
        "both": ("conditioning/combine", {}),
    }  # fmt: skip
    bench.links += ["model.text_encoder > right.text_encoder", "right.conditioning > there.conditioning", f"{bench.said} > here.conditioning"]
    bench.said = "here.conditioning"
    bench.links += [f"{bench.said} > both.conditionings", f"{other} > both.conditionings"]
    bench.said = "both.conditioning"
    return bench


def test_a_control_behind_one_of_two_prompts_holds_only_its_half(workshop):
    """After one step each half is what its own prompt makes of it; with the control behind the combination both are held."""
    mine = painted(workshop, regional(Bench(steps=1).control(), "there.conditioning"))
    free = painted(workshop, regional(Bench(steps=1), "there.conditioning"))
    left, right = slice(0, 3), slice(5, 8)  # between them the halves are blended
    torch.testing.assert_close(mine[..., right], free[..., right], rtol=0, atol=1e-4)
    assert (mine - free).abs()[..., left].mean() > 0.01
    both = painted(workshop, regional(Bench(steps=1), "there.conditioning").control())
    torch.testing.assert_close(both[..., left], mine[..., left], rtol=0, atol=1e-4)
    assert (both - free).abs()[..., right].mean() > 0.01


def test_everything_at_once(workshop):
    """LoRA, two controls, a mask, two regional prompts, a prompt schedule, an image prompt, perturbed attention, a step range, image to image."""
    bench = regional(Bench(denoise=0.8, last_step=3, leave_noise=True).control(end=0.7).control("sketch"), "there.conditioning").image_prompt()
    bench.nodes |= {
        "lora": ("adapters/lora-denoiser", {"file": "ink.safetensors"}), "pag": ("adapters/perturbed-attention", {}),
        "photo": ("image/load", {"file": "other.png"}), "hole": ("mask/shape", MASKS["left"]), "encode": ("latent/encode", {}),
    }  # fmt: skip
    bench.nodes["words"] = ("conditioning/prompt", {"text": "a [fox:(cat:1.2):0.5] in the snow", "steps": 4})
    bench.links.remove("latent.latent > sample.latent")
    bench.links += [
        f"{bench.denoiser} > lora.denoiser", "lora.denoiser > pag.denoiser", "photo.image > encode.image", "model.vae > encode.vae",
        "hole.mask > encode.mask", "encode.latent > sample.latent",
    ]  # fmt: skip
    bench.denoiser = "pag.denoiser"
    assert torch.isfinite(painted(workshop, bench)).all()
    outcome = workshop.run(bench.made(), "sample")
    assert outcome.values["sample"]["latent"].sigma > 0


def test_an_image_prompt_speaks_beside_the_words_and_several_are_added(workshop):
    plain, shown = painted(workshop, Bench()), painted(workshop, Bench().image_prompt())
    assert not torch.allclose(plain, shown, atol=0.01)
    assert torch.equal(painted(workshop, Bench().image_prompt(strength=0.0)), plain)
    assert not torch.allclose(painted(workshop, Bench().image_prompt(shown="other.png")), shown, atol=1e-4)
    one = painted(workshop, Bench().image_prompt().image_prompt("face.safetensors", "other.png", strength=0.3))
    two = painted(workshop, Bench().image_prompt("face.safetensors", "other.png", strength=0.3).image_prompt())
    torch.testing.assert_close(one, two, rtol=0, atol=1e-3)
    assert not torch.allclose(one, shown, atol=0.01)


def test_a_mask_says_where_an_image_prompt_counts(workshop):
    everywhere = painted(workshop, Bench().image_prompt(mask="all"))
    torch.testing.assert_close(everywhere, painted(workshop, Bench().image_prompt()), rtol=0, atol=1e-3)
    assert not torch.allclose(painted(workshop, Bench().image_prompt(mask="left")), everywhere, atol=0.01)


# the picture of a control


def test_a_hint_of_the_same_proportions_is_scaled_and_one_that_encode_would_trim_is_trimmed():
    even = picture(1)[None]
    assert fitted_hint(even, (SIDE, SIDE)) is even or torch.equal(fitted_hint(even, (SIDE, SIDE)), even)
    odd = picture(1, SIDE + 5, SIDE + 3)[None]
    assert torch.equal(fitted_hint(odd, (SIDE, SIDE)), odd[..., 1 : 1 + SIDE, 2 : 2 + SIDE])
    twice = even.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(fitted_hint(twice, (SIDE, SIDE)), even)


def test_a_large_hint_is_scaled_to_the_picture(workshop):
    assert torch.isfinite(painted(workshop, Bench().control(hint="large.png"))).all()


def test_a_hint_of_other_proportions_is_refused_with_both_sizes_and_a_remedy(workshop):
    words = refused(workshop, Bench().control(hint="wide.png"))
    assert "128 × 64" in words and "64 × 64" in words and "'Crop image'" in words


def test_a_control_that_ends_before_it_starts_is_refused(workshop):
    assert "start before it ends" in refused(workshop, Bench().control(start=0.6, end=0.5))


# union models, and the families that look through a VAE


def test_a_union_control_is_told_what_its_picture_shows(tmp_path):
    unet = networks.sdxl()
    networks.union_controlnet(unet).save_pretrained(tmp_path / "union")
    unet.save_pretrained(tmp_path / "unet")
    denoiser = load_denoiser(tmp_path / "unet")
    said = Conditioning((Part(networks.noise(1, 1, 77, 64), networks.noise(2, 1, 32)),))

    def drawn(kind: str) -> Tensor:
        held = apply_controlnet(said, load_controlnet(tmp_path / "union", kind), Image(picture(1, 16, 16)[None]))
        return sample(denoiser, held, Latent(torch.zeros(1, 4, 8, 8), downscale=2, empty=True), **{**SAMPLE, "steps": 1}).samples

    with pytest.raises(ValueError, match="must be told what its picture shows"):
        drawn("")
    with pytest.raises(ValueError, match="does not know 'tile'"):
        drawn("tile")
    with pytest.raises(ValueError, match="takes no 'blur'"):
        drawn("blur")


def test_a_control_of_one_kind_is_not_told_another(workshop):
    assert "made for one kind of picture" in refused(workshop, Bench().control(kind="depth"))


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """FLUX and SD3 with ControlNets of their own, as folders, and a VAE with 16 channels."""
    folder = tmp_path_factory.mktemp("flow")
    flux, three = networks.flux(64), networks.sd3(channels=16)
    flux.save_pretrained(folder / "flux")
    three.save_pretrained(folder / "sd3")
    networks.flux_controlnet(flux).save_pretrained(folder / "flux-lines")
    networks.flux_controlnet(flux, 6, num_mode=5).save_pretrained(folder / "flux-union")
    networks.flux_controlnet(flux, 7, conditioning_embedding_channels=16, patch_size=2).save_pretrained(folder / "flux-pixels")
    networks.sd3_controlnet(three, in_channels=16, out_channels=16).save_pretrained(folder / "sd3-lines")
    options = {"use_quant_conv": False, "use_post_quant_conv": False, "shift_factor": 0.1, "scaling_factor": 0.5}
    tiny.vae(levels=4, channels=16, **options).save_pretrained(folder / "vae")
    return folder


FLOW = {"flux": (Part(networks.noise(1, 1, 9, 32), networks.noise(2, 1, 32)), "flux1"), "sd3": (Part(networks.noise(1, 1, 9, 32), networks.noise(2, 1, 64)), "sd3")}
HINT = Image(picture(3)[None])


def drawn(folder, name: str, net: str = "", with_vae: bool = True, kind: str = "", **values: object) -> Tensor:
    part, family = FLOW[name]
    said = Conditioning((part,))
    if net:
        vae = load_vae(folder / "vae", family) if with_vae else None
        said = apply_controlnet(said, load_controlnet(folder / net, kind), HINT, vae=vae, **values)
    empty = Latent(torch.zeros(1, 16, 8, 8), empty=True)
    return sample(load_denoiser(folder / name), said, empty, steps=2, guidance=1.0, sampler="euler", schedule="simple").samples


@pytest.mark.parametrize("name", ["flux", "sd3"])
def test_transformers_look_at_the_picture_through_their_vae_and_ask_for_it(flow, name):
    plain, held = drawn(flow, name), drawn(flow, name, f"{name}-lines")
    assert torch.isfinite(held).all() and not torch.allclose(plain, held, atol=1e-3)
    half = drawn(flow, name, f"{name}-lines", end=0.5)
    assert not torch.allclose(half, held, atol=1e-4) and not torch.allclose(half, plain, atol=1e-4)
    with pytest.raises(ValueError, match="Connect that VAE"):
        drawn(flow, name, f"{name}-lines", with_vae=False)


def test_the_latents_that_a_transformers_control_sees_are_those_of_the_vae(flow):
    from nodes.diffusion import vae
    from nodes.diffusion.families import family_for
    from nodes.diffusion.run import draw
    from nodes.diffusion.types import Cond, Control
    from nodes.models.loading import scheduler

    part, _ = FLOW["flux"]
    handle = load_denoiser(flow / "flux").handle
    with MODELS.use(handle) as net, MODELS.use(open_control(flow / "flux-lines")) as control, MODELS.use(load_vae(flow / "vae", "flux1").handle) as auto:
        family = family_for("flux1", net.module, scheduler(handle))
        held = [Control(control.module, vae.encode(auto.module, HINT.pixels), 0.6)]
        *_, step = draw(family, [Cond(part.embeds, part.pooled)], torch.zeros(1, 16, 8, 8), steps=2, schedule="simple", guidance=1.0, controls=held)
    assert torch.equal(drawn(flow, "flux", "flux-lines", strength=0.6), step.latent)


def test_flux_controls_that_see_pixels_need_no_vae_and_union_ones_a_kind(flow):
    plain = drawn(flow, "flux")
    assert not torch.allclose(drawn(flow, "flux", "flux-pixels", with_vae=False), plain, atol=1e-3)
    canny, depth = (drawn(flow, "flux", "flux-union", kind=kind) for kind in ("canny", "depth"))
    assert not torch.allclose(canny, depth, atol=1e-5)
    with pytest.raises(ValueError, match="must be told what its picture shows"):
        drawn(flow, "flux", "flux-union")
    with pytest.raises(ValueError, match="does not know 'grey'"):
        drawn(flow, "flux", "flux-union", kind="grey")


def test_a_control_for_another_family_is_refused_before_anything_is_loaded(workshop, flow):
    bench = Bench().control(str(flow / "flux-lines"))
    (words,) = {words for words in workshop.problems(bench.made()) if "famil" in words}
    assert "flux1" in words and "sd1" in words
    with pytest.raises(ValueError, match="is for FLUX"):
        said = apply_controlnet(Conditioning((FLOW["sd3"][0],)), load_controlnet(flow / "flux-pixels"), HINT)
        sample(load_denoiser(flow / "sd3"), said, Latent(torch.zeros(1, 16, 8, 8), empty=True), steps=1)


def test_flux_models_that_see_a_picture_in_their_channels_are_shown_it_by_the_nodes(flow):
    """FLUX Fill by 'Inpaint model input', FLUX Canny and Depth by 'Instruct input'."""
    networks.flux(384, out=64).save_pretrained(flow / "fill")
    networks.flux(128, out=64).save_pretrained(flow / "canny")
    vae, said, hole = load_vae(flow / "vae", "flux1"), Conditioning((FLOW["flux"][0],)), torch.zeros(1, 1, SIDE, SIDE)
    hole[..., :32] = 1
    positive, negative, latent = inpaint_model(said, said, vae, HINT, Mask(hole))
    seen = positive.parts[0].extra["concat"]
    assert seen.shape == (1, 16 + 64, 8, 8) and torch.equal(pixel_shuffle(seen[:, 16:], 8), hole)
    settings = {"steps": 2, "guidance": 1.0, "sampler": "euler", "schedule": "simple"}
    filled = sample(load_denoiser(flow / "fill"), positive, latent, negative, **settings).samples
    assert torch.equal(filled[..., 5:], latent.samples[..., 5:]) and not torch.allclose(filled[..., :3], latent.samples[..., :3])
    edges, _, empty = instruct(said, said, vae, HINT)
    assert torch.equal(edges.parts[0].extra["concat"], encode(HINT, vae).samples)
    assert torch.isfinite(sample(load_denoiser(flow / "canny"), edges, empty, **settings).samples).all()
    with pytest.raises(ValueError, match="FLUX Fill needs its picture and mask"):
        sample(load_denoiser(flow / "fill"), said, empty, **settings)
