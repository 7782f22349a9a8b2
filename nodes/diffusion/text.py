"""Prompts to conditionings: tokens in chunks, text encoders of each family, weights, clip skip, textual inversion.

The rules that make pictures comparable with other programs: chunks of `model_max_length` - 2 tokens, each with start and end mark, encoded
apart and laid end to end; weights interpolate from the empty prompt (ComfyUI) or keep the mean (A1111). With none of these in a
prompt the result equals diffusers' encode_prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nodegraph.errors import GraphError
from nodes.diffusion.prompt_syntax import Piece, parse
from nodes.diffusion.types import Cond
from nodes.models import weights
from nodes.models.header import read_header
from nodes.models.memory import Model

Weighting = Literal["comfyui", "a1111", "none"]
KEEP_WHOLE = 8  # a weighted run of fewer tokens is not torn apart between chunks (ComfyUI's rule)


@dataclass(frozen=True)
class Token:
    """One token: its id, or the vector of a textual inversion in its place."""

    id: int
    weight: float = 1.0
    vector: Tensor | None = None


@dataclass(frozen=True)
class Encoded:
    """hidden: [1, tokens, width]; pooled: [1, width] of the first chunk, None where the encoder has none."""

    hidden: Tensor
    pooled: Tensor | None


def encode(
    model: Model, text: str, *, steps: int = 20, seed: int = 0, weighting: Weighting = "comfyui", size: tuple[int, int] | None = None
) -> tuple[Cond, ...]:
    """A prompt as conditionings: one, or one per part of a schedule (their spans follow each other). On the CPU, float32.

    model: loaded text encoders (`MODELS.use(TextEncoderHandle)`). steps, seed: for schedules and wildcards.
    size: (height, width) in px for families that are told the size (SDXL); None = the sampler adds it (see `with_size`).
    Raises: GraphError for an unknown embedding, or a missing or unfit text encoder.
    """
    conds = []
    with torch.inference_mode():
        for part, said in parse(text, steps, seed):
            cond = sentence(model, part.text) if _family(model) in SENTENCE_FAMILIES else encode_pieces(model, said, weighting)
            conds.append(replace(cond, span=(part.start, part.end)))
    done = tuple(_detached(cond) for cond in conds)
    return done if size is None else tuple(with_size(cond, *size, family=_family(model)) for cond in done)


def encode_pieces(model: Model, said: Sequence[Piece], weighting: Weighting = "comfyui") -> Cond:
    """Weighted pieces as one conditioning of the model's family."""
    family = _family(model)
    slots = {source.part: i for i, source in enumerate(model.handle.sources)}  # type: ignore[union-attr]
    make = FAMILY_RULES.get(family)
    if make is None:
        raise GraphError(f"Prompts for '{family}' cannot be encoded yet.")

    def run(slot: str, layer: Layer) -> Encoded | None:
        return _encode_slot(model, slots[slot], said, weighting, layer) if slot in slots else None

    return make(run, model)


def _family(model: Model) -> str:
    return str(model.handle.family)  # type: ignore[union-attr]


def _detached(cond: Cond) -> Cond:
    if not torch.isfinite(cond.embeds).all():
        raise GraphError(
            "The text encoder gave values that are not numbers. Its file may be damaged, or a LoRA or weight is far too strong."
        )
    pooled = None if cond.pooled is None else cond.pooled.to("cpu", torch.float32).clone()
    return replace(cond, embeds=cond.embeds.to("cpu", torch.float32).clone(), pooled=pooled)


# --- families ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """Which hidden states are wanted: `back` layers before the last; normed: with the final layer norm on them."""

    back: int = 0
    normed: bool = True


Runner = Callable[[str, Layer], Encoded | None]


def _clip_skip(model: Model) -> int:
    return int(model.handle.clip_skip)  # type: ignore[union-attr]


def _need(encoded: Encoded | None, slot: str) -> Encoded:
    if encoded is None:
        raise GraphError(f"The text encoder '{slot}' is missing. Load it beside the others.")
    return encoded


