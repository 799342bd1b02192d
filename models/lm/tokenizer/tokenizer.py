"""Our own tokenizer: the ids of the tokenizers library, sentencepiece and llama.cpp, with none of them.

Convention: text -> added tokens in the raw text -> normalizer -> added tokens in the normalized text ->
pre-tokenizer -> BPE. Every added token in a text becomes its one id. Lone surrogates count as U+FFFD.
Source: the tokenizer.json format; section 1.3 of the specification for TIPO's special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .added_tokens import Matcher
from .vocabularies import Parts, gguf_parts, json_parts, sentencepiece_parts

MAX_FILE = 256 << 20


class Tokenizer:
    """Text to ids and back.

    `bos`, `eos` and `pad` are ids or None; `prefix` are the ids that `encode` puts first; `special` maps the
    text of every added token to its id.
    """

    def __init__(self, parts: Parts):
        self._parts = parts
        self._raw = Matcher(parts.raw)
        self._normalized = Matcher(parts.normalized)
        added = [token for _, token in (*parts.raw, *parts.normalized)]
        self.special: dict[str, int] = {token.content: token.id for token in added}
        self._control = frozenset(token.id for token in added if token.control)
        self.vocab_size = max(parts.model.size, *(token + 1 for token in parts.names))
        self.bos, self.eos, self.pad, self.prefix = parts.bos, parts.eos, parts.pad, parts.prefix

    @classmethod
    def from_json(cls, spec: Mapping[str, Any], *, config: Mapping[str, Any] | None = None) -> Tokenizer:
        """The tokenizer of a parsed tokenizer.json, with the facts of `read_config` if there are any.

        Raises ValueError where it is damaged, not BPE, or has a step that is not supported.
        """
        return cls(json_parts(spec, config or {}))

    @classmethod
    def from_sentencepiece(cls, data: bytes, *, config: Mapping[str, Any] | None = None) -> Tokenizer:
        """The tokenizer in the bytes of a sentencepiece tokenizer.model, with the facts of `read_config`.

        Raises ValueError where it is damaged or not BPE.
        """
        return cls(sentencepiece_parts(data, config or {}))

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, Any], *, pre: str | None = None) -> Tokenizer:
        """The tokenizer in the metadata of a GGUF file; `pre` overrides its `tokenizer.ggml.pre`.

        Raises ValueError where there is none or its kind is not supported.
        """
        return cls(gguf_parts(metadata, pre))

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """The ids of a text, after `prefix` if `bos`."""
        ids = list(self.prefix) if bos else []
        text = _without_surrogates(text)
        for part in self._raw.split(text):
            if isinstance(part, int):
                ids.append(part)
            else:
                start, end = part
                self._encode_plain(text[start:end], start == 0, ids)
        return ids

    def _encode_plain(self, text: str, at_start: bool, ids: list[int]) -> None:
        text = self._parts.normalize(text)
        encode = self._parts.model.encode
        for part in self._normalized.split(text):
            if isinstance(part, int):
                ids.append(part)
                continue
            start, end = part
            for piece in self._parts.pretokenize([text[start:end]], at_start and start == 0):
                ids += encode(piece)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of a sequence, without control tokens; bytes that are not UTF-8 become U+FFFD.

        Ids outside the vocabulary, which a padded output layer can produce, add nothing.
        """
        names = self._parts.names
        return self._parts.decoder.text(
            [names[i] for i in map(int, ids) if i in names and i not in self._control]
        )

    def piece(self, token: int) -> bytes:
        """The bytes that a token adds in mid-text; b"" for control tokens and ids outside the vocabulary."""
        name = self._parts.names.get(token)
        return b"" if name is None or token in self._control else self._parts.decoder.piece(name)

    def token(self, token: int) -> str | None:
        """The token as the vocabulary spells it, or None for an id outside it."""
        return self._parts.names.get(token)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model folder: its tokenizer.json, else its tokenizer.model, and the files beside it.

    A tokenizer.json that was converted from a tokenizer.model and looks for added tokens behind a ▁ swallows
    the blank before each of them, which the model never saw in training; then the tokenizer.model decides, if
    it is there.
    Raises FileNotFoundError where the folder has neither, ValueError where the file cannot be used; both name
    it.
    """
    folder = Path(folder)
    config = read_config(folder)
    fast, slow = folder / "tokenizer.json", folder / "tokenizer.model"
    if fast.is_file():
        spec = _read_json(fast)
        if not (slow.is_file() and _swallows_blanks(spec)):
            return _naming(fast, lambda: Tokenizer.from_json(spec, config=config))
    if slow.is_file():
        return _naming(slow, lambda: Tokenizer.from_sentencepiece(_read(slow), config=config))
    raise FileNotFoundError(
        f"a model folder must have a tokenizer.json or a tokenizer.model; {folder} has neither. "
        "Download the tokenizer files from the model's page into it"
    )


def read_config(folder: Path) -> dict[str, Any]:
    """What a folder says about its tokenizer beside the tokenizer itself; missing files add nothing.

    That is special_tokens_map.json under tokenizer_config.json, and added_tokens.json under the key
    `added_tokens`.
    """
    facts: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = Path(folder) / name
        found = _read_json(path) if path.is_file() else {}
        facts.update((key, value) for key, value in found.items() if value is not None)
    path = Path(folder) / "added_tokens.json"
    if path.is_file():
        facts["added_tokens"] = _read_json(path)
    return facts


def _swallows_blanks(spec: Mapping[str, Any]) -> bool:
    added = spec.get("added_tokens") or ()
    prepends = "Prepend" in json.dumps(spec.get("normalizer"))
    return prepends and any(token.get("normalized") and not token.get("special") for token in added)


def _naming(path: Path, build) -> Tokenizer:
    try:
        return build()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(path: Path) -> bytes:
    size = path.stat().st_size
    if size > MAX_FILE:
        raise ValueError(f"{path} must have at most {MAX_FILE} bytes, got {size}; it is no tokenizer file")
    return path.read_bytes()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_read(path).decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, but {error}; download it again") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} must hold a JSON object, got a {type(found).__name__}; download it again")
    return found


def _without_surrogates(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
