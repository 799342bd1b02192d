"""The path and its velocity, sampling, and the convention of time."""

import math
from itertools import pairwise

import pytest
import torch
from dit_for_tests import inputs, small_model
from hypothesis import given
from hypothesis import strategies as st

from presample.models.interrupt import Interrupted
from presample.models.mmh_dit import flow
from presample.models.mmh_dit.flow import FlowOptions, SampleOptions, Text


def gaussian(m: float, s: float, sigma: float):
    """Returns the velocity that I-CFM learns for data N(m, s²), spec 2.6."""

    def velocity(x, t):
        t = t.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return m + (t * s * s - (1 - t)) / (t * t * s * s + (1 - t) ** 2 + sigma * sigma) * (x - t * m)

    return velocity


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Paths


def torchcfm_icfm(x0, x1, t, sigma, epsilon):
    """torchcfm's ConditionalFlowMatcher: mean and width of N(t·x1 + (1 - t)·x0, sigma), and its flow."""
    t = t.reshape(-1, *([1] * (x0.dim() - 1)))
    mu_t = t * x1 + (1 - t) * x0
    return mu_t + sigma * epsilon, x1 - x0


def torchcfm_target(x1, t, sigma, epsilon):
    """torchcfm's TargetConditionalFlowMatcher: N(t·x1, 1 - (1 - sigma)t), and its flow."""
    t = t.reshape(-1, *([1] * (x1.dim() - 1)))
    width = 1 - (1 - sigma) * t
    x_t = t * x1 + width * epsilon
    return x_t, (x1 - (1 - sigma) * x_t) / width


@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.3])
def test_the_path_is_that_of_torchcfms_formulas(sigma):
    x_0, x_1, noise = (draw(4, 3, 2, seed=seed) for seed in range(3))
    t = torch.tensor([0.0, 0.25, 0.9, 1.0])
    x_t, velocity = torchcfm_icfm(x_0, x_1, t, sigma, noise)
    torch.testing.assert_close(flow.path(x_0, x_1, t, sigma=sigma, noise=noise), x_t)
    torch.testing.assert_close(flow.target(x_0, x_1), velocity)


@pytest.mark.parametrize("sigma", [1e-4, 0.1])
def test_the_target_path_is_that_of_torchcfms_formulas(sigma):
    x_0, x_1 = draw(4, 3, 2).double(), draw(4, 3, 2, seed=1).double()
    t = torch.tensor([0.0, 0.25, 0.9, 1.0], dtype=torch.float64)
    ours, theirs = flow.target_path(x_0, x_1, t, sigma=sigma), torchcfm_target(x_1, t, sigma, x_0)
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-9, rtol=1e-9)


def test_a_path_begins_in_noise_and_ends_in_data():
    x_0, x_1 = draw(2, 5), draw(2, 5, seed=1)
    assert torch.equal(flow.path(x_0, x_1, torch.zeros(2)), x_0)
    assert torch.equal(flow.path(x_0, x_1, torch.ones(2)), x_1)
    with pytest.raises(ValueError, match="needs noise"):
        flow.path(x_0, x_1, torch.ones(2), sigma=0.1)


@pytest.mark.parametrize("sigma", [0.0, 0.1, 0.3])
def test_the_velocity_learned_from_examples_is_the_closed_form(sigma):
    m, s, at = 0.7, 0.4, 0.6
    generator = torch.Generator().manual_seed(0)
    x_1 = m + s * torch.randn(200_000, 1, generator=generator)
    x_0, noise = (torch.randn(200_000, 1, generator=generator) for _ in range(2))
    t = torch.full((200_000,), at)
    x_t, u = flow.path(x_0, x_1, t, sigma=sigma, noise=noise), flow.target(x_0, x_1)
    slope = ((x_t - x_t.mean()) * (u - u.mean())).sum() / (x_t - x_t.mean()).square().sum()
    wanted = gaussian(m, s, sigma)
    one = torch.ones(1)
    slope_wanted = wanted(torch.ones(1, 1), at * one) - wanted(torch.zeros(1, 1), at * one)
    assert slope.item() == pytest.approx(slope_wanted.item(), abs=0.02)
    assert (u.mean() - slope * (x_t.mean() - at * m)).item() == pytest.approx(m, abs=0.01)


# Examples


