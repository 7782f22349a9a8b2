"""What looking at a model file tells. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "checkpoint", "denoiser", "text_encoder", "vae", "controlnet", "t2i-adapter", "lora", "embedding", "upscaler", "ip-adapter", "clip-vision",
    "unknown",
]  # fmt: skip
FAMILY_NAMES = {
    "sd1": "Stable Diffusion 1", "sd2": "Stable Diffusion 2", "sdxl": "Stable Diffusion XL", "sdxl-refiner": "the SDXL refiner",
    "sd3": "Stable Diffusion 3", "flux1": "FLUX.1", "flux2": "FLUX.2", "sd-upscale": "Stable Diffusion x4 upscaler", "if": "DeepFloyd IF",
    "chroma": "Chroma", "qwen-image": "Qwen-Image", "z-image": "Z-Image", "pixart": "PixArt", "sana": "Sana", "lumina2": "Lumina 2",
    "auraflow": "AuraFlow", "hunyuan-video": "HunyuanVideo", "wan": "Wan", "ltx-video": "LTX-Video", "mochi": "Mochi", "cosmos": "Cosmos",
    "hidream": "HiDream", "cascade": "Stable Cascade", "flux3": "FLUX.3", "krea2": "Krea 2",
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was found.

    family: one of FAMILY_NAMES; "" = it fits several families or none is known. layout: who named the tensors ("ldm", "diffusers",
    "bfl", "kohya", "peft", "lycoris", "hf", "openclip" ...). parts: (component, name prefix) pairs inside the file. slot: which text encoder
    ("clip_l", "clip_g", "open_clip_h", "t5", "llm"). context: width of the text features a denoiser or LoRA expects, 0 = not known.
    words: one sentence for the person.
    """

    kind: Kind
    family: str = ""
    variant: str = "base"
    prediction: str = "epsilon"
    layout: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    slot: str = ""
    context: int = 0
    scale: int = 0
    words: str = ""

    @property
    def family_name(self) -> str:
        return FAMILY_NAMES.get(self.family, self.family or "an unknown family")


UNKNOWN = Report("unknown", words="its tensors match no model known here")
