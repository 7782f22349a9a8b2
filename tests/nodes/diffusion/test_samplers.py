"""The samplers against measured numbers, against diffusers, and against closed forms; and that each goes on bit-equal from any step."""

import diffusers
import pytest
import torch
from torch import Tensor

from nodegraph.errors import GraphError
from nodes.diffusion import noise
from nodes.diffusion.guidance import Apg, Cfg, Guided
from nodes.diffusion.loop import sample
from nodes.diffusion.noising import Discrete, Flow
from nodes.diffusion.samplers import ALIASES, SAMPLERS, make_solver, sampler_named
from nodes.diffusion.schedules import SCHEDULES, make_sigmas
from nodes.diffusion.solver import DiffusersSolver, Solver
from nodes.diffusion.state import SamplerState
from nodes.diffusion.steps import lagrange
from nodes.diffusion.types import Cond
from nodes.diffusion.unet import UNetFamily
from tests.nodes.diffusion import tiny, toy

pytestmark = pytest.mark.filterwarnings("ignore:__array:DeprecationWarning")  # diffusers' schedulers with numpy 2
SHAPE = (1, 4, 32, 32)
FAMILY = toy.Toy()


def toy_solver(name: str, seed: int = 1234) -> Solver:
    sigmas = make_sigmas("karras", 6, FAMILY.noising, 1.0, sampler_named(name)[1].drop_penultimate)
    return make_solver(name, sigmas, FAMILY.noising, torch.zeros(SHAPE), seed)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws_the_picture_that_comfyui_draws(name: str) -> None:
    solver = toy_solver(name)
    x = solver.begin(torch.zeros(SHAPE), noise.initial(SHAPE, 1234), full=True)
    *_, last = sample(FAMILY, solver, x, [toy.POSITIVE], [toy.NEGATIVE], rule=Cfg(7.0))
    ours = torch.stack([last.latent[0][place] for place in toy.PLACES])
    # the numbers were written down with six digits; UniPC is diffusers' own, which orders its sums differently
    torch.testing.assert_close(ours, torch.tensor(toy.MEASURED[name]), rtol=1e-5, atol=2e-4 if name.startswith("uni_pc") else 4e-5)


def test_every_measured_sampler_is_there_and_every_alias_leads_to_one() -> None:
    assert set(toy.MEASURED) == set(SAMPLERS)
    assert all(name in SAMPLERS and (schedule is None or schedule in SCHEDULES) for name, schedule in ALIASES.values())


def test_an_unknown_sampler_is_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(GraphError, match=r"no sampler 'magic'.*euler"):
        sampler_named("magic")


UNET = tiny.sd1()
POSITIVE, NEGATIVE = Cond(tiny.noise(1, 1, 77, 16)), Cond(tiny.noise(2, 1, 77, 16))
SMALL = (1, 4, 16, 16)
AGREEING = {
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {"final_sigmas_type": "zero"}),
}


@pytest.mark.parametrize("name", AGREEING)
def test_our_steps_equal_diffusers_schedulers_on_the_same_sigmas(name: str) -> None:
    noising, family = Discrete(), UNetFamily(UNET)
    sigmas = make_sigmas("karras", 8, noising)
    ours = make_solver(name, sigmas, noising, torch.zeros(SMALL), 0)
    scheduler = tiny.scheduler(AGREEING[name][0], **AGREEING[name][1])
    scheduler.set_timesteps(8)
    scheduler.sigmas, scheduler.timesteps = sigmas, noising.timestep(sigmas[:-1]).float()
    theirs = DiffusersSolver(scheduler)
    drawn = tiny.noise(3, *SMALL)
    finals: list[Tensor] = []
    for solver, x in ((ours, drawn * sigmas[0]), (theirs, drawn * sigmas[0] / (1 if name == "euler" else (1 + sigmas[0] ** 2) ** 0.5))):
        *_, last = sample(family, solver, x, [POSITIVE], [NEGATIVE], rule=Cfg(5.0))
        finals.append(last.x)
    torch.testing.assert_close(*finals, rtol=1e-5, atol=3e-5)  # ours multiplies in double, theirs in fp32


def test_the_ddpm_chain_is_refused_for_flow_models() -> None:
    with pytest.raises(GraphError, match="not defined for flow models"):
        make_solver("ddpm", make_sigmas("simple", 4, Flow()), Flow(), torch.zeros(SMALL), 0)


ALLOWED = [(name, noising) for noising in (Discrete(), Discrete("v_prediction"), Flow(3.0)) for name in SAMPLERS if SAMPLERS[name].flow or noising.prediction != "flow"]


