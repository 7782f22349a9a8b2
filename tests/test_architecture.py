"""The walls of the house: who may import whom, what stays out of the window's process, and what nobody may call.

Read from the source with ast, so nothing is run to find out.
"""

import ast
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("nodegraph", "nodes", "ui", "resources")
HEAVY = {"torch", "diffusers", "transformers", "peft", "accelerate", "safetensors", "scipy", "cv2", "torchsde", "torchvision"}
LOADER = "nodes.models.loading"
"""The one module through which anything is loaded by diffusers or transformers."""
CONVERTER = "nodes.models.convert"
"""Runs only when a person asks for a pickle to be converted; torch's restricted unpickler, nothing else."""


def modules():
    """{"nodes.models.loading": path} for every module that ships, without the recipe that trained the starter model."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            if "recipe" not in path.parts:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def tree(name):
    return ast.parse(MODULES[name].read_text("utf-8"), str(MODULES[name]))


def is_for_types_only(test):
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING")


@cache
def imports(name):
    """What a module imports: (whole name, line, whether it happens as the module is imported). Those for type checkers only do not count."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = []

    def walk(node, at_once):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and is_for_types_only(child.test):
                for other in child.orelse:
                    walk(other, at_once)
            elif isinstance(child, ast.Import):
                found.extend((alias.name, child.lineno, at_once) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    above = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*above, *([child.module] if child.module else [])])
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    found.append((whole if whole in MODULES else base, child.lineno, at_once))
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                walk(child, False)
            else:
                walk(child, at_once)

    walk(tree(name), True)
    return tuple(found)


def room(name):
    return name.partition(".")[0]


def offences(names, is_forbidden):
    return [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {what}"
        for name in names
        for what, line, at_once in imports(name)
        if is_forbidden(what, at_once)
    ]


def in_room(*rooms):
    return [name for name in MODULES if any(name == r or name.startswith(r + ".") for r in rooms)]


def is_below(what, *packages):
    return any(what == package or what.startswith(package + ".") for package in packages)


def test_the_source_is_found():
    assert {"nodegraph.plan", "nodes.types", "ui.theme", LOADER} <= set(MODULES)
    assert ("torch", True) in {(what, at_once) for name in in_room("nodes.diffusion") for what, _, at_once in imports(name)}, (
        "the reader sees imports"
    )


def test_the_engine_knows_no_torch_no_qt_no_nodes_and_no_window():
    """The console and the worker open the other rooms by name, when they are told to."""
    assert offences(in_room("nodegraph"), lambda what, at_once: is_below(what, *HEAVY, "PySide6", "shiboken6")) == []
    doors = {"nodegraph.registry", "nodegraph.cli"}
    assert offences([n for n in in_room("nodegraph") if n not in doors], lambda what, at_once: is_below(what, "nodes", "ui")) == []
    assert offences(doors & set(MODULES), lambda what, at_once: at_once and is_below(what, "nodes", "ui")) == []


def test_the_window_knows_the_engine_only():
    assert offences(in_room("ui"), lambda what, at_once: is_below(what, *HEAVY, "nodes")) == []


def test_nodes_know_no_window():
    assert offences(in_room("nodes"), lambda what, at_once: is_below(what, "ui", "PySide6", "shiboken6")) == []


DEFINITIONS = [name for name in in_room("nodes") if not is_below(name, "nodes.diffusion", "nodes.models", "nodes.pictures")]


def test_definitions_of_nodes_bring_torch_in_only_as_they_run():
    """Directly or through a module that does: the window's process reads all of them."""
    heavy = {name for name in MODULES if any(at_once and is_below(what, *HEAVY - {"safetensors"}) for what, _, at_once in imports(name))}
    while True:  # whoever imports a heavy module at once is heavy
        more = {name for name in MODULES if name not in heavy and any(at_once and what in heavy for what, _, at_once in imports(name))}
        if not more:
            break
        heavy |= more
    assert sorted(heavy & set(DEFINITIONS)) == []
    assert sorted(heavy & set(in_room("nodegraph", "ui"))) == []


def test_definitions_of_nodes_keep_their_types_as_types():
    """With `from __future__ import annotations` a linter moves types under TYPE_CHECKING, and no spec can be read."""
    holders = [n for n in DEFINITIONS if any(getattr(d.func if isinstance(d, ast.Call) else d, "id", "") == "node" for f in ast.walk(tree(n)) if isinstance(f, ast.FunctionDef) for d in f.decorator_list)]  # fmt: skip
    assert len(holders) > 5
    assert [n for n in holders if any(isinstance(s, ast.ImportFrom) and s.module == "__future__" for s in tree(n).body)] == []


def test_the_numerics_know_no_graph():
    numerics = in_room("nodes.diffusion", "nodes.models", "nodes.pictures")
    bytes_only = {"nodegraph.errors", "nodegraph.embedding", "nodegraph.saving"}  # these know no graph either
    assert offences(numerics, lambda what, at_once: is_below(what, "nodegraph") and what not in bytes_only) == []
    assert offences(bytes_only, lambda what, at_once: is_below(what, "nodegraph") and what not in bytes_only) == []
    assert offences(numerics, lambda what, at_once: is_below(what, "nodes") and what in DEFINITIONS and what != "nodes") == []


