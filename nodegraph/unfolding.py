"""Carries out what a node becomes when it expands: the expansion is planned, run inside the run, and told as the progress of that node."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodegraph.calling import common_length
from nodegraph.context import EVERY, Surroundings
from nodegraph.errors import GraphError, GraphProblems
from nodegraph.expansion import GIVEN, Expansion, Wire
from nodegraph.loops import DONE
from nodegraph.messages import Failed, Finished, Frame, Progress, Saved, Shown, Started, Warned
from nodegraph.node import Lazy
from nodegraph.plan import plan_expansion
from nodegraph.spec import VALUE_NAMES
from nodegraph.steps import Given, Step, each_of
from nodegraph.subgraphs import MAX_NESTING, REPEAT, names_of

if TYPE_CHECKING:
    from nodegraph.executor import Execution

Arrived = tuple[Given, Any]
"""What arrived at an input, as a plan sees it, and the value itself."""


class Unfolded(Exception):
    """Something inside failed and has been told."""


def returned(execution: Execution, step: Step, expansion: Expansion[Any], arguments: Mapping[str, Any], item: int) -> dict[str, Any]:
    """A node returned an expansion: its results, made in the node's place. `item` says for which item of the lists that arrive.

    Raises:
        GraphError: The expansion is not what the node promised.
        Unfolded: Something in it failed, and that has been told.
    """
    title = execution.name(step.node_id)
    if expansion.outputs.keys() != step.spec.outputs_by_name.keys():
        raise GraphError(f"'{title}' unfolds into nodes that do not give what it promises. This is a fault of the node: tell its author.")
    given = {
        name: _given(execution, step, name, arguments[name], item if name in step.mapped else None)
        for name in handed_on(title, step, expansion)
    }
    found = _unfold(execution, step, expansion, given, Inside(execution.around, step.node_id, lambda _: step.node_id), range(0))
    return _gathered(found, expansion)


def handed_on(title: str, step: Step, expansion: Expansion[Any]) -> set[str]:
    """The inputs of a node whose links or values its expansion uses."""
    links = [link for links in expansion.graph.incoming.values() for link in links if link.source.startswith(GIVEN)]
    names = {link.source[len(GIVEN) :] for link in links}
    unknown = sorted(names - step.spec.by_name.keys())
    if unknown:
        raise GraphError(
            f"'{title}' hands on an input that it does not have: '{unknown[0]}'. This is a fault of the node: tell its author."
        )
    return names


def looped(execution: Execution, step: Step, arguments: Mapping[str, Any], wanted: Set[str]) -> dict[str, Any]:
    """The `wanted` results of a subgraph that runs as often as its list has items and it shall be repeated. An item that fails leaves the others alone.

    Raises:
        Unfolded: Something in it failed, and that has been told.
    """
    loop, title = step.loop, execution.name(step.node_id)
    assert loop is not None
    passes = int(arguments.get(REPEAT, 1))
    count = common_length({name: arguments[name] for name in step.mapped}, title)
    made: dict[str, Any] = {name: [] for name in wanted}
    inside = Inside(execution.around, step.node_id, loop.path, count * passes if count * passes > 1 else 0, passes)
    broken: set[int] = set()
    waiting = list(loop.parts(count, passes))
    while waiting:
        items = waiting.pop(0)
        given: dict[str, list[Arrived]] = {}
        for name in step.sources.keys() - {REPEAT}:
            if name in step.mapped:
                values = arguments[name]
                given |= {loop.place(name, k): _given(execution, step, name, values[k if len(values) > 1 else 0], k) for k in items}
            else:
                given[name] = _given(execution, step, name, arguments[name], None)
        before = len(inside.failed)
        try:
            if loop.ends_early:
                found = _until_done(execution, step, items, passes, wanted, given, inside)
            else:
                expansion = loop.expansion(items, range(passes), wanted)
                told = range(items.start * passes, items.stop * passes)
                found = _gathered(_unfold(execution, step, expansion, given, inside, told), expansion)
        except GraphProblems as error:
            if len(items) > 1:  # find the items that cannot be, and do the others
                waiting[:0] = [range(k, k + 1) for k in items]
                continue
            for problem in error.problems:
                inside(Failed(execution.run.job, problem.node_id or "", problem.message, problem.input or "", problem.kind))
            broken.update(items)
            continue
        except Unfolded:
            broken |= {int(path.partition(".")[0]) for path in inside.failed[before:]}
            continue
        for name, value in found.items():
            made[name] = made[name] + value if loop.is_list(name) else value
    if broken:
        execution.tell(Failed(execution.run.job, step.node_id, _how_broken(title, len(broken), count), "", "inside"))
        raise Unfolded
    return made


def _until_done(
    execution: Execution, step: Step, items: range, passes: int, wanted: Set[str], given: Mapping[str, list[Arrived]], inside: Inside
) -> dict[str, Any]:
    """The passes of one item, one after the other, until one says that it was the last."""
    loop, item = step.loop, items.start
    assert loop is not None
    fed_back, now, again = loop.fed_back, dict(given), frozenset[str]()
    made: dict[str, Any] = {name: [] for name in wanted}
    for number in range(passes):
        expansion = loop.expansion(items, [number], wanted | fed_back | {DONE}, again)
        told = range(item * passes + number, item * passes + number + 1)
        found = _unfold(execution, step, expansion, now, inside, told)
        results = _gathered(found, expansion)
        for name in wanted:
            made[name] = made[name] + results[name] if loop.is_list(name) and name not in fed_back else results[name]
        if all(results[DONE]):
            break
        for name in fed_back:
            (one, value), kind = found[f"{name}#0" if loop.is_list(name) else name], step.spec.by_name[name]
            now[loop.place(name, item)] = [_plain(kind.type, value)] if kind.type in VALUE_NAMES else [(one, value)]
        again = fed_back
    return made


def _how_broken(title: str, broken: int, count: int) -> str:
    if count == 1:
        return f"'{title}' has no result: something inside failed."
    return f"{broken} of {count} items of '{title}' failed" + (f"; the other {count - broken} are done." if broken < count else ".")


def _unfold(
    execution: Execution, step: Step, expansion: Expansion[Any], given: Mapping[str, list[Arrived]], inside: Inside, passes: range
) -> dict[str, Arrived]:
    """Run an expansion; its results by the name of their end, as what comes after it may take them.

    Raises:
        GraphProblems: It cannot be run as it is.
    """
    if execution.depth >= MAX_NESTING:
        words = f"'{execution.name(step.node_id)}' unfolds into itself more than {MAX_NESTING} times. Let it end sooner, or repeat a subgraph instead."
        raise GraphError(words)
    run, registry = execution.run, execution.registry
    known = {name: tuple(one for one, _ in found) for name, found in given.items()}
    planned = plan_expansion(expansion, registry, known, Path(run.base) if run.base else None, step.loop.number if step.loop else None)
    steps, ends = planned.plan.steps, planned.ends
    there = {
        planned.given[f"{GIVEN}{name}:{k}"]: {one.output: value} for name, found in given.items() for k, (one, value) in enumerate(found)
    }
    within = execution.within(
        planned.plan, frozenset(end.step for end in ends.values()), inside, names_of(planned.graph, registry.specs), there
    )
    inside.begin(passes, within.prepare())
    try:
        within.work()
    finally:
        execution.join(within)
    if within.failed:
        raise Unfolded
    return {name: (steps[end.step].gives(end.output), within.results[end.step][end.output]) for name, end in ends.items()}  # type: ignore[index]


def _gathered(found: Mapping[str, Arrived], expansion: Expansion[Any]) -> dict[str, Any]:
    """Results by output; where several wires make a list, those that bring a list add all its items."""
    made: dict[str, Any] = {}
    for name, end in expansion.outputs.items():
        if isinstance(end, Wire):
            made[name] = found[name][1] if name in found else None
            continue
        made[name] = []
        for k in range(len(end)):
            one, value = found.get(f"{name}#{k}", (None, None))
            made[name] += value if one is not None and one.many else [value]
    return made


def _given(execution: Execution, step: Step, name: str, value: Any, item: int | None) -> list[Arrived]:
    """What arrives at an input, for the nodes of an expansion: with the key of what made it, or by itself if it is a plain value."""
    kind = step.spec.by_name[name]
    source = step.sources.get(name)
    if kind.type in VALUE_NAMES and not kind.many:
        value = value() if isinstance(value, Lazy) else value
        value = value.value if isinstance(value, Enum) else value
        return [] if value is None else [_plain(kind.type, value)]
    made: list[Arrived] = []
    for place, output in each_of(source) if source is not None else ():
        one = execution.steps[place].gives(output)
        if item is None:
            made.append((one, execution.results[place][output]))  # type: ignore[index]
        else:
            made.append((one._replace(output=f"{output}#{item}", many=False), value))
    return made


def _plain(kind: str, value: Any) -> Arrived:
    value = value.as_posix() if isinstance(value, Path) else value
    return Given(kind, f"value:{value!r}", "value", value=value), value


class Inside:
    """Hears the events of the nodes inside and tells those that concern the artist.

    `path` gives an inner node as the canvas knows it. `total` is the number of passes, so many for `each` item, or 0: then the nodes
    inside are counted.
    """

    def __init__(self, around: Surroundings, node: str, path: Callable[[str], str], total: int = 0, each: int = 1) -> None:
        self.around = around
        self.node = node
        self.path = path
        self.total = total
        self.failed: list[str] = []
        self._each = each
        self._pass = 0
        self._passes = range(total)
        self._nodes = self._finished = 0
        self._title = ""
        self._began = time.perf_counter()

    def begin(self, passes: range, nodes: int) -> None:
        """These passes come next, with so many nodes in all."""
        self._passes, self._nodes, self._finished = passes, nodes, 0

    def __call__(self, event: Any) -> None:
        if isinstance(event, (Started, Finished)) and self.total:  # which pass it is, also if those before are known already
            item, _, number = event.node.partition("/")[0].partition(".")
            self._pass = max(self._pass, int(item) * self._each + int(number))
        if isinstance(event, Started):
            self._title = event.title
        elif isinstance(event, Progress):
            note = f"{self._title} {event.done:g}/{event.total:g}" if event.total > 1 else self._title
            self._tell(event.done / event.total if event.total else 0.0, note, event.sigma, event.frame)
        elif isinstance(event, Finished):
            self._finished += 1
            if time.perf_counter() - self.around.last_progress >= EVERY:
                self._tell(0.0, self._title)
        elif isinstance(event, (Saved, Shown, Warned, Failed)):
            if isinstance(event, Failed):
                self.failed.append(event.node)
            self.around.tell(replace(event, node=self.path(event.node)))

    def _tell(self, share: float, note: str, sigma: float | None = None, frame: Frame | None = None) -> None:
        inside = min(1.0, (self._finished + share) / self._nodes) if self._nodes else 0.0
        done, total = self._finished, self._nodes
        overall = inside
        if self.total:
            exact = self._passes.start + inside * len(self._passes)
            done, total, overall = self._pass, self.total, exact / self.total
            note = f"{done + 1} of {total}" + (f", {note}" if note else "")
        now = time.perf_counter()
        eta = (1 - overall) / overall * (now - self._began) if overall > 0 else None
        self.around.last_progress = now
        self.around.tell(Progress(self.around.run.job, self.node, min(done, total), total, note, sigma, eta, frame))
