"""What trainers see of painted pictures, and in which order: that in which the bundled models saw them."""

import dataclasses
import itertools

import pytest
import torch
from safetensors.torch import load_file

from presample.models.hub import bundled_weights
from presample.models.tinyworld.autoencoder import load_autoencoder
from presample.models.tinyworld.bundled import AUTOENCODER
from presample.models.tinyworld.clip import read_words
from presample.models.tinyworld.pictures import cached, draws
from presample.models.tinyworld.training import clip, oracle, taste
from presample.models.tinyworld.training.decoded import decoded
from presample.models.tinyworld.training.painted import by_size, shards
from presample.models.trainer.fit import Place

HALF = Place(1, 2)


def painted(*counts):
    """Ramps of several sizes; what is told of each picture is its number."""
    found, begin = [], 0
    for size, count in enumerate(counts):
        shape = (count, 3, 8, 8 + size)
        pixels = torch.arange(torch.Size(shape).numel()).reshape(shape) % 251
        found.append((pixels.to(torch.uint8), torch.arange(begin, begin + count)[:, None]))
        begin += count
    return found


def corner(images):
    return pytest.approx(float(images[0, 0, 0, 0]), abs=2e-3)


@pytest.mark.parametrize(
    ("place", "skip", "order", "corners"),
    [
        (Place(), 0, [[2, 0, 4], [3, 1, 5], [9, 10, 8], [1, 5, 0]], [0.502, 0.291, 0.738, 0.761]),
        (HALF, 3, [[4, 3, 0], [6, 5, 4], [3, 2, 1], [0, 2, 3]], [0.061, 0.569, 0.371, 0.060]),
    ],
)
def test_the_oracle_sees_pictures_in_the_order_that_the_bundled_one_saw(place, skip, order, corners):
    options = oracle.OracleOptions(batch=3, seed=2)
    seen = list(itertools.islice(oracle.stream(painted(7, 5), options, place=place, skip=skip), 4))
    assert [labels.flatten().tolist() for _, labels in seen] == order
    assert corners == [corner(images) for images, _ in seen]


@pytest.mark.parametrize(
    ("place", "skip", "order", "corners"),
    [
        (Place(), 0, [[13, 9, 12, 14], [2, 6, 1, 3], [4, 0, 7, 5], [11, 13, 14, 12]],
         [0.435, 0.522, 0.086, 0.710]),
        (HALF, 3, [[6, 2, 1, 5], [6, 4, 3, 1], [13, 11, 12, 14], [4, 0, 5, 7]],
         [0.608, 0.608, 0.467, 0.059]),
    ],
)  # fmt: skip
def test_taste_sees_pictures_in_the_order_that_the_bundled_one_saw(place, skip, order, corners):
    options = taste.TasteOptions(batch=4, seed=2)
    pictures = [(pixels, numbers.float()) for pixels, numbers in painted(9, 6)]
    seen = list(itertools.islice(taste.stream(pictures, options, place=place, skip=skip), 4))
    numbers = torch.arange(15.0)
    mean, std = numbers.mean(), numbers.std()
    assert [(true * std + mean).flatten().round().int().tolist() for _, true in seen] == order
    assert corners == [corner(images) for images, _ in seen]


@pytest.mark.parametrize(
    ("place", "skip", "order"),
    [(Place(), 0, [[2, 7, 5, 0], [3, 8, 4, 1], [5, 4, 1, 6]]), (HALF, 3, [[8, 2, 4, 6], [1, 2, 3, 8]])],
)
def test_the_clip_sees_pictures_in_the_order_that_the_bundled_one_saw(place, skip, order):
    pixels = torch.arange(9, dtype=torch.uint8)[:, None, None, None].expand(9, 3, 16, 16).contiguous()
    words, options = read_words(clip.Path("models/bundled/tipo-tiny")), clip.ClipOptions(batch=4, seed=2)
    stream = clip.stream(clip.Pairs(pixels, draws(0, 9)), words, options, place=place, skip=skip)
    seen = list(itertools.islice(stream, len(order)))
    assert [(s["pixels"].mean((1, 2, 3)) * 255).round().int().tolist() for s in seen] == order


def test_a_batch_larger_than_what_was_painted_is_refused():
    pairs = clip.Pairs(torch.zeros(9, 3, 16, 16, dtype=torch.uint8), draws(0, 9))
    how = {"place": Place(), "skip": 0}
    for stream in (
        oracle.stream(painted(7, 5), oracle.OracleOptions(batch=8), **how),
        taste.stream([(p, n.float()) for p, n in painted(9, 6)], taste.TasteOptions(batch=16), **how),
        clip.stream(pairs, None, clip.ClipOptions(batch=16), **how),
    ):
        with pytest.raises(ValueError, match="paint more, or lower the batch"):
            next(stream)


def test_pictures_are_loaded_by_size_with_what_is_told_of_each(tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.tinyworld.pictures.CHUNK", 8)
    options = oracle.OracleOptions(cache=str(tmp_path), pictures=16)
    found = by_size(shards(options), lambda shard: shard.seeds)
    assert sorted(torch.cat([seeds for _, seeds in found]).tolist()) == [d.seed for d in draws(0, 16)]
    assert [pixels.shape[2:] for pixels, _ in found] == sorted({pixels.shape[2:] for pixels, _ in found})
    assert all(len(pixels) == len(seeds) for pixels, seeds in found)


def test_a_second_look_is_at_what_the_autoencoder_gives_back(tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.tinyworld.pictures.CHUNK", 8)
    weights = bundled_weights(AUTOENCODER)
    how = {"accelerator": oracle.make_accelerator(oracle.OracleOptions(precision="no"))}
    found = decoded(tmp_path, 0, 9, **how)
    painted = {tuple(shard.seeds.tolist()): shard for shard in cached(tmp_path, 0, 16)}
    assert sum(len(shard.seeds) for shard in found) == 16
    for shard in found:
        same = painted[tuple(shard.seeds.tolist())]
        images = same.pixels[:1].float() / 255
        autoencoder = load_autoencoder(weights)
        given_back = autoencoder.decode(autoencoder.encode(images)) * 255
        assert torch.equal(shard.labels, same.labels)
        assert (shard.pixels[:1] - given_back).abs().max() < 1
        assert not torch.equal(shard.pixels, same.pixels)
    monkeypatch.setattr("presample.models.tinyworld.training.decoded.load_autoencoder", lambda *a, **k: None)
    kept = decoded(tmp_path, 0, 9, **how)
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(found, kept, strict=True))


def test_an_oracle_begins_with_another(tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.tinyworld.pictures.CHUNK", 8)
    common = {"cache": str(tmp_path), "pictures": 8, "decoded": 8, "batch": 1, "steps": 1, "precision": "no"}
    first = oracle.OracleOptions(out=str(tmp_path / "first"), **common)
    assert oracle.train(first)["parameters"] > 0
    begun = oracle.make_model(dataclasses.replace(first, start=str(tmp_path / "first/model.safetensors")))
    whole = load_file(tmp_path / "first/model.safetensors")
    assert all(
        torch.equal(t.half().float(), whole[n].float())
        for n, t in begun.state_dict().items()
        if n.endswith("weight")
    )
    assert all(p.requires_grad for p in begun.parameters())
    assert begun.training
