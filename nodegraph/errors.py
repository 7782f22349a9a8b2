"""What can go wrong, in words fit for the artist who reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a graph: where it is, and what to do about it.

    `node_id` is the path of the node ("outer/inner" inside a subgraph), `input` the name of one of its inputs.
    `kind` is a short stable word that a front end may offer a repair for ("missing-file", "unknown-node", ...).
    """

    message: str
    node_id: str | None = None
    input: str | None = None
    severity: Severity = "error"
    kind: str = "invalid"


class GraphError(ValueError):
    """An edit, a file or a run that cannot go on. The message is fit to show; it may name a node and an input."""

    def __init__(self, message: str, node_id: str | None = None, input: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.node_id = node_id
        self.input = input

    def __reduce__(self) -> tuple[type, tuple[str, str | None, str | None]]:
        return type(self), (self.message, self.node_id, self.input)

    def as_problem(self) -> Problem:
        """The same, as plain data."""
        return Problem(self.message, self.node_id, self.input)


class GraphProblems(GraphError):
    """A graph that cannot run, with everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        super().__init__("\n".join(problem.message for problem in problems), first.node_id, first.input)
        self.problems = problems

    def __reduce__(self) -> tuple[type, tuple[tuple[Problem, ...]]]:  # type: ignore[override]
        return type(self), (self.problems,)


class GraphFileError(GraphError):
    """A file that is not a graph, with the place where it goes wrong."""


class Cancelled(Exception):
    """The user pressed stop. Never shown as an error."""
