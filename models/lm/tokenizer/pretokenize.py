"""Normalizers and pre-tokenizers: what happens to text before its pieces meet the vocabulary.

Convention: a normalizer is `str -> str`; a stage is `(pieces, at_start) -> pieces`, where `at_start` says
that the first piece begins where the whole text begins. Removed pieces become "", so that the first one keeps
its place.
Source: the tokenizer.json format; behaviour checked against the tokenizers library 0.23.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from .pattern import compile_pattern, ranges_to_class
from .unicode import WHITE_SPACE, category_ranges, union

Normalizer = Callable[[str], str]
Stage = Callable[[list[str], bool], list[str]]

GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_MAX_TEXT = 256  # characters
_BEHAVIORS = ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")


@lru_cache(maxsize=1)
def byte_alphabet() -> tuple[str, ...]:
    """The character that stands for each of the 256 bytes in a byte-level vocabulary (GPT-2's table)."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = (byte for byte in range(256) if byte not in visible)
    table = {byte: chr(byte) for byte in visible}
    table.update((byte, chr(0x100 + index)) for index, byte in enumerate(hidden))
    return tuple(table[byte] for byte in range(256))


# ---- normalizers


def build_normalizer(spec: Mapping[str, Any] | None) -> Normalizer:
    """Returns the normalizer of a tokenizer.json; raises ValueError for a kind that is not supported.

    What it returns raises ValueError, too, where a text would grow without end.
    """
    steps = [] if spec is None else _normalizers(spec)

    def normalize(text: str) -> str:
        length = len(text)
        for step in steps:
            text = step(text)
            check_growth(length, len(text))
        return text

    return normalize


def check_growth(before: int, after: int) -> None:
    """Raises ValueError where the steps of a tokenizer make far more characters of a text than it had."""
    if after > 32 * before + 1_024:
        raise ValueError(
            f"the tokenizer must not make {after} characters of {before}; its file is damaged, get it again"
        )


def _normalizers(spec: Mapping[str, Any]) -> list[Normalizer]:
    if spec.get("type") == "Sequence":
        return [step for inner in spec["normalizers"] for step in _normalizers(inner)]
    return [_normalizer(spec)]


def _normalizer(spec: Mapping[str, Any]) -> Normalizer:
    kind = spec.get("type")
    if kind == "Prepend":
        prefix = _text(spec["prepend"])
        return lambda text: prefix + text if text else text
    if kind == "Replace":
        return build_replace(spec["pattern"], spec["content"])
    if kind in ("NFC", "NFD", "NFKC", "NFKD"):
        return lambda text: unicodedata.normalize(kind, text)
    if kind == "Lowercase":
        return lambda text: "".join(map(str.lower, text))
    if kind == "Strip":
        return _strip(spec.get("strip_left", True), spec.get("strip_right", True))
    raise ValueError(
        "the tokenizer's normalizer must be one of Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, "
        f"Lowercase and Strip, got {kind!r}; convert the tokenizer or use another model file"
    )


def build_replace(pattern: Mapping[str, str] | str, content: str) -> Normalizer:
    """Returns a function that puts `content` for every match of a `{"String": …}` or `{"Regex": …}`."""
    content = _text(content)
    if isinstance(pattern, str):
        return lambda text: text.replace(pattern, content)
    if "String" in pattern:
        plain = _text(pattern["String"])
        return lambda text: text.replace(plain, content)
    found = compile_pattern(pattern["Regex"])
    return lambda text: found.sub(lambda _: content, text)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ValueError(
            f"a tokenizer's step must state a text of at most {_MAX_TEXT} characters, got {repr(value)[:80]}"
        )
    return value


def _strip(left: bool, right: bool) -> Normalizer:
    def normalize(text: str) -> str:
        text = text.lstrip(WHITE_SPACE) if left else text
        return text.rstrip(WHITE_SPACE) if right else text

    return normalize


# ---- pre-tokenizers


def build_pretokenizer(spec: Mapping[str, Any] | None) -> Stage:
    """Returns the pre-tokenizer of a tokenizer.json; raises ValueError for a kind that is not supported."""
    if spec is None:
        return lambda pieces, at_start: pieces
    kind = spec.get("type")
    build = _BUILDERS.get(kind)
    if build is None:
        raise ValueError(
            f"the tokenizer's pre_tokenizer must be one of {', '.join(_BUILDERS)}, got {kind!r}; "
            "convert the tokenizer or use another model file"
        )
    return build(spec)


def split_stage(pattern: str | re.Pattern[str], *, behavior: str = "Isolated", invert: bool = False) -> Stage:
    """Returns a stage that cuts pieces at the matches of a pattern, in one of the five usual ways."""
    if behavior not in _BEHAVIORS:
        raise ValueError(f"a Split must have one of the behaviours {', '.join(_BEHAVIORS)}, got {behavior!r}")
    found = compile_pattern(pattern) if isinstance(pattern, str) else pattern
    if behavior == "Isolated":
        return lambda pieces, at_start: [part for piece in pieces for part in _isolate(found, piece)]

    def stage(pieces: list[str], at_start: bool) -> list[str]:
        return [part for piece in pieces for part in _behave(_partition(found, piece, invert), behavior)]

    return stage


def byte_level_stage(*, add_prefix_space: bool = False, use_regex: bool = False) -> Stage:
    """Returns the stage that spells every piece in the byte alphabet, after GPT-2's split if `use_regex`."""
    table = dict(enumerate(byte_alphabet()))
    split = split_stage(GPT2_SPLIT) if use_regex else None

    def stage(pieces: list[str], at_start: bool) -> list[str]:
        if add_prefix_space:
            pieces = [" " + piece if piece and not piece.startswith(" ") else piece for piece in pieces]
        if split:
            pieces = split(pieces, at_start)
        return [piece.encode().decode("latin-1").translate(table) for piece in pieces]

    return stage


def in_sequence(stages: Iterable[Stage]) -> Stage:
    """Returns the stage that runs the given ones one after another."""
    steps = tuple(stages)

    def stage(pieces: list[str], at_start: bool) -> list[str]:
        for step in steps:
            pieces = step(pieces, at_start)
        return pieces

    return stage


def _spans(found: re.Pattern[str], text: str) -> Iterable[tuple[int, int]]:
    """The matches as Oniguruma finds them: behind an empty one the search goes on with the next character."""
    at: int | None = 0
    while at is not None and at <= len(text):
        begin, at = at, None
        for match in found.finditer(text, begin):
            yield match.span()
            if match.end() == match.start():
                at = match.end() + 1
                break


def _isolate(found: re.Pattern[str], text: str) -> Iterable[str]:
    end = 0
    for start, stop in _spans(found, text):
        if start > end:
            yield text[end:start]
        if stop > start:
            yield text[start:stop]
        end = stop
    if end < len(text):
        yield text[end:]


def _partition(found: re.Pattern[str], text: str, invert: bool) -> list[tuple[str, bool]]:
    """The text cut at every match, each part with whether it is a delimiter."""
    parts, end = [], 0
    for start, stop in _spans(found, text):
        if start > end:
            parts.append((text[end:start], invert))
        parts.append((text[start:stop], not invert))
        end = stop
    if end < len(text):
        parts.append((text[end:], invert))
    return parts


def _behave(parts: list[tuple[str, bool]], behavior: str) -> list[str]:
    if behavior == "Isolated":
        return [text for text, _ in parts]
    if behavior == "Removed":
        return ["" if delimiter else text for text, delimiter in parts]
    if behavior == "MergedWithNext":
        backward = _behave([(text[::-1], delimiter) for text, delimiter in parts[::-1]], "MergedWithPrevious")
        return [text[::-1] for text in backward[::-1]]
    out: list[list[str]] = []
    previous = False
    for text, delimiter in parts:
        joined = delimiter == previous if behavior == "Contiguous" else delimiter and not previous
        if joined and out:
            out[-1].append(text)
        else:
            out.append([text])
        previous = delimiter
    return ["".join(group) for group in out]


def _split(spec: Mapping[str, Any]) -> Stage:
    pattern = spec["pattern"]
    source = pattern["Regex"] if "Regex" in pattern else re.escape(pattern["String"])
    return split_stage(source, behavior=spec["behavior"], invert=bool(spec.get("invert", False)))


def _byte_level(spec: Mapping[str, Any]) -> Stage:
    return byte_level_stage(
        add_prefix_space=spec.get("add_prefix_space", True), use_regex=spec.get("use_regex", True)
    )


def _digits(spec: Mapping[str, Any]) -> Stage:
    return split_stage(r"\p{N}" if spec.get("individual_digits", False) else r"\p{N}+")


def _punctuation(spec: Mapping[str, Any]) -> Stage:
    ascii_marks = ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E))
    marks = ranges_to_class(union((*ascii_marks, *category_ranges("P"))))
    return split_stage(re.compile(f"[{marks}]"), behavior=spec.get("behavior", "Isolated"))


