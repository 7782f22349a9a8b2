"""Reads the tensors of a component from disk, renamed to the names of its diffusers or transformers class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.models import names, transformer_names
from nodes.models.handles import Source, stamp
from nodes.models.header import Header, read_header

State = dict[str, Tensor]


def files_of(folder: Path) -> list[Path]:
    """The safetensors files of a component's folder: one, its fp16 variant, or the shards that an index lists.

    Raises: GraphError when there are only pickles or nothing.
    """
    for stem in ("diffusion_pytorch_model", "model"):
        for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
            if (folder / name).is_file():
                return [folder / name]
        for name in (f"{stem}.safetensors.index.json", f"{stem}.fp16.safetensors.index.json", f"{stem}.safetensors.index.fp16.json"):
            if (folder / name).is_file():
                listed = sorted(set(json.loads((folder / name).read_text(encoding="utf-8"))["weight_map"].values()))
                if any(Path(shard).name != shard for shard in listed):
                    raise GraphError(f"'{name}' in '{folder.name}' names files outside its folder, which is refused.")
                return [folder / shard for shard in listed]
    lone = sorted(folder.glob("*.safetensors"))
    if len(lone) == 1:
        return lone
    if any(folder.glob("*.bin")) or any(folder.glob("*.ckpt")) or any(folder.glob("*.pt")):
        raise GraphError(
            f"'{folder}' holds only pickled weights, which can run code. Convert them to .safetensors first (nodegraph convert)."
        )
    raise GraphError(f"'{folder}' holds no .safetensors weights. Fetch the complete model folder.")


def headers(source: Source) -> list[Header]:
    """The headers of a source's files; a checkpoint's is cut to the component by the caller."""
    path = Path(source.path)
    return [read_header(file) for file in (files_of(path) if path.is_dir() else [path])]


def read(path: Path | str, wanted: Iterable[str] | None = None, prefix: str = "") -> State:
    """Tensors of a safetensors file whose names start with `prefix`, without it; on the CPU, as stored.

    The tensors are views of the mapped file: copy what is kept, since a file written over in place would change them.
    """
    read_header(path)  # size limits, completeness, words
    chosen = None if wanted is None else set(wanted)
    with safe_open(str(path), framework="pt", device="cpu") as file:
        kept = [name for name in file.keys() if name.startswith(prefix) and (chosen is None or name in chosen)]  # noqa: SIM118
        return {name[len(prefix) :]: file.get_tensor(name) for name in kept}


def read_source(source: Source, prefix: str = "") -> State:
    """All tensors of a source. Raises GraphError when the file was replaced since the handle was made."""
    path = Path(source.path)
    if not path.exists():
        raise GraphError(f"The model '{source.name}' is gone from '{path.parent}'. Put it back or choose another one.")
    if source.stamp != (0, 0) and stamp(path) != source.stamp:
        raise GraphError(f"'{source.name}' was replaced on disk while it was about to be loaded. Run the graph again.")
    state: State = {}
    for file in files_of(path) if path.is_dir() else [path]:
        state |= read(file, prefix=prefix)
    return dequantised(state)


def dequantised(state: State) -> State:
    """Undo "scaled fp8": a tensor stored with `scale_weight` beside it is the stored value times that scale."""
    scales = {name: value for name, value in state.items() if name.endswith((".scale_weight", ".weight_scale"))}
    if not scales:
        return {name: value for name, value in state.items() if name != "scaled_fp8"}
    result = {name: value for name, value in state.items() if name not in scales and not name.endswith((".scale_input", ".input_scale"))}
    result.pop("scaled_fp8", None)
    for name, scale in scales.items():
        weight = name.rpartition(".")[0] + ".weight"
        if weight in result:
            result[weight] = result[weight].to(torch.float32) * scale.to(torch.float32)
    return result


def unet(state: State, config: Mapping[str, Any], is_controlnet: bool = False) -> State:
    """An LDM/sgm UNet or ControlNet under diffusers' names; already diffusers' names pass."""
    if "input_blocks.0.0.weight" not in state:
        return state
    return _renamed(state, names.unet_modules(config, is_controlnet))


def vae(state: State, config: Mapping[str, Any]) -> State:
    """An LDM VAE under diffusers' names, its 1x1 convolutions in attention as linear layers; old diffusers names too."""
    if any(name.startswith("encoder.down.") for name in state):
        state = _renamed(state, names.vae_modules(config))
    else:
        state = {_modern(name): value for name, value in state.items()}
    return {
        name: value.squeeze(-1).squeeze(-1) if "mid_block.attentions" in name and value.ndim == 4 else value
        for name, value in state.items()
    }


def _modern(name: str) -> str:
    if "attentions" not in name:
        return name
    before, _, rest = name.rpartition(".")
    module, _, last = before.rpartition(".")
    return f"{module}.{names.OLD_ATTENTION[last]}.{rest}" if last in names.OLD_ATTENTION else name


def _renamed(state: State, table: Mapping[str, str]) -> State:
    found = ((names.rename(name, table), value) for name, value in state.items())
    return {name: value for name, value in found if name is not None}


def control_lora(base: State, change: State, config: Mapping[str, Any]) -> State:
    """A ControlNet from the tensors of a UNet and a Control-LoRA: weight + up @ down, or the weight that the file itself holds.

    Raises: GraphError where the two do not fit.
    """
    table = names.unet_modules(config, is_controlnet=True)
    own = _renamed(change, table)
    state = {name: value for name, value in base.items() if not name.startswith("up_blocks.")} | own
    for name in own:
        if name.endswith(".up"):
            module = name.removesuffix(".up")
            weight, up, down = base.get(f"{module}.weight"), own[name].float().flatten(1), own.get(f"{module}.down")
            if weight is None or down is None or weight.numel() != up.shape[0] * down.flatten(1).shape[1]:
                raise GraphError(f"The Control-LoRA does not fit this model: '{module}' has another shape. Use one that was made for it.")
            state[f"{module}.weight"] = weight.float() + (up @ down.float().flatten(1)).reshape(weight.shape)
    return state


