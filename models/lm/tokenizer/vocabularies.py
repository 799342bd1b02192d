"""The parts of a tokenizer from each place where one is kept: tokenizer.json, tokenizer.model, GGUF metadata.

Convention: `config` is tokenizer_config.json over special_tokens_map.json, with added_tokens.json under the
key `added_tokens`; all of it optional. Added tokens of a tokenizer.model or a GGUF file are found in the raw
text whatever their `normalized` flag says, which is what LlamaTokenizer and llama.cpp do; those of a
tokenizer.json obey the flag.
Source: tokenizers' and sentencepiece's formats; the GGUF specification, section tokenizer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .added_tokens import AddedToken
from .bpe import BPE, check_ids, ranked_merges, scored_merges
from .detokenize import Decoder, build_decoder, sentencepiece_decoder
from .ggml_pretokenizers import choose_pretokenizer
from .pretokenize import (
    Normalizer,
    Stage,
    build_normalizer,
    build_pretokenizer,
    byte_level_stage,
    in_sequence,
    split_stage,
)
from .sentencepiece import BYTE, CONTROL, NORMAL, UNKNOWN, USER_DEFINED, read_sentencepiece

# Names that say what they are, for tokenizer.json files that come without a tokenizer_config.json.
_BOS = ("<|bos|>", "<s>", "<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<bos>")
_EOS = ("<|eos|>", "</s>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "<eos>", "<|endoftext|>")
_PAD = ("<|pad|>", "<pad>", "<｜▁pad▁｜>")

MAX_PREFIX = 16  # tokens
MAX_STEPS = 1 << 14  # characters of JSON, which bounds how many steps there are and how deep they lie


@dataclass(frozen=True)
class Parts:
    """Everything a tokenizer is made of. `prefix` are the ids that open a sequence (BOS, or nothing)."""

    model: BPE
    names: Mapping[int, str]
    raw: tuple[tuple[str, AddedToken], ...]
    normalized: tuple[tuple[str, AddedToken], ...]
    normalize: Normalizer
    pretokenize: Stage
    decoder: Decoder
    prefix: tuple[int, ...]
    bos: int | None
    eos: int | None
    pad: int | None

    def __post_init__(self):
        check_ids(self.names)
        if len(self.prefix) > MAX_PREFIX:
            raise ValueError(
                f"a sequence may open with at most {MAX_PREFIX} tokens, got {len(self.prefix)}; "
                "the file is damaged"
            )
        for token in (*self.prefix, self.bos, self.eos, self.pad):
            if token is not None and (type(token) is not int or token not in self.names):
                raise ValueError(
                    "the tokens that open, end and fill a sequence must be of the tokenizer's vocabulary, "
                    f"got {token!r}; the file is damaged"
                )


# ---- tokenizer.json


def json_parts(spec: Mapping[str, Any], config: Mapping[str, Any]) -> Parts:
    """The parts of a tokenizer.json; raises ValueError where it is damaged or of a kind not supported."""
    try:
        return _json_parts(spec, config)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ValueError(
            f"the tokenizer.json is damaged or of an unknown form ({type(error).__name__}: {error}); "
            "download it again"
        ) from error


def _json_parts(spec: Mapping[str, Any], config: Mapping[str, Any]) -> Parts:
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        if len(json.dumps(spec.get(name))) > MAX_STEPS:
            raise ValueError(f"the tokenizer's {name} must have at most {MAX_STEPS} characters of JSON")
    model = _json_model(spec["model"])
    added = {token.content: token for token in map(_added, spec.get("added_tokens") or ())}
    added = {text: _with_id(token, model.vocab.get(text, token.id)) for text, token in added.items()}
    added |= {text: token for text, token in _config_tokens(config, model.vocab).items() if text not in added}
    names = _names(model.vocab, added)
    normalize = build_normalizer(spec.get("normalizer"))
    known = {text: token for token, text in names.items()}
    opening = _template_prefix(spec.get("post_processor"))
    bos = _named(config, "bos_token", _BOS, known)
    bos = opening[0] if opening and not config.get("bos_token") else bos
    if not opening and config.get("add_bos_token") and bos is not None:
        opening = (bos,)
    return Parts(
        model=model,
        names=names,
        raw=tuple((text, token) for text, token in added.items() if not token.normalized),
        normalized=tuple((normalize(text), token) for text, token in added.items() if token.normalized),
        normalize=normalize,
        pretokenize=build_pretokenizer(spec.get("pre_tokenizer")),
        decoder=build_decoder(spec.get("decoder")),
        prefix=opening,
        bos=bos,
        eos=_named(config, "eos_token", _EOS, known),
        pad=_named(config, "pad_token", _PAD, known),
    )


def _json_model(model: Mapping[str, Any]) -> BPE:
    kind = model.get("type") or ("BPE" if "merges" in model else "unknown")
    if kind != "BPE":
        raise ValueError(
            f"a tokenizer.json must hold a BPE model, got {kind}; use a model of the LLaMA or TIPO family"
        )
    for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(key):
            raise ValueError(
                f"a BPE model must have no {key}, got {model[key]!r}; this kind is not supported"
            )
    vocab = dict(model["vocab"])
    check_ids(vocab.values())
    return BPE(
        vocab,
        ranked_merges(vocab, model["merges"]),
        unknown=vocab.get(model.get("unk_token")),
        byte_fallback=bool(model.get("byte_fallback")),
        fuse_unknown=bool(model.get("fuse_unk")),
        whole_words=bool(model.get("ignore_merges")),
    )


def _template_prefix(spec: Mapping[str, Any] | None) -> tuple[int, ...]:
    """The ids that a post-processor puts before a text; a prompt goes without those behind."""
    if spec is None:
        return ()
    if spec["type"] == "Sequence":
        return tuple(token for step in spec["processors"] for token in _template_prefix(step))
    if spec["type"] in ("RobertaProcessing", "BertProcessing"):
        return (spec["cls"][1],)
    if spec["type"] != "TemplateProcessing":
        return ()
    opening: list[int] = []
    for item in spec["single"]:
        if "SpecialToken" not in item:
            break
        opening += spec["special_tokens"][item["SpecialToken"]["id"]]["ids"]
    return tuple(opening)


# ---- tokenizer.model


def sentencepiece_parts(data: bytes, config: Mapping[str, Any]) -> Parts:
    """The parts of a sentencepiece tokenizer.model; raises ValueError as `read_sentencepiece` does."""
    model = read_sentencepiece(data)
    vocab = {text: token for token, text in enumerate(model.pieces)}
    added = {
        text: AddedToken(text, token, special=True)
        for token, (text, kind) in enumerate(zip(model.pieces, model.types, strict=True))
        if kind in (CONTROL, UNKNOWN)
    }
    added |= _config_tokens(config, vocab)
    symbols = tuple(
        (text, AddedToken(text, token))
        for token, (text, kind) in enumerate(zip(model.pieces, model.types, strict=True))
        if kind == USER_DEFINED and text not in added
    )
    names = _names(vocab, added)
    known = {text: token for token, text in names.items()}
    bos = _named(config, "bos_token", (), known, model.bos)
    prefix = model.prefix and config.get("add_prefix_space") is not False
    legacy = config.get("legacy") is not False
    normalize = _blanks(prefix=prefix and legacy, tidy=model.tidy)
    return Parts(
        model=_scored_model(model.pieces, model.scores, model.types, model.unknown, model.byte_fallback),
        names=names,
        raw=tuple(added.items()),
        normalized=symbols,
        normalize=normalize,
        pretokenize=_prefix_once if prefix and not legacy else build_pretokenizer(None),
        decoder=sentencepiece_decoder(prefix=prefix),
        prefix=(bos,) if bos is not None and config.get("add_bos_token", True) else (),
        bos=bos,
        eos=_named(config, "eos_token", (), known, model.eos),
        pad=_named(config, "pad_token", (), known, model.pad),
    )


def _scored_model(
    pieces: Sequence[str], scores: Sequence[float], types: Sequence[int], unknown: int, byte_fallback: bool
) -> BPE:
    """A BPE model over scored pieces: only normal ones come from merges; bytes are spelled."""
    facts = list(zip(pieces, range(len(pieces)), map(float, scores), types, strict=True))
    vocab = {text: token for text, token, _, kind in facts if kind in (NORMAL, BYTE)}
    return BPE(
        vocab,
        scored_merges((text, token, score) for text, token, score, kind in facts if kind == NORMAL),
        unknown=unknown if 0 <= unknown < len(pieces) else None,
        byte_fallback=byte_fallback,
        fuse_unknown=True,
    )


def _blanks(*, prefix: bool, tidy: bool) -> Normalizer:
    def normalize(text: str) -> str:
        if tidy:
            text = " ".join(filter(None, text.split(" ")))
        text = text.replace(" ", "▁")
        return "▁" + text if prefix and text else text

    return normalize


def _prefix_once(pieces: list[str], at_start: bool) -> list[str]:
    return ["▁" + pieces[0], *pieces[1:]] if at_start else pieces


# ---- GGUF metadata


def gguf_parts(metadata: Mapping[str, Any], pre: str | None) -> Parts:
    """The parts of the tokenizer in GGUF metadata; raises ValueError where it is none or of unknown kind."""
    try:
        return _gguf_parts(metadata, pre)
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"the tokenizer of the GGUF file is damaged ({type(error).__name__}: {error}); download it again"
        ) from error


def _gguf_parts(metadata: Mapping[str, Any], pre: str | None) -> Parts:
    kind = metadata.get("tokenizer.ggml.model")
    tokens = metadata.get("tokenizer.ggml.tokens")
    if kind not in ("llama", "gpt2") or not tokens:
        raise ValueError(
            f"a GGUF file must hold a tokenizer of the kind llama or gpt2 with its tokens, got {kind!r}; "
            "use another file of this model, or put its tokenizer.json beside it"
        )
    types = _per_token(metadata, "token_type", tokens)
    types = [NORMAL] * len(tokens) if types is None else [int(kind) for kind in types]
    added = {
        text: AddedToken(text, token, special=kind in (CONTROL, UNKNOWN))
        for token, (text, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (CONTROL, UNKNOWN, USER_DEFINED)
    }
    build = _gguf_llama if kind == "llama" else _gguf_gpt2
    return build(metadata, tokens, types, added, pre)


def _gguf_llama(
    metadata, tokens: Sequence[str], types: list[int], added: dict[str, AddedToken], pre
) -> Parts:
    scores = _per_token(metadata, "scores", tokens)
    if scores is None:
        raise ValueError(
            "a GGUF tokenizer of the kind llama must have tokenizer.ggml.scores; use another file"
        )
    prefix = bool(metadata.get("tokenizer.ggml.add_space_prefix", True))
    bos = _id(metadata, "bos_token_id", tokens, 1)
    return Parts(
        model=_scored_model(
            tokens, scores, types, _id(metadata, "unknown_token_id", tokens, 0) or 0, BYTE in types
        ),
        names=dict(enumerate(tokens)),
        raw=tuple(added.items()),
        normalized=(),
        normalize=_blanks(
            prefix=prefix, tidy=bool(metadata.get("tokenizer.ggml.remove_extra_whitespaces", False))
        ),
        pretokenize=build_pretokenizer(None),
        decoder=sentencepiece_decoder(prefix=prefix),
        prefix=(bos,) if bos is not None and metadata.get("tokenizer.ggml.add_bos_token", True) else (),
        bos=bos,
        eos=_id(metadata, "eos_token_id", tokens, 2),
        pad=_id(metadata, "padding_token_id", tokens, None),
    )


def _gguf_gpt2(metadata, tokens: Sequence[str], types: list[int], added: dict[str, AddedToken], pre) -> Parts:
    rules = choose_pretokenizer(
        pre or metadata.get("tokenizer.ggml.pre", "default"), tokens, chosen=pre is not None
    )
    vocab = {text: token for token, text in enumerate(tokens)}
    merges = metadata.get("tokenizer.ggml.merges")
    if not merges:
        raise ValueError(
            "a GGUF tokenizer of the kind gpt2 must have tokenizer.ggml.merges; use another file"
        )
    bos = _id(metadata, "bos_token_id", tokens, None)
    opens = metadata.get("tokenizer.ggml.add_bos_token", rules.opens)
    return Parts(
        model=BPE(vocab, ranked_merges(vocab, merges), whole_words=rules.whole_words),
        names=dict(enumerate(tokens)),
        raw=tuple(added.items()),
        normalized=(),
        normalize=build_normalizer(None),
        pretokenize=in_sequence([*map(split_stage, rules.patterns), byte_level_stage()]),
        decoder=build_decoder({"type": "ByteLevel"}),
        prefix=(bos,) if bos is not None and opens else (),
        bos=bos,
        eos=_id(metadata, "eos_token_id", tokens, None),
        pad=_id(metadata, "padding_token_id", tokens, None),
    )


def _per_token(metadata: Mapping[str, Any], key: str, tokens: Sequence[str]) -> Sequence[Any] | None:
    values = metadata.get(f"tokenizer.ggml.{key}")
    if values is not None and len(values) != len(tokens):
        raise ValueError(
            f"tokenizer.ggml.{key} must have {len(tokens)} entries, one for each token, got {len(values)}; "
            "the GGUF file is damaged"
        )
    return values


def _id(metadata: Mapping[str, Any], key: str, tokens: Sequence[str], default: int | None) -> int | None:
    token = metadata.get(f"tokenizer.ggml.{key}", default)
    return token if token is not None and 0 <= token < len(tokens) else None


# ---- what the three share


def _added(entry: Mapping[str, Any], token: int | None = None) -> AddedToken:
    flags = ("special", "single_word", "lstrip", "rstrip", "normalized")
    number = entry["id"] if token is None else token
    return AddedToken(entry["content"], number, **{flag: bool(entry.get(flag, False)) for flag in flags})


def _with_id(token: AddedToken, number: int) -> AddedToken:
    return token if token.id == number else AddedToken(**{**_fields(token), "id": number})


def _fields(token: AddedToken) -> dict[str, Any]:
    return {name: getattr(token, name) for name in AddedToken.__dataclass_fields__}


def _config_tokens(config: Mapping[str, Any], vocab: Mapping[str, int]) -> dict[str, AddedToken]:
    """Added tokens that the files beside the tokenizer name; with ids of their own or from the vocabulary."""
    found = {text: AddedToken(text, int(token)) for text, token in (config.get("added_tokens") or {}).items()}
    for number, entry in (config.get("added_tokens_decoder") or {}).items():
        found[entry["content"]] = _added(entry, int(number))
    names = [config.get(key) for key in ("bos_token", "eos_token", "unk_token", "pad_token")]
    for name in (*names, *(config.get("additional_special_tokens") or ())):
        text = _content(name)
        token = found.get(text)
        if token is not None:
            found[text] = AddedToken(**{**_fields(token), "special": True})
        elif text in vocab:
            found[text] = AddedToken(text, vocab[text], special=True)
    return found


def _content(name: str | Mapping[str, Any] | None) -> str | None:
    return name["content"] if isinstance(name, Mapping) else name


def _named(
    config: Mapping[str, Any],
    key: str,
    usual: Sequence[str],
    known: Mapping[str, int],
    default: int | None = None,
) -> int | None:
    """The id of BOS, EOS or PAD: as the configuration names it, else by a usual name, else the default."""
    if key in config:
        return known.get(_content(config[key]))
    found = next((known[name] for name in usual if name in known), default)
    return found if found is not None and found >= 0 else None


def _names(vocab: Mapping[str, int], added: Mapping[str, AddedToken]) -> dict[int, str]:
    return {token: text for text, token in vocab.items()} | {token.id: text for text, token in added.items()}
