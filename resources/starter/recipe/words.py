"""The words of the starter world: objects, colours and places, so that captions, tokenizer and judge agree."""

from dataclasses import dataclass

# Object name: codepoint file of the sprite. The order is the order of training: the first FIRST_OBJECTS are drawn now,
# a later run takes more of them by --objects without a new tokenizer.
OBJECTS: dict[str, str] = {
    "cat": "1f431", "fox": "1f98a", "penguin": "1f427", "frog": "1f438", "apple": "1f34e", "mushroom": "1f344",
    "tree": "1f333", "cactus": "1f335", "rocket": "1f680", "car": "1f697", "house": "1f3e0", "star": "2b50", "heart": "2764",
    "balloon": "1f388", "fish": "1f41f", "snowman": "26c4",
    "dog": "1f436", "rabbit": "1f430", "panda": "1f43c", "sailboat": "26f5", "bear": "1f43b", "owl": "1f989",
    "chick": "1f425", "duck": "1f986", "turtle": "1f422", "whale": "1f433", "butterfly": "1f98b", "lemon": "1f34b",
    "strawberry": "1f353", "pear": "1f350", "cupcake": "1f9c1", "doughnut": "1f369", "sunflower": "1f33b", "tulip": "1f337",
    "castle": "1f3f0", "moon": "1f319", "robot": "1f916", "crown": "1f451", "gift": "1f381", "unicorn": "1f984",
    "lion": "1f981", "tiger": "1f42f", "koala": "1f428", "pig": "1f437", "monkey": "1f435", "elephant": "1f418",
    "snail": "1f40c", "dolphin": "1f42c", "octopus": "1f419", "bee": "1f41d", "ladybug": "1f41e", "deer": "1f98c",
    "hedgehog": "1f994", "dinosaur": "1f996", "dragon": "1f409", "horse": "1f40e", "cow": "1f42e", "mouse": "1f42d",
    "giraffe": "1f992", "swan": "1f9a2", "flamingo": "1f9a9", "parrot": "1f99c", "eagle": "1f985", "shark": "1f988",
    "crab": "1f980", "squid": "1f991", "spider": "1f577", "snake": "1f40d", "crocodile": "1f40a", "seal": "1f9ad",
    "watermelon": "1f349", "pineapple": "1f34d", "banana": "1f34c", "grapes": "1f347", "peach": "1f351", "cherries": "1f352",
    "orange fruit": "1f34a", "kiwi": "1f95d", "tomato": "1f345", "avocado": "1f951", "carrot": "1f955", "corn": "1f33d",
    "broccoli": "1f966", "bread": "1f35e", "croissant": "1f950", "cheese": "1f9c0", "egg": "1f95a", "pizza": "1f355",
    "hamburger": "1f354", "sandwich": "1f96a", "taco": "1f32e", "ice cream": "1f368", "cake": "1f382", "cookie": "1f36a",
    "lollipop": "1f36d", "teapot": "1fad6", "cup": "2615", "pine tree": "1f332", "palm tree": "1f334", "rose": "1f339",
    # The next sittings.
    "hibiscus": "1f33a", "leaf": "1f341", "airplane": "2708", "helicopter": "1f681", "bus": "1f68c", "train": "1f682",
    "tractor": "1f69c", "truck": "1f69a", "bicycle": "1f6b2", "ship": "1f6a2", "canoe": "1f6f6", "tent": "26fa",
    "lighthouse tower": "1f5fc", "volcano": "1f30b", "sun": "2600", "cloud": "2601", "rainbow": "1f308", "planet": "1fa90",
    "snowflake": "2744", "fire": "1f525", "umbrella": "2602", "bell": "1f514", "guitar": "1f3b8", "violin": "1f3bb",
    "drum": "1f941", "trumpet": "1f3ba", "pumpkin": "1f383", "ghost": "1f47b", "alien": "1f47d", "diamond": "1f48e",
    "key": "1f511", "lantern": "1f3ee", "candle": "1f56f", "lamp": "1f4a1", "book": "1f4d8", "pencil": "270f",
    "camera": "1f4f7", "clock": "23f0", "hat": "1f3a9", "shoe": "1f45f", "backpack": "1f392", "chair": "1fa91",
    "ball": "26bd", "kite": "1fa81", "anchor": "2693", "shell": "1f41a", "feather": "1fab6", "trophy": "1f3c6",
    "teddy bear": "1f9f8",
}  # fmt: skip
FIRST_OBJECTS = 100

