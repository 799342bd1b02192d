import json
import random
from contextlib import suppress
from functools import lru_cache

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers_for_tests import (
    DEEPSEEK,
    GPT2,
    LLAMA3,
    ODD_TEXTS,
    TASK_TOKENS,
    byte_level,
    field,
    llama,
    prompts,
    sentencepiece_model,
    tiny_sentencepiece,
)

from presample.models.lm.tokenizer import Tokenizer, load_tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="the tokenizers library is what ours is compared with")

REQUEST = "rating: safe\ntarget: <|long|> <|short_to_tag|>\nshort: A girl stands.\ntag: 1girl, solo"
TEXTS = [*prompts(), *ODD_TEXTS, REQUEST, "<|long|>", "x<|long|><|short|>  y", "<s>a</s> b", "a<|lon|>"]

RECIPES = {
    "gpt2": lambda: byte_level([GPT2]),
    "llama 3": lambda: byte_level([LLAMA3]),
    "qwen with NFC": lambda: byte_level([LLAMA3.replace("{1,3}", "")], normalizer="NFC"),
    "deepseek": lambda: byte_level(DEEPSEEK),
    "llama 2, legacy": lambda: llama(style="legacy"),
    "llama 2, legacy, normalized task tokens": lambda: llama(style="legacy", normalized=True),
    "llama 2, first": lambda: llama(style="first"),
    "llama 2, always": lambda: llama(style="always", normalized=True),
    "llama 2, never": lambda: llama(style="never"),
}
THREE = ("deepseek", "llama 2, legacy", "llama 2, first")


@pytest.fixture(scope="session")
def pairs():
    """Theirs and ours, for every recipe, made when first asked for."""
    made = {}

    def pair(name):
        if name not in made:
            theirs = RECIPES[name]()
            made[name] = theirs, ours_of(theirs)
        return made[name]

    return pair


def ours_of(theirs, **config):
    return Tokenizer.from_json(json.loads(theirs.to_str()), config=config)


@pytest.mark.parametrize("name", RECIPES)
def test_ids_and_text_are_those_of_the_tokenizers_library(pairs, name):
    theirs, ours = pairs(name)
    assert len(TEXTS) > 2000
    expected = [encoding.ids for encoding in theirs.encode_batch(TEXTS)]
    assert [ours.encode(text) for text in TEXTS] == expected
    assert [ours.encode(text, bos=False) for text in TEXTS] == [
        encoding.ids for encoding in theirs.encode_batch(TEXTS, add_special_tokens=False)
    ]
    plain = [ids for text, ids in zip(TEXTS, expected, strict=True) if "<|" not in text]
    assert [ours.decode(ids) for ids in plain] == theirs.decode_batch(plain)
    assert ours.vocab_size == theirs.get_vocab_size()


letters = st.text(max_size=12)
ordinary = st.text().filter(lambda text: not any(token in text for token in ("<s>", "</s>", "<unk>", "<|")))
anything = st.lists(
    st.one_of(
        letters, st.sampled_from(TASK_TOKENS), st.sampled_from([" ", "  ", "\n", "▁", "<s>", "'s", "1girl, "])
    )
).map("".join)


@pytest.mark.parametrize("name", THREE)
@given(text=anything)
@example(text="▁▁ ▁")
@example(text=" <|long|> ")
@example(text="\U0001fae8 \U000323af𝟙")
def test_any_text_has_the_ids_of_the_tokenizers_library(pairs, name, text):
    theirs, ours = pairs(name)
    assert ours.encode(text) == theirs.encode(text).ids


@pytest.mark.parametrize("name", THREE)
@given(data=st.data())
def test_any_ids_have_the_text_of_the_tokenizers_library(pairs, name, data):
    theirs, ours = pairs(name)
    control = {ours.special[token] for token in TASK_TOKENS}
    ids = st.integers(0, ours.vocab_size + 5).filter(lambda token: token not in control)
    sample = data.draw(st.lists(st.one_of(ids, st.integers(0, 300)), max_size=30))
    assert ours.decode(sample) == theirs.decode(sample)


@pytest.mark.parametrize("name", ["deepseek", "llama 2, legacy", "llama 2, never"])
@given(text=ordinary)
@example(text=" lead\n\n  🌙 初音ミク\t")
def test_text_survives_encoding_and_decoding(pairs, name, text):
    _, ours = pairs(name)
    assert ours.decode(ours.encode(text)) == text.replace("▁", " " if "llama" in name else "▁")


