"""Our KohakUwU decoder against its definition, and against the published modelling code where it is given.

Set KOHAKUWULLM_PATH to a checkout of KohakuBlueleaf/KohakUwULLM to run the comparison with that.
"""

import importlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch
from gguf_for_tests import folder_tensors, save_kohaku_folder
from kohaku_for_tests import written_out
from models_for_tests import logits, open_decoder

from presample.models.lm.kohaku import SparseMLP
from presample.models.lm.llama import Cache, Config, Experts

pytest.importorskip("tokenizers", reason="the tokenizers package trains the tokenizer of the folder")

ROWS = [[1, 5, 9, 120, 17, 33], [1, 7], [1, 3, 4, 100, 101, 102], [1, 90, 80], [1, 44, 45, 46, 47]]


@pytest.fixture(autouse=True)
def no_grad():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_kohaku_folder(tmp_path_factory.mktemp("kohaku"))


@pytest.fixture(scope="module")
def ours(folder):
    return open_decoder(folder)


@pytest.fixture(scope="module", params=["written out", "published"])
def expected(request, folder):
    """What another implementation makes of a row: its logits (n, vocabulary)."""
    if request.param == "written out":
        yield lambda row: written_out(folder, row).float()
        return
    path = os.environ.get("KOHAKUWULLM_PATH")
    if not path:
        pytest.skip("KOHAKUWULLM_PATH must name a checkout of KohakuBlueleaf/KohakUwULLM")
    sys.path.insert(0, str(Path(path) / "src" / "kohakuwullm" / "export"))
    try:
        published = importlib.import_module("hf.modeling_kohaku")
        facts = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        del facts["model_type"]
        with torch.random.fork_rng():
            theirs = published.KohakuForCausalLM(published.KohakuConfig(**facts)).eval()
        theirs.load_state_dict(folder_tensors(folder))
        yield lambda row: theirs(torch.tensor([row]), use_cache=False).logits[0]
    finally:
        sys.path.pop(0)


def test_logits_are_those_of_the_definition_and_of_the_published_code(ours, expected):
    for row, found in zip(ROWS, logits(ours, ROWS), strict=True):
        torch.testing.assert_close(found, expected(row), atol=1e-4, rtol=0)


def test_a_ragged_batch_over_the_cache_has_the_same_logits(ours, expected):
    cache = Cache(ours.config, len(ROWS), 64)
    for index, row in enumerate(ROWS):
        alone = Cache(ours.config, 1, 64)
        ours(torch.tensor([row[:-1]]), alone, torch.arange(len(row) - 1)[None], extent=len(row) - 1)
        cache.copy_row(alone, index, len(row) - 1)
    last = torch.tensor([[row[-1]] for row in ROWS])
    positions = torch.tensor([[len(row) - 1] for row in ROWS])
    found = ours.head(ours(last, cache, positions, extent=16))[:, 0]
    for index, row in enumerate(ROWS):
        torch.testing.assert_close(found[index], expected(row)[-1], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "other", [{"qk_norm": False}, {"norm_topk_prob": False, "first_k_dense": 2, "num_experts_per_tok": 3}]
)
def test_other_shapes_are_those_of_the_definition_too(other, tmp_path):
    folder = save_kohaku_folder(tmp_path, **other)
    (found,) = logits(open_decoder(folder), ROWS[:1])
    torch.testing.assert_close(found, written_out(folder, ROWS[0]).float(), atol=1e-4, rtol=0)


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
