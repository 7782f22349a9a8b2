"""Paints scenes and encodes them once, in shards of latents with captions, because the VAE stays fixed while the UNet learns."""

import argparse
import json
import os
import random
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from resources.starter.recipe import paint, scenes, sprites, state
from resources.starter.recipe.words import Vocabulary


def encode(vae: torch.nn.Module, pictures: Tensor, batch: int = 16) -> Tensor:
    """Mean and deviation of the latents of uint8 pictures, [n, 8, h / 8, w / 8], unscaled."""
    out = []
    with torch.no_grad():
        for part in pictures.split(batch):
            posterior = vae.encode(paint.as_floats(part)).latent_dist
            out.append(torch.cat([posterior.mean, posterior.std], 1))
    return torch.cat(out)


def write_shard(
    path: Path, vae: torch.nn.Module, atlas: sprites.Atlas, vocabulary: Vocabulary, seed: int, count: int, single: float
) -> None:
    """One shard of `count` scenes drawn from `seed`; exists whole or not at all."""
    rng = random.Random(seed)
    drawn = [scenes.draw(rng, vocabulary, single=single, pair=(1 - single) * 0.65) for _ in range(count)]
    latents, pictures = [], []
    for k in range(0, count, 64):
        part = paint.paint(drawn[k : k + 64], atlas)
        latents.append(encode(vae, part).half().cpu())
        pictures.append(part.cpu())
    partial = path.with_suffix(f".{os.getpid()}.partial")
    described = json.dumps([asdict(scene) for scene in drawn])
    save_file({"latents": torch.cat(latents), "pictures": torch.cat(pictures)}, partial, metadata={"scenes": described})
    os.replace(partial, path)


class Shards:
    """Every shard of a folder in memory: latents [n, 8, h, w] (mean, deviation), captions and object masks."""

    def __init__(self, folder: Path, with_pictures: bool = False, limit: int | None = None) -> None:
        self.folder, self.with_pictures, self.limit = folder, with_pictures, limit
        self.seen: set[Path] = set()
        self.captions: list[str] = []
        self.described: list[dict[str, Any]] = []
        self.latents = torch.empty(0)
        self.pictures = torch.empty(0)

    def refresh(self) -> bool:
        """Reads shards that came since the last call; True if there were any."""
        new = [p for p in sorted(self.folder.glob("*.safetensors")) if p not in self.seen][: self.limit]
        for path in new:
            with safe_open(str(path), "pt") as shard:
                described = json.loads(shard.metadata()["scenes"])
                latents = shard.get_tensor("latents")
                self.latents = torch.cat([self.latents, latents]) if self.seen else latents
                if self.with_pictures:
                    pictures = shard.get_tensor("pictures")
                    self.pictures = torch.cat([self.pictures, pictures]) if self.seen else pictures
            self.described += described
            self.captions += [scene["caption"] for scene in described]
            self.seen.add(path)
        return bool(new)

    def only(self, vocabulary: Vocabulary) -> Tensor:
        """Indices of the scenes that hold no other objects than these."""
        known = set(vocabulary.objects)
        return torch.tensor([k for k, s in enumerate(self.described) if all(p["name"] in known for p in s["placements"])])

    def __len__(self) -> int:
        return len(self.captions)


def main() -> None:
    from diffusers import AutoencoderKL

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the shards go")
    parser.add_argument("--npm", type=Path, required=True, help="folder with the npm packages")
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=Vocabulary.first().objects.__len__())
    parser.add_argument("--style", choices=("3d", "flat"), default="3d")
    parser.add_argument("--shards", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="number of the first shard, which is also its seed")
    parser.add_argument("--scenes", type=int, default=1024, help="scenes in a shard")
    parser.add_argument("--single", type=float, default=0.7, help="share of scenes with one object")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    if args.device == "cpu":
        state.background_priority()
    vocabulary = Vocabulary.first(args.objects)
    atlas = (sprites.flat if args.style == "flat" else sprites.three_d)(args.npm, vocabulary.objects).to(args.device)
    vae = AutoencoderKL.from_pretrained(args.vae, dtype=torch.float32, local_files_only=True).eval().to(args.device)
    args.folder.mkdir(parents=True, exist_ok=True)
    for number in range(args.first, args.first + args.shards):
        path = args.folder / f"{number:05d}.safetensors"
        if path.exists():
            continue
        started = time.monotonic()
        write_shard(path, vae, atlas, vocabulary, number, args.scenes, args.single)
        print(f"{path.name}: {(time.monotonic() - started) / args.scenes * 1e3:.1f} ms a scene", flush=True)


if __name__ == "__main__":
    main()
