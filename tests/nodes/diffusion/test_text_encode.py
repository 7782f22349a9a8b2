"""Prompts to conditionings: equal to diffusers where it can do the same, closed forms where it cannot."""

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import GraphError
from nodes.diffusion import text
from nodes.models.handles import Source, TextEncoderHandle
from nodes.models.memory import Model
from tests.nodes.models import tiny

PROMPT = "a photo of an astronaut riding a horse on mars, highly detailed"


def t5_tokenizer():
    """A word-level tokenizer with T5's marks; the real one cannot be shipped."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "</s>", "<unk>", *sorted({w.strip(",") for w in PROMPT.split()}), ",", "fox"]
    raw = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512)


def t5():
    from transformers import T5Config, T5EncoderModel

    config = T5Config(d_model=160, d_ff=64, d_kv=16, num_heads=2, num_layers=2, vocab_size=40, feed_forward_proj="gated-gelu")
    return tiny.randomised(T5EncoderModel(config), 6)


def model(family, *encoders, tokenizers=None, **options):
    slots = {
        "sd1": ("clip_l",), "sd2": ("open_clip_h",), "sdxl": ("clip_l", "clip_g"), "sdxl-refiner": ("clip_g",), "sd3": ("clip_l", "clip_g", "t5"),
        "flux1": ("clip_l", "t5"),
    }[family][: len(encoders)]  # fmt: skip
    handle = TextEncoderHandle(tuple(Source("", "file", slot) for slot in slots), family, **options)
    default = {
        "clip_l": lambda: tiny.tokenizer(),
        "clip_g": lambda: tiny.tokenizer("!"),
        "open_clip_h": lambda: tiny.tokenizer("!"),
        "t5": t5_tokenizer,
    }
    return Model(handle, encoders, torch.device("cpu"), torch.float32, tuple(tokenizers or (default[slot]() for slot in slots)))


@pytest.fixture(scope="module")
def sd1():
    return model("sd1", tiny.clip())


@pytest.fixture(scope="module")
def sdxl():
    return model("sdxl", tiny.clip(), tiny.clip(projected=True, act="gelu", seed=5, pad=0))


def one(loaded, prompt, **options):
    (cond,) = text.encode(loaded, prompt, **options)
    return cond


@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_sd1_equals_diffusers(sd1, prompt):
    from diffusers import StableDiffusionPipeline

    parts = dict.fromkeys(("vae", "unet", "scheduler", "safety_checker", "feature_extractor"))
    pipeline = StableDiffusionPipeline(text_encoder=sd1.module, tokenizer=sd1.tokenizers[0], requires_safety_checker=False, **parts)
    theirs = pipeline.encode_prompt(prompt, "cpu", 1, False)[0]
    assert torch.equal(one(sd1, prompt).embeds, theirs)


@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_sdxl_equals_diffusers(sdxl, prompt):
    from diffusers import StableDiffusionXLPipeline

    pipeline = StableDiffusionXLPipeline(
        vae=None, unet=None, scheduler=None, text_encoder=sdxl.encoders[0], text_encoder_2=sdxl.encoders[1], tokenizer=sdxl.tokenizers[0],
        tokenizer_2=sdxl.tokenizers[1], add_watermarker=False,
    )  # fmt: skip
    embeds, _, pooled, _ = pipeline.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
    cond = one(sdxl, prompt)
    assert torch.equal(cond.embeds, embeds) and torch.equal(cond.pooled, pooled)
    assert cond.embeds.shape == (1, 77, 128)


def test_sd3_equals_diffusers():
    from diffusers import StableDiffusion3Pipeline

    small, large = tiny.clip(projected=True), tiny.clip(projected=True, act="gelu", seed=5, pad=0)
    loaded = model("sd3", small, large, t5())
    a, b, c = loaded.tokenizers
    pipeline = StableDiffusion3Pipeline(
        transformer=None, scheduler=None, vae=None, text_encoder=small, tokenizer=a, text_encoder_2=large, tokenizer_2=b,
        text_encoder_3=loaded.encoders[2], tokenizer_3=c,
    )  # fmt: skip
    with torch.inference_mode():  # other kernels run where gradients are kept: 6e-7 apart
        embeds, _, pooled, _ = pipeline.encode_prompt(PROMPT, PROMPT, PROMPT, device="cpu", do_classifier_free_guidance=False)
    cond = one(loaded, PROMPT)
    assert torch.equal(cond.embeds, embeds) and torch.equal(cond.pooled, pooled)


def test_flux_equals_diffusers():
    from diffusers import FluxPipeline

    loaded = model("flux1", tiny.clip(), t5())
    a, b = loaded.tokenizers
    pipeline = FluxPipeline(
        transformer=None,
        scheduler=None,
        vae=None,
        text_encoder=loaded.encoders[0],
        tokenizer=a,
        text_encoder_2=loaded.encoders[1],
        tokenizer_2=b,
    )
    with torch.inference_mode():
        embeds, pooled, _ = pipeline.encode_prompt(PROMPT, PROMPT, device="cpu")
    cond = one(loaded, PROMPT)
    assert torch.equal(cond.embeds, embeds) and torch.equal(cond.pooled, pooled)


def qwen_folder(folder, layers=28):
    """A tiny Qwen 3 with a word-level tokenizer and a chat template, as FLUX.2 klein ships them."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=40,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    tiny.randomised(Qwen3ForCausalLM(config), 3).save_pretrained(folder / "text_encoder")
    tokenizer = t5_tokenizer()
    tokenizer.chat_template = (
        "{% for m in messages %}<unk> {{ m.role }} {{ m.content }} {% endfor %}{% if add_generation_prompt %}<unk> {% endif %}"
    )
    tokenizer.save_pretrained(folder / "tokenizer")
    return folder


