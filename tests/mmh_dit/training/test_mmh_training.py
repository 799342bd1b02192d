"""The trainer of MMH-DiT: its batches, its loss, resuming, sample pictures and the file that it writes."""

import dataclasses
import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import pytest
import torch
import world_for_tests as world
from safetensors.torch import load_file, save_file

from presample.models.mmh_dit import checkpoint, flow
from presample.models.mmh_dit.config import MMHDiTConfig
from presample.models.mmh_dit.layers import sdpa
from presample.models.mmh_dit.model import MMHDiT, init_weights
from presample.models.mmh_dit.training import batches, pictures, reading, sources, train
from presample.models.mmh_dit.training.attention import written_out
from presample.models.mmh_dit.training.loss import drop, make_loss, mean_text
from presample.models.mmh_dit.training.world import Bank, Tools, paint_all
from presample.models.mmh_dit.training.world_batches import WorldBatches
from presample.models.seeds import generator_for
from presample.models.tinyworld.pictures import SIZES
from presample.models.tinyworld.solids import COLORS
from presample.models.trainer.fit import Place, make_accelerator
from presample.models.trainer.optimizers import make_optimizers
from presample.models.trainer.options import recipe

pytest.importorskip("accelerate", reason="training needs presample[train]")


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    return world.painted(tmp_path_factory.mktemp("world"))


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in ("latents", "text", "mask"))


# The little world


