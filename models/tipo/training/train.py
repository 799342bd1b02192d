"""Trains a small TIPO model from nothing on the little world: `presample train tipo`.

The same script runs on one CPU and on many GPUs (`accelerate launch -m presample.models.cli train tipo`).
Source: UwULLM's recipe for TIPO (AdamW with betas 0.9 and 0.98, weight decay 0.01, cosine, warm-up, clip);
the matrices between embedding and head take Muon's steps instead (Jordan 2024, scaled to AdamW's size as by
Liu et al. 2025): after 700 steps the held-out loss of answers is 1.92 nats per token instead of 2.04.
"""

from __future__ import annotations

import itertools
import logging
import math
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ...options import add_flags, from_flags, option
from ...tinyworld.tags import TAGS
from .batches import IGNORED, Encoded, batches, collate, encode
from .card import write_card, write_training
from .corpus import chunk, generator_for, held_out
from .samples import Sample
from .tokenizer import train_tokenizer

CHUNK = 2048  # records made, sorted into batches and shuffled together
HELD_OUT = 256
CHECKPOINT = "checkpoint.safetensors"
OPTIMIZER = "Muon for the matrices of the layers, AdamW with betas 0.9 and 0.98 for the rest"


@dataclass(frozen=True)
class TrainOptions:
    """How the small model is trained. The defaults make the bundled one."""

    out: str = option("models/bundled/tipo-tiny", "Folder for the model; made when it is missing.")
    steps: int = option(12000, "Optimizer steps.", low=1, high=10**7, step=1)
    tokens: int = option(4096, "Tokens in a batch of one process.", low=512, high=10**7, step=1)
    lr: float = option(3e-3, "Highest learning rate.", low=1e-6, high=1.0, step=1e-5)
    warmup: int = option(200, "Steps until the highest learning rate.", low=0, high=10**6, step=1)
    weight_decay: float = option(0.01, "Decay of matrices.", low=0.0, high=1.0, step=0.01)
    clip: float = option(1.0, "Largest norm of the gradient.", low=0.01, high=100.0, step=0.01)
    seed: int = option(0, "Decides weights, data and their order.", low=0, high=2**31, step=1)
    hidden: int = option(192, "Width.", low=16, high=8192, step=16)
    layers: int = option(4, "Depth.", low=1, high=100, step=1)
    heads: int = option(3, "Attention heads.", low=1, high=128, step=1)
    mlp: int = option(512, "Width of the gated MLP.", low=16, high=32768, step=16)
    vocabulary: int = option(2048, "Entries of the tokenizer, special tokens included.", low=512, high=65536)
    precision: str = option("bf16", "Arithmetic of matrix products.", choices=("no", "bf16"))
    save_every: int = option(400, "Steps between checkpoints to resume from.", low=1, high=10**7, step=1)
    workers: int = option(
        0, "Processes that make the data; they change nothing but the speed.", low=0, high=256
    )
    resume: bool = option(True, "Go on from the checkpoint in the folder, where there is one.")


def add_parser(subparsers) -> ArgumentParser:
    """Adds `tipo` to the subparsers of `presample train`, and returns its parser."""
    parser = subparsers.add_parser("tipo", help="train a small TIPO model on the little world")
    add_flags(parser, TrainOptions)
    parser.set_defaults(run=run)
    return parser


def run(args: Namespace) -> int:
    """Trains, writes the model and its card; returns the exit code."""
    options = from_flags(args, TrainOptions)
    from .evaluate import EvalOptions, measure

    if not train(options)["main"]:
        return 0
    measured = measure(EvalOptions(model=options.out))
    return 0 if write_card(Path(options.out), measured) else 1


