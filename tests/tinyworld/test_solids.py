"""Canvases of one colour."""

from presample.models.tinyworld.solids import COLORS, solid_picture, solid_prompt, solids


def test_a_stream_is_the_same_from_any_place_on():
    assert solids(3, 40)[17:25] == solids(3, 8, start=17)
    assert solids(3, 40) != solids(4, 40)


def test_half_of_the_canvases_are_black_or_white():
    drawn = solids(0, 400)
    assert 0.4 < sum(one.color in ("black", "white") for one in drawn) / 400 < 0.6
    assert {one.color for one in drawn} == set(COLORS)
    assert len({(one.width, one.height) for one in drawn}) == 5


def test_a_canvas_has_its_size_and_colour_and_every_prompt_names_it():
    for one in solids(0, 20):
        pixels = solid_picture(one)
        assert tuple(pixels.shape) == (3, one.height, one.width)
        assert len(pixels.flatten(1).unique(dim=1)[0]) == 1
        assert all(one.color in solid_prompt(one, number=k) for k in range(8))
    extremes = {one.color: int(solid_picture(one).float().mean()) for one in solids(0, 60)}
    assert (extremes["black"], extremes["white"]) == (0, 255)
