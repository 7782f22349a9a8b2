"""A small classifier that says what a picture shows, trained on separate scenes that went through the VAE."""

import argparse
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resources.starter.recipe import latents, layout, paint, scenes, sprites, state, words
from resources.starter.recipe.words import Vocabulary

SIDE = 48  # of what the classifiers look at
CLOSE = 64  # of what colours and styles are seen in: shading is gone in a smaller crop
NATURAL = "natural"
ROUGH = 0.3  # of a latent's own spread


Box = tuple[float, float, float]  # centre x and y and side, as fractions of the picture


def trunk(width: int) -> nn.Sequential:
    """[n, 3, side, side] -> [n, 16 * width]"""
    layers: list[nn.Module] = []
    for a, b, stride in ((3, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 4 * width, 2)):
        layers += [nn.Conv2d(a, b, 3, stride, 1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1))


class Judge(nn.Module):
    """Object, colour and style of a crop; background and number of objects of a whole picture."""

    def __init__(self, vocabulary: Vocabulary, width: int = 24) -> None:
        super().__init__()
        self.objects = vocabulary.objects
        self.colours = (*vocabulary.colours, NATURAL)
        self.backdrops = (*vocabulary.plain, *vocabulary.places, "gradient")
        self.near, self.looks, self.far = trunk(width), trunk(width), trunk(width // 2)
        self.object = nn.Linear(16 * width, len(self.objects))
        self.colour, self.either = nn.Linear(16 * width, len(self.colours)), nn.Linear(16 * width, 2 * len(self.objects))
        self.backdrop, self.count = nn.Linear(8 * width, len(self.backdrops)), nn.Linear(8 * width, 3)

    def of_crops(self, pictures: Tensor, boxes: Sequence[Box]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of object, colour and style in one box a picture."""
        colour, either = self.surfaces(pictures, boxes)
        return self.shapes(pictures, boxes), colour, either.logsumexp(1)

    def shapes(self, pictures: Tensor, boxes: Sequence[Box]) -> Tensor:
        """Logits of the object."""
        crops = crop(pictures, boxes, SIDE)
        out: Tensor = self.object(self.near(recoloured(crops) if self.training else crops))
        return out

    def surfaces(self, pictures: Tensor, boxes: Sequence[Box]) -> tuple[Tensor, Tensor]:
        """Logits of the colour, and of every object in either style, [n, objects, 2].

        What is flat, and what has its own colour, can only be told by who knows how the thing looks.
        """
        return self.surfaces_of(crop(pictures, boxes, CLOSE))

    def surfaces_of(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.looks(crops)
        return self.colour(seen), self.either(seen).unflatten(1, (-1, 2))

    def of_pictures(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.far(F.interpolate(pictures, (SIDE, SIDE), mode="area"))
        return self.backdrop(seen), self.count(seen)


def recoloured(crops: Tensor) -> Tensor:
    """A third of the crops with their channels mixed anew: what a thing is must be seen in any colour."""
    mix = torch.softmax(2 * torch.randn(len(crops), 3, 3), 2)
    mixed = torch.einsum("nij,njhw->nihw", mix, crops.float())
    return torch.where(torch.rand(len(crops), 1, 1, 1) < 0.33, mixed, crops.float())


def disguised(crops: Tensor) -> Tensor:
    """Crops -1..1 in other colours, contrasts and brightnesses, and bent a little, as shapes are that a model draws."""
    count, side = len(crops), crops.shape[-1]
    bend = F.interpolate(0.06 * torch.randn(count, 2, 5, 5), (side, side), mode="bicubic", align_corners=True)
    straight = F.affine_grid(torch.eye(2, 3).expand(count, 2, 3), [count, 3, side, side], align_corners=False)
    crops = F.grid_sample(crops, straight + bend.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    mix = torch.eye(3) + 0.35 * torch.randn(count, 3, 3)
    mix = mix / mix.sum(2, keepdim=True).clamp(min=0.3)
    contrast, brightness = 0.7 + 0.6 * torch.rand(count, 3, 1, 1), 0.3 * torch.randn(count, 3, 1, 1)
    return (torch.einsum("nij,njhw->nihw", mix, crops) * contrast + brightness).clamp(-1, 1)


def crop(pictures: Tensor, boxes: Sequence[Box], side: int) -> Tensor:
    """[n, 3, side, side] out of pictures -1..1, one box a picture."""
    rows = [[[size, 0.0, 2 * x - 1], [0.0, size, 2 * y - 1]] for x, y, size in boxes]
    grid = F.affine_grid(torch.tensor(rows, device=pictures.device), [len(boxes), 3, side, side], align_corners=False)
    # Softened first: a crop is up to two times smaller than what it shows.
    return F.grid_sample(
        F.avg_pool2d(F.pad(pictures, (0, 1, 0, 1), mode="replicate"), 2, 1), grid, padding_mode="border", align_corners=False
    )


@dataclass(frozen=True)
class Examples:
    """Pictures -1..1 as the VAE gives them back, and the scenes they show."""

    pictures: Tensor
    scenes: list[scenes.Scene]
    flat: bool


def examples(
    vae: Any,
    atlas: sprites.Atlas,
    vocabulary: Vocabulary,
    seed: int,
    count: int,
    flat: bool = False,
    single: float = 0.55,
    rough: float = 0.0,
) -> Examples:
    """Scenes of every colour of every object: what is held out is held out from the model, not from who judges it."""
    rng, whole = random.Random(seed), replace(vocabulary, held_out=frozenset())
    drawn = [scenes.draw(rng, whole, single=single, pair=0.44 * (1 - single)) for _ in range(count)]
    return as_decoded(vae, atlas, drawn, flat, rough)


def held_out_examples(vae: Any, atlas: sprites.Atlas, vocabulary: Vocabulary, seed: int, each: int) -> Examples:
    """Objects in the colours that the model never saw them in."""
    rng = random.Random(seed)
    pairs = [pair for pair in sorted(words.HELD_OUT) if pair[0] in vocabulary.objects]
    return as_decoded(
        vae, atlas, [scenes.draw_one(rng, vocabulary, *pair, rng.choice(vocabulary.plain)) for pair in pairs for _ in range(each)]
    )


def as_decoded(vae: Any, atlas: sprites.Atlas, drawn: list[scenes.Scene], flat: bool = False, rough: float = 0.0) -> Examples:
    """Scenes after the VAE; `rough` is the most noise on a scaled latent, of standard deviation 1: a model's latents are not perfect."""
    out = []
    chance = torch.Generator().manual_seed(len(drawn))
    with torch.no_grad():
        for start in range(0, len(drawn), 32):
            mean = latents.encode(vae, paint.paint(drawn[start : start + 32], atlas))[:, :4]
            spread = rough * torch.rand(len(mean), 1, 1, 1, generator=chance) / vae.config.scaling_factor
            mean = mean + spread * torch.randn(mean.shape, generator=chance)
            with state.mixed_precision("cpu"):
                out.append(torch.cat([vae.decode(part).sample.float().clamp(-1, 1) for part in mean.split(8)]))
    return Examples(torch.cat(out), drawn, flat)


def _disturbed(pictures: Tensor) -> Tensor:
    """A little noise and blur, so that the judge looks at shapes and not at traces of the VAE."""
    pictures = pictures + torch.randn_like(pictures) * 0.06 * torch.rand(len(pictures), 1, 1, 1)
    blurred = F.avg_pool2d(F.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return torch.where(torch.rand(len(pictures), 1, 1, 1) < 0.4, blurred, pictures)


def loss_of(judge: Judge, pictures: Tensor, shown: Sequence[scenes.Scene], _flat: Sequence[bool], rng: random.Random) -> Tensor:
    """The loss of pictures -1..1 and the scenes they show: objects, backdrops and counts."""
    pictures = _disturbed(pictures)
    at = [(k, p) for k, scene in enumerate(shown) for p in scene.placements]
    boxes = [(p.x + rng.uniform(-0.05, 0.05), p.y + rng.uniform(-0.05, 0.05), p.size * rng.uniform(1.0, 1.35)) for _, p in at]
    seen = judge.shapes(pictures[torch.tensor([k for k, _ in at])], boxes)
    loss = F.cross_entropy(seen, torch.tensor([judge.objects.index(p.name) for _, p in at]))
    backdrop, count = judge.of_pictures(pictures)
    loss = loss + F.cross_entropy(backdrop, torch.tensor([judge.backdrops.index(s.backdrop.label) for s in shown]))
    same = torch.tensor([k for k, s in enumerate(shown) if s.kind in ("one", *words.COUNTS.values())], dtype=torch.long)
    return loss + F.cross_entropy(count[same], torch.tensor([len(shown[int(k)].placements) - 1 for k in same]))


@torch.no_grad()
def ceiling(judge: Judge, given: Examples) -> dict[str, float]:
    """Shares that the judge gets right on scenes it never saw: no model can measure better than this."""
    at = [(k, p) for k, scene in enumerate(given.scenes) for p in scene.placements]
    logits = judge.of_crops(given.pictures[torch.tensor([k for k, _ in at])], [(p.x, p.y, p.size * 1.15) for _, p in at])
    names, colours = ([table[int(i)] for i in x.argmax(1)] for table, x in zip((judge.objects, judge.colours), logits[:2], strict=True))
    named = [judge.colours[int(i)] for i in logits[1][:, :-1].argmax(1)]
    backdrop, count = (x.argmax(1).tolist() for x in judge.of_pictures(given.pictures))
    tinted = [k for k, (_, p) in enumerate(at) if p.colour]
    alone = [k for k, (scene, _) in enumerate(at) if given.scenes[scene].kind == "one"]
    same = [k for k, s in enumerate(given.scenes) if s.kind in ("one", *words.COUNTS.values())]
    return {
        "object alone": sum(names[k] == at[k][1].name for k in alone) / max(1, len(alone)),
        "object": sum(n == p.name for n, (_, p) in zip(names, at, strict=True)) / len(at),
        "colour": sum(named[k] == at[k][1].colour for k in tinted) / max(1, len(tinted)),
        "colour, or its own": sum(colours[k] == at[k][1].colour for k in tinted) / max(1, len(tinted)),
        "background": sum(judge.backdrops[b] == s.backdrop.label for b, s in zip(backdrop, given.scenes, strict=True)) / len(given.scenes),
        "count": sum(count[k] + 1 == len(given.scenes[k].placements) for k in same) / max(1, len(same)),
        "style": float((logits[2].argmax(1) == int(given.flat)).float().mean()),
    }


def train(judge: Judge, sets: Sequence[Examples], epochs: int, batch: int = 32, rate: float = 3e-3) -> None:
    """Objects, backdrops and counts."""
    _learn(judge, list(judge.parameters()), sets, epochs, batch, rate, loss_of)


def _learn(
    judge: Judge,
    learned: list[nn.Parameter],
    sets: Sequence[Examples],
    epochs: int,
    batch: int,
    rate: float,
    loss_of: Callable[..., Tensor],
) -> None:
    """Batches hold both styles: a batch of one would be normalised to look like the other."""
    torch.manual_seed(0)
    rng = random.Random(0)
    every = [(given, k) for given in sets for k in range(len(given.scenes))]
    count = len(every) // batch
    optimizer = torch.optim.AdamW(learned, rate / 10, weight_decay=0.02, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(2, epochs * count))
    judge.train()
    for epoch in range(epochs):
        rng.shuffle(every)
        total = 0.0
        for start in range(0, count * batch, batch):
            part = every[start : start + batch]
            pictures = torch.stack([given.pictures[k] for given, k in part])
            with state.mixed_precision("cpu"):
                loss = loss_of(judge, pictures, [given.scenes[k] for given, k in part], [given.flat for given, _ in part], rng)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"epoch {epoch + 1} of {epochs}  loss {total / max(1, count):.3f}", flush=True)
    judge.eval()


def surface_loss_of(judge: Judge, pictures: Tensor, shown: Sequence[scenes.Scene], flat: Sequence[bool], rng: random.Random) -> Tensor:
    """The loss of pictures -1..1, the scenes of one object they show, and whether each is in the flat style.

    Half of the crops are disguised and count for the style alone: shading is shading in any colour and shape.
    """
    only = [scene.placements[0] for scene in shown]
    boxes = [(p.x + rng.uniform(-0.04, 0.04), p.y + rng.uniform(-0.04, 0.04), p.size * rng.uniform(1.0, 1.4)) for p in only]
    crops = crop(pictures, boxes, CLOSE)
    kept = len(crops) // 2
    others = disguised(crops[kept:])
    colour, either = judge.surfaces_of(torch.cat([crops[:kept], others]))
    wanted = torch.tensor([2 * judge.objects.index(p.name) + int(f) for p, f in zip(only, flat, strict=True)])
    loss = F.cross_entropy(colour[:kept], torch.tensor([judge.colours.index(p.colour or NATURAL) for p in only[:kept]]))
    return loss + F.cross_entropy(either.flatten(1), wanted)


def train_surfaces(judge: Judge, sets: Sequence[Examples], epochs: int, batch: int = 32, rate: float = 2e-3) -> None:
    """Colours and styles, after `train`: on scenes of one object, each in both styles, from what is known of the objects."""
    with torch.no_grad():
        judge.looks.load_state_dict(judge.near.state_dict())
        judge.either.weight.copy_(judge.object.weight.repeat_interleave(2, 0))
        judge.either.bias.copy_(judge.object.bias.repeat_interleave(2, 0))
    learned = [*judge.looks.parameters(), *judge.either.parameters(), *judge.colour.parameters()]
    _learn(judge, learned, sets, epochs, batch, rate, surface_loss_of)


def load(path: Path) -> Judge:
    kept = state.load(path)
    if kept is None:
        raise FileNotFoundError(f"There is no judge at '{path}'. Run the judge script first.")
    judge = Judge(Vocabulary.first(kept["objects"]))
    judge.load_state_dict(kept["judge"])
    return judge.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="where the judge goes")
    parser.add_argument("--npm", type=Path, required=True)
    parser.add_argument("--vae", type=Path, required=True)
    parser.add_argument("--objects", type=int, default=len(Vocabulary.first().objects))
    parser.add_argument("--scenes", type=int, default=4000)
    parser.add_argument("--surfaces", type=int, default=12_000, help="scenes of one object, each in both styles, for colours and styles")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--surface-epochs", type=int, default=16)
    args = parser.parse_args()
    state.background_priority()
    vocabulary = Vocabulary.first(args.objects)
    vae = layout.autoencoder(args.vae).eval()
    solid, flat = sprites.three_d(args.npm, vocabulary.objects), sprites.flat(args.npm, vocabulary.objects)
    judge = Judge(vocabulary)
    make = lambda atlas, seed, count, flat=False, single=0.55: examples(vae, atlas, vocabulary, seed, count, flat, single)
    train(judge, [make(solid, 500_000, args.scenes), make(flat, 600_000, args.scenes // 3, True)], args.epochs)
    both = [examples(vae, atlas, vocabulary, 520_000, args.surfaces, k == 1, 1.0, ROUGH) for k, atlas in enumerate((solid, flat))]
    train_surfaces(judge, both, args.surface_epochs)
    limits = ceiling(judge, make(solid, 700_000, 400))
    limits |= {f"flat {k}": v for k, v in ceiling(judge, make(flat, 800_000, 200, True)).items()}
    limits["style alone"] = ceiling(judge, make(solid, 720_000, 300, single=1.0))["style"]
    limits["flat style alone"] = ceiling(judge, make(flat, 820_000, 300, True, 1.0))["style"]
    limits["held-out object"] = ceiling(judge, held_out_examples(vae, solid, vocabulary, 900_000, 25))["object"]
    state.save(args.file, {"judge": judge.state_dict(), "objects": args.objects, "ceiling": limits})
    print("ceiling: " + ", ".join(f"{name} {value:.3f}" for name, value in limits.items()))


if __name__ == "__main__":
    main()