def test_every_shape_of_canvas_has_its_size(bank):
    assert set(bank.latents) == {(width // 8, height // 8) for width, height in SIZES.values()}
    for (width, height), latents in bank.latents.items():
        assert 240 <= width * height <= 256
        assert latents.shape[1:] == (16, height, width)
    assert sum(map(len, bank.latents.values())) == world.HOW.pictures
    assert {len(p) for prompts in bank.prompts.values() for p in prompts} == {world.HOW.prompts}
    longest = max(len(t) for prompts in bank.prompts.values() for p in prompts for t in p)
    assert longest == world.HOW.text_len
    assert all(t[-1] == world.END for prompts in bank.prompts.values() for p in prompts for t in p)


def test_canvases_of_one_colour_come_with_the_scenes(tmp_path):
    how = dataclasses.replace(world.HOW, pictures=256, solids=8)
    letters = Tools(world.paint, world.encode, lambda prompt: list(map(ord, prompt)))
    paint_all(tmp_path, how, letters, place=Place())
    with_them = Bank.read(tmp_path, how)
    said = {
        "".join(map(chr, prompts[0].tolist())): latents
        for size, rows in with_them.prompts.items()
        for prompts, latents in zip(rows[-8:], with_them.latents[size][-8:], strict=True)
    }
    plain = [latents for text, latents in said.items() if text.split()[0] in COLORS]
    assert sum(map(len, with_them.latents.values())) == 256 + 8
    assert len(plain) > 2
    assert all(torch.equal(latents, latents[:, :1, :1].expand_as(latents)) for latents in plain)


def test_painting_goes_on_where_it_stopped_and_is_the_same(tmp_path):
    def broken(draw):
        if next(count) > 300:
            raise RuntimeError("the power is gone")
        return world.paint(draw)

    count = iter(range(10**6))
    with pytest.raises(RuntimeError):
        paint_all(tmp_path, world.HOW, Tools(broken, world.encode, world.tokens), place=Place())
    assert [p.name for p in sorted(tmp_path.glob("0*"))] == ["00000.safetensors"]
    again, whole = world.painted(tmp_path), world.painted(tmp_path / "whole")
    assert all(torch.equal(again.latents[size], whole.latents[size]) for size in whole.latents)
    for other in ({"seed": 1}, {"painter": 0}, {"autoencoder": "retrained"}, {"words": "more"}):
        with pytest.raises(ValueError, match=f"was made with {next(iter(other))} .*, now"):
            world.painted(tmp_path, dataclasses.replace(world.HOW, **other))


def test_latents_of_another_autoencoder_are_not_trained_on(random_world_folder, tmp_path, monkeypatch):
    bundled, chosen = tmp_path / "bundled", world.options(tmp_path)
    object.__setattr__(chosen, "pictures", 2)
    shutil.copytree(random_world_folder, bundled)
    monkeypatch.setattr("presample.models.hub.BUNDLED", bundled)
    monkeypatch.setattr("presample.models.mmh_dit.training.world.CHUNK", 2)
    for _ in range(2):
        sources.source(chosen, train.shape(chosen), tmp_path / "work", make_accelerator(chosen))
    weights = bundled / "tiny-autoencoder" / "model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    with pytest.raises(ValueError, match="was made with autoencoder"):
        sources.source(chosen, train.shape(chosen), tmp_path / "work", make_accelerator(chosen))


def test_batches_of_the_little_world_can_be_sent_to_workers(random_world_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("presample.models.hub.BUNDLED", random_world_folder)
    monkeypatch.setattr("presample.models.mmh_dit.training.world.CHUNK", 2)
    chosen = world.options(tmp_path)
    for name, count in (("pictures", 2), ("batch", 1)):
        object.__setattr__(chosen, name, count)
    made = sources.source(chosen, train.shape(chosen), tmp_path / "work", make_accelerator(chosen))
    staged = made.open(Place())
    here, there = staged[0], pickle.loads(pickle.dumps(staged))[0]
    torch.testing.assert_close(there, here)
    assert not there["text"].requires_grad


def test_a_reader_lies_beside_what_it_has_read_and_one_of_other_steps_is_another(
    random_world_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("presample.models.hub.BUNDLED", random_world_folder)
    monkeypatch.setattr("presample.models.mmh_dit.training.world.CHUNK", 2)
    monkeypatch.setattr("presample.models.mmh_dit.training.reading.BATCH", 1)
    for steps in (1, 2, 2):
        chosen = world.options(tmp_path, reading=0.1, reader_steps=steps)
        object.__setattr__(chosen, "pictures", 2)
        made = sources.source(chosen, train.shape(chosen), tmp_path / "work", make_accelerator(chosen))
        assert made.reader is not None
    found = sorted((tmp_path / "work/world").glob("reader-*"))
    assert [path.name for path in found] == ["reader-2-1.safetensors", "reader-2-2.safetensors"]
    assert found[0].read_bytes() != found[1].read_bytes()


def test_an_epoch_shows_pictures_once_in_batches_of_one_size_and_like_length(bank):
    data = world.batches(bank)
    seen = [data[i] for i in range(len(data))]
    for found in seen:
        assert found["latents"].shape[2:] in {(h, w) for w, h in bank.latents}
        assert found["text"].shape[:2] == found["mask"].shape
        assert found["mask"].any(1).all()
        assert found["mask"].any(0).all(), "a column of nothing but padding"
    shown = torch.cat([b["latents"][:, :, 0, 0] for b in seen])
    assert len(shown.unique(dim=0)) == len(shown) >= world.HOW.pictures - 8 * len(SIZES)
    filled = sum(float(b["mask"].sum()) for b in seen) / sum(b["mask"].numel() for b in seen)
    assert filled > 0.85
    assert not same(data[0], data[len(data)])


def test_every_process_gets_equal_shapes_and_other_pictures(bank):
    one = world.batches(bank, batch=8)
    two = [world.batches(bank, batch=4, place=Place(rank, 2)) for rank in (0, 1)]
    assert len(one) == len(two[0]) == len(two[1])
    for number in (0, 5, len(one) + 3):
        whole, halves = one[number], [part[number] for part in two]
        assert halves[0]["latents"].shape == halves[1]["latents"].shape == (4, *whole["latents"].shape[1:])
        together = torch.stack([half["latents"] for half in halves], 1).flatten(0, 1)
        assert torch.equal(together, whole["latents"])


def test_a_balanced_world_shows_rare_shapes_more_often_and_every_picture_of_a_shape_alike(bank):
    whole = WorldBatches(bank, 8, world.states, pad=world.END, seed=2, balance=0.0)
    halves = [
        WorldBatches(bank, 4, world.states, pad=world.END, seed=2, place=Place(rank, 2), balance=0.0)
        for rank in (0, 1)
    ]
    seen = [whole[number] for number in range(200)]
    counts = Counter(tuple(found["latents"].shape[2:]) for found in seen)
    assert counts.keys() == {size[::-1] for size in bank.latents}
    rarest = min(bank.latents, key=lambda size: len(bank.latents[size]))
    proportional = 200 * len(bank.latents[rarest]) / sum(map(len, bank.latents.values()))
    assert counts[rarest[::-1]] > 1.2 * proportional
    again = WorldBatches(bank, 8, world.states, pad=world.END, seed=2, balance=0.0)
    assert same(again[150], seen[150])
    together = torch.stack([half[150]["latents"] for half in halves], 1).flatten(0, 1)
    assert torch.equal(together, seen[150]["latents"])
    filled = sum(float(b["mask"].sum()) for b in seen) / sum(b["mask"].numel() for b in seen)
    assert filled > 0.8


def test_the_stream_is_the_same_from_any_batch_on(bank):
    staged = world.source(bank).open(Place())
    for skip in (0, 3, 100):
        stream = batches.stream(staged, skip=skip)
        assert same(next(stream), staged[skip])
        assert same(next(stream), staged[skip + 1])


# Stages


def test_stages_are_read_and_checked():
    assert batches.parse_stages(["latents=a texts=b", "begin=50 latents='c d' batch=8"]) == (
        batches.Stage(0, "a", "b", 0),
        batches.Stage(50, "c d", "", 8),
    )
    for bad in (["begin=5 latents=a"], ["latents=a", "latents=b"], ["begin=0"], ["latents=a size=3"], ["a"]):
        with pytest.raises(ValueError, match=r"must (begin|read)"):
            batches.parse_stages(bad)


def test_the_number_of_a_batch_says_which_stage_it_is_of():
    def part(name):
        return [{"latents": (name, i), "text": None, "mask": None} for i in range(9)]

    staged = batches.Staged((0, 3, 5), (part("a"), part("b"), part("c")))
    assert [staged[i]["latents"] for i in range(7)] == [
        ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("c", 0), ("c", 1),
    ]  # fmt: skip


# Loss


def test_a_tenth_of_the_texts_is_left_out():
    mask = torch.rand(20000, 5, generator=generator_for(1)) < 0.8
    dropped = drop(mask, torch.zeros(20000, 5, 3), 0.1, generator_for(2))
    gone = ~dropped.any(1) & mask.any(1)
    assert gone.float().mean() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(dropped[~gone], mask[~gone])
    assert drop(None, torch.zeros(4, 5, 3), 0.0, generator_for(2)).all()
    assert drop(None, None, 0.1, generator_for(2)) is None


def small_model():
    config = MMHDiTConfig(hidden=24, heads=(2, 6), mlp_hidden=32, text_dim=12, gate_init=0.3)
    model = MMHDiT(config)
    init_weights(model, generator_for(0))
    torch.nn.init.normal_(model.final.linear.weight, generator=generator_for(1))
    return model


def test_a_text_that_is_left_out_is_no_text():
    model, draw = small_model(), generator_for(3)
    x, t = torch.randn(4, 16, 4, 6, generator=draw), torch.rand(4, generator=draw)
    text, mask = torch.randn(4, 5, 12, generator=draw), torch.ones(4, 5, dtype=torch.bool)
    mask[1] = False
    with torch.no_grad():
        mixed, without = model(x, t, text, mask), model(x, t)
    torch.testing.assert_close(mixed[1], without[1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(mixed[0], without[0], atol=1e-3)


def test_the_loss_is_that_of_the_flow(bank):
    """At sigma 0: x_t = t·x_1 + (1 - t)·x_0, and the model is asked for x_1 - x_0."""
    seen = {}

    def model(x_t, t, text, mask):
        seen.update(x_t=x_t, t=t, mask=mask)
        return torch.zeros_like(x_t)

    batch = world.batches(bank)[0]
    value = make_loss(flow.FlowOptions(sigma=0.0), share=0.0)(model, batch, generator_for(5))["loss"]
    x_1, t = batch["latents"].float(), seen["t"][:, None, None, None]
    x_0 = (seen["x_t"] - t * x_1) / (1 - t)
    assert float(value) == pytest.approx(float((x_1 - x_0).square().mean()), rel=1e-4)
    assert torch.equal(seen["mask"], batch["mask"])
    assert x_0.std() == pytest.approx(1, abs=0.05)


def test_the_loss_asks_without_the_texts_that_are_left_out(bank):
    asked, whole = [], []

    def model(x_t, t, text, mask):
        asked.append(mask)
        return torch.zeros_like(x_t)

    for number in range(40):
        batch = world.batches(bank)[number]
        make_loss(flow.FlowOptions(), share=0.5)(model, batch, generator_for(number))
        whole.append(batch["mask"])
    gone = torch.stack([~mask.any(1) for mask in asked])
    assert gone.float().mean() == pytest.approx(0.5, abs=0.1)
    for mask, all_of_it, without in zip(asked, whole, gone, strict=True):
        assert torch.equal(mask[~without], all_of_it[~without])


def test_couplings_compare_texts_by_the_mean_of_their_tokens(bank):
    text, mask = torch.randn(2, 4, 3, generator=generator_for(6)), torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1]])
    expected = torch.stack([text[0, :2].mean(0), text[1].mean(0)])
    torch.testing.assert_close(mean_text(text, mask.bool()), expected)
    loss = make_loss(flow.FlowOptions(coupling="c2ot"), share=0.1)
    assert loss(small_model(), world.batches(bank)[0], generator_for(1))["loss"].isfinite()


@pytest.mark.parametrize("padded", [False, True])
def test_attention_written_out_is_attention(padded):
    draw = generator_for(7)
    q, k, v = torch.randn(3, 2, 6, 10, 8, generator=draw, dtype=torch.float64)
    mask = torch.zeros(2, 1, 1, 10, dtype=torch.float64)
    mask[1, ..., 4:] = torch.finfo(torch.float64).min
    mask = mask if padded else None
    torch.testing.assert_close(written_out(q, k, v, mask=mask), sdpa(q, k, v, mask=mask))


# Training


def test_it_learns_and_writes_a_model(bank, tmp_path):
    chosen = world.options(
        tmp_path,
        steps=80,
        lr=0.02,
        hidden=48,
        heads="2,4",
        mlp=64,
        samples=3,
        samples_every=50,
        dtype="bf16",
    )
    fitted = train.train(chosen, data=world.source(bank))
    lines = [json.loads(line) for line in (tmp_path / "training" / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[0] > 1.2  # at first the answer is 0, and the loss the variance of data - noise
    assert sum(losses[-20:]) / 20 < 0.6
    model = checkpoint.load(tmp_path / "model.safetensors")
    assert model.config == train.shape(chosen)
    assert model.config.icfm_sigma == chosen.sigma == 0.01
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, fitted.average.values[name].bfloat16()), name
    card = json.loads((tmp_path / "card.json").read_text())["training"]
    assert card["parameters"] == model.config.parameters
    assert card["options"]["steps"] == 80
    names = [p.name for p in sorted((tmp_path / "training" / "samples").iterdir())]
    assert names == ["step-000050.png", "step-000080.png"]


@pytest.mark.parametrize("more", [{}, {"reading": 0.1}, {"reading": 0.1, "feedback": 2}])
def test_a_resumed_training_is_bitwise_an_uninterrupted_one(bank, tmp_path, monkeypatch, more):
    data = world.source(bank, reader=reading.Reader().eval().requires_grad_(False))
    straight = train.train(world.options(tmp_path / "straight", **more), data=data)
    calls = iter(range(100))

    def make(*given, **named):
        inner = make_loss(*given, **named)

        def loss(*batch):
            if next(calls) == 5:
                raise KeyboardInterrupt
            return inner(*batch)

        return loss

    with monkeypatch.context() as patched:
        patched.setattr(train, "make_loss", make)
        with pytest.raises(KeyboardInterrupt):
            train.train(world.options(tmp_path / "broken", **more), data=data)
    resumed = train.train(world.options(tmp_path / "broken", **more), data=data)
    for name, weight in straight.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name


def test_a_training_without_any_text_leaves_alone_what_reads_text(bank, tmp_path):
    for share, reads in ((1.0, False), (0.0, True)):
        chosen = world.options(tmp_path / str(share), drop=share)
        begun = train.make_model(chosen).text_in.state_dict()
        found = train.train(chosen, data=world.source(bank)).model.text_in.state_dict()
        assert [not torch.equal(found[name], weight) for name, weight in begun.items()] == [reads] * 3


def test_muon_steps_the_matrices_of_the_blocks_and_adamw_the_rest(bank, tmp_path, monkeypatch):
    made = []

    def make(*given, **named):
        made.extend(make_optimizers(*given, **named))
        return made

    monkeypatch.setattr(train, "make_optimizers", make)
    model = train.train(world.options(tmp_path, steps=1), data=world.source(bank)).model
    ids = [{id(p) for group in optimizer.param_groups for p in group["params"]} for optimizer in made]
    muon, adamw = ({name for name, p in model.named_parameters() if id(p) in held} for held in ids)
    parts = ("modulation", "attn.qkv", "attn.out", "mlp.w1", "mlp.w2", "mlp.w3")
    assert muon == {f"blocks.{i}.{part}.weight" for i in range(2) for part in parts}
    assert adamw == {name for name, _ in model.named_parameters()} - muon


def test_another_training_begins_with_a_file(bank, tmp_path):
    train.train(world.options(tmp_path / "first"), data=world.source(bank))
    file = str(tmp_path / "first" / "model.safetensors")
    chosen = world.options(tmp_path / "second", start=file, hidden=48, lr=1e-8, steps=1, ema=0.0, sigma=0.05)
    model = train.train(chosen, data=world.source(bank)).model
    assert model.config.hidden == 24
    assert checkpoint.load(tmp_path / "second" / "model.safetensors").config.icfm_sigma == 0.05
    begun = checkpoint.load(tmp_path / "first" / "model.safetensors", dtype=torch.float32).state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, begun[name], atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_model_to_begin_with_is_not_held_so_its_file_can_be_written_again(tmp_path):
    file = tmp_path / "model.safetensors"
    checkpoint.save(train.make_model(world.options(tmp_path)), file)
    model = train.make_model(world.options(tmp_path, start=str(file)))
    assert all(weight.requires_grad for weight in model.parameters())
    assert str(file) not in Path("/proc/self/maps").read_text(), "Windows could not write it"


def test_the_shape_is_that_of_the_options_or_of_a_file(tmp_path):
    config = MMHDiTConfig(hidden=48, heads=(2, 4), text_dim=7)
    (tmp_path / "shape.json").write_text(json.dumps(config.to_dict()), encoding="utf-8-sig")
    assert train.shape(world.options(tmp_path, config=str(tmp_path / "shape.json"))) == config
    options = world.options(tmp_path, config=str(tmp_path / "shape.json"), sigma=0.03)
    assert train.make_model(options).config == dataclasses.replace(config, icfm_sigma=0.03)
    target = dataclasses.replace(options, path="target")  # begins in noise of width 1, whatever the sigma
    assert train.make_model(target).config.icfm_sigma == 0
    assert train.shape(world.options(tmp_path, config="full")).depth == 32
    with pytest.raises(ValueError, match="whole numbers"):
        train.shape(world.options(tmp_path, heads="2;4"))


# Pictures


def test_a_sheet_has_every_picture_in_its_place():
    images = torch.arange(5.0)[:, None, None, None].expand(5, 3, 6, 4) / 10
    sheet = pictures.grid(images, gap=2)
    columns = (sheet.shape[2] + 2) // 6
    assert sheet.shape[1:] == (-(-5 // columns) * 8 - 2, columns * 6 - 2)
    for i in range(5):
        y, x = (i // columns) * 8, (i % columns) * 6
        assert (sheet[:, y : y + 6, x : x + 4] == images[i]).all()


def test_samples_follow_prompts_and_seeds_alone(bank, tmp_path):
    from PIL import Image

    for name in ("one", "two"):
        train.train(world.options(tmp_path / name, samples=2, samples_every=8), data=world.source(bank))
    sheets = [tmp_path / name / "training" / "samples" / "step-000008.png" for name in ("one", "two")]
    assert sheets[0].read_bytes() == sheets[1].read_bytes()
    assert Image.open(sheets[0]).mode == "RGB"


# Compiled blocks


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
def test_compiled_blocks_compute_the_same_for_texts_of_any_length(tmp_path):
    """A run goes on with them or without: they are no part of its recipe."""
    plain, compiled = (world.options(tmp_path, compile=compiled) for compiled in (False, True))
    assert recipe(plain) == recipe(compiled)
    models = [train.make_model(each) for each in (plain, compiled)]
    assert models[0].state_dict().keys() == models[1].state_dict().keys()
    for model in models:
        init_weights(model, generator_for(0, 1))
        model.final.linear.weight.data.normal_(generator=generator_for(0, 2))
    for length in (5, 9, 13):
        x, text = (torch.randn(shape) for shape in ((2, 16, 4, 6), (2, length, models[0].config.text_dim)))
        mask = torch.arange(length) < torch.tensor([[length], [length - 2]])
        grads = []
        for model in models:
            model.zero_grad()
            model(x, torch.tensor([0.2, 0.7]), text, mask).square().mean().backward()
            grads.append([p.grad for p in model.parameters() if p.grad is not None])
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_what_is_written_may_lie_between_the_start_and_the_trained_model(bank, tmp_path):
    train.train(world.options(tmp_path / "first", steps=2, dtype="fp32"), data=world.source(bank))
    start = str(tmp_path / "first" / "model.safetensors")

    def written(blend):
        more = {"start": start, "blend": blend, "dtype": "fp32", "ema": 0.0}
        train.train(world.options(tmp_path / f"{blend}", **more), data=world.source(bank))
        return load_file(tmp_path / f"{blend}" / "model.safetensors")

    begun, half, whole = load_file(start), written(0.25), written(1.0)
    assert any(not torch.equal(begun[name], whole[name]) for name in whole)
    weights = {name: t for name, t in half.items() if t.is_floating_point()}  # the config is text
    assert len(weights) == len(half) - 1
    for name, weight in weights.items():
        torch.testing.assert_close(weight, 0.75 * begun[name] + 0.25 * whole[name], atol=1e-6, rtol=1e-5)
    with pytest.raises(ValueError, match="name --start"):
        train.train(world.options(tmp_path / "none", blend=0.5), data=world.source(bank))
