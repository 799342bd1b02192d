"""Model files: a folder, its shards and its GGUF are one model; a file that is none is told why."""

import gc
import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf_for_tests import folder_tensors, interleaved, save_kohaku_folder, save_llama_folder, write_gguf
from models_for_tests import Plain, greedy
from safetensors.torch import save_file

from presample.models.lm import quant
from presample.models.lm.checkpoint import load_language_model
from presample.models.lm.decode import Row, Session

pytest.importorskip("transformers", reason="transformers writes the folders")
pytest.importorskip("tokenizers", reason="the tokenizers package trains the tokenizer")

TEXT = "1girl, solo, long hair"


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama_folder(tmp_path_factory.mktemp("llama") / "model", num_key_value_heads=2)


@pytest.fixture(scope="module")
def kohaku(tmp_path_factory):
    return save_kohaku_folder(tmp_path_factory.mktemp("kohaku") / "model")


@pytest.fixture(params=["llama", "kohaku"])
def folder(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def copy(llama, tmp_path):
    """A folder of its own, to be damaged."""
    return Path(shutil.copytree(llama, tmp_path / "copy"))


def load(path, precision="float32"):
    return load_language_model(path, device="cpu", precision=precision)


def text_of(path, precision="float32", count=40):
    language = load(path, precision)
    return language.tokenizer.decode(greedy(language, language.tokenizer.encode(TEXT), count))


def logits_of(path, precision="float32"):
    language = load(path, precision)
    session = Session(language, 1, 64)
    return session.prefill([Row(language.tokenizer.encode(TEXT), Plain(), torch.Generator())])


def write_the_same(one, other, precision="float32"):
    logits = torch.equal(logits_of(one, precision), logits_of(other, precision))
    return logits and text_of(one, precision) == text_of(other, precision)


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    facts = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in facts.items() if value is not None}))


# One model in several forms


def test_a_folder_is_the_model_that_transformers_saved(llama):
    from transformers import AutoModelForCausalLM

    theirs, ours = AutoModelForCausalLM.from_pretrained(llama), load(llama)
    theirs.generation_config.eos_token_id = None
    prompt = ours.tokenizer.encode(TEXT)
    written = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=40, do_sample=False, suppress_tokens=ours.never
    )
    assert greedy(ours, prompt, 40) == written[0, len(prompt) :].tolist()


@pytest.mark.parametrize("precision", ["float32", "int8", "bfloat16", "float16"])
def test_every_precision_loads_and_writes_text(folder, precision):
    if precision == "int8" and not quant.available():
        pytest.skip("this torch or processor has no int8 kernels")
    language = load(folder, precision)
    assert language.precision == precision
    assert language.config.vocab_size == language.tokenizer.vocab_size
    assert len(greedy(language, language.tokenizer.encode(TEXT), 8)) == 8


def test_auto_takes_int8_on_a_processor_that_can():
    from presample.models.hub import resolve, search_folders

    language = load_language_model(resolve("tipo-tiny", search_folders(())), device="cpu")
    assert language.precision == ("int8" if quant.available() else "float32")


def test_shards_are_read_as_one(llama, copy):
    tensors = folder_tensors(llama)
    (copy / "model.safetensors").unlink()
    names = sorted(tensors)
    for part in range(3):
        name = f"model-{part + 1:05}-of-00003.safetensors"
        save_file({key: tensors[key] for key in names[part::3]}, copy / name)
    assert write_the_same(copy, llama)


def test_tied_embeddings_serve_as_the_output_layer(tmp_path):
    tied = save_llama_folder(tmp_path / "tied", tie_word_embeddings=True)
    tensors = folder_tensors(tied)
    assert "lm_head.weight" not in tensors
    untied = Path(shutil.copytree(tied, tmp_path / "untied"))
    save_file(
        {**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()},
        untied / "model.safetensors",
    )
    change_config(untied, tie_word_embeddings=False)
    assert write_the_same(tied, untied)
    pytest.importorskip("gguf")
    assert write_the_same(write_gguf(tied, tmp_path / "tied.gguf"), tied)


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_a_gguf_file_writes_what_its_folder_writes(folder, tmp_path, kind):
    pytest.importorskip("gguf")
    if kind == "F16":
        folder = Path(shutil.copytree(folder, tmp_path / "half"))
        tensors = {k: t.half() if t.ndim > 1 else t for k, t in folder_tensors(folder).items()}
        save_file(tensors, folder / "model.safetensors")
    path = write_gguf(folder, tmp_path / "model.gguf", kind=kind)
    assert write_the_same(path, folder)
    assert not quant.available() or write_the_same(path, folder, "int8")


