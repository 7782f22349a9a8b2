"""Our loop against diffusers' stock pipelines: SDXL, Stable Diffusion 3, FLUX.1, bit for bit."""

from dataclasses import replace

import diffusers
import pytest
import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion.families import family_for
from nodes.diffusion.guidance import Cfg, Guided, Perturbed
from nodes.diffusion.loop import sample
from nodes.diffusion.run import draw
from nodes.diffusion.solver import DiffusersSolver
from nodes.diffusion.transformers import pack, unpack
from nodes.diffusion.types import Cond, Control, Family, Inpaint
from tests.nodes.diffusion import tiny

diffusers.utils.logging.set_verbosity_error()

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers' schedulers with numpy 2
STEPS, SIZE = 6, 32
IMAGE = torch.rand(1, 3, SIZE, SIZE, generator=tiny.seeded(9))
HINT = torch.rand(1, 3, SIZE, SIZE, generator=tiny.seeded(10))
MASK = torch.zeros(1, 1, SIZE, SIZE)
MASK[..., 8:24, 8:24] = 1
SMALL_MASK = torch.nn.functional.interpolate(MASK, size=(16, 16))
EULER = diffusers.EulerDiscreteScheduler


def same(ours: Tensor, theirs: Tensor) -> None:
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def run(pipe: object, **call: object) -> Tensor:
    pipe.set_progress_bar_config(disable=True)
    return pipe(output_type="latent", generator=tiny.seeded(), num_inference_steps=STEPS, **call).images


def last(family: Family, method: DiffusersSolver, x: Tensor, positive: Cond, negative: Cond | None, scale: float, **rest: object) -> Tensor:
    *_, step = sample(family, method, x, [positive], [] if negative is None else [negative], rule=Cfg(scale), **rest)
    return step.x


class Xl:
    """SDXL at tiny size."""

    unet, vae = tiny.sdxl(), tiny.vae()
    sizes = {"time_ids": torch.tensor([[32.0, 32, 0, 0, 32, 32]])}
    positive = Cond(tiny.noise(1, 1, 77, 64), tiny.noise(3, 1, 32), sizes)
    negative = Cond(tiny.noise(2, 1, 77, 64), tiny.noise(4, 1, 32), sizes)
    said = {
        "prompt_embeds": positive.embeds, "negative_prompt_embeds": negative.embeds,
        "pooled_prompt_embeds": positive.pooled, "negative_pooled_prompt_embeds": negative.pooled, "guidance_scale": 5.0,
    }  # fmt: skip
    family = family_for("sdxl", unet)

    @classmethod
    def stock(cls, kind: type, scheduler: object, parts: dict[str, object] | None = None, **call: object) -> Tensor:
        encoders = {"text_encoder": None, "text_encoder_2": None, "tokenizer": None, "tokenizer_2": None}
        pipe = kind(vae=cls.vae, unet=cls.unet, scheduler=scheduler, add_watermarker=False, **encoders, **(parts or {}))
        return run(pipe, **(cls.said | call))

    @classmethod
    def solver(cls, kind: type = EULER, strength: float = 1.0, generator: torch.Generator | None = None) -> DiffusersSolver:
        scheduler = tiny.scheduler(kind)
        scheduler.set_timesteps(STEPS)
        return DiffusersSolver(scheduler, scheduler.timesteps[STEPS - int(STEPS * strength) :], generator)

    @classmethod
    def final(cls, method: DiffusersSolver, x: Tensor, **rest: object) -> Tensor:
        return last(cls.family, method, x, cls.positive, cls.negative, 5.0, **rest)


@pytest.mark.parametrize("kind", [EULER, diffusers.DPMSolverMultistepScheduler, diffusers.EulerAncestralDiscreteScheduler])
def test_sdxl_text_to_image_equals_the_stock_pipeline(kind: type) -> None:
    theirs = Xl.stock(diffusers.StableDiffusionXLPipeline, tiny.scheduler(kind), height=SIZE, width=SIZE)
    generator = tiny.seeded()
    method = Xl.solver(kind, generator=generator)
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=generator), full=True)
    same(Xl.final(method, x), theirs)


def test_sdxl_image_to_image_equals_the_stock_pipeline() -> None:
    theirs = Xl.stock(diffusers.StableDiffusionXLImg2ImgPipeline, tiny.scheduler(EULER), image=IMAGE, strength=0.6, original_size=(32, 32), target_size=(32, 32))
    method, generator = Xl.solver(strength=0.6), tiny.seeded()
    latent = tiny.encode(Xl.vae, IMAGE * 2 - 1, generator)
    same(Xl.final(method, method.begin(latent, torch.randn(latent.shape, generator=generator), full=False)), theirs)


