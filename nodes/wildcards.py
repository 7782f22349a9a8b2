"""Texts with choices in them: {red|blue}, {2$$, $$oak|elm|ash}, {3::often|seldom} and __name__ for a line of a file."""

import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from nodegraph.errors import GraphError

MAX_DEPTH = 32
MAX_LENGTH = 100_000
MAX_FILE = 16 * 2**20


def read_folder(folder: Path) -> dict[str, list[str]]:
    """All .txt files of a folder by name ("animals", "places/towns"), each as its lines; empty lines and those with # count not.

    Raises:
        GraphError: It is no folder, or a file in it cannot be read.
    """
    if not folder.is_dir():
        raise GraphError(f"There is no folder '{folder}' with lists. Choose another one.", input="folder")
    found = {}
    for path in sorted(folder.rglob("*.txt")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        lines = (line.strip() for line in read_text(path).splitlines())
        found[name] = [line for line in lines if line and not line.startswith("#")]
    return found


def read_text(path: Path) -> str:
    """A text file in UTF-8.

    Raises:
        GraphError: It is missing, too large, or of another encoding.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise GraphError(f"'{path.name}' is too large for a text file (more than {MAX_FILE >> 20} MB).")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise GraphError(f"'{path.name}' is not a text in UTF-8. Save it as UTF-8.") from None
    except OSError as error:
        raise GraphError(f"'{path.name}' cannot be read: {error.strerror or error}.") from error


def variations(text: str, limit: int) -> list[str]:
    """Every text that the choices allow, in reading order.

    Raises:
        GraphError: There are more than `limit`.
    """
    return _all(text, limit, 0)


def _all(text: str, limit: int, depth: int) -> list[str]:
    if depth > MAX_DEPTH:
        raise GraphError(f"The choices are nested more than {MAX_DEPTH} deep.")
    made, place = [""], 0
    for match in re.finditer(r"\\([{}|_\\])|\{", text):
        if match.start() < place:
            continue
        parts = [match[1] or "{"]
        before, place = text[place : match.start()], match.end()
        end = None if match[1] else _closing(text, match.start())
        if end is not None:
            inner, place = text[match.end() : end], end + 1
            options = [re.sub(r"^\s*\d+(?:\.\d+)?::", "", option) for option in _options(inner)]
            parts = [found for option in options for found in _all(option, limit, depth + 1)]
            if len(options) == 1:
                parts = ["{" + part + "}" for part in parts]
        if len(made) * len(parts) > limit:
            raise GraphError(f"There are more than {limit} variations. Raise the limit, or take choices away.", input="limit")
        made = [f"{whole}{before}{part}" for whole in made for part in parts]
    return [whole + text[place:] for whole in made]


def resolved(text: str, seed: int, lists: Mapping[str, Sequence[str]] | None = None) -> str:
    r"""A text with every choice made; the same seed makes the same ones. \{ and \| stand for the signs themselves.

    Raises:
        GraphError: A list is unknown or empty, lists call each other in a circle, or the text grows beyond reason.
    """
    return _Choice(random.Random(seed), lists or {}).text(text, 0)


class _Choice:
    def __init__(self, chance: random.Random, lists: Mapping[str, Sequence[str]]) -> None:
        self.chance = chance
        self.lists = lists
        self.written = 0

    def text(self, text: str, depth: int) -> str:
        if depth > MAX_DEPTH:
            raise GraphError(f"The choices are nested more than {MAX_DEPTH} deep. Does a list call itself?")
        if len(text) > MAX_LENGTH:
            raise GraphError(f"The text has {len(text)} characters; at most {MAX_LENGTH} are possible.", input="text")
        made, place = [], 0
        for match in re.finditer(r"\\([{}|_\\])|\{|__([\w*/. -]+?)__", text):
            if match.start() < place:
                continue
            made.append(text[place : match.start()])
            place = match.end()
            if match[1]:
                made.append(match[1])
            elif match[2]:
                made.append(self.line(match[2], depth))
            else:
                end = _closing(text, match.start())
                if end is None:
                    made.append("{")
                else:
                    made.append(self.choice(text[match.end() : end], depth))
                    place = end + 1
        made.append(text[place:])
        whole = "".join(made)
        self.written += len(whole) + 1
        if self.written > MAX_LENGTH * 10 or len(whole) > MAX_LENGTH:
            raise GraphError("The text with its choices grows too long. Does a list call itself?")
        return whole

    def line(self, name: str, depth: int) -> str:
        if "*" in name:
            pattern = re.escape(name).replace(r"\*", ".*")
            lines = [line for key, found in self.lists.items() if re.fullmatch(pattern, key) for line in found]
        else:
            lines = list(self.lists.get(name, ()))
        if not lines:
            known = ", ".join(list(self.lists)[:12]) or "none"
            raise GraphError(f"There is no list '{name[:60]}', or it is empty. Lists that are there: {known}.", input="text")
        return self.text(self.weighted(lines, 1)[0], depth + 1)

    def choice(self, inner: str, depth: int) -> str:
        count, joint = (1, 1), ", "
        head = re.match(r"(\d+)?(-)?(\d+)?\$\$(?:([^|{}]*?)\$\$)?", inner)
        if head and (head[1] or head[3]):
            low = int(head[1]) if head[1] else 1
            count = (low, int(head[3]) if head[3] else low) if head[2] else (low, low)
            joint = head[4] if head[4] is not None else joint
            inner = inner[head.end() :]
        options = _options(inner)
        if not head and len(options) == 1:
            return "{" + self.text(inner, depth + 1) + "}"  # braces without a choice are only braces
        wanted = self.chance.randint(min(count), max(count))
        if wanted > len(options):
            raise GraphError(f"{wanted} of {len(options)} choices are asked for. Offer more, or ask for fewer.", input="text")
        return joint.join(self.text(option, depth + 1) for option in self.weighted(options, wanted))

    def weighted(self, options: Sequence[str], count: int) -> list[str]:
        """Some of the options, none of them twice; "3::word" is three times as likely as "word"."""
        pool = []
        for option in options:
            match = re.match(r"\s*(\d+(?:\.\d+)?)::", option)
            pool.append((option[match.end() :], float(match[1])) if match else (option, 1.0))
        made = []
        for _ in range(count):
            weights = [weight for _, weight in pool]
            if not sum(weights):
                raise GraphError("All that is left to choose from has the weight 0. Give something a weight.", input="text")
            place = self.chance.choices(range(len(pool)), weights)[0]
            made.append(pool.pop(place)[0])
        return made


def _closing(text: str, start: int) -> int | None:
    depth, place = 0, start
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 1
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                return place
        place += 1
    return None


def _options(text: str) -> list[str]:
    """Split at bars that stand outside of inner braces."""
    parts, depth, begin, place = [], 0, 0, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            place += 1
        elif sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
        elif sign == "|" and depth == 0:
            parts.append(text[begin:place])
            begin = place + 1
        place += 1
    return [*parts, text[begin:]]
