"""Which parts of an encoder learn, what its file is called inside, and where prompts come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from ...files import lines_of, read_text
from ...seeds import generator_for
from ...tinyworld.pictures import HELD_OUT, draws, prompt
from ...trainer.fit import Place
from .options import CraftOptions
from .tuning import Batch

PREFIX = "text_model."
BLOCK = re.compile(r"(?:^|\.)encoder\.layers\.(\d+)\.")
PROMPTS = 4096  # of the little world, told apart by their numbers
BUFFERS = ("position_ids",)


def thaw(encoder: nn.Module, layers: str) -> list[str]:
    """Lets the parameters of these blocks learn, all where none are named, and returns their names.

    Raises:
        ValueError: the text names no blocks, or blocks that the encoder has not.
    """
    names = [name for name, _ in encoder.named_parameters()]
    blocks = {int(found[1]) for name in names if (found := BLOCK.search(name))}
    wanted = _numbers(layers, len(blocks)) if layers else None
    chosen = [
        name
        for name in names
        if wanted is None or ((found := BLOCK.search(name)) and int(found[1]) in wanted)
    ]
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(name in set(chosen))
    return chosen


def _numbers(text: str, count: int) -> set[int]:
    """The numbers of `0, 2-3`."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:\s*-\s*(\d+))?\s*", part)
        if not match:
            raise ValueError(f"layers must read like 8-11 or 2,3; got {text!r}")
        found |= set(range(int(match[1]), int(match[2] or match[1]) + 1))
    if not found or max(found) >= count:
        raise ValueError(f"layers must name blocks from 0 to {count - 1}, got {text!r}")
    return found


def encoder_tensors(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns an encoder's weights as its file names them, `text_model.*`, whatever transformers' version."""
    return {
        PREFIX + name.removeprefix(PREFIX): tensor
        for name, tensor in weights.items()
        if not name.endswith(BUFFERS)
    }


def load_encoder(encoder: nn.Module, path: Path) -> None:
    """Fills an encoder with the weights of a file.

    Raises:
        ValueError: the file is of another encoder.
    """
    from ..files import check_fit, read_encoder

    own = {**dict(encoder.named_parameters())}
    shapes = {name: t.shape for name, t in encoder_tensors(own).items()}
    found = check_fit(read_encoder(path), shapes, host="the base's encoder")
    prefix = "" if next(iter(own)).startswith(PREFIX) else PREFIX
    state = {name.removeprefix(prefix): t.float() for name, t in found.items()}
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])


def read_prompts(path: str, seed: int) -> list[str]:
    """Returns the prompts of a text file, one on a line, or those of the little world.

    Raises:
        OSError: there is no such file.
        ValueError: it has no prompt.
    """
    if not path:
        return [prompt(draw).text for draw in draws(seed, PROMPTS)]
    found = [line.strip() for line in lines_of(read_text(Path(path))) if line.strip()]
    if not found:
        raise ValueError(f"{path} must have a prompt on each line, and has none")
    return found


def training_prompts(options: CraftOptions) -> list[str]:
    """Returns the prompts to tune with: all, but those of a text file's end that the card is measured on."""
    found = read_prompts(options.prompts, options.seed)
    return found if not options.prompts or too_few(options) else found[: len(found) - options.measured]


def held_out_prompts(options: CraftOptions) -> list[str]:
    """Returns the prompts that the card is measured on: the last of a text file, or others of the little
    world."""
    return read_prompts(options.prompts, options.seed + HELD_OUT)[-options.measured :]


def too_few(options: CraftOptions) -> bool:
    """Returns whether a text file has too few prompts to leave some of them out of the training."""
    return bool(options.prompts) and len(read_prompts(options.prompts, 0)) < 2 * options.measured


def stream(prompts: Sequence[str], batch: int, seed: int, *, place: Place, skip: int) -> Iterator[Batch]:
    """Yields this process's batches from number `skip` on, for ever: every prompt once an epoch."""
    whole = batch * place.count
    number = skip * whole + place.rank * batch
    while True:
        chosen = [_chosen(len(prompts), seed, number + k) for k in range(batch)]
        yield Batch(numbers=torch.tensor(chosen), prompts=[prompts[i] for i in chosen])
        number += whole


def _chosen(count: int, seed: int, number: int) -> int:
    epoch, within = divmod(number, count)
    return int(_order(count, seed, epoch)[within])


@lru_cache(maxsize=2)  # the published prompts are ten million: their order is drawn once an epoch
def _order(count: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(count, generator=generator_for(seed, epoch, 51))
