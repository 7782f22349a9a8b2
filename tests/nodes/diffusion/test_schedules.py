"""Schedules against closed forms, the trained tables and ComfyUI's measured sigmas."""

import math

import diffusers
import pytest
import torch

from nodegraph.errors import GraphError
from nodes.diffusion.noising import Discrete, Edm, Flow, flux_shift, noising_for
from nodes.diffusion.schedules import SCHEDULES, custom, make_sigmas, part, split

SD = Discrete()

# (schedule, steps, drop the penultimate) -> sigmas and the timesteps that the network is told, measured with ComfyUI 0.3.64
MEASURED = [
    ("normal", 6, False, [14.61464, 5.092408, 2.279731, 1.162865, 0.571189, 0.029167], [999, 799, 599, 400, 200, 0]),
    ("karras", 6, False, [14.614643, 6.082151, 2.232154, 0.692571, 0.169757, 0.029167], [999, 837, 594, 249, 30, 0]),
    ("karras", 6, True, [14.614643, 7.094411, 3.168605, 1.274101, 0.446919, 0.130308], [999, 868, 687, 427, 146, 18]),
    ("exponential", 6, False, [14.61464, 4.215114, 1.215711, 0.350632, 0.101128, 0.029167], [999, 757, 413, 103, 11, 0]),
    ("sgm_uniform", 6, False, [14.61464, 5.948899, 2.918307, 1.61558, 0.932358, 0.493552], [999, 833, 666, 500, 333, 166]),
    ("normal", 6, True, [14.61464, 5.948899, 2.918307, 1.61558, 0.932358, 0.493552], [999, 833, 666, 500, 333, 166]),
    ("simple", 6, False, [14.614641, 5.96313, 2.918307, 1.612886, 0.932358, 0.492409], [999, 833, 666, 499, 333, 166]),
    ("beta", 6, False, [14.614641, 8.707752, 3.675753, 1.618279, 0.762402, 0.323533], [999, 908, 724, 500, 275, 91]),
    ("ddim_uniform", 10, False, [8.390685, 5.134431, 3.347764, 2.292854, 1.623692, 1.168216, 0.835653, 0.57405, 0.346187, 0.041314], [901, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "steps", "drop", "sigmas", "timesteps"), MEASURED)
def test_schedules_are_those_of_comfyui(name: str, steps: int, drop: bool, sigmas: list[float], timesteps: list[int]) -> None:
    ours = make_sigmas(name, steps, SD, drop_penultimate=drop)
    torch.testing.assert_close(ours, torch.tensor([*sigmas, 0.0]), rtol=0, atol=6e-7)  # written down with six decimals
    assert SD.timestep(ours[:-1]).tolist() == timesteps


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 20, 100])
@pytest.mark.parametrize("noising", [SD, Edm(), Flow(3.0)], ids=["sd", "edm", "flow"])
def test_every_schedule_falls_from_noise_to_zero(name: str, steps: int, noising: Discrete | Edm | Flow) -> None:
    if (noising.prediction in ("flow", "edm") and name.startswith("align")) or (noising.prediction == "edm" and name == "turbo"):
        with pytest.raises(GraphError, match="Choose"):
            make_sigmas(name, steps, noising)
        return
    sigmas = make_sigmas(name, steps, noising)
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()
    assert sigmas.isfinite().all()
    assert float(sigmas[0]) <= noising.sigma_max * 1.001


def test_karras_and_exponential_are_their_formulae() -> None:
    low, high, steps = SD.sigma_min, SD.sigma_max, 12
    karras = [(high ** (1 / 7) + k / (steps - 1) * (low ** (1 / 7) - high ** (1 / 7))) ** 7 for k in range(steps)]
    torch.testing.assert_close(make_sigmas("karras", steps, SD), torch.tensor([*karras, 0.0]), rtol=2e-6, atol=0)
    even = [high * (low / high) ** (k / (steps - 1)) for k in range(steps)]
    torch.testing.assert_close(make_sigmas("exponential", steps, SD), torch.tensor([*even, 0.0]), rtol=2e-6, atol=0)
    angle = [math.tan(k / (steps - 1) * math.atan(low) + (1 - k / (steps - 1)) * math.atan(high)) for k in range(steps)]
    torch.testing.assert_close(make_sigmas("kl_optimal", steps, SD), torch.tensor([*angle, 0.0]), rtol=2e-5, atol=0)


def test_polyexponential_with_rho_one_is_exponential() -> None:
    torch.testing.assert_close(make_sigmas("polyexponential", 9, SD), make_sigmas("exponential", 9, SD), rtol=2e-6, atol=0)


def test_half_the_denoise_runs_the_end_of_a_schedule_twice_as_long() -> None:
    assert torch.equal(make_sigmas("karras", 6, SD, 0.5), make_sigmas("karras", 12, SD)[-7:])
    assert len(make_sigmas("normal", 6, SD, 0.0)) == 1


def test_turbo_steps_are_the_first_of_the_ten_distilled_ones() -> None:
    assert SD.timestep(make_sigmas("turbo", 3, SD)[:-1]).tolist() == [999, 899, 799]
    assert SD.timestep(make_sigmas("turbo", 2, SD, 0.5)[:-1]).tolist() == [499, 399]


