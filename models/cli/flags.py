"""Flags that several commands have: lists of numbers, and where random weights lie."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

WORKDIR = Path("~/.cache/presample/bench")


def numbers(flag: str, text: str, least: int) -> list[int]:
    """Returns the whole numbers that are listed as in `1,4,16`, sorted, each once.

    Raises ValueError, naming the flag, where there is something else, or less than `least`.
    """
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < least:
        some = f"{least},{least + 1}"
        raise ValueError(f"{flag} must be numbers from {least} up, such as {some}; got {text!r}")
    return found


def add_workdir(parser: argparse.ArgumentParser) -> None:
    """Adds the folder that `weights` writes to."""
    parser.add_argument(
        "--workdir", type=Path, default=WORKDIR, help=f"folder for random weights, about 1 GB [{WORKDIR}]"
    )


def weights(shape: str, workdir: Path):
    """Returns the files of random weights in the shape of a name, written where they are not there yet."""
    from ..bench.files import SHAPES, prepare

    def tell(name: str) -> None:
        print(f"writing {name}", file=sys.stderr, flush=True)

    return prepare(workdir.expanduser(), SHAPES[shape], on_file=tell)
