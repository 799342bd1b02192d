"""The step as a CUDA graph against the same step without one, and against transformers."""

import pytest
import torch
from models_for_tests import open_decoder, save_llama
from test_kohaku import sparse_mlp

from presample.models.lm.graph import GraphedStep
from presample.models.lm.llama import Cache

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture(autouse=True)
def no_grad():
    with torch.inference_mode():
        yield


@pytest.mark.parametrize("changes", [{}, {"num_key_value_heads": 2}])
def test_the_graph_gives_the_logits_of_transformers_for_rows_of_different_lengths(tmp_path, changes):
    theirs = save_llama(tmp_path, **changes)
    model = open_decoder(tmp_path, device="cuda")
    rows = [[1, 5, 9, 200, 17], [1, 7], [1, 3, 4, 100]]
    cache = Cache(model.config, 3, 64, device="cuda")
    for index, row in enumerate(rows):
        positions = torch.arange(len(row), device="cuda")[None]
        model(torch.tensor([row], device="cuda"), cache, positions, extent=len(row), first_row=index)
    step = GraphedStep(model, cache)
    for token in (33, 44):  # captured, then replayed
        found = step([token] * 3, [len(row) for row in rows])
        for index, row in enumerate(rows):
            row.append(token)
            expected = theirs(torch.tensor([row])).logits[0, -1]
            torch.testing.assert_close(found[index].cpu(), expected, atol=1e-3, rtol=0)


def test_the_sparse_mlp_is_the_same_on_the_gpu():
    mlp = sparse_mlp()
    rows = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mlp.cuda()(rows.cuda()).cpu(), mlp.cpu()(rows), atol=1e-4, rtol=0)
