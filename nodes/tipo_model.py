"""Load TIPO Model: a language model in the care of ComfyUI's memory management.

Convention: the model is in a ModelPatcher, so ComfyUI moves, evicts and frees it as it does its own. It is
held by the graph, by the run in which a node loads it by its name, or for a while by the routes: loaders with
the same settings share one model for as long as anybody has it.
"""

import functools
import threading
import time
import weakref
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
import folder_paths
import torch
from comfy_api.latest import io

from ..models.hub import (
    TIPO_FOLDERS,
    Advice,
    FoundModel,
    ModelNotFound,
    find_models,
    resolve,
    search_folders,
    user_folder,
)
from ..models.lm.checkpoint import PRECISIONS, choose_precision
from ..models.lm.memory import give_back
from ..models.published.tipo import known_model
from ..models.tipo.choices import model_labels, model_name
from ..models.tipo.expand import load_tipo
from . import fetching
from .compat import known_only, schema, widget

DEVICES = ("auto", "cpu", "gpu")
FILES = (".safetensors", ".json", ".model")  # those in a model's folder that are read
SECONDS_UNTIL_TIDY = 0.5
SECONDS_SEEN = 1.5
CATEGORY = "presample/tipo"
ADVICE = Advice(
    get="Get it with Load TIPO Model: choose {name} there, switch download on, and connect it to this node.",
    choose="Choose one of those, or another from the list.",
)

Model = io.Custom("PRESAMPLE_TIPO")

_loaded: weakref.WeakValueDictionary[tuple, "LoadedTipo"] = weakref.WeakValueDictionary()
_loading = threading.Lock()
_fetched: dict[str, tuple] = {}  # by name: the stamps of the models that nodes have downloaded
_of_the_run: ContextVar["LoadedTipo | None"] = ContextVar("presample_tipo_of_the_run", default=None)


class Holder(torch.nn.Module):
    """What a ModelPatcher moves: the decoder, in a module on which it may put attributes of its own."""

    def __init__(self, decoder: torch.nn.Module):
        super().__init__()
        self.decoder = decoder


class LoadedTipo:
    """A loaded model as it goes from node to node."""

    def __init__(self, tipo, load_device: torch.device, offload_device: torch.device):
        self.tipo = tipo
        self.patcher = comfy.model_patcher.ModelPatcher(
            Holder(tipo.language.model),
            load_device=load_device,
            offload_device=offload_device,
            size=tipo.language.size(),
        )
        # Its tensors go after it, so the memory is given back a moment later.
        weakref.finalize(self, _give_back_soon).atexit = False

    def ready(self, rows: int):
        """Returns the model where it can run, with room for so many texts; others make place for it."""
        room = self.tipo.language.working_memory(rows, self.tipo.language.config.context)
        more = known_only(mm.load_models_gpu, memory_required=room, force_full_load=True)
        mm.load_models_gpu([self.patcher], **more)
        return self.tipo


def _give_back_soon() -> None:
    timer = threading.Timer(SECONDS_UNTIL_TIDY, give_back)
    timer.daemon = True
    timer.start()


def register_folders() -> None:
    """Tells ComfyUI of `models/tipo` and `models/kgen`; entries of extra_model_paths.yaml stay."""
    for name in TIPO_FOLDERS:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name), is_default=True)
        paths, _ = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, {".safetensors", ".gguf"})


def model_folders() -> tuple[Path, ...]:
    """Returns every folder in which models are looked for, in order."""
    return search_folders(
        [Path(path) for name in TIPO_FOLDERS for path in folder_paths.get_folder_paths(name)]
    )


def available() -> tuple[FoundModel, ...]:
    """Returns the models that are here, or were a moment ago: ComfyUI asks many times for one prompt."""
    return _seen(int(time.monotonic() / SECONDS_SEEN), model_folders())


@functools.lru_cache(maxsize=1)
def _seen(moment: int, folders: tuple[Path, ...]) -> tuple[FoundModel, ...]:
    return tuple(find_models(folders))