def _sd1(run: Runner, model: Model) -> Cond:
    return Cond(_need(run("clip_l", Layer(_clip_skip(model))), "clip_l").hidden)


def _sd2(run: Runner, model: Model) -> Cond:
    return Cond(_need(run("open_clip_h", Layer(_clip_skip(model))), "open_clip_h").hidden)


def _sdxl(run: Runner, model: Model) -> Cond:
    """Both encoders' layer before the last, side by side; pooled from the large one (Podell et al. 2023, arXiv:2307.01952)."""
    layer = Layer(1 + _clip_skip(model), normed=False)
    small, large = _need(run("clip_l", layer), "clip_l"), _need(run("clip_g", layer), "clip_g")
    length = min(small.hidden.shape[1], large.hidden.shape[1])
    return Cond(torch.cat([small.hidden[:, :length], large.hidden[:, :length]], -1), large.pooled)


def _refiner(run: Runner, model: Model) -> Cond:
    large = _need(run("clip_g", Layer(1 + _clip_skip(model), normed=False)), "clip_g")
    return Cond(large.hidden, large.pooled)


SD3_T5_LENGTH = 256
FLUX_T5_LENGTH = 512


def _sd3(run: Runner, model: Model) -> Cond:
    """CLIP states side by side, filled up to T5's width, then T5's behind them (zeros without T5); Esser et al. 2024 (arXiv:2403.03206)."""
    layer = Layer(1 + _clip_skip(model), normed=False)
    small, large = _need(run("clip_l", layer), "clip_l"), _need(run("clip_g", layer), "clip_g")
    t5 = run("t5", Layer(SD3_T5_LENGTH))
    length = min(small.hidden.shape[1], large.hidden.shape[1])
    clip = torch.cat([small.hidden[:, :length], large.hidden[:, :length]], -1)
    width = t5.hidden.shape[-1] if t5 is not None else 4096
    clip = nn.functional.pad(clip, (0, width - clip.shape[-1]))
    tail = t5.hidden if t5 is not None else clip.new_zeros(1, SD3_T5_LENGTH, width)
    assert small.pooled is not None and large.pooled is not None
    return Cond(torch.cat([clip, tail.to(clip)], 1), torch.cat([small.pooled, large.pooled], -1))


def _flux1(run: Runner, model: Model) -> Cond:
    t5, clip = _need(run("t5", Layer(FLUX_T5_LENGTH)), "t5"), _need(run("clip_l", Layer()), "clip_l")
    return Cond(t5.hidden, clip.pooled)


FAMILY_RULES: dict[str, Callable[[Runner, Model], Cond]] = {
    "sd1": _sd1, "sd2": _sd2, "sdxl": _sdxl, "sdxl-refiner": _refiner, "sd3": _sd3, "flux1": _flux1,
}  # fmt: skip


# --- language models as encoders ---------------------------------------------------------------------------------------------

SENTENCE_FAMILIES = ("flux2",)  # read whole sentences: parentheses are plain text
FLUX2_LENGTH = 512
MISTRAL_SYSTEM = (
    "You are an AI that reasons about image descriptions. You give structured responses focusing on object relationships, object\n"
    "attribution and actions without speculation."
)  # what FLUX.2 was trained with; it must not be changed


def sentence(model: Model, text: str) -> Cond:
    """FLUX.2: three hidden layers of a chat model side by side, [1, 512, 3 width] (Qwen 3 for the small "klein" models, else Mistral 3).

    The prompt is plain text; what goes beyond 512 tokens with the chat's own words is cut off, as these models take no more.
    """
    encoder, tokenizer = model.module, model.tokenizers[0]
    is_qwen = str(encoder.config.model_type).startswith("qwen")
    layers = (9, 18, 27) if is_qwen else (10, 20, 30)
    text = text.replace("\\(", "(").replace("\\)", ")")
    if is_qwen:
        chat = [{"role": "user", "content": text}]
    else:
        told = [("system", MISTRAL_SYSTEM), ("user", text.replace("[IMG]", ""))]
        chat = [{"role": role, "content": [{"type": "text", "text": words}]} for role, words in told]  # type: ignore[dict-item]
    said = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=is_qwen, enable_thinking=False)
    read = tokenizer(said, return_tensors="pt", padding="max_length", truncation=True, max_length=FLUX2_LENGTH, add_special_tokens=is_qwen)
    read = {name: read[name].to(encoder.device) for name in ("input_ids", "attention_mask")}
    states = encoder(**read, output_hidden_states=True, use_cache=False).hidden_states
    if len(states) <= layers[-1]:
        raise GraphError(
            f"This text encoder has {len(states) - 1} layers, but FLUX.2 reads its layer {layers[-1]}. Load the one that belongs to the model."
        )
    return Cond(torch.cat([states[k] for k in layers], -1))


