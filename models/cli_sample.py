"""`presample sample`: pictures of a prompt, and of the prompts that TIPO makes of it, on one contact sheet.

Above stand the pictures of the prompt as it is, below those of its expansions, from the same noise.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .mmh_dit.flow import SampleOptions
from .options import add_flags, from_flags
from .tinyworld.pictures import SIZES
from .workflow import filled, read_template

# Of a picture to paint over, and of the model; neither is asked for here.
NOT_HERE = ("denoise", "icfm_sigma")
SCALE = 2  # of a picture of the little world on the sheet


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `sample`."""
    parser = subparsers.add_parser(
        "sample",
        help="make pictures of a prompt with the bundled little world, before and after expansion",
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
    parser.add_argument("--out", type=Path, default=Path("out/sample.png"), metavar="FILE", help="the sheet")
    parser.add_argument("--singles", action="store_true", help="every picture as a file of its own too")
    add_flags(parser.add_argument_group("sampling"), SampleOptions, leave_out=NOT_HERE)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Makes the pictures; returns the exit code."""
    if args.n < 1:
        raise ValueError(f"--n must be at least 1, got {args.n}")
    options = from_flags(args, SampleOptions, leave_out=NOT_HERE)
    began = time.monotonic()
    studio = Studio.open()
    seeds = [args.seed + k for k in range(args.n)]
    rows = [Strip(args.prompt, [args.prompt] * args.n)]
    if args.expand:
        size = SIZES[args.shape]
        rows.append(Strip("presampled", studio.expanded(args.prompt, seeds, size=size)))
    for row in rows:
        row.images = studio.paint(row.prompts, seeds, args, options)
    write(rows, args)
    spent = time.monotonic() - began
    print(f"{len(rows) * args.n} pictures in {spent:.1f} s: {args.out}", flush=True)
    return 0


@dataclass
class Strip:
    """A row of the sheet: its title, the prompt of each picture, and the pictures (n, 3, H, W)."""

    title: str
    prompts: Sequence[str]
    images: Any = None


@dataclass(frozen=True)
class Studio:
    """The bundled models, loaded."""

    pipeline: Any
    tipo: Any

    @classmethod
    def open(cls) -> Studio:
        from .tinyworld.studio import load_pipeline
        from .tipo.expand import load_tipo

        return cls(load_pipeline(), load_tipo("tipo-tiny"))

    def expanded(self, prompt: str, seeds: Sequence[int], *, size: tuple[int, int]) -> list[str]:
        """Returns an expansion of the prompt for each seed."""
        from .tipo.expand import expand_each
        from .tipo.expansion import Request
        from .tipo.options import ExpandOptions

        width, height = size
        requests = [
            Request(prompt, options=ExpandOptions(seed=seed, width=width, height=height)) for seed in seeds
        ]
        return [expansion.prompt for expansion in expand_each(requests, self.tipo)]

    def paint(
        self, prompts: Sequence[str], seeds: Sequence[int], args: argparse.Namespace, options: SampleOptions
    ) -> Any:
        """Returns the pictures (n, 3, H, W) of what prompts say, with a progress bar."""
        from tqdm import tqdm

        from .prompt.document import read

        width, height = SIZES[args.shape]
        with tqdm(total=options.steps, desc="painting", unit="step", file=sys.stderr, leave=False) as bar:
            return self.pipeline.pictures(
                [read(prompt).plain for prompt in prompts],
                seeds,
                width=width,
                height=height,
                negative=read(args.negative).plain,
                options=options,
                on_step=lambda progress: bar.update(),
            )


def write(strips: Sequence[Strip], args: argparse.Namespace) -> None:
    """Writes the sheet, and each picture by itself where that is asked for."""
    from .sheet import Cell, Row, draw_sheet, save_png, to_pillow

    rows = []
    for strip in strips:
        captions = strip.prompts if len(set(strip.prompts)) > 1 else [""] * len(strip.prompts)
        rows.append(Row(strip.title, [Cell(*pair) for pair in zip(strip.images, captions, strict=True)]))
    texts = {"parameters": "\n\n".join(prompt for strip in strips for prompt in dict.fromkeys(strip.prompts))}
    save_png(draw_sheet(rows, scale=SCALE), args.out, texts | _workflow(args))
    if args.singles:
        for number, strip in enumerate(strips):
            for k, (image, prompt) in enumerate(zip(strip.images, strip.prompts, strict=True)):
                name = f"{args.out.stem}-{number + 1}-{args.seed + k}.png"
                save_png(to_pillow(image), args.out.with_name(name), {"parameters": prompt})


def _workflow(args: argparse.Namespace) -> dict[str, str]:
    """What makes the same pictures in ComfyUI, as a picture carries it; nothing where no template does."""
    template = read_template("tipo_to_pictures") if args.expand and not args.negative else None
    if template is None:
        return {}
    width, height = SIZES[args.shape]
    values = {
        "PresampleTIPOExpand": {"prompt": args.prompt, "count": args.n, "seed": args.seed},
        "EmptySD3LatentImage": {"width": width, "height": height},
        "PresampleMMHDiTSampler": {n: getattr(args, n) for n in ("steps", "cfg", "sampler", "shift")},
    }
    return {"workflow": json.dumps(filled(template, values))}
