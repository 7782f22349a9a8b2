"""The command line: `nodegraph run portrait.graph --set sample.seed=3 -o out/`. Everything heavy is imported inside the commands,
so that `--help` answers at once.

Exit codes: 0 done; 1 a node failed; 2 the graph or the arguments are wrong; 130 stopped by the user.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TextIO

import typer

from nodegraph import __version__, console

if TYPE_CHECKING:
    from nodegraph.graph import Graph
    from nodegraph.messages import Done, Run
    from nodegraph.registry import Pack, Registry
    from nodegraph.spec import Input, NodeSpec

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 130

app = typer.Typer(
    name="nodegraph",
    help="Make pictures from graphs. Without a command, the window opens.",
    epilog="Ends with 0: done; 1: something failed; 2: the graph or the arguments are wrong; 130: stopped by Ctrl+C or SIGTERM.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A .graph file, or a PNG that carries a graph.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"nodegraph {__version__}")
        raise typer.Exit


@app.callback()
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        _open_window([])


@app.command()
def run(
    file: FileArgument,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.INPUT=VALUE",
            help="Change a value; NODE is a title or an id, or the way into subgraphs, as face/sample. A seed may be 'random'. May be repeated.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="Where pictures go. Made if it is not there.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NODE", help="Run only this node and what it needs. May be repeated.")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print one event a line, as JSON.")] = False,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.")] = "auto",
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Make everything anew and keep nothing.")] = False,
    runner: Annotated[str, typer.Option("--runner", metavar="here|worker", help="In this process, or in one of its own.")] = "here",
) -> None:
    """Run a graph and print the files it made, one a line.

    What is known from earlier runs is not made again. Ctrl+C stops at the next step and keeps what is finished.
    """  # fmt: skip
    import re

    from nodegraph import graphfile
    from nodegraph.errors import GraphError
    from nodegraph.messages import Run
    from nodegraph.overrides import node_id, with_setting

    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", device):
        _wrong(f"'{device}' is not a device. Choose auto, cpu, cuda or mps.")
    if runner not in ("here", "worker"):
        _wrong(f"'{runner}' is not a way to run. Choose here or worker.")
    registry = _load_nodes()
    graph = _read(file, registry)
    try:
        for change in set_ or ():
            graph = with_setting(graph, registry, change)
        targets = tuple(node_id(graph, name, registry) for name in only or ())
    except GraphError as error:
        _wrong(error.message)
    if output is not None:
        _make_folder(output)
    job = Run(
        secrets.token_hex(4),
        graphfile.dumps(graph),
        targets,
        str(file.absolute().parent),
        str(output.absolute()) if output is not None else "",
        device,
        not no_cache,
        0,
        file.name,
    )
    with console.own_stdout() as out:
        code = _run(job, registry, runner == "worker", json_, out)
    raise typer.Exit(code)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Graphs, or pictures that carry one.")], json_: JsonOption = False
) -> None:
    """Tell everything that is wrong with graphs, one line a problem, without running them."""
    from nodegraph import graphfile, plan
    from nodegraph.errors import GraphError, Problem

    registry = _load_nodes()
    wrong = False
    for file in files:
        try:
            problems = plan.check(graphfile.read(file, registry), registry, file.absolute().parent)
        except GraphError as error:
            problems = [Problem(error.message, error.node_id, error.input, kind="file")]
        for problem in problems:
            wrong = wrong or problem.severity == "error"
            if json_:
                words = {"severity": problem.severity, "kind": problem.kind, "message": problem.message}
                print(json.dumps({"file": str(file), "node": problem.node_id, "input": problem.input, **words}))
            else:
                place = ".".join(part for part in (problem.node_id, problem.input) if part)
                message = " ".join(console.clean(problem.message).split())
                print(console.clean(f"{file}: {place + ': ' if place else ''}") + f"{problem.severity}: {message}")
    raise typer.Exit(WRONG if wrong else DONE)


@app.command()
def nodes(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="Tell all about this node.")] = None, json_: JsonOption = False
) -> None:
    """List the nodes that are there, or tell all about one."""
    from nodegraph.overrides import did_you_mean

    registry = _load_nodes()
    specs = sorted(registry.specs.values(), key=lambda spec: spec.id)
    if id is not None:
        found = registry.specs.get(id) or next((spec for spec in specs if spec.title.lower() == id.lower()), None)
        if found is None:
            _wrong(f"There is no node '{id}'.{did_you_mean(id, [*registry.specs, *(spec.title for spec in specs)])}")
        print(console.as_json(_spec_tree(found)) if json_ else _spec_text(found))
        return
    for report in registry.reports:
        if report.error:
            console.say(f"warning: {console.clean(report.error)}")
    if json_:
        print(console.as_json([_spec_tree(spec) for spec in specs]))
    else:
        print(console.table([(spec.id, spec.title, spec.summary) for spec in specs]))


@app.command()
def models(json_: JsonOption = False) -> None:
    """List the model files that graphs can name, and where they are looked for."""
    from nodegraph.folders import shipped
    from nodegraph.node import File

    registry = _load_nodes()
    markers: dict[str, File] = {}
    for spec in registry.specs.values():
        for item in spec.inputs:
            if item.file is not None and item.file.folder not in ("input", "output"):
                known = markers.get(item.file.folder, item.file)
                suffixes = tuple(sorted({*known.suffixes, *item.file.suffixes}))
                markers[item.file.folder] = File(item.file.folder, suffixes, known.folders or item.file.folders)
    found: list[dict[str, Any]] = []
    for kind, marker in sorted(markers.items()):
        for name in registry.folders.names(marker):
            path = registry.folders.resolve(kind, name)
            if path is not None:
                found.append({"kind": kind, "name": name, "path": str(path), "bytes": _size(path), "shipped": name in shipped(kind)})
    folders = {kind: [str(root) for root in registry.folders.roots(kind)] for kind in sorted(markers)}
    if json_:
        print(console.as_json({"models": found, "folders": folders}))
        return
    if found:
        print(console.table([(m["kind"], m["name"], console.bytes_in_words(m["bytes"]), m["path"]) for m in found]))
    console.say(f"More are looked for in '{registry.folders.models}', in a folder for each kind: {', '.join(folders)}.")


@app.command()
def packs(
    on: Annotated[
        list[str] | None, typer.Option("--on", metavar="FILE", help="Switch on a Python file in the node folder, as it is now.")
    ] = None,
    off: Annotated[list[str] | None, typer.Option("--off", metavar="FILE", help="Switch one off.")] = None,
    json_: JsonOption = False,
) -> None:
    """List packs of nodes and what is wrong with them; switch files of your own on and off.

    A pack is code that may do anything: switch on only what you trust. A file that has changed must be switched on again.
    """
    from dataclasses import asdict

    from nodegraph.errors import GraphError
    from nodegraph.folders import standard
    from nodegraph.registry import enable_plugin, list_packs

    folders = standard()
    try:
        for name, wanted in (*((name, True) for name in on or ()), *((name, False) for name in off or ())):
            inside = Path(name).absolute()
            enable_plugin(folders, inside.name if inside.parent == folders.plugins else name, wanted)
    except GraphError as error:
        _wrong(error.message)
    listed = list_packs(folders, _load_nodes().reports)
    if json_:
        print(console.as_json([{key: value for key, value in asdict(pack).items() if key != "own"} for pack in listed]))
    else:
        if listed:
            rows = [(console.clean(pack.pack), pack.state, _loaded(pack) if pack.nodes or pack.state == "on" else "") for pack in listed]
            print(console.table(rows))
        for pack in listed:
            if pack.error:
                console.complain(pack.error)
            elif pack.is_slow:
                console.say(f"warning: '{console.clean(pack.pack)}' makes every start wait. Import what is large inside of functions.")
        console.say(f"Files of your own are looked for in '{folders.plugins}'.")
    raise typer.Exit(FAILED if any(pack.error for pack in listed) else DONE)


@app.command()
def cache(clear: Annotated[bool, typer.Option("--clear", help="Delete all kept results.")] = False, json_: JsonOption = False) -> None:
    """Tell how much room kept results take, or delete them."""
    from nodegraph.cache import standard_cache
    from nodegraph.folders import standard

    disk = standard_cache(standard(), memory_limit=1).disk
    before = disk.usage() if disk is not None else (0, 0)
    if clear and disk is not None:
        disk.clear()
    entries, used = disk.usage() if disk is not None else (0, 0)
    limit = disk.limit if disk is not None else 0
    folder = str(disk.folder) if disk is not None else ""
    if json_:
        print(console.as_json({"folder": folder, "entries": entries, "bytes": used, "limit": limit, "cleared": before[1] - used}))
    elif disk is None:
        print("Results are not kept on disk: the settings say so.")
    elif clear:
        print(f"{before[0] - entries} results deleted, {console.bytes_in_words(before[1] - used)}.")
    else:
        print(f"{entries} results, {console.bytes_in_words(used)} of {console.bytes_in_words(limit)}, in '{folder}'")


@app.command()
def convert(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Pickled weights: .ckpt, .pt, .pth or .bin.")],
    json_: JsonOption = False,
) -> None:
    """Write pickled weights anew as .safetensors, each beside the old file, and print the new files.

    Pickles can run code, so nothing here opens them but this command, which reads only their weights.
    """
    from nodegraph.errors import GraphError
    from nodegraph.registry import Registry

    function = Registry.load(plugins=False).functions["loaders/convert"]
    failed = False
    for file in files:
        try:
            made = str(function(file.absolute()).file)
        except GraphError as error:
            failed = True
            if json_:
                print(json.dumps({"file": str(file), "error": error.message}))
            else:
                console.say(f"error: {console.clean(error.message)}")
            continue
        print(json.dumps({"file": str(file), "made": made}) if json_ else made)
    raise typer.Exit(FAILED if failed else DONE)


@app.command()
def doctor(json_: JsonOption = False) -> None:
    """Look at Python, torch, the graphics card, memory and folders, and say what to do if something is amiss."""
    from nodegraph.doctor import examine

    with console.own_stdout():
        report = examine()
    print(console.as_json(report.as_tree()) if json_ else report.as_text())
    raise typer.Exit(FAILED if report.has_errors else DONE)


@app.command()
def edit(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE...]", help="Graphs, or pictures that carry one.")] = None,
) -> None:
    """Open the window, with these files."""
    _open_window(files or [])


@app.command()
def picture(
    file: FileArgument,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="PICTURE", help="The picture to write, as canvas.png.")],
    scale: Annotated[float, typer.Option("--scale", min=0.1, max=8.0, help="Pixels for each unit of the canvas.")] = 1.0,
) -> None:
    """Draw the canvas of a graph to a picture. Needs no display."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from nodegraph.errors import GraphError

    registry = _load_nodes()
    graph = _read(file, registry)
    render = _from_window("ui.picture", "render")
    try:
        render(graph, output, scale, registry=registry)
    except GraphError as error:
        _wrong(error.message)
    except OSError as error:
        _wrong(f"Cannot write '{output}': {error.strerror or error}.")


