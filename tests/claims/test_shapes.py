"""ColourShapes: what is drawn can be read back, follows its distribution, and is said in captions."""

import re

import pytest
import torch

from presample.models.claims import shapes, shapes_oracle, shapes_text
from presample.models.claims.shapes import ATTRIBUTES, SIZES
from presample.models.claims.statistics import counts, total_variation
from presample.models.seeds import generator_for

SHAPES_OF_PICTURES = [(16, 16), (32, 32), (20, 12), (12, 20), (24, 10), (10, 24)]


@pytest.mark.parametrize(("width", "height"), SHAPES_OF_PICTURES)
def test_the_oracle_reads_real_pictures_almost_without_fault(width, height):
    scenes = shapes.draw(600, generator_for(width, height))
    reading = shapes_oracle.read(shapes.render(scenes, width=width, height=height))
    right = (reading.attributes() == scenes.attributes()).float().mean(0)
    assert right.min() >= 0.995, right
    assert (reading.count == 1).float().mean() >= 0.995
    assert (reading.size - scenes.size).abs().max() < 0.03
    assert (reading.brightness - scenes.brightness).abs().max() < 0.1
    assert shapes_oracle.accuracy(reading, scenes) >= 0.995


def test_the_oracle_stands_noise_and_tells_what_is_wrong():
    scenes = shapes.draw(600, generator_for(1))
    images = shapes.render(scenes)
    noisy = shapes_oracle.read(images + 0.1 * torch.randn(images.shape, generator=generator_for(2)))
    assert shapes_oracle.accuracy(noisy, scenes) > 0.98
    others = scenes.attributes().roll(1, 0)
    assert shapes_oracle.accuracy(noisy, others) < 0.5
    named = torch.zeros(600, 4, dtype=torch.bool)
    named[:, 3] = True
    flipped = shapes_oracle.read(images.flip(3))
    assert shapes_oracle.accuracy(flipped, scenes, named) == 0


def test_two_shapes_are_counted_as_two():
    one = shapes.draw(50, generator_for(3))
    other = one._replace(quadrant=3 - one.quadrant, x=1 - one.x, y=1 - one.y)
    images = shapes.render(one, width=24, height=24)
    both = torch.where(
        (images - one.ground[:, None, None, None]).abs() > 1e-6,
        images,
        shapes.render(other, width=24, height=24),
    )
    assert (shapes_oracle.read(both).count == 2).float().mean() > 0.95


def test_scenes_follow_the_joint_distribution_and_colour_leans_with_shape():
    joint = shapes.joint()
    assert joint.sum() == pytest.approx(1)
    drawn = counts(*shapes.draw(40_000, generator_for(4)).attributes().unbind(1), sizes=SIZES)
    assert total_variation(drawn, joint) < 0.05
    colour = joint.sum((2, 3))
    mean = (colour / colour.sum(1, keepdim=True)) @ torch.arange(8.0).double()
    assert mean[0] < mean[1] - 0.5
    assert mean[1] < mean[2] - 0.5


def test_pictures_are_the_same_for_one_seed_smooth_and_in_bounds():
    a, b = (shapes.render(shapes.draw(8, generator_for(5)), width=20, height=12) for _ in range(2))
    assert torch.equal(a, b)
    assert a.shape == (8, 3, 12, 20)
    assert a.abs().max() <= 1
    half = shapes.cover(
        torch.tensor([0]), torch.tensor([0.35]), torch.tensor([0.5]), torch.tensor([0.5]), width=16, height=16
    )
    assert half.sum() == pytest.approx((0.35 * 16) ** 2, rel=0.01)
    assert ((half > 0.05) & (half < 0.95)).any()


def test_captions_say_what_is_named_and_nothing_else():
    scenes = shapes.draw(200, generator_for(6))
    named = shapes_text.random_names(200, generator_for(7))
    for generator in (None, generator_for(8)):
        for row, caption in enumerate(shapes_text.captions(scenes, named, generator)):
            for column, values in enumerate(ATTRIBUTES.values()):
                value = values[int(scenes.attributes()[row, column])]
                word = f"{value} ground" if column == 2 else value
                assert bool(re.search(rf"\b{word}\b", caption)) == bool(named[row, column]), caption


def test_words_are_embedded_one_by_one_and_strange_ones_refused():
    words, mask = shapes_text.embed(["red, circle", "", "a red shape at the top left"], 16)
    assert words.shape == (3, 7, 16)
    assert mask.sum(1).tolist() == [2, 0, 7]
    assert torch.equal(words[0, 0], words[2, 1])
    assert not words[1].any()
    with pytest.raises(ValueError, match="vocabulary, got hat"):
        shapes_text.embed(["a red hat"], 16)


def test_the_random_network_tells_pictures_apart_and_is_always_the_same():
    images = shapes.render(shapes.draw(16, generator_for(9)))
    a, b = shapes_oracle.RandomNet()(images), shapes_oracle.RandomNet()(images)
    assert torch.equal(a, b)
    assert a.shape == (16, 64)
    assert a.std(0).mean() > 1e-3
