"""Nodes come from the program, from installed packs and from files a person has switched on; a broken one costs only itself."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import small_nodes

from nodegraph.errors import GraphError
from nodegraph.registry import Importer, Registry, Report, enable_plugin, list_packs
from nodegraph.spec import SpecError

ROOT = Path(__file__).resolve().parents[2]
GOOD = """
from nodegraph.node import node, Port

class Sound:
    "A sound."
    __port__ = Port("sound", "disc")

@node("sound/beep")
def beep(pitch: int = 440) -> Sound:
    "Beep."
    return Sound()
"""


def module_of(source, name):
    spec = importlib.util.spec_from_loader(name, loader=None)
    module = importlib.util.module_from_spec(spec)
    path = Path(os.environ["PYTEST_PACKS"]) / f"{name}.py"
    path.write_text(textwrap.dedent(source))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def packs(tmp_path, monkeypatch):
    """A place for modules that only a test knows, forgotten afterwards."""
    folder = tmp_path / "packs"
    folder.mkdir()
    monkeypatch.setenv("PYTEST_PACKS", str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith(("pack_", "nodegraph_user_")):
            del sys.modules[name]


@pytest.fixture
def plugin(folders):
    """Put a file into the user's node folder and switch it on."""

    def put(source=GOOD, name="mine.py", on=True):
        path = folders.plugins / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), "utf-8")
        if on:
            enable_plugin(folders, name)
        return path

    return put


def load(folders):
    """The registry with only the user's files, so that nothing else of this machine plays a part."""
    registry = Registry(folders=folders)
    registry._add_user_files()
    return registry


def test_all_nodes_of_the_program_load_without_a_fault_and_without_torch(folders):
    code = """
        import sys
        from nodegraph.registry import Registry
        registry = Registry.load(plugins=False)
        assert not registry.reports, registry.reports
        assert len(registry.specs) > 20 and set(registry.specs) == set(registry.functions)
        heavy = {name for name in sys.modules if name.partition('.')[0] in ('torch', 'diffusers', 'transformers', 'PySide6', 'ui', 'scipy', 'cv2')}
        assert not heavy, sorted(heavy)[:5]
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "NODEGRAPH_HOME": str(folders.home)},
    )


def test_a_worker_finds_each_function_by_the_source_in_its_spec():
    registry = Registry.load(plugins=False)
    for spec in registry.specs.values():
        module, _, name = spec.source.partition(":")
        assert getattr(sys.modules[module], name) is registry.functions[spec.id]


def test_a_file_in_the_users_folder_does_nothing_until_it_is_switched_on(folders, plugin):
    path = plugin("raise SystemExit('ran')", on=False)
    assert load(folders).reports == []
    path.write_text(GOOD)
    enable_plugin(folders, "mine.py")
    registry = load(folders)
    assert registry.reports == [Report("mine.py", ("sound/beep",))]
    assert registry.specs["sound/beep"].pack == "mine.py" and registry.port_types["Sound"].color == "sound"
    enable_plugin(folders, "mine.py", on=False)
    assert load(folders).reports == [] and not load(folders).specs


def test_a_file_that_was_changed_is_off_until_a_person_agrees_again(folders, plugin):
    path = plugin()
    path.write_text(GOOD + "\nraise SystemExit('ran')\n")
    registry = load(folders)
    assert not registry.specs and "has changed since you switched it on" in registry.reports[0].error


def test_a_compiled_file_beside_it_is_never_run_in_its_place(folders, plugin):
    """The hash is of the source; Python would take a .pyc of the same size and time for it."""
    import py_compile

    path = plugin()
    evil = path.with_name("evil.py")
    evil.write_text("raise SystemExit('ran')".ljust(len(GOOD.encode())))
    stat = path.stat()
    os.utime(evil, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    py_compile.compile(str(evil), cfile=importlib.util.cache_from_source(str(path)))
    before = sorted(p.name for p in path.parent.rglob("*"))
    registry = load(folders)
    assert registry.reports == [Report("mine.py", ("sound/beep",))]
    assert sorted(p.name for p in path.parent.rglob("*")) == before, "and none is written"


@pytest.mark.parametrize(
    "source,words",
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit"),
        ("import sys; sys.exit()", "SystemExit"),
        ("1/0", "division by zero"),
        ("from nodegraph.node import node\n@node('a/b')\ndef f(x): ...", "needs a return type"),
        ("\0", "null bytes"),
    ],
)
def test_a_broken_file_becomes_a_report_and_the_others_work(folders, plugin, source, words):
    plugin(source, "broken.py")
    plugin()
    broken, good = load(folders).reports
    assert broken.pack == "broken.py" and words in broken.error and "Traceback" in broken.details
    assert good == Report("mine.py", ("sound/beep",))


def test_what_is_wrong_with_a_pack_is_told_with_the_file_and_the_line(folders, plugin, packs, monkeypatch):
    plugin("def helper():\n    return {}['q']\n\nhelper()", "call.py")
    plugin("from nodegraph.node import node\n\n@node('a/b')\ndef f(x) -> int: ...", "declare.py")
    plugin("import json\njson.loads('{')", "library.py")
    errors = [report.error for report in load(folders).reports]
    assert errors[0] == "'call.py' cannot be used: KeyError: 'q' (call.py, line 2)"
    assert errors[1] == "'declare.py' cannot be used: f() in declare.py, line 3 needs a type for 'x'"
    assert errors[2].endswith("(library.py, line 2)")
    entry_point(packs, "pack_big", "big", {"__init__.py": "", "nodes.py": "import os\n1 / 0"}, "pack_big.nodes")
    monkeypatch.syspath_prepend(str(packs))
    registry = Registry(folders=folders)
    registry._add_entry_points()
    assert registry.reports[0].error == "'big' cannot be used: ZeroDivisionError: division by zero (pack_big/nodes.py, line 2)"


def test_nodes_of_a_pack_are_marked_with_the_code_of_all_of_it(folders, plugin, packs, monkeypatch):
    """A node's result was kept by its id and version alone: who edited a node saw the old picture."""
    plugin()
    first = load(folders).specs["sound/beep"].code
    assert first and load(folders).specs["sound/beep"].code == first
    plugin(GOOD + "# louder")
    assert load(folders).specs["sound/beep"].code != first

    def packaged(helper):
        entry_point(packs, "pack_two", "two", {"__init__.py": "", "helper.py": helper, "nodes.py": GOOD}, "pack_two.nodes")
        registry = Registry(folders=folders)
        registry._add_entry_points()
        return registry.specs["sound/beep"].code

    monkeypatch.syspath_prepend(str(packs))
    assert packaged("x = 1") == packaged("x = 1") != packaged("x = 2")