@dataclass(frozen=True)
class Chunks(torch.utils.data.Dataset):
    """Chunk `i` as shuffled batches: the same for every number of worker processes."""

    options: TrainOptions
    tokenizer: Any
    rank: int = 0

    def __getitem__(self, index: int) -> list[list[Encoded]]:
        samples = list(chunk(self.options.seed, self.rank, index, count=CHUNK))
        groups = batches(encode(samples, self.tokenizer), self.options.tokens)
        generator = generator_for(self.options.seed, self.rank, index, 1)
        return [groups[i] for i in torch.randperm(len(groups), generator=generator).tolist()]

    def __len__(self) -> int:
        return 2**40


def stream(options: TrainOptions, tokenizer, *, rank: int = 0, skip: int = 0) -> Iterator[list[Encoded]]:
    """Yields batches for ever, from batch `skip` on; the same seed and rank give the same ones."""
    chunks = Chunks(options, tokenizer, rank)
    order = itertools.count()
    for groups in torch.utils.data.DataLoader(
        chunks,
        batch_size=None,
        sampler=order,
        num_workers=options.workers,
        persistent_workers=options.workers > 0,
        generator=torch.Generator(),
    ):
        yield from groups[skip:]
        skip = max(0, skip - len(groups))


def make_tokenizer(folder: Path, options: TrainOptions):
    """Returns the folder's tokenizer, trained and written first when there is none."""
    import re

    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.exists():
        texts = (re.sub(r"<\|.*?\|>", "", s.text) for s in chunk(options.seed, -2, 0, count=2 * CHUNK))
        train_tokenizer(texts, path, size=options.vocabulary, phrases=[t for t in TAGS if " " in t])
    return Tokenizer.from_file(str(path))