@pytest.mark.parametrize("name", THREE)
@given(text=ordinary)
def test_pieces_in_mid_text_join_to_the_text(pairs, name, text):
    _, ours = pairs(name)
    whole = b"".join(map(ours.piece, ours.encode("x" + text)))
    assert whole.decode() == (" x" if "llama" in name else "x") + text.replace(
        "▁", " " if "llama" in name else "▁"
    )


flags = st.fixed_dictionaries(
    {flag: st.booleans() for flag in ("single_word", "lstrip", "rstrip", "normalized", "special")}
)
words = st.lists(
    st.sampled_from(["<a>", "<ab>", "<a", "b>", "<<a>", " ", "\u3000", "\x1c", "é", "_", "1", "x", "▁"])
)


@pytest.mark.parametrize("name", ["llama 2, legacy", "llama 2, first"])
@given(added=st.lists(flags, min_size=3, max_size=3), text=words.map("".join))
def test_flags_of_added_tokens_mean_what_they_mean_in_the_tokenizers_library(pairs, name, added, text):
    theirs = tokenizers.Tokenizer.from_str(pairs(name)[0].to_str())
    for content, chosen in zip(("<a>", "<ab>", "<<a"), added, strict=True):
        theirs.add_tokens([tokenizers.AddedToken(content, **chosen)])
    assert ours_of(theirs).encode(text) == theirs.encode(text).ids


# ---- folders


def save(folder, theirs, **config):
    (folder / "tokenizer.json").write_text(theirs.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "bos", "eos"), [("deepseek", "<|bos|>", "<|eos|>"), ("llama 2, first", "<s>", "</s>")]
)
def test_a_folder_gives_the_ids_of_transformers(pairs, tmp_path, name, bos, eos):
    transformers = pytest.importorskip("transformers", reason="transformers is what ours is compared with")
    names = {"bos_token": bos, "eos_token": eos, "pad_token": eos}
    save(
        tmp_path,
        pairs(name)[0],
        tokenizer_class="PreTrainedTokenizerFast",
        clean_up_tokenization_spaces=False,
        **names,
    )
    theirs, ours = transformers.AutoTokenizer.from_pretrained(str(tmp_path)), load_tokenizer(tmp_path)
    assert [ours.encode(text) for text in TEXTS] == theirs(TEXTS)["input_ids"]
    for ids in map(ours.encode, [text for text in TEXTS if "<|" not in text][::7]):
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)
    assert (ours.bos, ours.eos, ours.pad) == (theirs.bos_token_id, theirs.eos_token_id, theirs.pad_token_id)


def test_bos_and_eos_are_found_without_a_configuration(pairs):
    for name, bos, eos in (("deepseek", "<|bos|>", "<|eos|>"), ("llama 2, legacy", "<s>", "</s>")):
        ours = pairs(name)[1]
        assert (ours.bos, ours.eos) == (ours.special[bos], ours.special[eos])
        assert ours.prefix == (ours.bos,)


def test_tokens_named_only_beside_the_tokenizer_are_found(tmp_path):
    theirs = byte_level([GPT2], vocab=300, special=())
    size = theirs.get_vocab_size()
    entry = {"content": "<|end|>", "special": True, "normalized": False}
    save(tmp_path, theirs, eos_token="<|end|>", added_tokens_decoder={str(size): entry})
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|more|>": size + 1}), encoding="utf-8")
    ours = load_tokenizer(tmp_path)
    assert ours.encode("a<|more|>b<|end|>", bos=False)[1::2] == [size + 1, size] == [size + 1, ours.eos]
    assert ours.prefix == ()


def test_a_converted_tokenizer_that_swallows_blanks_gives_way_to_the_original(pairs, tmp_path):
    original = sentencepiece_model()
    (tmp_path / "tokenizer.model").write_bytes(original)
    (tmp_path / "tokenizer.json").write_text(pairs("llama 2, legacy")[0].to_str(), encoding="utf-8")
    assert load_tokenizer(tmp_path).vocab_size == pairs("llama 2, legacy")[1].vocab_size
    swallows = pairs("llama 2, legacy, normalized task tokens")[0].to_str()
    (tmp_path / "tokenizer.json").write_text(swallows, encoding="utf-8")
    assert load_tokenizer(tmp_path).vocab_size == Tokenizer.from_sentencepiece(original).vocab_size


