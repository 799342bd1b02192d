"""The parts of the loop: learning rates, the guard, averaged weights, the log, checkpoints, options."""

import dataclasses
import json
import math
import random
from pathlib import Path

import pytest
import torch

from presample.models.mmh_dit.training import options as mmh
from presample.models.options import describe
from presample.models.seeds import generator_for
from presample.models.textcraftor.training.options import CraftOptions
from presample.models.tinyworld.training.painted import PaintedOptions
from presample.models.tipo.training.train import TrainOptions
from presample.models.trainer import checkpoint, guard
from presample.models.trainer.ema import Average
from presample.models.trainer.journal import Journal
from presample.models.trainer.optimizers import make_optimizers, title
from presample.models.trainer.options import FitOptions, recipe, told
from presample.models.trainer.schedule import between, milestones, schedule


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.0), (250, 5e-5), (1000, 2e-4), (2000, 2e-4), (2500, 1.1e-4), (3000, 2e-5), (9999, 2e-5)],
)
def test_milestones_are_joined_by_straight_lines(step, rate):
    text = "0:0,1000:2e-4,2000:2e-4,3000:2e-5"
    assert between(milestones(text), step) == pytest.approx(rate)
    assert schedule(FitOptions(milestones=text))(step) == pytest.approx(rate)


def test_the_first_milestone_holds_from_the_beginning():
    assert between(milestones("100:1e-3,200:0"), 0) == 1e-3


@pytest.mark.parametrize("text", ["", "1000", "0:0,0:1", "5:1,3:1", "0:-1", "a:b", "0:nan", "0:0:0", "-5:1"])
def test_milestones_that_make_no_sense_are_refused(text):
    with pytest.raises(ValueError, match="milestones must"):
        milestones(text)


def test_the_cosine_warms_up_and_comes_down():
    rate = schedule(FitOptions(steps=1000, warmup=100, lr=2.0))
    values = [rate(i) for i in range(1001)]
    assert values[99] == values[100] == 2
    assert values[:100] == sorted(values[:100])
    assert values[100:] == sorted(values[100:], reverse=True)
    assert values[-1] == pytest.approx(0.02)


def _losses(count, seed=0):
    draw = random.Random(seed)
    return [0.5 + 0.5 * math.exp(-i / 300) + 0.02 * draw.gauss(0, 1) for i in range(count)]


def test_the_guard_skips_a_spike_and_nothing_else():
    watch, losses = guard.Guard(), _losses(2000)
    losses[700] += 1.0
    losses[1200] += 0.5
    assert [i for i, loss in enumerate(losses) if watch.skips(loss)] == [700, 1200]


def test_the_limit_is_the_mean_and_six_mad():
    watch = guard.Guard()
    for loss in [1.0, 2.0, 3.0, 4.0] * 100:
        watch.skips(loss)
    assert watch.limit == pytest.approx(2.5 + 6 * 1.0, abs=0.1)
    assert watch.skips(8.7)
    assert not watch.skips(8.3)


def test_the_guard_never_skips_more_than_one_step_in_a_hundred():
    watch, skipped = guard.Guard(), 0
    for i in range(3000):
        skipped += watch.skips(1.0 + 0.01 * (i % 7) + (50.0 if i % 20 == 0 else 0.0))
        assert skipped <= 0.01 * (i + 1)
    assert skipped == watch.skipped >= 25


def test_a_loss_that_rises_for_good_is_accepted():
    watch = guard.Guard()
    verdicts = [watch.skips(1.0 + 0.01 * (i % 5) + (i >= 500)) for i in range(1500)]
    assert sum(verdicts[500:520]) > 0
    assert not any(verdicts[-500:])


def test_a_swarm_of_blown_up_losses_is_told_from_spikes_and_from_a_higher_loss():
    watch, losses = guard.Guard(), [0.75 + 0.02 * (i % 5) for i in range(600)]
    for i in (200, 300, 301, 450):
        losses[i] = 40.0
    losses[500:] = [loss + 2.0 for loss in losses[500:]]
    verdicts = []
    for loss in losses:
        watch.skips(loss)
        verdicts.append((watch.is_calm, watch.is_astray))
    assert not any(astray for _, astray in verdicts)
    assert [i for i, (calm, _) in enumerate(verdicts) if not calm] == [
        *range(200, 220),
        *range(300, 321),
        *range(450, 470),
    ]


