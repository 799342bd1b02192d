"""TextCraftor's claims: the exact version reaches its thresholds, the trained one runs through, small."""

import dataclasses
import itertools

import pytest
import torch

from presample.models.claims import textcraftor, textcraftor_shapes, textcraftor_trained
from presample.models.claims.experiment import Job, Results
from presample.models.claims.judgement import verdict
from presample.models.claims.shapes import draw, render
from presample.models.claims.textcraftor_exact import CONSTRAINED, FREE, ExactSettings, ExactWorld
from presample.models.claims.textcraftor_trained import ARMS, MIX, PAIRS, Arm, ShapesSettings
from presample.models.metrics.scorers import Similarity
from presample.models.textcraftor.chain import Condition
from presample.models.textcraftor.training.tuning import Tuning

EXACT, TRAINED = textcraftor.EXPERIMENTS


def job(settings, arm, folder, *, seed=0):
    return Job(settings, arm, seed, torch.device("cpu"), folder)


# The exact version


@pytest.fixture(scope="module")
def exact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exact")
    settings = ExactSettings(batch=24, measured=120)
    cells = {(arm, 0): EXACT.measure(job(settings, arm, folder)) for arm in EXACT.arms}
    return settings, Results(cells, EXACT.arms)


def test_the_exact_version_reaches_what_the_specification_asks(exact):
    settings, results = exact
    judgement = EXACT.judge(settings, results)
    assert [check.met for check in judgement.checks] == [True] * 4, judgement.checks
    assert results.values(CONSTRAINED, "gain")[0] >= 1.0
    assert results.values(CONSTRAINED, "alignment")[0] >= 0.95
    assert results.values(FREE, "alignment")[0] <= 0.5
    rewards = results.raw(CONSTRAINED, "rewards")[0]
    assert len(rewards) == 11
    assert all(b > a for a, b in itertools.pairwise(rewards))


def test_the_thresholds_can_be_missed(exact):
    settings, results = exact
    strict = dataclasses.replace(settings, least_gain=50.0, most_collapsed=-1.0)
    assert [check.met for check in EXACT.judge(strict, results).checks] == [False, True, False, True]


def test_the_exact_denoiser_knows_the_noise_it_should_expect():
    """Of many noisy points near a spot, the mean of the true noise is what it predicts."""
    world = ExactWorld(ExactSettings())
    generator = torch.Generator().manual_seed(0)
    count, t = 400_000, 600
    kept = world.alphas_cumprod[t]
    noise = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    for text in (True, False):
        which = torch.zeros(count, dtype=torch.long) if text else torch.arange(count) % 6
        spread = world.settings.spread * torch.randn(count, 2, generator=generator, dtype=torch.float64)
        x = kept.sqrt() * (world.means[which] + spread) + (1 - kept).sqrt() * noise
        spot = torch.tensor([0.5, 0.3], dtype=torch.float64)
        near = (x - spot).norm(dim=1) < 0.1
        tokens = world.means[:1, None] if text else None
        found = world.predict(spot[None], torch.tensor([t]), tokens, None)[0]
        assert torch.allclose(found, noise[near].mean(0), atol=0.03)


def test_no_step_with_a_gradient_leaves_the_table_as_it_is():
    world = ExactWorld(ExactSettings(steps=2))
    assert torch.equal(world.tune(1.0, torch.Generator().manual_seed(0), last=0), world.means)
    assert not torch.equal(world.tune(1.0, torch.Generator().manual_seed(0)), world.means)


def test_without_a_tuned_table_pictures_lie_around_their_means():
    world = ExactWorld(ExactSettings(cfg=1.0))
    prompts, noise = world.noise(600, torch.Generator().manual_seed(0))
    said = Condition(world.means[prompts][:, None])
    x = world.chain.sample(noise, said, said, last=0)
    for prompt, centre in enumerate(world.means):
        assert torch.allclose(x[prompts == prompt].mean(0), centre, atol=0.03)
    assert float((x - world.means[prompts]).std()) == pytest.approx(world.settings.spread, rel=0.3)