def test_an_example_comes_from_its_generator_alone():
    x_1 = draw(6, 2, 3)
    before = torch.get_rng_state()
    options = FlowOptions(sigma=0.1)
    one, other = (flow.example(x_1, options, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a, b)
    x_0 = x_1 - one.velocity
    noise = one.x_t - flow.path(x_0, x_1, one.t)
    assert noise.std().item() == pytest.approx(0.1, abs=0.03)
    assert abs((noise * x_0).mean().item()) < 0.05
    plain = flow.example(x_1, FlowOptions(sigma=0.0), torch.Generator().manual_seed(5))
    torch.testing.assert_close(plain.x_t, flow.path(x_1 - plain.velocity, x_1, plain.t))


def test_couplings_and_paths_of_an_example():
    x_1, cond = draw(8, 2), torch.tensor([0, 1] * 4)
    for options in (
        FlowOptions(coupling="ot"),
        FlowOptions(coupling="ot_within"),
        FlowOptions(coupling="c2ot"),
    ):
        found = flow.example(x_1, options, torch.Generator().manual_seed(0), cond=cond)
        alone = flow.example(x_1, FlowOptions(), torch.Generator().manual_seed(0))
        assert torch.equal(found.t, alone.t)
        assert found.velocity.square().sum() < alone.velocity.square().sum()
    found = flow.example(x_1, FlowOptions(path="target", sigma=0.1), torch.Generator().manual_seed(0))
    x_0 = (x_1 - found.velocity) / 0.9
    torch.testing.assert_close(found.x_t, flow.target_path(x_0, x_1, found.t, sigma=0.1)[0])


def test_times_are_uniform_or_logit_normal():
    generator = torch.Generator().manual_seed(0)
    uniform = flow.draw_times(50_000, "uniform", generator)
    assert uniform.mean().item() == pytest.approx(0.5, abs=0.01)
    assert uniform.var().item() == pytest.approx(1 / 12, abs=0.002)
    normal = torch.logit(flow.draw_times(50_000, "logit_normal", generator))
    assert (normal.mean().item(), normal.std().item()) == pytest.approx((0, 1), abs=0.02)
    with pytest.raises(ValueError, match="uniform, logit_normal"):
        flow.draw_times(1, "cosine", generator)


@pytest.mark.parametrize("kind", flow.TIMES)
def test_an_example_is_of_a_time_of_the_kind_that_is_asked_for(kind):
    found = flow.example(draw(64, 2), FlowOptions(times=kind), torch.Generator().manual_seed(3))
    assert torch.equal(found.t, flow.draw_times(64, kind, torch.Generator().manual_seed(3)))


def test_a_shift_trains_more_at_the_noisy_end_by_the_sampler_s_own_rule():
    plain, shifted = (
        flow.example(draw(4096, 2), FlowOptions(shift=shift), torch.Generator().manual_seed(3)).t
        for shift in (1.0, 3.0)
    )
    sigma = 1 - plain
    torch.testing.assert_close(1 - shifted, 3 * sigma / (1 + 2 * sigma))
    assert (shifted < 0.25).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert flow.shifted(torch.tensor([0.0, 1.0]), 3.0).tolist() == [0, 1]


def test_the_loss_is_a_mean_over_elements():
    assert flow.loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 5.0]])).item() == 4.5
    assert flow.loss(torch.ones(2).bfloat16(), torch.zeros(2).bfloat16()).dtype == torch.float32


# Times


@given(st.integers(1, 200), st.floats(0.1, 20), st.floats(0.01, 1))
def test_times_rise_to_one(steps, shift, denoise):
    ts = flow.times(steps, shift, denoise=denoise)
    assert len(ts) == steps + 1
    assert ts[-1] == 1
    assert (ts.diff() > 0).all()
    sigma = denoise  # the first: t = 1 - shifted sigma
    assert ts[0].item() == pytest.approx(1 - shift * sigma / (1 + (shift - 1) * sigma), abs=1e-12)


@pytest.mark.parametrize("shift", [0.1, 0.15, 0.2, 0.3, 0.45, 1.0, 3.0])
def test_a_whole_schedule_begins_in_noise_alone_whatever_the_shift(shift):
    assert flow.times(4, shift)[0] == 0
    options = SampleOptions(steps=1, cfg=1.0, shift=shift)
    assert flow.sample(small_model(), flow.noise((16, 2, 2), [0]), options=options).isfinite().all()


@pytest.mark.parametrize("steps", [1, 7, 28, 50])
def test_times_without_a_shift_are_equally_far_apart(steps):
    assert flow.times(steps).tolist() == [pytest.approx(k / steps, abs=1e-15) for k in range(steps + 1)]
    sigmas = flow.to_comfyui_sigma(flow.times(steps)).float()
    torch.testing.assert_close(sigmas, torch.linspace(1, 0, steps + 1), atol=1e-7, rtol=0)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"shift": 0.0}, {"denoise": 0.0}, {"denoise": 1.1}])
