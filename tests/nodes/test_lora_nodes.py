"""Stacks of LoRAs, and LoRAs whose strength follows the steps: equal, to the bit, to what the plain nodes paint."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from nodegraph.errors import Cancelled, GraphError
from nodegraph.node import Headless
from nodes.adapters import add_lora, add_lora_to_denoiser
from nodes.diffusion.changing import dressed, share
from nodes.loaders import load_checkpoint
from nodes.loras import lora_schedule, lora_stack
from nodes.merge import save_checkpoint
from nodes.sampling import sample
from nodes.types import Conditioning, Latent, Part, ScheduledLora
from tests.nodes.models import tiny

CHEAP = {"steps": 4, "guidance": 3.0, "sampler": "euler", "schedule": "normal", "seed": 5}
LAYERS = ("down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k", "mid_block_attentions_0_transformer_blocks_0_ff_net_0_proj")


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_checkpoint(tiny.write_sd1_checkpoint(tmp_path_factory.mktemp("models") / "dreams.safetensors", tiny.sd1_parts()))


@pytest.fixture(scope="module")
def loras(model, tmp_path_factory):
    """Two LoRAs of the model's shapes, which change a picture visibly."""
    shapes = {"attn2_to_k": (32, 64), "ff_net_0_proj": (512, 64)}
    made = []
    for seed in (1, 2):
        state = {}
        for k, layer in enumerate(LAYERS):
            out, into = next(shape for end, shape in shapes.items() if layer.endswith(end))
            state[f"lora_unet_{layer}.lora_up.weight"] = noise(out, 4, seed=seed * 10 + k)
            state[f"lora_unet_{layer}.lora_down.weight"] = noise(4, into, seed=seed * 20 + k)
            state[f"lora_unet_{layer}.alpha"] = torch.tensor(4.0)
        made.append(tmp_path_factory.mktemp("loras") / f"style{seed}.safetensors")
        save_file(state, made[-1])
    return made


FOX = Conditioning((Part(noise(1, 77, 64, seed=3)),))
NOTHING = Conditioning((Part(noise(1, 77, 64, seed=4)),))


def empty():
    return Latent(torch.zeros(1, 4, 8, 8), empty=True)


class Keeper(Headless):
    """A Context that keeps finished steps, and stops where it is told."""

    device = "cpu"

    def __init__(self, store=None, stop_after=None):
        self.store, self.stop_after, self.steps = {} if store is None else store, stop_after, []

    def progress(self, done, total, preview=None, note="", sigma=None):
        self.steps.append(done)
        if done == self.stop_after:
            raise Cancelled

    def recall(self, key):
        return self.store.get(key)

    def remember(self, key, checkpoint):
        self.store[key] = checkpoint


def painted(denoiser, latent=None, ctx=None, **changes):
    return sample(denoiser, FOX, latent or empty(), NOTHING, ctx=ctx or Keeper(), **{**CHEAP, **changes})


def test_a_stack_is_the_same_as_the_nodes_one_after_the_other(model, loras):
    stacked = lora_stack(model.denoiser, model.text_encoder, loras[0], 0.7, None, 1.0, loras[1], -0.4)
    one = add_lora(model.denoiser, model.text_encoder, loras[0], 0.7)
    assert stacked == add_lora(one.denoiser, one.text_encoder, loras[1], -0.4)


def test_empty_rows_and_rows_of_strength_0_change_nothing(model, loras):
    assert lora_stack(model.denoiser, model.text_encoder, None, 1.0, loras[1], 0.0) == (model.denoiser, model.text_encoder)
    assert lora_stack(model.denoiser, model.text_encoder, loras[0], 0.7, overall=0.0) == (model.denoiser, model.text_encoder)


def test_a_share_of_the_steps_meets_the_next_without_a_gap_and_without_both():
    for n in (1, 3, 4, 7, 20, 31):
        for cut in (0.0, 0.1, 1 / 3, 0.5, 0.66, 1.0):
            assert all(share((0.0, cut), (), i, n) + share((cut, 1.0), (), i, n) == 1 for i in range(n)), (n, cut)


