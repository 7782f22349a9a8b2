"""From a path to handles, at once: only headers and configs are read, and everything that cannot work is refused here, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, cast

from nodegraph.errors import GraphError
from nodes.models.detect import inspect, read_config
from nodes.models.families import FAMILIES, shipped_config
from nodes.models.handles import (
    ControlHandle,
    DenoiserHandle,
    ImageEncoderHandle,
    IpAdapterHandle,
    Layout,
    Merge,
    Patch,
    Patchable,
    Prediction,
    Setting,
    Source,
    TextEncoderHandle,
    UpscalerHandle,
    VaeHandle,
    pairs,
    stamp,
    with_adapter,
    with_patch,
)
from nodes.models.header import read_header
from nodes.models.report import FAMILY_NAMES, Report


class Checkpoint(NamedTuple):
    """The parts of a checkpoint; None where the file does not hold one (load it from a file of its own)."""

    denoiser: DenoiserHandle
    text_encoder: TextEncoderHandle | None
    vae: VaeHandle | None


def open_checkpoint(path: Path | str, embeddings: Path | str = "") -> Checkpoint:
    """A checkpoint file or a diffusers folder as three handles; `embeddings` is the folder of textual inversions.

    Raises: GraphError for a file of another kind (saying what it is), an unknown family or a damaged file.
    """
    path = Path(path)
    report = inspect(path)
    if report.kind not in ("checkpoint", "denoiser"):
        raise GraphError(f"'{path.name}' is not a checkpoint: {_it_is(report)}. {_remedy(report)}")
    denoiser = _denoiser(path, report)
    if path.is_dir():
        text, vae = _folder_parts(path, report, str(embeddings))
    else:
        text, vae = _file_parts(path, report, str(embeddings))
    return Checkpoint(denoiser, text, vae)


def open_denoiser(path: Path | str) -> DenoiserHandle:
    """A diffusion model from a file of its own, a checkpoint or a folder."""
    path = Path(path)
    report = inspect(path)
    if report.kind not in ("checkpoint", "denoiser"):
        raise GraphError(f"'{path.name}' is not a diffusion model: {_it_is(report)}. {_remedy(report)}")
    return _denoiser(path, report)


def _denoiser(path: Path, report: Report) -> DenoiserHandle:
    folder = path
    if path.is_dir() and report.kind == "checkpoint":
        folder = path / next(name for name, _ in report.parts if name in ("unet", "transformer", "prior"))
    if report.family not in FAMILIES and not path.is_dir():
        raise GraphError(f"'{path.name}' is {report.words}. This family is recognised, but cannot be loaded from one file yet.")
    part = FAMILIES[report.family].part if report.family in FAMILIES else folder.name
    layout: Layout = "folder" if path.is_dir() else "checkpoint" if report.kind == "checkpoint" else "file"
    scheduler: tuple[tuple[str, Setting], ...] = ()
    if path.is_dir() and (path / "scheduler" / "scheduler_config.json").is_file():
        scheduler = scalars(read_config(path / "scheduler" / "scheduler_config.json"))
    prediction = cast(Prediction, report.prediction)
    source = Source(str(folder), layout, part, stamp(folder))
    return DenoiserHandle(source, report.family, report.variant, prediction, scheduler=scheduler)


def scalars(config: dict[str, Any]) -> tuple[tuple[str, Setting], ...]:
    """The plain values of a configuration as hashable pairs (lists such as trained betas are left out)."""
    return pairs({name: value for name, value in config.items() if isinstance(value, str | int | float | bool)})


def _file_parts(path: Path, report: Report, embeddings: str) -> tuple[TextEncoderHandle | None, VaeHandle | None]:
    held = dict(report.parts)
    mark = stamp(path)
    slots = [slot for slot in FAMILIES[report.family].slots if slot.name in held] if report.family in FAMILIES else []
    text = None
    if slots:
        sources = tuple(Source(str(path), "checkpoint", slot.name, mark) for slot in slots)
        text = TextEncoderHandle(sources, report.family, ("",) * len(slots), embeddings=embeddings)
    vae = VaeHandle(Source(str(path), "checkpoint", "vae", mark), report.family) if "vae" in held else None
    return text, vae


def _folder_parts(path: Path, report: Report, embeddings: str) -> tuple[TextEncoderHandle | None, VaeHandle | None]:
    held = dict(report.parts)
    slots = [slot for slot in FAMILIES[report.family].slots if slot.folder in held] if report.family in FAMILIES else []
    text = None
    if slots:
        sources = tuple(Source(str(path / slot.folder), "folder", slot.name, stamp(path / slot.folder)) for slot in slots)
        own = tuple(str(path / slot.tokenizer) if (path / slot.tokenizer).is_dir() else "" for slot in slots)
        text = TextEncoderHandle(sources, report.family, own, embeddings=embeddings)
    vae = None
    if "vae" in held:
        kind = "tiny" if inspect(path / "vae").variant == "tiny" else "kl"
        vae = VaeHandle(Source(str(path / "vae"), "folder", "vae", stamp(path / "vae")), report.family, kind)
    return text, vae


def open_vae(path: Path | str, family: str = "") -> VaeHandle:
    """A VAE from a file, a folder, or the one inside a checkpoint.

    family: whose latents it makes; "" = what the file says. Shapes do not tell SD 1 from SDXL, nor SD 3 from FLUX.1 (their scaling differs).
    Raises: GraphError when neither file nor caller says it.
    """
    path = Path(path)
    report = inspect(path)
    if report.kind == "checkpoint":
        found = open_checkpoint(path).vae
        if found is None:
            raise GraphError(f"'{path.name}' holds no VAE.")
        return replace(found, family=family) if family else found
    if report.kind != "vae":
        raise GraphError(f"'{path.name}' is not a VAE: {_it_is(report)}.")
    chosen = family or report.family
    if not chosen and path.is_dir():
        chosen = _by_scaling(read_config(path / "config.json").get("scaling_factor"))
    if not chosen:
        raise GraphError(f"'{path.name}' does not say for which models it is. Choose the family in the node that loads it.")
    layout: Layout = "folder" if path.is_dir() else "file"
    return VaeHandle(Source(str(path), layout, "vae", stamp(path)), chosen, report.variant)


def _by_scaling(factor: object) -> str:
    return next((name for name in FAMILIES if factor is not None and shipped_config(name, "vae").get("scaling_factor") == factor), "")


def open_text_encoder(
    paths: list[Path | str], family: str, tokenizers: tuple[str, ...] = (), embeddings: Path | str = ""
) -> TextEncoderHandle:
    """Text encoders from files or folders of their own, in any order; each is put into the family's slot that it fits."""
    if family not in FAMILIES:
        raise GraphError(f"The text encoders of '{family}' are not known.")
    wanted = {slot.name: slot for slot in FAMILIES[family].slots}
    found: dict[str, tuple[Source, str]] = {}
    for position, given in enumerate(paths):
        path = Path(given)
        report = inspect(path)
        if report.kind != "text_encoder":
            raise GraphError(f"'{path.name}' is not a text encoder: {_it_is(report)}.")
        if report.slot not in wanted:
            names = " and ".join(wanted)
            raise GraphError(f"'{path.name}' is a text encoder of the kind {report.slot}; {FAMILY_NAMES[family]} takes {names}.")
        layout: Layout = "folder" if path.is_dir() else "file"
        own = tokenizers[position] if position < len(tokenizers) else _tokenizer_beside(path, wanted[report.slot].tokenizer)
        found[report.slot] = (Source(str(path), layout, report.slot, stamp(path)), own)
    ordered = [found[name] for name in wanted if name in found]
    if not ordered:
        raise GraphError("No text encoder was given.")
    return TextEncoderHandle(tuple(s for s, _ in ordered), family, tuple(t for _, t in ordered), embeddings=str(embeddings))


