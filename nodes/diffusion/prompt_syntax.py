r"""The syntax of prompts: comments, wildcards, schedules, chunks, weights and embeddings. Torch-free, tokenizer-free.

(word)  (word:1.3)  ((word))   weight: x 1.1 for each pair, or the number, which then counts alone (ComfyUI's rule)
[cat:dog:0.4]                  cat, from 40 % of the steps on dog; [dog:0.4] dog from then on; [cat::0.4] cat until then
[cat|dog]                      cat in one step, dog in the next
{red|green|blue}               one of these, chosen by the seed
BREAK                          go on in a new chunk of the text encoder
embedding:name                 a textual inversion
# ...   // ...   /* ... */     comments: # at the start of a line, // there or after a space, or between the marks
\( \) \[ \] \{ \} \|           the sign itself; [word] without a colon or bar is plain text
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nodegraph.errors import GraphError

MAX_DEPTH = 64
MAX_LENGTH = 100_000
Chooser = Callable[[list[str]], str]


@dataclass(frozen=True)
class Piece:
    """A run of text with one weight. embedding: name of a textual inversion (text is then ""); is_break: a new chunk starts here."""

    text: str
    weight: float = 1.0
    embedding: str = ""
    is_break: bool = False


@dataclass(frozen=True)
class Part:
    """A prompt that holds for a share of the steps: start <= step / steps < end."""

    start: float
    end: float
    text: str


def parse(text: str, steps: int = 20, seed: int = 0) -> list[tuple[Part, list[Piece]]]:
    """A prompt as typed -> its parts over time, each as weighted pieces.

    steps: what step numbers in schedules and alternation count against. seed: chooses wildcards.
    Raises: GraphError for absurd depth or length; an unbalanced bracket is plain text.
    """
    if len(text) > MAX_LENGTH:
        raise GraphError(f"The prompt has {len(text)} characters; more than {MAX_LENGTH} are refused.")
    plain = wildcards(without_comments(text), seed)
    return [(part, pieces(part.text)) for part in schedule(plain, steps)]


def without_comments(text: str) -> str:
    """The prompt without its comments."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    text = re.sub(r"^[ \t]*#.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"(?:^|(?<=\s))//.*$", "", text, flags=re.MULTILINE)


def wildcards(text: str, seed: int) -> str:
    """Every {a|b} replaced by one of its options; the same seed chooses the same ones."""
    if _depth(text, "{}") > MAX_DEPTH:
        raise GraphError(f"The prompt nests '{{' more than {MAX_DEPTH} deep.")
    return _expand(text, random.Random(seed).choice)


def _expand(text: str, choose: Chooser) -> str:
    """Choose from the outside inwards, in reading order; only what is chosen is read on."""
    out: list[str] = []
    i = 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1 : i + 2] in ("{", "}"):
            out.append(text[i + 1])
            i += 2
        elif text[i] == "{" and (end := _matching(text, i, "{}")) is not None:
            options = _split(text[i + 1 : end], "|", "{}")
            out.append(_expand(choose(options) if len(options) > 1 else options[0], choose))
            i = end + 1
        else:
            out.append(text[i])
            i += 1
    return "".join(out)


def _depth(text: str, brackets: str) -> int:
    deepest = depth = 0
    for sign in text:
        depth += (sign == brackets[0]) - (sign == brackets[1])
        deepest = max(deepest, depth)
    return deepest


def _matching(text: str, start: int, brackets: str) -> int | None:
    """Where the bracket that opens at `start` closes; None when it does not."""
    depth, i = 0, start
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        depth += (text[i] == brackets[0]) - (text[i] == brackets[1])
        if depth == 0:
            return i
        i += 1
    return None


def _split(text: str, sign: str, brackets: str) -> list[str]:
    """Parts between `sign` outside of any brackets and parentheses."""
    parts, depth, start, i = [], 0, 0, 0
    opening, closing = brackets[0] + "(", brackets[1] + ")"
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        depth += (text[i] in opening) - (text[i] in closing)
        if text[i] == sign and depth == 0:
            parts.append(text[start:i])
            start = i + 1
        i += 1
    return [*parts, text[start:]]


# --- schedules -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """[before:after:when], when = 0..1."""

    before: list[object]
    after: list[object]
    when: float


@dataclass(frozen=True)
class _Turn:
    """[a|b|c]."""

    options: list[list[object]]


def schedule(text: str, steps: int = 20) -> list[Part]:
    """The parts of a prompt over time, in order, from 0 to 1; one part when nothing is scheduled."""
    if steps < 1:
        raise GraphError("A prompt schedule needs at least one step.")
    if _depth(text, "[]") > MAX_DEPTH:
        raise GraphError(f"The prompt nests '[' more than {MAX_DEPTH} deep.")
    tree = _tree(text, steps)
    moments = sorted({0.0, 1.0, *_moments(tree, steps)})
    parts: list[Part] = []
    for start, end in itertools.pairwise(moments):
        said = "".join(_at(tree, start, round(start * steps)))
        if parts and parts[-1].text == said:
            parts[-1] = Part(parts[-1].start, end, said)
        else:
            parts.append(Part(start, end, said))
    return parts