# --- one encoder ---------------------------------------------------------------------------------------------------------


def _encode_slot(model: Model, position: int, said: Sequence[Piece], weighting: Weighting, layer: Layer) -> Encoded:
    encoder, tokenizer = model.encoders[position], model.tokenizers[position]
    handle = model.handle
    slot = handle.sources[position].part  # type: ignore[union-attr]
    folder = str(handle.embeddings)  # type: ignore[union-attr]
    if slot == "t5":
        return _t5(encoder, tokenizer, said, weighting, layer.back)
    width = int(encoder.config.hidden_size)
    find = lambda name: embedding(folder, name, slot, width)
    chunks = chunked(said, tokenizer, find)
    return _clip(encoder, tokenizer, chunks, weighting, layer)


def chunked(said: Sequence[Piece], tokenizer: Any, find: Callable[[str], tuple[Tensor, str]]) -> list[list[Token]]:
    """Tokens in chunks of the tokenizer's full length: start mark, text, end mark, filling.

    find: name of an embedding -> (its vectors [n, width], what of the name was not part of it).
    """
    length, start, end, fill = int(tokenizer.model_max_length), tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id
    room = length - 2
    chunks: list[list[Token]] = [[]]
    for piece in said:
        if piece.is_break:
            chunks.append([])
            continue
        group = _tokens(piece, tokenizer, find)
        is_large = len(group) >= KEEP_WHOLE
        while group:
            space = room - len(chunks[-1])
            if len(group) <= space:
                chunks[-1] += group
                break
            if is_large or not chunks[-1]:
                chunks[-1] += group[:space]
                group = group[space:]
            chunks.append([])
    filling = Token(end if fill is None else fill)
    return [[Token(start), *chunk, Token(end), *[filling] * (room - len(chunk))] for chunk in chunks]


def _tokens(piece: Piece, tokenizer: Any, find: Callable[[str], tuple[Tensor, str]]) -> list[Token]:
    if not piece.embedding:
        return [Token(int(i), piece.weight) for i in tokenizer(piece.text, truncation=False, add_special_tokens=False).input_ids]
    vectors, rest = find(piece.embedding)
    return [Token(0, piece.weight, vector) for vector in vectors] + (_tokens(Piece(rest, piece.weight), tokenizer, find) if rest else [])


def _clip(encoder: nn.Module, tokenizer: Any, chunks: list[list[Token]], weighting: Weighting, layer: Layer) -> Encoded:
    """Chunks through a CLIP text model, weighted, laid end to end."""
    is_weighted = weighting != "none" and any(token.weight != 1 for chunk in chunks for token in chunk)
    batch = list(chunks)
    if is_weighted and weighting == "comfyui":
        batch.append(chunked((), tokenizer, lambda name: (torch.empty(0), name))[0])
    hidden, pooled = _states(encoder, batch, layer)
    empty = hidden[-1:]
    hidden = hidden[: len(chunks)]
    if is_weighted:
        factor = torch.tensor([[token.weight for token in chunk] for chunk in chunks], device=hidden.device)[..., None]
        hidden = _interpolated(hidden, empty, factor) if weighting == "comfyui" else _mean_preserving(hidden, factor)
    return Encoded(hidden.reshape(1, -1, hidden.shape[-1]), pooled[:1])


