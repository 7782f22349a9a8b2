"""Runs a Plan and tells as it goes: only what leads to a target and is not known yet, lazy branches only when asked for.

A heap of step numbers is all the control there is. Plans are upstream first, so the smallest number is always the one
whose sources are ready; a lazy input that is asked for, or a result that has vanished from the cache meanwhile, puts smaller
numbers back and the asking step after them. No recursion, so a chain of 10,000 nodes is as good as one of ten.

A node may return an expansion, and a subgraph may run more than once: that is a plan of its own, carried out by an execution inside
this one. Its nodes are cached as all others; what they tell arrives as progress of the node that expanded.

Results are dropped as soon as no waiting step needs them (the cache may keep them by its own budget), and whatever a failure held
on to is let go, so the memory of a run is that of its widest place, and after an out-of-memory it is what it was before.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nodegraph import logs
from nodegraph.cache import Cache
from nodegraph.calling import about, arrived, checked, common_length, conversions, curves, outputs_from, seen
from nodegraph.context import Effects, Reporter, Surroundings
from nodegraph.errors import Cancelled, GraphError
from nodegraph.expansion import Expansion
from nodegraph.failures import explain, free_memory, is_out_of_memory, let_go
from nodegraph.messages import Accepted, Failed, Finished, Frame, Progress, Run, Skipped, Started, State, Tell, Warned
from nodegraph.node import Context, Lazy
from nodegraph.plan import Plan
from nodegraph.registry import Registry
from nodegraph.spec import VALUE_NAMES
from nodegraph.steps import Source, Step, each_of
from nodegraph.subgraphs import REPEAT
from nodegraph.unfolding import Unfolded, handed_on, looped, returned

WAITING, READY, BAD = 0, 1, 2
_NONE: frozenset[str] = frozenset()
ITEM_SECONDS = 0.05
"""An item of a list that took longer is kept by itself, so that stopping a long list loses none of it."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `values` are the outputs of the targets by node id, if they were asked for."""

    state: State
    ran: int = 0
    cached: int = 0
    failed: tuple[str, ...] = ()
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class _Wanted(BaseException):
    """A node asked for a lazy input that is not there yet. Not an Exception, so that no node swallows it by accident."""


def execute(
    plan: Plan,
    registry: Registry,
    run: Run,
    tell: Tell,
    cache: Cache | None = None,
    is_stopped: Callable[[], bool] = bool,
    wants_frame: Callable[[], bool] | None = None,
    name: Callable[[str], str] | None = None,
    keep: bool = False,
) -> Outcome:
    """Run a plan. `tell` receives every event but Done, in order; `keep` returns the outputs of the targets.

    `is_stopped` is asked between nodes and at each progress of a node. `name` gives the title of a node by its id.
    """
    output = Path(run.output) if run.output else registry.folders.output
    around = Surroundings(run, cache if run.cache else None, tell, output, is_stopped, wants_frame)
    return Execution(plan, registry, around, name or (lambda node_id: node_id), frozenset(plan.targets if keep else ())).outcome()


