"""`presample demo`: one prompt expanded with the bundled model, shown as it happens, and then in pictures."""

import argparse
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

from .. import files

PROMPT = "lake, spring, cherry blossoms"
WIDTH = 80


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `demo`."""
    parser = subparsers.add_parser("demo")
    parser.add_argument("prompt", nargs="?", default=PROMPT, help=f"another prompt than {PROMPT!r}")
    parser.add_argument("--seed", type=int, default=5, help="another seed than 5")
    parser.add_argument(
        "--out", type=Path, default=Path("out/demo.txt"), help="file for the variations [out/demo.txt]"
    )
    parser.add_argument(
        "--sheet", type=Path, default=Path("out/demo.png"), help="file for the pictures [out/demo.png]"
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the expansion as an SVG file too")
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Shows one expansion, writes four, and paints them."""
    from ..tipo.expand import expand, expand_many, load_tipo
    from ..tipo.expansion import Request
    from ..tipo.options import ExpandOptions

    options = ExpandOptions(seed=args.seed)
    request = Request(args.prompt, options=options)
    tipo = load_tipo(options.model)
    _show("you wrote", args.prompt)
    view = _Live()
    expansion = expand(request, tipo, on_progress=view.watch)
    view.close()
    _show("tags added", ", ".join(tag for region in expansion.regions for tag in _flat(region.added_tags)))
    _show("prose added", " ".join(s for region in expansion.regions for s in region.added_prose))
    for refusal in expansion.refusals:
        _show("left out", f"{refusal.text}: {refusal.reason}")
    _show("the prompt", expansion.prompt)
    tokens = sum(each.tokens for each in expansion.passes)
    where = f"{tipo.language.precision} on {tipo.language.device}"
    _say(f"{tokens} tokens in {expansion.seconds:.2f} s, {len(expansion.passes)} passes, {where}")
    if args.picture:
        from ..tipo.picture import draw

        files.write_text(args.picture, draw(expansion))

    variations = expand_many(request, 4, tipo)
    files.write_text(args.out, "\n\n".join(each.prompt for each in variations) + "\n")
    _say(f"four variations, seeds {args.seed} to {args.seed + 3}: {args.out}")
    _paint(args, [each.prompt for each in variations], tipo)
    return 0


def _paint(args: argparse.Namespace, prompts: list[str], tipo: Any) -> None:
    from ..tinyworld.pipeline import load_pipeline
    from .demo_sheet import Story, draw_story
    from .studio import Studio

    began = time.monotonic()
    draw_story(Story(args.prompt, prompts, args.seed), Studio(load_pipeline(), tipo), args.sheet)
    _say(f"pictures of them, in {time.monotonic() - began:.0f} s: {args.sheet}")


def _flat(tags: dict) -> list[str]:
    return [tag for words in tags.values() for tag in words]


def _say(text: str) -> None:
    print(text, flush=True)


def _show(title: str, text: str) -> None:
    lines = [piece for line in text.split("\n") for piece in textwrap.wrap(line, WIDTH - 14) or [""]]
    _say("\n".join(f"{title if i == 0 else '':>12}  {line}" for i, line in enumerate(lines)) + "\n")


class _Live:
    """A progress bar with the text that is being written behind it."""

    def __init__(self):
        from tqdm import tqdm

        layout = "   expanding  {percentage:3.0f}% |{bar:20}| {desc}"
        self.bar = tqdm(total=1.0, bar_format=layout, file=sys.stderr, ncols=WIDTH)

    def watch(self, progress) -> None:
        self.bar.n = progress.fraction
        self.bar.set_description_str("…" + progress.text.replace("\n", " ")[-32:], refresh=False)
        self.bar.update(0)

    def close(self) -> None:
        self.bar.n = 1.0
        self.bar.set_description_str("done", refresh=False)
        self.bar.close()
