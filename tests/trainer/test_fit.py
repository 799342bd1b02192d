"""The loop: exact resume, interruption, accumulation, averaging and hooks."""

import json
import os
import re
import signal

import pytest
import torch
import trainer_for_tests as small

from presample.models.trainer import checkpoint
from presample.models.trainer.fit import Hook, Place, fit

pytest.importorskip("accelerate", reason="training needs presample[train]")


def train(chosen, *, data=None, loss=small.loss, model=None, hooks=()):
    model = model or small.network()
    return fit(
        model,
        small.optimizers(model, chosen),
        data=data or small.Batches(),
        loss=loss,
        options=chosen,
        hooks=hooks,
    )


def tensors(fitted):
    """All of a training's last checkpoint."""
    return checkpoint.read(checkpoint.find(fitted.work) / "0.safetensors")


def log(fitted):
    lines = map(json.loads, (fitted.work / "log.jsonl").read_text().splitlines())
    return [{k: v for k, v in line.items() if k not in ("seconds", "samples_per_second")} for line in lines]


def at_batch(number, act):
    """The loss, which also acts before batch `number`."""
    seen = []

    def loss(*given):
        seen.append(None)
        if len(seen) == number:
            act()
        return small.loss(*given)

    return loss


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


def fail():
    raise RuntimeError("the power is gone")


@pytest.mark.parametrize("act", [interrupt, fail], ids=["Ctrl-C", "crash"])
def test_a_resumed_training_is_bitwise_an_uninterrupted_one(tmp_path, act):
    chosen = {"accumulate": 2, "weight_decay": 0.1}
    straight = train(small.options(tmp_path / "straight", **chosen))
    broken = small.options(tmp_path / "broken", **chosen)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        train(broken, loss=at_batch(15, act))
    at = 8 if act is interrupt else 5
    assert checkpoint.find(tmp_path / "broken" / "training").name == f"checkpoint-{at:08d}"
    data = small.Batches()
    resumed = train(broken, data=data)
    assert data.asked == [2 * at]
    (ours, our_state), (theirs, their_state) = tensors(resumed), tensors(straight)
    assert our_state.pop("seconds") > 0 < their_state.pop("seconds")
    assert our_state == their_state
    assert ours.keys() == theirs.keys()
    assert {name.partition(".")[0] for name in ours} == {"model", "optimizer", "average"}
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert log(resumed) == log(straight)
    assert [line["step"] for line in log(resumed)] == list(range(1, 15))


def test_training_learns_and_leaves_the_global_generator_alone(tmp_path):
    before, handler = torch.random.get_rng_state(), signal.getsignal(signal.SIGINT)
    fitted = train(small.options(tmp_path, steps=300, lr=0.03))
    assert torch.equal(before, torch.random.get_rng_state())
    losses = [line["loss"] for line in log(fitted)]
    assert sum(losses[-20:]) < 0.15 * sum(losses[:20])
    assert signal.getsignal(signal.SIGINT) is handler


def test_the_seed_decides_everything(tmp_path):
    runs = [train(small.options(tmp_path / str(i), seed=seed)) for i, seed in enumerate((0, 0, 1))]
    first, same, other = [torch.cat([p.flatten() for p in run.model.parameters()]) for run in runs]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_accumulated_batches_make_the_step_of_the_larger_batch(tmp_path, optimizer):
    halves = small.Batches(8)

    def whole(place, skip):
        stream = halves(place, 2 * skip)
        while True:
            pair = [next(stream), next(stream)]
            yield {name: torch.cat([half[name] for half in pair]) for name in ("x", "y")}

    results = []
    for name, data, count in (("halves", halves, 2), ("whole", whole, 1)):
        chosen = small.options(tmp_path / name, accumulate=count, optimizer=optimizer, steps=5)
        results.append(train(chosen, data=data, loss=small.quiet, model=small.network(dropout=0)))
    for a, b in zip(*[list(run.model.parameters()) for run in results], strict=True):
        torch.testing.assert_close(a, b, rtol=2e-3 if optimizer == "muon" else 1e-4, atol=1e-5)
    assert log(results[0])[-1]["loss"] == pytest.approx(log(results[1])[-1]["loss"], rel=1e-4)


