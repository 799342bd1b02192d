"""The loop: `fit` trains a model on a stream of batches, on one CPU or many GPUs alike.

Everything random follows from the seed, the process and the number of the batch, and what goes on from a
checkpoint is bitwise what an uninterrupted training would have been (on one machine's CPU). Processes, GPUs,
precision and FSDP are Hugging Face accelerate's: `accelerate launch --num_processes 8 -m presample.models.cli
train ...`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ..files import alone
from ..seeds import generator_for
from . import checkpoint
from .ema import Average
from .guard import Guard
from .journal import Journal
from .options import FitOptions, recipe
from .schedule import schedule
from .signals import Wish

COMPILED = "_orig_mod."  # what torch.compile puts before names
LOST = 50  # updates in a row without a finite loss or gradient that end a training


class Place(NamedTuple):
    """Which process this is, from 0, and of how many."""

    rank: int = 0
    count: int = 1


# Yields this process's batches from number `skip` on, for ever; every process gets the same shapes.
Stream = Callable[[Place, int], Iterator[Any]]
# The loss to make smaller, or a dict with it as "loss" and what else is to be logged. The generator lives on
# the CPU; torch's global one is seeded, too, for dropout inside of a model, and put back afterwards.
Loss = Callable[[torch.nn.Module, Any, torch.Generator], "torch.Tensor | Mapping[str, torch.Tensor]"]


class Moment(NamedTuple):
    """What a hook sees: every process calls it, the one with `main` writes files."""

    step: int
    model: torch.nn.Module
    device: torch.device
    main: bool


@dataclass(frozen=True)
class Hook:
    """Is called after every `every` steps and after the last one, without gradients, the model in eval mode
    and with its averaged weights where there are some; numbers that it returns go to the log."""

    every: int
    call: Callable[[Moment], Mapping[str, float] | None]


@dataclass(frozen=True)
class Fitted:
    """A trained model on every process: its last weights, and their average; `seconds` is the time that its
    training took, that of earlier runs which this one went on from included."""

    model: torch.nn.Module
    prepared: torch.nn.Module  # the same as accelerate has wrapped it
    average: Average | None
    accelerator: Any
    work: Path
    steps: int
    skipped: int
    seconds: float

    @property
    def main(self) -> bool:
        """Whether this process writes the model."""
        return self.accelerator.is_main_process

    def weights(self) -> dict[str, torch.Tensor]:
        """Returns the whole state dict, averaged where there is an average; every process calls it."""
        with self.average.applied() if self.average else contextlib.nullcontext():
            state = self.accelerator.get_state_dict(self.prepared)
            return {name.removeprefix(COMPILED): t.detach().cpu().clone() for name, t in state.items()}

    def discard_checkpoints(self) -> None:
        """Removes what the training would go on from."""
        if self.main:
            checkpoint.clear(self.work)


def make_accelerator(options: FitOptions):
    """Returns an accelerator for the options.

    Raises:
        ModuleNotFoundError: accelerate is missing (`presample[train]`).
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # it would keep the precision of an earlier training in this process
    return Accelerator(mixed_precision=options.precision, cpu=not torch.cuda.is_available())


def fit(
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    data: Stream,
    loss: Loss,
    options: FitOptions,
    hooks: Sequence[Hook] = (),
    accelerator=None,
) -> Fitted:
    """Trains `model` in place for `options.steps` steps and returns it; goes on from a checkpoint.

    A model of several parts is one module whose `forward` calls them, and frozen ones live in `loss`.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM, after a checkpoint was written.
        FloatingPointError: the loss is not finite any more, or many times what it was.
        ValueError: the checkpoint in the folder is of another model, or of a training that has ended with
            other options; or another training is at work there.
    """
    run = _Run(model, optimizers, loss=loss, options=options, accelerator=accelerator)
    with Wish() as wish, run.alone():
        run.resume()
        journal = Journal(run.work / "log.jsonl" if run.main else None, first=run.step)
        for step in run.progress():
            run.update(data, step, wish, journal)
            run.call(hooks, journal)
            if run.stopped or run.is_due() or run.step == options.steps:
                run.save()
            if run.stopped:
                raise KeyboardInterrupt
    run.accelerator.wait_for_everyone()
    return Fitted(
        run.plain, run.model, run.average, run.accelerator, run.work, run.step, run.skipped, run.seconds
    )