def test_a_curve_begins_at_its_first_factor_and_ends_at_its_last():
    assert [share((0, 1), (0, 1), i, 5) for i in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert [share((0.5, 1), (1, 0, 1), i, 6) for i in range(6)] == [0, 0, 0, 1, 0, 1]
    assert [share((0, 1), (0.5,), i, 2) for i in range(2)] == [0.5, 0.5]


def test_a_lora_for_all_steps_is_the_plain_one_to_the_bit(model, loras):
    plain = add_lora_to_denoiser(model.denoiser, loras[0], 0.8)
    assert lora_schedule(model.denoiser, loras[0], 0.8) == plain
    patch = plain.handle.patches[-1]
    scheduled = replace(model.denoiser, scheduled=(ScheduledLora(patch, (0.0, 1.0)),))  # the long way, which the node spares
    picture = painted(plain)
    assert torch.equal(painted(scheduled).samples, picture.samples)
    assert not torch.allclose(painted(model.denoiser).samples, picture.samples)


def test_a_lora_for_no_step_is_none_to_the_bit(model, loras):
    assert lora_schedule(model.denoiser, loras[0], start=0.0, end=0.0) == model.denoiser
    patch = add_lora_to_denoiser(model.denoiser, loras[0], 0.8).handle.patches[-1]
    never = replace(model.denoiser, scheduled=(ScheduledLora(patch, (0.0, 0.0)),))
    assert torch.equal(painted(never).samples, painted(model.denoiser).samples)


def test_a_lora_for_half_of_the_steps_is_two_samplers_in_a_row_to_the_bit(model, loras):
    half = painted(lora_schedule(model.denoiser, loras[0], 0.8, end=0.5))
    first = painted(add_lora_to_denoiser(model.denoiser, loras[0], 0.8), last_step=2, leave_noise=True)
    by_hand = painted(model.denoiser, first, first_step=2, add_noise=False)
    assert torch.equal(half.samples, by_hand.samples)


@pytest.mark.parametrize("sampler", ["dpmpp_2m", "heun", "dpmpp_sde", "uni_pc"])
def test_two_loras_take_turns_with_every_sort_of_sampler_and_a_stopped_run_goes_on_bit_equal(model, loras, sampler):
    turns = lora_schedule(lora_schedule(model.denoiser, loras[0], end=0.5), loras[1], start=0.5, curve="0.5, 1")
    assert [len(dressed(turns.handle, turns.scheduled, i, 4).patches) for i in range(4)] == [1, 1, 1, 1]
    whole = painted(turns, sampler=sampler)
    stopped = Keeper(stop_after=3)
    with pytest.raises(Cancelled):
        painted(turns, sampler=sampler, ctx=stopped)
    resumed = Keeper(stopped.store)
    assert torch.equal(painted(turns, sampler=sampler, ctx=resumed).samples, whole.samples)
    assert resumed.steps == [3, 4]


def test_a_change_of_what_counts_late_keeps_the_early_steps(model, loras):
    store: dict = {}
    painted(lora_schedule(model.denoiser, loras[0], end=0.5), ctx=Keeper(store))
    longer = Keeper(store)
    later = lora_schedule(model.denoiser, loras[0], end=0.75)
    assert torch.equal(painted(later, ctx=longer).samples, painted(later).samples)
    assert longer.steps == [2, 3, 4]  # where it goes on, and the two that differ
    other = Keeper(store)
    painted(lora_schedule(model.denoiser, loras[1], end=0.5), ctx=other)
    assert other.steps == [1, 2, 3, 4]


def test_after_a_schedule_the_model_is_as_it_was(model, loras):
    before = painted(model.denoiser)
    painted(lora_schedule(model.denoiser, loras[0], start=0.5))
    assert torch.equal(painted(model.denoiser).samples, before.samples)
    painted(add_lora_to_denoiser(model.denoiser, loras[1], 0.5))  # and still takes other LoRAs


@pytest.mark.parametrize(
    ("values", "words"),
    [({"start": 0.6, "end": 0.5}, "start before it ends"), ({"curve": "much"}, "numbers"), ({"curve": "nan"}, "between"), ({"curve": "1e9"}, "between")],
)
def test_a_schedule_that_makes_no_sense_is_refused_in_words(model, loras, values, words):
    with pytest.raises(GraphError, match=words):
        lora_schedule(model.denoiser, loras[0], **values)


def test_a_scheduled_lora_is_not_silently_left_out_of_a_saved_checkpoint(model, loras):
    with pytest.raises(GraphError, match="follows the steps"):
        save_checkpoint(lora_schedule(model.denoiser, loras[0], end=0.5))
