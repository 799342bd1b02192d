"""The arrows and prohibitions of the house, read off the source of every file, and a check of the checker.

nodes/ -> models/ <- scripts/          models/: tipo -> lm, prompt          nothing -> cli
"""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
MAX_BYTES = 24_000

COMFYUI = {
    "comfy",
    "comfy_api",
    "comfy_api_nodes",
    "comfy_config",
    "comfy_execution",
    "comfy_extras",
    "execution",
}
COMFYUI |= {"folder_paths", "latent_preview", "node_helpers", "server"}
WEBUI = {"gradio", "launch", "modules", "modules_forge", "backend", "ldm_patched", "k_diffusion"}
# What one file may have of a host: its installer, and a library that hosts share with a page of ours.
ALLOWED = {("install.py", "launch"), ("models/cli/eval_pairwise_page.py", "gradio")}
OUR_OWN = {"presample", "models", "nodes", "scripts", "tests"}

# Packages that only some machines have, or that cost seconds: imported inside the function that needs them.
COSTLY = {
    "accelerate",
    "gguf",
    "huggingface_hub",
    "kgen",
    "llama_cpp",
    "matplotlib",
    "requests",
    "sentencepiece",
}
COSTLY |= {"PIL", "diffusers", "ray", "scipy", "sklearn", "tokenizers", "transformers"}
BY_NAME = {"importlib.import_module", "import_module", "__import__"}
NEVER = {"pickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
UNPICKLES = "models/metrics/pretrained.py"
PROCESSES = {"subprocess", "multiprocessing", "pty"}
GLOBAL_SEEDS = {"torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all", "torch.seed"}
GLOBAL_SEEDS |= {"random.seed", "np.random.seed", "numpy.random.seed", "transformers.set_seed"}

# What a part of models/ may import beside itself. A part is a folder, or a file that lies in models/ itself.
ARROWS = {
    "options": set(),
    "fonts": set(),
    "latents": set(),
    "lettering": set(),
    "interrupt": set(),
    "seeds": set(),
    "files": set(),
    "cluster": {"options"},
    "prompt": set(),
    "lm": {"interrupt"},
    "pictures": set(),
    "metrics": {"files", "options", "pictures", "published"},
    "mmh_dit": {
        "cluster",
        "files",
        "interrupt",
        "latents",
        "metrics",
        "options",
        "pictures",
        "playground.balance",
        "playground.buckets",
    },
    "bench": {"files", "latents", "lm", "metrics", "mmh_dit", "tipo"},
    "tinyworld": {
        "files",
        "latents",
        "options",
        "hub",
        "metrics",
        "mmh_dit",
        "lm.tokenizer",
        "prompt.document",
    },
    "textcraftor": {"hub", "latents", "metrics", "mmh_dit.flow", "mmh_dit.model", "options"},
    "playground": {"interrupt", "options", "seeds"},
    "trainer": {"files", "options", "seeds"},
    "claims": {
        "files",
        "hub",
        "metrics",
        "mmh_dit",
        "playground",
        "seeds",
        "textcraftor",
        "tinyworld",
        "tipo",
        "trainer",
    },
    "transfer": {"files"},
    "sheet": {"fonts", "lettering"},
    "workflow": set(),
    "published": set(),
    "hub": {"published"},
    "fetching": {"hub", "published", "transfer"},
    "tipo": {"cluster", "files", "options", "hub", "lettering", "lm", "prompt", "published"},
}
# Making and measuring models is the only work that needs the little world, the trainer and all of a denoiser.
WORKSHOP = "training"
OPEN_TO_WORKSHOPS = {"files", "hub", "mmh_dit", "seeds", "sheet", "tinyworld", "trainer"}


def violations(path: str, source: str) -> list[str]:
    """Returns what is against the rules in a file of the repository, one sentence each."""
    file = PurePosixPath(path)
    tree = ast.parse(source)
    found = (
        [f"has {len(source.encode())} bytes, at most {MAX_BYTES}"] if len(source.encode()) > MAX_BYTES else []
    )
    if len(file.parts) == 2 and file.name == "__init__.py":
        found.append("a regular package of that name would shadow other people's")
    if "print" in _calls(tree) and not _is_cli(file):
        found.append("calls print: log instead")
    found += [
        f"seeds the global generator with {name}" for name in _calls(tree, put_back=False) & GLOBAL_SEEDS
    ]
    found += [f"calls {name}" for name in _calls(tree) & {"eval", "exec", "os.system", "os.popen"}]
    found += list(_unsafe_loading(tree))
    if "torch.load" in _calls(tree) and path != UNPICKLES:
        found.append(f"calls torch.load, which only {UNPICKLES} may: it knows which torch is safe")
    found += list(_swallowed(tree))
    for name, costs in _imports(file, tree):
        found += _forbidden(file, name, at_import=costs)
    return [f"{path}: {what}" for what in found]


def _is_cli(file: PurePosixPath) -> bool:
    return file.parts[:2] == ("models", "cli")


def _dotted(node: ast.AST) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def _calls(tree: ast.AST, *, put_back: bool = True) -> set[str]:
    """Returns what is called; without `put_back` not what `with torch.random.fork_rng()` undoes."""
    undone = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "torch.random.fork_rng" in _calls(node.items[0].context_expr)
        for inner in ast.walk(node)
        if not put_back
    }
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and id(node) not in undone)
    return {_dotted(node.func) for node in calls}


