"""Where models are found, and which name means which."""

import hashlib
import importlib.util
import os
import sys
from pathlib import Path

import pytest

from presample.models import hub


def _model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").write_bytes(b"12345")
    return path


def _cached(cache: Path, repo: str, commit: str, *names: str, main: bool = False) -> Path:
    """A repository as huggingface_hub lays it out: blobs, and snapshots of links to them."""
    root = cache / f"models--{repo.replace('/', '--')}"
    snapshot = root / "snapshots" / commit
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    for name in names:
        blob = root / "blobs" / hashlib.sha256(f"{commit}{name}".encode()).hexdigest()
        blob.write_bytes(b"12345")
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    if main:
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(commit)
    return snapshot


def _names(*folders: Path) -> list[str]:
    return [model.name for model in hub.find_models(folders)]


# Finding


def test_folders_and_gguf_files_are_found_and_nothing_else(tmp_path):
    _model_folder(tmp_path / "mine")
    _model_folder(tmp_path / "KBlueLeaf" / "TIPO-500M")
    (tmp_path / "mine" / "small.gguf").write_bytes(b"GGUF")
    (tmp_path / "TIPO-200M-ft_TIPO-200M-ft-F16.gguf").write_bytes(b"GGUF1234")
    (tmp_path / "TIPO-200M.safetensors").write_bytes(b"1")  # says nothing of its shape and its tokens
    (tmp_path / "TIPO-100M-F16.gguf.0123456789ab.part").write_bytes(b"1")
    (tmp_path / ".hidden.gguf").write_bytes(b"1")
    (tmp_path / "notes.txt").write_text("no")
    (tmp_path / "empty").mkdir()
    found = {model.name: model for model in hub.find_models([tmp_path])}
    assert list(found) == [
        "KBlueLeaf/TIPO-500M",
        "TIPO-200M-ft_TIPO-200M-ft-F16.gguf",
        "mine",
        "mine/small.gguf",
    ]
    ft = found["TIPO-200M-ft_TIPO-200M-ft-F16.gguf"]
    assert (ft.kind, ft.known.name, ft.size, ft.folder) == ("gguf", "TIPO-200M-ft", 8, tmp_path)
    assert (found["mine"].kind, found["mine"].known, found["mine"].size) == ("folder", None, 5)
    assert found["KBlueLeaf/TIPO-500M"].known.name == "TIPO-500M"


def test_a_folder_that_is_a_model_itself_is_found_by_its_own_name(tmp_path):
    assert _names(_model_folder(tmp_path / "TIPO-100M")) == ["TIPO-100M"]


def test_the_first_folder_wins_and_a_missing_one_is_empty(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
        (folder / "x.gguf").write_bytes(b"1")
    (model,) = hub.find_models([tmp_path / "gone", second, first])
    assert model.path == second / "x.gguf"


def test_models_lie_at_most_two_folders_deep_so_a_link_in_a_circle_does_no_harm(tmp_path):
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "a" / "b" / "near.gguf").write_bytes(b"1")
    (deep / "far.gguf").write_bytes(b"1")
    (tmp_path / "a" / "circle").symlink_to(tmp_path)
    names = _names(tmp_path)
    assert "a/b/near.gguf" in names
    assert "a/b/c/far.gguf" not in names


def test_nothing_else_in_the_hubs_cache_is_walked_through(tmp_path):
    for name in ("datasets--a--b", "spaces--a--b", "models--a--b"):
        (tmp_path / name / "blobs").mkdir(parents=True)
        (tmp_path / name / "blobs" / "no.gguf").write_bytes(b"1")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "one.gguf").write_bytes(b"1")
    assert _names(tmp_path) == ["models/one.gguf"]


