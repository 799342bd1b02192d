"""Schedules, samplers, shift, contrast and latents, against diffusers and exact solutions."""

import math

import pytest
import torch

from presample.models.interrupt import Interrupted
from presample.models.playground import samplers, shift
from presample.models.playground.contrast import offset_noise, rescale, shrink
from presample.models.playground.edm import EDM, PLAYGROUND, Discrete, denoiser
from presample.models.playground.latents import from_network, to_network
from presample.models.playground.schedules import (
    LAST_ALPHA,
    ScheduleOptions,
    exponential,
    karras,
    schedule,
    sd_alphas_cumprod,
    sigmas_of,
    zero_terminal_snr,
)


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# Schedules


def test_ten_steps_are_at_the_published_sigmas():
    wanted = [80, 42.415, 21.109, 9.723, 4.066, 1.502, 0.470, 0.1166, 0.0204, 0.002, 0]
    torch.testing.assert_close(karras(10), torch.tensor(wanted).double(), rtol=3e-3, atol=5e-4)


@pytest.mark.parametrize("steps", [2, 10, 50])
@pytest.mark.parametrize("name", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
def test_the_schedule_is_that_of_diffusers(name, steps):
    import diffusers

    theirs = getattr(diffusers, name)(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    theirs.set_timesteps(steps)
    torch.testing.assert_close(karras(steps).float(), theirs.sigmas, rtol=1e-6, atol=1e-6)


def test_even_spacing_in_logarithms_is_that_of_diffusers():
    from diffusers import EDMEulerScheduler

    theirs = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, sigma_schedule="exponential")
    theirs.set_timesteps(1000)
    torch.testing.assert_close(exponential(1000).float(), theirs.sigmas[:-1], rtol=1e-5, atol=0)


def test_below_denoise_1_the_schedule_is_the_end_of_a_longer_one():
    torch.testing.assert_close(karras(10, denoise=0.5), karras(20)[-11:], rtol=0, atol=0)
    options = ScheduleOptions(steps=10, denoise=0.5, shift=2.0)
    torch.testing.assert_close(schedule(options), 2 * karras(20)[-11:], rtol=0, atol=0)


def test_wrong_schedules_are_refused():
    with pytest.raises(ValueError, match="steps must be at least 1"):
        karras(0)
    with pytest.raises(ValueError, match="sigma_min must lie"):
        karras(5, sigma_min=90)
    with pytest.raises(ValueError, match="denoise"):
        karras(5, denoise=0)


def test_stable_diffusions_schedule_and_its_zero_terminal_snr_are_those_of_diffusers():
    from diffusers import EulerDiscreteScheduler
    from diffusers.schedulers.scheduling_euler_discrete import rescale_zero_terminal_snr

    theirs = EulerDiscreteScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    ours = sd_alphas_cumprod()
    torch.testing.assert_close(ours.float(), theirs.alphas_cumprod, rtol=0, atol=1e-6)
    assert sigmas_of(ours)[-1].item() == pytest.approx(14.6146, abs=1e-4)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2  # theirs are in float32
    torch.testing.assert_close((1 - betas).cumprod(0), ours, rtol=1e-12, atol=0)
    rescaled = (1 - rescale_zero_terminal_snr(betas)).cumprod(0)
    torch.testing.assert_close(zero_terminal_snr(ours), rescaled, rtol=1e-6, atol=1e-12)


def test_zero_terminal_snr_keeps_the_first_step_and_empties_the_last():
    ours = sd_alphas_cumprod()
    moved = zero_terminal_snr(ours)
    assert moved[0].item() == pytest.approx(ours[0].item(), rel=1e-12)
    assert moved[-1] == 0
    finite = zero_terminal_snr(ours, last=LAST_ALPHA)
    assert 1 / sigmas_of(finite)[-1] ** 2 < 1e-7
    assert sigmas_of(finite)[-1].item() == pytest.approx(4518.76, abs=0.01)
    assert (sigmas_of(finite).diff() > 0).all()


# Samplers


def exact(mean, s):
    """Returns D of data N(mean, s²)."""

    def denoise(x, sigma):
        sigma = sigma.view(-1, *[1] * (x.ndim - 1))
        return mean + s * s / (s * s + sigma**2) * (x - mean)

    return denoise


def solution(x, mean, s, high, low):
    """Returns where x at sigma `high` arrives at sigma `low`, exactly."""
    return mean + (x - mean) * math.sqrt((s * s + low * low) / (s * s + high * high))


@pytest.mark.parametrize(("rule", "order"), [("euler", 1), ("heun", 2), ("dpmpp_2m", 2)])
def test_a_rule_has_its_order_on_a_gaussian(rule, order):
    x = 10 * draw(2, 3)
    wanted = solution(x, 0.3, 0.5, 10.0, 0.1)
    errors = []
    for steps in (40, 80):
        sigmas = karras(steps, sigma_min=0.1, sigma_max=10.0)[:-1]  # ends above 0, where the orders hold
        *_, made = samplers.RULES[rule](exact(0.3, 0.5), x, sigmas)
        errors.append((made - wanted).abs().max().item())
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.3)


