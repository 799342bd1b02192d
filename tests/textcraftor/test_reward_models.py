"""Published rewards, from files of random weights in the layouts that are published."""

import itertools

import craft_for_tests as craft
import pytest
import torch
from safetensors.torch import load_file, save_file

from presample.models.textcraftor.rewards import official
from presample.models.textcraftor.training import train
from presample.models.textcraftor.training.options import CraftOptions
from presample.models.textcraftor.training.reward_models import published

pytest.importorskip("transformers")
SIZES = (16, 1024, 128, 64, 16, 1)  # of LAION's predictor, but for the first


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder with a CLIP for each reward, and the predictor of aesthetics."""
    from transformers import CLIPConfig, CLIPModel

    folder = tmp_path_factory.mktemp("models")
    text = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    text |= {"vocab_size": 300, "bos_token_id": 298, "eos_token_id": 299, "pad_token_id": 299}
    vision = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 2}
    vision |= {"image_size": 224, "patch_size": 56}
    for seed, name in enumerate(("clip", "pick", "hps", "aesthetic")):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
        model.save_pretrained(folder / name)
        craft.tokenizer(folder).save_pretrained(folder / name)
    generator = torch.Generator().manual_seed(0)
    maps = {}
    for place, (a, b) in zip((0, 2, 4, 6, 7), itertools.pairwise(SIZES), strict=True):
        maps[f"layers.{place}.weight"] = torch.randn(b, a, generator=generator)
        maps[f"layers.{place}.bias"] = torch.randn(b, generator=generator)
    save_file(maps, folder / "aesthetic" / "predictor.safetensors")
    return folder


def pixels():
    return torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", ["clip", "pick", "hps"])
def test_a_similarity_is_what_transformers_says(models, name):
    from transformers import AutoTokenizer, CLIPModel

    reward = published([name], str(models))[name]
    prompts = ["a lake", "night"]
    model = CLIPModel.from_pretrained(models / name).eval()
    ids = AutoTokenizer.from_pretrained(models / name)(
        prompts, padding="max_length", max_length=77, return_tensors="pt"
    )
    with torch.no_grad():
        logits = model(input_ids=ids.input_ids, pixel_values=official(pixels())).logits_per_image.diagonal()
    wanted = logits if name == "pick" else logits / model.logit_scale.exp()
    assert torch.allclose(reward.score(pixels(), prompts), wanted, atol=1e-4)


def test_an_aesthetic_score_is_a_linear_stack_over_the_picture(models):
    reward = published(["aesthetic"], str(models))["aesthetic"]
    images = pixels().requires_grad_()
    found = reward.score(images, ["", ""])
    maps = load_file(models / "aesthetic" / "predictor.safetensors")
    stack = torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in itertools.pairwise(SIZES)))
    for layer, place in zip(stack, (0, 2, 4, 6, 7), strict=True):
        layer.weight.data, layer.bias.data = (maps[f"layers.{place}.{part}"] for part in ("weight", "bias"))
    seen = published(["clip"], str(models))["clip"].towers
    assert torch.allclose(found, stack(reward.embed(images))[:, 0], rtol=1e-4)
    assert reward.embed(images).shape == seen.images(images).shape
    found.sum().backward()
    assert images.grad.abs().max() > 0


def test_textcraftors_own_setting_trains_on_a_pipeline(models, tmp_path):
    pytest.importorskip("diffusers")
    pytest.importorskip("accelerate")
    asked = craft.options(tmp_path, preset="textcraftor", reward=(), models=str(models), steps=1)
    asked = train.settled(
        CraftOptions(**{**vars(asked), "base": str(craft.pipeline(tmp_path)), "sampling_steps": 2})
    )
    found = train.train(asked)
    assert found.facts["parameters"] > 0
    line = (tmp_path / "out" / "training" / "log.jsonl").read_text(encoding="utf-8")
    assert all(f'"{name}"' in line for name in ("aesthetic", "hps", "pick", "clip"))


def test_what_is_missing_is_said(models, tmp_path):
    with pytest.raises(ValueError, match="aesthetic, hps, pick, clip"):
        published(["beauty"], str(models))
    with pytest.raises(ValueError, match="--models must name"):
        published(["pick"], "")
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        published(["pick"], str(tmp_path))
