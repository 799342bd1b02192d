"""Every template runs in the real ComfyUI with what is bundled, and gives what its note says."""

import json

import numpy as np
import pytest
import torch
from server_for_tests import ROOT
from workflows_for_tests import to_prompt

from presample.models.tinyworld.taste import colourfulness

WRITING = ("expand_and_show", "variations", "before_and_after", "language_to_tags", "freeze_and_edit")
# Pictures that each paints.
PAINTING = {
    "tiny_text_to_image": 1,
    "tipo_to_pictures": 8,
    "image_to_image": 2,
    "aspect_buckets": 3,
    "score_and_compare": 2,
}
MIXING = {"plain_to_vivid": 1, "mix_two_encoders": 1, "plain_to_vivid_sweep": 1}
# Files that each needs, with their folders.
LARGE = {
    "full_size": (
        "diffusion_models/mmh-dit.safetensors",
        "text_encoders/t5xxl_fp16.safetensors",
        "vae/ae.safetensors",
    ),
    "tipo_for_sdxl": ("checkpoints/sd_xl_base_1.0.safetensors",),
    "tipo_for_flux": ("checkpoints/flux1-dev-fp8.safetensors",),
}
PAINTER = ROOT / "models/bundled/mmh-dit-tiny/model.safetensors"
TUNED = [ROOT / f"models/bundled/tiny-clip-{name}/model.safetensors" for name in ("vivid", "moonlit")]
with_tuned = pytest.mark.skipif(
    not all(path.is_file() for path in (PAINTER, *TUNED)),
    reason=f"{', '.join(path.parent.name for path in (PAINTER, *TUNED))} are not all bundled yet",
)


def titled(workflow, title):
    """Returns the id of the node with a title."""
    return str(next(node["id"] for node in workflow["nodes"] if node.get("title") == title))


def expander(workflow):
    """Returns the id of the node that expands."""
    kinds = ("PresampleTIPOExpand", "PresampleTIPOTask")
    return str(next(node["id"] for node in workflow["nodes"] if node["type"] in kinds))


@pytest.fixture(scope="module")
def results(server, templates):
    """What each template gave."""
    made = {}
    for name, workflow in templates.items():
        made[name] = server.run(to_prompt(workflow, server.definitions))
    return made


def test_the_templates_are_those_that_are_tested(templates):
    assert set(templates) == {*WRITING, *PAINTING, *MIXING, *LARGE}


@pytest.mark.parametrize("name", WRITING)
def test_it_runs(results, name):
    assert results[name].end == "execution_success", results[name].error


def test_expand_and_show_keeps_the_prompt_and_adds_to_it(results, templates):
    result, workflow = results["expand_and_show"], templates["expand_and_show"]
    prompt, added = (result.output(titled(workflow, title))["text"][0] for title in ("prompt", "added"))
    assert prompt.startswith("1girl, (lake:1.1), night")
    assert len(added) > 40
    assert "1girl" not in added
    shown = result.variations(expander(workflow))
    assert [chip["text"] for chip in shown[0]["chips"] if chip["own"]] == ["1girl", "lake", "night"]


def test_variations_gives_four_of_everything(results, templates):
    result, workflow = results["variations"], templates["variations"]
    texts = {title: result.output(titled(workflow, title))["text"] for title in ("4 prompts", "4 seeds")}
    assert len(set(texts["4 prompts"])) == 4
    assert texts["4 seeds"] == ["0", "1", "2", "3"]
    assert all(len(result.output(titled(workflow, each))["text"]) == 4 for each in ("noise", "latents"))


def test_before_and_after_differ_by_the_additions(results, templates):
    result, workflow = results["before_and_after"], templates["before_and_after"]
    before, after = (
        result.output(titled(workflow, title))["text"][0]
        for title in ("before: user_prompt", "after: prompt")
    )
    assert after.startswith(before)
    assert len(after) > 2 * len(before)


