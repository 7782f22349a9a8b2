"""Measures a model against its words with fixed seeds, and lays out a fixed grid of prompts for the eye."""

import argparse
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from resources.starter.recipe import edges, judge, latents, layout, paint, scenes, sprites, state, words
from resources.starter.recipe.autoencoder import quality
from resources.starter.recipe.words import Vocabulary

GUIDANCE, STEPS = 4.0, 20
TRIALS = 200
GRID = (
    "a cat in a meadow", "a fox in the snow", "a frog on a blue background", "a penguin in the snow", "an apple on a white background",
    "a mushroom in a forest", "a tree at sunset", "a cactus in the desert", "a rocket in space", "a red car on the beach",
    "a house in the mountains", "a star at night", "a blue cat on a white background", "a purple mushroom on a green background",
    "a green cat on a pink background", "a purple rocket on a yellow background", "a cat left of a rocket on a white background",
    "a star above a house on a blue background", "two apples on a green background", "three snowmen in the snow",
    "a fish under the sea", "a balloon at sunset", "a house at night", "a pink heart in a meadow",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A prompt and what must be found at which boxes (x, y, side)."""

    prompt: str
    wanted: tuple[tuple[str, str | None], ...]
    boxes: tuple[judge.Box, ...]
    backdrop: str | None = None
    count: int = 1


_WHOLE = ((0.5, 0.51, 0.84),)


def singles(vocabulary: Vocabulary, each: int, seed: int) -> list[Trial]:
    """Each object `each` times over all backdrops; every second one in a colour."""
    rng, out = random.Random(seed), []
    places = [*vocabulary.plain, *vocabulary.places]
    for k in range(each * len(vocabulary.objects)):
        name = vocabulary.objects[k % len(vocabulary.objects)]
        allowed = [c for c in vocabulary.colours if (name, c) not in words.HELD_OUT]
        colour = rng.choice(allowed) if (k // len(vocabulary.objects)) % 2 else None
        place = rng.choice([p for p in places if p != colour])
        out.append(Trial(scenes.draw_one(rng, vocabulary, name, colour, place).caption, ((name, colour),), _WHOLE, place))
    return out


def held_out(vocabulary: Vocabulary, each: int, seed: int) -> list[Trial]:
    rng, out = random.Random(seed), []
    for name, colour in sorted(words.HELD_OUT):
        for _ in range(each if name in vocabulary.objects else 0):
            place = rng.choice([p for p in vocabulary.plain if p != colour])
            out.append(Trial(scenes.draw_one(rng, vocabulary, name, colour, place).caption, ((name, colour),), _WHOLE, place))
    return out


def relations(vocabulary: Vocabulary, count: int, seed: int) -> list[Trial]:
    rng, out = random.Random(seed), []
    for k in range(count):
        one, other = rng.sample(vocabulary.objects, 2)
        place = rng.choice(vocabulary.plain)
        relation = ("left of", "right of", "above", "below")[k % 4]
        first, second = (one, other) if relation in ("left of", "above") else (other, one)
        boxes = ((0.26, 0.55, 0.54), (0.74, 0.55, 0.54)) if "of" in relation else ((0.5, 0.27, 0.54), (0.5, 0.74, 0.54))
        prompt = f"{words.with_article(one)} {relation} {words.with_article(other)} on {words.with_article(place)} background"
        out.append(Trial(prompt, ((first, None), (second, None)), boxes, place))
    return out


def counts(vocabulary: Vocabulary, count: int, seed: int) -> list[Trial]:
    rng, out = random.Random(seed), []
    for k in range(count):
        name, number, place = rng.choice(vocabulary.objects), 2 + k % 2, rng.choice(vocabulary.plain)
        prompt = f"{words.COUNTS[number]} {words.plural(name)} on {words.with_article(place)} background"
        out.append(Trial(prompt, ((name, None),), _WHOLE, place, number))
    return out


def draw(made: Any, prompts: Sequence[str], seed: int = 0, batch: int = 8, **more: Any) -> Tensor:
    """Pictures -1..1, one generator a picture, so that results do not depend on the batch."""
    out = []
    for start in range(0, len(prompts), batch):
        part = list(prompts[start : start + batch])
        given = {name: value[start : start + batch] for name, value in more.items()}
        generators = [torch.Generator().manual_seed(seed + k) for k in range(start, start + len(part))]
        drawn = made(part, num_inference_steps=STEPS, guidance_scale=GUIDANCE, generator=generators, output_type="np", **given).images
        out.append(torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1)
    return torch.cat(out)


@torch.no_grad()
def score(seen: judge.Judge, trials: Sequence[Trial], pictures: Tensor) -> dict[str, float]:
    """Shares right of objects, colours (where named), everything of a trial at once, backgrounds and counts.

    "colour" asks which of the colours with names an object has; for "colour, or its own" the judge may also answer that nothing was
    coloured, as it does for many a red apple.
    """
    at = [(k, box, want) for k, trial in enumerate(trials) for box, want in zip(trial.boxes, trial.wanted, strict=True)]
    logits = seen.of_crops(pictures[[k for k, _, _ in at]], [box for _, box, _ in at])
    names = [seen.objects[int(i)] for i in logits[0].argmax(1)]
    natural = seen.colours.index(judge.NATURAL)
    colours = [seen.colours[int(i)] for i in logits[1][:, :natural].argmax(1)]
    freely = [seen.colours[int(i)] for i in logits[1].argmax(1)]
    right = dict.fromkeys(range(len(trials)), True)
    objects, named, strictly = [], [], []
    for (k, _, (name, colour)), got, tint, free in zip(at, names, colours, freely, strict=True):
        objects.append(got == name)
        if colour:
            named.append(tint == colour)
            strictly.append(free == colour)
        right[k] = right[k] and got == name and (colour is None or tint == colour)
    backdrop, number = (x.argmax(1).tolist() for x in seen.of_pictures(pictures))
    return {
        "n": len(trials),
        "object": sum(objects) / len(objects),
        "colour": sum(named) / len(named) if named else float("nan"),
        "colour, or its own": sum(strictly) / len(strictly) if named else float("nan"),
        "all right": sum(right.values()) / len(right),
        "background": sum(seen.backdrops[b] == t.backdrop for b, t in zip(backdrop, trials, strict=True)) / len(trials),
        "count": sum(c + 1 == t.count for c, t in zip(number, trials, strict=True)) / len(trials),
    }


def edge_agreement(drawn: Tensor, hints: Tensor, reach: int = 1) -> float:
    """F1 of the outlines of pictures against wanted ones, with a tolerance of `reach` pixels."""
    found, wanted = edges.outlines(drawn), hints[:, :1]
    wide = lambda x: torch.nn.functional.max_pool2d(x, 2 * reach + 1, 1, reach)
    precision = (found * wide(wanted)).sum() / found.sum().clamp(min=1)
    recall = (wanted * wide(found)).sum() / wanted.sum().clamp(min=1)
    return float(2 * precision * recall / (precision + recall).clamp(min=1e-6))


def save_grid(pictures: Tensor, titles: Sequence[str], path: Path, columns: int = 8) -> None:
    side = pictures.shape[-1]
    rows = -(-len(titles) // columns)
    page = Image.new("RGB", (columns * (side + 4), rows * (side + 18)), "white")
    pen = ImageDraw.Draw(page)
    for k, (picture, title) in enumerate(zip(((pictures + 1) * 127.5).round().clamp(0, 255).byte(), titles, strict=True)):
        x, y = k % columns * (side + 4) + 2, k // columns * (side + 18)
        page.paste(Image.fromarray(picture.permute(1, 2, 0).numpy()), (x, y))
        pen.text((x, y + side + 2), title.replace(" background", "")[: side // 6 + 1], fill="black")
    path.parent.mkdir(parents=True, exist_ok=True)
    page.save(path)


def text_to_image(made: Any, seen: judge.Judge, vocabulary: Vocabulary, each: int) -> dict[str, dict[str, float]]:
    """Every figure of plain text to image."""
    out = {}
    for name, trials in (
        ("singles", singles(vocabulary, each, 1)),
        ("held-out colours", held_out(vocabulary, TRIALS // len(words.HELD_OUT), 2)),
        ("relations", relations(vocabulary, TRIALS, 3)),
        ("counts", counts(vocabulary, TRIALS, 4)),
    ):
        started = time.process_time()
        out[name] = score(seen, trials, draw(made, [t.prompt for t in trials], seed=1000))
        out[name]["seconds a picture"] = (time.process_time() - started) / len(trials)
        print(name, {k: round(v, 3) for k, v in out[name].items()}, flush=True)
    return out


def with_control(made: Any, control: Any, seen: judge.Judge, vocabulary: Vocabulary, atlas: sprites.Atlas, count: int) -> dict[str, float]:
    """Edge agreement and objects with and without the ControlNet, from the same seeds."""
    from diffusers import StableDiffusionControlNetPipeline

    rng = random.Random(800_000)
    drawn = [
        scenes.draw_one(rng, vocabulary, rng.choice(vocabulary.objects), None, rng.choice([*vocabulary.plain, *vocabulary.places]))
        for _ in range(count)
    ]
    hints = edges.hint(paint.as_floats(paint.paint(drawn, atlas)))
    steered = StableDiffusionControlNetPipeline(**made.components, controlnet=control, requires_safety_checker=False)
    steered.set_progress_bar_config(disable=True)
    trials = [Trial(s.caption, ((s.placements[0].name, None),), _WHOLE, s.backdrop.names[0]) for s in drawn]
    prompts = [t.prompt for t in trials]
    plain, guided = draw(made, prompts, seed=2000), draw(steered, prompts, seed=2000, image=hints)
    return {
        "n": count,
        "edge F1 without": edge_agreement(plain, hints),
        "edge F1 with": edge_agreement(guided, hints),
        "object without": score(seen, trials, plain)["object"],
        "object with": score(seen, trials, guided)["object"],
    }


@torch.no_grad()
def with_lora(made: Any, file: Path, seen: judge.Judge, vocabulary: Vocabulary, count: int) -> dict[str, float]:
    """Share of pictures judged flat, and of objects right, at several strengths of the LoRA."""
    trials = singles(vocabulary, -(-count // len(vocabulary.objects)), 5)[:count]
    made.load_lora_weights(file.parent, weight_name=file.name, adapter_name="flat")
    out = {}
    for strength in (0.0, 0.25, 0.5, 0.75, 1.0):
        made.set_adapters("flat", adapter_weights=strength)
        pictures = draw(made, [t.prompt for t in trials], seed=3000)
        out[f"flat at {strength}"] = float(seen.of_crops(pictures, _WHOLE * len(trials))[2].argmax(1).float().mean())
        out[f"object at {strength}"] = score(seen, trials, pictures)["object"]
    made.unload_lora_weights()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--grid", type=Path, help="write the fixed prompts as one PNG")
    parser.add_argument("--judge", type=Path, help="measure with this judge")
    parser.add_argument("--each", type=int, default=5, help="pictures of each object")
    parser.add_argument("--npm", type=Path, help="measure the VAE and the ControlNet with painted scenes")
    parser.add_argument("--controlnet", type=Path)
    parser.add_argument("--lora", type=Path)
    parser.add_argument("--figures", type=Path, help="write all figures as JSON")
    args = parser.parse_args()
    state.background_priority()
    made = layout.load(args.model)
    figures: dict[str, Any] = {}
    if args.grid:
        save_grid(draw(made, GRID, seed=100), GRID, args.grid)
    if args.judge:
        seen = judge.load(args.judge)
        vocabulary = Vocabulary.first(len(seen.objects))
        figures |= text_to_image(made, seen, vocabulary, args.each)
        if args.lora:
            figures["lora"] = with_lora(made, args.lora, seen, vocabulary, TRIALS)
        if args.npm and args.controlnet:
            from diffusers import ControlNetModel

            control = ControlNetModel.from_pretrained(args.controlnet, dtype=torch.float32, local_files_only=True)
            atlas = sprites.three_d(args.npm, vocabulary.objects)
            figures["controlnet"] = with_control(made, control, seen, vocabulary, atlas, TRIALS)
    if args.npm:
        vocabulary = Vocabulary.first()
        rng = random.Random(900_000)
        pictures = paint.paint([scenes.draw(rng, vocabulary) for _ in range(64)], sprites.three_d(args.npm, vocabulary.objects))
        figures["vae"] = dict(zip(("dB", "gradient energy"), quality(made.vae, latents.encode(made.vae, pictures), pictures), strict=True))
    print(json.dumps(figures, indent=2))
    if args.figures:
        args.figures.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
