"""Published scorers with random weights: against transformers' own pictures and arithmetic, and gradients."""

import json

import pytest
import torch
from PIL import Image
from scorers_for_tests import save_clip, save_pictures, save_predictor, save_siglip, to_open_clip

from presample.models.metrics.preprocess import read_prepare
from presample.models.metrics.scorers import AiCorrupt, load_scorer, load_towers

PROMPTS = ["lake moon", "cat", "tree lake cat"]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    pixels = save_pictures(tmp_path_factory.mktemp("pictures"), 3)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def cosines(folder, images):
    """What transformers' model and slow processor make of the same pictures."""
    from transformers import CLIPImageProcessor, CLIPModel, PreTrainedTokenizerFast

    pictures = [Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy()) for x in images]
    pixels = CLIPImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt").pixel_values
    tokens = PreTrainedTokenizerFast.from_pretrained(folder)(
        PROMPTS, padding="max_length", max_length=8, return_tensors="pt"
    )
    with torch.no_grad():
        out = CLIPModel.from_pretrained(folder)(input_ids=tokens.input_ids, pixel_values=pixels)
    return out.image_embeds @ out.text_embeds.T


def test_clip_hps_and_pick_scores_are_those_of_transformers(clip, images):
    wanted = cosines(clip, images)
    scale = float(load_towers(clip).model.logit_scale.exp())
    for kind, times in (("clip", 1.0), ("hps", 1.0), ("pick", scale)):
        found = load_scorer(kind, clip).score(images, PROMPTS)
        torch.testing.assert_close(found / times, wanted.diagonal(), atol=2e-3, rtol=0)
    matrix = load_scorer("pick", clip, pairs="matrix").score(images, PROMPTS)
    torch.testing.assert_close(matrix / scale, wanted.mean(1), atol=2e-3, rtol=0)


def test_hpsv2s_own_file_counts_instead_of_the_weights_in_the_folder(tmp_path, clip, images):
    wanted = load_scorer("hps", clip).score(images, PROMPTS)
    folder = tmp_path / "hps"
    tensors = to_open_clip(save_clip(folder))
    (folder / "model.safetensors").unlink()
    torch.save({"epoch": 3, "state_dict": tensors}, folder / "HPS_v2.1_compressed.pt")
    torch.testing.assert_close(load_scorer("hps", folder).score(images, PROMPTS), wanted, atol=1e-6, rtol=0)
    torch.save({"state_dict": tensors}, folder / "HPS_v2_compressed.pt")
    with pytest.raises(ValueError, match=r"one file of HPSv2's weights, got HPS_v2\.1_compressed\.pt and"):
        load_scorer("hps", folder)
    (folder / "HPS_v2_compressed.pt").unlink()
    tensors.pop("visual.proj")
    torch.save({"state_dict": tensors}, folder / "HPS_v2.1_compressed.pt")
    with pytest.raises(ValueError, match=r"got others or none for visual_projection"):
        load_scorer("hps", folder)


@pytest.mark.parametrize("size", [(40, 48), (48, 40), (33, 90), (32, 32)])
def test_pictures_are_prepared_as_transformers_does_it(clip, size):
    from transformers import CLIPImageProcessor

    image = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    picture = Image.fromarray((image[0] * 255).round().byte().permute(1, 2, 0).numpy())
    wanted = CLIPImageProcessor.from_pretrained(clip)(picture, return_tensors="pt").pixel_values
    found = read_prepare(clip)(image)
    assert found.shape == wanted.shape
    # Pillow rounds to bytes, and cuts off what overshoots between its two passes: noise has much of that.
    assert (found - wanted).abs().mean() < 0.01


@pytest.mark.parametrize("kind", ["clip", "pick", "hps", "aesthetic", "aesthetic-2.5"])
def test_gradients_reach_every_part_of_the_pictures(kind, tmp_path, images):
    if kind == "aesthetic-2.5":
        save_siglip(tmp_path)
        save_predictor(tmp_path / "predictor.safetensors", 16)
    else:
        save_clip(tmp_path)
        save_predictor(tmp_path / "predictor.pth", 12)
    given = images.clone().requires_grad_(True)
    load_scorer(kind, tmp_path).score(given, PROMPTS).sum().backward()
    assert given.grad.isfinite().all()
    assert (given.grad.abs().sum((1, 2, 3)) > 0).all()


def test_aesthetic_scores_are_the_predictors_over_embeddings_of_length_one(tmp_path, images):
    from transformers import SiglipImageProcessor

    siglip, head = save_siglip(tmp_path), save_predictor(tmp_path / "predictor.pth", 16)
    pictures = [Image.fromarray((x * 255).round().byte().permute(1, 2, 0).numpy()) for x in images]
    pixels = SiglipImageProcessor.from_pretrained(tmp_path)(pictures, return_tensors="pt").pixel_values
    with torch.no_grad():
        pooled = siglip(pixel_values=pixels).pooler_output
        wanted = head(pooled / pooled.norm(dim=-1, keepdim=True))[:, 0]
    found = load_scorer("aesthetic-2.5", tmp_path).score(images, PROMPTS)
    torch.testing.assert_close(found, wanted, atol=5e-3, rtol=0)


def test_ai_corrupt_gives_the_probability_of_a_whole_picture():
    seen = []

    def run(x):
        seen.append(x)
        return torch.tensor([[0.8, 0.2]] * len(x)).numpy()

    scores = AiCorrupt(run, good=1).score(torch.full((2, 3, 20, 30), 0.25))
    torch.testing.assert_close(scores, torch.tensor([0.2, 0.2]))
    assert seen[0].shape == (2, 3, 384, 384)
    assert seen[0] == pytest.approx(-0.5)  # 0..1 becomes -1..1


def test_what_is_missing_or_wrong_is_named(clip, images, tmp_path):
    with pytest.raises(ValueError, match="one of clip, pick"):
        load_scorer("beauty", clip)
    with pytest.raises(FileNotFoundError, match="predictor"):
        load_scorer("aesthetic", clip)
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        load_scorer("ai-corrupt", clip)
    with pytest.raises(FileNotFoundError, match=r"config\.json"):
        load_scorer("clip", tmp_path)
    with pytest.raises(ValueError, match="needs a prompt"):
        load_scorer("clip", clip).score(images, ["one"])
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip"}))
    with pytest.raises(ValueError, match="must hold a CLIP"):
        load_scorer("hps", tmp_path)


def test_a_predictor_of_another_width_is_refused(tmp_path):
    save_clip(tmp_path)
    save_predictor(tmp_path / "predictor.pth", 20)
    with pytest.raises(ValueError, match="width 20"):
        load_scorer("aesthetic", tmp_path)
