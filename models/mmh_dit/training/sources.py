"""Where the trainer's batches come from: the little world, or folders of cached latents and texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...files import fingerprint
from ...hub import bundled_folder, bundled_weights
from ...trainer.fit import Place
from ..config import MMHDiTConfig
from .batches import Staged, cached, check_texts, parse_stages
from .options import TrainOptions
from .pictures import Decode, preview
from .reading import Reader
from .reading import reader as make_reader
from .world import Bank, Painting, Tools, paint_all
from .world_batches import WorldBatches


@dataclass(frozen=True)
class Source:
    """`open` gives a process its batches, `decode` makes pictures of latents to look at; `reader` says what
    latents show, where that is known of the data."""

    open: Callable[[Place], Staged]
    decode: Decode
    reader: Reader | None = None


def source(options: TrainOptions, config: MMHDiTConfig, work: Path, accelerator) -> Source:
    """Returns the source that the options name; makes the little world's files where they are missing.

    Raises:
        ValueError: the stages or the files' settings make no sense, or do not fit a model of this shape.
        OSError: a file is missing.
    """
    stages = parse_stages(options.stage)
    if stages and options.out == TrainOptions.out:
        raise ValueError(f"--out must name a folder of your own: {options.out} has the little world's model")
    check_texts(stages, config)
    decode = _decoder(Path(options.decoder)) if options.decoder else preview
    if not stages:
        return _world(options, work, accelerator)
    begins = tuple(stage.begin * options.accumulate for stage in stages)

    def open(place: Place) -> Staged:
        how = {"batch": options.batch, "seed": options.seed, "balance": options.balance}
        parts = (cached(stage, place, **how) for stage in stages)
        return Staged(begins, tuple(parts))

    return Source(open, decode)


def _decoder(path: Path) -> Decode:
    from ...tinyworld.autoencoder import load_autoencoder

    return load_autoencoder(path).decode


@dataclass(frozen=True)
class States:
    """Makes states (b, m, d) of tokens (b, m) with a text encoder; can be sent to another process."""

    encoder: torch.nn.Module

    @torch.no_grad()
    def __call__(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.encoder(input_ids=ids).last_hidden_state


def _world(options: TrainOptions, work: Path, accelerator) -> Source:
    """Paints with the bundled autoencoder and reads prompts with the bundled CLIP."""
    from ...tinyworld.autoencoder import AT_ONCE, load_autoencoder
    from ...tinyworld.bundled import AUTOENCODER, CLIP, WORDS
    from ...tinyworld.clip import load_clip, read_words
    from ...tinyworld.pictures import picture

    words = read_words(bundled_folder() / WORDS)
    weights = bundled_weights(AUTOENCODER)
    autoencoder = load_autoencoder(weights)
    clip = load_clip(bundled_weights(CLIP), words)
    how = Painting(
        options.pictures,
        text_len=options.text_len,
        seed=options.seed,
        autoencoder=fingerprint(weights),
        words=fingerprint(bundled_folder() / WORDS / "tokenizer.json"),
    )
    folder, place = work / "world", Place(accelerator.process_index, accelerator.num_processes)

    @torch.no_grad()
    def encode(images: Tensor) -> Tensor:
        with accelerator.autocast():
            return torch.cat([autoencoder.encode(part).float() for part in images.split(AT_ONCE)])

    tools = Tools(picture, encode, words.ids)
    paint_all(folder, how, tools, place=place)
    accelerator.wait_for_everyone()
    bank = Bank.read(folder, how)

    def open(place: Place) -> Staged:
        how = {"pad": words.end, "seed": options.seed, "place": place, "balance": options.balance}
        batches = WorldBatches(bank, options.batch, States(clip.model.text_model), **how)
        return Staged((0,), (batches,))

    reader = None
    if options.reading:
        path = folder / f"reader-{options.pictures}-{options.reader_steps}.safetensors"
        reader = make_reader(
            bank, path, steps=options.reader_steps, seed=options.seed, accelerator=accelerator
        )
    return Source(open, autoencoder.decode, reader)
