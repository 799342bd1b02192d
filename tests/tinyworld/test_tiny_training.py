"""The trainings of the autoencoder and the CLIP, a few steps of each; the bundled files where they are."""

import dataclasses
import itertools

import pytest
import torch
from safetensors.torch import load_file

from presample.models.tinyworld.autoencoder import load_autoencoder
from presample.models.tinyworld.clip import read_words
from presample.models.tinyworld.training import autoencoder, clip
from presample.models.trainer.fit import Place

pytest.importorskip("accelerate")
pytest.importorskip("transformers")
SHORT = {"steps": 4, "save_every": 2, "log_every": 2, "warmup": 1, "precision": "no"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return str(tmp_path_factory.mktemp("pictures"))


def options_for(module, out, pictures):
    if module is autoencoder:
        return autoencoder.AutoencoderOptions(
            out=str(out), batch=2, crop=32, pictures=1, cache=pictures, **SHORT
        )
    return clip.ClipOptions(out=str(out), batch=4, pictures=1, cache=pictures, **SHORT)


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch):
    """A chunk of pictures is eight."""
    monkeypatch.setattr("presample.models.tinyworld.pictures.CHUNK", 8)


@pytest.mark.parametrize("module", [autoencoder, clip])
def test_a_resumed_training_is_a_straight_one(module, tmp_path, pictures, monkeypatch):
    module.train(options_for(module, tmp_path / "straight", pictures))
    with monkeypatch.context() as patch:
        patch.setattr("presample.models.trainer.fit.Fitted.discard_checkpoints", lambda self: None)
        begun = options_for(module, tmp_path / "resumed", pictures)
        seen = []
        losses, a_step = (module.losses, 1) if module is autoencoder else (module.surprise, 3)

        def stop(*args, **kwargs):
            seen.append(1)
            if len(seen) > 2 * a_step:
                raise RuntimeError("the power fails")
            return losses(*args, **kwargs)

        patch.setattr(module, losses.__name__, stop)
        with pytest.raises(RuntimeError, match="power"):
            module.train(begun)
    module.train(begun)
    straight, resumed = (load_file(tmp_path / name / "model.safetensors") for name in ("straight", "resumed"))
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_a_trained_autoencoder_is_a_taesd_file_that_loads(tmp_path, pictures):
    options = options_for(autoencoder, tmp_path, pictures)
    made = autoencoder.make_model(options.seed)
    fresh = made.state_dict()
    assert autoencoder.train(options)["parameters"] == sum(p.numel() for p in made.parameters())
    model = load_autoencoder(tmp_path / "model.safetensors")
    changed = [name for name, weight in model.state_dict().items() if not torch.equal(weight, fresh[name])]
    assert len(changed) > 100
    measures = autoencoder.measure(options, count=2)
    assert 3 < measures["psnr"].value < 20
    assert not measures["psnr"].reached


def test_a_trained_clip_loads_and_is_measured(tmp_path, pictures):
    options = options_for(clip, tmp_path, pictures)
    clip.train(options)
    measures = clip.measure(options, count=128)
    assert 0 <= measures["picture"].value <= 0.2


def test_every_process_gets_pictures_of_its_own(pictures):
    pairs = clip.load_pairs(options_for(clip, "", pictures))
    options = dataclasses.replace(options_for(clip, "", pictures), batch=2)
    words = read_words(clip.Path(options.words))
    whole = clip.stream(pairs, words, options, place=Place(), skip=0)
    halves = [clip.stream(pairs, words, options, place=Place(rank, 2), skip=0) for rank in (0, 1)]
    for number, batch in enumerate(itertools.islice(whole, 4)):
        assert torch.equal(batch["pixels"], next(halves[number % 2])["pixels"])


