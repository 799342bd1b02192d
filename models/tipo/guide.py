"""Guides for decoding: a list of tags, or sentences of prose, that meet all that is asked while written.

A tag or sentence that may not be there is taken back to its last real choice, and that choice is closed; so
what is returned needs no second pass. Ends are closed until there is enough, and writing stops at the most.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..lm.checkpoint import LanguageModel
from ..prompt.sentences import boundaries, ends_sentence
from .wire import open_field

TAG_REST, PROSE_REST = 0.05, 0.2  # what must be left of a choice; the words of a sentence hang together
TRIES = 128  # times in a row that a guide takes back before it is content with what there is
TAG_TOKENS, SENTENCE_TOKENS = 32, 128  # longer ones are taken back

_SEPARATOR = re.compile(rb"[,\n]")
_GOES_BEHIND = re.compile(rb"\s*[,;:.!?)\]}]")


class TagRules(Protocol):
    """What a list of tags may hold."""

    def judge_tag(self, tag: str) -> str | None:
        """Says why a tag may not be added, or None."""

    def counts_tag(self, tag: str) -> bool:
        """Says whether a tag counts towards the length."""

    def accept_tag(self, tag: str) -> None:
        """Is told of each tag that is added."""


class ProseRules(Protocol):
    """What sentences there may be."""

    def judge_prose(self, words: str, finished: bool) -> str | None:
        """Says why the words of a sentence, so far or finished, may not be added, or None."""

    def accept_prose(self, sentence: str) -> None:
        """Is told of each sentence that is added."""


@dataclass
class Slot:
    """The tokens of the item being written, and which tokens were closed behind which beginnings.

    A choice is real as long as what is not closed of it has the probability `least_rest`. `lead` is text at
    the beginning that came with a token of the item before.
    """

    least_rest: float
    lead: bytes = b""
    tokens: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    text: bytes = b""
    closed: dict[tuple[int, ...], set[int]] = field(default_factory=dict)
    rest: dict[tuple[int, ...], float] = field(default_factory=dict)

    def __post_init__(self):
        self.text = self.text or self.lead

    def push(self, token: int, chance: float, piece: bytes) -> None:
        self.tokens.append(token)
        self.chances.append(chance)
        self.text += piece

    def closed_here(self) -> set[int]:
        return self.closed.get(tuple(self.tokens), set()) if self.closed else set()

    def take_back(self, pieces: Sequence[bytes], own: int, *, lost: bool = False) -> int:
        """Closes the last real choice of the first `own` tokens, or the first where the item is `lost`.

        Returns how many tokens are forgotten.
        """
        place = self._choice(range(own) if lost else range(own - 1, -1, -1))
        begin, count = tuple(self.tokens[:place]), len(self.tokens) - place
        self.closed.setdefault(begin, set()).add(self.tokens[place])
        self.rest[begin] = self._rest(place)
        self._cut(place, pieces)
        return count

    def _choice(self, places: Sequence[int]) -> int:
        """Returns the first of the places whose token leaves a choice when it is closed, or most of one."""
        real = (place for place in places if self._rest(place) >= self.least_rest)
        return next(real, max(sorted(places), key=self._rest))

    def _rest(self, place: int) -> float:
        """Returns the probability of what is left when the token at `place` is closed too."""
        return self.rest.get(tuple(self.tokens[:place]), 1.0) * (1.0 - self.chances[place])

    def _cut(self, place: int, pieces: Sequence[bytes]) -> None:
        del self.tokens[place:], self.chances[place:]
        self.text = self.lead + b"".join(pieces[token] for token in self.tokens)


class TagGuide:
    """Writes comma-separated tags until there are between `least` and `most`, those of the user included.

    Where the model would end too early, a comma takes the place of that end.
    `found` are the added tags in the order they were written, `refused` those taken back, with the reason.
    """

    def __init__(self, language: LanguageModel, rules: TagRules, *, have: int, least: int, most: int):
        self.pieces, self.rules = language.pieces, rules
        lines = language.tokens_with(b"\n")
        separators = {*language.tokens_with(b","), *lines}
        self.ends = frozenset({*lines, language.tokenizer.eos} - {None})
        self.commas = frozenset(separators - self.ends)
        # A tag begins after a blank: what would be glued to its front never belongs there.
        self.glued = [token for token in separators if _SEPARATOR.split(self.pieces[token])[-1].strip()]
        self.count, self.least, self.most = have, least, most
        self.found: list[str] = []
        self.refused: dict[str, str] = {}
        self.slot = Slot(TAG_REST)
        self.tries = 0
        self.goes_on = False  # the next token must be a comma
        self.done, self.stopped = have >= most, False

    @property
    def text(self) -> str:
        """What is written so far, the unfinished tag included."""
        return ", ".join([*self.found, *filter(None, [_shown(self.slot.text)])])

    @property
    def settled(self) -> str:
        """The finished tags, which stay."""
        return ", ".join(self.found)

    def forbidden(self) -> Sequence[int]:
        if self.goes_on:
            return [token for token, piece in enumerate(self.pieces) if piece != b","]
        closed = [*self.glued, *self.slot.closed_here()]
        if not self.slot.text.strip():
            closed += self.commas
            closed += self.ends if self.count < self.least else ()
        return closed

    def take(self, token: int, chance: float) -> int:
        if self.goes_on:
            self.goes_on = False
            return 0
        if token not in self.ends and token not in self.commas:
            self.slot.push(token, chance, self.pieces[token])
            own = len(self.slot.tokens)
            return 0 if own <= TAG_TOKENS else self._refuse(own, lost=True)
        last_of_tag = _SEPARATOR.split(self.pieces[token])[0]
        self.slot.push(token, chance, last_of_tag)
        return self._close(last=token in self.ends, own=len(self.slot.tokens) - (not last_of_tag.strip()))

    def stop(self) -> None:
        self.done = self.stopped = True

    def _close(self, *, last: bool, own: int) -> int:
        """Ends the tag in the slot, whose last token is a separator; the first `own` tokens are its own."""
        tag = _words(self.slot.text)
        if tag is None or _is_sentence(tag):
            return self._refuse(own, lost=True)
        if reason := self.rules.judge_tag(tag) if tag else None:
            self.refused.setdefault(tag, reason)
            return self._refuse(own)
        if tag:
            self.rules.accept_tag(tag)
            self.found.append(tag)
            self.count += self.rules.counts_tag(tag)
        self.slot, self.tries = Slot(TAG_REST), 0
        self.goes_on = last and self.count < self.least
        self.done = self.count >= self.most or (last and not self.goes_on)
        return 1 if self.goes_on else 0

    def _refuse(self, own: int, *, lost: bool = False) -> int:
        self.tries += 1
        self.done = self.tries > TRIES or not own
        return 0 if self.done else self.slot.take_back(self.pieces, own, lost=lost)


class ProseGuide:
    """Writes sentences until there are between `least` and `most`, those of the user included.

    `found` are the finished sentences, `refused` what was taken back, with the reason.
    """

    def __init__(self, language: LanguageModel, rules: ProseRules, *, have: int, least: int, most: int):
        self.pieces, self.rules, self.eos = language.pieces, rules, language.tokenizer.eos
        lines = language.tokens_with(b"\n")
        # A line may end only where a sentence does; a token such as ".\n" is both.
        self.breaks = [t for t in lines if not ends_sentence(_shown(self.pieces[t].split(b"\n")[0]))]
        marks = (token for mark in (*b",;:.!?)]}",) for token in language.tokens_with(bytes([mark])))
        self.no_beginning = [token for token in marks if _GOES_BEHIND.match(self.pieces[token])]
        self.count, self.least, self.most = have, least, most
        self.found: list[str] = []
        self.refused: dict[str, str] = {}
        self.slot = Slot(PROSE_REST)
        self.tries = 0
        self.done, self.stopped = have >= most, False

    @property
    def text(self) -> str:
        """What is written so far, the unfinished sentence included."""
        return " ".join([*self.found, *filter(None, [_shown(self.slot.text)])])

    @property
    def settled(self) -> str:
        """The finished sentences, which stay."""
        return " ".join(self.found)

    def forbidden(self) -> Sequence[int]:
        closed, ended = [*self.slot.closed_here()], ends_sentence(_shown(self.slot.text))
        if self.count + ended < self.least and self.eos is not None:
            closed.append(self.eos)
        if not self.slot.text.strip():
            closed += self.no_beginning
        return closed if ended else closed + self.breaks

    def take(self, token: int, chance: float) -> int:
        before, piece = self.slot.text, self.pieces[token]
        self.slot.push(token, chance, piece)
        tokens = len(self.slot.tokens)
        if token == self.eos:
            return self._finish(len(before), own=tokens - 1, last=True)
        if not _goes_on(piece) and (reason := self._reason(before, finished=False)):
            return self._refuse(before, reason, own=tokens - 1)
        if tokens > SENTENCE_TOKENS:
            return self._refuse(b"", None, own=tokens, lost=True)
        text = _decode(self.slot.text)
        if open_field(text.lstrip(" "))[0]:
            return self._end_at_field()
        cuts = boundaries(text)
        if not cuts and "\n" in text.lstrip() and ends_sentence(text.rstrip()):
            cuts = [len(text.rstrip())]
        return self._finish(len(_encode(text[: cuts[0]])), last=False) if cuts else 0

    def stop(self) -> None:
        self.done = self.stopped = True

    def _end_at_field(self) -> int:
        """The model went on to another field: what stands before it is all, if it is enough."""
        words = self.slot.text.rpartition(b"\n")[0]
        if self.count + bool(words.strip()) < self.least:
            return self._refuse(b"", None, own=len(self.slot.tokens))
        return self._finish(len(words), last=True)

    def _reason(self, text: bytes, *, finished: bool) -> str | None:
        words = _words(text)
        if words is None:
            return "it is no text" if finished else None
        return self.rules.judge_prose(words, finished) if words else None

    def _finish(self, length: int, *, last: bool, own: int | None = None) -> int:
        """Ends the sentence after `length` bytes of the slot; tokens behind it begin the next one."""
        ends = [len(self.slot.lead)]
        for token in self.slot.tokens:
            ends.append(ends[-1] + len(self.pieces[token]))
        own = sum(begin < length for begin in ends[:-1]) if own is None else own
        text = self.slot.text[:length]
        if reason := self._reason(text, finished=True):
            return self._refuse(text, reason, own=own)
        if sentence := _words(text):
            self.rules.accept_prose(sentence)
            self.found.append(sentence)
            self.count += 1
        rest = Slot(PROSE_REST, lead=self.slot.text[length : ends[own]])
        for token, chance in zip(self.slot.tokens[own:], self.slot.chances[own:], strict=True):
            rest.push(token, chance, self.pieces[token])
        self.slot, self.tries = rest, 0
        self.done = last or self.count >= self.most
        return 0

    def _refuse(self, text: bytes, reason: str | None, *, own: int, lost: bool = False) -> int:
        if reason and (words := _words(text)):
            self.refused.setdefault(words, reason)
        self.tries += 1
        self.done = self.tries > TRIES or not own
        return 0 if self.done else self.slot.take_back(self.pieces, own, lost=lost)


def _is_sentence(tag: str) -> bool:
    """Returns whether a sentence ends in a tag, as in `leaf.`; none does in `k.k.` and `dr. x`."""
    alone = tag.endswith(".") and "." not in tag[:-1] and tag[-2:-1].isalnum()
    return alone or bool(boundaries(tag))


def _goes_on(piece: bytes) -> bool:
    """Returns whether a token goes on with the word before it."""
    return piece[:1].isalnum() or piece[:1] >= b"\x80"


def _decode(text: bytes) -> str:
    return text.decode("utf-8", errors="surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="surrogateescape")


def _shown(text: bytes) -> str:
    """Returns a text that may end inside a character."""
    return text.decode("utf-8", errors="ignore").strip()


def _words(text: bytes) -> str | None:
    """Returns the text with single blanks, or None where it is broken."""
    try:
        return " ".join(text.decode("utf-8").split())
    except UnicodeDecodeError:
        return None
