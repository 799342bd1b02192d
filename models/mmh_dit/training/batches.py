"""What the trainer of MMH-DiT reads: a stream of batches of latents and of text states.

Convention: all pictures of a batch have one size; sizes change from batch to batch, alike for every process.
A batch follows from its number, so a training goes on anywhere. A run may have several stages, one folder of
latents each, and the number of the step says which one is on.

b batch  m text tokens  d width of the text encoder  a attributes  h w latent
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

import torch
from torch import Tensor

from ...trainer.fit import Place
from ..config import MMHDiTConfig

if TYPE_CHECKING:
    from ..data.cache import LatentCache


class Captioned(TypedDict):
    """`mask` is True where a text token is one; text and mask are None for pictures without captions."""

    latents: Tensor  # (b, 16, h, w)
    text: Tensor | None  # (b, m, d)
    mask: Tensor | None  # (b, m)


class Batch(Captioned, total=False):
    """The little world's also say which values its pictures show, and of what the prompts demand one."""

    shown: Tensor  # (b, a) numbers of values
    asked: Tensor  # (b, a) bool


class Batches(Protocol):
    """Batches by their number, from 0 on without an end."""

    def __getitem__(self, number: int, /) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Stage:
    """From step `begin` on, the latents and texts of these folders; `batch` 0 is the batch of the options."""

    begin: int
    latents: str
    texts: str = ""
    batch: int = 0


def parse_stages(texts: Sequence[str]) -> tuple[Stage, ...]:
    """Returns the stages of `begin=0 latents=DIR texts=DIR batch=64`, one text each.

    Raises:
        ValueError: a text has another form, or the steps at which stages begin do not rise from 0.
    """
    stages = tuple(_stage(text) for text in texts)
    begins = [stage.begin for stage in stages]
    if begins and (begins[0] != 0 or begins != sorted(set(begins))):
        raise ValueError(f"stages must begin at 0 and then at later steps, got {begins}")
    return stages


def _stage(text: str) -> Stage:
    try:
        given = dict(word.split("=", 1) for word in _words(text))
        numbers = {name: int(given.pop(name)) for name in ("begin", "batch") if name in given}
        return Stage(**{"begin": 0, **given, **numbers})
    except (ValueError, TypeError):
        names = ", ".join(f.name for f in fields(Stage))
        raise ValueError(
            f"a stage must read like 'begin=0 latents=DIR texts=DIR batch=64' ({names}), got {text!r}"
        ) from None


def _words(text: str) -> shlex.shlex:
    """The words of a text; quotes hold spaces together, and a backslash is one, as in folders of Windows."""
    words = shlex.shlex(text, posix=True)
    words.whitespace_split, words.escape, words.commenters = True, "", ""
    return words


def cached(stage: Stage, place: Place, *, batch: int, seed: int, balance: float = 1.0) -> Batches:
    """Returns the batches of a stage's folders, which `presample data` has made."""
    from ..data.cache import LatentBatches

    how = {"seed": seed, "rank": place.rank, "count": place.count, "balance": balance}
    return LatentBatches(_cache(stage), stage.batch or batch, **how)


def _cache(stage: Stage) -> LatentCache:
    from ..data.cache import LatentCache

    return LatentCache.open(Path(stage.latents), Path(stage.texts) if stage.texts else None)


def check_texts(stages: Sequence[Stage], config: MMHDiTConfig) -> None:
    """Raises ValueError where a model of this shape does not read the texts of a stage."""
    for stage in (stage for stage in stages if stage.texts):
        length, width = _cache(stage).text_shape
        if (length, width) != (min(length, config.text_len), config.text_dim):
            raise ValueError(
                f"{stage.texts} has texts of up to {length} tokens of width {width}, and the model reads "
                f"{config.text_len} of width {config.text_dim}: give --text-len {length} --text-dim {width} "
                "or --config full, or make the texts again with what the model reads"
            )


@dataclass(frozen=True)
class Staged(torch.utils.data.Dataset):
    """The batches of several stages, one after the other; `begins` counts batches, not steps."""

    begins: tuple[int, ...]
    parts: tuple[Batches, ...]

    def __getitem__(self, number: int) -> Batch:
        which = max(i for i, begin in enumerate(self.begins) if begin <= number)
        found = self.parts[which][number - self.begins[which]]
        return {name: found[name] for name in Batch.__annotations__ if name in found}

    def __len__(self) -> int:
        return 2**40


def stream(batches: Staged, *, skip: int, workers: int = 0) -> Iterator[Batch]:
    """Yields batches for ever, from number `skip` on; `workers` processes change only the speed."""
    yield from torch.utils.data.DataLoader(
        batches,
        batch_size=None,
        sampler=itertools.count(skip),
        num_workers=workers,
        persistent_workers=workers > 0,
        generator=torch.Generator(),
    )
