"""The exact probabilities of tag lists against counting and against sums that have to hold."""

import math
from collections import Counter
from dataclasses import asdict

import pytest
import torch

from presample.models.tinyworld import tags, truth
from presample.models.tinyworld.scene import sample_many

EVERYTHING = truth.Given({})
DRAWS = 3000


@pytest.fixture(scope="module")
def records():
    generator = torch.Generator().manual_seed(2)
    return [tags.mention(s, generator)[1] for s in sample_many(generator, DRAWS)]


def close(count: int, probability: float, draws: int = DRAWS) -> bool:
    """Whether a count is within four standard deviations of its expectation."""
    return abs(count - draws * probability) < 4 * math.sqrt(draws * probability * (1 - probability)) + 1e-9


def test_rates_of_tags_match_counting(records):
    rates = truth.mention_rates()
    counts = Counter(t for r in records for t in r["general"])
    far = [t for t, rate in rates.items() if not close(counts[t], rate)]
    assert len(far) <= 1, far  # 296 tags at four standard deviations


def test_sizes_of_lists_match_counting_and_sum_to_one(records):
    sizes = truth.log_supersets((), EVERYTHING).exp()
    assert float(sizes.sum()) == pytest.approx(1, abs=1e-9)
    counts = [len(r["general"]) for r in records]
    for low, high in ((0, 17), (18, 35), (36, 47), (48, 95)):
        assert close(sum(low <= n <= high for n in counts), float(sizes[low : high + 1].sum()))


def test_supersets_with_evidence_match_counting(records):
    given = truth.Given({"quality": "masterpiece"}, fixed=None)
    sizes = truth.log_supersets({"night", "tree"}, given).exp()
    found = [
        r for r in records if {"night", "tree"} <= set(r["general"]) and r["quality"] == ("masterpiece",)
    ]
    assert close(len(found), float(sizes.sum()))


def test_a_set_given_its_whole_scene_is_a_product_over_tags():
    generator = torch.Generator().manual_seed(4)
    (scene,) = sample_many(generator, 1)
    true = tags.tags_of(scene)["general"]
    said = set(true[::3])
    wanted = sum(
        share * math.prod(chance if t in said else 1 - chance for t in true)
        for share, chance in tags.DETAIL.values()
    )
    given = truth.Given(asdict(scene))
    evidence = truth.log_supersets((), given).exp().sum().log()
    assert truth.log_set(said, given) - float(evidence) == pytest.approx(math.log(wanted), abs=1e-8)
    assert truth.log_set({*said, next(t for t in tags.TAGS if t not in true)}, given) == -math.inf


def test_next_tags_and_the_end_together_have_probability_one():
    generator = torch.Generator().manual_seed(6)
    (scene,) = sample_many(generator, 1)
    given = truth.Given(asdict(scene))
    true = tags.tags_of(scene)["general"]
    start, others = list(true[:-5]), true[-5:]
    bucket = (0, 71)

    def prefix(words) -> float:
        """log p(an ordered list of the bucket begins so)."""
        sizes = truth.log_supersets(set(words), given).exp()
        k = len(words)
        terms = [
            float(sizes[m]) * math.exp(math.lgamma(m - k + 1) - math.lgamma(m + 1)) for m in range(k, 72)
        ]
        return math.log(sum(terms))

    total = math.exp(-truth.continuation_nll(start, [], given, bucket=bucket))
    total += sum(math.exp(prefix([*start, t]) - prefix(start)) for t in others)
    assert total == pytest.approx(1, abs=1e-8)


def test_knowing_the_scene_makes_the_continuation_likelier_than_unigrams_think(records):
    rates = truth.mention_rates()
    sizes = dict(enumerate(truth.log_supersets((), EVERYTHING).exp().tolist()))
    gains = []
    for record in [r for r in records if 18 <= len(r["general"]) <= 35][:6]:
        general = list(record["general"])
        start, rest = general[::2], general[1::2]
        fixed = {*record.get("special", ()), *record.get("meta", ())}
        given = truth.Given({"quality": record["quality"][0]}, fixed)
        exact = truth.continuation_nll(start, rest, given, bucket=(18, 35))
        gains.append(truth.unigram_nll(start, rest, rates, sizes=sizes, bucket=(18, 35)) - exact)
    assert sum(gains) / len(gains) > 5


def test_lists_outside_their_bucket_are_refused():
    with pytest.raises(ValueError, match="18 to 35"):
        truth.continuation_nll(["night"], ["tree"], EVERYTHING, bucket=(18, 35))