def test_a_folder_without_a_tokenizer_says_what_it_needs(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json or a tokenizer\.model"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"model": {}}', '{"model": {"type": "BPE", "vocab": []}}', "\xff"]
)
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "tokenizer.json").write_text(content, encoding="latin-1")
    with pytest.raises(ValueError, match=r"tokenizer\.json"):
        load_tokenizer(tmp_path)


# ---- sentencepiece


@pytest.fixture(scope="module")
def trained():
    spm = pytest.importorskip("sentencepiece", reason="sentencepiece is what ours is compared with")
    data = sentencepiece_model()
    return spm.SentencePieceProcessor(model_proto=data), data


def test_a_sentencepiece_model_gives_the_ids_and_text_of_sentencepiece(trained):
    theirs, data = trained
    ours = Tokenizer.from_sentencepiece(data)
    texts = [text for text in TEXTS if "<s>" not in text]
    assert [ours.encode(text, bos=False) for text in texts] == theirs.encode(texts)
    assert [ours.decode(ids) for ids in theirs.encode(texts)] == theirs.decode(theirs.encode(texts))
    assert (ours.bos, ours.eos, ours.pad, ours.prefix) == (1, 2, None, (1,))


@given(text=anything.map(lambda text: text.replace("<s>", "<|user|>hair")))
def test_any_text_has_the_ids_of_sentencepiece(trained, text):
    theirs, data = trained
    ours = made_once(data)
    assert ours.encode(text, bos=False) == theirs.encode(text)


@lru_cache(maxsize=1)
def made_once(data):
    return Tokenizer.from_sentencepiece(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"byte_fallback": False, "user_defined_symbols": []},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True},
    ],
)
def test_settings_of_a_sentencepiece_model_are_obeyed(changes):
    spm = pytest.importorskip("sentencepiece", reason="sentencepiece is what ours is compared with")
    data = sentencepiece_model(vocab_size=600, **changes)
    theirs, ours = spm.SentencePieceProcessor(model_proto=data), Tokenizer.from_sentencepiece(data)
    texts = [text for text in TEXTS if "<s>" not in text and "\x00" not in text]
    assert [ours.encode(text, bos=False) for text in texts] == theirs.encode(texts)