def test_flux2_equals_diffusers_and_reads_parentheses_as_text(tmp_path):
    from diffusers import Flux2KleinPipeline

    from nodes.models.memory import ModelMemory
    from nodes.models.opening import open_text_encoder

    handle = open_text_encoder([qwen_folder(tmp_path) / "text_encoder"], "flux2")
    with ModelMemory().use(handle) as loaded, torch.inference_mode():
        theirs = Flux2KleinPipeline._get_qwen3_prompt_embeds(loaded.module, loaded.tokenizers[0], "a horse (on mars)")
        assert torch.equal(one(loaded, "a horse (on mars)").embeds, theirs)
        assert theirs.shape == (1, 512, 48)
        assert [cond.span for cond in text.encode(loaded, "a [horse:astronaut:0.5]")] == [(0, 0.5), (0.5, 1)]


def test_a_language_model_that_is_too_short_is_refused(tmp_path):
    from nodes.models.memory import ModelMemory
    from nodes.models.opening import open_text_encoder

    handle = open_text_encoder([qwen_folder(tmp_path, layers=2) / "text_encoder"], "flux2")
    with ModelMemory().use(handle) as loaded, pytest.raises(GraphError, match="has 2 layers, but FLUX.2 reads its layer 27"):
        text.encode(loaded, "a horse")


def test_the_system_message_of_flux2_is_the_one_it_was_trained_with():
    from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

    assert text.MISTRAL_SYSTEM == SYSTEM_MESSAGE


def states(encoder, ids):
    with torch.inference_mode():
        return encoder(torch.tensor([ids]), output_hidden_states=True)


def padded(tokenizer, prompt):
    return tokenizer(prompt, padding="max_length", max_length=77).input_ids