def _tokenizer_beside(path: Path, name: str) -> str:
    for folder in (path.parent / name, path if path.is_dir() else path.parent):
        if any((folder / file).is_file() for file in ("tokenizer.json", "vocab.json", "spiece.model")):
            return str(folder)
    return ""


def open_control(path: Path | str) -> ControlHandle:
    """A ControlNet or T2I-Adapter."""
    path = Path(path)
    report = inspect(path)
    if report.kind not in ("controlnet", "t2i-adapter"):
        raise GraphError(f"'{path.name}' is not a ControlNet: {_it_is(report)}.")
    layout: Layout = "folder" if path.is_dir() else "file"
    part = "adapter" if report.kind == "t2i-adapter" else "controlnet"
    return ControlHandle(Source(str(path), layout, part, stamp(path)), report.family, report.variant)


def control_sees_latents(handle: ControlHandle) -> bool:
    """Whether a ControlNet looks at its picture through the VAE: those of the transformers do, but for some of FLUX."""
    if handle.family not in ("sd3", "flux1"):
        return False
    path = Path(handle.source.path)
    if path.is_dir():
        return not read_config(path / "config.json").get("conditioning_embedding_channels")
    return "input_hint_block.conv_in.weight" not in read_header(path)


def open_image_encoder(path: Path | str) -> ImageEncoderHandle:
    """A CLIP vision model, from a file or folder of its own or from inside an unCLIP checkpoint."""
    path = Path(path)
    report = inspect(path)
    if report.kind == "checkpoint" and "image_encoder" in dict(report.parts):
        inner = path / "image_encoder" if path.is_dir() else path
        return ImageEncoderHandle(Source(str(inner), "folder" if path.is_dir() else "checkpoint", "image_encoder", stamp(inner)))
    if report.kind != "clip-vision":
        raise GraphError(f"'{path.name}' is not a CLIP image encoder: {_it_is(report)}.")
    return ImageEncoderHandle(Source(str(path), "folder" if path.is_dir() else "file", "image_encoder", stamp(path)))


