"""Training on folders that `presample data` makes, in stages of their own sizes, by the command line."""

import json

import pytest
import torch

from presample.models import cli
from presample.models.mmh_dit import checkpoint
from presample.models.mmh_dit.data.cache import write_index
from presample.models.mmh_dit.data.work import Folder, Made
from presample.models.mmh_dit.training import train
from presample.models.mmh_dit.training.batches import Stage, parse_stages
from presample.models.seeds import generator_for

pytest.importorskip("accelerate", reason="training needs presample[train]")


def folders(root, name, sizes, *, count=12, dim=12):
    """One part of `count` items of each size, with a caption of three tokens each."""
    latents, texts, draw = Folder(root / name), Folder(root / f"{name}-texts"), generator_for(len(name))
    tensors, rows, captions = {}, {}, []
    for width, height in sizes:
        key = f"{width}x{height}"
        tensors[key] = torch.randn(count, 16, height // 8, width // 8, generator=draw).half()
        tensors[f"places{key}"] = torch.arange(len(captions), len(captions) + count)
        told = [{"key": f"{key}/{i}", "captions": [f"{key} {i}"]} for i in range(count)]
        rows[key] = "\n".join(map(json.dumps, told))
        captions += [one["captions"] for one in told]
    number = torch.arange(len(captions) + 1)
    states = torch.randn(3 * len(captions), dim, generator=draw).bfloat16()
    encoded = {"places": number[:-1].clone(), "captions": number, "starts": 3 * number, "states": states}
    both = (latents, Made(tensors, {"rows": rows}, {})), (texts, Made(encoded, {"captions": captions}, {}))
    for folder, made in both:
        folder.open({"selection": "s", "length": 8})
        folder.write(0, made)
        write_index(folder, range(1))
    return f"latents={latents.path} texts={texts.path}"


@pytest.fixture
def command(tmp_path):
    first = folders(tmp_path, "small", [(32, 32), (48, 32)])
    second = folders(tmp_path, "large", [(64, 48)])
    stages = ["--stage", f"begin=0 {first} batch=4", "--stage", f"begin=3 {second} batch=2"]
    shape = ["--hidden", "24", "--heads", "2,6", "--mlp", "32", "--text-dim", "12", "--precision", "no"]
    every = ["--save-every", "2", "--log-every", "1", "--samples-every", "5", "--samples", "2"]
    return [
        "train",
        "mmh-dit",
        *stages,
        *shape,
        *every,
        "--milestones",
        "0:0,2:1e-2,5:0",
        "--accumulate",
        "2",
    ]


def test_stages_follow_each_other_and_resume(command, tmp_path, monkeypatch, caplog):
    seen = []
    inner = train.make_loss

    def make(*given, **named):
        loss = inner(*given, **named)

        def watch(model, batch, generator):
            seen.append(tuple(batch["latents"].shape))
            if len(seen) == stop:
                raise KeyboardInterrupt
            return loss(model, batch, generator)

        return watch

    monkeypatch.setattr(train, "make_loss", make)
    stop = 9
    assert cli.main([*command, "--steps", "5", "--out", str(tmp_path / "model")]) == 130
    stop = 0
    caplog.clear()
    assert cli.main([*command, "--steps", "5", "--out", str(tmp_path / "model")]) == 0
    assert "going on after step 4" in caplog.text
    assert "other options" not in caplog.text
    assert {shape[:2] for shape in seen[:6]} == {(4, 16)}
    assert {shape[2:] for shape in seen[:6]} <= {(4, 4), (4, 6)}
    assert set(seen[6:]) == {(2, 16, 6, 8)}
    assert len(seen) == 9 + 2  # step 5 is done again from the checkpoint after step 4
    lines = [json.loads(line) for line in (tmp_path / "model" / "training" / "log.jsonl").open()]
    assert [line["lr"] for line in lines] == pytest.approx([0, 5e-3, 1e-2, 2e-2 / 3, 1e-2 / 3])
    assert (tmp_path / "model" / "training" / "samples" / "step-000005.png").exists()
    assert checkpoint.load(tmp_path / "model" / "model.safetensors").config.heads == (2, 6)


@pytest.mark.parametrize(
    ("text", "latents"),
    [
        (r"latents=C:\work\latents\256 batch=4", r"C:\work\latents\256"),
        (r'batch=4 latents="C:\my work\256"', r"C:\my work\256"),
        ("latents='my work/#1' batch=4", "my work/#1"),
    ],
)
def test_folders_of_a_stage_may_have_backslashes_and_quotes(text, latents):
    assert parse_stages([text]) == (Stage(0, latents, batch=4),)


@pytest.mark.parametrize("other", [("--text-dim", "16"), ("--text-len", "4")])
def test_texts_that_the_model_does_not_read_are_named_before_the_first_step(command, tmp_path, capsys, other):
    assert cli.main([*command, *other, "--steps", "5", "--out", str(tmp_path / "model")]) == 1
    assert "texts of up to 8 tokens of width 12" in capsys.readouterr().err
    assert not list(tmp_path.glob("model/training/checkpoint-*"))


def test_data_of_ones_own_do_not_become_the_bundled_model(command, capsys):
    assert cli.main([*command, "--steps", "5"]) == 1
    assert "--out must name a folder of your own" in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(command, tmp_path, capsys):
    assert cli.main(["train", "mmh-dit", "--stage", "latents=/nowhere/at/all", "--out", str(tmp_path)]) == 1
    assert "/nowhere/at/all" in capsys.readouterr().err
