"""The nodes, loaded beside a fake ComfyUI that is gone again behind these tests."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

import comfy_fake

NODES = "presample.nodes"


@pytest.fixture(scope="session")
def _loaded(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfyui")
    (base / "input").mkdir()
    before = dict(sys.modules)
    fake = comfy_fake.install(str(base))
    files = sorted((Path(__file__).parents[2] / "nodes").glob("*.py"))
    nodes = {file.stem: importlib.import_module(f"{NODES}.{file.stem}") for file in files}
    for name in ("tipo_model", "textcraftor", "evaluation"):
        nodes[name].register_folders()
    yield SimpleNamespace(base=base, fake=fake, **nodes)
    for name in [name for name in sys.modules if name in fake or name.startswith(NODES)]:
        if name in before:
            sys.modules[name] = before[name]
        else:
            del sys.modules[name]


@pytest.fixture
def comfy(_loaded):
    """The nodes by module name, `fake` modules by theirs, and ComfyUI's `base` folder."""
    state = _loaded.fake["comfy.model_management"].state
    state.interrupted = False
    state.loaded.clear()
    _loaded.fake["server"].PromptServer.instance = None
    yield _loaded
    _loaded.fake["server"].PromptServer.instance = None


@pytest.fixture
def nodes(comfy):
    """Every node class by its id."""
    modules = comfy.registry.modules()
    return {node.GET_SCHEMA().node_id: node for module in modules for node in module.NODES}


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
