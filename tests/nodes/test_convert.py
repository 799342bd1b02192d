"""Options become widgets and widgets become requests; nothing is stated twice."""

import pytest
import torch

from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions


def widgets(node):
    return {each.id: each for each in node.GET_SCHEMA().inputs}


def test_only_the_prompt_is_required_so_that_others_may_leave_the_rest_out(nodes):
    for node in ("PresampleTIPOExpand", "PresampleTIPOTask"):
        required = [each.id for each in nodes[node].GET_SCHEMA().inputs if not each.optional]
        assert required == ["prompt"]


def test_the_seed_is_rolled_by_the_page_and_prompts_may_have_its_braces(nodes):
    found = widgets(nodes["PresampleTIPOExpand"])
    assert found["seed"].as_dict()["control_after_generate"] is True
    assert found["prompt"].as_dict()["dynamic_prompts"] is True


def test_values_become_options_and_a_layout_of_ones_own_is_a_text(comfy):
    options = comfy.convert.expand_options
    assert options({}) == ExpandOptions()
    assert options({"seed": 3, "chips": "{}", "count": 2}) == ExpandOptions(seed=3)
    assert options({"layout": "pony", "layout_template": "x"}).layout == "pony"
    assert options({"layout": "custom", "layout_template": "<|tags|>"}).layout == "<|tags|>"


@pytest.mark.parametrize(
    ("latent", "size"),
    [
        ({"samples": torch.zeros(1, 4, 96, 64)}, (512, 768)),
        ({"samples": torch.zeros(1, 128, 24, 16), "downscale_ratio_spacial": 32}, (512, 768)),
        ({"samples": torch.zeros(1, 16, 5, 96, 64)}, (512, 768)),
    ],
)
def test_a_latent_says_how_large_the_picture_will_be(comfy, latent, size):
    options = comfy.convert.expand_options({"width": 64, "height": 64}, latent=latent)
    assert (options.width, options.height) == size


def test_a_request_is_what_the_widgets_say(comfy):
    found = comfy.convert.request("lake", "A boat.", '{"keep": ["x"], "ban": ["y"]}', {"seed": 4})
    wanted = Request("lake", "A boat.", ExpandOptions(seed=4), comments="comfyui", keep=("x",), drop=("y",))
    assert found == wanted


IMAGES = [torch.zeros(1, 8, 8, 3)]


@pytest.mark.parametrize(
    ("node", "given", "said"),
    [
        ("ContactSheet", {"images": IMAGES, "scale": [2000]}, "scale must lie in 1 to 8, got 2000"),
        ("ContactSheet", {"images": IMAGES, "columns": [-1]}, "columns must lie in 0 to 64, got -1"),
        ("BeforeAfterSheet", {"before": IMAGES, "after": IMAGES, "scale": [0]}, "scale must lie in 1 to 8"),
        ("MixSweep", {"original": None, "tuned": None, "count": 10**9}, "count must lie in 1 to 21"),
        ("AspectBucketLatent", {"batch_size": 10**9}, "batch_size must lie in 1 to 4096"),
        ("AspectBucketLatent", {"batch_size": float("nan")}, "batch_size must lie in 1 to 4096"),
    ],
)
def test_a_number_that_another_node_gives_keeps_to_the_bounds_of_its_widget(nodes, node, given, said):
    with pytest.raises(ValueError, match=said):
        nodes[f"Presample{node}"].execute(**given)