def test_no_module_imports_itself_around_a_corner():
    """Imports at the head of modules make no circle."""
    waiting = {name: {what for what, _, at_once in imports(name) if at_once and what in MODULES and what != name} for name in MODULES}
    waiting = {
        name: {what for what in needs if not name.startswith(what + ".")} for name, needs in waiting.items()
    }  # a package is there before its modules
    while ready := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert sorted(waiting) == []


@cache
def calls(name):
    """(what is called, the call) for every call of a name or of an attribute in a module."""
    return tuple(
        (ast.unparse(found.func), found)
        for found in ast.walk(tree(name))
        if isinstance(found, ast.Call) and isinstance(found.func, (ast.Name, ast.Attribute))
    )


def places(names, is_forbidden):
    return [
        f"{MODULES[n].relative_to(ROOT)}:{call.lineno} calls {what}" for n in names for what, call in calls(n) if is_forbidden(what, call)
    ]


def test_nothing_is_loaded_but_through_the_one_loader():
    """S4: there it is without pickles, network or code of others."""
    forbidden = ("from_pretrained", "from_single_file", "load_lora_weights", "load_textual_inversion", "load_ip_adapter", "load_attn_procs")
    others = [name for name in MODULES if name != LOADER]
    assert places(others, lambda what, call: what.rpartition(".")[2] in forbidden) == []
    keywords = places(
        MODULES,
        lambda what, call: any(
            k.arg == "custom_pipeline" or (k.arg == "trust_remote_code" and getattr(k.value, "value", None) is not False)
            for k in call.keywords
        ),
    )
    assert keywords == []


def test_the_one_loader_asks_no_network_and_runs_no_code_of_others():
    """Networks are built from checked safetensors headers; what diffusers or transformers load themselves, as tokenizers, is told to stay at home."""
    loads = [call for what, call in calls(LOADER) if what.rpartition(".")[2] in ("from_pretrained", "from_single_file")]
    tables = {
        target.id: {getattr(k, "value", None): getattr(v, "value", None) for k, v in zip(found.value.keys, found.value.values)}
        for found in ast.walk(tree(LOADER))
        if isinstance(found, (ast.Assign, ast.AnnAssign)) and isinstance(found.value, ast.Dict)
        for target in (found.targets if isinstance(found, ast.Assign) else [found.target])
        if isinstance(target, ast.Name)
    }
    for call in loads:
        given = {}
        for k in call.keywords:
            given |= {k.arg: getattr(k.value, "value", None)} if k.arg else tables.get(getattr(k.value, "id", ""), {})
        assert given.get("local_files_only") is True and given.get("trust_remote_code") is False, f"{LOADER}:{call.lineno}"


def test_nothing_is_unpickled():
    """S1: but by the converter, with torch's restricted unpickler, when a person asks for it."""
    assert (
        offences(MODULES, lambda what, at_once: is_below(what, "pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"))
        == []
    )
    assert (
        places(
            [n for n in MODULES if n != CONVERTER], lambda what, call: what in ("torch.load", "np.load", "numpy.load", "pandas.read_pickle")
        )
        == []
    )
    restricted = [call for what, call in calls(CONVERTER) if what == "torch.load"] if CONVERTER in MODULES else []
    assert all(any(k.arg == "weights_only" and getattr(k.value, "value", None) is True for k in call.keywords) for call in restricted)


def test_no_text_is_ever_run_as_code():
    """S20, S31."""
    assert (
        places(
            MODULES,
            lambda what, call: what in ("eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec", "os.system", "os.popen"),
        )
        == []
    )
    assert (
        places(MODULES, lambda what, call: any(k.arg == "shell" and getattr(k.value, "value", None) is not False for k in call.keywords))
        == []
    )


def test_no_socket_is_opened_for_others_to_connect():
    """S22."""
    assert (
        offences(
            MODULES,
            lambda what, at_once: is_below(what, "http.server", "socketserver", "xmlrpc.server", "flask", "aiohttp", "fastapi", "uvicorn"),
        )
        == []
    )
    assert (
        places(MODULES, lambda what, call: what.rpartition(".")[2] in ("create_server", "start_server", "listen") and "socket" in what)
        == []
    )


def run(program, tmp_path):
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "NODEGRAPH_HOME": str(tmp_path), "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=surroundings, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = "; import sys; print(sorted({m.partition('.')[0] for m in sys.modules} & {'torch', 'diffusers', 'transformers', 'peft', 'accelerate', 'scipy', 'cv2'}))"


@pytest.mark.parametrize(
    "program",
    [
        "import ui.app",
        "from nodegraph.registry import Registry; Registry.load()",
        "import nodegraph.cli",
        "import nodegraph.runner",
        "import ui.main_window",
    ],
)
def test_what_runs_in_the_window_never_imports_torch(tmp_path, program):
    if (wanted := program.split()[1]) in ("nodegraph.cli", "ui.main_window") and wanted not in MODULES:
        pytest.fail(f"{wanted} is part of the house and is not there")
    assert run(program + LOADED, tmp_path).strip() == "[]"


def test_importing_touches_no_folder_of_the_user(tmp_path):
    run(
        "import nodegraph.registry, nodegraph.cache, nodegraph.graphfile, ui.app; from nodegraph.registry import Registry; Registry.load()",
        tmp_path,
    )
    assert list(tmp_path.iterdir()) == []
