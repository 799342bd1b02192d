"""Encoder Mix in a real WebUI, with encoders made of the loaded checkpoint's own: a safetensors file of SD 1.

WEBUI_WHOLE=1 also compares with a checkpoint that has the tuned encoder inside, and is written beside it.
"""

import os
import re
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.host

MIX, TIPO = "Presample Encoder Mix", "Presample TIPO"
INSIDE = "cond_stage_model.transformer."  # of a checkpoint of SD1.5
# Random weights have texts of mean 0, which the host's emphasis would divide by.
STEPS = {"steps": 1, "override_settings": {"emphasis": "No norm"}}
HIRES = {"enable_hr": True, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.9}


@pytest.fixture(scope="module")
def checkpoint(webui):
    """The file of the loaded checkpoint."""
    found = webui.call("/sdapi/v1/sd-models")
    loaded = webui.call("/sdapi/v1/options")["sd_model_checkpoint"]
    return Path(next((model for model in found if model["title"] == loaded), found[0])["filename"])


@pytest.fixture(scope="module")
def encoders(webui, checkpoint, tmp_path_factory):
    """A folder with two tuned encoders and one that fits nothing, told to the host."""
    folder = tmp_path_factory.mktemp("encoders")
    with safe_open(checkpoint, "pt") as file:
        names = [name for name in file.keys() if name.startswith(INSIDE + "text_model.")]  # noqa: SIM118
        tensors = {
            name.removeprefix(INSIDE): file.get_tensor(name) for name in names if "position_ids" not in name
        }
    if not tensors:
        pytest.skip(f"{checkpoint.name} is no checkpoint of SD1.5")
    for seed, name in enumerate(("vivid", "soft")):
        save_file(perturbed(tensors, seed), folder / f"{name}.safetensors")
    small = {name: tensor[..., : tensor.shape[-1] // 2].contiguous() for name, tensor in tensors.items()}
    save_file(small, folder / "small.safetensors")
    webui.call("/sdapi/v1/options", {"presample_encoders": str(folder)})
    yield folder
    webui.call("/sdapi/v1/options", {"presample_encoders": ""})


def perturbed(tensors, seed):
    generator = torch.Generator().manual_seed(seed)
    changed = {}
    for name, tensor in tensors.items():
        noise = torch.randn(tensor.shape, generator=generator)
        changed[name] = (tensor.float() + 0.03 * tensor.float().std() * noise).to(tensor.dtype)
    return changed


@pytest.fixture(scope="module")
def make(webui, encoders):
    """Makes pictures with a mix in every step."""

    def made(prompt="a lake, night", tab="txt2img", others=STEPS, **mix):
        mix = {"enabled": True, "encoder_1": "vivid.safetensors", "start": 0.0, **mix} if mix else {}
        scripts = {MIX: {"args": [mix]}}
        return webui.make(prompt, tab=tab, alwayson_scripts=scripts, **{**STEPS, **others})

    return made


@pytest.fixture(scope="module")
def base(make):
    """The picture without a mix."""
    return make()


def test_a_mix_changes_the_picture_and_the_next_one_is_as_before(make, base):
    mixed, again = make(w=0.3), make()
    assert base.pixels == again.pixels != mixed.pixels
    assert base.infotexts == again.infotexts
    assert "Encoder mix" not in base.infotexts[0]
    assert "Encoder mix 1: vivid.safetensors" in mixed.infotexts[0]
    assert make(w=0.3).pixels == mixed.pixels


def test_at_0_it_is_the_original_and_every_weight_counts(make, base):
    assert make(w=0.0).pixels == base.pixels
    four = {"steps": 4}  # Classic makes the last step without the negative prompt
    mixes = [{"w": 1.0}, {"w": 1.0, "negative": "original"}]
    mixes += [{"encoder_2": "soft.safetensors", "weight_1": 0.7, "weight_2": 0.3}]
    found = [pixels for mix in ({}, *mixes) for pixels in make(others=four, **mix).pixels]
    assert len(set(found)) == 4


def test_the_original_leads_the_steps_that_it_is_to_lead(make):
    four = {"steps": 4}  # the last of two may be too small to be seen
    found = [make(others=four, start=start).pixels[0] for start in (0.0, 0.5, 1.0)]
    assert len(set(found)) == 3
    assert make(others=four).pixels == found[2:]


@pytest.mark.skipif(not os.environ.get("WEBUI_WHOLE"), reason="WEBUI_WHOLE is not set")
def test_all_of_it_is_the_checkpoint_with_the_tuned_encoder_inside(webui, make, checkpoint, encoders):
    whole = checkpoint.with_name("presample-test.safetensors")
    tensors = load_file(checkpoint)
    tensors |= {INSIDE + name: tensor for name, tensor in load_file(encoders / "vivid.safetensors").items()}
    save_file(tensors, whole)
    del tensors
    prompt = "a lake [by:at:1] night BREAK mist AND trees :0.8"
    skip = {"steps": 2, "override_settings": STEPS["override_settings"] | {"CLIP_stop_at_last_layers": 2}}
    mixed = [make(prompt, w=1.0).pixels, make(prompt, w=1.0, others=skip).pixels]
    try:
        webui.call("/sdapi/v1/refresh-checkpoints", {})
        webui.call("/sdapi/v1/options", {"sd_model_checkpoint": whole.name})
        there = [make(prompt).pixels, make(prompt, others=skip).pixels]
        unmixed = make(prompt, w=0.0).pixels
    finally:
        webui.call("/sdapi/v1/options", {"sd_model_checkpoint": checkpoint.name})
        whole.unlink()
        webui.call("/sdapi/v1/refresh-checkpoints", {})
    assert there == mixed
    assert unmixed == there[0]


def test_a_picture_sent_back_is_the_same_picture(webui, make):
    said = {"encoder_2": "soft.safetensors", "weight_2": 0.25, "negative": "own", "negative_w": 0.5}
    mixed = make(w=0.75, **said)
    again = webui.make(None, infotext=webui.infotext(mixed.images[0])["info"], **STEPS)
    assert again.pixels == mixed.pixels
    assert again.infotexts == mixed.infotexts


def test_both_passes_are_mixed(make):
    base, mixed, again = make(others=HIRES), make(others=HIRES, w=1.0), make(others=HIRES)
    assert base.pixels == again.pixels != mixed.pixels


def test_different_prompts_of_a_batch(make):
    two = {"batch_size": 2}
    mixed = make("a lake [by|at] night", others=two, w=1.0)
    assert len(set(mixed.pixels)) == 2
    assert all(text.count("Encoder mix") > 3 for text in mixed.infotexts)


def test_img2img(make, base):
    init = {"init_images": base.images, "denoising_strength": 0.9}
    unmixed = make(tab="img2img", others=init, w=0.0).pixels
    assert make(tab="img2img", others=init, w=0.5).pixels != unmixed


@pytest.mark.parametrize("name", ["../../etc/passwd", "small.safetensors"])
def test_what_is_wrong_is_said_and_the_picture_is_made_unmixed(make, base, name):
    made = make(encoder_1=name)
    assert made.pixels == base.pixels
    assert "Encoder mix" not in made.infotexts[0]


def test_a_plot_has_a_cell_for_each_weight(webui, make, base):
    found = webui.call("/sdapi/v1/script-info")
    arguments = next(s["args"] for s in found if s["name"] == "x/y/z plot" and not s["is_img2img"])
    axes = arguments[0]["choices"]
    given = [axes.index(a["value"]) if a["value"] in axes else a["value"] for a in arguments]
    given[:3] = [axes.index("[Presample] mix w"), "0, 1", []]
    given[[a["label"] for a in arguments].index("Include Sub Images")] = True
    plot = {"script_name": "x/y/z plot", "script_args": given, **STEPS}
    scripts = {MIX: {"args": [{"encoder_1": "vivid.safetensors", "start": 0.0}]}}
    made = webui.make("a lake, night", alwayson_scripts=scripts, **plot)
    texts = [text for text in made.info["infotexts"] if "Encoder mix w" in text]
    said = [re.search(r"Encoder mix w: ([\d.]+)", text)[1] for text in texts]
    assert said[-2:] == ["0.0", "1.0"]
    assert made.pixels[-2:] == [*base.pixels, *make(w=1.0).pixels]
    assert make().pixels == base.pixels
