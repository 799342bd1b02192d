"""Which items go into training, with which captions: what dedup and scores have left, and what was chosen.

Convention: an item that a step could not read is out, one that a step was never run on is in. Captions of
scored items end with their tag.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files import alone, read_json, write_json
from .dedup import Deduplicated, DedupOptions, Round, deduplicate, met
from .scores import ScoreOptions, score_tag, tagged
from .steps import Candidate
from .work import Folder, NotReady, Work, save

EMBEDDINGS, SCORES = "embeddings", "scores"
DEDUP, DEDUP_FACTS, TAGS = "dedup.safetensors", "dedup.json", "tags.json"
ROUNDS = "dedup.rounds.safetensors"  # while it is being found out who is a duplicate
SELECT, SELECT_FACTS = "select.safetensors", "select.json"
DUPLICATE, LOW = "near duplicate", "low score"
UNFIT, UNCHOSEN = "a caption that does not fit", "not among the chosen"
WHY = ("", LOW, UNFIT, UNCHOSEN)  # what a number in SELECT says

log = logging.getLogger("presample")

# The file that a step writes last.
_ENDS = {EMBEDDINGS: DEDUP, SCORES: TAGS}


@dataclass(frozen=True)
class Selection:
    """The items of a work folder that are kept; with `final` off, those that could be chosen."""

    work: Work
    final: bool = True

    def check(self) -> None:
        """Raises NotReady where a step was begun and not finished."""
        for name, command in ((EMBEDDINGS, "dedup"), (SCORES, "score")):
            folder = Folder(self.work.folder / name)
            begun = folder.path.is_dir()
            ended = folder.complete(self.work) and (self.work.folder / _ENDS[name]).is_file()
            if begun and not ended:
                raise NotReady(
                    f"{folder.path} is not finished; run `presample data {command}` to its end, or remove it"
                )
        rounds = self.work.folder / ROUNDS
        if rounds.is_file():
            raise NotReady(f"{rounds} is not finished; run `presample data dedup` to its end, or remove it")
        if self._selected and _told(self._select, "base") != json.dumps(self._base, sort_keys=True):
            raise NotReady(
                f"{self._select} chose among other pictures than dedup and score leave now; run"
                " `presample data select` again, or remove it"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What tells this selection from another one, for the settings of the steps that use it."""
        return self._base | ({"select": _digest(self._select)} if self._selected else {})

    @property
    def _base(self) -> dict[str, Any]:
        """What dedup and scores have left."""
        dedup = self.work.folder / DEDUP
        return {
            "dedup": _digest(dedup) if dedup.is_file() else "",
            "scores": Folder(self.work.folder / SCORES).settings,
            "tags": asdict(self._bounds) if self._bounds else {},
        }

    @property
    def _select(self) -> Path:
        return self.work.folder / SELECT

    @property
    def _selected(self) -> bool:
        return self.final and self._select.is_file()

    def choose(self, part: int) -> tuple[list[Candidate], dict[str, list[str]]]:
        """Returns the items of a part that are kept, and the keys of the others by reason."""
        chosen, left_out = [], {}
        duplicate, tags, broken = self._duplicates(part), self.tags(part), self._broken(part)
        unchosen = self.unchosen(part)
        for place, item in enumerate(self.work.items(part)):
            reason = broken.get(item.key)
            if reason is None and duplicate is not None and duplicate[place]:
                reason = DUPLICATE
            if reason is None and tags is not None and tags.get(place) is None:
                reason = LOW
            if reason is None:
                reason = unchosen.get(place)
            if reason is not None:
                left_out.setdefault(reason, []).append(item.key)
                continue
            tag = tags[place] if tags is not None else None
            captions = tuple(tagged(caption, tag) for caption in item.captions or ("",))
            chosen.append(Candidate(place, item, captions))
        return chosen, left_out

    @cached_property
    def _bounds(self) -> ScoreOptions | None:
        path, scored = self.work.folder / TAGS, (self.work.folder / SCORES).is_dir()
        return ScoreOptions(**read_json(path)) if scored and path.is_file() else None

    def _broken(self, part: int) -> dict[str, str]:
        """Why an earlier step could not read an item, by key."""
        found = {}
        for name in (EMBEDDINGS, SCORES):
            folder = Folder(self.work.folder / name)
            if folder.file(part).is_file():
                found |= {key: why for why, keys in folder.told(part)[1].items() for key in keys}
        return found

    def _duplicates(self, part: int) -> Tensor | None:
        from safetensors import safe_open

        path = self.work.folder / DEDUP
        if not path.is_file():
            return None
        first = part * self.work.part_length
        with safe_open(path, "pt") as file:
            stands_for = file.get_slice("stands_for")[first : first + self.work.part_length]
        return stands_for != torch.arange(first, first + len(stands_for))

    def unchosen(self, part: int) -> dict[int, str]:
        """Returns why items of a part were not chosen, by their places."""
        from safetensors import safe_open

        if not self._selected:
            return {}
        first = part * self.work.part_length
        with safe_open(self._select, "pt") as file:
            why = file.get_slice("why")[first : first + self.work.part_length].tolist()
        return {place: WHY[reason] for place, reason in enumerate(why) if reason}

    def tags(self, part: int) -> dict[int, str | None] | None:
        """Returns the tag of every scored item of a part by its place, None where it scores too low."""
        if self._bounds is None:
            return None
        tensors = Folder(self.work.folder / SCORES).read(part).tensors
        pairs = zip(tensors["places"].tolist(), tensors["scores"].tolist(), strict=True)
        return {place: score_tag(score, self._bounds) for place, score in pairs}


