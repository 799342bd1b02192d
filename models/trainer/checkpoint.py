"""Checkpoints to resume from: a folder for each, with one safetensors file of every process that has a part.

Convention: a folder gets its name when it is complete, and the older one goes after that, so an interruption
at any moment leaves the older checkpoint or the new one. Only folders of exactly such names are removed, no
other file, folder or link beside them. The floats of a state survive JSON to the last bit.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from ..files import flush
from .ema import Average

NAME = re.compile(r"checkpoint-(\d{8,})")
BEGUN = ".part"


def find(folder: Path) -> Path | None:
    """Returns the newest complete checkpoint of a folder."""
    found = [path for path in folder.glob("checkpoint-*") if NAME.fullmatch(path.name) and path.is_dir()]
    return max(found, key=lambda path: int(NAME.fullmatch(path.name)[1]), default=None)


def part_of(folder: Path, step: int) -> Path:
    """Returns the folder of a checkpoint that is being written."""
    return folder / f"checkpoint-{step:08d}{BEGUN}"


def begin(folder: Path, step: int) -> Path:
    """Returns an empty folder to write a checkpoint into."""
    part = part_of(folder, step)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    return part


def finish(part: Path, *, alone: bool = True) -> list[Path]:
    """Gives a complete checkpoint its name, and removes the older ones unless it is not to be `alone`.

    Returns the older ones that stay.
    """
    done = part.with_suffix("")
    if done.exists():
        shutil.rmtree(done)
    for path in (*part.iterdir(), part):
        flush(path)
    part.rename(done)
    flush(part.parent)  # only then may the older ones go
    older = [path for path in _own(part.parent) if path != done]
    if not alone:
        return older
    for path in older:
        shutil.rmtree(path)
    return []


def clear(folder: Path) -> None:
    """Removes the checkpoints of a training that has ended, and the folder if nothing else is in it."""
    for path in _own(folder):
        shutil.rmtree(path)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _own(folder: Path) -> list[Path]:
    """The folders that trainings have made here, whole or begun."""
    return [
        path
        for path in folder.glob("checkpoint-*")
        if NAME.fullmatch(path.name.removesuffix(BEGUN)) and path.is_dir() and not path.is_symlink()
    ]


def write(path: Path, tensors: Mapping[str, torch.Tensor], state: Mapping) -> None:
    """Writes one process's file."""
    from safetensors.torch import save_file

    plain = {name: _local(t).detach().contiguous() for name, t in tensors.items()}
    save_file(plain, path, metadata={"format": "pt", "state": json.dumps(state)})


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Returns what `write` got.

    Raises:
        FileNotFoundError: the checkpoint is of another number of processes that share the weights.
        ValueError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: a sharded training goes on with as many processes as it began"
        )
    try:
        with safe_open(path, "pt") as file:
            # Copied: what an optimizer keeps must not hold the file, which goes when a newer one is written.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads(file.metadata()["state"])
    except SafetensorError as error:
        raise ValueError(
            f"{path} must be a whole checkpoint: {error}; remove its folder to go on from an older one, "
            "or begin anew with --no-resume"
        ) from error


def gather(
    model: torch.nn.Module, optimizers: Iterable[torch.optim.Optimizer], average: Average | None
) -> dict[str, torch.Tensor]:
    """Returns every tensor of a training; names begin with `model.`, `optimizer.` or `average.`."""
    tensors = {f"model.{name}": t for name, t in _weights(model).items()}
    for which, optimizer in enumerate(optimizers):
        for i, state in optimizer.state_dict()["state"].items():
            prefix = f"optimizer.{which}.{i}"
            tensors |= {f"{prefix}.{name}": torch.as_tensor(t) for name, t in state.items()}
    if average is not None:
        tensors |= {f"average.{name}": t for name, t in average.values.items()}
    return tensors


def scatter(
    tensors: Mapping[str, torch.Tensor],
    model: torch.nn.Module,
    optimizers: Iterable[torch.optim.Optimizer],
    average: Average | None,
) -> None:
    """Puts the tensors of `gather` back.

    Raises:
        ValueError: the checkpoint is of another model.
    """
    _fill(_weights(model), tensors, "model.")
    if average is not None:
        _fill(average.values, tensors, "average.")
    for which, optimizer in enumerate(optimizers):
        found = optimizer.state_dict()
        owners = _owners(optimizer)
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"optimizer.{which}."):
                _, _, index, key = name.split(".")
                state.setdefault(int(index), {})[key] = _like(value, owners[int(index)])
        optimizer.load_state_dict({**found, "state": state})


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@torch.no_grad()
def _fill(own: Mapping[str, torch.Tensor], tensors: Mapping[str, torch.Tensor], prefix: str) -> None:
    found = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
    wrong = sorted(found.keys() ^ own.keys())
    wrong += [name for name in found.keys() & own.keys() if found[name].shape != _local(own[name]).shape]
    if wrong:
        raise ValueError(
            f"the checkpoint is of another model ({prefix}{wrong[0]} and {len(wrong) - 1} more differ): "
            "train with its options, in another folder, or with --no-resume"
        )
    for name, tensor in own.items():
        _local(tensor).copy_(found[name])


def _owners(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a sharded tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _like(value: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """A part of an optimizer's state, sharded as its parameter is."""
    if not hasattr(owner, "to_local") or value.shape != owner.to_local().shape:
        return value
    return type(owner.data).from_local(
        value.to(owner.to_local().device),
        owner.device_mesh,
        owner.placements,
        shape=owner.shape,
        stride=owner.stride(),
    )
