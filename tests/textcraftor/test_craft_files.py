"""What encoders are tuned through, by its fingerprints: in cards, in files, and of the bundled ones."""

import dataclasses
import json

import craft_for_tests as craft
import pytest
from safetensors import safe_open

from presample.models.hub import bundled_folder
from presample.models.textcraftor.training import measure, train
from presample.models.textcraftor.training.options import CraftOptions
from presample.models.textcraftor.training.studio import fingerprints

pytest.importorskip("accelerate", reason="training needs presample[train]")
pytest.importorskip("transformers")


def test_the_card_and_the_file_name_what_was_trained_through(tmp_path):
    known = dataclasses.replace(craft.studio(), files={"mmh-dit-tiny": "0123456789abcdef"})
    options = craft.options(tmp_path, steps=1)
    found = train.train(options, known)
    assert measure.card(options, found).training["fingerprints"] == known.files
    with safe_open(tmp_path / "out" / "model.safetensors", "pt") as opened:
        assert json.loads(opened.metadata()["textcraftor"])["fingerprints"] == known.files


def test_fingerprints_are_those_of_every_file_that_is_read(tmp_path):
    for name in ("base/unet", "models/aesthetic", "models/clip"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    (tmp_path / "tuned.safetensors").write_bytes(b"tuned")
    options = CraftOptions(
        base=str(tmp_path / "base"),
        models=str(tmp_path / "models"),
        reward=("aesthetic=3",),
        encoder=str(tmp_path / "tuned.safetensors"),
    )
    found = fingerprints(options)
    assert list(found) == ["encoder", "base", "aesthetic", "clip"]
    (tmp_path / "base" / "unet" / "model.safetensors").write_bytes(b"other")
    again = fingerprints(options)
    assert [name for name in found if found[name] != again[name]] == ["base"]


def test_the_bundled_encoders_were_tuned_through_the_bundled_world_and_are_small_and_quick():
    size = 0
    for name in ("vivid", "detailed", "moonlit"):
        folder = bundled_folder() / f"tiny-clip-{name}"
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        assert fingerprints(CraftOptions()).items() <= card["training"]["fingerprints"].items()
        assert card["training"]["seconds"] <= 600
        size += (folder / "model.safetensors").stat().st_size
    assert size <= 8_000_000
