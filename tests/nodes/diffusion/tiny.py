"""Tiny random networks of the real classes: no download, no tokenizer, prompt embeddings are made up."""

import inspect
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ControlNetUnionModel,
    DDIMScheduler,
    FluxControlNetModel,
    FluxTransformer2DModel,
    SD3ControlNetModel,
    SD3Transformer2DModel,
    T2IAdapter,
    UNet2DConditionModel,
)
from torch import Tensor


def noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def vae(channels: int = 4, flow: bool = False) -> AutoencoderKL:
    torch.manual_seed(0)
    extra = {"use_quant_conv": False, "use_post_quant_conv": False, "shift_factor": 0.0609, "scaling_factor": 1.5035} if flow else {}
    return AutoencoderKL(
        block_out_channels=(4, 8),
        layers_per_block=1,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=channels,
        norm_num_groups=2,
        **extra,
    ).eval()


def encode(autoencoder: AutoencoderKL, image: Tensor, generator: torch.Generator) -> Tensor:
    """Latents of an image in -1..1, sampled as the stock pipelines do."""
    config = autoencoder.config
    with torch.no_grad():
        drawn = autoencoder.encode(image).latent_dist.sample(generator)
    return (drawn - (config.shift_factor or 0)) * config.scaling_factor


def scheduler(kind: type = DDIMScheduler, **settings: object) -> object:
    """A diffusers scheduler with Stable Diffusion's noise and the settings that its stock pipelines force upon it."""
    forced = {"clip_sample": False, "steps_offset": 1, "set_alpha_to_one": False}
    stock = {name: value for name, value in forced.items() if name in inspect.signature(kind.__init__).parameters and name not in settings}
    return kind(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", **stock, **settings)


def sd1(channels: int = 4, **settings: object) -> UNet2DConditionModel:
    torch.manual_seed(1)
    return UNet2DConditionModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        sample_size=16,
        in_channels=channels,
        out_channels=4,
        cross_attention_dim=16,
        norm_num_groups=4,
        attention_head_dim=4,
        **{"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")} | settings,
    ).eval()


def sdxl() -> UNet2DConditionModel:
    torch.manual_seed(2)
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=2,
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
    ).eval()


def deepfloyd() -> UNet2DConditionModel:
    """The first stage of DeepFloyd IF: pixels in, noise and variance out."""
    torch.manual_seed(7)
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
        in_channels=3,
        out_channels=6,
        cross_attention_dim=32,
        encoder_hid_dim=32,
        attention_head_dim=8,
        addition_embed_type="text",
        addition_embed_type_num_heads=2,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        act_fn="gelu",
    ).eval()


def controlnet(unet: UNet2DConditionModel, seed: int = 3) -> ControlNetModel:
    """A ControlNet that says something: its zero convolutions are given random weights."""
    torch.manual_seed(seed)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32))
    torch.manual_seed(seed)
    for part in [*net.controlnet_down_blocks, net.controlnet_mid_block, net.controlnet_cond_embedding.conv_out]:
        for weight in part.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    return net.eval()


def union_controlnet(unet: UNet2DConditionModel) -> ControlNetUnionModel:
    torch.manual_seed(12)
    config = unet.config
    net = ControlNetUnionModel(
        in_channels=4,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        down_block_types=config.down_block_types,
        attention_head_dim=config.attention_head_dim,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=config.transformer_layers_per_block,
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=64,
        conditioning_embedding_out_channels=(16, 32),
        num_trans_channel=32,
        num_trans_head=4,
        num_trans_layer=1,
        num_proj_channel=32,
        num_control_type=6,
    )
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net.eval()


def adapter() -> T2IAdapter:
    torch.manual_seed(8)
    return T2IAdapter(in_channels=3, channels=[8, 16], num_res_blocks=1, downscale_factor=2, adapter_type="full_adapter").eval()


def sd3(channels: int = 4) -> SD3Transformer2DModel:
    torch.manual_seed(6)
    return SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=channels,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=4,
        caption_projection_dim=32,
        joint_attention_dim=32,
        pooled_projection_dim=64,
        out_channels=channels,
    ).eval()


def sd3_controlnet(transformer: SD3Transformer2DModel, **settings: object) -> SD3ControlNetModel:
    torch.manual_seed(13)
    config = {"sample_size": 16, "patch_size": 1, "in_channels": 4, "num_layers": 1, "attention_head_dim": 8, "num_attention_heads": 4}
    config |= {"caption_projection_dim": 32, "joint_attention_dim": 32, "pooled_projection_dim": 64, "out_channels": 4}
    net = SD3ControlNetModel(**(config | settings))
    for name, weight in net.named_parameters():
        if "controlnet" in name or "pos_embed_input" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return net.eval()


def flux(channels: int = 16, guidance: bool = True, out: int = 0) -> FluxTransformer2DModel:
    torch.manual_seed(4)
    return FluxTransformer2DModel(
        patch_size=1,
        in_channels=channels,
        out_channels=out or channels,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=guidance,
    ).eval()


def flux_controlnet(transformer: FluxTransformer2DModel, seed: int = 5, layers: int = 1, **settings: object) -> FluxControlNetModel:
    torch.manual_seed(seed)
    config = {"patch_size": 1, "in_channels": transformer.config.in_channels, "num_layers": layers, "num_single_layers": 1, "attention_head_dim": 16}
    config |= {"num_attention_heads": 2, "joint_attention_dim": 32, "pooled_projection_dim": 32, "axes_dims_rope": (4, 4, 8)}
    net = FluxControlNetModel(**(config | {"guidance_embeds": transformer.config.guidance_embeds} | settings))
    torch.manual_seed(seed)
    for name, weight in net.named_parameters():
        if "controlnet" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return net.eval()