def t2i_adapter(state: State, per_level: int) -> State:
    """A T2I-Adapter of its makers under diffusers' names."""
    result: State = {}
    for name, value in state.items():
        if name.startswith("body."):
            _, number, rest = name.split(".", 2)
            level, block = divmod(int(number), per_level)
            result[f"adapter.body.{level}.{rest}" if rest.startswith("in_conv.") else f"adapter.body.{level}.resnets.{block}.{rest}"] = (
                value
            )
        else:
            result[f"adapter.{name}"] = value
    return result


def flux1(state: State, config: Mapping[str, Any]) -> State:
    """A FLUX.1 transformer of Black Forest Labs under diffusers' names; any size."""
    double, single = int(config["num_layers"]), int(config["num_single_layers"])
    inner = int(config["num_attention_heads"]) * int(config["attention_head_dim"])
    result: State = {}
    for old, news in transformer_names.flux1(double, single):
        for kind in ("weight", "bias"):
            value = state.get(f"{old}.{kind}")
            if value is not None:
                rows = [inner] * (len(news) - 1) + [value.shape[0] - inner * (len(news) - 1)]
                result |= {f"{new}.{kind}": piece for new, piece in zip(news, value.split(rows), strict=True)}
    scales = [(f"double_blocks.{i}.{a}", f"transformer_blocks.{i}.{b}") for i in range(double) for a, b in transformer_names.FLUX1_NORMS]
    for i in range(single):
        scales += [(f"single_blocks.{i}.norm.{a}_norm", f"single_transformer_blocks.{i}.attn.norm_{a[0]}") for a in ("query", "key")]
    for old, new in scales:
        if f"{old}.scale" in state:
            result[f"{new}.weight"] = state[f"{old}.scale"]
    for kind in ("weight", "bias"):  # the original has shift before scale
        if (value := state.get(f"final_layer.adaLN_modulation.1.{kind}")) is not None:
            shift, scale = value.chunk(2)
            result[f"norm_out.linear.{kind}"] = torch.cat([scale, shift])
    return result


def clip(state: State, expects_prefix: bool) -> State:
    """A CLIP text encoder (Hugging Face or OpenCLIP names) for CLIPTextModel (no prefix) or CLIPTextModelWithProjection ("text_model.")."""
    state = _from_openclip(state) if any(name.startswith("transformer.resblocks.") for name in state) else dict(state)
    result: State = {}
    for name, value in state.items():
        bare = name.removeprefix("text_model.")
        if bare.endswith("position_ids") or bare == "logit_scale":
            continue
        if bare.startswith("text_projection"):
            if expects_prefix:
                result["text_projection.weight"] = value
        else:
            result[f"text_model.{bare}" if expects_prefix else bare] = value
    return result


def clip_vision(state: State) -> State:
    """A CLIP image encoder (Hugging Face or OpenCLIP names) for CLIPVisionModelWithProjection."""
    state = {name.removeprefix("visual."): value for name, value in state.items()}
    if "transformer.resblocks.0.ln_1.weight" not in state:
        kept = ("vision_model.", "visual_projection.")
        return {name: value for name, value in state.items() if name.startswith(kept) and "position_ids" not in name}
    found = {f"vision_model.{name}": value for name, value in _from_openclip(state, names.OPEN_CLIP_VISION).items()}
    return found | ({"visual_projection.weight": state["proj"].T.contiguous()} if "proj" in state else {})


def _from_openclip(state: State, table: Mapping[str, str] = names.OPEN_CLIP) -> State:
    result: State = {}
    for name, value in state.items():
        if name in table:
            result[table[name]] = value
        elif name == "text_projection" or name == "text_projection.weight":
            result["text_projection.weight"] = value.T.contiguous() if name == "text_projection" else value
        elif name.startswith("transformer.resblocks."):
            number, _, rest = name.removeprefix("transformer.resblocks.").partition(".")
            layer = f"encoder.layers.{number}."
            if rest.startswith("attn.in_proj_"):
                for part, piece in zip("qkv", value.chunk(3), strict=True):
                    result[f"{layer}self_attn.{part}_proj.{rest.removeprefix('attn.in_proj_')}"] = piece
            else:
                module, _, kind = rest.rpartition(".")
                result[f"{layer}{names.OPEN_CLIP_LAYER[module]}.{kind}"] = value
    return result


def without_last_layer(state: State) -> State:
    """SD 2 reads the layer before the last: diffusers' folders leave the 24th layer out, single files hold it."""
    start = "transformer.resblocks." if any(name.startswith("transformer.resblocks.") for name in state) else "text_model.encoder.layers."
    numbers = {int(name.removeprefix(start).split(".")[0]) for name in state if name.startswith(start)}
    if start != "transformer.resblocks." and max(numbers, default=0) != 23:
        return state
    return {name: value for name, value in state.items() if not name.startswith(f"{start}{max(numbers)}.")}


def t5(state: State) -> State:
    """A T5 encoder; the shared embedding may be stored under either of its two names."""
    result = {name: value for name, value in state.items() if not name.startswith(("decoder.", "lm_head."))}
    table = result.get("shared.weight", result.get("encoder.embed_tokens.weight"))
    if table is not None:
        result["shared.weight"] = result["encoder.embed_tokens.weight"] = table
    return result
