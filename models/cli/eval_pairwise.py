"""`presample eval pairwise`: people judge blind pairs in a local page, and their votes are tallied.

Convention: the tally goes to stdout, messages to stderr; the page answers on this machine alone
unless told otherwise.
"""

import argparse
import json
import sys
from pathlib import Path

from ..metrics.pairwise import Ballots, PairwiseOptions, Tally, find_pairs
from ..options import add_flags, from_flags


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `pairwise` to the subparsers of `presample eval`, and returns its parser."""
    parser = subparsers.add_parser(
        "pairwise",
        description="Serves a page that shows pictures of the same name side by side, without saying which "
        "is whose, and keeps votes in a file. Stop it with Ctrl-C; the same command goes on.",
    )
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="folder of pictures")
    add("b", type=Path, metavar="B", help="folder of pictures of the same names")
    add(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="prompts by name: JSON, JSON lines, or MJHQ-30K's meta_data.json",
    )
    add("--votes-file", type=Path, metavar="FILE", help="where votes are kept [out/A-B.votes.sqlite]")
    add_flags(parser, PairwiseOptions)
    add("--tally", action="store_true", help="print who wins so far, and serve no page")
    add("--json", action="store_true", help="print the tally as JSON")
    add("--host", default="127.0.0.1", help="address to serve at; 0.0.0.0 lets your network vote [127.0.0.1]")
    add("--port", type=int, default=7880, help="port to serve at [7880]")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Serves the page until it is stopped, then prints the tally."""
    pairs, alone = find_pairs(args.a, args.b, _prompts(args.prompts))
    if alone:
        names = ", ".join(alone[:3]) + (" …" if len(alone) > 3 else "")
        print(f"{len(alone)} pictures have no partner and are left out: {names}", file=sys.stderr)
    path = args.votes_file or Path("out") / f"{args.a.resolve().name}-{args.b.resolve().name}.votes.sqlite"
    ballots = Ballots(path, pairs, from_flags(args, PairwiseOptions))
    if not args.tally:
        from .eval_pairwise_page import serve

        print(f"{len(pairs)} pairs; votes are kept in {path}", file=sys.stderr)
        serve(ballots, host=args.host, port=args.port)
    found = ballots.tally()
    print(json.dumps(found.as_dict(), indent=2) if args.json else table(found, str(args.a), str(args.b)))
    return 0


def _prompts(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    from ..metrics.sets import read_prompts

    return {name: wanted.prompt for name, wanted in read_prompts(path).items()}


def table(found: Tally, a: str, b: str) -> str:
    """Returns the tally in words for a terminal."""
    width = max(len(a), len(b), len("want votes"))
    rows = [
        ("", "pairs", "votes"),
        (a, str(found.wins_a), str(found.votes_a)),
        (b, str(found.wins_b), str(found.votes_b)),
        ("tied", str(found.ties), str(found.votes_same)),
        ("want votes", str(found.open), ""),
    ]
    lines = [f"{name:<{width}}  {pairs:>6}  {votes:>6}".rstrip() for name, pairs, votes in rows]
    return "\n".join([*lines, "", *_sentences(found, a)])


def _sentences(found: Tally, a: str) -> list[str]:
    if found.share is None or found.interval is None:
        return ["No pair is won yet."]
    low, high = found.interval
    times = f", {found.favoured:.2f} times as often as the other" if found.favoured is not None else ""
    return [
        f"{a} wins {found.share:.1%} of won pairs [{low:.1%}, {high:.1%}]{times}.",
        f"Against a fair coin: p = {found.p_value:.3g} by pairs, p = {found.p_value_votes:.3g} by votes.",
    ]
