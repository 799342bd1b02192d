"""EDM of the Playground panel in a real WebUI, whose loaded checkpoint is one of SD 1, of any weights.

WEBUI_WHOLE=1 also loads one that says it is Playground's, which is written beside it for that time.
"""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.host

TITLE, KEY = "Presample Playground", "Playground EDM"
# Random weights have texts of mean 0, which the host's emphasis would divide by.
STEPS = {
    **{"steps": 3, "sampler_name": "DPM++ 2M", "scheduler": "Karras"},
    "override_settings": {"emphasis": "No norm"},
}
HIRES = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.9}


@pytest.fixture(scope="module")
def make(webui):
    """Makes pictures with what the panel's EDM says, or without a word of it."""

    def made(edm=None, tab="txt2img", **others):
        scripts = {} if edm is None else {TITLE: {"args": [edm]}}
        return webui.make("a lake, night", tab=tab, alwayson_scripts=scripts, **{**STEPS, **others})

    return made


@pytest.fixture(scope="module")
def plain(make):
    """The picture as the checkpoint itself samples."""
    return make()


@pytest.fixture(scope="module", autouse=True)
def _place(plain):
    if "Version: classic" in plain.infotexts[0]:
        pytest.skip("Forge Classic has no place for EDM, and says so under the picture")


def test_it_samples_so_when_told_and_the_next_picture_is_as_before(make, plain):
    on, again = make("on"), make()
    assert on.pixels != plain.pixels == again.pixels
    assert f"{KEY}: on" in on.infotexts[0]
    assert plain.infotexts == again.infotexts
    assert KEY not in plain.infotexts[0]
    assert make("on").pixels == on.pixels


def test_a_checkpoint_that_is_not_playgrounds_is_left_alone(make, plain):
    auto, off = make("auto"), make("off")
    assert auto.pixels == off.pixels == plain.pixels
    assert auto.infotexts == plain.infotexts
    assert f"{KEY}: off" in off.infotexts[0]


def test_a_schedule_that_is_left_open_is_karras(make):
    open_, named = make("on", scheduler="Automatic"), make("on")
    assert open_.pixels == named.pixels
    assert "Schedule type: Karras" in open_.infotexts[0]
    assert make("on", scheduler="Exponential").pixels != named.pixels


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "Heun", "DPM++ SDE", "DPM++ 2M SDE"])
def test_every_sampler_of_k_diffusion_takes_it(make, sampler):
    made = make("on", sampler_name=sampler)
    assert made.pixels != make(sampler_name=sampler).pixels
    assert f"{KEY}: on" in made.infotexts[0]


def test_a_sampler_of_timesteps_paints_without(make):
    refused = make("on", sampler_name="DDIM")
    assert refused.pixels == make(sampler_name="DDIM").pixels
    assert KEY not in refused.infotexts[0]


def test_batches_hires_and_img2img_are_sampled_so(webui, make, plain):
    two = make("on", batch_size=2)
    assert two.pixels[0] != two.pixels[1]
    for others in ({"batch_size": 2}, HIRES):
        assert not {*make("on", **others).pixels} & {*make(**others).pixels}
    image = {"tab": "img2img", "init_images": plain.images, "denoising_strength": 0.6}
    assert make("on", **image).pixels != make(**image).pixels
    assert make().pixels == plain.pixels


@pytest.fixture(scope="module")
def playgrounds(webui):
    """The names of the loaded checkpoint and of the same one with Playground's mark in it."""
    found = webui.call("/sdapi/v1/sd-models")
    loaded = webui.call("/sdapi/v1/options")["sd_model_checkpoint"]
    own = Path(next((model for model in found if model["title"] == loaded), found[0])["filename"])
    marked = own.with_name("presample-marked.safetensors")
    save_file(load_file(own) | {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)}, marked)
    webui.call("/sdapi/v1/refresh-checkpoints", {})
    yield own.name, marked.name
    webui.call("/sdapi/v1/options", {"sd_model_checkpoint": own.name})
    marked.unlink()
    webui.call("/sdapi/v1/refresh-checkpoints", {})


@pytest.mark.skipif(not os.environ.get("WEBUI_WHOLE"), reason="WEBUI_WHOLE is not set")
def test_a_checkpoint_of_playgrounds_is_known_and_the_next_one_is_not(webui, make, plain, playgrounds):
    own, marked = playgrounds
    on = make("on")
    webui.call("/sdapi/v1/options", {"sd_model_checkpoint": marked})
    assert make().pixels == make("auto").pixels == on.pixels
    assert make("off").pixels == plain.pixels
    assert make().pixels == on.pixels
    webui.call("/sdapi/v1/options", {"sd_model_checkpoint": own})
    assert make().pixels == plain.pixels