def open_ip_adapter(path: Path | str) -> IpAdapterHandle:
    """An IP-Adapter file."""
    path = Path(path)
    report = inspect(path)
    if report.kind != "ip-adapter":
        raise GraphError(f"'{path.name}' is not an IP-Adapter: {_it_is(report)}.")
    return IpAdapterHandle(Source(str(path), "file", "ip_adapter", stamp(path)), report.family, report.variant)


def open_upscaler(path: Path | str) -> UpscalerHandle:
    """A pixel upscaler (ESRGAN or compact)."""
    path = Path(path)
    report = inspect(path)
    if report.kind != "upscaler":
        raise GraphError(f"'{path.name}' is not an upscaler known here: {_it_is(report)}. ESRGAN (RRDB) and compact (SRVGG) ones are.")
    return UpscalerHandle(Source(str(path), "file", "upscaler", stamp(path)), report.variant, report.scale)


def lora_report(path: Path | str) -> Report:
    """What a LoRA's file says of itself. Raises GraphError for a file that is none."""
    report = inspect(path)
    if report.kind != "lora":
        raise GraphError(f"'{Path(path).name}' is not a LoRA: {_it_is(report)}.")
    return report


def with_lora(
    denoiser: DenoiserHandle,
    text_encoder: TextEncoderHandle | None,
    path: Path | str,
    strength: float = 1.0,
    text_strength: float | None = None,
    blocks: tuple[tuple[str, float], ...] = (),
) -> tuple[DenoiserHandle, TextEncoderHandle | None]:
    """Both handles with one more LoRA; text_strength None = `strength`; 0 leaves that side alone.

    blocks: (part of a diffusers module name such as "down_blocks.1" or "mid_block", factor) pairs; the first match counts.
    Raises: GraphError for a file that is no LoRA, or a LoRA for another family, before anything is loaded.
    """
    path, report = Path(path), lora_report(path)
    fits_family = not report.family or report.family == denoiser.family
    width = inspect_context(denoiser)
    fits_width = not report.context or not width or report.context == width
    if not fits_family and not (report.context and fits_width):
        raise GraphError(
            f"The LoRA '{path.name}' is for {report.family_name}, but the model is {FAMILY_NAMES.get(denoiser.family, denoiser.family)}."
        )
    if not fits_width:
        raise GraphError(f"The LoRA '{path.name}' expects text features of width {report.context}, but the model's are {width} wide.")
    mark = stamp(path)
    denoiser = with_patch(denoiser, Patch(str(path), strength, mark, blocks))
    if text_encoder is not None:
        text_encoder = with_patch(text_encoder, Patch(str(path), strength if text_strength is None else text_strength, mark, blocks))
    return denoiser, text_encoder


