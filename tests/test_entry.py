"""The pack loads in every kind of host, costs them nothing, and needs nothing that it does not use."""

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "nodes", "scripts")
# Loads the pack as ComfyUI's load_custom_node does (nodes.py of 0.3.64): a folder becomes a package that is
# named by its path. argv: the folder.
COMFYUI = """
import asyncio, importlib, importlib.util, json, os, sys
folder = sys.argv[1]
name = folder.replace(".", "_x_")
spec = importlib.util.spec_from_file_location(name, os.path.join(folder, "__init__.py"))
pack = importlib.util.module_from_spec(spec)
sys.modules[name] = pack
spec.loader.exec_module(pack)
"""
FAKE_COMFYUI = (ROOT / "tests" / "comfy_fake.py").read_text(encoding="utf-8") + "\ninstall()\n"
NODES = """
from comfy_api.latest import ComfyExtension
assert asyncio.iscoroutinefunction(pack.comfy_entrypoint)
extension = asyncio.run(pack.comfy_entrypoint())
assert isinstance(extension, ComfyExtension), extension
nodes = asyncio.run(extension.get_node_list())
assert isinstance(nodes, list), nodes
ids = [node.GET_SCHEMA().node_id for node in nodes]
assert len(set(ids)) == len(ids), ids
assert all(node.__module__.startswith(name + ".nodes.") for node in nodes), nodes
assert not hasattr(pack, "NODE_CLASS_MAPPINGS"), "ComfyUI would then never call comfy_entrypoint"
"""

# What a WebUI's only script does before it imports anything of ours: it makes the root package.
SCRIPT = """
import importlib.util, sys
from pathlib import Path
root = Path(__file__).resolve().parents[1]
if "presample" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "presample", root / "__init__.py", submodule_search_locations=[str(root)]
    )
    sys.modules["presample"] = package = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(package)
from presample.models.tipo.options import ExpandOptions
"""

# Imports every module of models/ by its name, and checks that nothing of the machine's state has changed.
EVERYTHING = """
import importlib, logging, os, random, signal, sys, threading
from pathlib import Path
import numpy, torch
root = Path(sys.argv[1])
rooted = lambda path: ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
names = ["presample." + rooted(path) for path in sorted(root.joinpath("models").rglob("*.py"))]
def state():
    return (
        random.getstate(), torch.get_rng_state().tolist(), repr(numpy.random.get_state()), dict(os.environ),
        list(sys.path), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(),
        logging.root.level, list(logging.root.handlers), threading.active_count(), os.getcwd(),
        signal.getsignal(signal.SIGINT), torch.are_deterministic_algorithms_enabled(),
    )
before = state()
outward = ("subprocess.", "socket.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn")
def forbid(event, arguments):
    if event.startswith(outward):
        raise AssertionError(f"{event} at import: {arguments}")
sys.addaudithook(forbid)
for name in names:
    importlib.import_module(name)
assert state() == before, "importing the pack changed the state of the process"
"""