def test_a_q8_gguf_writes_what_its_dequantised_weights_write(folder, tmp_path):
    gguf = pytest.importorskip("gguf")
    kind = gguf.GGMLQuantizationType.Q8_0

    def rounded(name, tensor):
        # What is quantised are the rows as they stand in the file, but each row has blocks of its own.
        if tensor.ndim < 2:
            return tensor
        return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(tensor.numpy(), kind), kind))

    twin = Path(shutil.copytree(folder, tmp_path / "twin"))
    save_file({k: rounded(k, t) for k, t in folder_tensors(folder).items()}, twin / "model.safetensors")
    assert write_the_same(write_gguf(folder, tmp_path / "q8.gguf", kind="Q8_0"), twin)
    assert not write_the_same(twin, folder)


def test_a_gguf_file_agrees_with_llama_cpp(llama, tmp_path):
    pytest.importorskip("gguf")
    llama_cpp = pytest.importorskip("llama_cpp", reason="llama.cpp is the independent implementation")
    path = write_gguf(llama, tmp_path / "model.gguf")
    ours = load(path)
    prompt = ours.tokenizer.encode(TEXT)
    theirs = llama_cpp.Llama(str(path), n_ctx=256, n_threads=1, seed=0, verbose=False)
    assert theirs.tokenize(TEXT.encode(), special=True) == prompt

    def suppress(_, scores):
        scores[ours.never] = -np.inf
        return scores

    written = []
    for token in theirs.generate(prompt, temp=0.0, repeat_penalty=1.0, logits_processor=[suppress]):
        written.append(token)
        if len(written) == 30:
            break
    assert greedy(ours, prompt, 30) == written


def test_rotary_pairs_of_a_gguf_llama_are_not_those_of_its_folder(llama):
    weight = folder_tensors(llama)["model.layers.0.self_attn.q_proj.weight"]
    assert not torch.equal(interleaved(weight, 4), weight)  # so a missing permutation would be seen above


def test_a_model_that_nobody_holds_is_gone(llama):
    language = load(llama)
    assert language.separators
    greedy(language, [1, 2, 3], 3)
    held = weakref.ref(language.model)
    del language
    gc.collect()
    assert held() is None


# Files that are no model


def refused(path, *said, error=ValueError, **options):
    with pytest.raises(error) as caught:
        load_language_model(path, **{"device": "cpu", "precision": "float32", **options})
    message = str(caught.value)
    assert [words for words in said if words not in message] == [], message


def test_a_file_that_was_cut_short_is_named_and_to_be_downloaded_again(copy):
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    refused(copy, str(file), "whole safetensors file", "download it again")
    file.write_bytes(b"not it")
    refused(copy, str(file), "whole safetensors file", "download it again")


def test_a_missing_tensor_is_named(llama, copy):
    name = "model.layers.2.mlp.down_proj.weight"
    tensors = folder_tensors(llama)
    save_file({key: t for key, t in tensors.items() if key != name}, copy / "model.safetensors")
    refused(copy, str(copy), name, "missing", "download the model again")


def test_a_missing_tensor_of_a_gguf_file_is_named(llama, tmp_path):
    pytest.importorskip("gguf")
    for name in ("blk.1.ffn_up.weight", "token_embd.weight"):
        path = write_gguf(llama, tmp_path / "model.gguf", leave_out=(name,))
        refused(path, str(path), name)


def test_a_gguf_file_without_a_fact_of_its_shape_is_told_which(llama, tmp_path):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "bare.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("token_embd.weight", torch.zeros(8, 4).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(path, "llama.attention.head_count", "convert it again")


