"""The list of models: read again, and a model fetched at a press, without a page."""

import importlib
import sys
import types
from pathlib import Path

import pytest

LABEL = "TIPO-100M (not downloaded, 202 MB, Apache-2.0)"
FILE = "TIPO-100M_TIPO-100M-F16.gguf"
KEEP = {}


@pytest.fixture
def models(shared, monkeypatch):
    """The module beside a gradio of just the names that handlers use."""
    gradio = types.SimpleNamespace(update=lambda **said: said, __version__="4.40.0", Radio=object())
    monkeypatch.setitem(sys.modules, "gradio", gradio)
    monkeypatch.setenv("PRESAMPLE_MODELS", "/nowhere")
    monkeypatch.setenv("HF_HOME", "/nowhere")
    return importlib.import_module("presample.scripts.webui.model_list")


@pytest.fixture
def running(models):
    return models.Running()


@pytest.fixture
def asked(models, monkeypatch):
    """What is asked of the network: each time the file arrives in two steps."""
    found = []

    def download(known, folder, *, progress, should_stop):
        found.append((known.name, folder))
        for here in (5_000_000, 202_000_000):
            progress("TIPO-100M-F16.gguf", here, 202_000_000)
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / FILE).write_bytes(b"1")

    monkeypatch.setattr(models, "download", download)
    return found


def test_a_download_is_offered_with_its_price_page_and_folder_and_nothing_is_asked(
    models, running, asked, shared, tmp_path
):
    row, said, button, stop = models.offer(LABEL, running)
    assert row["visible"]
    assert button == {"value": "Download TIPO-100M (202 MB, Apache-2.0)", "visible": True}
    assert not stop["visible"]
    assert "https://huggingface.co/KBlueLeaf/TIPO-100M" in said
    assert str(tmp_path / "models" / "tipo") in said
    shared.opts.presample_folder = str(tmp_path / "<mine>")
    assert "&lt;mine&gt;" in models.offer(LABEL, running)[1]
    for here in ("tipo-tiny", "mine.gguf"):
        assert not models.offer(here, running)[0]["visible"]
    assert asked == []


def test_a_model_arrives_in_the_hosts_folder_and_stays_chosen(models, running, asked, tmp_path):
    steps = list(models.fetch(LABEL, running))
    assert asked == [("TIPO-100M", tmp_path / "models" / "tipo")]
    assert steps[0][2:4] == [{"visible": False}, {"visible": True}]
    assert "of 202 MB" in steps[1][1]
    assert "TIPO-100M is here." in steps[-1][-1]
    listed, row, *_ = models.read_again(LABEL, running)
    assert listed["value"] == FILE in listed["choices"]
    assert not row["visible"]
    assert running.works == []


def test_a_download_can_be_stopped_and_is_offered_again(models, running, monkeypatch):
    def download(known, folder, *, progress, should_stop):
        progress("x.gguf", 1, 3)
        while not should_stop():
            pass
        raise models.DownloadStopped("stopped")

    monkeypatch.setattr(models, "download", download)
    handler = models.fetch(LABEL, running)
    next(handler)
    next(handler)
    assert models.offer("tipo-tiny", running) == [KEEP] * 4, "one at a time, whatever is chosen meanwhile"
    assert list(models.fetch(LABEL, running)) == [[KEEP] * 5]
    running.stop()
    assert "Stopped" in list(handler)[-1][-1]
    assert models.read_again(LABEL, running)[3]["visible"]


def test_a_download_that_fails_says_why(models, running, monkeypatch):
    def download(*_, **__):
        raise models.actions.DownloadError("no <connection>")

    monkeypatch.setattr(models, "download", download)
    said = list(models.fetch(LABEL, running))[-1][-1]
    assert "no &lt;connection&gt;" in said
    assert "role='alert'" in said


def test_a_list_keeps_a_choice_whose_file_has_gone(models, running):
    (listed, row, *_) = models.read_again("gone.gguf", running)
    assert listed["value"] == listed["choices"][-1] == "gone.gguf"
    assert not row["visible"]


@pytest.mark.parametrize("name", ["TIPO-100M", "no such model"])
def test_the_message_for_a_missing_model_says_what_to_press_and_names_no_command(script, name):
    from webui_fake import Processing

    p = Processing("lake").run(script, {"enabled": True, "model": name})
    (said,) = p.comments
    assert "no model named" in said
    assert "presample models" not in said
    assert ("press Download" in said) == (name == "TIPO-100M")