# The trained version


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    settings = ShapesSettings(
        base_steps=2,
        taste_steps=2,
        clip_steps=2,
        layers=1,
        ddim_steps=4,
        grad_steps=2,
        steps=2,
        batch=4,
        measured=6,
    )
    settings = dataclasses.replace(settings, least_captions=0.0)
    arms = {name: arm for name, arm in ARMS.items() if arm.last < 4}
    cells = {(arm, 0): TRAINED.measure(job(settings, arm, folder)) for arm in (*arms, MIX)}
    return settings, cells, folder


def test_every_arm_of_the_trained_version_is_measured(trained):
    _, cells, folder = trained
    for (arm, _), found in cells.items():
        points = {"denoiser": 2, MIX: 15}.get(arm, 5)
        assert len(found["captions"]) == points
        assert all(0 <= value <= 1 for value in found["captions"])
        if arm != MIX:
            assert found["gain"] == pytest.approx(
                sum(
                    (found[f"reward {k}"][-1] - found[f"reward {k}"][0]) / found[f"reward {k} spread"][0]
                    for k in ARMS[arm].rewards
                )
                / len(ARMS[arm].rewards)
            )
    starts = {found["captions"][0] for (arm, _), found in cells.items() if arm != MIX}
    assert len(starts) == 1, "all arms begin with one base"
    assert {path.stem for path in folder.glob("*.safetensors")} >= {"base", "clip", "reward", "judge"}


def test_the_mix_ends_in_each_of_its_encoders(trained):
    _, cells, _ = trained
    mix = cells[MIX, 0]
    for kind, pair in (("saturation", (1.0, 0.0)), ("size", (0.0, 1.0))):
        for key in ("reward saturation", "reward size", "captions"):
            assert mix[key][PAIRS.index(pair)] == pytest.approx(cells[kind, 0][key][-1], abs=1e-5)
            assert mix[key][PAIRS.index((0.0, 0.0))] == pytest.approx(cells[kind, 0][key][0], abs=1e-5)


def test_the_trained_version_is_judged(trained):
    settings, cells, _ = trained
    known = dict(cells)
    known |= {(arm, 0): cells["saturation", 0] for arm in ("k10", "k25")}
    results = Results(known, (*ARMS, MIX))
    judgement = TRAINED.judge(settings, results)
    assert len(judgement.checks) == 16
    assert not all(check.met for check in judgement.checks)
    assert [len(table.rows) for table in judgement.tables] == [len(ARMS), len(PAIRS)]
    assert [panel.title for panel in judgement.panels][-1] == "gain by K"
    assert [[len(line.x) for line in panel.lines] for panel in judgement.panels[2:4]] == [[5, 4, 3]] * 2
    assert verdict(judgement.checks, 5) == "does not hold"


def test_a_mix_is_measured_at_every_pair_of_weights_that_leaves_something():
    assert len(PAIRS) == 15
    assert all(a + b <= 1 for a, b in PAIRS)


def test_an_encoders_own_weight_is_judged_with_the_others_fixed():
    """What only shuns the other encoder is in order along w, 1 - w, and here it is not."""
    own, shuns = [a for a, _ in PAIRS], [-b for _, b in PAIRS]
    assert textcraftor.least_order(own, 0) == pytest.approx(1)
    assert textcraftor.least_order(shuns, 0) == 0
    assert textcraftor.least_order([b for _, b in PAIRS], 1) == pytest.approx(1)
    bent = [a if b != 0.5 else -a for a, b in PAIRS]
    assert textcraftor.least_order(bent, 0) == pytest.approx(-1)


def judged(**more):
    """Returns which checks are met by five seeds that reach everything, but for `more`, by their titles."""
    pairs = [[w[place] for w in PAIRS] for place in (0, 1)]
    cells = {}
    for seed in range(5):
        plain = {"gain": 1.0, "judged": 0.8, "lost captions": 0.0, "lost diversity": 0.0}
        plain |= {"captions": [0.9] * 5, "reward saturation": list(range(5)), "reward size": list(range(5))}
        known = {arm: dict(plain) for arm in ARMS}
        known["both-free"] |= {"lost captions": 0.3, "lost diversity": 0.4}
        known["direct"]["gain"] = 0.2
        known[MIX] = {"captions": [0.9] * 15, "reward saturation": pairs[0], "reward size": pairs[1]}
        for arm, change in more.items():
            known[arm] |= {key: value[seed] for key, value in change.items()}
        cells |= {(arm, seed): found for arm, found in known.items()}
    checks = TRAINED.judge(ShapesSettings(), Results(cells, TRAINED.arms)).checks
    return {check.what: check.met for check in checks}