# -- running


def _run(job: Run, registry: Registry, in_worker: bool, json_: bool, out: TextIO) -> int:
    """Run a job and show it; the exit code."""
    import queue
    import signal

    from nodegraph.cache import standard_cache
    from nodegraph.messages import Done
    from nodegraph.process import WorkerProcess
    from nodegraph.runner import Here, Runner

    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    packages = {function.__module__ for function in registry.functions.values()}

    def here(heard: Any) -> Here:
        return Here(heard, lambda: (registry, standard_cache(registry.folders, packages)))

    def apart(heard: Any) -> WorkerProcess:
        return WorkerProcess(heard, registry.folders, warm=False)

    presses: list[int] = []
    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            with suppress(ValueError):  # not the main thread: then nobody presses keys
                number = getattr(signal, name)
                before[number] = signal.signal(number, lambda *_: presses.append(1))
    show: console.Quiet = console.Lines(out) if json_ else console.Bars(out) if sys.stderr.isatty() else console.Quiet(out)
    runner = Runner(events.put, apart if in_worker else here, registry.folders)
    runner.submit(job)
    heeded = 0
    done: Done | None = None
    try:
        while done is None:
            if len(presses) > heeded:
                heeded = len(presses)
                if heeded > 1:
                    _give_up(runner, show)
                runner.stop(job.job)
                show.line("Stopping at the next step. Ctrl+C again stops at once.")
            with suppress(queue.Empty):
                event = events.get(timeout=0.1)
                show(event)
                done = event if isinstance(event, Done) and event.job == job.job else None
    finally:
        show.close()
        runner.close()
        for number, handler in before.items():
            signal.signal(number, handler)
    if done.state == "failed" and not show.accepted and not show.broken:
        return WRONG
    return {"done": DONE, "cancelled": STOPPED}.get(done.state, FAILED)


