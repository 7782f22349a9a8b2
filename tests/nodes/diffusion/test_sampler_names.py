"""The table of other tools' names: true to our samplers, complete where those tools' lists are known, equal to diffusers by sigmas."""

import json

import diffusers
import pytest
import torch

from nodegraph.folders import RESOURCES
from nodes.diffusion.noising import Discrete
from nodes.diffusion.samplers import ALIASES, SAMPLERS, sampler_named
from nodes.diffusion.schedules import SCHEDULES, make_sigmas

TABLE = json.loads((RESOURCES / "samplers.json").read_text(encoding="utf-8"))


def test_every_name_leads_to_a_sampler_and_a_schedule_that_there_are():
    samplers = {*TABLE["comfyui"]["samplers"].values(), *(found["sampler"] for found in TABLE["a1111"]["samplers"].values())}
    samplers |= set(TABLE["diffusers"]["samplers"].values())
    schedules = {name for tool in ("comfyui", "a1111", "diffusers") for name in TABLE[tool]["schedules"].values()}
    schedules |= {found["schedule"] for found in TABLE["a1111"]["samplers"].values()}
    assert samplers == set(SAMPLERS)
    assert schedules - {None} <= set(SCHEDULES)


def test_the_names_that_samplers_answer_to_are_those_of_the_table():
    told = {name: (found["sampler"], found["schedule"]) for name, found in TABLE["a1111"]["samplers"].items()}
    told |= {name: (known, None) for name, known in TABLE["comfyui"]["samplers"].items() if name not in SAMPLERS}
    assert told == ALIASES
    assert all(sampler_named(name)[0] == known for name, known in TABLE["comfyui"]["samplers"].items())


def test_all_schedules_of_comfyui_have_their_own_name_here():
    wanted = "simple sgm_uniform karras exponential ddim_uniform beta normal linear_quadratic kl_optimal"
    assert TABLE["comfyui"]["schedules"] == {name: name for name in wanted.split()}


@pytest.mark.parametrize("setting", TABLE["diffusers"]["schedules"])
@pytest.mark.parametrize("steps", [4, 10, 20, 50])  # where steps divide 1000, diffusers and ComfyUI round alike
def test_the_sigmas_of_diffusers_settings_are_those_of_our_schedules(setting, steps):
    name, value = setting.split("=")
    options = {name: True if value == "True" else value, "steps_offset": 1}
    scheduler = diffusers.EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **options)
    scheduler.set_timesteps(steps)
    ours = make_sigmas(TABLE["diffusers"]["schedules"][setting], steps, Discrete())
    torch.testing.assert_close(ours, scheduler.sigmas, rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", TABLE["diffusers"]["samplers"])
def test_the_classes_of_diffusers_are_called_so_and_take_these_settings(name):
    kind, _, setting = name.partition(" ")
    options = dict([setting.split("=")]) if setting else {}
    assert getattr(diffusers, kind)(**options).config.items() >= options.items()
