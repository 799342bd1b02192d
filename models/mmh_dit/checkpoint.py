"""Weights in a file: safetensors, with the model's config as JSON in the metadata.

Shapes tell width, depth and the widths of MLP, text and conditioning, but not head counts: those must come
from the config. Files of others are not trusted: every name, shape and number is checked.
The published oboro weights could not be seen, so no file of theirs has been loaded; a key map (`key_map.py`)
is for the day when their names are known.
Source: spec 2.12.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import written
from .config import MMHDiTConfig
from .key_map import KeyMap, Renamed
from .layers import PLAIN, sdpa
from .model import Attention, MMHDiT

CONFIG_KEY = "mmh_dit_config"
"""Where a file holds the config: in its metadata and, for hosts that hand on tensors only, in a tensor of
the same text as bytes."""

STATE_HEADS = "`presample convert FILE OUT --heads 8x8,16x8,...`"
"""The command that writes a file with its head counts, for errors."""

PREFIXES = ("model.diffusion_model.", "diffusion_model.")  # a host's, when it saves a model
COMPUTED = (torch.float32, torch.bfloat16, torch.float16)
SHOWN = 4  # names in an error

log = logging.getLogger("presample")


def save(model: MMHDiT, path: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a model's weights and config to `path`, in one move: the file is whole or not there."""
    save_state(model.state_dict(), model.config, path, metadata)


def save_state(
    state: Mapping[str, Tensor],
    config: MMHDiTConfig,
    path: Path | str,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes weights that are not in a model now, such as averaged ones, as `save` does.

    Raises:
        ValueError: a weight is no number; nothing is written.
    """
    from safetensors.torch import save_file

    if bad := not_finite(state):
        kind = str(state[bad[0]].dtype).removeprefix("torch.")
        raise ValueError(f"weights must be finite numbers in {kind}, and {bad[0]} is not; take a wider type")

    facts = {"format": "pt", **(metadata or {}), CONFIG_KEY: json.dumps(config.to_dict())}
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    with written(Path(path)) as half:
        save_file({**tensors, CONFIG_KEY: config_tensor(config)}, half, metadata=facts)


def config_tensor(config: MMHDiTConfig) -> Tensor:
    """Returns the config as the bytes of its JSON, for a file whose metadata is another's to write."""
    return torch.tensor(list(json.dumps(config.to_dict()).encode()), dtype=torch.uint8)


# What is in a file


@dataclass(frozen=True)
class Report:
    """How a file's tensors fit the model: names of ours that are `missing`, of theirs that nobody asked for
    (`unmatched`), `mismatched` shapes and other `problems` as sentences."""

    matched: int
    missing: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """True when every weight of the model is there, in its shape."""
        return not (self.missing or self.mismatched or self.problems)

    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Returns what does not fit, by what is the matter with it, where there is any."""
        kinds = {"missing": self.missing, "wrong shape": self.mismatched, "wrong": self.problems}
        kinds["not used"] = self.unmatched
        return {kind: names for kind, names in kinds.items() if names}

    def __str__(self) -> str:
        said = [f"{kind} ({len(names)}): {_some(names)}" for kind, names in self.kinds().items()]
        return "; ".join([f"{self.matched} tensors fit", *said])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" ..." if len(names) > SHOWN else "")


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file under our names, its config, its metadata, and how well it all fits."""

    tensors: dict[str, Tensor]
    config: MMHDiTConfig
    metadata: dict[str, str]
    report: Report


def read(
    path: Path | str, *, key_map: KeyMap | None = None, heads: Sequence[int] | None = None
) -> Checkpoint:
    """Returns what is in a file, as it lies there; nothing is computed with it yet.

    `heads` states the head counts where the file does not. Raises FileNotFoundError, or ValueError for what
    is no safetensors file or has no config that fits it.
    """
    path = Path(path)
    tensors, metadata = _tensors(path)
    try:
        tensors, metadata = take_config(tensors if key_map else without_prefix(tensors), metadata)
        renamed = key_map.apply(tensors) if key_map else Renamed(tensors)
        given = {**(key_map.config if key_map else {}), **({"heads": tuple(heads)} if heads else {})}
        config = infer_config(renamed.tensors, metadata, given)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error
    return Checkpoint(renamed.tensors, config, metadata, compare(renamed, config))


def _tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; a model is one .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} must be a whole safetensors file, got: {error}; get it again") from error