def make_model(options: TrainOptions, size: int):
    """Returns a fresh LLaMA; the global random state is as before."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=size,
        hidden_size=options.hidden,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        intermediate_size=options.mlp,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=False,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        return LlamaForCausalLM(config)


def schedule(step: int, options: TrainOptions) -> float:
    """Returns the share of the highest learning rate at a step: warm-up, then a cosine down to 1 %."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def make_optimizers(model, options: TrainOptions) -> list[torch.optim.Optimizer]:
    """Returns Muon for the matrices of the layers, and AdamW for the rest; gains of norms do not decay."""
    inner, outer, gains = [], [], []
    for name, parameter in model.named_parameters():
        part = gains if parameter.ndim < 2 else inner if ".layers." in name else outer
        part.append(parameter)
    groups = [{"params": outer, "weight_decay": options.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    return [
        torch.optim.Muon(
            inner, lr=options.lr, weight_decay=options.weight_decay, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW(groups, lr=options.lr, betas=(0.9, 0.98), eps=1e-8),
    ]


def train(options: TrainOptions) -> dict:
    """Trains and writes `config.json`, `model.safetensors`, `tokenizer.json`; returns what the card needs.

    Raises:
        ModuleNotFoundError: transformers, accelerate or tokenizers is missing (`presample[train]`).
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=options.precision, cpu=not torch.cuda.is_available())
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    with accelerator.main_process_first():
        tokenizer = make_tokenizer(folder, options)
    model = make_model(options, tokenizer.get_vocab_size())
    model, *optimizers = accelerator.prepare(model, *make_optimizers(model, options))
    _fit(accelerator, model, optimizers, tokenizer, options)
    facts = {"options": _recipe(options), "optimizer": OPTIMIZER, "processes": accelerator.num_processes}
    if accelerator.is_main_process:
        plain = accelerator.unwrap_model(model)
        facts["parameters"] = sum(p.numel() for p in plain.parameters())
        facts["held_out_loss"] = held_out_loss(plain, tokenizer, options.seed, count=HELD_OUT)
        _save(plain, folder, facts)
    return facts | {"main": accelerator.is_main_process}


def _fit(accelerator, model, optimizers, tokenizer, options: TrainOptions) -> None:
    """All steps, from the last checkpoint on where there is one."""
    from tqdm import tqdm

    plain, path = accelerator.unwrap_model(model), Path(options.out) / CHECKPOINT
    first = _resume(plain, optimizers, path) if options.resume and path.exists() else 0
    data = stream(options, tokenizer, rank=accelerator.process_index, skip=first)
    main = accelerator.is_main_process
    bar = tqdm(
        range(first, options.steps), initial=first, total=options.steps, mininterval=5, disable=not main
    )
    for step in bar:
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = options.lr * schedule(step, options)
        loss = _step(accelerator, model, optimizers, collate(next(data), 2), options)
        if step % 20 == 0:
            bar.set_postfix(loss=f"{loss:.3f}")
        if main and (step + 1) % options.save_every == 0 and step + 1 < options.steps:
            _checkpoint(plain, optimizers, path, step=step + 1)
    accelerator.wait_for_everyone()


def _recipe(options: TrainOptions) -> dict:
    """The options that change the model."""
    return {k: v for k, v in asdict(options).items() if k not in ("out", "save_every", "workers", "resume")}


def _step(accelerator, model, optimizers, batch, options: TrainOptions) -> float:
    ids, labels = (t.to(accelerator.device) for t in batch)
    with accelerator.autocast():
        loss = model(input_ids=ids, labels=labels).loss
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), options.clip)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


@torch.inference_mode()
def held_out_loss(model, tokenizer, seed: int, *, count: int) -> dict[str, float]:
    """Returns the mean loss in nats per token over samples no training saw: of all text, of the answers."""
    model.eval()
    device = next(model.parameters()).device
    total = {"text": 0.0, "answer": 0.0}
    tokens = dict.fromkeys(total, 0)
    samples = held_out(seed, count)
    for name in total:
        whole = [Sample(**{**vars(s), "whole": name == "text"}) for s in samples]
        for group in batches(encode(whole, tokenizer), 8192):
            ids, labels = (t.to(device) for t in collate(group, 2))
            logits = model(input_ids=ids).logits.float()[:, :-1]
            picked = labels[:, 1:]
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), picked.flatten(), reduction="sum")
            total[name] += float(loss)
            tokens[name] += int((picked != IGNORED).sum())
    return {name: total[name] / tokens[name] for name in total}


def _save(model, folder: Path, facts: dict) -> None:
    """Weights in half precision, and the facts of the run for the card."""
    model.half().save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_training(folder, facts)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    logging.getLogger("presample").info("held-out loss %s, written to %s", facts["held_out_loss"], folder)


def _checkpoint(model, optimizers, path: Path, *, step: int) -> None:
    """Writes weights and moments; an interruption leaves the older file or the new one."""
    from safetensors.torch import save_file

    tensors = {f"model.{name}": t.contiguous() for name, t in model.state_dict().items()}
    for which, optimizer in enumerate(optimizers):
        for i, state in optimizer.state_dict()["state"].items():
            prefix = f"optimizer.{which}.{i}"
            tensors |= {f"{prefix}.{name}": torch.as_tensor(t).contiguous() for name, t in state.items()}
    half_written = path.with_suffix(".part")
    save_file(tensors, half_written, metadata={"step": str(step)})
    half_written.replace(path)


def _resume(model, optimizers, path: Path) -> int:
    """Loads a checkpoint; returns how many steps it has behind it."""
    from safetensors import safe_open

    states: list[dict[int, dict[str, torch.Tensor]]] = [{} for _ in optimizers]
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for name in [n for n in tensors if n.startswith("optimizer.")]:
        _, which, index, key = name.split(".")
        states[int(which)].setdefault(int(index), {})[key] = tensors.pop(name)
    model.load_state_dict({name.removeprefix("model."): t for name, t in tensors.items()})
    for optimizer, state in zip(optimizers, states, strict=True):
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return step


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the training by itself: `python -m presample.models.tipo.training.train --steps 100`."""
    parser = ArgumentParser(description=__doc__.split("\n")[0])
    add_flags(parser, TrainOptions)
    return run(parser.parse_args(argv))


if __name__ == "__main__":
    raise SystemExit(main())
