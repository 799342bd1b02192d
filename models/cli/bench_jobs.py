"""`presample bench jobs`: prompts of a job expanded together, beside one after the other."""

import argparse
import sys
from pathlib import Path

from ..files import write_json
from .flags import add_workdir, weights


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `bench jobs` and returns its parser."""
    parser = subparsers.add_parser(
        "jobs",
        help="a batch of different prompts: expanded together, and one after the other",
        description="Times the expansion of different prompts, together and one after the other, with a "
        "model that is here or with random weights in the shape of a published one.",
    )
    add = parser.add_argument
    add("--model", default="tipo-tiny", help="language model [tipo-tiny]")
    add("--shape", choices=("100m", "200m", "500m"), help="random weights in this shape instead")
    add("--prompts", type=int, default=8, metavar="N", help="how many, up to 8 [8]")
    add("--rounds", type=int, default=5, metavar="N", help="rounds; medians are reported [5]")
    add("--threads", type=int, help="threads [torch's choice]")
    add("--device", default="auto", help="cpu or cuda; auto takes a GPU if there is one [auto]")
    add_workdir(parser)
    add("--json", type=Path, metavar="FILE", help="write every number to this file")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Measures and prints the table in Markdown."""
    from dataclasses import asdict

    import torch
    from tqdm import tqdm

    from ..bench.jobs import measure, requests, table
    from ..bench.threads import use_threads

    use_threads(args.threads)
    asked = requests(args.prompts, trained=args.shape is None)
    tipo = _model(args)
    with tqdm(total=args.rounds, file=sys.stderr, leave=False, disable=None) as bar:
        result = measure(asked, tipo, rounds=args.rounds, on_round=bar.update)
    name = f"random weights, {args.shape}" if args.shape else args.model
    print(table(name, torch.get_num_threads(), result))
    if args.json:
        facts = {"model": name, "threads": torch.get_num_threads(), **asdict(result)}
        write_json(args.json, facts)
    return 0


def _model(args: argparse.Namespace):
    from ..bench.jobs import untrained
    from ..lm.checkpoint import load_language_model
    from ..tipo.expand import load_tipo

    if args.shape is None:
        return load_tipo(args.model, device=args.device)
    folder = weights(args.shape, args.workdir).folder
    return untrained(load_language_model(folder, device=args.device))