def without_prefix(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns the tensors of the model alone, by its own names, out of what a host saved."""
    for prefix in PREFIXES:
        inner = {
            name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
        if inner:
            return inner
    return dict(tensors)


def take_config(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors without the one that holds the config, and metadata that has it if the file has.

    Raises ValueError for a tensor that is no text; where both hold a config, the metadata counts.
    """
    rest, facts = dict(tensors), dict(metadata or {})
    held = rest.pop(CONFIG_KEY, None)
    if held is None or CONFIG_KEY in facts:
        return rest, facts
    if held.dtype != torch.uint8 or held.ndim != 1:
        raise ValueError(
            f"{CONFIG_KEY} must be the bytes of a JSON object, got {held.dtype} {tuple(held.shape)}; "
            "get the file again"
        )
    facts[CONFIG_KEY] = bytes(held.tolist()).decode(errors="replace")
    return rest, facts


def infer_config(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> MMHDiTConfig:
    """Returns the config of a model: what the metadata and `given` state, checked against its weights.

    Without a stated config the sizes come from shapes and the rest are defaults, but for the head counts,
    which no shape tells: they must be `given` as {"heads": [...]}. Raises ValueError.
    """
    sizes = _sizes(tensors)
    stated = {**_stated(metadata or {}), **(given or {})}
    depth = sizes.pop("depth")
    if "heads" not in stated:
        raise ValueError(
            f"the head counts of {depth} blocks of width {sizes['hidden']} must be known, and no shape tells "
            f"them, nor does the file; write it again with the model's own counts, by {STATE_HEADS}"
        )
    patch = stated.get("patch", 2)
    per_token = sizes.pop("patch_dim")
    if isinstance(patch, int) and patch > 0:
        sizes["in_ch"] = per_token // patch**2
    config = MMHDiTConfig.from_dict({**sizes, **stated})
    wrong = [
        f"{name} {getattr(config, name)}, but the weights have {size}"
        for name, size in {**sizes, "depth": depth, "patch_dim": per_token}.items()
        if getattr(config, name) != size
    ]
    if wrong:
        raise ValueError(
            f"the config must fit the weights; it states {'; '.join(wrong)}: {_advice(config, sizes)}"
        )
    return config


def _advice(config: MMHDiTConfig, sizes: Mapping[str, int]) -> str:
    if config.in_ch != sizes.get("in_ch", config.in_ch):
        return "the file is for latents of another autoencoder; get the model's own file"
    if config.text_dim != sizes["text_dim"]:
        return "the file is for another text encoder; get the model's own file"
    return "config and weights are of different models; get the file again"


def _sizes(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Returns the sizes that shapes tell; raises ValueError when the tensors that tell them are not there."""
    shapes = {}
    for name in ("image_in.weight", "text_in.w1.weight", "time_in.w1.weight", "blocks.0.mlp.w1.weight"):
        shape = tuple(tensors[name].shape) if name in tensors else None
        if shape is None or len(shape) != 2:
            found = "is missing" if shape is None else f"has shape {shape}"
            raise ValueError(
                f"an MMH-DiT has a matrix {name}, which {found} among {len(tensors)} tensors "
                f"({_some(sorted(tensors))}); is it another model, or one that needs a key map?"
            )
        shapes[name] = shape
    numbers = {int(m[1]) for name in tensors if (m := re.match(r"blocks\.(\d{1,4})\.", name))}
    if numbers != set(range(len(numbers))):
        missing = min(set(range(len(numbers))) - numbers)
        raise ValueError(f"the blocks must be numbered from 0, {missing} is missing; get the file again")
    return {
        "hidden": shapes["image_in.weight"][0],
        "patch_dim": shapes["image_in.weight"][1],
        "text_dim": shapes["text_in.w1.weight"][1],
        "cond_dim": shapes["time_in.w1.weight"][0],
        "mlp_hidden": shapes["blocks.0.mlp.w1.weight"][0],
        "depth": len(numbers),
    }


def _stated(metadata: Mapping[str, str]) -> dict[str, Any]:
    if CONFIG_KEY not in metadata:
        return {}
    try:
        facts = json.loads(metadata[CONFIG_KEY])
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{CONFIG_KEY} of the file must be JSON, but {error}; get the file again") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{CONFIG_KEY} of the file must be a JSON object, got a {type(facts).__name__}")
    return facts


def compare(renamed: Renamed, config: MMHDiTConfig) -> Report:
    """Returns how tensors fit a model of this config."""
    wanted = {name: weight.shape for name, weight in MMHDiT(config, device="meta").state_dict().items()}
    tensors = renamed.tensors
    mismatched = [
        f"{name} is {tuple(tensors[name].shape)} and must be {tuple(shape)}"
        for name, shape in wanted.items()
        if name in tensors and tensors[name].shape != shape
    ]
    numbers = [f"{name} holds {tensors[name].dtype}" for name in wanted if not _numbers(tensors.get(name))]
    return Report(
        matched=sum(
            tensors[name].shape == shape and tensors[name].is_floating_point()
            for name, shape in wanted.items()
            if name in tensors
        ),
        missing=tuple(name for name in wanted if name not in tensors),
        unmatched=(*renamed.unmatched, *(name for name in tensors if name not in wanted)),
        mismatched=tuple(mismatched),
        problems=(*renamed.problems, *numbers),
    )


def _numbers(tensor: Tensor | None) -> bool:
    return tensor is None or tensor.is_floating_point()


# Loading


def load(
    path: Path | str,
    *,
    operations: Any = PLAIN,
    attention: Attention = sdpa,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    key_map: KeyMap | None = None,
    heads: Sequence[int] | None = None,
    in_ch: int | None = None,
    text_dim: int | None = None,
) -> MMHDiT:
    """Returns the model in a file, ready to sample; `dtype` None keeps the type of the file's matrices.

    `heads` states the head counts where the file does not; `in_ch` and `text_dim` are what the autoencoder
    and the text encoder beside the model have. Raises FileNotFoundError, or ValueError that names what does
    not fit, weights that are missing or not finite, and what to do.
    """
    found = read(path, key_map=key_map, heads=heads)
    _check_fit(path, found)
    _check_neighbours(path, found.config, in_ch, text_dim)
    kind = dtype or found.tensors["image_in.weight"].dtype
    if kind not in COMPUTED:
        raise ValueError(f"{path} holds {kind}, in which nothing is computed here; ask for dtype bfloat16")
    model = MMHDiT(found.config, operations=operations, attention=attention, dtype=kind, device="meta")
    weights = {
        name: _usable(path, name, found.tensors.pop(name), kind, device) for name in model.state_dict()
    }
    model.load_state_dict(weights, assign=True)
    return model.eval().requires_grad_(False)


def _check_fit(path: Path | str, found: Checkpoint) -> None:
    report = found.report
    if not report.fits:
        raise ValueError(
            f"{path} must have every weight of an MMH-DiT of {found.config.depth} blocks, got: {report}; "
            "get the file again, or give a key map if its tensors have other names"
        )
    if report.unmatched:
        log.warning("%s: %d tensors are not used: %s", path, len(report.unmatched), _some(report.unmatched))


def _check_neighbours(
    path: Path | str, config: MMHDiTConfig, in_ch: int | None, text_dim: int | None
) -> None:
    if in_ch is not None and config.in_ch != in_ch:
        raise ValueError(
            f"the model must have the {in_ch} latent channels of its autoencoder, {path} has {config.in_ch}; "
            "choose the autoencoder it was trained with"
        )
    if text_dim is not None and config.text_dim != text_dim:
        raise ValueError(
            f"the model must read the {text_dim} numbers a token of its text encoder, {path} reads "
            f"{config.text_dim}; choose the text encoder it was trained with (T5 v1.1 XXL has 4096)"
        )


def _usable(path: Path | str, name: str, tensor: Tensor, dtype: torch.dtype, device) -> Tensor:
    tensor = tensor.to(device=device, dtype=dtype)
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(
            f"the weights must be finite, {name} of {path} is not (as {str(dtype).removeprefix('torch.')}); "
            "the file is damaged or its training broke down: get it again, or an earlier one"
        )
    return tensor


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of tensors whose sum is no number, which costs no more than reading them."""
    return [
        name
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not bool(tensor.sum(dtype=torch.float32).isfinite())
    ]
