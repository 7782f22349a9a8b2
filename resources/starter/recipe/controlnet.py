"""Trains the edge ControlNet on the finished UNet, which stays as it is."""

import argparse
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resources.starter.recipe import edges, latents, layout, paint, state
from resources.starter.recipe.text_to_image import Diffusion
from resources.starter.recipe.words import FIRST_OBJECTS, Vocabulary


@dataclass(frozen=True)
class Plan:
    """One sitting of ControlNet training."""

    state_folder: Path
    latents_folder: Path
    model_folder: Path
    minutes: float
    batch: int = 32
    rate: float = 1e-3
    hint_widths: tuple[int, ...] = (8, 16, 32, 64)
    shards: int = 6
    objects: int = FIRST_OBJECTS
    device: str = "cpu"
    samples: int | None = None


def build(unet: Any, hint_widths: tuple[int, ...]) -> Any:
    """A ControlNet that begins as a copy of the UNet's first half and adds nothing yet."""
    from diffusers import ControlNetModel

    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=hint_widths)


def conditions(pictures: Tensor) -> Tensor:
    """Hints with thresholds drawn anew each time, so that fewer or more lines than usual are understood too; a tenth are empty."""
    low = float(torch.empty(()).uniform_(0.05, 0.12))
    hints = edges.hint(paint.as_floats(pictures), low, low * float(torch.empty(()).uniform_(1.5, 2.5)))
    kept = (torch.rand(len(hints), 1, 1, 1, device=hints.device) >= 0.1).float()
    return hints * kept


def loss_of(control: Any, unet: Any, diffusion: Diffusion, clean: Tensor, words: Tensor, hints: Tensor) -> Tensor:
    noisy, velocity, t = diffusion.noised(clean)
    down, middle = control(noisy, t, words, controlnet_cond=hints, return_dict=False)
    predicted = unet(noisy, t, words, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
    return diffusion.loss(predicted, velocity, t)


def train(plan: Plan) -> Any:
    """Runs a sitting and returns the ControlNet with averaged weights."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(0)
    base = layout.load(plan.model_folder)
    unet, encoder = base.unet.to(plan.device).requires_grad_(False), base.text_encoder.to(plan.device).requires_grad_(False)
    control = build(unet, plan.hint_widths).to(plan.device).train()
    average = state.Average(control.parameters(), 0.998)
    optimizer = torch.optim.AdamW(control.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-2, fused=True)
    file, seen = plan.state_folder / "controlnet.pt", 0
    kept = state.load(file)
    if kept is not None:
        control.load_state_dict(kept["live"])
        average.restore(kept["average"])
        optimizer.load_state_dict(kept["optimizer"])
        seen = int(kept["seen"])
        state.set_random_state(kept["random"])
    shards = latents.Shards(plan.latents_folder, with_pictures=True, limit=plan.shards)
    shards.refresh()
    kept_scenes = shards.only(Vocabulary.first(plan.objects))
    ids, empty = layout.token_ids(base.tokenizer, shards.captions), layout.token_ids(base.tokenizer, [""])
    scale, diffusion, clock = base.vae.config.scaling_factor, Diffusion(plan.device), state.Clock(plan.minutes, plan.samples)

    def save() -> None:
        content = {
            "live": control.state_dict(), "average": average.state(), "optimizer": optimizer.state_dict(), "seen": seen,
            "random": state.random_state(),
        }  # fmt: skip
        state.save(file, content)

    step, total = 0, 0.0
    while not clock.done(seen):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 50) * (1 - 0.95 * max(0.0, clock.share - 0.5) * 2)
        pick = kept_scenes[torch.randint(0, len(kept_scenes), (plan.batch,))]
        mean, deviation = shards.latents[pick].float().to(plan.device).chunk(2, 1)
        clean = (mean + deviation * torch.randn_like(mean)) * scale
        # Many captions dropped: the outline alone must carry the shape.
        dropped = torch.rand(plan.batch, 1) < 0.3
        words = encoder(torch.where(dropped, empty, ids[pick]).to(plan.device)).last_hidden_state
        with state.mixed_precision(plan.device):
            loss = loss_of(control, unet, diffusion, clean, words, conditions(shards.pictures[pick].to(plan.device)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(control.parameters(), 1.0, foreach=True)
        optimizer.step()
        average.update()
        step, seen, total = step + 1, seen + plan.batch, total + float(loss.detach())
        if step % 50 == 0:
            print(f"{seen:>8} samples  loss {total / 50:.4f}", flush=True)
            total = 0.0
        if clock.should_save():
            save()
    save()
    average.swap()
    return control.eval()


def export(control: Any, folder: Path) -> None:
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    control.to(torch.float16).save_pretrained(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--latents", type=Path, required=True, help="shards with pictures")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--shards", type=int, default=Plan.shards, help="how many shards are held in memory with their pictures")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path, required=True)
    args = parser.parse_args()
    plan = Plan(args.state, args.latents, args.model, args.minutes, shards=args.shards, device=args.device)
    export(train(plan), args.export)


if __name__ == "__main__":
    main()
