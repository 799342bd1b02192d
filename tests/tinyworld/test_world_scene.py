"""The world's joint distribution, and whether scenes are drawn from it."""

import math
from collections import Counter
from dataclasses import fields

import pytest
import torch

from presample.models.tinyworld import scene
from presample.models.tinyworld.net import eliminate

DRAWS = 6000


@pytest.fixture(scope="module")
def scenes():
    return scene.sample_many(torch.Generator().manual_seed(7), DRAWS)


def test_the_joint_sums_to_one():
    assert float(scene.world().mass()) == pytest.approx(1, abs=1e-9)


def test_every_row_of_every_table_sums_to_one():
    for scope, table in scene.world().tables.values():
        assert torch.allclose(table.sum(-1), torch.ones(table.shape[:-1], dtype=torch.float64)), scope


def test_the_fields_of_a_scene_are_the_nodes_in_their_order():
    assert [f.name for f in fields(scene.Scene)] == list(scene.world().nodes)


def test_every_value_can_occur():
    world = scene.world()
    for name, n in world.nodes.items():
        mass = world.mass(keep=(name,))
        assert (mass > 1e-4).all(), (name, dict(zip(n.values, mass.tolist(), strict=True)))


def chi_squared(counts: Counter, expected: dict) -> tuple[float, int]:
    """The statistic and its degrees of freedom; cells that expect less than 5 are put together."""
    rare = [k for k, e in expected.items() if e < 5]
    cells = [(counts[k], e) for k, e in expected.items() if e >= 5]
    if rare:
        cells.append((sum(counts[k] for k in rare), max(sum(expected[k] for k in rare), 1e-9)))
    return sum((o - e) ** 2 / e for o, e in cells), len(cells) - 1


@pytest.mark.parametrize(
    "names",
    [
        ("season", "weather"),
        ("place", "structure"),
        ("time", "disc"),
        ("figure", "outfit"),
        ("trees", "stand"),
    ],
    ids="-".join,
)
def test_drawn_scenes_match_the_exact_joint_of_pairs(scenes, names):
    world = scene.world()
    joint = eliminate(list(world.tables.values()), names)
    first, second = (world.nodes[n].values for n in names)
    expected = {(a, b): float(joint[i, j]) * DRAWS for i, a in enumerate(first) for j, b in enumerate(second)}
    counts = Counter((getattr(s, names[0]), getattr(s, names[1])) for s in scenes)
    assert not [k for k in counts if expected[k] == 0]
    statistic, freedom = chi_squared(counts, expected)
    assert statistic < freedom + 4 * math.sqrt(2 * freedom)  # four standard deviations


def entropy():
    """H(scene) in nats: minus the mean logarithm of every table, whose weights are gradients of log 1."""
    tables = [(names, table.clone().requires_grad_()) for names, table in scene.world().tables.values()]
    gradients = torch.autograd.grad(eliminate(tables, ()).log(), [table for _, table in tables])
    means = (torch.xlogy(g * t, t).sum() for g, (_, t) in zip(gradients, tables, strict=True))
    return -float(sum(mean.detach() for mean in means))


def test_the_mean_log_probability_of_draws_is_minus_the_entropy(scenes):
    logs = torch.tensor([scene.log_prob(s) for s in scenes[:2000]], dtype=torch.float64)
    error = float(logs.std()) / math.sqrt(len(logs))
    assert abs(float(logs.mean()) + entropy()) < 4 * error


def test_the_same_seed_draws_the_same_scene_and_leaves_the_global_state_alone():
    before = torch.random.get_rng_state()
    first, second = (scene.sample(torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == second
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_posterior_knows_what_cannot_be():
    assert scene.posterior("season", {"event": "petals"})["winter"] == 0
    assert scene.posterior("disc", {"time": "night"})["sun"] == 0
    with pytest.raises(ValueError, match="probability 0"):
        scene.posterior("place", {"time": "night", "disc": "sun"})


def test_each_ratio_belongs_to_the_shape_of_canvas_that_lists_it():
    for shape, ratios in scene.ASPECTS.items():
        assert {scene.aspect_of(r) for r in ratios} == {shape}
    assert scene.aspect_of(16 / 9) == "wide"
    assert set(scene.ASPECTS) == set(scene.world().nodes["aspect"].values)
