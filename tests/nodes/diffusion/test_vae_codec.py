"""Pixels and latents: equal to diffusers, feathered tiles, never a silent black picture."""

import itertools

import pytest
import torch

from nodegraph.errors import GraphError
from nodes.diffusion import vae as codec
from nodes.models.tiles import starts, tiled
from tests.nodes.models import tiny


@pytest.fixture(scope="module")
def autoencoder():
    return tiny.vae(scaling_factor=0.3, shift_factor=0.1)


def pixels(height=32, width=48, batch=1, seed=0):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_encoding_gives_the_scaled_mode_of_the_posterior(autoencoder):
    picture = pixels()
    with torch.inference_mode():
        expected = (autoencoder.encode(picture * 2 - 1).latent_dist.mode() - 0.1) * 0.3
    assert torch.equal(codec.encode(autoencoder, picture), expected)
    assert codec.downscale(autoencoder) == 2 and codec.channels(autoencoder) == 4


def test_decoding_equals_diffusers_image_processor(autoencoder):
    from diffusers.image_processor import VaeImageProcessor

    latents = torch.randn(2, 4, 8, 12)
    with torch.inference_mode():
        theirs = torch.cat([autoencoder.decode(z / 0.3 + 0.1).sample for z in latents.split(1)])
        expected = VaeImageProcessor(vae_scale_factor=2).postprocess(theirs, output_type="pt")
    ours = codec.decode(autoencoder, latents)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-6)
    assert ours.dtype == torch.float32 and ours.min() >= 0 and ours.max() <= 1


def test_odd_sizes_lose_their_rim_equally(autoencoder):
    picture = pixels(33, 51)
    assert torch.equal(codec.encode(autoencoder, picture), codec.encode(autoencoder, picture[..., 0:32, 0:50]))
    with pytest.raises(GraphError, match="1 x 30 px; this VAE needs at least 2 x 2"):
        codec.encode(autoencoder, pixels(30, 1))


def test_a_picture_that_fits_into_a_tile_is_exactly_the_untiled_one(autoencoder):
    latents = torch.randn(1, 4, 8, 12)
    assert torch.equal(codec.decode(autoencoder, latents, is_tiled=True, tile=64), codec.decode(autoencoder, latents))


@pytest.mark.parametrize("size", [(40, 40), (33, 71)])
def test_tiles_blend_a_local_function_without_a_seam(size):
    """A function that only looks at neighbours gives the same tiled and whole."""
    x = torch.rand(1, 3, *size)
    whole = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    blended = tiled(lambda t: torch.nn.functional.interpolate(t, scale_factor=2, mode="nearest"), x, 16, 6, 2)
    torch.testing.assert_close(blended, whole, rtol=0, atol=1e-6)


def test_tiles_cover_everything_with_the_overlap():
    for length in range(1, 200):
        found = starts(length, 32, 8)
        covered = [i for start in found for i in range(start, min(start + 32, length))]
        assert set(covered) == set(range(length))
        assert all(b - a <= 24 for a, b in itertools.pairwise(found))


def test_tiled_decoding_of_a_smooth_latent_is_close_to_the_whole(autoencoder):
    """Group norms and the mid attention see less in a tile, so it is close, not equal."""
    latents = torch.nn.functional.interpolate(torch.randn(1, 4, 3, 3), size=(48, 48), mode="bilinear") * 0.1
    done = []
    blended = codec.decode(autoencoder, latents, is_tiled=True, tile=64, overlap=16, progress=lambda i, n: done.append((i, n)))
    whole = codec.decode(autoencoder, latents)
    assert blended.shape == whole.shape == (1, 3, 96, 96)
    assert (blended - whole).abs().mean() < 0.05
    assert done == [(i + 1, 4) for i in range(4)]
    tiles = codec.encode(autoencoder, whole, is_tiled=True, tile=64, overlap=16)
    assert tiles.shape == latents.shape


def test_a_vae_that_overflows_in_half_precision_is_asked_again_in_fp32(autoencoder):
    """As SDXL's does: between two layers the numbers pass 65504, the largest of fp16; the norm at the end brings them back."""
    import copy

    half = copy.deepcopy(autoencoder)
    half.decoder.conv_in.weight.data.mul_(5e4)
    half = half.to(torch.float16)
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert not half.decode(latents.half()).sample.isfinite().all()
    again = codec.decode(half, latents)
    assert next(half.parameters()).dtype == torch.float16
    assert torch.equal(again, codec.decode(copy.deepcopy(half).float(), latents))


def test_what_even_fp32_cannot_decode_is_an_error_not_a_black_picture(autoencoder):
    import copy

    broken = copy.deepcopy(autoencoder)
    broken.decoder.conv_out.weight.data.fill_(float("nan"))
    with pytest.raises(GraphError, match="could not decode the latents.*even in fp32"):
        codec.decode(broken, torch.randn(1, 4, 8, 8))


def test_nan_latents_and_foreign_latents_are_refused(autoencoder):
    with pytest.raises(GraphError, match="the sampling before went wrong"):
        codec.decode(autoencoder, torch.full((1, 4, 8, 8), float("nan")))
    with pytest.raises(GraphError, match="These latents have 16 channels; this VAE takes 4"):
        codec.decode(autoencoder, torch.zeros(1, 16, 8, 8))
    with pytest.raises(GraphError, match="three channels"):
        codec.encode(autoencoder, torch.zeros(1, 4, 8, 8))


def test_a_tiny_autoencoder_goes_the_same_way():
    from diffusers import AutoencoderTiny

    torch.manual_seed(0)
    small = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).eval()
    picture = pixels(32, 32)
    latents = codec.encode(small, picture)
    assert latents.shape == (1, 4, 4, 4)
    with torch.inference_mode():
        expected = (small.decode(latents).sample / 2 + 0.5).clamp(0, 1)
    torch.testing.assert_close(codec.decode(small, latents), expected, rtol=0, atol=1e-6)


def test_flux2_latents_are_patches_standardised_by_running_statistics():
    from diffusers import AutoencoderKLFlux2, Flux2Pipeline

    net = tiny.randomised(
        AutoencoderKLFlux2(block_out_channels=(4, 8), down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, layers_per_block=1, latent_channels=4, norm_num_groups=2),
        3,
    )  # fmt: skip
    net.bn.running_mean.copy_(torch.randn(16))
    net.bn.running_var.copy_(torch.rand(16) + 0.5)
    picture = pixels(32, 32)
    with torch.inference_mode():
        raw = Flux2Pipeline._patchify_latents(net.encode(picture * 2 - 1).latent_dist.mode())
        expected = (raw - net.bn.running_mean.view(1, -1, 1, 1)) / torch.sqrt(
            net.bn.running_var.view(1, -1, 1, 1) + net.config.batch_norm_eps
        )
        latents = codec.encode(net, picture)
        torch.testing.assert_close(latents, expected, rtol=0, atol=1e-6)
        assert codec.downscale(net) == 4 and codec.channels(net) == 16
        back = Flux2Pipeline._unpatchify_latents(raw)
        torch.testing.assert_close(codec.decode(net, latents), (net.decode(back).sample / 2 + 0.5).clamp(0, 1), rtol=0, atol=1e-5)
