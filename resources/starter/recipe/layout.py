"""The sizes of the starter model's parts and its folder in the Stable Diffusion 1.x layout of diffusers."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

# Noise as Stable Diffusion 1.x has it, but velocity prediction: a small model learns it in fewer samples.
NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False,
    "prediction_type": "v_prediction", "steps_offset": 1, "set_alpha_to_one": False,
}  # fmt: skip
SMALL = (64, 96, 128)
TINY = (8, 16, 16)  # for tests


def denoiser(widths: tuple[int, ...] = SMALL, text_width: int = 128, latent_side: int = 16) -> nn.Module:
    """A UNet2DConditionModel with cross attention at the middle levels only, where shapes are decided; outputs 0 at first."""
    from diffusers import UNet2DConditionModel

    crossed = [0 < k < len(widths) - 1 for k in range(len(widths))]
    model = UNet2DConditionModel(
        sample_size=latent_side,
        down_block_types=["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in crossed],
        up_block_types=["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(crossed)],
        block_out_channels=widths,
        layers_per_block=1,
        cross_attention_dim=text_width,
        # In diffusers this counts heads for this class: 32 channels a head.
        attention_head_dim=[max(1, width // 32) for width in widths],
        norm_num_groups=8,
    )
    nn.init.zeros_(model.conv_out.weight)
    nn.init.zeros_(model.conv_out.bias)
    return model


def text_encoder(tokenizer: Any, width: int = 128, layers: int = 2) -> nn.Module:
    """A CLIPTextModel of the tokenizer's size; its own eos id, so that the pooled output reads the right token."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, projection_dim=width,
        num_hidden_layers=layers, num_attention_heads=max(1, width // 32), max_position_embeddings=tokenizer.model_max_length,
        hidden_act="quick_gelu", bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = CLIPTextModel(config)
    nn.init.normal_(model.get_input_embeddings().weight, std=0.1)
    return model


def with_tokens(encoder: Any, before: Any, after: Any) -> Any:
    """A text encoder that reads another tokenizer: each token starts as the mean of the old tokens that spell it.

    Words that were one token before keep their meaning exactly.
    """
    old = encoder.get_input_embeddings().weight.detach()
    special = {after.bos_token_id: before.bos_token_id, after.eos_token_id: before.eos_token_id}
    known, rows = before.get_vocab(), []
    for k in range(len(after)):
        token = after.convert_ids_to_tokens(k)
        same = special.get(k, known.get(token))
        ids = [same] if same is not None else before(after.decode([k]).strip(), add_special_tokens=False).input_ids
        rows.append(old[ids].mean(0) if ids else torch.zeros_like(old[0]))
    width, layers = encoder.config.hidden_size, encoder.config.num_hidden_layers
    made: Any = text_encoder(after, width, layers)
    made.load_state_dict({n: v for n, v in encoder.state_dict().items() if "token_embedding" not in n}, strict=False)
    made.get_input_embeddings().weight.data.copy_(torch.stack(rows))
    return made


def tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def autoencoder(folder: Path) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(folder, dtype=torch.float32, local_files_only=True)


def token_ids(tokens: Any, captions: list[str]) -> torch.Tensor:
    """[captions, model_max_length]"""
    out: torch.Tensor = tokens(
        captions, padding="max_length", truncation=True, max_length=tokens.model_max_length, return_tensors="pt"
    ).input_ids
    return out


def pipeline(unet: Any, encoder: Any, tokens: Any, vae: Any) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    made = StableDiffusionPipeline(
        vae=vae, text_encoder=encoder, tokenizer=tokens, unet=unet, scheduler=DDIMScheduler(**NOISE),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def load(folder: Path) -> Any:
    """The pipeline of a saved model, in fp32."""
    from diffusers import StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, local_files_only=True, use_safetensors=True)
    made.set_progress_bar_config(disable=True)
    return made


def export(made: Any, folder: Path, tokenizer_folder: Path) -> None:
    """Writes the pipeline as fp16 safetensors beside `folder`, then swaps the folders."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    made.to(torch.float16).save_pretrained(fresh)
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(tokenizer_folder / name, fresh / "tokenizer" / name)
    for path in fresh.rglob("config.json"):
        content = json.loads(path.read_text("utf-8"))
        content.pop("_name_or_path", None)  # the path on the machine that trained it
        path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(fresh, folder)
