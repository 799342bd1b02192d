"""The card that a training writes."""

import hashlib
import json

import pytest

from presample.models.hub import bundled_folder
from presample.models.trainer.card import Card, Measure, write


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path


def card(**measures):
    return Card(
        what="A small model.",
        command="presample train small",
        data="Its own.",
        training={"steps": 1000, "options": {"lr": 0.1}},
        how="On held-out pictures.",
        measures=measures,
    )


def test_it_says_the_same_to_programs_and_to_people(folder):
    assert write(folder, card(accuracy=Measure("what it reads right", 0.987, ".1%", least=0.9)))
    facts = json.loads((folder / "card.json").read_text())
    assert facts["measures"]["accuracy"]["value"] == 0.987
    assert facts["files"]["model.safetensors"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    page = (folder / "CARD.md").read_text()
    assert "| what it reads right | 98.7% | at least 90.0% | yes |" in page
    assert "steps 1,000, options lr 0.1" in page


@pytest.mark.parametrize(
    ("measure", "reached"),
    [
        (Measure("a", 0.5, least=0.9), False),
        (Measure("a", 0.9, least=0.9), True),
        (Measure("a", 3.0, most=2.0), False),
        (Measure("a", 3.0), True),
        (Measure("a", float("nan"), least=0.9), False),
    ],
)
def test_a_missed_bound_is_printed_as_missed(folder, measure, reached):
    assert write(folder, card(a=measure)) is reached
    assert ("**no**" not in (folder / "CARD.md").read_text()) is reached


def _texts(value):
    if isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("path", sorted(bundled_folder().glob("*/card.json")), ids=lambda p: p.parent.name)
def test_the_cards_of_bundled_models_name_no_place_on_a_machine(path):
    said = list(_texts(json.loads(path.read_text(encoding="utf-8"))))
    assert said
    assert not [text for text in said if text.startswith(("/", "~")) or "\\" in text]
