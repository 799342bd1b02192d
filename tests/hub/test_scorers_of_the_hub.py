"""Scorers: which are known, where they are found, what counts as whole, and how they are fetched."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from models_command_for_tests import run

from presample.models import hub
from presample.models.fetching import download
from presample.models.metrics import features, scorers
from presample.models.published.known import KnownFile
from presample.models.published.scorers import KNOWN_SCORERS, ByHand, KnownScorer, known_scorer
from presample.models.published.tipo import known_model
from presample.models.transfer import DownloadError

PREDICTOR = "sac+logos+ava1-l14-linearMSE.pth"


def write(known: KnownScorer, folder: Path, *, without: str = "") -> Path:
    """Puts something in the place of every file of a scorer."""
    for part in known.parts:
        if part.local != without:
            (folder / part.local).parent.mkdir(parents=True, exist_ok=True)
            (folder / part.local).write_bytes(part.path.encode())
    return folder / known.name


def free(known: KnownScorer) -> KnownScorer:
    """The same without its checksums, for the stand-in has files of its own."""
    return replace(known, parts=tuple(replace(part, sha256=None) for part in known.parts))


def test_every_score_and_every_feature_of_others_can_be_had():
    names = [known.name for known in KNOWN_SCORERS]
    assert set(names) == {*scorers.SCORERS, *features.FEATURES}
    assert len(names) == len(set(names))
    assert not [name for name in names if known_model(name)], "a name means one model"
    assert known_scorer(" PICK ").name == "pick"
    assert known_scorer("../pick") is None


@pytest.mark.parametrize("known", KNOWN_SCORERS, ids=lambda known: known.name)
def test_files_lie_in_the_scorers_own_folder_once_each_with_the_weights_last(known):
    places = [part.local for part in known.parts]
    assert len(places) == len(set(places))
    assert {place.rpartition("/")[0] for place in places} == {known.name}
    assert Path(places[-1]).suffix in hub.WEIGHTS
    assert sum(part.size for part in known.parts if Path(part.local).suffix in hub.WEIGHTS) > 90e6
    for part in known.parts:
        assert part.sha256 is None or len(part.sha256) == 64


@pytest.mark.parametrize("known", KNOWN_SCORERS, ids=lambda known: known.name)
def test_a_scorer_is_found_when_it_is_whole_and_not_before(known, tmp_path):
    place = write(known, tmp_path, without=known.parts[-1].local)
    assert hub.find_scorer(known, [tmp_path]) is None
    write(known, tmp_path)
    if known.by_hand:
        assert hub.find_scorer(known, [tmp_path]) is None
        (tmp_path / known.by_hand.local).write_bytes(b"1")
    wanted = tmp_path / known.parts[0].local if len(known.parts) == 1 else place
    assert hub.find_scorer(known, [tmp_path / "none", tmp_path]) == wanted
    assert hub.resolve_scorer(known.name, [tmp_path]) == wanted


def test_an_unfinished_file_makes_nothing_whole_and_weights_of_ones_own_do(tmp_path):
    hps = known_scorer("hps")
    folder = write(hps, tmp_path, without="hps/HPS_v2.1_compressed.pt")
    (folder / "HPS_v2.1_compressed.pt.0123456789ab.part").write_bytes(b"1")
    assert hub.find_scorer(hps, [tmp_path]) is None
    (folder / "model.safetensors").write_bytes(b"1")
    assert hub.find_scorer(hps, [tmp_path]) == folder


def test_the_hubs_cache_serves_scorers_that_come_from_one_place(tmp_path):
    def cache(repo: str, *names: str) -> Path:
        snapshot = hub.hub_cache() / f"models--{repo.replace('/', '--')}" / "snapshots" / ("a" * 40)
        for name in names:
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).write_bytes(b"1")
        return snapshot

    corrupt, pick = known_scorer("ai-corrupt"), known_scorer("pick")
    snapshot = cache(corrupt.repo, corrupt.parts[0].path)
    assert hub.find_scorer(corrupt, []) is None
    cache(corrupt.repo, corrupt.parts[1].path)
    assert hub.find_scorer(corrupt, []) == snapshot / "caformer_s36_v0_focal"
    for part in pick.parts:
        cache(part.repo, part.path)
    assert hub.find_scorer(pick, []) is None
    fid = known_scorer("fid")
    snapshot = cache(fid.repo, "another.pth", fid.parts[0].path)
    assert hub.find_scorer(fid, []) == snapshot / fid.parts[0].path


def test_folders_of_scorers_are_searched_in_a_fixed_order(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path / "own"))
    assert hub.scorer_folders([tmp_path], base=tmp_path / "host") == (
        tmp_path,
        tmp_path / "host" / "models" / "scorers",
        tmp_path / "own" / "scorers",
    )


def test_scorers_are_not_taken_for_language_models(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path))
    write(known_scorer("clip"), tmp_path / "scorers")
    assert [model.name for model in hub.find_models([tmp_path])] == []
    assert hub.resolve_scorer("clip", hub.scorer_folders()) == tmp_path / "scorers" / "clip"


@pytest.mark.parametrize("name", ["", "..", "../clip", "/etc/passwd", "scorers/clip", "clip/../clip", "\0"])
def test_a_scorers_name_never_becomes_a_path(name, tmp_path):
    write(known_scorer("clip"), tmp_path)
    with pytest.raises(hub.ModelNotFound, match="no scorer is called"):
        hub.resolve_scorer(name, [tmp_path])


def test_a_missing_scorer_is_told_with_folders_command_and_pages(tmp_path):
    with pytest.raises(hub.ModelNotFound) as caught:
        hub.resolve_scorer("pick", [tmp_path / "a", tmp_path / "b"])
    said = str(caught.value)
    assert all(str(tmp_path / each / "pick") in said for each in "ab")
    assert "presample models download pick" in said
    pages = ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "yuvalkirstain/PickScore_v1")
    assert all(f"https://huggingface.co/{page}/tree/main" in said for page in pages)
    assert f"save it as {tmp_path / 'a' / 'pick' / 'model.safetensors'}" in said
    with pytest.raises(hub.ModelNotFound, match=r"(?s)by hand: from https://github.com.*predictor_v2_5.pth"):
        hub.resolve_scorer("aesthetic-2.5", [tmp_path])


@pytest.mark.parametrize("name", ["aesthetic", "hps", "fid"])
def test_a_scorer_arrives_whole_from_all_its_repositories(name, standin, tmp_path):
    known = free(known_scorer(name))
    standin.files = {part.path: f"{name} {part.path}".encode() for part in known.parts}
    assert hub.find_scorer(known, [tmp_path]) is None
    assert download(known, tmp_path) == tmp_path / name
    assert {path.relative_to(tmp_path).as_posix() for path in (tmp_path / name).iterdir()} == {
        part.local for part in known.parts
    }
    assert hub.find_scorer(known, [tmp_path]) is not None
    asked = {f"/{part.repo or known.repo}/resolve/main/" for part in known.parts}
    assert {head.partition("/main/")[0] + "/main/" for head in standin.heads} == asked
    standin.served = 0
    download(known, tmp_path)
    assert standin.served == 0, "what is here and right is not fetched again"


def test_a_file_that_is_not_the_known_one_is_refused(standin, tmp_path):
    known = known_scorer("fid")
    standin.files = {known.parts[0].path: b"something else"}
    standin.announce[known.parts[0].path] = "0" * 64
    with pytest.raises(DownloadError, match="is not the file that this version of Presample knows"):
        download(known, tmp_path)
    assert list(tmp_path.rglob("*.pth")) == []


def test_the_command_fetches_a_scorer_to_where_it_is_looked_for(standin, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PRESAMPLE_MODELS", str(tmp_path / "own"))
    known = known_scorer("ai-corrupt")
    standin.files = {part.path: b"content" for part in known.parts}
    assert run("download", "ai-corrupt") == 0
    out, err = capsys.readouterr()
    assert out == f"{tmp_path / 'own' / 'scorers' / 'ai-corrupt'}\n"
    assert "OpenRAIL" in err
    assert "https://huggingface.co/deepghs/ai_image_corrupted" in err
    assert hub.resolve_scorer("ai-corrupt", hub.scorer_folders()) == Path(out.strip())
    assert run("--base", str(tmp_path / "host"), "download", "ai-corrupt", "--json") == 0
    place = tmp_path / "host" / "models" / "scorers" / "ai-corrupt"
    assert json.loads(capsys.readouterr().out) == {"name": "ai-corrupt", "path": str(place)}
    assert run("download", "ai-corrupt", "--file", "model.onnx") == 1
    assert "leave out --file" in capsys.readouterr().err


def test_the_command_says_what_is_left_to_a_person(standin, tmp_path, monkeypatch, capsys):
    part = KnownFile("config.json", "mine/config.json", 1)
    weights = KnownFile("model.safetensors", "mine/model.safetensors", 1)
    hand = ByHand("mine/predictor.pth", "head.pth", "https://example.org/head")
    mine = KnownScorer("mine", "me/mine", "nothing", "MIT", (part, weights), hand)
    monkeypatch.setattr("presample.models.cli.models.known_scorer", lambda name: mine)
    standin.files = {"config.json": b"1", "model.safetensors": b"2"}
    assert run("download", "mine", "--to", str(tmp_path)) == 0
    err = capsys.readouterr().err
    assert "from https://example.org/head\n  get head.pth" in err
    assert str(tmp_path / "mine" / "predictor.pth") in err
    (tmp_path / "mine" / "predictor.pth").write_bytes(b"1")
    assert run("download", "mine", "--to", str(tmp_path)) == 0
    assert "head.pth" not in capsys.readouterr().err


def test_the_list_shows_the_scorers_and_which_are_here(tmp_path, capsys):
    place = write(known_scorer("fdd"), tmp_path)
    assert run("--folder", str(tmp_path)) == 0
    out = capsys.readouterr().out
    section = out.partition("Scorers of pictures")[2].partition("On this machine")[0]
    here = {line.split()[0]: line.split()[-1] for line in section.splitlines() if line.startswith("  ")}
    assert here == {"name": "here"} | {k.name: "yes" if k.name == "fdd" else "-" for k in KNOWN_SCORERS}
    assert all(len(line) <= 80 for line in section.splitlines())
    assert run("list", "--json", "--folder", str(tmp_path)) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)["scorers"]}
    assert (listed["fdd"]["path"], listed["clip"]["path"]) == (str(place), None)
    assert listed["aesthetic"]["files"][-1]["repository"] == "camenduru/improved-aesthetic-predictor"
    assert listed["aesthetic"]["files"][-1]["path"] == PREDICTOR