def _interpolated(hidden: Tensor, empty: Tensor, factor: Tensor) -> Tensor:
    """ComfyUI: from the state of the empty prompt (1 x tokens x width) through the token's own and beyond."""
    return torch.where(factor == 1, hidden, (hidden - empty) * factor + empty)


def _mean_preserving(hidden: Tensor, factor: Tensor) -> Tensor:
    """A1111: each state times its weight, then every chunk scaled back to its old mean."""
    scaled = hidden * factor
    before, after = hidden.mean(dim=(1, 2), keepdim=True), scaled.mean(dim=(1, 2), keepdim=True)
    return scaled * (before / after)


def _states(encoder: nn.Module, chunks: list[list[Token]], layer: Layer) -> tuple[Tensor, Tensor]:
    """(states [chunks, tokens, width], pooled [chunks, width]) in float32."""
    parameter = next(encoder.parameters())
    ids = torch.tensor([[token.id for token in chunk] for chunk in chunks], device=parameter.device)
    body = getattr(encoder, "text_model", encoder)
    with _vectors_in_place(body.embeddings.token_embedding, chunks):
        out = encoder(ids, output_hidden_states=True)
    layers = len(body.encoder.layers)
    if not 0 <= layer.back < layers:
        raise GraphError(f"This text encoder has {layers} layers; clip skip can leave out at most {layers - 1} of them.")
    if layer.back == 0 and layer.normed:
        hidden = out.last_hidden_state
    else:
        hidden = out.hidden_states[-1 - layer.back]
        hidden = body.final_layer_norm(hidden) if layer.normed else hidden
    pooled = out.text_embeds if hasattr(out, "text_embeds") else out.pooler_output
    return hidden.to(torch.float32), pooled.to(torch.float32)


@contextmanager
def _vectors_in_place(table: nn.Module, chunks: list[list[Token]]) -> Iterator[None]:
    """While this holds, the token table gives the textual inversions' vectors at their places."""
    places = [(i, j, token.vector) for i, chunk in enumerate(chunks) for j, token in enumerate(chunk) if token.vector is not None]
    if not places:
        yield
        return

    def put(module: nn.Module, args: Any, output: Tensor) -> Tensor:
        output = output.clone()
        for i, j, vector in places:
            output[i, j] = vector.to(output)
        return output

    handle = table.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def _t5(encoder: nn.Module, tokenizer: Any, said: Sequence[Piece], weighting: Weighting, length: int) -> Encoded:
    """T5: one sequence filled up to `length` (longer prompts to the next multiple), ended by its end mark; no mask, as SD3 and FLUX take it."""
    ids: list[int] = []
    factors: list[float] = []
    runs = [Piece(f" {piece.embedding}", piece.weight) if piece.embedding else piece for piece in said if not piece.is_break]
    plain = all(piece.weight == 1 for piece in runs)
    for piece in [Piece("".join(piece.text for piece in runs))] if plain else runs:
        found = tokenizer(piece.text, truncation=False, add_special_tokens=False).input_ids
        ids += found
        factors += [piece.weight] * len(found)
    total = math.ceil((len(ids) + 1) / length) * length
    fill = int(tokenizer.pad_token_id or 0)
    ids = [*ids, int(tokenizer.eos_token_id), *[fill] * (total - len(ids) - 1)]
    factors += [1.0] * (total - len(factors))
    device = next(encoder.parameters()).device
    rows = [ids]
    is_weighted = weighting != "none" and any(f != 1 for f in factors)
    if is_weighted:
        rows.append([int(tokenizer.eos_token_id), *[fill] * (total - 1)])
    hidden = encoder(torch.tensor(rows, device=device)).last_hidden_state.to(torch.float32)
    if is_weighted:
        factor = torch.tensor(factors, device=device)[None, :, None]
        hidden = _interpolated(hidden[:1], hidden[1:], factor) if weighting == "comfyui" else _mean_preserving(hidden[:1], factor)
    return Encoded(hidden[:1], None)


# --- textual inversion ---------------------------------------------------------------------------------------------------


