"""Reads a sentencepiece `tokenizer.model`: pieces with scores, and the few settings that matter for encoding.

Convention: a protobuf message is bytes; `_fields` yields its (number, value) pairs, length-delimited values
as bytes.
Source: sentencepiece_model.proto of google/sentencepiece; the protobuf encoding guide.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_MODEL_TYPES = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}
_FIXED = {1: 8, 5: 4}

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """The vocabulary in order of ids. `prefix` puts a ▁ before a text, `tidy` drops needless blanks."""

    pieces: tuple[str, ...]
    scores: tuple[float, ...]
    types: tuple[int, ...]
    unknown: int
    bos: int
    eos: int
    pad: int
    byte_fallback: bool
    prefix: bool
    tidy: bool


def read_sentencepiece(data: bytes) -> SentencePieceModel:
    """Returns the model in the bytes of a `tokenizer.model`.

    Raises ValueError where the bytes are not such a file, where the model is not BPE, or where it needs a
    character map or whitespace as a suffix, neither of which LLaMA's family uses.
    """
    try:
        pieces, trainer, normalizer = _messages(data)
        model = SentencePieceModel(
            pieces=tuple(text for text, _, _ in pieces),
            scores=tuple(score for _, score, _ in pieces),
            types=tuple(kind for _, _, kind in pieces),
            unknown=_signed(trainer.get(40, 0)),
            bos=_signed(trainer.get(41, 1)),
            eos=_signed(trainer.get(42, 2)),
            pad=_signed(trainer.get(43, -1)),
            byte_fallback=bool(trainer.get(35, 0)),
            prefix=bool(normalizer.get(3, 1)),
            tidy=bool(normalizer.get(4, 1)),
        )
    except (AttributeError, IndexError, TypeError, UnicodeDecodeError, struct.error) as error:
        raise ValueError(
            f"not a sentencepiece model, or a damaged one ({error}); download it again"
        ) from error
    if not pieces:
        raise ValueError("not a sentencepiece model: it has no pieces; download the file again")
    _refuse(trainer, normalizer)
    return model


def _messages(data: bytes) -> tuple[list[tuple[str, float, int]], dict, dict]:
    """The pieces, the trainer's settings and the normalizer's settings."""
    pieces, trainer, normalizer = [], {}, {}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(value))
        elif number == 2:
            trainer = dict(_fields(value))
        elif number == 3:
            normalizer = dict(_fields(value))
    return pieces, trainer, normalizer


def _refuse(trainer: dict, normalizer: dict) -> None:
    kind = _MODEL_TYPES.get(trainer.get(3, 1), "unknown")
    if kind != "bpe":
        raise ValueError(
            f"a sentencepiece model must be of type bpe, got {kind}; "
            "use the model's tokenizer.json or GGUF file instead"
        )
    if normalizer.get(2):
        raise ValueError(
            "a sentencepiece model must have the identity normalizer, got one with a character map; "
            "use the model's tokenizer.json or GGUF file instead"
        )
    if trainer.get(24, 0) or not normalizer.get(5, 1):
        raise ValueError(
            "a sentencepiece model must mark blanks as ▁ before words; this one does not. "
            "Use the model's tokenizer.json or GGUF file instead"
        )


def _piece(data: bytes) -> tuple[str, float, int]:
    text, score, kind = "", 0.0, NORMAL
    for number, value in _fields(data):
        if number == 1:
            text = value.decode("utf-8")
        elif number == 2:
            (score,) = struct.unpack("<f", value)
        elif number == 3:
            kind = value
    return text, score, kind


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of one protobuf message; raises IndexError where it ends early or is not one."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
        elif wire == 2:
            length, at = _varint(data, at)
            value = data[at : at + length]
            at += length
        elif wire in _FIXED:
            value = data[at : at + _FIXED[wire]]
            at += _FIXED[wire]
        else:
            raise IndexError(f"wire type {wire} at byte {at}")
        if at > end:
            raise IndexError(f"field {key >> 3} ends {at - end} bytes behind the data")
        yield key >> 3, value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for shift in range(7, 70, 7):
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
    raise IndexError(f"a number longer than ten bytes at byte {at}")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
