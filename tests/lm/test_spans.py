"""Attention with queries that share a key: the same numbers however far the cache is looked at."""

import pytest
import torch

from presample.models.lm.llama import Cache, Config, Decoder


@pytest.mark.parametrize(("heads", "kv_heads"), [(6, 1), (12, 2), (8, 2), (4, 4)])
@pytest.mark.parametrize("before", [3, 150, 200, 260])
def test_a_step_has_the_same_bits_however_long_the_row_beside_it_is(heads, kv_heads, before):
    config = Config(50, 64, 1, heads, kv_heads, 64, 64, 512)
    with torch.random.fork_rng():
        torch.manual_seed(before)
        model = Decoder(config).eval()
        for parameter in model.parameters():
            parameter.data.normal_(std=0.3)
        prompt = torch.randint(50, (1, before))
    cache = Cache(config, 1, 512)
    with torch.inference_mode():
        model(prompt, cache, torch.arange(before)[None], extent=before)
        found = [
            model(torch.tensor([[7]]), cache, torch.tensor([[before]]), extent=extent)
            for extent in range(-(-(before + 1) // 16) * 16, 513, 16)
        ]
    assert all(torch.equal(each, found[0]) for each in found)