def test_the_hubs_cache_is_read_without_huggingface_hub(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    weights = ("config.json", "model.safetensors", "TIPO-200M-F16.gguf")
    snapshot = _cached(tmp_path, "KBlueLeaf/TIPO-200M", "1" * 40, *weights, main=True)
    _cached(
        tmp_path, "KBlueLeaf/TIPO-v2.1-1B-A200M", "2" * 40, "gguf/TIPO-v2.1-1B-A200M-Q8_0.gguf", main=True
    )
    _cached(
        tmp_path, "openai/clip-vit-large-patch14", "3" * 40, "config.json", "model.safetensors", main=True
    )
    found = {model.name: model for model in hub.find_models([tmp_path])}
    assert list(found) == [
        "TIPO-200M",
        "TIPO-200M_TIPO-200M-F16.gguf",
        "TIPO-v2.1-1B-A200M_TIPO-v2.1-1B-A200M-Q8_0.gguf",
    ]
    assert found["TIPO-200M"].path == snapshot
    assert found["TIPO-200M"].size == 5


def test_what_huggingface_hub_itself_downloads_is_found_in_its_cache(standin, tmp_path):
    from huggingface_hub import hf_hub_download

    names = ("config.json", "model.safetensors", "TIPO-500M_epoch5-F16.gguf")
    standin.files = {name: name.encode() for name in names}
    for name in names:
        path = hf_hub_download("KBlueLeaf/TIPO-500M", name, cache_dir=tmp_path, endpoint=standin.url)
    found = {model.name: model.path for model in hub.find_models([tmp_path])}
    assert found == {"TIPO-500M": Path(path).parent, "TIPO-500M_TIPO-500M_epoch5-F16.gguf": Path(path)}


def test_the_current_snapshot_is_preferred_but_an_incomplete_one_is_passed_over(tmp_path):
    weights = ("config.json", "model.safetensors")
    _cached(tmp_path, "KBlueLeaf/TIPO-100M", "a" * 40, *weights)
    current = _cached(tmp_path, "KBlueLeaf/TIPO-100M", "b" * 40, *weights, main=True)
    _cached(tmp_path, "KBlueLeaf/TIPO-100M", "c" * 40, *weights)
    assert hub.resolve("TIPO-100M", [tmp_path]) == current
    older = _cached(tmp_path, "KBlueLeaf/TIPO-500M", "a" * 40, *weights)
    newest = _cached(tmp_path, "KBlueLeaf/TIPO-500M", "b" * 40, "config.json", main=True)
    (newest / "model.safetensors").symlink_to(tmp_path / "blob-that-never-arrived")
    assert hub.resolve("TIPO-500M", [tmp_path]) == older


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"HF_HOME": "/data/hf"},
        {"HF_HOME": "~/hf"},
        {"HF_HOME": "$HOME/x"},
        {"XDG_CACHE_HOME": "/xdg"},
        {"XDG_CACHE_HOME": "/xdg", "HF_HOME": "/data/hf"},
        {"HUGGINGFACE_HUB_CACHE": "/legacy", "HF_HOME": "/data/hf"},
        {"HF_HUB_CACHE": "~/new", "HUGGINGFACE_HUB_CACHE": "/legacy"},
    ],
)
def test_the_cache_is_where_huggingface_hub_itself_would_put_it(variables, monkeypatch):
    monkeypatch.delenv("HF_HOME")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    origin = importlib.util.find_spec("huggingface_hub.constants").origin
    spec = importlib.util.spec_from_file_location("huggingface_hub.constants_read_again", origin)
    constants = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(constants)
    theirs = getattr(constants, "HF_HUB_CACHE", constants.HUGGINGFACE_HUB_CACHE)
    assert str(hub.hub_cache()) == os.path.expandvars(os.path.expanduser(theirs))  # 0.19 expands less


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("HF_HOME", "")
    monkeypatch.setenv("PRESAMPLE_MODELS", "")
    assert hub.hub_cache() == Path.home() / ".cache" / "huggingface" / "hub"
    assert hub.user_folder() == Path.home() / ".cache" / "presample" / "models"


def test_folders_are_searched_in_a_fixed_order(tmp_path, monkeypatch):
    monkeypatch.setenv("PRESAMPLE_MODELS", "~/my models")
    given = tmp_path / "given"
    assert hub.search_folders([given, given], base=tmp_path) == (
        hub.bundled_folder(),
        given,
        tmp_path / "models" / "tipo",
        tmp_path / "models" / "kgen",
        Path.home() / "my models",
        tmp_path / "hf" / "hub",
    )


def test_what_is_bundled_beside_the_language_models_is_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "BUNDLED", tmp_path)
    _model_folder(tmp_path / "painter-tiny")
    tiny = _model_folder(tmp_path / "tipo-tiny")
    assert _names(tmp_path) == ["tipo-tiny"]
    other = tmp_path / "elsewhere"
    _model_folder(other / "tipo-tiny")
    assert hub.resolve("tipo-tiny", [tmp_path, other]) == tiny


# Which one is meant


def test_a_name_picks_from_the_list(tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"1")
    assert hub.resolve("mine.gguf", [tmp_path]) == path


@pytest.mark.parametrize("name", ["TIPO-200M", "tipo-200m", "KBlueLeaf/TIPO-200M"])
def test_a_known_name_means_its_published_files_in_whichever_format_is_here(name, tmp_path):
    (tmp_path / "TIPO-200M-ft-F16.gguf").write_bytes(b"1")
    (tmp_path / "TIPO-200M-ft3-experiment.gguf").write_bytes(b"1")
    with pytest.raises(hub.ModelNotFound):
        hub.resolve(name, [tmp_path])
    kgens = tmp_path / "TIPO-200M_TIPO-200M-40Btok-F16.gguf"
    kgens.write_bytes(b"1")
    assert hub.resolve(name, [tmp_path]) == kgens