def with_merge(
    handle: Patchable, other: Patchable, share: float, minus: Patchable | None = None, blocks: tuple[tuple[str, float], ...] = ()
) -> Patchable:
    """A mix of two models of one family: share 0 is `handle`, 1 is `other`; with `minus`, share of (other - minus) is added.

    Raises: GraphError when the families differ, or the variants do (an inpaint model has other inputs).
    """
    for model in (other, minus):
        if model is not None and (model.family, getattr(model, "variant", "")) != (handle.family, getattr(handle, "variant", "")):
            names = [f"{FAMILY_NAMES.get(m.family, m.family)} ({getattr(m, 'variant', 'base')})" for m in (handle, model)]
            raise GraphError(f"Only models of one kind can be merged, but these are {names[0]} and {names[1]}.")
    return with_patch(handle, Merge(other, share, minus, blocks))


def with_ip_adapter(denoiser: DenoiserHandle, adapter: IpAdapterHandle, strength: float = 1.0) -> DenoiserHandle:
    """The denoiser with one more IP-Adapter. Raises GraphError when it is for another family."""
    check_family(denoiser, adapter, "IP-Adapter")
    if dict(denoiser.settings).get("dtype") == "fp8":
        raise GraphError("A denoiser loaded as fp8 cannot take an IP-Adapter. Load it without fp8.")
    return with_adapter(denoiser, adapter, strength)


def inspect_context(denoiser: DenoiserHandle) -> int:
    """Width of the text features that a denoiser takes; 0 when its file does not show it."""
    return inspect(denoiser.source.path).context


def check_family(denoiser: DenoiserHandle, other: VaeHandle | TextEncoderHandle | ControlHandle | IpAdapterHandle, what: str) -> None:
    """Raise GraphError when `other` belongs to another family or, as a control, to a model of another width.

    SD 1 and SD 2 share VAE latents, SDXL and its refiner too.
    """
    groups = ({"sd1", "sd2", "sd-upscale"}, {"sdxl", "sdxl-refiner"})
    same = denoiser.family == other.family or not other.family
    if isinstance(other, VaeHandle):
        same = same or any(denoiser.family in group and other.family in group for group in groups)
    if isinstance(other, ControlHandle) and same:
        theirs_wide, ours_wide = inspect(other.source.path).context, inspect_context(denoiser)
        if theirs_wide and ours_wide and theirs_wide != ours_wide:
            raise GraphError(
                f"The {what} '{_name(other)}' reads text features of width {theirs_wide}, but the model's are {ours_wide} wide."
            )
    if not same:
        theirs, ours = FAMILY_NAMES.get(other.family, other.family), FAMILY_NAMES.get(denoiser.family, denoiser.family)
        raise GraphError(f"The {what} '{_name(other)}' is for {theirs}, but the model is {ours}.")


def _name(handle: VaeHandle | TextEncoderHandle | ControlHandle | IpAdapterHandle) -> str:
    return handle.sources[0].name if isinstance(handle, TextEncoderHandle) else handle.source.name


def _it_is(report: Report) -> str:
    return report.words if report.kind == "unknown" else f"it is {report.words}"


def _remedy(report: Report) -> str:
    nodes = {
        "vae": "Use the node that loads a VAE.", "lora": "Use the LoRA node.", "controlnet": "Use the node that loads a ControlNet.",
        "text_encoder": "Use the node that loads text encoders.", "upscaler": "Use the node that loads an upscaler.",
        "embedding": "Put it into the embeddings folder and write embedding:name in a prompt.",
    }  # fmt: skip
    return nodes.get(report.kind, "Choose another file.")
