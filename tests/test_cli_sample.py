"""`presample sample`, with a painter that needs no weights, and with the bundled models where they are."""

import dataclasses
import json

import pytest
import torch
from random_world_for_tests import CONFIG, drawn

from presample.models import cli
from presample.models.cli import studio
from presample.models.hub import bundled_folder
from presample.models.interrupt import Interrupted
from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.model import MMHDiT

Image = pytest.importorskip("PIL.Image")


class Painter:
    """Stands for the pipeline; remembers what it was asked for."""

    def __init__(self):
        self.asked = []

    def pictures(self, prompts, seeds, *, width, height, negative, options, on_step):
        self.asked.append((list(prompts), list(seeds), width, height, negative, options))
        for _ in range(options.steps):
            on_step(None)
        return torch.rand(len(prompts), 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def painter(monkeypatch):
    from presample.models.tipo.expand import load_tipo

    painter = Painter()
    opened = studio.Studio(painter, load_tipo("tipo-tiny"))
    monkeypatch.setattr(studio.Studio, "open", classmethod(lambda cls, model: opened))
    return painter


def test_the_expansions_are_painted_from_the_same_seeds(painter, tmp_path, capsys):
    out = tmp_path / "sheet.png"
    assert (
        cli.main(["sample", "lake, night", "--n", "2", "--seed", "7", "--steps", "3", "--out", str(out)]) == 0
    )
    plain, detailed = painter.asked
    assert plain[0] == ["lake, night"] * 2
    assert len(set(detailed[0])) == 2
    assert all(prompt.startswith("lake, night, ") for prompt in detailed[0])
    assert plain[1] == detailed[1] == [7, 8]
    sheet = Image.open(out)
    assert "lake, night" in sheet.text["parameters"]
    nodes = json.loads(sheet.text["workflow"])["nodes"]
    expander = next(node for node in nodes if node["type"] == "PresampleTIPOExpand")
    assert expander["widgets_values"][0] == "lake, night"
    assert sheet.width > 2 * 256
    assert "4 pictures" in capsys.readouterr().out


def test_one_row_and_single_files_when_asked(painter, tmp_path):
    out = tmp_path / "sheet.png"
    flags = ["--no-expand", "--n", "2", "--shape", "wide", "--singles", "--cfg", "2.5", "--negative", "day"]
    assert cli.main(["sample", "forest", *flags, "--out", str(out)]) == 0
    ((_, seeds, width, height, negative, options),) = painter.asked
    assert (seeds, width, height, negative, options.cfg) == ([0, 1], 160, 96, "day", 2.5)
    assert Image.open(tmp_path / "sheet-1-1.png").size == (160, 96)
    assert "workflow" not in Image.open(out).text, "the template has neither a negative prompt nor one row"


@pytest.mark.parametrize("flags", [["--n", "0"], ["--steps", "0"], ["--cfg", "99"]])
def test_what_cannot_be_is_refused(painter, tmp_path, flags, capsys):
    assert cli.main(["sample", "lake", *flags, "--out", str(tmp_path / "x.png")]) == 1
    assert "must" in capsys.readouterr().err
    assert not painter.asked


def test_nothing_is_written_when_it_is_interrupted(painter, tmp_path, monkeypatch):
    def stop(*args, **kwargs):
        raise Interrupted("sampling was interrupted")

    monkeypatch.setattr(painter, "pictures", stop)
    with pytest.raises(Interrupted):
        cli.main(["sample", "lake", "--out", str(tmp_path / "x.png")])
    assert not list(tmp_path.iterdir())


def test_a_model_of_ones_own_paints_and_one_of_another_world_is_refused(random_world, tmp_path, capsys):
    own, other, out = tmp_path / "own.safetensors", tmp_path / "other.safetensors", tmp_path / "sheet.png"
    flags = ["--n", "1", "--steps", "2", "--out", str(out), "--model"]
    checkpoint.save(drawn(MMHDiT(CONFIG), seed=1), own)
    assert cli.main(["sample", "lake", *flags, str(own)]) == 0
    sheet = Image.open(out)
    assert "workflow" not in sheet.text, "the template has the bundled model"
    assert cli.main(["sample", "lake", *flags, str(random_world / "mmh-dit-tiny" / "model.safetensors")]) == 0
    assert sheet.tobytes() != Image.open(out).tobytes()
    checkpoint.save(drawn(MMHDiT(dataclasses.replace(CONFIG, text_dim=16))), other)
    assert cli.main(["sample", "lake", *flags, str(other)]) == 1
    assert "texts of width 128; " in capsys.readouterr().err
    for name in ("nothing.safetensors", "sheet.png"):
        assert cli.main(["sample", "lake", *flags, str(tmp_path / name)]) == 1
        assert "safetensors file" in capsys.readouterr().err


def test_the_bundled_models_paint(tmp_path):
    if not (bundled_folder() / "mmh-dit-tiny" / "model.safetensors").exists():
        pytest.skip("mmh-dit-tiny is not there: presample train mmh-dit makes it")
    out = tmp_path / "sheet.png"
    assert cli.main(["sample", "lake, night", "--n", "1", "--steps", "4", "--out", str(out)]) == 0
    assert Image.open(out).width > 256
