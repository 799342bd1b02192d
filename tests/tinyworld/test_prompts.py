"""What may be written for a scene, and what tags demand."""

from collections import Counter
from dataclasses import asdict

import pytest
import torch

from presample.models.tinyworld.prompts import FORMS, demands, prompt_of
from presample.models.tinyworld.scene import sample_many
from presample.models.tinyworld.tags import TAGS, holds


@pytest.fixture(scope="module")
def written():
    generator = torch.Generator().manual_seed(3)
    return [(scene, prompt_of(scene, generator)) for scene in sample_many(generator, 400)]


def test_what_a_prompts_tags_demand_is_true_of_its_scene(written):
    for scene, prompt in written:
        attributes = asdict(scene)
        for name, values in demands(prompt.tags).items():
            assert attributes[name] in values, (prompt.text, name)


def test_a_demand_excludes_every_scene_without_the_tag(written):
    """A tag's demands are implied by the tag: wherever the tag holds, they do."""
    for tag in TAGS:
        demanded = demands([tag])
        for scene, _ in written:
            attributes = asdict(scene)
            if holds(tag, attributes):
                assert all(attributes[name] in values for name, values in demanded.items()), tag


@pytest.mark.parametrize(
    ("tags", "demanded"),
    [
        (["night"], {"time": {"night"}}),
        (["twilight", "sunrise"], {"time": {"dawn"}}),
        (["cold"], {}),  # winter, or snow
        (["night", "day"], {}),
        (["no tag of this world"], {}),
        (["cloud", "cloudy sky"], {"clouds": {"many"}}),
    ],
)
def test_tags_demand_values(tags, demanded):
    assert demands(tags) == demanded


def test_prompts_come_in_every_form_and_order(written):
    prompts = [prompt for _, prompt in written]
    kinds = Counter((bool(prompt.tags), prompt.text.count("\n") > 0) for prompt in prompts)
    assert len(kinds) == 4
    tagged = sum(share for form, share in FORMS.items() if form.startswith("tags"))
    assert sum(bool(prompt.tags) for prompt in prompts) / len(prompts) == pytest.approx(tagged, abs=0.08)
    firsts = {prompt.tags[0] for prompt in prompts if prompt.tags}
    assert len(firsts) > 40


def test_the_same_generator_writes_the_same_prompts(written):
    generator = torch.Generator().manual_seed(3)
    assert [prompt_of(scene, generator) for scene in sample_many(generator, 400)] == [p for _, p in written]