def test_times_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        flow.times(**{"steps": 4, **wrong})


# Samplers


@pytest.mark.parametrize("sigma", [0.0, 0.1])
def test_euler_ends_at_the_analytic_mean_and_variance_with_an_error_of_first_order(sigma):
    m, s = 1.5, 0.4
    velocity = gaussian(m, s, sigma)
    errors = []
    for steps in (50, 100, 200, 400):
        x = torch.tensor([[0.0], [1.0]], dtype=torch.float64) * math.sqrt(1 + sigma * sigma)
        *_, x = flow.euler(velocity, x, flow.times(steps))
        mean, std = x[0].item(), (x[1] - x[0]).item()
        assert mean == pytest.approx(m, abs=1e-7)
        errors.append(abs(std - math.sqrt(s * s + sigma * sigma)))
    for coarse, fine in pairwise(errors):
        assert 1.8 < coarse / fine < 2.2
    assert errors[-1] < 0.01


def test_heun_is_nearer_than_euler_and_asks_twice_but_for_the_last_step():
    velocity, asked = gaussian(0.5, 0.4, 0.0), []

    def counted(x, t):
        asked.append(t.tolist())
        return velocity(x, t)

    x = torch.tensor([[1.0]], dtype=torch.float64)
    ends = {rule: list(rule(counted, x, flow.times(20)))[-1] for rule in (flow.euler, flow.heun)}
    assert len(asked) == 20 + 39
    exact = 0.5 + 0.4
    assert abs(ends[flow.heun] - exact) < abs(ends[flow.euler] - exact) / 3


def test_a_sampler_yields_every_step_and_leaves_its_input_alone():
    x = draw(2, 3)
    kept = x.clone()
    steps = list(flow.euler(lambda x, t: torch.ones_like(x), x, [0.0, 0.5, 1.0]))
    assert len(steps) == 2
    torch.testing.assert_close(steps[0], x + 0.5)
    assert torch.equal(x, kept)


def test_euler_is_that_of_diffusers():
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(shift=1.0)
    velocity = gaussian(0.3, 0.5, 0.05)
    for steps, shift in ((12, 1.0), (28, 3.0)):
        scheduler.set_shift(shift)
        sigmas = [1 - k / steps for k in range(steps)]
        scheduler.set_timesteps(sigmas=sigmas)
        x = theirs = draw(3, 16, 4, 4)
        for timestep in scheduler.timesteps:
            t = 1 - timestep.expand(3) / 1000  # its sigma is 1 for noise; its model says noise - data
            theirs = scheduler.step(-velocity(theirs, t), timestep, theirs).prev_sample
        ts = flow.times(steps, shift)
        torch.testing.assert_close(1 - scheduler.sigmas.double(), ts, atol=1e-6, rtol=0)
        torch.testing.assert_close(list(flow.euler(velocity, x, ts))[-1], theirs, atol=1e-5, rtol=1e-5)


def test_a_denoised_estimate_is_one_long_step():
    x, v = draw(2, 3), draw(2, 3, seed=1)
    t = torch.tensor([0.25, 1.0])
    found = flow.denoised(x, t, v)
    torch.testing.assert_close(found[0], x[0] + 0.75 * v[0])
    assert torch.equal(found[1], x[1])


def test_the_first_noise_is_as_wide_as_the_path():
    noise, latent = draw(200_000), torch.full((200_000,), 2.0)
    assert flow.start(noise, sigma=0.3).std().item() == pytest.approx(math.sqrt(1 + 0.09), rel=0.01)
    assert torch.equal(flow.start(noise), noise)
    half = flow.start(noise, latent, t=0.5, sigma=0.3)
    assert half.mean().item() == pytest.approx(1.0, abs=0.01)
    assert half.std().item() == pytest.approx(math.sqrt(0.25 + 0.09), rel=0.01)
    with pytest.raises(ValueError, match="set denoise to 1"):
        flow.start(noise, t=0.5)


# Guidance and whole samples


class Counted(torch.nn.Module):
    """A model that says how often it was asked."""

    def __init__(self, model):
        super().__init__()
        self.model, self.asked = model, []

    def forward(self, x, t, text, mask):
        self.asked.append((text is not None, t[0].item()))
        return self.model(x, t, text, mask)


