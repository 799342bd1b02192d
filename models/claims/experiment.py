"""Experiments as data: arms that are compared, seeds that pair them, how one is measured and all are judged.

Convention: a cell is one arm at one seed. All that is random in it follows from the seed and not from the arm
unless the arm is about it, so that arms of a seed see the same data and the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..files import written
from ..hub import bundled_folder
from ..seeds import generator_for
from .judgement import LEAST_SEEDS, Judgement


@dataclass(frozen=True)
class Job:
    """What is asked of `measure`: an arm at a seed. `folder` belongs to the seed's arms together."""

    settings: Any
    arm: str
    seed: int
    device: torch.device
    folder: Path
    on_step: Callable[[], Any] = field(default=lambda: None, compare=False)

    def generator(self, *numbers: int) -> torch.Generator:
        """Returns a generator on the CPU that follows from the seed and the numbers, in every arm alike."""
        return generator_for(self.seed, *numbers)

    def tensors(self, name: str, make: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Returns what the arms of a seed share, such as a base model's weights, on the CPU; made once."""
        from safetensors.torch import load_file, save_file

        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            made = {key: value.detach().cpu().contiguous() for key, value in make().items()}
            with written(path) as half:
                save_file(made, half)
        return load_file(path)


class Results:
    """The numbers of all arms at the seeds where every arm was measured."""

    def __init__(self, cells: Mapping[tuple[str, int], Mapping[str, Any]], arms: Sequence[str]):
        self._cells = cells
        self.arms = tuple(arms)
        found = {seed for _, seed in cells}
        self.seeds = tuple(sorted(s for s in found if all((arm, s) in cells for arm in arms)))

    def raw(self, arm: str, key: str) -> list[Any]:
        """Returns what the arm has under `key`, seed by seed."""
        return [self._cells[arm, seed][key] for seed in self.seeds]

    def values(self, arm: str, key: str) -> list[float]:
        """Returns the arm's numbers under `key`, seed by seed."""
        return [float(value) for value in self.raw(arm, key)]


@dataclass(frozen=True)
class Experiment:
    """A claim and how it is tried.

    `name` is that of its record and picture, `group` what several are run by. `settings` is a frozen
    dataclass of plain values, sizes and thresholds alike: other settings, another experiment. `measure`
    returns a cell's numbers as JSON has them, `judge` what they come to. `minutes` is what a cell takes on
    one thread. `together` runs the arms of a seed one after the other, when they share `Job.tensors`.
    `bundled` names files of bundled models that it reads: other files, another experiment.
    """

    name: str
    group: str
    title: str
    claim: str
    how: str
    settings: Any
    arms: tuple[str, ...]
    measure: Callable[[Job], Mapping[str, Any]]
    judge: Callable[[Any, Results], Judgement]
    minutes: float
    seeds: tuple[int, ...] = tuple(range(LEAST_SEEDS))
    together: bool = False
    bundled: tuple[str, ...] = ()

    def cells(self, seeds: Sequence[int] | None = None) -> list[tuple[str, int]]:
        """Returns every (arm, seed), seed by seed."""
        return [(arm, seed) for seed in (self.seeds if seeds is None else seeds) for arm in self.arms]

    def files(self) -> list[Path]:
        """Returns where the bundled files lie that it reads."""
        return [bundled_folder() / name for name in self.bundled]

    def missing(self) -> str | None:
        """Returns the reason why it cannot run here, or None."""
        lacking = dict.fromkeys(path.parent.name for path in self.files() if not path.is_file())
        return f"the bundled {', '.join(lacking)} must be made first (docs/training.md)" if lacking else None