def test_a_gradient_longer_than_the_clip_is_cut_to_its_length(tmp_path):
    def steep(*given):
        return 1000 * small.quiet(*given)

    model, by_hand = small.network(dropout=0), small.network(dropout=0)
    chosen = small.options(tmp_path, steps=1, milestones="0:0.1", clip=0.5)
    plain = torch.optim.SGD(model.parameters(), lr=1.0)
    fitted = fit(model, [plain], data=small.Batches(), loss=steep, options=chosen)
    steep(by_hand, next(small.Batches()(Place(), 0)), None).backward()
    norm = torch.cat([p.grad.flatten() for p in by_hand.parameters()]).norm()
    for ours, theirs in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs - 0.1 * theirs.grad * 0.5 / norm)
    assert norm > 100
    assert log(fitted)[-1]["grad_norm"] == pytest.approx(float(norm))


def test_hooks_see_the_averaged_weights_and_take_nothing_away(tmp_path):
    seen = {}

    def look(moment):
        assert not moment.model.training
        assert not torch.is_grad_enabled()
        seen[moment.step] = [p.clone() for p in moment.model.parameters()]
        torch.rand(5)  # what a hook draws changes nothing
        return {"looked": 1.0}

    watched = train(small.options(tmp_path / "a"), hooks=[Hook(4, look)])
    alone = train(small.options(tmp_path / "b"))
    assert list(seen) == [4, 8, 12, 14]
    for last, average, kept in zip(
        watched.model.parameters(), seen[14], watched.average.values.values(), strict=True
    ):
        assert torch.equal(average, kept)
        assert not torch.equal(average, last)
    assert all(
        torch.equal(a, b) for a, b in zip(watched.model.parameters(), alone.model.parameters(), strict=True)
    )
    assert {"step": 14, "event": "measured", "looked": 1.0} in log(watched)
    weights = watched.weights()
    assert all(torch.equal(weights[name], value) for name, value in watched.average.values.items())


def test_a_spike_changes_nothing_and_is_logged(tmp_path):
    steps, at = 320, 250

    def spiky(model, batch, generator):
        return small.loss(model, batch, generator)["loss"] * (100 if next(count) == at else 1)

    def states():
        return {name: p.detach().clone() for name, p in model.named_parameters()}

    count, model, before = iter(range(1, steps + 1)), small.network(), {}
    hook = Hook(1, lambda moment: before.update({moment.step: states()}))
    fitted = train(small.options(tmp_path, steps=steps, ema=0.0), loss=spiky, model=model, hooks=[hook])
    events = [line for line in log(fitted) if line.get("event") == "spike"]
    assert [line["step"] for line in events] == [at]
    assert events[0]["loss"] > events[0]["limit"]
    assert fitted.skipped == 1
    assert all(torch.equal(before[at][name], before[at - 1][name]) for name in before[at])
    assert not all(torch.equal(before[at + 1][name], before[at][name]) for name in before[at])


def test_a_step_that_is_left_out_leaves_no_statistics_of_its_batch(tmp_path):
    class Infinite(small.Batches):
        def __call__(self, place, skip):
            for number, batch in enumerate(super().__call__(place, skip)):
                yield {**batch, "x": batch["x"] * torch.inf} if number == 3 else batch

    model = torch.nn.Sequential(torch.nn.BatchNorm1d(8), small.network())
    chosen = small.options(tmp_path)
    with torch.random.fork_rng():
        fitted = train(chosen, data=Infinite(), model=model)
    assert fitted.skipped == 1
    assert all(buffer.isfinite().all() for buffer in model.buffers())
    assert int(model[0].num_batches_tracked) == chosen.steps - 1


def test_a_second_training_keeps_out_of_the_folder(tmp_path):
    def second():
        with pytest.raises(ValueError, match="another program is at work"):
            train(small.options(tmp_path))

    train(small.options(tmp_path), loss=at_batch(3, second))


def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path):
    path = checkpoint.find(train(small.options(tmp_path)).work) / "0.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"0\.safetensors must be a whole checkpoint.*--no-resume"):
        train(small.options(tmp_path, steps=20))


