"""The shape of a model: what is refused, what is filled in, and lists of heads."""

import json

import pytest

from presample.models.mmh_dit.config import FULL, MMHDiTConfig, head_allocation


def test_the_full_size_is_that_of_the_report():
    assert (FULL.hidden, FULL.depth, FULL.mlp_hidden, FULL.cond_dim) == (1536, 32, 4096, 1024)
    assert FULL.heads == (8,) * 8 + (16,) * 8 + (24,) * 8 + (48,) * 8
    assert sorted(set(FULL.head_dims)) == [32, 64, 96, 192]
    assert 1.12e9 < FULL.parameters < 1.22e9


def test_widths_that_are_not_given_follow_from_the_width():
    config = MMHDiTConfig(hidden=192, heads=(8,))
    assert (config.mlp_hidden, config.cond_dim) == (512, 192)
    assert MMHDiTConfig(hidden=384, heads=(8,), mlp_hidden=100, cond_dim=5).mlp_hidden == 100


def test_a_config_is_the_same_after_json():
    config = MMHDiTConfig(hidden=96, heads=(2, 4), text_pos="zero", icfm_sigma=0.01, gate_init=0.3)
    assert MMHDiTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"heads": (5,)}, r"got 5; nearest are \[2, 3, 4, 6\]"),
        ({"heads": (16,)}, "multiples of 4"),
        ({"heads": (0,)}, "got 0"),
        ({"heads": ()}, "one head count for each block"),
        ({"hidden": 6, "heads": (2,)}, "make hidden a multiple of 4"),
        ({"text_pos": "middle"}, "one of diagonal, zero"),
        ({"in_ch": 0}, "in_ch must be from 1 to 16777216, got 0"),
        ({"icfm_sigma": float("nan")}, "icfm_sigma must be from 0"),
        ({"gate_init": float("inf")}, "gate_init"),
        ({"hidden": 10**15 + 1, "heads": (3,)}, "hidden must be from 1 to 65536, got 1000000000000001"),
        ({"mlp_hidden": 10**400}, "mlp_hidden must be from 0"),
        ({"rope_theta": 10**400}, "rope_theta must be from 1"),
        ({"heads": (4,) * 1025}, "at most 1024 blocks, got 1025"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        MMHDiTConfig(**{"hidden": 96, "heads": (4,), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [{"heads": "4"}, {"heads": 4}, {"heads": (4.0,)}, {"heads": (True,)}, {"hidden": "96"}, {"qk_norm": 1}],
)
def test_values_of_another_type_are_refused(wrong):
    with pytest.raises(TypeError, match=next(iter(wrong))):
        MMHDiTConfig(**{"hidden": 96, "heads": (4,), **wrong})


@pytest.mark.parametrize("facts", [{"hidden": 96}, {"hidden": 96, "heads": [4], "colour": 1}])
def test_a_config_from_a_file_has_the_names_it_must_have(facts):
    with pytest.raises(ValueError, match=r"heads|colour"):
        MMHDiTConfig.from_dict(facts)
    with pytest.raises(TypeError, match="JSON object"):
        MMHDiTConfig.from_dict([facts])


def test_heads_are_few_early_and_many_late_or_the_other_way_or_equal():
    assert head_allocation("mmh", 6, (2, 4, 8)) == (2, 2, 4, 4, 8, 8)
    assert head_allocation("mmh", 5, (2, 4)) == (2, 2, 2, 4, 4)
    assert head_allocation("reversed", 6, (2, 4, 8)) == (8, 8, 4, 4, 2, 2)
    assert head_allocation("uniform", 3) == (24, 24, 24)
    assert head_allocation("uniform", 3, (16,)) == (16, 16, 16)
    for wrong in (("random", 4), ("mmh", 0)):
        with pytest.raises(ValueError, match=r"kind|depth"):
            head_allocation(*wrong)
