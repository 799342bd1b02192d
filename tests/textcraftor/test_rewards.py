"""Rewards: what they score, TextCraftor's way to look at pictures, the loss, and the little world's taste."""

from dataclasses import asdict

import pytest
import torch
from craft_for_tests import Towers

from presample.models.hub import bundled_folder
from presample.models.metrics.scorers import Similarity
from presample.models.textcraftor.loss import OFFICIAL, cosine, total
from presample.models.textcraftor.rewards import Column, official, parse_weights
from presample.models.textcraftor.training.reward_models import tiny_rewards
from presample.models.tinyworld import taste
from presample.models.tinyworld.bundled import TASTE
from presample.models.tinyworld.pictures import draws, picture
from presample.models.tinyworld.training import taste as training


def images(count=3, height=40, width=24, seed=0):
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


# Rewards


def test_pictures_are_shown_in_clips_units():
    utils = pytest.importorskip("transformers.image_utils")
    pixels = images(1, 224, 224)
    mean, std = (torch.tensor(x)[:, None, None] for x in (utils.OPENAI_CLIP_MEAN, utils.OPENAI_CLIP_STD))
    assert torch.allclose(official(pixels), (pixels - mean) / std, atol=1e-6)


def test_pictures_are_averaged_down_and_saturated_ones_have_no_gradient():
    big = images(2, 448, 448)
    averaged = torch.nn.functional.avg_pool2d(big, 2)
    assert torch.allclose(official(big), official(averaged), atol=1e-5)
    outside = torch.tensor([-0.5, 0.5, 1.5])[None, :, None, None].expand(1, 3, 224, 224)
    outside = outside.clone().requires_grad_()
    official(outside).sum().backward()
    assert outside.grad[0, :, 0, 0].ne(0).tolist() == [False, True, False]


def test_a_similarity_is_the_cosine_of_a_picture_and_its_own_prompt():
    prompts, towers = ["a", "bb", "ccc"], Towers()
    every = towers.images(images()) @ towers.texts(prompts).T
    assert torch.allclose(
        Similarity(towers, 100.0).score(images(), prompts), 100 * every.diagonal(), atol=1e-5
    )
    matrix = Similarity(towers, 100.0, "matrix").score(images(), prompts)
    assert matrix.mean() == pytest.approx(float(100 * every.mean()), abs=1e-5)
    with pytest.raises(ValueError, match="diagonal, matrix"):
        Similarity(towers, pairs="rows")


def test_a_similarity_has_gradients():
    pixels = images().requires_grad_()
    Similarity(Towers()).score(pixels, ["a", "bb", "ccc"]).sum().backward()
    assert pixels.grad.abs().max() > 0


def test_weights_are_read_from_texts():
    assert parse_weights(["vivid=1", "hps=0.5"]) == {"vivid": 1.0, "hps": 0.5}
    for wrong in (["vivid"], ["=1"], ["vivid=x"], ["vivid=nan"], ["vivid=-inf"], ["vivid=1", "vivid=2"]):
        with pytest.raises(ValueError, match="reward must"):
            parse_weights(wrong)


# The loss


def test_the_loss_is_that_of_textcraftors_code():
    """-100 * 0.5 * clip - pick - 100 * hps - 3 * aesthetic, of means over the batch."""
    scores = {name: torch.tensor([float(i), i + 1.0]) for i, name in enumerate(OFFICIAL)}
    means = {name: float(score.mean()) for name, score in scores.items()}
    wanted = -100 * 0.5 * means["clip"] - means["pick"] - 100 * means["hps"] - 3 * means["aesthetic"]
    assert float(total(scores, OFFICIAL)) == pytest.approx(wanted)
    with pytest.raises(ValueError, match="its weight"):
        total(scores, {"clip": 1.0})


def test_the_cosine_does_not_ask_for_length():
    a, b = images(4, 1, 5).flatten(1), images(4, 1, 5, seed=1).flatten(1)
    wanted = (a * b).sum(1) / a.norm(dim=1) / b.norm(dim=1)
    assert torch.allclose(cosine(3 * a, b), wanted, atol=1e-6)


# The little world's taste


def test_colourfulness_is_that_of_hasler_and_suesstrunk():
    found = taste.colourfulness(images())
    for image, value in zip(images().double(), found, strict=True):
        red, green, blue = image
        rg, yb = red - green, (red + green) / 2 - blue
        spread = (rg.std(correction=0) ** 2 + yb.std(correction=0) ** 2) ** 0.5
        wanted = float(spread + 0.3 * (rg.mean() ** 2 + yb.mean() ** 2) ** 0.5)
        assert float(value) == pytest.approx(wanted, abs=1e-5)
    assert float(taste.colourfulness(torch.full((1, 3, 8, 8), 0.3))[0]) < 1e-5


