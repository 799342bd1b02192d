"""The model is here when it is needed, and nowhere where it is not to be."""

import sys
import types

import pytest
import torch

from presample.models.tipo.expansion import Request
from presample.models.tipo.options import ExpandOptions

REQUESTS = [Request("lake", options=ExpandOptions(tag_length="very_short", prose_length="none"))]


@pytest.fixture
def keeper(script):
    from presample.scripts.webui.keeper import Keeper

    return Keeper()


def test_a_model_is_kept_or_freed_as_the_settings_say(keeper, shared):
    keeper.expand(REQUESTS, None, None)
    kept = keeper.tipo
    keeper.expand(REQUESTS, None, None)
    assert keeper.tipo is kept is not None
    shared.opts.presample_keep = False
    keeper.expand(REQUESTS, None, None)
    assert keeper.tipo is None


def test_a_model_is_freed_when_its_job_fails(keeper, shared):
    shared.opts.presample_keep = False
    wrong = [Request("lake", options=ExpandOptions(layout="no placeholder"))]
    with pytest.raises(ValueError, match="layout"):
        keeper.expand(wrong, None, None)
    assert keeper.tipo is None


def test_what_is_made_inside_a_generation_is_no_inference_tensor(keeper):
    with torch.inference_mode():
        keeper.expand(REQUESTS, None, None)
    assert not any(tensor.is_inference() for tensor in keeper.tipo.language.model.parameters())
    keeper.expand(REQUESTS, None, None)


def test_the_folder_of_the_settings_comes_first(keeper, shared, tmp_path):
    from presample.scripts.webui.keeper import folders

    shared.opts.presample_folder = f" {tmp_path} "
    place = folders().index(tmp_path)
    assert [folder.name for folder in folders()[place + 1 : place + 3]] == ["tipo", "kgen"]


class Decoder:
    """A model that notes where it is moved."""

    def __init__(self, device):
        self.device, self.moves = torch.device(device), []

    def to(self, device):
        self.device = torch.device(device)
        self.moves.append(self.device.type)


@pytest.fixture
def gpu(monkeypatch, shared):
    """A GPU of which only the name is there, its host's memory management, and models that can be moved."""
    from presample.models.tipo import expand, jobs

    asked = []
    shared.opts.presample_device = "gpu"
    monkeypatch.setattr(sys.modules["modules.devices"], "device", torch.device("cuda"))
    manager = types.ModuleType("backend.memory_management")
    manager.free_memory = lambda size, device: asked.append((size, device.type))
    monkeypatch.setitem(sys.modules, "backend", types.ModuleType("backend"))
    monkeypatch.setitem(sys.modules, "backend.memory_management", manager)

    def load(name, *, folders, device):
        model = Decoder(device)
        language = type("Language", (), {"model": model, "device": property(lambda self: model.device)})()
        return types.SimpleNamespace(language=language)

    monkeypatch.setattr(expand, "load_tipo", load)
    monkeypatch.setattr(jobs, "expand_job", lambda requests, tipo, **hooks: [tipo.language.device.type])
    return asked


def test_on_a_gpu_the_host_makes_room_and_has_it_back_after_every_job(keeper, gpu):
    assert keeper.expand(REQUESTS, None, None) == ["cuda"]
    model = keeper.tipo.language.model
    assert model.device.type == "cpu"
    assert keeper.expand(REQUESTS, None, None) == ["cuda"]
    assert keeper.tipo.language.model is model
    assert model.moves == ["cpu", "cuda", "cpu"]
    assert [device for _, device in gpu] == ["cuda", "cuda"]
    assert all(size > 1e6 for size, _ in gpu)


def test_another_device_is_another_model(keeper, gpu, shared):
    keeper.expand(REQUESTS, None, None)
    first = keeper.tipo
    shared.opts.presample_device = "cpu"
    assert keeper.expand(REQUESTS, None, None) == ["cpu"]
    assert keeper.tipo is not first
    assert len(gpu) == 1
