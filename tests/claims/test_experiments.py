"""Every experiment at a size of seconds: the exact ones against theory, the trained ones that they run."""

import json
import math
from dataclasses import replace

import pytest
import torch

from presample.models.claims import (
    buckets,
    dedup,
    icfm_closed,
    icfm_pictures,
    icfm_ring,
    mmh,
    presampling,
    record,
    registry,
    score_tags,
    shift,
    solid,
    toy,
    variety,
)
from presample.models.claims import presampling_lm as writing
from presample.models.claims.experiment import Job, Results
from presample.models.mmh_dit import flow

CPU = torch.device("cpu")
LITTLE = {"hidden": 16, "heads": (2, 2), "mlp": 32, "word": 8, "steps": 10, "batch": 4, "warmup": 2}
SMALL = {
    "icfm-pictures": {"model": toy.Toy(**LITTLE), "pictures": 8, "steps": 2, "few": 1},
    "mmh-small": {
        "model": toy.Toy(**LITTLE | {"hidden": 48, "heads": (2,) * 4}),
        "pictures": 4,
    },
    "solid": {"model": toy.Toy(**LITTLE), "pictures": 8, "steps": 3},
    "shift": {
        "model": toy.Toy(**LITTLE | {"width": 32, "height": 32, "patch": 8}),
        "base": 16,
        "pictures": 8,
        "truths": 64,
        "steps": 3,
    },
    "variety": {"count": 6, "tags": 30, "shortest": 6, "longest": 9},
    "buckets": {"model": toy.Toy(**LITTLE), "counts": (40, 8, 8, 8, 8), "pictures": 4, "steps": 2},
    "presampling": {
        "model": toy.Toy(**LITTLE),
        "writer": writing.Writer(hidden=16, layers=1, heads=2, mlp=32, steps=6, batch=4),
        "pictures": 12,
        "truths": 64,
        "steps": 2,
    },
    "icfm-ring": {"steps": 20, "samples": 64, "euler": 4, "hidden": 16},
    "icfm-robust": {"steps": 20, "samples": 64, "euler": 4, "hidden": 16},
    "presampling-exact": {"points": 64, "steps": 5},
}
SMALL["mmh-small"] |= {"validation": 8, "sampling": 2}


def named(name):
    (found,) = [e for e in registry.experiments() if e.name == name]
    return found


def cells(e, tmp_path, seeds=(0,), **changes):
    e = replace(e, settings=replace(e.settings, **changes))
    found = {}
    for arm, seed in e.cells(seeds):
        values = e.measure(Job(e.settings, arm, seed, CPU, tmp_path / str(seed)))
        found[arm, seed] = json.loads(json.dumps(record.rounded(dict(values))))
    return e, Results(found, e.arms)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_an_experiment_runs_is_judged_and_follows_from_its_seed(name, tmp_path):
    e, found = cells(named(name), tmp_path, **SMALL[name])
    judgement = e.judge(e.settings, found)
    assert judgement.checks
    assert judgement.tables
    assert judgement.panels
    again = e.measure(Job(e.settings, e.arms[0], 0, CPU, tmp_path / "again"))
    first = {key: found.raw(e.arms[0], key)[0] for key in again}
    assert json.loads(json.dumps(record.rounded(dict(again)))) == first


def test_in_closed_form_slopes_and_ends_are_those_of_theory(tmp_path):
    e, found = cells(named("icfm-closed"), tmp_path, samples=1 << 19)
    assert max(found.values("sigma-0.1", "slope_error")) < 0.01
    assert found.values("sigma-0.1", "end_std")[0] == pytest.approx(math.sqrt(0.4**2 + 0.1**2), abs=1e-4)
    assert found.values("sigma-0.3", "end_std")[0] == pytest.approx(0.5, abs=1e-4)
    assert found.values("sigma-0", "end_mean")[0] == pytest.approx(0.3, abs=1e-4)
    strict = replace(e.settings, slope_error=1e-9)
    assert [check.met for check in e.judge(strict, found).checks] == [False, True]


def test_the_best_slope_is_that_of_a_regression_worked_out_by_moments():
    t, s, sigma = 0.3, 0.7, 0.2
    cross = t * s**2 - (1 - t)  # E[(x_1 - x_0)(x_t - E x_t)]
    assert icfm_closed.best_slope(t, s, sigma) == pytest.approx(
        cross / (t**2 * s**2 + (1 - t) ** 2 + sigma**2)
    )


