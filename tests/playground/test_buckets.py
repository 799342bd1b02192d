"""Bucket lists, assignment, snapping and the options of the nodes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from presample.models.playground import buckets
from presample.models.playground.buckets import (
    BucketOptions,
    SnapOptions,
    aspect,
    assign,
    in_ratio,
    label,
    list_for,
    make_buckets,
    nearest,
    parse_ratio,
    pick,
    ratio,
    snap,
    snap_to,
    swap,
)

NOVELAI = """256x1024 320x1024 384x1024 384x960 384x896 448x832 512x768 512x704 576x640 512x512
640x576 704x512 768x512 832x448 896x384 960x384 1024x384 1024x320 1024x256"""

# Of the paper's appendix, height x width.
SDXL = """512x2048 512x1984 512x1920 512x1856 576x1792 576x1728 576x1664 640x1600 640x1536 704x1472 704x1408
704x1344 768x1344 768x1280 832x1216 832x1152 896x1152 896x1088 960x1088 960x1024 1024x1024 1024x960 1088x960
1088x896 1152x896 1152x832 1216x832 1280x768 1344x768 1408x704 1472x704 1536x640 1600x640 1664x576 1728x576
1792x576 1856x512 1920x512 1984x512 2048x512"""


def sizes_of(text):
    return [tuple(map(int, name.split("x"))) for name in text.split()]


def test_novelais_list_is_the_published_one():
    assert set(buckets.NOVELAI) == set(sizes_of(NOVELAI))
    assert len(buckets.NOVELAI) == 19


def test_sdxls_list_is_the_published_one():
    assert set(buckets.SDXL) == {swap(size) for size in sizes_of(SDXL)}
    assert len(buckets.SDXL) == 40
    assert all(side % 64 == 0 for size in buckets.SDXL for side in size)


def test_the_little_worlds_list_is_its_canvases():
    from presample.models.tinyworld.pictures import SIZES

    assert set(buckets.TINY) == set(SIZES.values())


@pytest.mark.parametrize("name", buckets.LISTS)
def test_lists_go_from_tall_to_wide(name):
    aspects = [aspect(size) for size in buckets.LISTS[name]]
    assert aspects == sorted(aspects)


@given(st.integers(64, 2048), st.sampled_from([8, 16, 64]))
def test_a_made_list_fits_its_area_and_has_every_size_mirrored(side, step):
    found = make_buckets(side * side, step=step)
    assert len(set(found)) == len(found)
    for width, height in found:
        assert width % step == height % step == 0
        assert width * height <= side * side
        assert (height, width) in found
    if side % step == 0:
        assert (side, side) in found


def test_a_list_of_nothing_is_refused():
    with pytest.raises(ValueError, match="fit an area of 100"):
        make_buckets(100, step=64)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        make_buckets(0)


def test_pictures_go_where_the_logarithm_of_the_aspect_is_nearest():
    # Linearly 1:1.5 would be nearer to the square, and 1.5:1 as near to either.
    sizes = ((500, 1000), (1000, 1000), (1000, 500))
    assert nearest(1300, 1000, sizes) == (1000, 1000)
    assert nearest(1000, 1300, sizes) == (1000, 1000)
    assert nearest(1500, 1000, sizes) == (1000, 500)
    assert nearest(1000, 1500, sizes) == (500, 1000)
    assert assign([(10, 10), (30, 10), (10, 30)], sizes) == [1, 2, 0]
    assert assign([(10, 10), (30, 10)], sizes, most_off=math.log(1.3)) == [1, None]


def test_of_buckets_alike_in_aspect_the_one_nearest_in_size_is_taken():
    sizes = ((256, 256), (512, 512), (1024, 1024))
    assert nearest(500, 500, sizes) == (512, 512)
    assert nearest(9000, 9000, sizes) == (1024, 1024)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from(sorted(buckets.LISTS)))
def test_a_turned_picture_has_the_turned_bucket_where_the_list_has_it(width, height, name):
    sizes = [size for size in buckets.LISTS[name] if swap(size) in buckets.LISTS[name]]
    found, turned = nearest(width, height, sizes), nearest(height, width, sizes)
    assert abs(aspect(found)) == pytest.approx(abs(aspect(turned)))


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.sampled_from([None, 64 * 64, 512 * 768, 1024 * 1024]),
    st.sampled_from([8, 16, 64]),
)
def test_what_is_snapped_to_multiples_stays_and_has_the_area(width, height, area, step):
    found = snap(width, height, area=area, step=step)
    assert found[0] % step == found[1] % step == 0
    assert snap(*found, area=area, step=step) == found
    side = math.sqrt(area or width * height)
    if side > 4 * step and max(width / height, height / width) < 4:
        assert found[0] * found[1] == pytest.approx(side * side, rel=2 * step / side)
        assert aspect(found) == pytest.approx(aspect((width, height)), abs=2 * step / side)


@given(st.integers(1, 9000), st.integers(1, 9000), st.sampled_from(sorted(buckets.LISTS)))
def test_what_is_snapped_to_a_list_stays(width, height, name):
    found = snap(width, height, buckets.LISTS[name])
    assert found in buckets.LISTS[name]
    assert snap(*found, buckets.LISTS[name]) == found


@pytest.mark.parametrize(
    ("size", "free", "listed"),
    [((876, 1168), (888, 1184), (896, 1152)), ((1254, 836), (1248, 832), (1216, 832))],
)
def test_the_papers_sizes_are_snapped(size, free, listed):
    assert snap(*size, area=1024 * 1024) == free
    assert snap(*size, buckets.SDXL) == listed


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="at least 1, got 0, 5"):
        nearest(0, 5, buckets.SDXL)
    with pytest.raises(ValueError, match="at least 1, got 4, 0"):
        snap(4, 0)


def test_names_and_ratios_are_read_and_written():
    assert label((1216, 832)) == "1216x832"
    assert ratio((1216, 832)) == "19:13"
    found = [parse_ratio(text) for text in ("3:2", " 1.5 ", "1216x832", "1216 × 832", "21/9", "16:9.0")]
    assert found == pytest.approx([1.5, 1.5, 1216 / 832, 1216 / 832, 21 / 9, 16 / 9])
    for wrong in ("", "wide", "0:1", "3:", "-1", "1e9", "3:2:1"):
        with pytest.raises(ValueError, match="must look like"):
            parse_ratio(wrong)


@pytest.mark.parametrize(
    ("given", "image", "wanted"),
    [
        ({}, None, (1216, 832)),
        ({"ratio": "16:9"}, None, (1344, 768)),
        ({"ratio": "1:99"}, None, (512, 2048)),
        ({"bucket": "576x1664"}, None, (576, 1664)),
        ({"buckets": "novelai", "ratio": "1"}, None, (512, 512)),
        ({"buckets": "tiny", "ratio": "2:1"}, None, (160, 96)),
        ({"buckets": "area", "side": 512, "step": 32, "ratio": "2"}, None, (704, 352)),
        ({"bucket": "576x1664"}, (4000, 3000), (1152, 896)),
        ({"buckets": "novelai"}, (500, 500), (512, 512)),
    ],
)
def test_a_bucket_is_picked_by_name_by_ratio_or_by_a_picture(given, image, wanted):
    assert pick(BucketOptions(**given), image) == wanted


def test_a_size_is_snapped_as_the_options_say():
    assert snap_to(SnapOptions(), 1254, 836) == (1216, 832)
    assert snap_to(SnapOptions("novelai"), 1254, 836) == (768, 512)
    assert snap_to(SnapOptions("multiples"), 1254, 836) == (1248, 832)
    assert snap_to(SnapOptions("multiples", side=512, step=16), 1254, 836) == (624, 416)


@pytest.mark.parametrize(
    ("size", "ratio", "wanted"),
    [
        ((1024, 1024), "1:1", (1024, 1024)),
        ((1024, 1024), "3:2", (1216, 832)),
        ((832, 1216), "3:2", (832, 1216)),
        ((832, 1216), "16:9", (768, 1344)),
        ((512, 512), "1:1", (512, 512)),
        ((512, 512), "3:2", (768, 512)),
        ((448, 640), "3:2", (512, 768)),
    ],
)
def test_a_ratio_keeps_the_orientation_and_the_kind_of_model(size, ratio, wanted):
    found = in_ratio(size, ratio, list_for(size))
    assert found == wanted
    assert in_ratio(found, ratio, list_for(found)) == found


@pytest.mark.parametrize("size", [(1000, 700), (64, 2048), (513, 769), (2048, 2048), (576, 640)])
@pytest.mark.parametrize("name", buckets.PUBLISHED)
def test_a_bucket_stays_in_its_list_where_none_is_named(size, name):
    found = nearest(*size, list_for(size, name))
    assert found in buckets.LISTS[name]
    assert nearest(*found, list_for(found)) == found


@pytest.mark.parametrize("name", buckets.PUBLISHED)
@pytest.mark.parametrize("wanted", ["1:1", "4:3", "3:2", "16:9", "21:9"])
def test_every_usual_ratio_has_a_bucket_near_to_it(name, wanted):
    found = in_ratio((1024, 1024), wanted, list_for((1024, 1024), name))
    assert abs(math.exp(aspect(found)) / parse_ratio(wanted) - 1) < 0.12