def test_clip_skip_norms_the_earlier_layer(sd1):
    """diffusers' own clip_skip cannot be the oracle: it reads `.text_model`, which transformers 5 took away."""
    encoder, tokenizer = sd1.module, sd1.tokenizers[0]
    skipped = model("sd1", encoder, tokenizers=[tokenizer], clip_skip=1)
    with torch.inference_mode():
        expected = encoder.final_layer_norm(states(encoder, padded(tokenizer, PROMPT)).hidden_states[-2])
    assert torch.equal(one(skipped, PROMPT).embeds, expected)
    with pytest.raises(GraphError, match="has 3 layers; clip skip can leave out at most 2"):
        text.encode(model("sd1", encoder, tokenizers=[tokenizer], clip_skip=3), PROMPT)


def test_a_weight_goes_from_the_empty_prompt_through_the_word_and_beyond(sd1):
    """Rule 6 of the ComfyUI comparison: z = (z - z_empty) w + z_empty, token by token."""
    plain, empty = one(sd1, "a red fox").embeds, one(sd1, "").embeds
    for weight in (0.0, 0.5, 1.3, -1.0):
        expected = plain.clone()
        expected[0, 2] = (plain[0, 2] - empty[0, 2]) * weight + empty[0, 2]
        torch.testing.assert_close(one(sd1, f"a (red:{weight}) fox").embeds, expected, rtol=0, atol=2e-6)
    assert torch.equal(one(sd1, "a (red:1) fox").embeds, plain)
    assert torch.equal(one(sd1, "a (red:1.7) fox", weighting="none").embeds, plain)


def test_mean_preserving_weights_keep_the_mean(sd1):
    plain, weighted = one(sd1, "a red fox").embeds, one(sd1, "a (red:1.5) fox", weighting="a1111").embeds
    torch.testing.assert_close(weighted.mean(), plain.mean(), rtol=1e-4, atol=1e-6)
    scaled = plain.clone()
    scaled[0, 2] *= 1.5
    torch.testing.assert_close(weighted, scaled * (plain.mean() / scaled.mean()), rtol=1e-4, atol=1e-6)


def test_a_long_prompt_takes_chunks_encoded_apart(sd1):
    words = " ".join(["cat"] * 100)
    cond = one(sd1, words)
    first = one(sd1, " ".join(["cat"] * 75)).embeds
    rest = one(sd1, " ".join(["cat"] * 25)).embeds
    torch.testing.assert_close(cond.embeds, torch.cat([first, rest], 1), rtol=0, atol=2e-6)


def test_a_short_weighted_run_is_not_torn_between_chunks(sd1):
    tokenizer = sd1.tokenizers[0]
    said = text.parse(" ".join(["cat"] * 73) + " (red green blue:1.2)")[0][1]
    chunks = text.chunked(said, tokenizer, lambda name: None)
    assert [sum(token.weight != 1 for token in chunk) for chunk in chunks] == [0, 3]
    assert all(len(chunk) == 77 for chunk in chunks)
    assert [token.id for token in chunks[0][74:]] == [49407] * 3


def test_break_begins_a_new_chunk_and_pooled_is_that_of_the_first(sdxl):
    cond = one(sdxl, "a red fox BREAK at night")
    assert cond.embeds.shape == (1, 154, 128)
    torch.testing.assert_close(cond.embeds[:, :77], one(sdxl, "a red fox").embeds, rtol=0, atol=2e-6)
    torch.testing.assert_close(cond.pooled, one(sdxl, "a red fox").pooled, rtol=0, atol=2e-6)


def test_a_tokenizer_with_a_short_length_makes_short_chunks(sd1):
    import copy

    short = copy.deepcopy(sd1.tokenizers[0])
    short.model_max_length = 32
    assert one(model("sd1", sd1.module, tokenizers=[short]), PROMPT).embeds.shape == (1, 32, 64)


def test_a_schedule_gives_one_conditioning_per_part(sd1):
    conds = text.encode(sd1, "a [cat:dog:0.4] on grass")
    assert [cond.span for cond in conds] == [(0, 0.4), (0.4, 1)]
    assert torch.equal(conds[1].embeds, one(sd1, "a dog on grass").embeds)