def drop_duplicates(
    work: Work, numbers: Tensor, embeddings: Tensor, *, settings: dict[str, Any], options: DedupOptions, each
) -> None:
    """Deduplicates the items with these numbers (n,) and embeddings (n, e), and writes the result.

    Goes on after the last whole round of an interrupted call with the same settings and options; what is
    finished is not done again.
    """
    asked = json.dumps({**settings, **asdict(options)})
    half = work.folder / ROUNDS
    with alone(work.folder):
        if _asked(work.folder / DEDUP) == asked:
            return

        def keep(state: Deduplicated) -> None:
            rounds = json.dumps([asdict(one) for one in state.rounds])
            save(half, {"stands_for": state.stands_for}, {"asked": asked, "rounds": rounds})

        found = deduplicate(embeddings, options, each=each, begun=_begun(half, asked), on_round=keep)
        stands_for = torch.arange(work.count)
        stands_for[numbers] = numbers[found.stands_for]
        rounds = [asdict(one) for one in found.rounds]
        write_json(work.folder / DEDUP_FACTS, {**settings, **asdict(options), "rounds": rounds})
        save(work.folder / DEDUP, {"stands_for": stands_for}, {"asked": asked})
        half.unlink(missing_ok=True)
    if options.partition == "random" and met(found.rounds) < 0.99:
        log.warning(
            "two pictures met in one subset with a chance of %.0f %%, so most duplicates may be left; "
            "take --partition nearby, or a larger --subset",
            100 * met(found.rounds),
        )


def _asked(path: Path) -> str | None:
    return _told(path, "asked")


def _told(path: Path, name: str) -> str | None:
    """What the metadata of a file say, None where it is not there."""
    from safetensors import safe_open

    if not path.is_file():
        return None
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get(name)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _begun(path: Path, asked: str) -> Deduplicated | None:
    from safetensors import safe_open

    if _asked(path) != asked:
        return None
    with safe_open(path, "pt") as file:
        rounds = tuple(Round(**one) for one in json.loads(file.metadata()["rounds"]))
        return Deduplicated(file.get_tensor("stands_for").clone(), rounds)  # the file is written again
