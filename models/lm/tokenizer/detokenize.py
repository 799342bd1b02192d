"""Decoders: tokens back to text, for a whole sequence and for one token in mid-text.

Convention: bytes that are not UTF-8 become U+FFFD. A decoder's `text` takes the tokens of a whole sequence,
so that a blank which the encoder put first is taken away; its `piece` is the bytes one token adds where it is
not the first.
Source: the `decoder` of tokenizer.json; behaviour checked against the tokenizers library 0.23.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import Any

from .pretokenize import build_replace, byte_alphabet, check_growth

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")

Chain = Callable[[list[str]], list[str]]
Piece = Callable[[str], "str | bytes"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """How tokens become text (`text`) and what one token adds in mid-text (`piece`)."""

    text: Callable[[Sequence[str]], str]
    piece: Callable[[str], bytes]


def build_decoder(spec: Mapping[str, Any] | None) -> Decoder:
    """Returns the decoder of a tokenizer.json; raises ValueError for a kind that is not supported."""
    if spec is None:
        return Decoder(" ".join, str.encode)
    steps = _steps(spec)

    def text(tokens: Sequence[str]) -> str:
        tokens = list(tokens)
        length = sum(map(len, tokens))
        for chain, _ in steps:
            tokens = chain(tokens)
            check_growth(length, sum(map(len, tokens)))
        return "".join(tokens)

    def piece(token: str) -> bytes:
        length = len(token)
        for _, step in steps:
            if isinstance(token, bytes):
                break
            token = step(token)
            check_growth(length, len(token))
        return token if isinstance(token, bytes) else token.encode()

    return Decoder(text, piece)


def sentencepiece_decoder(*, prefix: bool) -> Decoder:
    """Returns the decoder of sentencepiece's pieces (▁, `<0x..>`); `prefix` drops a text's first blank."""

    def piece(token: str) -> bytes:
        byte = _BYTE.fullmatch(token)
        return bytes([int(byte.group(1), 16)]) if byte else token.replace("▁", " ").encode()

    def text(tokens: Sequence[str]) -> str:
        out = b"".join(map(piece, tokens)).decode("utf-8", errors="replace")
        return out.removeprefix(" ") if prefix else out

    return Decoder(text, piece)


def _steps(spec: Mapping[str, Any]) -> list[tuple[Chain, Piece]]:
    kind = spec.get("type")
    if kind == "Sequence":
        return [pair for step in spec["decoders"] for pair in _steps(step)]
    if kind == "ByteLevel":
        return [(_byte_level_text, _byte_level_piece)]
    if kind == "ByteFallback":
        return [(_byte_fallback_text, _byte_fallback_piece)]
    if kind == "Fuse":
        return [(lambda tokens: ["".join(tokens)], _same)]
    if kind == "Replace":
        replace = build_replace(spec["pattern"], spec["content"])
        return [(lambda tokens: [replace(token) for token in tokens], replace)]
    if kind == "Strip":
        return [(_strip(spec["content"], spec.get("start", 0), spec.get("stop", 0)), _same)]
    if kind == "Metaspace":
        return [_metaspace(spec)]
    raise ValueError(
        "the tokenizer's decoder must be one of Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip and "
        f"Metaspace, got {kind!r}; convert the tokenizer or use another model file"
    )


def _same(token: str) -> str:
    return token


@lru_cache(maxsize=1)
def _alphabet_bytes() -> dict[str, int]:
    return {char: byte for byte, char in enumerate(byte_alphabet())}


def _byte_level_piece(token: str) -> bytes:
    table = _alphabet_bytes()
    found = [table.get(char) for char in token]
    return token.encode() if None in found else bytes(found)


def _byte_level_text(tokens: list[str]) -> list[str]:
    return [b"".join(map(_byte_level_piece, tokens)).decode("utf-8", errors="replace")]


def _byte_fallback_piece(token: str) -> str | bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte.group(1), 16)]) if byte else token


def _byte_fallback_text(tokens: list[str]) -> list[str]:
    pieces = map(_byte_fallback_piece, tokens)
    runs = [list(group) for _, group in groupby(pieces, key=lambda piece: isinstance(piece, bytes))]
    return [_strict(b"".join(run)) if isinstance(run[0], bytes) else "".join(run) for run in runs]


def _strict(data: bytes) -> str:
    """UTF-8 as a whole or one U+FFFD for every byte of the run."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return "\ufffd" * len(data)


def _strip(content: str, start: int, stop: int) -> Chain:
    def strip(token: str) -> str:
        left = 0
        while left < min(start, len(token)) and token[left] == content:
            left += 1
        right = len(token)
        while right > max(left, len(token) - stop) and token[right - 1] == content:
            right -= 1
        return token[left:right]

    return lambda tokens: [strip(token) for token in tokens]


def _metaspace(spec: Mapping[str, Any]) -> tuple[Chain, Piece]:
    mark = spec.get("replacement", "▁")
    scheme = spec.get("prepend_scheme") or ("always" if spec.get("add_prefix_space", True) else "never")

    def text(tokens: list[str]) -> list[str]:
        first = [token.replace(mark, " " if scheme == "never" else "") for token in tokens[:1]]
        return first + [token.replace(mark, " ") for token in tokens[1:]]

    return text, lambda token: token.replace(mark, " ")