class Execution:
    def __init__(
        self, plan: Plan, registry: Registry, around: Surroundings, name: Callable[[str], str], kept: frozenset[int], depth: int = 0
    ) -> None:
        self.plan = plan
        self.steps = plan.steps
        self.registry = registry
        self.around = around
        self.run = around.run
        self.cache = around.cache
        self.tell = around.tell
        self.name = name
        self.kept = kept
        self.depth = depth
        """How many expansions this one stands in."""
        count = len(plan.steps)
        self.needed = bytearray(count)
        self.known = bytearray(count)
        self.renew = bytearray(count)  # the cache said that it has it, and then had not
        self.started = bytearray(count)
        self.state = bytearray(count)
        self.results: list[Mapping[str, Any] | None] = [None] * count
        self.users = [0] * count
        self.asked: dict[int, set[str]] = {}
        self.blame: dict[int, str] = {}
        self.heap: list[int] = []
        self.failed: list[str] = []
        self.ran = self.cached = 0
        self.warned_of_disk = False

    def outcome(self) -> Outcome:
        self.tell(Accepted(self.run.job, self.prepare(), sum(self.known)))
        state: State = "done"
        try:
            self.work()
        except Cancelled:
            state = "cancelled"
        if self.failed and state == "done":
            state = "failed"
        values = {self.steps[i].node_id: found for i in self.plan.targets if i in self.kept and (found := self.results[i]) is not None}
        return Outcome(state, self.ran, self.cached, tuple(self.failed), values)

    def prepare(self) -> int:
        """Find out what must be looked at; returns how many steps that is."""
        before = sum(self.needed)
        for i in self.kept:
            self.users[i] += 1
        self.demand(self.plan.targets)
        return sum(self.needed) - before

    def work(self) -> None:
        is_stopped, heap = self.around.is_stopped, self.heap
        while heap:
            if is_stopped():
                raise Cancelled
            self.process(heapq.heappop(heap))

    # -- what must be looked at

    def demand(self, places: Iterable[int]) -> None:
        """Put these steps on the heap, and what they need as far as it is not known."""
        steps, needed, users, waiting = self.steps, self.needed, self.users, list(places)
        while waiting:
            i = waiting.pop()
            if needed[i]:
                continue
            needed[i] = 1
            heapq.heappush(self.heap, i)
            step = steps[i]
            if not self.renew[i] and self.is_known(step):
                self.known[i] = 1
                continue
            self.known[i] = 0
            lazy = step.spec.by_name
            for name, source in step.sources.items():
                for place, _ in each_of(source):
                    users[place] += 1
                    if not lazy[name].lazy:
                        waiting.append(place)

    def is_known(self, step: Step) -> bool:
        if self.cache is None or not step.spec.cache:
            return False
        if step.spec.sink:
            effects = self.effects(step)
            return bool(effects) and effects.are_intact()
        return self.cache.has(step.key)

    def effects(self, step: Step) -> Effects:
        """What a node is known to have done beside its result. A sink's depend on where its files go."""
        found = self.cache.get(self.effects_key(step)) if self.cache is not None else None
        return found if isinstance(found, Effects) else Effects()

    def effects_key(self, step: Step) -> str:
        return f"effects:{step.key}:{self.around.output}" if step.spec.sink else f"effects:{step.key}"

    def stored(self, i: int) -> Mapping[str, Any] | None:
        """The outputs of a step from the cache, if they are those of this node as it is now."""
        step = self.steps[i]
        if not step.spec.outputs:
            return {}
        found = self.cache.get(step.key) if self.cache is not None else None
        if found is None or not isinstance(found, Mapping) or found.keys() != step.spec.outputs_by_name.keys():
            return None
        return found

    # -- one step

    def process(self, i: int) -> None:
        if self.state[i] == READY and self.results[i] is not None:
            return
        step = self.steps[i]
        if not self.known[i] and not self.renew[i] and self.cache is not None and step.key in self.cache.memory and not step.spec.sink:
            self.known[i] = 1  # a copy of this node ran meanwhile
            self.release(step)
        if self.known[i]:
            self.finish_known(i, step)
            return
        lazy, asked = step.spec.by_name, self.asked.get(i, _NONE)
        missing = []
        for name, source in step.sources.items():
            if lazy[name].lazy and name not in asked:
                continue
            for place, _ in each_of(source):
                state = self.state[place]
                if state == BAD:
                    self.skip(i, step, self.blame[place])
                    return
                if self.results[place] is None:
                    found = self.stored(place) if state == READY else None
                    if found is None:
                        missing.append(place)
                    else:
                        self.results[place] = found
        if missing:
            self.make_again(i, missing)
            return
        self.call(i, step)

    def make_again(self, i: int, missing: list[int]) -> None:
        """Results that were there are gone (a damaged file, a dropped branch): make them, then come back."""
        for place in missing:
            if self.needed[place] and self.state[place] == WAITING:
                continue  # on its way already
            self.needed[place] = 0
            self.renew[place] = self.state[place] == READY
            self.state[place] = WAITING
        self.demand(missing)
        heapq.heappush(self.heap, i)

    def finish_known(self, i: int, step: Step) -> None:
        if i in self.kept:
            self.results[i] = self.stored(i)
            if self.results[i] is None:
                self.needed[i], self.renew[i] = 0, 1
                self.demand([i])
                return
        self.state[i] = READY
        self.cached += 1
        self.effects(step).tell_again(self.run.job, step.node_id, self.tell)
        self.tell(Finished(self.run.job, step.node_id, True))

    def skip(self, i: int, step: Step, because: str) -> None:
        self.state[i] = BAD
        self.blame[i] = because
        self.tell(Skipped(self.run.job, step.node_id, because))
        self.release(step)

    def release(self, step: Step) -> None:
        """This step needs its sources no more; what nobody needs goes."""
        users, results = self.users, self.results
        for source in step.sources.values():
            for place, _ in each_of(source):
                users[place] -= 1
                if users[place] <= 0:
                    results[place] = None

    def call(self, i: int, step: Step) -> None:
        spec, run = step.spec, self.run
        if not self.started[i]:
            self.started[i] = 1
            self.tell(Started(run.job, step.node_id, self.name(step.node_id)))
        reporter = Reporter(self.around, step.node_id) if spec.context else None
        began = time.perf_counter()
        problem: BaseException | None = None
        outputs: dict[str, Any] = {}
        wanted: set[str] = set()
        for attempt in (1, 2):
            try:
                outputs = self.outputs_of(i, step, reporter, wanted)
                problem = None
            except Cancelled as error:
                if reporter:
                    reporter.abandon()
                if self.around.is_stopped():
                    raise
                problem = error
            except _Wanted:
                pass
            except Unfolded:
                self.break_off(i, step)
                return
            except BaseException as error:  # a node may raise anything, SystemExit too; the run goes on
                problem = error
            if wanted:
                self.ask(i, step, wanted)
                return
            if problem is None or attempt == 2 or not is_out_of_memory(problem) or not self.registry.free_memory:
                break
            let_go(problem)
            self.free(problem)
            self.tell(
                Warned(run.job, step.node_id, f"'{self.name(step.node_id)}' ran out of memory. Models were unloaded and it starts again.")
            )
        if problem is not None:
            if reporter:
                reporter.abandon()
            self.fail(i, step, problem)
            return
        seconds = time.perf_counter() - began
        effects = reporter.finish() if reporter else None
        self.state[i] = READY
        self.ran += 1
        if self.users[i] > 0:
            self.results[i] = outputs
        self.release(step)
        kept = self.cache is not None and spec.cache
        if kept and not spec.sink:
            size = self.cache.hold(step.key, outputs)  # type: ignore[union-attr]
        if run.preview > 0 and not (reporter and reporter.has_shown) and (picture := seen(outputs)) is not None:
            self.tell(Progress(run.job, step.node_id, 1.0, 1.0, frame=Frame.of(picture, run.preview)))
        resumed = reporter.resumed_from if reporter else None
        self.tell(Finished(run.job, step.node_id, False, seconds, resumed, about(outputs), curves(outputs)))
        if kept:
            self.store(step, outputs, effects, seconds, 0 if spec.sink else size)

    def store(self, step: Step, outputs: Mapping[str, Any], effects: Effects | None, seconds: float, size: int) -> None:
        """Put on disk what is worth it. The user has been told already, so nobody waits for this."""
        assert self.cache is not None
        if not step.spec.sink:
            self.cache.keep_if_worth(step.key, outputs, seconds, size)
        if effects:  # what says that files are there already goes to disk at any price; pictures to look at are soon made again
            self.cache.put(self.effects_key(step), effects, max(seconds, 1.0) if effects.saved else seconds)
        if self.cache.problem and not self.warned_of_disk:
            self.warned_of_disk = True
            self.tell(Warned(self.run.job, "", self.cache.problem))

    def ask(self, i: int, step: Step, wanted: set[str]) -> None:
        """Make the branches that a node asked for, then call it again."""
        self.asked.setdefault(i, set()).update(wanted)
        places = []
        for name in wanted:
            places += [place for place, _ in each_of(step.sources[name])]
        self.demand(places)
        heapq.heappush(self.heap, i)

    # -- what a node becomes when it expands

    def within(
        self, plan: Plan, ends: frozenset[int], tell: Tell, name: Callable[[str], str], there: Mapping[int, Mapping[str, Any]]
    ) -> Execution:
        """An execution inside this one: the results at `ends` are kept, those in `there` exist already."""
        made = Execution(plan, self.registry, replace(self.around, tell=tell), name, ends, self.depth + 1)
        for i, outputs in there.items():
            made.needed[i] = made.users[i] = 1
            made.state[i], made.results[i] = READY, outputs
        return made

    def join(self, within: Execution) -> None:
        """Take over the counts and clocks of an execution inside this one."""
        self.ran += within.ran
        self.cached += within.cached
        for clock in ("last_progress", "in_previews", "last_frame"):
            setattr(self.around, clock, getattr(within.around, clock))

    def unfold(
        self, i: int, step: Step, expansion: Expansion[Any], arguments: Mapping[str, Any], item: int, wanted: set[str]
    ) -> dict[str, Any]:
        """A node returned an expansion; lazy inputs that it hands on are asked for first."""
        by_name, asked = step.spec.by_name, self.asked.get(i, _NONE)
        names = handed_on(self.name(step.node_id), step, expansion)
        wanted.update(name for name in names if by_name[name].lazy and name in step.sources and name not in asked)
        if wanted:
            raise _Wanted
        return returned(self, step, expansion, arguments, item)

    # -- failures

    def break_off(self, i: int, step: Step) -> None:
        """Something inside of this step failed and was told."""
        self.state[i] = BAD
        self.blame[i] = step.node_id
        self.failed.append(step.node_id)
        self.release(step)

    def fail(self, i: int, step: Step, problem: BaseException) -> None:
        title = self.name(step.node_id)
        pack = self.registry.packs.get(step.spec.pack)
        message, input, kind = explain(title, problem, self.run.device, pack.root if pack else None)
        log = (
            ""
            if isinstance(problem, GraphError)
            else logs.write_failure(self.registry.folders.logs, f"'{title}' ({step.spec.id})", problem)
        )
        let_go(problem)
        if kind == "out-of-memory":
            self.free(problem)
        self.state[i] = BAD
        self.blame[i] = step.node_id
        self.failed.append(step.node_id)
        self.release(step)
        self.tell(Failed(self.run.job, step.node_id, message, input, kind, log))

    def free(self, problem: BaseException) -> None:
        """Give back all memory that can be spared."""
        if isinstance(problem, MemoryError) and self.cache is not None:
            self.cache.clear(disk=False)
        free_memory(self.registry)

    # -- calling the function

    def outputs_of(self, i: int, step: Step, reporter: Reporter | None, wanted: set[str]) -> dict[str, Any]:
        arguments = dict(step.values)

        def title() -> str:
            return self.name(step.node_id)

        for name, source in step.sources.items():
            item = step.spec.by_name[name]
            if item.lazy and name not in self.asked.get(i, _NONE):
                arguments[name] = _absent(name, wanted)
                continue
            if isinstance(source, Source):
                value = self.results[source.step][source.output]  # type: ignore[index]
            else:
                value = self.gathered(source)
            if item.type in VALUE_NAMES and (step.loop is None or name == REPEAT):  # in a loop, each item is judged inside
                if name in step.mapped or item.many:
                    value = [arrived(title, item, one, self.resolve) for one in value]
                else:
                    value = arrived(title, item, value, self.resolve)
            arguments[name] = value
        if step.loop is not None:
            is_used = self.users[i] > 0 or not step.spec.sink
            return looped(self, step, arguments, step.spec.outputs_by_name.keys() if is_used else frozenset())
        function = self.registry.functions[step.spec.id]
        for name, convert in conversions(function, step.spec):
            if name in arguments and not isinstance(arguments[name], Lazy):
                arguments[name] = [convert(one) for one in arguments[name]] if name in step.mapped else convert(arguments[name])
        if reporter is not None:
            context: Context = reporter
            arguments[step.spec.context or ""] = context
        if step.mapped:
            return self.each(i, function, step, arguments, reporter, wanted)
        return self.one(i, function, step, arguments, wanted)

    def resolve(self, kind: str, name: str) -> Path | None:
        return self.registry.folders.resolve(kind, name, Path(self.run.base) if self.run.base else None)

    def gathered(self, sources: tuple[Source, ...]) -> list[Any]:
        """What several links bring to one input; a link that brings a list adds all its items."""
        found: list[Any] = []
        for place, output in sources:
            value = self.results[place][output]  # type: ignore[index]
            if output in self.steps[place].many:
                found += value
            else:
                found.append(value)
        return found

    def one(
        self, i: int, function: Callable[..., Any], step: Step, arguments: dict[str, Any], wanted: set[str], item: int = 0
    ) -> dict[str, Any]:
        for input in step.spec.inputs:
            if input.lazy and not isinstance(arguments[input.name], (Lazy, type(None))):
                arguments[input.name] = Lazy.of(arguments[input.name])
        value = function(**arguments)
        if wanted:
            raise _Wanted
        if isinstance(value, Expansion):
            return checked(step.spec, self.unfold(i, step, value, arguments, item, wanted), self.name, step.node_id)
        return outputs_from(step.spec, value, self.name, step.node_id)

    def each(
        self, i: int, function: Callable[..., Any], step: Step, arguments: dict[str, Any], reporter: Reporter | None, wanted: set[str]
    ) -> dict[str, Any]:
        """Once for each item; a list of one item goes with all the others."""
        lists = {name: arguments[name] for name in step.mapped if not (isinstance(arguments[name], Lazy))}
        count = common_length(lists, self.name(step.node_id))
        made: dict[str, list[Any]] = {out.name: [] for out in step.spec.outputs}
        keeps = self.cache if step.spec.cache and not step.spec.sink and count > 1 else None
        for index in range(count):
            if self.around.is_stopped():
                raise Cancelled
            if reporter is not None:
                reporter.index, reporter.count = index, count
            item_key = f"{step.key}#{index}"
            outputs = keeps.get(item_key) if keeps is not None else None
            if outputs is None:
                own = {name: items[index if len(items) > 1 else 0] for name, items in lists.items()}
                began = time.perf_counter()
                outputs = self.one(i, function, step, {**arguments, **own}, wanted, index)
                seconds = time.perf_counter() - began
                if keeps is not None and seconds >= ITEM_SECONDS:
                    keeps.put(item_key, outputs, seconds)
            for out in step.spec.outputs:
                value = outputs[out.name]
                made[out.name] += value if out.many else [value]
        return dict(made)


def _absent(name: str, wanted: set[str]) -> Lazy[Any]:
    def ask() -> Any:
        wanted.add(name)
        raise _Wanted

    return Lazy(ask)