def entry_point(packs, package, name, files, target):
    """A package with files of these contents, installed as a pack."""
    for file, content in files.items():
        (packs / package / file).parent.mkdir(exist_ok=True)
        (packs / package / file).write_text(content)
    info = packs / f"{name}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[nodegraph.plugins]\n{name} = {target}\n")


def test_a_file_that_is_gone_is_told(folders, plugin):
    plugin().unlink()
    assert "no longer in" in load(folders).reports[0].error


@pytest.mark.parametrize("name", ["../mine.py", "/etc/mine.py", "a\\b.py", "mine.txt", ".hidden.py", "C:mine.py", "\0.py"])
def test_only_a_python_file_of_the_users_folder_can_be_switched_on(folders, plugin, name):
    with pytest.raises(GraphError, match="not the name of a Python file"):
        enable_plugin(folders, name)
    folders.home.mkdir(parents=True, exist_ok=True)
    folders.settings.write_text(json.dumps({"plugins": {name: "0"}}))
    assert "not the name of a Python file" in load(folders).reports[0].error


def test_switching_a_file_on_keeps_the_other_settings_and_never_a_broken_settings_file(folders, plugin):
    folders.home.mkdir(parents=True)
    folders.settings.write_text('{"theme": "dark"}')
    plugin()
    assert json.loads(folders.settings.read_text())["theme"] == "dark"
    folders.settings.write_text('{"theme": "dark"')
    with pytest.raises(GraphError, match="cannot be read"):
        enable_plugin(folders, "mine.py")
    assert folders.settings.read_text() == '{"theme": "dark"'
    with pytest.raises(GraphError, match="There is no 'other.py'"):
        folders.settings.unlink()
        enable_plugin(folders, "other.py")


@pytest.mark.parametrize("settings", ["[]", '{"plugins": []}', '{"plugins": {"a.py": null}}', '{"plugins": {"a.py": {"x": 1}}}'])
def test_settings_of_another_shape_switch_nothing_on(folders, settings):
    folders.home.mkdir(parents=True)
    folders.settings.write_text(settings)
    (folders.plugins).mkdir()
    (folders.plugins / "a.py").write_text("raise SystemExit")
    assert not load(folders).specs


def test_an_id_that_two_packs_claim_stays_with_the_first_and_the_second_is_refused_whole(small):
    pack = module_of(
        "from nodegraph.node import node\n@node('small/first')\ndef a() -> int: ...\n@node('small/blur')\ndef b() -> int: ...\ndef free_memory(): ...",
        "pack_one",
    )
    blur = small.specs["small/blur"]
    with pytest.raises(GraphError, match="'small/blur' is there twice: from 'small_nodes:blur' and from 'pack_one:b'"):
        small.add_module(pack, "one")
    assert small.specs["small/blur"] is blur and "small/first" not in small.specs and "small/first" not in small.functions
    assert not small.free_memory


