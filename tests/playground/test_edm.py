"""Preconditioning, loss and training noise."""

import pytest
import torch

from presample.models.playground import edm as module
from presample.models.playground.edm import EDM, PLAYGROUND, Discrete
from presample.models.playground.schedules import LAST_ALPHA, sd_alphas_cumprod, zero_terminal_snr

SIGMAS = torch.tensor([0.002, 0.05, 0.5, 3.0, 80.0], dtype=torch.float64)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def kinds():
    alphas = sd_alphas_cumprod()
    return {
        "edm": PLAYGROUND,
        "epsilon": Discrete(alphas),
        "v": Discrete(zero_terminal_snr(alphas, last=LAST_ALPHA), "v_prediction"),
    }


def test_the_scalings_are_those_of_diffusers_scheduler():
    from diffusers import EDMDPMSolverMultistepScheduler

    theirs = EDMDPMSolverMultistepScheduler(sigma_data=0.5)
    x, answer = draw(1, 4, 3, 3), draw(1, 4, 3, 3, seed=1)
    for sigma in SIGMAS:
        network = {}

        def record(scaled, c_noise, network=network):
            network["in"], network["noise"] = scaled, c_noise
            return answer

        ours = module.denoise(record, x, sigma.view(1), PLAYGROUND)
        torch.testing.assert_close(ours, theirs.precondition_outputs(x, answer, sigma), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(network["in"], theirs.precondition_inputs(x, sigma), rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(network["noise"], theirs.precondition_noise(sigma).view(1))


def test_without_noise_the_picture_passes_and_the_network_is_not_heard():
    c_skip, c_out, c_in, _ = PLAYGROUND.scalings(torch.tensor([1e-9], dtype=torch.float64))
    assert c_skip.item() == pytest.approx(1, abs=1e-12)
    assert c_out.item() == pytest.approx(0, abs=1e-8)
    assert c_in.item() == pytest.approx(2)


@pytest.mark.parametrize("sigma", SIGMAS.tolist())
def test_input_and_target_of_edm_have_unit_variance_at_every_noise(sigma):
    x_0, noise = 0.5 * draw(200_000, 1), draw(200_000, 1, seed=1)
    at = torch.full((len(x_0),), sigma, dtype=torch.float64)
    x = x_0 + sigma * noise
    c_in = PLAYGROUND.scalings(at).c_in
    assert (c_in.view(-1, 1) * x).std().item() == pytest.approx(1, abs=0.01)
    assert module.target(x_0, x, at, PLAYGROUND).std().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("name", kinds())
def test_the_network_that_answers_the_target_denoises_and_has_no_loss(name):
    how = kinds()[name]
    x_0, noise, sigma = draw(3, 2, 2), draw(3, 2, 2, seed=1), torch.tensor([0.03, 1.0, 14.0]).double()
    x = x_0 + module.beside(sigma, x_0) * noise
    wanted = module.target(x_0, x, sigma, how)
    torch.testing.assert_close(module.denoise(lambda *_: wanted, x, sigma, how), x_0)
    assert module.loss(lambda *_: wanted, x_0, sigma, noise, how).item() == 0
    off = module.loss(lambda *_: wanted + 2, x_0, sigma, noise, how)
    assert off.item() == pytest.approx(4)


@pytest.mark.parametrize("name", kinds())
def test_the_network_hears_the_noise_on_the_device_of_its_picture(name):
    how, x, heard = kinds()[name], torch.zeros(2, 4, 8, 8, device="meta"), []

    def network(scaled, c_noise):
        heard.append(c_noise.device.type)
        return scaled

    sigma = how.draw(2, torch.Generator())
    module.loss(network, x, sigma, torch.zeros_like(x), how)
    module.denoise(network, x, sigma, how)
    assert heard == ["meta", "meta"]


def test_the_loss_of_edm_is_its_weighted_error():
    x_0, noise, sigma = 0.5 * draw(4, 3), draw(4, 3, seed=1), torch.tensor([0.01, 0.3, 2.0, 60.0]).double()

    def network(x, c_noise):
        return torch.sin(x + c_noise.view(-1, 1))

    x = x_0 + module.beside(sigma, x_0) * noise
    error = (module.denoise(network, x, sigma, PLAYGROUND) - x_0) ** 2
    weighted = (PLAYGROUND.weight(sigma).view(-1, 1) * error).mean()
    ours = module.loss(network, x_0, sigma, noise, PLAYGROUND)
    torch.testing.assert_close(ours.double(), weighted, rtol=1e-5, atol=0)


def test_epsilon_prediction_is_asked_for_the_noise_and_v_for_its_velocity():
    alphas = sd_alphas_cumprod()
    x_0, noise, step = draw(2, 5), draw(2, 5, seed=1), torch.tensor([17, 900])
    alpha = alphas[step].view(-1, 1)
    sigma = ((1 - alphas[step]) / alphas[step]).sqrt()
    x = x_0 + sigma.view(-1, 1) * noise
    epsilon, v = Discrete(alphas), Discrete(alphas, "v_prediction")
    torch.testing.assert_close(module.target(x_0, x, sigma, epsilon), noise)
    torch.testing.assert_close(
        module.target(x_0, x, sigma, v), alpha.sqrt() * noise - (1 - alpha).sqrt() * x_0
    )
    torch.testing.assert_close(epsilon.scalings(sigma).c_in.view(-1, 1) * x, alpha.sqrt() * x)
    torch.testing.assert_close(epsilon.timestep(sigma), step.double())


def test_timesteps_of_sigmas_out_of_range_are_the_first_and_the_last():
    found = Discrete(sd_alphas_cumprod()).timestep(torch.tensor([1e-5, 0.5, 99.0]).double())
    assert found[0] == 0
    assert 0 < found[1] < 999
    assert found[2] == 999


def test_training_noise_is_log_normal_and_that_of_timesteps_even():
    found = EDM(p_mean=-0.5, p_std=0.7).draw(50_000, torch.Generator().manual_seed(0)).log()
    assert found.mean().item() == pytest.approx(-0.5, abs=0.02)
    assert found.std().item() == pytest.approx(0.7, abs=0.02)
    how = Discrete(sd_alphas_cumprod(4))
    sigmas = how.draw(4000, torch.Generator().manual_seed(0))
    counts = [(sigmas == sigma.float()).sum().item() for sigma in how.sigmas]
    assert sum(counts) == 4000
    assert min(counts) > 880


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="sigma_min below sigma_max"):
        EDM(sigma_min=90)
    with pytest.raises(ValueError, match="one of epsilon, v"):
        Discrete(sd_alphas_cumprod(), "x0")
    with pytest.raises(ValueError, match="LAST_ALPHA"):
        Discrete(zero_terminal_snr(sd_alphas_cumprod()))


def test_playgrounds_numbers_are_the_published_ones():
    published = {"sigma_data": 0.5, "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}
    published |= {"p_mean": -1.2, "p_std": 1.2}
    assert {name: getattr(PLAYGROUND, name) for name in published} == published