def test_losses_that_blow_up_again_and_again_are_a_training_gone_astray():
    """As an MMH-DiT was lost: more and more steps, between others that look as ever."""
    watch = guard.Guard()
    for i in range(1808):
        watch.skips(0.75 + 0.02 * (i % 5))
    assert watch.is_calm
    blown = [
        3.0,
        0.97,
        34,
        0.8,
        99,
        0.75,
        0.76,
        314,
        281,
        0.8,
        0.74,
        0.7,
        0.75,
        737,
        12.6,
        1.5,
        134,
        0.7,
        0.8,
    ]
    told = []
    for loss in [*blown, 21.7, 0.76, 779, 142]:
        watch.skips(loss)
        told.append(watch.is_astray)
    assert told.index(True) == 19


def test_the_guard_goes_on_as_if_it_had_not_stopped():
    losses = _losses(900)
    losses[595] += 20
    losses[650] += 2
    straight, first, second = guard.Guard(), guard.Guard(), guard.Guard()
    expected = [straight.skips(loss) for loss in losses]
    found = [first.skips(loss) for loss in losses[:600]]
    second.load(json.loads(json.dumps(first.state())))
    assert found + [second.skips(loss) for loss in losses[600:]] == expected
    assert second.state() == straight.state()


def test_the_average_is_the_one_computed_by_hand():
    model = torch.nn.Linear(1, 1, bias=False)
    values, expected = [3.0, -1.0, 4.0, 1.5, 9.0], None
    with torch.no_grad():
        model.weight.fill_(2.0)
    average, expected = Average(model, 0.3), 2.0
    for n, value in enumerate(values, start=1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update()
        decay = min(0.3, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
        assert float(average.values["weight"]) == pytest.approx(expected, rel=1e-6)
    assert (1 + 5) / (10 + 5) > 0.3 > (1 + 1) / (10 + 1)


def test_the_average_is_kept_in_float32():
    model = torch.nn.Linear(4, 4).bfloat16()
    average = Average(model, 0.9)
    average.update()
    assert {v.dtype for v in average.values.values()} == {torch.float32}
    with average.applied():
        assert model.weight.dtype == torch.bfloat16


def test_the_log_of_a_resumed_run_has_no_step_twice(tmp_path):
    path = tmp_path / "log.jsonl"
    log = Journal(path, first=0)
    for step in range(1, 7):
        log.count(4, {"loss": float(step)})
        if step % 2 == 0:
            log.line(step, skipped=0)
    with path.open("a") as file:
        file.write('{"step": 8, "los')  # the power went
    Journal(path, first=4).write(5, event="spike")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["step"], line.get("loss")) for line in lines] == [(2, 1.5), (4, 3.5), (5, None)]
    Journal(path, first=0)
    assert path.read_text() == ""


def test_an_interruption_while_writing_leaves_the_older_checkpoint(tmp_path, monkeypatch):
    def write(step):
        part = checkpoint.begin(tmp_path, step)
        checkpoint.write(part / "0.safetensors", {"model.w": torch.full((3,), float(step))}, {"step": step})
        checkpoint.finish(part)

    def full(*_, **__):
        raise OSError("the disk is full")

    write(5)
    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", full)
        with pytest.raises(OSError, match="full"):
            write(10)
    assert checkpoint.read(checkpoint.find(tmp_path) / "0.safetensors")[1] == {"step": 5}
    write(15)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-00000015"]
    assert checkpoint.read(checkpoint.find(tmp_path) / "0.safetensors")[0]["model.w"].tolist() == [15.0] * 3


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_training_that_goes_on_does_not_hold_its_checkpoint(tmp_path):
    model = torch.nn.Linear(64, 64)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 64)).sum().backward()
    optimizer.step()
    part = checkpoint.begin(tmp_path, 1)
    checkpoint.write(part / "0.safetensors", checkpoint.gather(model, [optimizer], None), {})
    checkpoint.finish(part)
    tensors, _ = checkpoint.read(checkpoint.find(tmp_path) / "0.safetensors")
    checkpoint.scatter(tensors, model, [optimizer], None)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text(), "Windows could not remove it"


def test_what_a_user_puts_beside_checkpoints_is_never_removed(tmp_path):
    work = tmp_path / "training"
    kept = ["checkpoint-best", "checkpoint-100", "checkpoint-00000005.old", "checkpoints"]
    for name in [*kept, "checkpoint-00000003", "checkpoint-00000004.part"]:
        (work / name).mkdir(parents=True)
    for name in ("checkpoint-00000006", "checkpoint-100.txt"):
        (work / name).write_text("notes")
        kept.append(name)
    (tmp_path / "elsewhere").mkdir()
    try:
        (work / "checkpoint-00000002").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        kept.append("checkpoint-00000002")
    except OSError:  # a system that makes no links
        pass

    def left():
        return {path.name for path in work.iterdir()}

    checkpoint.finish(checkpoint.begin(work, 7))
    assert left() == {*kept, "checkpoint-00000007"}
    assert checkpoint.find(work).name == "checkpoint-00000007"
    checkpoint.clear(work)
    assert left() == set(kept)


