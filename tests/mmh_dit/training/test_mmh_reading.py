"""What the trainer reads off the pictures that its model foresees."""

import dataclasses
import json

import pytest
import torch
import world_for_tests as world
from torch.nn import functional

from presample.models.mmh_dit import flow
from presample.models.mmh_dit.training import reading, train
from presample.models.mmh_dit.training.loss import make_loss
from presample.models.mmh_dit.training.world import CHUNK, NOTHING
from presample.models.seeds import generator_for
from presample.models.tinyworld import oracle
from presample.models.tinyworld.following import visible_demands
from presample.models.tinyworld.pictures import draws, prompt
from presample.models.trainer.fit import make_accelerator

pytest.importorskip("accelerate", reason="training needs presample[train]")
NAMES = list(oracle.values())
SEASON = NAMES.index("season")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return world.painted(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def reader(bank, tmp_path_factory):
    path = tmp_path_factory.mktemp("reader") / "reader.safetensors"
    return made(bank, path, steps=60)


def made(bank, path, *, steps, seed=0):
    accelerator = make_accelerator(world.options(path.parent))
    return reading.reader(bank, path, steps=steps, seed=seed, accelerator=accelerator)


def test_pictures_keep_what_they_show_and_what_their_prompts_demand(bank):
    here = [d for d in draws(0, world.HOW.pictures) if (d.width, d.height) == (128, 128)]
    assert len(here) == len(bank.shown[16, 16])
    for i in (0, len(here) // 2, len(here) - 1):
        assert torch.equal(bank.shown[16, 16][i], oracle.numbers(here[i].scene).byte())
        for k in range(world.HOW.prompts):
            demanded = visible_demands(prompt(here[i], number=k).tags)
            assert {NAMES[a] for a in bank.asked[16, 16][i, k].nonzero()[:, 0]} == set(demanded)


def test_canvases_show_nothing_and_nothing_is_demanded_of_them(tmp_path):
    bank = world.painted(tmp_path, dataclasses.replace(world.HOW, pictures=CHUNK, solids=3))
    shown = torch.cat([bank.shown[size] for size in bank.shown])
    asked = torch.cat([bank.asked[size] for size in bank.asked])
    nothing = (shown == NOTHING).any(1)
    assert int(nothing.sum()) == 3
    assert (shown[nothing] == NOTHING).all()
    assert not asked[nothing].any()


def test_a_batch_says_what_its_own_pictures_show_and_its_own_prompts_demand(bank):
    """Each colour is a season here, so latents and values can be compared; demands with all of the bank's."""
    batch = world.batches(bank)[3]
    h, w = batch["latents"].shape[2:]
    for latents, shown, asked in zip(batch["latents"], batch["shown"], batch["asked"], strict=True):
        same = (bank.latents[w, h] == latents).flatten(1).all(1).nonzero()[:, 0].tolist()
        assert any(torch.equal(bank.shown[w, h][i].long(), shown) for i in same)
        assert any((bank.asked[w, h][i] == asked).all(1).any() for i in same)


def test_the_reader_learns_what_can_be_seen(bank, reader):
    """The stand-in's pictures show the season and nothing else."""
    latents, shown = bank.latents[16, 16].float(), bank.shown[16, 16].long()
    right = (reader(latents).argmax(-1) == shown).float().mean(0)
    assert right[SEASON] > 0.9
    assert right[NAMES.index("facing")] < 0.9


def test_a_reader_is_trained_once_and_alike(bank, tmp_path):
    state = torch.get_rng_state()
    first = made(bank, tmp_path / "reader.safetensors", steps=3)
    written = (tmp_path / "reader.safetensors").stat().st_mtime_ns
    second = made(bank, tmp_path / "reader.safetensors", steps=3)
    third = made(bank, tmp_path / "again.safetensors", steps=3)
    other = made(bank, tmp_path / "other.safetensors", steps=3, seed=1)
    assert (tmp_path / "reader.safetensors").stat().st_mtime_ns == written
    assert torch.equal(torch.get_rng_state(), state)
    weights = [found.heads.weight for found in (first, second, third, other)]
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])
    assert not any(p.requires_grad for p in second.parameters())


