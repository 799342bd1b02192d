"""Chains: their steps against diffusers and the flow's own sampler, their gradients against differences."""

import dataclasses

import pytest
import torch
from chain_for_tests import RULES, B, D, M, N, alphas_cumprod, condition, make_ask, start

from presample.models.mmh_dit import flow
from presample.models.textcraftor.chain import DDIM, Chain, Condition, Flow, mixed
from presample.models.textcraftor.training.tuning import direct

rules = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


@pytest.mark.parametrize("steps", [5, 20, 25, 50])
@pytest.mark.parametrize("spacing", ["trailing", "leading"])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("to_one", [False, True])
def test_ddim_steps_as_diffusers_does(steps, spacing, prediction, to_one):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=to_one,
        steps_offset=1,
        timestep_spacing=spacing,
        prediction_type=prediction,
    )
    theirs.set_timesteps(steps)
    rule = DDIM(theirs.alphas_cumprod, steps, prediction, spacing, alpha_to_one=to_one)
    assert list(rule.timesteps) == theirs.timesteps.tolist()
    ask, said = make_ask(), condition(2)
    x = y = start()
    for i, t in enumerate(theirs.timesteps):
        predicted = ask(y, torch.full((B,), int(t)), said.tokens, None)
        found = theirs.step(predicted, t, y)
        assert torch.allclose(rule.denoised(y, predicted, i), found.pred_original_sample, atol=1e-6)
        y = found.prev_sample
        x = rule.step(x, ask(x, torch.full((B,), rule.time(i)), said.tokens, None), i)
        assert torch.allclose(x, y, atol=1e-6)


def test_the_schedule_of_textcraftor_is_the_default():
    rule = DDIM(alphas_cumprod())
    assert rule.timesteps == tuple(range(999, 0, -40))
    alpha, _ = rule._scales[-1]
    assert alpha**2 == pytest.approx(float(alphas_cumprod()[0]), abs=1e-12)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_a_flow_steps_as_its_own_sampler_does(shift):
    ask, said = make_ask(), condition(2, empty=False)
    chain = Chain(Flow(12, shift), ask, cfg=3.0)

    def model(x, t, tokens, mask):
        return ask(x, t, tokens, mask)

    model.parameters = lambda: iter([torch.zeros((), dtype=torch.float64)])
    wanted = flow.sample(
        model, start(), flow.Text(said.tokens), options=flow.SampleOptions(12, 3.0, "euler", shift)
    )
    assert torch.equal(chain.sample(start(), said, said, last=12), wanted)


def test_an_exact_denoiser_is_inverted_by_the_foreseen_latent():
    x_0, noise = start(3), start(4)
    rule = DDIM(alphas_cumprod())
    alpha, sigma = rule._scales[7]
    x_t = alpha * x_0 + sigma * noise
    assert torch.allclose(rule.denoised(x_t, noise, 7), x_0)
    by_velocity = dataclasses.replace(rule, prediction="v_prediction")
    assert torch.allclose(by_velocity.denoised(x_t, alpha * noise - sigma * x_0, 7), x_0)


@rules
@pytest.mark.parametrize("last", [1, 2])
def test_gradients_are_finite_differences(rule, last):
    chain, before = Chain(rule, make_ask(), cfg=4.0), condition(2)
    after = condition(5)

    def reward(tokens, empty):
        return chain.sample(start(), before, Condition(tokens, None, empty), last=last).square().sum()

    tokens, empty = after.tokens.clone().requires_grad_(), after.empty.clone().requires_grad_()
    for found, wanted in zip(
        torch.autograd.grad(reward(tokens, empty), (tokens, empty)),
        differences(reward, after.tokens, after.empty),
        strict=True,
    ):
        assert found.abs().max() > 1e-4
        assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-7)


def differences(function, *arguments, step=1e-5):
    for k, argument in enumerate(arguments):
        found = torch.zeros_like(argument)
        for i in range(argument.numel()):
            moved = []
            for sign in (1, -1):
                other = argument.clone()
                other.view(-1)[i] += sign * step
                moved.append(function(*arguments[:k], other, *arguments[k + 1 :]))
            found.view(-1)[i] = (moved[0] - moved[1]) / (2 * step)
        yield found


@rules
def test_only_the_last_steps_follow_the_tuned_encoder_and_carry_gradients(rule):
    calls: list = []
    before, after = condition(2), condition(5)
    after.tokens.requires_grad_()
    Chain(rule, make_ask(calls=calls), cfg=4.0).sample(start(), before, after, last=3)
    times, tokens, gradients = zip(*calls, strict=True)
    assert list(gradients) == [False] * 14 + [True] * 6
    assert list(times[::2]) == pytest.approx([rule.time(i) for i in range(10)])
    for i in range(10):
        said = before if i < 7 else after
        assert tokens[2 * i] is said.tokens
        assert tokens[2 * i + 1] is said.empty


@rules
def test_the_first_steps_carry_no_gradient(rule):
    before, after = condition(2), condition(5)
    for part in (before.tokens, before.empty, after.tokens, after.empty):
        part.requires_grad_()
    chain = Chain(rule, make_ask(), cfg=4.0)
    chain.sample(start(), before, after, last=2).sum().backward()
    assert before.tokens.grad is None
    assert before.empty.grad is None
    assert after.tokens.grad.abs().min() > 0
    assert after.empty.grad.abs().min() > 0
    assert not chain.sample(start(), before, after, last=0).requires_grad


