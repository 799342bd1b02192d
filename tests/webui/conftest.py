"""The script in a fake WebUI."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "prompt")]

OURS = ("tipo", "keeper", "callbacks", "axes", "panel", "actions", "model_list")
OURS += ("mix", "mix_axes", "mix_files", "mix_job", "mix_panel", "playground")


@pytest.fixture
def shared(monkeypatch, tmp_path):
    """The fake host's `shared`; our modules are imported anew, for they import the host's by name."""
    from webui_fake import install

    _forget()
    yield install(monkeypatch, tmp_path / "models")
    _forget()


def _forget():
    for name in OURS:
        sys.modules.pop(f"presample.scripts.webui.{name}", None)
        vars(importlib.import_module("presample.scripts.webui")).pop(name, None)


@pytest.fixture
def script(shared):
    """A script with nothing remembered."""
    module = importlib.import_module("presample.scripts.webui.tipo")
    return module.PresampleTIPO()


@pytest.fixture
def host(shared, tmp_path):
    """The fake host with a model, two tuned encoders beside it, and a script that mixes."""
    from mix_fake import Engine, host_shared, tensors
    from safetensors.torch import save_file

    folder = tmp_path / "models" / "text_encoder"
    folder.mkdir(parents=True)
    for seed, name in ((1, "vivid"), (2, "soft")):
        save_file(tensors(seed), folder / f"{name}.safetensors")
    shared.sd_model = host_shared(Engine(0))
    module = importlib.import_module("presample.scripts.webui.mix")
    return SimpleNamespace(shared=shared, script=module.PresampleEncoderMix(), folder=folder)
