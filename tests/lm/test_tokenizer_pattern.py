import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers_for_tests import DEEPSEEK, GPT2, LLAMA3, ODD_TEXTS, prompts

from presample.models.lm.tokenizer import unicode
from presample.models.lm.tokenizer.detokenize import build_decoder
from presample.models.lm.tokenizer.pattern import compile_pattern
from presample.models.lm.tokenizer.pretokenize import build_normalizer, build_pretokenizer

tokenizers = pytest.importorskip("tokenizers", reason="the tokenizers library is what ours is compared with")
pre_tokenizers = tokenizers.pre_tokenizers

UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
PATTERNS = [
    GPT2,
    LLAMA3,
    *DEEPSEEK,
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{{N}}{{1,3}}|[^\s\p{{L}}\p{{N}}]+[\r\n/]*",
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+",
    r"\w+|[^\w\s]+",
    r"\b\d{1,3}\b|\B.",
    r"(?=(\d{3})+(?!\d))",
    r"(?<=[a-z])(?=[A-Z1-9])|\s",
    r"[\u4e00-\u9fff\x41-C]+|\P{L}|\p{^Lu}x",
    r"[\]\[\\^-]|[^\W\d]+?_|(?:a|b){2,}|(?<word>o{1,2}?)|(?>ab?)b",
    r"^\s*|\s*$|\t|\S\D",
    r"[-a-c-]+|[\p{P}$+<=>^~|`]+|(?i:k)|[^\w]",
]


# What a text can make take very long: powers, and the product of two lengths or more.
ENDLESS = [
    *(
        r"(a|a)+$",
        r"(a+)+$",
        r"(x+x+)+y",
        r"(?:a|b)*c",
        r"(?:a{1,2}){1,99}!",
        r"(a?){30}a{30}",
        "a?" * 30 + "a" * 30,
    ),
    *(r".*.*x", r"(?=.*.*x)", r"(?>a*)*b", r"[^!]*(?=[^!]*)!", r"(?:a(?=[^!]*))*!", r"(\s*[\r\n]+|\s+)!"),
    *(
        r"(?:(?!\w*\w*!).)*",
        r"\w*\w*(?!x?)",
        r"((?>[ab]{2,}+\w)b)?+",
        r"(?:(a+)+b){0}",
        "a*!|" * 21,
        r"\w+\s+\w+\s+!",
        r"a{0,200}a{0,200}b",
    ),
]


def split(pattern, text):
    theirs = pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated").pre_tokenize_str(text)
    spec = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}
    ours = build_pretokenizer(spec)([text], True)
    return [piece for piece in ours if piece], [piece for piece, _ in theirs]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_cuts_where_oniguruma_cuts(pattern):
    for text in [*prompts()[::9], *ODD_TEXTS]:
        ours, theirs = split(pattern, text)
        assert ours == theirs


@pytest.mark.parametrize("pattern", ENDLESS)
def test_a_pattern_that_a_text_can_make_take_very_long_is_refused(pattern):
    with pytest.raises(ValueError, match=re.escape(repr(pattern)) + ".* take very long"):
        compile_pattern(pattern)


def test_a_pattern_has_a_largest_size():
    with pytest.raises(ValueError, match="at most 2000 characters, got 2001"):
        compile_pattern("a" * 2_001)
    with pytest.raises(ValueError, match="too many large classes"):
        compile_pattern(r"\w" * 200)


@pytest.mark.parametrize("pattern", [LLAMA3, DEEPSEEK[2], r"\w+|[^\w\s]+"])
@given(text=st.text())
def test_any_text_is_cut_where_oniguruma_cuts(pattern, text):
    ours, theirs = split(pattern, text)
    assert ours == theirs


@pytest.mark.parametrize(
    "pattern",
    [
        *("(", ")", "[a", "\\", "*", "a**b(", "(" * 60 + ")" * 60, "[b-a]", "a{2}?", "(?<=a+)b"),
        *(r"\p{Han}", r"\p{}", r"\p", r"\1", r"\k<a>", r"\x{110000}", r"\xg"),
        *("[a&&b]", "[[:alpha:]]", "(?#x)", "(?x:a)", "(?i)a"),
    ],
)
def test_a_pattern_that_has_no_equal_in_python_is_a_value_error_that_quotes_it(pattern):
    with pytest.raises(
        ValueError, match=re.escape(repr(pattern)) if "p{" not in pattern else "general category|pattern"
    ):
        compile_pattern(pattern)


# Every character but those well inside the large uniform blocks, and private use: 62,000 of 1,112,064.
EVERYTHING = [range(0x3500), range(0x4DA0, 0x4E10), range(0x9FE0, 0xAC10), range(0xD790, 0xD800)]
EVERYTHING += [
    range(0xF8F0, 0x13500),
    range(0x14390, 0x14700),
    range(0x16700, 0x17010),
    range(0x18700, 0x20010),
]
EVERYTHING += [
    range(0x2A6D0, 0x2A710),
    range(0x2B730, 0x2B830),
    range(0x2CE90, 0x2CEC0),
    range(0x2EBD0, 0x2EC00),
]
EVERYTHING += [
    range(0x2EE50, 0x2EE60),
    range(0x2F7F0, 0x30010),
    range(0x31340, 0x31360),
    range(0x323A0, 0x323C0),
]
EVERYTHING = [code for block in (*EVERYTHING, range(0xE0000, 0xE01F0)) for code in block]


def members(pattern):
    """Every character of those that a class of Oniguruma's holds."""
    cut = pre_tokenizers.Split(tokenizers.Regex(pattern + "+"), "removed", invert=True)
    pieces = cut.pre_tokenize_str("".join(map(chr, EVERYTHING)))
    return {ord(char) for piece, _ in pieces for char in piece}