def test_every_parameter_has_one_optimizer_and_only_matrices_decay():
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(6, 2))
    model[2].weight.requires_grad_(False)
    muon, adamw = make_optimizers(model, FitOptions(weight_decay=0.1), inner=lambda name: name[0] in "01")
    assert type(muon).__name__ == "Muon"
    assert [p.shape for g in muon.param_groups for p in g["params"]] == [(6, 4)]
    assert [g["weight_decay"] for g in adamw.param_groups] == [0.1, 0.0]
    assert [[tuple(p.shape) for p in g["params"]] for g in adamw.param_groups] == [
        [(4, 3, 3, 3)],
        [(6,), (4,), (2,)],
    ]
    (alone,) = make_optimizers(model, FitOptions(optimizer="adamw"), inner=lambda name: True)
    assert sum(len(g["params"]) for g in alone.param_groups) == 5
    assert "Muon" in title(FitOptions())
    assert "Muon" not in title(FitOptions(optimizer="adamw"))


def test_the_optimizers_have_the_numbers_of_the_options():
    chosen = FitOptions(lr=0.3, beta2=0.77, weight_decay=0.1)
    muon, adamw = make_optimizers(torch.nn.Linear(4, 6), chosen, inner=lambda name: True)
    (matrices,), (vectors,) = muon.param_groups, adamw.param_groups
    assert (matrices["lr"], matrices["weight_decay"]) == (0.3, 0.1)
    assert matrices["adjust_lr_fn"] == "match_rms_adamw"  # without it, one rate would not do for both
    assert (vectors["lr"], vectors["betas"], vectors["eps"]) == (0.3, (0.9, 0.77), 1e-8)
    assert "betas 0.9 and 0.77" in title(chosen)


def test_a_trainer_inherits_options_and_changes_defaults_alone():
    base, own = ({o.name: o for o in describe(cls)} for cls in (FitOptions, TrainOptions))
    assert base.keys() < own.keys()
    assert own["steps"].default == 12000 != base["steps"].default
    assert own["steps"].help == base["steps"].help
    assert own["steps"].high == base["steps"].high


@pytest.mark.parametrize(
    ("cls", "beside", "within"),
    [
        (FitOptions, {"out", "work", "save_every", "log_every", "resume"}, {"steps", "seed", "precision"}),
        (TrainOptions, {"workers"}, {"tokens"}),
        (PaintedOptions, {"workers", "cache"}, {"pictures"}),
        # cfg paints what is judged here, and a text file keeps its last prompts for what is measured.
        (CraftOptions, {"samples", "samples_every"}, {"cfg", "measured", "checkpointing"}),
        (mmh.TrainOptions, {"samples", "samples_every", "decoder", "cfg", "workers", "compile"}, {"dtype"}),
    ],
)
def test_a_recipe_has_what_the_model_depends_on_and_not_what_is_beside(cls, beside, within):
    base = set() if cls is FitOptions else {"out", "work", "save_every", "log_every", "resume"}
    assert {fact.name for fact in describe(cls)} - recipe(cls()).keys() == base | beside
    assert within <= recipe(cls()).keys()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("/home/me/models/first.safetensors", "first.safetensors"),
        ("C:\\Users\\me\\first.safetensors", "first.safetensors"),
        ("~/my models/first.safetensors", "first.safetensors"),
        ("models/first.safetensors", "models/first.safetensors"),
        ("begin=0 latents=/a/my own/256 texts=/a/texts batch=8", "begin=0 latents=256 texts=texts batch=8"),
        ("0:0,1000:2e-4", "0:0,1000:2e-4"),
        ("", ""),
    ],
)
def test_a_card_names_files_and_not_the_folders_of_a_machine(given, shown):
    chosen = dataclasses.replace(TrainOptions(), milestones=given)
    assert recipe(chosen)["milestones"] == given
    assert told(chosen)["milestones"] == shown


def test_generators_depend_on_every_number_and_their_order():
    draws = {
        float(torch.rand((), generator=generator_for(*seeds))) for seeds in [(0, 1), (1, 0), (0, 1, 0), (0,)]
    }
    assert len(draws) == 4
    assert float(torch.rand((), generator=generator_for(0, 1))) in draws
