"""Blind pairs of pictures: who sees which next, votes that stay in a file, and the tally of Playground v2.5.

Convention: two folders, A and B, hold pictures of the same names; a vote is "a", "b" or "same". Each pair is
shown to a number of people, one side wins it with a margin of votes, and a smaller margin is a tie.
Source: Li et al. 2024, "Playground v2.5" (arXiv 2402.17245), section 3: seven people, margin 2; spec 4.7.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files import read_text, within
from ..options import option
from ..pictures import SUFFIXES

CHOICES = ("a", "b", "same")
SIDES = ("left", "right", "same")
LAYOUT = (
    "create table if not exists study (name text primary key, value text not null)",
    "create table if not exists shown (voter text primary key, pair text not null)",
    """create table if not exists votes (
        pair text not null,
        voter text not null,
        choice text not null check (choice in ('a', 'b', 'same')),
        shown_left text not null check (shown_left in ('a', 'b')),
        number integer not null,
        at text not null default (datetime('now')),
        primary key (pair, voter)
    )""",
)


@dataclass(frozen=True)
class PairwiseOptions:
    """How many people judge a pair, and what decides it."""

    votes: int = option(7, "People who judge each pair.", low=1, high=1000, step=1)
    margin: int = option(2, "Votes that a side must be ahead to win a pair.", low=1, high=1000, step=1)
    seed: int = option(0, "Decides the order of pairs and which picture is left.", low=0, high=2**31, step=1)


@dataclass(frozen=True)
class Pair:
    """Two pictures of one name, and what they were made of."""

    name: str
    a: Path
    b: Path
    prompt: str = ""


@dataclass(frozen=True)
class Turn:
    """A pair as one person sees it; `left` says which of the two is on the left."""

    pair: Pair
    left: str

    @property
    def sides(self) -> tuple[Path, Path]:
        """The pictures from left to right."""
        return (self.pair.a, self.pair.b) if self.left == "a" else (self.pair.b, self.pair.a)

    def choice(self, side: str) -> str:
        """Returns the vote of a side: "left", "right" or "same"; raises ValueError for another word."""
        if side not in SIDES:
            raise ValueError(f"a side must be one of {', '.join(SIDES)}; got {side!r}")
        if side == "same":
            return side
        return self.left if side == "left" else "b" if self.left == "a" else "a"


def find_pairs(a: Path, b: Path, prompts: Mapping[str, str] | None = None) -> tuple[list[Pair], list[str]]:
    """Returns the pairs of two folders and the names that only one of them has, each in order.

    A name is a picture's place in its folder without suffix. A prompt is found by name or by its last part,
    else in a `.txt` beside picture A.

    Raises:
        ValueError: no name is in both, a folder has two pictures of one name, or a file is a link out of it.
    """
    first, second = _pictures(a), _pictures(b)
    both = sorted(first.keys() & second.keys())
    if not both:
        raise ValueError(f"{a} and {b} must hold pictures of the same names, and share none; rename them")
    prompts, root = prompts or {}, os.path.realpath(a)
    pairs = [
        Pair(name, first[name], second[name], _prompt(prompts, name, first[name], root)) for name in both
    ]
    return pairs, sorted(first.keys() ^ second.keys())


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ValueError(f"{folder} must be a folder with pictures, and is not there")
    found: dict[str, Path] = {}
    root = os.path.realpath(folder)
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            _stays(path, root)
            name = path.relative_to(folder).with_suffix("").as_posix()
            if name in found:
                raise ValueError(f"{folder} must have one picture of a name, got {found[name]} and {path}")
            found[name] = path
    return found


def _stays(path: Path, root: str) -> None:
    """Folders may come from strangers, and people on other machines see what is in them."""
    if not within(path, root):
        raise ValueError(f"{path} must be in its folder, and is a link that leaves it; copy the file there")


def _prompt(prompts: Mapping[str, str], name: str, picture: Path, root: str) -> str:
    said = prompts.get(name, prompts.get(name.rpartition("/")[2]))
    beside = picture.with_suffix(".txt")
    if said is None and beside.is_file():
        _stays(beside, root)
        said = read_text(beside).strip()
    return said or ""


class Ballots:
    """Votes in a SQLite file, which many people may use at once."""

    def __init__(self, path: Path, pairs: Sequence[Pair], options: PairwiseOptions | None = None):
        """Opens or makes the file; raises ValueError where it holds votes on other pairs."""
        self.path, self.options = Path(path), options or PairwiseOptions()
        self.pairs = {pair.name: pair for pair in pairs}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as file:
            for table in LAYOUT:
                file.execute(table)
            self._belongs(file)

    def turn(self, voter: str) -> Turn | None:
        """Returns what a person sees now, the same until they vote; None when nothing is left for them."""
        with self._open() as file:
            shown = file.execute("select pair from shown where voter = ?", (voter,)).fetchone()
            name = shown[0] if shown else self._next(file, voter)
            if not shown and name:
                file.execute("insert into shown values (?, ?)", (voter, name))
        return Turn(self.pairs[name], self._left(voter, name)) if name else None

    def vote(self, voter: str, name: str, side: str) -> bool:
        """Counts the vote of a person for a side of the pair that they see: "left", "right" or "same".

        Returns whether it counted: a click on a pair that is not theirs any more does not.
        """
        with self._open() as file:
            if (
                file.execute("select 1 from shown where (voter, pair) = (?, ?)", (voter, name)).fetchone()
                is None
            ):
                return False
            left = self._left(voter, name)
            choice = Turn(self.pairs[name], left).choice(side)
            (number,) = file.execute("select coalesce(max(number), 0) + 1 from votes").fetchone()
            file.execute(
                "insert or replace into votes (pair, voter, choice, shown_left, number)"
                " values (?, ?, ?, ?, ?)",
                (name, voter, choice, left, number),
            )
            file.execute("delete from shown where voter = ?", (voter,))
        return True

    def back(self, voter: str) -> bool:
        """Takes a person's last vote back and shows them its pair again; returns whether there was one."""
        with self._open() as file:
            last = file.execute(
                "select pair from votes where voter = ? order by number desc limit 1", (voter,)
            ).fetchone()
            if last:
                file.execute("delete from votes where (voter, pair) = (?, ?)", (voter, *last))
                file.execute("insert or replace into shown values (?, ?)", (voter, *last))
        return last is not None

    def progress(self, voter: str) -> tuple[int, int]:
        """Returns how many pairs a person has judged, and how many there are for them in all."""
        with self._open() as file:
            (done,) = file.execute("select count(*) from votes where voter = ?", (voter,)).fetchone()
            shown = {pair for (pair,) in file.execute("select pair from shown where voter = ?", (voter,))}
            waiting = shown | self._waiting(file, voter).keys()  # others may have judged what they see
        return done, done + len(waiting)

    def votes(self) -> list[tuple[str, str]]:
        """Returns every vote as (pair, choice), in order."""
        with self._open() as file:
            return file.execute("select pair, choice from votes order by number").fetchall()

    def tally(self) -> Tally:
        """Returns who wins, as `tally` says."""
        return tally(self.votes(), len(self.pairs), self.options)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection whose changes are written together or not at all; others wait for them."""
        file = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            file.execute("begin immediate")
            yield file
            file.execute("commit")
        except sqlite3.Error as error:
            raise ValueError(f"{self.path} must be a file of votes that can be written: {error}") from error
        finally:
            file.close()  # without a commit that takes all back

    def _belongs(self, file: sqlite3.Connection) -> None:
        """Votes on other pictures of the same names must not be mixed with these."""
        mark = hashlib.sha256()
        for pair in self.pairs.values():
            for path in (pair.a, pair.b):
                mark.update(f"{pair.name}\0{path.stat().st_size}\0".encode())
        known = dict(file.execute("select name, value from study"))
        if known.setdefault("pairs", mark.hexdigest()) != mark.hexdigest():
            raise ValueError(
                f"{self.path} holds votes on other pictures; name another file with --votes-file"
            )
        file.execute("insert or ignore into study values ('pairs', ?)", (mark.hexdigest(),))

    def _next(self, file: sqlite3.Connection, voter: str) -> str | None:
        """The pair with the fewest votes and people at it; their own order among equals."""
        waiting = self._waiting(file, voter)
        shown = Counter(pair for (pair,) in file.execute("select pair from shown"))
        return min(
            waiting,
            key=lambda name: (waiting[name] + shown[name], self._hash("order", voter, name)),
            default=None,
        )

    def _waiting(self, file: sqlite3.Connection, voter: str) -> dict[str, int]:
        """The pairs that want votes and have none of this person's, with their number of votes."""
        counts = dict(file.execute("select pair, count(*) from votes group by pair"))
        own = {pair for (pair,) in file.execute("select pair from votes where voter = ?", (voter,))}
        counts = {name: counts.get(name, 0) for name in self.pairs if name not in own}
        return {name: count for name, count in counts.items() if count < self.options.votes}

    def _left(self, voter: str, name: str) -> str:
        return "ab"[self._hash("side", voter, name) % 2]

    def _hash(self, *words: str) -> int:
        text = "\0".join((str(self.options.seed), *words))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