def test_language_to_tags_gives_tags_for_the_sentences(results, templates):
    result, workflow = results["language_to_tags"], templates["language_to_tags"]
    tags = result.output(titled(workflow, "tags"))["text"][0].split(", ")
    assert "1girl" in tags
    assert len(tags) > 20
    assert not any("." in tag for tag in tags)


def test_freeze_and_edit_gives_the_frozen_text_and_another_layout_of_it(results, templates):
    result, workflow = results["freeze_and_edit"], templates["freeze_and_edit"]
    frozen = next(n for n in workflow["nodes"] if str(n["id"]) == expander(workflow))["widgets_values"][4]
    assert result.output(titled(workflow, "prompt"))["text"] == [frozen]
    other = result.output(titled(workflow, "prose first"))["text"][0]
    assert other.index("The moon") < other.index("full moon")
    assert result.variations(expander(workflow))[0]["tokens"] == 0


@pytest.mark.skipif(not PAINTER.is_file(), reason=f"{PAINTER} is not bundled yet")
@pytest.mark.parametrize("name", PAINTING)
def test_it_paints_pictures_that_differ(results, server, name):
    check_pictures(results[name], server, PAINTING[name])


@pytest.mark.skipif(not PAINTER.is_file(), reason=f"{PAINTER} is not bundled yet")
def test_score_and_compare_shows_the_best_and_both_means(results, templates):
    result, workflow = results["score_and_compare"], templates["score_and_compare"]
    for title in ("mean: your prompt", "mean: expanded"):
        assert -1 <= float(result.output(titled(workflow, title))["text"][0]) <= 1
    (best,) = result.output(titled(workflow, "best of the expanded"))["images"]
    assert best["type"] == "temp"


@with_tuned
@pytest.mark.parametrize("name", MIXING)
def test_it_paints_with_tuned_encoders(results, server, name):
    check_pictures(results[name], server, MIXING[name])


@with_tuned
def test_one_slider_moves_the_picture_from_plain_to_vivid(server, templates):
    pictures = []
    for w in (0.0, 0.5, 1.0):
        prompt = to_prompt(templates["plain_to_vivid"], server.definitions)
        slider = next(n for n in prompt.values() if n["class_type"] == "PresampleEncoderInterpolate")
        slider["inputs"]["w"] = w
        pictures += check_pictures(server.run(prompt), server, 1)
    colours = [float(colourfulness(pixels(picture))) for picture in pictures]
    assert colours[0] < colours[1] < colours[2]
    assert colours[2] > 1.1 * colours[0]


def pixels(image):
    """The picture as (1, 3, H, W) in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255


def check_pictures(result, server, count):
    """Asserts that so many pictures were made, that differ and show something; returns them."""
    from PIL import Image, ImageStat

    assert result.end == "execution_success", result.error
    shown = [data["output"].get("images", []) for _, kind, data in result.events if kind == "executed"]
    pictures = [picture for each in shown for picture in each]
    assert len(pictures) == count
    images = [Image.open(server.base / each["type"] / each["filename"]).convert("RGB") for each in pictures]
    for image in images:
        assert max(ImageStat.Stat(image.convert("L")).stddev) > 10, "there is nothing in the picture"
    assert len({image.tobytes() for image in images}) == len(images)
    return images


@pytest.mark.parametrize(("name", "files"), LARGE.items())
def test_it_lacks_its_large_files_and_nothing_else(results, templates, name, files):
    answer = results[name].answer
    errors = [error for node in answer["node_errors"].values() for error in node["errors"]]
    assert {error["type"] for error in errors} == {"value_not_in_list"}
    missing = {path.partition("/")[2] for path in files}
    assert {name for name in missing for error in errors if name in error["details"]} == missing
    assert len(errors) == len(files)
    note = next(n for n in templates[name]["nodes"] if n["type"] == "MarkdownNote")["widgets_values"][0]
    assert all(f"models/{path.partition('/')[0]}/" in note for path in files)
    assert "huggingface.co" in json.dumps(templates[name])