def _tree(text: str, steps: int) -> list[object]:
    out: list[object] = []
    i = start = 0
    while i < len(text):
        if text[i] == "\\" and text[i + 1 : i + 2] in ("[", "]", "|"):
            out.append(text[start:i] + text[i + 1])
            i += 2
            start = i
        elif text[i] == "[" and (end := _matching(text, i, "[]")) is not None:
            found = _scheduled(text[i + 1 : end], steps)
            out.append(text[start:i])
            out.extend([found] if found is not None else ["[", *_tree(text[i + 1 : end], steps), "]"])
            i = start = end + 1
        else:
            i += 1
    return [*out, text[start:]]


def _scheduled(inner: str, steps: int) -> _Change | _Turn | None:
    options = _split(inner, "|", "[]")
    if len(options) > 1:
        return _Turn([_tree(option, steps) for option in options])
    parts = _split(inner, ":", "[]")
    if len(parts) not in (2, 3):
        return None
    try:
        when = float(parts[-1])
    except ValueError:
        return None
    if not 0 <= when < float("inf"):
        return None
    when = min(when / steps if when > 1 or (when == 1 and "." not in parts[-1] and steps > 1) else when, 1.0)
    before, after = ("", parts[0]) if len(parts) == 2 else (parts[0], parts[1])
    return _Change(_tree(before, steps), _tree(after, steps), when)


def _moments(tree: list[object], steps: int) -> Iterator[float]:
    for item in tree:
        if isinstance(item, _Change):
            yield item.when
            yield from _moments(item.before, steps)
            yield from _moments(item.after, steps)
        elif isinstance(item, _Turn):
            yield from (i / steps for i in range(steps))
            for option in item.options:
                yield from _moments(option, steps)


def _at(tree: list[object], moment: float, step: int) -> Iterator[str]:
    for item in tree:
        if isinstance(item, _Change):
            yield from _at(item.before if moment < item.when else item.after, moment, step)
        elif isinstance(item, _Turn):
            yield from _at(item.options[step % len(item.options)], moment, step)
        else:
            yield str(item)


# --- weights -------------------------------------------------------------------------------------------------------------

_EMBEDDING = re.compile(r"(?:(?<=^)|(?<=[\s,(]))embedding:([^\s,()]+)")


def pieces(text: str) -> list[Piece]:
    """A prompt without schedules as weighted pieces."""
    result: list[Piece] = []
    for run, weight in weighted(text):
        for i, chunk in enumerate(re.split(r"\bBREAK\b", run)):
            if i:
                result.append(Piece("", is_break=True))
            last = 0
            for match in _EMBEDDING.finditer(chunk):
                if chunk[last : match.start()].strip():
                    result.append(Piece(chunk[last : match.start()].rstrip(" "), weight))
                result.append(Piece("", weight, match[1]))
                last = match.end()
            if chunk[last:].strip() or (not last and chunk and not i):
                result.append(Piece(chunk[last:], weight))
    return result


def weighted(text: str) -> list[tuple[str, float]]:
    r"""(run of text, weight) pairs by ComfyUI's rule: (x) multiplies by 1.1, (x:w) sets w, \( and \) are plain signs.

    Where parentheses do not balance, the rest is plain text.
    """
    out: list[tuple[str, float]] = []
    waiting = [(text.replace("\\(", "\0\1").replace("\\)", "\0\2"), 1.0, 0, False)]  # the next on top; True = read, only to be put out
    while waiting:
        run, weight, depth, is_read = waiting.pop()
        if depth > MAX_DEPTH:
            raise GraphError(f"The prompt nests '(' more than {MAX_DEPTH} deep.")
        if is_read:
            out.append((run.replace("\0\1", "(").replace("\0\2", ")"), weight))
            continue
        for item in reversed(_groups(run)):
            if len(item) >= 2 and item[0] == "(" and item[-1] == ")":
                waiting.append((*_explicit(item[1:-1], weight * 1.1), depth + 1, False))
            else:
                waiting.append((item, weight, depth, True))
    return out


def _groups(text: str) -> list[str]:
    """The text cut at its outermost parentheses."""
    groups, depth, start = [], 0, 0
    for i, sign in enumerate(text):
        if sign == "(":
            if depth == 0 and i > start:
                groups.append(text[start:i])
                start = i
            depth += 1
        elif sign == ")":
            depth -= 1
            if depth == 0:
                groups.append(text[start : i + 1])
                start = i + 1
    return [*groups, text[start:]] if start < len(text) else groups


def _explicit(inner: str, weight: float) -> tuple[str, float]:
    """The inside of a parenthesis and its weight: the number behind the last colon, if there is one."""
    text, colon, number = inner.rpartition(":")
    if not colon or not text:
        return inner, weight
    try:
        value = float(number)
    except ValueError:
        return inner, weight
    return (text, value) if abs(value) < 1e6 else (inner, weight)