def test_truth_counts_what_the_scene_says():
    there = {"quality": "masterpiece", "birds": "flock", "undergrowth": "ferns", "bloom": "none"}
    there |= {"rocks": "none", "shore": "bare", "time": "night", "disc": "full moon", "stars": "many"}
    absent = {"quality": "average", "birds": "none", "undergrowth": "none", "time": "day", "disc": "sun"}
    scene = asdict(draws(0, 1)[0].scene) | there
    plain = scene | absent | {"stars": "none"}
    found = taste.truth(images(2), [scene, plain])
    assert torch.allclose(found[:, 1:], torch.tensor([[2.6, 2.5], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="attributes"):
        taste.truth(images(2), [scene])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A few steps on a few pictures."""
    pytest.importorskip("accelerate")
    folder = tmp_path_factory.mktemp("taste")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("presample.models.tinyworld.pictures.CHUNK", 96)
        options = training.TasteOptions(
            out=str(folder / "tiny-reward"),
            cache=str(folder / "pictures"),
            pictures=1,
            steps=40,
            batch=8,
            warmup=5,
            save_every=100,
            precision="no",
        )
        facts = training.train(options)
    return folder / "tiny-reward", options, facts


def test_a_trained_taste_sees_colours_soon(trained):
    folder, options, facts = trained
    assert (folder / "model.safetensors").stat().st_size < 320_000
    assert facts["parameters"] == sum(t.numel() for t in taste.Taste().parameters())
    measured = training.measure(options, count=32)
    assert set(measured) == {f"{net} {kind}" for net in taste.NETS for kind in taste.KINDS}
    assert measured["reward vivid"].value > 0.4
    assert measured["judge vivid"].value > 0.4


def test_rewards_of_the_little_world_are_its_networks(trained):
    folder, _, _ = trained
    path = folder / "model.safetensors"
    both = [tiny_rewards(["moonlit", "vivid"], path, net=net) for net in taste.NETS]
    pixels = images(2, 32, 48).requires_grad_()
    loaded = taste.load_taste(path)
    for net, rewards in zip(taste.NETS, both, strict=True):
        scores = loaded.scores(pixels, net=net)
        assert torch.equal(rewards["vivid"].score(pixels, ["", ""]), scores[:, 0])
        assert torch.equal(rewards["moonlit"].score(pixels, ["", ""]), scores[:, 2])
    both[0]["vivid"].score(pixels, ["", ""]).sum().backward()
    assert pixels.grad.abs().max() > 0
    assert not torch.equal(loaded.scores(pixels), loaded.scores(pixels, net="judge"))
    with pytest.raises(ValueError, match="vivid, detailed, moonlit"):
        tiny_rewards(["beautiful"], path)


def test_the_two_networks_never_see_the_same_picture(trained):
    _, options, _ = trained
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("presample.models.tinyworld.pictures.CHUNK", 96)
        painted = training.by_size(training.shards(options), training.told)
    numbered = [
        (torch.arange(len(true))[:, None, None, None].expand(-1, 3, 8, 8), true) for _, true in painted
    ]
    batches = training.stream(numbered, options, place=training.Place(), skip=0)
    for _ in range(30):
        numbers = (next(batches)[0][:, 0, 0, 0] * 255).round().long()
        assert (numbers % 2).tolist() == [0] * 4 + [1] * 4


def test_another_file_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="presample train tiny-reward"):
        taste.load_taste(tmp_path / "model.safetensors")


def test_the_bundled_taste_follows_the_truth():
    path = bundled_folder() / TASTE
    if not (path / "model.safetensors").exists():
        pytest.skip(f"{path.name} is not there: presample train tiny-reward makes it")
    measured = training.measure(training.TasteOptions(out=str(path), seed=1), count=64)
    assert all(measure.value > 0.75 for measure in measured.values())


def test_a_column_is_one_number_of_a_network():
    column = Column(lambda pixels: pixels.mean((2, 3)), 1)
    assert torch.equal(column.score(images(), ["", "", ""]), images().mean((2, 3))[:, 1])


def test_the_truth_of_painted_pictures_is_in_the_order_of_the_kinds():
    found = draws(5, 2)
    pixels = torch.stack([picture(d)[:, :96, :96] for d in found]).float() / 255
    assert taste.truth(pixels, [asdict(d.scene) for d in found]).shape == (2, len(taste.KINDS))
