"""Where everything of a node lies: header, ports, value rows, preview. Pure geometry, in units of the canvas."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nodegraph.graph import REROUTE, Node
from nodegraph.spec import Input, NodeSpec
from ui.canvas.paint import wrapped
from ui.canvas.values import FREE, WIDE, Kind, in_words, kind_of, shown_value, step_of

HEADER = 28.0
PORT_ROW = 22.0
ROW = 24.0
GAP = 4.0
PAD = 8.0
LINE = 16.0
WIDTH, WIDTH_WIDE, WIDTH_MIN, WIDTH_MAX = 216.0, 264.0, 144.0, 640.0
CURVE = 56.0
TEXT_LINES_MAX = 12
PREVIEW_MIN = 56.0
DOT = 24.0  # a reroute's box

RowKind = Literal["number", "choice", "file", "seed", "toggle", "text", "line", "color", "drawing", "linked", "advanced"]


@dataclass(slots=True)
class Port:
    """One port: where its mark sits (from the node's origin), and its label's row."""

    name: str
    label: str
    type: str
    side: Literal["in", "out"]
    x: float
    y: float
    linked: bool = False
    small: bool = False  # a value's own port: 9 px, seen on hover, while linking, or when linked
    many: bool = False
    bad: bool = False
    is_outside: bool = False  # shown on the subgraph around it


@dataclass(slots=True)
class Row:
    """One value row."""

    name: str
    kind: RowKind
    label: str
    value: str  # in words
    y: float
    height: float
    input: Input | None = None
    share: tuple[float, float] | None = None  # from, to: the bar behind a number, 0 to 1
    lines: tuple[tuple[int, str], ...] = ()
    raw: Any = None
    on: bool = False
    missing: bool = False  # a file that is not there
    is_outside: bool = False  # shown on the subgraph around it
    bad: bool = False  # what a failure is about


@dataclass(slots=True)
class Anatomy:
    """The measures of one node in its present state."""

    width: float
    height: float
    ports: list[Port] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    preview: tuple[float, float, float, float] | None = None
    curve: tuple[float, float, float, float] | None = None  # of a noise schedule
    folded: bool = False
    is_dot: bool = False
    by_key: dict[tuple[str, str], Port] = field(default_factory=dict)

    def port(self, side: str, name: str) -> Port | None:
        return self.by_key.get((side, name))

    def row_at(self, x: float, y: float) -> Row | None:
        if not PAD <= x <= self.width - PAD:
            return None
        return next((row for row in self.rows if row.y <= y <= row.y + row.height), None)


@dataclass(slots=True)
class Plan:
    """What the layout of all nodes of a kind has in common; asked of the spec once."""

    spec: NodeSpec
    inputs: list[tuple[Input, str]]  # ports: input, label
    controls: list[tuple[Input, str, Kind]]  # values: input, label, kind
    advanced: frozenset[str]
    preview: Literal["no", "small", "large"]
    curve: bool
    width: float


_PLANS: dict[int, Plan] = {}
PLANS_KEPT = 2000


def plan_of(spec: NodeSpec) -> Plan:
    """The plan of a spec; kept by identity, because comparing specs costs more than it saves."""
    found = _PLANS.get(id(spec))
    if found is None or found.spec is not spec:
        if len(_PLANS) > PLANS_KEPT:
            _PLANS.clear()
        found = _PLANS[id(spec)] = Plan(
            spec,
            [(item, in_words(item.name)) for item in spec.inputs if item.is_port],
            [(item, in_words(item.name, first=True), kind_of(item)) for item in spec.inputs if not item.is_port],
            frozenset(item.name for item in spec.inputs if item.is_advanced),
            wants_preview(spec),
            any(output.type == "Sigmas" for output in spec.outputs),
            natural_width(spec),
        )
    return found


def wants_preview(spec: NodeSpec) -> Literal["no", "small", "large"]:
    """Whether the node reserves room for a picture: "large" for what paints or saves, "small" for what gives a picture on its way."""
    gives = {output.type for output in spec.outputs}
    takes = {input.type for input in spec.inputs}
    if "Denoiser" in takes and "Latent" in gives:
        return "large"
    if spec.sink and takes & {"Image", "Mask"}:
        return "large"
    if gives & {"Image", "Mask"} and not spec.category.startswith("logic"):
        return "small"
    return "no"


def natural_width(spec: NodeSpec) -> float:
    takes = {input.type for input in spec.inputs}
    return WIDTH_WIDE if "Denoiser" in takes and any(output.type == "Latent" for output in spec.outputs) else WIDTH


def shows_advanced(node: Node) -> bool:
    return bool(node.extra.get("show_advanced", False))


def shows_preview(node: Node) -> bool:
    return bool(node.extra.get("show_preview", True))


def measure(
    node: Node,
    spec: NodeSpec,
    linked_inputs: frozenset[str],
    linked_outputs: frozenset[str],
    types: Mapping[tuple[str, str], str],
    missing_files: frozenset[str] = frozenset(),
    failed_input: str | None = None,
) -> Anatomy:
    """Lay one node out. `types` maps (side, port name) to the type that flows there, where it differs from the spec's."""
    if node.type == REROUTE:
        return _measure_dot(spec, linked_inputs, linked_outputs, types)
    plan = plan_of(spec)
    width = min(max(node.size[0] if node.size else plan.width, WIDTH_MIN), WIDTH_MAX)
    advanced_open = bool(plan.advanced) and shows_advanced(node)
    hidden = frozenset(n for n in plan.advanced if n not in linked_inputs and n not in node.values) if not advanced_open else frozenset()
    inputs = [pair for pair in plan.inputs if pair[0].name not in hidden]
    controls = plan.controls
    made = Anatomy(width, HEADER, folded=node.folded)
    if node.folded:
        _stack_ports(made, inputs, controls, spec, linked_inputs, linked_outputs, types)
        return made
    top = HEADER + GAP
    for number, (item, label) in enumerate(inputs):
        type_name = types.get(("in", item.name), item.type)
        y = top + PORT_ROW * number + PORT_ROW / 2
        _add(made, Port(item.name, label, type_name, "in", 0, y, item.name in linked_inputs, many=item.many, bad=item.name == failed_input))
    for number, output in enumerate(spec.outputs):
        type_name = types.get(("out", output.name), output.type)
        y = top + PORT_ROW * number + PORT_ROW / 2
        _add(made, Port(output.name, in_words(output.name), type_name, "out", width, y, output.name in linked_outputs, many=output.many))
    rows = max(len(inputs), len(spec.outputs))
    y = top + PORT_ROW * rows + (2 if rows else 0)
    if plan.curve:
        made.curve = (PAD, y, width - 2 * PAD, CURVE)
        y += CURVE + GAP
    for item, label, kind in controls:
        name = item.name
        if name in hidden:
            made.by_key["in", name] = Port(name, label, item.type, "in", 0, HEADER / 2, False, small=True)
            continue
        row = _row(item, label, kind, node.values.get(name, item.default), y, width, name in linked_inputs, name in missing_files)
        row.bad = name == failed_input
        made.rows.append(row)
        _add(made, Port(name, label, item.type, "in", 0, y + ROW / 2, name in linked_inputs, small=True, bad=name == failed_input))
        y += row.height + GAP
    if plan.advanced and (hidden or advanced_open):
        made.rows.append(Row("", "advanced", f"{len(hidden)} more" if hidden else "Fewer", "", y, ROW - 4, on=advanced_open))
        y += ROW
    room = plan.preview if plan.preview != "no" and shows_preview(node) else "no"
    if room != "no":
        natural = (width - 2 * PAD) if room == "large" else round((width - 2 * PAD) * 0.68)
        height = natural
        if node.size is not None:
            height = max(PREVIEW_MIN, node.size[1] - y - 2 - PAD)
        made.preview = (PAD, y + 2, width - 2 * PAD, height)
        y += height + GAP
    elif node.size is not None:
        y += _grow_text(made, node.size[1] - (y + PAD - 2))
    made.height = y + PAD - 2
    return made


def _grow_text(made: Anatomy, room: float) -> float:
    """The last text takes the room that a taller node leaves, in whole lines; returns how much that is."""
    grown = int(max(0.0, room) // LINE) * LINE
    last = next((k for k in reversed(range(len(made.rows))) if made.rows[k].kind == "text"), None)
    if last is None or not grown:
        return 0.0
    text = made.rows[last]
    text.height += grown
    text.lines = wrapped(str(text.raw or ""), int(made.width - 4 * PAD), int((text.height - 12) // LINE))
    for row in made.rows[last + 1 :]:
        row.y += grown
        port = made.port("in", row.name)
        if port is not None:
            port.y += grown
    return grown


def _add(made: Anatomy, port: Port) -> None:
    made.ports.append(port)
    made.by_key[port.side, port.name] = port


def _measure_dot(spec: NodeSpec, inputs: frozenset[str], outputs: frozenset[str], types: Mapping[tuple[str, str], str]) -> Anatomy:
    made = Anatomy(DOT, DOT, is_dot=True)
    kind = types.get(("out", "output"), "*")
    _add(made, Port("input", "", kind, "in", DOT / 2, DOT / 2, "input" in inputs))
    _add(made, Port("output", "", kind, "out", DOT / 2, DOT / 2, "output" in outputs))
    return made


def _stack_ports(
    made: Anatomy,
    inputs: list[tuple[Input, str]],
    controls: list[tuple[Input, str, Any]],
    spec: NodeSpec,
    linked_inputs: frozenset[str],
    linked_outputs: frozenset[str],
    types: Mapping[tuple[str, str], str],
) -> None:
    """Folded: the ports of a side share at most three places in the middle of the header, one a type; a link ends at its type's place."""
    sides: tuple[tuple[Literal["in", "out"], float, list[tuple[str, str]]], ...] = (
        (
            "in",
            0.0,
            [(i.name, types.get(("in", i.name), i.type)) for i, _ in inputs]
            + [(c.name, c.type) for c, _, _ in controls if c.name in linked_inputs],
        ),
        ("out", made.width, [(o.name, types.get(("out", o.name), o.type)) for o in spec.outputs]),
    )
    for side, x, named in sides:
        kinds = list(dict.fromkeys(kind for _, kind in named))
        places = min(len(kinds), 3)
        drawn: set[str] = set()
        for name, kind in named:
            place = min(kinds.index(kind), places - 1)
            y = HEADER / 2 + (place - (places - 1) / 2) * 9
            linked = name in (linked_inputs if side == "in" else linked_outputs)
            port = Port(name, in_words(name), kind, side, x, y, linked, small=True)
            made.by_key[side, name] = port
            if kind not in drawn and kinds.index(kind) < 3:
                drawn.add(kind)
                made.ports.append(port)
    for control, label, _ in controls:
        made.by_key.setdefault(("in", control.name), Port(control.name, label, control.type, "in", 0, HEADER / 2, False, small=True))


def _row(item: Input, label: str, kind: Kind, value: Any, y: float, width: float, linked: bool, missing: bool) -> Row:
    if linked:
        return Row(item.name, "linked", label, "", y, ROW, item, raw=value)
    row = Row(item.name, kind, label, shown_value(item, value, kind), y, ROW, item, raw=value, missing=missing)
    if kind == "number":
        row.share = bar(item, value)
    elif kind == "toggle":
        row.on = bool(value)
    elif kind == "text":
        text = str(value or "")
        least = max(2, min(item.text.lines if item.text else 2, TEXT_LINES_MAX))
        row.lines = wrapped(text, int(width - 2 * PAD - 2 * PAD), TEXT_LINES_MAX)
        row.height = LINE * min(max(len(row.lines), min(least, 3)), TEXT_LINES_MAX) + 12
    return row


def bar(item: Input, value: Any) -> tuple[float, float] | None:
    """The part of a number's field that its bar covers: from the left, or from zero when the range passes through zero."""
    limits = item.range
    if limits is None or not isinstance(value, int | float):
        return None
    if limits.log and limits.min > 0 and value > 0:
        whole = math.log(limits.max / limits.min)
        return 0.0, min(max(math.log(value / limits.min) / whole, 0.0), 1.0) if whole else 0.0
    low, high, here, step = float(limits.min), float(limits.max), float(value), step_of(item)
    if high <= low:
        return 0.0, 0.0
    if (high - low) / step > FREE:
        return None
    if (high - low) / step > WIDE:  # by orders of magnitude: on a plain scale all values in use would look alike
        start = max(low, 0.0)
        low, high, here = (_bent(at - start, step) for at in (low, high, here))
    at = min(max((here - low) / (high - low), 0.0), 1.0)
    zero = min(max(-low / (high - low), 0.0), 1.0) if limits.min < 0 < limits.max else 0.0
    return min(zero, at), max(zero, at)


def _bent(value: float, step: float) -> float:
    return math.copysign(math.log1p(abs(value) / step), value)


def title_of(node: Node, spec: NodeSpec) -> str:
    return node.title or spec.title
