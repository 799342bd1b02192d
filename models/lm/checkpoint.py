"""Language models from files: a Hugging Face folder (safetensors) or one GGUF file, never a pickle."""

import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from . import quant
from .build import build
from .formats import folder_weights, gguf_weights
from .gguf import read_gguf
from .llama import Config, Decoder
from .tokenizer import Tokenizer, load_tokenizer

PRECISIONS = ("auto", "float32", "bfloat16", "float16", "int8")


@dataclass(eq=False)
class LanguageModel:
    """A decoder with its tokenizer; `precision` is what its matrices are held in."""

    model: Decoder
    tokenizer: Tokenizer
    path: Path
    precision: str

    @property
    def config(self) -> Config:
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is now: a host may move it between two runs."""
        return self.model.embed.weight.device

    @functools.cached_property
    def pieces(self) -> list[bytes]:
        """What each token adds in mid-text; b"" for tokens that are no text."""
        return [self.tokenizer.piece(token) for token in range(self.config.vocab_size)]

    @functools.cached_property
    def never(self) -> list[int]:
        """Tokens that are never written: all that are no text, but for the end."""
        return [token for token, piece in enumerate(self.pieces) if not piece and token != self.tokenizer.eos]

    @functools.cached_property
    def separators(self) -> frozenset[int]:
        """Tokens that part tags, sentences and lines."""
        return frozenset(token for mark in (b",", b".", b"\n") for token in self.tokens_with(mark))

    def size(self) -> int:
        """Returns the bytes of its weights."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        packed = (m.packed_size for m in self.model.modules() if isinstance(m, quant.Int8Linear))
        return sum(tensor.nbytes for tensor in tensors) + sum(packed)

    def working_memory(self, rows: int, length: int) -> int:
        """Returns the bytes, roughly, of writing `rows` texts of up to `length` tokens."""
        config, width = self.config, self.model.dtype.itemsize
        cache = 2 * (config.depth + 1) * config.kv_heads * config.head_dim * width * length
        logits = 8 * config.vocab_size
        return rows * (cache + logits) + 64 * 2**20

    def tokens_with(self, mark: bytes) -> tuple[int, ...]:
        """Returns the tokens whose text has `mark` in it."""
        if mark not in self._marked:
            self._marked[mark] = tuple(token for token, piece in enumerate(self.pieces) if mark in piece)
        return self._marked[mark]

    @functools.cached_property
    def _marked(self) -> dict[bytes, tuple[int, ...]]:
        return {}


def load_language_model(path: Path | str, *, device: str = "auto", precision: str = "auto") -> LanguageModel:
    """Returns the language model in a folder (config.json, *.safetensors, tokenizer) or a .gguf file.

    `precision` auto is bfloat16 (or float16) on a GPU; on a processor int8 where torch has the kernels, else
    float32. Raises FileNotFoundError, or ValueError when a file is damaged or of another architecture.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}")
    place = find_device(device)
    if precision == "int8" and place.type != "cpu":
        raise ValueError(
            f"precision int8 runs on the cpu only, got device {place}; choose auto, float16 or bfloat16"
        )
    _check_there(place)
    precision = choose_precision(place) if precision == "auto" else precision
    if precision == "int8" and not quant.available():
        raise ValueError("precision int8 needs a torch with FBGEMM kernels; choose auto or float32")
    if path.suffix.lower() == ".gguf":
        file = read_gguf(path)
        weights, tokenizer = gguf_weights(file), Tokenizer.from_gguf(file.metadata)
    else:
        weights, tokenizer = folder_weights(path), load_tokenizer(path)
    if tokenizer.vocab_size > weights.config.vocab_size:
        raise ValueError(
            f"the tokenizer of {path} has {tokenizer.vocab_size} tokens but its model only"
            f" {weights.config.vocab_size}; the files belong to different models, get them again"
        )
    return LanguageModel(build(weights, device=place, precision=precision), tokenizer, path, precision)


def find_device(name: str) -> torch.device:
    """Returns the device of that name, for auto a GPU where there is one; raises ValueError for others."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device must be auto or one that torch knows, got {name!r}: {error}") from error


def _check_there(device: torch.device) -> None:
    """Raises ValueError for a device that this computer, or this torch, has not."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ImportError) as error:
        found = torch.cuda.device_count()
        raise ValueError(
            f"the device must be there, got {device} and torch sees {found} CUDA devices; choose auto or cpu"
        ) from error


def choose_precision(device: torch.device) -> str:
    """Returns what "auto" means on a device."""
    if device.type == "cpu":
        return "int8" if quant.available() else "float32"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float16" if device.type == "cuda" else "float32"
