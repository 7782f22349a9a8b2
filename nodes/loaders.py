"""Nodes that open model files. They are instant: only a file's header is read, weights stay on disk until a node needs them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from nodegraph.node import HEADLESS, Advanced, Context, File, GraphError, node
from nodes.types import ControlNet, Denoiser, ImageEncoder, IpAdapter, TextEncoder, Vae

if TYPE_CHECKING:
    from nodes.models.handles import DenoiserHandle, TextEncoderHandle, VaeHandle

WEIGHTS = (".safetensors", ".sft")
PICKLES = (".ckpt", ".pt", ".pth", ".bin")
FamilyName = Literal["sd1", "sd2", "sdxl", "sdxl-refiner", "sd3", "flux1", "flux2"]


class Checkpoint(NamedTuple):
    denoiser: Denoiser
    text_encoder: TextEncoder
    vae: Vae


def told_by(opener: str) -> Callable[[Mapping[str, Any]], str | None]:
    """A function for the check of a graph: the family of the node's file as this function of `nodes.models.opening` opens it.

    It raises, so that the check tells it, the GraphError for a file of another kind.
    """

    def family(values: Mapping[str, Any]) -> str | None:
        from nodes.models import opening

        path = values.get("file")
        return getattr(getattr(opening, opener)(path), "family", None) or None if path else None

    return family


lora_family = told_by("lora_report")


def _vae_family(values: Mapping[str, Any]) -> str | None:
    from nodes.models.opening import open_vae

    path, chosen = values.get("file"), values.get("family")
    return open_vae(path, "" if chosen == "from the file" else chosen or "").family or None if path else None


def _embeddings() -> str:
    """The user's folder of textual inversions, "" if there is none."""
    from nodegraph.folders import standard

    return next((str(root) for root in standard().roots("embeddings") if root.is_dir()), "")


def checkpoint_family(values: Mapping[str, Any]) -> str | None:
    """For the check of a graph, as `told_by`; raises GraphError also for a checkpoint that lacks a part."""
    path = values.get("file")
    return _whole(path)[0].family or None if path else None


def _whole(file: Path) -> "tuple[DenoiserHandle, TextEncoderHandle, VaeHandle]":
    from nodes.models.opening import open_checkpoint

    opened = open_checkpoint(file, _embeddings())
    if opened.text_encoder is None or opened.vae is None:
        missing = [name for name, part in (("text encoder", opened.text_encoder), ("VAE", opened.vae)) if part is None]
        remedy = "Use 'Load denoiser', 'Load text encoder' and 'Load VAE' for models in separate files."
        raise GraphError(f"'{file.name}' holds no {' and no '.join(missing)}. {remedy}")
    return opened.denoiser, opened.text_encoder, opened.vae


@node("loaders/checkpoint", family=checkpoint_family, keywords=("model", "ckpt", "stable diffusion", "sdxl"))
def load_checkpoint(file: Annotated[Path, File("checkpoints", WEIGHTS, folders=True)] = Path("starter")) -> Checkpoint:
    """Open a model and take out its three parts: denoiser, text encoder and VAE.

    Instant: weights stay on disk until a node needs them. "starter" is the small model that ships with the program.

    Args:
        file: A checkpoint (.safetensors) or a diffusers folder. The kind of model is read from the file itself.
    """
    denoiser, text_encoder, vae = _whole(file)
    return Checkpoint(Denoiser(denoiser), TextEncoder(text_encoder), Vae(vae))


@node("loaders/denoiser", family=told_by("open_denoiser"), keywords=("unet", "diffusion model", "transformer"))
def load_denoiser(
    file: Annotated[Path, File("diffusion_models", WEIGHTS, folders=True)],
    precision: Annotated[Literal["as the device likes", "fp8"], Advanced()] = "as the device likes",
) -> Denoiser:
    """Open a diffusion model that lies in a file of its own, without text encoder and VAE.

    Args:
        file: A .safetensors file or a diffusers folder.
        precision: fp8 halves the memory of large models and costs a little speed and detail.
    """
    from nodes.models.handles import with_settings
    from nodes.models.opening import open_denoiser

    handle = open_denoiser(file)
    return Denoiser(with_settings(handle, dtype="fp8") if precision == "fp8" else handle)


