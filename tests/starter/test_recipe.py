"""Every script of the starter recipe, one step each on synthetic art: no npm package, no download."""

import random
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from resources.starter.recipe import (  # noqa: E402
    autoencoder,
    controlnet,
    edges,
    evaluate,
    judge,
    latents,
    layout,
    lora,
    paint,
    preview,
    scenes,
    sprites,
    state,
    text_to_image,
    tokens,
    upscaler,
    vocabulary,
    words,
)

WORLD = words.Vocabulary(("cat", "star", "apple"))


@pytest.fixture(autouse=True)
def quiet_process(monkeypatch):
    """Training lowers the priority of its own process; a test run must not."""
    monkeypatch.setattr(state, "background_priority", lambda: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tokenizer, a VAE, two shards of latents and a model, all tiny."""
    root = tmp_path_factory.mktemp("starter")
    torch.manual_seed(0)
    tokens.build(root / "tokenizer")
    atlas = sprites.synthetic(WORLD.objects)
    rng = random.Random(0)
    pictures = paint.as_floats(paint.paint([scenes.draw(rng, WORLD) for _ in range(4)], atlas))
    vae = autoencoder.fresh(pictures, (8, 8, 16, 16))
    vae.save_pretrained(root / "vae")
    (root / "latents").mkdir()
    for seed in range(2):
        latents.write_shard(root / "latents" / f"{seed:05d}.safetensors", vae.eval(), atlas, WORLD, seed, 40, 0.7)
    text_to_image.train(plan(root, samples=8))
    text_to_image.export(plan(root), root / "model")
    return root


def plan(root, **more):
    return text_to_image.Plan(
        str(root / "state"), str(root / "latents"), str(root / "tokenizer"), str(root / "vae"), minutes=1, batch=4,
        widths=layout.TINY, text_width=32, **more,
    )  # fmt: skip


def test_a_caption_says_what_the_scene_holds():
    rng = random.Random(3)
    for _ in range(200):
        scene = scenes.draw(rng, words.Vocabulary.first())
        for placement in scene.placements:
            name = words.plural(placement.name) if scene.kind in ("two", "three") else placement.name
            assert name in scene.caption
            assert placement.colour is None or f"{placement.colour} {name}" in scene.caption
            assert (placement.name, placement.colour) not in words.HELD_OUT
        if scene.kind in ("left of", "above"):
            first, second = scene.placements
            assert scene.caption.index(first.name) <= scene.caption.rindex(second.name)
            assert first.x < second.x if scene.kind == "left of" else first.y < second.y


def test_the_same_seed_draws_the_same_world():
    def first_words(seed):
        return [scenes.draw(random.Random(seed), WORLD) for _ in range(3)]

    assert first_words(5) == first_words(5)
    atlas = sprites.synthetic(WORLD.objects)
    assert torch.equal(paint.paint(first_words(5), atlas), paint.paint(first_words(5), atlas))


def test_a_sprite_is_painted_where_its_placement_says():
    atlas = sprites.synthetic(WORLD.objects)
    bare = scenes.Backdrop("plain", ("white",), 0)
    spot = scenes.Placement("cat", "blue", 0.25, 0.75, 0.3, 0, False, False)
    with_cat, without = (paint.paint([scenes.Scene("", bare, p, "one")], atlas).float() for p in ((spot,), ()))
    changed = (with_cat - without).abs().sum(1)[0] > 30
    rows, columns = changed.nonzero(as_tuple=True)
    assert abs(float(rows.float().mean()) / 128 - 0.75) < 0.03 and abs(float(columns.float().mean()) / 128 - 0.25) < 0.03
    blue = with_cat[0, :, changed]
    assert blue[2].mean() > blue[0].mean() + 40


def test_a_flipped_sprite_is_the_mirror_image():
    atlas = sprites.synthetic(WORLD.objects)
    bare = scenes.Backdrop("plain", ("gray",), 0)
    one, other = (
        paint.paint([scenes.Scene("", bare, (scenes.Placement("star", None, 0.5, 0.5, 0.6, 0, flip, False),), "one")], atlas)
        for flip in (False, True)
    )
    assert (one.flip(3).float() - other.float()).abs().max() <= 2


def test_every_place_is_painted_in_its_own_way():
    pictures = [paint.backdrop(scenes.Backdrop("place", (name,), 7), 32) for name in words.PLACES]
    for k, one in enumerate(pictures):
        assert all((one - other).abs().mean() > 8 for other in pictures[:k])


def test_each_known_word_is_one_token(folder):
    assert tokens.check(folder / "tokenizer") == []
    tokenizer = layout.tokenizer(folder / "tokenizer")
    assert tokenizer.decode(tokenizer("an unknown wörd!").input_ids, skip_special_tokens=True).replace(" ", "") == "anunknownwörd!"


def test_the_first_vae_already_keeps_colours(folder):
    """Without training it is a linear scaler: no darker than the mean of 8 x 8 blocks would be."""
    atlas = sprites.synthetic(WORLD.objects)
    real = paint.as_floats(paint.paint([scenes.draw(random.Random(k), WORLD) for k in range(4)], atlas))
    vae = autoencoder.fresh(real, (8, 8, 16, 16)).eval()
    with torch.no_grad():
        back = vae.decode(vae.encode(real).latent_dist.mean).sample
    blocks = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(real, 8), scale_factor=8.0)
    assert (back - real).abs().mean() < 3 * (blocks - real).abs().mean() + 0.05


def test_training_the_decoder_leaves_the_latents_as_they_are(folder, tmp_path):
    steps = autoencoder.Plan(tmp_path, folder / "latents", folder / "vae", 1, batch=2, adversary_from=1, samples=6)
    trained, before = autoencoder.train(steps), layout.autoencoder(folder / "vae")
    for name, value in trained.encoder.state_dict().items():
        assert torch.equal(value, before.encoder.state_dict()[name])
    assert any(not torch.equal(v, before.decoder.state_dict()[k]) for k, v in trained.decoder.state_dict().items())


def test_the_whole_vae_trains_from_nothing(folder, tmp_path):
    steps = autoencoder.Plan(
        tmp_path, folder / "latents", None, 1, decoder_only=False, widths=(8, 8, 16, 16), batch=2, adversary=0, samples=4
    )
    trained = autoencoder.train(steps)
    assert torch.isfinite(trained.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mean).all()


def test_training_goes_on_where_it_stopped(folder):
    first = state.load(folder / "state" / "weights.pt")
    assert text_to_image.train(plan(folder, samples=first["seen"] + 8)) == first["seen"] + 8
    assert torch.load(folder / "state" / "worker-0.pt", weights_only=True)["optimizer"]["state"][0]["step"] >= 4


def test_a_shipped_model_begins_a_new_sitting(folder, tmp_path):
    again = text_to_image.Plan(
        str(tmp_path), str(folder / "latents"), str(folder / "model" / "tokenizer"), str(folder / "vae"), 1, batch=2,
        continue_from=str(folder / "model"), samples=2,
    )  # fmt: skip
    assert text_to_image.train(again) == 2


def test_objects_weigh_more_than_their_backdrop():
    weights = text_to_image.object_weights([{"placements": [{"x": 0.5, "y": 0.5, "size": 0.5}]}], 16, 1.5)
    assert weights[0, 0, 8, 8] > 2.4 * weights[0, 0, 0, 0]
    assert abs(float(weights.float().mean()) - 1) < 0.01


def test_the_exported_model_draws(folder):
    made = layout.load(folder / "model")
    picture = made("a cat", num_inference_steps=2, output_type="np").images[0]
    assert picture.shape == (128, 128, 3)


def test_outlines_are_thin_and_closed():
    picture = torch.full((1, 3, 64, 64), -1.0)
    picture[..., 16:48, 16:48] = 1.0
    lines = edges.outlines(picture)
    assert lines[0, 0, 20:44, 24:40].sum() == 0
    for row in (24, 32, 40):
        assert lines[0, 0, row].sum() == 2


def test_a_new_controlnet_changes_nothing_and_then_learns(folder, tmp_path):
    made = layout.load(folder / "model")
    control = controlnet.build(made.unet, (4, 4, 4, 4))
    noisy, words_ = torch.randn(2, 4, 16, 16), torch.randn(2, 32, 32)
    with torch.no_grad():
        down, middle = control(noisy, torch.tensor([5, 900]), words_, torch.rand(2, 3, 128, 128), return_dict=False)
    assert all(float(x.abs().max()) == 0 for x in (*down, middle))
    steps = controlnet.Plan(tmp_path, folder / "latents", folder / "model", 1, batch=2, hint_widths=(4, 4, 4, 4), samples=4)
    controlnet.export(controlnet.train(steps), tmp_path / "edges")
    assert (tmp_path / "edges" / "diffusion_pytorch_model.safetensors").is_file()


def test_a_second_sitting_draws_other_samples_than_the_first(folder, tmp_path):
    steps = lora.Plan(tmp_path, folder / "latents", folder / "model", 1, rank=2, batch=2, samples=4)
    lora.train(steps)
    after = torch.get_rng_state()
    lora.train(steps)  # nothing is left to do: it only takes up where the first one ended
    assert torch.equal(torch.get_rng_state(), after)


def test_a_trained_lora_loads_and_changes_the_picture(folder, tmp_path):
    made = layout.load(folder / "model")
    torch.nn.init.normal_(made.unet.conv_out.weight, std=0.1)  # nearly 0 after two steps: nothing inside would show
    layout.export(made, tmp_path / "model", folder / "tokenizer")
    steps = lora.Plan(tmp_path, folder / "latents", tmp_path / "model", 1, rank=2, batch=2, rate=0.5, samples=6)
    lora.export(lora.train(steps), tmp_path / "flat.safetensors")
    made = layout.load(tmp_path / "model")

    def drawn():
        return made("a cat", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="latent").images

    before = drawn()
    made.load_lora_weights(tmp_path, weight_name="flat.safetensors", adapter_name="flat")
    assert not torch.allclose(before, drawn())
    made.set_adapters("flat", adapter_weights=0.0)
    torch.testing.assert_close(drawn(), before)


def test_preview_factors_recover_a_linear_decoder():
    latent = torch.randn(8, 4, 4, 4)
    true = torch.tensor([[0.2, 0.0, -0.1], [0.0, 0.1, 0.1], [0.1, -0.1, 0.0], [0.05, 0.05, 0.1]])
    pictures = torch.einsum("bchw,cd->bdhw", latent, true) + 0.1
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    factors, bias = preview.factors(latent, pixels)
    torch.testing.assert_close(factors, true, atol=0.02, rtol=0)
    torch.testing.assert_close(bias, torch.full((3,), 0.1), atol=0.02, rtol=0)


def test_the_tiny_decoder_trains_and_loads(folder, tmp_path):
    from diffusers import AutoencoderTiny

    preview.export(*preview.train(preview.Plan(folder / "latents", folder / "vae", 1, width=8, batch=2, samples=4)), tmp_path)
    small = AutoencoderTiny.from_pretrained(tmp_path / "tiny-decoder", dtype=torch.float32, local_files_only=True)
    assert small.decode(torch.randn(1, 4, 16, 16)).sample.shape == (1, 3, 128, 128)


def test_the_upscaler_begins_as_plain_enlargement_and_trains(folder, tmp_path):
    picture = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        doubled = upscaler.build(8, 2)(picture)
    assert doubled.shape == (1, 3, 32, 32)
    assert (doubled - picture.repeat_interleave(2, 2).repeat_interleave(2, 3)).abs().mean() < 0.15
    steps = upscaler.Plan(tmp_path, folder / "vae", 1, scenes=4, width=8, layers=2, batch=2, samples=4)
    small, large = upscaler.pairs(steps, sprites.synthetic(WORLD.objects), WORLD)
    assert small.shape[-1] * 2 == large.shape[-1] == 256
    made = upscaler.train(steps, small, large)
    ours, bicubic = upscaler.quality(made, small, large)
    assert abs(ours - bicubic) < 6, "it has hardly learned yet, and is no worse than plain enlargement by much"
    upscaler.export(made, tmp_path / "upscaler")
    assert (tmp_path / "upscaler" / "x2.json").is_file()


def test_the_judge_learns_to_tell_what_it_is_shown(folder):
    torch.manual_seed(0)
    vae, atlas = layout.autoencoder(folder / "vae").eval(), sprites.synthetic(WORLD.objects)
    seen = judge.Judge(WORLD, width=8)
    shown = judge.examples(vae, atlas, WORLD, 1, 64)
    judge.train(seen, [shown], epochs=1)
    alone = [judge.examples(vae, atlas, WORLD, 2 + flat, 16, bool(flat), single=1.0) for flat in range(2)]
    judge.train_surfaces(seen, alone, epochs=1)
    found = judge.ceiling(seen, shown)
    assert set(found) == {"object alone", "object", "colour", "colour, or its own", "background", "count", "style"} and all(0 <= v <= 1 for v in found.values())


def test_the_judge_learns_styles_from_the_same_scenes_roughened_and_disguised():
    torch.manual_seed(0)
    vae, atlas = layout.autoencoder(Path(latents.__file__).parents[1] / "model" / "vae").eval(), sprites.synthetic(WORLD.objects)
    clean, rough = (judge.examples(vae, atlas, WORLD, 1, 4, single=1.0, rough=rough) for rough in (0.0, 0.3))
    assert clean.scenes == rough.scenes and all(scene.kind == "one" for scene in rough.scenes)
    assert 0.005 < (clean.pictures - rough.pictures).abs().mean() < 0.1
    crops = judge.crop(clean.pictures, [(p.x, p.y, p.size) for p in (scene.placements[0] for scene in clean.scenes)], 64)
    disguised = judge.disguised(crops)
    assert disguised.shape == crops.shape and disguised.abs().max() <= 1 and bool(((disguised - crops).abs().mean((1, 2, 3)) > 0.02).all())


def test_the_judge_sees_what_the_model_never_does(folder):
    vae, atlas = layout.autoencoder(folder / "vae").eval(), sprites.synthetic(WORLD.objects)
    unseen = judge.held_out_examples(vae, atlas, WORLD, 1, 1)
    assert {(s.placements[0].name, s.placements[0].colour) for s in unseen.scenes} == {p for p in words.HELD_OUT if p[0] in WORLD.objects}
    rng = random.Random(0)
    trained = [p for _ in range(400) for p in scenes.draw(rng, WORLD).placements]
    assert not {(p.name, p.colour) for p in trained} & words.HELD_OUT


def test_a_trial_is_scored_by_what_its_prompt_asks(folder):
    trials = [*evaluate.singles(WORLD, 2, 1), *evaluate.relations(WORLD, 4, 2), *evaluate.counts(WORLD, 2, 3)]
    pictures = torch.rand(len(trials), 3, 128, 128) * 2 - 1
    scored = evaluate.score(judge.Judge(WORLD, width=8).eval(), trials, pictures)
    assert scored["n"] == len(trials) and 0 <= scored["object"] <= 1
    assert all(name in trial.prompt or words.plural(name) in trial.prompt for trial in trials for name, _ in trial.wanted)


def test_edge_agreement_is_whole_for_the_same_picture():
    picture = torch.full((1, 3, 64, 64), -1.0)
    picture[..., 16:48, 16:48] = 1.0
    assert evaluate.edge_agreement(picture, edges.hint(picture)) == pytest.approx(1)
    assert evaluate.edge_agreement(picture.roll(10, 3), edges.hint(picture)) < 0.7


def test_the_vocabulary_names_every_field():
    written = vocabulary.content(words.Vocabulary.first(), ("flat style",))
    assert {"objects", "plurals", "colours", "backgrounds", "places", "relations", "counts", "styles", "examples", "words"} <= set(written)
    assert {"flat", "style", "penguins", "snow"} <= set(written["words"])


def test_a_state_file_is_replaced_whole(tmp_path):
    state.save(tmp_path / "a.pt", {"x": torch.ones(2)})
    state.save(tmp_path / "a.pt", {"x": torch.zeros(2)})
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
    assert torch.equal(state.load(tmp_path / "a.pt")["x"], torch.zeros(2))
    assert state.load(tmp_path / "none.pt") is None
