"""Choosing a token: the filters against transformers' own, and the draw against the distribution."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from presample.models.lm.sampling import Sampling, candidates, draw, penalize_

VOCABULARY = 300


def random_logits(seed: int, rows: int = 1, spread: float = 3.0) -> torch.Tensor:
    return torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed)) * spread


def distribution(logits: torch.Tensor, sampling: Sampling, grid: int = 4096) -> torch.Tensor:
    """The probability of every token (v) for one row, found by drawing with evenly spaced numbers."""
    values, tokens = candidates(logits, sampling.top_k)
    uniform = (torch.arange(grid) + 0.5) / grid
    places, chances = draw(values.expand(grid, -1), sampling, uniform)
    found = torch.zeros(logits.shape[-1])
    found[tokens[0, places]] = torch.tensor(chances)
    return found


def theirs(logits: torch.Tensor, sampling: Sampling) -> torch.Tensor:
    """The same with transformers' logits processors, in the order `Sampling` states."""
    processors = pytest.importorskip("transformers.generation.logits_process")
    scores = processors.TemperatureLogitsWarper(sampling.temperature)(None, logits)
    if sampling.top_k:
        scores = processors.TopKLogitsWarper(sampling.top_k)(None, scores)
    if sampling.top_p < 1:
        scores = processors.TopPLogitsWarper(sampling.top_p)(None, scores)
    if sampling.min_p:
        scores = processors.MinPLogitsWarper(sampling.min_p)(None, scores)
    return scores.softmax(-1)[0]


SETTINGS = [
    Sampling(),
    Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0),
    Sampling(temperature=0.7, top_k=5, top_p=1.0, min_p=0.0),
    Sampling(temperature=1.3, top_k=0, top_p=0.8, min_p=0.0),
    Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.2),
    Sampling(temperature=2.0, top_k=40, top_p=0.9, min_p=0.02),
    Sampling(temperature=1.0, top_k=10_000, top_p=0.3, min_p=0.01),
]


@pytest.mark.parametrize("sampling", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_the_kept_tokens_and_their_probabilities_are_those_of_transformers(sampling, seed):
    logits = random_logits(seed)
    ours, expected = distribution(logits, sampling), theirs(logits, sampling)
    likely = expected > 2 / 4096  # the grid meets every token that is this likely
    torch.testing.assert_close(ours[likely], expected[likely], atol=1e-6, rtol=1e-4)
    assert not (ours[expected == 0]).any()


@pytest.mark.parametrize("penalty", [0.5, 0.9, 1.1, 2.0])
def test_the_repetition_penalty_is_that_of_transformers(penalty):
    processors = pytest.importorskip("transformers.generation.logits_process")
    logits = random_logits(5)
    seen = [3, 3, 250, 17, 0]
    expected = processors.RepetitionPenaltyLogitsProcessor(penalty)(torch.tensor([seen]), logits.clone())[0]
    ours = logits[0].clone()
    penalize_(ours[None], [set(seen)], [penalty])
    torch.testing.assert_close(ours, expected)
    assert not torch.equal(ours, logits[0])


def test_every_row_has_a_penalty_of_its_own():
    logits = random_logits(7, rows=4)
    seen, penalties = [{1, 2}, {250, 2}, {3}, {17, 0, 299}], [1.1, 1.0, 1.3, 1.1]
    together = logits.clone()
    penalize_(together, seen, penalties)
    for row in range(4):
        alone = logits[row : row + 1].clone()
        penalize_(alone, seen[row : row + 1], penalties[row : row + 1])
        assert torch.equal(together[row], alone[0])


def test_a_penalty_of_one_and_an_empty_text_change_nothing():
    logits = random_logits(6)[0]
    ours = logits.clone()
    penalize_(ours[None], [{1, 2, 3}], [1.0])
    penalize_(ours[None], [set()], [1.5])
    assert torch.equal(ours, logits)


@pytest.mark.parametrize("sampling", SETTINGS[:6], ids=str)
def test_draws_have_the_frequencies_of_the_distribution(sampling):
    logits, draws = random_logits(7), 20_000
    values, tokens = candidates(logits, sampling.top_k)
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(8))
    places, _ = draw(values.expand(draws, -1), sampling, uniform)
    counts = torch.bincount(tokens[0, places], minlength=VOCABULARY).double()
    expected = theirs(logits, sampling).double() * draws
    many = expected >= 5
    pairs = [*zip(counts[many], expected[many], strict=True), (counts[~many].sum(), expected[~many].sum())]
    pairs = [(count, mean) for count, mean in pairs if mean > 0]
    square = float(sum((count - mean) ** 2 / mean for count, mean in pairs))
    freedom = len(pairs) - 1
    # Chance of more than this is below 1e-6 (normal approximation of chi-squared, generous).
    assert square < freedom + 5 * math.sqrt(2 * freedom) + 12