@pytest.mark.parametrize("rule", samplers.RULES)
def test_an_exact_denoiser_makes_the_data(rule):
    noise = draw(20_000, 1)
    made = samplers.sample(exact(0.3, 0.5), noise, karras(50), sampler=rule)
    assert made.mean().item() == pytest.approx(0.3, abs=0.02)
    assert made.std().item() == pytest.approx(0.5, abs=0.03)  # Euler's error is 0.023


@pytest.mark.parametrize(
    ("rule", "name"), [("euler", "EDMEulerScheduler"), ("dpmpp_2m", "EDMDPMSolverMultistepScheduler")]
)
@pytest.mark.parametrize("steps", [8, 20])
def test_a_rule_gives_what_diffusers_scheduler_gives_at_every_step(rule, name, steps):
    import diffusers

    def network(x, c_noise):
        return torch.tanh(x + c_noise.view(-1, 1, 1, 1)) - 0.3 * x

    theirs = getattr(diffusers, name)(sigma_min=0.002, sigma_max=80.0, sigma_data=0.5)
    theirs.set_timesteps(steps)
    theirs.sigmas = karras(steps)  # in float64, so that what differs is the rule
    x = 80.0 * draw(1, 4, 3, 3)
    ours = samplers.RULES[rule](denoiser(network, PLAYGROUND), x, karras(steps))
    for t, found in zip(theirs.timesteps, ours, strict=True):
        scaled = theirs.scale_model_input(x, t)
        noise = theirs.precondition_noise(theirs.sigmas[theirs.step_index]).view(1)
        answer = network(scaled, noise)
        x = theirs.step(answer, t, x).prev_sample.double()
        torch.testing.assert_close(found, x, rtol=1e-6, atol=1e-6)


def test_progress_tells_every_step_and_what_is_foreseen():
    told = []
    made = samplers.sample(exact(0, 1), draw(1, 2), karras(4), sampler="heun", on_step=told.append)
    assert [(p.step, p.steps) for p in told] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    torch.testing.assert_close(told[-1].x, made)
    torch.testing.assert_close(told[-1].denoised, made)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rule", samplers.RULES)
def test_a_picture_of_few_bits_is_asked_at_the_sigmas_of_the_schedule(rule, kind):
    asked = []

    def denoise(x, sigma):
        asked.append(sigma)
        return 0 * x

    sigmas = karras(4, sigma_max=4518.0)
    samplers.sample(denoise, draw(2, 3).to(kind), sigmas, sampler=rule)
    wanted = set(sigmas[:-1].float().tolist())
    assert {float(sigma[0]) for sigma in asked} == wanted
    assert all(c.isfinite().all() for sigma in asked for c in PLAYGROUND.scalings(sigma))


def test_sampling_paints_over_a_picture_and_can_be_stopped():
    latent, noise = draw(1, 2), draw(1, 2, seed=1)
    made = samplers.sample(lambda x, sigma: x, noise, [0.5, 0.25, 0.0], sampler="euler", latent=latent)
    torch.testing.assert_close(made, latent + 0.5 * noise)
    with pytest.raises(Interrupted):
        samplers.sample(exact(0, 1), noise, karras(4), should_stop=lambda: True)
    with pytest.raises(ValueError, match="euler, heun, dpmpp_2m"):
        samplers.sample(exact(0, 1), noise, karras(4), sampler="ddim")


# Shift


@pytest.mark.parametrize("by", [0.5, 1.0, 2.0, 3.7])
def test_all_shifts_move_the_snr_alike(by):
    sigmas = torch.linspace(0.01, 0.99, 20, dtype=torch.float64)
    flow = shift.shift_flow(sigmas, by)
    torch.testing.assert_close(flow / (1 - flow), by * sigmas / (1 - sigmas))
    edm = shift.shift_edm(PLAYGROUND, by)
    assert edm.sigma_max == 80 * by
    assert edm.p_mean == pytest.approx(-1.2 + math.log(by))
    seeds = [torch.Generator().manual_seed(0) for _ in range(2)]
    torch.testing.assert_close(edm.draw(9, seeds[0]), by * PLAYGROUND.draw(9, seeds[1]))


