"""Pre-tokenizers that GGUF files name in `tokenizer.ggml.pre`: patterns, in the order in which they cut.

Convention: patterns are in Oniguruma syntax, as the tokenizer.json of each model family states them.
Source: the published tokenizers of the families; the table of names as llama.cpp reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .pretokenize import GPT2_SPLIT

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_TAIL}"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_QWEN35 = _QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+", rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
_MARKS = rf" ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_TAIL}"
_TEKKEN = rf"{_CASED[0]}|{_CASED[1]}|\p{{N}}|{_MARKS}"
_GPT4O = rf"{_CASED[0]}{_CONTRACTIONS}?|{_CASED[1]}{_CONTRACTIONS}?|\p{{N}}{{1,3}}|{_MARKS}"
_DEEPSEEK3 = (
    r"\p{N}{1,3}",
    r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{_TAIL}",
)


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """Patterns that cut in turn; whether whole words skip the merges; whether BOS opens by default."""

    patterns: tuple[str, ...]
    whole_words: bool = False
    opens: bool = False


_DEFAULT = PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT2_SPLIT, r"\p{N}+", "[0-9][0-9][0-9]"))
_GPT2 = PreTokenizer((GPT2_SPLIT,))
_DIGITS = PreTokenizer((r"\p{N}", GPT2_SPLIT))
_LLAMA = PreTokenizer((_LLAMA3,), whole_words=True, opens=True)
_TABLE = {
    ("default",): _DEFAULT,
    ("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "modern-bert", "exaone4"): _GPT2,
    ("starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"): _DIGITS,
    ("llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "lfm2"): _LLAMA,
    ("dbrx", "smaug-bpe", "chatglm-bpe"): PreTokenizer((_LLAMA3,)),
    ("glm4", "glm5"): PreTokenizer((_LLAMA3,), whole_words=True),
    ("qwen2", "deepseek-r1-qwen", "stablelm2", "megrez", "hunyuan", "grok-2", "solar-open"): PreTokenizer(
        (_QWEN2,)
    ),
    ("qwen35",): PreTokenizer((_QWEN35,)),
    ("deepseek-coder",): PreTokenizer(
        (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", r"[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}")
    ),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm"): PreTokenizer(_DEEPSEEK3),
    ("falcon",): PreTokenizer((r"[\p{P}\$\+<=>\^~\|`]+", GPT2_SPLIT, "[0-9][0-9][0-9]")),
    ("tekken",): PreTokenizer((_TEKKEN,), whole_words=True, opens=True),
    ("gpt-4o", "llama4", "kanana2", "minimax-m2"): PreTokenizer((_GPT4O,)),
}


def choose_pretokenizer(name: str, tokens: Sequence[str], *, chosen: bool = False) -> PreTokenizer:
    """The pre-tokenizer that a GGUF file names; raises ValueError for a name that is not known.

    TIPO v2 files say `default`, but the model was trained on DeepSeek's tokenizer cut to 64,000 tokens with
    BOS, EOS and PAD behind them. Such a vocabulary gets the pre-tokenizer it was trained with, unless the
    name was `chosen`.
    """
    known = {key: rules for keys, rules in _TABLE.items() for key in keys}
    trained = tuple(tokens[64000:64003]) == ("<|bos|>", "<|eos|>", "<|pad|>")
    if name == "default" and trained and not chosen:
        name = "deepseek-v3"
    if name not in known:
        raise ValueError(
            f"tokenizer.ggml.pre must be one of {', '.join(sorted(known))}, got {name!r}; "
            "put the model's tokenizer.json beside the file"
        )
    return known[name]