@pytest.mark.parametrize(("name", "noising"), ALLOWED, ids=[f"{name}-{noising.prediction}" for name, noising in ALLOWED])
def test_a_network_that_knows_the_picture_is_believed_by_every_sampler(name: str, noising: Discrete | Flow) -> None:
    """With the exact clean latent at every step, every method must arrive at it, whatever the noise: a closed form for all of them."""
    picture = tiny.noise(5, *SMALL)

    class Oracle(toy.Toy):
        def predict(self, x: Tensor, t: Tensor, cond: Cond, step: object) -> Tensor:
            sigma = step.sigma  # type: ignore[attr-defined]
            seen = x if noising.prediction == "flow" else x * (1 + sigma**2) ** 0.5
            return noising.predicted(picture, seen, sigma)

    sigmas = make_sigmas("simple", 7, noising, 1.0, sampler_named(name)[1].drop_penultimate)
    solver = make_solver(name, sigmas, noising, torch.zeros(SMALL), 3)
    x = solver.begin(torch.zeros(SMALL), tiny.noise(6, *SMALL), full=True)
    *_, last = sample(Oracle(noising=noising), solver, x, [POSITIVE], rule=Cfg(1.0))
    # the two DPM-Solvers end at the least level above 0, on the straight line between start and picture; UniPC at 0.001, with diffusers' rounding
    left = float(sigmas[-2]) if name in ("dpm_fast", "dpm_adaptive") else 0.0
    expected = picture + (x - picture) * left / float(sigmas[0])
    torch.testing.assert_close(last.x, expected, rtol=0, atol=0.008 if name.startswith("uni_pc") else 1e-4)


def test_the_lagrange_integrals_are_exact() -> None:
    """Through two places the integral of each polynomial has a closed form; even steps give Adams-Bashforth's weights."""
    torch.testing.assert_close(torch.tensor(lagrange([0.0, -1.0], 0.0, 1.0)), torch.tensor([1.5, -0.5]))
    torch.testing.assert_close(torch.tensor(lagrange([0.0, -1.0, -2.0, -3.0], 0.0, 1.0)), torch.tensor([55.0, -59.0, 37.0, -9.0]) / 24)


def stored(state: SamplerState) -> SamplerState:
    """Through tensors and JSON, as a file would have it."""
    import json

    tensors, values = state.to_tensors()
    return SamplerState.from_tensors({name: tensor.clone() for name, tensor in tensors.items()}, json.loads(json.dumps(values)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_goes_on_bit_equal_from_every_step(name: str) -> None:
    rule = Guided(Apg(5.0, momentum=-0.5))  # a rule with a memory, so that it must be stored too
    solver = toy_solver(name)
    x = solver.begin(torch.zeros(SHAPE), noise.initial(SHAPE, 1234), full=True)
    states, last = [], None
    for last in sample(FAMILY, solver, x, [toy.POSITIVE], [toy.NEGATIVE], rule=rule):
        states.append(stored(last.state()))
    assert last is not None
    for state in states[:-1]:
        again = toy_solver(name)
        *_, end = sample(FAMILY, again, torch.empty(0), [toy.POSITIVE], [toy.NEGATIVE], rule=rule, resume=state)
        assert torch.equal(end.x, last.x), f"resumed after {state.done}"


SCHEDULERS = {
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler_ancestral": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "dpmpp_2m": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpmpp_2m_sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp_sde": (diffusers.DPMSolverSDEScheduler, {"noise_sampler_seed": 7}),
    "dpmpp_2s": (diffusers.DPMSolverSinglestepScheduler, {}),
    "ddim": (diffusers.DDIMScheduler, {}),
    "ddpm": (diffusers.DDPMScheduler, {}),
    "uni_pc": (diffusers.UniPCMultistepScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {}),
    "tcd": (diffusers.TCDScheduler, {}),
    "heun": (diffusers.HeunDiscreteScheduler, {}),
    "dpm_2": (diffusers.KDPM2DiscreteScheduler, {}),
    "dpm_2_ancestral": (diffusers.KDPM2AncestralDiscreteScheduler, {}),
    "lms": (diffusers.LMSDiscreteScheduler, {}),
    "pndm": (diffusers.PNDMScheduler, {"skip_prk_steps": True}),
    "deis": (diffusers.DEISMultistepScheduler, {}),
    "sa_solver": (diffusers.SASolverScheduler, {}),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_of_diffusers_goes_on_bit_equal_from_every_step(name: str) -> None:
    kind, settings = SCHEDULERS[name]
    family = UNetFamily(UNET)

    def fresh() -> DiffusersSolver:
        scheduler = tiny.scheduler(kind, **settings)
        scheduler.set_timesteps(6)
        return DiffusersSolver(scheduler, generator=tiny.seeded())

    solver = fresh()
    x = solver.begin(torch.zeros(SMALL), tiny.noise(0, *SMALL), full=True)
    states, last = [], None
    for last in sample(family, solver, x, [POSITIVE], [NEGATIVE], rule=Cfg(5.0)):
        states.append(stored(last.state()))
    assert last is not None
    for state in states[:-1]:
        *_, end = sample(family, fresh(), torch.empty(0), [POSITIVE], [NEGATIVE], rule=Cfg(5.0), resume=state)
        assert torch.equal(end.x, last.x), f"resumed after {state.done}"
