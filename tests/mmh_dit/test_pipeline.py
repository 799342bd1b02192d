"""From prompts to pictures, with a model of random weights."""

import pytest
import torch

from presample.models.interrupt import Interrupted
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.flow import SampleOptions, Text
from presample.models.mmh_dit.model import MMHDiT, init_weights
from presample.models.mmh_dit.pipeline import Pipeline

SIZE = {"width": 32, "height": 48, "options": SampleOptions(steps=3, cfg=3.0)}


@pytest.fixture(scope="module")
def pipeline():
    model = MMHDiT(MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=8, in_ch=4, mlp_hidden=64, gate_init=0.3))
    generator = torch.Generator().manual_seed(0)
    init_weights(model, generator)
    with torch.no_grad():
        model.final.linear.weight.normal_(generator=generator)

    def encode(prompts):
        rows = [torch.full((5, 8), float(len(prompt))) for prompt in prompts]
        return Text(torch.stack(rows), torch.ones(len(rows), 5, dtype=torch.bool))

    def decode(latents):
        return torch.nn.functional.interpolate(latents[:, :3], scale_factor=8.0).sigmoid()

    return Pipeline(model.eval().requires_grad_(False), encode, decode)


def test_a_picture_is_the_same_alone_and_beside_others(pipeline):
    together = pipeline.pictures(["lake", "forest"], [3, 4], **SIZE)
    assert together.shape == (2, 3, 48, 32)
    for k, (prompt, seed) in enumerate([("lake", 3), ("forest", 4)]):
        alone = pipeline.pictures([prompt], [seed], **SIZE)
        torch.testing.assert_close(alone[0], together[k], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[0], together[1])


def test_the_negative_prompt_counts_and_an_empty_one_is_none(pipeline):
    plain = pipeline.pictures(["lake"], [3], **SIZE)
    assert torch.equal(plain, pipeline.pictures(["lake"], [3], negative="", **SIZE))
    assert not torch.allclose(plain, pipeline.pictures(["lake"], [3], negative="a dark night", **SIZE))


def test_a_stop_is_obeyed_before_the_next_step(pipeline):
    seen = []
    with pytest.raises(Interrupted):
        pipeline.pictures(
            ["lake"], [3], on_step=lambda p: seen.append(p.step), should_stop=lambda: len(seen) >= 2, **SIZE
        )
    assert seen == [1, 2]


@pytest.mark.parametrize(
    ("prompts", "size", "said"),
    [(["a"], {"width": 100, "height": 64}, "multiples of 8, got 100x64"), (["a", "b"], {}, "got 1 for 2")],
)
def test_what_cannot_be_is_refused(pipeline, prompts, size, said):
    with pytest.raises(ValueError, match=said):
        pipeline.pictures(prompts, [1], **{**SIZE, **size})
