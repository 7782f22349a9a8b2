"""Between the layers of transformer families as their makers name them and as diffusers does. Torch-free.

Each pair is (original layer, diffusers layers): several where the original keeps query, key and value (and more) as rows of one layer.
"""

from __future__ import annotations

from collections.abc import Iterator

Layers = Iterator[tuple[str, tuple[str, ...]]]

FLUX1_NORMS = (  # (original, diffusers) scales of query and key norms, per double block
    ("img_attn.norm.query_norm", "attn.norm_q"), ("img_attn.norm.key_norm", "attn.norm_k"),
    ("txt_attn.norm.query_norm", "attn.norm_added_q"), ("txt_attn.norm.key_norm", "attn.norm_added_k"),
)  # fmt: skip


def flux1(double: int, single: int) -> Layers:
    """Black Forest Labs' names; their query, key and value are one layer."""
    for i in range(double):
        old, new = f"double_blocks.{i}.", f"transformer_blocks.{i}."
        yield f"{old}img_attn.qkv", tuple(f"{new}attn.{part}" for part in ("to_q", "to_k", "to_v"))
        yield f"{old}txt_attn.qkv", tuple(f"{new}attn.{part}" for part in ("add_q_proj", "add_k_proj", "add_v_proj"))
        for a, b in (
            ("img_attn.proj", "attn.to_out.0"), ("txt_attn.proj", "attn.to_add_out"), ("img_mlp.0", "ff.net.0.proj"), ("img_mlp.2", "ff.net.2"),
            ("txt_mlp.0", "ff_context.net.0.proj"), ("txt_mlp.2", "ff_context.net.2"), ("img_mod.lin", "norm1.linear"),
            ("txt_mod.lin", "norm1_context.linear"),
        ):  # fmt: skip
            yield old + a, (new + b,)
    for i in range(single):
        old, new = f"single_blocks.{i}.", f"single_transformer_blocks.{i}."
        yield f"{old}linear1", tuple(f"{new}{part}" for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"))
        yield f"{old}linear2", (f"{new}proj_out",)
        yield f"{old}modulation.lin", (f"{new}norm.linear",)
    for a, b in (
        ("img_in", "x_embedder"), ("txt_in", "context_embedder"), ("final_layer.linear", "proj_out"),
        ("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"), ("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        ("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"), ("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        ("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        ("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
    ):  # fmt: skip
        yield a, (b,)


def sd3(layers: int) -> Layers:
    """Stability's names; their query, key and value are one layer."""
    for i in range(layers):
        old, new = f"joint_blocks.{i}.", f"transformer_blocks.{i}."
        yield f"{old}x_block.attn.qkv", tuple(f"{new}attn.{part}" for part in ("to_q", "to_k", "to_v"))
        yield f"{old}context_block.attn.qkv", tuple(f"{new}attn.{part}" for part in ("add_q_proj", "add_k_proj", "add_v_proj"))
        for a, b in (
            ("x_block.attn.proj", "attn.to_out.0"), ("context_block.attn.proj", "attn.to_add_out"), ("x_block.mlp.fc1", "ff.net.0.proj"),
            ("x_block.mlp.fc2", "ff.net.2"), ("context_block.mlp.fc1", "ff_context.net.0.proj"), ("context_block.mlp.fc2", "ff_context.net.2"),
        ):  # fmt: skip
            yield old + a, (new + b,)
