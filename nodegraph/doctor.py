"""Looks at what this program stands on (Python, torch, graphics card, memory, folders) and says what to do if something is amiss."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from nodegraph import __version__, console
from nodegraph.folders import Folders, standard

TORCH_RANGE = "torch>=2.11,<2.14"
PACKAGES = (
    "torch", "diffusers", "transformers", "safetensors", "peft", "numpy", "pillow", "opencv-python-headless", "networkx", "xxhash",
    "PySide6-Essentials",
)  # fmt: skip
LITTLE_MEMORY = 6 << 30
LITTLE_DISK = 2 << 30

Level = Literal["good", "warning", "error"]

# What torch says of itself, asked in a process of its own: an import that crashes is a finding, not the end of the doctor.
_ASK_TORCH = """
import json, torch
found = {"version": torch.__version__, "cuda": torch.version.cuda, "hip": getattr(torch.version, "hip", None), "threads": torch.get_num_threads()}
found["available"] = torch.cuda.is_available()
found["devices"] = [
    {"name": torch.cuda.get_device_name(i), "bytes": torch.cuda.get_device_properties(i).total_memory}
    for i in range(torch.cuda.device_count() if found["available"] else 0)
]
found["mps"] = torch.backends.mps.is_available()
print("TORCH " + json.dumps(found))
"""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is what to do, often a command."""

    level: Level
    about: str
    words: str
    remedy: str = ""


@dataclass
class Examination:
    """All that was found. `facts` are for other programs, `findings` for people."""

    facts: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def note(self, level: Level, about: str, words: str, remedy: str = "") -> None:
        self.findings.append(Finding(level, about, words, remedy))

    @property
    def has_errors(self) -> bool:
        return any(finding.level == "error" for finding in self.findings)

    def as_tree(self) -> dict[str, Any]:
        return {**self.facts, "findings": [vars(finding) for finding in self.findings]}

    def as_text(self) -> str:
        lines = []
        for finding in self.findings:
            mark = {"good": "", "warning": "warning: ", "error": "error: "}[finding.level]
            lines.append(f"{finding.about + ':':<10} {mark}{console.clean(finding.words)}")
            if finding.remedy:
                lines.append(f"{'':<10} -> {console.clean(finding.remedy)}")
        return "\n".join(lines)


def examine(folders: Folders | None = None) -> Examination:
    """Look at everything. Takes as long as importing torch does."""
    folders = folders or standard()
    found = Examination()
    _python(found)
    torch = ask_torch()
    cards = ask_nvidia()
    found.facts |= {"torch": torch, "nvidia": cards}
    for finding in judge_torch(torch, cards):
        found.findings.append(finding)
    _memory(found)
    _folders(found, folders)
    _packages(found)
    _nodes(found, folders)
    return found


def ask_torch() -> dict[str, Any]:
    """What torch says of itself, or {"error": why it says nothing}."""
    try:
        metadata.version("torch")
    except metadata.PackageNotFoundError:
        return {"error": "torch is not installed", "missing": True}
    try:
        done = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=180, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"error": f"torch did not answer: {error}"}
    line = next((line for line in done.stdout.splitlines() if line.startswith("TORCH ")), None)
    if line is None:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"error": f"torch cannot be loaded: {last}"}
    answer: dict[str, Any] = json.loads(line[6:])
    return answer


