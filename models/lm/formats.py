"""What is in a model file: the shape of the model and a way to read each tensor, from safetensors or GGUF.

Tensor names are those Hugging Face folders use, matrices are (out, in), whatever the file.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from .gguf import GGUF
from .llama import Config, Experts

SUPPORTED = "LLaMA (llama) and KohakUwU (kohaku, dots1)"


@dataclass(frozen=True)
class Weights:
    """A checkpoint before it is built: its shape, a way to read a tensor, and how rotary pairs are stored."""

    config: Config
    read: Callable[[str], Tensor]
    adjacent_pairs: bool


def folder_weights(folder: Path) -> Weights:
    """Returns the weights of a Hugging Face model folder."""
    from safetensors import SafetensorError, safe_open

    facts = _facts(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder} holds no *.safetensors file; pickled weights are never read")
    opened = {}
    for file in files:
        try:
            handle = safe_open(file, framework="pt")
        except SafetensorError as error:
            raise ValueError(
                f"{file} must be a whole safetensors file, got: {error}; download it again"
            ) from error
        opened.update(dict.fromkeys(handle.keys(), handle))

    def read(name: str) -> Tensor:
        if name == "lm_head.weight" and name not in opened and facts.get("tie_word_embeddings"):
            name = "model.embed_tokens.weight"
        if name not in opened:
            raise ValueError(
                f"{folder} must hold the tensor {name}, which is missing; download the model again"
            )
        return opened[name].get_tensor(name)

    return Weights(hf_config(facts), read, adjacent_pairs=False)


def _facts(folder: Path) -> dict:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"a model folder must hold config.json, *.safetensors and a tokenizer; look at {folder}"
        )
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be JSON, but {error}; download it again") from error
    if not isinstance(facts, dict):
        raise ValueError(f"{path} must hold a JSON object, got a {type(facts).__name__}; download it again")
    return facts


def hf_config(facts: dict) -> Config:
    """Returns the shape of a model from its config.json. Raises ValueError where it is none of ours."""
    try:
        return _hf_config(facts)
    except KeyError as error:
        raise ValueError(f"config.json must state {error}, and does not; download it again") from error


def _hf_config(facts: dict) -> Config:
    kind = facts.get("model_type")
    if kind not in ("llama", "kohaku"):
        raise ValueError(f"the architecture must be one of {SUPPORTED}; got model_type {kind!r}")
    if facts.get("attention_bias") or facts.get("mlp_bias"):
        raise ValueError("layers with a bias are not supported; TIPO models have none")
    rope = facts.get("rope_parameters") or facts.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
        raise ValueError(f"rotary scaling is not supported, got {rope}; TIPO models have none")
    heads = facts["num_attention_heads"]
    experts = None
    if kind == "kohaku":
        if facts.get("scoring_func", "sigmoid") != "sigmoid":
            raise ValueError(f"the router must be a sigmoid, got {facts['scoring_func']!r}")
        experts = Experts(
            count=facts["n_routed_experts"],
            top_k=facts["num_experts_per_tok"],
            dim=facts["moe_intermediate_size"],
            shared_dim=_product(facts["moe_intermediate_size"], facts["n_shared_experts"]),
            dense_layers=facts["first_k_dense"],
            normalize=facts.get("norm_topk_prob", True),
            scale=facts.get("routed_scaling_factor", 1.0),
        )
    return Config(
        vocab_size=facts["vocab_size"],
        dim=facts["hidden_size"],
        depth=facts["num_hidden_layers"],
        heads=heads,
        kv_heads=facts.get("num_key_value_heads") or heads,
        head_dim=facts.get("head_dim") or 0,
        mlp_dim=facts["intermediate_size"],
        context=facts["max_position_embeddings"],
        rope_theta=rope.get("rope_theta") or facts.get("rope_theta", 10000.0),
        eps=facts["rms_norm_eps"],
        qk_norm=kind == "kohaku" and facts.get("qk_norm", True),
        experts=experts,
    )


def _product(dim: object, count: object) -> object:
    """`dim` times `count`; a count that is no number stays what it is, for Experts to refuse."""
    return dim * count if type(dim) is type(count) is int else count


GGUF_LAYER_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "self_attn.q_norm.weight": "attn_q_norm.weight",
    "self_attn.k_norm.weight": "attn_k_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.expert_bias": "exp_probs_b.bias",
    "mlp.gate_proj": "ffn_gate_exps.weight",
    "mlp.up_proj": "ffn_up_exps.weight",
    "mlp.down_proj": "ffn_down_exps.weight",
    "mlp.shared_expert.gate_proj.weight": "ffn_gate_shexp.weight",
    "mlp.shared_expert.up_proj.weight": "ffn_up_shexp.weight",
    "mlp.shared_expert.down_proj.weight": "ffn_down_shexp.weight",
}
GGUF_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def gguf_weights(file: GGUF) -> Weights:
    """Returns the weights of a GGUF file; in it LLaMA's rotary pairs are adjacent, those of dots1 are not."""

    def read(name: str) -> Tensor:
        stored = GGUF_NAMES.get(name)
        if stored is None:
            layer, rest = name.removeprefix("model.layers.").split(".", 1)
            stored = f"blk.{layer}.{GGUF_LAYER_NAMES[rest]}"
        if stored == "output.weight" and stored not in file.tensors:
            stored = "token_embd.weight"
        return file.load(stored)

    config = gguf_config(file)
    return Weights(config, read, adjacent_pairs=config.experts is None)


def gguf_config(file: GGUF) -> Config:
    """Returns the shape of a model from the metadata of its GGUF file."""
    kind = file.metadata.get("general.architecture")
    if kind not in ("llama", "dots1"):
        raise ValueError(f"the architecture must be one of {SUPPORTED}; got {kind!r} in the GGUF file")

    def fact(name: str, default=None):
        value = file.metadata.get(f"{kind}.{name}", default)
        if value is None:
            raise ValueError(f"the GGUF file must state {kind}.{name}; download or convert it again")
        return value

    vocab_size, dim = file.info("token_embd.weight").shape
    heads = fact("attention.head_count")
    experts = None
    if kind == "dots1":
        if fact("expert_gating_func", 2) != 2:
            raise ValueError("the router must be a sigmoid (expert_gating_func 2)")
        experts = Experts(
            count=fact("expert_count"),
            top_k=fact("expert_used_count"),
            dim=fact("expert_feed_forward_length"),
            shared_dim=_product(fact("expert_feed_forward_length"), fact("expert_shared_count")),
            dense_layers=fact("leading_dense_block_count"),
            normalize=fact("expert_weights_norm", False),
            scale=fact("expert_weights_scale", 1.0),
        )
    elif fact("expert_count", 0):
        raise ValueError("a LLaMA with experts (Mixtral) is not supported")
    return Config(
        vocab_size=vocab_size,
        dim=dim,
        depth=fact("block_count"),
        heads=heads,
        kv_heads=fact("attention.head_count_kv", heads),
        head_dim=fact("attention.key_length", 0),
        mlp_dim=fact("feed_forward_length"),
        context=fact("context_length"),
        rope_theta=fact("rope.freq_base", 10000.0),
        eps=fact("attention.layer_norm_rms_epsilon"),
        qk_norm=kind == "dots1",
        experts=experts,
    )
