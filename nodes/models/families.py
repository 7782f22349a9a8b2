"""What belongs to each model family: its classes, its text encoders in order, where its configurations lie. Torch-free."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

RESOURCES = Path(__file__).resolve().parents[2] / "resources"
CONFIGS = RESOURCES / "model_configs"
TOKENIZERS = RESOURCES / "tokenizers"


@dataclass(frozen=True)
class Slot:
    """One text encoder of a family.

    folder: its name in a diffusers folder; tokenizer: its tokenizer's name there; shipped: folder in resources/tokenizers, "" = none ships;
    pad: the token that fills up to the full length, "" = the tokenizer's own.
    """

    name: str
    folder: str
    model: str
    tokenizer: str = "tokenizer"
    shipped: str = "clip"
    pad: str = ""


@dataclass(frozen=True)
class Family:
    """One family. part: the denoiser's folder in a diffusers folder; width, height: px it was trained at."""

    name: str
    part: str
    model: str
    slots: tuple[Slot, ...]
    vae: str = "AutoencoderKL"
    size: int = 512
    steps: int = 20
    guidance: float = 7.0


_CLIP_L = Slot("clip_l", "text_encoder", "CLIPTextModel")
_CLIP_G = Slot("clip_g", "text_encoder_2", "CLIPTextModelWithProjection", "tokenizer_2", pad="!")
_CLIP_H = Slot("open_clip_h", "text_encoder", "CLIPTextModel", pad="!")

FAMILIES = {
    family.name: family
    for family in (
        Family("sd1", "unet", "UNet2DConditionModel", (_CLIP_L,)),
        Family("sd2", "unet", "UNet2DConditionModel", (_CLIP_H,), size=768),
        Family("sdxl", "unet", "UNet2DConditionModel", (_CLIP_L, _CLIP_G), size=1024, guidance=6.0),
        Family("sdxl-refiner", "unet", "UNet2DConditionModel", (_CLIP_G,), size=1024, guidance=6.0),
        Family(
            "sd3", "transformer", "SD3Transformer2DModel",
            (
                Slot("clip_l", "text_encoder", "CLIPTextModelWithProjection"), _CLIP_G,
                Slot("t5", "text_encoder_3", "T5EncoderModel", "tokenizer_3", shipped=""),
            ), size=1024, steps=28, guidance=4.5,
        ),
        Family(
            "flux1", "transformer", "FluxTransformer2DModel", (_CLIP_L, Slot("t5", "text_encoder_2", "T5EncoderModel", "tokenizer_2", shipped="")),
            size=1024, steps=20, guidance=1.0,
        ),
        Family(
            "flux2", "transformer", "Flux2Transformer2DModel", (Slot("llm", "text_encoder", "", shipped=""),), "AutoencoderKLFlux2",
            size=1024, steps=28, guidance=1.0,
        ),
    )
}  # fmt: skip


@cache
def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def shipped_config(family: str, part: str) -> dict[str, Any]:
    """The configuration of a family's component as published, from resources/model_configs; {} when none ships."""
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    path = CONFIGS / family / part / name
    found: dict[str, Any] = json.loads(_read(path)) if path.is_file() else {}
    return found