def ask_nvidia() -> list[dict[str, str]]:
    """The NVIDIA cards that the driver knows; [] where there is no driver."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run([program, *query], capture_output=True, text=True, timeout=20, errors="replace")
    except (OSError, subprocess.TimeoutExpired):
        return []
    cards = []
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        name, driver, memory = ([part.strip() for part in line.split(",")] + ["", "", ""])[:3]
        if name:
            cards.append({"name": name, "driver": driver, "memory": memory})
    return cards


def judge_torch(torch: Mapping[str, Any], cards: list[dict[str, str]]) -> list[Finding]:
    """What torch and the cards mean for the user, with the exact command where one helps."""
    pip = f'"{sys.executable}" -m pip install' if " " in sys.executable else f"{sys.executable} -m pip install"
    names = ", ".join(f"{card['name']} (driver {card['driver']}, {card['memory']})" for card in cards)
    found = [Finding("good", "Card", names)] if cards else []
    if "error" in torch:
        remedy = f'{pip} "{TORCH_RANGE}"' if torch.get("missing") else f'{pip} --force-reinstall "{TORCH_RANGE}"'
        return [*found, Finding("error", "Torch", f"{torch['error']}.", remedy)]
    version = torch["version"]
    if cards and not torch["cuda"] and not torch.get("hip"):
        words = f"{version} computes on the processor only, though there is an NVIDIA card. Pictures take 20 to 100 times as long."
        remedy = f'{pip} --upgrade --force-reinstall "{TORCH_RANGE}" --index-url https://download.pytorch.org/whl/{_cuda_build(cards[0]["driver"])}'
        return [*found, Finding("warning", "Torch", words, remedy)]
    if cards and not torch["available"]:
        words = f"{version} is built for CUDA {torch['cuda']}, but cannot use the card with driver {cards[0]['driver']}."
        return [*found, Finding("warning", "Torch", words, "Update the NVIDIA driver from https://www.nvidia.com/drivers, then restart.")]
    if torch["devices"]:
        devices = ", ".join(f"{d['name']} ({console.bytes_in_words(d['bytes'])})" for d in torch["devices"])
        return [*found, Finding("good", "Torch", f"{version}, on {devices}")]
    if torch["mps"]:
        return [*found, Finding("good", "Torch", f"{version}, on Apple's graphics processor (mps)")]
    return [*found, Finding("good", "Torch", f"{version}, on the processor, {torch['threads']} threads. A graphics card is much faster.")]


def _cuda_build(driver: str) -> str:
    """The newest build of torch that a driver can run: CUDA 12.8 needs driver 525 (within CUDA 12), older ones get 12.6."""
    major = driver.partition(".")[0]
    return "cu128" if not major.isdigit() or int(major) >= 525 else "cu126"


def _python(found: Examination) -> None:
    version = platform.python_version()
    found.facts |= {"nodegraph": __version__, "python": version, "executable": sys.executable, "system": platform.platform()}
    found.note("good", "Nodegraph", f"{__version__}, Python {version}, {platform.platform()}")
    if sys.maxsize < 2**32:
        found.note("error", "Python", "This is a 32-bit Python, for which there is no torch.", "Install a 64-bit Python.")


def _memory(found: Examination) -> None:
    from nodegraph.machine import memory

    total, free = memory()
    found.facts["memory"] = {"total": total, "free": free}
    words = f"{console.bytes_in_words(free)} free of {console.bytes_in_words(total)}"
    if total < LITTLE_MEMORY:
        found.note("warning", "Memory", f"{words}. That is little for large models.", "Close other programs, or take smaller models.")
    else:
        found.note("good", "Memory", words)


def _folders(found: Examination, folders: Folders) -> None:
    places = {"data": folders.home, "models": folders.models, "results": folders.cache, "pictures": folders.output, "logs": folders.logs}
    found.facts["folders"] = {}
    for name, path in places.items():
        there = path
        while not there.exists() and there != there.parent:
            there = there.parent
        writable = os.access(there, os.W_OK)
        free = _free(there)
        found.facts["folders"][name] = {"path": str(path), "exists": path.exists(), "writable": writable, "free": free}
        if not writable:
            remedy = "Give yourself the right to write there, or set NODEGRAPH_HOME to another folder."
            found.note("error", "Folder", f"'{path}' ({name}) cannot be written.", remedy)
        elif name in ("results", "pictures") and 0 <= free < LITTLE_DISK:
            found.note(
                "warning",
                "Folder",
                f"'{path}' ({name}) has only {console.bytes_in_words(free)} left.",
                "Free some space, or: nodegraph cache --clear",
            )
    found.note("good", "Folders", f"data in '{folders.home}', pictures in '{folders.output}'")


def _free(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return -1


def _packages(found: Examination) -> None:
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = ""
    found.facts["packages"] = versions
    missing = [name for name, version in versions.items() if not version and name not in ("torch", "PySide6-Essentials")]
    if missing:
        found.note("error", "Packages", f"{', '.join(missing)} not installed.", f"{sys.executable} -m pip install {' '.join(missing)}")
    if not versions["PySide6-Essentials"]:
        found.note(
            "warning",
            "Window",
            "Qt is not installed: the command line works, the window does not.",
            f'{sys.executable} -m pip install "PySide6-Essentials<6.12"',
        )
    elif versions["PySide6-Essentials"].startswith("6.12.0") and sys.version_info[:2] == (3, 11):
        found.note(
            "error", "Window", "PySide6 6.12.0 crashes on Python 3.11.", f'{sys.executable} -m pip install "PySide6-Essentials<6.12"'
        )
    found.note("good", "Packages", ", ".join(f"{name} {version}" for name, version in versions.items() if version))


def _nodes(found: Examination, folders: Folders) -> None:
    from nodegraph.registry import Registry

    try:
        registry = Registry.load(folders)
    except Exception as error:
        found.note("error", "Nodes", f"They cannot be loaded: {error}", "Install Nodegraph anew.")
        return
    broken = [report for report in registry.reports if report.error]
    found.facts["nodes"] = {"count": len(registry.specs), "broken": [{"pack": r.pack, "error": r.error} for r in broken]}
    found.note("good", "Nodes", f"{len(registry.specs)} kinds")
    for report in broken:
        found.note("warning", "Nodes", report.error, "Update the pack, or switch it off.")
