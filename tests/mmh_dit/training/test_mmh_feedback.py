"""What the denoiser learns of its own half-painted pictures."""

import dataclasses
import json

import pytest
import torch
import world_for_tests as world

from presample.models.mmh_dit import flow
from presample.models.mmh_dit.training import feedback, train
from presample.models.mmh_dit.training.loss import make_loss
from presample.models.seeds import generator_for
from presample.models.tinyworld import oracle

pytest.importorskip("accelerate", reason="training needs presample[train]")
BATCH, TOKENS, WIDTH = 5, 7, 3


class Told(torch.nn.Module):
    """Its velocity leads to the mean of the text's tokens, without a text to 0; it notes what it is asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def forward(self, x_t, t, text, mask):
        self.asked.append((x_t, t, text, mask))
        wanted = (text * mask[..., None]).mean((1, 2))[:, None, None, None]
        return (wanted - x_t) / (1 - t)[:, None, None, None]


def painted(count=3, seed=0, model=None):
    draw = generator_for(1)
    text = torch.randn(BATCH, TOKENS, WIDTH, generator=draw)
    mask = torch.arange(TOKENS).expand(BATCH, TOKENS) < torch.tensor([[7], [3], [5], [7], [4]])
    like = torch.zeros(BATCH, 2, 4, 6)
    model = model or Told()
    return model, feedback.paint(model, like, text, mask, count, generator_for(seed)), text, mask


def test_states_are_those_of_guided_paintings_of_some_of_the_texts():
    """Painted again with the sampler's own Euler steps, from the same noise and at the same times."""
    model, own, text, mask = painted()
    times = torch.stack([t[0] for _, t, _, _ in model.asked])
    x, rows = model.asked[0][0][:3], own.rows[:3]
    velocity = flow.guided(
        Weighed(), flow.Text(text[rows], mask[rows]), nothing(text, rows), scale=feedback.GUIDANCE
    )
    paths = [x, *flow.euler(velocity, x, torch.cat((times, torch.ones(1))))]
    here = {round(float(t), 5): state for t, state in zip(times, paths, strict=False)}
    for i in range(0, len(own.t), 3):
        assert torch.equal(own.rows[i : i + 3], rows)
        assert len(own.t[i : i + 3].unique()) == 1
        torch.testing.assert_close(own.x_t[i : i + 3], here[round(float(own.t[i]), 5)])
    assert len(set(rows.tolist())) == 3


class Weighed(Told):
    """With a weight, by which samplers know a model's type."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


def nothing(text, rows):
    return flow.Text(text[rows], torch.zeros(len(rows), TOKENS, dtype=torch.bool))


def test_early_and_late_states_come_up_alike():
    found = torch.cat([painted(seed=seed)[1].t for seed in range(200)])
    counts = torch.histc(found[found > 0], bins=4, min=0, max=1)
    assert counts.min() > 0.8 * counts.max()
    assert (found == 0).any(), "noise is where a painting begins"
    assert found.max() < 1


def test_what_is_foreseen_is_what_guidance_leads_to():
    _, own, text, mask = painted()
    ends = (text * mask[..., None]).mean((1, 2))[own.rows][:, None, None, None].expand_as(own.x_t)
    velocity = (ends - own.x_t) / (1 - own.t)[:, None, None, None]
    torch.testing.assert_close(own.foreseen(velocity), feedback.GUIDANCE * ends, atol=1e-4, rtol=1e-4)


def test_states_follow_the_seed_and_carry_no_gradients():
    draw = generator_for(2)
    model = torch.nn.Module()
    weight = torch.nn.Parameter(torch.randn(1, generator=draw))
    model.forward = lambda x_t, t, text, mask: weight * x_t
    first, again, other = (painted(seed=seed, model=model)[1] for seed in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x_t[:3], other.x_t[:3])
    assert not any(part.requires_grad for part in first)


def test_a_batch_of_fewer_texts_paints_them_all():
    assert sorted(set(painted(count=9)[1].rows.tolist())) == list(range(BATCH))


def test_the_loss_asks_the_model_once_for_all_and_adds_what_the_reader_misses_in_both(tmp_path):
    bank = world.painted(tmp_path)
    batch, model, read = world.batches(bank)[0], Told(), []

    def reader(latents):
        read.append(latents)
        return torch.stack((latents.mean((1, 2, 3)), torch.zeros(len(latents))), 1)[:, None].expand(
            -1, batch["asked"].shape[1], -1
        )

    batch = batch | {"shown": torch.zeros_like(batch["shown"]), "asked": torch.ones_like(batch["asked"])}
    loss = make_loss(flow.FlowOptions(sigma=0.0), share=1.0, reader=reader, weight=0.5, feedback=2)
    found = loss(model, batch, generator_for(3))
    torch.testing.assert_close(found["loss"], found["error"] + 0.5 * (found["missed"] + found["failed"]))
    pictures, own = read
    assert len(pictures) == 8
    assert len(model.asked[-1][0]) == 8 + len(own), "pictures and states together"
    assert found["missed"] == 0, "texts that are left out demand nothing"
    assert found["failed"] > 0, "but its own paintings have theirs"
    assert model.asked[-1][3][8:].any(1).all()


def test_a_model_learns_to_end_its_own_paintings_as_demanded(tmp_path):
    """The reader wants bright pictures; it sees those of the data, but their texts are left out."""
    bank = world.painted(tmp_path / "world")

    class Bright(torch.nn.Module):
        def forward(self, latents):
            scores = torch.stack((latents.mean((1, 2, 3)), torch.zeros(len(latents))), 1)
            return scores[:, None].expand(-1, len(oracle.values()), -1)

    shown = {size: torch.zeros_like(shown) for size, shown in bank.shown.items()}
    asked = {size: torch.ones_like(asked) for size, asked in bank.asked.items()}
    bank = dataclasses.replace(bank, shown=shown, asked=asked)
    chosen = world.options(tmp_path, reading=1.0, feedback=4, steps=60, lr=0.01, drop=1.0)
    train.train(chosen, data=world.source(bank, reader=Bright()))
    lines = [json.loads(line) for line in (tmp_path / "training" / "log.jsonl").read_text().splitlines()]
    failed = [line["failed"] for line in lines if "failed" in line]
    assert sum(failed[-10:]) < 0.8 * sum(failed[:10])