@rules
def test_checkpointing_changes_nothing(rule):
    found = []
    for checkpointing in (False, True):
        after = condition(5)
        after.tokens.requires_grad_()
        chain = Chain(rule, make_ask(), cfg=4.0, checkpointing=checkpointing)
        x = chain.sample(start(), condition(2), after, last=4)
        x.square().sum().backward()
        found.append((x.detach(), after.tokens.grad))
    (x, gradient), (again, other) = found
    assert torch.allclose(x, again, rtol=0, atol=1e-6)
    assert torch.allclose(gradient, other, rtol=0, atol=1e-6)


def test_checkpointing_keeps_less():
    def kept(checkpointing):
        sizes: list[int] = []

        def pack(t):
            sizes.append(t.numel())
            return t

        after = condition(5)
        after.tokens.requires_grad_()
        chain = Chain(RULES["epsilon"], make_ask(), cfg=4.0, checkpointing=checkpointing)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            chain.sample(start(), condition(2), after, last=8)
        return sum(sizes)

    assert kept(True) < 0.5 * kept(False)


@rules
def test_direct_fine_tuning_asks_the_tuned_encoder_once_at_any_step(rule):
    generator, seen = torch.Generator().manual_seed(0), set()
    before, after = condition(2), condition(5)
    after.tokens.requires_grad_()
    for _ in range(80):
        calls: list = []
        chain = Chain(rule, make_ask(calls=calls), cfg=4.0)
        x = direct(chain, start(), before, after, generator)
        assert x.requires_grad
        times, tokens, gradients = zip(*calls, strict=True)
        i = len(calls) // 2 - 1
        assert list(times[::2]) == pytest.approx([rule.time(k) for k in range(i + 1)])
        assert all(said is before.tokens for said in tokens[:-2:2])
        assert all(said is before.empty for said in tokens[1:-2:2])
        assert tokens[-2] is after.tokens
        assert tokens[-1] is after.empty
        assert list(gradients) == [False] * 2 * i + [True] * 2
        seen.add(i)
    assert seen == set(range(rule.steps))


@rules
def test_direct_fine_tuning_foresees_what_an_exact_denoiser_knows(rule):
    """Pictures of the original's words are points, so the way is straight; the tuned one's are Gaussian."""
    before, after = condition(2), condition(5)
    before.tokens[..., N], after.tokens[..., N] = 0, 0.3  # their variances
    noise, generator = start(), torch.Generator().manual_seed(0)
    steps = torch.Generator().manual_seed(0)
    for _ in range(10):
        i = int(torch.randint(rule.steps, (), generator=steps))
        found = direct(Chain(rule, exact(rule), cfg=1.0), noise, before, after, generator)
        first, now = (scales(rule, torch.tensor(rule.time(k))) for k in (0, i))
        point = before.tokens[:, 0, :N]
        x = now[0] * point + now[1] * (noise - first[0] * point) / first[1]
        torch.testing.assert_close(found, posterior(x, after.tokens, *now), rtol=1e-4, atol=1e-5)


def exact(rule):
    """Returns the denoiser of pictures that are normal around what the first token says."""

    def ask(x, t, tokens, mask):
        alpha, sigma = scales(rule, t[0])
        x_0 = posterior(x, tokens, alpha, sigma)
        if isinstance(rule, Flow):
            return (x_0 - x) / sigma
        noise = (x - alpha * x_0) / sigma
        return noise if rule.prediction == "epsilon" else alpha * noise - sigma * x_0

    return ask


def scales(rule, t):
    """Returns what is left of the picture and how much noise there is at a time."""
    if isinstance(rule, Flow):
        return t.double(), 1 - t.double()
    kept = alphas_cumprod()[t]
    return kept.sqrt(), (1 - kept).sqrt()


def posterior(x, tokens, alpha, sigma):
    """Returns the mean of what x was, of pictures of mean tokens[..., :N] and variance tokens[..., N]."""
    mean, variance = tokens[:, 0, :N], tokens[:, 0, N:]
    return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x - alpha * mean)


def test_at_scale_one_the_denoiser_is_asked_once():
    calls: list = []
    Chain(Flow(5), make_ask(calls=calls), cfg=1.0).sample(start(), condition(2), condition(5), last=2)
    assert len(calls) == 5


def test_no_text_at_all_is_asked_without_a_mask():
    asked: list = []

    def ask(x, t, tokens, mask):
        asked.append((tokens is None, mask is None))
        return x

    said = Condition(torch.zeros(B, M, D), torch.ones(B, M, dtype=torch.bool))
    Chain(Flow(1), ask, cfg=2.0).sample(start(), said, said, last=1)
    assert asked == [(False, False), (True, True)]


def test_mixing_conditions_ends_in_each_of_them():
    a, b = condition(2), condition(5)
    assert mixed((a, b), (1, 0)).tokens is a.tokens
    assert mixed((a, b), (0, 1)).empty is b.empty
    half = mixed((a, b), (0.5, 0.5))
    assert torch.allclose(half.tokens, (a.tokens + b.tokens) / 2, atol=1e-6)
    assert torch.allclose(half.empty, (a.empty + b.empty) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: DDIM(alphas_cumprod(), prediction="x"), "prediction"),
        (lambda: DDIM(alphas_cumprod(), spacing="linspace"), "spacing"),
        (lambda: DDIM(alphas_cumprod(), steps=0), "steps"),
        (lambda: Chain(Flow(3), make_ask()).sample(start(), condition(1), condition(1), last=4), "last"),
        (lambda: Condition(torch.zeros(B, M, D), torch.ones(B, M), torch.zeros(B, M, D)), "mask"),
    ],
)
def test_what_makes_no_sense_is_said(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
