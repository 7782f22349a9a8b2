"""A whole job, from the text of a graph to its last event: what worker and command line run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from nodegraph import graphfile, logs
from nodegraph.cache import Cache
from nodegraph.errors import GraphError, GraphProblems
from nodegraph.executor import Outcome, execute
from nodegraph.failures import words_of
from nodegraph.messages import Done, Failed, Run, Tell, Warned
from nodegraph.plan import make_plan
from nodegraph.registry import Registry
from nodegraph.subgraphs import names_of


def perform(
    run: Run,
    registry: Registry,
    cache: Cache | None,
    tell: Tell,
    is_stopped: Callable[[], bool] = bool,
    wants_frame: Callable[[], bool] | None = None,
) -> Outcome:
    """A whole job, from the text of its graph to Done. Never raises: whatever goes wrong becomes an event.

    A graph that cannot run is told by Failed events before any Accepted.
    """
    began = time.perf_counter()
    outcome = Outcome("failed")
    try:
        registry.folders.refresh()
        base = Path(run.base) if run.base else None
        graph = graphfile.upgraded(graphfile.parse(run.graph, run.title or "This graph"), registry)
        plan = make_plan(graph, registry, run.targets or None, base)
        for problem in plan.problems:
            tell(Warned(run.job, problem.node_id or "", problem.message))
        if not plan.targets:
            words = (
                "Everything that was asked for is muted or needs a muted node. Unmute one."
                if plan.skipped
                else "There is nothing to run. Add a node, as 'Save image'."
            )
            raise GraphError(words)
        outcome = execute(plan, registry, run, tell, cache, is_stopped, wants_frame, names_of(graph, registry.specs))
    except GraphProblems as error:
        for problem in error.problems:
            tell(Failed(run.job, problem.node_id or "", problem.message, problem.input or "", problem.kind))
    except GraphError as error:
        tell(Failed(run.job, error.node_id or "", error.message, error.input or "", "invalid"))
    except Exception as error:  # a fault of ours: told, logged, survived
        log = logs.write_failure(registry.folders.logs, f"job {run.job}", error)
        tell(Failed(run.job, "", f"Nodegraph itself failed: {words_of(error)} The details are in the log.", "", "error", log))
    tell(Done(run.job, outcome.state, time.perf_counter() - began, outcome.ran, outcome.cached))
    return outcome