def test_sdxl_inpainting_equals_the_stock_pipeline() -> None:
    theirs = Xl.stock(diffusers.StableDiffusionXLInpaintPipeline, tiny.scheduler(EULER), image=IMAGE, mask_image=MASK, strength=0.6, height=SIZE, width=SIZE)
    method, generator = Xl.solver(strength=0.6), tiny.seeded()
    latent = tiny.encode(Xl.vae, IMAGE * 2 - 1, generator)
    drawn = torch.randn(latent.shape, generator=generator)
    same(Xl.final(method, method.begin(latent, drawn, full=False), inpaint=Inpaint(latent, SMALL_MASK, drawn)), theirs)


def test_sdxl_with_a_control_equals_the_stock_pipeline() -> None:
    net = tiny.controlnet(Xl.unet)
    theirs = Xl.stock(diffusers.StableDiffusionXLControlNetPipeline, tiny.scheduler(EULER), {"controlnet": net}, image=HINT, controlnet_conditioning_scale=0.8)
    method = Xl.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    same(Xl.final(method, x, controls=[Control(net, HINT, 0.8)]), theirs)


def test_sdxl_hands_over_from_base_to_refiner_like_the_stock_pipelines() -> None:
    half = Xl.stock(diffusers.StableDiffusionXLPipeline, tiny.scheduler(EULER), height=SIZE, width=SIZE, denoising_end=0.5)
    theirs = Xl.stock(diffusers.StableDiffusionXLImg2ImgPipeline, tiny.scheduler(EULER), image=half, denoising_start=0.5, original_size=(32, 32), target_size=(32, 32))
    method = Xl.solver()
    kept = int((method.timesteps >= 500).sum())
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    *_, stopped = sample(Xl.family, method, x, [Xl.positive], [Xl.negative], rule=Cfg(5.0), stop=kept)
    same(stopped.x, half)
    scheduler = tiny.scheduler(EULER)
    scheduler.set_timesteps(STEPS)
    refiner = DiffusersSolver(scheduler, scheduler.timesteps[kept:])
    same(Xl.final(refiner, refiner.begin(stopped.latent, None, full=False)), theirs)


def test_sdxl_with_a_union_control_equals_the_stock_pipeline() -> None:
    net = tiny.union_controlnet(Xl.unet)
    theirs = Xl.stock(
        diffusers.StableDiffusionXLControlNetUnionPipeline, tiny.scheduler(EULER), {"controlnet": net},
        control_image=[HINT], control_mode=[3], controlnet_conditioning_scale=0.8, height=SIZE, width=SIZE,
    )  # fmt: skip
    method = Xl.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    same(Xl.final(method, x, controls=[Control(net, HINT, 0.8, extra={"control_type_idx": [3]})]), theirs)


def test_deepfloyd_with_its_learned_variance_equals_the_stock_pipeline() -> None:
    unet, positive, negative = tiny.deepfloyd(), Cond(tiny.noise(1, 1, 20, 32)), Cond(tiny.noise(2, 1, 20, 32))

    def chain() -> diffusers.DDPMScheduler:
        return diffusers.DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", thresholding=True, dynamic_thresholding_ratio=0.95, sample_max_value=1.0, variance_type="learned_range"
        )

    none = dict.fromkeys(("safety_checker", "feature_extractor", "watermarker", "text_encoder", "tokenizer"))
    pipe = diffusers.IFPipeline(unet=unet, scheduler=chain(), requires_safety_checker=False, **none)
    pipe.set_progress_bar_config(disable=True)
    said = {"prompt_embeds": positive.embeds, "negative_prompt_embeds": negative.embeds, "guidance_scale": 7.0}
    theirs = pipe(generator=tiny.seeded(), num_inference_steps=STEPS, output_type="pt", **said).images
    scheduler, generator = chain(), tiny.seeded()
    scheduler.set_timesteps(STEPS)
    method = DiffusersSolver(scheduler, generator=generator)
    x = method.begin(torch.zeros(1, 3, 16, 16), torch.randn(1, 3, 16, 16, generator=generator), full=True)
    family = family_for("if", unet, dict(scheduler.config))
    same(last(family, method, x, positive, negative, 7.0), theirs)


