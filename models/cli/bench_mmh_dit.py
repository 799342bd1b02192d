"""`presample bench mmh-dit`: one forward pass of the full-size model beside its bare matrix products."""

import argparse
import sys
from pathlib import Path

from ..files import write_json


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `bench mmh-dit` and returns its parser."""
    parser = subparsers.add_parser(
        "mmh-dit",
        help="a forward pass of the picture model beside its bare matrix products and attention",
        description="Times one forward pass of MMH-DiT with random weights in its full-size shape, beside "
        "the matrix products and attention calls in it run alone, and the memory it takes.",
    )
    add = parser.add_argument
    add("--blocks", type=int, help="blocks; the full size has 32, fewer do on a processor [32]")
    add("--size", type=int, default=512, help="width and height in pixels [512]")
    add("--text", type=int, default=256, help="text tokens [256]")
    add("--batch", type=int, default=1, help="pictures at once [1]")
    add("--dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16", help="type [bfloat16]")
    add("--device", default="auto", help="cpu or cuda; auto takes a GPU if there is one [auto]")
    add("--threads", type=int, help="threads [torch's choice]")
    add("--repeats", type=int, default=5, help="rounds; medians are reported [5]")
    add("--json", type=Path, metavar="FILE", help="write every number to this file")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures and prints the table in Markdown."""
    import torch
    from tqdm import tqdm

    from ..bench.mmh_dit import FULL, Settings, measure, report, table, with_blocks
    from ..bench.threads import use_threads

    use_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = Settings(
        FULL if args.blocks is None else with_blocks(args.blocks),
        size=args.size,
        text=args.text,
        batch=args.batch,
        dtype=args.dtype,
        device=device if args.device == "auto" else args.device,
        repeats=args.repeats,
    )
    with tqdm(total=2 + args.repeats, file=sys.stderr, leave=False, disable=None) as bar:

        def step(what: str) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update()

        facts = report(measure(settings, on_step=step))
    print(table(facts))
    if args.json:
        write_json(args.json, facts)
    return 0
