"""The oracle: its network, its counting, and what the bundled one reads off pictures it has not seen."""

from dataclasses import replace

import pytest
import torch

from presample.models.hub import bundled_folder
from presample.models.tinyworld.bundled import ORACLE
from presample.models.tinyworld.finish import LEVELS
from presample.models.tinyworld.oracle import (
    Oracle,
    accuracy,
    load_oracle,
    read,
    scores,
    shown,
    values,
    visible,
)
from presample.models.tinyworld.pictures import SIZES, draws, picture
from presample.models.tinyworld.render import INVISIBLE
from presample.models.tinyworld.scene import ASPECTS, sample, world

HELD_OUT = 77
COUNT = 250


@pytest.fixture(scope="module")
def fresh():
    model = Oracle()
    model.init_weights(torch.Generator().manual_seed(0))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def bundled():
    if not (bundled_folder() / ORACLE / "model.safetensors").exists():
        pytest.skip(f"{ORACLE} is not there: presample train tiny-oracle makes it")
    return load_oracle()


@pytest.fixture(scope="module")
def held_out():
    """Pictures and scenes by size, of a stream that no training sees."""
    found = {}
    for draw in draws(HELD_OUT, COUNT):
        found.setdefault((draw.width, draw.height), []).append(draw)
    return [
        (torch.stack([picture(d) for d in g]).float() / 255, [d.scene for d in g]) for g in found.values()
    ]


def test_every_attribute_is_read_or_called_invisible():
    assert set(visible()) | set(INVISIBLE) == set(world().nodes)
    assert not set(visible()) & set(INVISIBLE)
    assert values()["quality"] == ("excellent", "good", "average")


def test_what_is_shown_of_a_scene_has_its_level_of_quality():
    scene = sample(torch.Generator().manual_seed(0))
    assert shown(scene)["quality"] == LEVELS[scene.quality]
    assert set(shown(scene)) == set(visible())


@pytest.mark.parametrize("size", [*SIZES.values(), (384, 384), (60, 44)])
def test_pictures_of_any_size_are_read(fresh, size):
    width, height = size
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    for reading in read(images, oracle=fresh):
        assert set(reading.values) == set(visible())
        for name, chances in reading.probabilities.items():
            assert sum(chances.values()) == pytest.approx(1, abs=1e-4)
            assert reading.values[name] == max(chances, key=chances.get)
            wanted = ASPECTS if name == "aspect" else values()[name]
            assert tuple(chances) == tuple(wanted)


def test_a_mirrored_picture_reads_the_same(fresh):
    images = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(scores(images, oracle=fresh), scores(images.flip(-1), oracle=fresh))
    assert not torch.allclose(fresh(images), fresh(images.flip(-1)), atol=1e-3)


def test_a_picture_that_is_none_is_refused(fresh):
    with pytest.raises(ValueError, match=r"\(b, 3, h, w\) in 0..1, got \(3, 64, 64\)"):
        read(torch.zeros(3, 64, 64), oracle=fresh)


def test_accuracy_counts_only_what_is_named(fresh):
    these = draws(0, 6, square=True)
    images = torch.stack([picture(d) for d in these]).float() / 255
    readings = read(images, oracle=fresh)
    named = [("season", "resolution"), ("season",), (), ("hair",), (), ()]
    found = accuracy(images, [d.scene for d in these], named=named, oracle=fresh)
    assert found["season"][1] == 2
    assert found["season"][0] == sum(readings[i].values["season"] == these[i].scene.season for i in (0, 1))
    assert found["hair"][1] == 1
    assert found["time"] == (0, 0)
    assert "resolution" not in found
    with pytest.raises(ValueError, match="6 images, 5 scenes"):
        accuracy(images, [d.scene for d in these][:5], oracle=fresh)


def test_accuracy_is_whole_where_the_scene_is_what_was_read(fresh):
    draw = draws(0, 1, square=True)[0]
    images = picture(draw)[None].float() / 255
    seen = read(images, oracle=fresh)[0].values
    words = {level: word for word, level in LEVELS.items()}
    scene = replace(draw.scene, **{**seen, "quality": words[seen["quality"]]})
    assert set(accuracy(images, [scene], oracle=fresh).values()) == {(1, 1)}


def test_a_file_of_another_network_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="presample train tiny-oracle"):
        load_oracle(tmp_path / "model.safetensors")


def test_the_bundled_oracle_reads_held_out_pictures(bundled, held_out):
    """Its card has the exact shares; with 250 pictures each has an error of about one in a hundred."""
    total = dict.fromkeys(visible(), 0)
    for images, scenes in held_out:
        for name, (right, _) in accuracy(images, scenes, oracle=bundled).items():
            total[name] += right
    shares = {name: right / COUNT for name, right in total.items()}
    assert sum(shares.values()) / len(shares) >= 0.95
    assert min(shares.values()) >= 0.78, sorted(shares.items(), key=lambda p: p[1])[:5]


def test_the_bundled_oracle_is_surer_of_what_is_there(bundled, held_out):
    images, scenes = held_out[0]
    readings = read(images, oracle=bundled)
    sure = [r.probabilities[n][v] for r, s in zip(readings, scenes, strict=True) for n, v in shown(s).items()]
    assert sum(sure) / len(sure) > 0.92
