"""`.graph` files, and the graphs that PNG pictures carry: read and written, checked at every step.

The format is JSON that diffs well: nodes sorted by id, one link a line. What this version does not know (nodes of a
missing pack, fields of a newer version) is kept as it is and written back. A file is only data: reading one never runs,
loads or opens anything else.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph import __version__
from nodegraph.embedding import PNG_KEYWORD as PNG_KEYWORD
from nodegraph.embedding import PNG_MAGIC as PNG_MAGIC
from nodegraph.embedding import embedded as embedded
from nodegraph.embedding import text_in_png
from nodegraph.errors import GraphError
from nodegraph.errors import GraphFileError as GraphFileError
from nodegraph.graph import SUBGRAPH, Graph, Group, Link, Node, Note, Subgraph, SubgraphInput, SubgraphOutput
from nodegraph.saving import BACKUPS as BACKUPS
from nodegraph.saving import backups_of as backups_of
from nodegraph.saving import write_atomically
from nodegraph.upgrading import upgraded as upgraded

if TYPE_CHECKING:
    from nodegraph.registry import Registry

FORMAT = 1
MAX_BYTES = 32 * 2**20
MAX_DEPTH = 64
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
MAX_NODES = 50_000
MAX_LINKS = 500_000
MAX_STRING = 8 * 2**20
"""Long enough for a mask painted by hand."""

_NODE_FIELDS = {"type", "version", "at", "values", "title", "size", "mode", "folded", "pinned", "color"}
_GROUP_FIELDS = {"title", "rect", "members", "color", "folded"}
_NOTE_FIELDS = {"text", "rect", "color"}
_SUBGRAPH_FIELDS = {"title", "help", "inputs", "outputs", "nodes", "links", "groups", "notes"}
_GRAPH_FIELDS = {"format", "app", "meta", "nodes", "links", "groups", "notes", "subgraphs"}


class NewerFormat(GraphFileError):
    """A file written by a newer version. `read(..., newer=True)` opens what can be understood."""


# -- reading


def read(path: Path, registry: Registry | None = None, newer: bool = False) -> Graph:
    """The graph in a `.graph` file, or in a PNG that carries one. With a registry, old nodes are brought up to date.

    Raises:
        GraphFileError: The file is missing, too large, not a graph; the message names the place.
        NewerFormat: The file is from a newer version and `newer` is False.
    """
    text = read_text(path)
    graph = parse(text, path.name, newer)
    return upgraded(graph, registry) if registry else graph


def read_text(path: Path) -> bytes:
    """The JSON of the graph in a file, as it stands there."""
    try:
        if path.stat().st_size > (2**30 if path.suffix.lower() == ".png" else MAX_BYTES):
            raise GraphFileError(f"'{path.name}' is too large to be a graph.")
        with path.open("rb") as file:
            if file.read(8) == PNG_MAGIC:
                text = text_in_png(file, path.name, MAX_BYTES)
                if text is None:
                    raise GraphFileError(f"'{path.name}' carries no graph. Only pictures that Nodegraph wrote carry one.")
                return text
            file.seek(0)
            return file.read(MAX_BYTES + 1)
    except GraphError:
        raise
    except FileNotFoundError:
        raise GraphFileError(f"There is no file '{path}'.") from None
    except OSError as error:
        raise GraphFileError(f"Cannot read '{path}': {error.strerror or error}.") from error
    except ValueError:  # a zero byte, half a surrogate pair
        raise GraphFileError(f"There is no file {str(path)!a}: no file can have this name.") from None


def parse(text: bytes | str, name: str = "This file", newer: bool = False) -> Graph:
    """A graph from its JSON. `name` is how messages call the file."""
    tree = _parse_json(text, name)
    if not isinstance(tree, dict) or "format" not in tree or not isinstance(tree.get("nodes", None), dict):
        raise GraphFileError(f"'{name}' is not a Nodegraph graph: it has no 'format' and 'nodes'.")
    number = tree["format"]
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise GraphFileError(f"'{name}': 'format' must be a whole number from 1, not '{_short(number)}'.")
    if number > FORMAT and not newer:
        raise NewerFormat(
            f"'{name}' was written by a newer version ({_short(tree.get('app', 'unknown'))}). Update Nodegraph to be sure that nothing in it is lost."
        )
    graph = _read_graph(tree, name, "")
    definitions = {key: _read_subgraph(value, name, f"subgraphs.{key}") for key, value in _object(tree, "subgraphs", name, "").items()}
    extra = {key: value for key, value in tree.items() if key not in _GRAPH_FIELDS}
    return replace(graph, subgraphs=definitions, meta=dict(_object(tree, "meta", name, "")), extra=extra)


class _Object(dict[str, Any]):
    duplicate: str | None = None


def _object_from(pairs: list[tuple[str, Any]]) -> _Object:
    made = _Object(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        made.duplicate = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return made


class _NotANumber(str):
    pass


def _parse_json(text: bytes | str, name: str) -> Any:
    if isinstance(text, bytes):
        if len(text) > MAX_BYTES:
            raise GraphFileError(f"'{name}' is too large to be a graph: over {MAX_BYTES // 2**20} MB.")
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise GraphFileError(f"'{name}' is not a text file (byte {error.start}).") from None
    try:
        tree = json.loads(text, object_pairs_hook=_object_from, parse_constant=_NotANumber)
    except json.JSONDecodeError as error:
        if not text.strip():
            raise GraphFileError(f"'{name}' is not valid JSON: it is empty.") from None
        if mark := re.search(r"^<{7} .*\n(?=(?s:.*)^={7}\r?$)", text, re.MULTILINE):
            line = text.count("\n", 0, mark.start()) + 1
            raise GraphFileError(
                f"'{name}' holds two versions that were not merged, from line {line} on. Keep one of them and delete the lines of <, = and >."
            ) from None
        raise GraphFileError(f"'{name}' is not valid JSON: {error.msg}, line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise GraphFileError(f"'{name}' is nested too deeply to be a graph.") from None
    except ValueError:  # an integer of thousands of digits
        raise GraphFileError(f"'{name}' has a number that is too long.") from None
    waiting: list[tuple[Any, _Place, int]] = [(tree, None, 0)]
    while waiting:
        value, place, depth = waiting.pop()
        kind = type(value)
        if kind is str:
            if len(value) > MAX_STRING or not (value.isascii() or _is_unicode(value)):
                raise GraphFileError(f"'{name}': the text at {_shown(place)} is too long or not valid Unicode.")
        elif kind is float:
            if not math.isfinite(value):
                raise GraphFileError(f"'{name}': the number at {_shown(place)} is too large.")
        elif kind is int:
            if not MIN_INT <= value <= MAX_INT:
                raise GraphFileError(f"'{name}': the number at {_shown(place)} is too large.")
        elif kind is _NotANumber:
            raise GraphFileError(f"'{name}': {value} at {_shown(place)} is not a number that a graph may hold.")
        elif kind is list:
            waiting += [(item, (place, i), depth + 1) for i, item in enumerate(value)]
        elif kind is _Object:
            if value.duplicate is not None:
                raise GraphFileError(f"'{name}': '{_short(value.duplicate)}' stands twice at {_shown(place)}.")
            for key, item in value.items():
                if not key.isascii() and not _is_unicode(key):
                    raise GraphFileError(f"'{name}': a name at {_shown(place)} is not valid Unicode.")
                waiting.append((item, (place, key), depth + 1))
        if depth > MAX_DEPTH:
            raise GraphFileError(f"'{name}' is nested too deeply at {_shown(place)}.")
    return tree


_Place = tuple["_Place", str | int] | None
"""Where a value stands: the place of what holds it, and its name or number there. Put into words only when something is wrong."""


def _shown(place: _Place) -> str:
    words: list[str] = []
    while place is not None:
        place, part = place
        words.append(f"[{part}]" if isinstance(part, int) else f".{_short(part)}")
    return "".join(reversed(words)).lstrip(".")[:200] or "the top"


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _short(value: Any) -> str:
    text = str(value)[:80]
    return "".join(c if c.isprintable() else "?" for c in text)


def _wrong(name: str, place: str, expected: str) -> GraphFileError:
    return GraphFileError(f"'{name}': {_short_place(place)} must be {expected}.")


def _short_place(place: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in place.lstrip(".")[:200])


def _object(tree: Mapping[str, Any], key: str, name: str, place: str) -> dict[str, Any]:
    value = tree.get(key, {})
    if not isinstance(value, dict):
        raise _wrong(name, f"{place}.{key}", "an object")
    return value


def _list(tree: Mapping[str, Any], key: str, name: str, place: str) -> list[Any]:
    value = tree.get(key, [])
    if not isinstance(value, list):
        raise _wrong(name, f"{place}.{key}", "a list")
    return value


def _numbers(value: Any, count: int, name: str, place: str) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) != count or any(isinstance(v, bool) or not isinstance(v, (int, float)) for v in value):
        raise _wrong(name, place, f"a list of {count} numbers")
    return tuple(float(v) for v in value)


def _switch(raw: Mapping[str, Any], key: str, name: str, place: str) -> bool:
    value = raw.get(key, False)
    if not isinstance(value, bool):
        raise _wrong(name, f"{place}.{key}", "true or false")
    return value


def _words(value: Any, name: str, place: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise _wrong(name, place, "text")
    return value


def _read_graph(tree: Mapping[str, Any], name: str, place: str) -> Graph:
    raw_nodes, raw_links = _object(tree, "nodes", name, place), _list(tree, "links", name, place)
    if len(raw_nodes) > MAX_NODES or len(raw_links) > MAX_LINKS:
        raise GraphFileError(f"'{name}' has more nodes or links than a graph may have ({MAX_NODES:,} and {MAX_LINKS:,}).")
    nodes = {key: _read_node(key, value, name, f"{place}.nodes.{key}") for key, value in raw_nodes.items()}
    incoming: dict[str, list[Link]] = {}
    seen: set[Link] = set()
    for i, raw in enumerate(raw_links):
        if not isinstance(raw, list) or len(raw) != 4 or not all(isinstance(word, str) for word in raw):
            raise _wrong(name, f"{place}.links[{i}]", "a list of four names: node, output, node, input")
        link = Link(*raw)
        for end in (link.source, link.target):
            if end not in nodes:
                where = _short_place(f"{place}.links[{i}]")
                raise GraphFileError(f"'{name}': {where} leads to '{_short(end)}', and there is no such node.")
        if link not in seen:
            seen.add(link)
            incoming.setdefault(link.target, []).append(link)
    return Graph(
        nodes=nodes,
        incoming={target: tuple(sorted(links, key=lambda link: link.input)) for target, links in incoming.items()},
        groups={k: _read_group(k, v, name, f"{place}.groups.{k}", nodes) for k, v in _object(tree, "groups", name, place).items()},
        notes={k: _read_note(k, v, name, f"{place}.notes.{k}") for k, v in _object(tree, "notes", name, place).items()},
    )


def _read_node(key: str, raw: Any, name: str, place: str) -> Node:
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise _wrong(name, place, "an object with a 'type'")
    if not key or "/" in key or key != key.strip():
        raise GraphFileError(f"'{name}': '{_short(key)}' cannot be the id of a node.")
    mode = raw.get("mode", "on")
    if mode not in ("on", "muted", "bypassed"):
        raise _wrong(name, f"{place}.mode", "'on', 'muted' or 'bypassed'")
    version = raw.get("version", 1)
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _wrong(name, f"{place}.version", "a whole number from 1")
    size = raw.get("size")
    return Node(
        id=key,
        type=raw["type"],
        values=dict(_object(raw, "values", name, place)),
        position=_numbers(raw.get("at", [0, 0]), 2, name, f"{place}.at"),  # type: ignore[arg-type]
        title=_words(raw.get("title"), name, f"{place}.title"),
        size=_numbers(size, 2, name, f"{place}.size") if size is not None else None,  # type: ignore[arg-type]
        mode=mode,
        folded=_switch(raw, "folded", name, place),
        pinned=_switch(raw, "pinned", name, place),
        color=_words(raw.get("color"), name, f"{place}.color"),
        version=version,
        extra={k: v for k, v in raw.items() if k not in _NODE_FIELDS},
    )


def _read_group(key: str, raw: Any, name: str, place: str, nodes: Mapping[str, Node]) -> Group:
    if not isinstance(raw, dict):
        raise _wrong(name, place, "an object")
    members = _list(raw, "members", name, place)
    if not all(isinstance(member, str) for member in members):
        raise _wrong(name, f"{place}.members", "a list of names")
    return Group(
        id=key,
        title=_words(raw.get("title"), name, f"{place}.title") or "",
        rect=_numbers(raw.get("rect", [0, 0, 400, 300]), 4, name, f"{place}.rect"),  # type: ignore[arg-type]
        members=frozenset(members),
        color=_words(raw.get("color"), name, f"{place}.color"),
        folded=_switch(raw, "folded", name, place),
        extra={k: v for k, v in raw.items() if k not in _GROUP_FIELDS},
    )


def _read_note(key: str, raw: Any, name: str, place: str) -> Note:
    if not isinstance(raw, dict):
        raise _wrong(name, place, "an object")
    return Note(
        id=key,
        text=_words(raw.get("text"), name, f"{place}.text") or "",
        rect=_numbers(raw.get("rect", [0, 0, 216, 120]), 4, name, f"{place}.rect"),  # type: ignore[arg-type]
        color=_words(raw.get("color"), name, f"{place}.color"),
        extra={k: v for k, v in raw.items() if k not in _NOTE_FIELDS},
    )


def _read_subgraph(raw: Any, name: str, place: str) -> Subgraph:
    if not isinstance(raw, dict):
        raise _wrong(name, place, "an object")
    inputs = []
    for i, item in enumerate(_list(raw, "inputs", name, place)):
        if (
            not isinstance(item, list)
            or not item
            or not isinstance(item[0], str)
            or not all(isinstance(end, list) and len(end) == 2 and all(isinstance(word, str) for word in end) for end in item[1:])
        ):
            raise _wrong(name, f"{place}.inputs[{i}]", "a name, then [node, input] for each that it feeds")
        inputs.append(SubgraphInput(item[0], tuple((end[0], end[1]) for end in item[1:])))
    outputs = []
    for i, item in enumerate(_list(raw, "outputs", name, place)):
        if not isinstance(item, list) or len(item) != 3 or not all(isinstance(word, str) for word in item):
            raise _wrong(name, f"{place}.outputs[{i}]", "a list of three names: name, node, output")
        outputs.append(SubgraphOutput(*item))
    return Subgraph(
        graph=_read_graph(raw, name, place),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        title=_words(raw.get("title"), name, f"{place}.title") or "",
        help=_words(raw.get("help"), name, f"{place}.help") or "",
        extra={k: v for k, v in raw.items() if k not in _SUBGRAPH_FIELDS},
    )


# -- writing


def dumps(graph: Graph, compact: bool = False) -> str:
    """The graph as the text of a `.graph` file. The same graph always gives the same text.

    Raises:
        GraphFileError: A value is not a number, text, switch, list or table.
    """
    tree: dict[str, Any] = {"format": FORMAT, "app": f"nodegraph {__version__}"}
    if graph.meta:
        tree["meta"] = dict(sorted(graph.meta.items()))
    tree |= _graph_tree(graph)
    if graph.subgraphs:
        tree["subgraphs"] = {
            name: {
                **({"title": d.title} if d.title else {}),
                **({"help": d.help} if d.help else {}),
                "inputs": [[item.name, *map(list, item.targets)] for item in d.inputs],
                "outputs": [list(item) for item in d.outputs],
                **_graph_tree(d.graph),
                **d.extra,
            }
            for name, d in sorted(graph.subgraphs.items())
        }
    tree |= {key: value for key, value in graph.extra.items() if key not in tree}
    if compact:
        _check(tree, "")
        return json.dumps(tree, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return _pretty(tree, "", 0) + "\n"


def _graph_tree(graph: Graph) -> dict[str, Any]:
    tree: dict[str, Any] = {"nodes": {key: _node_tree(node) for key, node in sorted(graph.nodes.items())}}
    tree["links"] = [list(link) for _, links in sorted(graph.incoming.items()) for link in sorted(links, key=lambda link: link.input)]
    if graph.groups:
        tree["groups"] = {
            key: {
                "title": g.title,
                "rect": [_plain(v) for v in g.rect],
                "members": sorted(g.members),
                **({"color": g.color} if g.color is not None else {}),
                **({"folded": True} if g.folded else {}),
                **g.extra,
            }
            for key, g in sorted(graph.groups.items())
        }
    if graph.notes:
        tree["notes"] = {
            key: {"text": n.text, "rect": [_plain(v) for v in n.rect], **({"color": n.color} if n.color is not None else {}), **n.extra}
            for key, n in sorted(graph.notes.items())
        }
    return tree


def _node_tree(node: Node) -> dict[str, Any]:
    tree: dict[str, Any] = {"type": node.type, "version": node.version, "at": [_plain(v) for v in node.position]}
    if node.title is not None:
        tree["title"] = node.title
    if node.values:
        tree["values"] = {key: _file_value(node.values[key]) for key in sorted(node.values)}
    if node.size is not None:
        tree["size"] = [_plain(v) for v in node.size]
    if node.mode != "on":
        tree["mode"] = node.mode
    if node.folded:
        tree["folded"] = True
    if node.pinned:
        tree["pinned"] = True
    if node.color is not None:
        tree["color"] = node.color
    return {**tree, **node.extra}


def _plain(number: float) -> float:
    return int(number) if float(number).is_integer() and abs(number) < 2**53 else number


def _file_value(value: Any) -> Any:
    return value.as_posix() if isinstance(value, Path) else value


def _check(value: Any, place: str, depth: int = 0) -> None:
    """That a value is one that can be read back.

    Raises:
        GraphError: It is not; says where.
    """
    kind = type(value)
    if kind is bool or value is None:
        return
    if depth > MAX_DEPTH:
        raise _unfit(place, "is nested too deeply for a graph.")
    if isinstance(value, str):
        if len(value) > MAX_STRING or not (value.isascii() or _is_unicode(value)):
            raise _unfit(place, "is a text that is too long or not valid Unicode. Type it again.")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _unfit(place, f"is {value}, which a graph cannot hold. Type a number.")
    elif isinstance(value, int):
        if not MIN_INT <= value <= MAX_INT:
            raise _unfit(place, "is a number that is too large for a graph.")
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_key(key, place)
            _check(item, f"{place}.{key}", depth + 1)
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            _check(item, f"{place}[{i}]", depth + 1)
    else:
        raise _unfit(place, f"is a {kind.__name__}, which a graph cannot hold.")


def _check_key(key: Any, place: str) -> None:
    if not isinstance(key, str):
        raise _unfit(place, "has a name that is not text.")
    if not (key.isascii() or _is_unicode(key)):
        raise _unfit(place, "has a name that is not valid Unicode.")


def _unfit(place: str, words: str) -> GraphFileError:
    return GraphFileError(f"{_short_place(place) or 'The graph'} {words}")


def _pretty(value: Any, place: str, level: int) -> str:
    """JSON with one line a node field and one line a link: short lists and scalars stay on their line."""
    if level <= MAX_DEPTH:
        if isinstance(value, dict) and value:
            inner = " " * (level + 1)
            rows = []
            for key, item in value.items():
                _check_key(key, place)
                rows.append(f"{inner}{_scalar(key)}: {_pretty(item, f'{place}.{key}', level + 1)}")
            return "{\n" + ",\n".join(rows) + "\n" + inner[1:] + "}"
        if isinstance(value, (list, tuple)) and any(isinstance(item, (list, dict, tuple)) for item in value):
            inner = " " * (level + 1)
            rows = [inner + _pretty(item, f"{place}[{i}]", level + 1) for i, item in enumerate(value)]
            return "[\n" + ",\n".join(rows) + "\n" + inner[1:] + "]"
    _check(value, place, level)
    return _scalar(value)


_scalar = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def write(path: Path, graph: Graph, backups: int = BACKUPS) -> None:
    """Save a graph: whole or not at all. The last `backups` versions stay in `.graph-backups` beside it.

    Raises:
        GraphFileError: It cannot be written; the file that was there is untouched.
    """
    text = dumps(graph).encode("utf-8")
    if parse(text, path.name) != _as_read(graph):
        raise GraphFileError(
            f"'{path.name}' was not saved: what would be written does not read back as the same graph. Save under a new name and report this."
        )
    write_atomically(path, text, backups)


def _as_read(graph: Graph) -> Graph:
    """What `parse` gives for a graph: paths have become text, tuples lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, Path):
            return value.as_posix()
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        return value

    def inner(g: Graph) -> Graph:
        return replace(
            g,
            nodes={k: replace(n, values=plain(n.values), position=(*n.position,), extra=plain(n.extra)) for k, n in g.nodes.items()},
            incoming={k: tuple(sorted(v, key=lambda link: link.input)) for k, v in g.incoming.items() if v},
            groups={k: replace(group, extra=plain(group.extra)) for k, group in g.groups.items()},
            notes={k: replace(note, extra=plain(note.extra)) for k, note in g.notes.items()},
        )

    definitions = {name: replace(d, graph=inner(d.graph), extra=plain(d.extra)) for name, d in graph.subgraphs.items()}
    return replace(inner(graph), subgraphs=definitions, meta=plain(graph.meta), extra=plain(graph.extra))


def types_in(graph: Graph) -> set[str]:
    """All node types that a graph and its definitions use."""
    graphs: Iterable[Graph] = (graph, *(d.graph for d in graph.subgraphs.values()))
    return {node.type for g in graphs for node in g.nodes.values() if not node.type.startswith(SUBGRAPH)}
