"""The language model between jobs: loaded when it is needed, where the settings say, and freed as they say.

Convention: on a GPU the model is there only while it writes: the host makes room first, through `free_memory`
where it has a memory management of its own (Forge and Neo: backend, reForge and Classic: ldm_patched; A1111
has none), and has all of it back afterwards. Kept, the model waits in main memory.
"""

import gc
import importlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from modules import devices, paths, shared

from ...models.hub import TIPO_FOLDERS, Advice, find_models, resolve, search_folders
from ...models.lm.memory import give_back
from ...models.tipo.choices import model_labels
from ...models.tipo.expansion import Expansion, OnProgress, Request

MANAGERS = ("backend.memory_management", "ldm_patched.modules.model_management")
ADVICE = Advice(
    get="Choose {name} as the Model of Presample TIPO, and press Download below the list.",
    choose="Choose one of those, or another from the list of models.",
)


def setting(name: str, default: Any) -> Any:
    """Returns one of our settings; hosts know them only once their page is built."""
    return getattr(shared.opts, f"presample_{name}", default)


def own_folders() -> list[Path]:
    """Returns the host's folders of models, that of the settings first; downloads go to the first."""
    own = str(setting("folder", "") or "").strip()
    below = [Path(paths.models_path) / name for name in TIPO_FOLDERS]
    return [*([Path(own)] if own else []), *below]


def folders() -> tuple[Path, ...]:
    """Returns every folder in which models are looked for, in order."""
    return search_folders(own_folders())


def labels() -> list[str]:
    """Returns the models to choose from."""
    return model_labels(find_models(folders()))


def find(name: str) -> Path:
    """Returns the path of a model; raises ModelNotFound, which says what to press."""
    return resolve(name, folders(), advice=ADVICE)


class Keeper:
    """Holds one model, for both tabs."""

    def __init__(self):
        self.lock = threading.RLock()
        self.key: tuple | None = None
        self.tipo = None

    def expand(self, requests: Sequence[Request], on_progress: OnProgress, should_stop) -> list[Expansion]:
        """Returns the expansions; raises ModelNotFound, ValueError for a damaged file, and Interrupted."""
        from ...models.tipo.jobs import expand_job

        # Inside a host's generation everything made would be an inference tensor, for good.
        with self.lock, torch.inference_mode(False), torch.no_grad():
            try:
                tipo = self.load(requests[0].options.model)
                return list(expand_job(requests, tipo, on_progress=on_progress, should_stop=should_stop))
            finally:
                self.rest()

    def load(self, name: str):
        """Returns the model called `name`, the one that is here already where it is that."""
        from ...models.tipo.expand import load_tipo

        path = find(name)
        device = devices.device if setting("device", "cpu") == "gpu" else torch.device("cpu")
        key = (str(path), path.stat().st_mtime_ns, str(device))
        if self.key != key:
            self.unload()
        if device.type != "cpu":
            free(_bytes(path), device)
        if self.tipo is None:
            self.tipo, self.key = load_tipo(name, folders=folders(), device=str(device)), key
        elif device.type != "cpu":
            self.tipo.language.model.to(device)
        return self.tipo

    def rest(self) -> None:
        """Leaves the GPU to the host, and frees the model where it is not to be kept."""
        if not setting("keep", True):
            self.unload()
        elif self.tipo is not None and self.tipo.language.device.type != "cpu":
            self.tipo.language.model.to("cpu")
            devices.torch_gc()

    def unload(self) -> None:
        """Frees the model."""
        if self.tipo is not None:
            self.tipo = self.key = None
            gc.collect()
            give_back()
            devices.torch_gc()


def _bytes(path: Path) -> int:
    files = [path] if path.is_file() else path.glob("*.safetensors")
    return 2 * sum(file.stat().st_size for file in files)


def free(size: int, device: torch.device) -> None:
    """Asks the host to make room on its device, where it manages that."""
    for name in MANAGERS:
        try:
            manager = importlib.import_module(name)
        except ImportError:
            continue
        manager.free_memory(size, device)
        return
    devices.torch_gc()
