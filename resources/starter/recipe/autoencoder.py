"""Trains the VAE, or only its decoder: with the encoder fixed the latents stay the same, so the UNet can learn meanwhile."""

import argparse
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resources.starter.recipe import latents, layout, paint, state


class Patches(nn.Module):
    """A discriminator of overlapping patches of about 30 px; its features also measure likeness (feature matching)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        widths = [3, width, 2 * width, 4 * width]
        norm = nn.utils.parametrizations.spectral_norm
        self.layers = nn.ModuleList(norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in itertools.pairwise(widths))
        self.score = norm(nn.Conv2d(widths[-1], 1, 3, 1, 1))

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        features = []
        for layer in self.layers:
            pictures = F.leaky_relu(layer(pictures), 0.2)
            features.append(pictures)
        return self.score(pictures), features


def gradients(pictures: Tensor) -> tuple[Tensor, Tensor]:
    return pictures[..., :, 1:] - pictures[..., :, :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def likeness_loss(made: Tensor, real: Tensor) -> Tensor:
    """L1 of the pixels, of the edges at three scales, and of 4 x 4 means."""
    loss = F.l1_loss(made, real) + F.l1_loss(F.avg_pool2d(made, 4), F.avg_pool2d(real, 4))
    for scale in (1, 2, 4):
        small, wanted = (F.avg_pool2d(made, scale), F.avg_pool2d(real, scale)) if scale > 1 else (made, real)
        loss = loss + sum(F.l1_loss(a, b) for a, b in zip(gradients(small), gradients(wanted), strict=True))
    return loss


@torch.no_grad()
def quality(vae: Any, moments: Tensor, pictures: Tensor) -> tuple[float, float]:
    """PSNR in dB and gradient energy as a share of the original, of latents decoded beside uint8 pictures."""
    real = paint.as_floats(pictures)
    made = torch.cat([vae.decode(part).sample.clamp(-1, 1) for part in moments[:, :4].float().split(8)])
    noise = ((made - real) ** 2).mean((1, 2, 3)) / 4
    energy = [sum(g.abs().mean() for g in gradients(x)) for x in (made, real)]
    return float((-10 * noise.log10()).mean()), float(energy[0] / energy[1])


def colour_preserving_start(vae: Any, pictures: Tensor, carried: int = 8) -> None:
    """Starts the VAE as a linear down- and upscaler of colour, from which a narrow VAE learns without sticking.

    The first `carried` channels hold +R +G +B -R -G -B and two constants through every skip path; the last layer
    recombines silu(a) - silu(-a) = a.
    """

    def carry(conv: nn.Conv2d, taps: list[tuple[int, int]]) -> None:
        conv.weight[:carried] = 0
        conv.bias[:carried] = 0  # type: ignore[index]
        for k in range(carried):
            for row, column in taps:
                conv.weight[k, k, row, column] = 1 / len(taps)

    def quiet(block: Any) -> None:
        block.conv2.weight.mul_(0.2)
        block.conv2.weight[:carried].mul_(0.05)
        block.conv2.bias[:carried] = 0
        if block.conv_shortcut is not None:
            carry(block.conv_shortcut, [(0, 0)])

    def first(conv: nn.Conv2d) -> None:
        conv.weight[:carried] = 0
        conv.bias[:carried] = 0  # type: ignore[index]
        for k in range(3):
            conv.weight[k, k, 1, 1], conv.weight[k + 3, k, 1, 1] = 1, -1
        conv.bias[6], conv.bias[7] = 2.0, -2.0  # type: ignore[index]

    def last(conv: nn.Conv2d) -> None:
        conv.weight.mul_(0.3)
        conv.weight[:3] = 0
        conv.bias.zero_()  # type: ignore[union-attr]
        for k in range(3):
            conv.weight[k, k, 1, 1], conv.weight[k, k + 3, 1, 1] = 1, -1

    def spread(norm: nn.Module, run: Any) -> Tensor:
        """Deviation of what goes into a norm, which the last layer must undo."""
        found: list[Tensor] = []
        hook = norm.register_forward_pre_hook(lambda _m, given: found.append(given[0].std(dim=(1, 2, 3)).mean()))
        run()
        hook.remove()
        return found[0]

    encoder, decoder = vae.encoder, vae.decoder
    with torch.no_grad():
        for half in (encoder, decoder):
            first(half.conv_in)
            for block in half.mid_block.resnets:
                quiet(block)
            last(half.conv_out)
        for stage in encoder.down_blocks:
            for block in stage.resnets:
                quiet(block)
            for down in stage.downsamplers or ():
                carry(down.conv, [(0, 0), (0, 1), (1, 0), (1, 1)])
        for stage in decoder.up_blocks:
            for block in stage.resnets:
                quiet(block)
            for up in stage.upsamplers or ():
                carry(up.conv, [(1, 1)])
        encoder.conv_out.weight[:3] *= spread(encoder.conv_norm_out, lambda: vae.encode(pictures))
        count = vae.config.latent_channels
        vae.quant_conv.weight.mul_(0.02)
        vae.quant_conv.bias.zero_()
        vae.quant_conv.bias[count:] = -7.0  # log-variance: nearly no noise at first
        for conv in (vae.quant_conv, vae.post_quant_conv):
            conv.weight[:count] = 0
            for k in range(count):
                conv.weight[k, k, 0, 0] = 1
        vae.post_quant_conv.bias.zero_()
        decoder.conv_out.weight[:3] *= spread(decoder.conv_norm_out, lambda: vae.decode(vae.encode(pictures).latent_dist.mean))


def fresh(pictures: Tensor, widths: tuple[int, ...] = (16, 32, 64, 128)) -> Any:
    """An untrained VAE, 8 times smaller each way for four widths, without attention and with one norm group."""
    from diffusers import AutoencoderKL

    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(widths), up_block_types=["UpDecoderBlock2D"] * len(widths),
        block_out_channels=widths, layers_per_block=1, latent_channels=4, norm_num_groups=1, mid_block_add_attention=False,
        sample_size=pictures.shape[-1],
    )  # fmt: skip
    colour_preserving_start(vae, pictures)
    return vae


@dataclass(frozen=True)
class Plan:
    """One sitting of VAE training."""

    state_folder: Path
    latents_folder: Path
    vae_folder: Path | None  # None: from the colour-preserving start
    minutes: float
    decoder_only: bool = True
    widths: tuple[int, ...] = (16, 32, 64, 128)  # of a VAE from nothing
    batch: int = 4
    rate: float = 3e-4
    adversary: float = 0.04
    matching: float = 0.6
    adversary_from: int = 200
    latent_noise: float = 0.12  # the UNet's latents are not exact: the decoder learns to bear it
    shards: int = 10
    device: str = "cpu"
    samples: int | None = None


class Trainer:
    """VAE, discriminator, optimizers and average of a run, with their state on disk."""

    def __init__(self, plan: Plan, vae: Any) -> None:
        self.plan, self.vae, self.critic = plan, vae.to(plan.device).train(), Patches().to(plan.device)
        parts = [vae.decoder, vae.post_quant_conv] if plan.decoder_only else [vae]
        self.learned = [p for part in parts for p in part.parameters()]
        vae.requires_grad_(False)
        for p in self.learned:
            p.requires_grad_(True)
        self.average = state.Average(self.learned, 0.998)
        self.optimizer = torch.optim.AdamW(self.learned, lr=plan.rate, betas=(0.9, 0.99), weight_decay=0)
        self.critic_optimizer = torch.optim.AdamW(self.critic.parameters(), lr=4e-4, betas=(0.5, 0.95), weight_decay=0)
        self.step = 0

    def reconstruct(self, moments: Tensor, real: Tensor) -> tuple[Tensor, Tensor | float]:
        """Decoded pictures and the KL term (zero when the encoder is fixed)."""
        if not self.plan.decoder_only:
            posterior = self.vae.encode(real).latent_dist
            return self.vae.decode(posterior.sample()).sample, 1e-5 * posterior.kl().mean() / 256
        mean, deviation = moments.chunk(2, 1)
        extra = self.plan.latent_noise * torch.rand(len(mean), 1, 1, 1, device=mean.device)
        noisy = mean + (deviation**2 + extra**2).sqrt() * torch.randn_like(mean)
        return self.vae.decode(noisy).sample, 0.0

    def learn(self, moments: Tensor, real: Tensor, progress: float) -> float:
        """One step of decoder and discriminator; returns the plain L1."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate * min(1, (self.step + 1) / 50) * max(0.03, 0.5 * (1 + math.cos(math.pi * progress)))
        made, divergence = self.reconstruct(moments, real)
        loss = likeness_loss(made, real) + divergence
        if self.plan.adversary and self.step >= self.plan.adversary_from // 2:
            self.critic.requires_grad_(False)
            with torch.no_grad():
                wanted = self.critic(real)[1]
            score, features = self.critic(made)
            weight = 1.0 if self.step >= self.plan.adversary_from else 0.0
            matched = sum((F.l1_loss(a, b) for a, b in zip(features, wanted, strict=True)), torch.zeros((), device=real.device))
            loss = loss + weight * (self.plan.matching * matched - self.plan.adversary * score.mean())
            self.critic.requires_grad_(True)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.learned, 2.0)
        self.optimizer.step()
        self.average.update()
        if self.plan.adversary and self.step >= self.plan.adversary_from // 2:
            hinge = F.relu(1 - self.critic(real)[0]).mean() + F.relu(1 + self.critic(made.detach())[0]).mean()
            self.critic_optimizer.zero_grad()
            hinge.backward()
            self.critic_optimizer.step()
        self.step += 1
        return float(F.l1_loss(made.detach(), real))

    def save(self) -> None:
        content = {
            "learned": [p.detach() for p in self.learned], "average": self.average.state(), "critic": self.critic.state_dict(),
            "optimizer": self.optimizer.state_dict(), "critic_optimizer": self.critic_optimizer.state_dict(), "step": self.step,
            "random": state.random_state(),
        }  # fmt: skip
        state.save(self.plan.state_folder / "vae.pt", content)

    def restore(self) -> None:
        kept = state.load(self.plan.state_folder / "vae.pt")
        if kept is None:
            return
        with torch.no_grad():
            for p, saved in zip(self.learned, kept["learned"], strict=True):
                p.copy_(saved)
        self.average.restore(kept["average"])
        self.critic.load_state_dict(kept["critic"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.critic_optimizer.load_state_dict(kept["critic_optimizer"])
        self.step = int(kept["step"])
        state.set_random_state(kept["random"])


def train(plan: Plan) -> Any:
    """Runs a sitting, writes the averaged VAE to `<state>/vae` whenever it saves, and returns it."""
    if plan.device == "cpu":
        state.background_priority()
    torch.manual_seed(0)
    shards = latents.Shards(plan.latents_folder, with_pictures=True, limit=plan.shards)
    shards.refresh()
    held = 64
    moments, pictures = shards.latents, shards.pictures
    vae = layout.autoencoder(plan.vae_folder) if plan.vae_folder else fresh(paint.as_floats(pictures[:16]), plan.widths)
    trainer = Trainer(plan, vae)
    trainer.restore()
    clock = state.Clock(plan.minutes, plan.samples)

    def report() -> None:
        trainer.average.swap()
        kept = moments[-held:].to(plan.device)
        if not plan.decoder_only:
            kept = latents.encode(vae, pictures[-held:].to(plan.device))
            vae.register_to_config(scaling_factor=float(1 / kept[:, :4].std()))
        signal, energy = quality(vae, kept, pictures[-held:].to(plan.device))
        vae.save_pretrained(plan.state_folder / "vae")
        trainer.average.swap()
        print(f"step {trainer.step}: {signal:.2f} dB, gradient energy {energy:.3f} on {held} unseen scenes", flush=True)

    total, seen = 0.0, 0
    while not clock.done(seen):
        pick = torch.randint(0, len(pictures) - held, (plan.batch,))
        total += trainer.learn(moments[pick].float().to(plan.device), paint.as_floats(pictures[pick].to(plan.device)), clock.share)
        seen += plan.batch
        if trainer.step % 100 == 0:
            print(f"step {trainer.step}  L1 {total / 100:.4f}", flush=True)
            total = 0.0
        if clock.should_save():
            trainer.save()
            report()
    trainer.save()
    report()
    trainer.average.swap()
    return vae.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="folder of the training state; a run started again goes on from it")
    parser.add_argument("--latents", type=Path, required=True, help="shards with pictures")
    parser.add_argument("--vae", type=Path, help="start from this VAE instead of from nothing")
    parser.add_argument("--decoder-only", action="store_true", help="keep the encoder and so the latents")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--adversary", type=float, default=0.04)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.decoder_only and not args.vae:
        parser.error("--decoder-only needs --vae")
    plan = Plan(
        args.state,
        args.latents,
        args.vae,
        args.minutes,
        args.decoder_only,
        batch=args.batch,
        rate=args.rate,
        adversary=args.adversary,
        device=args.device,
    )
    train(plan)


if __name__ == "__main__":
    main()
