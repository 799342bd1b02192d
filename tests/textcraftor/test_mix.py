"""Mixing states and weights, and the steps in which a mix counts."""

import pytest
import torch

from presample.models.textcraftor.merge import merge
from presample.models.textcraftor.mix import (
    Span,
    States,
    first_step,
    mix,
    mix_states,
    normalized,
    shares,
    spans,
    steps_of,
    triangle,
    w_of_step,
)
from presample.models.textcraftor.options import MixOptions


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


# Weights


def test_weights_count_relative_to_their_sum_or_as_they_are():
    assert normalized([1, 3]) == (0.25, 0.75)
    assert normalized([0.5]) == (1.0,)
    assert normalized([2, -1]) == (2.0, -1.0)
    assert normalized([1, 3], "raw") == (1.0, 3.0)
    assert normalized([1, -1], "raw") == (1.0, -1.0)


@pytest.mark.parametrize(
    ("weights", "weighting", "said"),
    [
        ([], "normalize", "got none"),
        ([0, 0], "raw", "not all 0, got 0, 0"),
        ([float("nan")], "raw", "must be numbers"),
        ([float("inf"), 1], "normalize", "must be numbers"),
        ([1, -1], "normalize", "must not add up to 0, got 1, -1"),
        ([1], "half", "weighting must be one of normalize, raw; got 'half'"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, weighting, said):
    with pytest.raises(ValueError, match=said):
        normalized(weights, weighting)


def test_the_original_gets_what_is_left_of_w():
    assert shares([2, 2], w=0.5) == (0.5, 0.25, 0.25)
    assert shares([7], w=1) == (0.0, 1.0)
    assert shares([7], w=0) == (1.0, 0.0)
    assert shares([0.5, 0.5], w=2, weighting="raw") == (-1.0, 1.0, 1.0)


# States


def test_a_mix_is_the_weighted_sum_and_nothing_is_normalised():
    a, b, c = (random(2, 5, 8, seed=seed) for seed in range(3))
    assert torch.equal(mix([a, b, c], [0.2, 0.5, -0.1]), 0.2 * a + 0.5 * b - 0.1 * c)
    assert torch.equal(mix([a, a], [3.0, 3.0]), 6 * a)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_at_the_ends_a_mix_is_the_single_encoder_bit_for_bit(dtype):
    a, b = random(1, 4, 8, dtype=dtype), random(1, 4, 8, seed=1, dtype=dtype)
    for w, wanted in ((0.0, a), (1.0, b)):
        made = mix([a, b], shares([1.0], w=w))
        assert torch.equal(made, wanted)
        assert made.dtype == dtype


def test_half_precision_is_added_up_in_full():
    parts = [random(3, 3, seed=seed, dtype=torch.float16) for seed in range(8)]
    made = mix(parts, [0.125] * 8)
    exact = sum(part.double() for part in parts) / 8
    assert made.dtype == torch.float16
    assert torch.equal(made, exact.to(torch.float16))


def test_pooled_states_are_mixed_alike_where_all_have_them():
    a, b = (States(random(1, 4, 8, seed=s), random(1, 6, seed=s + 9)) for s in (0, 1))
    made = mix_states([a, b], [0.25, 0.75])
    assert torch.equal(made.pooled, 0.25 * a.pooled + 0.75 * b.pooled)
    assert mix_states([a, b._replace(pooled=None)], [0.5, 0.5]).pooled is None


def test_what_has_weight_0_takes_no_part():
    broken, state = States(random(1, 4, 8).fill_(torch.nan)), States(random(1, 4, 8))
    assert mix_states([broken, state, broken], [0, 1, 0.0]).hidden is state.hidden
    with pytest.raises(ValueError, match="at least one"):
        mix_states([state], [0])


def test_states_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"one shape, got \(1, 4, 8\) and \(1, 4, 9\).*one kind"):
        mix([random(1, 4, 8), random(1, 4, 9)], [1, 1])
    with pytest.raises(ValueError, match="a weight for each encoder, got 1 for 2"):
        mix([random(1), random(1)], [1])


# Steps


@pytest.mark.parametrize(
    ("steps", "first"), [(20, 8), (25, 10), (30, 12), (50, 20), (12, 5), (1, 1), (2, 1), (1000, 400)]
)
def test_the_original_encoder_leads_the_first_two_fifths_of_any_number_of_steps(steps, first):
    assert first_step(steps) == first
    assert first_step(steps, 0.0) == 0
    assert first_step(steps, 1.0) == steps


def test_the_boundary_is_that_of_the_published_code_at_its_own_25_steps():
    published = next(i for i in range(25) if not i < 25 - 15)
    assert first_step(25) == published
    assert [w_of_step(i, 25, MixOptions(w=0.5)) for i in range(25)] == [0.0] * published + [0.5] * 15


@pytest.mark.parametrize("share", [k / 30 for k in range(31)])
def test_a_share_that_is_a_step_is_that_step_however_it_was_rounded(share):
    assert first_step(30, share) == round(share * 30)


def test_spans_have_no_gap_and_are_one_where_nothing_changes():
    assert spans(MixOptions(w=0.5, start=0.2, end=0.8)) == (
        Span(0.0, 0.2, 0.0),
        Span(0.2, 0.8, 0.5),
        Span(0.8, 1.0, 0.0),
    )
    assert spans(MixOptions(w=0.5, start=0)) == (Span(0.0, 1.0, 0.5),)
    assert spans(MixOptions(w=0.0)) == (Span(0.0, 1.0, 0.0),)
    assert spans(MixOptions(start=1.0)) == (Span(0.0, 1.0, 0.0),)
    for steps in (1, 7, 20, 33):
        parts = [steps_of(span, steps) for span in spans(MixOptions(start=0.31, end=0.77))]
        assert [i for part in parts for i in part] == list(range(steps))
    with pytest.raises(ValueError, match="step must be one of 0 to 3, got 4"):
        w_of_step(4, 4, MixOptions())


def test_the_negative_prompt_has_the_same_w_none_or_its_own():
    for negative, w in (("same", 0.7), ("original", 0.0), ("own", 0.3)):
        options = MixOptions(w=0.7, negative=negative, negative_w=0.3, start=0)
        assert (options.strength(), options.strength(negative=True)) == (0.7, w)
        assert spans(options, negative=True) == (Span(0.0, 1.0, w),)


def test_options_out_of_bounds_are_refused():
    with pytest.raises(ValueError, match=r"w must lie in 0 to 2"):
        MixOptions(w=2.5)
    with pytest.raises(ValueError, match=r"start must not lie behind end, got 0.6 and 0.5"):
        MixOptions(start=0.6, end=0.5)


# Weight space


def encoder(seed, dtype=torch.float32):
    return {
        "text_model.a.weight": random(3, 4, seed=seed, dtype=dtype),
        "text_model.embeddings.position_ids": torch.arange(4) + seed,
        "logit_scale": torch.tensor(float(seed)),
    }


def test_a_merge_is_the_weighted_sum_of_weights_and_leaves_the_rest_alone():
    base, tuned = encoder(1), encoder(2)
    made = merge([base, tuned], [0.25, 0.75])
    name = "text_model.a.weight"
    assert torch.equal(made[name], 0.25 * base[name] + 0.75 * tuned[name])
    for other in set(base) - {name}:
        assert torch.equal(made[other], base[other])
    assert made["text_model.embeddings.position_ids"].dtype == torch.int64


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_at_the_ends_a_merge_is_bit_for_bit_one_of_the_two(dtype):
    base, tuned = encoder(1, dtype), encoder(2, dtype)
    for weights, wanted in (([1, 0], base), ([0, 1], tuned)):
        made = merge([base, tuned], weights)["text_model.a.weight"]
        assert torch.equal(made, wanted["text_model.a.weight"])
        assert made.dtype == dtype
    mixed = merge([base, encoder(2)], [0.5, 0.5])["text_model.a.weight"]
    assert mixed.dtype == dtype


def test_a_merge_of_what_does_not_belong_together_is_refused():
    with pytest.raises(ValueError, match=r"text_model.a.weight is \(3, 4\) and \(2,\)"):
        merge([encoder(1), {"text_model.a.weight": random(2)}], [0.5, 0.5])
    alone = merge([encoder(1), {}], [0.0, 1.0])["text_model.a.weight"]
    assert torch.equal(alone, encoder(1)["text_model.a.weight"])


def test_a_triangle_has_the_three_at_its_corners_and_every_mix_adds_up():
    rows = triangle(4)
    assert [len(row) for row in rows] == [1, 2, 3, 4]
    assert (rows[0][0], rows[-1][0], rows[-1][-1]) == ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert all(sum(mix) == pytest.approx(1) for row in rows for mix in row)
    assert len({mix for row in rows for mix in row}) == 10
    with pytest.raises(ValueError, match="at least 2"):
        triangle(1)
