"""`presample build tags CSV`: makes the table of names (tags.txt.gz) from a Danbooru CSV."""

import argparse
import collections
import gzip
import logging
from pathlib import Path

from .tag_lists import read_danbooru
from .tags import TABLE, Names, pack

log = logging.getLogger("presample")


def add_parser(things: argparse._SubParsersAction) -> None:
    """Adds `tags` to what can be built."""
    parser = things.add_parser("tags", help="make the table of tag categories from a Danbooru CSV")
    parser.add_argument("csv", type=Path, help="columns name, category, count, aliases")
    parser.add_argument(
        "--out", type=Path, default=TABLE, help=f"file to write [{TABLE.name} in the package]"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Writes the table and logs how many names of each category it holds."""
    names = read_danbooru(args.csv)
    args.out.write_bytes(build(names))
    counts = collections.Counter(names.values())
    log.info("%d names written to %s: %s", len(names), args.out, dict(counts.most_common()))
    return 0


def build(names: dict[str, str]) -> bytes:
    """Returns the compressed table, after every name in it was found again with its category.

    Raises ValueError when one is not, as for a name with a line break in it.
    """
    blob = pack(names)
    table = Names(blob)
    wrong = [name for name, category in names.items() if table.find(name) != category]
    if wrong or len(table) != len(names):
        raise ValueError(f"every name must be found again, but {len(wrong)} are not, among them {wrong[:3]}")
    return gzip.compress(blob, compresslevel=9, mtime=0)