def test_too_few_scenes_say_what_to_do(bank, tmp_path):
    few = dataclasses.replace(bank, shown={(16, 16): bank.shown[16, 16][:9]})
    with pytest.raises(ValueError, match="64 scenes of a size: paint more, or give --reading 0"):
        made(few, tmp_path / "reader.safetensors", steps=1)
    assert not list(tmp_path.iterdir())


def test_surprise_is_the_cross_entropy_of_what_is_asked():
    draw = generator_for(1)
    scores = torch.randn(2, 3, 4, generator=draw)
    shown = torch.tensor([[1, 2, NOTHING], [0, NOTHING, 3]])
    asked = torch.tensor([[True, False, False], [True, False, True]])
    each = [functional.cross_entropy(scores[i, a][None], shown[i, a][None]) for i, a in asked.nonzero()]
    torch.testing.assert_close(reading.surprise(scores, shown, asked), torch.stack(each).mean())
    assert reading.surprise(scores, shown, torch.zeros_like(asked)) == 0


def test_clean_latents_are_foreseen_of_the_right_velocity(bank):
    x_1 = bank.latents[16, 16][:6].float()
    example = flow.example(x_1, flow.FlowOptions(sigma=0.0), generator_for(2))
    torch.testing.assert_close(
        flow.denoised(example.x_t, example.t, example.velocity), x_1, atol=1e-4, rtol=1e-4
    )


def test_the_loss_adds_what_the_reader_misses_of_the_texts_that_are_kept(bank, reader):
    """The right velocity shows what is demanded, none at all does not; a text left out demands nothing."""
    batch = world.batches(bank)[0] | {"asked": torch.zeros(8, len(NAMES), dtype=torch.bool)}
    batch["asked"][:, SEASON] = True
    seen = {}

    def still(x_t, t, text, mask):
        return torch.zeros_like(x_t)

    def right(x_t, t, text, mask):
        seen["kept"] = mask.any(1)
        return (batch["latents"].float() - x_t) / (1 - t)[:, None, None, None]

    def value(model, **more):
        loss = make_loss(flow.FlowOptions(sigma=0.0, shift=3.0), reader=reader, weight=0.5, **more)
        return loss(model, batch, generator_for(3))

    good, bad, free = value(right, share=0.0), value(still, share=0.0), value(still, share=1.0)
    assert good["missed"] < 0.5 < bad["missed"]
    assert free["missed"] == 0
    for found in (good, bad, free):
        torch.testing.assert_close(found["loss"], found["error"] + 0.5 * found["missed"])
    value(right, share=0.5)
    assert 0 < seen["kept"].sum() < 8


def test_a_model_learns_to_show_what_is_demanded(bank, reader, tmp_path):
    """Gradients of the reader reach the model, and its own weights stay."""
    before = {name: weight.clone() for name, weight in reader.state_dict().items()}
    seasons = torch.arange(len(NAMES)) == SEASON
    asked = {size: seasons.expand_as(asked) for size, asked in bank.asked.items()}
    chosen = world.options(tmp_path, steps=60, lr=0.02, hidden=48, heads="2,4", mlp=64, reading=1.0)
    train.train(chosen, data=world.source(dataclasses.replace(bank, asked=asked), reader=reader))
    lines = [json.loads(line) for line in (tmp_path / "training" / "log.jsonl").read_text().splitlines()]
    missed = [line["missed"] for line in lines if "missed" in line]
    assert sum(missed[-15:]) < 0.8 * sum(missed[:15])
    for line in lines:
        if "missed" in line:
            assert line["loss"] == pytest.approx(line["error"] + line["missed"], rel=1e-3)
    assert all(torch.equal(weight, before[name]) for name, weight in reader.state_dict().items())