def test_the_draw_inverts_the_cumulative_distribution():
    values = torch.tensor([[4.0, 3.0, 2.0, 1.0]]).log()
    sampling = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0)
    steps = [(0.0, 0), (0.399, 0), (0.401, 1), (0.699, 1), (0.701, 2), (0.899, 2), (0.901, 3), (0.9999, 3)]
    places, chances = draw(values.expand(len(steps), -1), sampling, torch.tensor([u for u, _ in steps]))
    assert places == [place for _, place in steps]
    assert chances == pytest.approx([0.1 * (4 - place) for place in places])


def test_the_ends_of_the_unit_interval_draw_the_first_and_the_last_kept_token():
    last = 1 - 2**-24  # the largest number torch.rand can return
    for seed in range(50):
        values, _ = candidates(random_logits(seed, spread=8.0), 0)
        sampling = Sampling(temperature=1.0, top_k=0, top_p=0.9, min_p=0.001)
        places, chances = draw(values.expand(2, -1), sampling, torch.tensor([0.0, last]))
        shares = theirs(values, sampling)
        assert places[0] == 0
        assert 0 <= places[1] < int((shares > 0).sum())
        assert min(chances) > 0


def test_temperature_zero_takes_the_best_token_whatever_the_number():
    logits = random_logits(9, rows=3)
    values, tokens = candidates(logits, 80)
    places, chances = draw(values, Sampling(temperature=0.0), torch.tensor([0.0, 0.5, 0.999]))
    assert [int(tokens[row, place]) for row, place in enumerate(places)] == logits.argmax(-1).tolist()
    assert chances == pytest.approx(values.softmax(-1)[:, 0].tolist())


def test_forbidden_tokens_are_never_drawn_and_a_row_without_tokens_breaks_no_other():
    logits = random_logits(10, rows=3)
    logits[0] = -math.inf
    logits[1, 5:] = -math.inf
    values, tokens = candidates(logits, 80)
    for u in (0.0, 0.3, 0.99999):
        places, chances = draw(values, Sampling(temperature=2.0), torch.full((3,), u))
        assert int(tokens[1, places[1]]) < 5
        assert 0 < chances[1] <= 1
        assert 0 < chances[2] <= 1
        assert values[0, 0] == -math.inf  # how `decode` knows that nothing is possible
        assert 0 <= places[0] < values.shape[1]


def test_candidates_are_the_best_logits_in_order_on_the_processor():
    logits = random_logits(11, rows=2)
    values, tokens = candidates(logits, 7)
    order = logits.argsort(-1, descending=True)[:, :7]
    assert torch.equal(tokens, order)
    assert torch.equal(values, logits.gather(1, order))
    assert candidates(logits, 0)[0].shape == candidates(logits, 10**6)[0].shape == logits.shape
    assert candidates(logits.half(), 3)[0].dtype == torch.float32


@pytest.mark.parametrize("equal", ["nowhere", "among the best", "at the edge", "in the first", "forbidden"])
def test_candidates_of_many_rows_are_those_of_each_alone(equal):
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(16, 500, generator=generator)
    order = logits.argsort(-1, descending=True)
    if equal == "forbidden":
        logits[3, order[3, 20:]] = float("-inf")
        logits[5] = float("-inf")
    elif equal != "nowhere":
        one, other = {"among the best": (7, 8), "at the edge": (39, 40), "in the first": (0, 1)}[equal]
        logits[2, order[2, other]] = logits[2, order[2, one]]
    values, tokens = candidates(logits.clone(), 40)
    for row in range(16):
        alone, of = candidates(logits[row : row + 1].clone(), 40)
        assert torch.equal(values[row : row + 1], alone)
        there = alone > float("-inf")
        assert torch.equal(tokens[row : row + 1][there], of[there])


@given(
    st.integers(0, 10**6),
    st.floats(0.05, 2.0),
    st.integers(0, 400),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0, exclude_max=True, width=32),
)
def test_a_rows_choice_does_not_depend_on_the_rows_beside_it(seed, temperature, top_k, top_p, min_p, u):
    sampling = Sampling(temperature, top_k, top_p, min_p)
    logits = random_logits(seed, rows=5)
    uniform = torch.tensor([0.1, u, 0.9, 0.0, 0.5])
    values, tokens = candidates(logits, top_k)
    together = draw(values, sampling, uniform)
    alone_values, alone_tokens = candidates(logits[1:2], top_k)
    alone = draw(alone_values, sampling, uniform[1:2])
    assert (together[0][1], together[1][1]) == (alone[0][0], alone[1][0])
    assert torch.equal(tokens[1], alone_tokens[0])
