"""The little world's models put together, with random weights and, where they are there, the bundled ones."""

import pytest
import torch
from safetensors.torch import save_file

from presample.models.hub import bundled_folder
from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.flow import SampleOptions
from presample.models.mmh_dit.model import MMHDiT, init_weights
from presample.models.tinyworld.autoencoder import TinyAutoencoder
from presample.models.tinyworld.clip import WIDTH, make_clip, read_words
from presample.models.tinyworld.studio import load_pipeline

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The bundled folder with models of random weights."""
    folder = tmp_path_factory.mktemp("bundled")
    (folder / "tipo-tiny").symlink_to(bundled_folder() / "tipo-tiny")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip, autoencoder = make_clip(read_words(folder / "tipo-tiny")), TinyAutoencoder()
    model = MMHDiT(MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=WIDTH, text_len=16, mlp_hidden=64))
    init_weights(model, torch.Generator().manual_seed(0))
    for name in ("tiny-clip", "tiny-autoencoder", "mmh-dit-tiny"):
        (folder / name).mkdir()
    save_file(dict(clip.model.named_parameters()), folder / "tiny-clip" / "model.safetensors")
    save_file(autoencoder.state_dict(), folder / "tiny-autoencoder" / "model.safetensors")
    checkpoint.save(model, folder / "mmh-dit-tiny" / "model.safetensors")
    return folder


def test_prompts_of_any_length_become_pictures(folder):
    pipeline = load_pipeline(folder=folder)
    options = SampleOptions(steps=2, cfg=2.0)
    made = pipeline.pictures(["", "lake, " * 300], [1, 2], width=48, height=32, options=options)
    assert made.shape == (2, 3, 32, 48)
    assert made.isfinite().all()


def test_the_text_is_cut_to_what_the_model_knows(folder):
    text = load_pipeline(folder=folder).encode(["lake, " * 300, "lake"])
    assert text.tokens.shape == (2, 16, WIDTH)
    assert text.mask.sum(1).tolist()[0] == 16


def test_a_missing_model_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="tiny-clip"):
        load_pipeline(folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"other\.safetensors"):
        load_pipeline(tmp_path / "other.safetensors", folder=folder)
