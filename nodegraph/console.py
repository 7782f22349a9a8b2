"""What the command line shows while a job runs: one bar for the node at work, a line for each file, words for what went wrong.

Files go to stdout, one path a line, everything else to stderr, also what nodes and libraries print; with `--json` each event is a line
of JSON on stdout and nothing else is said. When stderr is no terminal there are no bars, only what went wrong.
"""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, TextIO

from nodegraph import messages
from nodegraph.logs import printable
from nodegraph.messages import Accepted, Done, Failed, Finished, Progress, Queued, Saved, Skipped, Started, Warned


def ready_streams() -> None:
    """Make stdout and stderr safe to print to: there at all, and never failing on a letter that the console does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # pythonw
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
        elif hasattr(stream, "reconfigure"):
            with suppress(ValueError, OSError):
                stream.reconfigure(errors="nodegraph")


def _as_the_system_has_it(error: UnicodeError) -> tuple[str | bytes, int]:
    """A byte of a file name that is no letter stays that byte, so that who reads the name finds the file; what a console lacks is spelt out."""
    if isinstance(error, UnicodeEncodeError) and all("\udc80" <= c <= "\udcff" for c in error.object[error.start : error.end]):
        return codecs.lookup_error("surrogateescape")(error)
    return codecs.backslashreplace_errors(error)


codecs.register_error("nodegraph", _as_the_system_has_it)


@contextmanager
def own_stdout() -> Iterator[TextIO]:
    """Stdout for this program alone: what nodes, libraries and their children print meanwhile goes to stderr. A terminal stays as it is."""
    out = sys.stdout
    if out.isatty():
        yield out
        return
    try:
        number, other = out.fileno(), sys.stderr.fileno()
        kept, own = os.dup(number), os.dup(number)
    except (OSError, ValueError):  # no stream of the system
        with redirect_stdout(sys.stderr):
            yield out
        return
    out.flush()
    os.dup2(other, number)
    stream = open(own, "w", encoding=out.encoding, errors=out.errors)  # noqa: SIM115 - a pipe that has closed must not hide what went wrong
    try:
        with redirect_stdout(sys.stderr):
            yield stream
    finally:
        os.dup2(kept, number)
        os.close(kept)
        with suppress(OSError):
            stream.close()


def say(text: str) -> None:
    """A line for the person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def complain(message: str) -> None:
    """What went wrong, on stderr."""
    say(f"error: {clean(message)}")


def clean(text: str) -> str:
    """Text from files and nodes, safe for a terminal; lines stay lines."""
    return "\n".join(printable(line) for line in text.splitlines())


def bytes_in_words(size: float) -> str:
    """ "3.2 GB" """
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit in ("B", "KB") or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def seconds_in_words(seconds: float) -> str:
    """ "0.3 s", "48 s", "3:05", "1:02:03" """
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Quiet:
    """Says only which files were made, on `out`, and what went wrong."""

    accepted = False
    """Whether the graph was found to be in order."""
    broken = False
    """Whether it was not the graph that failed, but this program."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self._titles: dict[str, str] = {}

    def __call__(self, event: Any) -> None:
        if isinstance(event, Accepted):
            self.accepted = True
        elif isinstance(event, Started):
            self._titles[event.node] = clean(event.title or event.node)
        elif isinstance(event, Saved):
            print(event.path, file=self.out, flush=True)
        elif isinstance(event, Warned):
            self.line(f"warning: {self._told(event)}")
        elif isinstance(event, Failed):
            self.broken = self.broken or event.kind in ("error", "crash")
            self.line(f"error: {self._told(event)}" + (f"\n       {event.log}" if event.log else ""))

    def line(self, text: str) -> None:
        say(text)

    def close(self) -> None:
        """Nothing more comes."""

    def _told(self, event: Warned | Failed) -> str:
        """What was said, with the node that said it. On the canvas it stands on the node, here nothing else tells which."""
        message, title = clean(event.message), self._titles.get(event.node, "")
        return message if not title or f"'{title}'" in message else f"'{title}': {message}"


class Lines(Quiet):
    """`--json`: one event a line."""

    def __call__(self, event: Any) -> None:
        self.accepted = self.accepted or isinstance(event, Accepted)
        self.broken = self.broken or (isinstance(event, Failed) and event.kind in ("error", "crash"))
        if getattr(event, "job", None) is not None and not isinstance(event, Queued):
            print(json.dumps(messages.to_json(event), allow_nan=False), file=self.out, flush=True)

    def line(self, text: str) -> None:
        """Every word is in the events."""


class Bars(Quiet):
    """For a terminal: what runs, how far it is, how long it still takes, and at the end how long it took."""

    def __init__(self, out: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__(out)

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[left]}", markup=False),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self._bars = Progress(*columns, console=self._console, transient=True, refresh_per_second=12)
        self._bars.start()
        if out.isatty():  # the same terminal: file names go above the bars
            self.out = sys.stdout
        self._task: Any = None

    def __call__(self, event: Any) -> None:
        super().__call__(event)
        if isinstance(event, Started):
            self._end_task()
            self._task = self._bars.add_task(self._titles[event.node], total=None, count="", left="", note="")
        elif isinstance(event, Progress) and self._task is not None:
            left = f"{seconds_in_words(event.eta)} left" if event.eta else ""
            count = f"{event.done:g}/{event.total:g}" if event.total else ""
            self._bars.update(self._task, completed=event.done, total=event.total or None, count=count, left=left, note=clean(event.note))
        elif isinstance(event, Finished) and not event.cached:
            self._end_task()
            words = f"{self._titles.get(event.node, event.node)}  {seconds_in_words(event.seconds)}"
            if event.resumed_from:
                words += f"  (went on from step {event.resumed_from:g})"
            self.line(words)
        elif isinstance(event, Failed):
            self._end_task()
        elif isinstance(event, Skipped):
            self.line(
                f"{self._titles.get(event.node, event.node)}  left out: it needs '{self._titles.get(event.because, clean(event.because))}'"
            )
        elif isinstance(event, Done):
            self.close()
            self.line(summary(event))

    def line(self, text: str) -> None:
        self._console.print(text, markup=False)

    def close(self) -> None:
        self._end_task()
        self._bars.stop()

    def _end_task(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


def summary(done: Done) -> str:
    """How a job ended, in a line."""
    words = {"done": "Done", "failed": "Failed", "cancelled": "Stopped", "interrupted": "Interrupted"}[done.state]
    nodes = f"{done.ran} node{'s' if done.ran != 1 else ''} ran" + (f", {done.cached} known already" if done.cached else "")
    return f"{words} in {seconds_in_words(done.seconds)}: {nodes}."


def table(rows: Sequence[tuple[str, ...]], indent: str = "") -> str:
    """Columns as wide as they need to be."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return "\n".join((indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))).rstrip() for row in rows)


def as_json(value: Mapping[str, Any] | list[Any]) -> str:
    return json.dumps(value, indent=1, default=str, ensure_ascii=False)
