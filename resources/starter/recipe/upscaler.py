"""Trains the x2 upscaler: from pictures as the VAE gives them back to the same scenes painted at twice the size."""

import argparse
import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from nodes.models.upscalers import Compact
from resources.starter.recipe import latents, layout, paint, scenes, sprites, state
from resources.starter.recipe.autoencoder import Patches, likeness_loss
from resources.starter.recipe.words import Vocabulary

WIDTH, LAYERS, SCALE = 32, 10, 2


@dataclass(frozen=True)
class Plan:
    """One sitting of upscaler training."""

    state_folder: Path
    vae_folder: Path
    minutes: float
    scenes: int = 1200
    seed: int = 70_000
    width: int = WIDTH
    layers: int = LAYERS
    batch: int = 8
    crop: int = 48
    rate: float = 1e-3
    adversary: float = 0.005
    device: str = "cpu"
    samples: int | None = None


def build(width: int = WIDTH, layers: int = LAYERS) -> Compact:
    """An upscaler of the compact kind that begins as nearest-neighbour enlargement."""
    made = Compact(width, layers, SCALE)
    for layer in made.body:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, a=0.25)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    made.body[-1].weight.data.mul_(0.05)  # type: ignore[operator,union-attr]
    return made


def pairs(plan: Plan, atlas: sprites.Atlas, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """uint8 pictures of the same scenes: as the VAE gives them back, and painted at twice the size."""
    rng = random.Random(plan.seed)
    vae = layout.autoencoder(plan.vae_folder).to(plan.device).eval()
    small, large = [], []
    for start in range(0, plan.scenes, 32):
        drawn = [scenes.draw(rng, vocabulary) for _ in range(min(32, plan.scenes - start))]
        moments = latents.encode(vae, paint.paint(drawn, atlas))
        noisy = moments[:, :4] + 0.06 * torch.randn_like(moments[:, :4])
        with torch.no_grad():
            seen = torch.cat([vae.decode(part).sample for part in noisy.split(8)]).clamp(-1, 1)
        small.append(((seen + 1) * 127.5).round().to(torch.uint8).cpu())
        large.append(paint.paint(drawn, atlas, 2 * seen.shape[-1]).cpu())
    return torch.cat(small), torch.cat(large)


def crops(small: Tensor, large: Tensor, count: int, side: int) -> tuple[Tensor, Tensor]:
    """Random crops in 0..1 of both sizes, mirrored half of the time."""
    given, wanted = [], []
    for k in torch.randint(0, len(small), (count,)).tolist():
        y, x = torch.randint(0, small.shape[-1] - side + 1, (2,)).tolist()
        a, b = small[k, :, y : y + side, x : x + side], large[k, :, 2 * y : 2 * (y + side), 2 * x : 2 * (x + side)]
        mirrored = bool(torch.rand(()) < 0.5)
        given.append(a.flip(2) if mirrored else a)
        wanted.append(b.flip(2) if mirrored else b)
    return torch.stack(given).float() / 255, torch.stack(wanted).float() / 255


def train(plan: Plan, small: Tensor, large: Tensor) -> Compact:
    """Runs a sitting and returns the upscaler with averaged weights."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(0)
    model, critic = build(plan.width, plan.layers).to(plan.device), Patches(16).to(plan.device)
    average = state.Average(model.parameters(), 0.995)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=0)
    critic_optimizer = torch.optim.AdamW(critic.parameters(), lr=4e-4, betas=(0.5, 0.95), weight_decay=0)
    file, step = plan.state_folder / "upscaler.pt", 0
    kept = state.load(file)
    if kept is not None:
        model.load_state_dict(kept["live"])
        average.restore(kept["average"])
        critic.load_state_dict(kept["critic"])
        optimizer.load_state_dict(kept["optimizer"])
        critic_optimizer.load_state_dict(kept["critic_optimizer"])
        step = int(kept["step"])
        state.set_random_state(kept["random"])
    clock, total, seen = state.Clock(plan.minutes, plan.samples), 0.0, 0

    def save() -> None:
        content: dict[str, Any] = {
            "live": model.state_dict(), "average": average.state(), "critic": critic.state_dict(), "optimizer": optimizer.state_dict(),
            "critic_optimizer": critic_optimizer.state_dict(), "step": step, "random": state.random_state(),
        }  # fmt: skip
        state.save(file, content)

    while not clock.done(seen):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 50) * (1 - 0.97 * clock.share)
        given, wanted = (part.to(plan.device) for part in crops(small, large, plan.batch, plan.crop))
        with state.mixed_precision(plan.device):
            made = model(given)
        made = made.float()
        loss = likeness_loss(made * 2 - 1, wanted * 2 - 1)
        if step >= 200:
            critic.requires_grad_(False)
            loss = loss - plan.adversary * critic(made * 2 - 1)[0].mean()
            critic.requires_grad_(True)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update()
        if step >= 100:
            hinge = (1 - critic(wanted * 2 - 1)[0]).relu().mean() + (1 + critic(made.detach() * 2 - 1)[0]).relu().mean()
            critic_optimizer.zero_grad()
            hinge.backward()
            critic_optimizer.step()
        step, seen, total = step + 1, seen + plan.batch, total + float(loss.detach())
        if step % 100 == 0:
            print(f"step {step}  loss {total / 100:.4f}", flush=True)
            total = 0.0
        if clock.should_save():
            save()
    save()
    average.swap()
    return model.eval()


@torch.no_grad()
def quality(model: Compact, small: Tensor, large: Tensor) -> tuple[float, float]:
    """PSNR in dB of doubled pictures beside what was painted, and that of bicubic enlargement."""
    noise = torch.zeros(2)
    for given, wanted in zip(small.split(8), large.split(8), strict=True):
        given, wanted = given.float() / 255, wanted.float() / 255
        ways = model(given), F.interpolate(given, scale_factor=SCALE, mode="bicubic", antialias=False)
        noise += torch.stack([((way.clamp(0, 1) - wanted) ** 2).mean((1, 2, 3)).log10().sum() for way in ways])
    ours, bicubic = (-10 * noise / len(small)).tolist()
    return ours, bicubic


def export(model: Compact, folder: Path) -> None:
    """Writes x2.safetensors (fp16, the naming of compact upscalers) and x2.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: value.to(torch.float16).contiguous() for name, value in model.state_dict().items()}, folder / "x2.safetensors")
    body = [layer for layer in model.body if isinstance(layer, nn.Conv2d)]
    config = {
        "architecture": "SRVGGNetCompact",
        "scale": model.scale,
        "width": body[0].out_channels,
        "layers": len(body) - 2,
        "range": [0, 1],
    }
    (folder / "x2.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path)
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--objects", type=int, default=len(Vocabulary.first().objects))
    parser.add_argument("--scenes", type=int, default=1200)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path, required=True)
    args = parser.parse_args()
    if args.device == "cpu":
        state.background_priority()
    plan = Plan(args.state, args.vae, args.minutes, args.scenes, device=args.device)
    vocabulary = Vocabulary.first(args.objects)
    atlas = sprites.three_d(args.npm, vocabulary.objects).to(args.device)
    made = train(plan, *pairs(plan, atlas, vocabulary)).cpu()
    unseen = pairs(replace(plan, scenes=64, seed=plan.seed + 1), atlas, vocabulary)
    print("on 64 unseen scenes: {:.2f} dB, bicubic {:.2f} dB".format(*quality(made, *unseen)))
    export(made, args.export)


if __name__ == "__main__":
    main()
