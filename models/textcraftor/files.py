"""Tuned text encoders in files: found under whatever prefix, named as Hugging Face does, and checked to fit.

A CLIP text encoder of n layers has 16 n + 4 weights: 196 of CLIP-L, 516 of CLIP-G, 68 of the little world's.
Their names here are `text_model.…`, and `text_projection.weight` where the file has it; `position_ids` are
dropped. Read are safetensors, and TextCraftor's own .pth where torch reads it safely: no file becomes code.
Source: spec 3.7; open_clip's `TextTransformer`, in whose names checkpoints hold CLIP-G and CLIP-H.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..hub import bundled_folder
from ..metrics.open_clip import renamed
from ..metrics.pretrained import read_pickle

SUFFIXES = (".safetensors", ".pth")
BUNDLED = "tiny-clip-"  # what the names of bundled tuned encoders begin with
SHOWN = 3  # names in an error
PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # others need scales beside them

# Layers and width of the encoders that image models use, and where those are found.
KINDS = {(4, 128): "tiny CLIP", (12, 768): "CLIP-L", (32, 1280): "CLIP-G"}
KINDS |= {(layers, 1024): "CLIP-H" for layers in (23, 24)}
FITS = {
    "tiny CLIP": "the bundled little world",
    "CLIP-L": "Stable Diffusion 1.x, and SDXL as its first encoder",
    "CLIP-G": "SDXL, as its second encoder",
    "CLIP-H": "Stable Diffusion 2.x",
}
# What a file without a CLIP text encoder is, by a part of a name in it; the first that is found.
OTHERS = (
    (("lora_", ".lora", "hada_w1"), "a LoRA; load it with a LoRA loader"),
    (
        ("emb_params", "string_to_param", "clip_l", "clip_g"),
        "a textual inversion; write its name in a prompt",
    ),
    (("SelfAttention.q",), "a T5 text encoder, which TextCraftor does not tune"),
    (("mmh_dit_config",), "an MMH-DiT"),
    (("model.layers.0.",), "a language model"),
    (("vision_model.", "visual."), "an image encoder"),
    (("diffusion_model.", "down_blocks.", "double_blocks.", "joint_blocks."), "an image model by itself"),
    (("decoder.conv_in", "decoder.up"), "an autoencoder"),
)

_WHOLE = "text_model.embeddings.token_embedding.weight"
_BARE = "embeddings.token_embedding.weight"
_OPEN = "token_embedding.weight"
_PROJECTION = "text_projection.weight"
_LAYER = re.compile(r"text_model\.encoder\.layers\.(\d{1,3})\.")
_PARTS = (
    *(f"self_attn.{name}_proj" for name in "qkv"),
    *("self_attn.out_proj", "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2"),
)


@dataclass(frozen=True)
class EncoderFile:
    """A whole text encoder out of a file: `tensors` as they lie there, by the names of Hugging Face."""

    name: str
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    @property
    def layers(self) -> int:
        return count_layers(self.tensors)

    @property
    def width(self) -> int:
        return self.tensors[_WHOLE].shape[1]

    @property
    def kind(self) -> str:
        return kind_of(self.layers, self.width)


def kind_of(layers: int, width: int) -> str:
    """Returns what people call a CLIP text encoder of that shape."""
    return KINDS.get((layers, width), f"CLIP of {layers} layers of {width}")


def count_layers(names: Iterable[str]) -> int:
    """Returns the number of layers of the encoder whose tensors have these names of Hugging Face."""
    return max((int(match[1]) + 1 for match in map(_LAYER.match, names) if match), default=0)


def weights_of(layers: int) -> tuple[str, ...]:
    """Returns the names of all weights that an encoder of so many layers must have."""
    inner = [f"encoder.layers.{i}.{part}" for i in range(layers) for part in _PARTS]
    named = [
        f"text_model.{name}.{kind}" for name in (*inner, "final_layer_norm") for kind in ("weight", "bias")
    ]
    return (_WHOLE, _WHOLE.replace("token", "position"), *named)


def towers(names: Iterable[str]) -> tuple[str, ...]:
    """Returns what stands before `text_model.…` in the names of tensors, once for each encoder there."""
    return tuple(name.removesuffix(_WHOLE) for name in names if name.endswith(_WHOLE))


# Reading


def read_encoders(path: Path | str) -> tuple[EncoderFile, ...]:
    """Returns the text encoders in a file; a checkpoint of SDXL has two.

    Raises:
        FileNotFoundError: the file is not there.
        ValueError: it is no such file, holds no CLIP text encoder, or one that is not whole.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; a tuned encoder is one {' or '.join(SUFFIXES)} file")
    names, get, metadata = _open(path)
    found = [_plain(prefix, get) for prefix in _layouts(names)]
    if not found:
        raise ValueError(f"{path.name} must hold a CLIP text encoder, and is {_other(names)}")
    for tensors in found:
        _check_whole(path.name, tensors)
    return tuple(EncoderFile(path.name, tensors, metadata) for tensors in found)


def read_encoder(path: Path | str) -> EncoderFile:
    """Returns the only text encoder in a file; raises as `read_encoders`, and ValueError for two of them."""
    found = read_encoders(path)
    if len(found) > 1:
        kinds = " and ".join(file.kind for file in found)
        raise ValueError(
            f"{Path(path).name} must hold one text encoder, and holds {kinds}; save one by itself"
        )
    return found[0]


Get = Callable[[str], Tensor]