def test_the_autoencoder_learns_from_squares_of_every_picture_alike_on_all_processes():
    pictures = [
        torch.zeros(3, 3, 64, 96, dtype=torch.uint8),
        torch.full((1, 3, 80, 80), 255, dtype=torch.uint8),
    ]
    options = autoencoder.AutoencoderOptions(batch=8, crop=32)
    whole = autoencoder.stream(pictures, options, place=Place(), skip=0)
    halves = [autoencoder.stream(pictures, options, place=Place(rank, 2), skip=1) for rank in (0, 1)]
    batches = list(itertools.islice(whole, 40))
    assert torch.equal(batches[2].images, next(halves[0]).images)
    assert torch.equal(batches[3].images, next(halves[1]).images)
    white = torch.cat([batch.images for batch in batches]).amax((1, 2, 3)).mean()
    assert 0.15 < white < 0.35, "one picture of four is white"


def test_noise_grows_with_the_steps_to_its_most_and_stays_even_in_its_logarithm():
    options = autoencoder.AutoencoderOptions(batch=512, steps=100, calm=-4, noise=1, ramp=0.5)

    def logits(step):
        return autoencoder.noise_share(step, options, torch.Generator().manual_seed(step)).logit().flatten()

    assert logits(0).tolist() == pytest.approx([-4.0] * 512, abs=1e-4)
    assert float(logits(25).max()) == pytest.approx(-1.5, abs=0.02)
    late = logits(90)
    assert (float(late.min()), float(late.max())) == pytest.approx((-4.0, 1.0), abs=0.04)
    assert late.quantile(torch.tensor([0.25, 0.5, 0.75])).tolist() == pytest.approx(
        [-2.75, -1.5, -0.25], abs=0.3
    )


def test_latents_at_half_the_size_are_held_to_pictures_at_half_the_size():
    class Blurred(torch.nn.Module):
        def forward(self, images, noise, share):
            latents = torch.randn(len(images), 16, 4, 4, generator=torch.Generator().manual_seed(0))
            return latents, images, torch.nn.functional.avg_pool2d(images, 2)

    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    batch = autoencoder.Batch(images, torch.zeros(2, 16, 4, 4), torch.zeros(2, 1, 1, 1))
    found = autoencoder.losses(Blurred(), batch, autoencoder.AutoencoderOptions(crop=32))
    assert float(found["pixels"]) == float(found["half"]) == 0


def test_the_bundled_autoencoder_gives_pictures_back():
    path = autoencoder.Path(__file__).parents[2] / "models" / "bundled" / "tiny-autoencoder"
    if not (path / "model.safetensors").exists():
        pytest.skip(f"{path.name} is not there: presample train tiny-autoencoder makes it")
    measures = autoencoder.measure(autoencoder.AutoencoderOptions(out=str(path), seed=1), count=32)
    assert measures["psnr"].value > 24
    assert 0.85 < measures["latent_std"].value < 1.15


def test_the_bundled_clip_finds_pictures():
    path = clip.Path(__file__).parents[2] / "models" / "bundled" / "tiny-clip"
    if not (path / "model.safetensors").exists():
        pytest.skip(f"{path.name} is not there: presample train tiny-clip makes it")
    measures = clip.measure(clip.ClipOptions(out=str(path), seed=1), count=128)
    assert measures["picture"].value > 0.5
    assert measures["time"].value > 0.8


def test_jitter_moves_every_picture_by_itself_and_changes_it_a_little():
    from presample.models.tinyworld.training.jitter import SHIFT, jitter

    image = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
    images = image.expand(8, -1, -1, -1)
    moved = jitter(images, torch.Generator().manual_seed(1))
    assert torch.equal(moved, jitter(images, torch.Generator().manual_seed(1)))
    assert moved.shape == images.shape
    assert len({each.numpy().tobytes() for each in moved}) == 8
    inner = image[0, :, SHIFT : 40 - SHIFT, SHIFT : 56 - SHIFT]
    for each in moved:
        best = min(
            float((each[:, y : y + 30, x : x + 46] - inner).abs().max())
            for y in range(2 * SHIFT + 1)
            for x in range(2 * SHIFT + 1)
        )
        assert best < 0.05
