"""The nodes, loaded beside a fake ComfyUI that is gone again afterwards."""

import contextlib
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import comfy_fake

NODES = "presample.nodes"


@contextlib.contextmanager
def loaded_nodes(base: Path) -> Iterator[SimpleNamespace]:
    """Gives the nodes by module name, `fake` modules by theirs, and ComfyUI's `base` folder."""
    (base / "input").mkdir()
    before = dict(sys.modules)
    fake = comfy_fake.install(str(base))
    files = sorted((Path(__file__).parents[1] / "nodes").glob("*.py"))
    nodes = {file.stem: importlib.import_module(f"{NODES}.{file.stem}") for file in files}
    for name in ("tipo_model", "textcraftor", "evaluation"):
        nodes[name].register_folders()
    yield SimpleNamespace(base=base, fake=fake, **nodes)
    for name in [name for name in sys.modules if name in fake or name.startswith(NODES)]:
        if name in before:
            sys.modules[name] = before[name]
        else:
            del sys.modules[name]


def by_id(loaded: SimpleNamespace) -> dict[str, type]:
    """Returns every node class by its id."""
    modules = loaded.registry.modules()
    return {node.GET_SCHEMA().node_id: node for module in modules for node in module.NODES}