def test_linear_quadratic_meets_its_threshold_in_the_middle() -> None:
    sigmas = make_sigmas("linear_quadratic", 10, Flow()).tolist()
    assert sigmas[0] == pytest.approx(1)
    assert sigmas[5] == pytest.approx(1 - 0.025, abs=1e-6)
    assert sigmas[0] - sigmas[1] == pytest.approx(sigmas[3] - sigmas[4], abs=1e-6)


def test_a_split_schedule_carries_the_seam_in_both_parts_and_a_part_may_end_early() -> None:
    whole = make_sigmas("karras", 6, SD)
    first, second = split(whole, 2)
    assert first[-1] == second[0] == whole[2]
    assert torch.equal(part(whole, 2, 4, leftover=True), whole[2:5])
    assert part(whole, 2, 4, leftover=False).tolist() == [*whole[2:4].tolist(), 0.0]
    assert torch.equal(part(whole, 2, None, leftover=False), whole[2:])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: make_sigmas("magic", 5, SD), "no schedule 'magic'"),
        (lambda: make_sigmas("normal", 0, SD), "at least 1 step"),
        (lambda: make_sigmas("normal", 5, SD, 1.5), "out of range"),
        (lambda: make_sigmas("normal", 5, SD, float("nan")), "out of range"),
        (lambda: custom([1.0]), "at least two"),
        (lambda: custom([1.0, 2.0]), "must fall"),
        (lambda: custom([1.0, float("nan")]), "must fall"),
        (lambda: split(torch.tensor([1.0, 0.0]), 5), "cannot be split"),
        (lambda: part(torch.tensor([1.0, 0.0]), 4, None, False), "out of range"),
    ],
)
def test_bad_schedules_are_refused_with_words(call: object, words: str) -> None:
    with pytest.raises(GraphError, match=words):
        call()


LCM = {
    "sgm_uniform": ([14.614640, 4.170773, 1.667902, 0.732518], [999, 759, 499, 259]),
    "simple": ([14.614641, 4.260557, 1.612886, 0.719380], [999, 759, 499, 259]),
    "normal": ([14.614640, 2.991056, 0.972826, 0.134451], [999, 679, 339, 19]),
}


@pytest.mark.parametrize("name", LCM)
def test_a_consistency_model_is_asked_at_the_timesteps_it_knows(name: str) -> None:
    """Measured with ComfyUI 0.3.64; those of "simple" are LCMScheduler's own."""
    distilled, (sigmas, timesteps) = Discrete(distilled=50), LCM[name]
    ours = make_sigmas(name, 4, distilled)
    torch.testing.assert_close(ours, torch.tensor([*sigmas, 0.0]), rtol=0, atol=2e-6)
    assert distilled.timestep(ours[:-1]).tolist() == timesteps
    if name == "simple":
        scheduler = diffusers.LCMScheduler()
        scheduler.set_timesteps(4)
        assert scheduler.timesteps.tolist() == timesteps


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_edm_noise_is_preconditioned_as_by_diffusers(prediction: str) -> None:
    scheduler = diffusers.EDMEulerScheduler(prediction_type=prediction)
    scheduler.set_timesteps(5)
    edm, x, output = noising_for({**scheduler.config, "_class_name": "EDMEulerScheduler"}), torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(make_sigmas("karras", 5, edm), scheduler.sigmas, rtol=1e-5, atol=0)
    torch.testing.assert_close(edm.timestep(scheduler.sigmas[:-1]), scheduler.timesteps, rtol=1e-5, atol=1e-6)
    sigma = float(scheduler.sigmas[1])
    torch.testing.assert_close(edm.network_input(x, sigma), scheduler.precondition_inputs(x, sigma))
    torch.testing.assert_close(edm.denoised(output, x, sigma), scheduler.precondition_outputs(x, output, sigma))


def test_zero_terminal_snr_ends_in_noise_alone() -> None:
    assert Discrete(zero_snr=True).sigma_max > 4000
    assert Discrete(zero_snr=True).sigma_min == pytest.approx(SD.sigma_min, rel=1e-5)


@pytest.mark.parametrize("noising", [Discrete(), Discrete("v_prediction"), Discrete("sample"), Edm(), Edm(velocity=True), Flow(3.0)])
def test_a_prediction_and_its_clean_latent_turn_into_each_other(noising: Discrete | Edm | Flow) -> None:
    x, prediction = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    torch.testing.assert_close(noising.predicted(noising.denoised(prediction, x, 0.7), x, 0.7), prediction, rtol=1e-5, atol=1e-5)


def test_the_shift_of_flux_is_that_of_its_pipeline() -> None:
    from diffusers.pipelines.flux.pipeline_flux import calculate_shift

    for tokens in (256, 1024, 4096):
        assert flux_shift(tokens) == pytest.approx(math.exp(calculate_shift(tokens, max_shift=1.15)))


def test_an_unknown_kind_of_noise_is_refused_with_words() -> None:
    assert noising_for({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0}) == Flow(3.0)
    with pytest.raises(GraphError, match="no sampler here knows"):
        noising_for({"beta_schedule": "sigmoid"})