class Three:
    """Stable Diffusion 3 at tiny size."""

    transformer, vae = tiny.sd3(), tiny.vae(4, flow=True)
    positive, negative = Cond(tiny.noise(1, 1, 20, 32), tiny.noise(3, 1, 64)), Cond(tiny.noise(2, 1, 20, 32), tiny.noise(4, 1, 64))
    family = family_for("sd3", transformer)

    @classmethod
    def stock(cls, kind: type, controlnet: object = None, **call: object) -> Tensor:
        encoders = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2", "text_encoder_3", "tokenizer_3"))
        parts = {} if controlnet is None else {"controlnet": controlnet}
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
        pipe = kind(transformer=cls.transformer, vae=cls.vae, scheduler=scheduler, **encoders, **parts)
        return run(
            pipe, prompt_embeds=cls.positive.embeds, negative_prompt_embeds=cls.negative.embeds, guidance_scale=5.0, height=SIZE, width=SIZE,
            pooled_prompt_embeds=cls.positive.pooled, negative_pooled_prompt_embeds=cls.negative.pooled, **call,
        )  # fmt: skip

    @classmethod
    def solver(cls, strength: float = 1.0) -> DiffusersSolver:
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0)
        scheduler.set_timesteps(STEPS)
        return DiffusersSolver(scheduler, scheduler.timesteps[int(max(STEPS - min(STEPS * strength, STEPS), 0)) :])


def test_sd3_text_to_image_equals_the_stock_pipeline() -> None:
    theirs, method = Three.stock(diffusers.StableDiffusion3Pipeline), Three.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    same(last(Three.family, method, x, Three.positive, Three.negative, 5.0), theirs)


def test_sd3_image_to_image_equals_the_stock_pipeline() -> None:
    theirs, method, generator = Three.stock(diffusers.StableDiffusion3Img2ImgPipeline, image=IMAGE, strength=0.6), Three.solver(0.6), tiny.seeded()
    latent = tiny.encode(Three.vae, IMAGE * 2 - 1, generator)
    x = method.begin(latent, torch.randn(latent.shape, generator=generator), full=False)
    same(last(Three.family, method, x, Three.positive, Three.negative, 5.0), theirs)


def test_sd3_skips_layers_like_the_stock_pipeline() -> None:
    call = {"skip_guidance_layers": [0], "skip_layer_guidance_scale": 2.8, "skip_layer_guidance_start": 0.0, "skip_layer_guidance_stop": 1.0}
    theirs, method = Three.stock(diffusers.StableDiffusion3Pipeline, **call), Three.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    rule = Guided(Cfg(5.0), (Perturbed(2.8, ("0",), interval=(0.1, 1.0)),))  # theirs begins after step 0, whatever it is told
    *_, step = sample(Three.family, method, x, [Three.positive], [Three.negative], rule=rule)
    torch.testing.assert_close(step.x, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("is_silent", [True, False])
def test_sd3_with_a_control_equals_the_stock_pipeline(is_silent: bool) -> None:
    """Those of InstantX see neither the pooled text nor the VAE's shift; Stability's see both."""
    net, vae = tiny.sd3_controlnet(Three.transformer, force_zeros_for_pooled_projection=is_silent), Three.vae
    torch.manual_seed(5)  # the pipeline draws the hint's latents without its generator, others for the negative prompt than for the prompt
    theirs = Three.stock(diffusers.StableDiffusion3ControlNetPipeline, controlnet=net, control_image=HINT, controlnet_conditioning_scale=0.7)
    torch.manual_seed(5)
    with torch.no_grad():
        hints = vae.encode(torch.cat([HINT, HINT])).latent_dist.sample()
    hints = (hints - (0 if is_silent else vae.config.shift_factor)) * vae.config.scaling_factor
    method = Three.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)
    said = zip((Three.negative, Three.positive), hints.split(1), strict=True)
    negative, positive = (replace(cond, controls=(Control(net, hint, 0.7),)) for cond, hint in said)
    torch.testing.assert_close(last(Three.family, method, x, positive, negative, 5.0), theirs, rtol=0, atol=1e-4)  # they batch two, we one and one


