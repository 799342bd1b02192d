"""Model folders with a small tokenizer, and the same models as GGUF files, as their publishers convert them.

The tensor names are those of the gguf package. Source: convert_hf_to_gguf.py of llama.cpp (LLaMA) and
scripts/tools/to_gguf.py of KohakUwULLM (dots1).
"""

import json
from pathlib import Path

import torch
from models_for_tests import save_llama
from tokenizers_for_tests import GPT2, byte_level

KOHAKU = {
    "model_type": "kohaku",
    "hidden_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "intermediate_size": 96,
    "moe_intermediate_size": 32,
    "n_routed_experts": 6,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense": 1,
    "routed_scaling_factor": 1.5,
    "max_position_embeddings": 256,
    "rope_theta": 100000.0,
    "rms_norm_eps": 1e-6,
}


def save_tokenizer(folder: Path, *, vocab: int = 400) -> int:
    """Saves a trained byte-level tokenizer and returns how many tokens it has."""
    tokenizer = byte_level([GPT2], vocab=vocab)
    facts = {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(facts), encoding="utf-8")
    return tokenizer.get_vocab_size()


def save_llama_folder(folder: Path, **changes) -> Path:
    """Saves a random LLaMA with its tokenizer, as transformers does."""
    folder.mkdir(exist_ok=True, parents=True)
    save_llama(folder, **{"vocab_size": save_tokenizer(folder), "max_position_embeddings": 256, **changes})
    return folder


def save_kohaku_folder(folder: Path, *, seed: int = 0, **changes) -> Path:
    """Saves a random KohakUwU with its tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True, parents=True)
    facts = {**KOHAKU, "vocab_size": save_tokenizer(folder), **changes}
    (folder / "config.json").write_text(json.dumps(facts), encoding="utf-8")
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in _kohaku_shapes(facts).items():
        spread = torch.randn(shape, generator=generator)
        tensors[name] = 1 + 0.3 * spread if "norm" in name else 0.2 * spread
    save_file(tensors, folder / "model.safetensors")
    return folder


def _kohaku_shapes(f: dict) -> dict[str, tuple[int, ...]]:
    dim, inner, kv = f["hidden_size"], f["head_dim"] * f["num_attention_heads"], f["num_key_value_heads"]
    count, wide = f["n_routed_experts"], f["moe_intermediate_size"]
    shapes = {"model.embed_tokens.weight": (f["vocab_size"], dim), "lm_head.weight": (f["vocab_size"], dim)}
    shapes["model.norm.weight"] = (dim,)
    for i in range(f["num_hidden_layers"]):
        here, mlp = f"model.layers.{i}.", f"model.layers.{i}.mlp."
        shapes |= {here + f"{name}_layernorm.weight": (dim,) for name in ("input", "post_attention")}
        shapes |= {here + f"self_attn.{name}_norm.weight": (f["head_dim"],) for name in "qk"}
        shapes |= {here + f"self_attn.{name}_proj.weight": (kv * f["head_dim"], dim) for name in "kv"}
        shapes |= {
            here + "self_attn.q_proj.weight": (inner, dim),
            here + "self_attn.o_proj.weight": (dim, inner),
        }
        dense = i < f["first_k_dense"]
        mid = f["intermediate_size"] if dense else wide * f["n_shared_experts"]
        prefix = mlp if dense else mlp + "shared_expert."
        shapes |= {prefix + f"{name}_proj.weight": (mid, dim) for name in ("gate", "up")}
        shapes[prefix + "down_proj.weight"] = (dim, mid)
        if not dense:
            shapes |= {mlp + "gate.weight": (count, dim), mlp + "expert_bias": (count,)}
            shapes |= {mlp + "gate_proj": (count, wide, dim), mlp + "up_proj": (count, wide, dim)}
            shapes[mlp + "down_proj"] = (count, dim, wide)
    return shapes


def folder_tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return {name: t for file in folder.glob("*.safetensors") for name, t in load_file(file).items()}


def write_gguf(folder: Path, path: Path, *, kind: str = "F32", leave_out: tuple[str, ...] = ()) -> Path:
    """Writes the model of a folder as a GGUF file with tensors of a kind (vectors stay F32)."""
    import gguf

    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kohaku = facts["model_type"] == "kohaku"
    arch = gguf.MODEL_ARCH.DOTS1 if kohaku else gguf.MODEL_ARCH.LLAMA
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    _write_shape(writer, facts)
    if kohaku:
        _write_experts(writer, facts)
    _write_tokenizer(writer, folder)
    names = gguf.get_tensor_name_map(arch, facts["num_hidden_layers"])
    for name, tensor in folder_tensors(folder).items():
        stored = gguf_name(name, names)
        if stored in leave_out:
            continue
        if not kohaku and "q_proj" in name:
            tensor = interleaved(tensor, facts["num_attention_heads"])
        if not kohaku and "k_proj" in name:
            tensor = interleaved(tensor, facts["num_key_value_heads"])
        array = tensor.float().numpy()
        if kind == "F16" and tensor.ndim > 1:
            array = tensor.half().numpy()
        if kind == "Q8_0" and tensor.ndim > 1:
            blocks = gguf.quants.quantize(array, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(stored, blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(stored, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """`permute` of convert_hf_to_gguf.py: each head's halves (i, i + e/2) become neighbours."""
    rows, *rest = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, *rest).swapaxes(1, 2).reshape(weight.shape)