def load(name: str, *, precision: str = "auto", device: str = "auto") -> LoadedTipo:
    """Returns the model called `name`, the one that is loaded already where there is one.

    Raises ModelNotFound, whose message says where it was looked for, and ValueError for a damaged file.
    """
    if device not in DEVICES:  # ComfyUI 0.3.60 lets anything through
        raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {device!r}")
    path = resolve(name, model_folders(), advice=ADVICE)
    load_device = torch.device("cpu") if device == "cpu" else mm.text_encoder_device()
    if device == "gpu":
        load_device = mm.get_torch_device()
    offload_device = load_device if load_device.type == "cpu" else mm.text_encoder_offload_device()
    if precision == "auto":
        precision = choose_precision(load_device)
    key = (str(path), stamp(path), precision, str(load_device))
    with _loading:
        found = _loaded.get(key)
        if found is None:
            tipo = load_tipo(name, folders=model_folders(), device=str(offload_device), precision=precision)
            found = _loaded[key] = LoadedTipo(tipo, load_device, offload_device)
            give_back()
    return found


def load_for_run(name: str) -> LoadedTipo:
    """Returns the model called `name`, as `load` does; it stays until the run ends or asks for another."""
    loaded = load(name)
    _of_the_run.set(loaded)  # the context is the run's own
    return loaded


def stamp(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Returns what changes when a model's file, or one in its folder, is replaced or written over."""
    files = sorted(each for each in path.iterdir() if each.suffix in FILES) if path.is_dir() else [path]
    facts = [(file.name, file.stat()) for file in files if file.is_file()]
    return tuple((name, fact.st_mtime_ns, fact.st_size) for name, fact in facts)


def fingerprint(label: str) -> tuple:
    """Returns what changes when the model of a label is replaced, goes, or comes to be here, other than by a
    node's own download: that node has given this very model."""
    name = model_name(label)
    here = _stamp_of(name)
    return name, *(() if here == _fetched.get(name) else here)


def _stamp_of(name: str) -> tuple:
    try:
        return stamp(resolve(name, model_folders()))
    except ModelNotFound:
        return ()


def fetch(name: str, unique_id: str | None) -> None:
    """Downloads a known model into the first of its folders, with a progress bar; raises DownloadError."""
    known = known_model(name)
    if known is None or any(model.known is known for model in available()):
        return
    places = folder_paths.get_folder_paths(TIPO_FOLDERS[0])
    fetching.fetch(known, Path(places[0]) if places else user_folder(), unique_id)
    _seen.cache_clear()
    _fetched[name] = _stamp_of(name)


class TIPOLoader(io.ComfyNode):
    """Loads a TIPO model for the nodes that expand prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="PresampleTIPOLoader",
            display_name="Load TIPO Model",
            category=CATEGORY,
            description="Loads a TIPO language model. The bundled one needs no download; others come from"
            " models/tipo, models/kgen or the Hugging Face cache.",
            search_aliases=["tipo", "kgen", "prompt upsampling", "language model"],
            inputs=[
                widget(
                    io.Combo.Input,
                    "model",
                    options=model_labels(available()),
                    tooltip="Bundled and found models first; those not downloaded show size and licence.",
                ),
                widget(
                    io.Boolean.Input,
                    "download",
                    default=False,
                    optional=True,
                    tooltip="Fetch the chosen model from Hugging Face when it is not here. Off: nothing is"
                    " ever downloaded.",
                ),
                widget(
                    io.Combo.Input,
                    "precision",
                    options=list(PRECISIONS),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="What the weights are held in; auto is int8 on a processor, bfloat16 on a GPU.",
                ),
                widget(
                    io.Combo.Input,
                    "device",
                    options=list(DEVICES),
                    default="auto",
                    optional=True,
                    advanced=True,
                    tooltip="Where it runs; auto is where ComfyUI runs text encoders.",
                ),
            ],
            outputs=[Model.Output(display_name="tipo", tooltip="For TIPO Expand and TIPO Task.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, model: str | None) -> bool | str:
        """A model that is gone must not keep a workflow from running that does not use it any more.

        A name that another node gives is None here and in the fingerprint: ComfyUI has yet to ask for it.
        """
        return isinstance(model, str | None) or f"model must be a name from the list, got {model!r}"

    @classmethod
    def fingerprint_inputs(cls, model: str | None, **others: Any) -> Any:
        return (*(fingerprint(model) if model is not None else ()), *sorted(others.items()))

    @classmethod
    def execute(
        cls, model: str, download: bool = False, precision: str = "auto", device: str = "auto"
    ) -> io.NodeOutput:
        name = model_name(model)
        if download:
            fetch(name, cls.hidden.unique_id)
        try:
            return io.NodeOutput(load(name, precision=precision, device=device))
        except ModelNotFound as error:
            hint = "\nOr switch download on in this node." if known_model(name) else ""
            raise ModelNotFound(f"{error}{hint}") from error


NODES = [TIPOLoader]
