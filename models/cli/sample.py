"""`presample sample`: pictures of a prompt, and of the prompts that TIPO makes of it, on one contact sheet.

Above stand the pictures of the prompt as it is, below those of its expansions, from the same noise.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..options import add_flags, from_flags
from ..tinyworld.pictures import SIZES
from ..tinyworld.pipeline import TinyOptions
from .studio import NOT_HERE, SCALE, Strip, Studio, workflow


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `sample`."""
    parser = subparsers.add_parser(
        "sample",
        description="Makes pictures of a prompt and of what TIPO makes of it, on one contact sheet.",
    )
    parser.add_argument("prompt", help="the prompt; the bundled models know landscapes only")
    parser.add_argument("--n", type=int, default=4, metavar="N", help="pictures in a row [4]")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first picture and expansion [0]")
    parser.add_argument("--negative", default="", metavar="TEXT", help="what pictures should not show")
    parser.add_argument("--shape", default="square", choices=tuple(SIZES), help="shape of canvas [square]")
    parser.add_argument(
        "--expand", action=argparse.BooleanOptionalAction, default=True, help="a second row, of expansions"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="an MMH-DiT of the little world [the bundled one]"
    )
    parser.add_argument("--out", type=Path, default=Path("out/sample.png"), metavar="FILE", help="the sheet")
    parser.add_argument("--singles", action="store_true", help="every picture as a file of its own too")
    add_flags(parser.add_argument_group("sampling"), TinyOptions, leave_out=NOT_HERE)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Makes the pictures; returns the exit code."""
    if args.n < 1:
        raise ValueError(f"--n must be at least 1, got {args.n}")
    options = from_flags(args, TinyOptions, leave_out=NOT_HERE)
    began = time.monotonic()
    studio = Studio.open(args.model)
    seeds = [args.seed + k for k in range(args.n)]
    size = SIZES[args.shape]
    rows = [Strip(args.prompt, [args.prompt] * args.n)]
    if args.expand:
        rows.append(Strip("presampled", studio.expanded(args.prompt, seeds, size=size)))
    for row in rows:
        row.images = studio.paint(row.prompts, seeds, size=size, negative=args.negative, options=options)
    tells = args.expand and not args.negative and args.model is None
    made_with = workflow(args.prompt, args.n, args.seed, size=size, options=options) if tells else {}
    write(rows, args, made_with)
    spent = time.monotonic() - began
    print(f"{len(rows) * args.n} pictures in {spent:.1f} s: {args.out}", flush=True)
    return 0


def write(strips: Sequence[Strip], args: argparse.Namespace, made_with: Mapping[str, str]) -> None:
    """Writes the sheet, and each picture by itself where that is asked for."""
    from ..sheet import draw_sheet, save_png, to_pillow

    rows = [strip.row() for strip in strips]
    texts = {"parameters": "\n\n".join(prompt for strip in strips for prompt in dict.fromkeys(strip.prompts))}
    save_png(draw_sheet(rows, scale=SCALE), args.out, texts | made_with)
    if args.singles:
        for number, strip in enumerate(strips):
            for k, (image, prompt) in enumerate(zip(strip.images, strip.prompts, strict=True)):
                name = f"{args.out.stem}-{number + 1}-{args.seed + k}.png"
                save_png(to_pillow(image), args.out.with_name(name), {"parameters": prompt})
