"""What two graphs differ in, in a few words: under compared pictures, and on the runs of a queue."""

from __future__ import annotations

from nodegraph.graph import Graph


def told_apart(a: Graph, b: Graph) -> tuple[str, str] | None:
    """What each of two pictures was made with where they differ first: ("seed 7", "seed 11"), ("… at dawn", "… at night"); None when no value does."""
    for name in sorted(a.nodes.keys() & b.nodes.keys()):
        one, two = a.nodes[name].values, b.nodes[name].values
        for key in sorted(one.keys() | two.keys()):
            x, y = one.get(key), two.get(key)
            if x == y:
                continue
            if isinstance(x, str) and isinstance(y, str) and (" " in x or " " in y):
                return _own_words(x, y), _own_words(y, x)
            label = key.replace("_", " ")
            return tuple(f"{label} as usual" if value is None else f"{label} {'on' if value is True else 'off' if value is False else value}" for value in (x, y))  # type: ignore[return-value]
    return None


def _own_words(text: str, other: str) -> str:
    """A text without the words that another one begins and ends with."""
    mine, theirs = text.split(), other.split()
    same = 0
    while same < min(len(mine), len(theirs)) and mine[same] == theirs[same]:
        same += 1
    tail = 0
    while tail < min(len(mine), len(theirs)) - same and mine[-1 - tail] == theirs[-1 - tail]:
        tail += 1
    middle = " ".join(mine[same : len(mine) - tail]) or "nothing"
    return f"{'… ' if same else ''}{middle}{' …' if tail else ''}"


def what_differs(a: Graph, b: Graph) -> str:
    """What was changed between the graphs of two pictures, in a few words."""
    found = []
    for name in a.nodes.keys() & b.nodes.keys():
        one, two = a.nodes[name].values, b.nodes[name].values
        for key in sorted(one.keys() | two.keys()):
            if one.get(key) != two.get(key):
                title = b.nodes[name].title or b.nodes[name].type.rpartition("/")[2].replace("_", " ").capitalize()
                found.append(f"{title}, {key.replace('_', ' ')}")
    if a.nodes.keys() != b.nodes.keys():
        found.append("other nodes")
    elif set(a.links) != set(b.links):
        found.append("other links")
    if not found:
        return "The same settings"
    return "Changed: " + ("; ".join(found[:2]) + (f" and {len(found) - 2} more" if len(found) > 2 else ""))
