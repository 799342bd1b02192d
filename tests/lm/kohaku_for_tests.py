"""KohakUwU written out once more, slowly."""

import json
import math
from pathlib import Path

import torch
from gguf_for_tests import folder_tensors


def written_out(folder: Path, tokens: list[int]) -> torch.Tensor:
    """Returns the logits (n, vocabulary) of a text by the weights of a folder, in float64, token by token."""
    facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    w = {name: tensor.double() for name, tensor in folder_tensors(folder).items()}
    e, heads, kv_heads = (facts[f] for f in ("head_dim", "num_attention_heads", "num_key_value_heads"))

    def rms(x, gain):
        return x / ((x * x).mean() + facts["rms_norm_eps"]).sqrt() * w[gain]

    def swiglu(x, gate, up, down):
        return down @ (torch.nn.functional.silu(gate @ x) * (up @ x))

    def turn(x, place):
        out = torch.empty_like(x)
        for i in range(e // 2):
            a, j = place * facts["rope_theta"] ** (-2 * i / e), i + e // 2
            out[i] = x[i] * math.cos(a) - x[j] * math.sin(a)
            out[j] = x[j] * math.cos(a) + x[i] * math.sin(a)
        return out

    def projected(rows, name, count, norm=None):
        """Rows as (n, count, e)."""
        cut = [(w[f"{name}.weight"] @ x).view(count, e) for x in rows]
        if norm and facts.get("qk_norm", True):
            cut = [torch.stack([rms(x, f"{norm}.weight") for x in row]) for row in cut]
        if norm:
            cut = [torch.stack([turn(x, place) for x in row]) for place, row in enumerate(cut)]
        return torch.stack(cut)

    def attention(rows, name):
        q = projected(rows, f"{name}.q_proj", heads, f"{name}.q_norm")
        k = projected(rows, f"{name}.k_proj", kv_heads, f"{name}.k_norm")
        v = projected(rows, f"{name}.v_proj", kv_heads)
        said = torch.zeros_like(q)
        for head in range(heads):
            shared = head * kv_heads // heads
            for at in range(len(rows)):
                share = (k[: at + 1, shared] @ q[at, head] / math.sqrt(e)).softmax(0)
                said[at, head] = share @ v[: at + 1, shared]
        return [w[f"{name}.o_proj.weight"] @ x.flatten() for x in said]

    def dense(x, name):
        return swiglu(x, *(w[f"{name}.{part}_proj.weight"] for part in ("gate", "up", "down")))

    def sparse(x, name):
        score = (w[f"{name}.gate.weight"] @ x).sigmoid()
        chosen = (score + w[f"{name}.expert_bias"]).argsort(descending=True)[: facts["num_experts_per_tok"]]
        total = score[chosen].sum() if facts.get("norm_topk_prob", True) else 1
        out = dense(x, f"{name}.shared_expert")
        for i in chosen.tolist():
            expert = swiglu(x, *(w[f"{name}.{part}_proj"][i] for part in ("gate", "up", "down")))
            out = out + facts["routed_scaling_factor"] * score[i] / total * expert
        return out

    rows = [w["model.embed_tokens.weight"][token] for token in tokens]
    for layer in range(facts["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        mlp = dense if layer < facts["first_k_dense"] else sparse
        said = attention([rms(x, f"{name}.input_layernorm.weight") for x in rows], f"{name}.self_attn")
        rows = [x + y for x, y in zip(rows, said, strict=True)]
        rows = [x + mlp(rms(x, f"{name}.post_attention_layernorm.weight"), f"{name}.mlp") for x in rows]
    return torch.stack([w["lm_head.weight"] @ rms(x, "model.norm.weight") for x in rows])