def test_points_on_the_ring_are_judged_as_they_are():
    s = icfm_ring.Settings()
    label = torch.arange(4000) % icfm_ring.LABELS
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    true = icfm_ring.looks(s, icfm_ring.centres(s)[label] + s.std * noise, label)
    assert true["hit"] > 0.99
    assert true["std"] == pytest.approx(s.std, rel=0.05)
    assert true["radial"] == pytest.approx(s.std * math.sqrt(math.pi / 2), rel=0.05)
    assert true["distance"] < 1e-3
    wrong = icfm_ring.looks(s, icfm_ring.centres(s)[(label + 1) % 8], label)
    assert wrong["hit"] == 0
    assert wrong["distance"] > 0.005


def test_copies_go_and_originals_stay_but_not_with_eps_as_a_distance(tmp_path):
    small = {"pictures": 400, "planted": 60, "subset": 200}
    e, found = cells(named("data-dedup"), tmp_path, **small)
    assert all(check.met for check in e.judge(e.settings, found).checks)
    assert found.values("distance-0.9", "kept")[0] < 0.05
    assert found.values("random", "reduced")[0] <= found.values("whole", "reduced")[0] == 1


def test_planted_copies_are_near_their_originals_and_nothing_else_is():
    x, copied = dedup.embeddings(Job(replace(dedup.Settings(), pictures=500), "whole", 3, CPU, None))
    planted = copied >= 0
    cosine = (x @ x.T).fill_diagonal_(0)
    assert planted.sum() == 300
    near = cosine[planted, copied[planted]]
    assert near.min() >= 0.919
    assert near.max() < 1
    loose = cosine[~planted][:, ~planted]
    assert loose.max() < 0.85


def test_arms_of_head_lists_have_equal_weights_and_the_last_is_near_the_mean():
    assert mmh.allocations(mmh.SPEC)["mmh"] == (2,) * 3 + (4,) * 3 + (8,) * 3 + (16,) * 3
    assert mmh.allocations(mmh.SPEC)["reversed"] == mmh.allocations(mmh.SPEC)["mmh"][::-1]
    assert "uniform-8" in mmh.allocations(mmh.SPEC)
    for s in (mmh.SMALL, mmh.SPEC):
        for heads in mmh.allocations(s).values():
            config = toy.with_heads(s.model, heads).config
            assert config.parameters == s.model.config.parameters
            assert min(config.head_dims) >= 8


def test_attention_to_everything_alike_has_the_entropy_and_distance_of_a_uniform_one():
    s = replace(mmh.SMALL, model=toy.Toy(**LITTLE))
    job = Job(s, "mmh", 0, CPU, None)
    model = toy.make(s.model, job.generator(0))
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight[:32] = 0  # q and k
    example, text = mmh._example(job, 1, 0)
    text = flow.Text(text.tokens[:, :0], text.mask[:, :0])
    entropy, distance = mmh.attending(model, (example, text))
    assert entropy == pytest.approx([math.log(17)] * 2, rel=1e-4)
    places = torch.cartesian_prod(torch.arange(4.0), torch.arange(4.0))
    assert distance == pytest.approx([float(torch.cdist(places, places).mean())] * 2, rel=1e-4)


@pytest.mark.parametrize("sigma", ["sigma-14.61", "sigma-80", "sigma-4518"])
def test_brightness_shrinks_as_the_formula_says(sigma, tmp_path):
    s = replace(solid.Exact(), pictures=4096, elements=(256, 1024))
    values = solid.measure_exact(Job(s, sigma, 0, CPU, tmp_path))
    assert values["found"] == pytest.approx(values["wanted"], rel=0.05)


def test_a_schedule_of_every_arm_begins_and_ends_where_it_should():
    s = named("solid").settings
    ways = {arm: solid.way(s, arm) for arm in solid.TITLES}
    assert float(ways["sd"].sigmas[0]) == pytest.approx(14.61, abs=0.01)
    assert float(ways["edm"].sigmas[0]) == 80
    assert float(ways["ztsnr"].sigmas[0]) > 4000
    for arm, each in ways.items():
        assert each.sigmas[-1] == 0
        assert len(each.sigmas) == s.steps + 1
        low, high = (
            float(each.clock(each.how.scalings(x[None].float()).c_noise)[0])
            for x in (each.sigmas[-2], each.sigmas[0])
        )
        assert 0 <= low < high <= 1.001, arm
    assert [each.offset for each in ways.values()] == [0, 0.1, 0, 0]


