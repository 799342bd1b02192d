"""Tags of many variations as a tree: what `tree.search` asks for, written with drafts, guides and `decode`.

A group is four tags; the texts of a round are written in one batch, each going on where its branch ends, so
what a branch shares with others is neither drawn nor computed again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ..lm.decode import Row
from .draft import Draft
from .guide import TagGuide
from .tree import Growth

GROUP = 4  # tags


class GroupGuide(TagGuide):
    """Writes tags as its parent does, but no more than a group; `finished` says that nothing follows it."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kept: list[tuple[int, float]] = []
        self.finished = self.done

    @property
    def chances(self) -> list[float]:
        """The probabilities of the tokens in the tags of the group."""
        return [chance for token, chance in self.kept if token not in self.commas and token not in self.ends]

    def take(self, token: int, chance: float) -> int:
        back = super().take(token, chance)
        self.kept.append((token, chance))
        del self.kept[len(self.kept) - back :]
        self.finished = self.done
        self.done = self.done or len(self.found) >= GROUP
        return back

    def stop(self) -> None:
        super().stop()
        self.finished = True


@dataclass(frozen=True, eq=False)
class Branch:
    """A draft with the tags of a text in the tree, and the row in which its last group was written."""

    draft: Draft
    row: Row | None = None


class Branches:
    """Writes groups of tags after a prompt.

    `draws` counts the tokens drawn, those taken back too, and `finished` the texts that have come to an end.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        *,
        guide: Callable[[Draft], GroupGuide],
        write: Callable[[Sequence[Row]], None],
        generator: Callable[[int], torch.Generator],
        repetition_penalty: float = 1.0,
    ):
        self.prompt, self.guide, self.write, self.generator = prompt, guide, write, generator
        self.repetition_penalty = repetition_penalty
        self.groups = self.draws = self.finished = 0

    def grow(self, branches: Sequence[Branch]) -> list[Growth]:
        """Returns one more group for each branch, all written in one batch."""
        drafts = [branch.draft.fork() for branch in branches]
        rows = [self.row(branch, draft) for branch, draft in zip(branches, drafts, strict=True)]
        self.write(rows)
        self.draws += sum(row.draws for row in rows)
        self.finished += sum(row.guide.finished for row in rows)
        return [
            Growth(Branch(draft, row), row.guide.chances, frozenset(draft.seen), row.guide.finished)
            for draft, row in zip(drafts, rows, strict=True)
        ]

    def row(self, branch: Branch, draft: Draft) -> Row:
        self.groups += 1
        begun = branch.row.tokens if branch.row else []
        penalty = self.repetition_penalty
        return Row(
            self.prompt, self.guide(draft), self.generator(self.groups), begun, repetition_penalty=penalty
        )