def test_guidance_of_one_is_the_condition_and_costs_one_question():
    model = Counted(small_model())
    x, t, text = inputs()
    found = flow.guided(model, Text(text), scale=1.0)(x, t)
    assert torch.equal(found, model.model(x, t, text))
    assert len(model.asked) == 1
    guided = flow.guided(model, Text(text), scale=3.0)(x, t)
    assert len(model.asked) == 3
    cond, uncond = model.model(x, t, text), model.model(x, t)
    torch.testing.assert_close(guided, uncond + 3 * (cond - uncond))
    torch.testing.assert_close(flow.cfg(cond, uncond, 1.0), cond)
    negative = flow.guided(model, Text(text), Text(text[:, :2]), scale=0.0)(x, t)
    torch.testing.assert_close(negative, model.model(x, t, text[:, :2]))


def test_a_sample_is_the_same_whatever_is_sampled_beside_it():
    model = small_model()
    text = inputs(2, 4)[2]
    options = SampleOptions(steps=4, cfg=2.0)
    noise = flow.noise((16, 6, 8), [7, 8])
    both = flow.sample(model, noise, Text(text), options=options)
    alone = flow.sample(model, flow.noise((16, 6, 8), [8]), Text(text[1:]), options=options)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)


def test_a_sample_tells_of_its_steps_and_what_it_foresees():
    model = small_model()
    x, _, text = inputs(1, 4)
    seen = []
    options = SampleOptions(steps=3, cfg=1.0, sampler="heun")
    found = flow.sample(model, x, Text(text), options=options, on_step=seen.append)
    assert [(each.step, each.steps) for each in seen] == [(1, 3), (2, 3), (3, 3)]
    assert torch.equal(seen[-1].x_t, found)
    start = flow.denoised(x, torch.zeros(1), model(x, torch.zeros(1), text))
    torch.testing.assert_close(seen[0].denoised, start)
    torch.testing.assert_close(seen[-1].denoised, found, atol=1e-5, rtol=1e-4)  # Heun's last step is Euler's


def test_a_sample_stops_before_the_next_question():
    model = Counted(small_model())
    x, _, text = inputs(1, 4)
    with pytest.raises(Interrupted):
        flow.sample(model, x, Text(text), should_stop=lambda: len(model.asked) >= 4)
    assert len(model.asked) == 4


def test_an_image_is_painted_over_from_where_denoise_says():
    model = Counted(small_model())
    x, _, text = inputs(1, 4)
    latent = draw(1, 16, 6, 8, seed=9)
    options = SampleOptions(steps=4, cfg=1.0, denoise=0.5)
    found = flow.sample(model, x, Text(text), options=options, latent=latent)
    assert [t for _, t in model.asked] == pytest.approx([0.5, 0.625, 0.75, 0.875])
    by_hand = 0.5 * latent + 0.5 * x
    for t in (0.5, 0.625, 0.75, 0.875):
        by_hand = by_hand + 0.125 * model.model(by_hand, torch.tensor([t]), text)
    torch.testing.assert_close(found, by_hand, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="latent"):
        flow.sample(model, x, Text(text), options=options)


def test_a_model_of_bfloat16_is_asked_in_its_type_and_the_sample_is_float32():
    x, _, text = inputs(1, 4)
    options = SampleOptions(steps=2, cfg=2.0)
    whole = flow.sample(small_model(), x, Text(text), options=options)
    half = flow.sample(small_model(dtype=torch.bfloat16), x, Text(text), options=options)
    assert half.dtype == torch.float32
    assert (half - whole).norm() < 0.05 * whole.norm()


# ComfyUI's convention


def test_comfyuis_denoised_is_ours():
    x, v = draw(2, 3), draw(2, 3, seed=1)
    sigma = torch.tensor([0.3, 0.9])
    assert torch.equal(flow.from_comfyui_sigma(flow.to_comfyui_sigma(sigma)), 1 - (1 - sigma))
    theirs = x - sigma[:, None] * flow.to_comfyui_output(v)
    torch.testing.assert_close(theirs, flow.denoised(x, flow.from_comfyui_sigma(sigma), v))


# EDM's convention


def test_edms_denoiser_of_a_flow_is_that_of_gaussian_data():
    mean, spread = 0.7, 0.4

    def velocity(x, t):
        t = t[:, None]
        gain = (t * spread**2 - (1 - t)) / (t**2 * spread**2 + (1 - t) ** 2)
        return mean + gain * (x - t * mean)

    sigma = torch.tensor([0.01, 0.5, 3.0, 80.0], dtype=torch.float64)
    x = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * sigma[:, None]
    found = flow.edm_denoiser(velocity)(x, sigma)
    noise = sigma[:, None] ** 2
    torch.testing.assert_close(found, (spread**2 * x + noise * mean) / (spread**2 + noise))