# Objects that hang, fly or float: no shadow on the ground, placed higher.
FLOATING = frozenset(
    {"butterfly", "rocket", "star", "heart", "moon", "balloon", "fish", "whale", "bee", "ladybug", "dolphin", "octopus",
     "squid", "shark", "eagle", "parrot", "airplane", "helicopter", "sun", "cloud", "rainbow", "planet", "snowflake", "kite",
     "feather", "leaf", "diamond", "ghost", "alien"}
)  # fmt: skip

# Colour name: the tint of objects and of plain backgrounds, as sRGB 0..255.
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (222, 52, 56), "orange": (245, 146, 54), "yellow": (250, 212, 72), "green": (84, 186, 98),
    "teal": (52, 182, 178), "blue": (66, 122, 230), "purple": (146, 92, 214), "pink": (248, 146, 194),
}  # fmt: skip
NEUTRALS: dict[str, tuple[int, int, int]] = {"white": (244, 244, 246), "black": (28, 28, 34), "gray": (142, 142, 150)}
PLAIN = COLOURS | NEUTRALS
TINTS = COLOURS | {name: NEUTRALS[name] for name in ("white", "black")}  # gray is too near to what some objects are

# Place: the phrases that name it.
PLACES: dict[str, tuple[str, ...]] = {
    "meadow": ("in a meadow", "on the grass"),
    "beach": ("on the beach", "on a beach"),
    "night": ("at night", "under the stars"),
    "snow": ("in the snow", "in winter"),
    "sea": ("under the sea", "underwater"),
    "sunset": ("at sunset", "in the sunset"),
    "mountains": ("in the mountains", "in front of mountains"),
    "forest": ("in a forest", "in the woods"),
    "desert": ("in the desert", "in a desert"),
    "space": ("in space", "in outer space"),
}
COUNTS = {2: "two", 3: "three"}
RELATIONS = ("left of", "right of", "above", "below", "and")

# Never trained together: they measure whether colour and shape are understood apart.
HELD_OUT = frozenset(
    {("cat", "green"), ("rocket", "purple"), ("apple", "blue"), ("dog", "pink"), ("car", "teal"), ("fish", "purple"),
     ("star", "red"), ("tree", "orange")}
)  # fmt: skip

_PLURALS = {
    "fish": "fish", "cactus": "cacti", "deer": "deer", "mouse": "mice", "grapes": "grapes", "cherries": "cherries",
    "leaf": "leaves", "broccoli": "broccoli", "bread": "bread", "corn": "corn", "cheese": "cheese",
    "snowman": "snowmen", "tomato": "tomatoes", "volcano": "volcanoes",
}  # fmt: skip


@dataclass(frozen=True)
class Vocabulary:
    """The part of the world that one training run draws."""

    objects: tuple[str, ...]
    colours: tuple[str, ...] = tuple(TINTS)
    plain: tuple[str, ...] = tuple(PLAIN)
    places: tuple[str, ...] = tuple(PLACES)
    held_out: frozenset[tuple[str, str]] = HELD_OUT

    @classmethod
    def first(cls, count: int = FIRST_OBJECTS) -> "Vocabulary":
        """The first `count` objects with every colour and place."""
        return cls(tuple(OBJECTS)[:count])


def with_article(name: str) -> str:
    """'a cat', 'an owl', 'a unicorn'."""
    return ("an " if name[0] in "aeiou" and not name.startswith("uni") else "a ") + name


def plural(name: str) -> str:
    """'cats', 'butterflies', 'foxes', 'cacti'."""
    if name in _PLURALS:
        return _PLURALS[name]
    if name.endswith("y") and name[-2] not in "aeiou":
        return name[:-1] + "ies"
    if name.endswith(("s", "x", "ch", "sh")):
        return name + "es"
    return name + "s"


def every_word() -> list[str]:
    """Each word a caption can hold, over the whole world and not just the part trained so far."""
    phrases = [*OBJECTS, *map(plural, OBJECTS), *PLAIN, *RELATIONS, *COUNTS.values(), *(p for ps in PLACES.values() for p in ps)]
    phrases += ["a", "an", "on a background", "gradient", "to", "flat style", "small", "big", "with", "the"]
    return sorted({word for phrase in phrases for word in phrase.split()})