def _unsafe_loading(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        given = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        chosen = re.search(r"\bAuto\w+\.from_pretrained$", _dotted(node.func))
        if given.get("trust_remote_code", bool(chosen)) is not False:
            yield "trust_remote_code must be False where files choose the class: others' code never runs"
        if _dotted(node.func) == "torch.load" and given.get("weights_only") is not True:
            yield "torch.load needs weights_only=True"
        if given.get("allow_pickle"):
            yield "allow_pickle: safetensors and GGUF only"


def _swallowed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or _dotted(node.type) in ("Exception", "BaseException")
            if broad and all(isinstance(line, ast.Pass | ast.Continue) for line in node.body):
                yield f"line {node.lineno} swallows every exception"


def _imports(file: PurePosixPath, tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Yields every module that is imported, ours as `.models.lm.x` from the root, and whether at import."""
    later = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or _only_for_types(node)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = _resolve(file, node.level, node.module)
            names = [f"{base}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _dotted(node.func) in BY_NAME:
            names = [getattr(arg, "value", None) or "" for arg in node.args[:1]]
        yield from ((name, id(node) not in later) for name in names)


def _only_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and _dotted(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _resolve(file: PurePosixPath, level: int, module: str | None) -> str:
    if not level:
        return module or ""
    folder = file.parent
    for _ in range(level - 1):
        folder = folder.parent
    return ".".join(("", *folder.parts, *filter(None, [module])))


def _forbidden(file: PurePosixPath, name: str, *, at_import: bool) -> list[str]:
    """Returns why `file` may not import `name`."""
    if name.startswith("."):
        return _crossed(file, name.removeprefix("."))
    top = name.partition(".")[0]
    room = file.parts[0] if len(file.parts) > 1 else ""
    found = []
    if top in OUR_OWN and not (top == "presample" and str(file) == "scripts/presample.py"):
        found.append(f"imports {name}: write it relative, the hosts call the package otherwise")
    if top in COMFYUI and room in ("models", "scripts"):
        found.append(f"imports {name} of ComfyUI")
    if top in WEBUI and room != "scripts" and (str(file), top) not in ALLOWED:
        found.append(f"imports {name} of the WebUIs")
    if top in NEVER:
        found.append(f"imports {name}: safetensors and GGUF only")
    if top in PROCESSES and not _is_cli(file):
        found.append(f"imports {name}: a pack starts no other program")
    if top in COSTLY and at_import:
        found.append(f"imports {name} at import: do it in the function that needs it")
    return found


def _crossed(file: PurePosixPath, name: str) -> list[str]:
    """Returns why an import of our own module `name`, from the root, goes against the arrows."""
    room, _, inside = name.partition(".")
    here = file.parts[0] if len(file.parts) > 1 else ""
    if room in ("models", "nodes", "scripts") and room != here and room != "models" and here:
        return [f"{here} imports {room}: nodes -> models <- scripts"]
    if room != "models" or here != "models":
        return []
    part, other = _part(file.parts[1]), _part(inside.partition(".")[0])
    if other == "cli":
        return [] if _is_cli(file) else [f"imports {name}: nothing imports the command line"]
    if other == part or _is_cli(file):
        return []
    workshop = OPEN_TO_WORKSHOPS if WORKSHOP in file.parts else set()
    allowed = ARROWS[part] | workshop
    reached = {other, ".".join(inside.split(".")[:2])}
    return (
        []
        if reached & allowed
        else [f"{part} imports {inside}: it may import {sorted(allowed) or 'nothing'}"]
    )


def _part(name: str) -> str:
    return name.removesuffix(".py")


def files() -> list[str]:
    found = [path for room in ("models", "nodes", "scripts") for path in (ROOT / room).rglob("*.py")]
    return sorted(path.relative_to(ROOT).as_posix() for path in [*found, *ROOT.glob("*.py")])


@pytest.mark.parametrize("path", files())
def test_a_file_keeps_the_rules_of_the_house(path):
    assert not violations(path, (ROOT / path).read_text(encoding="utf-8"))


def test_every_part_of_models_has_its_arrows_stated():
    parts = {_part(PurePosixPath(path).parts[1]) for path in files() if path.startswith("models/")}
    assert parts - {"cli"} <= set(ARROWS)


def test_every_arrow_that_is_stated_is_used():
    used, in_workshops = set(), set()
    for file in (PurePosixPath(path) for path in files() if path.startswith("models/")):
        part = _part(file.parts[1])
        names = _imports(file, ast.parse((ROOT / file).read_text(encoding="utf-8")))
        for inside in (name.removeprefix(".models.") for name, _ in names if name.startswith(".models.")):
            for other in (_part(inside.partition(".")[0]), ".".join(inside.split(".")[:2])):
                if WORKSHOP not in file.parts:
                    used.add((part, other))
                elif other != part and other not in ARROWS[part]:
                    in_workshops.add(other)
    stated = {(part, other) for part, others in ARROWS.items() for other in others}
    assert not stated - used, "delete them, or open the part to workshops where only these need it"
    assert in_workshops >= OPEN_TO_WORKSHOPS


def taken_from(file: PurePosixPath) -> set[str]:
    """Returns our own files that `file` imports, inside functions too."""
    found = set()
    for name, _ in _imports(file, ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        parts = name.removeprefix(".").split(".")
        whole, without_name = PurePosixPath(*parts), PurePosixPath(*parts[:-1])
        places = (f"{whole}.py", f"{without_name}.py", f"{whole}/__init__.py", f"{without_name}/__init__.py")
        found |= {place for place in places if name.startswith(".") and (ROOT / place).is_file()}
    return found - {str(file), "__init__.py"}


def test_no_files_import_each_other_in_a_circle():
    taken = {path: taken_from(PurePosixPath(path)) for path in files()}
    assert sum(map(len, taken.values())) > len(taken)
    try:
        TopologicalSorter(taken).prepare()
    except CycleError as e:
        pytest.fail(f"a circle: {' <- '.join(e.args[1])}")


def test_tests_are_small_too_and_no_package():
    for path in (ROOT / "tests").rglob("*.py"):
        assert path.stat().st_size <= MAX_BYTES, path
        assert path.name != "__init__.py", path


PLANTED = [
    ("models/tipo/x.py", "import comfy.utils", "of ComfyUI"),
    ("models/tipo/x.py", "def f():\n    from folder_paths import models_dir", "of ComfyUI"),
    ("models/tipo/x.py", "import nodes", "relative"),
    ("models/tinyworld/clip.py", "from ..lm.decode import step", "tinyworld imports lm"),
    ("models/lm/x.py", "from server import PromptServer", "of ComfyUI"),
    ("models/lm/x.py", "from modules import shared", "of the WebUIs"),
    ("models/lm/x.py", "def f():\n    import gradio as gr", "of the WebUIs"),
    ("models/lm/x.py", "import importlib\nimportlib.import_module('launch')", "of the WebUIs"),
    ("models/lm/x.py", "__import__('comfy')", "of ComfyUI"),
    ("models/lm/x.py", "from ..tipo.wire import parse", "lm imports tipo.wire"),
    ("models/lm/x.py", "from ..prompt import document", "lm imports prompt"),
    ("models/lm/x.py", "from .. import tipo", "lm imports tipo"),
    ("models/prompt/x.py", "from ..tipo.tags import TagTable", "prompt imports tipo"),
    ("models/prompt/x.py", "def f():\n    from ..lm.decode import step", "prompt imports lm"),
    ("models/tipo/x.py", "from ..tinyworld.scene import sample", "tipo imports tinyworld"),
    ("models/tinyworld/x.py", "from ..tipo.wire import render", "tinyworld imports tipo"),
    ("models/tipo/x.py", "from ..trainer.fit import fit", "tipo imports trainer"),
    ("models/textcraftor/x.py", "from ..mmh_dit import checkpoint", "textcraftor imports mmh_dit.checkpoint"),
    ("models/trainer/x.py", "from ..tinyworld import scene", "trainer imports tinyworld"),
    ("models/options.py", "from .tipo.options import ExpandOptions", "options imports tipo"),
    ("models/hub.py", "from .tipo.expand import expand", "hub imports tipo.expand"),
    ("models/tipo/x.py", "from .. import cli", "command line"),
    ("models/tipo/x.py", "from ..cli.models import add_parser", "command line"),
    ("models/tipo/x.py", "from ...nodes.tipo import NODES", "models imports nodes"),
    ("nodes/tipo.py", "from ..scripts.webui import tipo", "nodes imports scripts"),
    ("scripts/webui/tipo.py", "from ...nodes import compat", "scripts imports nodes"),
    ("scripts/webui/tipo.py", "import comfy", "of ComfyUI"),
    ("nodes/tipo.py", "import modules.scripts", "of the WebUIs"),
    ("models/tipo/x.py", "from presample.models.lm import decode", "relative"),
    ("nodes/tipo.py", "import presample", "relative"),
    ("scripts/webui/tipo.py", "import scripts", "relative"),
    ("models/tipo/x.py", "from models.lm import decode", "relative"),
    ("models/tipo/x.py", "print('hello')", "print"),
    ("install.py", "def f():\n    print('hello')", "print"),
    ("models/tipo/x.py", "import pickle", "safetensors"),
    ("models/tipo/x.py", "import torch\ntorch.load('x')", "weights_only"),
    ("models/tipo/x.py", "import torch\ntorch.load('x', weights_only=False)", "weights_only"),
    ("models/tipo/x.py", "import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle"),
    ("models/tipo/x.py", "import torch\ntorch.load('x', weights_only=True)", "which torch is safe"),
    ("models/tipo/x.py", "f(trust_remote_code=True)", "trust_remote_code"),
    ("models/tipo/x.py", "f(trust_remote_code=x)", "trust_remote_code"),
    ("models/tipo/x.py", "t.AutoTokenizer.from_pretrained('x')", "trust_remote_code"),
    ("models/tipo/x.py", "import subprocess", "no other program"),
    ("models/tipo/x.py", "import os\nos.system('x')", "os.system"),
    ("models/tipo/x.py", "eval('1')", "eval"),
    ("models/tipo/x.py", "import torch\ntorch.manual_seed(0)", "global generator"),
    ("models/tipo/x.py", "with torch.no_grad():\n    torch.manual_seed(0)", "global generator"),
    ("models/tipo/x.py", "import transformers", "at import"),
    (
        "models/tipo/x.py",
        "try:\n    from llama_cpp import Llama\nexcept ImportError:\n    Llama = None",
        "at import",
    ),
    ("models/tipo/x.py", "class A:\n    import tokenizers", "at import"),
    ("models/tipo/x.py", "try:\n    f()\nexcept Exception:\n    pass", "swallows"),
    ("models/tipo/x.py", "while True:\n    try:\n        f()\n    except:\n        continue", "swallows"),
    ("models/__init__.py", "", "shadow"),
    ("nodes/__init__.py", "", "shadow"),
    ("models/tipo/x.py", "x = 1\n" * 5_000, "bytes"),
]


@pytest.mark.parametrize(("path", "source", "said"), PLANTED)
def test_the_checker_catches_a_planted_violation(path, source, said):
    found = violations(path, source)
    assert len(found) >= 1
    assert any(said in what for what in found), found


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (
            "models/tipo/x.py",
            "import torch\nfrom ..lm.decode import step\nfrom ..prompt import document\nfrom . import tags",
        ),
        (
            "models/tipo/training/train.py",
            "from ...tinyworld import scene\nfrom ...trainer import fit\n\ndef f():\n    import transformers",
        ),
        ("models/tipo/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import transformers"),
        ("models/metrics/pretrained.py", "import torch\ntorch.load('x', weights_only=True)"),
        (
            "models/tipo/x.py",
            "AutoModel.from_pretrained('x', trust_remote_code=False)\nmodel.eval()\nf.print()",
        ),
        ("models/tipo/x.py", "import torch\ng = torch.Generator()\ng.manual_seed(0)"),
        ("models/tipo/x.py", "with torch.random.fork_rng(devices=[]):\n    torch.manual_seed(0)"),
        ("models/hub.py", "from .published.tipo import KNOWN"),
        ("models/cli/expand.py", "from . import models\nfrom ..tipo.expand import expand\nprint('x')"),
        ("models/lm/__init__.py", '"""Language models."""'),
        (
            "nodes/tipo.py",
            "import comfy.utils\nfrom ..models.tipo import expand\nfrom .registry import extension",
        ),
        ("scripts/presample.py", "import modules.scripts\nfrom presample.scripts.webui.tipo import Tipo"),
        ("scripts/webui/tipo.py", "import gradio as gr\nfrom ...models.tipo import expand"),
        ("__init__.py", "async def comfy_entrypoint():\n    from .nodes.registry import extension"),
        (
            "install.py",
            "def f():\n    from launch import run_pip\ntry:\n    f()\nexcept ImportError:\n    pass",
        ),
    ],
)
def test_the_checker_lets_good_files_pass(path, source):
    assert violations(path, source) == []
