"""Tokenizers made on the spot from the prompts in tests/data, by the libraries that ours is compared with.

Convention: a recipe returns a `tokenizers.Tokenizer`; `plant` gives it LLaMA's layout of ids.
"""

import io
import json
import struct
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
TASK_NAMES = (
    "empty very_short short long very_long tag_to_long long_to_tag short_to_tag short_to_long "
    "tag_to_short_to_long short_to_tag_to_long short_to_long_to_tag gen_meta"
)
TASK_TOKENS = [f"<|{name}|>" for name in TASK_NAMES.split()]

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
TAIL = r"\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|" + TAIL
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
    r"| ?[\p{P}\p{S}]+[\r\n]*|" + TAIL,
)

ODD_TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    "   two blanks  before   and after   ",
    "a\tb\r\nc\x0bd\x0ce\x1cf\x85g\u2028h\u3000i\u200bj\u00a0k",
    "It's we'LL I'M they'Ve don'T 'ſ 'S''",
    "12345678 1,234.56 ½ Ⅻ ٣٤ ①② 1girl 2girls 4k",
    "初音ミク、夜空。한국어 العربية हिन्दी ไทย Ελληνικά",
    "🌙✨ 👩‍👩‍👧‍👦 🏳️‍🌈 🫠 🫨 🇯🇵 e\u0301 é ﬁ Ａ",
    "((masterpiece:1.2)), [[x]] <lora:y:0.8> {a|b} __c__ \\(d\\) snake_case_tag, ^_^, >_<",
    "https://example.com/?q=a+b&c=%20#frag",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "\x00\x01\x7f\ufffd\ufeff\U0010ffff",
]


def prompts():
    """2,192 prompts: the natural ones and the tag ones."""
    lines = [line for name in ("prompts.txt", "tag_prompts.txt") for line in _lines(DATA / name)]
    return [line.replace("\\n", "\n") for line in lines]


def _lines(path):
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def byte_level(patterns, *, vocab=1200, normalizer=None, special=("<|bos|>", "<|eos|>", *TASK_TOKENS)):
    """A trained byte-level BPE in the style of Qwen, LLaMA 3 or DeepSeek; special tokens come last."""
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
    )
    from tokenizers.trainers import BpeTrainer

    out = Tokenizer(models.BPE())
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    out.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    if normalizer:
        out.normalizer = getattr(normalizers, normalizer)()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    out.train_from_iterator(
        prompts(), BpeTrainer(vocab_size=vocab, initial_alphabet=alphabet, show_progress=False)
    )
    out.decoder = decoders.ByteLevel()
    out.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    if special:
        first = special[0]
        template = processors.TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, out.token_to_id(first))]
        )
        out.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return out


def llama(*, style="legacy", vocab=1000, normalized=False):
    """A trained BPE in LLaMA 2's style: ▁, byte fallback, `<s>` first; TIPO's task tokens behind."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers.trainers import BpeTrainer

    out = Tokenizer(models.BPE(unk_token="<unk>"))
    out.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    trainer = BpeTrainer(vocab_size=vocab, limit_alphabet=80, show_progress=False, special_tokens=["<unk>"])
    out.train_from_iterator((line for text in prompts() for line in text.split("\n")), trainer)
    spec = json.loads(out.to_str())
    trained = [token for token in spec["model"]["vocab"] if token != "<unk>"]
    ids = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *trained]
    spec["model"].update(
        vocab={token: index for index, token in enumerate(ids)}, byte_fallback=True, fuse_unk=True
    )
    spec["added_tokens"] = []
    out = Tokenizer.from_str(json.dumps(spec))
    if style == "legacy":
        out.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        out.pre_tokenizer = None
    else:
        out.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=style, split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    out.decoder = decoders.Sequence([*steps, *([] if style == "never" else [decoders.Strip(" ", 1, 0)])])
    out.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")]
    )
    out.add_tokens([AddedToken(token, normalized=normalized) for token in TASK_TOKENS])
    out.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return out


def sentencepiece_model(**changes):
    """The bytes of a trained sentencepiece tokenizer.model with LLaMA's settings."""
    import sentencepiece

    target = io.BytesIO()
    settings = {
        "model_type": "bpe",
        "vocab_size": 900,
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "character_coverage": 0.99,
        "user_defined_symbols": ["<|user|>", "hair"],
        "split_digits": True,
        "num_threads": 1,
        "minloglevel": 2,
    }
    lines = (line for text in prompts() for line in text.split("\n"))
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=target, **{**settings, **changes}
    )
    return target.getvalue()


def varint(value):
    """A protobuf number."""
    value &= (1 << 64) - 1
    out = b""
    while True:
        value, low = value >> 7, value & 127
        out += bytes([low | (128 if value else 0)])
        if not value:
            return out


def field(number, value):
    """A protobuf field: bytes, an int, or a float."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def tiny_sentencepiece(pieces, *, trainer=b"", normalizer=b""):
    """The bytes of a tokenizer.model with the given (text, score, type) pieces; of type BPE."""
    body = b"".join(
        field(1, field(1, text.encode()) + field(2, float(score)) + field(3, kind))
        for text, score, kind in pieces
    )
    return body + field(2, field(3, 2) + trainer) + field(3, field(1, b"identity") + normalizer)
