"""Draws what a scene holds: objects, places and an exact caption, as plain values that `paint` turns into pixels."""

import random
from dataclasses import dataclass
from typing import Literal

from resources.starter.recipe import words
from resources.starter.recipe.words import Vocabulary

GROUND = {"meadow", "beach", "night", "snow", "sunset", "mountains", "forest", "desert"}


@dataclass(frozen=True)
class Placement:
    """One sprite: centre and size as fractions of the picture, angle in degrees."""

    name: str
    colour: str | None
    x: float
    y: float
    size: float
    angle: float
    flip: bool
    shadow: bool


@dataclass(frozen=True)
class Backdrop:
    """What is behind the objects: one or two plain colours, or a place painted from `seed`."""

    kind: Literal["plain", "gradient", "place"]
    names: tuple[str, ...]
    seed: int

    @property
    def label(self) -> str:
        """The name that the judge learns; gradients have none of their own."""
        return self.names[0] if self.kind != "gradient" else "gradient"


@dataclass(frozen=True)
class Scene:
    """A caption and what it says, exactly."""

    caption: str
    backdrop: Backdrop
    placements: tuple[Placement, ...]
    kind: str  # "one", "two" or "three" of the same, or the relation of a pair


def draw(rng: random.Random, vocabulary: Vocabulary, single: float = 0.66, pair: float = 0.22) -> Scene:
    """A random scene: `single` is the share with one object, `pair` with two different ones, the rest counts."""
    backdrop, phrase = _backdrop(rng, vocabulary)
    choice = rng.random()
    if choice < single:
        text, placements, kind = _one(rng, vocabulary, backdrop)
    elif choice < single + pair:
        text, placements, kind = _pair(rng, vocabulary, backdrop)
    else:
        text, placements, kind = _many(rng, vocabulary, backdrop)
    return Scene(f"{text} {phrase}", backdrop, placements, kind)


def draw_one(rng: random.Random, vocabulary: Vocabulary, name: str, colour: str | None, place: str) -> Scene:
    """A single-object scene of a given object, colour and place or plain colour: for the judge and for evaluation."""
    if place in words.PLACES:
        backdrop, phrase = Backdrop("place", (place,), rng.getrandbits(32)), words.PLACES[place][0]
    else:
        backdrop, phrase = Backdrop("plain", (place,), rng.getrandbits(32)), f"on {words.with_article(place)} background"
    placement = _single(rng, backdrop, name, colour)
    return Scene(f"{_named(name, colour)} {phrase}", backdrop, (placement,), "one")


def _backdrop(rng: random.Random, vocabulary: Vocabulary) -> tuple[Backdrop, str]:
    choice, seed = rng.random(), rng.getrandbits(32)
    if choice < 0.40:
        name = rng.choice(vocabulary.plain)
        return Backdrop("plain", (name,), seed), f"on {words.with_article(name)} background"
    if choice < 0.48:
        above, below = rng.sample(vocabulary.plain, 2)
        return Backdrop("gradient", (above, below), seed), f"on {words.with_article(above)} to {below} gradient"
    name = rng.choice(vocabulary.places)
    return Backdrop("place", (name,), seed), rng.choice(words.PLACES[name])


def _object(rng: random.Random, vocabulary: Vocabulary, tinted: float) -> tuple[str, str | None]:
    name = rng.choice(vocabulary.objects)
    if rng.random() >= tinted:
        return name, None
    colour = rng.choice(vocabulary.colours)
    return name, None if (name, colour) in vocabulary.held_out else colour


def _named(name: str, colour: str | None) -> str:
    return words.with_article(f"{colour} {name}" if colour else name)


def _place(rng: random.Random, backdrop: Backdrop, name: str, colour: str | None, x: float, y: float, size: float) -> Placement:
    grounded = name not in words.FLOATING and (backdrop.kind == "plain" or backdrop.names[0] in GROUND)
    angle = rng.uniform(-4, 4) if grounded else rng.uniform(-9, 9)
    return Placement(name, colour, x, y, size, angle, rng.random() < 0.5, grounded)


def _single(rng: random.Random, backdrop: Backdrop, name: str, colour: str | None) -> Placement:
    size = rng.uniform(0.58, 0.78)
    lowered = backdrop.kind == "place" and backdrop.names[0] in GROUND
    y = 0.46 if name in words.FLOATING and lowered else 0.56 if lowered else 0.51
    return _place(rng, backdrop, name, colour, 0.5 + rng.uniform(-0.04, 0.04), y + rng.uniform(-0.03, 0.03), size)


def _one(rng: random.Random, vocabulary: Vocabulary, backdrop: Backdrop) -> tuple[str, tuple[Placement, ...], str]:
    name, colour = _object(rng, vocabulary, tinted=0.5)
    return _named(name, colour), (_single(rng, backdrop, name, colour),), "one"


def _pair(rng: random.Random, vocabulary: Vocabulary, backdrop: Backdrop) -> tuple[str, tuple[Placement, ...], str]:
    first, second = _object(rng, vocabulary, tinted=0.35), _object(rng, vocabulary, tinted=0.35)
    one, other = _named(*first), _named(*second)
    jitter = lambda: rng.uniform(-0.02, 0.02)
    sizes = rng.uniform(0.42, 0.48), rng.uniform(0.42, 0.48)
    relation = rng.choice(("beside", "above", "and"))
    if relation == "above":
        spots = ((0.5 + jitter(), 0.27), (0.5 + jitter(), 0.74))
        text, kind = (f"{one} above {other}", "above") if rng.random() < 0.6 else (f"{other} below {one}", "below")
    else:
        spots = ((0.26, 0.55 + jitter()), (0.74, 0.55 + jitter()))
        if relation == "and":
            text, kind = f"{one} and {other}", "and"
        else:
            text, kind = (f"{one} left of {other}", "left of") if rng.random() < 0.5 else (f"{other} right of {one}", "right of")
    placements = tuple(_place(rng, backdrop, *o, *spot, size) for o, spot, size in zip((first, second), spots, sizes, strict=True))
    return text, placements, kind


def _many(rng: random.Random, vocabulary: Vocabulary, backdrop: Backdrop) -> tuple[str, tuple[Placement, ...], str]:
    name, colour = _object(rng, vocabulary, tinted=0.3)
    count = rng.choice(tuple(words.COUNTS))
    size = {2: 0.45, 3: 0.33}[count]
    spots = [((i + 0.5) / count, 0.55 + rng.uniform(-0.02, 0.02)) for i in range(count)]
    placements = tuple(_place(rng, backdrop, name, colour, x, y, size) for x, y in spots)
    text = f"{words.COUNTS[count]} {colour + ' ' if colour else ''}{words.plural(name)}"
    return text, placements, words.COUNTS[count]
