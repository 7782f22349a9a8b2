"""The door for nodes: drawing, stopping, going on, editing late and paying late, regions, schedules, masks, bad input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import noise
from nodes.diffusion.guidance import Apg, Cfg, Dual, Guided, PerpNeg, Perturbed
from nodes.diffusion.run import draw
from nodes.diffusion.schedules import make_sigmas
from nodes.diffusion.state import SamplerState
from nodes.diffusion.types import Cond, Control, Step, StepContext
from nodes.diffusion.unet import UNetFamily
from tests.nodes.diffusion import tiny, toy

SHAPE = (1, 4, 16, 16)
EMPTY = torch.zeros(SHAPE)
UNET = tiny.sd1()
NET = tiny.controlnet(UNET)
POSITIVE, OTHER, NEGATIVE = (Cond(tiny.noise(seed, 1, 77, 16)) for seed in (1, 3, 2))
HINT = torch.rand(1, 3, 32, 32, generator=tiny.seeded(10))


@dataclass(frozen=True)
class Counting(UNetFamily):
    """A UNet family that counts its forwards: (i, roles, batch)."""

    calls: list[tuple[int, tuple[str, ...], int]] = field(default_factory=list)

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        self.calls.append((step.i, step.roles, x.shape[0]))
        return super().predict(x, t, cond, step)


def family() -> Counting:
    return Counting(UNET)


def last(made: Counting | None = None, positive: tuple[Cond, ...] = (POSITIVE,), latent: Tensor = EMPTY, **settings: object) -> Step:
    settings = {"negative": [NEGATIVE], "steps": 6, "guidance": 5.0, "seed": 7} | settings
    *_, step = draw(made or family(), list(positive), latent, **settings)
    return step


def same(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a, b)


# one loop, many ways in


def test_the_same_seed_draws_the_same_picture_and_another_seed_another() -> None:
    assert same(last().latent, last().latent)
    assert not same(last().latent, last(seed=8).latent)


def test_prompt_and_negative_prompt_share_one_forward_a_step() -> None:
    made = family()
    last(made)
    assert made.calls == [(i, ("uncond", "cond"), 2) for i in range(6)]


def test_steps_tell_how_far_they_are_and_how_much_noise_is_left() -> None:
    steps = list(draw(family(), [POSITIVE], EMPTY, steps=6))
    sigmas = make_sigmas("normal", 6, family().noising)
    assert [(step.i, step.n) for step in steps] == [(i, 6) for i in range(6)]
    assert [step.sigma for step in steps] == sigmas[1:].tolist()
    assert same(steps[-1].latent, steps[-1].denoised)  # euler ends on its last guess


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral", "uni_pc", "lcm"])
def test_two_samplers_that_hand_over_draw_what_one_draws(sampler: str) -> None:
    """Steps 0-3 with the noise left in, then 3-6 without new noise; samplers with a memory or noise of their own differ by it."""
    half = last(end_step=3, leftover_noise=True, sampler=sampler)
    rest = last(latent=half.latent, start_step=3, add_noise=False, sampler=sampler)
    assert (half.i, half.n, rest.i, rest.n) == (2, 6, 5, 6)
    assert half.sigma > 0
    if sampler == "euler":
        torch.testing.assert_close(rest.latent, last().latent, rtol=0, atol=0)


def test_an_early_end_without_leftover_noise_is_a_clean_picture() -> None:
    step = last(end_step=3)
    assert step.sigma == 0
    assert same(step.latent, step.denoised)


def test_a_low_denoise_stays_near_the_picture_and_zero_does_nothing() -> None:
    picture = tiny.noise(9, *SHAPE)
    near, far = (float((last(latent=picture, denoise=amount).latent - picture).abs().mean()) for amount in (0.2, 0.9))
    assert near < far / 2
    assert list(draw(family(), [POSITIVE], picture, denoise=0.0)) == []


def test_a_picture_of_a_batch_can_be_drawn_again_alone() -> None:
    batch = last(latent=torch.zeros(3, 4, 16, 16)).latent
    torch.testing.assert_close(last(first=2).latent, batch[2:], rtol=0, atol=2e-4)  # batched products round differently


def test_a_variation_is_near_and_full_strength_is_the_other_seed() -> None:
    start = last().latent
    near = last(noise=noise.variation(SHAPE, 7, 8, 0.05)).latent
    assert 0 < float((near - start).abs().mean()) < float((last(seed=8).latent - start).abs().mean()) / 2
    torch.testing.assert_close(last(noise=noise.variation(SHAPE, 7, 8, 1.0)).latent, last(seed=8).latent, rtol=0, atol=1e-4)


# prompts


def test_a_prompt_schedule_switches_at_its_step_and_leaves_none_out() -> None:
    made = family()
    for n in (5, 6, 7):
        parts = (replace(POSITIVE, span=(0.0, 0.5)), replace(OTHER, span=(0.5, 1.0)))
        steps = list(draw(made, parts, EMPTY, steps=n, seed=7, guidance=1.0))
        assert len(steps) == n
    switched = list(draw(made, (replace(POSITIVE, span=(0.0, 0.5)), replace(OTHER, span=(0.5, 1.0))), EMPTY, steps=6, seed=7, guidance=1.0))
    plain = list(draw(made, [POSITIVE], EMPTY, steps=6, seed=7, guidance=1.0))
    assert [same(a.x, b.x) for a, b in zip(switched, plain, strict=True)] == [True, True, True, False, False, False]


def test_a_span_by_noise_is_counted_in_the_training_range() -> None:
    made = family()
    parts = (replace(POSITIVE, span=(0.0, 0.5), clock="noise"), replace(OTHER, span=(0.5, 1.0), clock="noise"))
    list(draw(made, parts, EMPTY, steps=10, schedule="normal", guidance=1.0))
    sigma = made.noising.at(0.5)
    first = [step.i for step in draw(family(), [POSITIVE], EMPTY, steps=10, guidance=1.0) if step.sigma >= sigma]
    assert len(first) == 4  # steps 1-5 of 10 begin above the middle of the 1000 trained timesteps
    assert len(made.calls) == 10


def test_a_gap_between_prompts_is_refused_with_the_step() -> None:
    with pytest.raises(GraphError, match=r"No prompt counts in step 5 of 6"):
        last(positive=(replace(POSITIVE, span=(0.0, 0.7)),))


def test_regions_keep_their_prompts_apart() -> None:
    left = torch.zeros(1, 1, 16, 16)
    left[..., :8] = 1
    both = (replace(POSITIVE, region=left), replace(OTHER, region=1 - left))
    toy_family = toy.Toy()  # looks no further than one pixel, so the halves can be compared with plain runs
    parts = [Cond(torch.full((1, 1, 4), value), region=region.region) for value, region in zip((0.5, -0.5), both, strict=True)]
    settings = {"steps": 4, "seed": 1, "guidance": 1.0}
    *_, mixed = draw(toy_family, parts, EMPTY, **settings)
    *_, first = draw(toy_family, [Cond(torch.full((1, 1, 4), 0.5))], EMPTY, **settings)
    *_, second = draw(toy_family, [Cond(torch.full((1, 1, 4), -0.5))], EMPTY, **settings)
    torch.testing.assert_close(mixed.latent[..., :4], first.latent[..., :4], rtol=0, atol=1e-5)
    torch.testing.assert_close(mixed.latent[..., 12:], second.latent[..., 12:], rtol=0, atol=1e-5)
    assert not torch.allclose(mixed.latent[..., :4], second.latent[..., :4], atol=1e-2)


def test_weights_are_shares() -> None:
    """Three parts of one prompt and one of another: the closed form is the weighted mean of their predictions."""
    settings = {"steps": 1, "seed": 1, "guidance": 1.0, "schedule": "simple"}

    def clean(*parts: Cond) -> Tensor:
        *_, step = draw(family(), parts, EMPTY, **settings)
        return step.denoised

    mixed = clean(replace(POSITIVE, weight=3.0), OTHER)
    # the values reach 12, and a batch of two is summed in another order than two of one: a few units in the last place of fp32
    torch.testing.assert_close(mixed, 0.75 * clean(POSITIVE) + 0.25 * clean(OTHER), rtol=1e-5, atol=2e-5)


def test_many_regions_go_through_the_network_four_at_a_time() -> None:
    made = family()
    left = torch.ones(1, 1, 16, 16)
    list(draw(made, [replace(POSITIVE, region=left) for _ in range(5)], EMPTY, negative=[NEGATIVE], steps=1))
    assert [batch for _, _, batch in made.calls] == [4, 2]


def test_prompts_of_different_length_are_evaluated_apart() -> None:
    made = family()
    list(draw(made, [Cond(tiny.noise(1, 1, 154, 16))], EMPTY, negative=[NEGATIVE], steps=1))
    assert [roles for _, roles, _ in made.calls] == [("uncond",), ("cond",)]


# guidance


def test_outside_its_interval_guidance_costs_nothing() -> None:
    made = family()
    last(made, rule=Cfg(5.0, interval=(0.5, 1.0)))
    assert [roles for _, roles, _ in made.calls] == [("cond",)] * 3 + [("uncond", "cond")] * 3


def test_disturbed_attention_adds_one_forward_a_step_and_changes_the_picture() -> None:
    made = family()
    disturbed = last(made, rule=Guided(Cfg(5.0), (Perturbed(3.0, ("mid_block",)),)))
    assert {roles for _, roles, _ in made.calls} == {("uncond", "cond"), ("perturbed",)}
    assert not same(disturbed.latent, last().latent)
    assert same(last().latent, last(made).latent)  # the network is as it was


def test_an_unknown_layer_is_refused_with_words() -> None:
    with pytest.raises(GraphError, match="no attention layer named attic"):
        last(rule=Guided(Cfg(5.0), (Perturbed(3.0, ("attic",)),)))


def test_a_perpendicular_negative_equal_to_nothing_is_plain_guidance() -> None:
    plain = last(negative=[OTHER])
    perpendicular = last(negative=[OTHER], rule=PerpNeg(5.0), prompts={"empty": [OTHER]})
    torch.testing.assert_close(perpendicular.latent, plain.latent, rtol=0, atol=1e-4)


def test_dual_guidance_takes_the_picture_out_of_the_negative_itself() -> None:
    unet, picture = tiny.sd1(8), {"concat": tiny.noise(4, *SHAPE)}
    positive, negative = replace(POSITIVE, extra=picture), replace(NEGATIVE, extra=picture)
    told = {"image": [negative]}
    nothing = replace(NEGATIVE, extra={"concat": torch.zeros(SHAPE)})
    by_hand = last(Counting(unet), positive=(positive,), negative=[nothing], prompts=told, rule=Dual(5.0))
    assert same(last(Counting(unet), positive=(positive,), negative=[negative], rule=Dual(5.0)).latent, by_hand.latent)


def test_a_rule_that_misses_a_prompt_says_so() -> None:
    with pytest.raises(GraphError, match="also needs an empty prompt"):
        last(rule=PerpNeg(5.0))


# masks


@pytest.mark.parametrize("in_model", [False, True])
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpmpp_sde", "heun", "uni_pc"])
def test_what_the_mask_keeps_stays(sampler: str, in_model: bool) -> None:
    picture = tiny.noise(9, *SHAPE)
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 4:12] = 1
    step = last(latent=picture, mask=mask, sampler=sampler, mask_in_model=in_model)
    kept = (mask == 0).expand(SHAPE)
    torch.testing.assert_close(step.latent[kept], picture[kept], rtol=0, atol=1e-6)
    assert (step.latent - picture)[~kept].abs().mean() > 0.1


def test_a_soft_mask_changes_light_places_more_than_dark_ones() -> None:
    picture = tiny.noise(9, *SHAPE)
    ramp = torch.linspace(0, 1, 16).view(1, 1, 1, 16).expand(1, 1, 16, 16)
    change = (last(latent=picture, mask=ramp, soft_mask=True, steps=12).latent - picture).abs().mean((0, 1, 2))
    assert float(change[0]) < 1e-5
    assert float(change[1:6].mean()) < float(change[10:].mean())


def test_a_mask_of_the_picture_is_fitted_to_the_latent() -> None:
    mask = torch.zeros(1, 1, 128, 128)
    mask[..., :64] = 1
    small = torch.zeros(1, 1, 16, 16)
    small[..., :8] = 1
    assert same(last(mask=mask).latent, last(mask=small).latent)


# controls


def test_a_hint_is_embedded_once_a_run() -> None:
    seen: list[int] = []
    handle = NET.controlnet_cond_embedding.conv_in.register_forward_hook(lambda *_: seen.append(1))
    last(controls=[Control(NET, HINT)])
    handle.remove()
    assert len(seen) == 1
    assert "forward" not in vars(NET.controlnet_cond_embedding)


def test_a_masked_control_is_none_where_the_mask_is_black() -> None:
    black = Control(NET, HINT, mask=torch.zeros(1, 1, 32, 32))
    assert same(last(controls=[black]).latent, last().latent)
    assert same(last(controls=[Control(NET, HINT, mask=torch.ones(1, 1, 32, 32))]).latent, last(controls=[Control(NET, HINT)]).latent)


def test_a_control_may_act_on_the_prompt_alone() -> None:
    """Then the negative prompt is predicted as if there were no control: with guidance g the effect is g times as strong."""
    settings = {"steps": 1, "schedule": "simple"}
    plain, both, alone = (last(controls=used, **settings).denoised for used in ([], [Control(NET, HINT)], [Control(NET, HINT, target="cond")]))
    assert not torch.allclose(both, alone, atol=1e-3)
    unguided = last(controls=[Control(NET, HINT)], guidance=1.0, **settings).denoised - last(guidance=1.0, **settings).denoised
    torch.testing.assert_close(alone - plain, 5 * unguided, rtol=0, atol=2e-3)


def test_a_curve_scales_a_control_over_its_span() -> None:
    off_late = [Control(NET, HINT, curve=(1.0, 1.0, 0.0, 0.0))]
    steps = list(draw(family(), [POSITIVE], EMPTY, steps=6, controls=off_late))
    plain = list(draw(family(), [POSITIVE], EMPTY, steps=6, controls=[Control(NET, HINT)]))
    assert [same(a.x, b.x) for a, b in zip(steps, plain, strict=True)][:2] == [True, True]
    assert not same(steps[-1].x, plain[-1].x)


LEFT = torch.zeros(1, 1, 16, 16)
LEFT[..., :8] = 1


def test_a_control_of_one_prompt_holds_the_picture_only_where_that_prompt_counts() -> None:
    """Closed form of one step: each half is what its prompt alone makes of it, the negative held like the prompt that it is compared with."""
    held = Control(NET, HINT)
    parts = (replace(POSITIVE, region=LEFT, controls=(held,)), replace(OTHER, region=1 - LEFT))
    settings = {"steps": 1, "schedule": "simple"}
    mixed = last(positive=parts, **settings).denoised
    left, right = last(controls=[held], **settings).denoised, last(positive=(OTHER,), **settings).denoised
    # batches of two and of one round differently, and guidance enlarges that
    torch.testing.assert_close(mixed, LEFT * left + (1 - LEFT) * right, rtol=0, atol=2e-4)
    assert not torch.allclose(left, last(**settings).denoised, atol=0.1)


def test_a_control_of_the_only_prompt_is_a_control_of_all() -> None:
    held = Control(NET, HINT, span=(0.0, 0.5))
    assert same(last(positive=(replace(POSITIVE, controls=(held,)),)).latent, last(controls=[held]).latent)


def test_a_negative_with_a_control_of_its_own_is_held_by_that_alone() -> None:
    other = Control(tiny.controlnet(UNET, 33), HINT)
    made = family()
    last(made, positive=(replace(POSITIVE, controls=(Control(NET, HINT),)),), negative=[replace(NEGATIVE, controls=(other,))], steps=2)
    assert [roles for _, roles, _ in made.calls] == [("uncond",), ("cond",)] * 2
    free = last(positive=(replace(POSITIVE, controls=(Control(NET, HINT, target="cond"),)),), steps=2)
    silent = last(positive=(replace(POSITIVE, controls=(Control(NET, HINT),)),), negative=[replace(NEGATIVE, controls=(Control(NET, HINT, 0.0),))], steps=2)
    assert same(free.latent, silent.latent)


def test_prompts_that_are_held_differently_cost_one_negative_each_and_only_while_they_are() -> None:
    made = family()
    parts = (replace(POSITIVE, region=LEFT, controls=(Control(NET, HINT, span=(0.0, 0.5)),)), replace(OTHER, region=1 - LEFT))
    last(made, positive=parts, steps=2)
    assert sorted(roles for i, roles, _ in made.calls if i == 0) == [("uncond", "cond"), ("uncond", "cond")]
    assert [roles for i, roles, _ in made.calls if i == 1] == [("uncond", "cond", "cond")]


def test_a_control_is_asked_once_for_a_prompt_that_is_drawn_again_with_disturbed_attention() -> None:
    rows: list[int] = []
    handle = NET.register_forward_hook(lambda module, args, out: rows.append(args[0].shape[0]))
    rule = Guided(Cfg(5.0), (Perturbed(3.0, ("mid_block",)),))
    steps = last(controls=[Control(NET, HINT)], rule=rule, steps=2)
    handle.remove()
    assert rows == [2, 2]  # the negative and the prompt; not the prompt once more
    assert not same(steps.latent, last(controls=[Control(NET, HINT)], steps=2).latent)


def test_two_steps_of_one_prompt_with_other_controls_have_other_keys() -> None:
    """The stored steps of a run must not be taken for those of a run whose prompt is held otherwise."""
    store = Store()
    held = replace(POSITIVE, controls=(Control(NET, HINT, key="net"),))
    last(positive=(held,), **store.both())
    assert drawn_steps(Store(store), positive=(held,)) == []
    assert drawn_steps(Store(store), positive=(POSITIVE,)) == [0, 1, 2, 3, 4, 5]
    shorter = replace(POSITIVE, controls=(Control(NET, HINT, span=(0.0, 0.5), key="net"),))
    assert drawn_steps(Store(store), positive=(shorter,)) == [3, 4, 5]


def test_a_control_of_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(GraphError, match=r"64 x 48.*32 x 32"):
        last(controls=[Control(NET, torch.zeros(1, 3, 48, 64))])


# stored steps


class Store(dict[str, SamplerState]):
    def both(self) -> dict[str, Callable[..., object]]:
        return {"load": self.get, "save": self.__setitem__, "model_key": "unet"}


def drawn_steps(store: Store, **settings: object) -> list[int]:
    """Which steps were really drawn."""
    made = family()
    last(made, **(store.both() | settings))
    return sorted({i for i, _, _ in made.calls})


def test_a_finished_run_is_found_and_asks_the_network_nothing() -> None:
    store = Store()
    first = last(**store.both())
    made = family()
    again = list(draw(made, [POSITIVE], EMPTY, [NEGATIVE], steps=6, guidance=5.0, seed=7, **store.both()))
    assert made.calls == []
    assert len(again) == 1
    assert same(again[0].latent, first.latent)
    assert same(again[0].denoised, first.denoised)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "dpmpp_sde", "euler_ancestral", "uni_pc", "heun", "lms"])
def test_a_cancelled_run_goes_on_where_it_stopped_bit_equal(sampler: str) -> None:
    store, whole = Store(), last(sampler=sampler)
    for step in draw(family(), [POSITIVE], EMPTY, [NEGATIVE], steps=6, guidance=5.0, seed=7, sampler=sampler, **store.both()):
        if step.i == 2:
            break
    made = family()
    assert same(last(made, sampler=sampler, **store.both()).latent, whole.latent)
    assert min(i for i, _, _ in made.calls) == 3


LATE_EDITS: Mapping[str, tuple[dict[str, object], dict[str, object], list[int]]] = {
    "a prompt that switches": (
        {},
        {"positive": (replace(POSITIVE, span=(0.0, 0.67)), replace(OTHER, span=(0.67, 1.0)))},
        [4, 5],
    ),
    "a later end": ({"end_step": 4, "leftover_noise": True}, {}, [4, 5]),
    "an end at which the noise was taken out": ({"end_step": 4}, {}, [3, 4, 5]),
    "a control that ends earlier": (
        {"controls": [Control(NET, HINT, key="net")]},
        {"controls": [Control(NET, HINT, span=(0.0, 0.5), key="net")]},
        [3, 4, 5],
    ),
    "guidance that stops earlier": ({}, {"rule": Cfg(5.0, interval=(0.0, 0.5))}, [3, 4, 5]),
    "another guidance": ({}, {"guidance": 6.0}, [0, 1, 2, 3, 4, 5]),
    "another seed": ({}, {"seed": 8}, [0, 1, 2, 3, 4, 5]),
    "other weights": ({}, {"model_key": "unet + lora"}, [0, 1, 2, 3, 4, 5]),
    "another prompt": ({}, {"positive": (OTHER,)}, [0, 1, 2, 3, 4, 5]),
    "another step count": ({}, {"steps": 5}, [0, 1, 2, 3, 4]),
    "another control picture": (
        {"controls": [Control(NET, HINT, key="net")]},
        {"controls": [Control(NET, HINT.flip(-1), key="net")]},
        [0, 1, 2, 3, 4, 5],
    ),
    "another rule": ({}, {"rule": Apg(5.0)}, [0, 1, 2, 3, 4, 5]),
    "the same again with fresh tensors": ({}, {"positive": (Cond(POSITIVE.embeds.clone()),)}, []),
}


@pytest.mark.parametrize("edit", LATE_EDITS)
def test_an_edit_that_touches_late_steps_draws_only_those(edit: str) -> None:
    before, after, expected = LATE_EDITS[edit]
    store = Store()
    last(**(store.both() | before))
    fresh = last(**after).latent
    assert drawn_steps(Store(store), **after) == expected
    assert same(last(**(Store(store).both() | after)).latent, fresh)


def test_a_control_without_a_name_is_not_stored() -> None:
    with pytest.raises(GraphError, match="cannot be stored"):
        last(controls=[Control(NET, HINT)], **Store().both())


# bad input


def test_broken_numbers_stop_the_run_with_words() -> None:
    with pytest.raises(GraphError, match=r"invalid numbers \(NaN\) at step 1 of 6"):
        last(positive=(Cond(torch.full((1, 77, 16), float("nan"))),))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": "magic"}, "no sampler"),
        ({"schedule": "magic"}, "no schedule"),
        ({"seed": -1}, "Seed -1 is out of range"),
        ({"seed": 2**64}, "out of range"),
        ({"steps": 0}, "at least 1 step"),
        ({"denoise": 2.0}, "out of range"),
        ({"start_step": 9}, "Start step 9"),
        ({"start_step": 3, "end_step": 2}, "before start step"),
        ({"positive": ()}, "no prompt"),
        ({"latent": torch.zeros(1, 16, 16, 16)}, "4 latent channels"),
        ({"noise": torch.zeros(1, 4, 8, 8)}, "same shape"),
        ({"mask": torch.zeros(16, 16)}, "mask must be"),
        ({"positive": (Cond(torch.zeros(1, 77, 24)),)}, "24 wide"),
        ({"positive": (Cond(torch.zeros(3, 77, 16)),)}, "3 rows"),
    ],
)
def test_bad_input_is_refused_with_words(settings: dict[str, object], words: str) -> None:
    with pytest.raises(GraphError, match=words):
        last(**settings)


def test_an_inpaint_model_without_its_picture_is_refused_with_words() -> None:
    with pytest.raises(GraphError, match="9 latent channels"):
        last(Counting(tiny.sd1(9)))