@dataclass(frozen=True)
class Tally:
    """What votes decided: pairs that A won, B won, that are tied, and that want more votes; and single votes.

    `favoured` is how many times as often A wins as B, `share` A's part of won pairs with its interval of 95 %
    (Wilson), `p_value` the two-sided binomial test of won pairs against a fair coin, and `p_value_votes`
    that of single votes, which are no independent draws where the same people vote often.
    """

    pairs: int
    wins_a: int
    wins_b: int
    ties: int
    open: int
    votes_a: int
    votes_b: int
    votes_same: int
    favoured: float | None
    share: float | None
    interval: tuple[float, float] | None
    p_value: float
    p_value_votes: float

    def as_dict(self) -> dict[str, Any]:
        """Returns it as JSON has it."""
        return asdict(self)


def tally(votes: Iterable[tuple[str, str]], pairs: int, options: PairwiseOptions | None = None) -> Tally:
    """Returns what votes (pair, choice) on so many pairs decide.

    Raises:
        ValueError: a choice is none.
    """
    options = options or PairwiseOptions()
    counts: dict[str, Counter] = {}
    for pair, choice in votes:
        if choice not in CHOICES:
            raise ValueError(f"a vote must be one of {', '.join(CHOICES)}; got {choice!r}")
        counts.setdefault(pair, Counter())[choice] += 1
    done = [count for count in counts.values() if count.total() >= options.votes]
    leads = [count["a"] - count["b"] for count in done]
    wins_a, wins_b = (sum(sign * lead >= options.margin for lead in leads) for sign in (1, -1))
    votes_a, votes_b, same = (sum(count[choice] for count in counts.values()) for choice in CHOICES)
    won = wins_a + wins_b
    return Tally(
        pairs,
        wins_a,
        wins_b,
        len(done) - won,
        pairs - len(done),
        votes_a,
        votes_b,
        same,
        wins_a / wins_b if wins_b else None,
        wins_a / won if won else None,
        wilson(wins_a, won) if won else None,
        binomial_test(wins_a, won),
        binomial_test(votes_a, votes_a + votes_b),
    )


def binomial_test(successes: int, trials: int) -> float:
    """Returns the two-sided p-value of so many successes of a fair coin; 1.0 without trials."""
    fewer = min(successes, trials - successes)
    if 2 * fewer == trials:
        return 1.0
    ways = tail = 1
    for k in range(fewer):  # each number of ways follows from the one before: thousands of votes take no time
        ways = ways * (trials - k) // (k + 1)
        tail += ways
    return 2 * tail / 2**trials  # of whole numbers, so exact


def wilson(successes: int, trials: int, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """Returns Wilson's interval of a share; z is the normal quantile, of 95 % by default."""
    share, square = successes / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
