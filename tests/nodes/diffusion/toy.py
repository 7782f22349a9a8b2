"""A fixed toy noise predictor and what ComfyUI 0.3.64 makes of it: measured numbers that isolate sampler and schedule from any real model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nodes.diffusion.latents import SD1
from nodes.diffusion.noising import Discrete
from nodes.diffusion.types import Cond, LatentFormat, Noising, StepContext

# what the two prompts of the measured runs add to the noise, after the toy's projection
POSITIVE = Cond(torch.tensor([0.0452962928, -0.0422842205, -0.0193129741, -0.0339998491]).view(1, 1, 4))
NEGATIVE = Cond(torch.tensor([-0.0386761129, -0.00071903487, 0.0236367453, -0.0208764188]).view(1, 1, 4))


@dataclass(frozen=True)
class Toy:
    """eps(x, t) = 0.8 x sqrt(t) + a 3 x 3 convolution through tanh + a constant a channel, t in 0..1."""

    name: str = "toy"
    latent: LatentFormat = SD1
    noising: Noising = field(default_factory=Discrete)
    batched: bool = True
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32

    def fitted(self, shape: Sequence[int]) -> "Toy":
        return self

    def predict(self, x: Tensor, t: Tensor, cond: Cond, step: StepContext) -> Tensor:
        weight = torch.randn(4, 4, 3, 3, generator=torch.Generator().manual_seed(7)) / 6
        share = t.float() / 1000
        painted = 0.5 * torch.tanh(torch.nn.functional.conv2d(x, weight, padding=1)) * (1 - 0.5 * share)
        return 0.8 * x * share.sqrt() + painted + cond.embeds[:, 0, :, None, None]


# sampler -> final latents at five places [channel, row, column]: (0, 0, 0), (1, 7, 5), (2, 16, 16), (3, 31, 0), (0, 20, 31);
# 6 karras steps, CFG 7, seed 1234, 32 x 32, 4 channels
PLACES = ((0, 0, 0), (1, 7, 5), (2, 16, 16), (3, 31, 0), (0, 20, 31))
MEASURED = {
    "euler": (-4.93569, 0.711122, 3.56564, -0.18259, -3.71144),
    "euler_cfg_pp": (-6.83585, 1.77714, 4.61852, -0.0154917, -6.1757),
    "euler_ancestral": (-4.82462, -1.09004, 1.73421, 0.425445, -2.88114),
    "euler_ancestral_cfg_pp": (-5.30488, -0.82772, 1.99816, 0.439461, -3.55811),
    "heun": (-3.55081, 0.275239, 3.33321, -0.209883, -2.84172),
    "heunpp2": (-4.44649, 0.574932, 3.37629, -0.181188, -3.34463),
    "dpm_2": (-3.77136, 0.352388, 3.30696, -0.189573, -2.89934),
    "dpm_2_ancestral": (-2.44385, -2.38109, 1.03089, 0.465522, -0.855292),
    "lms": (-4.48797, 0.579978, 3.43007, -0.199994, -3.45351),
    "dpm_fast": (-4.72791, 0.828888, 3.96707, 0.0943052, -3.30264),
    "dpm_adaptive": (-4.0779, 0.460832, 3.43284, -0.172533, -3.07744),
    "dpmpp_2s_ancestral": (-3.86716, -1.49423, 1.33842, 0.5748, -2.01361),
    "dpmpp_2s_ancestral_cfg_pp": (-4.7792, -1.0278, 1.81824, 0.555899, -3.2806),
    "dpmpp_sde": (-4.70708, -1.57239, -0.383573, 1.5203, -5.13805),
    "dpmpp_2m": (-2.89588, 0.0980396, 2.88254, -0.246917, -2.49759),
    "dpmpp_2m_cfg_pp": (-10.5927, 4.61595, 7.17672, 0.676845, -11.6369),
    "dpmpp_2m_sde": (-2.98954, -3.38915, -2.10055, 2.10692, -4.48891),
    "dpmpp_2m_sde_heun": (-0.961099, -3.96611, -3.11697, 2.81706, -3.89088),
    "dpmpp_3m_sde": (-4.8388, 7.24386, 2.53635, -0.576397, -4.34752),
    "ddpm": (-4.82462, -1.09004, 1.73421, 0.425445, -2.88114),
    "lcm": (-4.4129, -1.25529, 0.62257, 0.275248, -3.1761),
    "ipndm": (-4.38196, 0.531229, 3.57447, -0.20312, -3.40145),
    "ipndm_v": (-4.46658, 0.595209, 3.53687, -0.181808, -3.46665),
    "deis": (-4.35148, 0.60686, 3.4669, -0.122115, -3.30177),
    "res_multistep": (-2.22087, -0.100444, 2.65864, -0.243572, -2.05735),
    "res_multistep_cfg_pp": (-5.73555, 1.91031, 4.62176, -0.0371831, -6.68994),
    "res_multistep_ancestral": (0.861795, -5.12029, -2.80226, 1.42966, 1.67892),
    "res_multistep_ancestral_cfg_pp": (-1.70927, -3.73125, -1.84215, 1.39031, -1.8192),
    "gradient_estimation": (-3.52053, 0.301008, 3.20092, -0.157317, -2.73132),
    "gradient_estimation_cfg_pp": (-4.66384, 0.983358, 3.8546, -0.150229, -4.53237),
    "er_sde": (-4.56354, -0.49408, 3.45876, 0.513111, -2.32617),
    "seeds_2": (-4.6517, -0.574421, 1.58896, 0.589136, -1.40748),
    "seeds_3": (-3.58161, 1.2772, 2.32122, 2.29115, -1.8354),
    "sa_solver": (-3.19185, -0.804463, 1.97834, 1.27546, -0.210256),
    "sa_solver_pece": (-4.24182, -0.716017, 1.91628, 1.20548, -1.09235),
    "ddim": (-4.93569, 0.711122, 3.56564, -0.18259, -3.71144),
    "uni_pc": (-4.80622, 0.843595, 3.96701, -0.0187279, -3.50322),
    "uni_pc_bh2": (-4.65174, 0.785154, 3.79857, -0.0468111, -3.46038),
}
