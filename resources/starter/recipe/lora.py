"""Trains the LoRA "flat style": the same world drawn from the flat art, learned by low-rank changes of the UNet.

It needs no trigger words: its strength is the switch, and words that the text encoder never saw disturb the picture.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from resources.starter.recipe import latents, layout, state
from resources.starter.recipe.text_to_image import Diffusion, object_weights
from resources.starter.recipe.words import FIRST_OBJECTS, Vocabulary

# Attention alone sits at the middle levels; the look of surfaces is made by the convolutions around it.
TARGETS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "proj_in", "proj_out"]
TARGETS += ["conv1", "conv2", "conv_in", "conv_out", "conv_shortcut", "conv"]
SURFACES = 60.0  # weights that fall off late: a style lies in surfaces, which the last steps paint


@dataclass(frozen=True)
class Plan:
    """One sitting of LoRA training."""

    state_folder: Path
    latents_folder: Path
    model_folder: Path
    minutes: float
    rank: int = 32
    batch: int = 32
    rate: float = 1e-3
    object_weight: float = 3.0  # backdrops are the same in both styles
    objects: int = FIRST_OBJECTS
    device: str = "cpu"
    samples: int | None = None


def attach(unet: Any, rank: int) -> list[nn.Parameter]:
    """Adds LoRA layers to a UNet and returns their parameters; at first they change nothing."""
    from peft import LoraConfig

    unet.requires_grad_(False)
    unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=TARGETS, init_lora_weights="gaussian"))
    return [p for p in unet.parameters() if p.requires_grad]


def train(plan: Plan) -> Any:
    """Runs a sitting and returns the UNet with averaged LoRA layers."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(0)
    base = layout.load(plan.model_folder)
    unet, encoder = base.unet.to(plan.device).train(), base.text_encoder.to(plan.device).requires_grad_(False)
    learned = attach(unet, plan.rank)
    average = state.Average(learned, 0.995)
    optimizer = torch.optim.AdamW(learned, lr=plan.rate, betas=(0.9, 0.99), weight_decay=1e-3, fused=True)
    file, seen = plan.state_folder / "lora.pt", 0
    kept = state.load(file)
    if kept is not None:
        with torch.no_grad():
            for p, saved in zip(learned, kept["live"], strict=True):
                p.copy_(saved)
        average.restore(kept["average"])
        optimizer.load_state_dict(kept["optimizer"])
        seen = int(kept["seen"])
        state.set_random_state(kept["random"])
    shards = latents.Shards(plan.latents_folder)
    shards.refresh()
    kept_scenes = shards.only(Vocabulary.first(plan.objects))
    with torch.no_grad():
        words = torch.cat(
            [encoder(part.to(plan.device)).last_hidden_state for part in layout.token_ids(base.tokenizer, shards.captions).split(256)]
        )
        empty = encoder(layout.token_ids(base.tokenizer, [""]).to(plan.device)).last_hidden_state
    weights = object_weights(shards.described, shards.latents.shape[-1], plan.object_weight).to(plan.device)
    scale, diffusion, clock = base.vae.config.scaling_factor, Diffusion(plan.device, SURFACES), state.Clock(plan.minutes, plan.samples)

    def save() -> None:
        content = {
            "live": [p.detach() for p in learned], "average": average.state(), "optimizer": optimizer.state_dict(), "seen": seen,
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
        dropped = torch.rand(plan.batch, 1, 1, device=plan.device) < 0.1
        noisy, velocity, t = diffusion.noised(clean)
        with state.mixed_precision(plan.device):
            predicted = unet(noisy, t, torch.where(dropped, empty, words[pick])).sample
        loss = diffusion.loss(predicted, velocity, t, weights[pick].float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 1.0, foreach=True)
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
    return unet.eval()


def export(unet: Any, file: Path) -> None:
    """Writes the LoRA layers in diffusers' naming, fp16."""
    from diffusers import StableDiffusionPipeline
    from peft import get_peft_model_state_dict

    layers = {name: value.to(torch.float16).contiguous() for name, value in get_peft_model_state_dict(unet).items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    StableDiffusionPipeline.save_lora_weights(file.parent, unet_lora_layers=layers, weight_name=file.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--latents", type=Path, required=True, help="shards painted with --style flat")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path, required=True)
    args = parser.parse_args()
    export(train(Plan(args.state, args.latents, args.model, args.minutes, device=args.device)), args.export)


if __name__ == "__main__":
    main()