@pytest.mark.parametrize("legacy", [True, False])
def test_task_tokens_beside_a_sentencepiece_model_cut_the_text_before_it_is_encoded(
    trained, tmp_path, legacy
):
    theirs, data = trained
    size = theirs.get_piece_size()
    entry = {"lstrip": False, "rstrip": False, "normalized": True, "special": False, "single_word": False}
    added = {str(size + i): {"content": token, **entry} for i, token in enumerate(TASK_TOKENS)}
    config = {"legacy": legacy, "added_tokens_decoder": added, "pad_token": {"content": "</s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "tokenizer.model").write_bytes(data)
    ours = load_tokenizer(tmp_path)
    assert [ours.special[token] - size for token in TASK_TOKENS] == list(range(13))
    assert ours.pad == ours.eos
    head, gap, tail = "rating: safe\ntarget: ", " ", "\nshort: A girl stands.\ntag: 1girl, solo"
    plain = (lambda text: theirs.encode(text)) if legacy else (lambda text: without_prefix(theirs, text))
    cut = [1, *theirs.encode(head), size + 3, *plain(gap), size + 7, *plain(tail)]
    assert ours.encode(REQUEST) == cut


def without_prefix(theirs, text):
    """What follows an unknown word: sentencepiece puts its ▁ before the first one only."""
    lead = theirs.encode("<|user|>")
    whole = theirs.encode("<|user|>" + text)
    assert whole[: len(lead)] == lead
    return whole[len(lead) :]


NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
TINY = [
    ("<unk>", 0, UNKNOWN),
    ("<s>", 0, CONTROL),
    ("</s>", 0, CONTROL),
    ("▁", -1, NORMAL),
    ("a", -2, NORMAL),
]


def test_pieces_of_equal_score_merge_from_the_left():
    spm = pytest.importorskip("sentencepiece", reason="sentencepiece is what ours is compared with")
    pieces = [*TINY, ("b", -3, NORMAL), ("ab", -4, NORMAL), ("ba", -4, NORMAL), ("aba", -4, NORMAL)]
    data = tiny_sentencepiece(pieces, normalizer=field(4, 0))
    theirs, ours = spm.SentencePieceProcessor(model_proto=data), Tokenizer.from_sentencepiece(data)
    rng = random.Random(0)
    for text in ["".join(rng.choices("ab ", k=rng.randint(1, 12))) for _ in range(300)]:
        assert ours.encode(text, bos=False) == theirs.encode(text)


def test_an_unknown_run_is_one_token_without_byte_fallback():
    ours = Tokenizer.from_sentencepiece(tiny_sentencepiece(TINY, normalizer=field(4, 0)))
    assert ours.encode("aXYZa") == [1, 3, 4, 0, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no pieces"),
        (b"not a model at all", "sentencepiece"),
        (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "sentencepiece"),
        (tiny_sentencepiece(TINY)[:-3], "damaged"),
        (tiny_sentencepiece(TINY, trainer=field(3, 1)), "must be of type bpe, got unigram"),
        (tiny_sentencepiece(TINY, normalizer=field(2, b"map")), "identity normalizer"),
        (tiny_sentencepiece(TINY, trainer=field(3, 2) + field(41, 10**6)), "vocabulary, got 1000000"),
        (tiny_sentencepiece([*TINY, ("a" * 513, 0, NORMAL)]), "512 characters"),
    ],
)
def test_a_model_that_cannot_be_read_says_why(data, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.from_sentencepiece(data)


@given(data=st.binary(max_size=60), at=st.integers(0, 200))
def test_a_mangled_model_is_a_value_error_or_a_tokenizer(data, at):
    whole = tiny_sentencepiece(TINY)
    for mangled in (data, whole[:at] + data + whole[at + len(data) :]):
        with suppress(ValueError):
            Tokenizer.from_sentencepiece(mangled)


# ---- what is not supported, and what is extreme


def small_spec(**changes):
    vocab = {"a": 0, "b": 1, "ab": 2}
    return {
        "model": {"type": "BPE", "vocab": vocab, "merges": ["a b"], **changes.pop("model", {})},
        **changes,
    }


def opening(token):
    return {"type": "RobertaProcessing", "cls": ["<s>", token], "sep": ["</s>", 1]}


def template(ids):
    single = [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}]
    return {"type": "TemplateProcessing", "single": single, "special_tokens": {"x": {"ids": ids}}}


def split_at(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated"}


def replacing(text, content):
    return {"type": "Replace", "pattern": {"String": text}, "content": content}


def in_sequence(name, steps):
    return {"type": "Sequence", name: steps}


def nested(depth):
    step = {"type": "NFC"}
    for _ in range(depth):
        step = in_sequence("normalizers", [step])
    return step


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"model": {"type": "Unigram", "vocab": []}}, "must hold a BPE model, got Unigram"),
        (small_spec(model={"merges": ["a c"]}), "merge 0"),
        (small_spec(model={"merges": ["a b c"]}), "merge 0"),
        (small_spec(model={"merges": [7]}), "merge 0"),
        (small_spec(model={"vocab": {"a": -1}}), "token id"),
        (small_spec(model={"vocab": {"a": 1 << 40}}), "token id"),
        (small_spec(model={"vocab": {}}), "empty"),
        (small_spec(model={"end_of_word_suffix": "</w>"}), "end_of_word_suffix"),
        (small_spec(model={"dropout": 0.1}), "dropout"),
        (small_spec(normalizer={"type": "Precompiled"}), "normalizer.*Precompiled"),
        (small_spec(pre_tokenizer={"type": "BertPreTokenizer"}), "pre_tokenizer.*BertPreTokenizer"),
        (
            small_spec(pre_tokenizer={"type": "Metaspace", "prepend_scheme": "never ever"}),
            "always, first or never",
        ),
        (small_spec(decoder={"type": "CTC"}), "decoder.*CTC"),
        (small_spec(added_tokens=[{"id": 3}]), "damaged"),
        *((small_spec(added_tokens=[{"id": x, "content": "x"}]), "token id") for x in (-5, "3", 1 << 40)),
        *(
            (small_spec(post_processor=opening(x)), "of the tokenizer's vocabulary, got")
            for x in (3, -1, "a")
        ),
        (small_spec(post_processor=opening([0])), "damaged"),
        (small_spec(post_processor=template([10**9])), "of the tokenizer's vocabulary, got 1000000000"),
        (small_spec(post_processor=template([0] * 17)), "at most 16 tokens, got 17"),
        (small_spec(pre_tokenizer={"type": "Metaspace", "replacement": ""}), "one character for a blank"),
        (small_spec(pre_tokenizer=split_at("(a|a)+$")), "take very long"),
        (small_spec(normalizer=replacing("a", "b" * 257)), "at most 256 characters"),
        (small_spec(normalizer=replacing("a", 5)), "at most 256 characters, got 5"),
        (small_spec(normalizer={"type": "Prepend", "prepend": "b" * 257}), "at most 256 characters"),
        (small_spec(normalizer=in_sequence("normalizers", [{"type": "NFC"}] * 1_000)), "at most 16384"),
        (small_spec(normalizer=nested(5_000)), "damaged|at most 16384"),
    ],
)
def test_what_is_not_supported_is_a_clear_error(spec, message):
    with pytest.raises(ValueError, match=message):
        Tokenizer.from_json(spec)


