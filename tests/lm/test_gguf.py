import struct
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers_for_tests import (
    DEEPSEEK,
    GPT2,
    LLAMA3,
    ODD_TEXTS,
    TASK_TOKENS,
    byte_level,
    prompts,
    sentencepiece_model,
)

from presample.models.lm.dequantize import BLOCKS
from presample.models.lm.gguf import read_gguf
from presample.models.lm.tokenizer import Tokenizer

gguf = pytest.importorskip(
    "gguf", reason="the gguf package writes the files and is what ours is compared with"
)

TEXTS = [
    *prompts()[::3],
    *ODD_TEXTS[1:],
    "target: <|long|> <|short_to_tag|>\nshort: A girl.\ntag: 1girl, solo",
]
WHOLE = {
    "F32": np.float32,
    "F16": np.float16,
    "F64": np.float64,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
}


def write(path, *, metadata=None, tensors=None, raw=None, **options):
    """Writes a GGUF file with the gguf package: values by type, arrays, and raw quantised bytes."""
    writer = gguf.GGUFWriter(path, "llama", **options)
    for key, (kind, value) in (metadata or {}).items():
        getattr(writer, f"add_{kind}")(key, value)
    for name, array in (tensors or {}).items():
        writer.add_tensor(name, array)
    for name, (blocks, kind) in (raw or {}).items():
        writer.add_tensor(name, blocks, raw_dtype=gguf.GGMLQuantizationType[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


METADATA = {
    "a.u8": ("uint8", 200),
    "a.i8": ("int8", -3),
    "a.u16": ("uint16", 60000),
    "a.i16": ("int16", -300),
    "a.u32": ("uint32", 4_000_000_000),
    "a.i32": ("int32", -2_000_000_000),
    "a.u64": ("uint64", 2**63 + 1),
    "a.i64": ("int64", -(2**62)),
    "a.f32": ("float32", 0.5),
    "a.f64": ("float64", 1e300),
    "a.yes": ("bool", True),
    "a.text": ("string", "初音ミク 🌙"),
    "a.words": ("array", ["a", "", "é"]),
    "a.numbers": ("array", [1, -2, 3]),
    "a.floats": ("array", [0.5, -1.5]),
    "a.flags": ("array", [True, False]),
    "a.nested": ("array", [[1, 2], [3]]),
}


@pytest.fixture
def small(tmp_path):
    tensors = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.ones(3, dtype=np.float16)}
    return write(tmp_path / "small.gguf", metadata=METADATA, tensors=tensors)


def plain(value):
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [plain(item) for item in value] if isinstance(value, list) else value


def test_every_type_of_metadata_comes_back(small):
    found = read_gguf(small).metadata
    assert {key: plain(found[key]) for key in METADATA} == {
        key: value for key, (_, value) in METADATA.items()
    }
    assert found["general.architecture"] == "llama"
    assert type(found["a.yes"]) is bool
    assert type(found["a.u64"]) is int


def test_whole_tensors_come_back_in_torch_order(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {kind: (rng.normal(size=(2, 3, 5)) * 9).astype(dtype) for kind, dtype in WHOLE.items()}
    file = read_gguf(write(tmp_path / "whole.gguf", tensors=arrays))
    for kind, array in arrays.items():
        info, tensor = file.tensors[kind], file.load(kind)
        assert (info.shape, info.kind, info.nbytes) == ((2, 3, 5), kind, array.nbytes)
        assert torch.equal(tensor, torch.from_numpy(array))


def test_bfloat16_comes_back(tmp_path):
    values = torch.randn(4, 32).bfloat16()
    raw = values.view(torch.uint8).numpy()
    file = read_gguf(write(tmp_path / "b.gguf", raw={"x": (raw, "BF16")}))
    assert file.tensors["x"].kind == "BF16"
    assert torch.equal(file.load("x"), values)


HALVES = {
    "Q4_0": [0],
    "Q4_1": [0, 2],
    "Q5_0": [0],
    "Q5_1": [0, 2],
    "Q8_0": [0],
    "Q4_K": [0, 2],
    "Q5_K": [0, 2],
}
HALVES |= {"Q6_K": [208]}


def random_blocks(kind, rows, blocks, seed=0):
    """Random bytes of a quantised matrix, with scales that are ordinary numbers."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, (rows * blocks, BLOCKS[kind][1]), dtype=np.uint8)
    for at in HALVES[kind]:
        scales = rng.normal(0, 0.02, (rows * blocks, 1)).astype(np.float16)
        raw[:, at : at + 2] = scales.view(np.uint8)
    return raw.reshape(rows, -1)


@pytest.mark.parametrize("kind", BLOCKS)
def test_quantised_tensors_have_the_values_that_the_gguf_package_gives(tmp_path, kind):
    raw = random_blocks(kind, 70, 11)
    file = read_gguf(write(tmp_path / "q.gguf", raw={"w": (raw, kind)}))
    expected = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[kind])
    assert file.tensors["w"].shape == expected.shape == (70, 11 * BLOCKS[kind][0])
    assert torch.equal(file.load("w"), torch.from_numpy(expected))


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_quantising_and_reading_back_is_near_the_original(tmp_path, kind):
    values = np.random.default_rng(1).normal(size=(8, 96)).astype(np.float32)
    raw = gguf.quants.quantize(values, gguf.GGMLQuantizationType[kind])
    file = read_gguf(write(tmp_path / "q.gguf", raw={"w": (raw, kind)}))
    step = {"4": 0.5, "5": 0.25, "8": 0.03}[kind[1]]
    assert (file.load("w") - torch.from_numpy(values)).abs().max() < step


def test_writing_to_a_tensor_does_not_reach_the_file(small):
    before = small.read_bytes()
    read_gguf(small).load("w").zero_()
    assert small.read_bytes() == before


def test_a_tensor_outlives_its_file_object(small):
    tensor = read_gguf(small).load("w")
    assert tensor.sum() == 66


def test_a_missing_tensor_is_named(small):
    with pytest.raises(ValueError, match=r"small\.gguf must have a tensor 'nope', it has 2 others"):
        read_gguf(small).load("nope")


def test_an_odd_alignment_is_obeyed(tmp_path):
    path = tmp_path / "a.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_custom_alignment(128)
    writer.add_tensor("x", np.arange(3, dtype=np.float32))
    writer.add_tensor("y", np.arange(5, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    file = read_gguf(path)
    assert file.tensors["x"].offset % 128 == file.tensors["y"].offset % 128 == 0
    assert file.load("y").tolist() == [0, 1, 2, 3, 4]


def test_version_2_is_read_like_version_3(small):
    data = bytearray(small.read_bytes())
    data[4] = 2
    small.write_bytes(data)
    assert read_gguf(small).load("w").sum() == 66


# ---- files from strangers


def header(tensors=0, entries=0, body=b"", version=3):
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + body


def name(text):
    return struct.pack("<Q", len(text)) + text.encode()


def info(text, shape, kind=0, offset=0):
    return name(text) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}QIQ", *shape, kind, offset)


HUGE = 2**63 - 1
HOSTILE = {
    "empty": (b"", "only 0 bytes"),
    "short": (b"GGUF\x03", "only 5 bytes"),
    "another format": (b"PK\x03\x04" + b"\0" * 40, "begins with GGUF; it begins with b'PK"),
    "version 1": (header(version=1), "version 2 or 3, it is of version 1"),
    "version 4": (header(version=4), "of version 4"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "too many entries": (header(entries=HUGE), "are left"),
    "too many tensors": (header(tensors=HUGE), "are left"),
    "a long key": (header(entries=1, body=struct.pack("<Q", HUGE) + b"x" * 20), "characters of a string"),
    "a long string": (
        header(entries=1, body=name("k") + struct.pack("<IQ", 8, HUGE)),
        "characters of a string",
    ),
    "a long array": (header(entries=1, body=name("k") + struct.pack("<IIQ", 9, 0, HUGE)), "numbers need"),
    "many strings": (header(entries=1, body=name("k") + struct.pack("<IIQ", 9, 8, HUGE)), "array elements"),
    "a string behind the end": (
        header(entries=1, body=name("k") + struct.pack("<IIQQ", 9, 8, 1, 99)),
        "string 0 of 1 ends behind",
    ),
    "deep arrays": (
        header(entries=1, body=name("k") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 9, 1) * 9),
        "nested",
    ),
    "an unknown type": (
        header(entries=1, body=name("k") + struct.pack("<I", 77) + b"\0" * 8),
        "from 0 to 12, got 77",
    ),
    "a key twice": (header(entries=2, body=(name("k") + struct.pack("<IB", 0, 1)) * 2), "'k' comes twice"),
    "a tensor twice": (header(tensors=2, body=info("t", (1,)) * 2 + b"\0" * 64), "'t' comes twice"),
    "an odd alignment": (
        header(entries=1, body=name("general.alignment") + struct.pack("<II", 4, 33)),
        "power of two up to .*, got 33",
    ),
    "no alignment": (header(entries=1, body=name("general.alignment") + struct.pack("<II", 4, 0)), "got 0"),
    "alignment in words": (
        header(entries=1, body=name("general.alignment") + struct.pack("<I", 8) + name("32")),
        "got '32'",
    ),
    "five dimensions": (header(tensors=1, body=info("t", (1,) * 5)), "at most 4 dimensions, got 5"),
    "a huge tensor": (header(tensors=1, body=info("t", (HUGE, HUGE)) + b"\0" * 64), r"'t' \[.*\] F32 needs"),
    "a far tensor": (header(tensors=1, body=info("t", (1,), offset=HUGE) + b"\0" * 64), "needs 4 bytes from"),
    "a tensor cut short": (header(tensors=1, body=info("t", (64,)) + b"\0" * 64), "needs 256 bytes"),
    "tensors over each other": (
        header(tensors=3, body=info("a", (64,)) + info("b", (1,), offset=256) + info("c", (1,), offset=252))
        + b"\0" * 320,
        "must lie apart, 'c' begins in 'a'",
    ),
    "a tensor of nothing": (header(tensors=1, body=info("t", (0, HUGE)) + b"\0" * 64), "must hold numbers"),
    "an unknown kind": (header(tensors=1, body=info("t", (256,), kind=16) + b"\0" * 999), "F16 or Q8_0"),
    "part of a block": (header(tensors=1, body=info("t", (33,), kind=8) + b"\0" * 999), "multiples of 32"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_is_not_what_it_claims_is_a_value_error_that_names_it(tmp_path, case):
    data, message = HOSTILE[case]
    path = tmp_path / "from a stranger.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(ValueError, match=message) as error:
        read_gguf(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "from a stranger.gguf" in str(error.value)
    assert peak < 1 << 20


def test_a_missing_file_is_a_file_not_found_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_gguf(tmp_path / "nothing.gguf")


def test_a_file_cut_short_anywhere_is_a_value_error(small, tmp_path):
    whole = small.read_bytes()
    path = tmp_path / "cut.gguf"
    # The last tensor is padded; what matters ends at its last byte.
    end = max(entry.offset + entry.nbytes for entry in read_gguf(small).tensors.values())
    for length in [*range(0, end, 7), end - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.gguf"):
            read_gguf(path)
    path.write_bytes(whole[:end])
    assert read_gguf(path).load("w").sum() == 66


@settings(max_examples=300)
@given(data=st.data())
def test_any_damage_is_a_value_error_or_a_readable_file(tmp_path_factory, data):
    tensors = {"w": np.zeros((2, 32), dtype=np.float32)}
    path = tmp_path_factory.getbasetemp() / "damaged.gguf"
    whole = bytearray(write(path, metadata=METADATA, tensors=tensors).read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(whole) - 1))
        change = data.draw(st.binary(min_size=1, max_size=8))
        whole[at : at + len(change)] = change
    path.write_bytes(whole)
    message = ""
    try:
        file = read_gguf(path)
        for tensor in file.tensors:
            file.load(tensor)
    except ValueError as error:
        message = str(error)
    assert not message or "damaged.gguf" in message


# ---- tokenizers in metadata


def from_sentencepiece(data, **changes):
    """A GGUF tokenizer of the kind llama with the pieces of a sentencepiece model and the task tokens."""
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_proto=data)
    pieces = range(model.get_piece_size())
    types = [
        2 if model.is_unknown(i) else 3 if model.is_control(i) else 6 if model.is_byte(i) else 1
        for i in pieces
    ]
    return {
        "tokenizer.ggml.model": ("string", "llama"),
        "tokenizer.ggml.pre": ("string", "default"),
        "tokenizer.ggml.tokens": ("array", [*map(model.id_to_piece, pieces), *TASK_TOKENS]),
        "tokenizer.ggml.scores": ("array", [*map(model.get_score, pieces), *[-1000.0] * 13]),
        "tokenizer.ggml.token_type": ("array", [*types, *[4] * 13]),
        "tokenizer.ggml.bos_token_id": ("uint32", 1),
        "tokenizer.ggml.eos_token_id": ("uint32", 2),
        "tokenizer.ggml.unknown_token_id": ("uint32", 0),
        **changes,
    }


def from_byte_level(theirs, pre, **changes):
    """A GGUF tokenizer of the kind gpt2 with the vocabulary of a byte-level tokenizer."""
    import json

    spec = json.loads(theirs.to_str())
    added = {token["content"] for token in spec["added_tokens"]}
    tokens = sorted(theirs.get_vocab(), key=theirs.get_vocab().get)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in spec["model"]["merges"]]
    return {
        "tokenizer.ggml.model": ("string", "gpt2"),
        "tokenizer.ggml.pre": ("string", pre),
        "tokenizer.ggml.tokens": ("array", tokens),
        "tokenizer.ggml.token_type": ("array", [3 if token in added else 1 for token in tokens]),
        "tokenizer.ggml.merges": ("array", merges),
        "tokenizer.ggml.bos_token_id": ("uint32", theirs.token_to_id("<|bos|>")),
        "tokenizer.ggml.eos_token_id": ("uint32", theirs.token_to_id("<|eos|>")),
        "tokenizer.ggml.add_bos_token": ("bool", True),
        **changes,
    }


@pytest.fixture(scope="module")
def spm():
    pytest.importorskip("sentencepiece", reason="sentencepiece trains the vocabulary")
    return sentencepiece_model(user_defined_symbols=[])


def llama_ids(path, texts):
    """The ids that llama.cpp gives, special tokens parsed, BOS as the file says."""
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama.cpp is what ours is compared with")
    model = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    return [model.tokenize(text.encode(), add_bos=True, special=True) for text in texts]


@pytest.mark.parametrize("changes", [{}, {"tokenizer.ggml.add_space_prefix": ("bool", False)}])
def test_a_llama_vocabulary_gives_the_ids_of_llama_cpp(tmp_path, spm, changes):
    path = write(tmp_path / "v.gguf", metadata=from_sentencepiece(spm, **changes))
    ours = Tokenizer.from_gguf(read_gguf(path).metadata)
    assert [ours.encode(text) for text in TEXTS] == llama_ids(path, TEXTS)


def test_a_llama_vocabulary_gives_the_ids_and_text_of_sentencepiece(tmp_path, spm):
    import sentencepiece

    theirs = sentencepiece.SentencePieceProcessor(model_proto=spm)
    size = theirs.get_piece_size()
    ours = Tokenizer.from_gguf(
        read_gguf(write(tmp_path / "v.gguf", metadata=from_sentencepiece(spm))).metadata
    )
    texts = [text for text in TEXTS if "<|" not in text]
    assert [ours.encode(text, bos=False) for text in texts] == theirs.encode(texts)
    assert [ours.decode(ids) for ids in theirs.encode(texts)] == theirs.decode(theirs.encode(texts))
    assert (ours.bos, ours.eos, ours.pad, ours.prefix, ours.vocab_size) == (1, 2, None, (1,), size + 13)
    assert [ours.special[token] - size for token in TASK_TOKENS] == list(range(13))
    assert ours.piece(size) == b""


PRES = {
    "gpt-2": [GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "deepseek-v3": DEEPSEEK,
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "refact": [r"\p{N}", GPT2],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-\ud7ff]+", r"\p{N}"],
}


@pytest.fixture(scope="module")
def byte_levels():
    return {pre: byte_level(patterns, vocab=600) for pre, patterns in PRES.items()}


@pytest.mark.parametrize("pre", PRES)
def test_a_byte_level_vocabulary_gives_the_ids_of_tokenizers(tmp_path, byte_levels, pre):
    theirs = byte_levels[pre]
    ours = Tokenizer.from_gguf(
        read_gguf(write(tmp_path / "v.gguf", metadata=from_byte_level(theirs, pre))).metadata
    )
    assert [ours.encode(text) for text in TEXTS] == [encoding.ids for encoding in theirs.encode_batch(TEXTS)]
    assert all(ours.decode(ours.encode(text)) == text for text in TEXTS if "<|" not in text)


@pytest.mark.parametrize("pre", PRES)
def test_a_byte_level_vocabulary_gives_the_ids_of_llama_cpp(tmp_path, byte_levels, pre):
    path = write(tmp_path / "v.gguf", metadata=from_byte_level(byte_levels[pre], pre))
    ours = Tokenizer.from_gguf(read_gguf(path).metadata)
    assert [ours.encode(text) for text in TEXTS] == llama_ids(path, TEXTS)


def test_a_tipo_v2_file_gets_the_pre_tokenizer_it_was_trained_with(byte_levels):
    theirs = byte_levels["deepseek-v3"]
    facts = {key: value for key, (_, value) in from_byte_level(theirs, "default").items()}
    tokens, types = facts["tokenizer.ggml.tokens"], facts["tokenizer.ggml.token_type"]
    size = tokens.index("<|bos|>")
    padding = [f"[UNUSED{i}]" for i in range(64000 - size)]
    facts["tokenizer.ggml.tokens"] = (
        tokens[:size] + padding + ["<|bos|>", "<|eos|>", "<|pad|>", *tokens[size + 2 :]]
    )
    facts["tokenizer.ggml.token_type"] = types[:size] + [5] * len(padding) + [3] * (len(tokens) - size + 1)
    facts |= {"tokenizer.ggml.bos_token_id": 64000, "tokenizer.ggml.eos_token_id": 64001}
    ours, default = Tokenizer.from_gguf(facts), Tokenizer.from_gguf(facts, pre="default")
    texts = [text for text in TEXTS if "<|" not in text]
    expected = [encoding.ids for encoding in theirs.encode_batch(texts, add_special_tokens=False)]
    assert [ours.encode(text, bos=False) for text in texts] == expected
    assert [default.encode(text, bos=False) for text in texts] != expected
    assert (ours.bos, ours.eos, ours.prefix, ours.special["<|long|>"]) == (64000, 64001, (64000,), 64006)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenizer.ggml.model": "t5"}, "kind llama or gpt2 .* got 't5'"),
        ({"tokenizer.ggml.model": None}, "got None"),
        ({"tokenizer.ggml.tokens": []}, "with its tokens"),
        ({"tokenizer.ggml.pre": "no-such"}, "must be one of .* got 'no-such'"),
        ({"tokenizer.ggml.merges": None}, "must have tokenizer.ggml.merges"),
        ({"tokenizer.ggml.token_type": [1]}, "one for each token, got 1"),
        ({"tokenizer.ggml.bos_token_id": "1"}, "tokenizer of the GGUF file is damaged"),
        ({"tokenizer.ggml.eos_token_id": 1.0}, "of the tokenizer's vocabulary, got 1.0"),
        ({"tokenizer.ggml.pre": ["gpt-2"]}, "tokenizer of the GGUF file is damaged"),
        ({"tokenizer.ggml.model": "llama"}, "must have tokenizer.ggml.scores"),
        ({"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": [0.0]}, "one for each token, got 1"),
    ],
)
def test_metadata_without_a_usable_tokenizer_says_what_is_missing(byte_levels, changes, message):
    facts = {key: value for key, (_, value) in from_byte_level(byte_levels["gpt-2"], "gpt-2").items()}
    with pytest.raises(ValueError, match=message):
        Tokenizer.from_gguf({**facts, **changes})