class _Run:
    """The state of a training."""

    def __init__(self, model, optimizers, *, loss: Loss, options: FitOptions, accelerator=None) -> None:
        self.accelerator = accelerator or make_accelerator(options)
        self.model, *self.optimizers = self.accelerator.prepare(model, *optimizers)
        self.options, self.loss = options, loss
        self.average = Average(self.plain, options.ema) if options.ema else None
        self.guard, self.rate = Guard(), schedule(options)
        self.work = Path(options.work) if options.work else Path(options.out) / "training"
        self.step = self.batches = self.skipped = self.lost = 0
        self.stopped = self._due = False
        self._begun, self._before = time.perf_counter(), 0.0
        self._batches: Iterator | None = None
        self.place = Place(self.accelerator.process_index, self.accelerator.num_processes)
        self.log = logging.getLogger("presample")

    @property
    def main(self) -> bool:
        return self.accelerator.is_main_process

    @property
    def seconds(self) -> float:
        return self._before + time.perf_counter() - self._begun

    @property
    def plain(self) -> torch.nn.Module:
        model = self.accelerator.unwrap_model(self.model)
        return getattr(model, COMPILED.rstrip("."), model)

    def alone(self) -> contextlib.AbstractContextManager:
        """Keeps other trainings out of the folder; processes of this one share it."""
        if not self.main:
            return contextlib.nullcontext()
        self.work.mkdir(parents=True, exist_ok=True)
        return alone(self.work)

    def progress(self) -> Iterator[int]:
        from tqdm import tqdm

        steps, self.model = self.options.steps, self.model.train()
        self._bar = tqdm(
            range(self.step, steps), initial=self.step, total=steps, mininterval=5, disable=not self.main
        )
        return iter(self._bar)

    def update(self, data: Stream, step: int, wish: Wish, journal: Journal) -> None:
        """One step: the gradient of one or more batches, and what the optimizers make of it."""
        if self._batches is None:
            self._batches = data(self.place, self.batches)
        for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
            group["lr"] = self.rate(step)
        before = [buffer.clone() for buffer in self.plain.buffers()]  # a forward pass counts batch statistics
        facts, samples = self._gradients(wish)
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), self.options.clip))
        if self._leave_out(facts["loss"], norm, journal):
            self.skipped += 1
            for buffer, old in zip(self.plain.buffers(), before, strict=True):
                buffer.copy_(old)
        else:
            for optimizer in self.optimizers:
                optimizer.step()
            if self.average:
                self.average.update()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        self.step = step + 1
        journal.count(samples * self.place.count, {**facts, "lr": self.rate(step), "grad_norm": norm})
        if self.step % self.options.log_every == 0 or self.step == self.options.steps:
            journal.line(self.step, skipped=self.skipped)
        if step % 20 == 0:
            self._bar.set_postfix(loss=f"{facts['loss']:.3f}")

    def _gradients(self, wish: Wish) -> tuple[dict[str, float], int]:
        """Adds up gradients; returns the losses, means over batches and processes, and the samples."""
        count, samples = self.options.accumulate, 0
        found: list[dict[str, torch.Tensor]] = []
        for i in range(count):
            batch = _to(next(self._batches), self.accelerator.device)
            more = i + 1 < count
            with self.accelerator.no_sync(self.model) if more else contextlib.nullcontext():
                parts = self._loss(batch)
                self.accelerator.backward(parts["loss"] / count if count > 1 else parts["loss"])
            found.append({name: t.detach().float() for name, t in parts.items()})
            samples += _size(batch)
            self.batches += 1
        sums = torch.stack([torch.stack(list(parts.values())) for parts in found]).mean(0)
        asked = sums.new_tensor([float(wish.stop)])
        *means, stop = self.accelerator.reduce(torch.cat([sums, asked]), reduction="mean").tolist()
        self.stopped = stop > 0
        return dict(zip(found[0], means, strict=True)), samples

    def _loss(self, batch) -> dict[str, torch.Tensor]:
        seeds = self.options.seed, self.place.rank, self.batches, 2
        device = self.accelerator.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(generator_for(*seeds, 3).initial_seed())
            with self.accelerator.autocast():
                found = self.loss(self.model, batch, generator_for(*seeds))
        return dict(found) if isinstance(found, Mapping) else {"loss": found}

    def _leave_out(self, loss: float, norm: float, journal: Journal) -> bool:
        """Whether this step changes nothing."""
        if not (math.isfinite(loss) and math.isfinite(norm)):
            self.lost += 1
            journal.write(self.step + 1, event="not finite", loss=str(loss), grad_norm=str(norm))
            if self.lost == LOST:
                raise self._failed(f"the last {LOST} steps had no finite loss and gradient")
            return True
        self.lost, limit, usual = 0, self.guard.limit, self.guard.mean
        skips = self.options.guard and self.guard.skips(loss)
        if skips:
            journal.write(self.step + 1, event="spike", loss=loss, limit=limit)
        if self.guard.is_astray:
            raise self._failed(f"the loss was {usual:.3g} and is {loss:.3g} now, again and again")
        return skips

    def _failed(self, why: str) -> FloatingPointError:
        found = checkpoint.find(self.work)
        onward = f"go on from {found} with the same command" if found else "begin anew"
        return FloatingPointError(f"{why}: lower the learning rate (--lr or --milestones), and {onward}")

    def is_due(self) -> bool:
        """Returns whether to write a checkpoint. It replaces the one before, so it waits while losses are
        blown up: the weights may be going astray."""
        self._due |= self.step % self.options.save_every == 0
        return self._due and self.guard.is_calm

    def call(self, hooks: Sequence[Hook], journal: Journal) -> None:
        """Calls the hooks whose turn it is."""
        due = [h for h in hooks if self.step % h.every == 0 or self.step == self.options.steps]
        if not due:
            return
        self.model.eval()
        with torch.no_grad(), self.average.applied() if self.average else contextlib.nullcontext():
            for hook in due:
                found = hook.call(Moment(self.step, self.model, self.accelerator.device, self.main))
                if found:
                    journal.write(self.step, event="measured", **found)
        self.model.train()

    @property
    def _sharded(self) -> bool:
        return "FSDP" in str(self.accelerator.distributed_type)

    def save(self) -> None:
        """Writes a checkpoint: the main process the whole, or each process its shard."""
        part = checkpoint.part_of(self.work, self.step)
        if self.main:
            checkpoint.begin(self.work, self.step)
        self.accelerator.wait_for_everyone()
        if self.main or self._sharded:
            state = {
                "step": self.step,
                "skipped": self.skipped,
                "seconds": self.seconds,
                "lost": self.lost,
                "average": self.average.updates if self.average else 0,
                "guard": self.guard.state(),
                "recipe": recipe(self.options),
            }
            tensors = checkpoint.gather(self.plain, self.optimizers, self.average)
            checkpoint.write(part / f"{self.place.rank}.safetensors", tensors, state)
        self.accelerator.wait_for_everyone()
        if self.main:
            for path in checkpoint.finish(part, alone=self.guard.is_calm):
                self.log.warning("the loss has blown up of late: the older %s is kept, too", path)
        self._due = False
        if self.stopped:
            onward = "goes on" if self.options.resume else "goes on without --no-resume"
            self.log.info(
                "stopped after step %d, saved in %s; the same command %s", self.step, self.work, onward
            )

    def resume(self) -> None:
        """Takes up the newest checkpoint of the folder, if the options say so and there is one."""
        path = checkpoint.find(self.work) if self.options.resume else None
        if path is None:
            return
        rank = self.place.rank if self._sharded else 0
        tensors, state = checkpoint.read(path / f"{rank}.safetensors")
        checkpoint.scatter(tensors, self.plain, self.optimizers, self.average)
        self.step = state["step"]
        self.batches = self.step * self.options.accumulate
        self.skipped, self.lost = state["skipped"], state["lost"]
        self._before = state.get("seconds", 0.0)  # older checkpoints do not say
        self.guard.load(state["guard"])
        if self.average:
            self.average.updates = state["average"]
        now = recipe(self.options)
        other = {k: f"{k} {v} -> {now[k]}" for k, v in state["recipe"].items() if k in now and now[k] != v}
        changed = f", with other options than before: {', '.join(other.values())}" if other else ""
        if self.step > now["steps"] or (self.step == now["steps"] and other.keys() - {"steps"}):
            raise ValueError(
                f"{path} is of step {self.step}, and --steps {now['steps']} asks for none after it{changed}; "
                "give more --steps, or train anew with --no-resume or another --out"
            )
        if self.main:
            self.log.info("going on after step %d%s", self.step, changed)


def _to(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        return {name: _to(value, device) for name, value in batch.items()}
    if isinstance(batch, tuple | list):
        moved = [_to(value, device) for value in batch]
        return type(batch)(*moved) if hasattr(batch, "_fields") else type(batch)(moved)  # a named tuple
    return batch


def _size(batch: Any) -> int:
    """How many samples a batch has: the first dimension of its first tensor."""
    if isinstance(batch, torch.Tensor):
        return len(batch)
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, tuple | list) else ()
    return next((size for size in map(_size, parts) if size), 0)