class Flux:
    """FLUX.1 dev at tiny size."""

    transformer, vae = tiny.flux(), tiny.vae(4, flow=True)
    positive, negative = Cond(tiny.noise(1, 1, 20, 32), tiny.noise(3, 1, 32)), Cond(tiny.noise(2, 1, 20, 32), tiny.noise(4, 1, 32))
    family = family_for("flux1", transformer).fitted((1, 4, 16, 16))

    @classmethod
    def stock(cls, kind: type, parts: dict[str, object] | None = None, **call: object) -> Tensor:
        encoders = dict.fromkeys(("text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2"))
        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
        pipe = kind(transformer=cls.transformer, vae=cls.vae, scheduler=scheduler, **encoders, **(parts or {}))
        said = {"prompt_embeds": cls.positive.embeds, "pooled_prompt_embeds": cls.positive.pooled, "guidance_scale": 3.5}
        return unpack(run(pipe, height=SIZE, width=SIZE, **said, **call), 16, 16)

    @classmethod
    def solver(cls, strength: float = 1.0) -> DiffusersSolver:
        import numpy as np
        from diffusers.pipelines.flux.pipeline_flux import calculate_shift

        scheduler = diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1 / STEPS, STEPS), mu=calculate_shift(64))
        return DiffusersSolver(scheduler, scheduler.timesteps[int(max(STEPS - min(STEPS * strength, STEPS), 0)) :])

    @classmethod
    def start(cls, method: DiffusersSolver) -> Tensor:
        return method.begin(torch.zeros(1, 4, 16, 16), torch.randn(1, 4, 16, 16, generator=tiny.seeded()), full=True)


def test_flux_text_to_image_equals_the_stock_pipeline() -> None:
    method = Flux.solver()
    same(last(Flux.family, method, Flux.start(method), Flux.positive, None, 1.0), Flux.stock(diffusers.FluxPipeline))


def test_flux_with_a_negative_prompt_equals_the_stock_pipeline() -> None:
    said = {"negative_prompt_embeds": Flux.negative.embeds, "negative_pooled_prompt_embeds": Flux.negative.pooled, "true_cfg_scale": 4.0}
    method = Flux.solver()
    same(last(Flux.family, method, Flux.start(method), Flux.positive, Flux.negative, 4.0), Flux.stock(diffusers.FluxPipeline, **said))


def test_flux_inpainting_equals_the_stock_pipeline() -> None:
    theirs = Flux.stock(diffusers.FluxInpaintPipeline, image=IMAGE, mask_image=MASK, strength=0.8)
    method, generator = Flux.solver(0.8), tiny.seeded()
    latent = tiny.encode(Flux.vae, IMAGE * 2 - 1, generator)
    drawn = torch.randn(latent.shape, generator=generator)
    x = method.begin(latent, drawn, full=False)
    same(last(Flux.family, method, x, Flux.positive, None, 1.0, inpaint=Inpaint(latent, SMALL_MASK, drawn)), theirs)


def test_flux_with_a_control_equals_the_stock_pipeline() -> None:
    net = tiny.flux_controlnet(Flux.transformer)
    theirs = Flux.stock(diffusers.FluxControlNetPipeline, {"controlnet": net}, control_image=HINT, controlnet_conditioning_scale=0.7)
    generator = tiny.seeded()
    hint = tiny.encode(Flux.vae, HINT, generator)
    drawn = torch.randn(1, 4, 16, 16, generator=generator)
    method = Flux.solver()
    x = method.begin(torch.zeros(1, 4, 16, 16), drawn, full=True)
    same(last(Flux.family, method, x, Flux.positive, None, 1.0, controls=[Control(net, hint, 0.7)]), theirs)


def test_a_masked_control_of_flux_is_none_where_the_mask_is_black_and_controls_of_any_depth_add_up() -> None:
    hint = tiny.noise(7, 1, 4, 16, 16)
    method = Flux.solver()

    def drawn(*controls: Control) -> Tensor:
        return last(Flux.family, Flux.solver(), Flux.start(method), Flux.positive, None, 1.0, controls=controls)

    net, deep = tiny.flux_controlnet(Flux.transformer), tiny.flux_controlnet(Flux.transformer, 6, layers=0)
    same(drawn(Control(net, hint, mask=torch.zeros(1, 1, 32, 32))), drawn())
    torch.testing.assert_close(drawn(Control(net, hint, mask=torch.ones(1, 1, 32, 32))), drawn(Control(net, hint)), rtol=0, atol=1e-5)  # the mask is scaled
    both = drawn(Control(net, hint), Control(deep, hint))
    assert torch.isfinite(both).all() and not torch.allclose(both, drawn(Control(net, hint)), atol=1e-3)


def test_a_control_of_flux_leaves_the_tokens_of_a_reference_picture_alone() -> None:
    """Strength 0 in the numbers, not in the plan: the residuals must still have a place for every token."""
    hint, picture = tiny.noise(7, 1, 4, 16, 16), tiny.noise(8, 1, 4, 16, 16)
    said, method, net = Cond(Flux.positive.embeds, Flux.positive.pooled, {"refs": [picture]}), Flux.solver(), tiny.flux_controlnet(Flux.transformer)
    plain, faint, held = (
        last(Flux.family, Flux.solver(), Flux.start(method), said, None, 1.0, controls=[Control(net, hint, scale)] if scale else [])
        for scale in (0.0, 1e-30, 1.0)
    )
    same(faint, plain)
    assert not torch.allclose(held, plain, atol=1e-3)


