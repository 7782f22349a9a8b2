"""Fits what shows a latent quickly: linear latent-to-RGB factors, and a tiny decoder in the TAESD layout (AutoencoderTiny)."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resources.starter.recipe import latents, layout, paint, state
from resources.starter.recipe.autoencoder import likeness_loss


@dataclass(frozen=True)
class Plan:
    """One sitting of the tiny decoder."""

    latents_folder: Path
    vae_folder: Path
    minutes: float
    width: int = 24
    batch: int = 8
    rate: float = 2e-3
    shards: int = 4
    device: str = "cpu"
    samples: int | None = None


def factors(scaled: Tensor, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Least squares from latents (as the denoiser takes them) to mean colours -1..1: factors [channels, 3] and bias [3]."""
    small = F.avg_pool2d(paint.as_floats(pictures), pictures.shape[-1] // scaled.shape[-1])
    given = scaled.permute(0, 2, 3, 1).flatten(0, 2)
    given = torch.cat([given, torch.ones(len(given), 1)], 1)
    solved = torch.linalg.lstsq(given, small.permute(0, 2, 3, 1).flatten(0, 2)).solution
    return solved[:-1], solved[-1]


def tiny(width: int) -> Any:
    """An AutoencoderTiny whose decoder has about 50,000 parameters; its encoder is a stub that nobody trains."""
    from diffusers import AutoencoderTiny

    return AutoencoderTiny(
        encoder_block_out_channels=(4, 4, 4, 4), num_encoder_blocks=(1, 1, 1, 1), decoder_block_out_channels=(width,) * 4,
        num_decoder_blocks=(1, 1, 0, 0), latent_channels=4, scaling_factor=1.0,
    )  # fmt: skip


def train(plan: Plan) -> tuple[Any, Tensor, Tensor]:
    """The tiny decoder, which takes latents as the denoiser has them, and the linear factors."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(0)
    scale = float(layout.autoencoder(plan.vae_folder).config.scaling_factor)
    shards = latents.Shards(plan.latents_folder, with_pictures=True, limit=plan.shards)
    shards.refresh()
    scaled = shards.latents[:, :4].float() * scale
    rgb, bias = factors(scaled[:1024], shards.pictures[:1024])
    small = tiny(plan.width).to(plan.device).train()
    average = state.Average(small.decoder.parameters(), 0.99)
    optimizer = torch.optim.AdamW(small.decoder.parameters(), lr=plan.rate, weight_decay=0)
    clock, seen, step, total = state.Clock(plan.minutes, plan.samples), 0, 0, 0.0
    while not clock.done(seen):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 50) * (1 - 0.97 * clock.share)
        pick = torch.randint(0, len(scaled), (plan.batch,))
        given = scaled[pick].to(plan.device)
        # Estimates early in sampling are off: the preview must bear it.
        given = given + 0.15 * torch.rand(plan.batch, 1, 1, 1, device=plan.device) * torch.randn_like(given)
        loss = likeness_loss(small.decode(given).sample, paint.as_floats(shards.pictures[pick].to(plan.device)))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(small.decoder.parameters(), 1.0)
        optimizer.step()
        average.update()
        step, seen, total = step + 1, seen + plan.batch, total + float(loss.detach())
        if step % 100 == 0:
            print(f"{seen:>8} samples  loss {total / 100:.4f}", flush=True)
            total = 0.0
    average.swap()
    return small.eval(), rgb, bias


def export(small: Any, rgb: Tensor, bias: Tensor, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    small.to(torch.float16).save_pretrained(folder / "tiny-decoder")
    content = {
        "about": "RGB in -1..1 of a latent as the denoiser takes it: sum over channels of latent * factors, plus bias",
        "factors": [[round(float(v), 5) for v in row] for row in rgb],
        "bias": [round(float(v), 5) for v in bias],
    }
    (folder / "rgb.json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latents", type=Path, required=True, help="shards with pictures")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path, required=True)
    args = parser.parse_args()
    export(*train(Plan(args.latents, args.vae, args.minutes, device=args.device)), args.export)


if __name__ == "__main__":
    main()
