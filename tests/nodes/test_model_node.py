"""Load TIPO Model: what there is to choose, who holds it, and what is said of one that is not here."""

import contextvars
import gc
import os
import shutil
import threading
import weakref

import pytest

from presample.models.hub import bundled_folder
from presample.models.published.tipo import KNOWN

LOADER = "PresampleTIPOLoader"


def choices(nodes):
    return next(each for each in nodes[LOADER].GET_SCHEMA().inputs if each.id == "model").facts["options"]


def test_the_bundled_model_comes_first_and_others_say_what_a_download_means(nodes):
    found = choices(nodes)
    assert found[0] == "tipo-tiny"
    assert "TIPO-200M (not downloaded, 406 MB, Apache-2.0)" in found
    assert len(found) == 1 + sum(known.repo is not None for known in KNOWN)


def test_a_model_in_comfyuis_folders_is_found_by_its_name(nodes, hidden, comfy, tmp_path):
    folder = comfy.base / "models" / "tipo" / "mine"
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(bundled_folder() / "tipo-tiny", target_is_directory=True)
    try:
        assert "mine" in choices(nodes)
        assert nodes[LOADER].execute("mine").args[0].tipo.language.path == folder
    finally:
        folder.unlink()


def test_the_folders_of_a_user_stay_and_unknown_files_are_not_shown(comfy):
    paths, kinds = comfy.fake["folder_paths"].folder_names_and_paths["tipo"]
    assert kinds == {".safetensors", ".gguf"}
    paths.append("/elsewhere")
    comfy.tipo_model.register_folders()
    assert paths == [f"{comfy.base}/models/tipo", "/elsewhere"]
    paths.remove("/elsewhere")


def test_loaders_with_the_same_settings_share_one_model_and_nobody_else_holds_it(nodes, hidden):
    one, two = (nodes[LOADER].execute("tipo-tiny").args[0] for _ in range(2))
    assert one is two
    assert nodes[LOADER].execute("tipo-tiny", precision="float32").args[0] is not one
    gone = weakref.ref(one.tipo.language.model)
    del one, two
    gc.collect()
    assert gone() is None


def test_a_model_that_a_node_loads_by_its_name_stays_for_the_run(nodes, hidden, comfy, monkeypatch):
    loaded, load_tipo = [], comfy.tipo_model.load_tipo

    def load(*args, **options):
        tipo = load_tipo(*args, **options)
        loaded.append(weakref.ref(tipo.language.model))
        return tipo

    def run():
        for prompt in ("lake", "night"):
            nodes["PresampleTIPOExpand"].execute(prompt, tag_length="very_short", prose_length="none")
            gc.collect()

    monkeypatch.setattr(comfy.tipo_model, "load_tipo", load)
    contextvars.Context().run(run)
    comfy.fake["comfy.model_management"].state.loaded.clear()
    gc.collect()
    assert [model() for model in loaded] == [None]


def test_the_patcher_knows_the_true_size_and_is_loaded_before_each_use(nodes, hidden, loaded, comfy):
    weights = (bundled_folder() / "tipo-tiny" / "model.safetensors").stat().st_size
    assert weights / 2 < loaded.patcher.model_size() < weights
    nodes["PresampleTIPOExpand"].execute("lake", tipo=loaded, count=4, tag_length="very_short")
    ((patchers, memory, whole),) = comfy.fake["comfy.model_management"].state.loaded
    assert patchers == [loaded.patcher]
    assert memory > 64 * 2**20
    assert whole is True


def test_a_model_that_is_not_here_is_named_with_where_to_get_it(nodes, hidden):
    assert nodes[LOADER].validate_inputs(model="TIPO-500M (not downloaded, 1 020 MB, Kohaku-1.0)") is True
    with pytest.raises(ValueError, match=r"huggingface\.co/KBlueLeaf/TIPO-500M(.|\n)*switch download on"):
        nodes[LOADER].execute("TIPO-500M (not downloaded, 1 020 MB, Kohaku-1.0)")
    with pytest.raises(ValueError, match=r"no model named '\.\./\.\./etc/passwd' is here"):
        nodes[LOADER].execute("../../etc/passwd")