def test_from_512_to_1024_the_noise_doubles_and_the_spread_of_brightness_stays():
    by = shift.scale(1024, 1024)
    assert by == 2
    assert shift.shift_edm(EDM(), by).p_mean == pytest.approx(-0.507, abs=1e-3)
    small, large = shrink(64 * 64 * 4, 1 / 3, 80), shrink(128 * 128 * 4, 1 / 3, 80 * by)
    assert small == pytest.approx(large)
    assert shift.scale(1344, 768, base=1024) == pytest.approx(0.992, abs=1e-3)
    assert shift.shift_flow(torch.tensor([0.0, 1.0]), 3).tolist() == [0, 1]
    with pytest.raises(ValueError, match="above 0"):
        shift.shift_flow(torch.zeros(1), 0)
    with pytest.raises(ValueError, match="at least 1"):
        shift.scale(0, 5)


def test_the_shift_of_flows_is_that_of_the_flow_samplers():
    from presample.models.mmh_dit import flow

    for by in (1.0, 3.0):
        even = flow.to_comfyui_sigma(flow.times(7))
        torch.testing.assert_close(shift.shift_flow(even, by), flow.to_comfyui_sigma(flow.times(7, by)))


# Contrast


@pytest.mark.parametrize(
    ("elements", "wanted"),
    [
        (4096, (0.368, 0.908, 0.974, 1)),
        (16384, (0.194, 0.735, 0.908, 1)),
        (65536, (0.098, 0.476, 0.735, 0.999)),
    ],
)
def test_the_spread_of_brightness_shrinks_as_the_table_says(elements, wanted):
    found = [shrink(elements, 1 / 3, sigma) for sigma in (14.6146, 80, 160, 4518)]
    assert found == pytest.approx(wanted, abs=6e-4)


@pytest.mark.parametrize("sigma_max", [14.6146, 80.0])
def test_an_exact_denoiser_shrinks_brightness_as_the_formula_says(sigma_max):
    elements, s = 256, 3**-0.5
    mean_only = draw(4000, 1)  # of N numbers that share a brightness, only their mean has a say
    sigmas = karras(160, sigma_max=sigma_max)

    def denoise(x, sigma):  # x is the mean of N numbers, so its noise is smaller by sqrt(N)
        return exact(0.0, s)(x, sigma / elements**0.5)

    made = samplers.sample(denoise, mean_only / elements**0.5, sigmas, sampler="heun")
    # The noise's mean has a spread of sigma_max / sqrt(N), that of noisy data more: hence R.
    assert made.std().item() / s == pytest.approx(shrink(elements, 1 / 3, sigma_max), rel=0.05)


def test_offset_noise_is_one_number_for_each_sample_and_channel():
    noise = torch.zeros(500, 4, 3, 2)
    made = offset_noise(noise, torch.Generator().manual_seed(0), amount=0.1)
    assert torch.equal(made, made[..., :1, :1].expand_as(made))
    assert made[..., 0, 0].std().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(offset_noise(noise, torch.Generator(), amount=0), noise)


def test_guidance_rescale_is_that_of_the_papers_equations():
    guided, cond = 3 * draw(2, 4, 5, 5), draw(2, 4, 5, 5, seed=1)
    for amount in (0.0, 0.7, 1.0):
        found = rescale(guided, cond, amount=amount)
        for i in range(2):
            rescaled = guided[i] * (cond[i].flatten().std() / guided[i].flatten().std())
            torch.testing.assert_close(found[i], amount * rescaled + (1 - amount) * guided[i])


# Latents


def test_latents_go_to_the_network_and_back():
    latent = 8 * draw(2, 4, 5, 6).float()
    torch.testing.assert_close(from_network(to_network(latent)), latent, rtol=1e-6, atol=2e-6)
    mean = torch.tensor([-1.6574, 1.886, -1.383, 2.5155]).view(1, 4, 1, 1).expand(1, 4, 2, 2)
    assert to_network(mean).abs().max() == 0
    one = mean + torch.tensor([8.4927, 5.9022, 6.5498, 5.2299]).view(1, 4, 1, 1)
    torch.testing.assert_close(to_network(one), torch.full_like(one, 0.5))
    with pytest.raises(ValueError, match="4 channels, got 16"):
        to_network(torch.zeros(1, 16, 2, 2))


def test_discrete_schedules_sample_with_the_same_rules():
    alphas = zero_terminal_snr(sd_alphas_cumprod(), last=LAST_ALPHA)
    how = Discrete(alphas, "v_prediction")

    def network(x, t):
        at = (t.round().long()).clamp(0, 999)
        alpha = alphas[at].view(-1, 1).to(x)
        return -((1 - alpha) ** 0.5) * x * 0.5  # v of some data; what counts is that it is finite

    made = samplers.sample(denoiser(network, how), draw(2, 3), karras(20, sigma_min=0.03, sigma_max=4518.0))
    assert made.isfinite().all()