@pytest.mark.parametrize("wrong", [0, 10**9, "four", [4, 4]])
def test_a_gguf_file_with_another_kind_of_fact_is_told_which(tmp_path, wrong):
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "odd.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    add = {int: writer.add_uint32, str: writer.add_string, list: writer.add_array}[type(wrong)]
    add("llama.attention.head_count", wrong)
    writer.add_block_count(1)
    writer.add_feed_forward_length(8)
    writer.add_context_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tensor("token_embd.weight", torch.zeros(8, 4).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(path, "heads of the model must be a whole number from 1 to 4096, got ")


def test_another_architecture_is_named_with_those_that_can_be_read(copy, tmp_path):
    change_config(copy, model_type="gpt2")
    refused(copy, "'gpt2'", "LLaMA", "KohakUwU")
    gguf = pytest.importorskip("gguf")
    path = tmp_path / "gpt2.gguf"
    writer = gguf.GGUFWriter(path, "gpt2")
    writer.add_tensor("token_embd.weight", torch.zeros(8, 4).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(path, "'gpt2'", "LLaMA", "KohakUwU")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"attention_bias": True}, "bias"),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}, "rope_parameters": None}, "rotary scaling"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": 32, "head_dim": 16}, "model.embed_tokens.weight"),
        ({"vocab_size": 500}, "model.embed_tokens.weight"),
        ({"num_hidden_layers": 4}, "model.layers.3."),
        ({"num_hidden_layers": 10**9}, "depth of the model must be a whole number from 1 to 1024"),
        ({"num_attention_heads": 0}, "heads of the model must be a whole number from 1 to 4096, got 0"),
        ({"num_attention_heads": "x", "head_dim": None}, "heads of the model must be a whole number"),
        ({"num_key_value_heads": 3}, "heads must be a multiple of kv_heads 3, got 4"),
        ({"hidden_size": "64", "head_dim": None}, "dim of the model must be a whole number"),
        ({"hidden_size": -8}, "dim of the model must be a whole number from 1 to 131072, got -8"),
        ({"head_dim": 10**8}, "head_dim of the model must be a whole number"),
        ({"head_dim": 10**400}, "head_dim of the model must be a whole number"),
        ({"head_dim": 15}, "head_dim must be even"),
        ({"head_dim": 8}, "model.layers.0.self_attn.q_proj.weight must be [32, 64] as the config says"),
        ({"intermediate_size": 95}, "model.layers.0.mlp.gate_proj.weight must be [95, 64]"),
        ({"vocab_size": 2**62}, "vocab_size of the model must be a whole number"),
        ({"rms_norm_eps": float("nan")}, "eps of the model must be a number from 0 on, got nan"),
        ({"rope_parameters": 5}, "rotary scaling is not supported, got 5"),
        ({"rope_parameters": {"rope_theta": 10**400}}, "rope_theta of the model must be a number from 1 on"),
    ],
)
def test_a_config_that_does_not_fit_is_told_what_is_wrong(copy, changes, said):
    change_config(copy, **changes)
    refused(copy, said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_shared_experts": "2" * 10**6}, "shared_dim of the model must be a whole number"),
        ({"moe_intermediate_size": [0], "n_shared_experts": 10**12}, "dim of the model must be a whole"),
        ({"n_routed_experts": 0}, "count of the model must be a whole number from 1"),
        ({"num_experts_per_tok": 10**6}, "top_k of the model must be a whole number from 1 to 6"),
        ({"routed_scaling_factor": "2"}, "scale of the model must be a number"),
    ],
)
def test_experts_that_cannot_be_are_told_what_is_wrong(kohaku, tmp_path, changes, said):
    path = shutil.copytree(kohaku, tmp_path / "copy")
    change_config(path, **changes)
    refused(path, said)


@pytest.mark.parametrize("content", ["{", "[" * 100_000])
def test_a_config_that_is_no_json_is_named(copy, content):
    (copy / "config.json").write_text(content)
    refused(copy, "config.json")


def test_an_output_layer_that_is_missing_and_not_tied_is_named(llama, copy):
    tensors = folder_tensors(llama)
    del tensors["lm_head.weight"]
    save_file(tensors, copy / "model.safetensors")
    refused(copy, "lm_head.weight", "missing")


def test_pickled_weights_are_never_read(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    refused(copy, str(copy), "safetensors", "pickled weights are never read", error=FileNotFoundError)


def test_a_folder_or_file_that_is_not_there_is_named(tmp_path):
    refused(tmp_path / "nothing", str(tmp_path / "nothing"), error=FileNotFoundError)
    refused(tmp_path / "nothing.gguf", "nothing.gguf", error=FileNotFoundError)


def test_a_folder_without_a_tokenizer_is_told_what_to_get(copy):
    (copy / "tokenizer.json").unlink()
    refused(copy, "tokenizer.json", error=FileNotFoundError)


def test_a_tokenizer_larger_than_the_model_belongs_to_another(llama, copy, kohaku):
    path = copy / "tokenizer.json"
    spec = json.loads(path.read_text())
    spec["added_tokens"].append({**spec["added_tokens"][-1], "id": 600, "content": "<|other|>"})
    path.write_text(json.dumps(spec))
    refused(copy, "601 tokens", f"only {load(llama).config.vocab_size}", "different models")


def test_an_unknown_precision_is_told_the_known_ones(llama):
    refused(llama, "'int4'", "auto, float32, bfloat16, float16, int8", precision="int4")


def test_int8_is_for_the_processor(llama):
    refused(llama, "int8", "cuda", "choose auto, float16 or bfloat16", device="cuda", precision="int8")


def test_int8_without_kernels_is_told_what_to_choose(llama, monkeypatch):
    monkeypatch.setattr(quant, "available", lambda: False)
    refused(llama, "int8", "choose auto or float32", precision="int8")
    assert load_language_model(llama, device="cpu", precision="auto").precision == "float32"


@pytest.mark.parametrize("device", ["banana", "cuda:7"])
def test_a_device_that_is_not_there_is_named(llama, device):
    refused(llama, device, "device", device=device)
