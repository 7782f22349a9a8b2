"""Our loop against diffusers' stock pipelines, Stable Diffusion 1.x and its variants: the same numbers, bit for bit."""

from collections.abc import Sequence

import diffusers
import pytest
import torch
from torch import Tensor

from nodes.diffusion.guidance import Cfg, Dual, Guided, Perturbed, Rescale, Rule
from nodes.diffusion.loop import sample
from nodes.diffusion.noising import Discrete
from nodes.diffusion.solver import DiffusersSolver
from nodes.diffusion.types import Cond, Control, Inpaint
from nodes.diffusion.unet import UNetFamily
from tests.nodes.diffusion import tiny

diffusers.utils.logging.set_verbosity_error()

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers' schedulers with numpy 2
STEPS, SIZE = 6, 32
UNET, VAE = tiny.sd1(), tiny.vae()
EMBEDS, NEGATIVE = tiny.noise(1, 1, 77, 16), tiny.noise(2, 1, 77, 16)
IMAGE = torch.rand(1, 3, SIZE, SIZE, generator=tiny.seeded(9))
HINT = torch.rand(1, 3, SIZE, SIZE, generator=tiny.seeded(10))
MASK = torch.zeros(1, 1, SIZE, SIZE)
MASK[..., 8:24, 8:24] = 1
SMALL_MASK = torch.nn.functional.interpolate(MASK, size=(16, 16))


def stock(kind: type, scheduler: object, unet: object = UNET, parts: dict[str, object] | None = None, **call: object) -> Tensor:
    """Latents of a stock pipeline of diffusers."""
    shared = {"vae": VAE, "text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None}
    pipe = kind(scheduler=scheduler, unet=unet, requires_safety_checker=False, **shared, **(parts or {}))
    pipe.set_progress_bar_config(disable=True)
    call = {"prompt_embeds": EMBEDS, "negative_prompt_embeds": NEGATIVE, "guidance_scale": 5.0, "num_inference_steps": STEPS} | call
    return pipe(output_type="latent", generator=tiny.seeded(), **call).images


def solver(kind: type, strength: float = 1.0, generator: torch.Generator | None = None, **settings: object) -> DiffusersSolver:
    scheduler = tiny.scheduler(kind, **settings)
    scheduler.set_timesteps(STEPS)
    kept = int(STEPS * strength) * scheduler.order if strength < 1 else len(scheduler.timesteps)
    start = max(STEPS - int(STEPS * strength), 0) * scheduler.order if strength < 1 else 0
    return DiffusersSolver(scheduler, scheduler.timesteps[start:] if kept else scheduler.timesteps, generator)


def final(unet: object, method: DiffusersSolver, x: Tensor, positive: Sequence[Cond] = (Cond(EMBEDS),), negative: Sequence[Cond] = (Cond(NEGATIVE),), **rest: object) -> Tensor:
    family = UNetFamily(unet, noising=method.noising)
    rest = {"rule": Cfg(5.0)} | rest
    *_, last = sample(family, method, x, positive, negative, **rest)
    return last.x


def start(method: DiffusersSolver, generator: torch.Generator) -> Tensor:
    return method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=generator), full=True)


def same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.std() > 0.1  # an empty picture would prove nothing
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


