"""`presample bench variety`: tokens and diversity of many variations, as a tree and each by itself."""

import argparse
import sys
from pathlib import Path

from ..files import write_json
from .flags import numbers


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `bench variety` and returns its parser."""
    parser = subparsers.add_parser(
        "variety",
        help="many variations of one prompt: tokens and diversity, as a tree and each by itself",
        description="Counts the tokens of N variations of a prompt's tags and scores how different they are "
        "(Vendi score): each drawn by itself, as a tree, and by itself but only as many as take the tree's "
        "tokens.",
    )
    add = parser.add_argument
    add("--model", default="tipo-tiny", help="language model [tipo-tiny]")
    add("--prompt", default="scenery, wide shot", help="prompt [scenery, wide shot]")
    add("--counts", default="64,256", metavar="N,N", help="numbers of variations [64,256]")
    add("--seeds", type=int, default=3, metavar="N", help="runs of which the mean is shown [3]")
    add("--tag-length", default="long", help="length of the list of tags [long]")
    add("--temperature", type=float, default=1.0, help="temperature [1.0]")
    add("--min-p", type=float, default=0.1, help="min_p, the only filter [0.1]")
    add("--device", default="auto", help="cpu or cuda; auto takes a GPU if there is one [auto]")
    add("--json", type=Path, metavar="FILE", help="write every number to this file")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures and prints the table in Markdown."""
    from dataclasses import asdict

    from tqdm import tqdm

    from ..bench.variety import Settings, measure, table
    from ..tipo.expand import load_tipo

    counts = tuple(numbers("--counts", args.counts, 2))
    settings = Settings(args.prompt, counts, args.seeds, args.tag_length, args.temperature, args.min_p)
    tipo = load_tipo(args.model, device=args.device)
    with tqdm(total=2 * len(counts) * args.seeds, file=sys.stderr, leave=False, disable=None) as bar:
        results = measure(tipo, settings, bar.update)
    print(table(results))
    if args.json:
        facts = {"model": args.model, "settings": asdict(settings), "results": [asdict(r) for r in results]}
        write_json(args.json, facts)
    return 0
