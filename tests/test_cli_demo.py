"""`presample demo`: what it prints, what it writes, and the sheet of pictures, with random weights."""

import dataclasses
import json

import pytest
import torch

from presample.models import cli
from presample.models.cli import demo_sheet, studio
from presample.models.tipo.expand import expand_many, load_tipo
from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def quick(monkeypatch, random_world):
    monkeypatch.setattr(demo_sheet, "OPTIONS", dataclasses.replace(demo_sheet.OPTIONS, steps=2))


def demo(tmp_path, *flags):
    places = ("--out", tmp_path / "a" / "demo.txt", "--sheet", tmp_path / "b" / "demo.png")
    return cli.main(["demo", "1girl, lake", *map(str, places), *map(str, flags)])


def expanded_by(widgets):
    """What the node TIPO Expand writes with these values: a prompt, how many, the options in their order."""
    prompt, count, (model, seed), rest = widgets[0], widgets[5], widgets[6:8], widgets[9:]
    names = [field.name for field in dataclasses.fields(ExpandOptions)]
    names.insert(names.index("layout") + 1, "layout_template")
    given = dict(zip(names, (model, seed, *rest), strict=False))
    assert given.pop("layout_template") == ""
    options = ExpandOptions(**given)
    return [each.prompt for each in expand_many(Request(prompt, options=options), count, load_tipo(model))]


def test_the_demo_shows_the_expansion_and_writes_four_variations_and_their_pictures(quick, tmp_path, capsys):
    svg = tmp_path / "c" / "demo.svg"
    assert demo(tmp_path, "--picture", svg) == 0
    shown = capsys.readouterr().out
    assert "you wrote  1girl, lake" in shown
    assert "tags added" in shown
    variations = (tmp_path / "a" / "demo.txt").read_text(encoding="utf-8").strip().split("\n\n")
    assert len(variations) == 4
    assert svg.read_text(encoding="utf-8").startswith("<svg")
    sheet = Image.open(tmp_path / "b" / "demo.png")
    assert sheet.text["parameters"].split("\n\n") == ["1girl, lake", *variations]
    nodes = {node["type"]: node["widgets_values"] for node in json.loads(sheet.text["workflow"])["nodes"]}
    assert expanded_by(nodes["PresampleTIPOExpand"]) == variations
    assert sheet.height > 4 * 256 + 320


def test_columns_of_the_sheet_begin_with_the_same_noise(quick):
    from presample.models.tinyworld.pipeline import load_pipeline

    opened = studio.Studio(load_pipeline(), None)
    story = demo_sheet.Story("lake", ["lake, night", "lake, day", "lake, snow", "lake, rain"], seed=5)
    plain, presampled, encoders, solids, shapes = demo_sheet._strips(story, opened)
    assert [len(strip.images) for strip in (plain, presampled, encoders, solids, shapes)] == [4, 4, 4, 2, 4]
    same = {"size": (128, 128), "options": demo_sheet.OPTIONS}
    for shown, prompt, seed in (
        (presampled.images[2], "lake, snow", 7),
        (encoders.images[0], "lake, night", 5),
    ):
        torch.testing.assert_close(shown, opened.paint([prompt], [seed], **same)[0], atol=1e-3, rtol=0)
    assert (encoders.images[0] - encoders.images[3]).abs().max() > 1e-3
    assert encoders.prompts == ["w 0", "w 0.25", "w 0.5", "w 0.75"]
    assert [tuple(image.shape) for image in shapes.images] == [
        (3, 160, 96), (3, 144, 112), (3, 112, 144), (3, 96, 160),
    ]  # fmt: skip
    assert "SDXL" in solids.prompts[0]
    assert "EDM" in solids.prompts[1]