def _metaspace(spec: Mapping[str, Any]) -> Stage:
    mark = spec.get("replacement", "▁")
    scheme = spec.get("prepend_scheme") or ("always" if spec.get("add_prefix_space", True) else "never")
    if len(mark) != 1:
        raise ValueError(f"a Metaspace must put one character for a blank, got {mark!r}")
    if scheme not in ("always", "first", "never"):
        raise ValueError(f"a Metaspace must prepend always, first or never, got {scheme!r}")
    cut = (
        re.compile(f"{re.escape(mark)}?[^{re.escape(mark)}]+|{re.escape(mark)}")
        if spec.get("split", True)
        else None
    )

    def stage(pieces: list[str], at_start: bool) -> list[str]:
        out: list[str] = []
        for index, piece in enumerate(pieces):
            piece = piece.replace(" ", mark)
            wanted = scheme == "always" or (scheme == "first" and at_start and index == 0)
            if wanted and piece and not piece.startswith(mark):
                piece = mark + piece
            out += cut.findall(piece) if cut else [piece]
        return out

    return stage


_BUILDERS: dict[str, Callable[[Mapping[str, Any]], Stage]] = {
    "Sequence": lambda spec: in_sequence([build_pretokenizer(step) for step in spec["pretokenizers"]]),
    "Split": _split,
    "ByteLevel": _byte_level,
    "Digits": _digits,
    "Punctuation": _punctuation,
    "Metaspace": _metaspace,
    "WhitespaceSplit": lambda spec: split_stage(r"\s+", behavior="Removed"),
    "Whitespace": lambda spec: split_stage(
        r"[\w\u200c\u200d]+|[^\w\s\u200c\u200d]+", behavior="Removed", invert=True
    ),
}