def embedding(folder: str, name: str, slot: str, width: int) -> tuple[Tensor, str]:
    """Vectors [n, width] of the textual inversion `name` in a folder (or below it), and what of the name was only punctuation.

    Raises: GraphError when there is none, when it is a pickle, or when it belongs to another text encoder.
    """
    bare = name.rstrip(".,;:!?")
    if not folder:
        raise GraphError(f"The prompt asks for the embedding '{bare}', but no embeddings folder is set.")
    path = _embedding_file(Path(folder), bare)
    read_header(path)
    tensors = weights.read(path)
    single = next(iter(tensors.values())) if len(tensors) == 1 else None
    found = tensors.get(slot, tensors.get("emb_params", single))
    if found is None or found.ndim not in (1, 2) or found.shape[-1] != width:
        has = " and ".join(sorted({str(t.shape[-1]) for t in tensors.values() if t.ndim}))
        raise GraphError(f"The embedding '{bare}' does not fit this text encoder: its vectors are {has} wide, the encoder's {width}.")
    return found.reshape(-1, width).to(torch.float32), name[len(bare) :]


def _embedding_file(folder: Path, name: str) -> Path:
    root = folder.resolve()
    for stem in (name, f"{name}.safetensors"):
        path = (root / stem).resolve()
        if path.is_file() and path.is_relative_to(root) and path.suffix == ".safetensors":
            return path
    found = sorted(path for path in root.rglob("*.safetensors") if path.stem == name) if root.is_dir() else []
    if found:
        return found[0]
    pickled = [end for end in (".pt", ".bin") if (root / f"{name}{end}").is_file()]
    if pickled:
        raise GraphError(
            f"The embedding '{name}{pickled[0]}' is a pickle file, which can run code. Convert it to .safetensors first (nodegraph convert)."
        )
    raise GraphError(f"There is no embedding '{name}' in '{folder}'.")


# --- on conditionings ------------------------------------------------------------------------------------------------------


def with_size(
    cond: Cond,
    height: int,
    width: int,
    *,
    family: str = "sdxl",
    crop: tuple[int, int] = (0, 0),
    target: tuple[int, int] | None = None,
    score: float = 6.0,
) -> Cond:
    """The conditioning with SDXL's micro-conditioning: original size, crop (top, left), target size in px; the refiner takes a score instead."""
    if family not in ("sdxl", "sdxl-refiner"):
        return cond
    tail: tuple[float, ...] = (score,) if family == "sdxl-refiner" else target or (height, width)
    ids = torch.tensor([[height, width, *crop, *tail]], dtype=torch.float32)
    return replace(cond, extra={**cond.extra, "time_ids": ids})


def zero_out(cond: Cond) -> Cond:
    """The same conditioning with all text states 0 (an unconditional that says nothing, not even an empty prompt)."""
    return replace(cond, embeds=torch.zeros_like(cond.embeds), pooled=None if cond.pooled is None else torch.zeros_like(cond.pooled))


def average(to: Cond, other: Cond, share: float) -> Cond:
    """`share` (0..1) of `to`, the rest of `other`; the shorter one is filled up with zeros (ComfyUI's rule)."""
    length = to.embeds.shape[1]
    embeds = other.embeds[:, :length]
    embeds = nn.functional.pad(embeds, (0, 0, 0, length - embeds.shape[1]))
    pooled = to.pooled if other.pooled is None or to.pooled is None else to.pooled * share + other.pooled * (1 - share)
    return replace(to, embeds=to.embeds * share + embeds * (1 - share), pooled=pooled)


def concat(to: Cond, other: Cond) -> Cond:
    """The tokens of `other` behind those of `to`."""
    return replace(to, embeds=torch.cat([to.embeds, other.embeds], 1))


def token_count(model: Model, text: str) -> int:
    """How many tokens a prompt's longest part takes in the first text encoder (marks not counted)."""
    tokenizer = model.tokenizers[0]
    return max(sum(len(_tokens(p, tokenizer, lambda n: (torch.empty(0), n))) for p in said if not p.is_break) for _, said in parse(text))