def gguf_name(name: str, names) -> str:
    """The name of a tensor of a folder in a GGUF file, from the gguf package's table."""
    sparse = {
        "mlp.gate_proj": "ffn_gate_exps.weight",
        "mlp.up_proj": "ffn_up_exps.weight",
        "mlp.down_proj": "ffn_down_exps.weight",
        "mlp.gate.weight": "ffn_gate_inp.weight",
        "mlp.expert_bias": "exp_probs_b.bias",
        **{f"mlp.shared_expert.{n}_proj.weight": f"ffn_{n}_shexp.weight" for n in ("gate", "up", "down")},
    }
    for end, stored in sparse.items():
        if name.endswith("." + end):
            return f"blk.{name.split('.')[2]}.{stored}"
    found = names.get_name(name, try_suffixes=(".weight", ".bias"))
    assert found, name
    return found


def _write_shape(writer, f: dict) -> None:
    heads = f["num_attention_heads"]
    writer.add_context_length(f["max_position_embeddings"])
    writer.add_embedding_length(f["hidden_size"])
    writer.add_block_count(f["num_hidden_layers"])
    writer.add_feed_forward_length(f["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(f.get("num_key_value_heads") or heads)
    head_dim = f.get("head_dim") or f["hidden_size"] // heads
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(f.get("rope_theta") or f["rope_parameters"]["rope_theta"])
    writer.add_layer_norm_rms_eps(f["rms_norm_eps"])
    writer.add_vocab_size(f["vocab_size"])


def _write_experts(writer, f: dict) -> None:
    import gguf

    writer.add_expert_count(f["n_routed_experts"])
    writer.add_expert_used_count(f["num_experts_per_tok"])
    writer.add_expert_shared_count(f["n_shared_experts"])
    writer.add_leading_dense_block_count(f["first_k_dense"])
    writer.add_expert_feed_forward_length(f["moe_intermediate_size"])
    writer.add_expert_weights_norm(True)
    writer.add_expert_weights_scale(f["routed_scaling_factor"])
    writer.add_expert_gating_func(gguf.ExpertGatingFuncType.SIGMOID)


def _write_tokenizer(writer, folder: Path) -> None:
    import gguf

    spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    added = {token["content"]: token["id"] for token in spec["added_tokens"]}
    ids = {**spec["model"]["vocab"], **added}
    tokens = sorted(ids, key=ids.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    writer.add_token_types([control if token in added else normal for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in spec["model"]["merges"]])
    writer.add_bos_token_id(ids["<|bos|>"])
    writer.add_eos_token_id(ids["<|eos|>"])
    writer.add_add_bos_token(True)
