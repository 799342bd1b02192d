"""The stream of pictures: the same from any place on, and files that give back what was painted."""

import hashlib

import pytest
import torch

from presample.models.tinyworld import pictures
from presample.models.tinyworld.pictures import (
    SIZES,
    VERSION,
    cached,
    draws,
    labels_of,
    picture,
    prompt,
    read_shards,
    render_many,
    scene_of,
    write_shards,
)
from presample.models.tinyworld.scene import aspect_of


def test_a_stream_is_the_same_from_any_place_on():
    whole = draws(3, 30, start=1010)
    assert draws(3, 10, start=1022) == whole[12:22]
    assert draws(4, 30, start=1010) != whole
    assert len({d.seed for d in whole}) == 30


def test_sizes_are_of_their_shapes_and_about_as_large():
    for shape, (width, height) in SIZES.items():
        assert aspect_of(width / height) == shape
        assert abs(width * height / 128**2 - 1) < 0.07
    assert all((d.width, d.height) == SIZES[d.scene.aspect] for d in draws(0, 20))
    assert all((d.width, d.height) == (128, 128) for d in draws(0, 20, square=True))


def test_prompts_follow_from_draw_and_number():
    draw = draws(0, 1)[0]
    assert prompt(draw) == prompt(draw)
    assert len({prompt(draw, number=i).text for i in range(8)}) > 1


def test_worker_processes_change_nothing():
    these = draws(1, 4)
    alone, helped = list(render_many(these)), list(render_many(these, workers=1))
    assert all(torch.equal(a, b) for a, b in zip(alone, helped, strict=True))


def test_a_file_gives_back_pictures_and_scenes(tmp_path):
    these = draws(2, 8)
    write_shards(tmp_path / "a.safetensors", pictures.painted(these))
    shards = read_shards(tmp_path / "a.safetensors")
    assert sum(len(shard.seeds) for shard in shards.values()) == 8
    for size, shard in shards.items():
        draw = shard.draw(0)
        assert draw in these
        assert (draw.width, draw.height) == size
        assert torch.equal(shard.pixels[0], picture(draw))


def test_scenes_survive_as_numbers():
    for draw in draws(5, 50):
        assert scene_of(labels_of(draw.scene)) == draw.scene


def test_the_stream_is_that_of_its_version():
    """Where this fails on purpose, VERSION is to grow: files of the older stream are then not read again."""
    said = "\n".join(prompt(draw).text for draw in draws(0, 64))
    assert (VERSION, hashlib.sha256(said.encode()).hexdigest()[:16]) == (1, "d6455bc4849213cf")
    means = [picture(draw).float().mean((1, 2)).tolist() for draw in draws(0, 3)]
    assert means == [
        pytest.approx(colour, abs=0.3)
        for colour in ([169.6, 152.6, 149.3], [134.6, 112.1, 76.5], [155.3, 114.2, 76.9])
    ]


def test_kept_files_of_another_version_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "CHUNK", 2)
    written = []
    monkeypatch.setattr(pictures, "write_shards", lambda *given: written.append(write_shards(*given)))
    for version in (1, 1, 2):
        monkeypatch.setattr(pictures, "VERSION", version)
        cached(tmp_path, 0, 2)
    assert len(written) == 2
