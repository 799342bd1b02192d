"""`presample expand`: one prompt, several variations of it, or a file of prompts.

One prompt is printed as it is. Lists (from a file, or to one) have one prompt a line, or one JSON record a
line with --json; a list that was cut short goes on where it stopped with --resume. Whole data sets, with
--input and --output, are those of `expand_bulk`.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from ..files import lines_of, read_text, text_of
from ..hub import ModelNotFound
from ..options import add_flags, from_flags
from ..prompt.document import read
from ..prompt.joints import joint
from ..prompt.sentences import ends_sentence
from ..prompt.syntax import Kind, Span, lex
from ..prompt.units import is_line_comment
from ..tipo.options import ExpandOptions
from . import expand_bulk

if TYPE_CHECKING:
    from ..tipo.expand import Tipo

FOLDED = (Kind.VARIANT, Kind.EDIT, Kind.ALTERNATE)  # spans that may have comments in them
_BREAKS = re.compile(r"\s*\n\s*")
_GOES_ON = re.compile(r"(?:[(\[{|:]|<[^<>]*>)\Z")  # a network is no tag
_GOES_ON_WITH = re.compile(r"[)\]}|:,，、]|<[^<>]*>|(?:AND|BREAK|ADDBASE|ADDCOMM|ADDCOL|ADDROW)\b")


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds the command `expand`; every option of ExpandOptions is a flag."""
    parser = subparsers.add_parser(
        "expand",
        description="Expands a prompt. Your own text stays as it is; options say what is added and where.",
    )
    parser.add_argument("prompt", nargs="?", help="the prompt; - reads it from standard input")
    parser.add_argument("--file", metavar="FILE", help="a file of prompts, one a line; - is standard input")
    parser.add_argument(
        "--prose", default="", metavar="TEXT", help="natural language beside the prompt's tags"
    )
    parser.add_argument("--n", type=int, default=1, metavar="N", help="variations of each prompt [1]")
    parser.add_argument(
        "--json", action="store_true", help="everything that is known, as JSON, one record a line"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to this file instead of standard output"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the file of --out where it ends")
    parser.add_argument("--stream", action="store_true", help="show on standard error what is being added")
    expand_bulk.add_bulk(parser)
    where = parser.add_argument_group("model")
    where.add_argument(
        "--folder", type=Path, action="append", metavar="FOLDER", help="search this folder too"
    )
    where.add_argument(
        "--base", type=Path, metavar="ROOT", help="root of a ComfyUI or WebUI whose models to use"
    )
    where.add_argument("--device", default="auto", help="auto, cpu, cuda, … [auto]")
    where.add_argument(
        "--precision", default="auto", help="auto, float32, bfloat16, float16 or int8 (processor only) [auto]"
    )
    add_flags(parser.add_argument_group("expansion"), ExpandOptions)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Expands what was asked for; returns the exit code."""
    options = from_flags(args, ExpandOptions)
    if args.input or args.output:
        return expand_bulk.run(args, options)
    if args.n < 1:
        raise ValueError(f"--n must be at least 1, got {args.n}")
    if (args.prompt is None) == (args.file is None):
        raise ValueError("give one prompt, or --file FILE with a prompt on each line")
    if args.resume and not args.out:
        raise ValueError("--resume needs --out FILE, the file to go on with")
    prompts = _prompts(args)
    done = _lines_done(args.out, args.resume)
    tipo = _load(options.model, args)
    with _output(args.out) as out:
        _expand_all(prompts, done, options, tipo, args, out)
    return 0


def _load(name: str, args: argparse.Namespace) -> "Tipo":
    from ..tipo.expand import load_tipo

    folders = tuple(args.folder or ())
    try:
        return load_tipo(name, folders=folders, base=args.base, device=args.device, precision=args.precision)
    except ModelNotFound as error:
        path = Path(name)
        if not path.exists():
            raise
        raise ValueError(
            f"--model must be a name, got a path; write --folder {path.parent} --model {path.name}"
        ) from error


def _prompts(args: argparse.Namespace) -> list[str]:
    if args.file is None:
        return [text_of(sys.stdin, "standard input") if args.prompt == "-" else args.prompt]
    piped = args.file == "-"
    return lines_of(text_of(sys.stdin, "standard input") if piped else read_text(Path(args.file)))


def _lines_done(out: Path | None, resume: bool) -> int:
    """Returns how many whole lines the file to write has; a last line without its end is cut off."""
    if out is None or not out.exists():
        return 0
    if not resume:
        raise ValueError(f"{out} is there already; choose another --out, or go on with it with --resume")
    text = out.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        os.truncate(out, len(whole))
    return whole.count(b"\n")


@contextmanager
def _output(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with open(path, "a", encoding="utf-8", newline="\n") as file:
        yield file


def _expand_all(prompts: Sequence[str], done: int, options: ExpandOptions, tipo, args, out: TextIO) -> None:
    """Writes `args.n` lines for each prompt, but for the first `done` lines that are there already."""
    from tqdm import tqdm

    from ..tipo.expand import expand_many
    from ..tipo.expansion import Request

    listed = args.file is not None or args.out is not None or args.json
    bar = tqdm(prompts, desc="expanding", unit="prompt", disable=args.file is None)
    for number, prompt in enumerate(bar):
        first = done - number * args.n
        if first >= args.n:
            continue
        request = Request(prompt, args.prose, options)
        watch = _streamer() if args.stream else None
        expansions = expand_many(request, args.n, tipo, on_progress=watch)
        for variation, expansion in list(enumerate(expansions))[max(first, 0) :]:
            if args.json:
                record = {"prompt_number": number, "variation": variation, **expansion.as_dict()}
                print(json.dumps(record, ensure_ascii=False), file=out, flush=True)
            elif listed:
                print(one_line(expansion.prompt), file=out, flush=True)
            else:
                print(("\n" if variation else "") + expansion.prompt, file=out, flush=True)
        for note in dict.fromkeys(note for expansion in expansions for note in expansion.notes):
            bar.write(f"note: {note}", file=sys.stderr)


def one_line(prompt: str) -> str:
    """Returns a prompt on one line; of several, with commas between the tags on them, and without the
    comments that would take in what follows them."""
    if "\n" not in prompt:
        return prompt
    result = before = ""
    for inside, line in _lines(prompt):
        if before and line:
            result += " " if inside else _between(before, line)
        result, before = result + line, line or before
    return result


def _lines(prompt: str) -> Iterator[tuple[bool, str]]:
    """The lines of a prompt without comments, and whether each goes on with a choice begun above it."""
    todo, line, inside = [(span, False) for span in reversed(lex(prompt))], "", False
    while todo:
        span, folded = todo.pop()
        if span.kind in FOLDED and "\n" in span.text:  # without its end it is taken apart
            inner = (Span(Kind.TEXT, span.text[-1], span.end - 1), *reversed(lex(span.text[:-1])))
            todo += [(each, True) for each in inner]
        elif span.kind is Kind.NEWLINE:
            yield inside, line.strip()
            line, inside = "", folded
        elif not is_line_comment(span):
            line += _BREAKS.sub(" ", span.text)
    yield inside, line.strip()


def _between(before: str, line: str) -> str:
    """What stands for a line break: a comma, or a blank where one is no end of a tag."""
    if _GOES_ON.search(before) or _GOES_ON_WITH.match(line):
        return " "
    last = read(before, regions="off").regions[0].units[-1:]
    ended = any(unit.prose or not ends_sentence("".join(unit.terms[-1:])) for unit in last)
    return joint(before, "", prose=False, after_prose=ended, single_line=True)


def _streamer():
    """Returns a callback that writes what is settled of the first variation to standard error."""
    shown: dict[tuple[int, str], str] = {}

    def watch(progress) -> None:
        if progress.variation:
            return
        place = (progress.region, progress.writes)
        before = shown.get(place, "")
        if shown and place not in shown:
            sys.stderr.write("\n")
        sys.stderr.write(progress.settled[len(before) :])
        sys.stderr.flush()
        shown[place] = progress.settled
        if progress.fraction >= 1:
            sys.stderr.write("\n")

    return watch
