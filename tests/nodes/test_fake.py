"""The fake ComfyUI has what the nodes use, and nothing that the real one does not have."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMFYUI = ("comfy", "comfy_api", "comfy_execution", "folder_paths", "latent_preview", "server")

# Run in the real ComfyUI's Python: prints, for every name of the fake, what is wrong with it there.
COMPARE = """
import importlib, inspect, json, sys, types
sys.argv = ["main.py", "--cpu"]
import comfy.options; comfy.options.enable_args_parsing()
import utils.extra_config  # first, as main.py does
import dataclasses, server
sys.path.insert(0, FAKES)
import comfy_fake
wrong = []
# Newer than 0.3.60, or made only when the server starts; nodes ask for them with hasattr and getattr.
NEWER = {"io.NodeReplace", "ComfyAPI.node_replacement", "PromptServer.instance"}

def parameters(function):
    return {n for n in inspect.signature(function).parameters if n not in ("self", "cls")}

def compare(path, fake, real, name):
    if not hasattr(real, name):
        if path not in NEWER:
            wrong.append(path + " is not there")
        return
    mine, theirs = getattr(fake, name), getattr(real, name)
    if inspect.isclass(mine) and not issubclass(mine, BaseException):
        if "__init__" in vars(mine) and "Input" not in path:
            for lost in parameters(mine.__init__) - parameters(theirs.__init__):
                if not (path == "io.Schema" and lost == "search_aliases"):
                    wrong.append(f"{path} takes no {lost}")
        fields = {f.name for f in dataclasses.fields(mine)} if dataclasses.is_dataclass(mine) else set()
        for inner in set(vars(mine)) - fields - {"kind"}:
            if not inner.startswith("_"):
                compare(f"{path.rpartition('.')[2]}.{inner}", mine, theirs, inner)
    elif inspect.isfunction(mine) and mine.__name__ != "<lambda>":
        for lost in parameters(mine) - parameters(theirs):
            wrong.append(f"{path} takes no {lost}")

for name, module in comfy_fake.modules().items():
    real = importlib.import_module(name)
    for key, value in vars(module).items():
        if key.startswith("_") or key == "state" or isinstance(value, types.ModuleType):
            continue
        if key == "io":
            for part in vars(value):
                compare("io." + part, value, real.io, part)
        else:
            compare(key, module, real, key)
print("\\n" + json.dumps(wrong))
"""


def used() -> set[tuple[str, str]]:
    """Returns what the nodes import of ComfyUI: modules, and names of modules."""
    found = set()
    for path in (ROOT / "nodes").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and not node.level:
                found |= {(node.module, alias.name) for alias in node.names}
            elif isinstance(node, ast.Import):
                found |= {(alias.name, "") for alias in node.names}
    return {(m, n) for m, n in found if m.partition(".")[0] in COMFYUI}


def test_the_fake_has_every_name_that_a_node_imports(comfy):
    for module, name in used():
        assert module in comfy.fake
        assert not name or hasattr(comfy.fake[module], name)


@pytest.mark.host
def test_the_real_comfyui_has_every_name_of_the_fake():
    host = os.environ.get("COMFYUI_PATH")
    if not host:
        pytest.skip("COMFYUI_PATH names no checkout of ComfyUI")
    python = os.environ.get("COMFYUI_PYTHON", sys.executable)
    code = f"FAKES = {str(ROOT / 'tests')!r}\n{COMPARE}"
    done = subprocess.run(
        [python, "-c", code], cwd=host, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