def test_solid_pictures_are_what_their_captions_say():
    s = replace(named("solid").settings, solid=0.5, model=toy.Toy(batch=64))
    images, said = solid.world(s, torch.Generator().manual_seed(0), drop=0.0)
    for image, caption in zip(images, said, strict=True):
        assert ("solid" in caption) == (float(image.std()) == 0)
        if "solid" in caption:
            assert float(image.mean()) == (1 if "white" in caption else -1)
    assert 16 < sum("solid" in caption for caption in said) < 48


def test_shifted_noise_is_twice_as_much_at_twice_the_side_and_all_else_is_the_same():
    s = named("shift").settings
    plain, shifted = (shift.noise_of(s, arm) for arm in shift.TITLES)
    assert (plain.sigma_max, plain.p_mean) == (80, 0)
    assert shifted.sigma_max == pytest.approx(160)
    assert shifted.p_mean == pytest.approx(math.log(2))
    assert replace(shifted, sigma_max=plain.sigma_max, p_mean=plain.p_mean) == plain
    at_base = replace(s, model=replace(s.model, width=32, height=32))
    assert shift.noise_of(at_base, "shifted") == plain
    way = solid.edm_way(shifted, 7)
    ends = way.sigmas[[0, -2]].double()
    assert ends.tolist() == pytest.approx([160, 0.002])
    assert way.clock(way.how.scalings(ends).c_noise).tolist() == pytest.approx([1, 0], abs=1e-6)


def test_low_frequencies_see_large_forms_and_not_fine_ones():
    fine = (torch.arange(64) % 2 * 2.0 - 1).expand(2, 3, 64, 64)
    assert shift.low(fine).abs().max() == 0
    large = torch.cat([torch.full((1, 3, 64, 32), v) for v in (-1.0, 1.0)], 3)
    assert shift.low(large).reshape(3, 4, 4)[0].tolist() == [[-1, -1, 1, 1]] * 4


def test_a_distance_that_is_not_smaller_is_no_success_and_a_world_unlike_itself_no_control():
    e = named("shift")

    def judged(shifted, floor):
        numbers = {"ratio": 0.9, "formula": 0.9, "floor": floor}
        distances = {"unshifted": 1.0, "shifted": shifted}
        found = {
            (arm, seed): {"distance": distances[arm] + 0.001 * seed, **numbers}
            for arm in e.arms
            for seed in range(5)
        }
        return [check.met for check in e.judge(e.settings, Results(found, e.arms)).checks]

    assert judged(0.5, 0.01) == [True, True]
    assert judged(1.0, 0.01) == [False, True]
    assert judged(0.5, 0.4) == [True, False]


def test_a_chain_of_tags_says_what_follows_and_ends_where_it_should():
    s = replace(variety.Settings(), tags=12, shortest=3, longest=5)
    chain = variety.Chain(s, torch.Generator().manual_seed(0))
    writer = variety.Writer(chain, torch.Generator().manual_seed(1))
    texts = [writer.whole() for _ in range(200)]
    assert writer.tokens == sum(map(len, texts))
    lengths = [len(variety.tags_of(text, chain)) for text in texts]
    assert set(lengths) == {3, 4, 5}
    for text in texts:
        tags = variety.tags_of(text, chain)
        assert len(set(tags)) == len(tags)
        assert list(text) == [x for tag in tags for x in (tag, chain.comma)] + [chain.end]
    firsts = torch.bincount(torch.tensor([text[0] for text in texts]), minlength=14) / 200
    assert float((firsts - chain.chances(())).abs().max()) < 0.12
    share = chain.chances(texts[0][:6])
    assert float(share.sum()) == pytest.approx(1)
    assert float(share[share > 0].min()) >= s.min_p * float(share.max()) * 0.999


def test_a_tree_saves_tokens_on_a_chain_and_is_judged_by_both_numbers(tmp_path):
    e, found = cells(named("variety"), tmp_path, count=48)
    assert found.values("tree", "tokens")[0] < 0.95 * found.values("independent", "tokens")[0]
    assert found.values("tree", "texts")[0] == found.values("tree", "distinct")[0] == 48
    assert 0 < found.values("tree", "fewer")[0] < found.values("independent", "vendi")[0]

    def judged(tokens, vendi):
        made = {("independent", 0): {"tokens": 100, "vendi": 50, "texts": 256, "distinct": 256}}
        made["tree", 0] = {"tokens": tokens, "vendi": vendi, "texts": 256, "distinct": 256, "fewer": 40}
        return [check.met for check in e.judge(variety.Settings(), Results(made, e.arms)).checks]

    assert judged(70, 47.5) == [True, True, True]
    assert judged(71, 47) == [False, False, True]


