"""Settings that suit a model, from what its family, its folder, its metadata and its name tell. Torch-free.

Few-step models look like any other inside, so only positive evidence counts: a word in the name or the metadata, or a LoRA on it that says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from nodegraph.errors import GraphError
from nodes.models.detect import read_config
from nodes.models.families import FAMILIES
from nodes.models.handles import DenoiserHandle, Patch
from nodes.models.header import read_header

_SAID = ("modelspec.title", "modelspec.description", "ss_output_name", "ss_base_model_version")


@dataclass(frozen=True)
class Defaults:
    """size: px of a square picture; sampler, schedule: our names; few: "lcm", "turbo", "lightning", "hyper", "schnell", or ""."""

    size: int
    steps: int
    guidance: float
    sampler: str
    schedule: str
    few: str = ""


def defaults(handle: DenoiserHandle) -> Defaults:
    """What to start with. Raises GraphError for a family whose settings are not known."""
    family = FAMILIES.get(handle.family)
    if family is None:
        raise GraphError(f"The usual settings of models of the family '{handle.family}' are not known. Set them by hand.")
    is_flow = handle.prediction == "flow"
    sampler, schedule = (
        ("dpmpp_2m", "sgm_uniform") if handle.family == "sd3" else ("euler", "simple") if is_flow else ("dpmpp_2m", "karras")
    )
    size = _trained_size(handle) or (512 if handle.family == "sd2" and handle.prediction == "epsilon" else family.size)
    usual = Defaults(size, family.steps, family.guidance, sampler, schedule)
    if handle.variant == "pix2pix":
        return replace(usual, guidance=7.5)
    if handle.variant == "schnell":
        return replace(usual, steps=4, guidance=1.0, few="schnell")
    words = _words(handle)
    if "lcm" in words:
        return replace(usual, steps=6, guidance=1.5, sampler="lcm", schedule="sgm_uniform", few="lcm")
    for few, steps in (("lightning", 4), ("hyper", 8), ("turbo", 4)):
        if few in words or (few == "hyper" and "hypersd" in words):
            schedule = "turbo" if few == "turbo" and not is_flow else "simple" if is_flow else "sgm_uniform"
            return replace(usual, steps=_steps_said(words) or steps, guidance=1.0, sampler="euler", schedule=schedule, few=few)
    return usual


def _trained_size(handle: DenoiserHandle) -> int:
    """Pixels of a side, as a diffusers folder of a UNet says them; 0 where nothing does."""
    source = handle.source
    if source.layout != "folder" or FAMILIES[handle.family].part != "unet":
        return 0
    said = read_config(Path(source.path) / "config.json").get("sample_size")
    return said * 8 if isinstance(said, int) and 8 <= said <= 256 else 0


def _words(handle: DenoiserHandle) -> frozenset[str]:
    """Words in the name of the model and of its LoRAs, and in what the file's metadata calls it."""
    path = Path(handle.source.path)
    texts = [path.parent.name if handle.source.layout == "folder" and path.name in ("unet", "transformer") else path.stem]
    texts += [Path(patch.path).stem for patch in handle.patches if isinstance(patch, Patch)]
    if path.is_file():
        metadata = read_header(path).metadata
        texts += [metadata.get(name, "") for name in _SAID]
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", " ".join(texts))  # DreamShaperTurbo
    return frozenset(re.findall(r"\d+steps?|[a-z]+", parted.lower().replace("-step", "step").replace("_step", "step")))


def _steps_said(words: frozenset[str]) -> int:
    """4 of "sdxl_lightning_4step"; 0 where no number of steps is said."""
    said = [int(found[1]) for word in words if (found := re.fullmatch(r"(\d+)steps?", word))]
    return said[0] if len(said) == 1 and 1 <= said[0] <= 50 else 0