@node("loaders/text-encoder", family=lambda values: values.get("family"), keywords=("clip", "t5"))
def load_text_encoder(
    file: Annotated[Path, File("text_encoders", WEIGHTS, folders=True)],
    family: FamilyName = "sd1",
    second: Annotated[Path | None, File("text_encoders", WEIGHTS, folders=True)] = None,
    third: Annotated[Path | None, File("text_encoders", WEIGHTS, folders=True)] = None,
) -> TextEncoder:
    """Open text encoders that lie in files of their own.

    Args:
        file: CLIP-L, OpenCLIP, T5 ... Each file is put where the family wants it, so their order does not matter.
        family: The kind of model they are to serve. SDXL takes two, SD3 up to three, FLUX.1 two.
        second: The second encoder, for families that have one.
        third: The third encoder (T5 of SD3).
    """
    from nodes.models.opening import open_text_encoder

    return TextEncoder(open_text_encoder([path for path in (file, second, third) if path], family, embeddings=_embeddings()))


@node("loaders/vae", title="Load VAE", family=_vae_family)
def load_vae(
    file: Annotated[Path, File("vae", WEIGHTS, folders=True)],
    family: Literal["from the file", "sd1", "sd2", "sdxl", "sd3", "flux1", "flux2"] = "from the file",
) -> Vae:
    """Open a VAE that lies in a file of its own.

    Args:
        file: A VAE, a tiny decoder (taesd), or a checkpoint that holds one.
        family: Whose latents it makes, where the file itself does not tell (SD 1 and SDXL look alike).
    """
    from nodes.models.opening import open_vae

    return Vae(open_vae(file, "" if family == "from the file" else family))


@node("loaders/controlnet", title="Load ControlNet", family=told_by("open_control"), keywords=("control net", "t2i adapter"))
def load_controlnet(
    file: Annotated[Path, File("controlnet", WEIGHTS, folders=True)],
    kind: Annotated[
        Literal[
            "", "openpose", "depth", "softedge", "scribble", "canny", "lineart", "mlsd", "normal", "segment", "tile", "inpaint", "blur", "grey", "low quality"
        ],
        Advanced(),
    ] = "",
) -> ControlNet:
    """Open a ControlNet or T2I-Adapter, which holds a picture to the lines, depth or pose of another one.

    Args:
        file: It must be of the same family as the denoiser.
        kind: For union models only: what the picture that you connect shows.
    """
    from nodes.models.opening import open_control

    return ControlNet(open_control(file), kind)


@node("loaders/image-encoder", family=told_by("open_image_encoder"), keywords=("clip vision",))
def load_image_encoder(file: Annotated[Path, File("clip_vision", WEIGHTS, folders=True)]) -> ImageEncoder:
    """Open a network that reads pictures (CLIP vision), for image prompts and unCLIP models."""
    from nodes.models.opening import open_image_encoder

    return ImageEncoder(open_image_encoder(file))


@node("loaders/ip-adapter", title="Load IP-Adapter", family=told_by("open_ip_adapter"), keywords=("image prompt", "ipadapter"))
def load_ip_adapter(file: Annotated[Path, File("ipadapter", WEIGHTS)]) -> IpAdapter:
    """Open an IP-Adapter, which lets a picture speak as a prompt does."""
    from nodes.models.opening import open_ip_adapter

    return IpAdapter(open_ip_adapter(file))


class Converted(NamedTuple):
    file: Path


@node("loaders/convert", title="Convert checkpoint", sink=True, keywords=("ckpt", "pickle", "safetensors", "pth", "embedding"))
def convert_checkpoint(file: Annotated[Path, File("checkpoints", PICKLES)], ctx: Context = HEADLESS) -> Converted:
    """Write a model that is stored as a pickle (.ckpt, .pt, .pth, .bin) anew as .safetensors, beside it. The old file stays.

    A pickle can run code; only its weights are read, and one that holds anything else is refused.

    Args:
        file: A checkpoint, a LoRA, a VAE, an upscaler or an embedding.
    """
    from nodes.models.convert import convert

    made = convert(file)
    ctx.saved(made)
    return Converted(made)


class Settings(NamedTuple):
    width: int
    height: int
    steps: int
    guidance: float
    sampler: str
    schedule: str


@node("loaders/defaults", title="Usual settings", keywords=("model defaults", "steps", "size", "turbo", "lightning", "lcm"))
def usual_settings(denoiser: Denoiser, ctx: Context = HEADLESS) -> Settings:
    """Settings that suit a model, to be wired into 'Empty latent' and 'Sample': other models then need no other numbers.

    Turbo, Lightning, Hyper and LCM models are told by their names, or by a LoRA on the model that is called so.
    """
    from nodes.models.defaults import defaults

    found = defaults(denoiser.handle)
    if found.few == "lcm" and not denoiser.timesteps:
        ctx.warn("This is a consistency model (LCM). Put 'Few-step model' behind it for the best steps.")
    return Settings(found.size, found.size, found.steps, found.guidance, found.sampler, found.schedule)
