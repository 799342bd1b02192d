"""Guides for decoding: a list of tags, or sentences of prose, that meet all that is asked while written.

A tag or sentence that may not be there is taken back to its last real choice, and that choice is closed; so
what is returned needs no second pass. Ends are closed until there is enough, and writing stops at the most.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..lm.checkpoint import LanguageModel
from ..prompt.sentences import boundaries, ends_sentence
from .wire import open_field

SURE = 0.9  # a token drawn with at least this probability was no real choice
TRIES = 64  # times a guide takes back before it is content with what there is
TAG_TOKENS, SENTENCE_TOKENS = 32, 128  # longer ones are taken back

Judge = Callable[[str], str | None]
"""Says why a tag or a sentence may not be added, or None."""


@dataclass
class Slot:
    """The tokens of the item being written, and which tokens were closed behind which beginnings."""

    tokens: list[int] = field(default_factory=list)
    chances: list[float] = field(default_factory=list)
    text: bytes = b""
    closed: dict[tuple[int, ...], set[int]] = field(default_factory=dict)

    def push(self, token: int, chance: float, piece: bytes) -> None:
        self.tokens.append(token)
        self.chances.append(chance)
        self.text += piece

    def closed_here(self) -> set[int]:
        return self.closed.get(tuple(self.tokens), set()) if self.closed else set()

    def last_choice(self) -> int:
        """Returns the place of the last token that had a real alternative; the first if none had."""
        choices = [i for i, chance in enumerate(self.chances) if chance < SURE]
        return choices[-1] if choices else 0

    def take_back(self, pieces: Sequence[bytes]) -> int:
        """Closes the last real choice and forgets from there; returns how many tokens that were."""
        place = self.last_choice()
        count = len(self.tokens) - place
        self.closed.setdefault(tuple(self.tokens[:place]), set()).add(self.tokens[place])
        del self.tokens[place:], self.chances[place:]
        self.text = b"".join(pieces[token] for token in self.tokens)
        return count


class TagGuide:
    """Writes comma-separated tags until there are between `least` and `most`, those of the user included.

    `judge` says why a tag may not be added; `accept` is told of each one that was and answers whether it
    counts. `found` are the tags in the order they were written, `refused` those taken back, with the reason.
    """

    def __init__(
        self,
        language: LanguageModel,
        judge: Judge,
        accept: Callable[[str], bool],
        *,
        have: int,
        least: int,
        most: int,
    ):
        self.pieces, self.judge, self.accept = language.pieces, judge, accept
        self.commas = language.tokens_with(b",")
        self.ends = (*language.tokens_with(b"\n"), language.tokenizer.eos)
        self.count, self.least, self.most = have, least, most
        self.found: list[str] = []
        self.refused: dict[str, str] = {}
        self.slot = Slot()
        self.tries = 0
        self.done = have >= most

    @property
    def text(self) -> str:
        """What is written so far, the unfinished tag included."""
        return ", ".join([*self.found, *filter(None, [_decode(self.slot.text).strip()])])

    @property
    def settled(self) -> str:
        """The finished tags, which stay."""
        return ", ".join(self.found)

    def forbidden(self) -> Sequence[int]:
        blank = not self.slot.text.strip()
        closed = [*self.slot.closed_here()]
        if blank:
            closed += self.commas
        if self.count + (not blank) < self.least:
            closed += self.ends
        return closed

    def take(self, token: int, chance: float) -> int:
        if token in self.ends:
            return self._close(1, last=True)
        before, comma, after = self.pieces[token].partition(b",")
        if not comma:
            self.slot.push(token, chance, before)
            return 0 if len(self.slot.tokens) <= TAG_TOKENS else self._refuse(0)
        self.slot.text += before
        return self._close(1, after=after.replace(b",", b""))

    def stop(self) -> None:
        self.done = True

    def _close(self, drawn: int, *, last: bool = False, after: bytes = b"") -> int:
        """Ends the tag before a separator; `drawn` tokens of that separator are not in the slot."""
        tag = " ".join(_decode(self.slot.text).split())
        reason = self.judge(tag) if tag else None
        if reason is not None:
            self.refused.setdefault(tag, reason)
            return self._refuse(drawn)
        if tag:
            self.found.append(tag)
            self.count += self.accept(tag)
        self.slot = Slot(text=after)
        self.done = last or self.count >= self.most
        return 0

    def _refuse(self, drawn: int) -> int:
        self.tries += 1
        if self.tries > TRIES or not self.slot.tokens:
            self.done = True
            return 0
        return drawn + self.slot.take_back(self.pieces)


class ProseGuide:
    """Writes sentences until there are between `least` and `most`, those of the user included.

    `judge` says why the words so far of a sentence may not be there. `found` are the finished sentences.
    """

    def __init__(self, language: LanguageModel, judge: Judge, *, have: int, least: int, most: int):
        self.pieces, self.judge = language.pieces, judge
        self.newlines, self.eos = language.tokens_with(b"\n"), language.tokenizer.eos
        self.count, self.least, self.most = have, least, most
        self.found: list[str] = []
        self.refused: dict[str, str] = {}
        self.slot = Slot()
        self.tries = 0
        self.done = have >= most

    @property
    def text(self) -> str:
        """What is written so far, the unfinished sentence included."""
        return " ".join([*self.found, *filter(None, [_decode(self.slot.text).strip()])])

    @property
    def settled(self) -> str:
        """The finished sentences, which stay."""
        return " ".join(self.found)

    def forbidden(self) -> Sequence[int]:
        closed = [*self.slot.closed_here()]
        if self.count + (1 if self._ended() else 0) < self.least:
            closed.append(self.eos)
        if not self._ended():
            closed += self.newlines
        return closed

    def _ended(self) -> bool:
        words = _decode(self.slot.text).strip()
        return bool(words) and ends_sentence(words)

    def take(self, token: int, chance: float) -> int:
        if token == self.eos:
            back = self._finish_sentence(len(self.slot.text), drawn=1)
            self.done = self.done or not back
            return back
        piece = self.pieces[token]
        if not piece[:1].isalnum() and (reason := self._reason(_decode(self.slot.text))):
            return self._refuse(reason, drawn=1)
        self.slot.push(token, chance, piece)
        if len(self.slot.tokens) > SENTENCE_TOKENS:
            return self._refuse(None, drawn=0)
        text = _decode(self.slot.text)
        if open_field(text.lstrip(" "))[0]:
            return self._end_at_field()
        cuts = boundaries(text)
        if not cuts and "\n" in text.lstrip() and self._ended():
            cuts = [len(text.rstrip())]
        return self._finish_sentence(len(text[: cuts[0]].encode()), drawn=0) if cuts else 0

    def stop(self) -> None:
        self.done = True

    def _end_at_field(self) -> int:
        """The model went on to another field: what stands before it is all, if it is enough."""
        words = _decode(self.slot.text).rpartition("\n")[0]
        if self.count + bool(words.strip()) < self.least:
            return self._refuse(None, drawn=0)
        self._finish_sentence(len(words.encode()), drawn=0)
        self.done = True
        return 0

    def _reason(self, text: str) -> str | None:
        return self.judge(text.strip()) if text.strip() else None

    def _finish_sentence(self, length: int, *, drawn: int) -> int:
        """Ends the sentence after `length` bytes of the slot; tokens behind it begin the next one."""
        sentence = " ".join(_decode(self.slot.text[:length]).split())
        if reason := self._reason(sentence):
            return self._refuse(reason, drawn=drawn)
        if sentence:
            self.found.append(sentence)
            self.count += 1
        self.done = self.count >= self.most
        rest = Slot(text=self.slot.text[length:])
        begin = 0
        for token, chance in zip(self.slot.tokens, self.slot.chances, strict=True):
            if begin >= length:
                rest.tokens.append(token)
                rest.chances.append(chance)
            begin += len(self.pieces[token])
        self.slot = rest
        return 0

    def _refuse(self, reason: str | None, *, drawn: int) -> int:
        if reason:
            self.refused.setdefault(" ".join(_decode(self.slot.text).split()), reason)
        self.tries += 1
        if self.tries > TRIES or not self.slot.tokens:
            self.done = True
            return 0
        return drawn + self.slot.take_back(self.pieces)


def _decode(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")