def run(code, *arguments, options=(), path="", check=True, python=sys.executable):
    """Runs `code` in a fresh interpreter, and returns what it printed. `path` is in front of sys.path."""
    env = {**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [python, *options, "-c", code, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=env)
    if check:
        assert result.returncode == 0, result.stderr
    return result.stdout


def loaded(code, *arguments, **how):
    """Runs `code` as `run` does, and returns the names of the modules that it has loaded."""
    return json.loads(run(code + "\nimport json; print(json.dumps(list(sys.modules)))", *arguments, **how))


def tops(names):
    return {name.partition(".")[0] for name in names}


@pytest.fixture
def extension(tmp_path):
    """The pack as hosts keep it: in a folder of any name, here one with dots and blanks."""
    folder = tmp_path / "custom.nodes" / "Presample v0.1 (main)"
    folder.parent.mkdir()
    folder.symlink_to(ROOT, target_is_directory=True)
    return folder


# ComfyUI


def test_comfyui_loads_the_pack_and_gets_its_nodes(extension):
    names = loaded(FAKE_COMFYUI + COMFYUI + NODES, extension)
    assert not tops(names) & {*ROOMS, "presample"}, "a top-level name of ours would shadow other people's"


def test_comfyui_can_use_the_whole_of_models_under_the_name_that_it_gives(extension):
    code = COMFYUI + (
        "options = importlib.import_module(name + '.models.tipo.options')\n"
        "options.ExpandOptions()\n"
        "from pathlib import Path\n"
        "for path in sorted(Path(folder, 'models').rglob('*.py')):\n"
        "    importlib.import_module('.'.join((name, *path.relative_to(folder).with_suffix('').parts)))\n"
    )
    assert not tops(loaded(code, extension)) & {*ROOMS, "presample"}


@pytest.mark.host
def test_the_real_comfyui_loads_the_pack(extension):
    host = os.environ.get("COMFYUI_PATH")
    if not host:
        pytest.skip("COMFYUI_PATH names no checkout of ComfyUI")
    code = (
        "import asyncio, os, sys\n"
        "os.chdir(sys.argv[2]); sys.path.insert(0, sys.argv[2]); folder = sys.argv[1]\n"
        "sys.argv = ['main.py', '--cpu']\n"
        "import comfy.options; comfy.options.enable_args_parsing()\n"
        "import utils.extra_config  # first, as main.py does\n"
        "import nodes\n"
        "assert asyncio.run(nodes.load_custom_node(folder)), 'ComfyUI refused the pack'\n"
        "name = folder.replace('.', '_x_'); pack = sys.modules[name]\n"
    )
    run(code + NODES, extension, host, python=os.environ.get("COMFYUI_PYTHON", sys.executable))


def test_comfyui_gets_its_own_javascript_folder_since_webuis_run_everything_in_the_other():
    module = ast.parse((ROOT / "__init__.py").read_text(encoding="utf-8"))
    values = [
        n.value.value for n in module.body if isinstance(n, ast.Assign) and n.targets[0].id == "WEB_DIRECTORY"
    ]
    assert values == ["./javascript/comfyui"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r"^web *=", project, re.M), "set twice, ComfyUI loads every script twice"


# WebUIs


def _webui(folder, script=SCRIPT):
    """Writes the lone script of an extension; returns code that runs it as A1111's load_module does."""
    (folder / "scripts").mkdir(parents=True)
    for name in ("__init__.py", "models"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "scripts" / "presample.py").write_text(script, encoding="utf-8")
    return (
        "import importlib.util, os, sys\n"
        "path = os.path.join(sys.argv[1], 'scripts', 'presample.py')\n"
        "spec = importlib.util.spec_from_file_location(os.path.basename(path), path)\n"
        "script = importlib.util.module_from_spec(spec)\n"
        "spec.loader.exec_module(script)\n"
    )


@pytest.mark.parametrize("root_on_path", [False, True], ids=["A1111", "Forge"])
def test_a_lone_script_makes_the_package_and_reaches_models(tmp_path, root_on_path):
    code = _webui(tmp_path / "extensions" / "presample-main")
    code = code.replace("path = os", "sys.path.insert(0, sys.argv[1])\npath = os") if root_on_path else code
    code += (
        "assert 'presample.py' not in sys.modules and script.__name__ == 'presample.py'\n"
        "script.ExpandOptions()\n"
        "assert sys.modules['presample'].__path__ == [os.path.realpath(sys.argv[1])]\n"
        "spec.loader.exec_module(importlib.util.module_from_spec(spec))  # Reload UI runs the script again\n"
        "import importlib; importlib.import_module('presample.models.tipo.options')  # at generation time\n"
    )
    names = loaded(code, tmp_path / "extensions" / "presample-main", options=("-I", "-S"))
    assert "presample.models.tipo.options" in names
    assert not tops(names) & {*ROOMS, "torch", "numpy"}


def test_the_rooms_shadow_nobodys_modules(tmp_path):
    """Forge keeps the root of every extension on sys.path: `models` must stay whoever's it was."""
    other = tmp_path / "models"
    other.mkdir()
    (other / "__init__.py").write_text("mine = False\n", encoding="utf-8")
    code = "import sys; sys.path[:0] = sys.argv[1:]\nimport models\nassert models.mine is False"
    run(code, ROOT, tmp_path, options=("-I", "-S"))
    assert not [room for room in ROOMS if (ROOT / room / "__init__.py").exists()]
    assert not (ROOT / "scripts" / "webui.py").exists(), "every file of scripts/ is run as a script"


# Plain Python


def test_the_version_is_the_same_in_the_package_and_in_pyproject():
    import presample

    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^version = "(.+)"$', project, re.M)[1] == presample.__version__


def test_the_package_that_is_installed_is_this_checkout():
    spec = importlib.util.find_spec("presample")
    assert Path(spec.origin) == ROOT / "__init__.py"
    listed = re.search(
        r"^packages = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M | re.S
    )
    folders = {path.parent for room in ROOMS for path in (ROOT / room).rglob("*.py")}
    wanted = {".".join(("presample", *folder.relative_to(ROOT).parts)) for folder in folders}
    assert wanted <= set(re.findall(r'"([\w.]+)"', listed[1])), "pip would leave a folder out"


# What importing costs


def test_importing_the_package_imports_nothing_else():
    before = tops(loaded("import sys"))
    assert tops(loaded("import sys\nimport presample")) - before <= {"presample"} | set(
        sys.stdlib_module_names
    )
    assert "asyncio" not in loaded("import sys\nimport presample", options=())


def test_options_need_the_standard_library_only(tmp_path):
    code = _webui(tmp_path / "x")
    names = loaded(code, tmp_path / "x", options=("-I", "-S"))
    assert tops(names) <= {"presample", "__main__"} | set(sys.stdlib_module_names)


HEAVY = {
    "transformers",
    "accelerate",
    "huggingface_hub",
    "tokenizers",
    "gradio",
    "sentencepiece",
    "gguf",
    "kgen",
}
HEAVY |= {"llama_cpp", "matplotlib", "PIL", "requests", "scipy", "sklearn", "diffusers", "ray"}


def test_no_module_of_models_imports_what_only_some_need_or_touches_the_machine():
    names = loaded(EVERYTHING, ROOT)
    assert not tops(names) & HEAVY
    assert {"presample.models.tipo.options", "presample.models.tipo.expand"} <= set(names)


def test_loading_a_model_and_expanding_leave_torchs_compiler_out():
    """`torch._dynamo` takes more than a second to import, and some innocent calls of torch bring it in."""
    import_torch = loaded("import sys, torch")
    names = loaded(
        "import sys\n"
        "from presample.models.tipo.expand import expand, load_tipo\n"
        "from presample.models.tipo.expansion import Request\n"
        "assert expand(Request('lake, night'), load_tipo()).added\n"
    )
    compiler = {"torch._dynamo", "torch._inductor", "sympy", *HEAVY}
    assert not (set(names) - set(import_torch)) & compiler


def test_broken_packages_on_the_path_change_nothing(tmp_path, extension):
    for name in HEAVY:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(
            "raise OSError('[WinError 127] llama.dll')", encoding="utf-8"
        )
    with pytest.raises(AssertionError, match="WinError 127"):
        run("import llama_cpp", path=tmp_path)
    run(EVERYTHING, ROOT, path=tmp_path)
    run(FAKE_COMFYUI + COMFYUI + NODES, extension, path=tmp_path)


@pytest.mark.parametrize(
    "planted",
    [
        "import subprocess, sys; subprocess.run([sys.executable, '-V'])",
        "import torch; torch.manual_seed(0)",
    ],
)
def test_the_check_of_imports_sees_what_a_module_does(tmp_path, planted):
    package = tmp_path / "presample" / "models"
    package.mkdir(parents=True)
    (tmp_path / "presample" / "__init__.py").write_text("", encoding="utf-8")
    (package / "bad.py").write_text(planted + "\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"at import|changed the state"):
        run(EVERYTHING, tmp_path / "presample", path=tmp_path)
