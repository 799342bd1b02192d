"""The engines by their names: which class loads a contestant's model."""

from .contestants import LLAMA_CPP, PRESAMPLE, TRANSFORMERS, Model, Unavailable, Writer
from .files import Files
from .ours import Presample
from .peers import LlamaCpp, Transformers

ENGINES = {PRESAMPLE: Presample, TRANSFORMERS: Transformers, LLAMA_CPP: LlamaCpp}


def open_writer(model: Model, files: Files, *, device: str, threads: int) -> Writer:
    """Returns the model loaded and ready; raises Unavailable with the reason where that cannot be."""
    path = files.path(model.file)
    if model.file != "safetensors" and files.no_gguf:
        raise Unavailable(files.no_gguf)
    return ENGINES[model.engine].load(path, model.precision, device=device, threads=threads)
