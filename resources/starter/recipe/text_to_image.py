"""Trains the UNet and the text encoder together on pre-encoded scenes, in sittings that continue one another.

On a CPU, `--workers 2` runs two one-thread processes on shared weights: each takes a few steps of its own and adds what
it changed. That is nearly twice as fast as two threads, which wait for each other at every small layer.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from resources.starter.recipe import latents, layout, state, words

SYNC_EVERY = 4  # steps a worker takes alone


@dataclass(frozen=True)
class Plan:
    """What one sitting does; paths are strings so that worker processes can be started with it."""

    state_folder: str
    latents_folder: str
    tokenizer_folder: str
    vae_folder: str
    minutes: float
    workers: int = 1
    batch: int = 32
    rate: float = 8e-4
    decay_from: float = 1.0  # share of the sitting after which the rate falls to 5 %
    continue_from: str | None = None
    widths: tuple[int, ...] = layout.SMALL
    text_width: int = 128
    device: str = "cpu"
    samples: int | None = None
    object_weight: float = 1.5
    objects: int = words.FIRST_OBJECTS  # scenes with others are left out


def build(plan: Plan) -> tuple[Any, nn.ModuleDict]:
    """Tokenizer and the modules to train, new or with the weights of a saved model."""
    tokens = layout.tokenizer(Path(plan.tokenizer_folder))
    if plan.continue_from:
        saved = layout.load(Path(plan.continue_from))
        encoder = saved.text_encoder
        if saved.tokenizer.get_vocab() != tokens.get_vocab():
            encoder = layout.with_tokens(encoder, saved.tokenizer, tokens)
        return tokens, nn.ModuleDict({"text_encoder": encoder, "unet": saved.unet})
    parts = {"text_encoder": layout.text_encoder(tokens, plan.text_width), "unet": layout.denoiser(plan.widths, plan.text_width)}
    return tokens, nn.ModuleDict(parts)


def object_weights(described: Sequence[dict[str, Any]], side: int, extra: float) -> Tensor:
    """Loss weights [scenes, 1, side, side], mean 1: objects count more than their backdrop, which is learned long before."""
    centre = (torch.arange(side) + 0.5) / side
    out = torch.ones(len(described), 1, side, side)
    for k, scene in enumerate(described):
        for spot in scene["placements"]:
            reach = spot["size"] / 2 + 0.5 / side
            inside = ((centre - spot["x"]).abs() < reach)[None, :] & ((centre - spot["y"]).abs() < reach)[:, None]
            out[k, 0][inside] = 1 + extra
    return (out / out.mean((1, 2, 3), keepdim=True)).half()


class Data:
    """Latents, captions and weights on the training device; takes up new shards while it runs."""

    def __init__(self, plan: Plan, tokens: Any) -> None:
        self.plan, self.tokens = plan, tokens
        self.scale = float(layout.autoencoder(Path(plan.vae_folder)).config.scaling_factor)
        self.shards = latents.Shards(Path(plan.latents_folder))
        self.empty = layout.token_ids(tokens, [""]).to(plan.device)
        self.refresh()
        if not len(self.shards):
            raise FileNotFoundError(f"'{plan.latents_folder}' has no shards. Run the latents script first.")

    def refresh(self) -> None:
        if self.shards.refresh():
            self.ids = layout.token_ids(self.tokens, self.shards.captions).to(self.plan.device)
            side = self.shards.latents.shape[-1]
            self.weights = object_weights(self.shards.described, side, self.plan.object_weight).to(self.plan.device)
            self.latents = self.shards.latents.to(self.plan.device)
            self.kept = self.shards.only(words.Vocabulary.first(self.plan.objects)).to(self.plan.device)

    def draw(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scaled latents [n, 4, h, w], token ids with a tenth of the captions dropped, and loss weights."""
        pick = self.kept[torch.randint(0, len(self.kept), (count,), device=self.plan.device)]
        mean, deviation = self.latents[pick].float().chunk(2, 1)
        clean = (mean + deviation * torch.randn_like(mean)) * self.scale
        dropped = torch.rand(count, 1, device=self.plan.device) < 0.1
        return clean, torch.where(dropped, self.empty, self.ids[pick]), self.weights[pick].float()


