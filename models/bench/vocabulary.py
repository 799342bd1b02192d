"""A made-up vocabulary of LLaMA's form and size, so that loading a tokenizer costs what it costs in life.

Three control tokens, 256 bytes, pieces of growing length with every merge that makes them, and at the end the
tokens that TIPO added. Source: the layout of LLaMA-2's tokenizer and section 1.3 of the specification.
"""

import itertools
import string
from collections.abc import Iterator

CONTROL = ("<unk>", "<s>", "</s>")
ADDED = 13
ALPHABET = "▁" + string.ascii_lowercase + string.digits + ",.!?:;()-_'\"/&"
FIRST_PIECE = len(CONTROL) + 256


def pieces(vocab_size: int) -> list[str]:
    """Returns the text of every token, in the order of their ids."""
    added = [f"<|added_{i}|>" for i in range(ADDED)]
    count = vocab_size - FIRST_PIECE - ADDED
    return [*CONTROL, *(f"<0x{i:02X}>" for i in range(256)), *itertools.islice(_grown(), count), *added]


def _grown() -> Iterator[str]:
    """Yields every single character, then all strings of two letters, of three, and so on."""
    yield from ALPHABET
    for length in itertools.count(2):
        for letters in itertools.product("▁" + string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def tokenizer_json(vocab_size: int) -> dict:
    """Returns the tokenizer as the dictionary of a tokenizer.json, which any loader of LLaMA's accepts."""
    tokens = pieces(vocab_size)
    vocab = {text: token for token, text in enumerate(tokens)}
    special = [*CONTROL, *tokens[-ADDED:]]
    blank = {"pattern": {"String": " "}, "content": "▁", "type": "Replace"}
    start = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    text, second = ({"Sequence": {"id": name, "type_id": kind}} for kind, name in enumerate("AB"))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(vocab[text], text) for text in special],
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, blank]},
        "pre_tokenizer": None,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [start, text],
            "pair": [start, text, second],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "vocab": vocab,
            "merges": list(_merges(vocab, tokens[FIRST_PIECE:-ADDED])),
        },
    }


def _added(token: int, text: str) -> dict:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": token, "content": text, **flags, "special": True}


def _merges(vocab: dict[str, int], grown: list[str]) -> Iterator[str]:
    for text in grown:
        for cut in range(1, len(text)):
            if text[:cut] in vocab and text[cut:] in vocab:
                yield f"{text[:cut]} {text[cut:]}"