def test_buckets_are_drawn_as_their_arm_says():
    s = named("buckets").settings
    drawn = {}
    for arm in buckets.ALPHAS:
        batches = buckets.order(Job(s, arm, 0, CPU, None))
        drawn[arm] = [sum(batches[i].bucket == b for i in range(200)) / 200 for b in range(5)]
    assert drawn["proportional"] == pytest.approx([0.8] + [0.05] * 4, abs=0.01)
    assert drawn["balanced"] == pytest.approx([0.5] + [0.125] * 4, abs=0.02)
    assert drawn["uniform"] == pytest.approx([0.2] * 5, abs=0.01)
    assert drawn["square-only"] == [1, 0, 0, 0, 0]


def test_presampling_helps_under_guidance_and_a_wrong_model_hurts(tmp_path):
    _, found = cells(named("presampling-exact"), tmp_path, points=2048, steps=40)
    simple, presampled, wrong = (found.raw(arm, "variation")[0] for arm in presampling.ARMS)
    assert presampled[1] < 0.3 * simple[1]
    assert presampled[0] == pytest.approx(simple[0], abs=0.03)
    assert all(a > b for a, b in zip(wrong, presampled, strict=True))


def test_score_tags_ask_for_the_level_and_wait_for_the_bundled_models(monkeypatch, tmp_path):
    monkeypatch.setattr("presample.models.hub.BUNDLED", tmp_path)
    assert "mmh-dit-tiny" in named("data-tags").missing()
    job = Job(replace(score_tags.Settings(), pictures=3), "good", 0, CPU, tmp_path)
    for draw in score_tags.scenes(job):
        words = score_tags.asked(draw, "normal quality").split(", ")
        assert words[-1] == "normal quality"
        assert not set(words[:-1]) & set(score_tags.LEVELS)
    assert score_tags._bounds().met


def test_captions_that_say_the_same_have_the_same_condition():
    given = toy.batch(toy.Toy(**LITTLE | {"batch": 64}), torch.Generator().manual_seed(0))
    cond = toy.attributes_of(given)
    same = torch.cdist(cond, cond) < 1e-3
    said = given.scenes.attributes() * given.named - (~given.named).long()
    assert torch.equal(same, (said[:, None] == said).all(2))


def test_couplings_of_the_picture_version_are_the_library_s():
    assert icfm_pictures.COUPLINGS["ot"].coupling == "ot"
    assert icfm_pictures.COUPLINGS["rf"].sigma == 0 < icfm_pictures.COUPLINGS["icfm"].sigma


def test_records_of_shapes_are_in_tipos_format_and_read_back():
    sample = writing.samples(1, torch.Generator().manual_seed(3))[0]
    assert "target: <|very_short|>" in sample.text or "target: <|short_to_long|>" in sample.text
    asked = writing.request("circle")
    assert asked == "target: <|very_short|>\ntag: circle"
    text = asked + ", red, top left, dark ground"
    assert writing.understood(text) == ([0, 0, 1, 0], [True] * 4, 0)
    assert writing.understood(text + ", blue, hat, red") == ([0, 0, 1, 0], [True] * 4, 2)
    assert writing.understood(asked) == ([0, 0, 0, 0], [True, False, False, False], 0)
    assert writing.keeps_length(text)
    assert not writing.keeps_length(text + ", red")
    assert not writing.keeps_length(asked)
    assert writing.keeps_tag(text, "circle")
    assert not writing.keeps_tag(text + ", square", "circle")
    assert not writing.keeps_tag(text, "square")


def test_answers_end_keep_the_request_and_are_the_same_for_one_seed(tmp_path):
    pytest.importorskip("transformers")
    small = writing.Writer(hidden=16, layers=1, heads=2, mlp=32)
    words = writing.tokenizer(tmp_path / "tokenizer.json", small)
    lm = writing.model(small, words.get_vocab_size(), 0).eval()
    asked = [writing.request("square")] * 3
    a, b = (writing.answers(lm, words, asked, torch.Generator().manual_seed(1)) for _ in range(2))
    assert a == b
    assert all(text.startswith(asked[0]) for text in a)
    assert len(set(writing.answers(lm, words, asked, torch.Generator(), greedy=True))) == 1