def test_steps_that_make_ever_more_of_a_text_are_stopped():
    steps = [replacing("a", "a" * 100)] * 3
    normalizing = Tokenizer.from_json(small_spec(normalizer=in_sequence("normalizers", steps)))
    with pytest.raises(ValueError, match="must not make 10000 characters of 1; its file is damaged"):
        normalizing.encode("a")
    decoding = Tokenizer.from_json(small_spec(decoder=in_sequence("decoders", steps)))
    for write in (lambda: decoding.decode([0, 1]), lambda: decoding.piece(0)):
        with pytest.raises(ValueError, match=r"must not make \d+ characters of \d"):
            write()
    allowed = Tokenizer.from_json(small_spec(normalizer={"type": "NFKC"}))
    assert allowed.encode("\ufdfa" * 5_000) == []


def test_merges_may_be_strings_or_pairs():
    assert Tokenizer.from_json(small_spec()).encode("aab") == [0, 2]
    assert Tokenizer.from_json(small_spec(model={"merges": [["a", "b"]]})).encode("aab") == [0, 2]


def test_a_word_of_the_vocabulary_may_skip_the_merges():
    plain = small_spec(model={"vocab": {"a": 0, "b": 1, "ab": 2, "bab": 3}})
    assert Tokenizer.from_json(plain).encode("bab") == [1, 2]
    plain["model"]["ignore_merges"] = True
    assert Tokenizer.from_json(plain).encode("bab") == [3]


@pytest.mark.parametrize("name", THREE)
@pytest.mark.parametrize("unit", ["a", "hair", "long hair, ", " ", "\n", "字", "🌙", "<", "<|", "<|long|>"])
def test_a_hundred_thousand_characters_are_no_trouble(pairs, name, unit):
    theirs, ours = pairs(name)
    text = (unit * (100_000 // len(unit) + 1))[:100_000]
    assert ours.encode(text) == theirs.encode(text).ids


def test_the_word_cache_does_not_grow_without_bound(pairs):
    from presample.models.lm.tokenizer import bpe

    ours = Tokenizer.from_json(json.loads(pairs("deepseek")[0].to_str()))
    rng = random.Random(3)
    for _ in range(3):
        ours.encode(" ".join("".join(rng.choices("abcdefghij", k=9)) for _ in range(bpe.CACHED_WORDS // 2)))
    assert 0 < len(ours._parts.model._cache) <= bpe.CACHED_WORDS


def test_lone_surrogates_count_as_replacement_characters(pairs):
    _, ours = pairs("deepseek")
    assert ours.encode("a\ud83d b") == ours.encode("a\ufffd b")
    assert ours.encode("\ud83c\udf19") == ours.encode("🌙")


def test_control_tokens_add_no_text_whatever_their_flags(pairs):
    for name in ("deepseek", "llama 2, legacy"):
        _, ours = pairs(name)
        long = ours.special["<|long|>"]
        assert ours.piece(long) == b"" == ours.piece(ours.bos) == ours.piece(10**9)
        assert ours.decode([ours.bos, *ours.encode("hat", bos=False), long, ours.eos, 10**9]) == "hat"
        assert ours.token(long) == "<|long|>"
        assert ours.token(10**9) is None
