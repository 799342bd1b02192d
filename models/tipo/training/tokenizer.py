"""Trains the tokenizer of a small TIPO model: BPE as in LLaMA 2, with bytes for what it has never seen.

Layout of the vocabulary: <unk> 0, <s> 1, </s> 2, the 256 bytes 3..258 (so that a line feed is 13, as in
TIPO), pieces, then TIPO's special tokens. A comma, a digit and other signs are always pieces of their own;
phrases (tags of several words) are one piece, so that a small model need not spell them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from itertools import pairwise
from pathlib import Path

from ..wire import SPECIAL_TOKENS

UNK, BOS, EOS = "<unk>", "<s>", "</s>"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
SPACE = "▁"
# Letters that people type though the world's captions do not use them; all else falls back to bytes.
ALPHABET = SPACE + "".join(map(chr, range(33, 127)))


def train_tokenizer(
    texts: Iterable[str], path: Path, *, size: int = 2048, phrases: Collection[str] = ()
) -> None:
    """Writes `tokenizer.json` with at most `size` entries, trained on the texts.

    Phrases all of whose words are pieces become pieces too.

    Raises:
        ValueError: the size leaves no room for the bytes, the letters, the phrases and the special tokens.
    """
    least = 3 + len(BYTES) + len(ALPHABET) + len(SPECIAL_TOKENS) + _joints(phrases)
    if size < least:
        raise ValueError(f"the vocabulary must have at least {least} entries, got {size}")
    vocabulary, merges = _pieces(texts, size - len(SPECIAL_TOKENS) - _joints(phrases))
    _add_phrases(phrases, vocabulary, merges)
    path.write_text(json.dumps(_document(vocabulary, merges), ensure_ascii=False, indent=1), encoding="utf-8")


def _pieces(texts: Iterable[str], size: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Pieces in the order of their ids and the merges that make them, learned within words only."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)])
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\p{L}▁]"), "isolated"),
            pre_tokenizers.Split(SPACE, "merged_with_next"),
        ]
    )
    room = size - 3 - len(BYTES)
    trainer = trainers.BpeTrainer(
        vocab_size=room, initial_alphabet=list(ALPHABET), limit_alphabet=len(ALPHABET), show_progress=False
    )
    trained.train_from_iterator(texts, trainer)
    model = json.loads(trained.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].get)
    pieces = [p for p in pieces if p != "\n"]
    return [UNK, BOS, EOS, *BYTES, *pieces], [tuple(m) for m in model["merges"]]


def _joints(phrases: Collection[str]) -> int:
    """At most so many pieces are made of words."""
    return sum(phrase.count(" ") for phrase in phrases)


def _add_phrases(phrases: Collection[str], vocabulary: list[str], merges: list[tuple[str, str]]) -> None:
    """Appends merges of whole words, so they come after all others, and the pieces that they make."""
    known, ranks = set(vocabulary), {}
    for phrase in phrases:
        pieces = [SPACE + word for word in phrase.split(" ")]
        if not known.issuperset(pieces):
            continue
        while len(pieces) > 1:
            pairs = list(pairwise(pieces))
            pair = min(pairs, key=lambda p: ranks.get(p, len(ranks)))
            if pair not in ranks:
                ranks[pair] = len(ranks)
                merges.append(pair)
                vocabulary.append("".join(pair))
            at = pairs.index(pair)
            pieces[at : at + 2] = ["".join(pair)]


def _document(vocabulary: list[str], merges: list[tuple[str, str]]) -> dict:
    """The contents of `tokenizer.json`, laid out as for LLaMA 2."""
    first = len(vocabulary)
    added = [(i, token) for i, token in enumerate((UNK, BOS, EOS))]
    added += [(first + i, token) for i, token in enumerate(SPECIAL_TOKENS)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(i, token) for i, token in added],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": SPACE},
                {"type": "Replace", "pattern": {"String": " "}, "content": SPACE},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [
                {"SpecialToken": {"id": BOS, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": BOS, "type_id": 1}},
                {"Sequence": {"id": "B", "type_id": 1}},
            ],
            "special_tokens": {BOS: {"id": BOS, "ids": [1], "tokens": [BOS]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": UNK,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: i for i, piece in enumerate(vocabulary)},
            "merges": [list(m) for m in merges],
        },
    }


def _added(index: int, token: str) -> dict:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": index, "content": token, **flags}
