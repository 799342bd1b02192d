"""Tuning the text encoder of a pipeline of diffusers, with few random weights."""

import craft_for_tests as craft
import pytest
import torch
from craft_for_tests import changed, trained
from safetensors.torch import load_file

from presample.models.metrics.scorers import Towers
from presample.models.textcraftor.files import read_encoder
from presample.models.textcraftor.training import bases, measure
from presample.models.textcraftor.training.gallery import Gallery
from presample.models.textcraftor.training.options import CraftOptions

pytest.importorskip("accelerate", reason="training needs presample[train]")
pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def stable(tmp_path_factory):
    return bases.diffusers_base(craft.pipeline(tmp_path_factory.mktemp("sd")))


def test_a_pipeline_of_diffusers_is_tuned(tmp_path, stable):
    studio = craft.studio(stable, craft.Towers())
    found, options = trained(tmp_path, studio, base="sd", preset="textcraftor")
    assert len(changed(stable.encoder, found.model)) == 3 * 16 + 4
    file = read_encoder(tmp_path / "out" / "model.safetensors")
    assert len(file.tensors) == 3 * 16 + 4
    measured = measure.measure(options, studio, found.model)
    assert set(measured) == {"red", "alignment", "diversity"}


def clip_of(encoder, seed):
    """A CLIP of transformers with random weights, whose text tower has an encoder's shape."""
    from transformers import CLIPConfig, CLIPModel

    vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        text, vision = encoder.config.to_dict(), {**vision, "image_size": 16, "patch_size": 4}
        model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).eval()
    return model.requires_grad_(False)


def test_the_constraint_self_compares_with_what_the_tuned_encoder_says(tmp_path, stable):
    model = clip_of(stable.encoder, seed=1)
    clip = Towers(model, stable.pipeline.tokenizer, lambda images: images)
    with pytest.raises(ValueError, match="needs a CLIP whose text tower the pipeline's encoder was"):
        stable.with_clip(clip)
    own = {name.removeprefix("text_model."): t for name, t in stable.encoder.state_dict().items()}
    model.text_model.load_state_dict(own)
    base, prompts = stable.with_clip(clip), ["lake", "night"]
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    found = base.aligned(base.say(base.encoder, prompts).pooled, images)
    assert torch.allclose(found, (clip.texts(prompts) * clip.images(images)).sum(-1), atol=1e-5)
    folders = {name: tmp_path / name for name in ("self", "frozen")}
    for folder in folders.values():
        folder.mkdir()
    made = [
        trained(folder, craft.studio(base, clip), base="sd", constraint=name, steps=1)[0].model
        for name, folder in folders.items()
    ]
    assert all(changed(stable.encoder, each) for each in made)
    assert changed(*made), "what the encoder says has a gradient, too"


def test_both_prompts_of_guidance_come_from_the_tuned_encoder(stable):
    said = stable.say(stable.encoder, ["lake", "night"])
    assert said.condition.tokens.shape == said.condition.empty.shape == (2, 77, 32)
    assert said.pooled.shape == (2, 32)
    wanted = stable.say(stable.encoder, [""]).condition.tokens
    assert torch.allclose(said.condition.empty, wanted.expand(2, -1, -1), atol=1e-6)


def test_sampling_is_the_pipelines_own(stable):
    """diffusers' pipeline with its DDIM scheduler paints the same picture from the same noise."""
    stable.to(torch.device("cpu"))
    gallery = Gallery(stable, (), CraftOptions(sampling_steps=5, cfg=7.5))
    ours = gallery.sweep(["lake"], [3], [()])[0]
    pipeline = stable.pipeline
    pipeline.scheduler = type(pipeline.scheduler).from_config(
        pipeline.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=False
    )
    pipeline.set_progress_bar_config(disable=True)
    noise = stable.noise(1, torch.Generator().manual_seed(3))
    theirs = pipeline(
        "lake", latents=noise, num_inference_steps=5, guidance_scale=7.5, output_type="pt"
    ).images
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_denoiser_of_a_pipeline_is_written_with_its_own_names(tmp_path, stable):
    found, _ = trained(
        tmp_path, craft.studio(stable, craft.Towers()), base="sd", tune="denoiser", steps=1, cfg=7.5
    )
    names = set(load_file(tmp_path / "out" / "model.safetensors"))
    assert names == set(stable.denoiser.state_dict())
    assert changed(stable.denoiser, found.model)


def test_pickled_weights_of_a_pipeline_are_never_read(tmp_path, stable):
    stable.pipeline.save_pretrained(tmp_path, safe_serialization=False)
    assert list(tmp_path.rglob("*.bin"))
    with pytest.raises(OSError, match=r"no file named .*safetensors"):
        bases.diffusers_base(tmp_path)


def test_what_a_pipeline_lacks_is_said(tmp_path, stable):
    with pytest.raises(FileNotFoundError, match="model_index"):
        bases.diffusers_base(tmp_path)
    with pytest.raises(ValueError, match="call with_clip first"):
        stable.aligned(torch.zeros(1, 32), torch.zeros(1, 3, 8, 8))