def test_weights_alone_are_not_taken_for_the_model_that_lies_whole_in_a_later_folder(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, name in ((first, "TIPO-200M.safetensors"), (second, "TIPO-200M-F16.gguf")):
        folder.mkdir()
        (folder / name).write_bytes(b"")
    assert hub.resolve("TIPO-200M", [first, second]) == second / "TIPO-200M-F16.gguf"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("TIPO-200M", "TIPO-200M"),
        ("kblueleaf/tipo-200m", "TIPO-200M"),
        ("TIPO-200M-F16.gguf", "TIPO-200M"),
        ("sub/TIPO-200M_TIPO-200M-40Btok-F16.gguf", "TIPO-200M"),
        ("TIPO-200M-ft", "TIPO-200M-ft"),
        ("TIPO-200M-mine-Q8_0.gguf", None),
        ("TIPO-200M/", None),
        ("nobody", None),
    ],
)
def test_a_published_model_is_told_by_the_names_of_its_files(name, model):
    found = hub.published_model(name)
    assert (found and found.name) == model


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.gguf",
        "../../etc/passwd",
        "models/../../secret.gguf",
        "mine.gguf/../../secret.gguf",
        "./mine.gguf",
        "/etc/passwd",
        "C:\\Windows\\secret.gguf",
        "..\\secret.gguf",
        "mine.gguf\0",
        "\0",
        "~/secret.gguf",
        "file:///etc/passwd",
        "x" * 100_000,
    ],
)
def test_a_name_never_becomes_a_path(name, tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "mine.gguf").write_bytes(b"1")
    (tmp_path / "secret.gguf").write_bytes(b"1")
    with pytest.raises(hub.ModelNotFound) as caught:
        hub.resolve(name, [folder])
    assert len(str(caught.value)) < 2000
    assert "\0" not in str(caught.value)


def test_an_absolute_path_is_refused_even_for_a_file_that_is_there(tmp_path):
    path = tmp_path / "mine.gguf"
    path.write_bytes(b"1")
    with pytest.raises(hub.ModelNotFound):
        hub.resolve(str(path), [tmp_path])


def test_a_link_that_the_owner_of_the_folder_made_is_followed_and_its_target_has_no_name(tmp_path):
    folder, disk = tmp_path / "models", tmp_path / "other disk"
    folder.mkdir()
    disk.mkdir()
    (disk / "big.gguf").write_bytes(b"1")
    (folder / "linked.gguf").symlink_to(disk / "big.gguf")
    (folder / "dangling.gguf").symlink_to(disk / "gone.gguf")
    assert hub.resolve("linked.gguf", [folder]) == folder / "linked.gguf"
    for name in ("big.gguf", "dangling.gguf", "../other disk/big.gguf"):
        with pytest.raises(hub.ModelNotFound):
            hub.resolve(name, [folder])


@pytest.mark.parametrize("name", [None, 3, b"mine.gguf", Path("mine.gguf")])
def test_a_name_must_be_text(name, tmp_path):
    with pytest.raises(TypeError, match="text"):
        hub.resolve(name, [tmp_path])


def test_a_missing_model_is_told_with_file_folders_and_page(tmp_path):
    (tmp_path / "mine.gguf").write_bytes(b"1")
    folders = hub.search_folders([tmp_path])
    with pytest.raises(hub.ModelNotFound) as caught:
        hub.resolve("TIPO-200M", folders)
    message = str(caught.value)
    assert "'TIPO-200M'" in message
    assert all(str(folder) in message for folder in folders)
    assert "mine.gguf" in message
    assert "presample models download TIPO-200M" in message
    assert "https://huggingface.co/KBlueLeaf/TIPO-200M/tree/main" in message
    assert str(tmp_path / "TIPO-200M_TIPO-200M-40Btok-F16.gguf") in message


def test_a_host_gives_its_own_advice_on_a_missing_model(tmp_path):
    advice = hub.Advice(get="Press Download for {name}.", choose="Choose another.")
    for name, said in (("TIPO-200M", "Press Download for TIPO-200M."), ("{name}", "Choose another.")):
        with pytest.raises(hub.ModelNotFound) as caught:
            hub.resolve(name, [tmp_path], advice=advice)
        assert said in str(caught.value).splitlines()
        assert "presample models" not in str(caught.value)


def test_a_missing_file_of_a_known_model_is_told_by_that_file(tmp_path):
    with pytest.raises(hub.ModelNotFound) as caught:
        hub.resolve("TIPO-v2.1-1B-A200M_TIPO-v2.1-1B-A200M-Q8_0.gguf", [tmp_path])
    assert "get gguf/TIPO-v2.1-1B-A200M-Q8_0.gguf" in str(caught.value)
