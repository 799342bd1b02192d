"""Byte-pair encoding of one piece of text, in O(n log n), with a bounded cache of words.

Convention: a merge has a rank; the lowest rank goes first, and of equal ranks the leftmost. Merge lists rank
by order; sentencepiece scores rank by score, so pieces of equal score share a rank.
Source: Sennrich et al. 2016 (arXiv:1508.07909); details as in the tokenizers library and in sentencepiece.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush

MAX_ID = 1 << 24
MAX_SCORED_PIECE = 512
CACHED_WORDS = 1 << 14
CACHED_LENGTH = 256


class BPE:
    """A vocabulary and its merges.

    `merges` maps a pair of ids to (rank, id of the union); see `ranked_merges` and `scored_merges`, which
    make it. `byte_fallback` spells an unknown character as its UTF-8 bytes `<0x..>`, if all of them are in
    the vocabulary. `fuse_unknown` makes one `unknown` of a run of unknown characters. `whole_words` takes a
    piece that is itself in the vocabulary as it stands (`ignore_merges` in tokenizer.json).
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Mapping[tuple[int, int], tuple[int, int]],
        *,
        unknown: int | None = None,
        byte_fallback: bool = False,
        fuse_unknown: bool = False,
        whole_words: bool = False,
    ):
        self.vocab = vocab
        self.size = check_ids(vocab.values())
        self._unknown = unknown
        self._fuse_unknown = fuse_unknown
        self._whole_words = whole_words
        names = [vocab.get(f"<0x{byte:02X}>") for byte in range(256)] if byte_fallback else []
        self._bytes = names
        size = self.size
        self._merges = {a * size + b: rank * size + union for (a, b), (rank, union) in merges.items()}
        self._words = _word_pattern(vocab, merges)
        self._cache: dict[str, tuple[int, ...]] = {}

    def encode(self, piece: str) -> Sequence[int]:
        """The ids of one piece, which has gone through the normalizer and the pre-tokenizer."""
        if self._whole_words and piece in self.vocab:
            return (self.vocab[piece],)
        if self._words is None or len(piece) < 2:
            return self._encode_word(piece)
        ids: list[int] = []
        for word in self._words.findall(piece):
            ids += self._encode_word(word)
        return ids

    def _encode_word(self, word: str) -> tuple[int, ...]:
        ids = self._cache.get(word)
        if ids is None:
            ids = tuple(self._merge(self._symbols(word)))
            if len(word) <= CACHED_LENGTH:
                if len(self._cache) >= CACHED_WORDS:
                    self._cache.clear()
                self._cache[word] = ids
        return ids

    def _symbols(self, word: str) -> list[int]:
        """One id for each character, several for one spelled in bytes, none for one that cannot be said."""
        ids: list[int] = []
        pending = False
        for char in word:
            known = self.vocab.get(char)
            if known is not None:
                if pending:
                    ids.append(self._unknown)
                    pending = False
                ids.append(known)
                continue
            spelled = [self._bytes[byte] for byte in char.encode()] if self._bytes else [None]
            if None not in spelled:
                ids += spelled
            elif self._unknown is not None:
                if pending and not self._fuse_unknown:
                    ids.append(self._unknown)
                pending = True
        return [*ids, self._unknown] if pending else ids

    def _merge(self, ids: list[int]) -> list[int]:
        """Merges in place, on a linked list and a heap of rank * n + position; a merged-away symbol is -1."""
        n, size, lookup = len(ids), self.size, self._merges.get
        heap = []
        for at in range(n - 1):
            found = lookup(ids[at] * size + ids[at + 1])
            if found is not None:
                heap.append(found // size * n + at)
        heapify(heap)
        before, after = list(range(-1, n - 1)), list(range(1, n + 1))
        while heap:
            rank, at = divmod(heappop(heap), n)
            right = after[at]
            if right >= n:
                continue
            found = lookup(ids[at] * size + ids[right])
            if found is None or found // size != rank:
                continue
            ids[at], ids[right] = found % size, -1
            after[at] = beyond = after[right]
            if beyond < n:
                before[beyond] = at
                found = lookup(ids[at] * size + ids[beyond])
                if found is not None:
                    heappush(heap, found // size * n + at)
            left = before[at]
            if left >= 0:
                found = lookup(ids[left] * size + ids[at])
                if found is not None:
                    heappush(heap, found // size * n + left)
        return [token for token in ids if token >= 0]


def check_ids(ids: Iterable[int]) -> int:
    """Returns one more than the largest id; raises ValueError where an id is not a reasonable index."""
    ids = list(ids)
    if not ids:
        raise ValueError(
            "the tokenizer's vocabulary must not be empty; the file is damaged or not a tokenizer"
        )
    if not all(type(token) is int and 0 <= token < MAX_ID for token in ids):
        bad = next(token for token in ids if type(token) is not int or not 0 <= token < MAX_ID)
        raise ValueError(
            f"a token id must be a whole number from 0 to {MAX_ID - 1}, got {bad!r}; the file is damaged"
        )
    return max(ids) + 1


def ranked_merges(
    vocab: Mapping[str, int], merges: Iterable[str | list[str]]
) -> dict[tuple[int, int], tuple[int, int]]:
    """The merge table of a list of merges, `"a b"` or `["a", "b"]`, first ones first.

    Raises ValueError where a merge is not a pair or where a part or the union is not in the vocabulary.
    """
    table = {}
    for rank, merge in enumerate(merges):
        try:
            left, right = merge.split(" ") if isinstance(merge, str) else merge
            table[vocab[left], vocab[right]] = (rank, vocab[left + right])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"merge {rank} must be two tokens of the vocabulary whose union is one too, got {merge!r}; "
                "the tokenizer file is damaged"
            ) from error
    return table


def scored_merges(pieces: Iterable[tuple[str, int, float]]) -> dict[tuple[int, int], tuple[int, int]]:
    """The merge table of pieces (text, id, score), best first: every way to make one piece of two others.

    Raises ValueError for a piece that is too long to be cut in every place.
    """
    pieces = list(pieces)
    vocab = {text: token for text, token, _ in pieces}
    scores = sorted({score for _, _, score in pieces}, reverse=True)
    ranks = {score: rank for rank, score in enumerate(scores)}
    table = {}
    for text, token, score in pieces:
        if len(text) > MAX_SCORED_PIECE:
            raise ValueError(
                f"a piece must have at most {MAX_SCORED_PIECE} characters, token {token} has {len(text)}; "
                "the tokenizer file is damaged"
            )
        for cut in range(1, len(text)):
            left, right = vocab.get(text[:cut]), vocab.get(text[cut:])
            if left is not None and right is not None:
                table[left, right] = (ranks[score], token)
    return table


def _word_pattern(
    vocab: Mapping[str, int], merges: Mapping[tuple[int, int], object]
) -> re.Pattern[str] | None:
    """A cut before every word-opening ▁, if no merge can ever cross it, else None.

    The first merge that spans a boundary joins a token that ends before it with one that begins behind it. So
    a cut between other characters and ▁ is exact when no merge has a right part that begins with ▁ after a
    left part that does not end with one.
    """
    if "▁" not in vocab:
        return None
    opens = {token for text, token in vocab.items() if text.startswith("▁")}
    closes = {token for text, token in vocab.items() if text.endswith("▁")}
    if any(right in opens and left not in closes for left, right in merges):
        return None
    return re.compile("▁*[^▁]+|▁+")
