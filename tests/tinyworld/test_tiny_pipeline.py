"""The little world's models put together, with random weights and, where they are there, the bundled ones."""

import pytest

from presample.models.mmh_dit.flow import SampleOptions
from presample.models.tinyworld.clip import WIDTH
from presample.models.tinyworld.pipeline import load_pipeline

pytest.importorskip("transformers")


def test_prompts_of_any_length_become_pictures(random_world_folder):
    pipeline = load_pipeline(folder=random_world_folder)
    options = SampleOptions(steps=2, cfg=2.0)
    made = pipeline.pictures(["", "lake, " * 300], [1, 2], width=48, height=32, options=options)
    assert made.shape == (2, 3, 32, 48)
    assert made.isfinite().all()


def test_the_text_is_cut_to_what_the_model_knows(random_world_folder):
    text = load_pipeline(folder=random_world_folder).encode(["lake, " * 300, "lake"])
    assert text.tokens.shape == (2, 16, WIDTH)
    assert text.mask.sum(1).tolist()[0] == 16


def test_a_missing_model_is_named(random_world_folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="tiny-clip"):
        load_pipeline(folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"other\.safetensors"):
        load_pipeline(tmp_path / "other.safetensors", folder=random_world_folder)
