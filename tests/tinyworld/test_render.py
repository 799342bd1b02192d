"""The painter: what decides a picture, what every attribute does to it, and what quality takes away."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from presample.models.tinyworld.brush import Canvas, Look, rgb
from presample.models.tinyworld.finish import LEVELS
from presample.models.tinyworld.render import INVISIBLE, paint, paint_solid
from presample.models.tinyworld.scene import Scene, log_prob, sample, sample_many, world

# With nothing absent, so that every attribute has something to change.
RICH = Scene(
    season="summer",
    place="lakeside",
    time="day",
    weather="clear",
    sky="blue",
    clouds="few",
    disc="sun",
    stars="none",
    event="balloon",
    birds="few",
    wind="calm",
    relief="hills",
    ground="grass",
    water="lake",
    boat="rowboat",
    shore="lilies",
    trees="broadleaf",
    stand="few",
    flowers="red",
    bloom="few",
    undergrowth="bushes",
    rocks="some",
    structure="house",
    roof="red",
    windows="lit",
    path="trail",
    fixture="bench",
    animal="dog",
    figure="girl",
    hair="black",
    hair_length="long",
    outfit="dress",
    outfit_color="white",
    carries="straw hat",
    pose="standing",
    facing="viewer",
    shot="wide",
    layout="centered",
    palette="natural",
    finish="plain",
    effect="none",
    quality="masterpiece",
    resolution="highres",
    aspect="square",
)
ATTRIBUTES = [name for name in world().nodes if name not in (*INVISIBLE, "aspect")]


def picture(scene, seed=0, width=128, height=128):
    return paint(scene, width=width, height=height, seed=seed)


def test_equal_arguments_give_equal_pictures_and_other_seeds_others():
    scene = sample(torch.Generator().manual_seed(5))
    assert torch.equal(picture(scene, 7), picture(scene, 7))
    apart = [(picture(scene, 7) - picture(scene, seed)).abs().mean() for seed in range(8, 12)]
    assert min(apart) > 0.005


def test_no_global_generator_is_touched():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    picture(RICH)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()


@settings(max_examples=25, deadline=None)
@given(width=st.integers(16, 200), height=st.integers(16, 200), seed=st.integers(0, 2**40))
def test_any_scene_is_painted_at_any_size(width, height, seed):
    scene = sample(torch.Generator().manual_seed(seed % 1000))
    found = picture(scene, seed, width, height)
    assert found.shape == (3, height, width)
    assert found.dtype == torch.float32
    assert 0 <= float(found.min()) <= float(found.max()) <= 1


@pytest.fixture(scope="module")
def plain_scenes():
    """Scenes with everything that the net says, but no haze of the picture's own over them."""
    scenes = sample_many(torch.Generator().manual_seed(17), 60)
    kept = {"palette": "natural", "finish": "plain", "effect": "none", "layout": "centered", "shot": "wide"}
    return [RICH, *(replace(s, quality="masterpiece", **kept) for s in scenes if s.weather != "fog")]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_values_that_both_are_possible_look_different(name, plain_scenes):
    levels = list(dict.fromkeys(LEVELS.values()))
    alike = {v: levels.index(LEVELS[v]) if name == "quality" else v for v in world().nodes[name].values}
    compared = 0
    for value, other in itertools.pairwise([*alike, next(iter(alike))]):  # each with the next, in a ring
        for scene in plain_scenes:
            pair = [replace(scene, **{name: v}) for v in (value, other)]
            if alike[value] != alike[other] and all(np.isfinite(log_prob(s)) for s in pair):
                changed = (picture(pair[0]) - picture(pair[1])).abs().amax(0)
                assert int((changed > 0.06).sum()) >= 12, (value, other, scene)
                compared += 1
                break
    assert compared >= 1


def test_what_is_called_invisible_is():
    for name in INVISIBLE:
        values = world().nodes[name].values
        assert all(torch.equal(picture(RICH), picture(replace(RICH, **{name: v}))) for v in values)


