"""For every test: one thread, no model folder and no cache of the user's, no network, no deadlines."""

import os
import socket
import sys
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before anything imports torch
sys.path.insert(0, str(Path(__file__).parent))  # for the helpers beside this file

settings.register_profile("desk", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")


@pytest.fixture(autouse=True)
def _empty_model_folders(monkeypatch, tmp_path_factory):
    """Models of whoever runs the tests must not decide what a test finds."""
    empty = tmp_path_factory.mktemp("models")
    monkeypatch.setenv("PRESAMPLE_MODELS", str(empty))
    monkeypatch.setenv("HF_HUB_CACHE", str(empty))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Connections beyond this machine fail at once, and say which test wanted one."""
    connect = socket.socket.connect

    def connect_here(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise ConnectionError(f"tests do without network, and this one asked for {address[0]}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture(scope="session")
def random_world_folder(tmp_path_factory):
    """A folder like that of the bundled models, of random weights."""
    pytest.importorskip("transformers")
    from random_world_for_tests import write_world

    folder = tmp_path_factory.mktemp("bundled")
    write_world(folder)
    return folder


@pytest.fixture
def random_world(random_world_folder, monkeypatch):
    """Models of random weights in the place of the bundled ones."""
    monkeypatch.setattr("presample.models.hub.BUNDLED", random_world_folder)
    return random_world_folder


@pytest.fixture(scope="module")
def cluster():
    """Ray on two cores of this machine."""
    import ray

    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    from browser_for_tests import CHROMIUM
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def pytest_collection_modifyitems(config, items):
    """Slow tests run where they are asked for: `-m slow`, or by their name."""
    if config.option.markexpr or any("::" in argument for argument in config.args):
        return
    slow = [item for item in items if "slow" in item.keywords]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]
