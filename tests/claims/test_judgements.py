"""What experiments ask of their numbers: each criterion is met by what it wants, and by nothing else."""

import pytest

from presample.models.claims.experiment import Results
from presample.models.claims.judgement import FAILS, HOLDS, OPEN, verdict
from presample.models.claims.registry import named

GUIDANCE = 3  # places of a row of the presampling experiments


def judged(name, numbers, seeds=5):
    """The checks of an experiment by what they are about; `numbers(arm, seed)` stands in for its cells."""
    (e,) = named([name])
    found = Results({(arm, seed): numbers(arm, seed) for arm in e.arms for seed in range(seeds)}, e.arms)
    return e.judge(e.settings, found).checks


def unmet(checks):
    return [check.what for check in checks if not check.met]


def solid(**changed):
    """Numbers that meet everything; `sd_error=0.1` is the error of the arm `sd`, and so on."""
    usual = {
        "sd": {"error": 0.9, "black": -0.1, "white": 0.1, "ratio": 0.4, "formula": 0.39},
        "sd-offset": {"error": 0.5, "black": -0.5, "white": 0.5, "ratio": 0.3, "formula": 0.39},
        "ztsnr": {"error": 0.02, "black": -0.98, "white": 0.98, "ratio": 0.95, "formula": 1.0},
        "edm": {"error": 0.03, "black": -0.97, "white": 0.97, "ratio": 0.95, "formula": 0.92},
    }
    for key, value in changed.items():
        arm, what = key.split("_")
        usual[arm] = usual[arm] | {what: value}
    return lambda arm, seed: {key: value + 0.0001 * seed for key, value in usual[arm].items()}


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({}, None),
        ({"edm_error": 0.06}, "EDM: error of solid pictures"),
        ({"edm_ratio": 0.85}, "EDM: R"),
        ({"ztsnr_error": 0.06}, "zero terminal SNR: error of solid pictures"),
        ({"ztsnr_ratio": 0.85}, "zero terminal SNR: R"),
        ({"sd_error": 0.08}, "SD's schedule: error over EDM's"),
        ({"sd_ratio": 0.6}, "SD's schedule: R against the formula"),
    ],
)
def test_solid_pictures_ask_each_of_its_own(changed, about):
    checks = judged("solid", solid(**changed))
    assert unmet(checks) == ([about] if about else [])
    assert verdict(checks, 5) == (FAILS if about else HOLDS)


def test_a_network_that_tells_black_from_white_in_no_way_decides_nothing():
    checks = judged("solid", solid(edm_white=-0.5))
    assert unmet(checks) == ["EDM: brightness of white over black"]
    assert verdict(checks, 5) == OPEN


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({}, []),
        ({"sigma-80": [0.9, 0.9]}, ["R against the formula", "R from EDM's, 80"]),
        ({"sigma-14.61": [0.84, 0.95]}, ["R against the formula", "R from SD's last sigma, 14.61"]),
    ],
)
def test_exact_brightness_asks_for_the_formula_and_for_what_is_left(changed, about):
    wanted = {"sigma-14.61": [0.845, 0.62], "sigma-80": [0.993, 0.974], "sigma-4518": [1.0, 1.0]}
    found = wanted | changed
    checks = judged("solid-exact", lambda arm, seed: {"found": found[arm], "wanted": wanted[arm]})
    assert unmet(checks) == about


def buckets(gain=0.08, square=0.0, worst="square-only", learned=0.75):
    def numbers(arm, seed):
        balanced = arm == "balanced"
        others = 0.6 + 0.001 * seed + gain * balanced
        return {
            "accuracy": [learned + square * balanced, *[others] * 4],
            "duplicates": [0.1, *[0.5 if arm == worst else 0.3] * 4],
            **{key: [1.0] * 5 for key in ("miscounted", "distance", "gap", "repeats")},
        }

    return numbers


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({}, None),
        ({"gain": 0.04}, 0),
        ({"gain": -0.2}, 0),
        ({"square": -0.03}, 1),
        ({"worst": "uniform"}, 2),
        ({"learned": 0.55}, 3),
    ],
)
def test_buckets_ask_each_of_its_own(changed, place):
    checks = judged("buckets", buckets(**changed))
    assert [check.met for check in checks] == [i != place for i in range(4)]
    assert [check.control for check in checks] == [False, False, False, True]


def presampling(**changed):
    """Distances of the arms at the two larger guidances, and what is said of the language model."""
    far = {"simple": 1.0, "tipo": 0.5, "oracle": 0.45, "uniform": 0.7, "mode": 0.9}
    said = {"nll_model": 0.3, "nll_unigram": 3.0, "order": 1.0, "length": 1.0, "kept": 1.0}
    shapes = changed.pop("shapes", 0.8)
    far |= {key: value for key, value in changed.items() if key in far}
    said |= {key: value for key, value in changed.items() if key in said} | {"useless": 0.0, "whole": 1.0}

    def numbers(arm, seed):
        columns = {"distance": [0.5, *[far[arm] + 0.001 * seed] * 2], "shapes": [shapes] * GUIDANCE}
        columns |= {key: [0.1] * GUIDANCE for key in ("random", "variation", "coverage")}
        return columns | (said if arm in ("tipo", "mode") else {})

    return numbers


@pytest.mark.parametrize(
    ("changed", "about"),
    [
        ({}, ()),
        ({"simple": 0.5}, ("presampled minus short prompt",)),
        ({"simple": 0.54}, ("presampled minus short prompt",)),  # a fall, and a small one
        ({"oracle": 0.35}, ("over that of prompts from the true distribution",)),
        ({"uniform": 0.4}, ("evenly minus presampled",)),
        ({"mode": 0.4}, ("the likeliest only minus presampled",)),
        ({"shapes": 0.5}, ("pictures show the shape",)),
        ({"nll_model": 3.5}, ("against unigrams",)),
        ({"length": 0.8}, ("as many tags as it learned",)),
        ({"kept": 0.98}, ("the user's shape, and no other",)),
        ({"order": 0.98}, ("fields in the task's order",)),
    ],
)
def test_presampling_asks_each_of_its_own(changed, about):
    checks = judged("presampling", presampling(**changed))
    missed = unmet(checks)
    assert bool(missed) == bool(about)
    assert all(any(words in what for words in about) for what in missed)
    assert verdict(checks, 5) == (OPEN if "shapes" in changed else FAILS if about else HOLDS)