def test_a_composition_is_the_same_in_larger_pixels():
    """A picture of three times the size, averaged over 3 x 3 pixels, is about the small one."""
    for scene in sample_many(torch.Generator().manual_seed(3), 6):
        scene = replace(
            scene, finish="plain", quality="masterpiece", ground="soil", event="none", stars="none"
        )
        scene = replace(scene, weather="clear", effect="none", bloom="none", layout="centered")
        small, large = picture(scene, 1), picture(scene, 1, 384, 384)
        back = torch.nn.functional.avg_pool2d(large[None], 3)[0]
        assert float((small - back).abs().mean()) < 0.04


def test_lower_quality_is_blurred_and_blotched():
    """Detail of the light falls from level to level, noise of colour rises."""
    detail, noise = [], []
    for value in ("masterpiece", "good quality", "low quality"):
        pictures = torch.stack([picture(replace(RICH, quality=value), seed) for seed in range(4)])
        gray = pictures.mean(1)
        colour = pictures - gray[:, None]
        blurred = torch.nn.functional.avg_pool2d(gray, 3, stride=1)
        detail.append(float((blurred[..., 1:] - blurred[..., :-1]).square().mean()))
        flat = colour[:, :, 4:20, 4:60]  # sky
        noise.append(float((flat[..., 1:] - flat[..., :-1]).abs().mean()))
    assert detail[0] > detail[1] > detail[2]
    assert noise[0] < noise[1] < noise[2]


def test_every_word_for_quality_has_a_level():
    assert set(LEVELS) == set(world().nodes["quality"].values)


def test_symmetrical_backgrounds_are_mirrored():
    scene = replace(RICH, layout="symmetrical", figure="none", animal="none", shore="bare", boat="none")
    scene = replace(scene, fixture="none", rocks="none", undergrowth="none", flowers="none", bloom="none")
    scene = replace(scene, event="none", birds="none")
    top = picture(scene)[:, :100, 20:108]  # between the posts, whose light comes from one side
    assert float((top - top.flip(-1)).abs().max()) < 0.02


def test_a_solid_picture_is_one_colour():
    assert float(paint_solid("black", width=32, height=16).max()) == 0
    assert float(paint_solid("white", width=32, height=16).min()) == 1
    assert paint_solid("336699", width=32, height=16)[:, 3, 5].tolist() == pytest.approx([0.2, 0.4, 0.6])
    with pytest.raises(ValueError, match="black, white or six hexadecimal digits, got 'grey'"):
        paint_solid("grey", width=32, height=16)


def test_sides_and_seeds_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match="at least 16 pixels, got 128x8"):
        paint(RICH, width=128, height=8, seed=0)
    with pytest.raises(ValueError, match="0 or more, got -1"):
        paint(RICH, width=128, height=128, seed=-1)


def test_shapes_cover_their_area():
    """Against the areas that geometry gives, at fractions of pixels and across the canvas's edge."""
    cases = [
        (lambda c: c.ellipse(30.3, 31.7, 12.5, 7.25, rgb("ffffff")), np.pi * 12.5 * 7.25),
        (lambda c: c.ellipse(32, 32, 9.0, 4.0, rgb("ffffff"), turn=0.7), np.pi * 36),
        (lambda c: c.line((10.2, 12.1), (50.5, 40.3), 3.0, rgb("ffffff")), 6 * 49.18 + np.pi * 9),
        (lambda c: c.polygon([(8, 8), (50, 12), (20, 55)], rgb("ffffff")), 0.5 * abs(42 * 47 - 12 * 4)),
        (lambda c: c.polygon([(20, 55), (50, 12), (8, 8)], rgb("ffffff")), 0.5 * abs(42 * 47 - 12 * 4)),
        (lambda c: c.rect(40.5, 30.25, 10.0, 20.0, rgb("ffffff"), Look(0.5)), 0.5 * 30.5 * 10.25),
        (lambda c: c.ring(32, 64, 20, 3, rgb("ffffff"), top=True), np.pi * 20 * 6),
        (lambda c: c.ellipse(0, 32, 10, 10, rgb("ffffff")), np.pi * 50),
    ]
    for draw, area in cases:
        canvas = Canvas(64, 64)
        draw(canvas)
        assert canvas.pixels[..., 0].sum() == pytest.approx(area, rel=0.03)