def test_a_type_name_that_two_packs_claim_is_refused(small):
    """A link knows types by name: another class called Picture would pass and fail inside a node."""
    pack = module_of("from nodegraph.node import node\nclass Picture: ...\n@node('other/blur')\ndef b(x: Picture) -> int: ...", "pack_two")
    with pytest.raises(GraphError, match="Two types are called 'Picture': that of 'small_nodes' and that of 'pack_two'"):
        small.add_module(pack)
    assert small.classes["Picture"] is small_nodes.Picture


def test_taking_in_the_same_module_twice_changes_nothing(small):
    before = dict(small.specs)
    small.add_module(small_nodes)
    assert small.specs == before


def test_what_a_module_only_imports_is_not_its_own(small):
    pack = module_of("from small_nodes import blur\nfrom nodegraph.node import node\n@node('other/it')\ndef it() -> int: ...", "pack_three")
    assert small.add_module(pack) == ["other/it"]


def test_one_broken_module_of_a_package_costs_only_itself(small, packs, monkeypatch):
    package = packs / "pack_four"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "bad.py").write_text("raise SystemExit")
    (package / "good.py").write_text("from nodegraph.node import node\n@node('four/good')\ndef good() -> int: ...")
    (package / "sub").mkdir()
    monkeypatch.syspath_prepend(str(packs))
    assert small.add_package(importlib.import_module("pack_four"), "four") == ["four/good"]
    assert [r.pack for r in small.reports] == ["four"] and "SystemExit" in small.reports[0].error


def test_a_pack_with_a_broken_module_is_listed_as_broken_with_the_nodes_it_has(folders, packs, monkeypatch):
    """It was listed as on: the report of its good modules came last and hid the other."""
    good = "from nodegraph.node import node\n@node('eight/good')\ndef good() -> int: ..."
    entry_point(packs, "pack_eight", "eight", {"__init__.py": "", "bad.py": "1 / 0", "good.py": good}, "pack_eight")
    monkeypatch.syspath_prepend(str(packs))
    registry = Registry(folders=folders)
    registry._add_entry_points()
    (listed,) = list_packs(folders, registry.reports)
    assert (listed.state, listed.nodes, listed.own) == ("broken", ("eight/good",), False) and "(pack_eight/bad.py, line 1)" in listed.error


def test_files_are_listed_as_they_are_now(folders, plugin):
    plugin(name="on.py")
    plugin(name="off.py", on=False)
    plugin(name="changed.py").write_text("1 / 0")
    plugin(name="gone.py").unlink()
    plugin("1 / 0", name="broken.py")
    (folders.plugins / ".hidden.py").write_text("")
    listed = list_packs(folders, load(folders).reports)
    assert [(pack.pack, pack.state) for pack in listed] == [(f"{state}.py", state) for state in ("broken", "changed", "gone", "off", "on")]
    assert all(pack.own for pack in listed) and listed[-1].nodes == ("sound/beep",)


def test_packs_are_found_by_their_entry_point(folders, packs, monkeypatch):
    (packs / "pack_five.py").write_text(GOOD)
    (packs / "pack_six.py").write_text("oops")
    for name, target in (("five", "pack_five"), ("six", "pack_six"), ("seven", "pack_five:beep")):
        entry_point(packs, f"pack_{name}", name, {}, target)
    monkeypatch.syspath_prepend(str(packs))
    registry = Registry(folders=folders)
    registry._add_entry_points()
    reports = {report.pack: report for report in registry.reports}
    assert reports["five"] == Report("five", ("sound/beep",)) and "'six' cannot be used: NameError" in reports["six"].error
    assert "must name a module" in reports["seven"].error


def test_another_package_called_nodes_is_refused_before_it_runs(tmp_path):
    """Started inside ComfyUI's folder, Python would find its nodes.py first."""
    (tmp_path / "nodes.py").write_text("print('it ran')")
    program = "import sys; sys.path.insert(0, '.'); from nodegraph.registry import Registry\ntry: Registry.load(plugins=False)\nexcept Exception as e: print(e)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert "hides Nodegraph's own" in done.stdout and "it ran" not in done.stdout and not done.stderr


def test_a_faulty_declaration_is_refused_with_its_place(small):
    pack = module_of("from nodegraph.node import node\n@node('x/y')\ndef f(a: int = 'b') -> int: ...", "pack_eight")
    with pytest.raises(SpecError, match=r"f\(\) in pack_eight\.py, line 2: the default of 'a'"):
        small.add_module(pack)


def test_importers_are_collected(small):
    importer = Importer("Other", (".json",), lambda data: None)
    pack = module_of("", "pack_nine")
    pack.other = importer
    small.add_module(pack)
    assert small.importers == [importer]


def test_a_family_is_asked_only_of_nodes_that_tell_one(small):
    assert small.with_family == {"small/brush"}
    assert (
        small.family("small/brush", {"model": "sdxl"}) == "sdxl"
        and small.family("small/blur", {}) is None
        and small.family("gone", {}) is None
    )