def test_means_meet_thresholds_and_differences_need_their_interval():
    assert all(judged().values())
    spread = [0.1, 0.4, 0.6, 0.9, 0.9]  # mean 0.58, an interval that reaches below 0.5
    assert judged(saturation={"gain": spread}, direct={"gain": [0.0] * 5})["gain of saturation"]
    assert not judged(saturation={"gain": [-1.0, -1, -1, 3, 3]})["gain of saturation"]
    assert not judged(saturation={"gain": [0.4] * 5})["gain of saturation"]
    kept = "captions lost with the constraint"
    assert judged(both={"lost captions": [0.0, 0.0, 0.0, 0.1, 0.1]})[kept]
    assert not judged(both={"lost captions": [0.1] * 5})[kept]
    lost = {"lost captions": [-0.1, 0.0, 0.0, 0.0, 1.2]}
    assert not judged(**{"both-free": lost})["captions lost without the constraint"]


def test_direct_fine_tuning_must_gain_less_than_half_beyond_its_interval():
    title = "50% of the chain's gain minus that of direct fine-tuning"
    assert judged()[title]
    assert not judged(direct={"gain": [0.2, 0.2, 0.2, 0.7, 0.7]})[title], "less on the mean is not enough"
    assert not judged(saturation={"gain": [-0.1] * 5}, direct={"gain": [-0.5] * 5})[title]


def test_noise_is_where_the_base_is():
    """The meta device stands for a GPU: what lies on two devices cannot be computed with."""

    class Elsewhere(textcraftor_shapes.ShapesBase):
        def ask(self, denoiser):
            return lambda x, t, tokens, mask: x * t[0] + (0 if tokens is None else tokens.mean())

    size, generator = textcraftor_trained.toy.Toy(), torch.Generator().manual_seed(0)
    encoder = textcraftor_shapes.Encoder(size.word, 1).to("meta")
    eye = textcraftor_shapes.tastes(textcraftor_shapes.Eye(2).to("meta"))
    clip = Similarity(textcraftor_shapes.Clip(size.word).to("meta"))
    for method in ("chain", "direct"):
        tuning = Tuning(
            Elsewhere(encoder, None, size),
            {"size": eye["size"]},
            {"size": 1.0},
            clip,
            textcraftor_trained.craft_options(
                ShapesSettings(ddim_steps=3), Arm(("size",), method=method, last=2)
            ),
            encoder,
        )
        found = tuning.loss(encoder, textcraftor_trained.prompts(4, generator), generator)
        assert {value.device.type for value in found.values()} == {"meta"}


def test_rewards_learn_to_see_saturation_and_size():
    size = textcraftor_shapes.shorter(textcraftor_trained.toy.Toy(), 160)
    net = textcraftor_shapes.train_taste(size, torch.Generator().manual_seed(0))
    scenes = textcraftor_shapes.wide(
        draw(200, torch.Generator().manual_seed(9)), torch.Generator().manual_seed(8)
    )
    images = render(scenes) / 2 + 0.5
    true = textcraftor_shapes.truth(images, scenes)
    pairs = zip(net(images).T, true.T, strict=True)
    saturation, large = (float(torch.corrcoef(torch.stack(pair))[0, 1]) for pair in pairs)
    assert saturation > 0.4
    assert large > 0.6


def test_saturation_is_that_of_the_ink():
    scenes = draw(50, torch.Generator().manual_seed(1))
    images = render(scenes) / 2 + 0.5
    dull = render(scenes._replace(brightness=scenes.brightness / 2)) / 2 + 0.5
    assert (textcraftor_shapes.saturation(images) > textcraftor_shapes.saturation(dull)).all()
    grey = torch.full((2, 3, 16, 16), 0.3)
    assert torch.allclose(textcraftor_shapes.saturation(grey), torch.zeros(2))