class Diffusion:
    """The noising process and its loss: velocity prediction, less of it where there is little noise.

    Weights min(1, most / (SNR + 1)) of the squared velocity error. The min-SNR weights (arXiv:2303.09556) fall off towards pure
    noise as well; but there the words decide which objects stand where, and with them their order was never learned.
    """

    def __init__(self, device: str, most: float = 10.0) -> None:
        from diffusers import DDPMScheduler

        kept = DDPMScheduler(**{k: v for k, v in layout.NOISE.items() if k not in ("set_alpha_to_one", "steps_offset")}).alphas_cumprod
        self.alpha, self.sigma = kept.sqrt().to(device), (1 - kept).sqrt().to(device)
        ratio = (kept / (1 - kept)).to(device)
        self.weight = (most / (ratio + 1)).clamp(max=1)

    def noised(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noised latents, the velocity to predict, and timesteps spread evenly over the batch."""
        count, steps = len(clean), len(self.alpha)
        spread = (torch.randperm(count, device=clean.device) + torch.rand(count, device=clean.device)) / count
        t = (spread * steps).long().clamp(max=steps - 1)
        alpha, sigma = self.alpha[t, None, None, None], self.sigma[t, None, None, None]
        noise = torch.randn_like(clean)
        return alpha * clean + sigma * noise, alpha * noise - sigma * clean, t

    def loss(self, predicted: Tensor, velocity: Tensor, t: Tensor, weights: Tensor | float = 1.0) -> Tensor:
        squared = ((predicted.float() - velocity) ** 2 * weights).mean((1, 2, 3))
        return (squared * self.weight[t]).mean()


def train_step(modules: nn.ModuleDict, diffusion: Diffusion, batch: tuple[Tensor, Tensor, Tensor], device: str) -> Tensor:
    clean, ids, weights = batch
    noisy, velocity, t = diffusion.noised(clean)
    with state.mixed_precision(device):
        context = modules["text_encoder"](ids).last_hidden_state
        predicted = modules["unet"](noisy, t, context).sample
    return diffusion.loss(predicted, velocity, t, weights)


def run(rank: int, plan: Plan, shared: list[Tensor], average: list[Tensor], counts: Tensor, lock: Any) -> None:
    """One worker: `shared` are the weights of all workers, `average` their moving average (kept by worker 0)."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(1000 * rank + int(counts.sum()))
    tokens, modules = build(plan)
    modules.to(plan.device).train()
    own = list(modules.parameters())
    before = [p.detach().clone() for p in shared]
    optimizer = torch.optim.AdamW(own, lr=plan.rate, betas=(0.9, 0.98), weight_decay=1e-2, fused=True)
    mine = Path(plan.state_folder) / f"worker-{rank}.pt"
    kept = state.load(mine) or state.load(mine.with_name("worker-0.pt"))
    if kept is not None:
        optimizer.load_state_dict(kept["optimizer"])
        if kept["rank"] == rank:
            torch.set_rng_state(kept["random"])
    with torch.no_grad():
        for p, q in zip(own, shared, strict=True):
            p.copy_(q)
    data, diffusion, clock = Data(plan, tokens), Diffusion(plan.device), state.Clock(plan.minutes, plan.samples)
    step, losses, told, refreshed = 0, 0.0, time.monotonic(), time.monotonic()
    updates = int((kept or {}).get("updates", 0))
    while True:
        fall = max(0.0, clock.share - plan.decay_from) / max(1e-6, 1 - plan.decay_from)
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * min(1.0, (step + 1) / 100) * (1 - 0.95 * fall)
        loss = train_step(modules, diffusion, data.draw(plan.batch), plan.device)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(own, 1.0, foreach=True)
        optimizer.step()
        step += 1
        counts[rank] += plan.batch
        losses += float(loss.detach())
        if step % SYNC_EVERY == 0:
            with torch.no_grad(), lock:
                for p, q, start in zip(own, shared, before, strict=True):
                    q.add_((p - start).to(q.device))
                    p.copy_(q)
                    start.copy_(q)
                if rank == 0:
                    updates += 1
                    weight = 1 - min(0.9985, (1 + updates) / (10 + updates))
                    torch._foreach_lerp_(average, shared, weight)
        if rank == 0 and step % 100 == 0:
            pace = (time.monotonic() - told) * 10 / plan.batch
            told = time.monotonic()
            print(f"{int(counts.sum()):>8} samples  loss {losses / 100:.4f}  {pace:.1f} ms a sample  {len(data.kept)} scenes", flush=True)
            with open(Path(plan.state_folder) / "loss.csv", "a", encoding="utf-8") as log:
                log.write(f"{int(counts.sum())},{losses / 100:.5f}\n")
            losses = 0.0
        done = clock.done(int(counts.sum()))
        if done or clock.should_save():
            state.save(mine, {"optimizer": optimizer.state_dict(), "random": torch.get_rng_state(), "rank": rank, "updates": updates})
            if rank == 0:
                with lock:
                    state.save(
                        Path(plan.state_folder) / "weights.pt",
                        {"live": [p.cpu() for p in shared], "average": [p.cpu() for p in average], "seen": int(counts.sum())},
                    )
        if done:
            return
        if time.monotonic() - refreshed > 60:
            refreshed = time.monotonic()
            data.refresh()


def train(plan: Plan) -> int:
    """Runs a sitting and returns how many samples the model has seen over all sittings."""
    torch.manual_seed(0)
    _, modules = build(plan)
    modules.to(plan.device)
    weights = [p.detach() for p in modules.parameters()]
    average = [p.clone() for p in weights]
    counts = torch.zeros(plan.workers, dtype=torch.long)
    kept = state.load(Path(plan.state_folder) / "weights.pt")
    if kept is not None:
        for mine, saved in zip([*weights, *average], [*kept["live"], *kept["average"]], strict=True):
            mine.copy_(saved)
        counts[0] = kept["seen"]
    Path(plan.state_folder).mkdir(parents=True, exist_ok=True)
    print(
        f"UNet {state.parameter_count(modules['unet']):.2f} M, text encoder {state.parameter_count(modules['text_encoder']):.2f} M",
        flush=True,
    )
    if plan.workers == 1:
        from threading import Lock

        run(0, plan, weights, average, counts, Lock())
        return int(counts.sum())
    for tensor in (*weights, *average, counts):
        tensor.share_memory_()
    lock = mp.get_context("spawn").Lock()
    mp.spawn(run, (plan, weights, average, counts, lock), nprocs=plan.workers)
    return int(counts.sum())


def averaged(plan: Plan) -> tuple[Any, nn.ModuleDict]:
    """Tokenizer and modules with the moving average of the last saved state, for export and evaluation."""
    kept = state.load(Path(plan.state_folder) / "weights.pt")
    if kept is None:
        raise FileNotFoundError(f"'{plan.state_folder}' holds no training state.")
    tokens, modules = build(plan)
    with torch.no_grad():
        for p, saved in zip(modules.parameters(), kept["average"], strict=True):
            p.copy_(saved)
    return tokens, modules.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", help="folder of the training state; a run started again goes on from it")
    parser.add_argument("--latents", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--vae", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=8e-4)
    parser.add_argument("--decay-from", type=float, default=1.0)
    parser.add_argument("--objects", type=int, default=words.FIRST_OBJECTS, help="how many of the world's objects to draw")
    parser.add_argument("--continue-from", help="a model folder whose weights begin a new state")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--export", type=Path, help="write the averaged model here at the end")
    args = parser.parse_args()
    plan = Plan(
        args.state, args.latents, args.tokenizer, args.vae, args.minutes, args.workers, args.batch, args.rate, args.decay_from,
        args.continue_from, device=args.device,
        objects=args.objects,
    )  # fmt: skip
    print(f"{train(plan)} samples seen")
    if args.export:
        export(plan, args.export)


def export(plan: Plan, folder: Path) -> None:
    tokens, modules = averaged(plan)
    made = layout.pipeline(modules["unet"], modules["text_encoder"], tokens, layout.autoencoder(Path(plan.vae_folder)))
    layout.export(made, folder, Path(plan.tokenizer_folder))


if __name__ == "__main__":
    main()