@pytest.fixture(scope="module")
def known():
    """Characters that the library's tables already have; an older one knows fewer."""
    return set(EVERYTHING) - members(r"\p{Cn}")


@pytest.mark.parametrize("name", ["L", "M", "N", "P", "S", "Lu", "Ll", "Lt", "Lm", "Lo", "Nd"])
def test_a_category_has_the_characters_that_oniguruma_gives_it(known, name):
    ours = {code for first, last in unicode.category_ranges(name) for code in range(first, last + 1)}
    assert ours & known == members(rf"\p{{{name}}}")


def test_blanks_and_word_characters_are_those_of_oniguruma(known):
    assert set(map(ord, unicode.WHITE_SPACE)) == members(r"\s")
    words = {code for first, last in unicode.word_ranges() for code in range(first, last + 1)}
    assert words & known == members(r"[\w]")
    latin = {code for first, last in unicode.WORD_LATIN for code in range(first, last + 1)}
    assert (words | latin) & known == members(r"\w")


def test_categories_do_not_depend_on_the_age_of_the_interpreter(monkeypatch):
    expected = unicode._runs()
    since = {
        code
        for text in unicode._SINCE_14.values()
        for a, b in unicode._parse(text)
        for code in range(a, b + 1)
    }
    young = unicodedata.category
    monkeypatch.setattr(
        unicodedata, "category", lambda char: "Cn" if ord(char) in since else young(char), raising=True
    )
    unicode._runs.cache_clear()
    try:
        assert unicode._runs() == expected
    finally:
        unicode._runs.cache_clear()


BEHAVIORS = {
    "Removed": "removed",
    "Isolated": "isolated",
    "MergedWithPrevious": "merged_with_previous",
    "MergedWithNext": "merged_with_next",
    "Contiguous": "contiguous",
}


@pytest.mark.parametrize("behavior", BEHAVIORS)
@pytest.mark.parametrize("invert", [False, True])
@given(text=st.text("ab.-\n", max_size=20))
def test_the_five_ways_to_cut_are_those_of_the_library(behavior, invert, text):
    for pattern in ("Regex", "[-.]"), ("String", "."):
        key, source = pattern
        wrapped = tokenizers.Regex(source) if key == "Regex" else source
        theirs = pre_tokenizers.Split(wrapped, BEHAVIORS[behavior], invert=invert).pre_tokenize_str(text)
        spec = {"type": "Split", "pattern": {key: source}, "behavior": behavior, "invert": invert}
        ours = build_pretokenizer(spec)([text], True)
        assert [piece for piece in ours if piece] == [piece for piece, _ in theirs]


def stages():
    p = pre_tokenizers
    yield p.ByteLevel(add_prefix_space=True, use_regex=True)
    yield p.ByteLevel(add_prefix_space=False, use_regex=True)
    yield p.Digits(individual_digits=True)
    yield p.Digits(individual_digits=False)
    yield p.Punctuation()
    yield p.Punctuation("merged_with_previous")
    yield p.Whitespace()
    yield p.WhitespaceSplit()
    for scheme in ("always", "first", "never"):
        yield p.Metaspace("▁", prepend_scheme=scheme, split=True)
        yield p.Metaspace("_", prepend_scheme=scheme, split=False)
    yield p.Sequence([p.WhitespaceSplit(), p.Metaspace("▁", prepend_scheme="first"), p.Digits(True)])


@pytest.mark.parametrize("stage", stages(), ids=str)
@given(text=st.text("aé1½ ▁_.、\n\x1c\u3000🌙"))
def test_every_pre_tokenizer_gives_the_pieces_of_the_library(stage, text):
    ours = build_pretokenizer(state(stage))([text], True)
    assert [piece for piece in ours if piece] == [piece for piece, _ in stage.pre_tokenize_str(text)]


def state(part):
    """What a part of a tokenizer looks like in tokenizer.json."""
    import json

    return json.loads(part.__getstate__())


def normalizers():
    n = tokenizers.normalizers
    yield from (n.NFC(), n.NFD(), n.NFKC(), n.NFKD(), n.Lowercase(), n.Prepend("▁"), n.Replace(" ", "▁"))
    yield from (n.Strip(True, False), n.Strip(False, True), n.Replace(tokenizers.Regex(r"\s+"), r"\1"))
    yield n.Sequence([n.Strip(True, True), n.Prepend("x"), n.Replace("a", "bb")])


@pytest.mark.parametrize("normalizer", normalizers(), ids=str)
@given(text=st.text("aA éÉe\u0301ﬁΣς½ \n\x1c\u3000가İ"))
def test_every_normalizer_gives_the_text_of_the_library(normalizer, text):
    assert build_normalizer(state(normalizer))(text) == normalizer.normalize_str(text)


def decoders():
    d = tokenizers.decoders
    yield from (d.ByteLevel(), d.ByteFallback(), d.Fuse(), d.Replace("▁", " "), d.Strip(" ", 2, 0))
    yield from (d.Metaspace("▁", prepend_scheme="always"), d.Metaspace("▁", prepend_scheme="never"))
    yield d.Sequence([d.Replace("▁", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])


tokens = st.lists(
    st.sampled_from(["▁", "▁▁a", "a", " ", "  b ", "Ġx", "Ċ", "<0x0A>", "<0xF0>", "<0x9F>", "<0xe9>", "é"])
)


@pytest.mark.parametrize("decoder", decoders(), ids=str)
@given(sample=tokens)
def test_every_decoder_gives_the_text_of_the_library(decoder, sample):
    assert build_decoder(state(decoder)).text(sample) == decoder.decode(sample)


def test_without_a_decoder_tokens_are_joined_by_blanks():
    assert build_decoder(None).text(["a", "b"]) == "a b"
