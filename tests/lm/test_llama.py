"""Our LLaMA against transformers' LlamaForCausalLM on the same random weights."""

import pytest
import torch
from models_for_tests import logits, open_decoder, save_llama

from presample.models.lm.llama import Cache

pytest.importorskip("transformers", reason="transformers is the independent implementation")


@pytest.fixture(autouse=True)
def no_grad():
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module", params=["every head has its key", "heads share keys", "tied embeddings"])
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    changes = {
        "every head has its key": {},
        "heads share keys": {"num_key_value_heads": 2, "rope_theta": 50000.0},
        "tied embeddings": {"tie_word_embeddings": True},
    }[request.param]
    theirs = save_llama(folder, **changes)
    return theirs, open_decoder(folder)


ROWS = [
    [1, 5, 9, 200, 17, 33],
    [1, 7],
    [1, 3, 4, 100, 101, 102, 103, 104, 60, 61],
    [1, 90, 80],
    [1, 44, 45, 46, 47],
]


def test_logits_equal_those_of_transformers_without_a_cache(pair):
    theirs, ours = pair
    for row, found in zip(ROWS, logits(ours, ROWS), strict=True):
        expected = theirs(torch.tensor([row])).logits[0]
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_stepping_through_the_cache_gives_the_same_logits(pair):
    theirs, ours = pair
    row = ROWS[2]
    cache = Cache(ours.config, 1, 64)
    ours(torch.tensor([row[:4]]), cache, torch.arange(4)[None], extent=4)
    expected = theirs(torch.tensor([row])).logits[0]
    for at in range(4, len(row)):
        hidden = ours(torch.tensor([[row[at]]]), cache, torch.tensor([[at]]), extent=at + 1)
        torch.testing.assert_close(ours.head(hidden)[0, 0], expected[at], atol=1e-4, rtol=0)


def test_a_batch_of_rows_of_different_lengths_gives_the_same_logits(pair):
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
        torch.testing.assert_close(found[index], theirs(torch.tensor([row])).logits[0, -1], atol=1e-4, rtol=0)


def test_several_new_tokens_of_several_rows_at_once_give_the_same_logits(pair):
    theirs, ours = pair
    rows = torch.tensor([[1, 5, 9, 20], [1, 8, 30, 40]])
    cache = Cache(ours.config, 2, 64)
    found = ours.head(ours(rows, cache, torch.arange(4).expand(2, -1), extent=4))
    torch.testing.assert_close(found, theirs(rows).logits, atol=1e-4, rtol=0)


def test_a_token_overwritten_after_going_back_leaves_no_trace(pair):
    _, ours = pair
    cache = Cache(ours.config, 1, 64)
    ours(torch.tensor([[1, 5, 9, 60, 61, 62]]), cache, torch.arange(6)[None], extent=6)
    again = ours.head(ours(torch.tensor([[33]]), cache, torch.tensor([[3]]), extent=64))[0, 0]
    fresh = logits(ours, [[1, 5, 9, 33]])[0][-1]
    torch.testing.assert_close(again, fresh, atol=1e-5, rtol=0)
