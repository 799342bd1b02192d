"""ComfyUI itself, where COMFYUI_PATH names a checkout and COMFYUI_PYTHON its Python; else skipped."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2]))


def pytest_collection_modifyitems(items):
    reason = ""
    if not os.environ.get("COMFYUI_PATH"):
        reason = "COMFYUI_PATH names no checkout of ComfyUI"
    elif importlib.util.find_spec("aiohttp") is None:
        reason = "the client of these tests needs aiohttp"
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.host)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """ComfyUI with nothing but the pack."""
    from server_for_tests import Server, note

    server = Server(tmp_path_factory.mktemp("comfyui"))
    note(f"ComfyUI {server.version}: pack imported in {server.import_seconds()}")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def templates():
    """Every template by its name."""
    import json

    folder = Path(__file__).parents[3] / "example_workflows"
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


@pytest.fixture(scope="session")
def in_comfyui(tmp_path_factory):
    """Runs a program of this folder in ComfyUI's Python; returns a function from a check to what it gave."""
    import json
    import subprocess

    def run(program):
        python = os.environ.get("COMFYUI_PYTHON", sys.executable)
        folder = tmp_path_factory.mktemp(Path(program).stem)
        command = [python, Path(__file__).with_name(program), folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        found = json.loads(done.stdout.splitlines()[-1])

        def check(name):
            said = found[name]
            assert not (isinstance(said, dict) and "error" in said), said["error"]
            return said

        return check

    return run
