"""Every picture is cut to the size of its aspect, without enlarging and without bending it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures_for_tests import picture

from presample.models.mmh_dit.data.images import LeftOut
from presample.models.mmh_dit.data.stages import STAGES, Stage, cut, parse_sizes, plan

pytest.importorskip("PIL", reason="pictures need presample[data]")
SIDE = st.integers(16, 5000)


def test_the_published_stages_have_their_sizes():
    assert STAGES["256"].sizes == ((256, 256),)
    assert STAGES["256"].crop == "random"
    sizes = STAGES["512"].sizes
    assert set(sizes) == {(512, 512), (448, 576), (576, 448)}
    assert all(side % 64 == 0 for size in sizes for side in size)
    assert all(max(size) / min(size) <= 1.3 for size in sizes)
    areas = [width * height for width, height in sizes]
    assert max(areas) / min(areas) < 1.02


def refused(width, height, stage):
    try:
        plan(width, height, STAGES[stage])
    except LeftOut as why:
        return str(why)


@given(SIDE, SIDE, st.sampled_from(sorted(STAGES)), st.text(), st.integers(0, 2**31))
def test_a_cut_lies_in_the_picture_keeps_its_shape_and_never_enlarges(width, height, stage, key, seed):
    if (reason := refused(width, height, stage)) is not None:
        assert reason == "too wide or too high" or min(width, height) < int(stage)
        return
    how = plan(width, height, STAGES[stage], key=key, seed=seed)
    left, top, right, bottom = how.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    scales = how.size[0] / (right - left), how.size[1] / (bottom - top)
    assert math.isclose(*scales, rel_tol=1e-6)
    assert scales[0] <= 1 + 1e-9
    assert math.isclose(right - left, width, rel_tol=1e-9) or math.isclose(bottom - top, height, rel_tol=1e-9)
    assert plan(width, height, STAGES[stage], key=key, seed=seed) == how


@pytest.mark.parametrize(
    ("size", "chosen"),
    [
        ((2000, 2000), (512, 512)),
        ((2000, 1800), (512, 512)),
        ((2000, 1700), (576, 448)),
        ((3000, 2000), (576, 448)),
        ((2000, 3000), (448, 576)),
        ((1920, 1080), (576, 448)),
    ],
)
def test_the_nearest_aspect_is_chosen_wide_and_high_alike(size, chosen):
    assert plan(*size, STAGES["512"]).size == chosen


@pytest.mark.parametrize(
    ("size", "stage", "why"),
    [
        ((2000, 900), "512", "too wide or too high"),
        ((900, 2000), "512", "too wide or too high"),
        ((511, 511), "512", "too small"),
        ((255, 4000), "256", "too small"),
    ],
)
def test_what_does_not_fit_is_left_out(size, stage, why):
    with pytest.raises(LeftOut, match=why):
        plan(*size, STAGES[stage])


def test_small_pictures_are_enlarged_where_asked_for():
    assert plan(100, 100, Stage(((256, 256),), enlarge=True)).box == (0, 0, 100, 100)


def test_random_crops_reach_both_ends_and_follow_from_key_and_seed():
    lefts = [plan(512, 256, STAGES["256"], key=str(i)).box[0] for i in range(300)]
    assert min(lefts) < 10
    assert max(lefts) > 246
    assert plan(512, 256, STAGES["256"], key="a", seed=1) != plan(512, 256, STAGES["256"], key="a", seed=2)


def test_a_cut_shows_the_part_of_its_box():
    image = picture(400, 200)
    how = plan(400, 200, Stage(((128, 128),), most_cut=0.9))
    assert how.box == (100, 0, 300, 200)
    shown = cut(image, how)
    wanted = image.crop((100, 0, 300, 200)).resize((128, 128), resample=1)
    off = [abs(a - b) for a, b in zip(shown.tobytes(), wanted.tobytes(), strict=True)]
    assert max(off) <= 2, "but for rounding"


def test_sizes_are_read_width_first():
    assert parse_sizes("128x128, 144x112") == ((128, 128), (144, 112))
    assert len(parse_sizes("sdxl")) == 40
    assert {(128, 128), (160, 96), (96, 160)} <= set(parse_sizes("128step16"))
    for text in ("128", "128*128", "", "axb"):
        with pytest.raises(ValueError, match="512x512"):
            parse_sizes(text)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"sizes": ((100, 100),)}, "multiples of 16"),
        ({"sizes": ()}, "multiples of 16"),
        ({"sizes": ((64, 64),), "crop": "left"}, "random or centre"),
        ({"sizes": ((64, 64),), "most_cut": 1.0}, "most_cut"),
    ],
)
def test_a_stage_that_cannot_be_says_why(how, why):
    with pytest.raises(ValueError, match=why):
        Stage(**how)
