"""`presample eval images FOLDER`: scores a folder of pictures, alone, with prompts, or against a folder.

Convention: a metric is asked for by its name, whose model `presample models download` has put where models
belong, or as NAME=PATH, where another lies; the little world's are bundled. Nothing is downloaded here.
Results go to stdout, as a table or as JSON; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..published.scorers import SCORERS

if TYPE_CHECKING:  # help and wrong command lines need no torch
    from ..metrics.measure import Found, Sets

DISTANCES = ("fid", "fdd", "fd-clip")
TINY = ("tiny-clip", "tiny-attributes", "tiny-fd", "tiny-vendi")
NEED_PROMPTS = ("clip", "pick", "hps", "tiny-clip", "tiny-attributes")


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `images` to the subparsers of `presample eval`, and returns its parser."""
    parser = subparsers.add_parser(
        "images",
        description="Scores pictures. Models are read from this machine; nothing is downloaded:"
        " presample models download gets those of others.",
    )
    add = parser.add_argument
    add("folder", type=Path, help="the pictures")
    add("--metric", action="append", default=[], required=True, metavar="NAME[=PATH]", help=_metrics())
    add("--against", type=Path, metavar="FOLDER", help="pictures to compare with")
    add("--prompts", type=Path, metavar="FILE", help="JSON of ids (file names without ending) to prompts")
    add("--mjhq", type=Path, metavar="FOLDER", help="MJHQ-30K: gives prompts, categories and what to compare")
    add(
        "--base", type=Path, metavar="ROOT", help="root of a ComfyUI or WebUI: look in its models/scorers too"
    )
    add("--batch", type=int, default=32, help="pictures at a time [32]")
    add("--device", default="cpu", help="cpu or cuda [cpu]")
    add("--pairs", choices=("diagonal", "matrix"), default="diagonal", help="prompts of a score [diagonal]")
    add("--json", action="store_true", help="write JSON, with every picture's scores, in place of a table")
    parser.set_defaults(run=run)
    return parser


def _metrics() -> str:
    return (
        f"scores: {', '.join(SCORERS)}; distances to --against: {', '.join(DISTANCES)}; vendi-fid, "
        f"vendi-fdd, vendi-clip; of the little world, always without a path: {', '.join(TINY)}"
    )


@dataclass(frozen=True)
class Asked:
    """A metric and where its model lies."""

    name: str
    path: Path | None

    @property
    def model(self) -> str:
        """The name of the model that it measures with."""
        return self.name.removeprefix("vendi-").removeprefix("fd-")


def run(args: argparse.Namespace) -> int:
    """Measures and writes what was found."""
    from ..metrics.measure import Sets
    from ..metrics.sets import by_id, read_mjhq, read_prompts

    if args.batch < 1:
        raise ValueError(f"--batch must be at least 1, got {args.batch}")
    asked = [parse(text) for text in args.metric]
    if twice := [name for name, times in Counter(each.name for each in asked).items() if times > 1]:
        raise ValueError(f"a metric may be asked for once, got {twice[0]} more often; run once for each path")
    asked = [_placed(each, args) for each in asked]
    if args.mjhq and (args.against or args.prompts):
        raise ValueError("--mjhq gives prompts and what to compare with: leave out --prompts and --against")
    pictures = by_id(args.folder)
    wanted = read_mjhq(args.mjhq) if args.mjhq else read_prompts(args.prompts) if args.prompts else {}
    against = _against(args, wanted)
    if args.mjhq:
        pictures = _of_mjhq(pictures, wanted)
        _tell_missing(len(wanted), {"here": len(pictures), "of its own": len(against)})
    sets = Sets(pictures, against, wanted)
    _check(asked, sets)
    results = {each.name: _measure(each, sets, args) for each in asked}
    counts = {name: len(ids) for name, ids in sets.parts.items()}
    print(_json(results, counts) if args.json else _table(results, counts))
    return 0


def parse(text: str) -> Asked:
    """Returns a metric from NAME or NAME=PATH; raises ValueError where the name is none."""
    name, _, path = text.partition("=")
    known = (*SCORERS, *DISTANCES, "vendi-fid", "vendi-fdd", "vendi-clip", *TINY)
    if name not in known:
        raise ValueError(f"a metric must be one of {', '.join(known)}; got {name!r}")
    if path and name in TINY:
        raise ValueError(f"{name} needs no path, for its model is bundled; got {text!r}")
    return Asked(name, Path(path) if path else None)


