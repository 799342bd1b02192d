"""The nodes of Playground v2.5 and of aspect buckets beside a fake ComfyUI."""

import math
from types import SimpleNamespace

import pytest
import torch

from presample.models.playground.schedules import karras


class Model:
    """A MODEL: what is asked of ComfyUI's ModelPatcher."""

    def __init__(self, model, sampling, patches=()):
        self.model, self.sampling, self.patches = model, sampling, dict(patches)

    def clone(self):
        return Model(self.model, self.sampling, self.patches)

    def add_object_patch(self, name, patch):
        self.patches[name] = patch

    def get_model_object(self, name):
        return self.patches.get(name, self.sampling)


@pytest.fixture
def sampling(comfy):
    """Makes a sampling of one of ComfyUI's kinds."""
    kinds = comfy.fake["comfy.model_sampling"]

    def make(name, *values, **facts):
        made = getattr(kinds, name)()
        made.set_parameters(*values, **facts)
        return made

    return make


@pytest.fixture
def sdxl(comfy):
    """A MODEL with an SDXL UNet that ComfyUI took for one of epsilon prediction."""
    model = comfy.fake["comfy.model_base"].SDXL()
    model.model_config = SimpleNamespace(sampling_settings={})
    return Model(model, object())


def run(nodes, name, **given):
    return nodes[f"Presample{name}"].execute(**given).args


def test_playground_sampling_sets_edm_and_its_latents(nodes, comfy, sdxl):
    (made,) = run(nodes, "PlaygroundSampling", model=sdxl)
    sampling, kinds = made.patches["model_sampling"], comfy.fake["comfy.model_sampling"]
    assert isinstance(sampling, kinds.EDM)
    assert isinstance(sampling, kinds.ModelSamplingContinuousEDM)
    assert (sampling.sigma_min, sampling.sigma_max, sampling.sigma_data) == (0.002, 80.0, 0.5)
    assert isinstance(made.patches["latent_format"], comfy.fake["comfy.latent_formats"].SDXL_Playground_2_5)
    assert not sdxl.patches


def test_playground_sampling_twice_is_once(nodes, sdxl):
    (once,) = run(nodes, "PlaygroundSampling", model=sdxl)
    (twice,) = run(nodes, "PlaygroundSampling", model=once)
    assert vars(twice.patches["model_sampling"]) == vars(once.patches["model_sampling"])
    assert set(twice.patches) == set(once.patches)


def test_playground_sampling_refuses_another_model(nodes):
    with pytest.raises(ValueError, match="SDXL UNet, got SimpleNamespace"):
        run(nodes, "PlaygroundSampling", model=Model(SimpleNamespace(), None))


def test_edm_sigmas_are_karras_schedule(nodes):
    (found,) = run(nodes, "EDMSigmas")
    torch.testing.assert_close(found, karras(50).float())
    (found,) = run(
        nodes, "EDMSigmas", steps=10, sigma_max=20.0, sigma_min=0.1, rho=3.0, shift=2.0, denoise=0.5
    )
    wanted = 2 * karras(20, sigma_max=20, sigma_min=0.1, rho=3)[-11:]
    torch.testing.assert_close(found, wanted.float())
    assert found.dtype == torch.float32


LARGE = {"width": 2048, "height": 2048, "base": 1024}


def test_a_flow_models_shift_is_multiplied(nodes, sampling):
    before = sampling("ModelSamplingDiscreteFlow", shift=3.0, multiplier=1.0)
    made, by = run(nodes, "ResolutionShift", model=Model(None, before), **LARGE)
    after = made.patches["model_sampling"]
    assert (by, after.shift, after.multiplier) == (2.0, 6.0, 1.0)
    assert before.shift == 3.0


def test_fluxs_shift_is_a_logarithm(nodes, sampling):
    made, _ = run(
        nodes, "ResolutionShift", model=Model(None, sampling("ModelSamplingFlux", shift=1.15)), **LARGE
    )
    assert made.patches["model_sampling"].shift == pytest.approx(1.15 + math.log(2))


def test_edms_sigmas_are_multiplied_as_edm_sigmas_multiplies_them(nodes, sdxl):
    (model,) = run(nodes, "PlaygroundSampling", model=sdxl)
    made, _ = run(nodes, "ResolutionShift", model=model, **LARGE)
    after = made.patches["model_sampling"]
    assert (after.sigma_min, after.sigma_max, after.sigma_data) == (0.004, 160.0, 0.5)
    ours = karras(10, sigma_min=after.sigma_min, sigma_max=after.sigma_max)
    torch.testing.assert_close(ours.float(), run(nodes, "EDMSigmas", steps=10, shift=2.0)[0].float())


def test_at_the_models_own_size_nothing_changes_and_a_second_shift_replaces_the_first(nodes, sampling):
    model = Model(None, sampling("ModelSamplingDiscreteFlow", shift=3.0))
    made, by = run(nodes, "ResolutionShift", model=model)
    assert (by, made.patches["model_sampling"].shift) == (1.0, 3.0)
    first, _ = run(nodes, "ResolutionShift", model=model, **LARGE)
    latent = {"samples": torch.zeros(1, 4, 64, 64)}
    second, by = run(nodes, "ResolutionShift", model=first, latent=latent, **LARGE)
    assert (by, second.patches["model_sampling"].shift) == (0.5, 1.5)


@pytest.mark.parametrize(
    ("said", "cell", "by"),
    [({}, 16, 2.0), ({}, 32, 4.0), ({}, None, 1.0), ({"downscale_ratio_spacial": 8}, 16, 1.0)],
)
def test_a_latent_has_cells_of_its_models_size_where_it_says_nothing_else(nodes, sampling, said, cell, by):
    form = SimpleNamespace(**{} if cell is None else {"spacial_downscale_ratio": cell})
    model = Model(None, sampling("ModelSamplingFlux", shift=1.15), {"latent_format": form})
    latent = {"samples": torch.zeros(1, 128, 128, 128), **said}
    assert run(nodes, "ResolutionShift", model=model, latent=latent, base=1024)[1] == by


def test_models_of_fixed_timesteps_are_refused(nodes):
    with pytest.raises(ValueError, match="must be a flow model or one with EDM's noise"):
        run(nodes, "ResolutionShift", model=Model(None, object()), **LARGE)


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, (1216, 832)),
        ({"bucket": "640x1536"}, (640, 1536)),
        ({"buckets": "tiny", "ratio": "0.6", "batch_size": 3}, (96, 160)),
        ({"image": torch.zeros(1, 300, 400, 3)}, (1152, 896)),
    ],
)
def test_a_latent_has_the_size_of_its_bucket(nodes, given, size):
    latent, width, height = run(nodes, "AspectBucketLatent", **given)
    assert (width, height) == size
    wanted = (given.get("batch_size", 1), 4, size[1] // 8, size[0] // 8)
    assert latent["samples"].shape == wanted
    assert latent["downscale_ratio_spacial"] == 8
    assert not latent["samples"].any()


def test_a_size_is_snapped(nodes):
    assert run(nodes, "SnapToBucket", width=1254, height=836) == (1216, 832)
    assert run(nodes, "SnapToBucket", width=1254, height=836, buckets="multiples") == (1248, 832)
    assert run(nodes, "SnapToBucket") == (1024, 1024)
