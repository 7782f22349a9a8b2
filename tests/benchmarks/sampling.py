"""Our loop against diffusers' pipeline on the same weights in the same run: `python tests/benchmarks/sampling.py [--size 512] [--pairs 5]`.

A UNet of Stable Diffusion's layout at about a third of its width; pipeline and loop take turns, so that both see the same machine. Prints the
median step time of each in CPU seconds (which other work on the machine disturbs less than the clock), their ratio, the share of a step that our loop spends outside the network, and of a preview.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers
import torch

from nodes.diffusion.guidance import Cfg
from nodes.diffusion.latents import SD1
from nodes.diffusion.loop import sample
from nodes.diffusion.preview import Previewer
from nodes.diffusion.run import draw
from nodes.diffusion.solver import DiffusersSolver
from nodes.diffusion.types import Cond, Control
from nodes.diffusion.unet import UNetFamily

diffusers.utils.logging.set_verbosity_error()


def unet(width: int) -> diffusers.UNet2DConditionModel:
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        block_out_channels=(width, 2 * width, 4 * width, 4 * width), layers_per_block=2, cross_attention_dim=768, attention_head_dim=8, sample_size=64
    ).eval()


class Timed:
    """Adds up the time that the network takes."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.spent, self.began = 0.0, 0.0
        module.register_forward_pre_hook(lambda *_: setattr(self, "began", time.process_time()))
        module.register_forward_hook(lambda *_: setattr(self, "spent", self.spent + time.process_time() - self.began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--control", action="store_true", help="with a ControlNet")
    given = parser.parse_args()
    net, side = unet(given.width), given.size // 8
    control = diffusers.ControlNetModel.from_unet(net).eval() if given.control else None
    hint = torch.rand(1, 3, given.size, given.size)
    embeds, negative = torch.randn(1, 77, 768), torch.randn(1, 77, 768)
    vae = diffusers.AutoencoderKL(block_out_channels=(8, 8, 8, 8), down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, norm_num_groups=2)
    timed = Timed(net)

    def scheduler() -> diffusers.EulerDiscreteScheduler:
        return diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)

    parts = {"vae": vae, "text_encoder": None, "tokenizer": None, "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    kind = diffusers.StableDiffusionPipeline if control is None else diffusers.StableDiffusionControlNetPipeline
    pipe = kind(unet=net, scheduler=scheduler(), **parts, **({} if control is None else {"controlnet": control}))
    pipe.set_progress_bar_config(disable=True)
    picture = {} if control is None else {"image": hint}

    def theirs() -> torch.Tensor:
        return pipe(
            prompt_embeds=embeds, negative_prompt_embeds=negative, num_inference_steps=given.steps, guidance_scale=5.0,
            height=given.size, width=given.size, generator=torch.Generator().manual_seed(0), output_type="latent", **picture,
        ).images  # fmt: skip

    family = UNetFamily(net)
    controls = [] if control is None else [Control(control, hint)]

    def ours() -> torch.Tensor:
        made = scheduler()
        made.set_timesteps(given.steps)
        solver = DiffusersSolver(made)
        x = solver.begin(torch.zeros(1, 4, side, side), torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(0)), full=True)
        *_, last = sample(family, solver, x, [Cond(embeds)], [Cond(negative)], rule=Cfg(5.0), controls=controls)
        return last.x

    def named() -> torch.Tensor:
        *_, last = draw(family, [Cond(embeds)], torch.zeros(1, 4, side, side), [Cond(negative)], steps=given.steps, guidance=5.0, controls=controls)
        return last.x

    print("largest difference from the pipeline:", float((theirs() - ours()).abs().max()))
    runs: dict[str, list[float]] = {"pipeline": [], "loop": [], "draw": []}
    shares: list[float] = []
    for _ in range(given.pairs):
        for name, call in (("pipeline", theirs), ("loop", ours), ("draw", named)):
            timed.spent, began = 0.0, time.process_time()
            call()
            took = time.process_time() - began
            runs[name].append(took / given.steps)
            if name == "draw" and control is None:
                shares.append(1 - timed.spent / took)
    steps = {name: statistics.median(taken) for name, taken in runs.items()}
    for name, taken in steps.items():
        print(f"{name:9s} {1000 * taken:8.1f} ms a step   / pipeline {statistics.median(a / b for a, b in zip(runs[name], runs['pipeline'], strict=True)):.3f}")
    if shares:
        print(f"outside the network: {100 * statistics.median(shares):.2f} % of a step")
    previewer, latent = Previewer(SD1), torch.randn(1, 4, side, side)
    previewer(latent)
    began = time.process_time()
    for _ in range(100):
        previewer(latent)
    print(f"preview: {100 * (time.process_time() - began) / 100 / steps['draw']:.2f} % of a step")
    print(f"peak memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