def _open(path: Path) -> tuple[list[str], Get, dict[str, str]]:
    """The names in a file, what reads one of its tensors, and its metadata."""
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            file = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(f"{path.name} must be a whole safetensors file, got: {error}") from error
        return list(file.keys()), file.get_tensor, dict(file.metadata() or {})
    if path.suffix != ".pth":
        raise ValueError(
            f"{path.name} must be a {' or '.join(SUFFIXES)} file; save its tensors as safetensors"
        )
    found = read_pickle(path)
    tensors = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    return list(tensors), tensors.__getitem__, {}


def _layouts(names: Sequence[str]) -> list[tuple[str, Callable, list[str]]]:
    """For every text encoder among the names its prefix, what translates a name of it, and those names."""
    found = {}
    for name in names:
        if name.endswith(_WHOLE):
            found[name.removesuffix(_WHOLE)] = _as_it_is
        elif name.endswith(_BARE):
            found[name.removesuffix(_BARE)] = _with_text_model
        elif name.endswith(_OPEN) and f"{name.removesuffix(_OPEN)}ln_final.weight" in names:
            found[name.removesuffix(_OPEN)] = _from_open
    return [
        (prefix, rename, [name for name in names if name.startswith(prefix)])
        for prefix, rename in found.items()
    ]


def _plain(layout: tuple[str, Callable, list[str]], get: Get) -> dict[str, Tensor]:
    prefix, rename, names = layout
    tensors = {}
    for name in names:
        tensors |= rename(name.removeprefix(prefix), lambda name=name: get(name))
    return tensors


def _as_it_is(name: str, get: Callable[[], Tensor]) -> dict[str, Tensor]:
    ours = name.startswith("text_model.") or name == _PROJECTION
    return {name: get()} if ours and not name.endswith("position_ids") else {}


def _with_text_model(name: str, get: Callable[[], Tensor]) -> dict[str, Tensor]:
    inner = name.startswith(("embeddings.", "encoder.", "final_layer_norm."))
    return _as_it_is(f"text_model.{name}" if inner else name, get)


def _from_open(name: str, get: Callable[[], Tensor]) -> dict[str, Tensor]:
    return {} if name.startswith(("visual.", "logit_scale")) else renamed(name, get)


def _other(names: Sequence[str]) -> str:
    for parts, said in OTHERS:
        if any(part in name for part in parts for name in names):
            return said
    return f"something else, with tensors such as {', '.join(names[:SHOWN]) or 'none'}"


def _check_whole(file: str, tensors: Mapping[str, Tensor]) -> None:
    wanted = weights_of(count_layers(tensors))
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise ValueError(
            f"{file} must hold all {len(wanted)} weights of its text encoder, and has "
            f"{len(wanted) - len(missing)}; missing: {_some(missing)}; get it again"
        )
    if tensors[_WHOLE].ndim != 2:
        raise ValueError(f"{file}: {_WHOLE} must be a matrix, got {tensors[_WHOLE].ndim} axes; get it again")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


# Fitting


def check_fit(
    file: EncoderFile, shapes: Mapping[str, Sequence[int]], *, host: str = "this CLIP"
) -> dict[str, Tensor]:
    """Returns the tensors that go into an encoder whose tensors have these names and `shapes`.

    Every weight of the encoder must be in the file; only the projection may be missing and then stays.

    Raises:
        ValueError: the encoder is of another kind or shape, or quantised, or a weight is not a number.
    """
    shapes = {name: tuple(shape) for name, shape in shapes.items()}
    if _WHOLE not in shapes:
        raise ValueError(f"{host} must hold a CLIP text encoder for {file.name} to replace, and holds none")
    here = kind_of(count_layers(shapes), shapes[_WHOLE][-1])
    if here != file.kind:
        raise ValueError(f"{file.name} is a {file.kind} and {host} holds a {here}{_hint(file.kind)}")
    wanted = weights_of(count_layers(shapes))
    missing = [name for name in wanted if name not in file.tensors]
    if missing:
        raise ValueError(
            f"{file.name} must have all {len(wanted)} weights of {host}'s encoder, and has "
            f"{len(wanted) - len(missing)}; missing: {_some(missing)}"
        )
    more = [_PROJECTION] if _PROJECTION in shapes and _PROJECTION in file.tensors else []
    taken = {name: file.tensors[name] for name in (*wanted, *more)}
    for name, tensor in taken.items():
        if tuple(tensor.shape) != shapes.get(name):
            raise ValueError(
                f"{file.name} is a {file.kind}, but its {name} is {tuple(tensor.shape)} and {host}'s is "
                f"{shapes.get(name)}; use an encoder that was tuned from the same one"
            )
        if tensor.dtype not in PRECISIONS:
            raise ValueError(
                f"{file.name} must be in float16, bfloat16 or float32, and its {name} is in "
                f"{str(tensor.dtype).removeprefix('torch.')}; get the float16 file"
            )
        if not tensor.isfinite().all():
            raise ValueError(f"{file.name}: {name} holds numbers that are not finite; get it again")
    return taken


def _hint(kind: str) -> str:
    return f"; it fits {FITS[kind]}" if kind in FITS else ""


# Finding


def tuned_encoders(folders: Iterable[Path | str] = (), *, bundled: Path | None = None) -> dict[str, Path]:
    """Returns the files of tuned encoders by the names to choose them by, bundled ones first.

    In `folders` these are all files that may hold one, down to one folder below; the first of a name counts.
    A name that comes from a workflow only picks from here.
    """
    home = bundled or bundled_folder()
    found = {path.parent.name: path for path in sorted(home.glob(f"{BUNDLED}*/model.safetensors"))}
    for folder in map(Path, folders):
        for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
            name = path.relative_to(folder).as_posix()
            if path.suffix in SUFFIXES and path.is_file() and not name.startswith("."):
                found.setdefault(name, path)
    return found
