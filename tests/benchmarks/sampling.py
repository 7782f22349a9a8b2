"""Our loop against diffusers' pipeline on the same weights in the same run: `python tests/benchmarks/sampling.py [--size 512] [--pairs 5]`.

A UNet of Stable Diffusion's layout at about a third of its width; pipeline and loop take turns, so that both see the same machine. Prints the
median step time of each in CPU seconds (which other work on the machine disturbs less than the clock), their ratio, the share of a step that our loop spends outside the network, and of a preview.

`--memory` measures the most bytes that each holds at once beside the weights: what the allocator hands out, exactly, and what the process
grows by, in a process of its own for each.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def contenders(given: argparse.Namespace) -> tuple[torch.nn.Module, dict[str, Callable[[], torch.Tensor]]]:
    """The network, and what draws with it: "pipeline" is diffusers', "loop" ours with its scheduler, "draw" the door for nodes."""
    net, side = unet(given.width), given.size // 8
    control = diffusers.ControlNetModel.from_unet(net).eval() if given.control else None
    hint = torch.rand(1, 3, given.size, given.size)
    embeds, negative = torch.randn(1, 77, 768), torch.randn(1, 77, 768)
    vae = diffusers.AutoencoderKL(block_out_channels=(8, 8, 8, 8), down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, norm_num_groups=2)

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

    return net, {"pipeline": theirs, "loop": ours, "draw": named}


def allocated(call: Callable[[], torch.Tensor]) -> int:
    """Most bytes that the allocator has handed out at once while `call` runs."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as watched:
        call()
    events = sorted((e.start_ns(), e.nbytes()) for e in watched.profiler.kineto_results.events() if e.name() == "[memory]")
    now = most = 0
    for _, change in events:
        now += change
        most = max(most, now)
    return most


def grown(call: Callable[[], torch.Tensor]) -> int:
    """KiB by which this process becomes larger than it was, while `call` runs (Linux)."""

    def said(name: str) -> int:
        return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))

    Path("/proc/self/clear_refs").write_text("5")  # the largest size so far is forgotten
    before = said("VmRSS")
    call()
    return said("VmHWM") - before


def memory(given: argparse.Namespace) -> None:
    _, callers = contenders(given)
    if given.only:
        print(grown(callers[given.only]))
        return
    for call in callers.values():
        call()  # what libraries keep from their first run is not counted
    for name, call in callers.items():
        alone = [sys.executable, "-m", "tests.benchmarks.sampling", *sys.argv[1:], "--only", name]
        process = int(subprocess.run(alone, capture_output=True, text=True, check=True).stdout)
        print(f"{name:9s} {allocated(call) / 2**20:8.1f} MiB handed out at once, {process / 1024:8.1f} MiB more in the process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--control", action="store_true", help="with a ControlNet")
    parser.add_argument("--memory", action="store_true", help="measure memory in place of time")
    parser.add_argument("--only", default="", help="with --memory: the process of one of them")
    given = parser.parse_args()
    if given.memory:
        memory(given)
        return
    net, callers = contenders(given)
    timed, side = Timed(net), given.size // 8
    theirs, ours = callers["pipeline"], callers["loop"]
    print("largest difference from the pipeline:", float((theirs() - ours()).abs().max()))
    runs: dict[str, list[float]] = {"pipeline": [], "loop": [], "draw": []}
    shares: list[float] = []
    for _ in range(given.pairs):
        for name, call in callers.items():
            timed.spent, began = 0.0, time.process_time()
            call()
            took = time.process_time() - began
            runs[name].append(took / given.steps)
            if name == "draw" and not given.control:
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


if __name__ == "__main__":
    main()