def test_only_the_switch_downloads_and_a_stop_is_comfyuis_own(nodes, hidden, comfy, monkeypatch):
    asked = []

    def download(known, folder, *, progress, should_stop):
        asked.append((known.name, str(folder)))
        progress("x.gguf", 1, 2)
        if should_stop():
            raise comfy.fetching.DownloadStopped("stopped")

    monkeypatch.setattr(comfy.fetching, "download", download)
    with pytest.raises(ValueError, match="no model named"):
        nodes[LOADER].execute("TIPO-100M")
    assert not asked
    with pytest.raises(ValueError, match="no model named"):
        nodes[LOADER].execute("TIPO-100M", download=True)
    assert asked == [("TIPO-100M", f"{comfy.base}/models/tipo")]
    nodes[LOADER].execute("tipo-tiny", download=True)
    assert len(asked) == 1
    comfy.fake["comfy.model_management"].state.interrupted = True
    with pytest.raises(comfy.fake["comfy.model_management"].InterruptProcessingException):
        nodes[LOADER].execute("TIPO-100M", download=True)


def test_a_replaced_file_is_noticed(nodes, comfy):
    fingerprint = nodes[LOADER].fingerprint_inputs
    plain = fingerprint(model="tipo-tiny", precision="auto")
    assert plain == fingerprint(model="tipo-tiny", precision="auto")
    assert plain != fingerprint(model="tipo-tiny", precision="float32")
    assert fingerprint(model="TIPO-100M (not downloaded, x)") == fingerprint(model="TIPO-100M")


def test_a_folder_whose_weights_are_written_over_is_another_model(nodes, hidden, comfy):
    folder = comfy.base / "models" / "tipo" / "over"
    shutil.copytree(bundled_folder() / "tipo-tiny", folder)
    fingerprint = nodes[LOADER].fingerprint_inputs
    try:
        before, model = fingerprint(model="over"), comfy.tipo_model.load("over")
        with (folder / "model.safetensors").open("r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\1")
        assert fingerprint(model="over") != before
        assert comfy.tipo_model.load("over") is not model
        before = fingerprint(model="over")
        (folder / "notes.txt").write_text("mine")
        assert fingerprint(model="over") == before
    finally:
        shutil.rmtree(folder)


def test_after_a_download_by_the_switch_nothing_is_made_again(nodes, hidden, comfy, monkeypatch):
    folder = comfy.base / "models" / "tipo" / "TIPO-100M"

    def download(known, folder_of_all, **_):
        shutil.copytree(bundled_folder() / "tipo-tiny", folder)

    monkeypatch.setattr(comfy.fetching, "download", download)
    monkeypatch.setattr(comfy.tipo_model, "SECONDS_SEEN", 3600.0)
    fingerprint = nodes[LOADER].fingerprint_inputs
    given = {"model": "TIPO-100M (not downloaded, x)", "download": True}
    try:
        before = fingerprint(**given)
        assert nodes[LOADER].execute(**given).args[0].tipo.language.path == folder
        assert fingerprint(**given) == before
        assert "TIPO-100M" in choices(nodes)
        (folder / "config.json").touch()
        assert fingerprint(**given) != before
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_the_folders_are_looked_through_once_in_a_while(nodes, comfy, monkeypatch):
    looked, find_models = [], comfy.tipo_model.find_models
    monkeypatch.setattr(
        comfy.tipo_model, "find_models", lambda folders: looked.append(1) or find_models(folders)
    )
    monkeypatch.setattr(comfy.tipo_model, "SECONDS_SEEN", 3600.0)
    comfy.tipo_model._seen.cache_clear()
    for node in (LOADER, "PresampleTIPOExpand", "PresampleTIPOTask"):
        nodes[node].define_schema()
    assert len(looked) == 1


def test_a_name_from_another_node_is_looked_at_when_it_is_known(nodes):
    assert nodes[LOADER].validate_inputs(model=None) is True  # as ComfyUI says of a linked input
    assert nodes[LOADER].fingerprint_inputs(model=None, device="cpu") == (("device", "cpu"),)


def test_memory_is_given_back_a_moment_after_the_last_holder_is_gone(nodes, hidden, comfy, monkeypatch):
    given = threading.Event()
    monkeypatch.setattr(comfy.tipo_model, "SECONDS_UNTIL_TIDY", 0.01)
    monkeypatch.setattr(comfy.tipo_model, "give_back", given.set)
    model = nodes[LOADER].execute("tipo-tiny", precision="float32").args[0]
    assert given.is_set()  # what loading left behind
    given.clear()
    del model
    gc.collect()
    assert given.wait(5)


def test_a_device_that_is_none_is_named(nodes, hidden):
    with pytest.raises(ValueError, match="device must be one of auto, cpu, gpu; got 'tpu'"):
        nodes[LOADER].execute("tipo-tiny", device="tpu")