def _give_up(runner: Any, show: console.Quiet) -> NoReturn:
    """Ctrl+C twice: leave at once, whatever a node is doing."""
    show.close()
    runner.kill()
    _end(STOPPED)


# -- arguments


def _load_nodes() -> Registry:
    from nodegraph.registry import Registry

    with console.own_stdout():  # a pack may print while it is loaded
        return Registry.load()


def _read(file: Path, registry: Registry | None) -> Graph:
    from nodegraph import graphfile
    from nodegraph.errors import GraphError

    try:
        return graphfile.read(file, registry)
    except GraphError as error:
        _wrong(error.message)


def _make_folder(folder: Path) -> None:
    """Find out before a long run, not after it, whether pictures can go there."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        _wrong(f"Cannot write to '{folder}': {error.strerror or error}. Choose another folder with -o.")


def _wrong(message: str) -> NoReturn:
    console.complain(message)
    raise typer.Exit(WRONG)


# -- looking at nodes and models


def _spec_tree(spec: NodeSpec) -> dict[str, Any]:
    return {
        "id": spec.id,
        "version": spec.version,
        "title": spec.title,
        "category": spec.category,
        "summary": spec.summary,
        "help": spec.help,
        "sink": spec.sink,
        "pack": spec.pack,
        "inputs": [_input_tree(item) for item in spec.inputs],
        "outputs": [{"name": out.name, "type": out.type, "many": out.many, "help": out.help} for out in spec.outputs],
    }


def _input_tree(item: Input) -> dict[str, Any]:
    tree: dict[str, Any] = {"name": item.name, "type": item.type, "help": item.help, "required": item.is_required}
    if not item.is_required:
        tree["default"] = item.default
    if item.choices:
        tree["choices"] = list(item.choices)
    if item.range:
        tree["range"] = [item.range.min, item.range.max]
    if item.unit:
        tree["unit"] = item.unit
    if item.file:
        tree["folder"] = item.file.folder
    return tree | {name: True for name in ("many", "lazy", "optional") if getattr(item, name)}


def _spec_text(spec: NodeSpec) -> str:
    lines = [f"{spec.title}  ({spec.id}, version {spec.version})", spec.summary]
    if spec.help:
        lines += ["", spec.help]
    for title, rows in (
        ("Inputs", [_input_row(item) for item in spec.inputs]),
        ("Outputs", [(o.name, o.type, o.help) for o in spec.outputs]),
    ):
        if rows:
            lines += ["", f"{title}:", console.table(rows, "  ")]
    return "\n".join(lines)


def _input_row(item: Input) -> tuple[str, str, str]:
    about = [item.type + ("..." if item.many else "")]
    if item.is_required:
        about.append("needed")
    elif item.default not in (None, ""):
        about.append(f"= {str(item.default)[:40]}")
    if item.range:
        about.append(f"{item.range.min:g} to {item.range.max:g}")
    words = f"{item.help} One of: {', '.join(map(str, item.choices))}." if item.choices else item.help
    return item.name, ", ".join(about), words.strip()


def _loaded(pack: Pack) -> str:
    words = f"{len(pack.nodes)} node{'s' if len(pack.nodes) != 1 else ''}"
    return words + (f", {console.seconds_in_words(pack.seconds)} to load" if pack.is_slow else "")


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size


# -- the window


def _open_window(files: list[Path]) -> NoReturn:
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in displays):
        _wrong("There is no display here for the window. 'nodegraph run' needs none; 'nodegraph --help' tells the rest.")
    raise SystemExit(_from_window("ui.app", "main")(files))


def _from_window(module: str, name: str) -> Any:
    """Something of the window, which is only there where Qt is."""
    import importlib

    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        if (error.name or "").startswith("PySide6") or "lib" in str(error):
            _wrong(f"The window needs Qt, and that cannot be loaded: {error}. Install it: pip install PySide6-Essentials")
        raise


def _leave(code: int) -> NoReturn:
    """End the program, whatever a node or a library has left at work after a run."""
    if sys.argv[1:2] == ["run"] and threading.active_count() > 1:
        _end(code)
    raise SystemExit(code) from None


def _end(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def main() -> None:
    """The `nodegraph` command."""
    console.ready_streams()
    try:
        app(prog_name="nodegraph")
    except Exception as error:
        from nodegraph import logs
        from nodegraph.folders import standard

        log = logs.write_failure(standard().logs, "nodegraph " + " ".join(sys.argv[1:]), error)
        console.complain(f"Nodegraph itself failed: {str(error)[:300] or type(error).__name__} ({type(error).__name__}).")
        console.say(f"       {log}" if log else "")
        _leave(FAILED)
    except SystemExit as end:
        _leave(end.code if isinstance(end.code, int) else FAILED if end.code else DONE)


if __name__ == "__main__":
    main()
