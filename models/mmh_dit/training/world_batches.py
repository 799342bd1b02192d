"""Batches of the little world: pictures of one size, each with one of its prompts, of like length.

b batch  n pictures of a size  m text tokens  d width of the text encoder
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from ...playground.balance import BalancedBatches, BalanceOptions
from ...seeds import generator_for
from ...trainer.fit import Place
from .batches import Batch
from .world import Bank, Size

WINDOW = 8  # batches whose prompts are sorted by length together
States = Callable[[Tensor, Tensor], Tensor]  # ids and mask (b, m) -> states (b, m, d)


@dataclass(frozen=True)
class WorldBatches:
    """Batch `number` of a run: pictures of one size with prompts of like length, so that little is padding.

    At balance 1 an epoch shows every picture once, with one of its prompts. Below, sizes are drawn as their
    number of pictures to that power: rare shapes more often, see `playground.balance`. `batch` is the size of
    one process's batch; `encode` makes states of tokens.
    """

    bank: Bank
    batch: int
    encode: States
    pad: int
    seed: int = 0
    place: Place = Place()  # noqa: RUF009
    balance: float = 1.0
    _kept: dict = field(default_factory=dict, repr=False, compare=False)

    def __getitem__(self, number: int) -> Batch:
        if self.balance < 1:
            size, rows, turns = self._balanced(number)
        else:
            epoch, number = divmod(number, len(self))
            size, rows, turns = self._epoch(epoch)[number]
        mine = slice(self.place.rank, None, self.place.count)
        texts = [self.bank.prompts[size][i][k] for i, k in zip(rows[mine], turns[mine], strict=True)]
        ids = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True, padding_value=self.pad).long()
        lengths = torch.tensor([[len(text)] for text in texts])
        mask = torch.arange(ids.shape[1]) < lengths  # (b, m)
        return Batch(
            latents=self.bank.latents[size][rows[mine]],
            text=self.encode(ids, mask),
            mask=mask,
            shown=self.bank.shown[size][rows[mine]].long(),
            asked=self.bank.asked[size][rows[mine], turns[mine]],
        )

    def __len__(self) -> int:
        """Batches of an epoch; what is left over of a size sits this epoch out."""
        count = sum(len(latents) // self._whole for latents in self.bank.latents.values())
        if not count:
            raise ValueError(
                f"a batch of {self._whole} needs as many pictures of a size: paint more, or lower it"
            )
        return count

    @property
    def _whole(self) -> int:
        return self.batch * self.place.count

    def _epoch(self, epoch: int) -> list[tuple[Size, list[int], list[int]]]:
        """The batches of an epoch as size, pictures, and which of its prompts each has."""
        if self._kept.get("epoch") != epoch:
            generator = generator_for(self.seed, epoch, 8)
            found = [each for size in self.bank.latents for each in self._of_size(size, generator)]
            order = torch.randperm(len(found), generator=generator).tolist()
            self._kept.update(epoch=epoch, batches=[found[i] for i in order])
        return self._kept["batches"]

    def _of_size(self, size: Size, generator: torch.Generator) -> Iterator[tuple[Size, list[int], list[int]]]:
        prompts, whole = self.bank.prompts[size], self._whole
        order = torch.randperm(len(prompts), generator=generator).tolist()
        picked = torch.randint(len(prompts[0]), (len(prompts),), generator=generator).tolist()
        order = order[: len(order) // whole * whole]
        for begin in range(0, len(order), whole * WINDOW):
            window = order[begin : begin + whole * WINDOW]
            window.sort(key=lambda i: len(prompts[i][picked[i]]))
            for at in range(0, len(window), whole):
                rows = window[at : at + whole]
                yield size, rows, [picked[i] for i in rows]

    def _balanced(self, number: int) -> tuple[Size, list[int], list[int]]:
        """The same of a balanced batch: one of `WINDOW` of its size whose prompts were sorted together."""
        plan = self._plan
        bucket, turn = plan.locate(number)
        size = list(self.bank.latents)[bucket]
        group, at = divmod(turn, WINDOW)
        generator, count = generator_for(self.seed, 9, bucket, group), WINDOW * self._whole
        at = int(torch.randperm(WINDOW, generator=generator)[at])
        rows, prompts = plan.rows(bucket, group * count, (group + 1) * count), self.bank.prompts[size]
        picked = torch.randint(len(prompts[0]), (count,), generator=generator).tolist()
        pairs = sorted(zip(rows, picked, strict=True), key=lambda pair: len(prompts[pair[0]][pair[1]]))
        mine = pairs[at * self._whole : (at + 1) * self._whole]
        return size, [row for row, _ in mine], [turn for _, turn in mine]

    @cached_property
    def _plan(self) -> BalancedBatches:
        counts = tuple(len(latents) for latents in self.bank.latents.values())
        return BalancedBatches(counts, self._whole, BalanceOptions(self.balance), seed=self.seed)
