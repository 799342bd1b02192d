"""The nodes, loaded beside a fake ComfyUI that is gone again behind these tests."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from nodes_for_tests import by_id, loaded_nodes


@pytest.fixture(scope="session")
def _loaded(tmp_path_factory):
    with loaded_nodes(tmp_path_factory.mktemp("comfyui")) as loaded:
        yield loaded


@pytest.fixture
def comfy(_loaded, monkeypatch):
    """The nodes by module name, `fake` modules by theirs, and ComfyUI's `base` folder."""
    state = _loaded.fake["comfy.model_management"].state
    state.interrupted = False
    state.loaded.clear()
    _loaded.fake["server"].PromptServer.instance = None
    _loaded.tipo_model._of_the_run.set(None)
    monkeypatch.setattr(_loaded.tipo_model, "SECONDS_SEEN", 1e-9)  # a test looks again each time
    monkeypatch.setattr(_loaded.tipo_model, "_fetched", {})
    yield _loaded
    _loaded.fake["server"].PromptServer.instance = None


@pytest.fixture
def nodes(comfy):
    """Every node class by its id."""
    return by_id(comfy)


@pytest.fixture
def hidden(nodes):
    """Sets what ComfyUI hides from the user, and returns it."""
    told = SimpleNamespace(unique_id="7", extra_pnginfo={}, prompt=None)
    for node in nodes.values():
        node.hidden = told
    return told


@pytest.fixture
def loaded(nodes, hidden):
    """The bundled model, as it leaves its node."""
    return nodes["PresampleTIPOLoader"].execute("tipo-tiny").args[0]
