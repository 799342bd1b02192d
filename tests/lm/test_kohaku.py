"""Our KohakUwU decoder against its definition, and against the published modelling code where it is given.

Set KOHAKUWULLM_PATH to a checkout of KohakuBlueleaf/KohakUwULLM to run the comparison.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from models_for_tests import logits, open_decoder

from presample.models.lm.kohaku import SparseMLP
from presample.models.lm.llama import Cache, Config, Experts

SHAPE = {
    "model_type": "kohaku",
    "vocab_size": 193,
    "hidden_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "intermediate_size": 80,
    "moe_intermediate_size": 24,
    "n_routed_experts": 8,
    "n_shared_experts": 1,
    "num_experts_per_tok": 3,
    "first_k_dense": 1,
    "max_position_embeddings": 128,
    "rope_theta": 100000.0,
    "rms_norm_eps": 1e-6,
}
ROWS = [[1, 5, 9, 120, 17, 33], [1, 7], [1, 3, 4, 100, 101, 102], [1, 90, 80], [1, 44, 45, 46, 47]]


@pytest.fixture(autouse=True)
def no_grad():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def published():
    path = os.environ.get("KOHAKUWULLM_PATH")
    if not path:
        pytest.skip("KOHAKUWULLM_PATH must name a checkout of KohakuBlueleaf/KohakUwULLM")
    sys.path.insert(0, str(Path(path) / "src" / "kohakuwullm" / "export"))
    try:
        yield importlib.import_module("hf.modeling_kohaku")
    finally:
        sys.path.pop(0)


@pytest.fixture(scope="module")
def pair(published, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kohaku")
    shape = {key: value for key, value in SHAPE.items() if key != "model_type"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = published.KohakuForCausalLM(published.KohakuConfig(**shape)).eval()
        for name, tensor in list(theirs.named_parameters()) + list(theirs.named_buffers()):
            if name.endswith("inv_freq"):
                continue
            spread = torch.randn_like(tensor)
            tensor.data = 1 + 0.3 * spread if "norm" in name else 0.2 * spread
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(SHAPE))
    return theirs, open_decoder(folder)


def test_logits_equal_those_of_the_published_code(pair):
    theirs, ours = pair
    for row, found in zip(ROWS, logits(ours, ROWS), strict=True):
        expected = theirs(torch.tensor([row]), use_cache=False).logits[0]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_a_ragged_batch_over_the_cache_equals_the_published_code(pair):
    theirs, ours = pair
    cache = Cache(ours.config, len(ROWS), 64)
    for index, row in enumerate(ROWS):
        alone = Cache(ours.config, 1, 64)
        ours(torch.tensor([row[:-1]]), alone, torch.arange(len(row) - 1)[None], extent=len(row) - 1)
        cache.copy_row(alone, index, len(row) - 1)
    last = torch.tensor([[row[-1]] for row in ROWS])
    positions = torch.tensor([[len(row) - 1] for row in ROWS])
    found = ours.head(ours(last, cache, positions, extent=16))[:, 0]
    for index, row in enumerate(ROWS):
        expected = theirs(torch.tensor([row]), use_cache=False).logits[0, -1]
        torch.testing.assert_close(found[index], expected, atol=1e-4, rtol=0)


def sparse_mlp() -> SparseMLP:
    config = Config(
        vocab_size=8, dim=16, depth=1, heads=2, kv_heads=1, head_dim=8, mlp_dim=32, context=32,
        experts=Experts(count=6, top_k=2, dim=8, shared_dim=8),
    )  # fmt: skip
    mlp = SparseMLP(config)
    generator = torch.Generator().manual_seed(0)
    for tensor in [*mlp.parameters(), mlp.bias]:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.5)
    return mlp


def test_the_routed_sum_is_the_same_expert_by_expert_and_gathered():
    mlp = sparse_mlp()
    rows = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    choice = mlp.route(rows)
    torch.testing.assert_close(mlp.by_expert(rows, *choice), mlp.gathered(rows, *choice))


def test_the_bias_takes_part_in_the_choice_but_not_in_the_weights():
    mlp = sparse_mlp()
    rows = torch.randn(4, 16, generator=torch.Generator().manual_seed(2))
    mlp.bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.0, 100.0, 50.0]))
    chosen, weight = mlp.route(rows)
    scores = torch.nn.functional.linear(rows, mlp.router.weight).sigmoid().gather(1, chosen)
    assert chosen.tolist() == [[4, 5]] * 4
    torch.testing.assert_close(weight, scores / scores.sum(-1, keepdim=True))