SCHEDULERS = {
    "ddim": (diffusers.DDIMScheduler, {}),
    "ddpm": (diffusers.DDPMScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler karras": (diffusers.EulerDiscreteScheduler, {"use_karras_sigmas": True}),
    "euler_ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {}),
    "dpmpp_2m_sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_2s": (diffusers.DPMSolverSinglestepScheduler, {}),
    "uni_pc": (diffusers.UniPCMultistepScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpm_2": (diffusers.KDPM2DiscreteScheduler, {}),
    "dpm_2_ancestral": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {"steps_offset": 1, "skip_prk_steps": True}),
    "deis": (diffusers.DEISMultistepScheduler, {}),
    "sa_solver": (diffusers.SASolverScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {}),
    "tcd": (diffusers.TCDScheduler, {}),
    "dpmpp_sde": (diffusers.DPMSolverSDEScheduler, {"noise_sampler_seed": 7}),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_text_to_image_equals_the_stock_pipeline_with_every_scheduler(name: str) -> None:
    kind, settings = SCHEDULERS[name]
    theirs = stock(diffusers.StableDiffusionPipeline, tiny.scheduler(kind, **settings), height=SIZE, width=SIZE)
    generator = tiny.seeded()
    method = solver(kind, generator=generator, **settings)
    same(final(UNET, method, start(method, generator)), theirs)


def test_guidance_of_one_asks_for_the_prompt_alone() -> None:
    theirs = stock(diffusers.StableDiffusionPipeline, tiny.scheduler(), height=SIZE, width=SIZE, guidance_scale=1.0, negative_prompt_embeds=None)
    method = solver(diffusers.DDIMScheduler)
    same(final(UNET, method, start(method, tiny.seeded()), rule=Cfg(1.0)), theirs)


def test_rescaled_guidance_equals_the_stock_pipeline() -> None:
    theirs = stock(diffusers.StableDiffusionPipeline, tiny.scheduler(), height=SIZE, width=SIZE, guidance_rescale=0.7)
    method = solver(diffusers.DDIMScheduler)
    same(final(UNET, method, start(method, tiny.seeded()), rule=Guided(Cfg(5.0), (Rescale(0.7),))), theirs)


def test_v_prediction_equals_the_stock_pipeline() -> None:
    settings = {"prediction_type": "v_prediction"}
    theirs = stock(diffusers.StableDiffusionPipeline, tiny.scheduler(diffusers.EulerDiscreteScheduler, **settings), height=SIZE, width=SIZE)
    method = solver(diffusers.EulerDiscreteScheduler, **settings)
    assert method.noising.prediction == "v_prediction"
    same(final(UNET, method, start(method, tiny.seeded())), theirs)


def test_perturbed_attention_equals_the_stock_pipeline() -> None:
    theirs = stock(diffusers.StableDiffusionPAGPipeline, tiny.scheduler(), height=SIZE, width=SIZE, pag_scale=3.0, parts={"image_encoder": None, "pag_applied_layers": "mid"})
    method = solver(diffusers.DDIMScheduler)
    ours = final(UNET, method, start(method, tiny.seeded()), rule=Guided(Cfg(5.0), (Perturbed(3.0, ("mid_block",)),)))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)  # they batch three, we two and one


@pytest.mark.parametrize("name", ["ddim", "euler", "dpmpp_2m", "heun"])
def test_image_to_image_equals_the_stock_pipeline(name: str) -> None:
    kind, settings = SCHEDULERS[name]
    theirs = stock(diffusers.StableDiffusionImg2ImgPipeline, tiny.scheduler(kind, **settings), image=IMAGE, strength=0.6)
    method, generator = solver(kind, 0.6, **settings), tiny.seeded()
    latent = tiny.encode(VAE, IMAGE * 2 - 1, generator)
    x = method.begin(latent, torch.randn(latent.shape, generator=generator), full=False)
    same(final(UNET, method, x), theirs)


@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_inpainting_by_blending_latents_equals_the_stock_pipeline(strength: float) -> None:
    kind = diffusers.EulerDiscreteScheduler
    theirs = stock(diffusers.StableDiffusionInpaintPipeline, tiny.scheduler(kind), image=IMAGE, mask_image=MASK, strength=strength, height=SIZE, width=SIZE)
    method, generator = solver(kind, strength), tiny.seeded()
    latent = tiny.encode(VAE, IMAGE * 2 - 1, generator)
    drawn = torch.randn(latent.shape, generator=generator)
    x = method.begin(latent, drawn, full=strength == 1)
    same(final(UNET, method, x, inpaint=Inpaint(latent, SMALL_MASK, drawn)), theirs)


def test_an_inpaint_model_with_nine_channels_equals_the_stock_pipeline() -> None:
    unet = tiny.sd1(9)
    theirs = stock(diffusers.StableDiffusionInpaintPipeline, tiny.scheduler(), unet, image=IMAGE, mask_image=MASK, strength=1.0, height=SIZE, width=SIZE)
    method, generator = solver(diffusers.DDIMScheduler), tiny.seeded()
    x = start(method, generator)
    masked = tiny.encode(VAE, (IMAGE * 2 - 1) * (MASK < 0.5), generator)
    extra = {"concat": torch.cat([SMALL_MASK, masked], 1)}
    same(final(unet, method, x, [Cond(EMBEDS, extra=extra)], [Cond(NEGATIVE, extra=extra)]), theirs)


def test_instruct_pix2pix_equals_the_stock_pipeline() -> None:
    unet = tiny.sd1(8)
    theirs = stock(
        diffusers.StableDiffusionInstructPix2PixPipeline, tiny.scheduler(diffusers.EulerAncestralDiscreteScheduler), unet,
        image=IMAGE, guidance_scale=7.0, image_guidance_scale=1.5,
    )  # fmt: skip
    generator = tiny.seeded()
    method = solver(diffusers.EulerAncestralDiscreteScheduler, generator=generator)
    x = start(method, generator)
    with torch.no_grad():
        picture = VAE.encode(IMAGE * 2 - 1).latent_dist.mode()
    prompts = {"image": [Cond(NEGATIVE, extra={"concat": picture})]}
    nothing = [Cond(NEGATIVE, extra={"concat": torch.zeros_like(picture)})]
    rule: Rule = Dual(7.0, image_scale=1.5)
    same(final(unet, method, x, [Cond(EMBEDS, extra={"concat": picture})], nothing, rule=rule, prompts=prompts), theirs)


def test_an_image_embedding_as_class_label_reaches_the_network_as_in_unclip() -> None:
    unet = tiny.sd1(class_embed_type="projection", projection_class_embeddings_input_dim=12)
    method = solver(diffusers.DDIMScheduler)
    labels = tiny.noise(5, 1, 12)
    ours = final(unet, method, start(method, tiny.seeded()), [Cond(EMBEDS, extra={"class_labels": labels})], [Cond(NEGATIVE, extra={"class_labels": torch.zeros(1, 12)})])
    scheduler = tiny.scheduler()
    scheduler.set_timesteps(STEPS)
    x = torch.randn(1, 4, 16, 16, generator=tiny.seeded())
    with torch.no_grad():
        for t in scheduler.timesteps:
            both = unet(torch.cat([x] * 2), t, torch.cat([NEGATIVE, EMBEDS]), class_labels=torch.cat([torch.zeros(1, 12), labels])).sample
            uncond, cond = both.chunk(2)
            x = scheduler.step(uncond + 5.0 * (cond - uncond), t, x).prev_sample
    same(ours, x)


def test_a_control_with_an_end_equals_the_stock_pipeline() -> None:
    net = tiny.controlnet(UNET)
    theirs = stock(
        diffusers.StableDiffusionControlNetPipeline, tiny.scheduler(), parts={"controlnet": net},
        image=HINT, controlnet_conditioning_scale=0.8, control_guidance_end=0.7,
    )  # fmt: skip
    method = solver(diffusers.DDIMScheduler)
    same(final(UNET, method, start(method, tiny.seeded()), controls=[Control(net, HINT, 0.8, (0, 0.7))]), theirs)


def test_two_controls_equal_the_stock_pipeline() -> None:
    first, second = tiny.controlnet(UNET), tiny.controlnet(UNET, 33)
    theirs = stock(
        diffusers.StableDiffusionControlNetPipeline, tiny.scheduler(), parts={"controlnet": [first, second]},
        image=[HINT, HINT.flip(-1)], controlnet_conditioning_scale=[0.8, 0.5],
    )  # fmt: skip
    method = solver(diffusers.DDIMScheduler)
    controls = [Control(first, HINT, 0.8), Control(second, HINT.flip(-1), 0.5)]
    same(final(UNET, method, start(method, tiny.seeded()), controls=controls), theirs)


def test_control_and_inpainting_and_image_to_image_together_equal_the_stock_pipeline() -> None:
    net = tiny.controlnet(UNET)
    theirs = stock(
        diffusers.StableDiffusionControlNetInpaintPipeline, tiny.scheduler(), parts={"controlnet": net}, image=IMAGE, mask_image=MASK,
        control_image=HINT, controlnet_conditioning_scale=1.0, strength=0.6, height=SIZE, width=SIZE,
    )  # fmt: skip
    method, generator = solver(diffusers.DDIMScheduler, 0.6), tiny.seeded()
    latent = tiny.encode(VAE, IMAGE * 2 - 1, generator)
    drawn = torch.randn(latent.shape, generator=generator)
    x = method.begin(latent, drawn, full=False)
    same(final(UNET, method, x, controls=[Control(net, HINT)], inpaint=Inpaint(latent, SMALL_MASK, drawn)), theirs)


def test_a_t2i_adapter_equals_the_stock_pipeline() -> None:
    adapter = tiny.adapter()
    unet = tiny.sd1(down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    theirs = stock(
        diffusers.StableDiffusionAdapterPipeline, tiny.scheduler(), unet, parts={"adapter": adapter},
        image=HINT, adapter_conditioning_scale=0.6, height=SIZE, width=SIZE,
    )  # fmt: skip
    method = solver(diffusers.DDIMScheduler)
    same(final(unet, method, start(method, tiny.seeded()), controls=[Control(adapter, HINT, 0.6)]), theirs)


def test_an_image_prompt_equals_the_stock_pipeline() -> None:
    """An IP-Adapter: random weights in every cross attention and in the projection of the picture's features."""
    unet, weights = tiny.sd1(), {}
    torch.manual_seed(11)
    crossing = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for place, name in enumerate(crossing):
        width = unet.get_submodule(name.removesuffix(".processor")).to_k.out_features
        weights |= {f"{2 * place + 1}.to_{part}_ip.weight": torch.randn(width, 16) * 0.3 for part in "kv"}
    projection = {"proj.weight": torch.randn(4 * 16, 12), "proj.bias": torch.zeros(64), "norm.weight": torch.ones(16), "norm.bias": torch.zeros(16)}
    unet._load_ip_adapter_weights([{"image_proj": projection, "ip_adapter": weights}])
    embeds = torch.cat([torch.zeros(1, 1, 12), tiny.noise(6, 1, 1, 12)])
    theirs = stock(diffusers.StableDiffusionPipeline, tiny.scheduler(), unet, height=SIZE, width=SIZE, ip_adapter_image_embeds=[embeds])
    method = solver(diffusers.DDIMScheduler)
    positive, negative = (Cond(text, extra={"image_embeds": [part]}) for text, part in ((EMBEDS, embeds[1:]), (NEGATIVE, embeds[:1])))
    same(final(unet, method, start(method, tiny.seeded()), [positive], [negative]), theirs)


def test_the_noising_of_stable_diffusion_is_that_of_the_schedulers() -> None:
    alphas = tiny.scheduler(diffusers.DDPMScheduler).alphas_cumprod
    torch.testing.assert_close(Discrete().table, ((1 - alphas) / alphas) ** 0.5, rtol=2e-5, atol=0)  # theirs accumulates in fp32