def test_flux_fill_equals_the_stock_pipeline() -> None:
    """Its network also sees the picture without the hole, and every pixel of the mask: 4 x 4 and 4 x 4 more numbers a place."""
    transformer = tiny.flux(48, out=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flux, "transformer", transformer)
        theirs = Flux.stock(diffusers.FluxFillPipeline, image=IMAGE, mask_image=MASK, strength=1.0)
    generator = tiny.seeded()
    tiny.encode(Flux.vae, IMAGE * 2 - 1, generator)  # theirs encodes the whole picture first, for strengths below 1
    drawn = torch.randn(1, 4, 16, 16, generator=generator)
    masked = tiny.encode(Flux.vae, (IMAGE * 2 - 1) * (1 - MASK), generator)
    method = Flux.solver()
    said = Cond(Flux.positive.embeds, Flux.positive.pooled, {"concat": torch.cat([masked, torch.nn.functional.pixel_unshuffle(MASK, 2)], 1)})
    family = family_for("flux1", transformer).fitted((1, 4, 16, 16))
    same(last(family, method, method.begin(torch.zeros(1, 4, 16, 16), drawn, full=True), said, None, 1.0), theirs)
    with pytest.raises(GraphError, match="FLUX Fill needs its picture and mask"):
        last(family, method, drawn, Flux.positive, None, 1.0)


def test_flux_with_a_picture_in_its_channels_equals_the_stock_pipeline() -> None:
    """FLUX Canny and Depth."""
    transformer = tiny.flux(32, out=16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flux, "transformer", transformer)
        theirs = Flux.stock(diffusers.FluxControlPipeline, control_image=HINT)
    generator = tiny.seeded()
    picture = tiny.encode(Flux.vae, HINT, generator)
    drawn = torch.randn(1, 4, 16, 16, generator=generator)
    method, said = Flux.solver(), Cond(Flux.positive.embeds, Flux.positive.pooled, {"concat": picture})
    family = family_for("flux1", transformer).fitted((1, 4, 16, 16))
    same(last(family, method, method.begin(torch.zeros(1, 4, 16, 16), drawn, full=True), said, None, 1.0), theirs)


def test_flux_kontext_equals_the_stock_pipeline() -> None:
    theirs = Flux.stock(diffusers.FluxKontextPipeline, image=IMAGE, _auto_resize=False, max_area=SIZE * SIZE)
    with torch.no_grad():
        picture = Flux.vae.encode(IMAGE * 2 - 1).latent_dist.mode()
    picture = (picture - Flux.vae.config.shift_factor) * Flux.vae.config.scaling_factor
    method = Flux.solver()
    said = Cond(Flux.positive.embeds, Flux.positive.pooled, {"refs": [picture]})
    same(last(Flux.family, method, Flux.start(method), said, None, 1.0), theirs)


def test_flux_drawn_by_names_equals_the_stock_pipeline() -> None:
    """Euler on the schedule "simple" of our own is what the pipeline does with its scheduler; 5 steps divide the 10,000 levels."""
    named = replace(Flux.family, latent=replace(Flux.family.latent, channels=4))
    *_, step = draw(named, [Flux.positive], torch.zeros(1, 4, 16, 16), steps=5, schedule="simple", guidance=1.0, seed=0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.STEPS", 5)
        theirs = Flux.stock(diffusers.FluxPipeline)
    torch.testing.assert_close(step.latent, theirs, rtol=0, atol=1e-4)


def test_what_a_transformer_cannot_do_is_refused_with_words() -> None:
    def drawing(family: Family, **rest: object) -> None:
        named = replace(family, latent=replace(family.latent, channels=4))
        list(draw(named, [Flux.positive], torch.zeros(1, 4, 16, 16), steps=1, guidance=1.0, **rest))

    with pytest.raises(GraphError, match="16 divides"):
        Flux.family.fitted((1, 16, 15, 16))
    with pytest.raises(GraphError, match="Skip-layer guidance does not work"):
        drawing(Flux.family, rule=Guided(Cfg(1.0), (Perturbed(3.0, ("0",)),)))
    with pytest.raises(GraphError, match="no sampler for models of the family 'magic'"):
        family_for("magic", Flux.transformer)


def test_packing_a_latent_and_unpacking_it_changes_nothing() -> None:
    latent = tiny.noise(1, 2, 16, 6, 8)
    assert torch.equal(unpack(pack(latent), 6, 8), latent)
