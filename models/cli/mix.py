"""`presample mix`: pictures of a prompt by the little world's text encoder, by tuned ones, and by their mix.

All pictures of a column begin with the same noise. With --sweep a row goes from w = 0 to the w that is asked
for, one row for each seed. With --triangle three encoders are mixed in all proportions, from one noise.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..options import add_flags, from_flags
from ..textcraftor.mix import sweep, triangle
from ..textcraftor.options import MOST_ENCODERS, MixOptions
from ..tinyworld.pictures import SIZES
from ..tinyworld.pipeline import TinyOptions
from .studio import NOT_HERE, SCALE, progress


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `mix`."""
    parser = subparsers.add_parser(
        "mix",
        description="Makes pictures with the little world and several of its text encoders, on one sheet.",
    )
    parser.add_argument("prompt", help="the prompt; the bundled models know landscapes only")
    parser.add_argument(
        "--encoder",
        action="append",
        default=None,
        metavar="NAME",
        help="a tuned encoder, once for each: a bundled one, such as vivid, or a file",
    )
    parser.add_argument("--weights", default="", metavar="W,W", help="weights of the encoders [all the same]")
    parser.add_argument("--sweep", type=int, default=0, metavar="N", help="rows of N pictures from 0 to w")
    parser.add_argument(
        "--triangle", type=int, default=0, metavar="N", help="mixes of three encoders, N along each edge"
    )
    parser.add_argument("--n", type=int, default=4, metavar="N", help="seeds [4]; a triangle has the first")
    parser.add_argument("--seed", type=int, default=0, help="the first seed [0]")
    parser.add_argument("--negative-prompt", default="", metavar="TEXT", help="what pictures should not show")
    parser.add_argument("--shape", default="square", choices=tuple(SIZES), help="shape of canvas [square]")
    parser.add_argument("--out", type=Path, default=Path("out/mix.png"), metavar="FILE", help="the sheet")
    parser.add_argument(
        "--merge", type=Path, metavar="FILE", help="also write an encoder merged from all, weight by weight"
    )
    add_flags(parser.add_argument_group("mixing"), MixOptions)
    add_flags(parser.add_argument_group("sampling"), TinyOptions, leave_out=NOT_HERE)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Makes the pictures; returns the exit code."""
    mixing = from_flags(args, MixOptions)
    options = from_flags(args, TinyOptions, leave_out=NOT_HERE)
    if args.n < 1 or args.sweep < 0:
        raise ValueError(f"--n must be at least 1 and --sweep at least 0, got {args.n} and {args.sweep}")
    if args.merge and args.merge.exists():
        raise ValueError(f"{args.merge} must not be there yet: name another file with --merge")
    if args.triangle and (len(args.encoder or ()) != 3 or args.sweep):
        raise ValueError("--triangle needs exactly three --encoder, and no --sweep")
    began = time.monotonic()
    encoders = {name: chosen(name) for name in args.encoder or ["vivid"]}
    weights = read_weights(args.weights, len(encoders))
    painter, tensors = open_painter(list(encoders.values()))
    strips = list(painted(painter, shots(args, list(encoders), mixing, weights), args, options))
    write(strips, args, list(encoders), weights)
    if args.merge:
        write_merged(args.merge, tensors, weights, mixing)
    count = sum(len(images) for _, images in strips)
    print(f"{count} pictures in {time.monotonic() - began:.1f} s: {args.out}", flush=True)
    return 0


def chosen(name: str) -> Path:
    """Returns the file of an encoder: a bundled one by its name, long or short, or the file of that name."""
    from ..textcraftor.files import BUNDLED, tuned_encoders

    here = tuned_encoders()
    path = here.get(name) or here.get(BUNDLED + name) or Path(name)
    if not path.is_file():
        short = ", ".join(each.removeprefix(BUNDLED) for each in here) or "none"
        raise FileNotFoundError(f"--encoder must be a bundled encoder ({short}) or a file, got {name!r}")
    return path


def read_weights(text: str, count: int) -> list[float]:
    """Returns a weight for each of `count` encoders; raises ValueError for another number of them."""
    try:
        weights = [float(part) for part in text.split(",")] if text else [1.0] * count
    except ValueError as error:
        raise ValueError(f"--weights must be numbers such as 0.5,0.5, got {text!r}") from error
    if len(weights) != count or count > MOST_ENCODERS:
        raise ValueError(
            f"there must be a weight for each of at most {MOST_ENCODERS} encoders,"
            f" got {len(weights)} for {count}"
        )
    return weights


def open_painter(files: Sequence[Path]) -> tuple[Any, list[dict[str, Any]]]:
    """Returns the little world with its own encoder and those of the files, and the tensors of each."""
    from ..hub import bundled_folder, bundled_weights
    from ..mmh_dit.flow import Text
    from ..textcraftor.files import check_fit, read_encoder
    from ..textcraftor.paint import MixedPainter
    from ..tinyworld.bundled import CLIP, WORDS
    from ..tinyworld.clip import load_clip, read_words
    from ..tinyworld.pipeline import load_pipeline

    pipeline = load_pipeline()
    original = load_clip(bundled_weights(CLIP), read_words(bundled_folder() / WORDS))
    own = {n: t for n, t in original.model.state_dict().items() if n.startswith(("text_model.", "text_proj"))}
    tensors = [own]
    shapes = {name: tensor.shape for name, tensor in own.items()}
    for file in map(read_encoder, files):
        tensors.append(own | check_fit(file, shapes, host="the little world's CLIP"))

    def encoder(state: dict[str, Any]) -> Any:
        clip = dataclasses.replace(original, model=copy.deepcopy(original.model))
        clip.model.load_state_dict(state, strict=False)

        def encode(prompts: Sequence[str]) -> Text:
            states = clip.text_states(prompts, length=pipeline.model.config.text_len)
            return Text(states.hidden, states.mask)

        return encode

    return MixedPainter(pipeline.model, [encoder(state) for state in tensors], pipeline.decode), tensors


class Shot(NamedTuple):
    """What pictures of all seeds are made with."""

    title: str
    mixing: MixOptions
    weights: Sequence[float]


def shots(
    args: argparse.Namespace, names: Sequence[str], mixing: MixOptions, weights: Sequence[float]
) -> list[Shot]:
    """Returns the rows of the sheet, or the columns of a sweep, or all of a triangle row by row."""
    if args.triangle:
        short = [Path(name).stem if Path(name).is_file() else name for name in names]
        return [Shot(_said(short, mix), mixing, mix) for row in triangle(args.triangle) for mix in row]
    if args.sweep:
        points = sweep(0.0, mixing.w, args.sweep)
        return [Shot(f"w {w:g}", dataclasses.replace(mixing, w=w), weights) for w in points]
    return plain(names, mixing, weights)


def _said(names: Sequence[str], weights: Sequence[float]) -> str:
    return ", ".join(f"{name} {weight:.2g}" for name, weight in zip(names, weights, strict=True) if weight)


def plain(names: Sequence[str], mixing: MixOptions, weights: Sequence[float]) -> list[Shot]:
    """Returns the original, each encoder alone, and the mix."""
    alone = [
        Shot(name, mixing, [float(i == k) for i in range(len(names))])
        for k, name in enumerate(names)
        if len(names) > 1
    ]
    nothing = dataclasses.replace(mixing, w=0.0, negative="original")
    mixed = Shot(f"{_said(names, weights)} at w {mixing.w:g}", mixing, weights)
    return [Shot("original", nothing, weights), *alone, mixed]


def painted(
    painter: Any, wanted: Sequence[Shot], args: argparse.Namespace, options: TinyOptions
) -> Iterator[tuple[str, Any]]:
    """Yields titles and pictures, with a progress bar."""
    from ..prompt.document import read

    width, height = SIZES[args.shape]
    seeds = [args.seed + k for k in range(1 if args.triangle else args.n)]
    with progress(len(wanted) * options.steps) as step:
        for title, mixing, weights in wanted:
            images = painter.pictures(
                read(args.prompt).plain,
                seeds,
                weights,
                width=width,
                height=height,
                negative=read(args.negative_prompt).plain,
                mix_options=mixing,
                options=options,
                on_step=lambda _: step(),
            )
            yield title, images


def write(
    strips: Sequence[tuple], args: argparse.Namespace, names: Sequence[str], weights: Sequence[float]
) -> None:
    """Writes the sheet; a sweep is turned over, so that a row is a seed."""
    from ..sheet import Cell, Row, draw_sheet, save_png

    if args.triangle:
        cells = [Cell(images[0], title) for title, images in strips]
        ends = [n * (n + 1) // 2 for n in range(args.triangle + 1)]
        rows = [Row("", cells[a:b], centered=True) for a, b in itertools.pairwise(ends)]
        rows[0] = dataclasses.replace(rows[0], title=args.prompt)
    elif args.sweep:
        rows = [
            Row(args.prompt if k == 0 else "", [Cell(images[k], title) for title, images in strips])
            for k in range(args.n)
        ]
    else:
        rows = [Row(title, [Cell(image) for image in images]) for title, images in strips]
    said = f"encoders: {_said(names, weights)}"
    save_png(draw_sheet(rows, scale=SCALE), args.out, {"parameters": f"{args.prompt}\n\n{said}"})


def write_merged(
    path: Path, tensors: Sequence[dict[str, Any]], weights: Sequence[float], mixing: MixOptions
) -> None:
    """Writes an encoder whose weights are those of all, merged; it loads wherever the tuned ones do."""
    from safetensors.torch import save_file

    from ..files import written
    from ..textcraftor.merge import merge
    from ..textcraftor.mix import shares

    merged = merge(tensors, shares(weights, w=mixing.w, weighting=mixing.weighting))
    kept = {n: t.contiguous() for n, t in merged.items() if "position_ids" not in n}
    with written(path) as half:
        save_file(kept, half, {"format": "pt"})
