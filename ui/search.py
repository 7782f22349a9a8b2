"""Finds nodes and commands by a few letters: over names, words, ports and help; ranked by match, then by what this user adds most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from nodegraph.spec import Input, NodeSpec, Output, accepts
from ui.canvas.model import PortRef

WEIGHTS: Final[Mapping[str, float]] = {"title": 1.0, "keyword": 0.8, "port": 0.55, "category": 0.5, "summary": 0.45, "help": 0.2}


@lru_cache(maxsize=65536)
def fuzzy(query: str, text: str) -> tuple[float, tuple[int, ...]] | None:
    """How well the letters of `query` stand in `text` in this order: (score up to about 1, their places), None if they do not.

    A whole word scores best, then the beginning of a word, a part of one, the first letters of words, and scattered letters least.
    Case does not count.
    """
    wanted, low = query.lower(), text.lower()
    if not wanted:
        return 0.0, ()
    if not low:
        return None
    starts = [i for i, letter in enumerate(low) if letter.isalnum() and (i == 0 or not low[i - 1].isalnum())]
    brevity = 0.06 * len(wanted) / max(len(wanted), len(low))
    for order, start in enumerate(starts):
        if low.startswith(wanted, start):
            end = start + len(wanted)
            whole = end == len(low) or not low[end].isalnum()
            return (0.94 if whole else 0.86) - 0.03 * min(order, 6) + brevity, tuple(range(start, end))
    at = low.find(wanted)
    if at >= 0 and len(wanted) > 1:
        return 0.6 + brevity, tuple(range(at, at + len(wanted)))
    best: tuple[float, tuple[int, ...]] | None = None
    for begin in [s for s in starts if low[s] == wanted[0]][:4]:
        found = _scattered(wanted, low, begin, frozenset(starts))
        if found is not None and (best is None or found[0] > best[0]):
            best = found
    return (best[0] + brevity, best[1]) if best is not None else None


def _scattered(wanted: str, low: str, begin: int, starts: frozenset[int]) -> tuple[float, tuple[int, ...]] | None:
    places = [begin]
    runs = jumps = 0
    for letter in wanted[1:]:
        last = places[-1]
        if last + 1 < len(low) and low[last + 1] == letter:
            places.append(last + 1)
            runs += 1
            continue
        ahead = [i for i in starts if i > last and low[i] == letter]
        at = min(ahead) if ahead else low.find(letter, last + 1)
        if at < 0:
            return None
        jumps += at not in starts
        places.append(at)
    spread = (places[-1] - places[0]) / max(1, len(low))
    score = 0.5 + 0.08 * runs / max(1, len(wanted) - 1) - 0.14 * jumps - 0.06 * spread
    return (score, tuple(places)) if score > 0.2 else None


OWN_WEIGHT: Final = 4
USUAL_SHOWN: Final = 6


def habit_key(hint: PortRef | None) -> str:
    """Under which habits at a port are counted: its type; with "<" before it, what comes before an input."""
    return "" if hint is None else hint.type if hint.side == "out" else f"<{hint.type}"


@dataclass(frozen=True)
class Hit:
    """A node that was found: how well, which letters of its title to light, and the port that a dragged link would take."""

    spec: NodeSpec
    score: float
    places: tuple[int, ...] = ()
    port: str = ""
    fits: bool = True


@dataclass(frozen=True)
class Habits:
    """What this user does: favourites, nodes added lately (newest first), and how often a node followed a port (see `habit_key`).

    `usual` counts the same in the shipped examples; what the user does weighs more.
    """

    favourites: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()
    followers: Mapping[str, Mapping[str, int]] | None = None
    usual: Mapping[str, Mapping[str, int]] | None = None

    def counts(self, after: str) -> dict[str, int]:
        """How often each node type came at a port."""
        found = dict((self.usual or {}).get(after, {}))
        for type_id, count in (self.followers or {}).get(after, {}).items():
            found[type_id] = found.get(type_id, 0) + OWN_WEIGHT * count
        return found

    def bonus(self, type_id: str, counts: Mapping[str, int]) -> float:
        """At most 0.1, so that habit never beats a better match."""
        total = 0.04 if type_id in self.favourites else 0.0
        if type_id in self.recent:
            total += 0.03 * (1 - self.recent.index(type_id) / len(self.recent))
        if type_id in counts:
            total += 0.06 * counts[type_id] / max(counts.values())
        return min(total, 0.1)


def fitting_port(spec: NodeSpec, hint: PortRef) -> str | None:
    """The first input (or output) of a node that takes a link dragged from `hint`; exact types before those that convert."""
    ports: Sequence[Input | Output] = spec.inputs if hint.side == "out" else spec.outputs
    near = None
    for port in ports:
        wanted, offered = (port.type, hint.type) if hint.side == "out" else (hint.type, port.type)
        if wanted == offered:
            return port.name
        if near is None and accepts(wanted, offered) and (isinstance(port, Output) or port.is_port or hint.type != "*"):
            near = port.name
    return near


def find_nodes(query: str, specs: Mapping[str, NodeSpec], habits: Habits, hint: PortRef | None = None, limit: int = 60) -> list[Hit]:
    """The nodes that `query` means, the best first; with a hint only those that a link from it fits."""
    words = query.split()
    counts = habits.counts(habit_key(hint)) if hint is not None else {}
    hits = []
    for spec in specs.values():
        port = ""
        if hint is not None:
            found = fitting_port(spec, hint)
            if found is None:
                continue
            port = found
        if not spec.category and spec.id != "reroute":
            continue
        scored = _score(words, query.strip(), spec)
        if scored is not None:
            exact = 0.02 if hint is not None and _port_type(spec, port, hint) == hint.type else 0.0
            hits.append(Hit(spec, scored[0] + habits.bonus(spec.id, counts) + exact, scored[1], port))
    hits.sort(key=lambda hit: (-hit.score, hit.spec.title.lower(), hit.spec.id))
    return hits[:limit]


def _port_type(spec: NodeSpec, name: str, hint: PortRef) -> str:
    port = spec.by_name.get(name) if hint.side == "out" else spec.outputs_by_name.get(name)
    return port.type if port is not None else ""


def _score(words: Sequence[str], whole: str, spec: NodeSpec) -> tuple[float, tuple[int, ...]] | None:
    if not words:
        return 0.0, ()
    in_title = fuzzy(whole, spec.title)
    if in_title is not None and len(words) > 1:
        return in_title[0] + 0.1, in_title[1]
    total = 0.0
    places: set[int] = set()
    for word in words:
        best = 0.0
        found = fuzzy(word, spec.title)
        if found is not None:
            best = found[0] * WEIGHTS["title"]
            places.update(found[1])
        for kind, text in _fields(spec):
            if WEIGHTS[kind] * 1.0 > best:
                best = max(best, _literal(word, text) * WEIGHTS[kind])
        if best <= 0:
            return None
        total += best
    return total / len(words), tuple(sorted(places))


@lru_cache(maxsize=4096)
def _fields_of(spec_id: str, version: int, texts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((kind, text.lower()) for kind, text in texts if text)


def _fields(spec: NodeSpec) -> tuple[tuple[str, str], ...]:
    ports = " ".join([*(p.name.replace("_", " ") for p in spec.inputs), *(f"{p.name} {p.type}".replace("_", " ") for p in spec.outputs)])
    choices = " ".join(str(choice) for item in spec.inputs for choice in item.choices)
    return _fields_of(
        spec.id,
        spec.version,
        (
            ("keyword", " ".join((*spec.keywords, spec.id.replace("/", " ").replace("_", " ")))),
            ("port", ports + " " + choices),
            ("category", spec.category.replace("/", " ")),
            ("summary", spec.summary),
            ("help", spec.help),
        ),
    )


def _literal(word: str, text: str) -> float:
    """How well a word stands in running text: whole, as a beginning, or inside; letters are never scattered there."""
    low = word.lower()
    at = text.find(low)
    best = 0.0
    while at >= 0:
        starts = at == 0 or not text[at - 1].isalnum()
        ends = at + len(low) == len(text) or not text[at + len(low)].isalnum()
        best = max(best, 0.9 if starts and ends else 0.75 if starts else 0.35 if len(low) > 2 else 0.0)
        if best == 0.9:
            break
        at = text.find(low, at + 1)
    return best



def grouped(hits: Sequence[Hit], query: str, habits: Habits, hint: PortRef | None) -> list[tuple[str, list[Hit]]]:
    """Hits under the headings of the palette."""
    subgraphs = [hit for hit in hits if hit.spec.category == "subgraph"]
    nodes = [hit for hit in hits if hit.spec.category != "subgraph"]
    sections: list[tuple[str, list[Hit]]] = []
    if query.strip():
        best = [hit for hit in nodes if hit.places and hit.score >= 0.5][:8] or nodes[:3]
        rest = [hit for hit in nodes if hit not in best]
        sections.append(("Best matches", best))
        sections.append(("Also found", rest))
    else:
        counts = habits.counts(habit_key(hint)) if hint is not None else {}
        usual = sorted((hit for hit in nodes if counts.get(hit.spec.id)), key=lambda hit: (-counts[hit.spec.id], hit.spec.title))[:USUAL_SHOWN]
        if hint is not None:
            sections.append(("Usually next" if hint.side == "out" else "Usually before", usual))
        nodes = [hit for hit in nodes if hit not in usual]
        favourites = [hit for hit in nodes if hit.spec.id in habits.favourites]
        recent = sorted((hit for hit in nodes if hit.spec.id in habits.recent and hit not in favourites), key=lambda hit: habits.recent.index(hit.spec.id))[:6]
        seen = {hit.spec.id for hit in (*favourites, *recent)}
        sections.append(("Favourites", favourites))
        sections.append(("Used lately", recent))
        by_category: dict[str, list[Hit]] = {}
        for hit in nodes:
            if hit.spec.id not in seen:
                by_category.setdefault(hit.spec.category.split("/")[0] or "logic", []).append(hit)
        about = hint.type.lower() if hint is not None else ""
        order = sorted(by_category, key=lambda name: (0 if about.startswith(name) else 1 if about and name == "sampling" else 2, name))
        sections += [(name.capitalize(), sorted(by_category[name], key=lambda hit: (-hit.score, hit.spec.title))) for name in order]
    sections.append(("Your graphs", subgraphs))
    return [(name, found) for name, found in sections if found]