@pytest.fixture
def embeddings(tmp_path, sd1):
    vectors = sd1.module.embeddings.token_embedding.weight[[2368, 736]].clone()  # what "cat" and "red" look up
    save_file({"emb_params": vectors}, tmp_path / "catred.safetensors")
    save_file({"emb_params": torch.zeros(2, 99)}, tmp_path / "wide.safetensors")
    torch.save({"x": torch.zeros(2)}, tmp_path / "old.pt")
    return tmp_path


def test_an_embedding_stands_for_the_tokens_whose_vectors_it_holds(sd1, embeddings):
    tokenizer = sd1.tokenizers[0]
    words = tokenizer.decode([2368]) + " " + tokenizer.decode([736])
    loaded = model("sd1", sd1.module, tokenizers=[tokenizer], embeddings=str(embeddings))
    torch.testing.assert_close(one(loaded, "a embedding:catred on grass").embeds, one(sd1, f"a {words} on grass").embeds, rtol=0, atol=2e-6)
    assert one(loaded, "a (embedding:catred:1.2), x").embeds.isfinite().all()
    before = sd1.module.embeddings.token_embedding.weight.clone()
    assert torch.equal(before, sd1.module.embeddings.token_embedding.weight)
    assert not sd1.module.embeddings.token_embedding._forward_hooks


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone", "There is no embedding 'gone'"),
        ("wide", "its vectors are 99 wide, the encoder's 64"),
        ("old", "'old.pt' is a pickle file"),
        ("../catred", "There is no embedding"),
    ],
)
def test_embeddings_that_cannot_be_used_say_why(sd1, embeddings, name, words):
    folder = embeddings / "inner" if name.startswith("..") else embeddings
    folder.mkdir(exist_ok=True)
    loaded = model("sd1", sd1.module, tokenizers=sd1.tokenizers, embeddings=str(folder))
    with pytest.raises(GraphError, match=words):
        text.encode(loaded, f"a embedding:{name}")
    with pytest.raises(GraphError, match="no embeddings folder is set"):
        text.encode(sd1, "a embedding:catred")


def test_t5_weights_interpolate_too():
    loaded = model("flux1", tiny.clip(), t5())
    plain, empty = one(loaded, "a horse on mars").embeds, one(loaded, "").embeds
    expected = plain.clone()
    expected[0, 1] = (plain[0, 1] - empty[0, 1]) * 1.4 + empty[0, 1]
    torch.testing.assert_close(one(loaded, "a (horse:1.4) on mars").embeds, expected, rtol=0, atol=2e-6)


def test_a_missing_encoder_is_named():
    with pytest.raises(GraphError, match="The text encoder 'clip_g' is missing"):
        text.encode(model("sdxl", tiny.clip()), "a")


def test_sdxl_is_told_sizes_and_the_refiner_a_score(sdxl):
    cond = one(sdxl, "a", size=(512, 768))
    assert cond.extra["time_ids"].tolist() == [[512, 768, 0, 0, 512, 768]]
    refined = text.with_size(cond, 512, 768, family="sdxl-refiner", score=2.5)
    assert refined.extra["time_ids"].tolist() == [[512, 768, 0, 0, 2.5]]


def test_average_concat_and_zero(sd1):
    a, b = one(sd1, "a cat"), one(sd1, "a dog BREAK at night")
    torch.testing.assert_close(text.average(a, b, 0.25).embeds, 0.25 * a.embeds + 0.75 * b.embeds[:, :77])
    torch.testing.assert_close(text.average(b, a, 0.5).embeds[:, 77:], 0.5 * b.embeds[:, 77:])
    assert text.concat(a, b).embeds.shape == (1, 231, 64)
    assert not text.zero_out(b).embeds.any()


def test_tokens_are_counted(sd1):
    assert text.token_count(sd1, "a (red:1.2) fox") == 3
