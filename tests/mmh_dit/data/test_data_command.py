"""`presample data` from pictures to batches, as a person runs it: nothing is lost, all is accounted for."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from killed_for_tests import killed
from pictures_for_tests import (
    encoded,
    folder_of,
    lines,
    picture,
    shard_of,
    text_folder,
    tiny_autoencoder,
    vision_folder,
)
from safetensors.torch import save_file

from presample.models.metrics.heads import make_head
from presample.models.mmh_dit.data import dedup as clustering
from presample.models.mmh_dit.data import selection
from presample.models.mmh_dit.data.cache import LatentBatches, LatentCache
from presample.models.mmh_dit.data.work import Folder

pytest.importorskip("transformers", reason="the frozen models are transformers'")
pytest.importorskip("sklearn", reason="near duplicates need presample[data]")
pytest.importorskip("PIL", reason="pictures need presample[data]")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    vision_folder(root / "clip")
    vision_folder(root / "siglip", kind="siglip")
    text_folder(root / "t5")
    tiny_autoencoder(root / "tiny.safetensors")
    generator = torch.Generator().manual_seed(3)
    shapes = {name: tensor.shape for name, tensor in make_head(32).state_dict().items()}
    head = {n: torch.randn(shape, generator=generator) / shape[-1] ** 0.5 for n, shape in shapes.items()}
    torch.save({f"scoring_head.{n}": t for n, t in head.items()}, root / "head.pth")
    return root


@pytest.fixture
def pictures(tmp_path):
    """A folder with four equal pictures, a broken, a small and an uncaptioned one, and a shard."""
    root = folder_of(tmp_path / "pictures", 10, width=160, height=128)
    for i in (1, 2, 3):
        (root / f"{i:03d}.png").write_bytes((root / "000.png").read_bytes())
    (root / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    (root / "broken.txt").write_text("broken")
    (root / "small.png").write_bytes(encoded(picture(40, 40, seed=50)))
    (root / "small.txt").write_text("small")
    (root / "silent.png").write_bytes(encoded(picture(160, 128, seed=51)))
    shard = [("s1.png", encoded(picture(128, 160, seed=60))), ("s1.txt", b"picture 11")]
    shard_of(root / "0.tar", [*shard, ("../up.png", b"x")])
    return root


def kept(report):
    return {step["step"]: (step["kept"], step["left_out"]) for step in report["steps"]}


def test_from_pictures_to_batches(run, pictures, models, tmp_path):
    work = tmp_path / "work"
    code, out, _ = run("scan", pictures, "--work", work, "--part", 8)
    assert code == 0
    assert "no caption" in out
    # The tiny models are random: all pictures are alike to them, so the bounds are far apart.
    dedup = ("dedup", work, "--model", models / "clip", "--similarity", 0.9999)
    assert run(*dedup)[0] == 0
    bounds = ("--excellent", 100, "--good", -99, "--average", -100)
    score = ("score", work, "--model", models / "siglip", "--head", models / "head.pth", *bounds)
    assert run(*score)[0] == 0
    assert run("texts", work, "--model", models / "t5", "--length", 16)[0] == 0
    latents = ("latents", work, "--autoencoder", models / "tiny.safetensors", "--sizes", "96x80,80x96")
    code, out, _ = run(*latents, "--name", "small")
    assert code == 0

    report = kept(json.loads((work / "report.json").read_text()))
    assert report["scan"] == (13, {"no caption": 1, "a name that leaves its folder": 1})
    assert report["embeddings"] == (12, {"no whole picture": 1})
    removed = report["dedup"][1]["near duplicate"]
    assert removed >= 3
    assert report["dedup"][0] == 12 - removed, "what could not be read is not kept"
    assert report["latents/small"] == (
        13 - removed - 2,
        {"near duplicate": removed, "no whole picture": 1, "too small": 1},
    )
    assert "96x80" in out
    assert "near duplicate" in out
    named = lines(work / "left_out.jsonl")
    assert {"step": "latents/small", "key": "small.png", "why": "too small"} in named
    assert sum(line["step"] == "dedup" for line in named) == removed
    assert {line["key"] for line in lines(work / "problems.jsonl")} == {"silent.png", "0.tar/../up.png"}

    batches = LatentBatches(
        LatentCache.open(work / "latents" / "small", work / "texts"), batch=1, text_length=16
    )
    seen = [batches[step] for step in range(len(batches))]
    keys = sorted(batch["keys"][0] for batch in seen)
    assert len(keys) == len(set(keys)) == 13 - removed - 2
    assert "0.tar/s1.png" in keys
    assert sum(key in ("000.png", "001.png", "002.png", "003.png") for key in keys) == 1
    for batch in seen:
        assert batch["captions"][0].endswith(", good score")
        assert batch["text"].shape == (1, 16, 16)
        wide = batch["keys"] != ["0.tar/s1.png"]
        assert batch["latents"].shape == ((1, 16, 10, 12) if wide else (1, 16, 12, 10))

    before = {path: path.stat().st_mtime_ns for path in work.rglob("0*.safetensors")}
    for again in (dedup, score, (*latents, "--name", "small")):
        assert run(*again)[0] == 0
    assert {path: path.stat().st_mtime_ns for path in work.rglob("0*.safetensors")} == before


def test_low_scores_are_dropped_and_named(run, pictures, models, tmp_path):
    work = tmp_path / "work"
    run("scan", pictures, "--work", work)
    score = ("score", work, "--model", models / "siglip", "--head", models / "head.pth", "--excellent", 1e2)
    run(*score, "--good", 99, "--average", 98)
    report = kept(json.loads((work / "report.json").read_text()))
    assert report["scores"] == (0, {"low score": 12, "no whole picture": 1})
    assert len(lines(work / "left_out.jsonl")) == 13
    run(*score, "--good", -98, "--average", -99)
    report = json.loads((work / "report.json").read_text())["steps"]
    assert report[-1]["tags"] == {"good score": 12}, "other bounds need no new scores"
    shutil.rmtree(work / "scores")
    assert run("texts", work, "--model", models / "t5")[0] == 0
    report = kept(json.loads((work / "report.json").read_text()))
    assert report["texts"] == (13, {}), "without its folder a step is undone"


def test_given_embeddings_take_the_place_of_a_model(run, pictures, tmp_path, caplog):
    work, table = tmp_path / "work", torch.eye(13)
    run("scan", pictures, "--work", work)
    table[4] = table[9]
    save_file({"embeddings": table}, tmp_path / "e.safetensors")
    assert run("dedup", work, "--embeddings", tmp_path / "e.safetensors")[0] == 0
    assert kept(json.loads((work / "report.json").read_text()))["dedup"] == (12, {"near duplicate": 1})
    shuffled = ("--subset", 2, "--partition", "random")
    assert run("dedup", work, "--embeddings", tmp_path / "e.safetensors", *shuffled)[0] == 0
    assert "--partition nearby" in caplog.text
    save_file({"embeddings": table[:5]}, tmp_path / "e.safetensors")
    code, _, err = run("dedup", work, "--embeddings", tmp_path / "e.safetensors")
    assert code == 1
    assert "each of 13 items" in err


def test_dedup_goes_on_after_its_last_round_and_is_not_done_twice(run, tmp_path, monkeypatch):
    work, table = tmp_path / "work", tmp_path / "e.safetensors"
    run("scan", folder_of(tmp_path / "p", 40), "--work", work)
    save_file({"embeddings": torch.eye(20).repeat(2, 1)}, table)
    dedup = ("dedup", work, "--embeddings", table, "--subset", 5)
    calls, cluster, lives = [], clustering.clusters, 10**9

    def counted(*args):
        calls.append(args)
        if len(calls) > lives:
            raise KeyboardInterrupt
        return cluster(*args)

    held, replace, maps = [], os.replace, Path("/proc/self/maps")

    def watched(half, path):
        if maps.exists() and str(path) in maps.read_text():
            held.append(path)
        replace(half, path)

    monkeypatch.setattr(os, "replace", watched)
    monkeypatch.setattr(clustering, "clusters", counted)
    assert run(*dedup)[0] == 0
    whole, subsets = (work / "dedup.safetensors").read_bytes(), len(calls)
    assert run(*dedup)[0] == 0
    assert len(calls) == subsets, "what is finished is not done again"
    (work / "dedup.safetensors").unlink()
    calls, lives = [], 12
    assert run(*dedup)[0] == 130
    calls, lives = [], 10**9
    assert run(*dedup)[0] == 0
    assert not held, "Windows could not write these files"
    assert len(calls) == subsets - 8, "the first round, of eight subsets, was whole"
    assert (work / "dedup.safetensors").read_bytes() == whole
    assert not (work / "dedup.rounds.safetensors").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["report", "{}"], "presample data scan"),
        (["scan", "{}/none", "--work", "{}/w"], "check the path"),
        (["dedup", "{}/w"], "--model FOLDER or --embeddings FILE"),
        (["dedup", "{}/w", "--model", "a", "--similarity", "2"], "similarity must lie in 0"),
        (["latents", "{}/w", "--autoencoder", "{}/x", "--sizes", "1x1"], "presample data scan"),
        (["scan", "{}", "--work", "{}/w", "--part", "0"], "--part"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run, tmp_path, argv, said):
    code, _, err = run(*(word.format(tmp_path) for word in argv))
    assert code == 1
    assert said in err


def test_an_unfinished_step_is_named_before_latents_are_made(run, pictures, models, tmp_path):
    work = tmp_path / "work"
    run("scan", pictures, "--work", work)
    Folder(work / "scores").open({"model": "a wrong one, with which nothing was made"})
    Folder(work / "scores").open({"model": "x"})
    code, _, err = run("latents", work, "--autoencoder", models / "tiny.safetensors")
    assert code == 1
    assert "presample data score" in err


def test_an_interrupted_dedup_of_embeddings_is_named_before_latents_are_made(
    run, pictures, models, tmp_path, monkeypatch
):
    work = tmp_path / "work"
    latents = ("latents", work, "--autoencoder", models / "tiny.safetensors")
    run("scan", pictures, "--work", work)
    save_file({"embeddings": torch.ones(13, 2)}, tmp_path / "e.safetensors")
    with monkeypatch.context() as patched:
        patched.setattr(selection, "write_json", interrupted)  # after the rounds, before the end
        assert run("dedup", work, "--embeddings", tmp_path / "e.safetensors")[0] == 130
    code, _, err = run(*latents)
    assert code == 1
    assert "presample data dedup" in err
    run("dedup", work, "--embeddings", tmp_path / "e.safetensors")
    assert run(*latents, "--sizes", "96x80")[0] == 0


def interrupted(*_):
    raise KeyboardInterrupt


def test_latents_of_another_selection_are_refused(run, pictures, models, tmp_path):
    work = tmp_path / "work"
    latents = ("latents", work, "--autoencoder", models / "tiny.safetensors", "--sizes", "96x80")
    run("scan", pictures, "--work", work)
    assert run(*latents)[0] == 0
    save_file({"embeddings": torch.eye(13)}, tmp_path / "e.safetensors")
    run("dedup", work, "--embeddings", tmp_path / "e.safetensors")
    code, _, err = run(*latents)
    assert code == 1
    assert "was made with selection" in err


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_process_that_was_killed_goes_on_to_the_same_files(run, models, tmp_path):
    pictures = folder_of(tmp_path / "pictures", 24, width=100, height=100)
    for name in ("whole", "killed"):
        run("scan", pictures, "--work", tmp_path / name, "--part", 2)
    latents = ["--autoencoder", str(models / "tiny.safetensors"), "--sizes", "96x96"]
    run("latents", tmp_path / "whole", *latents)
    folder = tmp_path / "killed" / "latents" / "96x96"
    killed(Folder.write, "data", "latents", tmp_path / "killed", *latents)
    assert not (folder / "index.json").exists()
    done = {path.name: path.stat().st_mtime_ns for path in folder.glob("*.safetensors")}
    assert len(done) == 3
    assert run("latents", tmp_path / "killed", *latents)[0] == 0
    whole = tmp_path / "whole" / "latents" / "96x96"
    for path in whole.iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes()
    assert {name: (folder / name).stat().st_mtime_ns for name in done} == done