def test_a_loss_that_is_not_finite_ends_the_training_with_advice(tmp_path):
    def lost(model, batch, generator):
        return small.quiet(model, batch, generator) * torch.nan

    model = small.network()
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        train(small.options(tmp_path, steps=100), loss=lost, model=model)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_training_that_goes_astray_ends_and_its_sound_checkpoint_stays(tmp_path):
    def astray(*given):
        loss = small.loss(*given)["loss"]
        return loss * (1000 if next(count) in (248, 254, *range(256, 400)) else 1)

    count, chosen = iter(range(1, 1000)), small.options(tmp_path, steps=400, save_every=25)
    with pytest.raises(
        FloatingPointError, match=r"again and again: lower .*checkpoint-00000225 with the same"
    ):
        train(chosen, loss=astray)
    assert checkpoint.find(tmp_path / "training").name == "checkpoint-00000225"
    assert train(small.options(tmp_path, steps=400, lr=0.001)).steps == 400


def test_a_checkpoint_waits_until_the_loss_is_calm_and_none_goes_for_a_doubtful_one(tmp_path, caplog):
    def spiky(*given):
        number = next(count)
        if number == stop:
            interrupt()
        return small.loss(*given)["loss"] * (1000 if number in (248, 258) else 1)

    names = lambda: sorted(path.name[-3:] for path in (tmp_path / "training").glob("checkpoint-*"))  # noqa: E731
    for stop, found in ((262, ["225", "262"]), (285, ["285"])):
        count = iter(range(1 if stop == 262 else 263, 1000))
        with pytest.raises(KeyboardInterrupt):
            train(small.options(tmp_path, steps=400, save_every=25), loss=spiky)
        assert names() == found
    assert re.findall(r"the older \S*checkpoint-(\d+) is kept", caplog.text) == ["00000225"]


def test_another_model_does_not_go_on_from_the_checkpoint(tmp_path):
    train(small.options(tmp_path))
    with pytest.raises(ValueError, match=r"of another model.*--no-resume"):
        train(small.options(tmp_path, steps=20), model=torch.nn.Sequential(torch.nn.Linear(8, 4)))


def test_a_stage_begins_at_its_step_where_more_batches_make_a_step_than_before(tmp_path):
    train(small.options(tmp_path))
    data = small.Batches()
    train(small.options(tmp_path, steps=15, accumulate=4), data=data)
    assert data.asked == [14 * 4]


@pytest.mark.parametrize(
    ("other", "said"), [({"lr": 0.5}, "lr 0.01 -> 0.5"), ({"steps": 5}, "steps 14 -> 5")]
)
def test_a_training_that_ended_is_not_given_the_name_of_another(tmp_path, other, said):
    train(small.options(tmp_path))
    with pytest.raises(ValueError, match=rf"of step 14.*{said}.*--no-resume"):
        train(small.options(tmp_path, **other))
    assert train(small.options(tmp_path, resume=False, **other)).steps == other.get("steps", 14)


def test_what_a_training_shows_of_itself_is_no_other_training(tmp_path, caplog):
    first = train(small.options(tmp_path))
    with caplog.at_level("INFO", logger="presample"):
        again = train(small.options(tmp_path, log_every=5, save_every=7))
    assert again.steps == first.steps
    assert "other options" not in caplog.text


def test_a_training_that_was_stopped_ends_where_it_is_when_asked_for_no_more_steps(tmp_path):
    chosen = small.options(tmp_path, save_every=5)
    with pytest.raises(KeyboardInterrupt):
        train(chosen, loss=at_batch(8, interrupt))
    assert train(small.options(tmp_path, steps=8)).steps == 8


def test_a_training_that_ended_goes_on_when_it_gets_more_steps_and_says_what_is_new(tmp_path, caplog):
    first = train(small.options(tmp_path))
    with caplog.at_level("INFO", logger="presample"):
        longer = train(small.options(tmp_path, steps=20))
    assert longer.seconds > first.seconds > 0
    assert "going on after step 14, with other options than before: steps 14 -> 20" in caplog.text
    assert log(longer)[-1]["step"] == 20
    longer.discard_checkpoints()
    assert {p.name for p in longer.work.iterdir()} == {".lock", "log.jsonl"}