def _placed(asked: Asked, args: argparse.Namespace) -> Asked:
    """The metric with the place of its model; raises ModelNotFound."""
    from ..hub import ModelNotFound, resolve_scorer, scorer_folders

    if asked.path or asked.name in TINY:
        return asked
    try:
        return replace(asked, path=resolve_scorer(asked.model, scorer_folders(base=args.base)))
    except ModelNotFound as error:
        raise ModelNotFound(f"{error}\nOr name a place of your own: --metric {asked.name}=PATH") from error


def _against(args: argparse.Namespace, wanted: Mapping) -> dict[str, Path]:
    from ..metrics.sets import by_id

    if args.mjhq:
        folder = args.mjhq / "mjhq30k_imgs"
        return _of_mjhq(by_id(folder if folder.is_dir() else args.mjhq), wanted)
    return by_id(args.against) if args.against else {}


def _of_mjhq(pictures: Mapping[str, Path], wanted: Mapping) -> dict[str, Path]:
    strange = [name for name in pictures if name not in wanted]
    if strange:
        raise ValueError(
            f"pictures must be named after ids of meta_data.json, and {pictures[strange[0]]} is not"
        )
    return dict(pictures)


def _tell_missing(whole: int, found: Mapping[str, int]) -> None:
    """Says where pictures are fewer than prompts: published distances are those of all of them."""
    short = [f"{count:,} {kind}" for kind, count in found.items() if count < whole]
    if short:
        print(
            f"the set has {whole:,} prompts, and pictures are fewer: {', '.join(short)};"
            " distances of fewer pictures are larger, and none to compare with published ones",
            file=sys.stderr,
        )


def _check(asked: Sequence[Asked], sets: Sets) -> None:
    from ..metrics.sets import prompts_of

    for each in asked:
        if each.name in (*DISTANCES, "tiny-fd") and not sets.against:
            raise ValueError(f"{each.name} is a distance: name the other pictures with --against or --mjhq")
        if each.name in NEED_PROMPTS:
            if not sets.wanted:
                raise ValueError(f"{each.name} is about pictures and prompts: name a file with --prompts")
            prompts_of(sets.pictures, sets.wanted)  # better now than when the model is loaded


def _measure(asked: Asked, sets: Sets, args: argparse.Namespace) -> Found:
    from ..metrics import measure

    compared, varied = asked.name in (*DISTANCES, "tiny-fd"), "vendi" in asked.name
    model = _features(asked, args) if compared or varied else _scorer(asked, args)
    with _bar(asked.name, len(sets.pictures) + (len(sets.against) if compared else 0)) as bar:
        how = {"batch": args.batch, "on_done": bar.update}
        if compared:
            return measure.distances(model, sets, **how)
        if varied:
            return measure.variety(model, sets, **how)
        prompted = asked.name in NEED_PROMPTS
        return measure.scores(model, sets, prompted=prompted, device=args.device, **how)


def _scorer(asked: Asked, args: argparse.Namespace):
    if asked.path is None:
        from ..tinyworld.scores import load_tiny_scorer

        return load_tiny_scorer(asked.name, device=args.device)
    from ..metrics.scorers import load_scorer

    return load_scorer(asked.name, asked.path, device=args.device, pairs=args.pairs)


def _features(asked: Asked, args: argparse.Namespace):
    if asked.path is None:
        from ..tinyworld.scores import load_tiny_features

        return load_tiny_features(device=args.device)
    from ..metrics.features import load_features

    return load_features(asked.model, asked.path, device=args.device)


def _bar(title: str, count: int):
    from tqdm import tqdm

    return tqdm(total=count, desc=title, unit="picture", file=sys.stderr, disable=not sys.stderr.isatty())


def _json(results: Mapping[str, Found], counts: Mapping[str, int]) -> str:
    metrics = {
        name: {"values": _plain(found.values), "pictures": _plain(found.scores)}
        for name, found in results.items()
    }
    return json.dumps({"counts": counts, "metrics": metrics}, indent=2, ensure_ascii=False)


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    """JSON knows no number that is none."""
    return {name: None if math.isnan(x) else x for name, x in numbers.items()}


def _table(results: Mapping[str, Found], counts: Mapping[str, int]) -> str:
    names = list(results)
    wide = [max(10, len(name)) for name in names]
    rows = [["", "pictures", *names]]
    for part, count in counts.items():
        values = [results[name].values.get(part) for name in names]
        rows.append([part, str(count), *("–" if x is None else f"{x:.4f}" for x in values)])
    first = max(len(row[0]) for row in rows)
    return "\n".join(
        f"{row[0]:{first}}  {row[1]:>8}  "
        + "  ".join(f"{x:>{w}}" for x, w in zip(row[2:], wide, strict=True))
        for row in rows
    )
